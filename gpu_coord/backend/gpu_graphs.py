"""Edges -> a label or a score for each account, on the GPU (cuGraph).

Edges arrive from the host, where they are written as findings, and labels go back there. What
cuGraph calls a component is an arbitrary integer: `network` makes labels canonical.
"""

from typing import Any, Literal

import cudf
import cugraph
import cupy as cp
import numpy as np

from gpu_coord.backend.graphs import DAMPING, RANK_TOLERANCE, symmetrise

MAX_LEIDEN_ITERATIONS = 100
MAX_RANK_ROUNDS = 1000  # the change falls by the damping in each: 150 are enough


def label_components(
    source: np.ndarray,
    target: np.ndarray,
    n_accounts: int,
    *,
    connection: Literal["weak", "strong"],
) -> np.ndarray:
    """Label the components of directed edges, as `graphs.label_components` does."""
    if not source.size:
        return np.arange(n_accounts)
    graph = _build_graph(source, target, None, directed=connection == "strong")
    if connection == "weak":
        found = cugraph.weakly_connected_components(graph)
    else:
        found = cugraph.strongly_connected_components(graph)
    return _spread_labels(found["vertex"], found["labels"], n_accounts)


def label_communities(
    source: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    n_accounts: int,
    *,
    resolution: float,
    seed: int,
) -> np.ndarray:
    """Label the communities of weighted edges, as `graphs.label_communities` does.

    The partition is another than on the CPU, though about as good.
    """
    if not source.size:
        return np.arange(n_accounts)
    graph = _build_undirected(source, target, weight, n_accounts)
    found, _ = cugraph.leiden(
        graph, max_iter=MAX_LEIDEN_ITERATIONS, resolution=resolution, random_state=seed
    )
    return _spread_labels(found["vertex"], found["partition"], n_accounts)


def rank_accounts(
    source: np.ndarray, target: np.ndarray, weight: np.ndarray, n_accounts: int
) -> np.ndarray:
    """Rank accounts by PageRank, as `graphs.rank_accounts` does."""
    graph = _build_graph(source, target, weight / weight.max(), directed=True)
    found = cugraph.pagerank(graph, alpha=DAMPING, max_iter=MAX_RANK_ROUNDS, tol=RANK_TOLERANCE)
    return _order_scores(found["vertex"], found["pagerank"])


def count_cores(source: np.ndarray, target: np.ndarray, n_accounts: int) -> np.ndarray:
    """Find the core number of each account, as `graphs.count_cores` does."""
    found = cugraph.core_number(_build_undirected(source, target, np.ones(source.size), n_accounts))
    return _order_scores(found["vertex"], found["core_number"]).astype(np.int64)


def _build_undirected(
    source: np.ndarray, target: np.ndarray, weight: np.ndarray, n_accounts: int
) -> Any:
    # cuGraph keeps one of two opposite edges; their weights must be one before.
    edges = symmetrise(source, target, weight, n_accounts).tocoo()
    once = edges.row < edges.col
    return _build_graph(edges.row[once], edges.col[once], edges.data[once], directed=False)


def _build_graph(
    source: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    *,
    directed: bool,
) -> Any:
    columns = {
        "source": cp.asarray(source.astype(np.int32)),
        "target": cp.asarray(target.astype(np.int32)),
    }
    if weight is not None:
        columns["weight"] = cp.asarray(weight)
    graph = cugraph.Graph(directed=directed)
    graph.from_cudf_edgelist(
        cudf.DataFrame(columns),
        source="source",
        destination="target",
        edge_attr=None if weight is None else "weight",
        store_transposed=weight is not None and directed,  # as PageRank reads it
    )
    return graph


def _spread_labels(vertex: Any, label: Any, n_accounts: int) -> np.ndarray:
    """Return a label for each account; those without edges, which cuGraph drops, have their own."""
    labels = cp.arange(n_accounts, dtype=np.int64)
    labels[vertex.to_cupy()] = n_accounts + label.to_cupy().astype(np.int64)
    return np.asarray(cp.asnumpy(labels))


def _order_scores(vertex: Any, score: Any) -> np.ndarray:
    """Return the score of each account, where every account is a vertex."""
    return np.asarray(cp.asnumpy(score.to_cupy()[cp.argsort(vertex.to_cupy())]))
