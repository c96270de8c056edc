"""The database of the QUT toolkit -> its posts as a table.

In: an SQLite file. Out: the columns of its table of posts, with the links that stand in a table of
their own. The one idea: SQLite reads it; from there on it is a table like others.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

POSTS, LINKS, URLS = "edge", "message_url", "urls"
_URLS = (
    f"(SELECT group_concat(url, ' ') FROM {LINKS} WHERE {LINKS}.message_id = {POSTS}.message_id)"
)


def list_columns(path: Path) -> list[str]:
    """Return the columns of the posts; none where the database has no such table."""
    with closing(_open(path)) as database:
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({POSTS})")]
        has_links = database.execute(f"PRAGMA table_info({LINKS})").fetchone() is not None
    return [*columns, URLS] if columns and has_links else columns


def read_rows(path: Path, names: Sequence[str], n_rows: int) -> Iterator[pl.DataFrame]:
    """Yield some columns of the posts as text, in their order, so many rows at a time."""
    chosen = ", ".join(_URLS if name == URLS else f"CAST({_quote(name)} AS TEXT)" for name in names)
    schema = dict.fromkeys(names, pl.String)
    with closing(_open(path)) as database:
        cursor = database.execute(f"SELECT {chosen} FROM {POSTS} ORDER BY rowid")
        while rows := cursor.fetchmany(n_rows):
            yield pl.DataFrame(rows, schema=schema, orient="row")


def _quote(name: str) -> str:
    """Return the name of a column as SQL takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def _open(path: Path) -> sqlite3.Connection:
    # Read only: nothing is made where nothing is, and nothing is changed.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
