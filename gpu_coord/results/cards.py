"""Findings -> the card that a notebook shows: how sure it is, the strongest pairs, a picture.

Accounts are named by pseudonyms, as everywhere where findings are shown.
"""

from typing import Any

import polars as pl

from gpu_coord.ground.cards import write_card, write_lines, write_picture, write_table
from gpu_coord.results.circles import draw_circle
from gpu_coord.results.findings import Findings
from gpu_coord.results.forms import RUN, SWEEP
from gpu_coord.results.sentences import (
    describe_chance,
    describe_counts,
    describe_edges,
    describe_finding,
    suggest_next,
)

_N_PAIRS, _N_OTHERS, _N_MEMBERS = 8, 4, 3
_PAIRS = {
    "a": "A", "b": "B", "tier": "tier", "lag": "lag", "weight": "weight", "n_objects": "objects",
    "median_gap": "gap, s", "observed": "hours", "expected_habit": "by habit",
    "expected": "with news", "q_value": "q", "q_habit": "q of habit",
}  # fmt: skip
_GROUPS = {
    "group": "group", "tier": "tier", "size": "accounts", "ratio": "ratio", "p": "p",
    "members": "members",
}  # fmt: skip
_OBJECTS = {"kind": "kind", "value": "object", "n_accounts": "accounts", "n_events": "events"}
_CELLS = {
    "cell": "cell", "n_network_accounts": "accounts", "n_network_edges": "edges",
    "network_tier": "tier", "n_groups": "groups", "reason": "not run",
}  # fmt: skip


def draw_card(findings: Findings) -> str:
    """Return the card of any folder as HTML."""
    parts = {RUN: _draw_run, SWEEP: _draw_sweep}.get(findings.form, _draw_counts)(findings)
    store = findings.content.get("input", {}).get("store")
    of = f" of {store}" if store else ""
    where = "in a temporary folder; save() keeps it" if findings.kept else f"in {findings.path}"
    return write_card(f"{findings.command}{of}, {where}", *parts)


def _draw_run(findings: Findings) -> list[str]:
    groups = findings.groups()
    is_tested = "p" in groups.columns
    return [
        write_lines(describe_finding(findings), describe_chance(findings)),
        _tabulate("The strongest pairs", findings.edges(_N_PAIRS), _PAIRS),
        _tabulate(
            "Groups with unusual co-activity" if is_tested else "Largest communities",
            groups.head(_N_OTHERS).with_columns(_name_tier(), members=_join_members()),
            _GROUPS,
        ),
        _tabulate("Objects that carry the network", findings.objects(_N_OTHERS), _OBJECTS),
        _draw_network(findings),
        _write_counts(findings),
        write_lines(suggest_next(findings), describe_edges(findings)),
    ]  # fmt: skip


def _name_tier() -> pl.Expr:
    return pl.col("^tier$").cast(pl.String).str.replace("_", " ")


def _join_members() -> pl.Expr:
    members = pl.col("members").list
    more = pl.when(members.len() > _N_MEMBERS).then(pl.lit(" …")).otherwise(pl.lit(""))
    return members.head(_N_MEMBERS).list.join(", ") + more


def _draw_network(findings: Findings) -> str:
    """Return the picture in the folder, or the network as a circle where there is none."""
    file = findings.path / "network.png"
    if file.is_file():
        return write_picture(file.read_bytes(), "png", "The network")
    drawn = draw_circle(findings)
    return write_picture(drawn.encode(), "svg+xml", "The network as a circle") if drawn else ""


def _draw_sweep(findings: Findings) -> list[str]:
    summary = findings.summary
    grid = findings.content.get("grid", {})
    varied = {name: name.replace("_", " ") for name, values in grid.items() if len(values) > 1}
    cells = findings.read("sweep").head(_N_PAIRS)
    more = summary["n_cells"] - cells.height
    return [
        write_lines(
            f"{summary['n_cells']:,} combinations of choices, of which {summary['n_failed']:,} "
            f"could not be run, give {summary['n_networks']:,} different networks; "
            f"{summary['n_core']:,} of {summary['n_accounts_ever']:,} accounts are in nearly all."
        ),
        _tabulate("The first combinations", cells, varied | _CELLS),
        write_lines(f"{more:,} more." if more else ""),
    ]


def _draw_counts(findings: Findings) -> list[str]:
    tables = findings.content.get("tables", {})
    rows = [(name, table["rows"]) for name, table in tables.items()]
    return [_write_counts(findings), write_table("Tables", ["table", "rows"], rows)]


def _write_counts(findings: Findings) -> str:
    return write_lines(describe_counts(findings.summary))


def _tabulate(title: str, table: pl.DataFrame, heads: dict[str, str]) -> str:
    """Return the columns of a table that it has, but those that are empty."""
    shown = [name for name in heads if name in table.columns and table[name].count()]
    rows: list[Any] = table.select(shown).with_columns(pl.col(pl.Enum).cast(pl.String)).rows()
    return write_table(title, [heads[name] for name in shown], rows)
