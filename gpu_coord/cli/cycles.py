"""Seeds -> the objects and accounts that they lead to, round by round."""

from typing import TYPE_CHECKING

from gpu_coord.cli.display import N_SHOWN, Rows, hide_ids, print_lines, print_rows

if TYPE_CHECKING:
    from gpu_coord.results.findings import Findings


def show_cycle(found: "Findings", *, show_ids: bool) -> None:
    """Print the rounds of a cycle."""
    columns = ["n_objects", "n_edges", "n_accounts", "n_new_accounts", "n_new_objects"]
    print_rows(
        f"Cycle {found.path}",
        ["round", "objects", "edges", "accounts", "new accounts", "new objects", "too popular"],
        found.read("rounds").select("round", *columns, "n_too_popular").rows(),
    )
    print_rows(
        "Objects that most of the accounts found share", *_list_followed(found, show_ids=show_ids)
    )
    print_lines(*_describe_cycle(found))


def _list_followed(found: "Findings", *, show_ids: bool) -> Rows:
    import polars as pl

    objects = found.read("objects").filter(pl.col("n_sharers") > 0)
    columns = ["n_sharers", "n_accounts", "kind", "value"]
    leading = objects.sort(columns, descending=[True, False, False, False]).head(N_SHOWN)
    shown = hide_ids(leading, show_ids=show_ids).select("kind", "value", "round", *columns[:2])
    return ["kind", "value", "found in round", "found accounts", "all accounts"], shown.rows()


def _describe_cycle(found: "Findings") -> list[str]:
    summary = found.summary
    end = f"Stopped after round {summary['n_rounds']}: {summary['stopped']}."
    if not summary["n_accounts"]:
        end += " No two accounts share enough of the seeds together; try --min-weight 1."
    lines = [
        f"{summary['n_accounts']:,} accounts and {summary['n_objects']:,} objects followed from "
        f"{summary['n_seed_objects']:,} seeds; window {found.content['window']}. {end}"
    ]
    if summary["n_seeds_missing"]:
        lines.append(
            f"{summary['n_seeds_missing']:,} of {summary['n_seeds']:,} seeds are not in the data: "
            f"{found.path / 'seeds_missing.parquet'}."
        )
    lines.append(
        "What many share brings in many: look at the objects above, at --max-popularity and "
        "--min-sharers. Coordination is not inauthenticity."
    )
    return lines
