"""Store -> run folder: the stages in their order, with what they cost.

The only file that knows the order and the only one that unpacks `Settings`; the stages take
values and can be used alone.
"""

import hashlib
import json
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from gpu_coord import __version__
from gpu_coord.activity import DEFAULT_KINDS, Activity, build_activity
from gpu_coord.backend import Backend, choose
from gpu_coord.exports import write_gexf, write_graphml
from gpu_coord.folders import read_marker, replace_folder, write_json
from gpu_coord.kinds import names_accounts
from gpu_coord.network import (
    Network,
    build_network,
    score_accounts,
    summarise_classes,
    summarise_communities,
    summarise_components,
)
from gpu_coord.store import (
    STORE_MARKER,
    Store,
    check_tables,
    describe_table,
    hash_file,
    open_store,
)
from gpu_coord.threads import map_ahead
from gpu_coord.times import parse_duration, parse_time
from gpu_coord.transitions import (
    CellIndex,
    Denominator,
    Edges,
    Measure,
    PairCounts,
    Undefined,
    Weigher,
    WeightRule,
    choose_lags,
    count_margins,
    count_pairs,
    count_steps,
    index_cells,
    plan_blocks,
    select_edges,
)

RUN_MARKER = "run.json"
RUN_TABLES = ("edges", "accounts", "components", "communities", "classes", "entities")
RUN_FILES = {
    RUN_MARKER, *(f"{table}.parquet" for table in RUN_TABLES),
    "network.graphml", "network.gexf", "before", "after",
}  # fmt: skip
MAX_EXPORTED_EDGES = 200_000
DEFAULT_MEMORY = 2 << 30

# Small enough for progress and for memory that is used again and again, and no function of the
# machine: sums over blocks come out the same on any.
_BLOCK_BYTES = 64 << 20

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every choice that can change a finding; stored beside each result."""

    kinds: tuple[str, ...] = DEFAULT_KINDS
    bin: str = "1h"
    lags: tuple[int, ...] = (1,)  # bins; each is scored on its own
    min_posts: int = 1
    top_percent: float = 100.0
    match: str | None = None  # label to match with as many other accounts
    start: str | None = None  # ISO 8601, included
    end: str | None = None  # ISO 8601, excluded
    split_at: str | None = None  # ISO 8601: two more runs, before it and from it on
    measure: Measure = "trace"
    undefined: Undefined = "marginal"
    denominator: Denominator = "all"
    shrink: float = 0.0  # pseudo-transitions
    min_support: int = 1  # lagged coincidences over all kinds
    min_weight: float = 0.0  # an edge lies above it
    resolution: float = 1.0  # of the communities
    seed: int = 0

    def __post_init__(self) -> None:
        parse_duration(self.bin)
        for name in ("start", "end", "split_at"):
            if getattr(self, name) is not None:
                parse_time(getattr(self, name))
        if not self.kinds:
            raise ValueError("kinds is empty; name at least one, such as hashtag.")
        if not self.lags or len(set(self.lags)) < len(self.lags) or min(self.lags) < 0:
            raise ValueError(f"lags is {self.lags}; give distinct numbers of bins, 0 or more.")
        if not 1 <= self.min_support < 2**31:
            raise ValueError(
                f"min_support is {self.min_support}; it lies between 1 and 2^31 coincidences."
            )
        if not 0 <= self.min_weight < float("inf"):
            raise ValueError(
                f"min_weight is {self.min_weight}; it is 0 or more: pairs without a coincidence "
                "have no positive weight and are never weighed."
            )
        self.rule  # noqa: B018  (checks its part of the settings)

    @property
    def rule(self) -> WeightRule:
        """The settings that turn counts into weights."""
        return WeightRule(**{f.name: getattr(self, f.name) for f in fields(WeightRule)})

    def compute_hash(self, labels_sha256: str | None = None) -> str:
        """Return the specification hash: the same for the same choices, however they are written.

        Parameters
        ----------
        labels_sha256
            Hash of the labels that take the place of the store's own.
        """
        canonical = asdict(self) | {
            "kinds": tuple(dict.fromkeys(self.kinds)),
            "bin": parse_duration(self.bin),
            "labels": labels_sha256,
        }
        for name in ("start", "end", "split_at"):
            time = getattr(self, name)
            canonical[name] = None if time is None else parse_time(time)
        return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Findings:
    """A run folder: its summary, and its tables on request."""

    path: Path
    run: dict[str, Any] = field(repr=False)

    @property
    def summary(self) -> dict[str, Any]:
        """The numbers of accounts, entities, bins, edges, components and communities."""
        summary: dict[str, Any] = self.run["summary"]
        return summary

    def read(self, table: str) -> pl.DataFrame:
        """Return a table of the run: edges, accounts, entities, components, communities, classes.

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
        sizes = ", ".join(f"{key[2:]} {value:,}" for key, value in self.summary.items())
        return f"Findings({str(self.path)!r}: {sizes})"


def open_run(path: Path | str) -> Findings:
    """Open a run folder.

    Raises
    ------
    FileNotFoundError
        There is no run at that path.
    """
    path = Path(path)
    run = read_marker(path, RUN_MARKER)
    if run is None:
        raise FileNotFoundError(f"there is no run at {path}; `gpu-coord detect` makes one.")
    return Findings(path, run)


def verify_run(path: Path | str) -> dict[str, Any]:
    """Check that the tables of a run, and of its halves, are those that it wrote.

    Raises
    ------
    ValueError
        A table was changed.
    FileNotFoundError
        There is no run at that path, or one of its tables is missing.
    """
    findings = open_run(path)
    check_tables(findings.path, findings.run["tables"])
    halves = [half for half in ("before", "after") if (findings.path / half).is_dir()]
    for half in halves:
        verify_run(findings.path / half)
    return {"n_tables": len(RUN_TABLES) * (1 + len(halves))}


def detect(
    store: Store | Path | str,
    out: Path | str,
    *,
    labels: pl.DataFrame | None = None,
    graphs: bool = False,
    backend: Backend | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Findings:
    """Find the coordination network of a store, and write it as a run folder.

    Parameters
    ----------
    store
        A store, or its folder.
    out
        The run folder; an earlier run there is replaced, anything else is refused.
    labels
        Columns account_id, label, in the place of the store's own labels.
    graphs
        Write GraphML and GEXF even above 200,000 edges.
    backend
        Where to compute; the default is `gpu_coord.backend.choose`'s.
    memory
        Bytes that the pairs under way may take; by default 2 GB, or half of what is free.
    progress
        Called with the stage, the work done and the work in all.
    **choices
        Fields of `Settings`.

    Raises
    ------
    ValueError
        A setting is out of range, or nothing is left to analyse.
    """
    settings = Settings(**choices)
    store = store if isinstance(store, Store) else open_store(store)
    if Path(out).resolve().is_relative_to(store.path.resolve()):
        raise ValueError(f"{out} lies in the store {store.path}; write runs elsewhere.")
    backend = backend or choose()
    with replace_folder(Path(out), RUN_MARKER, RUN_FILES) as folder:
        for part, spell in _split(settings).items():
            run = _Run(folder / part, store, spell, backend, memory, progress, labels, graphs)
            with _naming_half(part):
                run.write()
    return open_run(out)


def _split(settings: Settings) -> dict[str, Settings]:
    """Return the settings of the run and, for a split, of its halves, by folder."""
    if settings.split_at is None:
        return {"": settings}
    return {
        "": settings,
        "before": replace(settings, split_at=None, end=settings.split_at),
        "after": replace(settings, split_at=None, start=settings.split_at),
    }


@contextmanager
def _naming_half(part: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{part} the split: {error}" if part else str(error)) from error


class _Run:
    """One run under way: the stages in their order, their cost and their files."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        settings: Settings,
        backend: Backend,
        memory: int | None,
        progress: Progress | None,
        labels: pl.DataFrame | None,
        graphs: bool,  # noqa: FBT001
    ):
        self.folder, self.store, self.settings, self.backend = folder, store, settings, backend
        self.memory = memory or min(
            backend.free_memory() // 2, max(DEFAULT_MEMORY, backend.threads * 4 * _BLOCK_BYTES)
        )
        self.report = progress or (lambda stage, done, total: None)
        self.labels, self.graphs = labels, graphs
        self.stages: list[dict[str, Any]] = []

    def write(self) -> None:
        self.folder.mkdir(exist_ok=True)
        with self._time("activity"):
            activity = self._build_activity()
        with self._time("pairs"):
            index = index_cells(activity)
            edges, carried = self._find_edges(activity, index)
        with self._time("network"):
            network = build_network(
                edges.source,
                edges.target,
                edges.weight,
                n_accounts=activity.n_accounts,
                backend=self.backend,
                resolution=self.settings.resolution,
                seed=self.settings.seed,
            )
        with self._time("tables"):
            self._write_tables(activity, network, edges, carried)
        write_json(self.folder / RUN_MARKER, self._describe(activity, network))

    @contextmanager
    def _time(self, stage: str) -> Iterator[None]:
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

    def _build_activity(self) -> Activity:
        settings = self.settings
        return build_activity(
            self.store,
            kinds=settings.kinds,
            bin=settings.bin,
            min_posts=settings.min_posts,
            top_percent=settings.top_percent,
            start=settings.start,
            end=settings.end,
            match=settings.match,
            labels=self.labels,
            seed=settings.seed,
            backend=self.backend,
        )

    def _find_edges(self, activity: Activity, index: CellIndex) -> tuple[Edges, np.ndarray]:
        """Count, weigh and select block by block; write the edges and keep them, on the host."""
        count_steps(index.n_bins, max(self.settings.lags))
        margins = [count_margins(index, lag) for lag in self.settings.lags]
        weighers = [Weigher(activity, index, margin, self.settings.rule) for margin in margins]
        block_bytes = max(1, min(self.memory // 8, _BLOCK_BYTES))
        # Beside those that the threads work on, one block waits to be written and one is written.
        n_threads = max(1, min(self.backend.threads, self.memory // 2 // block_bytes - 2))
        blocks = plan_blocks(
            index, margins, min_support=self.settings.min_support, memory=block_bytes
        )
        work = np.concatenate(
            [[0], np.cumsum(sum(self.backend.to_host(m.n_coincidences) for m in margins))]
        )

        def find(block: tuple[int, int]) -> tuple[Edges, np.ndarray]:
            edges = self._find_block(index, weighers, *block, block_bytes)
            carried = self._attribute(weighers, edges, block_bytes)
            return _move_to_host(edges, self.backend), carried

        carried = np.zeros(activity.n_entities)
        kept = [_no_edges(len(activity.kinds))]
        with EdgeWriter(self.folder / "edges.parquet", activity) as writer:
            found = map_ahead(blocks, find, n_threads=n_threads)
            for (_, last), (edges, share) in zip(blocks, found, strict=True):
                carried += share
                kept.append(edges)
                writer.add(edges)
                self.report("pairs", int(work[last]), int(work[-1]))
        return _join_edges(kept), carried

    def _find_block(
        self, index: CellIndex, weighers: Sequence[Weigher], first: int, last: int, memory: int
    ) -> Edges:
        settings, xp = self.settings, self.backend.xp
        by_lag = []
        for weigher in weighers:
            pairs = count_pairs(
                index, weigher.margins, first, last, min_support=settings.min_support
            )
            weights = weigher.weigh(pairs, memory=memory)
            lag = weigher.margins.lag
            by_lag.append(
                select_edges(pairs, weights, lag=lag, min_weight=settings.min_weight, xp=xp)
            )
        return choose_lags(by_lag, n_accounts=index.n_accounts, xp=xp)

    def _attribute(self, weighers: Sequence[Weigher], edges: Edges, memory: int) -> np.ndarray:
        carried = 0.0
        for weigher in weighers:
            at_lag = edges.take(edges.lag == weigher.margins.lag)
            pairs = PairCounts(at_lag.source, at_lag.target, at_lag.support)
            carried = carried + weigher.attribute(pairs, memory=memory)
        return self.backend.to_host(carried)

    def _write_tables(
        self, activity: Activity, network: Network, edges: Edges, carried: np.ndarray
    ) -> None:
        named = activity.accounts.with_columns(
            pseudonym=name_accounts(activity.accounts["account_id"], self.store)
        )
        accounts = named.hstack(score_accounts(network)).select(
            "account_id", "label", "influence", "in_weight", "out_degree", "in_degree",
            "component", "community", "n_posts", "first_seen", "last_seen",
            "strong_component", "pseudonym",
        )  # fmt: skip
        weights = {f"weight_{kind}": edges.by_kind[:, k] for k, kind in enumerate(activity.kinds)}
        table = pl.DataFrame(
            {"source": edges.source, "target": edges.target, "weight": edges.weight} | weights
        )
        are_accounts = pl.col("kind").is_in(list(filter(names_accounts, activity.kinds)))
        entities = activity.entities.with_columns(
            coordination=pl.Series(carried),
            pseudonym=name_accounts(activity.entities["value"], self.store),
        ).with_columns(pl.when(are_accounts).then("pseudonym").alias("pseudonym"))
        tables = {
            "accounts": accounts,
            "components": summarise_components(network, accounts),
            "communities": summarise_communities(network, accounts),
            "classes": summarise_classes(table, accounts, kinds=activity.kinds),
            "entities": entities.sort(
                "coordination", "kind", "value", descending=[True, False, False]
            ),
        }
        for name, frame in tables.items():
            frame.write_parquet(self.folder / f"{name}.parquet")
        if self.graphs or edges.n_edges <= MAX_EXPORTED_EDGES:
            nodes = accounts.with_row_index("account").filter(pl.col("component").is_not_null())
            links = table.with_columns(support=edges.support, lag=edges.lag)
            write_graphml(self.folder / "network.graphml", nodes, links)
            write_gexf(self.folder / "network.gexf", nodes, links)

    def _describe(self, activity: Activity, network: Network) -> dict[str, Any]:
        manifest = self.store.path / STORE_MARKER
        labels_sha256 = None if self.labels is None else _hash_labels(self.labels)
        return {
            "gpu_coord": __version__,
            "settings": asdict(self.settings),
            "specification": self.settings.compute_hash(labels_sha256),
            "input": {
                "store": self.store.path.name,
                "manifest_sha256": hash_file(manifest),
                "labels_sha256": labels_sha256,
            },
            "backend": {
                "name": self.backend.name,
                "device": self.backend.device,
                "versions": self.backend.versions,
            },
            "counts": {
                "n_events": int(activity.entities["n_events"].sum()),
                "n_cells": activity.n_cells,
                "missing_kinds": activity.missing_kinds,
                "dropped_accounts": activity.n_dropped,
            },
            "stages": self.stages,
            "summary": {
                "n_accounts": activity.n_accounts,
                "n_entities": activity.n_entities,
                "n_bins": activity.n_bins,
                "n_edges": network.n_edges,
                "n_components": network.n_components,
                "n_communities": network.n_communities,
            },
            "graphs_written": (self.folder / "network.gexf").exists(),
            "tables": {
                name: describe_table(self.folder / f"{name}.parquet") for name in RUN_TABLES
            },
        }


class EdgeWriter:
    """Appends blocks of edges to ``edges.parquet``, accounts by their ids."""

    def __init__(self, path: Path, activity: Activity):
        self._ids = activity.accounts["account_id"].to_arrow().cast(pa.string())
        self._kinds = activity.kinds
        # Without the stored schema readers see text, not the dictionary it is written from.
        self._writer = pq.ParquetWriter(
            path, self._to_table(_no_edges(len(self._kinds))).schema, store_schema=False
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
            }
        )

    def __enter__(self) -> "EdgeWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()


def name_accounts(account_ids: pl.Series, store: Store) -> pl.Series:
    """Return a pseudonym for each account id, to show in its place.

    The same account has the same pseudonym in every run on a store, and another one elsewhere.
    Whoever holds the store can look it up: it hides ids from readers of a report, no more.
    """
    import polars_hash as plh

    # What the inputs held, not when or where they were ingested.
    salt = "".join(entry["sha256"] for entry in store.manifest["inputs"])
    hashed = plh.concat_str(pl.lit(salt), account_ids).chash.blake3()
    return pl.select("acct-" + hashed.str.slice(0, 12)).to_series().alias("pseudonym")


def _hash_labels(labels: pl.DataFrame) -> str:
    rows = labels.select("account_id", "label").sort("account_id").rows()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _no_edges(n_kinds: int) -> Edges:
    return Edges(
        source=np.empty(0, np.int32),
        target=np.empty(0, np.int32),
        weight=np.empty(0),
        by_kind=np.empty((0, n_kinds)),
        support=np.empty(0, np.int32),
        lag=np.empty(0, np.int32),
    )


def _move_to_host(edges: Edges, backend: Backend) -> Edges:
    return Edges(*(backend.to_host(getattr(edges, f.name)) for f in fields(Edges)))


def _join_edges(parts: Sequence[Edges]) -> Edges:
    return Edges(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Edges)))


def _peak_memory() -> int:
    """Return the most memory that this process has held so far, in bytes (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
