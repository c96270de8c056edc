"""A folder of ours -> whether it is what was written: its tables, files, counts and runs in it."""

from pathlib import Path
from typing import Any

from gpu_coord.results.findings import Findings, open_run
from gpu_coord.results.forms import RUN
from gpu_coord.store.store import STORE_MARKER, verify_store
from gpu_coord.store.tables import check_tables, describe_files


def verify(path: Path | str) -> dict[str, Any]:
    """Check a store, or any folder that a command wrote; count what was checked.

    Raises
    ------
    ValueError
        A table or file was changed or is missing, or counts do not add up.
    FileNotFoundError
        There is no folder of ours at that path.
    """
    path = Path(path)
    if (path / STORE_MARKER).is_file():
        return verify_store(path)
    findings = open_run(path)
    noun = findings.form.noun
    if "tables" not in findings.content:
        raise ValueError(
            f"the {noun} {path} is of version {findings.content['gpu_coord']} and does not "
            f"describe its files; repeat `gpu-coord {findings.command}` to have it checked."
        )
    check_tables(path, findings.content["tables"], remedy=f"repeat the {noun}")
    _check_files(findings)
    _check_edges(findings)
    parts = [verify(path / name)["n_tables"] for name in _list_runs(findings)]
    return {"n_tables": len(findings.content["tables"]) + sum(parts)}


def _list_runs(findings: Findings) -> list[str]:
    """Return the runs in a folder: those that its tables name, or that are there."""
    if "rounds" in findings.form.tables:
        return findings.read("rounds")["run"].to_list()
    return [name for name in findings.form.runs if (findings.path / name).is_dir()]


def _check_files(findings: Findings) -> None:
    described = findings.content.get("files")  # folders of earlier versions may lack it
    if described is None:
        return
    present = describe_files(findings.path, findings.form.files)
    for name in findings.form.files:
        if present.get(name) != described.get(name):
            state = "is not the file that was written with its folder"
            state = state if name in present else "is missing"
            raise ValueError(f"{findings.path / name} {state}; repeat the {findings.form.noun}.")


def _check_edges(findings: Findings) -> None:
    """Check that the summary counts the edges that the table has."""
    if findings.form is not RUN or "edges" not in findings.content["tables"]:
        return
    n_rows, n_edges = findings.content["tables"]["edges"]["rows"], findings.summary.get("n_edges")
    if n_edges is not None and n_edges != n_rows:
        raise ValueError(
            f"{findings.path / RUN.marker} counts {n_edges} edges, but edges.parquet has {n_rows}; "
            "repeat the run."
        )
