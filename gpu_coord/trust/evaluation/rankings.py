"""How well a score ranks, and what a choice finds.

In: a score per item and which items are positive. Out: figures of the ranking. The one idea: all
figures come from how many positives and negatives lie at or above each threshold.
"""

from dataclasses import dataclass

import numpy as np

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Positives and negatives at or above each threshold, from the highest down."""

    n_true: np.ndarray  # (n_thresholds,)
    n_false: np.ndarray  # (n_thresholds,)

    @property
    def n_positive(self) -> int:
        """Positives in all."""
        return int(self.n_true[-1]) if self.n_true.size else 0

    @property
    def n_negative(self) -> int:
        """Negatives in all."""
        return int(self.n_false[-1]) if self.n_false.size else 0

    def compute_auc(self) -> float | None:
        """Return the chance that a positive outscores a negative, ties counting half."""
        if not (self.n_positive and self.n_negative):
            return None
        middle = self.n_true - np.diff(self.n_true, prepend=0) / 2
        won = (middle * np.diff(self.n_false, prepend=0)).sum()
        return float(won / (self.n_positive * self.n_negative))

    def compute_average_precision(self, n_positive: int | None = None) -> float | None:
        """Return the precision averaged over recall; tied scores are one step."""
        n_positive = self.n_positive if n_positive is None else n_positive
        if n_positive == 0:
            return None
        gained = np.diff(self.n_true, prepend=0)
        n_found = np.maximum(self.n_true + self.n_false, 1)
        return float((gained * self.n_true / n_found).sum() / n_positive)

    def compute_precision(self, n_first: int) -> float | None:
        """Return the share of positives among the first n, ties shared out evenly."""
        if n_first == 0:
            return None
        n_found = np.r_[0, self.n_true + self.n_false]
        n_true = np.r_[0, self.n_true]
        return float(np.interp(n_first, n_found, n_true) / n_first)

    def compute_recall(self, max_false_share: float) -> float | None:
        """Return the largest recall at which at most this share of the negatives is taken.

        Tied scores are taken together or not at all.
        """
        if not (self.n_positive and self.n_negative):
            return None
        allowed = self.n_false <= max_false_share * self.n_negative
        return float(self.n_true[allowed].max(initial=0) / self.n_positive)

    def find_best_threshold(self) -> int:
        """Return the position of the threshold with the largest F1; the first of several."""
        f1 = 2 * self.n_true / np.maximum(self.n_true + self.n_false + self.n_positive, 1)
        return int(np.argmax(f1))


def rank_scores(score: np.ndarray, is_positive: np.ndarray) -> Ranking:
    """Count positives and negatives at or above each distinct score."""
    levels = find_levels(score)
    return count_levels(levels, is_positive, np.ones(score.size, np.int64))


def find_levels(score: np.ndarray) -> np.ndarray:
    """Return the rank of each score among the distinct ones: 0 is the highest."""
    return np.asarray(np.unique(-score, return_inverse=True)[1])


def count_levels(levels: np.ndarray, is_positive: np.ndarray, times: np.ndarray) -> Ranking:
    """Rank items by level, each taken so many times."""
    n_levels = int(levels.max(initial=-1)) + 1
    n_true = np.bincount(levels, weights=times * is_positive, minlength=n_levels)
    n_all = np.bincount(levels, weights=times, minlength=n_levels)
    return Ranking(np.cumsum(n_true), np.cumsum(n_all - n_true))


def compute_auc(score: np.ndarray, is_positive: np.ndarray) -> float:
    """Return the chance that a positive outscores a negative, ties counting half.

    NaN where there are only positives or only negatives.

    Examples
    --------
    >>> compute_auc(np.array([3, 2, 2, 1]), np.array([True, True, False, False]))
    0.875
    """
    auc = rank_scores(score, is_positive).compute_auc()
    return float("nan") if auc is None else auc


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
    return rank_scores(score, is_positive).compute_average_precision(n_positive)


def compute_precision(score: np.ndarray, is_positive: np.ndarray, n_first: int) -> float | None:
    """Return the share of positives among the first n by score, ties shared out evenly.

    Items beyond the last score count as negatives.

    Examples
    --------
    >>> compute_precision(np.array([3, 2, 2]), np.array([True, True, False]), 2)
    0.75
    """
    return rank_scores(score, is_positive).compute_precision(n_first)


def compute_prevalent_precision(
    recall: float, false_positive_rate: float, prevalence: float
) -> float | None:
    """Return the precision that a rule would have where positives are this share of all accounts.

    It is TPR * pi / (TPR * pi + FPR * (1 - pi)); None where nothing is found.

    Examples
    --------
    >>> round(compute_prevalent_precision(75 / 103, 6 / 103, 0.01), 3)
    0.112
    """
    hits = recall * prevalence
    found = hits + false_positive_rate * (1 - prevalence)
    return hits / found if found else None


def describe_choice(
    chosen: np.ndarray, is_positive: np.ndarray, *, prevalence: float
) -> dict[str, float | int | None]:
    """Return precision, recall, F1 and the like of a choice of accounts.

    Parameters
    ----------
    chosen, is_positive
        One entry per account; some are positive and some are not.
    prevalence
        Where ``precision_at_prevalence`` is wanted.
    """
    n_chosen, n_true = int(chosen.sum()), int((chosen & is_positive).sum())
    n_positive = int(is_positive.sum())
    recall = n_true / n_positive
    false_positive_rate = (n_chosen - n_true) / (is_positive.size - n_positive)
    return {
        "n_found": n_chosen,
        "n_true": n_true,
        "precision": n_true / n_chosen if n_chosen else None,
        "recall": recall,
        "f1": 2 * n_true / (n_chosen + n_positive),
        "false_positive_rate": false_positive_rate,
        "precision_at_prevalence": compute_prevalent_precision(
            recall, false_positive_rate, prevalence
        ),
    }


def bootstrap_ranking(
    score: np.ndarray,
    is_positive: np.ndarray,
    *,
    max_false_share: float,
    n_resamples: int,
    seed: int,
) -> dict[str, Interval]:
    """Return 95 % intervals of AUC, average precision and recall, the accounts drawn again.

    Parameters
    ----------
    score, is_positive
        One entry per account; some are positive and some are not.
    max_false_share
        Of the negatives, for the recall.
    n_resamples, seed
        How many times all accounts are drawn with replacement. Draws without a positive or a
        negative, on which nothing is defined, are left out.
    """
    rng = np.random.default_rng(seed)
    levels, n = find_levels(score), score.size
    drawn = []
    for _ in range(n_resamples):
        times = np.bincount(rng.integers(0, n, size=n), minlength=n)
        ranking = count_levels(levels, is_positive, times)
        if ranking.n_positive and ranking.n_negative:
            figures = ranking.compute_auc(), ranking.compute_average_precision()
            drawn.append((*figures, ranking.compute_recall(max_false_share)))
    low, high = np.quantile(np.array(drawn, float), (0.025, 0.975), axis=0)
    names = ("auc", "average_precision", "recall")
    return {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}
