"""Activity -> how much more lagged co-activity there is than chance makes, lag by lag.

Sums over all pairs of accounts, in time that grows with the cells and not with the pairs. The
curve falls to the band where what moves together has come apart: the time-scale of coordination,
but also of any news that everybody hears of within a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import count_steps
from gpu_coord.chance.days import Axis, divides_day, list_days
from gpu_coord.chance.strata import sum_all_pairs
from gpu_coord.ground.threads import map_ahead

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
    entity: Any  # (n_cells,)
    account: Any
    group: Any  # number of the (account, entity)
    bin: Any


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
    curve = _sum_curve(cells, max_lag)
    band = _draw_band(
        cells, max_lag, n_copies=n_copies, seed=seed, threads=activity.backend.threads
    )
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
        chosen = np.isin(np.arange(activity.n_accounts), _check_accounts(accounts, activity))
    if chosen.sum() < 2:
        raise ValueError(f"there are {chosen.sum()} accounts to pair; two are needed at least.")
    kept = chosen[account]
    groups, group = np.unique(
        account[kept].astype(np.int64) * activity.n_entities + entity[kept], return_inverse=True
    )
    n_users = np.bincount(groups % activity.n_entities, minlength=activity.n_entities)
    shared = n_users[entity[kept]] > 1
    axis = Axis(activity.first_bin, activity.n_bins, activity.bin_seconds)
    return _Cells(axis, *(a[shared] for a in (entity[kept], account[kept], group, bin[kept])))


def _check_accounts(accounts: Sequence[int] | np.ndarray, activity: Activity) -> Any:
    rows = np.asarray(accounts, dtype=np.int64)
    unknown = rows[(rows < 0) | (rows >= activity.n_accounts)]
    if unknown.size:
        raise ValueError(
            f"account {unknown[0]} is no row of the {activity.n_accounts} analysed accounts; "
            "see Activity.accounts."
        )
    return rows


def _sum_curve(cells: _Cells, max_lag: int) -> Any:
    """Return observed and expected coincidences of different accounts, (max_lag + 1, 2)."""
    together, alone = (
        np.column_stack(sum_all_pairs(cells.axis, *_count_columns(cells, page), max_lag=max_lag))
        for page in (cells.entity, cells.group)
    )
    curve = together - alone
    expected = curve[:, 1]
    expected[expected <= _ROUNDING * together[:, 1].max()] = 0.0
    return curve


def _count_columns(cells: _Cells, page: Any) -> tuple[Any, Any, Any]:
    """Return the distinct (page, bin), ascending, and the cells in each."""
    n_bins = cells.axis.n_bins
    columns, count = np.unique(page.astype(np.int64) * n_bins + cells.bin, return_counts=True)
    return columns // n_bins, columns % n_bins, count


def _divide(curve: Any) -> Any:
    observed, expected = curve.T
    return observed / np.where(expected > 0, expected, np.nan)


def _draw_band(
    cells: _Cells, max_lag: int, *, n_copies: int, seed: int, threads: int
) -> tuple[Any, Any]:
    """Return the least and the largest ratio of the copies at each lag; NaN without any."""
    nothing = np.full(max_lag + 1, np.nan)
    days = list_days(cells.axis, cells.account, cells.bin) if n_copies else None
    if days is None or days.n_days == 1:
        return nothing, nothing

    def measure(copy: int) -> Any:
        bin = days.shuffle(np.random.default_rng((seed, copy)))
        shuffled = replace(cells, axis=days.axis, bin=bin)
        return _divide(_sum_curve(shuffled, max_lag))

    ratios = np.stack(list(map_ahead(range(n_copies), measure, n_threads=threads)))
    # A copy in which nothing is expected at a lag says nothing about it.
    return np.fmin.reduce(ratios), np.fmax.reduce(ratios)
