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
    """Where on the axis the cells of each account and entity lie, in the order of the kernel."""

    account_group: Any  # groups of each account, (n_accounts + 1,)
    entity: Any  # ascending within each account, (n_groups,)
    start: Any  # cells of each group, (n_groups + 1,)
    bin: Any  # ascending within each group, (n_cells,)
    source_block: Any  # of the null; -1 where the cell is no source
    target_block: Any  # that of the source a lag earlier; -1 where the cell is no target
    source_hour: Any  # of the day
    target_hour: Any  # that of the source a lag earlier
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


class Expectation(NamedTuple):
    """Hours with a coincidence to expect of pairs, (n_pairs,) each, on the host."""

    habit: Any  # of two accounts that go on as each always does
    news: Any  # of two accounts that the news brings together, before its lambda


@dataclass(frozen=True)
class Exposure:
    """What pairs are exposed to at one lag, under one null."""

    strata: Strata
    visits: Visits
    margins: Margins
    groups: Groups | None  # where blocks do not come again every day
    keeps_hours: bool  # the null keeps days, in bins of an hour or less

    def expect(self, pairs: PairCounts) -> Expectation:
        """Return the hours with a coincidence to expect of each pair.

        The sum over strata of a b / T; times the number of different pairs of bins, one of each
        account, that share an entity in a block, over the number of all of them, where blocks do
        not come again every day; times `_compare_hours`, where hours of the day are kept. News
        keeps its own hours, not those of its readers: what it brings together is not lowered by
        hours of the day that are unlike.

        Parameters
        ----------
        pairs
            Pairs that share a stratum, by source, then target.
        """
        expected = expect_pairs(self.strata, pairs)
        if self.groups is None:
            return Expectation(expected, expected)
        met = Meetings(*_count_meetings(*self._name_ends(pairs), self.keeps_hours, *self.groups))
        # Five hashtags in one post are one chance to meet, not five.
        only_once = expected * (met.once / np.maximum(met.in_block, 1))
        if not self.keeps_hours:
            return Expectation(only_once, only_once)
        alike = self._compare_hours(met, expected)
        return Expectation(only_once * alike, only_once * np.maximum(alike, 1))

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
        """Return the sums that a null of habits is fitted to, and of how many pairs they are."""
        return sum_moments(self.count_hours(pairs), self.expect(pairs).habit), pairs.source.size

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
        *((first_second + (bin - shift) * seconds) // _HOUR % _HOURS for shift in (0, lag)),
    )
    groups = tuple(map(to_host, (index.account_group, index.group_entity, index.group_start)))
    types = (np.int32, np.int32, np.int32, np.int8, np.int8)
    places = tuple(map(np.ndarray.astype, (bin, *places), types))
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
        slot = row[group[takes_part]].astype(np.int64) * _HOURS + hour[takes_part]
        counted = np.bincount(slot, minlength=_HOURS * np.count_nonzero(row >= 0))
        by_hour.append(counted.reshape(-1, _HOURS).astype(np.int32))
    return *counts, row, *by_hour


@numba.njit(cache=CACHE, nogil=True)
def _count_meetings(source: Any, target: Any, keeps_hours: Any, account_group: Any, entity: Any,
                    start: Any, bin: Any, source_block: Any, target_block: Any, source_hour: Any,
                    target_hour: Any, n_sources: Any, n_targets: Any, row: Any, source_hours: Any,
                    target_hours: Any) -> Any:  # fmt: skip
    """Return what `Meetings` holds, (5, n_pairs); of hours of the day only where they are kept.

    Arrays one by one, and small groups without a call: together three times as fast.
    """
    counted, codes = np.zeros((5, source.size), np.int64), np.empty(1024, np.int64)
    stride = np.int64(1) << 31
    for pair in range(source.size):
        i, stop = account_group[source[pair]], account_group[source[pair] + 1]
        j, other_stop = account_group[target[pair]], account_group[target[pair] + 1]
        n_codes: Any = np.int64(0)
        n_entities, in_hour, at_hour, on_entity = 0, 0, 0, 0
        while i < stop and j < other_stop:
            if entity[i] != entity[j]:
                if entity[i] < entity[j]:
                    i += 1
                    if i < stop and entity[i] < entity[j]:
                        i = first_at_least(entity, i + 1, stop, entity[j])
                else:
                    j += 1
                    if j < other_stop and entity[j] < entity[i]:
                        j = first_at_least(entity, j + 1, other_stop, entity[i])
                continue
            first, last, other, other_last = start[i], start[i + 1], start[j], start[j + 1]
            n_before = n_codes
            if (last - first) * (other_last - other) > _FEW * _FEW:  # one of them has a row
                codes, n_codes, n_more = _list_bin_pairs(
                    first, last, other, other_last, bin, source_block, target_block, source_hour,
                    target_hour, codes, n_codes,
                )  # fmt: skip
                in_hour += n_more
                at_hour += _count_at_hour(
                    first, last, other, other_last, source_block, target_block, source_hour,
                    target_hour, row[i], row[j], source_hours, target_hours,
                )  # fmt: skip
            else:
                if n_codes + _FEW * _FEW > codes.size:
                    codes = _lengthen(codes)
                for one in range(first, last):
                    for two in range(other, other_last):
                        if source_block[one] < 0 or target_block[two] < 0:
                            continue
                        is_same = source_hour[one] == target_hour[two]
                        at_hour += is_same
                        if source_block[one] == target_block[two]:
                            codes[n_codes] = bin[one] * stride + bin[two]
                            n_codes += 1
                            in_hour += is_same
            if n_codes > n_before:
                n_entities += 1
            on_entity += n_sources[i] * n_targets[j]
            i += 1
            j += 1
        counted[1, pair] = n_codes
        # Within one entity no pair of bins comes twice.
        counted[0, pair] = n_codes if n_entities < 2 else count_distinct(codes[:n_codes])
        if keeps_hours:
            counted[2, pair], counted[3, pair], counted[4, pair] = in_hour, at_hour, on_entity
    return counted


@numba.njit(cache=CACHE, nogil=True)
def _list_bin_pairs(one: int, one_stop: int, other: int, other_stop: int, bin: Any,
                    source_block: Any, target_block: Any, source_hour: Any, target_hour: Any,
                    codes: Any, n_codes: int) -> Any:  # fmt: skip
    """Append the pairs of bins of two groups that lie in one block; count those in one hour.

    Where hours are kept, blocks are days: one block and one hour of the day are one hour.
    """
    n_in_hour, stride = 0, np.int64(1) << 31
    while one < one_stop and other < other_stop:
        block = source_block[one]
        if block < 0 or block < target_block[other]:
            one += 1
            continue
        if block > target_block[other]:
            other += 1
            continue
        last = one
        while last < one_stop and source_block[last] == block:
            last += 1
        while other < other_stop and target_block[other] == block:
            while n_codes + last - one > codes.size:
                codes = _lengthen(codes)
            for earlier in range(one, last):
                codes[n_codes] = bin[earlier] * stride + bin[other]
                n_codes += 1
                n_in_hour += source_hour[earlier] == target_hour[other]
            other += 1
        one = last
    return codes, n_codes, n_in_hour


@numba.njit(cache=CACHE, nogil=True)
def _lengthen(codes: Any) -> Any:
    longer = np.empty(2 * codes.size, np.int64)
    for place in range(codes.size):
        longer[place] = codes[place]
    return longer


@numba.njit(cache=CACHE, nogil=True)
def _count_at_hour(first: int, last: int, other: int, other_last: int, source_block: Any,
                   target_block: Any, source_hour: Any, target_hour: Any, row: int,
                   other_row: int, source_hours: Any, target_hours: Any) -> int:  # fmt: skip
    """Count the pairs of bins of two groups at one hour of the day; one of them has a row."""
    n = 0
    if other_row >= 0 and (row < 0 or last - first < _HOURS):
        for cell in range(first, last):
            if source_block[cell] >= 0:
                n += target_hours[other_row, source_hour[cell]]
    elif other_row < 0 or other_last - other < _HOURS:
        for cell in range(other, other_last):
            if target_block[cell] >= 0:
                n += source_hours[row, target_hour[cell]]
    else:
        for hour in range(_HOURS):
            n += source_hours[row, hour] * target_hours[other_row, hour]
    return n
