"""Store -> run folder of co-action: who does the same things, in several ways, at about one time.

The one idea: each way is a layer of one multigraph, with edges of its own; the network of the run
is a merge of the layers.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.backend import Backend
from gpu_coord.ground.keywords import takes
from gpu_coord.network.exports import export_network
from gpu_coord.network.network import Network, build_network
from gpu_coord.results.clock import Progress
from gpu_coord.results.command import Work, begin
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.sharing.layers import Layer
from gpu_coord.sharing.merging import FusedTests, LayerEdges, fuse_tests, merge_layers
from gpu_coord.sharing.settings import CoactSettings
from gpu_coord.sharing.shares import Shares, warn_of_rounding
from gpu_coord.sharing.significance import assess_edges
from gpu_coord.sharing.streams import PairCounts, PairStream
from gpu_coord.sharing.strict import count_popularity
from gpu_coord.sharing.tables import (
    PAIRS_SCHEMA,
    RunTables,
    describe_pairs,
    mark_edges,
    mirror_edges,
    name_ends,
)
from gpu_coord.sharing.traces import Trace, join_traces, read_traces
from gpu_coord.sharing.weighing import weigh_layers
from gpu_coord.store.store import Store
from gpu_coord.store.tables import TableWriter

_LAYERS_SCHEMA: dict[str, Any] = {
    "layer": pl.String, "kind": pl.String, "window_seconds": pl.Float64, "directed": pl.Boolean,
    "source": pl.String, "target": pl.String, "weight": pl.Float64, "n_pairs": pl.Int64,
    "mean_gap": pl.Float64, "popularity_weight": pl.Float64, "expected": pl.Float64,
    "p_value": pl.Float64, "q_value": pl.Float64,
}  # fmt: skip


@takes(CoactSettings)
def coact(
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
    """Find who does the same things at about the same time, layer by layer, and merge the layers.

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
        Where the network is labelled; pairs are found on the CPU.
    memory
        Bytes that the pairs under way may take; by default 2 GB, or half of what is free. All
        pairs of the busiest account are weighed at once, whatever this is. Beside them come some
        600 bytes for each share and 100 for each edge of each layer; of texts, see
        `gpu_coord.sharing.texts.find_similar`.
    progress
        Called with the stage, the work done and the work in all.
    **choices
        Fields of `CoactSettings`.

    Raises
    ------
    ValueError
        A setting is out of range, nothing is left to analyse, or texts are asked for that the
        store does not keep.
    """
    settings = CoactSettings(**choices)
    with begin(
        "coact", out, settings, store, labels=labels, backend=backend, memory=memory,
        progress=progress,
    ) as work:  # fmt: skip
        _CoactRun(work, settings, graphs=graphs).write()
    return open_run(out)


class _CoactRun:
    """One run under way: the stages in their order, their cost and their files."""

    def __init__(self, work: Work, settings: CoactSettings, *, graphs: bool):
        self.work, self.settings, self.graphs = work, settings, graphs
        self.folder, self.store, self.backend = work.folder, work.store, work.backend
        self.memory, self.clock, self.labels = work.memory, work.clock, work.labels
        self.layers: list[Layer] = []  # those that the store has

    def write(self) -> None:
        with self.clock.time("shares"):
            traces = self._read_traces()
            shares = join_traces(traces)
            warn_of_rounding(shares, window_ms=min(layer.window_ms for layer in self.layers))
        with self.clock.time("pairs"):
            streams = [self._open_stream(trace) for trace in traces]
            counts = self._count_pairs(traces, streams)
        with self.clock.time("edges"):
            found = list(self._weigh(traces, streams, counts))
            self._write_layers(found, shares)
        with self.clock.time("merge"):
            fused = self._fuse(found, shares)
            edges = self._merge(found, shares, fused)
            linked = edges.filter("significant") if self.settings.is_tested else edges
            marked = name_ends(mark_edges(edges, linked), shares)
            marked.write_parquet(self.folder / "edges.parquet")
        with self.clock.time("network"):
            network = self._build_network(linked, shares)
        with self.clock.time("tables"):
            self._write_tables(shares, network, linked, counts)
        self._describe(shares, network, counts, found, fused, n_edges=edges.height)

    @property
    def _is_directed(self) -> bool:
        return any(layer.is_directed for layer in self.layers)

    def _read_traces(self) -> list[Trace]:
        settings = self.settings
        traces = read_traces(
            self.store,
            settings.parsed,
            min_tags=settings.min_tags,
            similarity=settings.similarity,
            threads=self.backend.threads,
            min_participation=settings.min_participation,
            start=settings.start,
            end=settings.end,
            labels=self.labels,
        )
        present = {trace.action for trace in traces}
        self.layers = [layer for layer in settings.parsed if layer.action in present]
        if self.settings.is_tested and all(layer.is_directed for layer in self.layers):
            raise ValueError(
                f"{', '.join(layer.name for layer in self.layers)} cannot be tested, and a fused "
                "network is one of tests; add other layers, or merge by union."
            )
        return traces

    def _list_layers(self, trace: Trace) -> list[Layer]:
        return [layer for layer in self.layers if layer.action == trace.action]

    def _open_stream(self, trace: Trace) -> PairStream:
        widest = max(layer.window_ms for layer in self._list_layers(trace))
        list_pairs = partial(
            trace.list_pairs,
            window_ms=widest,
            memory=self.memory // 4,
            threads=self.backend.threads,
        )
        return PairStream(trace.shares, list_pairs, self.memory // 2)

    def _count_pairs(
        self, traces: Sequence[Trace], streams: Sequence[PairStream]
    ) -> list[PairCounts]:
        """Write the pairs of all actions as they come, and count them."""
        schema = PAIRS_SCHEMA | {"action": pl.String}
        counts = []
        with TableWriter(self.folder / "pairs.parquet", schema) as writer:
            for n_done, (trace, stream) in enumerate(zip(traces, streams, strict=True)):

                def see(older: np.ndarray, newer: np.ndarray, trace: Trace = trace) -> None:
                    pairs = describe_pairs(trace.shares, older, newer)
                    writer.add(pairs.with_columns(action=pl.lit(trace.action)))

                counts.append(stream.count(see))
                self.clock.report("pairs", n_done + 1, len(streams))
        return counts

    def _weigh(
        self,
        traces: Sequence[Trace],
        streams: Sequence[PairStream],
        counts: Sequence[PairCounts],
    ) -> Iterator[LayerEdges]:
        """Yield the layers in the order asked for, with edges of enough weight."""
        found: dict[str, LayerEdges] = {}
        for n_done, (trace, stream, counted) in enumerate(
            zip(traces, streams, counts, strict=True)
        ):
            layers = self._list_layers(trace)
            weighed = weigh_layers(trace, stream, counted, layers, tests=self.settings.is_tested)
            for layer in layers:
                found[layer.name] = self._test(layer, trace, weighed[layer.name])
            self.clock.report("edges", n_done + 1, len(streams))
        for layer in self.layers:
            yield found[layer.name]

    def _test(self, layer: Layer, trace: Trace, edges: pl.DataFrame) -> LayerEdges:
        """Put beside the edges of a layer what chance makes of them, where that is asked for."""
        is_heavy = pl.col("weight") >= self.settings.min_weight
        if not self.settings.is_tested or layer.is_directed:
            return LayerEdges(layer.name, edges.filter(is_heavy))
        tests = assess_edges(
            trace.shares,
            edges,
            window_ms=layer.window_ms,
            null=self.settings.null,
            alpha=self.settings.alpha,
            backend=self.backend,
        )
        kept = edges.drop("n_in_hour", "n_hours").hstack(
            tests.edges.select("expected", "p_value", "q_value")
        )
        return LayerEdges(layer.name, kept.filter(is_heavy), tests)

    def _write_layers(self, found: Sequence[LayerEdges], shares: Shares) -> None:
        tested = [name for name in ("expected", "p_value", "q_value") if self.settings.is_tested]
        schema = {name: kind for name, kind in _LAYERS_SCHEMA.items()
                  if tested or name not in ("expected", "p_value", "q_value")}  # fmt: skip
        with TableWriter(self.folder / "layers.parquet", schema) as writer:
            for layer, each in zip(self.layers, found, strict=True):
                lacking = [pl.lit(None).alias(name) for name in tested
                           if name not in each.edges.columns]  # fmt: skip
                writer.add(
                    name_ends(each.edges, shares).with_columns(
                        *lacking,
                        layer=pl.lit(layer.name),
                        kind=pl.lit(layer.object_kind),
                        window_seconds=pl.lit(layer.window_ms / 1000),
                        directed=pl.lit(layer.is_directed),
                    )
                )

    def _fuse(self, found: Sequence[LayerEdges], shares: Shares) -> FusedTests | None:
        tested = [each.tests for each in found if each.tests is not None]
        if not tested:
            return None
        return fuse_tests(tested, n_accounts=shares.accounts.height, alpha=self.settings.alpha)

    def _merge(
        self, found: Sequence[LayerEdges], shares: Shares, fused: FusedTests | None
    ) -> pl.DataFrame:
        """Return the edges of the merge; with a directed layer, the others go both ways."""
        settings = self.settings
        edges = merge_layers(
            [self._turn(layer, each) for layer, each in zip(self.layers, found, strict=True)],
            n_accounts=shares.accounts.height,
            min_layers=len(found) if settings.merge == "intersection" else settings.min_layers,
        )
        if fused is None:
            return edges
        return edges.hstack(
            fused.read_edges(edges["source"].to_numpy(), edges["target"].to_numpy())
        )

    def _turn(self, layer: Layer, found: LayerEdges) -> LayerEdges:
        if layer.is_directed or not self._is_directed:
            return found
        return LayerEdges(found.name, mirror_edges(found.edges))

    def _build_network(self, edges: pl.DataFrame, shares: Shares) -> Network:
        both = edges if self._is_directed else mirror_edges(edges)
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
        self, shares: Shares, network: Network, edges: pl.DataFrame, counts: Sequence[PairCounts]
    ) -> None:
        tables = RunTables(
            store=self.store,
            shares=shares,
            network=network,
            edges=self._weigh_kinds(edges),
            n_pairs=np.concatenate([each.by_object for each in counts]),
            popularity=count_popularity(shares),
            coordinated=np.concatenate([each.is_paired for each in counts]),
            is_directed=self._is_directed,
            lists_shares=False,
        )
        for name, frame in tables.build():
            frame.write_parquet(self.folder / f"{name}.parquet")
        export_network(
            self.folder, tables.accounts, edges, directed=self._is_directed, anyway=self.graphs
        )

    def _weigh_kinds(self, edges: pl.DataFrame) -> pl.DataFrame:
        """Add the weight of each kind of object: that of its layer with the widest window."""
        by_window = sorted(self.layers, key=lambda layer: layer.window_ms)
        widest = {layer.object_kind: f"weight_{layer.name}" for layer in by_window}
        return edges.with_columns(
            pl.col(weight).alias(f"weight_{kind}") for kind, weight in widest.items()
        )

    def _describe(
        self,
        shares: Shares,
        network: Network,
        counts: Sequence[PairCounts],
        found: Sequence[LayerEdges],
        fused: FusedTests | None,
        *,
        n_edges: int,
    ) -> None:
        present = {layer.name for layer in self.layers}
        absent = [layer.name for layer in self.settings.parsed if layer.name not in present]
        self.work.describe(
            directed=self._is_directed,
            layers=list(map(_describe_layer, self.layers, found)),
            time_unit_seconds=shares.time_unit,
            counts={
                "n_events": shares.n_shares,
                "missing_layers": absent,
                "dropped_accounts": shares.n_dropped,
            },
            summary={
                "n_accounts": shares.accounts.height,
                "n_entities": shares.objects.height,
                "n_layers": len(found),
                "n_pairs": sum(int(each.by_object.sum()) for each in counts),
                "n_edges": n_edges,
                "n_components": network.n_components,
                "n_communities": network.n_communities,
                **({} if fused is None else self._summarise_tests(network, found, fused)),
            },
            graphs_written=(self.folder / "network.gexf").exists(),
        )

    def _summarise_tests(
        self, network: Network, found: Sequence[LayerEdges], fused: FusedTests
    ) -> dict[str, Any]:
        tested = [each.tests.pairs for each in found if each.tests is not None]
        return {
            "lambda": max(tests.by_lag[0].inflation for tests in tested),
            "n_pairs_tested": fused.n_tests,
            "n_significant": network.n_edges // (1 if self._is_directed else 2),
            "expected_false_edges": fused.alpha * fused.n_significant,
        }


def _describe_layer(layer: Layer, found: LayerEdges) -> dict[str, Any]:
    ends = pl.concat([found.edges["source"], found.edges["target"]])
    return {
        "layer": layer.name,
        "kind": layer.object_kind,
        "window_seconds": layer.window_ms / 1000,
        "directed": layer.is_directed,
        "n_edges": found.edges.height,
        "n_accounts": ends.n_unique(),
        "chance": None if found.tests is None else found.tests.describe(),
    }
