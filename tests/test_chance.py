"""Strata, tails, the empirical null, and many tests at once, against slow and closed forms."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from cells import (
    HOUR,
    NULLS,
    build,
    count_hours_by_hand,
    draw_cells,
    expect_by_hand,
    fetch_pairs,
    list_pairs,
    prepare,
    tabulate_by_hand,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gpu_coord.activity.counts import count_margins, index_cells
from gpu_coord.chance import empirical, grades
from gpu_coord.chance import tests as chance
from gpu_coord.chance.adjust import adjust_p_values, combine_lags
from gpu_coord.chance.empirical import EmpiricalNull, compute_log_tail, fit_null
from gpu_coord.chance.grades import grade_pairs, grade_significant
from gpu_coord.chance.strata import count_products, expect_pairs, expect_silent
from gpu_coord.chance.tests import assess_pairs

# ------------------------------------------------------------------ expected counts


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize(
    ("lag", "bin_seconds", "first_bin", "n_bins"),
    [(1, HOUR, 0, 72), (0, HOUR, 7, 50), (3, HOUR, -31, 100), (1, 1800, 5, 120),
     (2, 5 * HOUR, 3, 60), (1, 25 * HOUR, 3, 60)],
)  # fmt: skip
def test_expect_pairs__equals_tables_by_hand(null, lag, bin_seconds, first_bin, n_bins, backend):
    cells = draw_cells(1, n_bins=n_bins)
    where = {"n_bins": n_bins, "first_bin": first_bin, "bin_seconds": bin_seconds}
    activity = build(cells, backend, **where)
    _, _, strata = prepare(activity, lag, null=null)
    pairs = list_pairs(7)
    wanted = expect_by_hand(tabulate_by_hand(cells, null, lag, **where), 7, pairs)
    np.testing.assert_allclose(expect_pairs(strata, pairs), wanted, rtol=1e-13)


@pytest.mark.parametrize(
    ("lag", "bin_seconds", "first_bin", "n_bins"),
    [(1, 360, 0, 72), (0, 121, -77, 95), (3, 60, 31, 200)],
)
def test_expect_pairs__equals_tables_by_hand_of_each_hour(
    lag, bin_seconds, first_bin, n_bins, backend
):
    cells = draw_cells(7, n_bins=n_bins)
    where = {"n_bins": n_bins, "first_bin": first_bin, "bin_seconds": bin_seconds}
    _, _, strata = prepare(build(cells, backend, **where), lag, null="one_hour")
    pairs = list_pairs(7)
    wanted = expect_by_hand(tabulate_by_hand(cells, "one_hour", lag, **where), 7, pairs)
    np.testing.assert_allclose(expect_pairs(strata, pairs), wanted, rtol=1e-13)


@given(
    cells=st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 29), st.integers(0, 3)),
        min_size=1, max_size=60,
    ),
    null=st.sampled_from(NULLS),
    lag=st.integers(0, 3),
    first_bin=st.integers(-30, 30),
)  # fmt: skip
def test_expect_pairs__equals_tables_by_hand_for_any_cells(cells, null, lag, first_bin, backend):
    where = {"n_bins": 30, "first_bin": first_bin, "bin_seconds": HOUR}
    activity = build(cells, backend, n_accounts=4, **where)
    _, _, strata = prepare(activity, lag, null=null)
    pairs = list_pairs(4)
    wanted = expect_by_hand(tabulate_by_hand(cells, null, lag, **where), 4, pairs)
    np.testing.assert_allclose(expect_pairs(strata, pairs), wanted, rtol=1e-13)


def test_expect_pairs__is_the_mean_over_phases(backend):
    where = {"n_bins": 90, "first_bin": 5, "bin_seconds": HOUR}
    cells = draw_cells(2, n_bins=90)
    _, _, strata = prepare(build(cells, backend, **where), 1, null="day", n_phases=3)
    pairs = list_pairs(7)
    wanted = sum(
        expect_by_hand(tabulate_by_hand(cells, "day", 1, offset=offset, **where), 7, pairs)
        for offset in (0, 8 * HOUR, 16 * HOUR)
    )
    np.testing.assert_allclose(expect_pairs(strata, pairs), wanted / 3, rtol=1e-13)


def count_shifted(cells, i, j, lag, shift, n_steps):
    """Coincidences when the source's first n_steps bins are moved round in a circle."""
    return sum(
        (kind, entity, (k + shift) % n_steps + lag, j) in cells
        for kind, entity, k, account in cells
        if account == i and k < n_steps
    )


def test_expect_pairs__by_hour_is_the_mean_over_shifts_by_days(backend):
    cells, lag = draw_cells(3, n_bins=24 * 5 + 2), 2
    _, _, strata = prepare(build(cells, backend, n_bins=24 * 5 + 2), lag, null="hour")
    pairs = list_pairs(7)
    wanted = [
        sum(count_shifted(set(cells), i, j, lag, 24 * day, 120) for day in range(5)) / 5
        for i, j in zip(pairs.source, pairs.target, strict=True)
    ]
    np.testing.assert_allclose(expect_pairs(strata, pairs).sum(axis=1), wanted, rtol=1e-13)


def test_expect_pairs__by_entity_is_the_mean_over_all_shifts(backend):
    cells, lag = draw_cells(4, n_bins=41), 1
    _, _, strata = prepare(build(cells, backend, n_bins=41), lag, null="entity")
    pairs = list_pairs(7)
    wanted = [
        sum(count_shifted(set(cells), i, j, lag, shift, 40) for shift in range(40)) / 40
        for i, j in zip(pairs.source, pairs.target, strict=True)
    ]
    np.testing.assert_allclose(expect_pairs(strata, pairs).sum(axis=1), wanted, rtol=1e-13)


def test_expect_pairs__by_popularity_is_a_draw_of_cells(backend):
    cells, lag, n_bins = sorted(set(draw_cells(5, n_bins=30))), 1, 30
    _, _, strata = prepare(build(cells, backend, n_bins=n_bins), lag, null="popularity")
    pairs = list_pairs(7)
    wanted = np.zeros((pairs.source.size, 2))
    for kind in range(2):
        sources = [cell[1:] for cell in cells if cell[0] == kind and cell[2] < n_bins - lag]
        targets = [cell[1:] for cell in cells if cell[0] == kind and cell[2] >= lag]
        n_both = sum((e, k + lag) == (f, m) for e, k, _ in sources for f, m, _ in targets)
        for row, (i, j) in enumerate(zip(pairs.source, pairs.target, strict=True)):
            n_source, n_target = (
                sum(cell[2] == account for cell in listed)
                for listed, account in ((sources, i), (targets, j))
            )
            wanted[row, kind] = n_source * n_target * n_both / (len(sources) * len(targets))
    np.testing.assert_allclose(expect_pairs(strata, pairs), wanted, rtol=1e-13)


@pytest.mark.parametrize("null", [*NULLS, "popularity"])
def test_expect_silent__sums_the_pairs_that_are_not_listed(null, backend):
    activity = build(draw_cells(6, n_bins=200, n_cells=60), backend, n_bins=200, n_accounts=9)
    index, margins, strata = prepare(activity, 1, null=null)
    listed = fetch_pairs(index, margins)
    everyone = list_pairs(9)
    expected = expect_pairs(strata, everyone).sum(axis=1)
    with_coincidence = set(zip(listed.source.tolist(), listed.target.tolist(), strict=True))
    wanted = np.zeros((9, 3))
    for i, j, value in zip(everyone.source, everyone.target, expected, strict=True):
        if (i, j) not in with_coincidence and value > 0:
            wanted[i] += 1, value, value**2
    found = expect_silent(strata, np.arange(9), listed)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert wanted[:, 0].sum() > 0
    np.testing.assert_array_equal(expect_silent(strata, np.array([2, 7]), listed), found[[2, 7]])


def test_count_products__counts_the_users_of_each_stratum(backend):
    cells = [(0, 0, 0, 0), (0, 0, 1, 1), (0, 0, 2, 2), (0, 1, 30, 0), (0, 1, 31, 2)]
    _, _, strata = prepare(build(cells, backend, n_bins=48), 1, null="day")
    # Targets of entity 0 on day 0 are 1 and 2, of entity 1 on day 1 are 0 and 2: two of each.
    assert count_products(strata).tolist() == [4, 2, 4]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"null": "week"}, "'week'"),
        ({"null": "one_hour"}, "a bin is 3600 s; it takes bins of at most 360 s"),
        ({"n_phases": 0}, "n_phases is 0"),
    ],
)
def test_stratify__refuses(choices, message, backend):
    with pytest.raises(ValueError, match=message):
        prepare(build([(0, 0, 0, 0), (0, 0, 1, 1)], backend, n_bins=3), 1, **choices)


# ------------------------------------------------------------------ tails


@pytest.mark.parametrize("dispersion", [0.0, 0.02, 0.4, 3.0])
def test_compute_log_tail__equals_scipy(dispersion):
    observed, mean = (v.ravel() for v in np.meshgrid(np.arange(40), [0.01, 0.3, 2.0, 25.0]))
    if dispersion:
        r = 1 / dispersion
        law = stats.nbinom(r, r / (r + mean))
    else:
        law = stats.poisson(mean)
    wanted = law.sf(observed - 1)
    is_near = wanted > 1e-250
    log_tail = compute_log_tail(observed, mean, dispersion=dispersion)
    np.testing.assert_allclose(np.exp(log_tail[is_near]), wanted[is_near], rtol=1e-9)
    assert is_near.sum() > 100


@pytest.mark.parametrize("n", [200, 2_000])
@pytest.mark.parametrize("mean", [Fraction(1, 64), Fraction(3), Fraction(40)])
def test_compute_log_tail__is_exact_far_out(n, mean):
    """Sums of fractions: far below the smallest double."""
    r = 2  # 1/r = 0.5: P(k) = (k + 1) x^k (1 - x)^2
    x = mean / (mean + r)
    binomial = sum((k + 1) * x**k * (1 - x) ** 2 for k in range(n, n + 1500))
    found = compute_log_tail([n], [float(mean)], dispersion=0.5)[0]
    assert found == pytest.approx(log_fraction(binomial), rel=1e-11)
    terms = [Fraction(1)]
    for k in range(n + 1, n + 60):
        terms.append(terms[-1] * mean / k)
    first = n * math.log(mean) - float(mean) - math.lgamma(n + 1)
    found = compute_log_tail([n], [float(mean)])[0]
    assert found == pytest.approx(first + math.log(sum(terms)), rel=1e-11)


def log_fraction(value):
    shift = value.denominator.bit_length() - value.numerator.bit_length()
    return math.log(value * 2**shift) - shift * math.log(2)


def test_compute_log_tail__at_the_edges():
    observed, mean = [0, 0, 1, 5, 1], [0.0, 4.0, 0.0, 0.0, 1e-300]
    for dispersion in (0.0, 0.5):
        found = compute_log_tail(observed, mean, dispersion=dispersion)
        np.testing.assert_allclose(found, [0, 0, -np.inf, -np.inf, math.log(1e-300)], rtol=1e-12)


def test_compute_log_tail__bounds_the_sum_of_hypergeometric_counts():
    """Hoeffding: Poisson's tail lies above that of stratified tables, from mean + 1 on."""
    rng = np.random.default_rng(7)
    for _ in range(40):
        law, mean = np.ones(1), 0.0
        for size in rng.integers(2, 24, size=6):
            a, b = rng.integers(1, size, size=2)
            law = np.convolve(law, stats.hypergeom(size, a, b).pmf(np.arange(min(a, b) + 1)))
            mean += a * b / size
        exact = law[::-1].cumsum()[::-1]
        n = np.arange(math.ceil(mean + 1), law.size)
        bound = np.exp(compute_log_tail(n, np.full(n.size, mean)))
        assert (exact[n] <= bound * (1 + 1e-9) + 1e-15).all()


# ------------------------------------------------------------------ the empirical null


def fit_by_hand(observed, expected):
    """The moments over all pairs listed one by one, and the pairs left out, until they stay."""
    inflation, dispersion, kept = 1.0, 0.0, None
    for _ in range(50):
        before = kept
        mean = np.maximum(inflation, 1) * np.asarray(expected)
        law = stats.nbinom(1 / dispersion, 1 / (1 + mean * dispersion)) if dispersion else None
        tail = (law or stats.poisson(mean)).sf(np.asarray(observed) - 1)
        kept = (tail >= 1e-4).tolist()
        if kept == before:
            break
        pairs = [pair for pair, keep in zip(zip(observed, expected), kept, strict=True) if keep]  # noqa: B905
        inflation = sum(o for o, _ in pairs) / sum(e for _, e in pairs)
        excess = sum((o - inflation * e) ** 2 - inflation * e for o, e in pairs)
        dispersion = max(excess / sum((inflation * e) ** 2 for _, e in pairs), 0)
    return inflation, dispersion, sum(kept), len(kept) - sum(kept)


@pytest.mark.parametrize(("inflation", "dispersion", "n_planted"), [(1.6, 0.5, 0), (1.3, 0.0, 25)])
def test_fit_null__equals_moments_by_hand(inflation, dispersion, n_planted):
    rng = np.random.default_rng(8)
    expected = rng.gamma(0.5, 1.5, size=600) + 0.05
    rate = inflation * expected * (rng.gamma(2, 0.5, size=600) if dispersion else 1.0)
    observed = rng.poisson(rate)
    observed[:n_planted] += 30
    wanted = fit_by_hand(observed, expected)
    some, silent = observed > 0, expected[observed == 0]
    null = fit_null(
        observed[some], expected[some], silent=(silent.size, silent.sum(), (silent**2).sum())
    )
    assert null.inflation == pytest.approx(wanted[0])
    assert null.dispersion == pytest.approx(wanted[1])
    assert (null.n_bulk, null.n_left_out) == wanted[2:]
    # The standard error of the ratio is near 0.05; what was planted is seen through.
    assert null.inflation == pytest.approx(inflation, abs=0.2)
    assert null.n_left_out >= n_planted


def test_fit_null__leaves_single_coincidences_in_where_it_is_told_to():
    # 10,000 pairs, each with a chance of 5e-5: one has met, which is 2 lambda; two met for cause.
    expected = np.full(3, 5e-5)
    silent = (9_997, 9_997 * 5e-5, 9_997 * 25e-10)
    observed = np.array([1, 4, 5])
    kept = fit_null(observed, expected, silent=silent, min_left_out=2)
    assert kept.inflation == pytest.approx(1 / (9_998 * 5e-5))
    assert (kept.n_bulk, kept.n_left_out) == (9_998, 2)
    assert fit_null(observed, expected, silent=silent).inflation == 0


def test_fit_null__says_where_it_did_not_settle(monkeypatch):
    rng = np.random.default_rng(8)
    expected = rng.gamma(0.5, 1.5, size=600) + 0.05
    observed = rng.poisson(1.6 * expected * rng.gamma(2, 0.5, size=600))
    assert fit_null(observed, expected).is_settled
    monkeypatch.setattr(empirical, "_MAX_FITS", 1)
    unsettled = fit_null(observed, expected)
    assert not unsettled.is_settled
    assert unsettled.n_bulk + unsettled.n_left_out == 600


def test_fit_null__counts_repeated_rows():
    observed, expected, n_pairs = (
        np.array([1, 2, 5]),
        np.array([0.5, 1.0, 2.0]),
        np.array([4, 1, 3]),
    )
    listed = fit_null(np.repeat(observed, n_pairs), np.repeat(expected, n_pairs), silent=(9, 6, 5))
    rows = fit_null(observed, expected, n_pairs=n_pairs, silent=(9, 6, 5))
    assert rows.inflation == pytest.approx(listed.inflation)
    assert rows.dispersion == pytest.approx(listed.dispersion)
    assert (rows.n_bulk, rows.n_left_out) == (listed.n_bulk, listed.n_left_out) == (17, 0)


def test_fit_null__without_pairs_is_chance_alone():
    null = fit_null([], [])
    assert null == EmpiricalNull(1.0, 0.0, 0, 0)
    assert null.size == math.inf
    assert fit_null([], [], silent=(2, 1.0, 0.5)) == EmpiricalNull(0.0, 0.0, 2, 0)


def test_compute_log_p__uses_no_inflation_below_one():
    found = EmpiricalNull(0.4, 0.25, 9, 0).compute_log_p([3], [1.5])
    assert np.exp(found[0]) == pytest.approx(stats.nbinom(4, 4 / 5.5).sf(2))
    found = EmpiricalNull(2.0, 0.25, 9, 0).compute_log_p([3], [1.5])
    assert np.exp(found[0]) == pytest.approx(stats.nbinom(4, 4 / 7).sf(2))


# ------------------------------------------------------------------ many tests


def combine_by_hand(p):
    p = [min(value, 1 - 1 / len(p)) for value in p]
    total = sum(math.tan((0.5 - value) * math.pi) for value in p) / len(p)
    return 0.5 - math.atan(total) / math.pi


@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=6))
def test_combine_lags__equals_the_formula(p):
    found = np.exp(combine_lags(np.log([p])))[0]
    assert found == pytest.approx(combine_by_hand(p), rel=1e-6)


@given(st.lists(st.floats(-2000, -25), min_size=1, max_size=4), st.integers(0, 3))
def test_combine_lags__is_the_harmonic_mean_far_out(log_p, n_ones):
    """Where p is tiny tan(pi/2 - pi p) is 1 / (pi p): lags without a coincidence add nothing."""
    n_lags = len(log_p) + n_ones
    least = min(log_p)
    inverse = sum(math.exp(least - value) for value in log_p)
    wanted = least + math.log(n_lags / inverse) if n_lags > 1 else log_p[0]
    found = combine_lags(np.array([log_p + [0.0] * n_ones]))[0]
    assert found == pytest.approx(wanted, rel=1e-9)


def test_combine_lags__joins_its_two_formulas():
    p = np.exp(np.linspace(np.log(0.9e-9), np.log(1.1e-9), 21))
    log_p = np.log(np.column_stack([p, np.full(21, 0.3), np.full(21, 1e-9)]))
    combined = combine_lags(log_p)
    assert (np.diff(combined) > 0).all()
    assert combined == pytest.approx(np.log(3 / (1 / p + 1e9)), abs=1e-8)


def test_combine_lags__leaves_one_lag_as_it_is():
    log_p = np.array([0.0, -1.0, -900.0, -np.inf])
    np.testing.assert_array_equal(combine_lags(log_p[:, None]), log_p)


def adjust_by_hand(p, n_tests):
    """The least level at which the step-up procedure on all tests rejects, for each test."""
    everything = sorted([*p, *[1.0] * (n_tests - len(p))])
    q = []
    for value in p:
        levels = [
            everything[rank] * n_tests / (rank + 1)
            for rank in range(n_tests)
            if everything[rank] >= value
        ]
        q.append(min(1.0, *levels))
    return q


@given(st.lists(st.sampled_from([1e-9, 1e-4, 0.003, 0.01, 0.04, 0.5, 1.0]), max_size=12),
       st.integers(0, 30))  # fmt: skip
def test_adjust_p_values__equals_the_step_up_procedure(p, n_others):
    n_tests = max(len(p) + n_others, 1)
    q = adjust_p_values(np.log(p), n_tests=n_tests)
    assert q == pytest.approx(adjust_by_hand(p, n_tests))


def test_adjust_p_values__ranks_what_no_double_can_hold():
    q = adjust_p_values(np.array([-2000.0, 0.0, -3000.0]), n_tests=10**8)
    assert q.tolist() == [0.0, 1.0, 0.0]


def test_adjust_p_values__refuses_fewer_tests_than_p_values():
    with pytest.raises(ValueError, match="n_tests is 1; there are already 2"):
        adjust_p_values(np.zeros(2), n_tests=1)


# ------------------------------------------------------------------ all pairs


def draw_activity(seed, backend, **choices):
    cells = draw_cells(seed, n_bins=200, n_accounts=20, n_cells=900)
    # Account 1 follows account 0 on an entity that nobody else uses, often.
    for bin in range(0, 199, 5):
        cells += [(0, 99, bin, 0), (0, 99, bin + 1, 1)]
    return build(cells, backend, n_bins=200, **choices)


def assess(activity, lags=(1,), **choices):
    index = index_cells(activity)
    return assess_pairs(activity, index, [count_margins(index, lag) for lag in lags], **choices)


def test_assess_pairs__finds_the_planted_pair_and_no_other(backend):
    tests = assess(draw_activity(9, backend), n_phases=2)
    assert tests.pair[tests.q_value <= tests.alpha].tolist() == [0 * 20 + 1]
    assert (tests.n_significant, tests.n_tests) == (1, 380)
    held = {id(a): a.nbytes for part in (tests, *tests.by_lag) for a in vars(part).values()
            if isinstance(a, np.ndarray)}  # fmt: skip
    assert sum(held.values()) == (24 + 17) * tests.pair.size


def test_assess_pairs__puts_its_parts_together(backend):
    """One by one: counts, expected counts, fit, p-values, combination, q-values."""
    activity = draw_activity(10, backend)
    tests = assess(activity, lags=(1, 3))
    log_p = np.zeros((20, 20, 2))
    expected = np.zeros((20, 20, 2))
    for column, lag in enumerate((1, 3)):
        index, margins, strata = prepare(activity, lag)
        pairs = fetch_pairs(index, margins)
        support = np.zeros((20, 20), int)
        support[pairs.source, pairs.target] = pairs.support
        observed = count_hours_by_hand(activity, lag)
        everyone = list_pairs(20)
        expected[everyone.source, everyone.target, column] = expect_pairs(strata, everyone).sum(1)
        shared = expected[:, :, column] > 0
        null = tests.by_lag[column].null
        assert fit_by_hand(observed[shared], expected[shared][:, column]) == pytest.approx(
            (null.inflation, null.dispersion, null.n_bulk, null.n_left_out)
        )
        log_p[:, :, column] = null.compute_log_p(observed, expected[:, :, column])
        is_bulk = shared & (log_p[:, :, column] >= np.log(1e-4))
        inflation = support[is_bulk].sum() / expected[:, :, column][is_bulk].sum()
        assert tests.by_lag[column].inflation == pytest.approx(inflation)
    source, target = np.divmod(tests.pair, 20)
    combined = combine_lags(log_p[source, target])
    np.testing.assert_allclose(tests.log_p, combined, rtol=1e-9)
    np.testing.assert_allclose(tests.q_value, adjust_p_values(combined, n_tests=380), rtol=1e-9)
    lag = np.where(np.isin(tests.pair, tests.by_lag[0].pair), 1, 3)
    edges = tests.read_edges(source, target, lag)
    wanted = expected[source, target, (lag == 3).astype(int)]
    np.testing.assert_allclose(edges.expected, wanted, rtol=1e-12)
    np.testing.assert_allclose(edges.p_value, np.exp(combined), rtol=1e-9)
    np.testing.assert_array_equal(edges.significant, edges.q_value <= 0.05)


@pytest.mark.parametrize("memory", [1, 20_000, 1 << 30])
def test_assess_pairs__is_the_same_for_any_blocks(memory, backend):
    activity = draw_activity(11, backend)
    tests, whole = assess(activity, (1, 2), memory=memory), assess(activity, (1, 2))
    np.testing.assert_array_equal(tests.pair, whole.pair)
    np.testing.assert_array_equal(tests.log_p, whole.log_p)
    np.testing.assert_array_equal(tests.q_value, whole.q_value)
    assert [lag.null for lag in tests.by_lag] == [lag.null for lag in whole.by_lag]


@pytest.mark.parametrize("memory", [1, 1 << 30])
def test_assess_pairs__reports_the_coincidences_of_all_lags(memory, backend):
    activity = draw_activity(11, backend)
    seen = []
    assess(activity, (1, 2), memory=memory, progress=lambda *counts: seen.append(counts))
    index = index_cells(activity)
    n_of_lag = [int(count_margins(index, lag).n_coincidences.sum()) for lag in (1, 2)]
    assert {total for _, total in seen} == {sum(n_of_lag)}
    done = [n for n, _ in seen]
    assert done == sorted(done)
    assert {n_of_lag[0], sum(n_of_lag)} <= set(done)
    assert done[-1] == sum(n_of_lag)


def test_assess_pairs__fits_some_sources_where_all_are_too_many(monkeypatch, backend):
    activity = draw_activity(12, backend)
    whole = assess(activity)
    n_products = count_products(prepare(activity, 1)[2]).sum()
    monkeypatch.setattr(chance, "_FIT_PRODUCTS", n_products / 2)
    monkeypatch.setattr(chance, "_MIN_FITTED", 10)
    tests = assess(activity)
    assert 0 < tests.by_lag[0].null.n_bulk < whole.by_lag[0].null.n_bulk
    np.testing.assert_array_equal(tests.by_lag[0].expected, whole.by_lag[0].expected)
    assert tests.n_tests == whole.n_tests


@pytest.mark.parametrize(("bin_seconds", "first_bin"), [(HOUR, 3), (900, 5), (2 * HOUR, 0)])
@pytest.mark.parametrize("lag", [0, 1, 5])
def test_assess_pairs__counts_hours_by_hand(bin_seconds, first_bin, lag, backend):
    cells = draw_cells(15, n_bins=60, n_accounts=6, n_cells=700)
    activity = build(cells, backend, n_bins=60, bin_seconds=bin_seconds, first_bin=first_bin)
    tests = assess(activity, (lag,)).by_lag[0]
    source, target = np.divmod(tests.pair, 6)
    wanted = count_hours_by_hand(activity, lag)
    np.testing.assert_array_equal(tests.n_hours, wanted[source, target])
    assert wanted.max() > 5 and (tests.n_hours < tests.observed).any()


def test_assess_pairs__one_sitting_is_one_coincidence(backend):
    """Twenty entities in one hour are no more than one: strangers may share a session."""
    rng = np.random.default_rng(16)
    n_bins = 24 * 30
    cells = draw_cells(16, n_bins=n_bins, n_accounts=20, n_entities=6, n_cells=2000)
    cells += [(0, 50 + e, 100, 0) for e in range(20)] + [(0, 50 + e, 101, 1) for e in range(20)]
    for bin in rng.choice(n_bins - 1, 20, replace=False).tolist():
        cells += [(0, 90, bin, 2), (0, 90, bin + 1, 3)]
    tests = assess(build(cells, backend, n_bins=n_bins))
    observed = dict(zip(tests.pair.tolist(), tests.by_lag[0].observed.tolist(), strict=True))
    assert observed[0 * 20 + 1] >= 20 and observed[2 * 20 + 3] >= 20
    assert tests.pair[tests.q_value <= tests.alpha].tolist() == [2 * 20 + 3]


@pytest.mark.parametrize("products", [10**9, 5000])
def test_assess_pairs__below_the_support_has_p_of_one(products, monkeypatch, backend):
    monkeypatch.setattr(chance, "_FIT_PRODUCTS", products)
    monkeypatch.setattr(chance, "_MIN_FITTED", 10)
    activity = draw_activity(14, backend)
    whole, gated = assess(activity), assess(activity, min_support=3)
    at_lag = gated.by_lag[0]
    # The null is fitted to the same pairs, and those with support have the same p-values.
    fitted = [(n.inflation, n.dispersion, n.n_bulk) for n in (at_lag.null, whole.by_lag[0].null)]
    assert fitted[0] == pytest.approx(fitted[1], rel=1e-12)
    rows = np.searchsorted(whole.pair, gated.pair)
    supported = at_lag.observed >= 3
    assert 0 < supported.sum() < supported.size
    wanted = np.where(supported, whole.log_p[rows], 0.0)
    np.testing.assert_allclose(gated.log_p, wanted, rtol=1e-9)
    np.testing.assert_array_equal(at_lag.expected, whole.by_lag[0].expected[rows])
    q_value = adjust_p_values(wanted, n_tests=380)
    np.testing.assert_allclose(gated.q_value, q_value)
    assert (gated.q_value >= whole.q_value[rows] - 1e-12).all()
    assert set(whole.pair[whole.by_lag[0].observed >= 3]) <= set(gated.pair)
    if products == 5000:
        # Nothing else is kept but the pairs of the sources that the null is fitted to.
        assert gated.pair.size < whole.pair.size


def test_grade_significant__grades_the_significant_pairs_and_no_other(backend):
    activity = draw_graded(backend)
    index = index_cells(activity)
    margins = [count_margins(index, 1)]
    tests = assess(activity)
    graded = grade_significant(activity, index, margins, tests)
    source, target = np.divmod(tests.pair, tests.n_accounts)
    wanted = grade_pairs(activity, index, margins, tests, source, target)
    np.testing.assert_array_equal(graded.grade, wanted)
    assert ((graded.grade > 0) == (tests.q_value <= tests.alpha)).all() and graded.grade.any()
    edges = graded.read_edges(source, target, np.ones(source.size))
    np.testing.assert_array_equal(edges.grade, wanted)
    assert not tests.grade.any()


def test_assess_pairs__has_nothing_to_say_without_coincidences(backend):
    cells = [(0, 0, 0, 0), (0, 1, 1, 1), (1, 0, 5, 2)]
    tests = assess(build(cells, backend, n_bins=24), lags=(1, 2))
    assert tests.pair.size == tests.n_significant == 0
    assert tests.by_lag[0].null == EmpiricalNull(1.0, 0.0, 0, 0)
    empty = np.empty(0, np.int32)
    assert tests.read_edges(empty, empty, empty).significant.size == 0


@pytest.mark.parametrize("alpha", [0, 1, -0.1, float("nan")])
def test_assess_pairs__refuses_an_alpha_that_is_no_rate(alpha, backend):
    with pytest.raises(ValueError, match=f"alpha is {alpha}; it lies between 0 and 1"):
        assess(build([(0, 0, 0, 0), (0, 0, 1, 1)], backend, n_bins=3), alpha=alpha)


# ------------------------------------------------------------------ grades


def draw_graded(backend):
    """A follower (0 -> 1), two clocks (2 -> 3), a shared burst (4 -> 5), and 14 of the crowd."""
    rng = np.random.default_rng(13)
    n_days = 60
    cells = [
        (kind, entity, bin, account + 6)
        for kind, entity, bin, account in draw_cells(
            13, n_bins=24 * n_days, n_accounts=14, n_cells=4000
        )
    ]
    for bin in rng.choice(24 * n_days - 1, 250, replace=False).tolist():
        cells += [(0, 97, bin, 0), (0, 97, bin + 1, 1)]
    for account in (2, 3):
        days = rng.choice(n_days, n_days // 2, replace=False).tolist()
        cells += [(0, 98, 24 * day + 8 + account, account) for day in days]
    for account in (4, 5):
        cells += [(0, 99, 120 + hour, account) for hour in range(72) if rng.random() < 0.5]
    return build(cells, backend, n_bins=24 * n_days)


def grade(activity, tests, lags=(1,)):
    """Grade all pairs."""
    index = index_cells(activity)
    margins = [count_margins(index, lag) for lag in lags]
    pairs = list_pairs(activity.n_accounts)
    found = grade_pairs(activity, index, margins, tests, pairs.source, pairs.target)
    ends = zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)
    return dict(zip(ends, found.tolist(), strict=True))


@pytest.mark.parametrize(
    ("null", "wanted"),
    # Hours of the day explain the clocks, days and quarters of days explain the burst.
    [("day", {(0, 1): 5, (2, 3): 4}), ("entity", {(0, 1): 5, (2, 3): 4, (4, 5): 3})],
)
def test_grade_pairs__tells_what_was_planted(null, wanted, backend):
    activity = draw_graded(backend)
    grades = grade(activity, assess(activity, null=null))
    planted = {pair: n for pair, n in grades.items() if pair in {(0, 1), (2, 3), (4, 5)} and n}
    assert planted == wanted
    crowd = [n for (i, j), n in grades.items() if i >= 6 or j >= 6]
    assert sum(n > 0 for n in crowd) <= 1


def draw_spread(backend):
    """Followers of all strengths, at all hours, at fixed ones or on few days, and a crowd."""
    rng = np.random.default_rng(14)
    n_bins = 24 * 30
    cells = draw_cells(14, n_bins=n_bins, n_accounts=8, n_cells=1500)
    for pair in range(20):
        source, target = 8 + 2 * pair, 9 + 2 * pair
        hours = {0: range(24), 1: range(8, 12), 2: range(6)}[pair % 3]
        days = 4 if pair % 3 == 2 else 29
        for _ in range(3 + pair):
            bin = 24 * int(rng.integers(days)) + int(rng.choice(hours))
            cells += [(1, 90 + pair % 6, bin, source), (1, 90 + pair % 6, bin + 1, target)]
    return build(cells, backend, n_bins=n_bins)


def find_p_by_hand(activity, null, lags, n_phases):
    """Return the p-value of every pair, all lags together, with a fit to all pairs."""
    n_accounts = activity.n_accounts
    everyone = list_pairs(n_accounts)
    by_lag = []
    for lag in lags:
        strata = prepare(activity, lag, null=null, n_phases=n_phases)[2]
        observed = count_hours_by_hand(activity, lag)[everyone.source, everyone.target]
        expected = expect_pairs(strata, everyone).sum(axis=1)
        shared = expected > 0
        fit = fit_by_hand(observed[shared], expected[shared])
        mean, r = max(fit[0], 1) * expected, 1 / fit[1] if fit[1] else None
        law = stats.nbinom(r, r / (r + mean)) if r else stats.poisson(mean)
        by_lag.append(np.where(observed > 0, law.sf(observed - 1), 1.0))
    rows = np.column_stack(by_lag).tolist()
    return [combine_by_hand(row) if len(lags) > 1 else row[0] for row in rows]


@pytest.mark.parametrize(("lags", "n_phases"), [((1,), 1), ((1,), 2), ((1, 2), 1)])
def test_grade_pairs__puts_its_parts_together(lags, n_phases, backend):
    """One null after the other, with all pairs: fits, p-values, combination, threshold."""
    activity = draw_spread(backend)
    tests = assess(activity, lags, n_phases=n_phases)
    p = {null: find_p_by_hand(activity, null, lags, n_phases) for null in ("popularity", *NULLS)}
    q = np.array(adjust_by_hand(p["day"], tests.n_tests))
    threshold = 0.05 * (q <= 0.05).sum() / tests.n_tests
    survived = np.column_stack(list(p.values())) <= threshold
    wanted = np.where(q <= 0.05, survived.sum(axis=1), 0)
    assert list(grade(activity, tests, lags).values()) == wanted.tolist()
    assert len(set(wanted.tolist())) >= 3


def test_grade_pairs__has_one_more_null_where_bins_are_fine(backend):
    """A follower within six minutes: hours explain nothing; two in the same hours: they do."""
    rng = np.random.default_rng(15)
    n_bins = 240 * 40
    cells = draw_cells(15, n_bins=n_bins, n_accounts=14, n_cells=3000)
    cells = [(kind, entity, bin, account + 4) for kind, entity, bin, account in cells]
    for hour in rng.choice(n_bins // 10, 120, replace=False).tolist():
        bin, other, third = (10 * hour + rng.integers(0, 9, 3)).tolist()
        cells += [(0, 97, bin, 0), (0, 97, bin + 1, 1), (0, 98, other, 2), (0, 98, third, 3)]
    activity = build(cells, backend, n_bins=n_bins, bin_seconds=360)
    grades = grade(activity, assess(activity, null="entity"))
    assert (grades[0, 1], grades[2, 3]) == (6, 5)
    assert grade(activity, assess(activity, null="one_hour"))[0, 1] == 6


def test_grade_pairs__fits_sources_by_lot(monkeypatch, backend):
    activity = draw_graded(backend)
    tests = assess(activity)
    whole, n_fitted = grade(activity, tests), []

    def spy(strata, sources, pairs):
        n_fitted.append(sources.size)
        return expect_silent(strata, sources, pairs)

    monkeypatch.setattr(grades, "expect_silent", spy)
    monkeypatch.setattr(grades, "_GRADE_PRODUCTS", 1)
    assert grade(activity, tests) == whole
    assert n_fitted == [20] * 4
    monkeypatch.setattr(chance, "_MIN_FITTED", 10)
    found = grade(activity, tests)
    assert all(0 < n < 20 for n in n_fitted[4:])
    assert found == grade(activity, tests)
    assert found[0, 1] == whole[0, 1]


def test_grade_pairs__is_the_same_for_any_threads(backend):
    activity = draw_graded(backend)
    tests = assess(activity, null="entity")
    one = dataclasses.replace(activity, backend=dataclasses.replace(backend, threads=1))
    assert grade(one, tests) == grade(activity, tests)


def test_grade_pairs__takes_pairs_in_any_order_and_twice(backend):
    activity = draw_graded(backend)
    tests = assess(activity, null="entity")
    index = index_cells(activity)
    found = grade_pairs(
        activity, index, [count_margins(index, 1)], tests, [4, 8, 0, 2, 4], [5, 9, 1, 3, 5]
    )
    assert found.tolist() == [3, 0, 5, 4, 3]


def test_grade_pairs__of_nothing_is_nothing(backend):
    activity = build([(0, 0, 0, 0), (0, 1, 1, 1), (1, 0, 5, 2)], backend, n_bins=24)
    tests = assess(activity, (1, 2))
    index = index_cells(activity)
    margins = [count_margins(index, lag) for lag in (1, 2)]
    assert grade_pairs(activity, index, margins, tests, [0, 1], [1, 2]).tolist() == [0, 0]
    assert grade_pairs(activity, index, margins, tests, [], []).size == 0
