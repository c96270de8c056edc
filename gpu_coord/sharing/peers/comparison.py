"""Edges of exact windows and edges of another tool -> every pair of accounts that changes, and why.

The one idea: one outer join; each mode loses, adds or counts pairs for reasons of its own.
"""

import numpy as np
import polars as pl

from gpu_coord.sharing.strict import EdgeRuns, is_new_object

_ENDS = ["source", "target"]


def describe_exactly(runs: EdgeRuns, is_own: np.ndarray) -> pl.DataFrame:
    """Return the edges of exact windows, and how many of their pairs other tools can have.

    Parameters
    ----------
    runs
        Pairs of shares within the window, from `group_pairs`.
    is_own
        The shares whose content is the object, (n_shares,).

    Returns
    -------
        ``source, target, n_objects``; ``n_distinct``, pairs of two contents; ``n_other``, those of
        them of which no content is the object.
    """
    content = runs.shares.content
    is_distinct = content[runs.older] != content[runs.newer]
    is_other = is_distinct & ~(is_own[runs.older] | is_own[runs.newer])
    counted = {"n_objects": is_new_object(runs), "n_distinct": is_distinct, "n_other": is_other}
    counts = {name: runs.sum(marks.astype(np.int64)) for name, marks in counted.items()}
    return pl.DataFrame({"source": runs.source, "target": runs.target} | counts)


def compare_edges(strict: pl.DataFrame, edges: pl.DataFrame, *, absent: pl.Expr) -> pl.DataFrame:
    """List the edges that a mode treats otherwise than exact windows.

    Parameters
    ----------
    strict
        ``source, target, n_objects`` of all edges of `gpu_coord.sharing.strict.weigh_edges`, for
        a window of the same length, both ways round where the mode is directed; and whatever
        ``absent`` reads.
    edges
        ``source, target, weight, in_network`` of all edges of the mode.
    absent
        The reason of an edge that the mode does not have at all.

    Returns
    -------
        By source and target: ``source, target, n_objects`` (within the window), ``weight`` (of the
        mode), 0 where there is none, ``reason``. Edges of the mode alone: ``other_bin``, the
        common objects were shared further apart than the window. Edges of exact windows alone:
        ``absent``, or ``threshold``, too light to be kept. Of both: ``weight``, the mode counts
        something else.
    """
    both = (
        strict.drop("weight", strict=False)
        .join(edges.select(*_ENDS, "weight", "in_network"), on=_ENDS, how="full", coalesce=True)
        .with_columns(pl.col("n_objects", "weight").fill_null(0))
    )
    in_windows, kept = pl.col("n_objects") > 0, pl.col("in_network").fill_null(value=False)
    reason = (
        pl.when(in_windows & (pl.col("weight") == 0))
        .then(absent)
        .when(in_windows & ~kept)
        .then(pl.lit("threshold"))
        .when(~in_windows & kept)
        .then(pl.lit("other_bin"))
        .when(in_windows & (pl.col("n_objects") != pl.col("weight")))
        .then(pl.lit("weight"))
    )
    changed = both.with_columns(reason=reason).drop_nulls("reason")
    return changed.select(*_ENDS, "n_objects", "weight", "reason").sort(_ENDS)
