"""JSON records -> the values at some paths.

In: records, one a line. Out: a column for each path. The one idea: only what is asked for is made,
as text or as lists of text; a record of another shape is left out alone.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


# Behind a key, whose quotes nothing escapes.
_UNEXACT = r'([^\\]"\s*:\s*)(-?[0-9]+(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+))'
_LONG = r'([^\\]"\s*:\s*)(-?[0-9]{20,})(\s*[,}\]])'
_NO_NUMBER = r'([^\\]"\s*:\s*)(?:NaN|-?Infinity)(\s*[,}\]])'


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
    frame = _read_objects(quote_unexact(lines), schema)
    if key:
        frame = frame.explode(key).drop_nulls(key).unnest(key)
    return frame.select(_walk(path).alias(path) for path in paths)


def _read_objects(lines: pl.Series, schema: dict[str, Any]) -> pl.DataFrame:
    # The decoder takes a fifth of the reader's time; the reader takes objects for text, too.
    if not lines.str.starts_with("{").all():
        raise pl.exceptions.ComputeError("a line is no object")
    try:
        return lines.alias("line").str.json_decode(pl.Struct(schema)).struct.unnest()
    except pl.exceptions.PolarsError:
        text = "\n".join(mend_numbers(lines)).encode()
        return pl.read_ndjson(io.BytesIO(text), schema=schema)


def quote_unexact(lines: pl.Series) -> pl.Series:
    """Return JSON objects in which numbers with a point or an exponent are text, as they stand.

    The readers make them numbers and write these anew, so that an id that was rounded looks whole.
    """
    at = lines.str.contains(_UNEXACT).arg_true()
    if not at.len():
        return lines
    quoted = lines.gather(at).str.replace_all(_UNEXACT, r'${1}"${2}"')
    return lines.scatter(at, quoted)


def mend_numbers(lines: pl.Series) -> pl.Series:
    """Return JSON objects with text for numbers of many digits, and null for what is no number.

    That is done behind keys: in lists nothing tells them from what is in a text. The readers refuse
    both; Python writes ``NaN`` and ``Infinity``.
    """
    quoted = lines.str.replace_all(_LONG, r'${1}"${2}"${3}')
    return quoted.str.replace_all(_NO_NUMBER, r"${1}null${2}")


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
