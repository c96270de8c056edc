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
from runs import refuse, succeed

from gpu_coord.archive.ingest import ingest
from gpu_coord.simulation.draws import draw_exponential, draw_lognormal
from gpu_coord.simulation.episodes import draw_episode_times
from gpu_coord.simulation.plan import plan_archive, share_out
from gpu_coord.simulation.posts import find_row_stride
from gpu_coord.simulation.scenario import PRESETS, Scenario, choose_scenario, parse_parameter
from gpu_coord.simulation.simulation import simulate
from gpu_coord.simulation.times import (
    draw_lag_ms,
    draw_lags,
    draw_office_times,
    draw_times,
    fold_times,
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
SMALL = {"n_plants": 4, "n_amplifiers": 6, "n_core": 2, "n_accounts": 60}
NAMES = ["tweets.csv", "users.csv", "truth_accounts.parquet", "truth_edges.parquet"]
FILES = {"simulation.json", *NAMES}


def simulate_small(out, *, overrides=None, **choices):
    """Simulate 2,000 posts of 60 accounts."""
    return simulate(out, n_posts=2_000, overrides=SMALL | (overrides or {}), **choices)


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
        if path.name != "simulation.json"  # it tells the seconds
    }


def read_truth(simulation):
    rows = pl.read_parquet(simulation.truth_accounts).rows(named=True)
    edges = pl.read_parquet(simulation.truth_edges).rows()
    return {row["account_id"]: row for row in rows}, edges


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
    assert {path.name for path in demo.path.iterdir()} == FILES


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
    assert len(set(ids)) == len(ids) == demo.summary["n_posts"]
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


def test_simulate__writes_lists_as_quoted_items_and_plain_scalars(rows):
    for row in rows:
        for column in LIST_COLUMNS:
            items = ast.literal_eval(row[column])
            assert row[column] == "[" + ", ".join(f"'{item}'" for item in items) + "]"
            assert all(isinstance(item, str) and item for item in items)
        assert row["is_retweet"] in ("true", "false")
        assert row["latitude"] == row["longitude"] == "absent"
        counts = ("like", "quote", "reply", "retweet")
        assert all(re.fullmatch(r"\d+", row[f"{name}_count"]) for name in counts)


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
    simulation = simulate_small(tmp_path / "out", seed=seed, overrides={"n_sources": 1})
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
    first = simulate_small(tmp_path / "first", seed=3)
    code = (
        "import sys; from gpu_coord.simulation import posts; posts.POSTS_PER_CHUNK = 700;"
        "from gpu_coord.simulation.simulation import simulate;"
        f"simulate(sys.argv[1], seed=3, n_posts=2_000, overrides={SMALL!r})"
    )
    environment = os.environ | {"POLARS_MAX_THREADS": "1", "PYTHONHASHSEED": "7"}
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", code, str(tmp_path / "second")]
    subprocess.run(command, check=True, env=environment, cwd=root)
    np.random.default_rng().random(5)
    simulate_small(tmp_path / "third", seed=3)
    assert digest(first.path) == digest(tmp_path / "second") == digest(tmp_path / "third")


def test_simulate__gives_other_bytes_for_another_seed(tmp_path):
    made = [simulate_small(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    first, second = (digest(simulation.path) for simulation in made)
    assert all(first[name] != second[name] for name in NAMES)


def test_simulate__records_parameters_and_sizes(demo, rows):
    record = json.loads((demo.path / "simulation.json").read_text(encoding="utf-8"))
    settings = {"seed": 0, "preset": "demo", "n_posts": None, "format": "csv"}
    assert record["settings"] == settings
    assert Scenario(**record["parameters"]) == demo.scenario == PRESETS["demo"]
    accounts, edges = read_truth(demo)
    assert record["summary"]["n_posts"] == len(rows)
    assert record["summary"]["n_operation_accounts"] == demo.summary["n_operation_accounts"] == 40
    assert record["summary"]["n_accounts"] == len(accounts) == demo.summary["n_accounts"]
    assert record["summary"]["n_edges"] == len(edges) == demo.summary["n_edges"]
    assert record["summary"]["n_bytes"] == demo.tweets.stat().st_size
    assert "20,000 posts of 420 accounts" in repr(demo)


def test_simulate__writes_chunks_with_one_header_and_reports_progress(tmp_path, monkeypatch):
    monkeypatch.setattr("gpu_coord.simulation.posts.POSTS_PER_CHUNK", 900)
    calls = []
    simulation = simulate_small(tmp_path / "out", progress=lambda *call: calls.append(call))
    posts = [(0, 1), (900, 2000), (1800, 2000), (2000, 2000), (1, 1)]
    assert calls == [("posts", *progress) for progress in posts]
    rows = read_rows(simulation.tweets)
    assert len({row["tweetid"] for row in rows}) == len(rows) == 2000


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
    overrides = {
        "n_groups": 2, "n_amplifiers": 5, "n_plants": 6, "follow_probability": 1.0,
        "lag_decay": 0.0, "lag_bin_seconds": 600, "camouflage_share": 0.0,
    }  # fmt: skip
    simulation = simulate_small(tmp_path / "out", overrides=overrides)
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


def test_simulate__works_without_bursts_and_has_no_edges_when_nobody_follows(tmp_path):
    without = simulate_small(tmp_path / "without", overrides={"n_viral": 0, "n_bursts": 0})
    assert len(read_rows(without.tweets)) == 2000
    simulation = simulate_small(tmp_path / "out", overrides={"follow_probability": 0.0})
    accounts, edges = read_truth(simulation)
    assert edges == [] and simulation.summary["n_operation_accounts"] == 8
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


def test_choose_scenario__scales_accounts_with_posts_and_keeps_operation_and_crowds():
    scenario = choose_scenario("demo", n_posts=80_000, n_days=30)
    assert scenario.n_posts == 80_000 and scenario.n_days == 30
    assert scenario.n_accounts == 40 + 4 * 360
    assert scenario.n_sources == 4 * 2000 and scenario.n_hashtags == 2 * 300
    assert (scenario.n_groups, scenario.n_core, scenario.n_plants) == (1, 5, 40)
    scenario = choose_scenario("crowds", n_posts=80_000)
    assert scenario.n_crowd == PRESETS["crowds"].n_crowd == 60 + 12 + 122
    assert scenario.n_organic - scenario.n_crowd == 2 * (660 - 194)


# Refusals.


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"n_accont": 3}, "no parameter is called n_accont; there are n_accounts"),
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
        ({"n_news_feeds": 400}, "n_accounts=400 must hold the operation's 40 and the 400"),
    ],
)
def test_simulate__refuses_parameters_that_contradict(tmp_path, overrides, message):
    with pytest.raises(ValueError, match=message):
        simulate(tmp_path / "out", overrides=overrides)
    assert list(tmp_path.iterdir()) == []


def test_simulate__refuses_choices(tmp_path):
    for choices, message in (
        ({"preset": "july"}, "preset='july' is unknown; choose one of demo, small, null"),
        ({"seed": 1.5}, r"seed is 1\.5; it is a whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate(tmp_path / "out", **choices)
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
    overrides = {
        "n_groups": 1, "n_core": 1, "n_amplifiers": 5, "n_plants": 40, "follow_probability": 1.0,
        "min_lag_bins": 0, "lag_decay": 0.0, "camouflage_share": 0.0,
    }  # fmt: skip
    simulation = simulate_small(tmp_path / "out", overrides=overrides)
    operation = plan_archive(simulation.scenario, 0).operation
    is_copy = np.arange(len(operation.time)) >= operation.n_plants
    gap = operation.time[is_copy] - operation.time[operation.origin[is_copy]]
    hour = operation.time // 3_600_000
    assert is_copy.sum() == 200 and (gap >= 0).all() and gap.max() > 1_000_000
    assert (hour[is_copy] == hour[operation.origin[is_copy]]).all()


def check_quantiles(values, quantiles):
    for share, quantile in quantiles.items():
        error = math.sqrt(share * (1 - share) / len(values))
        assert abs((values <= quantile).mean() - share) < 4.5 * error


def test_draw_exponential__has_the_quantiles_of_the_law():
    shares = (0.1, 0.5, 0.9, 0.99)
    values = draw_exponential(100_000, np.random.default_rng(2))
    check_quantiles(values, {share: -math.log(1 - share) for share in shares})


def test_draw_times__follow_the_day_of_each_time_zone():
    # Density 1 + cos(angle): the mean cosine is 1/2, the mean sine 0; of (1 + cos)^3 the mean
    # cosine is (3/2 + 3/8) / (1 + 3/2) = 3/4.
    for zone, power, cosine in ((-8, 1.0, 0.5), (0, 1.0, 0.5), (9, 1.0, 0.5), (0, 3.0, 0.75)):
        scenario = choose_scenario("demo", diurnal_amplitude=1.0, diurnal_power=power)
        times = draw_times(scenario, np.full(50_000, zone), np.random.default_rng(3))
        assert times.min() >= 0 and times.max() < scenario.span_ms
        angle = 2 * np.pi * (times // 3_600_000 % 24 + zone - 15) / 24
        assert abs(np.cos(angle).mean() - cosine) < 0.02 and abs(np.sin(angle).mean()) < 0.02


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


def test_simulate__gives_the_archive_that_it_gave_before(demo):
    """A regression test, and the only one: a seed names the same archive on every machine."""
    written = hashlib.sha256(demo.tweets.read_bytes()).hexdigest()
    assert written.startswith("37dcf14c92fd65b9")


# Published sizes.


PUBLISHED = {
    "june2020": (23_750, 348_608), "cnhu2021": (2_016, 31_269), "cncc2021": (112, 35_924),
    "russia2020": (1_152, 3_430_000), "turkey2020": (7_340, 36_900_000),
}  # fmt: skip


def test_presets__have_published_sizes():
    assert PUBLISHED == {n: (PRESETS[n].n_accounts, PRESETS[n].n_posts) for n in PUBLISHED}
    scenario = PRESETS["august2019"]
    assert scenario.n_accounts == 936
    assert scenario.n_amplifiers == 200 * scenario.n_core
    assert scenario.n_posts == round(936 * 348_608 / 23_750)


@pytest.mark.parametrize("preset", PRESETS)
def test_simulate__scales_every_preset(tmp_path, preset):
    n_posts = {"russia2020": 120_000, "turkey2020": 900_000}.get(preset, PRESETS[preset].n_posts)
    plan = plan_archive(choose_scenario(preset, n_posts=n_posts), 1)
    assert plan.joint.n_posts + plan.posts_until[-1] == n_posts
    assert np.diff(plan.posts_until, prepend=0)[plan.scenario.n_operation :].min() >= 1


# Lags in seconds, ramps, churn.


def test_draw_lognormal__has_the_quantiles_of_the_law():
    values = draw_lognormal(100_000, 30.0, 0.7, np.random.default_rng(2))
    normal = {0.1: -1.2816, 0.5: 0.0, 0.9: 1.2816, 0.99: 2.3263}
    check_quantiles(values, {share: 30 * math.exp(0.7 * z) for share, z in normal.items()})


def test_draw_lag_ms__stays_between_a_second_and_the_longest():
    lags = draw_lag_ms(20_000, 2.0, 3.0, 60_000, np.random.default_rng(2))
    assert (lags.min(), lags.max()) == (1000, 60_000)


def list_gaps(plan):
    operation = plan.operation
    copies = slice(operation.n_plants, None)
    return operation.time[copies] - operation.time[operation.origin[copies]]


def test_plan_archive__copies_after_a_lag_in_seconds():
    gaps = list_gaps(plan_archive(choose_scenario("demo", lag_seconds=20.0, lag_sigma=0.5), 3))
    # The standard error of a log median is sigma * sqrt(pi / 2n).
    error = 0.5 * math.sqrt(math.pi / 2 / len(gaps))
    assert abs(math.log(np.median(gaps) / 20_000)) < 4.5 * error
    assert gaps.min() >= 1000 and gaps.max() <= 4 * 3_600_000


def test_plan_archive__lags_in_seconds_leave_the_plants_as_they_are():
    usual, swift = (
        plan_archive(choose_scenario("demo", lag_seconds=seconds), 3).operation
        for seconds in (0.0, 20.0)
    )
    assert (usual.entity == swift.entity).all() and (usual.account == swift.account).all()
    plants = slice(0, usual.n_plants)
    assert (usual.time[plants] == swift.time[plants]).all()


def test_draw_office_times__grow_with_the_ramp():
    scenario = choose_scenario("demo", ramp_factor=4.0, n_days=210)
    days = draw_office_times(scenario, 60_000, np.random.default_rng(4)) // 86_400_000
    # The rate grows from 1 to 4: the first half of the days has 1.75 of 5 parts.
    middle = (1 + scenario.n_days - 1 - scenario.longest_lag_days) / 2
    assert abs((days < middle).mean() - 0.35) < 0.015


def test_fold_times__keeps_the_hour_and_what_is_inside():
    day = 86_400_000
    times, first, until = np.array([0, 5 * day + 7, 9 * day + 3]), 2 * day, 6 * day
    folded = fold_times(times, np.full(3, first), np.full(3, until))
    assert folded.tolist() == [2 * day, 5 * day + 7, 3 * day + 3]


def test_simulate__lets_amplifiers_come_and_go(tmp_path):
    simulation = simulate(tmp_path / "out", seed=4, overrides={"churn_share": 0.6})
    plan = plan_archive(simulation.scenario, 4)
    span = simulation.scenario.span_ms
    comes, goes = plan.accounts.active_from > 0, plan.accounts.active_until < span
    own = np.arange(len(comes)) < simulation.scenario.n_operation
    assert comes[own].any() and goes[own].any()
    assert not (comes & goes).any() and not (comes | goes)[~own].any()
    accounts, _ = read_truth(simulation)
    start = simulation.scenario.start_ms
    place = {name: row for row, name in enumerate(plan.accounts.ids)}
    for row in read_rows(simulation.tweets):
        at = place[row["userid"]]
        since = stamp_ms(row["tweetid"]) - start
        assert plan.accounts.active_from[at] <= since < plan.accounts.active_until[at]
        if comes[at]:
            assert row["account_creation_date"] < row["tweet_time"][:10]
            assert accounts[row["userid"]]["role"] == "amplifier"


# Crowds.


@pytest.fixture(scope="module")
def crowds(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulate") / "crowds", preset="crowds", seed=2)


def test_simulate__labels_crowds_for_what_they_are(crowds):
    accounts, edges = read_truth(crowds)
    counted = Counter((row["label"], row["role"]) for row in accounts.values())
    assert counted == {
        ("operation", "core"): 5, ("operation", "amplifier"): 35, ("fan_club", "authentic"): 60,
        ("news_feed", "feed"): 12, ("unaffiliated", "celebrity"): 2,
        ("unaffiliated", "audience"): 120, ("unaffiliated", "organic"): 486,
    }  # fmt: skip
    groups = {row["group"]: row["label"] for row in accounts.values()}
    assert groups == {
        0: "operation", 1: "fan_club", 2: "fan_club", 3: "fan_club", 4: "news_feed",
        5: "unaffiliated", 6: "unaffiliated", None: "unaffiliated",
    }  # fmt: skip
    # No word is a verdict, and no true edge is of a crowd.
    assert not any("bot" in word for pair in counted for word in pair)
    assert edges and {accounts[end]["label"] for edge in edges for end in edge} == {"operation"}


def test_simulate__posts_an_item_of_news_in_one_minute(crowds):
    accounts, _ = read_truth(crowds)
    minutes = defaultdict(lambda: defaultdict(set))
    for row in read_rows(crowds.tweets):
        if accounts[row["userid"]]["label"] == "news_feed":
            for kind, value in list_uses(row):
                if kind == "url":
                    minutes[value][row["tweet_time"]].add(row["userid"])
    sizes = sorted(len(at) for by_minute in minutes.values() for at in by_minute.values())
    # 200 items, each taken up by Binomial(11, 0.8) of the other feeds: 9.8 accounts in the mean.
    many = [size for size in sizes if size > 3]
    assert abs(np.mean(many) - 9.8) < 4.5 * math.sqrt(11 * 0.8 * 0.2 / 200)
    assert abs(len(many) - 200) <= 3


def test_simulate__retweets_a_celebrity_by_its_audience(crowds):
    accounts, _ = read_truth(crowds)
    rows = read_rows(crowds.tweets)
    authors = {row["tweetid"]: accounts[row["userid"]] for row in rows}
    retweets = [row for row in rows if row["retweet_tweetid"] in authors]
    pairs = [(row["tweetid"], row["retweet_tweetid"]) for row in retweets]
    pairs = [pair for pair in pairs if authors[pair[1]]["role"] == "celebrity"]
    groups = {tuple(authors[end]["group"] for end in pair) for pair in pairs}
    assert groups == {(5, 5), (6, 6)}
    # Two celebrities with 40 posts each, taken up by Binomial(60, 0.2).
    assert abs(len(pairs) - 960) < 4.5 * math.sqrt(4800 * 0.2 * 0.8)
    gaps = [stamp_ms(copy) - stamp_ms(original) for copy, original in pairs]
    assert min(gaps) > 0 and abs(math.log(np.median(gaps) / 3_600_000)) < 0.2


def test_simulate__takes_up_the_calls_of_a_fan_club(crowds):
    plan = plan_archive(crowds.scenario, 2)
    joint, scenario = plan.joint, crowds.scenario
    first = scenario.n_operation
    fans = (joint.account >= first) & (joint.account < first + 3 * 20)
    answers = fans & (np.arange(joint.n_posts) >= joint.n_plants)
    caller = joint.account[joint.origin[answers]]
    answering = joint.account[answers]
    assert ((caller - first) // 20 == (answering - first) // 20).all()
    assert (caller != answering).all()
    n_chances = 3 * 40 * 19
    assert abs(answers.sum() - 0.4 * n_chances) < 4.5 * math.sqrt(n_chances * 0.24)
    assert (joint.entity[answers] == joint.entity[joint.origin[answers]]).all()


def test_simulate__has_a_cohort_in_one_time_zone(crowds):
    accounts = plan_archive(crowds.scenario, 2).accounts
    others = np.arange(720) >= crowds.scenario.n_operation
    in_zone = (accounts.timezone == 7)[others]
    # 15 % of all, and one in eleven of the others.
    share = 0.15 + 0.85 / 11
    assert abs(in_zone.mean() - share) < 4.5 * math.sqrt(share * (1 - share) / others.sum())


def test_simulate__counts_the_copies_that_an_account_caused(demo):
    plan = plan_archive(demo.scenario, 0)
    copied = Counter(
        plan.accounts.ids[int(plan.operation.account[origin])]
        for origin in plan.operation.origin[plan.operation.n_plants :]
    )
    accounts, _ = read_truth(demo)
    assert {name: row["influence"] for name, row in accounts.items() if row["influence"]} == copied


# Formats.


def count_kinds(inputs, out):
    store = ingest(inputs, out)
    assert all(file["rejected"] == file["duplicates"] == 0 for file in store.manifest["inputs"])
    events = store.read("events").with_columns(pl.col("kind").cast(pl.String))
    return dict(events.group_by("kind").len().rows())


@pytest.fixture(scope="module")
def expected_kinds(crowds, tmp_path_factory):
    return count_kinds(crowds.inputs, tmp_path_factory.mktemp("simulate") / "store")


@pytest.mark.parametrize("form", ["csv.gz", "shares.csv", "shares.csv.gz", "shares.parquet"])
def test_simulate__writes_the_same_archive_in_every_format(expected_kinds, tmp_path, form):
    other = simulate(tmp_path / "out", preset="crowds", seed=2, format=form)
    again = simulate(tmp_path / "again", preset="crowds", seed=2, format=form)
    assert digest(other.path) == digest(again.path)
    assert other.inputs == sorted(other.path.glob(f"*{form}"))
    lacking = () if form == "csv.gz" else ("reply", "quote")
    expected = {kind: n for kind, n in expected_kinds.items() if kind not in lacking}
    assert count_kinds(other.inputs, tmp_path / "store") == expected


def test_simulate__shares_what_the_archive_holds(crowds, tmp_path):
    other = simulate(tmp_path / "out", preset="crowds", seed=2, format="shares.parquet")
    shares = pl.read_parquet(other.tweets)
    found = {
        (row["account_id"], row["content_id"], row["kind"], row["object_id"].casefold())
        for row in shares.rows(named=True)
        if row["kind"] in ("hashtag", "url", "mention")
    }
    expected = {
        (row["userid"], row["tweetid"], kind, value.casefold())
        for row in read_rows(crowds.tweets)
        for kind, value in list_uses(row)
    }
    assert found == expected


def test_simulate__spreads_shares_over_platforms(tmp_path):
    choices = {"format": "shares.parquet", "overrides": {"n_platforms": 3}}
    shares = pl.read_parquet(simulate_small(tmp_path / "out", seed=1, **choices).tweets)
    assert shares["platform"].n_unique() == 3
    assert shares.group_by("account_id").agg(pl.col("platform").n_unique())["platform"].max() == 1


def test_simulate__replaces_a_simulation_in_another_format(tmp_path):
    simulate_small(tmp_path / "out", format="shares.csv")
    simulate_small(tmp_path / "out", format="csv", overwrite=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_core", "'n_core' is no parameter; write name=value"),
        ("size=3", "'size=3' is no parameter"),
        ("n_core=many", "n_core='many' must be of type int"),
        ("n_core=1.5", "n_core='1.5' must be of type int"),
    ],
)
def test_parse_parameter__refuses(text, message):
    with pytest.raises(ValueError, match=message):
        parse_parameter(text)


def test_parse_parameter__reads_values_by_the_type_of_the_field():
    texts = ("n_core=3", "lag_decay=1", "start=2020-01-06")
    assert [parse_parameter(text)[1] for text in texts] == [3, 1.0, "2020-01-06"]


# The command.


def test_command__takes_a_format_and_parameters(tmp_path):
    words = "--format shares.parquet --set n_core=2 --set follow_probability=1 --n-posts 12000"
    made = succeed("simulate", "--out", tmp_path / "out", *words.split(), "--json")
    assert json.loads(made.stdout)["n_operation_accounts"] == 37
    edges = pl.read_parquet(tmp_path / "out" / "truth_edges.parquet")
    assert edges.height == 2 * 35
    assert (tmp_path / "out" / "shares.parquet").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--set", "n_core"], 1, "'n_core' is no parameter"),
        (["--set", "lag_seconds=-1"], 1, "lag_seconds=-1.0 must lie between 0 and 86400"),
        (["--format", "xlsx"], 2, "xlsx"),
    ],
)
def test_command__says_what_is_wrong(tmp_path, arguments, code, message):
    assert message in refuse(code, "simulate", "--out", tmp_path / "out", *arguments)
    assert list(tmp_path.iterdir()) == []
