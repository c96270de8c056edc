"""A set of accounts -> how sets of similar outsiders coincide.

The one idea: what everyone who is as active at the same hours does as well is no mark of the set.
"""

from typing import Any

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
    pool, drawn = np.unique(matches, return_inverse=True)
    times = np.zeros((pool.size + members.size, 1 + matches.shape[0]), np.uint16)
    column = np.arange(1, 1 + matches.shape[0])[:, None]
    np.add.at(times, (drawn.reshape(matches.shape), column), 1)
    times[pool.size :, 0] = 1
    row = np.full(fold.n_accounts, -1, np.int64)
    row[pool] = np.arange(pool.size)
    row[members] = pool.size + np.arange(members.size)
    observed, expected, variance = _sum_sets(fold, rhythms, row, times)
    excess = (observed - expected) / np.sqrt(variance + 1)
    return np.stack([excess, (observed + _RATIO_PRIOR) / (expected + _RATIO_PRIOR)])


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
    near, distance = np.empty((members.size, n_near), np.int32), np.empty(n_near)
    for row in range(members.size):
        member, n_found = members[row], 0
        below, above = starts[row] - 1, starts[row]
        while below >= 0 or above < outsiders.size:
            less = size[member] - size[outsiders[below]] if below >= 0 else np.inf
            more = size[outsiders[above]] - size[member] if above < outsiders.size else np.inf
            if n_found == n_near and min(less, more) > distance[0]:
                break
            if less < more:
                other, below = outsiders[below], below - 1
            else:
                other, above = outsiders[above], above + 1
            apart = 0.0
            for hour in range(share.shape[1]):
                apart += abs(share[member, hour] - share[other, hour])
            apart = min(less, more) + 2.0 * apart
            if n_found < n_near:
                _raise_farthest(distance, near[row], n_found, apart, other)
                n_found += 1
            elif _is_farther(distance[0], near[row, 0], apart, other):
                _sink_nearer(distance, near[row], n_near, apart, other)
        for last in range(n_near - 1, 0, -1):  # the heap, taken apart: nearest first
            apart, other = distance[last], near[row, last]
            distance[last], near[row, last] = distance[0], near[row, 0]
            _sink_nearer(distance, near[row], last, apart, other)
    return near


@numba.njit(cache=CACHE, nogil=True, inline="always")
def _is_farther(distance: float, account: int, other_distance: float, other: int) -> bool:
    """Compare two accounts by distance; of equal ones the later is farther."""
    return distance > other_distance or (distance == other_distance and account > other)


@numba.njit(cache=CACHE, nogil=True)
def _raise_farthest(distance: Any, near: Any, place: int, apart: float, other: int) -> None:
    """Put an account at the end of a heap that has the farthest first."""
    while place > 0:
        above = (place - 1) // 2
        if not _is_farther(apart, other, distance[above], near[above]):
            break
        distance[place], near[place] = distance[above], near[above]
        place = above
    distance[place], near[place] = apart, other


@numba.njit(cache=CACHE, nogil=True)
def _sink_nearer(distance: Any, near: Any, n: int, apart: float, other: int) -> None:
    """Put an account in the place of the first of such a heap of n."""
    place = 0
    while 2 * place + 1 < n:
        below = 2 * place + 1
        if below + 1 < n and _is_farther(
            distance[below + 1], near[below + 1], distance[below], near[below]
        ):
            below += 1
        if not _is_farther(distance[below], near[below], apart, other):
            break
        distance[place], near[place] = distance[below], near[below]
        place = below
    distance[place], near[place] = apart, other


@numba.njit(cache=CACHE, nogil=True)
def _draw_sets(near: Any, n_near: int, n_sets: int, n_accounts: int, key: Any) -> Any:
    """Draw one neighbour of each member; n_near by lot, the next ones only as none is free."""
    n_members = near.shape[0]
    drawn = np.empty((n_sets, n_members), np.int32)
    taken = np.full(n_accounts, -1, np.int64)
    state, order = np.empty(1, np.uint64), np.arange(n_members)
    lots = np.arange(n_near)
    for number in range(n_sets):
        open_stream(key, number, 0, state)
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


def _sum_sets(fold: Fold, rhythms: Rhythms, row: Any, times: Any) -> Any:
    """Sum observed and expected coincidences and their variance over strata, for every set."""
    nothing = np.zeros((3, times.shape[1]))

    def work(strata: Any) -> Any:
        sums = nothing.copy()
        _sum_strata(strata, fold, rhythms, row, times, sums)
        return sums

    return sum(fold.map_strata(fold.find_strata(row >= 0, n_visits=2), work), nothing)


@numba.njit(cache=CACHE, nogil=True)
def _sum_stratum(stratum: int, fold: Fold, rhythms: Rhythms, row: Any, times: Any,
                 sums: Any) -> None:  # fmt: skip
    """Add one stratum to the sums of all sets in which two accounts visit it."""
    n_slots, reach = fold.calendar.n_slots, fold.calendar.reach
    visit_account, visit_start, event_slot = fold.visit_account, fold.visit_start, fold.event_slot
    share, reached = rhythms.share, rhythms.reached
    n_hours = share.shape[1]
    counts, weight = np.empty(n_slots), np.empty(n_slots)
    mean, mean_square = np.empty(n_hours), np.empty(n_hours)
    count_stratum(stratum, fold, counts)
    weigh_slots(counts, fold, weight)
    average_slots(weight, rhythms.bins_per_hour, 1, mean)
    average_slots(weight, rhythms.bins_per_hour, 2, mean_square)
    first, last = fold.stratum_start[stratum], fold.stratum_start[stratum + 1]
    visits = np.empty(last - first, np.int64)
    own = np.zeros((last - first, 3))
    n_visits = 0
    for visit in range(first, last):
        account = visit_account[visit]
        if row[account] < 0:
            continue
        visits[n_visits] = visit
        start, stop = visit_start[visit], visit_start[visit + 1]
        for event in range(start, stop):
            for other in range(start, stop):
                if abs(event_slot[event] - event_slot[other]) <= reach:
                    own[n_visits, 0] += weight[event_slot[event]]
        for hour in range(n_hours):
            both = (stop - start) ** 2 * share[account, hour] * reached[account, hour]
            own[n_visits, 1] += both * mean[hour]
            own[n_visits, 2] += both * mean_square[hour]
        n_visits += 1
    rhythm, around = np.empty(n_hours), np.empty(n_hours)
    for column in range(times.shape[1]):
        n_present = 0
        for position in range(n_visits):
            n_present += times[row[visit_account[visits[position]]], column] > 0
        if n_present < 2:
            continue
        counts[:] = 0.0
        rhythm[:] = 0.0
        around[:] = 0.0
        observed, expected, variance = 0.0, 0.0, 0.0
        for position in range(n_visits):
            visit = visits[position]
            account = visit_account[visit]
            n_times = float(times[row[account], column])
            if n_times == 0.0:
                continue
            start, stop = visit_start[visit], visit_start[visit + 1]
            for event in range(start, stop):
                counts[event_slot[event]] += n_times
            for hour in range(n_hours):
                rhythm[hour] += n_times * (stop - start) * share[account, hour]
                around[hour] += n_times * (stop - start) * reached[account, hour]
            observed -= n_times * n_times * own[position, 0]
            expected -= n_times * n_times * own[position, 1]
            variance -= n_times * n_times * own[position, 2]
        for slot in range(n_slots):
            if counts[slot] > 0.0:
                for other in range(max(slot - reach, 0), min(slot + reach + 1, n_slots)):
                    observed += weight[slot] * counts[slot] * counts[other]
        for hour in range(n_hours):
            expected += rhythm[hour] * around[hour] * mean[hour]
            variance += rhythm[hour] * around[hour] * mean_square[hour]
        sums[0, column] += 0.5 * observed
        sums[1, column] += 0.5 * expected
        sums[2, column] += 0.5 * variance


@numba.njit(cache=CACHE, nogil=True)
def _sum_strata(strata: Any, fold: Fold, rhythms: Rhythms, row: Any, times: Any,
                sums: Any) -> None:  # fmt: skip
    for stratum in strata:
        _sum_stratum(stratum, fold, rhythms, row, times, sums)
