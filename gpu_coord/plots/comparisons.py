"""Methods beside one another: how well each ranks the accounts of archives."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gpu_coord.plots.fonts import FALLBACK
from gpu_coord.plots.style import (
    COORDINATED,
    PALETTE,
    add_legend,
    add_title,
    count,
    name_in_legend,
    require_columns,
    shade,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OWN = "gpu-coord"


def plot_methods(ax: "Axes", methods: pl.DataFrame, ranks: pl.DataFrame) -> "Axes":
    """Draw the AUC of each method's ranking of accounts.

    Shows: a row for each method, the best mean rank at the top, this package's in bold; a point for
    each archive, with its 95 % interval.
    Read it: 0.5 is what chance gives; left of it a method puts the operation last. A method whose
    points lie far apart depends on the archive.
    Then: read average precision and the accounts to be read in the table, and look at the pairs of
    the method that you choose.

    Parameters
    ----------
    ax
        Where to draw.
    methods, ranks
        ``methods.parquet`` and ``ranks.parquet`` of a comparison.
    """
    require_columns(methods, ["archive", "auc", "auc_low"], source="methods.parquet of compare")
    order = ranks.filter(ranked="accounts")
    names = order["method"].to_list()
    archives = methods["archive"].unique(maintain_order=True).to_list()
    shown = methods.filter(pl.col("auc").is_not_null(), ranked="accounts")
    colours = PALETTE if len(archives) > 1 else (COORDINATED,)
    for number, archive in enumerate(archives):
        part = shown.filter(archive=archive)
        offset = (number - (len(archives) - 1) / 2) * 0.6 / max(len(archives), 1)
        place = np.array([len(names) - 1 - names.index(name) for name in part["method"]])
        auc = part["auc"].to_numpy()
        ends = [part[name].fill_null(part["auc"]).to_numpy() for name in ("auc_low", "auc_high")]
        ax.errorbar(
            auc, place - offset,
            xerr=[np.maximum(auc - ends[0], 0), np.maximum(ends[1] - auc, 0)],
            fmt="o", markersize=4, linewidth=1, color=shade(ax, colours[number % len(colours)]),
            label=name_in_legend(archive),
        )  # fmt: skip
    ax.axvline(0.5, color=shade(ax, "black"), linewidth=0.8, linestyle="--")
    ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in reversed(names)])
    own = order["source"].to_list()
    for label, source in zip(ax.get_yticklabels(), reversed(own), strict=True):
        # Few of the other fonts have bold letters.
        label.set(fontfamily=FALLBACK, fontweight="bold" if source == _OWN else "normal")
    ax.set(
        xlabel="AUC: chance that an account of the operation outranks another (0.5: at random)",
        xlim=(0, 1.02),
    )
    if len(archives) > 1:
        add_legend(ax)
    finding = f"{_tell_best(order)}, by the mean rank in {count(len(archives), 'archive')}"
    add_title(ax, finding, ["bold: methods of this package"])
    return ax


def _tell_best(order: pl.DataFrame) -> str:
    """Say which methods have the best mean rank; several may share it."""
    if order.is_empty():
        return "No method ranks accounts"
    tied = order.filter(pl.col("mean_rank_auc") == order["mean_rank_auc"].min())["method"]
    first = repr(tied[0].replace("_", " "))
    if tied.len() == 1:
        return f"{first} ranks accounts best"
    return f"{first} and {count(tied.len() - 1, 'other')} rank accounts best"
