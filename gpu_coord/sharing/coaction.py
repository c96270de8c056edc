"""Co-action: who does the same things, in several ways, at about one time.

The one idea: each way is a layer of one multigraph, with edges of its own; the network of the run
is a merge of the layers.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.chance.coactivity import CoActivity
from gpu_coord.chance.nulls import NetworkTier
from gpu_coord.chance.tests import PairTests
from gpu_coord.chance.tiers import TierChoice, choose_from, choose_tier
from gpu_coord.sharing.engine import Run
from gpu_coord.sharing.layers import Layer
from gpu_coord.sharing.merging import FusedTests, LayerEdges, fuse_tests, merge_layers
from gpu_coord.sharing.settings import CoactSettings
from gpu_coord.sharing.similarity import average_best, rank_similar
from gpu_coord.sharing.strict import EdgeRuns, describe_edges
from gpu_coord.sharing.tables import mirror_edges, name_ends
from gpu_coord.sharing.traces import Trace, read_traces
from gpu_coord.store.settings import TimeRange
from gpu_coord.store.tables import TableWriter

_LAYERS_SCHEMA: dict[str, Any] = {
    "layer": pl.String, "kind": pl.String, "window_seconds": pl.Float64, "directed": pl.Boolean,
    "source": pl.String, "target": pl.String, "weight": pl.Float64, "n_pairs": pl.Int64,
    "mean_gap": pl.Float64, "popularity_weight": pl.Float64,
}  # fmt: skip
_TESTED: dict[str, Any] = dict.fromkeys(
    ("expected", "expected_habit", "p_value", "q_value", "q_habit"), pl.Float64
)


class Coaction(Run):
    """A run of layers, each with edges of its own, and of their merge."""

    settings: CoactSettings
    fused: FusedTests | None = None

    def _read(self) -> list[Trace]:
        settings = self.settings
        traces = read_traces(
            self.work.store, settings.parsed, min_tags=settings.min_tags,
            similarity=settings.similarity, threads=self.room["threads"],
            min_participation=settings.min_participation, labels=self.work.labels,
            **settings.pick(TimeRange),
        )  # fmt: skip
        present = [layer for trace in traces for layer in trace.layers]
        absent = [layer.name for layer in settings.parsed if layer not in present]
        self.missing = {"missing_layers": absent}
        # With a directed layer, the edges of the others go both ways.
        self.is_directed = any(layer.is_directed for layer in present)
        if settings.is_tested and not any(layer.is_tested for layer in present):
            raise ValueError(
                f"{', '.join(layer.name for layer in present)} cannot be tested, and a fused "
                "network is one of tests; add other layers, or merge by union."
            )
        return traces

    def _mark_pairs(self, trace: Trace, older: np.ndarray, newer: np.ndarray) -> dict[str, Any]:
        return {"action": pl.lit(trace.action)}

    def _weigh(self, trace: Trace, runs: EdgeRuns) -> pl.DataFrame:
        return weigh_action(trace, runs)

    def _weigh_layers(self) -> Iterator[LayerEdges]:
        for each in super()._weigh_layers():
            is_ranked = each.layer.measure is not None
            # What is tested is so among all edges, light ones included.
            is_whole = is_ranked or self.settings.is_tested
            edges = self._rank(each.layer) if is_ranked else each.edges
            yield replace(each, edges=edges if is_whole else self._drop_light(edges))

    def _rank(self, layer: Layer) -> pl.DataFrame:
        """Return edges to the accounts most similar to each, by what they shared at any time."""
        [shares] = [trace.shares for trace in self.traces if layer in trace.layers]
        assert layer.measure is not None
        return rank_similar(
            shares, layer.measure, idf=self.settings.idf, n_neighbours=self.settings.neighbours,
            threads=self.work.backend.threads, report=self.work.report("edges"),
        )  # fmt: skip

    def _merge(self) -> pl.DataFrame:
        settings, n_accounts = self.settings, self.shares.accounts.height
        with self.work.time("merge"):
            self.found.sort(key=lambda each: settings.parsed.index(each.layer))
            for place, each in enumerate(self.found):
                if each.layer.measure is None:
                    self.found[place] = replace(each, edges=self._drop_light(each.edges))
            self._write_layers()
            n_layers = len(self.found) if settings.merge == "intersection" else settings.min_layers
            both = [self._turn(each) for each in self.found]
            edges = merge_layers(both, n_accounts=n_accounts, min_layers=n_layers)
            tests = [each.tests for each in self.found if each.tests is not None]
            if not tests:
                return edges
            self.fused = fuse_tests(tests, n_accounts=n_accounts, alpha=settings.alpha)
            ends = (edges[name].to_numpy() for name in ("source", "target"))
            return edges.hstack(self.fused.read_edges(*ends))

    def _drop_light(self, edges: pl.DataFrame) -> pl.DataFrame:
        return edges.filter(pl.col("weight") >= self.settings.min_weight)

    def _turn(self, each: LayerEdges) -> LayerEdges:
        if each.layer.is_directed or not self.is_directed:
            return each
        return replace(each, edges=mirror_edges(each.edges))

    def _write_layers(self) -> None:
        tested = _TESTED if self.settings.is_tested else {}
        with TableWriter(self.work.folder / "layers.parquet", _LAYERS_SCHEMA | tested) as writer:
            for each in self.found:
                said = {name: pl.lit(value) for name, value in _describe_layer(each.layer).items()}
                said |= {name: pl.lit(None) for name in tested if name not in each.edges.columns}
                writer.add(name_ends(each.edges, self.shares).with_columns(**said))

    def _weigh_kinds(self, edges: pl.DataFrame) -> pl.DataFrame:
        """Add the weight of each kind of object: that of its layer with the widest window."""
        by_window = sorted(self.found, key=lambda each: each.layer.window_ms)
        widest = {each.layer.object_kind: f"weight_{each.layer.name}" for each in by_window}
        return edges.with_columns(
            pl.col(weight).alias(f"weight_{kind}") for kind, weight in widest.items()
        )

    def _describe_layers(self) -> dict[str, Any]:
        return {
            "layers": [
                _describe_layer(each.layer) | _describe_edges(each, self.settings.tier)
                for each in self.found
            ]
        }

    def _summarise_layers(self, n_linked: int) -> dict[str, Any]:
        summary: dict[str, Any] = {"n_layers": len(self.found)}
        if self.fused is None or self.choice is None:
            return summary
        habits = [tests.by_lag[0].habits.inflation for tests in self._list_tests()]
        return summary | {
            "lambda": max((each["lambda"] for each in self._list_references()), default=None),
            "lambda_habit": max(habits),
            "n_pairs_tested": self.fused.n_tests,
            "n_beyond_habit": self.fused.count("beyond_habit"),
            "n_significant": self.fused.count("beyond_news"),
            "network_tier": self.choice.tier,
            "n_network_edges": n_linked,
            "expected_false_edges": self.fused.alpha * self.fused.count(self.choice.tier),
        }

    def _score_accounts(self) -> dict[str, Any]:
        n_accounts = self.shares.accounts.height
        best = {
            f"best_{each.layer.name}": average_best(each.edges, n_accounts)
            for each in self.found
            if each.layer.measure is not None
        }
        return super()._score_accounts() | best

    def _rank_accounts(self) -> CoActivity:
        assert self.fused is not None
        return self.fused.rank_accounts()

    def _choose_tier(self) -> TierChoice:
        assert self.fused is not None
        n_beyond_news = self.fused.count("beyond_news")
        return choose_from(self._list_references(), n_beyond_news, self.settings.tier)

    def _list_tests(self) -> list[PairTests]:
        return [each.tests.pairs for each in self.found if each.tests is not None]

    def _list_references(self) -> list[dict[str, Any]]:
        """Return what is said of the references of the layers that have one."""
        described = [tests.by_lag[0].reference for tests in self._list_tests()]
        return [each for each in described if each is not None]


def weigh_action(trace: Trace, runs: EdgeRuns) -> pl.DataFrame:
    """Weigh the edges of an action.

    Parameters
    ----------
    trace
        Of the action.
    runs
        Pairs of its shares, from `group_pairs`.

    Returns
    -------
        ``source, target`` (rows of accounts), ``weight`` (distinct objects; of similar texts, the
        distinct texts of the account with fewer of them), ``n_pairs`` (of shares), ``mean_gap``
        (seconds), ``popularity_weight`` (sum over the objects of 1 / (accounts that shared it -
        1)).
    """
    described = describe_edges(runs, trace.popularity)
    n_distinct = described["n_objects"].to_numpy()
    if trace.variant is not None:
        n_distinct = np.minimum(*runs.count_by_side(trace.variant))
    ends = {"source": runs.source, "target": runs.target, "weight": n_distinct.astype(np.float64)}
    kept = ("n_pairs", "mean_gap", "popularity_weight")
    return pl.DataFrame(ends).hstack(described.select(kept))


def _describe_layer(layer: Layer) -> dict[str, Any]:
    return {
        "layer": layer.name,
        "kind": layer.object_kind,
        "window_seconds": None if layer.measure else layer.window_ms / 1000,
        "directed": layer.is_directed,
    }


def _describe_edges(found: LayerEdges, asked: NetworkTier) -> dict[str, Any]:
    tests = found.tests
    said = None if tests is None else tests.describe(choose_tier(tests.pairs, asked))
    ends = pl.concat([found.edges["source"], found.edges["target"]])
    return {
        "n_edges": found.edges.height,
        "n_accounts": ends.n_unique(),
        "chance": said,
    }
