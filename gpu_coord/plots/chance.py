"""What chance explains: p-values of data and copies, lags, and edges beside their expectation."""

from typing import TYPE_CHECKING, Any

import polars as pl

from gpu_coord.plots.style import (
    ALL,
    COORDINATED,
    OTHERS,
    PALETTE,
    add_legend,
    add_title,
    count,
    require_columns,
    shade,
    show_number,
    show_numbers,
)

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
        ax.plot(
            copy["expected"], copy["observed"], color=shade(ax, "0.6"), linewidth=0.8, gid="copy"
        )
    ax.plot([0, top], [0, top], color=shade(ax, "black"), linewidth=0.8, linestyle="--")
    shown = data["observed"].clip(upper_bound=1.5 * top)
    ax.plot(data["expected"], shown, color=shade(ax, COORDINATED), gid="data")
    ax.set(
        xlabel="p-value expected by chance alone ($-\\log_{10} p$)",
        ylabel="p-value observed ($-\\log_{10} p$)", xlim=(0, top), ylim=(0, 1.5 * top),
    )  # fmt: skip
    _label_quantiles(ax, copies["copy"].n_unique(), is_cut=bool((data["observed"] > shown).any()))
    add_title(ax, _tell_smallest(data["observed"], copies["observed"]))
    return ax


def _tell_smallest(data: pl.Series, copies: pl.Series) -> str:
    """Say how small p-values become, in the data and in copies."""
    smallest = [values.max() for values in (data, copies)]
    powers = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    said = [
        f"10⁻{str(round(value)).translate(powers)}" if isinstance(value, float) else "none"
        for value in smallest
    ]
    return f"The least p-value of pairs is {said[0]} in the data, {said[1]} in copies"


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
            color=shade(ax, "0.85"), label="all accounts, days permuted",
        )  # fmt: skip
    ax.plot(everyone["lag"], everyone["ratio"], color=shade(ax, ALL), label="all accounts")
    groups = curves.drop_nulls("group").partition_by("group", maintain_order=True)
    for part, color in zip(groups, PALETTE, strict=False):
        ax.plot(
            part["lag"], part["ratio"], color=shade(ax, color), label=f"group {part['group'][0]}"
        )
    n_left_out = len(groups) - len(PALETTE)
    left_out = [f"{n_left_out:,} more groups are not drawn"] if n_left_out > 0 else []
    add_title(ax, _tell_peak(everyone, bin), left_out)
    ax.axhline(1, color=shade(ax, "black"), linewidth=0.8, linestyle="--")
    unit = f" of {bin}" if bin else ""
    ax.set(xlabel=f"lag (bins{unit})", ylabel="coincidences,\nobserved / expected")
    ax.set_ylim(bottom=0)
    add_legend(ax)
    return ax


def _tell_peak(everyone: pl.DataFrame, bin: str) -> str:
    """Say at which lag all accounts coincide most, and how much."""
    known = everyone.filter(pl.col("ratio").is_finite()).sort("ratio", maintain_order=True)
    if known.is_empty():
        return "Coincidences at each lag"
    lag, ratio = known.select("lag", "ratio").row(-1)
    unit = f" × {bin}" if bin and lag else ""
    times = f"{show_number(ratio, 2)} times what chance explains"
    return f"Accounts coincide most at lag {lag}{unit}: {times}"


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
            drawn["expected"], drawn["n_hours"], s=10, alpha=alpha, color=shade(ax, color),
            marker=marker, linewidths=0, label=f"{label} ({drawn.height:,})",
        )  # fmt: skip
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="hours with a coincidence, expected by habit",
        ylabel="observed hours",
    )
    if known.height:
        bounds: Any = (known["expected"].min(), known["expected"].max())
        ax.plot(bounds, bounds, color=shade(ax, "black"), linewidth=0.8, linestyle="--",
                label="as many as expected")  # fmt: skip
    ax.set_ylim(bottom=0.7)
    show_numbers(ax.xaxis, ax.yaxis)
    add_legend(ax)
    beyond = [edges.filter(tier == name).height for name in ("beyond_news", "beyond_habit")]
    finding = f"Of {edges.height:,} edges {beyond[0]:,} are beyond the news"
    n_hidden = edges.height - known.height
    hidden = [f"{n_hidden:,} with nothing expected are not drawn"] if n_hidden else []
    add_title(ax, f"{finding}, {beyond[1]:,} beyond habit only", hidden)
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
    # A gap of a bin lies above the last bound and up to its own; the first begins at 0, which has
    # no place on a logarithmic axis.
    bins = pl.concat([gaps.head(1).with_columns(pl.col("max_gap") / 2), gaps])
    seconds = bins["max_gap"].to_numpy()
    low, high = (bins[name].cast(pl.Float64).to_numpy() for name in ("low", "high"))
    ax.fill_between(
        seconds, low, high, step="pre", color=shade(ax, "0.85"), label="copies, re-timed"
    )
    ax.step(seconds, bins["ratio"], where="pre", color=shade(ax, COORDINATED), label="the data")
    ax.axhline(1, color=shade(ax, "black"), linewidth=0.8, linestyle="--")
    ax.set(
        xscale="log", yscale="log", xlabel="time between two shares (seconds)",
        ylabel="pairs of shares, observed / expected",
    )  # fmt: skip
    show_numbers(ax.xaxis, ax.yaxis)
    add_legend(ax)
    add_title(ax, _tell_gap(gaps))
    return ax


def _tell_gap(gaps: pl.DataFrame) -> str:
    """Say at which gap pairs of shares are most in excess."""
    known = gaps.filter(pl.col("ratio").is_finite()).sort("ratio", maintain_order=True)
    if known.is_empty():
        return "Pairs of shares by the time between them"
    gap, ratio = known.select("max_gap", "ratio").row(-1)
    times = f"{show_number(ratio, 2)} times what chance explains"
    return f"Shares come together most within {gap:,g} s of each other: {times}"


def _label_quantiles(ax: "Axes", n_copies: int, *, is_cut: bool) -> None:
    from matplotlib.lines import Line2D

    lines: tuple[tuple[str, dict[str, Any]], ...] = (
        (
            "the data" + (" (cut off at the top)" if is_cut else ""),
            {"color": shade(ax, COORDINATED)},
        ),
        (f"{count(n_copies, 'copy')}, days permuted", {"color": shade(ax, "0.6")}),
        ("as expected by chance", {"color": shade(ax, "black"), "linestyle": "--"}),
    )
    handles = [Line2D([], [], label=label, **style) for label, style in lines]
    add_legend(ax, handles)
