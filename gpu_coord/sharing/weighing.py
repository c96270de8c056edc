"""Traces -> the edges of each layer: pairs stream by, and only edges are held whole.

The one idea: the pairs of the widest window of an action are those of all its windows, so that
they are found once, and twice where they have no room.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from gpu_coord.sharing.layers import Layer
from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.significance import count_hours
from gpu_coord.sharing.streams import PairCounts, PairStream, check_room
from gpu_coord.sharing.strict import EdgeRuns, count_popularity, describe_edges, group_pairs
from gpu_coord.sharing.traces import Trace


def weigh_layers(
    trace: Trace,
    stream: PairStream,
    counts: PairCounts,
    layers: Sequence[Layer],
    *,
    tests: bool,
) -> dict[str, pl.DataFrame]:
    """Weigh the edges of the layers of one action.

    Parameters
    ----------
    trace, stream, counts
        Its shares, and their pairs within the widest window.
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
    popularity = count_popularity(trace.shares)
    parts: dict[str, list[pl.DataFrame]] = {layer.name: [] for layer in layers}
    for older, newer in stream.gather(counts):
        gap_ms = trace.shares.time[newer] - trace.shares.time[older]
        for layer in layers:
            near = gap_ms <= layer.window_ms
            weigh = _weigh_directed if layer.is_directed else _weigh
            hours = layer.window_ms if tests and not layer.is_directed else None
            parts[layer.name].append(weigh(trace, older[near], newer[near], popularity, hours))
        check_room(sum(part.height for frames in parts.values() for part in frames))
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
