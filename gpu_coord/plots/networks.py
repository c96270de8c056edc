"""Edges and accounts of a run -> the picture of its network.

The one idea: a picture holds some hundred edges, so it shows the strongest and says what it leaves
out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gpu_coord.plots.layouts import lay_out
from gpu_coord.plots.names import name_points
from gpu_coord.plots.style import (
    UNGROUPED,
    Theme,
    add_legend,
    add_title,
    colour_values,
    count,
    name_group,
    name_in_legend,
    require_columns,
    save_picture,
    scale_areas,
    shade,
    shorten,
    use_theme,
)
from gpu_coord.results.findings import IN_NETWORK, Findings, open_run
from gpu_coord.results.forms import RUN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EDGES = "edges.parquet of a run"
_ACCOUNTS = "accounts.parquet of the same run"
_GROUPINGS = ("community", "component", "group", "strong_component")  # have hulls
_WIDTHS, _OPACITIES = (0.3, 2.6), (0.25, 0.8)  # of the weakest and the strongest edge
_N_WIDE = 100  # edges that can be that wide; more are thinner
_N_LARGE = 300  # accounts that can be that large; more are smaller
_LEAST_AREA = 3.0
_N_IN_THE_WAY = 200  # of the most influential accounts, over which no name is written
_HEAD = 0.011  # length of an arrow's head, as a share of the picture
_TIERS = {"beyond_news": " beyond the news", "beyond_habit": " beyond habit"}


def plot_network(
    ax: "Axes",
    edges: pl.DataFrame,
    accounts: pl.DataFrame,
    *,
    colour_by: str = "community",
    max_edges: int = 500,
    name: str = "pseudonym",
    n_named: int = 8,
    seed: int = 0,
    colours: Mapping[str, str] | None = None,
    directed: bool = True,
) -> "Axes":
    """Draw the strongest edges of a network, each component in a place of its own.

    Shows: a point for each account that has one of the strongest edges, coloured by a column such
    as community or label, larger with more apparent influence, with a hull around each community,
    component or group; an edge in the colour of its source, wider and darker with its weight, and
    an arrowhead in its middle where one end acts after the other. Only significant edges are drawn
    where the run tested for significance.
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
        How many accounts are named at most, by influence; a name that has no room is left out.
    seed
        Of the layout: the same seed gives the same picture.
    colours
        Of the values of ``colour_by``, such as ``ROLE_COLOURS``; by default the eight most
        frequent ones have colours of their own.
    directed
        Whether an edge has a direction, as ``is_directed`` of a run says. Edges at lag 0 have none.

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
    colours = {value: shade(ax, colour) for value, colour in colours.items()}
    colour = [colours.get(value, shade(ax, UNGROUPED)) for value in values]
    if colour_by in _GROUPINGS:
        _draw_hulls(ax, places, values, colours)
    lines = np.stack([places[source], places[target]], axis=1)
    _draw_edges(ax, lines, drawn, [colour[row] for row in source], directed=directed)
    _draw_accounts(ax, places, shown, values, colours, colour_by=colour_by)
    ax.set_axis_off()
    ax.set_aspect("equal", anchor="NW")
    add_title(ax, *_tell_finding(linked, drawn, accounts, colour_by=colour_by))
    _name_accounts(ax, places, shown, name=name, n_named=n_named)
    return ax


def draw_network(run: Findings | Path | str, path: Path | str, *, theme: Theme = "light") -> None:
    """Write the network of a run as a PNG of 150 dpi.

    Parameters
    ----------
    run
        A run of detect, share or coact, or its folder.
    path
        The file.
    theme
        light or dark, see `use_theme`.
    """
    from matplotlib.figure import Figure

    run = open_run(run, *RUN.commands)
    with use_theme(theme):
        figure = Figure(figsize=(9, 7), layout="constrained")
        edges, accounts = run.read_network(), run.read("accounts")
        plot_network(figure.subplots(), edges, accounts, directed=run.is_directed)
        save_picture(figure, path)


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


def _draw_hulls(
    ax: "Axes", places: np.ndarray, values: pl.Series, colours: Mapping[str, str]
) -> None:
    from matplotlib.patches import Polygon
    from scipy.spatial import ConvexHull

    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rim = 0.35 * np.column_stack([np.cos(turn), np.sin(turn)])  # accounts lie about 1 apart
    for value, colour in colours.items():
        inside = places[values.eq_missing(value).to_numpy()]
        if len(inside) < 3:
            continue
        around = (inside[:, None] + rim).reshape(-1, 2)
        corners = around[ConvexHull(around).vertices]
        hull = Polygon(corners, facecolor=colour, edgecolor=colour, alpha=0.12, gid="hull")
        hull.set(linewidth=0, zorder=0)
        ax.add_patch(hull)


def _draw_edges(
    ax: "Axes", lines: np.ndarray, drawn: pl.DataFrame, colour: list[str], *, directed: bool
) -> None:
    """Draw edges, the strongest above, with a head in the middle of those that lead."""
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.colors import to_rgba

    order = np.argsort(drawn["weight"].to_numpy(), kind="stable")
    share = _scale_weights(drawn["weight"])[order]
    alpha = np.interp(share, (0, 1), _OPACITIES)
    rgba = [to_rgba(colour[row], float(a)) for row, a in zip(order, alpha, strict=True)]
    crowd = min(1, (_N_WIDE / max(len(lines), 1)) ** 0.5)
    widths = np.interp(share, (0, 1), _WIDTHS) * crowd
    ax.add_collection(
        LineCollection(list(lines[order]), linewidths=widths, colors=rgba, zorder=1, gid="edges")
    )
    leads = (drawn["lag"] > 0).to_numpy()[order] if "lag" in drawn.columns else share >= 0
    if directed and leads.any():
        heads = list(_shape_heads(lines[order], (1 + share) * crowd**0.5)[leads])
        faces = [face for face, has_head in zip(rgba, leads, strict=True) if has_head]
        ax.add_collection(
            PolyCollection(heads, facecolors=faces, linewidths=0, zorder=1, gid="arrows")
        )
    ax.autoscale_view()


def _scale_weights(weight: pl.Series) -> np.ndarray:
    """Return 0 to 1, the largest weight 1."""
    positive = np.maximum(weight.cast(pl.Float64).to_numpy(), 0)
    scaled: np.ndarray = positive / (float(positive.max(initial=0)) or 1.0)
    return scaled


def _shape_heads(lines: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the corners of a triangle on each line, beyond its middle: back and forth are two."""
    start, along = lines[:, 0], lines[:, 1] - lines[:, 0]
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.column_stack([-along[:, 1], along[:, 0]])
    length = _HEAD * float(np.ptp(lines, axis=(0, 1)).max()) * size[:, None]
    tip = start + 0.6 * (lines[:, 1] - start) + along * length / 2
    back = tip - along * length
    return np.stack([tip, back + across * length / 2.4, back - across * length / 2.4], axis=1)


def _draw_accounts(
    ax: "Axes", places: np.ndarray, shown: pl.DataFrame, values: pl.Series,
    colours: Mapping[str, str], *, colour_by: str,
) -> None:  # fmt: skip
    area, crowd = _measure_areas(shown), _find_crowd(shown)
    is_named = values.is_in(list(colours)).fill_null(value=False)
    parts = [
        (name_group(value, colour_by), values.eq_missing(value), colour)
        for value, colour in colours.items()
    ]
    parts.append((f"other or no {colour_by}", ~is_named, shade(ax, UNGROUPED)))
    for label, is_its, colour in parts:
        rows = is_its.to_numpy()
        if not rows.any():
            continue
        marks = ax.scatter(
            places[rows, 0],
            places[rows, 1],
            s=area[rows],
            color=colour,
            linewidths=0.6 * crowd,
            zorder=2,
        )
        label = f"{name_in_legend(label)} ({rows.sum():,})"
        marks.set(edgecolor=shade(ax, "white"), label=label, gid="accounts")
    if shown.height:
        add_legend(ax)


def _find_crowd(shown: pl.DataFrame) -> float:
    """Return by how much points are smaller where they are many."""
    return min(1, _N_LARGE / max(shown.height, 1))


def _measure_areas(shown: pl.DataFrame) -> np.ndarray:
    areas: np.ndarray = np.maximum(
        scale_areas(shown["influence"]) * _find_crowd(shown), _LEAST_AREA
    )
    return areas


def _name_accounts(
    ax: "Axes", places: np.ndarray, shown: pl.DataFrame, *, name: str, n_named: int
) -> None:
    ranked = shown.with_row_index("row").sort(
        "influence", "account_id", descending=[True, False], nulls_last=True
    )
    names = [shorten(text or "?") for text in ranked[name].head(n_named)]
    in_the_way = ranked["row"].head(max(n_named, _N_IN_THE_WAY)).to_numpy()
    name_points(ax, places[in_the_way], names, areas=_measure_areas(shown)[in_the_way])


def _tell_finding(
    linked: pl.DataFrame, drawn: pl.DataFrame, accounts: pl.DataFrame, *, colour_by: str
) -> tuple[str, list[str]]:
    """Return the title, and what is left out."""
    if linked.is_empty():
        return "The network has no edge", []
    ends = _list_ends(linked)
    classes = accounts.join(ends, on="account_id", how="semi")[colour_by].drop_nulls().n_unique()
    joined = "in" if colour_by in _GROUPINGS else "of"
    noun = colour_by.replace("_", " ")
    finding = (
        f"{count(ends.height, 'account')}{f' {joined} {count(classes, noun)}' * (classes > 0)} "
        f"act together{_tell_tier(linked)} ({count(linked.height, 'edge')})"
    )
    if drawn.height == linked.height:
        return finding, []
    n_hidden = ends.height - _list_ends(drawn).height
    hidden = [f"{n_hidden:,} of {ends.height:,} accounts are not drawn"] if n_hidden else []
    return finding, [f"the strongest {drawn.height:,} of {linked.height:,} edges", *hidden]


def _tell_tier(linked: pl.DataFrame) -> str:
    """Return what all edges are beyond, where they were tested."""
    tiers = (
        linked["tier"].cast(pl.String).unique().to_list() if "tier" in linked.columns else [None]
    )
    if None in tiers:
        return ""
    return _TIERS["beyond_news" if tiers == ["beyond_news"] else "beyond_habit"]
