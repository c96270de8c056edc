"""What a sweep keeps on disk, cell by cell: a row each, and each distinct network once.

The one idea: every file is written aside and renamed, and a cell counts as done when its row is
there, so a sweep that is stopped anywhere goes on with the cells that are missing.
"""

import json
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.ground.choices import hash_json
from gpu_coord.ground.folders import replace_file, write_json
from gpu_coord.ground.parquet import read_parquet, write_parquet
from gpu_coord.network.network import Network

CELLS, NETWORKS = "cells", "networks"

NO_EDGES = pl.DataFrame(schema={"source": pl.Int32, "target": pl.Int32})
NO_ACCOUNTS = pl.DataFrame(schema={"account": pl.Int32, "community": pl.Int32, "leads": pl.Boolean})

_HASH = "sha256"  # of all else in a row
# What comes of reading a file that somebody changed.
_CHANGED = (ValueError, LookupError, TypeError, pl.exceptions.PolarsError)


class Results:
    """The rows and networks of a sweep's folder; accounts by their number in the store."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._whole: dict[str, bool] = {}  # networks that were looked at
        for name in (CELLS, NETWORKS):
            (folder / name).mkdir(exist_ok=True)

    def has(self, specification: str) -> bool:
        """Tell whether a cell is done; one whose files were changed is not, and is done again."""
        if not self._find_row(specification).is_file():
            return False
        try:
            row = self.read(specification)
            digest, known = row["network"], row.pop(_HASH, None)
            is_same = known in (None, hash_json(row))  # cells of 0.1 have none
            return is_same and (digest is None or self._has_network(digest))
        except _CHANGED:
            return False

    def _has_network(self, digest: str) -> bool:
        """Tell whether a network is what its name says; else its files are removed."""
        files = [self.find_network(digest, part) for part in ("edges", "accounts")]
        if digest not in self._whole:
            try:
                edges, accounts = map(read_parquet, files)
                schemas = (edges.schema, accounts.schema) == (NO_EDGES.schema, NO_ACCOUNTS.schema)
                self._whole[digest] = schemas and _digest(edges, accounts) == digest
            except (*_CHANGED, FileNotFoundError):
                self._whole[digest] = False
        if not self._whole[digest]:
            for file in files:
                file.unlink(missing_ok=True)
        return self._whole[digest]

    def read(self, specification: str) -> dict[str, Any]:
        """Return the row of a cell that is done."""
        row: dict[str, Any] = json.loads(self._find_row(specification).read_text("utf-8"))
        return row

    def add(self, specification: str, row: dict[str, Any], digest: str | None) -> None:
        """Keep the row of a cell, and which network it has: from now on, the cell is done."""
        kept = row | {"network": digest}
        kept = json.loads(json.dumps(kept))
        with replace_file(self._find_row(specification)) as aside:
            write_json(aside, kept | {_HASH: hash_json(kept)})

    def add_network(self, edges: pl.DataFrame, accounts: pl.DataFrame) -> str:
        """Keep a network of `tabulate_network`, and return its digest."""
        name = _digest(edges, accounts)
        for part, frame in (("edges", edges), ("accounts", accounts)):
            file = self.find_network(name, part)
            if not file.is_file():
                with replace_file(file) as aside:
                    write_parquet(frame, aside)
        return name

    def find_network(self, digest: str, part: str) -> Path:
        """Return the file of a network's ``edges`` or ``accounts``."""
        return self.folder / NETWORKS / f"{digest}.{part}.parquet"

    def _find_row(self, specification: str) -> Path:
        return self.folder / CELLS / f"{specification}.json"


def tabulate_network(network: Network, numbers: np.ndarray) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return edges and accounts of a network; ``numbers`` are its accounts in the store."""
    linked = np.flatnonzero(network.component >= 0)
    edges = {"source": numbers[network.source], "target": numbers[network.target]}
    accounts = {
        "account": numbers[linked],
        "community": network.community[linked],
        "leads": np.isin(linked, network.source),
    }
    return (
        pl.DataFrame(edges, schema=NO_EDGES.schema),
        pl.DataFrame(accounts, schema=NO_ACCOUNTS.schema),
    )


def _digest(edges: pl.DataFrame, accounts: pl.DataFrame) -> str:
    digest = sha256(repr((edges.shape, accounts.shape)).encode())
    for column in (*edges, *accounts):
        digest.update(column.to_numpy())
    return digest.hexdigest()


def count_networks(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return how many cells have each network, by digest."""
    names = Counter(row["network"] for row in rows if row["network"] is not None)
    return dict(sorted(names.items()))
