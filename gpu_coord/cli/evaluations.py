"""A run and the truth -> figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_coord.cli.display import Rows, flatten, print_lines, print_rows

if TYPE_CHECKING:
    import polars as pl


def choose_truth(
    truth: Path | None, users: list[Path], controls: list[Path], *, positive: str
) -> "Path | pl.DataFrame | None":
    """Return the file of the truth, or the accounts of users files with controls."""
    from gpu_coord.trust.evaluation.truths import gather_truth

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
