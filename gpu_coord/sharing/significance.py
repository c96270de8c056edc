"""Shares and their edges -> how likely chance alone is to bring two accounts together as often.

The one idea: two shares of an object lie within a window w of each other as often, by chance, as
two active bins of 2w and a second are the same bin. So the strata, and all that is fitted to
them, are those of `gpu_coord.chance.tests` at lag 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.activity.cells import MAX_BINS, Activity
from gpu_coord.activity.counts import PairCounts, count_margins, index_cells
from gpu_coord.backend import Backend
from gpu_coord.chance.grades import grade_significant
from gpu_coord.chance.nulls import Null
from gpu_coord.chance.strata import stratify
from gpu_coord.chance.tests import PairTests, assess_listed, describe_tests
from gpu_coord.sharing.settings import measure_bin
from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.strict import EdgeRuns

_HOUR = 3600
# Within a minute everybody coincides more often than a day's total explains, 3 to 9 times in real
# archives, and 1.1 to 1.5 times more than an hour's; see docs/sharing.md.
_INFLATED, _INFLATED_IN_HOUR = 30.0, 2.0
# Few pairs share an object on a day, and those of an operation do: 5 % of them in a simulated
# archive of whose operation the tests find nearly all pairs.
_MANY_LEFT_OUT = 0.2


@dataclass(frozen=True)
class ShareTests:
    """What was found for all pairs of accounts, and for the edges."""

    pairs: PairTests  # both directions of each pair
    edges: pl.DataFrame  # expected, n_hours, p_value, q_value, grade, significant; row = edge

    def describe(self) -> dict[str, Any]:
        """Return what ``run.json`` says of the tests, and whether to trust them."""
        finest = self.pairs.null == "one_hour"
        return describe_tests(
            self.pairs,
            max_inflation=_INFLATED_IN_HOUR if finest else _INFLATED,
            max_left_out=_MANY_LEFT_OUT,
        )

    def summarise(self, n_significant: int) -> dict[str, Any]:
        """Return the part of a run's summary that is about chance; pairs count once.

        Parameters
        ----------
        n_significant
            Significant edges in the network.
        """
        return {
            "lambda": self.pairs.by_lag[0].inflation,
            "n_pairs_tested": self.pairs.n_tests // 2,
            "n_significant": n_significant,
            "expected_false_edges": self.pairs.alpha * self.pairs.n_significant / 2,
        }


def count_hours(runs: EdgeRuns, *, window_ms: int) -> pl.DataFrame:
    """Count what is tested of each edge: hours of the day in which the two met.

    Pairs on either side of a full hour are left out: whatever a null keeps by the hour, by six
    hours or by the day, both shares lie in one of its strata then.

    Parameters
    ----------
    runs
        From `gpu_coord.sharing.strict.group_pairs`.
    window_ms
        The window of the pairs.

    Returns
    -------
        ``n_in_hour`` (pairs of shares), ``n_hours`` (hours with such a pair), row = edge.
    """
    hour = _find_hours(runs.shares, window_ms)
    older, newer = hour[runs.older], hour[runs.newer]
    met = np.where(older == newer, older, -1)
    n_in_hour = runs.sum((met >= 0).astype(np.int64))
    has_others = n_in_hour < runs.n_pairs
    return pl.DataFrame(
        {"n_in_hour": n_in_hour, "n_hours": runs.count_distinct(met) - has_others},
        schema={"n_in_hour": pl.Int64, "n_hours": pl.Int64},
    )


def assess_edges(
    shares: Shares,
    edges: pl.DataFrame,
    *,
    window_ms: int,
    null: Null = "day",
    alpha: float = 0.05,
    backend: Backend,
) -> ShareTests:
    """Test every pair of accounts for more shares within a window than chance makes.

    Parameters
    ----------
    shares
        From `read_shares`.
    edges
        All pairs of accounts with a pair of shares within the window: ``source, target`` (rows of
        accounts, each pair once) and the columns of `count_hours`.
    window_ms
        The window.
    null
        What each account keeps, see `strata.stratify`; the times of its shares within
        what is kept are exchangeable, to the width of a bin of twice the window and a second.
    alpha
        False discovery rate to hold.
    backend
        Where expected counts are summed.

    Raises
    ------
    ValueError
        Alpha is no rate, or there are too many bins of the window's length.
    """
    activity = _bin_shares(shares, window_ms, backend)
    index = index_cells(activity)
    margins = count_margins(index, 0)
    strata = stratify(activity, index, margins, null=null)
    pairs, n_hours, edge = _list_both(edges, activity.n_accounts)
    # One meeting is anybody's: of accounts that share once a day, any has p < 1e-4 within seconds.
    tests = assess_listed(strata, pairs, n_hours, alpha=alpha, min_left_out=2)
    tests = grade_significant(activity, index, [margins], tests)
    # A pair that met only across full hours was not listed: nothing speaks against chance.
    unlisted = {"expected": 0.0, "p_value": 1.0, "q_value": 1.0, "grade": np.int8(0)}
    found = {}
    read = tests.read_edges(pairs.source, pairs.target, np.zeros(edge.size, np.int32))
    for name, value in (unlisted | {"significant": False}).items():
        found[name] = np.full(edges.height, value)
        found[name][edge] = getattr(read, name)
    return ShareTests(tests, pl.DataFrame(found).insert_column(1, edges["n_hours"]))


def _find_bins(shares: Shares, window_ms: int) -> tuple[np.ndarray, int]:
    seconds = measure_bin(window_ms, shares.time_unit)
    return shares.time // (1000 * seconds), seconds


def _find_hours(shares: Shares, window_ms: int) -> np.ndarray:
    """Return the hour of each share, 0 or more, that the beginning of its bin lies in."""
    bin, seconds = _find_bins(shares, window_ms)
    hour: np.ndarray = bin * seconds // _HOUR
    # Before 1970 hours are negative, and -1 marks what is left out.
    hour -= hour.min(initial=0)
    return hour


def _bin_shares(shares: Shares, window_ms: int, backend: Backend) -> Activity:
    """Return the shares as cells; one that is repeated within its bin counts as often."""
    bin, seconds = _find_bins(shares, window_ms)
    first, last = int(bin.min()), int(bin.max())
    if last - first >= MAX_BINS:
        raise ValueError(
            f"the shares span {last - first + 1:,} bins of {seconds} s; {MAX_BINS:,} are possible: "
            "choose a time range, or no tests."
        )
    order = np.lexsort((shares.account, bin, shares.object))
    kinds = tuple(shares.objects["kind"].cast(pl.String).unique().sort())
    columns = {"entity": shares.object, "bin": bin - first, "account": shares.account}
    return Activity(
        backend=backend,
        bin_seconds=seconds,
        first_bin=first,
        n_bins=last - first + 1,
        kinds=kinds,
        missing_kinds=(),
        accounts=shares.accounts,
        entities=shares.objects.with_columns(pl.col("kind").cast(pl.String)),
        n_dropped={},
        **{
            name: backend.xp.asarray(column[order].astype(np.int32))
            for name, column in columns.items()
        },
    )


def _list_both(edges: pl.DataFrame, n_accounts: int) -> tuple[PairCounts, Any, Any]:
    """Return both directions of the edges that met within an hour, by source, then target."""
    met = np.flatnonzero(edges["n_in_hour"].to_numpy() > 0)
    one, other = (edges[end].to_numpy()[met].astype(np.int64) for end in ("source", "target"))
    key = np.concatenate([one * n_accounts + other, other * n_accounts + one])
    order = np.argsort(key, kind="stable")
    edge = np.concatenate([met, met])[order]
    source, target = np.divmod(key[order], n_accounts)
    support = edges["n_in_hour"].to_numpy()[edge]
    pairs = PairCounts(source.astype(np.int32), target.astype(np.int32), support)
    return pairs, edges["n_hours"].to_numpy()[edge], edge
