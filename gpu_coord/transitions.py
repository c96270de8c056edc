"""Activity -> transition counts of all ordered pairs -> transition matrices and weights.

Counts are exact integers and expensive; weights are arithmetic on counts; thresholds come later.
A positive weight needs a coincidence, so everything after the first count looks at those pairs
only. Notation: a, b, n11, K as in docs/measure.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from gpu_coord.activity import Activity
from gpu_coord.backend import Backend, choose
from gpu_coord.choices import check_choice

Measure = Literal["trace", "frobenius"]
Undefined = Literal["marginal", "zero", "skip"]
Denominator = Literal["all", "union", "intersection", "source", "idf", "none"]

# Sums of weights of at most 1 are exact to about this; what is closer to 0 is 0.
_ROUNDING = 1e-12

# Bytes that one pair, and one shared entity of a pair, hold at the peak of `weigh_pairs`.
_PAIR_BYTES = 80
_SHARED_BYTES = 160


# --- dense: every matrix of every pair -----------------------------------------------------


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
    backend = backend or choose()
    xp = backend.xp
    n_steps, a, b, both = _count_active(active, lag, backend=backend)
    active_steps = xp.where(a == 0, xp.nan, a)
    silent_steps = xp.where(a == n_steps, xp.nan, n_steps - a)
    matrices = xp.empty((*both.shape, 2, 2))
    matrices[..., 1, 1] = both / active_steps
    matrices[..., 1, 0] = (a - both) / active_steps
    matrices[..., 0, 1] = (b - both) / silent_steps
    matrices[..., 0, 0] = (n_steps - a - b + both) / silent_steps
    return matrices


def count_transitions(active: Any, lag: int = 1, *, backend: Backend | None = None) -> Any:
    """Count the transitions behind `transition_matrices`.

    Returns
    -------
        Integers, (..., n_accounts, n_accounts, 2, 2); the four counts of a pair sum to the
        number of transitions, n_bins - lag.
    """
    backend = backend or choose()
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


# --- sparse: the pairs with a coincidence --------------------------------------------------


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
    new_column = _mark_changes(entity, bin, xp=xp)
    column = xp.cumsum(new_column) - 1
    by_account = xp.argsort(account, kind="stable")
    account_cells = account[by_account]
    group_of = entity[by_account]
    new_group = _mark_changes(account_cells, group_of, xp=xp)
    group_starts = xp.flatnonzero(new_group)
    column_starts = xp.flatnonzero(new_column)
    n_cells = xp.asarray([account.size], dtype=np.int64)
    return CellIndex(
        backend=activity.backend,
        n_accounts=activity.n_accounts,
        n_bins=activity.n_bins,
        account_start=_count_up(account_cells, activity.n_accounts, xp=xp),
        cell_column=column[by_account].astype(np.int32),
        cell_bin=bin[by_account].astype(np.int32),
        column_start=xp.concatenate([column_starts, n_cells, n_cells]),
        column_account=account,
        column_entity=entity[column_starts],
        column_bin=bin[column_starts],
        account_group=_count_up(account_cells[group_starts], activity.n_accounts, xp=xp),
        group_start=xp.concatenate([group_starts, n_cells]),
        group_entity=group_of[group_starts],
    )


def _mark_changes(*keys: Any, xp: Any) -> Any:
    """Mark the rows where any of the sorted keys differs from the row before."""
    changed = xp.zeros(keys[0].size, dtype=bool)
    changed[:1] = True
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return changed


def _count_up(keys: Any, n_keys: int, *, xp: Any) -> Any:
    """Return where each key's rows begin, keys ascending, (n_keys + 1,)."""
    starts = xp.zeros(n_keys + 1, dtype=np.int64)
    starts[1:] = xp.cumsum(xp.bincount(keys, minlength=n_keys))
    return starts


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
    total = xp.zeros(values.size + 1, dtype=np.int64)
    xp.cumsum(values, out=total[1:])
    return total[starts[1:]] - total[starts[:-1]]


@dataclass(frozen=True)
class PairCounts:
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
    bounds = [_bound_pairs(index, margin, min_support=min_support) for margin in margins]
    n_pairs = index.backend.to_host(sum(bounds[1:], bounds[0]))
    block_pairs = max(1, memory // _PAIR_BYTES)
    block = np.cumsum(n_pairs) // block_pairs
    cuts = np.flatnonzero(np.diff(block)) + 1
    edges = [0, *cuts.tolist(), index.n_accounts]
    return [(first, last) for first, last in pairwise(edges) if first < last]


def _bound_pairs(index: CellIndex, margins: Margins, *, min_support: int) -> Any:
    """Return the most pairs with enough support that each source can have."""
    return index.backend.xp.minimum(margins.n_coincidences // min_support, index.n_accounts - 1)


def count_pairs(
    index: CellIndex, margins: Margins, first: int, last: int, *, min_support: int
) -> PairCounts:
    """Count the coincidences of the sources first..last-1 with every other account.

    A coincidence: the source is active on an entity in a bin, and the target ``lag`` bins later.
    """
    backend, xp = index.backend, index.backend.xp
    bound = _bound_pairs(index, margins, min_support=min_support)[first:last]
    n_kept, target, support = backend.pairs.count_pairs(
        first, last, bound, margins.n_coincidences, index.account_start, index.cell_column,
        margins.lagged_column, index.column_start, index.column_account, min_support,
    )  # fmt: skip
    source = backend.repeat(xp.arange(first, last, dtype=np.int32), n_kept)
    return PairCounts(source, target, support)


def _start_ranges(sizes: Any, *, xp: Any) -> Any:
    starts = xp.zeros(sizes.size + 1, dtype=np.int64)
    xp.cumsum(sizes, out=starts[1:])
    return starts


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
    cuts = backend.to_host(xp.flatnonzero(_mark_changes(block, xp=xp))).tolist()
    for first, last in pairwise([*cuts, pairs.source.size]):
        rows = slice(first, last)
        shared_start = _start_ranges(n_shared[rows], xp=xp)
        i, j, both = backend.pairs.count_within_shared(
            pairs.source[rows], pairs.target[rows], shared_start, index.account_group,
            index.group_entity, index.group_start, index.cell_bin, margins.lag,
        )  # fmt: skip
        yield (
            rows,
            SharedCounts(
                pair=backend.repeat(xp.arange(last - first), n_shared[rows]),
                entity=index.group_entity[i],
                source_active=margins.source_active[i],
                target_active=margins.target_active[j],
                both_active=both,
            ),
        )


# --- weights: arithmetic on counts ---------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class WeightRule:
    """How the counts of a pair become a weight; see docs/measure.md for the formulas."""

    measure: Measure = "trace"
    undefined: Undefined = "marginal"
    shrink: float = 0.0  # pseudo-transitions at the target's marginal rate
    denominator: Denominator = "all"

    def __post_init__(self) -> None:
        check_choice("measure", self.measure, get_args(Measure))
        check_choice("undefined", self.undefined, get_args(Undefined))
        check_choice("denominator", self.denominator, get_args(Denominator))
        if not 0 <= self.shrink < float("inf"):
            raise ValueError(f"shrink is {self.shrink}; it is a number of transitions, 0 or more.")


def weigh_entities(both: Any, a: Any, b: Any, n_steps: int, rule: WeightRule, *, xp: Any) -> Any:
    """Return the weight of a pair on one entity, for arrays of counts.

    Parameters
    ----------
    both, a, b
        Coincidences, active bins of the source and of the target, integers, broadcastable.
    n_steps
        Transitions, K.
    rule
        The convention.

    Returns
    -------
        1 - measure. ``trace``: P(1|1) - P(1|0), the measure of Erhardt & Pentland (2023) read as
        2 - tr A; ``frobenius``: 1 - ||A - I||. Entities that ``skip`` leaves out get 0.
    """
    # The products below pass 2^31 long before the counts do.
    both, a, b = (xp.asarray(count).astype(np.int64) for count in (both, a, b))
    source_ever, source_always = a > 0, a == n_steps
    defined = source_ever & ~source_always
    if rule.measure == "trace" and rule.shrink == 0:
        # One quotient of integers: independence gives exactly 0, so no rounding makes an edge.
        weight = (both * n_steps - a * b) / xp.where(defined, a * (n_steps - a), 1)
    else:
        weight = _weigh_probabilities(both, a, b, n_steps, rule, defined=defined, xp=xp)
    if rule.undefined == "zero" and rule.shrink == 0:
        return xp.where(defined, weight, _weigh_undefined(a, b, n_steps, rule, xp=xp))
    if rule.undefined == "skip":
        return xp.where(defined & (b > 0), weight, 0.0)
    return weight if rule.shrink else xp.where(defined, weight, 0.0)


def _weigh_probabilities(
    both: Any, a: Any, b: Any, n_steps: int, rule: WeightRule, *, defined: Any, xp: Any
) -> Any:
    pseudo = rule.shrink * b / n_steps
    guard = xp.where(defined | (rule.shrink > 0), 0.0, 1.0)  # undefined rows are replaced later
    follow = (both + pseudo) / (a + rule.shrink + guard)
    prompt = (b - both + pseudo) / (n_steps - a + rule.shrink + guard)
    if rule.measure == "trace":
        return follow - prompt
    return 1.0 - xp.sqrt(2.0 * ((1.0 - follow) ** 2 + prompt**2))


def _weigh_undefined(a: Any, b: Any, n_steps: int, rule: WeightRule, *, xp: Any) -> Any:
    """Return the weight where a row of A is filled with zeros, as the published package does."""
    rate = b / n_steps
    never = a == 0
    if rule.measure == "trace":
        return xp.where(never, -rate, rate - 1.0)
    return 1.0 - xp.where(
        never, xp.sqrt(1.0 + 2.0 * rate**2), xp.sqrt(1.0 + 2.0 * (1.0 - rate) ** 2)
    )


@dataclass(frozen=True)
class PairWeights:
    """The weights of the pairs of a block; rows as in `PairCounts`."""

    weight: Any  # mean over the kinds, (n_pairs,)
    by_kind: Any  # (n_pairs, n_kinds)


class Weigher:
    """Turns the counts of an activity's pairs, at one lag, into weights.

    It holds what does not depend on the pair: entity weights, denominators, and the part of each
    account's sum that comes from entities which the other account never used.
    """

    def __init__(self, activity: Activity, index: CellIndex, margins: Margins, rule: WeightRule):
        self.index, self.margins, self.rule = index, margins, rule
        self.xp = activity.backend.xp
        self.n_kinds = len(activity.kinds)
        self.entity_kind = activity.entity_kind
        self.omega = self._weigh_by_users(activity)
        self.total = self._sum_kinds(self.entity_kind * 0, self.entity_kind, self.omega, 1)[0]
        self.silent = self._weigh(0, 0, 0)
        a, b = margins.source_active, margins.target_active
        self.source_rest = self._sum_groups(self._weigh(0, a, 0) - self.silent)
        self.target_rest = self._sum_groups(self._weigh(0, 0, b) - self.silent)
        self.source_used = self._sum_groups(a > 0)
        self.target_used = self._sum_groups(b > 0)

    def weigh(self, pairs: PairCounts, *, memory: int) -> PairWeights:
        """Return the weight of each pair, as a whole and by kind."""
        xp = self.xp
        by_kind = xp.empty((pairs.source.size, self.n_kinds))
        for rows, shared in iter_shared(self.index, self.margins, pairs, memory=memory):
            source, target = pairs.source[rows], pairs.target[rows]
            by_kind[rows] = self._sum_pairs(shared, source, target) / self._divide_by(
                shared, source, target
            )
        return PairWeights(weight=by_kind.mean(axis=1), by_kind=by_kind)

    def attribute(self, pairs: PairCounts, *, memory: int) -> Any:
        """Return how much of the pairs' summed weight each entity carries, (n_entities,).

        Entities that both accounts used; with the default rule these are all that count.
        """
        xp = self.xp
        carried = xp.zeros(self.entity_kind.size)
        for rows, shared in iter_shared(self.index, self.margins, pairs, memory=memory):
            divisor = self._divide_by(shared, pairs.source[rows], pairs.target[rows])
            share = self._weigh(shared.both_active, shared.source_active, shared.target_active)
            share = share * self.omega[shared.entity] / self.n_kinds
            share = share / divisor[shared.pair, self.entity_kind[shared.entity]]
            carried += xp.bincount(shared.entity, weights=share, minlength=carried.size)
        return carried

    def _weigh(self, both: Any, a: Any, b: Any) -> Any:
        return weigh_entities(both, a, b, self.margins.n_steps, self.rule, xp=self.xp)

    def _weigh_by_users(self, activity: Activity) -> Any:
        """Return omega: 1, or log(n_accounts / n_users) under ``idf``."""
        xp = self.xp
        if self.rule.denominator != "idf" or self.rule.undefined == "skip":
            return xp.ones(activity.n_entities)
        users = xp.bincount(self.index.group_entity, minlength=activity.n_entities)
        return xp.log(activity.n_accounts / users)

    def _sum_kinds(self, row: Any, kind: Any, values: Any, n_rows: int) -> Any:
        cells = row.astype(np.int64) * self.n_kinds + kind
        sums = self.xp.bincount(cells, weights=values, minlength=n_rows * self.n_kinds)
        return sums.reshape(n_rows, self.n_kinds)

    def _sum_groups(self, values: Any) -> Any:
        """Sum over the entities of each account, by kind, (n_accounts, n_kinds)."""
        index, xp = self.index, self.xp
        account = index.backend.repeat(
            xp.arange(index.n_accounts), index.account_group[1:] - index.account_group[:-1]
        )
        omega = self.omega[index.group_entity]
        kind = self.entity_kind[index.group_entity]
        return self._sum_kinds(account, kind, values * omega, index.n_accounts)

    def _sum_pairs(self, shared: SharedCounts, source: Any, target: Any) -> Any:
        """Sum the weights over all entities, by kind, (n_pairs, n_kinds).

        Entities that neither, one, or both accounts used add w(0,0,0), w(0,a,0) or w(0,0,b), and
        w(n11,a,b); the first three are summed once per account, so only shared entities are met.
        """
        a, b = shared.source_active, shared.target_active
        excess = self._weigh(shared.both_active, a, b) + self.silent
        excess = excess - self._weigh(0, a, 0) - self._weigh(0, 0, b)
        kind = self.entity_kind[shared.entity]
        sums = self._sum_kinds(shared.pair, kind, excess * self.omega[shared.entity], source.size)
        if self.rule.undefined != "skip":
            sums += self.source_rest[source] + self.target_rest[target]
            sums += self.total * self.silent
        return self.xp.where(abs(sums) < _ROUNDING, 0.0, sums)

    def _divide_by(self, shared: SharedCounts, source: Any, target: Any) -> Any:
        """Return the denominators, (n_pairs, n_kinds); nothing to divide by gives a weight of 0."""
        xp, choice = self.xp, self.rule.denominator
        if self.rule.undefined == "skip" or choice in ("intersection", "union"):
            divisor = self._count_common(shared, source.size)
            if choice == "union" and self.rule.undefined != "skip":
                divisor = self.source_used[source] + self.target_used[target] - divisor
        elif choice == "source":
            divisor = self.source_used[source]
        else:
            divisor = xp.broadcast_to(
                xp.ones(self.n_kinds) if choice == "none" else self.total,
                (source.size, self.n_kinds),
            )
        return xp.where(divisor > 0, divisor, xp.inf)

    def _count_common(self, shared: SharedCounts, n_pairs: int) -> Any:
        a, b = shared.source_active, shared.target_active
        common = (a > 0) & (b > 0)
        if self.rule.undefined == "skip":
            common = common & (a < self.margins.n_steps)
        kind = self.entity_kind[shared.entity]
        return self._sum_kinds(shared.pair, kind, common.astype(float), n_pairs)


# --- edges: thresholds on weights ----------------------------------------------------------


@dataclass(frozen=True)
class Edges:
    """Ordered pairs that pass the thresholds, by source, then target."""

    source: Any  # account, (n_edges,)
    target: Any
    weight: Any
    by_kind: Any  # (n_edges, n_kinds)
    support: Any
    lag: Any  # bins

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return int(self.source.size)

    def take(self, rows: Any) -> "Edges":
        """Return some of the edges, by position or by mark."""
        columns = (self.source, self.target, self.weight, self.by_kind, self.support, self.lag)
        return Edges(*(column[rows] for column in columns))


def select_edges(
    pairs: PairCounts, weights: PairWeights, *, lag: int, min_weight: float, xp: Any
) -> Edges:
    """Return the pairs whose weight lies above a minimum."""
    edges = Edges(
        source=pairs.source,
        target=pairs.target,
        weight=weights.weight,
        by_kind=weights.by_kind,
        support=pairs.support,
        lag=xp.full(pairs.source.size, lag, dtype=np.int32),
    )
    return edges.take(edges.weight > min_weight)


def choose_lags(by_lag: Sequence[Edges], *, n_accounts: int, xp: Any) -> Edges:
    """Return each pair once, at the lag of its largest weight; ties go to the shorter lag."""
    if len(by_lag) == 1:
        return by_lag[0]
    names = ("source", "target", "weight", "by_kind", "support", "lag")
    edges = Edges(*(xp.concatenate([getattr(part, name) for part in by_lag]) for name in names))
    pair = edges.source.astype(np.int64) * n_accounts + edges.target
    order = xp.lexsort(xp.stack([edges.lag, -edges.weight, pair]))
    return edges.take(order[_mark_changes(pair[order], xp=xp)])
