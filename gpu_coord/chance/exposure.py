"""Pairs -> the hours in which two accounts would meet by chance, given what each does on its own.

In: strata (an entity on a day, say), in which an account keeps its number of active bins. Two
things are added to what strata alone expect. What an account does in one bin, on however many
entities, happens there together. And each account keeps its own hours of the day: how often two
accounts' bins fall together on *different* days says how alike these hours are.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import CellIndex, Margins, PairCounts
from gpu_coord.backend.pairs import CACHE, first_at_least
from gpu_coord.chance.days import Visits, count_distinct, list_visits
from gpu_coord.chance.empirical import sum_moments
from gpu_coord.chance.nulls import Null
from gpu_coord.chance.strata import Strata, expect_pairs, locate_blocks, sort_strata

_HOUR, _HOURS = 3600, 24
_FEW = 8  # cells of a group that are counted by the hour where they are needed, and not ahead
# Coincidences on different days that are added to seen and expected ones: a pair about which these
# say little is taken to have no hours in common. 1 and 5 were tried: with 5, fewer
# pairs of different categories were beyond habit in the IRA data.
_PRIOR = 5.0


class Groups(NamedTuple):
    """Where on the axis the cells of each account and entity lie; a tuple, for the kernel."""

    account_group: Any  # groups of each account, (n_accounts + 1,)
    entity: Any  # ascending within each account, (n_groups,)
    start: Any  # cells of each group, (n_groups + 1,)
    bin: Any  # ascending within each group, (n_cells,)
    source_block: Any  # of the null; -1 where the cell is no source
    target_block: Any  # that of the source a lag earlier; -1 where the cell is no target
    source_hour: Any  # hours since 1970
    target_hour: Any  # of the source a lag earlier
    n_sources: Any  # cells of each group that are sources, (n_groups,)
    n_targets: Any
    row: Any  # of each group in the next two; -1 where it has few cells
    source_hours: Any  # its sources at each hour of the day, (n_rows, 24)
    target_hours: Any


class Meetings(NamedTuple):
    """Pairs of bins, one of each account, on an entity that both use, (n_pairs,) each."""

    once: Any  # different ones in one block
    in_block: Any  # in one block, once for each entity
    in_hour: Any  # in one hour of one day
    at_hour: Any  # in one hour of the day, whatever the day
    on_entity: Any  # all


@dataclass(frozen=True)
class Exposure:
    """What pairs are exposed to at one lag, under one null."""

    strata: Strata
    visits: Visits
    margins: Margins
    groups: Groups | None  # where blocks do not come again every day
    keeps_hours: bool  # the null keeps days, in bins of an hour or less

    def expect(self, pairs: PairCounts) -> Any:
        """Return the hours with a coincidence to expect of each pair, (n_pairs,), on the host.

        The sum over strata of a b / T; times the number of different pairs of bins, one of each
        account, that share an entity in a block, over the number of all of them, where blocks do
        not come again every day; times `_compare_hours`, where hours of the day are kept.

        Parameters
        ----------
        pairs
            Pairs that share a stratum, by source, then target.
        """
        expected = expect_pairs(self.strata, pairs)
        if self.groups is None:
            return expected
        met = Meetings(*_count_meetings(*self._name_ends(pairs), self.groups, self.keeps_hours))
        # Five hashtags in one post are one chance to meet, not five.
        only_once = expected * (met.once / np.maximum(met.in_block, 1))
        return only_once * self._compare_hours(met, expected) if self.keeps_hours else only_once

    def _compare_hours(self, met: Meetings, in_day: Any) -> Any:
        """Return by how much more often than not two accounts' hours of the day meet, (n_pairs,).

        (5 + seen) / (5 + expected), of pairs of bins of two accounts on an entity on different
        days, over the bins of an hour: seen in the same hour of the day, and a 24th of all. What
        infinitely many copies with days in another order would show, without making them.

        Parameters
        ----------
        met
            Pairs of bins.
        in_day
            Coincidences to expect on the same day, whatever the hour.
        """
        bins_per_hour = _HOUR / self.visits.axis.bin_seconds
        seen = (met.at_hour - met.in_hour) / bins_per_hour
        expected = met.on_entity / (_HOURS * bins_per_hour) - in_day
        # Days at the ends are shorter than others.
        return (_PRIOR + seen) / (_PRIOR + np.maximum(expected, 0))

    def count_hours(self, pairs: PairCounts) -> Any:
        """Count the hours in which the target follows the source, (n_pairs,), on the host."""
        return self.visits.count_hours(*self._name_ends(pairs), self.margins.lag)

    def sum_moments(self, pairs: PairCounts) -> tuple[Any, int]:
        """Return the sums that a null is fitted to, and of how many pairs they are."""
        return sum_moments(self.count_hours(pairs), self.expect(pairs)), pairs.source.size

    def _name_ends(self, pairs: PairCounts) -> tuple[Any, Any]:
        to_host = self.strata.backend.to_host
        return to_host(pairs.source), to_host(pairs.target)


def expose(activity: Activity, index: CellIndex, margins: Margins, *, null: Null) -> Exposure:
    """Sort out what pairs are exposed to at one lag.

    Parameters
    ----------
    activity, index, margins
        The active cells, and their counts at the lag.
    null
        What each account keeps, see `gpu_coord.chance.strata.stratify`. Its own hours of the day
        are kept beside under ``day``, in bins of an hour or less.
    """
    return Exposure(
        sort_strata(activity, index, margins, null=null),
        list_visits(activity, index),
        margins,
        _locate_groups(activity, index, margins, null),
        keeps_hours=null == "day" and activity.bin_seconds <= _HOUR,
    )


def _locate_groups(
    activity: Activity, index: CellIndex, margins: Margins, null: Null
) -> Groups | None:
    lag, n_steps, seconds = margins.lag, margins.n_steps, activity.bin_seconds
    blocks = locate_blocks(activity.first_bin, seconds, n_steps, null, phase=0.0)
    if blocks.is_cyclic:
        return None
    to_host = activity.backend.to_host
    bin = to_host(index.cell_bin).astype(np.int64)
    first_second = activity.first_bin * seconds
    places = (
        # A bin at the end is no source, and one at the beginning no target.
        np.where(bin < n_steps, blocks.label(bin), -1),
        np.where(bin >= lag, blocks.label(bin - lag), -1),
        *((first_second + (bin - shift) * seconds) // _HOUR for shift in (0, lag)),
    )
    groups = tuple(map(to_host, (index.account_group, index.group_entity, index.group_start)))
    places = tuple(place.astype(np.int32) for place in (bin, *places))
    return Groups(*groups, *places, *_count_groups(groups[-1], *places[1:]))


def _count_groups(start: Any, source_block: Any, target_block: Any, source_hour: Any,
                  target_hour: Any) -> tuple[Any, ...]:  # fmt: skip
    """Return what `Groups` holds of the sources and targets of each group, and of their hours."""
    size = np.diff(start)
    group, row = np.repeat(np.arange(size.size), size), np.full(size.size, -1, np.int32)
    row[size > _FEW] = np.arange(np.count_nonzero(size > _FEW))
    counts, by_hour = [], []
    for block, hour in ((source_block, source_hour), (target_block, target_hour)):
        takes_part = block >= 0
        counts.append(np.bincount(group[takes_part], minlength=size.size))
        takes_part &= row[group] >= 0
        slot = row[group[takes_part]].astype(np.int64) * _HOURS + hour[takes_part] % _HOURS
        counted = np.bincount(slot, minlength=_HOURS * np.count_nonzero(row >= 0))
        by_hour.append(counted.reshape(-1, _HOURS).astype(np.int32))
    return *counts, row, *by_hour


@numba.njit(cache=CACHE, nogil=True)
def _count_meetings(source: Any, target: Any, groups: Groups, keeps_hours: Any) -> Any:
    """Return what `Meetings` holds, (5, n_pairs); of hours of the day only where they are kept."""
    counted = np.zeros((5, source.size), np.int64)
    codes, by_hour = np.empty(1024, np.int64), np.zeros(_HOURS, np.int64)
    for pair in range(source.size):
        i, stop = groups.account_group[source[pair]], groups.account_group[source[pair] + 1]
        j, other_stop = groups.account_group[target[pair]], groups.account_group[target[pair] + 1]
        is_short = stop - i <= other_stop - j
        n_codes, n_runs = np.int64(0), 0  # a plain 0 would have the callee compiled twice
        while i < stop and j < other_stop:
            if is_short:
                j = first_at_least(groups.entity, j, other_stop, groups.entity[i])
            else:
                i = first_at_least(groups.entity, i, stop, groups.entity[j])
            if i < stop and j < other_stop and groups.entity[i] == groups.entity[j]:
                codes, n_codes, n_more, n_in_hour = _list_bin_pairs(groups, i, j, codes, n_codes)
                n_runs += n_more
                if keeps_hours:
                    counted[2, pair] += n_in_hour
                    counted[3, pair] += _count_at_hour(groups, i, j, by_hour)
                    counted[4, pair] += groups.n_sources[i] * groups.n_targets[j]
            if is_short:
                i += 1
            else:
                j += 1
        counted[1, pair] = n_codes
        # Within one entity and block no pair of bins comes twice.
        counted[0, pair] = n_codes if n_runs < 2 else count_distinct(codes[:n_codes])
    return counted


@numba.njit(cache=CACHE, nogil=True)
def _list_bin_pairs(groups: Groups, i: int, j: int, codes: Any, n_codes: int) -> Any:
    """Append the pairs of bins of two groups that lie in one block; count blocks, and in one hour.

    Where hours are kept, blocks are days, and what is in one hour is in one block.
    """
    one, one_stop = groups.start[i], groups.start[i + 1]
    other, other_stop = groups.start[j], groups.start[j + 1]
    n_runs, n_in_hour, stride = 0, 0, np.int64(1) << 31
    while one < one_stop and other < other_stop:
        block = groups.source_block[one]
        if block < 0 or block < groups.target_block[other]:
            one += 1
            continue
        if block > groups.target_block[other]:
            other += 1
            continue
        last = one
        while last < one_stop and groups.source_block[last] == block:
            last += 1
        while other < other_stop and groups.target_block[other] == block:
            if n_codes + last - one > codes.size:
                longer = np.empty(2 * (n_codes + last - one), np.int64)
                for place in range(n_codes):
                    longer[place] = codes[place]
                codes = longer
            for earlier in range(one, last):
                codes[n_codes] = groups.bin[earlier] * stride + groups.bin[other]
                n_codes += 1
                n_in_hour += groups.source_hour[earlier] == groups.target_hour[other]
            other += 1
        one = last
        n_runs += 1
    return codes, n_codes, n_runs, n_in_hour


@numba.njit(cache=CACHE, nogil=True)
def _count_at_hour(groups: Groups, i: int, j: int, by_hour: Any) -> int:
    """Count the pairs of bins of two groups at one hour of the day; `by_hour` holds zeros."""
    first, last = groups.start[i], groups.start[i + 1]
    other, other_last = groups.start[j], groups.start[j + 1]
    row, other_row, n = groups.row[i], groups.row[j], 0
    if other_row >= 0 and (row < 0 or last - first < _HOURS):
        for cell in range(first, last):
            if groups.source_block[cell] >= 0:
                n += groups.target_hours[other_row, groups.source_hour[cell] % _HOURS]
    elif row >= 0 and (other_row < 0 or other_last - other < _HOURS):
        for cell in range(other, other_last):
            if groups.target_block[cell] >= 0:
                n += groups.source_hours[row, groups.target_hour[cell] % _HOURS]
    elif row >= 0:
        for hour in range(_HOURS):
            n += groups.source_hours[row, hour] * groups.target_hours[other_row, hour]
    else:
        for cell in range(first, last):
            by_hour[groups.source_hour[cell] % _HOURS] += groups.source_block[cell] >= 0
        for cell in range(other, other_last):
            if groups.target_block[cell] >= 0:
                n += by_hour[groups.target_hour[cell] % _HOURS]
        for cell in range(first, last):
            by_hour[groups.source_hour[cell] % _HOURS] = 0
    return n
