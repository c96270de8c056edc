"""The score to read accounts by, against plain loops; who comes first where the truth is known."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpu_coord as gc
from gpu_coord.activity.cells import build_activity
from gpu_coord.activity.counts import count_margins, index_cells
from gpu_coord.backend import choose
from gpu_coord.chance import coactivity
from gpu_coord.chance.coactivity import rank_weights, score_coactivity
from gpu_coord.chance.tests import assess_pairs
from gpu_coord.sharing.merging import FusedTests
from gpu_coord.trust.evaluation.rankings import compute_auc


def rank_by_hand(values):
    """Return the share of accounts below each, equal ones counting half, itself as well."""
    below = [sum(other < mine for other in values) for mine in values]
    equal = [sum(other == mine for other in values) for mine in values]
    return [(b + e / 2) / len(values) for b, e in zip(below, equal, strict=True)]


def score_by_hand(found, n_accounts):
    """Return co-activity and its parts from {(source, target): (p, hours)}."""
    shares, joined = [], []
    for account in range(n_accounts):
        own = [each for pair, each in found.items() if account in pair]
        mine = sorted(max(p, 0.2) if hours == 1 else p for p, hours in own)
        shares.append(sum(p <= 0.05 for p in mine) / (len(mine) + 5))
        joined.append(min([1.0, *(p * len(mine) / k for k, p in enumerate(mine, 1))]))
    # Equal but for the last bits is equal.
    ranks = rank_by_hand(shares), rank_by_hand([-round(math.log(p), 9) for p in joined])
    score = [math.sqrt((a * a + b * b) / 2) for a, b in zip(*ranks, strict=True)]
    return score, shares, joined


N_ACCOUNTS = 8
PAIRS = st.integers(0, N_ACCOUNTS**2 - 1).filter(
    lambda pair: pair % N_ACCOUNTS != pair // N_ACCOUNTS
)
TESTS = st.tuples(
    st.floats(0, 1, exclude_min=True) | st.sampled_from([1.0, 0.05, 0.2, 1e-300]),
    st.integers(1, 4),
)


@given(found=st.dictionaries(PAIRS, TESTS), block=st.sampled_from([1, 3, 10**6]))
def test_score_coactivity__equals_plain_loops(found, block):
    pairs = sorted(found)
    p, hours = (np.array([found[pair][k] for pair in pairs]) for k in (0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coactivity, "_BLOCK", block)
        scored = score_coactivity(
            np.array(pairs, np.int64), np.log(p), hours, n_accounts=N_ACCOUNTS
        )
    by_ends = {divmod(pair, N_ACCOUNTS): each for pair, each in found.items()}
    wanted = score_by_hand(by_ends, N_ACCOUNTS)
    np.testing.assert_allclose(scored.unusual_share, wanted[1], rtol=1e-12)
    np.testing.assert_allclose(scored.simes_p_value, wanted[2], rtol=1e-9)
    np.testing.assert_allclose(scored.co_activity, wanted[0], rtol=1e-12)


def test_score_coactivity__of_nobody_who_met_is_a_half():
    scored = score_coactivity(np.empty(0, np.int64), np.empty(0), np.empty(0), n_accounts=3)
    assert scored.co_activity.tolist() == pytest.approx([0.5] * 3)
    assert (scored.unusual_share.tolist(), scored.simes_p_value.tolist()) == ([0] * 3, [1] * 3)


def test_rank_weights__is_the_share_of_accounts_below():
    assert rank_weights(np.array([0.0, 2.0, 0.0, 1.0])).tolist() == rank_by_hand([0, 2, 0, 1])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    made = gc.simulate(folder / "archive", preset="small", seed=3)
    store = gc.ingest(made.inputs, folder / "store")
    truth = pl.read_parquet(made.truth_accounts)
    return folder, store, truth


def find_auc(run, truth):
    accounts = run.read("accounts")
    assert accounts["co_activity"].null_count() == 0
    assert accounts["co_activity"].is_between(0, 1).all()
    known = accounts.join(truth, on="account_id", how="left", maintain_order="left")
    is_planted = known["label_right"].eq_missing("operation").to_numpy()
    return compute_auc(accounts["co_activity"].to_numpy(), is_planted)


@pytest.mark.parametrize(
    ("choices", "is_tested"),
    [({}, True), ({"paper": True}, False), ({"tier": "beyond_habit"}, True)],
)
def test_detect__scores_every_account(simulated, tmp_path, choices, is_tested):
    """The operation of the simulation is the head of the list; no choice of a network matters."""
    _, store, truth = simulated
    run = gc.detect(store, tmp_path / "run", groups=0, **choices)
    assert find_auc(run, truth) > 0.95
    accounts = run.read("accounts")
    assert ("simes_p_value" in accounts.columns) is is_tested


def test_detect__asks_all_pairs_of_an_account(simulated, tmp_path):
    """Also those that are no edges; hours are those of the lag at which the two met most."""
    _, store, _ = simulated
    run = gc.detect(store, tmp_path / "run", groups=0, kinds=["hashtag"], min_weight=0.2)
    activity = build_activity(store, kinds=("hashtag",), backend=choose("cpu"))
    index = index_cells(activity)
    tests = assess_pairs(activity, index, [count_margins(index, lag) for lag in (0, 1)])
    found = {}
    for pair, log_p in zip(tests.pair.tolist(), tests.log_p.tolist(), strict=True):
        found[pair] = [np.exp(log_p), 0]
    for each in tests.by_lag:
        for pair, hours in zip(each.pair.tolist(), each.n_hours.tolist(), strict=True):
            found[pair][1] = max(found[pair][1], hours)
    by_ends = {divmod(pair, activity.n_accounts): each for pair, each in found.items()}
    wanted = score_by_hand(by_ends, activity.n_accounts)
    accounts = run.read("accounts")
    assert accounts["account_id"].to_list() == activity.accounts["account_id"].to_list()
    assert len(found) > run.read("edges").height
    for name, expected in zip(accounts.columns[2:5], wanted, strict=True):
        np.testing.assert_allclose(accounts[name], expected, rtol=1e-9, err_msg=name)


def test_share_and_coact__score_every_account(simulated, tmp_path):
    _, store, _ = simulated
    runs = {
        "strict": gc.share(store, tmp_path / "strict", kinds=["hashtag", "url"], window="10m"),
        "qut": gc.share(store, tmp_path / "qut", kinds=["url"], window="10m", mode="qut"),
        "fused": gc.coact(
            store, tmp_path / "fused", layers=["co_url", "co_hashtag"], window="10m", merge="fused"
        ),
        "union": gc.coact(store, tmp_path / "union", layers=["similar_url", "co_hashtag"]),
    }
    for name, run in runs.items():
        accounts = run.read("accounts")
        assert accounts["co_activity"].is_between(0, 1).all(), name
        assert ("unusual_share" in accounts.columns) is (name in {"strict", "fused"})
        if name in {"qut", "union"}:
            weight = (accounts["influence"] + accounts["in_weight"]).to_numpy()
            np.testing.assert_array_equal(accounts["co_activity"], rank_weights(weight))


@pytest.mark.parametrize("has_reference", [True, False])
def test_rank_accounts__takes_habits_where_no_reference_is(has_reference):
    n, pair = 4, np.array([1, 6, 11], np.int64)
    news, habit = np.log([0.5, 0.01, 0.9]), np.log([0.001, 0.01, 0.02])
    hours = np.array([3, 4, 5])
    tests = FusedTests(n, 0.05, 6, pair, news, habit, hours, has_reference, np.ones(3), np.ones(3))
    wanted = score_coactivity(pair, news if has_reference else habit, hours, n_accounts=n)
    for found, expected in zip(tests.rank_accounts(), wanted, strict=True):
        np.testing.assert_array_equal(found, expected)
