"""The store on disk: one folder of Parquet tables and a manifest, read lazily.

In: tables written aside in a temporary folder. Out: a ``Store`` that scans them.
The one idea: a folder appears under its name complete, or not at all.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from gpu_coord import __version__
from gpu_coord.folders import read_marker, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

Table = Literal["posts", "events", "accounts", "entities", "rejects", "texts"]

TABLES: tuple[Table, ...] = ("posts", "events", "accounts", "entities", "rejects")
TEXTS_TABLE: Table = "texts"  # only where it was asked for
STORE_VERSION = 1
STORE_MARKER = "manifest.json"
STORE_FILES = {STORE_MARKER, *(f"{table}.parquet" for table in (*TABLES, TEXTS_TABLE))}
ROW_GROUP_ROWS = 1 << 19
# Columns for which a dictionary would only be written twice.
_ALL_DIFFERENT = {"post", "time", "content_id", "entity", "value", "account_id", "text"}


@dataclass(frozen=True, slots=True)
class Store:
    """A folder made by ``ingest``: posts, events, accounts, entities, rejects and a manifest."""

    path: Path
    manifest: dict[str, Any] = field(repr=False)  # inputs, settings, versions and counts

    def scan(self, table: Table) -> pl.LazyFrame:
        """Return a table lazily; ``table`` is one of ``TABLES``, or ``texts`` if it was kept."""
        return pl.scan_parquet(self._find(table))

    def read(self, table: Table) -> pl.DataFrame:
        """Return a table in memory; ``table`` is one of ``TABLES``, or ``texts`` if it was kept."""
        return pl.read_parquet(self._find(table))

    def _find(self, table: Table) -> Path:
        file = self.path / f"{table}.parquet"
        if table == TEXTS_TABLE and not file.is_file():
            raise FileNotFoundError(
                f"{self.path} keeps no texts; ingest the archive again with --texts."
            )
        if table not in (*TABLES, TEXTS_TABLE):
            raise ValueError(f"A store has no table {table!r}; it has {', '.join(TABLES)}.")
        return file

    def __repr__(self) -> str:
        totals = self.manifest["totals"]
        sizes = ", ".join(
            f"{totals[name]:,} {name}" for name in ("posts", "events", "accounts", "entities")
        )
        return f"Store({str(self.path)!r}: {sizes})"


def open_store(path: Path | str) -> Store:
    """Open a store folder.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or one of its files is missing.
    ValueError
        The folder is no store, or one of a later version.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"There is no store at {path}; `ingest` makes one.")
    manifest = read_marker(path, STORE_MARKER)
    if manifest is None or not {"store_version", "inputs", "totals"} <= manifest.keys():
        raise ValueError(f"{path} is no store: its {STORE_MARKER} is missing or not ours.")
    if manifest["store_version"] != STORE_VERSION:
        raise ValueError(
            f"{path} is a store of version {manifest['store_version']}, this program reads "
            f"version {STORE_VERSION}; ingest the archive again."
        )
    missing = [f"{name}.parquet" for name in TABLES if not (path / f"{name}.parquet").is_file()]
    if missing:
        raise FileNotFoundError(f"{path} lacks {', '.join(missing)}; ingest the archive again.")
    return Store(path, manifest)


def check_outside(store: Store, out: Path | str, what: str) -> None:
    """Check that what is to be written (a noun in the plural) does not lie in a store.

    Raises
    ------
    ValueError
        It does.
    """
    if Path(out).resolve().is_relative_to(store.path.resolve()):
        raise ValueError(f"{out} lies in the store {store.path}; write {what} elsewhere.")


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest and, with it, rows, size and hash of each table."""
    kept = [TEXTS_TABLE] if (folder / f"{TEXTS_TABLE}.parquet").is_file() else []
    tables = {name: describe_table(folder / f"{name}.parquet") for name in (*TABLES, *kept)}
    head = {"gpu_coord": __version__, "store_version": STORE_VERSION}
    write_json(folder / STORE_MARKER, {**head, **manifest, "tables": tables})


def verify_store(path: Path | str) -> dict[str, Any]:
    """Check that a store is what its manifest says: every table, and that the counts add up.

    Raises
    ------
    ValueError
        A table was changed, or rows are unaccounted for.
    """
    store = open_store(path)
    check_tables(store.path, store.manifest["tables"], remedy="ingest again")
    for entry in store.manifest["inputs"]:
        n_placed = sum(entry[key] for key in ("stored", "rejected", "duplicates", "excluded"))
        _check_count(f"the rows of {entry['name']}", entry["rows_read"], n_placed)
    totals, tables = store.manifest["totals"], store.manifest["tables"]
    for name in ("posts", "events", "accounts", "entities"):
        _check_count(f"the {name} of the manifest", totals[name], tables[name]["rows"])
    n_rejected = sum(entry["rejected"] for entry in store.manifest["inputs"])
    _check_count("the rejected rows", n_rejected, tables["rejects"]["rows"])
    n_stored = "events" if store.manifest["format"] == "shares" else "posts"
    _check_count("the stored rows", totals["stored"], totals[n_stored])
    if TEXTS_TABLE in tables:
        n_texts = store.manifest["entities_by_kind"].get("text", 0)
        _check_count("the texts of the manifest", n_texts, tables[TEXTS_TABLE]["rows"])
    return {"n_tables": len(tables), "n_inputs": len(store.manifest["inputs"])}


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


def _check_count(what: str, said: int, counted: int) -> None:
    if said != counted:
        raise ValueError(
            f"{what} are {said}, but {counted} are accounted for; make the store again, and report "
            "this if it stays."
        )


def describe_table(path: Path, *, remedy: str = "make the folder again") -> dict[str, Any]:
    """Return rows, size in bytes and sha256 of a Parquet file; say what to do without it."""
    try:
        rows = pq.read_metadata(path).num_rows
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing; {remedy}.") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is no readable Parquet file ({error}); {remedy}.") from error
    return {"rows": rows, **describe_file(path)}


def describe_file(path: Path) -> dict[str, Any]:
    """Return size in bytes and sha256 of a file."""
    return {"size": path.stat().st_size, "sha256": hash_file(path)}


def hash_file(path: Path) -> str:
    """Return the sha256 of a file as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class TableWriter:
    """Writes frames to one file, gathered into parts of about half a million rows.

    A file that is kept is Parquet, written small; one that is read once and thrown away is named
    ``.arrow`` and written as it lies in memory.
    """

    def __init__(self, path: Path, schema: dict[str, Any]):
        self._empty = pl.DataFrame(schema=schema)
        open_file = _open_arrow if path.suffix == ".arrow" else _open_parquet
        self._writer = open_file(path, _to_arrow(self._empty).schema)
        self._waiting: list[pl.DataFrame] = []
        self._n_waiting = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Append a frame; its columns are taken by name and cast to the schema."""
        schema = self._empty.schema
        self._waiting.append(frame.select(pl.col(name).cast(schema[name]) for name in schema))
        self._n_waiting += frame.height
        if self._n_waiting >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        frame = pl.concat([self._empty, *self._waiting], rechunk=True)
        self._writer.write_table(_to_arrow(frame), max(frame.height, 1))
        self._waiting, self._n_waiting = [], 0

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None and self._n_waiting:
            self._flush()
        self._writer.close()


def _open_arrow(path: Path, schema: pa.Schema) -> Any:
    options = pa.ipc.IpcWriteOptions(unify_dictionaries=True)
    return pa.ipc.new_file(path, schema, options=options)


def _open_parquet(path: Path, schema: pa.Schema) -> Any:
    repeating = [name for name in schema.names if name not in _ALL_DIFFERENT]
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeating)


def read_parts(path: Path, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
    """Yield the parts of a file of `TableWriter`, one frame each."""
    if path.suffix == ".arrow":
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as file:
            for part in range(file.num_record_batches):
                batch = file.get_batch(part)
                yield pl.DataFrame(batch.select(columns or batch.schema.names))
        return
    with pq.ParquetFile(path) as file:
        for part in range(file.num_row_groups):
            yield pl.DataFrame(file.read_row_group(part, columns=columns))


def _to_arrow(frame: pl.DataFrame) -> Any:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def name_accounts(account_ids: pl.Series, store: Store) -> pl.Series:
    """Return a pseudonym for each account id, to show in its place.

    The same account has the same pseudonym in every run on a store, and another one elsewhere.
    Whoever holds the store can look it up: it hides ids from readers of a report, no more.
    """
    import polars_hash as plh

    # What the inputs held, not when or where they were ingested.
    salt = "".join(entry["sha256"] for entry in store.manifest["inputs"])
    hashed = plh.concat_str(pl.lit(salt), account_ids).chash.blake3()
    return pl.select("acct-" + hashed.str.slice(0, 12)).to_series().alias("pseudonym")
