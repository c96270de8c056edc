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
    NULL_WORDS,
    give_reason,
    null_blank,
    null_words,
    parse_lists,
    parse_stamps,
    parse_tweet_refs,
)
from gpu_coord.archive.ids import ROUNDED_ITEM, is_rounded, mend_ids, say_rounded
from gpu_coord.archive.intake import book_accounts
from gpu_coord.archive.posts import (
    PostBatch,
    count_unread_urls,
    find_firsts,
    keep_rows,
    number_posts,
    place_firsts,
    read_numbers,
    read_texts,
    stage_posts,
    write_tables,
)
from gpu_coord.archive.sources import read_batches
from gpu_coord.archive.tables import COUNTS, POSTS, PROFILE
from gpu_coord.archive.times import FIRST_TWEET, choose_time, find_latest_tweet
from gpu_coord.ground.texts import fold_hashtags
from gpu_coord.ground.urls import normalise_urls
from gpu_coord.store.tables import TableWriter, read_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpu_coord.archive.intake import Intake, Tally
    from gpu_coord.archive.settings import TimeSource
    from gpu_coord.archive.sources import Batch, Source
    from gpu_coord.ground.kinds import UrlRule


PLATFORM = "x"

PROFILE_CELLS = [name.replace("_", "") for name in PROFILE]
REFERENCES = {
    "retweet": "retweettweetid",
    "reply": "inreplytotweetid",
    "quote": "quotedtweettweetid",
}
LISTS = {"hashtag": "hashtags", "url": "urls", "mention": "usermentions"}
# Where the items are dictionaries, as the APIs give them; the first key that holds something.
ITEM_KEYS = {
    "hashtag": ("text", "tag"),
    "url": ("expanded_url", "url"),
    "mention": ("id_str", "id", "username", "screen_name"),
}
# The releases have words of their own for nothing.
X_NULL_WORDS = (*NULL_WORDS, "absent", "NAN", "none", "NONE", "Null")
_COMPARED_ITEMS = 16
NO_TWEETS = ("0", "-1")  # programs write them where there is no other tweet
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


def _take(column: pl.Expr) -> pl.Expr:
    return null_blank(column, X_NULL_WORDS)


def judge_tweets(
    cells: pl.DataFrame, *, time: TimeSource, latest: int, mended: Counter[str]
) -> pl.DataFrame:
    """Read id and time of each tweet, and give a reason where the row cannot be stored.

    Parameters
    ----------
    latest
        Time that no tweet can be later than, milliseconds.
    mended
        Ids that were mended are counted here, by column.

    Returns
    -------
    Columns ``tweet`` (Int64), ``userid``, ``time`` (ms UTC), ``time_from`` (``id``, ``old id``,
    ``stamp``, ``mismatch``), ``reason`` (null: the row is good) and ``value`` (the cell that the
    reason is about, where it is a time or a rounded id).
    """
    stamp = parse_stamps(cells["tweettime"])
    cells = cells.with_columns(mend_ids(cells[name], mended) for name in ("tweetid", "userid"))
    named = cells.select(
        "userid",
        null_words(cells["tweetid"], X_NULL_WORDS),
        has_user=_take(pl.col("userid")).is_not_null(),
        has_stamp=null_words(cells["tweettime"], X_NULL_WORDS).is_not_null(),
        stamp=stamp,
        tweet=_read_whole(cells["tweetid"]),
    )
    rounded = {say_rounded(id): is_rounded(pl.col(id)) for id in ("tweetid", "userid")}
    faults = {
        "tweet_time is before Twitter began (2006-03-21)": pl.col("stamp") < FIRST_TWEET,
        "tweet_time is later than the file": pl.col("stamp") > latest,
    }
    shown = {say_rounded(id): pl.col(id) for id in ("tweetid", "userid")}
    shown |= dict.fromkeys(faults, pl.col("tweettime"))
    values = [pl.when(reason=said).then(value) for said, value in shown.items()]
    conditions = rounded | _REASONS | faults
    # Most rows are good, and get no reason without a look at each.
    at = named.select(pl.any_horizontal(conditions.values()).arg_true()).to_series()
    bad = named[at].with_columns(cells["tweettime"].gather(at), reason=give_reason(conditions))
    bad = bad.with_columns(value=pl.coalesce(values))
    nothing = pl.repeat(None, named.height, dtype=pl.String, eager=True)
    return named.with_columns(
        nothing.clone().scatter(at, bad[name]).alias(name) for name in ("reason", "value")
    ).with_columns(choose_time(time, pl.col("tweet"), pl.col("stamp")))


def _read_whole(ids: pl.Series) -> pl.Series:
    """Read digits as whole numbers below 2^63; null where there is anything else."""
    numbers = ids.cast(pl.Int64, strict=False)
    is_odd = numbers.is_null() | (ids < "0") | (ids >= ":") | (ids.str.len_bytes() > 19)
    at = (ids.is_not_null() & is_odd).arg_true()
    if not at.len():
        return numbers
    digits = ids.gather(at).str.strip_chars().str.extract(r"^([0-9]{1,19})$")
    return numbers.scatter(at, digits.cast(pl.Int64, strict=False))


def read_post_counts(cells: pl.DataFrame, unread: Counter[str]) -> pl.DataFrame:
    """Read the engagement counts of good tweets; what cannot be read is null and counted."""
    return pl.DataFrame([_read_count(cells, name, unread) for name in COUNTS])


def _read_count(cells: pl.DataFrame, name: str, unread: Counter[str]) -> pl.Series:
    """Read what is a whole number at once; a word for nothing, say, is looked for in the rest."""
    column = cells[name.replace("_", "")].alias(name)
    counts = column.cast(pl.Int64, strict=False)
    at = (counts.is_null() & column.is_not_null()).arg_true()
    if not at.len():
        return counts
    rest = _read_columns(cells.select(column.name.replace("_", ""))[at], [name], unread)
    return counts.scatter(at, rest[name])


def read_profiles(cells: pl.DataFrame, unread: Counter[str]) -> pl.DataFrame:
    """Read the profile columns; what cannot be read is null and counted."""
    return _read_columns(cells, PROFILE, unread)


def _read_columns(cells: pl.DataFrame, names: Sequence[str], unread: Counter[str]) -> pl.DataFrame:
    taken = {name: _take(pl.col(name.replace("_", ""))) for name in names}
    return read_numbers(cells.select(**taken), unread)


def extract_entities(
    cells: pl.DataFrame,
    *,
    url_rule: UrlRule,
    unread: Counter[str],
    mended: Counter[str],
    keep_texts: bool = False,
) -> dict[str, pl.DataFrame]:
    """Return the entities of good tweets by kind: columns ``row`` and ``value``.

    Parameters
    ----------
    cells
        Cells of good tweets, with their number in ``row``.
    unread
        Cells that hold something unreadable are counted here, by kind.
    mended
        Ids that were mended are counted here, by column.
    keep_texts
        Of texts, also return the normalised wording, as ``text``.
    """
    entities = {
        kind: _extract_references(cells, column, kind, unread, mended)
        for kind, column in REFERENCES.items()
    }
    for kind, column in LISTS.items():
        entities[kind] = _extract_items(cells, column, kind, unread)
    hashtags, urls, mentions = (entities[kind] for kind in LISTS)
    mentions = mentions.with_columns(mend_ids(mentions["value"].alias("user_mentions"), mended))
    is_lost = mentions.select(is_rounded(pl.col("user_mentions"))).to_series()
    unread += Counter({f"mention{ROUNDED_ITEM}": int(is_lost.sum())})
    entities["mention"] = mentions.select("row", value="user_mentions").filter(~is_lost)
    folded = hashtags.with_columns(fold_hashtags(hashtags["value"]).alias("value"))
    entities["hashtag"] = folded.filter(pl.col("value") != "")
    known = normalise_urls(urls["value"], rule=url_rule).alias("value")
    unread += count_unread_urls(urls["value"], known)
    entities["url"] = urls.with_columns(known)
    entities["text"] = _extract_texts(cells, keep=keep_texts)
    for kind in LISTS:  # the others have one value at most
        entities[kind] = _drop_repeated(entities[kind])
    return {kind: frame.drop_nulls("value") for kind, frame in entities.items()}


def _drop_repeated(items: pl.DataFrame) -> pl.DataFrame:
    """Keep the first of equal items of a row."""
    if not _may_repeat(items["row"].to_numpy(), items["value"].hash().to_numpy()):
        return items
    row = items["row"]
    is_among = (row == row.shift(1)).fill_null(value=False)
    is_among |= (row == row.shift(-1)).fill_null(value=False)
    among = items.filter(is_among)
    is_first = among.select(pl.struct("row", "value").is_first_distinct()).to_series()
    return items.filter((~is_among).scatter(is_among.arg_true(), is_first))


def _may_repeat(rows: np.ndarray, hashes: np.ndarray) -> bool:
    """Tell whether a row may have an item twice; rows of more than some items always may."""
    for lag in range(1, _COMPARED_ITEMS):
        is_same_row = rows[lag:] == rows[:-lag]
        if not is_same_row.any():
            return False
        if (is_same_row & (hashes[lag:] == hashes[:-lag])).any():
            return True
    return True


def _extract_references(
    cells: pl.DataFrame, column: str, kind: str, unread: Counter[str], mended: Counter[str]
) -> pl.DataFrame:
    filled = _take_filled(cells, column)
    if filled["value"].str.contains("^[1-9][0-9]*$").all():
        return filled
    given = filled.filter(~pl.col("value").str.strip_chars().is_in(NO_TWEETS))
    given = given.with_columns(mend_ids(given["value"].alias(column), mended).alias("value"))
    read = given.with_columns(parse_tweet_refs(pl.col("value")))
    n_none, n_unread = filled.height - given.height, read["value"].null_count()
    unread += Counter({f"{kind} (0 or -1)": n_none, kind: n_unread})
    return read


def _take_filled(cells: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return row and value of the cells that hold something; most hold nothing at all."""
    some = cells.select("row", value=column).filter(~pl.col("value").is_in(["", "[]"]))
    return some.with_columns(null_words(some["value"], X_NULL_WORDS)).drop_nulls()


def _extract_items(
    cells: pl.DataFrame, column: str, kind: str, unread: Counter[str]
) -> pl.DataFrame:
    filled = _take_filled(cells, column)
    split_at = "scheme" if kind == "url" else "comma"
    lists = parse_lists(filled["value"], split_at=split_at, keys=ITEM_KEYS[kind])
    items = filled.with_columns(lists.alias("value")).filter(lists.list.len() > 0).explode("value")
    stripped = items["value"].str.strip_chars()
    named = items.filter(~stripped.is_in(NULL_WORDS))
    n_unread, n_empty = lists.null_count(), items.height - named.height - (stripped == "").sum()
    unread += Counter({kind: n_unread, f"{kind} (item without a value)": n_empty})
    return named


def _extract_texts(cells: pl.DataFrame, *, keep: bool) -> pl.DataFrame:
    is_retweet = pl.col("isretweet").str.strip_chars().str.to_lowercase().eq("true")
    # An id that a spreadsheet rounded names no tweet, but says that there was one.
    other = _take(pl.when(pl.col("retweettweetid") != "").then("retweettweetid"))
    names_one = other.str.strip_chars().cast(pl.Float64, strict=False) > 0
    is_copy = is_retweet.fill_null(value=False) | names_one.fill_null(value=False)
    said = cells.select("row", text="tweettext").filter(~cells.select(is_copy).to_series())
    return read_texts(said.select("row", _take(pl.col("text"))).drop_nulls(), keep=keep)


# --- from sources to tables ----------------------------------------------------------------------


def ingest_x_archive(intake: Intake) -> None:
    """Write the posts and events of the tweets files, and book accounts and entities."""
    users = [tally for tally in intake.tallies if tally.source.role == "users"]
    tweets = [tally for tally in intake.tallies if tally.source.role == "tweets"]
    addition = intake.addition
    if addition is not None:
        addition.recall_accounts(intake.accounts)
        intake.recall_rejects(of_users=True)
    if addition is not None and addition.has_users:
        addition.recall_profiles(intake.accounts)
    for tally in users:  # before the tweets: their profiles are kept
        _read_users(intake, tally)
    if addition is not None and not addition.has_users:
        addition.recall_profiles(intake.accounts)
    stage_posts(
        intake,
        tweets,
        TWEET_CELLS,
        STAGED_POSTS,
        read=lambda source, batch: _read_tweets(intake, source, batch),
        code=lambda tally, read: _code_tweets(intake, tally, read),
        recall=_recall_tweets,
    )
    is_first = find_firsts(intake, tweets, ["tweet"], lambda posts: posts["tweet"])
    write_tables(
        intake,
        place=place_firsts(is_first),
        write_posts=lambda: _write_posts(intake, is_first),
        n_rows=is_first.size,
    )
    n_before = intake.count_before("differing_cells")
    if n_before or not is_first.all():
        n_differing = count_differing_cells(intake, tweets, is_first)
        intake.facts["differing_cells"] = n_before + n_differing


def _recall_tweets(posts: pl.DataFrame) -> pl.DataFrame:
    return posts.with_columns(
        tweet=pl.col("content_id").cast(pl.Int64), time_from=pl.lit(None, pl.String)
    )


def _read_users(intake: Intake, tally: Tally) -> None:
    for batch in intake.read(tally, USER_CELLS):
        ids = _take(pl.col("userid"))
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
    mended: Counter[str] = Counter()
    latest = find_latest_tweet(source.path)
    judged = judge_tweets(batch.frame, time=intake.time, latest=latest, mended=mended)
    is_good = judged["reason"].is_null()
    cells = keep_rows(batch.frame, is_good.to_numpy()).with_row_index("row")
    unread: Counter[str] = Counter()
    return PostBatch(
        rows=batch.rows,
        reasons=judged["reason"],
        posts=keep_rows(judged, is_good.to_numpy()).hstack(read_post_counts(cells, unread)),
        profiles=cells.select(PROFILE_CELLS),
        entities=extract_entities(
            cells,
            url_rule=intake.url_rule,
            unread=unread,
            mended=mended,
            keep_texts=intake.keeps_texts,
        ),
        unread=unread,
        values=judged["value"],
        mended=mended,
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
    del time_from[None]  # of a store that is added to, which has counted them
    found = {
        "time_from_id": time_from["id"],
        "time_from_stamp": time_from.total() - time_from["id"],
        "time_mismatch": time_from["mismatch"],
    }
    intake.facts |= {fact: n + intake.count_before(fact) for fact, n in found.items()}


def count_differing_cells(intake: Intake, tweets: list[Tally], is_first: np.ndarray) -> int:
    """Read the files once more and compare each duplicate with the first row of its tweetid.

    Only columns that all tweets files have are compared, as text. What is in a store that is added
    to is not compared.
    """
    parts = read_parts(intake.staged / "posts.arrow", ["tweet"])
    ids = np.concatenate([part["tweet"].to_numpy() for part in parts])[intake.n_recalled :]
    is_first = is_first[intake.n_recalled :]
    repeated = np.intersect1d(ids[~is_first], ids[is_first])
    if not repeated.size:
        return 0
    columns = [
        cell for cell in ALL_TWEET_CELLS if all(cell in tally.source.columns for tally in tweets)
    ]
    firsts = np.zeros((len(repeated), len(columns)), np.uint64)
    n_rows = n_differing = 0
    for tally in tweets:
        latest = find_latest_tweet(tally.source.path)
        for batch in read_batches(tally.source, columns):
            judged = judge_tweets(batch.frame, time=intake.time, latest=latest, mended=Counter())
            reasons = judged["reason"]
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
