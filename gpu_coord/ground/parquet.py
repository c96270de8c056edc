"""Parquet files under the names that they have.

Polars takes brackets and stars in a path for a pattern and a tilde for a home; it and Arrow take
what begins like an address for one. A folder may be named so; its tables are still its own.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl

from gpu_coord.ground.folders import check_name

_ROOM = 1 << 16  # bytes that are not there where a table could not be written


def scan_parquet(*paths: Path | str) -> pl.LazyFrame:
    """Return what is in some files, one below the other, lazily."""
    return pl.scan_parquet([locate(path) for path in paths], glob=False)


def read_parquet(path: Path | str, columns: Collection[str] | None = None) -> pl.DataFrame:
    """Return what is in a file, or some columns of it."""
    named = None if columns is None else list(columns)
    return pl.read_parquet(locate(path), columns=named, glob=False)


def write_parquet(frame: pl.DataFrame, path: Path, **choices: Any) -> None:
    """Write a table; where there is no room for it, say so as the system does."""
    try:
        frame.write_parquet(path, **choices)
    except pl.exceptions.PolarsError:  # it may tell of the file only, which was cut off
        with path.open("ab") as file:
            file.write(bytes(_ROOM))
        raise


def list_columns(path: Path | str) -> list[str]:
    """Return the names of the columns of a file."""
    return scan_parquet(path).collect_schema().names()


def locate(path: Path | str) -> Path:
    """Return where a file is, as readers of tables take it.

    Raises
    ------
    ValueError
        Its name is not UTF-8.
    """
    check_name(Path(path))
    return Path(path).absolute()
