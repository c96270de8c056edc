"""Seeds -> the objects and accounts that they lead to, round by round."""

from typing import TYPE_CHECKING

from gpu_coord.cli.display import describe_cost, print_lines, print_top
from gpu_coord.results.forms import MAX_ROUNDS

if TYPE_CHECKING:
    from gpu_coord.results.findings import Findings


def show_cycle(found: "Findings", *, show_ids: bool) -> None:
    """Print the rounds of a cycle."""
    import polars as pl

    first, *said = _describe_cycle(found)
    print_lines(first, "", wrap=True)
    print_top(
        "Rounds",
        found.read("rounds"),
        {"round": "round", "n_objects": "objects", "n_edges": "edges", "n_accounts": "accounts",
         "n_new_accounts": "new accounts", "n_new_objects": "new objects",
         "n_too_popular": "too popular"},
        n_shown=MAX_ROUNDS,
    )  # fmt: skip
    print_top(
        "Objects that most of the accounts found share",
        found.read("objects").filter(pl.col("n_sharers") > 0),
        {"kind": "kind", "value": "value", "round": "found in round",
         "n_sharers": "found accounts", "n_accounts": "all accounts"},
        by="-n_sharers n_accounts kind value",
        show_ids=show_ids,
        n_names=2,
    )  # fmt: skip
    print_lines(*said, "", describe_cost(found), wrap=True)


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
