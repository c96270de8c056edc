"""Significant pairs -> how many nulls their significance survives."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import CellIndex, Margins, PairCounts
from gpu_coord.chance.adjust import combine_lags
from gpu_coord.chance.empirical import compute_log_tail
from gpu_coord.chance.nulls import Null, choose_finest, list_nulls
from gpu_coord.chance.strata import expect_pairs, stratify
from gpu_coord.chance.tests import LagTests, PairTests, rank
from gpu_coord.ground.threads import map_ahead


def grade_significant(
    activity: Activity, index: CellIndex, margins: Sequence[Margins], tests: PairTests
) -> PairTests:
    """Return the tests with the grades of all significant pairs, those beyond the news.

    The grade is the number of nulls of the ladder that the significance of a pair survives. It
    survives a null if its p-value, all lags together, is at most the one up to which Benjamini &
    Hochberg's procedure rejected, alpha k / m, once the hours to expect of it are multiplied by
    how much more that null expects than the one that the news was tested with.

    Parameters
    ----------
    activity, index, margins, tests
        What `assess_pairs` was given and has found.

    Returns
    -------
        Grades are 0 where a pair is not significant, otherwise 1 (the null of the news alone) to
        5, or to 6 where bins are fine enough for ``one_hour``, see
        `gpu_coord.chance.nulls.list_nulls`.
    """
    rows = np.flatnonzero(tests.tier == rank("beyond_news"))
    if not rows.size:
        return tests
    log_threshold = np.log(tests.alpha) + np.log(rows.size) - np.log(tests.n_tests)
    pair, grade = tests.pair[rows], np.zeros(tests.pair.size, np.int8)
    grade[rows] = 1
    own = choose_finest(tests.null, activity.bin_seconds)
    nulls = [null for null in list_nulls(activity.bin_seconds) if null != own]
    jobs = [(null, lag) for null in nulls for lag in range(len(margins))]

    def work(job: tuple[Null, int]) -> Any:
        strata = [stratify(activity, index, margins[job[1]], null=null) for null in (job[0], own)]
        return _retest(strata, tests.by_lag[job[1]], pair)

    log_p = list(map_ahead(jobs, work, n_threads=index.backend.threads))
    for first in range(0, len(jobs), len(margins)):
        combined = combine_lags(np.column_stack(log_p[first : first + len(margins)]))
        grade[rows] += combined <= log_threshold
    return replace(tests, grade=grade)


def _retest(strata: Sequence[Any], tests: LagTests, pair: Any) -> Any:
    """Return the logs of the p-values of some pairs at one lag under another null than the own."""
    log_p = np.zeros(pair.size)
    _, wanted, rows = np.intersect1d(pair, tests.pair, return_indices=True)
    if tests.reference is None or not rows.size:
        return log_p
    source, target = np.divmod(tests.pair[rows], strata[0].n_accounts)
    pairs = PairCounts(source.astype(np.int32), target.astype(np.int32), tests.observed[rows])
    other, own = (expect_pairs(each, pairs) for each in strata)
    mean = tests.expected[rows] * other / own
    log_p[wanted] = compute_log_tail(tests.n_hours[rows], mean, dispersion=tests.spread[rows])
    return log_p
