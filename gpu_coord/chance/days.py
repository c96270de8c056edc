"""The days of each account: in how many hours two coincide, and how to put days in another order.

A day is a block of the null ``day``: 24 hours, UTC, or 24 bins where these are longer than an hour.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import CellIndex
from gpu_coord.backend.pairs import CACHE, first_at_least

_HOUR = 3600
_LONG_GAP = 366  # days; in an ordinary archive nobody is silent so long
_FEW = 64  # integers that are sooner compared with each other than sorted


@dataclass(frozen=True)
class Axis:
    """The bins that cells lie on, and the days that they are in."""

    first_bin: int
    n_bins: int
    bin_seconds: int


@dataclass(frozen=True, slots=True)
class Days:
    """The days on which accounts are active, on an axis of whole days."""

    axis: Axis
    open: Any  # days of the axis that take part when days change places, see `list_open_days`
    account: Any  # of each day on which an account is active, ascending, (n_active_days,)
    day: Any  # its position in `open`
    cell_day: Any  # which of these each cell is on, (n_cells,)
    cell_slot: Any  # place of each cell's bin in its day

    @property
    def n_days(self) -> int:
        """Days that take part."""
        return int(self.open.size)

    def shuffle(self, rng: np.random.Generator) -> Any:
        """Return the bins of the cells once every account's days are in an order of its own.

        All days that take part are drawn from, those without activity, too.
        """
        return self._place(self.draw(rng))

    def draw(self, rng: np.random.Generator) -> Any:
        """Return the positions in `open` that the days are moved to, (n_active_days,)."""
        return draw_days(self.account, self.n_days, rng.random(self.account.size))

    def shift(self, shift: Any) -> Any:
        """Return the bins of the cells once each account's days have moved on, round the axis.

        Parameters
        ----------
        shift
            Days, 0 or more, of each account, (n_accounts,).
        """
        return self._place((self.day + shift[self.account]) % self.n_days)

    def _place(self, day: Any) -> Any:
        per_day = count_bins_of_day(self.axis.bin_seconds)
        return self.open[day][self.cell_day] * per_day + self.cell_slot


def list_open_days(day: Any) -> Any:
    """Return the days, from the first to the last, that take part when days change places.

    Days without activity are among them, but for those of a gap of more than 366: a stray post
    of another century would else spread everybody's days over all that lies between.

    Parameters
    ----------
    day
        Numbers of the days that anything is on, in any order.
    """
    busy = np.unique(day)
    step = np.diff(busy, append=busy[-1:] + 1)
    n_here = np.where(step > _LONG_GAP + 1, 1, step)
    place = np.arange(n_here.sum()) - np.repeat(np.cumsum(n_here) - n_here, n_here)
    return np.repeat(busy, n_here) + place


def list_days(axis: Axis, account: Any, bin: Any) -> Days:
    """List the days of each account, UTC.

    Parameters
    ----------
    axis
        What the bins are counted on.
    account, bin
        Where which account is active, (n_cells,).

    Raises
    ------
    ValueError
        Bins do not divide a day.
    """
    per_day = count_bins_of_day(axis.bin_seconds)
    first_day = axis.first_bin // per_day
    n_days = (axis.first_bin + axis.n_bins - 1) // per_day + 1 - first_day
    day, slot = np.divmod(axis.first_bin - first_day * per_day + bin, per_day)
    days, cell_day = np.unique(account.astype(np.int64) * n_days + day, return_inverse=True)
    whole = Axis(first_day * per_day, n_days * per_day, axis.bin_seconds)
    open = list_open_days(np.append(days % n_days, (0, n_days - 1)))
    position = np.searchsorted(open, days % n_days)
    return Days(whole, open, days // n_days, position, cell_day, slot)


def permute_days(activity: Activity, seed: int) -> Activity:
    """Return a copy in which each account's days, UTC, are permuted on their own.

    Every cell keeps its account, its entity and its hour of the day. All days of the span take
    part, whole days, but for gaps of more than a year, see `list_open_days`; the copy begins and
    ends with one.

    Raises
    ------
    ValueError
        Bins do not divide a day.
    """
    days = _list_own(activity)
    return _move_cells(activity, days, days.shuffle(np.random.default_rng(seed)))


def plan_shifts(activity: Activity) -> Callable[[int], tuple[Activity, Any]] | None:
    """Return what makes copies in which each account's days have moved on, round the span.

    Two accounts that moved by the same number of days still do together what they did together;
    what others do is not bound together by anything but their habits.

    Returns
    -------
        From the seed of a copy it makes this, and by how many days each account moved,
        (n_accounts,). None where there are no days to move.
    """
    if not has_days(Axis(activity.first_bin, activity.n_bins, activity.bin_seconds)):
        return None
    days = _list_own(activity)

    def shift(seed: int) -> tuple[Activity, Any]:
        moved = draw_shifts(activity.n_accounts, days.n_days, seed)
        return _move_cells(activity, days, days.shift(moved)), moved

    return shift


def draw_shifts(n_accounts: int, n_days: int, seed: int) -> Any:
    """Draw by how many days each account moves on, (n_accounts,)."""
    return np.random.default_rng(seed).integers(0, n_days, n_accounts)


def _list_own(activity: Activity) -> Days:
    _, bin, account = activity.read_cells()
    axis = Axis(activity.first_bin, activity.n_bins, activity.bin_seconds)
    return list_days(axis, account, bin)


def _move_cells(activity: Activity, days: Days, bin: Any) -> Activity:
    """Return the activity with its cells in other bins, of whole days."""
    entity, _, account = activity.read_cells()
    order = np.lexsort((account, bin, entity))
    cells = {"entity": entity[order], "bin": bin[order], "account": account[order]}
    for column in cells.values():
        column.flags.writeable = False  # as those of a store: kernels are compiled once for both
    return replace(
        activity,
        first_bin=days.axis.first_bin,
        n_bins=days.axis.n_bins,
        **{name: activity.backend.xp.asarray(column) for name, column in cells.items()},
    )


def has_days(axis: Axis) -> bool:
    """Tell whether there are days to permute: whole numbers of bins, and two of them at least."""
    if not divides_day(axis.bin_seconds):
        return False
    per_day = count_bins_of_day(axis.bin_seconds)
    return axis.first_bin // per_day < (axis.first_bin + axis.n_bins - 1) // per_day


def count_bins_of_day(bin_seconds: int) -> int:
    """Return the bins of a block of the null ``day``.

    Raises
    ------
    ValueError
        Bins do not divide a day.
    """
    if not divides_day(bin_seconds):
        raise ValueError(
            f"bins of {bin_seconds} s do not divide a day, so days cannot change places; choose "
            "bins such as 5m, 15m or 1h."
        )
    return _count_seconds(bin_seconds) // bin_seconds


def divides_day(bin_seconds: int) -> bool:
    """Tell whether a block of the null ``day`` is a whole number of bins."""
    return _count_seconds(bin_seconds) % bin_seconds == 0


def _count_seconds(bin_seconds: int) -> int:
    return 24 * max(_HOUR, bin_seconds)


@numba.njit(cache=CACHE, nogil=True)
def draw_days(account: Any, n_days: int, chance: Any) -> Any:
    """Draw a day for each of the days of each account, none twice.

    Parameters
    ----------
    account
        The account of each day, ascending, (n_rows,).
    n_days
        Days to draw from; no account has more.
    chance
        Uniform numbers from 0 to 1, (n_rows,).

    Returns
    -------
        (n_rows,), from 0 on.
    """
    days = np.arange(n_days)
    drawn = np.empty(account.size, np.int64)
    n_taken = 0
    for row in range(account.size):
        if row > 0 and account[row] != account[row - 1]:
            n_taken = 0
        # Fisher & Yates; what earlier accounts left is as good an order to begin with as any.
        other = n_taken + int(chance[row] * (n_days - n_taken))
        days[n_taken], days[other] = days[other], days[n_taken]
        drawn[row] = days[n_taken]
        n_taken += 1
    return drawn


@dataclass(frozen=True, slots=True)
class Visits:
    """Where each account is active, entity and bin in one number; on the host."""

    axis: Axis
    account_start: Any  # cells of each account, (n_accounts + 1,)
    key: Any  # entity * stride + bin, ascending within each account, (n_cells,)
    stride: int  # so many that a lag never leads to another entity

    def count_hours(self, source: Any, target: Any, lag: int) -> Any:
        """Count the hours of the source in which the target follows it, on any entity.

        Where bins are longer than an hour, bins are counted.

        Parameters
        ----------
        source, target
            Accounts, (n_pairs,).
        lag
            Bins, fewer than the axis has.

        Returns
        -------
            (n_pairs,).
        """
        return _count_common_hours(
            source, target, self.account_start, self.key, self.stride, lag,
            self.axis.first_bin * self.axis.bin_seconds % _HOUR, self.axis.bin_seconds,
            max(_HOUR, self.axis.bin_seconds),
        )  # fmt: skip


def list_visits(activity: Activity, index: CellIndex) -> Visits:
    """Put entity and bin of each cell into one number."""
    to_host, stride = index.backend.to_host, 2 * activity.n_bins
    axis = Axis(activity.first_bin, activity.n_bins, activity.bin_seconds)
    entity = to_host(index.column_entity)[to_host(index.cell_column)]
    key = entity.astype(np.int64) * stride + to_host(index.cell_bin)
    return Visits(axis, to_host(index.account_start), key, stride)


@numba.njit(cache=CACHE, nogil=True)
def match_visits(source: int, target: int, account_start: Any, key: Any, lag: int, at_source: Any,
                 at_target: Any) -> int:  # fmt: skip
    """Write where the key of a target is that of its source and a lag; return how often it is.

    Parameters
    ----------
    source, target
        Accounts.
    account_start, key
        As of `Visits`.
    lag
        To be added to the keys of the source.
    at_source, at_target
        Room for as many positions as the account with fewer keys has.
    """
    start, stop = account_start[source], account_start[source + 1]
    other, other_stop = account_start[target], account_start[target + 1]
    is_turned = stop - start > other_stop - other
    if is_turned:
        start, stop, other, other_stop, lag = other, other_stop, start, stop, -lag
    n_found = 0
    for position in range(start, stop):
        wanted = key[position] + lag
        other = first_at_least(key, other, other_stop, wanted)
        if other == other_stop:
            break
        if key[other] == wanted:
            at_source[n_found] = other if is_turned else position
            at_target[n_found] = position if is_turned else other
            n_found += 1
    return n_found


@numba.njit(cache=CACHE, nogil=True)
def count_distinct(values: Any) -> int:
    """Count the different ones among integers; at least one."""
    n_distinct = 1
    if values.size <= _FEW:
        for place in range(1, values.size):
            other = 0
            while other < place and values[other] != values[place]:
                other += 1
            n_distinct += other == place
        return n_distinct
    ordered = np.sort(values)
    for place in range(1, ordered.size):
        n_distinct += ordered[place] != ordered[place - 1]
    return n_distinct


@numba.njit(cache=CACHE, nogil=True)
def _count_common_hours(source: Any, target: Any, account_start: Any, key: Any, stride: int,
                       lag: int, first_second: int, bin_seconds: int,
                       hour_seconds: int) -> Any:  # fmt: skip
    """Count the distinct hours of the keys of each source that its target has a lag later."""
    n_hours, room = np.zeros(source.size, np.int32), 0
    for account in range(account_start.size - 1):
        room = max(room, account_start[account + 1] - account_start[account])
    at_source, at_target = np.empty(room, np.int64), np.empty(room, np.int64)
    for pair in range(source.size):
        n_found = match_visits(source[pair], target[pair], account_start, key, lag, at_source,
                               at_target)  # fmt: skip
        if n_found < 2:
            n_hours[pair] = n_found
        else:
            for place in range(n_found):
                second = first_second + key[at_source[place]] % stride * bin_seconds
                at_source[place] = second // hour_seconds
            n_hours[pair] = count_distinct(at_source[:n_found])
    return n_hours
