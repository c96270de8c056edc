"""Files of any packing: recognised by content, read whole or refused with a reason."""

import gzip
import io
import os
import time
import warnings
import zipfile
from hashlib import sha256
from itertools import count

import polars as pl
import pytest
from archives import ingest_any as ingest
from archives import list_rejects, pack_zip

from gpu_coord.archive import posts, sources, x_archive
from gpu_coord.archive.ingest import read_labels
from gpu_coord.archive.sources import ArchiveError
from gpu_coord.store.store import open_store

HEADER = "account_id,object_id,content_id,timestamp_share\n"
SHARES = HEADER + "a,x,1,100\nb,x,2,101\n"
TWEETS = (
    "tweetid,userid,tweet_time,hashtags,urls,user_mentions\n"
    "1,u1,2020-01-01 00:00,\"['Tag', 'other']\",['https://www.news.example/a'],['Someone']\n"
    "2,u2,2020-01-01 00:01,['TAG'],['https://example.com/b'],[]\n"
)
USERS = "userid,follower_count\nu3,5\n"
LABELS = ["account_id", "label"]


@pytest.fixture
def ingest_bytes(tmp_path):
    """Write bytes to a file with a name that says nothing, and ingest it."""

    def run(content, name="file", **options):
        content = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(content)
        return ingest(tmp_path / name, tmp_path / "store", overwrite=True, **options)

    return run


def list_accounts(store):
    return store.read("accounts")["account_id"].to_list()


# --- packing -------------------------------------------------------------------------------------


# Packed bytes hold the time of packing, and all workers must give a test the same name: `count`.
@pytest.mark.parametrize(
    "content",
    [
        SHARES.encode(),
        SHARES.rstrip().encode(),
        b"\xef\xbb\xbf" + SHARES.encode(),
        SHARES.replace("\n", "\r\n").encode(),
        SHARES.replace("a,x", '"a","x"').encode(),
        SHARES.replace("\n", "\n\n").encode(),
        gzip.compress(SHARES.encode()),
        gzip.compress(SHARES[:50].encode()) + gzip.compress(SHARES[50:].encode()),
        gzip.compress(b"\xef\xbb\xbf" + SHARES.encode()),
        pack_zip(a__csv=SHARES),
        pack_zip(a__gz=gzip.compress(SHARES.encode())),
        pack_zip(a__csv=HEADER + "a,x,1,100\n", b__csv=HEADER + "b,x,2,101\n"),
        pack_zip(a__csv=SHARES, b__csv=HEADER, c__csv=HEADER.rstrip()),
    ],
    ids=count(),
)
def test_ingest__reads_any_packing(ingest_bytes, content):
    store = ingest_bytes(content)
    assert list_accounts(store) == ["a", "b"]
    events = store.read("events").select("post", "account", "entity", "time")
    assert events.rows() == [(0, 0, 0, 100_000), (1, 1, 0, 101_000)]
    assert store.read("rejects").height == 0


def test_ingest__same_input_same_bytes(ingest_bytes):
    first = ingest_bytes(SHARES).manifest
    assert ingest_bytes(SHARES).manifest == first


def test_ingest__same_manifest_whichever_table_is_ready_first(ingest_bytes, monkeypatch):
    def write_late(write):
        def late(intake, *arguments):
            time.sleep(0.2)
            return write(intake, *arguments)

        return late

    texts = []
    for module, name in ((x_archive, "_write_posts"), (posts, "number_entities")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, write_late(getattr(module, name)))
            path = ingest_bytes(TWEETS).path
        texts.append((path / "manifest.json").read_bytes())
    assert texts[0] == texts[1]


def test_ingest__reads_all_files_of_a_folder(tmp_path):
    folder = tmp_path / "archive"
    (folder / "part").mkdir(parents=True)
    (folder / ".hidden.csv").write_text("not,read\n")
    (folder / "README.txt").write_text("About this archive")
    (folder / "tweets_a.csv").write_text(TWEETS)
    (folder / "part" / "tweets_a.csv").write_text(TWEETS.splitlines()[0] + "\n")
    (folder / "users.zip").write_bytes(pack_zip(users__csv=USERS, notes__txt="x"))
    store = ingest(folder, tmp_path / "store")
    inputs = {entry["name"]: entry["rows_read"] for entry in store.manifest["inputs"]}
    assert inputs == {"part/tweets_a.csv": 0, "archive/tweets_a.csv": 2, "users.zip:users.csv": 1}
    ignored = [entry["name"] for entry in store.manifest["ignored"]]
    assert ignored == ["README.txt", "users.zip:notes.txt"]
    assert list_accounts(store) == ["u1", "u2", "u3"]


def test_ingest__a_file_named_twice_is_read_once(tmp_path):
    (tmp_path / "t.csv").write_text(SHARES)
    store = ingest([tmp_path / "t.csv", tmp_path / "t.csv"], tmp_path / "store")
    assert store.manifest["totals"]["rows_read"] == 2


def test_ingest__manifest_names_size_and_hash(ingest_bytes):
    (entry,) = ingest_bytes(SHARES, name="shares.csv").manifest["inputs"]
    known = ("shares.csv", len(SHARES), sha256(SHARES.encode()).hexdigest())
    assert (entry["name"], entry["size"], entry["sha256"]) == known


def test_ingest__reports_progress_in_bytes(tmp_path):
    (tmp_path / "t.csv").write_text(SHARES)
    seen = []
    ingest(tmp_path / "t.csv", tmp_path / "store", progress=lambda *args: seen.append(args))
    assert [args for args in seen if args[0] == "read"][-1] == ("read", len(SHARES), len(SHARES))
    assert all(0 <= done <= total for _, done, total in seen)


def test_ingest__one_record_can_span_many_blocks(ingest_bytes, monkeypatch):
    monkeypatch.setattr(sources, "BLOCK_BYTES", 256)
    long = "y\n" * 3_000
    rows = [f'a{n},"{long if n % 7 == 5 else n}",c{n},{n}\n' for n in range(40)]
    rows[20:20] = ["too,few\n"]
    store = ingest_bytes(HEADER + "".join(rows))
    assert store.read("posts")["content_id"].to_list() == [f"c{n}" for n in range(40)]
    assert list_rejects(store) == [(21, "2 fields where the header has 4")]
    assert sorted(store.read("entities")["value"])[-1] == long
    assert store.manifest["totals"]["rows_read"] == 41


def test_ingest__a_cell_above_all_blocks_is_refused(ingest_bytes, monkeypatch):
    monkeypatch.setattr(sources, "BLOCK_BYTES", 256)
    monkeypatch.setattr(sources, "MAX_BLOCK_BYTES", 256)
    with pytest.raises(ArchiveError, match=r"a cell above .* or a quote that is never closed"):
        ingest_bytes(HEADER + "a,x,1,1\n" * 100 + f'a,"{"y" * 3000}",2,2\n' + "a,x,1,1\n" * 100)


# --- broken files --------------------------------------------------------------------------------

BIG = (HEADER + "".join(f"a{n},x{n * n},{n},{n}\n" for n in range(20_000))).encode()


def lock(packed: bytes) -> bytes:
    """Mark the one member of a zip file as encrypted, in its two headers."""
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = packed.index(signature) + at
        packed = packed[:place] + bytes([packed[place] | 1]) + packed[place + 1 :]
    return packed


def pack_twice() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("a.csv", SHARES)
        with pytest.warns(UserWarning, match="Duplicate name"):
            packed.writestr("a.csv", HEADER)
    return out.getvalue()


def corrupt(packed: bytes) -> bytes:
    """Flip bits in the middle, so that the check sum is wrong."""
    middle = len(packed) // 2
    return packed[:middle] + bytes(byte ^ 0x55 for byte in packed[middle:-200]) + packed[-200:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(BIG)[:-1000], "file is broken or incomplete"),
        (corrupt(gzip.compress(BIG)), "file is broken or incomplete"),
        (pack_zip(a__csv=BIG)[:-1000], "file is broken or incomplete"),
        (corrupt(pack_zip(a__csv=BIG)), "file:a.csv is broken or incomplete"),
        (corrupt(pack_zip(zipfile.ZIP_LZMA, a__csv=BIG)), "file:a.csv is broken or incomplete"),
        (pack_twice(), r"several members of one name: \['a\.csv'\]"),
        (lock(pack_zip(a__csv=SHARES)), "password required"),
        (SHARES.encode("utf-16"), "is UTF-16; UTF-8 is expected"),
        ((HEADER + "a,x,1,100,€").encode()[:-1], "UTF-8 is expected"),
        (SHARES.replace("b,x", "b,é").encode("latin-1"), "UTF-8 is expected"),
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (pack_zip(), "zip file without files"),
        (pack_zip(a__zip=pack_zip(a__csv=SHARES)), "zip file inside a zip file"),
        (pack_zip(a__parquet=b"PAR1"), "is a binary table inside a zip file"),
        (b"PAR1 but not really", "cannot be read"),
        (b"{broken", "no line holds a JSON object"),
        (b"{broken: 1}\n[]", "no line holds a JSON object"),
        (b'{"tweetid": "1", "userid": "2", "tweet_time": "3"}', "X archive as jsonl"),
        (bytes(range(256)) * 9, "is not an X archive, a share table, or an export that is known"),
        (
            b"name,value\n1,2\n",
            r"its columns are name, value\. Say what they mean, such as --map account_id=",
        ),
        ((HEADER.strip() + ",Account_ID\n").encode(), r"has a column twice .* \['accountid'\]"),
    ],
    ids=count(),
)
def test_ingest__refuses_broken_files_and_leaves_nothing(ingest_bytes, tmp_path, content, message):
    with pytest.raises(ArchiveError, match=message):
        ingest_bytes(content)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("record", [b"secret,\xff,2,101,5", b"secret,\xff", b"secret,\xff,2,101"])
@pytest.mark.parametrize("n_before", [1, 5])
def test_ingest__names_the_file_of_bytes_that_are_not_utf8_and_no_more(
    ingest_bytes, capfd, monkeypatch, record, n_before
):
    monkeypatch.setattr(sources, "BLOCK_BYTES", 64)
    with pytest.raises(ArchiveError, match=r"^file cannot be read.* UTF-8 is expected") as caught:
        ingest_bytes(HEADER.encode() + b"a,x,1,100\n" * n_before + record + b"\n")
    assert "secret" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("character", ["é", "ก", "😀"])
@pytest.mark.parametrize("shift", range(4))
def test_ingest__a_character_can_span_two_blocks(ingest_bytes, monkeypatch, character, shift):
    monkeypatch.setattr(sources, "BLOCK_BYTES", 64)
    account = "a" * shift + character * 15
    store = ingest_bytes(HEADER + f"{account},x,1,100\n" * 9)
    assert list_accounts(store) == [account]


def test_ingest__reads_the_directory_of_a_zip_file_once(ingest_bytes, monkeypatch):
    """However many members there are: each would have cost as much as all."""
    read, parse = [], zipfile.ZipFile._RealGetContents
    monkeypatch.setattr(
        zipfile.ZipFile, "_RealGetContents", lambda self: (read.append(self.filename), parse(self))
    )
    content = pack_zip(**{f"{n}__csv": f"{HEADER}a{n},x,{n},100\n" for n in range(30)})
    read.clear()
    assert len(list_accounts(ingest_bytes(content))) == 30
    assert sum(name is not None for name in read) == 1


def test_ingest__refuses_a_zip_file_whose_members_are_one(ingest_bytes):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("a.csv", HEADER + "a,x,1,100\n" * 99)
        for number in range(9):
            again = zipfile.ZipInfo(f"{number}.csv")
            for name in ("CRC", "compress_size", "file_size", "header_offset"):
                setattr(again, name, getattr(packed.filelist[0], name))
            packed.filelist.append(again)
    with pytest.raises(ArchiveError, match=r"members overlap, so that it is more than it seems"):
        ingest_bytes(out.getvalue())


def test_ingest__refuses_a_json_list_whose_record_does_not_end(ingest_bytes, monkeypatch):
    monkeypatch.setattr(sources, "BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(sources, "MAX_LINE_BYTES", 1 << 20)
    post = '{"id": "1", "author_id": "1", "created_at": "2020-01-01T00:00:00Z", "text": "'
    whole = f'[{post}a"}}, {post}{"b" * 900_000}"}}]'
    assert ingest_bytes(whole).manifest["totals"]["rows_read"] == 2
    with pytest.raises(ArchiveError, match=r"a record in it has more than 1 MiB"):
        ingest_bytes(whole.replace("]", ", ") + '{"id": "' + "c" * (1 << 21))


@pytest.mark.parametrize("packed", [False, True])
def test_read_labels__refuses_a_table_that_is_too_large(tmp_path, monkeypatch, packed):
    monkeypatch.setattr(sources, "MAX_TABLE_BYTES", 1 << 12)
    table = b"account_id,label\na,b\n"
    path = tmp_path / "labels.csv"
    path.write_bytes(gzip.compress(table) if packed else table)
    assert read_labels(path).rows() == [("a", "b")]
    table += b"a,b\n" * (1 << 10)
    path.write_bytes(gzip.compress(table) if packed else table)
    with pytest.raises(ArchiveError, match=r"labels\.csv has more than 0 MiB; such a table is one"):
        read_labels(path)


def test_ingest__a_header_may_begin_like_a_zip_file(ingest_bytes):
    text = "PK,account_id,object_id,content_id,timestamp_share\n1,a,x,1,100\n"
    assert list_accounts(ingest_bytes(text)) == ["a"]
    assert list_accounts(ingest_bytes(pack_zip(a__csv=text))) == ["a"]


@pytest.mark.parametrize("is_inside", [False, True])
def test_ingest__refuses_a_name_that_is_not_utf8(tmp_path, is_inside):
    folder = tmp_path / "in"
    folder.mkdir()
    file = folder / os.fsdecode(b"caf\xe9.csv")
    try:
        file.write_text(SHARES)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    with pytest.raises(ArchiveError, match=r"caf\\udce9\.csv is not UTF-8"):
        ingest(folder if is_inside else file, tmp_path / "store")


@pytest.mark.parametrize(
    ("record", "n_others"),
    [
        ("123456,2020-01-01 00:00,@handle,secret words", 4),
        ("123456,2020-01-01 00:00,secret words,absent,absent,,", 7),
    ],
)
def test_ingest__does_not_print_the_record_of_a_file_without_a_header(
    ingest_bytes, record, n_others
):
    hint = f"none that is known here and {n_others} others; is the header missing"
    with pytest.raises(ArchiveError, match=hint) as caught:
        ingest_bytes(f"{record}\n{record}\n")
    assert not [cell for cell in record.split(",") if cell and cell in str(caught.value)]


def test_ingest__names_the_known_columns_of_what_is_no_archive(ingest_bytes):
    with pytest.raises(ArchiveError, match=r"its columns are Account_ID, kind, what\. Say what"):
        ingest_bytes("Account_ID,kind,what\na,b,c\n")


@pytest.mark.parametrize(
    "content", [HEADER, TWEETS.splitlines()[0], pack_zip(a__csv=HEADER)], ids=count()
)
def test_ingest__warns_where_there_is_no_record_at_all(ingest_bytes, content):
    with pytest.warns(UserWarning, match=r"^file.*: no record behind the header"):
        store = ingest_bytes(content)
    assert store.read("posts").height == 0


def test_ingest__warns_of_tweets_without_a_record_beside_users(tmp_path):
    (tmp_path / "tweets.csv").write_text(TWEETS.splitlines()[0])
    (tmp_path / "users.csv").write_text(USERS)
    with pytest.warns(UserWarning, match=r"^tweets\.csv: no record"):
        ingest([tmp_path / "tweets.csv", tmp_path / "users.csv"], tmp_path / "store")


def test_ingest__a_broken_file_inside_a_folder_is_refused_too(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.csv").write_text(SHARES)
    (folder / "b.csv.gz").write_bytes(gzip.compress(BIG)[:-1000])
    with pytest.raises(ArchiveError, match=r"b\.csv\.gz is broken"):
        ingest(folder, tmp_path / "store")


@pytest.mark.parametrize("block_bytes", [1 << 24, 64])
@pytest.mark.parametrize(("n_good", "n_bad"), [(0, 3), (1, 60), (30, 30)])
def test_ingest__malformed_records_behind_the_last_good_one_are_listed(
    ingest_bytes, monkeypatch, block_bytes, n_good, n_bad
):
    monkeypatch.setattr(sources, "BLOCK_BYTES", block_bytes)
    store = ingest_bytes(HEADER + "a,x,1,100\n" * n_good + "a,x,1\n" * n_bad)
    rows = list(range(n_good + 1, n_good + n_bad + 1))
    assert store.read("rejects")["row"].to_list() == rows
    assert store.manifest["totals"]["rows_read"] == n_good + n_bad


def test_ingest__an_open_quote_in_a_malformed_last_record_counts_once(ingest_bytes):
    store = ingest_bytes(HEADER + 'a,x,"1')
    assert store.read("rejects")["row"].to_list() == [1]
    assert store.manifest["totals"]["rows_read"] == 1


@pytest.mark.parametrize("opened", ['c,"x,3,103', 'c,x,3,"103'])  # too few fields, and enough
@pytest.mark.parametrize("more", ["", ",unread"])  # is the last column one that is read?
@pytest.mark.parametrize("n_lines", [1, 1000])
@pytest.mark.parametrize("block_bytes", [1 << 24, 1 << 12])
def test_ingest__warns_of_the_lines_that_an_open_quote_takes_along(
    ingest_bytes, monkeypatch, opened, more, n_lines, block_bytes
):
    monkeypatch.setattr(sources, "BLOCK_BYTES", block_bytes)
    good = "".join(f"{line}{more}\n" for line in SHARES.splitlines())
    if more and '3,"' in opened:
        opened = 'c,x,3,103,"y'
    lines = "".join(f"d,x,{n},{200 + n}{more}\n" for n in range(n_lines))
    behind = "line behind it is" if n_lines == 1 else "1,000 lines behind it are"
    said = rf"file: a quote that opens in record 3 is never closed, so the {behind} not read"
    with pytest.warns(UserWarning, match=said):
        store = ingest_bytes(f"{good}{opened}\n{lines}")
    (reject,) = store.read("rejects").rows()
    assert reject[:2] == ("file", 3)
    assert list_accounts(store) == ["a", "b"]


@pytest.mark.parametrize(
    "lines",
    [
        'c,x,3,103,5" pipe,"two\nlines"\n' + "d,x,4,104\n" * 9,  # too many fields
        'c5" x,x,3,103\n' + "d,x,4,104\n" * 3 + 'e,x,5,"1\n0\n5"\n',  # a last one that is closed
        'c,"x,3,103',  # nothing is behind it
    ],
)
def test_ingest__an_odd_quote_alone_takes_nothing_along(ingest_bytes, lines):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = ingest_bytes(SHARES + lines)
    assert store.read("rejects").height >= 1


@pytest.mark.filterwarnings("ignore:file. a quote that opens")
@pytest.mark.parametrize("end", ['"10', '"10\n', '10\nc,x,"3,103\nd,x,4,104\n'])
def test_ingest__a_quote_left_open_is_never_silent(ingest_bytes, end):
    store = ingest_bytes(SHARES + "c,x,3," + end)
    assert store.read("rejects").height >= 1
    assert "103" not in store.read("events")["time"].cast(pl.String).to_list()
    totals = store.manifest["totals"]
    assert totals["rows_read"] == totals["events"] + totals["rejected"]


def test_ingest__a_record_cut_inside_its_last_cell_is_set_aside(ingest_bytes):
    store = ingest_bytes(SHARES + 'c,x,3,"10')
    assert list_accounts(store) == ["a", "b"]
    (reject,) = store.read("rejects").rows()
    assert reject == ("file", 3, sources.OPEN_QUOTE)


def test_ingest__an_interrupted_run_leaves_the_old_store(ingest_bytes, tmp_path):
    before = ingest_bytes(SHARES).manifest

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest_bytes(BIG, progress=interrupt)
    assert open_store(tmp_path / "store").manifest == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "store"]


# --- choices -------------------------------------------------------------------------------------


def test_ingest__refuses_paths_without_archives(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*nothing"):
        ingest(tmp_path / "nothing", tmp_path / "store")
    (tmp_path / "in").mkdir()
    with pytest.raises(
        ArchiveError, match="no X archive, share table or export that is known was found"
    ):
        ingest(tmp_path / "in", tmp_path / "store")


def test_ingest__refuses_to_overwrite_what_is_no_store(ingest_bytes, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "notes.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="not replaced"):
        ingest_bytes(SHARES)
    assert (tmp_path / "store" / "notes.txt").read_text() == "keep"


def test_ingest__refuses_both_formats_together(tmp_path):
    (tmp_path / "a.csv").write_text(SHARES)
    (tmp_path / "b.csv").write_text(TWEETS)
    with pytest.raises(ArchiveError, match="two stores"):
        ingest([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "store")


@pytest.mark.parametrize(("content", "other"), [(SHARES, "x-archive"), (TWEETS, "shares")])
def test_ingest__a_named_format_is_held(ingest_bytes, content, other):
    with pytest.raises(ArchiveError, match=f"is not {other}"):
        ingest_bytes(content, format=other)


# --- excluded terms ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "n_events"),
    [
        *(("#tag", 2), ("TAG", 2), ("@someone", 1), ("https://example.com/b/", 1)),
        *(("example.com", 1), ("News.Example", 1), ("absent", 0)),
        ("example", 0),  # a bare word is no host
    ],
)
def test_ingest__excluded_terms_drop_events_and_are_counted(ingest_bytes, term, n_events):
    whole = ingest_bytes(TWEETS).manifest["totals"]
    store = ingest_bytes(TWEETS, exclude=[term])
    totals = store.manifest["totals"]
    assert store.manifest["excluded_events_by_term"] == {term: n_events}
    assert totals["events"] == whole["events"] - n_events == store.read("events").height
    assert totals["posts"] == whole["posts"]
    assert set(store.read("events")["entity"]) == set(store.read("entities")["entity"])


@pytest.mark.parametrize(
    "term", ["https://www.Example.com/b/", "example.com", "HTTP://EXAMPLE.COM/B"]
)
def test_ingest__excluded_urls_are_found_in_share_tables(ingest_bytes, term):
    table = HEADER.strip() + ",kind\na,http://example.com/b,1,1,url\na,http://other.net,1,1,url\n"
    store = ingest_bytes(table, exclude=[term])
    assert store.read("entities")["value"].to_list() == ["http://other.net"]


@pytest.mark.parametrize("term", ["", " ", "#"])
def test_ingest__refuses_an_empty_term(ingest_bytes, term):
    with pytest.raises(ValueError, match="term to exclude is empty"):
        ingest_bytes(SHARES, exclude=[term])


def test_ingest__excluded_shares_are_booked_by_file(ingest_bytes):
    store = ingest_bytes(SHARES + "a,y,3,5\na,y,3,5\n", exclude=["X", "x"])
    (entry,) = store.manifest["inputs"]
    names = ("rows_read", "stored", "rejected", "duplicates", "excluded")
    assert [entry[name] for name in names] == [4, 1, 0, 1, 2]
    assert store.manifest["excluded_events_by_term"] == {"X": 2}
    assert store.read("posts")["content_id"].to_list() == ["3"]


@pytest.mark.parametrize("terms", [["x", "x"], ["ΣΊΣΥΦΟΣ", "x", "σίσυφος"], ["x", " X "]])
def test_ingest__a_repeated_term_is_counted_once(ingest_bytes, terms):
    store = ingest_bytes(SHARES + "c,y,3,5\n", exclude=terms)
    counts = store.manifest["excluded_events_by_term"]
    assert counts["x"] == 2
    assert len(counts) == len({term.strip().casefold() for term in terms})


@pytest.mark.parametrize("term", ["#ΟΔΟΣ", "#οδος", "#οδοσ", "STRASSE", "#straße", "Straße"])
@pytest.mark.parametrize("tag", ["ΟΔΟΣ", "οδος", "Straße", "STRASSE"])
def test_ingest__excluded_terms_are_case_folded_like_hashtags(ingest_bytes, term, tag):
    is_same = term.strip("#").casefold() == tag.casefold()
    tweets = TWEETS + f"3,u1,2020-01-01 00:02,['{tag}'],[],[]\n"
    shares = f"{HEADER.strip()},kind\na,{tag},1,1,hashtag\na,b,2,1,hashtag\n"
    for table in (tweets, shares):
        counts = ingest_bytes(table, exclude=[term]).manifest["excluded_events_by_term"]
        assert counts == {term: int(is_same)}


@pytest.mark.parametrize(("term", "n_events"), [("uk", 0), ("com", 0), ("b.uk", 1), ("co.uk", 1)])
def test_ingest__a_bare_word_excludes_no_top_level_domain(ingest_bytes, term, n_events):
    urls = ["http://a.b.uk/x", "http://a.co.uk/x", "http://a.com/x"]
    rows = "".join(f"a,{url},{n},1,url\n" for n, url in enumerate(urls))
    store = ingest_bytes(f"{HEADER.strip()},kind\n{rows}", exclude=[term])
    assert store.manifest["excluded_events_by_term"] == {term: n_events}


# --- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", ["csv", "parquet"])
def test_ingest__labels_from_a_table(ingest_bytes, tmp_path, packing):
    ids, given = ["a", "a", "nobody", "b", "NA", "a"], ["op", "op", "op", "", "op", "NULL"]
    table = pl.DataFrame({"Account_Id": ids, "label": given, "note": "x"})
    path = tmp_path / "labels"
    table.write_csv(path) if packing == "csv" else table.write_parquet(path)
    store = ingest_bytes(SHARES, labels=path)
    assert store.read("accounts")["label"].to_list() == ["op", None]
    assert store.manifest["labels"] == {"rows": 6, "incomplete": 3, "unknown_accounts": 1}
    assert store.manifest["accounts_by_label"] == {"op": 1}


def test_ingest__labels_of_whole_inputs(tmp_path):
    (tmp_path / "control").mkdir()
    (tmp_path / "a.csv").write_text(SHARES)
    (tmp_path / "control" / "b.csv").write_text(HEADER + "c,x,1,1\n")
    (tmp_path / "d.csv").write_text(HEADER + "d,x,1,1\n")
    label = {"operation": tmp_path / "a.csv", "control": tmp_path / "control"}
    store = ingest(tmp_path / "d.csv", tmp_path / "store", label=label)
    labels = dict(store.read("accounts").select("account_id", "label").rows())
    assert labels == {"a": "operation", "b": "operation", "c": "control", "d": None}
    assert [entry["label"] for entry in store.manifest["inputs"]] == [None, "operation", "control"]


def test_ingest__labels_the_users_of_an_x_archive(tmp_path):
    (tmp_path / "t.csv").write_text(TWEETS)
    (tmp_path / "u.csv").write_text(USERS)
    label = {"op": tmp_path / "t.csv", "u": tmp_path / "u.csv"}
    store = ingest([], tmp_path / "store", label=label)
    assert store.read("accounts")["label"].to_list() == ["op", "op", "u"]


def test_ingest__one_label_has_several_inputs(tmp_path):
    given = [["op", "a.csv"], ["control", "b.csv"], ["op", "c.csv"]]
    for _, name in given:
        (tmp_path / name).write_text(HEADER + f"{name[0]},x,1,1\n")
    pairs = [(label, tmp_path / name) for label, name in given]
    store = ingest([], tmp_path / "store", label=pairs)
    assert store.read("accounts")["label"].to_list() == ["op", "control", "op"]
    assert store.manifest["settings"]["label"] == given


def test_ingest__a_label_given_by_here_has_the_name_of_the_folder(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(SHARES)
    monkeypatch.chdir(tmp_path / "in")
    store = ingest([], tmp_path / "store", label={"op": "."})
    assert store.manifest["settings"]["label"] == [["op", "in"]]


@pytest.fixture
def linked(tmp_path):
    """A folder ``links`` with a link to a file that lies in ``pool``."""
    for name in ("pool", "links"):
        (tmp_path / name).mkdir()
    (tmp_path / "pool" / "a.csv").write_text(SHARES)
    (tmp_path / "links" / "a.csv").symlink_to(tmp_path / "pool" / "a.csv")
    return tmp_path


@pytest.mark.parametrize("given", [[], ["pool"], ["links"], ["pool/a.csv"]])
def test_ingest__a_labelled_folder_of_links_keeps_its_label(linked, given):
    paths = [linked / name for name in given]
    store = ingest(paths, linked / "store", label={"op": linked / "links"})
    assert store.read("accounts")["label"].to_list() == ["op", "op"]
    assert store.manifest["totals"]["rows_read"] == 2


def test_ingest__refuses_a_file_that_links_put_under_two_labels(linked):
    with pytest.raises(ArchiveError, match=r"a\.csv has two labels, 'op' and 'other'"):
        ingest([], linked / "store", label={"op": linked / "links", "other": linked / "pool"})


@pytest.mark.parametrize("inner", ["links", "links/a.csv"])
@pytest.mark.parametrize("step", [1, -1])
def test_ingest__the_inner_of_two_labelled_places_counts(linked, inner, step):
    (linked / "pool" / "a.csv").replace(linked / "links" / "a.csv")
    (linked / "c.csv").write_text(HEADER + "c,x,1,1\n")
    pairs = [("outer", linked), ("inner", linked / inner)][::step]
    store = ingest([], linked.with_name(linked.name + "-store"), label=pairs)
    assert store.read("accounts")["label"].to_list() == ["inner", "inner", "outer"]


def test_ingest__refuses_two_labels_for_one_input(tmp_path):
    (tmp_path / "t.csv").write_text(SHARES)
    both = {"x": tmp_path / "t.csv", "y": tmp_path / "t.csv"}
    with pytest.raises(ValueError, match="has two labels"):
        ingest([], tmp_path / "store", label=both)


def test_ingest__refuses_an_empty_label(tmp_path):
    with pytest.raises(ValueError, match="is empty; write NAME=PATH"):
        ingest([], tmp_path / "store", label={" ": tmp_path})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("account,label\na,op\n", r"labels lacks \['account_id'\]; .* has 'label' and 1 other"),
        ("Account_Id\na\n", r"labels lacks \['label'\]; .* this one has 'Account_Id'\.$"),
        ("12345,secret\n678,op\n", "none that is known here and 2 others; is the header missing"),
        ("", "labels cannot be read"),
        ("account_id,AccountId,label\na,a,op\n", r"twice .*\['AccountId', 'account_id'\]"),
        ("account_id,label,label\na,op,control\n", r"labels has a column twice .*\['label'\]"),
        ("account_id,label\na,op\na,control\n", "labelled 'control' and also 'op'"),
    ],
)
def test_ingest__refuses_a_table_that_holds_no_labels(ingest_bytes, tmp_path, text, message):
    (tmp_path / "labels").write_text(text)
    with pytest.raises(ArchiveError, match=message) as caught:
        ingest_bytes(SHARES, labels=tmp_path / "labels")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("read", [read_labels, lambda path: ingest(path, "store", labels=path)])
def test_read_labels__names_a_folder_in_its_place(tmp_path, monkeypatch, read):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "shares.csv").write_text(SHARES)
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ArchiveError, match=r"here is a folder; labels are one CSV or Parquet"):
        read(".")


def test_read_labels__keeps_further_columns_where_they_are(tmp_path):
    table = {"account_id": [7, 7, 8, None], "Role": ["core", "core", None, "x"], "n": [1, 1, 2, 3]}
    path = tmp_path / "truth.parquet"
    pl.DataFrame({**table, "label": ["op", "op", "no", "op"]}).write_parquet(path)
    rows = [("7", "op", "core"), ("8", "no", None)]
    for extra, names in (((), LABELS), (("role", "group"), [*LABELS, "role"])):
        found = read_labels(path, extra=extra)
        assert (found.columns, found.rows()) == (names, [row[: len(names)] for row in rows])
    named = read_labels(path, columns=("account_id", "n"))
    assert named.rows() == [("7", "1"), ("8", "2")]
    with pytest.raises(ArchiveError, match=r"lacks \['group'\]; .* columns account_id and group"):
        read_labels(path, columns=("account_id", "group"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,op,core\na,no,core\n", "1 accounts two labels, such as 'op'"),
        ("a,op,core\na,op,rim\nb,op,rim\n", "1 accounts two roles, such as 'core'"),
    ],
)
def test_read_labels__refuses_what_contradicts_itself(tmp_path, rows, message):
    (tmp_path / "labels.csv").write_text("account_id,label,role\n" + rows)
    with pytest.raises(ArchiveError, match=message):
        read_labels(tmp_path / "labels.csv", extra=("role",))
