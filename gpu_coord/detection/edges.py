"""Blocks of edges -> ``edges.parquet``, accounts by their ids."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.weights import Edges
from gpu_coord.chance.tests import PairTests
from gpu_coord.results.findings import IN_NETWORK

# The columns of edges that say whether chance could have made them.
SIGNIFICANCE = ("expected", "n_hours", "p_value", "q_value", "grade", "significant")


class EdgeWriter:
    """Appends blocks of edges to ``edges.parquet``, accounts by their ids."""

    def __init__(self, path: Path, activity: Activity, tests: PairTests | None):
        self._tests = tests
        self._ids = activity.accounts["account_id"].to_arrow().cast(pa.string())
        self._kinds = activity.kinds
        # Without the stored schema readers see text, not the dictionary it is written from.
        self._writer = pq.ParquetWriter(
            path,
            self._to_table(no_edges(len(self._kinds)), np.empty(0, bool)).schema,
            store_schema=False,
        )

    def add(self, edges: Edges, in_network: np.ndarray) -> None:
        """Append a block, with marks of those that are in the network."""
        self._writer.write_table(self._to_table(edges, in_network))

    def _to_table(self, edges: Edges, in_network: np.ndarray) -> pa.Table:
        weights = {
            f"weight_{kind}": np.ascontiguousarray(edges.by_kind[:, k])
            for k, kind in enumerate(self._kinds)
        }
        return pa.table(
            {
                "source": pa.DictionaryArray.from_arrays(edges.source, self._ids),
                "target": pa.DictionaryArray.from_arrays(edges.target, self._ids),
                "weight": edges.weight,
                **weights,
                "support": edges.support,
                "lag": edges.lag,
                **self._find_tests(edges),
                IN_NETWORK: in_network,
            }
        )

    def _find_tests(self, edges: Edges) -> dict[str, Any]:
        if self._tests is None:
            return {}
        found = self._tests.read_edges(edges.source, edges.target, edges.lag)
        return {name: getattr(found, name) for name in SIGNIFICANCE}

    def __enter__(self) -> "EdgeWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()


def no_edges(n_kinds: int) -> Edges:
    """Return a table of edges without a row."""
    return Edges(
        source=np.empty(0, np.int32),
        target=np.empty(0, np.int32),
        weight=np.empty(0),
        by_kind=np.empty((0, n_kinds)),
        support=np.empty(0, np.int32),
        lag=np.empty(0, np.int32),
    )
