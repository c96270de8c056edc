"""A store -> a run, and what the same tests find where there is no coordination."""

from typing import Annotated, Any, Literal

import typer

from gpu_coord.cli import options
from gpu_coord.cli.display import print_json, print_lines, show_progress
from gpu_coord.cli.findings import show_findings
from gpu_coord.cli.values import choose_backend, choose_lags, parse_memory, read_labels, split_list

MeasureChoice = Literal["trace", "frobenius"]
UndefinedChoice = Literal["marginal", "zero", "skip"]
DenominatorChoice = Literal["all", "union", "intersection", "source", "idf", "none"]


def detect(
    store: options.Store,
    out: options.NewRun,
    kinds: options.Kinds = options.KINDS,
    bin: options.Bin = "1h",
    lag: options.Lag = None,
    lags: options.Lags = None,
    min_posts: options.MinPosts = 1,
    top_percent: options.TopPercent = 100.0,
    match: options.Match = None,
    start: options.Start = None,
    end: options.End = None,
    split_at: Annotated[
        str | None, typer.Option(help="Also analyse before this time, and from it on.")
    ] = None,
    measure: Annotated[
        MeasureChoice, typer.Option(help="How a matrix becomes a weight.")
    ] = "trace",
    undefined: Annotated[
        UndefinedChoice, typer.Option(help="An entity that the source never used.")
    ] = "marginal",
    denominator: Annotated[
        DenominatorChoice, typer.Option(help="Which entities the mean is over.")
    ] = "all",
    shrink: Annotated[
        float, typer.Option(help="Pseudo-transitions at the target's own rate.")
    ] = 0.0,
    min_support: Annotated[int, typer.Option(help="Least lagged coincidences of an edge.")] = 1,
    min_weight: Annotated[float, typer.Option(help="An edge's weight lies above this.")] = 0.0,
    null: options.Null = "day",
    alpha: options.Alpha = 0.05,
    groups: options.Groups = 4,
    paper: Annotated[
        bool, typer.Option("--paper", help="Skip significance: every edge is in the network.")
    ] = False,
    labels: options.Labels = None,
    graphs: options.Graphs = False,
    show_ids: options.ShowIds = False,
    backend: options.Backend = "auto",
    memory: options.Memory = None,
    threads: options.Threads = None,
    seed: options.Seed = 0,
    json_: options.Json = False,
) -> None:
    """Find the coordination network of a store."""
    from gpu_coord.detection import detect as run

    with show_progress() as progress:
        findings = run(
            store,
            out,
            labels=read_labels(labels),
            graphs=graphs,
            backend=choose_backend(backend, threads=threads),
            memory=parse_memory(memory),
            progress=progress,
            kinds=split_list(kinds),
            bin=bin,
            lags=choose_lags(lag, lags),
            min_posts=min_posts,
            top_percent=top_percent,
            match=match,
            start=start,
            end=end,
            split_at=split_at,
            measure=measure,
            undefined=undefined,
            denominator=denominator,
            shrink=shrink,
            min_support=min_support,
            min_weight=min_weight,
            paper=paper,
            null=null,
            alpha=alpha,
            groups=groups,
            seed=seed,
        )
    show_findings(findings, as_json=json_, show_ids=show_ids)


def calibrate(
    store: options.Store,
    out: options.NewFolder,
    copies: Annotated[int, typer.Option(min=1, help="Copies without coordination to test.")] = 20,
    kinds: options.Kinds = options.KINDS,
    bin: options.Bin = "1h",
    lag: options.Lag = None,
    lags: options.Lags = None,
    min_posts: options.MinPosts = 1,
    top_percent: options.TopPercent = 100.0,
    match: options.Match = None,
    start: options.Start = None,
    end: options.End = None,
    null: options.Null = "day",
    alpha: options.Alpha = 0.05,
    groups: options.Groups = 4,
    labels: options.Labels = None,
    backend: options.Backend = "auto",
    memory: options.Memory = None,
    threads: options.Threads = None,
    seed: options.Seed = 0,
    json_: options.Json = False,
) -> None:
    """Count what the tests find in copies of a store whose days were permuted: false findings."""
    from gpu_coord.calibration import calibrate as run

    with show_progress() as progress:
        found = run(
            store,
            out,
            n_copies=copies,
            labels=read_labels(labels),
            backend=choose_backend(backend, threads=threads),
            memory=parse_memory(memory),
            progress=progress,
            kinds=split_list(kinds),
            bin=bin,
            lags=choose_lags(lag, lags),
            min_posts=min_posts,
            top_percent=top_percent,
            match=match,
            start=start,
            end=end,
            null=null,
            alpha=alpha,
            groups=groups,
            seed=seed,
        )
    if json_:
        print_json(found.summary)
    else:
        lines = _describe_calibration(found.summary)
        print_lines(*lines, f"Look at {found.path / 'qq.png'}.")


def _describe_calibration(summary: dict[str, Any]) -> list[str]:
    low, high = summary["lambda_of_copies"]
    lines = [
        f"lambda {summary['lambda']:.2f} in the data, {low:.2f} to {high:.2f} in "
        f"{summary['n_copies']} copies whose accounts' days were permuted."
    ]
    for what, n_found in (("edges", "n_significant"), ("groups", "n_groups")):
        if n_found not in summary:
            continue
        false = summary[f"false_{what}"]
        low, high = false["share_interval"]
        lines.append(
            f"Significant {what}: {summary[n_found]:,} in the data, {false['per_copy']:.3g} per "
            f"copy; {false['n_copies_with_any']} copies have any (95% interval of their share: "
            f"{low:.1%} to {high:.1%})."
        )
    return lines
