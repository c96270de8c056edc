"""The cycle: plain sets that do the same, seeds in all spellings, folders whole or not there."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import combinations
from math import ceil

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import event, invoke, refuse, succeed

from gpu_coord.archive.ingest import ingest
from gpu_coord.archive.sources import ArchiveError
from gpu_coord.results.findings import open_run
from gpu_coord.results.verification import verify
from gpu_coord.sharing.cycle import (
    NO_ACCOUNT,
    NO_OBJECT,
    NO_ROUND,
    gather_sharing,
    locate_seeds,
    read_seeds,
    run_cycle,
)
from gpu_coord.sharing.intervals import estimate_interval
from gpu_coord.sharing.shares import read_shares

FILES = {"cycle.json", "rounds.parquet", "objects.parquet", "accounts.parquet"}
FILES |= {"seeds_missing.parquet"}


def share_together(accounts, objects, start, kind="url"):
    """Return events: the accounts share each object within seconds, an hour after the last."""
    return [
        event(account, seconds, entity, kind)
        for hour, entity in enumerate(objects)
        for seconds, account in enumerate(accounts, start + 3600 * hour)
    ]


# near -> seeds; near and middle -> bridges; middle and far -> far's own. Nobody leads to apart,
# but for the news that all share, days apart from one another; late shares the seeds on its own.
NEAR, MIDDLE, FAR, APART = ["a1", "a2", "a3"], ["b1", "b2"], ["c1", "c2"], ["z1", "z2", "z3"]
PLANTED = [
    *share_together(NEAR, ["seed.org/1", "seed.org/2"], 0),
    *share_together([*NEAR[:2], *MIDDLE], ["bridge.org/1", "bridge.org/2"], 100_000),
    *share_together([*MIDDLE, *FAR], ["far.org/1", "far.org/2"], 200_000),
    *share_together(["late"], ["seed.org/1", "seed.org/2", "bridge.org/1"], 250_000),
    *share_together(APART, ["apart.org/1", "apart.org/2"], 300_000),
    *share_together(NEAR, ["news.org/1", "news.org/2"], 400_000),
    *share_together(["y1", "y2", *APART], ["news.org/1", "news.org/2"], 500_000),
]
SEEDS = ["seed.org/1", "seed.org/2"]


@pytest.fixture(scope="module")
def planted(make_store):
    return make_store(PLANTED, labels=dict.fromkeys(NEAR, "near"))


def cycle_slowly(
    events, seeds, *, window=60, min_weight=2, min_participation=1, min_sharers=2,
    max_popularity=None, max_rounds=10,
):  # fmt: skip
    """Return the rounds, {object: (round, followed)} and {account: round}, with sets alone."""
    rows = [(e["account"], e["entity"], e["time_seconds"]) for e in events]
    sharers = defaultdict(set)
    for account, entity, _ in rows:
        sharers[entity].add(account)
    objects = {seed: (0, True) for seed in seeds if seed in sharers}
    found, rounds = {}, []
    for number in range(1, max_rounds + 1):
        looked_at = {entity for entity, (_, followed) in objects.items() if followed}
        network = link_slowly(rows, looked_at, window, min_weight, min_participation)
        new = network - found.keys()
        found |= dict.fromkeys(new, number)
        shared = {o for o in sharers if len(sharers[o] & found.keys()) >= min_sharers}
        added = {
            o: (number, max_popularity is None or len(sharers[o]) <= max_popularity)
            for o in shared - objects.keys()
        }
        objects |= added
        n_followed = sum(followed for _, followed in added.values())
        rounds.append(
            (number, len(looked_at), n_followed, len(added) - n_followed, len(network), len(new))
        )
        if not (new and n_followed):
            return rounds, objects, found, NO_OBJECT if new else NO_ACCOUNT
    return rounds, objects, found, NO_ROUND


def link_slowly(rows, looked_at, window, min_weight, min_participation):
    """Return the accounts with an edge."""
    rows = [row for row in rows if row[1] in looked_at]
    n_rows = Counter(account for account, *_ in rows)
    common = defaultdict(set)
    for (a, o, t), (b, p, u) in combinations(rows, 2):
        if o == p and a != b and abs(t - u) <= window:
            busy = min(n_rows[a], n_rows[b]) >= min_participation
            common[frozenset((a, b))] |= {o} if busy else set()
    return {name for pair, shared in common.items() if len(shared) >= min_weight for name in pair}


def check_cycle(cycle, expected):
    rounds, objects, found, stopped = expected
    columns = ["round", "n_objects", "n_new_objects", "n_too_popular", "n_accounts"]
    assert cycle.read("rounds").select(*columns, "n_new_accounts").rows() == rounds
    table = cycle.read("objects")
    listed = zip(table["value"], zip(table["round"], table["followed"], strict=True), strict=True)
    assert dict(listed) == objects
    assert dict(cycle.read("accounts").select("account_id", "round").rows()) == found
    assert cycle.summary["stopped"] == stopped


# --- rounds --------------------------------------------------------------------------------------


def test_run_cycle__reaches_what_is_two_hops_away_and_no_more(planted, tmp_path):
    cycle = run_cycle(planted, SEEDS, tmp_path / "out", max_popularity=5)
    check_cycle(cycle, cycle_slowly(PLANTED, SEEDS, max_popularity=5))
    assert dict(cycle.read("accounts").select("account_id", "round").rows()) == {
        "a1": 1, "a2": 1, "a3": 1, "b1": 2, "b2": 2, "c1": 3, "c2": 3,
    }  # fmt: skip
    assert cycle.summary == {
        "stopped": NO_OBJECT, "n_rounds": 3, "n_seeds": 2, "n_seeds_missing": 0,
        "n_seed_objects": 2, "n_objects": 6, "n_too_popular": 2, "n_accounts": 7,
    }  # fmt: skip


@pytest.mark.parametrize(("max_popularity", "n_too_popular"), [(7, 2), (8, 0), (None, 0)])
def test_run_cycle__follows_what_is_just_popular_enough(
    planted, tmp_path, max_popularity, n_too_popular
):
    cycle = run_cycle(planted, SEEDS, tmp_path / "out", max_popularity=max_popularity)
    check_cycle(cycle, cycle_slowly(PLANTED, SEEDS, max_popularity=max_popularity))
    assert cycle.summary["n_too_popular"] == n_too_popular
    # It is carried away by what all share.
    assert (set(APART) < set(cycle.read("accounts")["account_id"])) == (n_too_popular == 0)


def test_run_cycle__goes_on_while_one_object_is_new(make_store, tmp_path):
    chain = [share_together([f"u{n}", f"u{n + 1}"], [f"o{n}"], 90_000 * n) for n in range(5)]
    links = [share_together([f"u{n}"], [f"o{n + 1}"], 90_000 * n + 5000) for n in range(4)]
    events = [shared for part in chain + links for shared in part]
    cycle = run_cycle(make_store(events), ["o0"], tmp_path / "out", min_weight=1)
    check_cycle(cycle, cycle_slowly(events, ["o0"], min_weight=1))
    assert cycle.read("rounds")["n_new_objects"].to_list() == [1, 1, 1, 1, 0]
    assert cycle.summary["n_accounts"] == 6 and cycle.summary["stopped"] == NO_OBJECT


def test_run_cycle__says_of_objects_who_shares_them(planted, tmp_path):
    cycle = run_cycle(planted, SEEDS, tmp_path / "out", max_popularity=5)
    columns = ["value", "is_seed", "n_sharers", "n_accounts", "n_events"]
    rows = {value: rest for value, *rest in cycle.read("objects").select(columns).rows()}
    assert rows["seed.org/1"] == [True, 3, 4, 4]
    assert rows["far.org/2"] == [False, 4, 4, 4]
    assert rows["news.org/1"] == [False, 3, 8, 8]  # three of the seven found, and five others


def test_run_cycle__writes_a_run_of_each_round(planted, tmp_path):
    cycle = run_cycle(planted, SEEDS, tmp_path / "out", max_popularity=5)
    rounds = cycle.read("rounds")
    assert {path.name for path in cycle.path.iterdir()} == FILES | set(rounds["run"])
    for row in rounds.to_dicts():
        run = open_run(cycle.path / row["run"])
        assert verify(run.path)["n_tables"] >= 7
        edges = run.read("edges")
        assert (edges.height, run.read("pairs").height) == (row["n_edges"], row["n_pairs"])
        assert (edges["weight"] >= 2).all()
        assert {*edges["source"], *edges["target"]} == set(
            run.read("accounts").drop_nulls("component")["account_id"]
        )
        known = cycle.read("objects").filter(pl.col("round") < row["round"], "followed")
        assert set(run.read("entities")["value"]) == set(known["value"])
        assert known.height == row["n_objects"]
    labels = cycle.read("accounts").select("account_id", "label").rows()
    assert dict(labels) == dict.fromkeys([*MIDDLE, *FAR]) | dict.fromkeys(NEAR, "near")
    assert cycle.read("accounts")["pseudonym"].str.contains("^acct-[0-9a-f]{12}$").all()


def test_run_cycle__writes_the_same_tables_for_seeds_in_any_order(planted, tmp_path):
    first = run_cycle(planted, SEEDS, tmp_path / "a")
    second = run_cycle(planted, SEEDS[::-1], tmp_path / "b")
    names = {path.relative_to(first.path) for path in first.path.rglob("*.parquet")}
    assert names == {path.relative_to(second.path) for path in second.path.rglob("*.parquet")}
    for name in names:
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes(), name
    assert first.content["specification"] == second.content["specification"]
    assert first.summary == second.summary


ONE = (st.sampled_from("abcdefg"), st.integers(0, 30), st.sampled_from("stuvwxyz"), st.just("url"))
CHOICES = {"min_weight": [1, 2], "min_sharers": [1, 2, 3], "max_popularity": [None, 2, 4]}
CHOICES |= {"max_rounds": [1, 2, 9]}


@settings(max_examples=30)
@given(
    events=st.lists(st.builds(event, *ONE), min_size=1, max_size=40),
    n_seeds=st.integers(1, 3),
    choices=st.fixed_dictionaries({k: st.sampled_from(values) for k, values in CHOICES.items()}),
    window=st.sampled_from([1, 4]),
)
def test_run_cycle__matches_plain_sets(
    make_store, tmp_path_factory, events, n_seeds, choices, window
):
    seeds = sorted({shared["entity"] for shared in events})[:n_seeds]
    out = tmp_path_factory.mktemp("cycle") / "out"
    store, choices = make_store(events), {"window": window} | choices
    cycle = run_cycle(store, [*seeds, "none"], out, **choices | {"window": f"{window}s"})
    check_cycle(cycle, cycle_slowly(events, seeds, **choices))
    assert cycle.read("seeds_missing")["value"].to_list() == ["none"]


def test_run_cycle__leaves_out_who_shares_too_little(planted, tmp_path):
    # Two of the near ones alone share both the seeds and the bridges.
    choices = {"max_popularity": 5, "min_participation": 3}
    with pytest.raises(ValueError, match="no event of the kinds url is left"):
        run_cycle(planted, SEEDS, tmp_path / "out", **choices)
    seeds = [*SEEDS, "bridge.org/1", "bridge.org/2"]
    cycle = run_cycle(planted, seeds, tmp_path / "out", **choices)
    check_cycle(cycle, cycle_slowly(PLANTED, seeds, **choices))
    assert set(cycle.read("accounts")["account_id"]) == {"a1", "a2"}


# All objects are shared a second apart, twice a second after the first.
@pytest.mark.parametrize(("window", "seconds"), [("1.5s", 1.5), ("auto", 2)])
def test_run_cycle__takes_fractions_and_fixes_what_the_archive_suggests(
    planted, tmp_path, window, seconds
):
    cycle = run_cycle(planted, SEEDS, tmp_path / "out", window=window, max_popularity=5)
    if window == "auto":
        shares = read_shares(planted, kinds=["url"])
        assert cycle.content["window"] == f"{ceil(estimate_interval(shares).seconds)}s" == "2s"
    assert cycle.content["settings"]["window"] == window
    check_cycle(cycle, cycle_slowly(PLANTED, SEEDS, window=int(seconds), max_popularity=5))
    for name in cycle.read("rounds")["run"]:
        assert open_run(cycle.path / name).content["window_seconds"] == seconds


@pytest.mark.parametrize("mode", ["coortweet", "coornet", "qut"])
def test_run_cycle__takes_the_modes_of_share(planted, tmp_path, mode):
    choices = {"mode": mode, "max_popularity": 5, "edge_weight_quantile": 0.0}
    cycle = run_cycle(planted, SEEDS, tmp_path / "out", **choices)
    # coortweet's quantile is passed strictly, and all edges weigh the same.
    expected = 0 if mode == "coortweet" else 7
    assert cycle.summary["n_accounts"] == expected
    assert open_run(tmp_path / "out" / "round_01").content["settings"]["mode"] == mode


def test_run_cycle__stops_when_no_round_is_left(planted, tmp_path):
    cycle = run_cycle(planted, SEEDS, tmp_path / "out", max_rounds=1)
    assert cycle.summary["stopped"] == NO_ROUND and cycle.summary["n_rounds"] == 1
    # What was found last is listed, and was not looked at.
    assert set(cycle.read("objects").filter(round=1)["value"]) == {
        "bridge.org/1", "bridge.org/2", "news.org/1", "news.org/2",
    }  # fmt: skip


def test_run_cycle__of_one_seed_finds_nobody_with_two_objects(planted, tmp_path):
    cycle = run_cycle(planted, SEEDS[:1], tmp_path / "out")
    assert cycle.summary["stopped"] == NO_ACCOUNT and cycle.summary["n_accounts"] == 0
    columns = ["account_id", "label", "pseudonym", "round", "n_posts"]
    assert cycle.read("accounts").columns == columns
    assert run_cycle(planted, SEEDS[:1], tmp_path / "wide", min_weight=1).summary["n_accounts"] > 3


def test_run_cycle__looks_at_the_time_range_alone(planted, tmp_path):
    choices = {"start": "1970-01-01", "end": "1970-01-02T12:00"}  # without far and later
    cycle = run_cycle(planted, SEEDS, tmp_path / "out", **choices)
    early = [shared for shared in PLANTED if shared["time_seconds"] < 129_600]
    check_cycle(cycle, cycle_slowly(early, SEEDS))
    with pytest.raises(ValueError, match=r"none of the 1 seeds .*not shared in the data: 1"):
        run_cycle(planted, ["far.org/1"], tmp_path / "none", **choices)


def test_run_cycle__follows_several_kinds_and_derived_domains(make_store, tmp_path):
    events = [
        *share_together("ab", ["x.org/1", "x.org/2", "y.org/1"], 0),
        *share_together("ab", ["tag"], 50_000, "hashtag"),
        *share_together("ac", ["tag"], 90_000, "hashtag"),
        *share_together("ac", ["y.org/2"], 99_000),
    ]
    seeds = pl.DataFrame({"value": ["http://www.x.org/other"], "kind": ["domain"]})
    with pytest.warns(UserWarning, match="no 'retweet'") as warned:
        cycle = run_cycle(
            make_store(events), seeds, tmp_path / "out", min_weight=1,
            kinds=["domain", "hashtag", "retweet"],
        )  # fmt: skip
    assert len(warned) == 1
    objects = cycle.read("objects").select("kind", "value", "round", "n_events").rows()
    assert objects == [
        ("domain", "x.org", 0, 4), ("domain", "y.org", 1, 4), ("hashtag", "tag", 1, 4),
    ]  # fmt: skip
    assert cycle.read("accounts").select("account_id", "round").rows() == [
        ("a", 1), ("b", 1), ("c", 2),
    ]  # fmt: skip
    assert cycle.content["missing_kinds"] == ["retweet"]


def test_gather_sharing__counts_accounts_and_events(make_store):
    events = [*share_together("ab", ["x", "y"], 0), *share_together("a", ["x", "x"], 50)]
    sharing = gather_sharing(read_shares(make_store(events), kinds=["url"]))
    assert sharing.objects.select("value", "n_accounts", "n_events").rows() == [
        ("x", 2, 4), ("y", 2, 2),
    ]  # fmt: skip
    pairs = zip(sharing.object.tolist(), sharing.account.tolist(), strict=True)
    assert list(pairs) == [(0, 0), (0, 1), (1, 0), (1, 1)]


# --- seeds ---------------------------------------------------------------------------------------


def test_read_seeds__takes_lines_as_they_are(tmp_path):
    path = tmp_path / "seeds.txt"
    hostile = '"c\u202e\x1b[31m\u2028d'
    path.write_bytes(f"\ufeffhttps://a.org/1,2\r\n\r\n  b.org  \n\t\n{hostile}".encode())
    rows = [(1, None, "https://a.org/1,2"), (3, None, "  b.org  "), (5, None, hostile)]
    assert read_seeds(path).rows() == rows


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('object_id\na\n"b,1"\n', [(1, None, "a"), (2, None, "b,1")]),
        ("n,URL\n1,a\n2,\n3,c\n", [(1, "url", "a"), (3, "url", "c")]),
        ("Kind,Value\nhashtag,x\n,y\n", [(1, "hashtag", "x"), (2, None, "y")]),
        ("kind,value\n hashtag ,x\n ,y\n", [(1, "hashtag", "x"), (2, None, "y")]),
        ("url,object_id\nu,o\n", [(1, None, "o")]),
        ("url,kind\nu,hashtag\n", [(1, "hashtag", "u")]),
    ],
)
def test_read_seeds__takes_a_column_of_a_table(tmp_path, text, expected):
    for name in ("seeds.csv", "seeds.txt"):
        (tmp_path / name).write_text(text)
        assert read_seeds(tmp_path / name).rows() == expected
    table = pl.read_csv(text.encode(), infer_schema=False)
    table.write_parquet(tmp_path / "seeds.parquet")
    assert read_seeds(tmp_path / "seeds.parquet").rows() == read_seeds(table).rows() == expected


def test_read_seeds__writes_numbers_out():
    assert read_seeds(pl.DataFrame({"value": [12345678901234567]})).rows() == [
        (1, None, "12345678901234567")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.csv", b"id,name\n1,x\n", "it needs one named object_id, url or value"),
        ("s.csv", b"https://a.org\nhttps://b.org\n", "no column of objects"),
        ("s.csv", b"value,Value\n1,x\n", "has a column twice"),
        ("s.csv", b"value\na,b\n", "cannot be read"),
        ("s.txt", b"\xff\xfea\n", "no UTF-8"),
        ("s.parquet", b"PAR1 and no more", "cannot be read"),
        ("s.txt", b"", "holds no seed"),
        ("s.csv", b"", "holds no seed"),
        ("s.csv", b"url\n", "holds no seed"),
        ("s.txt", b" \n\n\t\r\n", "holds no seed"),
    ],
)
def test_read_seeds__refuses_what_holds_none(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as failure:
        read_seeds(tmp_path / name)
    assert name in str(failure.value)


def test_read_seeds__refuses_other_things(tmp_path):
    with pytest.raises(ArchiveError, match="is a folder"):
        read_seeds(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_seeds(tmp_path / "absent.txt")
    with pytest.raises(ArchiveError, match="cannot hold ids exactly"):
        read_seeds(pl.DataFrame({"value": [1.5]}))
    with pytest.raises(ValueError, match="seeds holds no seed"):
        read_seeds([])


OBJECTS = [("domain", "example.co.uk"), ("hashtag", "straße"), ("hashtag", "strasse")]
OBJECTS += [("text", " spaced "), ("url", "example.com/a?a=1&b=2")]
OBJECTS += [("url", "HTTPS://Verbatim.org/"), ("url", "verbatim.org")]
OBJECTS = pl.DataFrame(OBJECTS, schema=["kind", "value"], orient="row").with_row_index("object")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("url", "https://www.Example.com/a/?utm_source=x&b=2&a=1#top", [4]),
        ("url", " http://example.com/a?b=2&a=1\u200b", [4]),
        ("url", "HTTPS://Verbatim.org/", [5]),  # as it stands, where it stands so
        ("url", "https://verbatim.org/", [6]),
        ("hashtag", "#STRASSE", [2]),
        ("hashtag", "＃ＳＴＲＡＳＳＥ\u200b", [2]),
        ("hashtag", "straße", [1]),
        ("domain", "https://news.example.co.uk/x", [0]),
        ("text", " spaced ", [3]),
        ("text", "spaced", []),
        (None, "Strasse", [2]),
        (None, "example.co.uk", [0]),
        ("url", "#strasse", []),
    ],
)
def test_locate_seeds__looks_for_all_spellings(kind, value, expected):
    seeds = read_seeds(pl.DataFrame({"value": [value], "kind": [kind]}, schema=TEXTS))
    found, missing = locate_seeds(seeds, OBJECTS, url_rule="canonical")
    assert found["object"].to_list() == expected
    assert missing.height == (not expected)


TEXTS = {"value": pl.String, "kind": pl.String}


def test_locate_seeds__takes_the_rule_of_the_store():
    objects = pl.DataFrame({"object": [7], "kind": ["url"], "value": ["example.co.uk/a"]})
    seeds = read_seeds(["http://news.example.co.uk/a/?b=1"])
    assert locate_seeds(seeds, objects, url_rule="paper")[0]["object"].to_list() == [7]
    assert locate_seeds(seeds, objects, url_rule="canonical")[0].is_empty()


def test_locate_seeds__says_why_one_is_missing():
    objects = pl.DataFrame({"object": [0, 1], "kind": ["hashtag", "url"], "value": ["x", "a.org"]})
    rows = [("a.org", "url"), ("b.org", "url"), ("word", "url"), ("1", "retweet"), ("word", None)]
    seeds = pl.DataFrame(rows, schema=TEXTS, orient="row")
    found, missing = locate_seeds(read_seeds(seeds), objects, url_rule="canonical")
    assert found.rows() == [(1, 1)]
    assert missing.select("row", "kind", "value", "reason").rows() == [
        (2, "url", "b.org", "not shared in the data"),
        (3, "url", "word", "no URL"),
        (4, "retweet", "1", "its kind is not followed"),
        (5, None, "word", "not shared in the data"),
    ]


def test_run_cycle__finds_seeds_of_an_x_archive_in_any_spelling(tmp_path):
    header = ["tweetid", "userid", "tweet_time", "hashtags", "urls"]
    address = "['https://www.example.com/{}?utm_source={}']"
    rows = [
        (f"{page}{place}", user, "2010-01-01 00:00", tag, address.format(page, user))
        for page, tag in ((1, "['Foo']"), (2, "['FOO']"))
        for place, user in enumerate("abc")
    ]
    pl.DataFrame(rows, schema=header, orient="row").write_csv(tmp_path / "tweets.csv")
    store = ingest(tmp_path / "tweets.csv", tmp_path / "store")
    (tmp_path / "seeds.txt").write_text(
        "\u202ehttp://EXAMPLE.com/1#x\nhttps://m.example.com/1\n#foo\nevil\u202e\x1b[31m.org/\n"
    )
    choices = {"kinds": ["url", "hashtag"], "min_weight": 2}
    cycle = run_cycle(store, tmp_path / "seeds.txt", tmp_path / "out", **choices)
    objects = cycle.read("objects").select("kind", "value", "is_seed").rows()
    assert objects == [
        ("hashtag", "foo", True), ("url", "example.com/1", True), ("url", "example.com/2", False),
    ]  # fmt: skip
    assert cycle.summary["n_seeds"] == 4 and cycle.summary["n_seed_objects"] == 2
    assert cycle.read("seeds_missing")["value"].to_list() == ["evil\u202e\x1b[31m.org/"]


# --- what is refused, and what is left behind ----------------------------------------------------


def test_run_cycle__refuses_seeds_that_are_all_missing(planted, tmp_path):
    with pytest.raises(ValueError, match=r"none of the 2 seeds .*no URL: 1, not shared.*: 1"):
        run_cycle(planted, ["nowhere.org", "word"], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "seeds").write_text("not there")
    request = ("cycle", planted.path, "--seeds", tmp_path / "seeds", "--out", tmp_path / "o")
    assert "none of the 1 seeds" in refuse(1, *request)


def test_run_cycle__killed_is_not_there(planted, tmp_path):
    code = (
        "import sys, time, gpu_coord as gc\n"
        "def wait(stage, done, total):\n"
        "    if (stage, done) == ('round_01', 1):\n"
        "        print('now', flush=True); time.sleep(60)\n"
        "gc.run_cycle(sys.argv[1], ['seed.org/1', 'seed.org/2'], sys.argv[2], progress=wait)\n"
    )
    command = [sys.executable, "-c", code, str(planted.path), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "now\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "out").exists()
    assert run_cycle(planted, SEEDS, tmp_path / "out").summary["n_rounds"] > 1


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def seeds(tmp_path):
    (tmp_path / "seeds.txt").write_text("\n".join([*SEEDS, "evil\u202e\x1b[31m.org"]))
    return tmp_path / "seeds.txt"


def test_cycle__shows_the_rounds(planted, seeds, tmp_path):
    arguments = ["cycle", planted.path, "--seeds", seeds, "--out", tmp_path / "out"]
    result = succeed(*arguments, "--max-popularity", 5)
    text = " ".join(result.stdout.split())
    assert "7 accounts and 6 objects followed from 2 seeds; window 60s." in text
    assert "Stopped after round 3: no new object." in text
    assert "1 of 3 seeds are not in the data" in text and "seeds_missing.parquet" in text
    assert "Coordination is not inauthenticity" in text and "\u202e" not in result.output
    as_json = invoke(*arguments, "--max-popularity", 5, "--json")
    assert json.loads(as_json.stdout) == open_run(tmp_path / "out").summary


def test_cycle__tells_what_to_try_where_nobody_is_found(planted, seeds, tmp_path):
    seeds.write_text(SEEDS[0])
    result = succeed("cycle", planted.path, "--seeds", seeds, "--out", tmp_path / "out")
    assert "try --min-weight 1" in " ".join(result.stdout.split())


def test_cycle__hides_accounts_among_the_objects(make_store, seeds, tmp_path):
    events = share_together("ab", ["bob_secret"], 0, "mention")
    events += share_together("ab", ["777888"], 9, "retweet")
    seeds.write_text("bob_secret\n777888\n")
    arguments = ["cycle", make_store(events).path, "--seeds", seeds, "--out", tmp_path / "out"]
    arguments += ["--kind", "mention,retweet"]
    hidden, shown = invoke(*arguments), invoke(*arguments, "--show-ids")
    assert "bob_secret" in shown.stdout and "777888" in shown.stdout, shown.output
    assert "bob_secret" not in hidden.stdout and "777888" not in hidden.stdout
    assert "acct-" in hidden.stdout and "post-" in hidden.stdout
