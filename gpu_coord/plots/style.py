"""Colours, sizes and texts that all pictures share.

Colours are told apart by people who see few of them (Okabe & Ito, Tol), and are those for paper;
on dark Axes each has a twin. Texts come from archives: they are cleaned, shortened, never read as
formulas, and drawn without boxes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from gpu_coord.plots.fonts import choose_fonts, make_drawable

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

COORDINATED, OTHERS, ALL = "#d55e00", "#0072b2", "0.35"
UNGROUPED = "0.75"
PALETTE = ("#56b4e9", "#009e73", "#cc79a7", "#e69f00", "#882255", "#6f5fd0", "#332288", "#5a3a00")
Theme = Literal["light", "dark"]
DPI = 150
_PAPER = {"light": ("white", "0.1"), "dark": ("#16181d", "0.9")}  # and ink
_ON_DARK = {
    "#882255": "#f0e442", "#6f5fd0": "#8f8fff", "#332288": "#ddddff", "#5a3a00": "#a05020",
    "#0072b2": "#4a90d9", "black": "white", "white": "#16181d",
}  # fmt: skip
ROLE_COLOURS = {
    "core": "#d55e00", "catalyst": "#e69f00", "amplifier": "#0072b2", "bridge": "#009e73",
    "booster": "#cc79a7", "none": UNGROUPED,
}  # fmt: skip
_WORDS = {"community": "communities", "copy": "copies"}
_LETTER = 0.55  # the mean width of one, in heights of the font
_AREAS = (14.0, 180.0)  # of points, in square typographic points
_MAX_TEXT = 26  # characters of a name beside a picture


@contextmanager
def use_theme(theme: Theme = "light") -> Iterator[None]:
    """Make figures within the block light or dark, of 150 dpi, with fonts for many scripts.

    The plot functions look at the Axes that they get: on dark ones they take other colours, also
    where these come from another style of matplotlib. Save a picture within the block.

    Parameters
    ----------
    theme
        light, for paper, or dark, for screens.

    Raises
    ------
    ValueError
        There is no such theme.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> with use_theme("dark"):
    ...     Figure().get_facecolor()[:3] == Figure().subplots().get_facecolor()[:3]
    True
    """
    import matplotlib as mpl

    if theme not in _PAPER:
        raise ValueError(f"theme is {theme!r}; choose one of {', '.join(_PAPER)}.")
    paper, ink = _PAPER[theme]
    papers = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    inks = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    colours: dict[Any, Any] = dict.fromkeys(papers, paper) | dict.fromkeys(inks, ink)
    fonts = {"font.family": list(choose_fonts()), "savefig.dpi": DPI}
    with mpl.rc_context(colours | fonts):
        yield


def shade(ax: "Axes", colour: str) -> str:
    """Return a colour, or its twin on dark Axes; greys are turned around."""
    from matplotlib.colors import to_rgb

    if sum(to_rgb(ax.get_facecolor())) > 1.5:
        return colour
    try:
        return f"{0.95 - 0.75 * float(colour):.2f}"
    except ValueError:
        return _ON_DARK.get(colour, colour)


def save_picture(figure: "Figure", path: "Path | str") -> None:
    """Write a figure as a PNG of 150 dpi, the same bytes for the same picture."""
    figure.savefig(path, dpi=DPI, format="png", metadata={"Software": None})


def shorten(text: str) -> str:
    """Return a text as one short line that can be drawn, without control characters."""
    from gpu_coord.ground.terminal import clean

    text = make_drawable(clean(text))
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"


def name_in_legend(text: str) -> str:
    """Return a text that a legend shows: it hides those that begin with an underscore."""
    text = shorten(text)
    return text if text[:1] != "_" else f"\u200a{text}"


def name_group(value: str, column: str) -> str:
    """Return what to call a group: numbers alone say nothing."""
    return f"{column} {value}" if value.isdigit() else value


def scale_areas(values: pl.Series) -> np.ndarray:
    """Return the area of each point: it grows as the square root of what it means."""
    known = values.cast(pl.Float64).fill_null(0).fill_nan(0).to_numpy()
    roots: np.ndarray = np.sqrt(np.maximum(known, 0))
    smallest, largest = _AREAS
    return smallest + (largest - smallest) * roots / float(roots.max(initial=0) or 1.0)


def colour_values(values: pl.Series) -> dict[str, str]:
    """Give the most frequent values a colour each, ties by the value; nulls and the rest have none.

    Parameters
    ----------
    values
        Texts.
    """
    counts = values.drop_nulls().value_counts(name="n")
    frequent = counts.sort("n", values.name, descending=[True, False])[values.name]
    return dict(zip(frequent, PALETTE, strict=False))


def show_plainly(texts: Sequence["Text"]) -> None:
    """Read no text of an archive as a formula, and take fonts that have its signs."""
    for text in texts:
        text.set_parse_math(False)
        text.set_fontfamily(list(choose_fonts()))


def show_ticks(axis: "Axis", names: Sequence[str], *, fontsize: str) -> None:
    """Name the places of an axis, 0 and up, by texts as they stand."""
    from gpu_coord.ground.terminal import clean

    shown = [make_drawable(clean(name)) for name in names]
    axis.set_ticks(range(len(shown)), shown, fontsize=fontsize)
    show_plainly(axis.get_ticklabels())


def show_utc(ax: "Axes") -> None:
    """Label times in UTC, whatever the machine's zone."""
    from datetime import UTC

    from matplotlib import dates

    locator: Any = dates.AutoDateLocator(tz=UTC)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    formatter: Any = dates.ConciseDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_formatter(formatter)


def show_numbers(*axes: "Axis") -> None:
    """Label a logarithmic axis with numbers such as 0.1 and 1,000, not with powers."""
    from matplotlib.ticker import FuncFormatter

    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))


def add_legend(ax: "Axes", handles: "Sequence[Artist] | None" = None) -> None:
    """Draw a legend beside the Axes, where it lies over no data, all its points of one size.

    Parameters
    ----------
    ax
        Where to draw.
    handles
        What it explains; by default all that has a label.
    """
    beside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1), "frameon": False}
    if handles is not None:
        beside["handles"] = list(handles)
    legend = ax.legend(**beside, fontsize="small")
    show_plainly(legend.get_texts())
    for handle in legend.legend_handles:
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set(sizes=[30], edgecolor="none")


def add_title(ax: "Axes", finding: str, notes: Sequence[str] = ()) -> None:
    """Say above the Axes what was found, and in small letters what they do not show.

    Lines are broken where the Axes end.
    """
    from matplotlib.font_manager import FontProperties

    size = FontProperties(size="medium").get_size_in_points()
    small = FontProperties(size="x-small").get_size_in_points()
    note = _break_lines(ax, "; ".join(notes), small)
    room = 4 + 1.6 * small * (note.count("\n") + 1) if note else 6
    title = ax.set_title(_break_lines(ax, finding, size), loc="left", fontsize=size, pad=room)
    below = ax.annotate(
        note, (0, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
        fontsize=small, color=shade(ax, "0.35"), va="bottom", gid="note",
    )  # fmt: skip
    show_plainly([title, below])


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1.

    Examples
    --------
    >>> count(1, "community"), count(1200, "edge")
    ('1 community', '1,200 edges')
    """
    return f"{number:,} {noun if number == 1 else _WORDS.get(noun, f'{noun}s')}"


def show_number(number: float, digits: int) -> str:
    """Return a number with so many significant digits, or all those before the point if more.

    Examples
    --------
    >>> show_number(0.01234, 3), show_number(174.2, 2), show_number(1163, 3)
    ('0.0123', '174', '1,163')
    """
    return f"{number:,.0f}" if abs(number) >= 10 ** (digits - 1) else f"{number:.{digits}g}"


def _break_lines(ax: "Axes", text: str, size: float) -> str:
    width = ax.get_window_extent().width / ax.figure.dpi * 72
    return fill(text, max(int(width / (_LETTER * size)), 20))


def require_columns(table: pl.DataFrame, needed: Sequence[str], *, source: str) -> None:
    """Refuse a table that lacks a column.

    Parameters
    ----------
    table
        What came.
    needed
        The columns that a picture is made of.
    source
        Which table is meant, and what makes it.

    Raises
    ------
    ValueError
        A column is missing.
    """
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise ValueError(
            f"the table has no column {', '.join(missing)}; it has {', '.join(table.columns)}: "
            f"give {source}."
        )
