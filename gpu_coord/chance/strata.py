"""Activity -> strata (an entity on a day, say) -> expected coincidences of pairs of accounts.

The null: in each stratum an account keeps its number of active bins, and which bins these are is
exchangeable. One code path; the key of the strata is the null. Strata are sorted on the host;
listed pairs are summed on the backend. Sums are equal for any blocks and any number of threads.
"""

from dataclasses import dataclass
from functools import cached_property
from math import lcm
from typing import Any, NamedTuple

import numba
import numpy as np

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import CellIndex, Margins, PairCounts, mark_changes
from gpu_coord.backend import Backend
from gpu_coord.backend.pairs import CACHE
from gpu_coord.chance.nulls import Null, check_null

_HOUR, _DAY = 3600, 86_400
_MAX_KEY = 2**63 - 1

# Seconds of a block of time, and after how many blocks the strata begin anew.
_BLOCKS = {
    "popularity": (_DAY, 1),
    "entity": (_DAY, 1),
    "hour": (_HOUR, 24),
    "day": (_DAY, None),
    "six_hours": (6 * _HOUR, None),
    "one_hour": (_HOUR, None),
}


class Uses(NamedTuple):
    """Active bins in one role, by account or by stratum; a tuple, for the kernels."""

    start: Any  # rows of each account or stratum, (n + 1,)
    other: Any  # the strata of an account, or the accounts of a stratum, ascending
    count: Any  # active bins


@dataclass(frozen=True)
class Strata:
    """What each account did in each stratum, as a source and as a target, on the host."""

    backend: Backend
    null: Null
    n_phases: int
    n_steps: Any  # transitions of each stratum, T
    sources: Uses  # a, by account
    targets: Uses  # b, by account
    users: Uses  # b, by stratum

    @property
    def n_accounts(self) -> int:
        """Accounts, silent ones included."""
        return int(self.sources.start.size) - 1

    @cached_property
    def source_share(self) -> Any:
        """Active bins over the transitions of the stratum, a / T; phases share the whole."""
        return self.sources.count / (self.n_phases * self.n_steps)[self.sources.other]

    @cached_property
    def expectation(self) -> tuple[Any, ...]:
        """The factors of the expected coincidences, sent to the backend when first asked for."""
        return self.send_factors((self.source_share, self.targets.count))

    def send_factors(self, *factors: tuple[Any, Any]) -> tuple[Any, ...]:
        """Send numbers of each row of the sources and of the targets to the backend.

        Parameters
        ----------
        *factors
            For each sum: factors of the sources' rows and of the targets' rows.
        """
        rows = zip((self.sources, self.targets), zip(*factors, strict=True), strict=True)
        arrays = (column for uses, mine in rows for column in (*uses[:2], np.column_stack(mine)))
        return tuple(map(self.backend.xp.asarray, arrays))

    def sum_products(self, factors: tuple[Any, ...], pairs: PairCounts) -> Any:
        """Sum the products of two accounts' factors over the strata that both used.

        Parameters
        ----------
        factors
            From `send_factors`.
        pairs
            The pairs, on the host or on the backend.

        Returns
        -------
            (n_sums, n_pairs), on the host; the same to the bit on every backend.
        """
        source, target = map(self.backend.xp.asarray, pairs[:2])
        return self.backend.to_host(self.backend.pairs.sum_products(source, target, *factors)).T


@dataclass(frozen=True)
class Blocks:
    """Where on the axis of transitions the strata of an entity lie, for one phase."""

    first_second: int  # of transition 0, counted from the beginning of a block
    bin_seconds: int
    width: int  # seconds
    n_labels: int
    is_cyclic: bool

    def label(self, step: Any) -> Any:
        """Return the stratum, among those of its entity, of each transition."""
        block = (self.first_second + step.astype(np.int64) * self.bin_seconds) // self.width
        return block % self.n_labels if self.is_cyclic else block

    def count_steps(self, n_steps: int, label: Any) -> Any:
        """Return how many of the first transitions have each of some labels."""
        if not self.is_cyclic:
            first, last = (self.find_first(block, n_steps) for block in (label, label + 1))
            return last - first
        period = lcm(self.width * self.n_labels, self.bin_seconds) // self.bin_seconds
        n_periods, rest = divmod(n_steps, period)
        # Labels come again: what one period holds is counted once, however many there are.
        counts = n_periods * self._count_cycle(period) if n_periods else 0
        return (counts + self._count_cycle(rest))[label]

    def find_first(self, block: Any, n_steps: int) -> Any:
        """Return the first transition that is not before each block; at most their number."""
        return np.clip(self.begin(block), 0, n_steps)

    def begin(self, block: Any) -> Any:
        """Return the transition with which each block begins, on the axis or not."""
        return -((self.first_second - block * self.width) // self.bin_seconds)

    def _count_cycle(self, n_steps: int) -> Any:
        """Return the number of transitions with each label, (n_labels,), block by block."""
        last_second = self.first_second + max(n_steps - 1, 0) * self.bin_seconds
        block = np.arange(last_second // self.width + 2)
        sizes = np.diff(self.find_first(block, n_steps))
        return np.bincount(block[:-1] % self.n_labels, weights=sizes, minlength=self.n_labels)


def locate_blocks(
    first_bin: int, bin_seconds: int, n_steps: int, null: Null, *, phase: float
) -> Blocks:
    """Locate the blocks of time of a null on the axis of transitions, whose number is given."""
    width, n_labels = _BLOCKS[null]
    if n_labels is None:
        width = width // _HOUR * max(_HOUR, bin_seconds)
    start = first_bin * bin_seconds + int(phase * width)
    first_second = start % (width * (n_labels or 1))
    last_second = first_second + (n_steps - 1) * bin_seconds
    return Blocks(
        first_second=first_second,
        bin_seconds=bin_seconds,
        width=width,
        n_labels=n_labels or last_second // width + 1,
        is_cyclic=n_labels is not None,
    )


class _Counts(NamedTuple):
    """Active bins by stratum and account, in that order."""

    stratum: Any
    account: Any
    count: Any


def stratify(
    activity: Activity, index: CellIndex, margins: Margins, *, null: Null = "day", n_phases: int = 1
) -> Strata:
    """Sort what the accounts did into the strata of a null, at one lag.

    A stratum holds transitions: a source's bin with the target's bin ``lag`` later. The tables of
    a pair, one for each stratum, are those of a Cochran-Mantel-Haenszel test.

    Parameters
    ----------
    activity, index, margins
        The active cells, and their counts at the lag.
    null
        What each account keeps. ``popularity``: its number of active cells of each kind, any of
        which falls on an (entity, bin) as often as that is used; ``entity``: its cells on each
        entity; ``hour``: on each entity in each hour of the day; ``day``, ``six_hours`` and
        ``one_hour``: on each entity in each block of that length. Times are UTC. Where bins are
        longer than an hour, blocks have as many bins as their name has hours; ``one_hour`` takes
        bins of at most six minutes.
    n_phases
        Blocks begin at so many evenly spaced times; expected counts are the mean over these.

    Raises
    ------
    ValueError
        The null is unknown or leaves nothing to bins of that length, or there is no phase.
    """
    check_null(null, activity.bin_seconds)
    if n_phases < 1:
        raise ValueError(f"n_phases is {n_phases}; blocks begin at one time at least.")
    return sort_strata(activity, index, margins, null=null, n_phases=n_phases)


def sort_strata(
    activity: Activity, index: CellIndex, margins: Margins, *, null: Null, n_phases: int = 1
) -> Strata:
    """Sort what the accounts did into strata, as `stratify` does, of any blocks that bins fill."""
    parts = [
        _count_strata(activity, index, margins, null, phase=phase / n_phases)
        for phase in range(n_phases)
    ]
    return _join_phases(parts, activity, null)


def _count_strata(
    activity: Activity, index: CellIndex, margins: Margins, null: Null, *, phase: float
) -> tuple[_Counts, _Counts, Any]:
    """Return the counts as sources and as targets, and each stratum's transitions."""
    blocks = locate_blocks(
        activity.first_bin, activity.bin_seconds, margins.n_steps, null, phase=phase
    )
    entity, bin, account = activity.read_cells()
    page = (
        activity.backend.to_host(activity.entity_kind)[entity] if null == "popularity" else entity
    )
    as_source, as_target = bin < margins.n_steps, bin >= margins.lag
    sources, targets = (
        _count_cells(
            page[rows].astype(np.int64) * blocks.n_labels + blocks.label(bin[rows] - shift),
            account[rows],
            activity.n_accounts,
        )
        for rows, shift in ((as_source, 0), (as_target, margins.lag))
    )
    strata = np.concatenate([uses.stratum for uses in (sources, targets)])
    strata.sort()
    strata = strata[mark_changes(strata, xp=np)]
    sources, targets = (
        uses._replace(stratum=np.searchsorted(strata, uses.stratum)) for uses in (sources, targets)
    )
    page = strata // blocks.n_labels
    if null == "popularity":
        return sources, targets, _count_popular_steps(activity, index, margins)[page]
    return sources, targets, blocks.count_steps(margins.n_steps, strata % blocks.n_labels)


def _count_cells(stratum: Any, account: Any, n_accounts: int) -> _Counts:
    if (int(stratum.max(initial=0)) + 1) * n_accounts > _MAX_KEY:
        # Entities times days of a span of centuries: only those that occur get a number.
        strata, number = np.unique(stratum, return_inverse=True)
        counts = _count_cells(number, account, n_accounts)
        return counts._replace(stratum=strata[counts.stratum])
    cell = stratum * n_accounts + account
    cell.sort()
    first = np.flatnonzero(mark_changes(cell, xp=np))
    count = np.diff(first, append=cell.size).astype(np.float64)
    stratum, account = np.divmod(cell[first], n_accounts)
    return _Counts(stratum, account, count)


def _count_popular_steps(activity: Activity, index: CellIndex, margins: Margins) -> Any:
    """Return T of each kind: of m sources' and m' targets' cells, m m' / T coincide by chance.

    All cells taken together do coincide so often: Chung & Lu's rank-one expectation.
    """
    to_host = activity.backend.to_host
    size = to_host(index.column_start[1:] - index.column_start[:-1])
    kind = to_host(activity.entity_kind)[to_host(index.column_entity)]
    bin, lagged = to_host(index.column_bin), to_host(margins.lagged_column)

    def total(values: Any) -> Any:
        return np.bincount(kind, weights=values, minlength=len(activity.kinds))

    n_sources = total(size[:-1] * (bin < margins.n_steps))
    n_targets = total(size[:-1] * (bin >= margins.lag))
    n_both = total(size[:-1] * size[lagged])
    return n_sources * n_targets / np.where(n_both > 0, n_both, 1)


def _join_phases(
    parts: list[tuple[_Counts, _Counts, Any]], activity: Activity, null: Null
) -> Strata:
    """Put the strata of all phases beside one another: their mean is a sum over more strata."""
    first = np.cumsum([0, *(n_steps.size for *_, n_steps in parts)])
    sources = _join_counts([part[0] for part in parts], first)
    targets = _join_counts([part[1] for part in parts], first)
    return Strata(
        backend=activity.backend,
        null=null,
        n_phases=len(parts),
        n_steps=np.concatenate([part[2] for part in parts]),
        sources=_sort_uses(sources.account, sources.stratum, sources.count, activity.n_accounts),
        targets=_sort_uses(targets.account, targets.stratum, targets.count, activity.n_accounts),
        users=_sort_uses(targets.stratum, targets.account, targets.count, int(first[-1])),
    )


def _join_counts(parts: list[_Counts], first: Any) -> _Counts:
    moved = (p._replace(stratum=p.stratum + f) for p, f in zip(parts, first[:-1], strict=True))
    return _Counts(*map(np.concatenate, zip(*moved, strict=True)))


@numba.njit(cache=CACHE, nogil=True)
def _sort_uses(key: Any, other: Any, count: Any, n_keys: int) -> Uses:
    """Return the uses by one of their keys, otherwise in the order in which they come."""
    start = np.zeros(n_keys + 1, np.int64)
    for row in range(key.size):
        start[key[row] + 1] += 1
    start = np.cumsum(start)
    end = start[:-1].copy()
    sorted_other, sorted_count = np.empty(key.size, np.int32), np.empty(key.size)
    for row in range(key.size):
        place = end[key[row]]
        end[key[row]] += 1
        sorted_other[place], sorted_count[place] = other[row], count[row]
    return Uses(start, sorted_other, sorted_count)


def expect_pairs(strata: Strata, pairs: PairCounts) -> Any:
    """Return the coincidences to expect of each pair under the null.

    The sum over strata of a b / T: the mean of what is counted when, in every stratum, the bins of
    one of the two accounts are drawn anew (hypergeometric counts).

    Returns
    -------
        (n_pairs,), on the host; positive wherever the pair has a coincidence.
    """
    return strata.sum_products(strata.expectation, pairs)[0]


def list_sharing(strata: Strata, sources: Any) -> PairCounts:
    """List the targets that share a stratum with each source, whether they coincide or not.

    Always on the host: what it may cost is bounded by the sources that are asked for.

    Parameters
    ----------
    strata
        The null.
    sources
        The accounts whose pairs are listed, ascending.

    Returns
    -------
        By source, then target; without their coincidences (0).
    """
    n_listed, target = _list_sharing(sources, strata.sources, strata.users)
    source = np.repeat(np.asarray(sources, np.int32), n_listed)
    pair = source.astype(np.int64) * strata.n_accounts + target
    pair.sort()
    target = (pair % strata.n_accounts).astype(np.int32)
    return PairCounts(source, target, np.zeros(source.size, np.int64))


def count_products(strata: Strata) -> Any:
    """Return what `list_sharing` costs: the users met by each source, again and again."""
    n_users = np.diff(strata.users.start)[strata.sources.other]
    return np.diff(np.concatenate([[0], np.cumsum(n_users)])[strata.sources.start])


def count_met(strata: Strata) -> int:
    """Count the ordered pairs that share a stratum, a pair once for each that it shares."""
    uses = np.concatenate([_number_uses(strata, uses) for uses in (strata.sources, strata.targets)])
    uses.sort()
    n_with_itself = np.count_nonzero(uses[1:] == uses[:-1])
    return int(count_products(strata).sum() - n_with_itself)


def _number_uses(strata: Strata, uses: Uses) -> Any:
    """Return account and stratum of each row in one number."""
    account = np.repeat(np.arange(strata.n_accounts), np.diff(uses.start))
    return account * strata.n_steps.size + uses.other


@numba.njit(cache=CACHE, nogil=True)
def _list_sharing(sources: Any, uses: Uses, users: Uses) -> Any:
    """Return the number of targets of each source, and these, each once, in no order."""
    last_met = np.full(uses.start.size - 1, -1, np.int64)
    n_listed, listed, end = np.zeros(sources.size, np.int64), np.empty(1024, np.int32), 0
    for row in range(sources.size):
        source = sources[row]
        last_met[source] = row
        for position in range(uses.start[source], uses.start[source + 1]):
            stratum = uses.other[position]
            for user in range(users.start[stratum], users.start[stratum + 1]):
                target = users.other[user]
                if last_met[target] == row:
                    continue
                last_met[target] = row
                if end == listed.size:
                    longer = np.empty(2 * end, np.int32)
                    for place in range(end):
                        longer[place] = listed[place]
                    listed = longer
                listed[end] = target
                end += 1
                n_listed[row] += 1
    return n_listed, listed[:end]
