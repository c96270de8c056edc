"""Transitions -> fitted rows of D: masses, background, certificate, intervals, attribution.

The one idea: rows are apart, so targets are learned in blocks that fit the memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from gpu_coord.backend import Backend
from gpu_coord.model.emission import (
    count_pairs,
    expand_matrices,
    give_background,
    learn_tied,
    list_rates,
)
from gpu_coord.model.learning import Optimum, maximise, start
from gpu_coord.model.mixture import SMALLEST, Background, DenseDesign, Mixture, Point
from gpu_coord.model.precision import assess
from gpu_coord.model.settings import Emission
from gpu_coord.model.statuses import Steps
from gpu_coord.model.tables import Listed, Table, list_transitions, tabulate

# Of all pairs: where more may explain each other, matrices are quicker than lists.
_MANY = 0.3


@dataclass(frozen=True)
class Rows:
    """What was learned, on the host. An edge is a site that explains a part of a target.

    What belongs to edges ascends by target, then by source.
    """

    source: np.ndarray
    target: np.ndarray
    mass: np.ndarray  # d_ij, i the target, j the source
    slope: np.ndarray  # d_ij w_ij: how much more likely a 1 is after a 1; NaN with more statuses
    low: np.ndarray  # 95 % interval of the slope, NaN where the mass is 0 or 1
    high: np.ndarray
    caused: np.ndarray  # events of the target that the source explains
    background: np.ndarray  # d_i0, (n_sites,)
    rates: np.ndarray  # what the background says, (n_sites, n_groups, n_statuses)
    log_likelihood: np.ndarray  # nats, (n_sites,)
    gap: np.ndarray  # what any other row could gain, at most, nats
    n_steps: np.ndarray  # transitions of each target
    n_events: np.ndarray  # of them to another status than 0
    immigrants: np.ndarray  # events that the background explains
    is_identified: np.ndarray
    n_products: int  # with the transitions, forwards or backwards, of the block that took most
    matrices: Any = None  # A_ji of all pairs, or one for each target, or None: copies


def fit_rows(
    steps: Steps,
    *,
    emission: Emission,
    background: bool,
    allowed: np.ndarray | None,
    tolerance: float,
    max_iterations: int,
    intervals: bool,
    backend: Backend,
    memory: int,
) -> Rows:
    """Learn the rows of D of all sites; see `gpu_coord.model.InfluenceModel.fit`."""
    table: Table | Listed
    if allowed is None or steps.n_most > 2 or allowed.mean() > _MANY:
        table = tabulate(steps, backend)
    else:
        table = list_transitions(steps, allowed, backend)
        allowed = None
    learned: Background | None = "learned" if background else None

    def select(targets: slice) -> Mixture:
        if isinstance(table, Table):
            return table.select(targets, learned, allowed)
        return table.select(targets, learned)

    status = table.column_status if isinstance(table, Table) and steps.n_most > 2 else None
    parts = [
        fit_block(
            select(targets), first=targets.start, emission=emission, column_status=status,
            tolerance=tolerance, max_iterations=max_iterations, intervals=intervals,
            sources=None if isinstance(table, Table) else table.source[
                table.start[targets.start] : table.start[targets.stop]
            ],
            to_host=backend.to_host,
        )
        for targets in plan_blocks(steps.n_sites, table.target_bytes, memory)
    ]  # fmt: skip
    return join(parts)


def plan_blocks(n_targets: int, target_bytes: int, memory: int) -> Iterator[slice]:
    """Yield ranges of targets that fit the memory, alike in size."""
    n_most = max(1, memory // max(1, target_bytes))
    n_blocks = -(-n_targets // n_most)
    cuts = [n_targets * block // n_blocks for block in range(n_blocks + 1)]
    yield from (slice(a, b) for a, b in pairwise(cuts))


def fit_block(
    mixture: Mixture,
    *,
    first: int,
    emission: Emission,
    column_status: Any,
    tolerance: float,
    max_iterations: int,
    intervals: bool,
    sources: np.ndarray | None,
    to_host: Callable[[Any], np.ndarray],
) -> Rows:
    """Learn the rows of the targets of a mixture whose sites copy.

    Parameters
    ----------
    mixture
        The transitions of some targets.
    first
        The site that is the first target.
    emission
        What sites say: `gpu_coord.model.emission`.
    column_status
        Status of each column of a dense design with more than two statuses.
    tolerance, max_iterations
        Of `gpu_coord.model.learning.maximise`.
    intervals
        Whether to find intervals, and rows that are not identified.
    sources
        The site of each edge of a flat design.
    to_host
        Brings arrays to the host.
    """
    matrices = None
    if emission == "tied":
        if mixture.background is not None:
            mixture = give_background(mixture)
        mixture, optimum, matrices = learn_tied(
            mixture, column_status, tolerance=tolerance, max_iterations=max_iterations
        )
        matrices = to_host(matrices)
    else:
        if emission == "plugin":
            mixture = count_pairs(mixture)
            if isinstance(mixture.design, DenseDesign):
                matrices = expand_matrices(mixture)
        check_explained(mixture, first)
        optimum = maximise(mixture, tolerance=tolerance, max_iterations=max_iterations)
    return _describe(mixture, optimum, first, sources, matrices, to_host, intervals=intervals)


def check_explained(mixture: Mixture, first: int) -> None:
    """Refuse transitions that no site, and no background, can explain.

    Raises
    ------
    ValueError
        A target did what no site that may explain it had done, and there is no background.
    """
    design = mixture.design
    hopeless = mixture.explain(start(mixture)) <= 2 * SMALLEST
    n_hopeless = design.sum_rows(mixture.weight * hopeless)
    if bool((n_hopeless > 0).any()):
        target = int(n_hopeless.argmax())
        raise ValueError(
            f"site {first + target} does {int(n_hopeless[target])} times what no site that may "
            "explain it says, which is impossible without a background; use one."
        )


def _describe(
    mixture: Mixture,
    optimum: Optimum,
    first: int,
    sources: np.ndarray | None,
    matrices: Any,
    to_host: Callable[[Any], np.ndarray],
    *,
    intervals: bool,
) -> Rows:
    point, design = optimum.point, mixture.design
    mass = to_host(point.mass)
    kept = np.nonzero(mass)
    target, source = (
        kept if sources is None else (to_host(design.edge_target)[kept[0]], sources[kept[0]])
    )
    explained = mixture.explain(point)
    events = mixture.xp.where(mixture.status > 0, mixture.weight, 0.0)
    said = mixture.pull(events / explained)
    background, immigrants = point.atoms, point.atoms * said.atoms
    if mixture.background == "learned":
        background = background.sum(axis=2).mean(axis=1)
    else:
        background = background.sum(axis=(1, 2))
    is_binary = mixture.n_statuses == 2
    w = np.full(target.size, np.nan)
    if is_binary:
        w = np.broadcast_to(to_host(mixture.slope[0] * mixture.xp.ones(1)), mass.shape)[kept]
    low, high = np.full(target.size, np.nan), np.full(target.size, np.nan)
    is_identified = np.ones(mixture.n_targets, bool)
    if intervals and is_binary:
        precision = assess(mixture, point, to_host=to_host)
        ends = precision.low[kept] * w, precision.high[kept] * w
        low, high = np.minimum(*ends), np.maximum(*ends)
        is_identified = precision.is_identified
    return Rows(
        source=source.astype(np.int64),
        target=target.astype(np.int64) + first,
        mass=mass[kept],
        slope=mass[kept] * w,
        low=low,
        high=high,
        caused=to_host(point.mass * said.mass)[kept],
        background=to_host(background),
        rates=to_host(_find_rates(mixture, point)),
        log_likelihood=to_host(optimum.log_likelihood),
        gap=to_host(optimum.gap),
        n_steps=to_host(optimum.n_steps).astype(np.int64),
        n_events=to_host(design.sum_rows(events)).astype(np.int64),
        immigrants=to_host(immigrants.sum(axis=(1, 2))),
        is_identified=is_identified,
        n_products=optimum.n_products,
        matrices=matrices,
    )


def _find_rates(mixture: Mixture, point: Point) -> Any:
    """Return what the background says, (n_targets, n_groups, n_statuses)."""
    xp = mixture.xp
    usual = list_rates(mixture)
    if mixture.background != "learned":
        return usual
    by_group = point.atoms.sum(axis=2)[:, :, None]
    found = point.atoms / xp.maximum(by_group, SMALLEST)
    seen = (mixture.counts.sum(axis=2)[:, :, None] > 0) & (by_group > SMALLEST)
    return xp.where(seen, found, usual)


def join(parts: list[Rows]) -> Rows:
    """Put the rows of several blocks of targets together."""

    def gather(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return max(values) if name == "n_products" else np.concatenate(values)

    names = [name for name in Rows.__dataclass_fields__ if name != "matrices"]
    matrices = None
    if parts[0].matrices is not None:
        # Of pairs the targets are the second axis.
        axis = 1 if parts[0].matrices.ndim == 4 else 0
        matrices = np.concatenate([part.matrices for part in parts], axis=axis)
    return Rows(**{name: gather(name) for name in names}, matrices=matrices)
