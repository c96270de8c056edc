"""Colours, sizes and texts that all pictures share.

Colours are told apart by people who see few of them (Okabe & Ito, Tol). Texts come from archives:
they are cleaned, shortened, and never read as formulas.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

COORDINATED, OTHERS, ALL = "#d55e00", "#0072b2", "0.35"
UNGROUPED = "0.75"
PALETTE = ("#56b4e9", "#009e73", "#cc79a7", "#e69f00", "#882255", "#999933", "#332288", "#44aa99")
ROLE_COLOURS = {
    "core": "#d55e00", "catalyst": "#e69f00", "amplifier": "#0072b2", "bridge": "#009e73",
    "booster": "#cc79a7", "none": UNGROUPED,
}  # fmt: skip
_AREAS = (14.0, 180.0)  # of points, in square typographic points
_MAX_TEXT = 26  # characters of a name beside a picture


def shorten(text: str) -> str:
    """Return a text as one short line without control characters."""
    from gpu_coord.ground.terminal import clean

    text = clean(text)
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
    """Keep texts of an archive from being read as formulas."""
    for text in texts:
        text.set_parse_math(False)


def show_utc(ax: "Axes") -> None:
    """Label times in UTC, whatever the machine's zone."""
    from datetime import UTC

    from matplotlib import dates

    locator: Any = dates.AutoDateLocator(tz=UTC)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    formatter: Any = dates.ConciseDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_formatter(formatter)


def add_legend(ax: "Axes") -> None:
    """Draw a legend beside the Axes, all its points of one size."""
    legend = ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize="small")
    show_plainly(legend.get_texts())
    for handle in legend.legend_handles:
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set(sizes=[30], edgecolor="none")


def add_note(ax: "Axes", parts: Sequence[str]) -> None:
    """Say in small letters, in a corner above the Axes, what they do not show."""
    if parts:
        ax.set_title("; ".join(parts), loc="left", fontsize="x-small", color="0.35")


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
