import ast
import csv
import hashlib
import json
import math
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_coord.simulation import FILES, PRESETS, Scenario, choose_scenario, plan_archive, simulate
from gpu_coord.simulation.draws import draw_exponential
from gpu_coord.simulation.episodes import draw_episode_times
from gpu_coord.simulation.plan import share_out
from gpu_coord.simulation.posts import find_row_stride
from gpu_coord.simulation.times import (
    draw_lags,
    draw_office_times,
    draw_times,
    mint_tweet_ids,
    separate_times,
)
from gpu_coord.simulation.words import HOSTILE_CELLS

# The header of the 2020-09 release, and what lists look like in it.
TWEETS_HEADER = (
    "tweetid,userid,user_display_name,user_screen_name,user_reported_location,"
    "user_profile_description,user_profile_url,follower_count,following_count,"
    "account_creation_date,account_language,tweet_language,tweet_text,tweet_time,"
    "tweet_client_name,in_reply_to_userid,in_reply_to_tweetid,quoted_tweet_tweetid,is_retweet,"
    "retweet_userid,retweet_tweetid,latitude,longitude,quote_count,reply_count,like_count,"
    "retweet_count,hashtags,urls,user_mentions"
).split(",")
USERS_HEADER = TWEETS_HEADER[1:11]
LIST_COLUMNS = ("hashtags", "urls", "user_mentions")
SMALL = {"n_posts": 2_000, "n_plants": 4, "n_amplifiers": 6, "n_core": 2, "n_accounts": 60}


def read_rows(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def stamp_ms(tweet_id):
    return (int(tweet_id) >> 22) + 1_288_834_974_657


def read_minute(tweet_id):
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=stamp_ms(tweet_id))
    return moment.strftime("%Y-%m-%d %H:%M")


def list_uses(row):
    """Entities of a row; later spellings of a URL or hashtag count as the first."""
    tags, urls, mentions = (ast.literal_eval(row[column]) for column in LIST_COLUMNS)
    return (
        {("hashtag", tag.casefold()) for tag in tags}
        | {("url", re.sub(r"[?&]utm_.*|#top", "", url)) for url in urls}
        | {("mention", mention) for mention in mentions}
    )


def index_uses(rows, bin_ms=3_600_000):
    """Bins of each account and entity."""
    bins = defaultdict(set)
    for row in rows:
        for use in list_uses(row):
            bins[row["userid"], use].add(stamp_ms(row["tweetid"]) // bin_ms)
    return bins


def digest(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).iterdir())
    }


def read_truth(simulation):
    accounts = {
        row["account_id"]: row
        for row in pl.read_parquet(simulation.truth_accounts).rows(named=True)
    }
    return accounts, pl.read_parquet(simulation.truth_edges).rows()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulate") / "demo", preset="demo", seed=0)


@pytest.fixture(scope="module")
def rows(demo):
    return read_rows(demo.tweets)


@pytest.fixture(scope="module")
def users(demo):
    return {row["userid"]: row for row in read_rows(demo.users)}


# The files.


def test_simulate__writes_the_columns_of_the_2020_09_release(demo, rows, users):
    assert list(rows[0]) == TWEETS_HEADER
    assert list(next(iter(users.values()))) == USERS_HEADER
    assert sorted(path.name for path in demo.path.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", ["tweets", "users"])
def test_simulate__quotes_every_cell_and_doubles_quotes(demo, name, tmp_path):
    path = getattr(demo, name)
    with path.open(encoding="utf-8", newline="") as file:
        cells = list(csv.reader(file, strict=True))
    again = tmp_path / "again.csv"
    with again.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(cells)
    assert again.read_bytes() == path.read_bytes()


def test_simulate__has_unique_tweet_ids_that_carry_the_time(demo, rows):
    ids = [row["tweetid"] for row in rows]
    assert len(set(ids)) == len(ids) == demo.n_posts
    assert [read_minute(tweet_id) for tweet_id in ids] == [row["tweet_time"] for row in rows]
    days = {row["tweet_time"][:10] for row in rows}
    assert (min(days), max(days)) == ("2021-03-01", "2021-03-28")


def test_simulate__has_hashed_accounts_that_agree_with_the_users_file(rows, users):
    assert len(users) == 420
    for user, profile in users.items():
        assert re.fullmatch(r"[A-Za-z0-9+]{30,43}=", user)
        assert profile["user_display_name"] == profile["user_screen_name"] == user
        assert int(profile["follower_count"]) < 5000
        datetime.strptime(profile["account_creation_date"], "%Y-%m-%d")
    for row in rows:
        assert {column: row[column] for column in USERS_HEADER} == users[row["userid"]]
    assert len({row["userid"] for row in rows}) == 400


def test_simulate__writes_lists_as_quoted_items(rows):
    for row in rows:
        for column in LIST_COLUMNS:
            items = ast.literal_eval(row[column])
            assert row[column] == "[" + ", ".join(f"'{item}'" for item in items) + "]"
            assert all(isinstance(item, str) and item for item in items)


def test_simulate__writes_plain_scalars(rows):
    for row in rows:
        assert row["is_retweet"] in ("true", "false")
        assert row["latitude"] == row["longitude"] == "absent"
        assert all(
            re.fullmatch(r"\d+", row[f"{name}_count"]) for name in ("like", "quote", "reply")
        )
        assert row["retweet_count"].isdigit()


def test_simulate__refers_to_earlier_posts_in_the_right_columns(rows, users):
    authors = {row["tweetid"]: row["userid"] for row in rows}
    for row in rows:
        retweeted, answered = row["retweet_tweetid"], row["in_reply_to_tweetid"]
        assert (row["is_retweet"] == "true") == bool(retweeted)
        assert bool(answered) == bool(row["in_reply_to_userid"])
        assert not (retweeted and (answered or row["quoted_tweet_tweetid"]))
        named = row["retweet_userid"]
        assert named in users or not named
        assert authors.get(retweeted, named) == named
        for other in filter(None, (retweeted, answered, row["quoted_tweet_tweetid"])):
            assert stamp_ms(other) <= stamp_ms(row["tweetid"])
    known = [row for row in rows if row["retweet_userid"]]
    assert 0 < len(known) < sum(row["is_retweet"] == "true" for row in rows) / 4


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_simulate__refers_to_nothing_later_even_with_one_source(tmp_path, seed):
    simulation = simulate(tmp_path / "out", seed=seed, n_sources=1, **SMALL)
    for row in read_rows(simulation.tweets):
        for column in ("retweet_tweetid", "in_reply_to_tweetid", "quoted_tweet_tweetid"):
            assert not row[column] or stamp_ms(row[column]) < stamp_ms(row["tweetid"])


def test_simulate__mentions_whom_a_post_retweets_or_answers(rows):
    for row in rows:
        mentions = ast.literal_eval(row["user_mentions"])
        if row["is_retweet"] == "true":
            author = re.match(r"RT @(\S+):", row["tweet_text"])[1]
            assert author == mentions[0]
            assert row["retweet_userid"] in ("", author)
        elif row["in_reply_to_tweetid"]:
            assert mentions[0] == row["in_reply_to_userid"]


def test_simulate__holds_hostile_and_foreign_cells(rows, users):
    texts = [row["tweet_text"] for row in rows]
    profiles = [row["user_profile_description"] for row in users.values()]
    profiles += [row["user_reported_location"] for row in users.values()]
    assert any(text.startswith("=1+1") for text in texts)
    for cell in ("<script>", '"yes"', "\u202e", "\x1b[31m"):
        assert any(cell in text for text in texts)
    assert set(profiles) & set(HOSTILE_CELLS)
    for letters in ("ก-๙", "а-я", "ء-ي", "一-鿿", "🚢"):
        assert any(re.search(f"[{letters}]", text) for text in texts)
    assert 0.1 < np.mean(["\n" in text for text in texts]) < 0.5
    assert not any("\0" in text for text in texts)


def test_simulate__keeps_hashtags_sane_and_entities_distinct(rows):
    tags = {tag for row in rows for tag in ast.literal_eval(row["hashtags"])}
    # Thai vowel signs are marks, not letters, so \w alone would refuse them.
    assert all(re.fullmatch(r"[\w\u0e31-\u0e4e]+", tag) for tag in tags)
    for entities in plan_archive(choose_scenario("june2020"), 0).entities:
        first = entities.spellings.head(entities.n)
        assert first.str.to_lowercase().n_unique() == entities.n


# Reproducibility and replacement.


def test_simulate__gives_the_same_bytes_for_the_same_seed(tmp_path, monkeypatch):
    monkeypatch.setattr("gpu_coord.simulation.posts.POSTS_PER_CHUNK", 700)
    first = simulate(tmp_path / "first", seed=3, **SMALL)
    code = (
        "import sys; from gpu_coord.simulation import posts, simulate; posts.POSTS_PER_CHUNK = 700;"
        f"simulate(sys.argv[1], seed=3, **{SMALL!r})"
    )
    environment = os.environ | {"POLARS_MAX_THREADS": "1", "PYTHONHASHSEED": "7"}
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", code, str(tmp_path / "second")]
    subprocess.run(command, check=True, env=environment, cwd=root)
    np.random.default_rng().random(5)
    simulate(tmp_path / "third", seed=3, **SMALL)
    assert digest(first.path) == digest(tmp_path / "second") == digest(tmp_path / "third")


def test_simulate__gives_other_bytes_for_another_seed(tmp_path):
    names = ("tweets.csv", "users.csv", "truth_accounts.parquet", "truth_edges.parquet")
    first, second = (
        digest(simulate(tmp_path / str(seed), seed=seed, **SMALL).path) for seed in (0, 1)
    )
    assert all(first[name] != second[name] for name in names)


def test_simulate__records_parameters_and_sizes(demo, rows):
    record = json.loads((demo.path / "simulation.json").read_text(encoding="utf-8"))
    assert (record["preset"], record["seed"]) == ("demo", 0)
    assert Scenario(**record["parameters"]) == demo.scenario == PRESETS["demo"]
    accounts, edges = read_truth(demo)
    assert record["sizes"]["n_posts"] == len(rows)
    assert record["sizes"]["n_operation_accounts"] == demo.n_operation_accounts == 40
    assert record["sizes"]["n_accounts"] == len(accounts) == demo.n_accounts
    assert record["sizes"]["n_edges"] == len(edges) == demo.n_edges
    assert record["sizes"]["n_bytes"] == demo.tweets.stat().st_size
    assert "20,000 posts of 420 accounts" in repr(demo)


def test_simulate__writes_chunks_with_one_header_and_reports_progress(tmp_path, monkeypatch):
    monkeypatch.setattr("gpu_coord.simulation.posts.POSTS_PER_CHUNK", 900)
    calls = []
    simulation = simulate(tmp_path / "out", progress=lambda *call: calls.append(call), **SMALL)
    assert calls == [("posts", 900, 2000), ("posts", 1800, 2000), ("posts", 2000, 2000)]
    rows = read_rows(simulation.tweets)
    assert len({row["tweetid"] for row in rows}) == len(rows) == 2000


def test_simulate__replaces_a_former_simulation(tmp_path):
    out = tmp_path / "out"
    first = digest(simulate(out, seed=0, **SMALL).path)
    second = digest(simulate(out, seed=1, **SMALL).path)
    assert first.keys() == second.keys() and first != second
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("names", [["notes.txt"], ["tweets.csv"], ["simulation.json"]])
def test_simulate__refuses_a_folder_that_is_no_simulation(tmp_path, names):
    out = tmp_path / "out"
    out.mkdir()
    for name in names:
        (out / name).write_text("mine")
    with pytest.raises(FileExistsError, match="not replaced"):
        simulate(out, **SMALL)
    assert sorted(path.name for path in out.iterdir()) == names


def test_simulate__refuses_a_simulation_with_a_guest(tmp_path):
    out = simulate(tmp_path / "out", **SMALL).path
    (out / "store").mkdir()
    before = (out / "tweets.csv").read_bytes()
    with pytest.raises(FileExistsError, match="also holds store"):
        simulate(out, seed=1, **SMALL)
    assert (out / "tweets.csv").read_bytes() == before and (out / "store").is_dir()


def test_simulate__refuses_a_file(tmp_path):
    out = tmp_path / "out"
    out.write_text("mine")
    with pytest.raises(FileExistsError, match="not replaced"):
        simulate(out, **SMALL)
    assert out.read_text() == "mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_simulate__leaves_nothing_when_interrupted(tmp_path, error):
    def stop(stage, done, total):
        raise error

    with pytest.raises(error):
        simulate(tmp_path / "out", progress=stop, **SMALL)
    assert list(tmp_path.iterdir()) == []

    before = digest(simulate(tmp_path / "out", **SMALL).path)
    with pytest.raises(error):
        simulate(tmp_path / "out", seed=1, progress=stop, **SMALL)
    assert digest(tmp_path / "out") == before
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


# The truth.


def test_simulate__labels_every_account(demo, users):
    accounts, _ = read_truth(demo)
    assert accounts.keys() == users.keys()
    assert Counter((row["label"], row["role"], row["group"]) for row in accounts.values()) == {
        ("operation", "core", 0): 5,
        ("operation", "amplifier", 0): 35,
        ("unaffiliated", "organic", None): 380,
    }


def test_simulate__names_edges_that_the_posts_show(demo, rows):
    accounts, edges = read_truth(demo)
    uses = index_uses(rows)
    by_account = defaultdict(dict)
    for (account, use), bins in uses.items():
        by_account[account][use] = bins
    lags = range(1, demo.scenario.max_lag_bins + 1)
    assert edges == sorted(set(edges))
    for source, target in edges:
        assert (accounts[source]["role"], accounts[target]["role"]) == ("core", "amplifier")
        assert accounts[source]["group"] == accounts[target]["group"]
        assert any(
            hour + lag in by_account[target].get(use, ())
            for use, hours in by_account[source].items()
            for hour in hours
            for lag in lags
        )


def test_simulate__copies_every_plant_when_all_follow_at_lag_one(tmp_path):
    simulation = simulate(
        tmp_path / "out",
        n_posts=2_000,
        n_accounts=60,
        n_groups=2,
        n_core=2,
        n_amplifiers=5,
        n_plants=6,
        follow_probability=1.0,
        lag_decay=0.0,
        lag_bin_seconds=600,
        camouflage_share=0.0,
    )
    accounts, edges = read_truth(simulation)
    rows = read_rows(simulation.tweets)
    n_posts = Counter(row["userid"] for row in rows)
    uses = index_uses(rows, bin_ms=600_000)
    members = {
        role: {name for name, row in accounts.items() if row["role"] == role}
        for role in ("core", "amplifier")
    }
    pairs = [
        (core, amplifier)
        for core in members["core"]
        for amplifier in members["amplifier"]
        if accounts[core]["group"] == accounts[amplifier]["group"]
    ]
    assert edges == sorted(pairs) and len(pairs) == 2 * 2 * 5
    assert {n_posts[core] for core in members["core"]} == {6}
    assert {n_posts[amplifier] for amplifier in members["amplifier"]} == {2 * 6}
    planted = {(core, use): bins for (core, use), bins in uses.items() if core in members["core"]}
    for (core, use), bins in planted.items():
        for amplifier in (target for source, target in pairs if source == core):
            assert {step + 1 for step in bins} <= uses[amplifier, use]


def test_simulate__retweets_plants_by_their_ids_and_words(demo, rows):
    _, edges = read_truth(demo)
    posts = {row["tweetid"]: row for row in rows}
    retweets = [row for row in rows if row["retweet_tweetid"] in posts]
    assert len(retweets) > 100
    for row in retweets:
        plant = posts[row["retweet_tweetid"]]
        assert (plant["userid"], row["userid"]) in edges
        assert row["retweet_userid"] == plant["userid"]
        assert list_uses(plant) <= list_uses(row)
        words, copied = (
            re.sub(r"https://t\.co/\S+", "", post["tweet_text"]) for post in (plant, row)
        )
        assert copied == f"RT @{plant['userid']}: {words}"


def test_simulate__copies_some_wordings(demo, rows):
    accounts, _ = read_truth(demo)
    texts = defaultdict(set)
    for row in rows:
        texts[row["tweet_text"]].add(accounts[row["userid"]]["role"])
    assert sum(roles == {"core", "amplifier"} for roles in texts.values()) > 50


@pytest.mark.parametrize("seed", [0, 1])
def test_simulate__plants_what_lagged_coactivity_finds(tmp_path, seed):
    simulation = simulate(tmp_path / "out", seed=seed)
    users_of = defaultdict(set)
    for (account, use), hours in index_uses(read_rows(simulation.tweets)).items():
        for hour in hours:
            users_of[use, hour].add(account)
    coincidences = Counter(
        (source, target)
        for (use, hour), sources in users_of.items()
        for source in sources
        for target in users_of.get((use, hour + 1), ())
        if source != target
    )
    _, edges = read_truth(simulation)
    found = {pair for pair, _ in coincidences.most_common(len(edges))}
    # 200 plants, followed with .35 at lag one with .9 or so: twelve coincidences per pair and core.
    assert len(found & set(edges)) > 0.75 * len(edges)


def test_simulate__has_no_operation_in_null(tmp_path):
    simulation = simulate(tmp_path / "out", preset="null")
    accounts, edges = read_truth(simulation)
    rows = read_rows(simulation.tweets)
    assert (len(rows), len(accounts), edges) == (20_000, 420, [])
    assert {row["label"] for row in accounts.values()} == {"unaffiliated"}
    assert {row["role"] for row in accounts.values()} == {"organic"}
    ids = {row["tweetid"] for row in rows}
    assert not any(row["retweet_tweetid"] in ids for row in rows)


def test_simulate__has_no_edges_when_nobody_follows(tmp_path):
    simulation = simulate(tmp_path / "out", follow_probability=0.0, **SMALL)
    accounts, edges = read_truth(simulation)
    assert edges == [] and simulation.n_operation_accounts == 8
    assert sum(row["label"] == "operation" for row in accounts.values()) == 8


# Sizes and rates.


def test_simulate__has_the_sizes_of_cnhu2021(tmp_path):
    simulation = simulate(tmp_path / "out", preset="cnhu2021")
    rows = read_rows(simulation.tweets)
    assert len(rows) == 31_269
    assert len({row["userid"] for row in rows}) == len(read_rows(simulation.users)) == 2_016
    days = {row["tweet_time"][:10] for row in rows}
    assert (min(days), max(days)) == ("2019-04-20", "2021-04-04")


def test_plan_archive__has_the_sizes_and_tails_of_june2020():
    scenario = choose_scenario("june2020")
    plan = plan_archive(scenario, 0)
    n_posts = np.diff(plan.posts_until, prepend=0)
    assert len(n_posts) == 23_750 and n_posts.min() >= 1
    assert plan.operation.n_posts + n_posts.sum() == 348_608
    assert plan.operation.account.max() < scenario.n_operation == 68 * 35
    # Hill's estimator above a threshold; its standard error is alpha / sqrt(n). An account has
    # one post and its rounded-down share, so half a post stands for what rounding took.
    for alpha, least, counts in (
        (1.35, 60, n_posts[scenario.n_operation :]),
        (2.31, 20, n_posts[: scenario.n_operation]),
    ):
        tail = counts[counts >= least]
        estimate = 1 / np.log((tail - 0.5) / (least - 1)).mean()
        assert len(tail) > 100
        assert abs(estimate - alpha) < 4 * alpha / math.sqrt(len(tail))


@pytest.mark.parametrize("preset", ["demo", "cnhu2021", "null"])
def test_simulate__keeps_the_declared_rates(tmp_path, preset):
    simulation = simulate(tmp_path / "out", preset=preset, seed=5)
    rows, declared = read_rows(simulation.tweets), simulation.scenario
    measured = {
        "hashtags_per_post": sum(len(ast.literal_eval(row["hashtags"])) for row in rows),
        "urls_per_post": sum(len(ast.literal_eval(row["urls"])) for row in rows),
        "mentions_per_post": sum(len(ast.literal_eval(row["user_mentions"])) for row in rows),
        "retweets_per_post": sum(row["is_retweet"] == "true" for row in rows),
        "replies_per_post": sum(row["in_reply_to_tweetid"] != "" for row in rows),
        "quotes_per_post": sum(row["quoted_tweet_tweetid"] != "" for row in rows),
    }
    for name, total in measured.items():
        mean = getattr(declared, name)
        # The sum varies at most like a Poisson number's.
        assert abs(total - mean * len(rows)) < 4.5 * math.sqrt(mean * len(rows)), name


def test_choose_scenario__scales_accounts_with_posts_and_keeps_the_operation():
    scenario = choose_scenario("demo", n_posts=80_000, n_days=30)
    assert scenario.n_posts == 80_000 and scenario.n_days == 30
    assert scenario.n_accounts == 40 + 4 * 360
    assert scenario.n_sources == 4 * 2000 and scenario.n_hashtags == 2 * 300
    assert (scenario.n_groups, scenario.n_core, scenario.n_plants) == (1, 5, 40)


# Refusals.


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"preset": "july"}, "preset='july' is unknown; choose one of demo, null"),
        ({"n_accont": 3}, "no parameter is called n_accont; there are n_accounts"),
        ({"n_posts": 0}, "n_posts=0 must be positive"),
        ({"n_days": 28.5}, "n_days=28.5 must be of type int"),
        ({"n_groups": True}, "n_groups=True must be of type int"),
        ({"follow_probability": 1.5}, "follow_probability=1.5 must lie between 0 and 1"),
        ({"start": "1999-01-01"}, "start='1999-01-01' must lie between 2010-12-01"),
        ({"start": "soon"}, "soon"),
        ({"n_accounts": 40}, "n_accounts=40 must exceed the operation's 40"),
        ({"n_topics": 200}, "n_topics=200 needs two entities per topic"),
        ({"n_days": 9}, "n_days=9 must exceed the longest lag"),
        ({"min_lag_bins": 5}, "min_lag_bins=5 must not exceed max_lag_bins=4"),
        (
            {"retweets_per_post": 0.9},
            "retweets_per_post \\+ replies_per_post = 1.1 must not exceed",
        ),
        ({"copy_retweet_share": 0.9}, "copy_retweet_share=0.9 and copy_wording_share=0.2"),
        ({"quotes_per_post": 0.8}, "quotes_per_post=0.8 must not exceed"),
        ({"n_plants": 400}, "leaves -\\d+ posts to 360 organic accounts"),
        ({"hashtags_per_post": 0.0}, "cannot have the declared means per post"),
        ({"seed": -1}, "seed=-1 must be an integer of 0 or more"),
        ({"seed": 1.5}, "seed=1.5 must be an integer"),
    ],
)
def test_simulate__refuses_parameters_that_contradict(tmp_path, overrides, message):
    with pytest.raises(ValueError, match=message):
        simulate(tmp_path / "out", **overrides)
    assert list(tmp_path.iterdir()) == []


# The laws.


@given(st.integers(0, 2**40), st.integers(0, 2**21 - 1), st.integers(1, 40))
def test_separate_times__never_lets_equal_low_bits_share_a_millisecond(time, low, n_lanes):
    n_posts = n_lanes * 2**21
    posts = low + np.arange(n_lanes) * 2**21
    times = separate_times(np.full(n_lanes, time), posts, n_posts)
    assert len(set(mint_tweet_ids(times, posts).tolist())) == n_lanes
    assert set(times // 1000) == {time // 1000}


@given(st.integers(1, 5_000))
def test_find_row_stride__visits_every_post_once(n_posts):
    visited = np.arange(n_posts) * find_row_stride(n_posts) % n_posts
    assert sorted(visited.tolist()) == list(range(n_posts))


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=30), st.integers(0, 10**5))
def test_share_out__gives_all_posts_one_at_least_and_by_weight(weights, spare):
    n_posts = len(weights) + spare
    shares = share_out(n_posts, np.array(weights))
    assert shares.sum() == n_posts and shares.min() >= 1
    exact = 1 + spare * np.array(weights) / sum(weights)
    assert np.abs(shares - exact).max() <= 1 + 1e-6


def test_draw_lags__follow_the_truncated_geometric_law():
    scenario = choose_scenario("demo", lag_decay=0.5, max_lag_bins=3)
    lags = draw_lags(scenario, 70_000, np.random.default_rng(1))
    counts = Counter(lags.tolist())
    assert set(counts) == {1, 2, 3}
    for lag, expected in ((1, 40_000), (2, 20_000), (3, 10_000)):
        assert abs(counts[lag] - expected) < 4.5 * math.sqrt(expected)
    exact = choose_scenario("demo", lag_decay=0.0)
    assert set(draw_lags(exact, 1000, np.random.default_rng(1)).tolist()) == {1}
    near = choose_scenario("demo", lag_decay=0.5, min_lag_bins=0, max_lag_bins=1)
    counts = Counter(draw_lags(near, 30_000, np.random.default_rng(1)).tolist())
    assert set(counts) == {0, 1}
    assert abs(counts[0] - 20_000) < 4.5 * math.sqrt(20_000)


def test_simulate__copies_in_the_bin_of_the_plant_follow_it(tmp_path):
    simulation = simulate(
        tmp_path / "out", n_posts=2_000, n_accounts=60, n_groups=1, n_core=1, n_amplifiers=5,
        n_plants=40, follow_probability=1.0, min_lag_bins=0, lag_decay=0.0, camouflage_share=0.0,
    )  # fmt: skip
    operation = plan_archive(simulation.scenario, 0).operation
    is_copy = np.arange(len(operation.time)) >= operation.n_plants
    gap = operation.time[is_copy] - operation.time[operation.origin[is_copy]]
    hour = operation.time // 3_600_000
    assert is_copy.sum() == 200 and (gap >= 0).all() and gap.max() > 1_000_000
    assert (hour[is_copy] == hour[operation.origin[is_copy]]).all()


def test_draw_exponential__has_the_quantiles_of_the_law():
    values = draw_exponential(100_000, np.random.default_rng(2))
    for share in (0.1, 0.5, 0.9, 0.99):
        below = (values <= -math.log(1 - share)).mean()
        assert abs(below - share) < 4.5 * math.sqrt(share * (1 - share) / 100_000)


def test_draw_times__follow_the_day_of_each_time_zone():
    scenario = choose_scenario("demo", diurnal_amplitude=1.0)
    for zone in (-8, 0, 9):
        times = draw_times(scenario, np.full(50_000, zone), np.random.default_rng(3))
        assert times.min() >= 0 and times.max() < scenario.span_ms
        hours = times // 3_600_000 % 24
        angle = 2 * np.pi * (hours + zone - 15) / 24
        # Density 1 + cos(angle): the mean cosine is 1/2, the mean sine 0.
        assert abs(np.cos(angle).mean() - 0.5) < 0.02 and abs(np.sin(angle).mean()) < 0.02


def test_draw_times__of_a_power_are_sharper():
    # Density (1 + cos)^3 has the mean cosine (3/2 + 3/8) / (1 + 3/2) = 3/4.
    scenario = choose_scenario("demo", diurnal_amplitude=1.0, diurnal_power=3.0)
    times = draw_times(scenario, np.zeros(50_000, dtype=int), np.random.default_rng(3))
    angle = 2 * np.pi * (times // 3_600_000 % 24 - 15) / 24
    assert abs(np.cos(angle).mean() - 0.75) < 0.02 and abs(np.sin(angle).mean()) < 0.02


def test_draw_office_times__are_workdays_and_mostly_office_hours():
    scenario = choose_scenario("demo")
    times = draw_office_times(scenario, 20_000, np.random.default_rng(4))
    local = times + 8 * 3_600_000
    weekday = local // 86_400_000 % 7  # the demo begins on a Monday
    assert set(weekday.tolist()) == {0, 1, 2, 3, 4}
    hour = local // 3_600_000 % 24
    assert ((hour >= 9) & (hour < 18)).mean() > 0.9
    assert times.min() >= 0
    assert times.max() + scenario.longest_lag_days * 86_400_000 < scenario.span_ms


def test_plan_episodes__sizes_them_by_rate_factor_and_duration():
    scenario = choose_scenario("demo")
    plan = plan_archive(scenario, 0)
    for entities, episodes in zip(plan.entities, plan.episodes, strict=True):
        usual = np.diff(entities.popularity, prepend=0)
        hours = episodes.decay // 3_600_000
        sizes = np.diff(episodes.cumulative, prepend=0)
        load, factors = 0.0, Counter()
        for entity, span, size in zip(episodes.entity, hours, sizes, strict=True):
            share = usual[entity % entities.topic_size] / usual.sum() / scenario.n_topics
            factor = round(size / usual[entity % entities.topic_size] / span)
            factors[factor] += 1
            assert 6 <= span <= 24 if factor == 60 else 1 <= span <= 6
            load += share * factor * span / (scenario.n_days * 24)
        assert factors == {60: scenario.n_viral, 15: scenario.n_bursts}
        assert episodes.load == pytest.approx(load, rel=1e-9)
        assert (np.diff(episodes.entity // entities.topic_size) >= 0).all()


def test_draw_episode_times__decay_exponentially_from_the_onset():
    scenario = choose_scenario("demo", diurnal_amplitude=0.0)
    episodes = plan_archive(scenario, 0).episodes[0]
    chosen = np.full(20_000, np.argmin(episodes.start))
    onset, decay = episodes.start[chosen[0]], episodes.decay[chosen[0]]
    rng = np.random.default_rng(5)
    times = draw_episode_times(scenario, episodes, chosen, np.zeros(20_000, dtype=int), rng)
    assert times.min() >= onset
    assert abs((times - onset <= decay * math.log(2)).mean() - 0.5) < 0.02


def test_simulate__works_without_bursts(tmp_path):
    simulation = simulate(tmp_path / "out", n_viral=0, n_bursts=0, **SMALL)
    assert len(read_rows(simulation.tweets)) == 2000


def test_simulate__gives_the_archive_that_it_gave_before(demo):
    """A regression test, and the only one: a seed names the same archive on every machine."""
    written = hashlib.sha256(demo.tweets.read_bytes()).hexdigest()
    assert written.startswith("37dcf14c92fd65b9")
