"""A run of coordinated sharing: its stages in their order, their cost and their files.

The one idea: pairs of shares stream by twice at most, written as they come and weighed by ranges
of accounts; only edges are held whole.
"""

from functools import partial
from math import ceil
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.ground.choices import AUTO
from gpu_coord.ground.times import count_seconds, parse_window
from gpu_coord.network.exports import export_network
from gpu_coord.network.network import Network, build_network
from gpu_coord.results.command import Work
from gpu_coord.sharing.intervals import (
    estimate_interval,
    find_excess_gap,
    measure_gaps,
    measure_surface,
)
from gpu_coord.sharing.peers import coornet, qut
from gpu_coord.sharing.peers.comparison import compare_edges
from gpu_coord.sharing.peers.coornet import Cuts, cut_shares, pair_in_bins
from gpu_coord.sharing.peers.coortweet import (
    DEFAULT_QUANTILE,
    detect_groups,
    flag_speed_share,
    mark_heavy,
    mark_own_objects,
    number_vertices,
    summarise_accounts,
    summarise_groups,
    take_subgraph,
    weigh_network,
)
from gpu_coord.sharing.settings import ShareSettings
from gpu_coord.sharing.shares import Shares, read_shares, warn_of_rounding
from gpu_coord.sharing.significance import ShareTests, assess_edges, count_hours
from gpu_coord.sharing.streams import PairCounts, PairStream, check_room
from gpu_coord.sharing.strict import (
    Blocks,
    EdgeRuns,
    count_popularity,
    count_windows,
    group_pairs,
    join_blocks,
    weigh_edges,
    weigh_in_ranges,
)
from gpu_coord.sharing.tables import (
    PAIRS_SCHEMA,
    RunTables,
    describe_pairs,
    mark_edges,
    mirror_edges,
    name_ends,
)
from gpu_coord.sharing.windows import pair_shares
from gpu_coord.store.tables import TableWriter

# Why an edge of exact windows is not among those of the mode.
_ABSENT = {
    "coornet": pl.lit("border"),
    "coortweet": pl.when(pl.col("n_distinct") == 0)
    .then(pl.lit("same_content"))
    .when(pl.col("n_other") == 0)
    .then(pl.lit("own_object"))
    .otherwise(pl.lit("participation")),
    "qut": pl.when(pl.col("n_distinct") == 0)
    .then(pl.lit("same_content"))
    .otherwise(pl.lit("absent")),
}


class ShareRun:
    """One run under way."""

    def __init__(
        self, work: Work, settings: ShareSettings, objects: pl.DataFrame | None, *, graphs: bool
    ):
        self.work, self.settings, self.objects, self.graphs = work, settings, objects, graphs
        self.folder, self.store, self.backend = work.folder, work.store, work.backend
        self.memory, self.clock, self.labels = work.memory, work.clock, work.labels
        self.window_ms = self.n_edges = 0
        self.cuts: Cuts | None = None  # of coornet
        self.fast_keys: np.ndarray | None = None  # of coortweet with a fast window

    def write(self) -> None:
        """Write the run folder, its marker last."""
        with self.clock.time("shares"):
            shares = self._read_shares()
            popularity = count_popularity(shares)
            self.window_ms = self._find_window(shares)
            warn_of_rounding(shares, window_ms=self.window_ms)
            if self.settings.mode == "coornet":
                self.cuts = cut_shares(shares, interval_seconds=self.window_ms // 1000)
        with self.clock.time("pairs"):
            if self.settings.fast_window is not None:
                self.fast_keys = self._find_fast(shares)
            counts = self._count_pairs(shares)
        with self.clock.time("edges"):
            all_edges = self._weigh(shares, popularity, counts)
        all_edges, tests = self._test(shares, all_edges)
        with self.clock.time("network"):
            edges, linked = self._apply_rule(all_edges)
            self.n_edges = edges.height
            marked = name_ends(mark_edges(edges, linked), shares)
            marked.write_parquet(self.folder / "edges.parquet")
            network = self._build_network(shares, linked)
        found = self._write_intervals(shares)
        changes = self._write_changes(shares, popularity, all_edges, linked)
        with self.clock.time("tables"):
            self._write_tables(shares, network, linked, counts, popularity)
        self._describe(shares, network, counts, tests)
        self.work.describe(**found, **changes)

    def _read_shares(self) -> Shares:
        settings = self.settings
        return read_shares(
            self.store,
            kinds=settings.kinds,
            min_participation=settings.min_participation,
            start=settings.start,
            end=settings.end,
            labels=self.labels,
            objects=self.objects,
        )

    def _find_window(self, shares: Shares) -> int:
        """Return the milliseconds of the window."""
        if self.settings.window_ms is not None:
            return self.settings.window_ms
        return max(1000, round(1000 * estimate_interval(shares).seconds))

    # --- pairs -------------------------------------------------------------------------------

    def _list_pairs(self, shares: Shares) -> Blocks:
        """Yield the pairs of the mode; of accounts with enough events, which `shares` holds."""
        settings = self.settings
        window_ms, memory, threads = self.window_ms, self.memory // 4, self.backend.threads
        if self.cuts is not None:
            return pair_in_bins(shares, self.cuts, memory=memory, threads=threads)
        if settings.mode != "coortweet":
            # A message of the toolkit is known by its id alone.
            return pair_shares(
                shares, window_ms=window_ms, same_content=settings.mode != "qut", memory=memory,
                threads=threads,
            )  # fmt: skip
        return detect_groups(
            shares, window_ms=window_ms, min_participation=settings.min_participation,
            memory=memory, threads=threads,
        )  # fmt: skip

    def _open_stream(self, shares: Shares) -> PairStream:
        return PairStream(shares, partial(self._list_pairs, shares), self.memory // 2)

    def _count_pairs(self, shares: Shares) -> PairCounts:
        """Write the pairs as they come, and count them."""
        fast = {} if self.fast_keys is None else {"is_fast": pl.Boolean}
        with TableWriter(self.folder / "pairs.parquet", PAIRS_SCHEMA | fast) as writer:

            def see(older: np.ndarray, newer: np.ndarray) -> None:
                pairs = describe_pairs(shares, older, newer)
                is_fast = self._mark_fast(shares, older, newer)
                if is_fast is not None:
                    pairs = pairs.with_columns(is_fast=is_fast)
                writer.add(pairs)
                self.clock.report("pairs", int(older[-1]) if older.size else 0, shares.n_shares)

            return self._open_stream(shares).count(see)

    # --- edges -------------------------------------------------------------------------------

    def _weigh(self, shares: Shares, popularity: np.ndarray, counts: PairCounts) -> pl.DataFrame:
        """Weigh all edges, those of some accounts at a time."""
        parts = []
        report = partial(self.clock.report, "edges")
        for older, newer in self._open_stream(shares).gather(counts, report):
            runs = group_pairs(shares, older, newer)
            is_fast = self._mark_fast(shares, runs.older, runs.newer)
            parts.append(self._weigh_runs(runs, popularity, is_fast))
            check_room(sum(part.height for part in parts))
        edges = pl.concat(parts)
        if self.settings.mode == "coortweet":
            self._write_stats(shares, edges, counts)
        return self._reweigh(shares, edges)

    def _weigh_runs(
        self, runs: EdgeRuns, popularity: np.ndarray, is_fast: np.ndarray | None
    ) -> pl.DataFrame:
        settings = self.settings
        if settings.mode == "coortweet":
            edges = weigh_network(runs, popularity, is_fast=is_fast)
        else:
            edges = weigh_edges(runs, popularity)
        if settings.shorter_windows:
            windows = [count_seconds(ms) for ms in settings.shorter_windows]
            edges = edges.hstack(count_windows(runs, windows))
        if settings.is_tested:
            edges = edges.hstack(count_hours(runs, window_ms=self.window_ms))
        return edges

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

    def _find_fast(self, shares: Shares) -> np.ndarray:
        """Return the keys of the pairs of contents that the fast window marks."""
        window_ms = parse_window(str(self.settings.fast_window))
        within = (
            (older[near], newer[near])
            for older, newer in self._list_pairs(shares)
            for near in [shares.time[newer] - shares.time[older] <= window_ms]
        )
        older, newer = join_blocks(within)
        is_fast = flag_speed_share(
            shares, older, newer, window_ms=window_ms,
            min_participation=self.settings.min_participation,
        )  # fmt: skip
        return np.unique(_key_contents(shares, older[is_fast], newer[is_fast]))

    def _mark_fast(self, shares: Shares, older: np.ndarray, newer: np.ndarray) -> np.ndarray | None:
        """Mark the pairs that the fast window marks; None without one."""
        if self.fast_keys is None:
            return None
        return np.isin(_key_contents(shares, older, newer), self.fast_keys)

    def _write_stats(self, shares: Shares, edges: pl.DataFrame, counts: PairCounts) -> None:
        """Write what CooRTweet says of accounts and objects; no more than a block is held."""
        stream = self._open_stream(shares)
        number = number_vertices(shares, stream.repeat(counts), has_fast=self.fast_keys is not None)
        groups = summarise_groups(shares, stream.repeat(counts), number)
        groups.write_parquet(self.folder / "group_stats.parquet")
        accounts = summarise_accounts(shares, counts.is_paired, edges)
        accounts.write_parquet(self.folder / "account_stats.parquet")

    @property
    def _quantile(self) -> float:
        quantile = self.settings.edge_weight_quantile
        return DEFAULT_QUANTILE if quantile is None else quantile

    def _test(self, shares: Shares, edges: pl.DataFrame) -> tuple[pl.DataFrame, ShareTests | None]:
        """Put beside each edge how likely chance is to make it, where that is asked for."""
        if not self.settings.is_tested:
            return edges, None
        with self.clock.time("chance"):
            tests = assess_edges(
                shares,
                edges,
                window_ms=self.window_ms,
                null=self.settings.null,
                alpha=self.settings.alpha,
                backend=self.backend,
            )
        return edges.drop("n_in_hour", "n_hours").hstack(tests.edges), tests

    def _apply_rule(self, edges: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the edges to write, and those in the network."""
        settings = self.settings
        if settings.mode == "coornet":  # has its own quantile of the weights
            return edges, edges
        is_heavy = pl.col("weight") >= (settings.min_weight or 0)
        if settings.mode == "coortweet":
            return self._take_heavy(edges, is_heavy)
        quantile = settings.edge_weight_quantile or 0
        is_heavy &= pl.col("weight") >= pl.col("weight").quantile(quantile, "linear")
        edges = edges.filter(is_heavy)
        return edges, edges.filter("significant") if settings.is_tested else edges

    def _take_heavy(
        self, edges: pl.DataFrame, is_heavy: pl.Expr
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return all edges with the thresholds of coortweet, and those of the network."""
        settings = self.settings
        edges = mark_heavy(edges, self._quantile)
        if settings.subgraph:
            linked = take_subgraph(edges, settings.subgraph)
            return edges, linked.select(edges.columns).filter(is_heavy)
        if settings.edge_weight_quantile is not None:
            is_heavy &= pl.col("weight_threshold") == 1
        return edges, edges.filter(is_heavy)

    def _build_network(self, shares: Shares, edges: pl.DataFrame) -> Network:
        both = edges if self.settings.is_directed else mirror_edges(edges)
        return build_network(
            both["source"].to_numpy(),
            both["target"].to_numpy(),
            both["weight"].to_numpy(),
            n_accounts=shares.accounts.height,
            backend=self.backend,
            resolution=self.settings.resolution,
            seed=self.settings.seed,
        )

    # --- what else was asked for -------------------------------------------------------------

    def _write_intervals(self, shares: Shares) -> dict[str, Any]:
        """Tabulate what window the data suggest, in both ways; return what ``run.json`` says."""
        if not (self.settings.intervals or self.settings.window == AUTO):
            return {}
        seed, threads = self.settings.seed, self.backend.threads
        with self.clock.time("intervals"):
            surface = measure_surface(shares, seed=seed, threads=threads)
            surface.write_parquet(self.folder / "surface.parquet")
            gaps = measure_gaps(shares, seed=seed, threads=threads)
            gaps.write_parquet(self.folder / "gaps.parquet")
        return {
            "intervals": {
                "quantile_seconds": estimate_interval(shares).seconds,
                "excess_seconds": find_excess_gap(gaps),
            }
        }

    def _write_changes(
        self, shares: Shares, popularity: np.ndarray, edges: pl.DataFrame, linked: pl.DataFrame
    ) -> dict[str, Any]:
        """List what the mode changes against exact windows; return what ``run.json`` says."""
        if not self.settings.compare:
            return {}
        with self.clock.time("changes"):
            strict = self._weigh_strict(shares, popularity)
            if self.cuts is not None:
                # Edges below the threshold count only where exact windows have them.
                ends = pl.concat([part.select("source", "target") for part in (strict, linked)])
                ends = ends.unique().sort("source", "target")
                edges = coornet.count_common(shares, self.cuts, ends)
            kept = linked.select("source", "target", in_network=True)
            edges = edges.join(kept, on=["source", "target"], how="left")
            changes = compare_edges(
                mirror_edges(strict) if self.settings.is_directed else strict,
                edges,
                absent=_ABSENT[self.settings.mode],
            )
            name_ends(changes, shares).write_parquet(self.folder / "changes.parquet")
        reasons = changes["reason"].value_counts(name="n").sort("reason").rows()
        return {"changes": dict(reasons)}

    def _weigh_strict(self, shares: Shares, popularity: np.ndarray) -> pl.DataFrame:
        """Return the edges of exact windows, and their pairs that other tools can have.

        ``n_distinct`` have two contents; in ``n_other``, no content is the object, either.
        """
        memory, threads = self.memory // 4, self.backend.threads
        is_own = mark_own_objects(shares)

        def weigh(runs: EdgeRuns) -> pl.DataFrame:
            is_distinct = shares.content[runs.older] != shares.content[runs.newer]
            is_other = is_distinct & ~(is_own[runs.older] | is_own[runs.newer])
            return weigh_edges(runs, popularity).with_columns(
                n_distinct=pl.Series(runs.sum(is_distinct.astype(np.int64))),
                n_other=pl.Series(runs.sum(is_other.astype(np.int64))),
            )

        return weigh_in_ranges(
            shares,
            lambda: pair_shares(shares, window_ms=self.window_ms, memory=memory, threads=threads),
            weigh,
            memory=self.memory // 2,
        ).select("source", "target", "n_objects", "n_distinct", "n_other")

    def _write_tables(
        self,
        shares: Shares,
        network: Network,
        edges: pl.DataFrame,
        counts: PairCounts,
        popularity: np.ndarray,
    ) -> None:
        tables = RunTables(
            store=self.store,
            shares=shares,
            network=network,
            edges=edges,
            n_pairs=counts.by_object,
            popularity=popularity,
            coordinated=counts.is_paired if self.cuts is None else self.cuts.coordinated,
            is_directed=self.settings.is_directed,
            lists_shares=self.cuts is not None,
        )
        for name, frame in tables.build():
            frame.write_parquet(self.folder / f"{name}.parquet")
        export_network(
            self.folder, tables.accounts, edges, directed=self.settings.is_directed,
            anyway=self.graphs,
        )  # fmt: skip

    def _describe(
        self, shares: Shares, network: Network, counts: PairCounts, tests: ShareTests | None
    ) -> None:
        present = set(shares.objects["kind"].cast(pl.String))
        self.work.describe(
            directed=self.settings.is_directed,
            window_seconds=self.window_ms / 1000,
            time_unit_seconds=shares.time_unit,
            counts={
                "n_events": shares.n_shares,
                "missing_kinds": [kind for kind in self.settings.kinds if kind not in present],
                "dropped_accounts": shares.n_dropped,
            },
            chance=None if tests is None else tests.describe(),
            summary={
                "n_accounts": shares.accounts.height,
                "n_entities": shares.objects.height,
                "n_pairs": counts.n_pairs,
                "n_edges": self.n_edges,
                "n_components": network.n_components,
                "n_communities": network.n_communities,
                **({} if tests is None else tests.summarise(network.n_edges // 2)),
            },
            graphs_written=(self.folder / "network.gexf").exists(),
        )


def _key_contents(shares: Shares, older: np.ndarray, newer: np.ndarray) -> np.ndarray:
    """Return one number for each ordered pair of contents."""
    key: np.ndarray = shares.content[older].astype(np.int64)
    key *= shares.contents.len()
    key += shares.content[newer]
    return key
