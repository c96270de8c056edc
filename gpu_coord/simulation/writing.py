"""Tables in parts, to one file.

In: tables of the same columns, one after the other. Out: a CSV file, packed or not, or a Parquet
file; the same tables give the same bytes. No more than one part is held.
"""

from __future__ import annotations

import gzip
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import polars as pl

    Write = Callable[[pl.DataFrame], None]


@contextmanager
def open_table(path: Path) -> Iterator[Write]:
    """Yield a function that appends a table to a ``.csv``, ``.csv.gz`` or ``.parquet`` file."""
    with ExitStack() as opened:
        yield (_open_parquet if path.suffix == ".parquet" else _open_csv)(path, opened)


def _open_csv(path: Path, opened: ExitStack) -> Write:
    file: Any = opened.enter_context(path.open("wb"))
    if path.suffix == ".gz":
        # Without a name and a time the bytes depend on the content only.
        packed = gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0)
        file = opened.enter_context(packed)
    n_before = count()
    return lambda table: table.write_csv(
        file, quote_style="always", include_header=next(n_before) == 0
    )


def _open_parquet(path: Path, opened: ExitStack) -> Write:
    writers: list[pq.ParquetWriter] = []  # one, once the columns are known

    def write(table: pl.DataFrame) -> None:
        arrow = table.to_arrow()
        if not writers:
            writer = pq.ParquetWriter(path, arrow.schema, compression="zstd")
            writers.append(opened.enter_context(writer))
        writers[0].write_table(arrow)

    return write
