"""Every table that the commands write: what a row is, and what its columns say.

``columns.txt`` declares them by command: a line for each table and, below it, for each column or
a few that belong together; ``<word>`` stands for any. `share` adds to the tables of `detect`,
`coact` to both, `roles` to the accounts of either.
"""

from functools import cache
from pathlib import Path

# Of a table: what a row is, and what each of its columns says by their names with commas.
Tables = dict[str, tuple[str, dict[str, str]]]


@cache
def read_columns() -> dict[str, Tables]:
    """Return the tables of each command."""
    text = Path(__file__).with_name("columns.txt").read_text(encoding="utf-8")
    return dict(_read_part(part) for part in text.removeprefix("# ").split("\n# "))


def _read_part(part: str) -> tuple[str, Tables]:
    command, *lines = part.rstrip().splitlines()
    tables: Tables = {}
    for line in lines:
        name, meaning = line.strip().split(": ", 1)
        if line.startswith(" "):
            tables[next(reversed(tables))][1][name] = meaning
        else:
            tables[name] = meaning, {}
    return command, tables
