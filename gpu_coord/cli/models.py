"""A store -> the influence model, whose activity each account takes up."""

from typing import TYPE_CHECKING, Any

from gpu_coord.cli.display import N_SHOWN, Rows, choose_id, list_counts, print_lines, print_rows

if TYPE_CHECKING:
    from gpu_coord.results.findings import Findings


def show_model(found: "Findings", *, show_ids: bool) -> None:
    """Print the strongest influences of a model."""
    leading = "Accounts whose activity others take up most"
    print_rows(f"Model {found.path}", ["what", "number"], _list_fit(found))
    print_rows(leading, *_list_accounts(found, show_ids=show_ids))
    print_rows("Influences that explain most", *_list_influences(found, show_ids=show_ids))
    print_lines(*_describe_fit(found))


def _list_accounts(found: "Findings", *, show_ids: bool) -> Rows:
    import polars as pl

    name = choose_id(show_ids=show_ids)
    causing = found.read("accounts").filter(pl.col("caused") > 0)
    leading = causing.sort("caused", "account_id", descending=[True, False]).head(N_SHOWN)
    columns = [name, "label", "caused", "influence_pi", "immigrant_ratio", "n_active"]
    shown = [name, "label", "caused", "pi", "immigrant ratio", "active"]
    return shown, leading.select(columns).rows()


def _list_influences(found: "Findings", *, show_ids: bool) -> Rows:
    names = found.read("accounts").select("account_id", shown=choose_id(show_ids=show_ids))
    influences = found.read("influences")
    strongest = influences.sort(["caused", "source", "target"], descending=[True, False, False])
    named = strongest.head(N_SHOWN)
    for side in ("source", "target"):
        shown = names.rename({"account_id": side, "shown": f"{side}_shown"})
        named = named.join(shown, on=side, how="left", maintain_order="left")
    columns = ["source_shown", "target_shown", "d", "slope_low", "slope_high", "caused"]
    return ["source", "target", "d", "from", "to", "caused"], named.select(columns).rows()


def _list_fit(found: "Findings") -> list[tuple[str, Any]]:
    return [
        *list_counts(found.summary),
        ("seconds", round(sum(stage["seconds"] for stage in found.content["stages"]), 2)),
        ("specification", found.content["specification"][:12]),
    ]


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
