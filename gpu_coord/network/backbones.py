"""Weighted edges -> those that a drawing cannot do without.

In: the edges of a network. Out: which of them stand out for one of their ends, by one of two rules.
For drawing alone: what is found, and how sure it is, rests on all edges.
"""

from typing import Any

import numpy as np
import polars as pl

from gpu_coord.network.settings import parse_backbone


def select_backbone(edges: pl.DataFrame, backbone: str, *, directed: bool) -> pl.DataFrame:
    """Return the edges of a backbone.

    ``disparity`` keeps an edge where its share of the weight of one of its ends is unlikely if that
    weight were dealt out by lot: (1 - share)^(k - 1) below the level, k the edges of that end
    (Serrano, Boguna & Vespignani 2009); the only edge of an account says nothing about it. ``best``
    keeps the heaviest edges of each account; of equal ones those that come first.

    Parameters
    ----------
    edges
        ``source, target, weight`` and any others.
    backbone
        The rule.
    directed
        Whether an account's edges out and in are looked at apart.

    Raises
    ------
    ValueError
        There is no such rule.
    """
    chosen = parse_backbone(backbone)
    # Of equal weight the first, whatever the order of the rows.
    order = edges.with_row_index("row").sort("source", "target")
    ends = pl.concat([order["source"], order["target"]]).rank("dense").to_numpy().astype(np.int64)
    if directed:
        ends[order.height :] += ends.max(initial=0)
    weight = np.tile(order["weight"].to_numpy(), 2)
    mark = _mark_unlikely if chosen.rule == "disparity" else _mark_best
    kept = mark(ends, weight, chosen.level).reshape(2, -1).any(axis=0)
    rows = np.sort(order["row"].to_numpy()[kept])
    return edges[rows]


def _mark_unlikely(end: Any, weight: Any, level: float) -> Any:
    strength, degree = np.bincount(end, weight), np.bincount(end)
    p_value = (1 - weight / strength[end]) ** (degree[end] - 1)
    return (p_value < level) & (degree[end] > 1)


def _mark_best(end: Any, weight: Any, level: float) -> Any:
    edge = np.tile(np.arange(end.size // 2), 2)
    order = np.lexsort((edge, -weight, end))
    first = np.concatenate([[0], np.cumsum(np.bincount(end))])
    place = np.empty(end.size, np.int64)
    place[order] = np.arange(end.size)
    return place - first[end] < level
