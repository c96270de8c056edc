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
from gpu_coord.strata import (
    Null,
    Strata,
    count_products,
    expect_pairs,
    expect_silent,
    stratify,
)
from gpu_coord.threads import map_ahead
from gpu_coord.transitions import CellIndex, Margins, PairCounts, count_pairs, plan_blocks

# Pairs with smaller p-values are no bulk; the fit ends when it leaves out the same ones again.
_BULK_P = 1e-4
_MAX_FITS = 50

# Products that the fit may cost for the pairs without a coincidence: some seconds on one core.
_FIT_PRODUCTS = 500_000_000

# Below this, tails are summed in logarithms: the special functions run out of exponents.
_SMALLEST_TAIL = 1e-280

# Below this, tan(pi / 2 - pi p) and 1 / (pi p) are the same in double precision.
_CAUCHY_TAIL = 1e-9

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

    Returns
    -------
        An inflation of 1 and no dispersion where there is no pair. Not settled where the pairs
        left out still change after 50 fits: the last fit then.
    """
    observed, expected = (np.asarray(values, dtype=np.float64) for values in (observed, expected))
    n_pairs = np.broadcast_to(n_pairs, observed.shape)
    null = _CHANCE_ALONE
    for _ in range(_MAX_FITS):
        is_bulk = null.compute_log_p(observed, expected) >= np.log(_BULK_P)
        refitted = _fit_moments(observed, expected, n_pairs, is_bulk, silent)
        if refitted == null:
            return null
        null = refitted
    return replace(null, is_settled=False)


def _fit_moments(
    observed: Any, expected: Any, n_pairs: Any, is_bulk: Any, silent: tuple[float, float, float]
) -> EmpiricalNull:
    weight = n_pairs * is_bulk
    n_silent, sum_silent, sum_squares_silent = silent
    sum_expected = weight @ expected + sum_silent
    n_bulk, n_left_out = int(weight.sum() + n_silent), int(n_pairs.sum() - weight.sum())
    if sum_expected <= 0:
        return EmpiricalNull(1.0, 0.0, n_bulk, n_left_out)
    inflation = float(weight @ observed / sum_expected)
    mean = inflation * expected
    # A silent pair adds (0 - mu)^2 - mu.
    excess = weight @ ((observed - mean) ** 2 - mean)
    excess += inflation**2 * sum_squares_silent - inflation * sum_silent
    sum_squares = weight @ mean**2 + inflation**2 * sum_squares_silent
    dispersion = max(float(excess / sum_squares), 0.0) if sum_squares > 0 else 0.0
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
    log_q = log_p[order] + np.log(n_tests) - np.log(np.arange(1, log_p.size + 1))
    log_q = np.minimum.accumulate(np.minimum(log_q, 0.0)[::-1])[::-1]
    q = np.empty(log_p.size)
    q[order] = np.exp(log_q)
    return q


# --- all pairs -----------------------------------------------------------------------------


@dataclass(frozen=True)
class LagTests:
    """The pairs with a coincidence at one lag; 20 bytes each."""

    lag: int  # bins
    pair: Any  # source * n_accounts + target, ascending, (n_pairs,)
    observed: Any
    expected: Any  # under the null, before inflation
    null: EmpiricalNull


@dataclass(frozen=True)
class PairTests:
    """The pairs with a coincidence at any lag; 24 bytes each, beside those of the lags."""

    n_accounts: int
    alpha: float
    by_lag: tuple[LagTests, ...]
    pair: Any  # source * n_accounts + target, ascending, (n_pairs,)
    log_p: Any  # all lags together
    q_value: Any

    @property
    def n_tests(self) -> int:
        """All ordered pairs; those without a coincidence have p = 1."""
        return self.n_accounts * (self.n_accounts - 1)

    @property
    def n_significant(self) -> int:
        """Pairs with a q-value of at most alpha, whatever their weight."""
        return int((self.q_value <= self.alpha).sum())

    @property
    def n_bytes(self) -> int:
        """Memory that the arrays hold."""
        arrays = [self.pair, self.log_p, self.q_value]
        arrays += [a for lag in self.by_lag for a in (lag.pair, lag.observed, lag.expected)]
        return sum({id(array): array.nbytes for array in arrays}.values())

    def read_edges(self, source: Any, target: Any, lag: Any) -> "EdgeTests":
        """Return what was found for some pairs, each with a coincidence at its lag."""
        wanted = np.asarray(source).astype(np.int64) * self.n_accounts + target
        expected = np.empty(wanted.size)
        for tests in self.by_lag:
            at_lag = np.asarray(lag) == tests.lag
            expected[at_lag] = tests.expected[np.searchsorted(tests.pair, wanted[at_lag])]
        rows = np.searchsorted(self.pair, wanted)
        q_value = self.q_value[rows]
        return EdgeTests(expected, np.exp(self.log_p[rows]), q_value, q_value <= self.alpha)


@dataclass(frozen=True)
class EdgeTests:
    """Significance of some edges, (n_edges,) each."""

    expected: Any  # coincidences at the lag of the edge
    p_value: Any  # all lags together; 0 below 5e-324
    q_value: Any
    significant: Any  # q_value <= alpha


def assess_pairs(
    activity: Activity,
    index: CellIndex,
    margins: Sequence[Margins],
    *,
    null: Null = "day",
    n_phases: int = 1,
    alpha: float = 0.05,
    memory: int = 1 << 30,
    progress: Callable[[int, int], None] | None = None,
) -> PairTests:
    """Test every ordered pair of accounts for more lagged coincidences than chance makes.

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
    memory
        Bytes that blocks of pairs under way may take, beside the pairs that are kept.
    progress
        Called with the coincidences counted so far, and those of all lags together.

    Raises
    ------
    ValueError
        Alpha is no rate, or the null is unknown.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it is a rate between 0 and 1, such as 0.05.")
    by_lag, log_ps = [], []
    n_of_lag = [int(margin.n_coincidences.sum()) for margin in margins]
    for position, margin in enumerate(margins):

        def report(n_done: int, n_before: int = sum(n_of_lag[:position])) -> None:
            if progress:
                progress(n_before + n_done, sum(n_of_lag))

        strata = stratify(activity, index, margin, null=null, n_phases=n_phases)
        tests, log_p = _assess_lag(index, margin, strata, memory=memory, report=report)
        by_lag.append(tests)
        log_ps.append(log_p)
    pair, log_p = _align_lags(by_lag, log_ps)
    combined = combine_lags(log_p)
    n_tests = activity.n_accounts * (activity.n_accounts - 1)
    q_value = adjust_p_values(combined, n_tests=n_tests)
    return PairTests(activity.n_accounts, alpha, tuple(by_lag), pair, combined, q_value)


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
    expected: Any
    is_fitted: Any  # the source is one that the null is fitted to
    silent: Any  # (n_fitted_sources, 3)


def _assess_lag(
    index: CellIndex,
    margins: Margins,
    strata: Strata,
    *,
    memory: int,
    report: Callable[[int], None],
) -> tuple[LagTests, Any]:
    """Return the pairs with a coincidence at one lag, and the logs of their p-values."""
    is_fitted = _choose_fitted(strata)
    block_bytes = max(1, min(memory // 8, _BLOCK_BYTES))
    blocks = plan_blocks(index, [margins], min_support=1, memory=block_bytes)

    def work(block: tuple[int, int]) -> _Block:
        return _count_block(index, margins, strata, is_fitted, *block)

    n_threads = max(1, min(index.backend.threads, memory // block_bytes // 2))
    n_until = np.cumsum(index.backend.to_host(margins.n_coincidences))
    parts = []
    for (_, last), part in zip(blocks, map_ahead(blocks, work, n_threads=n_threads), strict=True):
        parts.append(part)
        report(int(n_until[last - 1]))
    pair, observed, expected, fitted, silent = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("pair", "observed", "expected", "is_fitted", "silent")
    )
    rows, row_of_pair = _find_distinct(observed, expected)
    null = fit_null(
        observed[rows],
        expected[rows],
        n_pairs=np.bincount(row_of_pair, weights=fitted, minlength=rows.size),
        silent=tuple(silent.sum(axis=0).tolist()),
    )
    log_p = null.compute_log_p(observed[rows], expected[rows])[row_of_pair]
    return LagTests(margins.lag, pair, observed, expected, null), log_p


def _choose_fitted(strata: Strata) -> Any:
    """Mark the sources to fit the null to: all, or as many by lot as are affordable."""
    n_products = count_products(strata)
    share = _FIT_PRODUCTS / max(int(n_products.sum()), 1)
    return np.random.default_rng(0).random(n_products.size) < share


def _count_block(
    index: CellIndex, margins: Margins, strata: Strata, is_fitted: Any, first: int, last: int
) -> _Block:
    to_host = index.backend.to_host
    counted = count_pairs(index, margins, first, last, min_support=1)
    pairs = PairCounts(to_host(counted.source), to_host(counted.target), to_host(counted.support))
    sources = first + np.flatnonzero(is_fitted[first:last])
    return _Block(
        pair=pairs.source.astype(np.int64) * index.n_accounts + pairs.target,
        observed=pairs.support,
        expected=expect_pairs(strata, counted).sum(axis=1),
        is_fitted=is_fitted[pairs.source],
        silent=expect_silent(strata, sources, pairs),
    )


def _find_distinct(observed: Any, expected: Any) -> tuple[Any, Any]:
    """Return a pair for each distinct (observed, expected), and which of these each pair has."""
    order = np.lexsort((expected, observed))
    changed = np.ones(order.size, bool)
    changed[1:] = np.diff(observed[order]).astype(bool) | np.diff(expected[order]).astype(bool)
    row_of_pair = np.empty(order.size, np.int64)
    row_of_pair[order] = np.cumsum(changed) - 1
    return order[changed], row_of_pair
