"""JSON in any shape -> its records: one object a line, one array, or a list under a key.

In: bytes. Out: a line for each record, and of each record the values at some paths. The one idea:
brackets outside quotes say where a record ends, whatever is in it: a document of any size is cut
without being parsed.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import polars as pl

from gpu_coord.backend.pairs import CACHE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def find_list(head: bytes, key: str) -> int:
    """Return where the records of a document begin, behind the bracket of their list; or -1.

    Parameters
    ----------
    head
        The beginning of the document.
    key
        Of the list of records in the outermost object; empty: the document is the list.
    """
    if not key:
        start = re.match(rb"(?:\xef\xbb\xbf)?\s*\[", head)
        return -1 if start is None else start.end()
    start = re.search(rb'"' + re.escape(key.encode()) + rb'"\s*:\s*\[', head)
    return -1 if start is None else start.end()


def split_records(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield the records of a list as lines, block by block, with the blocks read so far.

    Parameters
    ----------
    blocks
        The bytes behind the opening bracket of the list.
    """
    rest = b""
    for number, block in enumerate(blocks, 1):
        lines, rest, is_over = _cut(rest + block)
        yield lines, number
        if is_over:
            return


def _cut(text: bytes) -> tuple[bytes, bytes, bool]:
    """Return whole records as lines, what is left, and whether the list is over."""
    code = np.frombuffer(text, np.uint8)
    written = np.empty(code.size + code.size // 2 + 1, np.uint8)
    n_written, n_read, is_over = _write_lines(code, written)
    return written[:n_written].tobytes(), b"" if is_over else text[n_read:], bool(is_over)


@numba.njit(cache=CACHE, nogil=True)
def _write_lines(code: Any, written: Any) -> Any:
    """Copy records, each on one line; return the bytes written and read, and whether that is all.

    A record is what lies between brackets outside of strings; a bracket that was not opened here
    ends the list.
    """
    depth, n_written = 0, 0
    n_whole, n_read = 0, 0  # up to the end of the last record
    is_quoted, is_escaped = False, False
    for place in range(code.size):
        byte = code[place]
        if is_quoted:
            is_quoted = byte != 34 or is_escaped  # a quote
            is_escaped = byte == 92 and not is_escaped  # a backslash
        elif byte == 34:
            is_quoted = True
        elif byte == 123 or byte == 91:  # { [
            depth += 1
        elif byte == 125 or byte == 93:  # } ]
            depth -= 1
            if depth < 0:
                return n_whole, place, True
        elif byte == 10 or byte == 13 or depth == 0:
            byte = 32  # white space and commas between records
        written[n_written] = byte
        n_written += 1
        if depth == 0 and (byte == 125 or byte == 93) and not is_quoted:
            written[n_written] = 10
            n_written += 1
            n_whole, n_read = n_written, place + 1
    return n_whole, n_read, False


def read_paths(lines: pl.Series, paths: Sequence[str], key: str = "") -> pl.DataFrame:
    """Read values of JSON objects, one a line, as text or as lists of text.

    Parameters
    ----------
    lines
        The objects.
    paths
        ``a.b`` is the value under ``b`` of the object under ``a``; ``a[].b`` that of each object
        in the list under ``a``, as a list.
    key
        Of a list of records in each line, such as the pages of an API; empty: a line is a record.

    Raises
    ------
    polars.exceptions.PolarsError
        A line is no such object, or has another shape at a path.
    """
    tree = _plant(paths)
    schema = {name: _type(node) for name, node in tree.items()}
    if key:
        schema = {key: pl.List(pl.Struct(schema))}
    frame = pl.read_ndjson(io.BytesIO("\n".join(lines).encode()), schema=schema)
    if key:
        frame = frame.explode(key).drop_nulls(key).unnest(key)
    return frame.select(_walk(path).alias(path) for path in paths)


def keep_readable(
    lines: pl.Series, read: Callable[[pl.Series], pl.DataFrame]
) -> list[pl.DataFrame | None]:
    """Read what can be read, by halving; of a line that cannot be read, return None in its place.

    Parameters
    ----------
    lines
        JSON objects.
    read
        What reads some of them, or raises a ``PolarsError``.
    """
    try:
        return [read(lines)]
    except pl.exceptions.PolarsError:
        if len(lines) == 1:
            return [None]
    middle = len(lines) // 2
    return [part for half in (lines[:middle], lines[middle:]) for part in keep_readable(half, read)]


def read_cells(cells: pl.Series, path: str) -> tuple[pl.Series, int]:
    """Read what stands at a path of JSON objects in cells; return it, and how many are unread.

    Parameters
    ----------
    cells
        Text; null where there is none.
    path
        As in `read_paths`.
    """
    filled = cells.fill_null("{}")
    parts = keep_readable(filled, lambda lines: read_paths(lines, [path]))
    empty = read_paths(pl.Series(["{}"]), [path])
    values = pl.concat([empty if part is None else part for part in parts])
    return values.to_series(), sum(part is None for part in parts)


@dataclass
class _Node:
    """A value, an object or a list of either, and what is wanted of it."""

    is_list: bool = False
    below: dict[str, _Node] = field(default_factory=dict)


def _plant(paths: Sequence[str]) -> dict[str, _Node]:
    tree = _Node()
    for path in paths:
        node = tree
        for step in path.split("."):
            name, is_list = step.removesuffix("[]"), step.endswith("[]")
            node = node.below.setdefault(name, _Node())
            node.is_list |= is_list
    return tree.below


def _type(node: _Node) -> Any:
    inner: Any = pl.String
    if node.below:
        inner = pl.Struct({name: _type(each) for name, each in node.below.items()})
    return pl.List(inner) if node.is_list else inner


def _walk(path: str) -> pl.Expr:
    first, *steps = path.split(".")
    found, is_list = pl.col(first.removesuffix("[]")), first.endswith("[]")
    for step in steps:
        name = step.removesuffix("[]")
        if not is_list:
            found, is_list = found.struct.field(name), step.endswith("[]")
            continue
        found = found.list.eval(pl.element().struct.field(name))
        if step.endswith("[]"):  # lists of lists become one
            found = found.list.eval(pl.element().explode())
    return found
