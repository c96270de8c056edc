"""Every notebook runs from first to last cell, at small scale, and is kept without outputs."""

import os
from pathlib import Path

import nbformat
import polars as pl
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
# Where the default is too much for a test.
KINDS = ("hashtag", "mention")  # accounts are among the objects: their ids must not be shown
GRID = {"kinds": ["hashtag,mention"], "lags": ["1-1", "0-1"], "min_support": [1, 3]}
SCALES = {
    "01_first_archive": {"preset": "small"},
    "02_hidden_messages": {"preset": "demo"},
    "04_is_it_chance": {
        "preset": "small",
        "n_copies": 1,
        "n_independent": 4_000,
        "kinds": KINDS[1:],
    },
    "05_choosing_parameters": {"preset": "small", "grid": GRID | {"alpha": [0.01, 0.05]}},
    "06_catalysts_and_boosters": {"preset": "small", "kinds": KINDS},
    "07_cpu_gpu_and_scale": {"n_posts": (6_000,), "kinds": KINDS[1:]},
    "08_which_method": {
        "preset": "small",
        "kinds": KINDS[1:],
        "n_organic": 5_000,
        "n_permutations": 19,
    },
    "09_from_archive_to_figure": {"preset": "small", "kinds": KINDS[1:]},
}


def set_parameters(notebook, **values):
    """Add a cell after the one tagged ``parameters``, as papermill does."""
    is_tagged = ["parameters" in cell.metadata.get("tags", []) for cell in notebook.cells]
    assert sum(is_tagged) == 1, "a notebook has one cell tagged parameters"
    lines = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    notebook.cells.insert(is_tagged.index(True) + 1, nbformat.v4.new_code_cell(lines))


def execute(path, working_folder, **values):
    notebook = nbformat.read(path, as_version=4)
    set_parameters(notebook, **values)
    where = {"metadata": {"path": working_folder}}
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where)
    client.execute(env=os.environ | {"MPLBACKEND": "agg"})
    return notebook


# nbclient starts its own event loop and leaves sockets to the collector.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook__runs(path, tmp_path):
    notebook = execute(path, tmp_path, folder="out", **SCALES.get(path.stem, {}))
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    shown = {output.output_type for each in outputs for output in each}
    assert shown & {"display_data", "execute_result"}
    assert (tmp_path / "out" / "run" / "run.json").is_file()
    ids = pl.read_parquet(tmp_path / "out" / "run" / "accounts.parquet")["account_id"]
    text = str(outputs)
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
    assert [int(path.stem[:2]) for path in NOTEBOOKS] == list(range(1, 10))
