"""What is written of the code by the code: tables of options and of columns, and the stub.

``python docs/reference.py`` writes them into the checkout; a test says when one of them
is not what the code makes.
"""

import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from textwrap import indent
from typing import Any, get_args

import typer

import gpu_coord
from gpu_coord.archive.layouts import KINDS, LAYOUTS, Layout
from gpu_coord.cli import app
from gpu_coord.cli.commands import COMMANDS
from gpu_coord.cli.options import BackendChoice
from gpu_coord.cli.requests import Command
from gpu_coord.ground.choices import WORDS, Choices, Declared, list_choices, list_spellings
from gpu_coord.results.columns import read_columns

ROOT = Path(__file__).parents[1]
# The functions behind commands, where they have other names.
FUNCTIONS = {
    "cycle": "run_cycle", "model": "fit_model", "roles": "assign_roles",
    "cascades": "trace_cascades", "cohorts": "compare_cohorts",
}  # fmt: skip
Row = tuple[str, str, str]
MACHINE = ("backend", "memory")
COMMON = ("overwrite", *MACHINE, "dask", "threads", "json_", "debug")
_OPTIONS = """# Every command and option

The code makes this page: `python docs/reference.py`. In Python, and in the grid of a
[sweep](sweeps.md), a choice has the name of its option with underscores, unless the table names
another keyword. A duration is a number with `s`, `m`, `h` or `d`.

Options of all commands; `--backend` and `--memory` of those that compute, `--dask` of those that
[many machines](machines.md) can work on, `--overwrite` of those that write a folder, which
otherwise replace nothing but what they wrote with the same settings from the same:

"""
_STUB = '''"""Types of the public names; ``python docs/reference.py`` writes them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Optional

from distributed import Client
from narwhals.typing import IntoFrame
from polars import DataFrame

from gpu_coord.activity.cells import Activity
from gpu_coord.archive.ingest import AnyPath
from gpu_coord.backend import Backend
from gpu_coord.model.influence import InfluenceModel as InfluenceModel
from gpu_coord.reports.explorer import Explorer
from gpu_coord.results.clock import Progress
from gpu_coord.results.findings import Findings
from gpu_coord.simulation.simulation import Simulation
from gpu_coord.store.store import Store

__version__: str
__all__: list[str]
'''


def make_files() -> dict[Path, str]:
    """Return what the code makes, by the file that holds it."""
    tables, reading = ROOT / "docs" / "tables.md", ROOT / "docs" / "reading.md"
    return {
        ROOT / "docs" / "options.md": describe_commands(),
        tables: fill_tables(tables.read_text(encoding="utf-8")),
        reading: fill_layouts(reading.read_text(encoding="utf-8")),
        ROOT / "gpu_coord" / "__init__.pyi": write_stub(),
    }


# --- options -----------------------------------------------------------------------------------


def describe_commands() -> str:
    """Return the page of all commands and their options."""
    shared = [_describe_option(p, Choices) for p in list_options("detect") if p.name in COMMON]
    return _OPTIONS + _tabulate(shared) + "".join(map(_describe_command, COMMANDS))


def list_options(command: str) -> list[Any]:
    """Return the arguments and options that a command shows, arguments first."""
    commands: Any = typer.main.get_command(app)
    shown = [p for p in commands.commands[command].params if not p.hidden]
    return sorted(shown, key=lambda p: p.param_type_name != "argument")


def _describe_command(command: Command) -> str:
    settings = command.settings or Choices
    common = {*COMMON} if command.uses_machine else {*COMMON} - {*MACHINE}
    own = [p for p in list_options(command.name) if p.name not in common]
    rows = [_describe_option(p, settings) for p in own]
    hidden = [each for each in list_choices(settings) if each.choice.spellings == ()]
    rows += [_describe_keyword(each) for each in hidden]
    name = FUNCTIONS.get(command.name, command.name)
    python = f" In Python: `gc.{name}`." if name in gpu_coord.__all__ else ""
    said = inspect.cleandoc(command.function.__doc__ or "")
    table = f"\n{_tabulate(rows)}" if rows else ""
    return f"\n## {command.name}\n\n{said}{python}\n{table}"


def _describe_option(option: Any, settings: type[Choices]) -> Row:
    name = option.opts[0] if option.param_type_name == "option" else option.name.upper()
    said = [option.help, *_say_choice(settings, option.name)]
    said += _list_words(get_args(BackendChoice) if option.name == "backend" else ())
    default = "required" if option.required else _write_default(option.default)
    return f"`{name}`", default, " ".join(said)


def _describe_keyword(declared: Declared) -> Row:
    said = " ".join([declared.choice.help, *_say_values(declared)])
    return f"in Python: `{declared.name}`", _write_default(declared.default), said


def _say_choice(settings: type[Choices], name: str) -> list[str]:
    """Say of the choice behind an option which values it has, and its keyword in Python."""
    for declared, spelling in list_spellings(settings):
        if spelling.name == name:
            value = f"={spelling.read(True)}" if spelling.type is bool and spelling.read else ""
            is_other = value or name != declared.name
            keyword = [f"In Python `{declared.name}{value}`."] if is_other else []
            return _say_values(declared) + keyword
    return []


def _say_values(declared: Declared) -> list[str]:
    choice, unit = declared.choice, declared.choice.unit
    said = [choice.detail] if choice.detail else []
    said += _list_words(declared.words)
    if any(b is not None for b in (choice.at_least, choice.at_most, choice.above, choice.below)):
        said.append(f"It {choice.describe_range()}.")
    if unit is not None and unit is not WORDS:
        said.append(f"A {unit.name}.")
    return said


def _list_words(words: Iterable[str]) -> list[str]:
    listed = ", ".join(f"`{word}`" for word in words)
    return [f"One of {listed}."] if listed else []


def _write_default(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    if default in (None, ""):
        return ""
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _tabulate(rows: Iterable[Row], head: Row = ("option", "default", "what it does")) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ("---",) * 3, *rows))


# --- columns -----------------------------------------------------------------------------------


def fill_tables(page: str) -> str:
    """Put the tables of columns where a page has marks for them, command by command."""
    return re.sub(
        r"(<!-- columns of (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{_describe_tables(found[2])}\n{found[3]}",
        page,
        flags=re.DOTALL,
    )


def _describe_tables(command: str) -> str:
    rows: list[Row] = []
    for table, (is_row, columns) in read_columns()[command].items():
        rows.append((f"`{table}`", "", f"one row for each {is_row}"))
        rows += [("", f"`{names}`", meaning) for names, meaning in columns.items()]
    return _tabulate(rows, ("table", "column", "meaning"))


# --- layouts -----------------------------------------------------------------------------------


def fill_layouts(page: str) -> str:
    """Put the table of the exports that are read where a page has its mark."""
    table = _tabulate(map(_describe_layout, LAYOUTS), ("export", "kinds", "read at"))
    return re.sub(
        r"(<!-- layouts -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{table}\n{found[2]}",
        page,
        flags=re.DOTALL,
    )


def _describe_layout(layout: Layout) -> Row:
    kinds = {kind for field, kind in KINDS.items() if field in layout.columns}
    kinds |= {kind for kind in ("retweet", "reply", "quote") if "reference_types" in layout.columns}
    kinds |= {"text"} & {*layout.columns}
    packing = "JSON" if layout.is_json else "CSV"
    return f"{layout.name}, {packing}", ", ".join(sorted(kinds)), layout.checked


# --- stub --------------------------------------------------------------------------------------


def write_stub() -> str:
    """Return the types of the public names, for editors: the package loads them on first use."""
    public = (getattr(gpu_coord, name) for name in gpu_coord.__all__)
    return "\n".join([_STUB, *map(_write_function, filter(inspect.isfunction, public))])


def _write_function(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    lines: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in lines:
            lines.append("*")
        lines.append(_write_types(str(parameter)))
    arguments = "".join(f"    {line},\n" for line in lines)
    returned = _write_types(f": {inspect.formatannotation(signature.return_annotation)}")[2:]
    said = indent(inspect.getdoc(function) or "", "    ").strip()
    return f'def {function.__name__}(\n{arguments}) -> {returned}:\n    """{said}\n    """\n'


def _write_types(text: str) -> str:
    """Write the types of a parameter with bare names; a list will do where a choice is a tuple.

    What columns mean is also told by a mapping.
    """
    text = re.sub(r"(?<![\w.'])(?:\w+\.)+(?=[A-Z])", "", re.sub(r": '(.*?)'", r": \1", text))
    if text.startswith("map: tuple"):
        return "map: Mapping[str, str] | Sequence[str] | str | None = None"
    text = text.replace("tuple[str, ...]", "Sequence[str] | str")
    return text.replace("tuple[int, ...]", "Sequence[int]")


if __name__ == "__main__":
    for file, text in make_files().items():
        file.write_text(text, encoding="utf-8")
