"""Posts from outside the archive that are retweeted, answered and quoted.

In: a scenario and the accounts that can be mentioned. Out: ``Sources``, sorted by time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpu_coord.simulation.draws import find_interval, open_stream, pick
from gpu_coord.simulation.entities import draw_entities, find_mentioned_accounts
from gpu_coord.simulation.scenario import DAY_MS
from gpu_coord.simulation.times import mint_tweet_ids
from gpu_coord.simulation.words import LANGUAGE_WEIGHTS, draw_phrases

if TYPE_CHECKING:
    from gpu_coord.simulation.draws import Ints
    from gpu_coord.simulation.entities import Entities
    from gpu_coord.simulation.scenario import Scenario

SOURCE_LEAD_MS = 7 * DAY_MS  # posts from outside begin this long before the archive


@dataclass(frozen=True, slots=True)
class Sources:
    """Posts from outside the archive that are retweeted, answered and quoted, sorted by time."""

    time: Ints  # milliseconds since 1970
    tweet_id: Ints
    author: Ints  # mention entity
    account: Ints  # the author's account, -1 outside the archive
    phrases: Ints  # (n_sources, N_PHRASES)


def plan_sources(scenario: Scenario, mentions: Entities, seed: int) -> Sources:
    """Draw the posts from outside."""
    rng = open_stream(seed, "sources")
    n = scenario.n_sources
    offset = rng.integers(-SOURCE_LEAD_MS, scenario.span_ms, size=n)
    # The first lies before the archive, so that every post has something to answer.
    time = scenario.start_ms + np.sort(np.r_[-SOURCE_LEAD_MS, offset[1:]])
    topics = rng.integers(0, scenario.n_topics, size=n)
    author = draw_entities(scenario, mentions, topics, rng)
    phrases = draw_phrases(pick(np.cumsum(LANGUAGE_WEIGHTS), n, rng), rng)
    tweet_id = mint_tweet_ids(time, np.arange(n), outside=True)
    account = find_mentioned_accounts(author, scenario.n_accounts)
    return Sources(time, tweet_id, author, account, phrases)


def draw_sources(sources: Sources, times: Ints, rng: np.random.Generator) -> Ints:
    """Choose what a post at each time refers to: one of the last eight in half of the cases."""
    share = rng.random(len(times))
    back = np.floor(8 * share / (1 - share)).astype(np.int64)
    latest = find_interval(sources.time, times) - 1
    return np.asarray(np.maximum(latest - back, 0))
