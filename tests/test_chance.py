"""Strata, tails, the empirical null, and many tests at once, against slow and closed forms."""

import dataclasses
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import polars as pl
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
from exposed import (
    ByHand,
    correct_by_hand,
    doubt_by_hand,
    find_reference_by_hand,
    make_pairs,
    solve_by_hand,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gpu_coord.activity.counts import count_margins, index_cells
from gpu_coord.chance import empirical, habits
from gpu_coord.chance.adjust import adjust_p_values, combine_lags
from gpu_coord.chance.days import plan_shifts
from gpu_coord.chance.empirical import EmpiricalNull, compute_log_tail, fit_null
from gpu_coord.chance.exposure import expose
from gpu_coord.chance.grades import grade_significant
from gpu_coord.chance.habits import fit_habits, list_fitted
from gpu_coord.chance.nulls import choose_finest, list_nulls
from gpu_coord.chance.references import ask_controls, describe_reference, find_reference
from gpu_coord.chance.strata import (
    _count_cells,
    count_products,
    expect_pairs,
    list_sharing,
    locate_blocks,
)
from gpu_coord.chance.tests import LagTests, assess_pairs, join_lags, rank_tiers
from gpu_coord.chance.tiers import (
    choose_from,
    choose_tier,
    describe_tests,
    find_controls,
    list_tiers,
    name_tiers,
    summarise_tests,
)

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
    np.testing.assert_allclose(expect_pairs(strata, pairs), wanted.sum(axis=1), rtol=1e-13)


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
    np.testing.assert_allclose(expect_pairs(strata, pairs), wanted.sum(axis=1), rtol=1e-13)


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
    np.testing.assert_allclose(expect_pairs(strata, pairs), wanted.sum(axis=1), rtol=1e-13)


def test_expect_pairs__is_the_mean_over_phases(backend):
    where = {"n_bins": 90, "first_bin": 5, "bin_seconds": HOUR}
    cells = draw_cells(2, n_bins=90)
    _, _, strata = prepare(build(cells, backend, **where), 1, null="day", n_phases=3)
    pairs = list_pairs(7)
    wanted = sum(
        expect_by_hand(tabulate_by_hand(cells, "day", 1, offset=offset, **where), 7, pairs)
        for offset in (0, 8 * HOUR, 16 * HOUR)
    )
    np.testing.assert_allclose(expect_pairs(strata, pairs), wanted.sum(axis=1) / 3, rtol=1e-13)


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
    np.testing.assert_allclose(expect_pairs(strata, pairs), wanted, rtol=1e-13)


def test_expect_pairs__by_entity_is_the_mean_over_all_shifts(backend):
    cells, lag = draw_cells(4, n_bins=41), 1
    _, _, strata = prepare(build(cells, backend, n_bins=41), lag, null="entity")
    pairs = list_pairs(7)
    wanted = [
        sum(count_shifted(set(cells), i, j, lag, shift, 40) for shift in range(40)) / 40
        for i, j in zip(pairs.source, pairs.target, strict=True)
    ]
    np.testing.assert_allclose(expect_pairs(strata, pairs), wanted, rtol=1e-13)


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
    np.testing.assert_allclose(expect_pairs(strata, pairs), wanted.sum(axis=1), rtol=1e-13)


@pytest.mark.parametrize("lag", [0, 2])
@pytest.mark.parametrize("null", [*NULLS, "popularity"])
def test_list_sharing__equals_pairs_by_hand(null, lag, backend):
    # Accounts 9 and 10 use one kind each, and 11 does nothing.
    cells = [*draw_cells(6, n_bins=200, n_cells=60), (0, 70, 5, 9), (1, 71, 199, 10)]
    activity = build(cells, backend, n_bins=200, n_accounts=12)
    _, _, strata = prepare(activity, lag, null=null)
    wanted = ByHand(activity, lag, null).list_sharing()
    found = list_sharing(strata, np.arange(12))
    assert list(zip(*(column.tolist() for column in found[:2]), strict=True)) == wanted
    assert not found.support.any() and 0 < len(wanted) < 12 * 11
    some = list_sharing(strata, np.array([2, 5, 11]))
    ends = list(zip(*(column.tolist() for column in some[:2]), strict=True))
    assert ends == [pair for pair in wanted if pair[0] in {2, 5, 11}]


@given(
    cells=st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 59), st.integers(0, 4)),
        min_size=1, max_size=40,
    ),
    null=st.sampled_from(NULLS),
    lag=st.integers(0, 3),
    first_bin=st.integers(-30, 30),
)  # fmt: skip
def test_list_sharing__equals_pairs_by_hand_for_any_cells(cells, null, lag, first_bin, backend):
    activity = build(cells, backend, n_bins=60, first_bin=first_bin, n_accounts=5)
    _, _, strata = prepare(activity, lag, null=null)
    found = list_sharing(strata, np.arange(5))
    wanted = ByHand(activity, lag, null).list_sharing()
    assert list(zip(*(column.tolist() for column in found[:2]), strict=True)) == wanted


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


@pytest.mark.parametrize("scale", [1.0, 4000.0])
def test_compute_log_tail__takes_a_dispersion_of_each(scale):
    rng = np.random.default_rng(3)
    observed, mean = rng.integers(0, 30, 200) * int(scale), rng.gamma(1, 2, 200)
    dispersion = rng.choice([0.0, 1e-14, 1e-6, 0.3, 2.0], 200)
    wanted = [
        compute_log_tail([n], [mu], dispersion=d)[0]
        for n, mu, d in zip(observed, mean, dispersion, strict=True)
    ]
    found = compute_log_tail(observed, mean, dispersion=dispersion)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)
    assert np.isfinite(found).all() and (found.min() < math.log(1e-300)) == (scale > 1)


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
    null = fit_null(observed, expected)
    assert null.inflation == pytest.approx(wanted[0])
    assert null.dispersion == pytest.approx(wanted[1])
    assert (null.n_bulk, null.n_left_out) == wanted[2:]
    # The standard error of the ratio is near 0.05; what was planted is seen through.
    assert null.inflation == pytest.approx(inflation, abs=0.2)
    assert null.n_left_out >= n_planted


def test_fit_null__leaves_single_coincidences_in_where_it_is_told_to():
    # 10,000 pairs, each with a chance of 5e-5: one has met, which is 2 lambda; two met for cause.
    expected = np.full(10_000, 5e-5)
    observed = np.append([1, 4, 5], np.zeros(9_997))
    kept = fit_null(observed, expected, min_left_out=2)
    assert kept.inflation == pytest.approx(1 / (9_998 * 5e-5))
    assert (kept.n_bulk, kept.n_left_out) == (9_998, 2)
    assert fit_null(observed, expected).inflation == 0


def test_fit_null__says_where_it_did_not_settle(monkeypatch):
    rng = np.random.default_rng(8)
    expected = rng.gamma(0.5, 1.5, size=600) + 0.05
    observed = rng.poisson(1.6 * expected * rng.gamma(2, 0.5, size=600))
    assert fit_null(observed, expected).is_settled
    monkeypatch.setattr(empirical, "_MAX_FITS", 1)
    unsettled = fit_null(observed, expected)
    assert not unsettled.is_settled
    assert unsettled.n_bulk + unsettled.n_left_out == 600


def test_fit_null__without_pairs_is_chance_alone():
    null = fit_null([], [])
    assert null == EmpiricalNull(1.0, 0.0, 0, 0)
    assert null.size == math.inf
    assert fit_null([0, 0], [0.5, 0.5]) == EmpiricalNull(0.0, 0.0, 2, 0)


def test_compute_log_p__uses_no_inflation_below_one():
    found = EmpiricalNull(0.4, 0.25, 9, 0).compute_log_p([3], [1.5])
    assert np.exp(found[0]) == pytest.approx(stats.nbinom(4, 4 / 5.5).sf(2))
    found = EmpiricalNull(2.0, 0.25, 9, 0).compute_log_p([3], [1.5])
    assert np.exp(found[0]) == pytest.approx(stats.nbinom(4, 4 / 7).sf(2))


# ------------------------------------------------------------------ many tests


def combine_by_hand(p):
    p = [min(value, 1 - 1 / len(p)) for value in p]
    # tan(pi/2 - x) = 1 / tan(x): the same, and exact where p is tiny.
    total = sum(1 / math.tan(value * math.pi) for value in p) / len(p)
    return math.atan2(1, total) / math.pi


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


# ------------------------------------------------------------------ exposure


def draw_sessions(seed, *, n_bins, n_accounts=6, n_cells=220):
    """Cells, of which a third comes in sessions: two entities more in the same bin."""
    rng = np.random.default_rng(seed)
    cells = draw_cells(seed, n_bins=n_bins, n_accounts=n_accounts, n_cells=n_cells)
    chosen = rng.choice(n_cells, n_cells // 3, replace=False).tolist()
    return cells + [
        (0, entity, cells[row][2], cells[row][3]) for row in chosen for entity in range(2)
    ]


def expose_lag(activity, lag, null):
    index = index_cells(activity)
    return expose(activity, index, count_margins(index, lag), null=null)


@pytest.mark.parametrize("null", [*NULLS, "popularity"])
@pytest.mark.parametrize("lag", [0, 1, 5])
@pytest.mark.parametrize(
    ("bin_seconds", "first_bin", "n_bins"),
    [(900, 0, 288), (900, -131, 250), (1500, 11, 180), (HOUR, 1017, 110), (2 * HOUR, 7, 80)],
)
def test_expect__equals_plain_loops(null, lag, bin_seconds, first_bin, n_bins, backend):
    cells = draw_sessions(20 + lag, n_bins=n_bins)
    where = {"n_bins": n_bins, "first_bin": first_bin, "bin_seconds": bin_seconds}
    activity = build(cells, backend, **where)
    by_hand = ByHand(activity, lag, null)
    ends = by_hand.list_sharing()
    exposure = expose_lag(activity, lag, null)
    found = exposure.expect(make_pairs(ends))
    wanted = [(by_hand.expect(i, j), by_hand.expect_news(i, j)) for i, j in ends]
    np.testing.assert_allclose(np.column_stack(found), wanted, rtol=1e-12)
    np.testing.assert_array_equal(
        exposure.count_hours(make_pairs(ends)), [by_hand.hours[pair] for pair in ends]
    )
    if null in ("day", "six_hours"):
        assert min(by_hand.expect_once(i, j) for i, j in ends) < 1
    if null == "day" and bin_seconds <= HOUR:
        ratios = [by_hand.compare_hours(i, j) for i, j in ends]
        assert min(ratios) < 1 < max(ratios)


@pytest.mark.parametrize("lag", [0, 2])
def test_expect__equals_plain_loops_in_bins_of_minutes(lag, backend):
    activity = build(draw_sessions(4, n_bins=60), backend, n_bins=60, bin_seconds=360, first_bin=7)
    by_hand = ByHand(activity, lag, "one_hour")
    ends = by_hand.list_sharing()
    found = expose_lag(activity, lag, "one_hour").expect(make_pairs(ends))
    wanted = [(by_hand.expect(i, j), by_hand.expect_news(i, j)) for i, j in ends]
    np.testing.assert_allclose(np.column_stack(found), wanted, rtol=1e-12)


@given(
    cells=st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 59), st.integers(0, 2)),
        min_size=1, max_size=60,
    ),
    null=st.sampled_from(NULLS),
    lag=st.integers(0, 26),
    first_bin=st.integers(-30, 30),
    bin_seconds=st.sampled_from([1800, HOUR, 3 * HOUR]),
)  # fmt: skip
def test_expect__equals_plain_loops_for_any_cells(
    cells, null, lag, first_bin, bin_seconds, backend
):
    where = {"n_bins": 60, "first_bin": first_bin, "bin_seconds": bin_seconds}
    activity = build(cells, backend, n_accounts=3, **where)
    by_hand = ByHand(activity, lag, null)
    ends = by_hand.list_sharing()
    found = expose_lag(activity, lag, null).expect(make_pairs(ends))
    wanted = [(by_hand.expect(i, j), by_hand.expect_news(i, j)) for i, j in ends]
    wanted = np.array(wanted).reshape(-1, 2)
    np.testing.assert_allclose(np.column_stack(found), wanted, rtol=1e-12)


def test_expect__five_hashtags_in_one_post_are_one_chance_to_meet(backend):
    one = [(0, 0, 24 * day + 5 * account, account) for day in range(9) for account in (0, 1)]
    five = [(0, entity, bin, account) for _, _, bin, account in one for entity in range(5)]
    pairs = make_pairs([(0, 1), (1, 0)])
    found = [
        expose_lag(build(cells, backend, n_bins=216), 0, "six_hours").expect(pairs)
        for cells in (one, five)
    ]
    np.testing.assert_allclose(found[0], 9 / 6, rtol=1e-12)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)


@pytest.mark.parametrize("bin_seconds", [900, HOUR])
def test_expect__own_hours_are_what_all_shifts_of_the_days_give(bin_seconds, backend):
    """Closed form: one account's days shifted in a circle against the other's, whole days."""
    n_days, per_hour, per_day = 6, HOUR // bin_seconds, 24 * HOUR // bin_seconds
    rng = np.random.default_rng(21)
    n_bins = n_days * per_day
    # Accounts with hours of their own, some in common, on one entity: no pair of bins counts twice.
    cells = []
    for account in range(5):
        mine = range(2 * account * per_hour, (2 * account + 5) * per_hour)
        days = rng.integers(n_days, size=60).tolist()
        cells += [(0, 0, per_day * day + int(rng.choice(mine)), account) for day in days]
    activity = build(cells, backend, n_bins=n_bins, bin_seconds=bin_seconds, first_bin=-per_day)
    active = np.zeros((5, n_bins), int)
    for _, _, bin, account in set(cells):
        active[account, bin] = 1
    pairs = list_pairs(5)
    wanted = []
    for i, j in zip(pairs.source, pairs.target, strict=True):
        in_hour = in_day = 0.0
        for shift in range(1, n_days):
            moved = np.roll(active[j], shift * per_day)
            by_hour = active[i].reshape(-1, per_hour).sum(1) * moved.reshape(-1, per_hour).sum(1)
            by_day = active[i].reshape(-1, per_day).sum(1) * moved.reshape(-1, per_day).sum(1)
            in_hour += by_hour.sum() / per_hour
            in_day += by_day.sum() / per_day
        wanted.append((5 + in_hour) / (5 + in_day))
    exposure = expose_lag(activity, 0, "day")
    found = np.stack(exposure.expect(pairs)) / expect_pairs(exposure.strata, pairs)
    np.testing.assert_allclose(found, [wanted, np.maximum(wanted, 1)], rtol=1e-12)
    assert min(wanted) < 0.95 and max(wanted) > 1.5


# ------------------------------------------------------------------ the null of habits


def draw_crowd(seed, *, n_days=20, n_accounts=60, n_cells=300, first=0, n_entities=3):
    """Return cells of accounts that share an entity on a day once, if ever."""
    cells = draw_cells(
        seed, n_bins=24 * n_days, n_accounts=n_accounts, n_entities=n_entities, n_cells=n_cells
    )
    return [(kind, entity, bin, account + first) for kind, entity, bin, account in cells]


def collect(parts):
    """Return the ends of pairs that came in parts."""
    return [pair for part in parts for pair in zip(*(c.tolist() for c in part[:2]), strict=True)]


def fit_copies(activity, lag, *, null="day", seed=0):
    """Fit the null of habits; return it, the number of copies, and (copy, days moved) of each."""
    copies = []

    def shift(seed):
        copies.append(plan_shifts(activity)(seed))
        return copies[-1]

    [found] = fit_lags(activity, [lag], null=null, seed=seed, shift=shift)
    return *found, copies


def fit_lags(activity, lags, **choices):
    index = index_cells(activity)
    return fit_habits(activity, index, [count_margins(index, lag) for lag in lags], **choices)


@pytest.mark.parametrize(("bin_seconds", "first_bin"), [(HOUR, 7), (900, -131), (2 * HOUR, 0)])
def test_plan_shifts__moves_each_accounts_days_round_the_span(bin_seconds, first_bin, backend):
    """The span is of whole days; hours of the day, entities and accounts stay."""
    per_day = 24 * max(HOUR, bin_seconds) // bin_seconds
    cells = draw_cells(9, n_bins=5 * per_day, n_cells=200)
    where = {"n_bins": 5 * per_day, "first_bin": first_bin, "bin_seconds": bin_seconds}
    activity = build(cells, backend, **where)
    copy, moved = plan_shifts(activity)(4)
    again, other = (plan_shifts(activity)(seed)[1].tolist() for seed in (4, 5))
    assert again == moved.tolist() != other
    first_day = first_bin // per_day
    n_days = (first_bin + activity.n_bins - 1) // per_day + 1 - first_day
    assert (copy.first_bin, copy.n_bins) == (first_day * per_day, n_days * per_day)

    def read(which):
        columns = (which.entity, which.bin, which.account)
        return zip(*(backend.to_host(column).tolist() for column in columns), strict=True)

    wanted = []
    for entity, bin, account in read(activity):
        day, slot = divmod(first_bin + bin, per_day)
        day = (day - first_day + int(moved[account])) % n_days
        wanted.append((entity, day * per_day + slot, account))
    assert list(read(copy)) == sorted(wanted)


def test_plan_shifts__needs_two_days_that_bins_divide(backend):
    for choices in ({"n_bins": 24}, {"n_bins": 500, "bin_seconds": 7 * 60}):
        assert plan_shifts(build([(0, 0, 3, 0)], backend, **choices)) is None


@pytest.mark.parametrize("null", ["day", "hour", "six_hours"])
@pytest.mark.parametrize(("lag", "first_bin"), [(0, 7), (1, -31)])
def test_fit_habits__equals_moments_over_explicit_copies(null, lag, first_bin, backend):
    rng = np.random.default_rng(5)
    cells = draw_crowd(22, n_days=8, n_accounts=14, n_cells=150)
    # Some keep office hours, which copies keep: no lambda of 1, and a dispersion.
    cells += [(0, 0, 24 * int(rng.integers(8)) + 9 + a % 2, a) for a in range(6) for _ in range(6)]
    activity = build(cells, backend, n_bins=192, first_bin=first_bin)
    found, n_copies, copies = fit_copies(activity, lag, null=null)
    assert n_copies == len(copies) == 4
    observed, expected = [], []
    for copy, moved in copies:
        by_hand = ByHand(copy, lag, null)
        for i, j in by_hand.list_sharing():
            if moved[i] == moved[j]:  # what they did together they still do
                continue
            observed.append(by_hand.hours[i, j])
            expected.append(by_hand.expect(i, j))
    inflation, dispersion = solve_by_hand(observed, expected)
    assert (found.inflation, found.dispersion) == pytest.approx((inflation, dispersion), rel=1e-9)
    assert (found.n_bulk, found.n_left_out) == (len(observed), 0)


def test_fit_habits__makes_other_copies_for_another_seed(backend):
    activity = build(draw_crowd(22, n_accounts=14, n_cells=150), backend, n_bins=480)
    first, again, other = (fit_copies(activity, 1, seed=seed) for seed in (0, 0, 1))
    assert first[0] == again[0] != other[0]
    bins = {backend.to_host(c.bin).tobytes() for _, _, copies in (first, other) for c, _ in copies}
    assert len(bins) == 8


@pytest.mark.parametrize("n_pairs", [1, 300, 600, 900, 10**6])
def test_fit_habits__makes_copies_until_it_has_seen_enough(n_pairs, monkeypatch, backend):
    activity = build(draw_crowd(22, n_accounts=14, n_cells=150), backend, n_bins=480)
    _, n_copies, copies = fit_copies(activity, 1)
    assert n_copies == 4
    monkeypatch.setattr(habits, "_FIT_PAIRS", n_pairs)
    n_seen = np.cumsum(
        [
            len(collect(list_fitted(expose_lag(copy, 1, "day").strata, apart=moved)))
            for copy, moved in copies
        ]
    )
    wanted = next((n for n in range(2, 5) if n_seen[n - 1] >= n_pairs), 4)
    found, n_copies, _ = fit_copies(activity, 1)
    assert (n_copies, found.n_bulk) == (wanted, n_seen[wanted - 1])


@pytest.mark.parametrize(("n_cells", "wanted"), [(100, 2), (450, 3), (10**6, 4)])
def test_fit_habits__makes_fewer_copies_where_these_are_large(
    n_cells, wanted, monkeypatch, backend
):
    activity = build(draw_crowd(22, n_accounts=14, n_cells=150), backend, n_bins=480)
    assert 450 / 4 < activity.n_cells <= 450 / 3
    monkeypatch.setattr(habits, "_FIT_CELLS", n_cells)
    assert fit_copies(activity, 1)[1] == wanted


def test_fit_habits__fits_each_lag_as_it_would_alone(monkeypatch, backend):
    """Lags that have seen enough pairs take no more copies, whatever others still need."""
    activity = build(draw_crowd(22, n_accounts=14, n_cells=600), backend, n_bins=480)
    choices = {"null": "day", "seed": 3, "shift": plan_shifts(activity)}
    # All 182 pairs are listed, and those that share a stratum at a lag of 440 bins are fewer.
    monkeypatch.setattr(habits, "_FIT_PAIRS", 364)
    alone = [fit_lags(activity, [lag], **choices)[0] for lag in (0, 1, 440)]
    assert fit_lags(activity, [0, 1, 440], **choices) == alone
    assert {each.n_copies for each in alone} == {3, 4}


def test_fit_habits__is_chance_alone_where_nobody_shares_anything(backend):
    activity = build([(0, 0, 0, 0), (0, 1, 30, 1)], backend, n_bins=48)
    assert fit_copies(activity, 1)[:2] == (EmpiricalNull(1.0, 0.0, 0, 0), 4)


def test_fit_habits__without_days_fits_the_bulk_of_the_archive_itself(backend):
    """The pairs that chance explains; what was planted is left out."""
    cells = draw_crowd(23, n_days=1, n_accounts=30, n_cells=400)
    cells += [(0, 9, k, a) for k in range(20) for a in (30, 31)]
    activity = build(cells, backend, n_bins=24)
    by_hand = ByHand(activity, 0, "six_hours")
    ends = by_hand.list_sharing()
    [(found, n_copies)] = fit_lags(activity, [0], null="six_hours", seed=0, shift=None)
    hours, expected = [by_hand.hours[p] for p in ends], [by_hand.expect(*p) for p in ends]
    assert n_copies == 0
    assert fit_by_hand(hours, expected) == pytest.approx(
        (found.inflation, found.dispersion, found.n_bulk, found.n_left_out)
    )


def test_list_fitted__lists_all_pairs_that_share_or_those_of_sources_by_lot(monkeypatch, backend):
    activity = build(draw_crowd(24), backend, n_bins=480)
    strata = expose_lag(activity, 1, "day").strata
    wanted = ByHand(activity, 1, "day").list_sharing()
    assert collect(list_fitted(strata)) == wanted
    monkeypatch.setattr(habits, "_LISTED", 50)
    parts = list(list_fitted(strata))
    assert len(parts) > 5 and collect(parts) == wanted
    n_meetings = int(count_products(strata).sum())
    for name in ("_FIT_PAIRS", "_FIT_MEETINGS"):
        with monkeypatch.context() as patch:
            patch.setattr(habits, name, n_meetings // 2)
            some = collect(list_fitted(strata))
            assert set(some) < set(wanted) and some == sorted(some)
            assert len({i for i, _ in some}) > 0.9 * len({i for i, _ in wanted})
            patch.setattr(habits, "_MIN_SOURCES", 1)
            some = collect(list_fitted(strata))
            sources = {i for i, _ in some}
            assert some == [pair for pair in wanted if pair[0] in sources]
            assert 0 < len(some) < len(wanted)


# ------------------------------------------------------------------ the reference


def draw_news(seed, *, n_days=20, n_accounts=50, n_cells=250, n_bursts=6):
    """A crowd, and bursts of strangers on some days: all use entity 5 in two hours."""
    rng = np.random.default_rng(seed)
    cells = draw_crowd(seed, n_days=n_days, n_accounts=n_accounts, n_cells=n_cells)
    for day in rng.choice(n_days, n_bursts, replace=False).tolist():
        hour = 24 * day + int(rng.integers(4, 20))
        for account in rng.choice(n_accounts, 8, replace=False).tolist():
            cells += [(1, 5, hour, account), (1, 5, hour + 1, account)]
    return cells


@pytest.mark.parametrize("null", ["day", "six_hours"])
@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("n_cells", [150, 400])
def test_find_reference__equals_plain_loops(null, lag, n_cells, backend):
    """Accounts that use a stratum: those with a bin in it, as targets.

    Classes with fewer than five expected hours are pooled; others have a lambda of their own.
    """
    activity = build(draw_news(30, n_cells=n_cells), backend, n_bins=480)
    by_hand = ByHand(activity, lag, null)
    wanted = find_reference_by_hand(by_hand)
    exposure = expose_lag(activity, lag, null)
    found = find_reference(exposure, exposure.count_hours)
    n_pairs, n_hours, expected, fitted, doubt = wanted
    assert (found.kind, found.n_pairs, found.n_hours) == ("met_once", n_pairs, n_hours)
    assert found.expected == pytest.approx(expected, rel=1e-12)
    assert found.inflation == pytest.approx(n_hours / expected, rel=1e-12)
    assert found.doubt == pytest.approx(doubt, rel=1e-9)
    assert len(found.by_class) == len(found.spread) == max(fitted) + 1
    for number, moments in fitted.items():
        assert (found.by_class[number], found.spread[number]) == pytest.approx(moments, rel=1e-9)
    assert len(set(fitted.values())) > 1 and min(found.by_class) >= 1
    ends = by_hand.list_sharing()
    pairs = make_pairs(ends)
    mean, dispersion = found.correct(pairs, exposure.expect(pairs).news)
    wanted = np.array([correct_by_hand(by_hand, fitted, doubt, i, j) for i, j in ends])
    np.testing.assert_allclose(np.column_stack([mean, dispersion]), wanted, rtol=1e-9)
    assert np.ptp(wanted[:, 1]) > 0 or n_cells == 150


def test_find_reference__takes_the_hours_that_it_is_given(backend):
    activity = build(draw_news(31), backend, n_bins=480)
    exposure = expose_lag(activity, 0, "day")
    found = find_reference(exposure, lambda pairs: 2 * exposure.count_hours(pairs))
    plain = find_reference(exposure, exposure.count_hours)
    assert (found.n_hours, found.n_pairs) == (2 * plain.n_hours, plain.n_pairs)
    assert found.inflation == pytest.approx(2 * plain.inflation)


def test_find_reference__is_none_where_hardly_anybody_met_once(backend):
    """An operation alone, whose pairs share many days; nine strangers, who expect less than 5."""
    everyone = [(0, 0, 24 * day + a, a) for day in range(20) for a in range(12)]
    for cells in (everyone, draw_crowd(32, n_accounts=9, n_cells=60)):
        activity = build(cells, backend, n_bins=480)
        exposure = expose_lag(activity, 1, "day")
        assert find_reference_by_hand(ByHand(activity, 1, "day")) is None
        reference = find_reference(exposure, exposure.count_hours)
        assert reference is None
        assert describe_reference(reference) is None


def test_describe_reference__says_it_in_plain_values(backend):
    exposure = expose_lag(build(draw_news(31), backend, n_bins=480), 0, "day")
    reference = find_reference(exposure, exposure.count_hours)
    described = describe_reference(reference)
    assert (described["kind"], described["strata"]) == ("met_once", "day")
    assert described["lambda"] == reference.inflation
    assert described["by_class"] == reference.by_class.tolist()
    assert described["spread"] == reference.spread.tolist()
    assert described["doubt"] == reference.doubt > 0
    assert {type(value) for value in described["by_class"] + described["spread"]} == {float}


@pytest.mark.parametrize("null", ["day", "six_hours"])
@pytest.mark.parametrize("n_controls", [25, 50])
def test_ask_controls__equals_plain_loops(null, n_controls, backend):
    activity = build(draw_news(33, n_cells=900, n_bursts=4), backend, n_bins=480)
    by_hand = ByHand(activity, 0, null)
    ends = by_hand.list_sharing()
    is_control = np.arange(50) < n_controls
    mine = [(i, j) for i, j in ends if i < n_controls or j < n_controls]
    hours, expected = [by_hand.hours[p] for p in mine], [by_hand.expect_news(*p) for p in mine]
    inflation, dispersion = solve_by_hand(hours, expected, least=1.0)
    exposure = expose_lag(activity, 0, null)
    found = ask_controls(exposure, exposure.count_hours, is_control, name="organic")
    assert (found.kind, found.n_pairs, found.n_hours) == ("controls", len(mine), sum(hours))
    assert found.expected == pytest.approx(sum(expected), rel=1e-12)
    pairs = make_pairs(ends)
    mean, spread = found.correct(pairs, exposure.expect(pairs).news)
    wanted = [inflation * by_hand.expect_news(*p) for p in ends]
    np.testing.assert_allclose(mean, wanted, rtol=1e-9)
    doubt = doubt_by_hand([(each, inflation, dispersion) for each in expected])
    np.testing.assert_allclose(spread, np.full(len(ends), dispersion + doubt), rtol=1e-9)
    assert inflation > 1 and (dispersion > 0 or null == "six_hours")


def test_ask_controls__has_a_lambda_of_one_at_least(backend):
    """Controls who avoid each other do not make others' coincidences rarer."""
    cells = [(0, a % 7, 24 * day + 3 * (a // 7), a) for day in range(30) for a in range(40)]
    activity = build(cells, backend, n_bins=720)
    exposure = expose_lag(activity, 1, "day")
    found = ask_controls(exposure, exposure.count_hours, np.ones(40, bool), name="organic")
    assert found.n_hours == 0 and found.by_class.tolist() == [1.0]


@pytest.mark.parametrize("n_cells", [40, 250])
def test_ask_controls__refuses_too_few(n_cells, backend):
    activity = build(draw_crowd(34, n_cells=n_cells), backend, n_bins=480, n_accounts=60)
    by_hand = ByHand(activity, 1, "day")
    # Too few pairs of one account, or too few hours of the pairs of all.
    is_control = np.arange(60) < (60 if n_cells == 40 else 1)
    mine = [p for p in by_hand.list_sharing() if is_control[list(p)].any()]
    expected = sum(by_hand.expect_news(*pair) for pair in mine)
    assert len(mine) < 100 or expected < 5
    exposure = expose_lag(activity, 1, "day")
    message = (
        f"reference is 'organic': {is_control.sum()} accounts, with {len(mine)} pairs that share "
        f"anything, and {expected:.3g} hours to be expected of them; 100 pairs and 5 hours"
    )
    with pytest.raises(ValueError, match=message):
        ask_controls(exposure, exposure.count_hours, is_control, name="organic")


def test_find_controls__marks_the_accounts_with_a_label():
    accounts = pl.DataFrame({"label": ["io", None, "organic", None]})
    assert find_controls(accounts, None) is None
    for label, wanted in {"unlabelled": [0, 1, 0, 1], "organic": [0, 0, 1, 0]}.items():
        name, marks = find_controls(accounts, label)
        assert (name, marks.tolist()) == (label, wanted)


def test_find_controls__refuses_a_label_that_nobody_has():
    accounts = pl.DataFrame({"label": ["io", None, "organic", "io"]})
    message = (
        r"reference is 'control', which no account is labelled; "
        r"there are \['io', 'organic', 'unlabelled'\]"
    )
    with pytest.raises(ValueError, match=message):
        find_controls(accounts, "control")


@pytest.mark.parametrize(
    ("null", "bin_seconds", "finest"),
    [
        ("day", HOUR, "day"), ("day", 2160, "six_hours"), ("day", 2161, "day"),
        ("day", 900, "six_hours"), ("day", 360, "one_hour"), ("entity", HOUR, "day"),
        ("popularity", 5 * HOUR, "day"), ("six_hours", HOUR, "six_hours"),
        ("one_hour", 360, "one_hour"), ("entity", 300, "one_hour"), ("hour", 900, "six_hours"),
    ],
)  # fmt: skip
def test_choose_finest__takes_the_shortest_blocks_of_ten_bins(null, bin_seconds, finest):
    assert choose_finest(null, bin_seconds) == finest


# ------------------------------------------------------------------ all pairs


def assess(activity, lags=(1,), **choices):
    index = index_cells(activity)
    return assess_pairs(activity, index, [count_margins(index, lag) for lag in lags], **choices)


def draw_activity(seed, backend, **choices):
    """A crowd, in which account 1 follows account 0 on what others use, too."""
    rng = np.random.default_rng(seed)
    cells = draw_crowd(seed)
    for bin in rng.choice(479, 40, replace=False).tolist():
        cells += [(0, 1, bin, 0), (0, 1, bin + 1, 1)]
    return build(cells, backend, n_bins=480, n_accounts=60, **choices)


def find_tail_by_hand(observed, mean, dispersion):
    """Return P(X >= observed), of a count of its own mean and dispersion."""
    if dispersion == 0:
        return stats.poisson(mean).sf(observed - 1)
    return stats.nbinom(1 / dispersion, 1 / (1 + mean * dispersion)).sf(observed - 1)


def find_p_by_hand(activity, tests, lag, at_lag):
    """Return {pair: (p habit, p, hours by habit, hours with the news, observed)} at one lag."""
    by_hand = ByHand(activity, lag, tests.null)
    news = ByHand(activity, lag, choose_finest(tests.null, activity.bin_seconds))
    fitted = find_reference_by_hand(news)
    found = {}
    for i, j in by_hand.list_sharing():
        if not by_hand.hours[i, j]:
            continue
        habit = by_hand.expect(i, j) * max(at_lag.habits.inflation, 1)
        p_habit = find_tail_by_hand(by_hand.hours[i, j], habit, at_lag.habits.dispersion)
        p, mean = 1.0, math.nan
        if fitted is not None:
            mean, spread = correct_by_hand(news, *fitted[3:], i, j)
            p = max(p_habit, find_tail_by_hand(by_hand.hours[i, j], mean, spread))
        found[i, j] = p_habit, p, habit, mean, by_hand.hours[i, j]
    return found


@pytest.mark.parametrize(
    ("null", "lags"), [("day", (1,)), ("day", (0, 1, 3)), ("entity", (1, 2)), ("six_hours", (1,))]
)
def test_assess_pairs__puts_its_parts_together(null, lags, backend):
    """One by one: expected hours, p-values of both tiers, combination, q-values, tiers."""
    activity = draw_activity(10, backend)
    tests = assess(activity, lags, null=null)
    n_accounts, by_lag = 60, []
    for lag, at_lag in zip(lags, tests.by_lag, strict=True):
        found = find_p_by_hand(activity, tests, lag, at_lag)
        pairs = np.array(sorted(found)) @ [n_accounts, 1]
        assert at_lag.lag == lag and at_lag.reference is not None
        np.testing.assert_array_equal(at_lag.pair, pairs)
        p_habit, p, habit, mean, hours = np.array([found[pair] for pair in sorted(found)]).T
        np.testing.assert_array_equal(at_lag.n_hours, hours)
        np.testing.assert_allclose(at_lag.expected_habit, habit, rtol=1e-9)
        np.testing.assert_allclose(at_lag.expected, mean, rtol=1e-9)
        np.testing.assert_allclose(np.exp(at_lag.log_p_habit), p_habit, rtol=1e-7)
        np.testing.assert_allclose(np.exp(at_lag.log_p), p, rtol=1e-7)
        assert at_lag.n_met == ByHand(activity, lag, null).count_meetings()
        null_of_habits, n_copies, _ = fit_copies(activity, lag, null=null)
        assert (at_lag.habits, at_lag.n_copies) == (null_of_habits, n_copies)
        by_lag.append(found)
    everyone = sorted({pair for found in by_lag for pair in found})
    np.testing.assert_array_equal(tests.pair, np.array(everyone) @ [n_accounts, 1])
    n_met = sum(ByHand(activity, lag, null).count_meetings() for lag in lags)
    assert tests.n_tests == min(60 * 59, n_met)
    finest = choose_finest(null, HOUR)
    n_sharing = sum(len(ByHand(activity, lag, finest).list_sharing()) for lag in lags)
    n_tests = tests.n_tests, min(60 * 59, n_sharing)
    columns = []
    for column in (0, 1):
        p = [[found.get(pair, (1.0, 1.0))[column] for found in by_lag] for pair in everyone]
        joined = [combine_by_hand(row) if len(lags) > 1 else row[0] for row in p]
        columns += [joined, adjust_by_hand(joined, n_tests[column])]
    p_habit, q_habit, p, q = np.array(columns)
    np.testing.assert_allclose(np.exp(tests.log_p_habit), p_habit, rtol=1e-6)
    np.testing.assert_allclose(np.exp(tests.log_p), p, rtol=1e-6)
    np.testing.assert_allclose(tests.q_habit, q_habit, rtol=1e-6)
    np.testing.assert_allclose(tests.q_value, q, rtol=1e-6)
    tier = np.where(q_habit > 0.05, 0, np.where(q > 0.05, 1, 2))
    np.testing.assert_array_equal(tests.tier, tier)
    assert tests.count("beyond_news") == (tier == 2).sum() > 0
    assert tests.count("beyond_habit") == (tier >= 1).sum()
    # An edge is read at one of the lags at which its pair met.
    rng = np.random.default_rng(0)
    at = [int(rng.choice([k for k, found in enumerate(by_lag) if e in found])) for e in everyone]
    source, target = np.array(everyone).T
    edges = tests.read_edges(source, target, np.array(lags)[at])
    _, _, habit, mean, hours = np.array(
        [by_lag[k][pair] for k, pair in zip(at, everyone, strict=True)]
    ).T
    np.testing.assert_array_equal(edges.n_hours, hours)
    np.testing.assert_allclose(edges.expected_habit, habit, rtol=1e-9)
    np.testing.assert_allclose(edges.expected, mean, rtol=1e-9)
    np.testing.assert_allclose(edges.p_value, p, rtol=1e-6)
    np.testing.assert_allclose(edges.q_value, q, rtol=1e-6)
    np.testing.assert_allclose(edges.q_habit, q_habit, rtol=1e-6)
    np.testing.assert_array_equal(edges.tier, tier)
    np.testing.assert_array_equal(edges.significant, tier == 2)
    for name, least in (("beyond_news", 2), ("beyond_habit", 1)):
        np.testing.assert_array_equal(tests.mark(source, target, name), tier >= least)


def test_assess_pairs__holds_what_it_says_in_bytes(backend):
    tests = assess(draw_activity(9, backend))
    size = tests.pair.size
    assert size > 20
    whole = {name: a for name, a in vars(tests).items() if isinstance(a, np.ndarray)}
    at_lag = {name: a for name, a in vars(tests.by_lag[0]).items() if isinstance(a, np.ndarray)}
    assert sum(a.nbytes for a in whole.values()) == 41 * size
    assert sum(a.nbytes for a in at_lag.values()) <= 60 * size


def test_assess_pairs__asks_named_controls(backend):
    activity = build(draw_news(33, n_bursts=12), backend, n_bins=480)
    is_control = np.arange(50) < 25
    tests = assess(activity, (0,), controls=("organic", is_control)).by_lag[0]
    exposure = expose_lag(activity, 0, "day")
    reference = ask_controls(exposure, exposure.count_hours, is_control, name="organic")
    by_hand = ByHand(activity, 0, "day")
    assert tests.reference == describe_reference(reference)
    wanted = [
        by_hand.expect_news(*divmod(pair, 50)) * reference.by_class[0]
        for pair in tests.pair.tolist()
    ]
    np.testing.assert_allclose(tests.expected, wanted, rtol=1e-9)
    np.testing.assert_array_equal(
        tests.spread, np.full(len(wanted), reference.spread[0] + reference.doubt)
    )
    with pytest.raises(ValueError, match="reference is 'organic': 1 accounts"):
        assess(activity, (0,), controls=("organic", np.arange(50) == 3))


def test_assess_pairs__without_a_reference_says_nothing_of_the_news(backend):
    """An operation alone: all meet again and again."""
    rng = np.random.default_rng(40)
    cells = [(0, 0, 24 * d + int(rng.integers(24)), a) for d in range(20) for a in range(8)]
    for bin in rng.choice(479, 40, replace=False).tolist():
        cells += [(0, 0, bin, 0), (0, 0, bin + 1, 1)]
    tests = assess(build(cells, backend, n_bins=480))
    at_lag = tests.by_lag[0]
    assert at_lag.reference is None
    assert np.isnan(at_lag.expected).all() and np.isnan(at_lag.spread).all()
    assert not at_lag.log_p.any() and (tests.q_value == 1).all()
    assert tests.count("beyond_news") == 0
    assert tests.pair[tests.tier == 1].tolist() == [1]
    choice = choose_tier(tests, "auto")
    assert choice.tier == "beyond_habit" and "met just once" in choice.warning
    summary = summarise_tests(tests, choice, n_network_edges=1)
    assert (summary["lambda"], summary["n_significant"], summary["n_beyond_habit"]) == (None, 0, 1)


def test_assess_pairs__takes_one_day_as_it_is(backend):
    """No days to permute: the null of habits is that of the bulk of the archive's own pairs."""
    activity = build(draw_crowd(41, n_days=1, n_accounts=30, n_cells=120), backend, n_bins=24)
    at_lag = assess(activity, (1,)).by_lag[0]
    by_hand = ByHand(activity, 1, "day")
    ends = by_hand.list_sharing()
    wanted = fit_by_hand([by_hand.hours[p] for p in ends], [by_hand.expect(*p) for p in ends])
    assert at_lag.n_copies == 0
    assert (at_lag.habits.inflation, at_lag.habits.dispersion) == pytest.approx(wanted[:2])


def assert_same(tests, others):
    """Assert that two tests are the same to the bit, but for the arrays' addresses."""
    for part, other in ((tests, others), *zip(tests.by_lag, others.by_lag, strict=True)):
        for name, value in vars(part).items():
            if name != "by_lag":
                np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


@pytest.mark.parametrize("memory", [1, 20_000, 1 << 30])
def test_assess_pairs__is_the_same_for_any_blocks(memory, backend):
    activity = draw_activity(11, backend)
    assert_same(assess(activity, (1, 2), memory=memory), assess(activity, (1, 2)))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_assess_pairs__is_the_same_for_any_threads(threads, backend):
    activity = draw_activity(11, backend)
    other = dataclasses.replace(activity, backend=dataclasses.replace(backend, threads=threads))
    tests, others = assess(activity, (1, 2)), assess(other, (1, 2), memory=20_000)
    assert_same(tests, others)
    assert others.count("beyond_news") == tests.count("beyond_news") > 0


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
    pairs = fetch_pairs(*prepare(activity, lag)[:2])
    np.testing.assert_array_equal(tests.observed, pairs.support)


def test_assess_pairs__one_sitting_is_one_coincidence(backend):
    """Twenty entities in one hour are no more than one: strangers may share a session."""
    rng = np.random.default_rng(16)
    cells = draw_crowd(16, n_days=30, n_cells=400)
    cells += [(0, 50 + e, 100, 0) for e in range(20)] + [(0, 50 + e, 101, 1) for e in range(20)]
    for bin in rng.choice(719, 20, replace=False).tolist():
        cells += [(0, 90, bin, 2), (0, 90, bin + 1, 3)]
    tests = assess(build(cells, backend, n_bins=720))
    observed = dict(zip(tests.pair.tolist(), tests.by_lag[0].observed.tolist(), strict=True))
    assert observed[0 * 60 + 1] >= 20 and observed[2 * 60 + 3] >= 20
    assert tests.pair[tests.tier > 0].tolist() == [2 * 60 + 3]


@pytest.mark.parametrize("lags", [(1,), (1, 2)])
def test_assess_pairs__below_the_support_has_p_of_one(lags, backend):
    activity = draw_activity(14, backend)
    whole, gated = assess(activity, lags), assess(activity, lags, min_support=3)
    by_lag = []
    for at_lag, before in zip(gated.by_lag, whole.by_lag, strict=True):
        # The nulls are fitted to the same pairs, and those with support have the same p-values.
        assert (at_lag.habits, at_lag.reference) == (before.habits, before.reference)
        kept = before.observed >= 3
        assert 0 < kept.sum() < kept.size
        np.testing.assert_array_equal(at_lag.pair, before.pair[kept])
        np.testing.assert_array_equal(at_lag.expected, before.expected[kept])
        np.testing.assert_array_equal(at_lag.log_p, before.log_p[kept])
        by_lag.append(dict(zip(at_lag.pair.tolist(), at_lag.log_p.tolist(), strict=True)))
    assert gated.n_tests == whole.n_tests
    assert gated.pair.tolist() == sorted({pair for found in by_lag for pair in found})
    p = [[math.exp(found.get(pair, 0.0)) for found in by_lag] for pair in gated.pair.tolist()]
    wanted = [combine_by_hand(row) if len(lags) > 1 else row[0] for row in p]
    np.testing.assert_allclose(np.exp(gated.log_p), wanted, rtol=1e-6)
    n_accounts = whole.n_accounts
    n_met = sum(each.n_met_news for each in whole.by_lag)
    q_value = adjust_by_hand(wanted, min(n_accounts * (n_accounts - 1), n_met))
    np.testing.assert_allclose(gated.q_value, q_value, rtol=1e-6)
    rows = np.searchsorted(whole.pair, gated.pair)
    assert (gated.q_value >= whole.q_value[rows] - 1e-12).all()


def test_assess_pairs__has_nothing_to_say_without_coincidences(backend):
    cells = [(0, 0, 0, 0), (0, 1, 1, 1), (1, 0, 5, 2)]
    tests = assess(build(cells, backend, n_bins=24), lags=(1, 2))
    assert tests.pair.size == tests.count("beyond_habit") == tests.count("beyond_news") == 0
    assert tests.by_lag[0].habits == EmpiricalNull(1.0, 0.0, 0, 0)
    assert tests.by_lag[0].reference is None
    empty = np.empty(0, np.int32)
    edges = tests.read_edges(empty, empty, empty)
    assert edges.significant.size == edges.tier.size == 0
    assert tests.mark(empty, empty, "beyond_news").size == 0
    assert {len(column) for column in name_tiers(edges).values()} == {0}


@pytest.mark.parametrize("alpha", [0, 1, -0.1, float("nan")])
def test_assess_pairs__refuses_an_alpha_that_is_no_rate(alpha, backend):
    with pytest.raises(ValueError, match=f"alpha is {alpha}; it lies between 0 and 1"):
        assess(build([(0, 0, 0, 0), (0, 0, 1, 1)], backend, n_bins=3), alpha=alpha)


@pytest.mark.parametrize(
    ("null", "message"), [("week", "'week'"), ("one_hour", "a bin is 3600 s; it takes bins of")]
)
def test_assess_pairs__refuses_a_null(null, message, backend):
    with pytest.raises(ValueError, match=message):
        assess(build([(0, 0, 0, 0), (0, 0, 1, 1)], backend, n_bins=3), null=null)


def make_lag(lag, rows, *, n_met=100):
    """Return tests of (pair, coincidences of one hour, log p of habit, log p) at a lag."""
    pair, observed, log_p_habit, log_p = np.array(sorted(rows), float).reshape(-1, 4).T
    none = np.full(pair.size, np.nan)
    habits = EmpiricalNull(1.0, 0.0, 0, 0)
    return LagTests(
        lag, pair.astype(np.int64), observed.astype(np.int64), np.ones(pair.size, np.int32), none,
        none, none, log_p_habit, log_p, n_met, n_met, habits, 2, None,
    )  # fmt: skip


rows = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 4), st.floats(-30, 0), st.floats(0, 1)),
    max_size=12,
    unique_by=lambda row: row[0],
)


@given(by_lag=st.lists(rows, min_size=1, max_size=3), n_met=st.integers(31, 200),
       min_support=st.integers(1, 3), alpha=st.floats(0.001, 0.9))  # fmt: skip
def test_join_lags__combines_and_adjusts_by_tier(by_lag, n_met, min_support, alpha):
    """The p-value beyond the news is no smaller than that beyond habit, and so is the q-value."""
    by_lag = [[(pair, n, log_p, log_p * part) for pair, n, log_p, part in lag] for lag in by_lag]
    tests = join_lags(
        [make_lag(lag, found, n_met=n_met) for lag, found in enumerate(by_lag)],
        n_accounts=12, null="day", alpha=alpha, min_support=min_support,
    )  # fmt: skip
    n_tests = min(12 * 11, n_met * len(by_lag))
    everyone = sorted({row[0] for found in by_lag for row in found})
    assert (tests.n_tests, tests.pair.tolist()) == (n_tests, everyone)
    q = []
    for column in (2, 3):
        p = np.ones((len(everyone), len(by_lag)))
        for lag, found in enumerate(by_lag):
            for row in found:
                if row[1] >= min_support:
                    p[everyone.index(row[0]), lag] = math.exp(row[column])
        joined = [combine_by_hand(row) if len(by_lag) > 1 else row[0] for row in p.tolist()]
        q.append(adjust_by_hand(joined, n_tests))
    assert tests.q_habit.tolist() == pytest.approx(q[0], rel=1e-6)
    assert tests.q_value.tolist() == pytest.approx(q[1], rel=1e-6)
    assert (tests.q_value >= tests.q_habit * (1 - 1e-9)).all()
    is_news, is_habit = tests.tier == 2, tests.tier >= 1
    assert (tests.q_value[is_news] <= alpha).all() and (tests.q_habit[is_habit] <= alpha).all()
    assert ((tests.q_value > alpha) | (tests.q_habit > alpha))[~is_news].all()
    assert (tests.count("beyond_news"), tests.count("beyond_habit")) == (
        is_news.sum(), is_habit.sum()
    )  # fmt: skip


def test_rank_tiers__asks_for_both():
    q_habit = np.array([0.01, 0.01, 0.2, 0.2, 0.05, 0.05])
    q_value = np.array([0.02, 0.2, 0.01, 0.2, 0.05, np.nan])
    assert rank_tiers(q_value, q_habit, 0.05).tolist() == [2, 1, 0, 0, 2, 1]


# ------------------------------------------------------------------ what is planted


def draw_planted(backend, *, per_hour=1, n_days=60):
    """A crowd, a follower (0 -> 1), two clocks (2 -> 3) and two who go with all news (4 -> 5).

    All an hour later, clocks at any minute of it. Half of the crowd's 200 hear one of twenty pieces
    of news each: they act in its hour and in the next, as the two do on all twenty.
    """
    rng = np.random.default_rng(13)
    crowd = draw_crowd(13, n_days=n_days, n_accounts=200, n_cells=3000, first=6)
    cells = [(kind, entity, bin, account) for kind, entity, bin, account in crowd]
    for account in (2, 3):
        days = rng.choice(n_days, n_days // 2, replace=False).tolist()
        cells += [(0, 2, 24 * day + 8 + account, account) for day in days]
    cells = [
        (*cell[:2], per_hour * cell[2] + int(rng.integers(per_hour)), cell[3]) for cell in cells
    ]
    for bin in rng.choice((24 * n_days - 1) * per_hour, n_days, replace=False).tolist():
        cells += [(0, 1, bin, 0), (0, 1, bin + per_hour, 1)]
    heard = rng.permutation(np.arange(6, 206))[:100].reshape(20, 5)
    for day, strangers in zip(rng.choice(n_days, 20, replace=False).tolist(), heard, strict=True):
        bin = per_hour * (24 * day + int(rng.integers(1, 21)))
        for account in (4, 5, *strangers.tolist()):
            cells += [(1, 7, bin, account), (1, 7, bin + per_hour, account)]
    return build(cells, backend, n_bins=24 * n_days * per_hour, bin_seconds=HOUR // per_hour)


@pytest.mark.parametrize(
    ("null", "per_hour", "finest", "clocks", "news"),
    [("day", 1, "day", 0, 1), ("day", 4, "six_hours", 0, 0), ("six_hours", 1, "six_hours", 2, 0)],
)
def test_assess_pairs__tells_what_was_planted(null, per_hour, finest, clocks, news, backend):
    """Own hours of the day are kept under ``day``, also where the news is tested in finer blocks.

    Shorter blocks do not keep them: there, clocks follow each other.
    """
    tests = assess(draw_planted(backend, per_hour=per_hour), (per_hour,), null=null)
    assert tests.by_lag[0].reference["strata"] == finest
    source, target = np.divmod(tests.pair, 206)
    ends = list(zip(source.tolist(), target.tolist(), strict=True))
    tier = dict(zip(ends, tests.tier.tolist(), strict=True))
    hours = dict(zip(ends, tests.by_lag[0].n_hours.tolist(), strict=True))
    # The clocks and the two who go with the news meet often, too.
    assert hours[0, 1] >= 55 and hours[2, 3] >= 8 / per_hour
    assert hours[4, 5] == hours[5, 4] == 20
    assert (tier[0, 1], tier[2, 3]) == (2, clocks)
    assert tier[4, 5] == tier[5, 4] == news
    planted = {(0, 1), (2, 3), (4, 5), (5, 4)}
    assert not any(rank for pair, rank in tier.items() if pair not in planted)


@pytest.mark.parametrize("n_hours", [2, 4])
def test_assess_pairs__one_burst_is_news(n_hours, backend):
    """Thirty strangers react to one thing; two of them in all its hours."""
    rng = np.random.default_rng(17)
    cells = draw_crowd(17, n_accounts=80, n_cells=500)
    for account in range(30):
        mine = rng.choice(n_hours, max(1, n_hours - 1), replace=False).tolist()
        mine = range(n_hours) if account < 2 else mine
        cells += [(1, 8, 130 + hour, account) for hour in mine]
    tests = assess(build(cells, backend, n_bins=480), (0,))
    hours = dict(zip(tests.pair.tolist(), tests.by_lag[0].n_hours.tolist(), strict=True))
    assert hours[1] >= n_hours
    assert not tests.tier.any() and tests.pair.size > 400


# ------------------------------------------------------------------ tiers

NO_NEWS = "news and coordination can hardly be told apart in this archive"


@pytest.mark.parametrize(
    ("inflations", "n_beyond_news", "asked", "tier", "why", "warning"),
    [
        ([1.1], 3, "auto", "beyond_news", "some pairs are beyond", None),
        ([1.1, 1.9], 1, "auto", "beyond_news", "some pairs are beyond", None),
        ([1.1], 0, "auto", "beyond_habit", "no pair is beyond the news", None),
        ([1.1, 2.0], 3, "auto", "beyond_habit", NO_NEWS, "met 2 times as often"),
        ([7.34], 0, "auto", "beyond_habit", NO_NEWS, "met 7.3 times as often"),
        ([], 0, "auto", "beyond_habit", NO_NEWS, "Hardly any accounts here met just once"),
        ([], 0, "beyond_news", "beyond_news", "as asked for", "Hardly any accounts"),
        ([3.0], 3, "beyond_news", "beyond_news", "as asked for", "met 3 times as often"),
        ([1.1], 0, "beyond_news", "beyond_news", "as asked for", None),
        ([1.1], 3, "beyond_habit", "beyond_habit", "as asked for", None),
    ],
)
def test_choose_from__chooses_and_warns(inflations, n_beyond_news, asked, tier, why, warning):
    said = [{"kind": "met_once", "lambda": each} for each in inflations]
    choice = choose_from(said, n_beyond_news, asked)
    assert choice.tier == tier and why in choice.why
    assert (choice.warning is None) == (warning is None)
    assert warning is None or warning in choice.warning


def test_choose_from__knows_named_controls():
    said = [{"kind": "controls", "lambda": 4.0}]
    warning = choose_from(said, 1, "auto").warning
    assert "the controls that you named met 4 times" in warning and "--reference" not in warning


def test_choose_tier__counts_the_pairs_and_asks_all_lags(backend):
    tests = assess(draw_planted(backend), (1, 2))
    said = [lag.reference for lag in tests.by_lag]
    lambdas = [each["lambda"] for each in said]
    for asked in ("auto", "beyond_news", "beyond_habit"):
        assert choose_tier(tests, asked) == choose_from(said, 1, asked)
    assert max(lambdas) < 2 and choose_tier(tests, "auto").tier == "beyond_news"


def test_name_tiers__spells_ranks_and_hides_what_is_not_known(backend):
    tests = assess(draw_planted(backend))
    source, target = np.divmod(tests.pair, 206)
    edges = tests.read_edges(source, target, np.ones(source.size))
    edges = edges._replace(expected=np.where(source == 4, np.nan, edges.expected))
    columns = name_tiers(edges)
    assert list(columns) == list(edges._fields)
    names = {0: None, 1: "beyond_habit", 2: "beyond_news"}
    assert columns["tier"].to_list() == [names[rank] for rank in edges.tier.tolist()]
    assert set(edges.tier.tolist()) == {0, 1, 2}
    wanted = [None if math.isnan(value) else value for value in edges.expected.tolist()]
    assert columns["expected"].to_list() == wanted and None in wanted
    table = pl.DataFrame(columns)
    assert table["q_value"].to_list() == edges.q_value.tolist()
    for tier, least in (("beyond_news", 2), ("beyond_habit", 1)):
        assert (
            table.select(list_tiers(tier)).to_series().to_list() == (edges.tier >= least).tolist()
        )


@pytest.mark.parametrize("n_directions", [1, 2])
def test_summarise_tests__counts_pairs(n_directions, backend):
    tests = assess(draw_planted(backend), (1, 2), alpha=0.04)
    choice = choose_from([{"kind": "met_once", "lambda": 1.0}], 1, "beyond_habit")
    found = summarise_tests(tests, choice, n_network_edges=7, n_directions=n_directions)
    n_habit, n_news = int((tests.tier >= 1).sum()), int((tests.tier == 2).sum())
    assert found == {
        "lambda": max(lag.reference["lambda"] for lag in tests.by_lag),
        "lambda_habit": max(lag.habits.inflation for lag in tests.by_lag),
        "n_pairs_tested": tests.n_tests // n_directions,
        "n_beyond_habit": n_habit // n_directions,
        "n_significant": n_news // n_directions,
        "network_tier": "beyond_habit",
        "n_network_edges": 7,
        "expected_false_edges": pytest.approx(0.04 * (n_habit // n_directions)),
    }
    described = describe_tests(tests, choice)
    assert (described["null"], described["alpha"], described["warning"]) == ("day", 0.04, None)
    assert [lag["lag"] for lag in described["by_lag"]] == [1, 2]
    for lag, written in zip(tests.by_lag, described["by_lag"], strict=True):
        assert written["news"] == lag.reference
        assert written["habit"]["lambda"] == lag.habits.inflation
        assert written["habit"]["n_copies"] == 4


# ------------------------------------------------------------------ grades


def grade(activity, tests, lags=(1,)):
    """Return the tests with their grades, and {pair: grade} of all pairs with a coincidence."""
    index = index_cells(activity)
    graded = grade_significant(activity, index, [count_margins(index, lag) for lag in lags], tests)
    return graded, dict(zip(tests.pair.tolist(), graded.grade.tolist(), strict=True))


def test_grade_significant__a_follower_survives_all_nulls(backend):
    activity = draw_planted(backend)
    tests = assess(activity)
    graded, found = grade(activity, tests)
    assert {pair: n for pair, n in found.items() if n} == {1: 5}
    assert not tests.grade.any()
    source, target = np.divmod(tests.pair, 206)
    edges = graded.read_edges(source, target, np.ones(source.size))
    assert edges.grade.tolist() == graded.grade.tolist()
    # Nothing else is touched.
    untouched = dataclasses.replace(graded, grade=tests.grade)
    assert_same(untouched, tests)


def draw_followers(backend):
    """Followers of all strengths, at all hours, at fixed ones or on few days, and a crowd."""
    rng = np.random.default_rng(14)
    cells = draw_crowd(14, n_days=30, n_accounts=80, n_cells=500)
    for pair in range(20):
        source, target = 80 + 2 * pair, 81 + 2 * pair
        hours = {0: range(24), 1: range(8, 12), 2: range(6)}[pair % 3]
        days = 4 if pair % 3 == 2 else 29
        for _ in range(3 + pair):
            bin = 24 * int(rng.integers(days)) + int(rng.choice(hours))
            cells += [(1, 90 + pair % 6, bin, source), (1, 90 + pair % 6, bin + 1, target)]
    return build(cells, backend, n_bins=720)


@pytest.mark.parametrize(
    ("null", "lags", "spread"),
    [("day", (1,), 0), ("day", (1, 2), 0.7), ("entity", (1,), 0), ("six_hours", (1,), 0.7)],
)
def test_grade_significant__equals_plain_loops(null, lags, spread, backend):
    """One null after the other: hours to expect, p-values, combination, threshold."""
    activity = draw_followers(backend)
    tests = assess(activity, lags, null=null)
    # As if the news were more uneven than it is here.
    by_lag = [dataclasses.replace(lag, spread=lag.spread + spread) for lag in tests.by_lag]
    tests = dataclasses.replace(tests, by_lag=tuple(by_lag))
    _, found = grade(activity, tests, lags)
    beyond = tests.pair[tests.tier == 2].tolist()
    threshold = tests.alpha * len(beyond) / tests.n_tests
    by_hand = {
        (name, lag): ByHand(activity, lag, name)
        for name in list_nulls(HOUR)
        for lag in lags
    }  # fmt: skip
    wanted, finest = dict.fromkeys(tests.pair.tolist(), 0), choose_finest(null, HOUR)
    for pair in beyond:
        for name in list_nulls(HOUR):
            p = []
            for lag, at_lag in zip(lags, tests.by_lag, strict=True):
                if pair not in at_lag.pair.tolist():
                    p.append(1.0)
                    continue
                row = at_lag.pair.tolist().index(pair)
                ends = divmod(pair, activity.n_accounts)
                other, own = (sum(by_hand[n, lag].share(*ends).values()) for n in (name, finest))
                mean = at_lag.expected[row] * other / own
                p.append(find_tail_by_hand(at_lag.n_hours[row], mean, at_lag.spread[row]))
            combined = combine_by_hand(p) if len(lags) > 1 else p[0]
            wanted[pair] += name == finest or combined <= threshold
    assert found == wanted
    assert len(set(wanted.values())) >= 3 or null == "six_hours"


def test_grade_significant__has_one_more_null_where_bins_are_fine(backend):
    """A follower within six minutes: hours explain nothing."""
    rng = np.random.default_rng(15)
    n_bins = 240 * 20
    cells = [
        (kind, entity, bin, account + 4)
        for kind, entity, bin, account in draw_cells(
            15, n_bins=n_bins, n_accounts=80, n_entities=1, n_cells=3000
        )
    ]
    for hour in rng.choice(n_bins // 10, 120, replace=False).tolist():
        bin, other, third = (10 * hour + rng.integers(0, 9, 3)).tolist()
        cells += [(0, 0, bin, 0), (0, 0, bin + 1, 1), (0, 0, other, 2), (0, 0, third, 3)]
    activity = build(cells, backend, n_bins=n_bins, bin_seconds=360)
    for null in ("entity", "day", "one_hour"):
        tests = assess(activity, null=null)
        _, found = grade(activity, tests)
        assert {pair: n for pair, n in found.items() if n} == {1: 6}


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_grade_significant__is_the_same_for_any_threads(threads, backend):
    activity = draw_followers(backend)
    tests = assess(activity, (1, 2))
    other = dataclasses.replace(activity, backend=dataclasses.replace(backend, threads=threads))
    assert grade(other, tests, (1, 2))[1] == grade(activity, tests, (1, 2))[1]


def test_grade_significant__of_nothing_is_nothing(backend):
    activity = build([(0, 0, 0, 0), (0, 1, 1, 1), (1, 0, 5, 2)], backend, n_bins=24)
    tests = assess(activity, (1, 2))
    assert grade(activity, tests, (1, 2)) == (tests, {})


# ------------------------------------------------------------------ a stray post


@pytest.mark.parametrize("null", ["entity", "hour", "day", "six_hours", "one_hour"])
@pytest.mark.parametrize(
    ("bin_seconds", "n_steps", "first_bin"),
    [(HOUR, 1, 5), (HOUR, 500, -31), (420, 3000, 3), (1800, 48, 0), (25 * HOUR, 100, 2),
     (7, 150_000, 11)],
)  # fmt: skip
def test_count_steps__counts_the_transitions_of_each_label(null, bin_seconds, n_steps, first_bin):
    blocks = locate_blocks(first_bin, bin_seconds, n_steps, null, phase=0.5)
    wanted = Counter(blocks.label(np.arange(n_steps)).tolist())
    labels = np.arange(blocks.n_labels)
    found = blocks.count_steps(n_steps, labels).tolist()
    assert found == [wanted[label] for label in labels.tolist()]
    assert blocks.count_steps(n_steps, labels[-1:]).tolist() == found[-1:]


def test_count_cells__counts_strata_beyond_64_bits_with_their_accounts():
    """Entities times days of centuries, times accounts, do not fit one number."""
    rng = np.random.default_rng(71)
    stratum = rng.choice([3, 2**61, 2**62 + 5], 200)
    account = rng.integers(7, size=200)
    found = _count_cells(stratum, account, 7)
    wanted = Counter(zip(stratum.tolist(), account.tolist(), strict=True))
    rows = zip(found.stratum.tolist(), found.account.tolist(), found.count.tolist(), strict=True)
    assert [((s, a), n) for s, a, n in rows] == sorted(wanted.items())


def test_plan_shifts__moves_days_over_those_that_are_not_in_a_long_gap(backend):
    near = draw_cells(72, n_bins=72, n_accounts=5)
    far = 24 * 50_000
    activity = build([*near, (0, 0, far, 0)], backend, n_bins=far + 1)
    copy, moved = plan_shifts(activity)(1)
    open_days = [0, 1, 2, 50_000]
    assert 0 <= moved.min() < moved.max() < 4
    wanted = []
    for _, bin, account in zip(*map(np.ndarray.tolist, activity.read_cells()), strict=True):
        place = (open_days.index(bin // 24) + int(moved[account])) % 4
        wanted.append((open_days[place] * 24 + bin % 24, account))
    _, bin, account = copy.read_cells()
    assert sorted(zip(bin.tolist(), account.tolist(), strict=True)) == sorted(wanted)
