"""CrowdTangle exports: each layout read by its columns, every row accounted for."""

import gzip
from codecs import BOM_UTF8
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from archives import NOTHING, list_events, list_rejects, pack_zip, write_table
from archives import ingest_any as ingest
from hypothesis import given
from hypothesis import strategies as st

from gpu_coord.archive import sources
from gpu_coord.archive.cells import hash_texts
from gpu_coord.archive.crowdtangle import ZONES, read_post_times
from gpu_coord.archive.sources import ArchiveError
from gpu_coord.store.store import verify_store

SCORE = "Overperforming Score (weighted  —  Likes 1x Shares 1x Comments 1x Love 1x )"
PAGES = [
    *("Page Name", "User Name", "Facebook Id", "Page Category", "Page Admin Top Country"),
    *("Page Description", "Page Created", "Likes at Posting", "Followers at Posting"),
    *("Post Created", "Post Created Date", "Post Created Time", "Type", "Total Interactions"),
    *("Likes", "Comments", "Shares", "Love", "Wow", "Haha", "Sad", "Angry", "Care"),
    *("Video Share Status", "Is Video Owner?", "Post Views", "Total Views"),
    *("Total Views For All Crossposts", "Video Length", "URL", "Message", "Link", "Final Link"),
    *("Image Text", "Link Text", "Description", "Sponsor Id", "Sponsor Name", "Sponsor Category"),
    SCORE,
]
GROUPS = ["Group Name", *PAGES[1:]]
# Before 2021 the time was called otherwise, and pages were not described.
OLD_PAGES = [
    "Page Name",
    *(name for name in PAGES[1:] if not name.startswith(("Page", "Post Created"))),
    "Created",
]
INSTAGRAM = [
    *("Account", "User Name", "Followers at Posting", "Post Created", "Post Created Date"),
    *("Post Created Time", "Type", "Total Interactions", "Likes", "Comments", "Views", "URL"),
    *("Link", "Photo", "Title", "Description", "Image Text", "Sponsor Id", "Sponsor Name", SCORE),
]
FRAME = [
    *("", "platformId", "platform", "date", "type", "description", "postUrl", "imageText", "id"),
    *("message", "title", "statistics.actual.likeCount", "statistics.actual.shareCount"),
    *("statistics.actual.commentCount", "statistics.actual.loveCount", "account.id"),
    *("account.name", "account.handle", "account.subscriberCount", "account.url"),
    *("account.platform", "account.platformId", "account.pageCreatedDate", "account.verified"),
    *("expanded", "is_orig"),
]
TIME_MS, EST = 1_614_618_000_000, "2021-03-01 12:00:00 EST"  # 17:00 UTC
NAMES = ("stored", "rejected", "duplicates")


def post(n=1, page="1001", **cells):
    """A post of a Facebook page that shares a link, like an export has it."""
    base = {"Page Name": f"Page {page}", "User Name": f"page{page}", "Facebook Id": page}
    base |= {"Page Created": "2012-05-06 07:08:09", "Post Created": EST, "Created": EST}
    base |= {"Likes at Posting": "900", "Followers at Posting": "1000", "Type": "Link"}
    base |= {"Total Interactions": "1,234", "Likes": "3", "Comments": "4", "Shares": "5"}
    base |= {"Love": "77", "URL": f"https://www.facebook.com/{page}/posts/{n}", SCORE: "1.5"}
    base |= {"Message": "Look at THIS https://bit.ly/x", "Link": "https://bit.ly/x"}
    base |= {"Final Link": "https://www.news.example/story?utm_source=fb"}
    return base | {"Description": "what the link says"} | cells


def share(n=1, page="1001", **cells):
    """One row of CooRnet's table: a post and one of its links."""
    base = {"": str(n), "platformId": f"{page}_{n}", "platform": "Facebook", "id": f"77{n}"}
    base |= {"date": "2021-03-01 17:00:00", "message": "Look at this", "is_orig": "TRUE"}
    base |= {"description": "what the link says", "expanded": "https://www.news.example/story"}
    base |= {"postUrl": f"https://www.facebook.com/{page}/posts/{n}"}
    counts = {"likeCount": "3", "shareCount": "5", "commentCount": "4"}
    base |= {f"statistics.actual.{name}": count for name, count in counts.items()}
    account = {"id": "8", "subscriberCount": "1000", "platform": "Facebook", "platformId": page}
    account |= {"url": f"https://www.facebook.com/{page}"}
    account |= {"pageCreatedDate": "2012-05-06 07:08:09"}
    return base | {f"account.{name}": cell for name, cell in account.items()} | cells


def picture(user, n, **cells):
    """A post of an Instagram account."""
    base = {"User Name": user, "Followers at Posting": "1", "Post Created": EST}
    return base | {"URL": f"https://www.instagram.com/p/{n}"} | cells


@pytest.fixture
def ingest_posts(tmp_path):
    """Write posts as an export and ingest it."""

    def run(*rows, header=PAGES, name="export.csv", **options):
        (tmp_path / name).write_bytes(write_table(rows, header))
        return ingest(tmp_path / name, tmp_path / "store", overwrite=True, **options)

    return run


def list_values(store, kind):
    return [row[3] for row in list_events(store) if row[2] == kind]


def hash_text(text):
    return hash_texts(pl.Series([text]))[0]


# --- layouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [PAGES, GROUPS, OLD_PAGES], ids=["pages", "groups", "old"])
@pytest.mark.parametrize("archive_format", ["auto", "crowdtangle"])
def test_ingest__reads_posts_of_pages_and_groups(ingest_posts, header, archive_format):
    store = ingest_posts(post(), header=header, format=archive_format)
    url = "https://www.facebook.com/1001/posts/1"
    assert store.manifest["format"] == "crowdtangle"
    assert list_events(store) == [
        ("1001", url, "text", hash_text("look at this"), TIME_MS),
        ("1001", url, "url", "news.example/story", TIME_MS),
    ]
    (found,) = store.read("posts").rows(named=True)
    assert found == {
        "post": 0, "account": 0, "time": TIME_MS, "content_id": url, "quote_count": None,
        "reply_count": 4, "like_count": 3, "retweet_count": 5, "platform": "facebook",
    }  # fmt: skip
    assert store.manifest["unread_cells"] == {}
    verify_store(store.path)


def test_ingest__reads_posts_of_instagram(ingest_posts):
    row = picture(
        "some.one", "AbC/", Link="https://www.instagram.com/p/AbC", Likes="1,003", Comments="4",
        Description="A caption", **{"Account": "Someone", "Followers at Posting": "12,345",
                                    "Post Created": "2021-03-01 18:00:00 CET"},
    )  # fmt: skip
    other = row | {"URL": "https://www.instagram.com/p/XyZ/", "Link": "http://shop.example/a/"}
    store = ingest_posts(row, other, header=INSTAGRAM)
    assert list_events(store) == [
        ("some.one", row["URL"], "text", hash_text("a caption"), TIME_MS),
        ("some.one", other["URL"], "text", hash_text("a caption"), TIME_MS),
        ("some.one", other["URL"], "url", "shop.example/a", TIME_MS),
    ]
    posts = store.read("posts").select("platform", "like_count", "reply_count", "retweet_count")
    assert posts.rows() == [("instagram", 1003, 4, None)] * 2
    assert store.read("accounts")["follower_count"].to_list() == [12_345]


def as_is(name):
    return name


def make_name(name):
    return name.replace(" ", ".").replace("?", ".").replace("(", ".") or "X"


def clean_name(name):
    return make_name(name).replace(".", "_").lower()


@pytest.mark.parametrize("rename", [as_is, make_name, clean_name])
def test_ingest__reads_tables_of_coornet_as_r_may_have_renamed_them(ingest_posts, rename):
    row = {rename(name): cell for name, cell in share().items()}
    store = ingest_posts(row, header=[rename(name) for name in FRAME])
    account, url = "https://www.facebook.com/1001", "https://www.facebook.com/1001/posts/1"
    assert list_events(store) == [
        (account, url, "text", hash_text("look at this"), TIME_MS),
        (account, url, "url", "news.example/story", TIME_MS),
    ]
    counts = ("like_count", "reply_count", "retweet_count", "platform")
    assert store.read("posts").select(counts).rows() == [(3, 4, 5, "facebook")]
    (known,) = store.read("accounts").rows(named=True)
    assert known["follower_count"] == 1000
    assert str(known["account_creation_date"]) == "2012-05-06"


@pytest.mark.parametrize("rename", [make_name, clean_name])
def test_ingest__reads_exports_that_r_has_renamed(ingest_posts, rename):
    row = {rename(name): cell for name, cell in post().items()}
    store = ingest_posts(row, header=[rename(name) for name in PAGES])
    assert list_values(store, "url") == ["news.example/story"]


def test_ingest__a_caption_is_a_description_on_instagram_only(ingest_posts):
    cells = {"message": "NA", "description": "said"}
    caption = share(1, platform="Instagram", **cells)
    store = ingest_posts(caption, share(2, **cells), header=FRAME)
    assert [row[:4] for row in list_events(store) if row[2] == "text"] == [
        # One address on two platforms, which no export has, is two accounts.
        (f"instagram:{caption['account.url']}", caption["postUrl"], "text", hash_text("said"))
    ]


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        ({}, "news.example/story"),
        ({"Final Link": ""}, "bit.ly/x"),
        ({"Final Link": "NA"}, "bit.ly/x"),
        ({"Final Link": "", "Link": "N/A"}, None),
        ({"Final Link": "", "Link": "https://facebook.com/1001/posts/1?ref=x"}, None),
        ({"Final Link": "https://www.facebook.com/1002/posts/9"}, "facebook.com/1002/posts/9"),
    ],
)
def test_ingest__takes_the_link_that_is_known_best(ingest_posts, cells, value):
    store = ingest_posts(post(**cells))
    assert list_values(store, "url") == ([value] if value else [])


def test_ingest__the_rule_for_urls_is_a_choice(ingest_posts):
    link = {"Final Link": "https://www.news.example/story?a=1"}
    for rule, value in (("canonical", "news.example/story?a=1"), ("paper", "news.example/story")):
        assert list_values(ingest_posts(post(**link), url_rule=rule), "url") == [value]
    # Posts of one script are not their own link under the paper's.
    script = "https://www.facebook.com/permalink.php?story_fbid={}&id=5"
    row = post(URL=script.format(1), **{"Final Link": script.format(2)})
    assert list_values(ingest_posts(row, url_rule="paper"), "url") == ["facebook.com/permalink.php"]


def test_ingest__counts_what_it_cannot_read(ingest_posts):
    row = post(Likes="many", **{"Final Link": "no link", "Page Created": "once"})
    store = ingest_posts(row, post(2, Likes="", **{"Page Created": ""}))
    unread = ["account_creation_date", "like_count", "url (not a URL)"]
    assert store.manifest["unread_cells"] == dict.fromkeys(unread, 1)
    assert store.read("posts")["like_count"].to_list() == [None, None]


@pytest.mark.parametrize("word", NOTHING)
def test_ingest__words_for_nothing_are_missing_in_every_column(ingest_posts, word):
    names = ["Final Link", "Message", "Likes", "Page Created", "Followers at Posting"]
    ids = ("Facebook Id", "URL", "Post Created")
    store = ingest_posts(
        post(1, **dict.fromkeys(names, word)), *(post(2, **{id: word}) for id in ids)
    )
    assert [row[2:4] for row in list_events(store)] == [("url", "bit.ly/x")]
    assert list_rejects(store) == [(n + 2, f"no {id}") for n, id in enumerate(ids)]
    assert store.manifest["unread_cells"] == {}
    counted = {} if word == "[]" else dict.fromkeys(sorted([*names, *ids]), 1)
    assert store.manifest["missing_cells"] == counted
    verify_store(store.path)


def test_ingest__a_link_that_was_cut_off_is_no_entity(ingest_posts):
    redirect = "https://l.facebook.com/l.php?u=https%3A%2F%2Fnews.example%2Fa&h=AT"
    rows = post(1, **{"Final Link": "https://news.example/…"}), post(2, **{"Final Link": redirect})
    store = ingest_posts(*rows)
    assert list_values(store, "url") == ["news.example/a"]
    assert store.manifest["unread_cells"] == {"url (cut off)": 1}


@pytest.mark.parametrize(
    ("text", "count"), [("1234", 1234), ("1,234,567", 1_234_567), ("7.0", 7), ("", None)]
)
def test_ingest__counts_have_separators(ingest_posts, text, count):
    assert ingest_posts(post(Likes=text)).read("posts")["like_count"].to_list() == [count]


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        *(("EST", -5), ("EDT", -4), ("CST", -6), ("CDT", -5), ("MST", -7), ("MDT", -6)),
        *(("PST", -8), ("PDT", -7), ("GMT", 0), ("UTC", 0), ("BST", 1), ("CET", 1), ("CEST", 2)),
        *(("NZDT", 13), ("est", -5), ("+05:30", 5.5), ("-0300", -3), ("-03", -3), ("Z", 0)),
    ],
)
def test_read_post_times__knows_zones(zone, hours):
    times = read_post_times(pl.Series([f" 2021-03-01 12:00:00 {zone}"]), is_utc=False)
    expected = datetime(2021, 3, 1, 12, tzinfo=UTC) - timedelta(hours=hours)
    assert times["time"].to_list() == [round(expected.timestamp() * 1000)]


@given(
    moment=st.datetimes(datetime(2005, 1, 1), datetime(2024, 8, 14)),
    zone=st.sampled_from(sorted(ZONES)),
)
def test_read_post_times__agrees_with_datetime(moment, zone):
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    text = f"{moment:%Y-%m-%d %H:%M:%S} {zone}"
    expected = (moment - timedelta(hours=ZONES[zone])).timestamp() * 1000
    assert read_post_times(pl.Series([text]), is_utc=False)["time"][0] == round(expected)


@pytest.mark.parametrize("zone", ["", "Z", " UTC", "+00:00", " EST"])
def test_ingest__a_time_of_the_api_is_utc_unless_it_says_otherwise(ingest_posts, zone):
    store = ingest_posts(share(date=f"2021-03-01 17:00:00{zone}"), header=FRAME)
    hours = 5 if zone == " EST" else 0
    assert store.read("posts")["time"].to_list() == [TIME_MS + hours * 3_600_000]


# --- rows that are set aside ---------------------------------------------------------------------

DECIMAL = "was rewritten as a decimal number, as spreadsheets do"
NO_ZONE = "is in a time zone that is ambiguous or not known; write its offset"


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"Facebook Id": ""}, "no Facebook Id"),
        ({"Facebook Id": "NA"}, "no Facebook Id"),
        ({"Facebook Id": "1.00064E+14"}, f"Facebook Id {DECIMAL}"),
        ({"Facebook Id": "100064.5"}, f"Facebook Id {DECIMAL}"),
        ({"URL": " "}, "no URL"),
        ({"Post Created": ""}, "no Post Created"),
        ({"Post Created": "yesterday"}, "Post Created is no date with a time of day"),
        ({"Post Created": "2021-03-01 EST"}, "Post Created is no date with a time of day"),
        ({"Post Created": "2021-03-01"}, "Post Created is no date with a time of day"),
        ({"Post Created": "2021-02-30 12:00:00 EST"}, "Post Created is no date with a time of day"),
        ({"Post Created": "3/1/2021 12:00"}, "Post Created is no date with a time of day"),
        ({"Post Created": "2021-03-01 12:00:00"}, "Post Created names no time zone"),
        ({"Post Created": "2021-03-01 12:00:00 IST"}, f"Post Created {NO_ZONE}"),
        ({"Post Created": "2021-03-01 12:00:00 XYZ"}, f"Post Created {NO_ZONE}"),
        ({"Post Created": "2021-03-01 12:00:00 Europe/Rome"}, f"Post Created {NO_ZONE}"),
        ({"Post Created": "2021-03-01 12:00:00+01:00 EST"}, "Post Created is no date with a time"),
    ],
)
def test_ingest__sets_rows_aside_with_the_reason(ingest_posts, cells, reason):
    store = ingest_posts(post(1), post(2, **cells), post(3))
    ((row, given),) = list_rejects(store)
    assert row == 2
    assert given.startswith(reason)
    (entry,) = store.manifest["inputs"]
    assert [entry[name] for name in NAMES] == [2, 1, 0]
    verify_store(store.path)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"account.url": "NA"}, "no account.url"),
        ({"account.url": "https://facebook.com/null"}, "no account.url"),
        ({"postUrl": ""}, "no postUrl"),
        ({"date": ""}, "no date"),
        ({"date": "2021-03-01"}, "date is no date with a time of day"),
        ({"date": "2021-03-01 12:00:00 IST"}, f"date {NO_ZONE}"),
    ],
)
def test_ingest__sets_rows_of_coornet_aside_with_the_reason(ingest_posts, cells, reason):
    store = ingest_posts(share(1), share(2, **cells), header=FRAME)
    assert list_rejects(store) == [(2, reason)]


@pytest.mark.parametrize(
    ("missing", "cells", "reason"),
    [
        ("account.url", {"account.platformId": "1.5e+14"}, f"account.platformId {DECIMAL}"),
        ("postUrl account.url", {"id": "1.5e+14"}, f"id {DECIMAL}"),
        ("postUrl id", {"platformId": ""}, "no platformId"),
    ],
)
def test_ingest__takes_other_ids_where_a_table_lacks_the_best(ingest_posts, missing, cells, reason):
    header = [name for name in FRAME if name not in missing.split()]
    store = ingest_posts(share(1), share(2, **cells), header=header)
    assert list_rejects(store) == [(2, reason)]
    assert store.manifest["totals"]["posts"] == 1


def test_ingest__a_name_on_instagram_may_look_like_a_number(ingest_posts):
    store = ingest_posts(picture("12e5", "A/"), header=INSTAGRAM)
    assert store.read("accounts")["account_id"].to_list() == ["12e5"]


def test_ingest__sets_malformed_records_aside(tmp_path):
    content = write_table([post(1), post(2)], PAGES).decode().splitlines(keepends=True)
    (tmp_path / "e.csv").write_text("".join([content[0], "a,b\n", *content[1:], '"open\n']))
    store = ingest(tmp_path / "e.csv", tmp_path / "store")
    assert [row for row, _ in list_rejects(store)] == [1, 4]
    assert store.manifest["totals"]["posts"] == 2


# --- duplicates ----------------------------------------------------------------------------------


def test_ingest__a_repeated_post_counts_once_and_the_first_row_wins(ingest_posts):
    late = {"Post Created": "2021-03-01 13:00:00 EST"}
    again = post(1, Likes="99", Message="other words", **late)
    store = ingest_posts(post(1), again, post(2), post(1, page="7", URL=post(1)["URL"]))
    (entry,) = store.manifest["inputs"]
    assert [entry[name] for name in NAMES] == [3, 0, 1]
    assert store.read("posts")["like_count"].to_list() == [3, 3, 3]
    assert len(list_values(store, "text")) == len(list_values(store, "url")) == 3
    assert {row[4] for row in list_events(store)} == {TIME_MS}
    verify_store(store.path)


def test_ingest__all_links_of_a_post_are_kept(ingest_posts):
    late = {"date": "2021-03-01 19:00:00"}
    rows = [
        share(1),
        share(2),
        share(1, expanded="https://other.example/b", **late),
        share(1, expanded="https://other.example/b/"),
        share(1, expanded="https://third.example/c", message="other words"),
    ]
    store = ingest_posts(*rows, header=FRAME)
    links = [(row[1][-1], row[3], row[4]) for row in list_events(store) if row[2] == "url"]
    values = ["news.example/story", "other.example/b", "third.example/c"]
    expected = [*(("1", value) for value in values), ("2", values[0])]
    assert links == [(*link, TIME_MS) for link in expected]
    assert list_values(store, "text") == [hash_text("look at this")] * 2
    totals = store.manifest["totals"]
    assert (totals["rows_read"], totals["stored"], totals["duplicates"]) == (5, 2, 3)
    verify_store(store.path)


LINKS, SAYINGS = ["", "http://x.example/1", "http://y.example/2"], ["", "one", "two"]
ONE = (st.sampled_from("ab"), st.integers(0, 2), st.sampled_from(LINKS), st.sampled_from(SAYINGS))
POSTS = st.lists(st.tuples(*ONE, st.booleans()), max_size=12)


@given(rows=POSTS, block_bytes=st.sampled_from([300, 1 << 20]))
def test_ingest__agrees_with_a_slow_reader(tmp_path_factory, rows, block_bytes):
    """The first good row of an account's post is the post; later ones add links."""
    posts, events, n_bad = {}, set(), 0
    for account, n, link, said, is_good in rows:
        if not is_good:
            n_bad += 1
            continue
        id = (account, str(n))
        if id not in posts:
            posts[id] = len(posts)
            events |= {(*id, "text", hash_text(said))} if said else set()
        events |= {(*id, "url", link.removeprefix("http://"))} if link else set()
    table = [
        picture(account, n, URL=str(n), Link=link, Description=said)
        | {"Post Created": EST if is_good else "?"}
        for account, n, link, said, is_good in rows
    ]
    folder = tmp_path_factory.mktemp("posts")
    (folder / "e.csv").write_bytes(write_table(table or [{"URL": "1"}], INSTAGRAM))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "BLOCK_BYTES", block_bytes)
        store = ingest(folder / "e.csv", folder / "store")
    assert [row[:4] for row in list_events(store)] == sorted(events)
    found = store.read("posts").join(store.read("accounts"), on="account").sort("post")
    assert found.select("account_id", "content_id").rows() == list(posts)
    totals = store.manifest["totals"]
    n_rows = max(len(rows), 1)
    assert (totals["rows_read"], totals["stored"]) == (n_rows, len(posts))
    assert totals["rejected"] == (n_bad if rows else 1)
    assert totals["duplicates"] == n_rows - totals["stored"] - totals["rejected"]


# --- accounts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_bytes", [600, 1 << 20])  # one record each, or all at once
def test_ingest__followers_are_those_of_the_latest_post(ingest_posts, monkeypatch, block_bytes):
    monkeypatch.setattr(sources, "BLOCK_BYTES", block_bytes)
    seen = [("1", 2, "20"), ("1", 4, ""), ("1", 3, "30"), ("1", 1, "10")]
    seen += [("2", 5, ""), ("3", 1, ""), ("3", 2, "7"), ("2", 6, "x")]
    rows = [
        post(n, page, **{"Followers at Posting": count, "Post Created": f"2021-03-0{day} 09:00Z"})
        for n, (page, day, count) in enumerate(seen)
    ]
    store = ingest_posts(*rows)
    accounts = store.read("accounts").select("account_id", "follower_count")
    assert accounts.rows() == [("1", 30), ("2", None), ("3", 7)]
    assert store.manifest["unread_cells"] == {"follower_count": 1}


def test_ingest__labels_the_accounts_of_an_export(tmp_path):
    for name, page in (("a", "1"), ("b", "2")):
        (tmp_path / f"{name}.csv").write_bytes(write_table([post(page=page)], PAGES))
    store = ingest(tmp_path / "a.csv", tmp_path / "store", label={"control": tmp_path / "b.csv"})
    labels = store.read("accounts").select("account_id", "label").rows()
    assert labels == [("1", None), ("2", "control")]


def test_ingest__a_key_hides_accounts_and_the_addresses_of_their_posts(ingest_posts):
    plain = ingest_posts(post(1), post(2, page="9"))
    plain_posts = plain.read("posts").height
    store = ingest_posts(post(1), post(2, page="9"), pseudonym_key=b"secret")
    ids = [*store.read("posts")["content_id"], *store.read("accounts")["account_id"]]
    assert len(set(ids)) == 2 * plain_posts
    assert all(len(id) == 32 and set(id) <= set("0123456789abcdef") for id in ids)


# --- files ---------------------------------------------------------------------------------------

HOSTILE = ['say "hi", twice', "two\nlines\r\nthree", "nul\0inside", "\u202eright to left\u202c"]
HOSTILE += ["=HYPERLINK(1)", "<script>alert(1)</script>", "emoji \U0001f600 \ufeff"]


@pytest.mark.parametrize("cell", HOSTILE)
def test_ingest__hostile_cells_are_data(ingest_posts, cell):
    rows = post(1, Message=cell), post(2, URL=cell), post(3, **{"Page Name": cell, "Link": cell})
    store = ingest_posts(*rows)
    ids = [post(1)["URL"], cell, post(3)["URL"]]
    assert store.read("posts")["content_id"].to_list() == ids
    assert hash_text(cell) in list_values(store, "text")
    verify_store(store.path)


PACKED = [bytes, gzip.compress, lambda text: pack_zip(a__csv=text), lambda text: BOM_UTF8 + text]


@pytest.mark.parametrize("pack", PACKED)
def test_ingest__packed_exports_hold_the_same(tmp_path, pack):
    content = write_table([post(1), post(2), post(1)], PAGES)
    (tmp_path / "file").write_bytes(pack(content))
    store = ingest(tmp_path / "file", tmp_path / "store", format="crowdtangle")
    (entry,) = store.manifest["inputs"]
    assert [entry[name] for name in NAMES] == [2, 0, 1]
    assert entry["content"] == "crowdtangle"


TWEETS = b"tweetid,userid,tweet_time\n1,u1,2020-01-01 00:00\n"
SHARES = b"account_id,object_id,content_id,timestamp_share\na,x,1,100\n"
EXPORT = write_table([post()], PAGES)


@pytest.mark.parametrize(
    ("content", "archive_format", "message"),
    [
        (EXPORT, "x-archive", "is not x-archive but a CrowdTangle export; format 'auto' reads it"),
        (EXPORT, "shares", "is not shares but a CrowdTangle export"),
        (TWEETS, "crowdtangle", "is not crowdtangle but an X archive"),
        (SHARES, "crowdtangle", "is not crowdtangle but a share table"),
        (b"", "crowdtangle", "is empty: not even a header"),
        (b"a,b\n1,2\n", "crowdtangle", "is not crowdtangle: its columns are a, b"),
    ],
)
def test_ingest__a_named_format_is_held(tmp_path, content, archive_format, message):
    (tmp_path / "file.csv").write_bytes(content)
    with pytest.raises(ArchiveError, match=f"^file.csv {message}"):
        ingest(tmp_path / "file.csv", tmp_path / "store", format=archive_format)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("missing", ["URL", "Post Created"])
def test_ingest__names_the_column_that_an_export_lacks(ingest_posts, missing):
    said = rf"looks like crowdtangle but lacks \['{clean_name(missing).replace('_', '')}'\]"
    with pytest.raises(ArchiveError, match=said):
        ingest_posts(post(), header=[column for column in PAGES if column != missing])
    # The name in the address stands for the account where there is no id.
    header = [column for column in PAGES if column != "Facebook Id"]
    assert ingest_posts(post(), header=header).read("accounts")["account_id"][0] == "page1001"


def test_ingest__refuses_a_column_that_two_spellings_give_twice(ingest_posts):
    with pytest.raises(ArchiveError, match=r"has a column twice .*\['facebookid'\]"):
        ingest_posts(post(), header=[*PAGES, "facebook.id"])


def test_ingest__refuses_exports_that_are_no_csv(tmp_path):
    pl.DataFrame([share()]).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(ArchiveError, match=r"is a CrowdTangle export as parquet; .* read as CSV"):
        ingest(tmp_path / "t.parquet", tmp_path / "store")


@pytest.mark.parametrize("other", [TWEETS, SHARES])
def test_ingest__refuses_an_export_beside_another_format(tmp_path, other):
    (tmp_path / "a.csv").write_bytes(EXPORT)
    (tmp_path / "b.csv").write_bytes(other)
    with pytest.raises(ArchiveError, match=r"a\.csv is a CrowdTangle export and b\.csv is a"):
        ingest([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "store")


def test_ingest__warns_of_an_export_without_posts(ingest_posts):
    with pytest.warns(UserWarning, match="no record behind the header"):
        store = ingest_posts()
    assert store.manifest["totals"]["posts"] == 0
    verify_store(store.path)


def test_ingest__pages_and_instagram_go_together(tmp_path):
    row = picture("me", "A", Link=post()["Final Link"])
    (tmp_path / "a.csv").write_bytes(EXPORT)
    (tmp_path / "b.csv").write_bytes(write_table([row], INSTAGRAM))
    store = ingest([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "store")
    assert list_values(store, "url") == ["news.example/story"] * 2
    assert store.read("posts")["platform"].to_list() == ["facebook", "instagram"]
