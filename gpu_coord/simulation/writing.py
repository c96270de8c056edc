"""Tables in parts, to one file.

In: tables of the same columns, one after the other. Out: a CSV file, packed or not, or a Parquet
file; the same tables give the same bytes. No more than one part is held.
"""

from __future__ import annotations

import gzip
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import polars as pl

    Write = Callable[[pl.DataFrame], None]


@contextmanager
def open_table(path: Path) -> Iterator[Write]:
    """Yield a function that appends a table to a ``.csv``, ``.csv.gz`` or ``.parquet`` file."""
    if path.suffix == ".parquet":
        with _Parquet(path) as parquet:
            yield parquet.write
    elif path.suffix == ".gz":
        # Without a name and a time the bytes depend on the content only.
        with (
            path.open("wb") as raw,
            gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        ):
            yield _Csv(cast("IO[bytes]", packed)).write
    else:
        with path.open("wb") as plain:
            yield _Csv(plain).write


class _Csv:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._has_header = False

    def write(self, table: pl.DataFrame) -> None:
        include = not self._has_header
        table.write_csv(self._file, quote_style="always", include_header=include)
        self._has_header = True


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _Parquet:
        return self

    def write(self, table: pl.DataFrame) -> None:
        arrow = table.to_arrow()
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, arrow.schema, compression="zstd")
        self._writer.write_table(arrow)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
