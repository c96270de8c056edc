"""The shape of the package: who may import whom, and what importing it costs."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gpu_coord"
GPU_LIBRARIES = {"cupy", "cupyx", "cudf", "cugraph", "rmm", "pylibcudf", "pylibcugraph"}

# A room may import those of the lines before its own.
LAYERS = [
    {"ground"},
    {"backend"},
    {"store"},
    {"archive", "results", "activity", "network", "simulation"},
    {"chance", "model", "plots"},
    {"groups", "sharing"},
    {"detection", "spread"},
    {"accounts", "trust"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# Reading is for the host; the analysis never touches a file of an archive.
FORBIDDEN = {"activity": {"archive", "simulation"}, "detection": {"archive", "simulation"}}


def list_modules():
    """Return (stage, path) of every module; a package is one stage."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], path


def list_imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            yield from (
                [f"gpu_coord.{alias.name}" for alias in node.names]
                if node.module == "gpu_coord"
                else [node.module]
            )


@pytest.mark.parametrize(
    ("stage", "path"),
    list(list_modules()),
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_imports__go_to_earlier_stages_only(stage, path):
    assert stage in LEVEL, f"{stage} is in no layer: give it one above"
    used = {name.split(".")[1] for name in list_imports(path) if name.startswith("gpu_coord.")} - {
        stage,
        "__version__",
    }
    later = {name for name in used if LEVEL[name] > LEVEL[stage]}
    assert not later, f"{path.name} imports the later {later}"
    assert not used & FORBIDDEN.get(stage, set())


def test_imports__leave_private_names_where_they_are():
    for _, path in list_modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gpu_coord"):
                private = [a.name for a in node.names if re.match("_(?!_)", a.name)]
                assert not private, f"{path.name} imports {private}"


@pytest.mark.parametrize(
    ("stage", "path"), list(list_modules()), ids=lambda value: str(value)[-20:]
)
def test_imports__name_gpu_libraries_in_the_backend_only(stage, path):
    named = {name.split(".")[0] for name in list_imports(path)} & GPU_LIBRARIES
    assert not named or stage == "backend"


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()


def test_import__loads_nothing_heavy():
    heavy = "numba scipy polars pyarrow matplotlib rich tldextract cupy cudf cugraph"
    heavy = [*heavy.split(), "importlib.metadata"]
    code = f"import sys, gpu_coord; print(*(set({heavy}) & set(sys.modules)))"
    assert run_python(code) == []


def test_cli__shows_its_help_without_the_machinery():
    heavy = "numba scipy polars pyarrow matplotlib".split()
    code = f"import sys, gpu_coord.cli; print(*(set({heavy}) & set(sys.modules)))"
    assert run_python(code) == []


def test_public_names__are_functions_whatever_was_imported_before():
    code = (
        "import gpu_coord as gc, gpu_coord.detection.run, gpu_coord.simulation.simulation;"
        "import gpu_coord.trust.evaluation.evaluation;"
        "print(*(n for n in gc.__all__[1:] if not callable(getattr(gc, n))), end='')"
    )
    assert run_python(code) == []


def test_public_names__refuse_others():
    import gpu_coord

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gpu_coord.nothing
    assert set(gpu_coord.__all__) == set(dir(gpu_coord))


def test_modules__say_what_they_are():
    for _, path in list_modules():
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), f"{path.name} has no docstring"
        assert len(ast.get_docstring(tree).splitlines()) <= 9, f"{path.name}: too long a docstring"
