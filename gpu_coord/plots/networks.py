"""Edges and accounts of a run -> the picture of its network.

The one idea: a picture holds some hundred edges, so it shows the strongest and says what it leaves
out.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gpu_coord.plots.style import (
    UNGROUPED,
    add_legend,
    add_note,
    colour_values,
    name_group,
    name_in_legend,
    require_columns,
    scale_areas,
    shorten,
    show_plainly,
)
from gpu_coord.results.findings import IN_NETWORK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EDGES = "edges.parquet of a run"
_ACCOUNTS = "accounts.parquet of the same run"
_NEAREST = 1e-3  # two accounts closer than this push each other no harder
_GRAVITY = 0.3  # keeps components that nothing joins in one picture
_HEAT = 0.1  # how far an account may move in the first round; all start in a square of side 1


def plot_network(
    ax: "Axes",
    edges: pl.DataFrame,
    accounts: pl.DataFrame,
    *,
    colour_by: str = "community",
    max_edges: int = 500,
    name: str = "pseudonym",
    n_named: int = 0,
    seed: int = 0,
    colours: Mapping[str, str] | None = None,
) -> "Axes":
    """Draw the strongest edges of a network in a Fruchterman–Reingold layout.

    Shows: a point for each account that has one of the strongest edges, coloured by a column such
    as community or label, larger with more apparent influence; an edge in the colour of its
    source. Only significant edges are drawn where the run tested for significance.
    Read it: points of one colour that lie close together act together more than chance explains;
    large points are those that others follow. Distances and positions mean nothing else.
    Then: ask of the edges between large points what is behind them, with ``explain``.

    Parameters
    ----------
    ax
        Where to draw.
    edges, accounts
        ``edges.parquet`` and ``accounts.parquet`` of a run.
    colour_by
        A column of accounts.
    max_edges
        Edges to draw, by weight.
    name
        The column that names accounts.
    n_named
        How many accounts are named, by influence.
    seed
        Of the layout: the same seed gives the same picture.
    colours
        Of the values of ``colour_by``, such as ``ROLE_COLOURS``; by default the eight most
        frequent ones have colours of their own.

    Raises
    ------
    ValueError
        A column is missing, or ``max_edges`` is below 1.
    """
    require_columns(edges, ["source", "target", "weight"], source=_EDGES)
    require_columns(accounts, ["account_id", "influence", colour_by, name], source=_ACCOUNTS)
    linked, drawn = _choose_edges(edges, max_edges)
    shown = _list_ends(drawn).join(accounts, on="account_id", how="left", maintain_order="left")
    source, target = (_find_rows(drawn[end], shown) for end in ("source", "target"))
    places = lay_out(source, target, n_accounts=shown.height, seed=seed)
    values = shown[colour_by].cast(pl.String)
    colours = colour_values(values) if colours is None else colours
    colour = [colours.get(value, UNGROUPED) for value in values]
    _draw_edges(ax, places, source, target, colour)
    _draw_accounts(ax, places, shown, values, colours, colour_by=colour_by)
    _name_accounts(ax, places, shown, name=name, n_named=n_named)
    ax.set_axis_off()
    add_note(ax, _tell_left_out(linked, drawn, shown.height))
    return ax


def select_strongest(edges: pl.DataFrame, n_edges: int) -> pl.DataFrame:
    """Return the edges of the largest weights, ties by source and target.

    Raises
    ------
    ValueError
        ``n_edges`` is below 1.
    """
    if n_edges < 1:
        raise ValueError(f"max_edges is {n_edges}; draw at least 1 edge, 500 are readable.")
    order = ["weight", "source", "target"]
    return edges.sort(order, descending=[True, False, False]).head(n_edges)


def lay_out(
    source: np.ndarray, target: np.ndarray, *, n_accounts: int, seed: int, n_rounds: int = 150
) -> np.ndarray:
    """Place accounts so that linked ones are close and others are not.

    All accounts push each other away as 1/d, edges pull as d², and steps grow shorter (Fruchterman
    & Reingold 1991); a weak pull to the middle keeps separate components in sight. Edges pull
    alike, whatever their weight and direction.

    Parameters
    ----------
    source, target
        Account indices, (n_edges,).
    n_accounts
        Time and memory grow with its square.
    seed
        Of the places where all start.
    n_rounds
        Steps of all accounts.

    Returns
    -------
        Horizontal and vertical places, (n_accounts, 2).
    """
    ideal = 1 / np.sqrt(max(n_accounts, 1))
    start = np.random.default_rng(seed).random((n_accounts, 2)) - 0.5
    place = start[:, 0] + 1j * start[:, 1]
    for heat in np.linspace(_HEAT, 0, n_rounds, endpoint=False):
        apart = place[:, None] - place[None, :]
        force = ideal**2 * (apart / np.maximum(np.abs(apart), _NEAREST) ** 2).sum(axis=1)
        pull = (place[target] - place[source]) * np.abs(place[target] - place[source]) / ideal
        np.add.at(force, source, pull)
        np.add.at(force, target, -pull)
        force -= _GRAVITY * place
        size = np.maximum(np.abs(force), 1e-12)
        place = place + force / size * np.minimum(size, heat)
    return np.column_stack([place.real, place.imag])


def _choose_edges(edges: pl.DataFrame, max_edges: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the edges of the network, and the strongest of them."""
    marks = [name for name in (IN_NETWORK, "significant") if name in edges.columns]
    linked = edges.filter(marks[0]) if marks else edges
    return linked, select_strongest(linked, max_edges)


def _list_ends(edges: pl.DataFrame) -> pl.DataFrame:
    ends = pl.concat([edges["source"], edges["target"]]).unique().sort()
    return pl.DataFrame({"account_id": ends})


def _find_rows(ids: pl.Series, shown: pl.DataFrame) -> np.ndarray:
    return shown["account_id"].search_sorted(ids).to_numpy().astype(np.int64)


def _draw_edges(
    ax: "Axes", places: np.ndarray, source: np.ndarray, target: np.ndarray, colour: list[str]
) -> None:
    from matplotlib.collections import LineCollection

    lines = np.stack([places[source], places[target]], axis=1)
    drawn = LineCollection(list(lines), linewidths=0.6, alpha=0.4, zorder=1, gid="edges")
    drawn.set_color([colour[row] for row in source])
    ax.add_collection(drawn)


def _draw_accounts(
    ax: "Axes", places: np.ndarray, shown: pl.DataFrame, values: pl.Series,
    colours: Mapping[str, str], *, colour_by: str,
) -> None:  # fmt: skip
    area = scale_areas(shown["influence"])
    is_named = values.is_in(list(colours)).fill_null(value=False)
    parts = [(f"other or no {colour_by}", ~is_named, UNGROUPED)]
    parts += [
        (name_group(value, colour_by), values.eq_missing(value), colour)
        for value, colour in colours.items()
    ]
    for label, is_its, colour in parts:
        rows = is_its.to_numpy()
        if not rows.any():
            continue
        marks = ax.scatter(
            places[rows, 0], places[rows, 1], s=area[rows], color=colour, linewidths=0.4, zorder=2
        )
        marks.set(edgecolor="white", label=name_in_legend(label))
    if shown.height:
        add_legend(ax)


def _name_accounts(
    ax: "Axes", places: np.ndarray, shown: pl.DataFrame, *, name: str, n_named: int
) -> None:
    ranked = shown.with_row_index("row").sort(
        "influence", "account_id", descending=[True, False], nulls_last=True
    )
    for row, text in ranked.head(n_named).select("row", name).iter_rows():
        label = ax.annotate(
            shorten(text or "?"), places[row], xytext=(0, 5), textcoords="offset points",
            ha="center", fontsize="xx-small", zorder=3,
        )  # fmt: skip
        show_plainly([label])


def _tell_left_out(linked: pl.DataFrame, drawn: pl.DataFrame, n_shown: int) -> list[str]:
    if linked.is_empty():
        return ["the network has no edge"]
    if drawn.height == linked.height:
        return [f"all {linked.height:,} edges of {n_shown:,} accounts"]
    n_accounts = _list_ends(linked).height
    return [
        f"the strongest {drawn.height:,} of {linked.height:,} edges",
        f"{n_accounts - n_shown:,} of {n_accounts:,} linked accounts are not drawn",
    ]
