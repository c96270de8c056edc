"""What a method found, and the truth -> the figures that methods are compared by.

In: a score of accounts or of pairs, or groups. Out: one row of figures. None of them is tuned, and
ties count half or are shared out, so that no order of rows helps anybody.
"""

from typing import Any, NamedTuple

import numpy as np

from gpu_coord.trust.evaluation.partitions import (
    compute_adjusted_information,
    compute_adjusted_rand,
    compute_weighted_purity,
    cross_partitions,
)
from gpu_coord.trust.evaluation.rankings import (
    Ranking,
    bootstrap_ranking,
    compute_prevalent_precision,
    rank_scores,
)

Figures = dict[str, Any]
FIRST = (10, 50, 100)
MAX_FALSE_SHARE = 0.01
_N_SUMMED = 100_000  # places of a ranking that are added up one by one


class Pairs(NamedTuple):
    """Pairs of accounts that a method scores, each once; all others have score 0."""

    source: Any  # row of the accounts, (n_pairs,)
    target: Any
    score: Any  # above 0


def describe_ranking(score: Any, is_positive: Any, *, prevalence: float) -> Figures:
    """Return the figures of a ranking of accounts.

    Parameters
    ----------
    score, is_positive
        One entry per account; some are positive and some are not.
    prevalence
        Where ``precision_at_prevalence`` is wanted.
    """
    return _describe(rank_scores(np.asarray(score), is_positive), prevalence)


def describe_pairs(pairs: Pairs, is_positive: Any, *, prevalence: float) -> Figures:
    """Return the figures of a ranking of pairs; a positive pair has two positive ends.

    Parameters
    ----------
    pairs
        Those with a score; the other pairs of the accounts follow, all equal.
    is_positive
        One entry per account.
    prevalence
        Of positive pairs, where ``precision_at_prevalence`` is wanted.
    """
    n, n_positive = is_positive.size, int(is_positive.sum())
    n_true = n_positive * (n_positive - 1) // 2
    n_false = n * (n - 1) // 2 - n_true
    listed = _rank_pairs(pairs, is_positive)
    ranking = Ranking(np.append(listed.n_true, n_true), np.append(listed.n_false, n_false))
    return _describe(ranking, prevalence)


def _rank_pairs(pairs: Pairs, is_positive: Any) -> Ranking:
    """Rank pairs as `rank_scores` does, but for levels between which nothing is gained.

    For each score of a positive pair, two: what lies above it, and what does not lie below.
    """
    is_true = is_positive[pairs.source] & is_positive[pairs.target]
    true, false = np.sort(pairs.score[is_true]), np.sort(pairs.score[~is_true])
    levels = np.unique(true)[::-1]

    def count(scores: Any) -> Any:
        sides = [scores.size - np.searchsorted(scores, levels, side) for side in ("right", "left")]
        return np.append(np.column_stack(sides).ravel(), scores.size)

    return Ranking(count(true), count(false))


def _describe(ranking: Ranking, prevalence: float) -> Figures:
    n_positive, n_negative = ranking.n_positive, ranking.n_negative
    average = ranking.compute_average_precision()
    share = n_positive / (n_positive + n_negative)
    precision = ranking.compute_precision(n_positive) or 0.0
    hits = precision * n_positive
    at_prevalence = compute_prevalent_precision(
        hits / n_positive, (n_positive - hits) / n_negative, prevalence
    )
    return {
        "n": n_positive + n_negative,
        "n_positive": n_positive,
        "auc": ranking.compute_auc(),
        "average_precision": average,
        "lift": None if average is None else average / share,
        **{
            f"precision_at_{first}": ranking.compute_precision(first)
            for first in FIRST
            if first <= n_positive + n_negative
        },
        "precision_at_n_positive": precision,
        "precision_at_prevalence": at_prevalence,
        "recall_at_1_percent_false": ranking.compute_recall(MAX_FALSE_SHARE),
        "ndcg": compute_gain(ranking),
        "n_to_90_percent": count_to_most(ranking),
    }


def compute_gain(ranking: Ranking) -> float:
    """Return the normalised discounted cumulative gain: 1 where all positives come first.

    A positive at place i counts 1 / log2(i + 1) (Jarvelin and Kekalainen 2002); tied places are
    shared out.
    """
    n_found = np.concatenate([[0], ranking.n_true + ranking.n_false]).astype(np.int64)
    mean = np.diff(_sum_discounts(n_found)) / np.maximum(np.diff(n_found), 1)
    gained = np.diff(ranking.n_true, prepend=0)
    most = _sum_discounts(np.array([ranking.n_positive]))[0]
    return float((gained * mean).sum() / most)


def _sum_discounts(ends: Any) -> Any:
    """Return the sum of 1 / log2(i + 1) over the first places, to each of some ends.

    Place by place for the first of them; beyond by the integral with the first two terms of Euler
    and Maclaurin, which is the same to ten digits.
    """
    from scipy.special import expi

    first = np.minimum(ends, _N_SUMMED)
    head = np.concatenate([[0], np.cumsum(1 / np.log2(np.arange(2, first.max() + 2)))])

    def sum_tail(place: Any) -> Any:
        log = np.log(place + 1.0)
        return np.log(2) * (expi(log) + 1 / (2 * log) - 1 / (12 * (place + 1.0) * log**2))

    beyond = np.maximum(ends, _N_SUMMED)
    return head[first] + sum_tail(beyond) - sum_tail(np.array(_N_SUMMED))


def count_to_most(ranking: Ranking) -> int:
    """Return how many are to be read until 90 % of the positives are found, ties shared out."""
    counts = np.concatenate([[[0, 0]], np.column_stack([ranking.n_true, ranking.n_false])])
    n_true, n_false = counts.astype(np.int64).T
    # Levels without a positive gain nothing: the first at which enough are found. In integers, as
    # a rounding up must not come from the last bit.
    level = int(np.searchsorted(10 * n_true, 9 * ranking.n_positive))
    before, after = (int(n_true[at] + n_false[at]) for at in (level - 1, level))
    wanted = 9 * ranking.n_positive - 10 * int(n_true[level - 1])
    gained = 10 * int(n_true[level] - n_true[level - 1])
    return before - (-wanted * (after - before) // gained)


def resample_ranking(score: Any, is_positive: Any, *, n_resamples: int, seed: int) -> Figures:
    """Return 95 % intervals: ``auc_low, auc_high`` and the same of average precision and recall.

    Parameters
    ----------
    score, is_positive
        One entry per account.
    n_resamples, seed
        See `bootstrap_ranking`; 0: no intervals.
    """
    if not n_resamples:
        return {}
    found = bootstrap_ranking(
        np.asarray(score), is_positive, max_false_share=MAX_FALSE_SHARE, n_resamples=n_resamples,
        seed=seed,
    )  # fmt: skip
    found["recall_at_1_percent_false"] = found.pop("recall")
    ends = ("low", "high")
    return {
        f"{name}_{end}": value
        for name, both in found.items()
        for end, value in zip(ends, both, strict=True)
    }


def describe_groups(group: Any, true: Any, is_positive: Any) -> Figures:
    """Return how well groups agree with the true ones.

    Parameters
    ----------
    group
        Of each account that is known, -1 where it is in none.
    true
        The same of the truth; -1 where it is in none.
    is_positive
        One entry per account.

    Returns
    -------
        ``n_groups``, ``n_covered`` and ``coverage`` (accounts in a group, and their share);
        ``ami`` and ``ari`` of the accounts that are in a group and in a true one;
        ``purity`` (share of these that are of the most frequent true group of theirs);
        ``weighted_purity`` (see `compute_weighted_purity`), null without positives.
    """
    inside = group >= 0
    known = inside & (true >= 0)
    figures: Figures = {
        "n_groups": int(np.unique(group[inside]).size),
        "n_covered": int(inside.sum()),
        "coverage": float(inside.mean()),
        "ami": None, "ari": None, "purity": None,
        "weighted_purity": compute_weighted_purity(group, is_positive),
    }  # fmt: skip
    if known.any():
        overlap = cross_partitions(group[known], true[known])
        largest = np.zeros(overlap.found.size, np.int64)
        np.maximum.at(largest, overlap.found_of, overlap.common)
        figures |= {
            "ami": compute_adjusted_information(overlap),
            "ari": compute_adjusted_rand(overlap),
            "purity": float(largest.sum() / known.sum()),
        }
    return figures
