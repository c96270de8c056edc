"""An object of a store -> a file that shows how it spread."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gpu_coord.cli import options
from gpu_coord.cli.display import flatten, print_json, print_lines, print_rows

GroupByChoice = Literal["auto", "group", "component", "community", "platform"]


def timeline(
    store: options.Store,
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
    show_ids: options.ShowIds = False,
    json_: options.Json = False,
) -> None:
    """Show how one object spread: who shared it when, coordinated or not."""
    from gpu_coord.timeline_files import write_timeline

    made = write_timeline(
        store, object, out,
        kind=kind, run=run, window=window, group_by=group_by, show_ids=show_ids,
    )  # fmt: skip
    if json_:
        print_json(made.summary)
    else:
        print_rows(f"{made.kind} {made.shown}", ["what", "is"], flatten(made.summary))
        print_lines(made.meaning, f"Look at {out}.")
