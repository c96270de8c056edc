"""Streams of chance numbers, and the laws drawn from them.

Machines round logarithms and powers differently in the last bit, so whatever is drawn comes from
integers and exactly rounded operations, or is quantised far above that bit.
"""

from __future__ import annotations

from math import exp, log
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

# The order counts: new streams go to the end.
STREAMS = (
    *("accounts", "episodes", "sources", "operation", "counts", "phrases", "posts"),
    *("lags", "windows", "cohort", "crowds"),
)


def open_stream(seed: int, part: str, chunk: int = 0) -> np.random.Generator:
    """Open the numbers of one part of the archive, independent of those of all others."""
    return np.random.default_rng((seed, STREAMS.index(part), chunk))


def pick(cumulative: Ints, n: int, rng: np.random.Generator) -> Ints:
    """Draw ``n`` indices with integer weights, given as their cumulative sum."""
    return find_interval(cumulative, rng.integers(0, cumulative[-1], size=n))


def find_interval(cumulative: Ints, values: Ints) -> Ints:
    """Index of the first cumulative sum above each value."""
    return np.asarray(np.searchsorted(cumulative, values, side="right"), dtype=np.int64)


def draw_pareto(n: int, alpha: float, most: float, rng: np.random.Generator) -> Ints:
    """Draw ``n`` Pareto values from 1 to ``most``, in units of 1/1024."""
    values = np.minimum((1.0 - rng.random(n)) ** (-1.0 / alpha), most)
    return np.asarray(np.floor(values * 1024), dtype=np.int64)


def _tabulate_exponential() -> Floats:
    n_steps = 4096
    quantiles = [-log(1 - step / n_steps) for step in range(n_steps)] + [log(2 * n_steps)]
    return np.round(np.array(quantiles) * 2**20) / 2**20


EXPONENTIAL = _tabulate_exponential()


def draw_exponential(n: int, rng: np.random.Generator) -> Floats:
    """Draw ``n`` exponential values of mean 1, by interpolation in a table of quantiles."""
    return _interpolate(EXPONENTIAL, n, rng)


def draw_lognormal(n: int, median: float, sigma: float, rng: np.random.Generator) -> Floats:
    """Draw ``n`` lognormal values, by interpolation in a table of quantiles.

    The outermost of 4,096 steps end at their middles, so that no value is without bound.
    """
    n_steps = 4096
    middles = [NormalDist().inv_cdf((step + 0.5) / n_steps) for step in range(n_steps)]
    table = np.round(np.array([exp(sigma * z) for z in middles]) * 2**20) / 2**20
    return median * _interpolate(table, n, rng)


def _interpolate(table: Floats, n: int, rng: np.random.Generator) -> Floats:
    position = rng.random(n) * (len(table) - 1)
    step = position.astype(np.int64)
    return table[step] + (position - step) * (table[step + 1] - table[step])
