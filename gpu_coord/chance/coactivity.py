"""Tests of pairs -> one score of each account: whom to read first.

The one idea: an account that acts with others does so with many of them, or with some again and
again. So all its pairs are asked together, in two ways, and accounts are ranked by both. A
ranking, not a test: where many accounts use the same things, the rarely unusual are many, too.
"""

from typing import Any, NamedTuple

import numpy as np
import polars as pl

from gpu_coord.activity.counts import cut_rows
from gpu_coord.chance.tests import PairTests

UNUSUAL = 0.05  # p-value of a pair
# The p-value, at least, of a pair that met in one hour alone: that it met at all says nothing,
# as those that did not are not listed. Tried from 0 to 1; see docs/comparison.md.
_ONCE = 0.2
_PRIOR = 5  # usual pairs that are added to each account's, so that few pairs are no large share
_BLOCK = 2_000_000  # entries that are sorted at once: some 60 MB


class CoActivity(NamedTuple):
    """The score of each account and its parts, (n_accounts,) each: columns of ``accounts``."""

    co_activity: Any  # 0 to 1: the quadratic mean of the shares of accounts below, by either part
    unusual_share: Any  # of its pairs, with five usual ones added
    simes_p_value: Any  # of all its pairs together


def rank_accounts(tests: PairTests) -> CoActivity:
    """Score accounts by the tests of all pairs: beyond the news, or beyond habit where none tells.

    Parameters
    ----------
    tests
        From `assess_pairs`.
    """
    n_hours = np.zeros(tests.pair.size, np.int32)
    for each in tests.by_lag:
        row = np.searchsorted(tests.pair, each.pair)
        n_hours[row] = np.maximum(n_hours[row], each.n_hours)
    return score_coactivity(tests.pair, choose_log_p(tests), n_hours, n_accounts=tests.n_accounts)


def has_reference(tests: PairTests) -> bool:
    """Tell whether anything says how much the news does, at any lag."""
    return any(each.reference is not None for each in tests.by_lag)


def choose_log_p(tests: PairTests) -> Any:
    """Return the logs of the p-values that accounts are scored by, as of `rank_accounts`."""
    return tests.log_p if has_reference(tests) else tests.log_p_habit


def score_coactivity(pair: Any, log_p: Any, n_hours: Any, *, n_accounts: int) -> CoActivity:
    """Score accounts by the p-values of their pairs.

    An account's pairs are all those in which it is source or target. Its ``unusual_share`` is the
    number of those with p <= 0.05 over the number of all and five; its ``simes_p_value`` is the
    least p m / k, p the k-th smallest of its m p-values (Simes 1986), and 1 without pairs. Pairs
    that met in one hour alone count with p = 0.2 at least.

    Parameters
    ----------
    pair
        source * n_accounts + target, ascending, (n_pairs,).
    log_p
        Logs of their p-values.
    n_hours
        Hours in which each met; of several lags, the most.
    n_accounts
        Accounts, those without pairs included.
    """
    log_p = np.where(n_hours < 2, np.maximum(log_p, np.log(_ONCE)), log_p)
    source, target = np.divmod(pair, n_accounts)
    target = target.astype(np.int32)
    start = np.searchsorted(source, np.arange(n_accounts + 1))
    n_pairs = np.diff(start) + np.bincount(target, minlength=n_accounts)
    n_unusual, log_simes = np.zeros(n_accounts), np.zeros(n_accounts)
    for first, last in cut_rows(n_pairs, _BLOCK):
        rows = slice(start[first], start[last])
        also = np.flatnonzero((target >= first) & (target < last))
        account = np.concatenate([source[rows], target[also]]) - first
        found = np.concatenate([log_p[rows], log_p[also]])
        block = slice(first, last)
        n_unusual[block] = np.bincount(account, found <= np.log(UNUSUAL), last - first)
        log_simes[block] = _join_p_values(account, found, n_pairs[block])
    unusual_share = n_unusual / (n_pairs + _PRIOR)
    # Those that are equal but for the last bits are equal.
    below = _rank(unusual_share), _rank(-np.round(log_simes, 9))
    # Squares: who stands out in one part is no less unusual for being ordinary in the other.
    score = np.sqrt((below[0] ** 2 + below[1] ** 2) / 2)
    return CoActivity(score, unusual_share, np.exp(log_simes))


def _join_p_values(account: Any, log_p: Any, n_pairs: Any) -> Any:
    """Return the log of Simes' p-value of each account, (n_accounts,)."""
    order = np.lexsort((log_p, account))
    account, log_p = account[order], log_p[order]
    place = np.arange(account.size) - (np.cumsum(n_pairs) - n_pairs)[account]
    by_place = log_p + np.log(n_pairs[account]) - np.log(place + 1)
    joined = np.zeros(n_pairs.size)
    has_pairs = n_pairs > 0
    starts = (np.cumsum(n_pairs) - n_pairs)[has_pairs]
    if starts.size:
        joined[has_pairs] = np.minimum(np.minimum.reduceat(by_place, starts), 0)
    return joined


def rank_weights(weight: Any) -> Any:
    """Return the same score, 0 to 1, where weights alone are known, (n_accounts,)."""
    return _rank(np.asarray(weight))


def _rank(score: Any) -> Any:
    """Return the share of accounts below each, those that are equal counting half."""
    ranks = pl.Series(score).rank("average").to_numpy()
    return (ranks - 0.5) / max(ranks.size, 1)
