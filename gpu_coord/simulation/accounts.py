"""Who there is: the operation, everyone else, and those that never post.

In: a scenario and a seed. Out: ``Accounts``, with the profiles that users.csv shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gpu_coord.simulation.crowds import list_crowds
from gpu_coord.simulation.draws import open_stream, pick
from gpu_coord.simulation.scenario import DAY_MS
from gpu_coord.simulation.times import write_times
from gpu_coord.simulation.words import (
    ADDRESSES,
    HOSTILE_CELLS,
    HOSTILE_SHARE,
    LANGUAGE_WEIGHTS,
    LANGUAGES,
    PLACES,
    PROFILE_COLUMNS,
    PROFILES,
)

if TYPE_CHECKING:
    from gpu_coord.simulation.draws import Bools, Ints
    from gpu_coord.simulation.scenario import Scenario

TIME_ZONES = (-8, -5, -3, 0, 1, 2, 3, 5, 7, 8, 9)  # hours east of UTC


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who there is: operation (group by group, core first), then organic, then silent accounts."""

    profile: pl.DataFrame  # one row per account, PROFILE_COLUMNS
    topic: Ints
    timezone: Ints  # hours east of UTC
    language: Ints  # position in LANGUAGES
    active_from: Ints  # milliseconds since the start, whole days
    active_until: Ints  # the same; the length of the archive unless the account leaves early

    @property
    def ids(self) -> pl.Series:
        """Account ids as text."""
        return self.profile["userid"]


def plan_accounts(scenario: Scenario, seed: int) -> Accounts:
    """Draw every account and its profile."""
    rng = open_stream(seed, "accounts")
    n = scenario.n_accounts + scenario.n_silent
    operation = np.arange(n) < scenario.n_operation
    group = np.arange(n) // scenario.group_size
    topic = np.where(operation, group, rng.integers(0, scenario.n_topics, size=n))
    zones = np.array(TIME_ZONES)[rng.integers(0, len(TIME_ZONES), size=n)]
    timezone = np.where(operation, scenario.operation_timezone_hours, zones)
    language = pick(np.cumsum(LANGUAGE_WEIGHTS), n, rng)
    active_from, active_until = _draw_windows(scenario, n, seed)
    profile = _draw_profiles(scenario, operation, language, active_from, rng)
    topic = topic % scenario.n_topics
    lots = open_stream(seed, "cohort").random(n)
    cohort = (lots < scenario.cohort_share) & ~operation
    timezone = np.where(cohort, scenario.cohort_timezone_hours, timezone)
    for crowd in list_crowds(scenario):
        topic[crowd.accounts] = crowd.groups % scenario.n_topics
    topic = np.where(cohort, 0, topic)
    return Accounts(profile, topic, timezone, language, active_from, active_until)


def _draw_windows(scenario: Scenario, n: int, seed: int) -> tuple[Ints, Ints]:
    """When each account is there: always, or for amplifiers that come and go a week at least."""
    rng = open_stream(seed, "windows")
    first, until = np.zeros(n, dtype=np.int64), np.full(n, scenario.n_days)
    account = np.arange(scenario.n_operation)
    amplifier = account[account % scenario.group_size >= scenario.n_core]
    share = rng.random(len(amplifier))
    day = rng.integers(1, scenario.n_days - 7, size=len(amplifier))
    late, early = share < scenario.churn_share / 2, share >= 1 - scenario.churn_share / 2
    first[amplifier[late]] = day[late]
    until[amplifier[early]] = day[early] + 7
    return first * DAY_MS, until * DAY_MS


def _draw_profiles(
    scenario: Scenario,
    operation: Bools,
    language: Ints,
    active_from: Ints,
    rng: np.random.Generator,
) -> pl.DataFrame:
    n = len(operation)
    ids = _draw_account_ids(n, rng)
    age = np.where(operation, rng.integers(7, 90, size=n), rng.integers(7, 3000, size=n))
    cells = {
        **dict.fromkeys(PROFILE_COLUMNS[:3], ids),
        "user_reported_location": _draw_cells(PLACES, n, rng),
        "user_profile_description": _draw_cells(PROFILES, n, rng),
        "user_profile_url": _draw_cells(ADDRESSES, n, rng),
        "follower_count": _draw_audience(operation, rng),
        "following_count": _draw_audience(operation, rng),
        "account_creation_date": write_times(
            scenario.start_ms + active_from - age * DAY_MS, "%Y-%m-%d"
        ),
        "account_language": pl.Series(LANGUAGES).gather(language),
    }
    return pl.DataFrame(cells)


def _draw_account_ids(n: int, rng: np.random.Generator) -> pl.Series:
    """Base64 of 256 random bits with the slashes removed, as the 2020-09 release writes it."""
    alphabet = np.frombuffer(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", dtype=np.uint8
    )
    letters = alphabet[rng.integers(0, 64, size=(n, 43), dtype=np.uint8)]
    hashes = pl.Series(letters.view("S43").ravel().astype("U43"))
    return hashes.str.replace_all("/", "", literal=True) + "="


def _draw_cells(choices: tuple[str, ...], n: int, rng: np.random.Generator) -> pl.Series:
    """Profile cells, a few of them hostile."""
    usual = rng.integers(0, len(choices), size=n)
    hostile = len(choices) + rng.integers(0, len(HOSTILE_CELLS), size=n)
    drawn = np.where(rng.random(n) < HOSTILE_SHARE, hostile, usual)
    return pl.Series(choices + HOSTILE_CELLS).gather(drawn)


def _draw_audience(operation: Bools, rng: np.random.Generator) -> Ints:
    """Followers: under 5,000, as in hashed accounts; of an operation 78 % none, 95 % under 8."""
    share = rng.random(len(operation))
    usual = np.minimum(60 * share / (1 - share), 4999).astype(np.int64)
    small = np.where(share < 0.95, rng.integers(1, 8, size=len(share)), usual % 500 + 8)
    return np.where(operation, np.where(share < 0.78, 0, small), usual)
