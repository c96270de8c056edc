import warnings

import numpy as np
import oracle
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import event

from gpu_coord.activity.cells import _take_top, build_activity
from gpu_coord.activity.distinct import list_distinct

KINDS = ("hashtag", "url")
TWICE = pl.DataFrame({"account_id": ["a", "a"], "label": ["x", "y"]})
SECONDS = st.integers(-4000, 9000) | st.floats(-9000, 9000).map(lambda t: round(t, 3))
ONE = (st.sampled_from("abcd"), SECONDS, st.sampled_from("xyz"), st.sampled_from(KINDS))
EVENTS = st.lists(st.builds(event, *ONE), min_size=1, max_size=25)


def build(store, backend, **choices):
    """Build the activity; that a kind may be missing is not the point of most tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return build_activity(store, backend=backend, **choices)


def list_cells(activity):
    """Return {(kind, value, account_id, absolute bin)}."""
    kinds, values = activity.entities["kind"], activity.entities["value"]
    ids = activity.accounts["account_id"]
    columns = (activity.entity, activity.bin, activity.account)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    cells = [(kinds[e], values[e], ids[a], b + activity.first_bin) for e, b, a in rows]
    assert len(cells) == len(set(cells))
    return set(cells)


@given(events=EVENTS, width=st.sampled_from(["1s", "7s", "1h"]))
def test_build_activity__matches_the_oracle(backend, make_store, events, width):
    seconds = {"1s": 1, "7s": 7, "1h": 3600}[width]
    activity = build(make_store(events), backend, kinds=KINDS, bin=width)
    first_bin, n_bins, cells = oracle.activity(events, seconds, KINDS)
    found = (activity.bin_seconds, activity.first_bin, activity.n_bins)
    assert found == (seconds, first_bin, n_bins)
    assert list_cells(activity) == {
        (*entity, account, bin)
        for entity, users in cells.items()
        for account, bins in users.items()
        for bin in bins
    }
    columns = (activity.account, activity.bin, activity.entity)
    order = np.lexsort([backend.to_host(column) for column in columns])
    np.testing.assert_array_equal(order, np.arange(activity.n_cells))
    for row in activity.entities.iter_rows(named=True):
        key = row["kind"], row["value"]
        assert row["n_accounts"] == len(cells[key])
        assert row["n_events"] == sum((e["kind"], e["entity"]) == key for e in events)


@given(events=EVENTS, shift=st.integers(-50, 50))
def test_build_activity__shifts_by_whole_bins(backend, make_store, events, shift):
    moved = [e | {"time_seconds": e["time_seconds"] + 3600 * shift} for e in events]
    here = build(make_store(events), backend, kinds=KINDS)
    there = build(make_store(moved), backend, kinds=KINDS)
    assert there.first_bin == here.first_bin + shift
    assert there.n_bins == here.n_bins
    np.testing.assert_array_equal(backend.to_host(there.bin), backend.to_host(here.bin))
    np.testing.assert_array_equal(backend.to_host(there.account), backend.to_host(here.account))


@given(events=EVENTS, order=st.randoms(use_true_random=False))
def test_build_activity__does_not_depend_on_the_order_of_rows(backend, make_store, events, order):
    shuffled = list(events)
    order.shuffle(shuffled)
    assert list_cells(build(make_store(events), backend, kinds=KINDS)) == list_cells(
        build(make_store(shuffled), backend, kinds=KINDS)
    )


def test_build_activity__counts_bins_over_the_kinds_asked_for(backend, make_store):
    store = make_store([event("a", 0), event("b", 7200), event("a", 36000, kind="url")])
    assert build(store, backend, kinds=("hashtag",)).n_bins == 3
    assert build(store, backend, kinds=("hashtag", "url")).n_bins == 11


def test_build_activity__keeps_accounts_without_an_event_of_the_kinds(backend, make_store):
    store = make_store([event("a", 0), event("b", 0, kind="url")], posts=[("c", 5.0)])
    accounts = build(store, backend, kinds=("hashtag",)).accounts
    assert accounts.select("account_id", "n_posts").rows() == [("a", 1), ("b", 1), ("c", 1)]


def test_build_activity__filters_accounts_by_posts_of_all_kinds(backend, make_store):
    events = [event("a", 0), event("a", 0, kind="url"), event("b", 60)]
    activity = build(make_store(events), backend, kinds=("hashtag",), min_posts=2)
    assert activity.accounts["account_id"].to_list() == ["a"]
    assert activity.n_dropped["min_posts"] == 1
    assert list_cells(activity) == {("hashtag", "x", "a", 0)}


def test_build_activity__counts_posts_in_the_time_range_only(backend, make_store):
    events = [event("a", 0), event("a", 50), event("b", 50), event("b", 60)]
    activity = build(
        make_store(events), backend, kinds=("hashtag",), bin="10s", min_posts=2,
        start="1970-01-01T00:00:50", end="1970-01-01T00:01:01",
    )  # fmt: skip
    assert activity.accounts["account_id"].to_list() == ["b"]
    assert list_cells(activity) == {("hashtag", "x", "b", 5), ("hashtag", "x", "b", 6)}


def test_build_activity__includes_the_start_and_excludes_the_end(backend, make_store):
    events = [event("a", 9.999), event("b", 10), event("c", 19.999), event("d", 20)]
    activity = build(
        make_store(events), backend, bin="1s", kinds=("hashtag",), start=10_000, end=20_000
    )
    assert activity.accounts["account_id"].to_list() == ["b", "c"]


def test_build_activity__takes_the_top_percent_and_breaks_ties_by_id(backend, make_store):
    posts = {"d": 2, "c": 1, "b": 1, "a": 1, "e": 1}
    events = [event(account, 60 * n) for account, n_posts in posts.items() for n in range(n_posts)]
    store = make_store(events)
    for top_percent, kept in [(20, "d"), (21, "ad"), (50, "abd"), (100, "abcde")]:
        activity = build(store, backend, kinds=("hashtag",), bin="1m", top_percent=top_percent)
        assert "".join(activity.accounts["account_id"]) == kept
        assert activity.n_dropped["top_percent"] == 5 - len(kept)


@pytest.mark.parametrize(("top_percent", "n_kept"), [(1.1, 33), (0.07, 3), (0.1, 3), (33.4, 1002)])
def test_build_activity__takes_a_percentage_as_it_is_written(top_percent, n_kept):
    accounts = pl.DataFrame({"account_id": [f"{n:04}" for n in range(3000)]})
    kept = _take_top(accounts.with_columns(n_posts=1), top_percent)
    assert kept.height == n_kept


def test_build_activity__counts_a_post_that_is_shared_again_in_the_range(backend, make_store):
    early, late = event("a", 0), event("a", 7200)
    store = make_store([early, late, event("b", 10800)])
    # Both of a's shares are of one post, whose time is that of the first.
    for table, left_out in (("posts", 1), ("events", None)):
        rows = store.read(table).filter(pl.col("post").ne_missing(left_out))
        rows = rows.with_columns(post=pl.col("post").replace(1, 0))
        rows.write_parquet(store.path / f"{table}.parquet")
    activity = build(store, backend, kinds=("hashtag",), start=3_600_000)
    assert activity.accounts["account_id"].to_list() == ["a", "b"]
    assert activity.accounts["n_posts"].to_list() == [1, 1]
    assert activity.n_cells == 2


def test_build_activity__refuses_more_bins_than_it_can_count(backend, make_store):
    store = make_store([event("a", -(2 * 10**9)), event("b", 16 * 10**8)])
    with pytest.raises(ValueError, match=r"3,600,000,001 bins of 1 s.*choose wider bins"):
        build(store, backend, kinds=("hashtag",), bin="1s")


def test_build_activity__matches_controls_by_the_seed(backend, make_store):
    names = [f"u{number:02}" for number in range(20)]
    labels = {"u03": "op", "u07": "op", "u09": "x"}
    store = make_store([event(name, 0) for name in names], labels=labels)
    drawn = set()
    for seed in range(12):
        activity = build(store, backend, kinds=("hashtag",), match="op", seed=seed)
        again = build(store, backend, kinds=("hashtag",), match="op", seed=seed)
        ids = activity.accounts["account_id"].to_list()
        assert ids == again.accounts["account_id"].to_list() == sorted(ids)
        assert {"u03", "u07"} < set(ids) and len(ids) == 4
        assert activity.n_dropped["match"] == 16
        drawn |= set(ids)
    assert len(drawn) > 8, "different seeds draw different accounts"


def test_build_activity__refuses_to_match_what_it_cannot(backend, make_store):
    store = make_store([event(name, 0) for name in "abc"], labels={"a": "op", "b": "op"})
    with pytest.raises(ValueError, match=r"'cast'; the labels are \['op'\]"):
        build(store, backend, match="cast")
    with pytest.raises(ValueError, match="only 1 others"):
        build(store, backend, match="op")


def test_build_activity__takes_other_labels(backend, make_store):
    store = make_store([event(name, 0) for name in "ab"], labels={"a": "op"})
    labels = pl.DataFrame({"account_id": ["b", "z"], "label": ["control", "op"]})
    activity = build(store, backend, kinds=("hashtag",), labels=labels)
    assert activity.accounts["label"].to_list() == [None, "control"]


def test_build_activity__warns_of_a_kind_that_is_missing(backend, make_store):
    store = make_store([event("a", 0), event("b", 0, kind="reply")])
    said = "no 'url' and it is left out; its kinds are hashtag, reply"
    with pytest.warns(UserWarning, match=said):
        activity = build_activity(store, kinds=("hashtag", "url"), backend=backend)
    assert activity.kinds == ("hashtag",)
    assert activity.missing_kinds == ("url",)


def test_build_activity__derives_domains_from_urls(backend, make_store):
    urls = ("a", "news.example.co.uk/a"), ("a", "example.co.uk/b"), ("b", "other.org/c")
    events = [event(account, 0, url, "url") for account, url in urls]
    activity = build(make_store(events), backend, kinds=("url", "domain"))
    assert list_cells(activity) >= {
        ("domain", "example.co.uk", "a", 0), ("domain", "other.org", "b", 0),
    }  # fmt: skip
    assert activity.kinds == ("url", "domain")
    assert activity.n_cells == 5


def test_build_activity__prefers_domains_of_the_store(backend, make_store):
    events = [event("a", 0, "example.org/b", "url"), event("a", 0, "given", "domain")]
    activity = build(make_store(events), backend, kinds=("domain",))
    assert list_cells(activity) == {("domain", "given", "a", 0)}


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"min_posts": 0}, "min_posts is 0"),
        ({"top_percent": 0}, "top_percent is 0"),
        ({"top_percent": 101}, "top_percent is 101"),
        ({"bin": "1 week"}, "'1 week' is no duration"),
        ({"bin": "0h"}, "'0h' is no duration"),
        ({"start": "yesterday"}, "'yesterday' is no time"),
        ({"start": 5, "end": 5}, "not before end"),
        ({"start": 10**9}, "no event of the kinds"),
        ({"min_posts": 2}, r"no event .* \(0 accounts kept\)"),
        ({"labels": TWICE}, "an account twice"),
        ({"kinds": ("url", "mention")}, "no url, mention; its kinds are hashtag"),
    ],
)
def test_build_activity__says_what_is_wrong(backend, make_store, choices, message):
    with pytest.raises(ValueError, match=message):
        build(make_store([event("a", 0)]), backend, **{"kinds": ("hashtag",)} | choices)


@given(
    rows=st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1),
    sizes=st.sampled_from([(4, 4, 4), (2**61, 4, 4), (2**60, 4, 4), (2**40, 2**40, 2**40)]),
)
def test_list_distinct__is_the_set_in_order(rows, sizes, backend):
    """The same whether a row fits 63 bits or not; numbers at the upper ends of their columns."""
    rows = [tuple(size - 1 - value for value, size in zip(row, sizes, strict=True)) for row in rows]
    columns = [backend.xp.asarray(column) for column in np.array(rows).T]
    found = list_distinct(columns, sizes, xp=backend.xp)
    found = [backend.to_host(column).tolist() for column in found]
    assert list(zip(*found, strict=True)) == sorted(set(rows))


def test_tensor__is_the_cells_in_dense_form(backend, make_store):
    events = [event("a", 0), event("b", 3600, "y"), event("b", 7200, "y")]
    events.append(event("a", 0, kind="url"))
    activity = build(make_store(events), backend, kinds=KINDS)
    tensor = backend.to_host(activity.tensor("hashtag"))
    expected = np.zeros((2, 2, 3), np.uint8)
    expected[0, 0, 0] = expected[1, 1, 1] = expected[1, 1, 2] = 1
    np.testing.assert_array_equal(tensor, expected)
    chosen = backend.to_host(activity.tensor("hashtag", ["y"]))
    np.testing.assert_array_equal(chosen, expected[1:])


def test_tensor__refuses_what_is_not_there(backend, make_store):
    activity = build(make_store([event("a", 0)]), backend, kinds=("hashtag",))
    with pytest.raises(ValueError, match="no 'url' in the analysed data"):
        activity.tensor("url")
    with pytest.raises(ValueError, match=r"1 of the hashtag values .* 'q'"):
        activity.tensor("hashtag", ["x", "q"])


def test_activity__shows_its_sizes(backend, make_store):
    activity = build(make_store([event("a", 0), event("b", 7200)]), backend, kinds=("hashtag",))
    assert "2 accounts, 1 entities of hashtag, 3 bins of 3600 s, 2 active cells" in repr(activity)
