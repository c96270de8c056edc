"""Seeds -> the objects and accounts that they lead to, round by round."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_coord.cli import options
from gpu_coord.cli.display import (
    N_SHOWN,
    Rows,
    hide_ids,
    print_json,
    print_lines,
    print_rows,
    show_progress,
)
from gpu_coord.cli.values import choose_backend, parse_memory, read_labels, split_list

if TYPE_CHECKING:
    from gpu_coord.cycle import Cycle


def cycle(
    store: options.Store,
    seeds: Annotated[
        Path, typer.Option(help="What to begin with: one value a line, or a CSV or Parquet table.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write, a run for each round.")],
    kind: options.Objects = "url",
    window: Annotated[
        str, typer.Option(help="Longest gap of a pair, included, like 60s; auto estimates it.")
    ] = "60s",
    mode: Annotated[options.ModeChoice, typer.Option(help="As of `gpu-coord share`.")] = "strict",
    min_weight: Annotated[float, typer.Option(help="Least weight of an edge.")] = 2,
    edge_weight_quantile: options.EdgeWeightQuantile = None,
    min_participation: Annotated[
        int, typer.Option(min=1, help="Leave out accounts with fewer events of a round's objects.")
    ] = 1,
    min_sharers: Annotated[
        int, typer.Option(min=1, help="Accounts found that share an object, for it to be followed.")
    ] = 2,
    max_popularity: Annotated[
        int | None, typer.Option(min=1, help="Do not follow what more accounts, of all, share.")
    ] = None,
    max_rounds: Annotated[int, typer.Option(min=1, max=99, help="Rounds at most.")] = 10,
    start: options.Start = None,
    end: options.End = None,
    labels: options.Labels = None,
    graphs: options.Graphs = False,
    show_ids: options.ShowIds = False,
    backend: options.Backend = "auto",
    memory: options.Memory = None,
    threads: options.Threads = None,
    seed: options.Seed = 0,
    json_: options.Json = False,
) -> None:
    """Follow objects to those who share them together, these to their objects, and so on."""
    from gpu_coord.cycle import run_cycle as run

    with show_progress() as progress:
        found = run(
            store,
            seeds,
            out,
            kinds=split_list(kind),
            labels=read_labels(labels),
            graphs=graphs,
            backend=choose_backend(backend, threads=threads),
            memory=parse_memory(memory),
            progress=progress,
            window=window,
            mode=mode,
            min_weight=min_weight,
            edge_weight_quantile=edge_weight_quantile,
            min_participation=min_participation,
            min_sharers=min_sharers,
            max_popularity=max_popularity,
            max_rounds=max_rounds,
            start=start,
            end=end,
            seed=seed,
        )
    if json_:
        print_json(found.summary)
    else:
        _show_cycle(found, show_ids=show_ids)


def _show_cycle(found: "Cycle", *, show_ids: bool) -> None:
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


def _list_followed(found: "Cycle", *, show_ids: bool) -> Rows:
    import polars as pl

    objects = found.read("objects").filter(pl.col("n_sharers") > 0)
    columns = ["n_sharers", "n_accounts", "kind", "value"]
    leading = objects.sort(columns, descending=[True, False, False, False]).head(N_SHOWN)
    shown = hide_ids(leading, show_ids=show_ids).select("kind", "value", "round", *columns[:2])
    return ["kind", "value", "found in round", "found accounts", "all accounts"], shown.rows()


def _describe_cycle(found: "Cycle") -> list[str]:
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
