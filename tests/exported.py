"""A file of each layout, written by hand from what its exporter writes, and what it tells.

Every id, name and address is made up. A case has the records as the exporter names their columns,
and what must be in the store: who, which content, kind, value; all at one time, but where it says.
"""

import csv
import io
import json
from dataclasses import dataclass, field

NOON = 1_600_000_000  # 2020-09-13T12:26:40Z
ISO = "2020-09-13T12:26:40.000Z"
POST, ORIGINAL = "1305120710456246273", "1305020508533686273"


@dataclass(frozen=True)
class Case:
    """One export: its records, and what is known of them."""

    layout: str
    records: tuple[dict, ...]
    events: frozenset  # (account, content, kind, value)
    platform: str | None
    is_json: bool = False
    counts: dict = field(default_factory=dict)  # of the first post

    @property
    def suffix(self):
        return ".jsonl" if self.is_json else ".csv"

    def write(self, records=None, *, order=None):
        """Return the file: records as lines, or as a table with columns in an order."""
        records = self.records if records is None else records
        if self.is_json:
            return "".join(json.dumps(each) + "\n" for each in records).encode()
        names = list(dict.fromkeys(name for each in self.records for name in each))
        out = io.StringIO()
        writer = csv.DictWriter(out, order or names, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(records)
        return out.getvalue().encode()


def tell(account, content, **values):
    """Return the events of one post: kind -> value or values."""
    return frozenset(
        (account, content, kind, value)
        for kind, given in values.items()
        for value in ([given] if isinstance(given, str) else given)
    )


_TWEET = {
    "id": POST, "author_id": "11", "created_at": ISO, "text": "see #Alpha",
    "public_metrics": {"retweet_count": 5, "reply_count": 1, "like_count": 9, "quote_count": 2},
    "entities": {
        "hashtags": [{"start": 4, "end": 10, "tag": "Alpha"}, {"start": 11, "tag": "ÉTÉ"}],
        "urls": [{"url": "https://t.co/abcdefghij", "expanded_url": "https://a.example/1?x=1,2"}],
        "mentions": [{"start": 3, "end": 7, "username": "two", "id": "12"}],
    },
}  # fmt: skip
_V2_EVENTS = tell(
    "11", POST, hashtag=["alpha", "été"], url="a.example/1?x=1,2", mention="12", text="see #alpha"
)
_V2_COUNTS = {"like_count": 9, "reply_count": 1, "retweet_count": 5, "quote_count": 2}
_COPY = {"id": "7", "author_id": "12", "created_at": ISO, "text": "RT @one: see #Al…",
         "referenced_tweets": [{"type": "retweeted", "id": POST}]}  # fmt: skip

_V1 = {
    "created_at": "Sun Sep 13 12:26:40 +0000 2020", "id": 1305120710456246273, "id_str": POST,
    "full_text": "see #Alpha", "favorite_count": 9, "retweet_count": 5, "retweeted": False,
    "entities": {
        "hashtags": [{"text": "Alpha", "indices": [13, 19]}], "symbols": [],
        "user_mentions": [{"screen_name": "two", "id": 12, "id_str": "12"}],
        "urls": [{"url": "https://t.co/abcdefghij", "expanded_url": "https://a.example/1"}],
    },
    "user": {"id": 11, "id_str": "11", "screen_name": "one"}, "in_reply_to_status_id": None,
    "in_reply_to_status_id_str": None, "is_quote_status": False,
}  # fmt: skip
_V1_COPY = {
    **_V1, "id_str": "8", "full_text": "RT @one: se…", "user": {"id_str": "12"},
    "entities": {"hashtags": [], "urls": [], "user_mentions": [{"id_str": "11"}]},
    "retweeted_status": _V1,
}  # fmt: skip
_V1_LONG = {  # of a stream: cut, with the whole beside it
    **_V1, "id_str": "9", "text": "long…", "truncated": True, "in_reply_to_status_id_str": "5",
    "quoted_status_id_str": "6",
    "entities": {"hashtags": [], "urls": [], "user_mentions": []},
    "extended_tweet": {"full_text": "long and whole", "entities": {
        "hashtags": [{"text": "beta"}], "urls": [], "user_mentions": []}},
}  # fmt: skip
del _V1_LONG["full_text"]

_BSKY_RECORD = {
    "$type": "app.bsky.feed.post", "createdAt": ISO, "text": "see a.example/1 #Alpha",
    "facets": [
        {"index": {"byteStart": 4, "byteEnd": 15}, "features": [
            {"$type": "app.bsky.richtext.facet#link", "uri": "https://a.example/1"}]},
        {"index": {"byteStart": 16, "byteEnd": 22}, "features": [
            {"$type": "app.bsky.richtext.facet#tag", "tag": "Alpha"}]},
        {"index": {"byteStart": 23, "byteEnd": 39}, "features": [
            {"$type": "app.bsky.richtext.facet#mention", "did": "did:plc:bbbb"}]},
    ],
    "embed": {"$type": "app.bsky.embed.record",
              "record": {"cid": "q", "uri": "at://did:plc:cccc/app.bsky.feed.post/3kq"}},
    "reply": {"root": {"cid": "r", "uri": "at://did:plc:bbbb/app.bsky.feed.post/3kr"},
              "parent": {"cid": "p", "uri": "at://did:plc:bbbb/app.bsky.feed.post/3kp"}},
}  # fmt: skip
_BSKY_TOLD = {
    "hashtag": "alpha", "url": "a.example/1", "mention": "did:plc:bbbb",
    "quote": "at://did:plc:cccc/app.bsky.feed.post/3kq",
    "reply": "at://did:plc:bbbb/app.bsky.feed.post/3kp", "text": "see a.example/1 #alpha",
}  # fmt: skip
_BSKY_URI = "at://did:plc:aaaa/app.bsky.feed.post/3kaaa"


def _commit(collection, rkey, record):
    return {
        "did": "did:plc:aaaa", "time_us": NOON * 1_000_000, "kind": "commit",
        "commit": {"rev": "3k", "operation": "create", "collection": collection, "rkey": rkey,
                   "record": record, "cid": "c"},
    }  # fmt: skip


CASES = [
    Case("Twitter API v2 (twarc2 pages and lines)", (_TWEET, _COPY),
         _V2_EVENTS | tell("12", "7", retweet=POST), "x", is_json=True, counts=_V2_COUNTS),
    Case("Twitter API v1.1", (_V1, _V1_COPY, _V1_LONG),
         tell("11", POST, hashtag="alpha", url="a.example/1", mention="12", text="see #alpha")
         | tell("12", "8", hashtag="alpha", url="a.example/1", mention=["11", "12"], retweet=POST)
         | tell("11", "9", hashtag="beta", reply="5", quote="6", text="long and whole"),
         "x", is_json=True, counts={"like_count": 9, "retweet_count": 5}),
    Case("snscrape (Twitter)", (
        {"_type": "snscrape.modules.twitter.Tweet", "date": "2020-09-13T12:26:40+00:00",
         "rawContent": "see #Alpha", "id": int(POST), "user": {"username": "one", "id": 11},
         "replyCount": 0, "retweetCount": 5, "likeCount": 9, "quoteCount": 2,
         "links": [{"text": "a.example/1", "url": "https://a.example/1"}], "retweetedTweet": None,
         "quotedTweet": {"_type": "TweetRef", "id": 6}, "inReplyToTweetId": 5,
         "mentionedUsers": [{"username": "two", "id": 12}], "hashtags": ["Alpha"]},
        {"_type": "snscrape.modules.twitter.Tweet", "date": "2020-09-13T12:26:40+00:00",
         "content": "old", "id": 8, "user": {"id": 12}, "retweetCount": 0,
         "outlinks": ["https://b.example/"], "hashtags": None}),
         tell("11", POST, hashtag="alpha", url="a.example/1", mention="12", quote="6", reply="5",
              text="see #alpha") | tell("12", "8", url="b.example", text="old"),
         "x", is_json=True, counts=_V2_COUNTS | {"reply_count": 0}),
    Case("Bluesky Jetstream", (
        _commit("app.bsky.feed.post", "3kaaa", _BSKY_RECORD),
        _commit("app.bsky.feed.repost", "3kaac", {
            "createdAt": ISO, "subject": {"cid": "q", "uri": "at://did:plc:cccc/x/3kq"}})),
         tell("did:plc:aaaa", "3kaaa", **_BSKY_TOLD)
         | tell("did:plc:aaaa", "3kaac", retweet="at://did:plc:cccc/x/3kq"),
         "bluesky", is_json=True),
    Case("Bluesky post views (getPosts)", (
        {"uri": _BSKY_URI, "cid": "c", "author": {"did": "did:plc:aaaa", "handle": "one.example"},
         "record": _BSKY_RECORD, "replyCount": 0, "repostCount": 1, "likeCount": 2,
         "quoteCount": 3, "indexedAt": "2020-09-13T12:27:00Z"},),
         tell("did:plc:aaaa", _BSKY_URI, **_BSKY_TOLD), "bluesky", is_json=True,
         counts={"like_count": 2, "reply_count": 0, "retweet_count": 1, "quote_count": 3}),
    Case("Mastodon statuses", (
        {"id": "1", "created_at": ISO, "in_reply_to_id": "4", "uri": "https://m.example/s/1",
         "url": None, "replies_count": 0, "reblogs_count": 1, "favourites_count": 2,
         "content": "<p>see it</p>", "reblog": None,
         "account": {"id": "1", "acct": "one", "url": "https://m.example/@one"},
         "mentions": [{"id": "2", "acct": "two@n.example"}], "tags": [{"name": "Alpha"}],
         "card": {"url": "https://a.example/1"}},
        {"id": "2", "created_at": ISO, "uri": "https://m.example/s/2", "content": "<p>see it</p>",
         "reblog": {"uri": "https://m.example/s/1"}, "account": {"acct": "two@n.example"}}),
         tell("one", "https://m.example/s/1", hashtag="alpha", url="a.example/1", reply="4",
              mention="two@n.example", text="see it")
         | tell("two@n.example", "https://m.example/s/2", retweet="https://m.example/s/1"),
         "mastodon", is_json=True,
         counts={"like_count": 2, "reply_count": 0, "retweet_count": 1}),
    Case("Telegram Desktop (result.json)", (
        {"id": 10, "type": "message", "date": "2020-09-13T13:26:40", "date_unixtime": str(NOON),
         "from": "Chan", "from_id": "channel1002",
         "text": "see https://a.example/1 #Alpha @two",
         "text_entities": [
             {"type": "plain", "text": "see "}, {"type": "link", "text": "https://a.example/1"},
             {"type": "hashtag", "text": "#Alpha"}, {"type": "mention", "text": "@two"},
             {"type": "text_link", "text": "here", "href": "https://b.example/2"}]},),
         tell("channel1002", "10", hashtag="alpha", url=["a.example/1", "b.example/2"],
              mention="two", text="see #alpha @two"), "telegram", is_json=True),
    Case("TikTok Research API (JSON)", (
        {"id": 7160000000000000001, "video_description": "look #alpha", "create_time": NOON,
         "username": "one", "hashtag_names": ["alpha", "Beta"], "like_count": 3,
         "comment_count": 0, "share_count": 1},),
         tell("one", "7160000000000000001", hashtag=["alpha", "beta"], text="look #alpha"),
         "tiktok", is_json=True,
         counts={"like_count": 3, "reply_count": 0, "retweet_count": 1}),
    Case("TikTok Research API", (
        {"id": "7160000000000000001", "video_description": "look", "create_time": str(NOON),
         "region_code": "US", "share_count": "1", "like_count": "3", "comment_count": "0",
         "hashtag_names": "['alpha', 'Beta']", "username": "one", "voice_to_text": ""},),
         tell("one", "7160000000000000001", hashtag=["alpha", "beta"], text="look"), "tiktok",
         counts={"like_count": 3, "reply_count": 0, "retweet_count": 1}),
    Case("twarc-csv", (
        {"id": POST, "referenced_tweets.replied_to.id": "5",
         "referenced_tweets.retweeted.id": ORIGINAL, "referenced_tweets.quoted.id": "6",
         "author_id": "11", "created_at": ISO, "text": "RT", "public_metrics.like_count": "9",
         "public_metrics.reply_count": "1", "public_metrics.retweet_count": "5",
         "public_metrics.quote_count": "2", "entities.hashtags": '["#Alpha", "#ÉTÉ"]',
         "entities.mentions": '["@two"]', "entities.urls": '["https://a.example/1?x=1,2"]'},
        {"id": "8", "author_id": "12", "created_at": ISO, "text": "old",  # up to version 0.6
         "entities.hashtags": '[{"start": 4, "end": 10, "tag": "Alpha"}]',
         "entities.mentions": '[{"start": 0, "end": 4, "username": "two", "id": "12"}]',
         "entities.urls": '[{"url": "https://t.co/a", "expanded_url": "https://b.example/2"}]'}),
         tell("11", POST, hashtag=["alpha", "été"], mention="two", url="a.example/1?x=1,2",
              retweet=ORIGINAL, reply="5", quote="6")
         | tell("12", "8", hashtag="alpha", mention="12", url="b.example/2", text="old"),
         "x", counts=_V2_COUNTS),
    Case("FiveThirtyEight's IRA tweets", (
        {"external_author_id": "906000000000000000", "author": "ONE", "content": "see it",
         "publish_date": "9/13/2020 12:26", "harvested_date": "9/13/2020 12:27", "retweet": "0",
         "alt_external_id": "905874659358453760", "tweet_id": POST,
         "tco1_step1": "https://a.example/1", "tco2_step1": "https://b.example/2"},
        {"external_author_id": "11", "author": "TWO", "content": "see it", "retweet": "1",
         "publish_date": "9/13/2020 12:26", "harvested_date": "9/13/2020 12:27", "tweet_id": "8"}),
         tell("905874659358453760", POST, url=["a.example/1", "b.example/2"], text="see it"), "x"),
    Case("academictwitteR (tidy)", (
        {"tweet_id": POST, "text": "RT", "author_id": "11", "created_at": ISO,
         "retweet_count": "5", "like_count": "9", "quote_count": "2", "user_location": "NA",
         "sourcetweet_type": "retweeted", "sourcetweet_id": ORIGINAL},
        {"tweet_id": "8", "text": "own", "author_id": "12", "created_at": ISO,
         "sourcetweet_type": "NA", "sourcetweet_id": "NA"}),
         tell("11", POST, retweet=ORIGINAL) | tell("12", "8", text="own"), "x",
         counts={"like_count": 9, "retweet_count": 5, "quote_count": 2}),
    Case("minet, gazouilloire (twitwi)", (
        {"id": POST, "timestamp_utc": str(NOON), "user_screen_name": "one", "text": "see",
         "retweet_count": "5", "like_count": "9", "reply_count": "1", "to_tweetid": "5",
         "user_id": "11", "retweeted_id": "", "quoted_id": "6",
         "links": "https://a.example/1|https://b.example/2", "mentioned_ids": "12|13",
         "hashtags": "alpha|été"},),
         tell("11", POST, hashtag=["alpha", "été"], url=["a.example/1", "b.example/2"],
              mention=["12", "13"], reply="5", quote="6", text="see"), "x",
         counts={"like_count": 9, "reply_count": 1, "retweet_count": 5}),
    Case("minet (Bluesky)", (
        {"cid": "c", "did": "3kaaa", "uri": _BSKY_URI, "timestamp_utc": str(NOON),
         "user_did": "did:plc:aaaa", "text": "see https://a.example/1", "original_text": "see it",
         "repost_count": "1", "like_count": "2", "reply_count": "0", "quote_count": "3",
         "to_post_uri": "at://did:plc:bbbb/p/1", "repost_by_user_did": "",
         "quoted_uri": "at://did:plc:bbbb/p/2", "links": "https://a.example/1",
         "mentioned_user_dids": "did:plc:bbbb|did:plc:cccc", "hashtags": "alpha"},
        {"uri": _BSKY_URI, "timestamp_utc": "1500000000", "user_did": "did:plc:aaaa",
         "original_text": "see it", "repost_by_user_did": "did:plc:dddd",
         "repost_timestamp_utc": str(NOON)}),
         tell("did:plc:aaaa", _BSKY_URI, hashtag="alpha", url="a.example/1", text="see it",
              mention=["did:plc:bbbb", "did:plc:cccc"], reply="at://did:plc:bbbb/p/1",
              quote="at://did:plc:bbbb/p/2")
         | tell("did:plc:dddd", _BSKY_URI, retweet=_BSKY_URI), "bluesky",
         counts={"like_count": 2, "reply_count": 0, "retweet_count": 1, "quote_count": 3}),
    Case("TAGS", (
        {"id_str": POST, "from_user": "one", "text": "see #Alpha", "time": "13/09/2020 13:26:40",
         "created_at": "Sun Sep 13 12:26:40 +0000 2020", "from_user_id_str": "11",
         "in_reply_to_status_id_str": "5", "status_url": "http://twitter.com/one/statuses/1",
         "entities_str": json.dumps(_V1["entities"])},),
         tell("11", POST, reply="5", text="see #alpha", hashtag="alpha", url="a.example/1",
              mention="12"), "x"),
    Case("DMI-TCAT", (
        {"id": POST, "time": str(NOON), "created_at": "2020-09-13 12:26:40",
         "from_user_name": "one", "text": "see", "retweet_count": "5", "favorite_count": "9",
         "in_reply_to_status_id": "0", "quoted_status_id": "6", "from_user_id": "11",
         "urls": "https://t.co/a; https://t.co/b",
         "urls_expanded": "https://a.example/1; https://b.example/2", "urls_followed": "",
         "mentions": "two; three", "hashtags": "Alpha; beta"},),
         tell("11", POST, hashtag=["alpha", "beta"], url=["a.example/1", "b.example/2"],
              mention=["two", "three"], quote="6", text="see"), "x",
         counts={"like_count": 9, "retweet_count": 5}),
    Case("coordinationz", (
        {"tweet_id": POST, "user_id": "11", "text": 'RT say "hi"', "hashtags": "['Alpha', 'beta']",
         "urls": "['https://a.example/1']", "category": "io", "mentioned_users": "['12']",
         "created_at": "2020-09-13 12:26:40", "tweet_type": "retweet", "linked_tweet": ORIGINAL},
        {"tweet_id": "8", "user_id": "12", "text": "own", "created_at": "2020-09-13 12:26:40",
         "tweet_type": "quote", "linked_tweet": "6", "hashtags": "[]"}),
         tell("11", POST, hashtag=["alpha", "beta"], url="a.example/1", mention="12",
              retweet=ORIGINAL) | tell("12", "8", quote="6", text="own"), "x"),
    Case("QUT coordination-network-toolkit", (
        {"message_id": POST, "user_id": "11", "username": "one", "repost_id": "", "reply_id": "5",
         "message": "see", "timestamp": str(NOON),
         "urls": "https://a.example/1 https://b.example/2"},
        {"message_id": "8", "user_id": "12", "username": "two", "repost_id": POST,
         "reply_id": "", "message": "see", "timestamp": str(NOON), "urls": ""}),
         tell("11", POST, url=["a.example/1", "b.example/2"], reply="5", text="see")
         | tell("12", "8", retweet=POST), None),
    Case("4CAT (Bluesky)", (
        {"id": _BSKY_URI, "created_at": ISO, "author": "one.example", "author_id": "did:plc:aaaa",
         "body": "see", "tags": "Alpha,beta", "like_count": "2", "quote_count": "3",
         "reply_count": "0", "repost_count": "1", "quoted_post": "https://bsky.app/q",
         "replied_to_post": "https://bsky.app/r", "mentions": "two.example",
         "links": "https://a.example/1", "timestamp": str(NOON)},),
         tell("did:plc:aaaa", _BSKY_URI, hashtag=["alpha", "beta"], url="a.example/1",
              mention="two.example", quote="https://bsky.app/q", reply="https://bsky.app/r",
              text="see"), "bluesky",
         counts={"like_count": 2, "reply_count": 0, "retweet_count": 1, "quote_count": 3}),
    Case("4CAT (TikTok)", (
        {"id": "7160000000000000001", "author": "one", "author_full": "One", "body": "look",
         "timestamp": "2020-09-13 14:26:40", "unix_timestamp": str(NOON), "likes": "3",
         "comments": "0", "shares": "1", "tiktok_url": "https://www.tiktok.com/@one/video/7",
         "hashtags": "alpha,beta", "challenges": "beta,gamma"},),
         tell("one", "7160000000000000001", hashtag=["alpha", "beta", "gamma"], text="look"),
         "tiktok", counts={"like_count": 3, "reply_count": 0, "retweet_count": 1}),
    Case("4CAT (Telegram)", (
        {"id": "chan-10", "chat": "chan", "author": "1001", "author_username": "one",
         "body": "hi", "timestamp": "2020-09-13 14:26:40", "unix_timestamp": str(NOON),
         "author_forwarded_from_username": "two", "entities_mentioned": "three",
         "link_attached": "https://a.example/1"},
        {"id": "chan-11", "chat": "chan", "author": "", "body": "ho",
         "unix_timestamp": str(NOON)}),
         tell("1001", "chan-10", url="a.example/1", mention="three", text="hi")
         | tell("chan", "chan-11", text="ho"), "telegram"),
    Case("4CAT (Instagram)", (
        {"id": "Cabc", "timestamp": "2020-09-13 14:26:40", "body": "look", "author_id": "1001",
         "author": "one", "media_type": "photo", "num_media": "1", "hashtags": "alpha",
         "usertags": "two,three", "num_likes": "3", "num_comments": "0",
         "unix_timestamp": str(NOON)},),
         tell("1001", "Cabc", hashtag="alpha", mention=["two", "three"], text="look"),
         "instagram", counts={"like_count": 3, "reply_count": 0}),
    Case("4CAT (Threads)", (
        {"id": "Cabc", "body": "look", "timestamp": "2020-09-13 14:26:40", "author": "one",
         "link_url": "https://a.example/1", "link_thumbnail_url": "", "likes": "3",
         "reposts": "1", "replies": "0", "quotes": "2", "hashtags": "alpha",
         "unix_timestamp": str(NOON)},),
         tell("one", "Cabc", hashtag="alpha", url="a.example/1", text="look"), "threads",
         counts={"like_count": 3, "reply_count": 0, "retweet_count": 1, "quote_count": 2}),
    Case("4CAT (Twitter API v2)", (
        {"id": POST, "timestamp": "2020-09-13 12:26:40", "unix_timestamp": "1600007200",
         "body": "see", "author": "one", "author_id": "11", "retweet_count": "5",
         "like_count": "9", "quote_count": "2", "reply_count": "1", "is_retweet": "no",
         "is_quote_tweet": "no", "quoted_user": "", "replied_user": "",
         "hashtags": "Alpha,beta", "urls": "https://a.example/1", "mentions": "two"},
        {"id": "8", "timestamp": "2020-09-13 12:26:40", "body": "RT @one: see", "author_id": "12",
         "is_retweet": "yes"}),
         tell("11", POST, hashtag=["alpha", "beta"], url="a.example/1", mention="two",
              text="see"), "x", counts=_V2_COUNTS),
    Case("4CAT (X by Zeeschuimer)", (
        {"id": POST, "unix_timestamp": str(NOON), "timestamp": "2020-09-13 12:26:40",
         "body": "see", "author_id": "11", "author": "one", "retweet_count": "5",
         "reply_count": "1", "like_count": "9", "quote_count": "2", "is_retweet": "no",
         "quote_tweet_id": "6", "replied_author": "", "is_withheld": "no",
         "hashtags": "Alpha,beta", "urls": "https://a.example/1", "mentions": "two"},),
         tell("11", POST, hashtag=["alpha", "beta"], url="a.example/1", mention="two", quote="6",
              text="see"), "x", counts=_V2_COUNTS),
    Case("Zeeschuimer", (
        {"nav_index": "3:12:0", "item_id": POST, "timestamp_collected": 1700000000000,
         "source_platform": "twitter.com", "data": {
             "rest_id": POST, "id": 1305120710456246300, "legacy": {
                 "created_at": "Sun Sep 13 12:26:40 +0000 2020", "id_str": POST,
                 "user_id_str": "11", "full_text": "see #Alpha",
                 "entities": {"hashtags": [{"text": "Alpha"}],
                              "urls": [{"expanded_url": "https://a.example/1"}],
                              "user_mentions": [{"id_str": "12", "screen_name": "two"}]},
                 "favorite_count": 9, "reply_count": 1, "retweet_count": 5, "quote_count": 2}}},
        {"item_id": "8", "source_platform": "twitter.com", "data": {"rest_id": "8", "legacy": {
            "created_at": "Sun Sep 13 12:26:40 +0000 2020", "id_str": "8", "user_id_str": "12",
            "full_text": "RT", "retweeted_status_result": {"result": {"rest_id": POST}}}}},
        {"item_id": "7160", "source_platform": "tiktok.com", "data": {
            "id": "7160", "desc": "look", "createTime": NOON, "author": {"uniqueId": "uno"},
            "challenges": [{"title": "Beta"}], "stats": {"diggCount": 3}}},
        {"item_id": "9", "source_platform": "instagram.com", "data": {
            "code": "Cabc", "taken_at": NOON, "user": {"id": "1001", "username": "eins"},
            "caption": {"text": "schau"}, "like_count": 3}}),
         tell("11", POST, hashtag="alpha", url="a.example/1", mention="12", text="see #alpha")
         | tell("12", "8", retweet=POST) | tell("uno", "7160", hashtag="beta", text="look")
         | tell("1001", "Cabc", text="schau"),
         "twitter.com", is_json=True, counts=_V2_COUNTS),
    Case("Meta Content Library", (
        {"id": "1234567890123456", "post_owner.id": "777", "creation_time": ISO, "text": "hi",
         "link_attachment.link": "https://a.example/1", "statistics.like_count": "3",
         "statistics.comment_count": "0", "statistics.share_count": "1", "hashtags": '["alpha"]',
         "shared_post_id": ""},),
         tell("777", "1234567890123456", hashtag="alpha", url="a.example/1", text="hi"), "meta",
         counts={"like_count": 3, "reply_count": 0, "retweet_count": 1}),
    Case("YouTube Data Tools (videos)", (
        {"position": "1", "channelId": "UCaaaa", "channelTitle": "One", "videoId": "abcdefghijk",
         "publishedAt": "2020-09-13T12:26:40Z", "publishedAtSQL": "2020-09-13 14:26:40",
         "videoTitle": "A title", "videoDescription": "look", "likeCount": "3",
         "commentCount": "0"},),
         tell("UCaaaa", "abcdefghijk", text="look"), "youtube",
         counts={"like_count": 3, "reply_count": 0}),
]  # fmt: skip
