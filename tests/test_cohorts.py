"""Cohorts: counts and tests against SciPy's own, planted weeks, chance alone, plain loops."""

import json
from datetime import date, timedelta
from math import comb

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from runs import event, invoke, succeed, write_run
from scipy.stats import fisher_exact

import gpu_coord as gc
from gpu_coord.accounts.cohorts import (
    MEASURES,
    compare_cohorts,
    compare_profiles,
    count_cohorts,
    list_accounts,
    list_members,
    measure_distance,
    tabulate_cohorts,
)
from gpu_coord.archive.ingest import ingest
from gpu_coord.results.findings import open_run
from gpu_coord.store.store import name_accounts

MONDAY = date(2020, 1, 6)
FIRST = 1_580_515_200  # 2020-02-01


@pytest.fixture(scope="module")
def make_dated_store(make_store):
    """Return a function that makes a store of accounts (id, label, made, followers, posts)."""

    def make(people):
        events = [event(p[0], FIRST + 3600 * place) for p in people for place in range(p[4])]
        labels = {name: label for name, label, *_ in people}
        store = make_store(events, labels=labels, posts=[("zz", FIRST - 86_400)])
        path = store.path / "accounts.parquet"
        profiles = pl.DataFrame(
            [(name, made, n, None if n is None else 2 * n) for name, _, made, n, _ in people],
            schema={
                "account_id": pl.String, "account_creation_date": pl.Date,
                "follower_count": pl.Int64, "following_count": pl.Int64,
            },
            orient="row",
        )  # fmt: skip
        pl.read_parquet(path).join(profiles, on="account_id", how="left").write_parquet(path)
        return store

    return make


PEOPLE = [
    # Eight of one week, two others; controls of all weeks.
    *((f"a{k}", "planted", MONDAY + timedelta(days=k % 7), 0, 2) for k in range(8)),
    ("a8", "planted", MONDAY - timedelta(days=400), 3, 1),
    ("a9", "planted", date(2020, 3, 1), 5, 1),
    *((f"b{k:02}", "control", MONDAY - timedelta(days=29 * k), 100 + k, 5) for k in range(30)),
    *((f"c{k}", None, None, None, 1) for k in range(3)),
]


@pytest.fixture(scope="module")
def store(make_dated_store):
    return make_dated_store(PEOPLE)


# --- accounts ------------------------------------------------------------------------------------


def test_list_accounts__counts_days_to_the_first_post(store):
    table = list_accounts(store)
    assert table["account_id"].to_list() == [*sorted(name for name, *_ in PEOPLE), "zz"]
    assert table["pseudonym"].to_list() == name_accounts(table["account_id"], store).to_list()
    ages = dict(table.select("account_id", "age_days").iter_rows())
    assert ages["a0"] == (date(2020, 2, 1) - MONDAY).days
    assert ages["a9"] == -29  # it posted before it was made
    assert ages["c0"] is None and ages["zz"] is None
    row = table.filter(pl.col("account_id") == "b03").row(0, named=True)
    assert (row["label"], row["follower_count"], row["following_count"]) == ("control", 103, 206)
    assert (row["n_posts"], row["mean_engagement"]) == (5, None)
    assert row["first_seen"].timestamp() == FIRST


def test_list_accounts__reads_an_archive_with_users(tmp_path):
    gc.simulate(tmp_path / "archive", preset="null", n_posts=3000, seed=4)
    files = [tmp_path / "archive" / name for name in ("tweets.csv", "users.csv")]
    store = ingest(files, tmp_path / "store")
    table = list_accounts(store)
    posts = store.read("posts").join(
        store.read("accounts").select("account", "account_id"), on="account"
    )
    counts = ["quote_count", "reply_count", "like_count", "retweet_count"]
    for name, mine in posts.group_by("account_id"):
        row = table.filter(pl.col("account_id") == name[0]).row(0, named=True)
        assert row["n_posts"] == mine.height
        known = [
            sum(c or 0 for c in post)
            for post in mine.select(counts).iter_rows()
            if any(c is not None for c in post)
        ]
        assert row["mean_engagement"] == pytest.approx(np.mean(known))
        assert row["first_seen"].timestamp() * 1000 == mine["time"].min()
    silent = table.filter(pl.col("n_posts") == 0)
    assert silent.height and silent["first_seen"].null_count() == silent.height


def test_list_accounts__wants_creation_dates(make_store):
    with pytest.raises(ValueError, match="of no account when it was made; ingest the users file"):
        list_accounts(make_store([event("a", 0)]))


# --- classes -------------------------------------------------------------------------------------


def test_list_members__takes_labels_groups_communities_and_roles(store, tmp_path):
    accounts = list_accounts(store)
    by, members = list_members(accounts)
    assert by == "label" and members.group_by("class").len().sort("class").rows() == [
        ("control", 30), ("planted", 10)
    ]  # fmt: skip
    names = [name for name, *_ in PEOPLE if name < "b10"]
    table = {
        "account_id": names, "label": ["of run"] * len(names), "component": [0] * len(names),
        "community": [place % 2 for place in range(len(names))],
        "role": ["core"] * 10 + [None] * (len(names) - 10),
    }  # fmt: skip
    run = write_run(
        tmp_path / "run", store, accounts=table,
        groups={"group": [4, 5], "confirmed": [True, False]},
        group_accounts={"group": [4, 4, 5], "account_id": ["a0", "a1", "a2"]},
    )  # fmt: skip
    analysed = list_accounts(store, run=run)
    assert analysed["account_id"].to_list() == sorted(names)
    assert set(analysed["label"]) == {"of run"}
    assert list_members(analysed, run=run)[1].rows() == [("a0", "group 4"), ("a1", "group 4")]
    by, members = list_members(analysed, run=run, by="community")
    assert (by, set(members["class"])) == ("community", {"community 0", "community 1"})
    assert list_members(analysed, run=run, by="role")[1].height == 10
    found = compare_cohorts(store, tmp_path / "out", run=run, by="role")
    assert found.content["by"] == "role" and found.summary["n_accounts"] == 20
    named = found.content["input"]["run"]
    assert (named["folder"], named["specification"]) == ("run", "s")
    del table["role"]
    bare = write_run(tmp_path / "bare", store, accounts=table)
    with pytest.raises(ValueError, match="has no roles; `gpu-coord roles` adds them"):
        list_members(analysed, run=bare, by="role")


def test_list_members__makes_one_class_where_nothing_is_known(make_dated_store, tmp_path):
    people = [(f"a{k}", None, MONDAY, 0, 1) for k in range(6)]
    store = make_dated_store(people)
    found = compare_cohorts(store, tmp_path / "out")
    cohorts = found.read("cohorts")
    assert cohorts.select("class", "period", "n_accounts", "n_controls").rows() == [
        ("all", MONDAY, 6, 0)
    ]
    for name in ("control_share", "expected", "ratio", "p_value", "q_value"):
        assert cohorts[name].to_list() == [None]
    assert not found.summary["has_controls"] and found.summary["n_significant"] == 0
    with pytest.raises(ValueError, match="no account has a label"):
        list_members(list_accounts(store), by="label")
    with pytest.raises(ValueError, match="by is 'community', which a run tells"):
        list_members(list_accounts(store), by="community")


# --- cohorts -------------------------------------------------------------------------------------


def test_tabulate_cohorts__finds_the_planted_week(store):
    table = tabulate_cohorts(store, controls="control")
    assert table["class"].unique().to_list() == ["planted"]
    week = table.sort("p_value").row(0, named=True)
    assert (week["period"], week["n_accounts"], week["n_controls"]) == (MONDAY, 8, 1)
    assert (week["share"], week["control_share"]) == (0.8, pytest.approx(1 / 30))
    assert week["expected"] == pytest.approx(9 * 10 / 40)
    assert week["p_value"] == pytest.approx(fisher_exact([[8, 2], [1, 29]], "greater").pvalue)
    assert week["q_value"] < 0.01
    assert week["median_age_days"] == 26 - np.median([0, 1, 2, 3, 4, 5, 6, 0])
    assert (table["q_value"] <= 0.05).sum() == 1


def test_tabulate_cohorts__compares_with_all_others_by_default(store):
    table = tabulate_cohorts(store)
    assert set(table["class"]) == {"planted", "control"}
    planted = table.filter(pl.col("class") == "planted")
    assert planted["n_accounts"].sum() == 10 and planted["n_controls"].max() == 1


DATED = st.lists(
    st.tuples(st.sampled_from("ab"), st.booleans(), st.none() | st.integers(0, 60)),
    min_size=1, max_size=40,
)  # fmt: skip


@given(DATED, st.sampled_from(["day", "week", "month"]))
def test_count_cohorts__agrees_with_fishers_test_of_plain_counts(rows, period):
    start = {
        "day": lambda day: day,
        "week": lambda day: day - timedelta(days=day.weekday()),
        "month": lambda day: day.replace(day=1),
    }[period]
    rows = [(c, m, None if d is None else MONDAY + timedelta(days=d)) for c, m, d in rows]
    sides = pl.DataFrame(
        [(c, m, d, 1) for c, m, d in rows],
        schema={"class": pl.String, "is_member": pl.Boolean, "account_creation_date": pl.Date,
                "age_days": pl.Int64},
        orient="row",
    )  # fmt: skip
    table = count_cohorts(sides, period=period)
    dated = [(c, m, start(d)) for c, m, d in rows if d is not None]
    expected = {}
    for name, when in {(c, p) for c, m, p in dated if m}:
        n, k = (sum(row == (name, side, when) for row in dated) for side in (True, False))
        members, others = (sum(row[:2] == (name, side) for row in dated) for side in (True, False))
        table_of_two = [[n, members - n], [k, others - k]]
        p = pytest.approx(fisher_exact(table_of_two, "greater").pvalue) if others else None
        expected[name, when] = (n, k, p)
    columns = ["class", "period", "n_accounts", "n_controls", "p_value"]
    got = {(c, when): (n, k, p) for c, when, n, k, p in table.select(columns).iter_rows()}
    assert got == expected
    assert table.select("class", "period").rows() == sorted(expected)


def test_count_cohorts__adjusts_for_all_periods_of_all_classes():
    week = timedelta(days=7)
    rows = [("a", True, MONDAY)] * 6 + [("a", False, MONDAY + k * week) for k in range(20)]
    rows += [("b", True, MONDAY + 3 * week), ("b", False, MONDAY)]
    columns = ["class", "is_member", "account_creation_date"]
    sides = pl.DataFrame(rows, schema=columns, orient="row").with_columns(age_days=0)
    table = count_cohorts(sides)
    p, q = table.select("p_value", "q_value").row(0)
    assert p == pytest.approx(fisher_exact([[6, 0], [1, 19]], "greater").pvalue)
    assert q == pytest.approx(p * 20 * 2)


@pytest.mark.parametrize("seed", range(3))
def test_count_cohorts__finds_nothing_where_labels_mean_nothing(seed):
    rng = np.random.default_rng(seed)
    # Whole waves of accounts, but in no class more than in the other.
    days = np.concatenate([rng.integers(0, 700, 1500), rng.integers(300, 310, 500)])
    sides = pl.DataFrame(
        {
            "class": ["a"] * 2000,
            "is_member": rng.random(2000) < 0.2,
            "account_creation_date": [MONDAY + timedelta(days=int(d)) for d in days],
            "age_days": [0] * 2000,
        }
    )
    table = count_cohorts(sides)
    assert table.height > 80
    for level in (0.05, 0.2, 0.5):
        assert (table["p_value"] <= level).mean() <= level + 0.03
    assert (table["q_value"] > 0.05).all()


# --- profiles ------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
)
def test_measure_distance__agrees_with_plain_loops(values, others):
    found = measure_distance(np.array(values, float), np.array(others, float))
    steps = [
        abs(np.mean([v <= x for v in values]) - np.mean([v <= x for v in others])) for x in range(7)
    ]
    pairs = [np.sign(v - o) for v in values for o in others]
    assert found["distance"] == pytest.approx(max(steps))
    assert found["shift"] == pytest.approx(np.mean(pairs))
    assert 0 < found["p_value"] <= 1


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 2), (3, 5), (1, 20_000)])
def test_measure_distance__is_never_surer_than_all_orders_allow(n, m):
    found = measure_distance(np.zeros(n), np.arange(1.0, m + 1))
    assert found["distance"] == 1
    assert found["p_value"] == pytest.approx(2 / comb(n + m, n))


def test_compare_profiles__tells_quantiles_and_zeros(store, tmp_path):
    table = compare_cohorts(store, tmp_path / "out", controls="control").read("profiles")
    assert table["measure"].to_list() == list(MEASURES)
    row = table.filter(pl.col("measure") == "follower_count").row(0, named=True)
    followers = [0] * 8 + [3, 5]
    assert (row["n_accounts"], row["n_controls"]) == (10, 30)
    assert row["share_zero"] == 0.8 and row["control_share_zero"] == 0
    assert (row["minimum"], row["maximum"], row["mean"]) == (0, 5, np.mean(followers))
    for name, at in (("q10", 10), ("q25", 25), ("median", 50), ("q75", 75), ("q90", 90)):
        assert row[name] == pytest.approx(np.percentile(followers, at))
    assert row["control_median"] == 114.5
    assert (row["distance"], row["shift"]) == (1, -1) and row["q_value"] < 0.001
    unknown = table.filter(pl.col("measure") == "mean_engagement").row(0, named=True)
    assert unknown["n_accounts"] == 0 and unknown["p_value"] is None and unknown["q_value"] is None


@pytest.mark.parametrize("n", [40, 400])
def test_compare_profiles__finds_nothing_where_labels_mean_nothing(n):
    rng = np.random.default_rng(n)
    parts = [
        pl.DataFrame(
            {"class": [f"c{k}"] * n, "is_member": rng.random(n) < 0.3}
            | {name: rng.pareto(1, n) for name in MEASURES}
        )
        for k in range(30)
    ]
    p = compare_profiles(pl.concat(parts))["p_value"]
    for level in (0.05, 0.2):
        error = np.sqrt(level * (1 - level) / p.len())
        assert (p <= level).mean() <= level + 4 * error
    assert p.mean() == pytest.approx(0.5, abs=0.1)


# --- the folder and the command ------------------------------------------------------------------


def test_compare_cohorts__writes_what_is_tabulated(store, tmp_path):
    found = gc.compare_cohorts(store, tmp_path / "one")
    assert_frame_equal(found.read("cohorts"), tabulate_cohorts(store))
    summary = found.summary
    assert (summary["n_accounts"], summary["n_dated"], summary["n_contradictory"]) == (44, 40, 1)
    classes = dict(found.read("accounts").select("account_id", "class").iter_rows())
    assert classes["a0"] == "planted" and classes["zz"] is None


def test_compare_cohorts__refuses_what_it_cannot_use(store, tmp_path):
    accounts = {"account_id": ["a0"], "label": ["x"], "community": [0]}
    run = write_run(tmp_path / "run", store, content={"input": {}}, accounts=accounts)
    for choices, message in (
        ({"controls": "x"}, "no account is labelled 'x'; the labels are control, planted"),
        ({"min_accounts": 99}, "no class has 99 accounts"),
        ({"run": run}, "was made from another store"),
    ):
        with pytest.raises(ValueError, match=message):
            compare_cohorts(store, tmp_path / "out", **choices)
    assert not (tmp_path / "out").exists()


def test_cohorts__tells_what_stands_out(store, tmp_path):
    request = ("cohorts", store.path, "--out", tmp_path / "out")
    done = succeed(*request)
    assert "2020-01-06" in done.stdout and "planted" in done.stdout
    assert "40 of 44 accounts have a creation date; 1 posted before it, 0 never." in done.stdout
    assert "1 cohorts, with 8 accounts, are larger than the others let expect" in done.stdout
    assert json.loads(invoke(*request, "--json").stdout)["n_significant"] == 1


def test_cohorts__reads_other_labels_and_obeys_none(store, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("account_id,label\n" + "".join(f"a{k},\x1b[31m[bold]x\n" for k in range(8)))
    done = succeed(
        "cohorts", store.path, "--out", tmp_path / "out", "--labels", labels, "--period", "month"
    )
    assert "[bold]x" in done.stdout and "\x1b" not in done.stdout
    assert open_run(tmp_path / "out").read("cohorts")["period"].to_list() == [date(2020, 1, 1)]
