"""Store -> run folder: the stages in their order, with what they cost.

The only file that knows the order; the stages take values and can be used alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from gpu_coord.activity.cells import Activity, build_activity
from gpu_coord.activity.counts import (
    CellIndex,
    Margins,
    PairCounts,
    count_margins,
    count_pairs,
    count_steps,
    index_cells,
    plan_blocks,
)
from gpu_coord.activity.settings import MatchSettings
from gpu_coord.activity.weights import Edges, Weigher, choose_lags, select_edges
from gpu_coord.backend import Backend
from gpu_coord.chance.effects import tabulate_effects
from gpu_coord.chance.grades import grade_significant
from gpu_coord.chance.lags import tabulate_lags
from gpu_coord.chance.tests import PairTests, assess_pairs, describe_tests
from gpu_coord.detection.edges import EdgeWriter, no_edges
from gpu_coord.detection.evidence import (
    EvidenceCount,
    Links,
    join_links,
    link_groups,
    write_evidence,
)
from gpu_coord.detection.settings import DetectSettings
from gpu_coord.ground.keywords import takes
from gpu_coord.ground.kinds import names_accounts
from gpu_coord.ground.threads import map_ahead
from gpu_coord.groups.groups import Groups, find_groups
from gpu_coord.network.exports import export_network
from gpu_coord.network.network import (
    Network,
    build_network,
    score_accounts,
    summarise_classes,
    summarise_communities,
    summarise_components,
)
from gpu_coord.results.clock import Progress
from gpu_coord.results.command import Work, begin
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.store.store import Store, name_accounts

# Small enough for progress and for memory that is used again and again, and no function of the
# machine: sums over blocks come out the same on any.
BLOCK_BYTES = 64 << 20

_NO_MEMBERS = pl.DataFrame(schema={"group": pl.Int32, "account": pl.Int32})


@takes(DetectSettings)
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
        Fields of `DetectSettings`.

    Raises
    ------
    ValueError
        A setting is out of range, or nothing is left to analyse.
    """
    settings = DetectSettings(**choices)
    with begin(
        "detect", out, settings, store, labels=labels, backend=backend, memory=memory,
        progress=progress,
    ) as work:  # fmt: skip
        _Run(work, settings, graphs=graphs).write()
        for half, choice in _split(settings).items():
            with work.open_part(half, choice) as part, _naming_half(half):
                _Run(part, choice, graphs=graphs).write()
    return open_run(out)


def _split(settings: DetectSettings) -> dict[str, DetectSettings]:
    """Return the settings of the halves of a split, by folder."""
    if settings.split_at is None:
        return {}
    return {
        "before": replace(settings, split_at=None, end=settings.split_at),
        "after": replace(settings, split_at=None, start=settings.split_at),
    }


@contextmanager
def _naming_half(half: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{half} the split: {error}") from error


class _Run:
    """One run under way: the stages in their order, their cost and their files."""

    def __init__(self, work: Work, settings: DetectSettings, *, graphs: bool):
        self.work, self.settings, self.graphs = work, settings, graphs
        self.folder, self.store, self.backend = work.folder, work.store, work.backend
        self.memory, self.clock = work.memory, work.clock

    def write(self) -> None:
        with self.clock.time("activity"):
            activity = build_activity(
                self.store,
                labels=self.work.labels,
                backend=self.backend,
                **self.settings.pick(MatchSettings),
            )
            index = index_cells(activity)
            margins = self._count_margins(index)
        tests = None if self.settings.paper else self._test_pairs(activity, index, margins)
        with self.clock.time("pairs"):
            edges, carried = self._find_edges(activity, index, margins, tests)
        with self.clock.time("network"):
            network = build_network(
                edges.source,
                edges.target,
                edges.weight,
                n_accounts=activity.n_accounts,
                backend=self.backend,
                resolution=self.settings.resolution,
                seed=self.settings.seed,
            )
        groups = self._find_groups(activity)
        if tests is not None:
            with self.clock.time("effects"):
                self._write_effects(activity, index, margins, edges, groups)
        with self.clock.time("evidence"):
            n_evidence = self._write_evidence(activity, edges, tests, groups)
        with self.clock.time("tables"):
            self._write_tables(activity, network, edges, carried)
            if groups is not None:
                self._write_groups(activity, groups)
        self._describe(activity, network, tests, groups, n_evidence)

    def _count_margins(self, index: CellIndex) -> list[Margins]:
        count_steps(index.n_bins, max(self.settings.lags))
        return [count_margins(index, lag) for lag in self.settings.lags]

    def _test_pairs(
        self, activity: Activity, index: CellIndex, margins: Sequence[Margins]
    ) -> PairTests:
        with self.clock.time("chance"):
            tests = assess_pairs(
                activity,
                index,
                margins,
                null=self.settings.null,
                alpha=self.settings.alpha,
                min_support=self.settings.min_support,
                memory=self.memory,
                progress=partial(self.clock.report, "chance"),
            )
            return grade_significant(activity, index, margins, tests)

    def _find_edges(
        self,
        activity: Activity,
        index: CellIndex,
        margins: Sequence[Margins],
        tests: PairTests | None,
    ) -> tuple[Edges, np.ndarray]:
        """Count, weigh and select block by block; write all edges, return the network's."""
        weighers = [Weigher(activity, index, margin, self.settings.rule) for margin in margins]
        block_bytes, n_threads = plan_work(self.memory, self.backend)
        blocks = plan_blocks(
            index, margins, min_support=self.settings.min_support, memory=block_bytes
        )
        work = np.concatenate(
            [[0], np.cumsum(sum(self.backend.to_host(m.n_coincidences) for m in margins))]
        )

        def find(block: tuple[int, int]) -> tuple[Edges, np.ndarray, np.ndarray]:
            found = self._find_block(index, weighers, *block, block_bytes)
            edges = move_to_host(found, self.backend)
            in_network = _choose_network(edges, tests)
            linked = found.take(self.backend.xp.asarray(in_network))
            return edges, in_network, self._attribute(weighers, linked, block_bytes)

        carried = np.zeros(activity.n_entities)
        kept = [no_edges(len(activity.kinds))]
        with EdgeWriter(self.folder / "edges.parquet", activity, tests) as writer:
            found = map_ahead(blocks, find, n_threads=n_threads)
            for (_, last), (edges, in_network, share) in zip(blocks, found, strict=True):
                carried += share
                kept.append(edges.take(in_network))
                writer.add(edges, in_network)
                self.clock.report("pairs", int(work[last]), int(work[-1]))
        return join_edges(kept), carried

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

    def _find_groups(self, activity: Activity) -> Groups | None:
        settings = self.settings
        if settings.paper or not settings.groups:
            return None
        with self.clock.time("groups"):
            return find_groups(
                activity,
                alpha=settings.alpha,
                seed=settings.seed,
                n_groups=settings.groups,
                n_replicates=settings.n_replicates,
                memory=self.memory // 2,
                progress=partial(self.clock.report, "groups"),
            )

    def _write_effects(
        self,
        activity: Activity,
        index: CellIndex,
        margins: Sequence[Margins],
        edges: Edges,
        groups: Groups | None,
    ) -> None:
        settings = self.settings
        if settings.null != "popularity":  # it has no tables to measure effects in
            effects = tabulate_effects(activity, index, margins, edges, null=settings.null)
            ids = activity.accounts["account_id"]
            named = effects.with_columns(
                **{end: ids.gather(effects[end]) for end in ("source", "target")}
            )
            named.write_parquet(self.folder / "effects.parquet")
        members = _NO_MEMBERS if groups is None else groups.accounts
        lags = tabulate_lags(activity, members, seed=settings.seed)
        lags.write_parquet(self.folder / "lags.parquet")

    def _write_evidence(
        self, activity: Activity, edges: Edges, tests: PairTests | None, groups: Groups | None
    ) -> EvidenceCount:
        parts = [_rank_edges(edges, tests)]
        if groups is not None and groups.accounts.height:
            max_lag = max(map(len, groups.table["lag_profile"].to_list())) - 1
            parts.append(link_groups(activity, groups.accounts, max_lag=max_lag))
        return write_evidence(
            self.folder / "evidence.parquet",
            self.store,
            activity,
            join_links(parts),
            start=self.settings.start,
            end=self.settings.end,
        )

    def _write_groups(self, activity: Activity, groups: Groups) -> None:
        ids = activity.accounts["account_id"].gather(groups.accounts["account"])
        accounts = groups.accounts.with_columns(account_id=ids).drop("account")
        accounts = accounts.select("group", "account_id", pl.exclude("group", "account_id"))
        groups.table.write_parquet(self.folder / "groups.parquet")
        accounts.write_parquet(self.folder / "group_accounts.parquet")

    def _write_tables(
        self, activity: Activity, network: Network, edges: Edges, carried: np.ndarray
    ) -> None:
        named = activity.accounts.with_columns(
            pseudonym=name_accounts(activity.accounts["account_id"], self.store)
        )
        accounts = named.hstack(score_accounts(network)).select(
            "account_id", "label", "influence", "in_weight", "out_degree", "in_degree",
            "component", "community", "n_posts", "first_seen", "last_seen",
            "strong_component", "pagerank", "core_number", "pseudonym",
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
        links = table.with_columns(support=edges.support, lag=edges.lag)
        export_network(self.folder, accounts, links, directed=True, anyway=self.graphs)

    def _describe(
        self,
        activity: Activity,
        network: Network,
        tests: PairTests | None,
        groups: Groups | None,
        n_evidence: EvidenceCount,
    ) -> None:
        self.work.describe(
            directed=True,
            counts={
                "n_events": int(activity.entities["n_events"].sum()),
                "n_cells": activity.n_cells,
                "missing_kinds": activity.missing_kinds,
                "dropped_accounts": activity.n_dropped,
            },
            chance=None if tests is None else describe_tests(tests),
            groups=None if groups is None else {"reason": groups.reason},
            summary={
                "n_accounts": activity.n_accounts,
                "n_entities": activity.n_entities,
                "n_bins": activity.n_bins,
                "n_edges": pq.read_metadata(self.folder / "edges.parquet").num_rows,
                "n_components": network.n_components,
                "n_communities": network.n_communities,
                **({} if tests is None else summarise_tests(tests, network.n_edges)),
                **({} if groups is None else {"n_groups": groups.n_confirmed}),
            },
            graphs_written=(self.folder / "network.gexf").exists(),
            evidence=asdict(n_evidence),
        )


def plan_work(memory: int, backend: Backend) -> tuple[int, int]:
    """Return the bytes of a block of pairs, and how many blocks are worked on at a time."""
    block_bytes = max(1, min(memory // 8, BLOCK_BYTES))
    # Beside those that the threads work on, one block waits to be written and one is written.
    return block_bytes, max(1, min(backend.threads, memory // 2 // block_bytes - 2))


def summarise_tests(tests: PairTests, n_significant: int) -> dict[str, Any]:
    """Return what the summary of a run says of the tests and of the edges that passed them."""
    return {
        "lambda": max(lag.inflation for lag in tests.by_lag),
        "n_pairs_tested": tests.n_tests,
        "n_significant": n_significant,
        "expected_false_edges": tests.alpha * tests.n_significant,
    }


def _choose_network(edges: Edges, tests: PairTests | None) -> np.ndarray:
    """Mark the edges of the network: the significant ones, or all where none was tested."""
    if tests is None:
        return np.ones(edges.n_edges, bool)
    return np.asarray(tests.read_edges(edges.source, edges.target, edges.lag).significant)


def _rank_edges(edges: Edges, tests: PairTests | None) -> Links:
    """Return the edges of the network, the least explicable by chance first."""
    p_value = (
        np.zeros(edges.n_edges)
        if tests is None
        else tests.read_edges(edges.source, edges.target, edges.lag).p_value
    )
    order = np.lexsort((edges.target, edges.source, -edges.weight, p_value))
    return Links(edges.source[order], edges.target[order], edges.lag[order])


def move_to_host(edges: Edges, backend: Backend) -> Edges:
    """Return edges as NumPy arrays."""
    return Edges(*(backend.to_host(getattr(edges, f.name)) for f in fields(Edges)))


def join_edges(parts: Sequence[Edges]) -> Edges:
    """Return the edges of several blocks, one after the other."""
    return Edges(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Edges)))
