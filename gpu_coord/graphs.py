"""Edges -> a label for each account: components and communities on the CPU.

Labels are arbitrary integers, accounts without edges included: `network` makes them canonical.
"""

from typing import Literal

import graspologic_native
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

# A second cycle starts from the first one's communities: it gains up to a tenth of modularity on
# small, noisy networks and a tenth of a percent on large ones, for twice the time.
N_LEIDEN_CYCLES = 2
# Far more than any network needs. Without a bound, gains that are only rounding could keep
# accounts moving for ever.
MAX_LEIDEN_SWEEPS = 1000


def label_components(
    source: np.ndarray,
    target: np.ndarray,
    n_accounts: int,
    *,
    connection: Literal["weak", "strong"],
) -> np.ndarray:
    """Label the weakly or strongly connected components of directed edges.

    Parameters
    ----------
    source, target
        Account indices, (n_edges,).
    n_accounts
        Accounts, those without edges included; each of these is a component of its own.
    connection
        ``weak`` ignores the direction of edges; ``strong`` asks for a path both ways.

    Returns
    -------
        Labels, (n_accounts,).
    """
    present = np.ones(source.size, dtype=np.int8)
    edges = csr_array((present, (source, target)), shape=(n_accounts, n_accounts))
    return np.asarray(connected_components(edges, directed=True, connection=connection)[1])


def label_communities(
    source: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    n_accounts: int,
    *,
    resolution: float,
    seed: int,
) -> np.ndarray:
    """Label the communities of weighted edges, their direction ignored, by modularity.

    The algorithm is Leiden's (Traag, Waltman & van Eck, Scientific Reports 9, 5233, 2019). The
    weights of both directions are added; only their ratios matter.

    Parameters
    ----------
    source, target, weight
        Account indices and positive weights, (n_edges,).
    n_accounts
        Accounts, those without edges included; each of these is a community of its own.
    resolution
        Above 1 gives more and smaller communities, below 1 fewer and larger ones.
    seed
        Same edges in the same order and same seed, same labels.

    Returns
    -------
        Labels, (n_accounts,).
    """
    if not source.size:
        return np.arange(n_accounts)
    edges = symmetrise(source, target, weight, n_accounts)
    _, label_of = graspologic_native.leiden_csr(
        edges.indptr.astype(np.int64),
        edges.indices.astype(np.int32),
        edges.data,
        n_accounts,
        resolution=resolution,
        iterations=N_LEIDEN_CYCLES,
        seed=seed,
        max_local_moving_iterations=MAX_LEIDEN_SWEEPS,
    )
    labels = np.empty(n_accounts, dtype=np.int64)
    labels[np.fromiter(label_of.keys(), np.int64)] = np.fromiter(label_of.values(), np.int64)
    return labels


def symmetrise(
    source: np.ndarray, target: np.ndarray, weight: np.ndarray, n_accounts: int
) -> csr_array:
    """Return the symmetric matrix of edges, the weights of both directions added, scaled."""
    # Modularity squares the weights: without the scale, tiny ones would vanish.
    edges = csr_array((weight / weight.max(), (source, target)), shape=(n_accounts, n_accounts))
    return csr_array(edges + edges.T)
