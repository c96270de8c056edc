"""A store -> the ways of its objects over platforms, out of groups, and who sets them off."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gpu_coord.cli import options
from gpu_coord.cli.display import (
    N_SHOWN,
    Rows,
    choose_id,
    hide_ids,
    print_json,
    print_lines,
    print_rows,
    show_progress,
)
from gpu_coord.cli.values import read_labels, split_list

if TYPE_CHECKING:
    from gpu_coord.cascades import Cascades

GroupingChoice = Literal["auto", "group", "component", "community"]


def cascades(
    store: options.Store,
    out: options.NewFolder,
    kind: options.Objects = "url",
    run: Annotated[
        Path | None, typer.Option(help="A run: the accounts of its groups are inside.")
    ] = None,
    group: Annotated[
        int | None, typer.Option(min=0, help="The one group of the run that is inside (all).")
    ] = None,
    group_by: Annotated[
        GroupingChoice,
        typer.Option(help="Groups of the run; auto: confirmed ones, or communities."),
    ] = "auto",
    inside: Annotated[
        str | None, typer.Option(help="In the place of a run: the label of the accounts inside.")
    ] = None,
    min_shares: Annotated[int, typer.Option(min=1, help="Leave out objects with fewer.")] = 2,
    min_followers: Annotated[
        int, typer.Option(min=0, help="Followers that the first adopter outside needs.")
    ] = 0,
    window: Annotated[
        str, typer.Option(help="How long after a share adoptions follow it, like 1h.")
    ] = "1h",
    reach: Annotated[
        str, typer.Option(help="How far around an early share the object's own rate is taken.")
    ] = "12h",
    min_adopters: Annotated[
        int, typer.Option(min=2, help="Objects with fewer accounts are not tested.")
    ] = 10,
    early: Annotated[
        float, typer.Option(help="Part of an object's accounts that is early, up to 0.5.")
    ] = 0.25,
    alpha: options.Alpha = 0.05,
    start: options.Start = None,
    end: options.End = None,
    labels: options.Labels = None,
    show_ids: options.ShowIds = False,
    json_: options.Json = False,
) -> None:
    """Follow objects from platform to platform, out of a group, and who sets them off."""
    from gpu_coord.cascades import trace_cascades as trace

    with show_progress() as progress:
        found = trace(
            store,
            out,
            kinds=split_list(kind),
            run=run,
            group=group,
            group_by=group_by,
            inside=inside,
            labels=read_labels(labels),
            progress=progress,
            min_shares=min_shares,
            min_followers=min_followers,
            window=window,
            reach=reach,
            min_adopters=min_adopters,
            early=early,
            alpha=alpha,
            start=start,
            end=end,
        )
    if json_:
        print_json(found.summary)
    else:
        _show_cascades(found, show_ids=show_ids)


def _show_cascades(found: "Cascades", *, show_ids: bool) -> None:
    print_rows("From platform to platform", *_list_flows(found))
    print_rows("Objects that most accounts shared", *_list_spread(found, show_ids=show_ids))
    if found.content["inside"] is not None:
        print_rows("First outside", *_list_escapes(found, show_ids=show_ids))
    print_rows(
        "Accounts whose early shares are followed by most",
        *_list_catalysts(found, show_ids=show_ids),
    )
    print_lines(*_describe_cascades(found))


def _list_flows(found: "Cascades") -> Rows:
    from gpu_coord.times import describe_seconds

    flows = found.read("flows").head(N_SHOWN)
    columns = ["source_platform", "target_platform", "n_objects"]
    delays = [map(describe_seconds, flows[name]) for name in ("low_delay", "median_delay")]
    rows = zip(*flows.select(columns), *delays, strict=True)
    return ["from", "to", "objects", "a quarter within", "half within"], list(rows)


def _list_spread(found: "Cascades", *, show_ids: bool) -> Rows:
    order = ["n_platforms", "n_accounts", "kind", "value"]
    largest = found.read("cascades").sort(order, descending=[True, True, False, False])
    columns = ["kind", "value", "n_accounts", "n_shares", "path"]
    shown = hide_ids(largest.head(N_SHOWN), show_ids=show_ids).select(columns)
    return ["kind", "value", "accounts", "shares", "path"], shown.rows()


def _list_escapes(found: "Cascades", *, show_ids: bool) -> Rows:
    import polars as pl

    from gpu_coord.times import describe_seconds

    escaped = found.read("cascades").filter(pl.col("n_outside_before") == 0)
    escaped = escaped.drop_nulls("escape_time")
    order = ["n_outside", "kind", "value"]
    largest = escaped.sort(order, descending=[True, False, False]).head(N_SHOWN)
    delay = largest["escape_delay"].map_elements(describe_seconds, return_dtype=pl.String)
    name = f"escape_{'account_id' if show_ids else 'pseudonym'}"
    columns = ["kind", "value", name, "escape_delay", "escape_followers", "n_inside", "n_outside"]
    shown = ["kind", "value", "first outside", "after", "followers", "inside", "outside"]
    hidden = hide_ids(largest.with_columns(escape_delay=delay), show_ids=show_ids)
    return shown, hidden.select(columns).rows()


def _list_catalysts(found: "Cascades", *, show_ids: bool) -> Rows:
    import polars as pl

    name = choose_id(show_ids=show_ids)
    tested = found.read("accounts").filter(pl.col("z_early") > 0)
    leading = tested.sort("p_early", "account_id").head(N_SHOWN)
    columns = [name, "label", "n_objects", "n_first", "n_early", "z_early", "q_early"]
    shown = [name, "label", "objects", "first in", "early in", "z", "q"]
    return shown, leading.select(columns).rows()


def _describe_cascades(found: "Cascades") -> list[str]:
    summary, early = found.summary, found.summary["early"]
    lines = [
        f"{summary['n_objects']:,} objects, {summary['n_shares']:,} shares by "
        f"{summary['n_accounts']:,} accounts; {summary['n_objects_left_out']:,} objects have too "
        "few shares."
    ]
    if summary["n_platforms"] > 1:
        lines[0] += (
            f" {summary['n_platforms']:,} platforms; {summary['n_objects_across']:,} objects are "
            "on several."
        )
    elif not summary["n_platforms"]:
        lines[0] += " No share names a platform."
    if "inside" in summary:
        inside = summary["inside"]
        lines.append(
            f"{inside['n_begun']:,} of {inside['n_objects']:,} objects shared inside began there; "
            f"{inside['n_escaped']:,} of them were then shared outside."
        )
    lines.append(
        f"Early shares are followed by {early['lambda']:.2f} times what the object's own rate and "
        f"the hours of the day explain, in general. {early['n_significant']:,} of "
        f"{early['n_shares']:,} stand out even so, but a burst of news does that too; "
        f"{early['n_significant_accounts']:,} accounts stand out among early sharers of the same "
        "objects."
    )
    lines.append(
        f"{found.path / 'hops.parquet'} has the platforms, catalysts.parquet each tested share. "
        "What comes after a share need not come of it."
    )
    return lines
