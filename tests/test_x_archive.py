"""X archives: every quirk of the releases, made small; and the real archives where present."""

import ast
import csv
import hashlib
import hmac
import json
import os
import re
import unicodedata
from collections import Counter
from datetime import UTC, datetime
from functools import partial

import polars as pl
import pytest
from archives import (
    NOTHING,
    NOTHING_X,
    fold_tag,
    list_events,
    list_rejects,
    normalise_text,
    write_table,
)
from archives import ingest_any as ingest
from hypothesis import given
from hypothesis import strategies as st

from gpu_coord.archive import sources
from gpu_coord.archive.cells import (
    _lower_case,
    hash_texts,
    parse_counts,
    parse_lists,
    parse_stamps,
    parse_tweet_refs,
)
from gpu_coord.archive.sources import ArchiveError
from gpu_coord.ground.texts import fold_case, fold_hashtags, normalise_unicode
from gpu_coord.store.store import name_accounts

TWEET_HEADER = (
    "tweetid userid user_display_name user_screen_name user_reported_location "
    "user_profile_description user_profile_url follower_count following_count "
    "account_creation_date account_language tweet_language tweet_text tweet_time "
    "tweet_client_name in_reply_to_userid in_reply_to_tweetid quoted_tweet_tweetid is_retweet "
    "retweet_userid retweet_tweetid latitude longitude quote_count reply_count like_count "
    "retweet_count hashtags urls user_mentions"
).split()
USER_HEADER = TWEET_HEADER[1:11]
MOMENT = datetime(2020, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)
MOMENT_MS = round(MOMENT.timestamp() * 1000)
STAMP = "2020-02-03 04:05"
STAMP_MS = MOMENT_MS - 6_789


write_tweets = partial(write_table, header=TWEET_HEADER, quoting=csv.QUOTE_ALL)


def snowflake(ms: int, n: int = 0) -> str:
    return str(((ms - 1_288_834_974_657) << 22) + n)


def tweet(n: int = 0, **cells: str) -> dict[str, str]:
    """A good tweet without entities but its text; ``n`` makes its id unique."""
    base = dict.fromkeys(TWEET_HEADER, "")
    base |= {"tweetid": snowflake(MOMENT_MS, n), "userid": "u1", "tweet_time": STAMP}
    return base | {"is_retweet": "false", "latitude": "absent", "longitude": "absent"} | cells


@pytest.fixture
def ingest_rows(tmp_path):
    """Write rows as a tweets file, ingest it, and return the store."""

    def run(*rows, header=TWEET_HEADER, **options):
        (tmp_path / "tweets.csv").write_bytes(write_tweets(rows, header=header))
        return ingest(tmp_path / "tweets.csv", tmp_path / "store", overwrite=True, **options)

    return run


def list_values(store, kind: str) -> list[str]:
    return sorted(value for _, _, k, value, _ in list_events(store) if k == kind)


def check_counts(store) -> None:
    for entry in store.manifest["inputs"]:
        assert entry["rows_read"] == sum(
            entry[name] for name in ("stored", "rejected", "duplicates", "excluded")
        )
    totals = store.manifest["totals"]
    assert totals["rows_read"] == totals["posts"] + totals["rejected"] + totals["duplicates"]
    assert totals["posts"] == store.read("posts").height
    rejected = sum(entry["rejected"] for entry in store.manifest["inputs"])
    assert rejected == store.read("rejects").height
    assert rejected == sum(store.manifest["rejected_by_reason"].values())


# --- cells ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "items"),
    [
        *((cell, []) for cell in ("[]", "[ ]", "[None]")),
        ("['x', 'y']", ["x", "y"]),
        ("[\"x's\", 'y']", ["x's", "y"]),
        ("['a, b']", ["a, b"]),
        ("['[x]']", ["[x]"]),
        ("[123, 456]", ["123", "456"]),
        ("[123, 'Xy+=']", ["123", "Xy+="]),
        ("[a, b, c]", ["a", "b", "c"]),
        ("[Xy+z=, Ab=]", ["Xy+z=", "Ab="]),
        (r"['a\u200db', 'c\'d', '\\']", ["a\u200db", "c'd", "\\"]),
        (r"['\xe9', '\U0001f600', '\n']", ["é", "😀", "\n"]),
        ("  ['x']  ", ["x"]),
        ("['x', None]", ["x"]),
        ("[None, a]", ["a"]),
        ("[a, null, nan]", ["a"]),
        ("[a[0]]", ["a[0]"]),
        ("['\x1f']", ["\x1f"]),
        *((cell, None) for cell in ("['x'", "['x", "['x' 'y']", "['x', 'y", "x, y", "['x', 'y]")),
        *((cell, None) for cell in ("[['a']]", "[a, [b]]")),
    ],
)
def test_parse_lists__reads_either_dialect(cell, items):
    (parsed,) = parse_lists(pl.Series([cell]), split_at="comma").to_list()
    assert parsed == items if items is None else [x for x in parsed if x is not None] == items


@pytest.mark.parametrize(
    ("cell", "items"),
    [
        ("[http://a/b]", ["http://a/b"]),
        ("[http://a/b,c, https://d/e, f]", ["http://a/b,c", "https://d/e, f"]),
        ("['http://a/b,c', 'https://d']", ["http://a/b,c", "https://d"]),
        ('["http://a/it\'s"]', ["http://a/it's"]),
        ("[http://a/\x1fhttp://b/]", None),
        ("['http://a/\x1fb']", ["http://a/\x1fb"]),
        ("[http://[::1]/a]", ["http://[::1]/a"]),
        ("[None, http://a]", [None, "http://a"]),
    ],
)
def test_parse_lists__splits_urls_before_a_scheme_only(cell, items):
    assert parse_lists(pl.Series([cell]), split_at="scheme").to_list() == [items]


@given(st.lists(st.lists(st.text(), min_size=1, max_size=3), min_size=1, max_size=4))
def test_parse_lists__inverts_python_repr(lists):
    cells = pl.Series([repr(items) for items in lists])
    # A lone surrogate cannot stand in UTF-8, so it cannot reach a file.
    expected = [ast.literal_eval(cell) for cell in cells]
    assert parse_lists(cells, split_at="comma").to_list() == expected


@given(st.lists(st.text(alphabet="[]'\",\\ ax1\n"), min_size=1))
def test_parse_lists__never_fails(cells):
    assert parse_lists(pl.Series(cells), split_at="comma").len() == len(cells)


KEYS = ("text", "tag")


@pytest.mark.parametrize(
    ("cell", "items"),
    [
        ("[{'text': 'alpha', 'indices': [0, 6]}]", ["alpha"]),
        ('[{"indices": [0, 6], "text": "alpha"}, {"tag": "b, c"}]', ["alpha", "b, c"]),
        ("[{'tag': 'no', 'text': 'yes'}]", ["yes"]),
        ("[{'text': None, 'tag': 'x'}, {'text': '', 'tag': 'y'}]", ["x", "y"]),
        ("[ { 'text' : 5 } ]", ["5"]),
        (r"""[{'text': 'it\'s'}, {'text': "it's"}]""", ["it's", "it's"]),
        (r"""[{"text": "\u00e9\ud83d\ude00"}]""", ["é😀"]),
        # Keys of what is inside, and in texts, are no keys of the dictionary.
        ("[{'images': [{'text': 'a', 'size': [1, 2]}], 'of': {'tag': 'b'}, 'text': 'c'}]", ["c"]),
        ("[{'note': \"'text': 'a'\", 'tag': '}], {'}]", ["}], {"]),
        ("[{'text': 'a'}, {'other': 'b'}]", ["a", None]),
        *((cell, None) for cell in ("[{}]", "[{'other': 'a'}]", "[{'text': ['a']}]")),
        *((cell, None) for cell in ("[{'of': {'text': 'a'}}]", "[{'text': 'a']")),
        *((cell, None) for cell in ("[{'text': 'a'}, 'b']", "['b', {'text': 'a'}]")),
        *((cell, None) for cell in ("[{'text' 'a'}]", "[a, {'text': 'b'}]", "{'text': 'a'}")),
    ],
)  # fmt: skip
def test_parse_lists__reads_dictionaries(cell, items):
    # Beside others, for a column is looked at whole.
    cells = pl.Series(["['x']", cell, "[y, z]", None])
    lists = parse_lists(cells, split_at="comma", keys=KEYS).to_list()
    assert lists == [["x"], items, ["y", "z"], None]


some_text = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("'\"\\{}[],:"))
some_values = some_text | st.integers() | st.none() | st.lists(some_text | st.integers())
some_values |= st.dictionaries(st.sampled_from(KEYS), some_text)
dictionaries = st.dictionaries(st.sampled_from([*KEYS, "indices", "it's"]), some_values)
writers = st.sampled_from([repr, json.dumps, partial(json.dumps, ensure_ascii=False)])


@given(st.lists(dictionaries, min_size=1, max_size=4), writers)
def test_parse_lists__dictionaries_agree_with_a_slow_reading(items, write):
    def read(item):
        values = (str(item[key]) for key in KEYS if isinstance(item.get(key), (str, int)))
        return next((value for value in values if value.strip() not in ("", *NOTHING)), None)

    expected = [read(item) for item in items]
    (found,) = parse_lists(pl.Series([write(items)]), split_at="comma", keys=KEYS).to_list()
    assert found == (expected if any(item is not None for item in expected) else None)


GOOD_STAMPS = [
    *("2020-02-03 04:05", "2020-02-03 04:05:59", "2020-02-03T04:05Z", "2020-02-03T04:05:06.789Z"),
    *("2020-02-03T04:05:06,7", "2020-02-03T04:05:06.123456789+05:30", "2020-02-03T04:05:06-0800"),
    *("20200203T040506Z", "1969-12-31T23:59:59.999Z"),
]
BAD_STAMPS = [
    *("2020-02-03", "2020-13-03 04:05", "2020-02-30 04:05", "now", "04:05", "12", "", None),
    *("20-02-03 04:05", "   20-2-03 04:05", "-2020-02-03 04:05", "-2020-2-03 04:05"),
    *("+2020-2-03 04:05", "12020-2-03 04:05", "0000-01-01 00:00"),
    *("0001-01-01T00:00+01:00", "9999-12-31T23:59-01:00"),
]


@pytest.mark.parametrize("text", GOOD_STAMPS)
def test_parse_stamps__reads_iso_times(text):
    time = datetime.fromisoformat(text)
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    (ms,) = parse_stamps(pl.Series([text]))
    assert ms == (time - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000 // 1


@pytest.mark.parametrize("text", BAD_STAMPS)
def test_parse_stamps__refuses_what_has_no_time_of_day(text):
    assert parse_stamps(pl.Series([text, STAMP], dtype=pl.String)).to_list() == [None, STAMP_MS]


@pytest.mark.parametrize(
    "text", [" 120 ", "0120", *"0 1E18 1e+18 1.2e+18 123.0 -1 [123] false +1".split()]
)
def test_parse_tweet_refs__reads_digits_only(text):
    ref = text.strip() if text.strip().isdigit() and text != "0" else None
    assert pl.select(parse_tweet_refs(pl.lit(text))).item() == ref


def test_parse_counts__reads_floats_that_are_whole():
    texts = ["0", "0.0", "12.0", " 7 ", "1.5", "many", "9007199254740993", None]
    counts = parse_counts(pl.Series(texts)).to_list()
    assert counts == [0, 0, 12, 7, None, None, 9007199254740993, None]


@given(st.lists(st.text()))
def test_fold_case__is_full_unicode_folding(texts):
    assert fold_case(pl.Series(texts, dtype=pl.String)).to_list() == [t.casefold() for t in texts]


TAG = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from("##＃﹟ \t\u3000\ufeff\u200b\u200d\u200faÉe\u0301ＡﬁßΣ\u0e33\u1100\u1161")
)


@given(st.lists(TAG))
def test_fold_hashtags__agrees_with_a_slow_reading(tags):
    assert fold_hashtags(pl.Series(tags, dtype=pl.String)).to_list() == [fold_tag(t) for t in tags]


def test_fold_hashtags__applied_twice_changes_nothing():
    known = [chr(code) for code in (*range(0xD800), *range(0xE000, 0x110000))]
    known = [character for character in known if unicodedata.category(character) != "Cn"]
    once = fold_hashtags(pl.Series([*known, None]))
    assert fold_hashtags(once).equals(once)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Same  words\n here", "same words HERE"),
        ("ﬁne https://t.co/abc", "fine https://t.co/xyz more".replace(" more", "")),
        ("ｆｕｌｌ width", "full width"),
    ],
)
def test_hash_texts__ignores_case_form_urls_and_space(left, right):
    assert normalise_text(left) == normalise_text(right)
    first, second = hash_texts(pl.Series([left, right]))
    assert first == second
    assert re.fullmatch("[0-9a-f]{32}", first)


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
        | st.text("aé\u0301ก\u0e33\u1100\u1161\u11a8가\u09c7\u09beﬁＡ\u2003", max_size=6),
        max_size=20,
    )
)
def test_hash_texts__skips_only_texts_that_are_in_nfkc(texts):
    series = pl.Series(texts, dtype=pl.String)
    assert normalise_unicode(series).to_list() == series.str.normalize("NFKC").to_list()
    assert series.to_list() == texts


def test_lower_case__is_that_of_polars_for_all_known_characters():
    known = [chr(code) for code in (*range(0xD800), *range(0xE000, 0x110000))]
    known = [character for character in known if unicodedata.category(character) != "Cn"]
    words = pl.Series([*known, "\u039f\u0394\u039f\u03a3 \u03a3\u0391", "I\u0130i", None])
    assert _lower_case(words).equals(words.str.to_lowercase())


def test_hash_texts__is_null_where_nothing_is_said():
    hashes = hash_texts(pl.Series(["https://t.co/abc", "  \n", "", None, "word"])).to_list()
    assert hashes[:4] == [None] * 4
    assert hashes[4] != hash_texts(pl.Series(["other"]))[0]


# --- entities ------------------------------------------------------------------------------------


def test_ingest__finds_all_kinds_of_entities(ingest_rows):
    own = tweet(
        1, hashtags="['Tag', 'TAG', 'Straße']", user_mentions="['77', 'Xy=']", tweet_text="Hello",
        urls="['https://www.Example.com/a/', 'http://example.com/a']", in_reply_to_tweetid="5",
        quoted_tweet_tweetid="6",
    )  # fmt: skip
    copy = tweet(2, is_retweet="True", retweet_tweetid="9", tweet_text="RT Hello")
    store = ingest_rows(own, copy)
    events = {(post, kind, value) for _, post, kind, value, _ in list_events(store)}
    texts = {event for event in events if event[1] == "text"}
    expected = {("hashtag", "tag"), ("hashtag", "strasse"), ("url", "example.com/a")}
    expected |= {("mention", "77"), ("mention", "Xy="), ("reply", "5"), ("quote", "6")}
    expected = {(own["tweetid"], *found) for found in expected}
    assert events - texts == expected | {(copy["tweetid"], "retweet", "9")}
    assert {post for post, _, _ in texts} == {own["tweetid"]}
    assert len(list_events(store)) == len(events)
    check_counts(store)


@pytest.mark.parametrize(
    ("tag", "spellings"),
    [
        (
            "maga",
            ["MAGA", "ＭＡＧＡ", "#maga", "＃maga", "##Maga", " maga ", "\ufeffmaga", "maga\u200b"],
        ),
        ("café", ["cafe\u0301", "CAFÉ", "#Cafe\u0301"]),
        ("việt", ["vie\u0323\u0302t", "VIỆT"]),
        ("한국", ["\u1112\u1161\u11ab\u1100\u116e\u11a8"]),
        ("\u0915\u093c", ["\u0958"]),
        ("テスト", ["ﾃｽﾄ"]),
        ("strasse", ["Straße", "STRASSE"]),
        ("مرحبا", ["\u200fمرحبا"]),
        # Joiners inside a word are spelling; a # behind is none in front.
        ("می\u200cخواهم", ["#می\u200cخواهم"]),
        ("c#", ["C#"]),
    ],
)
def test_ingest__a_hashtag_has_one_spelling(ingest_rows, tag, spellings):
    rows = [tweet(n, hashtags=repr([cell])) for n, cell in enumerate([tag, *spellings])]
    store = ingest_rows(*rows, tweet(99, hashtags="['#', '\u200b', ' ＃ ']"))
    assert list_values(store, "hashtag") == [tag] * len(rows)
    assert store.read("entities").filter(pl.col("kind") == "hashtag").height == 1
    excluded = ingest_rows(*rows, exclude=[spellings[0]])
    assert list_values(excluded, "hashtag") == []
    assert excluded.manifest["excluded_events_by_term"] == {spellings[0]: len(rows)}


READ = "tweet_text in_reply_to_tweetid quoted_tweet_tweetid retweet_tweetid hashtags urls".split()
READ += ["user_mentions", "like_count", "follower_count", "account_language", "is_retweet"]


@pytest.mark.parametrize("word", [*NOTHING_X, " NA "])
def test_ingest__words_for_nothing_are_missing_in_every_column(ingest_rows, word):
    own = tweet(1, tweet_text="words", hashtags="['x']", like_count="3")
    copy = tweet(2, is_retweet="TRUE", retweet_tweetid="9", tweet_text="RT words")
    blank = tweet(3) | dict.fromkeys(READ, "")
    plain = list_events(ingest_rows(own, copy, blank))
    rows = [{name: cell or word for name, cell in row.items()} for row in (own, copy, blank)]
    store = ingest_rows(*rows)
    assert list_events(store) == plain
    assert store.manifest["unread_cells"] == {}
    # The release's own words, and lists that are empty, are as they should be.
    expected = READ if word.strip() in NOTHING and word != "[]" else []
    counts = [sum(not row[name] for row in (own, copy, blank)) for name in READ]
    n_missing = {name: n for name, n in zip(READ, counts, strict=True) if n and name in expected}
    missing = store.manifest["missing_cells"]
    assert {name: n for name, n in missing.items() if name in READ} == n_missing
    check_counts(store)


@pytest.mark.parametrize("word", NOTHING)
def test_ingest__sets_tweets_aside_whose_ids_are_words_for_nothing(ingest_rows, word):
    store = ingest_rows(tweet(1, userid=word), tweet(tweetid=word), tweet(2, tweet_time=word))
    assert list_rejects(store) == [(1, "no userid"), (2, "no tweetid"), (3, "no tweet_time")]


def test_ingest__items_that_are_words_for_nothing_are_counted(ingest_rows):
    cells = {"hashtags": "['nan', 'x', '']", "urls": "[NA]", "user_mentions": "['-', None]"}
    store = ingest_rows(tweet(1, tweet_text="", **cells))
    assert [event[2:4] for event in list_events(store)] == [("hashtag", "x")]
    unread = {"hashtag": 1, "mention": 2, "url": 1}
    named = {f"{kind} (item without a value)": n for kind, n in unread.items()}
    assert store.manifest["unread_cells"] == named


@pytest.mark.parametrize("none", ["0", "-1", " 0 "])
def test_ingest__no_tweet_has_such_an_id(ingest_rows, none):
    names = ("in_reply_to_tweetid", "quoted_tweet_tweetid", "retweet_tweetid")
    store = ingest_rows(tweet(1, tweet_text="mine", **dict.fromkeys(names, none)))
    assert [event[2] for event in list_events(store)] == ["text"]
    unread = {f"{kind} (0 or -1)": 1 for kind in ("quote", "reply", "retweet")}
    assert store.manifest["unread_cells"] == unread


@pytest.mark.parametrize(
    ("is_retweet", "of", "is_own"),
    [
        ("false", "", True),
        ("", "", True),
        ("NA", "NA", True),
        ("FALSE", "NA", True),
        ("false", "-1", True),
        ("false", "no", True),
        ("TRUE", "NA", False),
        ("True", "", False),
        ("", "77", False),
        ("false", "77", False),
        ("", "7.7e+18", False),  # rounded, and yet of a tweet
    ],
)
def test_ingest__a_text_is_of_its_author_unless_it_is_a_retweet(
    ingest_rows, is_retweet, of, is_own
):
    row = tweet(1, tweet_text="said", is_retweet=is_retweet, retweet_tweetid=of)
    store = ingest_rows(row)
    assert len(list_values(store, "text")) == is_own
    assert list_values(store, "retweet") == (["77"] if of == "77" else [])


def test_ingest__an_archive_that_r_has_written_again_holds_the_same(ingest_rows):
    rows = [
        tweet(n, userid=f"u{n}", hashtags="['vote']", tweet_text="same words", follower_count="5")
        for n in (1, 2)
    ]
    rows += [
        tweet(n, userid=f"u{n}", is_retweet="true", retweet_tweetid="99", user_mentions="['9']")
        for n in (3, 4)
    ]
    original = ingest_rows(*rows)
    events, accounts = list_events(original), original.read("accounts")
    assert Counter(event[2] for event in events) == {
        "hashtag": 2, "text": 2, "mention": 2, "retweet": 2
    }  # fmt: skip
    again = [{name: cell or "NA" for name, cell in row.items()} for row in rows]
    again = [row | {"is_retweet": row["is_retweet"].upper()} for row in again]
    store = ingest_rows(*again)
    assert list_events(store) == events
    assert store.read("accounts").equals(accounts)
    assert store.manifest["unread_cells"] == {}


@pytest.mark.parametrize("write", [repr, json.dumps])
def test_ingest__reads_lists_of_dictionaries(ingest_rows, write):
    cells = {
        "hashtags": [{"text": "Alpha", "indices": [0, 6]}, {"tag": "beta", "start": 7}],
        "urls": [
            {"url": "https://t.co/a", "expanded_url": "https://a.example/1,2", "indices": [7, 30]},
            {"url": "https://t.co/b", "images": [{"url": "https://img.example"}]},
        ],
        "user_mentions": [
            {"screen_name": "x", "id": 5, "id_str": "005", "indices": [0, 6]},
            {"username": "y", "id": 6},
            {"screen_name": "z"},
        ],
    }
    store = ingest_rows(tweet(1, **{name: write(cell) for name, cell in cells.items()}))
    assert list_values(store, "hashtag") == ["alpha", "beta"]
    assert list_values(store, "url") == ["a.example/1,2", "t.co/b"]
    assert list_values(store, "mention") == ["005", "6", "z"]
    assert store.manifest["unread_cells"] == {}


def test_ingest__counts_dictionaries_without_a_key_it_knows(ingest_rows):
    store = ingest_rows(
        tweet(1, hashtags="[{'name': 'a', 'indices': [0, 6]}]"),
        tweet(2, hashtags="[{'text': 'b'}, {'name': 'c'}]"),
        tweet(3, urls="[{'link': 'https://a.example'}]", user_mentions="[{'text': 'b']"),
    )
    assert [event[2:4] for event in list_events(store)] == [("hashtag", "b")]
    unread = {"hashtag": 1, "hashtag (item without a value)": 1, "mention": 1, "url": 1}
    assert store.manifest["unread_cells"] == unread


def test_ingest__links_that_were_cut_off_are_no_entities(ingest_rows):
    cut = "['https://t.co/…', 'https://a.example/b...', 'no url', 'https://a.example/c']"
    store = ingest_rows(tweet(1, urls=cut))
    assert list_values(store, "url") == ["a.example/c"]
    assert store.manifest["unread_cells"] == {"url (cut off)": 2, "url (not a URL)": 1}


def test_ingest__empty_and_null_objects_are_no_objects(ingest_rows):
    cells = {"hashtags": "['', ' ']", "urls": "[]", "user_mentions": "", "tweet_text": " "}
    references = {"in_reply_to_tweetid": "absent", "quoted_tweet_tweetid": "nan"}
    store = ingest_rows(tweet(1, **cells, **references))
    assert list_events(store) == []
    assert store.read("entities").height == 0
    assert store.manifest["unread_cells"] == {}


def test_ingest__counts_cells_that_it_cannot_read(ingest_rows):
    store = ingest_rows(
        tweet(1, hashtags="['cut", user_mentions="loose", like_count="many"),
        tweet(2, urls="['not a url at all']", retweet_tweetid="1.2e+18", is_retweet="true"),
    )
    assert list_events(store) == []
    unread = ["hashtag", "like_count", "mention", "retweet", "url (not a URL)"]
    assert store.manifest["unread_cells"] == dict.fromkeys(unread, 1)


def test_ingest__values_are_data_verbatim(ingest_rows):
    hostile = "=cmd|' /C calc'!A0 <script>\u202e\x00"
    store = ingest_rows(tweet(1, userid=hostile, user_mentions=repr([hostile])))
    assert store.read("accounts")["account_id"].to_list() == [hostile]
    assert list_values(store, "mention") == [hostile]


@pytest.mark.parametrize("block_bytes", [1 << 10, 1 << 20])  # a record or so each, or all at once
def test_ingest__events_of_a_post_are_in_the_order_of_its_cells(
    ingest_rows, monkeypatch, block_bytes
):
    monkeypatch.setattr(sources, "BLOCK_BYTES", block_bytes)
    tags = [["z", "B", "a", "b"], ["m"], ["a", "z", "A"], [], ["y", "x"]]
    rows = [
        tweet(n, hashtags=repr(cell), urls="['http://q.example', 'http://p.example']")
        for n, cell in enumerate(tags)
    ]
    store = ingest_rows(*rows, rows[0] | {"hashtags": "['new']"})
    events = store.read("events").join(store.read("entities").drop("kind"), on="entity")
    events = events.with_columns(pl.col("kind").cast(pl.String))
    for kind, expected in {
        "hashtag": [["z", "b", "a"], ["m"], ["a", "z"], [], ["y", "x"]],
        "url": [["q.example", "p.example"]] * 5,
    }.items():
        rows = events.filter(pl.col("kind") == kind).select("post", "value").rows()
        assert rows == [(post, value) for post, cell in enumerate(expected) for value in cell]


def test_ingest__url_rule_is_a_choice(ingest_rows):
    row = tweet(1, urls="['http://news.example.co.uk/a/?b=1']")
    assert list_values(ingest_rows(row), "url") == ["news.example.co.uk/a?b=1"]
    assert list_values(ingest_rows(row, url_rule="paper"), "url") == ["example.co.uk/a"]


def test_ingest__numbers_are_dense_and_in_byte_order(ingest_rows):
    rows = [
        tweet(n, userid=user, hashtags=repr(tags), user_mentions="[3, 20]")
        for n, (user, tags) in enumerate([("b", ["z", "ä"]), ("B", ["a"]), ("a+", ["z"])])
    ]
    store = ingest_rows(*rows)
    accounts = store.read("accounts").select("account", "account_id")
    assert accounts.rows() == [(0, "B"), (1, "a+"), (2, "b")]
    entities = store.read("entities").with_columns(pl.col("kind").cast(pl.String))
    values = [("hashtag", value) for value in ("a", "z", "ä")]
    values += [("mention", "20"), ("mention", "3")]
    assert entities.rows() == [(place, *value) for place, value in enumerate(values)]
    assert store.read("posts")["post"].to_list() == [0, 1, 2]


# --- time ----------------------------------------------------------------------------------------


def test_ingest__takes_milliseconds_from_the_tweetid(ingest_rows):
    store = ingest_rows(tweet(1, hashtags="['x']"))
    assert store.read("posts")["time"].to_list() == [MOMENT_MS]
    assert store.read("events")["time"].to_list() == [MOMENT_MS]
    facts = ("time_from_id", "time_from_stamp", "time_mismatch")
    assert [store.manifest[name] for name in facts] == [1, 0, 0]
    store = ingest_rows(tweet(1, tweet_time="2020-02-03T04:05:06Z"))  # with seconds, too
    assert store.read("posts")["time"].to_list() == [MOMENT_MS]


@pytest.mark.parametrize(
    ("cells", "options", "ms", "n_mismatches"),
    [
        ({}, {"time": "stamp"}, STAMP_MS, 0),
        ({"tweet_time": "2020-02-03 04:06"}, {}, STAMP_MS + 60_000, 1),
        ({"tweet_time": "2020-02-03T04:05:07Z"}, {}, STAMP_MS + 7_000, 1),
        ({"tweetid": "12345"}, {}, STAMP_MS, 0),
    ],
)
def test_ingest__keeps_the_stamp_where_the_id_says_otherwise(
    ingest_rows, cells, options, ms, n_mismatches
):
    store = ingest_rows(tweet(1, **cells), **options)
    assert store.read("posts")["time"].to_list() == [ms]
    assert store.manifest["time_from_stamp"] == 1
    assert store.manifest["time_mismatch"] == n_mismatches


# --- rejects and duplicates ----------------------------------------------------------------------


def test_ingest__sets_bad_rows_aside_with_row_and_reason(ingest_rows):
    bad = [
        (tweet(tweetid=""), "no tweetid"),
        (tweet(tweetid="1.2e18"), "tweetid is a rounded number: 1.2e18"),
        *(
            (tweet(tweetid=no_id), "tweetid is no whole number below 2^63")
            for no_id in ("9999999999999999999", "+12", "-3", "1_000", "12.5", "\uff11\uff12")
        ),
        (tweet(userid=" "), "no userid"),
        (tweet(tweet_time=""), "no tweet_time"),
        (tweet(tweet_time="2020-02-03"), "tweet_time is no date with a time of day"),
        (tweet(tweet_time="yesterday"), "tweet_time is no date with a time of day"),
    ]
    with pytest.warns(UserWarning, match="1 rows were set aside, since tweetid is a rounded"):
        store = ingest_rows(tweet(1), *(row for row, _ in bad), tweet(2))
    assert list_rejects(store) == [(n, reason) for n, (_, reason) in enumerate(bad, start=2)]
    assert store.read("rejects")["file"].unique().to_list() == ["tweets.csv"]
    assert store.read("posts").height == 2
    check_counts(store)


def test_ingest__sets_tweets_aside_that_are_older_than_twitter(ingest_rows):
    old = ["2006-03-20 23:59", "1970-01-01 00:00", "0001-01-01 00:00"]
    times = [*old, "2006-03-21 00:00"]
    store = ingest_rows(*(tweet(n, tweet_time=time) for n, time in enumerate(times)))
    reason = "tweet_time is before Twitter began (2006-03-21)"
    assert list_rejects(store) == [(n, f"{reason}: {time}") for n, time in enumerate(old, 1)]
    assert store.manifest["rejected_by_reason"] == {reason: 3}
    assert store.read("posts")["time"].to_list() == [1_142_899_200_000]
    check_counts(store)


@pytest.mark.parametrize(
    "made", [datetime(2020, 2, 4, 4, 5, tzinfo=UTC), datetime(1980, 1, 1, tzinfo=UTC)]
)
def test_ingest__sets_tweets_aside_that_are_later_than_their_file(tmp_path, made):
    """A day is left for clocks and zones; a file without a date of its own is as new as can be."""
    times = ["2020-02-03 04:05", "2020-02-05 04:05", "2020-02-05 04:06", "9999-12-31 23:59"]
    path = tmp_path / "t.csv"
    path.write_bytes(write_tweets([tweet(n, tweet_time=time) for n, time in enumerate(times)]))
    os.utime(path, (made.timestamp(), made.timestamp()))
    store = ingest(path, tmp_path / "store")
    n_kept = 2 if made.year == 2020 else 3
    wanted = [(row, f"tweet_time is later than the file: {times[row - 1]}") for row in (3, 4)]
    assert list_rejects(store) == wanted[n_kept - 2 :]
    check_counts(store)


def test_ingest__reads_times_in_twitters_own_form(ingest_rows):
    store = ingest_rows(tweet(tweet_time="Mon Feb 03 04:05:06 +0000 2020"))
    assert store.read("posts")["time"].to_list() == [MOMENT_MS]


def test_ingest__numbers_records_around_rows_with_a_wrong_number_of_fields(tmp_path):
    rows = [tweet(n, tweet_text="two\nlines") for n in range(3)]
    lines = write_tweets(rows).decode().split('"\n')
    no_time = write_tweets([tweet(9, tweet_time="")]).decode().split('"\n')[1]
    lines[2:2] = ['"too","few', ",".join(['"x"'] * 31)[:-1], no_time]
    (tmp_path / "t.csv").write_text('"\n'.join(lines))
    store = ingest(tmp_path / "t.csv", tmp_path / "store")
    assert list_rejects(store) == [
        (2, "2 fields where the header has 30"),
        (3, "31 fields where the header has 30"),
        (4, "no tweet_time"),
    ]
    assert store.read("posts").height == 3
    check_counts(store)


def test_ingest__the_first_row_of_a_tweetid_wins(ingest_rows):
    store = ingest_rows(
        tweet(1, hashtags="['first']", like_count="1"),
        tweet(2),
        tweet(1, hashtags="['second']", like_count="1", userid="u2"),
        tweet(1, hashtags="['first']", like_count="1"),
    )
    assert store.read("posts").height == 2
    assert list_values(store, "hashtag") == ["first"]
    assert store.read("accounts")["account_id"].to_list() == ["u1"]
    assert store.manifest["totals"]["duplicates"] == 2
    assert store.manifest["differing_cells"] == 2
    check_counts(store)


def test_ingest__duplicates_are_found_across_files(tmp_path):
    new = [tweet(2, tweet_text="new"), tweet(3)]
    for name, rows in (("a", [tweet(1), tweet(2)]), ("b", new)):
        (tmp_path / f"{name}.csv").write_bytes(write_tweets(rows))
    store = ingest([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "store")
    assert [entry["duplicates"] for entry in store.manifest["inputs"]] == [0, 1]
    assert store.manifest["differing_cells"] == 1
    check_counts(store)


@pytest.mark.parametrize("seed", range(3))
def test_ingest__does_not_depend_on_the_order_of_rows(tmp_path, seed):
    rows = [
        tweet(n, userid=f"u{n % 5}", hashtags=repr([f"t{n % 3}", "x"]), user_mentions=f"[{n}]")
        for n in range(40)
    ]
    (tmp_path / "a.csv").write_bytes(write_tweets(rows))
    shuffled = pl.DataFrame(rows).sample(fraction=1, shuffle=True, seed=seed).to_dicts()
    (tmp_path / "b.csv").write_bytes(write_tweets(shuffled))
    left = ingest(tmp_path / "a.csv", tmp_path / "left")
    right = ingest(tmp_path / "b.csv", tmp_path / "right")
    assert list_events(left) == list_events(right)
    assert left.read("accounts").equals(right.read("accounts"))
    assert left.read("entities").equals(right.read("entities"))
    ids = left.read("accounts")["account_id"]
    assert name_accounts(ids, left).equals(name_accounts(ids, right))


def test_name_accounts__names_differ_between_archives(tmp_path):
    stores = []
    for name, users in (("a", "uv"), ("b", "uw")):
        rows = [tweet(n, userid=user) for n, user in enumerate(users)]
        (tmp_path / f"{name}.csv").write_bytes(write_tweets(rows))
        stores.append(ingest(tmp_path / f"{name}.csv", tmp_path / name))
    names = [name_accounts(pl.Series(["u"]), store)[0] for store in stores]
    assert names[0] != names[1]
    del stores[0].manifest["accounts_sha256"]  # as stores of earlier versions are
    assert name_accounts(pl.Series(["u"]), stores[0])[0] not in names


# --- users ---------------------------------------------------------------------------------------


def test_ingest__keeps_users_without_tweets_and_their_profiles(tmp_path):
    profile = {"account_creation_date": "2015-06-07", "follower_count": "12.0"}
    profile |= {"following_count": "3", "account_language": "en"}
    users = [{"userid": user, **profile} for user in ("silent", "u1")]
    (tmp_path / "users.csv").write_bytes(write_tweets(users, header=USER_HEADER))
    row = tweet(1, follower_count="99", account_language="th")
    (tmp_path / "tweets.csv").write_bytes(write_tweets([row, tweet(2, userid="u2")]))
    store = ingest(tmp_path, tmp_path.with_name(tmp_path.name + "-store"))
    accounts = store.read("accounts").drop("account", "label")
    known = (datetime(2015, 6, 7).date(), 12, 3, "en")
    assert accounts.rows() == [("silent", *known), ("u1", *known), ("u2", None, None, None, None)]
    assert store.manifest["users"]["stored"] == 2
    check_counts(store)


def test_ingest__reads_users_files_with_camel_case_names(tmp_path):
    header = ["userid", "userDisplayName", "accountCreationDate", "followerCount"]
    rows = [
        {"userid": "u1", "accountCreationDate": "2015-06-07", "followerCount": "5"},
        {"userid": "u1", "followerCount": "6"},
        {"userid": "", "followerCount": "7"},
    ]
    (tmp_path / "users.csv").write_bytes(write_tweets(rows, header=header))
    store = ingest(tmp_path / "users.csv", tmp_path / "store")
    assert store.read("accounts")["follower_count"].to_list() == [5]
    assert list_rejects(store) == [(3, "no userid")]
    (entry,) = store.manifest["inputs"]
    assert (entry["rows_read"], entry["stored"], entry["duplicates"]) == (3, 1, 1)
    assert store.read("posts").height == store.read("events").height == 0


def test_ingest__columns_are_found_by_name(ingest_rows):
    header = ["Poll_Choices", *reversed(TWEET_HEADER), "extra"]
    header[header.index("tweetid")] = "TweetId"
    row = tweet(1, in_reply_to_tweetid="5", in_reply_to_userid="7", Poll_Choices="a|b")
    store = ingest_rows(row | {"TweetId": row["tweetid"]}, header=header)
    assert list_values(store, "reply") == ["5"]


# --- the real archives ---------------------------------------------------------------------------


def test_ingest__thailand_counts(thailand):
    totals, store = thailand.manifest["totals"], thailand
    assert (totals["rows_read"], totals["posts"], totals["accounts"]) == (21_385, 21_385, 926)
    assert store.read("posts")["account"].n_unique() == 455
    assert store.manifest["time_from_id"] == 21_385
    assert store.manifest["time_mismatch"] == 0
    assert store.manifest["unread_cells"] == {}
    counts = store.manifest["events_by_kind"]
    expected = {"hashtag": 7_386, "mention": 20_022, "retweet": 11_199, "reply": 6_844}
    assert {kind: counts[kind] for kind in (*expected, "quote")} == {**expected, "quote": 3_010}
    assert counts["url"] <= 2_299
    check_counts(store)


def test_ingest__thailand_events_are_those_of_the_reference(thailand, data_dir):
    kind = pl.col("kind").cast(pl.String)
    kind = kind.replace({"hashtags": "hashtag", "user_mentions": "mention"})
    reference = pl.read_parquet(data_dir / "io_thailand_092020" / "events.parquet")
    reference = reference.with_columns(kind)
    folded = pl.col("object_id").map_elements(fold_tag, return_dtype=pl.String)
    folded = pl.when(pl.col("kind") == "hashtag").then(folded).otherwise("object_id")
    reference = reference.filter(pl.col("kind") != "urls").with_columns(object_id=folded)
    columns = ["account_id", "content_id", "kind", "object_id", "timestamp_ms_snowflake"]
    expected = set(reference.select(columns).rows())
    found = [event for event in list_events(thailand) if event[2] not in ("url", "text")]
    assert len(found) == len(expected)
    assert set(found) == expected


def test_ingest__ira_sample_quirks(data_dir, tmp_path):
    store = ingest(data_dir / "io_ira_2018_10_sample", tmp_path / "store")
    kinds = Counter(event[2] for event in list_events(store))
    assert kinds == {"retweet": 1, "mention": 1, "url": 2, "text": 1}
    assert store.read("accounts").height == 4
    assert store.read("accounts")["account_id"].str.len_bytes().to_list() == [64] * 4
    assert store.manifest["time_from_id"] == 2
    check_counts(store)


# --- pseudonyms ----------------------------------------------------------------------------------


def test_ingest__pseudonyms_are_keyed_and_the_same_for_mentions(ingest_rows, tmp_path):
    key = b"a secret \xff"
    row = tweet(1, userid="u1", user_mentions="['u1', 'other']", hashtags="['u1']")
    labels = tmp_path / "labels.csv"
    labels.write_text("account_id,label\nu1,op\n")
    store = ingest_rows(row, pseudonym_key=key, labels=labels)

    def pseudonym(text: str) -> str:
        return hmac.new(key.hex().encode(), text.encode(), hashlib.sha256).hexdigest()[:32]

    accounts = store.read("accounts")
    assert accounts["account_id"].to_list() == [pseudonym("u1")]
    assert accounts["label"].to_list() == ["op"]
    assert list_values(store, "mention") == sorted([pseudonym("u1"), pseudonym("other")])
    assert list_values(store, "hashtag") == ["u1"]
    manifest = (store.path / "manifest.json").read_text()
    assert store.manifest["settings"]["pseudonymised"] is True
    assert key.hex() not in manifest
    assert "a secret" not in manifest


def test_ingest__refuses_an_empty_key_and_names_what_a_tweets_file_lacks(ingest_rows):
    with pytest.raises(ValueError, match="pseudonym key is empty"):
        ingest_rows(tweet(1), pseudonym_key=b"")
    with pytest.raises(ArchiveError, match=r"looks like tweets but lacks \['tweettime'\]"):
        ingest_rows(tweet(1), header=["tweetid", "userid", "tweet_text"])
