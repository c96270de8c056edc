"""A run -> its groups as the page shows them: members, times, lags, who is first, evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from gpu_coord.plots import plot_lags, plot_meetings
from gpu_coord.reports.meetings import read_group_meetings
from gpu_coord.reports.pictures import draw
from gpu_coord.reports.tables import Table, make_table, show_text
from gpu_coord.results.findings import Findings
from gpu_coord.results.sentences import TIERS
from gpu_coord.results.strongest import list_strongest

N_GROUPS, N_NAMED, N_SEEN, N_LEADERS, N_ROWS = 12, 200, 50, 5, 10
_EVIDENCE = {"a": "first", "b": "second", "kind": "kind", "value": "object", "time": "time, UTC",
             "gap": "seconds apart"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and what it shows."""

    content: str
    alt: str


@dataclass(frozen=True, slots=True)
class Group:
    """A group as the page shows it."""

    title: str
    said: str
    members: str
    is_small: bool  # all members can be seen at once
    leaders: str
    pictures: Sequence[Picture]
    evidence: Table


def build_groups(
    run: Findings, *, show_ids: bool, min_group: int, texts: pl.DataFrame | None
) -> tuple[list[Group], str]:
    """Return the groups of a run (of a tier, or its communities), and what is said of all."""
    table = list_strongest(run, "groups", show_ids=show_ids)
    large = table.filter(pl.col("size") >= min_group)
    noun = "groups" if "tier" in table.columns else "communities"
    shown = large.head(N_GROUPS)
    said = f"{table.height:,} {noun}; {shown.height:,} are shown"
    if n_small := table.height - large.height:
        said += f"; {n_small:,} of fewer than {min_group:,} accounts are hidden"
    groups = [
        _build_group(run, row, show_ids=show_ids, texts=texts)
        for row in shown.iter_rows(named=True)
    ]
    return groups, f"{said}. Groups beyond habit may be audiences of the same news."


def _build_group(
    run: Findings, row: dict[str, Any], *, show_ids: bool, texts: pl.DataFrame | None
) -> Group:
    members = [show_text(member) for member in row["members"]]
    more = f" and {len(members) - N_NAMED:,} more" if len(members) > N_NAMED else ""
    meetings = read_group_meetings(run, row["group"], show_ids=show_ids, texts=texts)
    title = f"Group {row['group']}: {row['size']:,} accounts" + (
        f", {TIERS[str(row['tier'])]}" if row.get("tier") else ""
    )
    return Group(
        title,
        _describe_group(row, meetings.height),
        f"{', '.join(members[:N_NAMED])}{more}",
        len(members) <= N_SEEN,
        _list_leaders(meetings),
        _draw_group(run, row["group"], meetings),
        make_table(f"group-{row['group']}", "Sample of the meetings", _shape(meetings), _EVIDENCE,
                   n_rows=N_ROWS),
    )  # fmt: skip


def _describe_group(row: dict[str, Any], n_meetings: int) -> str:
    said = []
    if row.get("ratio") is not None:
        said.append(
            f"members met {row['ratio']:.3g} times as often as their days and hours explain"
        )
    if row.get("p") is not None:
        said.append(f"largest p of the tests {row['p']:.2g}")
    if row.get("main_label"):
        said.append(f"main label {show_text(row['main_label'])}")
    said.append(f"{n_meetings:,} meetings of members are kept as evidence")
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def _list_leaders(meetings: pl.DataFrame) -> str:
    """Name the members that were first in most of the meetings that were not at the same second."""
    first = meetings.filter(pl.col("gap") != 0)["a"]
    if first.is_empty():
        return ""
    counts = first.value_counts(name="n").sort("n", "a", descending=[True, False]).head(N_LEADERS)
    return ", ".join(f"{show_text(name)} ({n:,})" for name, n in counts.iter_rows())


def _shape(meetings: pl.DataFrame) -> pl.DataFrame:
    time = pl.col("time").dt.strftime("%Y-%m-%d %H:%M:%S")
    return meetings.sort(pl.col("gap"), "time", "a", "b").with_columns(time)


def _draw_group(run: Findings, group: int, meetings: pl.DataFrame) -> list[Picture]:
    pictures = []
    if meetings.height:
        said = f"Meetings of the members of group {group} by day"
        pictures.append(Picture(draw(lambda ax: plot_meetings(ax, meetings["time"]), 6, 2.6), said))
    if run.has("lags"):
        curves = run.read("lags").filter(pl.col("group").is_null() | (pl.col("group") == group))
        if (curves["group"] == group).any():
            said = f"At which lags the members of group {group} meet"
            bin = run.settings["bin"]
            pictures.append(Picture(draw(lambda ax: plot_lags(ax, curves, bin=bin), 6, 2.6), said))
    return pictures
