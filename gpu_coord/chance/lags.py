"""Activity -> how much more lagged co-activity there is than chance makes, lag by lag.

Sums over all pairs of accounts, in time that grows with the cells and not with the pairs. The
curve falls to the band where what moves together has come apart: the time-scale of coordination,
but also of any news that everybody hears of within a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import count_steps, mark_changes
from gpu_coord.backend import Backend
from gpu_coord.chance.curves import Calendar, EntityCells, expect_by_lag, tally_pairs
from gpu_coord.chance.days import Axis, Days, count_bins_of_day, divides_day, list_days
from gpu_coord.chance.strata import locate_blocks

# Sums over all pairs and over pairs of an account with itself, nearer than this, are equal.
_ROUNDING = 1e-12

_LAGS: dict[str, Any] = {
    "group": pl.Int32, "lag": pl.Int32, "observed": pl.Int64, "expected": pl.Float64,
    "ratio": pl.Float64, "low": pl.Float64, "high": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Cells:
    """Where which account is active, on entities that two accounts or more use."""

    axis: Axis
    entity: Any  # (n_cells,), ascending; then by account
    account: Any
    bin: Any

    def place(self, day: Any, slot: Any) -> EntityCells:
        """Return the cells on numbered days, each in its place of the day."""
        start = np.append(np.flatnonzero(mark_changes(self.entity, xp=np)), self.entity.size)
        return EntityCells(start, self.account, day.astype(np.int32), slot.astype(np.int32))


def measure_lags(
    activity: Activity,
    *,
    max_lag: int = 24,
    accounts: Sequence[int] | np.ndarray | None = None,
    n_copies: int = 39,
    seed: int = 0,
) -> pl.DataFrame:
    """Measure the excess of lagged coincidences over what the null ``day`` expects, by lag.

    The band is that of copies of the data in which every account's days are put in an order of
    chance of its own. Copies keep each account's hours of the day, its volume on a day and what it
    uses together, and nothing that ties accounts to one another; what the hours of the day alone
    do to the curve is seen in the band. News that bursts within a day is lost in the copies too:
    a curve above the band is unusual co-activity, not yet coordination. The null keeps what a day
    holds, so that an excess at small lags is a lack at larger ones.

    Parameters
    ----------
    activity
        The active cells.
    max_lag
        Lags 0, 1, ... up to this are measured, in bins.
    accounts
        Rows of accounts: only pairs among them are summed, such as those of a group.
    n_copies
        At one lag, a curve that is like those of the copies lies outside the band with
        probability 2 / (n_copies + 1); 0 leaves the band out.
    seed
        Of the orders of days.

    Returns
    -------
        A row for each lag: ``lag``; ``observed`` coincidences and ``expected`` ones, summed over
        all ordered pairs of different accounts; ``ratio`` of these; ``low`` and ``high``, the band
        of the ratio. Null where nothing is expected, and in the band where there is one day.

    Raises
    ------
    ValueError
        The largest lag leaves no transition, there are not two accounts, the copies are fewer
        than none, or bins do not divide a day and a band is asked for.
    """
    count_steps(activity.n_bins, max_lag)
    if n_copies < 0:
        raise ValueError(f"n_copies is {n_copies}; make none or more.")
    cells = _select_cells(activity, accounts)
    curve = _sum_curve(*_find_days(cells), max_lag)
    band = _draw_band(cells, max_lag, n_copies=n_copies, seed=seed, backend=activity.backend)
    return pl.DataFrame(
        {"lag": np.arange(max_lag + 1, dtype=np.int32), "observed": curve[:, 0].astype(np.int64)}
        | {"expected": curve[:, 1], "ratio": _divide(curve)}
        | dict(zip(("low", "high"), band, strict=True))
    ).with_columns(pl.col("ratio", "low", "high").fill_nan(None))


def tabulate_lags(
    activity: Activity, members: pl.DataFrame, *, max_lag: int = 24, seed: int = 0
) -> pl.DataFrame:
    """Measure the excess of lagged coincidences of all accounts, and of each group.

    As many lags are measured as the bins have room for; there is no band where bins do not divide
    a day.

    Parameters
    ----------
    activity
        The active cells.
    members
        ``group`` and ``account`` (row) of the members of groups.
    max_lag, seed
        See `measure_lags`.

    Returns
    -------
        The columns of `measure_lags` after ``group``, which is null for all accounts together.
    """
    max_lag = min(max_lag, activity.n_bins - 2)
    sets = [(None, np.arange(activity.n_accounts))]
    for (group,), part in members.group_by("group", maintain_order=True):
        sets.append((group, part["account"].to_numpy()))
    n_copies = 39 if divides_day(activity.bin_seconds) else 0
    tables = [
        measure_lags(activity, max_lag=max_lag, accounts=accounts, n_copies=n_copies, seed=seed)
        .with_columns(group=pl.lit(group, pl.Int32))
        .select("group", pl.exclude("group"))
        for group, accounts in sets
        if len(accounts) > 1 and max_lag >= 0
    ]
    return pl.concat(tables) if tables else pl.DataFrame(schema=_LAGS)


def _select_cells(activity: Activity, accounts: Sequence[int] | np.ndarray | None) -> _Cells:
    """Return the cells of the accounts on entities that at least two of them use."""
    entity, bin, account = activity.read_cells()
    chosen = np.ones(activity.n_accounts, bool)
    if accounts is not None:
        chosen[:] = False
        chosen[_check_accounts(accounts, activity)] = True
    if chosen.sum() < 2:
        raise ValueError(f"there are {chosen.sum()} accounts to pair; two are needed at least.")
    kept = np.flatnonzero(chosen[account])
    group = entity[kept].astype(np.int64) * activity.n_accounts + account[kept]
    order = np.argsort(group, kind="stable")
    kept, group = kept[order], group[order]
    users = entity[kept[mark_changes(group, xp=np)]]
    shared = kept[np.bincount(users, minlength=activity.n_entities)[entity[kept]] > 1]
    axis = Axis(activity.first_bin, activity.n_bins, activity.bin_seconds)
    return _Cells(axis, *(column[shared] for column in (entity, account, bin)))


def _check_accounts(accounts: Sequence[int] | np.ndarray, activity: Activity) -> Any:
    rows = np.asarray(accounts, dtype=np.int64)
    unknown = rows[(rows < 0) | (rows >= activity.n_accounts)]
    if unknown.size:
        raise ValueError(
            f"account {unknown[0]} is no row of the {activity.n_accounts} analysed accounts; "
            "see Activity.accounts."
        )
    return rows


def _sum_curve(cells: EntityCells, moved: Any, calendar: Calendar, max_lag: int) -> Any:
    """Return observed and expected coincidences of different accounts, (max_lag + 1, 2)."""
    tally = tally_pairs(cells, moved, calendar, max_lag=max_lag)
    together, alone = expect_by_lag(tally, calendar)
    expected = together - alone
    expected[expected <= _ROUNDING * together.max()] = 0.0
    return np.column_stack([tally.observed[0] - tally.observed[1], expected])


def _find_days(cells: _Cells) -> tuple[EntityCells, Any, Calendar]:
    """Return the cells on the days of the null, where these are, and the days."""
    axis = cells.axis
    blocks = locate_blocks(axis.first_bin, axis.bin_seconds, axis.n_bins, "day", phase=0.0)
    label = blocks.label(cells.bin)
    labels = np.unique(label)
    day = np.searchsorted(labels, label)
    calendar = _bound_days(blocks.begin(labels), blocks.begin(labels + 1), axis)
    return cells.place(day, cells.bin - calendar.start[day]), np.arange(labels.size), calendar


def _plan_copies(cells: _Cells) -> tuple[EntityCells, Days, Calendar]:
    """Return the cells on the days of their accounts, these, and where they may be moved to."""
    days = list_days(cells.axis, cells.account, cells.bin)
    per_day = count_bins_of_day(cells.axis.bin_seconds)
    start = days.open * per_day
    calendar = _bound_days(start, start + per_day, days.axis)
    return cells.place(days.cell_day, days.cell_slot), days, calendar


def _bound_days(start: Any, end: Any, axis: Axis) -> Calendar:
    """Return days as far as they are on an axis; the ends are those that they would have."""
    first, last = (np.clip(bound, 0, axis.n_bins) for bound in (start, end))
    return Calendar(start, first, last, int((end - start).max(initial=1)), axis.n_bins)


def _divide(curve: Any) -> Any:
    observed, expected = curve.T
    return observed / np.where(expected > 0, expected, np.nan)


def _draw_band(
    cells: _Cells, max_lag: int, *, n_copies: int, seed: int, backend: Backend
) -> tuple[Any, Any]:
    """Return the least and the largest ratio of the copies at each lag; NaN without any."""
    nothing = np.full(max_lag + 1, np.nan)
    if not n_copies:
        return nothing, nothing
    placed, days, calendar = _plan_copies(cells)
    if days.n_days == 1:
        return nothing, nothing
    measure = partial(_measure_copy, placed, days, calendar, max_lag, seed)
    ratios = np.stack(list(backend.map_blocks(range(n_copies), measure, n_threads=backend.threads)))
    # A copy in which nothing is expected at a lag says nothing about it.
    return np.fmin.reduce(ratios), np.fmax.reduce(ratios)


def _measure_copy(
    placed: EntityCells, days: Days, calendar: Calendar, max_lag: int, seed: int, copy: int
) -> Any:
    moved = days.draw(np.random.default_rng((seed, copy)))
    return _divide(_sum_curve(placed, moved, calendar, max_lag))
