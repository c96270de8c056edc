"""Each account's most similar ones are those of plain loops over all pairs, for any threads."""

import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpu_coord as gc
from gpu_coord.accounts.explanation import describe, explain
from gpu_coord.sharing.run import coact
from gpu_coord.sharing.similarity import describe_profiles, find_neighbours, rank_similar


def make_shares(rows, n_accounts, n_objects):
    """Return what is read of Shares, from (account, object) of each share."""
    account, object = np.array(rows, np.int32).reshape(-1, 2).T
    return SimpleNamespace(
        account=account, object=object, accounts=pl.DataFrame({"a": range(n_accounts)}),
        objects=pl.DataFrame({"o": range(n_objects)}),
    )  # fmt: skip


def weigh_by_hand(rows, n_accounts, idf):
    """Return {account: {object: weight}}."""
    users = {}
    for account, object in rows:
        users.setdefault(object, set()).add(account)
    profiles = {}
    for (account, object), n in Counter(rows).items():
        d = len(users[object])
        value = {"smooth": math.log((1 + n_accounts) / (1 + d)) + 1,
                 "plain": math.log(n_accounts / d)}[idf]  # fmt: skip
        if value > 0:
            profiles.setdefault(account, {})[object] = n * value
    return profiles


def compare_by_hand(one, other, measure):
    both = one.keys() & other.keys()
    if measure == "cosine":
        lengths = (math.sqrt(sum(w * w for w in each.values())) for each in (one, other))
        return sum(one[o] * other[o] for o in both) / math.prod(lengths)
    least = sum(min(one[o], other[o]) for o in both)
    return least / (sum(one.values()) + sum(other.values()) - least)


def list_by_hand(rows, n_accounts, idf, measure):
    """Return {account: {other: similarity}} of accounts with an object in common."""
    profiles = weigh_by_hand(rows, n_accounts, idf)
    return {
        i: {
            j: compare_by_hand(own, other, measure)
            for j, other in profiles.items()
            if i != j and own.keys() & other.keys()
        }
        for i, own in profiles.items()
    }


def check(rows, n_accounts, n_objects, *, idf, measure, n_neighbours, threads=1):
    profiles = describe_profiles(make_shares(rows, n_accounts, n_objects), idf=idf)
    found = find_neighbours(profiles, measure=measure, n_neighbours=n_neighbours, threads=threads)
    wanted = list_by_hand(rows, n_accounts, idf, measure)
    for account in range(n_accounts):
        own = found.source == account
        scores = wanted.get(account, {})
        best = sorted(scores.values(), reverse=True)[:n_neighbours]
        np.testing.assert_allclose(found.similarity[own], best, rtol=1e-9)
        targets = found.target[own].tolist()
        assert len(set(targets)) == len(targets)
        # Of equally similar ones any may stand there by rounding alone.
        np.testing.assert_allclose([scores[j] for j in targets], best, rtol=1e-9)
    assert (np.diff(found.source) >= 0).all()
    return found


MEASURES = pytest.mark.parametrize("measure", ["cosine", "jaccard"])


@MEASURES
@pytest.mark.parametrize("idf", ["smooth", "plain"])
@given(
    rows=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5)), min_size=1, max_size=60),
    n_neighbours=st.integers(1, 9),
)
def test_find_neighbours__equal_loops_over_all_pairs(measure, idf, rows, n_neighbours):
    check(rows, 9, 6, idf=idf, measure=measure, n_neighbours=n_neighbours)


@MEASURES
@pytest.mark.parametrize("n_rows", [500, 4000])
def test_find_neighbours__are_the_same_on_any_threads(measure, n_rows, monkeypatch):
    """Accounts with few products list whom they meet, others do not: there are both."""
    rng = np.random.default_rng(n_rows)
    rows = [(int(300 * a**2), int(60 * o**3)) for a, o in rng.random((n_rows, 2))]
    users = Counter(object for _, object in set(rows))
    products = Counter()
    for account, object in set(rows):
        products[account] += users[object]
    is_few = [16 * products[account] < 301 - account for account in products]
    assert any(is_few) == (n_rows == 500) and not all(is_few)
    choices = {"idf": "smooth", "measure": measure, "n_neighbours": 5}
    one = check(rows, 301, 60, **choices)
    monkeypatch.setattr("gpu_coord.sharing.similarity._BLOCK_PRODUCTS", 700)
    for threads in (1, 3):
        other = check(rows, 301, 60, **choices, threads=threads)
        for column, again in zip(one, other, strict=True):
            np.testing.assert_array_equal(column, again)


def test_find_neighbours__of_equals_are_the_first():
    rows = [(account, 0) for account in range(6)]
    found = find_neighbours(describe_profiles(make_shares(rows, 6, 1)), n_neighbours=2)
    assert found.target.tolist() == [1, 2, 0, 2, 0, 1, 0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("rows", [[], [(0, 0)], [(0, 0), (1, 1)], [(0, 0), (1, 0)]])
def test_find_neighbours__of_strangers_are_none(rows):
    """Under the plain IDF what all share counts nothing."""
    found = find_neighbours(describe_profiles(make_shares(rows, 2, 2), idf="plain"))
    assert found.source.size == found.target.size == found.similarity.size == 0


def test_find_neighbours__reports_how_far_it_is(monkeypatch):
    monkeypatch.setattr("gpu_coord.sharing.similarity._BLOCK_PRODUCTS", 10)
    rows = [(account, account % 3) for account in range(12)]
    done = []
    find_neighbours(
        describe_profiles(make_shares(rows, 12, 3)), report=lambda *seen: done.append(seen)
    )
    assert len(done) > 2 and done == sorted(done) and done[-1] == (12, 12)


def test_rank_similar__joins_who_is_near_either_way():
    """The second and the third are nearest to the first, which has room for one of them."""
    rows = [(0, 0), (1, 0), (0, 1), (2, 1), (2, 1), (1, 2), (2, 3), (2, 3), (2, 4)]
    shares = make_shares(rows, 4, 5)
    table = rank_similar(shares, "cosine", idf="smooth", n_neighbours=1, threads=1)
    by_hand = list_by_hand(rows, 4, "smooth", "cosine")
    assert table.select("source", "target").rows() == [(0, 1), (0, 2)]
    assert table["weight"].to_list() == pytest.approx([by_hand[0][1], by_hand[0][2]])


def test_coact__ranks_by_similarity_beside_its_layers(make_table_store, tmp_path):
    """A year apart: no pair within the window, and alike all the same."""
    rows = [(who, f"x{n}", f"{who}{n}", 86_400 * n + gap) for n in range(4)
            for who, gap in (("a", 0), ("b", 5), ("c", 31_536_000))]  # fmt: skip
    store = make_table_store(rows)
    run = coact(store, tmp_path / "run", layers=["co_object", "similar_object"], min_weight=2)
    layers = run.read("layers").sort("layer", "source", "target")
    ends = layers.select("layer", "source", "target", "weight", "window_seconds", "n_pairs").rows()
    assert ends == [
        ("co_object", "a", "b", 4.0, 60.0, 4),
        *(("similar_object", *pair, pytest.approx(1), None, 0) for pair in ("ab", "ac", "bc")),
    ]
    said = describe(explain(run, "a", "c"))
    assert "are 1.00 alike, from 0 to 1" in said[0] and "a ranking, not a test" in said[0]
    alone = coact(store, tmp_path / "alone", layers=["jaccard_object"], neighbours=1)
    assert alone.read("edges").height == 2
    with pytest.raises(ValueError, match="jaccard_object cannot be tested"):
        coact(store, tmp_path / "fused", layers=["jaccard_object"], merge="fused")


def test_coact__tells_of_each_account_how_similar_its_best_five_are(tmp_path):
    made = gc.simulate(tmp_path / "archive", preset="small", seed=3)
    store = gc.ingest(made.inputs, tmp_path / "store")
    run = gc.coact(store, tmp_path / "run", layers=["similar_url", "jaccard_hashtag", "co_url"])
    accounts, edges = run.read("accounts"), run.read("layers")
    names = [name for name in accounts.columns if name.startswith("best_")]
    assert names == ["best_similar_url", "best_jaccard_hashtag"]
    for name in names:
        of_layer = edges.filter(layer=name.removeprefix("best_"))
        wanted = []
        for account in accounts["account_id"]:
            own = of_layer.filter((pl.col("source") == account) | (pl.col("target") == account))
            wanted.append(sum(sorted(own["weight"], reverse=True)[:5]) / 5)
        assert accounts[name].to_list() == pytest.approx(wanted) and max(wanted) > 0.3
