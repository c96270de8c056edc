"""Organic bursts and viral events, which an operation hides in.

In: the entities of one kind. Out: ``Episodes``, and the times of the posts that join them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpu_coord.simulation.draws import draw_exponential, find_interval, pick
from gpu_coord.simulation.scenario import HOUR_MS
from gpu_coord.simulation.times import draw_times, weigh_hours

if TYPE_CHECKING:
    from gpu_coord.simulation.draws import Ints
    from gpu_coord.simulation.entities import Entities
    from gpu_coord.simulation.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Episodes:
    """Organic bursts and viral events of one kind, sorted by topic."""

    entity: Ints
    start: Ints  # milliseconds since the start of the archive
    decay: Ints  # milliseconds
    cumulative: Ints  # of the expected sizes
    topic_bounds: Ints  # (n_topics + 1,) in units of ``cumulative``
    load: float  # expected uses in episodes over uses outside of them


def plan_episodes(scenario: Scenario, entities: Entities, rng: np.random.Generator) -> Episodes:
    """Draw when which entity is suddenly in demand, and by how much."""
    viral = np.arange(scenario.n_viral + scenario.n_bursts) < scenario.n_viral
    n = len(viral)
    entity = rng.integers(0, scenario.n_topics, size=n) * entities.topic_size
    entity += pick(entities.popularity, n, rng)
    start = rng.integers(0, scenario.span_ms, size=n)
    hours = np.where(viral, rng.integers(6, 25, size=n), rng.integers(1, 7, size=n))
    factor = np.where(viral, scenario.viral_factor, scenario.burst_factor)
    usual = np.diff(entities.popularity, prepend=0)[entity % entities.topic_size]
    size = np.floor(usual * factor * hours).astype(np.int64)
    # An entity's usual rate is usual / popularity[-1] / n_topics of all uses, per hour of the span.
    base = int(entities.popularity[-1]) * scenario.n_topics * scenario.n_days * 24
    order = np.argsort(entity // entities.topic_size, kind="stable")
    cumulative = np.cumsum(size[order])
    first = np.searchsorted(
        entity[order] // entities.topic_size, np.arange(scenario.n_topics + 1), side="left"
    )
    bounds = np.r_[0, cumulative][first]
    load = int(bounds[-1]) / base
    return Episodes(entity[order], start[order], hours[order] * HOUR_MS, cumulative, bounds, load)


def draw_episodes(
    scenario: Scenario, episodes: Episodes, topics: Ints, rng: np.random.Generator
) -> Ints:
    """One episode for each account's topic; where its topic has none, any."""
    n = len(topics)
    low, high = episodes.topic_bounds[topics], episodes.topic_bounds[topics + 1]
    own = (rng.random(n) < scenario.topic_share) & (high > low)
    low, high = np.where(own, low, 0), np.where(own, high, episodes.topic_bounds[-1])
    return find_interval(episodes.cumulative, rng.integers(low, high))


def draw_episode_times(
    scenario: Scenario,
    episodes: Episodes,
    chosen: Ints,
    timezones: Ints,
    rng: np.random.Generator,
) -> Ints:
    """Milliseconds since the start: exponential after the onset, thinned by each account's night.

    Whoever finds no waking moment before the archive ends in four tries posts at any usual time.
    """
    n = len(chosen)
    weights = weigh_hours(scenario.diurnal_amplitude, scenario.diurnal_power)
    times = draw_times(scenario, timezones, rng)
    open_ = np.ones(n, dtype=np.bool_)
    for _ in range(4):
        delay = np.floor(draw_exponential(n, rng) * episodes.decay[chosen]).astype(np.int64)
        tried = episodes.start[chosen] + delay
        hour = (tried // HOUR_MS + timezones) % 24
        awake = rng.integers(0, weights.max(), size=n) < weights[hour]
        accepted = open_ & awake & (tried < scenario.span_ms)
        times = np.where(accepted, tried, times)
        open_ &= ~accepted
    return times
