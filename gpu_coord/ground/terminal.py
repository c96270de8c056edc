"""What people see: tables, progress and errors on a terminal.

Archives hold control codes, bidirectional marks and markup. Nothing from a store reaches the
terminal except through `clean`.
"""

import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

# Control, format (bidirectional marks among them), surrogate, private use, unassigned.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MAX_WIDTH = 60
_NAME_WIDTH = 17
_DESCRIPTIONS = {"pairs": "pairs (first compiled, once)"}


def clean(value: Any) -> str:
    r"""Return a value as one line of text that a terminal shows and does not obey.

    Examples
    --------
    >>> clean("a\x1b[31mb\u202e") == "a\ufffd[31mb\ufffd"
    True
    """
    text = _replace_unsafe(str(value)[: 4 * _MAX_WIDTH])
    return text if len(text) <= _MAX_WIDTH else f"{text[: _MAX_WIDTH - 1]}…"


def clean_lines(text: str) -> str:
    """Return text, which may have many lines, without what a terminal would obey."""
    return "\n".join(_replace_unsafe(line) for line in text.splitlines())


def _replace_unsafe(text: str) -> str:
    return "".join("\ufffd" if unicodedata.category(c) in _UNSAFE_CATEGORIES else c for c in text)


def format_number(value: Any) -> str:
    """Return a number with separated thousands or four significant digits; nulls as a dash."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else clean(value)


def print_table(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    n_names: int = 1,
) -> None:
    """Print rows under a title; numbers to the right. What is empty is left out.

    The first columns, names of accounts, are never cut short.
    """
    rows = list(rows)
    if not rows:
        return
    # As narrow as it gets: a terminal may have 80 columns.
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.title, table.title_justify, table.title_style = escape(clean(title)), "left", "bold"
    shown = [p for p in range(len(columns)) if any(row[p] is not None for row in rows)]
    for position in shown:
        is_number = any(isinstance(row[position], int | float) for row in rows)
        # Numbers, and pseudonyms in the first columns, are never cut short.
        longest = max(len(format_number(row[position])) for row in rows)
        table.add_column(
            escape(columns[position]),
            justify="right" if is_number else "left",
            no_wrap=is_number,
            min_width=min(longest, _NAME_WIDTH) if position in shown[:n_names] else None,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(escape(format_number(row[position])) for position in shown))
    console.print(table)
    console.print()


@contextmanager
def show_progress(console: Console) -> Iterator[Any]:
    """Yield a ``progress(stage, done, total)`` that draws bars with the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                described = escape(_DESCRIPTIONS.get(stage, stage))
                tasks[stage] = bars.add_task(described, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def open_consoles() -> tuple[Console, Console]:
    """Return the consoles of results (stdout) and of everything else (stderr)."""
    return Console(file=sys.stdout), Console(file=sys.stderr)
