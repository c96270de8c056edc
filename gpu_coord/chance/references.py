"""Pairs of strangers -> how much more often than expected accounts meet because of the news.

The one idea: accounts that act together meet again and again, and strangers once. So the pairs that
share a single stratum, an entity on a day, say how much the news of the day brings anybody
together there, whoever else is in the archive. Or the user names accounts as controls.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_coord.activity.counts import PairCounts
from gpu_coord.chance.empirical import solve_moments, sum_moments
from gpu_coord.chance.exposure import Exposure
from gpu_coord.chance.habits import list_fitted, lists_all
from gpu_coord.chance.strata import Strata

MIN_EXPECTED = 5.0  # hours, of a class or of all: with fewer, a ratio says nothing
MIN_PAIRS = 100  # of named controls


@dataclass(frozen=True)
class Reference:
    """What brings strangers together, by class of stratum, and how unevenly."""

    kind: str  # met_once, or controls
    n_pairs: int  # of the reference
    n_hours: int  # of these pairs, with a coincidence
    expected: float  # of these pairs, without the news
    by_class: Any  # lambda of strata with 2^k accounts and more, (n_classes,), 1 or more
    spread: Any  # variance of lambda between strata of a class over its square
    doubt: float  # variance of the fitted lambda over its square, as the reference has few hours
    n_met: int | None  # pairs that share a stratum, where all were listed
    strata: Strata  # that it was fitted in
    factors: tuple[Any, ...] | None  # of what is expected, with lambda, and its variance

    @property
    def inflation(self) -> float:
        """Lambda: hours in which the pairs of the reference met, for each that was expected."""
        return self.n_hours / self.expected if self.expected else 1.0

    def correct(self, pairs: PairCounts, expected: Any) -> tuple[Any, Any]:
        """Return the mean and the dispersion of each pair's hours, news included.

        The mean is ``expected`` times the mean of lambda over the strata of the pair, each weighed
        by what is expected in it, mu. The dispersion is the sum over strata of spread (lambda mu)^2
        over the square of the sum of lambda mu; named controls have one lambda and one spread. To
        either comes the doubt about lambda itself.

        Parameters
        ----------
        pairs
            Pairs that share a stratum.
        expected
            From `Exposure.expect`, of the news, in the strata of the reference.
        """
        if self.factors is None:
            spread = np.full(expected.size, self.spread[0])
            return expected * self.by_class[0], spread + self.doubt
        plain, mean, variance = self.strata.sum_products(self.factors, pairs)
        return expected * mean / plain, variance / mean**2 + self.doubt


def find_reference(
    exposure: Exposure, count_hours: Callable[[PairCounts], Any]
) -> Reference | None:
    """Fit the reference to the pairs that share one stratum.

    Strata are classed by how many accounts use them (as targets): 1, 2 to 3, 4 to 7, and so on. In
    each class, lambda is the number of hours in which such pairs met over the number expected, at
    least 1; where fewer than five were to be expected, that of all classes, and their spread.
    Strata of a class differ: a burst here, none there. So lambda has a variance between strata, by
    moments of each stratum's hours.

    Parameters
    ----------
    exposure
        What pairs are exposed to.
    count_hours
        Counts the hours in which pairs met.

    Returns
    -------
        None where too few pairs met once for anything to be said.
    """
    strata = exposure.strata
    n_users = np.diff(strata.users.start)
    classes = np.frexp(np.maximum(n_users, 1))[1] - 1
    sums, n_pairs, n_met = np.zeros((2, classes.size)), 0, 0
    one = np.ones_like(strata.targets.count)
    count_and_name = strata.send_factors(
        (np.ones_like(strata.sources.count), one), (strata.sources.other, one)
    )
    for pairs in list_fitted(strata):
        n_met += pairs.source.size
        n_shared, stratum = strata.sum_products(count_and_name, pairs).astype(np.int64)
        once = n_shared == 1
        pairs = PairCounts(*(column[once] for column in pairs))
        for row, values in enumerate((count_hours(pairs), exposure.expect(pairs).news)):
            sums[row] += np.bincount(stratum[once], values, classes.size)
        n_pairs += pairs.source.size
    seen, expected = sums
    if expected.sum() < MIN_EXPECTED:
        return None
    by_class, spread = _fit_classes(seen, expected, classes)
    return Reference(
        "met_once", n_pairs, int(seen.sum()), float(expected.sum()), by_class, spread,
        _doubt_inflation(by_class[classes] * expected, spread[classes]),
        n_met if lists_all(strata) else None, strata,
        _send_classes(strata, by_class[classes], spread[classes]),
    )  # fmt: skip


def _send_classes(strata: Strata, inflation: Any, spread: Any) -> tuple[Any, ...]:
    """Send the factors of mu, of lambda mu, and of spread (lambda mu)^2, from those of strata."""
    count, stratum = strata.targets.count, strata.sources.other
    share = strata.source_share * inflation[stratum]
    squares = share**2 * spread[stratum]
    return strata.send_factors((strata.source_share, count), (share, count), (squares, count**2))


def _doubt_inflation(mean: Any, spread: Any) -> float:
    """Return the variance of a sum of counts over the square of its mean: of counts in strata."""
    return float((mean.sum() + (spread * mean**2).sum()) / mean.sum() ** 2)


def _fit_classes(seen: Any, expected: Any, classes: Any) -> tuple[Any, Any]:
    n_classes = int(classes.max()) + 1
    by_class, spread = np.empty(n_classes), np.empty(n_classes)
    for number in range(n_classes):
        mine = (classes == number) & (expected > 0)
        if expected[mine].sum() < MIN_EXPECTED:
            mine = expected > 0
        fitted = solve_moments(sum_moments(seen[mine], expected[mine]), 0, least=1.0)
        by_class[number], spread[number] = fitted.inflation, fitted.dispersion
    return by_class, spread


def ask_controls(
    exposure: Exposure, count_hours: Callable[[PairCounts], Any], is_control: Any, *, name: str
) -> Reference:
    """Fit the reference to all pairs with an account that the user calls a control.

    Parameters
    ----------
    exposure, count_hours
        As of `find_reference`.
    is_control
        Marks of the accounts, (n_accounts,).
    name
        What the controls are called.

    Raises
    ------
    ValueError
        There are too few such pairs.
    """
    sums, n_pairs, n_met = np.zeros(5), 0, 0
    for pairs in list_fitted(exposure.strata):
        n_met += pairs.source.size
        mine = is_control[pairs.source] | is_control[pairs.target]
        pairs = PairCounts(*(column[mine] for column in pairs))
        sums += sum_moments(count_hours(pairs), exposure.expect(pairs).news)
        n_pairs += pairs.source.size
    if n_pairs < MIN_PAIRS or sums[1] < MIN_EXPECTED:
        raise ValueError(
            f"reference is {name!r}: {int(is_control.sum())} accounts, with {n_pairs} pairs that "
            f"share anything, and {sums[1]:.3g} hours to be expected of them; {MIN_PAIRS} pairs "
            f"and {MIN_EXPECTED:g} hours are needed: give more controls, or leave it out."
        )
    fitted = solve_moments(sums, n_pairs, least=1.0)
    doubt = 1 / (fitted.inflation * sums[1]) + fitted.dispersion * sums[4] / sums[1] ** 2
    return Reference(
        "controls", n_pairs, int(sums[0]), float(sums[1]), np.array([fitted.inflation]),
        np.array([fitted.dispersion]), float(doubt), n_met if lists_all(exposure.strata) else None,
        exposure.strata, None,
    )  # fmt: skip


def describe_reference(reference: Reference | None) -> dict[str, Any] | None:
    """Return what ``run.json`` says of a reference."""
    if reference is None:
        return None
    return {
        "kind": reference.kind,
        "strata": reference.strata.null,
        "n_pairs": reference.n_pairs,
        "n_hours": reference.n_hours,
        "expected": reference.expected,
        "lambda": reference.inflation,
        "by_class": reference.by_class.tolist(),
        "spread": reference.spread.tolist(),
        "doubt": reference.doubt,
    }
