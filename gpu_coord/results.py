"""A folder with a command's result -> its summary, its tables on request, and whether it is whole.

The one idea: a JSON file marks such a folder; it holds the summary and describes the tables.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from gpu_coord.folders import read_marker
from gpu_coord.store import check_tables


@dataclass(frozen=True, slots=True)
class ResultFolder:
    """A folder with a result: its summary, and its tables on request."""

    path: Path
    content: dict[str, Any] = field(repr=False)  # of the JSON file that marks it

    @property
    def summary(self) -> dict[str, Any]:
        """What was found, in numbers, as in the JSON file."""
        summary: dict[str, Any] = self.content["summary"]
        return summary

    def read(self, table: str) -> pl.DataFrame:
        """Return a table by the name of its file."""
        return pl.read_parquet(self.path / f"{table}.parquet")


Result = TypeVar("Result", bound=ResultFolder)


def open_result(sort: type[Result], path: Path | str, marker: str, *, missing: str) -> Result:
    """Open a folder by the JSON file that marks it.

    Parameters
    ----------
    sort
        Which sort of result it is.
    path
        The folder.
    marker
        The name of the JSON file.
    missing
        What to say where there is none, ``{}`` for the path.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or no such file of ours in it.
    """
    content = read_marker(Path(path), marker)
    if content is None:
        raise FileNotFoundError(missing.format(path))
    return sort(Path(path), content)


def verify_tables(result: ResultFolder) -> dict[str, Any]:
    """Check that the tables of a result are those that were written, and count them.

    Raises
    ------
    ValueError
        A table was changed or is missing.
    """
    tables = result.content["tables"]
    check_tables(result.path, tables, remedy="repeat the run")
    return {"n_tables": len(tables)}
