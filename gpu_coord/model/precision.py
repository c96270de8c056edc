"""The most likely rows -> how exactly the data fix them: intervals, and rows that they do not fix.

The one idea: second derivatives of the likelihood, with what the background takes up put aside.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_coord.model.mixture import SMALLEST, DenseDesign, Mixture, Point

# A change within the 95 % interval costs at most half of this, in nats.
CHI_SQUARE = 3.841458820694124
_NORMAL = CHI_SQUARE**0.5
_TINY = 1e-9
_CHUNK_BYTES = 256 << 20


@dataclass(frozen=True)
class Precision:
    """Of the masses above 0, as they are laid out; on the host."""

    low: np.ndarray  # 95 % interval of each mass, NaN where it lies on a bound
    high: np.ndarray
    is_identified: np.ndarray  # (n_targets,)


def assess(mixture: Mixture, point: Point, *, to_host: Any) -> Precision:
    """Find how exactly each mass is known, and which targets' rows are not fixed at all.

    A row is identified if a 95 % interval leaves no shift of half of its mass, from whichever
    sites to whichever others: along every direction the standard error is below a quarter. Without
    a learned background, sites without mass that could take it over count, too.

    Parameters
    ----------
    mixture, point
        Two statuses; the point is the most likely one.
    to_host
        Brings arrays to the host.
    """
    mass = to_host(point.mass)
    low, high = np.full(mass.shape, np.nan), np.full(mass.shape, np.nan)
    is_identified = np.ones(mixture.n_targets, bool)
    free = to_host(_find_free(mixture, point))
    for targets in _plan_chunks(mixture, free, to_host):
        part = mixture.xp.asarray(targets)
        sites = to_host(mixture.design.find_sites(part))
        found = _assess_chunk(
            mixture.take(part), mixture.take_point(point, part), free[sites], to_host
        )
        low[sites], high[sites], is_identified[targets] = found
    return Precision(low, high, is_identified)


def _find_free(mixture: Mixture, point: Point) -> Any:
    """Mark the masses that could be others: those above 0, and those that hardly stay at 0."""
    free = point.mass > 0
    if mixture.background == "learned":
        return free
    said = mixture.pull(mixture.weight / mixture.explain(point))
    missing = mixture.design.spread_sites(mixture.n_steps) - said.mass
    return mixture.mask((free | (missing < CHI_SQUARE / 2)).astype(float)) > 0


def _plan_chunks(mixture: Mixture, free: Any, to_host: Any) -> Iterator[np.ndarray]:
    """Yield targets that are alike in size, as many as fit the memory when padded."""
    design = mixture.design
    if isinstance(design, DenseDesign):
        n_rows = np.full(mixture.n_targets, design.columns.shape[0])
        n_free = free.sum(axis=1)
    else:
        n_rows = np.bincount(to_host(design.row_target), minlength=mixture.n_targets)
        target = to_host(design.edge_target)
        n_free = np.bincount(target, weights=free, minlength=mixture.n_targets)
    n_bytes = 24 * n_rows * (n_free + mixture.n_groups + 1)
    order = np.argsort(-n_bytes, kind="stable")
    order, first = order[n_free[order] > 0], 0
    while first < order.size:
        n_taken = max(1, int(_CHUNK_BYTES // n_bytes[order[first]]))
        yield np.sort(order[first : first + n_taken])
        first += n_taken


@dataclass(frozen=True)
class _Chunk:
    """Targets side by side, each padded to as many rows and free sites as the largest has."""

    sites: np.ndarray  # where each free site is laid out, -1 for none, (n_targets, n_free)
    active: np.ndarray  # (n_targets, n_rows, n_free)
    weight: Any  # weight over squared probability, (n_targets, n_rows)
    group: Any
    given: Any  # probability of status 1 under a given background
    base: np.ndarray  # (n_targets, n_free)
    slope: np.ndarray
    mass: np.ndarray


def _assess_chunk(
    mixture: Mixture, point: Point, free: Any, to_host: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chunk = _pad(mixture, point, free, to_host)
    curves = chunk.base[:, None, :] + chunk.slope[:, None, :] * chunk.active
    if mixture.background == "learned":
        information = _put_background_aside(mixture, point, chunk, curves, to_host)
        moves = chunk.sites >= 0
        covariance = _invert(information, moves & (chunk.mass > 0))
        low, high = _spread_out(chunk.mass, _find_errors(covariance))
    else:
        information, moves, low, high = _compare_with_largest(chunk, curves, to_host(point.atoms))
    lows, highs = np.full(free.shape, np.nan), np.full(free.shape, np.nan)
    kept = chunk.sites >= 0
    lows.reshape(-1)[chunk.sites[kept]] = low[kept]
    highs.reshape(-1)[chunk.sites[kept]] = high[kept]
    return lows, highs, _is_fixed(information, moves)


def _pad(mixture: Mixture, point: Point, free: Any, to_host: Any) -> _Chunk:
    explained = mixture.explain(point)
    weight = to_host(mixture.weight / (explained * explained))
    group, status = to_host(mixture.slot) // mixture.n_statuses, to_host(mixture.status)
    given = None if mixture.given is None else to_host(mixture.given)
    if given is not None:
        given = np.where(status == 1, given, 1 - given)
    if isinstance(mixture.design, DenseDesign):
        sites, place = _pad_dense(free)
        columns = mixture.design.columns
        columns = columns.toarray() if hasattr(columns, "toarray") else to_host(columns)
        active = columns[:, place].transpose(1, 0, 2) * (sites >= 0)[:, None, :]
        rows = [None if v is None else v.T for v in (weight, group, given)]
    else:
        sites, active, row_at = _pad_flat(mixture, free, to_host)
        rows = [_put_rows(v, row_at, active.shape[:2]) for v in (weight, group, given)]

    def gather(values: Any) -> np.ndarray:
        spread = np.broadcast_to(values, free.shape).reshape(-1)
        return np.where(sites >= 0, spread[np.maximum(sites, 0)], 0.0)

    return _Chunk(
        sites, active, rows[0], rows[1], rows[2],
        gather(_fetch(mixture.base[0], to_host)), gather(_fetch(mixture.slope[0], to_host)),
        gather(to_host(point.mass)),
    )  # fmt: skip


def _fetch(values: Any, to_host: Any) -> Any:
    return values if isinstance(values, float) else to_host(values)


def _pad_dense(free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the free sites of each target are laid out, -1 for none, and their columns."""
    n_free = free.sum(axis=1)
    order = np.argsort(~free, axis=1, kind="stable")[:, : max(1, n_free.max())]
    kept = np.arange(order.shape[1]) < n_free[:, None]
    sites = np.where(kept, np.arange(free.shape[0])[:, None] * free.shape[1] + order, -1)
    return sites, order


def _pad_flat(mixture: Mixture, free: np.ndarray, to_host: Any) -> Any:
    design, n_targets = mixture.design, mixture.n_targets
    edge_target, row_target, entry_row, entry_edge = map(
        to_host, (design.edge_target, design.row_target, design.entry_row, design.entry_edge)
    )
    edge_at = _count_within(edge_target, free, n_targets)
    row_at = _count_within(row_target, np.ones(row_target.size, bool), n_targets)
    n_most = max(1, int(edge_at.max(initial=-1)) + 1), max(1, int(row_at.max(initial=-1)) + 1)
    sites = np.full((n_targets, n_most[0]), -1)
    kept = np.flatnonzero(free)
    sites[edge_target[kept], edge_at[kept]] = kept
    active = np.zeros((n_targets, n_most[1], n_most[0]))
    entry = np.flatnonzero(free[entry_edge])
    row, edge = entry_row[entry], entry_edge[entry]
    active[row_target[row], row_at[row], edge_at[edge]] = 1.0
    return sites, active, (row_target, row_at)


def _count_within(target: np.ndarray, kept: np.ndarray, n_targets: int) -> np.ndarray:
    """Return the number of what is kept, within its target from 0 on; -1 for the rest."""
    place = np.full(target.size, -1)
    chosen = np.flatnonzero(kept)
    order = np.argsort(target[chosen], kind="stable")
    sizes = np.bincount(target[chosen], minlength=n_targets)
    start = np.repeat(np.cumsum(sizes) - sizes, sizes)
    place[chosen[order]] = np.arange(chosen.size) - start
    return place


def _put_rows(values: Any, at: Any, shape: Any) -> Any:
    if values is None:
        return None
    padded = np.zeros(shape, values.dtype)
    padded[at] = values
    return padded


def _put_background_aside(
    mixture: Mixture, point: Point, chunk: _Chunk, curves: np.ndarray, to_host: Any
) -> np.ndarray:
    """Return the information on masses that is left once the frequencies may follow them."""
    weighted = curves * chunk.weight[:, :, None]
    information = curves.transpose(0, 2, 1) @ weighted
    members = (chunk.group[:, :, None] == np.arange(mixture.n_groups)).astype(float)
    crossed = weighted.transpose(0, 2, 1) @ members
    own = (chunk.weight[:, :, None] * members).sum(axis=1)
    # A frequency of 0 has nowhere to go.
    moves = to_host(point.atoms)[:, :, 1] > _TINY
    by = np.where(moves & (own > 0), 1.0 / np.maximum(own, SMALLEST), 0.0)
    return np.asarray(information - (crossed * by[:, None, :]) @ crossed.transpose(0, 2, 1))


def _compare_with_largest(
    chunk: _Chunk, curves: np.ndarray, atoms: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Do the same where masses can only be taken from one another: all but the largest move."""
    n_targets, n_free = chunk.mass.shape
    mass = chunk.mass
    if chunk.given is not None:
        curves = np.concatenate([curves, chunk.given[:, :, None]], axis=2)
        mass = np.concatenate([mass, atoms[:, 0, :1]], axis=1)
    largest = mass.argmax(axis=1)
    rows = np.arange(n_targets)
    exists = np.ones(mass.shape, bool)
    exists[:, :n_free] = chunk.sites >= 0
    moves = exists.copy()
    moves[rows, largest] = False
    tilted = (curves - curves[rows, :, largest][:, :, None]) * moves[:, None, :]
    information = tilted.transpose(0, 2, 1) @ (tilted * chunk.weight[:, :, None])
    covariance = _invert(information, moves & (mass > 0))
    error = _find_errors(covariance)
    # The largest is what the others leave.
    error[rows, largest] = np.sqrt(np.maximum(covariance.sum(axis=(1, 2)), 0.0))
    low, high = _spread_out(mass, error)
    return information, moves, low[:, :n_free], high[:, :n_free]


def _find_errors(covariance: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0.0)))


def _invert(information: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Invert what is kept of each matrix; directions without information vary without bounds."""
    both = kept[:, :, None] & kept[:, None, :]
    values, vectors = np.linalg.eigh(np.where(both, information, 0.0))
    floor = _TINY * np.maximum(values.max(axis=1, initial=0.0), 1.0)
    inverse = 1.0 / np.maximum(values, floor[:, None])
    return np.where(both, (vectors * inverse[:, None, :]) @ vectors.transpose(0, 2, 1), 0.0)


def _spread_out(mass: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 95 % intervals that stay between 0 and 1: normal on the scale of log odds."""
    inside = (mass > 0) & (mass < 1)
    odds = np.where(inside, mass, 0.5) / np.where(inside, 1.0 - mass, 0.5)
    by = np.exp(np.minimum(_NORMAL * error / np.where(inside, mass * (1 - mass), 1.0), 50.0))
    low, high = odds / by / (1 + odds / by), odds * by / (1 + odds * by)
    return np.where(inside, low, np.nan), np.where(inside, high, np.nan)


def _is_fixed(information: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Tell whether a shift of half of the mass would cost more than a 95 % interval allows."""
    enough = CHI_SQUARE / 0.5**2
    both = moves[:, :, None] & moves[:, None, :]
    # What does not move, or is not there, is fixed.
    rest = np.eye(moves.shape[1]) * np.where(moves, 0.0, 2 * enough)[:, None, :]
    found = np.linalg.eigvalsh(np.where(both, information, 0.0) + rest)
    return np.asarray(found[:, 0] >= enough)
