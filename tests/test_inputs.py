"""Any table: what its columns mean is said, and how it is written changes nothing."""

import bz2
import gzip
import io
import json
import lzma
import sqlite3
from contextlib import closing

import polars as pl
import pyarrow as pa
import pytest
from archives import list_events, list_rejects, pack_zip

from gpu_coord.archive.ingest import ingest
from gpu_coord.archive.preview import preview
from gpu_coord.archive.sources import ArchiveError

ROWS = [
    {"author": "a", "tags": "Alpha;ÉTÉ", "links": "https://x.example/1;https://x.example/2",
     "when": "2020-09-13T12:26:40Z", "nr": "1", "says": "one, two"},
    {"author": "b", "tags": "", "links": "https://www.x.example/1?utm_source=q",
     "when": "2020-09-13T12:26:50Z", "nr": "2", "says": 'so "quoted"'},
]  # fmt: skip
MAP = {
    "account_id": "author", "content_id": "nr", "timestamp_share": "when", "hashtags": "tags",
    "urls": "links",
}  # fmt: skip
FIRST, SECOND = 1_600_000_000_000, 1_600_000_010_000
EVENTS = sorted([
    ("a", "1", "hashtag", "alpha", FIRST), ("a", "1", "hashtag", "été", FIRST),
    ("a", "1", "url", "x.example/1", FIRST), ("a", "1", "url", "x.example/2", FIRST),
    ("b", "2", "url", "x.example/1", SECOND),
])  # fmt: skip
SHARES = "account_id,object_id,content_id,timestamp_share\n"


@pytest.fixture
def read(tmp_path):
    """Store the bytes of a file that says nothing of its kind."""

    def run(content, name="file", **choices):
        content = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(content)
        return ingest(tmp_path / name, tmp_path / "store", overwrite=True, **choices)

    return run


def write_csv(delimiter=",", rows=ROWS, quote="necessary"):
    out = pl.DataFrame(rows).write_csv(separator=delimiter, quote_style=quote)
    return out


def compress(content, codec):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as packed:
        packed.write(content)
    return sink.getvalue().to_pybytes()


def write_arrow(frame):
    out = io.BytesIO()
    frame.write_ipc(out)
    return out.getvalue()


def write_parquet(frame):
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


FRAME = pl.DataFrame(ROWS)
LISTS = FRAME.with_columns(pl.col("tags", "links").str.split(";"))
PLAIN = write_csv()
DIALECTS = {
    "comma": PLAIN, "semicolon": write_csv(";", quote="always"), "tab": write_csv("\t"),
    "bar": write_csv("|"), "quoted": write_csv(quote="always"), "mark": "\ufeff" + PLAIN,
    "carriage returns": PLAIN.replace("\n", "\r\n"),
    "notes": "made by a tool\non a day, late\n" + PLAIN,
    "sep": "sep=;\n" + write_csv(";", quote="always"),
    "empty columns": "".join(line + ",,\n" for line in PLAIN.splitlines()),
    "a column twice": "".join(
        f"{line},{end},{end}\n" for line, end in zip(PLAIN.splitlines(), "xyz", strict=True)
    ),
    "gzip": gzip.compress(PLAIN.encode()), "bzip2": bz2.compress(PLAIN.encode()),
    "xz": lzma.compress(PLAIN.encode()), "zstd": compress(PLAIN.encode(), "zstd"),
    "zip": pack_zip(a__csv=PLAIN), "zip of lines": pack_zip(a__jsonl=FRAME.write_ndjson()),
    "lines": FRAME.write_ndjson(), "lines, zstd": compress(FRAME.write_ndjson().encode(), "zstd"),
    "list": json.dumps(ROWS), "list over lines": json.dumps(ROWS, indent=2),
    "document": json.dumps({"made_by": {"tool": [1]}, "data": ROWS}, indent=1),
    "pages": "".join(json.dumps({"data": [row], "meta": {"n": 1}}) + "\n" for row in ROWS),
    "arrow": write_arrow(FRAME), "parquet": write_parquet(FRAME),
    "arrow with lists": write_arrow(LISTS), "parquet with lists": write_parquet(LISTS),
}  # fmt: skip


@pytest.mark.parametrize("content", DIALECTS.values(), ids=DIALECTS)
def test_ingest__reads_a_table_however_it_is_written(content, read):
    store = read(content, map=MAP, split=";")
    assert list_events(store) == EVENTS
    totals = store.manifest["totals"]
    assert (totals["rows_read"], totals["stored"], totals["rejected"]) == (2, 2, 0)


@pytest.mark.parametrize(
    "make",
    [FRAME.to_pandas, FRAME.to_arrow, FRAME.clone, FRAME.lazy, LISTS.to_arrow],
    ids=["pandas", "arrow", "polars", "lazy", "lists"],
)
def test_ingest__takes_a_frame(make, tmp_path):
    store = ingest(make(), tmp_path / "store", map=MAP, split=";")
    assert list_events(store) == EVENTS
    assert [entry["name"] for entry in store.manifest["inputs"]] == ["frame.arrow"]


def make_qut(path, *, has_links=True):
    """Write the tables that the QUT toolkit makes (coordination_network_toolkit/database.py)."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "create table edge (message_id primary key, user_id not null, username text, repost_id,"
            " reply_id, message text, transformed_message text, timestamp integer)"
        )
        posts = [("1", "a", "ann", None, "9", "hi", None, 1_600_000_000),
                 ("2", "b", "bob", "1", None, "hi", None, 1_600_000_010)]  # fmt: skip
        database.executemany("insert into edge values (?, ?, ?, ?, ?, ?, ?, ?)", posts)
        if has_links:
            database.execute("create table message_url (message_id, url, timestamp, user_id)")
            links = [("1", "https://x.example/1"), ("1", "https://x.example/2")]
            database.executemany("insert into message_url (message_id, url) values (?, ?)", links)
        database.commit()


@pytest.mark.parametrize("has_links", [True, False])
def test_ingest__reads_the_database_of_the_qut_toolkit(has_links, tmp_path):
    make_qut(tmp_path / "db.sqlite", has_links=has_links)
    store = ingest(tmp_path / "db.sqlite", tmp_path / "store")
    urls = [("a", "1", "url", f"x.example/{n}", FIRST) for n in (1, 2)] if has_links else []
    told = [event for event in list_events(store) if event[2] != "text"]
    assert told == sorted([
        ("a", "1", "reply", "9", FIRST), *urls, ("b", "2", "retweet", "1", SECOND),
    ])  # fmt: skip
    (tmp_path / "db.sqlite").write_bytes((tmp_path / "db.sqlite").read_bytes()[:5000])
    with pytest.raises(ArchiveError, match=r"db\.sqlite is broken or incomplete"):
        ingest(tmp_path / "db.sqlite", tmp_path / "store")


def test_ingest__refuses_other_databases(tmp_path):
    with closing(sqlite3.connect(tmp_path / "db.sqlite")) as database:
        database.execute("create table other (a)")
        database.commit()
    with pytest.raises(ArchiveError, match=r"db\.sqlite is not an X archive"):
        ingest(tmp_path / "db.sqlite", tmp_path / "store")


def test_ingest__takes_lists_of_lines_for_lists(read):
    rows = [{**ROWS[0], "tags": ["Alpha", "ÉTÉ"], "links": ROWS[0]["links"].split(";")}, ROWS[1]]
    content = "".join(json.dumps(row) + "\n" for row in rows[:1])
    store = read(content, map=MAP | {"hashtags": "tags[]", "urls": "links[]"})
    assert list_events(store) == [event for event in EVENTS if event[0] == "a"]


def test_ingest__reads_times_as_the_user_says(read):
    content = PLAIN.replace("2020-09-13T12:26:40Z", "13.9.2020 12h26")
    store = read(content, map=MAP, split=";", time_format="%d.%m.%Y %Hh%M")
    times = store.read("posts")["time"].to_list()
    assert times == [FIRST - 40_000]
    assert [row for row, _ in list_rejects(store)] == [2]


@pytest.mark.parametrize("mapping", [MAP, [f"{name}={column}" for name, column in MAP.items()]])
def test_ingest__names_posts_without_an_id_by_their_row(mapping, read):
    pairs = mapping.items() if isinstance(mapping, dict) else (each.split("=") for each in mapping)
    without = {name: column for name, column in pairs if name != "content_id"}
    if not isinstance(mapping, dict):
        without = tuple(f"{name}={column}" for name, column in without.items())
    store = read(PLAIN, map=without, split=";")
    assert sorted(store.read("posts")["content_id"]) == ["file:1", "file:2"]


def test_ingest__takes_a_share_table_with_other_names(read):
    content = "who;what;when\na;x;1600000000\nb;x;1600000001\n"
    mapping = {"account_id": "who", "object_id": "what", "timestamp_share": "when"}
    store = read(content, map=mapping)
    assert list_events(store) == [
        ("a", "file:1", "object", "x", FIRST), ("b", "file:2", "object", "x", FIRST + 1000),
    ]  # fmt: skip


def test_ingest__posts_of_shares_without_content_ids_are_their_rows(read):
    store = read("account_id,object_id,timestamp_share\na,x,1600000000\na,x,1600000000\n")
    assert [event[1] for event in list_events(store)] == ["file:1", "file:2"]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"account_id": "who"}, "map lacks timestamp_share; write --map account_id=COLUMN,"),
        ({**MAP, "colour": "x"}, r"map has the fields colour; the fields are object_id, kind"),
        ({**MAP, "urls": "nothing"}, "nothing"),
        (("account_id",), "map has 'account_id'; write FIELD=COLUMN"),
        (("text=a", "text=b"), "map names text twice"),
    ],
)
def test_ingest__refuses_a_map_that_is_none(mapping, message, read):
    with pytest.raises((ValueError, ArchiveError), match=message):
        read(PLAIN, map=mapping)


def test_ingest__what_it_says_of_an_unknown_table_can_be_typed(read):
    with pytest.raises(ArchiveError) as raised:
        read(PLAIN)
    assert "author, tags, links, when, nr, says" in str(raised.value)
    [line] = [word for word in str(raised.value).split() if word.startswith("account_id=")]
    names = {"account_id": "author", "object_id": "links", "timestamp_share": "when"}
    typed = tuple(
        f"{each.split('=')[0]}={names[each.split('=')[0]]}" for each in line.strip(" .").split(",")
    )
    assert read(PLAIN, map=typed).read("posts").height == 2


def test_ingest__names_the_nearest_layout_and_what_it_lacks(read):
    content = "id,author_id,text,when\n1,2,hi,2020-01-01T00:00:00Z\n"
    with pytest.raises(
        ArchiveError, match=r"\(as twarc-csv has referenced_tweets\.retweeted\.id, too"
    ):
        read(content)


def test_ingest__takes_names_as_r_writes_them(read):
    store = read("account.id,object.id,content.id,timestamp.share\na,x,1,1600000000\n")
    assert list_events(store) == [("a", "1", "object", "x", FIRST)]


def test_preview__shows_columns_and_three_rows(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(write_csv(";", ROWS * 5, quote="always"))
    [shown] = preview(path, map=MAP, split=";")
    assert (shown["format"], shown["packing"], shown["delimiter"]) == ("exports", "csv", ";")
    assert shown["columns"] == MAP
    assert [row["account_id"] for row in shown["rows"]] == ["a", "b", "a"]
    assert shown["rows"][0]["hashtags"] == "Alpha;ÉTÉ"


def test_preview__shows_what_is_known_without_a_map(tmp_path):
    (tmp_path / "shares.csv").write_text(SHARES + "a,x,1,1600000000\n")
    (tmp_path / "more.csv").write_text(SHARES + "b,x,2,1600000000\n")
    shown = preview(tmp_path)
    assert [each["name"] for each in shown] == ["more.csv", "shares.csv"]
    assert [each["format"] for each in shown] == ["shares", "shares"]
    assert shown[1]["rows"][0]["accountid"] == "a"


def test_preview__refuses_what_ingest_refuses(tmp_path):
    (tmp_path / "table.csv").write_text(PLAIN)
    with pytest.raises(ArchiveError, match=r"Say what they mean, such as --map account_id="):
        preview(tmp_path / "table.csv")
