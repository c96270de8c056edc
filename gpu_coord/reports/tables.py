"""Data frames -> tables of a page: cells as text, with the numbers that they sort by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from gpu_coord.ground.terminal import clean_lines, format_number

_MOST_SEEN = 12  # rows that need no search


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell says, and the number that it stands for."""

    text: str
    value: float | int | str | None = None  # empty: not known
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a page."""

    id: str
    title: str
    heads: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]
    said: str = ""
    more: str = ""  # what it leaves out

    @property
    def is_long(self) -> bool:
        """Whether people would search in it."""
        return len(self.rows) > _MOST_SEEN


def show_text(text: Any) -> str:
    """Return text as one line that shows what a browser would obey."""
    return " ".join(clean_lines(str(text)).split())


def make_table(
    id: str,
    title: str,
    frame: pl.DataFrame,
    heads: Mapping[str, str],
    *,
    said: str = "",
    n_rows: int | None = None,
) -> Table:
    """Return the first rows of a frame as a table.

    Parameters
    ----------
    heads
        What stands above each column; columns that the frame lacks or of which nothing is known
        are left out.
    n_rows
        So many rows; all by default.
    """
    first = frame if n_rows is None else frame.head(n_rows)
    known = [
        name
        for name in heads
        if name in frame.columns and first[name].null_count() < max(first.height, 1)
    ]
    numeric = {name for name in known if frame.schema[name].is_numeric()}
    n_left = frame.height - first.height
    return Table(
        id,
        title,
        [Cell(heads[name], is_number=name in numeric) for name in known],
        [
            [
                _make_cell(value, is_number=name in numeric)
                for name, value in zip(known, row, strict=True)
            ]
            for row in first.select(known).iter_rows()
        ],
        said,
        f"{n_left:,} more in the run." if n_left else "",
    )


def make_facts(id: str, title: str, facts: Mapping[str, Any]) -> Table:
    """Return names and values as a table of two columns."""
    rows = [[Cell(name), _make_cell(value, is_number=False)] for name, value in facts.items()]
    return Table(id, title, [Cell("what"), Cell("is")], rows)


def _make_cell(value: Any, *, is_number: bool) -> Cell:
    if is_number:
        return Cell(format_number(value), "" if value is None else value, is_number=True)
    return Cell("–" if value is None else show_text(value))
