"""A store -> the influence model, whose activity each account takes up."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gpu_coord.cli import options
from gpu_coord.cli.display import (
    N_SHOWN,
    Rows,
    choose_id,
    list_counts,
    print_json,
    print_lines,
    print_rows,
    show_progress,
)
from gpu_coord.cli.values import choose_backend, parse_memory, read_labels, split_list

if TYPE_CHECKING:
    from gpu_coord.model import FittedModel

EmissionChoice = Literal["copy", "tied", "plugin"]


def model(
    store: options.Store,
    out: options.NewFolder,
    kinds: options.Kinds = options.KINDS,
    bin: options.Bin = "1h",
    min_posts: options.MinPosts = 1,
    top_percent: options.TopPercent = 100.0,
    start: options.Start = None,
    end: options.End = None,
    emission: Annotated[
        EmissionChoice, typer.Option(help="What accounts pass on; plugin overstates influence.")
    ] = "copy",
    background: Annotated[
        bool, typer.Option("--background/--no-background", help="What accounts do of themselves.")
    ] = True,
    candidates: Annotated[
        Path | None, typer.Option(help="A run: only its significant edges may be influences.")
    ] = None,
    min_support: Annotated[
        int, typer.Option(min=1, help="Without a run: least lagged coincidences of a pair.")
    ] = 2,
    teleport: Annotated[
        float, typer.Option(help="Of the influence pi: the chance to go on anywhere.")
    ] = 0.1,
    tolerance: Annotated[
        float, typer.Option(help="Nats of likelihood that may be missing, for each account.")
    ] = 0.01,
    labels: options.Labels = None,
    show_ids: options.ShowIds = False,
    backend: options.Backend = "auto",
    memory: options.Memory = None,
    threads: options.Threads = None,
    json_: options.Json = False,
) -> None:
    """Learn the influence model: whose activity each account takes up, and how often."""
    from gpu_coord.model import fit_model as run

    with show_progress() as progress:
        found = run(
            store,
            out,
            candidates=candidates,
            labels=read_labels(labels),
            backend=choose_backend(backend, threads=threads),
            memory=parse_memory(memory),
            progress=progress,
            kinds=split_list(kinds),
            bin=bin,
            min_posts=min_posts,
            top_percent=top_percent,
            start=start,
            end=end,
            emission=emission,
            background=background,
            min_support=min_support,
            teleport=teleport,
            tolerance=tolerance,
        )
    if json_:
        print_json(found.summary)
    else:
        _show_model(found, show_ids=show_ids)


def _show_model(found: "FittedModel", *, show_ids: bool) -> None:
    leading = "Accounts whose activity others take up most"
    print_rows(f"Model {found.path}", ["what", "number"], _list_fit(found))
    print_rows(leading, *_list_accounts(found, show_ids=show_ids))
    print_rows("Influences that explain most", *_list_influences(found, show_ids=show_ids))
    print_lines(*_describe_fit(found))


def _list_accounts(found: "FittedModel", *, show_ids: bool) -> Rows:
    import polars as pl

    name = choose_id(show_ids=show_ids)
    causing = found.read("accounts").filter(pl.col("caused") > 0)
    leading = causing.sort("caused", "account_id", descending=[True, False]).head(N_SHOWN)
    columns = [name, "label", "caused", "influence_pi", "immigrant_ratio", "n_active"]
    shown = [name, "label", "caused", "pi", "immigrant ratio", "active"]
    return shown, leading.select(columns).rows()


def _list_influences(found: "FittedModel", *, show_ids: bool) -> Rows:
    names = found.read("accounts").select("account_id", shown=choose_id(show_ids=show_ids))
    influences = found.read("influences")
    strongest = influences.sort(["caused", "source", "target"], descending=[True, False, False])
    named = strongest.head(N_SHOWN)
    for side in ("source", "target"):
        shown = names.rename({"account_id": side, "shown": f"{side}_shown"})
        named = named.join(shown, on=side, how="left", maintain_order="left")
    columns = ["source_shown", "target_shown", "d", "slope_low", "slope_high", "caused"]
    return ["source", "target", "d", "from", "to", "caused"], named.select(columns).rows()


def _list_fit(found: "FittedModel") -> list[tuple[str, Any]]:
    return [
        *list_counts(found.summary),
        ("seconds", round(sum(stage["seconds"] for stage in found.content["stages"]), 2)),
        ("specification", found.content["specification"][:12]),
    ]


def _describe_fit(found: "FittedModel") -> list[str]:
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
