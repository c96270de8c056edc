"""How commands show what came back: as JSON, as tables and as sentences.

The terminal's libraries are loaded here, when there is something to show, and nowhere else.
"""

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from gpu_coord.results.findings import Findings

Rows = tuple[list[str], list[Any]]  # names of columns, and rows

N_SHOWN = 10  # rows of a table that may have many


def show_progress() -> AbstractContextManager[Callable[[str, int, int], None]]:
    """Return what draws bars of the stages under way, where people see them."""
    from gpu_coord.ground.terminal import open_consoles, show_progress

    return show_progress(open_consoles()[1])


def print_json(content: Any) -> None:
    """Print one JSON object."""
    print(json.dumps(content))


def print_table_as(form: str, table: "pl.DataFrame", *, raw: bool) -> None:
    """Print a table as CSV or LaTeX."""
    from gpu_coord.ground.escapes import write_csv, write_latex

    print(write_latex(table) if form == "latex" else write_csv(table, raw=raw), end="")


def print_rows(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, n_names: int = 1
) -> None:
    """Print a table under its title; nothing where it has no rows."""
    from gpu_coord.ground.terminal import open_consoles, print_table

    print_table(open_consoles()[0], title, columns, rows, n_names=n_names)


def print_top(
    title: str,
    table: "pl.DataFrame",
    columns: Mapping[str, str],
    *,
    by: str = "",
    show_ids: bool = False,
    n_shown: int = N_SHOWN,
    n_names: int = 1,
) -> None:
    """Print the first rows of a table.

    Parameters
    ----------
    title, table
        What stands above it, and the table.
    columns
        What stands above each column that is shown; ``account`` is the column that names one.
    by
        Columns to sort by, with a minus where the largest come first; as they are by default.
    show_ids
        Name accounts, and entities that are accounts or posts, by their ids.
    n_names
        Columns at the beginning that are never cut short.
    """
    order = by.split()
    names, falls = [name.removeprefix("-") for name in order], [n.startswith("-") for n in order]
    first = (table.sort(names, descending=falls, nulls_last=True) if by else table).head(n_shown)
    if "value" in columns and not show_ids:
        from gpu_coord.results.strongest import hide_ids

        first = hide_ids(first)
    account = choose_id(show_ids=show_ids)
    shown = {account if name == "account" else name: head for name, head in columns.items()}
    heads = [account if name == "account" else head for name, head in columns.items()]
    print_rows(title, heads, first.select(*shown).rows(), n_names=n_names)


def print_lines(*lines: str, wrap: bool = False) -> None:
    """Print sentences, each on a line; broken at the width of the terminal if ``wrap``."""
    from gpu_coord.ground.terminal import clean_line, open_consoles, print_line

    console = open_consoles()[0]
    for line in lines:
        said = clean_line(line)
        if wrap:  # no path is taken apart
            said = fill(said, console.width, break_long_words=False, break_on_hyphens=False)
        print_line(console, said)


def say(kind: str, message: str) -> None:
    """Say one sentence beside the result: an error, a warning or a note."""
    from gpu_coord.ground.terminal import clean_lines

    said = " ".join(clean_lines(message).split("\n"))  # a name of two lines begins no other message
    print(f"{kind}: {said}", file=sys.stderr)


def describe_cost(found: "Findings") -> str:
    """Say what a result has cost, and where it is: the end of every summary."""
    stages = found.content["stages"]
    seconds = sum(stage["seconds"] for stage in stages)
    peak = max(stage["peak_memory_bytes"] for stage in stages)
    backend = found.content.get("backend")
    where = f", on the {backend['name'].upper()}" if backend else ""
    return f"{write_cost(seconds, peak)}{where}; {describe_place(found)}"


def describe_place(found: "Findings") -> str:
    """Say which specification a result is of, and where it is."""
    return f"specification {found.content['specification'][:12]}, in {found.path}"


def write_command(*words: str) -> str:
    """Write a command that people paste: a shell runs nothing of the names in it."""
    return shlex.join(["gpu-coord", *words])


def write_cost(seconds: float, peak: int) -> str:
    """Write what something has cost, in seconds and in bytes of memory."""
    return f"{seconds:.1f} s and {peak / 1e9:.2f} GB at most"


def flatten(content: dict[str, Any], *, prefix: str = "") -> list[tuple[str, Any]]:
    """Return what is nested as one list, each value under its whole name."""
    rows: list[tuple[str, Any]] = []
    for key, value in content.items():
        name = f"{prefix}{key.replace('_', ' ')}"
        is_nested = isinstance(value, dict)
        rows += flatten(value, prefix=f"{name}: ") if is_nested else [(name, value)]
    return rows


def choose_id(*, show_ids: bool) -> str:
    """Return the column that names an account."""
    return "account_id" if show_ids else "pseudonym"
