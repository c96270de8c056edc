"""The commands. Each calls one public function, and shows what came back."""

from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Literal

import typer

from gpu_coord.accounts.settings import CohortSettings, RoleSettings
from gpu_coord.archive.settings import IngestSettings
from gpu_coord.cli import options
from gpu_coord.cli.display import (
    flatten,
    print_json,
    print_lines,
    print_rows,
    print_table_as,
    show_progress,
)
from gpu_coord.cli.errors import fail
from gpu_coord.cli.requests import Command, Request, command
from gpu_coord.cli.values import read_key, read_lines, split_label
from gpu_coord.detection.settings import DetectSettings
from gpu_coord.ground.choices import Choices, Seeded
from gpu_coord.model.settings import ModelSettings
from gpu_coord.reports.settings import ReportSettings
from gpu_coord.sharing.settings import CoactSettings, CycleSettings, ShareSettings
from gpu_coord.simulation.settings import SimulateSettings
from gpu_coord.spread.settings import CascadeSettings, TimelineSettings
from gpu_coord.trust.settings import (
    CalibrateSettings,
    CompareSettings,
    EvaluateSettings,
    SweepSettings,
    TransplantSettings,
)


@command(IngestSettings, writes=True)
def ingest(
    request: Request,
    store: options.NewStore,
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files and folders of one archive or more.")
    ] = None,
    exclude_file: Annotated[
        Path | None, typer.Option(help="File of entities to leave out, one a line.")
    ] = None,
    pseudonym_key: Annotated[
        Path | None, typer.Option(help="File with the key that account ids are hashed with.")
    ] = None,
    labels: options.Labels = None,
    same_person: Annotated[
        Path | None,
        typer.Option(help="Table of account_id, person, platform: one person's accounts are one."),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH: one more input, all of it labelled NAME.")
    ] = None,
    add: options.Add = False,
) -> None:
    """Read archives into a store; done once, everything else reads the store."""
    from gpu_coord.archive.ingest import ingest as run
    from gpu_coord.cli.stores import show_store

    start = perf_counter()
    terms = read_lines(exclude_file) if exclude_file else []
    request.choices["exclude"] = [*(request.choices.get("exclude") or []), *terms]
    replacement = nullcontext() if add else request.tell_replacement(store)
    with replacement, show_progress() as progress:
        made = run(
            paths or [],
            store,
            pseudonym_key=read_key(pseudonym_key) if pseudonym_key else None,
            labels=labels,
            same_person=same_person,
            label=[split_label(text) for text in label or []],
            add=add,
            overwrite=request.overwrite,
            progress=progress,
            **request.choices,
        )
    seconds = perf_counter() - start
    request.show(
        made.manifest["totals"], lambda: show_store(made.path, made.manifest, seconds=seconds)
    )


@command()
def columns(
    request: Request,
    path: Annotated[Path, typer.Argument(help="A file or folder, as for ingest.")],
    map: Annotated[
        str | None, typer.Option(help="What columns mean, as for ingest: field=column,…")
    ] = None,
    split: Annotated[
        str, typer.Option(help="Between the items of a list cell without brackets.")
    ] = ",",
) -> None:
    """Show what a file is taken for: its format, its columns, three rows."""
    from gpu_coord.archive.preview import preview
    from gpu_coord.cli.stores import show_preview

    words = None if map is None else tuple(map.split(","))
    found = preview(path, map=words, split=split)
    request.show({"tables": found}, lambda: show_preview(found))


def _make_finder(name: str, settings: type[Choices], says: str) -> Command:
    """Make the command of a public function that finds a network in a store."""

    def find(
        request: Request,
        store: options.Source,
        out: options.NewRun,
        labels: options.Labels = None,
        graphs: options.Graphs = False,
        report: options.WriteReport = False,
        show_ids: options.ShowIds = False,
    ) -> None:
        import gpu_coord
        from gpu_coord.cli.findings import describe_run, show_run

        found = request.run(getattr(gpu_coord, name), store, out, labels=labels, graphs=graphs)
        page = gpu_coord.write_report(found, show_ids=show_ids) if report else None
        request.show(describe_run(found), lambda: show_run(found, show_ids=show_ids))
        if page is not None and not request.as_json:
            print_lines(f"Open {page}.")

    find.__name__, find.__doc__ = name, says
    return command(settings, uses_machine=True, writes=True, uses_workers=True)(find)


detect = _make_finder("detect", DetectSettings, "Find the coordination network of a store.")
share = _make_finder("share", ShareSettings, "Find who shared the same things within seconds.")
coact = _make_finder(
    "coact",
    CoactSettings,
    "Find who does the same things in several ways: layers of co-action, and their merge.",
)


@command(CycleSettings, uses_machine=True, writes=True)
def cycle(
    request: Request,
    store: options.Store,
    seeds: Annotated[
        Path, typer.Option(help="Objects to begin with, one a line; or CSV, Parquet.")
    ],
    out: options.NewFolder,
    labels: options.Labels = None,
    graphs: options.Graphs = False,
    show_ids: options.ShowIds = False,
) -> None:
    """Follow objects to those who share them together, these to their objects, and so on."""
    from gpu_coord.cli.cycles import show_cycle
    from gpu_coord.sharing.cycle import run_cycle as run

    found = request.run(run, store, seeds, out, labels=labels, graphs=graphs)
    request.show(found.summary, lambda: show_cycle(found, show_ids=show_ids))


@command()
def explain(
    request: Request,
    run: options.Run,
    a: Annotated[str, typer.Argument(help="An account, by its id or its pseudonym.")],
    b: Annotated[str, typer.Argument(help="Another account.")],
    show_ids: options.ShowIds = False,
) -> None:
    """Show what is behind the edges between two accounts, and what was to be expected."""
    from gpu_coord.accounts.explanation import explain as look_up
    from gpu_coord.accounts.explanation import render
    from gpu_coord.ground.terminal import open_consoles

    explanation = look_up(run, a, b)
    if request.as_json:
        print_json(explanation.to_dict(show_ids=show_ids))
    else:
        render(explanation, console=open_consoles()[0], show_ids=show_ids)


@command()
def show(
    request: Request,
    run: options.AnyRun,
    part: Annotated[
        Literal["edges", "groups", "accounts", "objects"] | None,
        typer.Argument(help="What to list; the summary without."),
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Only what has to do with this account, by id or pseudonym.")
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows to show at most.", min=1)] = 20,
    format: options.TableFormat = "table",
    raw: options.Raw = False,
    show_ids: options.ShowIds = False,
) -> None:
    """Print a run again, or one part of it, the strongest first."""
    from gpu_coord.cli.findings import describe_run, show_part, show_run
    from gpu_coord.results.findings import open_run
    from gpu_coord.results.strongest import list_strongest

    found = open_run(run, "detect", "share", "coact")
    if part is None and account is None and format == "table":
        request.show(describe_run(found), lambda: show_run(found, show_ids=show_ids))
        return
    chosen: Literal["edges", "groups", "accounts", "objects"] = part or "edges"
    if format == "table" and not request.as_json:
        show_part(found, chosen, account=account, show_ids=show_ids, n_shown=rows)
        return
    table = list_strongest(found, chosen, account=account, show_ids=show_ids, n_rows=rows)
    if request.as_json:
        print_json(table.to_dicts())
    else:
        print_table_as(format, table, raw=raw)


@command(ReportSettings)
def report(
    request: Request,
    run: options.AnyRun,
    others: options.OtherResults = None,
    out: options.NewPage = None,
    store: options.StoreOf = None,
    show_ids: options.ShowIds = False,
) -> None:
    """Write a run as one page that needs no network: to read, to print, to mail."""
    from gpu_coord.reports.report import write_report

    path = request.run(write_report, run, out, others=others or (), store=store, show_ids=show_ids)
    size = path.stat().st_size
    summary = {"report": str(path), "bytes": size}
    request.show(summary, lambda: print_lines(f"Open {path} ({size / 1e6:.1f} MB)."))


@command(ModelSettings, uses_machine=True, writes=True)
def model(
    request: Request,
    store: options.Store,
    out: options.NewFolder,
    candidates: Annotated[
        Path | None, typer.Option(help="A run: only its significant edges may be influences.")
    ] = None,
    labels: options.Labels = None,
    show_ids: options.ShowIds = False,
) -> None:
    """Learn the influence model: whose activity each account takes up, and how often."""
    from gpu_coord.cli.models import show_model
    from gpu_coord.model.fitting import fit_model as run

    found = request.run(run, store, out, candidates=candidates, labels=labels)
    request.show(found.summary, lambda: show_model(found, show_ids=show_ids))


@command(RoleSettings)
def roles(
    request: Request,
    run: Annotated[Path, typer.Argument(help="A run made by `gpu-coord detect` or `share`.")],
    store: options.StoreOf = None,
    model: Annotated[
        Path | None, typer.Option(help="A folder of `gpu-coord model` on the same store.")
    ] = None,
    show_ids: options.ShowIds = False,
) -> None:
    """Say which part each account plays in a run, with the numbers; the run's accounts get them."""
    from gpu_coord.accounts.roles.roles import assign_roles
    from gpu_coord.cli.accounts import show_roles

    found = request.run(assign_roles, run, store, model=model)
    counts = found.content["roles"]["counts"]
    request.show(counts, lambda: show_roles(found, show_ids=show_ids))


@command(CalibrateSettings, uses_machine=True, writes=True, uses_workers=True)
def calibrate(
    request: Request,
    store: options.Store,
    out: options.NewFolder,
    labels: options.Labels = None,
) -> None:
    """Count what the tests find in copies of a store whose days were permuted: false findings."""
    from gpu_coord.cli.findings import show_calibration
    from gpu_coord.trust.calibration import calibrate as run

    found = request.run(run, store, out, labels=labels)
    request.show(found.summary, lambda: show_calibration(found))


@command()
def selftest(
    request: Request,
    out: options.NewReport = None,
    backend: options.Backend = "auto",
) -> None:
    """Check every operation of a backend against plain definitions, on this machine."""
    from gpu_coord.backend import choose
    from gpu_coord.ground.folders import write_json
    from gpu_coord.trust.selftest import run_checks

    with show_progress() as progress:
        report = run_checks(choose(backend, threads=request.threads), progress)
    if out is not None:
        write_json(out, report.to_dict())
    if request.as_json:
        print_json(report.to_dict())
    else:
        rows = [
            (check.name, "passed" if check.passed else f"FAILED: {check.failure}", check.seconds)
            for check in report.checks
        ]
        title = f"Self-test of {report.backend}: {report.device}"
        print_rows(title, ["check", "result", "seconds"], rows)
    if not report.passed:
        names = ", ".join(check.name for check in report.checks if not check.passed)
        fail(f"{names} failed; attach the report (--out report.json) to a bug report.", code=1)


@command()
def info(request: Request) -> None:
    """Show which backends this machine can use, and what is missing."""
    from gpu_coord import __version__
    from gpu_coord.backend import list_usable

    usable = list_usable(threads=request.threads)
    if request.as_json:
        print_json({"gpu_coord": __version__, "backends": usable})
        return
    for name, facts in usable.items():
        reason = facts.pop("reason", None)
        facts["usable"] = "no" if reason else "yes"
        print_rows(f"gpu_coord {__version__}: {name}", ["what", "is"], flatten(facts))
        if reason:
            print_lines(reason, wrap=True)


@command(TimelineSettings)
def timeline(
    request: Request,
    store: options.Store,
    object: Annotated[str, typer.Argument(help="A URL, a hashtag or any other object of it.")],
    out: options.NewFile,
    run: Annotated[
        Path | None, typer.Option(help="A run that tells which shares are coordinated, and groups.")
    ] = None,
    show_ids: options.ShowIds = False,
) -> None:
    """Show how one object spread: who shared it when, coordinated or not."""
    from gpu_coord.spread.timeline_files import write_timeline

    made = write_timeline(store, object, out, run=run, show_ids=show_ids, **request.choices)
    if request.as_json:
        print_json(made.summary)
    else:
        print_rows(f"{made.kind} {made.shown}", ["what", "is"], flatten(made.summary))
        print_lines(made.meaning, f"Look at {out}.")


@command(CascadeSettings, writes=True)
def cascades(
    request: Request,
    store: options.Store,
    out: options.NewFolder,
    run: Annotated[
        Path | None, typer.Option(help="A run: the accounts of its groups are inside.")
    ] = None,
    labels: options.Labels = None,
    show_ids: options.ShowIds = False,
) -> None:
    """Follow objects from platform to platform, out of a group, and who sets them off."""
    from gpu_coord.cli.cascades import show_cascades
    from gpu_coord.spread.cascades import trace_cascades

    found = request.run(trace_cascades, store, out, run=run, labels=labels)
    request.show(found.summary, lambda: show_cascades(found, show_ids=show_ids))


@command(CohortSettings, writes=True)
def cohorts(
    request: Request,
    store: options.Store,
    out: options.NewFolder,
    run: Annotated[
        Path | None, typer.Option(help="A run on that store: its groups are the classes.")
    ] = None,
    labels: options.Labels = None,
) -> None:
    """Compare when accounts were made, how long before their first post, and how large they are."""
    from gpu_coord.accounts.cohorts import compare_cohorts
    from gpu_coord.cli.cohorts import show_cohorts

    found = request.run(compare_cohorts, store, out, run=run, labels=labels)
    request.show(found.summary, lambda: show_cohorts(found))


@command(SimulateSettings, writes=True)
def simulate(
    request: Request,
    out: options.NewFolder,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter in the place of the preset's, name=value."),
    ] = None,
) -> None:
    """Write an archive with a planted operation, and the truth about it."""
    from gpu_coord.cli.stores import show_simulation
    from gpu_coord.simulation.scenario import parse_parameter
    from gpu_coord.simulation.simulation import simulate as run

    made = request.run(run, out, overrides=dict(map(parse_parameter, set_ or [])))
    sizes = {name: made.summary[name] for name in ("n_posts", "n_accounts", "n_operation_accounts")}
    request.show(sizes, lambda: show_simulation(made, sizes))


@command(TransplantSettings, writes=True)
def transplant(
    request: Request,
    operation: Annotated[Path, typer.Argument(help="The store that accounts are taken from.")],
    into: Annotated[Path, typer.Option(help="The store of other accounts.")],
    out: options.NewFolder,
) -> None:
    """Plant accounts of one store among matched accounts of another, and write who is who."""
    from gpu_coord.cli.stores import show_transplant
    from gpu_coord.trust.transplant import transplant as run

    found = request.run(run, operation, into, out)
    request.show(found.summary, lambda: show_transplant(found))


@command(Seeded, uses_machine=True, writes=True)
def demo(request: Request, out: options.NewFolder = Path("demo")) -> None:
    """Simulate an archive, find its operation, score it against the truth."""
    from gpu_coord.archive.ingest import ingest as read
    from gpu_coord.cli.evaluations import show_figures
    from gpu_coord.cli.findings import show_run
    from gpu_coord.detection.run import detect as find
    from gpu_coord.simulation.simulation import simulate as make
    from gpu_coord.trust.evaluation.evaluation import evaluate as score

    with request.tell_replacement(out / "store"), show_progress() as progress:
        more: dict[str, Any] = {"overwrite": request.overwrite, "progress": progress}
        archive = make(out / "archive", **more, **request.choices)
        store = read(archive.inputs, out / "store", **more)
    request.choices.clear()  # the seed is of the archive
    found = request.run(find, store, out / "run")
    figures = score(found, archive.truth_accounts)
    if request.as_json:
        print_json({"summary": found.summary, "evaluation": figures})
        return
    show_run(found, show_ids=False)
    show_figures(figures)
    print_lines(
        "",
        f"Look at {found.path}: run.json says what was done, accounts.parquet and "
        "edges.parquet hold the network, network.gexf opens in Gephi.",
    )


@command(EvaluateSettings)
def evaluate(
    request: Request,
    run: options.Run,
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
) -> None:
    """Compare a run with the truth."""
    from gpu_coord.cli.evaluations import choose_truth, show_figures
    from gpu_coord.trust.evaluation.evaluation import evaluate as score

    positive = request.choices["positive"]
    known = choose_truth(truth, users or [], controls or [], positive=positive)
    figures = score(run, known, **request.choices)
    request.show(figures, lambda: show_figures(figures))


@command(CompareSettings, uses_machine=True, writes=True)
def compare(
    request: Request,
    stores: Annotated[list[Path], typer.Argument(help="Stores; ranks are averaged over several.")],
    truth: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV or Parquet with account_id and label, one for each store (their labels)."
        ),
    ] = None,
    out: options.NewFolder = Path("comparison"),
) -> None:
    """Compare published methods and ours on archives whose truth is known."""
    from gpu_coord.cli.evaluations import show_comparison
    from gpu_coord.trust.comparison.comparison import compare as run

    found = request.run(run, stores, truth or [None] * len(stores), out)
    request.show(found.summary, lambda: show_comparison(found))


@command(SweepSettings, uses_machine=True, writes=True, uses_workers=True)
def sweep(
    request: Request,
    store: options.Store,
    grid: Annotated[
        Path, typer.Argument(help="TOML: lists of values by option of `detect`, min_support = [1].")
    ],
    out: options.NewSweep,
    truth: options.Truth = None,
    labels: options.Labels = None,
    show_ids: options.ShowIds = False,
) -> None:
    """Run many settings at once, and show what holds whatever is chosen."""
    from gpu_coord.cli.sweeps import show_sweep
    from gpu_coord.trust.sweeps.sweeps import sweep as run

    found = request.run(run, store, grid, out, truth=truth, labels=labels)
    request.show(found.summary, lambda: show_sweep(found, show_ids=show_ids))


@command()
def verify(
    request: Request,
    folder: Annotated[Path, typer.Argument(help="A store, or any folder that a command wrote.")],
) -> None:
    """Check that a folder is whole: its tables are those written, its counts add up."""
    from gpu_coord.results.verification import verify as check

    checked = check(folder)
    request.show(checked, lambda: print_lines(f"{folder}: {checked['n_tables']} tables are whole."))


COMMANDS = (  # in the order of the help
    ingest, columns, detect, share, coact, cycle, show, explain, report, model, roles, calibrate,
    selftest, info, timeline, cascades, cohorts, simulate, transplant, demo, evaluate, compare,
    sweep, verify,
)  # fmt: skip
