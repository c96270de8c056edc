"""Active cells -> what `detect` finds in them: the stages, each for the settings that it is given.

`detect` calls them with one specification; a sweep with many, and keeps what these share.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import polars as pl

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import (
    Margins,
    PairCounts,
    count_margins,
    count_pairs,
    count_steps,
    index_cells,
    plan_blocks,
)
from gpu_coord.activity.weights import Edges, Weigher, choose_lags, select_edges
from gpu_coord.backend import Backend
from gpu_coord.chance.coactivity import rank_accounts, rank_weights
from gpu_coord.chance.habits import Habits, fit_habits
from gpu_coord.chance.tests import LagTests, PairTests, assess_lag, assess_pairs
from gpu_coord.chance.tiers import TierChoice, find_controls, summarise_tests
from gpu_coord.detection.settings import DetectSettings
from gpu_coord.groups.groups import Groups, find_groups
from gpu_coord.network.network import Network, build_network, sum_weights
from gpu_coord.results.clock import Progress

# Small enough for progress and for memory that is used again and again, and no function of the
# machine: sums over blocks come out the same on any.
BLOCK_BYTES = 64 << 20

Result = TypeVar("Result")


class Stages:
    """The stages of `detect` on one activity."""

    def __init__(self, activity: Activity, *, memory: int, progress: Progress):
        self.activity, self.backend = activity, activity.backend
        self.memory, self.progress = memory, progress
        self.block_bytes, self.n_threads = plan_work(memory, self.backend)
        self.index = index_cells(activity)

    def list_margins(self, lags: Sequence[int]) -> list[Margins]:
        """Count what pairs are held against, at each lag.

        Raises
        ------
        ValueError
            A lag leaves no transition.
        """
        count_steps(self.index.n_bins, max(lags))
        return [self._count_lag(lag) for lag in lags]

    def _count_lag(self, lag: int) -> Margins:
        return count_margins(self.index, lag)

    def test_pairs(self, settings: DetectSettings, margins: Sequence[Margins]) -> PairTests:
        """Test all pairs of accounts."""
        return assess_pairs(
            self.activity,
            self.index,
            margins,
            null=settings.null,
            alpha=settings.alpha,
            min_support=settings.min_support,
            seed=settings.seed,
            controls=find_controls(self.activity.accounts, settings.reference),
            memory=self.memory,
            progress=partial(self.progress, "chance"),
            fit=self._fit_habits,
            assess=self._test_lag,
        )

    def _fit_habits(self, *cells: Any, **choices: Any) -> list[Habits]:
        return fit_habits(*cells, **choices)

    def _test_lag(self, *cells: Any, **choices: Any) -> LagTests:
        return assess_lag(*cells, **choices)

    def find_edges(
        self, settings: DetectSettings, weighers: Sequence[Weigher], take: Callable[[Edges], Result]
    ) -> Iterator[Result]:
        """Count, weigh and select block by block.

        Parameters
        ----------
        settings
            Which pairs are edges; each has the lag of its largest weight.
        weighers
            Of each lag.
        take
            Called with the edges of each block, on the backend, in a thread or on a worker.

        Returns
        -------
            What that returns, in the order of the blocks.
        """
        margins = [weigher.margins for weigher in weighers]
        blocks = plan_blocks(
            self.index, margins, min_support=settings.min_support, memory=self.block_bytes
        )
        n_until = np.cumsum(sum(self.backend.to_host(each.n_coincidences) for each in margins))
        find = partial(
            find_block, settings=settings, weighers=weighers, take=take, memory=self.block_bytes
        )
        found = self.backend.map_blocks(blocks, find, n_threads=self.n_threads)
        for (_, last), taken in zip(blocks, found, strict=True):
            yield taken
            self.progress("pairs", int(n_until[last - 1]), int(n_until[-1]))

    def build_network(self, edges: Edges, settings: DetectSettings) -> Network:
        """Build the network of edges."""
        return build_network(
            edges.source,
            edges.target,
            edges.weight,
            n_accounts=self.activity.n_accounts,
            backend=self.backend,
            resolution=settings.resolution,
            seed=settings.seed,
        )

    def find_groups(self, settings: DetectSettings) -> Groups:
        """Look for groups."""
        return find_groups(
            self.activity,
            alpha=settings.alpha,
            seed=settings.seed,
            n_groups=settings.groups,
            n_replicates=settings.n_replicates,
            memory=self.memory // 2,
            progress=partial(self.progress, "groups"),
        )

    def summarise(
        self,
        n_edges: int,
        network: Network,
        tests: PairTests | None,
        choice: TierChoice | None,
        groups: Groups | None,
    ) -> dict[str, Any]:
        """Return the summary of ``run.json``."""
        summary: dict[str, Any] = {
            "n_accounts": self.activity.n_accounts,
            "n_entities": self.activity.n_entities,
            "n_bins": self.activity.n_bins,
            "n_edges": n_edges,
            "n_components": network.n_components,
            "n_communities": network.n_communities,
        }
        if tests is not None and choice is not None:
            summary |= summarise_tests(tests, choice, n_network_edges=network.n_edges)
        return summary | (
            {}
            if groups is None
            else {"n_groups": groups.n_confirmed, "n_groups_beyond_habit": groups.n_beyond_habit}
        )


def find_block(
    block: tuple[int, int],
    *,
    settings: DetectSettings,
    weighers: Sequence[Weigher],
    take: Callable[[Edges], Result],
    memory: int,
) -> Result:
    """Find the edges of a range of sources, and return what `take` makes of them."""
    index = weighers[0].index
    by_lag = [_weigh_block(weigher, block, settings, memory=memory) for weigher in weighers]
    return take(choose_lags(by_lag, n_accounts=index.n_accounts, xp=index.backend.xp))


def _weigh_block(
    weigher: Weigher, block: tuple[int, int], settings: DetectSettings, *, memory: int
) -> Edges:
    lag, xp = weigher.margins.lag, weigher.xp
    pairs = count_pairs(weigher.index, weigher.margins, *block, min_support=settings.min_support)
    weights = weigher.weigh(pairs, memory=memory)
    return select_edges(pairs, weights, lag=lag, min_weight=settings.min_weight, xp=xp)


def attribute(weighers: Sequence[Weigher], edges: Edges, *, memory: int) -> np.ndarray:
    """Return how much of the edges' weight each entity carries, (n_entities,), on the host."""
    carried: Any = 0.0
    for weigher in weighers:
        at_lag = edges.take(edges.lag == weigher.margins.lag)
        pairs = PairCounts(at_lag.source, at_lag.target, at_lag.support)
        carried = carried + weigher.attribute(pairs, memory=memory)
    return np.asarray(weighers[0].index.backend.to_host(carried))


def plan_work(memory: int, backend: Backend) -> tuple[int, int]:
    """Return the bytes of a block of pairs, and how many blocks are worked on at a time."""
    block_bytes = max(1, min(memory // 8, BLOCK_BYTES))
    # Beside those that the threads work on, one block waits to be written and one is written.
    return block_bytes, max(1, min(backend.threads, memory // 2 // block_bytes - 2))


def choose_network(edges: Edges, tests: PairTests | None, choice: TierChoice | None) -> np.ndarray:
    """Mark the edges of the network: those of its tier, or all where none was tested."""
    if tests is None or choice is None:
        return np.ones(edges.n_edges, bool)
    return np.asarray(tests.mark(edges.source, edges.target, choice.tier))


def move_to_host(edges: Edges, backend: Backend) -> Edges:
    """Return edges as NumPy arrays."""
    return Edges(*map(backend.to_host, edges))


def tabulate_ranks(tests: PairTests | None, edges: Edges, *, n_accounts: int) -> pl.DataFrame:
    """Return the score to read accounts by, and its parts where pairs were tested.

    Parameters
    ----------
    tests
        Of all pairs; None where none was tested.
    edges
        Of the network: their weights rank where no tests do.
    n_accounts
        Accounts, those without edges included.
    """
    if tests is not None:
        return pl.DataFrame(rank_accounts(tests)._asdict())
    ends = (edges.source, edges.target)
    weight = sum(sum_weights(end, edges.weight, n_accounts) for end in ends)
    return pl.DataFrame({"co_activity": rank_weights(weight)})
