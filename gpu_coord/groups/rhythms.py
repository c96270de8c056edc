"""Events -> how each account spreads its events over the hours of a day.

The one idea: an account that says little about itself is taken for a member of the cohorts (time
zones, say) that it resembles, not for a copy of everybody.
"""

from typing import Any, NamedTuple

import numpy as np

from gpu_coord.groups.folds import Calendar, Fold

_N_COHORTS = 6
_N_ITERATIONS = 40
_TEMPER = 0.5  # of log-likelihoods: events of an account come in clusters
_COHORT_PRIOR = 5.0  # events of everybody that are added to a cohort's
_ACCOUNT_PRIOR = 10.0  # events of its cohorts that are added to an account's
_HOURS = 24


class Rhythms(NamedTuple):
    """Shares of an account's events by hour, or by bin where bins are longer; rows sum to 1."""

    share: Any  # (n_accounts, n_hours)
    pooled: Any  # everybody, (n_hours,)
    reached: Any  # shares that lie within reach of each hour of the same day, (n_accounts, n_hours)
    around: Any  # the same of everybody, (n_hours,)
    bins_per_hour: int


def estimate_rhythms(folds: tuple[Fold, Fold]) -> Rhythms:
    """Estimate the daily rhythm of each account from both folds."""
    calendar = folds[0].calendar
    width = _find_width(calendar.n_slots)
    counts = sum(_count_hours(fold, width) for fold in folds)
    smooth = _smooth(counts)
    pooled = counts.sum(axis=0) + 0.5
    pooled /= pooled.sum()
    cohorts = _mix_cohorts(counts, pooled)
    share = smooth + _ACCOUNT_PRIOR * cohorts
    share /= share.sum(axis=1, keepdims=True)
    near = _reach_hours(calendar, width)
    reached, around = (np.einsum("...h,hk->...k", each, near) for each in (share, pooled))
    return Rhythms(share, pooled, reached, around, width)


def _find_width(n_slots: int) -> int:
    """Return the most bins that a day divides into without falling short of 24 parts."""
    return max((n for n in range(1, n_slots + 1) if n_slots % n == 0 and n_slots // n >= _HOURS),
               default=1)  # fmt: skip


def _count_hours(fold: Fold, width: int) -> Any:
    n_hours = fold.calendar.n_slots // width
    account = np.repeat(fold.visit_account, np.diff(fold.visit_start)).astype(np.int64)
    cell = account * n_hours + fold.event_slot // width
    counts = np.bincount(cell, minlength=fold.n_accounts * n_hours)
    return counts.reshape(fold.n_accounts, n_hours).astype(np.float64)


def _smooth(counts: Any) -> Any:
    return 0.5 * counts + 0.25 * (np.roll(counts, 1, axis=1) + np.roll(counts, -1, axis=1))


def _reach_hours(calendar: Calendar, width: int) -> Any:
    """Return the share of bin pairs within reach, for each pair of hours of one day."""
    slot = np.arange(calendar.n_slots)
    within = (np.abs(slot[:, None] - slot) <= calendar.reach).astype(np.float64)
    n_hours = calendar.n_slots // width
    return within.reshape(n_hours, width, n_hours, width).mean(axis=(1, 3))


def _mix_cohorts(counts: Any, pooled: Any) -> Any:
    """Fit a mixture of multinomial laws; return each account's own mixture of them."""
    n_hours = counts.shape[1]
    angle = np.exp(2j * np.pi * np.arange(n_hours) / n_hours)
    phase = np.angle((counts * angle).sum(axis=1)) / (2 * np.pi) % 1
    # einsum, not a matrix product: that would round by the number of threads.
    member = np.eye(_N_COHORTS)[np.minimum(phase * _N_COHORTS, _N_COHORTS - 1).astype(int)]
    for _ in range(_N_ITERATIONS):
        size = member.sum(axis=0) + 1
        cohort = np.einsum("ik,ih->kh", member, counts) + _COHORT_PRIOR * pooled
        cohort /= cohort.sum(axis=1, keepdims=True)
        fit = _TEMPER * np.einsum("ih,kh->ik", counts, np.log(cohort)) + np.log(size / size.sum())
        member = np.exp(fit - fit.max(axis=1, keepdims=True))
        member /= member.sum(axis=1, keepdims=True)
    return np.einsum("ik,kh->ih", member, cohort)
