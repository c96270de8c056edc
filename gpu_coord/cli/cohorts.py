"""A store -> when the accounts of classes were made, beside the others."""

from typing import TYPE_CHECKING, Any

from gpu_coord.cli.display import N_SHOWN, describe_cost, print_lines, print_top

if TYPE_CHECKING:
    from gpu_coord.results.findings import Findings


def show_cohorts(found: "Findings") -> None:
    """Print when accounts were made."""
    import polars as pl

    p, alpha = pl.col("p_value"), found.settings["alpha"]
    first, *said = _describe_cohorts(found.summary, alpha=alpha)
    print_lines(first, "", wrap=True)
    print_top(
        "When accounts were made",
        found.read("cohorts").filter(p.is_null() | (p < alpha)).cast({"period": pl.String}),
        {"class": "class", "period": found.settings["period"], "n_accounts": "accounts",
         "n_controls": "others", "ratio": "ratio", "q_value": "q", "median_age_days": "age, days"},
        by="p_value -n_accounts class period",
    )  # fmt: skip
    print_top(
        "How classes differ from the others",
        found.read("profiles"),
        {"class": "class", "measure": "measure", "n_accounts": "accounts", "q25": "25 %",
         "median": "median", "q75": "75 %", "control_median": "others", "shift": "shift"},
        n_shown=5 * N_SHOWN,  # classes can be many; the measures of each stay together
    )  # fmt: skip
    print_lines(*said, "", describe_cost(found), wrap=True)


def _describe_cohorts(summary: dict[str, Any], *, alpha: float) -> list[str]:
    lines = ["There is nobody to compare with, so nothing is tested; add controls."]
    if summary["has_controls"]:
        lines = [
            f"{summary['n_significant']:,} cohorts, with {summary['n_accounts_in_significant']:,} "
            f"accounts, are larger than the others let expect, at a false discovery rate of "
            f"{alpha:g}."
        ]
    lines.append(
        f"{summary['n_dated']:,} of {summary['n_accounts']:,} accounts have a creation date; "
        f"{summary['n_contradictory']:,} posted before it, {summary['n_without_posts']:,} never."
    )
    lines.append(
        "People join in the same week for many reasons, such as an event: look at what they share."
    )
    return lines
