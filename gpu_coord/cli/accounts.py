"""A run -> what is behind the edges of two accounts, and the part that each account plays."""

from typing import TYPE_CHECKING

from gpu_coord.cli.display import Rows, choose_id, describe_place, print_lines, print_rows

if TYPE_CHECKING:
    from gpu_coord.results.findings import Findings

_N_OF_EACH = 4  # accounts of each role


def show_roles(findings: "Findings", *, show_ids: bool) -> None:
    """Print how many accounts play which part, and the first of each."""
    counts = findings.content["roles"]["counts"]
    print_rows("Roles", ["role", "accounts"], counts.items())
    print_rows("The first accounts of each", *_list_roles(findings, show_ids=show_ids))
    lines = [
        f"{findings.path / 'accounts.parquet'} has all scores, and in role_reasons what holds.",
        "A role says how an account stands in this network at this time. Apparent influence is not "
        "intent, and a rule on numbers is no verdict on anyone.",
    ]
    if not findings.summary["n_components"]:
        lines.insert(0, "The network of this run has no edges, so that nobody plays a part in it.")
    print_lines(*lines, "", describe_place(findings), wrap=True)


def _list_roles(findings: "Findings", *, show_ids: bool) -> Rows:
    import polars as pl

    name = choose_id(show_ids=show_ids)
    shown = {
        name: name, "role": "role", "earliness_z": "early z", "direction_z": "dir. z",
        "n_followers": "leads", "n_leaders": "follows", "participation": "partic.",
        "originality": "own", "immigrant_ratio": "immigrant",
    }  # fmt: skip
    words = [word for word in findings.content["roles"]["counts"] if word != "none"]
    leading = (
        findings.read("accounts")
        .filter(pl.col("role").is_in(words))
        .sort(pl.col("role").cast(pl.Enum(words)), -pl.col("direction_z").abs(), "account_id",
              nulls_last=True)
        .group_by("role", maintain_order=True)
        .head(_N_OF_EACH)
    )  # fmt: skip
    rounded = leading.select(*shown).with_columns(pl.col(pl.Float64).round(2))
    return list(shown.values()), rounded.rows()
