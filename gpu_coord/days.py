"""The days of each account, to be put in another order: activity whose coordination is gone."""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from gpu_coord.pairs import CACHE

_HOUR = 3600


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
    n_days: int
    account: Any  # of each day on which an account is active, ascending, (n_active_days,)
    cell_day: Any  # which of these each cell is on, (n_cells,)
    cell_slot: Any  # place of each cell's bin in its day

    def shuffle(self, rng: np.random.Generator) -> Any:
        """Return the bins of the cells once every account's days are in an order of its own.

        All days of the axis take part, those without activity, too.
        """
        drawn = draw_days(self.account, self.n_days, rng.random(self.account.size))
        return drawn[self.cell_day] * (self.axis.n_bins // self.n_days) + self.cell_slot


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
    return Days(whole, n_days, days // n_days, cell_day, slot)


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
