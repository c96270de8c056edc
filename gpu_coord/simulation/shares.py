"""Posts as a share table: one row for each post and object.

In: a plan and posts as numbers. Out: ``account_id, object_id, content_id, timestamp_share, kind,
platform``, with whole seconds, and objects in one spelling, as such tables are read verbatim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gpu_coord.simulation.posts import find_authors, find_phrases, mint_plant_ids
from gpu_coord.simulation.times import mint_tweet_ids
from gpu_coord.simulation.words import KINDS, LANGUAGES, PHRASES_PER_LANGUAGE

if TYPE_CHECKING:
    from gpu_coord.simulation.draws import Ints
    from gpu_coord.simulation.plan import Plan
    from gpu_coord.simulation.posts import Posts

N_CODES = len(LANGUAGES) * PHRASES_PER_LANGUAGE + 1  # a phrase, or none


def render_shares(plan: Plan, posts: Posts) -> pl.DataFrame:
    """Write out the rows of a share table, each once."""
    rows = [*_list_uses(plan, posts), _list_retweets(plan, posts), _list_texts(plan, posts)]
    named = {
        "account_id": plan.accounts.ids.gather(posts.account),
        "content_id": pl.Series(mint_tweet_ids(posts.time, posts.number)).cast(pl.String),
        "timestamp_share": pl.Series(posts.time // 1000),
        "platform": "platform "
        + pl.Series(posts.account % plan.scenario.n_platforms + 1).cast(pl.String),
    }
    table = pl.concat(rows)
    cells = {name: values.gather(table["row"]) for name, values in named.items()}
    return (
        table.with_columns(**cells)
        .select("account_id", "object_id", "content_id", "timestamp_share", "kind", "platform")
        .unique(maintain_order=True)
    )


def _list_objects(row: Ints, objects: pl.Series, kind: str) -> pl.DataFrame:
    table = pl.DataFrame({"row": row, "object_id": objects.cast(pl.String)})
    return table.with_columns(kind=pl.lit(kind)).drop_nulls()


def _list_uses(plan: Plan, posts: Posts) -> list[pl.DataFrame]:
    """Hashtags, URLs and mentions, whom a post retweets or answers included."""
    tables = []
    for kind, entities, slots in zip(KINDS, plan.entities, posts.slots, strict=True):
        row, place = np.nonzero(slots >= 0)
        objects = entities.spellings.gather(slots[row, place] % entities.n)
        tables.append(_list_objects(row, objects, kind))
    authors = find_authors(plan, posts)
    return [*tables, _list_objects(np.arange(len(posts.number)), authors, "mention")]


def _list_retweets(plan: Plan, posts: Posts) -> pl.DataFrame:
    plants = np.r_[mint_plant_ids(plan), -1][posts.plant]
    outside = np.where(posts.retweet & (posts.source >= 0), posts.source, -1)
    ids = np.where(posts.plant >= 0, plants, np.r_[plan.sources.tweet_id, -1][outside])
    row = np.flatnonzero(ids >= 0)
    return _list_objects(row, pl.Series(ids[row]), "retweet")


def _list_texts(plan: Plan, posts: Posts) -> pl.DataFrame:
    """Wordings of posts that are no retweets, by number: their phrases, whatever else they hold."""
    row = np.flatnonzero(~posts.retweet)
    codes = find_phrases(plan, posts)[row] + 1
    number = (codes[:, 0] * N_CODES + codes[:, 1]) * N_CODES + codes[:, 2]
    return _list_objects(row, pl.Series(number), "text")
