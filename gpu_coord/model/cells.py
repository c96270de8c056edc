"""Activity -> the transitions of its accounts, all entities together, none across their borders.

The one idea: a transition with nobody active before it is one of many alike, and only counted.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from gpu_coord.activity.cells import Activity
from gpu_coord.model.mixture import Background, Mixture
from gpu_coord.model.tables import Sources, lay_out

_HOUR, _HOURS = 3600, 24
# How often an account uses an entity: never, once, 2 or 3 bins, 4 to 7, more.
N_CLASSES = 5


@dataclass(frozen=True)
class Edges:
    """Pairs in which a source may explain a target, by target, then source; on the host."""

    source: np.ndarray
    target: np.ndarray


@dataclass(frozen=True)
class Transitions:
    """The transitions of all accounts: from each bin to the next, on each entity.

    The background of an account has its own frequency in each hour of the day and, apart from each
    other, on entities that it uses never, once, or more often.
    """

    activity: Activity
    birth: Any  # first bin of each account that is not missing, (n_accounts,)

    @cached_property
    def _hours(self) -> tuple[Any, int]:
        """Return the hour of each bin, numbered from 0 on, and how many there are."""
        activity = self.activity
        bins = activity.first_bin + np.arange(activity.n_bins)
        hour = bins * activity.bin_seconds // _HOUR % _HOURS
        present, number = np.unique(hour, return_inverse=True)
        return activity.backend.xp.asarray(number), int(present.size)

    @property
    def n_groups(self) -> int:
        """Frequencies of an account's background."""
        return N_CLASSES * self._hours[1]

    @cached_property
    def _use(self) -> tuple[Any, Any, Any]:
        """Return the (account, entity) pairs in use, ascending, their class, and each cell's."""
        activity, xp = self.activity, self.activity.backend.xp
        key = activity.account.astype(np.int64) * activity.n_entities + activity.entity
        pair, cell_pair, n_uses = xp.unique(key, return_inverse=True, return_counts=True)
        # 1, 2 to 3, 4 to 7, 8 and more.
        use = 1 + (n_uses >= 2) + (n_uses >= 4) + (n_uses >= 8)
        return pair, use, use[cell_pair.reshape(-1)]

    @cached_property
    def _cells(self) -> Any:
        """Return account, entity and bin of each cell in one number, ascending."""
        activity = self.activity
        moment = activity.entity.astype(np.int64) * activity.n_bins + activity.bin
        n_moments = activity.n_entities * activity.n_bins
        return activity.backend.xp.sort(activity.account.astype(np.int64) * n_moments + moment)

    @cached_property
    def sources(self) -> Sources:
        """The transitions that begin with each account active, numbered by where they lead."""
        activity, xp = self.activity, self.activity.backend.xp
        n_moments = activity.n_entities * activity.n_bins
        account, moment = self._cells // n_moments, self._cells % n_moments
        leads = moment % activity.n_bins < activity.n_bins - 1
        start = xp.zeros(activity.n_accounts + 1, dtype=np.int64)
        start[1:] = xp.cumsum(xp.bincount(account[leads], minlength=activity.n_accounts))
        return Sources(start, moment[leads] + 1, n_moments)

    @cached_property
    def counts(self) -> Any:
        """All transitions by account, group and status, (n_accounts, n_groups, 2)."""
        activity, xp = self.activity, self.activity.backend.xp
        hour, n_hours = self._hours
        n_accounts = activity.n_accounts
        pair, use, cell_use = self._use
        place = pair // activity.n_entities * N_CLASSES + use
        n_entities = xp.bincount(place, minlength=n_accounts * N_CLASSES)
        n_entities = n_entities.reshape(n_accounts, N_CLASSES)
        n_entities[:, 0] = activity.n_entities - n_entities[:, 1:].sum(axis=1)
        steps = n_entities[:, :, None] * self._count_hours()[:, None, :]
        observed = activity.bin >= xp.maximum(self.birth, 1)[activity.account]
        place = (activity.account.astype(np.int64) * N_CLASSES + cell_use) * n_hours
        place = (place + hour[activity.bin])[observed]
        events = xp.bincount(place, minlength=n_accounts * N_CLASSES * n_hours)
        events = events.reshape(n_accounts, N_CLASSES * n_hours).astype(np.float64)
        steps = steps.reshape(n_accounts, N_CLASSES * n_hours)
        return xp.stack([steps - events, events], axis=2)

    def _count_hours(self) -> Any:
        """Return the bins of each account in each hour, the first bin of all left out."""
        hour, n_hours = self._hours
        xp, n_bins = self.activity.backend.xp, self.activity.n_bins
        marks = (hour[:, None] == xp.arange(n_hours)[None, :]).astype(np.float64)
        left = xp.zeros((n_bins + 1, n_hours))
        left[:-1] = marks.sum(axis=0)[None, :] - (xp.cumsum(marks, axis=0) - marks)
        return left[xp.maximum(self.birth, 1)]

    def select(self, edges: Edges, targets: slice, background: Background | None) -> Mixture:
        """Return the transitions of a range of accounts, and who may explain them."""
        backend = self.activity.backend
        first, last = np.searchsorted(edges.target, [targets.start, targets.stop])

        def describe(target: Any, moment: Any) -> tuple[Any, Any, Any]:
            return self._describe(target + targets.start, moment)

        return lay_out(
            backend.xp.asarray(edges.target[first:last] - targets.start),
            backend.xp.asarray(edges.source[first:last]),
            self.sources, describe, self.counts[targets], background, backend=backend,
        )  # fmt: skip

    def _describe(self, account: Any, moment: Any) -> tuple[Any, Any, Any]:
        """Return status, weight and group of accounts at (entity, bin)."""
        activity, xp = self.activity, self.activity.backend.xp
        hour, n_hours = self._hours
        pair, use, _ = self._use
        entity, bin = moment // activity.n_bins, moment % activity.n_bins
        n_moments = activity.n_entities * activity.n_bins
        is_active = _contains(self._cells, account * n_moments + moment, xp=xp)[0]
        is_used, place = _contains(pair, account * activity.n_entities + entity, xp=xp)
        group = xp.where(is_used, use[place], 0) * n_hours + hour[bin]
        weight = (bin >= self.birth[account]).astype(np.float64)
        return is_active.astype(np.int64), weight, group

    def count_entries(self, edges: Edges) -> np.ndarray:
        """Return how many cells the sources of each account have, (n_accounts,)."""
        backend = self.activity.backend
        n_cells = backend.to_host(self.sources.count(backend.xp.asarray(edges.source)))
        n_entries = np.bincount(edges.target, weights=n_cells, minlength=self.activity.n_accounts)
        return np.asarray(n_entries.astype(np.int64))


def _contains(sorted_values: Any, values: Any, *, xp: Any) -> tuple[Any, Any]:
    """Tell which values are among sorted ones, and where."""
    place = xp.minimum(xp.searchsorted(sorted_values, values), sorted_values.size - 1)
    return sorted_values[place] == values, place


def cut_blocks(n_entries: np.ndarray, *, entry_bytes: int, memory: int) -> list[slice]:
    """Cut targets into ranges that fit the memory; one target alone may pass it."""
    sizes = entry_bytes * (n_entries + 1)
    block = np.cumsum(sizes) // max(1, memory)
    cuts = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), n_entries.size]
    return [slice(a, b) for a, b in pairwise(cuts) if a < b]
