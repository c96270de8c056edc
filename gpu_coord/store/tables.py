"""Tables on the disk: written in parts, described by rows, size and hash, and checked again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from gpu_coord.ground.parquet import locate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ROW_GROUP_ROWS = 1 << 19
# Columns for which a dictionary would only be written twice.
_ALL_DIFFERENT = {"post", "time", "content_id", "entity", "value", "account_id", "text"}


def check_tables(folder: Path, tables: dict[str, Any], *, remedy: str) -> None:
    """Compare Parquet files with their description.

    Parameters
    ----------
    folder, tables
        Where they are, and the description by name.
    remedy
        What to do where they differ, such as "ingest again".

    Raises
    ------
    ValueError
        A file is missing, or another than the one described.
    """
    for name, described in tables.items():
        if describe_table(folder / f"{name}.parquet", remedy=remedy) != described:
            raise ValueError(
                f"{folder / name}.parquet is not the file that was written with its folder; "
                f"{remedy}."
            )


def describe_table(path: Path, *, remedy: str = "make the folder again") -> dict[str, Any]:
    """Return rows, size in bytes and sha256 of a Parquet file; say what to do without it."""
    try:
        rows = pq.read_metadata(locate(path)).num_rows
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing; {remedy}.") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is no readable Parquet file ({error}); {remedy}.") from error
    return {"rows": rows, **describe_file(path)}


def describe_file(path: Path) -> dict[str, Any]:
    """Return size in bytes and sha256 of a file."""
    return {"size": path.stat().st_size, "sha256": hash_file(path)}


def describe_files(folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Return size and hash of some files, those that there are."""
    present = [name for name in names if (folder / name).is_file()]
    return {name: describe_file(folder / name) for name in present}


def hash_file(path: Path) -> str:
    """Return the sha256 of a file as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class TableWriter:
    """Writes frames to one file, gathered into parts of half a million rows.

    A file that is kept is Parquet, written small: the same bytes, whatever frames the rows came in.
    One that is read once and thrown away is named ``.arrow`` and written as it lies in memory; its
    parts hold whole frames.
    """

    def __init__(self, path: Path, schema: dict[str, Any]):
        self._empty = pl.DataFrame(schema=schema)
        open_file = _open_arrow if path.suffix == ".arrow" else _open_parquet
        self._writer = open_file(path, to_arrow(self._empty).schema)
        self._keeps_frames = path.suffix == ".arrow"
        self._waiting: list[pl.DataFrame] = []
        self._n_waiting = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Append a frame; its columns are taken by name and cast to the schema."""
        schema = self._empty.schema
        self._waiting.append(frame.select(pl.col(name).cast(schema[name]) for name in schema))
        self._n_waiting += frame.height
        if self._n_waiting >= ROW_GROUP_ROWS:
            self._flush(ROW_GROUP_ROWS)

    def _flush(self, least: int) -> None:
        """Write parts until fewer rows are waiting."""
        frame = pl.concat([self._empty, *self._waiting], rechunk=True)
        n_rows = frame.height if self._keeps_frames else ROW_GROUP_ROWS
        while frame.height >= least:
            part, frame = frame.head(n_rows), frame.slice(n_rows)
            self._writer.write_table(to_arrow(part), part.height)
        self._waiting, self._n_waiting = [frame], frame.height

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None and self._n_waiting:
            self._flush(1)
        self._writer.close()


def _open_arrow(path: Path, schema: pa.Schema) -> Any:
    options = pa.ipc.IpcWriteOptions(unify_dictionaries=True)
    return pa.ipc.new_file(path, schema, options=options)


def _open_parquet(path: Path, schema: pa.Schema) -> Any:
    repeating = [name for name in schema.names if name not in _ALL_DIFFERENT]
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeating)


def read_parts(path: Path, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """Yield the parts of a file of `TableWriter`, one frame each."""
    if path.suffix == ".arrow":
        # Read, not mapped: pages of a mapped file count as memory of the process until its end.
        with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as file:
            names = file.schema.names
        fields = None if columns is None else [names.index(name) for name in columns]
        options = pa.ipc.IpcReadOptions(included_fields=fields)
        with pa.OSFile(str(path)) as source, pa.ipc.open_file(source, options=options) as file:
            for part in range(file.num_record_batches):
                yield pl.DataFrame(file.get_batch(part))
        return
    with pq.ParquetFile(locate(path)) as file:
        for part in range(file.num_row_groups):
            yield pl.DataFrame(file.read_row_group(part, columns=columns and list(columns)))


def to_arrow(frame: pl.DataFrame) -> Any:
    """Return a frame as a table of Arrow that any reader knows."""
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())
