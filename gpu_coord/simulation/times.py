"""When posts are written, and the ids that carry the time.

In: time zones, the operation's office hours, the law of its lags. Out: milliseconds, ids, dates.
"""

from __future__ import annotations

from datetime import date
from math import pi, sin
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gpu_coord.simulation.draws import draw_lognormal, pick
from gpu_coord.simulation.scenario import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from gpu_coord.simulation.draws import Ints
    from gpu_coord.simulation.scenario import Scenario

SNOWFLAKE_EPOCH_MS = 1_288_834_974_657
SNOWFLAKE_LOW_BITS = 22
OFFICE_HOURS = np.array([1] * 8 + [4] + [40] * 9 + [4] + [1] * 5, dtype=np.int64)


def draw_lags(scenario: Scenario, n: int, rng: np.random.Generator) -> Ints:
    """Draw ``n`` lags in bins: the least plus a geometric number, at most ``max_lag_bins``."""
    n_more = scenario.max_lag_bins - scenario.min_lag_bins
    powers = np.cumprod(np.r_[1.0, np.full(n_more, scenario.lag_decay)])
    return scenario.min_lag_bins + pick(
        np.cumsum(np.floor(powers * 2**40).astype(np.int64)), n, rng
    )


def weigh_hours(amplitude: float, power: float = 1.0) -> Ints:
    """How active each local hour is: a power of a sine with its peak at 15 h."""
    weights = [(1 + amplitude * sin(2 * pi * (hour - 9) / 24)) ** power for hour in range(24)]
    return np.maximum(1, np.round(np.array(weights) * 2**16)).astype(np.int64)


def draw_times(scenario: Scenario, timezones: Ints, rng: np.random.Generator) -> Ints:
    """Milliseconds since the start, by the daily rhythm of each time zone (hours east)."""
    n = len(timezones)
    days = rng.integers(0, scenario.n_days, size=n)
    hours = pick(np.cumsum(weigh_hours(scenario.diurnal_amplitude, scenario.diurnal_power)), n, rng)
    local = days * DAY_MS + hours * HOUR_MS + rng.integers(0, HOUR_MS, size=n)
    return (local - timezones * HOUR_MS) % scenario.span_ms


def draw_office_times(scenario: Scenario, n: int, rng: np.random.Generator) -> Ints:
    """Milliseconds since the start, on workdays of the operation and mostly in its office hours."""
    first_weekday = date.fromisoformat(scenario.start).weekday()
    days = np.arange(1, scenario.n_days - 1 - scenario.longest_lag_days)
    workdays = days[(first_weekday + days) % 7 < 5]
    day = workdays[_draw_days(scenario, len(workdays), n, rng)]
    hour = pick(np.cumsum(OFFICE_HOURS), n, rng) - scenario.operation_timezone_hours
    times: Ints = day * DAY_MS + hour * HOUR_MS + rng.integers(0, HOUR_MS, size=n)
    return times


def _draw_days(scenario: Scenario, n_days: int, n: int, rng: np.random.Generator) -> Ints:
    """Draw positions of days, whose rate grows evenly up to ``ramp_factor``."""
    if scenario.ramp_factor == 1:
        return rng.integers(0, n_days, size=n)
    rates = 1 + (scenario.ramp_factor - 1) * np.arange(n_days) / max(n_days - 1, 1)
    return pick(np.cumsum(np.round(rates * 2**20).astype(np.int64)), n, rng)


def draw_lag_ms(
    n: int, median_seconds: float, sigma: float, most_ms: int, rng: np.random.Generator
) -> Ints:
    """Draw ``n`` lognormal lags in milliseconds, from one second to ``most_ms``."""
    lags = np.floor(draw_lognormal(n, 1000 * median_seconds, sigma, rng))
    return np.clip(lags, 1000, max(most_ms, 1000)).astype(np.int64)


def fold_times(times: Ints, first: Ints, until: Ints) -> Ints:
    """Move times into each account's whole days from ``first`` up to ``until``, hours kept."""
    outside = (times < first) | (times >= until)
    return np.where(outside, first + times % (until - first), times)


def separate_times(times: Ints, posts: Ints, n_posts: int) -> Ints:
    """Move times inside their second: posts with equal low id bits never share a millisecond."""
    n_lanes = -(-n_posts // 2**21)
    milli = times % 1000 % (1000 // n_lanes * n_lanes)
    return times - times % 1000 + milli - milli % n_lanes + (posts >> 21)


def mint_tweet_ids(times: Ints, posts: Ints, *, outside: bool = False) -> Ints:
    """Snowflake ids of posts: milliseconds in the high bits; odd numbers are posts from outside."""
    low = (posts % 2**21) * 2 + outside
    return ((times - SNOWFLAKE_EPOCH_MS) << SNOWFLAKE_LOW_BITS) | low


def write_times(times: Ints, form: str) -> pl.Series:
    """Write milliseconds since 1970 as text."""
    return pl.Series(times).cast(pl.Datetime("ms")).dt.strftime(form)
