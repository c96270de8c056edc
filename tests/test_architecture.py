"""The shape of the package: who may import whom, how long functions are, what importing costs."""

import ast
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gpu_coord"
GPU_LIBRARIES = {"cupy", "cupyx", "cudf", "cugraph", "rmm", "pylibcudf", "pylibcugraph"}

# A room imports from the lines above its own alone, so that there is no circle of rooms.
LAYERS = [
    {"ground"},
    {"backend"},
    {"store", "network"},
    {"archive", "activity"},
    {"results"},
    {"chance", "model", "plots", "simulation"},
    {"groups", "sharing"},
    {"detection", "spread"},
    {"accounts", "reports", "trust"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
# Reading is for the host; what is counted and tested never touches a file of an archive.
COUNTING = {"activity", "backend", "chance", "detection", "groups", "model", "network"}
READING = {"archive", "simulation", "plots"}
MAX_ROOMS, MAX_ARROWS = 22, 120
MAX_MEDIAN_LINES, MAX_P90_LINES = 8, 22  # of functions, without their docstrings

HEAVY = "numba scipy polars pyarrow numpy matplotlib rich tldextract cupy cudf cugraph".split()
HEAVY.append("importlib.metadata")  # reading a version costs as much as all of ours


def list_modules():
    """Return (room, path, tree) of every module; a folder at the top level is a room."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], path, ast.parse(path.read_text())


MODULES = list(list_modules())


def list_imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "gpu_coord":
                yield from (f"gpu_coord.{alias.name}" for alias in node.names)
            else:
                yield node.module


def list_rooms(room, tree):
    """Return the other rooms that a module imports from."""
    named = {name.split(".")[1] for name in list_imports(tree) if name.startswith("gpu_coord.")}
    return named - {room, "__version__"}


@pytest.mark.parametrize(
    ("room", "path", "tree"), MODULES, ids=[str(p.relative_to(PACKAGE)) for _, p, _ in MODULES]
)
def test_imports__come_from_earlier_rooms_only(room, path, tree):
    assert room in LEVEL, f"{room} is on no line: give it one above"
    later = {name for name in list_rooms(room, tree) if LEVEL[name] >= LEVEL[room]}
    assert not later, f"{path.name} imports from {later}, which are on its line or below"
    assert room not in COUNTING or not list_rooms(room, tree) & READING


def test_imports__leave_private_names_where_they_are_and_gpu_libraries_in_the_backend():
    for room, path, tree in MODULES:
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gpu_coord"):
                private = [alias.name for alias in node.names if re.match("_(?!_)", alias.name)]
                assert not private, f"{path.name} imports {private}"
        named = {name.split(".")[0] for name in list_imports(tree)} & GPU_LIBRARIES
        assert not named or room == "backend", f"{path.name} imports {named}"


def test_modules__say_what_they_are():
    for _, path, tree in MODULES:
        assert ast.get_docstring(tree), f"{path.name} has no docstring"
        n_lines = len(ast.get_docstring(tree).splitlines())
        assert n_lines <= 9, f"{path.name}: too long a docstring"


def test_rooms__are_few_and_so_are_the_arrows_between_them():
    assert {room for room, _, _ in MODULES} == set(LEVEL)
    assert len(LEVEL) <= MAX_ROOMS
    arrows = {(room, other) for room, _, tree in MODULES for other in list_rooms(room, tree)}
    assert len(arrows) <= MAX_ARROWS


def count_lines(function):
    """Return the lines of a function's body, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions__are_short():
    lines = [
        count_lines(node)
        for _, _, tree in MODULES
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert len(lines) > 1000
    assert statistics.median(lines) <= MAX_MEDIAN_LINES
    assert statistics.quantiles(lines, n=10)[-1] <= MAX_P90_LINES


# --- what importing costs ------------------------------------------------------------------------


def list_loaded(code, *arguments, of=HEAVY):
    """Return which libraries a program has loaded at its end."""
    told = f"{code}\nimport sys; print(*(set({list(of)}) & set(sys.modules)))"
    command = [sys.executable, "-c", told, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_import__of_the_package_loads_nothing_heavy():
    assert list_loaded("import gpu_coord") == []


def test_import__of_commands_and_settings_loads_nothing_heavy():
    light = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for room, path, _ in MODULES
        if path.name in ("settings.py", "forms.py") or room in ("cli", "ground")
    ]
    for columns in ("escapes", "parquet", "urls", "texts"):  # they work on columns
        light.remove(f"gpu_coord.ground.{columns}")
    # Typer shows its help with rich.
    assert list_loaded(f"import {', '.join(light)}", of=set(HEAVY) - {"rich"}) == []


def test_open_run__and_reading_a_table_load_neither_numba_nor_scipy(tmp_path):
    marker = {"gpu_coord": "test", "command": "detect", "settings": {}, "summary": {"n_edges": 1}}
    (tmp_path / "run.json").write_text(json.dumps(marker))
    edges = {"source": ["a"], "target": ["b"], "in_network": [True]}
    pl.DataFrame(edges).write_parquet(tmp_path / "edges.parquet")
    code = (
        "import sys; from gpu_coord.results.findings import open_run\n"
        "found = open_run(sys.argv[1])\n"
        "assert found.read_network().height == found.read('edges', ['source']).height == 1"
    )
    assert list_loaded(code, tmp_path, of={"numba", "scipy", "matplotlib"}) == []


def test_public_names__are_functions_whatever_was_imported_before():
    code = (
        "import gpu_coord as gc, gpu_coord.detection.run, gpu_coord.simulation.simulation;"
        "import gpu_coord.trust.evaluation.evaluation;"
        "assert all(callable(getattr(gc, name)) for name in gc.__all__[1:])"
    )
    assert "numba" in list_loaded(code)


def test_public_names__refuse_others():
    import gpu_coord

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gpu_coord.nothing
    assert set(gpu_coord.__all__) == set(dir(gpu_coord))
