"""Files on disk to a store: X/Twitter archives and share tables.

In: paths of files and folders. Out: a ``Store``. The one idea: everything is recognised by its
content, read as text in a stream, and every record is stored, rejected, a duplicate or excluded.
"""

from __future__ import annotations

import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from gpu_coord.archive.intake import Intake, Tally
from gpu_coord.archive.shares import ingest_shares, read_ids
from gpu_coord.archive.sources import (
    ArchiveError,
    Format,
    find_sources,
    naming_errors,
    plain_name,
)
from gpu_coord.archive.tables import REJECTS, Exclusion
from gpu_coord.archive.x_archive import TimeSource, ingest_x_archive
from gpu_coord.folders import check_replaceable, replace_folder
from gpu_coord.store import (
    STORE_FILES,
    STORE_MARKER,
    Store,
    TableWriter,
    hash_file,
    open_store,
    write_manifest,
)
from gpu_coord.urls import UrlRule, normalise_urls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["ArchiveError", "ingest", "read_labels"]

AnyPath = Path | str


def ingest(
    paths: Sequence[AnyPath] | AnyPath,
    store: AnyPath,
    *,
    format: Format = "auto",
    exclude: Sequence[str] = (),
    url_rule: UrlRule = "canonical",
    time: TimeSource = "auto",
    pseudonym_key: bytes | None = None,
    labels: AnyPath | None = None,
    label: Mapping[str, AnyPath] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Store:
    """Read archives into a store folder.

    Parameters
    ----------
    paths
        Files and folders: X archives (CSV) or share tables (CSV, JSONL, Parquet), recognised by
        their content; CSV and JSONL also gzipped or zipped.
    store
        The folder to write; a store that is there is replaced once the new one is complete.
    format
        What the files must be; ``auto`` accepts either, but not both together.
    exclude
        Hashtags, mentions, URLs or hosts whose events are dropped and counted; upper and lower
        case are equal, ``#tag`` also means ``tag``.
    url_rule
        What makes two URLs of an X archive the same, see ``gpu_coord.urls``.
    time
        ``auto`` takes the milliseconds from a tweetid whose minute is that of ``tweet_time``;
        ``stamp`` always takes ``tweet_time``.
    pseudonym_key
        Replaces account ids, and entities that are accounts (kind ``mention`` and kinds that end
        in ``_user``), by 32 hexadecimal digits of HMAC-SHA256; the key itself is not stored.
    labels
        Table (CSV or Parquet) of ``account_id`` (as in the archive) and ``label``.
    label
        Label -> file or folder, which is read too: the label of all its accounts.
    progress
        Called with the stage, and how much of how much is done (bytes).

    Raises
    ------
    ArchiveError
        An input is broken, not UTF-8, or no archive; or labels contradict each other.
    FileExistsError
        ``store`` exists and is no store.
    """
    _check_choices(format, url_rule, time, exclude, pseudonym_key)
    given = [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]
    named = {name: Path(path) for name, path in (label or {}).items()}
    owners = _check_labels(named)
    target = Path(store)
    check_replaceable(target, STORE_MARKER, STORE_FILES)
    sources, ignored = find_sources([*given, *named.values()], owners, format)
    settings = {
        "format": format,
        "exclude": list(exclude),
        "url_rule": url_rule,
        "time": time,
        "pseudonymised": pseudonym_key is not None,
        "labels": None if labels is None else Path(labels).name,
        "label": {name: path.name for name, path in named.items()},
    }
    with replace_folder(target, STORE_MARKER, STORE_FILES) as folder:
        rejects = TableWriter(folder / "rejects.parquet", REJECTS)
        intake = Intake(
            folder,
            [Tally(source) for source in sources],
            rejects,
            Exclusion(tuple(exclude), lambda urls: normalise_urls(urls, rule=url_rule)),
            url_rule,
            time,
            pseudonym_key,
            progress or _say_nothing,
        )
        with rejects:
            facts = _ingest_sources(intake, None if labels is None else Path(labels))
        head = {"versions": _list_versions(), "settings": settings, "ignored": ignored}
        write_manifest(folder, {**head, **facts})
    return open_store(target)


def _check_choices(
    archive_format: str, url_rule: str, time: str, exclude: Sequence[str], key: bytes | None
) -> None:
    if archive_format == "crowdtangle":
        raise ValueError(
            "CrowdTangle exports are not read yet; make a share table of account_id, object_id, "
            "content_id and timestamp_share, and take format 'shares'."
        )
    choices = {
        "format": (archive_format, ("auto", "x-archive", "shares")),
        "url_rule": (url_rule, ("canonical", "paper")),
        "time": (time, ("auto", "stamp")),
    }
    for name, (choice, allowed) in choices.items():
        if choice not in allowed:
            raise ValueError(f"{name} is {choice!r}; it must be one of {', '.join(allowed)}.")
    if any(not term.strip(" #@") for term in exclude):
        raise ValueError("A term to exclude is empty; give a hashtag, a mention, a URL or a host.")
    if key is not None and not key:
        raise ValueError("The pseudonym key is empty; give at least one byte, better 32.")


def _check_labels(named: Mapping[str, Path]) -> dict[Path, str]:
    owners: dict[Path, str] = {}
    for name, path in named.items():
        if not name.strip():
            raise ValueError(f"The label of {path} is empty; write NAME=PATH.")
        if owners.setdefault(path.resolve(), name) != name:
            raise ValueError(f"{path} has two labels, {owners[path.resolve()]!r} and {name!r}.")
    return owners


def _say_nothing(stage: str, done: int, total: int) -> None:
    """Take the place of a progress bar."""


def _ingest_sources(intake: Intake, labels: Path | None) -> dict[str, Any]:
    """Write all tables but the manifest, and return what it says about them."""
    files = sorted({tally.source.path for tally in intake.tallies})
    is_shares = intake.tallies[0].source.role == "shares"
    with ThreadPoolExecutor(1) as pool:
        hashes = {file: pool.submit(hash_file, file) for file in files}
        intake.staged.mkdir()
        if labels is not None:
            _book_labels(intake, labels)
        (ingest_shares if is_shares else ingest_x_archive)(intake)
        shutil.rmtree(intake.staged)
        digests = {file: result.result() for file, result in hashes.items()}
    return {
        "format": "shares" if is_shares else "x-archive",
        "inputs": [_describe_input(tally, digests) for tally in intake.tallies],
        **_summarise(intake),
    }


def read_labels(path: AnyPath) -> pl.DataFrame:
    """Read a table of labels, CSV or Parquet.

    Returns
    -------
        ``account_id`` and ``label`` of each labelled account, once; rows that lack one of the two
        are left out.

    Raises
    ------
    ArchiveError
        The file is broken, lacks a column, or gives an account two labels.
    """
    labels = _read_label_rows(Path(path)).drop_nulls().unique(maintain_order=True)
    twice = labels.filter(pl.col("account_id").is_duplicated())
    if twice.height:
        raise ArchiveError(
            f"{Path(path).name} gives {twice['account_id'].n_unique()} accounts two labels, such "
            f"as {twice['label'][0]!r}; an account has one label, so correct them."
        )
    return labels


def _read_label_rows(path: Path) -> pl.DataFrame:
    with naming_errors(path, None):
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        table = pl.read_parquet(path) if is_parquet else pl.read_csv(path, infer_schema=False)
    table = table.rename({name: plain_name(name) for name in table.columns})
    if missing := {"accountid", "label"} - set(table.columns):
        raise ArchiveError(
            f"{path.name} lacks {sorted(missing)}; a table of labels has the columns account_id "
            f"and label, this one has {table.columns}."
        )
    ids, names = (read_ids(table[column], name=path.name) for column in ("accountid", "label"))
    return pl.DataFrame({"account_id": ids, "label": names})


def _book_labels(intake: Intake, path: Path) -> None:
    """Book the labels of a table; rows without an account or a label are counted."""
    table = _read_label_rows(path)
    filled = table.drop_nulls()
    for (name,), rows in filled.partition_by("label", as_dict=True, maintain_order=True).items():
        intake.accounts.label(intake.accounts.encode(rows["account_id"]), str(name))
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
        **_count_records([tally]),
    }


def _count_records(tallies: Sequence[Tally]) -> dict[str, int]:
    return {
        "rows_read": sum(tally.n_read for tally in tallies),
        "stored": sum(tally.n_stored for tally in tallies),
        "rejected": sum(tally.n_rejected for tally in tallies),
        "duplicates": sum(tally.n_duplicates for tally in tallies),
        "excluded": sum(tally.n_excluded for tally in tallies),
    }


def _summarise(intake: Intake) -> dict[str, Any]:
    users = [tally for tally in intake.tallies if tally.source.role == "users"]
    others = [tally for tally in intake.tallies if tally.source.role != "users"]
    facts = intake.facts
    by_kind = dict(sorted(facts.pop("events_by_kind", {}).items()))
    sizes = {name: facts.pop(name) for name in ("posts", "accounts", "entities")}
    posts = pl.scan_parquet(intake.folder / "posts.parquet")
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
        "labels": {**labels, "unknown_accounts": intake.accounts.count_unknown()},
        **facts,
    }
