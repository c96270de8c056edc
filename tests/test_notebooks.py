"""Every notebook runs from first to last cell, at small scale, and is kept without outputs."""

import os
from pathlib import Path

import nbformat
import polars as pl
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
# Where the default is too much for a test.
SCALES = {
    "02_hidden_messages": {"preset": "demo"},
    "04_is_it_chance": {"n_copies": 2},
    "07_cpu_gpu_and_scale": {"n_posts": (5_000, 6_000)},
}


def set_parameters(notebook, **values):
    """Add a cell after the one tagged ``parameters``, as papermill does."""
    tagged = [
        position
        for position, cell in enumerate(notebook.cells)
        if "parameters" in cell.metadata.get("tags", [])
    ]
    assert len(tagged) == 1, "a notebook has one cell tagged parameters"
    lines = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    notebook.cells.insert(tagged[0] + 1, nbformat.v4.new_code_cell(lines))


def execute(path, working_folder, **values):
    notebook = nbformat.read(path, as_version=4)
    set_parameters(notebook, **values)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": working_folder}},
    )
    client.execute(env=os.environ | {"MPLBACKEND": "agg"})
    return notebook


# nbclient starts its own event loop and leaves sockets to the collector.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook__runs(path, tmp_path):
    notebook = execute(path, tmp_path, folder="out", **SCALES.get(path.stem, {}))
    shown = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type in ("display_data", "execute_result")
    ]
    assert shown
    assert (tmp_path / "out" / "run" / "run.json").is_file()
    ids = pl.read_parquet(tmp_path / "out" / "run" / "accounts.parquet")["account_id"]
    text = str([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])
    assert not [name for name in ids if name in text], "ids are shown"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook__is_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.outputs for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook__says_of_every_figure_how_to_read_it(path):
    cells = nbformat.read(path, as_version=4).cells
    for position, cell in enumerate(cells):
        if cell.cell_type == "code" and "plt.show()" in cell.source:
            before = cells[position - 1]
            assert before.cell_type == "markdown"
            marks = [before.source.find(f"*{mark}*:") for mark in ("Shows", "Read it", "Then")]
            assert -1 < marks[0] < marks[1] < marks[2], before.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook__begins_with_its_question_and_ends_with_a_decision(path):
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].source.startswith(f"# {int(path.stem[:2])}. ")
    assert cells[-1].source.startswith("## Decision")
    assert all(f"{name} = " in cells[1].source for name in ("archive", "folder", "seed"))


def test_notebooks__are_numbered_without_a_gap():
    assert [int(path.stem[:2]) for path in NOTEBOOKS] == list(range(1, 8))
