"""Active cells -> even days and odd days, each sorted by day, entity, account and slot of the day.

A stratum is an entity on a day, a visit what one account does in it, an event one active cell. The
one idea: neighbouring days lie in different folds, so coincidences never cross a stratum.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numba
import numpy as np

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.distinct import list_distinct
from gpu_coord.backend.pairs import CACHE
from gpu_coord.chance.days import list_open_days
from gpu_coord.ground.threads import map_ahead

_DAY, _REACH = 86_400, 3 * 3600  # seconds

MIN_DAYS = 14

# A coincidence in a crowd is worth log(1 + 0.2 / its share of all accounts).
_SURPRISE = 0.2

# Events that one call of a kernel handles: some 10 ms, so that an interruption is soon heard.
BLOCK_EVENTS = 20_000


class Calendar(NamedTuple):
    """How the days are divided; what `find_obstacle` refuses has none."""

    n_slots: int  # P, bins of a day
    reach: int  # L, bins within which two events coincide
    first_day: int  # since the epoch, UTC
    n_days: int


class Fold(NamedTuple):
    """The events on every other day; a tuple, so that kernels take it as it is."""

    calendar: Calendar
    n_accounts: int
    day: Any  # days since the epoch, whether or not anything happened, but for long gaps, (n_days,)
    stratum_day: Any  # position in `day`, ascending, (n_strata,)
    stratum_entity: Any  # ascending within a day, (n_strata,)
    stratum_start: Any  # visits of each stratum, (n_strata + 1,)
    visit_account: Any  # ascending within a stratum, (n_visits,)
    visit_start: Any  # events of each visit, (n_visits + 1,)
    event_slot: Any  # ascending within a visit, (n_events,)
    visit_stratum: Any  # (n_visits,)
    account_start: Any  # visits of each account in `account_visit`, (n_accounts + 1,)
    account_visit: Any  # ascending within an account, (n_visits,)
    surprise: Any  # weight of an event with 0, 1, ... others around it
    n_threads: int = 1  # blocks of strata that are worked on at a time

    @property
    def n_events(self) -> int:
        """Active cells on the days of the fold."""
        return int(self.event_slot.size)

    @property
    def n_strata(self) -> int:
        """Entities on days."""
        return int(self.stratum_day.size)

    @property
    def activity(self) -> Any:
        """Events of each account, (n_accounts,)."""
        sizes = np.diff(self.visit_start)
        return np.bincount(self.visit_account, weights=sizes, minlength=self.n_accounts)

    def mark(self, accounts: Any) -> Any:
        """Mark some accounts, (n_accounts,) booleans."""
        marked = np.zeros(self.n_accounts, bool)
        marked[accounts] = True
        return marked

    def list_visits(self, marked: Any) -> Any:
        """Return the visits of marked accounts, by account."""
        accounts = np.flatnonzero(marked)
        first, last = self.account_start[accounts], self.account_start[accounts + 1]
        return self.account_visit[join_ranges(first, last)]

    def find_strata(self, marked: Any, *, n_visits: int = 1) -> Any:
        """Return the strata that at least so many marked accounts visit, ascending."""
        visits = self.list_visits(marked)
        strata, n_marked = np.unique(self.visit_stratum[visits], return_counts=True)
        return strata[n_marked >= n_visits].astype(np.int64)  # kernels are compiled for this alone

    def map_strata(
        self, strata: Any, work: Callable[[Any], Any], *, days_at_once: int = 0
    ) -> Iterator[Any]:
        """Yield what comes of blocks of some strata, of about as many events.

        Parameters
        ----------
        strata
            Which, ascending.
        work
            Called with each block of them, in a thread.
        days_at_once
            Blocks are whole days, at most so many; 0 cuts days, too.
        """
        size = self.visit_start[self.stratum_start[strata + 1]]
        size = size - self.visit_start[self.stratum_start[strata]]
        key = np.cumsum(size) // BLOCK_EVENTS
        if days_at_once and strata.size:
            key = self._cut_days(strata, key, days_at_once)
        bounds = np.flatnonzero(np.diff(key, prepend=-1, append=-1)) if strata.size else [0]
        blocks = [strata[first:last] for first, last in pairwise(bounds)]
        return map_ahead(blocks, work, n_threads=self.n_threads)

    def _cut_days(self, strata: Any, key: Any, most: int) -> Any:
        """Return other numbers of the strata's blocks: of whole days, at most so many."""
        new_day = np.diff(self.stratum_day[strata], prepend=-1) != 0
        day = np.cumsum(new_day) - 1  # among those that have a stratum
        of_day = np.column_stack([key[new_day], np.arange(day[-1] + 1) // most])
        return np.cumsum((np.diff(of_day, axis=0, prepend=-1) != 0).any(axis=1))[day]


def find_obstacle(activity: Activity) -> str | None:
    """Say why no group can be tested, or return None."""
    if _DAY % activity.bin_seconds:
        return f"a day is not a whole number of bins of {activity.bin_seconds} s"
    if activity.bin_seconds > _REACH:
        return f"bins of {activity.bin_seconds} s are longer than 3 h"
    n_days = _list_days(activity, read_calendar(activity)).size
    if n_days < MIN_DAYS:
        return f"the data span {n_days} days (UTC); the test needs at least {MIN_DAYS}"
    return None


def read_calendar(activity: Activity) -> Calendar:
    """Return how many bins a day has, and which days there are."""
    n_slots = _DAY // activity.bin_seconds
    first_day = activity.first_bin // n_slots
    last_day = (activity.first_bin + activity.n_bins - 1) // n_slots
    reach = max(1, _REACH // activity.bin_seconds)
    return Calendar(n_slots, reach, first_day, last_day - first_day + 1)


def _list_days(activity: Activity, calendar: Calendar) -> Any:
    """Return the days since the epoch that are not in a long gap, see `list_open_days`."""
    bins = activity.backend.to_host(activity.bin).astype(np.int64) + activity.first_bin
    ends = (calendar.first_day, calendar.first_day + calendar.n_days - 1)
    return list_open_days(np.append(bins // calendar.n_slots, ends))


def split_days(activity: Activity) -> tuple[Any, tuple[Fold, Fold]]:
    """Return the accounts with events, and the folds of even and of odd days since the epoch.

    Accounts are numbered anew in the folds: by their position in what is returned first.
    """
    calendar = read_calendar(activity)
    entity, bin, account = activity.read_cells()
    is_active = np.bincount(account, minlength=activity.n_accounts) > 0
    accounts, account = np.flatnonzero(is_active), (np.cumsum(is_active) - 1)[account]
    day, slot = np.divmod(bin.astype(np.int64) + activity.first_bin, calendar.n_slots)
    sizes = (calendar.n_days, activity.n_entities, accounts.size, calendar.n_slots)
    cells = list_distinct((day - calendar.first_day, entity, account, slot), sizes, xp=np)
    cells[0] += calendar.first_day
    days = _list_days(activity, calendar)
    folds = (_build_fold(calendar, days, accounts.size, cells, parity) for parity in (0, 1))
    n_threads = max(1, activity.backend.threads)
    even, odd = (fold._replace(n_threads=n_threads) for fold in folds)
    return accounts, (even, odd)


def _build_fold(calendar: Calendar, days: Any, n_accounts: int, cells: Any, parity: int) -> Fold:
    day, entity, account, slot = (column[cells[0] % 2 == parity] for column in cells)
    days = days[days % 2 == parity]
    new_stratum = np.ones(day.size, bool)
    new_stratum[1:] = (day[1:] != day[:-1]) | (entity[1:] != entity[:-1])
    new_visit = new_stratum.copy()
    new_visit[1:] |= account[1:] != account[:-1]
    strata, visits = np.flatnonzero(new_stratum), np.flatnonzero(new_visit)
    return index_fold(
        calendar,
        n_accounts,
        day=days,
        stratum_day=np.searchsorted(days, day[strata]).astype(np.int32),
        stratum_entity=entity[strata].astype(np.int32),
        stratum_start=np.append(np.searchsorted(visits, strata), visits.size),
        visit_account=account[visits].astype(np.int32),
        visit_start=np.append(visits, day.size),
        event_slot=slot.astype(np.int32),
    )


def index_fold(calendar: Calendar, n_accounts: int, **columns: Any) -> Fold:
    """Return a fold with what follows from its columns: the visits of each account, and weights."""
    stratum_start, account = columns["stratum_start"], columns["visit_account"]
    n_most = int(np.diff(columns["visit_start"][stratum_start]).max(initial=0))
    return Fold(
        calendar=calendar,
        n_accounts=n_accounts,
        **columns,
        visit_stratum=np.repeat(
            np.arange(stratum_start.size - 1, dtype=np.int32), np.diff(stratum_start)
        ),
        account_start=np.append(0, np.cumsum(np.bincount(account, minlength=n_accounts))),
        account_visit=np.argsort(account, kind="stable").astype(np.int32),
        surprise=np.log(1.0 + _SURPRISE * n_accounts / (np.arange(n_most + 1) + 1.0)),
    )


def thin_fold(fold: Fold, marked: Any, *, most: int, seed: int) -> tuple[Fold, float]:
    """Return a fold with fewer entities, where marked accounts have more than so many events.

    Parameters
    ----------
    fold
        All that happened.
    marked
        Whose events count, (n_accounts,) booleans.
    most
        As many of their events are left, more or less.
    seed
        Of the lot that each entity draws.

    Returns
    -------
        The fold, and the share of entities that is left; these stay whole, on all days.
    """
    n_events = int(fold.activity[marked].sum())
    if n_events <= most:
        return fold, 1.0
    share = most / n_events
    n_entities = int(fold.stratum_entity.max()) + 1
    is_kept = np.random.default_rng(seed).random(n_entities) < share
    strata = np.flatnonzero(is_kept[fold.stratum_entity])
    visits = join_ranges(fold.stratum_start[strata], fold.stratum_start[strata + 1])
    first, last = fold.visit_start[visits], fold.visit_start[visits + 1]
    thinned = index_fold(
        fold.calendar,
        fold.n_accounts,
        day=fold.day,
        stratum_day=fold.stratum_day[strata],
        stratum_entity=fold.stratum_entity[strata],
        stratum_start=_sum_sizes(np.diff(fold.stratum_start)[strata]),
        visit_account=fold.visit_account[visits],
        visit_start=_sum_sizes(last - first),
        event_slot=fold.event_slot[join_ranges(first, last)],
    )
    return thinned._replace(n_threads=fold.n_threads), share


def _sum_sizes(sizes: Any) -> Any:
    return np.concatenate([[0], np.cumsum(sizes)])


def join_ranges(first: Any, last: Any) -> Any:
    """Return the numbers of all ranges, one range after the other."""
    sizes = last - first
    before = np.cumsum(sizes) - sizes
    return np.repeat(first - before, sizes) + np.arange(int(sizes.sum()))


@numba.njit(cache=CACHE, nogil=True)
def weigh_slots(counts: Any, fold: Fold, weight: Any) -> None:
    """Write how surprising an event in each slot is, given the events counted around it."""
    n_slots, reach = counts.size, fold.calendar.reach
    window = 0.0
    for slot in range(min(reach, n_slots)):
        window += counts[slot]
    for slot in range(n_slots):
        if slot + reach < n_slots:
            window += counts[slot + reach]
        if slot > reach:
            window -= counts[slot - reach - 1]
        weight[slot] = fold.surprise[int(window)]


@numba.njit(cache=CACHE, nogil=True)
def count_stratum(stratum: int, fold: Fold, counts: Any) -> None:
    """Count the events of all accounts in each slot of a stratum."""
    counts[:] = 0.0
    first = fold.visit_start[fold.stratum_start[stratum]]
    last = fold.visit_start[fold.stratum_start[stratum + 1]]
    for event in range(first, last):
        counts[fold.event_slot[event]] += 1.0
