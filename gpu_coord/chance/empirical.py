"""Observed and expected counts -> an empirical null, and tail probabilities under it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

# Pairs with smaller p-values are no bulk; the fit ends when it leaves out the same ones again.
_BULK_P = 1e-4
_MAX_FITS = 50
# Below this, tails are summed in logarithms: the special functions run out of exponents.
_SMALLEST_TAIL = 1e-280
_LEAST_DISPERSION = 1e-12


def compute_log_tail(observed: Any, mean: Any, *, dispersion: Any = 0.0) -> Any:
    """Return log P(X >= observed) of counts with a mean, Poisson or negative-binomial.

    Parameters
    ----------
    observed, mean
        Counts and expected counts, 0 or more, of the same shape.
    dispersion
        1/r, of all counts or of each: the variance is mean + dispersion * mean^2. 0 is Poisson's
        law, which bounds the tail of a sum of independent hypergeometric counts for observed >=
        mean + 1 (Hoeffding 1956).

    Returns
    -------
        Natural logarithms, exact far below the smallest number that a p-value could have.
    """
    observed, mean = (np.asarray(values, dtype=np.float64) for values in (observed, mean))
    spread = np.broadcast_to(np.asarray(dispersion, dtype=np.float64), observed.shape)
    # Beyond this, the negative-binomial law is Poisson's in double precision.
    is_spread = spread > _LEAST_DISPERSION
    log_tail = np.zeros(observed.shape)
    for part in ((observed > 0) & is_spread, (observed > 0) & ~is_spread):
        r = 1 / spread[part] if part.any() and is_spread[part][0] else None
        log_tail[part] = _sum_tail(observed[part], mean[part], r)
    return log_tail


def _sum_tail(n: Any, mu: Any, r: Any) -> Any:
    """Return the log of P(n) + P(n + 1) + ..., of Poisson's law where r is None."""
    from scipy import special

    tail = special.gammainc(n, mu) if r is None else special.betainc(n, r, mu / (mu + r))
    is_far = tail < _SMALLEST_TAIL
    log_tail = np.log(np.where(is_far, 1.0, tail))
    log_tail[is_far] = _sum_far_tail(n[is_far], mu[is_far], None if r is None else r[is_far])
    return log_tail


def _sum_far_tail(n: Any, mu: Any, r: Any) -> Any:
    """Return the log of P(n) + P(n + 1) + ..., the terms falling from the first."""
    from scipy import special

    if r is None:
        slope, constant = 0.0, mu
        log_first = special.xlogy(n, mu) - mu - special.gammaln(n + 1)
    else:
        slope, constant = mu / (mu + r), mu * r / (mu + r)
        log_first = special.xlogy(n, slope) - r * np.log1p(mu / r)
        log_first -= special.betaln(n, r) + np.log(n)
    term, total, k = np.ones_like(mu), np.ones_like(mu), n
    while (term > np.finfo(float).eps * total).any():
        term = term * (slope * k + constant) / (k + 1)
        total = total + term
        k = k + 1
    return log_first + np.log(total)


@dataclass(frozen=True, slots=True)
class EmpiricalNull:
    """What the bulk of pairs shows beyond the null, and the counts that say so."""

    inflation: float  # lambda: coincidences seen for each that was expected
    dispersion: float  # 1/r: the variance is mean + dispersion * mean^2; 0 is Poisson's law
    n_bulk: int  # pairs that share a stratum and were fitted
    n_left_out: int  # pairs with too small a p-value to be bulk
    is_settled: bool = True  # fitting again would leave out the same pairs

    @property
    def size(self) -> float:
        """r, the size of the negative-binomial law; infinite for Poisson's."""
        return 1 / self.dispersion if self.dispersion else float("inf")

    def compute_log_p(self, observed: Any, expected: Any) -> Any:
        """Return the log of the p-value of each pair.

        An inflation below 1 is reported and not used: it would make p-values smaller than the
        null itself does.
        """
        mean = np.asarray(expected, dtype=np.float64) * max(self.inflation, 1.0)
        return compute_log_tail(observed, mean, dispersion=self.dispersion)


_CHANCE_ALONE = EmpiricalNull(inflation=1.0, dispersion=0.0, n_bulk=0, n_left_out=0)


def fit_null(observed: Any, expected: Any, *, min_left_out: int = 1) -> EmpiricalNull:
    """Fit inflation and dispersion to the bulk of pairs, by moments.

    lambda = sum O / sum E and 1/r = sum [(O - mu)^2 - mu] / sum mu^2 with mu = lambda E, at least
    0, over all pairs that share a stratum but those with p < 1e-4, first under chance alone, then
    under what was fitted, until the fit stays. Begun with all pairs, an operation would hide in
    the dispersion that it causes. A null only where the bulk is unaffiliated.

    Parameters
    ----------
    observed, expected
        Counts of the pairs, those without a coincidence included, (n_pairs,).
    min_left_out
        Pairs with fewer coincidences belong to the bulk whatever their p-value. Where strata are so
        long that one coincidence has p < 1e-4, leaving these out would leave no bulk.

    Returns
    -------
        An inflation of 1 and no dispersion where there is no pair. Not settled where the pairs
        left out still change after 50 fits: the last fit then.
    """
    observed, expected = (np.asarray(values, dtype=np.float64) for values in (observed, expected))
    null = _CHANCE_ALONE
    for _ in range(_MAX_FITS):
        is_bulk = _mark_bulk(null.compute_log_p(observed, expected), observed, min_left_out)
        sums = sum_moments(observed[is_bulk], expected[is_bulk])
        n_bulk = int(is_bulk.sum())
        refitted = replace(solve_moments(sums, n_bulk), n_left_out=is_bulk.size - n_bulk)
        if refitted == null:
            return null
        null = refitted
    return replace(null, is_settled=False)


def sum_moments(observed: Any, expected: Any) -> Any:
    """Return the sums of O, E, O^2, O E and E^2, which the moments of any inflation follow from."""
    values = (observed, expected, observed * observed, observed * expected, expected * expected)
    # No dot product: its rounding depends on how many threads a BLAS has.
    return np.array([np.asarray(value, np.float64).sum() for value in values])


def solve_moments(sums: Any, n_pairs: int, *, least: float = 0.0) -> EmpiricalNull:
    """Return lambda = sum O / sum E, and 1/r = sum [(O - mu)^2 - mu] / sum mu^2, mu = lambda E.

    Parameters
    ----------
    sums
        From `sum_moments`.
    n_pairs
        Pairs that these are of.
    least
        Lambda is at least this.
    """
    seen, expected, seen_squares, products, squares = sums
    inflation = max(seen / expected if expected > 0 else 1.0, least)
    excess = seen_squares - 2 * inflation * products + inflation**2 * squares
    excess -= inflation * expected
    spread = inflation**2 * squares
    dispersion = max(excess / spread, 0.0) if spread > 0 else 0.0
    return EmpiricalNull(float(inflation), float(dispersion), n_pairs, 0)


def _mark_bulk(log_p: Any, observed: Any, min_left_out: int) -> Any:
    """Mark the pairs of the bulk, to which an empirical null is fitted."""
    return (log_p >= np.log(_BULK_P)) | (observed < min_left_out)
