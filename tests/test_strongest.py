"""The strongest pairs, groups, accounts and objects of a run, and `show`, which prints them."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from runs import event, refuse, succeed

import gpu_coord as gc
from gpu_coord.groups.findings import TABLE_SCHEMA
from gpu_coord.reports.words import write_methods
from gpu_coord.results.strongest import hide_ids, list_strongest


def meet(n_days=25):
    """Return events: a and b meet each day, b 10 minutes later; c follows a; others at random."""
    rng = np.random.default_rng(4)
    events = [
        event(f"u{u}", 3600 * int(hour), entity=f"e{entity}")
        for u in range(60)
        for hour, entity in zip(rng.integers(0, 24 * n_days, 6), rng.integers(0, 9, 6), strict=True)
    ]
    for day, hour in enumerate(rng.integers(1, 22, n_days).tolist()):
        entity, second = f"e{day % 3}", 3600 * (24 * day + hour)
        for account, later in (("a", 0), ("b", 600), ("c", 3900)):
            events.append(event(account, second + later, entity=entity))
    return events


@pytest.fixture(scope="module")
def run(make_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("strongest")
    return gc.detect(make_store(meet()), folder / "run", kinds=("hashtag",), groups=0)


def test_list_strongest__has_a_pair_once_and_says_how_it_met(run):
    pairs = list_strongest(run, show_ids=True)
    rows = {(row["a"], row["b"], row["lag"]): row for row in pairs.to_dicts()}
    assert list(rows)[:3] and {*list(rows)[:3]} == {("a", "b", 0), ("a", "c", 1), ("b", "c", 1)}
    # At lag 0 an edge and its reverse are one pair.
    assert not any((b, a, 0) in rows for a, b, lag in rows if lag == 0)
    together, after = rows["a", "b", 0], rows["a", "c", 1]
    assert (together["n_objects"], together["median_gap"], together["a_first"]) == (3, 600, 1)
    assert (after["n_objects"], after["median_gap"], after["observed"]) == (3, 3900, 25)
    assert together["tier"] == "beyond news" and together["expected"] < 5 < together["observed"]
    assert set(pairs["tier"].unique()) <= {"beyond news", "beyond habit", "not beyond chance"}
    network = pairs.filter("in_network").height
    assert pairs["in_network"].head(network).all() and 3 <= network < pairs.height


def test_list_strongest__leaves_no_edge_out(run, tmp_path):
    """Of two accounts, one edge may be at lag 0 and its reverse at lag 1."""
    shutil.copytree(run.path, tmp_path / "run")
    is_first = (pl.col("source") == "a") & (pl.col("target") == "b") & (pl.col("lag") == 0)
    later = pl.when(is_first).then(1).otherwise("lag").cast(pl.Int32)
    edges = run.read("edges").with_columns(lag=later)
    edges.write_parquet(tmp_path / "run" / "edges.parquet")
    found = list_strongest(tmp_path / "run", show_ids=True).select("a", "b", "lag").rows()
    wanted = {
        (*(sorted(ends) if lag == 0 else ends), lag)
        for *ends, lag in edges.select("source", "target", "lag").rows()
    }
    assert {("a", "b", 0), ("a", "b", 1)} < wanted
    assert len(found) == len(wanted) and set(found) == wanted


def test_list_strongest__says_of_a_group_the_p_of_its_own_tier(run, tmp_path):
    """Beyond habit the test of days alone counts, whatever stopped the set from more."""
    shutil.copytree(run.path, tmp_path / "run")
    rows = [
        {"group": 0, "tier": "beyond_news", "p_value": 0.004, "p_days": 0.002},
        {"group": 1, "tier": "beyond_habit", "p_value": 0.48, "p_days": 0.003},
        {"group": 2, "tier": None, "p_value": 0.6, "p_days": 0.6},
    ]
    members = {"group": [0, 1], "account_id": ["a", "b"]}
    for name, frame in {
        "groups": pl.DataFrame(rows, schema=TABLE_SCHEMA),
        "group_accounts": pl.DataFrame(members, schema_overrides={"group": pl.Int32}),
    }.items():
        frame.write_parquet(tmp_path / "run" / f"{name}.parquet")
    assert list_strongest(tmp_path / "run", "groups")["p"].to_list() == [0.004, 0.003]


@pytest.mark.parametrize("part", ["edges", "groups", "accounts", "objects"])
def test_list_strongest__first_rows_are_those_of_all(run, part):
    everything = list_strongest(run, part)
    for n_rows in (1, 2, 3, 7, everything.height + 1):
        assert list_strongest(run, part, n_rows=n_rows).equals(everything.head(n_rows))


def test_list_strongest__of_one_account_by_either_name(run):
    pseudonym = run.read("accounts").filter(account_id="c")["pseudonym"].item()
    own = list_strongest(run, account="c", show_ids=True)
    assert own.equals(list_strongest(run, account=pseudonym, show_ids=True))
    assert (own.select((pl.col("a") == "c") | (pl.col("b") == "c")).to_series()).all()
    assert list_strongest(run, "accounts", account="c")["pseudonym"].to_list() == [pseudonym]
    objects = list_strongest(run, "objects", account="c")
    assert set(objects["value"]) == {"e0", "e1", "e2"}
    with pytest.raises(ValueError, match="'nobody' is none of the 63 accounts"):
        list_strongest(run, account="nobody")
    with pytest.raises(ValueError, match="part is 'hubs'; it is one of edges, groups"):
        list_strongest(run, "hubs")


def test_list_strongest__hides_ids_unless_asked(run):
    names = set(run.read("accounts")["pseudonym"])
    for part, columns in (("edges", ["a", "b"]), ("accounts", ["pseudonym"])):
        table = list_strongest(run, part)
        assert {value for column in columns for value in table[column]} <= names
    groups = list_strongest(run, "groups")  # communities, where no groups were looked for
    assert set(groups["members"].explode()) <= names
    assert "a" in set(list_strongest(run, "groups", show_ids=True)["members"].explode())


def test_list_strongest__does_not_let_what_everybody_used_hide_the_rest(run):
    objects = list_strongest(run, "objects")
    carried = objects["coordination"] / (objects["n_accounts"] - 1)
    assert carried.to_list() == sorted(carried, reverse=True) and objects.height >= 3


def test_describe__says_who_was_found_how_sure_that_is_and_what_is_next(run):
    found, tests, strongest, then = run.describe().splitlines()
    n_linked = run.read("accounts")["component"].count()
    assert found.startswith(f"{n_linked} accounts act together, ")
    assert found.endswith(f"beyond the news: {run.summary['n_significant']} edges.")
    assert f"Beyond the news: {run.summary['n_significant']} edges, " in tests
    pair = run.edges(1).row(0, named=True)
    assert pair["lag"] == 1
    assert f"{pair['a']} → {pair['b']} least: 25 hours on 3 objects" in strongest  # as planted
    assert strongest.endswith(f"(q {pair['q_value']:.2g}).")
    assert then.startswith("Next: read what the pairs shared")


def test_describe__of_a_network_without_tests(run, make_store, tmp_path):
    """No q is claimed where none was computed."""
    paper = gc.detect(make_store(meet()), tmp_path / "run", kinds=("hashtag",), paper=True)
    found, _, strongest, then = paper.describe().splitlines()
    assert found.endswith("nothing was tested against chance.")
    assert "→" in strongest and strongest.endswith("; not tested).")
    assert then == "Next: test it against chance, without --paper."


def test_describe__of_a_run_that_finds_nothing(make_store, tmp_path):
    strangers = [each for each in meet() if each["account"].startswith("u")]
    run = gc.detect(make_store(strangers), tmp_path / "run", kinds=("hashtag",), groups=0)
    assert run.summary["n_network_edges"] == 0
    said = run.describe().splitlines()
    assert said[0].startswith("No pair of accounts is beyond chance")
    assert said[-1].startswith(
        "Next: look at other bins, or bring more"
    )  # no groups were asked for
    paper = gc.detect(make_store(strangers[:2]), tmp_path / "none", kinds=("hashtag",), paper=True)
    assert paper.describe().startswith("No pair of accounts is in the network; nothing was tested")


def test_write_methods__says_which_posts_were_analysed(make_store, tmp_path):
    span = {"start": "1970-01-02", "split_at": "1970-01-12"}
    run = gc.detect(make_store(meet()), tmp_path / "run", kinds=("hashtag",), paper=True, **span)
    said = write_methods(run)
    assert "counted at lag 1, and" in said
    assert "Only posts from 1970-01-02 (UTC) were analysed." in said
    assert "The same was done with posts before 1970-01-12 (UTC) and from then on." in said
    assert said.endswith("No test of chance was made.")  # nor of groups
    before = write_methods(gc.open_run(run.path / "before"))
    assert "Only posts from 1970-01-02 and before 1970-01-12 (UTC) were analysed." in before


def test_hide_ids__names_accounts_and_posts_by_pseudonyms():
    table = pl.DataFrame(
        {
            "kind": ["mention", "retweet", "retweet", "url"],
            "value": ["77", "123", "124", "a.example"],
            "pseudonym": ["acct-1", "post-1", None, None],
        }
    )
    assert hide_ids(table)["value"].to_list() == ["acct-1", "post-1", "a post", "a.example"]


@pytest.mark.parametrize("part", ["edges", "groups", "accounts", "objects"])
def test_show__prints_each_part(run, part):
    table = list_strongest(run, part)
    rows = json.loads(succeed("show", run.path, part, "--json", "--rows", "2").stdout)
    assert rows == json.loads(json.dumps(table.head(2).to_dicts()))
    said = succeed("show", run.path, part, "--rows", "2").stdout
    assert f"{table.height - 2:,} more {part}." in said or table.height <= 2


def test_show__prints_the_run_again(run):
    summary = json.loads(succeed("show", run.path, "--json").stdout)
    assert summary == run.summary | {"why": run.content["chance"]["why"], "warnings": []}
    said = succeed("show", run.path).stdout
    assert (
        said.startswith(run.describe().splitlines()[0][:40])
        and "Beyond habit: " in said
        and "The strongest pairs" in said
        and "(chance: habit, news)" in " ".join(said.split())
    )
    assert "no store" not in refuse(1, "show", run.path / "nowhere")
    refuse(2, "show", run.path, "hubs")
