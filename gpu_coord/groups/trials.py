"""A set found on one fold -> four tests of it on the other, and what they say.

The one idea: every test guards against a different innocent reason, so a set must pass them all.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_coord.groups.crowds import (
    compute_excess_p,
    learn_profile,
    replicate_crowd,
    studentise_days,
)
from gpu_coord.groups.draws import make_key
from gpu_coord.groups.folds import Fold, thin_fold
from gpu_coord.groups.matches import compare_matches, draw_matches
from gpu_coord.groups.rhythms import Rhythms
from gpu_coord.groups.schedules import permute_days

_MARGIN = 1.2  # a model of habits errs by some percent: that much is no finding
_N_LEARNING = 39  # replicates that the lag profile is learned from
_N_BASELINE = 59  # matched sets
_N_BASELINE_REPLICATES = 9  # of each
_BASELINE_PRIOR = 10.0  # weight of coincidences that the baseline is shrunk by
_MIN_STRATA = 3
_MOST_EVENTS = 500_000  # of a set; of more, entities are drawn by lot: such a set has power enough
_MIN_CROWDED = 0.1

TESTS = ("crowd", "margin", "matched", "days")

_LIMITS = {
    "crowd": "its excess is not steady over days: a few days make most of it",
    "margin": "what everyone else did at those hours explains it, but for a margin of 20 %",
    "matched": "accounts as active at the same hours are like that as well",
    "days": "its accounts keep a clock schedule: they coincide as often on days out of order",
}
_NO_CROWD = "no crowd control: hardly anyone else used these entities on these days"


@dataclass(frozen=True)
class Trial:
    """One set of accounts, found on one fold and tested on the other."""

    fold: int  # that it was found on: 0 even days, 1 odd days
    members: Any  # positions, ascending
    p_values: tuple[float, float, float, float]  # in the order of TESTS; NaN: not possible
    ratio: float  # coincidences seen for each that crowd and rhythms make; NaN where none is
    baseline: float  # the same of matched sets, at least 1
    lag_profile: Any  # (reach + 1,)
    n_strata: int  # held-out entities on days that two members visit
    n_days: int
    n_crowded: int  # of the strata, those with an outsider
    threshold: float
    share_tested: float = 1.0  # of the held-out entities

    @property
    def p_value(self) -> float:
        """The largest of the four; NaN where one is not possible."""
        return max(self.p_values) if not np.isnan(self.p_values).any() else float("nan")

    @property
    def is_confirmed(self) -> bool:
        """All four tests were possible and agree."""
        return self.n_strata >= _MIN_STRATA and self.p_value <= self.threshold

    @property
    def is_beyond_habit(self) -> bool:
        """Its days out of order do not explain it: the news of the day still may."""
        p_days = self.p_values[TESTS.index("days")]
        return self.n_strata >= _MIN_STRATA and p_days <= self.threshold

    @property
    def tier(self) -> str | None:
        """What the set is beyond; the crowd of three of the tests stands for the news."""
        if self.is_confirmed:
            return "beyond_news"
        return "beyond_habit" if self.is_beyond_habit else None

    @property
    def limiting_test(self) -> str | None:
        """The test with the largest p-value."""
        if np.isnan(self.p_value):
            return None
        return TESTS[int(np.argmax(self.p_values))]

    @property
    def reason(self) -> str | None:
        """Say in a sentence why it is not confirmed, or what a confirmed one lacks."""
        if self.n_strata < _MIN_STRATA:
            return (
                f"inconclusive: two of its accounts met in {self.n_strata} held-out entities on "
                f"days; {_MIN_STRATA} are needed"
            )
        if np.isnan(self.p_value):
            return "inconclusive: too few other accounts, or none that differ, to match it with"
        if not self.is_confirmed:
            return _LIMITS[self.limiting_test or ""]
        return _NO_CROWD if self.n_crowded < _MIN_CROWDED * self.n_strata else None


def try_group(
    folds: tuple[Fold, Fold],
    rhythms: Rhythms,
    members: Any,
    *,
    fold: int,
    rank: int,
    threshold: float,
    n_replicates: int,
    seed: int,
    memory: int,
) -> Trial:
    """Learn a set's lag profile on the fold it was found on, and test it on the other.

    Parameters
    ----------
    folds, rhythms
        What happened, and what the accounts are used to.
    members
        Positions of the accounts.
    fold, rank
        Where the set was found, and as which one.
    threshold
        p-value that confirms.
    n_replicates, seed, memory
        See `find_groups`.
    """
    keys = [make_key(seed, fold, rank, test) for test in range(7)]
    inside = folds[fold].mark(members)
    found_on, _ = thin_fold(folds[fold], inside, most=_MOST_EVENTS, seed=keys[5])
    tested_on, share = thin_fold(folds[1 - fold], inside, most=_MOST_EVENTS, seed=keys[6])
    each_lag = np.eye(found_on.calendar.reach + 1)
    learned = replicate_crowd(
        found_on, rhythms, inside, each_lag, n_replicates=_N_LEARNING, key=keys[0]
    )
    profile = learn_profile(learned)
    crowd = replicate_crowd(
        tested_on, rhythms, inside, profile[:, None], n_replicates=n_replicates, key=keys[1]
    )
    by_day = crowd.by_day[:, :, 0]
    matches = draw_matches(tested_on, rhythms, members, n_replicates=n_replicates, key=keys[2])
    p_matched, baseline = float("nan"), 1.0
    if matches is not None:
        compared = compare_matches(tested_on, rhythms, members, matches)
        if np.ptp(compared[0, 1:]) > 0:
            p_matched = max(compute_excess_p(statistic) for statistic in compared)
        baseline = _find_baseline(
            tested_on, rhythms, inside, matches[:_N_BASELINE], profile, key=keys[3]
        )
    permuted = permute_days(
        tested_on, inside, profile, n_replicates=n_replicates, key=keys[4], memory=memory
    )
    seen, expected = _compare_total(by_day)
    return Trial(
        fold=fold,
        members=members,
        p_values=(
            compute_excess_p(studentise_days(by_day, baseline=baseline)),
            compute_excess_p(by_day.sum(axis=0), margin=_MARGIN * baseline),
            p_matched,
            compute_excess_p(permuted, margin=_MARGIN),
        ),
        ratio=seen / expected if expected > 0 else float("nan"),
        baseline=baseline,
        lag_profile=profile,
        n_strata=crowd.n_strata,
        n_days=crowd.n_days,
        n_crowded=crowd.n_crowded,
        threshold=threshold,
        share_tested=share,
    )


def _compare_total(by_day: Any) -> tuple[float, float]:
    """Return the sum over days as seen, and its mean over replicates."""
    totals = by_day.sum(axis=0)
    return float(totals[0]), float(totals[1:].mean())


def _find_baseline(
    fold: Fold, rhythms: Rhythms, inside: Any, matches: Any, profile: Any, *, key: Any
) -> float:
    """Return how often matched sets coincide, for each time that crowd and rhythms say; at least 1.

    Where few visit a stratum, the crowd says too little of a burst: that shows in any set. The
    set itself is no part of the crowd: a crowd with it would say more of a burst.
    """
    seen, expected = _BASELINE_PRIOR, _BASELINE_PRIOR
    for number, match in enumerate(matches):
        found = replicate_crowd(
            fold, rhythms, fold.mark(match), profile[:, None], hidden=inside,
            n_replicates=_N_BASELINE_REPLICATES, key=make_key(int(key), number),
        )  # fmt: skip
        totals = _compare_total(found.by_day[:, :, 0])
        seen, expected = seen + totals[0], expected + totals[1]
    return max(seen / expected, 1.0)
