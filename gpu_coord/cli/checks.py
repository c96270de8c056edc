"""Whether the machine can do it, does it right, and what it wrote is whole."""

from pathlib import Path
from typing import Annotated

import typer

from gpu_coord.cli import options
from gpu_coord.cli.damage import verify_folder
from gpu_coord.cli.display import flatten, print_json, print_lines, print_rows, show_progress
from gpu_coord.cli.errors import fail
from gpu_coord.cli.values import choose_backend


def selftest(
    backend: options.Backend = "auto",
    out: Annotated[
        Path | None, typer.Option(help="A JSON file for the report, to attach to a bug report.")
    ] = None,
    threads: options.Threads = None,
    json_: options.Json = False,
) -> None:
    """Check every operation of a backend against plain definitions, on this machine."""
    from gpu_coord.folders import write_json
    from gpu_coord.selftest import run_checks

    with show_progress() as progress:
        report = run_checks(choose_backend(backend, threads=threads), progress)
    if out is not None:
        write_json(out, report.to_dict())
    if json_:
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


def info(threads: options.Threads = None, json_: options.Json = False) -> None:
    """Show which backends this machine can use, and what is missing."""
    from gpu_coord import __version__
    from gpu_coord.backend import list_usable

    usable = list_usable(threads=threads)
    if json_:
        print_json({"gpu_coord": __version__, "backends": usable})
        return
    for name, facts in usable.items():
        reason = facts.pop("reason", None)
        facts["usable"] = "no" if reason else "yes"
        print_rows(f"gpu_coord {__version__}: {name}", ["what", "is"], flatten(facts))
        if reason:
            print_lines(reason, wrap=True)


def verify(
    folder: Annotated[Path, typer.Argument(help="A store, a run, a cycle, cascades or cohorts.")],
    json_: options.Json = False,
) -> None:
    """Check that a store or a run is whole: its tables are those written, its counts add up."""
    checked = verify_folder(folder)
    if json_:
        print_json(checked)
    else:
        print(f"{folder}: {checked['n_tables']} tables are whole.")
