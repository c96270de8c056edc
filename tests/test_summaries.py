"""Tables of groups, top objects and top posts, against figures worked out by hand."""

import itertools
import statistics

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import make_shares
from polars.testing import assert_frame_equal

from gpu_coord.sharing.peers.coornet import cut_shares, project_accounts
from gpu_coord.sharing.summaries import (
    rank_objects,
    rank_posts,
    score_sharing,
    summarise_sharing,
    tabulate_shares,
)

NEWS, VIDEO, OTHER = "www.news.example.com/a", "video.example.com/b", "other.org/c"


def mark(rows, coordinated=None):
    """Return (shares, mask): all shares, or those of the contents named."""
    shares = make_shares(rows)
    contents = shares.contents.gather(shares.content)
    mask = np.ones(shares.n_shares, bool)
    return shares, mask if coordinated is None else contents.is_in(coordinated).to_numpy()


def summarise(rows, component, coordinated=None, **choices):
    """Return the table of groups of shares by accounts in these components."""
    marked = tabulate_shares(*mark(rows, coordinated))
    return summarise_sharing(marked, list_accounts(component), **choices)


def list_accounts(component, **columns):
    """Return the table of accounts with some figures that are needed and not looked at."""
    n = len(component)
    table = {"component": pl.Series(component, dtype=pl.Int32)}
    table |= {"coord_share_ratio": [0.5] * n, "coord_share_ratio_coornet": [0.25] * n}
    return pl.DataFrame(table | {"coor_score": [1.0] * n} | columns)


# --- accounts --------------------------------------------------------------------------------


def test_score_sharing__has_the_ratio_in_both_definitions():
    # a: three coordinated shares of four (its share of w, shared by nobody else, is dropped).
    rows = [("u", "a", 0), ("u", "b", 0), ("v", "a", 0), ("v", "b", 0), ("x", "a", 0)]
    shares = make_shares([*rows, ("x", "c", 1), ("u", "a", 70), ("w", "a", 0), ("w2", "d", 0)])
    cuts = cut_shares(shares, interval_seconds=10)
    edges = project_accounts(shares, cuts, edge_weight_quantile=0.0).edges
    assert edges.rows() == [(0, 1, 2), (0, 2, 1)]
    assert score_sharing(shares, cuts.coordinated, edges).to_dict(as_series=False) == {
        "n_shares": [4, 2, 1, 0],
        "n_coord_shares": [3, 2, 1, 0],
        "degree": [2, 1, 1, 0],
        "strength": [3, 2, 1, 0],
        "coord_share_ratio": [0.75, 1, 1, None],
        "coord_share_ratio_coornet": [pytest.approx(3 / 7), 0.5, 0.5, None],
        "coor_score": [1.5, 2, 1, None],
    }


def test_score_sharing__without_edges():
    shares = make_shares([("u", "a", 0), ("u", "b", 50)])
    cuts = cut_shares(shares, interval_seconds=1)
    found = score_sharing(shares, cuts.coordinated, project_accounts(shares, cuts).edges)
    assert found["strength"].to_list() == [0, 0]
    assert found["coor_score"].to_list() == [None, None]


# --- groups ----------------------------------------------------------------------------------


def test_summarise_sharing__averages_over_the_accounts_of_the_network():
    shares, mask = mark([(NEWS, a, 0) for a in "abcd"])
    accounts = list_accounts(
        [0, 0, None, 1], coord_share_ratio=[0.5, 1.0, 0.0, 0.75],
        coord_share_ratio_coornet=[1 / 3, 0.5, 0.0, 3 / 7], coor_score=[3.0, 1.0, None, 2.0],
        follower_count=[10, 40, 10**6, None],
    )  # fmt: skip
    found = summarise_sharing(tabulate_shares(shares, mask), accounts)
    columns = ("component", "n_accounts", "n_coord_shares", "avg_followers", "coord_share_ratio",
               "coord_share_ratio_coornet", "coor_score")  # fmt: skip
    assert found.select(columns).rows() == [
        (0, 2, 2, 25, 0.75, pytest.approx(5 / 12), 2), (1, 1, 1, None, 0.75, 3 / 7, 2),
    ]  # fmt: skip


def test_summarise_sharing__tells_full_domains_from_parent_domains():
    # Shares by full domain 3, 1, 1; by parent domain 4 (example.com), 1.
    # Gini of (1, 1, 3): |differences| 2 + 2 of 3 pairs, / (n sum) = 4 / 15; * 3/2 = 0.4.
    # Of (1, 4): 3 / 10; * 2 = 0.6.
    rows = [(NEWS, "a", 0), (NEWS, "a", 1), (NEWS, "b", 2), (VIDEO, "a", 0), (OTHER, "b", 0)]
    found = summarise([*rows, (VIDEO, "z", 0), (OTHER, "z", 0)], [0, 0, None])
    assert found.row(0, named=True) == {
        "component": 0, "n_accounts": 2, "n_coord_shares": 5, "avg_followers": None,
        "coord_share_ratio": 0.5, "coord_share_ratio_coornet": 0.25, "coor_score": 1,
        "n_full_domains": 3, "n_parent_domains": 2,
        "gini_full_domain": pytest.approx(0.4), "gini_parent_domain": pytest.approx(0.6),
        "gini_full_domain_biased": pytest.approx(4 / 15),
        "gini_parent_domain_biased": pytest.approx(0.3),
        "top_full_domains": ["www.news.example.com", "other.org", "video.example.com"],
        "top_parent_domains": ["example.com", "other.org"], "top_objects": [NEWS, OTHER, VIDEO],
    }  # fmt: skip


def test_summarise_sharing__of_one_domain_is_one_or_none_by_convention():
    found = summarise([(NEWS, "a", 0), (NEWS, "b", 0)], [0, 0])
    gini = found.select(pl.col("^gini_.*$")).row(0, named=True)
    assert {name for name, value in gini.items() if value == 1} == {
        "gini_full_domain", "gini_parent_domain",
    }  # fmt: skip
    assert sorted(gini.values()) == [0, 0, 1, 1]


def test_summarise_sharing__names_five_domains_and_not_their_ties():
    rows = [(f"site{n}.org/x", a, 0) for n in range(8) for a in "ab"]
    found = summarise(rows, [0, 0])
    assert found["n_full_domains"].to_list() == [8]
    assert found["top_full_domains"].to_list() == [[f"site{n}.org" for n in range(5)]]
    assert found["top_objects"].list.len().to_list() == [5]
    assert found["gini_full_domain"].to_list() == [0]
    two = summarise(rows, [0, 0], n_top=2)
    assert two["top_objects"].to_list() == [["site0.org/x", "site1.org/x"]]


def test_summarise_sharing__counts_coordinated_shares_only():
    rows = [(NEWS, "a", 0, "m1"), (NEWS, "b", 0, "m2"), (OTHER, "a", 0, "m3")]
    rows += [(OTHER, "b", 9, "m4")]
    found = summarise(rows, [0, 0], ["m1", "m2"])
    assert found.select("n_coord_shares", "n_full_domains").rows() == [(2, 1)]
    found = summarise(rows, [0, 0], [])
    assert found.select("n_accounts", "n_coord_shares", "top_objects").rows() == [(2, 0, None)]


def test_summarise_sharing__knows_domains_of_urls_only():
    shares, mask = mark([(NEWS, "a", 0), (NEWS, "b", 0)])
    marked = tabulate_shares(shares, mask).with_columns(kind=pl.lit("hashtag"))
    found = summarise_sharing(marked, list_accounts([0, 0]))
    domains = found.select("n_full_domains", "gini_full_domain", "top_full_domains")
    assert domains.rows() == [(None, None, None)]
    assert found["top_objects"].to_list() == [[NEWS]]


@pytest.mark.parametrize(
    ("url", "full", "parent"),
    [
        ("https://user@WWW.News.co.uk:8080/a?b#c", "www.news.co.uk", "news.co.uk"),
        ("example.com:80/a", "example.com", "example.com"),
        ("//m.example.com?x=1", "m.example.com", "example.com"),
        ("http://[2001:db8::1]:80/x", "[2001:db8::1]", "[2001:db8::1]"),
        ("example.com", "example.com", "example.com"),
    ],
)
def test_summarise_sharing__reads_hosts(url, full, parent):
    found = summarise([(url, "a", 0), (url, "b", 0)], [0, 0])
    assert found["top_full_domains"].to_list() == [[full]]
    assert found["top_parent_domains"].to_list() == [[parent]]


def test_summarise_sharing__parts_components_by_community():
    shares, mask = mark([(NEWS, a, 0) for a in "abc"] + [(OTHER, a, 0) for a in "bc"])
    accounts = list_accounts([0, 0, 0], community=[1, 0, 0])
    by = ("component", "community")
    found = summarise_sharing(tabulate_shares(shares, mask), accounts, by=by)
    columns = (*by, "n_accounts", "n_coord_shares", "n_full_domains")
    assert found.select(columns).rows() == [(0, 0, 2, 4, 2), (0, 1, 1, 1, 1)]


def gini_by_hand(sizes):
    """Return half the relative mean difference: biased, then unbiased."""
    n, mean = len(sizes), statistics.fmean(sizes)
    biased = sum(abs(a - b) for a, b in itertools.product(sizes, sizes)) / (2 * n * n * mean)
    return biased, biased * n / (n - 1) if n > 1 else 1


@given(st.lists(st.integers(1, 6), min_size=1, max_size=7))
def test_summarise_sharing__equals_the_definition_of_gini(sizes):
    rows = [(f"d{n}.org", "a", t) for n, size in enumerate(sizes) for t in range(size)]
    found = summarise([*rows, *((f"d{n}.org", "z", 0) for n in range(len(sizes)))], [0, None])
    biased, unbiased = gini_by_hand(sizes)
    assert found["gini_full_domain_biased"][0] == pytest.approx(biased, abs=1e-12)
    assert found["gini_full_domain"][0] == pytest.approx(unbiased, abs=1e-12)
    assert found["gini_full_domain"][0] == found["gini_parent_domain"][0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"n_top": 0}, "n_top is 0"), ({"by": ("cluster",)}, r"lack the columns \['cluster'\]")],
)
def test_summarise_sharing__refuses_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        summarise([(NEWS, "a", 0), (NEWS, "b", 0)], [0, 0], **settings)


# --- top objects and posts -------------------------------------------------------------------

# a, b are component 0, c, d component 1, e is in none.
ROWS = [
    ("u", "a", 0, "m0"), ("u", "b", 1, "m1"), ("u", "c", 2, "m2"), ("u", "e", 3, "m3"),
    ("v", "a", 4, "m4"), ("v", "b", 5, "m5"),
    ("w", "c", 6, "m6"), ("w", "d", 7, "m7"), ("w", "e", 8, "m8"),
    ("x", "e", 9, "m9"), ("x", "a", 99, "m10"),
]  # fmt: skip
COORDINATED = ["m0", "m1", "m2", "m4", "m5", "m6", "m7", "m9"]
ACCOUNTS = list_accounts([0, 0, 1, 1, None])
POSTS = pl.DataFrame(
    {
        "post": range(11),
        "like_count": [1, 2, 3, 4, 50, 60, 5, 5, None, 1000, 2000],
        "retweet_count": [1, 1, 1, 1, 0, 0, 6, 0, None, 0, 0],
        "reply_count": [3, 3, 3, 3, 0, 0, 2, 0, None, 0, 0],
        "quote_count": pl.Series([None] * 11, dtype=pl.Int64),
    }
)


def mark_rows():
    return tabulate_shares(*mark(ROWS, COORDINATED))


def test_rank_objects__lists_the_top_of_each_component():
    found = rank_objects(mark_rows(), ACCOUNTS, POSTS)
    columns = ("component", "rank", "object_id", "n_shares", "engagement", "n_coord_shares")
    # x has most engagement, but its one coordinated share is by an account outside the network.
    assert found.select(columns).rows() == [
        (0, 1, "v", 2, 110, 2), (0, 2, "u", 4, 26, 3), (1, 1, "u", 4, 26, 3), (1, 2, "w", 3, 18, 2),
    ]  # fmt: skip
    u = found.row(1, named=True)
    assert (u["like_count"], u["retweet_count"], u["reply_count"]) == (10, 4, 12)
    assert (u["quote_count"], u["comments_shares_ratio"]) == (None, 0.5)
    assert (u["n_accounts"], u["n_coord_accounts"], u["components"]) == (4, 3, [0, 1])
    assert u["coord_share_ratio"] == 0.75
    assert found.row(0, named=True)["comments_shares_ratio"] is None


def test_rank_objects__lists_the_top_of_all_and_of_communities():
    found = rank_objects(mark_rows(), ACCOUNTS, POSTS, by=None, order_by="n_shares", top=2)
    assert found.select("rank", "object_id", "n_shares").rows() == [(1, "u", 4), (2, "w", 3)]
    assert "component" not in found.columns
    accounts = ACCOUNTS.with_columns(community=pl.Series([0, 1, 2, 2, None], dtype=pl.Int32))
    found = rank_objects(mark_rows(), accounts, POSTS, by="community", top=1)
    assert found.select("community", "object_id", "components").rows() == [
        (0, "v", [0]), (1, "v", [0]), (2, "u", [0, 1]),
    ]  # fmt: skip


def test_rank_objects__breaks_ties_by_name_and_puts_the_unknown_last():
    posts = POSTS.select("post").with_columns(
        like_count=pl.when(pl.col("post") == 4).then(7).otherwise(None)
    )
    found = rank_objects(mark_rows(), ACCOUNTS, posts, by=None)
    assert found.select("object_id", "engagement").rows() == [("v", 7), ("u", None), ("w", None)]


def test_rank_posts__lists_coordinated_posts_of_the_network():
    found = rank_posts(mark_rows(), ACCOUNTS, POSTS, top=2)
    assert found.select("component", "rank", "content_id", "engagement", "time").rows() == [
        (0, 1, "m5", 60, 5000), (0, 2, "m4", 50, 4000),
        (1, 1, "m6", 13, 6000), (1, 2, "m2", 7, 2000),
    ]  # fmt: skip
    overall = rank_posts(mark_rows(), ACCOUNTS, POSTS, by=None, order_by="reply_count", top=1)
    columns = ("rank", "account_id", "content_id", "n_objects")
    assert overall.select(columns).rows() == [(1, "a", "m0", 1)]


def test_rank_posts__lists_a_post_once_for_all_its_objects():
    marked = tabulate_shares(*mark([(o, a, 0, f"m-{a}") for o in "uv" for a in "ab"]))
    marked = marked.with_columns(post=pl.col("account").cast(pl.Int64))
    found = rank_posts(marked, list_accounts([0, 0]), POSTS)
    assert found.select("content_id", "n_objects", "engagement").rows() == [
        ("m-b", 2, 6), ("m-a", 2, 5),
    ]  # fmt: skip


@pytest.mark.parametrize("rank", [rank_objects, rank_posts])
@pytest.mark.parametrize(
    ("settings", "message"),
    [({"order_by": "beauty"}, "order_by is 'beauty'"), ({"top": 0}, "top is 0")],
)
def test_ranks__refuse_bad_settings(rank, settings, message):
    with pytest.raises(ValueError, match=message):
        rank(mark_rows(), ACCOUNTS, POSTS, **settings)


@pytest.mark.parametrize("rank", [rank_objects, rank_posts])
def test_ranks__refuse_shares_without_posts(rank):
    marked = mark_rows().with_columns(post=pl.lit(None, pl.Int64))
    with pytest.raises(ValueError, match="do not know their posts"):
        rank(marked, ACCOUNTS, POSTS)


@given(st.permutations(range(len(ROWS))))
def test_tables__do_not_depend_on_the_order_of_the_marks(order):
    marked = mark_rows()
    for make in (
        lambda table: summarise_sharing(table, ACCOUNTS),
        lambda table: rank_objects(table, ACCOUNTS, POSTS),
        lambda table: rank_posts(table, ACCOUNTS, POSTS),
    ):
        assert_frame_equal(make(marked), make(marked[order]))
