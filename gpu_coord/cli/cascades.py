"""A store -> the ways of its objects over platforms, out of groups, and who sets them off."""

from typing import TYPE_CHECKING

from gpu_coord.cli.display import N_SHOWN, Rows, choose_id, hide_ids, print_lines, print_rows

if TYPE_CHECKING:
    from gpu_coord.results.findings import Findings


def show_cascades(found: "Findings", *, show_ids: bool) -> None:
    """Print how objects spread, and who sets them off."""
    print_rows("From platform to platform", *_list_flows(found))
    print_rows("Objects that most accounts shared", *_list_spread(found, show_ids=show_ids))
    if found.content["inside"] is not None:
        print_rows("First outside", *_list_escapes(found, show_ids=show_ids))
    print_rows(
        "Accounts whose early shares are followed by most",
        *_list_catalysts(found, show_ids=show_ids),
    )
    print_lines(*_describe_cascades(found))


def _list_flows(found: "Findings") -> Rows:
    from gpu_coord.ground.times import describe_seconds

    flows = found.read("flows").head(N_SHOWN)
    columns = ["source_platform", "target_platform", "n_objects"]
    delays = [map(describe_seconds, flows[name]) for name in ("low_delay", "median_delay")]
    rows = zip(*flows.select(columns), *delays, strict=True)
    return ["from", "to", "objects", "a quarter within", "half within"], list(rows)


def _list_spread(found: "Findings", *, show_ids: bool) -> Rows:
    order = ["n_platforms", "n_accounts", "kind", "value"]
    largest = found.read("cascades").sort(order, descending=[True, True, False, False])
    columns = ["kind", "value", "n_accounts", "n_shares", "path"]
    shown = hide_ids(largest.head(N_SHOWN), show_ids=show_ids).select(columns)
    return ["kind", "value", "accounts", "shares", "path"], shown.rows()


def _list_escapes(found: "Findings", *, show_ids: bool) -> Rows:
    import polars as pl

    from gpu_coord.ground.times import describe_seconds

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


def _list_catalysts(found: "Findings", *, show_ids: bool) -> Rows:
    import polars as pl

    name = choose_id(show_ids=show_ids)
    tested = found.read("accounts").filter(pl.col("z_early") > 0)
    leading = tested.sort("p_early", "account_id").head(N_SHOWN)
    columns = [name, "label", "n_objects", "n_first", "n_early", "z_early", "q_early"]
    shown = [name, "label", "objects", "first in", "early in", "z", "q"]
    return shown, leading.select(columns).rows()


def _describe_cascades(found: "Findings") -> list[str]:
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
