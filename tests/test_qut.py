"""Directed counts of messages, against the toolkit's fixture and output, and all pairs by hand."""

import dataclasses
import itertools

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import describe, make_shares, name_edges
from polars.testing import assert_frame_equal

from gpu_coord.sharing.peers.qut import count_messages, join_described, weigh_kinds
from gpu_coord.sharing.windows import pair_shares


def count_by_hand(rows, window, *, loops=False):
    """Return {(A, B): distinct messages of A near one of B's}."""
    near = {}
    for one, two in itertools.permutations(set(rows), 2):
        same = one[0] == two[0] and abs(one[2] - two[2]) <= window and one[3] != two[3]
        if same and (loops or one[1] != two[1]):
            near.setdefault((one[1], two[1]), set()).add(one[3])
    return {ends: len(messages) for ends, messages in near.items()}


BOTH = [(o, a, 0, m) for o in "uvw" for a, m in (("a", "a1"), ("b", "b1"))]
NEAR = [("u", "a", 0), ("u", "b", 1), ("v", "c", 0), ("v", "d", 1.001)]
LOOP = [("u", "a", 0, "m1"), ("v", "a", 0, "m1"), ("u", "b", 5), ("u", "b", 6)]


@pytest.mark.parametrize(
    ("rows", "choices", "expected"),
    [
        # a shares u once at 10 s; b five times, one of them 3 s too late; c shares something else.
        ([("u", "a", 10), *(("u", "b", second) for second in (8, 9, 10, 12, 16)), ("v", "c", 10)],
         {"window_ms": 3000}, {"ab": 1, "ba": 4}),
        # A message counts once for all its objects.
        ([*BOTH, ("u", "a", 1, "a2")], {"window_ms": 1000}, {"ab": 2, "ba": 1}),
        # The window is inclusive at the stored precision.
        (NEAR, {"window_ms": 1000}, {"ab": 1, "ba": 1}),
        (NEAR, {"window_ms": 1001}, dict.fromkeys(["ab", "ba", "cd", "dc"], 1)),
        # One message is known by its content id.
        ([("u", "a", 0, "same"), ("u", "b", 0, "same"), ("u", "c", 0, "other")], {"window_ms": 0},
         dict.fromkeys(["ac", "bc", "ca", "cb"], 1)),
        # Loops need two messages.
        (LOOP, {"window_ms": 1000, "loops": True}, {"bb": 2}),
    ],
)  # fmt: skip
def test_count_messages__of_a_few_shares(rows, choices, expected):
    shares = make_shares(rows)
    found = name_edges(shares, count_messages(shares, **choices))
    assert found == {tuple(ends): n for ends, n in expected.items()}


@pytest.mark.parametrize(
    ("window", "min_weight", "loops", "n_nodes"),
    [(1, 1, False, 2), (1, 1, True, 3), (1, 2, False, 0), (1, 2, True, 1), (60, 1, False, 6),
     (60, 1, True, 7)],
)  # fmt: skip
def test_count_messages__has_the_nodes_of_the_toolkits_fixture(
    window, min_weight, loops, n_nodes, data_dir
):
    table = pl.read_csv(data_dir / "cnt_tests" / "coretweet_test_input.csv", infer_schema=False)
    rows = table.select("repost_id", "user_id", pl.col("timestamp").cast(int), "message_id").rows()
    choices = {"window_ms": 1000 * window, "min_weight": min_weight, "loops": loops}
    found = count_messages(make_shares(rows), **choices)
    assert pl.concat([found["source"], found["target"]]).n_unique() == n_nodes


@pytest.fixture(scope="module")
def russian(data_dir):
    """Return the shares of the oracle: the first row of each repeated content id."""
    folder = data_dir / "coortweet_russian"
    table = pl.read_parquet(folder / "russian_coord_tweets.parquet")
    table = table.unique("content_id", keep="first", maintain_order=True)
    assert table.height == 35085
    columns = ("object_id", "account_id", "timestamp_share", "content_id")
    return make_shares(table.select(columns).rows())


def test_count_messages__equals_the_output_of_the_toolkit(russian, data_dir):
    folder = data_dir / "coortweet_russian" / "oracle"
    oracle = pl.read_csv(folder / "cnt152_russian_coretweet_tw60_mw1.csv.gz")
    oracle = oracle.filter(pl.col("user_1") != pl.col("user_2"))
    found = name_edges(russian, count_messages(russian, window_ms=60_000))
    assert found == {(a, b): w for a, b, w in oracle.rows()}
    assert len(found) == 12412


@pytest.mark.parametrize(
    ("min_weight", "n_edges", "n_accounts"), [(1, 12412, 3954), (2, 95, 97), (3, 14, 16)]
)
def test_count_messages__has_the_toolkits_figures(russian, min_weight, n_edges, n_accounts):
    found = count_messages(russian, window_ms=60_000, min_weight=min_weight)
    assert found.height == n_edges
    assert pl.concat([found["source"], found["target"]]).n_unique() == n_accounts


rows = st.lists(
    st.tuples(st.sampled_from("uvw"), st.sampled_from("abcd"), st.integers(0, 12),
              st.sampled_from("123456")),
    min_size=1, max_size=30, unique=True,
)  # fmt: skip


@given(rows=rows, window=st.integers(0, 12), loops=st.booleans())
def test_count_messages__equals_all_pairs_by_hand(rows, window, loops):
    shares = make_shares(rows)
    found = count_messages(shares, window_ms=1000 * window, loops=loops)
    assert name_edges(shares, found) == count_by_hand(rows, window, loops=loops)
    ends = found.select("source", "target").rows()
    assert ends == sorted(ends)


@given(rows=rows, threads=st.integers(1, 3))
def test_count_messages__is_the_same_in_any_blocks(rows, threads):
    shares = make_shares(rows)
    whole = count_messages(shares, window_ms=5000, min_weight=2)
    parts = count_messages(shares, window_ms=5000, min_weight=2, memory=1, threads=threads)
    assert_frame_equal(whole, parts)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window_ms": -1}, "window_ms is -1"),
        ({"window_ms": 1, "min_weight": 0}, "min_weight is 0"),
    ],
)
def test_count_messages__refuses_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        count_messages(make_shares([("u", "a", 0)]), **settings)


def test_join_described__turns_what_has_a_direction():
    # a is 2 s ahead of b on u and on v, b once more on u after 1 s.
    rows = [("u", "a", 0), ("u", "b", 2), ("u", "b", 1), ("v", "a", 5), ("v", "b", 7)]
    shares = make_shares(rows)
    messages = count_messages(shares, window_ms=2000, loops=True)
    found = join_described(messages, describe(shares, pair_shares(shares, window_ms=2000)))
    columns = ("source", "target", "weight", "n_objects", "n_pairs", "n_posts_source",
               "n_posts_target", "mean_gap", "source_first", "symmetry")  # fmt: skip
    assert found.select(columns).rows() == [
        (0, 1, 2, 2, 3, 2, 3, pytest.approx(5 / 3), 1, 2 / 3),
        (1, 0, 3, 2, 3, 3, 2, pytest.approx(5 / 3), 0, 2 / 3),
        (1, 1, 2, None, None, None, None, None, None, None),
    ]


def test_join_described__agrees_with_the_messages_on_real_shares(russian):
    described = describe(russian, pair_shares(russian, window_ms=60_000))
    found = join_described(count_messages(russian, window_ms=60_000), described)
    assert found.null_count().sum_horizontal().item() == 0
    assert (found["n_posts_source"] == found["weight"]).all()


def test_weigh_kinds__counts_the_messages_of_each_kind():
    # a1 is near b on both kinds, a2 on a url only.
    rows = [("tag", "a", 0, "a1"), ("tag", "b", 0, "b1"), ("url1", "a", 0, "a1")]
    rows += [("url1", "b", 0, "b2"), ("url2", "a", 5, "a2"), ("url2", "b", 5, "b3")]
    shares = make_shares([*rows, ("url2", "c", 5, "c1")])
    kinds = pl.Series("kind", ["hashtag", "url", "url"])
    shares = dataclasses.replace(shares, objects=shares.objects.with_columns(kinds))
    choices = {"window_ms": 0, "min_weight": 2}
    found = weigh_kinds(shares, count_messages(shares, **choices), **choices)
    assert found.columns == ["source", "target", "weight", "weight_hashtag", "weight_url"]
    assert found.rows() == [(0, 1, 2, 1, 2), (1, 0, 3, 1, 2)]
