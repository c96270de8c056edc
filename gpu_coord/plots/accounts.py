"""Accounts of a run -> who leads whom, in which role, and when they were active."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gpu_coord.ground.times import describe_seconds
from gpu_coord.plots.style import (
    ALL,
    COORDINATED,
    OTHERS,
    ROLE_COLOURS,
    add_legend,
    add_title,
    colour_values,
    count,
    name_group,
    name_in_legend,
    require_columns,
    scale_areas,
    shade,
    shorten,
    show_ticks,
    show_utc,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gpu_coord.activity.cells import Activity

_ACCOUNTS = "accounts.parquet of a run"
# Told apart in grey, too.
_MARKS = {
    "core": "D", "catalyst": "^", "amplifier": "v", "bridge": "s", "booster": "P", "none": "o",
}  # fmt: skip
_AXES = {
    "earliness_z": "how early it takes things up (standard errors, later to earlier)",
    "direction_z": "how much it is followed (standard errors, follows to leads)",
}


def plot_influence(
    ax: "Axes", accounts: pl.DataFrame, *, by: str = "label", max_classes: int = 12
) -> "Axes":
    """Draw the mean apparent influence of the accounts of each class.

    Shows: for each class two bars: the mean summed weight of its accounts' outgoing edges
    (influence) and of their incoming ones (follows); accounts without edges count as 0.
    Read it: a class with long bars stands in the network more than others; a long upper bar and a
    short lower one say that others follow it.
    Then: compare classes of one run only, and look at the classes of both ends (`classes`).

    Parameters
    ----------
    ax
        Where to draw.
    accounts
        ``accounts.parquet`` of a run.
    by
        A column of classes, such as label, community or role.
    max_classes
        Classes to draw, the largest first; the others are counted.
    """
    require_columns(accounts, [by, "influence", "in_weight"], source=_ACCOUNTS)
    name = pl.col(by).cast(pl.String).fill_null(f"no {by}")
    classes = accounts.group_by(name.alias("class")).agg(
        pl.len().alias("n"), pl.col("influence", "in_weight").mean()
    )
    drawn = classes.sort("n", "class", descending=[True, False]).head(max_classes)
    row = np.arange(drawn.height)
    ax.barh(
        row - 0.2,
        drawn["influence"],
        0.38,
        color=shade(ax, COORDINATED),
        label="influence: is followed",
    )
    ax.barh(
        row + 0.2, drawn["in_weight"], 0.38, color=shade(ax, OTHERS), label="in-weight: follows"
    )
    named = drawn.select("class", "n").iter_rows()
    names = [f"{shorten(name_group(value, by))} ({n:,})" for value, n in named]
    show_ticks(ax.yaxis, names, fontsize="small")
    ax.invert_yaxis()
    ax.set(xlabel="mean over accounts of the summed weight of their edges")
    add_legend(ax)
    n_left_out = classes.height - drawn.height
    left_out = [f"{n_left_out:,} smaller classes are not drawn"] if n_left_out else []
    add_title(ax, _tell_leader(drawn, by), left_out)
    return ax


def _tell_leader(classes: pl.DataFrame, by: str) -> str:
    """Say which class is followed most."""
    first = classes.sort("influence", descending=True, maintain_order=True).head(1)
    if not first.height or not first["influence"][0]:
        return "No class of accounts is followed by others"
    value = first["class"][0]
    named = value if value == f"no {by}" else f"{by} {value}"
    return f"Most followed are the accounts with {shorten(named)}"


def plot_roles(
    ax: "Axes",
    accounts: pl.DataFrame,
    *,
    x: str = "earliness_z",
    y: str = "direction_z",
    cut_off: float = 2.0,
) -> "Axes":
    """Draw two scores of each account, with the role that the rule gave it.

    Shows: a point for each account that has both scores, coloured and shaped by its role, larger
    with more apparent influence; dashed lines at the cut-off on both sides of 0.
    Read it: to the right of the lines are accounts that take things up early, above them those
    that others follow; between the lines chance explains the score.
    Then: read ``role_reasons`` of the accounts in the upper right corner.

    Parameters
    ----------
    ax
        Where to draw.
    accounts
        ``accounts.parquet`` of a run after ``roles``.
    x, y
        Columns with scores.
    cut_off
        Where to draw the lines, in standard errors.
    """
    require_columns(
        accounts, ["role", "influence", x, y],
        source=f"{_ACCOUNTS} after `gpu-coord roles`",
    )  # fmt: skip
    finite = pl.all_horizontal(pl.col(x, y).cast(pl.Float64).is_finite())
    known = accounts.with_columns(area=scale_areas(accounts["influence"])).filter(finite)
    for bound in (-cut_off, cut_off):
        ax.axvline(bound, color=shade(ax, "0.6"), linewidth=0.8, linestyle="--")
        ax.axhline(bound, color=shade(ax, "0.6"), linewidth=0.8, linestyle="--")
    # The many without a role lie below.
    for role, marker in reversed(_MARKS.items()):
        drawn = known.filter(pl.col("role") == role)
        if drawn.height:
            ax.scatter(
                drawn[x], drawn[y], s=drawn["area"].to_numpy(), color=shade(ax, ROLE_COLOURS[role]),
                marker=marker, edgecolors=shade(ax, "white"), linewidths=0.4,
                label=f"{role} ({drawn.height:,})",
            )  # fmt: skip
    ax.set(xlabel=_AXES.get(x, x), ylabel=_AXES.get(y, y))
    if known.height:
        add_legend(ax)
    n_left_out = accounts.height - known.height
    left_out = [f"without both scores, and not drawn: {count(n_left_out, 'account')}"]
    add_title(ax, _tell_roles(accounts["role"]), left_out if n_left_out else [])
    return ax


def _tell_roles(roles: pl.Series) -> str:
    """Say how many accounts have a role, and which."""
    counts = roles.drop_nulls().value_counts(sort=False, name="n")
    numbers = dict(counts.iter_rows())
    said = [f"{numbers[role]:,} {role}" for role in _MARKS if role != "none" and role in numbers]
    n_with = sum(n for role, n in numbers.items() if role != "none")
    listed = f": {', '.join(said)}" if said else ""
    return f"{n_with:,} of {count(roles.len(), 'account')} have a role{listed}"


def plot_raster(
    ax: "Axes",
    activity: "Activity",
    kind: str,
    value: str,
    *,
    names: pl.Series | None = None,
    n_accounts: int = 40,
) -> "Axes":
    """Draw in which bins the accounts were active on one entity.

    Shows: a row for each of the accounts with the most active bins, the first to act at the top;
    a tick for each bin in which it used the entity, coloured by label.
    Read it: columns of ticks are moments that many share: news, a daily rhythm, or a plan. Rows
    that follow each other with the same small gap again and again are what the measure looks for.
    Then: ask with ``explain`` whether two rows coincide more often than chance explains.

    Parameters
    ----------
    ax
        Where to draw.
    activity
        From `gpu_coord.activity.cells.build_activity`.
    kind, value
        The entity, as ``activity.entities`` has it.
    names
        Of each account of the activity, in its order, such as pseudonyms; without any, rows are
        not named.
    n_accounts
        Rows.

    Raises
    ------
    ValueError
        The entity is not in the analysed data, or there are not as many names as accounts.
    """
    if names is not None and names.len() != activity.n_accounts:
        raise ValueError(
            f"there are {names.len()} names for {activity.n_accounts} accounts; give one for each "
            "row of activity.accounts, such as name_accounts(activity.accounts['account_id'], s)."
        )
    cells = _list_cells(activity, kind, value)
    rows = cells.group_by("account").agg(n=pl.len(), first=pl.col("bin").min())
    busiest = rows.sort("n", "account", descending=[True, False]).head(n_accounts)
    kept = busiest.sort("first", "account").with_row_index("row")
    labels = activity.accounts.select(pl.col("label").cast(pl.String)).with_row_index("account")
    ticks = cells.join(kept.select("row", "account"), on="account").join(
        labels.with_columns(pl.col("account").cast(cells["account"].dtype)), on="account"
    )
    _draw_ticks(ax, ticks, activity)
    shown = [] if names is None else [shorten(name) for name in names.gather(kept["account"])]
    show_ticks(ax.yaxis, shown, fontsize="xx-small")
    ax.set_ylim(kept.height - 0.4, -0.6)
    ax.set(ylabel="accounts, the first to use it at the top", xlabel="time (UTC)")
    n_left_out = rows.height - kept.height
    left_out = [f"{n_left_out:,} less active accounts are not drawn"] if n_left_out else []
    n_bins, width = cells["bin"].n_unique(), describe_seconds(activity.bin_seconds)
    used = f"{count(rows.height, 'account')} used the {shorten(kind)} {shorten(value)}"
    add_title(ax, f"{used} in {count(n_bins, 'bin')} of {width}", left_out)
    return ax


def plot_meetings(ax: "Axes", times: pl.Series) -> "Axes":
    """Draw on how many occasions accounts met on each day.

    Shows: a bar for each day, as high as the number of meetings: coincidences, or pairs of shares.
    Read it: days with high bars between empty ones are campaigns, or news; an even row is a habit.
    Then: look at what was shared on the highest days, with ``explain``.

    Parameters
    ----------
    ax
        Where to draw.
    times
        Of the meetings, such as ``time_source`` of `Findings.evidence` or of ``evidence.parquet``.
    """
    days = times.dt.truncate("1d").alias("day").value_counts(name="n").sort("day")
    ax.bar(
        days["day"].to_list(), days["n"].to_list(), width=1, align="edge",
        color=shade(ax, COORDINATED),
    )  # fmt: skip
    ax.set(xlabel="time (UTC)", ylabel="meetings a day")
    show_utc(ax)
    add_title(ax, _tell_busiest(days))
    return ax


def _tell_busiest(days: pl.DataFrame) -> str:
    """Say on how many days accounts met, and when most."""
    if days.is_empty():
        return "The accounts did not meet"
    day, n = days.sort("n", "day", descending=[True, False]).row(0)
    met = f"{count(int(days['n'].sum()), 'meeting')} on {count(days.height, 'day')}"
    return f"{met}, most on {day:%Y-%m-%d} ({n:,})"


def _list_cells(activity: "Activity", kind: str, value: str) -> pl.DataFrame:
    """Return account and bin of the active cells on one entity."""
    is_it = (pl.col("kind") == kind) & (pl.col("value") == value)
    found = activity.entities.with_row_index("entity").filter(is_it)["entity"]
    if found.is_empty():
        raise ValueError(
            f"the {kind} {value!r} is not in the analysed data; see activity.entities for what is."
        )
    to_host = activity.backend.to_host
    at = np.searchsorted(to_host(activity.entity), [found[0], found[0] + 1])
    of_it = slice(int(at[0]), int(at[1]))
    return pl.DataFrame(
        {"account": to_host(activity.account)[of_it], "bin": to_host(activity.bin)[of_it]}
    )


def _draw_ticks(ax: "Axes", ticks: pl.DataFrame, activity: "Activity") -> None:
    seconds = (ticks["bin"].cast(pl.Int64) + activity.first_bin) * activity.bin_seconds
    ticks = ticks.with_columns(time=pl.from_epoch(seconds, time_unit="s"))
    colours = colour_values(ticks["label"])
    parts: list[tuple[str | None, str]] = [*colours.items(), (None, ALL if colours else "black")]
    for label, color in parts:
        drawn = ticks.filter(pl.col("label").eq_missing(label))
        if drawn.height:
            ax.plot(
                drawn["time"].to_numpy(), drawn["row"].to_numpy(), "|",
                color=shade(ax, color), markersize=5, markeredgewidth=1.4,
                label=name_in_legend(label or "no label"),
            )  # fmt: skip
    show_utc(ax)
    if colours:
        add_legend(ax)
