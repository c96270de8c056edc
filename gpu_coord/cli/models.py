"""A store -> the influence model, whose activity each account takes up."""

from typing import TYPE_CHECKING

from gpu_coord.cli.display import choose_id, describe_cost, print_lines, print_top
from gpu_coord.results.sentences import describe_counts

if TYPE_CHECKING:
    import polars as pl

    from gpu_coord.results.findings import Findings


def show_model(found: "Findings", *, show_ids: bool) -> None:
    """Print the strongest influences of a model."""
    import polars as pl

    *first, last = _describe_fit(found)
    print_lines(*first, "", wrap=True)
    print_top(
        "Accounts whose activity others take up most",
        found.read("accounts").filter(pl.col("caused") > 0),
        {"account": "", "label": "label", "caused": "caused", "influence_pi": "pi",
         "immigrant_ratio": "immigrant ratio", "n_active": "active"},
        by="-caused account_id",
        show_ids=show_ids,
    )  # fmt: skip
    print_top(
        "Influences that explain most",
        _name_ends(found, show_ids=show_ids),
        {"source_shown": "source", "target_shown": "target", "d": "d", "slope_low": "from",
         "slope_high": "to", "caused": "caused"},
        by="-caused source target",
        n_names=2,
    )  # fmt: skip
    counts = describe_counts(found.summary)
    print_lines(last, "", f"The model: {counts}. {describe_cost(found)}", wrap=True)


def _name_ends(found: "Findings", *, show_ids: bool) -> "pl.DataFrame":
    """Return the influences with both accounts as they are shown."""
    names = found.read("accounts").select("account_id", shown=choose_id(show_ids=show_ids))
    named = found.read("influences")
    for side in ("source", "target"):
        shown = names.rename({"account_id": side, "shown": f"{side}_shown"})
        named = named.join(shown, on=side, how="left", maintain_order="left")
    return named


def _describe_fit(found: "Findings") -> list[str]:
    summary = found.summary
    lines = []
    if summary["share_taken"] is not None:
        lines.append(
            f"{summary['share_taken']:.1%} of {summary['n_events']:,} active cells are explained "
            f"by others' activity in the bin before, {summary['share_immigrant']:.1%} by the "
            f"accounts' own habits. No other row of D could gain an account more than "
            f"{summary['max_gap']:.2g} nats of likelihood."
        )
    n_open = summary["n_accounts"] - summary["n_identified"]
    if n_open:
        lines.append(
            f"{n_open:,} accounts have rows that these data do not pin down (identified: false); "
            "--min-posts leaves out accounts that did too little to tell."
        )
    lines.append(
        "This is apparent influence: a common plan, or a common source, looks the same. It "
        "attributes nothing to anyone."
    )
    return lines
