"""Transitions -> mixtures for some targets, with the sites and the background as they copy.

The one idea: most transitions begin with every site at rest (status 0). They differ by group and by
what the target did, no more, so they are counted and stand in one row each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_coord.backend import Backend
from gpu_coord.model.mixture import Background, DenseDesign, FlatDesign, Mixture
from gpu_coord.model.statuses import Steps

# Below this part of ones a product of sparse and dense is quicker than one of dense matrices.
_SPARSE = 0.1


@dataclass(frozen=True)
class Table:
    """The transitions of all targets where some site was active, and counts of the others."""

    backend: Backend
    columns: Any  # (n_rows, n_columns)
    column_site: Any  # None where a column is a site
    column_status: Any
    after: Any  # (n_rows, n_sites), -1 where missing
    group: Any  # (n_rows,)
    resting: Any  # counts without a row, (n_sites, n_groups, n_statuses)

    @property
    def target_bytes(self) -> int:
        """Memory that a target takes while it is learned."""
        return 8 * 20 * int(self.after.shape[0] + self.resting[0].size)

    def select(self, targets: slice, background: Background | None, allowed: Any) -> Mixture:
        """Return the transitions of some targets.

        Parameters
        ----------
        targets
            A range of sites.
        background
            Whether there is one, and how its frequencies are found.
        allowed
            Sites that may explain a target, (n_sites, n_sites), or None.
        """
        xp = self.backend.xp
        after = self.after[:, targets]
        _, n_groups, n_statuses = self.resting.shape
        status = xp.tile(xp.arange(n_statuses), n_groups)
        status = xp.broadcast_to(status[:, None], (status.size, after.shape[1]))
        status = xp.concatenate([xp.maximum(after, 0), status.astype(after.dtype)])
        resting = self.resting[targets].reshape(after.shape[1], -1).T
        group = self.backend.repeat(xp.arange(n_groups), xp.full(n_groups, n_statuses))
        group = xp.concatenate([self.group, group])
        n_sites = int(self.after.shape[1])
        return Mixture(
            design=DenseDesign(xp, self.columns, self.column_site, after.shape[1], n_sites),
            status=status,
            weight=xp.concatenate([(after >= 0).astype(np.float64), resting]),
            slot=group[:, None] * n_statuses + status,
            n_groups=n_groups,
            n_statuses=n_statuses,
            background=background,
            base=(0.0,) * (n_statuses - 1),
            slope=self._list_copies(n_statuses),
            is_copy=True,
            allowed=None if allowed is None else xp.asarray(allowed[targets]),
        )

    def _list_copies(self, n_statuses: int) -> tuple[Any, ...]:
        if n_statuses == 2:
            return (1.0,)
        marks = [(self.column_status == s)[None, :] for s in range(1, n_statuses)]
        return tuple(mark.astype(np.float64) for mark in marks)


def tabulate(steps: Steps, backend: Backend) -> Table:
    """Spread statuses out over columns, and count the transitions from rest."""
    xp, n_most = backend.xp, steps.n_most
    active = (steps.before > 0).any(axis=1)
    before = steps.before[active]
    status, site = np.ones(steps.n_sites, np.int64), None
    columns = before == 1
    if n_most > 2:
        status = np.tile(np.arange(1, n_most), steps.n_sites)
        site = np.repeat(np.arange(steps.n_sites), n_most - 1)
        columns = before[:, site] == status
    # A row of zeros for each group and status: what rests is counted there.
    columns = np.concatenate([columns, np.zeros((steps.n_groups * n_most, columns.shape[1]), bool)])
    return Table(
        backend=backend,
        columns=_store_columns(columns, backend),
        column_site=None if site is None else xp.asarray(site),
        column_status=xp.asarray(status),
        after=xp.asarray(steps.after[active]),
        group=xp.asarray(steps.group[active]),
        resting=xp.asarray(count_statuses(steps, ~active)),
    )


def _store_columns(columns: np.ndarray, backend: Backend) -> Any:
    if backend.name == "cpu" and columns.mean() < _SPARSE:
        from scipy.sparse import csr_array

        return csr_array(columns, dtype=np.float64)
    return backend.xp.asarray(columns.astype(np.float64))


def count_statuses(steps: Steps, chosen: Any) -> np.ndarray:
    """Count the transitions marked, by target, group and status; missing ones nowhere."""
    after, group = steps.after[chosen], steps.group[chosen]
    counts = np.zeros((steps.n_groups, steps.n_most, steps.n_sites))
    for status in range(steps.n_most):
        # Rows of a group are added up by a product: marks are few, groups fewer.
        marks = (after == status).astype(np.float32)
        members = (group[None, :] == np.arange(steps.n_groups)[:, None]).astype(np.float32)
        counts[:, status] = members @ marks
    return np.asarray(counts.transpose(2, 0, 1))


# --- flat ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sources:
    """When each site was active: the transitions that began so, by site."""

    start: Any  # of each site's cells, (n_sites + 1,)
    transition: Any  # (n_cells,)
    n_transitions: int

    def count(self, sites: Any) -> Any:
        """Count the cells of sites."""
        return self.start[sites + 1] - self.start[sites]


Describe = Callable[[Any, Any], tuple[Any, Any, Any]]


def lay_out(
    edge_target: Any,
    edge_source: Any,
    sources: Sources,
    describe: Describe,
    counts: Any,
    background: Background | None,
    *,
    backend: Backend,
) -> Mixture:
    """List the transitions of some targets that begin with a source active; count the others.

    Parameters
    ----------
    edge_target, edge_source
        Which site may explain which target; targets ascend and are numbered from 0, (n_edges,).
    sources
        When sites were active.
    describe
        Returns status, weight and group of some (targets, transitions).
    counts
        All transitions, listed or not, (n_targets, n_groups, 2).
    background
        Whether there is one, and how its frequencies are found.
    """
    xp = backend.xp
    n_targets, n_groups, _ = counts.shape
    n_cells = sources.count(edge_source)
    entry_edge = backend.repeat(xp.arange(edge_source.size), n_cells)
    skipped = sources.start[edge_source] - (xp.cumsum(n_cells) - n_cells)
    cell = xp.arange(entry_edge.size) + skipped[entry_edge]
    key = edge_target.astype(np.int64)[entry_edge] * sources.n_transitions
    key, entry_row = xp.unique(key + sources.transition[cell], return_inverse=True)
    target = key // sources.n_transitions
    status, weight, group = describe(target, key % sources.n_transitions)
    slot = 2 * group + status
    place = target * (2 * n_groups) + slot
    listed = xp.bincount(place, weights=weight, minlength=counts.size).reshape(-1)
    unlisted = counts.reshape(-1) - listed
    kept = xp.flatnonzero(unlisted > 0)
    row_target = xp.concatenate([target, kept // (2 * n_groups)])
    return Mixture(
        design=FlatDesign(
            xp, entry_row.reshape(-1), entry_edge, row_target, edge_target, int(n_targets)
        ),
        status=xp.concatenate([status, kept % 2]),
        weight=xp.concatenate([weight, unlisted[kept]]),
        slot=xp.concatenate([slot, kept % (2 * n_groups)]),
        n_groups=int(n_groups),
        n_statuses=2,
        background=background,
        base=(0.0,),
        slope=(1.0,),
        is_copy=True,
    )


@dataclass(frozen=True)
class Listed:
    """The transitions of sites with two statuses, of which a few may explain each."""

    backend: Backend
    sources: Sources
    source: np.ndarray  # of each edge, by target, then source
    start: np.ndarray  # edges of each target, (n_sites + 1,)
    after: Any
    group: Any
    counts: Any  # (n_sites, n_groups, 2)

    @property
    def target_bytes(self) -> int:
        """Memory that a target takes while it is learned, on average."""
        n_cells = self.sources.count(self.backend.xp.asarray(self.source)).sum()
        return 8 * 40 * (1 + int(n_cells) // max(1, self.start.size - 1))

    def select(self, targets: slice, background: Background | None) -> Mixture:
        """Return the transitions of a range of targets."""
        xp, first = self.backend.xp, targets.start
        edges = slice(self.start[first], self.start[targets.stop])
        sizes = np.diff(self.start[first : targets.stop + 1])
        target = np.repeat(np.arange(targets.stop - first), sizes)

        def describe(site: Any, transition: Any) -> tuple[Any, Any, Any]:
            found = self.after[transition, site + first]
            return xp.maximum(found, 0), (found >= 0).astype(np.float64), self.group[transition]

        return lay_out(
            xp.asarray(target), xp.asarray(self.source[edges]), self.sources, describe,
            self.counts[targets], background, backend=self.backend,
        )  # fmt: skip


def list_transitions(steps: Steps, allowed: Any, backend: Backend) -> Listed:
    """List what `Listed` says, for the pairs (target, source) that are allowed."""
    xp = backend.xp
    site, transition = np.nonzero(steps.before.T > 0)
    target, source = np.nonzero(allowed)
    start, edge_start = (
        np.searchsorted(ascending, np.arange(steps.n_sites + 1)) for ascending in (site, target)
    )
    return Listed(
        backend=backend,
        sources=Sources(xp.asarray(start), xp.asarray(transition), steps.before.shape[0]),
        source=source,
        start=edge_start,
        after=xp.asarray(steps.after),
        group=xp.asarray(steps.group),
        counts=xp.asarray(count_statuses(steps, slice(None))),
    )
