"""Uses of objects -> who tends to come early: ranks among those who use the same thing.

A wave: the uses of an object up to a silence. Each account that takes part adopts once, with its
first use in the wave. The one idea: under chance all orders of the adopters are equally likely, so
that means and variances of ranks are known, with ties.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl


@dataclass(frozen=True, slots=True)
class Uses:
    """Uses of objects by accounts, sorted by object, then time; on the host."""

    object: np.ndarray  # number of the object, (n_uses,)
    time: np.ndarray  # milliseconds
    account: np.ndarray  # row of the account


@dataclass(frozen=True, slots=True)
class Adoptions:
    """First uses in each wave that two accounts or more take part in, by wave, then time."""

    wave: np.ndarray  # 0, 1, ..., (n_adoptions,)
    account: np.ndarray  # row of the account
    rank: np.ndarray  # from 1 on; accounts that come at the same time share the mean of theirs
    n_first: np.ndarray  # accounts that came first together if this one did; else 0
    n_adopters: np.ndarray  # of each wave, (n_waves,)
    rank_variance: np.ndarray  # of the rank of one drawn at random, (n_waves,)
    n_leading: np.ndarray  # accounts that came first together, (n_waves,)


def order_adoptions(uses: Uses, *, wave_ms: int | None) -> Adoptions:
    """Rank the accounts of each wave by their first use in it.

    Parameters
    ----------
    uses
        Sorted by object, then time.
    wave_ms
        A longer silence of an object, in milliseconds, begins a new wave; None: one wave each.
    """
    rows, wave = _find_first_uses(uses, wave_ms)
    _, wave, n_adopters = np.unique(wave, return_inverse=True, return_counts=True)
    several = n_adopters[wave] > 1
    rows, wave = rows[several], (np.cumsum(n_adopters > 1) - 1)[wave[several]]
    n_adopters = n_adopters[n_adopters > 1]
    start = np.concatenate([[0], np.cumsum(n_adopters)])
    tie, n_tied = _find_ties(wave, uses.time[rows])
    first_of_tie = np.concatenate([[0], np.cumsum(n_tied)])[:-1]
    rank = (first_of_tie + (n_tied + 1) / 2)[tie] - start[wave]
    is_first = first_of_tie[tie] == start[wave]
    # Of ranks 1 to m with their mean in the place of tied ones.
    cubes = np.bincount(wave[first_of_tie], n_tied**3 - n_tied, n_adopters.size)
    return Adoptions(
        wave=wave,
        account=uses.account[rows],
        rank=rank,
        n_first=np.where(is_first, n_tied[tie], 0),
        n_adopters=n_adopters,
        rank_variance=(n_adopters**3 - n_adopters - cubes) / (12 * n_adopters),
        n_leading=n_tied[tie[start[:-1]]],
    )


def _find_first_uses(uses: Uses, wave_ms: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the first uses of each account in each wave, in their order, and waves."""
    begins = np.ones(uses.time.size, bool)
    begins[1:] = uses.object[1:] != uses.object[:-1]
    if wave_ms is not None:
        begins[1:] |= np.diff(uses.time) > wave_ms
    wave = np.cumsum(begins) - 1
    n_accounts = int(uses.account.max(initial=0)) + 1
    rows = np.sort(np.unique(wave * n_accounts + uses.account, return_index=True)[1])
    return rows, wave[rows]


def _find_ties(wave: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the tie of each adopter, of those in one wave at one time, and the ties' sizes."""
    begins = np.ones(time.size, bool)
    begins[1:] = (wave[1:] != wave[:-1]) | (time[1:] != time[:-1])
    tie = np.cumsum(begins) - 1
    return tie, np.bincount(tie).astype(np.int64)


def score_adoptions(adoptions: Adoptions, rate: np.ndarray) -> pl.DataFrame:
    """Score how early each account is, against chance.

    Parameters
    ----------
    adoptions
        From `order_adoptions`.
    rate
        How active each account is, only ratios matter, (n_accounts,).

    Returns
    -------
        Row = account: ``n_waves`` (with another account), ``earliness`` (mean of 1 for the first
        to 0 for the last) and ``earliness_z`` (chance: all orders alike); ``first_mover`` (share of
        waves in which it came first, ties shared), ``first_mover_z`` (chance: 1 / adopters),
        ``first_mover_expected`` (chance: rate / summed rate of the adopters) and
        ``first_mover_adjusted_z``. Null where an account has no wave or nothing can vary.
    """
    wave, account = adoptions.wave, adoptions.account
    n_adopters = adoptions.n_adopters[wave]
    earliness = 1 - (adoptions.rank - 1) / (n_adopters - 1)
    led = np.where(adoptions.n_first > 0, 1 / np.maximum(adoptions.n_first, 1), 0.0)
    rates = rate[account].astype(np.float64)
    expected = rates / np.bincount(wave, rates, adoptions.n_adopters.size)[wave]

    def sum_up(values: Any) -> np.ndarray:
        return np.bincount(account, values, rate.size)

    n_waves = np.bincount(account, minlength=rate.size)
    even = 1 / n_adopters
    spread = (adoptions.rank_variance / (adoptions.n_adopters - 1) ** 2)[wave]
    columns = {
        "earliness": _divide(sum_up(earliness), n_waves),
        "earliness_z": _divide(sum_up(earliness - 0.5), np.sqrt(sum_up(spread))),
        "first_mover": _divide(sum_up(led), n_waves),
        "first_mover_z": _standardise(led, even, adoptions, sum_up),
        "first_mover_expected": _divide(sum_up(expected), n_waves),
        "first_mover_adjusted_z": _standardise(led, expected, adoptions, sum_up),
    }
    return pl.DataFrame({"n_waves": n_waves} | columns).with_columns(
        pl.col(list(columns)).fill_nan(None)
    )


def _standardise(
    led: np.ndarray, chance: np.ndarray, adoptions: Adoptions, sum_up: Any
) -> np.ndarray:
    """Return by how many standard errors accounts come first more often than by chance.

    Where t of m adopters come first together, each has a share of 1 / t. For equal chances the
    variance (m - t) / (m^2 t) of that share is exact; for others it is scaled alike.
    """
    m, t = adoptions.n_adopters[adoptions.wave], adoptions.n_leading[adoptions.wave]
    variance = chance * (1 - chance) * (m - t) / (t * (m - 1))
    return _divide(sum_up(led - chance), np.sqrt(sum_up(variance)))


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the ratio, NaN where there is nothing to divide by."""
    ratio = np.full(part.size, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
