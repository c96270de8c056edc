"""Exports of other tools: what each record tells, whatever columns are there and in what order."""

import copy
import random
import warnings

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_coord.archive.ingest import ingest
from gpu_coord.archive.layouts import LAYOUTS, recognise_layout
from gpu_coord.archive.preview import preview
from gpu_coord.archive.sources import ArchiveError
from tests.exported import CASES, NOON

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.layout)
LAYOUT = {layout.name: layout for layout in LAYOUTS}


def read(folder, content, name, **choices):
    """Store a file; return the store and what its posts refer to, texts in words."""
    path = folder / name
    path.write_bytes(content)
    store = ingest(path, folder / f"{name}-store", texts=True, max_rejects=1.0, **choices)
    check_counts(store)
    return store, list_told(store)


def check_counts(store):
    for counts in (*store.manifest["inputs"], store.manifest["totals"]):
        parts = ("stored", "rejected", "duplicates", "excluded")
        assert counts["rows_read"] == sum(counts[part] for part in parts)


def list_told(store):
    """Return (account, content, kind, value) of all events."""
    words = store.read("texts").select("entity", "text")
    events = (
        store.read("events")
        .join(store.read("entities").drop("kind"), on="entity")
        .join(words, on="entity", how="left")
        .join(store.read("accounts"), on="account")
        .join(store.read("posts").select("post", "content_id"), on="post")
    )
    told = pl.when(pl.col("kind").cast(pl.String) == "text").then("text").otherwise("value")
    return sorted(
        events.select(
            "account_id", "content_id", pl.col("kind").cast(pl.String), told.alias("told")
        ).rows()
    )


def test_cases__are_of_every_layout():
    assert sorted(case.layout for case in CASES) == sorted(LAYOUT)
    assert all(layout.checked for layout in LAYOUTS)


@each_case
def test_ingest__reads_a_layout(case, tmp_path):
    store, told = read(tmp_path, case.write(), f"export{case.suffix}")
    assert told == sorted(case.events)
    posts = store.read("posts")
    assert {*posts["time"]} <= {NOON * 1000, NOON // 60 * 60_000}
    assert posts.height == len(case.records)
    assert case.platform in posts["platform"]
    own = posts.filter(content_id=POST_OF[case.layout])[:1]
    for count in ("like_count", "reply_count", "retweet_count", "quote_count"):
        assert own[count].to_list() == [case.counts.get(count)], count
    shown = preview(tmp_path / f"export{case.suffix}")
    assert [each["layout"] for each in shown] == [case.layout]


POST_OF = {case.layout: sorted(case.events)[0][1] for case in CASES}
POST_OF |= {
    "Twitter API v2 (twarc2 pages and lines)": "1305120710456246273",
    "Twitter API v1.1": "1305120710456246273", "Bluesky Jetstream": "3kaaa",
    "Zeeschuimer": "1305120710456246273",
}  # fmt: skip


@each_case
def test_ingest__does_not_mind_the_order_of_columns_or_copies(case, tmp_path):
    names = list(dict.fromkeys(name for each in case.records for name in each))
    shuffled = random.Random(7).sample(names, len(names))
    records = [{name: each[name] for name in shuffled if name in each} for each in case.records]
    store, told = read(tmp_path, case.write(records * 3, order=shuffled), f"export{case.suffix}")
    assert told == sorted(case.events)
    totals = store.manifest["totals"]
    assert (totals["stored"], totals["duplicates"]) == (len(records), 2 * len(records))


@each_case
def test_ingest__does_without_columns_that_may_be_missing(case, tmp_path):
    """A column that alone tells a kind takes its events away, and nothing else."""
    layout = LAYOUT[case.layout]
    kept = {*layout.marks, layout.types}
    for field, kind in (("hashtags", "hashtag"), ("urls", "url"), ("mentions", "mention")):
        column = layout.columns.get(field)
        if not isinstance(column, str) or ":" in column:
            continue
        is_shared = sum(column in columns for columns in layout.columns.values()) > 1
        if not is_shared and {column, column.split(".")[0]}.isdisjoint(kept):
            records = [blank(each, [column], is_json=case.is_json) for each in case.records]
            _, told = read(tmp_path, case.write(records), f"without-{kind}{case.suffix}")
            assert told == sorted(event for event in case.events if event[2] != kind)


def blank(record, columns, *, is_json):
    """Return a record without some columns, or what is at some paths."""
    record = copy.deepcopy(record)
    for column in columns:
        *above, name = column.replace("[]", "").split(".") if is_json else [column]
        places = [record]
        for step in above:
            found = [place.get(step) or [] for place in places]
            places = [each for item in found for each in ([item] if type(item) is dict else item)]
        for place in places:
            place.pop(name, None)
    return record


@each_case
def test_ingest__sets_aside_what_has_no_who_what_or_when(case, tmp_path):
    poor = []
    for field in ("account_id", "content_id", "timestamp_share"):
        columns = LAYOUT[case.layout].columns[field]
        columns = (columns,) if isinstance(columns, str) else columns
        poor.append(blank(case.records[0], columns, is_json=case.is_json))
    store, told = read(tmp_path, case.write([*poor, *case.records]), f"export{case.suffix}")
    assert told == sorted(case.events)
    rejects = store.read("rejects").sort("row")
    assert rejects["row"].to_list() == [1, 2, 3]
    assert rejects["reason"].str.starts_with("no ").all()


def test_recognise_layout__takes_the_one_with_the_most_marks():
    for case in CASES:
        names = {name for each in case.records for name in each}
        found = recognise_layout(names, is_json=case.is_json)
        assert found is not None
        assert found.name == case.layout
    assert recognise_layout({"id", "text"}, is_json=True) is None


# --- whatever comes ------------------------------------------------------------------------------

OTHERS = [
    b"account_id,object_id,content_id,timestamp_share,kind,platform\n"
    b"a,x,1,1600000000,url,p\nb,x,2,2020-09-13T12:26:41Z,,q\n",
    b"tweetid,userid,tweet_time,tweet_text,is_retweet,retweet_tweetid,hashtags,urls,user_mentions\n"
    b"1,a,2020-09-13 12:26,hi,False,,\"['x', 'y']\",['https://x.example/1'],['b']\n"
    b"2,b,2020-09-13 12:27,hi,True,1,[x],[],[]\n",
    b"Page Name,Facebook Id,Post Created,URL,Message,Link,Likes\n"
    b"One,1001,2021-03-01 12:00:00 EST,https://www.facebook.com/1001/posts/1,Look!,"
    b"https://x.example/1,3\n",
]
CELLS = st.one_of(
    st.none(), st.text(max_size=12), st.sampled_from(["NA", "[]", "{}", "1.2E+18", "0", "-1"])
)


def ingest_quietly(path):
    """Store what can be read; None where the file is refused in a sentence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            return ingest(path, path.with_name("store"), max_rejects=1.0)
        except ArchiveError:
            return None


@st.composite
def draw_records(draw):
    """Draw an export of which any cells hold anything, and how many records it has."""
    case = draw(st.sampled_from(CASES))
    records = [*case.records]
    for _ in range(draw(st.integers(1, 6))):
        record = dict(draw(st.sampled_from(case.records)))
        for name in draw(st.sets(st.sampled_from(sorted(record)), max_size=4)):
            record[name] = draw(CELLS)
        records.append(record)
    return case.suffix, case.write(records), len(records)


@settings(max_examples=settings.default.max_examples // 2)
@given(made=draw_records())
def test_ingest__records_add_up_whatever_is_in_them(tmp_path_factory, made):
    """Rows in are stored, rejected or duplicates, for any cells of any layout."""
    suffix, content, n_records = made
    path = tmp_path_factory.mktemp("any") / f"export{suffix}"
    path.write_bytes(content)
    store = ingest_quietly(path)
    check_counts(store)
    assert store.manifest["totals"]["rows_read"] == n_records


@st.composite
def draw_damage(draw):
    """Draw a file of any reader in which bytes were lost, doubled, changed or put."""
    content = bytearray(draw(st.sampled_from([*OTHERS, *(case.write() for case in CASES)])))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 12)))
        content[start:end] = draw(
            st.one_of(st.binary(max_size=4), st.just(bytes(content[start:end]) * 2),
                      st.sampled_from([b"\n", b'"', b",", b"\r\n", b"{", b"]", b"\0"]))
        )  # fmt: skip
    return bytes(content)


@settings(max_examples=settings.default.max_examples // 2)
@given(content=draw_damage())
def test_ingest__damaged_files_add_up_or_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("damaged") / "file"
    path.write_bytes(content)
    store = ingest_quietly(path)
    if store is not None:
        check_counts(store)
