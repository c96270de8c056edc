"""A store -> the ways of its objects over platforms, out of groups, and who sets them off."""

from typing import TYPE_CHECKING

from gpu_coord.cli.display import choose_id, describe_cost, print_lines, print_top

if TYPE_CHECKING:
    import polars as pl

    from gpu_coord.results.findings import Findings


def show_cascades(found: "Findings", *, show_ids: bool) -> None:
    """Print how objects spread, and who sets them off."""
    import polars as pl

    cascades, accounts = found.read("cascades"), found.read("accounts")
    first, *said = _describe_cascades(found)
    print_lines(first, "", wrap=True)
    print_top(
        "From platform to platform",
        _write_delays(found.read("flows"), "low_delay", "median_delay"),
        {"source_platform": "from", "target_platform": "to", "n_objects": "objects",
         "low_delay": "a quarter within", "median_delay": "half within"},
    )  # fmt: skip
    print_top(
        "Objects that most accounts shared",
        cascades,
        {"kind": "kind", "value": "value", "n_accounts": "accounts", "n_shares": "shares",
         "path": "path"},
        by="-n_platforms -n_accounts kind value",
        show_ids=show_ids,
        n_names=2,
    )  # fmt: skip
    if found.content["inside"] is not None:
        escaped = cascades.filter(pl.col("n_outside_before") == 0).drop_nulls("escape_time")
        print_top(
            "First outside",
            _write_delays(escaped, "escape_delay"),
            {"kind": "kind", "value": "value",
             f"escape_{choose_id(show_ids=show_ids)}": "first outside", "escape_delay": "after",
             "escape_followers": "followers", "n_inside": "inside", "n_outside": "outside"},
            by="-n_outside kind value",
            show_ids=show_ids,
            n_names=3,
        )  # fmt: skip
    print_top(
        "Accounts whose early shares are followed by most",
        accounts.filter(pl.col("z_early") > 0),
        {"account": "", "label": "label", "n_objects": "objects", "n_first": "first in",
         "n_early": "early in", "z_early": "z", "q_early": "q"},
        by="p_early account_id",
        show_ids=show_ids,
    )  # fmt: skip
    print_lines(*said, "", describe_cost(found), wrap=True)


def _write_delays(table: "pl.DataFrame", *names: str) -> "pl.DataFrame":
    """Return a table with durations as people write them."""
    import polars as pl

    from gpu_coord.ground.times import describe_seconds

    written = (pl.col(n).map_elements(describe_seconds, return_dtype=pl.String) for n in names)
    return table.with_columns(*written)


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
