"""Counts of pairs -> weights by entity and kind -> edges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import (
    CellIndex,
    Margins,
    PairCounts,
    SharedCounts,
    iter_shared,
    mark_changes,
)
from gpu_coord.activity.settings import WeightRule

# Sums of weights of at most 1 are exact to about this; what is closer to 0 is 0.
_ROUNDING = 1e-12


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

    @property
    def xp(self) -> Any:
        """The array library; a module, which nothing that goes to other processes can hold."""
        return self.index.backend.xp

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


class Edges(NamedTuple):
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
        return Edges(*(column[rows] for column in self))


def join_edges(parts: Sequence[Edges], *, xp: Any = np) -> Edges:
    """Return several tables of edges, one after the other."""
    return Edges(*map(xp.concatenate, zip(*parts, strict=True)))


def select_edges(
    pairs: PairCounts, weights: PairWeights, *, lag: int, min_weight: float, xp: Any
) -> Edges:
    """Return the pairs whose weight lies above a minimum."""
    lags = xp.full(pairs.source.size, lag, dtype=np.int32)
    source, target, support = pairs
    edges = Edges(source, target, weights.weight, weights.by_kind, support, lags)
    return edges.take(edges.weight > min_weight)


def choose_lags(by_lag: Sequence[Edges], *, n_accounts: int, xp: Any) -> Edges:
    """Return each pair once, at the lag of its largest weight; ties go to the shorter lag."""
    if len(by_lag) == 1:
        return by_lag[0]
    edges = join_edges(by_lag, xp=xp)
    pair = edges.source.astype(np.int64) * n_accounts + edges.target
    order = xp.lexsort(xp.stack([edges.lag, -edges.weight, pair]))
    return edges.take(order[mark_changes(pair[order], xp=xp)])
