"""Store -> run folder of coordinated sharing: who shared the same things within a window.

The one idea: pairs of shares stream by twice at most, written as they come and weighed by ranges
of accounts; only edges are held whole.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from gpu_coord.backend import Backend, choose
from gpu_coord.exports import write_gexf, write_graphml
from gpu_coord.folders import replace_folder, write_json
from gpu_coord.kinds import names_accounts
from gpu_coord.network import (
    Network,
    build_network,
    score_accounts,
    summarise_classes,
    summarise_communities,
    summarise_components,
)
from gpu_coord.run import (
    DEFAULT_MEMORY,
    MAX_EXPORTED_EDGES,
    RUN_FILES,
    RUN_MARKER,
    Findings,
    Progress,
    StageClock,
    describe_origin,
    describe_tables,
    open_run,
)
from gpu_coord.sharing import coornet, qut
from gpu_coord.sharing.coornet import Cuts, cut_shares, pair_in_bins
from gpu_coord.sharing.coortweet import (
    DEFAULT_QUANTILE,
    account_stats,
    check_quantile,
    detect_groups,
    flag_speed_share,
    group_stats,
    mark_heavy,
    weigh_network,
)
from gpu_coord.sharing.intervals import estimate_interval
from gpu_coord.sharing.shares import Shares, read_shares
from gpu_coord.sharing.strict import (
    BYTES_PER_PAIR,
    EdgeRuns,
    count_popularity,
    group_pairs,
    weigh_edges,
)
from gpu_coord.sharing.windows import pair_shares
from gpu_coord.store import (
    Store,
    TableWriter,
    name_accounts,
    open_store,
)
from gpu_coord.times import parse_duration, parse_time

__all__ = ["Mode", "ShareSettings", "Shares", "pair_shares", "read_shares", "share"]

Mode = Literal["strict", "coortweet", "coornet", "qut"]
Blocks = Iterator[tuple[np.ndarray, np.ndarray]]

AUTO = "auto"
SHARE_TABLES = ("pairs", "account_stats", "group_stats")
SHARE_FILES = RUN_FILES | {f"{table}.parquet" for table in SHARE_TABLES}
_PAIRS: dict[str, Any] = {
    "object_id": pl.String, "account_id": pl.String, "account_id_y": pl.String,
    "content_id": pl.String, "content_id_y": pl.String, "time_delta": pl.Float64,
    "kind": pl.String,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ShareSettings:
    """Every choice of a run of `share` that can change a finding; stored beside its result."""

    kinds: tuple[str, ...]
    window: str = "60s"  # inclusive; auto: CooRnet's estimate of the coordination interval
    mode: Mode = "strict"
    min_participation: int = 1  # events of the kinds chosen, in the time range
    edge_weight_quantile: float | None = None  # at or above; coortweet: above
    min_weight: float | None = None  # at or above
    fast_window: str | None = None  # of coortweet's fast network
    start: str | None = None  # ISO 8601, included
    end: str | None = None  # ISO 8601, excluded
    resolution: float = 1.0  # of the communities
    seed: int = 0

    def __post_init__(self) -> None:
        if self.window != AUTO:
            parse_duration(self.window)
        if not self.kinds:
            raise ValueError("kinds is empty; name at least one, such as url.")
        if self.mode not in get_args(Mode):
            raise ValueError(f"mode is {self.mode!r}; it is one of {', '.join(get_args(Mode))}.")
        for bound in (self.start, self.end):
            if bound is not None:
                parse_time(bound)
        if self.edge_weight_quantile is not None:
            check_quantile(self.edge_weight_quantile)
        if self.min_weight is not None and not self.min_weight >= 0:
            raise ValueError(f"min_weight is {self.min_weight}; it is 0 or more.")
        if self.fast_window is not None:
            self._check_fast_window()

    def _check_fast_window(self) -> None:
        if self.mode != "coortweet":
            raise ValueError(f"fast_window belongs to the mode coortweet, not to {self.mode}.")
        shorter = parse_duration(str(self.fast_window))
        if self.window != AUTO and shorter >= parse_duration(self.window):
            raise ValueError(
                f"fast_window is {self.fast_window}; it is shorter than the window {self.window}."
            )

    def compute_hash(self, labels_sha256: str | None = None) -> str:
        """Return the specification hash: the same for the same choices, however they are written.

        Parameters
        ----------
        labels_sha256
            Hash of the labels that take the place of the store's own.
        """
        canonical = asdict(self) | {
            "kinds": tuple(dict.fromkeys(self.kinds)),
            "labels": labels_sha256,
        }
        for name, parse in (
            ("window", parse_duration), ("fast_window", parse_duration),
            ("start", parse_time), ("end", parse_time),
        ):  # fmt: skip
            value = getattr(self, name)
            canonical[name] = value if value in (None, AUTO) else parse(value)
        return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()


def share(
    store: Store | Path | str,
    out: Path | str,
    *,
    kinds: Sequence[str] | str,
    labels: pl.DataFrame | None = None,
    graphs: bool = False,
    backend: Backend | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Findings:
    """Find who shared the same things within a window, and write it as a run folder.

    Parameters
    ----------
    store
        A store, or its folder.
    out
        The run folder; an earlier run there is replaced, anything else is refused.
    kinds
        Kinds of object, in the store.
    labels
        Columns account_id, label, in the place of the store's own labels.
    graphs
        Write GraphML and GEXF even above 200,000 edges.
    backend
        Where the network is labelled; pairs are found on the CPU.
    memory
        Bytes that the pairs under way may take; by default 2 GB, or half of what is free. All
        pairs of the busiest account are weighed at once, whatever this is. Beside them come some
        600 bytes for each share and 200 for each edge. The statistics of the mode coortweet are
        written only where all pairs have room.
    progress
        Called with the stage, the work done and the work in all.
    **choices
        Fields of `ShareSettings`.

    Raises
    ------
    ValueError
        A setting is out of range, or nothing is left to analyse.
    """
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    settings = ShareSettings(kinds=kinds, **choices)
    store = store if isinstance(store, Store) else open_store(store)
    if Path(out).resolve().is_relative_to(store.path.resolve()):
        raise ValueError(f"{out} lies in the store {store.path}; write runs elsewhere.")
    backend = backend or choose()
    with replace_folder(Path(out), RUN_MARKER, SHARE_FILES) as folder:
        _ShareRun(folder, store, settings, backend, memory, progress, labels, graphs).write()
    return open_run(out)


@dataclass(frozen=True)
class _PairCounts:
    """What one pass over the pairs counts, and the pairs themselves where there is room."""

    by_account: np.ndarray  # as the one with the smaller row, (n_accounts,)
    by_object: np.ndarray  # (n_objects,)
    held: list[tuple[np.ndarray, np.ndarray]] | None

    @property
    def n_pairs(self) -> int:
        return int(self.by_object.sum())


class _ShareRun:
    """One run under way: the stages in their order, their cost and their files."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        settings: ShareSettings,
        backend: Backend,
        memory: int | None,
        progress: Progress | None,
        labels: pl.DataFrame | None,
        graphs: bool,  # noqa: FBT001
    ):
        self.folder, self.store, self.settings, self.backend = folder, store, settings, backend
        self.memory = memory or min(backend.free_memory() // 2, DEFAULT_MEMORY)
        self.clock = StageClock(progress)
        self.labels, self.graphs = labels, graphs
        self.window_ms = 0
        self.cuts: Cuts | None = None  # of coornet

    def write(self) -> None:
        with self.clock.time("shares"):
            shares = self._read_shares()
            popularity = count_popularity(shares)
            self.window_ms = self._find_window(shares)
            if self.settings.mode == "coornet":
                self.cuts = cut_shares(shares, interval_seconds=self.window_ms // 1000)
        with self.clock.time("pairs"):
            counts = self._count_pairs(shares)
        with self.clock.time("edges"):
            edges = self._weigh(shares, popularity, counts)
            edges, in_network = self._apply_rule(edges)
            _name_ends(edges, shares).write_parquet(self.folder / "edges.parquet")
        with self.clock.time("network"):
            network = self._build_network(shares, edges.filter(in_network))
        with self.clock.time("tables"):
            self._write_tables(shares, network, edges.filter(in_network), counts, popularity)
        write_json(self.folder / RUN_MARKER, self._describe(shares, network, counts))

    def _read_shares(self) -> Shares:
        settings = self.settings
        return read_shares(
            self.store,
            kinds=settings.kinds,
            min_participation=settings.min_participation,
            start=settings.start,
            end=settings.end,
            labels=self.labels,
        )

    def _find_window(self, shares: Shares) -> int:
        """Return the milliseconds of the window."""
        if self.settings.window != AUTO:
            return 1000 * parse_duration(self.settings.window)
        return max(1000, round(1000 * estimate_interval(shares).seconds))

    def _list_pairs(self, shares: Shares) -> Blocks:
        """Yield the pairs of the mode; of accounts with enough events, which `shares` holds."""
        settings = self.settings
        window_ms, memory, threads = self.window_ms, self.memory // 4, self.backend.threads
        if self.cuts is not None:
            return pair_in_bins(shares, self.cuts, memory=memory, threads=threads)
        if settings.mode != "coortweet":
            return pair_shares(shares, window_ms=window_ms, memory=memory, threads=threads)
        return detect_groups(
            shares, window_ms=window_ms, min_participation=settings.min_participation,
            memory=memory, threads=threads,
        )  # fmt: skip

    def _count_pairs(self, shares: Shares) -> _PairCounts:
        """Write the pairs as they come, count them, and hold them while there is room."""
        by_account = np.zeros(shares.accounts.height, np.int64)
        by_object = np.zeros(shares.objects.height, np.int64)
        held: list[tuple[np.ndarray, np.ndarray]] | None = []
        n_pairs, room = 0, self._pairs_at_once
        with TableWriter(self.folder / "pairs.parquet", _PAIRS) as writer:
            for older, newer in self._list_pairs(shares):
                smaller = np.minimum(shares.account[older], shares.account[newer])
                by_account += np.bincount(smaller, minlength=by_account.size)
                by_object += np.bincount(shares.object[older], minlength=by_object.size)
                n_pairs += older.size
                if held is not None:
                    # Copies: a block is a view of more than its pairs.
                    held.append((older.copy(), newer.copy()))
                held = None if n_pairs > room else held
                writer.add(describe_pairs(shares, older, newer))
                self.clock.report("pairs", int(older[-1]) if older.size else 0, shares.n_shares)
        return _PairCounts(by_account, by_object, held)

    @property
    def _pairs_at_once(self) -> int:
        return max(1, self.memory // 2 // BYTES_PER_PAIR)

    def _weigh(self, shares: Shares, popularity: np.ndarray, counts: _PairCounts) -> pl.DataFrame:
        """Weigh all edges, those of some accounts at a time."""
        keys = self._find_fast(shares) if self.settings.fast_window else None
        parts = []
        for older, newer in self._gather_pairs(shares, counts):
            runs = group_pairs(shares, older, newer)
            if self.settings.mode != "coortweet":
                parts.append(weigh_edges(runs, popularity))
                continue
            fast = (
                None
                if keys is None
                else np.isin(_key_contents(shares, runs.older, runs.newer), keys)
            )
            parts.append(weigh_network(runs, popularity, is_fast=fast))
            if counts.held is not None:
                self._write_stats(runs, parts[0], fast)
        return self._reweigh(shares, pl.concat(parts))

    def _reweigh(self, shares: Shares, edges: pl.DataFrame) -> pl.DataFrame:
        """Give edges the weights of the modes that do not count what is paired."""
        settings, memory, threads = self.settings, self.memory // 4, self.backend.threads
        if self.cuts is not None:
            quantile = settings.edge_weight_quantile
            projection = coornet.project_accounts(
                shares, self.cuts,
                edge_weight_quantile=coornet.DEFAULT_QUANTILE if quantile is None else quantile,
                min_weight=ceil(settings.min_weight or 1), memory=memory, threads=threads,
            )  # fmt: skip
            joined = coornet.join_described(projection.edges, edges)
            return coornet.weigh_kinds(shares, self.cuts, joined)
        if settings.mode == "qut":
            messages = qut.count_messages(
                shares, window_ms=self.window_ms, memory=memory, threads=threads
            )
            joined = qut.join_described(messages, edges)
            return qut.weigh_kinds(shares, joined, window_ms=self.window_ms)
        return edges

    @property
    def _is_directed(self) -> bool:
        return self.settings.mode == "qut"

    def _gather_pairs(self, shares: Shares, counts: _PairCounts) -> Blocks:
        """Yield all pairs of a range of accounts at a time, accounts ascending."""
        if counts.held is not None:
            yield _join_blocks(counts.held)
            return
        n_before = np.concatenate([[0], np.cumsum(counts.by_account)])
        first = 0
        while first < counts.by_account.size:
            last = int(np.searchsorted(n_before, n_before[first] + self._pairs_at_once, "right"))
            last = max(last - 1, first + 1)
            yield _join_blocks(_take_accounts(shares, self._list_pairs(shares), first, last))
            self.clock.report("edges", int(n_before[last]), counts.n_pairs)
            first = last

    def _find_fast(self, shares: Shares) -> np.ndarray:
        """Return the keys of the pairs of contents that the fast window marks."""
        window_ms = 1000 * parse_duration(str(self.settings.fast_window))
        within = (
            (older[near], newer[near])
            for older, newer in self._list_pairs(shares)
            for near in [shares.time[newer] - shares.time[older] <= window_ms]
        )
        older, newer = _join_blocks(within)
        is_fast = flag_speed_share(
            shares, older, newer, window_ms=window_ms,
            min_participation=self.settings.min_participation,
        )  # fmt: skip
        return np.unique(_key_contents(shares, older[is_fast], newer[is_fast]))

    def _write_stats(self, runs: EdgeRuns, edges: pl.DataFrame, is_fast: np.ndarray | None) -> None:
        heavy = mark_heavy(edges, self._quantile)
        for name, summarise in (("account_stats", account_stats), ("group_stats", group_stats)):
            table = summarise(runs, heavy, is_fast=is_fast)
            table.write_parquet(self.folder / f"{name}.parquet")

    @property
    def _quantile(self) -> float:
        quantile = self.settings.edge_weight_quantile
        return DEFAULT_QUANTILE if quantile is None else quantile

    def _apply_rule(self, edges: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return the edges to write, and which of them are in the network."""
        settings = self.settings
        is_heavy = pl.col("weight") >= (settings.min_weight or 0)
        if settings.mode == "coornet":  # has its own quantile of the weights
            return edges, pl.repeat(True, edges.height, dtype=pl.Boolean, eager=True)  # noqa: FBT003
        if settings.mode != "coortweet":
            quantile = settings.edge_weight_quantile or 0
            is_heavy &= pl.col("weight") >= pl.col("weight").quantile(quantile, "linear")
            edges = edges.filter(is_heavy)
            return edges, pl.repeat(True, edges.height, dtype=pl.Boolean, eager=True)  # noqa: FBT003
        edges = mark_heavy(edges, self._quantile)
        if settings.edge_weight_quantile is not None:
            is_heavy &= pl.col("weight_threshold") == 1
        return edges, edges.select(is_heavy).to_series()

    def _build_network(self, shares: Shares, edges: pl.DataFrame) -> Network:
        both = edges if self._is_directed else _mirror(edges)
        return build_network(
            both["source"].to_numpy(),
            both["target"].to_numpy(),
            both["weight"].to_numpy(),
            n_accounts=shares.accounts.height,
            backend=self.backend,
            resolution=self.settings.resolution,
            seed=self.settings.seed,
        )

    def _write_tables(
        self,
        shares: Shares,
        network: Network,
        edges: pl.DataFrame,
        counts: _PairCounts,
        popularity: np.ndarray,
    ) -> None:
        accounts = shares.accounts.with_columns(
            pseudonym=name_accounts(shares.accounts["account_id"], self.store)
        )
        accounts = accounts.hstack(score_accounts(network)).select(
            "account_id", "label", "influence", "in_weight", "out_degree", "in_degree",
            "component", "community", "n_posts", "first_seen", "last_seen",
            "strong_component", "pagerank", "core_number", "pseudonym",
        )  # fmt: skip
        kinds = sorted(shares.objects["kind"].cast(pl.String).unique(), key=str.encode)
        entities = describe_objects(shares, counts.by_object, popularity)
        count = _count_all if self._is_directed else _count_once
        tables = {
            "accounts": accounts,
            "components": count(summarise_components(network, accounts)),
            "communities": count(summarise_communities(network, accounts)),
            "classes": summarise_classes(
                edges if self._is_directed else _mirror(edges), accounts, kinds=kinds
            ),
            "entities": entities.with_columns(
                pseudonym=pl.when(pl.col("kind").is_in(list(filter(names_accounts, kinds)))).then(
                    name_accounts(entities["value"], self.store)
                )
            ),
        }
        for name, frame in tables.items():
            frame.write_parquet(self.folder / f"{name}.parquet")
        if self.graphs or edges.height <= MAX_EXPORTED_EDGES:
            nodes = accounts.with_row_index("account").filter(pl.col("component").is_not_null())
            write_graphml(self.folder / "network.graphml", nodes, edges)
            write_gexf(self.folder / "network.gexf", nodes, edges)

    def _describe(self, shares: Shares, network: Network, counts: _PairCounts) -> dict[str, Any]:
        tables = describe_tables(self.folder)
        present = set(shares.objects["kind"].cast(pl.String))
        origin = describe_origin(self.store, self.settings, self.backend, labels=self.labels)
        return origin | {
            "command": "share",
            "window_seconds": self.window_ms / 1000,
            "counts": {
                "n_events": shares.n_shares,
                "missing_kinds": [kind for kind in self.settings.kinds if kind not in present],
                "dropped_accounts": shares.n_dropped,
            },
            "stages": self.clock.stages,
            "summary": {
                "n_accounts": shares.accounts.height,
                "n_entities": shares.objects.height,
                "n_pairs": counts.n_pairs,
                "n_edges": tables["edges"]["rows"],
                "n_components": network.n_components,
                "n_communities": network.n_communities,
            },
            "graphs_written": (self.folder / "network.gexf").exists(),
            "tables": tables,
        }


def describe_pairs(shares: Shares, older: np.ndarray, newer: np.ndarray) -> pl.DataFrame:
    """Return pairs of shares by their ids: the rows of ``pairs.parquet``."""
    ids = shares.accounts["account_id"]
    objects = shares.objects[shares.object[older]]
    return pl.DataFrame(
        {
            "object_id": objects["value"],
            "account_id": ids.gather(shares.account[older]),
            "account_id_y": ids.gather(shares.account[newer]),
            "content_id": shares.contents.gather(shares.content[older]),
            "content_id_y": shares.contents.gather(shares.content[newer]),
            "time_delta": (shares.time[newer] - shares.time[older]) / 1000,
            "kind": objects["kind"],
        }
    )


def describe_objects(shares: Shares, n_pairs: np.ndarray, popularity: np.ndarray) -> pl.DataFrame:
    """Return the objects, those with the most pairs first."""
    return shares.objects.with_columns(
        pl.col("kind").cast(pl.String),
        n_accounts=pl.Series(popularity),
        n_events=pl.Series(np.bincount(shares.object, minlength=shares.objects.height)),
        coordination=pl.Series(n_pairs),
    ).sort("coordination", "kind", "value", descending=[True, False, False])


def _take_accounts(shares: Shares, blocks: Blocks, first: int, last: int) -> Blocks:
    """Yield the pairs whose account with the smaller row is in a range."""
    for older, newer in blocks:
        smaller = np.minimum(shares.account[older], shares.account[newer])
        kept = (smaller >= first) & (smaller < last)
        yield older[kept], newer[kept]


def _join_blocks(blocks: Any) -> tuple[np.ndarray, np.ndarray]:
    none = np.empty(0, np.int64)
    older, newer = zip((none, none), *blocks, strict=True)
    return np.concatenate(older), np.concatenate(newer)


def _key_contents(shares: Shares, older: np.ndarray, newer: np.ndarray) -> np.ndarray:
    """Return one number for each ordered pair of contents."""
    key: np.ndarray = shares.content[older].astype(np.int64)
    key *= shares.contents.len()
    key += shares.content[newer]
    return key


def _mirror(edges: pl.DataFrame) -> pl.DataFrame:
    """Return each edge in both directions: what is undirected weighs the same both ways."""
    swapped = edges.rename({"source": "target", "target": "source"}).select(edges.columns)
    return pl.concat([edges, swapped])


def _count_all(table: pl.DataFrame) -> pl.DataFrame:
    return table


def _count_once(table: pl.DataFrame) -> pl.DataFrame:
    """Halve what counts each edge in both directions."""
    return table.with_columns(pl.col("n_edges") // 2, pl.col("total_weight") / 2)


def _name_ends(edges: pl.DataFrame, shares: Shares) -> pl.DataFrame:
    ids = shares.accounts["account_id"]
    return edges.with_columns(ids.gather(edges[end]).alias(end) for end in ("source", "target"))
