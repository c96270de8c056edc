"""What chance explains: p-values of data and copies, lags, and edges beside their expectation."""

from typing import TYPE_CHECKING, Any

import polars as pl

from gpu_coord.plots.style import ALL, COORDINATED, OTHERS, PALETTE, add_note, require_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_quantiles(ax: "Axes", quantiles: pl.DataFrame) -> "Axes":
    """Draw the p-values of data and copies against evenly spread ones.

    Shows: sorted p-values of all ordered pairs, as -log10 p, against those that chance would give
    (dashed); the data in colour, copies whose accounts' days were permuted in grey.
    Read it: grey lines on or below the dashed one say that the tests hold on these data; above it
    p-values are too small. Where the coloured line leaves the grey ones, pairs coincide on days
    that they need not share.
    Then: if grey lies above, use a stricter null, or no p-values of pairs at all.

    Parameters
    ----------
    ax
        Where to draw.
    quantiles
        ``quantiles.parquet`` of a calibration.
    """
    require_columns(
        quantiles, ["copy", "expected", "observed"], source="quantiles.parquet of calibrate"
    )
    copies, data = quantiles.drop_nulls("copy"), quantiles.filter(pl.col("copy").is_null())
    last = quantiles["expected"].max()
    top = 1.05 * last if isinstance(last, float) else 1.0
    for _, copy in copies.group_by("copy", maintain_order=True):
        ax.plot(copy["expected"], copy["observed"], color="0.6", linewidth=0.8, gid="copy")
    ax.plot([0, top], [0, top], color="black", linewidth=0.8, linestyle="--")
    shown = data["observed"].clip(upper_bound=1.5 * top)
    ax.plot(data["expected"], shown, color=COORDINATED, gid="data")
    ax.set(
        xlabel="expected if nothing but chance were at work, $-\\log_{10} p$",
        ylabel="observed, $-\\log_{10} p$", xlim=(0, top), ylim=(0, 1.5 * top),
    )  # fmt: skip
    _label_quantiles(ax, copies["copy"].n_unique(), is_cut=bool((data["observed"] > shown).any()))
    return ax


def plot_lags(ax: "Axes", curves: pl.DataFrame, *, bin: str = "") -> "Axes":
    """Draw at which lags accounts coincide more often than the null expects.

    Shows: observed over expected coincidences at each lag, of all pairs and of the accounts of
    each confirmed group; grey is where copies with permuted days lie.
    Read it: where a line leaves the band, accounts act together at that lag. A peak is a habit of
    copying; a slow decline is news that everybody hears of.
    Then: choose ``lags`` by the peak, and look at the groups whose line leaves that of all.

    Parameters
    ----------
    ax
        Where to draw.
    curves
        ``lags.parquet`` of a run of detect.
    bin
        The width of a bin, for the name of the axis.
    """
    require_columns(
        curves, ["group", "lag", "ratio", "low", "high"], source="lags.parquet of detect"
    )
    everyone = curves.filter(pl.col("group").is_null())
    if everyone["low"].drop_nulls().len():
        ax.fill_between(
            everyone["lag"], everyone["low"].to_numpy(), everyone["high"].to_numpy(),
            color="0.85", label="all accounts, days permuted",
        )  # fmt: skip
    ax.plot(everyone["lag"], everyone["ratio"], color=ALL, label="all accounts")
    groups = curves.drop_nulls("group").partition_by("group", maintain_order=True)
    for part, color in zip(groups, PALETTE, strict=False):
        ax.plot(part["lag"], part["ratio"], color=color, label=f"group {part['group'][0]}")
    n_left_out = len(groups) - len(PALETTE)
    add_note(ax, [f"{n_left_out:,} more groups are not drawn"] if n_left_out > 0 else [])
    ax.axhline(1, color="black", linewidth=0.8, linestyle="--")
    unit = f" of {bin}" if bin else ""
    ax.set(xlabel=f"lag (bins{unit})", ylabel="observed / expected coincidences")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_support(ax: "Axes", edges: pl.DataFrame) -> "Axes":
    """Draw how often the accounts of each edge coincided, and how often chance explains.

    Shows: a point for each edge: hours with a coincidence that the two accounts' habits make, and
    observed ones; both axes are logarithmic, and the dashed line is where they are equal.
    Read it: what lies far above the line is hard to explain by habits, and a triangle also by
    the news; an edge near it is what two strangers have.
    Then: look at the edges that lie far above, with ``explain``.

    Parameters
    ----------
    ax
        Where to draw.
    edges
        ``edges.parquet`` of a run that tested for significance.
    """
    require_columns(
        edges, ["expected_habit", "n_hours", "tier"],
        source="edges.parquet of a run that tested for significance",
    )  # fmt: skip
    known = edges.filter(pl.col("expected_habit") > 0).with_columns(expected="expected_habit")
    tier = pl.col("tier").cast(pl.String).fill_null("none")
    parts = (("not beyond chance", "none", OTHERS, 0.4, "o"),
             ("beyond habit", "beyond_habit", ALL, 0.6, "s"),
             ("beyond the news", "beyond_news", COORDINATED, 0.8, "^"))  # fmt: skip
    for label, name, color, alpha, marker in parts:
        drawn = known.filter(tier == name)
        ax.scatter(
            drawn["expected"], drawn["n_hours"], s=10, alpha=alpha, color=color, marker=marker,
            linewidths=0, label=f"{label} ({drawn.height:,})",
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="hours expected by habit", ylabel="observed hours")
    if known.height:
        bounds: Any = (known["expected"].min(), known["expected"].max())
        ax.plot(bounds, bounds, color="black", linewidth=0.8, linestyle="--")
    ax.set_ylim(bottom=0.7)
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_gaps(ax: "Axes", gaps: pl.DataFrame) -> "Axes":
    """Draw which gaps between two shares of an object are more frequent than chance explains.

    Shows: observed over expected pairs of shares by the seconds between them, both axes
    logarithmic; grey is where copies lie whose times were drawn anew within the hour.
    Read it: where the line lies above the band, shares come together more often than the interest
    of the hour explains; where it falls into the band the coordination ends. A hole to its right
    is made by the same pairs, which are missing there.
    Then: take a window up to where the line falls, and look at several.

    Parameters
    ----------
    ax
        Where to draw.
    gaps
        ``gaps.parquet`` of a run of share with ``intervals``.
    """
    require_columns(
        gaps, ["max_gap", "ratio", "low", "high"], source="gaps.parquet of share with intervals"
    )
    # A gap of a bin lies above the last bound and up to its own.
    seconds = gaps["max_gap"].to_numpy()
    low, high = (gaps[name].cast(pl.Float64).to_numpy() for name in ("low", "high"))
    ax.fill_between(seconds, low, high, step="pre", color="0.85", label="copies, re-timed")
    ax.step(seconds, gaps["ratio"], where="pre", color=COORDINATED, label="the data")
    ax.axhline(1, color="black", linewidth=0.8, linestyle="--")
    ax.set(
        xscale="log", yscale="log", xlabel="seconds between two shares",
        ylabel="observed / expected pairs",
    )  # fmt: skip
    ax.legend(frameon=False, fontsize="small")
    return ax


def _label_quantiles(ax: "Axes", n_copies: int, *, is_cut: bool) -> None:
    from matplotlib.lines import Line2D

    lines: tuple[tuple[str, dict[str, Any]], ...] = (
        ("the data" + (" (cut off at the top)" if is_cut else ""), {"color": COORDINATED}),
        (f"{n_copies} copies, days permuted", {"color": "0.6"}),
        ("as expected by chance", {"color": "black", "linestyle": "--"}),
    )
    handles = [Line2D([], [], label=label, **style) for label, style in lines]
    ax.legend(handles=handles, loc="upper left", frameon=False, fontsize="small")
