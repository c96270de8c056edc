"""Thresholds that were chosen on other campaigns.

In: scores of accounts, and the campaign that each positive belongs to. Out: what the threshold
that suits all other campaigns best finds of each one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpu_coord.trust.evaluation.rankings import describe_choice, rank_scores


def leave_campaigns_out(
    score: np.ndarray,
    is_positive: np.ndarray,
    campaign: Sequence[str | None],
    *,
    prevalence: float,
    seed: int,
) -> dict[str, Any] | None:
    """Score each campaign with the threshold of the largest F1 on the others.

    The negatives are dealt out to the campaigns, so that none is in the choice of a threshold and
    in its test. Positives without a campaign are left out.

    Parameters
    ----------
    score, is_positive, campaign
        One entry per account.
    prevalence
        Where ``precision_at_prevalence`` is wanted.
    seed
        Of the dealing.

    Returns
    -------
        ``n_campaigns``, ``n_without_campaign``, means over the campaigns, the worst recall, and
        ``by_campaign``, a list; None with fewer than two campaigns, or fewer negatives than
        campaigns.
    """
    names = sorted({name for name, hit in zip(campaign, is_positive, strict=True) if hit and name})
    if len(names) < 2 or (~is_positive).sum() < len(names):
        return None
    fold = _deal_accounts(is_positive, campaign, names, seed)
    found = [
        {"campaign": name, **_score_fold(score, is_positive, fold, k, prevalence)}
        for k, name in enumerate(names)
    ]
    means = {
        f"mean_{figure}": _average([figures[figure] for figures in found])
        for figure in ("precision", "recall", "f1", "false_positive_rate")
    }
    return {
        "n_campaigns": len(names),
        "n_without_campaign": int((fold < 0).sum()),
        **means,
        "least_recall": min(figures["recall"] for figures in found),
        "by_campaign": found,
    }


def _deal_accounts(
    is_positive: np.ndarray, campaign: Sequence[str | None], names: list[str], seed: int
) -> np.ndarray:
    """Return the campaign of each account: its own, or for negatives the one dealt; -1 without."""
    number = {name: k for k, name in enumerate(names)}
    own = np.array([number.get(name or "", -1) for name in campaign])
    n_negative = int((~is_positive).sum())
    own[~is_positive] = np.random.default_rng(seed).permutation(n_negative) % len(names)
    return own


def _score_fold(
    score: np.ndarray, is_positive: np.ndarray, fold: np.ndarray, k: int, prevalence: float
) -> dict[str, Any]:
    others, own = (fold >= 0) & (fold != k), fold == k
    best = rank_scores(score[others], is_positive[others]).find_best_threshold()
    threshold = np.unique(score[others])[::-1][best]
    figures = describe_choice(score[own] >= threshold, is_positive[own], prevalence=prevalence)
    return {"n_positive": int(is_positive[own].sum()), "threshold": float(threshold), **figures}


def _average(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
