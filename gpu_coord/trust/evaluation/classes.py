"""Weights inside an operation, across its border and outside, and before and after a time.

In: the edges of a run, and which of its accounts are positive. Out: mean weights per pair of
accounts, as the paper compares them, with the truth's labels, and their ratios.
"""

from typing import Any

import numpy as np
import polars as pl

from gpu_coord.results.findings import Findings, open_run

PLACES = ("outside", "across", "inside")  # by the number of ends that are positive
HALVES = ("before", "after")


def compare_classes(findings: Findings, truth: pl.DataFrame) -> dict[str, dict[str, float | None]]:
    """Compare the weights of pairs of accounts inside and outside an operation.

    Parameters
    ----------
    findings
        A run. Its edges of the weight rule count, significant or not, as in the paper.
    truth
        ``account_id, is_positive``; accounts that it lacks are left out.

    Returns
    -------
        For ``all`` and each kind the mean weight per pair with two positives (``inside``), with one
        (``across``) and with none (``outside``), pairs without an edge counting 0; and ``ratio``,
        inside over outside. None where there are no such pairs, or no weight outside.
    """
    edges = findings.read("edges")
    analysed = findings.read("accounts").select("account_id").join(truth, on="account_id")
    n_pairs = _count_pairs(analysed["is_positive"].to_numpy())
    marked = _count_positive_ends(edges, analysed)
    return {
        kind: _describe_place(marked.select("n_ends", weight=column), n_pairs)
        for kind, column in _list_weights(edges)
    }


def _list_weights(edges: pl.DataFrame) -> list[tuple[str, str]]:
    kinds = [
        (name.removeprefix("weight_"), name)
        for name, kind in edges.schema.items()
        if name.startswith("weight_") and kind.is_float()
    ]
    return [("all", "weight"), *kinds]


def _count_pairs(is_positive: np.ndarray) -> np.ndarray:
    """Return the ordered pairs with no, one and two positives."""
    n, n_positive = is_positive.size, int(is_positive.sum())
    n_other = n - n_positive
    return np.array(
        [n_other * (n_other - 1), 2 * n_positive * n_other, n_positive * (n_positive - 1)]
    )


def _count_positive_ends(edges: pl.DataFrame, analysed: pl.DataFrame) -> pl.DataFrame:
    for end in ("source", "target"):
        known = analysed.rename({"account_id": end, "is_positive": f"{end}_is_positive"})
        edges = edges.join(known, on=end)
    ends = pl.col("source_is_positive").cast(pl.Int8) + pl.col("target_is_positive").cast(pl.Int8)
    return edges.with_columns(n_ends=ends)


def _describe_place(weights: pl.DataFrame, n_pairs: np.ndarray) -> dict[str, float | None]:
    total = np.bincount(weights["n_ends"], weights=weights["weight"].cast(pl.Float64), minlength=3)
    means = {
        place: float(total[k] / n_pairs[k]) if n_pairs[k] else None
        for k, place in enumerate(PLACES)
    }
    return {**means, "ratio": _divide(means["inside"], means["outside"])}


def _divide(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None


def compare_halves(findings: Findings, truth: pl.DataFrame) -> dict[str, Any]:
    """Compare the weights inside and outside an operation before and after the time of a split.

    Parameters
    ----------
    findings, truth
        As in :func:`compare_classes`.

    Returns
    -------
        ``inside_by_half`` and ``outside_by_half``: for ``all`` and each kind the mean weight per
        pair ``before`` and ``after``, and ``ratio``, after over before. Empty where the run was not
        made with ``--split-at``.
    """
    if not all((findings.path / half).is_dir() for half in HALVES):
        return {}
    before, after = (compare_classes(open_run(findings.path / half), truth) for half in HALVES)
    kinds = [kind for kind in before if kind in after]
    return {
        f"{place}_by_half": {
            kind: _compare_means(before[kind][place], after[kind][place]) for kind in kinds
        }
        for place in ("inside", "outside")
    }


def _compare_means(before: float | None, after: float | None) -> dict[str, float | None]:
    return {"before": before, "after": after, "ratio": _divide(after, before)}
