"""A set of accounts -> coincidences by lag, as seen and as often as crowd and rhythms make them.

The one idea: in each stratum every member keeps its number of events, and their slots are drawn
from its own rhythm, tilted by what everyone outside did beyond their rhythms.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from gpu_coord.backend.pairs import CACHE
from gpu_coord.groups.draws import draw_slots, open_stream
from gpu_coord.groups.folds import Fold, weigh_slots
from gpu_coord.groups.rhythms import Rhythms

_BLOCK_BYTES = 16 << 20  # counts by lag of some days, of what was seen and all replicates
_MOST_IN_PAIRS = 16  # events of a set in a stratum; of more, each slot looks at those around it
_CROWD_PRIOR = 2.0  # events of everybody that are added to a crowd, and to what it should be

# Sums of weights up to some dozens are exact to far less than this; what is closer to 0 is 0.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Coincidences:
    """Weighted coincidences of different members; replicate 0 is what was seen."""

    by_day: Any  # (n_days, 1 + n_replicates, n_columns), of days on which two members meet
    n_strata: int  # that two members visit
    n_crowded: int  # of these, with an outsider

    @property
    def n_days(self) -> int:
        """Days on which two members visit a stratum."""
        return int(self.by_day.shape[0])


def replicate_crowd(
    fold: Fold,
    rhythms: Rhythms,
    inside: Any,
    lag_weights: Any,
    *,
    hidden: Any = None,
    n_replicates: int,
    key: Any,
) -> Coincidences:
    """Count a set's coincidences on a fold, and those of replicates.

    Parameters
    ----------
    fold, rhythms
        What happened, and what the accounts are used to.
    inside
        Who is in the set, (n_accounts,) booleans.
    lag_weights
        What coincidences at each lag count, (reach + 1, n_columns).
    hidden
        Who else is no part of the crowd, (n_accounts,) booleans; nobody by default.
    n_replicates
        How many.
    key
        Of the chance numbers.
    """
    hidden = inside if hidden is None else inside | hidden
    strata = fold.find_strata(inside, n_visits=2)

    n_rows, n_lags = 1 + n_replicates, fold.calendar.reach + 1

    def work(strata: Any) -> tuple[Any, int]:
        new_day = np.diff(fold.stratum_day[strata], prepend=-1) != 0
        by_lag = np.zeros((np.count_nonzero(new_day), n_rows, n_lags))
        day = np.cumsum(new_day) - 1
        n_crowded = _replicate_strata(strata, day, fold, inside, hidden, rhythms, key, by_lag)
        return clear_rounding(np.einsum("drl,lc->drc", by_lag, lag_weights)), n_crowded

    days_at_once = max(1, _BLOCK_BYTES // (8 * n_rows * n_lags))
    blocks = list(fold.map_strata(strata, work, days_at_once=days_at_once))
    empty = np.zeros((0, n_rows, lag_weights.shape[1]))
    by_day = np.concatenate([empty, *(days for days, _ in blocks)])
    return Coincidences(by_day, strata.size, sum(n_crowded for _, n_crowded in blocks))


def learn_profile(found: Coincidences) -> Any:
    """Return how much coincidences at each lag tell: logs of seen over expected, scaled to 1.

    Parameters
    ----------
    found
        With a column for each lag.
    """
    seen = found.by_day[:, 0].sum(axis=0)
    expected = found.by_day[:, 1:].sum(axis=0).mean(axis=0)
    profile = np.maximum(np.log((seen + 1) / (expected + 1)), 0)
    return profile / profile.max() if profile.max() > 0 else np.ones_like(profile)


def clear_rounding(totals: Any) -> Any:
    """Return sums with what rounding leaves of nothing set to 0."""
    return np.where(np.abs(totals) < _ROUNDING, 0.0, totals)


def compute_excess_p(totals: Any, *, margin: float = 1.0) -> float:
    """Return the share of replicates that reach what was seen, itself included.

    Parameters
    ----------
    totals
        What was seen, then the replicates, (1 + n_replicates,).
    margin
        Replicates count so many times.
    """
    reached = margin * totals[1:] >= totals[0] - _ROUNDING * (1 + abs(totals[0]))
    return float((1 + reached.sum()) / totals.size)


def studentise_days(by_day: Any, *, baseline: float = 1.0) -> Any:
    """Return the excess over the mean of all replicates in units of its own spread over days.

    What was seen counts as one of the replicates in the mean: all are treated alike.

    Parameters
    ----------
    by_day
        What was seen, then the replicates, (n_days, 1 + n_replicates).
    baseline
        Replicates count so many times.
    """
    by_day = by_day * np.where(np.arange(by_day.shape[1]) > 0, baseline, 1.0)
    excess = by_day - by_day.mean(axis=1, keepdims=True)
    spread = np.sqrt((excess**2).sum(axis=0))
    return np.divide(excess.sum(axis=0), spread, out=np.zeros_like(spread), where=spread > 0)


# --- kernels -------------------------------------------------------------------------------


@numba.njit(cache=CACHE, nogil=True)
def count_outsiders(stratum: int, fold: Fold, hidden: Any, share: Any, counts: Any,
                    expected: Any) -> bool:  # fmt: skip
    """Count the events of who is not hidden by slot, and by hour what their rhythms promise.

    Return whether there is anyone.
    """
    counts[:] = 0.0
    expected[:] = 0.0
    found = False
    for visit in range(fold.stratum_start[stratum], fold.stratum_start[stratum + 1]):
        account = fold.visit_account[visit]
        if hidden[account]:
            continue
        found = True
        first, last = fold.visit_start[visit], fold.visit_start[visit + 1]
        for event in range(first, last):
            counts[fold.event_slot[event]] += 1.0
        for hour in range(expected.size):
            expected[hour] += (last - first) * share[account, hour]
    return found


@numba.njit(cache=CACHE, nogil=True)
def tilt_slots(counts: Any, expected: Any, rhythms: Rhythms, tilt: Any) -> None:
    """Write how much more than their rhythms promise the others did in and around each slot."""
    n_slots, width = counts.size, rhythms.bins_per_hour
    for slot in range(n_slots):
        first, last = max(slot - 1, 0), min(slot + 2, n_slots)
        crowd = 0.0
        for other in range(first, last):
            crowd += counts[other]
        prior = _CROWD_PRIOR * rhythms.pooled[slot // width] / width
        tilt[slot] = (crowd / (last - first) + prior) / (expected[slot // width] / width + prior)


@numba.njit(cache=CACHE, nogil=True)
def _add_coincidences(slots: Any, visit_end: Any, weight: Any, reach: int, counts: Any,
                      by_lag: Any) -> None:  # fmt: skip
    """Add half the weight of each event for each event of another visit within reach of it."""
    if slots.size <= _MOST_IN_PAIRS:
        _add_pairs(slots, visit_end, weight, reach, by_lag)
    else:
        _add_events(slots, visit_end, weight, reach, counts, by_lag)


@numba.njit(cache=CACHE, nogil=True)
def _add_pairs(slots: Any, visit_end: Any, weight: Any, reach: int, by_lag: Any) -> None:
    """Add pair by pair: where there are few events."""
    first = 0
    for visit in range(visit_end.size - 1):
        last = visit_end[visit]
        for event in range(first, last):
            slot = slots[event]
            for other in range(last, slots.size):
                lag = abs(slots[other] - slot)
                if lag <= reach:
                    by_lag[lag] += 0.5 * (weight[slot] + weight[slots[other]])
        first = last


@numba.njit(cache=CACHE, nogil=True)
def _add_events(slots: Any, visit_end: Any, weight: Any, reach: int, counts: Any,
                by_lag: Any) -> None:  # fmt: skip
    """Add event by event, from counts of the slots; these are 0 before and after."""
    n_slots = counts.size
    for event in range(slots.size):
        counts[slots[event]] += 1.0
    for slot in range(n_slots):
        if counts[slot] > 0.0:
            half = 0.5 * weight[slot] * counts[slot]
            for other in range(max(slot - reach, 0), min(slot + reach + 1, n_slots)):
                by_lag[abs(other - slot)] += half * counts[other]
    first = 0
    for visit in range(visit_end.size):
        for event in range(first, visit_end[visit]):
            slot = slots[event]
            for own in range(first, visit_end[visit]):
                lag = abs(slots[own] - slot)
                if lag <= reach:
                    by_lag[lag] -= 0.5 * weight[slot]
        first = visit_end[visit]
    for event in range(slots.size):
        counts[slots[event]] = 0.0


@numba.njit(cache=CACHE, nogil=True)
def _replicate_stratum(stratum: int, fold: Fold, inside: Any, hidden: Any, rhythms: Rhythms,
                       key: Any, by_lag: Any) -> bool:  # fmt: skip
    """Add the coincidences of a stratum, as seen and in each replicate, by lag.

    Return whether an outsider was there.
    """
    n_slots, reach, visit_start = fold.calendar.n_slots, fold.calendar.reach, fold.visit_start
    share, width = rhythms.share, rhythms.bins_per_hour
    counts, weight, tilt = np.empty(n_slots), np.empty(n_slots), np.empty(n_slots)
    expected = np.empty(share.shape[1])
    is_crowded = count_outsiders(stratum, fold, hidden, share, counts, expected)
    weigh_slots(counts, fold, weight)
    tilt_slots(counts, expected, rhythms, tilt)
    first, last = fold.stratum_start[stratum], fold.stratum_start[stratum + 1]
    cumulative = np.empty((last - first, n_slots))
    visit_end = np.empty(last - first, np.int64)
    slots = np.empty(visit_start[last] - visit_start[first], np.int64)
    n_visits, n_events = 0, 0
    for visit in range(first, last):
        account = fold.visit_account[visit]
        if not inside[account]:
            continue
        total = 0.0
        for slot in range(n_slots):
            total += share[account, slot // width] * tilt[slot]
            cumulative[n_visits, slot] = total
        for event in range(visit_start[visit], visit_start[visit + 1]):
            slots[n_events] = fold.event_slot[event]
            n_events += 1
        visit_end[n_visits] = n_events
        n_visits += 1
    slots, visit_end = slots[:n_events], visit_end[:n_visits]
    counts[:] = 0.0
    _add_coincidences(slots, visit_end, weight, reach, counts, by_lag[0])
    state = np.empty(1, np.uint64)
    open_stream(key, stratum, np.int64(0), state)
    for replicate in range(1, by_lag.shape[0]):
        start = 0
        for visit in range(n_visits):
            draw_slots(cumulative[visit], visit_end[visit] - start,
                       slots[start : visit_end[visit]], state)  # fmt: skip
            start = visit_end[visit]
        _add_coincidences(slots, visit_end, weight, reach, counts, by_lag[replicate])
    return bool(is_crowded)


@numba.njit(cache=CACHE, nogil=True)
def _replicate_strata(strata: Any, day: Any, fold: Fold, inside: Any, hidden: Any,
                      rhythms: Rhythms, key: Any, by_lag: Any) -> int:  # fmt: skip
    """Add the coincidences of strata to those of their days; return how many have an outsider."""
    n_crowded = 0
    for place in range(strata.size):
        n_crowded += _replicate_stratum(
            strata[place], fold, inside, hidden, rhythms, key, by_lag[day[place]]
        )
    return n_crowded
