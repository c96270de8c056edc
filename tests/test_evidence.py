"""Evidence against plain loops over events, and explanations of runs written by hand."""

import io
import json
from datetime import UTC, datetime, timedelta
from itertools import permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from rich.console import Console
from runs import event

from gpu_coord.accounts.explanation import CAUTION, describe, explain, read_evidence, render
from gpu_coord.activity.cells import build_activity
from gpu_coord.activity.counts import count_margins, count_pairs, index_cells
from gpu_coord.archive.ingest import ingest
from gpu_coord.detection.evidence import (
    SCHEMA,
    EvidenceCount,
    Links,
    join_links,
    link_groups,
    write_evidence,
)
from gpu_coord.detection.run import detect
from gpu_coord.results.findings import open_run

KINDS = ("hashtag", "url")
HOUR = 3600


# Some posts share a bin, a second or a millisecond.
SECONDS = st.builds(
    lambda hour, offset: HOUR * hour + offset,
    st.integers(0, 5),
    st.sampled_from([0, 0.001, 1, 1800, 3599.999]),
)
ONE = (st.sampled_from("abcd"), SECONDS, st.sampled_from("xy"), st.sampled_from(KINDS))
EVENTS = st.lists(st.builds(event, *ONE), min_size=1, max_size=50).map(
    # There are three bins and both kinds, whatever else there is, and they pass every time range.
    lambda events: [*events, event("a", 2 * HOUR), event("b", 4 * HOUR, kind="url")]
)


def find_cells(events, bin_seconds=HOUR, start=None, end=None):
    """Return {(account, kind, entity): {bin: [(time in ms, post)]}}."""
    cells = {}
    for position, row in enumerate(events):
        post = row.get("post", position)
        time = round(1000 * row["time_seconds"])
        if (start is None or time >= start) and (end is None or time < end):
            place = row["account"], row["kind"], row["entity"]
            bins = cells.setdefault(place, {})
            bins.setdefault(time // (1000 * bin_seconds), []).append((time, post))
    return cells


def find_coincidences(cells, a, b, lag, *, group=None):
    """Return the rows of one link, by time, in plain loops."""
    rows = []
    for (account, kind, entity), bins in cells.items():
        if account != a:
            continue
        for k, posts_a in bins.items():
            posts_b = cells.get((b, kind, entity), {}).get(k + lag, [])
            if posts_b:
                rows.append(describe_coincidence(a, posts_a, b, posts_b, kind, entity, lag, group))
    return sorted(rows, key=lambda r: (r["time_source"], r["time_target"], r["kind"], r["value"]))


def describe_coincidence(a, posts_a, b, posts_b, kind, entity, lag, group):
    candidates = [(post_a, post_b) for post_a in posts_a for post_b in posts_b]
    (time_a, n_a), (time_b, n_b) = min(
        candidates,
        key=lambda pair: (abs(pair[1][0] - pair[0][0]), min(pair[0][0], pair[1][0]),
                          pair[0][1], pair[1][1]),
    )  # fmt: skip
    ends = [(a, time_a, n_a, posts_a), (b, time_b, n_b, posts_b)]
    if group is not None and lag == 0 and time_a > time_b:
        ends.reverse()
    (source, time_s, n_s, posts_s), (target, time_t, n_t, posts_t) = ends
    return {
        "source": source, "target": target, "kind": kind, "value": entity,
        "time_source": to_time(time_s), "time_target": to_time(time_t),
        "gap": (time_t - time_s) / 1000,
        "content_source": str(n_s), "content_target": str(n_t), "group": group, "lag": lag,
        "n_posts_source": len({post for _, post in posts_s}),
        "n_posts_target": len({post for _, post in posts_t}),
    }  # fmt: skip


def to_time(milliseconds):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def make_links(activity, pairs, group=None):
    """Make links from (source id, target id, lag)."""
    ids = activity.accounts["account_id"].to_list()
    columns = [[ids.index(a) for a, _, _ in pairs], [ids.index(b) for _, b, _ in pairs]]
    columns += [[lag for _, _, lag in pairs]] + ([] if group is None else [group])
    return Links(*(np.array(column, np.int32) for column in columns))


def find_links(activity, lag=1):
    """Return all pairs with a coincidence, and how many they have."""
    index = index_cells(activity)
    pairs = count_pairs(index, count_margins(index, lag), 0, activity.n_accounts, min_support=1)
    columns = (pairs.source, pairs.target, pairs.support)
    source, target, support = map(activity.backend.to_host, columns)
    return Links(source, target, np.full(source.size, lag, np.int32)), support


def list_pairs(accounts, lags=(0, 1, 2)):
    return [(a, b, lag) for a, b in permutations(accounts, 2) for lag in lags]


@pytest.fixture(scope="module")
def prepare(backend, make_store):
    """Return a function that makes a store and its activity from events."""

    def prepare(events, *, kinds=KINDS, **choices):
        store = make_store(events)
        return store, build_activity(store, kinds=kinds, bin="1h", backend=backend, **choices)

    return prepare


def write(folder, store, activity, links, **choices):
    path = folder / "evidence.parquet"
    count = write_evidence(path, store, activity, links, **choices)
    return pl.read_parquet(path), count


# --- coincidences --------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    events=EVENTS,
    start=st.sampled_from([None, 1_800_000, 3_600_001]),
    end=st.sampled_from([None, 4 * HOUR * 1000 + 1]),
    memory=st.sampled_from([1, 500, 1 << 20]),
    seed=st.integers(0, 9),
)
def test_write_evidence__matches_plain_loops(
    prepare, tmp_path_factory, events, start, end, memory, seed
):
    store, activity = prepare(events, start=start, end=end)
    pairs = list_pairs(activity.accounts["account_id"])
    pairs = [pairs[p] for p in np.random.default_rng(seed).permutation(len(pairs))]
    groups = [(-1, 5)[p % 2] for p in range(len(pairs))]
    table, count = write(
        tmp_path_factory.mktemp("run"), store, activity, make_links(activity, pairs, groups),
        start=start, end=end, memory=memory,
    )  # fmt: skip
    cells = find_cells(events, start=start, end=end)
    expected = [
        find_coincidences(cells, *pair, group=None if group < 0 else group)
        for pair, group in zip(pairs, groups, strict=True)
    ]
    rows = [row for found in expected for row in found]
    assert table.schema == pl.Schema(SCHEMA)
    assert_frame_equal(table, pl.DataFrame(rows, schema=SCHEMA), check_exact=True)
    assert count == EvidenceCount(sum(map(bool, expected)), len(rows), 0, 0)


@settings(max_examples=20)
@given(events=EVENTS, lag=st.integers(0, 2))
def test_write_evidence__has_as_many_rows_as_the_support(prepare, tmp_path_factory, events, lag):
    store, activity = prepare(events)
    links, support = find_links(activity, lag)
    table, _ = write(tmp_path_factory.mktemp("run"), store, activity, links)
    counted = table.group_by("source", "target", maintain_order=True).len()
    ids = activity.accounts["account_id"]
    rows = zip(links.source, links.target, support, strict=True)
    assert counted.rows() == [(ids[int(i)], ids[int(j)], int(n)) for i, j, n in rows]


@settings(max_examples=30)
@given(events=EVENTS, max_rows=st.integers(0, 30), memory=st.sampled_from([1, 1 << 20]))
def test_write_evidence__counts_what_it_leaves_out(
    prepare, tmp_path_factory, events, max_rows, memory
):
    store, activity = prepare(events)
    pairs = list_pairs(activity.accounts["account_id"])
    sizes = [len(find_coincidences(find_cells(events), *pair)) for pair in pairs]
    n_written = 0
    while n_written < len(sizes) and sum(sizes[: n_written + 1]) <= max_rows:
        n_written += 1
    links = make_links(activity, pairs)
    folder = tmp_path_factory.mktemp("run")
    table, count = write(folder, store, activity, links, max_rows=max_rows, memory=memory)
    whole, _ = write(folder, store, activity, links)
    written, left_out = sizes[:n_written], sizes[n_written:]
    assert count == EvidenceCount(
        sum(map(bool, written)), sum(written), sum(map(bool, left_out)), sum(left_out)
    )
    assert_frame_equal(table, whole.head(sum(written)))


@pytest.mark.parametrize("memory", [1, 1 << 20])
def test_write_evidence__writes_nothing_after_what_had_no_room(prepare, tmp_path, memory):
    # a -> b coincides twice, b -> a once.
    events = [event("a", HOUR * h) for h in (0, 4)] + [event("b", HOUR * h) for h in (1, 3, 5)]
    store, activity = prepare([*events, event("a", 0, kind="url")])
    links = make_links(activity, [("a", "b", 1), ("b", "a", 1)])
    table, count = write(tmp_path, store, activity, links, max_rows=1, memory=memory)
    assert table.height == 0
    assert count == EvidenceCount(0, 0, 2, 3)


def test_write_evidence__tells_the_earliest_of_equal_gaps(prepare, tmp_path):
    events = [event("a", 10), event("a", 30), event("a", 30), event("b", 20), event("b", 40)]
    store, activity = prepare([*events, event("b", HOUR, kind="url")])
    links = make_links(activity, [("a", "b", 0), ("b", "a", 0)])
    table, _ = write(tmp_path, store, activity, links)
    told = table.select("source", "gap", "content_source", "content_target")
    assert told.rows() == [("a", 10.0, "0", "3"), ("b", -10.0, "3", "0")]
    assert table.select("n_posts_source", "n_posts_target").rows() == [(3, 2), (2, 3)]


def test_write_evidence__reads_several_urls_of_a_domain_as_one_entity(prepare, tmp_path):
    urls = ["news.example.com/1", "example.com/2", "elsewhere.org/1"]
    events = [event("a", 0, urls[0], "url"), event("a", 60, urls[1], "url")]
    events += [event("b", HOUR + 1, urls[1], "url"), event("b", HOUR + 2, urls[2], "url")]
    store, activity = prepare(events, kinds=("url", "domain"))
    table, _ = write(tmp_path, store, activity, make_links(activity, [("a", "b", 1)]))
    columns = ["kind", "value", "content_source", "n_posts_source", "n_posts_target"]
    rows = [("domain", "example.com", "1", 2, 1), ("url", "example.com/2", "1", 1, 1)]
    assert table.select(columns).rows() == rows


def test_write_evidence__sorts_a_link_by_the_time_of_the_source(prepare, tmp_path):
    events = [event("a", 9, "x"), event("b", HOUR, "x"), event("a", 0, "y"), event("b", 5000, "y")]
    events += [event("a", 0, "w", "url"), event("b", 5000, "w", "url")]
    store, activity = prepare(events)
    table, _ = write(tmp_path, store, activity, make_links(activity, [("a", "b", 1)]))
    assert table["value"].to_list() == ["y", "w", "x"]


def test_write_evidence__counts_a_post_shared_twice_once(backend, tmp_path):
    (tmp_path / "shares.csv").write_text(
        "account_id,object_id,content_id,timestamp_share\na,x,1,0\na,x,1,50\na,x,2,70\nb,x,3,3600\n"
    )
    store = ingest(tmp_path / "shares.csv", tmp_path / "store")
    activity = build_activity(store, kinds=("object",), bin="1h", backend=backend)
    table, _ = write(tmp_path, store, activity, make_links(activity, [("a", "b", 1)]))
    assert table["n_posts_source"].to_list() == [2]
    assert table.select("time_source", "gap").rows() == [(to_time(70_000), 3530.0)]


def test_write_evidence__works_without_links(prepare, tmp_path):
    store, activity = prepare([event("a", 0), event("b", HOUR, kind="url")])
    table, count = write(tmp_path, store, activity, make_links(activity, []))
    assert table.schema == pl.Schema(SCHEMA) and table.height == 0
    assert count == EvidenceCount(0, 0, 0, 0)


def test_write_evidence__writes_the_same_bytes_twice(prepare, tmp_path):
    events = [event("abc"[n % 3], 700 * n * n % 9000, "xy"[n % 2]) for n in range(40)]
    store, activity = prepare([*events, event("a", 0, kind="url")])
    links = make_links(activity, list_pairs("abc"))
    for name in ("1", "2"):
        write_evidence(tmp_path / name, store, activity, links)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([0], [1, 0], [1]), r"columns of \[1, 2\] rows"),
        (([0], [2], [1]), "the accounts 0 to 2; the activity has the rows 0 to 1"),
        (([-1], [1], [1]), "the accounts -1 to 1"),
        (([0], [0], [1]), "an account with itself or a negative lag"),
        (([0], [1], [-1]), "an account with itself or a negative lag"),
    ],
)
def test_write_evidence__refuses_links_of_something_else(prepare, tmp_path, columns, message):
    store, activity = prepare([event("a", 0), event("b", HOUR, kind="url")])
    links = Links(*(np.array(column, np.int32) for column in columns))
    with pytest.raises(ValueError, match=message):
        write_evidence(tmp_path / "e", store, activity, links)


def test_write_evidence__refuses_another_time_range(prepare, tmp_path):
    events = [event("a", 0), event("b", HOUR), event("b", 5 * HOUR), event("c", 0, kind="url")]
    store, activity = prepare(events, end="1970-01-01T05:00")
    links = make_links(activity, [("a", "b", 1)])
    with pytest.raises(ValueError, match="3 active cells in the store and 2 in the activity"):
        write_evidence(tmp_path / "e", store, activity, links)
    write_evidence(tmp_path / "e", store, activity, links, end="1970-01-01T05:00")


# --- groups --------------------------------------------------------------------------------


@settings(max_examples=40)
@given(events=EVENTS, max_lag=st.integers(0, 2), memory=st.sampled_from([1, 1 << 20]))
def test_link_groups__links_the_members_that_coincide(prepare, events, max_lag, memory):
    _, activity = prepare([*events, *(event(name, 0, "alone") for name in "abcd")])
    members = pl.DataFrame({"group": [7, 2, 2, 7, 2], "account": [3, 0, 1, 0, 3]})
    links = link_groups(activity, members, max_lag=max_lag, memory=memory)
    cells = find_cells([*events, *(event(name, 0, "alone") for name in "abcd")])
    expected = [
        (group, "abcd".index(a), "abcd".index(b), lag)
        for group, names in ((2, "abd"), (7, "ad"))
        for a, b, lag in list_pairs(names, range(max_lag + 1))
        if (lag > 0 or a < b) and find_coincidences(cells, a, b, lag)
    ]
    found = zip(links.group, links.source, links.target, links.lag, strict=True)
    assert [tuple(map(int, row)) for row in found] == expected


def test_link_groups__refuses_a_lag_beyond_the_data(prepare):
    _, activity = prepare([event("a", 0), event("b", HOUR, kind="url")])
    members = pl.DataFrame({"group": [0, 0], "account": [0, 1]})
    with pytest.raises(ValueError, match="lag is 2 bins in data of 2"):
        link_groups(activity, members, max_lag=2)


def test_write_evidence__finds_a_planted_group_after_its_edges(prepare, tmp_path):
    # b follows a by a minute, across two bins once; c has nothing to do with them.
    events = [event("a", 60), event("b", 120), event("a", 2 * HOUR - 30), event("b", 2 * HOUR + 30)]
    store, activity = prepare([*events, event("c", 9 * HOUR), event("c", 9 * HOUR, kind="url")])
    members = pl.DataFrame({"group": [3, 3], "account": [0, 1]})
    edges = make_links(activity, [("a", "b", 1)])
    links = join_links([edges, link_groups(activity, members, max_lag=1)])
    table, _ = write(tmp_path, store, activity, links)
    told = table.select("group", "source", "target", "lag", "gap")
    assert told.rows() == [
        (None, "a", "b", 1, 60.0), (3, "a", "b", 0, 60.0), (3, "a", "b", 1, 60.0),
        (3, "b", "a", 1, 2 * HOUR - 150.0),
    ]  # fmt: skip


# --- explanations --------------------------------------------------------------------------

HOSTILE = "a\x1b[31m\u202e[bold]"
SIGNIFICANCE = {"expected": 1.5, "p_value": 1e-5, "q_value": 0.003, "grade": 2, "significant": True}


def coincidence(source, target, seconds, gap, **columns):
    row = dict.fromkeys(SCHEMA) | {
        "source": source, "target": target, "kind": "hashtag", "value": "x",
        "time_source": to_time(1000 * seconds), "time_target": to_time(1000 * (seconds + gap)),
        "gap": float(gap), "content_source": f"post-of-{source}", "lag": 1,
        "content_target": f"post-of-{target}", "n_posts_source": 1, "n_posts_target": 1,
    }  # fmt: skip
    return row | columns


def edge(source, target, support, **columns):
    ends = {"source": source, "target": target}
    return ends | {"weight": 0.25, "support": support, "lag": 1} | columns


@pytest.fixture
def make_run(tmp_path):
    """Return a function that writes the tables of a run of the accounts id-1 to id-4."""

    def make(edges=(), rows=(), *, entities=(), labels=None, pseudonyms=None):
        names = ["id-1", "id-2", "id-3", "id-4"]
        accounts = {
            "account_id": names, "label": labels or [None] * 4, "influence": [0.5, 0.0, 0.0, 0.0],
            "community": [0, 0, None, None], "n_posts": [9, 8, 7, 6],
            "pseudonym": pseudonyms or [f"acct-{n}" for n in range(1, 5)],
        }  # fmt: skip
        pl.DataFrame(accounts).write_parquet(tmp_path / "accounts.parquet")
        schema = {"source": pl.String, "target": pl.String, "weight": pl.Float64}
        schema |= {"support": pl.Int32, "lag": pl.Int32}
        table = pl.DataFrame(list(edges)) if edges else pl.DataFrame(schema=schema)
        table.write_parquet(tmp_path / "edges.parquet")
        schema = dict.fromkeys(["kind", "value", "pseudonym"], pl.String)
        named = pl.DataFrame(list(entities), schema=schema, orient="row")
        named.write_parquet(tmp_path / "entities.parquet")
        if rows is not None:
            pl.DataFrame(list(rows), schema=SCHEMA).write_parquet(tmp_path / "evidence.parquet")
        run = {"gpu_coord": "test", "settings": {"alpha": 0.05}, "summary": {}}
        (tmp_path / "run.json").write_text(json.dumps(run))
        return tmp_path

    return make


def show(explanation, **choices):
    console = Console(file=io.StringIO(), width=200)
    render(explanation, console=console, **choices)
    return console.file.getvalue()


def test_explain__tells_both_directions_by_time(make_run):
    edges = [edge("id-2", "id-1", 1, **SIGNIFICANCE), edge("id-1", "id-2", 2, **SIGNIFICANCE)]
    rows = [coincidence("id-1", "id-2", *when) for when in ((7200, 3000), (0, 3600))]
    rows += [coincidence("id-2", "id-1", 3600, 3600), coincidence("id-1", "id-3", 0, 60)]
    run = make_run([*edges, edge("id-1", "id-3", 1, **SIGNIFICANCE)], rows)
    found = explain(run, "acct-1", "id-2")
    assert found.accounts["account_id"].to_list() == ["id-1", "id-2"]
    assert found.edges.select("source", "support").rows() == [("id-1", 2), ("id-2", 1)]
    assert found.evidence["gap"].to_list() == [3600.0, 3600.0, 3000.0]
    assert found.evidence["source"].to_list() == ["id-1", "id-2", "id-1"]
    assert found.n_left_out == 0
    turned = explain(run, "id-2", "id-1")
    assert turned.edges["source"].to_list() == ["id-2", "id-1"]
    assert_frame_equal(turned.evidence, found.evidence)


TESTED = {
    "expected": 1.5, "expected_habit": 0.75, "n_hours": 5, "p_value": 1e-5, "q_value": 0.003,
    "q_habit": 0.0, "tier": "beyond_news", "grade": 2, "significant": True,
}  # fmt: skip
SAID = (
    "B acted 1 bin after A on the same entity 6 times (weight 0.25). Tested were 5 hours with a "
    "meeting; the habits of the two would make 0.75, and habits and news together "
)


@pytest.mark.parametrize(
    ("tests", "end"),
    [
        ({}, "1.5: beyond the news (q = 0.003, evidence grade 2), unusual co-activity at a false "
             "discovery rate of 0.05."),
        ({"tier": "beyond_habit", "q_value": 1.0},
         "1.5: beyond habit (q below 5e-324) at a false discovery rate of 0.05, but not shown to "
         "be beyond the news (q = 1): shared news is not excluded."),
        ({"tier": None, "q_habit": 0.3, "expected": None},
         "nobody can say how many here: not shown to be beyond chance (q = 0.3 of habit) at a "
         "false discovery rate of 0.05, which is no proof that they are strangers."),
    ],
)  # fmt: skip
def test_describe__says_which_tier_an_edge_reaches(make_run, tests, end):
    rows = [coincidence("id-1", "id-2", 0, 1)] * 6
    said = describe(
        explain(make_run([edge("id-1", "id-2", 6, **TESTED | tests)], rows), "id-1", "id-2")
    )
    assert said[0] == SAID + end
    assert said[1] == "There is no edge from B to A."
    assert said[-1] == CAUTION


@pytest.mark.parametrize(
    ("significant", "end"), [(True, "significant."), (False, "not shown to be unusual.")]
)
def test_describe__knows_runs_of_version_0_1(make_run, significant, end):
    old = {"expected": 0.0, "p_value": 0.0, "q_value": 1.0, "significant": significant}
    run = make_run([edge("id-1", "id-2", 1, lag=0, **old)], [])
    said = describe(explain(run, "id-1", "id-2"), a="one", b="two")
    assert said[0] == (
        "two acted in the same bin as one on the same entity 1 time (weight 0.25). 0 would be "
        f"expected by chance; q = 1: {end}"
    )


def test_describe__knows_runs_without_significance(make_run):
    said = describe(explain(make_run([edge("id-1", "id-2", 2, lag=3)], []), "id-1", "id-2"))
    assert said[0] == (
        "B acted 3 bins after A on the same entity 2 times (weight 0.25); the run does not say how "
        "often chance alone would make that happen."
    )


def test_explain__says_that_there_is_no_edge(make_run):
    run = make_run([edge("id-1", "id-2", 1)], [coincidence("id-1", "id-2", 0, 1)])
    found = explain(run, "id-1", "id-3")
    assert found.edges.height == found.evidence.height == 0
    assert describe(found) == [
        "The run has no edge between A and B in either direction: no tendency of one to act after "
        "the other passed its settings.",
        CAUTION,
    ]
    assert "no edge between A and B" in show(found)


def test_explain__says_what_was_left_out(make_run):
    run = make_run([edge("id-1", "id-2", 5), edge("id-2", "id-1", 1)], [])
    found = explain(run, "id-1", "id-2")
    assert found.n_left_out == 6
    assert any(line.startswith("6 coincidences of these edges did not") for line in describe(found))


def test_explain__works_without_evidence(make_run):
    found = explain(make_run([edge("id-1", "id-2", 5)], None), "id-1", "id-2")
    assert not found.has_evidence
    said = "The run has no evidence.parquet, so single coincidences are not shown."
    assert said in describe(found)
    with pytest.raises(FileNotFoundError, match="has no table 'evidence'; it has"):
        read_evidence(open_run(make_run((), None)), "id-1", "id-2")


def test_explain__shows_what_is_evidence_of_an_edge_and_of_a_group_once(make_run):
    rows = [
        coincidence("id-1", "id-2", 0, 3600),
        coincidence("id-1", "id-2", 0, 3600, group=4),
        coincidence("id-1", "id-2", 50, 60, lag=0, group=4),
    ]
    found = explain(make_run([edge("id-1", "id-2", 1)], rows), "id-1", "id-2")
    assert found.evidence.select("gap", "group").rows() == [(3600.0, 4), (60.0, 4)]
    assert found.n_left_out == 0
    assert "Both are in group 4, which some of the coincidences are evidence of." in describe(found)


def test_explain__sees_a_coincidence_at_lag_0_from_both_sides(make_run):
    rows = [coincidence("id-2", "id-1", 0, 5, lag=0, group=1)]
    run = make_run([edge("id-1", "id-2", 1, lag=0), edge("id-2", "id-1", 1, lag=0)], rows)
    assert explain(run, "id-1", "id-2").n_left_out == 0


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("id-9", "id-1", "'id-9' is none of the 4 accounts"),
        ("id-1", "acct-9", "'acct-9' is none of the 4 accounts"),
        ("id-1", "id-1", "are the same account"),
        ("id-1", "acct-1", "'id-1' and 'acct-1' are the same account"),
        ("id-1", "twins", "'twins' stands for 2 accounts"),
    ],
)
def test_explain__refuses_what_is_no_pair(make_run, a, b, message):
    run = make_run([], [], pseudonyms=["acct-1", "acct-2", "twins", "twins"])
    with pytest.raises(ValueError, match=message):
        explain(run, a, b)
    with pytest.raises(FileNotFoundError, match="no run at"):
        explain(run / "nowhere", a, b)


@pytest.fixture
def private_run(make_run):
    tweets = [(10, "tweet-9"), (20, "tweet-8"), (7300, "tweet-9")]
    rows = [coincidence("id-1", "id-2", 0, 3600, kind="mention", value="id-4")]
    rows += [coincidence("id-1", "id-2", at, 3600, kind="retweet", value=id) for at, id in tweets]
    entities = [("mention", "id-4", "acct-4"), ("retweet", "tweet-9", None)]
    return make_run([edge("id-1", "id-2", 4)], rows, entities=entities)


@pytest.mark.parametrize("form", ["terminal", "json"])
def test_explanations__hide_ids_unless_asked(private_run, form):
    found = explain(private_run, "id-1", "id-2")
    hidden, shown = (
        show(found, show_ids=ids) if form == "terminal" else json.dumps(found.to_dict(show_ids=ids))
        for ids in (False, True)
    )
    private = ["id-1", "id-2", "id-4", "post-of-id-1", "post-of-id-2", "tweet-8", "tweet-9"]
    assert [name for name in private if name in hidden] == []
    assert [name for name in private if name not in shown] == []
    for name in ("acct-1", "acct-2", "acct-4"):
        assert name in hidden and name not in shown
    assert hidden.count("post 2") == 2 and hidden.count("post 1") == 1


def test_to_dict__holds_rows_that_json_can_write(make_run):
    row = edge("id-1", "id-2", 3, **SIGNIFICANCE) | {"expected": float("inf")}
    rows = [coincidence("id-1", "id-2", 1.5, 3600, group=2, lag=1)]
    told = explain(make_run([row], rows), "id-1", "id-2").to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (told["a"], told["b"], told["n_left_out"]) == ("acct-1", "acct-2", 2)
    assert told["edges"] == [
        {"source": "acct-1", "target": "acct-2", "weight": 0.25, "observed": 3, "lag": 1,
         **SIGNIFICANCE, "expected": None, "ratio": 0.0},
    ]  # fmt: skip
    assert told["evidence"] == [
        {"source": "acct-1", "target": "acct-2", "kind": "hashtag", "value": "x",
         "time_source": "1970-01-01T00:00:01.500Z", "time_target": "1970-01-01T01:00:01.500Z",
         "gap": 3600.0, "group": 2, "lag": 1, "n_posts_source": 1, "n_posts_target": 1},
    ]  # fmt: skip
    assert told["says"][0].startswith("acct-2 acted 1 bin after acct-1")


def test_render__shows_the_first_and_counts_the_others(make_run):
    rows = [coincidence("id-2", "id-1", 100 * n, 0.125, value=f"tag{n}") for n in range(5)]
    found = explain(make_run([edge("id-2", "id-1", 5)], rows), "id-1", "id-2")
    text = show(found, n_shown=2)
    assert "3 coincidences more in evidence.parquet." in text
    assert "tag1" in text and "tag2" not in text
    assert "B → A" in text and "A → B" not in text
    assert "0.125" in text and "1970-01-01 00:01:40" in text
    assert "more in" not in show(found, n_shown=5)
    assert " ".join(CAUTION.split()) in " ".join(text.split())


def test_render__shows_hostile_text_and_does_not_obey_it(make_run):
    rows = [coincidence("id-1", "id-2", 0, 1, value=HOSTILE)]
    found = explain(make_run([edge("id-1", "id-2", 1)], rows, labels=[HOSTILE] * 4), "id-1", "id-2")
    text = show(found)
    assert "\x1b" not in text and "\u202e" not in text
    assert text.count("a\ufffd[31m\ufffd[bold]") == 3
    assert "\x1b" not in json.dumps(found.to_dict())


def test_render__fits_a_terminal_of_80_columns(private_run):
    console = Console(file=io.StringIO(), width=80)
    render(explain(private_run, "id-1", "id-2"), console=console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "acct-1" in text and "1970-01-01 00:00:00" in text


def test_explain__reads_what_detect_and_write_evidence_wrote(prepare, backend, tmp_path):
    # lead is followed an hour later three times, once on a second kind.
    events = [event("lead", HOUR * h) for h in (0, 5)] + [event("amp", HOUR * h) for h in (1, 6)]
    events += [event("lead", 9 * HOUR, kind="url"), event("amp", 10 * HOUR + 20, kind="url")]
    store, activity = prepare(events)
    findings = detect(store, tmp_path / "run", kinds=KINDS, backend=backend)
    write(findings.path, store, activity, make_links(activity, [("lead", "amp", 1)]))
    found = explain(findings, "lead", "amp")
    assert found.edges.select("source", "target", "support").rows() == [("lead", "amp", 3)]
    assert found.evidence["gap"].to_list() == [3600.0, 3600.0, 3620.0]
    assert found.n_left_out == 0
    assert "lead" not in show(found) and "lead" in show(found, show_ids=True)


# --- real archives -------------------------------------------------------------------------


def test_write_evidence__thailand(backend, thailand, tmp_path):
    kinds = ("hashtag", "domain", "mention", "retweet")
    activity = build_activity(thailand, kinds=kinds, bin="1h", backend=backend)
    links, support = find_links(activity)
    table, count = write(tmp_path, thailand, activity, links)
    assert count == EvidenceCount(links.n_links, support.sum(), 0, 0)
    counted = table.group_by("source", "target", maintain_order=True).len()
    assert counted["len"].to_list() == support.tolist()
    assert set(table["kind"]) == set(kinds)
    gaps = (pl.col("time_target") - pl.col("time_source")).dt.total_milliseconds()
    assert table.select((gaps == (1000 * pl.col("gap")).round()).all()).item()
    accounts = thailand.scan("accounts").select("account", "account_id")
    posts = thailand.scan("posts").join(accounts, on="account").collect()
    known = set(posts.select("account_id", "content_id", "time").rows())
    for end in ("source", "target"):
        told = table.select(end, f"content_{end}", pl.col(f"time_{end}").dt.epoch("ms"))
        assert set(told.rows()) <= known


def test_write_evidence__thailand_matches_plain_loops(backend, thailand, tmp_path):
    kinds = ("hashtag", "mention", "retweet")
    activity = build_activity(thailand, kinds=kinds, bin="15m", backend=backend)
    links, support = find_links(activity)
    chosen = np.argsort(-support, kind="stable")[:40]
    links = Links(links.source[chosen], links.target[chosen], links.lag[chosen])
    table, _ = write(tmp_path, thailand, activity, links)
    accounts = thailand.scan("accounts").select("account", account_id="account_id")
    entities = thailand.scan("entities").select("entity", value="value")
    events = (
        thailand.scan("events")
        .filter(pl.col("kind").cast(pl.String).is_in(kinds))
        .join(accounts, on="account")
        .join(entities, on="entity")
        .select("post", pl.col("kind").cast(pl.String), account="account_id", entity="value",
                time_seconds=pl.col("time") / 1000)
        .collect()
        .to_dicts()
    )  # fmt: skip
    cells = find_cells(events, bin_seconds=900)
    ids = activity.accounts["account_id"]
    rows = [
        row
        for source, target in zip(links.source, links.target, strict=True)
        for row in find_coincidences(cells, ids[int(source)], ids[int(target)], 1)
    ]
    contents = ["content_source", "content_target"]
    expected = pl.DataFrame(rows, schema=SCHEMA).drop(contents)
    assert expected.height == support[chosen].sum() > 200
    assert_frame_equal(table.drop(contents), expected)
