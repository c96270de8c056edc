"""Trials of sets -> groups found on either fold or both, their accounts, and the tables.

The one idea: two sets of different folds are one group where they share at least half of the
smaller. A set of one fold is paired with one of the other at most, so that nothing lumps two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from gpu_coord.chance.adjust import adjust_p_values
from gpu_coord.groups.folds import Fold
from gpu_coord.groups.members import assess_accounts
from gpu_coord.groups.rhythms import Rhythms
from gpu_coord.groups.trials import TESTS, Trial

_FOUND_TWICE = 0.5  # of the smaller set's accounts

TABLE_SCHEMA: dict[str, Any] = {
    "group": pl.Int32,
    "size": pl.Int32,
    "n_core": pl.Int32,
    "n_significant": pl.Int32,
    "confirmed": pl.Boolean,
    "tier": pl.Enum(["beyond_news", "beyond_habit"]),
    "ratio": pl.Float64,
    "baseline": pl.Float64,
    "p_value": pl.Float64,
    **{f"p_{test}": pl.Float64 for test in TESTS},
    "limiting_test": pl.String,
    "n_folds": pl.Int32,
    "n_strata": pl.Int32,
    "n_days": pl.Int32,
    "share_tested": pl.Float64,
    "lag_profile": pl.List(pl.Float64),
    "reason": pl.String,
}
ACCOUNTS_SCHEMA: dict[str, Any] = {
    "group": pl.Int32,
    "account": pl.Int32,
    "tier": pl.Enum(["significant", "core", "member"]),
    "in_both_folds": pl.Boolean,
    "p_value": pl.Float64,
    "q_value": pl.Float64,
}


@dataclass(frozen=True)
class Finding:
    """One group: the trial of one set, or of two sets of different folds."""

    trials: tuple[Trial, ...]  # the confirmed ones first, then those beyond habit, then by p-value

    @property
    def is_confirmed(self) -> bool:
        """A trial is confirmed."""
        return self.trials[0].is_confirmed

    @property
    def tier(self) -> str | None:
        """The highest tier of its trials."""
        return self.trials[0].tier

    @property
    def n_folds(self) -> int:
        """Folds on which it was found and then confirmed."""
        return sum(trial.is_confirmed for trial in self.trials)

    def list_members(self, *, in_both: bool = False) -> Any:
        """Return the accounts of either set, or of both; of the sets of its tier."""
        sets = [trial.members for trial in self.trials if trial.tier == self.tier]
        if not in_both:
            return np.unique(np.concatenate(sets))
        return np.intersect1d(*sets) if len(sets) == 2 else np.empty(0, np.int64)


def pair_trials(trials: Sequence[Trial]) -> list[Finding]:
    """Pair the sets of the two folds that are the same group; confirmed groups first, by size."""
    shared = sorted(
        (
            (np.intersect1d(even.members, odd.members).size, -row, -column)
            for row, even in enumerate(trials)
            for column, odd in enumerate(trials)
            if even.fold == 0 and odd.fold == 1
        ),
        reverse=True,
    )
    partner: dict[int, int] = {}
    for n_shared, row, column in shared:
        even, odd = trials[-row], trials[-column]
        is_same = n_shared >= _FOUND_TWICE * min(even.members.size, odd.members.size)
        if is_same and not {-row, -column} & partner.keys():
            partner[-row], partner[-column] = -column, -row
    findings = [
        _order_trials([trials[number] for number in sorted({row, partner.get(row, row)})])
        for row in range(len(trials))
        if row <= partner.get(row, row)
    ]
    return sorted(findings, key=_rank)


def _order_trials(trials: list[Trial]) -> Finding:
    return Finding(tuple(sorted(trials, key=lambda t: (_sort_tier(t), _sort_p(t), t.fold))))


def _sort_tier(found: Trial | Finding) -> int:
    return ("beyond_news", "beyond_habit", None).index(found.tier)


def _sort_p(trial: Trial) -> float:
    return trial.p_value if trial.p_value == trial.p_value else 2.0


def _rank(finding: Finding) -> tuple[Any, ...]:
    members = finding.list_members()
    return _sort_tier(finding), -members.size, _sort_p(finding.trials[0]), members.tolist()


def assess_findings(
    findings: Sequence[Finding], folds: tuple[Fold, Fold], rhythms: Rhythms, *, alpha: float
) -> pl.DataFrame:
    """Test every account against every confirmed group, and list members and significant ones.

    Of groups that are only beyond habit, members are listed and nobody is tested. An account's
    p-value is twice the smaller of those on the two held-out folds; q-values are over all accounts
    and confirmed groups. Accounts are numbered as in the folds.
    """
    shown = [finding for finding in findings if finding.tier is not None]
    if not shown:
        return pl.DataFrame(schema=ACCOUNTS_SCHEMA)
    mark, n_confirmed = folds[0].mark, sum(finding.is_confirmed for finding in shown)
    is_member = np.stack([mark(finding.list_members()) for finding in shown])
    is_core = np.stack([mark(finding.list_members(in_both=True)) for finding in shown])
    p_value, q_value = np.full((2, *is_member.shape), np.nan)
    for row, finding in enumerate(shown[:n_confirmed]):
        p_value[row] = _test_finding(finding, folds, rhythms)
    tested = p_value[:n_confirmed]
    log_p = np.log(np.maximum(tested, np.finfo(float).tiny)).ravel()
    q_value[:n_confirmed] = adjust_p_values(log_p, n_tests=log_p.size).reshape(tested.shape)
    is_significant = q_value <= alpha
    group, account = np.nonzero(is_member | is_significant)
    core, significant = is_core[group, account], is_significant[group, account]
    tier = np.where(significant, "significant", np.where(core, "core", "member"))
    columns = {
        "group": group,
        "account": account,
        "tier": tier,
        "in_both_folds": core,
        "p_value": p_value[group, account],
        "q_value": q_value[group, account],
    }
    table = pl.DataFrame(columns, schema=ACCOUNTS_SCHEMA).with_columns(cs.float().fill_nan(None))
    return table.sort("group", "tier", "p_value", "account")


def _test_finding(finding: Finding, folds: tuple[Fold, Fold], rhythms: Rhythms) -> Any:
    p_values = []
    for trial in finding.trials:
        if trial.is_confirmed:
            fold = folds[1 - trial.fold]
            inside = fold.mark(trial.members)
            p_values.append(assess_accounts(fold, rhythms, inside, baseline=trial.baseline))
    return np.minimum(2 * np.min(p_values, axis=0), 1)


def tabulate_findings(findings: Sequence[Finding], accounts: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each group."""
    rows = [_describe(number, finding, accounts) for number, finding in enumerate(findings)]
    return pl.DataFrame(rows, schema=TABLE_SCHEMA).with_columns(cs.float().fill_nan(None))


def _describe(number: int, finding: Finding, accounts: pl.DataFrame) -> dict[str, Any]:
    first = finding.trials[0]
    mine = accounts.filter(pl.col("group") == number)
    return {
        "group": number,
        "size": finding.list_members().size,
        "n_core": finding.list_members(in_both=True).size,
        "n_significant": int((mine["tier"] == "significant").sum()),
        "confirmed": finding.is_confirmed,
        "tier": finding.tier,
        "ratio": first.ratio,
        "baseline": first.baseline,
        "p_value": first.p_value,
        **{f"p_{test}": p for test, p in zip(TESTS, first.p_values, strict=True)},
        "limiting_test": first.limiting_test,
        "n_folds": finding.n_folds,
        "n_strata": first.n_strata,
        "n_days": first.n_days,
        "share_tested": first.share_tested,
        "lag_profile": first.lag_profile.tolist(),
        "reason": first.reason,
    }
