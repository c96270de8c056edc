"""P-values of several tests of a pair -> one; p-values of all pairs -> q-values."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpu_coord.activity.counts import mark_changes

# Below this, tan(pi / 2 - pi p) and 1 / (pi p) are the same in double precision.
_CAUCHY_TAIL = 1e-9


def align_pairs(tested: Sequence[Any]) -> tuple[Any, Callable[[Sequence[Any]], Any]]:
    """Put what several tests say of their pairs beside one another.

    Parameters
    ----------
    tested
        Of each test, such as that at one lag or in one layer: numbers of the pairs that it has,
        ascending.

    Returns
    -------
        Numbers of the pairs that any test has, ascending; and what puts a value of each test's
        pairs into (n_pairs, n_tests), such as the log of its p-value: 0 for a pair that it lacks.
    """
    pair = np.concatenate(tested)
    pair.sort(kind="stable")  # which merges what is sorted
    pair = pair[mark_changes(pair, xp=np)]
    rows = [np.searchsorted(pair, each) for each in tested]

    def place(values: Sequence[Any]) -> Any:
        by_test = np.zeros((pair.size, len(tested)))
        for column, (row, found) in enumerate(zip(rows, values, strict=True)):
            by_test[row, column] = found
        return by_test

    return pair, place


def combine_lags(log_p: Any) -> Any:
    """Return the log of one p-value for each pair, whatever the dependence between its lags.

    The mean of tan(pi/2 - pi p) against Cauchy's law (Liu & Xie 2020). A p-value above 1 - 1/d
    counts as 1 - 1/d, d the number of lags: a lag without a coincidence has p = 1, which alone
    would outweigh all others.

    Parameters
    ----------
    log_p
        (n_pairs, n_lags).
    """
    n_lags = log_p.shape[1]
    if n_lags == 1:
        return log_p[:, 0]
    p = np.minimum(np.exp(log_p), 1 - 1 / n_lags)
    is_tiny = p < _CAUCHY_TAIL
    ordinary = np.where(is_tiny, 0.0, 1 / np.tan(np.pi * np.where(is_tiny, 0.5, p)))
    total = ordinary.sum(axis=1) / n_lags
    log_tiny = np.logaddexp.reduce(np.where(is_tiny, -log_p, -np.inf), axis=1)
    has_tiny = is_tiny.any(axis=1)
    log_tiny = np.where(has_tiny, log_tiny - np.log(np.pi * n_lags), 0.0)
    log_total = log_tiny + np.log1p(np.where(has_tiny, total, 0.0) * np.exp(-log_tiny))
    return np.where(has_tiny, -np.log(np.pi) - log_total, np.log(np.arctan2(1.0, total) / np.pi))


def adjust_p_values(log_p: Any, *, n_tests: int) -> Any:
    """Return q-values (Benjamini & Hochberg 1995) from the logs of p-values.

    Parameters
    ----------
    log_p
        Tests that can be small, (n_pairs,); the others have p = 1.
    n_tests
        All tests.

    Raises
    ------
    ValueError
        There are fewer tests than p-values.
    """
    if n_tests < log_p.size:
        raise ValueError(f"n_tests is {n_tests}; there are already {log_p.size} p-values.")
    order = np.argsort(log_p, kind="stable")
    log_q = log_p[order] + np.log(max(n_tests, 1)) - np.log(np.arange(1, log_p.size + 1))
    log_q = np.minimum.accumulate(np.minimum(log_q, 0.0)[::-1])[::-1]
    q = np.empty(log_p.size)
    q[order] = np.exp(log_q)
    return q
