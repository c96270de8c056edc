"""Settings and a function -> a command: its options, and what was asked for when it is called.

The one idea: a command names the inputs that it needs; the options of its choices are made from
the settings class, and those that all commands have are added.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, Optional, get_args, get_origin

import typer

from gpu_coord.cli import options
from gpu_coord.cli.display import print_json, say, show_progress
from gpu_coord.cli.values import parse_memory
from gpu_coord.ground.choices import (
    ANALYSED,
    Choices,
    Declared,
    Spelling,
    list_spellings,
    read_options,
    split_list,
)

_WORKERS: list[tuple[str, Any, Any]] = [
    ("dask", options.Dask, None), ("exchange", options.HiddenExchange, None)
]  # fmt: skip
_LARGEST_SHOWN = 1_000_000  # a larger bound of a range says nothing to people


@dataclass(frozen=True)
class Request:
    """What a command was asked for beside its own inputs."""

    choices: dict[str, Any]
    backend: options.BackendChoice
    memory: str | None
    threads: int | None
    as_json: bool
    uses_machine: bool
    workers: dict[str, str | None]  # where they are, and what they share; of commands with blocks
    out: Path | None  # what a command writes, where that may be in the place of another
    overwrite: bool

    def run(self, function: Callable[..., Any], *inputs: Any, **more: Any) -> Any:
        """Call a function of the library with the choices, and show how far it is.

        Labels are read from their file.
        """
        if self.uses_machine:
            from gpu_coord.backend import choose

            more["backend"] = choose(self.backend, threads=self.threads)
            more["memory"] = parse_memory(self.memory)
        more |= self.workers
        if isinstance(more.get("labels"), Path):
            from gpu_coord.archive.ingest import read_labels

            more["labels"] = read_labels(more["labels"])
        if self.out is not None:
            more["overwrite"] = self.overwrite
        with self.tell_replacement(self.out), show_progress() as progress:
            return function(*inputs, progress=progress, **more, **self.choices)

    @contextmanager
    def tell_replacement(self, out: Path | None) -> Iterator[None]:
        """Say, when all is done, that a result was in that place before, and if it still is."""
        noun = None if out is None else _find_noun(out)
        if out is None or noun is None:
            yield
            return
        before = out.stat().st_ino
        yield
        if out.stat().st_ino == before:
            say("note", f"{out} is the same {noun}, made before; --overwrite makes it anew.")
        elif self.overwrite:
            say("note", f"the {noun} that was at {out} is replaced, as --overwrite asks.")
        else:
            say("note", f"{out} held the same {noun}, of the same settings, and is replaced.")

    def show(self, summary: dict[str, Any], show: Callable[[], None]) -> None:
        """Print a summary as JSON, or show a result to people."""
        if self.as_json:
            print_json(summary)
        else:
            show()


def _find_noun(folder: Path) -> str | None:
    """Return what a folder holds whole; None where it holds nothing of ours."""
    from gpu_coord.ground.markers import read_marker
    from gpu_coord.results.findings import find_marker
    from gpu_coord.store.store import STORE_MARKER

    if read_marker(folder, STORE_MARKER) is not None:
        return "store"
    found = find_marker(folder)
    is_whole = found is not None and found[1].get("summary") is not None
    return found[0].noun if found is not None and is_whole else None


@dataclass(frozen=True)
class Command:
    """A command of the program: a function that takes a request and its inputs."""

    function: Callable[..., None]
    settings: type[Choices] | None
    uses_machine: bool
    writes: bool = False
    uses_workers: bool = False

    @property
    def name(self) -> str:
        """As people type it."""
        return self.function.__name__

    def sign(self) -> inspect.Signature:
        """Return the signature that the options are read from."""
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        required = [p for p in parameters if p.default is p.empty]
        optional = [p for p in parameters if p.default is not p.empty]
        spelled = [] if self.settings is None else list_spellings(self.settings)
        chosen = [_make_option(*each) for each in spelled]
        common = {name: _add(name, *more) for name, *more in self._list_common()}
        named = {p.name: p for p in (*chosen, *optional)}
        last = [named.pop(name, parameter) for name, parameter in common.items()]
        listed = [*required, *named.values(), *last]
        return inspect.Signature([_complete(p.replace(kind=p.KEYWORD_ONLY)) for p in listed])

    def _list_common(self) -> list[tuple[str, Any, Any]]:
        shown = self.uses_machine
        return [
            *([("overwrite", options.Overwrite, False)] if self.writes else []),
            ("backend", options.Backend if shown else options.HiddenBackend, "auto"),
            ("memory", options.Memory if shown else options.HiddenMemory, None),
            *(_WORKERS if self.uses_workers else []),
            ("threads", options.Threads, None),
            ("seed", options.HiddenSeed, 0),
            ("json_", options.Json, False),
            ("debug", options.Debug, False),
        ]

    def call(self, given: dict[str, Any]) -> None:
        """Call the function with what was given by the names of the options."""
        own = list(inspect.signature(self.function).parameters)[1:]
        choices = {} if self.settings is None else read_options(self.settings, given)
        request = Request(
            choices, given["backend"], given["memory"], given["threads"], given["json_"],
            self.uses_machine, self._find_workers(given), self._find_out(given),
            given.get("overwrite", False),
        )  # fmt: skip
        self.function(request, **{name: given[name] for name in own})

    def _find_workers(self, given: dict[str, Any]) -> dict[str, str | None]:
        return {name: given[name] for name, *_ in _WORKERS} if self.uses_workers else {}

    def _find_out(self, given: dict[str, Any]) -> Path | None:
        return Path(given.get("out") or given["store"]) if self.writes else None


def command(
    settings: type[Choices] | None = None,
    *,
    uses_machine: bool = False,
    writes: bool = False,
    uses_workers: bool = False,
) -> Callable[[Callable[..., None]], Command]:
    """Make a command of a function that takes a `Request` first.

    Parameters
    ----------
    settings
        The class whose choices are options.
    uses_machine
        Whether the function takes a backend and memory.
    writes
        Whether it writes a folder, which may be in the place of another.
    uses_workers
        Whether workers of Dask can do its blocks.
    """
    return lambda function: Command(function, settings, uses_machine, writes, uses_workers)


def _add(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _make_option(declared: Declared, spelling: Spelling) -> inspect.Parameter:
    default = find_default(declared, spelling)
    type: Any = spelling.type or declared.type
    flags = [spelling.flag] if spelling.flag else []
    if not flags and type is bool:
        flags = [f"--{spelling.name.replace('_', '-')}"]  # no --no- of it
    bounds = {} if spelling.read else _find_bounds(declared)
    said, panel = spelling.help or declared.choice.help, declared.choice.panel
    described = typer.Option(*flags, help=said, rich_help_panel=panel, **bounds)
    read = Optional[type] if default is None else type  # noqa: UP045 - made as the program runs
    return _add(spelling.name, Annotated[read, described], default)


# How the help writes the value of an option.
_VALUES = {int: "N", float: "X", Path: "PATH", str: "TEXT", bool: None}


def _complete(parameter: inspect.Parameter) -> inspect.Parameter:
    """Say how the value of an option is written, and under what it is listed, unless it says so."""
    type, described = get_args(parameter.annotation)
    name = parameter.name.upper().strip("_")
    is_argument = isinstance(described, typer.models.ArgumentInfo)
    described.metavar = described.metavar or (name if is_argument else _write_values(type))
    described.rich_help_panel = described.rich_help_panel or ANALYSED
    return parameter


def _write_values(type: Any) -> str | None:
    """Return what stands for the value of an option of a type; its words, if it has some."""
    if type in _VALUES:
        return _VALUES[type]
    if get_origin(type) is Literal:
        return "|".join(map(str, get_args(type)))
    return _write_values(next(part for part in get_args(type) if part is not NoneType))


def find_default(declared: Declared, spelling: Spelling) -> Any:
    """Return the default of an option as people write it; `inspect.Parameter.empty` without."""
    if spelling.default is not None:
        return None if spelling.default == () else spelling.default
    if declared.is_required:
        return inspect.Parameter.empty
    if len(declared.choice.spellings or ()) > 1:
        return None
    if spelling.type is bool:
        return bool(declared.default) if spelling.read is None else False
    if spelling.read is split_list and declared.default is not None:
        return ",".join(declared.default)
    return declared.default


def _find_bounds(declared: Declared) -> dict[str, Any]:
    """Return the range that the help shows; what it cannot say, the settings refuse."""
    bounds = {"min": declared.choice.at_least, "max": declared.choice.at_most}
    if declared.type not in (int, float):
        return {}
    return {
        name: declared.type(bound)
        for name, bound in bounds.items()
        if bound is not None and bound <= _LARGEST_SHOWN
    }
