"""An archive with a planted operation, and the whole way from it to figures."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gpu_coord.cli import options
from gpu_coord.cli.display import flatten, print_json, print_lines, print_rows, show_progress
from gpu_coord.cli.evaluations import show_figures
from gpu_coord.cli.findings import show_findings
from gpu_coord.cli.values import choose_backend, parse_memory

SimulationFormat = Literal["csv", "csv.gz", "shares.csv", "shares.csv.gz", "shares.parquet"]


def simulate(
    out: options.NewFolder,
    preset: Annotated[
        str,
        typer.Option(
            help="demo, null, crowds, swift, or the size of a published takedown: august2019, "
            "june2020, russia2020, turkey2020, cncc2021, cnhu2021."
        ),
    ] = "demo",
    n_posts: Annotated[
        int | None, typer.Option(min=1, help="Scale the preset to this many posts.")
    ] = None,
    format: Annotated[
        SimulationFormat, typer.Option(help="An X archive, or a share table of it.")
    ] = "csv",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter in the place of the preset's, name=value."),
    ] = None,
    seed: options.Seed = 0,
    threads: options.Threads = None,  # named for its place in the help, after the seed
    json_: options.Json = False,
) -> None:
    """Write an archive with a planted operation, and the truth about it."""
    from gpu_coord.simulation import parse_parameter
    from gpu_coord.simulation import simulate as run

    with show_progress() as progress:
        made = run(
            out,
            preset=preset,
            seed=seed,
            n_posts=n_posts,
            format=format,
            progress=progress,
            **dict(map(parse_parameter, set_ or [])),
        )
    sizes = {
        "n_posts": made.n_posts,
        "n_accounts": made.n_accounts,
        "n_operation_accounts": made.n_operation_accounts,
    }
    if json_:
        print_json(sizes)
    else:
        print_rows(f"Simulation {out}", ["what", "number"], flatten(sizes))


def demo(
    out: options.NewFolder = Path("demo"),
    seed: options.Seed = 0,
    backend: options.Backend = "auto",
    memory: options.Memory = None,
    threads: options.Threads = None,
    json_: options.Json = False,
) -> None:
    """Simulate an archive, find its operation, score it against the truth."""
    from gpu_coord.archive import ingest as read
    from gpu_coord.detection import detect as find
    from gpu_coord.evaluation import evaluate as score
    from gpu_coord.simulation import simulate as make

    with show_progress() as progress:
        archive = make(out / "archive", seed=seed, progress=progress)
        files = [archive.path / "tweets.csv", archive.path / "users.csv"]
        store = read(files, out / "store", progress=progress)
        findings = find(
            store,
            out / "run",
            backend=choose_backend(backend, threads=threads),
            memory=parse_memory(memory),
            progress=progress,
        )
    figures = score(findings, archive.path / "truth_accounts.parquet")
    if json_:
        print_json({"summary": findings.summary, "evaluation": figures})
        return
    show_findings(findings, as_json=False, show_ids=False)
    show_figures(figures)
    print_lines(
        "",
        f"Look at {findings.path}: run.json says what was done, accounts.parquet and "
        "edges.parquet hold the network, network.gexf opens in Gephi.",
    )
