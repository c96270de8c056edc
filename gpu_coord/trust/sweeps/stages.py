"""The stages of `detect` for many cells: what they share is done once, thresholds come last.

In: a store and the cells of one activity. Out: the result of each cell, the same as a `detect` of
its own finds. The one idea: pairs are counted, weighed and tested at the loosest thresholds of all
cells; a cell then filters the edges, which lie on the disk, and reads the tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from gpu_coord.activity.cells import build_activity
from gpu_coord.activity.counts import (
    count_margins,
    count_pairs,
    count_steps,
    index_cells,
    plan_blocks,
)
from gpu_coord.activity.settings import MatchSettings, WeightRule
from gpu_coord.activity.weights import Edges, Weigher, choose_lags, select_edges
from gpu_coord.backend import Backend
from gpu_coord.chance.adjust import adjust_p_values, combine_lags
from gpu_coord.chance.nulls import Null
from gpu_coord.chance.tests import LagTests, PairTests, assess_pairs, describe_tests
from gpu_coord.detection.edges import no_edges
from gpu_coord.detection.run import move_to_host, plan_work, summarise_tests
from gpu_coord.detection.settings import DetectSettings
from gpu_coord.ground.threads import map_ahead
from gpu_coord.groups.groups import find_groups
from gpu_coord.network.network import Network, build_network, score_accounts
from gpu_coord.results.clock import Progress
from gpu_coord.results.command import choose_memory
from gpu_coord.store.store import Store
from gpu_coord.trust.sweeps.grid import Cell


@dataclass(frozen=True)
class CellResult:
    """What a cell found: its summary as in ``run.json``, its edges and its network."""

    settings: DetectSettings
    summary: dict[str, Any]
    edges: Edges  # all of the weight rule, on the host; weights by kind are left out
    tests: PairTests | None
    in_network: np.ndarray  # marks of the edges
    network: Network
    accounts: pl.DataFrame  # row = account: account_id, label, n_posts, first_seen, last_seen


class Stages:
    """The stages of the cells of one activity, each kept as long as a cell to come needs it."""

    def __init__(
        self,
        store: Store,
        cells: Sequence[Cell],
        folder: Path,
        *,
        backend: Backend,
        labels: pl.DataFrame | None,
        memory: int | None,
        progress: Progress,
    ):
        """Begin with the cells in the order of `order_cells`; ``folder`` is for edges."""
        self.folder, self.backend, self.progress = folder, backend, progress
        self.memory = memory or choose_memory(backend)
        self.settings = [cell.settings for cell in cells]
        chosen = self.settings[0].pick(MatchSettings)
        self.activity = build_activity(store, labels=labels, backend=backend, **chosen)
        self.index = index_cells(self.activity)
        n_lags = max(len(settings.lags) for settings in self.settings)
        self._margins = lru_cache(maxsize=n_lags)(partial(count_margins, self.index))
        self._lag_tests = lru_cache(maxsize=n_lags)(self._test_pairs)
        self._pair_tests = lru_cache(maxsize=1)(self._combine_tests)
        self._edges = lru_cache(maxsize=1)(self._read_edges)
        self._groups = lru_cache(maxsize=1)(self._count_groups)
        self._written: dict[tuple[WeightRule, int], Path] = {}
        self._network: tuple[bytes, Network] | None = None

    def compute(self, settings: DetectSettings) -> CellResult:
        """Return the result of one cell.

        Raises
        ------
        ValueError
            A lag leaves no transition.
        """
        count_steps(self.index.n_bins, max(settings.lags))
        tests = self._find_tests(settings)
        edges = self._edges(settings.lags, settings.rule, settings.min_support, settings.min_weight)
        in_network = _mark_significant(edges, tests)
        network = self._build_network(edges.take(in_network), settings)
        n_groups = self._find_groups(settings)
        return CellResult(
            settings,
            self._summarise(edges, network, tests, n_groups),
            edges, tests, in_network, network, self.activity.accounts,
        )  # fmt: skip

    def release(self) -> None:
        """Let go of everything: caches of methods keep their object until the collector comes."""
        vars(self).clear()

    # --- significance -------------------------------------------------------------------------

    def _find_tests(self, settings: DetectSettings) -> PairTests | None:
        if settings.paper:
            return None
        tests = self._pair_tests(settings.null, settings.lags, settings.min_support)
        return replace(tests, alpha=settings.alpha)

    def _combine_tests(self, null: Null, lags: tuple[int, ...], min_support: int) -> PairTests:
        return combine_tests([self._lag_tests(null, lag) for lag in lags], null, self._n_accounts,
                             min_support=min_support)  # fmt: skip

    @property
    def _n_accounts(self) -> int:
        return self.activity.n_accounts

    def _test_pairs(self, null: Null, lag: int) -> LagTests:
        min_support = min(
            s.min_support for s in self.settings if not s.paper and s.null == null and lag in s.lags
        )
        tests = assess_pairs(
            self.activity,
            self.index,
            [self._margins(lag)],
            null=null,
            min_support=min_support,
            memory=self.memory,
            progress=partial(self.progress, "chance"),
        )
        return tests.by_lag[0]

    # --- weights ------------------------------------------------------------------------------

    def _read_edges(
        self, lags: tuple[int, ...], rule: WeightRule, min_support: int, min_weight: float
    ) -> Edges:
        by_lag = []
        for lag in lags:
            file = self._written.get((rule, lag)) or self._write_edges(rule, lag)
            passes = (pl.col("support") >= min_support) & (pl.col("weight") > min_weight)
            by_lag.append(_to_edges(pl.scan_parquet(file).filter(passes).collect(), lag))
        return choose_lags(by_lag, n_accounts=self._n_accounts, xp=np)

    def _write_edges(self, rule: WeightRule, lag: int) -> Path:
        """Count and weigh the pairs of a lag, and write those that some cell may ask for."""
        margins = self._margins(lag)
        sharing = [s for s in self.settings if s.rule == rule and lag in s.lags]
        min_support = min(settings.min_support for settings in sharing)
        min_weight = min(settings.min_weight for settings in sharing)
        weigher = Weigher(self.activity, self.index, margins, rule)
        block_bytes, n_threads = plan_work(self.memory, self.backend)
        blocks = plan_blocks(self.index, [margins], min_support=min_support, memory=block_bytes)

        def find(block: tuple[int, int]) -> Edges:
            pairs = count_pairs(self.index, margins, *block, min_support=min_support)
            weights = weigher.weigh(pairs, memory=block_bytes)
            found = select_edges(pairs, weights, lag=lag, min_weight=min_weight, xp=self.backend.xp)
            return move_to_host(found, self.backend)

        file = self.folder / f"{len(self._written)}.parquet"
        with pq.ParquetWriter(file, _to_table(no_edges(1)).schema, compression="lz4") as writer:
            found = map_ahead(blocks, find, n_threads=n_threads)
            for (_, last), edges in zip(blocks, found, strict=True):
                writer.write_table(_to_table(edges))
                self.progress("pairs", last, self._n_accounts)
        self._written[rule, lag] = file
        return file

    # --- network ------------------------------------------------------------------------------

    def _build_network(self, edges: Edges, settings: DetectSettings) -> Network:
        """Build a network, or return the last one where the edges are the same."""
        arrays = (edges.source, edges.target, edges.weight)
        digest = sha256(repr((settings.resolution, settings.seed)).encode())
        for array in arrays:
            digest.update(np.ascontiguousarray(array).data)
        key = digest.digest()
        if self._network is None or self._network[0] != key:
            network = build_network(
                *arrays,
                n_accounts=self._n_accounts,
                backend=self.backend,
                resolution=settings.resolution,
                seed=settings.seed,
            )
            self._network = key, network
        return self._network[1]

    def _find_groups(self, settings: DetectSettings) -> int | None:
        if settings.paper or not settings.groups:
            return None
        return self._groups(settings.alpha, settings.seed, settings.groups, settings.n_replicates)

    def _count_groups(self, alpha: float, seed: int, n_groups: int, n_replicates: int) -> int:
        groups = find_groups(
            self.activity,
            alpha=alpha,
            seed=seed,
            n_groups=n_groups,
            n_replicates=n_replicates,
            memory=self.memory // 2,
            progress=partial(self.progress, "groups"),
        )
        return groups.n_confirmed

    def _summarise(
        self, edges: Edges, network: Network, tests: PairTests | None, n_groups: int | None
    ) -> dict[str, Any]:
        return {
            "n_accounts": self.activity.n_accounts,
            "n_entities": self.activity.n_entities,
            "n_bins": self.activity.n_bins,
            "n_edges": edges.n_edges,
            "n_components": network.n_components,
            "n_communities": network.n_communities,
            **({} if tests is None else summarise_tests(tests, network.n_edges)),
            **({} if n_groups is None else {"n_groups": n_groups}),
            "has_bulk": None if tests is None else describe_tests(tests)["warning"] is None,
            "n_network_edges": network.n_edges,
            "n_network_accounts": int(np.count_nonzero(network.component >= 0)),
            "modularity": measure_modularity(network),
        }


def order_cells(cells: Sequence[Cell]) -> list[Cell]:
    """Return cells of one activity in an order in which what they share stays at hand."""

    def key(cell: Cell) -> tuple[Any, ...]:
        s = cell.settings
        rule = (s.measure, s.undefined, s.denominator, s.shrink)
        thresholds = (s.min_support, *rule, s.min_weight, s.alpha, s.groups, s.seed)
        return (s.paper, s.null, s.lags, *thresholds, cell.number)

    return sorted(cells, key=key)


def combine_tests(
    by_lag: Sequence[LagTests], null: Null, n_accounts: int, *, min_support: int
) -> PairTests:
    """Return the tests of all lags together, as `chance.assess_pairs` has them at that support.

    Parameters
    ----------
    by_lag
        Tests at a support of at most ``min_support``.
    null, n_accounts
        Of these.
    min_support
        Coincidences at a lag below which a pair has p = 1 there.
    """
    pair = by_lag[0].pair if len(by_lag) == 1 else np.unique(
        np.concatenate([tests.pair for tests in by_lag])
    )  # fmt: skip
    log_p = np.zeros((pair.size, len(by_lag)))
    for column, tests in enumerate(by_lag):
        enough = tests.observed >= min_support
        found = tests.null.compute_log_p(tests.n_hours[enough], tests.expected[enough])
        log_p[np.searchsorted(pair, tests.pair[enough]), column] = found
    combined = combine_lags(log_p)
    return PairTests(
        n_accounts=n_accounts,
        null=null,
        n_phases=1,
        alpha=0.05,
        by_lag=tuple(by_lag),
        pair=pair,
        log_p=combined,
        q_value=adjust_p_values(combined, n_tests=n_accounts * (n_accounts - 1)),
        grade=np.zeros(pair.size, np.int8),
    )


def _mark_significant(edges: Edges, tests: PairTests | None) -> np.ndarray:
    """Mark the edges of the network: the significant ones, or all where none was tested."""
    if tests is None:
        return np.ones(edges.n_edges, bool)
    significant = tests.pair[tests.q_value <= tests.alpha]
    return np.isin(edges.source.astype(np.int64) * tests.n_accounts + edges.target, significant)


def measure_modularity(network: Network) -> float | None:
    """Return the modularity of the communities, the weights of both directions added.

    None without edges.
    """
    total = float(network.weight.sum())
    if not total:
        return None
    source, target = network.community[network.source], network.community[network.target]
    inside = float(network.weight[source == target].sum())
    out, into = (
        np.bincount(end, weights=network.weight, minlength=network.n_communities)
        for end in (source, target)
    )
    strength = out + into
    return inside / total - float(((strength / (2 * total)) ** 2).sum())


def tabulate_edges(result: CellResult) -> pl.DataFrame:
    """Return the edges of a cell as ``edges.parquet`` of a run has them, but weights by kind."""
    edges, ids = result.edges, result.accounts["account_id"]
    columns = {
        "source": ids.gather(edges.source),
        "target": ids.gather(edges.target),
        "weight": edges.weight,
        "support": edges.support,
        "lag": edges.lag,
    }
    if result.tests is None:
        return pl.DataFrame(columns)
    found = result.tests.read_edges(edges.source, edges.target, edges.lag)
    names = ("expected", "n_hours", "p_value", "q_value", "significant")
    return pl.DataFrame(columns | {name: getattr(found, name) for name in names})


def tabulate_accounts(result: CellResult) -> pl.DataFrame:
    """Return the accounts of a cell with their scores, as ``accounts.parquet`` of a run."""
    return result.accounts.hstack(score_accounts(result.network))


def _to_table(edges: Edges) -> pa.Table:
    names = ("source", "target", "weight", "support")
    return pa.table({name: getattr(edges, name) for name in names})


def _to_edges(table: pl.DataFrame, lag: int) -> Edges:
    return Edges(
        source=table["source"].to_numpy(),
        target=table["target"].to_numpy(),
        weight=table["weight"].to_numpy(),
        by_kind=np.empty((table.height, 0)),
        support=table["support"].to_numpy(),
        lag=np.full(table.height, lag, np.int32),
    )
