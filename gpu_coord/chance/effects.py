"""Listed pairs -> how strong their lagged co-activity is, beside how surprising it is.

The tables of a pair, one for each stratum of a null, are those of a Cochran-Mantel-Haenszel test;
kinds, entities and blocks of time add up. Effects are descriptions: under the null alone their
errors are right, and what the null misses (see `EmpiricalNull`) they miss too.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import polars.selectors as cs

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import CellIndex, Margins, PairCounts, iter_shared
from gpu_coord.activity.weights import Edges
from gpu_coord.chance.nulls import Null
from gpu_coord.chance.strata import Strata, stratify

_NORMAL_97_5 = 1.959963984540054  # so many standard errors make a 95 % interval
_TAIL = 0.025


class Effects(NamedTuple):
    """How strongly the target of each pair follows its source, (n_pairs,) each, on the host.

    NaN where nothing can be said: the pair shares no stratum, or its tables are empty or full.
    """

    observed: Any  # coincidences, O
    expected: Any  # under the null, E
    variance: Any  # of O under the null, V
    ratio: Any  # O / E
    ratio_low: Any  # of the 95 % interval
    ratio_high: Any
    log_odds: Any  # natural logarithm of the odds ratio
    log_odds_low: Any
    log_odds_high: Any
    risk_difference: Any  # by how much more often the target is active after the source
    risk_difference_error: Any  # standard error under the null


_EFFECTS: dict[str, Any] = {
    "source": pl.Int32, "target": pl.Int32, "lag": pl.Int32, "observed": pl.Int64,
    **{name: pl.Float64 for name in Effects._fields if name != "observed"},
    "direction": pl.Float64, "row": pl.Int64,
}  # fmt: skip


def measure_effects(strata: Strata, pairs: PairCounts) -> Effects:
    """Measure how strongly the target of each pair follows its source.

    Parameters
    ----------
    strata
        The null, at the lag of the counts; any but ``popularity``, which has no tables.
    pairs
        The pairs and their coincidences, on the host or on the backend; see `count_listed` for
        pairs that were not counted, such as the reverse of others.

    Returns
    -------
        The ratio O / E with Garwood's exact Poisson interval; the logarithm of Peto's one-step
        odds ratio, (O - E) / V with error 1 / sqrt(V), which is too small for strong effects; the
        Mantel-Haenszel risk difference, over the strata in which the target is active, with the
        error sqrt(V) / D (D its denominator). Where blocks have several phases, E, V and D are
        means over these.

    Raises
    ------
    ValueError
        The null is ``popularity``.
    """
    if strata.null == "popularity":
        raise ValueError(
            "the null 'popularity' has no tables of transitions to measure effects in; choose "
            "entity, hour, day or six_hours."
        )
    observed = np.asarray(strata.backend.to_host(pairs.support), dtype=np.float64)
    expected, variance, exposure = strata.sum_products(_send_tables(strata), pairs)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = 1 / np.sqrt(np.where(variance > 0, variance, np.nan))
        log_odds = (observed - expected) * error**2
        exposure = np.where(exposure > 0, exposure, np.nan)
    low, high = _bound_ratio(observed, expected)
    return Effects(
        observed=observed,
        expected=expected,
        variance=variance,
        ratio=observed / np.where(expected > 0, expected, np.nan),
        ratio_low=low,
        ratio_high=high,
        log_odds=log_odds,
        log_odds_low=log_odds - _NORMAL_97_5 * error,
        log_odds_high=log_odds + _NORMAL_97_5 * error,
        risk_difference=(observed - expected) / exposure,
        risk_difference_error=np.sqrt(variance) / exposure,
    )


def _send_tables(strata: Strata) -> tuple[Any, ...]:
    """Send the factors of three sums over strata.

    a b / T; the hypergeometric variance a (T - a) b (T - b) / (T^2 (T - 1)); and, over the strata
    in which the target is active, a (T - a) / T.
    """
    n_steps, a = strata.n_steps[strata.sources.other], strata.sources.count
    silent = a * (n_steps - a) / n_steps / strata.n_phases
    n_target_steps, b = strata.n_steps[strata.targets.other], strata.targets.count
    spread = b * (n_target_steps - b) / np.maximum(n_target_steps - 1, 1)
    return strata.send_factors(
        (strata.source_share, b), (silent / n_steps, spread), (silent, np.ones_like(b))
    )


def _bound_ratio(observed: Any, expected: Any) -> tuple[Any, Any]:
    """Return the exact interval of a Poisson mean over what was expected (Garwood 1936)."""
    from scipy import special

    expected = np.where(expected > 0, expected, np.nan)
    least = special.gammaincinv(np.maximum(observed, 1), _TAIL)
    most = special.gammainccinv(observed + 1, _TAIL)
    return np.where(observed > 0, least, 0.0) / expected, most / expected


def compare_directions(there: Effects, back: Effects) -> Any:
    """Return by how many standard errors each pair's target follows more than it is followed.

    (U_ij - U_ji) / sqrt(V_ij + V_ji), U = O - E: under the null the two directions are
    uncorrelated but for the ends of blocks. At lag 0 they are the same, and the result is 0.

    Parameters
    ----------
    there, back
        Effects of the same pairs at the same lag, and of their reverses.

    Returns
    -------
        (n_pairs,); NaN where neither direction can vary.
    """
    variance = there.variance + back.variance
    excess = (there.observed - there.expected) - (back.observed - back.expected)
    return excess / np.sqrt(np.where(variance > 0, variance, np.nan))


def count_listed(
    index: CellIndex, margins: Margins, source: Any, target: Any, *, memory: int = 1 << 28
) -> PairCounts:
    """Count the coincidences of some pairs, whether they have any or not.

    Parameters
    ----------
    index, margins
        The active cells, and their counts at the lag.
    source, target
        Accounts, (n_pairs,), on the host.
    memory
        Bytes that the shared entities of the pairs under way may take.
    """
    backend, xp = index.backend, index.backend.xp
    source, target = (np.asarray(accounts, dtype=np.int32) for accounts in (source, target))
    support = np.zeros(source.size, dtype=np.int64)
    pairs = PairCounts(xp.asarray(source), xp.asarray(target), xp.asarray(support))
    for rows, shared in iter_shared(index, margins, pairs, memory=memory):
        n_pairs = rows.stop - rows.start
        pair, both = backend.to_host(shared.pair), backend.to_host(shared.both_active)
        support[rows] = np.bincount(pair, weights=both, minlength=n_pairs).astype(np.int64)
    return PairCounts(source, target, support)


def tabulate_effects(
    activity: Activity,
    index: CellIndex,
    margins: Sequence[Margins],
    edges: Edges,
    *,
    null: Null = "day",
) -> pl.DataFrame:
    """Measure how strongly targets follow their sources, and not the other way round.

    Parameters
    ----------
    activity, index, margins
        The active cells, and their counts at the lags of the edges.
    edges
        On the host.
    null
        Any but ``popularity``, which has no tables.

    Returns
    -------
        In the order of the edges: ``source, target`` (rows of accounts), ``lag``, the columns of
        `Effects`, and ``direction``, see `compare_directions`. Null where nothing can be said.
    """
    parts = [pl.DataFrame(schema=_EFFECTS)]
    for margin in margins:
        rows = np.flatnonzero(edges.lag == margin.lag)
        strata = stratify(activity, index, margin, null=null)
        source, target = edges.source[rows], edges.target[rows]
        there = measure_effects(strata, PairCounts(source, target, edges.support[rows]))
        back = measure_effects(strata, count_listed(index, margin, target, source))
        columns = {"source": source, "target": target, "lag": edges.lag[rows], **there._asdict()}
        columns |= {"direction": compare_directions(there, back), "row": rows}
        parts.append(pl.DataFrame(columns, schema=_EFFECTS))
    return pl.concat(parts).sort("row").drop("row").with_columns(cs.float().fill_nan(None))
