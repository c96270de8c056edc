"""Coincidences of pairs -> how likely chance alone is to produce as many.

Expected counts come from the strata of a null. What the null leaves unexplained in the bulk of
pairs widens the tail that p-values come from: a negative-binomial empirical null for each lag.
Observed and expected counts of all pairs with a coincidence are kept; `PairTests` says how much.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import (
    CellIndex,
    Margins,
    PairCounts,
    count_pairs,
    mark_changes,
    plan_blocks,
)
from gpu_coord.chance.adjust import combine_tests
from gpu_coord.chance.days import list_visits
from gpu_coord.chance.empirical import EmpiricalNull, fit_null, mark_bulk
from gpu_coord.chance.nulls import Null
from gpu_coord.chance.strata import Strata, count_products, expect_pairs, expect_silent, stratify
from gpu_coord.ground.choices import check_alpha
from gpu_coord.ground.threads import map_ahead

# What the fit may cost, in products summed: some seconds on one core. A pair with coincidences
# costs as many as stated, one without a few.
_FIT_PRODUCTS = 500_000_000
_PAIR_PRODUCTS = 500
_MIN_FITTED = 100  # sources, on average, whatever they cost
_BLOCK_BYTES = 64 << 20

# Of independent accounts with daily rhythms and bursts lambda is 1 to 1.8; and in an archive with
# controls, pairs that belong to an operation are few.
_INFLATED, _MANY_LEFT_OUT = 2.0, 0.05
_NO_BULK = (
    "The bulk of pairs is not one of unaffiliated accounts that chance describes: either this is "
    "an archive of one operation alone, or all react to the same short bursts. Tests of pairs "
    "then say little: add controls from outside, and see `gpu-coord calibrate`."
)

# --- what is found -------------------------------------------------------------------------


@dataclass(frozen=True)
class LagTests:
    """The pairs with enough coincidences at one lag, and all of some sources; 32 bytes each."""

    lag: int  # bins
    pair: Any  # source * n_accounts + target, ascending, (n_pairs,)
    observed: Any  # coincidences
    n_hours: Any  # hours, or longer bins, with a coincidence: what is tested
    expected: Any  # coincidences under the null, before inflation
    log_p: Any  # 0 where there are fewer coincidences than asked for
    null: EmpiricalNull
    inflation: float  # lambda: coincidences of the bulk for each that was expected
    fitted_share: float  # of the sources, by lot: all their pairs are here, and the null is theirs
    min_left_out: int = 1  # hours of a pair that the null need not be fitted to

    def read_log_p(self, min_support: int) -> Any:
        """Return the logs of the p-values, 0 where there are fewer coincidences than that."""
        is_lost = (self.observed < min_support) & (self.log_p < 0)
        return np.where(is_lost, 0.0, self.log_p) if is_lost.any() else self.log_p


class EdgeTests(NamedTuple):
    """Significance of some edges, (n_edges,) each."""

    expected: Any  # coincidences at the lag of the edge
    n_hours: Any  # hours, or longer bins, with a coincidence at that lag
    p_value: Any  # all lags together; 0 below 5e-324
    q_value: Any
    grade: Any  # nulls survived; 0 where not significant, or not graded
    significant: Any  # q_value <= alpha


@dataclass(frozen=True)
class PairTests:
    """The pairs of any lag; 25 bytes each, beside those of the lags; one lag shares its arrays."""

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
    def inflation(self) -> float:
        """The largest lambda of any lag."""
        return max(lag.inflation for lag in self.by_lag)

    def mark_significant(self, source: Any, target: Any) -> Any:
        """Mark which of some pairs that have a coincidence are significant."""
        return self.q_value[np.searchsorted(self.pair, self._number(source, target))] <= self.alpha

    def read_edges(self, source: Any, target: Any, lag: Any) -> EdgeTests:
        """Return what was found for some pairs, each tested at its lag."""
        wanted = self._number(source, target)
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

    def _number(self, source: Any, target: Any) -> Any:
        return np.asarray(source).astype(np.int64) * self.n_accounts + target


def describe_tests(
    tests: PairTests,
    *,
    max_inflation: float = _INFLATED,
    max_left_out: float = _MANY_LEFT_OUT,
) -> dict[str, Any]:
    """Return what ``run.json`` says of the tests of pairs, and whether to trust them.

    Parameters
    ----------
    tests
        Of all pairs.
    max_inflation
        A larger lambda says that chance does not describe the bulk of pairs.
    max_left_out
        So does a larger part of the pairs to which nothing was fitted.
    """
    nulls = [lag.null for lag in tests.by_lag]
    n_left_out = sum(fitted.n_left_out for fitted in nulls)
    n_fitted = n_left_out + sum(fitted.n_bulk for fitted in nulls)
    has_bulk = tests.inflation < max_inflation and n_left_out <= max_left_out * n_fitted
    return {
        "null": tests.null,
        "alpha": tests.alpha,
        "by_lag": [
            {"lag": lag.lag, "lambda": lag.inflation, "of_days": asdict(lag.null)}
            for lag in tests.by_lag
        ],
        "warning": None if has_bulk else _NO_BULK,
    }


# --- pairs that are counted here -----------------------------------------------------------


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
    assess: Callable[..., LagTests] | None = None,
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
        See `gpu_coord.chance.strata.stratify`.
    alpha
        False discovery rate to hold.
    min_support
        Coincidences at a lag below which a pair has p = 1 there, which makes the others' q-values
        larger at most; fewer pairs are kept then. The null is fitted without this.
    memory
        Bytes that blocks of pairs under way may take, beside the pairs that are kept.
    progress
        Called with the coincidences counted so far, and those of all lags together.
    assess
        What finds the tests of one lag, in the place of `assess_lag`: at that support or a
        smaller one.

    Raises
    ------
    ValueError
        Alpha is no rate, or the null is unknown.
    """
    until = np.cumsum([0, *(int(margin.n_coincidences.sum()) for margin in margins)]).tolist()
    assess = assess or assess_lag

    def report(n_before: int, n_done: int) -> None:
        if progress is not None:
            progress(n_before + n_done, until[-1])

    check_alpha(alpha)
    by_lag = [
        assess(
            activity, index, margin, null=null, n_phases=n_phases, min_support=min_support,
            memory=memory, report=partial(report, n_before),
        )
        for margin, n_before in zip(margins, until[:-1], strict=True)
    ]  # fmt: skip
    return _join_lags(
        by_lag, n_accounts=activity.n_accounts, null=null, n_phases=n_phases, alpha=alpha,
        min_support=min_support,
    )  # fmt: skip


def assess_lag(
    activity: Activity,
    index: CellIndex,
    margins: Margins,
    *,
    null: Null,
    n_phases: int,
    min_support: int,
    memory: int,
    report: Callable[[int], None],
) -> LagTests:
    """Return the pairs of one lag that are kept; see `assess_pairs`, whose work it is."""
    strata = stratify(activity, index, margins, null=null, n_phases=n_phases)
    visits = list_visits(activity, index)
    n_coincidences = index.backend.to_host(margins.n_coincidences)
    share, is_fitted = choose_fitted(strata, n_coincidences, max_cost=_FIT_PRODUCTS)
    block_bytes = max(1, min(memory // 8, _BLOCK_BYTES))
    blocks = plan_blocks(index, [margins], min_support=1, memory=block_bytes)

    def work(block: tuple[int, int]) -> _Block:
        counted = _count_kept(index, margins, is_fitted, *block, min_support=min_support)
        pairs = PairCounts(*map(index.backend.to_host, counted))
        n_hours = visits.count_hours(pairs.source, pairs.target, margins.lag)
        expected = expect_pairs(strata, counted).sum(axis=1)
        return _fill_block(strata, pairs, n_hours, expected, is_fitted, slice(*block))

    n_threads = max(1, min(index.backend.threads, memory // block_bytes // 2))
    n_until = np.cumsum(n_coincidences)
    parts = []
    for (_, last), part in zip(blocks, map_ahead(blocks, work, n_threads=n_threads), strict=True):
        parts.append(part)
        report(int(n_until[last - 1]))
    listed = _Block(*map(np.concatenate, zip(*parts, strict=True)))
    return _conclude(listed, lag=margins.lag, min_support=min_support, fitted_share=share)


def _count_kept(
    index: CellIndex, margins: Margins, is_fitted: Any, first: int, last: int, *, min_support: int
) -> PairCounts:
    """Count the pairs of a block of sources that have enough support, and all of the fitted."""
    counted = count_pairs(index, margins, first, last, min_support=1)
    if min_support == 1:
        return counted
    is_kept = index.backend.xp.asarray(is_fitted)[counted.source]
    is_kept |= counted.support >= min_support
    return PairCounts(*(column[is_kept] for column in counted))


def _join_lags(
    by_lag: Sequence[LagTests],
    *,
    n_accounts: int,
    null: Null,
    n_phases: int,
    alpha: float,
    min_support: int = 1,
) -> PairTests:
    """Give each pair one p-value for all lags, and its q-value among all ordered pairs."""
    pair, log_p, q_value = combine_tests(
        [(tests.pair, tests.read_log_p(min_support)) for tests in by_lag],
        n_tests=n_accounts * (n_accounts - 1),
    )
    grade = np.zeros(pair.size, np.int8)
    return PairTests(n_accounts, null, n_phases, alpha, tuple(by_lag), pair, log_p, q_value, grade)


# --- pairs that were counted elsewhere -----------------------------------------------------


def assess_listed(
    strata: Strata, pairs: PairCounts, n_hours: Any, *, alpha: float = 0.05, min_left_out: int = 1
) -> PairTests:
    """Test pairs whose coincidences, at lag 0, were counted elsewhere: shares within a window, say.

    Parameters
    ----------
    strata
        What each account did, and the null.
    pairs
        All ordered pairs with a coincidence, by source, then target, on the host; each shares a
        stratum.
    n_hours
        Hours with a coincidence, what is tested: see `assess_pairs`.
    alpha
        False discovery rate to hold.
    min_left_out
        See `fit_null`.

    Raises
    ------
    ValueError
        Alpha is no rate.
    """
    check_alpha(alpha)
    n_listed = np.bincount(pairs.source, minlength=strata.n_accounts)
    share, is_fitted = choose_fitted(strata, n_listed, max_cost=_FIT_PRODUCTS)
    expected = expect_pairs(strata, pairs).sum(axis=1)
    listed = _fill_block(strata, pairs, n_hours, expected, is_fitted, slice(None))
    tests = _conclude(listed, lag=0, min_support=1, fitted_share=share, min_left_out=min_left_out)
    return _join_lags(
        [tests], n_accounts=strata.n_accounts, null=strata.null, n_phases=strata.n_phases,
        alpha=alpha,
    )  # fmt: skip


# --- the fit -------------------------------------------------------------------------------


def choose_fitted(
    strata: Strata, n_listed: Any, *, max_cost: int, max_share: float = np.inf
) -> tuple[float, Any]:
    """Choose sources to fit the null to, by lot: all, or as many as are affordable.

    ``n_listed`` bounds the pairs with a coincidence of each source. What comes back is the share of
    the sources, and marks of them; those of a smaller share are among those of a larger one.
    """
    cost = count_products(strata) + _PAIR_PRODUCTS * n_listed
    n_sources = int((cost > 0).sum())
    share = float(max(max_cost / max(int(cost.sum()), 1), _MIN_FITTED / max(n_sources, 1)))
    share = min(share, max_share)
    return share, np.random.default_rng(0).random(strata.n_accounts) < share


class _Block(NamedTuple):
    """The pairs of a block of sources with a coincidence, and the sums over those without."""

    pair: Any
    observed: Any
    n_hours: Any
    expected: Any
    is_fitted: Any  # the source is one that the null is fitted to
    silent: Any  # (n_fitted_sources, 3)


def _fill_block(
    strata: Strata, pairs: PairCounts, n_hours: Any, expected: Any, is_fitted: Any, block: slice
) -> _Block:
    """Put together what the fit needs of the pairs of a range of sources."""
    sources = np.arange(strata.n_accounts)[block][is_fitted[block]]
    pair = pairs.source.astype(np.int64) * strata.n_accounts + pairs.target
    silent = expect_silent(strata, sources, pairs)
    return _Block(pair, pairs.support, n_hours, expected, is_fitted[pairs.source], silent)


def _conclude(
    listed: _Block, *, lag: int, min_support: int, fitted_share: float, min_left_out: int = 1
) -> LagTests:
    """Fit the null to the pairs of the fitted sources, and give all their p-values."""
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
    is_bulk = listed.is_fitted & mark_bulk(log_p, listed.n_hours, min_left_out)
    sum_expected = listed.expected[is_bulk].sum() + silent[1]
    n_seen = listed.observed[is_bulk].sum()
    inflation = float(n_seen / sum_expected) if sum_expected > 0 else 1.0
    log_p[listed.observed < min_support] = 0.0
    columns = (listed.pair, listed.observed, listed.n_hours, listed.expected, log_p)
    return LagTests(lag, *columns, null, inflation, fitted_share, min_left_out)


def _find_distinct(observed: Any, expected: Any) -> tuple[Any, Any]:
    """Return a pair for each distinct (observed, expected), and which of these each pair has."""
    order = np.lexsort((expected, observed))
    changed = mark_changes(observed[order], expected[order], xp=np)
    row_of_pair = np.empty(order.size, np.int64)
    row_of_pair[order] = np.cumsum(changed) - 1
    return order[changed], row_of_pair
