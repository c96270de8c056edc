"""Coordinated sharing: slow loops, the original R outputs, and runs from archives to folders."""

import dataclasses
import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import partial
from io import StringIO
from itertools import combinations
from statistics import mean, median

import igraph
import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from rich.console import Console
from runs import coact_anew as coact
from runs import invoke
from runs import share_anew as share

from gpu_coord.accounts.explanation import describe, explain, render
from gpu_coord.archive.ingest import ingest
from gpu_coord.backend import choose
from gpu_coord.results.verification import verify
from gpu_coord.sharing import streams
from gpu_coord.sharing.peers.coortweet import (
    account_stats,
    detect_groups,
    flag_speed_share,
    group_stats,
    mark_heavy,
    number_vertices,
    take_subgraph,
    weigh_network,
)
from gpu_coord.sharing.shares import Shares, read_shares
from gpu_coord.sharing.strict import count_popularity, group_pairs, weigh_edges
from gpu_coord.sharing.windows import pair_shares


def order_posts(table):
    """Bring the rows of a post together: of its objects a store knows no other order."""
    posts = {}
    for _, account, content, _ in table:
        posts.setdefault((account, content), len(posts))
    return sorted(table, key=lambda row: (posts[row[1], row[2]], row[0], row[3]))


# Rows of a share table in the order of the input: object, account, content, seconds. Contents may
# be shared with several objects, be objects themselves, or have two accounts.
TABLES = st.lists(
    st.tuples(
        st.sampled_from("xyz"),
        st.sampled_from("DBCA"),
        st.sampled_from(["m1", "m2", "m3", "m4", "m5", "m6", "m7", "x"]),
        st.sampled_from([0, 1, 2, 5, 5.5, 9, 10, 30]),
    ),
    min_size=1,
    max_size=30,
    unique=True,
).map(order_posts)


def number(names):
    return {name: row for row, name in enumerate(sorted(set(names)))}


def make_shares(table, kinds=("url", "url", "hashtag")):
    """Return the Shares of rows (object, account, content, seconds) in the order of an input."""
    objects, accounts, contents = (number(column) for column in list(zip(*table, strict=True))[:3])
    posts = {}
    for _, account, content, _ in table:
        posts.setdefault((account, content), len(posts))
    rows = sorted(
        (objects[o], round(1000 * t), contents[c], accounts[a], posts[a, c]) for o, a, c, t in table
    )
    columns = list(zip(*rows, strict=True))
    kind_of = dict(zip("xyz", sorted(kinds), strict=True))
    return Shares(
        object=np.array(columns[0], np.int32),
        time=np.array(columns[1], np.int64),
        account=np.array(columns[3], np.int32),
        content=np.array(columns[2], np.int32),
        objects=pl.DataFrame(
            {"kind": [kind_of.get(o, "url") for o in objects], "value": list(objects)}
        ),
        accounts=pl.DataFrame({"account_id": list(accounts)}),
        contents=pl.Series(list(contents), dtype=pl.String),
        post=np.array(columns[4], np.int64),
    )


def join(blocks):
    none = np.empty(0, np.int64)
    return tuple(np.concatenate(rows) for rows in zip((none, none), *blocks, strict=True))


def name_edges(edges, shares):
    ids = shares.accounts["account_id"].to_list()
    return {(ids[row["source"]], ids[row["target"]]): row for row in edges.to_dicts()}


# --- strict ------------------------------------------------------------------------------------


def weigh_slowly(table, window):
    """Return {(source, target): columns} from all pairs of rows."""
    sharers, edges = defaultdict(set), defaultdict(list)
    for o, a, _, _ in table:
        sharers[o].add(a)
    for one, other in combinations(table, 2):
        (o, a, _, t), (p, b, _, u) = one, other
        if o == p and a != b and abs(t - u) <= window:
            edges[min(a, b), max(a, b)].append((one, other) if a < b else (other, one))
    return {pair: describe_slowly(rows, sharers) for pair, rows in edges.items()}


def describe_slowly(pairs, sharers):
    gaps = [abs(of_source[3] - of_target[3]) for of_source, of_target in pairs]
    first = [0.5 if s[3] == t[3] else float(s[3] < t[3]) for s, t in pairs]
    objects = {of_source[0] for of_source, _ in pairs}
    n_posts = sorted(len({row[2] for row in side}) for side in zip(*pairs, strict=True))
    return {
        "weight": len(objects),
        "n_objects": len(objects),
        "n_pairs": len(pairs),
        "n_posts_source": len({of_source[2] for of_source, _ in pairs}),
        "n_posts_target": len({of_target[2] for _, of_target in pairs}),
        "symmetry": n_posts[0] / n_posts[1],
        "mean_gap": mean(gaps),
        "median_gap": median(gaps),
        "source_first": mean(first),
        "popularity_weight": sum(1 / (len(sharers[o]) - 1) for o in objects),
    }


@given(table=TABLES, window=st.sampled_from([0.5, 1, 4, 25, 30]))
def test_weigh_edges__matches_slow_loops(table, window):
    shares = make_shares(table)
    pairs = join(pair_shares(shares, window_ms=round(1000 * window)))
    edges = weigh_edges(group_pairs(shares, *pairs), count_popularity(shares))
    found, expected = name_edges(edges, shares), weigh_slowly(table, window)
    assert list(found) == sorted(expected)
    for pair, columns in expected.items():
        assert {name: found[pair][name] for name in columns} == pytest.approx(columns), pair
        kinds = [row for name, row in found[pair].items() if name.startswith("weight_")]
        assert sum(kinds) == found[pair]["weight"]


def test_weigh_edges__counts_objects_by_kind():
    # x is of the kind hashtag, y and z are urls.
    table = [("x", "A", "1", 0), ("x", "B", "2", 0), ("y", "A", "3", 0), ("y", "B", "4", 0),
             ("z", "A", "5", 0), ("z", "B", "6", 1), ("z", "B", "7", 1)]  # fmt: skip
    shares = make_shares(table)
    pairs = join(pair_shares(shares, window_ms=1000))
    (row,) = weigh_edges(group_pairs(shares, *pairs), count_popularity(shares)).to_dicts()
    assert (row["weight"], row["weight_hashtag"], row["weight_url"], row["n_pairs"]) == (3, 1, 2, 4)


# --- coortweet: the functions of the R package, written down as they are -------------------------


def detect_slowly(table, window, min_participation, *, remove_loops=True):
    """Return the pairs (object, older row, newer row) in the order of the R function."""
    n_rows = Counter(a for _, a, _, _ in table)
    kept = [row for row in table if n_rows[row[1]] >= min_participation]
    regrouped = [row for name in dict.fromkeys(row[1] for row in table)
                 for row in kept if row[1] == name]  # fmt: skip
    pairs = []
    for o in dict.fromkeys(row[0] for row in regrouped):
        group = [row for row in regrouped if row[0] == o]
        for later in range(len(group)):
            pairs += [(group[first], group[later]) for first in range(later)]
    pairs = [(i, j) for i, j in pairs if abs(i[3] - j[3]) <= window]
    if remove_loops:
        pairs = [
            (i, j) for i, j in pairs
            if i[0] not in (i[2], j[2]) and i[2] != j[2] and i[1] != j[1]
        ]  # fmt: skip
    pairs = filter_slowly(regrouped, pairs, min_participation)
    return [(j, i) if i[3] > j[3] else (i, j) for i, j in pairs]


def filter_slowly(table, pairs, min_participation):
    contents = {row[2] for pair in pairs for row in pair}
    n_rows = Counter(a for _, a, c, _ in table if c in contents)
    kept = {c for _, a, c, _ in table if c in contents and n_rows[a] >= min_participation}
    return [(i, j) for i, j in pairs if i[2] in kept or j[2] in kept]


def flag_slowly(table, pairs, window, min_participation):
    fast = [(i, j) for i, j in pairs if j[3] - i[3] <= window]
    marked = {(i[2], j[2]) for i, j in filter_slowly(table, fast, min_participation)}
    return [(i[2], j[2]) in marked for i, j in pairs]


def aggregate_slowly(pairs):
    """Return {(smaller account, larger): measures} in the order of the R table."""
    edges = defaultdict(list)
    for i, j in pairs:
        edges[min(i[1], j[1]), max(i[1], j[1])].append((i, j))
    table = {}
    for ends, rows in edges.items():
        n, m = len({i[2] for i, _ in rows}), len({j[2] for _, j in rows})
        table[ends] = {
            "weight": len(rows),
            "avg_time_delta": mean(j[3] - i[3] for i, j in rows),
            "n_content_id": n,
            "n_content_id_y": m,
            "edge_symmetry_score": min(n, m) / max(n, m),
        }
    return table


def find_rows(shares, table):
    """Return the number of each row of a table among the shares."""
    ids, contents = shares.accounts["account_id"], shares.contents
    values = shares.objects["value"]
    return {
        (values[o], ids[a], contents[c], t / 1000): row
        for row, (o, a, c, t) in enumerate(
            zip(*(x.tolist() for x in (shares.object, shares.account, shares.content, shares.time)),
                strict=True)
        )
    }  # fmt: skip


@settings(max_examples=150)
@given(
    table=TABLES,
    window=st.sampled_from([0.5, 4, 25]),
    min_participation=st.integers(1, 4),
    remove_loops=st.booleans(),
)
def test_detect_groups__matches_the_r_function_written_down(
    table, window, min_participation, remove_loops
):
    shares = make_shares(table)
    found = join(
        detect_groups(
            shares, window_ms=round(1000 * window), min_participation=min_participation,
            remove_loops=remove_loops,
        )
    )  # fmt: skip
    rows = find_rows(shares, table)
    expected = detect_slowly(table, window, min_participation, remove_loops=remove_loops)
    if remove_loops:
        assert sorted(zip(*map(np.ndarray.tolist, found), strict=True)) == sorted(
            (rows[i], rows[j]) for i, j in expected
        )
    else:  # of one account's shares at one time, neither is the older
        assert sorted(map(sorted, zip(*map(np.ndarray.tolist, found), strict=True))) == sorted(
            sorted((rows[i], rows[j])) for i, j in expected
        )


@settings(max_examples=150)
@given(table=TABLES, min_participation=st.integers(1, 3), quantile=st.sampled_from([0, 0.5, 0.9]))
def test_weigh_network__matches_the_r_function_written_down(table, min_participation, quantile):
    # As `share` reads them: the tool drops rare accounts before it numbers anything.
    n_shares = Counter(account for _, account, _, _ in table)
    table = [row for row in table if n_shares[row[1]] >= min_participation]
    assume(table)
    shares, rows = make_shares(table), find_rows(make_shares(table), table)
    pairs = detect_slowly(table, 25, min_participation)
    older, newer = (np.array([rows[pair[end]] for pair in pairs], np.int64) for end in (0, 1))
    is_fast = flag_speed_share(
        shares, older, newer, window_ms=4000, min_participation=min_participation
    )
    assert is_fast.tolist() == flag_slowly(table, pairs, 4, min_participation)
    order = np.lexsort((newer, older, shares.object[older]))
    runs = group_pairs(shares, older[order], newer[order])
    flags = dict(zip(zip(older.tolist(), newer.tolist(), strict=True), is_fast, strict=True))
    marked = [flags[pair] for pair in zip(runs.older.tolist(), runs.newer.tolist(), strict=True)]
    marked = np.array(marked, bool)
    edges = mark_heavy(weigh_network(runs, count_popularity(shares), is_fast=marked), quantile)
    found = name_edges(edges, shares)
    expected = aggregate_slowly(pairs)
    fast = aggregate_slowly([pair for pair, flag in zip(pairs, is_fast, strict=True) if flag])
    assert list(found) == sorted(expected)
    for suffix, table_of in (("", expected), ("_fast", fast)):
        if not table_of:
            continue
        limit = np.quantile([row["weight"] for row in table_of.values()], quantile)
        for ends, row in table_of.items():
            assert {n: found[ends][n + suffix] for n in row} == pytest.approx(row)
            assert found[ends][f"weight_threshold{suffix}"] == (row["weight"] > limit)
    for ends in expected.keys() - fast.keys():
        assert found[ends]["weight_fast"] is found[ends]["weight_threshold_fast"] is None
    check_ends(runs, expected)
    check_group_stats(runs, edges, pairs, expected)
    check_group_stats(runs, edges.select(pl.exclude(r"^.*_fast$")), pairs, expected)


def turn_by_igraph(edges):
    """Return {(smaller, larger): ends as igraph returns them} of a table of edges in order."""
    vertices = list(dict.fromkeys([i for i, _ in edges] + [j for _, j in edges]))
    graph = igraph.Graph([(vertices.index(i), vertices.index(j)) for i, j in edges])
    ends = [(vertices[i], vertices[j]) for i, j in graph.get_edgelist()]
    return dict(zip(edges, ends, strict=True))


def turn_edges(runs):
    """Return the ends of each edge in the order in which igraph returns them."""
    number = number_vertices(runs.shares, [(runs.older, runs.newer)])
    turned = number[runs.source] > number[runs.target]
    return np.where(turned, [runs.target, runs.source], [runs.source, runs.target])


def check_ends(runs, expected):
    ids = runs.shares.accounts["account_id"].to_list()
    found = [(ids[i], ids[j]) for i, j in turn_edges(runs).T]
    turned = turn_by_igraph(list(expected)) if expected else {}
    assert found == [turned[ends] for ends in sorted(expected)]


def check_group_stats(runs, edges, pairs, expected):
    if "weight_fast" in edges.columns:  # the tool has sorted its pairs by their contents
        expected = aggregate_slowly(sorted(pairs, key=lambda pair: (pair[0][2], pair[1][2])))
    turned = turn_by_igraph(list(expected)) if expected else {}
    first, every = defaultdict(set), defaultdict(set)
    for i, j in pairs:
        ends = turned[min(i[1], j[1]), max(i[1], j[1])]
        first[i[0]].add(ends[0])
        every[i[0]].update(ends)
    stats = group_stats(runs, edges).to_dicts()
    assert {row["object_id"]: row["num_accounts"] for row in stats} == {
        o: len(names) for o, names in first.items()
    }
    assert {row["object_id"]: row["n_accounts"] for row in stats} == {
        o: len(names) for o, names in every.items()
    }


@pytest.fixture(scope="module")
def russian_store(data_dir, tmp_path_factory):
    table = data_dir / "coortweet_russian" / "russian_coord_tweets.parquet"
    return ingest(table, tmp_path_factory.mktemp("russian") / "store")


@pytest.fixture(scope="module")
def russian_shares(russian_store):
    return read_shares(russian_store, kinds=["object"])


def read_oracle(data_dir, table):
    folder = data_dir / "coortweet_russian" / "oracle"
    return pl.read_csv(folder / f"russian_tw60_mp2_{table}.csv.gz")


def test_share__coortweet_equals_the_original_row_for_row(
    data_dir, russian_store, russian_shares, tmp_path, backend
):
    findings = share(
        russian_store, tmp_path / "run", kinds="object", window="60s", mode="coortweet",
        min_participation=2, backend=backend,
    )  # fmt: skip
    pairs, edges = read_oracle(data_dir, "pairs"), read_oracle(data_dir, "edges")
    found = findings.read("pairs").select(pairs.columns).cast(pairs.schema)
    by = ["object_id", "content_id", "content_id_y"]
    assert_frame_equal(found.sort(by), pairs.sort(by))
    ends = pl.DataFrame({"from": edges["from"], "to": edges["to"]})
    expected = edges.with_columns(
        source=pl.min_horizontal("from", "to"), target=pl.max_horizontal("from", "to")
    ).drop("from", "to")
    found = findings.read("edges").select(expected.columns).cast(expected.schema)
    assert_frame_equal(found, expected.sort("source", "target"), rel_tol=1e-12)
    assert findings.summary["n_components"] == 23
    assert findings.read("components")["n_accounts"][0] == 2019
    stats = findings.read("account_stats")
    assert (stats.height, stats["unique_shares_count"].sum()) == (2110, 5004)
    # The ends as igraph turns them, on which the counts of group_stats rest.
    runs = group_pairs(
        russian_shares, *join(detect_groups(russian_shares, window_ms=60_000))
    )  # fmt: skip
    ids = russian_shares.accounts["account_id"]
    turned = pl.DataFrame(
        {n: ids.gather(rows) for n, rows in zip(("from", "to"), turn_edges(runs), strict=True)}
    )
    assert_frame_equal(turned.sort("from", "to"), ends.sort("from", "to"))


@pytest.mark.parametrize(
    ("min_participation", "n_pairs", "n_accounts", "n_edges", "n_heavy"),
    [(1, 6281, 3954, 6206, None), (2, 3791, 2110, 3721, 60), (5, 1235, 772, 1193, 36)],
)
def test_share__coortweet_has_the_published_counts(
    russian_store, tmp_path, min_participation, n_pairs, n_accounts, n_edges, n_heavy
):
    findings = share(
        russian_store, tmp_path / "run", kinds="object", mode="coortweet",
        min_participation=min_participation,
    )  # fmt: skip
    edges = findings.read("edges")
    assert findings.summary["n_pairs"] == edges["weight"].sum() == n_pairs
    assert edges.height == n_edges
    assert findings.read("accounts")["component"].count() == n_accounts
    if n_heavy:
        assert edges["weight_threshold"].sum() == n_heavy
        heavy = share(
            russian_store, tmp_path / "run", kinds="object", mode="coortweet",
            min_participation=min_participation, edge_weight_quantile=0.95,
        )  # fmt: skip
        assert heavy.read("edges").height == n_edges
        assert heavy.summary["n_components"] == {60: 34, 36: 23}[n_heavy]


# --- coortweet: what its users found odd, by hand -------------------------------------------------


def run_coortweet(table, *, window=60, min_participation=1, fast=None):
    shares = make_shares(table)
    pairs = detect_groups(
        shares, window_ms=1000 * window, min_participation=min_participation
    )  # fmt: skip
    runs = group_pairs(shares, *join(pairs))
    is_fast = None if fast is None else flag_speed_share(
        shares, runs.older, runs.newer, window_ms=1000 * fast, min_participation=min_participation
    )  # fmt: skip
    edges = weigh_network(runs, count_popularity(shares), is_fast=is_fast)
    return runs, mark_heavy(edges), is_fast


def test_coortweet__weights_count_pairs_of_shares():
    table = [("x", "A", "a", 0), *(("x", "B", f"b{k}", k) for k in range(3))]
    _, edges, _ = run_coortweet(table)
    assert edges["weight"].to_list() == [3]
    assert edges["n_objects"].to_list() == [1]


def test_coortweet__symmetry_is_of_older_and_newer_not_of_the_accounts():
    # A shares six objects in six posts, B in one; three times each is first.
    table = [(f"o{k}", "A", f"a{k}", 10 * k) for k in range(6)]
    table += [(f"o{k}", "B", "b", 10 * k + (5 if k % 2 else -5)) for k in range(6)]
    _, edges, _ = run_coortweet(table)
    (row,) = edges.to_dicts()
    assert (row["n_content_id"], row["n_content_id_y"], row["edge_symmetry_score"]) == (4, 4, 1)
    assert (row["n_posts_source"], row["n_posts_target"], row["symmetry"]) == (6, 1, 1 / 6)


@pytest.mark.parametrize(("names", "counted"), [("AB", 1), ("ABC", 2)])
def test_coortweet__group_stats_count_first_ends_only(names, counted):
    runs, edges, _ = run_coortweet([("x", name, f"m{name}", 0) for name in names])
    assert group_stats(runs, edges).rows() == [("hashtag", "x", counted, len(names))]


@pytest.mark.parametrize(("fast", "counted"), [(None, 2), (5, 1)])
def test_coortweet__group_stats_depend_on_whether_the_tool_sorted_by_contents(fast, counted):
    # The original's counts: AB and BC, or, where it looked for fast pairs, CB and AB.
    table = [("x", "A", "m3", 0), ("x", "B", "m2", 5), ("x", "C", "m1", 10)]
    runs, edges, _ = run_coortweet(table, window=6, fast=fast)
    assert group_stats(runs, edges).rows() == [("hashtag", "x", counted, 3)]


def test_coortweet__stats_are_those_of_the_original():
    # What the original's account_stats and group_stats say; the pair AB is not fast.
    table = [("x", "A", "m3", 0), ("x", "B", "m2", 5), ("x", "C", "m1", 9), ("y", "B", "m4", 0),
             ("y", "C", "m5", 2)]  # fmt: skip
    runs, edges, is_fast = run_coortweet(table, window=6, fast=4)
    columns = ["account_id", "avg_time_delta", "avg_time_delta_fast", "avg_edge_symmetry_score",
               "avg_edge_symmetry_score_fast", "unique_shares_count"]  # fmt: skip
    everything = account_stats(runs, edges, is_fast=is_fast)
    assert everything.select(columns).rows() == [
        ("A", 5, None, 1, None, 1), ("B", 4, 3, 1, 1, 2), ("C", 3, 3, 1, 1, 2),
    ]  # fmt: skip
    heavy = account_stats(runs, edges, threshold="full", is_fast=is_fast)
    assert heavy.select(columns).rows() == [("B", 3, 3, 1, 1, 2), ("C", 3, 3, 1, 1, 2)]
    assert account_stats(runs, edges, threshold="fast", is_fast=is_fast).is_empty()
    for threshold in ("none", "full"):
        counts = group_stats(runs, edges, threshold=threshold, is_fast=is_fast)
        assert counts.select("object_id", "num_accounts").rows() == [("x", 1), ("y", 1)]
    plain, plain_edges, _ = run_coortweet(table, window=6)
    counts = group_stats(plain, plain_edges).select("object_id", "num_accounts")
    assert counts.rows() == [("x", 2), ("y", 1)]


def test_coortweet__equal_weights_are_never_above_their_median():
    _, edges, _ = run_coortweet([("x", name, f"m{name}", 0) for name in "ABC"])
    assert edges["weight_threshold"].to_list() == [0, 0, 0]
    assert take_subgraph(edges, 1).is_empty()
    assert take_subgraph(edges, 0).equals(edges)


def test_coortweet__one_side_with_enough_shares_keeps_a_pair():
    # B and C share twice, but only once in a pair; A shares twice in pairs.
    table = [("x", "A", "a1", 0), ("x", "B", "b1", 1), ("y", "A", "a2", 0), ("y", "C", "c1", 1),
             ("z", "B", "b2", 0), ("z", "C", "c2", 500)]  # fmt: skip
    runs, edges, _ = run_coortweet(table, min_participation=2)
    assert set(name_edges(edges, runs.shares)) == {("A", "B"), ("A", "C")}


def test_coortweet__a_fast_pair_is_fast_with_all_its_objects():
    table = [("x", "A", "a", 0), ("x", "B", "b", 2), ("y", "A", "a", 0), ("y", "B", "b", 30)]
    _, edges, is_fast = run_coortweet(table, fast=5)
    assert is_fast.tolist() == [True, True]
    assert edges["weight_fast"].to_list() == [2]


def make_fast_network():
    """Return a network with one fast, heavy edge A-B, its neighbour C, and D-E apart."""
    table = [("x", "A", "a1", 0), ("x", "B", "b1", 1), ("y", "A", "a2", 0), ("y", "B", "b2", 1)]
    table += [("z", "B", "b3", 0), ("z", "C", "c1", 30), ("w", "D", "d", 0), ("w", "E", "e", 2)]
    return run_coortweet(table, fast=5)


def test_take_subgraph__takes_fast_edges_and_what_is_around_them():
    runs, edges, _ = make_fast_network()
    assert set(name_edges(take_subgraph(edges, 2), runs.shares)) == {("A", "B")}
    around = name_edges(take_subgraph(edges, 3), runs.shares)
    colors = {ends: (row["color_source"], row["color_target"]) for ends, row in around.items()}
    assert colors == {("A", "B"): (1, 1), ("B", "C"): (1, 0)}


@pytest.mark.parametrize(
    ("subgraph", "fast", "message"),
    [(4, None, "subgraph is 4"), (1, 5, "tool refuses"), (2, None, "needs fast pairs")],
)
def test_take_subgraph__says_what_is_wrong(subgraph, fast, message):
    _, edges, _ = run_coortweet([("x", "A", "a", 0), ("x", "B", "b", 0)], fast=fast)
    with pytest.raises(ValueError, match=message):
        take_subgraph(edges, subgraph)


def test_account_stats__average_distinct_edges():
    # A's edges to B and C agree in all, so they count once beside the one to D.
    table = [("x", "A", "a1", 0), ("x", "B", "b", 2), ("y", "A", "a2", 0), ("y", "C", "c", 2),
             ("z", "A", "a3", 0), ("z", "D", "d", 8)]  # fmt: skip
    runs, edges, _ = run_coortweet(table)
    stats = {row["account_id"]: row for row in account_stats(runs, edges).to_dicts()}
    assert stats["A"]["avg_time_delta"] == 5
    assert stats["A"]["unique_shares_count"] == 3
    assert stats["D"] == {
        "account_id": "D", "avg_time_delta": 8, "avg_edge_symmetry_score": 1,
        "unique_shares_count": 1,
    }  # fmt: skip
    assert account_stats(runs, edges, threshold="full").is_empty()


def test_account_stats__of_fast_edges_count_fast_shares():
    runs, edges, is_fast = make_fast_network()
    stats = account_stats(runs, edges, threshold="fast", is_fast=is_fast)
    assert stats.select("account_id", "avg_time_delta_fast", "unique_shares_count").rows() == [
        ("A", 1, 2), ("B", 1, 2),
    ]  # fmt: skip
    everything = account_stats(runs, edges, is_fast=is_fast)
    c = everything.filter(pl.col("account_id") == "C").to_dicts()[0]
    assert (c["avg_time_delta"], c["avg_time_delta_fast"]) == (30, None)
    fast_groups = group_stats(runs, edges, threshold="fast", is_fast=is_fast)
    assert fast_groups.select("object_id", "num_accounts").rows() == [("x", 1), ("y", 1)]


def test_account_stats__of_fast_edges_need_a_fast_window():
    runs, edges, _ = run_coortweet([("x", "A", "a", 0), ("x", "B", "b", 0)])
    with pytest.raises(ValueError, match="no fast pairs"):
        account_stats(runs, edges, threshold="fast")


# --- from archives to shares: what ids and times may be -------------------------------------------


def list_shares(store, **choices):
    shares = read_shares(store, kinds=["object"], **choices)
    ids, values = shares.accounts["account_id"], shares.objects["value"]
    return [
        (values[o], t, ids[a], shares.contents[c])
        for o, t, a, c in zip(
            *(x.tolist() for x in (shares.object, shares.time, shares.account, shares.content)),
            strict=True,
        )
    ]  # fmt: skip


def read_pairs(store, tmp_path, **choices):
    findings = share(store, tmp_path / "run", kinds="object", **choices)
    names = ("account_id", "account_id_y", "time_delta")
    return sorted(findings.read("pairs").select(names).rows())


def test_share__reads_iso_times_with_and_without_a_zone(make_table_store, tmp_path):
    store = make_table_store([
        ("a", "x", "1", "2021-06-16T22:04:51"), ("b", "x", "2", "2021-06-16T22:05:21Z"),
        ("c", "x", "3", "2021-06-17T00:05:51+02:00"),
    ])  # fmt: skip
    assert read_pairs(store, tmp_path, window="60s") == [
        ("a", "b", 30), ("a", "c", 60), ("b", "c", 30),
    ]  # fmt: skip


def test_share__compares_milliseconds(make_table_store, tmp_path):
    store = make_table_store([
        ("a", "x", "1", "1623881091.000"), ("b", "x", "2", "1623881092.000"),
        ("c", "x", "3", "1623881092.001"),
    ])  # fmt: skip
    assert read_pairs(store, tmp_path, window="1s") == [("a", "b", 1), ("b", "c", 0.001)]


def test_share__takes_ids_verbatim(make_table_store, tmp_path):
    rows = [
        ("007", "1e5", "1", 0), ("7", "1e5", "2", 1), ("7.0", "100000", "3", 1),
        ("a,b\nc", "u,v\nw", "4,\n4", 0), ('"', "u,v\nw", "5", 1),
    ]  # fmt: skip
    store = make_table_store([(a, o, c, str(t)) for a, o, c, t in rows])
    assert read_pairs(store, tmp_path) == [("007", "7", 1), ("a,b\nc", '"', 1)]
    pairs = share(store, tmp_path / "run", kinds="object").read("pairs")
    assert set(pairs["object_id"]) == {"1e5", "u,v\nw"}
    assert set(pairs["content_id"]) == {"1", "4,\n4"}


def test_share__of_an_object_shared_once_finds_nothing(make_table_store, tmp_path):
    store = make_table_store([("a", "x", "1", 0), ("b", "y", "2", 0)])
    for mode in ("strict", "coortweet"):
        findings = share(store, tmp_path / mode, kinds="object", mode=mode, tests=False)
        assert findings.summary == {
            "n_accounts": 2, "n_entities": 2, "n_pairs": 0, "n_edges": 0, "n_components": 0,
            "n_communities": 0,
        }  # fmt: skip
        edges = findings.read("edges")
        assert edges.is_empty()
        assert edges.schema["weight"] == pl.Float64
        assert edges.schema["source"] == pl.String
        assert findings.read("accounts")["component"].null_count() == 2


def test_share__of_one_second_joins_all(make_table_store, tmp_path):
    store = make_table_store([(f"a{k}", "x", str(k), 1_600_000_000) for k in range(7)])
    for mode in ("strict", "coortweet"):
        edges = share(store, tmp_path / mode, kinds="object", mode=mode, window="1s").read("edges")
        assert edges.height == 21
        assert (edges["mean_gap"] == 0).all()
        assert (edges["source_first"] == 0.5).all()


def test_share__empty_objects_are_no_objects(tmp_path):
    path = tmp_path / "table.jsonl"
    rows = [("a", None), ("b", None), ("a", ""), ("b", ""), ("a", " "), ("b", " "),
            ("a", "x"), ("b", "x")]  # fmt: skip
    path.write_text(
        "".join(
            json.dumps({"account_id": a, "object_id": o, "content_id": f"{k}",
                        "timestamp_share": k}) + "\n"
            for k, (a, o) in enumerate(rows)
        )
    )  # fmt: skip
    store = ingest(path, tmp_path / "store", max_rejects=0.75)
    assert store.manifest["totals"]["rejected"] == 6
    findings = share(store, tmp_path / "run", kinds="object")
    assert findings.read("pairs")["object_id"].to_list() == ["x"]


def test_read_shares__keeps_accounts_with_enough_events(make_table_store):
    rows = [("a", "x", "1", 10), ("a", "y", "2", 20), ("b", "x", "3", 5), ("c", "x", "4", 10)]
    store = make_table_store(rows)
    assert list_shares(store) == [
        ("x", 5000, "b", "3"), ("x", 10_000, "a", "1"), ("x", 10_000, "c", "4"),
        ("y", 20_000, "a", "2"),
    ]  # fmt: skip
    assert {row[2] for row in list_shares(store, min_participation=2)} == {"a"}
    # Events count within the time range.
    with pytest.raises(ValueError, match="2 events or more"):
        list_shares(store, min_participation=2, end=20_000)
    assert list_shares(store, start=10_000, end="1970-01-01T00:00:20") == [
        ("x", 10_000, "a", "1"), ("x", 10_000, "c", "4"),
    ]  # fmt: skip
    shares = read_shares(store, kinds=["object"], min_participation=2)
    assert shares.n_dropped == {"no_events_in_range": 0, "min_participation": 2}
    with pytest.raises(ValueError, match="min_participation is 0"):
        list_shares(store, min_participation=0)


def test_read_shares__derives_domains_once_per_post(make_table_store):
    rows = [("a", "https://n.example.org/1", "1", 0, "url"),
            ("a", "https://n.example.org/2", "1", 0, "url"),
            ("b", "https://n.example.org/3", "2", 0, "url")]  # fmt: skip
    shares = read_shares(make_table_store(rows), kinds=["domain"])
    assert shares.objects.rows() == [("domain", "example.org")]
    assert shares.account.tolist() == [0, 1]


# --- runs ----------------------------------------------------------------------------------------

ROWS = [("a", "x", "1", 0), ("b", "x", "2", 10), ("a", "y", "3", 0), ("b", "y", "4", 20),
        ("c", "y", "5", 15), ("d", "z", "6", 0), ("e", "z", "7", 61)]  # fmt: skip
STRICT_COLUMNS = [
    "source", "target", "weight", "weight_object", "n_objects", "n_pairs", "n_posts_source",
    "n_posts_target", "mean_gap", "median_gap", "source_first", "symmetry", "popularity_weight",
]  # fmt: skip


def test_share__writes_the_run_folder_of_the_contract(make_table_store, tmp_path, backend):
    findings = share(
        make_table_store(ROWS), tmp_path / "run", kinds="object", tests=False, backend=backend
    )
    assert {file.name for file in findings.path.iterdir()} == {
        "run.json", "edges.parquet", "accounts.parquet", "components.parquet",
        "communities.parquet", "classes.parquet", "entities.parquet", "pairs.parquet",
        "network.graphml", "network.gexf", "component_sharing.parquet",
        "community_sharing.parquet", "top_objects.parquet", "top_posts.parquet",
    }  # fmt: skip
    edges = findings.read("edges")
    assert edges.columns == [*STRICT_COLUMNS, "in_network"]
    assert edges.rows() == [
        ("a", "b", 2, 2, 2, 2, 2, 2, 15, 15, 1, 1, 1.5, True),
        ("a", "c", 1, 1, 1, 1, 1, 1, 15, 15, 1, 1, 0.5, True),
        ("b", "c", 1, 1, 1, 1, 1, 1, 5, 5, 0, 1, 0.5, True),
    ]  # fmt: skip
    accounts = findings.read("accounts")
    assert accounts["account_id"].to_list() == list("abcde")
    assert accounts["influence"].to_list() == accounts["in_weight"].to_list() == [3, 3, 2, 0, 0]
    assert accounts["out_degree"].to_list() == accounts["in_degree"].to_list() == [2, 2, 2, 0, 0]
    assert accounts["component"].to_list() == [0, 0, 0, None, None]
    component = findings.read("components").to_dicts()[0]
    assert {n: component[n] for n in ("n_accounts", "n_edges", "density", "total_weight")} == {
        "n_accounts": 3, "n_edges": 3, "density": 1, "total_weight": 4,
    }  # fmt: skip
    assert findings.read("entities").drop("pseudonym").rows() == [
        ("object", "y", 3, 3, 3), ("object", "x", 2, 2, 1), ("object", "z", 2, 2, 0),
    ]  # fmt: skip
    assert findings.read("pairs").rows()[0] == (
        "x", "a", "b", "1", "2", 10, "object", datetime(1970, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    run = findings.content
    assert run["settings"]["window"] == "60s"
    assert [stage["stage"] for stage in run["stages"]] == [
        "shares", "pairs", "edges", "network", "tables",
    ]  # fmt: skip
    assert verify(findings.path) == {"n_tables": 11}


def list_components(accounts):
    """Return the accounts of each component of a run, as a set of sets."""
    members = accounts.drop_nulls("component").group_by("component").agg("account_id")
    return set(map(frozenset, members["account_id"]))


@pytest.mark.parametrize("mode", ["strict", "coortweet", "coornet", "coact"])
def test_share__writes_undirected_networks_as_such(make_table_store, tmp_path, mode):
    store = make_table_store([*ROWS, ("f", "w", "21", 0), ("g", "w", "22", 5)])
    if mode == "coact":
        run = coact(store, tmp_path / "run", layers="co_object")
    else:
        quantile = 0 if mode == "coornet" else None
        run = share(store, tmp_path / "run", kinds="object", mode=mode, tests=False,
                    edge_weight_quantile=quantile)  # fmt: skip
    expected = list_components(run.read("accounts"))
    assert {"f", "g"} in expected and len(expected) == 2
    for read, file in ((nx.read_graphml, "network.graphml"), (nx.read_gexf, "network.gexf")):
        graph = read(run.path / file)
        ids = graph.nodes(data="account_id")
        assert not graph.is_directed()
        assert {frozenset(ids[n] for n in part) for part in nx.connected_components(graph)} == (
            expected
        )
    graph = igraph.Graph.Read_GraphML(str(run.path / "network.graphml"))
    assert not graph.is_directed()
    parts = graph.connected_components(mode="strong")
    assert {frozenset(graph.vs[part]["account_id"]) for part in parts} == expected


def test_share__writes_the_network_of_qut_as_directed(make_table_store, tmp_path):
    run = share(make_table_store(ROWS), tmp_path / "run", kinds="object", mode="qut")
    edges = run.read("edges").select("source", "target").rows()
    for read, file in ((nx.read_graphml, "network.graphml"), (nx.read_gexf, "network.gexf")):
        graph = read(run.path / file)
        ids = graph.nodes(data="account_id")
        assert graph.is_directed()
        assert sorted((ids[a], ids[b]) for a, b in graph.edges) == sorted(edges)


def test_share__filters_at_or_above(make_table_store, tmp_path):
    store = make_table_store(ROWS)
    for choices in ({"min_weight": 2}, {"edge_weight_quantile": 1}, {"edge_weight_quantile": 0.6}):
        findings = share(store, tmp_path / "run", kinds="object", tests=False, **choices)
        assert findings.read("edges").select("source", "target").rows() == [("a", "b")]
        assert findings.read("accounts")["component"].count() == 2
        assert findings.summary["n_pairs"] == 4
    # The quantile of 1, 1, 2 at 0.5 is 1: at or above, all edges stay.
    all_edges = share(store, tmp_path / "run", kinds="object", edge_weight_quantile=0.5)
    assert all_edges.summary["n_edges"] == 3


def test_share__qut_counts_messages_in_either_direction(make_table_store, tmp_path):
    # Two posts of a are near the one of b.
    store = make_table_store([("a", "x", "1", 0), ("a", "x", "2", 3), ("b", "x", "3", 5)])
    findings = share(store, tmp_path / "run", kinds="object", window="10s", mode="qut")
    edges = findings.read("edges")
    assert edges.select("source", "target", "weight").rows() == [("a", "b", 2), ("b", "a", 1)]
    accounts = findings.read("accounts").select("account_id", "influence", "in_weight")
    assert accounts.rows() == [("a", 2, 1), ("b", 1, 2)]
    assert findings.read("components")["n_edges"].to_list() == [2]
    heavy = share(store, tmp_path / "heavy", kinds="object", window="10s", mode="qut", min_weight=2)
    assert heavy.read("edges").select("source", "target").rows() == [("a", "b")]


def test_share__coornet_cuts_at_borders_and_forgets_the_bin(make_table_store, tmp_path):
    rows = [("a", "x", "1", 0), ("b", "x", "2", 9), ("c", "x", "3", 11)]
    rows += [("a", "y", "4", 0), ("b", "y", "5", 1), ("d", "y", "6", 1000), ("e", "y", "7", 1001)]
    store = make_table_store(rows)
    choices = {"kinds": "object", "window": "10s", "mode": "coornet"}
    findings = share(store, tmp_path / "run", edge_weight_quantile=0.0, **choices)
    found = {row[:2]: row[2:] for row in findings.read("edges").select(
        "source", "target", "weight", "n_objects").rows()}  # fmt: skip
    assert found == {
        ("a", "b"): (2, 2), ("d", "e"): (1, 1),
        # They shared y a quarter of an hour apart.
        ("a", "d"): (1, 0), ("a", "e"): (1, 0), ("b", "d"): (1, 0), ("b", "e"): (1, 0),
    }  # fmt: skip
    # Nine tenths of the weights are 1, so is their quantile only below that: 5 of 6 are 1.
    top = share(store, tmp_path / "top", edge_weight_quantile=0.9, **choices)
    assert top.read("edges").select("source", "target").rows() == [("a", "b")]
    assert findings.summary["n_pairs"] == 3
    strict = share(store, tmp_path / "strict", kinds="object", window="10s")
    assert ("b", "c") in strict.read("edges").select("source", "target").rows()


def test_share__estimates_the_window(make_table_store, tmp_path):
    rows = [(f"u{o}{k}", f"o{o}", f"{o}-{k}", 1000 * o + (3 + o) * k) for o in range(9)
            for k in range(4)]  # fmt: skip
    store = make_table_store(rows)
    findings = share(store, tmp_path / "run", kinds="object", window="auto")
    # The quickest tenth: o0 alone, whose third share is the first beyond a half, 6 s after.
    assert findings.content["window_seconds"] == 6
    assert findings.content["settings"]["window"] == "auto"
    assert findings.summary["n_pairs"] == 5 + 3 + 3 + 3


def test_share__coortweet_writes_all_edges_and_the_network_above(make_table_store, tmp_path):
    findings = share(
        make_table_store(ROWS), tmp_path / "run", kinds="object", mode="coortweet",
        edge_weight_quantile=0.5, fast_window="10s",
    )  # fmt: skip
    edges = findings.read("edges")
    assert edges["weight_threshold"].to_list() == [1, 0, 0]
    assert edges["weight_fast"].to_list() == [1, None, 1]
    assert findings.read("accounts")["component"].count() == 2
    assert findings.read("account_stats").height == 3
    assert findings.read("group_stats").select("object_id", "num_accounts").rows() == [
        ("y", 2), ("x", 1),
    ]  # fmt: skip
    assert verify(findings.path) == {"n_tables": 13}


def test_share__coortweet_asks_for_participation_in_fast_pairs(make_table_store, tmp_path):
    # Fast over x only: there each has one share, and two are asked for.
    rows = [("a", "x", "1", 0), ("b", "x", "2", 1), ("a", "y", "3", 0), ("b", "y", "4", 30)]
    findings = share(
        make_table_store(rows), tmp_path / "run", kinds="object", mode="coortweet",
        min_participation=2, fast_window="5s",
    )  # fmt: skip
    edges = findings.read("edges")
    assert edges.select("weight", "weight_fast", "weight_threshold_fast").rows() == [
        (2, None, None)
    ]


def random_rows(n_rows=600, seed=0):
    rng = np.random.default_rng(seed)
    return [
        (f"a{a}", f"o{o}", f"c{k}", t)
        for k, (a, o, t) in enumerate(
            zip(rng.integers(0, 30, n_rows), rng.integers(0, 8, n_rows),
                rng.integers(0, 900, n_rows).tolist(), strict=True)
        )
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["strict", "coortweet"])
def test_share__is_the_same_in_little_memory(make_table_store, tmp_path, mode):
    store = make_table_store(random_rows())
    fast = {"fast_window": "5s"} if mode == "coortweet" else {}
    runs = [
        share(store, tmp_path / f"run{memory}", kinds="object", mode=mode, memory=memory, **fast)
        for memory in (None, 20_000)
    ]
    stats = ("account_stats", "group_stats") if fast else ()
    for table in ("edges", "accounts", "entities", "communities", *stats):
        assert_frame_equal(runs[0].read(table), runs[1].read(table))
    by = ["object_id", "content_id", "content_id_y"]
    assert_frame_equal(*(run.read("pairs").sort(by) for run in runs))


@pytest.mark.parametrize("fast", [None, "5s"])
def test_share__coortweet_stats_are_those_of_all_pairs_at_once(make_table_store, tmp_path, fast):
    store = make_table_store(random_rows())
    run = share(
        store, tmp_path / "run", kinds="object", mode="coortweet", window="20s",
        fast_window=fast, memory=20_000,
    )  # fmt: skip
    shares = read_shares(store, kinds=("object",), min_participation=1)
    runs = group_pairs(shares, *join(detect_groups(shares, window_ms=20_000, min_participation=1)))
    is_fast = None if fast is None else flag_speed_share(
        shares, runs.older, runs.newer, window_ms=5000, min_participation=1
    )  # fmt: skip
    edges = mark_heavy(weigh_network(runs, count_popularity(shares), is_fast=is_fast))
    assert_frame_equal(run.read("account_stats"), account_stats(runs, edges))
    groups = group_stats(runs, edges)
    assert_frame_equal(run.read("group_stats"), groups)
    assert (groups["num_accounts"] < groups["n_accounts"]).any()


def test_share__marks_fast_pairs(make_table_store, tmp_path):
    rows = random_rows()
    store = make_table_store(rows)
    choices = {"kinds": "object", "mode": "coortweet", "min_participation": 2}
    choices |= {"window": "20s", "fast_window": "3s"}
    found = share(store, tmp_path / "run", **choices).read("pairs")
    table = [(o, a, c, t) for a, o, c, t in rows]
    pairs = detect_slowly(table, 20, 2)
    flags = flag_slowly(table, pairs, 3, 2)
    wanted = {(one[0], one[2], two[2]): flag for (one, two), flag in zip(pairs, flags, strict=True)}
    assert {row[:3]: row[3] for row in found.select(
        "object_id", "content_id", "content_id_y", "is_fast"
    ).rows()} == wanted  # fmt: skip
    assert set(wanted.values()) == {True, False}
    little = share(store, tmp_path / "little", memory=20_000, **choices)
    assert little.read("pairs").equals(found)
    assert found["is_fast"].sum() == little.read("edges")["weight_fast"].sum()


def test_share__has_no_fast_pairs_without_a_fast_window(make_table_store, tmp_path):
    run = share(make_table_store(ROWS), tmp_path / "run", kinds="object", mode="coortweet")
    assert "is_fast" not in run.read("pairs").columns


def test_share__takes_labels(make_table_store, tmp_path):
    labels = pl.DataFrame({"account_id": ["a", "b"], "label": ["x", "y"]})
    findings = share(
        make_table_store(ROWS), tmp_path / "run", kinds="object", tests=False, labels=labels
    )
    assert findings.read("accounts")["label"].to_list() == ["x", "y", None, None, None]
    classes = findings.read("classes").filter(pl.col("kind") == "all", pl.col("n_edges") > 0)
    between = classes.select("source_label", "target_label", "n_edges", "total_weight").rows()
    assert {("x", "y", 1, 2.0), ("y", "x", 1, 2.0)} <= set(between)


def test_share__weighs_kinds_and_hides_mentioned_accounts(make_store, tmp_path):
    events = [
        {"account": a, "kind": kind, "entity": "b", "time_seconds": t}
        for a, kind, t in [
            ("a", "mention", 0),
            ("b", "mention", 1),
            ("a", "url", 0),
            ("b", "url", 9),
        ]
    ]
    findings = share(make_store(events), tmp_path / "run", kinds=("url", "mention"), tests=False)
    columns = ("weight", "weight_mention", "weight_url")
    assert findings.read("edges").select(columns).rows() == [(2, 1, 1)]
    classes = findings.read("classes").filter(pl.col("kind") == "url")
    assert classes["total_weight"].to_list() == [2]  # both directions
    names = dict(findings.read("entities").select("kind", "pseudonym").rows())
    accounts = dict(findings.read("accounts").select("account_id", "pseudonym").rows())
    assert names == {"mention": accounts["b"], "url": None}


def test_share__leaves_out_kinds_that_are_not_there(make_table_store, tmp_path):
    store = make_table_store(ROWS)
    with pytest.warns(UserWarning, match="no 'url'"):
        findings = share(store, tmp_path / "run", kinds=["object", "url"])
    assert findings.content["counts"]["missing_kinds"] == ["url"]
    with pytest.raises(ValueError, match="its kinds are object"):
        share(store, tmp_path / "run", kinds="url")


@pytest.mark.parametrize(
    ("unit", "window", "name"),
    [(60, "59s", "minutes"), (3600, "60s", "hours"), (86400, "1h", "days")],
)
def test_share__warns_of_a_window_below_what_times_were_rounded_to(
    unit, window, name, make_table_store, tmp_path
):
    rows = [(a, "x", f"{a}{n}", 7 + unit * n) for n in range(3) for a in "ab"]
    store = make_table_store(rows)
    with pytest.warns(UserWarning, match=f"all times are whole {name}: a window of"):
        findings = share(store, tmp_path / "run", kinds="object", window=window)
    assert findings.content["time_unit_seconds"] == unit
    with pytest.warns(UserWarning, match=f"all times are whole {name}"):
        coact(store, tmp_path / "coact", layers="co_object", window=window)
    share(store, tmp_path / "run", kinds="object", window=f"{unit}s")  # warnings are errors


@pytest.mark.parametrize(
    "run", [partial(share, kinds="object"), partial(coact, layers="co_object")]
)
def test_share__refuses_edges_without_room(run, make_table_store, tmp_path, monkeypatch):
    store = make_table_store(ROWS)
    n_edges = run(store, tmp_path / "first").read("edges").height
    full = dataclasses.replace(choose("cpu"), free_memory=lambda: 200 * n_edges - 1)
    monkeypatch.setattr(streams, "choose", lambda _: full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(MemoryError, match=f"{n_edges:,} edges were found so far"):
        run(store, tmp_path / "run")
    assert sorted(tmp_path.iterdir()) == before
    enough = dataclasses.replace(full, free_memory=lambda: 200 * n_edges)
    monkeypatch.setattr(streams, "choose", lambda _: enough)
    assert run(store, tmp_path / "run").read("edges").height == n_edges


# --- what else a run can be asked for ----------------------------------------------------------


FRACTIONS = [0, 1, 500, 501, 999, 1000, 1001, 1500, 1501, 2000, 25_280, 25_281]


def make_fractions(make_table_store):
    """Return a store of one object, and one share by each account at such milliseconds."""
    rows = [(f"a{ms:05}", "x", f"c{ms}", ms / 1000) for ms in FRACTIONS]
    return make_table_store(rows)


@pytest.mark.parametrize("mode", ["strict", "coortweet", "qut"])
@pytest.mark.parametrize(("window", "ms"), [("0s", 0), ("0.5s", 500), ("1.5s", 1500),
                                            ("1.001s", 1001), ("25.28s", 25_280)])  # fmt: skip
def test_share__takes_windows_of_fractions(make_table_store, tmp_path, mode, window, ms):
    store = make_fractions(make_table_store)
    run = share(store, tmp_path / "run", kinds="object", mode=mode, window=window)
    near = {
        (f"a{one:05}", f"a{other:05}")
        for one, other in combinations(FRACTIONS, 2)
        if other - one <= ms
    }
    assert set(run.read("pairs").select("account_id", "account_id_y").rows()) == near
    edges = set(run.read("edges").select("source", "target").rows())
    assert edges == (near | {ends[::-1] for ends in near} if mode == "qut" else near)
    assert run.content["window_seconds"] == ms / 1000


def test_share__counts_fractions_of_shorter_and_fast_windows(make_table_store, tmp_path):
    run = share(
        make_fractions(make_table_store), tmp_path / "run", kinds="object", mode="coortweet",
        window="0s,1.001s,2s,30s", fast_window="1.001s",
    )  # fmt: skip
    edges = run.read("edges")
    gaps = {(f"a{i:05}", f"a{j:05}"): j - i for i, j in combinations(FRACTIONS, 2)}
    for name, ms in (("0s", 0), ("1.001s", 1001), ("2s", 2000)):
        for column in (f"n_objects_{name}", f"n_pairs_{name}"):
            found = {row[:2]: row[2] for row in edges.select("source", "target", column).rows()}
            assert found == {ends: gap <= ms for ends, gap in gaps.items()}
    pairs = run.read("pairs")
    assert pairs["is_fast"].to_list() == (pairs["time_delta"] <= 1.001).to_list()


def test_share__coornet_drops_fractions_of_the_interval(make_table_store, tmp_path):
    rows = [("a", "x", "1", 0), ("b", "x", "2", 1.2), ("c", "x", "3", 10), ("d", "x", "4", 10.4)]
    store = make_table_store(rows)
    runs = [
        share(store, tmp_path / w, kinds="object", mode="coornet", window=w) for w in ("1.5s", "1s")
    ]
    assert runs[0].read("pairs").select("account_id", "account_id_y").rows() == [("c", "d")]
    assert runs[0].read("edges").equals(runs[1].read("edges"))


def test_share__counts_shorter_windows_beside_the_longest(make_table_store, tmp_path):
    # a and b: x at gaps 1 and 8 (two posts of a), y at a gap of 40, z at 5.
    rows = [("a", "x", "1", 0), ("a", "x", "2", 9), ("b", "x", "3", 1), ("a", "y", "4", 100),
            ("b", "y", "5", 140), ("a", "z", "6", 200), ("b", "z", "7", 205)]  # fmt: skip
    findings = share(make_table_store(rows), tmp_path / "run", kinds="object", window="5s,8s,60s")
    counts = [
        "n_objects",
        "n_pairs",
        *(f"n_{n}_{w}s" for w in (5, 8) for n in ("objects", "pairs")),
    ]
    assert findings.read("edges").select(counts).rows() == [(3, 4, 2, 2, 2, 3)]


@pytest.mark.parametrize("mode", ["strict", "coortweet"])
def test_share__shorter_windows_equal_runs_of_their_own(make_table_store, tmp_path, mode):
    store = make_table_store(random_rows())
    both = share(store, tmp_path / "a", kinds="object", mode=mode, window="7s,60s")
    own = share(store, tmp_path / "b", kinds="object", window="7s")
    wanted = own.read("edges").select("source", "target", "n_objects", "n_pairs")
    found = both.read("edges").filter(pl.col("n_pairs_7s") > 0)
    renamed = found.select("source", "target", n_objects="n_objects_7s", n_pairs="n_pairs_7s")
    assert_frame_equal(renamed, wanted)


def test_share__is_confined_to_objects(make_table_store, tmp_path):
    objects = pl.DataFrame({"kind": ["object"], "value": ["y"]})
    store = make_table_store(ROWS)
    findings = share(store, tmp_path / "run", kinds="object", objects=objects)
    assert findings.read("entities")["value"].to_list() == ["y"]
    assert findings.read("accounts")["account_id"].to_list() == ["a", "b", "c"]
    whole = share(store, tmp_path / "whole", kinds="object")
    assert findings.content["specification"] != whole.content["specification"]
    assert len(findings.content["input"]["objects_sha256"]) == 64


def test_share__compares_coortweet_with_exact_windows(make_table_store, tmp_path):
    # a and b: twice x, so two pairs of one object. c is the post that d retweets. e and f meet
    # once and have other shares besides, so that only the second filter drops them.
    rows = [("a", "x", "1", 0), ("b", "x", "2", 1), ("b", "x", "3", 2)]
    rows += [("a", "w", "11", 500), ("b", "w", "12", 501)]
    rows += [("c", "p", "p", 1000), ("d", "p", "4", 1001)]
    rows += [("c", "q", "q", 2000), ("d", "q", "5", 2001)]
    rows += [("e", "y", "6", 3000), ("f", "y", "7", 3001), ("e", "z", "8", 0), ("f", "u", "9", 0)]
    findings = share(
        make_table_store(rows), tmp_path / "run", kinds="object", mode="coortweet",
        min_participation=2, compare=True,
    )  # fmt: skip
    assert findings.read("changes").rows() == [
        ("a", "b", 2, 3, "weight"), ("c", "d", 2, 0, "own_object"),
        ("e", "f", 1, 0, "participation"),
    ]  # fmt: skip
    assert findings.content["changes"] == {"own_object": 1, "participation": 1, "weight": 1}


def test_share__knows_a_post_by_its_account_and_its_content(make_table_store, tmp_path):
    # Channels that number their own posts; two tools take posts of one id for one.
    rows = [(account, f"x{n}", str(n), 100 * n + second)
            for n in range(3) for account, second in (("a", 0), ("b", 7))]  # fmt: skip
    store = make_table_store(rows)
    (edge,) = share(store, tmp_path / "strict", kinds="object").read("edges").to_dicts()
    assert (edge["weight"], edge["n_pairs"], edge["n_posts_source"]) == (3, 3, 3)
    assert coact(store, tmp_path / "coact", layers="co_object").read("edges").height == 1
    (edge,) = (
        share(store, tmp_path / "net", kinds="object", mode="coornet").read("edges").to_dicts()
    )
    assert (edge["weight"], edge["n_pairs"]) == (3, 3)
    for mode, ends in (("coortweet", ["ab"]), ("qut", ["ab", "ba"])):
        findings = share(store, tmp_path / mode, kinds="object", mode=mode, compare=True)
        assert findings.read("edges").is_empty()
        changes = [(*pair, 3, 0, "same_content") for pair in ends]
        assert findings.read("changes").rows() == changes


def test_share__compares_qut_both_ways_round(make_table_store, tmp_path):
    # Two posts of a are near the one of b; the edge back is too light.
    store = make_table_store([("a", "x", "1", 0), ("a", "x", "2", 3), ("b", "x", "3", 5)])
    findings = share(
        store, tmp_path / "run", kinds="object", mode="qut", min_weight=2, compare=True
    )
    assert findings.read("changes").rows() == [
        ("a", "b", 1, 2, "weight"), ("b", "a", 1, 1, "threshold"),
    ]  # fmt: skip


def test_share__compares_coornet_at_borders(make_table_store, tmp_path):
    # Bins of 10 s from 0 on: b and c are 2 s apart on either side of a border.
    rows = [("a", "x", "1", 0), ("b", "x", "2", 9), ("c", "x", "3", 11), ("d", "x", "4", 12)]
    findings = share(
        make_table_store(rows), tmp_path / "run", kinds="object", mode="coornet", window="10s",
        edge_weight_quantile=0, compare=True,
    )  # fmt: skip
    # All four are in a bin of two, so that all six pairs have an edge; ac and ad are too far apart.
    reasons = {row[:2]: row[-1] for row in findings.read("changes").rows()}
    assert reasons == {("a", "c"): "other_bin", ("a", "d"): "other_bin"}
    marked = findings.read("marked_shares")
    assert marked.select("account_id", "coordinated").rows() == [(a, True) for a in "abcd"]


def test_share__takes_a_subgraph_of_coortweet(make_table_store, tmp_path):
    store = make_table_store(ROWS)
    choices = {"kinds": "object", "mode": "coortweet", "fast_window": "10s"}
    # Fast pairs: ab over x (10 s), bc over y (5 s): both weigh 1, none is above the median.
    findings = share(store, tmp_path / "run", subgraph=2, **choices)
    assert findings.summary["n_edges"] == 3
    assert findings.summary["n_components"] == 0
    low = share(store, tmp_path / "low", subgraph=2, edge_weight_quantile=0, **choices)
    assert low.summary["n_components"] == 0


def test_share__tabulates_intervals(make_table_store, tmp_path):
    rows = [(f"u{o}{k}", f"o{o}", f"{o}-{k}", 1000 * o + (3 + o) * k) for o in range(9)
            for k in range(4)]  # fmt: skip
    findings = share(make_table_store(rows), tmp_path / "run", kinds="object", intervals=True)
    surface = findings.read("surface")
    at = surface.filter(pl.col("q") == 0.1, pl.col("p") == 0.5)["seconds"].item()
    assert at == findings.content["intervals"]["quantile_seconds"] == 6
    assert findings.read("gaps")["observed"].sum() == 9 * 6


def test_share__names_top_objects_over_all_and_by_component(make_table_store, tmp_path):
    findings = share(make_table_store(ROWS), tmp_path / "run", kinds="object", tests=False)
    top = findings.read("top_objects").select("component", "rank", "object_id", "n_coord_shares")
    assert top.rows() == [
        (None, 1, "x", 2), (None, 2, "y", 3), (0, 1, "x", 2), (0, 2, "y", 3),
    ]  # fmt: skip
    posts = findings.read("top_posts").filter(pl.col("component").is_null())
    assert posts["content_id"].to_list() == ["1", "3", "2", "4", "5"]
    summary = findings.read("component_sharing").to_dicts()[0]
    assert summary["n_accounts"] == 3
    assert summary["n_coord_shares"] == 5
    accounts = findings.read("accounts").select("account_id", "n_shares", "n_coord_shares")
    assert accounts.rows() == [("a", 2, 2), ("b", 2, 2), ("c", 1, 1), ("d", 1, 0), ("e", 1, 0)]


# --- explained ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_others", "warns"), [(0, True), (300, False)])
def test_commands__say_where_the_tests_find_no_ordinary_pairs(
    n_others, warns, make_table_store, tmp_path
):
    rng = np.random.default_rng(3)
    rows = [(f"t{a}", f"o{o}", f"{a}-{o}", 86400 * o + 40_000 + int(rng.integers(0, 20)))
            for o in range(20) for a in range(4)]  # fmt: skip
    rows += [(f"z{a}", f"o{o}", f"z{a}-{o}", 86400 * o + int(rng.integers(0, 86400)))
             for o in range(20) for a in range(n_others)]  # fmt: skip
    store = make_table_store(rows).path
    out = ["--out", str(tmp_path / "run"), "--debug", "--overwrite"]
    for command in (
        ["share", "--kind", "object"],
        ["coact", "--layers", "co_object", "--merge", "fused"],
    ):
        name, *options = command
        done = invoke(name, str(store), *options, *out)
        assert done.exit_code == 0
        assert ("told apart here" in " ".join(done.stdout.split())) == warns


def test_explain__says_what_two_accounts_did_in_each_layer(make_table_store, tmp_path):
    """Layers of two windows, and the tests of all together."""
    rows = [(who, f"x{n}", f"{who}{n}", 86_400 * n + gap) for n in range(6)
            for who, gap in (("a", 0), ("b", 5 + 10 * n))]  # fmt: skip
    store = make_table_store([*rows, ("c", "x0", "c0", 30_000)])
    run = coact(store, tmp_path / "run", layers=["co_object", "co_object:30s"], merge="fused")
    found = explain(run, "b", "a")
    said = describe(found, a="one", b="two")
    assert said[:2] == [
        "In the layer co_object, two and one acted alike within 60 s on 6 objects, in 6 pairs of "
        "posts, 30 s apart on average.",
        "In the layer co_object_30s, two and one acted alike within 30 s on 3 objects, in 3 pairs "
        "of posts, 15 s apart on average.",
    ]
    assert said[2].startswith("All tested layers together: ") and "rate of 0.05" in said[2]
    assert found.evidence["gap"].to_list() == [5, 15, 25, 35, 45, 55]
    assert found.to_dict(show_ids=True)["edges"][0]["observed"] == 6
    assert describe(explain(run, "a", "c"))[0].startswith("The run has no edge between A and B")
    untested = coact(store, tmp_path / "union", layers="co_object", merge="union")
    assert "does not say how often chance" in describe(explain(untested, "a", "b"))[1]


def test_explain__lists_the_pairs_of_shares_of_two_accounts(make_table_store, tmp_path):
    run = share(make_table_store(ROWS), tmp_path / "run", kinds="object")
    found = explain(run, "b", "a")
    columns = ["source", "target", "value", "gap", "content_source", "content_target"]
    assert found.evidence.select(columns).rows() == [
        ("a", "b", "x", 10, "1", "2"), ("a", "b", "y", 20, "3", "4"),
    ]  # fmt: skip
    assert found.evidence["time_target"].dt.epoch("s").to_list() == [10, 20]
    said = describe(found, a="one", b="two")
    assert said[0].startswith(
        "two and one shared 2 common objects within 60 s of each other, in 2 pairs of posts "
        "(weight 2); two was first in 100% of them, and half of them lie at most 15 s apart."
    )
    assert "not shown to be beyond chance" in said[1] and "rate of 0.05" in said[1]
    assert found.to_dict(show_ids=True)["edges"][0]["observed"] == 2


def test_explain__names_the_table_that_has_the_other_pairs(make_table_store, tmp_path):
    rows = [(who, f"x{n}", f"{who}{n}", 1000 * n + gap) for who, gap in (("a", 0), ("b", 5))
            for n in range(13)]  # fmt: skip
    run = share(make_table_store(rows), tmp_path / "run", kinds="object")
    console = Console(file=StringIO(), width=100)
    render(explain(run, "a", "b"), console=console)
    assert "3 coincidences more in pairs.parquet." in console.file.getvalue()
    assert "evidence.parquet" not in console.file.getvalue()


def test_explain__says_what_no_edge_means(make_table_store, tmp_path):
    store = make_table_store(ROWS)
    run = share(store, tmp_path / "run", kinds="object", min_weight=2, tests=False)
    assert (
        "within 60 s of each other 1 time: its settings leave"
        in describe(explain(run, "a", "c"))[0]
    )
    assert "never shared the same object within 60 s" in describe(explain(run, "d", "e"))[0]
    assert "does not say how often chance" in describe(explain(run, "a", "b"))[1]
    loose = share(store, tmp_path / "loose", kinds="object", mode="coornet", window="1h",
                  edge_weight_quantile=0)  # fmt: skip
    assert "(weight 2)" in describe(explain(loose, "a", "b"))[0]


def test_explain__says_that_coornet_links_accounts_that_never_met(make_table_store, tmp_path):
    rows = [("a", "x", "1", 0), ("b", "x", "2", 1), ("c", "x", "3", 900), ("d", "x", "4", 901)]
    run = share(make_table_store(rows), tmp_path / "run", kinds="object", mode="coornet",
                edge_weight_quantile=0)  # fmt: skip
    assert "though they never shared the same object" in describe(explain(run, "a", "d"))[0]
