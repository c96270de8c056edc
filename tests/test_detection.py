import json

import networkx as nx
import numpy as np
import oracle
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from runs import detect_anew as detect

from gpu_coord.network import exports
from gpu_coord.results.findings import open_run

KINDS = ("hashtag", "url")
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "account": st.sampled_from("abcdef"),
            "kind": st.sampled_from(KINDS),
            "entity": st.sampled_from("xyz"),
            "time_seconds": st.integers(0, 8).map(lambda hour: 3600 * hour),
        }
    ),
    min_size=1,
    max_size=60,
).map(
    # Two bins and both kinds are there, whatever else is.
    lambda events: [
        *events,
        {"account": "a", "kind": "hashtag", "entity": "x", "time_seconds": 0},
        {"account": "b", "kind": "url", "entity": "x", "time_seconds": 3600 * 9},
    ]
)


def event(account, hour, kind="hashtag", entity="x"):
    return {"account": account, "kind": kind, "entity": entity, "time_seconds": 3600 * hour}


def follow_among_others(n_others=12, n_days=20):
    """Return events in which amp follows lead on some days, among others who post at random."""
    rng = np.random.default_rng(0)
    events = [event(f"u{u}", 24 * d + h, entity="xyz"[u % 3]) for u in range(n_others)
              for d in range(n_days) for h in rng.choice(24, 2)]  # fmt: skip
    for day, hour in enumerate(rng.integers(0, 23, n_days)):
        events += [event("lead", 24 * day + hour), event("amp", 24 * day + hour + 1)]
    return events


FOLLOWED = [event("lead", h) for h in (0, 5, 9)] + [event("amp", h) for h in (1, 6, 10)]


def read_edges(findings):
    return {(row["source"], row["target"]): row for row in findings.read("edges").to_dicts()}


@settings(max_examples=40)
@given(events=EVENTS, min_support=st.integers(1, 2), min_weight=st.sampled_from([0.0, 0.03]))
def test_detect__matches_the_oracle(
    backend, make_store, tmp_path_factory, events, min_support, min_weight
):
    out = tmp_path_factory.mktemp("runs") / "run"
    findings = detect(
        make_store(events), out, kinds=KINDS, min_support=min_support, min_weight=min_weight,
        paper=True, backend=backend,
    )  # fmt: skip
    pairs = oracle.pair_weights(events, bin_seconds=3600, kinds=KINDS)
    expected = oracle.edges(pairs, min_weight=min_weight, min_support=min_support)
    border = {pair for pair, row in pairs.items() if abs(row["weight"] - min_weight) < 1e-12}
    found = read_edges(findings)
    assert found.keys() - border == expected.keys() - border
    for pair in expected.keys() - border:
        for column, value in expected[pair].items():
            assert found[pair][column] == pytest.approx(value, rel=1e-9, abs=1e-12), column
    ids = findings.read("accounts")["account_id"].to_list()
    assert ids == sorted({event["account"] for event in events})
    check_network(findings, found, ids)


def check_network(findings, found, ids):
    """Compare the tables with plain sums and brute-force reachability over the edges found."""
    accounts = {row["account_id"]: row for row in findings.read("accounts").to_dicts()}
    numbered = {(ids.index(i), ids.index(j)) for i, j in found}
    weak = oracle.components(len(ids), numbered, mode="weak")
    strong = oracle.components(len(ids), numbered, mode="strong")
    for position, name in enumerate(ids):
        out = [row["weight"] for (i, _), row in found.items() if i == name]
        into = [row["weight"] for (_, j), row in found.items() if j == name]
        row = accounts[name]
        assert row["influence"] == pytest.approx(sum(out))
        assert row["in_weight"] == pytest.approx(sum(into))
        assert (row["out_degree"], row["in_degree"]) == (len(out), len(into))
        assert (row["component"], row["strong_component"]) == (weak[position], strong[position])
        assert (row["community"] is None) == (weak[position] is None)
    summary = findings.summary
    assert summary["n_edges"] == len(found)
    assert summary["n_components"] == len({label for label in weak if label is not None})
    assert findings.read("components").height == summary["n_components"]
    assert findings.read("communities").height == summary["n_communities"]
    carried = findings.read("entities")["coordination"].sum()
    assert carried == pytest.approx(sum(row["weight"] for row in found.values()), abs=1e-9)


def test_detect__writes_the_run_folder_of_the_contract(backend, make_store, tmp_path):
    findings = detect(
        make_store(FOLLOWED), tmp_path / "run", kinds=("hashtag",), paper=True, backend=backend
    )
    assert {file.name for file in findings.path.iterdir()} == {
        "run.json", "edges.parquet", "accounts.parquet", "components.parquet",
        "communities.parquet", "classes.parquet", "entities.parquet", "evidence.parquet",
        "network.graphml", "network.gexf",
    }  # fmt: skip
    edges = findings.read("edges")
    columns = ["source", "target", "weight", "weight_hashtag", "support", "lag", "in_network"]
    assert edges.columns == columns
    assert edges.schema["source"] == pl.String
    assert edges.rows() == [("lead", "amp", 1.0, 1.0, 3, 1, True)]
    run = json.loads((findings.path / "run.json").read_text())
    assert run["summary"] == {
        "n_accounts": 2, "n_entities": 1, "n_bins": 11, "n_edges": 1,
        "n_components": 1, "n_communities": 1,
    }  # fmt: skip
    stages = [stage["stage"] for stage in run["stages"]]
    assert stages == ["activity", "pairs", "network", "evidence", "tables"]
    assert run["backend"]["name"] == backend.name
    assert len(run["specification"]) == len(run["input"]["manifest_sha256"]) == 64
    graph = nx.read_graphml(findings.path / "network.graphml")
    names = nx.get_node_attributes(graph, "account_id")
    assert [(names[i], names[j]) for i, j in graph.edges] == [("lead", "amp")]


def test_detect__works_without_any_edge(backend, make_store, tmp_path):
    store = make_store([event("a", 0), event("b", 5)])
    findings = detect(store, tmp_path / "run", kinds=("hashtag",), backend=backend)
    assert findings.read("edges").height == 0
    assert findings.read("accounts")["component"].to_list() == [None, None]
    assert findings.summary["n_components"] == 0
    assert nx.read_gexf(findings.path / "network.gexf").number_of_nodes() == 0


def test_detect__keeps_the_best_lag(backend, make_store, tmp_path):
    events = [event("a", h) for h in (0, 10, 20)] + [event("b", h) for h in (2, 12, 22)]
    findings = detect(
        make_store(events), tmp_path / "r", kinds=("hashtag",), lags=(1, 2, 3), backend=backend
    )
    assert findings.read("edges").select("source", "target", "lag", "support").rows() == [
        ("a", "b", 2, 3)
    ]


def test_detect__computes_each_side_of_a_split_like_a_whole(backend, make_store, tmp_path):
    events = FOLLOWED + [event("amp", h) for h in (30, 35)] + [event("lead", h) for h in (31, 36)]
    store = make_store(events)
    choices = {"kinds": ("hashtag",), "backend": backend}
    split = "1970-01-02T00:00"
    findings = detect(store, tmp_path / "run", split_at=split, **choices)
    halves = {
        "before": detect(store, tmp_path / "b", end=split, **choices),
        "after": detect(store, tmp_path / "a", start=split, **choices),
    }
    assert set(read_edges(findings)) == {("lead", "amp"), ("amp", "lead")}
    for half, alone in halves.items():
        part = open_run(findings.path / half)
        assert part.summary == alone.summary
        assert part.read("edges").equals(alone.read("edges"))
    assert set(read_edges(open_run(findings.path / "before"))) == {("lead", "amp")}
    assert set(read_edges(open_run(findings.path / "after"))) == {("amp", "lead")}


def test_detect__summarises_classes(backend, make_store, tmp_path):
    store = make_store(FOLLOWED, labels={"lead": "op"})
    findings = detect(store, tmp_path / "run", kinds=("hashtag",), paper=True, backend=backend)
    classes = {
        (row["kind"], row["source_label"], row["target_label"]): row["n_edges"]
        for row in findings.read("classes").to_dicts()
    }
    assert classes["all", "op", "unlabelled"] == classes["hashtag", "op", "unlabelled"] == 1
    assert sum(classes.values()) == 2


def test_detect__draws_the_network_of_the_significant_edges(backend, make_store, tmp_path):
    store = make_store(follow_among_others())
    choices = {"kinds": ("hashtag",), "lags": (1,), "backend": backend}
    findings = detect(store, tmp_path / "run", **choices)
    paper = detect(store, tmp_path / "paper", paper=True, **choices)
    edges = findings.read("edges")
    # The weights are the same; what the tests say is beside them.
    tests = [
        "expected", "expected_habit", "n_hours", "p_value", "q_value", "q_habit", "tier", "grade",
        "significant",
    ]  # fmt: skip
    assert edges.drop(tests, "in_network").equals(paper.read("edges").drop("in_network"))
    # All meet on every day, so that nothing tells what the news does.
    assert findings.summary["network_tier"] == "beyond_habit"
    assert (edges["in_network"] == edges["tier"].is_not_null()).all()
    assert paper.read("edges")["in_network"].all()
    significant = edges.filter("in_network")
    assert significant.select("source", "target", "support").rows() == [("lead", "amp", 20)]
    assert edges.height > 20
    assert (edges["in_network"] == (edges["q_habit"] <= 0.05)).all()
    assert not edges["significant"].any() and edges["expected"].null_count() == edges.height
    accounts = findings.read("accounts")
    linked = accounts.filter(pl.col("component").is_not_null())
    assert sorted(linked["account_id"]) == ["amp", "lead"]
    assert accounts["influence"].sum() == pytest.approx(significant["weight"].sum())
    carried = findings.read("entities")["coordination"].sum()
    assert carried == pytest.approx(significant["weight"].sum())
    assert findings.read("classes")["n_edges"].to_list() == [1, 1]
    graph = nx.read_gexf(findings.path / "network.gexf")
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (2, 1)
    summary = findings.summary
    assert summary["n_edges"] == edges.height
    assert (summary["n_beyond_habit"], summary["n_significant"]) == (1, 0)
    assert summary["n_pairs_tested"] == 14 * 13
    assert summary["expected_false_edges"] == pytest.approx(0.05)
    assert summary["lambda"] is None
    assert summary["lambda_habit"] == findings.content["chance"]["by_lag"][0]["habit"]["lambda"]


def follow_among_strangers():
    """Return events in which amp follows lead, among regulars and accounts that post just once."""
    rng = np.random.default_rng(2)
    hours = rng.integers(0, 24 * 20, 150).tolist()
    once = [event(f"s{number}", hour) for number, hour in enumerate(hours)]
    return follow_among_others() + once


def test_detect__tells_coordination_from_news_where_there_are_strangers(
    backend, make_store, tmp_path
):
    store = make_store(follow_among_strangers(), labels={f"s{n}": "control" for n in range(150)})
    choices = {"kinds": ("hashtag",), "groups": 0, "backend": backend}
    found = detect(store, tmp_path / "run", **choices)
    assert found.summary["network_tier"] == "beyond_news"
    assert read_network(found) == {("lead", "amp")} == read_significant(found)
    news = found.content["chance"]["by_lag"][1]["news"]
    assert news["kind"] == "met_once" and news["lambda"] == pytest.approx(1, abs=0.3)
    assert found.content["chance"]["warning"] is None
    asked = detect(store, tmp_path / "asked", tier="beyond_habit", **choices)
    assert asked.content["chance"]["why"] == "as asked for"
    assert read_network(asked) >= {("lead", "amp")} == read_significant(asked)
    named = detect(store, tmp_path / "named", reference="control", **choices)
    assert named.content["chance"]["by_lag"][0]["news"]["kind"] == "controls"
    assert read_network(named) == {("lead", "amp")}
    with pytest.raises(ValueError, match="reference is 'others', which no account is labelled"):
        detect(store, tmp_path / "none", reference="others", **choices)


def read_network(findings):
    return set(findings.read_network().select("source", "target").rows())


def read_significant(findings):
    return set(findings.read("edges").filter("significant").select("source", "target").rows())


def meet_among_others(n_members=10, n_others=100, n_days=40):
    """Return events in which members post in the same hours of some days, as do others in none."""
    rng = np.random.default_rng(1)
    events = [event(f"u{u:03}", 24 * d + h, entity="xyz"[u % 3]) for u in range(n_others)
              for d in range(n_days) for h in rng.choice(24, 2)]  # fmt: skip
    for day in rng.choice(n_days, 20, replace=False):
        hour = 24 * day + rng.integers(24)
        events += [event(f"m{m}", hour) for m in range(n_members)]
    return events


def test_detect__confirms_a_group_and_shows_its_evidence(backend, make_store, tmp_path):
    store = make_store(meet_among_others())
    findings = detect(store, tmp_path / "run", kinds=("hashtag",), backend=backend)
    groups = findings.read("groups").filter("confirmed")
    assert groups["size"].to_list() == [10]
    assert findings.summary["n_groups"] == 1
    accounts = findings.read("group_accounts")
    assert sorted(accounts["account_id"]) == [f"m{m}" for m in range(10)]
    assert {"group", "account_id", "tier", "p_value", "q_value"} <= set(accounts.columns)
    evidence = findings.read("evidence").filter(pl.col("group") == 0)
    # Twenty hours in which each of 45 pairs met.
    assert evidence.filter(pl.col("lag") == 0).height == 20 * 45
    assert evidence["gap"].abs().max() <= 3 * 3600
    without = detect(store, tmp_path / "none", kinds=("hashtag",), groups=0, backend=backend)
    assert "n_groups" not in without.summary
    assert not (without.path / "groups.parquet").exists()


def test_detect__tells_how_strong_edges_are_and_at_which_lags(backend, make_store, tmp_path):
    store = make_store(follow_among_others())
    choices = {"kinds": ("hashtag",), "groups": 0, "backend": backend}
    findings = detect(store, tmp_path / "run", lags=(1, 2), **choices)
    network = findings.read_network()
    effects = findings.read("effects")
    columns = ["source", "target", "lag", "observed"]
    assert_frame_equal(
        effects.select(columns), network.rename({"support": "observed"}).select(columns),
        check_dtypes=False,
    )  # fmt: skip
    row = effects.row(0, named=True)
    # amp acts in the hour after lead whenever lead does, lead never after amp.
    assert (row["source"], row["target"], row["observed"]) == ("lead", "amp", 20)
    assert row["ratio"] == pytest.approx(20 / row["expected"]) and row["ratio_low"] > 5
    assert row["risk_difference"] == pytest.approx(1.0) and row["direction"] > 5
    curve = findings.read("lags")
    assert curve["group"].null_count() == curve.height == 25
    assert curve["lag"].to_list() == list(range(25))
    alone = detect(store, tmp_path / "popularity", null="popularity", **choices)
    assert not (alone.path / "effects.parquet").exists()


def test_detect__says_why_no_group_was_tested(backend, make_store, tmp_path):
    findings = detect(make_store(FOLLOWED), tmp_path / "run", kinds=("hashtag",), backend=backend)
    assert "days" in findings.content["groups"]["reason"]
    assert findings.summary["n_groups"] == findings.read("groups").height == 0


def test_detect__writes_evidence_of_each_edge_of_the_network(backend, make_store, tmp_path):
    store = make_store(follow_among_others())
    for paper in (False, True):
        findings = detect(
            store, tmp_path / "run", kinds=("hashtag",), paper=paper, groups=0, backend=backend
        )
        edges = findings.read("edges")
        linked = edges.filter("in_network")
        counted = findings.read("evidence").group_by("source", "target").len("support")
        assert_frame_equal(
            counted, linked.select("source", "target", "support"),
            check_row_order=False, check_dtypes=False,
        )  # fmt: skip
        assert findings.content["evidence"]["n_coincidences"] == linked["support"].sum()
        assert findings.content["evidence"]["n_coincidences_left_out"] == 0


def test_detect__warns_where_everybody_coincides(backend, make_store, tmp_path):
    # One operation and nobody else: on each day all post in the same hour.
    hours = np.random.default_rng(0).integers(0, 23, 20)
    events = [
        event(f"u{u}", 24 * day + hour + (u % 2))
        for u in range(8)
        for day, hour in enumerate(hours)
    ]
    findings = detect(make_store(events), tmp_path / "run", kinds=("hashtag",), backend=backend)
    assert "cannot be told apart" in findings.content["chance"]["warning"]
    ordinary = make_store(follow_among_strangers())
    findings = detect(ordinary, tmp_path / "run", kinds=("hashtag",), backend=backend)
    assert findings.content["chance"]["warning"] is None


@pytest.mark.parametrize("memory", [1, 4000])
def test_detect__gives_the_same_tables_in_any_memory(backend, make_store, tmp_path, memory):
    events = [event(f"u{n % 7}", n * n % 23, entity="xyz"[n % 3]) for n in range(80)]
    store = make_store(events)
    choices = {"kinds": ("hashtag",), "lags": (1, 2), "backend": backend}
    whole = detect(store, tmp_path / "whole", **choices)
    parts = detect(store, tmp_path / "parts", memory=memory, **choices)
    assert whole.read("edges").height > 10
    for table in ("edges", "accounts", "components", "communities", "classes"):
        # Atomic additions of floats have no order on a GPU.
        exact = backend.name == "cpu"
        assert_frame_equal(parts.read(table), whole.read(table), check_exact=exact)


def test_detect__leaves_large_networks_out_unless_asked(backend, make_store, tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "MAX_EXPORTED_EDGES", 0)
    store, choices = make_store(FOLLOWED), {"kinds": ("hashtag",), "backend": backend}
    choices["paper"] = True
    assert not (detect(store, tmp_path / "a", **choices).path / "network.gexf").exists()
    assert (detect(store, tmp_path / "b", graphs=True, **choices).path / "network.gexf").exists()


def test_detect__names_accounts_by_pseudonyms(backend, make_store, tmp_path):
    findings = detect(make_store(FOLLOWED), tmp_path / "run", kinds=("hashtag",), backend=backend)
    names = findings.read("accounts")["pseudonym"]
    assert names.n_unique() == 2
    assert names.str.contains("^acct-[0-9a-f]{12}$").all()


def test_detect__names_the_half_that_cannot_be_analysed(backend, make_store, tmp_path):
    with pytest.raises(ValueError, match="after the split: no event"):
        detect(make_store(FOLLOWED), tmp_path / "run", kinds=("hashtag",), split_at="2000-01-01",
               backend=backend)  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_detect__gives_entities_that_are_accounts_a_pseudonym(backend, make_store, tmp_path):
    events = [
        event("a", 0, "mention", "b"),
        event("b", 1, "mention", "b"),
        event("b", 2, "url", "b"),
    ]
    findings = detect(
        make_store(events), tmp_path / "run", kinds=("mention", "url"), backend=backend
    )
    names = dict(findings.read("entities").select("kind", "pseudonym").rows())
    accounts = dict(findings.read("accounts").select("account_id", "pseudonym").rows())
    assert names == {"mention": accounts["b"], "url": None}
