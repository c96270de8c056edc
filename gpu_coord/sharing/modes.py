"""The modes of `share`: exact windows, and what other tools find instead, quirks and all.

The one idea: a mode says where it departs from exact windows: in what pairs, in what an edge
weighs, in what is in the network.
"""

from functools import cached_property, partial
from math import ceil
from typing import Any, ClassVar

import numpy as np
import polars as pl

from gpu_coord.chance.coactivity import CoActivity, rank_accounts
from gpu_coord.chance.tiers import TierChoice, choose_tier, summarise_tests
from gpu_coord.ground.times import count_seconds, parse_window
from gpu_coord.results.command import Work
from gpu_coord.sharing.engine import Run, weigh_layers
from gpu_coord.sharing.intervals import (
    estimate_interval,
    find_excess_gap,
    measure_gaps,
    measure_surface,
)
from gpu_coord.sharing.layers import Layer
from gpu_coord.sharing.peers import coornet, coortweet, qut
from gpu_coord.sharing.peers.comparison import compare_edges, describe_exactly
from gpu_coord.sharing.settings import Mode, ShareSettings
from gpu_coord.sharing.shares import check_shares, list_post_times, read_shares
from gpu_coord.sharing.streams import Pairs, count_pairs
from gpu_coord.sharing.strict import Blocks, EdgeRuns, count_windows, join_blocks, weigh_edges
from gpu_coord.sharing.tables import mark_edges, mirror_edges, name_ends
from gpu_coord.sharing.traces import Trace
from gpu_coord.sharing.windows import pair_shares
from gpu_coord.store.settings import TimeRange
from gpu_coord.store.strays import warn_of_strays


class Strict(Run):
    """Exact windows: an edge weighs the distinct objects of its pairs, and is tested."""

    settings: ShareSettings
    default_quantile: ClassVar[float] = 0.0
    absent: ClassVar[pl.Expr]  # why an edge of exact windows is not among those of another mode

    def __init__(
        self, work: Work, settings: ShareSettings, objects: pl.DataFrame | None, *, graphs: bool
    ) -> None:
        super().__init__(work, settings, graphs=graphs)
        self.objects, quantile = objects, settings.edge_weight_quantile
        self.quantile = self.default_quantile if quantile is None else quantile
        self.is_heavy = pl.col("weight") >= (settings.min_weight or 0)

    def _read(self) -> list[Trace]:
        settings, work, kinds = self.settings, self.work, self.settings.kinds or ()
        if self.objects is None and settings.min_participation == 1:
            check_shares(work.room, work.store, kinds, settings)
        shares = read_shares(
            work.store, kinds=kinds, min_participation=settings.min_participation,
            labels=work.labels, objects=self.objects, **settings.pick(TimeRange),
        )  # fmt: skip
        work.describe(stretched=warn_of_strays(work.store, list_post_times(shares), kinds))
        present = set(shares.objects["kind"].cast(pl.String))
        self.missing = {"missing_kinds": [kind for kind in kinds if kind not in present]}
        window_ms = settings.window_ms
        if window_ms is None:
            window_ms = max(1000, round(1000 * estimate_interval(shares).seconds))
        return [Trace([Layer("share", "share", window_ms)], shares, self._list_pairs)]

    def _list_pairs(self, **choices: Any) -> Blocks:
        """Yield the pairs of the mode; of accounts with enough events, as all shares are."""
        return pair_shares(self.shares, **choices)

    def _weigh(self, trace: Trace, runs: EdgeRuns) -> pl.DataFrame:
        edges = self._weigh_pairs(runs, trace.popularity)
        windows = [count_seconds(ms) for ms in self.settings.shorter_windows]
        return edges.hstack(count_windows(runs, windows)) if windows else edges

    def _weigh_pairs(self, runs: EdgeRuns, popularity: np.ndarray) -> pl.DataFrame:
        return weigh_edges(runs, popularity)

    def _merge(self) -> pl.DataFrame:
        return self.found[0].edges

    def _link(self, edges: pl.DataFrame) -> pl.DataFrame:
        is_heavy = pl.col("weight") >= pl.col("weight").quantile(self.quantile, "linear")
        return super()._link(edges.filter(self.is_heavy & is_heavy))

    def _choose_tier(self) -> TierChoice:
        assert self.found[0].tests is not None
        return choose_tier(self.found[0].tests.pairs, self.settings.tier)

    def _rank_accounts(self) -> CoActivity:
        assert self.found[0].tests is not None
        return rank_accounts(self.found[0].tests.pairs)

    def _describe_layers(self) -> dict[str, Any]:
        tests = self.found[0].tests
        chance = None
        if tests is not None and self.choice is not None:
            chance = tests.describe(self.choice)
        return {"window_seconds": self.traces[0].window_ms / 1000, "chance": chance}

    def _summarise_layers(self, n_linked: int) -> dict[str, Any]:
        tests = self.found[0].tests
        if tests is None or self.choice is None:
            return {}
        return summarise_tests(tests.pairs, self.choice, n_network_edges=n_linked, n_directions=2)

    # --- what else was asked for -------------------------------------------------------------

    def _write_more(self, edges: pl.DataFrame, linked: pl.DataFrame) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if self.settings.intervals or self.settings.window_ms is None:
            with self.work.time("intervals"):
                more["intervals"] = self._write_intervals()
        if self.settings.compare:
            with self.work.time("changes"):
                more["changes"] = self._write_changes(edges, linked)
        return more

    def _write_intervals(self) -> dict[str, float | None]:
        """Tabulate what window the data suggest, in both ways."""
        seed, threads = self.settings.seed, self.room["threads"]
        surface = measure_surface(self.shares, seed=seed, threads=threads)
        gaps = measure_gaps(self.shares, seed=seed, threads=threads)
        self.work.write({"surface": surface, "gaps": gaps})
        estimate = estimate_interval(self.shares)
        return {"quantile_seconds": estimate.seconds, "excess_seconds": find_excess_gap(gaps)}

    def _write_changes(self, edges: pl.DataFrame, linked: pl.DataFrame) -> dict[str, int]:
        """List what the mode changes against exact windows; return how often, by reason."""
        exact = self._weigh_exactly()
        found = mark_edges(self._list_known(edges, exact), linked)
        exact = mirror_edges(exact) if self.is_directed else exact
        changes = compare_edges(exact, found, absent=self.absent)
        self.work.write({"changes": name_ends(changes, self.shares)})
        return dict(changes["reason"].value_counts(name="n").sort("reason").rows())

    def _weigh_exactly(self) -> pl.DataFrame:
        trace = self.traces[0]
        list_pairs = partial(pair_shares, self.shares, window_ms=trace.window_ms, **self.room)
        pairs = count_pairs(self.shares, list_pairs, memory=self.memory // 2)
        is_own = coortweet.mark_own_objects(self.shares)
        return weigh_layers(trace.layers, pairs, lambda _, runs: describe_exactly(runs, is_own))[0]

    def _list_known(self, edges: pl.DataFrame, exact: pl.DataFrame) -> pl.DataFrame:
        """Return the edges of the mode that exact windows are held against."""
        return edges


class CooRTweet(Strict):
    """CooRTweet: an edge weighs its pairs of shares, and all edges are kept."""

    default_quantile = coortweet.DEFAULT_QUANTILE
    absent = (
        pl.when(pl.col("n_distinct") == 0)
        .then(pl.lit("same_content"))
        .when(pl.col("n_other") == 0)
        .then(pl.lit("own_object"))
        .otherwise(pl.lit("participation"))
    )

    def _list_pairs(self, **choices: Any) -> Blocks:
        least = self.settings.min_participation
        return coortweet.detect_groups(self.shares, min_participation=least, **choices)

    def _mark_pairs(self, trace: Trace, older: np.ndarray, newer: np.ndarray) -> dict[str, Any]:
        is_fast = self._mark_fast(older, newer)
        return {} if is_fast is None else {"is_fast": is_fast}

    def _weigh_pairs(self, runs: EdgeRuns, popularity: np.ndarray) -> pl.DataFrame:
        is_fast = self._mark_fast(runs.older, runs.newer)
        return coortweet.weigh_network(runs, popularity, is_fast=is_fast)

    def _finish(self, pairs: Pairs, edges: pl.DataFrame) -> pl.DataFrame:
        """Write what the tool says of accounts and objects; no more than a block is held."""
        shares, has_fast = self.shares, self._fast_keys is not None
        number = coortweet.number_vertices(shares, pairs.repeat(), has_fast=has_fast)
        groups = coortweet.summarise_groups(shares, pairs.repeat(), number)
        accounts = coortweet.summarise_accounts(shares, pairs.is_paired, edges)
        self.work.write({"group_stats": groups, "account_stats": accounts})
        return edges

    def _link(self, edges: pl.DataFrame) -> pl.DataFrame:
        edges = linked = coortweet.mark_heavy(edges, self.quantile)
        if self.settings.subgraph:
            linked = coortweet.take_subgraph(edges, self.settings.subgraph)
        elif self.settings.edge_weight_quantile is not None:
            linked = edges.filter(pl.col("weight_threshold") == 1)
        return mark_edges(edges, linked.filter(self.is_heavy))

    @cached_property
    def _fast_keys(self) -> np.ndarray | None:
        """The keys of the pairs of contents that the fast window marks; None without one."""
        if self.settings.fast_window is None:
            return None
        window_ms, shares = parse_window(self.settings.fast_window), self.shares
        within = (
            (older[near], newer[near])
            for older, newer in self._list_pairs(window_ms=self.traces[0].window_ms, **self.room)
            for near in [shares.time[newer] - shares.time[older] <= window_ms]
        )
        older, newer = join_blocks(within)
        is_fast = coortweet.flag_speed_share(
            shares, older, newer, window_ms=window_ms,
            min_participation=self.settings.min_participation,
        )  # fmt: skip
        return np.unique(coortweet.key_contents(shares, older[is_fast], newer[is_fast]))

    def _mark_fast(self, older: np.ndarray, newer: np.ndarray) -> np.ndarray | None:
        if self._fast_keys is None:
            return None
        return np.isin(coortweet.key_contents(self.shares, older, newer), self._fast_keys)


class CooRnet(Strict):
    """CooRnet: pairs lie in one bin of time, and an edge weighs all common objects."""

    default_quantile = coornet.DEFAULT_QUANTILE
    absent = pl.lit("border")
    lists_shares = True

    @cached_property
    def _cuts(self) -> coornet.Cuts:
        interval_seconds = self.traces[0].window_ms // 1000
        return coornet.cut_shares(self.shares, interval_seconds=interval_seconds)

    def _list_pairs(self, **choices: Any) -> Blocks:
        del choices["window_ms"]  # the cuts have it
        return coornet.pair_in_bins(self.shares, self._cuts, **choices)

    def _finish(self, pairs: Pairs, edges: pl.DataFrame) -> pl.DataFrame:
        projection = coornet.project_accounts(
            self.shares, self._cuts, edge_weight_quantile=self.quantile,
            min_weight=ceil(self.settings.min_weight or 1), **self.room,
        )  # fmt: skip
        joined = coornet.join_described(projection.edges, edges)
        return coornet.weigh_kinds(self.shares, self._cuts, joined)

    def _link(self, edges: pl.DataFrame) -> pl.DataFrame:
        return Run._link(self, edges)  # the projection has left out the light ones

    def _mark_coordinated(self) -> np.ndarray:
        return self._cuts.coordinated

    def _list_known(self, edges: pl.DataFrame, exact: pl.DataFrame) -> pl.DataFrame:
        """Count below the threshold, too, where exact windows have an edge."""
        ends = pl.concat([part.select("source", "target") for part in (exact, edges)])
        return coornet.count_common(self.shares, self._cuts, ends.unique().sort(ends.columns))


class Qut(Strict):
    """The toolkit of QUT: an edge weighs the messages of its source that are near the target's."""

    is_directed = True
    absent = (
        pl.when(pl.col("n_distinct") == 0)
        .then(pl.lit("same_content"))
        .otherwise(pl.lit("absent"))
    )  # fmt: skip

    def _list_pairs(self, **choices: Any) -> Blocks:
        # A message of the toolkit is known by its id alone.
        return super()._list_pairs(same_content=False, **choices)

    def _finish(self, pairs: Pairs, edges: pl.DataFrame) -> pl.DataFrame:
        choices: Any = {"window_ms": self.traces[0].window_ms, **self.room}
        joined = qut.join_described(qut.count_messages(self.shares, **choices), edges)
        return qut.weigh_kinds(self.shares, joined, **choices)


MODES: dict[Mode, type[Strict]] = {
    "strict": Strict, "coortweet": CooRTweet, "coornet": CooRnet, "qut": Qut,
}  # fmt: skip
