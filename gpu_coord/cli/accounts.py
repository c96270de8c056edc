"""A run -> what is behind the edges of two accounts, and the part that each account plays."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_coord.cli import options
from gpu_coord.cli.display import (
    Rows,
    choose_id,
    print_json,
    print_lines,
    print_rows,
    show_progress,
)

if TYPE_CHECKING:
    from gpu_coord.run import Findings

_N_OF_EACH = 4  # accounts of each role


def explain(
    run: options.Run,
    a: Annotated[str, typer.Argument(help="An account, by its id or its pseudonym.")],
    b: Annotated[str, typer.Argument(help="Another account.")],
    show_ids: options.ShowIds = False,
    json_: options.Json = False,
) -> None:
    """Show what is behind the edges between two accounts, and what was to be expected."""
    from gpu_coord.explanation import explain as look_up
    from gpu_coord.explanation import render
    from gpu_coord.terminal import open_consoles

    explanation = look_up(run, a, b)
    if json_:
        print_json(explanation.to_dict(show_ids=show_ids))
    else:
        render(explanation, console=open_consoles()[0], show_ids=show_ids)


def roles(
    run: Annotated[Path, typer.Argument(help="A run made by `gpu-coord detect` or `share`.")],
    store: Annotated[
        Path | None, typer.Option(help="What the run was made from (the one beside it).")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="A folder of `gpu-coord model` on the same store.")
    ] = None,
    wave: Annotated[
        str, typer.Option(help="So long a silence of an object ends its wave; none: one wave each.")
    ] = "6h",
    min_earliness: Annotated[
        float, typer.Option(help="A catalyst's earliness z lies above this.")
    ] = 2.0,
    min_direction: Annotated[
        float, typer.Option(help="Leaders' direction z lies above it, amplifiers' below minus it.")
    ] = 2.0,
    min_followers: Annotated[int, typer.Option(help="So many a core account leads.")] = 3,
    min_participation: Annotated[
        float, typer.Option(help="A bridge's participation lies above this.")
    ] = 0.62,
    show_ids: options.ShowIds = False,
    json_: options.Json = False,
) -> None:
    """Say which part each account plays in a run, with the numbers; the run's accounts get them."""
    from gpu_coord.roles import assign_roles

    with show_progress() as progress:
        findings = assign_roles(
            run,
            store,
            model=model,
            progress=progress,
            wave=None if wave == "none" else wave,
            min_earliness=min_earliness,
            min_direction=min_direction,
            min_followers=min_followers,
            min_participation=min_participation,
        )
    if json_:
        print_json(findings.run["roles"]["counts"])
    else:
        _show_roles(findings, show_ids=show_ids)


def _show_roles(findings: "Findings", *, show_ids: bool) -> None:
    counts = findings.run["roles"]["counts"]
    print_rows(f"Roles in {findings.path}", ["role", "accounts"], counts.items())
    print_rows("The first accounts of each", *_list_roles(findings, show_ids=show_ids))
    lines = [
        f"{findings.path / 'accounts.parquet'} has all scores, and in role_reasons what holds.",
        "A role says how an account stands in this network at this time. Apparent influence is not "
        "intent, and a rule on numbers is no verdict on anyone.",
    ]
    if not findings.summary["n_components"]:
        lines.insert(0, "The network of this run has no edges, so that nobody plays a part in it.")
    print_lines(*lines)


def _list_roles(findings: "Findings", *, show_ids: bool) -> Rows:
    import polars as pl

    name = choose_id(show_ids=show_ids)
    shown = {
        name: name, "role": "role", "earliness_z": "early z", "direction_z": "dir. z",
        "n_followers": "leads", "n_leaders": "follows", "participation": "partic.",
        "originality": "own", "immigrant_ratio": "immigrant",
    }  # fmt: skip
    words = [word for word in findings.run["roles"]["counts"] if word != "none"]
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
