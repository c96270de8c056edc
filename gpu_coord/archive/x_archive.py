"""The X/Twitter information-operations archives: tweets and users files.

In: batches of records as text. Out: posts, events, profiles, and the rows set aside with their
reason. The one idea: columns are found by name and cells judged one by one, because no two
releases agree on either.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gpu_coord.archive.cells import (
    fold_case,
    give_reason,
    null_blank,
    parse_lists,
    parse_stamps,
    parse_tweet_refs,
)
from gpu_coord.archive.intake import book_accounts
from gpu_coord.archive.posts import (
    PostBatch,
    find_firsts,
    keep_rows,
    number_posts,
    read_numbers,
    read_texts,
    stage_posts,
    write_tables,
)
from gpu_coord.archive.sources import read_batches
from gpu_coord.archive.tables import COUNTS, POSTS, PROFILE
from gpu_coord.archive.times import FIRST_TWEET, find_latest_tweet, show_values
from gpu_coord.ground.urls import normalise_urls
from gpu_coord.store.tables import TableWriter, read_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpu_coord.archive.intake import Intake, Tally
    from gpu_coord.archive.settings import TimeSource
    from gpu_coord.archive.sources import Batch, Source
    from gpu_coord.ground.kinds import UrlRule


PLATFORM = "x"

SNOWFLAKE_EPOCH = 1_288_834_974_657  # ms; an id shifted right by 22 bits counts from here
FIRST_SNOWFLAKE = 29_700_859_247  # ids below were given out one by one and carry no time
MINUTE = 60_000

PROFILE_CELLS = [name.replace("_", "") for name in PROFILE]
REFERENCES = {
    "retweet": "retweettweetid",
    "reply": "inreplytotweetid",
    "quote": "quotedtweettweetid",
}
LISTS = {"hashtag": "hashtags", "url": "urls", "mention": "usermentions"}
TWEET_CELLS = [
    "tweetid",
    "userid",
    "tweettime",
    "tweettext",
    "isretweet",
    *(name.replace("_", "") for name in COUNTS),
    *REFERENCES.values(),
    *LISTS.values(),
    *PROFILE_CELLS,
]
USER_CELLS = ["userid", *PROFILE_CELLS]
# Every column that a tweets file may have; duplicates are compared cell by cell.
ALL_TWEET_CELLS = [
    *TWEET_CELLS,
    "userdisplayname",
    "userscreenname",
    "userreportedlocation",
    "userprofiledescription",
    "userprofileurl",
    "tweetlanguage",
    "tweetclientname",
    "inreplytouserid",
    "retweetuserid",
    "latitude",
    "longitude",
    "pollchoices",
]

STAGED_POSTS: dict[str, Any] = {
    "tweet": pl.Int64,
    "account": pl.UInt32,  # code
    "time": pl.Int64,
    "time_from": pl.Enum(["id", "old id", "stamp", "mismatch"]),
    **dict.fromkeys(COUNTS, pl.Int64),
}
_REASONS = {
    "no tweetid": pl.col("tweetid").is_null(),
    "tweetid is no whole number below 2^63": pl.col("tweet").is_null(),
    "no userid": ~pl.col("has_user"),
    "no tweet_time": ~pl.col("has_stamp"),
    "tweet_time is no date with a time of day": pl.col("stamp").is_null(),
}


def judge_tweets(cells: pl.DataFrame, *, time: TimeSource, latest: int) -> pl.DataFrame:
    """Read id and time of each tweet, and give a reason where the row cannot be stored.

    Parameters
    ----------
    latest
        Time that no tweet can be later than, milliseconds.

    Returns
    -------
    Columns ``tweet`` (Int64), ``userid``, ``time`` (ms UTC), ``time_from`` (``id``, ``old id``,
    ``stamp``, ``mismatch``), ``reason`` (null: the row is good) and ``value`` (the time, where the
    reason is about it).
    """
    stamp = parse_stamps(cells["tweettime"])
    tweet = pl.col("tweetid").str.strip_chars().str.extract(r"^([0-9]{1,19})$")
    named = cells.select(
        "userid",
        null_blank(pl.col("tweetid")).alias("tweetid"),
        has_user=null_blank(pl.col("userid")).is_not_null(),
        has_stamp=null_blank(pl.col("tweettime")).is_not_null(),
        stamp=stamp,
        tweet=tweet.cast(pl.Int64, strict=False),
    )
    faults = {
        "tweet_time is before Twitter began (2006-03-21)": pl.col("stamp") < FIRST_TWEET,
        "tweet_time is later than the file": pl.col("stamp") > latest,
    }
    judged = named.select(pl.all(), reason=give_reason(_REASONS), fault=give_reason(faults))
    values = show_values(cells["tweettime"], judged["fault"])
    judged = judged.with_columns(values.alias("value"), reason=pl.coalesce("reason", "fault"))
    return judged.drop("fault").with_columns(_choose_time(time))


def _choose_time(time: TimeSource) -> list[pl.Expr]:
    stamp = pl.col("stamp")
    if time == "stamp":
        return [stamp.alias("time"), pl.lit("stamp").alias("time_from")]
    born = pl.col("tweet") // (1 << 22) + SNOWFLAKE_EPOCH
    agrees = (born // MINUTE * MINUTE == stamp) | (born // 1000 == stamp // 1000)
    carries_time = pl.col("tweet") >= FIRST_SNOWFLAKE
    time_from = (
        pl.when(~carries_time)
        .then(pl.lit("old id"))
        .when(agrees)
        .then(pl.lit("id"))
        .otherwise(pl.lit("mismatch"))
    )
    chosen = pl.when(carries_time & agrees).then(born).otherwise(stamp)
    return [chosen.alias("time"), time_from.alias("time_from")]


def read_post_counts(cells: pl.DataFrame, unread: Counter[str]) -> pl.DataFrame:
    """Read the engagement counts of good tweets; what cannot be read is null and counted."""
    return _read_columns(cells, COUNTS, unread)


def read_profiles(cells: pl.DataFrame, unread: Counter[str]) -> pl.DataFrame:
    """Read the profile columns; what cannot be read is null and counted."""
    return _read_columns(cells, PROFILE, unread)


def _read_columns(cells: pl.DataFrame, names: Sequence[str], unread: Counter[str]) -> pl.DataFrame:
    taken = {name: null_blank(pl.col(name.replace("_", ""))) for name in names}
    return read_numbers(cells.select(**taken), unread)


def extract_entities(
    cells: pl.DataFrame, *, url_rule: UrlRule, unread: Counter[str], keep_texts: bool = False
) -> dict[str, pl.DataFrame]:
    """Return the entities of good tweets by kind: columns ``row`` and ``value``.

    Parameters
    ----------
    cells
        Cells of good tweets, with their number in ``row``.
    unread
        Cells that hold something unreadable are counted here, by kind.
    keep_texts
        Of texts, also return the normalised wording, as ``text``.
    """
    entities = {
        kind: _extract_references(cells, column, kind, unread)
        for kind, column in REFERENCES.items()
    }
    for kind, column in LISTS.items():
        entities[kind] = _extract_items(cells, column, kind, unread)
    hashtags, urls = entities["hashtag"], entities["url"]
    entities["hashtag"] = hashtags.with_columns(fold_case(hashtags["value"]).alias("value"))
    known = normalise_urls(urls["value"], rule=url_rule).alias("value")
    unread += Counter({"url (not a URL)": known.null_count()})
    entities["url"] = urls.with_columns(known)
    entities["text"] = _extract_texts(cells, keep=keep_texts)
    for kind in LISTS:  # the others have one value at most
        entities[kind] = entities[kind].unique(maintain_order=True)
    return {kind: frame.drop_nulls("value") for kind, frame in entities.items()}


def _extract_references(
    cells: pl.DataFrame, column: str, kind: str, unread: Counter[str]
) -> pl.DataFrame:
    filled = _take_filled(cells, column)
    read = filled.with_columns(parse_tweet_refs(pl.col("value")))
    unread += Counter({kind: read["value"].null_count()})
    return read


def _take_filled(cells: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return row and value of the cells that hold something; most hold nothing at all."""
    some = cells.select("row", value=column).filter(pl.col("value") != "")
    return some.with_columns(null_blank(pl.col("value"))).drop_nulls()


def _extract_items(
    cells: pl.DataFrame, column: str, kind: str, unread: Counter[str]
) -> pl.DataFrame:
    filled = _take_filled(cells, column).filter(pl.col("value") != "[]")
    lists = parse_lists(filled["value"], split_at="scheme" if kind == "url" else "comma")
    unread += Counter({kind: lists.null_count()})
    items = filled.with_columns(lists.alias("value")).explode("value")
    return items.filter(pl.col("value").str.strip_chars() != "")


def _extract_texts(cells: pl.DataFrame, *, keep: bool) -> pl.DataFrame:
    is_retweet = pl.col("isretweet").str.strip_chars().str.to_lowercase().eq("true")
    is_copy = is_retweet.fill_null(value=False) | null_blank(pl.col("retweettweetid")).is_not_null()
    own = cells.filter(~is_copy).select("row", text="tweettext")
    return read_texts(own, keep=keep)


# --- from sources to tables ----------------------------------------------------------------------


def ingest_x_archive(intake: Intake) -> None:
    """Write the posts and events of the tweets files, and book accounts and entities."""
    users = [tally for tally in intake.tallies if tally.source.role == "users"]
    tweets = [tally for tally in intake.tallies if tally.source.role == "tweets"]
    for tally in users:  # before the tweets: their profiles are kept
        _read_users(intake, tally)
    stage_posts(
        intake,
        tweets,
        TWEET_CELLS,
        STAGED_POSTS,
        read=lambda source, batch: _read_tweets(intake, source, batch),
        code=lambda tally, read: _code_tweets(intake, tally, read),
    )
    is_first = find_firsts(intake, tweets, "tweet")
    posts = np.cumsum(is_first) - 1

    def place(events: pl.DataFrame) -> pl.DataFrame:
        rows = events["row"].to_numpy()
        return keep_rows(events.with_columns(post=posts[rows]), is_first[rows])

    write_tables(
        intake,
        place=place,
        write_posts=lambda: _write_posts(intake, is_first),
        n_rows=is_first.size,
    )
    if not is_first.all():
        intake.facts["differing_cells"] = count_differing_cells(intake, tweets, is_first)


def _read_users(intake: Intake, tally: Tally) -> None:
    for batch in intake.read(tally, USER_CELLS):
        ids = null_blank(pl.col("userid"))
        reasons = batch.frame.select(give_reason({"no userid": ids.is_null()})).to_series()
        intake.reject(tally, batch.rows, reasons)
        users = batch.frame.filter(reasons.is_null())
        codes = intake.accounts.encode(users["userid"])
        n_new = intake.accounts.add_profiles(
            read_profiles(users, intake.unread).with_columns(codes.alias("account"))
        )
        tally.n_stored += n_new
        tally.n_duplicates += users.height - n_new
        book_accounts(intake, tally, codes)
        intake.accounts.mark(codes)


def _read_tweets(intake: Intake, source: Source, batch: Batch) -> PostBatch:
    judged = judge_tweets(batch.frame, time=intake.time, latest=find_latest_tweet(source.path))
    is_good = judged["reason"].is_null()
    cells = batch.frame.filter(is_good).with_row_index("row")
    unread: Counter[str] = Counter()
    return PostBatch(
        rows=batch.rows,
        reasons=judged["reason"],
        posts=judged.filter(is_good).hstack(read_post_counts(cells, unread)),
        profiles=cells.select(PROFILE_CELLS),
        entities=extract_entities(
            cells, url_rule=intake.url_rule, unread=unread, keep_texts=intake.keeps_texts
        ),
        unread=unread,
        values=judged["value"],
    )


def _code_tweets(intake: Intake, tally: Tally, read: PostBatch) -> pl.DataFrame:
    codes = intake.accounts.encode(read.posts["userid"]).alias("account")
    book_accounts(intake, tally, codes)
    is_new = intake.accounts.lack_profile(codes)
    fresh = read_profiles(read.profiles.filter(is_new), intake.unread)
    intake.accounts.add_profiles(fresh.with_columns(codes.filter(is_new)))
    return read.posts.with_columns(codes)


def _write_posts(intake: Intake, is_first: np.ndarray) -> None:
    time_from: Counter[str] = Counter()
    with TableWriter(intake.folder / "posts.parquet", POSTS) as writer:
        for posts in number_posts(intake, is_first):
            time_from.update(dict(posts.group_by("time_from").len().iter_rows()))
            ids = pl.col("tweet").cast(pl.String)
            writer.add(posts.with_columns(content_id=ids, platform=pl.lit(PLATFORM)))
    intake.facts["time_from_id"] = time_from["id"]
    intake.facts["time_from_stamp"] = time_from.total() - time_from["id"]
    intake.facts["time_mismatch"] = time_from["mismatch"]


def count_differing_cells(intake: Intake, tweets: list[Tally], is_first: np.ndarray) -> int:
    """Read the files once more and compare each duplicate with the first row of its tweetid.

    Only columns that all tweets files have are compared, as text.
    """
    parts = read_parts(intake.staged / "posts.arrow", ["tweet"])
    ids = np.concatenate([part["tweet"].to_numpy() for part in parts])
    repeated = np.unique(ids[~is_first])
    columns = [
        cell for cell in ALL_TWEET_CELLS if all(cell in tally.source.columns for tally in tweets)
    ]
    firsts = np.zeros((len(repeated), len(columns)), np.uint64)
    n_rows = n_differing = 0
    for tally in tweets:
        latest = find_latest_tweet(tally.source.path)
        for batch in read_batches(tally.source, columns):
            reasons = judge_tweets(batch.frame, time=intake.time, latest=latest)["reason"]
            cells = batch.frame.filter(reasons.is_null())
            here = slice(n_rows, n_rows + cells.height)
            n_rows += cells.height
            n_differing += _compare(cells, ids[here], is_first[here], repeated, firsts)
    return n_differing


def _compare(
    cells: pl.DataFrame,
    ids: np.ndarray,
    is_first: np.ndarray,
    repeated: np.ndarray,
    firsts: np.ndarray,
) -> int:
    """Note the hashes of first rows in ``firsts``; count the cells of others that differ."""
    at = np.minimum(np.searchsorted(repeated, ids), len(repeated) - 1)
    matters = repeated[at] == ids
    kept = cells.filter(pl.Series(matters))
    hashes = np.stack([column.hash().to_numpy() for column in kept], axis=1)
    at, is_first = at[matters], is_first[matters]
    firsts[at[is_first]] = hashes[is_first]
    return int((firsts[at[~is_first]] != hashes[~is_first]).sum())
