"""A store -> when the accounts of classes were made, beside the others."""

from typing import TYPE_CHECKING, Any

from gpu_coord.cli.display import N_SHOWN, Rows, print_lines, print_rows

if TYPE_CHECKING:
    from gpu_coord.results.findings import Findings


def show_cohorts(found: "Findings") -> None:
    """Print when accounts were made."""
    settings = found.content["settings"]
    print_rows("When accounts were made", *_list_cohorts(found, period=settings["period"]))
    print_rows("How classes differ from the others", *_list_profiles(found))
    print_lines(*_describe_cohorts(found.summary, alpha=settings["alpha"]))


def _list_cohorts(found: "Findings", *, period: str) -> Rows:
    import polars as pl

    p = pl.col("p_value")
    table = found.read("cohorts").filter(p.is_null() | (p < found.content["settings"]["alpha"]))
    order = ["p_value", "n_accounts", "class", "period"]
    first = table.sort(order, descending=[False, True, False, False], nulls_last=True)
    columns = ["n_accounts", "n_controls", "ratio", "q_value", "median_age_days"]
    rows = first.head(N_SHOWN).select("class", pl.col("period").cast(pl.String), *columns).rows()
    return ["class", period, "accounts", "others", "ratio", "q", "age, days"], rows


def _list_profiles(found: "Findings") -> Rows:
    columns = ["class", "measure", "n_accounts", "q25", "median", "q75", "control_median", "shift"]
    shown = ["class", "measure", "accounts", "25 %", "median", "75 %", "others", "shift"]
    # Classes are many where they are communities; the measures of each stay together.
    return shown, found.read("profiles").head(5 * N_SHOWN).select(columns).rows()


def _describe_cohorts(summary: dict[str, Any], *, alpha: float) -> list[str]:
    lines = [
        f"{summary['n_dated']:,} of {summary['n_accounts']:,} accounts have a creation date; "
        f"{summary['n_contradictory']:,} posted before it, {summary['n_without_posts']:,} never."
    ]
    if not summary["has_controls"]:
        lines.append("There is nobody to compare with, so nothing is tested; add controls.")
    else:
        lines.append(
            f"{summary['n_significant']:,} cohorts, with {summary['n_accounts_in_significant']:,} "
            f"accounts, are larger than the others let expect, at a false discovery rate of "
            f"{alpha:g}."
        )
    lines.append(
        "People join in the same week for many reasons, such as an event: look at what they share."
    )
    return lines
