"""A scene -> widgets in JupyterLab that select accounts in each other.

The one idea: what is selected is a set of accounts, and what is looked at is that set or a pair.
Each view tells what people do in it, and is told what to show, through the kernel's connection.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ipywidgets
import jscatter
import numpy as np
import polars as pl
from itables.widget import ITable
from jscatter.annotations import Line
from matplotlib.colors import to_rgb

from gpu_coord.ground.cards import write_lines
from gpu_coord.plots import PALETTE
from gpu_coord.reports.meetings import read_meetings_within
from gpu_coord.reports.scenes import TIME, UNGROUPED, Scene, clean_column
from gpu_coord.reports.words import list_cautions
from gpu_coord.results.evidence import find_pair
from gpu_coord.results.sentences import (
    TIERS,
    describe_edges,
    describe_finding,
    describe_tests,
)
from gpu_coord.results.strongest import find_account, list_strongest

_N_ROWS = 1_000  # of tables
_N_NAMED = 8  # of the accounts selected
_HEIGHT, _LOW, _WIDE = 420, 260, 4.0  # pixels of the network and the timeline; the form of that
_COLOURS = {str(place): colour for place, colour in enumerate(PALETTE)} | {UNGROUPED: "#bfbfbf"}
_SIZES = (1, 12)  # of points, in pixels
_MARGIN = 0.55  # half the side of the picture, as a share of what is in it
_LINE = "#777777"
_LIT = "#222222"  # edges among the accounts selected
_CELLS: dict[str, Any] = {  # for each table and each update, as users have settings of their own
    "allow_html": False, "maxBytes": 0, "maxRows": 0, "show_dtypes": False, "scrollX": True,
    "pageLength": 8, "lengthMenu": [8, 20, 100], "style": "width:100%;margin:0",
}  # fmt: skip
_NETWORK = "Network, coloured by community."
_TIMELINE = (
    "Acts in meetings: a row for each account. The axis is in your time zone; points say UTC."
)
_BUTTONS = ["pan_zoom", "lasso", "full_screen", "reset"]
_PAIRS = {
    "a": "A", "b": "B", "tier": "tier", "lag": "lag", "weight": "weight", "n_objects": "objects",
    "median_gap": "gap, s", "observed": "hours", "expected": "expected", "q_value": "q of news",
    "q_habit": "q of habit",
}  # fmt: skip
_EVIDENCE = {
    "time": "time, UTC", "a": "first", "b": "second", "gap": "s apart", "kind": "kind",
    "value": "object",
}  # fmt: skip
_STYLE: dict[str, Any] = {
    "color_by": "hue", "color_map": _COLOURS, "tooltip": True,
    "tooltip_histograms": False,
}  # fmt: skip


class Explorer:
    """A run in JupyterLab; as the last line of a cell it shows itself.

    Attributes
    ----------
    network, timeline
        Scatter plots of jupyter-scatter; None where there is nothing to draw.
    pairs, evidence
        Tables of itables.
    search, group, clear
        Controls of ipywidgets.
    widget
        All of them together.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._owners, self._actors = (
            each["place"].to_numpy() for each in (scene.points, scene.acts)
        )
        self._is_first = scene.points["is_first"].to_numpy()
        self._groups = list_strongest(scene.run, "groups", show_ids=True)
        self._ids: pl.Series = scene.accounts["account_id"].clear()
        self._listed, self._is_told = pl.DataFrame(), False
        self._timed = np.arange(scene.accounts.height)  # the accounts that have rows
        self.network: Any = _draw_network(scene) if self._owners.size else None
        self.timeline: Any = _draw_timeline(scene) if self._actors.size else None
        self.pairs, self.evidence = _make_table(select="single"), _make_table()
        self.search = ipywidgets.Text(
            description="Find", placeholder="account", continuous_update=False
        )
        self.group = ipywidgets.Dropdown(description="Group", options=_list_groups(self._groups))
        self.clear = ipywidgets.Button(description="Select none")
        self._said = {each: ipywidgets.HTML() for each in ("selected", "pairs", "evidence")}
        self.widget = self._arrange()
        self._select(self._ids)
        self._listen()

    @property
    def selected(self) -> list[str]:
        """The accounts selected, by the names that are shown."""
        column = "account_id" if self._scene.show_ids else "pseudonym"
        accounts = self._scene.run.read("accounts", ["account_id", "pseudonym"])
        return accounts.filter(pl.col("account_id").is_in(self._ids.implode()))[column].to_list()

    def select(self, *accounts: str) -> None:
        """Select accounts in all views; none of them shows all.

        Parameters
        ----------
        accounts
            By their ids or their pseudonyms.

        Raises
        ------
        ValueError
            There is no such account.
        """
        found = [find_account(self._scene.run, each)["account_id"] for each in accounts]
        self._select(pl.concat([self._ids.clear(), *found]))

    def _repr_mimebundle_(self, **choices: Any) -> Any:
        self._join_points(when=False)
        return self.widget._repr_mimebundle_(**choices)

    def _join_points(self, *, when: bool) -> None:
        """Draw the lines, once a view is there: where accounts are selected before, none come."""
        if self.network is not None and self._scene.has_lines:
            self.network.widget.connect = when

    # --- what people do ------------------------------------------------------------------------

    def _listen(self) -> None:
        for plot, owners in ((self.network, self._owners), (self.timeline, self._actors)):
            if plot is not None:
                plot.widget.observe(self._heed(self._read_points(owners)), "selection")
        if self.network is not None:  # each view has an id of its own
            made = "dom_element_id"
            self.network.widget.observe(lambda change: self._join_points(when=True), made)
        self.pairs.observe(self._heed(self._show_row), "selected_rows")
        self.search.observe(self._heed(self._find), "value")
        self.group.observe(self._heed(self._select_group), "value")
        self.clear.on_click(lambda _: self._select(self._ids.clear()))

    def _heed(self, act: Callable[[Any], None]) -> Callable[[Any], None]:
        """Do something with a new value, unless it is our own doing."""
        return lambda change: None if self._is_told else act(change["new"])

    def _read_points(self, owners: np.ndarray) -> Callable[[Any], None]:
        """Return what selects the accounts of points."""
        ids = self._scene.accounts["account_id"]
        return lambda points: self._select(ids[np.unique(owners[np.asarray(points, dtype=int)])])

    def _show_row(self, rows: list[int]) -> None:
        """Look at the pair of a row; the accounts selected stay what they were."""
        if not rows:
            self._show(self._ids)
            return
        a, b = self._listed.row(rows[0])[:2]
        self._show(find_pair(self._scene.run, a, b)["account_id"])

    def _find(self, text: str) -> None:
        """Select the account of a name, or all whose names have the text in them."""
        accounts = self._scene.accounts
        matches = accounts.filter(pl.col("account") == text)
        if matches.is_empty():
            matches = accounts.filter(pl.col("account").str.contains(text, literal=True))
        self._select(matches["account_id"].clear() if not text else matches["account_id"])
        if matches.is_empty():
            said = f"No account of the network has {text} in its name."
            self._said["selected"].value = write_lines(said)

    def _select_group(self, place: int | None) -> None:
        members = [] if place is None else self._groups["members"][place]
        self._select(pl.Series(members, dtype=pl.String))

    # --- what views are told -------------------------------------------------------------------

    @contextmanager
    def _telling(self) -> Iterator[None]:
        self._is_told = True
        try:
            yield
        finally:
            self._is_told = False

    def _select(self, ids: pl.Series) -> None:
        self._ids = ids.unique().sort()
        self._listed = self._list_pairs()
        shown = _shape(self._listed, _PAIRS)
        with self._telling():
            self.pairs.update(shown, selected_rows=[], **_CELLS)
        self._said["pairs"].value = write_lines(_describe_pairs(self._listed.height, len(ids)))
        self._show(self._ids)

    def _list_pairs(self) -> pl.DataFrame:
        run, show_ids, ids = self._scene.run, self._scene.show_ids, self._ids
        chosen: dict[str, Any] = {"account": ids[0]} if len(ids) == 1 else {}
        chosen |= {"members": ids.to_list()} if len(ids) > 1 else {}
        return list_strongest(run, "edges", show_ids=show_ids, n_rows=_N_ROWS, **chosen)

    def _show(self, ids: pl.Series) -> None:
        """Show accounts, those selected or those of a pair, in all views but the pairs."""
        rows = self._scene.find(ids)
        with self._telling():
            if self.network is not None:
                points = np.flatnonzero(self._is_first & np.isin(self._owners, rows))
                self.network.widget.selection = points.astype(np.uint32)
                self.network.annotations(_light(self._scene.join(rows) if rows.size else []))
            if self.timeline is not None:
                self._show_acts(rows if len(ids) else None)
        self._show_meetings(ids)
        self._said["selected"].value = write_lines(self._describe_selected(ids, len(rows)))

    def _show_acts(self, rows: np.ndarray | None) -> None:
        """Give the accounts shown a row each in the timeline, and hide the acts of others."""
        shown = np.arange(self._scene.accounts.height) if rows is None else rows
        if not np.array_equal(shown, self._timed):
            heights = self._scene.place_acts(shown)
            self.timeline.y(heights, scale=(0, max(len(shown), 1)), animate=False)
        # Whoever draws the same lasso again selects again.
        self.timeline.widget.selection = np.empty(0, np.uint32)
        acts = None if rows is None else np.flatnonzero(np.isin(self._actors, rows))
        self.timeline.widget.filter = None if acts is None else acts.astype(np.uint32)
        self._timed = shown

    def _show_meetings(self, ids: pl.Series) -> None:
        scene = self._scene
        found = read_meetings_within(scene.run, ids, show_ids=scene.show_ids, texts=None)
        time = pl.col("time").dt.strftime(TIME)
        shown = found.sort("time", "a", "b").head(_N_ROWS).with_columns(time)
        self.evidence.update(_shape(shown, _EVIDENCE), **_CELLS)
        self.evidence.layout.display = None if found.height else "none"
        self._said["evidence"].value = write_lines(_describe_meetings(found.height, len(ids)))

    def _describe_selected(self, ids: pl.Series, n_drawn: int) -> str:
        n_all = self._scene.accounts.height
        if ids.is_empty():
            return f"All {n_all:,} accounts; a click, or the lasso, selects some of them."
        names = self._scene.accounts.filter(pl.col("account_id").is_in(ids.implode()))["account"]
        more = " …" if len(names) > _N_NAMED else ""
        noun = "account" if len(ids) == 1 else "accounts"
        said = f"{len(ids):,} {noun} selected, {n_drawn:,} of the {n_all:,} in the network"
        return f"{said}: {', '.join(names.head(_N_NAMED))}{more}" if n_drawn else f"{said}."

    def _arrange(self) -> Any:
        scene, said = self._scene, self._said
        how_sure = [describe_finding(scene.run), describe_tests(scene.run), scene.said]
        caution = [*list_cautions(scene.run), describe_edges(scene.run)]
        controls = [self.search, self.group, self.clear]
        return ipywidgets.VBox(
            [
                ipywidgets.HTML(write_lines(*how_sure)),
                ipywidgets.HBox(controls),
                said["selected"],
                _put_beside(
                    _put_under(_NETWORK, self.network),
                    ipywidgets.VBox([said["pairs"], self.pairs]),
                ),
                _put_under(_TIMELINE, self.timeline),
                said["evidence"],
                self.evidence,
                ipywidgets.HTML(write_lines(*caution)),
            ]
        )


# --- the views -----------------------------------------------------------------------------------


def _draw_network(scene: Scene) -> Any:
    accounts = (
        scene.accounts.drop("account_id")
        .with_row_index("place")
        .with_columns(
            size=(pl.col("edges") / pl.col("edges").max()).sqrt(),
            x=scene.places[:, 0],
            y=scene.places[:, 1],
        )
    )
    points = scene.points.join(accounts, on="place", maintain_order="left").with_columns(
        size=pl.when("is_first").then("size").otherwise(0.0)
    )
    x, y = _frame_square(scene.places)
    plot = jscatter.Scatter(
        data=points.to_pandas(), x="x", y="y", x_scale=x, y_scale=y, axes=False, height=_HEIGHT,
        size_by="size", size_map=_SIZES, opacity=1, opacity_by=None, opacity_unselected=0.3,
        tooltip_properties=["account", "community", "edges", "posts"], **_STYLE,
    )  # fmt: skip
    return _draw_lines(plot, points) if scene.has_lines else plot


def _draw_lines(plot: Any, points: pl.DataFrame) -> Any:
    opacity = float(np.clip(12 / np.sqrt(points.height), 0.05, 0.4))  # many lie over each other
    plot.connect(by=points["walk"].to_numpy(), straight=True)
    plot.connection_color(default=_LINE).connection_size(1).connection_opacity(opacity)
    # A line is of many edges, so that none lights up; what is selected is drawn over it.
    dark = {"pointConnectionTolerance": 1, "pointConnectionOpacityActive": opacity}
    return plot.options(regl_scatterplot_options=dark)


def _light(lines: list[np.ndarray]) -> list[Line]:
    """Return lines over those of the network, the paler the more there are."""
    n_ends = sum(map(len, lines))
    colour = (*to_rgb(_LIT), float(np.clip(20 / max(n_ends, 1) ** 0.5, 0.25, 1)))
    return [Line(line.tolist(), line_color=colour) for line in lines]


def _frame_square(places: np.ndarray) -> list[tuple[float, float]]:
    """Return where the square around all places begins and ends, on either axis."""
    low, high = places.min(axis=0), places.max(axis=0)
    half = float((high - low).max()) * _MARGIN or 1.0
    return [(middle - half, middle + half) for middle in ((low + high) / 2).tolist()]


def _draw_timeline(scene: Scene) -> Any:
    heights = scene.place_acts(np.arange(scene.accounts.height))
    plot = jscatter.Scatter(
        data=scene.acts.with_columns(height=heights).to_pandas(), x="moment", x_scale="time",
        y="height", y_scale=(0, scene.accounts.height), size=4, opacity=0.8, opacity_by=None,
        height=_LOW,
        tooltip_properties=["account", "community", "time", "kind", "object"], **_STYLE,
    )  # fmt: skip
    plot.options(regl_scatterplot_options={"aspectRatio": _WIDE})
    return plot


def _make_table(**choices: Any) -> Any:
    """Return an empty table; its cells are text, whatever settings the user has."""
    return ITable(pl.DataFrame(), **_CELLS, **choices)


def _shape(table: pl.DataFrame, heads: dict[str, str]) -> pl.DataFrame:
    """Return the columns that a table has, but those that are empty, under their heads."""
    known = [name for name in heads if name in table.columns and table[name].count()]
    shown = table.select(known).with_columns(
        clean_column(pl.col(pl.String)), pl.col(pl.Float64).round_sig_figs(4)
    )
    return shown.rename({name: heads[name] for name in known})


def _put_under(title: str, plot: Any) -> Any:
    said = ipywidgets.HTML(write_lines(title))
    return ipywidgets.VBox([said, plot.show(buttons=_BUTTONS)] if plot is not None else [said])


def _put_beside(*parts: Any) -> Any:
    columns = "minmax(0, 1fr) minmax(0, 1fr)"
    return ipywidgets.GridBox(
        parts, layout=ipywidgets.Layout(grid_template_columns=columns, grid_gap="12px")
    )


# --- what is said --------------------------------------------------------------------------------


def _list_groups(groups: pl.DataFrame) -> list[tuple[str, int | None]]:
    tiers = [TIERS[str(t)] for t in groups["tier"]] if "tier" in groups.columns else None
    noun = "Group" if tiers else "Community"
    return [
        ("–", None),
        *(
            (f"{noun} {group}: {size:,} accounts" + (f", {tiers[place]}" if tiers else ""), place)
            for place, (group, size) in enumerate(groups.select("group", "size").iter_rows())
        ),
    ]


def _describe_pairs(n_listed: int, n_selected: int) -> str:
    of = {0: "Pairs", 1: "Pairs of this account"}.get(n_selected, "Pairs among these accounts")
    first = f", the {n_listed:,} strongest" if n_listed == _N_ROWS else f": {n_listed:,}"
    return f"{of}{first}. A click on a row shows what is behind it."


def _describe_meetings(n_found: int, n_shown: int) -> str:
    if not n_shown:
        return "Evidence: select accounts or a pair."
    of = "of this account" if n_shown == 1 else "among these accounts"
    more = f"; the first {_N_ROWS:,} are listed" if n_found > _N_ROWS else ""
    return f"Evidence: {n_found:,} meetings {of}{more}."
