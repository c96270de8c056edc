"""Adoptions -> shares that are followed by more adoption than expected, and whose they are.

In: when each account first shared each object. Out: a test for each early share and each share of
the steep part, and for each account. The one idea: what follows a share is held against the
object's own rate around it and the hours of the day; what follows an account, against the others
who stand in the same part of the same objects.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from gpu_coord.chance.adjust import adjust_p_values
from gpu_coord.chance.empirical import EmpiricalNull, fit_null
from gpu_coord.sharing.windows import find_window_ends

Part = Literal["early", "steep"]

DAY_MS = 86_400_000
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Clock:
    """How much of a day's adoption falls before each time of day, UTC; written G in the docs."""

    mass: np.ndarray  # before each full hour, in days, ascending from 0 to 1, (25,)

    def measure(self, start: np.ndarray, stop: np.ndarray) -> Any:
        """Return the days of usual adoption from some times to others (ms), 0 where none."""
        return np.maximum(self._cumulate(stop) - self._cumulate(start), 0.0)

    def _cumulate(self, time: np.ndarray) -> np.ndarray:
        day, rest = np.divmod(time, DAY_MS)
        return np.asarray(day + np.interp(rest / _HOUR_MS, np.arange(25), self.mass))


def fit_clock(time: np.ndarray) -> Clock:
    """Count adoptions by hour of the day, as if each hour had one more than it has.

    Parameters
    ----------
    time
        Milliseconds UTC of the adoptions of all objects, (n_adoptions,).
    """
    hours = np.bincount(time % DAY_MS // _HOUR_MS, minlength=24) + 1.0
    return Clock(np.append(0.0, np.cumsum(hours) / hours.sum()))


@dataclass(frozen=True, slots=True)
class Catalysts:
    """The tests of shares and of accounts, and what the bulk of shares shows beyond chance."""

    shares: pl.DataFrame  # one row per tested share, see `find_catalysts`
    accounts: pl.DataFrame  # one row per account with a tested share
    nulls: dict[Part, EmpiricalNull]


def find_catalysts(
    adoptions: pl.DataFrame,
    *,
    end: int,
    window_ms: int,
    reach_ms: int,
    min_adopters: int,
    early: float,
) -> Catalysts:
    """Test which shares, and which accounts, are followed by adoption above expectation.

    Parameters
    ----------
    adoptions
        ``object, account`` (numbers), ``time`` (ms): each account's first share of each object,
        ascending by object, then time.
    end
        Milliseconds; nothing is known from there on.
    window_ms
        What follows a share: the adoptions after it, at most so much later.
    reach_ms
        What is around an early share: the adoptions at most so much before or after it, from the
        object's first on.
    min_adopters
        Objects with fewer are not tested.
    early
        This part of an object's adopters, the first, is early; as many, the last, are neither
        early nor steep; what lies between is steep.

    Returns
    -------
        Shares: ``object, account, time, part, rank`` (1 = first; ties have the same), ``observed``
        (adopters in the window after it), ``expected``, ``ratio, excess`` (of observed over
        expected, in standard errors), ``p_value, q_value``. An early share is held against the
        object's rate within reach; a steep one against as long a window before it and after it.
        Accounts: ``account`` and, for each part, ``n_<part>, z_<part>, p_<part>, q_<part>``; p is
        an upper bound (Bennett 1962) where any order of an object's sharers in that part is as
        likely as any other.
    """
    ranked = _rank_adoptions(adoptions, min_adopters, early)
    clock = fit_clock(adoptions["time"].to_numpy())
    around = _Around(ranked, clock, end)
    tested: dict[Part, pl.DataFrame] = {
        "early": around.compare_with_reach(window_ms, reach_ms),
        "steep": around.compare_with_before(window_ms),
    }
    shares, nulls = [], {}
    for part, counts in tested.items():
        table, nulls[part] = _assess_shares(counts.filter(pl.col("part") == part))
        shares.append(table)
    accounts = [_assess_accounts(table, part) for part, table in zip(tested, shares, strict=True)]
    joined = accounts[0].join(accounts[1], on="account", how="full", coalesce=True)
    return Catalysts(pl.concat(shares), joined.sort("account"), nulls)


def _rank_adoptions(adoptions: pl.DataFrame, min_adopters: int, early: float) -> pl.DataFrame:
    """Return the adoptions of objects with enough of them, with rank and part."""
    n_early = (pl.col("n_adopters") * early).ceil()
    ranked = adoptions.select("object", "account", "time").with_columns(
        rank=pl.col("time").rank("min").over("object").cast(pl.Int64),
        n_adopters=pl.len().over("object").cast(pl.Int64),
    )
    part = (
        pl.when(pl.col("rank") <= n_early).then(pl.lit("early"))
        .when(pl.col("rank") <= pl.col("n_adopters") - n_early).then(pl.lit("steep"))
    )  # fmt: skip
    return ranked.filter(pl.col("n_adopters") >= min_adopters).with_columns(part=part)


class _Around:
    """What lies before and after each adoption, of the same object."""

    def __init__(self, ranked: pl.DataFrame, clock: Clock, end: int) -> None:
        self.ranked, self.clock, self.end = ranked, clock, end
        self.object = ranked["object"].to_numpy()
        self.time = ranked["time"].to_numpy()
        self.first = ranked.select(pl.col("time").min().over("object")).to_series().to_numpy()

    def count_after(self, width_ms: int) -> np.ndarray:
        """Count those that come later, at most so much."""
        ends = find_window_ends(self.object, self.time, width_ms)
        return np.asarray(ends - find_window_ends(self.object, self.time, 0))

    def count_before(self, width_ms: int) -> Any:
        """Count those that came earlier, at most so much; but the object's first, which is given.

        That there is an object at all says that it has a first one.
        """
        reversed_ = -self.object[::-1], -self.time[::-1]
        ends = find_window_ends(*reversed_, width_ms) - find_window_ends(*reversed_, 0)
        n_before = np.asarray(ends[::-1])
        return n_before - ((self.first < self.time) & (self.time - self.first <= width_ms))

    def count_ties(self) -> Any:
        """Count the others at the same time; of several firsts, each is the one that is given."""
        n_same = self.ranked.select(pl.len().over("object", "time")).to_series().to_numpy()
        return n_same.astype(np.int64) - 1

    def measure_after(self, width_ms: int) -> Any:
        return self.clock.measure(self.time, np.minimum(self.time + width_ms, self.end))

    def measure_before(self, width_ms: int) -> Any:
        return self.clock.measure(np.maximum(self.time - width_ms, self.first), self.time)

    def compare_with_reach(self, window_ms: int, reach_ms: int) -> pl.DataFrame:
        """Expect that the adoptions within reach are spread as the hours of the day say."""
        n_around = self.count_after(reach_ms) + self.count_before(reach_ms) + self.count_ties()
        around = self.measure_after(reach_ms) + self.measure_before(reach_ms)
        return self._compare(n_around, self.measure_after(window_ms), around, window_ms)

    def compare_with_before(self, window_ms: int) -> pl.DataFrame:
        """Expect that as many come before as after, but for the hours of the day."""
        n_around = self.count_after(window_ms) + self.count_before(window_ms)
        after = self.measure_after(window_ms)
        return self._compare(n_around, after, after + self.measure_before(window_ms), window_ms)

    def _compare(
        self, n_around: np.ndarray, after: np.ndarray, around: np.ndarray, window_ms: int
    ) -> pl.DataFrame:
        share = np.divide(after, around, out=np.zeros(after.size), where=around > 0)
        return self.ranked.with_columns(
            observed=pl.Series(self.count_after(window_ms), dtype=pl.Int64),
            expected=pl.Series(n_around * share, dtype=pl.Float64),
        )


def _assess_shares(counts: pl.DataFrame) -> tuple[pl.DataFrame, EmpiricalNull]:
    """Add p- and q-values under what the bulk of these shares shows."""
    observed, expected = counts["observed"].to_numpy(), counts["expected"].to_numpy()
    # Without one within reach there is nothing to test.
    has_any = expected > 0
    null = fit_null(observed[has_any], expected[has_any])
    log_p = np.zeros(observed.size)
    log_p[has_any] = null.compute_log_p(observed[has_any], expected[has_any])
    tested = counts.with_columns(
        ratio=pl.when(pl.col("expected") > 0).then(pl.col("observed") / pl.col("expected")),
        excess=(pl.col("observed") - pl.col("expected")) / (pl.col("expected") + 1).sqrt(),
        p_value=pl.Series(np.exp(log_p)),
        q_value=pl.Series(adjust_p_values(log_p, n_tests=log_p.size)),
    )
    return tested.drop("n_adopters"), null


def _assess_accounts(shares: pl.DataFrame, part: Part) -> pl.DataFrame:
    """Hold each account's shares against those of others in the same part of the same objects."""
    height = ((pl.col("excess").rank("average") - 0.5) / pl.len() - 0.5).over("object")
    placed = shares.with_columns(height=height).with_columns(
        # Of a draw without a choice: the variance of all heights of the part.
        variance=(pl.col("height") ** 2).mean().over("object"),
        top=pl.col("height").max().over("object"),
    )
    sums = placed.group_by("account").agg(
        n=pl.len().cast(pl.Int64),
        height=pl.col("height").sum(),
        variance=pl.col("variance").sum(),
        top=pl.col("top").max(),
    ).sort("account")  # fmt: skip
    log_p = bound_tail(*(sums[name].to_numpy() for name in ("height", "variance", "top")))
    # Who was alone in that part of all its objects is not tested.
    n_tests = int((sums["variance"] > 0).sum())
    q_value = np.ones(log_p.size)
    is_tested = sums["variance"].to_numpy() > 0
    q_value[is_tested] = adjust_p_values(log_p[is_tested], n_tests=n_tests)
    spread = pl.col("variance").sqrt()
    return sums.select(
        "account",
        pl.col("n").alias(f"n_{part}"),
        pl.when(spread > 0).then(pl.col("height") / spread).alias(f"z_{part}"),
        pl.Series(f"p_{part}", np.exp(log_p)),
        pl.Series(f"q_{part}", q_value),
    )


def bound_tail(total: Any, variance: Any, top: Any) -> np.ndarray:
    """Return the log of a bound on P(sum >= total) of independent values with mean 0.

    Parameters
    ----------
    total
        Sums, (n,).
    variance
        Sums of the variances.
    top
        The most that any of the values can be.

    Source
    ------
    Bennett (1962), J. Am. Stat. Assoc. 57:33, for values that are bounded above.
    """
    total, variance, top = (
        np.asarray(values, dtype=np.float64) for values in (total, variance, top)
    )
    log_p = np.zeros(total.shape)
    some = (total > 0) & (variance > 0)
    b, v = top[some], variance[some]
    u = b * total[some] / v
    log_p[some] = -v / b**2 * ((1 + u) * np.log1p(u) - u)
    return log_p
