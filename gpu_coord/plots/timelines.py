"""The table of a timeline -> how one object spread, and who shared it when.

The one idea: lines hold every share; points and ticks are thinned to what a picture can show.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gpu_coord.plots.style import (
    ALL,
    COORDINATED,
    OTHERS,
    PALETTE,
    UNGROUPED,
    add_legend,
    add_title,
    count,
    name_in_legend,
    scale_areas,
    shade,
    shorten,
    show_ticks,
    show_utc,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_LARGEST = 50
_N_SLOTS = 1000
_REST = "others"


def plot_timeline(ax: "Axes", table: pl.DataFrame, *, max_points: int = 1000) -> "Axes":
    """Draw how an object spread: running counts of its shares, and the shares themselves.

    Shows: steps of all shares, of those that are coordinated and of the others; a point for each
    share on the steps of all, coloured by group (or label), larger with more followers (or
    engagement), with a dark rim where coordinated.
    Read it: a steep rise in the coordinated steps alone is a burst of few accounts; where both
    rise together, many found the same thing.
    Then: look at who stands at the foot of the rise, in the table and with ``explain``.

    Parameters
    ----------
    ax
        Where to draw.
    table
        From `gpu_coord.spread.timeline.tabulate_timeline`.
    max_points
        The most points, about; the steps hold every share. See `thin_shares`.
    """
    from matplotlib.ticker import MaxNLocator

    steps = (
        ("all", "all shares", pl.col("n_shares"), ALL),
        ("coordinated", "coordinated", pl.col("n_coordinated"), COORDINATED),
        ("other", "not coordinated", pl.col("n_shares") - pl.col("n_coordinated"), OTHERS),
    )
    for name, label, so_far, color in steps:
        ax.plot(
            table["time"].to_numpy(), table.select(so_far).to_series().to_numpy(),
            drawstyle="steps-post", color=shade(ax, color), linewidth=1.4, label=label,
            gid=f"series-{name}",
        )  # fmt: skip
    _plot_points(ax, table, thin_shares(table, max_points=max_points))
    ax.set(ylabel="shares so far (number)")
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend(ax)
    _label_times(ax, table)
    n_accounts = table["account_id"].n_unique()
    made = f"{count(table.height, 'share')} by {count(n_accounts, 'account')}"
    add_title(ax, f"{made}, {int(table['coordinated'].sum()):,} of them coordinated")
    return ax


def plot_accounts(
    ax: "Axes", table: pl.DataFrame, *, name: str = "pseudonym", n_accounts: int = 30
) -> "Axes":
    """Draw when each account shared an object: a row of ticks for each.

    Shows: the accounts with the most shares, the first to share at the top, and all others in
    one row; coordinated shares in the colour of their steps.
    Read it: columns of ticks are accounts that share together; a full row is one busy account.
    Then: compare accounts that stand in the same columns with ``explain``.

    Parameters
    ----------
    ax
        Where to draw.
    table
        From `gpu_coord.spread.timeline.tabulate_timeline`.
    name
        The column that names accounts.
    n_accounts
        Rows for single accounts. Ticks of one row closer than a thousandth of the time that is
        shown are drawn once.
    """
    names, ticks = place_accounts(table, name=name, n_accounts=n_accounts)
    for label, is_its, color in (
        ("other", ~pl.col("coordinated"), OTHERS),
        ("coordinated", pl.col("coordinated"), COORDINATED),
    ):
        drawn = ticks.filter(is_its)
        ax.plot(
            drawn["time"].to_numpy(), drawn["row"].to_numpy(), "|", color=shade(ax, color),
            markersize=7, gid=f"ticks-{label}",
        )  # fmt: skip
    shown = [_REST if name is None else shorten(name) for name in names]
    show_ticks(ax.yaxis, shown, fontsize="x-small")
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set(ylabel="accounts, the first to share at the top")
    add_title(ax, _tell_accounts(table), ["orange: coordinated; blue: not coordinated"])
    _label_times(ax, table)
    return ax


def _tell_accounts(table: pl.DataFrame) -> str:
    """Say how many accounts shared it, and how many of them in coordination."""
    n_accounts, n_together = (
        shares["account_id"].n_unique() for shares in (table, table.filter("coordinated"))
    )
    return f"{count(n_accounts, 'account')} shared it, {n_together:,} of them coordinated"


def thin_shares(table: pl.DataFrame, *, max_points: int) -> np.ndarray:
    """Choose the shares to draw as points: all, or every k-th, the last and the 50 largest.

    Parameters
    ----------
    table
        From `gpu_coord.spread.timeline.tabulate_timeline`.
    max_points
        The most that every k-th may be.

    Returns
    -------
        Rows of the table, ascending.
    """
    step = -(-table.height // max_points)
    if step <= 1:
        return np.arange(table.height)
    spread = np.append(np.arange(0, table.height, step), table.height - 1)
    meaning, sizes = measure_shares(table)
    largest = sizes.arg_sort(descending=True, nulls_last=True)[:N_LARGEST].to_numpy()
    return np.union1d(spread, largest) if meaning else np.unique(spread)


def measure_shares(table: pl.DataFrame) -> tuple[str | None, pl.Series]:
    """Return what the size of points means, and that of each share, null where unknown."""
    for column, meaning in (("follower_count", "followers"), ("engagement", "engagement")):
        if (table[column].fill_null(0) > 0).any():
            return meaning, table[column]
    return None, pl.repeat(None, table.height, dtype=pl.Int64, eager=True)


def place_accounts(
    table: pl.DataFrame, *, name: str, n_accounts: int
) -> tuple[list[str | None], pl.DataFrame]:
    """Give the busiest accounts a row each, by their first share, and the rest the last row.

    Returns
    -------
        The name of each row, None for the rest; and ``row, time, coordinated`` of the ticks, at
        most one in each thousandth of the time.
    """
    accounts = table.group_by("account_id").agg(
        n=pl.len(), first=pl.col("time").min(), shown=pl.col(name).first()
    )
    busiest = accounts.sort("n", "first", "account_id", descending=[True, False, False])
    kept = busiest.head(n_accounts).sort("first", "account_id")
    since = (pl.col("time") - pl.col("time").min()).dt.total_milliseconds()
    slot = since * _N_SLOTS // (since.max() + 1)
    ticks = (
        table.select("account_id", "time", "coordinated", slot=slot)
        .join(kept.with_row_index("row"), on="account_id", how="left", maintain_order="left")
        .with_columns(pl.col("row").fill_null(kept.height))
        .unique(["row", "slot", "coordinated"], keep="first", maintain_order=True)
        .select("row", "time", "coordinated")
    )
    names: list[str | None] = kept["shown"].to_list()
    return names + [None] * (busiest.height > kept.height), ticks


def list_groups(table: pl.DataFrame) -> tuple[str, list[str]]:
    """Return the column that colours shares, and its values with colours of their own.

    Groups where there are any (platforms if these are the groups), else labels, else platforms
    where there are several.
    """
    known = [name for name in ("group", "label") if table[name].null_count() < table.height]
    column = known[0] if known else "platform"
    if column == "group" and table["group"].equals(table["platform"]):
        column = "platform"
    elif column == "platform" and table["platform"].drop_nulls().n_unique() < 2:
        return "label", []
    counts = table.drop_nulls(column).group_by(column).len()
    largest = counts.sort("len", column, descending=[True, False]).head(len(PALETTE))
    return column, largest[column].to_list()


def _plot_points(ax: "Axes", table: pl.DataFrame, rows: np.ndarray) -> None:
    column, groups = list_groups(table)
    points = table.with_row_index("share").with_columns(area=scale_areas(measure_shares(table)[1]))[
        rows
    ]
    are_named = pl.col(column).is_in(groups)
    parts: list[tuple[str, pl.Expr, str]] = [
        ("shares" if not groups else f"no {column}", pl.col(column).is_null(), UNGROUPED),
        (f"other {column}s", pl.col(column).is_not_null() & ~are_named, "0.5"),
        *((g, pl.col(column) == g, PALETTE[place]) for place, g in enumerate(groups)),
    ]
    for place, (label, is_its, color) in enumerate(parts):
        drawn = points.filter(is_its).sort("area", "share", descending=[True, False])
        if drawn.height:
            _scatter(ax, drawn, label=label, color=color, gid=f"points-{place}")


def _scatter(ax: "Axes", drawn: pl.DataFrame, *, label: str, color: str, gid: str) -> None:
    rims = np.where(drawn["coordinated"].to_numpy(), shade(ax, "black"), shade(ax, "white"))
    marks = ax.scatter(
        drawn["time"].to_numpy(), drawn["n_shares"].to_numpy(), s=drawn["area"].to_numpy(),
        color=shade(ax, color), edgecolors=rims.tolist(), linewidths=0.6, zorder=3, gid=gid,
    )  # fmt: skip
    marks.set_label(name_in_legend(label))
    marks.set_urls([f"#share-{share}" for share in drawn["share"]])


def _label_times(ax: "Axes", table: pl.DataFrame) -> None:
    """Label times in UTC; give a single moment an hour of room."""
    show_utc(ax)
    ax.set_xlabel("time (UTC)")
    first, last = table["time"][0], table["time"][-1]
    if first == last:
        half: Any = np.timedelta64(30, "m")
        at = table["time"].to_numpy()[0]
        ax.set_xlim(at - half, at + half)
