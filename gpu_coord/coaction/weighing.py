"""Traces -> the edges of each layer: pairs stream by, and only edges are held whole.

The one idea: the pairs of the widest window of an action are those of all its windows, so that
they are found once, and twice where they have no room.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from gpu_coord.coaction.layers import Layer
from gpu_coord.coaction.traces import Blocks, Trace
from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.significance import count_hours
from gpu_coord.sharing.strict import (
    BYTES_PER_PAIR,
    EdgeRuns,
    count_popularity,
    describe_edges,
    group_pairs,
    join_blocks,
    plan_ranges,
    take_accounts,
)


@dataclass(frozen=True)
class PairCounts:
    """What one pass over the pairs of a trace counts, and the pairs where there is room."""

    by_account: np.ndarray  # as the one with the smaller row, (n_accounts,)
    by_object: np.ndarray  # (n_objects,)
    is_paired: np.ndarray  # which shares are in a pair, (n_shares,)
    held: list[tuple[np.ndarray, np.ndarray]] | None


@dataclass(frozen=True)
class PairStream:
    """The pairs of a trace within its widest window, as often as they are needed."""

    trace: Trace
    window_ms: int
    memory: int  # bytes
    threads: int

    @property
    def room(self) -> int:
        """Pairs that may be weighed at once."""
        return max(1, self.memory // 2 // BYTES_PER_PAIR)

    def list(self) -> Blocks:
        """Yield the pairs in blocks."""
        return self.trace.list_pairs(
            window_ms=self.window_ms, memory=self.memory // 4, threads=self.threads
        )

    def count(self, see: Callable[[np.ndarray, np.ndarray], None]) -> PairCounts:
        """Count the pairs while another looks at them, too."""
        shares = self.trace.shares
        by_account = np.zeros(shares.accounts.height, np.int64)
        by_object = np.zeros(shares.objects.height, np.int64)
        is_paired = np.zeros(shares.n_shares, bool)
        held: list[tuple[np.ndarray, np.ndarray]] | None = []
        n_pairs = 0
        for older, newer in self.list():
            smaller = np.minimum(shares.account[older], shares.account[newer])
            by_account += np.bincount(smaller, minlength=by_account.size)
            by_object += np.bincount(shares.object[older], minlength=by_object.size)
            is_paired[older] = is_paired[newer] = True
            n_pairs += older.size
            if held is not None:
                # Copies: a block may be a view of more than its pairs.
                held.append((older.copy(), newer.copy()))
            held = None if n_pairs > self.room else held
            see(older, newer)
        return PairCounts(by_account, by_object, is_paired, held)

    def gather(self, counts: PairCounts) -> Blocks:
        """Yield all pairs of a range of accounts at a time, accounts ascending."""
        if counts.held is not None:
            yield join_blocks(counts.held)
            return
        for first, last in plan_ranges(counts.by_account, self.room):
            yield join_blocks(take_accounts(self.trace.shares, self.list(), first, last))


def weigh_layers(
    stream: PairStream, counts: PairCounts, layers: Sequence[Layer], *, tests: bool
) -> dict[str, pl.DataFrame]:
    """Weigh the edges of the layers of one action.

    Parameters
    ----------
    stream, counts
        Of its trace.
    layers
        All of this action.
    tests
        Also count what is tested, where the layer is not directed.

    Returns
    -------
        By layer: ``source, target`` (rows of accounts; in layers without direction source <
        target), ascending; ``weight`` (distinct objects; of similar texts, the distinct texts of
        the account with fewer of them), ``n_pairs`` (of shares), ``mean_gap`` (seconds),
        ``popularity_weight`` (sum over the objects of 1 / (accounts that shared it - 1)).
    """
    trace = stream.trace
    popularity = count_popularity(trace.shares)
    parts: dict[str, list[pl.DataFrame]] = {layer.name: [] for layer in layers}
    for older, newer in stream.gather(counts):
        gap_ms = trace.shares.time[newer] - trace.shares.time[older]
        for layer in layers:
            near = gap_ms <= layer.window_ms
            weigh = _weigh_directed if layer.is_directed else _weigh
            hours = layer.window_ms if tests and not layer.is_directed else None
            parts[layer.name].append(weigh(trace, older[near], newer[near], popularity, hours))
    return {name: pl.concat(frames).sort("source", "target") for name, frames in parts.items()}


def _weigh(
    trace: Trace,
    older: np.ndarray,
    newer: np.ndarray,
    popularity: np.ndarray,
    tested_ms: int | None = None,
) -> pl.DataFrame:
    runs = group_pairs(trace.shares, older, newer)
    described = describe_edges(runs, popularity)
    n_distinct = described["n_objects"].to_numpy()
    if trace.variant is not None:
        n_distinct = _count_texts(runs, trace.shares, trace.variant)
    edges = pl.DataFrame(
        {
            "source": runs.source,
            "target": runs.target,
            "weight": n_distinct.astype(np.float64),
            **{name: described[name] for name in ("n_pairs", "mean_gap", "popularity_weight")},
        }
    )
    return edges if tested_ms is None else edges.hstack(count_hours(runs, window_ms=tested_ms))


def _count_texts(runs: EdgeRuns, shares: Shares, variant: np.ndarray) -> np.ndarray:
    """Count the distinct texts of the side of each edge that has fewer."""
    source_older = shares.account[runs.older] == np.repeat(runs.source, runs.n_pairs)
    older, newer = variant[runs.older], variant[runs.newer]
    sides = np.where(source_older, older, newer), np.where(source_older, newer, older)
    fewer: np.ndarray = np.minimum(*(runs.count_distinct(side) for side in sides))
    return fewer


def _weigh_directed(
    trace: Trace,
    older: np.ndarray,
    newer: np.ndarray,
    popularity: np.ndarray,
    tested_ms: int | None = None,
) -> pl.DataFrame:
    """Weigh the edges from the older to the newer; such layers are not tested."""
    rises = trace.shares.account[older] < trace.shares.account[newer]
    rising = _weigh(trace, older[rises], newer[rises], popularity, tested_ms)
    falling = _weigh(trace, older[~rises], newer[~rises], popularity, tested_ms)
    turned = falling.rename({"source": "target", "target": "source"})
    return pl.concat([rising, turned.select(rising.columns)])
