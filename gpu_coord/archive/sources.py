"""Files on disk as batches of records, whatever they are packed in.

In: paths of files and folders. Out: one ``Source`` per table found, recognised by its content,
and its records as frames of text with their record numbers. The one idea: a record is either in
a batch or listed as malformed.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import queue
import re
import sqlite3
import weakref
import zipfile
import zlib
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain, islice, pairwise
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from gpu_coord.archive.cells import give_reason
from gpu_coord.archive.layouts import (
    FIELDS,
    RECORD_KEYS,
    Columns,
    Layout,
    find_nearest,
    map_layout,
    plain,
    recognise_layout,
)
from gpu_coord.ground import folders, parquet
from gpu_coord.ground.files import check_file
from gpu_coord.ground.threads import prefetch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gpu_coord.archive.settings import Format

Role = Literal["tweets", "users", "shares", "crowdtangle", "exports"]
Packing = Literal["csv", "jsonl", "parquet", "arrow", "sqlite"]

BLOCK_BYTES, MAX_BLOCK_BYTES = 3 << 23, 3 << 27
CACHED_BYTES = 1 << 22  # the CSV reader goes over a block several times: in the processor's cache
MAX_TABLE_BYTES = 1 << 28  # of tables that are held whole: a row for each account
MAX_LINE_BYTES = 1 << 28  # of JSON lines, which are held whole and several times
N_ROOMS = 6  # blocks of a CSV file that are held at a time; of larger ones as many bytes, or 2
BOM = b"\xef\xbb\xbf"
HEAD_BYTES, MAX_HEAD_BYTES = 1 << 20, 1 << 26
PARQUET_ROWS = 1 << 17
OPEN_QUOTE = "the quotes of the file do not balance, so its last record may be cut off"
NO_RECORD = "the line is no record of this layout"
UNEXACT_ID = "the line gives an id that is neither text nor a whole number"
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
_EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
_BINARY_MARKS: tuple[tuple[bytes, Packing], ...] = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"SQLite format 3\0", "sqlite"),
)
BROKEN_FILE = (
    *(EOFError, OSError, RuntimeError),
    *(lzma.LZMAError, sqlite3.Error, zipfile.BadZipFile, zlib.error),
)

DELIMITERS = (",", ";", "\t", "|")
MAX_NOTES = 10  # lines above a header
TWEET_COLUMNS = {"tweetid", "userid", "tweettime"}
PROFILE_COLUMNS = {"followercount", "followingcount", "accountcreationdate", "accountlanguage"}
SHARE_COLUMNS = {"accountid", "objectid", "contentid", "timestampshare"}
SHARE_FIELDS = ("account_id", "object_id", "content_id", "timestamp_share", "kind", "platform")
ID_COLUMNS = SHARE_COLUMNS - {"timestampshare"} | {"kind", "platform"}
# Exports of CrowdTangle's dashboard, and tables of what its API gave, such as CooRnet's.
EXPORT_COLUMNS = {"facebookid", "likesatposting", "followersatposting"}
FRAME_COLUMNS = {
    "accounturl",
    "accountplatformid",
    "accountsubscribercount",
    "expanded",
    "posturl",
    "statisticsactuallikecount",
}
# Of each group the first column that a file has is read.
CROWDTANGLE_IDS = ("facebookid", "accounturl", "accountplatformid", "username")
CROWDTANGLE_CONTENTS = ("url", "posturl", "id", "platformid")
CROWDTANGLE_TIMES = ("postcreated", "created", "date")
KNOWN_COLUMNS = (
    TWEET_COLUMNS
    | PROFILE_COLUMNS
    | SHARE_COLUMNS
    | ID_COLUMNS
    | EXPORT_COLUMNS
    | FRAME_COLUMNS
    | {*CROWDTANGLE_IDS, *CROWDTANGLE_CONTENTS, *CROWDTANGLE_TIMES}
)
FAMILIES: dict[Role, tuple[Format, str]] = {
    "tweets": ("x-archive", "an X archive"),
    "users": ("x-archive", "an X archive"),
    "shares": ("shares", "a share table"),
    "crowdtangle": ("crowdtangle", "a CrowdTangle export"),
    "exports": ("exports", "an export of another tool"),
}


class ArchiveError(ValueError):
    """An input file that cannot be read, or is not what it was said to be."""


class UnknownFormatError(ArchiveError):
    """A file that is none of the formats read here."""


@dataclass(frozen=True, slots=True)
class Source:
    """One table of an archive: a file, or a member of a zip file."""

    path: Path
    member: str | None  # name inside a zip file
    packing: Packing
    role: Role
    columns: dict[str, str]  # name without case, spaces, underscores -> a name in the file
    label: str | None = None  # given to all its accounts
    name: str = ""  # shown in rejects and manifest; unique among the inputs
    dialect: Dialect = field(default_factory=lambda: Dialect())
    layout: Layout | None = None  # of exports and mapped tables: what the columns mean
    fields: Columns = field(default_factory=dict)  # of exports: the columns of each field
    time_format: str | None = None  # of strptime; None: as in a share table


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written."""

    delimiter: str = ","
    n_notes: int = 0  # lines above the header
    n_columns: int = 0  # of the header, those of one name twice included
    document: str | None = None  # JSON: not lines, but a list; the key that it stands under, or ""
    pages: str = ""  # JSON: the key of a list of records in each line


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of a source."""

    frame: pl.DataFrame  # one column of text per name asked for (Parquet: as stored)
    rows: np.ndarray  # record numbers (1 = first after the header), one per row of the frame
    malformed: list[tuple[int, str]] = field(default_factory=list)  # record number, reason
    position: int = 0  # bytes of the file read so far
    # The record whose quote is never closed, and how many lines behind it are part of it.
    swallowed: tuple[int, int] | None = None


plain_name = plain


def show_columns(names: Iterable[str], known: Collection[str] = KNOWN_COLUMNS) -> str:
    """Name the known among the columns of a file, as it spells them, and count the others.

    The others may be the first record of a file without a header: texts, names, ids.
    """
    names = list(names)
    shown = sorted({name for name in names if plain_name(name) in known})
    n_others = sum(plain_name(name) not in known for name in names)
    text = ", ".join(map(repr, shown)) or "none that is known here"
    if not n_others:
        return text
    hint = "; is the header missing?" if len(shown) < n_others else ""
    return f"{text} and {n_others} other{'s' if n_others > 1 else ''}{hint}"


# --- finding -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where the walk met a file."""

    root: Path  # the file or folder that was given, its folder resolved
    label: str | None
    is_named: bool  # given itself, not found in a folder


@dataclass(frozen=True, slots=True)
class Wanted:
    """What files are said to be."""

    format: Format
    map: Mapping[str, str] = field(default_factory=dict)  # field -> column
    split: str = ","
    time_format: str | None = None

    def describe(self, packing: Packing) -> Layout | None:
        """Return the layout that the map describes, where there is one."""
        if not self.map:
            return None
        return map_layout(self.map, split=self.split, is_json=packing == "jsonl")


def find_sources(
    given: Sequence[tuple[Path, str | None]], wanted: Wanted, taken: Collection[str] = ()
) -> tuple[list[Source], list[dict[str, str]]]:
    """Find the tables in files and folders.

    Parameters
    ----------
    given
        Files and folders, each with the label of all its accounts or None. Inside a labelled
        folder another one, or a file, may have a label of its own.
    wanted
        What they are said to be.
    taken
        Names that others have.

    Returns
    -------
    The sources in the order of the paths (inside a folder and a zip file: by name), and the files
    inside folders and zip files that were left out, with the reason.

    Raises
    ------
    ArchiveError
        A named file is no archive, none was found, or a file has two labels.
    """
    sources: list[Source] = []
    ignored: list[dict[str, str]] = []
    for file, place in _list_files(given).items():
        sources += _open_tables(file, place, wanted, ignored)
    if not sources:
        places = ", ".join(str(path) for path, _ in given) or "no path"
        raise ArchiveError(
            f"no X archive, share table or export that is known was found in {places}; "
            "`gpu-coord columns FILE` shows what a file is taken for."
        )
    _check_one_format(sources)
    names = _name_files(sorted({source.path for source in sources}), taken)
    return [
        replace(source, name=_join(names[source.path], source.member)) for source in sources
    ], ignored


def _list_files(given: Sequence[tuple[Path, str | None]]) -> dict[Path, Place]:
    """Return the files by their resolved path; what the walk knows of them outlives the links."""
    files: dict[Path, Place] = {}
    for path, label in given:
        if not path.exists():
            raise FileNotFoundError(f"There is no file or folder {path}.")
        if not path.is_dir():
            refuse_no_file(path, "an archive is read several times: write it to a file first")
        root = path.resolve() if path.is_dir() else path.parent.resolve() / path.name
        place = Place(root, label, path.is_file())
        for found in [path] if place.is_named else _walk(path):
            check_name(found)
            file = found.resolve()
            files[file] = _merge_places(file, files.get(file, place), place)
    return files


def refuse_no_file(path: Path, rule: str) -> None:
    """Refuse a folder, a device or a pipe; see `gpu_coord.ground.files.check_file`."""
    try:
        check_file(path, rule)
    except ValueError as error:
        raise ArchiveError(str(error)) from error


def check_name(path: Path) -> None:
    """Refuse a path that cannot stand in a manifest."""
    try:
        folders.check_name(path)
    except ValueError as error:
        raise ArchiveError(str(error)) from error


def _walk(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        is_hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.is_file() and not is_hidden:
            yield file


def _merge_places(file: Path, old: Place, new: Place) -> Place:
    """Keep the label of the inner of two places that hold a file."""
    is_named = old.is_named or new.is_named
    labelled = [place for place in (old, new) if place.label is not None]
    inner = max(labelled or [old], key=lambda place: len(place.root.parts))
    is_nested = all(inner.root.is_relative_to(place.root) for place in labelled)
    roots = {place.root for place in labelled}
    labels = sorted({str(place.label) for place in labelled})
    if len(labels) > 1 and (len(roots) == 1 or not is_nested):
        raise ArchiveError(
            f"{file.name} has two labels, {' and '.join(map(repr, labels))}; name it under one."
        )
    return Place(inner.root, inner.label, is_named)


def _open_tables(
    file: Path, place: Place, wanted: Wanted, ignored: list[dict[str, str]]
) -> Iterator[Source]:
    members = _list_members(file)
    for member in members:
        try:
            with naming_errors(file, member):
                yield _recognise(file, member, place.label, wanted)
        except UnknownFormatError as error:
            if place.is_named and len(members) == 1:
                raise
            ignored.append({"name": _join(file.name, member), "reason": str(error)})


def _list_members(file: Path) -> list[str | None]:
    with file.open("rb") as opened:
        head = opened.read(4)
    if head not in ZIP_SIGNATURES:
        return [None]
    with naming_errors(file, None):
        entries = _read_directory(file)[0]
    if sum(entry.compress_size for entry in entries) > file.stat().st_size:
        raise ArchiveError(
            f"{file.name} is a zip file whose members overlap, so that it is more than it seems; "
            "pack the files anew."
        )
    names = sorted(entry.filename for entry in entries if not entry.is_dir())
    shown = [name for name in names if not re.search(r"(^|/)(\.|__MACOSX/)", name)]
    if not shown:
        raise ArchiveError(f"{file.name} is a zip file without files.")
    if twice := sorted({name for name, after in pairwise(shown) if name == after}):
        raise ArchiveError(
            f"{file.name} has several members of one name: {twice}; unpack and rename them."
        )
    return list(shown)


Directory = tuple[list[zipfile.ZipInfo], dict[str, zipfile.ZipInfo]]


def _read_directory(file: Path) -> Directory:
    """Return the entries of a zip file, also by name; each member is opened by itself later."""
    state = file.stat()
    return _parse_directory(file, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4)
def _parse_directory(file: Path, *_: int) -> Directory:
    with zipfile.ZipFile(file) as packed:
        return packed.infolist(), packed.NameToInfo


def _recognise(file: Path, member: str | None, label: str | None, wanted: Wanted) -> Source:
    with open_stream(file, member) as stream:
        head = stream.read(HEAD_BYTES)
        begun = head.removeprefix(BOM).lstrip()
        if begun.startswith(b"{") and b"\n" not in begun:  # records may be long
            head += stream.readline(MAX_HEAD_BYTES)
    name = _join(file.name, member)
    packing, headers = _read_headers(file, member, head)
    names, dialect, role, layout = _choose_header(name, packing, headers, wanted)
    plain = [plain_name(each) for each in names]
    columns, fields = dict(zip(plain, names, strict=True)), {}
    if layout is not None:
        fields = layout.find(names)
        _require_fields(name, layout, fields, names)
        if role == "shares":
            columns = {plain_name(each): columns[first] for each, (first, *_) in fields.items()}
    used = {column for each in fields.values() for column in each} or (
        SHARE_COLUMNS | ID_COLUMNS if role == "shares" else KNOWN_COLUMNS
    )
    if packing != "jsonl":  # there each line has its own
        check_columns(name, [each for each in plain if each in used])
    if role not in ("shares", "exports") and packing != "csv":
        raise ArchiveError(
            f"{name} is {FAMILIES[role][1]} as {packing}; those are read as CSV, the form in which "
            "they were released."
        )
    return Source(
        file,
        member,
        packing,
        role,
        columns,
        label,
        dialect=dialect,
        layout=layout,
        fields=fields,
        time_format=wanted.time_format or (None if layout is None else layout.time_format),
    )


def _require_fields(name: str, layout: Layout, fields: Columns, names: Sequence[str]) -> None:
    """Refuse a file that lacks a column of the map, or who or when of a layout."""
    wanted = FIELDS[:2] if layout.marks else tuple(layout.columns)
    missing = [each for each in wanted if each not in fields]
    if missing:
        asked = ", ".join(f"{each} ({layout.columns[each]})" for each in missing)
        raise ArchiveError(
            f"{name} as {layout.name} lacks {asked}; its columns are {', '.join(names[:40])}."
        )


def _choose_header(
    name: str, packing: Packing, headers: list[tuple[list[str], Dialect]], wanted: Wanted
) -> tuple[list[str], Dialect, Role, Layout | None]:
    """Return the first header by which a file is known; the error of the first if there is none."""
    first: UnknownFormatError | None = None
    for names, dialect in headers:
        try:
            role, layout = _choose_role(name, names, packing, wanted)
        except UnknownFormatError as error:
            first = first or error
            continue
        return names, dialect, role, layout
    assert first is not None, "a file has at least one line"
    raise first


def check_columns(name: str, columns: Sequence[str]) -> None:
    """Refuse a table, known to have a header, with two columns of one name."""
    plain = pl.Series([plain_name(column) for column in columns], dtype=pl.String)
    spelled = pl.Series(columns, dtype=pl.String)
    if twice := spelled.filter(plain.is_duplicated()).unique().sort().to_list():
        raise ArchiveError(
            f"{name} has a column twice (names count without case, underscores and points): "
            f"{twice}; keep one of each."
        )


def _read_headers(
    file: Path, member: str | None, head: bytes
) -> tuple[Packing, list[tuple[list[str], Dialect]]]:
    """Return how a file is packed, and what its header may be, the likeliest first."""
    name = _join(file.name, member)
    packing = next((each for mark, each in _BINARY_MARKS if head.startswith(mark)), None)
    if packing is not None:
        if member is not None:
            raise ArchiveError(f"{name} is a binary table inside a zip file; unpack it first.")
        return packing, [(_list_names(file, packing), Dialect())]
    if head[:4] in ZIP_SIGNATURES:
        raise ArchiveError(f"{name} is a zip file inside a zip file; unpack it first.")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ArchiveError(f"{name} is UTF-16; UTF-8 is expected, so convert it first.")
    text = head.decode("utf-8-sig", errors="replace")
    if not text.strip():
        raise UnknownFormatError(f"{name} is empty: not even a header.")
    if text.lstrip()[:1] in ("{", "["):
        return "jsonl", _list_keys(name, text, head)
    return "csv", _list_headers(name, text)


def _list_names(file: Path, packing: Packing) -> list[str]:
    """Return the columns of a binary table."""
    if packing == "sqlite":
        from gpu_coord.archive.databases import list_columns

        return list_columns(file)
    schema = (
        pq.read_schema(parquet.locate(file))
        if packing == "parquet"
        else pa.ipc.open_file(file).schema
    )
    return list(schema.names)


def _list_keys(name: str, text: str, head: bytes) -> list[tuple[list[str], Dialect]]:
    """Return the keys of the records of a JSON file: of its lines, or of the list that it is."""
    from gpu_coord.archive.json_documents import find_list, split_records

    found: list[tuple[list[str], Dialect]] = []
    if text.lstrip().startswith("{") and (keys := _read_keys(text)):
        found.append((keys, Dialect()))
        pages = [key for key in RECORD_KEYS if key in keys]
        found += [(_read_page_keys(text, key), Dialect(pages=key)) for key in pages]
    for key in ("", *RECORD_KEYS):
        if (start := find_list(head, key)) >= 0:
            records = b"".join(lines for lines, _ in split_records(iter([head[start:]])))
            keys = _read_keys(records.decode("utf-8-sig", errors="replace"))
            found += [(keys, Dialect(document=key))] if keys else []
    if not found:
        long = f" in its first {len(head) >> 20} MiB" if len(head) >= HEAD_BYTES else ""
        raise UnknownFormatError(f"{name} begins like JSON, but no line holds a JSON object{long}.")
    return found


def _list_headers(name: str, text: str) -> list[tuple[list[str], Dialect]]:
    """Return what the header of a CSV file may be: by each delimiter, below some lines of notes."""
    lines = text.splitlines(keepends=True)[: MAX_NOTES + 1]
    told = re.match(r"(?i)sep=(.)\s*$", lines[0])
    delimiters = (told[1],) if told else DELIMITERS
    first = 1 if told else 0
    found: list[tuple[list[str], Dialect]] = []
    for n_notes in range(first, len(lines)):
        rest = "".join(lines[n_notes:]) if n_notes else text
        for delimiter in delimiters:
            try:
                names = next(csv.reader(io.StringIO(rest, newline=""), delimiter=delimiter))
            except (csv.Error, StopIteration) as error:
                if not found and n_notes == first and delimiter == delimiters[-1]:
                    if "field limit" in str(error):
                        raise UnknownFormatError(
                            f"{name} has no header: a cell of its first line is longer than "
                            f"{csv.field_size_limit():,} characters."
                        ) from error
                    raise UnknownFormatError(
                        f"{name} is no CSV, JSONL or Parquet table: {error}."
                    ) from error
                continue
            found.append((names, Dialect(delimiter, n_notes, len(names))))
    # Of the first line, by the delimiter that makes most columns: that is what errors show.
    return sorted(found, key=lambda each: (each[1].n_notes, -each[1].n_columns))


def _split_lines(text: str) -> pl.Series:
    from gpu_coord.archive.json_records import mend_numbers

    return mend_numbers(pl.Series("line", text.split("\n")).str.strip_chars())


def _read_keys(text: str) -> list[str]:
    """Return the keys of all JSON objects among the lines of a text: any may lack some."""
    lines = _split_lines(text)
    objects = lines.filter(lines.str.json_path_match("$").str.starts_with("{"))
    return list(dict.fromkeys(key for line in objects for key in json.loads(line)))


def _read_page_keys(text: str, key: str) -> list[str]:
    """Return the keys of the records in a list that each line has under a key."""
    lines = _split_lines(text)
    whole = lines.filter(lines.str.json_path_match("$").is_not_null())
    listed = map(json.loads, whole)
    pages = [page[key] for page in listed if isinstance(page, dict) and key in page]
    records = [each for page in pages if isinstance(page, list) for each in page]
    return list(dict.fromkeys(name for each in records if isinstance(each, dict) for name in each))


def _choose_role(
    name: str, names: Sequence[str], packing: Packing, wanted: Wanted
) -> tuple[Role, Layout | None]:
    if (layout := wanted.describe(packing)) is not None:
        if not layout.find(names):
            raise UnknownFormatError(
                f"{name} has none of the columns of the map; its columns are "
                f"{', '.join(names[:40])}."
            )
        has_rows = "object_id" in wanted.map and {*wanted.map} <= {*SHARE_FIELDS}
        return ("shares" if has_rows and packing != "jsonl" else "exports"), layout
    columns = {plain_name(column) for column in names}
    if wanted.format in ("auto", "exports"):
        known = recognise_layout(names, is_json=packing == "jsonl")
        if known is not None:
            return "exports", known
    role, missing = _guess_role(columns)
    if role is None:
        raise UnknownFormatError(_describe_unknown(name, names, packing, wanted.format))
    its_format, family = FAMILIES[role]
    if wanted.format not in ("auto", its_format):
        raise UnknownFormatError(
            f"{name} is not {wanted.format} but {family}; format 'auto' reads it."
        )
    if missing:
        raise ArchiveError(
            f"{name} looks like {role} but lacks {sorted(missing)} (names count without case, "
            f"underscores and points); it has {show_columns(names)}."
        )
    return role, None


def _describe_unknown(name: str, names: Sequence[str], packing: Packing, wanted: Format) -> str:
    """Say what a file is not, what it has, and what to type."""
    sort = "an X archive, a share table, or an export that is known"
    shown = sort if wanted == "auto" else wanted
    if not _looks_like_header(names):
        return f"{name} is not {shown}: its columns are {show_columns(names)}."
    nearest = find_nearest(names, is_json=packing == "jsonl")
    lacks = "" if nearest is None else f" (as {nearest[0].name} has {', '.join(nearest[1])}, too)"
    return (
        f"{name} is not {shown}: its columns are {', '.join(names[:40])}"
        f"{' and more' if len(names) > 40 else ''}{lacks}. Say what they mean, such as --map "
        "account_id=COLUMN,object_id=COLUMN,timestamp_share=COLUMN (docs/reading.md)."
    )


def _looks_like_header(names: Sequence[str]) -> bool:
    """Tell whether all are names of columns: a first record holds texts, numbers or names."""
    filled = [each for each in names if each.strip()]
    is_name = re.compile(r"[^\W\d][\w .:/\[\]-]{0,39}")
    return len(filled) > 1 and all(is_name.fullmatch(each.strip()) for each in filled)


def _guess_role(columns: set[str]) -> tuple[Role | None, set[str]]:
    """Return what a table is by its columns, and which it lacks."""
    if "tweetid" in columns:
        return "tweets", TWEET_COLUMNS - columns
    if "userid" in columns and columns >= {"tweettime", "tweettext"}:
        return "tweets", {"tweetid"}
    if "userid" in columns and columns & PROFILE_COLUMNS:
        return "users", set()
    if len(columns & SHARE_COLUMNS) > 1:
        return "shares", SHARE_COLUMNS - columns - {"contentid"}
    if columns & EXPORT_COLUMNS or len(columns & FRAME_COLUMNS) > 1:
        groups = (CROWDTANGLE_IDS, CROWDTANGLE_CONTENTS, CROWDTANGLE_TIMES)
        return "crowdtangle", {group[0] for group in groups if not columns & {*group}}
    return None, set()


def _check_one_format(sources: list[Source]) -> None:
    files: dict[str, str] = {}
    for source in sources:
        files.setdefault(FAMILIES[source.role][1], source.path.name)
    if len(files) > 1:
        (one, first), (other, second), *_ = files.items()
        raise ArchiveError(
            f"{first} is {one} and {second} is {other}; ingest them into two stores."
        )


def _name_files(files: list[Path], taken: Collection[str]) -> dict[Path, str]:
    """Give each file the shortest end of its path that no other file shares."""
    others = {name for each in taken for name in (each, each.partition(":")[0])}
    names: dict[Path, str] = {}
    for n_parts in range(1, max(len(file.parts) for file in files) + 1):
        ends = {file: "/".join(file.parts[-n_parts:]) for file in files}
        shown = list(ends.values())
        for file in files:
            if file not in names and shown.count(ends[file]) == 1 and ends[file] not in others:
                names[file] = ends[file]
    if unnamed := [str(file) for file in files if file not in names]:
        raise ArchiveError(
            f"{unnamed[0]} has the name of an input that the store has already; rename the file."
        )
    return names


def _join(name: str, member: str | None) -> str:
    return name if member is None else f"{name}:{member}"


# --- reading -------------------------------------------------------------------------------------


@contextmanager
def naming_errors(file: Path, member: str | None) -> Iterator[None]:
    """Turn what a reader says about broken bytes into an ``ArchiveError`` that names the file."""
    name = _join(file.name, member)
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        if "utf" in str(error).casefold():
            raise ArchiveError(
                f"{name} cannot be read: it holds bytes that are no UTF-8; UTF-8 is expected, so "
                "convert it first."
            ) from error
        raise ArchiveError(f"{name} cannot be read: {_first_line(error)}.") from error
    except pl.exceptions.PanicException as error:  # no `Exception`: nothing else would stop it
        raise ArchiveError(f"{name} cannot be read: {_first_line(error)}.") from error
    except (FileNotFoundError, PermissionError):
        raise
    except BROKEN_FILE as error:
        raise ArchiveError(f"{name} is broken or incomplete: {_first_line(error)}.") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


class CountedBytes:
    """A byte stream that knows how far its file on disk has been read."""

    def __init__(self, stream: IO[bytes], disk: IO[bytes]):
        self._stream, self._disk = stream, disk
        self.positions: list[int] = []  # bytes of the file read, after each call
        self._rooms: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()  # read by nobody
        self._n_rooms = 0

    def read(self, n_bytes: int = -1) -> bytes:
        """Read like a file."""
        block = self._stream.read(n_bytes)
        self.positions.append(self._disk.tell())
        return block

    def read_block(self, n_bytes: int) -> np.ndarray:
        """Read into memory that is used again: fresh pages cost more than the reading.

        The CSV reader calls from a thread of its own and would be dozens of blocks ahead.
        """
        room = self._take_room(n_bytes)
        block = room[: self._stream.readinto(room[:n_bytes])]  # type: ignore[attr-defined]
        weakref.finalize(block, self._rooms.put, room)
        self.positions.append(self._disk.tell())
        return block

    def _take_room(self, n_bytes: int) -> np.ndarray:
        if self._n_rooms >= max(N_ROOMS * BLOCK_BYTES // n_bytes, 2):
            with suppress(queue.Empty):  # all are held: one more, rather than wait for ever
                return self._rooms.get(timeout=1)
        self._n_rooms += 1
        return np.empty(n_bytes, np.uint8)

    def readline(self, n_bytes: int = -1) -> bytes:
        """Read one line like a file."""
        return self._stream.readline(n_bytes)


class CheckedBytes:
    """A byte stream for the CSV reader that counts quotes and refuses what is not UTF-8.

    The reader itself prints to standard error where a record that it hands back is not.
    """

    def __init__(self, stream: CountedBytes):
        self._stream, self._tail = stream, np.empty(0, np.uint8)
        self.n_quotes, self.closed = 0, False
        self.end = b""  # the last byte that is no end of a line

    def read(self, n_bytes: int) -> memoryview:
        """Read like a file."""
        block = self._stream.read_block(n_bytes)
        self.n_quotes += _count_quotes(block)
        self.end = bytes(block[-64:]).rstrip(b"\r\n")[-1:] or self.end
        # The tail of the last block and the head of this one are one character.
        n_head = int(np.argmin(np.append(block[:3] >> 6 == 2, False))) if self._tail.size else 0
        _check_text(np.concatenate([self._tail, block[:n_head]]), 0, self._tail.size + n_head)
        n_whole = max(_count_whole(block), n_head)
        _check_text(block, n_head, n_whole)
        self._tail = block[n_whole:].copy()
        return block.data

    def close(self) -> None:
        """Mark as closed; the files are closed by ``open_stream``."""
        self.closed = True


def _count_quotes(block: np.ndarray) -> int:
    """Count in pieces that stay in the processor's cache."""
    pieces = (block[start : start + (1 << 18)] for start in range(0, block.size, 1 << 18))
    return sum(int(np.count_nonzero(piece == ord('"'))) for piece in pieces)


def _check_text(block: np.ndarray, start: int, stop: int) -> None:
    ends = pa.py_buffer(np.array([start, stop], np.int64))
    pa.Array.from_buffers(pa.large_string(), 1, [None, ends, pa.py_buffer(block)]).validate(
        full=True
    )


def _count_whole(block: np.ndarray) -> int:
    """Return the bytes of a text up to a last character that may be cut off."""
    for n_after, byte in enumerate(block[:-4:-1].tolist(), 1):
        if byte < 0x80:
            break
        if byte >= 0xC0:
            return block.size - n_after
    return block.size


@contextmanager
def open_stream(file: Path, member: str | None) -> Iterator[CountedBytes]:
    """Open a file or zip member as bytes; gzip is undone, and errors in the block are named."""
    with naming_errors(file, member), ExitStack() as opened:
        disk = opened.enter_context(file.open("rb"))
        stream: Any = disk
        if member is not None:
            stream = opened.enter_context(_open_member(disk, file, member))
        unpack = next((each for mark, each in UNPACKERS if stream.peek(6).startswith(mark)), None)
        yield CountedBytes(stream if unpack is None else opened.enter_context(unpack(stream)), disk)


def _open_member(disk: IO[bytes], file: Path, member: str) -> IO[bytes]:
    """Open a member of a zip file without reading the directory of all members again."""
    packed = zipfile.ZipFile(io.BytesIO(_EMPTY_ZIP))
    packed.fp = disk
    return packed.open(_read_directory(file)[1][member])


def _unpack_zstandard(stream: Any) -> Any:
    unpacked = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")
    return io.BufferedReader(unpacked)


UNPACKERS: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", lambda stream: gzip.GzipFile(fileobj=stream)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ", lzma.LZMAFile),
    (b"\x28\xb5\x2f\xfd", _unpack_zstandard),
)


def read_batches(source: Source, columns: Iterable[str]) -> Iterator[Batch]:
    """Yield the records of a source in order, reading ahead in a thread.

    Parameters
    ----------
    columns
        Plain names; those that the source lacks come as null.

    Raises
    ------
    ArchiveError
        The file is broken, cut off or not UTF-8.
    """
    wanted = list(columns)
    present = {name: source.columns[name] for name in wanted if name in source.columns}
    if source.packing == "jsonl":  # any line may have any of them
        present = {name: name for name in wanted}
    if source.layout is not None and source.layout.is_json:
        yield from prefetch(_read_records(source, list(columns)))
        return
    readers = {
        "csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet, "arrow": _read_arrow,
        "sqlite": _read_sqlite,
    }  # fmt: skip
    read = readers[source.packing]
    plain = {name: plain for plain, name in present.items()}
    absent = [pl.lit(None, dtype=pl.String).alias(name) for name in wanted if name not in present]
    for batch in prefetch(read(source, list(present.values()))):
        frame = batch.frame.rename(plain).with_columns(absent).select(wanted)
        yield replace(batch, frame=frame)


def _read_csv(source: Source, names: list[str]) -> Iterator[Batch]:
    """Yield CSV records; a cell longer than a block makes it start again with larger blocks."""
    malformed: list[tuple[int, str]] = []
    n_rows = n_told = 0
    block_bytes = min(BLOCK_BYTES, CACHED_BYTES)
    while True:
        malformed.clear()
        try:
            blocks = _read_csv_blocks(source, names, block_bytes, malformed, n_rows)
            for batch in _gather(_hold_last(blocks), max(BLOCK_BYTES // block_bytes, 1)):
                n_rows += batch.frame.height
                fresh, n_told = malformed[n_told:], max(n_told, len(malformed))
                yield replace(batch, malformed=fresh + batch.malformed)
            if len(malformed) > n_told:  # behind the last good record
                yield Batch(_no_rows(names), np.empty(0, np.int64), malformed[n_told:])
            return
        except ArchiveError as error:
            if "straddling" not in str(error):  # no cell was too long
                raise
            if block_bytes >= MAX_BLOCK_BYTES:
                raise ArchiveError(
                    f"{source.name} holds a cell above {MAX_BLOCK_BYTES >> 20} MiB or a quote that "
                    "is never closed; repair the file."
                ) from error
            block_bytes *= 4


def _read_csv_blocks(
    source: Source,
    names: list[str],
    block_bytes: int,
    malformed: list[tuple[int, str]],
    n_skipped: int,
) -> Iterator[Batch]:
    n_columns = source.dialect.n_columns

    def set_aside(row: Any) -> str:
        reason = f"{row.actual_columns} fields where the header has {n_columns}"
        malformed.append((row.number - 1, reason))
        return "skip"

    with open_stream(source.path, source.member) as stream:
        try:
            checked = CheckedBytes(stream)
            reader = _open_csv(checked, names, block_bytes, set_aside, source.dialect)
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):  # a header without a line end
                return
            raise
        n_seen = 0
        for n_blocks, block in enumerate(reader):
            first = max(n_skipped - n_seen, 0)
            at = np.arange(n_seen, n_seen + block.num_rows)[first:]
            n_seen += block.num_rows
            frame = pl.DataFrame(block)[first:] if block.num_rows else _no_rows(names)
            # The CSV reader is many blocks ahead, so the last position would be too far.
            position = stream.positions[min(n_blocks, len(stream.positions) - 1)]
            yield Batch(frame, _number_records(at, malformed), position=position)
    if checked.n_quotes % 2:
        last = n_seen + len(malformed)
        # Where the file ends with a quote nobody can tell which one was too many.
        n_lines = 0 if checked.end == b'"' else _count_swallowed(source, block_bytes)
        swallowed = (last, n_lines) if n_lines else None
        nothing = _no_rows(names), np.empty(0, np.int64)
        yield Batch(*nothing, [(last, OPEN_QUOTE)], swallowed=swallowed)


def _open_csv(
    stream: CheckedBytes,
    names: list[str],
    block_bytes: int,
    set_aside: Callable[[Any], str],
    dialect: Dialect,
    *,
    has_header: bool = True,
) -> Any:
    # One thread, so that the numbers of malformed records are exact.
    return pa_csv.open_csv(
        pa.PythonFile(stream, mode="r"),
        read_options=pa_csv.ReadOptions(
            use_threads=False,
            block_size=block_bytes,
            skip_rows=dialect.n_notes,
            autogenerate_column_names=not has_header,
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=set_aside
        ),
        convert_options=pa_csv.ConvertOptions(
            include_columns=names,
            column_types=dict.fromkeys(names, pa.large_string()),
            strings_can_be_null=False,
            check_utf8=False,  # done, for whole blocks
        ),
    )


def _number_records(at: np.ndarray, malformed: list[tuple[int, str]]) -> np.ndarray:
    """Return the record numbers of well-formed records, given their positions among themselves."""
    n_before = np.array([number for number, _ in malformed], np.int64) - 1
    n_before -= np.arange(len(malformed))
    return at + 1 + np.searchsorted(n_before, at, side="right")


def _gather(batches: Iterator[Batch], n_blocks: int) -> Iterator[Batch]:
    """Put batches of some blocks together."""
    while held := list(islice(batches, n_blocks)):
        yield Batch(
            pl.concat([batch.frame for batch in held], rechunk=True),
            np.concatenate([batch.rows for batch in held]),
            [each for batch in held for each in batch.malformed],
            held[-1].position,
            held[-1].swallowed,
        )


def _hold_last(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Pass batches on, one late, so that a last record said to be cut can still be taken out."""
    held: Batch | None = None
    for batch in batches:
        if batch.malformed and batch.malformed[0][1] == OPEN_QUOTE:
            without = replace(batch, malformed=[])
            taken = _take_last(held, batch.malformed[0][0]) if held else without
            held = replace(taken, swallowed=batch.swallowed)
            continue
        if held is not None:
            yield held
        held = batch
    if held is not None:
        yield held


def _take_last(batch: Batch, number: int) -> Batch:
    if not batch.rows.size or batch.rows[-1] != number:
        return batch  # the last record has the wrong number of fields and is listed already
    return Batch(batch.frame[:-1], batch.rows[:-1], [(number, OPEN_QUOTE)], batch.position)


def _count_swallowed(source: Source, block_bytes: int) -> int:
    """Return how many lines the last record of a file takes along, whose quote is never closed.

    They are in its last field, which need not be one that is read; so the file is read again.
    """
    last: dict[str, Any] = {"n_bad": 0, "number": 0, "text": ""}

    def set_aside(row: Any) -> str:
        last.update(n_bad=last["n_bad"] + 1, number=row.number - 1, text=row.text)
        return "skip"

    n_seen, cell = -1, ""  # without the header
    name = f"f{source.dialect.n_columns - 1}"
    with open_stream(source.path, source.member) as stream:
        checked = CheckedBytes(stream)
        reader = _open_csv(
            checked, [name], block_bytes, set_aside, source.dialect, has_header=False
        )
        for block in reader:
            n_seen += block.num_rows
            cell = block.column(0)[-1].as_py() if block.num_rows else cell
    is_bad = last["number"] == n_seen + last["n_bad"]
    return str(last["text"] if is_bad else cell).rstrip("\r\n").count("\n")


def _no_rows(names: list[str]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(names, pl.String))


def _read_parquet(source: Source, names: list[str]) -> Iterator[Batch]:
    n_bytes = source.path.stat().st_size
    with (
        naming_errors(source.path, source.member),
        pq.ParquetFile(parquet.locate(source.path)) as file,
    ):
        n_rows, total = 0, max(file.metadata.num_rows, 1)
        for block in file.iter_batches(PARQUET_ROWS, columns=names):
            rows = np.arange(n_rows + 1, n_rows + block.num_rows + 1)
            n_rows += block.num_rows
            frame = to_frame(pa.Table.from_batches([block]), source.name)
            yield Batch(frame, rows, position=n_bytes * n_rows // total)


def read_parquet(path: Path) -> pl.DataFrame:
    """Read a Parquet file of any program.

    Raises
    ------
    ArchiveError
        The file is broken, or stores a column as what cannot be read.
    """
    with naming_errors(path, None), pq.ParquetFile(parquet.locate(path)) as file:
        return to_frame(file.read(), path.name)


def scan_parquet(path: Path) -> pl.LazyFrame:
    """Scan a Parquet file; one that Polars does not take as it stands is read, or refused."""
    with naming_errors(path, None):
        is_plain = not any(map(_is_odd, pq.read_schema(parquet.locate(path))))
    return parquet.scan_parquet(path) if is_plain else read_parquet(path).lazy()


def refuse_large(path: Path, size: int | None = None) -> None:
    """Refuse a table that is too large to be read whole, such as labels.

    Parameters
    ----------
    path
        The file.
    size
        Its bytes when it is unpacked; by default those on the disk.
    """
    if (path.stat().st_size if size is None else size) > MAX_TABLE_BYTES:
        raise ArchiveError(
            f"{path.name} has more than {MAX_TABLE_BYTES >> 20} MiB; such a table is one row for "
            "each account, so look whether it is the right file."
        )


def read_table_bytes(path: Path) -> bytes:
    """Return the bytes of a table that is read whole; unpacked, if it is packed."""
    with open_stream(path, None) as stream:
        content = stream.read(MAX_TABLE_BYTES + 1)
    refuse_large(path, len(content))
    return content


def scan_csv(path: Path) -> pl.LazyFrame:
    """Scan a CSV file as text; its name is no pattern."""
    return pl.scan_csv(path.absolute(), infer_schema=False, glob=False)


def to_frame(table: pa.Table, name: str) -> pl.DataFrame:
    """Return a table of Arrow as one of Polars; times with a zone or an offset become UTC."""
    for place, column in enumerate(table.schema):
        if _is_wide(column):  # over which Polars panics, and prints where
            raise ArchiveError(
                f"{name} stores {column.name} as {column.type}, which cannot be read; write that "
                "column as text."
            )
        if _is_odd(column):
            in_utc = pa.timestamp(column.type.unit, "UTC")
            table = table.set_column(place, column.name, table[place].cast(in_utc))
    table.validate(full=True)  # that text is UTF-8, on which Polars relies
    return pl.DataFrame(table)


def _is_odd(column: pa.Field) -> bool:
    """Tell whether Polars takes a column in another form only, or not at all."""
    return _is_wide(column) or (pa.types.is_timestamp(column.type) and bool(column.type.tz))


def _is_wide(column: pa.Field) -> bool:
    return "decimal256" in str(column.type)  # or a list of these


def _read_arrow(source: Source, names: list[str]) -> Iterator[Batch]:
    """Yield the records of a Feather or Arrow file."""
    n_bytes = source.path.stat().st_size
    with naming_errors(source.path, source.member), pa.ipc.open_file(source.path) as file:
        n_rows = 0
        for number in range(file.num_record_batches):
            block = file.get_batch(number).select(names)
            rows = np.arange(n_rows + 1, n_rows + block.num_rows + 1)
            n_rows += block.num_rows
            done = n_bytes * (number + 1) // file.num_record_batches
            frame = to_frame(pa.Table.from_batches([block]), source.name)
            yield Batch(frame, rows, position=done)


def _read_sqlite(source: Source, names: list[str]) -> Iterator[Batch]:
    """Yield the records of a database."""
    from gpu_coord.archive.databases import read_rows

    n_rows, n_bytes = 0, source.path.stat().st_size
    with naming_errors(source.path, source.member):
        for frame in read_rows(source.path, names, PARQUET_ROWS):
            rows = np.arange(n_rows + 1, n_rows + frame.height + 1)
            n_rows += frame.height
            yield Batch(frame, rows, position=n_bytes)


def _read_jsonl(source: Source, cells: list[str]) -> Iterator[Batch]:
    """Yield JSON objects under the plain names of their keys, however each line spells them."""
    n_rows = 0
    with open_stream(source.path, source.member) as stream:
        for block in _read_whole_lines(stream, source.name):
            lines = _strip_lines(block)
            spelled = _find_spellings(lines, cells)
            ids = [key for cell, keys in spelled.items() if cell in ID_COLUMNS for key in keys]
            keys = [key for keys in spelled.values() for key in keys]
            frame, kept = _parse_lines(
                _mark_unexact(lines, ids), [*keys, *(f"\x01{key}" for key in ids)]
            )
            rows = np.arange(n_rows + 1, n_rows + len(lines) + 1)
            bad = [(int(row), "the line is no JSON object") for row in rows[~kept]]
            rows, n_rows = rows[kept], n_rows + len(lines)
            reasons = frame.select(_judge_line(spelled, ids)).to_series()
            is_good = reasons.is_null().to_numpy()
            bad += zip(rows[~is_good].tolist(), reasons.drop_nulls(), strict=True)
            frame = frame.filter(pl.Series(is_good)).select(
                pl.coalesce(keys).alias(cell) for cell, keys in spelled.items()
            )
            yield Batch(frame, rows[is_good], bad, stream.positions[-1])


def _read_records(source: Source, paths: list[str]) -> Iterator[Batch]:
    """Yield JSON records with the values at some paths, as text or as lists of text."""
    from gpu_coord.archive.json_records import keep_readable, read_paths

    assert source.layout is not None
    key = source.dialect.pages
    n_rows = 0
    for lines, position in _list_lines(source):
        parts = keep_readable(lines, lambda part: read_paths(part, paths, key))
        heights = np.array([1 if part is None else part.height for part in parts])
        ends = n_rows + np.cumsum(heights)
        is_read = np.array([part is not None for part in parts])
        numbers = np.arange(n_rows + 1, n_rows + heights.sum() + 1)
        bad = [(int(row), "the line is no record of this layout") for row in ends[~is_read]]
        frames = [part for part in parts if part is not None]
        frame = pl.concat(frames) if frames else read_paths(lines.clear(), paths, key)
        yield Batch(frame, numbers[np.repeat(is_read, heights)], bad, position)
        n_rows = int(ends[-1]) if parts else n_rows


def _list_lines(source: Source) -> Iterator[tuple[pl.Series, int]]:
    """Yield the records of a JSON file as lines, whatever its shape, and the bytes read."""
    from gpu_coord.archive.json_documents import find_list, split_records

    with open_stream(source.path, source.member) as stream:
        if source.dialect.document is None:
            for block in _read_whole_lines(stream, source.name):
                yield _strip_lines(block), stream.positions[-1]
            return
        first = stream.read(BLOCK_BYTES)
        start = find_list(first, source.dialect.document)
        blocks = chain([first[start:]], iter(lambda: stream.read(BLOCK_BYTES), b""))
        for lines, _ in split_records(blocks, MAX_LINE_BYTES):
            yield _strip_lines(lines), stream.positions[-1]


def _read_whole_lines(stream: CountedBytes, name: str) -> Iterator[bytes]:
    """Yield blocks that end with a line."""
    while block := stream.read(BLOCK_BYTES):
        block += (rest := stream.readline(MAX_LINE_BYTES))
        if len(rest) >= MAX_LINE_BYTES and not rest.endswith(b"\n"):
            raise ArchiveError(
                f"{name} has a line above {MAX_LINE_BYTES >> 20} MiB; a line is one record, so "
                "look whether its line ends are whole."
            )
        yield block


def _strip_lines(block: bytes) -> pl.Series:
    whole = pl.Series("line", [block.decode("utf-8-sig")])
    lines = whole.str.split("\n").explode().str.strip_chars()
    return lines.filter(lines != "")


def _find_spellings(lines: pl.Series, cells: list[str]) -> dict[str, list[str]]:
    """Return the keys that stand for each cell in some of the lines."""
    gap = r"[\s_]*"
    words = "|".join(gap.join(["", *map(re.escape, cell), ""]) for cell in cells)
    found = lines.str.extract_all(rf'(?i)"(?:{words})"\s*:').explode().drop_nulls().unique()
    keys = [text[1 : text.rindex('"')] for text in found]
    return {
        cell: sorted({cell, *(key for key in keys if plain_name(key) == cell)}) for cell in cells
    }


def _mark_unexact(lines: pl.Series, ids: Sequence[str]) -> pl.Series:
    """Put a mark before the keys of ids that are fractions, exponents, lists or objects.

    The JSON reader rewrites those values, so that different ones would become one id.
    """
    keys = "|".join(map(re.escape, ids))
    values = r"[\[{]|-?[0-9]+[.eE]|-0"
    return lines.str.replace_all(
        rf'"({keys})"(\s*:\s*(?:{values}))', r'"\u0001${1}"${2}', literal=False
    )


def _judge_line(spelled: Mapping[str, list[str]], ids: Sequence[str]) -> pl.Expr:
    """Give a reason where a line gives a cell under two keys, or an id that is marked."""
    n_given = [pl.sum_horizontal(pl.col(keys).is_not_null()) for keys in spelled.values()]
    is_marked = pl.any_horizontal(pl.col([f"\x01{key}" for key in ids]).is_not_null())
    is_twice = pl.any_horizontal(n > 1 for n in n_given)
    return give_reason({UNEXACT_ID: is_marked, "the line gives a value twice": is_twice})


def _parse_lines(lines: pl.Series, names: list[str]) -> tuple[pl.DataFrame, np.ndarray]:
    """Read JSON objects as text, whole numbers digit by digit; tell which lines are objects."""
    from gpu_coord.archive.json_records import mend_numbers

    kept = np.ones(len(lines), bool)
    # The reader takes some halves of surrogate pairs for other characters.
    halves = lines.str.contains(r"\\u[dD][89a-fA-F]").arg_true()
    kept[halves.to_numpy()] = lines.gather(halves).str.json_path_match("$").is_not_null()
    try:
        return _read_objects(lines.filter(kept), names), kept
    except pl.exceptions.ComputeError:
        lines = mend_numbers(lines)
        is_object = lines.str.json_path_match("$").str.starts_with("{").fill_null(value=False)
        at = is_object.arg_true().to_numpy()
        kept = np.zeros(len(lines), bool)
        kept[at] = _tell_readable(lines.gather(at), names)
        return _read_objects(lines.filter(kept), names), kept


def _tell_readable(lines: pl.Series, names: list[str]) -> np.ndarray:
    """Tell which JSON objects the reader takes, by halving."""
    try:
        _read_objects(lines, names)
        return np.ones(len(lines), bool)
    except pl.exceptions.ComputeError:
        if len(lines) == 1:
            return np.zeros(1, bool)
        halves = lines[: len(lines) // 2], lines[len(lines) // 2 :]
        return np.concatenate([_tell_readable(half, names) for half in halves])


def _read_objects(lines: pl.Series, names: list[str]) -> pl.DataFrame:
    if not len(lines):
        return _no_rows(names)
    text = "\n".join(lines).encode()
    return pl.read_ndjson(io.BytesIO(text), schema=dict.fromkeys(names, pl.String))
