"""Pairs -> the hours in which two accounts would meet by chance, given what each does on its own.

In: strata (an entity on a day, say), in which an account keeps its number of active bins. Two
things are added to what strata alone expect. What an account does in one bin, on however many
entities, happens there together. And each account keeps its own hours of the day: how often two
accounts' bins fall together on *different* days says how alike these hours are.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import CellIndex, Margins, PairCounts
from gpu_coord.backend.pairs import CACHE
from gpu_coord.chance.days import Visits, list_visits
from gpu_coord.chance.nulls import Null
from gpu_coord.chance.strata import Strata, expect_pairs, locate_blocks, sort_strata

_HOUR, _HOURS = 3600, 24
# Coincidences on different days that are added to seen and expected ones: a pair about which these
# say little is taken to have no hours in common. 1 and 5 were tried: with 5, fewer
# pairs of different categories were beyond habit in the IRA data.
_PRIOR = 5.0


@dataclass(frozen=True)
class Exposure:
    """What pairs are exposed to at one lag, under one null."""

    strata: Strata
    visits: Visits
    margins: Margins
    own_hours: "OwnHours | None"  # where the null keeps days, in bins of an hour or less

    def expect(self, pairs: PairCounts) -> Any:
        """Return the hours with a coincidence to expect of each pair, (n_pairs,), on the host.

        The sum over strata of a b / T; times the number of different pairs of bins, one of each
        account, that share an entity in a block, over the number of all of them, where blocks do
        not come again every day; times `OwnHours.compare`, where hours of the day are kept.

        Parameters
        ----------
        pairs
            Pairs that share a stratum, by source, then target.
        """
        expected = expect_pairs(self.strata, pairs).sum(axis=1)
        if self._places is None:
            return expected
        # Five hashtags in one post are one chance to meet, not five.
        once, all_of_them, same_hour = _count_bin_pairs(
            *self._name_ends(pairs), self.visits.account_start, *self._places
        ).T
        only_once = expected * (once / np.maximum(all_of_them, 1))
        if self.own_hours is None:
            return only_once
        return only_once * self.own_hours.compare(pairs, same_hour, expected)

    def count_hours(self, pairs: PairCounts) -> Any:
        """Count the hours in which the target follows the source, (n_pairs,), on the host."""
        return self.visits.count_hours(*self._name_ends(pairs), self.margins.lag)

    def _name_ends(self, pairs: PairCounts) -> tuple[Any, Any]:
        to_host = self.strata.backend.to_host
        return to_host(pairs.source), to_host(pairs.target)

    @cached_property
    def _places(self) -> tuple[Any, ...] | None:
        """Place (entity and block) of each cell as a source and as a target, its bin, its hours.

        None where blocks come again every day.
        """
        axis, lag, n_steps = self.visits.axis, self.margins.lag, self.margins.n_steps
        blocks = locate_blocks(
            axis.first_bin, axis.bin_seconds, n_steps, self.strata.null, phase=0.0
        )
        if blocks.is_cyclic:
            return None
        entity, bin = np.divmod(self.visits.key, self.visits.stride)
        first = entity * (blocks.n_labels + 2) + 1
        # A bin at the end is no source, and one at the beginning no target.
        source = np.where(bin < n_steps, first + blocks.label(bin), -1)
        target = np.where(bin >= lag, first + blocks.label(bin - lag), -1)
        first_second, seconds = axis.first_bin * axis.bin_seconds, axis.bin_seconds
        hours = ((first_second + (bin - shift) * seconds) // _HOUR for shift in (0, lag))
        return source, target, bin, *hours


@dataclass(frozen=True)
class OwnHours:
    """How often two accounts' bins lie in the same hour of different days, seen and expected.

    Sums over all ways to shift one account's days against the other's: what infinitely many copies
    with permuted days would show, without making them.
    """

    hour: Strata  # an entity in an hour of the day
    entity: Strata
    bins_per_hour: float

    def compare(self, pairs: PairCounts, same_hour: Any, same_day: Any) -> Any:
        """Return by how much more often than not two accounts' hours of the day meet, (n_pairs,).

        (5 + seen) / (5 + expected), of pairs of bins of two accounts on an entity on different
        days, over the bins of an hour: seen in the same hour of the day, and a 24th of all.

        Parameters
        ----------
        pairs
            The pairs.
        same_hour
            Pairs of bins in the same hour of the same day.
        same_day
            Coincidences to expect on the same day, whatever the hour.
        """
        seen = (_sum_bins(self.hour, pairs) - same_hour) / self.bins_per_hour
        expected = _sum_bins(self.entity, pairs) / (_HOURS * self.bins_per_hour) - same_day
        # Days at the ends are shorter than others.
        return (_PRIOR + np.maximum(seen, 0)) / (_PRIOR + np.maximum(expected, 0))


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
    strata = sort_strata(activity, index, margins, null=null)
    own_hours = None
    if null == "day" and activity.bin_seconds <= _HOUR:
        hour = sort_strata(activity, index, margins, null="hour")
        entity = sort_strata(activity, index, margins, null="entity")
        own_hours = OwnHours(hour, entity, _HOUR / activity.bin_seconds)
    return Exposure(strata, list_visits(activity, index), margins, own_hours)


def _sum_bins(strata: Strata, pairs: PairCounts) -> Any:
    """Sum the products of two accounts' active bins over the strata that both used."""
    factors = strata.send_factors(strata.sources.count, strata.targets.count)
    return strata.sum_products(factors, pairs).sum(axis=1)


@numba.njit(cache=CACHE, nogil=True)
def _count_bin_pairs(source: Any, target: Any, account_start: Any, source_place: Any,
                     target_place: Any, bin: Any, source_hour: Any,
                     target_hour: Any) -> Any:  # fmt: skip
    """Count the bins in which two accounts use an entity in one block, each with each.

    As different pairs of bins, as all of them, and as those in one hour (the target's, the lag
    taken off).
    """
    counted = np.zeros((source.size, 3), np.int64)
    codes, stride = np.empty(1024, np.int64), np.int64(1) << 31
    for pair in range(source.size):
        one, one_stop = account_start[source[pair]], account_start[source[pair] + 1]
        other, other_stop = account_start[target[pair]], account_start[target[pair] + 1]
        n_codes, n_runs, n_same = 0, 0, 0
        while one < one_stop and other < other_stop:
            place = source_place[one]
            if place < 0 or place < target_place[other]:
                one += 1
                continue
            if place > target_place[other]:
                other += 1
                continue
            last = one
            while last < one_stop and source_place[last] == place:
                last += 1
            while other < other_stop and target_place[other] == place:
                if n_codes + last - one > codes.size:
                    longer = np.empty(2 * (n_codes + last - one), np.int64)
                    longer[:n_codes] = codes[:n_codes]
                    codes = longer
                for earlier in range(one, last):
                    codes[n_codes] = bin[earlier] * stride + bin[other]
                    n_codes += 1
                    n_same += source_hour[earlier] == target_hour[other]
                other += 1
            one = last
            n_runs += 1
        n_once = n_codes
        if n_runs > 1:
            ordered = np.sort(codes[:n_codes])
            n_once = 1
            for place in range(1, n_codes):
                n_once += ordered[place] != ordered[place - 1]
        counted[pair, 0], counted[pair, 1], counted[pair, 2] = n_once, n_codes, n_same
    return counted
