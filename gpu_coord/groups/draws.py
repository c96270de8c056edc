"""Streams of chance numbers for the kernels: the same for any blocks and any number of threads.

A stream is begun anew for each stratum or account, from a key and numbers that name it
(SplitMix64: Steele, Lea & Flood 2014).
"""

from typing import Any

import numba
import numpy as np

from gpu_coord.backend.pairs import CACHE

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_UNIT = 2.0**-53

# Drawn bins that are taken already are drawn again so often before the rest is listed.
_MAX_TRIES = 32
_MOST_COMPARED = 64  # bins that a number is compared with one by one


def make_key(*names: int) -> Any:
    """Return the key of one test of one group."""
    return np.random.SeedSequence(names).generate_state(1, np.uint64)[0]


@numba.njit(cache=CACHE, nogil=True, inline="always")
def _mix(state: Any) -> Any:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


@numba.njit(cache=CACHE, nogil=True)
def open_stream(key: Any, first: int, second: int, state: Any) -> None:
    """Begin the stream of two numbers; its state is one 64-bit word."""
    mixed = _mix(np.uint64(key) + _STEP * np.uint64(first + 1))
    state[0] = _mix(mixed + _STEP * np.uint64(second + 1))


@numba.njit(cache=CACHE, nogil=True)
def draw_unit(state: Any) -> float:
    """Draw a number from 0 to 1, 1 excluded."""
    state[0] += _STEP
    return float(_mix(state[0]) >> np.uint64(11)) * _UNIT


@numba.njit(cache=CACHE, nogil=True)
def shuffle(values: Any, state: Any) -> None:
    """Put values in an order of chance."""
    for last in range(values.size - 1, 0, -1):
        other = int(draw_unit(state) * (last + 1))
        values[last], values[other] = values[other], values[last]


@numba.njit(cache=CACHE, nogil=True)
def draw_slots(cumulative: Any, n_drawn: int, slots: Any, state: Any) -> None:
    """Draw distinct slots, one after the other, each by the odds of those that are left.

    Which is what the largest n of log-odds plus Gumbel noise are.

    Parameters
    ----------
    cumulative
        Running sums of the odds, ascending, (n_slots,).
    n_drawn
        At most as many as there are slots with odds.
    slots
        What was drawn is written here, (n_drawn,).
    state
        Of the stream.
    """
    for drawn in range(n_drawn):
        slot = _draw_slot(cumulative, state)
        n_tries = 1
        while _holds(slots, drawn, slot) and n_tries < _MAX_TRIES:
            slot = _draw_slot(cumulative, state)
            n_tries += 1
        if _holds(slots, drawn, slot):
            slot = _draw_left(cumulative, slots, drawn, state)
        slots[drawn] = slot


@numba.njit(cache=CACHE, nogil=True)
def _holds(slots: Any, n: int, slot: int) -> bool:
    for other in range(n):
        if slots[other] == slot:
            return True
    return False


@numba.njit(cache=CACHE, nogil=True)
def _draw_slot(cumulative: Any, state: Any) -> int:
    last = cumulative.size - 1
    wanted = draw_unit(state) * cumulative[last]
    if cumulative.size > _MOST_COMPARED:
        return int(min(np.searchsorted(cumulative, wanted, side="right"), last))
    slot = 0
    for place in range(last):  # all of them, without a branch: faster than to search
        slot += cumulative[place] <= wanted
    return slot


@numba.njit(cache=CACHE, nogil=True)
def _draw_left(cumulative: Any, slots: Any, n: int, state: Any) -> int:
    """Draw one of the slots that are not taken."""
    odds, before = np.empty(cumulative.size), 0.0
    for slot in range(cumulative.size):
        odds[slot] = cumulative[slot] - before
        before = cumulative[slot]
    for other in range(n):
        odds[slots[other]] = 0.0
    wanted = draw_unit(state) * odds.sum()
    slot = -1
    for other in range(odds.size):
        if odds[other] > 0.0:
            slot = other
            wanted -= odds[other]
            if wanted < 0.0:
                break
    return slot
