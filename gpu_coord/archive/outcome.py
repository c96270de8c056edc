"""What became of an archive's records, said where too much was lost or damaged.

In: the books of an ingest. Out: nothing, a warning, or a refusal. The one idea: who reads a message
learns which rows, why, and what to type or to export next.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import polars as pl

from gpu_coord.archive.ids import RESCUE, ROUNDED_ITEM, say_rounded
from gpu_coord.archive.sources import ArchiveError
from gpu_coord.ground.parquet import read_parquet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NO_POST = "the record is no post"
_N_REASONS = 3
_FEW_CUT = 0.02  # of long ids so many may end in zeros by chance
# Of words in a reason: what to do.
_WAYS_OUT = {
    "rounded number": RESCUE,
    "date": "for times in another form write --time-format, such as %d/%m/%Y %H:%M",
    "day number": "format the column of times as text or as date and time, and export again",
    "fields where": "look whether quotes and line ends are whole",
}
_LOOK = "gpu-coord columns FILE shows what a file is taken for"
_CALLER = 4  # whose line a warning names: that of whoever calls ingest


def refuse_loss(folder: Path, facts: Mapping[str, Any], most: float) -> None:
    """Refuse an archive of which too much was set aside, or all of it, and say why it was.

    Parameters
    ----------
    folder
        With the table of rejects.
    facts
        Of the manifest; ``inputs`` are those that were read now.
    most
        Share of the records that may be set aside; 1: an empty store is wanted, too.

    Raises
    ------
    ArchiveError
        It is more, or nothing is left.
    """
    n_read, n_rejected, n_left = (
        sum(entry[name] for entry in facts["inputs"] for name in names)
        for names in (("rows_read",), ("rejected",), ("stored", "excluded", "duplicates"))
    )
    n_others = facts["rejected_by_reason"].get(NO_POST, 0)
    n_read, n_rejected = n_read - n_others, n_rejected - n_others
    if most >= 1 or (n_rejected <= most * n_read and (n_left or not n_rejected)):
        return
    rejects = read_parquet(folder / "rejects.parquet")
    names = [entry["name"] for entry in facts["inputs"]]
    reasons = _list_reasons(rejects.filter(pl.col("file").is_in(names)))
    ways = [way for word, way in _WAYS_OUT.items() if any(word in said for said in reasons)]
    rest = ["--max-rejects 1 stores the others"] if n_left else []
    raise ArchiveError(
        f"{n_rejected:,} of {n_read:,} rows were set aside, so nothing is stored: "
        f"{'; '.join(reasons)}. To mend this, {'; '.join([*ways, _LOOK, *rest])}."
    )


def _list_reasons(rejects: pl.DataFrame) -> list[str]:
    """Return the commonest reasons, with how many rows and the first of them."""
    reason = pl.col("reason").str.replace(r"(?s): .*$", "").alias("said")  # without the value
    firsts = rejects.group_by(reason, maintain_order=True).agg(pl.len(), pl.all().first())
    common = firsts.sort("len", descending=True, maintain_order=True).head(_N_REASONS)
    return [
        f"{row['reason']} ({row['len']:,}, the first is row {row['row']:,} of {row['file']})"
        for row in common.rows(named=True)
    ]


def warn_of_nothing(inputs: Sequence[Mapping[str, Any]]) -> None:
    """Warn where nothing was shared at all; that some parts are empty is normal."""
    empty = [entry["name"] for entry in inputs if not entry["rows_read"]]
    n_read = sum(entry["rows_read"] for entry in inputs if entry["content"] != "users")
    if empty and not n_read:
        warnings.warn(
            f"{', '.join(empty)}: no record behind the header, so the store holds no post; are "
            "these the right files?",
            stacklevel=_CALLER,
        )


def warn_of_open_quotes(swallowed: Sequence[tuple[str, int, int]]) -> None:
    """Warn of records that hold all lines behind them, as their quote is never closed.

    Parameters
    ----------
    swallowed
        File, record and number of lines.
    """
    for file, row, n_lines in swallowed:
        lines = "line behind it is" if n_lines == 1 else f"{n_lines:,} lines behind it are"
        warnings.warn(
            f"{file}: a quote that opens in record {row:,} is never closed, so the {lines} not "
            "read; close it and ingest again.",
            stacklevel=_CALLER,
        )


def warn_of_damage(facts: Mapping[str, Any]) -> None:
    """Warn of ids that a spreadsheet damaged: those that are lost, and those that were mended."""
    said = [
        f"{number:,} rows were set aside, since {reason}"
        for reason, number in facts["rejected_by_reason"].items()
        if reason.endswith(say_rounded(""))
    ]
    unread = facts["unread_cells"].items()
    if n_lost := sum(number for name, number in unread if name.endswith(ROUNDED_ITEM)):
        said.append(f"{n_lost:,} ids in lists and references were left out")
    if n_mended := sum(facts["mended_ids"].values()):
        said.append(f"{n_mended:,} ids were mended without loss")
    n_long, n_cut = facts["long_ids"].values()
    if n_cut > _FEW_CUT * n_long:
        said.append(f"{n_cut:,} of {n_long:,} long account ids are 15 digits and zeros")
    if said:
        warnings.warn(
            f"a spreadsheet damaged ids: {'; '.join(said)}; {RESCUE}.", stacklevel=_CALLER
        )
