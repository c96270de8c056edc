"""Files on disk to a store: X/Twitter archives, CrowdTangle exports and share tables.

In: paths of files and folders. Out: a ``Store``. The one idea: everything is recognised by its
content, read as text in a stream, and every record is stored, rejected, a duplicate or excluded.
"""

from __future__ import annotations

import hmac
import json
import platform
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import polars as pl

from gpu_coord import __version__
from gpu_coord.archive.additions import Addition, check_settings, leave_out_known
from gpu_coord.archive.crowdtangle import ingest_crowdtangle
from gpu_coord.archive.exports import ingest_exports
from gpu_coord.archive.frames import FRAME_NAME, stage, stage_labelled
from gpu_coord.archive.ids import read_ids
from gpu_coord.archive.intake import Intake, Tally
from gpu_coord.archive.outcome import (
    refuse_loss,
    warn_of_damage,
    warn_of_nothing,
    warn_of_open_quotes,
)
from gpu_coord.archive.settings import Format, IngestSettings
from gpu_coord.archive.shares import ingest_shares
from gpu_coord.archive.sources import (
    FAMILIES,
    ArchiveError,
    Wanted,
    check_columns,
    check_name,
    find_sources,
    naming_errors,
    plain_name,
    read_parquet,
    read_table_bytes,
    refuse_large,
    refuse_no_file,
    show_columns,
)
from gpu_coord.archive.tables import REJECTS, Exclusion
from gpu_coord.archive.x_archive import ingest_x_archive
from gpu_coord.ground.folders import (
    WAY_OUT,
    TemporaryFolder,
    check_replaceable,
    list_differences,
    replace_folder,
)
from gpu_coord.ground.keywords import takes
from gpu_coord.ground.leftovers import clear_leftovers, hold
from gpu_coord.ground.markers import read_marker
from gpu_coord.ground.parquet import scan_parquet
from gpu_coord.ground.urls import normalise_urls
from gpu_coord.store.store import (
    STORE_FILES,
    STORE_MARKER,
    Store,
    open_store,
    verify_store,
    write_manifest,
)
from gpu_coord.store.tables import TableWriter, hash_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from narwhals.typing import IntoFrame

    from gpu_coord.archive.sources import Source

AnyPath = Path | str


@takes(IngestSettings)
def ingest(
    paths: Sequence[AnyPath] | AnyPath | IntoFrame,
    store: AnyPath | None = None,
    *,
    pseudonym_key: bytes | None = None,
    labels: AnyPath | IntoFrame | None = None,
    same_person: AnyPath | IntoFrame | None = None,
    label: Mapping[str, AnyPath | IntoFrame]
    | Sequence[tuple[str, AnyPath | IntoFrame]]
    | None = None,
    add: bool = False,
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    **choices: Any,
) -> Store:
    """Read archives into a store folder.

    Parameters
    ----------
    paths
        Files and folders, recognised by their content (see ``docs/reading.md``); or a data frame
        (Polars, pandas, Arrow, DuckDB, ...).
    store
        The folder to write; a store of the same inputs, read in the same way, is returned as it
        is, anything else is refused. Without it a temporary one is there as long as what is
        returned, whose `save` keeps it.
    pseudonym_key
        Replaces account ids, and entities that are accounts (kind ``mention`` and kinds that end
        in ``_user``), by 32 hexadecimal digits of HMAC-SHA256; the key itself is not stored. So
        are the content ids of CrowdTangle exports: addresses, which name the account.
    labels
        Table (CSV, Parquet or data frame) of ``account_id`` (as in the archive) and ``label``.
    same_person
        Table (CSV, Parquet or data frame) of ``account_id`` and ``person``, perhaps ``platform``:
        the accounts of one person are one account of the store, named as the person is.
    label
        Label -> file, folder or data frame, which is read too: the label of all its accounts.
        Pairs of label and path where a label has several.
    add
        Add the inputs to the store that is there, whose own are not read again: it then is that of
        one ingest of the old inputs and the new, in this order (``docs/reading.md`` says how far).
        The choices, the key, the labels and the persons must be those of the store. Inputs that it
        holds are left out, with a warning.
    overwrite
        Read anew, and replace any store that is there once the new one is complete.
    progress
        Called with the stage, and how much of how much is done (bytes).

    Raises
    ------
    ArchiveError
        An input is broken, not UTF-8, or no archive; or labels contradict each other.
    FileExistsError
        ``store`` exists and is no store, or one of other inputs or choices.
    ValueError
        A choice is not one of those above, or texts are to be kept of a share table.

    Warns
    -----
    UserWarning
        The inputs hold no post and no share at all, or texts are kept under a key; the store is
        written.
    """
    settings = IngestSettings(**choices)
    if add and (store is None or overwrite):
        raise ValueError("add needs a store that is there and stays; name it, without overwrite.")
    if pseudonym_key is not None and not pseudonym_key:
        raise ValueError("The pseudonym key is empty; give at least one byte, better 32.")
    kept = TemporaryFolder() if store is None else None
    target = kept.path / "store" if kept else Path(store or "")
    with TemporaryDirectory() as frames:
        folder = Path(frames)
        if add:  # which names them otherwise than those that are in the store
            folder = folder / f"input_{len(open_store(target).manifest['inputs']) + 1}"
            folder.mkdir()
        found = stage(paths, folder / FRAME_NAME)
        made = _ingest(
            settings,
            target,
            [Path(found)] if isinstance(found, str | Path) else [Path(path) for path in found],
            [(Path(path), name) for name, path in stage_labelled(label, folder)],
            None if labels is None else _find_table(labels, folder / "labels.parquet"),
            None if same_person is None else _find_table(same_person, folder / "persons.parquet"),
            pseudonym_key,
            progress or (lambda stage, done, total: None),
            add=add,
            overwrite=overwrite,
        )
    return replace(made, kept=kept)


def _find_table(given: Any, file: Path) -> Path:
    """Return the file of a table; a data frame is written to it."""
    found = stage(given, file)
    if not isinstance(found, str | Path):
        raise TypeError(
            f"a table is given as {type(given).__name__}; give a CSV or Parquet file, or a data "
            "frame."
        )
    return Path(found)


def _ingest(
    settings: IngestSettings,
    target: Path,
    given: Sequence[Path],
    named: Sequence[tuple[Path, str]],
    labels: Path | None,
    same_person: Path | None,
    pseudonym_key: bytes | None,
    progress: Callable[[str, int, int], None],
    *,
    add: bool,
    overwrite: bool,
) -> Store:
    """Read files and folders into a store, which has what is said of `ingest`."""
    for path, name in named:
        if not name.strip():
            raise ValueError(f"The label of {path} is empty; write NAME=PATH.")
    clear_leftovers(target.resolve())  # a store that comes back is not replaced unasked
    check_replaceable(target, STORE_MARKER, STORE_FILES)
    wanted = Wanted(**settings.wanted)
    old = open_store(target) if add else None
    sources, ignored = find_sources(
        [*((path, None) for path in given), *named], wanted,
        [] if old is None else [entry["name"] for entry in old.manifest["inputs"]],
    )  # fmt: skip
    if settings.texts:
        _check_texts(sources, pseudonym_key)
    described = asdict(settings) | {
        "pseudonymised": pseudonym_key is not None,
        "key_fingerprint": None if pseudonym_key is None else fingerprint_key(pseudonym_key),
        "labels": None if labels is None else labels.name,
        "label": [[name, path.absolute().name] for path, name in named],
    }
    for name, table in (("same_person", same_person), ("labels", labels)):
        described[f"{name}_sha256"] = None if table is None else _hash_table(table)
    if old is not None:
        described = check_settings(old, described)
        hashes = _hash_files(sources)
        if not (sources := leave_out_known(old, sources, hashes)):
            return old
        ignored = [*old.manifest["ignored"], *ignored]
    else:
        hashes = {} if overwrite else _refuse_other(target, described, sources)
        if hashes and (made := _find_whole(target)) is not None:
            return made
    with replace_folder(target, STORE_MARKER, STORE_FILES) as folder, _holding(old):
        rejects = TableWriter(folder / "rejects.parquet", REJECTS)
        intake = Intake(
            folder,
            [Tally(source) for source in sources],
            rejects,
            Exclusion(settings.exclude, lambda urls: normalise_urls(urls, rule=settings.url_rule)),
            settings.url_rule,
            settings.time,
            pseudonym_key,
            settings.texts,
            progress,
            None if old is None else Addition(old),
        )
        with rejects:
            if same_person is not None:
                intake.accounts.join(_read_persons(same_person))
            facts = _ingest_sources(intake, labels, hashes)
        n_old = 0 if old is None else len(old.manifest["inputs"])
        read = facts | {"inputs": facts["inputs"][n_old:]}
        refuse_loss(folder, read, settings.max_rejects)
        head = {"versions": _list_versions(), "settings": described, "ignored": ignored}
        write_manifest(folder, {**head, **facts})
    warn_of_nothing(read["inputs"])
    warn_of_damage(facts)
    warn_of_open_quotes(intake.swallowed)
    return open_store(target)


@contextmanager
def _holding(store: Store | None) -> Iterator[None]:
    """Hold a store that is added to, and see that it is the same at the end.

    Raises
    ------
    FileExistsError
        Another process adds to it, or has replaced it.
    """
    if store is None:
        yield
        return
    with hold(store.path.resolve()) as is_ours:
        if not is_ours:
            raise FileExistsError(f"{store.path} is being added to already; wait for its end.")
        yield
        if read_marker(store.path, STORE_MARKER) != store.manifest:
            raise FileExistsError(f"{store.path} was replaced meanwhile; add to it again.")


def _refuse_no_table(path: Path) -> None:
    refuse_no_file(path, "labels are one CSV or Parquet file")
    refuse_large(path)


def _hash_table(path: Path) -> str:
    _refuse_no_table(path)
    return hash_file(path)


def _refuse_other(
    path: Path, settings: dict[str, Any], sources: Sequence[Source]
) -> dict[Path, str]:
    """Refuse to replace a store of other inputs, or one that was read in another way.

    Returns
    -------
    The hash of each input, where these were needed to tell.
    """
    held = read_marker(path, STORE_MARKER)
    if held is None:
        return {}
    if differing := list_differences(held.get("settings", {}), json.loads(json.dumps(settings))):
        raise FileExistsError(f"{path} holds another store, with {differing}; {WAY_OUT}.")
    names = ("name", "label", "size")
    known = [tuple(entry.get(name) for name in names) for entry in held["inputs"]]
    given = [(source.name, source.label, source.path.stat().st_size) for source in sources]
    # They are read for it only where names and sizes agree.
    hashes = _hash_files(sources) if known == given else {}
    said = [entry["sha256"] for entry in held["inputs"]]
    if said != [hashes.get(source.path) for source in sources]:
        raise FileExistsError(f"{path} holds another store, of other inputs; {WAY_OUT}.")
    return hashes


def _find_whole(path: Path) -> Store | None:
    """Return a store that this version made, and of which nothing is lost; None: there is none."""
    try:
        verify_store(path)
    except (ValueError, FileNotFoundError):
        return None
    store = open_store(path)
    if store.manifest["gpu_coord"] != __version__:
        return None
    warn_of_nothing(store.manifest["inputs"])
    warn_of_damage(store.manifest)
    return store


def _hash_files(sources: Sequence[Source]) -> dict[Path, str]:
    return {path: hash_file(path) for path in sorted({source.path for source in sources})}


def fingerprint_key(key: bytes) -> str:
    """Return what tells that two stores were made with one key, and nothing of the key itself."""
    return hmac.digest(key, b"gpu_coord key fingerprint", "sha256").hex()[:16]


def _check_texts(sources: Sequence[Source], key: bytes | None) -> None:
    if sources[0].role == "shares":
        raise ValueError(
            f"{sources[0].name} is a share table, whose objects are stored as they are; texts are "
            "kept of X archives and CrowdTangle exports, so leave texts out."
        )
    if key is not None:
        warnings.warn(
            "the store has pseudonyms and keeps texts: whoever searches for a text finds its "
            "account, so share the one or the other.",
            stacklevel=3,
        )


_READERS: dict[Format, Callable[[Intake], None]] = {
    "x-archive": ingest_x_archive,
    "shares": ingest_shares,
    "crowdtangle": ingest_crowdtangle,
    "exports": ingest_exports,
}


def _ingest_sources(intake: Intake, labels: Path | None, hashes: dict[Path, str]) -> dict[str, Any]:
    """Write all tables but the manifest, and return what it says about them."""
    sources = [tally.source for tally in intake.tallies]
    archive_format, _ = FAMILIES[sources[0].role]
    with ThreadPoolExecutor(1) as pool:
        hashing = pool.submit(lambda: hashes or _hash_files(sources))
        intake.staged.mkdir()
        if labels is not None:
            _book_labels(intake, labels)
        _READERS[archive_format](intake)
        shutil.rmtree(intake.staged)
        digests = hashing.result()
    inputs = [_describe_input(tally, digests) for tally in intake.tallies]
    if intake.addition is not None:
        inputs = [*intake.addition.manifest["inputs"], *inputs]
    return {
        "format": archive_format,
        "inputs": inputs,
        **_summarise(intake, inputs),
    }


def read_labels(
    path: AnyPath | IntoFrame,
    *,
    columns: Sequence[str] = ("account_id", "label"),
    extra: Sequence[str] = (),
) -> pl.DataFrame:
    """Read a table of labels.

    Parameters
    ----------
    path
        CSV or Parquet, or a data frame.
    columns
        What the table must have; the first is the id, of which each row tells something.
    extra
        Further columns, kept where the table has them.

    Returns
    -------
        The columns as text, each id once; rows that lack one of ``columns`` are left out.

    Raises
    ------
    ArchiveError
        The file is broken, lacks a column or has it twice, or tells two things of one account.
    """
    with TemporaryDirectory() as folder:
        file = _find_table(path, Path(folder) / "labels.parquet")
        rows = _read_label_rows(file, columns, extra).drop_nulls(list(columns))
    name = file.name
    labels = rows.unique(maintain_order=True)
    key = columns[0]
    for column in labels.columns[1:]:
        told = labels.select(key, column).unique(maintain_order=True)
        twice = told.filter(pl.col(key).is_duplicated())
        if twice.height:
            raise ArchiveError(
                f"{name} gives {twice[key].n_unique()} accounts two {column}s, such as "
                f"{twice[column][0]!r}; an account has one {column}, so correct them."
            )
    return labels


def _read_label_rows(path: Path, columns: Sequence[str], extra: Sequence[str]) -> pl.DataFrame:
    table, header = _open_labels(path)
    kept = {name: plain_name(name) for name in (*columns, *extra)}
    present = {plain_name(name) for name in header}
    if missing := [name for name in columns if kept[name] not in present]:
        raise ArchiveError(
            f"{path.name} lacks {missing}; a table of labels has the columns "
            f"{' and '.join(columns)}, this one has {show_columns(header, kept.values())}."
        )
    check_columns(path.name, header)
    table = table.rename({name: plain_name(name) for name in table.columns})
    for name, column in kept.items():
        if column in table.columns and table[column].dtype.is_temporal():
            raise ArchiveError(
                f"{path.name} stores {name} as {table[column].dtype}, a time; write names there."
            )
    return pl.DataFrame(
        {
            name: read_ids(table[column], name=path.name)
            for name, column in kept.items()
            if column in table.columns
        }
    )


def _open_labels(path: Path) -> tuple[pl.DataFrame, list[str]]:
    """Return the table and its header as it stands in the file."""
    _refuse_no_table(path)
    check_name(path)
    with naming_errors(path, None):
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        if is_parquet:
            table = read_parquet(path)
            return table, table.columns
        content = read_table_bytes(path)  # not by its name, in which Polars looks for a pattern
        table = pl.read_csv(content, infer_schema=False)
        # The names of the table are made distinct by the reader.
        head = pl.read_csv(content, infer_schema=False, has_header=False, n_rows=1).row(0)
        return table, [name for name in head if name]


def _read_persons(path: Path) -> pl.DataFrame:
    """Read which accounts are one person's: ``account_id``, ``person``, perhaps ``platform``."""
    columns = ("account_id", "person")
    rows = _read_label_rows(path, columns, ("platform",)).drop_nulls(list(columns)).unique()
    account = [name for name in ("platform", "account_id") if name in rows.columns]
    twice = rows.filter(rows.select(pl.struct(account).is_duplicated()).to_series())
    if twice.height:
        raise ArchiveError(
            f"{path.name} gives an account two persons, such as {twice['person'].min()!r} and "
            f"{twice['person'].max()!r}; an account has one person, so correct them."
        )
    return rows


def _book_labels(intake: Intake, path: Path) -> None:
    """Book the labels of a table; rows without an account or a label are counted."""
    table = _read_label_rows(path, ("account_id", "label"), ())
    filled = table.drop_nulls()
    for (name,), rows in filled.partition_by("label", as_dict=True, maintain_order=True).items():
        intake.accounts.tell(rows["account_id"], str(name))
    intake.facts["labels"] = {"rows": table.height, "incomplete": table.height - filled.height}


def _list_versions() -> dict[str, str]:
    packages = ("gpu-coord", "polars", "polars-hash", "pyarrow")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def _describe_input(tally: Tally, digests: Mapping[Path, str]) -> dict[str, Any]:
    source = tally.source
    return {
        "name": source.name,
        "size": source.path.stat().st_size,
        "sha256": digests[source.path],
        "content": source.role,
        "packing": source.packing,
        "label": source.label,
        "rows_read": tally.n_read,
        "stored": tally.n_stored,
        "rejected": tally.n_rejected,
        "duplicates": tally.n_duplicates,
        "excluded": tally.n_excluded,
    }


def _count_records(inputs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counts = ("rows_read", "stored", "rejected", "duplicates", "excluded")
    return {name: sum(entry[name] for entry in inputs) for name in counts}


def _summarise(intake: Intake, inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    users = [entry for entry in inputs if entry["content"] == "users"]
    others = [entry for entry in inputs if entry["content"] != "users"]
    facts = intake.facts
    by_kind = dict(sorted(facts.pop("events_by_kind", {}).items()))
    sizes = {name: facts.pop(name) for name in ("posts", "accounts", "entities")}
    posts = scan_parquet(intake.folder / "posts.parquet")
    n_posting = posts.select(pl.col("account").n_unique()).collect().item()
    totals = {
        **_count_records(others),
        **sizes,
        "posting_accounts": n_posting,
        "events": sum(by_kind.values()),
    }
    labels = facts.pop("labels", {"rows": 0, "incomplete": 0})
    return {
        "totals": totals,
        "users": _count_records(users),
        "rejected_by_reason": dict(sorted(intake.reasons.items())),
        "events_by_kind": by_kind,
        "excluded_events_by_term": {
            term: intake.exclusion.n_events[term] for term in intake.exclusion.terms
        },
        "unread_cells": dict(sorted(intake.unread.items())),
        "missing_cells": dict(sorted(intake.missing.items())),
        "mended_ids": dict(sorted(intake.mended.items())),
        "long_ids": {"accounts": intake.accounts.n_long, "end_in_zeros": intake.accounts.n_cut},
        "labels": {**labels, "unknown_accounts": intake.accounts.n_unknown},
        **dict(sorted(facts.items())),  # as threads found them
    }
