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
from gpu_coord.groups.folds import BLOCK_EVENTS, Fold, weigh_slots

# Orders of days that are drawn in one call of the kernel: some 0.2 s.
_ORDER_BYTES = 64 << 20


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
    visit = np.repeat(np.arange(fold.visit_account.size), np.diff(fold.visit_start))
    stratum = fold.visit_stratum[visit]
    account = fold.visit_account[visit]
    entity = fold.stratum_entity[stratum]
    number = np.where(inside, np.cumsum(inside) - 1, -1)
    member = number[account]
    n_members = int(inside.sum())
    used = np.unique(entity[member >= 0].astype(np.int64) * n_members + member[member >= 0])
    entities, n_users = np.unique(used // max(n_members, 1), return_counts=True)
    kept = np.isin(entity, entities[n_users >= 2])
    rows = np.flatnonzero(kept)
    day = fold.stratum_day[stratum[rows]]
    order = np.lexsort((fold.event_slot[rows], day, member[rows], entity[rows]))
    rows = rows[order]
    return entity[rows], member[rows], day[order], fold.event_slot[rows]


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
    totals = np.zeros(orders.shape[0])
    counts, weight = np.zeros((n_days, n_slots)), np.empty((n_days, n_slots))
    first = 0
    while first < entity.size:
        last, own = first, first
        while last < entity.size and entity[last] == entity[first]:
            if member[last] < 0:
                counts[day[last], slot[last]] += 1.0
                own = last + 1
            last += 1
        for row in range(n_days):
            weigh_slots(counts[row], fold, weight[row])
        for event in range(first, own):
            counts[day[event], slot[event]] = 0.0
        for replicate in range(orders.shape[0]):
            totals[replicate] += _sum_entity(
                own, last, member, day, slot, orders[replicate], reach, profile, weight, counts
            )
        first = last
    return totals


@numba.njit(cache=CACHE, nogil=True)
def _sum_entity(own: int, last: int, member: Any, day: Any, slot: Any, order: Any, reach: int,
                profile: Any, weight: Any, counts: Any) -> float:  # fmt: skip
    """Sum the coincidences of different members on the days where their events land."""
    n_slots = counts.shape[1]
    total = 0.0
    for event in range(own, last):
        counts[order[member[event], day[event]], slot[event]] += 1.0
    for event in range(own, last):
        lands, at = order[member[event], day[event]], slot[event]
        met = 0.0
        for other in range(max(at - reach, 0), min(at + reach + 1, n_slots)):
            met += profile[abs(other - at)] * counts[lands, other]
        other = event
        while other >= own and member[other] == member[event] and day[other] == day[event]:
            if at - slot[other] <= reach:
                met -= profile[at - slot[other]]
            other -= 1
        other = event + 1
        while other < last and member[other] == member[event] and day[other] == day[event]:
            if slot[other] - at <= reach:
                met -= profile[slot[other] - at]
            other += 1
        total += 0.5 * weight[lands, at] * met
    for event in range(own, last):
        counts[order[member[event], day[event]], slot[event]] = 0.0
    return total
