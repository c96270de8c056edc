"""A store -> runs of what accounts did together within seconds."""

from typing import Annotated, Literal

import typer

from gpu_coord.cli import options
from gpu_coord.cli.display import show_progress
from gpu_coord.cli.findings import show_findings
from gpu_coord.cli.values import (
    choose_backend,
    parse_memory,
    read_labels,
    split_list,
    split_windows,
)

MergeChoice = Literal["union", "intersection", "fused"]


def share(
    store: options.Store,
    out: options.NewRun,
    kind: options.Objects,
    window: Annotated[
        str,
        typer.Option(
            help="Longest gap of a pair, included, like 60s; auto estimates it. Of several, like "
            "10s,60s, the longest; the others are counted beside it."
        ),
    ] = "60s",
    mode: Annotated[
        options.ModeChoice,
        typer.Option(help="strict, or what another tool computes, quirks and all."),
    ] = "strict",
    min_participation: options.MinParticipation = 1,
    edge_weight_quantile: options.EdgeWeightQuantile = None,
    min_weight: Annotated[float | None, typer.Option(help="Least weight of an edge.")] = None,
    fast_window: Annotated[
        str | None, typer.Option(help="Shorter window of coortweet's fast network.")
    ] = None,
    subgraph: Annotated[
        int, typer.Option(min=0, max=3, help="Part of coortweet's network to take, 1 to 3.")
    ] = 0,
    all_edges: Annotated[
        bool, typer.Option("--all-edges", help="No tests: every edge is in the network.")
    ] = False,
    null: options.Null = "day",
    alpha: options.Alpha = 0.05,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Also tabulate what window the data suggest.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also list what the mode changes against strict.")
    ] = False,
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
    """Find who shared the same things within seconds."""
    from gpu_coord.sharing import share as run

    with show_progress() as progress:
        findings = run(
            store,
            out,
            kinds=split_list(kind),
            labels=read_labels(labels),
            graphs=graphs,
            backend=choose_backend(backend, threads=threads),
            memory=parse_memory(memory),
            progress=progress,
            **split_windows(window),
            mode=mode,
            min_participation=min_participation,
            edge_weight_quantile=edge_weight_quantile,
            min_weight=min_weight,
            fast_window=fast_window,
            subgraph=subgraph,
            tests=not all_edges,
            null=null,
            alpha=alpha,
            intervals=intervals,
            compare=compare,
            start=start,
            end=end,
            seed=seed,
        )
    show_findings(findings, as_json=json_, show_ids=show_ids)


def coact(
    store: options.Store,
    out: options.NewRun,
    layers: Annotated[
        str,
        typer.Option(
            help="co_ and a kind, like co_url, or co_url:10s for its own window; "
            "co_hashtag_sequence, similar_text, fast_retweet; separated by commas."
        ),
    ],
    window: Annotated[
        str, typer.Option(help="Longest gap of a pair, included, in layers without their own.")
    ] = "60s",
    merge: Annotated[
        MergeChoice,
        typer.Option(help="Edges of any layer, of all, or those that all layers' tests support."),
    ] = "union",
    min_layers: Annotated[int, typer.Option(min=1, help="Least layers of an edge.")] = 1,
    min_weight: Annotated[
        int, typer.Option(min=1, help="Least distinct objects of an edge in a layer.")
    ] = 1,
    min_participation: options.MinParticipation = 1,
    min_tags: Annotated[
        int, typer.Option(min=1, help="Least hashtags of a post, for it to be a sequence.")
    ] = 5,
    similarity: Annotated[
        float, typer.Option(help="Least Jaccard index of similar texts, 0.5 to 1.")
    ] = 0.8,
    null: options.Null = "day",
    alpha: options.Alpha = 0.05,
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
    """Find who does the same things in several ways: layers of co-action, and their merge."""
    from gpu_coord.coaction import coact as run

    with show_progress() as progress:
        findings = run(
            store,
            out,
            layers=split_list(layers),
            labels=read_labels(labels),
            graphs=graphs,
            backend=choose_backend(backend, threads=threads),
            memory=parse_memory(memory),
            progress=progress,
            window=window,
            merge=merge,
            min_layers=min_layers,
            min_weight=min_weight,
            min_participation=min_participation,
            min_tags=min_tags,
            similarity=similarity,
            null=null,
            alpha=alpha,
            start=start,
            end=end,
            seed=seed,
        )
    show_findings(findings, as_json=json_, show_ids=show_ids)
