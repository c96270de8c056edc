"""A set of accounts -> what their habits alone make: each one's days in an order of chance.

The one idea: who keeps a clock schedule coincides as often on the wrong days as on the right ones.
"""

from typing import Any

import numba
import numpy as np

from gpu_coord.backend.pairs import CACHE
from gpu_coord.ground.threads import map_ahead
from gpu_coord.groups.crowds import clear_rounding
from gpu_coord.groups.draws import open_stream, shuffle
from gpu_coord.groups.folds import BLOCK_EVENTS, Fold, join_ranges, weigh_slots

# Orders of days that are drawn in one call of the kernel: some 0.2 s.
_ORDER_BYTES = 64 << 20
_MOST_IN_PAIRS = 32  # events of a set on an entity; of more, each looks at what is around it


def permute_days(
    fold: Fold, inside: Any, profile: Any, *, n_replicates: int, key: Any, memory: int
) -> Any:
    """Sum up a set's coincidences on a fold with every member's days permuted.

    An event keeps its account, entity and slot; the weights are those of where it lands.

    Parameters
    ----------
    fold
        What happened.
    inside
        Who is in the set, (n_accounts,) booleans.
    profile
        Weight of each lag, (reach + 1,).
    n_replicates
        How many.
    key
        Of the chance numbers.
    memory
        Bytes that the permutations may take.

    Returns
    -------
        The sum as seen, then of the replicates, (1 + n_replicates,).
    """
    events = _list_events(fold, inside)
    n_days, n_members = fold.day.size, int(inside.sum())
    blocks = _block_entities(events)
    room = min(memory // 4, _ORDER_BYTES)
    step = int(max(1, min(n_replicates, room // max(n_members * n_days * 2, 1))))
    as_seen = np.broadcast_to(np.arange(n_days, dtype=np.int16), (1, n_members, n_days)).copy()
    totals = [_sum_entities(fold, events, blocks, as_seen, profile)]
    for first in range(0, n_replicates, step):
        last = min(first + step, n_replicates)
        orders = _draw_orders(first, last, n_members, n_days, key)
        totals.append(_sum_entities(fold, events, blocks, orders, profile))
    return clear_rounding(np.concatenate(totals))


def _list_events(fold: Fold, inside: Any) -> tuple[Any, ...]:
    """Return entity, member (-1 outside), day and slot of events on entities of two members."""
    number = np.where(inside, np.cumsum(inside) - 1, -1)
    n_members = max(int(inside.sum()), 1)
    visits = fold.list_visits(inside)
    visited = fold.stratum_entity[fold.visit_stratum[visits]].astype(np.int64)
    pairs = np.unique(visited * n_members + number[fold.visit_account[visits]])
    entities, n_users = np.unique(pairs // n_members, return_counts=True)
    is_met = np.zeros(int(fold.stratum_entity.max(initial=0)) + 1, bool)
    is_met[entities[n_users >= 2]] = True
    strata = np.flatnonzero(is_met[fold.stratum_entity])
    visits = join_ranges(fold.stratum_start[strata], fold.stratum_start[strata + 1])
    sizes = fold.visit_start[visits + 1] - fold.visit_start[visits]
    slot = fold.event_slot[join_ranges(fold.visit_start[visits], fold.visit_start[visits + 1])]
    stratum = np.repeat(fold.visit_stratum[visits], sizes)
    entity, day = fold.stratum_entity[stratum], fold.stratum_day[stratum]
    member = np.repeat(number[fold.visit_account[visits]], sizes)
    order = np.lexsort((slot, day, member, entity))
    return entity[order], member[order], day[order], slot[order]


def _block_entities(events: tuple[Any, ...]) -> list[tuple[int, int]]:
    """Cut the events into ranges of whole entities, of about as many events."""
    entity = events[0]
    first = np.flatnonzero(np.diff(entity, prepend=-1))
    block = first // BLOCK_EVENTS
    bounds = np.append(first[np.flatnonzero(np.diff(block, prepend=-1))], entity.size)
    return list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))


@numba.njit(cache=CACHE, nogil=True)
def _draw_orders(first: int, last: int, n_members: int, n_days: int, key: Any) -> Any:
    """Return an order of the days for each replicate and member."""
    orders = np.empty((last - first, n_members, n_days), np.int16)
    state = np.empty(1, np.uint64)
    for replicate in range(first, last):
        for member in range(n_members):
            open_stream(key, replicate, member, state)
            order = orders[replicate - first, member]
            for day in range(n_days):
                order[day] = day
            shuffle(order, state)
    return orders


def _sum_entities(fold: Fold, events: Any, blocks: Any, orders: Any, profile: Any) -> Any:
    """Sum up the coincidences of all blocks of events, for each order of the days."""

    def work(block: tuple[int, int]) -> Any:
        columns = (column[slice(*block)] for column in events)
        return _permute_block(*columns, orders, fold, profile)

    return sum(map_ahead(blocks, work, n_threads=fold.n_threads), np.zeros(orders.shape[0]))


@numba.njit(cache=CACHE, nogil=True)
def _permute_block(entity: Any, member: Any, day: Any, slot: Any, orders: Any, fold: Fold,
                   profile: Any) -> Any:  # fmt: skip
    """Sum over entities; the events of an entity: outsiders first, then by member and day."""
    n_days, n_slots, reach = orders.shape[2], fold.calendar.n_slots, fold.calendar.reach
    # Empty slots before and after each day: what lies within reach is read without a look at ends.
    stride = n_slots + 2 * reach
    totals, kernel = np.zeros(orders.shape[0]), np.empty(2 * reach + 1)
    for place in range(kernel.size):
        kernel[place] = profile[abs(place - reach)]
    counts, weight = np.zeros(n_days * stride), np.full(n_days * stride, fold.surprise[0])
    cell, alone = np.empty(entity.size, np.int32), np.empty(entity.size)
    visit_end = np.empty(entity.size, np.int32)
    first = np.int64(0)  # a plain 0 would have the callees compiled twice
    while first < entity.size:
        last, own = first, first
        while last < entity.size and entity[last] == entity[first]:
            own += member[last] < 0
            last += 1
        _weigh_days(first, own, day, slot, fold, stride, counts, weight)
        _meet_alone(own, last, member, day, slot, profile, alone, visit_end)
        is_small = last - own <= _MOST_IN_PAIRS
        for replicate in range(orders.shape[0]):
            order = orders[replicate]
            for event in range(own, last):
                cell[event] = order[member[event], day[event]] * stride + reach + slot[event]
            if is_small:
                totals[replicate] += _sum_pairs(own, last, cell, visit_end, profile, weight)
            else:
                totals[replicate] += _sum_events(own, last, cell, kernel, alone, weight, counts)
        for event in range(first, own):
            start = day[event] * stride
            weight[start : start + stride] = fold.surprise[0]
        first = last
    return totals


@numba.njit(cache=CACHE, nogil=True)
def _weigh_days(first: int, own: int, day: Any, slot: Any, fold: Fold, stride: int, counts: Any,
                weight: Any) -> None:  # fmt: skip
    """Write the weights of days with outsiders; counts are 0 before and after."""
    n_slots, reach = fold.calendar.n_slots, fold.calendar.reach
    for event in range(first, own):
        counts[day[event] * stride + reach + slot[event]] += 1.0
    weighed = -1
    for event in range(first, own):
        if day[event] != weighed:
            weighed = day[event]
            start = weighed * stride + reach
            weigh_slots(counts[start : start + n_slots], fold, weight[start : start + n_slots])
    for event in range(first, own):
        counts[day[event] * stride + reach + slot[event]] = 0.0


@numba.njit(cache=CACHE, nogil=True)
def _meet_alone(own: int, last: int, member: Any, day: Any, slot: Any, profile: Any,
                alone: Any, visit_end: Any) -> None:  # fmt: skip
    """Write what each event meets of its own member's day, and where that day ends.

    It stays together in any order of days.
    """
    first = own
    for event in range(own, last):
        if member[event] != member[first] or day[event] != day[first]:
            visit_end[first:event] = event
            first = event
        alone[event] = profile[0]
        for other in range(first, event):
            lag = slot[event] - slot[other]
            if lag < profile.size:
                alone[event] += profile[lag]
                alone[other] += profile[lag]
    visit_end[first:last] = last


@numba.njit(cache=CACHE, nogil=True)
def _sum_pairs(own: int, last: int, cell: Any, visit_end: Any, profile: Any,
               weight: Any) -> float:  # fmt: skip
    """Sum the coincidences of different members, pair by pair: where there are few events."""
    total = 0.0
    for event in range(own, last):
        at = cell[event]
        for other in range(visit_end[event], last):
            lag = abs(cell[other] - at)
            if lag < profile.size:
                total += 0.5 * (weight[at] + weight[cell[other]]) * profile[lag]
    return total


@numba.njit(cache=CACHE, nogil=True)
def _sum_events(own: int, last: int, cell: Any, kernel: Any, alone: Any, weight: Any,
                counts: Any) -> float:  # fmt: skip
    """Sum the coincidences of different members, event by event; counts are 0 before and after."""
    reach, total = kernel.size // 2, 0.0
    for event in range(own, last):
        counts[cell[event]] += 1.0
    for event in range(own, last):
        before = cell[event] - reach
        met = -alone[event]
        for place in range(kernel.size):
            met += kernel[place] * counts[before + place]
        total += 0.5 * weight[cell[event]] * met
    for event in range(own, last):
        counts[cell[event]] = 0.0
    return total
