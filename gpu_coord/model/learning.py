"""A mixture -> the row of D, and the background, that make each target's transitions most likely.

The likelihood is concave, and rows are apart. EM climbs, an interior-point method arrives, and a
certificate says how much likelihood any other row could still gain: docs/model.md.
"""

from dataclasses import dataclass
from typing import Any

from gpu_coord.model.interior import approach
from gpu_coord.model.mixture import SMALLEST, Mixture, Point

# EM multiplies, so what extrapolation brings to 0 would stay there.
_FLOOR = 1e-12
# Masses that small, or that much smaller than their error, are 0 where the likelihood agrees.
_NO_MASS, _NO_ERRORS, _MOST_DROPPED = 1e-6, 0.01, 0.1
_N_CYCLES = 2  # of EM before the interior-point method


@dataclass(frozen=True)
class Optimum:
    """Where the search ended, by target."""

    point: Point
    log_likelihood: Any  # nats
    gap: Any  # nats that any other row could gain, at most
    n_steps: Any  # transitions
    n_products: int  # with the table of transitions, of all targets or of those not there yet


def start(mixture: Mixture) -> Point:
    """Return a point inside: half of the mass is the background's, by its own frequencies."""
    xp, design = mixture.xp, mixture.design
    share = 1.0 if mixture.background is None else 0.5
    mass = mixture.mask(xp.ones(design.shape))
    n_allowed = design.sum_sites(mass)
    # Without a site the background has it all.
    part = xp.where(n_allowed > 0, share, 0.0) / xp.maximum(n_allowed, 1.0)
    mass = mass * design.spread_sites(part)
    left = (1.0 - design.sum_sites(mass))[:, None, None]
    if mixture.background != "learned":
        return Point(mass, left * xp.ones(mixture.atom_shape))
    usual = mixture.counts.sum(axis=1) + 0.5
    rates = mixture.counts + (usual / usual.sum(axis=1)[:, None])[:, None, :]
    return Point(mass, left * rates / rates.sum(axis=2)[:, :, None])


def climb(mixture: Mixture, point: Point) -> tuple[Point, Any]:
    """Return where one EM step leads, and the log-likelihood where it began.

    Every mass is multiplied by the mean of what its site says over what the mixture says; rows
    keep their sum, and the likelihood never falls.
    """
    explained = mixture.explain(point)
    said = mixture.pull(mixture.weight / explained)
    return _multiply(mixture, point, said), mixture.sum_logs(explained)


def _multiply(mixture: Mixture, point: Point, said: Point) -> Point:
    xp = mixture.xp
    n_steps = xp.maximum(mixture.n_steps, 1.0)
    mass = point.mass * said.mass / mixture.design.spread_sites(n_steps)
    if mixture.background is None:
        return Point(mass, point.atoms)
    taken = point.atoms * said.atoms
    by_group = taken.sum(axis=2)
    background = by_group.sum(axis=1) / n_steps
    # A group without transitions of a target keeps its frequencies.
    taken = xp.where((by_group > 0)[:, :, None], taken, point.atoms)
    by = background[:, None] / xp.maximum(taken.sum(axis=2), SMALLEST)
    return Point(mass, taken * by[:, :, None])


def certify(mixture: Mixture, point: Point) -> tuple[Any, Any]:
    """Return the log-likelihood of each target, and what any other row could gain, at most."""
    explained = mixture.explain(point)
    said = mixture.pull(mixture.weight / explained)
    return mixture.sum_logs(explained), mixture.bound_gain(said)


def accelerate(mixture: Mixture, point: Point, *, n_cycles: int) -> tuple[Point, list[Any]]:
    """Climb by EM with extrapolation: two steps, a leap, and a step in each cycle.

    A target whose leap does not gain falls back to where EM led it, so that no likelihood falls.

    Returns
    -------
        The point, and the log-likelihoods of all targets at the beginning of each cycle.

    Source
    ------
    SQUAREM, scheme S3: Varadhan & Roland, Scandinavian Journal of Statistics 35, 2008.
    """
    history = []
    for _ in range(n_cycles):
        first, before = climb(mixture, point)
        second, reached = climb(mixture, first)
        history.append(before)
        landed, found = climb(mixture, _leap(mixture, point, first, second))
        point = mixture.choose(found >= reached, landed, second)
    return point, history


def _leap(mixture: Mixture, point: Point, first: Point, second: Point) -> Point:
    xp = mixture.xp
    step = first.step(point, -1.0, -1.0)
    bend = second.step(first, -1.0, -1.0).step(step, -1.0, -1.0)
    curve = xp.maximum(mixture.dot(bend, bend), SMALLEST**2)
    by = xp.maximum(1.0, xp.sqrt(mixture.dot(step, step) / curve))
    leapt = mixture.move(mixture.move(point, step, 2.0 * by), bend, by * by)
    mass = mixture.mask(xp.maximum(leapt.mass, _FLOOR))
    return mixture.normalise(Point(mass, xp.maximum(leapt.atoms, _FLOOR)))


def maximise(
    mixture: Mixture, *, tolerance: float, max_iterations: int, point: Point | None = None
) -> Optimum:
    """Find the most likely row of each target, to within a certified gap.

    Parameters
    ----------
    mixture
        The transitions of some targets.
    tolerance
        Nats that may still be gained, for each target.
    max_iterations
        Of the interior-point method; a target that is not there by then keeps its larger gap.
    point
        Where to begin.
    """
    point, _ = accelerate(mixture, point or start(mixture), n_cycles=_N_CYCLES)
    log_likelihood, gap = certify(mixture, point)
    behind = mixture.xp.flatnonzero(gap > tolerance)
    n_products = 6 * _N_CYCLES + 2
    if behind.size:
        part, left = mixture.take(behind), mixture.take_point(point, behind)
        reached, n_more = approach(
            part, _draw_in(part, left), tolerance=tolerance, max_iterations=max_iterations
        )
        # What is certified counts, even where EM was a hair's breadth higher.
        found, found_gap = certify(part, reached)
        better = (found_gap <= tolerance) | (found >= log_likelihood[behind])
        point = mixture.put_point(point, behind, part.choose(better, reached, left))
        n_products += n_more + 2
    point = _settle(mixture, point, tolerance)
    log_likelihood, gap = certify(mixture, point)
    return Optimum(point, log_likelihood, gap, mixture.n_steps, n_products + 11)


def _draw_in(mixture: Mixture, point: Point) -> Point:
    """Return a point further inside, where no mass is far smaller than it may turn out."""
    away = start(mixture).step(point, -1.0, -1.0)
    return point.step(away, 0.1, 0.1)


def _settle(mixture: Mixture, point: Point, tolerance: float) -> Point:
    """Return a point without the masses that say nothing, where that costs no likelihood.

    What methods leave behind that stay inside is tiny, not 0.
    """
    xp, design = mixture.xp, mixture.design
    explained = mixture.explain(point)
    rows = mixture.weight / explained
    said, squares = mixture.pull(rows), mixture.pull_squares(rows / explained)
    n_steps = design.spread_sites(mixture.n_steps)
    curvature = xp.maximum(squares.mass - 2.0 * said.mass + n_steps, SMALLEST)
    small = xp.maximum(_NO_MASS, _NO_ERRORS / xp.sqrt(curvature))
    idle = (point.mass < small) & (point.mass * (n_steps - said.mass) < 10 * tolerance)
    idle = idle & (said.mass < n_steps)
    # Where nothing can be told apart, everything says nothing.
    dropped = design.sum_sites(xp.where(idle, point.mass, 0.0))
    idle = idle & design.spread_sites(dropped < _MOST_DROPPED)
    cut = mixture.normalise(Point(xp.where(idle, 0.0, point.mass), point.atoms))
    for _ in range(2):
        cut, _ = climb(mixture, cut)
    after, gap = certify(mixture, cut)
    before, before_gap = mixture.sum_logs(explained), mixture.bound_gain(said)
    good = (after >= before - 0.1 * tolerance) & (gap <= xp.maximum(before_gap, tolerance))
    return mixture.choose(good, cut, point)
