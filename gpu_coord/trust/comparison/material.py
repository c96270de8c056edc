"""What the methods of a comparison work on, read and counted once for all of them."""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.activity.cells import Activity, build_activity
from gpu_coord.activity.settings import CellSettings
from gpu_coord.activity.weights import Edges, Weigher, join_edges
from gpu_coord.backend import Backend
from gpu_coord.chance.tests import PairTests
from gpu_coord.chance.tiers import choose_tier
from gpu_coord.detection.edges import no_edges
from gpu_coord.detection.settings import DetectSettings
from gpu_coord.detection.stages import Stages, choose_network, move_to_host
from gpu_coord.network.network import Network, build_network
from gpu_coord.results.clock import Progress
from gpu_coord.sharing.engine import weigh_layers
from gpu_coord.sharing.layers import Layer
from gpu_coord.sharing.shares import Shares, find_rows, read_shares
from gpu_coord.sharing.significance import ShareTests, assess_edges, count_hours
from gpu_coord.sharing.streams import count_pairs
from gpu_coord.sharing.strict import EdgeRuns, count_popularity, is_new_object
from gpu_coord.sharing.tables import mirror_edges
from gpu_coord.sharing.windows import pair_shares
from gpu_coord.store.settings import TimeRange
from gpu_coord.store.store import Store
from gpu_coord.trust.comparison.cosines import MAX_PAIRS, list_cosines, weigh_rows
from gpu_coord.trust.comparison.figures import Pairs
from gpu_coord.trust.comparison.permutations import permute_uses
from gpu_coord.trust.settings import CompareSettings

WIDE = 12 * 3600  # seconds: the window of popularity-weighted co-retweets


class NotPossibleError(ValueError):
    """A method has nothing to work on in this archive."""


@dataclass(frozen=True)
class Means:
    """Where to compute, with how much memory, and whom to tell."""

    backend: Backend
    memory: int
    progress: Progress


class Material:
    """An archive, its accounts, and what several methods need of it."""

    def __init__(
        self,
        store: Store,
        settings: CompareSettings,
        means: Means,
        kinds: tuple[str, ...] | None = None,
    ):
        self.store, self.settings, self.means = store, settings, means
        self.threads = means.backend.threads
        cells = settings.pick(CellSettings) | ({} if kinds is None else {"kinds": kinds})
        self.detect = DetectSettings(**cells, seed=settings.seed)
        self.activity: Activity = build_activity(store, backend=means.backend, **cells)

    def narrow(self, kind: str) -> "Material":
        """Return the same of one kind of entity."""
        return Material(self.store, self.settings, self.means, (kind,))

    @property
    def accounts(self) -> pl.DataFrame:
        """All accounts that are scored: ``account_id, label, n_posts`` and more."""
        return self.activity.accounts

    # --- active cells --------------------------------------------------------------------

    @cached_property
    def stages(self) -> Stages:
        """The stages of `detect` on these cells."""
        return Stages(self.activity, memory=self.means.memory, progress=self.means.progress)

    @cached_property
    def tests(self) -> PairTests:
        """The tests of `detect`, lags 0 and 1."""
        return self.stages.test_pairs(self.detect, self.stages.list_margins(self.detect.lags))

    @cached_property
    def network(self) -> Network:
        """The network of `detect`: the edges of its tier."""
        return self._build_network(self.detect, self.tests)

    @cached_property
    def paper_network(self) -> Network:
        """The network of `detect --paper`."""
        return self._build_network(replace(self.detect, paper=True, lags=(1,)), None)

    def _build_network(self, settings: DetectSettings, tests: PairTests | None) -> Network:
        stages, activity = self.stages, self.activity
        choice = None if tests is None else choose_tier(tests, settings.tier)
        weighers = [
            Weigher(activity, stages.index, margin, settings.rule)
            for margin in stages.list_margins(settings.lags)
        ]

        def take(found: Edges) -> Edges:
            edges = move_to_host(found, activity.backend)
            return edges.take(choose_network(edges, tests, choice))

        kept = [no_edges(len(activity.kinds)), *stages.find_edges(settings, weighers, take)]
        return stages.build_network(join_edges(kept), settings)

    # --- shares --------------------------------------------------------------------------

    @cached_property
    def shares(self) -> Shares:
        """The shares of all kinds together."""
        chosen = self.settings.pick(TimeRange)
        found = read_shares(self.store, kinds=self.activity.kinds, **chosen)
        is_scored = found.accounts["account_id"].is_in(self.accounts["account_id"].implode())
        return found.select(is_scored.to_numpy()[found.account])

    @cached_property
    def share_row(self) -> Any:
        """The row in `accounts` of each account of `shares`; 0 for those that are not scored."""
        return find_rows(self.shares.accounts["account_id"], self.accounts["account_id"], 0)

    @cached_property
    def uses(self) -> tuple[Any, Any]:
        """The account (row in `accounts`) and the object of each share."""
        return self.share_row[self.shares.account], self.shares.object

    @cached_property
    def shared(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Who shared the same within the window, and within twelve hours.

        ``source, target`` (rows of `shares.accounts`), ``n_objects, popularity_weight``; within
        the window also the columns of `count_hours`.
        """
        layers = [
            Layer("near", "share", self.settings.window_ms),
            Layer("wide", "share", max(1000 * WIDE, self.settings.window_ms)),
        ]
        popularity = count_popularity(self.shares)

        def weigh(layer: Layer, runs: EdgeRuns) -> pl.DataFrame:
            is_new = is_new_object(runs)
            rarity = is_new / np.maximum(popularity[self.shares.object[runs.older]] - 1, 1)
            edges = pl.DataFrame(
                {
                    "source": runs.source,
                    "target": runs.target,
                    "n_objects": runs.sum(is_new.astype(np.int64)),
                    "popularity_weight": runs.sum(rarity),
                }
            )
            if layer.name != "near":
                return edges
            return edges.hstack(count_hours(runs, window_ms=layer.window_ms))

        list_pairs = partial(
            pair_shares, self.shares, window_ms=layers[1].window_ms,
            memory=self.means.memory // 4, threads=self.threads,
        )  # fmt: skip
        pairs = count_pairs(self.shares, list_pairs, memory=self.means.memory // 2)
        near, wide = weigh_layers(layers, pairs, weigh)
        return near, wide

    @cached_property
    def share_tests(self) -> ShareTests:
        """The tests of `share` within the window."""
        return assess_edges(
            self.shares, self.shared[0], window_ms=self.settings.window_ms,
            seed=self.settings.seed, backend=self.means.backend,
        )  # fmt: skip

    def place_pairs(self, edges: pl.DataFrame, score: str) -> Pairs:
        """Return edges between rows of `shares.accounts` as pairs of rows of `accounts`."""
        return self.place(Pairs(*(edges[name].to_numpy() for name in ("source", "target", score))))

    def place(self, pairs: Pairs) -> Pairs:
        """Return pairs of rows of `shares.accounts` as pairs of rows of `accounts`."""
        return Pairs(self.share_row[pairs.source], self.share_row[pairs.target], pairs.score)

    def place_accounts(self, values: Any) -> Any:
        """Return values of the accounts of `shares` for all accounts; 0 for the others."""
        placed = np.zeros(self.accounts.height)
        is_scored = self.shares.accounts["account_id"].is_in(self.accounts["account_id"].implode())
        placed[self.share_row[is_scored.to_numpy()]] = np.asarray(values)[is_scored.to_numpy()]
        return placed

    # --- similarity ----------------------------------------------------------------------

    @cached_property
    def tfidf(self) -> Any:
        """What accounts used at least once, and at least two of them, weighed as scikit-learn does.

        As in the code of Luceri et al. (2024), without its least number of posts of an account.
        """
        account, object = np.divmod(
            np.unique(self.uses[0].astype(np.int64) << 32 | self.uses[1]), np.int64(1) << 32
        )
        is_common = np.bincount(object)[object] > 1
        account, object = account[is_common], object[is_common]
        n = max(np.unique(account).size, 1)
        return weigh_rows(
            account, object, self.accounts.height,
            lambda n_users: np.log((1 + n) / (1 + n_users)) + 1,
        )  # fmt: skip

    def list_cosines(self, matrix: Any) -> Pairs:
        """Return all pairs with a cosine above 0."""
        return _require(list_cosines(matrix, threads=self.threads))

    @cached_property
    def permuted(self) -> list[Pairs]:
        """P-values of pairs by copies in which things changed hands, kind by kind."""
        account, object = self.uses
        kind = self.shares.objects["kind"].cast(pl.String).to_numpy()[object]
        return [
            _require(permute_uses(
                account[kind == name], object[kind == name], n_accounts=self.accounts.height,
                n_permutations=self.settings.n_permutations, seed=self.settings.seed,
                threads=self.threads,
            ))
            for name in self.activity.kinds
        ]  # fmt: skip

    # --- from pairs to groups ------------------------------------------------------------

    def find_communities(self, pairs: Pairs) -> Any:
        """Return the Leiden community of each account in the network of pairs, -1 in none."""
        edges = pl.DataFrame(pairs._asdict()).rename({"score": "weight"})
        both = mirror_edges(edges)
        network = build_network(
            *(both[name].to_numpy() for name in ("source", "target", "weight")),
            n_accounts=self.accounts.height, backend=self.means.backend, seed=self.settings.seed,
        )  # fmt: skip
        return network.community


def _require(pairs: Pairs | None) -> Pairs:
    if pairs is None:
        raise NotPossibleError(f"more than {MAX_PAIRS:,} pairs have something in common")
    return pairs
