"""The fitted model of a store: its transitions by brute force, planted copies, its folder."""

import itertools
import json
from collections import Counter

import numpy as np
import polars as pl
import pytest
from runs import act_hourly, event, invoke, succeed, write_run

from gpu_coord.model.cells import Edges, Transitions, cut_blocks
from gpu_coord.model.fitting import find_births, fit_model, read_candidates
from tests.cells import HOUR, build, draw_cells

DAY = 24 * HOUR


# --- transitions ---------------------------------------------------------------------------


def list_by_hand(activity, edges, birth):
    """Count {(target, active sources, status, group)} over all entities and bins."""
    to_host = activity.backend.to_host
    columns = (activity.entity, activity.bin, activity.account)
    cells = set(zip(*(to_host(c).tolist() for c in columns), strict=True))
    uses = Counter((account, entity) for entity, _, account in cells)
    hours = sorted({(activity.first_bin + k) % 24 for k in range(activity.n_bins)})
    found = Counter()
    for target in range(activity.n_accounts):
        sources = edges.source[edges.target == target].tolist()
        for entity, k in itertools.product(range(activity.n_entities), range(1, activity.n_bins)):
            if k < birth[target]:
                continue
            n_uses = uses[target, entity]
            use = 0 if n_uses == 0 else min(4, 1 + n_uses.bit_length() - 1)
            group = use * len(hours) + hours.index((activity.first_bin + k) % 24)
            active = frozenset(j for j in sources if (entity, k - 1, j) in cells)
            found[target, active, (entity, k, target) in cells, group] += 1
    return found


def list_mixture(mixture, edges, to_host):
    """Return the same of a mixture."""
    design = mixture.design
    active = [[] for _ in range(to_host(design.row_target).size)]
    for row, edge in zip(to_host(design.entry_row), to_host(design.entry_edge), strict=True):
        active[row].append(int(edges.source[edge]))
    found = Counter()
    columns = (design.row_target, mixture.status, mixture.weight, mixture.slot)
    for row, (target, status, weight, slot) in enumerate(
        zip(*(to_host(c).tolist() for c in columns), strict=True)
    ):
        if weight:
            found[target, frozenset(active[row]), bool(status), slot // 2] += weight
    return found


@pytest.mark.parametrize("n_bins", [7, 60])
def test_select__counts_every_transition_once(backend, n_bins):
    activity = build(draw_cells(3, n_bins=n_bins), backend, n_bins=n_bins, first_bin=30)
    birth = np.array([0, 3, 5, 0, 0, 6, 1])
    kept = np.random.default_rng(0).random((7, 7)) < 0.5
    target, source = np.nonzero(kept)
    edges = Edges(source, target)
    transitions = Transitions(activity, backend.xp.asarray(birth))
    mixture = transitions.select(edges, slice(0, 7), "learned")
    assert list_mixture(mixture, edges, backend.to_host) == list_by_hand(activity, edges, birth)
    n_steps = backend.to_host(mixture.n_steps)
    np.testing.assert_array_equal(n_steps, activity.n_entities * (n_bins - np.maximum(birth, 1)))


def test_select__takes_a_range_of_targets(backend):
    activity = build(draw_cells(4, n_bins=20), backend, n_bins=20)
    target, source = np.nonzero(np.ones((7, 7), bool))
    edges = Edges(source, target)
    transitions = Transitions(activity, backend.xp.zeros(7, dtype=np.int64))
    part = transitions.select(edges, slice(2, 5), "learned")
    inside = Edges(source[target == 2], target[target == 2])
    shifted = Edges(np.tile(inside.source, 3), np.repeat([0, 1, 2], 7))
    found = list_mixture(part, shifted, backend.to_host)
    every = list_by_hand(activity, edges, np.zeros(7, int))
    expected = {(t - 2, *rest): n for (t, *rest), n in every.items() if 2 <= t < 5}
    assert dict(found) == expected


def test_cut_blocks__fits_the_memory():
    blocks = cut_blocks(np.array([5, 5, 5, 50, 5, 5]), entry_bytes=10, memory=130)
    assert (blocks[0].start, blocks[-1].stop) == (0, 6)
    assert all(a.stop == b.start for a, b in itertools.pairwise(blocks))
    assert 2 < len(blocks) < 6


# --- stores --------------------------------------------------------------------------------


def plant(seed=0, n_days=40):
    """Events of a leader, a follower at .5, a late riser, and two that mind their own business."""
    rng = np.random.default_rng(seed)
    events = []

    def use(account, entity, hour):
        events.append(event(account, hour * HOUR + int(rng.integers(HOUR)), entity))

    for hour, entity in itertools.product(range(n_days * 24), ("one", "two", "three")):
        chance = rng.random(4)
        if chance[0] < 0.06:
            use("leader", entity, hour)
            if chance[1] < 0.5:
                use("follower", entity, hour + 1)
        if chance[2] < 0.03:
            use("own", entity, hour)
        if chance[3] < 0.03:
            use("other", entity, hour)
        if rng.random() < 0.02:
            use("follower", entity, hour)
    return events


@pytest.fixture(scope="module")
def planted(make_store):
    return make_store(plant(), labels={"leader": "core"})


def test_fit_model__finds_who_was_followed(planted, backend, tmp_path):
    model = fit_model(planted, tmp_path / "model", kinds=("hashtag",), backend=backend)
    influences = model.read("influences").sort("caused", descending=True)
    source, target, d, low, high, caused = influences.select(
        "source", "target", "d", "slope_low", "slope_high", "caused"
    ).row(0)
    assert (source, target) == ("leader", "follower")
    assert low < 0.5 < high
    assert abs(d - 0.5) < 0.1
    # Of what the follower did, a half of what the leader did an hour before.
    n_led = sum(e["account"] == "leader" for e in plant())
    assert abs(caused - 0.5 * n_led) < 0.15 * n_led
    accounts = model.read("accounts")
    assert accounts.sort("caused")["account_id"][-1] == "leader"
    assert accounts.sort("influence_pi")["account_id"][-1] == "leader"
    ratio = dict(accounts.select("account_id", "immigrant_ratio").iter_rows())
    assert ratio["follower"] < 0.6 < 0.85 < min(ratio["own"], ratio["other"])
    assert accounts["gap"].max() <= 0.01
    assert accounts["influence_pi"].sum() == pytest.approx(1)
    row_sums = accounts.select(pl.col("background") + pl.col("d_self"))
    taken = influences.group_by("target").agg(pl.col("d").sum())
    rest = accounts.join(taken, left_on="account_id", right_on="target", how="left")
    assert (row_sums.to_series() + rest["d"].fill_null(0)).max() <= 1 + 1e-9
    attributed = (
        accounts["taken"].sum() + (accounts["immigrant_ratio"] * accounts["n_active"]).sum()
    )
    assert attributed <= accounts["n_active"].sum() + 1e-6


@pytest.mark.parametrize("emission", ["tied", "plugin"])
def test_fit_model__finds_it_under_other_emissions(planted, backend, tmp_path, emission):
    model = fit_model(
        planted, tmp_path / "model", kinds=("hashtag",), emission=emission, backend=backend
    )
    leading = model.read("influences").sort("caused", descending=True).row(0)
    assert leading[:2] == ("leader", "follower")


def test_fit_model__is_the_same_in_blocks_and_again(planted, tmp_path, backend):
    choices = {"kinds": ("hashtag",), "backend": backend}
    whole = fit_model(planted, tmp_path / "whole", **choices)
    again = fit_model(planted, tmp_path / "again", **choices)
    parts = fit_model(planted, tmp_path / "parts", memory=1, **choices)
    for table in ("accounts", "influences"):
        if backend.name == "cpu":
            assert whole.read(table).equals(again.read(table))
        numbers = whole.read(table).select(pl.col(pl.Float64).exclude("gap"))
        split = parts.read(table).select(pl.col(pl.Float64).exclude("gap"))
        np.testing.assert_allclose(
            numbers.fill_null(-1).to_numpy(), split.fill_null(-1).to_numpy(), rtol=1e-3, atol=1e-4
        )


def test_fit_model__without_coincidences_all_is_background(make_store, tmp_path):
    hours = {"a": (0, 10, 20), "b": (5, 15, 25), "c": (2, 12, 30)}
    model = fit_model(make_store(act_hourly(hours)), tmp_path / "model", kinds=("hashtag",))
    assert model.read("influences").is_empty()
    accounts = model.read("accounts")
    np.testing.assert_allclose(accounts["background"], 1.0)
    # The first bin of all has nothing before it.
    assert accounts["n_active"].to_list() == [2, 3, 3]
    np.testing.assert_allclose(accounts["immigrant_ratio"], 1.0)
    assert accounts["identified"].all()


def test_find_births__takes_dates_unless_activity_came_before(make_store, tmp_path):
    from gpu_coord.activity.cells import build_activity
    from gpu_coord.store.store import open_store

    first = {"early": 100, "late": 103, "none": 101, "old": 102}
    store = make_store([event(name, day * DAY) for name, day in first.items()])
    dates = {"early": 104 * DAY, "late": 102 * DAY, "none": None, "old": 0}
    days = [None if dates[n] is None else dates[n] // DAY for n in sorted(dates)]
    accounts = store.read("accounts").with_columns(
        account_creation_date=pl.Series(days, dtype=pl.Int32).cast(pl.Date)
    )
    accounts.write_parquet(store.path / "accounts.parquet")
    store = open_store(store.path)
    activity = build_activity(store, kinds=("hashtag",), bin="1h")
    assert find_births(store, activity).tolist() == [0, 2 * 24, 0, 0]


def test_fit_model__keeps_to_the_edges_of_a_run(planted, tmp_path):
    ends = {"source": ["leader", "own", "gone"], "target": ["follower", "other", "own"]}
    run = write_run(tmp_path / "run", edges=ends | {"significant": [True, False, True]}).path
    model = fit_model(planted, tmp_path / "model", kinds=("hashtag",), candidates=run)
    assert model.read("influences").select("source", "target").rows() == [("leader", "follower")]
    assert model.content["n_candidates_outside"] == 1
    assert model.summary["n_candidates"] == 1
    free = fit_model(planted, tmp_path / "free", kinds=("hashtag",))
    assert free.content["specification"] != model.content["specification"]


def test_read_candidates__turns_edges_without_direction_and_wants_significant_ones(tmp_path):
    edges = pl.DataFrame({"source": ["a"], "target": ["b"], "significant": [True]})
    directed = read_candidates(write_run(tmp_path / "one", edges=edges))
    assert directed.select("source", "target").rows() == [("a", "b")]
    both = read_candidates(write_run(tmp_path / "two", edges=edges, content={"command": "share"}))
    assert both.select("source", "target").rows() == [("b", "a"), ("a", "b")]
    with pytest.raises(ValueError, match="were not tested"):
        read_candidates(write_run(tmp_path / "three", edges=edges.drop("significant")))
    edges = edges.with_columns(significant=False)
    with pytest.raises(ValueError, match="no significant edge"):
        read_candidates(write_run(tmp_path / "four", edges=edges))


def test_fit_model__refuses_a_model_that_explains_nothing(planted, tmp_path):
    with pytest.raises(FileNotFoundError, match="no run at"):
        fit_model(planted, tmp_path / "model", kinds=("hashtag",), candidates=tmp_path)
    with pytest.raises(ValueError, match="impossible without a background"):
        fit_model(planted, tmp_path / "model", kinds=("hashtag",), background=False)
    assert not (tmp_path / "model").exists()


# --- the command ---------------------------------------------------------------------------


def test_model__shows_pseudonyms_and_what_it_is_not(planted, tmp_path):
    request = ("model", planted.path, "--out", tmp_path / "model", "--kinds", "hashtag")
    shown = succeed(*request)
    assert "leader" not in shown.stdout
    assert "acct-" in shown.stdout
    assert "apparent influence" in shown.stdout
    assert "leader" in invoke(*request, "--show-ids").stdout
    checked = invoke("verify", tmp_path / "model")
    assert checked.stdout.strip().endswith("2 tables are whole.")
    summary = json.loads(invoke(*request, "--json").stdout)
    assert summary["n_accounts"] == 4
    assert summary["max_gap"] <= 0.01
    assert summary["share_taken"] + summary["share_immigrant"] <= 1 + 1e-9
