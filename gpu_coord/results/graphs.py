"""The network of a run -> graphs of other libraries, and a file: the same names and attributes."""

from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from gpu_coord.ground.folders import check_file_replaceable
from gpu_coord.network.exports import write_graphml
from gpu_coord.results.findings import IN_NETWORK, Findings


def load(library: str, function: str) -> Any:
    """Import a library that only this function needs.

    Raises
    ------
    ModuleNotFoundError
        It is not installed.
    """
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{function}() needs {library}, which is not installed; `pip install {library}` "
            "installs it."
        ) from error


def make_networkx(findings: Findings, *, show_ids: bool) -> Any:
    """Return the network of a run as a graph of networkx; see `Findings.to_networkx`."""
    networkx = load("networkx", "to_networkx")
    accounts, edges = _read_network(findings, show_ids=show_ids)
    graph = networkx.DiGraph() if findings.is_directed else networkx.Graph()
    nodes = zip(accounts["account_id"], _list_known(accounts.drop("account_id")), strict=True)
    graph.add_nodes_from(nodes)
    told = _list_known(edges.drop("source", "target"))
    graph.add_edges_from(zip(edges["source"], edges["target"], told, strict=True))
    return graph


def make_igraph(findings: Findings, *, show_ids: bool) -> Any:
    """Return the network of a run as a graph of igraph; see `Findings.to_igraph`."""
    igraph = load("igraph", "to_igraph")
    accounts, edges = _read_network(findings, show_ids=show_ids)
    graph = igraph.Graph(n=accounts.height, directed=findings.is_directed)
    for name, column in accounts.rename({"account_id": "name"}).to_dict().items():
        graph.vs[name] = column.to_list()
    ends = (_number(edges[end], accounts["account_id"]).to_list() for end in ("source", "target"))
    attributes = edges.drop("source", "target").to_dict(as_series=False)
    graph.add_edges(zip(*ends, strict=True), attributes)
    return graph


def save_graphml(findings: Findings, path: Path | str, *, show_ids: bool) -> None:
    """Write the network of a run as GraphML; see `Findings.to_graphml`."""
    check_file_replaceable(Path(path), "<graphml", "GraphML")
    accounts, edges = _read_network(findings, show_ids=show_ids)
    numbers = {end: _number(edges[end], accounts["account_id"]) for end in ("source", "target")}
    write_graphml(
        path, accounts.with_row_index("account"), edges.with_columns(**numbers),
        directed=findings.is_directed,
    )  # fmt: skip


def _read_network(findings: Findings, *, show_ids: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the accounts and edges of the network, with what files of graphs say of them."""
    findings.check_run()
    accounts = findings.read("accounts").drop_nulls("component").drop(cs.nested())
    accounts = accounts.with_columns(cs.temporal().cast(pl.String))  # files have no times
    edges = findings.read_network()
    if findings.command == "detect":  # what its files say; those of others say all
        edges = edges.select("source", "target", "^weight.*$", "support", "lag")
    edges = edges.select(pl.exclude(IN_NETWORK)).drop(cs.nested())
    if show_ids:
        return accounts, edges
    old, new = accounts["account_id"], accounts["pseudonym"]
    ends = pl.col("source", "target").replace_strict(old, new, return_dtype=pl.String)
    return accounts.with_columns(account_id="pseudonym"), edges.with_columns(ends)


def _number(ends: pl.Series, names: pl.Series) -> pl.Series:
    return ends.replace_strict(names, range(names.len()), return_dtype=pl.Int64)


def _list_known(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Return rows without what is null, as files have none of it."""
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in table.to_dicts()
    ]
