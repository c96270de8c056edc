"""Statuses of sites, step by step -> their transitions, in one checked table.

The one idea: a transition leads from a step to the next one of the same stretch of data, never
over a gap and never from one table to another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_HOUR, _HOURS = 3600, 24
MAX_STATUSES = 64


@dataclass(frozen=True)
class Steps:
    """Transitions, those of all stretches of data one after another.

    A status of -1 is missing: as a target the site is not counted, as a source it is at rest.
    """

    before: np.ndarray  # status of each site, (n_steps, n_sites)
    after: np.ndarray  # one step later
    group: np.ndarray  # of each transition, (n_steps,)
    n_groups: int
    n_statuses: np.ndarray  # of each site, (n_sites,)

    @property
    def n_sites(self) -> int:
        """Sites, silent ones included."""
        return int(self.before.shape[1])

    @property
    def n_most(self) -> int:
        """Statuses of the site that has most."""
        return int(self.n_statuses.max())


def read_steps(
    statuses: Any, *, times: Any = None, bin_seconds: int = _HOUR, n_statuses: Any = None
) -> Steps:
    """Check statuses, and put their transitions in one table.

    Parameters
    ----------
    statuses
        Whole numbers from 0 on, (n_sites, n_steps), or a sequence of such tables: transitions
        never lead from one to the next. Negative: missing.
    times
        Epoch seconds of every step, (n_steps,), or of the first; a sequence of these for several
        tables. Steps whose times are not ``bin_seconds`` apart are no transition.
    bin_seconds
        From one step to the next.
    n_statuses
        Statuses of each site, (n_sites,); by default the largest seen and those below, 2 at least.

    Raises
    ------
    ValueError
        The statuses are no such tables, the times do not belong to them, or nothing follows
        anything.
    """
    several = isinstance(statuses, Sequence) and all(np.ndim(table) == 2 for table in statuses)
    tables = [_check_table(table) for table in (statuses if several else [statuses])]
    if len({table.shape[0] for table in tables}) != 1:
        raise ValueError(
            f"the tables of statuses have {sorted({t.shape[0] for t in tables})} sites; give every "
            "site a row in each, -1 where it is missing."
        )
    clocks = _check_times(times, tables, several=several, bin_seconds=bin_seconds)
    parts = [_pair_up(t, clock, bin_seconds) for t, clock in zip(tables, clocks, strict=True)]
    before, after, hour = (np.concatenate(column) for column in zip(*parts, strict=True))
    if not before.size:
        raise ValueError("the statuses hold no transition; give two steps in a row at least.")
    return Steps(
        before=before,
        after=after,
        group=hour,
        n_groups=1 if times is None else _HOURS,
        n_statuses=_count_statuses(before, after, n_statuses),
    )


def _check_table(table: Any) -> np.ndarray:
    table = np.asarray(table)
    if table.ndim != 2 or not (np.issubdtype(table.dtype, np.integer) or table.dtype == bool):
        raise ValueError(
            f"statuses are {table.dtype} of shape {table.shape}; give whole numbers, "
            "(n_sites, n_steps), or a list of such tables."
        )
    if table.size and table.max() >= MAX_STATUSES:
        raise ValueError(
            f"a status is {table.max()}; number them from 0 on, {MAX_STATUSES} at most."
        )
    return np.asarray(np.maximum(table, -1).astype(np.int8))


def _check_times(
    times: Any, tables: list[np.ndarray], *, several: bool, bin_seconds: int
) -> list[Any]:
    if bin_seconds < 1:
        raise ValueError(f"bin_seconds is {bin_seconds}; a step takes a second at least.")
    if times is None:
        return [None] * len(tables)
    given = list(times) if several else [times]
    if len(given) != len(tables):
        raise ValueError(f"there are {len(given)} times for {len(tables)} tables; give one each.")
    return [_spell_out(t, table, bin_seconds) for t, table in zip(given, tables, strict=True)]


def _spell_out(times: Any, table: np.ndarray, bin_seconds: int) -> np.ndarray:
    clock = np.asarray(times)
    if clock.ndim == 0:
        clock = clock + bin_seconds * np.arange(table.shape[1])
    if clock.shape != (table.shape[1],):
        raise ValueError(
            f"times have shape {clock.shape} for {table.shape[1]} steps; give epoch seconds of "
            "every step, or of the first."
        )
    return np.asarray(clock)


def _pair_up(table: np.ndarray, clock: Any, bin_seconds: int) -> tuple[Any, Any, Any]:
    """Return statuses before and after each transition, and the hour of the day after it."""
    before, after = table[:, :-1].T, table[:, 1:].T
    if clock is None:
        return before, after, np.zeros(before.shape[0], np.int64)
    follows = np.diff(clock) == bin_seconds
    hour: np.ndarray = (clock[1:] // _HOUR % _HOURS).astype(np.int64)
    return before[follows], after[follows], hour[follows]


def _count_statuses(before: np.ndarray, after: np.ndarray, given: Any) -> np.ndarray:
    seen = np.maximum(before.max(axis=0), after.max(axis=0)) + 1
    if given is None:
        return np.asarray(np.maximum(seen, 2), np.int64)
    counts: np.ndarray = np.broadcast_to(np.asarray(given), seen.shape).astype(np.int64)
    if (counts < np.maximum(seen, 1)).any():
        site = int(np.argmax(seen - counts))
        raise ValueError(
            f"n_statuses is {counts[site]} for site {site}, which has the status {seen[site] - 1}; "
            "statuses are numbered from 0 on."
        )
    return np.asarray(counts)
