"""Coincidences of pairs -> how likely chance alone is to produce as many.

Two questions of each pair. Beyond habit: is it more than the two accounts' own habits explain?
Beyond the news: is it more than what brings strangers together explains, too? Each has a null of
its own at each lag; observed and expected hours of all pairs with a coincidence are kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import polars as pl

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import CellIndex, Margins, PairCounts, count_pairs, plan_blocks
from gpu_coord.chance.adjust import adjust_p_values, align_pairs, combine_lags
from gpu_coord.chance.days import plan_shifts
from gpu_coord.chance.empirical import EmpiricalNull, compute_log_tail
from gpu_coord.chance.exposure import Exposure, expose
from gpu_coord.chance.habits import Habits, fit_habits
from gpu_coord.chance.nulls import Null, check_null, choose_finest
from gpu_coord.chance.references import (
    Reference,
    ask_controls,
    describe_reference,
    find_reference,
)
from gpu_coord.chance.strata import count_met
from gpu_coord.ground.choices import check_alpha

Tier = Literal["beyond_news", "beyond_habit"]
TIERS: tuple[Tier, ...] = get_args(Tier)

# What `Nulls.test` returns of each pair.
TESTED = ("pair", "observed", "n_hours", "expected_habit", "expected", "spread",
          "log_p_habit", "log_p")  # fmt: skip

_BLOCK_BYTES = 16 << 20  # a pair that is tested takes some 100 bytes beside its counts

# --- what is found -------------------------------------------------------------------------


@dataclass(frozen=True)
class LagTests:
    """The pairs with enough coincidences at one lag; 56 bytes each."""

    lag: int  # bins
    pair: Any  # source * n_accounts + target, ascending, (n_pairs,)
    observed: Any  # coincidences
    n_hours: Any  # hours, or longer bins, with a coincidence: what is tested
    expected_habit: Any  # hours, from the two accounts' habits
    expected: Any  # hours, from these and the news; NaN without a reference
    spread: Any  # of the hours that the news makes: their variance is mean + spread * mean^2
    log_p_habit: Any
    log_p: Any  # of beyond news
    n_met: int  # pairs that share a stratum of habits, or more: one counts once for each
    n_met_news: int  # pairs that share one of the news
    habits: EmpiricalNull
    n_copies: int  # with shifted days, that the null of habits was fitted to
    reference: dict[str, Any] | None  # what says how much the news does, see `describe_reference`

    def read_log_p(self, min_support: int, *, tier: Tier) -> Any:
        """Return the logs of the p-values, 0 where there are fewer coincidences than that."""
        log_p = self.log_p if tier == "beyond_news" else self.log_p_habit
        is_lost = (self.observed < min_support) & (log_p < 0)
        return np.where(is_lost, 0.0, log_p) if is_lost.any() else log_p


class EdgeTests(NamedTuple):
    """What was found of some edges, (n_edges,) each."""

    expected: Any  # hours at the lag of the edge, news included
    expected_habit: Any  # hours at that lag, from habits alone
    n_hours: Any  # hours, or longer bins, with a coincidence at that lag
    p_value: Any  # of beyond news, all lags together; 0 below 5e-324
    q_value: Any
    q_habit: Any
    tier: Any  # 2 beyond news, 1 beyond habit, 0 neither; a name in tables
    grade: Any  # nulls survived; 0 where not significant, or not graded
    significant: Any  # beyond news


@dataclass(frozen=True)
class PairTests:
    """The pairs of any lag; 41 bytes each, beside those of the lags."""

    n_accounts: int
    null: Null
    alpha: float
    n_tests: int  # ordered pairs that share strata of habits: only these can meet
    by_lag: tuple[LagTests, ...]
    pair: Any  # source * n_accounts + target, ascending, (n_pairs,)
    log_p: Any  # of beyond news, all lags together
    log_p_habit: Any
    q_value: Any  # of beyond news
    q_habit: Any
    grade: Any  # nulls survived, 0 where not significant, int8

    @property
    def tier(self) -> Any:
        """Return 2 for pairs beyond the news, 1 beyond habit, 0 for the others."""
        return self._rank(slice(None))

    def _rank(self, rows: Any) -> Any:
        return rank_tiers(self.q_value[rows], self.q_habit[rows], self.alpha)

    def count(self, tier: Tier) -> int:
        """Count the pairs of a tier or a higher one, whatever their weight."""
        return int((self.tier >= rank(tier)).sum())

    def mark(self, source: Any, target: Any, tier: Tier) -> Any:
        """Mark which of some pairs that have a coincidence are of a tier, or of a higher one."""
        return self._rank(np.searchsorted(self.pair, self._number(source, target))) >= rank(tier)

    def read_edges(self, source: Any, target: Any, lag: Any) -> EdgeTests:
        """Return what was found for some pairs, each tested at its lag."""
        wanted = self._number(source, target)
        expected, expected_habit = np.empty(wanted.size), np.empty(wanted.size)
        n_hours = np.empty(wanted.size, np.int32)
        for tests in self.by_lag:
            at_lag = np.asarray(lag) == tests.lag
            rows = np.searchsorted(tests.pair, wanted[at_lag])
            expected[at_lag], n_hours[at_lag] = tests.expected[rows], tests.n_hours[rows]
            expected_habit[at_lag] = tests.expected_habit[rows]
        rows = np.searchsorted(self.pair, wanted)
        tier = self._rank(rows)
        return EdgeTests(
            expected, expected_habit, n_hours, np.exp(self.log_p[rows]), self.q_value[rows],
            self.q_habit[rows], tier, self.grade[rows], tier == rank("beyond_news"),
        )  # fmt: skip

    def _number(self, source: Any, target: Any) -> Any:
        return np.asarray(source).astype(np.int64) * self.n_accounts + target


def rank(tier: Tier) -> int:
    """Return the rank of a tier: the higher, the more is excluded."""
    return len(TIERS) - TIERS.index(tier)


def rank_tiers(q_value: Any, q_habit: Any, alpha: float) -> Any:
    """Return 2 where a pair is beyond the news, 1 where it is beyond habit, otherwise 0."""
    is_habit = np.asarray(q_habit) <= alpha
    return is_habit.astype(np.int8) + (is_habit & (np.asarray(q_value) <= alpha))


# --- pairs that are counted here -----------------------------------------------------------


def assess_pairs(
    activity: Activity,
    index: CellIndex,
    margins: Sequence[Margins],
    *,
    null: Null = "day",
    alpha: float = 0.05,
    min_support: int = 1,
    seed: int = 0,
    controls: tuple[str, Any] | None = None,
    memory: int = 1 << 30,
    progress: Callable[[int, int], None] | None = None,
    fit: Callable[..., list[Habits]] | None = None,
    assess: Callable[..., LagTests] | None = None,
) -> PairTests:
    """Test every ordered pair of accounts for more lagged coincidences than chance makes.

    What is tested is the number of hours with a coincidence. What an account does in one sitting,
    on however many entities, may be one decision, and the coincidences of an hour stand or fall
    together.

    Parameters
    ----------
    activity, index
        The active cells.
    margins
        Their counts at each lag.
    null
        See `gpu_coord.chance.strata.stratify`.
    alpha
        False discovery rate to hold, at each tier.
    min_support
        Coincidences at a lag below which a pair has p = 1 there, which makes the others' q-values
        larger at most; fewer pairs are kept then. The nulls are fitted without this.
    seed
        Of the copies with shifted days.
    controls
        What they are called, and marks of the accounts, (n_accounts,), whose pairs say how much the
        news does; by default the pairs that met once do.
    memory
        Bytes that blocks of pairs under way may take, beside the pairs that are kept.
    progress
        Called with the coincidences counted so far, and those of all lags together.
    fit, assess
        What fits the nulls of habits, in the place of `fit_habits`, and finds the tests of one
        lag, in that of `assess_lag`: at that support or a smaller one.

    Raises
    ------
    ValueError
        Alpha is no rate, the null is unknown, or the controls are too few.
    """
    until = np.cumsum([0, *(int(margin.n_coincidences.sum()) for margin in margins)]).tolist()

    def report(n_before: int, n_done: int) -> None:
        if progress is not None:
            progress(n_before + n_done, until[-1])

    check_alpha(alpha)
    check_null(null, activity.bin_seconds)
    habits = (fit or fit_habits)(
        activity, index, margins, null=null, seed=seed, shift=plan_shifts(activity)
    )
    by_lag = [
        (assess or assess_lag)(
            activity, index, margin, null=null, habits=own, min_support=min_support,
            controls=controls, memory=memory, report=partial(report, n_before),
        )
        for margin, own, n_before in zip(margins, habits, until[:-1], strict=True)
    ]  # fmt: skip
    return join_lags(
        by_lag, n_accounts=activity.n_accounts, null=null, alpha=alpha, min_support=min_support
    )


def assess_lag(
    activity: Activity,
    index: CellIndex,
    margins: Margins,
    *,
    null: Null,
    habits: Habits,
    min_support: int,
    controls: tuple[str, Any] | None,
    memory: int,
    report: Callable[[int], None],
) -> LagTests:
    """Return the pairs of one lag that are kept; see `assess_pairs`, whose work it is."""
    nulls = fit_nulls(activity, index, margins, null=null, habits=habits, controls=controls)
    block_bytes = max(1, min(memory // 8, _BLOCK_BYTES))
    blocks = plan_blocks(index, [margins], min_support=min_support, memory=block_bytes)

    work = partial(_test_block, index=index, nulls=nulls, min_support=min_support)
    n_threads = max(1, min(index.backend.threads, memory // block_bytes // 2))
    n_until = np.cumsum(index.backend.to_host(margins.n_coincidences))
    parts = []
    tested = index.backend.map_blocks(blocks, work, n_threads=n_threads)
    for (_, last), part in zip(blocks, tested, strict=True):
        parts.append(part)
        report(int(n_until[last - 1]))
    columns = tuple(
        np.concatenate([part[name].to_numpy() for part in parts]) for name in parts[0].columns
    )
    return nulls.conclude(margins.lag, columns)


def _test_block(
    block: tuple[int, int], *, index: CellIndex, nulls: "Nulls", min_support: int
) -> pl.DataFrame:
    """Return what `Nulls.test` says of the pairs of a range of sources."""
    counted = count_pairs(index, nulls.habit_exposure.margins, *block, min_support=min_support)
    columns = nulls.test(counted, nulls.habit_exposure.count_hours(counted))
    return pl.DataFrame(dict(zip(TESTED, columns, strict=True)))


@dataclass(frozen=True)
class Nulls:
    """Both nulls at one lag, and what pairs are exposed to under each."""

    habit_exposure: Exposure
    news_exposure: Exposure
    habits: Habits
    reference: Reference | None

    def test(self, pairs: PairCounts, n_hours: Any) -> tuple[Any, ...]:
        """Return what `LagTests` holds of some pairs, from ``pair`` to ``log_p``.

        Parameters
        ----------
        pairs
            Pairs that share a stratum, with their coincidences, by source, then target.
        n_hours
            Hours in which each pair met.
        """
        to_host, n_accounts = self.habit_exposure.strata.backend.to_host, self._n_accounts
        pair = to_host(pairs.source).astype(np.int64) * n_accounts + to_host(pairs.target)
        plain = self.habit_exposure.expect(pairs)
        log_p_habit = self.habits.null.compute_log_p(n_hours, plain.habit)
        habit = plain.habit * max(self.habits.null.inflation, 1.0)
        mean, spread = np.full((2, habit.size), np.nan)
        log_p = np.zeros(habit.size)
        if self.reference is not None:
            if self.news_exposure is not self.habit_exposure:
                plain = self.news_exposure.expect(pairs)
            mean, spread = self.reference.correct(pairs, plain.news)
            # What habits explain, the news does not have to.
            log_p = np.maximum(compute_log_tail(n_hours, mean, dispersion=spread), log_p_habit)
        return pair, to_host(pairs.support), n_hours, habit, mean, spread, log_p_habit, log_p

    def conclude(self, lag: int, columns: tuple[Any, ...]) -> LagTests:
        """Return the tests of a lag from what `test` returned of all its pairs."""
        described = describe_reference(self.reference)
        pair, observed, n_hours, habit, mean, spread, log_p_habit, log_p = columns
        n_met = count_met(self.habit_exposure.strata)
        known = None if self.reference is None else self.reference.n_met
        n_news = count_met(self.news_exposure.strata) if known is None else known
        return LagTests(
            lag, pair, observed, n_hours, habit, mean, spread, log_p_habit, log_p, n_met,
            n_news, *self.habits, described,
        )  # fmt: skip

    @property
    def _n_accounts(self) -> int:
        return self.habit_exposure.strata.n_accounts


def fit_nulls(
    activity: Activity,
    index: CellIndex,
    margins: Margins,
    *,
    null: Null,
    habits: Habits,
    controls: tuple[str, Any] | None = None,
    count_hours: Callable[[PairCounts], Any] | None = None,
) -> Nulls:
    """Fit the null of the news at one lag, beside that of habits.

    Parameters
    ----------
    activity, index, margins, null, controls
        As of `assess_pairs`.
    habits
        From `fit_habits`.
    count_hours
        Counts the hours in which pairs met, where cells do not say so.
    """
    exposure = expose(activity, index, margins, null=null)
    finest = choose_finest(null, activity.bin_seconds)
    news = exposure if finest == null else expose(activity, index, margins, null=finest)
    count_hours = count_hours or exposure.count_hours
    reference = (
        find_reference(news, count_hours)
        if controls is None
        else ask_controls(news, count_hours, controls[1], name=controls[0])
    )
    return Nulls(exposure, news, habits, reference)


def join_lags(
    by_lag: Sequence[LagTests],
    *,
    n_accounts: int,
    null: Null,
    alpha: float,
    min_support: int = 1,
) -> PairTests:
    """Give each pair one p-value for all lags, and its q-value among all that could have met.

    By tier. Pairs that share no stratum cannot meet, whatever chance does, and are not tested.
    """
    everybody = n_accounts * (n_accounts - 1)
    pair, place = align_pairs([each.pair for each in by_lag])

    def combine(tier: Tier, n_met: int) -> tuple[Any, Any]:
        log_p = combine_lags(place([each.read_log_p(min_support, tier=tier) for each in by_lag]))
        return log_p, adjust_p_values(log_p, n_tests=min(everybody, n_met))

    log_p, q_value = combine("beyond_news", sum(each.n_met_news for each in by_lag))
    n_met = sum(each.n_met for each in by_lag)
    log_p_habit, q_habit = combine("beyond_habit", n_met)
    return PairTests(
        n_accounts, null, alpha, min(everybody, n_met), tuple(by_lag), pair, log_p, log_p_habit,
        q_value, q_habit, np.zeros(pair.size, np.int8),
    )  # fmt: skip
