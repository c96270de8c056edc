"""The store on disk: one folder of Parquet tables and a manifest, read lazily.

In: tables written aside in a temporary folder. Out: a ``Store`` that scans them.
The one idea: a folder appears under its name complete, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from gpu_coord import __version__
from gpu_coord.ground.folders import (
    WAY_OUT,
    TemporaryFolder,
    copy_folder,
    write_json,
)
from gpu_coord.ground.kinds import names_accounts, names_posts
from gpu_coord.ground.markers import read_marker, seems_ours
from gpu_coord.ground.parquet import read_parquet, scan_parquet
from gpu_coord.store.tables import check_tables, describe_table

Table = Literal["posts", "events", "accounts", "entities", "rejects", "texts"]
TABLES: tuple[Table, ...] = ("posts", "events", "accounts", "entities", "rejects")
TEXTS_TABLE: Table = "texts"  # only where it was asked for
STORE_VERSION = 1
STORE_MARKER = "manifest.json"
STORE_FILES = {STORE_MARKER, *(f"{table}.parquet" for table in (*TABLES, TEXTS_TABLE))}


@dataclass(frozen=True, slots=True)
class Store:
    """A folder made by ``ingest``: posts, events, accounts, entities, rejects and a manifest."""

    path: Path
    manifest: dict[str, Any] = field(repr=False)  # inputs, settings, versions and counts
    kept: TemporaryFolder | None = field(default=None, repr=False, compare=False)

    def scan(self, table: Table) -> pl.LazyFrame:
        """Return a table lazily; ``table`` is one of ``TABLES``, or ``texts`` if it was kept.

        That of a temporary store is read here, as its folder may be gone when it is needed.
        """
        file = self._find(table)
        return scan_parquet(file) if self.kept is None else read_parquet(file).lazy()

    def read(self, table: Table) -> pl.DataFrame:
        """Return a table in memory; ``table`` is one of ``TABLES``, or ``texts`` if it was kept."""
        return read_parquet(self._find(table))

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Store:
        """Copy the store to a folder that stays, and return it there.

        Parameters
        ----------
        folder
            Where to; a store of the same inputs, read in the same way, is replaced there.
        overwrite
            Replace any store.

        Raises
        ------
        FileExistsError
            The path holds anything else.
        """
        held, own = read_marker(Path(folder), STORE_MARKER), self.manifest
        if held is not None and not overwrite:
            if any(held.get(name) != own.get(name) for name in ("inputs", "settings")):
                raise FileExistsError(f"{folder} holds another store; {WAY_OUT}.")
        copy_folder(self.path, Path(folder), STORE_MARKER, STORE_FILES)
        return open_store(folder)

    def _find(self, table: Table) -> Path:
        file = self.path / f"{table}.parquet"
        if table == TEXTS_TABLE and not file.is_file():
            raise FileNotFoundError(
                f"{self.path} keeps no texts; ingest the archive again with --texts."
            )
        if table not in (*TABLES, TEXTS_TABLE):
            raise ValueError(f"A store has no table {table!r}; it has {', '.join(TABLES)}.")
        return file

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process opens it where it is, and never removes it.
        return open_store, (self.path.absolute(),)

    def _repr_html_(self) -> str:
        from gpu_coord.store.cards import draw_card

        return draw_card(self)

    def __repr__(self) -> str:
        totals = self.manifest["totals"]
        sizes = ", ".join(
            f"{totals[name]:,} {name}" for name in ("posts", "events", "accounts", "entities")
        )
        where = "temporary" if self.kept else repr(str(self.path))
        return f"Store({where}: {sizes})"


def open_store(path: Store | Path | str) -> Store:
    """Open a store folder; a store that is open already comes back as it is.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or one of its files is missing.
    ValueError
        The folder is no store, or one of a later version.
    """
    if isinstance(path, Store):
        return path
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"There is no store at {path}; `ingest` makes one.")
    manifest = read_marker(path, STORE_MARKER)
    if manifest is None or not {"store_version", "inputs", "totals"} <= manifest.keys():
        state = "not as it was written" if seems_ours(path / STORE_MARKER) else "not ours"
        raise ValueError(f"{path} is no store: its {STORE_MARKER} is missing or {state}.")
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
    head = {"gpu_coord": __version__, "store_version": STORE_VERSION, "command": "ingest"}
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


def _check_count(what: str, said: int, counted: int) -> None:
    if said != counted:
        raise ValueError(
            f"{what} are {said}, but {counted} are accounted for; make the store again, and report "
            "this if it stays."
        )


def name_accounts(account_ids: pl.Series, store: Store) -> pl.Series:
    """Return a pseudonym for each account id, to show in its place.

    The same account has the same pseudonym in every run on a store, and another one elsewhere.
    Whoever holds the store can look it up: it hides ids from readers of a report, no more.
    """
    return _hash_ids(account_ids, store, "acct-").alias("pseudonym")


def name_entities(entities: pl.DataFrame, store: Store) -> pl.DataFrame:
    """Add the ``pseudonym`` of entities that are accounts or posts; null for others.

    Parameters
    ----------
    entities
        ``kind`` and ``value``.
    store
        See `name_accounts`.
    """
    kinds, values = entities["kind"].cast(pl.String).unique(), entities["value"]
    pseudonym: pl.Expr = pl.lit(None, pl.String)
    for are_named, prefix in ((names_accounts, "acct-"), (names_posts, "post-")):
        is_named = pl.col("kind").cast(pl.String).is_in(list(filter(are_named, kinds)))
        pseudonym = pl.when(is_named).then(_hash_ids(values, store, prefix)).otherwise(pseudonym)
    return entities.with_columns(pseudonym=pseudonym)


def _hash_ids(ids: pl.Series, store: Store, prefix: str) -> pl.Series:
    import polars_hash as plh

    # What the inputs held, not in which order, when or where they were ingested. Older stores have
    # no hash of it.
    inputs = "".join(entry["sha256"] for entry in store.manifest["inputs"])
    salt = store.manifest.get("accounts_sha256", inputs)
    hashed = plh.concat_str(pl.lit(salt), ids).chash.blake3()
    return pl.select(prefix + hashed.str.slice(0, 12)).to_series()
