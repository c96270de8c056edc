"""Many settings -> one tidy table: what holds whatever is chosen, and which choice matters.

In: a store and a grid. Out: a folder with a row per cell, and on it the multiverse: inclusion,
variance, agreement, robust core. The one idea: what cells share is computed once, and every cell
that is done stays done.
"""

import fcntl
import json
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import polars as pl

from gpu_coord.activity.cells import build_activity
from gpu_coord.activity.settings import MatchSettings
from gpu_coord.backend import Backend
from gpu_coord.ground.choices import hash_json
from gpu_coord.ground.folders import (
    WAY_OUT,
    check_replaceable,
    name_aside,
    replace_file,
    write_json,
)
from gpu_coord.ground.keywords import takes
from gpu_coord.ground.markers import read_marker
from gpu_coord.ground.parquet import read_parquet
from gpu_coord.results.clock import Progress
from gpu_coord.results.command import (
    Work,
    choose_place,
    describe_tables,
    open_machines,
    take_labels,
    take_store,
)
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.results.forms import SWEEP
from gpu_coord.results.origin import describe_backend, describe_origin, hash_labels
from gpu_coord.results.replacement import is_whole
from gpu_coord.store.store import Store, check_outside
from gpu_coord.store.tables import hash_file
from gpu_coord.trust.settings import SweepSettings
from gpu_coord.trust.sweeps.grid import Cell, Grid, find_activity_key, list_cells, read_grid
from gpu_coord.trust.sweeps.multiverse import CORE_SHARE, find_core
from gpu_coord.trust.sweeps.results import (
    CELLS,
    NETWORKS,
    Results,
    count_networks,
    tabulate_network,
)
from gpu_coord.trust.sweeps.scoring import Half, Truth, read_truth, score_cell
from gpu_coord.trust.sweeps.stages import CellResult, SharedStages, find_tests_key, order_cells
from gpu_coord.trust.sweeps.tables import MAX_COMPARED, MIN_EDGE_SHARE, write_tables

if TYPE_CHECKING:
    from distributed import Client
    from narwhals.typing import IntoFrame

_LOCK, _SCRATCH, _PARTS = "sweep.lock", ".scratch", (CELLS, NETWORKS)

Rows = dict[str, Any]
# A cell, its row, and edges and accounts of its network where it could be run.
Computed = tuple[Cell, Rows, tuple[pl.DataFrame, pl.DataFrame] | None]


@takes(SweepSettings)
def sweep(
    store: "Store | Path | str | IntoFrame",
    grid: Grid | Path | str,
    out: Path | str | None = None,
    *,
    labels: "IntoFrame | Path | str | None" = None,
    truth: Path | str | None = None,
    overwrite: bool = False,
    backend: Backend | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    dask: "str | Client | None" = None,
    exchange: str | None = None,
    **choices: Any,
) -> Findings:
    """Run every cell of a grid, and write what they found as one table.

    What cells share is computed once: the activity, the counts, weights and tests of pairs; each
    cell then applies its thresholds. Its numbers are those of a `detect` with its settings. A
    sweep that was stopped goes on where it was when it is called again.

    Parameters
    ----------
    store
        A store, its folder, or a data frame (Polars, pandas, Arrow, DuckDB, ...) of shares or
        posts, as `ingest` takes it.
    grid
        Lists of values by the option of `detect`, or a TOML file of them; ``groups`` is 0 unless
        it is among them.
    out
        The folder to write; the same sweep is returned as it is if it is finished, gone on with
        if it is not, and anything else is refused.
        Without it a temporary one is there as long as what is returned, whose `save` keeps it.
    labels
        Columns account_id, label, in the place of the store's own labels: a data frame, or a CSV
        or Parquet file.
    truth
        CSV or Parquet with ``account_id, label``: cells are scored as by `evaluate`.
    overwrite
        Remove the sweep that is there, finished or not, and begin anew.
    backend
        Where to compute; the default is `gpu_coord.backend.choose`'s.
    memory
        Bytes that the pairs under way may take; by default 2 GB, or half of what is free.
    progress
        Called with the stage, the work done and the work in all.
    dask, exchange
        As of `detect`; each worker does cells, and opens the store where it is here.
    **choices
        Fields of `SweepSettings`; the seed is also that of every cell unless the grid names
        ``seed``.

    Raises
    ------
    ValueError
        The grid, or the truth, is not fit for this; no cell could be run.
    FileExistsError
        The folder holds something else, or another sweep.
    """
    settings = SweepSettings(**choices)
    place, kept = choose_place(out, "sweep")
    store, labels = take_store(store), take_labels(labels)
    grid = read_grid(grid) if isinstance(grid, Path | str) else grid
    cells = list_cells(
        grid, sample=settings.sample, seed=settings.seed, labels_sha256=hash_labels(labels)
    )
    if truth is None and settings.choose_by is not None:
        raise ValueError(
            f"choose_by is {settings.choose_by!r}, but there is no truth to score with; give one."
        )
    known = None if truth is None else read_truth(truth, store, cells, settings)
    named = {name: list(values) for name, values in grid.items()}
    inputs = {"grid": hash_json(named), "truth": None if truth is None else hash_file(Path(truth))}
    origin = describe_origin("sweep", settings, store=store, labels=labels, inputs=inputs)
    origin |= {"grid": named}
    if not overwrite:
        _check_folder(place, origin)
        if is_whole(place) and _has_cells(place, cells):
            return replace(open_run(place), kept=kept)
    with (
        _open_folder(place, store, origin, overwrite=overwrite) as folder,
        _open_scratch(folder) as scratch,
        open_machines(backend, dask, exchange, scratch) as backend,
    ):
        work = Work(
            "sweep", folder, settings, store=store, labels=labels, inputs=inputs, backend=backend,
            memory=memory, progress=progress,
        )  # fmt: skip
        _write_marker(folder, origin | _Sweeping(work, settings, cells, known).run())
    return replace(open_run(place), kept=kept)


def _has_cells(folder: Path, cells: Sequence[Cell]) -> bool:
    results = Results(folder)
    return all(results.has(cell.specification) for cell in cells)


@contextmanager
def _open_folder(
    path: Path, store: Store, origin: dict[str, Any], *, overwrite: bool
) -> Iterator[Path]:
    """Take a folder for this sweep alone: an empty one, or one where this sweep was stopped."""
    check_outside(store, path, "sweeps")
    if overwrite and read_marker(path, SWEEP.marker) is not None:
        check_replaceable(path, SWEEP.marker, _name_files(path))
    else:
        _check_folder(path, origin)
    path.mkdir(parents=True, exist_ok=True)
    with (path / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FileExistsError(f"{path} is in use by another sweep; wait for its end.") from None
        if overwrite:
            _empty(path)
        if not (path / SWEEP.marker).is_file():
            _write_marker(path, origin | {"summary": None})
        yield path


@contextmanager
def _open_scratch(folder: Path) -> Iterator[Path]:
    """Make an empty folder for what is under way, and remove it."""
    scratch = folder / _SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_marker(folder: Path, content: dict[str, Any]) -> None:
    with replace_file(folder / SWEEP.marker) as aside:
        write_json(aside, content)


def _name_files(path: Path) -> set[str]:
    """Name what a sweep wrote in a folder: its tables, and cells and networks by their hashes."""
    parts = (path / name for name in (*_PARTS, _SCRATCH))
    return {
        _LOCK, *_PARTS, _SCRATCH, *SWEEP.names,
        *(name_aside(path / name).name for name in SWEEP.names),
        *(entry.name for part in parts for entry in part.rglob("*")),
    }  # fmt: skip


def _empty(path: Path) -> None:
    """Remove all that is in the folder of a sweep but its lock."""
    for entry in path.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != _LOCK:
            entry.unlink()


def _check_folder(path: Path, origin: dict[str, Any]) -> None:
    if not path.exists():
        return
    ours = {_LOCK, name_aside(path / SWEEP.marker).name}
    if not path.is_dir() or (
        read_marker(path, SWEEP.marker) is None and {p.name for p in path.iterdir()} - ours
    ):
        raise FileExistsError(
            f"{path} exists and has no {SWEEP.marker} of ours, so nothing is written there; choose "
            "another path or remove it yourself."
        )
    content = read_marker(path, SWEEP.marker)
    begun = json.loads(json.dumps(origin))
    named = ("grid", "settings", "input", *begun)  # what says most first
    if content and (others := [name for name in named if content.get(name) != begun[name]]):
        raise FileExistsError(
            f"{path} holds another sweep: its {others[0]} is {content.get(others[0])}, not "
            f"{begun[others[0]]}; {WAY_OUT}."
        )


class _Sweeping:
    """A sweep under way: the cells that are missing, then the tables."""

    def __init__(
        self, work: Work, settings: SweepSettings, cells: Sequence[Cell], truth: Truth | None
    ):
        self.work, self.settings, self.cells, self.truth = work, settings, cells, truth
        self.results = Results(work.folder)
        self.warned: set[str] = set()
        self.scratch = work.folder / _SCRATCH
        self.ids = work.store.read("accounts").select("account_id", number="account")

    def run(self) -> dict[str, Any]:
        """Compute what is missing, and write the tables; return what the marker says of them."""
        work = self.work
        missing = [cell for cell in self.cells if not self.results.has(cell.specification)]
        self.n_done = len(self.cells) - len(missing)
        half = "choosing" if self.settings.choose_by else "all"
        with work.time("specifications"):
            for cell, row, network in self._compute(missing, half):
                self._keep(cell, row, network)
        with work.time("tables"):
            table = write_tables(
                work.folder, self.results, self.cells, work.store, seed=self.settings.seed,
                memory=work.memory // 2,
            )  # fmt: skip
        if table["n_accounts"].null_count() == table.height:
            raise ValueError(f"none of the {table.height} cells could be run: {table['reason'][0]}")
        chosen = self._score_chosen(table)
        return {
            "backend": describe_backend(work.backend),
            "stages": work.clock.stages,
            "directed": True,
            "summary": self._summarise(table, chosen),
            "rules": {"core_share": CORE_SHARE, "min_edge_share": MIN_EDGE_SHARE,
                      "max_compared": MAX_COMPARED},
            "tables": {name: described for name, described in describe_tables(work.folder).items()
                       if name in SWEEP.tables},
        }  # fmt: skip

    def _compute(self, cells: Sequence[Cell], half: Half) -> Iterator[Computed]:
        """Yield each cell with its row, activity by activity."""
        ordered = sorted(cells, key=lambda cell: find_activity_key(cell.settings))
        sharing = groupby(ordered, key=lambda cell: find_activity_key(cell.settings))
        parts = [part for _, each in sharing for part in self._divide(list(each))]
        compute = partial(self._compute_sharing, half=half)
        for found in self.work.backend.map_blocks(parts, compute, n_threads=0):
            yield from found

    def _divide(self, sharing: Sequence[Cell]) -> list[list[Cell]]:
        """Divide the cells of one activity: on workers, those that share no tests of pairs."""
        cells = order_cells(sharing)
        if not self.work.backend.workers:
            return [cells]
        return [list(part) for _, part in groupby(cells, key=find_tests_key)]

    def _compute_sharing(self, cells: Sequence[Cell], half: Half) -> Iterator[Computed]:
        """Yield the cells of one activity, here or on a worker."""
        # A worker on another machine may have no such folder.
        parent = self.scratch if self.scratch.is_dir() else None
        with TemporaryDirectory(dir=parent) as folder:
            yield from self._compute_in(Path(folder), cells, half)

    def _compute_in(self, scratch: Path, cells: Sequence[Cell], half: Half) -> Iterator[Computed]:
        start, work = time.perf_counter(), self.work
        labels = self.truth.write_half(half, scratch) if self.truth else None
        chosen = cells[0].settings.pick(MatchSettings)
        try:
            with self._warn_once():
                activity = build_activity(
                    work.store, labels=work.labels, backend=work.backend, **chosen
                )
        except ValueError as error:
            for cell in cells:
                yield cell, _describe_row(start, reason=str(error)), None
            return
        stages = SharedStages(
            activity, cells, scratch, memory=work.memory, progress=work.clock.report
        )
        for cell in cells:
            try:
                result = stages.compute(cell.settings)
            except ValueError as error:
                yield cell, _describe_row(start, reason=str(error)), None
            else:
                row = self._describe(result, labels, scratch / "cell", start)
                yield cell, row, self._tabulate(result)
            start = time.perf_counter()

    def _tabulate(self, result: CellResult) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the network of a cell, accounts by their number in the store."""
        numbered = result.accounts.select("account_id").join(
            self.ids, on="account_id", how="left", maintain_order="left"
        )
        return tabulate_network(result.network, numbered["number"].to_numpy())

    @contextmanager
    def _warn_once(self) -> Iterator[None]:
        """Pass on what one activity warns of, unless another did."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for warning in caught:
            if str(warning.message) not in self.warned:
                self.warned.add(str(warning.message))
                warnings.warn(warning.message, warning.category, stacklevel=4)

    def _describe(
        self, result: CellResult, labels: Path | None, folder: Path, start: float
    ) -> Rows:
        figures, reason = {}, None
        if labels is not None and self.truth is not None:
            try:
                figures = score_cell(result, labels, positive=self.settings.positive, folder=folder)
            except ValueError as error:
                reason = f"not scored: {error}"
        return _describe_row(start, result.summary, figures, reason)

    def _keep(
        self, cell: Cell, row: Rows, network: tuple[pl.DataFrame, pl.DataFrame] | None
    ) -> None:
        digest = None if network is None else self.results.add_network(*network)
        self.results.add(cell.specification, row, digest)
        self.n_done += 1
        self.work.clock.report("cells", self.n_done, len(self.cells))

    def _score_chosen(self, table: pl.DataFrame) -> dict[str, Any] | None:
        """Score the chosen cell on the half that did not choose it, and no other cell."""
        by = self.settings.choose_by
        if by is None:
            return None
        figure = f"accounts_{by}"
        scored = table.drop_nulls(figure) if figure in table.columns else table.clear()
        if scored.is_empty():
            raise ValueError(f"no cell has the figure {by}, so none is chosen.")
        best = scored.sort(figure, "cell", descending=[True, False]).row(0, named=True)
        cell = self.cells[best["cell"]]
        ((_, row, _),) = self._compute([cell], "scoring")
        return {
            "cell": cell.number,
            "specification": cell.specification,
            "by": by,
            "choosing_half": best[figure],
            "scoring_half": row["figures"],
        }

    def _summarise(self, table: pl.DataFrame, chosen: dict[str, Any] | None) -> dict[str, Any]:
        accounts = read_parquet(self.work.folder / "accounts.parquet")
        n_failed = table["n_accounts"].null_count()
        is_unscored = pl.col("n_accounts").is_not_null() & pl.col("reason").is_not_null()
        n_scored = table.height - n_failed - table.filter(is_unscored).height
        rows = [self.results.read(cell.specification) for cell in self.cells]
        return {
            "n_cells": table.height,
            "n_failed": n_failed,
            "n_scored": n_scored if self.truth else None,
            "n_without_bulk": table.height - int(table["has_bulk"].fill_null(value=True).sum()),
            "n_networks": len(count_networks(rows)),
            "n_accounts_ever": accounts.filter(pl.col("n_cells") > 0).height,
            "n_core": find_core(accounts).height,
            "n_leading_core": find_core(accounts, part="leading").height,
            "seconds": round(float(table["seconds"].sum()), 3),
            "chosen": chosen,
        }


def _describe_row(
    start: float, summary: Rows | None = None, figures: Any = None, reason: str | None = None
) -> Rows:
    found = {"summary": summary or {}, "figures": figures or {}}
    return found | {"seconds": round(time.perf_counter() - start, 3), "reason": reason}
