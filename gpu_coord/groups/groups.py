"""Activity -> groups of accounts with statistically unusual co-activity, and their accounts.

For groups in which no single pair can be significant. Sets are found on even days and tested on odd
days, and the other way round; a group is confirmed where four tests agree.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import polars as pl

from gpu_coord.activity.cells import Activity
from gpu_coord.ground.choices import check_alpha
from gpu_coord.groups.findings import (
    ACCOUNTS_SCHEMA,
    TABLE_SCHEMA,
    assess_findings,
    pair_trials,
    tabulate_findings,
)
from gpu_coord.groups.folds import find_obstacle, split_days
from gpu_coord.groups.rhythms import estimate_rhythms
from gpu_coord.groups.scores import limit_pairs, score_pairs
from gpu_coord.groups.search import search_groups
from gpu_coord.groups.trials import Trial, try_group


@dataclass(frozen=True)
class Groups:
    """Candidate groups, and the accounts of those that are confirmed."""

    table: pl.DataFrame  # row = group, confirmed ones first, then by size
    accounts: pl.DataFrame  # row = account of a group of either tier, by group, tier and p-value
    reason: str | None  # why nothing could be tested
    n_neighbours: int | None = None  # searched of each account; None: all pairs were

    @property
    def n_beyond_habit(self) -> int:
        """Groups that their members' days out of order do not explain, confirmed or not."""
        return self.table["tier"].count()

    @property
    def n_confirmed(self) -> int:
        """Groups that all four tests confirm."""
        return int(self.table["confirmed"].sum())


def find_groups(
    activity: Activity,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    n_groups: int = 4,
    n_replicates: int = 499,
    memory: int = 1 << 30,
    progress: Callable[[int, int], None] | None = None,
) -> Groups:
    """Find groups of accounts that coincide more than crowd, rhythms and schedules explain.

    All kinds are analysed together; days are UTC. Sets are searched for on the even days and
    tested on the odd days, and the other way round. A group is confirmed where each of four tests
    has p <= alpha / (2 n_groups): against replicates in which every member's events are drawn from
    its own rhythm and the crowd outside the group (``crowd``: steady over days; ``margin``: by a
    fifth at least), against ``matched`` groups of outsiders, and with every member's ``days``
    permuted. Replicates count as often as matched groups exceed their own (``baseline``). Two sets
    of different folds are one group where they share at least half of the smaller; each is paired
    with one other at most.

    Parameters
    ----------
    activity
        The active cells, in bins of at most 3 h, on at least 14 days.
    alpha
        Probability of any false group, and false discovery rate of accounts.
    seed
        Of all chance numbers, not negative; same seed, same result.
    n_groups
        Sets to find on each fold.
    n_replicates
        Of each test.
    memory
        Bytes for blocks of scores and permutations under way; never changes what is found. Where
        there are more than `scores.MOST_PAIRS` pairs each account keeps its highest scores and the
        mean of the rest, in the same way everywhere (``n_neighbours``). Where a set's accounts have
        more than 500,000 events, tests look at a part of the entities, drawn by lot
        (``share_tested``).
    progress
        Called with the steps done and their number.

    Returns
    -------
        `Groups`. In ``table``: ``size`` (accounts found on either fold), ``n_core``,
        ``n_significant``, ``ratio`` (coincidences for each that crowd and rhythms make),
        ``baseline`` (the same of matched groups of outsiders),
        ``p_value`` (the largest of the four; null where one is not possible), ``lag_profile``
        (weight of coincidences 0, 1, ... bins apart), ``reason``; of a group found twice, those of
        the fold with the smaller p-value. In ``accounts``: ``account`` (row of
        ``activity.accounts``), ``tier``: ``significant`` (q <= alpha on held-out days, whether or
        not the search found it; the only statement on single accounts), ``core`` (found and
        confirmed on both folds) or ``member``.

    Raises
    ------
    ValueError
        A setting is out of range.
    """
    _check_settings(alpha, seed, n_groups, n_replicates)
    reason = find_obstacle(activity)
    if reason is not None:
        nothing = pl.DataFrame(schema=TABLE_SCHEMA)
        return Groups(nothing, pl.DataFrame(schema=ACCOUNTS_SCHEMA), reason)
    n_done, n_steps = 0, 2 * (1 + 2 * n_groups)

    def advance(n: int = 1) -> None:
        nonlocal n_done
        n_done += n
        if n and progress is not None:
            progress(n_done, n_steps)

    accounts, folds = split_days(activity)
    rhythms = estimate_rhythms(folds)
    trials: list[Trial] = []
    limits = [limit_pairs(fold) for fold in folds]
    for fold in (0, 1):
        scores = score_pairs(folds[fold], rhythms, memory=memory, n_kept=limits[fold])
        advance()
        sets = search_groups(scores, n_groups, report=advance)
        del scores
        advance(n_groups - len(sets))
        for rank, members in enumerate(sets):
            trial = try_group(
                folds, rhythms, members, fold=fold, rank=rank, threshold=alpha / (2 * n_groups),
                n_replicates=n_replicates, seed=seed, memory=memory,
            )  # fmt: skip
            trials.append(trial)
            advance()
        advance(n_groups - len(sets))
    findings = pair_trials(trials)
    listed = assess_findings(findings, folds, rhythms, alpha=alpha)
    table = tabulate_findings(findings, listed)
    rows = pl.Series(accounts, dtype=pl.Int32).gather(listed["account"])
    n_neighbours = min((limit for limit in limits if limit is not None), default=None)
    return Groups(table, listed.with_columns(account=rows), None, n_neighbours)


def _check_settings(alpha: float, seed: int, n_groups: int, n_replicates: int) -> None:
    check_alpha(alpha)
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must not be negative.")
    if n_groups < 1:
        raise ValueError(f"n_groups is {n_groups}; at least one set must be searched for.")
    n_needed = ceil(2 * n_groups / alpha) - 1
    if n_replicates < n_needed:
        raise ValueError(
            f"n_replicates is {n_replicates}; to reach p <= alpha / (2 n_groups) = "
            f"{alpha / (2 * n_groups):g} it takes {n_needed}: raise it, or lower n_groups."
        )
