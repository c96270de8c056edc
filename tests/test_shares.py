"""Share tables: ids verbatim, times to the millisecond, every row accounted for."""

import io
import json
import time
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archives import NOTHING, list_events, list_rejects
from archives import ingest_any as ingest
from hypothesis import example, given
from hypothesis import strategies as st

from gpu_coord.archive import shares, sources
from gpu_coord.archive.cells import parse_share_times
from gpu_coord.archive.ingest import read_labels
from gpu_coord.archive.sources import ArchiveError
from gpu_coord.archive.vocabularies import sort_texts
from gpu_coord.sharing.cycle import read_seeds
from gpu_coord.trust.evaluation.truths import read_edges, read_truth

COLUMNS = ["account_id", "object_id", "content_id", "timestamp_share"]


@pytest.fixture
def ingest_table(tmp_path):
    """Write a frame in a format, ingest it, and return the store."""

    def run(frame, packing="csv", **options):
        path = tmp_path / f"table.{packing}"
        getattr(
            frame,
            {"csv": "write_csv", "parquet": "write_parquet", "jsonl": "write_ndjson"}[packing],
        )(path)
        return ingest(path, tmp_path / "store", overwrite=True, **options)

    return run


def make_table(*rows, columns=COLUMNS):
    return pl.DataFrame(list(rows), schema=dict.fromkeys(columns, pl.String), orient="row")


def check_counts(store):
    totals = store.manifest["totals"]
    kept = totals["events"] + totals["rejected"] + totals["duplicates"] + totals["excluded"]
    assert totals["rows_read"] == kept
    for entry in store.manifest["inputs"]:
        names = ("stored", "rejected", "duplicates", "excluded")
        assert entry["rows_read"] == sum(entry[name] for name in names)
    assert totals["events"] == store.read("events").height == totals["stored"]
    assert totals["rejected"] == store.read("rejects").height


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("1623881091", 1_623_881_091_000),
        ("1623881091.0", 1_623_881_091_000),
        ("1623881091.789", 1_623_881_091_789),
        ("1.623881091e9", 1_623_881_091_000),
        (" 1623881091 ", 1_623_881_091_000),
        ("-1.5", -1_500),
        ("2021-06-16T22:04:51.789Z", 1_623_881_091_789),
        ("2021-06-16 22:04:51", 1_623_881_091_000),
        ("2021-06-17T00:04:51+02:00", 1_623_881_091_000),
        ("1623881091000", None),  # milliseconds
        ("2021-06-16", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("soon", None),
    ],
)
def test_parse_share_times__reads_seconds_and_iso(text, ms):
    other = "2021-06-16T22:04:51Z"
    times = parse_share_times(pl.Series([text, other, None])).to_list()
    assert times == [ms, 1_623_881_091_000, None]


@example(17_953_207_814_815)  # as a float it is a millisecond less
@given(st.integers(-62_135_596_800_000, 253_402_300_799_000))
def test_parse_share_times__keeps_every_millisecond(ms):
    seconds, rest = divmod(ms, 1000)
    texts = [f"{seconds}.{rest:03d}"] if seconds >= 0 else [f"{ms / 1000:.3f}"]
    if 0 <= ms:
        time = datetime(1970, 1, 1, tzinfo=UTC).timestamp() + seconds
        iso = datetime.fromtimestamp(time, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
        texts.append(f"{iso}.{rest:03d}Z")
    assert parse_share_times(pl.Series(texts)).to_list() == [ms] * len(texts)


def test_ingest__mixed_times_do_not_land_on_midnight(ingest_table):
    times = ["1623881091", "2021-06-16T22:04:51Z", "2021-06-16 22:04:51", "1623881091.5"]
    rows = [("a", "x", str(n), time) for n, time in enumerate(times)]
    store = ingest_table(make_table(*rows))
    expected = [1_623_881_091_000] * 3 + [1_623_881_091_500]
    assert store.read("events")["time"].to_list() == expected


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([1_623_881_091], dtype=pl.Int64),
        pl.Series([1_623_881_091], dtype=pl.UInt32),
        pl.Series([1_623_881_091.0], dtype=pl.Float64),
        pl.Series([datetime(2021, 6, 16, 22, 4, 51)], dtype=pl.Datetime("us")),
        pl.Series([datetime(2021, 6, 16, 22, 4, 51)], dtype=pl.Datetime("ns", "UTC")),
        pl.Series(["1623881091"]).cast(pl.Categorical),
    ],
)
def test_ingest__reads_parquet_times_of_any_type(ingest_table, column):
    table = make_table(("a", "x", "1", "0")).with_columns(timestamp_share=column)
    assert ingest_table(table, "parquet").read("posts")["time"].to_list() == [1_623_881_091_000]


@pytest.mark.parametrize("ms", [-62_135_596_800_001, 253_402_300_800_000])
def test_ingest__sets_parquet_times_aside_that_have_no_year(ingest_table, ms):
    times = pl.Series([0, ms], dtype=pl.Int64).cast(pl.Datetime("ms"))
    rows = ("a", "x", "1", "0"), ("a", "x", "2", "0")
    store = ingest_table(make_table(*rows).with_columns(timestamp_share=times), "parquet")
    assert [row for row, _ in list_rejects(store)] == [2]
    assert store.read("posts")["time"].to_list() == [0]


def test_ingest__refuses_parquet_dates(ingest_table):
    table = make_table(("a", "x", "1", "0")).with_columns(timestamp_share=date(2021, 6, 16))
    with pytest.raises(ArchiveError, match="stores timestamp_share as Date"):
        ingest_table(table, "parquet")


# --- ids -----------------------------------------------------------------------------------------


IDS = [
    "007",
    "A",
    "a",
    " a",
    "x,y",
    "two\nlines",
    'say "hi"',
    "12345678901234567890",
    "=1+1",
    "[x]",
]


@pytest.mark.parametrize("packing", ["csv", "parquet", "jsonl"])
def test_ingest__ids_are_verbatim(ingest_table, packing):
    rows = [(id, id, id, str(n)) for n, id in enumerate(IDS)]
    store = ingest_table(make_table(*rows), packing)
    expected = sorted((id, id, "object", id, n * 1000) for n, id in enumerate(IDS))
    assert list_events(store) == expected
    assert store.read("accounts")["account_id"].to_list() == sorted(IDS, key=str.encode)
    check_counts(store)


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt64, pl.UInt32, pl.Categorical, pl.Binary])
def test_ingest__parquet_ids_become_text(ingest_table, dtype):
    ids = pl.Series(["12", "3"])
    ids = ids.cast(dtype)
    table = pl.DataFrame(dict.fromkeys(COLUMNS[:3], ids)).with_columns(timestamp_share=1)
    assert ingest_table(table, "parquet").read("accounts")["account_id"].to_list() == ["12", "3"]


@pytest.mark.parametrize("column", COLUMNS[:3])
def test_ingest__refuses_ids_stored_as_floats(ingest_table, column):
    table = make_table(("1", "1", "1", "0")).with_columns(pl.col(column).cast(pl.Float64))
    with pytest.raises(ArchiveError, match="as Float64, which cannot hold ids exactly"):
        ingest_table(table, "parquet")


def make_invalid_text():
    """Parquet text whose bytes are not UTF-8, which only other programs write."""
    ends, data = b"\0\0\0\0\2\0\0\0", b"a\xff"
    return pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(ends), pa.py_buffer(data)])


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("account_id", pa.array([b"a\xff"]), "stores accountid as Binary values .* not UTF-8"),
        ("object_id", pa.array([5], pa.duration("ms")), "stores objectid as Duration"),
        ("timestamp_share", pa.array([b"\xff"]), "stores timestampshare as Binary values"),
        ("content_id", make_invalid_text(), "cannot be read: .*UTF-8 is expected"),
    ],
)
def test_ingest__refuses_parquet_values_that_are_no_text(tmp_path, column, values, message):
    columns = {name: pa.array(["1"]) for name in COLUMNS} | {column: values}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(ArchiveError, match=rf"^t\.parquet .*{message}"):
        ingest(tmp_path / "t.parquet", tmp_path / "store")


def test_ingest__jsonl_numbers_are_read_digit_by_digit(tmp_path):
    ids = [2**53 + 1, 2**64 + 1, 0]
    lines = [json.dumps(dict(zip(COLUMNS, (id, id, id, 1.25), strict=True))) for id in ids]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    store = ingest(tmp_path / "t.jsonl", tmp_path / "store")
    assert sorted(store.read("accounts")["account_id"]) == sorted(map(str, ids))
    assert store.read("posts")["time"].to_list() == [1250] * 3


def list_line(**values):
    """A JSON line of a share; the values stand in it as they are given."""
    cells = dict(zip(COLUMNS, ('"a"', '"x"', '"1"', "1.5e0"), strict=True)) | values
    return "{" + ", ".join(f'"{key}" : {value}' for key, value in cells.items()) + "}"


@pytest.mark.parametrize("value", ["1.0", "1e5", "1E5", "-1.5", "-0", "[1,2]", '{"a": 1}'])
@pytest.mark.parametrize("column", ["account_id", "object_id", "content_id", "kind"])
def test_ingest__sets_json_ids_aside_that_are_not_exact(tmp_path, column, value):
    nested = f'{{"{column}": {value}}}'
    text = rf'"a \"{column}\": {value[0]}"'
    lines = [list_line(), list_line(**{column: value}), list_line(note=nested, text=text)]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    store = ingest(tmp_path / "t.jsonl", tmp_path / "store")
    assert list_rejects(store) == [(2, sources.UNEXACT_ID)]
    assert list_events(store) == [("a", "1", "object", "x", 1500)]
    check_counts(store)


@pytest.mark.parametrize(
    "line",
    [
        list_line(account_id=r'"\ud800x"'),
        list_line(object_id=r'"x\udc00"'),
        list_line(object_id=r'"\udc00\ud800"'),
        list_line(timestamp_share="1e400"),
        list_line(followers="NaN2"),
    ],
)
@pytest.mark.parametrize("n_lines", [1, 6])
def test_ingest__sets_only_the_json_line_aside_that_cannot_be_read(tmp_path, line, n_lines):
    good = [
        list_line(object_id=r'"\ud83d\ude00"'),
        list_line(object_id=r'"\\ud800"'),
        list_line(content_id="1" * 38),
    ]
    lines = [*good, *[line] * n_lines, list_line(object_id=f'"{"1" * 42}"')]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    store = ingest(tmp_path / "t.jsonl", tmp_path / "store")
    assert list_rejects(store) == [(4 + n, "the line is no JSON object") for n in range(n_lines)]
    found = [(content, value) for _, content, _, value, _ in list_events(store)]
    assert found == [("1", "1" * 42), ("1", r"\ud800"), ("1", "😀"), ("1" * 38, "x")]
    check_counts(store)


@pytest.mark.parametrize("n_digits", [20, 42, 300])
def test_ingest__reads_numbers_of_any_length_and_what_python_writes_for_none(tmp_path, n_digits):
    long = "1" * n_digits
    text = rf'"a \"n\": {long}, NaN"'
    lines = [
        list_line(account_id=long, followers=f"-{long}", text=text, views="NaN"),
        list_line(object_id=long, followers="NaN"),
        list_line(content_id="2", likes="-Infinity", kind="NaN"),
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    store = ingest(tmp_path / "t.jsonl", tmp_path / "store")
    assert list_events(store) == [
        (long, "1", "object", "x", 1500),
        ("a", "1", "object", long, 1500),
        ("a", "2", "object", "x", 1500),
    ]
    check_counts(store)


def test_ingest__a_first_json_line_may_be_long_but_not_endless(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "HEAD_BYTES", 64)
    lines = [list_line(text=f'"{"y" * 500}"'), list_line(content_id="2")]
    (tmp_path / "t.jsonl").write_text("\ufeff\n" + "\n".join(lines))
    assert ingest(tmp_path / "t.jsonl", tmp_path / "store").manifest["totals"]["posts"] == 2
    monkeypatch.setattr(sources, "MAX_HEAD_BYTES", 100)
    with pytest.raises(ArchiveError, match=r"no line holds a JSON object in its first"):
        ingest(tmp_path / "t.jsonl", tmp_path / "other")
    monkeypatch.undo()
    monkeypatch.setattr(sources, "BLOCK_BYTES", 64)
    monkeypatch.setattr(sources, "MAX_LINE_BYTES", 100)
    with pytest.raises(ArchiveError, match=r"t\.jsonl has a line above"):
        ingest(tmp_path / "t.jsonl", tmp_path / "other")


def test_ingest__a_cell_that_never_ends_is_no_header(tmp_path):
    (tmp_path / "t.csv").write_text("account_id,object_id," + "z" * 140_000 + "\n")
    with pytest.raises(ArchiveError, match=r"t\.csv has no header: a cell of its first line"):
        ingest(tmp_path / "t.csv", tmp_path / "store")


@pytest.mark.parametrize("character", "\u2028\u2029\x85")
def test_ingest__json_lines_end_at_line_feeds_only(tmp_path, character):
    row = dict(zip(COLUMNS, ("a", f"x{character}y", "1", 1), strict=True))
    text = json.dumps(row, ensure_ascii=False)
    (tmp_path / "t.jsonl").write_text(text, encoding="utf-8")
    store = ingest(tmp_path / "t.jsonl", tmp_path / "store")
    assert [event[3] for event in list_events(store)] == [f"x{character}y"]


def test_ingest__urls_of_share_tables_follow_no_rule(ingest_table):
    columns = [*COLUMNS, "kind"]
    row = ("a", "https://www.Example.com/?utm_source=x", "1", "0", "url")
    assert list_events(ingest_table(make_table(row, columns=columns)))[0][3] == row[1]


def test_ingest__pseudonyms_cover_objects_that_are_accounts(ingest_table):
    rows = [("a", "b", "1", "0", kind) for kind in ("mention", "reply_user", "url")]
    rows.append(("b", "x", "2", "0", "url"))
    store = ingest_table(make_table(*rows, columns=[*COLUMNS, "kind"]), pseudonym_key=b"k")
    values = {kind: value for _, content, kind, value, _ in list_events(store) if content == "1"}
    assert values["url"] == "b"
    assert values["mention"] == values["reply_user"]
    assert values["mention"] in store.read("accounts")["account_id"].to_list()
    assert not {"a", "b"} & set(store.read("accounts")["account_id"])


# --- rows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", ["csv", "parquet", "jsonl"])
def test_ingest__sets_bad_rows_aside_with_row_and_reason(ingest_table, packing):
    unread = "timestamp_share is neither epoch seconds nor an ISO 8601 date with a time"
    store = ingest_table(
        make_table(
            ("a", "x", "1", "0"),
            (None, "x", "1", "0"),
            ("a", "", "1", "0"),
            ("a", "x", " ", "0"),
            ("a", "x", "1", None),
            ("a", "x", "1", "noon"),
            ("b", "x", "1", "0"),
        ),
        packing,
    )
    assert list_rejects(store) == [
        (2, "no account_id"),
        (3, "no object_id"),
        (4, "no content_id"),
        (5, "no timestamp_share"),
        (6, unread),
    ]
    assert len(list_events(store)) == 2
    check_counts(store)


@pytest.mark.parametrize("packing", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("word", [*NOTHING, " NA "])
def test_ingest__words_for_nothing_are_missing(ingest_table, word, packing):
    good = ("a", "x", "1", "0", "url", "p")
    rows = [(*good[:n], word, *good[n + 1 :]) for n in range(6)]
    store = ingest_table(make_table(good, *rows, columns=[*COLUMNS, "kind", "platform"]), packing)
    assert list_rejects(store) == [(n + 2, f"no {name}") for n, name in enumerate(COLUMNS)]
    # As where the cell is empty: the default kind, and the only platform of the account.
    assert store.manifest["events_by_kind"] == {"object": 1, "url": 1}
    assert store.manifest["totals"]["duplicates"] == 1
    counted = {} if word == "[]" else dict.fromkeys(sorted([*COLUMNS, "kind", "platform"]), 1)
    assert store.manifest["missing_cells"] == counted
    check_counts(store)


@pytest.mark.parametrize("word", ["na", "n/a", "none", "NAN", "--", "[ ]", "nanna", "NA NA"])
def test_ingest__other_words_are_ids(ingest_table, word):
    store = ingest_table(make_table((word, word, word, "0")))
    assert list_events(store) == [(word, word, "object", word, 0)]
    assert store.manifest["missing_cells"] == {}


def test_ingest__sets_broken_json_lines_aside(tmp_path):
    good = [json.dumps(dict(zip(COLUMNS, (f"a{n}", "x", "1", n), strict=True))) for n in range(3)]
    lines = [good[0], "{broken", good[1], "", "[1, 2]", "null", '{"account_id": "z"}', good[2]]
    (tmp_path / "t.jsonl").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    store = ingest(tmp_path / "t.jsonl", tmp_path / "store")
    broken = "the line is no JSON object"
    assert list_rejects(store) == [(2, broken), (4, broken), (5, broken), (6, "no object_id")]
    assert [event[0] for event in list_events(store)] == ["a0", "a1", "a2"]
    check_counts(store)


def write_objects(path, *objects):
    path.write_text("\n".join(map(json.dumps, objects)))
    return path


@pytest.mark.parametrize("block_bytes", [1 << 24, 1])
def test_ingest__json_lines_need_not_have_the_same_keys(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(sources, "BLOCK_BYTES", block_bytes)
    first, second, third = (dict(zip(COLUMNS, ("a", "x", n, 1), strict=True)) for n in "123")
    path = write_objects(
        tmp_path / "t.jsonl",
        first | {"note": 'it says "kind": "no"'},
        second | {"kind": "url", "Platform": "p"},
        {"account_id": "b"},
        {"note": {"Kind": 1}},
        {"AccountId": "c", "platform": "q", "KIND": "tag"}
        | {key: value for key, value in third.items() if key != "account_id"},
        {**third, "accountID": "d"},
    )
    store = ingest(path, tmp_path / "store")
    assert list_events(store) == [
        ("a", "1", "object", "x", 1000),
        ("a", "2", "url", "x", 1000),
        ("c", "3", "tag", "x", 1000),
    ]
    platforms = dict(store.read("posts").select("content_id", "platform").rows())
    assert platforms == {"1": None, "2": "p", "3": "q"}
    expected = [(3, "no object_id"), (4, "no account_id"), (6, "the line gives a value twice")]
    assert list_rejects(store) == expected
    check_counts(store)


def test_ingest__a_first_json_line_without_an_id_is_a_reject(tmp_path):
    good = dict(zip(COLUMNS, ("a", "x", "1", 1), strict=True))
    bad = {key: value for key, value in good.items() if key != "content_id"}
    store = ingest(write_objects(tmp_path / "t.jsonl", bad, good), tmp_path / "store")
    assert list_rejects(store) == [(1, "no content_id")]
    assert len(list_events(store)) == 1


def test_ingest__finds_kinds_behind_the_head_of_a_json_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "HEAD_BYTES", 200)
    rows = [dict(zip(COLUMNS, ("a", "x", n, 1), strict=True)) for n in range(9)]
    rows[-1]["Kind"] = "url"
    store = ingest(write_objects(tmp_path / "t.jsonl", *rows), tmp_path / "store")
    assert store.manifest["events_by_kind"] == {"object": 8, "url": 1}


def test_ingest__refuses_json_lines_that_all_lack_an_id(tmp_path):
    row = dict(zip(COLUMNS[:3], "axy", strict=True))
    with pytest.raises(ArchiveError, match=r"looks like shares but lacks \['timestampshare'\]"):
        ingest(write_objects(tmp_path / "t.jsonl", row, row), tmp_path / "store")


@pytest.mark.parametrize("packing", ["csv", "parquet", "jsonl"])
def test_ingest__sets_aside_kinds_that_cannot_be_names(ingest_table, packing):
    symbols = "the kind holds a comma or a control character"
    space = "the kind begins or ends with white space"
    kinds = {
        "all": "the kind all is reserved",
        "a,b": symbols,
        "a\tb": symbols,
        "a\x1bb": symbols,
        " url": space,
        "url\u00a0": space,
        "All": None,
        "two words": None,
        " ": None,
        None: None,
    }
    rows = [("a", "x", str(n), "0", kind) for n, kind in enumerate(kinds)]
    store = ingest_table(make_table(*rows, columns=[*COLUMNS, "kind"]), packing)
    reasons = enumerate(kinds.values(), start=1)
    assert list_rejects(store) == [(row, reason) for row, reason in reasons if reason]
    assert store.manifest["events_by_kind"] == {"All": 1, "object": 2, "two words": 1}
    check_counts(store)


def test_ingest__repeated_shares_are_duplicates_and_other_times_are_not(ingest_table):
    store = ingest_table(
        make_table(
            ("a", "x", "1", "10"),
            ("a", "x", "1", "10.0"),
            ("a", "x", "1", "5"),
            ("a", "y", "1", "10"),
            ("b", "x", "1", "10"),
        )
    )
    assert store.manifest["totals"]["duplicates"] == 1
    assert list_events(store) == [
        ("a", "1", "object", "x", 5_000),
        ("a", "1", "object", "x", 10_000),
        ("a", "1", "object", "y", 10_000),
        ("b", "1", "object", "x", 10_000),
    ]
    posts = store.read("posts")
    assert posts.select("content_id", "time").rows() == [("1", 5_000), ("1", 10_000)]
    check_counts(store)


def test_ingest__kind_and_platform_are_optional_columns(ingest_table):
    columns = [*COLUMNS, "kind", "platform"]
    store = ingest_table(
        make_table(
            ("a", "x", "1", "0", "url", None),
            ("a", "x", "1", "0", None, "t"),
            ("b", "x", "2", "0", "url", None),
            columns=columns,
        )
    )
    assert store.manifest["events_by_kind"] == {"object": 1, "url": 2}
    assert store.read("posts")["platform"].to_list() == ["t", None]
    assert store.read("entities").height == 2


def test_ingest__refuses_more_kinds_than_a_kind_can_have(ingest_table):
    rows = [("a", "x", "1", "0", f"kind{n}") for n in range(256)]
    with pytest.raises(ArchiveError, match="More than 255 kinds"):
        ingest_table(make_table(*rows, columns=[*COLUMNS, "kind"]))


def test_ingest__buckets_do_not_change_what_is_stored(ingest_table, monkeypatch):
    rows = [(f"a{n % 7}", f"x{n % 3}", str(n % 11), str(n % 13)) for n in range(300)]
    whole = list_events(ingest_table(make_table(*rows)))
    monkeypatch.setattr(shares, "BUCKET_ROWS", 20)
    store = ingest_table(make_table(*rows))
    assert list_events(store) == whole
    assert sorted(store.read("posts")["post"]) == list(range(store.read("posts").height))
    assert len(whole) == len(set(rows))
    check_counts(store)


def test_ingest__names_what_a_share_table_lacks(ingest_table):
    with pytest.raises(ArchiveError, match=r"looks like shares but lacks \['objectid'\]"):
        ingest_table(make_table(("a", "x", "1", "0")).drop("object_id"))


def test_ingest__makes_a_content_of_each_row_where_the_table_names_none(ingest_table):
    rows = [("a", "x", "1", "0"), ("a", "x", "2", "0"), ("", "x", "3", "0"), ("b", "y", "4", "5")]
    store = ingest_table(make_table(*rows).drop("content_id"))
    posts = store.read("posts")["content_id"].to_list()
    assert [name.rpartition(":")[2] for name in posts] == ["1", "2", "4"]
    assert len({name.rpartition(":")[0] for name in posts}) == 1
    assert store.manifest["totals"]["stored"] == 3


def test_ingest__refuses_broken_parquet(tmp_path):
    buffer = io.BytesIO()
    make_table(*[("a", "x", str(n), "0") for n in range(100)]).write_parquet(buffer)
    (tmp_path / "t.parquet").write_bytes(buffer.getvalue()[:-50])
    with pytest.raises(ArchiveError, match=r"t\.parquet"):
        ingest(tmp_path / "t.parquet", tmp_path / "store")


@pytest.mark.parametrize(
    ("file", "n_rows", "n_duplicates", "n_accounts"),
    [
        ("coortweet_russian/russian_coord_tweets.parquet", 35_125, 1, 9_509),
        ("higgs/shares.parquet", 563_069, None, None),
        ("ira_2016autumn/shares.parquet", 565_849, None, 598),
    ],
)
def test_ingest__real_share_tables(data_dir, tmp_path, file, n_rows, n_duplicates, n_accounts):
    table = pl.read_parquet(data_dir / file)
    n_distinct = table.n_unique()
    store = ingest(data_dir / file, tmp_path / "store")
    totals = store.manifest["totals"]
    assert (totals["rows_read"], totals["events"]) == (n_rows, n_distinct)
    if n_duplicates is not None:
        assert totals["duplicates"] == n_duplicates
    if n_accounts is not None:
        assert totals["accounts"] == n_accounts
    assert totals["posts"] == table.select("account_id", "content_id").n_unique()
    if "kind" in table.columns:
        counts = table.unique().group_by(pl.col("kind").cast(pl.String)).len().rows()
        assert store.manifest["events_by_kind"] == dict(counts)
    check_counts(store)


@given(texts=st.lists(st.text(st.sampled_from("ab\0é𝒳"), max_size=12), unique=True))
def test_sort_texts__is_the_order_of_bytes(texts):
    order = sort_texts(pl.Series(texts, dtype=pl.String))
    assert [texts[at] for at in order] == sorted(texts, key=str.encode)


# --- times that are none -------------------------------------------------------------------------

NOON = 1_623_844_800  # 2021-06-16T12:00


def ingest_times(ingest_table, times, packing="csv"):
    """Return the times that were stored, ms, and what is said of the others, by row."""
    rows = [("a", "x", str(n), time) for n, time in enumerate(times)]
    store = ingest_table(make_table(*rows), packing)
    check_counts(store)
    posts = dict(store.read("posts").select("content_id", "time").rows())
    return {int(row): ms for row, ms in posts.items()}, list_rejects(store), store


SERIAL = "timestamp_share is a day number of a spreadsheet, which is no time"
NOTHING = "timestamp_share is 0 or 1, which stands for no time"


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("44087.5", SERIAL),
        ("20000.25", SERIAL),
        ("79999", SERIAL),
        ("0", NOTHING),
        ("1", NOTHING),
        ("1.0", NOTHING),
        ("19999", "timestamp_share is before 1990"),
        ("631151999", "timestamp_share is before 1990"),
        ("-1", "timestamp_share is before 1990"),
        ("0001-01-01T00:00:00Z", "timestamp_share is before 1990"),
        ("1623844800000", "timestamp_share does not count seconds as others of its column do"),
        ("1623844800000000", "timestamp_share does not count seconds as others of its column do"),
        ("9999-12-31T23:59:59Z", "timestamp_share is in the future"),
        ("253402300799", "timestamp_share is in the future"),
    ],
)
@pytest.mark.parametrize("packing", ["csv", "jsonl"])
def test_ingest__sets_times_aside_that_no_platform_had(ingest_table, cell, reason, packing):
    kept, rejects, store = ingest_times(ingest_table, [str(NOON), cell, "631152000"], packing)
    assert kept == {0: NOON * 1000, 2: 631_152_000_000}
    assert rejects == [(2, f"{reason}: {cell}")]
    assert store.manifest["rejected_by_reason"] == {reason: 1}


def test_ingest__sets_a_whole_column_of_spreadsheet_days_aside(ingest_table):
    times = ["44000.5000", "44007.25", "44014", "44021.125"]
    kept, rejects, store = ingest_times(ingest_table, times)
    assert not kept
    assert rejects == [(row, f"{SERIAL}: {time}") for row, time in enumerate(times, 1)]
    assert store.manifest["rejected_by_reason"] == {SERIAL: 4}


def test_ingest__takes_times_that_count_from_a_beginning_of_their_own(ingest_table):
    """Simulations count from 0: nothing in such a table is since 1990."""
    times = ["0", "1", "36000", "100000.5"]
    kept, rejects, _ = ingest_times(ingest_table, times)
    assert list(kept.values()) == [0, 1000, 36_000_000, 100_000_500]
    assert not rejects


def test_ingest__a_time_may_be_a_day_ahead_of_the_clock(ingest_table):
    hours = {hour: round(time.time()) + hour * 3600 for hour in (0, 23, 25)}
    kept, rejects, _ = ingest_times(ingest_table, list(map(str, hours.values())))
    assert sorted(kept) == [0, 1]
    assert rejects == [(3, f"timestamp_share is in the future: {hours[25]}")]


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        (["1623844800123", "1623844800999"], [123, 999]),
        (["1623844800123456", "1623844800999999"], [123, 999]),
        (["1623844800123.5", "2021-06-16T12:00:00.5Z"], [123, 500]),
        (["1.623844800123e12"], [123]),
    ],
)
def test_ingest__reads_columns_of_milliseconds_and_microseconds(ingest_table, times, wanted):
    kept, rejects, _ = ingest_times(ingest_table, times)
    assert [ms - NOON * 1000 for ms in kept.values()] == wanted
    assert not rejects


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt64, pl.Float64])
@pytest.mark.parametrize("per_ms", [1, 1000])
def test_ingest__reads_parquet_columns_of_finer_units(ingest_table, dtype, per_ms):
    column = pl.Series([(NOON * 1000 + 123) * per_ms], dtype=dtype)
    table = make_table(("a", "x", "1", "0")).with_columns(timestamp_share=column)
    assert ingest_table(table, "parquet").read("posts")["time"].to_list() == [NOON * 1000 + 123]


def test_ingest__sets_the_odd_ones_of_a_mixed_column_aside(ingest_table):
    times = ["1623844800000", "1623844801000", "1623844802", "1623844803000000", "44087.5"]
    kept, rejects, _ = ingest_times(ingest_table, times)
    odd = "timestamp_share does not count milliseconds as others of its column do"
    assert kept == {0: NOON * 1000, 1: NOON * 1000 + 1000}
    assert rejects == [(3, f"{odd}: {times[2]}"), (4, f"{odd}: {times[3]}"),
                       (5, f"{SERIAL}: 44087.5")]  # fmt: skip


def test_ingest__each_file_has_a_unit_of_its_own(tmp_path):
    for name, moment in (("s", NOON), ("ms", NOON * 1000)):
        make_table((name, "x", "1", str(moment))).write_csv(tmp_path / f"{name}.csv")
    store = ingest([tmp_path / "s.csv", tmp_path / "ms.csv"], tmp_path / "store")
    assert store.read("posts")["time"].to_list() == [NOON * 1000] * 2


@pytest.mark.parametrize(
    "text",
    [
        "Wed Jun 16 12:00:00 +0000 2021",
        "Wed Jun 16 14:00:00 +0200 2021",
        "Wed, 16 Jun 2021 12:00:00 +0000",
        "16 Jun 2021 06:30:00 -0530",
        "Wed, 16 Jun 2021 12:00 GMT",
        "2021-06-16T17:30:00+05:30",
        "2021-06-16T17:30:00+0530",
    ],
)
def test_ingest__reads_times_as_twitter_and_mails_write_them(ingest_table, text):
    kept, rejects, _ = ingest_times(ingest_table, [text])
    assert (kept, rejects) == ({0: NOON * 1000}, [])


@pytest.mark.parametrize(
    "text", ["Wed Jum 16 12:00:00 +0000 2021", "Wed, 31 Jun 2021 12:00:00 +0000", "16 Jun 2021",
             "Wed, 16 Jun 2021 12:00:00 IST"]
)  # fmt: skip
def test_ingest__sets_written_times_aside_that_are_none(ingest_table, text):
    kept, rejects, _ = ingest_times(ingest_table, [text])
    assert (kept, len(rejects)) == ({}, 1)


# --- odd Parquet ---------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["+05:30", "-03:00", "UTC", "Europe/Berlin"])
def test_ingest__reads_parquet_times_with_an_offset(tmp_path, zone):
    times = pa.array([NOON * 1000], pa.timestamp("ms", zone))
    columns = {name: pa.array(["1"]) for name in COLUMNS} | {"timestamp_share": times}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    store = ingest(tmp_path / "t.parquet", tmp_path / "store")
    assert store.read("posts")["time"].to_list() == [NOON * 1000]


WIDE = pa.array([Decimal(1)], pa.decimal256(60, 0))
REFUSED = r"stores account_?id as decimal256\(60, 0\), which cannot be read; write that column"


def write_odd(path, column=WIDE, *, name="account_id", **more):
    pq.write_table(pa.table({name: column} | more), path)
    return path


def test_ingest__refuses_parquet_types_that_would_end_the_program(tmp_path):
    others = {name: pa.array(["1"]) for name in COLUMNS[1:]}
    odd = write_odd(tmp_path / "t.parquet", **others)
    with pytest.raises(ArchiveError, match=rf"^t\.parquet {REFUSED}"):
        ingest(odd, tmp_path / "store")


def test_read_labels__refuses_odd_parquet_types(tmp_path):
    odd = write_odd(tmp_path / "l.parquet", label=pa.array(["x"]))
    with pytest.raises(ArchiveError, match=rf"^l\.parquet {REFUSED}"):
        read_labels(odd)
    times = write_odd(
        tmp_path / "t.parquet", pa.array(["a"]), label=pa.array([0], pa.timestamp("ms", "+05:30"))
    )
    with pytest.raises(ArchiveError, match=r"^t\.parquet stores label as Datetime.*, a time; "):
        read_labels(times)


def test_read_truth__refuses_odd_parquet_types(tmp_path):
    odd = write_odd(tmp_path / "t.parquet", label=pa.array(["x"]))
    with pytest.raises(ArchiveError, match=rf"^t\.parquet {REFUSED}"):
        read_truth(odd)
    with pytest.raises(ArchiveError, match=rf"^t\.parquet {REFUSED}"):
        read_edges(odd)


def test_read_seeds__refuses_odd_parquet_types(tmp_path):
    odd = write_odd(tmp_path / "s.parquet", name="object_id")
    with pytest.raises(ArchiveError, match=r"^s\.parquet stores object_id as decimal256"):
        read_seeds(odd)


def test_naming_errors__turns_a_panic_into_a_sentence(tmp_path):
    panic = pl.exceptions.PanicException("no such type\nbacktrace")
    with pytest.raises(ArchiveError, match=r"^t\.parquet cannot be read: no such type\.$"):
        with sources.naming_errors(tmp_path / "t.parquet", None):
            raise panic
