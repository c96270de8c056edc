"""Findings against the truth: how well the weights rank accounts and edges.

In: a run folder and who is known to belong to an operation. Out: figures, none of them tuned.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.detection import Findings, open_run

POSITIVE_LABEL = "operation"


def evaluate(
    run: Findings | Path | str, truth: Path | str, *, positive: str = POSITIVE_LABEL
) -> dict[str, Any]:
    """Compare a run with the truth about its accounts and, where it is known, its edges.

    Parameters
    ----------
    run
        A run, or its folder.
    truth
        CSV or Parquet with ``account_id, label`` and, optionally, ``role``. A file
        ``truth_edges.parquet`` (``source, target``) beside it is read as well.
    positive
        The label of the accounts that ought to be found.

    Returns
    -------
        ``accounts``: AUC and average precision of an account's strength (influence + in_weight),
        precision among the first n (n = the positives), the share of core accounts among the
        first by influence; ``edges``: the same for edge weights, with recall. Accounts of the
        truth that the run did not analyse count as found last.

    Raises
    ------
    ValueError
        The truth lacks a column or the positive label, or has nothing else.
    """
    findings = run if isinstance(run, Findings) else open_run(run)
    truth = Path(truth)
    accounts = read_truth(truth, columns=("account_id", "label"))
    figures = {"accounts": _evaluate_accounts(findings.read("accounts"), accounts, positive)}
    edges = truth.with_name("truth_edges.parquet")
    if edges.is_file() and edges != truth:
        truth_edges = read_truth(edges, columns=("source", "target"))
        figures["edges"] = _evaluate_edges(findings.read("edges"), truth_edges, accounts.height)
    return figures


def read_truth(path: Path, *, columns: tuple[str, ...]) -> pl.DataFrame:
    """Read a table of truth from CSV or Parquet; columns are text.

    Raises
    ------
    ValueError
        A column is missing.
    """
    is_parquet = path.suffix == ".parquet"
    table = pl.read_parquet(path) if is_parquet else pl.read_csv(path, infer_schema=False)
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(f"{path.name} lacks the columns {missing}; it has {table.columns}.")
    return table.unique(columns[:1] if "account_id" in columns else columns, maintain_order=True)


def _evaluate_accounts(
    found: pl.DataFrame, truth: pl.DataFrame, positive: str
) -> dict[str, float | int]:
    scored = truth.join(found.drop("label"), on="account_id", how="left").with_columns(
        pl.col("influence", "in_weight").fill_null(0.0)
    )
    is_positive = (scored["label"] == positive).fill_null(value=False).to_numpy()
    n_positive = int(is_positive.sum())
    if not 0 < n_positive < is_positive.size:
        labels = sorted(truth["label"].drop_nulls().unique())
        raise ValueError(
            f"{n_positive} of {is_positive.size} accounts of the truth are labelled {positive!r}; "
            f"some and not all must be. Its labels are {labels}."
        )
    strength = (scored["influence"] + scored["in_weight"]).to_numpy()
    figures: dict[str, float | int] = {
        "n_accounts": is_positive.size,
        "n_positive": n_positive,
        "prevalence": n_positive / is_positive.size,
        "auc": compute_auc(strength, is_positive),
        "average_precision": compute_average_precision(strength, is_positive),
        "precision_at_n_positive": compute_precision(strength, is_positive, n_positive),
    }
    if "role" in scored.columns and (is_core := (scored["role"] == "core").to_numpy()).any():
        n_core = int(is_core.sum())
        figures["n_core"] = n_core
        figures["core_among_first_by_influence"] = compute_precision(
            scored["influence"].to_numpy(), is_core, n_core
        )
    return figures


def _evaluate_edges(
    found: pl.DataFrame, truth: pl.DataFrame, n_accounts: int
) -> dict[str, float | int]:
    marked = found.join(
        truth.select("source", "target", is_true=True), on=["source", "target"], how="left"
    )
    is_true = marked["is_true"].fill_null(value=False).to_numpy()
    n_true = truth.height
    return {
        "n_edges": found.height,
        "n_true": n_true,
        "n_pairs": n_accounts * (n_accounts - 1),
        "recall": float(is_true.sum() / n_true) if n_true else float("nan"),
        "average_precision": compute_average_precision(
            marked["weight"].to_numpy(), is_true, n_positive=n_true
        ),
        "precision_at_n_true": compute_precision(marked["weight"].to_numpy(), is_true, n_true),
    }


def compute_auc(score: np.ndarray, is_positive: np.ndarray) -> float:
    """Return the chance that a positive outscores a negative, ties counting half.

    Examples
    --------
    >>> compute_auc(np.array([3, 2, 2, 1]), np.array([True, True, False, False]))
    0.875
    """
    from scipy.stats import rankdata

    n_positive = int(is_positive.sum())
    n_negative = is_positive.size - n_positive
    rank_sum = rankdata(score)[is_positive].sum()
    return float((rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def compute_average_precision(
    score: np.ndarray, is_positive: np.ndarray, *, n_positive: int | None = None
) -> float:
    """Return the precision averaged over recall; tied scores are one step.

    Parameters
    ----------
    score, is_positive
        One entry per item.
    n_positive
        Positives in all, where some have no entry: these are never found.

    Examples
    --------
    >>> compute_average_precision(np.array([3, 2, 1]), np.array([True, False, True]))
    0.8333333333333333
    """
    n_positive = int(is_positive.sum()) if n_positive is None else n_positive
    if n_positive == 0:
        return float("nan")
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    n_found = np.cumsum(is_positive[order])
    last_of_tie = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], [True] * (ranked.size > 0)))
    gained = np.diff(n_found[last_of_tie], prepend=0)
    return float((gained * n_found[last_of_tie] / (last_of_tie + 1)).sum() / n_positive)


def compute_precision(score: np.ndarray, is_positive: np.ndarray, n_first: int) -> float:
    """Return the share of positives among the first n by score, ties shared out evenly.

    Items beyond the last score count as negatives.

    Examples
    --------
    >>> compute_precision(np.array([3, 2, 2]), np.array([True, True, False]), 2)
    0.75
    """
    if n_first == 0:
        return float("nan")
    if n_first >= score.size:
        return float(is_positive.sum() / n_first)
    border = np.partition(score, -n_first)[-n_first]
    above, tied = score > border, score == border
    from_ties = (n_first - above.sum()) * is_positive[tied].mean()
    return float((is_positive[above].sum() + from_ties) / n_first)
