"""A run -> the network of its page: accounts with places, the heaviest edges, and their meetings.

The one idea: columns of numbers and short sentences, as a page draws thousands of them; every text
is cleaned here, and set as text there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.plots import lay_out, plot_network, select_strongest
from gpu_coord.plots.style import PALETTE
from gpu_coord.reports.meetings import read_meetings
from gpu_coord.reports.pictures import draw
from gpu_coord.reports.tables import show_text
from gpu_coord.results.findings import Findings
from gpu_coord.results.sentences import TIERS

N_MEETINGS = 5  # of a pair, the first
_UNGROUPED = "#bfbfbf"
_SMALLEST, _LARGEST = 3.0, 12.0  # radius of a point
_WIDTHS = {300: 3.0, 3000: 1.2, 2**63: 0.6}  # of the heaviest line, by how many lines there are


@dataclass(frozen=True, slots=True)
class Network:
    """What the page draws, and says of it."""

    accounts: dict[str, list[Any]]
    edges: dict[str, list[Any]]
    meetings: dict[str, list[Any]]
    kinds: Sequence[str]
    tiers: Sequence[str]
    said: str
    picture: str  # for print, and for browsers without WebGL; empty without any edge


def build_network(
    run: Findings, name: str, *, max_edges: int, min_group: int, texts: pl.DataFrame | None
) -> Network:
    """Return the network of a run.

    Parameters
    ----------
    name
        The column that names accounts.
    max_edges
        The heaviest edges that are drawn.
    min_group
        Smaller components are left out.
    texts
        Wordings of texts (``value``, ``text``), where they are to be shown.
    """
    linked = run.read_network()
    accounts = run.read("accounts")
    large = _list_large(accounts, min_group)
    kept = linked.filter(pl.col("source").is_in(large.implode()))
    drawn = select_strongest(kept, max_edges) if kept.height else kept
    ends = pl.concat([drawn["source"], drawn["target"]]).unique().sort()
    shown = ends.to_frame("account_id").join(
        accounts, on="account_id", how="left", maintain_order="left"
    )
    source, target = (_find(drawn[end], shown) for end in ("source", "target"))
    said = _describe_drawn(linked, drawn, shown.height, accounts, min_group)
    kinds = [each.removeprefix("weight_") for each in drawn.columns if each.startswith("weight_")]
    edges = _list_edges(run, drawn, source, target, kinds)
    return Network(
        _list_accounts(shown, source, target, name),
        edges,
        _list_meetings(run, drawn, show_ids=name == "account_id", texts=texts),
        [show_text(kind) for kind in kinds],
        sorted({*edges["tier"]} - {""}),
        said,
        _draw(run, drawn, accounts, name) if drawn.height else "",
    )


def _list_large(accounts: pl.DataFrame, min_group: int) -> pl.Series:
    linked = accounts.drop_nulls("component")
    return linked.filter(pl.len().over("component") >= min_group)["account_id"]


def _find(ids: pl.Series, shown: pl.DataFrame) -> np.ndarray:
    return shown["account_id"].search_sorted(ids).to_numpy().astype(np.int64)


def _describe_drawn(
    linked: pl.DataFrame, drawn: pl.DataFrame, n_shown: int, accounts: pl.DataFrame, min_group: int
) -> str:
    n_accounts = accounts["component"].count()
    if not linked.height:
        return "The network has no edge."
    if drawn.height == linked.height:
        return f"All {linked.height:,} edges of {n_accounts:,} accounts."
    small = f"; parts of fewer than {min_group} accounts are hidden" if min_group > 1 else ""
    return (
        f"The heaviest {drawn.height:,} of {linked.height:,} edges, {n_shown:,} of {n_accounts:,} "
        f"accounts{small}."
    )


def _list_accounts(
    shown: pl.DataFrame, source: np.ndarray, target: np.ndarray, name: str
) -> dict[str, list[Any]]:
    places = lay_out(source, target, n_accounts=shown.height, seed=0)
    n_edges = np.bincount(np.concatenate([source, target]), minlength=shown.height)
    largest = max(n_edges.max(initial=0), 1)
    size = _SMALLEST + (_LARGEST - _SMALLEST) * np.sqrt(n_edges / largest)
    group = shown["community"].to_list()
    return {
        "name": [show_text(each) for each in shown[name]],
        "x": places[:, 0].round(5).tolist(),
        "y": places[:, 1].round(5).tolist(),
        "size": size.round(1).tolist(),
        "colour": [_UNGROUPED if g is None else PALETTE[g % len(PALETTE)] for g in group],
        "said": [_describe_account(row) for row in shown.iter_rows(named=True)],
    }


def _describe_account(row: dict[str, Any]) -> str:
    said = [
        f"{row['n_posts']:,} posts" if row["n_posts"] is not None else "",
    ]
    if row.get("label"):
        said.append(f"label {show_text(row['label'])}")
    if row["community"] is not None:
        said.append(f"community {row['community']}")
    if row.get("co_activity") is not None:
        said.append(f"co-activity {row['co_activity']:.3f}")
    said.append(f"apparent influence {row['influence']:.3g}")
    return f"{', '.join(filter(None, said))}."


def _list_edges(
    run: Findings, drawn: pl.DataFrame, source: np.ndarray, target: np.ndarray, kinds: list[str]
) -> dict[str, list[Any]]:
    lag = (
        drawn["lag"].to_list() if "lag" in drawn.columns else [int(run.is_directed)] * drawn.height
    )
    tier = (
        [TIERS.get(str(each), "") for each in drawn["tier"]]
        if "tier" in drawn.columns
        else [""] * drawn.height
    )
    rank = drawn["weight"].rank("average")
    thickest = next(width for n_edges, width in _WIDTHS.items() if drawn.height <= n_edges)
    size = (thickest * (0.2 + 0.8 * rank / max(drawn.height, 1))).round(2)
    weights = drawn.select(f"weight_{kind}" for kind in kinds)
    return {
        "source": source.tolist(),
        "target": target.tolist(),
        "lag": lag,
        "tier": tier,
        "rank": rank.to_list(),
        "size": size.to_list(),
        "colour": [_EDGE_COLOURS.get(each, "#999999") for each in tier],
        "kinds": [
            [
                show_text(kind)
                for kind, weight in zip(kinds, row, strict=True)
                if weight and weight > 0
            ]
            for row in weights.iter_rows()
        ],
        "said": [_describe_edge(row) for row in drawn.iter_rows(named=True)],
    }


_EDGE_COLOURS = {"beyond the news": "#c77c5a", "beyond habit": "#8fa9bf"}


def _describe_edge(row: dict[str, Any]) -> str:
    said = [f"Weight {row['weight']:.3g}"]
    if row.get("lag") is not None:
        said.append(f"lag {row['lag']}")
    if row.get("n_hours") is not None and row.get("expected") is not None:
        met, expected = row["n_hours"], row["expected"]
        said.append(f"together in {met:,} hours, {expected:.3g} expected with the news")
    if row.get("q_value") is not None:
        said.append(f"q {row['q_value']:.2g} beyond the news")
    if row.get("q_habit") is not None:
        said.append(f"q {row['q_habit']:.2g} beyond habit")
    return f"{', '.join(said)}."


def _list_meetings(
    run: Findings, drawn: pl.DataFrame, *, show_ids: bool, texts: pl.DataFrame | None
) -> dict[str, list[Any]]:
    """Return the first meetings of each pair that is drawn, in sentences."""
    pairs = drawn.select("source", "target").with_row_index("edge")
    meetings = read_meetings(run, pairs, n_each=N_MEETINGS, show_ids=show_ids, texts=texts)
    return {
        "edge": meetings["edge"].to_list(),
        "said": [_describe_meeting(row) for row in meetings.iter_rows(named=True)],
    }


def _describe_meeting(row: dict[str, Any]) -> str:
    first, second = row["time_source"], row["time_target"]
    # The object is last: in the middle, one in Arabic or Hebrew would turn the times around.
    return show_text(
        f"{first:%Y-%m-%d %H:%M:%S} and {second:%H:%M:%S} UTC, {abs(row['gap']):,.0f} s apart: "
        f"{row['kind']} {row['value']}"
    )


def _draw(run: Findings, drawn: pl.DataFrame, accounts: pl.DataFrame, name: str) -> str:
    directed = run.is_directed
    return draw(lambda ax: plot_network(ax, drawn, accounts, name=name, directed=directed), 9, 6)
