"""Observed transitions as mixtures: each is explained by the sites before it, or the background.

In: statuses before and after. Out: sums over transitions and over sites, for all targets at once.
The one idea: a `Mixture` is linear in its `Point`, so learning needs `mix` and its transpose only.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

Background = Literal["learned", "given"]

# No probability that data realise is smaller; what rounds to less is this.
SMALLEST = 1e-14


@dataclass(frozen=True, slots=True)
class Point:
    """A candidate for the rows of D of some targets.

    ``mass`` is d_ij, as a design lays it out. ``atoms`` (n_targets, n_groups, n_atoms) is the
    background: what of its mass says each status, in each group of transitions; every group of a
    target sums to the background's mass. A given background is one atom, its mass.
    """

    mass: Any
    atoms: Any

    def step(self, other: "Point", by_mass: Any, by_atoms: Any) -> "Point":
        """Return this point plus multiples, by target, of another."""
        return Point(self.mass + by_mass * other.mass, self.atoms + by_atoms * other.atoms)


@dataclass(frozen=True)
class DenseDesign:
    """Every site may explain every target: products of matrices.

    ``columns`` (n_rows, n_columns) is 1 where a site had a status other than 0 before; with two
    statuses a column is a site. Rows without any are put together by group and status.
    """

    xp: Any
    columns: Any
    column_site: Any  # None where a column is a site
    n_targets: int
    n_sites: int

    def push(self, values: Any) -> Any:
        """Add up, for each transition and target, the values of the columns that are 1."""
        return self.columns @ values.T

    def pull(self, rows: Any) -> Any:
        """Add up, for each target and column, the rows where it is 1."""
        return rows.T @ self.columns

    def expand(self, values: Any) -> Any:
        """Copy values of sites to their columns."""
        if self.column_site is None or isinstance(values, float) or values.shape[1] == 1:
            return values
        return values[:, self.column_site]

    def fold(self, values: Any) -> Any:
        """Add up columns by their site."""
        return values if self.column_site is None else values @ self._membership

    @cached_property
    def _membership(self) -> Any:
        marks = self.column_site[:, None] == self.xp.arange(self.n_sites)[None, :]
        return marks.astype(self.columns.dtype)

    def sum_sites(self, values: Any) -> Any:
        """Add up over the sites of each target, (n_targets,)."""
        return values.sum(axis=1)

    def max_sites(self, values: Any) -> Any:
        """Return the largest over the sites of each target, (n_targets,)."""
        return values.max(axis=1)

    def sum_rows(self, rows: Any) -> Any:
        """Add up over the transitions of each target, (n_targets,)."""
        return rows.sum(axis=0)

    def spread_sites(self, values: Any) -> Any:
        """Lay values of targets beside their sites."""
        return values[:, None]

    def spread_rows(self, values: Any) -> Any:
        """Lay values of targets beside their transitions."""
        return values[None, :]

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the layout of what belongs to sites."""
        return (self.n_targets, self.n_sites)

    def find_sites(self, targets: Any) -> Any:
        """Return where the sites of some targets are laid out."""
        return targets

    def take(self, targets: Any) -> tuple["DenseDesign", Any]:
        """Return the design of some targets, and where their transitions are laid out."""
        return replace(self, n_targets=int(targets.size)), (slice(None), targets)


@dataclass(frozen=True)
class FlatDesign:
    """A few sites may explain each target: one list of (transition, site) for all targets.

    An edge is a pair of a target and a site that may explain it; edges ascend by target. An entry
    is a transition of an edge's target before which its site had the status 1.
    """

    xp: Any
    entry_row: Any
    entry_edge: Any
    row_target: Any
    edge_target: Any
    n_targets: int

    column_site = None

    def push(self, values: Any) -> Any:
        """Add up, for each transition, the values of the edges whose site was at 1."""
        weights = values[self.entry_edge]
        return self.xp.bincount(self.entry_row, weights=weights, minlength=self.row_target.size)

    def pull(self, rows: Any) -> Any:
        """Add up, for each edge, the transitions before which its site was at 1."""
        weights = rows[self.entry_row]
        return self.xp.bincount(self.entry_edge, weights=weights, minlength=self.edge_target.size)

    def expand(self, values: Any) -> Any:
        """Return the values: an edge is a column."""
        return values

    fold = expand

    def sum_sites(self, values: Any) -> Any:
        """Add up over the edges of each target, (n_targets,)."""
        return self.xp.bincount(self.edge_target, weights=values, minlength=self.n_targets)

    def max_sites(self, values: Any) -> Any:
        """Return the largest over the edges of each target, 0 without any, (n_targets,)."""
        found = self.xp.zeros(self.n_targets)
        if values.size:
            order = self.xp.lexsort(self.xp.stack([values, self.edge_target.astype(float)]))
            target = self.edge_target[order]
            last = self.xp.ones(target.size, dtype=bool)
            last[:-1] = target[1:] != target[:-1]
            found[target[last]] = values[order][last]
        return found

    def sum_rows(self, rows: Any) -> Any:
        """Add up over the transitions of each target, (n_targets,)."""
        return self.xp.bincount(self.row_target, weights=rows, minlength=self.n_targets)

    def spread_sites(self, values: Any) -> Any:
        """Lay values of targets beside their edges."""
        return values[self.edge_target]

    def spread_rows(self, values: Any) -> Any:
        """Lay values of targets beside their transitions."""
        return values[self.row_target]

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the layout of what belongs to edges."""
        return (int(self.edge_target.size),)

    def find_sites(self, targets: Any) -> Any:
        """Return where the edges of some targets, in ascending order, are laid out."""
        return self.xp.flatnonzero(self._place(targets)[self.edge_target] >= 0)

    def _place(self, targets: Any) -> Any:
        place = self.xp.full(self.n_targets, -1, dtype=np.int64)
        place[targets] = self.xp.arange(targets.size)
        return place

    def take(self, targets: Any) -> tuple["FlatDesign", Any]:
        """Return the design of some targets, and where their transitions are laid out."""
        place = self._place(targets)
        edges = self.find_sites(targets)
        rows = self.xp.flatnonzero(place[self.row_target] >= 0)
        new_edge = _number(edges, self.edge_target.size, xp=self.xp)
        new_row = _number(rows, self.row_target.size, xp=self.xp)
        entries = self.xp.flatnonzero(new_edge[self.entry_edge] >= 0)
        kept = replace(
            self,
            entry_row=new_row[self.entry_row[entries]],
            entry_edge=new_edge[self.entry_edge[entries]],
            row_target=place[self.row_target[rows]],
            edge_target=place[self.edge_target[edges]],
            n_targets=int(targets.size),
        )
        return kept, rows


def _number(kept: Any, n_all: int, *, xp: Any) -> Any:
    """Return the new number of each of what is kept, -1 for the rest."""
    number = xp.full(n_all, -1, dtype=np.int64)
    number[kept] = xp.arange(kept.size)
    return number


@dataclass(frozen=True)
class Mixture:
    """The transitions of some targets, and how each site and the background explain them.

    What belongs to transitions is laid out (n_rows, n_targets) in a `DenseDesign` and in one list
    in a `FlatDesign`; what belongs to sites (n_targets, n_sites), or in one list.

    ``base`` and ``slope`` hold, for the statuses 1, 2, ... of the target, its probability where a
    site was at 0, and how much more it is in each column.
    """

    design: Any
    status: Any  # of the target, afterwards
    weight: Any  # transitions that a row stands for; 0: none
    slot: Any  # group * n_statuses + status
    n_groups: int
    n_statuses: int
    background: Background | None
    base: tuple[Any, ...]
    slope: tuple[Any, ...]
    is_copy: bool  # all that a site may say has the probability 0 or 1
    given: Any = None  # probability of each row under a given background
    allowed: Any = None  # sites that may explain a target, None: all

    @property
    def xp(self) -> Any:
        """NumPy or CuPy."""
        return self.design.xp

    @property
    def n_targets(self) -> int:
        """Rows of D."""
        return int(self.design.n_targets)

    @property
    def atom_shape(self) -> tuple[int, int, int]:
        """Return the layout of the background: targets, groups and statuses, where it has any."""
        if self.background is None:
            return (self.n_targets, 1, 0)
        if self.background == "given":
            return (self.n_targets, 1, 1)
        return (self.n_targets, self.n_groups, self.n_statuses)

    @cached_property
    def n_bounds(self) -> Any:
        """Masses and atoms of each target, none below 0, (n_targets,)."""
        _, n_groups, n_atoms = self.atom_shape
        ones = self.mask(self.xp.ones(self.design.shape))
        return self.design.sum_sites(ones) + n_groups * n_atoms

    @cached_property
    def n_steps(self) -> Any:
        """Transitions of each target, (n_targets,)."""
        return self.design.sum_rows(self.weight)

    @cached_property
    def counts(self) -> Any:
        """Transitions of each target by group and status, (n_targets, n_groups, n_statuses)."""
        return self._count(self.weight)

    @cached_property
    def cell(self) -> Any:
        """Group and status of each row among those of all targets."""
        first = self.xp.arange(self.n_targets) * (self.n_groups * self.n_statuses)
        return self.slot + self.design.spread_rows(first)

    def _count(self, rows: Any) -> Any:
        shape = (self.n_targets, self.n_groups, self.n_statuses)
        cell, n_cells = self.cell.reshape(-1), shape[0] * shape[1] * shape[2]
        return self.xp.bincount(cell, weights=rows.reshape(-1), minlength=n_cells).reshape(shape)

    @cached_property
    def _signs(self) -> list[Any]:
        """Return, for the statuses 1, 2, ...: 1 where it came, -1 where 0 came."""
        silent = (self.status == 0).astype(np.float64)
        return [(self.status == s) - silent for s in range(1, self.n_statuses)]

    def mix(self, point: Point) -> Any:
        """Return the probability that a point gives each transition; linear in the point."""
        design, xp = self.design, self.xp
        left, levels, mixed = design.sum_sites(point.mass), [], None
        for base, slope, sign in zip(self.base, self.slope, self._signs, strict=True):
            said = design.push(design.expand(point.mass) * slope) * sign
            mixed = said if mixed is None else mixed + said
            level = design.sum_sites(point.mass * base)
            levels.append(level)
            left = left - level
        table = xp.stack([left, *levels], axis=1)[:, None, :]
        table = table + (point.atoms if self.background == "learned" else 0.0)
        table = xp.broadcast_to(table, (self.n_targets, self.n_groups, self.n_statuses))
        mixed = mixed + table.reshape(-1)[self.cell]
        if self.background == "given":
            mixed = mixed + self.given * design.spread_rows(point.atoms[:, 0, 0])
        return mixed

    def explain(self, point: Point) -> Any:
        """Return the probability that a point gives each transition, above 0."""
        return self.xp.maximum(self.mix(point), SMALLEST)

    def pull(self, rows: Any) -> Point:
        """Return the transpose of `mix`: for each site and atom, what it says, by row, in all."""
        design, counts = self.design, self._count(rows)
        totals = counts.sum(axis=1)
        mass = design.spread_sites(totals[:, 0])
        for status, sign in enumerate(self._signs, start=1):
            base, slope = self.base[status - 1], self.slope[status - 1]
            mass = mass + design.fold(design.pull(rows * sign) * slope)
            mass = mass + base * design.spread_sites(totals[:, status] - totals[:, 0])
        return Point(mass, self._pull_atoms(rows, counts))

    def _pull_atoms(self, rows: Any, counts: Any) -> Any:
        if self.background == "learned":
            return counts
        if self.background == "given":
            return self.design.sum_rows(rows * self.given)[:, None, None]
        return self.xp.zeros(self.atom_shape)

    def pull_squares(self, rows: Any) -> Point:
        """Return what `pull` does with every probability squared."""
        if self.is_copy and self.background != "given":
            return self.pull(rows)
        design, counts = self.design, self._count(rows)
        totals = counts.sum(axis=1)
        base = [1.0 - sum(self.base), *self.base]
        full = [design.expand(b) + s for b, s in zip(self.base, self.slope, strict=True)]
        full = [1.0 - sum(full), *full]
        mass: Any = 0.0
        for status, (at_rest, at_one) in enumerate(zip(base, full, strict=True)):
            own = self.xp.where(self.status == status, rows, 0.0)
            more = at_one * at_one - design.expand(at_rest) * design.expand(at_rest)
            mass = mass + design.fold(design.pull(own) * more)
            mass = mass + at_rest * at_rest * design.spread_sites(totals[:, status])
        given = rows if self.given is None else rows * self.given
        return Point(mass, self._pull_atoms(given, counts))

    def sum_logs(self, explained: Any) -> Any:
        """Return the log-likelihood of each target, nats, from what `explain` returned."""
        return self.design.sum_rows(self.weight * self.xp.log(explained))

    def bound_gain(self, said: Point) -> Any:
        """Return what each target could still gain, at most, nats.

        The likelihood is concave: its slope towards the best single site, or the best background,
        bounds what is to be gained. ``said`` is what `pull` makes of weights over probabilities.
        """
        best = self.design.max_sites(self.mask(said.mass))
        if self.background is not None:
            best = self.xp.maximum(best, said.atoms.max(axis=2).sum(axis=1))
        return self.xp.maximum(best - self.n_steps, 0.0)

    def normalise(self, point: Point) -> Point:
        """Return the row of D in proportion: its mass is 1, all groups of the background alike."""
        if self.background is None:
            total = self.design.sum_sites(point.mass)
            return Point(point.mass / self.design.spread_sites(total), point.atoms)
        by_group = point.atoms.sum(axis=2)
        background = by_group.mean(axis=1)
        total = self.design.sum_sites(point.mass) + background
        by = (background / total)[:, None] / self.xp.maximum(by_group, SMALLEST)
        return Point(point.mass / self.design.spread_sites(total), point.atoms * by[:, :, None])

    def dot(self, point: Point, other: Point) -> Any:
        """Return the sums of products, by target."""
        by_site = self.design.sum_sites(point.mass * other.mass)
        return by_site + (point.atoms * other.atoms).sum(axis=(1, 2))

    def choose(self, marks: Any, point: Point, other: Point) -> Point:
        """Return a point for the targets that are marked, another for the rest."""
        xp = self.xp
        mass = xp.where(self.design.spread_sites(marks), point.mass, other.mass)
        return Point(mass, xp.where(marks[:, None, None], point.atoms, other.atoms))

    def move(self, point: Point, step: Point, by: Any) -> Point:
        """Return a point plus a multiple of a step, by target."""
        return point.step(step, self.design.spread_sites(by), by[:, None, None])

    def mask(self, values: Any) -> Any:
        """Return values of sites, 0 where a site may not explain a target."""
        return values if self.allowed is None else self.xp.where(self.allowed, values, 0.0)

    def take(self, targets: Any) -> "Mixture":
        """Return the transitions of some targets, in ascending order."""
        design, rows = self.design.take(targets)
        sites, n_laid_out = self.design.find_sites(targets), self.design.shape[0]

        def take_sites(values: Any) -> Any:
            by_target = not isinstance(values, float) and values.shape[0] == n_laid_out
            return values[sites] if by_target else values

        return replace(
            self,
            design=design,
            status=self.status[rows],
            weight=self.weight[rows],
            slot=self.slot[rows],
            base=tuple(take_sites(base) for base in self.base),
            slope=tuple(take_sites(slope) for slope in self.slope),
            given=None if self.given is None else self.given[rows],
            allowed=None if self.allowed is None else self.allowed[sites],
        )

    def take_point(self, point: Point, targets: Any) -> Point:
        """Return the part of a point that belongs to some targets."""
        return Point(point.mass[self.design.find_sites(targets)], point.atoms[targets])

    def put_point(self, point: Point, targets: Any, part: Point) -> Point:
        """Return a point with another part for some targets."""
        mass, atoms = point.mass.copy(), point.atoms.copy()
        mass[self.design.find_sites(targets)], atoms[targets] = part.mass, part.atoms
        return Point(mass, atoms)
