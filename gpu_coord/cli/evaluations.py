"""A run and the truth -> figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpu_coord.cli import options
from gpu_coord.cli.display import Rows, flatten, print_json, print_lines, print_rows

if TYPE_CHECKING:
    import polars as pl


def evaluate(
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
    positive: options.Positive = "operation",
    prevalence: Annotated[
        float, typer.Option(help="Share of such accounts for which to tell the precision.")
    ] = 0.01,
    resamples: Annotated[
        int, typer.Option(min=0, help="Bootstrap resamples behind the intervals; 0: none.")
    ] = 1000,
    seed: options.Seed = 0,
    json_: options.Json = False,
) -> None:
    """Compare a run with the truth."""
    from gpu_coord.evaluation import evaluate as score

    figures = score(
        run,
        _choose_truth(truth, users or [], controls or [], positive=positive),
        positive=positive,
        prevalence=prevalence,
        n_resamples=resamples,
        seed=seed,
    )
    if json_:
        print_json(figures)
    else:
        show_figures(figures)


def _choose_truth(
    truth: Path | None, users: list[Path], controls: list[Path], *, positive: str
) -> "Path | pl.DataFrame | None":
    from gpu_coord.evaluation import gather_truth

    if not users and not controls:
        return truth
    if truth is not None or not users or not controls:
        raise ValueError("--users and --controls go together, and without --truth.")
    return gather_truth(users, controls, positive=positive)


def show_figures(figures: dict[str, Any]) -> None:
    """Print figures against the truth, section by section."""
    for name, section in figures.items():
        if name == "warnings":
            continue
        title = f"{name.replace('_', ' ').capitalize()}, against the truth"
        print_rows(title, *_tabulate_section(section))
    for warning in figures.get("warnings", {}).values():
        print_lines(f"Note: {warning}")


def _tabulate_section(section: dict[str, Any]) -> Rows:
    """Return columns and rows: a table where each entry has the same figures, else a list."""
    if all(isinstance(value, dict) for value in section.values()):
        columns = list(next(iter(section.values())))
        rows = [(name.replace("_", " "), *part.values()) for name, part in section.items()]
        return ["what", *(column.replace("_", " ") for column in columns)], rows
    plain = {name: value for name, value in section.items() if not isinstance(value, list)}
    return ["what", "figure"], flatten(plain)
