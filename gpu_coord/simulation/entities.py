"""What posts can use: hashtags, URLs and mentions, in topics of equal size.

In: a scenario and its accounts. Out: ``Entities`` of each kind, with three spellings of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gpu_coord.simulation.draws import pick
from gpu_coord.simulation.words import KINDS, WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpu_coord.simulation.accounts import Accounts
    from gpu_coord.simulation.draws import Ints
    from gpu_coord.simulation.scenario import Scenario

N_HOSTS = 40


@dataclass(frozen=True, slots=True)
class Entities:
    """What posts of one kind can use: topics of equal size, each with the same popularity law."""

    kind: str
    n_topics: int
    topic_size: int
    popularity: Ints  # cumulative weights by rank inside a topic
    spellings: pl.Series  # three spellings of each entity: the first of all, the second of all, …

    @property
    def n(self) -> int:
        """Number of entities."""
        return self.n_topics * self.topic_size


def plan_entities(scenario: Scenario, accounts: Accounts) -> tuple[Entities, ...]:
    """Name the entities of each kind, in the order of KINDS."""
    sizes = (scenario.n_hashtags, scenario.n_urls, scenario.n_mentions)
    spellers: tuple[Callable[[Ints], pl.Series], ...] = (
        _spell_hashtags,
        _spell_urls,
        lambda numbers: _spell_mentions(numbers, accounts.ids, scenario.n_accounts),
    )
    return tuple(
        _plan_kind(kind, scenario.n_topics, size // scenario.n_topics, spell)
        for kind, size, spell in zip(KINDS, sizes, spellers, strict=True)
    )


def _plan_kind(
    kind: str, n_topics: int, topic_size: int, spell: Callable[[Ints], pl.Series]
) -> Entities:
    popularity = np.cumsum(2**24 // np.arange(5, topic_size + 5))
    spellings = spell(np.arange(n_topics * topic_size))
    return Entities(kind, n_topics, topic_size, popularity, spellings)


def _spell_hashtags(numbers: Ints) -> pl.Series:
    n_words = 20
    words = pl.Series([word for text in WORDS.values() for word in text.split()[:n_words]])
    language, number = numbers % len(WORDS), numbers // len(WORDS)
    first = words.gather(language * n_words + number % n_words)
    second = words.gather(language * n_words + number // n_words % n_words)
    turn = pl.Series(number // n_words**2)
    tags = first + second + turn.cast(pl.String).replace("0", "")
    return pl.concat([tags, tags.str.to_uppercase(), tags])


def _spell_urls(numbers: Ints) -> pl.Series:
    number, host = pl.col("number").cast(pl.String), (pl.col("number") % N_HOSTS).cast(pl.String)
    page = pl.concat_str(pl.lit("https://news"), host, pl.lit(".example.com/2021/story-"), number)
    url = (
        pl.when(pl.col("number") % 8 == 3)
        .then(pl.lit("https://www.youtube.com/watch?v=") + number.str.zfill(11))
        .when(pl.col("number") % 11 == 7)
        .then(pl.lit("https://twitter.com/paper/status/13") + number.str.zfill(17))
        .when(pl.col("number") % 17 == 5)
        .then(page + ",part,2/")
        .otherwise(page)
    )
    plain = pl.select(number=numbers).select(url.alias("url"))["url"]
    marks = pl.select(
        pl.when(plain.str.contains("?", literal=True)).then(pl.lit("&")).otherwise(pl.lit("?"))
    )
    tracked = plain + marks.to_series() + "utm_source=feed&utm_medium=social"
    return pl.concat([plain, tracked, plain + "#top"])


def _spell_mentions(numbers: Ints, ids: pl.Series, n_accounts: int) -> pl.Series:
    inside = find_mentioned_accounts(numbers, n_accounts)
    outside = pl.Series(10_000_019 + numbers * 982_451_653).cast(pl.String)
    known = ids.gather(np.maximum(inside, 0))
    mentions = known.zip_with(pl.Series(inside >= 0), outside)
    return pl.concat([mentions, mentions, mentions])


def find_mentioned_accounts(mentions: Ints, n_accounts: int) -> Ints:
    """Account of each mention entity: one in twenty; -1 for those outside the archive."""
    account = n_accounts - 1 - mentions // 20
    return np.where((mentions % 20 == 13) & (account >= 0), account, -1)


def draw_entities(
    scenario: Scenario, entities: Entities, topics: Ints, rng: np.random.Generator
) -> Ints:
    """One entity for each account's topic, by interest and popularity."""
    n = len(topics)
    own = rng.random(n) < scenario.topic_share
    topic = np.where(own, topics, rng.integers(0, scenario.n_topics, size=n))
    ranks = pick(entities.popularity, n, rng)
    return np.asarray(topic * entities.topic_size + ranks)
