"""CooRnet's network, against tables worked out by hand from what is known of each quirk."""

import dataclasses
import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import describe, make_shares, name_edges
from runs import share_anew as share

from gpu_coord.backend import choose
from gpu_coord.sharing import streams
from gpu_coord.sharing.peers.comparison import compare_edges
from gpu_coord.sharing.peers.coornet import (
    count_common,
    cut_shares,
    join_described,
    pair_in_bins,
    project_accounts,
    weigh_kinds,
)
from gpu_coord.sharing.windows import pair_shares


def list_marked(shares, mask):
    """Return (object, account, seconds) of the marked shares."""
    values, ids = shares.objects["value"].to_list(), shares.accounts["account_id"].to_list()
    marked = (column[mask] for column in (shares.object, shares.account, shares.time))
    return {(values[o], ids[a], t / 1000) for o, a, t in zip(*marked, strict=True)}


def project(shares, seconds, **settings):
    settings = {"edge_weight_quantile": 0.0} | settings
    return project_accounts(shares, cut_shares(shares, interval_seconds=seconds), **settings)


# --- the bins --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "seconds", "grouped"),
    [
        # The bins of u are 0-9 s and 10-19 s: 9 s and 11 s lie apart, 0 s and 9 s together.
        ([("u", "a", 0), ("u", "b", 9), ("u", "c", 11)], 10, [0, 1]),
        # They begin at the first share of each object; clock bins would part 17 s and 23 s.
        ([("u", "a", 17), ("u", "b", 23), ("v", "a", 5), ("v", "b", 15)], 10, [0, 1]),
        # Fractions of the interval are dropped.
        ([("u", "a", 0), ("u", "b", 9)], 9.5, []),
        ([("u", "a", 0), ("u", "b", 9)], 10.0, [0, 1]),
        # Two shares of one account are a group, but not of an object that it alone shares.
        ([("u", "a", 0), ("u", "a", 1), ("u", "b", 500)], 10, [0, 1]),
        ([("u", "a", 0), ("u", "a", 1), ("v", "a", 0), ("v", "b", 100)], 10, []),
    ],
)
def test_cut_shares__groups_what_is_in_one_bin(rows, seconds, grouped):
    shares = make_shares(rows)
    cuts = cut_shares(shares, interval_seconds=seconds)
    assert list_marked(shares, cuts.grouped) == {rows[place] for place in grouped}


@pytest.mark.parametrize(
    ("times", "seconds", "bins"),
    [
        ((0, 9, 11), 10, [0, 0, 1]),
        ((0.9, 1.9, 2.0), 2, [0, 0, 1]),  # the first bin ends before 2 s, not before 2.9 s
        ((-3.5, -2.5, -2), 2, [0, 0, 1]),  # before the epoch it begins at the second below
    ],
)
def test_cut_shares__begins_at_a_whole_second(times, seconds, bins):
    shares = make_shares([("u", account, time) for account, time in zip("abc", times, strict=True)])
    assert cut_shares(shares, interval_seconds=seconds).bin.tolist() == bins


@pytest.mark.parametrize("seconds", [0, 0.5, -1, float("nan")])
def test_cut_shares__refuses_less_than_a_second(seconds):
    with pytest.raises(ValueError, match="interval_seconds"):
        cut_shares(make_shares([("u", "a", 0)]), interval_seconds=seconds)


# --- the marks -------------------------------------------------------------------------------


def test_cut_shares__marks_by_three_memberships_of_their_own():
    # a co-shares u with b at 0 s; c and d co-share v at 50 s. a's lone share of v at 0 s is marked:
    # v, 0 s and a each occur among the grouped shares. Its share of v at 20 s is not: no grouped
    # share is of 20 s.
    grouped = set(GROUPED)
    shares = make_shares([*GROUPED, ("v", "a", 0), ("v", "a", 20)])
    cuts = cut_shares(shares, interval_seconds=10)
    assert list_marked(shares, cuts.grouped) == grouped
    assert list_marked(shares, cuts.coordinated) == grouped | {("v", "a", 0)}


def mark_by_hand(rows, seconds):
    grouped = set()
    for object in {row[0] for row in rows}:
        own = [row for row in rows if row[0] == object]
        first = int(min(row[2] for row in own))
        for one, two in itertools.permutations(own, 2):
            together = (one[2] - first) // seconds == (two[2] - first) // seconds
            if together and len({row[1] for row in own}) > 1:
                grouped.add(one)
    sets = [{row[field] for row in grouped} for field in range(3)]
    return grouped, {row for row in rows if all(row[f] in sets[f] for f in range(3))}


rows = st.lists(
    st.tuples(st.sampled_from("uvw"), st.sampled_from("abcde"), st.integers(0, 20)),
    min_size=1, max_size=25,
)  # fmt: skip


@given(rows=rows, seconds=st.integers(1, 9))
def test_cut_shares__equals_the_definition(rows, seconds):
    numbered = [(*row, f"c{place}") for place, row in enumerate(rows)]
    shares = make_shares(numbered)
    cuts = cut_shares(shares, interval_seconds=seconds)
    masks = (cuts.grouped, cuts.coordinated)
    found = [{shares.contents[int(c)] for c in shares.content[mask]} for mask in masks]
    assert found == [{row[3] for row in part} for part in mark_by_hand(numbered, seconds)]


@given(rows=rows, shift=st.integers(-(10**6), 10**6))
def test_cut_shares__is_the_same_at_any_time_of_day(rows, shift):
    moved = [(o, a, t + shift) for o, a, t in rows]
    one, two = (cut_shares(make_shares(part), interval_seconds=3) for part in (rows, moved))
    np.testing.assert_array_equal(one.bin, two.bin)
    np.testing.assert_array_equal(one.coordinated, two.coordinated)


# --- the network -----------------------------------------------------------------------------


GROUPED = [("u", "a", 0), ("u", "b", 0), ("v", "c", 50), ("v", "d", 50)]
TRIPLE = [("u", a, t) for a in "ab" for t in (0, 1, 2)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # a and b share u at once, c and d a quarter of an hour later: all four are linked.
        ([("u", "a", 0), ("u", "b", 1), ("u", "c", 1000), ("u", "d", 1001)],
         dict.fromkeys(["ab", "ac", "ad", "bc", "bd", "cd"], 1)),
        # Objects count once.
        ([*TRIPLE, ("v", "a", 0), ("v", "b", 0), ("v", "c", 5), ("w", "c", 0)],
         {"ab": 2, "ac": 1, "bc": 1}),
        # a's lone share of v is marked (see above), but links a to neither c nor d.
        ([*GROUPED, ("v", "a", 0)], {"ab": 1, "cd": 1}),
    ],
)  # fmt: skip
def test_project_accounts__of_a_few_shares(rows, expected):
    shares = make_shares(rows)
    found = name_edges(shares, project(shares, 10).edges)
    assert found == {tuple(ends): weight for ends, weight in expected.items()}


def test_project_accounts__keeps_edges_at_the_quantile_of_all():
    # Weights 1 (ac), 1 (bc), 1 (de), 2 (ab), 3 (fg): quantile 0.6 = 1.4; 0.75 = 2, kept at 2.
    pairs = {"o1": "ab", "o2": "abc", "o3": "de", "o4": "fg", "o5": "fg", "o6": "fg"}
    shares = make_shares([(o, a, 0) for o, accounts in pairs.items() for a in accounts])
    found = {q: project(shares, 1, edge_weight_quantile=q) for q in (0, 0.6, 0.75, 0.9)}
    assert [found[q].threshold for q in found] == pytest.approx([1, 1.4, 2, 2.6])
    assert [found[q].edges.height for q in found] == [5, 2, 2, 1]
    assert name_edges(shares, found[0.75].edges) == {("a", "b"): 2, ("f", "g"): 3}
    assert (found[0.9].n_all_edges, found[0.9].n_all_accounts) == (5, 7)


def test_project_accounts__keeps_all_edges_of_one_weight():
    shares = make_shares([("u", a, 0) for a in "abc"])
    assert project(shares, 1, edge_weight_quantile=0.9).edges.height == 3
    assert project(shares, 1, edge_weight_quantile=0.9, min_weight=2).edges.height == 0


def test_project_accounts__is_empty_without_coordination():
    shares = make_shares([("u", "a", 0), ("u", "b", 50)])
    found = project(shares, 10)
    assert (found.edges.height, found.n_all_edges, found.n_all_accounts) == (0, 0, 0)
    assert np.isnan(found.threshold)
    assert found.edges.columns == ["source", "target", "weight"]


def project_by_hand(rows, seconds, quantile):
    shared = {}
    for object, account, _ in mark_by_hand(rows, seconds)[0]:
        shared.setdefault(account, set()).add(object)
    common = {(a, b): shared[a] & shared[b] for a, b in itertools.combinations(sorted(shared), 2)}
    weights = {ends: len(objects) for ends, objects in common.items() if objects}
    if not weights:
        return {}
    threshold = np.quantile(list(weights.values()), quantile)
    return {ends: weight for ends, weight in weights.items() if weight >= threshold}


@given(
    rows=rows.map(lambda part: list(dict.fromkeys(part))),
    seconds=st.integers(1, 9),
    quantile=st.sampled_from([0, 0.25, 0.5, 0.75, 1]),
)
def test_project_accounts__equals_the_definition_in_any_blocks(rows, seconds, quantile):
    shares = make_shares(rows)
    wanted = project_by_hand(rows, seconds, quantile)
    for settings in ({}, {"memory": 1, "threads": 2}):
        found = project(shares, seconds, edge_weight_quantile=quantile, **settings)
        assert name_edges(shares, found.edges) == wanted
        ends = found.edges.select("source", "target").rows()
        assert ends == sorted(ends)


def test_project_accounts__equals_joins_of_tables_on_real_shares(data_dir):
    file = data_dir / "coortweet_russian" / "russian_coord_tweets.parquet"
    columns = ("object_id", "account_id", "timestamp_share", "content_id")
    table = pl.read_parquet(file, columns=columns).unique().select(columns)
    time = pl.col("timestamp_share")
    grouped = (
        table.filter(pl.col("account_id").n_unique().over("object_id") > 1)
        .with_columns(bin=(time - time.min().over("object_id")) // 60)
        .filter(pl.len().over("object_id", "bin") > 1)
    )
    marked = table
    for column in columns[:3]:
        marked = marked.join(grouped.select(column).unique(), on=column, how="semi")
    sharers = grouped.select("object_id", "account_id").unique()
    pairs = sharers.join(sharers, on="object_id", suffix="_y")
    edges = pairs.filter(pl.col("account_id") < pl.col("account_id_y"))
    weights = edges.group_by("account_id", "account_id_y").len().rows()
    shares = make_shares(table.rows())
    cuts = cut_shares(shares, interval_seconds=60)
    assert (cuts.grouped.sum(), cuts.coordinated.sum()) == (grouped.height, marked.height)
    found = project_accounts(shares, cuts, edge_weight_quantile=0.9)
    assert found.threshold == np.quantile([weight for _, _, weight in weights], 0.9)
    assert name_edges(shares, found.edges) == {(a, b): weight for a, b, weight in weights}


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"edge_weight_quantile": 1.5}, "edge_weight_quantile is 1.5"), ({"min_weight": 0}, "is 0")],
)
def test_project_accounts__refuses_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        project(make_shares([("u", "a", 0)]), 1, **settings)


def test_project_accounts__refuses_edges_without_room_before_it_lists_them(monkeypatch):
    # Six edges of one common object; ab has two.
    shares = make_shares([("u", a, 0) for a in "abcd"] + [("v", a, 0) for a in "ab"])
    full = dataclasses.replace(choose("cpu"), free_memory=lambda: 6 * 350 - 1)
    monkeypatch.setattr(streams, "choose", lambda _: full)
    with pytest.raises(MemoryError, match=r"^6 edges .* --min-weight 2, which leaves 1,"):
        project(shares, 1, edge_weight_quantile=0.5)
    assert project(shares, 1, min_weight=2).edges.rows() == [(0, 1, 2)]
    assert project(shares, 1, edge_weight_quantile=1).edges.rows() == [(0, 1, 2)]


@given(rows=rows, seconds=st.integers(1, 9))
def test_count_common__equals_the_projection(rows, seconds):
    shares = make_shares(rows)
    cuts = cut_shares(shares, interval_seconds=seconds)
    pairs = list(itertools.combinations(range(shares.accounts.height), 2))
    schema = {"source": pl.Int32, "target": pl.Int32}
    found = count_common(shares, cuts, pl.DataFrame(pairs, schema, orient="row"))
    assert found.select("source", "target").rows() == pairs
    edges = project(shares, seconds).edges
    assert found.filter(pl.col("weight") > 0).rows() == edges.rows()


def test_join_described__shows_edges_that_were_never_in_one_bin():
    rows = [("u", "a", 0), ("u", "b", 4), ("u", "c", 1000), ("u", "a", 1002)]
    shares = make_shares([*rows, ("v", "b", 9), ("v", "a", 9)])
    cuts = cut_shares(shares, interval_seconds=10)
    edges = project_accounts(shares, cuts, edge_weight_quantile=0.0).edges
    found = join_described(edges, describe(shares, pair_in_bins(shares, cuts)))
    columns = ("source", "target", "weight", "n_objects", "n_pairs", "mean_gap", "source_first")
    assert found.select(columns).rows() == [
        (0, 1, 2, 2, 2, 2, 0.75), (0, 2, 1, 1, 1, 2, 0), (1, 2, 1, 0, 0, None, None),
    ]  # fmt: skip


@given(rows=rows, seconds=st.integers(1, 9))
def test_pair_in_bins__lists_the_pairs_in_one_bin(rows, seconds):
    numbered = [(*row, f"c{place}") for place, row in enumerate(rows)]
    shares = make_shares(numbered)
    cuts = cut_shares(shares, interval_seconds=seconds)
    found = []
    for block in pair_in_bins(shares, cuts, memory=1):
        contents = [shares.contents.gather(shares.content[rows]) for rows in block]
        found += [tuple(sorted(pair)) for pair in zip(*contents, strict=True)]
    first = {o: min(row[2] for row in rows if row[0] == o) for o, _, _ in rows}
    bins = {row: (row[0], (row[2] - first[row[0]]) // seconds) for row in numbered}
    assert sorted(found) == sorted(
        tuple(sorted((one[3], two[3])))
        for one, two in itertools.combinations(numbered, 2)
        if bins[one] == bins[two] and one[1] != two[1]
    )


def test_pair_in_bins__reaches_the_last_millisecond_of_a_bin():
    shares = make_shares([("u", "a", 0), ("u", "b", 9.999), ("v", "a", 0.5), ("v", "b", 10.25)])
    cuts = cut_shares(shares, interval_seconds=10)
    ((older, newer),) = list(pair_in_bins(shares, cuts))
    assert shares.time[older].tolist() == [0]
    assert shares.time[newer].tolist() == [9999]


def test_weigh_kinds__counts_the_objects_of_each_kind():
    shares = make_shares([(o, a, 0) for o in "uvw" for a in "ab"] + [("w", "c", 0)])
    kinds = pl.Series("kind", ["hashtag", "url", "url"])
    shares = dataclasses.replace(shares, objects=shares.objects.with_columns(kinds))
    cuts = cut_shares(shares, interval_seconds=1)
    found = weigh_kinds(shares, cuts, project(shares, 1).edges)
    assert found.columns == ["source", "target", "weight", "weight_hashtag", "weight_url"]
    assert found.rows() == [(0, 1, 3, 1, 2), (0, 2, 1, 0, 1), (1, 2, 1, 0, 1)]


def test_compare_edges__says_why_pairs_change():
    # Interval and window 10 s. ab: two common objects, one of them 1000 s apart. cd: 9 s and 11 s,
    # a border between. ef: only 500 s apart, each beside a share of its own. gh: one object, too
    # light. ij: the same both ways.
    rows = [("u", "a", 0), ("u", "b", 1), ("v", "a", 0), ("v", "a", 1)]
    rows += [("v", "b", 1000), ("v", "b", 1001), ("w", "x", 0), ("w", "c", 9), ("w", "d", 11)]
    rows += [(o, e, t) for o in ("y1", "y2") for e, t in zip("eeff", (0, 1, 500, 501), strict=True)]
    rows += [("z", "g", 0), ("z", "h", 5)]
    rows += [(o, a, 0) for o in ("q1", "q2") for a in "ij"]
    shares = make_shares(rows)
    strict = describe(shares, pair_shares(shares, window_ms=10_000))
    edges = project(shares, 10).edges.with_columns(in_network=pl.col("weight") >= 2)
    found = compare_edges(strict, edges, absent=pl.lit("border"))
    ids = shares.accounts["account_id"].to_list()
    named = [(ids[s] + ids[t], n, w, reason) for s, t, n, w, reason in found.rows()]
    assert named == [
        ("ab", 1, 2, "weight"), ("cd", 1, 0, "border"), ("cx", 1, 1, "threshold"),
        ("ef", 0, 2, "other_bin"), ("gh", 1, 1, "threshold"),
    ]  # fmt: skip


@given(rows=rows.map(lambda part: list(dict.fromkeys(part))), seconds=st.integers(1, 9))
def test_compare_edges__names_every_pair_that_changes(rows, seconds):
    shares = make_shares(rows)
    strict = describe(shares, pair_shares(shares, window_ms=1000 * seconds))
    found = project(shares, seconds, edge_weight_quantile=0.5)
    threshold = found.threshold if found.n_all_edges else 1
    all_edges = project(shares, seconds).edges
    edges = all_edges.with_columns(in_network=pl.col("weight") >= threshold)
    changed = compare_edges(strict, edges, absent=pl.lit("border"))
    columns = ("source", "target", "n_objects")
    one, two = set(strict.select(columns).rows()), set(found.edges.rows())
    assert set(changed.select("source", "target").rows()) == {edge[:2] for edge in one ^ two}


def test_share__lists_the_changes_of_heavy_edges_and_of_near_pairs(make_table_store, tmp_path):
    # Of all edges of the mode, those that are neither kept nor near in time change nothing.
    rng = np.random.default_rng(5)
    drawn = rng.integers(0, [12, 9, 300], (400, 3)).tolist()
    rows = [(f"a{a:02}", f"o{o}", str(n), t) for n, (a, o, t) in enumerate(drawn)]
    run = share(
        make_table_store(rows), tmp_path / "run", kinds="object", mode="coornet", window="3s",
        edge_weight_quantile=0.6, compare=True,
    )  # fmt: skip
    shares = make_shares([(o, a, t) for a, o, _, t in rows])
    every = project(shares, 3).edges
    threshold = np.quantile(every["weight"], 0.6)
    assert every["weight"].max() > threshold > every["weight"].min()
    strict = describe(shares, pair_shares(shares, window_ms=3000))
    edges = every.with_columns(in_network=pl.col("weight") >= threshold)
    wanted = compare_edges(strict, edges, absent=pl.lit("border"))
    ids = shares.accounts["account_id"]
    assert {"threshold", "other_bin"} <= set(wanted["reason"])
    assert run.read("changes").rows() == [
        (ids[s], ids[t], *row) for s, t, *row in wanted.rows()
    ]  # fmt: skip
