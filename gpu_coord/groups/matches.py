"""A set of accounts -> how sets of similar outsiders coincide.

The one idea: what everyone who is as active at the same hours does as well is no mark of the set.
"""

from heapq import heappop, heapreplace
from typing import Any, NamedTuple

import numba
import numpy as np

from gpu_coord.backend.pairs import CACHE
from gpu_coord.ground.threads import map_ahead
from gpu_coord.groups.draws import draw_unit, open_stream, shuffle
from gpu_coord.groups.folds import Fold, count_stratum, weigh_slots
from gpu_coord.groups.rhythms import Rhythms
from gpu_coord.groups.scores import average_slots

_MIN_NEIGHBOURS = 10
_MIN_SPARE = 5  # neighbours beyond one for each member; with many, matches are no longer near
_MAX_NEIGHBOURS = 2000  # bounds memory; one is free for every member up to here
_RATIO_PRIOR = 10.0  # weight of coincidences that ratios are shrunk by
_BLOCK_NEIGHBOURS = 10_000  # found in one call of the kernel: some 0.1 s


def draw_matches(fold: Fold, rhythms: Rhythms, members: Any, *, n_replicates: int, key: Any) -> Any:
    """Draw sets of outsiders like a set: for each member one of those nearest to it, by lot.

    Near in activity on the fold and in daily rhythm. Members that are all alike have the same few
    neighbours, and sets of these would all be the same: lots are then drawn among more. Where the
    lot falls on accounts that stand for others already, the nearest one that is free.

    Parameters
    ----------
    fold, rhythms
        What happened, and what the accounts are used to.
    members
        Positions of the accounts in the set.
    n_replicates
        How many sets.
    key
        Of the chance numbers.

    Returns
    -------
        Positions of outsiders, (n_replicates, n_members); None where fewer than two outsiders for
        each member are active.
    """
    outsiders = np.flatnonzero(~fold.mark(members) & (fold.activity > 0))
    if outsiders.size < 2 * members.size:
        return None
    near = _list_neighbours(fold, rhythms, members, outsiders)
    n_near = min(max(_MIN_NEIGHBOURS, members.size // 2), near.shape[1])
    while n_near < near.shape[1] and np.unique(near[:, :n_near]).size < members.size + _MIN_SPARE:
        n_near += 1
    return _draw_sets(near, n_near, n_replicates, fold.n_accounts, key)


def compare_matches(fold: Fold, rhythms: Rhythms, members: Any, matches: Any) -> Any:
    """Return by how much a set, then matched sets, coincide beyond their rhythms.

    Both as an excess in units of its standard deviation and as a ratio: where everyone coincides
    twice as often as rhythms say, the most active set has the largest excess, but not the ratio.
    Ratios are shrunk to 1: a few pairs of another group make no matched set look like a group.
    Who is twice in a set counts twice.

    Returns
    -------
        (2, 1 + n_replicates).
    """
    sets = _list_sets(fold, members, matches)
    observed, expected, variance = _sum_sets(fold, rhythms, sets)
    excess = (observed - expected) / np.sqrt(variance + 1)
    return np.stack([excess, (observed + _RATIO_PRIOR) / (expected + _RATIO_PRIOR)])


class _Sets(NamedTuple):
    """Which sets each account is in: the members first, then the matched ones."""

    start: Any  # of each account's, (n_accounts + 1,)
    number: Any  # ascending within an account
    times: Any  # that it is in the set
    n_sets: int


def _list_sets(fold: Fold, members: Any, matches: Any) -> _Sets:
    n_sets = 1 + matches.shape[0]
    number = np.repeat(np.arange(1, n_sets), matches.shape[1])
    key = matches.ravel().astype(np.int64) * n_sets + number
    key, times = np.unique(np.append(key, members * n_sets), return_counts=True)
    account, number = np.divmod(key, n_sets)
    start = np.searchsorted(account, np.arange(fold.n_accounts + 1))
    return _Sets(start, number.astype(np.int32), times.astype(np.int32), n_sets)


def _list_neighbours(fold: Fold, rhythms: Rhythms, members: Any, outsiders: Any) -> Any:
    """Return the outsiders nearest to each member, nearest first, (n_members, n_neighbours)."""
    n_near = min(max(_MIN_NEIGHBOURS, members.size + _MIN_SPARE), _MAX_NEIGHBOURS, outsiders.size)
    size = np.log1p(fold.activity)
    outsiders = outsiders[np.argsort(size[outsiders], kind="stable")]
    starts = np.searchsorted(size[outsiders], size[members])
    step = max(1, _BLOCK_NEIGHBOURS // n_near)
    blocks = [slice(first, first + step) for first in range(0, members.size, step)]

    def work(block: slice) -> Any:
        return _find_nearest(members[block], starts[block], outsiders, size, rhythms.share, n_near)

    return np.concatenate(list(map_ahead(blocks, work, n_threads=fold.n_threads)))


@numba.njit(cache=CACHE, nogil=True)
def _find_nearest(members: Any, starts: Any, outsiders: Any, size: Any, share: Any,
                  n_near: int) -> Any:  # fmt: skip
    """Look from each member's own activity outwards, until activity alone is too far."""
    near = np.empty((members.size, n_near), np.int32)
    for row in range(members.size):
        member = members[row]
        below, above = starts[row] - 1, starts[row]
        # The farthest of the nearest is first; of equal ones the later account is farther.
        found = [(-np.inf, np.int64(0)) for _ in range(n_near)]
        while below >= 0 or above < outsiders.size:
            less = size[member] - size[outsiders[below]] if below >= 0 else np.inf
            more = size[outsiders[above]] - size[member] if above < outsiders.size else np.inf
            if min(less, more) > -found[0][0]:
                break
            if less < more:
                other, below = outsiders[below], below - 1
            else:
                other, above = outsiders[above], above + 1
            apart = 0.0
            for hour in range(share.shape[1]):
                apart += abs(share[member, hour] - share[other, hour])
            candidate = (-min(less, more) - 2.0 * apart, -other)
            if candidate > found[0]:
                heapreplace(found, candidate)
        for place in range(n_near - 1, -1, -1):
            near[row, place] = -heappop(found)[1]
    return near


@numba.njit(cache=CACHE, nogil=True)
def _draw_sets(near: Any, n_near: int, n_sets: int, n_accounts: int, key: Any) -> Any:
    """Draw one neighbour of each member; n_near by lot, the next ones only as none is free."""
    n_members = near.shape[0]
    drawn = np.empty((n_sets, n_members), np.int32)
    taken = np.full(n_accounts, -1, np.int64)
    state, order = np.empty(1, np.uint64), np.arange(n_members)
    lots = np.arange(n_near)
    for number in range(n_sets):
        open_stream(key, number, np.int64(0), state)
        shuffle(order, state)
        for member in order:
            account = near[member, 0]
            for place in range(near.shape[1]):
                if place < n_near:
                    other = place + int(draw_unit(state) * (n_near - place))
                    lots[place], lots[other] = lots[other], lots[place]
                    account = near[member, lots[place]]
                else:
                    account = near[member, place]
                if taken[account] != number:
                    break
            taken[account] = number
            drawn[number, member] = account
    return drawn


def _sum_sets(fold: Fold, rhythms: Rhythms, sets: _Sets) -> Any:
    """Sum observed and expected coincidences and their variance over strata, for every set."""
    nothing = np.zeros((3, sets.n_sets))

    def work(strata: Any) -> Any:
        sums = nothing.copy()
        _sum_strata(strata, fold, rhythms, sets, sums)
        return sums

    strata = fold.find_strata(np.diff(sets.start) > 0, n_visits=2)
    return sum(fold.map_strata(strata, work), nothing)


@numba.njit(cache=CACHE, nogil=True)
def _sum_strata(strata: Any, fold: Fold, rhythms: Rhythms, sets: _Sets, sums: Any) -> None:
    for stratum in strata:
        _sum_stratum(stratum, fold, rhythms, sets, sums)


@numba.njit(cache=CACHE, nogil=True)
def _sum_stratum(stratum: int, fold: Fold, rhythms: Rhythms, sets: _Sets,
                 sums: Any) -> None:  # fmt: skip
    """Add one stratum to the sums of all sets in which two accounts visit it."""
    first, last = fold.stratum_start[stratum], fold.stratum_start[stratum + 1]
    n_present = np.zeros(sets.n_sets + 1, np.int64)
    for visit in range(first, last):
        account = fold.visit_account[visit]
        for place in range(sets.start[account], sets.start[account + 1]):
            n_present[sets.number[place] + 1] += 1
    if n_present.max() < 2:
        return
    # Visits and times by set: those of a set stand together, in the order of the visits.
    start = np.cumsum(n_present)
    visits, times = np.empty(start[-1], np.int64), np.empty(start[-1])
    free = start[:-1].copy()
    for visit in range(first, last):
        account = fold.visit_account[visit]
        for place in range(sets.start[account], sets.start[account + 1]):
            number = sets.number[place]
            visits[free[number]], times[free[number]] = visit, sets.times[place]
            free[number] += 1
    counts, weight = np.zeros(fold.calendar.n_slots), np.empty(fold.calendar.n_slots)
    mean = np.empty((2, rhythms.share.shape[1]))
    count_stratum(stratum, fold, counts)
    weigh_slots(counts, fold, weight)
    average_slots(weight, rhythms.bins_per_hour, mean[0], mean[1])
    counts[:] = 0.0
    own, spread = np.empty((last - first, 3)), np.empty((2, mean.shape[1]))
    for visit in range(first, last):
        account = fold.visit_account[visit]
        if sets.start[account + 1] > sets.start[account]:
            _meet_itself(visit, fold, rhythms, weight, mean, own[visit - first])
    for number in range(sets.n_sets):
        if start[number + 1] - start[number] >= 2:
            chosen = slice(start[number], start[number + 1])
            _sum_set(visits[chosen], times[chosen], first, fold, rhythms, weight, mean, own,
                     counts, spread, sums[:, number])  # fmt: skip


@numba.njit(cache=CACHE, nogil=True)
def _meet_itself(visit: int, fold: Fold, rhythms: Rhythms, weight: Any, mean: Any,
                 own: Any) -> None:  # fmt: skip
    """Write what a visit's events make with each other: observed, expected and variance."""
    start, stop = fold.visit_start[visit], fold.visit_start[visit + 1]
    account = fold.visit_account[visit]
    own[:] = 0.0
    for event in range(start, stop):
        for other in range(start, stop):
            if abs(fold.event_slot[event] - fold.event_slot[other]) <= fold.calendar.reach:
                own[0] += weight[fold.event_slot[event]]
    for hour in range(mean.shape[1]):
        both = (stop - start) ** 2 * rhythms.share[account, hour] * rhythms.reached[account, hour]
        own[1] += both * mean[0, hour]
        own[2] += both * mean[1, hour]


@numba.njit(cache=CACHE, nogil=True)
def _sum_set(visits: Any, times: Any, first: int, fold: Fold, rhythms: Rhythms, weight: Any,
             mean: Any, own: Any, counts: Any, spread: Any, sums: Any) -> None:  # fmt: skip
    """Add a set's visits of one stratum; counts are 0 before and after, spread is overwritten."""
    n_slots, reach, event_slot = fold.calendar.n_slots, fold.calendar.reach, fold.event_slot
    spread[:] = 0.0
    rhythm, around = spread
    observed, expected, variance = 0.0, 0.0, 0.0
    for place in range(visits.size):
        visit, n_times = visits[place], times[place]
        account = fold.visit_account[visit]
        start, stop = fold.visit_start[visit], fold.visit_start[visit + 1]
        for event in range(start, stop):
            counts[event_slot[event]] += n_times
        for hour in range(rhythm.size):
            rhythm[hour] += n_times * (stop - start) * rhythms.share[account, hour]
            around[hour] += n_times * (stop - start) * rhythms.reached[account, hour]
        observed -= n_times * n_times * own[visit - first, 0]
        expected -= n_times * n_times * own[visit - first, 1]
        variance -= n_times * n_times * own[visit - first, 2]
    for slot in range(n_slots):
        if counts[slot] > 0.0:
            for other in range(max(slot - reach, 0), min(slot + reach + 1, n_slots)):
                observed += weight[slot] * counts[slot] * counts[other]
    for hour in range(rhythm.size):
        expected += rhythm[hour] * around[hour] * mean[0, hour]
        variance += rhythm[hour] * around[hour] * mean[1, hour]
    for place in range(visits.size):
        for event in range(fold.visit_start[visits[place]], fold.visit_start[visits[place] + 1]):
            counts[event_slot[event]] = 0.0
    sums[0] += 0.5 * observed
    sums[1] += 0.5 * expected
    sums[2] += 0.5 * variance
