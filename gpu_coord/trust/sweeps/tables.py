"""The cells of a sweep -> its tables: the cells, who and which edges are in how many of them.

In: the kept rows and networks. Out: Parquet files, the same however often the sweep was stopped.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from gpu_coord.activity.counts import cut_rows
from gpu_coord.ground.folders import replace_file
from gpu_coord.ground.parquet import read_parquet, scan_parquet, write_parquet
from gpu_coord.store.store import Store, name_accounts
from gpu_coord.trust.sweeps.grid import OPTIONS, Cell, find_dtype
from gpu_coord.trust.sweeps.multiverse import CORE_SHARE, compare_all, decompose_variance
from gpu_coord.trust.sweeps.results import NO_EDGES, Results, count_networks

MIN_EDGE_SHARE = 0.1
MAX_COMPARED = 200  # cells: the Rand index of each two is computed

SUMMARY = {
    "n_accounts": pl.Int64, "n_entities": pl.Int64, "n_bins": pl.Int64, "n_edges": pl.Int64,
    "n_components": pl.Int64, "n_communities": pl.Int64, "lambda": pl.Float64,
    "lambda_habit": pl.Float64, "n_pairs_tested": pl.Int64, "n_beyond_habit": pl.Int64,
    "n_significant": pl.Int64, "network_tier": pl.String, "expected_false_edges": pl.Float64,
    "n_groups": pl.Int64, "n_groups_beyond_habit": pl.Int64, "has_bulk": pl.Boolean,
    "n_network_edges": pl.Int64,
    "n_network_accounts": pl.Int64, "modularity": pl.Float64,
}  # fmt: skip
# What the variance of is decomposed; beside these, every AUC and average precision of accounts.
OUTCOMES = (
    "n_edges", "n_beyond_habit", "n_significant", "n_network_edges", "n_network_accounts",
    "n_communities", "modularity",
)  # fmt: skip
_SCORES = ("accounts_auc", "accounts_average_precision")

_EDGE_BYTES = 48  # of an edge while it is grouped


def write_tables(
    folder: Path, results: Results, cells: Sequence[Cell], store: Store, *, seed: int, memory: int
) -> pl.DataFrame:
    """Write the tables of a sweep whose cells are all done; return the cells."""
    rows = [results.read(cell.specification) for cell in cells]
    table = tabulate_cells(cells, rows)
    accounts = store.read("accounts").sort("account")
    networks = count_networks(rows)
    n_done = sum(row["network"] is not None for row in rows)
    _replace(table, folder / "sweep.parquet")
    told = _tabulate_accounts(results, networks, accounts, store, n_done)
    _replace(told, folder / "accounts.parquet")
    with replace_file(folder / "edges.parquet") as aside:
        _write_edges(aside, results, networks, accounts, n_done, memory)
    compared = _choose_compared(rows, seed=seed)
    ari = _tabulate_ari(results, rows, compared, accounts.height)
    _replace(ari, folder / "ari.parquet")
    scores = [name for name in table.columns if name.endswith(_SCORES)]
    outcomes = [*OUTCOMES, *scores]
    _replace(decompose_variance(table, outcomes), folder / "variance.parquet")
    return table


def _replace(table: pl.DataFrame, file: Path) -> None:
    """Write a table in the place of one that may be there, and stays where there is no room."""
    with replace_file(file) as aside:
        write_parquet(table, aside)


def tabulate_cells(cells: Sequence[Cell], rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Return one row per cell, in the order of the grid."""
    names = dict.fromkeys(name for row in rows for name in row["figures"])
    schema: dict[str, Any] = {"cell": pl.Int64}
    schema |= {name: find_dtype(name) for name in OPTIONS}
    schema |= {"specification": pl.String} | SUMMARY
    schema |= dict.fromkeys(names, pl.Float64)
    schema |= {"seconds": pl.Float64, "reason": pl.String}
    records = [
        {"cell": cell.number, "specification": cell.specification}
        | cell.options
        | row["summary"]
        | row["figures"]
        | {"seconds": row["seconds"], "reason": row["reason"]}
        for cell, row in zip(cells, rows, strict=True)
    ]
    return pl.DataFrame([{name: r.get(name) for name in schema} for r in records], schema=schema)


def _tabulate_accounts(
    results: Results, networks: dict[str, int], accounts: pl.DataFrame, store: Store, n_done: int
) -> pl.DataFrame:
    n_cells, n_leading = np.zeros((2, accounts.height), np.int64)
    for digest, n_times in networks.items():
        network = read_parquet(results.find_network(digest, "accounts"))
        n_cells[network["account"].to_numpy()] += n_times
        n_leading[network.filter("leads")["account"].to_numpy()] += n_times
    share, share_leading = _divide(n_cells, n_done), _divide(n_leading, n_done)
    return accounts.select("account_id", "label").with_columns(
        n_cells=pl.Series(n_cells),
        n_leading=pl.Series(n_leading),
        share=pl.Series(share),
        share_leading=pl.Series(share_leading),
        core=pl.Series(share >= CORE_SHARE),
        leading_core=pl.Series(share_leading >= CORE_SHARE),
        pseudonym=name_accounts(accounts["account_id"], store),
    )


def _divide(n_cells: np.ndarray, n_done: int) -> np.ndarray:
    # Not by Polars: it multiplies by 1 / n, and 9 of 10 may then lie below 0.9.
    return n_cells / max(n_done, 1)


def _write_edges(
    path: Path,
    results: Results,
    networks: dict[str, int],
    accounts: pl.DataFrame,
    n_done: int,
    memory: int,
) -> None:
    """Write the edges that are in a tenth of the cells, some sources at a time."""
    ids = accounts["account_id"]
    schema = pa.schema({"source": pa.string(), "target": pa.string(), "n_cells": pa.int64(),
                        "share": pa.float64()})  # fmt: skip
    with pq.ParquetWriter(path, schema) as writer:
        for first, last in _plan_sources(results, networks, accounts.height, memory):
            counted = _count_edges(results, networks, first, last)
            is_kept = pl.col("n_cells") >= MIN_EDGE_SHARE * n_done
            kept = counted.filter(is_kept).sort("source", "target")
            kept = kept.with_columns(
                **{end: ids.gather(kept[end]) for end in ("source", "target")},
                share=pl.Series(_divide(kept["n_cells"].to_numpy(), n_done)),
            )
            writer.write_table(kept.to_arrow().cast(schema))


def _plan_sources(
    results: Results, networks: dict[str, int], n_accounts: int, memory: int
) -> list[tuple[int, int]]:
    """Cut the sources into ranges whose edges, of all networks together, fit the memory."""
    n_edges = np.zeros(n_accounts, np.int64)
    for digest in networks:
        source = read_parquet(results.find_network(digest, "edges"), columns=["source"])
        n_edges += np.bincount(source["source"].to_numpy(), minlength=n_accounts)
    return cut_rows(n_edges, memory // _EDGE_BYTES)


def _count_edges(results: Results, networks: dict[str, int], first: int, last: int) -> pl.DataFrame:
    inside = pl.col("source").is_between(first, last - 1)
    parts = [
        scan_parquet(results.find_network(digest, "edges"))
        .filter(inside)
        .with_columns(n_cells=pl.lit(n_times, pl.Int64))
        for digest, n_times in networks.items()
    ]
    parts.append(NO_EDGES.lazy().with_columns(n_cells=pl.lit(0, pl.Int64)))
    return pl.concat(parts).group_by("source", "target").agg(pl.col("n_cells").sum()).collect()


def _choose_compared(rows: Sequence[dict[str, Any]], *, seed: int) -> list[int]:
    done = [number for number, row in enumerate(rows) if row["network"] is not None]
    if len(done) <= MAX_COMPARED:
        return done
    drawn = np.random.default_rng(seed).choice(len(done), MAX_COMPARED, replace=False)
    return [done[place] for place in sorted(drawn.tolist())]


def _tabulate_ari(
    results: Results, rows: Sequence[dict[str, Any]], compared: Sequence[int], n_accounts: int
) -> pl.DataFrame:
    """Compare each two cells; those with the same network are compared once."""
    digests = sorted({rows[number]["network"] for number in compared})
    place = {digest: position for position, digest in enumerate(digests)}
    found = compare_all([_read_labels(results, digest, n_accounts) for digest in digests])
    pairs = [(one, other) for n, one in enumerate(compared) for other in compared[n + 1 :]]
    cells = [
        (one, other, *found[place[rows[one]["network"]]][place[rows[other]["network"]]])
        for one, other in pairs
    ]
    schema = {"cell": pl.Int64, "other_cell": pl.Int64, "ari": pl.Float64}
    schema |= {"n_accounts_both": pl.Int64, "n_accounts_either": pl.Int64}
    return pl.DataFrame(cells, schema=schema, orient="row")


def _read_labels(results: Results, digest: str, n_accounts: int) -> np.ndarray:
    network = read_parquet(results.find_network(digest, "accounts"))
    labels = np.full(n_accounts, -1, np.int32)
    labels[network["account"].to_numpy()] = network["community"].to_numpy()
    return labels
