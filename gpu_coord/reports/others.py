"""Other results -> sections of a page: a calibration, a sweep; another run, compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from gpu_coord.reports.groups import Picture
from gpu_coord.reports.pictures import embed
from gpu_coord.reports.tables import Table, make_facts, make_table, show_text
from gpu_coord.results.findings import Findings
from gpu_coord.results.forms import RUN

_PAIR = ["source", "target"]
_TITLES = {
    "calibrate": "Calibration", "sweep": "Sweep", "model": "Influence model",
    "cascades": "Cascades", "cohorts": "Cohorts", "compare": "Methods compared", "cycle": "Cycle",
}  # fmt: skip
_SHOWN = ("sweep", "methods", "ranks", "cohorts", "rounds", "copies", "catalysts", "flows")
_ACCOUNTS = {"account_id", "pseudonym", "top_account_id"}


@dataclass(frozen=True, slots=True)
class Other:
    """A section on another result."""

    id: str
    title: str
    said: Sequence[str]
    pictures: Sequence[Picture]
    tables: Sequence[Table]


def build_other(run: Findings, other: Findings, *, number: int, n_rows: int) -> Other:
    """Return the section on another result; of a run, what differs from the first."""
    if other.form is RUN:
        return compare_runs(run, other, number=number, n_rows=n_rows)
    title = _TITLES.get(other.command, other.command.capitalize())
    facts = {name.replace("_", " "): _spell(value) for name, value in other.summary.items()}
    tables = [make_facts(f"summary-{number}", "Summary", facts)]
    tables += [_tabulate(other, name, number, n_rows) for name in _SHOWN if other.has(name)]
    pictures = [
        Picture(embed(file), f"{title}: {file.stem.replace('_', ' ')}")
        for file in sorted(other.path.glob("*.png"))
    ]
    return Other(
        f"other-{number}", title, [f"From {show_text(other.path.name)}."], pictures, tables
    )


def _spell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_spell(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_spell, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _tabulate(other: Findings, name: str, number: int, n_rows: int) -> Table:
    """Return a table of a result without what is the same in all rows, and names no account."""
    table = other.read(name).select(~pl.selectors.nested())
    heads = {
        column: column.removeprefix("n_").replace("_", " ")
        for column in table.columns
        if column not in _ACCOUNTS and (table.height == 1 or table[column].n_unique() > 1)
    }
    return make_table(f"{name}-{number}", name.capitalize(), table, heads, n_rows=n_rows)


def compare_runs(run: Findings, other: Findings, *, number: int, n_rows: int) -> Other:
    """Return what entered, left and changed from another run to this one, of pairs and accounts.

    A pair is ordered where both networks say who followed whom.
    """
    is_ordered = run.is_directed and other.is_directed
    mine, theirs = (_read_pairs(each, is_ordered=is_ordered) for each in (run, other))
    joined = mine.join(theirs, on=_PAIR, how="full", coalesce=True, suffix="_before")
    is_new, is_lost = pl.col("weight_before").is_null(), pl.col("weight").is_null()
    joined = joined.with_columns(
        change=pl.when(is_new).then(pl.lit("entered")).when(is_lost).then(pl.lit("left"))
        .otherwise(pl.lit("stayed")),
        difference=(pl.col("weight") - pl.col("weight_before")).abs(),
    ).sort("change", pl.max_horizontal("weight", "weight_before"), *_PAIR,
           descending=[False, True, False, False])  # fmt: skip
    accounts = [set(pl.concat([each[end] for end in _PAIR])) for each in (mine, theirs)]
    counts = dict(joined["change"].value_counts().iter_rows())
    entered, left = (len(a - b) for a, b in (accounts, accounts[::-1]))
    stayed = len(accounts[0] & accounts[1])
    heads = {"source": "A", "target": "B", "change": "change"}
    if run.command == other.command:  # weights of others are in other units
        heads |= {"weight_before": "weight before", "weight": "weight now"}
    return Other(
        f"other-{number}",
        f"Compared with {show_text(other.path.name)}",
        [
            f"Pairs of the network: {counts.get('entered', 0):,} entered, "
            f"{counts.get('left', 0):,} left, {counts.get('stayed', 0):,} stayed.",
            f"Accounts of the network: {entered:,} entered, {left:,} left, {stayed:,} stayed.",
        ],
        [],
        [
            make_facts(f"settings-{number}", "What differs", _list_changes(run, other)),
            make_table(f"pairs-{number}", "Pairs", joined, heads, n_rows=n_rows),
        ],
    )


def _list_changes(run: Findings, other: Findings) -> dict[str, str]:
    """Return by name how the command and the settings of two runs differ."""
    before, now = ({"command": each.command} | each.settings for each in (other, run))
    return {
        name: f"{_spell(before[name])} → {_spell(value)}"
        for name, value in now.items()
        if name in before and not _is_same(before[name], value)
    }


def _is_same(one: Any, other: Any) -> bool:
    """Tell whether two settings are the same; lists of words in any order are."""
    are_lists = isinstance(one, list) and isinstance(other, list)
    return sorted(map(str, one)) == sorted(map(str, other)) if are_lists else bool(one == other)


def _read_pairs(run: Findings, *, is_ordered: bool) -> pl.DataFrame:
    """Return the pairs of a network by pseudonym, each once at its largest weight."""
    names = run.read("accounts", ["account_id", "pseudonym"])
    edges = run.read_network().select(
        pl.col(_PAIR).replace_strict(*names, return_dtype=pl.String), pl.col("weight").cast(float)
    )
    if not is_ordered:
        ends = pl.min_horizontal(_PAIR), pl.max_horizontal(_PAIR)
        edges = edges.with_columns(source=ends[0], target=ends[1])
    return edges.group_by(_PAIR).agg(pl.col("weight").max())
