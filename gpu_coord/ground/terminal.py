"""What people see: tables, progress and errors on a terminal.

Archives hold control codes, bidirectional marks and markup. Nothing from a store reaches the
terminal except through `clean`.
"""

import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from gpu_coord.ground.tables import Column, lay_out, wrap

# Control, format (bidirectional marks among them), surrogate, private use, unassigned.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MAX_WIDTH = 60
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


def clean_line(text: str) -> str:
    r"""Return a sentence, whole however long it is, as one line that a terminal does not obey.

    Examples
    --------
    >>> clean_line("acct\nerror: none") == "acct\ufffderror: none"
    True
    """
    return _replace_unsafe(text)


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

    The first columns, names of accounts, are never cut or taken apart.
    """
    rows = list(rows)
    if not rows:
        return
    shown = [p for p in range(len(columns)) if any(row[p] is not None for row in rows)]
    made = [
        _make_column(columns[place], [row[place] for row in rows], is_name=place in shown[:n_names])
        for place in shown
    ]
    head, lines = lay_out(made, console.width)
    for line in wrap(clean(title), console.width):
        print_line(console, line, "bold")
    for line in head:
        print_line(console, line, "bold")
    if console.is_terminal and head:  # nothing is drawn into a file
        print_line(console, "─" * max(map(cell_len, (*head, *lines))))
    for line in (*lines, ""):
        print_line(console, line)


def _make_column(head: str, values: Sequence[Any], *, is_name: bool) -> Column:
    is_number = any(isinstance(value, int | float) for value in values)
    write = _write_name if is_name else format_number
    cells = tuple(map(write, values))
    return Column(clean(head), cells, is_number=is_number, is_name=is_name)


def _write_name(value: Any) -> str:
    """Write a name, whole however long it is."""
    return _replace_unsafe(value) if isinstance(value, str) else format_number(value)


def print_line(
    console: Console, line: str, style: str | None = None, *, soft_wrap: bool = True
) -> None:
    """Print a clean line as it stands: Rich reads no markup in it, and no ``:names:`` of emoji."""
    console.print(
        line, style=style, soft_wrap=soft_wrap, highlight=False, markup=False, emoji=False
    )


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
