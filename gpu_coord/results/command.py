"""The life of a command: its input opened, its folder begun, its stages timed, its marker written.

The one idea: a folder appears under its name when all of it is there, with a marker that says what
was done to what, and how long it took.
"""

import inspect
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from gpu_coord.ground.choices import Choices
from gpu_coord.ground.folders import TemporaryFolder, replace_folder, write_json
from gpu_coord.ground.keywords import expose, list_parameters
from gpu_coord.ground.parquet import write_parquet
from gpu_coord.results.clock import Progress, StageClock
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.results.forms import find_form
from gpu_coord.results.origin import Inputs, describe_backend, describe_origin
from gpu_coord.results.replacement import is_there
from gpu_coord.results.room import Room, make_room
from gpu_coord.store.store import Store, check_outside, open_store
from gpu_coord.store.tables import describe_files, describe_table

if TYPE_CHECKING:
    from distributed import Client
    from narwhals.typing import IntoFrame

    from gpu_coord.backend import Backend

_LEAST_MEMORY = 2 << 30
_SMALL_BLOCKS = 16 << 20  # which are as good as any
_THREAD_MEMORY = 256 << 20


class _MadeBeforeError(Exception):
    """What is to be made is in its place already."""


class Work:
    """A command under way: what it works on and with, its folder, and what the marker will say."""

    def __init__(
        self,
        command: str,
        folder: Path,
        settings: Any,  # of the command's own class
        *,
        store: Store | None,
        labels: pl.DataFrame | None,
        inputs: Inputs | None,
        backend: "Backend | None",
        memory: int | None,
        progress: Progress | None,
        place: Path | None = None,  # where the same result is found again, and another refused
        wants_graphs: bool = False,
    ):
        self.command, self.folder, self.settings = command, folder, settings
        self.inputs = dict(inputs or {})
        self.labels, self.clock = labels, StageClock(progress)
        self._store, self._backend, self._memory = store, backend, memory
        self.room: Room = make_room(memory)
        self._place, self._wants_graphs = place, wants_graphs
        self.content: dict[str, Any] = {}

    @property
    def store(self) -> Store:
        """What is worked on."""
        assert self._store is not None, "this command has no store"
        return self._store

    @property
    def backend(self) -> "Backend":
        """Where it is computed; the best that there is, unless one was named."""
        if self._backend is None:
            from gpu_coord.backend import choose

            self._backend = choose()
        return self._backend

    @property
    def memory(self) -> int:
        """The bytes that blocks under way may take: half of what is left, the rest is for tables.

        More than some gigabytes makes nothing faster.
        """
        usual = choose_memory(self.backend)
        return min(usual, self._memory or usual, max(_SMALL_BLOCKS, self.room.left // 2))

    def take(self, name: str, value: Findings | Path | str | None, *commands: str) -> Any:
        """Open a result that this one is also made from, and name it among the inputs."""
        found = None if value is None else open_run(value, *commands)
        self.inputs[name] = found
        return found

    def time(self, stage: str) -> AbstractContextManager[None]:
        """Time a stage, and tell of it; before the first one, look at what is in the way."""
        self._look_at_place()
        return self.clock.time(stage)

    def _look_at_place(self) -> None:
        """End where the result is there, now that all inputs are known and nothing is computed."""
        if self._place is None:
            return
        place, self._place = self._place, None
        form = find_form(self.command)
        if is_there(place, form, self._describe_origin()) and self._has_graphs(place):
            raise _MadeBeforeError

    def _has_graphs(self, place: Path) -> bool:
        return not self._wants_graphs or bool(open_run(place).content.get("graphs_written"))

    def _describe_origin(self) -> dict[str, Any]:
        return describe_origin(
            self.command, self.settings, store=self._store, labels=self.labels, inputs=self.inputs
        )

    def report(self, stage: str) -> Callable[[int, int], None]:
        """Return what tells how far a stage is, from the work done and the work in all."""
        return partial(self.clock.report, stage)

    def write(self, tables: Mapping[str, pl.DataFrame]) -> None:
        """Write tables by name."""
        for name, frame in tables.items():
            write_parquet(frame, self.folder / f"{name}.parquet")

    def describe(self, **content: Any) -> None:
        """Say in the marker what was found; the summary among it."""
        self.content |= content

    @contextmanager
    def open_part(self, name: str, settings: Choices) -> Iterator["Work"]:
        """Yield the same work with other settings, in a folder of this one; write its marker."""
        (self.folder / name).mkdir()
        part = Work(
            self.command, self.folder / name, settings, store=self._store, labels=self.labels,
            inputs=self.inputs, backend=self.backend, memory=self._memory,
            progress=self.clock.report,
        )  # fmt: skip
        yield part
        part.finish()

    def finish(self) -> None:
        """Write the marker: from then on the folder is a result."""
        self._look_at_place()
        form, origin = find_form(self.command), self._describe_origin()
        if self._backend is not None:
            origin["backend"] = describe_backend(self._backend)
        described = {
            "stages": self.clock.stages,
            "tables": describe_tables(self.folder),
            "files": describe_files(self.folder, form.files),
        }
        write_json(self.folder / form.marker, origin | self.content | described)


@contextmanager
def begin(
    command: str,
    out: Path | str,
    settings: Choices,
    store: Store | Path | str | None = None,
    *,
    labels: pl.DataFrame | None = None,
    inputs: Inputs | None = None,
    overwrite: bool = False,
    backend: "Backend | None" = None,
    memory: int | None = None,
    progress: Progress | None = None,
    graphs: bool = False,
    dask: "str | Client | None" = None,
    exchange: str | None = None,
) -> Iterator[Work]:
    """Begin a command that writes a folder; when the block succeeds, the folder is there.

    The same result that is there already is left as it is: the block ends at its first stage.

    Parameters
    ----------
    command
        Its name.
    out
        The folder; one that the same command made of the same stays, others are refused.
    settings
        Every choice of the command.
    store
        What it works on, or the folder of that.
    labels
        Columns account_id, label, in the place of the store's own labels.
    inputs
        Whatever else changes the result, by name: other results, hashes.
    overwrite
        Compute anew, and replace any earlier folder of the same form.
    backend, memory, progress, dask, exchange
        As of the command.
    graphs
        Whether an earlier folder must have graph files to be the same.

    Raises
    ------
    ValueError
        The folder would lie in the store.
    FileExistsError
        The path holds anything else than what may be replaced.
    """
    form = find_form(command)
    if store is not None:
        store = open_store(store)
        check_outside(store, out, form.plural)
    with (
        suppress(_MadeBeforeError),
        replace_folder(Path(out), form.marker, form.names) as folder,
        open_machines(backend, dask, exchange, folder) as backend,
    ):
        work = Work(
            command, folder, settings, store=store, labels=labels, inputs=inputs, backend=backend,
            memory=memory, progress=progress, place=None if overwrite else Path(out),
            wants_graphs=graphs,
        )  # fmt: skip
        yield work
        work.finish()


@contextmanager
def open_machines(
    backend: "Backend | None", dask: "str | Client | None", exchange: str | None, folder: Path
) -> Iterator["Backend | None"]:
    """Yield the backend of a command: one with the workers of Dask where these are asked for.

    What it exchanges with them lies in the folder that it writes, unless another is named.
    """
    if dask is None:
        yield backend
        return
    from gpu_coord.backend import choose
    from gpu_coord.backend.machines import spread

    with spread(backend or choose(), dask, exchange or str(folder.resolve())) as spread_out:
        yield spread_out


def choose_place(out: Path | str | None, noun: str) -> tuple[Path, TemporaryFolder | None]:
    """Return where to write, and what keeps that there where it is temporary."""
    kept = TemporaryFolder() if out is None else None
    return (kept.path / noun if kept else Path(out or "")), kept


def take_store(
    given: "Store | Path | str | IntoFrame",
    map: Mapping[str, str] | None = None,
    place: Path | None = None,
) -> Store:
    """Return a store, or that which is made of a file or a data frame.

    Parameters
    ----------
    given
        The store, its folder, an archive or table that is one file, or a data frame.
    map
        What the columns of the table mean.
    place
        Where to make a store; by default one that is there as long as what is returned.

    Raises
    ------
    ArchiveError
        The frame is no archive.
    TypeError
        It is none of these.
    ValueError
        Columns are named of what has none.
    """
    is_path = isinstance(given, str | os.PathLike)
    if isinstance(given, Store) or (is_path and not Path(cast("str", given)).is_file()):
        if map is not None:
            raise ValueError(
                "map says what the columns of a table mean, and what is given is a store; leave "
                "map out."
            )
        return open_store(cast("Store | str", given))
    from gpu_coord.archive.frames import is_frame
    from gpu_coord.archive.ingest import ingest

    if not is_path and not is_frame(given):
        raise TypeError(
            f"what is given is of the type {type(given).__name__}; give a store, its folder or a "
            "data frame (Polars, pandas, Arrow, DuckDB, ...)."
        )
    return ingest(given, place, map=map)


def take_labels(given: "IntoFrame | Path | str | None") -> pl.DataFrame | None:
    """Return labels (account_id, label) of a Polars frame, of another, or of a file.

    Raises
    ------
    ArchiveError
        They lack a column, or tell two things of one account.
    """
    if given is None or isinstance(given, pl.DataFrame):
        return given
    from gpu_coord.archive.ingest import read_labels

    return read_labels(given)


# Keywords of commands that compute, and of those that have blocks for workers, with their types.
_MACHINE = {"backend": "Backend | None", "memory": "int | None"}
_WORKERS = {"dask": "str | Client | None", "exchange": "str | None"}

# What the docstring of a command says of what all commands take.
_DESCRIBED = {
    "store": "A store, its folder, or a table of shares or posts as `ingest` takes it: a file or "
    "a data frame (Polars, pandas, Arrow, DuckDB, ...).",
    "out": "The folder to write; one that the same command made of the same with the same choices "
    "is returned as it is, anything else is refused. Without it a temporary one is there as long "
    "as what is returned, whose `save` keeps it.",
    "map": "What the columns of a data frame mean, field -> column, of all that count, as of "
    "`ingest`; by default they are taken by their names.",
    "graphs": "Write GraphML and GEXF of the network even above 200,000 edges.",
    "labels": "Columns account_id, label, in the place of the store's own labels: a data frame, or "
    "a CSV or Parquet file.",
    "overwrite": "Compute anew, and replace any result that is there.",
    "backend": "Where to compute; the default is `gpu_coord.backend.choose`'s.",
    "memory": "Bytes that the process may hold; by default nine tenths of what is free, within the "
    "limits of the machine, its container and its shell. What will not fit is refused before it is "
    "begun. Results do not depend on it.",
    "progress": "Called with the stage, the work done and the work in all.",
    "dask": "Whose workers do the blocks: `local` for a process on each core, the address of a "
    "scheduler, or a client of Dask.",
    "exchange": "The folder, or its address, in which they get their work; one beside the result "
    "by default.",
}


def writes(
    command: str,
    settings: type[Choices],
    *,
    uses_machine: bool = True,
    uses_workers: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., Findings]]:
    """Make a command of a function that does its work.

    The function takes a `Work`, then whatever it needs beside the store and the choices. What it
    becomes takes ``store``, these, ``out`` and, as keywords, the choices and what all commands
    have; it returns the folder. In the place of a store it takes a data frame, of which it makes
    one.

    Parameters
    ----------
    command
        Its name.
    settings
        The class of its choices.
    uses_machine
        Whether it can be told where to compute, and with how much memory.
    uses_workers
        Whether workers of Dask can do its blocks.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., Findings]:
        own = list_parameters(function)[1:]
        machine = (_MACHINE if uses_machine else {}) | (_WORKERS if uses_workers else {})
        parameters = _list_parameters(own, machine)
        more = {parameter.name for parameter in own}
        common = {p.name for p in parameters} - more - {"store", "out", "map"}

        def run(**given: Any) -> Findings:
            needed = {name: given.pop(name) for name in more & given.keys()}
            means = {name: given.pop(name) for name in common & given.keys()}
            means["labels"] = take_labels(means.get("labels"))
            store, map = given.pop("store"), given.pop("map", None)
            out, choices = given.pop("out", None), settings(**given)
            place, kept = choose_place(out, "run")
            # Beside the run, where what needs the store later looks for it.
            store = take_store(store, map, kept.path / "store" if kept else None)
            means["graphs"] = needed.get("graphs", False)
            with begin(command, place, choices, store, **means) as work:
                function(work, **needed)
            return replace(open_run(place), kept=kept)

        return expose(function, run, parameters, settings, _DESCRIBED)

    return decorate


def _list_parameters(
    own: list[inspect.Parameter], machine: Mapping[str, str]
) -> list[inspect.Parameter]:
    """Return the parameters of a command beside its choices."""
    first = [p for p in own if p.kind is p.POSITIONAL_OR_KEYWORD]
    rest = [p for p in own if p.kind is p.KEYWORD_ONLY]
    place = partial(inspect.Parameter, kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)
    keyword = partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY, default=None)
    return [
        place("store", annotation="Store | Path | str | IntoFrame"),
        *first,
        place("out", annotation="Path | str | None", default=None),
        *rest,
        keyword("map", annotation="Mapping[str, str] | None"),
        keyword("labels", annotation="IntoFrame | Path | str | None"),
        keyword("overwrite", annotation="bool", default=False),
        *(keyword(name, annotation=annotation) for name, annotation in machine.items()),
        keyword("progress", annotation="Progress | None"),
    ]


def choose_memory(backend: "Backend") -> int:
    """Return the most bytes that blocks under way need."""
    return min(backend.free_memory() // 2, max(_LEAST_MEMORY, backend.threads * _THREAD_MEMORY))


def describe_tables(folder: Path) -> dict[str, Any]:
    """Return rows, size and hash of each table in a folder."""
    return {file.stem: describe_table(file) for file in sorted(folder.glob("*.parquet"))}


def amend(
    findings: Findings, tables: Mapping[str, pl.DataFrame], content: Mapping[str, Any]
) -> Findings:
    """Put a folder in the place of a result that differs in some tables and its marker only.

    Parameters
    ----------
    findings
        The result; whatever else its folder holds comes along.
    tables
        The tables in the place of its own, by name.
    content
        What its marker says of them.
    """
    path, marker = findings.path.resolve(), findings.form.marker
    replaced = {marker, *(f"{name}.parquet" for name in tables)}
    held = {entry.name for entry in path.rglob("*")}
    with replace_folder(path, marker, held) as folder:
        shutil.copytree(
            path,
            folder,
            symlinks=True,
            ignore=lambda place, names: replaced & set(names) if Path(place) == path else set(),
            copy_function=_link,
            dirs_exist_ok=True,
        )
        for name, frame in tables.items():
            write_parquet(frame, folder / f"{name}.parquet")
        changed = {name: describe_table(folder / f"{name}.parquet") for name in tables}
        described = {"tables": findings.content["tables"] | changed}
        write_json(folder / marker, findings.content | described | dict(content))
    return replace(open_run(findings.path), kept=findings.kept)


def _link(source: str, target: str) -> None:
    """Give a file a second name; copy it where the disk has no such thing."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
