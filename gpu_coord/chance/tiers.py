"""Tests of pairs -> the tier of the network, and what is said of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.chance.nulls import NetworkTier
from gpu_coord.chance.tests import TIERS, EdgeTests, PairTests, Tier

# Independent accounts with daily rhythms and bursts meet once 1 to 2 times as often as their habits
# say. A larger lambda: everybody follows the same bursts, or there are hardly any strangers.
_INFLATED = 2.0
UNLABELLED = "unlabelled"

NO_REFERENCE = (
    "Hardly any accounts here met just once, so nothing says how much the news does: news and "
    "coordination cannot be told apart here. Add accounts from outside, or name controls with "
    "--reference."
)
WEAK_REFERENCE = (
    "Even {} met {:.2g} times as often as their habits explain: either this is an archive of one "
    "operation alone, or all follow the same bursts. News and coordination can hardly be told "
    "apart here. {}."
)
_WEAK = {
    "met_once": ("pairs that share one thing on one day", "Add accounts from outside, or name "
                 "controls with --reference"),
    "controls": ("the controls that you named", "Name others, or add accounts from outside"),
}  # fmt: skip


@dataclass(frozen=True)
class TierChoice:
    """Which tier makes the network, and why."""

    tier: Tier
    why: str
    warning: str | None  # where news and coordination can hardly be told apart


def choose_tier(tests: PairTests, asked: NetworkTier) -> TierChoice:
    """Choose the tier that makes the network.

    Beyond the news, where anything says how much the news does, that is not much, and some pair is
    beyond it; otherwise beyond habit.

    Parameters
    ----------
    tests
        Of all pairs.
    asked
        The choice of the user.
    """
    references = [lag.reference for lag in tests.by_lag if lag.reference is not None]
    return choose_from(references, tests.count("beyond_news"), asked)


def choose_from(
    references: Sequence[dict[str, Any]], n_beyond_news: int, asked: NetworkTier
) -> TierChoice:
    """Choose the tier from what is said of each reference, and the pairs beyond the news."""
    worst = max(references, key=lambda each: each["lambda"], default=None)
    warning = NO_REFERENCE if worst is None else None
    if worst is not None and worst["lambda"] >= _INFLATED:
        who, way_out = _WEAK[worst["kind"]]
        warning = WEAK_REFERENCE.format(who, worst["lambda"], way_out)
    if asked != "auto":
        return TierChoice(asked, "as asked for", warning)
    if warning is not None:
        why = "news and coordination can hardly be told apart in this archive"
        return TierChoice("beyond_habit", why, warning)
    if not n_beyond_news:
        return TierChoice("beyond_habit", "no pair is beyond the news", None)
    return TierChoice("beyond_news", "some pairs are beyond what the news explains", None)


def find_controls(accounts: pl.DataFrame, label: str | None) -> tuple[str, Any] | None:
    """Return what the controls are called, and marks of them; None where none are named.

    Raises
    ------
    ValueError
        No account has the label.
    """
    if label is None:
        return None
    is_control = accounts["label"].fill_null(UNLABELLED).cast(pl.String).to_numpy() == label
    if not is_control.any():
        known = accounts["label"].fill_null(UNLABELLED).unique().sort().to_list()
        raise ValueError(
            f"reference is {label!r}, which no account is labelled; there are {known}. To bring "
            "controls from another archive, ingest both into one store (--label control=FILE)."
        )
    return label, is_control


def name_tiers(edges: EdgeTests) -> dict[str, Any]:
    """Return what was found of edges as columns of a table, tiers by their names."""
    columns = edges._asdict()
    columns["tier"] = spell_tiers(edges.tier)
    columns["expected"] = pl.Series(edges.expected, nan_to_null=True)
    return columns


def spell_tiers(tier: Any) -> pl.Series:
    """Return the names of ranks of tiers, null where there is none."""
    names = pl.Series([*TIERS, None], dtype=pl.Categorical)
    return names.gather(len(TIERS) - tier.astype(np.int32))


def summarise_tests(
    tests: PairTests, choice: TierChoice, *, n_network_edges: int, n_directions: int = 1
) -> dict[str, Any]:
    """Return the part of a summary that is about chance.

    Parameters
    ----------
    tests, choice
        Of all pairs, and the tier of the network.
    n_network_edges
        Its edges.
    n_directions
        2 where both directions of a pair were tested, and are one edge.
    """
    references = [lag.reference["lambda"] for lag in tests.by_lag if lag.reference]
    n_pairs = tests.count(choice.tier) // n_directions
    return {
        "lambda": max(references, default=None),
        "lambda_habit": max(lag.habits.inflation for lag in tests.by_lag),
        "n_pairs_tested": tests.n_tests // n_directions,
        "n_beyond_habit": tests.count("beyond_habit") // n_directions,
        "n_significant": tests.count("beyond_news") // n_directions,
        "network_tier": choice.tier,
        "n_network_edges": n_network_edges,
        "expected_false_edges": tests.alpha * n_pairs,
    }


def describe_tests(tests: PairTests, choice: TierChoice) -> dict[str, Any]:
    """Return what ``run.json`` says of the tests of pairs, and whether to trust them."""
    return {
        "null": tests.null,
        "alpha": tests.alpha,
        "network_tier": choice.tier,
        "why": choice.why,
        "warning": choice.warning,
        "by_lag": [
            {
                "lag": lag.lag,
                "habit": {
                    "lambda": lag.habits.inflation,
                    "dispersion": lag.habits.dispersion,
                    "n_pairs": lag.habits.n_bulk,
                    "n_copies": lag.n_copies,
                },
                "news": lag.reference,
            }
            for lag in tests.by_lag
        ],
    }


def list_tiers(tier: Tier) -> pl.Expr:
    """Mark the edges of a tier or a higher one, in a table with their tiers."""
    kept = TIERS[: TIERS.index(tier) + 1]
    return pl.col("tier").cast(pl.String).is_in(kept).fill_null(value=False)
