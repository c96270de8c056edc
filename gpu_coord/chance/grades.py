"""Significant pairs -> how many nulls their significance survives."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import CellIndex, Margins, PairCounts
from gpu_coord.chance.adjust import combine_lags
from gpu_coord.chance.empirical import fit_null
from gpu_coord.chance.nulls import Null, list_nulls
from gpu_coord.chance.strata import Strata, expect_pairs, expect_silent, stratify
from gpu_coord.chance.tests import LagTests, PairTests, choose_fitted
from gpu_coord.ground.threads import map_ahead

# The same for each null and lag of the grades.
_GRADE_PRODUCTS = 50_000_000


def grade_significant(
    activity: Activity, index: CellIndex, margins: Sequence[Margins], tests: PairTests
) -> PairTests:
    """Return the tests with the grades of all significant pairs; see `grade_pairs`."""
    significant = np.flatnonzero(tests.q_value <= tests.alpha)
    source, target = np.divmod(tests.pair[significant], tests.n_accounts)
    grade = np.zeros(tests.pair.size, np.int8)
    grade[significant] = grade_pairs(activity, index, margins, tests, source, target)
    return replace(tests, grade=grade)


def grade_pairs(
    activity: Activity,
    index: CellIndex,
    margins: Sequence[Margins],
    tests: PairTests,
    source: Any,
    target: Any,
) -> Any:
    """Count the nulls that the significance of some pairs survives, of those of the ladder.

    A pair survives a null if its p-value under it, all lags together, is at most the one up to
    which Benjamini & Hochberg's procedure rejected under the run's own null, alpha k / m.
    Inflation and dispersion of the other nulls are fitted, at each lag, to the pairs of sources
    drawn by lot, so that grades cost little whatever the data: a grade near a border may be
    another one when all sources are fitted.

    Parameters
    ----------
    activity, index, margins, tests
        What `assess_pairs` was given and has found.
    source, target
        The pairs, (n_pairs,), on the host.

    Returns
    -------
        0 where a pair is not significant, otherwise 1 (under the run's own null only) to 5, or to
        6 where bins are fine enough for ``one_hour``, see `gpu_coord.chance.nulls.list_nulls`.
    """
    wanted = np.asarray(source).astype(np.int64) * tests.n_accounts + np.asarray(target)
    significant = tests.pair[tests.q_value <= tests.alpha]
    is_significant = np.isin(wanted, significant)
    grade = is_significant.astype(np.int64)
    pair, row = np.unique(wanted[is_significant], return_inverse=True)
    if not pair.size:
        return grade
    log_threshold = np.log(tests.alpha) + np.log(significant.size) - np.log(tests.n_tests)
    nulls = [null for null in list_nulls(activity.bin_seconds) if null != tests.null]
    jobs = [(null, lag) for null in nulls for lag in range(len(margins))]

    def work(job: tuple[Null, int]) -> Any:
        null, lag = job
        strata = stratify(activity, index, margins[lag], null=null, n_phases=tests.n_phases)
        return _retest(strata, tests.by_lag[lag], pair)

    log_p = list(map_ahead(jobs, work, n_threads=index.backend.threads))
    for first in range(0, len(jobs), len(margins)):
        combined = combine_lags(np.column_stack(log_p[first : first + len(margins)]))
        grade[is_significant] += (combined <= log_threshold)[row]
    return grade


def _retest(strata: Strata, tests: LagTests, pair: Any) -> Any:
    """Return the logs of the p-values of some pairs at one lag, under another null."""
    n_accounts = strata.n_accounts
    n_listed = np.bincount(tests.pair // n_accounts, minlength=n_accounts)
    _, is_fitted = choose_fitted(
        strata, n_listed, max_cost=_GRADE_PRODUCTS, max_share=tests.fitted_share
    )
    rows = is_fitted[tests.pair // n_accounts]
    pairs = _split_pairs(tests.pair[rows], tests.n_hours[rows], n_accounts)
    silent = expect_silent(strata, np.flatnonzero(is_fitted), pairs).sum(axis=0)
    null = fit_null(
        pairs.support,
        expect_pairs(strata, pairs).sum(axis=1),
        silent=tuple(silent.tolist()),
        min_left_out=tests.min_left_out,
    )
    n_hours = np.zeros(pair.size)
    _, at_lag, among_tests = np.intersect1d(pair, tests.pair, return_indices=True)
    n_hours[at_lag] = tests.n_hours[among_tests]
    retested = _split_pairs(pair, n_hours, n_accounts)
    return null.compute_log_p(n_hours, expect_pairs(strata, retested).sum(axis=1))


def _split_pairs(pair: Any, observed: Any, n_accounts: int) -> PairCounts:
    source, target = np.divmod(pair, n_accounts)
    return PairCounts(source.astype(np.int32), target.astype(np.int32), observed)
