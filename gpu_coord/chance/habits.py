"""Activity -> what two accounts' own habits make beyond the expected hours: the null of habits.

Fitted to copies of the same archive in which each account's days have moved on by a number of its
own, round the end to the beginning. There an account keeps what it does in a day and at which
hours, and nothing ties it to one that moved otherwise. What all did on the same day because of the
news is gone from the copies, too. (In copies with permuted days some coordination stays: now
and then a day that two accounts spent together falls together again, to the second.)
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import CellIndex, Margins, PairCounts, count_margins, index_cells
from gpu_coord.chance.empirical import EmpiricalNull, fit_null, solve_moments
from gpu_coord.chance.exposure import Exposure, expose
from gpu_coord.chance.nulls import Null
from gpu_coord.chance.strata import Strata, count_products, list_sharing
from gpu_coord.ground.threads import map_ahead

MIN_COPIES, _MAX_COPIES = 2, 4
# What a fit may take: pairs that are listed, users met while listing them, cells of all copies.
_FIT_PAIRS, _FIT_MEETINGS, _FIT_CELLS = 400_000, 50_000_000, 1_000_000
_LISTED = 25_000  # pairs at a time
_MIN_SOURCES = 200


class Habits(NamedTuple):
    """The null of habits at one lag."""

    null: EmpiricalNull
    n_copies: int  # that it was fitted to; 0 where it was fitted to the bulk of the pairs


def fit_habits(
    activity: Activity,
    index: CellIndex,
    margins: Sequence[Margins],
    *,
    null: Null,
    seed: int,
    shift: Callable[[int], tuple[Activity, Any]] | None,
) -> list[Habits]:
    """Fit inflation and dispersion to copies with shifted days, by moments.

    Parameters
    ----------
    activity, index, margins
        The active cells, and their counts at each lag.
    null
        What the strata of the pairs keep.
    seed
        Of the copies.
    shift
        Returns a copy with shifted days and by how many these were, from its seed, see
        `plan_shifts`; None where there are no days to shift: then the null is fitted to the bulk
        of the archive's own pairs, see `fit_null`.

    Returns
    -------
        Of each lag. Copies are made until 400,000 pairs were seen at it, 2 to 4, fewer where they
        are large; and pairs are those of fewer sources, by lot, where these have too many.
    """
    if shift is None:
        exposures = (expose(activity, index, each, null=null) for each in margins)
        return [Habits(_fit_bulk(exposure), 0) for exposure in exposures]
    most = max(MIN_COPIES, min(_MAX_COPIES, _FIT_CELLS // max(activity.n_cells, 1)))
    sums, n_pairs = np.zeros((len(margins), 5)), np.zeros(len(margins), np.int64)
    n_copies = np.zeros(len(margins), np.int64)
    for number in range(most):
        wanted = np.flatnonzero((n_copies < MIN_COPIES) | (n_pairs < _FIT_PAIRS))
        if not wanted.size:
            break
        copy, moved = shift(seed * _MAX_COPIES + number)
        own_index = index_cells(copy)
        for row in wanted.tolist():
            lag = margins[row].lag
            exposure = expose(copy, own_index, count_margins(own_index, lag), null=null)
            listed = list_fitted(exposure.strata, apart=moved)
            for part, n_listed in map_ahead(
                listed, exposure.sum_moments, n_threads=activity.backend.threads
            ):
                sums[row] += part
                n_pairs[row] += n_listed
        n_copies[wanted] += 1
    fitted = map(solve_moments, sums, n_pairs.tolist())
    return [Habits(*both) for both in zip(fitted, n_copies.tolist(), strict=True)]


def _fit_bulk(exposure: Exposure) -> EmpiricalNull:
    none = (np.empty(0), np.empty(0))
    listed = list_fitted(exposure.strata)
    parts = [(exposure.count_hours(pairs), exposure.expect(pairs).habit) for pairs in listed]
    observed, expected = map(np.concatenate, zip(none, *parts, strict=True))
    return fit_null(observed, expected, min_left_out=2)


def list_fitted(strata: Strata, *, apart: Any = None) -> Iterator[PairCounts]:
    """Yield the pairs that share a stratum: of all sources, or of as many by lot as are affordable.

    Parameters
    ----------
    strata
        The null.
    apart
        Of each account, (n_accounts,): only pairs that differ in it are yielded.

    Returns
    -------
        By source, then target; without their coincidences.
    """
    n_meetings, n_pairs = _bound_pairs(strata)
    chance = np.random.default_rng(0)
    share = _choose_share(n_meetings, n_pairs)
    # Few sources would say much of themselves: more of them, and of each a part of its targets.
    n_sources = max(int((n_meetings > 0).sum()), 1)
    share_sources = max(share, min(_MIN_SOURCES / n_sources, 1.0))
    drawn = chance.random(strata.n_accounts) < share_sources
    sources = np.flatnonzero(drawn & (n_meetings > 0))
    block = np.cumsum(n_pairs[sources]) // _LISTED
    for part in np.split(sources, np.flatnonzero(np.diff(block)) + 1):
        pairs = list_sharing(strata, part)
        kept = chance.random(pairs.source.size) * share_sources < share
        if apart is not None:
            kept &= apart[pairs.source] != apart[pairs.target]
        if kept.any():
            yield PairCounts(*(column[kept] for column in pairs))


def lists_all(strata: Strata) -> bool:
    """Tell whether `list_fitted` yields the pairs of all sources."""
    return _choose_share(*_bound_pairs(strata)) >= 1


def _bound_pairs(strata: Strata) -> tuple[Any, Any]:
    """Return the users that each source meets, and at least as many as its pairs are."""
    n_meetings = count_products(strata)
    return n_meetings, np.minimum(n_meetings, strata.n_accounts - 1)


def _choose_share(n_meetings: Any, n_pairs: Any) -> float:
    """Return the share of the sources whose pairs are affordable."""
    of_pairs = _FIT_PAIRS / MIN_COPIES / max(int(n_pairs.sum()), 1)
    return float(min(of_pairs, _FIT_MEETINGS / max(int(n_meetings.sum()), 1)))
