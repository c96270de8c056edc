"""The engine of `share` and `coact`: a run over one layer or several, its stages in their order.

The one idea: pairs of shares stream by twice at most, written as they come and weighed by ranges
of accounts; only edges are held whole.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.backend import Backend
from gpu_coord.chance.coactivity import CoActivity
from gpu_coord.chance.tiers import TierChoice, list_tiers
from gpu_coord.network.exports import export_network
from gpu_coord.network.network import Network, build_network
from gpu_coord.results.command import Work
from gpu_coord.results.findings import IN_NETWORK
from gpu_coord.results.room import Room
from gpu_coord.sharing.layers import Layer
from gpu_coord.sharing.merging import LayerEdges
from gpu_coord.sharing.settings import CoactSettings, ShareSettings
from gpu_coord.sharing.shares import Shares, warn_of_rounding
from gpu_coord.sharing.significance import assess_edges, count_hours
from gpu_coord.sharing.streams import Pairs, check_room, count_pairs
from gpu_coord.sharing.strict import EdgeRuns, group_pairs
from gpu_coord.sharing.tables import (
    PAIRS_SCHEMA,
    RunTables,
    describe_pairs,
    mirror_edges,
    name_ends,
)
from gpu_coord.sharing.traces import Trace, join_traces
from gpu_coord.store.tables import TableWriter

Report = Callable[[int], None]

_NONE = np.empty(0, np.int32)
_TESTED_BYTES = 450  # of an edge while it is tested, measured


class Run(ABC):
    """A run under way; what `share` and `coact` do in ways of their own, their classes say."""

    traces: list[Trace]
    shares: Shares  # of all traces
    pairs: list[Pairs]  # of each trace
    found: list[LayerEdges]
    missing: dict[str, list[str]]  # what was asked for, and is not there
    choice: TierChoice | None = None  # which tier makes the network
    is_directed = False  # whether an edge and its reverse are two
    lists_shares = False  # whether every share is listed, with its mark

    def __init__(
        self, work: Work, settings: ShareSettings | CoactSettings, *, graphs: bool
    ) -> None:
        self.work, self.settings, self.graphs = work, settings, graphs
        self.memory = work.memory  # which may be of what is free now
        self.room: dict[str, Any] = {"memory": self.memory // 4, "threads": work.backend.threads}

    def __getstate__(self) -> dict[str, Any]:
        # Workers list pairs and weigh them; what is written, and found so far, stays here.
        kept = {"settings", "room", "traces", "shares", "objects", "_cuts", "_fast_keys"}
        return {name: value for name, value in self.__dict__.items() if name in kept}

    def write(self) -> None:
        """Write the run folder but for its marker."""
        work = self.work
        with work.time("shares"):
            self.traces = self._read()
            self.shares = join_traces(self.traces)
            windows = [
                layer.window_ms
                for trace in self.traces
                for layer in trace.layers
                if layer.measure is None
            ]
            if windows:
                warn_of_rounding(self.shares, window_ms=min(windows))
        with work.time("pairs"):
            self.pairs = self._count_pairs()
        with work.time("edges"):
            self.found = list(self._weigh_layers())
        if self.settings.is_tested:
            with work.time("chance"):
                self._test()
        merged = self._merge()
        with work.time("network"):
            n_edges, linked = self._write_edges(merged)
            network = self._build_network(linked)
        work.describe(**self._write_more(merged, linked))
        with work.time("tables"):
            self._write_tables(linked, network)
        self._describe(network, n_edges, linked.height)

    # --- what share and coact do in their own ways -------------------------------------------

    @abstractmethod
    def _read(self) -> list[Trace]:
        """Read the shares; say how they pair, and in which layers."""

    def _mark_pairs(self, trace: Trace, older: np.ndarray, newer: np.ndarray) -> dict[str, Any]:
        """Return further columns of some pairs."""
        return {}

    @abstractmethod
    def _weigh(self, trace: Trace, runs: EdgeRuns) -> pl.DataFrame:
        """Weigh the edges of some accounts: ``source, target, weight`` and more."""

    def _finish(self, pairs: Pairs, edges: pl.DataFrame) -> pl.DataFrame:
        """Do what takes all edges of a layer."""
        return edges

    @abstractmethod
    def _merge(self) -> pl.DataFrame:
        """Merge the layers into one table of edges."""

    def _link(self, edges: pl.DataFrame) -> pl.DataFrame:
        """Return the edges to write, and mark those in the network."""
        is_linked = pl.lit(value=True)
        if self.settings.is_tested:
            self.choice = self._choose_tier()
            is_linked = list_tiers(self.choice.tier)
        return edges.with_columns(is_linked.alias(IN_NETWORK))

    def _write_more(self, edges: pl.DataFrame, linked: pl.DataFrame) -> dict[str, Any]:
        """Write what else was asked for; return what the marker says of it."""
        return {}

    def _weigh_kinds(self, edges: pl.DataFrame) -> pl.DataFrame:
        """Add ``weight_<kind>`` of each kind of object where edges lack it."""
        return edges

    def _mark_coordinated(self) -> np.ndarray:
        """Mark the shares that are coordinated, those of all traces."""
        return np.concatenate([each.is_paired for each in self.pairs])

    @abstractmethod
    def _choose_tier(self) -> TierChoice:
        """Choose the tier that makes the network."""

    def _score_accounts(self) -> dict[str, Any]:
        """Return more columns of accounts, by which these can be read."""
        return self._rank_accounts()._asdict() if self.settings.is_tested else {}

    @abstractmethod
    def _rank_accounts(self) -> CoActivity:
        """Score the accounts by the tests of their pairs."""

    @abstractmethod
    def _describe_layers(self) -> dict[str, Any]:
        """Return what the marker says of windows and tests."""

    @abstractmethod
    def _summarise_layers(self, n_linked: int) -> dict[str, Any]:
        """Return what the summary says of layers and tests."""

    # --- from shares to edges ----------------------------------------------------------------

    def _count_pairs(self) -> list[Pairs]:
        """Write the pairs as they come, and count them."""
        schema = self._describe_pairs(self.traces[0], _NONE, _NONE).schema | PAIRS_SCHEMA
        reports = self._divide_report("pairs", [trace.shares.n_shares for trace in self.traces])
        with TableWriter(self.work.folder / "pairs.parquet", schema) as writer:
            return list(map(partial(self._count_trace, writer), self.traces, reports))

    def _count_trace(self, writer: TableWriter, trace: Trace, report: Report) -> Pairs:
        def see(older: np.ndarray, newer: np.ndarray) -> None:
            writer.add(self._describe_pairs(trace, older, newer))
            report(int(older[-1]) if older.size else 0)

        list_pairs = partial(trace.list_pairs, window_ms=trace.window_ms, **self.room)
        return count_pairs(trace.shares, list_pairs, memory=self.memory // 2, see=see)

    def _describe_pairs(self, trace: Trace, older: np.ndarray, newer: np.ndarray) -> pl.DataFrame:
        described = describe_pairs(trace.shares, older, newer)
        return described.with_columns(**self._mark_pairs(trace, older, newer))

    def _weigh_layers(self) -> Iterator[LayerEdges]:
        reports = self._divide_report("edges", [pairs.n_pairs for pairs in self.pairs])
        for trace, pairs, report in zip(self.traces, self.pairs, reports, strict=True):
            weigh = partial(self._weigh_runs, trace)
            found = weigh_layers(
                trace.layers, pairs, weigh, report=report, room=self.work.room,
                backend=self.work.backend,
            )  # fmt: skip
            for layer, edges in zip(trace.layers, found, strict=True):
                yield LayerEdges(layer, self._finish(pairs, edges))

    def _weigh_runs(self, trace: Trace, layer: Layer, runs: EdgeRuns) -> pl.DataFrame:
        edges = self._weigh(trace, runs)
        if not self._is_tested(layer):
            return edges
        return edges.hstack(count_hours(runs, window_ms=layer.window_ms))

    def _is_tested(self, layer: Layer) -> bool:
        return self.settings.is_tested and layer.is_tested

    def _divide_report(self, stage: str, sizes: Sequence[int]) -> list[Report]:
        """Return what tells how far a stage is, for each trace from what is done of its size."""
        report, total = self.work.report(stage), sum(sizes)

        def report_part(n_before: int, n_done: int) -> None:
            report(n_before + n_done, total)

        return [partial(report_part, n_before) for n_before in accumulate([0, *sizes[:-1]])]

    def _test(self) -> None:
        """Put beside the edges of each layer how likely chance is to make them."""
        shares = [trace.shares for trace in self.traces for _ in trace.layers]
        for place, (each, own) in enumerate(zip(self.found, shares, strict=True)):
            if not self._is_tested(each.layer):
                continue
            self.work.room.require(
                _TESTED_BYTES * each.edges.height, f"Tests of {each.edges.height:,} edges",
                way_out="choose a shorter window or a time range, or leave out tests", is_more=True,
            )  # fmt: skip
            tests = assess_edges(
                own, each.edges, window_ms=each.layer.window_ms, backend=self.work.backend,
                null=self.settings.null, alpha=self.settings.alpha, seed=self.settings.seed,
                reference=self.settings.reference,
            )  # fmt: skip
            edges = each.edges.drop("n_in_hour", "n_hours").hstack(tests.edges)
            self.found[place] = LayerEdges(each.layer, edges, tests)

    # --- from edges to tables ----------------------------------------------------------------

    def _write_edges(self, merged: pl.DataFrame) -> tuple[int, pl.DataFrame]:
        """Write the edges; return how many they are, and those in the network."""
        edges = self._link(merged)
        self.work.write({"edges": name_ends(edges, self.shares)})
        # No copy where all are in it.
        linked = edges if edges[IN_NETWORK].all() else edges.filter(IN_NETWORK)
        return edges.height, linked.drop(IN_NETWORK)

    def _build_network(self, linked: pl.DataFrame) -> Network:
        ends = linked.select("source", "target", "weight")
        both = ends if self.is_directed else mirror_edges(ends)
        return build_network(
            *(both[name].to_numpy() for name in both.columns),
            n_accounts=self.shares.accounts.height,
            backend=self.work.backend,
            resolution=self.settings.resolution,
            seed=self.settings.seed,
        )

    def _write_tables(self, linked: pl.DataFrame, network: Network) -> None:
        tables = RunTables(
            store=self.work.store,
            shares=self.shares,
            network=network,
            edges=self._weigh_kinds(linked),
            n_pairs=np.concatenate([pairs.by_object for pairs in self.pairs]),
            popularity=np.concatenate([trace.popularity for trace in self.traces]),
            coordinated=self._mark_coordinated(),
            scores=self._score_accounts(),
            is_directed=self.is_directed,
            lists_shares=self.lists_shares,
        )
        for name, frame in tables.build():
            self.work.write({name: frame})
        export_network(
            self.work.folder, tables.accounts, linked, directed=self.is_directed,
            anyway=self.graphs, backbone=self.settings.backbone,
        )  # fmt: skip

    def _describe(self, network: Network, n_edges: int, n_linked: int) -> None:
        shares = self.shares
        self.work.describe(
            directed=self.is_directed,
            **self._describe_layers(),
            time_unit_seconds=shares.time_unit,
            counts={
                "n_events": shares.n_shares,
                **self.missing,
                "dropped_accounts": shares.n_dropped,
            },
            summary={
                "n_accounts": shares.accounts.height,
                "n_entities": shares.objects.height,
                "n_pairs": sum(pairs.n_pairs for pairs in self.pairs),
                "n_edges": n_edges,
                "n_components": network.n_components,
                "n_communities": network.n_communities,
                **self._summarise_layers(n_linked),
            },
            graphs_written=(self.work.folder / "network.gexf").exists(),
        )


def weigh_layers(
    layers: Sequence[Layer],
    pairs: Pairs,
    weigh: Callable[[Layer, EdgeRuns], pl.DataFrame],
    *,
    report: Report | None = None,
    room: Room | None = None,
    backend: Backend | None = None,
) -> list[pl.DataFrame]:
    """Weigh the edges of layers that have their pairs in common.

    Parameters
    ----------
    layers
        Those of one trace.
    pairs
        Those within the widest of their windows.
    weigh
        Returns a row for each edge: ``source, target`` and more.
    report
        Called with the pairs weighed so far.
    room
        What all edges must fit into; by default what is free.
    backend
        Whose workers weigh ranges of accounts, if it has any.

    Returns
    -------
        The edges of each layer, by source and target (rows of accounts; in layers without
        direction source < target).
    """
    ranges = pairs.plan(n_parts=backend.workers or 1 if backend else 1)
    work = partial(_weigh_range, layers=layers, pairs=pairs, weigh=weigh)
    mapped = backend.map_blocks(ranges, work, n_threads=0) if backend else map(work, ranges)
    parts, n_until = [], np.cumsum(pairs.by_account)
    for (_, last), frames in zip(ranges, mapped, strict=True):
        parts.append(frames)
        check_room(sum(part.height for each in parts for part in each), room=room)
        if report is not None:
            report(int(n_until[last - 1]))
    by_layer = zip(*parts, strict=True)
    # Accounts are gathered by the smaller row, which is not always that of a source.
    return [
        pl.concat(frames).sort("source", "target") if layer.is_directed else pl.concat(frames)
        for layer, frames in zip(layers, by_layer, strict=True)
    ]


def _weigh_range(
    accounts: tuple[int, int],
    *,
    layers: Sequence[Layer],
    pairs: Pairs,
    weigh: Callable[[Layer, EdgeRuns], pl.DataFrame],
) -> tuple[pl.DataFrame, ...]:
    """Weigh the edges of a range of accounts in each layer."""
    widest, time = max(layer.window_ms for layer in layers), pairs.shares.time
    older, newer = pairs.take(*accounts)
    frames = []
    for layer in layers:
        near: Any = slice(None)
        if layer.window_ms < widest:
            near = time[newer] - time[older] <= layer.window_ms
        runs = group_pairs(pairs.shares, older[near], newer[near], directed=layer.is_directed)
        frames.append(weigh(layer, runs))
    return tuple(frames)
