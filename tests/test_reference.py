"""What is written of the code is what the code is: options, columns, types, docstrings."""

import ast
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import typer

import gpu_coord as gc
from gpu_coord import plots
from gpu_coord.cli import app
from gpu_coord.cli.commands import COMMANDS
from gpu_coord.ground.choices import list_choices, list_spellings
from gpu_coord.results.columns import read_columns
from gpu_coord.results.findings import Findings
from gpu_coord.spread.timeline_files import write_timeline
from gpu_coord.trust.calibration import calibrate

# The page is made by a script beside the docs, which is no part of the package.
sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
import gallery
from reference import COMMON, FUNCTIONS, list_options, make_files

PUBLIC = [name for name in gc.__all__[1:] if inspect.isfunction(getattr(gc, name))]
CHOOSING = {FUNCTIONS.get(c.name, c.name): c.settings for c in COMMANDS if c.settings}
# Which commands declare the tables of a folder, where it is not the one alone that wrote it.
DECLARE = {"detect": ["detect", "roles"], "share": ["detect", "share"]}
DECLARE |= {"coact": ["detect", "share", "coact"]}
EXAMPLE = """
import gpu_coord as gc

run = gc.detect("store", "run", kinds=["hashtag"], lags=(1, 2), measure="trace")
gc.share("store", "run", kinds="url", window="10s,60s").read("edges")
reveal_type(run)
gc.detect("store", "run", measure="nothing")
gc.detect("store", "run", minsupport=2)
gc.nothing
"""


@pytest.mark.parametrize("file", make_files(), ids=lambda path: path.name)
def test_files__are_what_the_code_makes(file):
    made = make_files()[file]
    assert file.read_text() == made, "run `python docs/reference.py`"


# --- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_options__are_of_settings_or_inputs_and_in_the_docs(command):
    page = (Path(__file__).parents[1] / "docs" / "options.md").read_text()
    section = page.split(f"\n## {command.name}\n")[1].split("\n## ")[0]
    spelled = {s.name for _, s in list_spellings(command.settings)} if command.settings else set()
    inputs = {*list(inspect.signature(command.function).parameters)[1:], *COMMON}
    for option in list_options(command.name):
        assert option.name in spelled | inputs
        assert option.help
        name = option.name.upper() if option.param_type_name == "argument" else option.opts[0]
        assert f"| `{name}` |" in section or f"| `{name}` |" in page.split("\n## ")[0]


# --- keywords ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PUBLIC)
def test_signatures__name_every_keyword_and_the_docstrings_describe_it(name):
    function = getattr(gc, name)
    parameters = inspect.signature(function).parameters.values()
    assert not any(p.kind is p.VAR_KEYWORD for p in parameters)
    described = re.search(r"Parameters\n-+\n(.*?)(\n\n\w+\n-+|\Z)", inspect.getdoc(function), re.S)
    entries = re.findall(r"^(\w[\w, ]*)$", described[1] if described else "", re.MULTILINE)
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert set(keywords) <= {entry for line in entries for entry in line.split(", ")}


@pytest.mark.parametrize("name", [name for name in PUBLIC if name in CHOOSING])
def test_keywords__are_the_choices_and_wrong_ones_meet_those_that_are_near(name):
    function = getattr(gc, name)
    names = [each.name for each in list_choices(CHOOSING[name])]
    assert set(names) <= set(inspect.signature(function).parameters)
    with pytest.raises(TypeError, match=rf"no option '{names[-1]}x'; it has .*{names[-1]}"):
        function(**{f"{names[-1]}x": 1})


# --- types -------------------------------------------------------------------------------------


def test_stub__has_every_public_name_with_its_keywords():
    stub = ast.parse(next(text for file, text in make_files().items() if file.suffix == ".pyi"))
    defined = {node.name: node.args for node in stub.body if isinstance(node, ast.FunctionDef)}
    imported = {a.asname for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert {*defined, *imported} - {None} == set(gc.__all__) - {"__version__"}
    for name, arguments in defined.items():
        taken = [a.arg for a in (*arguments.args, *arguments.kwonlyargs)]
        signature = inspect.signature(getattr(gc, name)).parameters.values()
        assert taken == [p.name for p in signature if p.kind is not p.VAR_POSITIONAL]


def test_stub__tells_a_type_checker_what_is_wrong(tmp_path):
    (tmp_path / "example.py").write_text(EXAMPLE)
    root = Path(__file__).parents[1]
    check = [sys.executable, "-m", "mypy", "--config-file", str(root / "pyproject.toml")]
    found = subprocess.run(
        [*check, "--cache-dir", str(root / ".mypy_cache"), str(tmp_path / "example.py")],
        cwd=root, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert re.findall(r"example\.py:(\d+): error", found) == ["7", "8", "9"], found
    assert 'note: Revealed type is "gpu_coord.results.findings.Findings"' in found


# --- columns -----------------------------------------------------------------------------------


def run_every_command(folder):
    """Yield each command with the tables of a folder that it wrote: names, and files or columns."""
    made = gc.simulate(
        folder / "archive", preset="swift", n_posts=9_000, seed=1,
        overrides={"follow_probability": 0.5},
    )  # fmt: skip
    truth, out = made.path / "truth_accounts.parquet", folder / "run"
    store = gc.ingest(made.inputs, folder / "store", texts=True, labels=truth)
    yield "ingest", {file.stem: file for file in store.path.glob("*.parquet")}
    yield made
    yield gc.detect(store, out, lags=(0, 1), groups=1)
    yield gc.fit_model(store, folder / "model")
    yield gc.assign_roles(out, store, model=folder / "model")
    kinds = {"kinds": ["url", "hashtag"]}
    yield gc.share(store, window="10s,60s", intervals=True, **kinds)
    yield gc.share(
        store, mode="coortweet", fast_window="10s", edge_weight_quantile=0.5, compare=True,
        window="10s,60s", **kinds,
    )  # fmt: skip
    yield gc.share(store, mode="coornet", **kinds)
    yield gc.share(store, mode="qut", **kinds)
    layers = ["co_url", "similar_text", "fast_retweet", "similar_hashtag"]
    yield gc.coact(store, layers=layers, merge="fused")
    seeds = store.read("entities").filter(kind="url")["value"].head(5).to_list()
    yield gc.run_cycle(store, [*seeds, "nothing.example"], folder / "cycle")
    yield gc.trace_cascades(store, folder / "cascades", inside="operation")
    yield gc.compare_cohorts(store, folder / "cohorts", controls="unaffiliated")
    yield gc.transplant(store, store, folder / "transplant")
    yield gc.compare(store, truth, folder / "comparison", n_permutations=19, n_resamples=9)
    yield calibrate(store, folder / "calibration", n_copies=1, groups=1)
    yield gc.sweep(store, {"alpha": [0.01, 0.05], "paper": [True]}, folder / "sweep", truth=truth)
    write_timeline(store, seeds[0], folder / "timeline.parquet", kind="url")
    yield "timeline", {"timeline": folder / "timeline.parquet"}


def read_names(tables):
    return {table: list(pl.read_parquet_schema(file)) for table, file in tables.items()}


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    """Return what every command made; a temporary folder lives as long as its findings."""
    return list(run_every_command(tmp_path_factory.mktemp("every")))


@pytest.fixture(scope="module")
def written(every):
    """Return the columns of each table of each folder, by command."""
    found = {command: [] for command in read_columns()}
    for made in every:
        if isinstance(made, Findings):
            tables = {table: made.find(table) for table in made.tables}
            found[made.command].append(read_names(tables))
        else:
            found[made[0]].append(read_names(made[1]))
    return found


def list_declared(command, table):
    """Return the names and patterns that are declared of a table."""
    row_and_columns = read_columns()[command].get(table, ("", {}))
    return [name for names in row_and_columns[1] for name in names.split(", ")]


def match(declared, column):
    return re.fullmatch(re.sub("<[a-z]+>", ".+", declared), column)


@pytest.mark.parametrize("command", [name for name in read_columns() if name != "roles"])
def test_columns__are_all_declared(command, written):
    assert written[command]
    for tables in written[command]:
        for table, columns in tables.items():
            declared = [d for c in DECLARE.get(command, [command]) for d in list_declared(c, table)]
            unknown = [column for column in columns if not any(match(d, column) for d in declared)]
            assert not unknown, f"{command}: {table} has {unknown}; declare them in columns.txt"


@pytest.mark.parametrize("command", read_columns())
def test_columns__that_are_declared_are_in_some_table(command, written):
    for table in read_columns()[command]:
        folders = written["detect" if command == "roles" else command]
        columns = {column for tables in folders for column in tables.get(table, ())}
        absent = [d for d in list_declared(command, table) if not any(match(d, c) for c in columns)]
        assert not absent, f"no {table} of {command} has {absent}"


# --- pictures ----------------------------------------------------------------------------------

DRAWING = [name for name in plots.__all__ if name.startswith(("plot_", "draw_"))]


def test_pictures__are_all_in_the_gallery_and_on_the_page():
    page = (Path(__file__).parents[1] / "docs" / "plots.md").read_text()
    assert set(DRAWING) <= set(gallery.PICTURES)
    assert [name for name in DRAWING if f"`{name}`" not in page and f"`{name}(" not in page] == []


def test_gallery__shows_each_picture_with_its_call():
    page = gallery.write_page()
    for name in DRAWING:
        section = page.split(f"\n### {name}\n")[1].split("\n### ")[0]
        assert all(f"]({file}" in section for _, file in gallery.list_files(name))
        assert f"plots.{name}(" in section.split("```python\n")[1]


@pytest.fixture(scope="module")
def results(every):
    """Return what the gallery draws, by the names that it has there."""
    of = {made.command: made for made in reversed(every) if isinstance(made, Findings)}
    store = gc.open_store(of["detect"].path.parent / "store")
    named = {"run": "detect", "shares": "share", "calibration": "calibrate", "sweep": "sweep"}
    named |= {"comparison": "compare"}
    return {"store": store, "quick": store} | {name: of[each] for name, each in named.items()}


# One test: a second process would run every command again.
def test_gallery__draws_each_picture(results, tmp_path):
    for name, picture in gallery.PICTURES.items():
        theme, file = gallery.list_files(name)[-1]
        gallery.draw_picture(picture, tmp_path / file, results, theme=theme)
        content = (tmp_path / file).read_bytes()
        assert content.startswith(b"<svg" if picture.suffix == ".svg" else b"\x89PNG"), name
        if picture.has_themes:
            size = [int.from_bytes(content[at : at + 4]) for at in (16, 20)]
            assert size == [150 * inches for inches in picture.size], name


# --- how do I ----------------------------------------------------------------------------------


def list_code():
    page = (Path(__file__).parents[1] / "docs" / "how.md").read_text()
    return re.findall(r"`([^`]+)`", page)


@pytest.mark.parametrize("line", [code for code in list_code() if code.startswith("gpu-coord ")])
def test_how__names_commands_and_options_that_there_are(line):
    name, *given = shlex.split(line)[1:]
    command = typer.main.get_command(app).commands[name]
    assert command.make_context(name, given).params


@pytest.mark.parametrize("line", [code for code in list_code() if re.match(r"(gc|plots)\.", code)])
def test_how__names_calls_that_there_are(line):
    for room, function in re.findall(r"(gc|plots)\.(\w+)\(", line):
        assert callable(getattr({"gc": gc, "plots": plots}[room], function))
    assert all(hasattr(Findings, name) for name in re.findall(r"[)n]\.(\w+)", line))


def test_how__is_one_screen():
    page = (Path(__file__).parents[1] / "docs" / "how.md").read_text()
    assert len(page.split()) <= 450
