"""Parquet files under the names that they have.

Polars takes brackets and stars in a path for a pattern, a tilde for a home, and what begins like an
address for one. A folder may be named so; its tables are still its own, and nobody else's.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from gpu_coord.ground.folders import check_name


def scan_parquet(*paths: Path | str) -> pl.LazyFrame:
    """Return what is in some files, one below the other, lazily."""
    return pl.scan_parquet([_locate(path) for path in paths], glob=False)


def read_parquet(path: Path | str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Return what is in a file, or some columns of it."""
    named = None if columns is None else list(columns)
    return pl.read_parquet(_locate(path), columns=named, glob=False)


def list_columns(path: Path | str) -> list[str]:
    """Return the names of the columns of a file."""
    return scan_parquet(path).collect_schema().names()


def _locate(path: Path | str) -> Path:
    check_name(Path(path))
    return Path(path).absolute()
