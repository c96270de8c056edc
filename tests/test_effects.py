"""Effect sizes of pairs, against tables by hand, other tools and planted truth."""

import numpy as np
import pytest
from cells import HOUR, NULLS, build, draw_cells, fetch_pairs, list_pairs, prepare
from scipy import stats

from gpu_coord.activity.counts import PairCounts
from gpu_coord.chance.effects import compare_directions, count_listed, measure_effects

WHERE = {"n_bins": 100, "first_bin": 7, "bin_seconds": HOUR}


def count_by_hand(cells, i, j, lag):
    return sum((*used, bin + lag, j) in cells for *used, bin, account in cells if account == i)


def list_counted(cells, n_accounts, lag):
    """Return all pairs with their coincidences."""
    pairs = list_pairs(n_accounts)
    support = [count_by_hand(set(cells), i, j, lag) for i, j in zip(*iter_ends(pairs), strict=True)]
    return PairCounts(pairs.source, pairs.target, np.array(support))


def iter_ends(pairs):
    return pairs.source.tolist(), pairs.target.tolist()


def tabulate_pair(cells, null, lag, i, j, **where):
    """Return the 2x2 tables (n11, T, a, b) of a pair in every stratum that is not empty."""
    n_bins, first_bin, bin_seconds = (where[key] for key in ("n_bins", "first_bin", "bin_seconds"))
    width = {"entity": 10**9, "day": 24 * HOUR, "six_hours": 6 * HOUR}
    steps = {}
    for k in range(n_bins - lag):
        second = (first_bin + k) * bin_seconds
        label = second // HOUR % 24 if null == "hour" else second // width[null]
        steps.setdefault(label, []).append(k)
    tables = []
    for kind, entity in sorted({cell[:2] for cell in cells}):
        for stratum in steps.values():
            x = [(kind, entity, k, i) in cells for k in stratum]
            y = [(kind, entity, k + lag, j) in cells for k in stratum]
            both = sum(p and q for p, q in zip(x, y, strict=True))
            tables.append((both, len(stratum), sum(x), sum(y)))
    return tables


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("lag", [0, 1, 3])
def test_measure_effects__equals_tables_by_hand(null, lag, backend):
    cells = draw_cells(21, n_bins=100, n_accounts=5, n_cells=250)
    _, _, strata = prepare(build(cells, backend, **WHERE), lag, null=null)
    pairs = list_counted(cells, 5, lag)
    found = measure_effects(strata, pairs)
    for row, (i, j) in enumerate(zip(*iter_ends(pairs), strict=True)):
        tables = tabulate_pair(set(cells), null, lag, i, j, **WHERE)
        assert found.observed[row] == sum(both for both, *_ in tables)
        expected = sum(a * b / n for _, n, a, b in tables)
        split = [table for table in tables if table[1] > 1]
        variance = sum(a * (n - a) * b * (n - b) / (n**2 * (n - 1)) for _, n, a, b in split)
        exposure = sum(a * (n - a) / n for _, n, a, b in tables if b)
        excess = found.observed[row] - expected
        assert found.expected[row] == pytest.approx(expected)
        assert found.variance[row] == pytest.approx(variance)
        assert found.log_odds[row] == pytest.approx(excess / variance)
        width = found.log_odds_high[row] - found.log_odds_low[row]
        assert width == pytest.approx(2 * stats.norm.ppf(0.975) / variance**0.5)
        middle = (found.log_odds_high[row] + found.log_odds_low[row]) / 2
        assert middle == pytest.approx(found.log_odds[row])
        assert found.risk_difference[row] == pytest.approx(excess / exposure)
        assert found.risk_difference_error[row] == pytest.approx(variance**0.5 / exposure)


@pytest.mark.parametrize("null", NULLS)
def test_measure_effects__agrees_with_statsmodels(null, backend):
    """The statistic of its Cochran-Mantel-Haenszel test is (O - E)^2 / V."""
    from statsmodels.stats.contingency_tables import StratifiedTable

    cells = draw_cells(22, n_bins=100, n_accounts=4, n_cells=300)
    _, _, strata = prepare(build(cells, backend, **WHERE), 1, null=null)
    pairs = list_counted(cells, 4, 1)
    found = measure_effects(strata, pairs)
    for row, (i, j) in enumerate(zip(*iter_ends(pairs), strict=True)):
        tables = [
            np.array([[both, a - both], [b - both, n - a - b + both]], float)
            for both, n, a, b in tabulate_pair(set(cells), null, 1, i, j, **WHERE)
            if n > 1
        ]
        test = StratifiedTable(tables).test_null_odds(correction=False)
        statistic = (found.observed[row] - found.expected[row]) ** 2 / found.variance[row]
        # Strata of one transition have no variance, and what is expected of them is observed.
        assert statistic == pytest.approx(test.statistic)


def test_measure_effects__weighs_strata_as_mantel_and_haenszel(backend):
    """The mean of the strata's risk differences, weights (T - a) a / T, where the target is."""
    cells = draw_cells(23, n_bins=96, n_accounts=3, n_entities=2, n_cells=120)
    where = {**WHERE, "n_bins": 96}
    _, _, strata = prepare(build(cells, backend, **where), 1)
    pairs = list_counted(cells, 3, 1)
    found = measure_effects(strata, pairs).risk_difference
    for row, (i, j) in enumerate(zip(*iter_ends(pairs), strict=True)):
        tables = [
            table
            for table in tabulate_pair(set(cells), "day", 1, i, j, **where)
            if table[3] and 0 < table[2] < table[1]
        ]
        differences = [both / a - (b - both) / (n - a) for both, n, a, b in tables]
        weights = [a * (n - a) / n for _, n, a, _ in tables]
        assert found[row] == pytest.approx(np.average(differences, weights=weights))


def test_measure_effects__bounds_ratios_as_scipy_bounds_poisson_means(backend):
    cells = draw_cells(24, n_bins=100, n_accounts=6, n_cells=200)
    _, _, strata = prepare(build(cells, backend, **WHERE), 1)
    pairs = list_counted(cells, 6, 1)
    found = measure_effects(strata, pairs)
    assert {0, 1} < set(pairs.support.tolist())
    shared = found.expected > 0
    observed, expected = found.observed[shared], found.expected[shared]
    low = np.where(observed > 0, stats.chi2.ppf(0.025, 2 * observed) / 2, 0)
    high = stats.chi2.ppf(0.975, 2 * observed + 2) / 2
    np.testing.assert_allclose(found.ratio[shared], observed / expected)
    np.testing.assert_allclose(found.ratio_low[shared], low / expected)
    np.testing.assert_allclose(found.ratio_high[shared], high / expected)


def test_measure_effects__is_the_mean_over_phases(backend):
    cells = draw_cells(25, n_bins=90, n_accounts=4)
    where = {**WHERE, "n_bins": 90}
    _, _, strata = prepare(build(cells, backend, **where), 1, n_phases=3)
    pairs = list_counted(cells, 4, 1)
    found = measure_effects(strata, pairs)
    singly = [
        # An axis that begins 8 or 16 hours later has its blocks so much earlier.
        measure_effects(prepare(build(cells, backend, **shifted), 1)[2], pairs)
        for shifted in ({**where, "first_bin": 7 + offset} for offset in (0, 8, 16))
    ]
    for name in ("expected", "variance"):
        wanted = np.mean([getattr(effects, name) for effects in singly], axis=0)
        np.testing.assert_allclose(getattr(found, name), wanted, rtol=1e-12)
    exposures = [np.sqrt(each.variance) / each.risk_difference_error for each in singly]
    wanted = (found.observed - found.expected) / np.mean(exposures, axis=0)
    np.testing.assert_allclose(found.risk_difference, wanted, rtol=1e-12)


def test_measure_effects__says_nan_where_nothing_can_be_said(backend):
    # 0 and 1 share nothing; 2 is active in every bin of its only stratum.
    cells = [(0, 0, 3, 0), (0, 1, 4, 1), *((0, 2, k, 2) for k in range(24)), (0, 2, 5, 3)]
    _, _, strata = prepare(build(cells, backend, n_bins=24), 0)
    pairs = PairCounts(np.array([0, 2, 3]), np.array([1, 3, 2]), np.array([0, 1, 1]))
    found = measure_effects(strata, pairs)
    assert np.isnan(found.ratio).tolist() == [True, False, False]
    assert np.isnan(found.log_odds).all()
    assert np.isnan(found.risk_difference).tolist() == [True, True, False]
    assert np.isnan(compare_directions(found, found)).all()
    assert found.ratio[1:] == pytest.approx([1, 1])


def test_measure_effects__refuses_popularity(backend):
    cells = draw_cells(26, n_bins=50)
    _, _, strata = prepare(build(cells, backend, n_bins=50), 1, null="popularity")
    with pytest.raises(ValueError, match="'popularity' has no tables"):
        measure_effects(strata, list_pairs(7))


def plant(seed, backend, *, n_days, odds):
    """Return an activity in which account 1 is active after account 0 at other odds; and cells."""
    rng = np.random.default_rng(seed)
    n_bins = 24 * n_days
    leader = rng.random(n_bins) < 0.3
    rate = 0.2 * np.ones(n_bins)
    follow = 0.25 * odds / (1 + 0.25 * odds)
    rate[1:][leader[:-1]] = follow
    active = [leader, rng.random(n_bins) < rate]
    cells = [(0, 0, k, i) for i in (0, 1) for k in np.flatnonzero(active[i]).tolist()]
    return build(cells, backend, n_bins=n_bins), cells


@pytest.mark.parametrize("odds", [1.0, 2.0, 3.0])
def test_measure_effects__recovers_planted_odds_and_risk(odds, backend):
    activity, cells = plant(27, backend, n_days=150, odds=odds)
    index, margins, strata = prepare(activity, 1)
    there = measure_effects(strata, count_listed(index, margins, [0], [1]))
    back = measure_effects(strata, count_listed(index, margins, [1], [0]))
    assert there.log_odds_low[0] < np.log(odds) < there.log_odds_high[0]
    planted = 0.25 * odds / (1 + 0.25 * odds) - 0.2
    assert abs(there.risk_difference[0] - planted) < 3 * there.risk_difference_error[0]
    assert there.observed[0] == count_by_hand(set(cells), 0, 1, 1)
    z = compare_directions(there, back)[0]
    assert z > 3 if odds > 1 else abs(z) < 3


def test_compare_directions__has_standard_errors_of_one_under_the_null(backend):
    rng = np.random.default_rng(28)
    n_days, n_accounts = 40, 50
    rates = rng.uniform(0.1, 0.4, (n_accounts, n_days))
    active = rng.random((n_accounts, n_days, 24)) < rates[:, :, None]
    account, day, hour = np.nonzero(active)
    cells = [
        (0, 0, k, i) for k, i in zip((24 * day + hour).tolist(), account.tolist(), strict=True)
    ]
    index, margins, strata = prepare(build(cells, backend, n_bins=24 * n_days), 1)
    source, target = np.triu_indices(n_accounts, 1)
    there, back = (
        measure_effects(strata, count_listed(index, margins, *ends))
        for ends in ((source, target), (target, source))
    )
    z = compare_directions(there, back)
    # 1,225 pairs: the standard deviation is known to about 2 %.
    assert z.std() == pytest.approx(1, abs=0.08)
    assert abs(z.mean()) < 0.1
    np.testing.assert_array_equal(compare_directions(back, there), -z)


def test_compare_directions__is_0_at_lag_0(backend):
    index, margins, strata = prepare(build(draw_cells(29, n_bins=60), backend, n_bins=60), 0)
    source, target = np.triu_indices(7, 1)
    there, back = (
        measure_effects(strata, count_listed(index, margins, *ends))
        for ends in ((source, target), (target, source))
    )
    np.testing.assert_allclose(compare_directions(there, back), 0, atol=1e-12)


@pytest.mark.parametrize("memory", [1, 1 << 28])
@pytest.mark.parametrize("lag", [0, 2])
def test_count_listed__counts_any_pairs(memory, lag, backend):
    cells = draw_cells(30, n_bins=150, n_cells=200)
    index, margins, _ = prepare(build(cells, backend, n_bins=150), lag)
    wanted = list_counted(cells, 7, lag)
    found = count_listed(index, margins, wanted.source, wanted.target, memory=memory)
    np.testing.assert_array_equal(found.support, wanted.support)
    assert 0 in found.support
    counted = fetch_pairs(index, margins)
    np.testing.assert_array_equal(found.support[found.support > 0], counted.support)
    assert count_listed(index, margins, [], []).support.size == 0
