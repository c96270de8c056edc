"""A file -> what it is taken for, before anything is stored."""

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from gpu_coord.archive.exports import read_fields
from gpu_coord.archive.layouts import cell_of
from gpu_coord.archive.settings import IngestSettings
from gpu_coord.archive.sources import FAMILIES, Source, Wanted, find_sources, read_batches

_N_ROWS = 3


def preview(path: Path | str, **choices: Any) -> list[dict[str, Any]]:
    """Say of each table in a file or folder what it is taken for, and show its first rows.

    Parameters
    ----------
    path
        A file or folder.
    **choices
        ``format``, ``map``, ``split`` and ``time_format`` of `ingest`.

    Returns
    -------
        For each table: ``name``, ``format``, ``layout`` (the export's, or null), ``packing``,
        ``delimiter``, ``columns`` (field -> column of the file; of files without fields the known
        columns) and ``rows`` (the first three, as text by field).

    Raises
    ------
    ArchiveError
        The file is none that is known; the message says what to do.
    """
    settings = IngestSettings(**choices)
    wanted = Wanted(**settings.wanted)
    sources, _ = find_sources([(Path(path), None)], wanted)
    return [_describe(source) for source in sources]


def _describe(source: Source) -> dict[str, Any]:
    own = {name: (name,) for name in source.columns}
    fields = source.fields if source.role == "exports" else own
    taken = list(dict.fromkeys(cell_of(each) for columns in fields.values() for each in columns))
    batch = next(read_batches(source, taken), None)
    rows = pl.DataFrame() if batch is None else batch.frame.head(_N_ROWS)
    if source.role == "exports" and batch is not None:
        rows = read_fields(batch.frame, source, Counter()).head(_N_ROWS)
    return {
        "name": source.name,
        "format": FAMILIES[source.role][0],
        "layout": None if source.layout is None else source.layout.name,
        "packing": source.packing,
        "delimiter": source.dialect.delimiter if source.packing == "csv" else None,
        "columns": {
            name: ", ".join(source.columns.get(each, each) for each in columns)
            for name, columns in fields.items()
        },
        "rows": [
            {name: _write(value) for name, value in row.items()} for row in rows.rows(named=True)
        ],
    }


def _write(value: Any) -> str | None:
    if value is None:
        return None
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
