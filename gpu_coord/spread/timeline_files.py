"""A timeline -> files: a picture, a page that needs no network, or the table.

The one idea: what is shown is pseudonymous unless asked for, and no text of an archive reaches a
reader as markup, script or formula.
"""

import json
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from io import StringIO
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import polars as pl

from gpu_coord.ground.escapes import UNSAFE, write_csv
from gpu_coord.ground.folders import replace_file
from gpu_coord.ground.keywords import takes
from gpu_coord.ground.kinds import names_accounts, names_posts
from gpu_coord.ground.parquet import locate, write_parquet
from gpu_coord.ground.policies import write_policy
from gpu_coord.ground.times import count_seconds, describe_seconds, parse_window
from gpu_coord.plots.fonts import make_drawable
from gpu_coord.plots.style import save_picture, show_plainly, use_theme
from gpu_coord.plots.timelines import (
    N_LARGEST,
    measure_shares,
    plot_accounts,
    plot_timeline,
    thin_shares,
)
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.results.forms import RUN
from gpu_coord.spread.platforms import find_hops, write_paths
from gpu_coord.spread.settings import TimelineSettings
from gpu_coord.spread.timeline import DEFAULT_WINDOW, tabulate_timeline
from gpu_coord.store.objects import find_object
from gpu_coord.store.store import Store, name_accounts, open_store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POINTS = 1000
_N_STEPS, _N_LETTERS = 6, 26  # of a path beside a picture, and of a name in it
_IDS = ("account_id", "content_id")


@dataclass(frozen=True, slots=True)
class Timeline:
    """How one object spread, and what to call it."""

    kind: str
    shown: str  # the object; in the place of an account its pseudonym, of a post no id
    table: pl.DataFrame  # from `tabulate_timeline`
    meaning: str  # what makes a share coordinated
    show_ids: bool

    @property
    def summary(self) -> dict[str, Any]:
        """Counts, the first and last time, and how many shares a picture shows as points."""
        first, last = self.table["time"][0], self.table["time"][-1]
        return {
            "kind": self.kind,
            "object": self.shown,
            "n_shares": self.table.height,
            "n_accounts": self.table["n_accounts"][-1],
            "n_coordinated": self.table["n_coordinated"][-1],
            "path": self.path,
            "engagement": self.table["cumulative_engagement"][-1],
            "first": first.isoformat(timespec="milliseconds"),
            "last": last.isoformat(timespec="milliseconds"),
            "n_points": thin_shares(self.table, max_points=MAX_POINTS).size,
        }

    @property
    def path(self) -> str | None:
        """The platforms in the order in which the object appeared on them; null without any."""
        paths = write_paths(self._find_hops())
        return paths["path"][0] if paths.height else None

    def describe_path(self) -> str:
        """Say how long the object took to each platform; nothing where it was on one at most."""
        hops = self._find_hops()
        if hops.height < 2:
            return ""
        steps = hops.group_by("order", "delay", maintain_order=True).agg("platform")
        said = [
            " = ".join(map(_shorten, platforms))
            + f" (after {describe_seconds(delay)})" * (order > 1)
            for order, delay, platforms in steps.head(_N_STEPS).iter_rows()
        ]
        more = [f"{steps.height - _N_STEPS:,} more"] if steps.height > _N_STEPS else []
        return f"Path: {' > '.join(said + more)}."

    def _find_hops(self) -> pl.DataFrame:
        shares = self.table.select(
            "platform", time=pl.col("time").dt.epoch("ms"), account="account_id", object=pl.lit(0)
        )
        return find_hops(shares)


@takes(TimelineSettings)
def write_timeline(
    store: Store | Path | str,
    value: str,
    out: Path | str,
    *,
    run: Findings | Path | str | None = None,
    show_ids: bool = False,
    **choices: Any,
) -> Timeline:
    """Find an object, tabulate its shares, and write them in the form that the suffix names.

    Parameters
    ----------
    store
        A store, or its folder.
    value
        The object, see `find_object`.
    out
        A file: ``.png`` and ``.svg`` (picture), ``.html`` (a page that needs no network),
        ``.parquet`` and ``.csv`` (the table), ``.json`` (for TimelineJS 3). Replaced once the new
        one is complete.
    run
        A run on that store and kind, see `tabulate_timeline`.
    show_ids
        Show account and content ids; otherwise accounts by pseudonym. Parquet has both.

    Raises
    ------
    ValueError
        The suffix is another, the file lies in the store or the run, or see the functions above.
    """
    settings = TimelineSettings(**choices)
    store = open_store(store)
    findings = None if run is None else open_run(run, *RUN.commands)
    path = Path(out)
    _check_out(path, store, findings)
    kind, value = find_object(store, value, kind=settings.kind)
    timeline = Timeline(
        kind=kind,
        shown=_show_object(store, kind, value, show_ids=show_ids),
        table=tabulate_timeline(store, value, run=findings, **choices | {"kind": kind}),
        meaning=_describe_coordination(findings, settings.window),
        show_ids=show_ids,
    )
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as aside:
        _WRITERS[path.suffix.lower()](timeline, aside)
    return timeline


def _check_out(path: Path, store: Store, findings: Findings | None) -> None:
    if path.suffix.lower() not in _WRITERS:
        raise ValueError(
            f"{path.name} does not end in a form that can be written; name a file that ends in "
            f"{', '.join(_WRITERS)}."
        )
    for folder in (store.path, *([findings.path] if findings else [])):
        if path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"{path} lies in {folder}, which is kept as it was made; write it elsewhere."
            )


def _show_object(store: Store, kind: str, value: str, *, show_ids: bool) -> str:
    if show_ids or not (names_accounts(kind) or names_posts(kind)):
        return value
    return name_accounts(pl.Series([value]), store).item() if names_accounts(kind) else "a post"


def _describe_coordination(findings: Findings | None, window: str | None) -> str:
    if findings is None:
        seconds = count_seconds(parse_window(window or DEFAULT_WINDOW))
        return f"Coordinated: within {seconds:,} s of another account’s share of it."
    if findings.command == "share":
        mode = findings.content["settings"]["mode"]
        return (
            f"Coordinated: within {findings.content['window_seconds']:,g} s of another account’s "
            f"share of it, as the run pairs them ({mode})."
        )
    n_left_out = findings.content["evidence"]["n_coincidences_left_out"]
    left_out = f"; {n_left_out:,} coincidences were left out of it" if n_left_out else ""
    return (
        "Coordinated: in a coincidence with another account that the run keeps as evidence"
        f"{left_out}."
    )


# --- the forms --------------------------------------------------------------------------------


def _write_csv(timeline: Timeline, path: Path) -> None:
    """Write the table for spreadsheets: no text of it is a formula, or hides what it is."""
    table = timeline.table if timeline.show_ids else timeline.table.drop(_IDS)
    path.write_text(write_csv(table), encoding="utf-8")


def _write_timelinejs(timeline: Timeline, path: Path) -> None:
    """Write what TimelineJS 3 reads; it takes texts for HTML, so they are escaped."""
    drawn = timeline.table[thin_shares(timeline.table, max_points=MAX_POINTS)]
    said = (*_describe_spread(timeline), _describe_notes(timeline))
    title = {"headline": escape(_show(timeline.shown)), "text": escape(" ".join(said))}
    events = [
        _describe_event(row, says)
        for row, says in zip(drawn.to_dicts(), _describe_shares(timeline, drawn), strict=True)
    ]
    content = {"title": {"text": title}, "events": events, "scale": "human"}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _describe_event(row: dict[str, Any], says: str) -> dict[str, Any]:
    time = row["time"]
    units = ("year", "month", "day", "hour", "minute", "second")
    start = {unit: getattr(time, unit) for unit in units}
    headline, _, text = says.partition(" · ")
    return {
        "unique_id": f"share-{row['n_shares']}",
        "start_date": {**start, "millisecond": time.microsecond // 1000},
        "text": {"headline": escape(headline), "text": escape(text)},
        "group": escape(_show(row["group"] or row["label"] or row["platform"] or "shares")),
    }


def _write_picture(timeline: Timeline, path: Path) -> None:
    save_picture(draw_timeline(timeline), path)


def _write_svg(timeline: Timeline, path: Path) -> None:
    with _keep_text():
        figure = draw_timeline(timeline)
    path.write_text(_render_svg(figure, timeline), encoding="utf-8")


def _write_page(timeline: Timeline, path: Path) -> None:
    with _keep_text():
        figure = draw_timeline(timeline, has_text=False)
    picture = _render_svg(figure, timeline)
    template = files("gpu_coord.spread").joinpath("timeline.html").read_text(encoding="utf-8")
    page = Template(template).substitute(
        policy=write_policy([], re.findall("(?s)<script>(.*?)</script>", template)),
        title=escape(_show(f"{timeline.kind} {timeline.shown}")),
        counts=escape(" ".join(_describe_spread(timeline))),
        series="\n".join(_list_boxes(figure)),
        picture=picture[picture.index("<svg") :],
        notes=escape(_describe_notes(timeline)),
    )
    path.write_text(page, encoding="utf-8")


_WRITERS: dict[str, Callable[[Timeline, Path], None]] = {
    ".png": _write_picture,
    ".svg": _write_svg,
    ".html": _write_page,
    ".parquet": lambda timeline, path: write_parquet(timeline.table, locate(path)),
    ".csv": _write_csv,
    ".json": _write_timelinejs,
}


@contextmanager
def _keep_text() -> Iterator[None]:
    """Let text stay text: readers of an SVG have fonts for every script."""
    import matplotlib as mpl

    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "gpu_coord"}
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def draw_timeline(timeline: Timeline, *, has_text: bool = True) -> "Figure":
    """Draw the running counts, and below them the accounts.

    Parameters
    ----------
    timeline
        From `write_timeline`.
    has_text
        With a title above, and below what the words mean.
    """
    from matplotlib.figure import Figure

    n_rows = min(timeline.table["n_accounts"][-1], 31)
    heights = (3.6, 0.5 + 0.14 * n_rows)
    with use_theme():
        figure = Figure(figsize=(10, 0.8 + sum(heights)), layout="constrained")
        steps, rows = figure.subplots(2, sharex=True, height_ratios=heights)
        plot_timeline(steps, timeline.table, max_points=MAX_POINTS).set_xlabel("")
        steps.set_title("", loc="left")  # the texts say it
        plot_accounts(rows, timeline.table, name="account_id" if timeline.show_ids else "pseudonym")
        if has_text:
            _write_texts(figure, timeline)
    return figure


def _write_texts(figure: "Figure", timeline: Timeline) -> None:
    from gpu_coord.ground.terminal import clean

    named = make_drawable(clean(f"{timeline.kind} {timeline.shown}"))
    lines = (named, *_describe_spread(timeline))
    title = figure.suptitle("\n".join(lines), fontsize="medium", x=0.01, ha="left")
    notes = "\n".join(re.split(r"(?<=\.) ", _describe_notes(timeline)))
    below = figure.supxlabel(notes, fontsize="x-small", color="0.35", x=0.01, ha="left")
    show_plainly([title, below])


def _render_svg(figure: "Figure", timeline: Timeline) -> str:
    """Return a picture as SVG in which each point tells, when pointed at, what it stands for."""
    text = StringIO()
    with _keep_text():
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=nothing)
    said = _describe_shares(timeline, timeline.table)

    def tell(link: re.Match[str]) -> str:
        return f'<g class="share"><title>{escape(said[int(link[1])])}</title>'

    # The links are the plot's own marks of its points; texts in an SVG have no bare "<".
    picture = re.sub(r'<a xlink:href="#share-(\d+)"[^>]*>', tell, text.getvalue())
    return picture.replace("</a>", "</g>")


def _list_boxes(figure: "Figure") -> list[str]:
    """Return a box to tick for each series of a figure that has a name."""
    steps, _ = figure.axes
    series = [(part.get_gid(), str(part.get_label())) for part in steps.get_children()]
    series += [
        ("ticks-coordinated", "accounts: coordinated"),
        ("ticks-other", "accounts: not coordinated"),
    ]
    return [
        f'<label><input type="checkbox" checked data-series="{escape(gid)}"> '
        f"{escape(label)}</label>"
        for gid, label in series
        if gid and gid.startswith(("series-", "points-", "ticks-"))
    ]


def _describe_spread(timeline: Timeline) -> list[str]:
    """Return a sentence of counts and, where there are several platforms, one of the path."""
    summary = timeline.summary
    counts = (
        f"{_count(summary['n_shares'], 'share')} by {_count(summary['n_accounts'], 'account')}, "
        f"{summary['n_coordinated']:,} coordinated."
    )
    path = timeline.describe_path()
    return [counts, path] if path else [counts]


def _shorten(name: str) -> str:
    shown = _show(name)
    return shown if len(shown) <= _N_LETTERS else f"{shown[: _N_LETTERS - 1]}…"


def _describe_notes(timeline: Timeline) -> str:
    said = [timeline.meaning]
    meaning, _ = measure_shares(timeline.table)
    rims = "Points with a dark rim: coordinated"
    said.append(f"{rims}; size of points: {meaning}." if meaning else f"{rims}.")
    n_shares, n_points = timeline.table.height, timeline.summary["n_points"]
    if n_points < n_shares:
        largest = f"the last and the {N_LARGEST} largest" if meaning else "and the last"
        said.append(
            f"{n_points:,} of {n_shares:,} shares are points: one in {-(-n_shares // MAX_POINTS)}, "
            f"{largest}; lines count all."
        )
    said.append("Sharing at about the same time is no proof of a common plan.")
    return " ".join(said)


def _describe_shares(timeline: Timeline, shares: pl.DataFrame) -> list[str]:
    """Return one line for each share: time, account and what is known of it."""
    ids = _IDS if timeline.show_ids else ("pseudonym",)
    known = [
        pl.col("time").dt.strftime("%Y-%m-%d %H:%M:%S%.3f UTC"),
        *(pl.col(name) for name in ids),
        pl.col("label", "platform", "group"),
        pl.when("coordinated").then(pl.lit("coordinated")),
        pl.format("followers {}", "follower_count"),
        pl.format("engagement {}", "engagement"),
        pl.format("share {} of {}", "n_shares", pl.lit(timeline.table.height)),
    ]
    line = pl.concat_str(known, separator=" · ", ignore_nulls=True)
    return shares.select(line.str.replace_all(UNSAFE, "\ufffd")).to_series().to_list()


def _show(text: str) -> str:
    """Return a text in full, as one line without what a reader would obey."""
    return re.sub(r"\s", " ", pl.Series([text]).str.replace_all(UNSAFE, "\ufffd").item())


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
