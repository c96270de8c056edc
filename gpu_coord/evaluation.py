"""Findings against the truth: how well the weights rank accounts and edges.

In: a run folder and who is known to belong to an operation. Out: figures, none of them tuned.
"""

from pathlib import Path

import numpy as np
import polars as pl

from gpu_coord.archive import read_labels
from gpu_coord.run import Findings, open_run

POSITIVE_LABEL = "operation"
Figures = dict[str, float | int | None]


def evaluate(
    run: Findings | Path | str, truth: Path | str, *, positive: str = POSITIVE_LABEL
) -> dict[str, Figures]:
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
        ``accounts``: of the accounts that the run analysed and the truth knows, AUC and average
        precision of their strength (influence + in_weight), precision among the first n (n = the
        positives), the share of core accounts among the first by influence; beside them how many
        accounts and positives of the truth the run did not analyse. ``edges``: the same for edge
        weights, with recall; true edges that the run lacks are never found. None where a figure
        is not defined. Where the run tested for significance, also the AUC of each account's
        smallest p-value (over all its edges, either way), and of the significant edges their
        number, recall and the share that is false: not true (``false_share``), and with an end
        that is no positive (``share_outside``).

    Raises
    ------
    ValueError
        The truth lacks a column, has no account in common with the run, or only one class of them.
    """
    findings = run if isinstance(run, Findings) else open_run(run)
    truth = Path(truth)
    known = read_labels(truth, extra=("role",))
    found = findings.read("edges")
    accounts = findings.read("accounts")
    if is_tested := "p_value" in found.columns:
        accounts = accounts.join(_find_least_p(found), on="account_id", how="left")
    figures = {"accounts": _evaluate_accounts(accounts, known, positive)}
    edges = truth.with_name("truth_edges.parquet")
    if edges.is_file() and edges != truth:
        n_accounts = findings.summary["n_accounts"]
        true_edges = _read_edges(edges)
        figures["edges"] = _evaluate_edges(found, true_edges, n_accounts)
        if is_tested:
            positives = known.filter(pl.col("label") == positive)["account_id"]
            figures["significant"] = _evaluate_significant(found, true_edges, positives)
    return figures


def _find_least_p(edges: pl.DataFrame) -> pl.DataFrame:
    ends = [edges.select("p_value", account_id=end) for end in ("source", "target")]
    return pl.concat(ends).group_by("account_id").agg(pl.col("p_value").min())


def _read_edges(path: Path) -> pl.DataFrame:
    edges = pl.read_parquet(path)
    missing = [column for column in ("source", "target") if column not in edges.columns]
    if missing:
        raise ValueError(f"{path.name} lacks the columns {missing}; it has {edges.columns}.")
    return edges.select(pl.col("source", "target").cast(pl.String)).unique(maintain_order=True)


def _evaluate_accounts(found: pl.DataFrame, truth: pl.DataFrame, positive: str) -> Figures:
    scored = found.drop("label", "role", strict=False).join(truth, on="account_id", how="inner")
    if scored.is_empty():
        raise ValueError(
            f"none of the {truth.height} accounts of the truth is among the {found.height} of the "
            "run; is it the truth of another archive, or was the store made with a key?"
        )
    is_positive = (scored["label"] == positive).to_numpy()
    n_positive = int(is_positive.sum())
    if not 0 < n_positive < is_positive.size:
        labels = sorted(truth["label"].unique())
        raise ValueError(
            f"{n_positive} of {is_positive.size} accounts of the truth in this run are labelled "
            f"{positive!r}; some and not all must be: choose another of the labels {labels}."
        )
    strength = (scored["influence"] + scored["in_weight"]).to_numpy()
    n_true = int((truth["label"] == positive).sum())
    figures: Figures = {
        "n_accounts": is_positive.size,
        "n_positive": n_positive,
        "prevalence": n_positive / is_positive.size,
        "n_not_analysed": truth.height - scored.height,
        "n_positive_not_analysed": n_true - n_positive,
        "auc": compute_auc(strength, is_positive),
        "average_precision": compute_average_precision(strength, is_positive),
        "precision_at_n_positive": compute_precision(strength, is_positive, n_positive),
    }
    if "p_value" in scored.columns:
        least_p = scored["p_value"].fill_null(1.0).to_numpy()
        figures["auc_of_least_p_value"] = compute_auc(-least_p, is_positive)
    if "role" in scored.columns and (is_core := scored["role"].eq_missing("core").to_numpy()).any():
        n_core = int(is_core.sum())
        figures["n_core"] = n_core
        figures["share_of_core_among_first_by_influence"] = compute_precision(
            scored["influence"].to_numpy(), is_core, n_core
        )
    return figures


def _evaluate_edges(found: pl.DataFrame, truth: pl.DataFrame, n_accounts: int) -> Figures:
    marked = found.join(truth.with_columns(is_true=True), on=["source", "target"], how="left")
    is_true = marked["is_true"].fill_null(value=False).to_numpy()
    weight, n_true = marked["weight"].to_numpy(), truth.height
    return {
        "n_edges": found.height,
        "n_true": n_true,
        "n_pairs": n_accounts * (n_accounts - 1),
        "recall": float(is_true.sum() / n_true) if n_true else None,
        "average_precision": compute_average_precision(weight, is_true, n_positive=n_true),
        "precision_at_n_true": compute_precision(weight, is_true, n_true),
    }


def _evaluate_significant(
    found: pl.DataFrame, truth: pl.DataFrame, positives: pl.Series
) -> Figures:
    significant = found.filter("significant")
    n_found, n_true = significant.height, truth.height
    n_hit = significant.join(truth, on=["source", "target"], how="semi").height
    inside = pl.all_horizontal(pl.col("source", "target").is_in(positives.implode()))
    n_inside = significant.filter(inside).height
    return {
        "n_edges": n_found,
        "recall": n_hit / n_true if n_true else None,
        "false_share": 1 - n_hit / n_found if n_found else None,
        "share_outside": 1 - n_inside / n_found if n_found else None,
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
) -> float | None:
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
        return None
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    n_found = np.cumsum(is_positive[order])
    last_of_tie = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], [True] * (ranked.size > 0)))
    gained = np.diff(n_found[last_of_tie], prepend=0)
    return float((gained * n_found[last_of_tie] / (last_of_tie + 1)).sum() / n_positive)


def compute_precision(score: np.ndarray, is_positive: np.ndarray, n_first: int) -> float | None:
    """Return the share of positives among the first n by score, ties shared out evenly.

    Items beyond the last score count as negatives.

    Examples
    --------
    >>> compute_precision(np.array([3, 2, 2]), np.array([True, True, False]), 2)
    0.75
    """
    if n_first == 0:
        return None
    if n_first >= score.size:
        return float(is_positive.sum() / n_first)
    border = np.partition(score, -n_first)[-n_first]
    above, tied = score > border, score == border
    from_ties = (n_first - above.sum()) * is_positive[tied].mean()
    return float((is_positive[above].sum() + from_ties) / n_first)
