"""Edges -> a label or a score for each account: components, communities, centrality on the CPU.

Labels are arbitrary integers, accounts without edges included: `network` makes them canonical.
"""

from typing import Literal

import graspologic_native
import numpy as np
from scipy.sparse import csr_array, csr_matrix
from scipy.sparse.csgraph import connected_components

# A second cycle starts from the first one's communities: it gains up to a tenth of modularity on
# small, noisy networks and a tenth of a percent on large ones, for twice the time.
N_LEIDEN_CYCLES = 2
# Far more than any network needs. Without a bound, gains that are only rounding could keep
# accounts moving for ever.
MAX_LEIDEN_SWEEPS = 1000
DAMPING = 0.85
RANK_TOLERANCE = 1e-10  # summed change in a round


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


def rank_accounts(
    source: np.ndarray, target: np.ndarray, weight: np.ndarray, n_accounts: int
) -> np.ndarray:
    """Rank accounts by PageRank: where a walk along weighted edges spends its time.

    Brin & Page, Computer Networks 30, 107-117, 1998; damping .85. From an account without outgoing
    edges the walk goes on anywhere.

    Parameters
    ----------
    source, target, weight
        Account indices and positive weights, (n_edges,).
    n_accounts
        Accounts, each with an edge; one at least.

    Returns
    -------
        Positive shares that add up to 1, (n_accounts,).
    """
    # Not scikit-network's: there the walk goes on from an account without outgoing edges to others
    # in unequal shares, unlike in cuGraph and networkx.
    edges = csr_array((weight / weight.max(), (source, target)), shape=(n_accounts, n_accounts))
    out_weight = edges.sum(axis=1)
    is_end = out_weight == 0
    share = 1 / np.where(is_end, 1.0, out_weight)
    rank, change = np.full(n_accounts, 1 / n_accounts), np.inf
    while change > RANK_TOLERANCE:  # it falls by the damping at least in every round
        followed = edges.T @ (rank * share) + rank[is_end].sum() / n_accounts
        following = DAMPING * followed + (1 - DAMPING) / n_accounts
        rank, change = following, np.abs(following - rank).sum()
    return np.asarray(rank)


def count_cores(source: np.ndarray, target: np.ndarray, n_accounts: int) -> np.ndarray:
    """Find the core number of each account, the direction of edges ignored.

    The largest k for which the account belongs to a set of accounts each of which has an edge with
    k others of the set (Seidman, Social Networks 5, 269-287, 1983).

    Parameters
    ----------
    source, target
        Account indices, (n_edges,).
    n_accounts
        Accounts, each with an edge; one at least.

    Returns
    -------
        Integers, (n_accounts,).
    """
    from sknetwork.topology import get_core_decomposition

    edges = symmetrise(source, target, np.ones(source.size), n_accounts)
    return np.asarray(get_core_decomposition(csr_matrix(edges)), dtype=np.int64)


def symmetrise(
    source: np.ndarray, target: np.ndarray, weight: np.ndarray, n_accounts: int
) -> csr_array:
    """Return the symmetric matrix of edges, the weights of both directions added, scaled."""
    # Modularity squares the weights: without the scale, tiny ones would vanish.
    edges = csr_array((weight / weight.max(), (source, target)), shape=(n_accounts, n_accounts))
    return csr_array(edges + edges.T)
