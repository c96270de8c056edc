"""The commands. They parse, call one public function each, and show what came back."""

import errno
import functools
import json
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    import polars as pl

    from gpu_coord.backend import Backend
    from gpu_coord.cascades import Cascades
    from gpu_coord.cohorts import Cohorts
    from gpu_coord.cycle import Cycle
    from gpu_coord.model import FittedModel
    from gpu_coord.run import Findings
    from gpu_coord.sweeps import Sweep

app = typer.Typer(
    name="gpu-coord",
    help="Finds accounts acting together in social-media archives, and shows the evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

WRONG_REQUEST, MACHINE_CANNOT, INTERRUPTED = 1, 3, 130
N_SHOWN = 10
N_OF_EACH = 4  # accounts of each role
_KINDS = "hashtag,url,mention"
_SYMMETRIC = ("share", "coact")  # commands whose runs are about what two accounts have in common


BackendChoice = Literal["auto", "cpu", "gpu"]
FormatChoice = Literal["auto", "x-archive", "shares", "crowdtangle"]
UrlRuleChoice = Literal["canonical", "paper"]
TimeChoice = Literal["auto", "stamp"]
SimulationFormat = Literal["csv", "csv.gz", "shares.csv", "shares.csv.gz", "shares.parquet"]
MeasureChoice = Literal["trace", "frobenius"]
UndefinedChoice = Literal["marginal", "zero", "skip"]
NullChoice = Literal["popularity", "entity", "hour", "day", "six_hours"]
ShareModeChoice = Literal["strict", "coortweet", "coornet", "qut"]
MergeChoice = Literal["union", "intersection", "fused"]
GroupingChoice = Literal["auto", "group", "component", "community"]
EmissionChoice = Literal["copy", "tied", "plugin"]
GroupByChoice = Literal["auto", "group", "component", "community", "platform"]
ClassChoice = Literal["auto", "label", "group", "component", "community", "role"]
PeriodChoice = Literal["day", "week", "month"]
FigureChoice = Literal[
    "auc", "average_precision", "precision_at_n_positive", "auc_of_least_p_value"
]
DenominatorChoice = Literal["all", "union", "intersection", "source", "idf", "none"]

BackendOption = Annotated[
    BackendChoice, typer.Option(help="Where to compute; gpu never falls back.")
]
MemoryOption = Annotated[
    str | None,
    typer.Option(help="Memory for the pairs under way, like 8GB (2GB, or half of what is free)."),
]
AnyBackend = Annotated[BackendChoice, typer.Option(hidden=True)]  # nothing to compute here
AnyMemory = Annotated[str | None, typer.Option(hidden=True)]
AnySeed = Annotated[int, typer.Option(min=0, hidden=True)]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Threads to use (all cores).")]
SeedOption = Annotated[int, typer.Option(min=0, help="Same seed, same result.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show where an error came from.")]
KindsOption = Annotated[str, typer.Option(help="Kinds of entity, separated by commas.")]
BinOption = Annotated[str, typer.Option(help="Width of a time bin, like 1h or 15m.")]
LagOption = Annotated[int | None, typer.Option(min=0, help="Bins from source to target (1).")]
LagsOption = Annotated[
    str | None, typer.Option(help="Range of lags, like 1-4; each pair keeps its best.")
]
MinPostsOption = Annotated[int, typer.Option(help="Leave out accounts with fewer posts.")]
TopPercentOption = Annotated[
    float, typer.Option(help="Keep this share of accounts, those with the most posts.")
]
MatchOption = Annotated[
    str | None, typer.Option(help="Label to match with as many other accounts.")
]
StartOption = Annotated[str | None, typer.Option(help="First time, ISO 8601, UTC.")]
EndOption = Annotated[str | None, typer.Option(help="Time before which to stop.")]
NullOption = Annotated[
    NullChoice, typer.Option(help="What chance leaves as it is, in each account's activity.")
]
AlphaOption = Annotated[
    float, typer.Option(help="Share of false ones to accept among significant edges.")
]
GroupsOption = Annotated[
    int,
    typer.Option(
        min=0, help="Groups to look for on each half of the days, the slowest stage; 0: none."
    ),
]
LabelsOption = Annotated[
    Path | None, typer.Option(help="CSV or Parquet with account_id and label.")
]
ShowIdsOption = Annotated[
    bool, typer.Option("--show-ids", help="Show account ids in the place of pseudonyms.")
]


def main() -> None:
    """Run the command line."""
    app(prog_name="gpu-coord")


def reporting_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what can go wrong into one sentence and an exit code; ``--debug`` lets it through."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        if options.get("threads"):
            # Read once, when the libraries are first imported.
            os.environ["POLARS_MAX_THREADS"] = str(options["threads"])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", UserWarning)
                warnings.showwarning = _show_warning
                command(*args, **options)
        except KeyboardInterrupt:
            _fail("interrupted; what was being written is not there.", INTERRUPTED)
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if options["debug"]:
                raise
            _fail(_describe_error(error), _choose_code(error))

    return run


def _choose_code(error: Exception) -> int:
    from gpu_coord.backend import GpuUnavailableError

    if isinstance(error, GpuUnavailableError | MemoryError):
        return MACHINE_CANNOT
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return MACHINE_CANNOT if full else WRONG_REQUEST


def _describe_error(error: Exception) -> str:
    if isinstance(error, FileNotFoundError | PermissionError) and error.filename:
        return f"{error.filename}: {(error.strerror or 'cannot be used').lower()}."
    if isinstance(error, ValueError | OSError | MemoryError | RuntimeError) and str(error):
        return str(error)
    return f"unexpected {type(error).__name__}: {error} (--debug shows where; please report it)."


def _fail(message: str, code: int) -> None:
    _say("error", message)
    raise typer.Exit(code)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _say("warning", str(message))


def _say(kind: str, message: str) -> None:
    from gpu_coord.terminal import clean_lines

    print(f"{kind}: {clean_lines(message)}", file=sys.stderr)


@app.command()
@reporting_errors
def ingest(
    store: Annotated[Path, typer.Option(help="The store folder to write.")],
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files and folders of one archive or more.")
    ] = None,
    format: Annotated[FormatChoice, typer.Option(help="What the files are.")] = "auto",
    exclude: Annotated[
        list[str] | None, typer.Option(help="Entity to leave out, such as a search term.")
    ] = None,
    exclude_file: Annotated[
        Path | None, typer.Option(help="File of entities to leave out, one a line.")
    ] = None,
    url_rule: Annotated[
        UrlRuleChoice, typer.Option(help="What makes two URLs the same.")
    ] = "canonical",
    time: Annotated[
        TimeChoice, typer.Option(help="Time from the tweet id where it agrees, or the stamp.")
    ] = "auto",
    pseudonym_key: Annotated[
        Path | None, typer.Option(help="File with the key that account ids are hashed with.")
    ] = None,
    texts: Annotated[
        bool, typer.Option("--texts", help="Keep what posts say, for similarity of texts.")
    ] = False,
    labels: LabelsOption = None,
    label: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH: one more input, all of it labelled NAME.")
    ] = None,
    backend: AnyBackend = "auto",
    memory: AnyMemory = None,
    threads: ThreadsOption = None,
    seed: AnySeed = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Read archives into a store; done once, everything else reads the store."""
    from gpu_coord.archive import ingest as run
    from gpu_coord.terminal import open_consoles, show_progress

    terms = [*(exclude or []), *(_read_lines(exclude_file) if exclude_file else [])]
    with show_progress(open_consoles()[1]) as progress:
        made = run(
            paths or [],
            store,
            format=format,
            exclude=terms,
            url_rule=url_rule,
            time=time,
            pseudonym_key=_read_key(pseudonym_key) if pseudonym_key else None,
            texts=texts,
            labels=labels,
            label=[_split_label(text) for text in label or []],
            progress=progress,
        )
    _show_store(made.path, made.manifest, as_json=json_)


def _read_lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _read_key(path: Path) -> bytes:
    key = path.read_bytes().strip()
    if len(key) < 16:
        raise ValueError(
            f"the key in {path.name} has {len(key)} bytes; it needs 16 at least, for example from "
            "`openssl rand -hex 32`."
        )
    return key


def _split_label(text: str) -> tuple[str, str]:
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise ValueError(f"--label is {text!r}; write NAME=PATH, like control=controls.csv.")
    return name, path


def _show_store(path: Path, manifest: dict[str, Any], *, as_json: bool) -> None:
    from gpu_coord.terminal import open_consoles, print_table

    if as_json:
        print(json.dumps(manifest["totals"]))
        return
    console = open_consoles()[0]
    columns = ["rows_read", "stored", "rejected", "duplicates"]
    print_table(
        console,
        "Inputs",
        ["file", *(column.replace("_", " ") for column in columns)],
        [[entry["name"], *(entry[column] for column in columns)] for entry in manifest["inputs"]],
    )
    print_table(console, f"Store {path}", ["what", "number"], _flatten(manifest["totals"]))
    print_table(
        console,
        "Entities",
        ["kind", "events", "entities"],
        [
            [kind, n_events, manifest["entities_by_kind"].get(kind, 0)]
            for kind, n_events in manifest["events_by_kind"].items()
        ],
    )
    for name in ("rejected_by_reason", "unread_cells", "excluded_events_by_term"):
        print_table(
            console, name.replace("_", " ").capitalize(), ["what", "number"], manifest[name].items()
        )


def _flatten(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in content.items():
        name = f"{prefix}{key.replace('_', ' ')}"
        rows += _flatten(value, f"{name}: ") if isinstance(value, dict) else [(name, value)]
    return rows


@app.command()
@reporting_errors
def detect(
    store: Annotated[Path, typer.Argument(help="A store made by `gpu-coord ingest`.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    kinds: KindsOption = _KINDS,
    bin: BinOption = "1h",
    lag: LagOption = None,
    lags: LagsOption = None,
    min_posts: MinPostsOption = 1,
    top_percent: TopPercentOption = 100.0,
    match: MatchOption = None,
    start: StartOption = None,
    end: EndOption = None,
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
    null: NullOption = "day",
    alpha: AlphaOption = 0.05,
    groups: GroupsOption = 4,
    paper: Annotated[
        bool, typer.Option("--paper", help="Skip significance: every edge is in the network.")
    ] = False,
    labels: LabelsOption = None,
    graphs: Annotated[
        bool, typer.Option("--graphs", help="Write GraphML and GEXF however large.")
    ] = False,
    show_ids: ShowIdsOption = False,
    backend: BackendOption = "auto",
    memory: MemoryOption = None,
    threads: ThreadsOption = None,
    seed: SeedOption = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Find the coordination network of a store."""
    from gpu_coord.archive import read_labels
    from gpu_coord.detection import detect as run
    from gpu_coord.terminal import open_consoles, show_progress

    with show_progress(open_consoles()[1]) as progress:
        findings = run(
            store,
            out,
            labels=read_labels(labels) if labels else None,
            graphs=graphs,
            backend=_choose_backend(backend, threads),
            memory=_parse_bytes(memory) if memory else None,
            progress=progress,
            kinds=_split_kinds(kinds),
            bin=bin,
            lags=_parse_lags(lag, lags),
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


@app.command()
@reporting_errors
def share(
    store: Annotated[Path, typer.Argument(help="A store made by `gpu-coord ingest`.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    kind: Annotated[str, typer.Option(help="Kinds of object, separated by commas.")],
    window: Annotated[
        str,
        typer.Option(
            help="Longest gap of a pair, included, like 60s; auto estimates it. Of several, like "
            "10s,60s, the longest; the others are counted beside it."
        ),
    ] = "60s",
    mode: Annotated[
        ShareModeChoice, typer.Option(help="strict, or what another tool computes, quirks and all.")
    ] = "strict",
    min_participation: Annotated[
        int, typer.Option(min=1, help="Leave out accounts with fewer events of these kinds.")
    ] = 1,
    edge_weight_quantile: Annotated[
        float | None, typer.Option(help="Quantile of the weights that an edge has to reach.")
    ] = None,
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
    null: NullOption = "day",
    alpha: AlphaOption = 0.05,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Also tabulate what window the data suggest.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also list what the mode changes against strict.")
    ] = False,
    start: StartOption = None,
    end: EndOption = None,
    labels: LabelsOption = None,
    graphs: Annotated[
        bool, typer.Option("--graphs", help="Write GraphML and GEXF however large.")
    ] = False,
    show_ids: ShowIdsOption = False,
    backend: BackendOption = "auto",
    memory: MemoryOption = None,
    threads: ThreadsOption = None,
    seed: SeedOption = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Find who shared the same things within seconds."""
    from gpu_coord.archive import read_labels
    from gpu_coord.sharing import share as run
    from gpu_coord.terminal import open_consoles, show_progress

    with show_progress(open_consoles()[1]) as progress:
        findings = run(
            store,
            out,
            kinds=_split_kinds(kind),
            labels=read_labels(labels) if labels else None,
            graphs=graphs,
            backend=_choose_backend(backend, threads),
            memory=_parse_bytes(memory) if memory else None,
            progress=progress,
            **_split_windows(window),
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


@app.command()
@reporting_errors
def coact(
    store: Annotated[Path, typer.Argument(help="A store made by `gpu-coord ingest`.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
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
    min_participation: Annotated[
        int, typer.Option(min=1, help="Leave out accounts with fewer events of these kinds.")
    ] = 1,
    min_tags: Annotated[
        int, typer.Option(min=1, help="Least hashtags of a post, for it to be a sequence.")
    ] = 5,
    similarity: Annotated[
        float, typer.Option(help="Least Jaccard index of similar texts, 0.5 to 1.")
    ] = 0.8,
    null: NullOption = "day",
    alpha: AlphaOption = 0.05,
    start: StartOption = None,
    end: EndOption = None,
    labels: LabelsOption = None,
    graphs: Annotated[
        bool, typer.Option("--graphs", help="Write GraphML and GEXF however large.")
    ] = False,
    show_ids: ShowIdsOption = False,
    backend: BackendOption = "auto",
    memory: MemoryOption = None,
    threads: ThreadsOption = None,
    seed: SeedOption = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Find who does the same things in several ways: layers of co-action, and their merge."""
    from gpu_coord.archive import read_labels
    from gpu_coord.coaction import coact as run
    from gpu_coord.terminal import open_consoles, show_progress

    with show_progress(open_consoles()[1]) as progress:
        findings = run(
            store,
            out,
            layers=_split_kinds(layers),
            labels=read_labels(labels) if labels else None,
            graphs=graphs,
            backend=_choose_backend(backend, threads),
            memory=_parse_bytes(memory) if memory else None,
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


@app.command()
@reporting_errors
def cycle(
    store: Annotated[Path, typer.Argument(help="A store made by `gpu-coord ingest`.")],
    seeds: Annotated[
        Path, typer.Option(help="What to begin with: one value a line, or a CSV or Parquet table.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write, a run for each round.")],
    kind: Annotated[str, typer.Option(help="Kinds of object, separated by commas.")] = "url",
    window: Annotated[
        str, typer.Option(help="Longest gap of a pair, included, like 60s; auto estimates it.")
    ] = "60s",
    mode: Annotated[ShareModeChoice, typer.Option(help="As of `gpu-coord share`.")] = "strict",
    min_weight: Annotated[float, typer.Option(help="Least weight of an edge.")] = 2,
    edge_weight_quantile: Annotated[
        float | None, typer.Option(help="Quantile of the weights that an edge has to reach.")
    ] = None,
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
    start: StartOption = None,
    end: EndOption = None,
    labels: LabelsOption = None,
    graphs: Annotated[
        bool, typer.Option("--graphs", help="Write GraphML and GEXF however large.")
    ] = False,
    show_ids: ShowIdsOption = False,
    backend: BackendOption = "auto",
    memory: MemoryOption = None,
    threads: ThreadsOption = None,
    seed: SeedOption = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Follow objects to those who share them together, these to their objects, and so on."""
    from gpu_coord.archive import read_labels
    from gpu_coord.cycle import run_cycle as run
    from gpu_coord.terminal import open_consoles, show_progress

    with show_progress(open_consoles()[1]) as progress:
        found = run(
            store,
            seeds,
            out,
            kinds=_split_kinds(kind),
            labels=read_labels(labels) if labels else None,
            graphs=graphs,
            backend=_choose_backend(backend, threads),
            memory=_parse_bytes(memory) if memory else None,
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
        print(json.dumps(found.summary))
    else:
        _show_cycle(found, show_ids=show_ids)


def _show_cycle(found: "Cycle", *, show_ids: bool) -> None:
    from gpu_coord.terminal import open_consoles, print_table

    console = open_consoles()[0]
    columns = ["n_objects", "n_edges", "n_accounts", "n_new_accounts", "n_new_objects"]
    print_table(
        console,
        f"Cycle {found.path}",
        ["round", "objects", "edges", "accounts", "new accounts", "new objects", "too popular"],
        found.read("rounds").select("round", *columns, "n_too_popular").rows(),
    )
    print_table(
        console, "Objects that most of the accounts found share", *_list_followed(found, show_ids)
    )
    for line in _describe_cycle(found):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _list_followed(found: "Cycle", show_ids: bool) -> tuple[list[str], list[Any]]:
    import polars as pl

    objects = found.read("objects").filter(pl.col("n_sharers") > 0)
    columns = ["n_sharers", "n_accounts", "kind", "value"]
    leading = objects.sort(columns, descending=[True, False, False, False]).head(N_SHOWN)
    shown = _hide_ids(leading, show_ids).select("kind", "value", "round", *columns[:2])
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


@app.command()
@reporting_errors
def explain(
    run: Annotated[Path, typer.Argument(help="A run made by `gpu-coord detect`.")],
    a: Annotated[str, typer.Argument(help="An account, by its id or its pseudonym.")],
    b: Annotated[str, typer.Argument(help="Another account.")],
    show_ids: ShowIdsOption = False,
    backend: AnyBackend = "auto",
    memory: AnyMemory = None,
    threads: ThreadsOption = None,
    seed: AnySeed = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show what is behind the edges between two accounts, and what was to be expected."""
    from gpu_coord.explanation import explain as look_up
    from gpu_coord.explanation import render
    from gpu_coord.terminal import open_consoles

    explanation = look_up(run, a, b)
    if json_:
        print(json.dumps(explanation.to_dict(show_ids=show_ids)))
    else:
        render(explanation, console=open_consoles()[0], show_ids=show_ids)


@app.command()
@reporting_errors
def model(
    store: Annotated[Path, typer.Argument(help="A store made by `gpu-coord ingest`.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    kinds: KindsOption = _KINDS,
    bin: BinOption = "1h",
    min_posts: MinPostsOption = 1,
    top_percent: TopPercentOption = 100.0,
    start: StartOption = None,
    end: EndOption = None,
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
    labels: LabelsOption = None,
    show_ids: ShowIdsOption = False,
    backend: BackendOption = "auto",
    memory: MemoryOption = None,
    threads: ThreadsOption = None,
    seed: AnySeed = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Learn the influence model: whose activity each account takes up, and how often."""
    from gpu_coord.archive import read_labels
    from gpu_coord.model import fit_model as run
    from gpu_coord.terminal import open_consoles, show_progress

    with show_progress(open_consoles()[1]) as progress:
        found = run(
            store,
            out,
            candidates=candidates,
            labels=read_labels(labels) if labels else None,
            backend=_choose_backend(backend, threads),
            memory=_parse_bytes(memory) if memory else None,
            progress=progress,
            kinds=_split_kinds(kinds),
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
        print(json.dumps(found.summary))
    else:
        _show_model(found, show_ids=show_ids)


def _show_model(found: "FittedModel", *, show_ids: bool) -> None:
    import polars as pl

    from gpu_coord.terminal import open_consoles, print_table

    console = open_consoles()[0]
    print_table(console, f"Model {found.path}", ["what", "number"], _list_fit(found))
    name = "account_id" if show_ids else "pseudonym"
    accounts = found.read("accounts")
    columns = [name, "label", "caused", "influence_pi", "immigrant_ratio", "n_active"]
    leading = accounts.filter(pl.col("caused") > 0).sort(
        ["caused", "account_id"], descending=[True, False]
    )
    print_table(
        console,
        "Accounts whose activity others take up most",
        [name, "label", "caused", "pi", "immigrant ratio", "active"],
        leading.select(columns).head(N_SHOWN).rows(),
    )
    names = accounts.select("account_id", shown=name)
    influences = found.read("influences")
    for side in ("source", "target"):
        named = names.rename({"account_id": side, "shown": f"{side}_shown"})
        influences = influences.join(named, on=side, how="left", maintain_order="left")
    strongest = influences.sort(["caused", "source", "target"], descending=[True, False, False])
    columns = ["source_shown", "target_shown", "d", "slope_low", "slope_high", "caused"]
    print_table(
        console,
        "Influences that explain most",
        ["source", "target", "d", "from", "to", "caused"],
        strongest.select(columns).head(N_SHOWN).rows(),
    )
    for line in _describe_fit(found):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _list_fit(found: "FittedModel") -> list[tuple[str, Any]]:
    numbers = [(key, value) for key, value in found.summary.items() if key.startswith("n_")]
    sizes = [(key[2:].replace("_", " "), value) for key, value in numbers]
    return [
        *sizes,
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


@app.command()
@reporting_errors
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
    show_ids: ShowIdsOption = False,
    backend: AnyBackend = "auto",
    memory: AnyMemory = None,
    threads: ThreadsOption = None,
    seed: AnySeed = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say which part each account plays in a run, with the numbers; the run's accounts get them."""
    from gpu_coord.roles import assign_roles
    from gpu_coord.terminal import open_consoles, show_progress

    with show_progress(open_consoles()[1]) as progress:
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
        print(json.dumps(findings.run["roles"]["counts"]))
    else:
        _show_roles(findings, show_ids=show_ids)


def _show_roles(findings: "Findings", *, show_ids: bool) -> None:
    from gpu_coord.terminal import open_consoles, print_table

    console = open_consoles()[0]
    counts = findings.run["roles"]["counts"]
    print_table(console, f"Roles in {findings.path}", ["role", "accounts"], counts.items())
    print_table(console, "The first accounts of each", *_list_roles(findings, show_ids))
    lines = [
        f"{findings.path / 'accounts.parquet'} has all scores, and in role_reasons what holds.",
        "A role says how an account stands in this network at this time. Apparent influence is not "
        "intent, and a rule on numbers is no verdict on anyone.",
    ]
    if not findings.summary["n_components"]:
        lines.insert(0, "The network of this run has no edges, so that nobody plays a part in it.")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _list_roles(findings: "Findings", show_ids: bool) -> tuple[list[str], list[Any]]:
    import polars as pl

    name = "account_id" if show_ids else "pseudonym"
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
        .head(N_OF_EACH)
    )  # fmt: skip
    rounded = leading.select(*shown).with_columns(pl.col(pl.Float64).round(2))
    return list(shown.values()), rounded.rows()


@app.command()
@reporting_errors
def calibrate(
    store: Annotated[Path, typer.Argument(help="A store made by `gpu-coord ingest`.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    copies: Annotated[int, typer.Option(min=1, help="Copies without coordination to test.")] = 20,
    kinds: KindsOption = _KINDS,
    bin: BinOption = "1h",
    lag: LagOption = None,
    lags: LagsOption = None,
    min_posts: MinPostsOption = 1,
    top_percent: TopPercentOption = 100.0,
    match: MatchOption = None,
    start: StartOption = None,
    end: EndOption = None,
    null: NullOption = "day",
    alpha: AlphaOption = 0.05,
    groups: GroupsOption = 4,
    labels: LabelsOption = None,
    backend: BackendOption = "auto",
    memory: MemoryOption = None,
    threads: ThreadsOption = None,
    seed: SeedOption = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Count what the tests find in copies of a store whose days were permuted: false findings."""
    from gpu_coord.archive import read_labels
    from gpu_coord.calibration import calibrate as run
    from gpu_coord.terminal import open_consoles, show_progress

    output, errors = open_consoles()
    with show_progress(errors) as progress:
        found = run(
            store,
            out,
            n_copies=copies,
            labels=read_labels(labels) if labels else None,
            backend=_choose_backend(backend, threads),
            **({"memory": _parse_bytes(memory)} if memory else {}),
            progress=progress,
            kinds=_split_kinds(kinds),
            bin=bin,
            lags=_parse_lags(lag, lags),
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
        print(json.dumps(found.summary))
        return
    for line in _describe_calibration(found.summary):
        output.print(line, soft_wrap=True, highlight=False, markup=False)
    output.print(f"Look at {found.path / 'qq.png'}.", soft_wrap=True, highlight=False, markup=False)


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


@app.command()
@reporting_errors
def selftest(
    backend: BackendOption = "auto",
    out: Annotated[
        Path | None, typer.Option(help="A JSON file for the report, to attach to a bug report.")
    ] = None,
    memory: AnyMemory = None,
    threads: ThreadsOption = None,
    seed: AnySeed = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check every operation of a backend against plain definitions, on this machine."""
    from gpu_coord.folders import write_json
    from gpu_coord.selftest import run_checks
    from gpu_coord.terminal import open_consoles, print_table, show_progress

    console, errors = open_consoles()
    with show_progress(errors) as progress:
        report = run_checks(_choose_backend(backend, threads), progress)
    if out is not None:
        write_json(out, report.to_dict())
    if json_:
        print(json.dumps(report.to_dict()))
    else:
        rows = [
            (check.name, "passed" if check.passed else f"FAILED: {check.failure}", check.seconds)
            for check in report.checks
        ]
        title = f"Self-test of {report.backend}: {report.device}"
        print_table(console, title, ["check", "result", "seconds"], rows)
    if not report.passed:
        names = ", ".join(check.name for check in report.checks if not check.passed)
        _fail(f"{names} failed; attach the report (--out report.json) to a bug report.", 1)


@app.command()
@reporting_errors
def info(
    backend: AnyBackend = "auto",
    memory: AnyMemory = None,
    threads: ThreadsOption = None,
    seed: AnySeed = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show which backends this machine can use, and what is missing."""
    from gpu_coord import __version__
    from gpu_coord.backend import list_usable
    from gpu_coord.terminal import clean_lines, open_consoles, print_table

    usable = list_usable(threads=threads)
    if json_:
        print(json.dumps({"gpu_coord": __version__, "backends": usable}))
        return
    console = open_consoles()[0]
    for name, facts in usable.items():
        reason = facts.pop("reason", None)
        facts["usable"] = "no" if reason else "yes"
        print_table(console, f"gpu_coord {__version__}: {name}", ["what", "is"], _flatten(facts))
        if reason:
            console.print(clean_lines(reason), markup=False, highlight=False)


def _choose_backend(name: BackendChoice, threads: int | None) -> "Backend":
    from gpu_coord.backend import choose

    return choose(name, threads=threads)


def _split_kinds(kinds: str) -> tuple[str, ...]:
    return tuple(kind.strip() for kind in kinds.split(",") if kind.strip())


def _split_windows(window: str) -> dict[str, Any]:
    """Return the longest of the windows, and the others."""
    from gpu_coord.times import parse_duration

    windows = [part.strip() for part in window.split(",")]
    if len(windows) == 1:
        return {"window": windows[0]}
    *shorter, longest = sorted(dict.fromkeys(windows), key=parse_duration)
    return {"window": longest, "shorter_windows": tuple(shorter)}


def _parse_lags(lag: int | None, lags: str | None) -> tuple[int, ...]:
    if lag is not None and lags is not None:
        raise ValueError(f"--lag {lag} and --lags {lags} exclude each other; give one.")
    if lags is None:
        return (1 if lag is None else lag,)
    match = re.fullmatch(r"([0-9]+)-([0-9]+)", lags)
    if not match or int(match[1]) > int(match[2]):
        raise ValueError(f"--lags is {lags!r}; write a rising range of bins, like 1-4.")
    return tuple(range(int(match[1]), int(match[2]) + 1))


def _parse_bytes(text: str) -> int:
    match = re.fullmatch(r"([0-9.]+)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    try:
        size = int(float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " ")) if match else 0
    except ValueError:
        size = 0
    if size < 1_000_000:
        raise ValueError(f"--memory is {text!r}; write a size of 1MB or more, like 8GB.")
    return size


def show_findings(findings: "Findings", *, as_json: bool, show_ids: bool) -> None:
    """Print a run: its sizes, its strongest accounts, its groups and what they share."""
    from gpu_coord.terminal import open_consoles, print_table

    if as_json:
        print(json.dumps(findings.summary))
        return
    console = open_consoles()[0]
    console.print(_describe_chance(findings), soft_wrap=True, highlight=False, markup=False)
    console.print()
    print_table(console, f"Run {findings.path}", ["what", "number"], _list_sizes(findings))
    print_table(console, "Layers", *_list_layers(findings))
    leading = (
        "Accounts that share most with others"
        if findings.run.get("command") in _SYMMETRIC
        else "Accounts with the most apparent influence"
    )
    print_table(console, leading, *_list_accounts(findings, show_ids))
    print_table(console, "Largest communities", *_list_communities(findings))
    if findings.summary.get("n_significant") == 0:
        options = {"share": "--all-edges", "coact": "--merge union"}
        option = options.get(findings.run.get("command", ""), "--paper")
        console.print(
            "No edge is significant, so the network is empty. edges.parquet holds all edges with "
            f"their p-values; {option} puts them all into the network.",
            soft_wrap=True, highlight=False, markup=False,
        )  # fmt: skip
        console.print()
    _print_groups(findings)
    print_table(
        console, "Entities that carry the most coordination", *_list_entities(findings, show_ids)
    )
    if findings.read("accounts")["label"].null_count() < findings.summary["n_accounts"]:
        print_table(console, "Edges between classes, all kinds", *_list_classes(findings))
    print_table(console, "Before and after the split", *_list_halves(findings))
    if not findings.run["graphs_written"]:
        console.print("No GraphML and GEXF for a network of this size; --graphs writes them.")
    tells = (
        "two accounts share the same things at about the same time"
        if findings.run.get("command") in _SYMMETRIC
        else "one account tends to act one lag after another"
    )
    console.print(
        f"An edge says that {tells}, not why: coordination is not inauthenticity, and no edge "
        "attributes an account to anyone."
    )


def _describe_chance(findings: "Findings") -> str:
    summary, settings = findings.summary, findings.run["settings"]
    if findings.run.get("command") == "share":
        return _describe_shares(findings)
    if findings.run.get("command") == "coact":
        return _describe_layers(findings)
    if "lambda" not in summary:
        return "lambda not computed (--paper): any of these edges may be chance."
    more = summary["lambda"] - 1
    sentence = (
        f"lambda {summary['lambda']:.2f}: accounts coincide {abs(more):.0%} "
        f"{'more' if more >= 0 else 'less'} often than chance explains. "
        f"{summary['n_significant']:,} edges are significant at a false discovery rate of "
        f"{settings['alpha']:g}: about {summary['expected_false_edges']:.3g} of them may be false."
    )
    return f"{sentence} {findings.run['chance']['warning'] or ''}".strip()


def _describe_layers(findings: "Findings") -> str:
    run, summary = findings.run, findings.summary
    said = f"{summary['n_pairs']:,} pairs of shares in {summary['n_layers']} layers; "
    if "lambda" not in summary:
        return f"{said}{run['settings']['merge']} of the layers, not tested against chance."
    return (
        f"{said}{summary['n_significant']:,} edges stand out over all tested layers together, at a "
        f"false discovery rate of {run['settings']['alpha']:g}: about "
        f"{summary['expected_false_edges']:.3g} may be false."
    )


def _list_layers(findings: "Findings") -> tuple[list[str], list[Any]]:
    columns = ["layer", "window_seconds", "n_edges", "n_accounts"]
    layers = findings.run["layers"] if findings.run.get("command") == "coact" else []
    shown = ["layer", "window, s", "edges", "accounts"]
    return shown, [[layer[column] for column in columns] for layer in layers]


def _describe_shares(findings: "Findings") -> str:
    from gpu_coord.times import describe_seconds

    run, summary = findings.run, findings.summary
    said = [
        f"{summary['n_pairs']:,} pairs of shares of the same object within "
        f"{describe_seconds(run['window_seconds'])} ({run['settings']['mode']})."
    ]
    if "lambda" in summary:
        said.append(
            f"lambda {summary['lambda']:.2f}: that is how many times as often as chance explains "
            f"pairs of accounts meet, in general. {summary['n_significant']:,} edges stand out "
            f"even so, at a false discovery rate of {run['settings']['alpha']:g}: about "
            f"{summary['expected_false_edges']:.3g} of them may be false."
        )
    if "intervals" in run:
        excess = run["intervals"]["excess_seconds"]
        said.append(
            "Intervals that the data suggest: "
            f"{describe_seconds(run['intervals']['quantile_seconds'])} by CooRnet's estimate, "
            f"{'none' if excess is None else describe_seconds(excess)} by the excess of short gaps "
            "over chance (surface.parquet, gaps.parquet)."
        )
    if "changes" in run:
        changes = ", ".join(f"{n:,} {reason}" for reason, n in run["changes"].items())
        said.append(f"Against strict: {changes or 'no change'} (changes.parquet).")
    return " ".join(said)


def _list_sizes(findings: "Findings") -> list[tuple[str, Any]]:
    numbers = [(key, value) for key, value in findings.summary.items() if key.startswith("n_")]
    sizes = [(key[2:].replace("_", " "), value) for key, value in numbers]
    seconds = sum(stage["seconds"] for stage in findings.run["stages"])
    peak = max(stage["peak_memory_bytes"] for stage in findings.run["stages"])
    return [
        *sizes,
        ("seconds", round(seconds, 2)),
        ("peak memory, GB", round(peak / 1e9, 2)),
        ("backend", findings.run["backend"]["name"]),
        ("specification", findings.run["specification"][:12]),
    ]


def _list_accounts(findings: "Findings", show_ids: bool) -> tuple[list[str], list[Any]]:
    import polars as pl

    name = "account_id" if show_ids else "pseudonym"
    columns = [name, "label", "influence", "in_weight", "out_degree", "community", "n_posts"]
    leading = findings.read("accounts").filter(pl.col("influence") > 0)
    accounts = leading.sort("influence", "account_id", descending=[True, False])
    shown = [name, "label", "influence", "in-weight", "out", "community", "posts"]
    return shown, accounts.select(columns).head(N_SHOWN).rows()


def _list_communities(findings: "Findings") -> tuple[list[str], list[Any]]:
    columns = ["community", "component", "n_accounts", "n_edges", "mean_weight", "main_label"]
    shown = ["community", "component", "accounts", "edges", "mean weight", "main label"]
    return shown, findings.read("communities").select(columns).head(N_SHOWN).rows()


def _print_groups(findings: "Findings") -> None:
    """Print what was tested as a group, confirmed or not, and why not."""
    from gpu_coord.terminal import open_consoles, print_table

    if findings.run.get("groups") is None:
        return
    console = open_consoles()[0]
    if reason := findings.run["groups"]["reason"]:
        console.print(f"No test of groups: {reason}", soft_wrap=True, highlight=False, markup=False)
        console.print()
        return
    groups = findings.read("groups")
    print_table(console, "Groups with unusual co-activity", *_list_groups(groups, confirmed=True))
    print_table(console, "Sets that were not confirmed", *_list_groups(groups, confirmed=False))
    reasons: dict[str, list[str]] = {}
    for group, reason in groups.drop_nulls("reason").select("group", "reason").rows():
        reasons.setdefault(reason, []).append(str(group))
    for reason, numbers in reasons.items():
        line = f"group{'s' * (len(numbers) > 1)} {', '.join(numbers)}: {reason}."
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print()


def _list_groups(groups: "pl.DataFrame", *, confirmed: bool) -> tuple[list[str], list[Any]]:
    columns = ["group", "size", "n_core", "n_significant", "ratio", "p_value", "limiting_test"]
    shown = ["group", "accounts", "core", "significant", "ratio", "p", "limiting test"]
    return shown, groups.filter(confirmed=confirmed).select(columns).head(N_SHOWN).rows()


def _list_entities(findings: "Findings", show_ids: bool) -> tuple[list[str], list[Any]]:
    import polars as pl

    entities = findings.read("entities").filter(pl.col("coordination") > 0).head(N_SHOWN)
    columns = ["kind", "value", "n_accounts", "n_events", "coordination"]
    shown = _hide_ids(entities, show_ids).select(columns)
    return ["kind", "value", "accounts", "events", "coordination"], shown.rows()


def _hide_ids(entities: "pl.DataFrame", show_ids: bool) -> "pl.DataFrame":
    """Take the values from entities that name accounts or posts."""
    import polars as pl

    from gpu_coord.kinds import names_posts

    if show_ids:
        return entities
    # A mention is an account id, of somebody who may not even be in the archive.
    # Whoever looks up a post knows the account.
    are_posts = [kind for kind in entities["kind"].unique() if names_posts(kind)]
    named = pl.when(pl.col("kind").is_in(are_posts)).then(pl.lit("a post")).otherwise("value")
    return entities.with_columns(value=pl.coalesce("pseudonym", named))


def _list_classes(findings: "Findings") -> tuple[list[str], list[Any]]:
    import polars as pl

    columns = ["source_label", "target_label", "n_edges", "mean_weight", "mean_weight_per_pair"]
    classes = findings.read("classes").filter(pl.col("kind") == "all", pl.col("n_edges") > 0)
    densest = classes.sort("mean_weight_per_pair", descending=True).head(N_SHOWN)
    return ["from", "to", "edges", "mean weight", "per pair"], densest.select(columns).rows()


def _list_halves(findings: "Findings") -> tuple[list[str], list[Any]]:
    from gpu_coord.run import open_run

    halves = [half for half in ("before", "after") if (findings.path / half).is_dir()]
    runs = [(half, open_run(findings.path / half).summary) for half in halves]
    columns = ["n_accounts", "n_entities", "n_bins", "n_edges", "n_communities"]
    rows = [(half, *(summary[column] for column in columns)) for half, summary in runs]
    return ["half", *(column[2:] for column in columns)], rows


@app.command()
@reporting_errors
def timeline(
    store: Annotated[Path, typer.Argument(help="A store made by `gpu-coord ingest`.")],
    object: Annotated[str, typer.Argument(help="A URL, a hashtag or any other object of it.")],
    out: Annotated[
        Path, typer.Option(help="The file to write: .png, .svg, .html, .parquet, .csv or .json.")
    ],
    kind: Annotated[
        str | None, typer.Option(help="Kind of the object, such as url or domain.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="A run that tells which shares are coordinated, and groups.")
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="Without a run: coordinated is what lies that close (60s).")
    ] = None,
    group_by: Annotated[
        GroupByChoice,
        typer.Option(
            help="What colours: platform, or groups of the run; auto: confirmed ones, or "
            "communities."
        ),
    ] = "auto",
    show_ids: ShowIdsOption = False,
    backend: AnyBackend = "auto",
    memory: AnyMemory = None,
    threads: ThreadsOption = None,
    seed: AnySeed = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show how one object spread: who shared it when, coordinated or not."""
    from gpu_coord.terminal import clean_lines, open_consoles, print_table
    from gpu_coord.timeline_files import write_timeline

    made = write_timeline(
        store, object, out,
        kind=kind, run=run, window=window, group_by=group_by, show_ids=show_ids,
    )  # fmt: skip
    if json_:
        print(json.dumps(made.summary))
        return
    console = open_consoles()[0]
    print_table(console, f"{made.kind} {made.shown}", ["what", "is"], _flatten(made.summary))
    for line in (made.meaning, f"Look at {out}."):
        console.print(clean_lines(line), soft_wrap=True, highlight=False, markup=False)


@app.command()
@reporting_errors
def cascades(
    store: Annotated[Path, typer.Argument(help="A store made by `gpu-coord ingest`.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    kind: Annotated[str, typer.Option(help="Kinds of object, separated by commas.")] = "url",
    run: Annotated[
        Path | None, typer.Option(help="A run: the accounts of its groups are inside.")
    ] = None,
    group: Annotated[
        int | None, typer.Option(min=0, help="The one group of the run that is inside (all).")
    ] = None,
    group_by: Annotated[
        GroupingChoice,
        typer.Option(help="Groups of the run; auto: confirmed ones, or communities."),
    ] = "auto",
    inside: Annotated[
        str | None, typer.Option(help="In the place of a run: the label of the accounts inside.")
    ] = None,
    min_shares: Annotated[int, typer.Option(min=1, help="Leave out objects with fewer.")] = 2,
    min_followers: Annotated[
        int, typer.Option(min=0, help="Followers that the first adopter outside needs.")
    ] = 0,
    window: Annotated[
        str, typer.Option(help="How long after a share adoptions follow it, like 1h.")
    ] = "1h",
    reach: Annotated[
        str, typer.Option(help="How far around an early share the object's own rate is taken.")
    ] = "12h",
    min_adopters: Annotated[
        int, typer.Option(min=2, help="Objects with fewer accounts are not tested.")
    ] = 10,
    early: Annotated[
        float, typer.Option(help="Part of an object's accounts that is early, up to 0.5.")
    ] = 0.25,
    alpha: AlphaOption = 0.05,
    start: StartOption = None,
    end: EndOption = None,
    labels: LabelsOption = None,
    show_ids: ShowIdsOption = False,
    backend: AnyBackend = "auto",
    memory: AnyMemory = None,
    threads: ThreadsOption = None,
    seed: AnySeed = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Follow objects from platform to platform, out of a group, and who sets them off."""
    from gpu_coord.archive import read_labels
    from gpu_coord.cascades import trace_cascades as trace
    from gpu_coord.terminal import open_consoles, show_progress

    with show_progress(open_consoles()[1]) as progress:
        found = trace(
            store,
            out,
            kinds=_split_kinds(kind),
            run=run,
            group=group,
            group_by=group_by,
            inside=inside,
            labels=read_labels(labels) if labels else None,
            progress=progress,
            min_shares=min_shares,
            min_followers=min_followers,
            window=window,
            reach=reach,
            min_adopters=min_adopters,
            early=early,
            alpha=alpha,
            start=start,
            end=end,
        )
    if json_:
        print(json.dumps(found.summary))
    else:
        _show_cascades(found, show_ids=show_ids)


def _show_cascades(found: "Cascades", *, show_ids: bool) -> None:
    from gpu_coord.terminal import open_consoles, print_table

    console = open_consoles()[0]
    print_table(console, "From platform to platform", *_list_flows(found))
    print_table(console, "Objects that most accounts shared", *_list_spread(found, show_ids))
    if found.content["inside"] is not None:
        print_table(console, "First outside", *_list_escapes(found, show_ids))
    print_table(
        console,
        "Accounts whose early shares are followed by most",
        *_list_catalysts(found, show_ids),
    )
    for line in _describe_cascades(found):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _list_flows(found: "Cascades") -> tuple[list[str], list[Any]]:
    from gpu_coord.times import describe_seconds

    flows = found.read("flows").head(N_SHOWN)
    columns = ["source_platform", "target_platform", "n_objects"]
    delays = [map(describe_seconds, flows[name]) for name in ("low_delay", "median_delay")]
    rows = zip(*flows.select(columns), *delays, strict=True)
    return ["from", "to", "objects", "a quarter within", "half within"], list(rows)


def _list_spread(found: "Cascades", show_ids: bool) -> tuple[list[str], list[Any]]:
    order = ["n_platforms", "n_accounts", "kind", "value"]
    largest = found.read("cascades").sort(order, descending=[True, True, False, False])
    columns = ["kind", "value", "n_accounts", "n_shares", "path"]
    shown = _hide_ids(largest.head(N_SHOWN), show_ids).select(columns)
    return ["kind", "value", "accounts", "shares", "path"], shown.rows()


def _list_escapes(found: "Cascades", show_ids: bool) -> tuple[list[str], list[Any]]:
    import polars as pl

    from gpu_coord.times import describe_seconds

    escaped = found.read("cascades").filter(pl.col("n_outside_before") == 0)
    escaped = escaped.drop_nulls("escape_time")
    order = ["n_outside", "kind", "value"]
    largest = escaped.sort(order, descending=[True, False, False]).head(N_SHOWN)
    delay = largest["escape_delay"].map_elements(describe_seconds, return_dtype=pl.String)
    name = f"escape_{'account_id' if show_ids else 'pseudonym'}"
    columns = ["kind", "value", name, "escape_delay", "escape_followers", "n_inside", "n_outside"]
    shown = ["kind", "value", "first outside", "after", "followers", "inside", "outside"]
    hidden = _hide_ids(largest.with_columns(escape_delay=delay), show_ids)
    return shown, hidden.select(columns).rows()


def _list_catalysts(found: "Cascades", show_ids: bool) -> tuple[list[str], list[Any]]:
    import polars as pl

    name = "account_id" if show_ids else "pseudonym"
    tested = found.read("accounts").filter(pl.col("z_early") > 0)
    leading = tested.sort("p_early", "account_id").head(N_SHOWN)
    columns = [name, "label", "n_objects", "n_first", "n_early", "z_early", "q_early"]
    shown = [name, "label", "objects", "first in", "early in", "z", "q"]
    return shown, leading.select(columns).rows()


def _describe_cascades(found: "Cascades") -> list[str]:
    summary, early = found.summary, found.summary["early"]
    lines = [
        f"{summary['n_objects']:,} objects, {summary['n_shares']:,} shares by "
        f"{summary['n_accounts']:,} accounts; {summary['n_objects_left_out']:,} objects have too "
        "few shares."
    ]
    if summary["n_platforms"] > 1:
        lines[0] += (
            f" {summary['n_platforms']:,} platforms; {summary['n_objects_across']:,} objects are "
            "on several."
        )
    elif not summary["n_platforms"]:
        lines[0] += " No share names a platform."
    if "inside" in summary:
        inside = summary["inside"]
        lines.append(
            f"{inside['n_begun']:,} of {inside['n_objects']:,} objects shared inside began there; "
            f"{inside['n_escaped']:,} of them were then shared outside."
        )
    lines.append(
        f"Early shares are followed by {early['lambda']:.2f} times what the object's own rate and "
        f"the hours of the day explain, in general. {early['n_significant']:,} of "
        f"{early['n_shares']:,} stand out even so, but a burst of news does that too; "
        f"{early['n_significant_accounts']:,} accounts stand out among early sharers of the same "
        "objects."
    )
    lines.append(
        f"{found.path / 'hops.parquet'} has the platforms, catalysts.parquet each tested share. "
        "What comes after a share need not come of it."
    )
    return lines


@app.command()
@reporting_errors
def cohorts(
    store: Annotated[Path, typer.Argument(help="A store made by `gpu-coord ingest`.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    run: Annotated[
        Path | None, typer.Option(help="A run on that store: its groups are the classes.")
    ] = None,
    by: Annotated[
        ClassChoice,
        typer.Option(help="What makes a class; auto: label, or of a run groups or communities."),
    ] = "auto",
    controls: Annotated[
        str | None, typer.Option(help="Label to compare with (all who are not in the class).")
    ] = None,
    period: Annotated[
        PeriodChoice, typer.Option(help="What creation dates are counted by.")
    ] = "week",
    min_accounts: Annotated[int, typer.Option(min=1, help="Leave out smaller classes.")] = 5,
    alpha: AlphaOption = 0.05,
    labels: LabelsOption = None,
    backend: AnyBackend = "auto",
    memory: AnyMemory = None,
    threads: ThreadsOption = None,
    seed: AnySeed = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare when accounts were made, how long before their first post, and how large they are."""
    from gpu_coord.archive import read_labels
    from gpu_coord.cohorts import compare_cohorts as compare
    from gpu_coord.terminal import open_consoles, show_progress

    with show_progress(open_consoles()[1]) as progress:
        found = compare(
            store,
            out,
            run=run,
            labels=read_labels(labels) if labels else None,
            progress=progress,
            by=by,
            controls=controls,
            period=period,
            min_accounts=min_accounts,
            alpha=alpha,
        )
    if json_:
        print(json.dumps(found.summary))
    else:
        _show_cohorts(found)


def _show_cohorts(found: "Cohorts") -> None:
    from gpu_coord.terminal import open_consoles, print_table

    console = open_consoles()[0]
    settings = found.content["settings"]
    print_table(console, "When accounts were made", *_list_cohorts(found, settings["period"]))
    print_table(console, "How classes differ from the others", *_list_profiles(found))
    for line in _describe_cohorts(found.summary, settings["alpha"]):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _list_cohorts(found: "Cohorts", period: str) -> tuple[list[str], list[Any]]:
    import polars as pl

    p = pl.col("p_value")
    table = found.read("cohorts").filter(p.is_null() | (p < found.content["settings"]["alpha"]))
    order = ["p_value", "n_accounts", "class", "period"]
    first = table.sort(order, descending=[False, True, False, False], nulls_last=True)
    columns = ["n_accounts", "n_controls", "ratio", "q_value", "median_age_days"]
    rows = first.head(N_SHOWN).select("class", pl.col("period").cast(pl.String), *columns).rows()
    return ["class", period, "accounts", "others", "ratio", "q", "age, days"], rows


def _list_profiles(found: "Cohorts") -> tuple[list[str], list[Any]]:
    columns = ["class", "measure", "n_accounts", "q25", "median", "q75", "control_median", "shift"]
    shown = ["class", "measure", "accounts", "25 %", "median", "75 %", "others", "shift"]
    # Classes are many where they are communities; the measures of each stay together.
    return shown, found.read("profiles").head(5 * N_SHOWN).select(columns).rows()


def _describe_cohorts(summary: dict[str, Any], alpha: float) -> list[str]:
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


@app.command()
@reporting_errors
def simulate(
    out: Annotated[Path, typer.Option(help="The folder to write.")],
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
    seed: SeedOption = 0,
    backend: AnyBackend = "auto",
    memory: AnyMemory = None,
    threads: ThreadsOption = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write an archive with a planted operation, and the truth about it."""
    from gpu_coord.simulation import parse_parameter
    from gpu_coord.simulation import simulate as run
    from gpu_coord.terminal import open_consoles, print_table, show_progress

    output, other = open_consoles()
    with show_progress(other) as progress:
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
        print(json.dumps(sizes))
        return
    print_table(output, f"Simulation {out}", ["what", "number"], _flatten(sizes))


@app.command()
@reporting_errors
def demo(
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("demo"),
    seed: SeedOption = 0,
    backend: BackendOption = "auto",
    memory: MemoryOption = None,
    threads: ThreadsOption = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Simulate an archive, find its operation, score it against the truth."""
    from gpu_coord.archive import ingest as read
    from gpu_coord.detection import detect as find
    from gpu_coord.evaluation import evaluate as score
    from gpu_coord.simulation import simulate as make
    from gpu_coord.terminal import open_consoles, show_progress

    output, other = open_consoles()
    with show_progress(other) as progress:
        archive = make(out / "archive", seed=seed, progress=progress)
        files = [archive.path / "tweets.csv", archive.path / "users.csv"]
        store = read(files, out / "store", progress=progress)
        findings = find(
            store,
            out / "run",
            backend=_choose_backend(backend, threads),
            memory=_parse_bytes(memory) if memory else None,
            progress=progress,
        )
    figures = score(findings, archive.path / "truth_accounts.parquet")
    if json_:
        print(json.dumps({"summary": findings.summary, "evaluation": figures}))
        return
    show_findings(findings, as_json=False, show_ids=False)
    _show_figures(figures)
    output.print(
        f"\nLook at {findings.path}: run.json says what was done, accounts.parquet and "
        "edges.parquet hold the network, network.gexf opens in Gephi.",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


@app.command()
@reporting_errors
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run made by `gpu-coord detect`.")],
    truth: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet with account_id and label (the labels of the run)."),
    ] = None,
    users: Annotated[
        list[Path] | None, typer.Option(help="Users file of an archive: all its accounts count.")
    ] = None,
    controls: Annotated[
        list[Path] | None, typer.Option(help="Users file of controls, with --users.")
    ] = None,
    positive: Annotated[
        str, typer.Option(help="The label of the accounts that ought to be found.")
    ] = "operation",
    prevalence: Annotated[
        float, typer.Option(help="Share of such accounts for which to tell the precision.")
    ] = 0.01,
    resamples: Annotated[
        int, typer.Option(min=0, help="Bootstrap resamples behind the intervals; 0: none.")
    ] = 1000,
    backend: AnyBackend = "auto",
    memory: AnyMemory = None,
    threads: ThreadsOption = None,
    seed: SeedOption = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare a run with the truth."""
    from gpu_coord.evaluation import evaluate as score

    figures = score(
        run,
        _choose_truth(truth, users or [], controls or [], positive),
        positive=positive,
        prevalence=prevalence,
        n_resamples=resamples,
        seed=seed,
    )
    if json_:
        print(json.dumps(figures))
    else:
        _show_figures(figures)


def _choose_truth(
    truth: Path | None, users: list[Path], controls: list[Path], positive: str
) -> "Path | pl.DataFrame | None":
    from gpu_coord.evaluation import gather_truth

    if not users and not controls:
        return truth
    if truth is not None or not users or not controls:
        raise ValueError("--users and --controls go together, and without --truth.")
    return gather_truth(users, controls, positive=positive)


def _show_figures(figures: dict[str, Any]) -> None:
    from gpu_coord.terminal import open_consoles, print_table

    console = open_consoles()[0]
    for name, section in figures.items():
        if name == "warnings":
            continue
        title = f"{name.replace('_', ' ').capitalize()}, against the truth"
        print_table(console, title, *_tabulate_section(section))
    for warning in figures.get("warnings", {}).values():
        console.print(f"Note: {warning}", soft_wrap=True, highlight=False, markup=False)


def _tabulate_section(section: dict[str, Any]) -> tuple[list[str], list[Any]]:
    """Return columns and rows: a table where each entry has the same figures, else a list."""
    if all(isinstance(value, dict) for value in section.values()):
        columns = list(next(iter(section.values())))
        rows = [(name.replace("_", " "), *part.values()) for name, part in section.items()]
        return ["what", *(column.replace("_", " ") for column in columns)], rows
    plain = {name: value for name, value in section.items() if not isinstance(value, list)}
    return ["what", "figure"], _flatten(plain)


@app.command()
@reporting_errors
def sweep(
    store: Annotated[Path, typer.Argument(help="A store made by `gpu-coord ingest`.")],
    grid: Annotated[
        Path, typer.Argument(help="TOML: lists of values by option of `detect`, min_support = [1].")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write; a stopped sweep goes on.")],
    sample: Annotated[
        int | None, typer.Option(min=1, help="Cells to draw by the seed (all of the grid).")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="CSV or Parquet with account_id and label, to score with.")
    ] = None,
    positive: Annotated[
        str, typer.Option(help="The label of the accounts that ought to be found.")
    ] = "operation",
    choose_by: Annotated[
        FigureChoice | None,
        typer.Option(help="Choose a cell by one half of the truth; score it on the other."),
    ] = None,
    labels: LabelsOption = None,
    show_ids: ShowIdsOption = False,
    backend: BackendOption = "auto",
    memory: MemoryOption = None,
    threads: ThreadsOption = None,
    seed: SeedOption = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Run many settings at once, and show what holds whatever is chosen."""
    from gpu_coord.archive import read_labels
    from gpu_coord.sweeps import sweep as run
    from gpu_coord.terminal import open_consoles, show_progress

    with show_progress(open_consoles()[1]) as progress:
        found = run(
            store,
            grid,
            out,
            sample=sample,
            seed=seed,
            labels=read_labels(labels) if labels else None,
            truth=truth,
            positive=positive,
            choose_by=choose_by,
            backend=_choose_backend(backend, threads),
            memory=_parse_bytes(memory) if memory else None,
            progress=progress,
        )
    if json_:
        print(json.dumps(found.summary))
    else:
        _show_sweep(found, show_ids=show_ids)


def _show_sweep(found: "Sweep", *, show_ids: bool) -> None:
    from gpu_coord.terminal import open_consoles, print_table

    console = open_consoles()[0]
    print_table(console, "From the lowest to the highest", *_list_ranges(found))
    print_table(console, "Which choice matters (share of variance)", *_list_variance(found))
    print_table(console, "In most networks", *_list_included(found, show_ids))
    for line in _describe_sweep(found):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _list_ranges(found: "Sweep") -> tuple[list[str], list[Any]]:
    cells = found.read("sweep")
    figures = ["n_edges", "n_significant", "n_network_accounts", "n_communities", "lambda"]
    figures += [name for name in cells.columns if name.startswith("accounts_a")]
    columns = [cells[name] for name in figures if cells[name].null_count() < cells.height]
    rows = [(c.name.replace("_", " "), c.min(), c.median(), c.max()) for c in columns]
    return ["figure", "lowest", "median", "highest"], rows


def _list_variance(found: "Sweep") -> tuple[list[str], list[Any]]:
    import polars as pl

    table = found.read("variance").drop_nulls("share")
    wide = table.with_columns(pl.col("figure").str.replace_all("_", " ")).pivot(
        "setting", index="figure", values="share"
    )
    return wide.columns, wide.rows()


def _list_included(found: "Sweep", show_ids: bool) -> tuple[list[str], list[Any]]:
    import polars as pl

    name = "account_id" if show_ids else "pseudonym"
    included = found.read("accounts").filter(pl.col("n_cells") > 0)
    order = ["n_cells", "n_leading", "account_id"]
    most = included.sort(order, descending=[True, True, False]).head(N_SHOWN)
    columns = ["label", "n_cells", "share", "share_leading"]
    return [name, "label", "cells", "share", "leads in"], most.select(name, *columns).rows()


def _describe_sweep(found: "Sweep") -> list[str]:
    summary = found.summary
    n_done = summary["n_cells"] - summary["n_failed"]
    lines = [
        f"{n_done:,} specifications, {summary['n_networks']:,} different networks. "
        f"{summary['n_accounts_ever']:,} accounts are in one at least, {summary['n_core']:,} in "
        f"90 % of the cells or more: the robust core; {summary['n_leading_core']:,} lead an edge "
        "in as many."
    ]
    if summary["n_failed"]:
        lines.append(
            f"{summary['n_failed']:,} cells could not be run; the column reason of sweep.parquet "
            "says why."
        )
    if summary["n_without_bulk"]:
        lines.append(
            f"In {summary['n_without_bulk']:,} of them chance does not describe the bulk of pairs "
            "(has_bulk in sweep.parquet; see lambda): their tests say little."
        )
    if chosen := summary["chosen"]:
        by = chosen["by"]
        lines.append(
            f"Cell {chosen['cell']:,} has the highest {by.replace('_', ' ')} on the half of the "
            f"truth that chooses, {chosen['choosing_half']:.3f}; on the other half it has "
            f"{chosen['scoring_half'][f'accounts_{by}']:.3f}. Report the latter."
        )
    lines.append(
        f"{found.path / 'sweep.parquet'} has a row per cell. Report the share of specifications "
        "that agree, not the one that agrees most."
    )
    return lines


@app.command()
@reporting_errors
def verify(
    folder: Annotated[Path, typer.Argument(help="A store, a run, a cycle, cascades or cohorts.")],
    backend: AnyBackend = "auto",
    memory: AnyMemory = None,
    threads: ThreadsOption = None,
    seed: AnySeed = 0,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check that a store or a run is whole: its tables are those written, its counts add up."""
    from gpu_coord.cascades import CASCADES_MARKER, verify_cascades
    from gpu_coord.cohorts import COHORTS_MARKER, verify_cohorts
    from gpu_coord.cycle import CYCLE_MARKER, verify_cycle
    from gpu_coord.model.fitting import MODEL_MARKER, verify_model
    from gpu_coord.run import RUN_MARKER, verify_run
    from gpu_coord.store import verify_store
    from gpu_coord.sweeps import SWEEP_MARKER, verify_sweep

    checks = {
        RUN_MARKER: verify_run,
        CYCLE_MARKER: verify_cycle,
        MODEL_MARKER: verify_model,
        CASCADES_MARKER: verify_cascades,
        COHORTS_MARKER: verify_cohorts,
        SWEEP_MARKER: verify_sweep,
    }
    present = [check for marker, check in checks.items() if (folder / marker).is_file()]
    checked = (*present, verify_store)[0](folder)
    print(json.dumps(checked) if json_ else f"{folder}: {checked['n_tables']} tables are whole.")
