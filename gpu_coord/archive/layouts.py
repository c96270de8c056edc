"""What the columns of other tools' exports mean: one entry for each layout.

A layout says which columns hold the account, the post, the time, and what the post refers to. A new
one is an entry of `LAYOUTS` and a test. Names of columns are compared without case, spaces,
underscores and points. In JSON they are paths: ``a.b`` is the value under ``b`` of the object
under ``a``, ``a[].b`` that of each object of the list under ``a``. A cell that holds JSON is read
at a path behind a colon: ``cell:a[].b``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# What a record can tell: who and when; which post; what it refers to, as kinds of entity; the rest.
REQUIRED = ("account_id", "timestamp_share")
KINDS = {
    "hashtags": "hashtag", "urls": "url", "mentions": "mention", "retweet": "retweet",
    "reply": "reply", "quote": "quote", "objects": "object",
}  # fmt: skip
LISTS = ("hashtags", "urls", "mentions", "objects")
COUNTS = {
    "likes": "like_count", "replies": "reply_count", "retweets": "retweet_count",
    "quotes": "quote_count",
}  # fmt: skip
FIELDS = (*REQUIRED, "content_id", *KINDS, "text", "platform", "is_retweet", *COUNTS)
# Lists of a kind of reference and of its id, as version 2 of Twitter's API has them.
REFERENCES = {"retweeted": "retweet", "replied_to": "reply", "quoted": "quote"}
# The lists that records stand in, in documents and in the pages of an API.
RECORD_KEYS = ("data", "messages", "posts", "statuses", "videos")

Columns = dict[str, tuple[str, ...]]  # of each field: of several the first with a value is read


@dataclass(frozen=True)
class Layout:
    """The columns of an export, by what they tell."""

    name: str  # as people call it
    checked: str  # where the columns were read
    marks: frozenset[str]  # names that a file of this layout has, and none of another layout
    columns: Mapping[str, tuple[str, ...] | str]
    platform: str | None = None
    split: str = ","  # between items of a list that is written without brackets
    is_json: bool = False
    time_format: str | None = None  # of strptime, UTC; None: what a share table may have
    joined: frozenset[str] = frozenset()  # lists of which all columns are read
    # A column of words, and the word at which a field counts: one column for several references.
    types: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)  # field -> word, or * for any
    kept: tuple[str, ...] = ()  # words of records that are posts; all, if empty
    prefix: Mapping[str, str] = field(default_factory=dict)  # list -> how its items begin
    has_tags: bool = False  # texts are HTML

    def find(self, names: Collection[str]) -> Columns:
        """Return the columns of each field that a file has.

        Parameters
        ----------
        names
            The columns of the file, or the keys of its JSON objects.

        Returns
        -------
            Field -> plain names of columns, or paths in the objects.
        """
        present = {*names} if self.is_json else {plain(name) for name in names}
        wanted = dict(self.columns) | ({"types": self.types} if self.types else {})
        found: Columns = {}
        for name, columns in wanted.items():
            listed = (columns,) if isinstance(columns, str) else columns
            spelled = listed if self.is_json else tuple(map(_spell, listed))
            known = tuple(each for each in spelled if self._find_root(each) in present)
            found |= {name: known} if known else {}
        return found

    def _find_root(self, column: str) -> str:
        return column.split(".")[0].removesuffix("[]") if self.is_json else cell_of(column)


def recognise_layout(names: Collection[str], *, is_json: bool) -> Layout | None:
    """Return the layout whose marks a file has; of several the one with the most."""
    present = {*names} if is_json else {plain(name) for name in names}
    matching = [
        layout
        for layout in LAYOUTS
        if layout.is_json == is_json
        and (layout.marks if is_json else {plain(mark) for mark in layout.marks}) <= present
    ]
    return max(matching, key=lambda layout: len(layout.marks), default=None)


def find_nearest(names: Collection[str], *, is_json: bool) -> tuple[Layout, list[str]] | None:
    """Return the layout of whose marks a file has most, at least half, and the marks it lacks."""
    present = {*names} if is_json else {plain(name) for name in names}
    lacking = {
        layout.name: sorted(
            mark for mark in layout.marks if (mark if is_json else plain(mark)) not in present
        )
        for layout in LAYOUTS
        if layout.is_json == is_json
    }
    known = {layout.name: layout for layout in LAYOUTS}
    name = min(lacking, key=lambda each: len(lacking[each]) / len(known[each].marks))
    if 2 * len(lacking[name]) > len(known[name].marks):
        return None
    return known[name], lacking[name]


def map_layout(mapping: Mapping[str, str], *, split: str, is_json: bool = False) -> Layout:
    """Return the layout that a user describes: field -> column, or path in JSON objects.

    Raises
    ------
    ValueError
        A field is none that there is, or who or when is missing.
    """
    if unknown := sorted({*mapping} - {*FIELDS, "object_id", "kind"}):
        raise ValueError(
            f"map has the fields {', '.join(unknown)}; the fields are object_id, kind, "
            f"{', '.join(FIELDS)}."
        )
    if missing := [name for name in REQUIRED if name not in mapping]:
        raise ValueError(
            f"map lacks {' and '.join(missing)}; write --map account_id=COLUMN,"
            "timestamp_share=COLUMN,… with the columns of the file."
        )
    named = {"objects" if is_json and name == "object_id" else name: column
             for name, column in mapping.items()}  # fmt: skip
    return Layout(
        "a mapped table", "--map", frozenset(), named, split=split, is_json=is_json,
    )  # fmt: skip


def plain(name: str) -> str:
    """Return a column name without case, spaces, underscores and points (R writes them so)."""
    return "".join(name.split()).replace("_", "").replace(".", "").casefold()


def cell_of(column: str) -> str:
    """Return the column that a path into its JSON belongs to."""
    return column.partition(":")[0]


def _spell(column: str) -> str:
    cell, colon, path = column.partition(":")
    return plain(cell) + colon + path


def _mark(*names: str) -> frozenset[str]:
    return frozenset(names)


def _beside(path: str) -> tuple[str, ...]:
    whole = f"extended_tweet.{path}"
    return (path, whole, f"retweeted_status.{path}", f"retweeted_status.{whole}")


_FACETS = "record.facets[].features[]"
_BLUESKY: dict[str, tuple[str, ...] | str] = {
    "hashtags": f"{_FACETS}.tag", "urls": (f"{_FACETS}.uri", "record.embed.external.uri"),
    "mentions": f"{_FACETS}.did", "quote": "record.embed.record.uri",
    "reply": "record.reply.parent.uri", "text": "record.text",
    "timestamp_share": "record.createdAt",
}  # fmt: skip
_BLUESKY_EVENTS: dict[str, tuple[str, ...] | str] = {
    name: tuple(f"commit.{each}" for each in ((paths,) if isinstance(paths, str) else paths))
    for name, paths in _BLUESKY.items()
}
_V2_COUNTS = {
    "likes": "public_metrics.like_count", "replies": "public_metrics.reply_count",
    "retweets": "public_metrics.retweet_count", "quotes": "public_metrics.quote_count",
}  # fmt: skip
_FOURCAT = "digitalmethodsinitiative/4cat@227bead"

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "Twitter API v2 (twarc2 pages and lines)",
        "DocNow/twarc@12104e0 src/twarc/expansions.py; twarc-csv@d77da93 test-data",
        _mark("id", "author_id", "text", "created_at"),
        {
            "account_id": "author_id", "content_id": "id", "timestamp_share": "created_at",
            "hashtags": "entities.hashtags[].tag", "urls": "entities.urls[].expanded_url",
            "mentions": "entities.mentions[].id", "text": "text",
            "reference_types": "referenced_tweets[].type",
            "reference_ids": "referenced_tweets[].id", **_V2_COUNTS,
        },
        platform="x", is_json=True,
    ),
    Layout(
        "Twitter API v1.1",
        "tweepy v4.12.1 docs/extended_tweets.rst; medialab/twitwi@fcf9122 test/resources",
        _mark("id_str", "user", "entities", "created_at"),
        {
            "account_id": "user.id_str", "content_id": "id_str", "timestamp_share": "created_at",
            # The entities of a retweet are cut off where its text is; those of the original are
            # whole.
            "hashtags": _beside("entities.hashtags[].text"),
            "urls": _beside("entities.urls[].expanded_url"),
            "mentions": _beside("entities.user_mentions[].id_str"),
            "retweet": "retweeted_status.id_str", "reply": "in_reply_to_status_id_str",
            "quote": "quoted_status_id_str", "likes": "favorite_count",
            "text": ("full_text", "extended_tweet.full_text", "text"),
            "retweets": "retweet_count", "replies": "reply_count", "quotes": "quote_count",
        },
        platform="x", is_json=True, joined=_mark("hashtags", "urls", "mentions"),
    ),
    Layout(
        "snscrape (Twitter)",
        "JustAnotherArchivist/snscrape@614d4c2 snscrape/modules/twitter.py, v0.4.3, v0.5.0",
        _mark("_type", "date", "user", "retweetCount"),
        {
            "account_id": "user.id", "content_id": "id", "timestamp_share": "date",
            "hashtags": "hashtags[]", "urls": ("links[].url", "outlinks[]"),
            "mentions": "mentionedUsers[].id", "retweet": "retweetedTweet.id",
            "reply": "inReplyToTweetId", "quote": "quotedTweet.id",
            "text": ("rawContent", "content"), "likes": "likeCount", "replies": "replyCount",
            "retweets": "retweetCount", "quotes": "quoteCount",
        },
        platform="x", is_json=True,
    ),
    Layout(
        "Bluesky Jetstream",
        "bluesky-social/jetstream@9a30def docs/README.md; atproto@d6296a1 lexicons",
        _mark("did", "time_us", "kind"),
        {
            "account_id": "did", "content_id": "commit.rkey", **_BLUESKY_EVENTS,
            "retweet": "commit.record.subject.uri",
        },
        platform="bluesky", is_json=True, joined=_mark("urls"), types="commit.collection",
        typed={"retweet": "app.bsky.feed.repost"},
        kept=("app.bsky.feed.post", "app.bsky.feed.repost"),
    ),
    Layout(
        "Bluesky post views (getPosts)",
        "bluesky-social/atproto@d6296a1 lexicons/app/bsky/feed/defs.json",
        _mark("uri", "author", "record", "indexedAt"),
        {
            "account_id": "author.did", "content_id": "uri", **_BLUESKY, "likes": "likeCount",
            "replies": "replyCount", "retweets": "repostCount", "quotes": "quoteCount",
        },
        platform="bluesky", is_json=True, joined=_mark("urls"),
    ),
    Layout(
        "Mastodon statuses",
        "mastodon/documentation@2903485 content/en/entities/Status.md",
        _mark("uri", "account", "content", "created_at", "reblog"),
        {
            "account_id": ("account.acct", "account.url"), "content_id": "uri",
            "timestamp_share": "created_at", "hashtags": "tags[].name", "urls": "card.url",
            "mentions": "mentions[].acct", "retweet": "reblog.uri", "reply": "in_reply_to_id",
            "text": "content", "likes": "favourites_count", "replies": "replies_count",
            "retweets": "reblogs_count", "quotes": "quotes_count",
        },
        platform="mastodon", is_json=True, has_tags=True,
    ),
    Layout(
        "Telegram Desktop (result.json)",
        "telegramdesktop/tdesktop@929032d export_output_json.cpp",
        _mark("date_unixtime", "text_entities", "type"),
        {
            "account_id": "from_id", "content_id": "id", "timestamp_share": "date_unixtime",
            "hashtags": "text_entities[].text", "mentions": "text_entities[].text",
            "urls": ("text_entities[].text", "text_entities[].href"), "text": "text",
        },
        platform="telegram", is_json=True, types="type", kept=("message",),
        joined=_mark("urls"), prefix={"hashtags": "#", "mentions": "@", "urls": "http"},
    ),
    Layout(
        "TikTok Research API (JSON)",
        "developers.tiktok.com research-api-specs-query-videos; JBGruber/traktok@b04aa36",
        _mark("video_description", "create_time", "username"),
        {
            "account_id": "username", "content_id": ("id", "video_id"),
            "timestamp_share": "create_time", "hashtags": "hashtag_names[]",
            "text": "video_description", "likes": "like_count", "replies": "comment_count",
            "retweets": "share_count",
        },
        platform="tiktok", is_json=True,
    ),
    Layout(
        "TikTok Research API",
        "developers.tiktok.com research-api-specs-query-videos; ResearchTikPy@9217002",
        _mark("video_description", "create_time", "username"),
        {
            "account_id": "username", "content_id": ("id", "video_id"),
            "timestamp_share": "create_time", "hashtags": "hashtag_names",
            "text": "video_description", "likes": "like_count", "replies": "comment_count",
            "retweets": "share_count",
        },
        platform="tiktok",
    ),
    Layout(
        "twarc-csv",
        "DocNow/twarc-csv@d77da93 dataframe_converter.py",
        _mark("author_id", "referenced_tweets.retweeted.id"),
        {
            "account_id": "author_id", "content_id": "id", "timestamp_share": "created_at",
            "hashtags": "entities.hashtags", "urls": "entities.urls",
            "mentions": "entities.mentions", "retweet": "referenced_tweets.retweeted.id",
            "reply": "referenced_tweets.replied_to.id", "quote": "referenced_tweets.quoted.id",
            "text": "text", **_V2_COUNTS,
        },
        platform="x",
    ),
    Layout(
        "FiveThirtyEight's IRA tweets",
        "fivethirtyeight/russian-troll-tweets@7edb01b README.md",
        _mark("external_author_id", "author", "publish_date", "harvested_date"),
        {
            "account_id": ("alt_external_id", "external_author_id"), "content_id": "tweet_id",
            "timestamp_share": "publish_date", "text": "content", "is_retweet": "retweet",
            "urls": ("tco1_step1", "tco2_step1", "tco3_step1"),
        },
        platform="x", time_format="%m/%d/%Y %H:%M", joined=_mark("urls"),
    ),
    Layout(
        "academictwitteR (tidy)",
        "cjbarrie/academictwitteR R/bind_tweets.R",
        _mark("tweet_id", "author_id", "sourcetweet_type", "sourcetweet_id"),
        {
            "account_id": "author_id", "content_id": "tweet_id", "timestamp_share": "created_at",
            "retweet": "sourcetweet_id", "quote": "sourcetweet_id", "reply": "sourcetweet_id",
            "text": "text", "likes": "like_count", "retweets": "retweet_count",
            "quotes": "quote_count",
        },
        platform="x", types="sourcetweet_type",
        typed={"retweet": "retweeted", "quote": "quoted", "reply": "replied_to"},
    ),
    Layout(
        "minet, gazouilloire (twitwi)",
        "medialab/twitwi@fcf9122 twitwi/constants.py",
        _mark("timestamp_utc", "user_screen_name", "to_tweetid", "retweeted_id"),
        {
            "account_id": "user_id", "content_id": "id", "timestamp_share": "timestamp_utc",
            "hashtags": "hashtags", "urls": "links", "mentions": "mentioned_ids",
            "retweet": "retweeted_id", "reply": "to_tweetid", "quote": "quoted_id",
            "text": "text", "likes": "like_count", "retweets": "retweet_count",
            "replies": "reply_count",
        },
        platform="x", split="|",
    ),
    Layout(
        "minet (Bluesky)",
        "medialab/twitwi@fcf9122 twitwi/bluesky/types.py, test/resources/bluesky-posts-export.csv",
        _mark("user_did", "to_post_uri", "repost_by_user_did"),
        {
            "account_id": ("repost_by_user_did", "user_did"), "content_id": "uri",
            "timestamp_share": ("repost_timestamp_utc", "timestamp_utc"), "hashtags": "hashtags",
            "urls": "links", "mentions": "mentioned_user_dids", "reply": "to_post_uri",
            "quote": "quoted_uri", "retweet": "uri", "text": "original_text",
            "likes": "like_count", "replies": "reply_count", "retweets": "repost_count",
            "quotes": "quote_count",
        },
        platform="bluesky", split="|", types="repost_by_user_did", typed={"retweet": "*"},
    ),
    Layout(
        "TAGS",
        "ropensci-archive/tidytags@65c40bc sample-data.csv; mhawksey/TAGS@e9ea3a0",
        _mark("id_str", "from_user", "from_user_id_str", "status_url"),
        {
            "account_id": "from_user_id_str", "content_id": "id_str",
            "timestamp_share": "created_at", "reply": "in_reply_to_status_id_str", "text": "text",
            "hashtags": "entities_str:hashtags[].text",
            "urls": "entities_str:urls[].expanded_url",
            "mentions": "entities_str:user_mentions[].id_str",
        },
        platform="x",
    ),
    Layout(
        "DMI-TCAT",
        "digitalmethodsinitiative/dmi-tcat@3e67658 analysis/mod.export_tweets.php",
        _mark("from_user_name", "from_user_id", "in_reply_to_status_id", "time"),
        {
            "account_id": "from_user_id", "content_id": "id", "timestamp_share": "time",
            "hashtags": "hashtags", "urls": ("urls_followed", "urls_expanded", "urls"),
            "mentions": "mentions", "reply": "in_reply_to_status_id", "quote": "quoted_status_id",
            "text": "text", "likes": "favorite_count", "retweets": "retweet_count",
        },
        platform="x", split=";",
    ),
    Layout(
        "coordinationz",
        "filipinascimento/coordinationz@8f72ab8 preprocess_utilities.py",
        _mark("tweet_id", "tweet_type", "linked_tweet", "mentioned_users"),
        {
            "account_id": "user_id", "content_id": "tweet_id",
            "timestamp_share": ("created_at", "creation_date"), "hashtags": "hashtags",
            "urls": "urls", "mentions": "mentioned_users", "retweet": "linked_tweet",
            "reply": "linked_tweet", "quote": "linked_tweet", "text": "text",
        },
        platform="x", types="tweet_type",
        typed={"retweet": "retweet", "reply": "reply", "quote": "quote"},
    ),
    Layout(
        "QUT coordination-network-toolkit",
        "QUT-Digital-Observatory/coordination-network-toolkit@daa0e11 README.md",
        _mark("message_id", "user_id", "repost_id", "reply_id", "timestamp"),
        {
            "account_id": "user_id", "content_id": "message_id", "timestamp_share": "timestamp",
            "urls": "urls", "retweet": "repost_id", "reply": "reply_id", "text": "message",
        },
        split=" ",
    ),
    Layout(
        "4CAT (Bluesky)", f"{_FOURCAT} datasources/bsky/search_bsky.py",
        _mark("author_id", "body", "tags", "mentions", "links", "created_at"),
        {
            "account_id": "author_id", "content_id": "id",
            "timestamp_share": ("timestamp", "created_at"), "hashtags": "tags", "urls": "links",
            "mentions": "mentions", "reply": "replied_to_post", "quote": "quoted_post",
            "text": "body", "likes": "like_count", "replies": "reply_count",
            "retweets": "repost_count", "quotes": "quote_count",
        },
        platform="bluesky",
    ),
    Layout(
        "4CAT (TikTok)", f"{_FOURCAT} datasources/tiktok/search_tiktok.py",
        _mark("tiktok_url", "challenges", "author_full"),
        {
            "account_id": "author", "content_id": "id", "timestamp_share": "unix_timestamp",
            "hashtags": ("hashtags", "challenges"), "text": "body", "likes": "likes",
            "replies": "comments", "retweets": "shares",
        },
        platform="tiktok", joined=_mark("hashtags"),
    ),
    Layout(
        "4CAT (Telegram)", f"{_FOURCAT} datasources/telegram/search_telegram.py",
        _mark("chat", "author_username", "author_forwarded_from_username", "unix_timestamp"),
        {
            "account_id": ("author", "chat"), "content_id": "id",
            "timestamp_share": "unix_timestamp", "urls": ("link_attached", "link_url"),
            "mentions": "entities_mentioned", "text": "body",
        },
        platform="telegram",
    ),
    Layout(
        "4CAT (Instagram)", f"{_FOURCAT} datasources/instagram/search_instagram.py",
        _mark("usertags", "num_media", "media_type", "unix_timestamp"),
        {
            "account_id": ("author_id", "author"), "content_id": "id",
            "timestamp_share": "unix_timestamp", "hashtags": "hashtags", "mentions": "usertags",
            "text": "body", "likes": "num_likes", "replies": "num_comments",
        },
        platform="instagram",
    ),
    Layout(
        "4CAT (Threads)", f"{_FOURCAT} datasources/threads/search_threads.py",
        _mark("reposts", "quotes", "link_thumbnail_url", "unix_timestamp"),
        {
            "account_id": "author", "content_id": "id", "timestamp_share": "unix_timestamp",
            "hashtags": "hashtags", "urls": "link_url", "text": "body", "likes": "likes",
            "replies": "replies", "retweets": "reposts", "quotes": "quotes",
        },
        platform="threads",
    ),
    Layout(
        "4CAT (Twitter API v2)", f"{_FOURCAT} datasources/twitterv2/search_twitter.py",
        _mark("is_quote_tweet", "quoted_user", "replied_user", "author_id"),
        {
            "account_id": "author_id", "content_id": "id", "timestamp_share": "timestamp",
            "hashtags": "hashtags", "urls": "urls", "mentions": "mentions", "text": "body",
            "is_retweet": "is_retweet", "likes": "like_count", "replies": "reply_count",
            "retweets": "retweet_count", "quotes": "quote_count",
        },
        platform="x",
    ),
    Layout(
        "4CAT (X by Zeeschuimer)", f"{_FOURCAT} datasources/twitter-import/search_twitter.py",
        _mark("quote_tweet_id", "replied_author", "is_withheld"),
        {
            "account_id": ("author_id", "author"), "content_id": "id",
            "timestamp_share": "unix_timestamp", "hashtags": "hashtags", "urls": "urls",
            "mentions": "mentions", "quote": "quote_tweet_id", "text": "body",
            "is_retweet": "is_retweet", "likes": "like_count", "replies": "reply_count",
            "retweets": "retweet_count", "quotes": "quote_count",
        },
        platform="x",
    ),
    Layout(
        "Zeeschuimer",
        "digitalmethodsinitiative/zeeschuimer@ffa2781 js/zs-background.js; what 4cat@227bead reads",
        _mark("item_id", "source_platform", "data"),
        {
            # X, TikTok, Instagram; an id of X that is a number was rounded by the browser.
            "account_id": ("data.legacy.user_id_str", "data.author.uniqueId", "data.user.id"),
            "content_id": ("data.legacy.id_str", "data.code", "data.id"),
            "timestamp_share": ("data.legacy.created_at", "data.createTime", "data.taken_at"),
            "platform": "source_platform",
            "hashtags": ("data.legacy.entities.hashtags[].text", "data.challenges[].title"),
            "urls": "data.legacy.entities.urls[].expanded_url",
            "mentions": ("data.legacy.entities.user_mentions[].id_str",
                         "data.usertags.in[].user.username"),
            "retweet": ("data.legacy.retweeted_status_result.result.rest_id",
                        "data.legacy.retweeted_status_result.result.tweet.rest_id"),
            "quote": ("data.quoted_status_result.result.rest_id",
                      "data.quoted_status_result.result.tweet.rest_id"),
            "text": ("data.legacy.full_text", "data.desc", "data.caption.text"),
            "likes": ("data.legacy.favorite_count", "data.stats.diggCount", "data.like_count"),
            "replies": ("data.legacy.reply_count", "data.stats.commentCount",
                        "data.comment_count"),
            "retweets": ("data.legacy.retweet_count", "data.stats.shareCount"),
            "quotes": "data.legacy.quote_count",
        },
        is_json=True,
    ),
    Layout(
        "Meta Content Library",
        "names: fabiogiglietto/csds-preprocessor@5aa1caf, Meta's data dictionary; no file was seen",
        _mark("post_owner.id", "creation_time", "statistics.like_count"),
        {
            "account_id": "post_owner.id", "content_id": "id", "timestamp_share": "creation_time",
            "hashtags": "hashtags", "urls": "link_attachment.link", "retweet": "shared_post_id",
            "text": "text", "likes": "statistics.like_count",
            "replies": "statistics.comment_count", "retweets": "statistics.share_count",
        },
        platform="meta",
    ),
    Layout(
        "YouTube Data Tools (videos)",
        "bernorieder/YouTube-Data-Tools@6cba999; youtube-data-tools-v2@c0a124e models.py",
        _mark("videoId", "channelId", "publishedAtSQL"),
        {
            "account_id": "channelId", "content_id": "videoId", "timestamp_share": "publishedAt",
            "text": "videoDescription", "likes": "likeCount", "replies": "commentCount",
        },
        platform="youtube",
    ),
)  # fmt: skip
