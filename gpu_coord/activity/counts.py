"""Activity -> transition counts of all ordered pairs -> transition matrices and weights.

Counts are exact integers and expensive; weights are arithmetic on counts; thresholds come later.
A positive weight needs a coincidence, so everything after the first count looks at those pairs
only. Notation: a, b, n11, K as in docs/measure.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from gpu_coord.activity.cells import Activity
from gpu_coord.backend import Backend, choose_once

# Bytes that one pair, and one shared entity of a pair, hold at the peak of `weigh_pairs`.
_PAIR_BYTES = 80
_SHARED_BYTES = 160


def transition_matrices(active: Any, lag: int = 1, *, backend: Backend | None = None) -> Any:
    """Return the 2x2 transition matrix of every ordered pair of accounts, for many entities.

    Parameters
    ----------
    active
        0/1 activity, (..., n_accounts, n_bins), as from `Activity.tensor`.
    lag
        Bins from the source's state to the target's; 0 compares the same bin.
    backend
        Where to compute; the default is `gpu_coord.backend.choose`'s.

    Returns
    -------
        (..., n_accounts, n_accounts, 2, 2); ``[i, j, a, b]`` = P(j is b at k | i is a at k - lag),
        written A_ij in Asavathiratham (2000). A row is NaN where i was never in state a.

    Raises
    ------
    ValueError
        A value is not 0 or 1, or the lag leaves no transition.

    Examples
    --------
    >>> leader, follower = [1, 0, 0, 1, 0], [0, 1, 0, 0, 1]
    >>> transition_matrices([leader, follower])[0, 1].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    backend = backend or choose_once()
    xp = backend.xp
    n_steps, a, b, both = _count_active(active, lag, backend=backend)
    active_steps = xp.where(a == 0, xp.nan, a)
    silent_steps = xp.where(a == n_steps, xp.nan, n_steps - a)
    matrices = xp.empty((*both.shape, 2, 2))
    xp.divide(both, active_steps, out=matrices[..., 1, 1])
    xp.divide(a - both, active_steps, out=matrices[..., 1, 0])
    xp.divide(b - both, silent_steps, out=matrices[..., 0, 1])
    xp.divide((n_steps - a - b) + both, silent_steps, out=matrices[..., 0, 0])
    return matrices


def count_transitions(active: Any, lag: int = 1, *, backend: Backend | None = None) -> Any:
    """Count the transitions behind `transition_matrices`.

    Returns
    -------
        Integers, (..., n_accounts, n_accounts, 2, 2); the four counts of a pair sum to the
        number of transitions, n_bins - lag.
    """
    backend = backend or choose_once()
    n_steps, a, b, both = _count_active(active, lag, backend=backend)
    counts = backend.xp.empty((*both.shape, 2, 2), dtype=np.int64)
    counts[..., 1, 1] = both
    counts[..., 1, 0] = a - both
    counts[..., 0, 1] = b - both
    counts[..., 0, 0] = n_steps - a - b + both
    return counts


def _count_active(active: Any, lag: int, *, backend: Backend) -> tuple[int, Any, Any, Any]:
    """Return K, and a, b, n11 of every ordered pair, to be broadcast against one another."""
    active = backend.xp.asarray(active)
    if active.ndim < 2:
        raise ValueError(f"active has shape {active.shape}; it needs (..., n_accounts, n_bins).")
    if active.dtype not in (np.uint8, bool):
        active = _to_octets(active)
    if active.size and active.max() > 1:
        raise ValueError(f"active holds {active.max()}; mark each bin as 0 or 1.")
    *batch, n_accounts, n_bins = active.shape
    n_steps = count_steps(n_bins, lag)
    pages = active.reshape(-1, n_accounts, n_bins)
    a, b, both = backend.pairs.count_in_common(pages[..., :n_steps], pages[..., lag:])
    return (
        n_steps,
        a.reshape(*batch, n_accounts, 1),
        b.reshape(*batch, 1, n_accounts),
        both.reshape(*batch, n_accounts, n_accounts),
    )


def _to_octets(active: Any) -> Any:
    """Return 0/1 activity of any other type as bytes."""
    is_active = active == 1
    if not bool((is_active | (active == 0)).all()):
        raise ValueError("active holds values other than 0 and 1; mark each bin as one of them.")
    return is_active


def count_steps(n_bins: int, lag: int) -> int:
    """Return the number of transitions, K.

    Raises
    ------
    ValueError
        The lag leaves none.
    """
    if not 0 <= lag < n_bins:
        raise ValueError(
            f"lag is {lag} bins in data of {n_bins}; it must be at least 0 and leave a transition: "
            "choose a smaller lag or narrower bins."
        )
    return n_bins - lag


@dataclass(frozen=True)
class CellIndex:
    """The active cells in the two orders that pair counting needs.

    A column is a distinct (entity, bin); a group a distinct (account, entity). Offsets are int64.
    """

    backend: Backend
    n_accounts: int
    n_bins: int
    account_start: Any  # cells of each account, (n_accounts + 1,)
    cell_column: Any  # column of each cell, by account, (n_cells,)
    cell_bin: Any  # bin of each cell, by account, (n_cells,)
    column_start: Any  # cells of each column, and of an empty last one, (n_columns + 2,)
    column_account: Any  # accounts of each column, ascending, (n_cells,)
    column_entity: Any  # (n_columns,)
    column_bin: Any  # (n_columns,)
    account_group: Any  # groups of each account, (n_accounts + 1,)
    group_start: Any  # cells of each group, by account, (n_groups + 1,)
    group_entity: Any  # (n_groups,)


def index_cells(activity: Activity) -> CellIndex:
    """Sort the cells by column and by account, and mark where each begins."""
    xp = activity.backend.xp
    entity, bin, account = activity.entity, activity.bin, activity.account
    new_column = mark_changes(entity, bin, xp=xp)
    column = xp.cumsum(new_column) - 1
    by_account = xp.argsort(account, kind="stable")
    account_cells = account[by_account]
    group_of = entity[by_account]
    new_group = mark_changes(account_cells, group_of, xp=xp)
    group_starts = xp.flatnonzero(new_group)
    column_starts = xp.flatnonzero(new_column)
    n_cells = xp.asarray([account.size], dtype=np.int64)
    return CellIndex(
        backend=activity.backend,
        n_accounts=activity.n_accounts,
        n_bins=activity.n_bins,
        account_start=_start_keys(account_cells, activity.n_accounts, xp=xp),
        cell_column=column[by_account].astype(np.int32),
        cell_bin=bin[by_account].astype(np.int32),
        column_start=xp.concatenate([column_starts, n_cells, n_cells]),
        # A copy, as kernels are compiled once more for what cannot be written to.
        column_account=account.copy(),
        column_entity=entity[column_starts],
        column_bin=bin[column_starts],
        account_group=_start_keys(account_cells[group_starts], activity.n_accounts, xp=xp),
        group_start=xp.concatenate([group_starts, n_cells]),
        group_entity=group_of[group_starts],
    )


def mark_changes(*keys: Any, xp: Any) -> Any:
    """Mark the rows where any of the sorted keys differs from the row before."""
    changed = xp.zeros(keys[0].size, dtype=bool)
    changed[:1] = True
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return changed


def _start_ranges(sizes: Any, *, xp: Any) -> Any:
    """Return where ranges of some sizes begin, and where the last one ends."""
    starts = xp.zeros(sizes.size + 1, dtype=np.int64)
    xp.cumsum(sizes, out=starts[1:])
    return starts


def _start_keys(keys: Any, n_keys: int, *, xp: Any) -> Any:
    """Return where each key's rows begin, keys ascending, (n_keys + 1,)."""
    return _start_ranges(xp.bincount(keys, minlength=n_keys), xp=xp)


@dataclass(frozen=True)
class Margins:
    """What the counts of a pair are held against, at one lag."""

    lag: int
    n_steps: int  # K, the transitions
    lagged_column: Any  # column of the same entity, lag bins later, (n_columns,)
    n_coincidences: Any  # of each account as a source, itself included, (n_accounts,)
    source_active: Any  # a: active bins of each group among the first K, (n_groups,)
    target_active: Any  # b: active bins of each group among the last K, (n_groups,)


def count_margins(index: CellIndex, lag: int) -> Margins:
    """Count each group's active bins as a source and as a target, and find the lagged columns.

    Raises
    ------
    ValueError
        The lag leaves no transition.
    """
    xp = index.backend.xp
    n_steps = count_steps(index.n_bins, lag)
    lagged = _find_lagged(index, lag)
    reached = (index.column_start[1:] - index.column_start[:-1])[lagged][index.cell_column]
    return Margins(
        lag=lag,
        n_steps=n_steps,
        lagged_column=lagged,
        n_coincidences=_sum_ranges(reached, index.account_start, xp=xp),
        source_active=_sum_ranges(index.cell_bin < n_steps, index.group_start, xp=xp),
        target_active=_sum_ranges(index.cell_bin >= lag, index.group_start, xp=xp),
    )


def _find_lagged(index: CellIndex, lag: int) -> Any:
    """Return for each column the one of its entity, lag bins later, or the empty last one."""
    xp = index.backend.xp
    key = index.column_entity.astype(np.int64) * index.n_bins + index.column_bin
    wanted = key + lag
    position = xp.minimum(xp.searchsorted(key, wanted), key.size - 1)
    inside = index.column_bin + lag < index.n_bins
    return xp.where(inside & (key[position] == wanted), position, key.size).astype(np.int32)


def _sum_ranges(values: Any, starts: Any, *, xp: Any) -> Any:
    """Sum integers over consecutive ranges, empty ones included."""
    total = _start_ranges(values, xp=xp)
    return total[starts[1:]] - total[starts[:-1]]


class PairCounts(NamedTuple):
    """The pairs of a block of sources with enough coincidences, by source, then target."""

    source: Any  # (n_pairs,)
    target: Any
    support: Any  # coincidences over all entities


def plan_blocks(
    index: CellIndex, margins: Sequence[Margins], *, min_support: int, memory: int
) -> list[tuple[int, int]]:
    """Cut the sources into ranges whose pairs fit the memory, whatever they turn out to be.

    A block of one source may pass the budget: it holds at most n_accounts pairs.
    """
    bounds = [bound_pairs(index, margin, min_support=min_support) for margin in margins]
    n_pairs = index.backend.to_host(sum(bounds[1:], bounds[0]))
    return cut_rows(n_pairs, memory // _PAIR_BYTES)


def cut_rows(sizes: Any, most: int) -> list[tuple[int, int]]:
    """Cut rows of some sizes into ranges of about at most so much; a row of more is its own."""
    block = np.cumsum(sizes) // max(1, most)
    cuts = np.flatnonzero(np.diff(block)) + 1
    edges = [0, *cuts.tolist(), len(sizes)]
    return [(first, last) for first, last in pairwise(edges) if first < last]


def bound_pairs(index: CellIndex, margins: Margins, *, min_support: int) -> Any:
    """Return the most pairs with enough support that each source can have."""
    return index.backend.xp.minimum(margins.n_coincidences // min_support, index.n_accounts - 1)


def count_pairs(
    index: CellIndex, margins: Margins, first: int, last: int, *, min_support: int
) -> PairCounts:
    """Count the coincidences of the sources first..last-1 with every other account.

    A coincidence: the source is active on an entity in a bin, and the target ``lag`` bins later.
    """
    backend, xp = index.backend, index.backend.xp
    bound = bound_pairs(index, margins, min_support=min_support)[first:last]
    n_kept, target, support = backend.pairs.count_pairs(
        first, last, bound, margins.n_coincidences, index.account_start, index.cell_column,
        margins.lagged_column, index.column_start, index.column_account, min_support,
    )  # fmt: skip
    source = backend.repeat(xp.arange(first, last, dtype=np.int32), n_kept)
    return PairCounts(source, target, support)


@dataclass(frozen=True)
class SharedCounts:
    """The entities that both accounts of each pair used, with the coincidences on each."""

    pair: Any  # row of the pair, ascending, (n_shared,)
    entity: Any
    source_active: Any  # a
    target_active: Any  # b
    both_active: Any  # n11


def iter_shared(
    index: CellIndex, margins: Margins, pairs: PairCounts, *, memory: int
) -> Iterator[tuple[slice, SharedCounts]]:
    """Yield the shared entities of the pairs, for as many pairs at a time as fit the memory."""
    backend, xp = index.backend, index.backend.xp
    n_shared = backend.pairs.count_shared(
        pairs.source, pairs.target, index.account_group, index.group_entity
    )
    block = (xp.cumsum(n_shared) - n_shared) // max(1, memory // _SHARED_BYTES)
    cuts = backend.to_host(xp.flatnonzero(mark_changes(block, xp=xp))).tolist()
    for first, last in pairwise([*cuts, pairs.source.size]):
        rows = slice(first, last)
        shared_start = _start_ranges(n_shared[rows], xp=xp)
        i, j, both = backend.pairs.count_within_shared(
            pairs.source[rows], pairs.target[rows], shared_start, index.account_group,
            index.group_entity, index.group_start, index.cell_bin, margins.lag,
        )  # fmt: skip
        shared = SharedCounts(
            pair=backend.repeat(xp.arange(last - first), n_shared[rows]),
            entity=index.group_entity[i],
            source_active=margins.source_active[i],
            target_active=margins.target_active[j],
            both_active=both,
        )
        yield rows, shared
