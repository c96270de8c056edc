"""How one object spread: slow loops, runs made by hand and by `share`, and finding the object."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import event, write_run

from gpu_coord.archive.ingest import ingest
from gpu_coord.detection.run import detect
from gpu_coord.sharing.run import share
from gpu_coord.spread.timeline import mark_near, tabulate_timeline
from gpu_coord.store.objects import find_object
from gpu_coord.store.store import name_accounts

# account, content, seconds: one account busy, one content of two accounts, one post shared twice.
ROWS = [("b", "m1", 0), ("a", "m2", 30), ("a", "m3", 31), ("a", "m3", 500), ("c", "m4", 560)]
ROWS += [("d", "m5", 700), ("e", "m5", 701), ("b", "m6", 900.5), ("b", "m7", 900.5)]


def mark_slowly(rows, window):
    return [any(a != b and abs(t - u) <= window for b, _, u in rows) for a, _, t in rows]


def write_shares(path, rows, *, kind="url", value="x.org/1", platform=None):
    frame = pl.DataFrame(
        [(a, value, c, float(t), kind, platform) for a, c, t in rows],
        schema=["account_id", "object_id", "content_id", "timestamp_share", "kind", "platform"],
        orient="row",
    )
    frame.write_parquet(path)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("timeline")
    others = [("z", "n1", 5), ("y", "n2", 6)]
    paths = [
        write_shares(folder / "one.parquet", ROWS, platform="x"),
        write_shares(folder / "two.parquet", others, value="x.org/2"),
        write_shares(folder / "tags.parquet", others, kind="hashtag", value="straße"),
        write_shares(folder / "same.parquet", others, kind="object", value="x.org/2"),
        write_shares(folder / "mentions.parquet", others, kind="mention", value="x.org/account"),
    ]
    labels = folder / "labels.csv"
    labels.write_text("account_id,label\na,red\nb,blue\n")
    return ingest(paths, folder / "store", labels=labels)


ACCOUNTS = {
    "account_id": ["a", "b", "c"], "label": ["of run", None, None],
    "component": [0, 0, None], "community": [3, 1, None],
}  # fmt: skip
EVIDENCE = {
    "source": ["b", "a", "z"],
    "target": ["a", "d", "a"],
    "kind": ["url", "url", "hashtag"],
    "value": ["x.org/1", "x.org/2", "x.org/1"],
    "content_source": ["m1", "m3", "n1"],
    "content_target": ["m2", "m5", "m3"],
}


# --- the table -------------------------------------------------------------------------------


def test_tabulate_timeline__counts_like_a_plain_loop(store):
    table = tabulate_timeline(store, "x.org/1", kind="url", window="60s")
    rows = sorted(ROWS, key=lambda row: (row[2], row[0], row[1]))
    assert table.select("account_id", "content_id").rows() == [row[:2] for row in rows]
    assert [time.timestamp() for time in table["time"]] == [row[2] for row in rows]
    near = mark_slowly(rows, 60)
    assert table["coordinated"].to_list() == near
    assert (near.count(True), near.count(False)) == (7, 2)
    seen = set()
    for place, row in enumerate(table.to_dicts()):
        seen.add(row["account_id"])
        assert row["n_shares"] == place + 1
        assert row["n_coordinated"] == sum(near[: place + 1])
        assert row["n_accounts"] == len(seen)
        assert row["label"] == {"a": "red", "b": "blue"}.get(row["account_id"])
        assert row["platform"] == "x"
        assert (row["group"], row["engagement"], row["cumulative_engagement"]) == (None,) * 3
    assert table["pseudonym"].to_list() == name_accounts(table["account_id"], store).to_list()


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("mnop"), st.integers(0, 12)),
        min_size=1,
        max_size=20,
    ),
    window=st.integers(1, 5),
)
def test_mark_near__matches_all_pairs_in_any_order(rows, window):
    numbered = [("abc".index(account), time) for account, _, time in rows]
    shares = pl.DataFrame(numbered, schema=["account", "time"], orient="row")
    assert mark_near(shares, window_ms=window).tolist() == mark_slowly(rows, window)


def test_tabulate_timeline__sums_the_counts_that_are_known(make_store):
    made = make_store([event("a", time, "x.org", "url") for time in (0, 1, 2, 3)])
    counts = {"like_count": [None, 2, None, 4], "reply_count": [None, 1, None, None]}
    posts = {name: pl.Series(values) for name, values in counts.items()}
    for table, columns in (("posts", posts), ("accounts", {"follower_count": pl.lit(7)})):
        path = made.path / f"{table}.parquet"
        pl.read_parquet(path).with_columns(**columns).write_parquet(path)
    table = tabulate_timeline(made, "x.org", kind="url")
    assert table["engagement"].to_list() == [None, 3, None, 4]
    assert table["cumulative_engagement"].to_list() == [None, 3, 3, 7]
    assert table["follower_count"].to_list() == [7] * 4
    assert not table["coordinated"].any()


def test_tabulate_timeline__counts_a_post_once_for_a_domain(tmp_path):
    shared = [("a", "m1", 0), ("b", "m2", 20), ("a", "m3", 500)]
    paths = [
        write_shares(tmp_path / f"{page}.parquet", rows, value=f"www.x.org/{page}")
        for page, rows in enumerate((shared[:2], shared[1:], [("c", "m4", 0)]))
    ]
    paths += [write_shares(tmp_path / "other.parquet", shared, value="y.org")]
    made = ingest(paths, tmp_path / "store")
    table = tabulate_timeline(made, "x.org", kind="domain")
    assert table["content_id"].to_list() == ["m1", "m4", "m2", "m3"]
    assert table["coordinated"].to_list() == [True, True, True, False]


def test_tabulate_timeline__agrees_with_a_strict_run(store, tmp_path):
    findings = share(store, tmp_path / "run", kinds="url", window="60s")
    table = tabulate_timeline(store, "x.org/1", kind="url", run=findings, group_by="component")
    pairs = findings.read("pairs").filter(object_id="x.org/1")
    posts = {*pairs.select("account_id", "content_id").rows()}
    posts |= {*pairs.select("account_id_y", "content_id_y").rows()}
    rows = table.select("account_id", "content_id").rows()
    assert table["coordinated"].to_list() == [post in posts for post in rows]
    assert table["coordinated"].sum() > 0
    components = dict(findings.read("accounts").select("account_id", "component").rows())
    for account, group in table.select("account_id", "group").rows():
        number = components[account]
        assert group == (None if number is None else f"component {number}")


def test_tabulate_timeline__takes_the_evidence_of_a_detect_run(store, tmp_path):
    run = write_run(tmp_path / "run", store, evidence=EVIDENCE, accounts=ACCOUNTS)
    table = tabulate_timeline(store, "x.org/1", kind="url", run=run)
    marked = table.filter("coordinated").select("account_id", "content_id").rows()
    assert marked == [("b", "m1"), ("a", "m2")]
    groups = dict(table.select("account_id", "group").rows())
    assert groups == {"a": "community 3", "b": "community 1", "c": None, "d": None, "e": None}
    assert dict(table.select("account_id", "label").rows())["a"] == "red"


def test_tabulate_timeline__reads_a_detect_run_that_found_its_kinds_itself(make_store, tmp_path):
    events = [event(name, 3600 * hour) for hour in range(30) for name in "ab"]
    store = make_store(events)
    run = detect(store, tmp_path / "run")
    assert run.settings["kinds"] is None
    assert tabulate_timeline(store, "x", kind="hashtag", run=run).height == 60
    with pytest.raises(ValueError, match="looked at hashtag, not at url"):
        tabulate_timeline(store, "x", run=run, kind="url")


def test_tabulate_timeline__groups_by_confirmed_groups_where_there_are_any(store, tmp_path):
    tables = {
        "evidence": EVIDENCE,
        "accounts": ACCOUNTS,
        "groups": {"group": [0, 1, 2], "confirmed": [True, True, False]},
        "group_accounts": {"group": [1, 0, 2], "account_id": ["a", "a", "b"]},
    }
    run = write_run(tmp_path / "run", store, **tables)
    table = tabulate_timeline(store, "x.org/1", kind="url", run=run)
    assert dict(table.select("account_id", "group").rows())["a"] == "group 0"
    assert table["group"].null_count() == 6
    other = tabulate_timeline(store, "x.org/1", kind="url", run=run, group_by="component")
    assert other["group"].drop_nulls().unique().to_list() == ["component 0"]


def test_tabulate_timeline__takes_other_labels_from_the_run(store, tmp_path):
    labels = pl.DataFrame({"account_id": ["c"], "label": ["green"]})
    findings = share(store, tmp_path / "run", kinds="url", labels=labels)
    table = tabulate_timeline(store, "x.org/1", kind="url", run=findings.path)
    assert {*table.select("account_id", "label").rows()} == {
        ("a", None), ("b", None), ("c", "green"), ("d", None), ("e", None)
    }  # fmt: skip


def test_tabulate_timeline__refuses_what_does_not_fit(store, make_store, tmp_path):
    run = write_run(tmp_path / "run", store, evidence=EVIDENCE, accounts=ACCOUNTS)
    coact = write_run(tmp_path / "coact", store, content={"command": "coact"})
    other = make_store([event("a", 0, "x.org/1", "url")])
    for choices, error, message in (
        ({"value": "straße", "kind": "hashtag"}, ValueError, "looked at url, not at hashtag"),
        ({"window": "5s"}, ValueError, "has its own"),
        ({"store": other}, ValueError, "made from another store"),
        ({"group_by": "group"}, FileNotFoundError, "no table 'groups'"),
        ({"group_by": "colour"}, ValueError, "group_by is 'colour'"),
        ({"run": coact.path}, ValueError, "was made by coact"),
        *(
            ({"run": None, "group_by": by}, ValueError, f"group_by is '{by}', which needs a run")
            for by in ("group", "component", "community")
        ),
        ({"run": None, "value": "x.org"}, ValueError, r"no share of the url ‘x\.org’"),
    ):
        choices = {"store": store, "value": "x.org/1", "kind": "url", "run": run} | choices
        with pytest.raises(error, match=message):
            tabulate_timeline(choices.pop("store"), choices.pop("value"), **choices)
    run.find("evidence").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no table 'evidence'; it has \['accounts'\]"):
        tabulate_timeline(store, "x.org/1", kind="url", run=run)


# --- which object ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "kind", "found"),
    [
        ("x.org/1", None, ("url", "x.org/1")),
        ("https://www.X.org/1/?utm_source=a#b", None, ("url", "x.org/1")),
        ("x.org/2", "object", ("object", "x.org/2")),
        ("straße", None, ("hashtag", "straße")),
        ("x.org", "domain", ("domain", "x.org")),
    ],
)
def test_find_object__knows_what_people_type(store, typed, kind, found):
    assert find_object(store, typed, kind=kind) == found


def test_find_object__folds_hashtags_and_knows_accounts_by_their_pseudonym(store, make_store):
    made = make_store([event("a", 0, "strasse")])
    for typed in ("#Strasse", "STRASSE", " #STRASSE ", "＃straße", "ＳＴＲＡＳＳＥ\ufeff"):
        assert find_object(made, typed) == ("hashtag", "strasse")
    pseudonym = name_accounts(pl.Series(["x.org/account"]), store).item()
    assert find_object(store, pseudonym) == ("mention", "x.org/account")


def test_find_object__asks_which_kind(store):
    said = r"‘x\.org/2’ is there as object, url; choose one with --kind"
    with pytest.raises(ValueError, match=said):
        find_object(store, "x.org/2")


def test_find_object__names_what_begins_alike_but_no_accounts(store):
    with pytest.raises(ValueError, match=r"no object ‘x\.org/acc’; near it are ") as caught:
        find_object(store, "x.org/acc")
    assert "‘x.org/1’, ‘x.org/2’" in str(caught.value)
    assert "account’" not in str(caught.value)
    with pytest.raises(ValueError, match="has objects of the kinds hashtag, mention, object, url"):
        find_object(store, "nothing\x1b[31m")
    with pytest.raises(ValueError, match="its kinds are"):
        find_object(store, "x.org/1", kind="emoji")


def test_find_object__shows_nothing_that_a_terminal_obeys(make_store):
    made = make_store([event("a", 0, f"abc\x1b]0;{'long' * 40}{i}") for i in range(5)])
    with pytest.raises(ValueError, match="near it are") as caught:
        find_object(made, "abcd")
    assert "\x1b" not in str(caught.value)
    assert str(caught.value).count("abc\ufffd]0;long") == 3
    assert len(str(caught.value)) < 300


def test_tabulate_timeline__groups_by_platform_with_and_without_a_run(store, tmp_path):
    run = write_run(tmp_path / "run", store, accounts=ACCOUNTS, evidence=EVIDENCE)
    alone = tabulate_timeline(store, "x.org/1", kind="url", group_by="platform")
    assert alone["group"].to_list() == ["x"] * len(ROWS)
    assert tabulate_timeline(store, "x.org/1", kind="url")["group"].null_count() == len(ROWS)
    both = tabulate_timeline(store, "x.org/1", kind="url", run=run, group_by="platform")
    assert both["group"].to_list() == ["x"] * len(ROWS)
    by_run = tabulate_timeline(store, "x.org/1", kind="url", run=run)
    assert both["coordinated"].to_list() == by_run["coordinated"].to_list()
