"""A mixture and a point inside -> the most likely point: a primal-dual interior-point method.

Newton's equations are solved for all targets at once by conjugate gradients, which need the
products of `Mixture` and no matrix of second derivatives. A target that has arrived is left out.
"""

from dataclasses import dataclass
from typing import Any

from gpu_coord.model.mixture import SMALLEST, Mixture, Point

_CENTRING, _CAUTIOUS = 0.1, 0.5  # part of the complementarity to aim at, also off the path
_TO_BOUNDARY = 0.95  # part of the way to the first bound that a step may go
_INSIDE = 1e-10  # masses to begin with, at least
_N_HALVINGS = 8
_ACCURACY, _N_GRADIENTS = 0.05, 60  # of the conjugate gradients


def approach(
    mixture: Mixture, point: Point, *, tolerance: float, max_iterations: int
) -> tuple[Point, int]:
    """Return points within a gap of the most likely ones, and how many products that took.

    Parameters
    ----------
    mixture
        The transitions of some targets.
    point
        Where to begin, with no mass at 0.
    tolerance
        Nats that may still be gained, for each target.
    max_iterations
        Steps of Newton's method.

    Source
    ------
    Path-following as in Wright, *Primal-Dual Interior-Point Methods*, SIAM 1997; the conjugate
    gradients are projected (Gould, Hribar & Nocedal, SIAM J. Sci. Comput. 23, 2001).
    """
    xp = mixture.xp
    best, n_products = point, 0
    under_way, part, state = xp.arange(mixture.n_targets), mixture, _begin(mixture, point)
    for _ in range(max_iterations):
        state, n_used = _advance(part, state, tolerance)
        n_products += n_used
        arrived = state.gap <= tolerance
        done, left = xp.flatnonzero(arrived), xp.flatnonzero(~arrived)
        if done.size:
            best = mixture.put_point(best, under_way[done], part.take_point(state.point, done))
            if not left.size:
                return best, n_products
            state = state.take(part, left)
            under_way, part = under_way[left], part.take(left)
    return mixture.put_point(best, under_way, state.point), n_products


@dataclass(frozen=True)
class _State:
    """A point, what its bounds push with, and the bound on what is to be gained."""

    point: Point
    push: Point  # multipliers of mass >= 0 and atoms >= 0
    gap: Any

    def take(self, mixture: Mixture, targets: Any) -> "_State":
        point, push = (mixture.take_point(p, targets) for p in (self.point, self.push))
        return _State(point, push, self.gap[targets])


def _begin(mixture: Mixture, point: Point) -> _State:
    """Let all bounds push alike, by as much as is to be gained."""
    xp = mixture.xp
    mass = mixture.mask(xp.maximum(point.mass, _INSIDE))
    inside = mixture.normalise(Point(mass, xp.maximum(point.atoms, _INSIDE)))
    gap = mixture.bound_gain(mixture.pull(mixture.weight / mixture.explain(inside)))
    each = xp.maximum(gap, SMALLEST) / mixture.n_bounds
    return _State(inside, _divide(mixture, each, inside), gap)


def _divide(mixture: Mixture, each: Any, point: Point) -> Point:
    """Return values of targets divided by masses; 0 where there is none."""
    xp = mixture.xp
    mass = mixture.design.spread_sites(each) / xp.maximum(point.mass, SMALLEST)
    return Point(mixture.mask(mass), each[:, None, None] / xp.maximum(point.atoms, SMALLEST))


def _advance(mixture: Mixture, state: _State, tolerance: float) -> tuple[_State, int]:
    """Take one step of Newton's method towards points with a tenth of the complementarity."""
    xp, point = mixture.xp, state.point
    explained = mixture.explain(point)
    rows = mixture.weight / explained
    said = mixture.pull(rows)
    bend = rows / explained
    system = _build_system(mixture, state, said, bend)
    complement = mixture.dot(point, state.push)
    by = xp.where(state.gap > 3 * complement, _CAUTIOUS, _CENTRING)
    aim = xp.maximum(by * complement, 0.1 * tolerance) / mixture.n_bounds
    pushed = _divide(mixture, aim, point)
    wanted = said.step(pushed, 1.0, 1.0)
    move, n_gradients = _solve(system, wanted)
    change = Point(
        mixture.mask(pushed.mass - state.push.mass - system.barrier.mass * move.mass),
        pushed.atoms - state.push.atoms - system.barrier.atoms * move.atoms,
    )
    by, by_push = _find_step(mixture, point, move), _find_step(mixture, state.push, change)
    by = _search_line(mixture, point, move, explained, aim, by)
    moved = mixture.move(point, move, by)
    push = mixture.move(state.push, change, by_push)
    moved = Point(mixture.mask(xp.maximum(moved.mass, SMALLEST)), xp.maximum(moved.atoms, SMALLEST))
    gap = mixture.bound_gain(mixture.pull(mixture.weight / mixture.explain(moved)))
    return _State(moved, push, gap), 4 + 2 * n_gradients


@dataclass(frozen=True)
class _System:
    """Newton's equations of all targets, and what makes them quick to solve."""

    mixture: Mixture
    point: Point
    bend: Any  # weight over squared probability of each transition
    barrier: Point  # second derivatives that the bounds add
    inverse: Point  # of the diagonal, around the mixture
    rigid: Any  # sum of the inverse over the sites, (n_targets,)
    loose: Any  # sums of the inverse over the atoms of each group, (n_targets, n_groups)

    def bend_along(self, move: Point) -> Point:
        """Return the second derivatives times a direction."""
        curved = self.mixture.pull(self.bend * self.mixture.mix(move))
        return Point(
            self.mixture.mask(curved.mass + self.barrier.mass * move.mass),
            curved.atoms + self.barrier.atoms * move.atoms,
        )

    def project(self, force: Point) -> tuple[Point, Point]:
        """Take from a force what would change the mass of a group; return it, and it scaled."""
        # Twice: forces of thousands cancel, and what is left of the rounding is scaled up.
        left, _ = self._project_once(force)
        return self._project_once(left)

    def _project_once(self, force: Point) -> tuple[Point, Point]:
        spread = self.mixture.design.spread_sites
        drift = self.mixture.design.sum_sites(self.inverse.mass * force.mass)
        if self.mixture.background is None:
            held, by_group = drift / self.rigid, self.loose
        else:
            excess = drift[:, None] + (self.inverse.atoms * force.atoms).sum(axis=2)
            excess = excess / self.loose
            held = excess.sum(axis=1) / (1.0 + self.rigid * (1.0 / self.loose).sum(axis=1))
            by_group = excess - (self.rigid * held)[:, None] / self.loose
        left = Point(
            self.mixture.mask(force.mass - spread(held)), force.atoms - by_group[:, :, None]
        )
        return left, Point(self.inverse.mass * left.mass, self.inverse.atoms * left.atoms)


def _build_system(mixture: Mixture, state: _State, said: Point, bend: Any) -> _System:
    xp, design, point = mixture.xp, mixture.design, state.point
    barrier = Point(
        mixture.mask(state.push.mass / xp.maximum(point.mass, SMALLEST)),
        state.push.atoms / point.atoms,
    )
    squares = mixture.pull_squares(bend)
    # Second derivatives towards a site *away from the mixture*: what all sites say alike is held.
    n_steps = design.spread_sites(mixture.n_steps)
    by_site = squares.mass - 2.0 * said.mass + n_steps + barrier.mass
    # The transitions that the atoms of each group are about.
    is_learned = mixture.background == "learned"
    in_group = mixture.counts.sum(axis=2) if is_learned else mixture.n_steps[:, None]
    by_atom = squares.atoms - 2.0 * said.atoms + in_group[:, :, None] + barrier.atoms
    inverse = Point(
        mixture.mask(1.0 / xp.maximum(by_site, SMALLEST)), 1.0 / xp.maximum(by_atom, SMALLEST)
    )
    rigid, loose = design.sum_sites(inverse.mass), inverse.atoms.sum(axis=2)
    return _System(mixture, point, bend, barrier, inverse, rigid, loose)


def _solve(system: _System, wanted: Point) -> tuple[Point, int]:
    """Solve for the step by projected, preconditioned conjugate gradients, targets side by side."""
    mixture, xp = system.mixture, system.mixture.xp
    move = wanted.step(wanted, -1.0, -1.0)
    left, scaled = system.project(wanted)
    direction = scaled
    size = mixture.dot(left, scaled)
    enough = _ACCURACY**2 * size
    n_gradients, goes_on = 0, size > enough
    while n_gradients < _N_GRADIENTS and bool(goes_on.any()):
        n_gradients += 1
        curved = system.bend_along(direction)
        along = mixture.dot(direction, curved)
        goes_on = goes_on & (along > 0)
        by = xp.where(goes_on, size / xp.where(along > 0, along, 1.0), 0.0)
        move = mixture.move(move, direction, by)
        left, scaled = system.project(mixture.move(left, curved, -by))
        new_size = mixture.dot(left, scaled)
        turn = xp.where(goes_on & (size > 0), new_size / xp.where(size > 0, size, 1.0), 0.0)
        direction = mixture.move(scaled, direction, turn)
        size = xp.where(goes_on, new_size, size)
        goes_on = goes_on & (size > enough)
    return _hold_still(mixture, system.point, move), n_gradients


def _hold_still(mixture: Mixture, point: Point, move: Point) -> Point:
    """Take from a move what rounding would change of the mass of a group."""
    drift = mixture.design.sum_sites(move.mass)
    if mixture.background is None:
        return Point(move.mass - point.mass * mixture.design.spread_sites(drift), move.atoms)
    drift = drift[:, None] + move.atoms.sum(axis=2)
    shares = point.atoms / point.atoms.sum(axis=2)[:, :, None]
    return Point(move.mass, move.atoms - shares * drift[:, :, None])


def _find_step(mixture: Mixture, point: Point, move: Point) -> Any:
    """Return how far each target may go along a move, at most 1, staying inside."""
    xp = mixture.xp
    by_site = mixture.mask(-move.mass / xp.maximum(point.mass, SMALLEST))
    steepest = mixture.design.max_sites(by_site)
    if mixture.background is not None:
        by_atom = -move.atoms / xp.maximum(point.atoms, SMALLEST)
        steepest = xp.maximum(steepest, by_atom.max(axis=(1, 2)))
    return xp.minimum(1.0, _TO_BOUNDARY / xp.maximum(steepest, _TO_BOUNDARY))


def _search_line(
    mixture: Mixture, point: Point, move: Point, explained: Any, aim: Any, most: Any
) -> Any:
    """Return the step at which the likelihood, bounds included, is largest; by halving."""
    xp, design = mixture.xp, mixture.design
    along = mixture.mix(move)
    least = xp.zeros(most.shape)
    by = most
    for _ in range(_N_HALVINGS):
        moved = mixture.move(point, move, by)
        there = xp.maximum(explained + design.spread_rows(by) * along, SMALLEST)
        rise = design.sum_rows(mixture.weight * along / there)
        rise = rise + mixture.dot(move, _divide(mixture, aim, moved))
        rises = rise >= 0
        if bool((rises & (by == most)).all()):
            return most
        least, most = xp.where(rises, by, least), xp.where(rises, most, by)
        by = xp.where(rises & (by == most), most, 0.5 * (least + most))
    return least
