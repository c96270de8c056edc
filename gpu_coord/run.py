"""A run folder: what `detect` writes, and how it is read again and verified."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from gpu_coord import __version__
from gpu_coord.activity import Activity
from gpu_coord.backend import Backend
from gpu_coord.chance import PairTests
from gpu_coord.results import ResultFolder, open_result, verify_tables
from gpu_coord.settings import hash_labels
from gpu_coord.store import STORE_MARKER, Store, describe_file, describe_table, hash_file
from gpu_coord.transitions import Edges

RUN_MARKER = "run.json"
RUN_TABLES = (
    "edges", "accounts", "components", "communities", "classes", "entities",
    "groups", "group_accounts", "evidence", "effects", "lags",
    "pairs", "account_stats", "group_stats", "surface", "gaps", "changes",
    "marked_shares", "layers", "component_sharing", "community_sharing", "top_objects", "top_posts",
)  # fmt: skip
NETWORK_FILES = ("network.graphml", "network.gexf")
RUN_FILES = {
    RUN_MARKER, *(f"{table}.parquet" for table in RUN_TABLES), *NETWORK_FILES, "before", "after",
}  # fmt: skip
MAX_EXPORTED_EDGES = 200_000
DEFAULT_MEMORY = 2 << 30
# The columns of edges that say whether chance could have made them.
SIGNIFICANCE = ("expected", "n_hours", "p_value", "q_value", "grade", "significant")


# Of independent accounts with daily rhythms and bursts lambda is 1 to 1.8; and in an archive with
# controls, pairs that belong to an operation are few.
_INFLATED, _MANY_LEFT_OUT = 2.0, 0.05
_NO_BULK = (
    "The bulk of pairs is not one of unaffiliated accounts that chance describes: either this is "
    "an archive of one operation alone, or all react to the same short bursts. Tests of pairs "
    "then say little: add controls from outside, and see `gpu-coord calibrate`."
)

Progress = Callable[[str, int, int], None]


class StageClock:
    """Tells the stages of a run as they begin and end, and keeps what they cost."""

    def __init__(self, progress: Progress | None) -> None:
        self.report: Progress = progress or (lambda stage, done, total: None)
        self.stages: list[dict[str, Any]] = []

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time a block."""
        self.report(stage, 0, 1)
        start = time.perf_counter()
        yield
        self.stages.append(
            {
                "stage": stage,
                "seconds": round(time.perf_counter() - start, 3),
                "peak_memory_bytes": _peak_memory(),
            }
        )
        self.report(stage, 1, 1)


def describe_origin(
    store: Store, settings: Any, backend: Backend, *, labels: pl.DataFrame | None
) -> dict[str, Any]:
    """Return what ``run.json`` says first: versions, settings, their hash, the input, the backend.

    Parameters
    ----------
    store, settings, backend
        Of the run; settings are a dataclass with ``compute_hash``.
    labels
        Labels in the place of the store's own.
    """
    labels_sha256 = hash_labels(labels)
    return {
        "gpu_coord": __version__,
        "settings": asdict(settings),
        "specification": settings.compute_hash(labels_sha256),
        "input": {
            "store": store.path.name,
            "manifest_sha256": hash_file(store.path / STORE_MARKER),
            "labels_sha256": labels_sha256,
        },
        "backend": {
            "name": backend.name,
            "device": backend.device,
            "versions": backend.versions,
        },
    }


def describe_tables(folder: Path) -> dict[str, Any]:
    """Return rows, size and hash of each table of a run."""
    return {file.stem: describe_table(file) for file in sorted(folder.glob("*.parquet"))}


def describe_files(folder: Path) -> dict[str, Any]:
    """Return size and hash of the files of a run's network, those that there are."""
    present = [name for name in NETWORK_FILES if (folder / name).is_file()]
    return {name: describe_file(folder / name) for name in present}


def describe_tests(
    tests: PairTests,
    *,
    max_inflation: float = _INFLATED,
    max_left_out: float = _MANY_LEFT_OUT,
) -> dict[str, Any]:
    """Return what ``run.json`` says of the tests of pairs, and whether to trust them.

    Parameters
    ----------
    tests
        Of all pairs.
    max_inflation
        A larger lambda says that chance does not describe the bulk of pairs.
    max_left_out
        So does a larger part of the pairs to which nothing was fitted.
    """
    nulls = [lag.null for lag in tests.by_lag]
    n_left_out = sum(fitted.n_left_out for fitted in nulls)
    n_fitted = n_left_out + sum(fitted.n_bulk for fitted in nulls)
    has_bulk = (
        max(lag.inflation for lag in tests.by_lag) < max_inflation
        and n_left_out <= max_left_out * n_fitted
    )
    return {
        "null": tests.null,
        "alpha": tests.alpha,
        "by_lag": [
            {"lag": lag.lag, "lambda": lag.inflation, "of_days": asdict(lag.null)}
            for lag in tests.by_lag
        ],
        "warning": None if has_bulk else _NO_BULK,
    }


def _peak_memory() -> int:
    """Return the most memory that this process has held so far, in bytes (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass(frozen=True, slots=True)
class Findings(ResultFolder):
    """A run folder: its summary, and its tables on request."""

    @property
    def run(self) -> dict[str, Any]:
        """What ``run.json`` says."""
        return self.content

    def read(self, table: str) -> pl.DataFrame:
        """Return a table of the run: edges, accounts, entities, evidence, groups and so on.

        Raises
        ------
        FileNotFoundError
            The run has no such table.
        """
        file = self.path / f"{table}.parquet"
        if not file.is_file():
            present = sorted(file.stem for file in self.path.glob("*.parquet"))
            raise FileNotFoundError(f"{self.path} has no table {table!r}; it has {present}.")
        return pl.read_parquet(file)

    def __repr__(self) -> str:
        numbers = [(key, value) for key, value in self.summary.items() if key.startswith("n_")]
        sizes = ", ".join(f"{key[2:]} {value:,}" for key, value in numbers)
        return f"Findings({str(self.path)!r}: {sizes})"


def open_run(path: Path | str) -> Findings:
    """Open a run folder.

    Raises
    ------
    FileNotFoundError
        There is no run at that path.
    """
    missing = "there is no run at {}; `gpu-coord detect` and `gpu-coord share` make them."
    return open_result(Findings, path, RUN_MARKER, missing=missing)


def verify_run(path: Path | str) -> dict[str, Any]:
    """Check that tables and network files of a run, and of its halves, are those that it wrote.

    Raises
    ------
    ValueError
        A table or file was changed or is missing, or the summary counts other edges.
    FileNotFoundError
        There is no run at that path.
    """
    findings = open_run(path)
    n_tables: int = verify_tables(findings)["n_tables"]
    _check_files(findings)
    _check_edges(findings)
    for half in ("before", "after"):
        if (findings.path / half).is_dir():
            n_tables += verify_run(findings.path / half)["n_tables"]
    return {"n_tables": n_tables}


def _check_files(findings: Findings) -> None:
    described = findings.run.get("files")  # runs of earlier versions lack it
    if described is None:
        return
    present = describe_files(findings.path)
    for name in NETWORK_FILES:
        if present.get(name) != described.get(name):
            state = "is not the file that was written with its folder"
            state = state if name in present else "is missing"
            raise ValueError(f"{findings.path / name} {state}; repeat the run.")


def _check_edges(findings: Findings) -> None:
    n_edges = findings.summary.get("n_edges")
    n_rows = findings.run["tables"].get("edges", {}).get("rows")
    if None not in (n_edges, n_rows) and n_edges != n_rows:
        raise ValueError(
            f"{findings.path / RUN_MARKER} counts {n_edges} edges, but edges.parquet has {n_rows}; "
            "repeat the run."
        )


def is_store_of(findings: Findings, path: Path) -> bool:
    """Tell whether a run was made from the store at a path; it may be no store at all."""
    manifest = path / STORE_MARKER
    return manifest.is_file() and hash_file(manifest) == findings.run["input"]["manifest_sha256"]


def check_origin(findings: Findings, store: Store) -> None:
    """Check that a run was made from a store.

    Raises
    ------
    ValueError
        It was made from another.
    """
    if not is_store_of(findings, store.path):
        raise ValueError(
            f"the run {findings.path} was made from another store than {store.path}; name the "
            "store it was made from, or repeat the run."
        )


class EdgeWriter:
    """Appends blocks of edges to ``edges.parquet``, accounts by their ids."""

    def __init__(self, path: Path, activity: Activity, tests: PairTests | None):
        self._tests = tests
        self._ids = activity.accounts["account_id"].to_arrow().cast(pa.string())
        self._kinds = activity.kinds
        # Without the stored schema readers see text, not the dictionary it is written from.
        self._writer = pq.ParquetWriter(
            path, self._to_table(no_edges(len(self._kinds))).schema, store_schema=False
        )

    def add(self, edges: Edges) -> None:
        """Append a block."""
        self._writer.write_table(self._to_table(edges))

    def _to_table(self, edges: Edges) -> pa.Table:
        weights = {
            f"weight_{kind}": np.ascontiguousarray(edges.by_kind[:, k])
            for k, kind in enumerate(self._kinds)
        }
        return pa.table(
            {
                "source": pa.DictionaryArray.from_arrays(edges.source, self._ids),
                "target": pa.DictionaryArray.from_arrays(edges.target, self._ids),
                "weight": edges.weight,
                **weights,
                "support": edges.support,
                "lag": edges.lag,
                **self._find_tests(edges),
            }
        )

    def _find_tests(self, edges: Edges) -> dict[str, Any]:
        if self._tests is None:
            return {}
        found = self._tests.read_edges(edges.source, edges.target, edges.lag)
        return {name: getattr(found, name) for name in SIGNIFICANCE}

    def __enter__(self) -> "EdgeWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()


def no_edges(n_kinds: int) -> Edges:
    """Return a table of edges without a row."""
    return Edges(
        source=np.empty(0, np.int32),
        target=np.empty(0, np.int32),
        weight=np.empty(0),
        by_kind=np.empty((0, n_kinds)),
        support=np.empty(0, np.int32),
        lag=np.empty(0, np.int32),
    )
