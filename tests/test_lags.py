"""The excess-lag curve, against all pairs one by one, other nulls and planted truth."""

import dataclasses
import itertools

import numpy as np
import polars as pl
import pytest
from cells import (
    HOUR,
    build,
    draw_cells,
    expect_by_hand,
    fetch_pairs,
    list_pairs,
    prepare,
    tabulate_by_hand,
)
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy import stats

from gpu_coord.chance import curves
from gpu_coord.chance.days import Axis, draw_days, list_open_days
from gpu_coord.chance.lags import (
    _plan_copies,
    _select_cells,
    _sum_curve,
    measure_lags,
    tabulate_lags,
)
from gpu_coord.chance.strata import expect_pairs


def measure_by_hand(cells, accounts, max_lag, **where):
    """Return (observed, expected) summed over all ordered pairs of the accounts, by lag."""
    cells = {cell for cell in cells if cell[3] in accounts}
    rows = []
    for lag in range(max_lag + 1):
        observed = sum(
            (kind, entity, bin + lag, other) in cells
            for kind, entity, bin, account in cells
            for other in accounts
            if other != account
        )
        tables = tabulate_by_hand(cells, "day", lag, **where)
        pairs = list_pairs(max(accounts) + 1)
        expected = expect_by_hand(tables, max(accounts) + 1, pairs).sum()
        rows.append((observed, expected))
    return rows


def check_curve(found, wanted):
    assert found["lag"].to_list() == list(range(len(wanted)))
    assert found["observed"].to_list() == [observed for observed, _ in wanted]
    np.testing.assert_allclose(found["expected"], [expected for _, expected in wanted], rtol=1e-11)
    ratios = [o / e if e else None for o, e in wanted]
    assert found["ratio"].to_list() == pytest.approx(ratios)


@pytest.mark.parametrize(
    ("bin_seconds", "first_bin", "n_bins"),
    [(HOUR, 0, 72), (HOUR, -31, 50), (1800, 5, 70), (420, 3, 230), (5 * HOUR, 3, 60),
     (25 * HOUR, 3, 60)],
)  # fmt: skip
def test_measure_lags__equals_all_pairs_by_hand(bin_seconds, first_bin, n_bins, backend):
    cells = draw_cells(41, n_bins=n_bins, n_accounts=5, n_cells=150)
    where = {"n_bins": n_bins, "first_bin": first_bin, "bin_seconds": bin_seconds}
    found = measure_lags(build(cells, backend, **where), max_lag=30, n_copies=0)
    check_curve(found, measure_by_hand(cells, range(5), 30, **where))
    assert found["low"].null_count() == found["high"].null_count() == 31


@given(
    cells=st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 15), st.integers(0, 3)),
        min_size=1, max_size=40,
    ),
    first_bin=st.integers(-30, 30),
    accounts=st.sampled_from([(0, 1, 2, 3), (0, 2, 3), (1, 3)]),
)  # fmt: skip
def test_measure_lags__equals_pairs_of_any_accounts(cells, first_bin, accounts, backend):
    where = {"n_bins": 16, "first_bin": first_bin, "bin_seconds": HOUR}
    activity = build(cells, backend, n_accounts=4, **where)
    found = measure_lags(activity, max_lag=15, accounts=accounts, n_copies=0)
    check_curve(found, measure_by_hand(cells, accounts, 15, **where))


def test_measure_lags__is_the_sum_over_listed_pairs(backend):
    activity = build(draw_cells(42, n_bins=150), backend, n_bins=150)
    found = measure_lags(activity, max_lag=4, n_copies=0)
    for lag in range(5):
        index, margins, strata = prepare(activity, lag)
        expected = expect_pairs(strata, list_pairs(7)).sum()
        assert found["expected"][lag] == pytest.approx(expected, rel=1e-12)
        observed = fetch_pairs(index, margins).support.sum()
        assert found["observed"][lag] == observed
        assert found["ratio"][lag] == pytest.approx(observed / expected, rel=1e-12)


# ------------------------------------------------------------------ the band


def test_draw_days__draws_every_order_as_often():
    account = np.repeat(np.arange(12_000), 3)
    drawn = draw_days(account, 4, np.random.default_rng(43).random(account.size)).reshape(-1, 3)
    counts = [(drawn == order).all(axis=1).sum() for order in itertools.permutations(range(4), 3)]
    assert sum(counts) == 12_000
    assert stats.chisquare(counts).pvalue > 1e-4


def copy_cells(activity, n_copies):
    """Yield the cells, the bins and the axis of copies, and what their curve is summed from."""
    cells = _select_cells(activity, None)
    placed, days, calendar = _plan_copies(cells)
    for copy in range(n_copies):
        seed = (44, copy)
        bin = days.shuffle(np.random.default_rng(seed))
        moved = days.draw(np.random.default_rng(seed))
        yield cells, bin, days.axis, (placed, moved, calendar)


def test_copies__move_whole_days(backend):
    activity = build(draw_cells(44, n_bins=130), backend, n_bins=130, first_bin=5)
    for cells, after, axis, _ in copy_cells(activity, 3):
        assert axis == Axis(first_bin=0, n_bins=6 * 24, bin_seconds=HOUR)
        before = cells.bin + 5
        np.testing.assert_array_equal(before % 24, after % 24)
        moves = set(zip(cells.account.tolist(), (before // 24).tolist(), (after // 24).tolist()))  # noqa: B905
        assert len(moves) == len({move[:2] for move in moves})  # a day goes to one day,
        assert len(moves) == len({move[::2] for move in moves})  # and no two to the same
        assert {day for *_, day in moves} <= set(range(6))
        assert len({after - before for _, before, after in moves}) > 1


@pytest.mark.parametrize("max_table", [1 << 24, 0])
@pytest.mark.parametrize(
    ("n_bins", "far", "max_lag", "n_copies"), [(30, 0, 24, 3), (70, 0, 30, 3), (70, 9000, 1, 1)]
)
def test_copies__have_the_curve_of_all_pairs_by_hand(
    n_bins, far, max_lag, n_copies, max_table, backend, monkeypatch
):
    """Few days, so that lags reach across them and past the end; and days beyond a gap."""
    monkeypatch.setattr(curves, "_MAX_TABLE", max_table)
    cells = draw_cells(64, n_bins=n_bins, n_accounts=4, n_entities=2, n_cells=80)
    cells += [(k, e, far + b, i) for k, e, b, i in draw_cells(65, n_bins=n_bins, n_cells=80)]
    activity = build(cells, backend, n_bins=far + n_bins, first_bin=7)
    for chosen, bin, axis, copy in copy_cells(activity, n_copies):
        entity, account = chosen.entity.tolist(), chosen.account.tolist()
        moved = {(0, e, b, i) for e, b, i in zip(entity, bin.tolist(), account, strict=True)}
        where = {"n_bins": axis.n_bins, "first_bin": axis.first_bin, "bin_seconds": HOUR}
        wanted = np.array(measure_by_hand(moved, range(7), max_lag, **where), float)
        np.testing.assert_allclose(_sum_curve(*copy, max_lag), wanted, rtol=1e-11)


def test_tallies__of_parts_of_the_entities_add_up(backend):
    activity = build(draw_cells(66, n_bins=90), backend, n_bins=90)
    *_, (cells, moved, calendar) = next(copy_cells(activity, 1))
    whole = curves.tally_pairs(cells, moved, calendar, max_lag=24)
    cut = cells.start.size // 2
    parts = [cells._replace(start=cells.start[: cut + 1]), cells._replace(start=cells.start[cut:])]
    tallies = [curves.tally_pairs(part, moved, calendar, max_lag=24) for part in parts]
    for mine, theirs, all_of_them in zip(*tallies, whole, strict=True):
        np.testing.assert_array_equal(mine + theirs, all_of_them)


def test_copies__are_the_null_of_the_hour_on_the_mean(backend):
    """Independent orders of days: O is expected by hour of the day, E by entity."""
    n_bins = 24 * 8
    activity = build(draw_cells(45, n_bins=n_bins, n_cells=200), backend, n_bins=n_bins)
    curves = np.array([_sum_curve(*copy, 0)[0] for *_, copy in copy_cells(activity, 800)])
    error = curves.std(axis=0) / len(curves) ** 0.5
    for column, null in enumerate(("hour", "entity")):
        _, _, strata = prepare(activity, 0, null=null)
        wanted = expect_pairs(strata, list_pairs(7)).sum()
        assert abs(curves[:, column].mean() - wanted) < 4 * error[column]


def draw_rhythm(seed, *, n_days, n_accounts, lag=None):
    """Independent accounts that wake by day; with a lag, the others follow account 0."""
    rng = np.random.default_rng(seed)
    rate = np.tile(np.where(np.arange(24) // 8 == 1, 0.3, 0.02), n_days)
    active = rng.random((n_accounts, 24 * n_days)) < rate
    if lag:
        followed = active[0, :-lag] & (rng.random((n_accounts - 1, 24 * n_days - lag)) < 0.8)
        active[1:, lag:] |= followed
    account, bin = active.nonzero()
    return [(0, 0, k, i) for k, i in zip(bin.tolist(), account.tolist(), strict=True)]


def test_measure_lags__has_independent_rhythms_in_the_band(backend):
    activity = build(draw_rhythm(46, n_days=20, n_accounts=12), backend, n_bins=480)
    found = measure_lags(activity, max_lag=12)
    assert found["ratio"][0] > 1.5  # what the null leaves unexplained
    inside = found["ratio"].is_between(found["low"], found["high"])
    assert inside.sum() >= 11


def test_measure_lags__lies_outside_the_band_as_often_as_it_says(backend):
    outside = 0
    for seed in range(60):
        activity = build(draw_rhythm(seed, n_days=6, n_accounts=4), backend, n_bins=144)
        found = measure_lags(activity, max_lag=1, n_copies=4).row(1, named=True)
        outside += not found["low"] <= found["ratio"] <= found["high"]
    # 2 in 5 of 60: 24, give or take 3.8.
    assert 12 <= outside <= 36


def test_measure_lags__shows_the_lag_that_was_planted(backend):
    cells = draw_rhythm(47, n_days=30, n_accounts=8, lag=2)
    cells += [(0, 0, k, i + 8) for _, _, k, i in draw_rhythm(48, n_days=30, n_accounts=8)]
    activity = build(cells, backend, n_bins=720)
    group = measure_lags(activity, max_lag=12, accounts=range(8))
    excess = (group["ratio"] / group["high"]).to_list()
    # The followers act together (lag 0) and after account 0 (lag 2).
    assert excess[0] > 1.2
    assert excess[2] > 1
    assert max(excess[1:2] + excess[3:]) < 1
    others = measure_lags(activity, max_lag=12, accounts=range(8, 16))
    assert (others["ratio"] / others["high"]).max() < 1


def test_measure_lags__repeats_itself(backend):
    activity = build(draw_cells(49, n_bins=130), backend, n_bins=130)
    one = dataclasses.replace(activity, backend=dataclasses.replace(backend, threads=1))
    found = measure_lags(activity, max_lag=5, n_copies=7, seed=3)
    assert found.equals(measure_lags(one, max_lag=5, n_copies=7, seed=3))
    assert not found.equals(measure_lags(activity, max_lag=5, n_copies=7, seed=4))


def test_measure_lags__says_null_where_nothing_is_known(backend):
    one_day = build([(0, 0, 3, 0), (0, 0, 5, 1)], backend, n_bins=24)
    found = measure_lags(one_day, max_lag=2)
    assert found["observed"].to_list() == [0, 0, 1]
    assert found["ratio"].null_count() == 0
    assert found["low"].null_count() == found["high"].null_count() == 3
    apart = build([(0, 0, 3, 0), (0, 1, 40, 1)], backend, n_bins=48)
    found = measure_lags(apart, max_lag=2)
    assert found["observed"].to_list() == [0, 0, 0]
    assert found["expected"].to_list() == [0, 0, 0]
    assert found.select("ratio", "low", "high").null_count().row(0) == (3, 3, 3)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"max_lag": 200}, "lag is 200"),
        ({"max_lag": -1}, "lag is -1"),
        ({"accounts": [3]}, "there are 1 accounts"),
        ({"accounts": []}, "there are 0 accounts"),
        ({"accounts": [0, 7]}, "account 7 is no row of the 7"),
        ({"accounts": [0, -1]}, "account -1 is no row"),
        ({"n_copies": -1}, "n_copies is -1"),
    ],
)
def test_measure_lags__refuses(choices, message, backend):
    activity = build(draw_cells(50, n_bins=130), backend, n_bins=130)
    with pytest.raises(ValueError, match=message):
        measure_lags(activity, **choices)


def test_measure_lags__refuses_a_band_for_bins_that_do_not_divide_a_day(backend):
    activity = build(draw_cells(51, n_bins=300), backend, n_bins=300, bin_seconds=420)
    with pytest.raises(ValueError, match="bins of 420 s do not divide a day"):
        measure_lags(activity)


def test_tabulate_lags__is_the_curve_of_all_and_of_each_group(backend):
    activity = build(draw_cells(50, n_bins=120), backend, n_bins=120)
    members = pl.DataFrame({"group": [0, 0, 0, 1, 1], "account": [3, 1, 2, 0, 4]})
    table = tabulate_lags(activity, members, max_lag=3, seed=2)
    wanted = {None: None, 0: [1, 2, 3], 1: [0, 4]}
    assert table["group"].unique(maintain_order=True).to_list() == list(wanted)
    for group, accounts in wanted.items():
        curve = measure_lags(activity, max_lag=3, accounts=accounts, seed=2)
        part = table.filter(pl.col("group").eq_missing(pl.lit(group))).drop("group")
        assert_frame_equal(part, curve)


def test_tabulate_lags__takes_the_lags_and_the_band_that_there_are(backend):
    nobody = pl.DataFrame(schema={"group": pl.Int32, "account": pl.Int32})
    short = tabulate_lags(build(draw_cells(51, n_bins=10), backend, n_bins=10), nobody)
    assert short["lag"].to_list() == list(range(9))
    odd = build(draw_cells(52, n_bins=100), backend, n_bins=100, bin_seconds=420)
    assert tabulate_lags(odd, nobody)["low"].null_count() == 25
    alone = build([(0, 0, 1, 0)], backend, n_bins=5, n_accounts=1)
    assert tabulate_lags(alone, nobody).is_empty()


# ------------------------------------------------------------------ a stray post


def test_measure_lags__equals_all_pairs_by_hand_across_empty_days(backend):
    """Days without a cell lie before, between and behind: blocks are numbered by hand as days."""
    n_bins = 24 * 60
    near = [(k, e, 400 + b, i) for k, e, b, i in draw_cells(61, n_bins=60, n_accounts=4)]
    cells = [*near, (0, 0, n_bins - 1, 0), (0, 0, n_bins - 2, 1), (0, 0, 3, 2), (0, 0, 700, 1)]
    where = {"n_bins": n_bins, "first_bin": 7, "bin_seconds": HOUR}
    found = measure_lags(build(cells, backend, **where), max_lag=26, n_copies=0)
    check_curve(found, measure_by_hand(cells, range(4), 26, **where))


def test_measure_lags__takes_no_room_for_empty_centuries(backend):
    """At lag 0 a post on an entity of its own changes nothing, whenever it was."""
    cells = draw_cells(62, n_bins=120, n_accounts=5)
    far = 2**31 - 2
    alone = measure_lags(build(cells, backend, n_bins=120), max_lag=0, n_copies=3)
    stray = build([*cells, (0, 9, far, 0)], backend, n_bins=far + 1)
    found = measure_lags(stray, max_lag=0, n_copies=3)
    columns = ["observed", "expected", "ratio"]
    assert_frame_equal(found.select(columns), alone.select(columns))
    assert found["low"][0] < found["high"][0]  # copies still coincide


@pytest.mark.parametrize(
    ("days", "wanted"),
    [
        ([5, 2, 2], [2, 3, 4, 5]),
        ([-3, -1], [-3, -2, -1]),
        ([2, 369], range(2, 370)),  # 366 days lie between
        ([1, 2, 370, 372], [1, 2, 370, 371, 372]),  # 367
        ([7], [7]),
        ([], []),
    ],
)
def test_list_open_days__leaves_out_gaps_of_more_than_366_days(days, wanted):
    assert list_open_days(np.array(days, np.int64)).tolist() == list(wanted)


def test_copies__do_not_spread_days_over_empty_years(backend):
    near = [(k, e, 48 + b, i) for k, e, b, i in draw_cells(63, n_bins=96)]
    n_bins = 24 * 40_000
    stray = [(0, 0, n_bins - 1, 0), (0, 0, n_bins - 1, 1)]
    activity = build([*near, *stray], backend, n_bins=n_bins)
    _, bin, axis, _ = next(copy_cells(activity, 1))
    assert set((bin // 24).tolist()) <= {0, 1, 2, 3, 4, 5, 39_999}
    assert axis == Axis(0, n_bins, HOUR)
