"""Cells of a sweep -> what each choice does to a figure.

A cell is one specification: a row with its settings and its figures. Values of a setting stand in
the order in which the cells have them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gpu_coord.plots.style import (
    COORDINATED,
    OTHERS,
    PALETTE,
    add_title,
    count,
    require_columns,
    shade,
    show_number,
    show_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_CELLS = "sweep.parquet of a sweep"
_MAX_NUMBERED = 150  # squares with their number in them


def plot_sweep(ax: "Axes", cells: pl.DataFrame, *, x: str, y: str, value: str) -> "Axes":
    """Draw a figure over two settings of a sweep as a heat map.

    Shows: a square for each pair of settings, coloured by the figure; where other settings vary
    too, the mean over them.
    Read it: colours that change along one axis alone say that the other setting does not matter;
    a dash is a pair without a value.
    Then: report the figure for the whole range, not for the best square.

    Parameters
    ----------
    ax
        Where to draw.
    cells
        ``sweep.parquet`` of a sweep.
    x, y
        Columns of settings.
    value
        A column of numbers.

    Raises
    ------
    ValueError
        A column is missing, or ``x`` is ``y``.
    """
    require_columns(cells, [x, y, value], source=_CELLS)
    if x == y:
        raise ValueError(f"x and y are both {x!r}; name two settings of the sweep.")
    spelt = cells.select(_spell(cells, x), _spell(cells, y), pl.col(value).cast(pl.Float64))
    columns, rows = (spelt[name].unique(maintain_order=True).to_list() for name in (x, y))
    means = spelt.group_by(x, y).agg(pl.col(value).mean())
    grid = np.full((len(rows), len(columns)), np.nan)
    at = [means[name].replace_strict(order, range(len(order)), return_dtype=pl.Int64).to_numpy()
          for name, order in ((y, rows), (x, columns))]  # fmt: skip
    grid[at[0], at[1]] = means[value].fill_null(float("nan")).to_numpy()
    image = ax.imshow(grid, cmap="cividis", aspect="auto", origin="lower")
    show_ticks(ax.xaxis, columns, fontsize="small")
    show_ticks(ax.yaxis, rows, fontsize="small")
    ax.set(xlabel=_spell_out(x), ylabel=_spell_out(y))
    ax.figure.colorbar(image, ax=ax, label=_spell_out(value))
    if grid.size <= _MAX_NUMBERED:
        _number_squares(ax, image, grid)
    n_each = cells.height / max(means.height, 1)
    each = [f"means over {n_each:g} cells each"] if n_each > 1 else []
    add_title(
        ax, f"{_tell_range(means[value], value)}, by {_spell_out(x)} and {_spell_out(y)}", each
    )
    return ax


def plot_specifications(
    curve: "Axes", choices: "Axes", cells: pl.DataFrame, *, value: str, settings: Sequence[str]
) -> tuple["Axes", "Axes"]:
    """Draw a figure of all cells, sorted, and below it the choices of each.

    Shows: in ``curve`` the figure of every specification, smallest first; in ``choices``, below
    the same places, a tick for each choice that the specification made.
    Read it: a flat curve says that the finding does not hang on the choices. Where the ticks of a
    choice lie all on one side, that choice drives it.
    Then: report the median and the range, and name the choice that matters.

    Parameters
    ----------
    curve, choices
        Where to draw; made with ``sharex=True`` they stay aligned.
    cells
        ``sweep.parquet`` of a sweep.
    value
        A column of numbers; cells without one are left out and counted.
    settings
        Columns of settings; those with one value in all cells are left out.

    Raises
    ------
    ValueError
        A column is missing, or no setting varies.
    """
    require_columns(cells, [value, *settings], source=_CELLS)
    varied = [name for name in settings if cells[name].n_unique() > 1]
    if not varied:
        raise ValueError(f"none of {list(settings)} varies over the {cells.height} cells.")
    known = cells.with_columns(pl.col(value).cast(pl.Float64).fill_nan(None)).drop_nulls(value)
    ranked = known.sort(value, maintain_order=True)
    curve.plot(
        range(ranked.height),
        ranked[value],
        ".",
        color=shade(curve, OTHERS),
        markersize=4,
        gid="curve",
    )
    if ranked.height:
        curve.axhline(
            float(ranked.select(pl.median(value)).item()), color=shade(curve, "0.6"), linewidth=0.8
        )
    curve.set(ylabel=_spell_out(value))
    n_left_out = cells.height - ranked.height
    left_out = [f"{n_left_out:,} without a value are not drawn"] if n_left_out else []
    finding = f"{_tell_range(ranked[value], value)} in {count(ranked.height, 'specification')}"
    add_title(curve, finding, ["grey: median", *left_out])
    _draw_choices(choices, cells, ranked, varied)
    return curve, choices


def plot_inclusion(
    ax: "Axes", accounts: pl.DataFrame, *, share: str = "share", core: float = 0.9
) -> "Axes":
    """Draw in which share of a sweep's cells each account is found.

    Shows: the accounts that any specification finds, sorted by the share of specifications whose
    network includes them; the line is where the robust core ends.
    Read it: a plateau at the top and a steep fall say that the same accounts are found whatever
    the choices; a long slope says that the choices decide who is found.
    Then: make statements about the robust core only, and give the share beside them.

    Parameters
    ----------
    ax
        Where to draw.
    accounts
        ``accounts.parquet`` of a sweep.
    share
        The column with the share of cells, 0 to 1.
    core
        The least share of the robust core.
    """
    require_columns(accounts, [share], source="accounts.parquet of a sweep")
    found = accounts.filter(pl.col(share) > 0)
    ranked = found[share].sort(descending=True)
    n_core = int((ranked >= core).sum())
    rank = np.arange(1, ranked.len() + 1)
    ax.plot(
        rank[n_core:], ranked[n_core:], ".", color=shade(ax, OTHERS), markersize=4, gid="others"
    )
    ax.plot(
        rank[:n_core], ranked[:n_core], ".", color=shade(ax, COORDINATED), markersize=4, gid="core"
    )
    ax.axhline(core, color=shade(ax, "0.6"), linewidth=0.8, linestyle="--")
    ax.set(
        xlabel="accounts, ranked by that share",
        ylabel="share of specifications that find it",
        ylim=(-0.02, 1.05),
    )
    n_never = accounts.height - found.height
    never = [f"{n_never:,} in none are not drawn"] if n_never else []
    found_in = f"{n_core:,} of {count(accounts.height, 'account')} are found"
    add_title(ax, f"{found_in} in at least {core:.0%} of the specifications", never)
    return ax


def _spell_out(name: str) -> str:
    """Return the name of a column in words."""
    words = name.replace("_", " ")
    return f"number of {words[2:]}" if words.startswith("n ") else words


def _tell_range(values: pl.Series, name: str) -> str:
    """Say from where to where a figure goes, and its median."""
    known = values.fill_nan(None).drop_nulls()
    if known.is_empty():
        return f"{_spell_out(name).capitalize()}: unknown"
    least, median, most = (
        show_number(number, 4) for number in np.quantile(known.to_numpy(), (0, 0.5, 1))
    )
    return f"{_spell_out(name).capitalize()}: median {median}, from {least} to {most}"


def _spell(cells: pl.DataFrame, name: str) -> pl.Series:
    values = cells[name]
    if isinstance(values.dtype, pl.List):
        values = values.list.eval(pl.element().cast(pl.String)).list.join("+")
    return values.cast(pl.String).fill_null("none")


def _number_squares(ax: "Axes", image: "AxesImage", grid: np.ndarray) -> None:
    brightness = np.ma.filled(image.norm(np.ma.masked_invalid(grid)), 1.0)
    for (row, column), number in np.ndenumerate(grid):
        said = "–" if np.isnan(number) else show_number(number, 3)
        ax.text(
            column, row, said, ha="center", va="center",
            fontsize="x-small", color="white" if brightness[row, column] < 0.5 else "black",
        )  # fmt: skip


def _draw_choices(
    ax: "Axes", cells: pl.DataFrame, ranked: pl.DataFrame, varied: Sequence[str]
) -> None:
    from matplotlib.ticker import MaxNLocator

    names: list[str] = []
    for place, setting in enumerate(varied):
        spelt = _spell(ranked, setting)
        for choice in _spell(cells, setting).unique(maintain_order=True):
            at = np.flatnonzero((spelt == choice).to_numpy())
            color = shade(ax, PALETTE[place % len(PALETTE)])
            ax.plot(at, np.full(at.size, len(names)), "|", color=color, markersize=6)
            names.append(f"{setting} = {choice}")
    show_ticks(ax.yaxis, names, fontsize="x-small")
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="specifications, ranked by value")
