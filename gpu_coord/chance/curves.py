"""Cells by entity, and the day that each is moved to -> coincidences of all pairs, lag by lag.

The null is ``day``. Pairs are never listed and cells never sorted: each cell looks up what lies a
few bins after it. Counts are integers, so that those of several parts of the entities add up.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

from gpu_coord.backend.pairs import CACHE

# Bins that are looked up in a table, four bytes each; where there are more, cells are sorted.
_MAX_TABLE = 1 << 24


class EntityCells(NamedTuple):
    """Active cells by entity, then account; a tuple, for the kernels."""

    start: Any  # cells of each entity, (n_entities + 1,)
    account: Any  # (n_cells,)
    day: Any  # which day each cell is on, of those that are moved
    slot: Any  # bins from the beginning of that day


class Calendar(NamedTuple):
    """The days of an axis that anything may be on, ascending; a tuple, for the kernels."""

    start: Any  # bin with which each day begins, before the axis if that begins within a day
    first: Any  # the first bin of each on the axis
    end: Any  # the bin behind its last
    width: int  # bins of the longest day
    n_bins: int  # of the axis


class Tally(NamedTuple):
    """What all ordered pairs have in common, those of an account with itself included, and these.

    Row 0 is of all pairs, row 1 of accounts with themselves.
    """

    observed: Any  # coincidences, (2, n_lags)
    steps: Any  # by how much the products of a day change from lag to lag, (2, n_days, n_lags + 1)


def tally_pairs(cells: EntityCells, moved: Any, calendar: Calendar, *, max_lag: int) -> Tally:
    """Count what all ordered pairs of accounts have in common on some entities.

    Parameters
    ----------
    cells
        The cells; those of some entities will do, as tallies add up.
    moved
        Position in the calendar that each day of the cells is moved to, (n_moved_days,).
    calendar
        The days.
    max_lag
        The largest of the lags 0, 1, ...: bins from the source's activity to the target's.
    """
    n_lags, n_days = max_lag + 1, calendar.start.size
    observed = np.zeros((2, n_lags), np.int64)
    steps = np.zeros((2, n_days, n_lags + 1), np.int64)
    # Of what is empty between two days only so much is kept that no lag reaches across.
    gaps = np.minimum(np.diff(calendar.start), calendar.width + max_lag)
    place = np.concatenate([[0], np.cumsum(gaps)])
    size = int(place[-1]) + calendar.width + max_lag
    table = np.zeros(size if size <= _MAX_TABLE else 0, np.int32)
    _tally_entities(cells, moved.astype(np.int32), calendar, place, table, observed, steps)
    return Tally(observed, steps)


def expect_by_lag(tally: Tally, calendar: Calendar) -> Any:
    """Return the coincidences that the null expects, (2, n_lags), rows as of the tally.

    The sum over entities and days of a b / T, whose T changes with the lag at the axis' end.
    """
    n_left = calendar.n_bins - np.arange(tally.observed.shape[1])
    n_steps = np.minimum(calendar.end[:, None], n_left) - calendar.first[:, None]
    share = np.divide(1, n_steps, out=np.zeros(n_steps.shape), where=n_steps > 0)
    products = np.cumsum(tally.steps, axis=2)[..., :-1]
    return np.stack([(each * share).sum(axis=0) for each in products])


class _Page(NamedTuple):
    """Where the cells of one entity lie."""

    row: Any  # position of their day in the calendar
    bin: Any
    place: Any  # in the table


class _Room(NamedTuple):
    """What the kernels count in; all zero between two pages."""

    table: Any  # cells in each place
    sources: Any  # cells on each day
    tail: Any  # cells from each of the last bins on


@numba.njit(cache=CACHE, nogil=True)
def _tally_entities(cells: EntityCells, moved: Any, calendar: Calendar, place: Any, table: Any,
                    observed: Any, steps: Any) -> None:  # fmt: skip
    """Add up coincidences, and a b over days, entity by entity."""
    most = 0
    for entity in range(cells.start.size - 1):
        most = max(most, cells.start[entity + 1] - cells.start[entity])
    page = _Page(np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64))
    tail = np.zeros(calendar.width + observed.shape[1], np.int64)
    room = _Room(table, np.zeros(calendar.start.size, np.int64), tail)
    for entity in range(cells.start.size - 1):
        start, n_cells = cells.start[entity], cells.start[entity + 1] - cells.start[entity]
        for cell in range(n_cells):
            row, slot = moved[cells.day[start + cell]], cells.slot[start + cell]
            page.row[cell] = row
            page.bin[cell] = calendar.start[row] + slot
            page.place[cell] = place[row] + slot
        _add_cells(page, np.int64(0), n_cells, calendar, room, observed[0], steps[0])
        _add_accounts(page, cells.account[start : start + n_cells], calendar, room, observed[1],
                      steps[1])  # fmt: skip


@numba.njit(cache=CACHE, nogil=True)
def _add_accounts(page: _Page, account: Any, calendar: Calendar, room: _Room, observed: Any,
                  steps: Any) -> None:  # fmt: skip
    """Add what each account has in common with itself."""
    first_late = calendar.n_bins - observed.size + 1
    start = np.int64(0)  # a plain 0 would have the callees compiled twice
    while start < account.size:
        stop = start + 1
        while stop < account.size and account[stop] == account[start]:
            stop += 1
        if stop - start > 1 or page.bin[start] >= first_late:
            _add_cells(page, start, stop, calendar, room, observed, steps)
        else:  # most accounts are on an entity once
            row = page.row[start]
            observed[0] += 1
            steps[row, 0] += 1
            steps[row, min(observed.size, page.bin[start] - calendar.first[row] + 1)] -= 1
        start = stop


@numba.njit(cache=CACHE, nogil=True)
def _add_cells(page: _Page, start: int, stop: int, calendar: Calendar, room: _Room, observed: Any,
               steps: Any) -> None:  # fmt: skip
    """Add what some cells of an entity have in common, each with itself included."""
    for cell in range(start, stop):
        room.sources[page.row[cell]] += 1
    if room.table.size:
        _count_by_table(page.place[start:stop], room.table, observed)
    else:
        _count_by_order(np.sort(page.bin[start:stop]), observed)
    _add_products(page, start, stop, calendar, room.sources, steps)
    for cell in range(start, stop):
        if page.bin[cell] > calendar.n_bins - observed.size:
            _drop_late_sources(page, start, stop, calendar, room.tail, steps)
            break
    for cell in range(start, stop):
        room.sources[page.row[cell]] = 0


@numba.njit(cache=CACHE, nogil=True)
def _count_by_table(place: Any, table: Any, observed: Any) -> None:
    """Add the coincidences of cells: what lies in the places after each of them."""
    for cell in range(place.size):
        table[place[cell]] += 1
    for cell in range(place.size):
        for lag in range(observed.size):
            observed[lag] += table[place[cell] + lag]
    for cell in range(place.size):
        table[place[cell]] = 0


@numba.njit(cache=CACHE, nogil=True)
def _count_by_order(bin: Any, observed: Any) -> None:
    """Add the coincidences of cells in ascending bins, where a table would be too long."""
    count, n_distinct = np.ones(bin.size, np.int64), 0
    for cell in range(1, bin.size):
        if bin[cell] == bin[n_distinct]:
            count[n_distinct] += 1
        else:
            n_distinct += 1
            bin[n_distinct] = bin[cell]
    for column in range(min(n_distinct + 1, bin.size)):
        other = column
        while other <= n_distinct and bin[other] - bin[column] < observed.size:
            observed[bin[other] - bin[column]] += count[column] * count[other]
            other += 1


@numba.njit(cache=CACHE, nogil=True)
def _add_products(page: _Page, start: int, stop: int, calendar: Calendar, sources: Any,
                  steps: Any) -> None:  # fmt: skip
    """Add for each target what its source's day would hold if no lag cut any off.

    As the lag grows the source's day changes when the lag passes the beginning of one.
    """
    n_lags = steps.shape[1] - 1
    for cell in range(start, stop):
        for row in range(page.row[cell], -1, -1):
            lag = max(page.bin[cell] - calendar.end[row] + 1, 0)
            if lag >= n_lags:
                break
            last = min(n_lags, page.bin[cell] - calendar.first[row] + 1)
            steps[row, lag] += sources[row]
            steps[row, last] -= sources[row]


@numba.njit(cache=CACHE, nogil=True)
def _drop_late_sources(page: _Page, start: int, stop: int, calendar: Calendar, tail: Any,
                       steps: Any) -> None:  # fmt: skip
    """Take off the sources of the last bins: these have no bin so many lags later."""
    n_lags, first = steps.shape[1] - 1, calendar.n_bins - tail.size
    for cell in range(start, stop):
        if page.bin[cell] >= first:
            tail[page.bin[cell] - first] += 1
    for place in range(tail.size - 1, 0, -1):
        tail[place - 1] += tail[place]
    for cell in range(start, stop):
        row = page.row[cell]
        for lag in range(calendar.n_bins - page.bin[cell], n_lags):
            place = calendar.first[row] + lag - first
            if place < tail.size:
                steps[row, lag] -= tail[place]
                steps[row, lag + 1] += tail[place]
    tail[:] = 0
