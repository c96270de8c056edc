"""A set of accounts -> for every account, whether it keeps company with the set beyond its habits.

The one idea: an event counts the more, the more members were there within reach of it; the mean
and variance of the sum follow from the account's own rhythm and the crowd without it.
"""

from typing import Any

import numba
import numpy as np

from gpu_coord.backend.pairs import CACHE
from gpu_coord.groups.crowds import count_outsiders, tilt_slots
from gpu_coord.groups.folds import Fold
from gpu_coord.groups.rhythms import Rhythms


def assess_accounts(fold: Fold, rhythms: Rhythms, inside: Any, *, baseline: float = 1.0) -> Any:
    """Return the p-value of each account, (n_accounts,); 1 where it met nobody.

    Parameters
    ----------
    fold, rhythms
        What happened, and what the accounts are used to.
    inside
        Who is in the set, (n_accounts,) booleans.
    baseline
        Times that everyone meets others, for each time that crowd and rhythms say.
    """
    from scipy import special

    strata = fold.find_strata(inside)
    strata = strata[fold.stratum_start[strata + 1] - fold.stratum_start[strata] > 1]
    nothing = np.zeros((3, fold.n_accounts))

    def work(strata: Any) -> Any:
        sums = nothing.copy()
        _meet_in_strata(strata, fold, inside, rhythms, sums)
        return sums

    sums = sum(fold.map_strata(strata, work), nothing)
    met, mean, variance = sums[0], baseline * sums[1], baseline * sums[2]
    p_value = np.ones(fold.n_accounts)
    some = (met > 0) & (mean > 0) & (variance > 0)
    scale = variance[some] / mean[some]
    p_value[some] = special.gammaincc(mean[some] / scale, met[some] / scale)
    return p_value


@numba.njit(cache=CACHE, nogil=True)
def _mark_reached(visit: int, fold: Fold, marked: Any) -> None:
    """Mark the slots within reach of an event of a visit."""
    marked[:] = False
    reach = fold.calendar.reach
    for event in range(fold.visit_start[visit], fold.visit_start[visit + 1]):
        slot = fold.event_slot[event]
        marked[max(slot - reach, 0) : slot + reach + 1] = True


@numba.njit(cache=CACHE, nogil=True)
def _meet_members(stratum: int, fold: Fold, inside: Any, rhythms: Rhythms, sums: Any) -> None:
    """Add what each visitor of a stratum met, the mean and the variance of it."""
    n_slots, event_slot = fold.calendar.n_slots, fold.event_slot
    share, width = rhythms.share, rhythms.bins_per_hour
    n_hours = share.shape[1]
    counts, expected = np.empty(n_slots), np.empty(n_hours)
    tilt, marked = np.empty(n_slots), np.empty(n_slots, np.bool_)
    present = np.zeros(n_slots)
    count_outsiders(stratum, fold, inside, share, counts, expected)
    first_visit, last_visit = fold.stratum_start[stratum], fold.stratum_start[stratum + 1]
    for visit in range(first_visit, last_visit):
        if inside[fold.visit_account[visit]]:
            _mark_reached(visit, fold, marked)
            present += marked
    for visit in range(first_visit, last_visit):
        account = fold.visit_account[visit]
        start, stop = fold.visit_start[visit], fold.visit_start[visit + 1]
        outside = 0.0 if inside[account] else 1.0
        for event in range(start, stop):
            counts[event_slot[event]] -= outside
        for hour in range(n_hours):
            expected[hour] -= outside * (stop - start) * share[account, hour]
        tilt_slots(counts, expected, rhythms, tilt)
        marked[:] = False
        if inside[account]:
            _mark_reached(visit, fold, marked)
        total, first, second = 0.0, 0.0, 0.0
        for slot in range(n_slots):
            odds = share[account, slot // width] * tilt[slot]
            value = np.log(1.0 + present[slot] - marked[slot])
            total += odds
            first += odds * value
            second += odds * value * value
        first, second = first / total, second / total
        for event in range(start, stop):
            slot = event_slot[event]
            sums[0, account] += np.log(1.0 + present[slot] - marked[slot])
            counts[slot] += outside
        sums[1, account] += (stop - start) * first
        sums[2, account] += (stop - start) * max(second - first * first, 0.0)
        for hour in range(n_hours):
            expected[hour] += outside * (stop - start) * share[account, hour]


@numba.njit(cache=CACHE, nogil=True)
def _meet_in_strata(strata: Any, fold: Fold, inside: Any, rhythms: Rhythms, sums: Any) -> None:
    for stratum in strata:
        _meet_members(stratum, fold, inside, rhythms, sums)
