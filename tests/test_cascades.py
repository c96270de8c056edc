"""Cascades: planted paths, plain loops that do the same, hostile names, folders whole or absent."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from runs import event, invoke, read_words, succeed, write_run

import gpu_coord as gc
from gpu_coord.archive.ingest import ingest
from gpu_coord.ground.times import describe_seconds
from gpu_coord.results.findings import open_run
from gpu_coord.spread.cascades import (
    AGES,
    list_adoption,
    list_cascades,
    read_inside,
    read_spread,
    tabulate_cascades,
    trace_cascades,
)
from gpu_coord.spread.platforms import count_flows, find_hops, write_paths
from gpu_coord.store.store import name_accounts

HOSTILE = ["</script>", "\x1b[31mred", "a > b", 'say "x"', "=1+1", "\u202eevil", " x"]


def ingest_shares(folder, rows, *, labels=None):
    """Ingest (account, object, seconds, platform); each a post of its own.

    One name is one account, whatever the platform.
    """
    names = ["account_id", "object_id", "content_id", "timestamp_share", "platform", "kind"]
    frame = pl.DataFrame(
        [(a, o, f"c{k:04}", float(t), p, "url") for k, (a, o, t, p) in enumerate(rows)],
        schema=names, schema_overrides={"platform": pl.String}, orient="row",
    )  # fmt: skip
    frame.write_parquet(folder / "shares.parquet")
    if labels:
        labels = pl.DataFrame(list(labels.items()), schema=["account_id", "label"], orient="row")
        labels.write_csv(folder / "labels.csv")
    path = None if labels is None else folder / "labels.csv"
    persons = frame.select("account_id", person="account_id").unique()
    persons.write_parquet(folder / "persons.parquet")
    return ingest(
        folder / "shares.parquet", folder / "store", labels=path,
        same_person=folder / "persons.parquet",
    )  # fmt: skip


# Begins on 4chan, two hours later on Twitter, a day later on Facebook and Reddit at once.
PLANTED = [
    ("c1", "leak", 0, "4chan"), ("c2", "leak", 60, "4chan"), ("c1", "leak", 90, "4chan"),
    ("t1", "leak", 7200, "twitter"), ("t2", "leak", 7300, "twitter"),
    ("c2", "leak", 7400, "twitter"),
    ("f1", "leak", 93_600, "facebook"), ("r1", "leak", 93_600, "reddit"),
    ("n1", "leak", 93_700, None),
    ("t1", "story", 1000, "twitter"), ("f1", "story", 1500, "facebook"),
    ("c1", "story", 9000, "4chan"),
    ("c1", "alone", 50, "4chan"), ("c2", "alone", 55, "4chan"),
    ("n1", "nowhere", 10, None), ("n2", "nowhere", 20, None),
    ("t1", "once", 5, "twitter"),
]  # fmt: skip


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cascades")
    return ingest_shares(folder, PLANTED, labels={"c1": "origin", "c2": "origin", "t1": "other"})


@pytest.fixture(scope="module")
def found(planted, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "cascades"
    return trace_cascades(planted, out, inside="origin")


# --- platforms -----------------------------------------------------------------------------------


def test_trace_cascades__finds_the_planted_path_and_delays(found):
    hops = found.read("hops").filter(pl.col("value") == "leak")
    columns = ["platform", "order", "delay", "delay_previous", "account_id", "n_accounts"]
    assert hops.select(*columns, "n_shares").rows() == [
        ("4chan", 1, 0, None, "c1", 2, 3),
        ("twitter", 2, 7200, 7200, "t1", 3, 3),
        ("facebook", 3, 93_600, 86_400, "f1", 1, 1),
        ("reddit", 3, 93_600, 86_400, "r1", 1, 1),
    ]
    paths = dict(found.read("cascades").select("value", "path").iter_rows())
    assert paths == {
        "leak": "4chan > twitter > facebook = reddit",
        "story": "twitter > facebook > 4chan",
        "alone": "4chan",
        "nowhere": None,
    }
    assert hops["content_id"].to_list() == ["c0000", "c0003", "c0006", "c0007"]


def test_trace_cascades__says_who_was_first_and_first_elsewhere(found):
    table = found.read("cascades").filter(pl.col("value") == "leak")
    row = table.row(0, named=True)
    assert (row["n_shares"], row["n_accounts"], row["n_platforms"]) == (9, 7, 4)
    assert (row["n_without_platform"], row["n_first"], row["first_account_id"]) == (1, 1, "c1")
    assert row["first_platform"] == "4chan" and row["first_time"].timestamp() == 0
    assert row["last_time"].timestamp() == 93_700
    assert row["half_seconds"] == 7300  # the fourth of seven accounts
    assert (row["platform_escape_account_id"], row["platform_escape_platform"]) == ("t1", "twitter")
    assert row["platform_escape_delay"] == 7200
    alone = found.read("cascades").filter(pl.col("value") == "alone").row(0, named=True)
    assert alone["platform_escape_time"] is None


def test_count_flows__counts_from_one_platform_to_the_next(found):
    flows = found.read("flows")
    columns = ["source_platform", "target_platform", "n_objects", "median_delay"]
    assert sorted(flows.select(columns).rows()) == [
        ("4chan", "twitter", 1, 7200),
        ("facebook", "4chan", 1, 7500),
        ("twitter", "facebook", 2, (86_400 + 500) / 2),
        ("twitter", "reddit", 1, 86_400),
    ]
    assert flows["n_objects"].is_sorted(descending=True)


SHARES = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 6), st.integers(0, 4),
        st.sampled_from(["a", "b", "c", None]),
    ),
    min_size=1, max_size=30,
)  # fmt: skip


@given(SHARES)
def test_find_hops__agrees_with_plain_loops(rows):
    schema = {"object": pl.Int32, "time": pl.Int64, "account": pl.Int32, "platform": pl.String}
    shares = pl.DataFrame(rows, schema=schema, orient="row").sort("object", "time", "account")
    expected, flows = [], {}
    for name in sorted({row[0] for row in rows}):
        its = [row for row in shares.iter_rows() if row[0] == name]
        first = {}
        for _, time, _, platform in its:
            if platform is not None:
                first[platform] = min(time, first.get(platform, time))
        for platform, time in sorted(first.items(), key=lambda item: (item[1], item[0])):
            earlier = [t for t in first.values() if t < time]
            previous = max(earlier) if earlier else None
            on = [row for row in its if row[3] == platform]
            expected.append(
                (
                    name, platform, 1 + len(earlier), time, (time - its[0][1]) / 1000,
                    None if previous is None else (time - previous) / 1000,
                    len(on), len({row[2] for row in on}), len({r[2] for r in on if r[1] == time}),
                )
            )  # fmt: skip
            for other, left in first.items():
                if left == previous:
                    flows.setdefault((other, platform), []).append((time - left) / 1000)
    hops = find_hops(shares)
    columns = ["object", "platform", "order", "time", "delay", "delay_previous"]
    assert hops.select(*columns, "n_shares", "n_accounts", "n_first").rows() == expected
    for row, platform, time in hops.select("row", "platform", "time").iter_rows():
        assert shares.row(row)[3] == platform and shares.row(row)[1] == time
    counted = count_flows(hops)
    names = counted.select("source_platform", "target_platform").rows()
    assert dict(zip(names, counted["n_objects"], strict=True)) == {
        k: len(v) for k, v in flows.items()
    }


def test_write_paths__leaves_no_doubt_about_hostile_names():
    names = ["a > b", "c = d", 'say "x"', " x", "plain", "é 😀"]
    shares = pl.DataFrame(
        {"object": [0] * 6, "time": range(6), "account": range(6), "platform": names},
        schema_overrides={"time": pl.Int64},
    )
    path = write_paths(find_hops(shares))["path"].item()
    assert path == '"a > b" > "c = d" > "say ""x""" > " x" > plain > é 😀'


def test_trace_cascades__warns_of_spellings_and_keeps_them_apart(tmp_path):
    rows = [("a", "o", 0, "Twitter"), ("b", "o", 5, "twitter "), ("c", "o", 9, "4chan")]
    store = ingest_shares(tmp_path, rows)
    with pytest.warns(UserWarning, match="‘Twitter’, ‘twitter ’; ingest with one spelling"):
        found = trace_cascades(store, tmp_path / "out")
    assert found.read("cascades")["n_platforms"].item() == 3


@pytest.mark.parametrize("platform", [None, "x"])
def test_trace_cascades__reads_stores_of_no_or_one_platform(tmp_path, platform):
    store = ingest_shares(tmp_path, [(f"a{k}", "o", 60 * k, platform) for k in range(12)])
    found = trace_cascades(store, tmp_path / "out")
    assert found.read("cascades")["path"].to_list() == [platform]
    assert found.read("hops").height == (platform is not None)
    assert found.read("flows").is_empty()
    assert found.summary["n_objects_across"] == 0
    done = succeed("cascades", str(store.path), "--out", str(tmp_path / "again"))
    assert ("No share names a platform." in read_words(done)) == (platform is None)


def test_trace_cascades__reads_a_store_without_a_column_of_platforms(make_store, tmp_path):
    events = [event(name, time, "o", "url") for time, name in enumerate("ab")]
    found = trace_cascades(make_store(events), tmp_path / "out")
    assert found.read("cascades").select("n_without_platform", "path").row(0) == (2, None)


# --- inside and outside --------------------------------------------------------------------------


def test_trace_cascades__finds_who_was_first_outside(found):
    table = {row["value"]: row for row in found.read("cascades").iter_rows(named=True)}
    leak = table["leak"]
    assert (leak["n_inside"], leak["n_outside"], leak["n_outside_before"]) == (2, 5, 0)
    assert (leak["escape_account_id"], leak["escape_platform"]) == ("t1", "twitter")
    assert leak["escape_delay"] == 7200 and leak["escape_time"].timestamp() == 7200
    # It came from outside, and nobody new adopted it once it was inside.
    story = table["story"]
    assert (story["n_outside_before"], story["inside_time"].timestamp()) == (2, 9000)
    assert story["escape_time"] is None
    assert table["alone"]["escape_time"] is None and table["alone"]["n_outside"] == 0
    assert (table["nowhere"]["n_inside"], table["nowhere"]["inside_time"]) == (0, None)
    assert table["nowhere"]["escape_time"] is None
    inside = {"n_objects": 3, "n_begun": 2, "n_escaped": 1, "median_escape_delay": 7200}
    assert found.summary["inside"] == inside


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), min_size=1, max_size=15),
    st.sets(st.integers(0, 5), max_size=4),
    st.sampled_from([0, 20]),
)
def test_list_cascades__agrees_with_plain_loops(rows, inside, min_followers):
    from gpu_coord.spread.cascades import Spread

    followers = {0: 10, 1: 20, 2: None, 3: 30, 4: 0, 5: 20}
    rows = sorted((time, account) for account, time in rows)
    shares = pl.DataFrame(
        [(0, a, 1000 * t, f"c{a}", None, a in inside) for t, a in rows],
        schema={
            "object": pl.Int32, "account": pl.Int32, "time": pl.Int64, "content_id": pl.String,
            "platform": pl.String, "is_inside": pl.Boolean,
        },
        orient="row",
    )  # fmt: skip
    accounts = pl.DataFrame(
        {"account": range(6), "account_id": list("abcdef"), "label": [None] * 6},
        schema={"account": pl.Int32, "account_id": pl.String, "label": pl.String},
    ).with_columns(pseudonym="account_id", follower_count=pl.Series(list(followers.values())))
    objects = pl.DataFrame({"object": [0], "kind": ["url"], "value": ["o"]}).with_columns(
        pl.col("object").cast(pl.Int32), pseudonym=pl.lit(None, dtype=pl.String)
    )
    spread = Spread(shares, objects, accounts, has_inside=True, end=10**6, n_small=0)
    row = list_cascades(spread, find_hops(shares), min_followers=min_followers).row(0, named=True)

    first = {}
    for time, account in rows:
        first.setdefault(account, time)
    begin = min((t for a, t in first.items() if a in inside), default=None)
    outside = {a: t for a, t in first.items() if a not in inside}
    before = [a for a, t in outside.items() if begin is not None and t < begin]
    new = [(t, a) for a, t in outside.items() if begin is not None and t >= begin]
    seen = [(t, a) for t, a in new if not min_followers or (followers[a] or 0) >= min_followers]
    assert row["n_outside"] == len(outside) and row["n_outside_before"] == len(before)
    assert row["outside_followers"] == sum(followers[a] or 0 for a in outside)
    escape = min(seen) if seen else None
    assert row["escape_account_id"] == (None if escape is None else "abcdef"[escape[1]])
    assert row["escape_delay"] == (None if escape is None else escape[0] - begin)
    assert row["escape_followers"] == (None if escape is None else followers[escape[1]])
    half = sorted(first.values())[(len(first) - 1) // 2]
    assert row["half_seconds"] == half - rows[0][0]

    table = list_adoption(spread)
    for age, (n_accounts, n_outside) in zip(
        AGES.values(), table.select("n_accounts", "n_outside").iter_rows(), strict=True
    ):
        limit = 10**9 if age is None else age
        there = [a for a, t in first.items() if t - rows[0][0] <= limit]
        assert (n_accounts, n_outside) == (len(there), len(set(there) - inside))


def test_trace_cascades__leaves_the_inside_open_where_nobody_asks(planted, tmp_path):
    found = trace_cascades(planted, tmp_path / "out")
    table = found.read("cascades")
    for name in ("n_inside", "n_outside", "inside_time", "escape_time"):
        assert table[name].null_count() == table.height
    assert found.read("adoption")["outside_share"].null_count() == found.read("adoption").height
    assert found.read("accounts")["is_inside"].null_count() == found.read("accounts").height
    assert "inside" not in found.summary and found.content["inside"] is None


def test_trace_cascades__counts_what_accounts_did(found):
    table = {row["account_id"]: row for row in found.read("accounts").iter_rows(named=True)}
    assert [table["c1"][name] for name in ("n_objects", "n_first", "n_carried")] == [3, 2, 1]
    assert [table["t1"][name] for name in ("n_objects", "n_first", "n_carried")] == [2, 1, 1]
    assert table["c1"]["is_inside"] and not table["t1"]["is_inside"]
    assert table["t1"]["label"] == "other"


ACCOUNTS = {
    "account_id": ["c1", "c2", "t1", "f1"], "component": [0, 0, 0, None],
    "community": [7, 7, 2, None],
}  # fmt: skip
GROUPS = {"group": [1, 2, 3], "confirmed": [True, True, False]}
MEMBERS = {"group": [1, 1, 2, 2, 3], "account_id": ["c1", "c2", "c2", "t1", "f1"]}


def test_read_inside__takes_groups_of_a_run(planted, tmp_path):
    run = write_run(
        tmp_path / "run", planted, accounts=ACCOUNTS, groups=GROUPS, group_accounts=MEMBERS
    )
    assert read_inside(run).to_list() == ["c1", "c2", "t1"]
    assert read_inside(run, group=2).to_list() == ["c2", "t1"]
    assert read_inside(run, group_by="community", group=7).to_list() == ["c1", "c2"]
    with pytest.raises(ValueError, match=r"has no group 3; its 2 are numbered 1, 2\."):
        read_inside(run, group=3)
    found = trace_cascades(planted, tmp_path / "out", run=run, group_by="community", group=7)
    assert found.read("accounts").filter("is_inside")["account_id"].to_list() == ["c1", "c2"]
    assert found.content["inside"] == {"n_accounts": 2}
    named, settings = found.content["input"]["run"], found.settings
    assert (named["folder"], named["specification"]) == ("run", "s")
    assert (settings["group_by"], settings["group"]) == ("community", 7)


def test_read_inside__takes_communities_where_no_group_is_confirmed(planted, tmp_path):
    run = write_run(tmp_path / "run", planted, accounts=ACCOUNTS)
    assert read_inside(run).to_list() == ["c1", "c2", "t1"]
    empty = {"account_id": ["c1"], "component": [None], "community": [None]}
    nothing = write_run(tmp_path / "empty", planted, accounts=empty)
    with pytest.raises(ValueError, match="has no community; name another run, or a label"):
        read_inside(nothing)


# --- tables and settings -------------------------------------------------------------------------


def test_tabulate_cascades__is_the_table_of_the_folder(planted, found):
    table = tabulate_cascades(planted, kind="url", group=["c1", "c2"], min_shares=2)
    assert_frame_equal(table, found.read("cascades"))


def test_read_spread__keeps_the_range_and_leaves_small_objects_out(planted):
    spread = read_spread(
        planted, kinds=["url"], start="1970-01-01T00:00:55", end="1970-01-01T02:00", min_shares=2
    )
    assert spread.objects.height == 2 and spread.n_small == 1
    assert spread.shares["time"].to_list() == [60_000, 90_000, 1_000_000, 1_500_000]
    assert spread.end == 7_200_000


def test_trace_cascades__derives_domains_and_counts_a_post_once(tmp_path):
    rows = [("a", "x.org/1", 0, "p"), ("b", "x.org/2", 60, "q"), ("c", "y.org/1", 60, "q")]
    found = trace_cascades(ingest_shares(tmp_path, rows), tmp_path / "out", kinds="domain")
    assert found.read("cascades").select("value", "n_shares", "path").rows() == [
        ("x.org", 2, "p > q")
    ]


def test_list_cascades__shows_mentioned_accounts_by_pseudonym(make_store):
    store = make_store([event(a, t, "secret id", "mention") for t, a in enumerate("ab")])
    table = tabulate_cascades(store, kind="mention")
    assert table["pseudonym"].to_list() == name_accounts(pl.Series(["secret id"]), store).to_list()
    assert table["first_pseudonym"].to_list() == name_accounts(pl.Series(["a"]), store).to_list()


def test_find_first__breaks_ties_by_account_id(tmp_path):
    rows = [("b", "o", 5, "q"), ("a", "o", 5, "q"), ("c", "o", 5, "p"), ("a", "o", 5, "q")]
    table = tabulate_cascades(ingest_shares(tmp_path, rows), kind="url")
    assert table.select("first_account_id", "n_first", "path").row(0) == ("a", 3, "p = q")
    assert table["platform_escape_time"].item() is None


# --- the folder ----------------------------------------------------------------------------------


def test_trace_cascades__knows_a_label_by_its_accounts(planted, found, tmp_path):
    again = gc.trace_cascades(planted.path, tmp_path / "out", kinds=["url"], inside=["c2", "c1"])
    assert found.content["specification"] == again.content["specification"]
    assert again.summary == found.summary
    for name in found.tables:
        assert_frame_equal(found.read(name), again.read(name))
    other = trace_cascades(planted, tmp_path / "other", inside="other")
    assert found.content["specification"] != other.content["specification"]


def test_trace_cascades__does_not_depend_on_the_order_of_rows(found, tmp_path):
    frame = pl.DataFrame(PLANTED, schema=["a", "o", "t", "p"], orient="row").with_columns(
        c=pl.format("c{}", pl.int_range(pl.len()).cast(pl.String).str.zfill(4))
    )
    shuffled = frame.sample(fraction=1, shuffle=True, seed=3).select(
        account_id="a", object_id="o", content_id="c", timestamp_share="t", platform="p",
        kind=pl.lit("url"),
    )  # fmt: skip
    shuffled.write_parquet(tmp_path / "shares.parquet")
    persons = shuffled.select("account_id", person="account_id").unique()
    persons.write_parquet(tmp_path / "persons.parquet")
    store = ingest(
        tmp_path / "shares.parquet", tmp_path / "store", same_person=tmp_path / "persons.parquet"
    )
    again = trace_cascades(store, tmp_path / "out", inside=["c1", "c2"])
    for name in ("cascades", "hops", "flows", "adoption"):
        one, other = (c.read(name).select(pl.exclude("^.*pseudonym$")) for c in (found, again))
        assert_frame_equal(one, other)


def test_trace_cascades__refuses_what_it_cannot_use(planted, tmp_path, make_store):
    run = write_run(tmp_path / "run", planted, accounts=ACCOUNTS)
    other = make_store([event("c1", 0, "o", "url")])
    for choices, message in (
        ({"run": run, "inside": "origin"}, "both a run and inside"),
        ({"group": 4}, "group is 4, but no run is named"),
        ({"inside": "nobody"}, "inside is 'nobody', the labels are origin, other"),
        ({"inside": ["stranger"]}, "none of the 1 accounts inside has shared"),
        ({"min_shares": 99}, "has 99 shares; lower min_shares"),
        ({"store": other, "run": run}, "was made from another store"),
    ):
        with pytest.raises(ValueError, match=message):
            trace_cascades(**{"store": planted, "out": tmp_path / "out"} | choices)
    assert not (tmp_path / "out").exists()


# --- the command ---------------------------------------------------------------------------------


def test_cascades__tells_paths_and_escapes(planted, tmp_path):
    request = ("cascades", planted.path, "--out", tmp_path / "out", "--inside", "origin")
    done = succeed(*request)
    assert "4chan > twitter > facebook" in " ".join(done.stdout.split())
    said = "4 objects, 16 shares by 8 accounts; 1 objects have too few shares. 4 platforms"
    assert said in read_words(done)
    assert "2 of 3 objects shared inside began there; 1 of them were then" in read_words(done)
    assert "t1" not in done.stdout.split()
    assert "t1" in invoke(*request, "--show-ids").stdout.split()
    assert json.loads(invoke(*request[:4], "--overwrite", "--json").stdout)["n_objects_across"] == 2


def test_cascades__obeys_no_platform(tmp_path):
    rows = [(name, name, 60 * k, name) for k, name in enumerate(HOSTILE)]
    rows += [(name, "o", 60 * k, name) for k, name in enumerate(HOSTILE)]
    rows += [("z", name, 60 * k, "other") for k, name in enumerate(HOSTILE)]
    store = ingest_shares(tmp_path, rows)
    done = succeed("cascades", store.path, "--out", tmp_path / "out")
    assert not set(done.stdout) & {"\x1b", "\u202e"}
    hops = open_run(tmp_path / "out").read("hops").filter(pl.col("value") == "o")
    assert hops["platform"].to_list() == HOSTILE  # data are verbatim


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.25, "0.25 s"), (59.5, "59.5 s"), (60, "1 min"), (3599, "59 min 59 s"),
     (7200, "2 h"), (7201, "2 h"), (90_000, "1 d 1 h"), (86_400 * 1500 + 59, "1,500 d")],
)  # fmt: skip
def test_describe_seconds__names_two_units(seconds, text):
    assert describe_seconds(seconds) == text
