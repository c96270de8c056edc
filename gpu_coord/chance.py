"""Coincidences of pairs -> how likely chance alone is to produce as many.

Expected counts come from the strata of a null. What the null leaves unexplained in the bulk of
pairs widens the tail that p-values come from: a negative-binomial empirical null for each lag.
Observed and expected counts of all pairs with a coincidence are kept; `PairTests` says how much.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpu_coord.activity import Activity
from gpu_coord.days import Axis, Visits, list_visits
from gpu_coord.strata import (
    Null,
    Strata,
    count_products,
    expect_pairs,
    expect_silent,
    list_nulls,
    stratify,
)
from gpu_coord.threads import map_ahead
from gpu_coord.transitions import CellIndex, Margins, PairCounts, count_pairs, plan_blocks

# Pairs with smaller p-values are no bulk; the fit ends when it leaves out the same ones again.
_BULK_P = 1e-4
_MAX_FITS = 50

# What the fit may cost, in products summed: some seconds on one core. A pair with coincidences
# costs as many as stated, one without a few.
_FIT_PRODUCTS = 500_000_000
_PAIR_PRODUCTS = 500
_MIN_FITTED = 100  # sources, on average, whatever they cost

# Below this, tails are summed in logarithms: the special functions run out of exponents.
_SMALLEST_TAIL = 1e-280

# Below this, tan(pi / 2 - pi p) and 1 / (pi p) are the same in double precision.
_CAUCHY_TAIL = 1e-9

# The same for each null and lag of the grades.
_GRADE_PRODUCTS = 50_000_000

_BLOCK_BYTES = 64 << 20


# --- tails ---------------------------------------------------------------------------------


def compute_log_tail(observed: Any, mean: Any, *, dispersion: float = 0.0) -> Any:
    """Return log P(X >= observed) of counts with a mean, Poisson or negative-binomial.

    Parameters
    ----------
    observed, mean
        Counts and expected counts, 0 or more, of the same shape.
    dispersion
        1/r: the variance is mean + dispersion * mean^2. 0 is Poisson's law, which bounds the tail
        of a sum of independent hypergeometric counts for observed >= mean + 1 (Hoeffding 1956).

    Returns
    -------
        Natural logarithms, exact far below the smallest number that a p-value could have.
    """
    from scipy import special

    observed, mean = (np.asarray(values, dtype=np.float64) for values in (observed, mean))
    tail = np.ones(observed.shape)
    some = observed > 0
    n, mu = observed[some], mean[some]
    if dispersion == 0:
        tail[some] = special.gammainc(n, mu)
    else:
        tail[some] = special.betainc(n, 1 / dispersion, mu / (mu + 1 / dispersion))
    is_far = tail < _SMALLEST_TAIL
    log_tail = np.log(np.where(is_far, 1.0, tail))
    log_tail[is_far] = _sum_far_tail(observed[is_far], mean[is_far], dispersion)
    return log_tail


def _sum_far_tail(n: Any, mu: Any, dispersion: float) -> Any:
    """Return the log of P(n) + P(n + 1) + ..., the terms falling from the first."""
    from scipy import special

    if dispersion == 0:
        slope, constant = 0.0, mu
        log_first = special.xlogy(n, mu) - mu - special.gammaln(n + 1)
    else:
        r = 1 / dispersion
        slope, constant = mu / (mu + r), mu * r / (mu + r)
        log_first = special.xlogy(n, slope) - r * np.log1p(mu / r)
        log_first -= special.betaln(n, r) + np.log(n)
    term, total, k = np.ones_like(mu), np.ones_like(mu), n
    while (term > np.finfo(float).eps * total).any():
        term = term * (slope * k + constant) / (k + 1)
        total = total + term
        k = k + 1
    return log_first + np.log(total)


# --- empirical null ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EmpiricalNull:
    """What the bulk of pairs shows beyond the null, and the counts that say so."""

    inflation: float  # lambda: coincidences seen for each that was expected
    dispersion: float  # 1/r: the variance is mean + dispersion * mean^2; 0 is Poisson's law
    n_bulk: int  # pairs that share a stratum and were fitted
    n_left_out: int  # pairs with too small a p-value to be bulk
    is_settled: bool = True  # fitting again would leave out the same pairs

    @property
    def size(self) -> float:
        """r, the size of the negative-binomial law; infinite for Poisson's."""
        return 1 / self.dispersion if self.dispersion else float("inf")

    def compute_log_p(self, observed: Any, expected: Any) -> Any:
        """Return the log of the p-value of each pair.

        An inflation below 1 is reported and not used: it would make p-values smaller than the
        null itself does.
        """
        mean = np.asarray(expected, dtype=np.float64) * max(self.inflation, 1.0)
        return compute_log_tail(observed, mean, dispersion=self.dispersion)


_CHANCE_ALONE = EmpiricalNull(inflation=1.0, dispersion=0.0, n_bulk=0, n_left_out=0)


def fit_null(
    observed: Any,
    expected: Any,
    *,
    n_pairs: Any = 1,
    silent: tuple[float, float, float] = (0, 0.0, 0.0),
    min_left_out: int = 1,
) -> EmpiricalNull:
    """Fit inflation and dispersion to the bulk of pairs, by moments.

    lambda = sum O / sum E and 1/r = sum [(O - mu)^2 - mu] / sum mu^2 with mu = lambda E, at least
    0, over all pairs that share a stratum but those with p < 1e-4, first under chance alone, then
    under what was fitted, until the fit stays. Begun with all pairs, an operation would hide in
    the dispersion that it causes. A null only where the bulk is unaffiliated.

    Parameters
    ----------
    observed, expected
        Counts of the pairs with a coincidence, (n_rows,).
    n_pairs
        Pairs with these counts, for each row.
    silent
        The pairs without a coincidence that share a stratum: their number, the sum of their
        expected counts and the sum of the squares.
    min_left_out
        Pairs with fewer coincidences belong to the bulk whatever their p-value. Where strata are so
        long that one coincidence has p < 1e-4, leaving these out would leave no bulk.

    Returns
    -------
        An inflation of 1 and no dispersion where there is no pair. Not settled where the pairs
        left out still change after 50 fits: the last fit then.
    """
    observed, expected = (np.asarray(values, dtype=np.float64) for values in (observed, expected))
    n_pairs = np.broadcast_to(n_pairs, observed.shape)
    null = _CHANCE_ALONE
    for _ in range(_MAX_FITS):
        is_bulk = _mark_bulk(null.compute_log_p(observed, expected), observed, min_left_out)
        refitted = _fit_moments(observed, expected, n_pairs, is_bulk, silent)
        if refitted == null:
            return null
        null = refitted
    return replace(null, is_settled=False)


def _mark_bulk(log_p: Any, observed: Any, min_left_out: int) -> Any:
    return (log_p >= np.log(_BULK_P)) | (observed < min_left_out)


def _fit_moments(
    observed: Any, expected: Any, n_pairs: Any, is_bulk: Any, silent: tuple[float, float, float]
) -> EmpiricalNull:
    weight = n_pairs * is_bulk

    def total(values: Any) -> float:
        # No dot product: its rounding depends on how many threads a BLAS has.
        return float((weight * values).sum())

    n_silent, sum_silent, sum_squares_silent = silent
    sum_expected = total(expected) + sum_silent
    n_bulk, n_left_out = int(weight.sum() + n_silent), int(n_pairs.sum() - weight.sum())
    if sum_expected <= 0:
        return EmpiricalNull(1.0, 0.0, n_bulk, n_left_out)
    inflation = total(observed) / sum_expected
    mean = inflation * expected
    # A silent pair adds (0 - mu)^2 - mu.
    excess = total((observed - mean) ** 2 - mean)
    excess += inflation**2 * sum_squares_silent - inflation * sum_silent
    sum_squares = total(mean**2) + inflation**2 * sum_squares_silent
    dispersion = max(excess / sum_squares, 0.0) if sum_squares > 0 else 0.0
    return EmpiricalNull(inflation, dispersion, n_bulk, n_left_out)


# --- many tests ----------------------------------------------------------------------------


def combine_lags(log_p: Any) -> Any:
    """Return the log of one p-value for each pair, whatever the dependence between its lags.

    The mean of tan(pi/2 - pi p) against Cauchy's law (Liu & Xie 2020). A p-value above 1 - 1/d
    counts as 1 - 1/d, d the number of lags: a lag without a coincidence has p = 1, which alone
    would outweigh all others.

    Parameters
    ----------
    log_p
        (n_pairs, n_lags).
    """
    n_lags = log_p.shape[1]
    if n_lags == 1:
        return log_p[:, 0]
    p = np.minimum(np.exp(log_p), 1 - 1 / n_lags)
    is_tiny = p < _CAUCHY_TAIL
    ordinary = np.where(is_tiny, 0.0, 1 / np.tan(np.pi * np.where(is_tiny, 0.5, p)))
    total = ordinary.sum(axis=1) / n_lags
    log_tiny = np.logaddexp.reduce(np.where(is_tiny, -log_p, -np.inf), axis=1)
    has_tiny = is_tiny.any(axis=1)
    log_tiny = np.where(has_tiny, log_tiny - np.log(np.pi * n_lags), 0.0)
    log_total = log_tiny + np.log1p(np.where(has_tiny, total, 0.0) * np.exp(-log_tiny))
    return np.where(has_tiny, -np.log(np.pi) - log_total, np.log(np.arctan2(1.0, total) / np.pi))


def adjust_p_values(log_p: Any, *, n_tests: int) -> Any:
    """Return q-values (Benjamini & Hochberg 1995) from the logs of p-values.

    Parameters
    ----------
    log_p
        Tests that can be small, (n_pairs,); the others have p = 1.
    n_tests
        All tests.

    Raises
    ------
    ValueError
        There are fewer tests than p-values.
    """
    if n_tests < log_p.size:
        raise ValueError(f"n_tests is {n_tests}; there are already {log_p.size} p-values.")
    order = np.argsort(log_p, kind="stable")
    log_q = log_p[order] + np.log(max(n_tests, 1)) - np.log(np.arange(1, log_p.size + 1))
    log_q = np.minimum.accumulate(np.minimum(log_q, 0.0)[::-1])[::-1]
    q = np.empty(log_p.size)
    q[order] = np.exp(log_q)
    return q


# --- all pairs -----------------------------------------------------------------------------


@dataclass(frozen=True)
class LagTests:
    """The pairs with enough coincidences at one lag, and all of some sources; 24 bytes each."""

    lag: int  # bins
    pair: Any  # source * n_accounts + target, ascending, (n_pairs,)
    observed: Any  # coincidences
    n_hours: Any  # hours, or longer bins, with a coincidence: what is tested
    expected: Any  # coincidences under the null, before inflation
    null: EmpiricalNull
    inflation: float  # lambda: coincidences of the bulk for each that was expected
    fitted_share: float  # of the sources, by lot: all their pairs are here, and the null is theirs
    min_left_out: int = 1  # hours of a pair that the null need not be fitted to

    def list_arrays(self) -> tuple[Any, ...]:
        """Return what grows with the pairs."""
        return self.pair, self.observed, self.n_hours, self.expected


@dataclass(frozen=True)
class PairTests:
    """The pairs of any lag; 25 bytes each, beside those of the lags."""

    n_accounts: int
    null: Null
    n_phases: int
    alpha: float
    by_lag: tuple[LagTests, ...]
    pair: Any  # source * n_accounts + target, ascending, (n_pairs,)
    log_p: Any  # all lags together
    q_value: Any
    grade: Any  # nulls survived, 0 where not significant, int8

    @property
    def n_tests(self) -> int:
        """All ordered pairs; those with fewer coincidences than the minimum have p = 1."""
        return self.n_accounts * (self.n_accounts - 1)

    @property
    def n_significant(self) -> int:
        """Pairs with a q-value of at most alpha, whatever their weight."""
        return int((self.q_value <= self.alpha).sum())

    @property
    def n_bytes(self) -> int:
        """Memory that the arrays hold."""
        arrays = [self.pair, self.log_p, self.q_value, self.grade]
        arrays += [a for lag in self.by_lag for a in lag.list_arrays()]
        return sum({id(array): array.nbytes for array in arrays}.values())

    def read_edges(self, source: Any, target: Any, lag: Any) -> "EdgeTests":
        """Return what was found for some pairs, each tested at its lag."""
        wanted = np.asarray(source).astype(np.int64) * self.n_accounts + target
        expected, n_hours = np.empty(wanted.size), np.empty(wanted.size, np.int32)
        for tests in self.by_lag:
            at_lag = np.asarray(lag) == tests.lag
            rows = np.searchsorted(tests.pair, wanted[at_lag])
            expected[at_lag], n_hours[at_lag] = tests.expected[rows], tests.n_hours[rows]
        rows = np.searchsorted(self.pair, wanted)
        p_value, q_value = np.exp(self.log_p[rows]), self.q_value[rows]
        return EdgeTests(
            expected, n_hours, p_value, q_value, self.grade[rows], q_value <= self.alpha
        )


@dataclass(frozen=True)
class EdgeTests:
    """Significance of some edges, (n_edges,) each."""

    expected: Any  # coincidences at the lag of the edge
    n_hours: Any  # hours, or longer bins, with a coincidence at that lag
    p_value: Any  # all lags together; 0 below 5e-324
    q_value: Any
    grade: Any  # nulls survived; 0 where not significant, or not graded
    significant: Any  # q_value <= alpha


def assess_pairs(
    activity: Activity,
    index: CellIndex,
    margins: Sequence[Margins],
    *,
    null: Null = "day",
    n_phases: int = 1,
    alpha: float = 0.05,
    min_support: int = 1,
    memory: int = 1 << 30,
    progress: Callable[[int, int], None] | None = None,
) -> PairTests:
    """Test every ordered pair of accounts for more lagged coincidences than chance makes.

    What is tested is the number of hours with a coincidence. What an account does in one sitting,
    on however many entities, may be one decision, and the coincidences of an hour stand or fall
    together. But an hour has one with a probability of at most the number that is expected of it
    (Markov), so that Poisson's tail at the expected coincidences still bounds the p-value.

    Parameters
    ----------
    activity, index
        The active cells.
    margins
        Their counts at each lag.
    null, n_phases
        See `gpu_coord.strata.stratify`.
    alpha
        False discovery rate to hold.
    min_support
        Coincidences at a lag below which a pair has p = 1 there, which makes the others' q-values
        larger at most; fewer pairs are kept then. The null is fitted without this.
    memory
        Bytes that blocks of pairs under way may take, beside the pairs that are kept.
    progress
        Called with the coincidences counted so far, and those of all lags together.

    Raises
    ------
    ValueError
        Alpha is no rate, or the null is unknown.
    """
    _check_alpha(alpha)
    by_lag, log_ps = [], []
    visits = _list_visits(activity, index)
    until = np.cumsum([0, *(int(margin.n_coincidences.sum()) for margin in margins)]).tolist()
    for margin, n_before in zip(margins, until[:-1], strict=True):
        report = _shift_progress(progress, n_before, until[-1])
        strata = stratify(activity, index, margin, null=null, n_phases=n_phases)
        tests, log_p = _assess_lag(
            index, margin, strata, visits, min_support=min_support, memory=memory, report=report
        )
        by_lag.append(tests)
        log_ps.append(log_p)
    return _join_tests(
        by_lag, log_ps, n_accounts=activity.n_accounts, null=null, n_phases=n_phases, alpha=alpha
    )


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it is a rate between 0 and 1, such as 0.05.")


def _list_visits(activity: Activity, index: CellIndex) -> Visits:
    to_host = index.backend.to_host
    axis = Axis(activity.first_bin, activity.n_bins, activity.bin_seconds)
    entity = to_host(index.column_entity)[to_host(index.cell_column)]
    return list_visits(axis, to_host(index.account_start), entity, to_host(index.cell_bin))


def _shift_progress(
    progress: Callable[[int, int], None] | None, n_before: int, n_all: int
) -> Callable[[int], None]:
    """Return what reports the work done at one lag as a part of that at all lags."""
    return lambda n_done: progress(n_before + n_done, n_all) if progress else None


def _align_lags(by_lag: Sequence[LagTests], log_ps: Sequence[Any]) -> tuple[Any, Any]:
    """Return the pairs with a coincidence at any lag, and log p at each, (n_pairs, n_lags)."""
    if len(by_lag) == 1:
        return by_lag[0].pair, log_ps[0][:, None]
    pair = np.unique(np.concatenate([tests.pair for tests in by_lag]))
    log_p = np.zeros((pair.size, len(by_lag)))
    for column, tests in enumerate(by_lag):
        log_p[np.searchsorted(pair, tests.pair), column] = log_ps[column]
    return pair, log_p


@dataclass(frozen=True)
class _Block:
    """The pairs of a block of sources with a coincidence, and the sums over those without."""

    pair: Any
    observed: Any
    n_hours: Any
    expected: Any
    is_fitted: Any  # the source is one that the null is fitted to
    silent: Any  # (n_fitted_sources, 3)


def _assess_lag(
    index: CellIndex,
    margins: Margins,
    strata: Strata,
    visits: Visits,
    *,
    min_support: int,
    memory: int,
    report: Callable[[int], None],
) -> tuple[LagTests, Any]:
    """Return the pairs of one lag that are kept, and the logs of their p-values."""
    n_coincidences = index.backend.to_host(margins.n_coincidences)
    share = _share_fitted(strata, n_coincidences, max_cost=_FIT_PRODUCTS)
    is_fitted = _choose_fitted(strata, share)
    block_bytes = max(1, min(memory // 8, _BLOCK_BYTES))
    blocks = plan_blocks(index, [margins], min_support=1, memory=block_bytes)

    def work(block: tuple[int, int]) -> _Block:
        return _count_block(
            index, margins, strata, visits, is_fitted, *block, min_support=min_support
        )

    n_threads = max(1, min(index.backend.threads, memory // block_bytes // 2))
    n_until = np.cumsum(n_coincidences)
    parts = []
    for (_, last), part in zip(blocks, map_ahead(blocks, work, n_threads=n_threads), strict=True):
        parts.append(part)
        report(int(n_until[last - 1]))
    names = ("pair", "observed", "n_hours", "expected", "is_fitted", "silent")
    listed = _Block(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
    return _conclude(listed, lag=margins.lag, min_support=min_support, fitted_share=share)


def _conclude(
    listed: _Block, *, lag: int, min_support: int, fitted_share: float, min_left_out: int = 1
) -> tuple[LagTests, Any]:
    """Fit the null to the pairs of the fitted sources; return all, and the logs of p-values."""
    rows, row_of_pair = _find_distinct(listed.n_hours, listed.expected)
    silent = listed.silent.sum(axis=0)
    null = fit_null(
        listed.n_hours[rows],
        listed.expected[rows],
        n_pairs=np.bincount(row_of_pair, weights=listed.is_fitted, minlength=rows.size),
        silent=tuple(silent.tolist()),
        min_left_out=min_left_out,
    )
    log_p = null.compute_log_p(listed.n_hours[rows], listed.expected[rows])[row_of_pair]
    is_bulk = listed.is_fitted & _mark_bulk(log_p, listed.n_hours, min_left_out)
    sum_expected = listed.expected[is_bulk].sum() + silent[1]
    n_seen = listed.observed[is_bulk].sum()
    inflation = float(n_seen / sum_expected) if sum_expected > 0 else 1.0
    log_p[listed.observed < min_support] = 0.0
    columns = (listed.pair, listed.observed, listed.n_hours, listed.expected)
    return LagTests(lag, *columns, null, inflation, fitted_share, min_left_out), log_p


def assess_listed(
    strata: Strata,
    pairs: PairCounts,
    n_hours: Any,
    *,
    lag: int = 0,
    alpha: float = 0.05,
    min_left_out: int = 1,
) -> PairTests:
    """Test pairs whose coincidences were counted elsewhere, such as shares within a window.

    Parameters
    ----------
    strata
        What each account did, and the null.
    pairs
        All ordered pairs with a coincidence, by source, then target, on the host; each shares a
        stratum.
    n_hours
        Hours with a coincidence, what is tested: see `assess_pairs`.
    lag
        Bins between a source's and a target's.
    alpha
        False discovery rate to hold.
    min_left_out
        See `fit_null`.

    Raises
    ------
    ValueError
        Alpha is no rate.
    """
    _check_alpha(alpha)
    n_accounts = strata.source_start.size - 1
    pair = pairs.source.astype(np.int64) * n_accounts + pairs.target
    n_listed = np.bincount(pairs.source, minlength=n_accounts)
    share = _share_fitted(strata, n_listed, max_cost=_FIT_PRODUCTS)
    is_fitted = _choose_fitted(strata, share)
    listed = _Block(
        pair=pair,
        observed=pairs.support,
        n_hours=n_hours,
        expected=expect_pairs(strata, pairs).sum(axis=1),
        is_fitted=is_fitted[pairs.source],
        silent=expect_silent(strata, np.flatnonzero(is_fitted), pairs),
    )
    tests, log_p = _conclude(
        listed, lag=lag, min_support=1, fitted_share=share, min_left_out=min_left_out
    )
    return _join_tests(
        [tests], [log_p], n_accounts=n_accounts, null=strata.null, n_phases=strata.n_phases,
        alpha=alpha,
    )  # fmt: skip


def _join_tests(
    by_lag: Sequence[LagTests],
    log_ps: Sequence[Any],
    *,
    n_accounts: int,
    null: Null,
    n_phases: int,
    alpha: float,
) -> PairTests:
    """Give each pair one p-value for all lags, and its q-value among all ordered pairs."""
    pair, log_p = _align_lags(by_lag, log_ps)
    combined = combine_lags(log_p)
    return PairTests(
        n_accounts=n_accounts,
        null=null,
        n_phases=n_phases,
        alpha=alpha,
        by_lag=tuple(by_lag),
        pair=pair,
        log_p=combined,
        q_value=adjust_p_values(combined, n_tests=n_accounts * (n_accounts - 1)),
        grade=np.zeros(pair.size, np.int8),
    )


def _share_fitted(strata: Strata, n_listed: Any, *, max_cost: int) -> float:
    """Return the share of sources to fit the null to: all, or as many as are affordable.

    ``n_listed`` bounds the pairs with a coincidence of each source.
    """
    cost = count_products(strata) + _PAIR_PRODUCTS * n_listed
    n_sources = int((cost > 0).sum())
    return float(max(max_cost / max(int(cost.sum()), 1), _MIN_FITTED / max(n_sources, 1)))


def _choose_fitted(strata: Strata, share: float) -> Any:
    """Mark the sources to fit the null to, by lot; those of a smaller share are among them."""
    n_accounts = strata.source_start.size - 1
    return np.random.default_rng(0).random(n_accounts) < share


def _count_block(
    index: CellIndex,
    margins: Margins,
    strata: Strata,
    visits: Visits,
    is_fitted: Any,
    first: int,
    last: int,
    *,
    min_support: int,
) -> _Block:
    to_host = index.backend.to_host
    counted = count_pairs(index, margins, first, last, min_support=1)
    if min_support > 1:
        is_kept = index.backend.xp.asarray(is_fitted)[counted.source]
        is_kept |= counted.support >= min_support
        counted = PairCounts(*(column[is_kept] for column in _list_columns(counted)))
    pairs = PairCounts(to_host(counted.source), to_host(counted.target), to_host(counted.support))
    sources = first + np.flatnonzero(is_fitted[first:last])
    return _Block(
        pair=pairs.source.astype(np.int64) * index.n_accounts + pairs.target,
        observed=pairs.support,
        n_hours=visits.count_hours(pairs.source, pairs.target, margins.lag),
        expected=expect_pairs(strata, counted).sum(axis=1),
        is_fitted=is_fitted[pairs.source],
        silent=expect_silent(strata, sources, pairs),
    )


def _list_columns(pairs: PairCounts) -> tuple[Any, Any, Any]:
    return pairs.source, pairs.target, pairs.support


def _find_distinct(observed: Any, expected: Any) -> tuple[Any, Any]:
    """Return a pair for each distinct (observed, expected), and which of these each pair has."""
    order = np.lexsort((expected, observed))
    changed = np.ones(order.size, bool)
    changed[1:] = np.diff(observed[order]).astype(bool) | np.diff(expected[order]).astype(bool)
    row_of_pair = np.empty(order.size, np.int64)
    row_of_pair[order] = np.cumsum(changed) - 1
    return order[changed], row_of_pair


# --- grades ----------------------------------------------------------------------------------


def grade_significant(
    activity: Activity, index: CellIndex, margins: Sequence[Margins], tests: PairTests
) -> PairTests:
    """Return the tests with the grades of all significant pairs; see `grade_pairs`."""
    significant = np.flatnonzero(tests.q_value <= tests.alpha)
    source, target = np.divmod(tests.pair[significant], tests.n_accounts)
    grade = np.zeros(tests.pair.size, np.int8)
    grade[significant] = grade_pairs(activity, index, margins, tests, source, target)
    return replace(tests, grade=grade)


def grade_pairs(
    activity: Activity,
    index: CellIndex,
    margins: Sequence[Margins],
    tests: PairTests,
    source: Any,
    target: Any,
) -> Any:
    """Count the nulls that the significance of some pairs survives, of those of the ladder.

    A pair survives a null if its p-value under it, all lags together, is at most the one up to
    which Benjamini & Hochberg's procedure rejected under the run's own null, alpha k / m.
    Inflation and dispersion of the other nulls are fitted, at each lag, to the pairs of sources
    drawn by lot, so that grades cost little whatever the data: a grade near a border may be
    another one when all sources are fitted.

    Parameters
    ----------
    activity, index, margins, tests
        What `assess_pairs` was given and has found.
    source, target
        The pairs, (n_pairs,), on the host.

    Returns
    -------
        0 where a pair is not significant, otherwise 1 (under the run's own null only) to 5, or to
        6 where bins are fine enough for ``one_hour``, see `gpu_coord.strata.list_nulls`.
    """
    wanted = np.asarray(source).astype(np.int64) * tests.n_accounts + np.asarray(target)
    significant = tests.pair[tests.q_value <= tests.alpha]
    is_significant = np.isin(wanted, significant)
    grade = is_significant.astype(np.int64)
    pair, row = np.unique(wanted[is_significant], return_inverse=True)
    if not pair.size:
        return grade
    log_threshold = np.log(tests.alpha) + np.log(significant.size) - np.log(tests.n_tests)
    nulls = [null for null in list_nulls(activity.bin_seconds) if null != tests.null]
    jobs = [(null, lag) for null in nulls for lag in range(len(margins))]

    def work(job: tuple[Null, int]) -> Any:
        null, lag = job
        strata = stratify(activity, index, margins[lag], null=null, n_phases=tests.n_phases)
        return _retest(strata, tests.by_lag[lag], pair)

    log_p = list(map_ahead(jobs, work, n_threads=index.backend.threads))
    for first in range(0, len(jobs), len(margins)):
        combined = combine_lags(np.column_stack(log_p[first : first + len(margins)]))
        grade[is_significant] += (combined <= log_threshold)[row]
    return grade


def _retest(strata: Strata, tests: LagTests, pair: Any) -> Any:
    """Return the logs of the p-values of some pairs at one lag, under another null."""
    n_accounts = strata.source_start.size - 1
    n_listed = np.bincount(tests.pair // n_accounts, minlength=n_accounts)
    share = _share_fitted(strata, n_listed, max_cost=_GRADE_PRODUCTS)
    is_fitted = _choose_fitted(strata, min(share, tests.fitted_share))
    rows = is_fitted[tests.pair // n_accounts]
    pairs = _split_pairs(tests.pair[rows], tests.n_hours[rows], n_accounts)
    silent = expect_silent(strata, np.flatnonzero(is_fitted), pairs).sum(axis=0)
    null = fit_null(
        pairs.support,
        expect_pairs(strata, pairs).sum(axis=1),
        silent=tuple(silent.tolist()),
        min_left_out=tests.min_left_out,
    )
    n_hours = np.zeros(pair.size)
    _, at_lag, among_tests = np.intersect1d(pair, tests.pair, return_indices=True)
    n_hours[at_lag] = tests.n_hours[among_tests]
    retested = _split_pairs(pair, n_hours, n_accounts)
    return null.compute_log_p(n_hours, expect_pairs(strata, retested).sum(axis=1))


def _split_pairs(pair: Any, observed: Any, n_accounts: int) -> PairCounts:
    source, target = np.divmod(pair, n_accounts)
    return PairCounts(source.astype(np.int32), target.astype(np.int32), observed)
