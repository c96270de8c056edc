"""Mixtures of sites that copy -> mixtures whose sites say what matrices A say.

The matrices come from pairwise counts (``plugin``), or one for each target is learned (``tied``).
"""

from dataclasses import replace
from typing import Any

import numpy as np

from gpu_coord.model.learning import Optimum, maximise
from gpu_coord.model.mixture import SMALLEST, Mixture

_N_ROUNDS, _N_STEPS = 60, 10  # of learning A and D in turn; of EM for A in each


def count_pairs(mixture: Mixture) -> Mixture:
    """Return a mixture whose matrices are the pairwise frequencies.

    Row ``a`` of A_ji is what the target did after the source was at ``a``; where the source never
    was, what the target does anyway. A missing source counts as at rest.

    Source
    ------
    Erhardt & Pentland (2023), doi 10.1007/s10588-023-09382-7: D is then overstated, for A already
    holds the part of the influence that a source has.
    """
    xp, design = mixture.xp, mixture.design
    totals = mixture.counts.sum(axis=1)
    usual = totals / xp.maximum(totals.sum(axis=1), 1.0)[:, None]
    own = [
        design.pull(xp.where(mixture.status == s, mixture.weight, 0.0))
        for s in range(mixture.n_statuses)
    ]
    n_active = sum(own)
    rest = [
        design.spread_sites(totals[:, s]) - design.fold(own[s]) for s in range(mixture.n_statuses)
    ]
    n_rest = sum(rest)
    base, slope = [], []
    for status in range(1, mixture.n_statuses):
        anyway = design.spread_sites(usual[:, status])
        at_rest = _divide(xp, rest[status], n_rest, anyway)
        column = design.expand(xp.broadcast_to(anyway, design.shape))
        base.append(at_rest)
        slope.append(_divide(xp, own[status], n_active, column) - design.expand(at_rest))
    return replace(mixture, base=tuple(base), slope=tuple(slope), is_copy=False)


def _divide(xp: Any, part: Any, whole: Any, otherwise: Any) -> Any:
    return xp.where(whole > 0, part / xp.maximum(whole, 1.0), otherwise)


def give_background(mixture: Mixture) -> Mixture:
    """Return a mixture whose background has each target's own frequencies in every group.

    Without groups it would say what row 0 of a learned matrix says already: then there is none.
    """
    if mixture.n_groups == 1:
        return replace(mixture, background=None)
    given = list_rates(mixture).reshape(-1)[mixture.cell]
    return replace(mixture, background="given", given=given)


def list_rates(mixture: Mixture) -> Any:
    """Return each target's frequencies of statuses by group, (n_targets, n_groups, n_statuses)."""
    xp, counts = mixture.xp, mixture.counts
    totals = counts.sum(axis=1)
    usual = totals / xp.maximum(totals.sum(axis=1), 1.0)[:, None]
    return _divide(xp, counts, counts.sum(axis=2)[:, :, None], usual[:, None, :])


def tie(mixture: Mixture, matrices: Any, column_status: Any) -> Mixture:
    """Return a mixture in which all sites speak to a target through one matrix.

    Parameters
    ----------
    mixture
        One whose sites copy.
    matrices
        Of each target, (n_targets, n_statuses, n_statuses).
    column_status
        Of each column of a dense design, None with two statuses.
    """
    spread = mixture.design.spread_sites
    base, slope = [], []
    for status in range(1, mixture.n_statuses):
        at_rest = spread(matrices[:, 0, status])
        base.append(at_rest)
        if column_status is None:
            slope.append(spread(matrices[:, 1, status]) - at_rest)
        else:
            slope.append(matrices[:, column_status, status] - at_rest)
    return replace(mixture, base=tuple(base), slope=tuple(slope), is_copy=False)


def learn_tied(
    mixture: Mixture, column_status: Any, *, tolerance: float, max_iterations: int
) -> tuple[Mixture, Optimum, Any]:
    """Learn one matrix for each target and its row of D, in turn; the likelihood never falls.

    The likelihood is not concave in both: the certificate is for D given the matrices.

    Returns
    -------
        The mixture with the matrices found, its optimum, and the matrices.
    """
    xp = mixture.xp
    copying, totals = mixture, mixture.counts.sum(axis=1)
    usual = (totals + 0.5) / (totals + 0.5).sum(axis=1)[:, None]
    # Halfway between copying and saying what the target says anyway.
    matrices = 0.5 * xp.eye(mixture.n_statuses)[None] + 0.5 * usual[:, None, :]
    optimum, before = None, None
    for _ in range(_N_ROUNDS):
        mixture = tie(copying, matrices, column_status)
        optimum = maximise(
            mixture,
            tolerance=tolerance,
            max_iterations=max_iterations,
            point=None if optimum is None else optimum.point,
        )
        if before is not None and bool((optimum.log_likelihood - before < tolerance).all()):
            break
        before = optimum.log_likelihood
        shares = _share_statuses(copying, optimum, column_status)
        for _ in range(_N_STEPS):
            matrices = _update(copying, mixture, matrices, shares, optimum)
    assert optimum is not None
    return mixture, optimum, matrices


def _share_statuses(copying: Mixture, optimum: Optimum, column_status: Any) -> list[Any]:
    """Return, for each status, the mass of the sites that were at it, by transition."""
    design, mass = copying.design, optimum.point.mass
    shares = []
    for status in range(1, copying.n_statuses):
        marks = 1.0 if column_status is None else (column_status == status)[None, :]
        shares.append(design.push(design.expand(mass) * (marks * 1.0)))
    rest = design.spread_rows(design.sum_sites(mass)) - sum(shares)
    return [rest, *shares]


def _update(
    copying: Mixture, mixture: Mixture, matrices: Any, shares: list[Any], optimum: Optimum
) -> Any:
    """Return what one EM step makes of the matrices."""
    xp, design = copying.xp, copying.design
    given = 0.0
    if mixture.background == "given":
        given = mixture.given * design.spread_rows(optimum.point.atoms[:, 0, 0])
    n_statuses = copying.n_statuses
    cell = copying.status + design.spread_rows(xp.arange(copying.n_targets) * n_statuses)
    said = [s * matrices[:, a].reshape(-1)[cell] for a, s in enumerate(shares)]
    rows = copying.weight / xp.maximum(sum(said) + given, SMALLEST)
    shape = (copying.n_targets, n_statuses)
    taken = xp.stack(
        [
            xp.bincount(
                cell.reshape(-1), weights=(rows * s).reshape(-1), minlength=shape[0] * shape[1]
            ).reshape(shape)
            for s in said
        ],
        axis=1,
    )
    totals = taken.sum(axis=2)[:, :, None]
    return xp.where(totals > 0, taken / xp.maximum(totals, SMALLEST), matrices)


def expand_matrices(mixture: Mixture) -> np.ndarray:
    """Return all matrices of a dense mixture on the host, (n_sites, n_targets, ...), A[j, i]."""
    design, xp = mixture.design, mixture.xp
    n = mixture.n_statuses
    full = xp.zeros((design.n_sites, design.n_targets, n, n))
    for status in range(1, n):
        at_rest = xp.broadcast_to(mixture.base[status - 1] * xp.ones((1, 1)), design.shape)
        full[:, :, 0, status] = at_rest.T
        shape = (design.n_targets, design.n_sites, n - 1)
        more = mixture.slope[status - 1] * xp.ones((1, 1))
        more = xp.broadcast_to(more, (shape[0], shape[1] * shape[2])).reshape(shape)
        full[:, :, 1:, status] = (at_rest[:, :, None] + more).transpose(1, 0, 2)
    full[..., 0] = 1.0 - full[..., 1:].sum(axis=3)
    return np.asarray(xp.asnumpy(full) if hasattr(xp, "asnumpy") else full)
