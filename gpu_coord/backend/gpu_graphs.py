"""Edges -> a label for each account: components and communities on the GPU (cuGraph).

Edges arrive from the host, where they are written as findings, and labels go back there. What
cuGraph calls a component is an arbitrary integer: `network` makes labels canonical.
"""

from typing import Any, Literal

import cudf
import cugraph
import cupy as cp
import numpy as np

from gpu_coord.graphs import symmetrise

MAX_LEIDEN_ITERATIONS = 100


def label_components(
    source: np.ndarray,
    target: np.ndarray,
    n_accounts: int,
    *,
    connection: Literal["weak", "strong"],
) -> np.ndarray:
    """Label the components of directed edges, as `gpu_coord.graphs.label_components` does."""
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
    """Label the communities of weighted edges, as `gpu_coord.graphs.label_communities` does.

    The partition is another than on the CPU, though about as good.
    """
    if not source.size:
        return np.arange(n_accounts)
    # cuGraph keeps one of two opposite edges; their weights must be one before.
    edges = symmetrise(source, target, weight, n_accounts).tocoo()
    once = edges.row < edges.col
    graph = _build_graph(edges.row[once], edges.col[once], edges.data[once], directed=False)
    found, _ = cugraph.leiden(
        graph, max_iter=MAX_LEIDEN_ITERATIONS, resolution=resolution, random_state=seed
    )
    return _spread_labels(found["vertex"], found["partition"], n_accounts)


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
    )
    return graph


def _spread_labels(vertex: Any, label: Any, n_accounts: int) -> np.ndarray:
    """Return a label for each account; those without edges, which cuGraph drops, have their own."""
    labels = cp.arange(n_accounts, dtype=np.int64)
    labels[vertex.to_cupy()] = n_accounts + label.to_cupy().astype(np.int64)
    return np.asarray(cp.asnumpy(labels))
