"""Ids that spreadsheets damaged, and ids of several platforms."""

import json
from collections import Counter

import polars as pl
import pytest
from archives import list_events, list_rejects, write_table
from hypothesis import given
from hypothesis import strategies as st

from gpu_coord.archive.ids import is_rounded, mend_ids
from gpu_coord.archive.ingest import ingest
from gpu_coord.archive.intake import Intake, Tally
from gpu_coord.archive.sources import ArchiveError, Source
from gpu_coord.archive.tables import REJECTS, Exclusion
from gpu_coord.store.tables import TableWriter

COLUMNS = ["account_id", "object_id", "content_id", "timestamp_share", "platform"]
AT = "1600000000"
LONG = "1294030472427835393"


def mend(*ids):
    mended = Counter()
    texts = mend_ids(pl.Series("id", ids, dtype=pl.String), mended)
    lost = texts.to_frame().select(is_rounded(pl.col("id"))).to_series()
    return texts.to_list(), lost.to_list(), mended["id"]


@pytest.mark.parametrize(
    ("written", "id"),
    [
        (f'="{LONG}"', LONG), (f"'{LONG}", LONG), ('="ann"', "ann"), ("123456.0", "123456"),
        ("12345.000", "12345"), ("1.2345E+4", "12345"), ("1.23456789012345e+14", "123456789012345"),
        (f' ="{LONG}" ', LONG),
    ],
)  # fmt: skip
def test_mend_ids__takes_off_what_a_spreadsheet_put_around(written, id):
    assert mend(written, id, None) == ([id, id, None], [False, False, False], 1)


@pytest.mark.parametrize(
    "written",
    ["7.91557E+17", "9.06000000000e+17", "1E+05", "1.21E18", f"{LONG}.0", "1.2345E+15",
     "1.2345678901234567e+16", " 8.02673E+17 "],
)  # fmt: skip
def test_is_rounded__marks_numbers_that_lost_digits(written):
    assert mend(written) == ([written], [True], 0)


@pytest.mark.parametrize(
    "id",
    ["2.0", "1.10", "9e1234", "12e45", "E+17", "1.2.3", "'ndrangheta", "=1+1", "=", LONG, "007",
     "1.5", "a.0", "ann", "1.2e+", "", "'", "v1.0", "12345.05"],
)  # fmt: skip
def test_mend_ids__leaves_other_ids_alone(id):
    assert mend(id) == ([id], [False], 0)


@given(number=st.integers(0, 10**19))
def test_mend_ids__never_makes_another_number(number):
    """Whatever way a program writes a number, its id is mended to itself or seen to be lost."""
    as_float = float(number)
    forms = [f"{number}.0", f'="{number}"', f"'{number}", f"{as_float:.5E}", f"{as_float:.14e}",
             repr(as_float), f"{as_float:.0e}"]  # fmt: skip
    for form, text, is_lost in zip(forms, *mend(*forms)[:2], strict=True):
        if not is_lost and text != form:
            assert text == str(number), form


def share(*rows, columns=COLUMNS):
    return write_table([dict(zip(columns, row, strict=True)) for row in rows], columns)


@pytest.fixture
def read(tmp_path):
    def run(content, name="shares.csv", **choices):
        (tmp_path / name).write_bytes(content)
        return ingest(tmp_path / name, tmp_path / "store", overwrite=True, **choices)

    return run


def test_ingest__warns_of_damaged_ids_and_names_the_rows(read):
    rows = [
        ("7.91557E+17", "u", "1", AT, ""), (f'="{LONG}"', "u", "2", AT, ""),
        (LONG, "u", "3", AT, ""), ("ann", "u", "1.2E+18", AT, ""), ("bob", "u", "5", AT, ""),
    ]  # fmt: skip
    with pytest.warns(UserWarning, match=r"spreadsheet damaged ids: .*1 ids were mended") as said:
        store = read(share(*rows))
    assert "export again with ids as text" in str(said[0].message)
    assert list_rejects(store) == [
        (1, "account_id is a rounded number: 7.91557E+17"),
        (4, "content_id is a rounded number: 1.2E+18"),
    ]
    assert {event[0] for event in list_events(store)} == {LONG, "bob"}
    assert store.manifest["mended_ids"] == {"account_id": 1}


def test_ingest__leaves_rounded_mentions_and_references_out(read):
    header = ["tweetid", "userid", "tweet_time", "hashtags", "urls", "user_mentions",
              "retweet_tweetid"]  # fmt: skip
    rows = [("1", "a", "2020-01-01 00:00", "", "", "['1.2E+18', '12']", "1.3049E+18"),
            ("2", "b", "2020-01-01 00:00", "", "", "[]", '="77"')]  # fmt: skip
    with pytest.warns(UserWarning, match="1 ids in lists and references were left out"):
        store = read(share(*rows, columns=header))
    assert [event[:4] for event in list_events(store)] == [
        ("a", "1", "mention", "12"), ("b", "2", "retweet", "77"),
    ]  # fmt: skip
    assert store.manifest["unread_cells"] == {"mention (rounded id)": 1, "retweet": 1}


def test_ingest__warns_of_account_ids_that_end_in_zeros(read):
    rows = [("1294030472427830000", "u", "1", AT, ""), (LONG, "u", "2", AT, "")]
    with pytest.warns(UserWarning, match="1 of 2 long account ids are 15 digits and zeros"):
        store = read(share(*rows))
    assert store.read("accounts").height == 2


def test_reject__takes_reasons_in_pieces(tmp_path):
    """The first of them may be empty, which made the library that formats them panic."""
    source = Source(tmp_path / "a.csv", None, "csv", "shares", {})
    with TableWriter(tmp_path / "rejects.parquet", REJECTS) as rejects:
        intake = Intake(tmp_path, [Tally(source)], rejects, Exclusion((), lambda urls: urls),
                        "canonical", "auto", None, False, lambda *told: None)  # fmt: skip
        values = pl.concat([pl.Series([None, None], dtype=pl.String), pl.Series(["x", "y"])],
                           rechunk=False)  # fmt: skip
        reasons = pl.Series([None, None, "bad", "worse"])
        intake.reject(intake.tallies[0], pl.Series([1, 2, 3, 4]), reasons, values)
    kept = pl.read_parquet(tmp_path / "rejects.parquet")["reason"].to_list()
    assert kept == ["bad: x", "worse: y"] and intake.reasons == {"bad": 1, "worse": 1}


# --- platforms -----------------------------------------------------------------------------------

NAMES = [
    ("bbc", "u", "t1", "1600000000", "twitter"), ("bbc", "u", "f1", "1600000010", "facebook"),
    ("bbc", "u2", "7", "1600000000", "twitter"), ("bbc", "u2", "7", "1600000010", "facebook"),
    ("cnn", "u2", "8", "1600000020", "facebook"),
]  # fmt: skip


def test_ingest__an_id_on_two_platforms_is_two_accounts(read):
    store = read(share(*NAMES))
    assert store.read("accounts")["account_id"].to_list() == ["cnn", "facebook:bbc", "twitter:bbc"]
    contents = store.read("posts").sort("content_id")["content_id"].to_list()
    assert contents == ["8", "f1", "facebook:7", "t1", "twitter:7"]
    assert len(list_events(store)) == 5


def test_ingest__joins_who_is_said_to_be_the_same_person(read, tmp_path):
    table = tmp_path / "persons.csv"
    table.write_text(
        "account_id,person,platform\nbbc,Auntie,twitter\nbbc,Auntie,facebook\ncnn,CNN,\n"
    )
    store = read(share(*NAMES), same_person=table)
    assert store.read("accounts")["account_id"].to_list() == ["Auntie", "CNN"]
    assert len(list_events(store)) == 5
    assert len(store.manifest["settings"]["same_person_sha256"]) == 64
    table.write_text("account_id,person\nbbc,Auntie\n")  # on all platforms
    store = read(share(*NAMES), same_person=table)
    assert store.read("accounts")["account_id"].to_list() == ["Auntie", "cnn"]


def test_ingest__refuses_an_account_of_two_persons(read, tmp_path):
    table = tmp_path / "persons.csv"
    table.write_text("account_id,person\nbbc,Auntie\nbbc,Uncle\n")
    with pytest.raises(ArchiveError, match="two persons, such as 'Auntie' and 'Uncle'"):
        read(share(*NAMES), same_person=table)


@pytest.mark.parametrize(
    ("told", "labelled"),
    [("bbc", ["facebook:bbc", "twitter:bbc"]), ("twitter:bbc", ["twitter:bbc"]), ("cnn", ["cnn"])],
)
def test_ingest__labels_name_ids_with_or_without_their_platform(read, tmp_path, told, labelled):
    table = tmp_path / "labels.csv"
    table.write_text(f"account_id,label\n{told},x\nnobody,x\n")
    store = read(share(*NAMES), labels=table)
    marked = store.read("accounts").filter(label="x")["account_id"].to_list()
    assert marked == labelled
    assert store.manifest["labels"]["unknown_accounts"] == 1


def test_ingest__an_id_without_a_platform_is_that_of_its_only_platform(read):
    rows = [("a", "u", "1", AT, "p"), ("a", "v", "2", AT, ""), ("b", "u", "3", AT, "p"),
            ("b", "u", "4", AT, "q"), ("b", "u", "5", AT, "")]  # fmt: skip
    store = read(share(*rows))
    assert store.read("accounts")["account_id"].to_list() == ["a", "b", "p:b", "q:b"]


def test_ingest__mentions_and_posts_of_platforms_do_not_meet(tmp_path):
    lines = [
        {"u": "a", "n": "1", "t": AT, "m": ["x"], "r": "9", "tag": ["t"], "p": "twitter"},
        {"u": "b", "n": "2", "t": AT, "m": ["x"], "r": "9", "tag": ["t"], "p": "telegram"},
    ]  # fmt: skip
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    mapping = {"account_id": "u", "content_id": "n", "timestamp_share": "t", "mentions": "m[]",
               "retweet": "r", "hashtags": "tag[]", "platform": "p"}  # fmt: skip
    store = ingest(tmp_path / "t.jsonl", tmp_path / "store", map=mapping)
    assert sorted(store.read("entities").select("kind", "value").rows()) == [
        ("hashtag", "t"), ("mention", "telegram:x"), ("mention", "twitter:x"),
        ("retweet", "telegram:9"), ("retweet", "twitter:9"),
    ]  # fmt: skip


# --- too much set aside --------------------------------------------------------------------------


def test_ingest__refuses_an_archive_of_which_most_was_set_aside(read, tmp_path):
    rows = [("a", "u", "1", AT, ""), ("", "u", "2", AT, ""), ("b", "u", "3", "13/09/2020", ""),
            ("c", "u", "4", "14/09/2020", "")]  # fmt: skip
    with pytest.raises(ArchiveError) as raised:
        read(share(*rows))
    said = str(raised.value)
    assert said.startswith("3 of 4 rows were set aside, so nothing is stored: timestamp_share is")
    assert "(2, the first is row 3 of shares.csv); no account_id (1, the first is row 2" in said
    assert "write --time-format, such as %d/%m/%Y %H:%M" in said
    assert "--max-rejects 1 stores the others" in said
    assert not (tmp_path / "store").exists()
    assert read(share(*rows), max_rejects=0.75).manifest["totals"]["stored"] == 1


def test_ingest__does_not_count_records_that_are_no_posts(tmp_path):
    like = {"did": "a", "time_us": 1, "kind": "commit", "commit": {"collection": "like"}}
    post = {"did": "a", "time_us": 1, "kind": "commit", "commit": {
        "collection": "app.bsky.feed.post", "rkey": "3k", "record": {
            "createdAt": "2020-09-13T12:26:40Z", "text": "hi"}}}  # fmt: skip
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(map(json.dumps, [like] * 9 + [post])))
    store = ingest(path, tmp_path / "store")
    assert store.manifest["rejected_by_reason"] == {"the record is no post": 9}
    path.write_text(json.dumps(like))
    assert ingest(path, tmp_path / "empty").read("posts").height == 0


def test_ingest__keeps_the_store_that_is_there_where_the_new_one_is_refused(read):
    kept = read(share(NAMES[0]))
    with pytest.raises(ArchiveError, match="1 of 1 rows were set aside"):
        read(share(("", "u", "2", AT, "")))
    assert len(list_events(kept)) == 1


def test_ingest__reads_times_of_share_tables_in_a_given_form(read):
    rows = [("a", "u", "1", "13/09/2020 12:26", ""), ("b", "u", "2", "14/09/2020 12:26", "")]
    store = read(share(*rows), time_format="%d/%m/%Y %H:%M")
    assert store.read("posts")["time"].to_list() == [1_599_999_960_000, 1_600_086_360_000]
