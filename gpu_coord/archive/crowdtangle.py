"""CrowdTangle: exports of its dashboard, and tables of what its API gave, such as CooRnet's.

In: batches of records as text. Out: posts with the link that they share and what they say. The one
idea: of the columns that name the same thing in one layout or another, the first that a file has
is read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gpu_coord.archive.cells import give_reason, hash_ids, null_blank, parse_stamps
from gpu_coord.archive.ids import mend_ids
from gpu_coord.archive.intake import book_accounts
from gpu_coord.archive.posts import (
    PostBatch,
    count_unread_urls,
    find_firsts,
    identify_by_content,
    keep_rows,
    number_posts,
    read_numbers,
    read_texts,
    stage_posts,
    write_tables,
)
from gpu_coord.archive.sources import CROWDTANGLE_CONTENTS, CROWDTANGLE_IDS, CROWDTANGLE_TIMES
from gpu_coord.archive.tables import COUNTS, POSTS, PROFILE
from gpu_coord.archive.times import FIRST_SHARE, find_latest_share
from gpu_coord.archive.vocabularies import Ids, Vocabulary
from gpu_coord.ground.urls import normalise_urls
from gpu_coord.store.tables import TableWriter, read_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gpu_coord.archive.intake import Intake, Tally
    from gpu_coord.archive.sources import Batch, Source
    from gpu_coord.ground.kinds import UrlRule

HEADINGS = {
    "facebookid": "Facebook Id",
    "accounturl": "account.url",
    "accountplatformid": "account.platformId",
    "username": "User Name",
    "url": "URL",
    "posturl": "postUrl",
    "platformid": "platformId",
    "postcreated": "Post Created",
    "created": "Created",
}
API_TIME = "date"  # of the API: UTC, and so it is where no zone is named
NO_ACCOUNT_URL = r"^https?://(?:www\.)?facebook\.com/null/?$"
# Numbers of a spreadsheet or a data frame, which may have lost digits.
ROUNDED = r"^[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?$"
LINKS = ("finallink", "expanded", "expandedlinksexpanded", "link")
COUNT_CELLS = {
    "reply_count": ("comments", "statisticsactualcommentcount"),
    "like_count": ("likes", "statisticsactuallikecount", "statisticsactualfavoritecount"),
    "retweet_count": ("shares", "statisticsactualsharecount"),
}
PROFILE_CELLS = {
    "account_creation_date": ("pagecreated", "accountpagecreateddate"),
    "follower_count": ("followersatposting", "accountsubscribercount", "subscribercount"),
}
CELLS = [
    *CROWDTANGLE_IDS,
    *CROWDTANGLE_CONTENTS,
    *CROWDTANGLE_TIMES,
    *("platform", "accountplatform", "message", "description"),
    *LINKS,
    *(cell for cells in (COUNT_CELLS | PROFILE_CELLS).values() for cell in cells),
]
# Hours east of Greenwich. Names that several countries use for different times (IST, AST), or that
# were moved (MSK), are left out, but for those of the United States and Britain.
ZONES = {
    **{"UTC": 0, "GMT": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2, "EET": 2},
    **{"EEST": 3, "SAST": 2, "JST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13},
    **{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7},
    **{"BRT": -3},
}
_NAMED_ZONE = r"^([0-9]{4}-?[0-9]{2}-?[0-9]{2}[T ][0-9:.,]+) ?([A-Za-z][A-Za-z0-9:+/_-]+)$"
_PLATFORM_HOST = r"(?i)(?:facebook|fb|instagram)\.com"
_OFFSET = r"[0-9] ?(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)$"

STAGED_POSTS: dict[str, Any] = {
    "account": pl.UInt32,  # code, as are content and platform
    "content": pl.UInt32,
    "platform": pl.UInt32,
    "time": pl.Int64,
    **dict.fromkeys(COUNTS, pl.Int64),
}
FOLLOWERS: dict[str, Any] = {
    "account": pl.UInt32,
    "time": pl.Int64,  # of the count of followers, null without one
    "account_creation_date": pl.Date,
    "follower_count": pl.Int64,
}


def judge_posts(
    cells: pl.DataFrame, columns: Iterable[str], *, latest: int, mended: Counter[str]
) -> pl.DataFrame:
    """Read ids and time of each post, and give a reason where the row cannot be stored.

    Parameters
    ----------
    columns
        Plain names of the columns that the file has: one each is chosen for account, content and
        time, so that the ids of a file are of one sort.
    latest
        Time that no post can be later than, milliseconds.
    mended
        Ids that were mended are counted here, by column.

    Returns
    -------
    Columns ``account_id``, ``content_id``, ``platform`` (text), ``time`` (ms UTC) and ``reason``
    (null: the row is good).
    """
    present = {*columns}
    account, content, time = (
        next(name for name in names if name in present)
        for names in (CROWDTANGLE_IDS, CROWDTANGLE_CONTENTS, CROWDTANGLE_TIMES)
    )
    named = cells.select(
        _take([account]).alias("account_id"),
        _take([content]).alias("content_id"),
        _read_platform(present).alias("platform"),
        stamp=_take([time]),
    )
    headings = {"account_id": account, "content_id": content}
    named = named.with_columns(
        mend_ids(named[id].alias(HEADINGS.get(name, name)), mended).alias(id)
        for id, name in headings.items()
    )
    times = read_post_times(named["stamp"], is_utc=time == API_TIME)
    return named.hstack(times).with_columns(
        reason=pl.coalesce(
            _judge_id("account_id", account),
            _judge_id("content_id", content),
            _judge_time(HEADINGS.get(time, time), latest),
        )
    )


def _take(names: Sequence[str]) -> pl.Expr:
    """Return the first of several cells that holds something."""
    return pl.coalesce(null_blank(pl.col(name)) for name in names)


def _read_platform(columns: set[str]) -> pl.Expr:
    """Return the platform of each post; the exports of each have columns of their own."""
    exports = {"facebook": {"facebookid", "likesatposting"}, "instagram": {"followersatposting"}}
    known = next((name for name, marks in exports.items() if marks & columns), None)
    named = _take(["platform", "accountplatform"]).str.to_lowercase()
    return pl.coalesce(named, pl.lit(known, dtype=pl.String))


def _judge_id(id: str, name: str) -> pl.Expr:
    """Give a reason where an id is missing or was written as a number that may be rounded."""
    shown = HEADINGS.get(name, name)
    text = pl.col(id).str.strip_chars()
    is_number = text.str.contains(ROUNDED) & ~text.str.contains("^[0-9]+$")
    can_be_rounded = pl.lit(name not in ("username", "accounturl", "url", "posturl"))
    rewritten = f"{shown} was rewritten as a decimal number, as spreadsheets do"
    is_absent = pl.col(id).is_null() | text.str.contains(NO_ACCOUNT_URL)
    return give_reason({f"no {shown}": is_absent, rewritten: can_be_rounded & is_number})


def _judge_time(shown: str, latest: int) -> pl.Expr:
    unknown = f"{shown} is in a time zone that is ambiguous or not known; write its offset"
    return give_reason(
        {
            f"no {shown}": pl.col("stamp").is_null(),
            f"{shown} is no date with a time of day": pl.col("clock").is_null(),
            f"{shown} names no time zone": ~pl.col("names_zone"),
            unknown: pl.col("time").is_null(),
            f"{shown} is before 1990": pl.col("time") < FIRST_SHARE,
            f"{shown} is in the future": pl.col("time") > latest,
        }
    )


def read_post_times(texts: pl.Series, *, is_utc: bool) -> pl.DataFrame:
    """Read date-times with the name of a zone (``2021-03-01 12:00:00 EST``) or an offset.

    Parameters
    ----------
    is_utc
        What names no zone is UTC.

    Returns
    -------
    Columns ``clock`` (ms, as if UTC; null where there is no date with a time of day),
    ``names_zone`` and ``time`` (ms UTC; null where the zone is not known).
    """
    text = pl.col("text").str.strip_chars()
    groups = text.str.extract_groups(_NAMED_ZONE)
    parts = texts.to_frame("text").select(
        text=text, bare=groups.struct[0], zone=groups.struct[1].str.to_uppercase()
    )
    hours = pl.col("zone").replace_strict(ZONES, default=None, return_dtype=pl.Int64)
    has_zone = pl.col("zone").is_not_null()
    return parts.select(
        clock=parse_stamps(parts.select(pl.coalesce("bare", "text")).to_series()),
        names_zone=has_zone | pl.col("text").str.contains(_OFFSET) | pl.lit(is_utc),
        hours=pl.when(has_zone).then(hours).otherwise(0),
    ).select(
        "clock",
        "names_zone",
        time=pl.when("names_zone").then(pl.col("clock") - 3_600_000 * pl.col("hours")),
    )


def read_entities(
    cells: pl.DataFrame, *, url_rule: UrlRule, unread: Counter[str], keep_texts: bool = False
) -> dict[str, pl.DataFrame]:
    """Return link and text of good posts by kind: columns ``row`` and ``value``.

    Parameters
    ----------
    cells
        Cells of good posts, with their number in ``row``, ``content_id`` and ``platform``.
    unread
        Links that are no URLs are counted here.
    keep_texts
        Of texts, also return the normalised wording, as ``text``.
    """
    links = cells.select("row", "content_id", link=_take(LINKS)).drop_nulls("link")
    others = links.join(_find_own_links(links), on="row", how="anti", maintain_order="left")
    urls = others.select("row", value=normalise_urls(others["link"], rule=url_rule))
    unread += count_unread_urls(others["link"], urls["value"])
    is_caption = pl.col("platform") == "instagram"  # elsewhere it describes the link
    said = pl.coalesce(_take(["message"]), pl.when(is_caption).then(_take(["description"])))
    texts = read_texts(cells.select("row", text=said).drop_nulls(), keep=keep_texts)
    return {"url": urls.drop_nulls("value"), "text": texts.drop_nulls("value")}


def _find_own_links(links: pl.DataFrame) -> pl.DataFrame:
    """Return the rows whose link is the post itself, as exports give it for want of another."""
    near = links.filter(pl.col("link").str.contains(_PLATFORM_HOST))
    link, own = (normalise_urls(near[name], rule="canonical") for name in ("link", "content_id"))
    return near.filter(link == own).select("row")


def _drop_commas(text: pl.Expr) -> pl.Expr:
    """Write ``1,234,567`` without its commas."""
    is_grouped = text.str.contains(r"^\s*[0-9]{1,3}(?:,[0-9]{3})+\s*$")
    return pl.when(is_grouped).then(text.str.replace_all(",", "", literal=True)).otherwise(text)


# --- from sources to tables ----------------------------------------------------------------------


@dataclass(slots=True)
class Books:
    """Ids that have codes, and what is known of accounts so far."""

    contents: Ids
    platforms: Vocabulary = field(default_factory=Vocabulary)
    followers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FOLLOWERS))

    def recall(self, posts: pl.DataFrame) -> pl.DataFrame:
        """Return posts of a store as they are staged."""
        return posts.with_columns(
            self.contents.add(posts["content_id"], posts["platform"]).alias("content"),
            self.platforms.encode(posts["platform"]).alias("platform"),
        )


def ingest_crowdtangle(intake: Intake) -> None:
    """Write the posts and events of CrowdTangle exports, and book accounts and entities."""
    books = Books(Ids(intake.staged / "contents"))
    if intake.addition is not None:
        intake.addition.recall_accounts(intake.accounts, are_of_platforms=True)
        books.followers = intake.addition.recall_followers().select(*FOLLOWERS)
    stage_posts(
        intake,
        intake.tallies,
        CELLS,
        STAGED_POSTS,
        read=partial(_read_posts, intake),
        code=partial(_code_posts, intake, books),
        recall=books.recall,
    )
    _book_profiles(intake, books.followers)
    identify = identify_by_content(books.contents)
    is_first = find_firsts(intake, intake.tallies, ["account", "content"], identify)
    write_tables(
        intake,
        place=_plan_places(intake, books.contents, is_first),
        write_posts=partial(_write_posts, intake, books, is_first),
        n_rows=is_first.size,
    )


def _read_posts(intake: Intake, source: Source, batch: Batch) -> PostBatch:
    mended: Counter[str] = Counter()
    judged = judge_posts(batch.frame, source.columns, latest=find_latest_share(), mended=mended)
    is_good = judged["reason"].is_null()
    posts = judged.filter(is_good).select("account_id", "content_id", "platform", "time")
    cells = batch.frame.filter(is_good).with_columns(posts["content_id"], posts["platform"])
    unread: Counter[str] = Counter()
    taken = (COUNT_CELLS | PROFILE_CELLS).items()
    texts = cells.select(**{name: _drop_commas(_take(names)) for name, names in taken})
    numbers = read_numbers(texts, unread)
    entities = read_entities(
        cells.with_row_index("row"),
        url_rule=intake.url_rule,
        unread=unread,
        keep_texts=intake.keeps_texts,
    )
    counts = numbers.select(*COUNT_CELLS).with_columns(quote_count=pl.lit(None, dtype=pl.Int64))
    return PostBatch(
        rows=batch.rows,
        reasons=judged["reason"],
        posts=posts.hstack(counts),
        profiles=numbers.select(*PROFILE_CELLS),
        entities=entities,
        unread=unread,
        mended=mended,
    )


def _code_posts(intake: Intake, books: Books, tally: Tally, read: PostBatch) -> pl.DataFrame:
    platforms = read.posts["platform"]
    codes = intake.accounts.encode(read.posts["account_id"], platforms).alias("account")
    book_accounts(intake, tally, codes)
    contents = read.posts["content_id"]
    if intake.early_key is not None:
        contents = hash_ids(contents, intake.early_key)
    coded = read.posts.with_columns(
        codes,
        books.contents.add(contents, platforms).alias("content"),
        books.platforms.encode(platforms).alias("platform"),
    )
    told = read.profiles.with_columns(codes, coded["time"])
    books.followers = _merge_followers(books.followers, told)
    return coded


def _merge_followers(known: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Return for each account its first date of creation, and its latest count of followers."""
    timed = told.with_columns(time=pl.when(pl.col("follower_count").is_not_null()).then("time"))
    latest = {
        name: pl.col(name).sort_by("time", nulls_last=False, maintain_order=True).last()
        for name in ("follower_count", "time")
    }
    return (
        pl.concat([known, timed.select(*FOLLOWERS)])
        .group_by("account", maintain_order=True)
        .agg(pl.col("account_creation_date").drop_nulls().first(), **latest)
        .select(*FOLLOWERS)
    )


def _book_profiles(intake: Intake, followers: pl.DataFrame) -> None:
    absent = {
        "following_count": pl.lit(None, dtype=pl.Int64),
        "account_language": pl.lit(None, dtype=pl.String),
    }
    profiles = followers.with_columns(**absent).select("account", *PROFILE)
    intake.accounts.add_profiles(profiles)


def _plan_places(
    intake: Intake, contents: Ids, is_first: np.ndarray
) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return what gives staged events their post.

    Records of a post differ where a table has one for each link: all its links are kept, at the
    time of the first record.
    """
    if is_first.all():
        return lambda events: events.with_columns(post="row")
    rows = pl.concat(read_parts(intake.staged / "posts.arrow", ["account", "content", "time"]))
    rows = rows.with_columns(identify_by_content(contents)(rows).alias("key"))
    first_rows = rows.with_row_index("row").select(pl.col("row").first().over("key")).to_series()
    posts = (np.cumsum(is_first) - 1)[first_rows.to_numpy()]
    times = rows["time"].gather(first_rows).to_numpy()
    kinds = intake.entities.kinds
    url = kinds.index("url") if "url" in kinds else -1
    adds_link = _find_new_links(intake, url, posts)

    def place(events: pl.DataFrame) -> pl.DataFrame:
        at = events["row"].to_numpy()
        kept = np.where(events["kind"].to_numpy() == url, adds_link[at], is_first[at])
        return keep_rows(events.with_columns(post=posts[at], time=times[at]), kept)

    return place


def _find_new_links(intake: Intake, url: int, posts: np.ndarray) -> np.ndarray:
    """Tell which rows have a link that no row of their post before them has."""
    links = [pl.DataFrame(schema={"row": pl.Int64, "value": pl.UInt32})]
    for part in read_parts(intake.staged / "events.arrow", ["row", "kind", "value"]):
        links.append(part.filter(pl.col("kind") == url).select("row", "value"))
    shared = pl.concat(links)
    values = intake.entities.unify(shared.with_columns(kind=pl.lit(url)))
    shared = shared.with_columns(post=posts[shared["row"].to_numpy()], value=values)
    is_new = shared.select(pl.struct("post", "value").is_first_distinct()).to_series()
    adds_link = np.zeros(posts.size, bool)
    adds_link[shared["row"].filter(is_new).to_numpy()] = True
    return adds_link


def _write_posts(intake: Intake, books: Books, is_first: np.ndarray) -> None:
    with TableWriter(intake.folder / "posts.parquet", POSTS) as writer:
        for posts in number_posts(intake, is_first):
            contents = books.contents.show(posts["content"])
            if intake.late_key is not None:  # addresses of posts name their account
                contents = hash_ids(contents, intake.late_key)
            platforms = books.platforms.decode(posts["platform"])
            writer.add(posts.with_columns(content_id=contents, platform=platforms))
