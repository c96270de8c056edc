"""Shares and their edges -> how likely chance alone is to bring two accounts together as often.

The one idea: two shares of an object lie within a window w of each other as often, by chance, as
two active bins of 2w and a second are the same bin. So the strata, and all that is fitted to
them, are those of `gpu_coord.chance.tests` at lag 0.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.activity.cells import MAX_BINS, Activity
from gpu_coord.activity.counts import PairCounts, count_margins, index_cells
from gpu_coord.backend import Backend
from gpu_coord.chance.days import Axis, draw_shifts, has_days, list_days
from gpu_coord.chance.grades import grade_significant
from gpu_coord.chance.habits import fit_habits
from gpu_coord.chance.nulls import Null
from gpu_coord.chance.tests import PairTests, fit_nulls, join_lags
from gpu_coord.chance.tiers import TierChoice, describe_tests, find_controls, name_tiers
from gpu_coord.ground.choices import check_alpha
from gpu_coord.sharing.settings import measure_bin
from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.strict import EdgeRuns

_HOUR = 3600


@dataclass(frozen=True)
class ShareTests:
    """What was found for all pairs of accounts, and for the edges."""

    pairs: PairTests  # both directions of each pair
    edges: pl.DataFrame  # expected, n_hours, p_value, q_value, grade, significant; row = edge

    def describe(self, choice: TierChoice) -> dict[str, Any]:
        """Return what ``run.json`` says of the tests, and whether to trust them."""
        return describe_tests(self.pairs, choice)


def count_hours(runs: EdgeRuns, *, window_ms: int) -> pl.DataFrame:
    """Count what is tested of each edge: hours of the day in which the two met.

    Pairs on either side of a full hour are left out: whatever a null keeps by the hour, by six
    hours or by the day, both shares lie in one of its strata then.

    Parameters
    ----------
    runs
        From `gpu_coord.sharing.strict.group_pairs`.
    window_ms
        The window of the pairs.

    Returns
    -------
        ``n_in_hour`` (pairs of shares), ``n_hours`` (hours with such a pair), row = edge.
    """
    hour = _find_hours(runs.shares, window_ms)
    older, newer = hour[runs.older], hour[runs.newer]
    met = np.where(older == newer, older, -1)
    n_in_hour = runs.sum((met >= 0).astype(np.int64))
    has_others = n_in_hour < runs.n_pairs
    return pl.DataFrame(
        {"n_in_hour": n_in_hour, "n_hours": runs.count_distinct(met) - has_others},
        schema={"n_in_hour": pl.Int64, "n_hours": pl.Int64},
    )


def assess_edges(
    shares: Shares,
    edges: pl.DataFrame,
    *,
    window_ms: int,
    null: Null = "day",
    alpha: float = 0.05,
    seed: int = 0,
    reference: str | None = None,
    backend: Backend,
) -> ShareTests:
    """Test every pair of accounts for more shares within a window than chance makes.

    Parameters
    ----------
    shares
        From `read_shares`.
    edges
        All pairs of accounts with a pair of shares within the window: ``source, target`` (rows of
        accounts, each pair once) and the columns of `count_hours`.
    window_ms
        The window.
    null
        What each account keeps, see `strata.stratify`; the times of its shares within
        what is kept are exchangeable, to the width of a bin of twice the window and a second.
    alpha
        False discovery rate to hold, at each tier.
    seed
        Of the copies with shifted days.
    reference
        Label of control accounts, see `gpu_coord.chance.references`.
    backend
        Where expected counts are summed.

    Raises
    ------
    ValueError
        Alpha is no rate, or there are too many bins of the window's length.
    """
    check_alpha(alpha)
    activity = _bin_shares(shares, window_ms, backend)
    index = index_cells(activity)
    margins = count_margins(index, 0)
    pairs, n_hours, edge = _list_both(edges, activity.n_accounts)
    number = pairs.source.astype(np.int64) * activity.n_accounts + pairs.target

    def look_up(wanted: PairCounts) -> Any:
        asked = wanted.source.astype(np.int64) * activity.n_accounts + wanted.target
        row = np.searchsorted(number, asked)
        is_known = np.append(number, -1)[row] == asked
        return np.where(is_known, np.append(n_hours, 0)[row], 0)

    [habits] = fit_habits(
        activity, index, [margins], null=null, seed=seed,
        shift=_plan_copies(shares, window_ms, backend),
    )  # fmt: skip
    nulls = fit_nulls(
        activity, index, margins, null=null, habits=habits, count_hours=look_up,
        controls=find_controls(shares.accounts, reference),
    )  # fmt: skip
    lag_tests = nulls.conclude(0, nulls.test(pairs, n_hours))
    tests = join_lags([lag_tests], n_accounts=activity.n_accounts, null=null, alpha=alpha)
    tests = grade_significant(activity, index, [margins], tests)
    read = tests.read_edges(pairs.source, pairs.target, np.zeros(edge.size, np.int32))
    return ShareTests(tests, _spread_rows(pl.DataFrame(name_tiers(read)), edge, edges.height))


def _spread_rows(found: pl.DataFrame, edge: Any, n_edges: int) -> pl.DataFrame:
    """Return the tests of all edges; one that met only across full hours was not tested."""
    row = np.full(n_edges, -1)
    row[edge] = np.arange(edge.size)
    unlisted = {"p_value": 1.0, "q_value": 1.0, "q_habit": 1.0, "grade": 0, "significant": False,
                "n_hours": 0, "expected_habit": 0.0}  # fmt: skip
    number = pl.Series(row, dtype=pl.Int64)
    rows = found.select(pl.all().gather(number.replace(-1, None)))
    filled = (pl.col(name).fill_null(pl.lit(value)) for name, value in unlisted.items())
    return rows.with_columns(filled)


def _plan_copies(
    shares: Shares, window_ms: int, backend: Backend
) -> Callable[[int], tuple[Activity, Any]] | None:
    """Return what makes a copy in which each account's days have moved on, if there are days."""
    second = shares.time // 1000
    first = int(second.min())
    axis = Axis(first, int(second.max()) - first + 1, 1)
    if not has_days(axis):
        return None
    days = list_days(axis, shares.account, second - first)

    def shift(seed: int) -> tuple[Activity, Any]:
        moved = draw_shifts(shares.accounts.height, days.n_days, seed)
        time = 1000 * (days.axis.first_bin + days.shift(moved))
        return _bin_shares(replace(shares, time=time), window_ms, backend), moved

    return shift


def _find_bins(shares: Shares, window_ms: int) -> tuple[np.ndarray, int]:
    seconds = measure_bin(window_ms, shares.time_unit)
    return shares.time // (1000 * seconds), seconds


def _find_hours(shares: Shares, window_ms: int) -> np.ndarray:
    """Return the hour of each share, 0 or more, that the beginning of its bin lies in."""
    bin, seconds = _find_bins(shares, window_ms)
    hour: np.ndarray = bin * seconds // _HOUR
    # Before 1970 hours are negative, and -1 marks what is left out.
    hour -= hour.min(initial=0)
    return hour


def _bin_shares(shares: Shares, window_ms: int, backend: Backend) -> Activity:
    """Return the shares as cells; one that is repeated within its bin counts as often."""
    bin, seconds = _find_bins(shares, window_ms)
    first, last = int(bin.min()), int(bin.max())
    if last - first >= MAX_BINS:
        raise ValueError(
            f"the shares span {last - first + 1:,} bins of {seconds} s; {MAX_BINS:,} are possible: "
            "choose a time range, or no tests."
        )
    order = np.lexsort((shares.account, bin, shares.object))
    kinds = tuple(shares.objects["kind"].cast(pl.String).unique().sort())
    columns = {"entity": shares.object, "bin": bin - first, "account": shares.account}
    return Activity(
        backend=backend,
        bin_seconds=seconds,
        first_bin=first,
        n_bins=last - first + 1,
        kinds=kinds,
        missing_kinds=(),
        accounts=shares.accounts,
        entities=shares.objects.with_columns(pl.col("kind").cast(pl.String)),
        n_dropped={},
        **{
            name: backend.xp.asarray(column[order].astype(np.int32))
            for name, column in columns.items()
        },
    )


def _list_both(edges: pl.DataFrame, n_accounts: int) -> tuple[PairCounts, Any, Any]:
    """Return both directions of the edges that met within an hour, by source, then target."""
    met = np.flatnonzero(edges["n_in_hour"].to_numpy() > 0)
    one, other = (edges[end].to_numpy()[met].astype(np.int64) for end in ("source", "target"))
    key = np.concatenate([one * n_accounts + other, other * n_accounts + one])
    order = np.argsort(key, kind="stable")
    edge = np.concatenate([met, met])[order]
    source, target = np.divmod(key[order], n_accounts)
    support = edges["n_in_hour"].to_numpy()[edge]
    pairs = PairCounts(source.astype(np.int32), target.astype(np.int32), support)
    return pairs, edges["n_hours"].to_numpy()[edge], edge
