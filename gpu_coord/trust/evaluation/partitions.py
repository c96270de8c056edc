"""Groups that were found against groups that there are.

In: two partitions of the same accounts, as labels; -1 = in no group, a group of its own. Out: how
much they agree.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """Sizes of the groups of two partitions, and of all that they share."""

    found: np.ndarray  # sizes (n_found,)
    true: np.ndarray  # sizes (n_true,)
    common: np.ndarray  # accounts in both, without zeros (n_common,)
    found_of: np.ndarray  # the found group of each entry of ``common``
    true_of: np.ndarray  # the true group of each entry of ``common``

    @property
    def n_accounts(self) -> int:
        """Accounts in all."""
        return int(self.found.sum())


def cross_partitions(found: np.ndarray, true: np.ndarray) -> Overlap:
    """Count the accounts that each pair of groups shares."""
    found, true = _separate(found), _separate(true)
    pairs, common = np.unique(np.column_stack([found, true]), axis=0, return_counts=True)
    return Overlap(np.bincount(found), np.bincount(true), common, pairs[:, 0], pairs[:, 1])


def _separate(labels: np.ndarray) -> np.ndarray:
    """Return labels from 0; each account that is in none has one of its own."""
    apart = np.where(labels < 0, labels.max(initial=-1) + 1 + np.arange(labels.size), labels)
    return np.asarray(np.unique(apart, return_inverse=True)[1])


def compute_adjusted_rand(overlap: Overlap) -> float:
    """Return the adjusted Rand index: 1 = equal partitions, 0 = as much as chance gives.

    It counts pairs of accounts that are together in both (Hubert and Arabie 1985).
    """
    return adjust_rand(overlap.common, overlap.found, overlap.true, overlap.n_accounts)


def adjust_rand(common: np.ndarray, found: np.ndarray, true: np.ndarray, n_accounts: int) -> float:
    """Return the adjusted Rand index from sizes: of what groups share, and of the groups."""
    together, in_found, in_true, pairs = (
        float((sizes * (sizes - 1) // 2).sum())
        for sizes in (common, found, true, np.array([n_accounts]))
    )
    expected = in_found * in_true / max(pairs, 1)
    most = (in_found + in_true) / 2
    # All alone in both, or all together in both: they are the same, and nothing else was possible.
    return 1.0 if most == expected else (together - expected) / (most - expected)


def compute_adjusted_information(overlap: Overlap) -> float:
    """Return the adjusted mutual information: 1 = equal partitions, 0 = as much as chance gives.

    The mean of the two entropies is what it is divided by (Vinh, Epps and Bailey 2010).
    """
    n = overlap.n_accounts
    sizes = overlap.found[overlap.found_of] * overlap.true[overlap.true_of]
    information = (overlap.common / n * np.log(n * overlap.common / sizes)).sum()
    expected = _expect_information(overlap)
    most = (_compute_entropy(overlap.found) + _compute_entropy(overlap.true)) / 2
    if np.isclose(most, expected, rtol=0, atol=1e-12):
        return 1.0
    # The last bits are noise of long sums.
    return round(float((information - expected) / (most - expected)), 12)


def _compute_entropy(sizes: np.ndarray) -> float:
    shares = sizes / sizes.sum()
    return float(-(shares * np.log(shares)).sum())


def _expect_information(overlap: Overlap) -> float:
    """Return the mean over all partitions with the same sizes; equal sizes are summed once."""
    from scipy.stats import hypergeom

    n, expected = overlap.n_accounts, 0.0
    true_sizes, true_times = np.unique(overlap.true, return_counts=True)
    for a, times in zip(*np.unique(overlap.found, return_counts=True), strict=True):
        for b, more in zip(true_sizes, true_times, strict=True):
            common = np.arange(max(1, a + b - n), min(a, b) + 1)
            chance = hypergeom.pmf(common, n, a, b)
            gained = common / n * np.log(n * common / (int(a) * int(b)))
            expected += int(times) * int(more) * float((chance * gained).sum())
    return expected


def compute_weighted_purity(found: np.ndarray, is_positive: np.ndarray) -> float | None:
    """Return what share of its group is positive, averaged over the positives that have a group.

    It is sum n p^2 / sum n p over found groups of n accounts, a share p of them positive. Accounts
    without a group are left out: as groups of one they would be pure, however little was found.
    None where no positive has a group.
    """
    inside = found >= 0
    groups = np.unique(found[inside], return_inverse=True)[1]
    n_positive = np.bincount(groups, weights=is_positive[inside])
    sizes = np.bincount(groups)
    total = n_positive.sum()
    return float((n_positive**2 / sizes).sum() / total) if total else None
