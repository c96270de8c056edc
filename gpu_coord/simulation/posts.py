"""The posts, chunk by chunk.

In: a plan. Out: ``Posts`` as numbers, and the same as cells of the 2020-09 release. Each chunk has
a stream of its own, so that memory stays flat.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gpu_coord.simulation.draws import find_interval, open_stream, pick
from gpu_coord.simulation.entities import draw_entities
from gpu_coord.simulation.episodes import draw_episode_times, draw_episodes
from gpu_coord.simulation.sources import draw_sources
from gpu_coord.simulation.times import (
    draw_times,
    fold_times,
    mint_tweet_ids,
    separate_times,
    write_times,
)
from gpu_coord.simulation.words import (
    CLIENTS,
    HOSTILE_CELLS,
    HOSTILE_SHARE,
    KINDS,
    LANGUAGES,
    N_SLOTS,
    TWEET_COLUMNS,
    draw_phrases,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from gpu_coord.simulation.draws import Bools, Ints
    from gpu_coord.simulation.plan import Plan

# The archive's bytes depend on this number: each chunk has its own stream.
POSTS_PER_CHUNK = 100_000


@dataclass(frozen=True, slots=True)
class Posts:
    """One chunk of posts as numbers; -1 means none."""

    number: Ints  # of the post in the archive; those of the operation are the smallest
    account: Ints
    time: Ints  # milliseconds since 1970
    slots: tuple[Ints, ...]  # by kind, (n, N_SLOTS): positions in the kind's spellings
    source: Ints  # retweeted or answered post from outside
    plant: Ints  # retweeted post of the operation
    quote: Ints  # quoted post from outside
    retweet: Bools
    phrases: Ints  # (n, N_PHRASES)
    chance: npt.NDArray[np.float64]  # (n, 7) uniform numbers for all that carries no meaning


def count_chunks(n_posts: int) -> int:
    """Return the number of chunks that hold ``n_posts``."""
    return -(-n_posts // POSTS_PER_CHUNK)


def find_row_stride(n_posts: int) -> int:
    """Row ``r`` holds post ``r * stride % n_posts``, which spreads every account's posts evenly."""
    golden = int(n_posts * 0.6180339887)
    return next(stride for stride in count(golden + 1) if gcd(stride, n_posts) == 1)


def draw_posts(plan: Plan, chunk: int) -> Posts:
    """Draw one chunk of rows."""
    rng = open_stream(plan.seed, "posts", chunk)
    n_posts = plan.scenario.n_posts
    rows = np.arange(chunk * POSTS_PER_CHUNK, min((chunk + 1) * POSTS_PER_CHUNK, n_posts))
    number = rows * find_row_stride(n_posts) % n_posts
    return _overlay_operation(plan, _draw_organic_posts(plan, number, rng))


def _draw_organic_posts(plan: Plan, number: Ints, rng: np.random.Generator) -> Posts:
    """Draw posts as of unaffiliated accounts; operation posts get placeholders."""
    n, scenario, rates = len(number), plan.scenario, plan.rates
    account = find_interval(plan.posts_until, number - plan.joint.n_posts)
    topics = plan.accounts.topic[account]
    time, slots = _draw_uses(plan, account, topics, rng)
    who = plan.accounts
    time = fold_times(time, who.active_from[account], who.active_until[account])
    time = separate_times(time + scenario.start_ms, number, scenario.n_posts)
    answer = rng.random(n)
    retweet = answer < rates.retweet
    source = draw_sources(plan.sources, time, rng)
    quoted = ~retweet & (rng.random(n) < rates.quote)
    return Posts(
        number=number,
        account=account,
        time=time,
        slots=slots,
        source=np.where(answer < rates.retweet + rates.reply, source, -1),
        plant=np.full(n, -1),
        quote=np.where(quoted, draw_sources(plan.sources, time, rng), -1),
        retweet=retweet,
        phrases=draw_phrases(plan.accounts.language[account], rng),
        chance=rng.random((n, 7)),
    )


def _draw_uses(
    plan: Plan, account: Ints, topics: Ints, rng: np.random.Generator
) -> tuple[Ints, tuple[Ints, ...]]:
    """Draw times and entities: an episode sets both, else the account's rhythm and interest."""
    scenario, timezones = plan.scenario, plan.accounts.timezone[account]
    times = draw_times(scenario, timezones, rng)
    kind = np.searchsorted(np.cumsum(plan.rates.episodes), rng.random(len(account)), side="right")
    slots = []
    for position, episodes in enumerate(plan.episodes):
        uses = _draw_slots(plan, position, topics, rng)
        joined = np.flatnonzero(kind == position)
        chosen = draw_episodes(scenario, episodes, topics[joined], rng)
        times[joined] = draw_episode_times(scenario, episodes, chosen, timezones[joined], rng)
        uses[joined, 0] = episodes.entity[chosen]
        slots.append(uses)
    return times, tuple(slots)


def _draw_slots(plan: Plan, position: int, topics: Ints, rng: np.random.Generator) -> Ints:
    """Entities of one kind outside episodes: (n, N_SLOTS), some of them spelt differently."""
    entities, n_slots = plan.entities[position], N_SLOTS[position]
    row, slot = np.nonzero(rng.random((len(topics), n_slots)) < plan.rates.slots[position])
    entity = draw_entities(plan.scenario, entities, topics[row], rng)
    spelling = pick(np.cumsum((8, 1, 1)), len(row), rng)
    uses = np.full((len(topics), n_slots), -1)
    uses[row, slot] = entity + spelling * entities.n
    return uses


def _overlay_operation(plan: Plan, posts: Posts) -> Posts:
    """Put the operation's posts where they belong."""
    operation = plan.joint
    row = np.flatnonzero(posts.number < operation.n_posts)
    post = posts.number[row]
    n_posts = plan.scenario.n_posts
    time = _put(posts.time, row, separate_times(operation.time[post], post, n_posts))
    slots = []
    for position, uses in enumerate(posts.slots):
        planted = np.where(operation.kind[post] == position, operation.entity[post], -1)
        rest = np.full((len(row), uses.shape[1] - 1), -1)
        slots.append(_put(uses, row, np.column_stack([planted, rest])))
    return replace(
        posts,
        account=_put(posts.account, row, operation.account[post]),
        time=time,
        slots=tuple(slots),
        source=_put(posts.source, row, np.full(len(row), -1)),
        plant=_put(posts.plant, row, np.where(operation.retweet[post], operation.origin[post], -1)),
        quote=_put(posts.quote, row, np.full(len(row), -1)),
        retweet=_put(posts.retweet, row, operation.retweet[post]),
        phrases=_put(posts.phrases, row, operation.phrases[post]),
    )


def _put(values: Any, row: Ints, new: Any) -> Any:
    changed = values.copy()
    changed[row] = new
    return changed


# Rendering: numbers to the cells of the 2020-09 release.


def render_posts(plan: Plan, posts: Posts) -> pl.DataFrame:
    """Write out the 30 columns of a tweets file, one row per post."""
    tweet_id = mint_tweet_ids(posts.time, posts.number)
    uses = {
        kind: _gather_slots(entities.spellings, slots)
        for kind, entities, slots in zip(KINDS, plan.entities, posts.slots, strict=True)
    }
    author = find_authors(plan, posts)
    cells = {
        "tweetid": pl.Series(tweet_id),
        **_render_texts(plan, posts, tweet_id, author, uses),
        **_render_references(plan, posts, author),
        **_render_counts(posts.chance),
        "hashtags": _render_list(uses["hashtag"]),
        "urls": _render_list(uses["url"]),
        "user_mentions": _render_list([author, *uses["mention"]]),
    }
    profile = plan.accounts.profile[posts.account]
    return profile.with_columns(**cells).select(TWEET_COLUMNS)


def _gather(values: pl.Series, positions: Ints) -> pl.Series:
    """Values at positions; null where the position is -1."""
    chosen = pl.select(pl.when(pl.Series(positions >= 0)).then(pl.Series(positions))).to_series()
    return values.gather(chosen)


def _gather_slots(spellings: pl.Series, slots: Ints) -> list[pl.Series]:
    return [_gather(spellings, slots[:, place]) for place in range(slots.shape[1])]


def _join(parts: list[pl.Series], separator: str) -> pl.Series:
    return pl.select(pl.concat_str(parts, separator=separator, ignore_nulls=True)).to_series()


def _render_list(items: list[pl.Series]) -> pl.Series:
    """Cells like ['a', 'b'], and [] without items."""
    cells = "['" + _join(items, "', '") + "']"
    return cells.replace("['']", "[]")


def find_authors(plan: Plan, posts: Posts) -> pl.Series:
    """Id of the account that each post retweets or answers; null for posts that do neither."""
    mentions = plan.entities[KINDS.index("mention")].spellings
    outside = np.where(posts.source < 0, -1, plan.sources.author[posts.source])
    known = _gather(plan.accounts.ids, _find_known_authors(plan, posts))
    return pl.select(pl.coalesce(known, _gather(mentions, outside))).to_series()


def _render_texts(
    plan: Plan,
    posts: Posts,
    tweet_id: Ints,
    author: pl.Series,
    uses: dict[str, list[pl.Series]],
) -> dict[str, pl.Series]:
    language = pl.Series(LANGUAGES).gather(plan.accounts.language[posts.account])
    client = np.floor(posts.chance[:, 1] * len(CLIENTS)).astype(np.int64)
    parts = [
        _open_texts(plan, posts, author),
        *_gather_slots(plan.phrases, find_phrases(plan, posts)),
        *("#" + tag for tag in uses["hashtag"]),
        *("@" + name for name in uses["mention"]),
        *_shorten_urls(tweet_id, uses["url"]),
    ]
    return {
        "tweet_text": _join(parts, " "),
        "tweet_language": language.set(pl.Series(posts.chance[:, 2] < 0.05), "und"),
        "tweet_time": write_times(posts.time, "%Y-%m-%d %H:%M"),
        "tweet_client_name": pl.Series(CLIENTS).gather(client),
    }


def _open_texts(plan: Plan, posts: Posts, author: pl.Series) -> pl.Series:
    """First words: whom the post retweets or answers; a hostile cell in a few others."""
    hostile = np.floor(posts.chance[:, 1] * len(HOSTILE_CELLS)).astype(np.int64)
    # Copies must keep the wording of what they copy, so the operation opens with none.
    rare = (posts.chance[:, 0] < HOSTILE_SHARE) & (posts.number >= plan.joint.n_posts)
    return pl.select(
        pl.when(pl.Series(posts.retweet))
        .then("RT @" + author + ":")
        .when(author.is_not_null())
        .then("@" + author)
        .otherwise(_gather(pl.Series(HOSTILE_CELLS), np.where(rare, hostile, -1)))
    ).to_series()


def find_phrases(plan: Plan, posts: Posts) -> Ints:
    """Retweets of posts from outside have those posts' words."""
    retweeted = posts.retweet & (posts.source >= 0)
    return np.where(retweeted[:, None], plan.sources.phrases[posts.source], posts.phrases)


def _shorten_urls(tweet_id: Ints, urls: list[pl.Series]) -> list[pl.Series]:
    """Each use of a URL shows in the text as a short link of its own."""
    code = "https://t.co/" + pl.Series(tweet_id).cast(pl.String).str.slice(8)
    return [
        pl.select(pl.when(url.is_not_null()).then(code + str(place))).to_series()
        for place, url in enumerate(urls)
    ]


def _render_references(plan: Plan, posts: Posts, author: pl.Series) -> dict[str, pl.Series]:
    """Name what the post retweets, answers and quotes; retweeted outsiders stay unnamed."""
    answer = _gather(pl.Series(plan.sources.tweet_id), posts.source)
    retweet, reply = pl.Series(posts.retweet), pl.Series(~posts.retweet)
    known = _gather(plan.accounts.ids, _find_known_authors(plan, posts))
    plant = _gather(pl.Series(mint_plant_ids(plan)), posts.plant)
    choices: dict[str, pl.Expr | pl.Series] = {
        "in_reply_to_userid": pl.when(reply).then(author),
        "in_reply_to_tweetid": pl.when(reply).then(answer),
        "quoted_tweet_tweetid": _gather(pl.Series(plan.sources.tweet_id), posts.quote),
        "is_retweet": pl.when(retweet).then(pl.lit("true")).otherwise(pl.lit("false")),
        "retweet_userid": pl.when(retweet).then(known),
        "retweet_tweetid": pl.when(retweet).then(pl.coalesce(answer, plant)),
    }
    return pl.select([cells.alias(name) for name, cells in choices.items()]).to_dict()


def _find_known_authors(plan: Plan, posts: Posts) -> Ints:
    """Account of the retweeted or answered author, -1 outside the archive."""
    inside = np.where(posts.source < 0, -1, plan.sources.account[posts.source])
    return np.where(posts.plant < 0, inside, np.r_[plan.joint.account, -1][posts.plant])


def mint_plant_ids(plan: Plan) -> Ints:
    """Tweet ids of the plants, as their own rows have them."""
    posts = np.arange(plan.joint.n_plants)
    times = separate_times(plan.joint.time[posts], posts, plan.scenario.n_posts)
    return mint_tweet_ids(times, posts)


def _render_counts(chance: npt.NDArray[np.float64]) -> dict[str, pl.Series]:
    """Engagement: mostly nothing, sometimes a lot; no places."""
    names = ("quote_count", "reply_count", "like_count", "retweet_count")
    odds = chance[:, 3:] / (1 - chance[:, 3:])
    counts = np.minimum(odds * (0.05, 0.2, 1.0, 0.5), 100_000).astype(np.int64)
    absent = pl.repeat("absent", len(chance), eager=True)
    engagement = {name: pl.Series(counts[:, place]) for place, name in enumerate(names)}
    return {"latitude": absent, "longitude": absent, **engagement}
