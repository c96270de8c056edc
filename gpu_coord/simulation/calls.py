"""What crowds post together.

In: a scenario, its accounts and entities. Out: the posts of each crowd in the form of those of an
operation: calls, and the posts that take them up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpu_coord.simulation.crowds import list_crowds
from gpu_coord.simulation.draws import open_stream, pick
from gpu_coord.simulation.operation import Operation
from gpu_coord.simulation.scenario import DAY_MS, MINUTE_MS
from gpu_coord.simulation.times import draw_lag_ms, draw_times
from gpu_coord.simulation.words import draw_phrases

if TYPE_CHECKING:
    from gpu_coord.simulation.accounts import Accounts
    from gpu_coord.simulation.crowds import Crowd
    from gpu_coord.simulation.draws import Ints
    from gpu_coord.simulation.entities import Entities
    from gpu_coord.simulation.scenario import Scenario

MAX_LAG_MS = DAY_MS
LAG_SIGMA = 1.0


def plan_calls(
    scenario: Scenario, accounts: Accounts, entities: tuple[Entities, ...], seed: int
) -> tuple[Operation, ...]:
    """Draw what each crowd posts together."""
    return tuple(
        _plan_crowd(scenario, crowd, accounts, entities, open_stream(seed, "crowds", number))
        for number, crowd in enumerate(list_crowds(scenario))
    )


def _plan_crowd(
    scenario: Scenario,
    crowd: Crowd,
    accounts: Accounts,
    entities: tuple[Entities, ...],
    rng: np.random.Generator,
) -> Operation:
    n_calls = crowd.n_groups * crowd.n_calls
    group = np.arange(n_calls) // crowd.n_calls
    seat = np.zeros(n_calls, dtype=np.int64)
    if not crowd.has_leader:
        seat = rng.integers(0, crowd.group_size, size=n_calls)
    caller = crowd.first_account + group * crowd.group_size + seat
    kind = pick(np.cumsum(crowd.kind_weights), n_calls, rng)
    entity = _draw_call_entities(entities, accounts.topic[caller], kind, rng)
    called = scenario.start_ms + _draw_call_times(scenario, crowd, accounts.timezone[caller], rng)
    follows = rng.random((n_calls, crowd.group_size)) < crowd.follow_probability
    follows[np.arange(n_calls), seat] = False
    origin, other = np.nonzero(follows)
    account = np.r_[caller, crowd.first_account + group[origin] * crowd.group_size + other]
    answered = called[origin] + _draw_answer_lags(crowd, called[origin], rng)
    origin = np.r_[np.arange(n_calls), origin]
    is_answer = np.arange(len(origin)) >= n_calls
    phrases = draw_phrases(accounts.language[account], rng)
    return Operation(
        n_plants=n_calls,
        account=account,
        time=np.r_[called, answered],
        kind=kind[origin],
        entity=entity[origin],
        origin=origin,
        retweet=is_answer & crowd.is_retweet,
        phrases=phrases[origin] if crowd.is_same_wording else phrases,
    )


def _draw_call_entities(
    entities: tuple[Entities, ...], topic: Ints, kind: Ints, rng: np.random.Generator
) -> Ints:
    """Draw any entity of the group's topic: what is new is rarely what is popular."""
    size = np.array([of_kind.topic_size for of_kind in entities])[kind]
    return np.asarray(topic * size + rng.integers(0, size))


def _draw_call_times(
    scenario: Scenario, crowd: Crowd, timezones: Ints, rng: np.random.Generator
) -> Ints:
    """Milliseconds since the start, two days before the end at the latest.

    Items of feeds appear at any hour, in the first third of a minute.
    """
    latest = scenario.span_ms - 2 * DAY_MS
    if crowd.lag_seconds > 0:
        return draw_times(scenario, timezones, rng) % latest
    minute = rng.integers(0, latest // MINUTE_MS, size=len(timezones))
    return np.asarray(minute * MINUTE_MS + rng.integers(0, MINUTE_MS // 3, size=len(timezones)))


def _draw_answer_lags(crowd: Crowd, called: Ints, rng: np.random.Generator) -> Ints:
    if crowd.lag_seconds > 0:
        return draw_lag_ms(len(called), crowd.lag_seconds, LAG_SIGMA, MAX_LAG_MS, rng)
    return 1000 + rng.integers(0, MINUTE_MS - called % MINUTE_MS - 1000)
