"""Blocks of edges -> ``edges.parquet``, accounts by their ids."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from gpu_coord.activity.weights import Edges
from gpu_coord.chance.tests import PairTests
from gpu_coord.chance.tiers import name_tiers
from gpu_coord.results.findings import IN_NETWORK
from gpu_coord.store.tables import to_arrow


class EdgeWriter:
    """Appends blocks of edges to ``edges.parquet``, accounts by their ids."""

    def __init__(
        self, path: Path, accounts: pl.DataFrame, kinds: Sequence[str], tests: PairTests | None
    ):
        self._kinds, self._tests = kinds, tests
        self._ids = accounts["account_id"].to_arrow().cast(pa.string())
        empty = self._to_table(no_edges(len(kinds)), np.empty(0, bool))
        # Without the stored schema readers see text, not the dictionary it is written from.
        self._writer = pq.ParquetWriter(path, empty.schema, store_schema=False)

    def add(self, edges: Edges, in_network: np.ndarray) -> None:
        """Append a block, with marks of those that are in the network."""
        self._writer.write_table(self._to_table(edges, in_network))

    def _to_table(self, edges: Edges, in_network: np.ndarray) -> pa.Table:
        columns: dict[str, Any] = {
            "weight": edges.weight,
            **name_weights(edges, self._kinds),
            "support": edges.support,
            "lag": edges.lag,
        }
        if self._tests is not None:
            columns |= name_tiers(self._tests.read_edges(edges.source, edges.target, edges.lag))
        described = to_arrow(pl.DataFrame(columns | {IN_NETWORK: in_network}))
        for place, (name, rows) in enumerate((("source", edges.source), ("target", edges.target))):
            # From Polars: an array of NumPy would have PyArrow import pandas.
            ends = pa.DictionaryArray.from_arrays(pl.Series(rows).to_arrow(), self._ids)
            described = described.add_column(place, name, ends)
        return described

    def __enter__(self) -> "EdgeWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()


def tabulate_block(edges: Edges, in_network: np.ndarray) -> pl.DataFrame:
    """Return a block of edges as a table, which may come from another process."""
    rows = pl.Array(pl.Float64, edges.by_kind.shape[1])
    columns = edges._asdict() | {"by_kind": pl.Series(edges.by_kind, dtype=rows)}
    return pl.DataFrame(columns | {IN_NETWORK: in_network})


def read_block(table: pl.DataFrame) -> tuple[Edges, np.ndarray]:
    """Return the edges of a table of `tabulate_block`, and its marks."""
    *columns, in_network = (column.to_numpy() for column in table)
    return Edges(*columns), in_network


def name_weights(edges: Edges, kinds: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the weights of each kind as columns ``weight_<kind>``."""
    columns = np.ascontiguousarray(edges.by_kind.T)
    return {f"weight_{kind}": column for kind, column in zip(kinds, columns, strict=True)}


def no_edges(n_kinds: int) -> Edges:
    """Return a table of edges without a row."""
    nobody, nothing = np.empty(0, np.int32), np.empty(0)
    return Edges(nobody, nobody, nothing, np.empty((0, n_kinds)), nobody, nobody)
