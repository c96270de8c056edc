"""Rows -> lines that fit a width: words wrap, ids stay whole, numbers stand to the right.

The one idea: columns are given as much as the width holds, in steps from what they would like to
the least that they can bear; rows that even so are too wide become paragraphs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.cells import cell_len, chop_cells

_GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its head and its cells, as they are shown."""

    head: str
    cells: tuple[str, ...]
    is_number: bool = False
    is_name: bool = False  # stands above others where the width does not hold them side by side

    def list_widths(self) -> tuple[int, int, int]:
        """Return its width as it is, with its head wrapped, and with all words wrapped."""
        longest = max(map(_measure_lines, self.cells), default=0)
        whole = max(longest, cell_len(self.head))
        wrapped = max(longest, _measure_words(self.head))
        words = max(map(_measure_words, (self.head, *self.cells)), default=0)
        return whole, wrapped, wrapped if self.is_number else words

    def align(self, text: str, width: int) -> str:
        """Return a line of a cell as wide as the column."""
        blank = " " * (width - cell_len(text))
        return blank + text if self.is_number else text + blank


def lay_out(columns: Sequence[Column], width: int) -> tuple[list[str], list[str]]:
    """Return the lines of the head and of the rows.

    Parameters
    ----------
    columns
        All of one length, one or more.
    width
        Of a line; only a name that is longer by itself makes one longer. No word is taken apart.
    """
    for candidate in (columns, _stack_names(columns)):
        widths = _fit(candidate, width)
        if widths is not None:
            heads = [column.head for column in candidate]
            rows = zip(*(column.cells for column in candidate), strict=True)
            lines = [line for row in rows for line in _set_row(candidate, row, widths)]
            return _set_row(candidate, heads, widths), lines
    return [], list(_write_paragraphs(columns, width))


def wrap(text: str, width: int) -> list[str]:
    """Return text in lines of at most a width; words are broken only where they are longer."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(joined) <= width:
            lines[-1] = joined
        else:
            lines += chop_cells(word, width)
    return lines if lines[0] or len(lines) == 1 else lines[1:]


def _measure_lines(text: str) -> int:
    return max(map(cell_len, text.split("\n")))


def _measure_words(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _stack_names(columns: Sequence[Column]) -> Sequence[Column]:
    """Return the columns with the names of a row one below the other."""
    names = [column for column in columns if column.is_name]
    if len(names) < 2:
        return columns
    cells = zip(*(column.cells for column in names), strict=True)
    head = "\n".join(column.head for column in names)
    stacked = Column(head, tuple("\n".join(cell) for cell in cells), is_name=True)
    return [stacked, *(column for column in columns if not column.is_name)]


def _fit(columns: Sequence[Column], width: int) -> list[int] | None:
    """Return the widths of columns within a width; None where they bear no such width."""
    room = width - _GAP * (len(columns) - 1)
    steps = [list(step) for step in zip(*(column.list_widths() for column in columns), strict=True)]
    for wanted, least in pairwise([steps[0], *steps]):
        if sum(least) <= room:
            return _share_room(least, wanted, room)
    return None


def _share_room(least: Sequence[int], wanted: Sequence[int], room: int) -> list[int]:
    """Give what is left to the columns that want more, by turns."""
    widths = list(least)
    while hungry := [p for p, most in enumerate(wanted) if widths[p] < most]:
        for place in hungry:
            if sum(widths) >= room:
                return widths
            widths[place] += 1
    return widths


def _set_row(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return the lines of a row; what is short stands at its top."""
    wrapped = [
        [line for part in cell.split("\n") for line in wrap(part, width)]
        for cell, width in zip(cells, widths, strict=True)
    ]
    height = max(map(len, wrapped))
    lines = []
    for place in range(height):
        parts = [part[place] if place < len(part) else "" for part in wrapped]
        aligned = map(Column.align, columns, parts, widths)
        lines.append((" " * _GAP).join(aligned).rstrip())
    return lines


def _write_paragraphs(columns: Sequence[Column], width: int) -> Iterator[str]:
    """Yield each row as lines: its names, then what is said of them."""
    names = [column for column in columns if column.is_name] or list(columns[:1])
    others = [column for column in columns if column not in names]
    for place in range(len(columns[0].cells)):
        for name in names:
            yield name.cells[place]
        said = "; ".join(f"{column.head} {column.cells[place]}".strip() for column in others)
        yield from (f"  {line}" for line in wrap(said, width - 2))
