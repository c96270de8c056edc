"""A strict stand-in for cuGraph: SciPy and graspologic inside, cuGraph 26.10 outside.

Labels are arbitrary numbers and rows come in any order. Undefined behaviour is refused: which of
two weights of one edge stays, an undirected graph that is not symmetric, a graph without edges.
"""

import warnings
from typing import Any

import cudf
import cupy
import graspologic_native
import numpy as np
from doubles_contract import TABLE, bind, draw_order, refuse_name
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components as label_components

__all__ = ["Graph", "core_number", "leiden", "pagerank"]
__version__ = TABLE["versions"]["cugraph"]

_FUNCTIONS = TABLE["cugraph"]["functions"]


class Graph:
    """A graph on the device, filled once."""

    def __init__(self, m_graph: Any = None, directed: bool = False):
        if m_graph is not None:
            raise NotImplementedError("the double makes graphs from edge lists only.")
        self._directed = bool(directed)
        self._edges: csr_array | None = None

    def __getattr__(self, name: str) -> Any:
        raise refuse_name("cugraph.Graph", name, TABLE["cugraph"]["Graph"])

    def is_directed(self) -> bool:
        return self._directed

    def number_of_vertices(self) -> int:
        return self._vertices.size

    def from_cudf_edgelist(self, *args: Any, **kwargs: Any) -> None:
        parameters = TABLE["cugraph"]["Graph"]["from_cudf_edgelist"]
        given = bind("from_cudf_edgelist", parameters, args, kwargs).arguments
        if self._edges is not None:
            raise RuntimeError("Graph already has values")
        source, target, weight = _take_columns(given)
        self._vertices = _take_vertices(source, target, given)
        self._store_transposed = given.get("store_transposed", False)
        ends = np.searchsorted(self._vertices, [source, target])
        self._edges = self._connect(*ends, weight, given.get("symmetrize"))

    def _connect(self, source: Any, target: Any, weight: Any, symmetrize: bool | None) -> csr_array:
        n_vertices = self._vertices.size
        if self._directed and symmetrize:
            raise ValueError("The edgelist can only be symmetrized for undirected graphs.")
        if not self._directed and symmetrize is not False:
            source, target = np.append(source, target), np.append(target, source)
            weight = np.append(weight, weight)
        _, first, edge = np.unique(
            source * n_vertices + target, return_index=True, return_inverse=True
        )
        if (weight != weight[first][edge]).any():
            raise ValueError("an edge has two weights, and which one stays is not defined.")
        ends = source[first], target[first]
        edges = csr_array((weight[first], ends), shape=(n_vertices, n_vertices))
        if not self._directed and (edges != edges.T).nnz:
            raise ValueError("an undirected graph with symmetrize=False must be symmetric.")
        return edges


def _take_columns(given: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return source, target and weight of the edges on the host."""
    frame = given["input_df"]
    if not isinstance(frame, cudf.DataFrame):
        raise TypeError("input should be a cudf.DataFrame or a dask_cudf dataFrame")
    names = [given.get("source", "source"), given.get("destination", "destination")]
    if not set(names) <= set(frame.columns):
        raise ValueError(
            "source column names and/or destination column names not found in input. Recheck the "
            "source and destination parameters"
        )
    if {"edge_id", "edge_type"} & given.keys():
        raise NotImplementedError("the double has no ids and types of edges.")
    if given.get("edge_attr") is not None and given.get("weight") is not None:
        raise ValueError("If specifying edge_attr, cannot specify weight/edge_id/edge_type")
    source, target = (_take_ids(frame[name], given.get("renumber", True)) for name in names)
    name = given.get("edge_attr") or given.get("weight")
    if not source.size:
        raise ValueError("the double refuses a graph without edges: nothing says that it works.")
    if source.dtype != target.dtype:
        raise TypeError(f"source has the type {source.dtype}, destination {target.dtype}.")
    weight = np.ones(source.size) if name is None else frame[name].to_numpy().astype(float)
    return source, target, weight


def _take_ids(column: Any, renumber: bool) -> np.ndarray:
    if not renumber and column.dtype not in (np.int32, np.int64):
        raise ValueError("set renumber to True for non integer columns ids")
    return column.to_numpy()


def _take_vertices(source: np.ndarray, target: np.ndarray, given: dict[str, Any]) -> np.ndarray:
    used = np.union1d(source, target)
    vertices = given.get("vertices")
    if vertices is None:
        found = used
    elif isinstance(vertices, cudf.Series | list):
        column = vertices if isinstance(vertices, cudf.Series) else cudf.Series(vertices)
        found = np.unique(column.to_numpy())
        if isinstance(vertices, cudf.Series) and found.dtype != used.dtype:
            raise TypeError(f"vertices have the type {found.dtype}, edges {used.dtype}.")
        if np.setdiff1d(used, found).size:
            raise ValueError("vertices must name every vertex of the edges too.")
    else:
        raise TypeError(f"vertices is a cudf.Series or a list, not {type(vertices)}.")
    if not given.get("renumber", True) and (found != np.arange(found.size)).any():
        raise ValueError("without renumbering, vertices must be the numbers from 0 on.")
    return found.astype(used.dtype)


# --- algorithms ----------------------------------------------------------------------------------


def _take_graph(name: str, args: tuple, kwargs: dict, *, undirected: bool) -> dict[str, Any]:
    given = bind(f"cugraph.{name}", _FUNCTIONS[name], args, kwargs).arguments
    graph = given["G"]
    if not isinstance(graph, Graph):
        raise TypeError(f"input type {type(graph)} is not a supported type.")
    for option in ("directed", "return_labels"):
        if given.get(option) is not None:
            raise TypeError(f"'{option}' cannot be specified for a Graph-type input")
    if graph._edges is None:
        raise RuntimeError("Graph has no edges yet: call from_cudf_edgelist.")
    if undirected and graph.is_directed():
        raise ValueError("input graph must be undirected")
    return given


def _tabulate(graph: Graph, **columns: np.ndarray) -> "cudf.DataFrame":
    order = draw_order(graph._vertices.size)
    frame = cudf.DataFrame()
    frame["vertex"] = cupy.asarray(graph._vertices[order])
    for name, values in columns.items():
        frame[name] = cupy.asarray(values[order])
    return frame


def _scramble(labels: np.ndarray, n_values: int) -> np.ndarray:
    """Rename labels to arbitrary ones below n_values."""
    _, rank = np.unique(labels, return_inverse=True)
    return draw_order(n_values)[rank].astype(np.int32)


def weakly_connected_components(*args: Any, **kwargs: Any) -> "cudf.DataFrame":
    given = _take_graph("weakly_connected_components", args, kwargs, undirected=True)
    if given.get("connection") not in (None, "weak"):
        raise TypeError("'connection' must be 'weak' for weakly_connected_components()")
    return _label(given["G"], "weak")


def strongly_connected_components(*args: Any, **kwargs: Any) -> "cudf.DataFrame":
    given = _take_graph("strongly_connected_components", args, kwargs, undirected=False)
    if given.get("connection") not in (None, "strong"):
        raise TypeError("'connection' must be 'strong' for strongly_connected_components()")
    return _label(given["G"], "strong")


def connected_components(*args: Any, **kwargs: Any) -> "cudf.DataFrame":
    given = bind("connected_components", _FUNCTIONS["connected_components"], args, kwargs)
    functions = {"weak": weakly_connected_components, "strong": strongly_connected_components}
    connection = given.arguments.get("connection", "weak")
    if connection not in functions:
        raise ValueError(
            f"invalid connection type: {connection}, must be either 'strong' or 'weak'"
        )
    return functions[connection](*args, **kwargs)


def _label(graph: Graph, connection: str) -> "cudf.DataFrame":
    labels = label_components(graph._edges, directed=True, connection=connection)[1]
    return _tabulate(graph, labels=_scramble(labels, graph._vertices.size))


def leiden(*args: Any, **kwargs: Any) -> tuple["cudf.DataFrame", float]:
    given = _take_graph("leiden", args, kwargs, undirected=True)
    graph, edges = given["G"], given["G"]._edges
    seed = given.get("random_state")
    seed = int(draw_order(2**16)[0]) if seed is None else seed
    modularity, label_of = graspologic_native.leiden_csr(
        edges.indptr.astype(np.int64),
        edges.indices.astype(np.int32),
        edges.data,
        edges.shape[0],
        resolution=given.get("resolution", 1.0),
        iterations=2,
        seed=seed,
        max_local_moving_iterations=10 * given.get("max_iter", 100),
    )
    labels = np.arange(edges.shape[0]) + edges.shape[0]
    labels[np.fromiter(label_of.keys(), np.int64)] = np.fromiter(label_of.values(), np.int64)
    return _tabulate(graph, partition=_scramble(labels, edges.shape[0])), float(modularity)


def pagerank(*args: Any, **kwargs: Any) -> "cudf.DataFrame":
    given = _take_graph("pagerank", args, kwargs, undirected=False)
    if unknown := given.keys() - {"G", "alpha", "max_iter", "tol"}:
        raise NotImplementedError(f"the double has no {sorted(unknown)}.")
    graph, edges, alpha = given["G"], given["G"]._edges, given.get("alpha", 0.85)
    if not graph._store_transposed:
        warnings.warn(
            "Pagerank expects the 'store_transposed' flag to be set to 'True' for optimal "
            "performance during the graph creation",
            UserWarning,
            stacklevel=2,
        )
    out = np.asarray(edges.sum(axis=1)).ravel()
    share = np.divide(1.0, out, out=np.zeros_like(out), where=out > 0)
    rank = np.full(out.size, 1 / out.size)
    for _ in range(given.get("max_iter", 100)):
        lost = rank[out == 0].sum()
        following = alpha * (edges.T @ (rank * share) + lost / out.size) + (1 - alpha) / out.size
        if abs(following - rank).sum() < given.get("tol", 1e-5):
            return _tabulate(graph, pagerank=following)
        rank = following
    raise RuntimeError("PageRank did not converge.")


def core_number(*args: Any, **kwargs: Any) -> "cudf.DataFrame":
    graph = _take_graph("core_number", args, kwargs, undirected=True)["G"]
    edges = csr_array(graph._edges != 0).astype(np.int64)
    core, left = np.zeros(edges.shape[0], np.int64), np.ones(edges.shape[0], bool)
    for level in range(edges.shape[0] + 1):
        while (weak := left & (edges @ left <= level)).any():
            core[weak] = level
            left &= ~weak
    return _tabulate(graph, core_number=core)


def __getattr__(name: str) -> Any:
    raise refuse_name("cugraph", name, TABLE["cugraph"]["names"])
