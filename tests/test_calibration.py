"""Copies without coordination: what they keep, and what is counted in them."""

from collections import Counter, defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from gpu_coord.activity.cells import build_activity
from gpu_coord.backend import cpu
from gpu_coord.trust.calibration import calibrate, find_interval, list_quantiles, permute_days
from gpu_coord.trust.settings import CalibrateSettings

HOUR, DAY = 3600, 86_400
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "account": st.sampled_from("abcd"),
            "kind": st.just("hashtag"),
            "entity": st.sampled_from("xy"),
            "time_seconds": st.integers(30, 300).map(lambda hour: HOUR * hour),
        }
    ),
    min_size=1,
    max_size=40,
)


def event(account, hour, entity="x"):
    return {"account": account, "kind": "hashtag", "entity": entity, "time_seconds": HOUR * hour}


def follow(n_days=24):
    """Return events in which lead is followed an hour later, each day at another hour."""
    rng = np.random.default_rng(5)
    events = [
        event(f"u{u}", 24 * d + h)
        for u in range(10)
        for d in range(n_days)
        for h in rng.choice(24, 2)
    ]
    for day, hour in enumerate(rng.integers(0, 23, n_days)):
        events += [event("lead", 24 * day + hour), event("amp", 24 * day + hour + 1)]
    return events


def list_cells(activity):
    """Return (account, entity, day, hour) of every cell, days since the epoch."""
    bins = activity.first_bin + activity.bin
    return list(
        zip(
            activity.account.tolist(), activity.entity.tolist(),
            (bins // 24).tolist(), (bins % 24).tolist(), strict=True,
        )
    )  # fmt: skip


@given(events=EVENTS, seed=st.integers(0, 5))
def test_permute_days__moves_whole_days_of_each_account(make_store, events, seed):
    activity = build_activity(make_store(events), kinds=("hashtag",), backend=cpu())
    permuted = permute_days(activity, seed=seed)
    before, after = list_cells(activity), list_cells(permuted)
    assert len(set(after)) == len(after) == len(before)
    assert Counter((a, e, h) for a, e, _, h in before) == Counter((a, e, h) for a, e, _, h in after)
    # What an account does in a day is what it does in some day of the copy.
    for cells in (before, after):
        assert {day for *_, day, _ in cells} <= set(
            range(permuted.first_bin // 24, (permuted.first_bin + permuted.n_bins) // 24)
        )
    assert list_days(before) == list_days(after)
    assert permuted.n_bins % 24 == permuted.first_bin % 24 == 0
    order = np.lexsort((permuted.account, permuted.bin, permuted.entity))
    assert (order == np.arange(order.size)).all()


def list_days(cells):
    """Return, by account, the contents of its days, however they are ordered."""
    days = defaultdict(set)
    for account, entity, day, hour in cells:
        days[account, day].add((entity, hour))
    by_account = defaultdict(Counter)
    for (account, _), content in days.items():
        by_account[account][frozenset(content)] += 1
    return by_account


def test_permute_days__of_two_accounts_are_not_the_same(make_store):
    events = [event(name, 24 * day) for name in "ab" for day in range(0, 30, 3)]
    activity = build_activity(make_store(events), kinds=("hashtag",), backend=cpu())
    permuted = permute_days(activity, seed=1)
    days = [{day for a, _, day, _ in list_cells(permuted) if a == account} for account in (0, 1)]
    assert days[0] != days[1]
    again, other = permute_days(activity, seed=1), permute_days(activity, seed=2)
    assert (again.bin == permuted.bin).all() and not (other.bin == permuted.bin).all()


def test_permute_days__draws_each_day_equally_often(make_store):
    events = [event(f"u{u:04}", 24) for u in range(2000)] + [event("u0000", 24 * 10 + 5)]
    activity = build_activity(make_store(events), kinds=("hashtag",), backend=cpu())
    permuted = permute_days(activity, seed=3)
    counts = np.bincount(permuted.bin // 24, minlength=10)
    assert counts.size == 10
    assert abs(counts - 200).max() < 4.5 * np.sqrt(200)


def test_permute_days__refuses_bins_that_do_not_fill_a_day(make_store):
    activity = build_activity(make_store([event("a", 0)]), kinds=("hashtag",), bin="7m")
    with pytest.raises(ValueError, match="bins of 420 s do not divide a day"):
        permute_days(activity, seed=0)


@pytest.mark.parametrize(("n_hits", "n_trials"), [(0, 20), (3, 20), (20, 20), (1, 1)])
def test_find_interval__is_that_of_clopper_and_pearson(n_hits, n_trials):
    exact = binomtest(n_hits, n_trials).proportion_ci(method="exact")
    assert find_interval(n_hits, n_trials) == pytest.approx([exact.low, exact.high])


def test_list_quantiles__ranks_all_pairs():
    log_p = np.log(np.array([0.5, 1e-6, 0.01]))
    table = list_quantiles(log_p, n_tests=20)
    assert table["rank"].to_list() == [1, 2, 3]
    assert table["observed"].to_list() == pytest.approx([6, 2, -np.log10(0.5)])
    assert table["expected"].to_list() == pytest.approx([-np.log10(k / 21) for k in (1, 2, 3)])


def test_calibrate__finds_in_the_data_what_the_copies_lack(make_store, tmp_path):
    seen = []
    found = calibrate(
        make_store(follow()), tmp_path / "cal", n_copies=4, groups=0, kinds=("hashtag",),
        backend=cpu(), progress=lambda *report: seen.append(report),
    )  # fmt: skip
    assert {file.name for file in found.path.iterdir()} == {
        "calibration.json", "copies.parquet", "quantiles.parquet", "qq.png",
    }  # fmt: skip
    copies = found.read("copies")
    assert copies["copy"].to_list() == [None, 1, 2, 3, 4]
    assert copies["n_beyond_habit"].to_list() == [1, 0, 0, 0, 0]
    assert found.summary["n_beyond_habit"] == 1
    assert found.summary["false_edges"] == {
        "per_copy": 0.0, "n_copies_with_any": 0,
        "share_interval": pytest.approx([0, 1 - 0.025**0.25]),
    }  # fmt: skip
    assert "n_groups" not in copies.columns
    assert seen[:2] == [("activity", 0, 1), ("activity", 1, 1)]
    assert [report for report in seen if report[2] == 5] == [("copies", n, 5) for n in range(5)]
    assert seen[-1] == ("copies", 1, 1)
    figure = (found.path / "qq.png").read_bytes()
    assert figure.startswith(b"\x89PNG") and len(figure) > 10_000
    settings = CalibrateSettings(kinds=("hashtag",), groups=0, n_copies=4)
    assert found.content["specification"] == settings.compute_hash()


def test_calibrate__tests_groups_unless_told_not_to(make_store, tmp_path):
    found = calibrate(
        make_store(follow()), tmp_path / "cal", n_copies=1, kinds=("hashtag",), backend=cpu()
    )
    assert found.summary["n_groups"] == 0
    assert found.summary["false_groups"]["n_copies_with_any"] == 0


def test_calibrate__without_any_coincidence_has_no_quantiles(make_store, tmp_path):
    store = make_store([event("a", 0), event("b", 50)])
    found = calibrate(store, tmp_path / "cal", n_copies=1, groups=0, kinds=("hashtag",))
    assert found.read("quantiles").filter(pl.col("copy").is_null()).is_empty()
