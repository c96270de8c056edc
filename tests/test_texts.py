"""Texts kept on request: the wording behind each hash, once, and no more than was asked for."""

import re
import unicodedata

import polars as pl
import pytest
from archives import NOTHING_X, normalise_text, write_table
from hypothesis import given
from hypothesis import strategies as st
from runs import refuse, succeed

from gpu_coord.archive import posts
from gpu_coord.archive.cells import hash_words, hide_mentions
from gpu_coord.archive.ingest import ingest
from gpu_coord.ground.folders import write_json
from gpu_coord.ground.texts import normalise_unicode
from gpu_coord.store import tables
from gpu_coord.store.store import TABLES, open_store, verify_store

HEADER = ["tweetid", "userid", "tweet_time", "tweet_text", "is_retweet", "hashtags"]
SHARES = "account_id,object_id,content_id,timestamp_share,kind\na,Some words,1,100,text\n"


def tweet(n, text, **cells):
    stamp = {"tweet_time": "2008-02-03 04:05"}
    return {"tweetid": str(n), "userid": "u1", "tweet_text": text, **stamp, **cells}


@pytest.fixture
def ingest_tweets(tmp_path):
    """Write tweets to a file and ingest it, with their texts."""

    def run(*rows, name="tweets.csv", **options):
        (tmp_path / name).write_bytes(write_table(rows, HEADER))
        choices = {"texts": True, "overwrite": True} | options
        return ingest(tmp_path / name, tmp_path / "store", **choices)

    return run


def check_texts(store, expected):
    """Check that the texts are the expected ones, each behind the hash that is its entity."""
    texts = store.read("texts")
    assert sorted(texts["text"]) == sorted(expected)
    known = store.read("entities").filter(pl.col("kind").cast(pl.String) == "text")
    assert texts["entity"].to_list() == known["entity"].to_list()
    assert hash_words(texts["text"]).to_list() == known["value"].to_list()
    assert store.read("texts").equals(store.scan("texts").collect())


# --- what is kept --------------------------------------------------------------------------------


def test_ingest__keeps_each_text_once_as_it_is_hashed(ingest_tweets):
    said = ["Same  WORDS\nhere https://t.co/a", "same words here", "ﬁne @Name"]
    said += ["https://t.co/b", ""]
    store = ingest_tweets(*(tweet(n + 1, text) for n, text in enumerate(said)))
    check_texts(store, ["same words here", "fine @name"])
    assert store.manifest["settings"]["texts"] is True
    assert store.manifest["tables"]["texts"]["rows"] == 2
    assert verify_store(store.path) == {"n_tables": 6, "n_inputs": 1}


def test_ingest__keeps_no_text_that_is_not_in_the_store(ingest_tweets):
    rows = [tweet(1, "mine"), tweet(2, "copied", is_retweet="True"), tweet(1, "of a duplicate")]
    rows += [tweet("x", "of a reject"), tweet(3, "last")]
    check_texts(ingest_tweets(*rows), ["mine", "last"])
    hashed = hash_words(pl.Series(["mine"]))[0]
    check_texts(ingest_tweets(*rows, exclude=[hashed]), ["last"])


def test_ingest__texts_of_an_archive_that_says_nothing(ingest_tweets):
    store = ingest_tweets(tweet(1, ""), tweet(2, "x", is_retweet="true"))
    assert store.read("texts").schema == {"entity": pl.Int32, "text": pl.String}
    assert store.read("texts").height == 0
    verify_store(store.path)


@given(
    texts=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\x1c\x1d\x1e\x1f"), max_size=5)
        | st.sampled_from(["a", "A ", "b", "ß", "http://x"]),
        max_size=30,
    ),
    n_at_a_time=st.sampled_from([1, 3, 1 << 19]),
)
def test_ingest__texts_are_those_of_a_slow_reader(tmp_path_factory, texts, n_at_a_time):
    folder = tmp_path_factory.mktemp("texts")
    rows = [tweet(n + 1, text) for n, text in enumerate([*texts, "the last"])]
    (folder / "tweets.csv").write_bytes(write_table(rows, HEADER))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posts, "TEXTS_AT_A_TIME", n_at_a_time)
        patch.setattr(tables, "ROW_GROUP_ROWS", 4)
        store = ingest(folder / "tweets.csv", folder / "store", texts=True)
    said = [row["tweet_text"] for row in rows if row["tweet_text"].strip() not in NOTHING_X]
    check_texts(store, {normalise_text(text) for text in said} - {""})


def test_ingest__crowdtangle_texts_are_kept_too(tmp_path):
    header = ["Facebook Id", "Followers at Posting", "Post Created", "URL", "Message"]
    rows = [
        dict(zip(header, ("1", "5", "2021-03-01 12:00 EST", f"http://fb/{n}", text), strict=True))
        for n, text in enumerate(["Some Words", "some words http://x.example", "Others", "NA"])
    ]
    (tmp_path / "posts.csv").write_bytes(write_table(rows, header))
    store = ingest(tmp_path / "posts.csv", tmp_path / "store", texts=True)
    check_texts(store, ["some words", "others"])


def test_ingest__the_other_tables_do_not_depend_on_texts(ingest_tweets):
    rows = [tweet(n, f"Text {n % 7}", hashtags="[b, a]") for n in range(1, 50)]
    files = [f"{table}.parquet" for table in TABLES]
    contents = [
        [(ingest_tweets(*rows, texts=texts).path / file).read_bytes() for file in files]
        for texts in (False, True)
    ]
    assert contents[0] == contents[1]


def test_ingest__texts_of_the_ira_sample(data_dir, tmp_path):
    store = ingest(data_dir / "io_ira_2018_10_sample", tmp_path / "store", texts=True)
    texts = store.read("texts")["text"]
    check_texts(store, texts)
    (file,) = (data_dir / "io_ira_2018_10_sample").glob("*tweets*.csv")
    table = pl.read_csv(file, infer_schema=False)
    own = table.filter(pl.col("is_retweet").str.to_lowercase() != "true")
    assert set(texts) == {normalise_text(text) for text in own["tweet_text"]} - {""}


# --- what is not kept ----------------------------------------------------------------------------


def test_ingest__keeps_no_text_unless_asked(ingest_tweets):
    ingest_tweets(tweet(1, "one"))  # is replaced by one without
    store = ingest_tweets(tweet(1, "Said in private"), texts=False)
    assert not (store.path / "texts.parquet").exists()
    assert store.manifest["settings"]["texts"] is False
    with pytest.raises(FileNotFoundError, match="keeps no texts; ingest the archive again"):
        store.read("texts")
    contents = [path.read_bytes() for path in store.path.iterdir()]
    assert len(contents) == 6
    assert not any(b"private" in content for content in contents)
    assert verify_store(store.path)["n_tables"] == 5


def test_store__texts_may_be_deleted_and_are_then_missed_by_name(ingest_tweets):
    store = ingest_tweets(tweet(1, "one"))
    (store.path / "texts.parquet").unlink()
    opened = open_store(store.path)
    assert opened.read("posts").height == 1
    with pytest.raises(FileNotFoundError, match="keeps no texts"):
        opened.scan("texts")
    with pytest.raises(ValueError, match=r"texts\.parquet is missing; ingest again"):
        verify_store(store.path)


def test_verify_store__tells_texts_that_were_changed(ingest_tweets):
    store = ingest_tweets(tweet(1, "one"))
    store.read("texts").with_columns(text=pl.lit("two")).write_parquet(store.path / "texts.parquet")
    with pytest.raises(ValueError, match=r"texts\.parquet is not the file"):
        verify_store(store.path)


def test_verify_store__tells_texts_that_are_not_all_there(ingest_tweets):
    store = ingest_tweets(tweet(1, "one"), tweet(2, "two"))
    manifest = store.manifest
    manifest["entities_by_kind"]["text"] = 3
    write_json(store.path / "manifest.json", manifest)
    with pytest.raises(ValueError, match="the texts of the manifest are 3, but 2 are accounted"):
        verify_store(store.path)


def test_ingest__share_tables_have_no_texts_to_keep(tmp_path):
    (tmp_path / "shares.csv").write_text(SHARES)
    with pytest.raises(ValueError, match=r"shares\.csv is a share table, whose objects are stored"):
        ingest(tmp_path / "shares.csv", tmp_path / "store", texts=True)
    request = ("ingest", tmp_path / "shares.csv", "--store", tmp_path / "store", "--texts")
    assert "error: shares.csv is a share table" in refuse(1, *request)
    assert not (tmp_path / "store").exists()


# --- pseudonyms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("no names", "no names"),
        ("@name", "@"),
        ("rt @some_name: hello", "rt @: hello"),
        ("(@a.b.) and @c-d!", "(@.) and @!"),
        ("@user@host.example says", "@ says"),
        ("@one@two,@three", "@,@"),
        ("@ña @имя", "@ @"),
        ("me@host.example", "me@"),
        ("a @ b @", "a @ b @"),
    ],
)
def test_hide_mentions__leaves_the_sign_alone(text, hidden):
    assert hide_mentions(pl.Series([text])).to_list() == [hidden]


@given(st.text("@ab._- ", max_size=20))
def test_hide_mentions__leaves_no_name_behind_a_sign(text):
    assert not re.search(r"@[\w.-]*\w", hide_mentions(pl.Series([text]))[0])


def test_ingest__under_a_key_texts_name_nobody(ingest_tweets):
    rows = tweet(1, "Hello @Name and ＠other"), tweet(2, "hello @name and @OTHER"), tweet(3, "@x")
    with pytest.warns(UserWarning, match="has pseudonyms and keeps texts"):
        store = ingest_tweets(*rows, pseudonym_key=b"secret")
    assert sorted(store.read("texts")["text"]) == ["@", "hello @ and @"]
    assert all(b"name" not in path.read_bytes() for path in store.path.glob("[te]*.parquet"))
    plain = ingest_tweets(*rows)
    assert plain.read("entities").equals(store.read("entities"))


# --- the command ---------------------------------------------------------------------------------


def test_command__keeps_texts_where_asked(tmp_path):
    (tmp_path / "t.csv").write_bytes(write_table([tweet(1, "One @name")], HEADER))
    (tmp_path / "key").write_text("0123456789abcdef")
    command = ["ingest", tmp_path / "t.csv", "--store", tmp_path / "store"]
    succeed(*command)
    assert not (tmp_path / "store" / "texts.parquet").exists()
    command.append("--overwrite")
    succeed(*command, "--texts")
    assert open_store(tmp_path / "store").read("texts")["text"].to_list() == ["one @name"]
    result = succeed(*command, "--texts", "--pseudonym-key", tmp_path / "key")
    assert "warning: the store has pseudonyms and keeps texts" in result.stderr
    assert open_store(tmp_path / "store").read("texts")["text"].to_list() == ["one @"]


def test_normalise_unicode__marks_are_brought_into_order():
    thai = [chr(code) for code in range(0xE01, 0xE5C)]
    # Each mark behind each, as typed in either order, and behind an accent and what joins it.
    texts = ["\u0e01" + one + other for one in [*thai, "\u0301"] for other in [*thai, "\u0301"]]
    expected = [unicodedata.normalize("NFKC", text) for text in texts]
    assert normalise_unicode(pl.Series(texts)).to_list() == expected
