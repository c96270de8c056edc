"""Who plays which part: slow loops, all orders of few, exchangeable data, planted operations."""

import itertools
import json
from fractions import Fraction

import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import invoke, refuse, succeed
from scipy import stats

import gpu_coord as gc
from gpu_coord.accounts.roles import following as following_module
from gpu_coord.accounts.roles.adoption import Uses, order_adoptions, score_adoptions
from gpu_coord.accounts.roles.following import Cells, match_cells, match_pairs, score_following
from gpu_coord.accounts.roles.position import (
    Flows,
    measure_participation,
    rank_hubs,
    score_positions,
    split_core,
)
from gpu_coord.accounts.roles.reading import Analysed
from gpu_coord.accounts.roles.roles import ROLE_COLUMNS, assign_roles, score_roles
from gpu_coord.accounts.roles.rule import ROLES, name_roles
from gpu_coord.accounts.settings import RoleSettings
from gpu_coord.results.findings import open_run
from gpu_coord.results.origin import find_store
from gpu_coord.results.verification import verify
from gpu_coord.store.tables import hash_file
from gpu_coord.trust.evaluation.rankings import compute_auc

# --- how early ---------------------------------------------------------------------------------


def make_uses(rows):
    """Return the uses of (object, time, account) rows."""
    columns = np.array(sorted(rows), dtype=np.int64).reshape(-1, 3).T
    return Uses(*columns)


def list_waves(rows, gap):
    """Return the waves, each a dict of account: first time, of those with two accounts or more."""
    waves = []
    for _, of_object in itertools.groupby(sorted(rows), key=lambda row: row[0]):
        last = None
        for _, time, account in of_object:
            if last is None or (gap is not None and time - last > gap):
                waves.append({})
            waves[-1].setdefault(account, time)
            last = time
    return [wave for wave in waves if len(wave) > 1]


def place_slowly(wave):
    """Return earliness and share of first of each account; ties share."""
    m, first = len(wave), min(wave.values())
    n_first = sum(time == first for time in wave.values())
    early, led = {}, {}
    for account, time in wave.items():
        before = sum(other < time for other in wave.values())
        same = sum(other == time for other in wave.values())
        rank = before + Fraction(same + 1, 2)
        early[account] = 1 - (rank - 1) / (m - 1)
        led[account] = Fraction(int(time == first), n_first)
    return early, led


def score_slowly(rows, gap, rate):
    """Sum up over waves; variances from all orders of the places that were taken."""
    totals = {}
    for wave in list_waves(rows, gap):
        early, led = place_slowly(wave)
        m = len(wave)
        of_early = sum((e - Fraction(1, 2)) ** 2 for e in early.values()) / m
        of_led = sum((share - Fraction(1, m)) ** 2 for share in led.values()) / m
        for account in wave:
            total = totals.setdefault(account, np.zeros(6))
            expected = rate[account] / sum(rate[other] for other in wave)
            ahead = led[account] - Fraction(1, m)
            total += [float(x) for x in (1, early[account], of_early, ahead, of_led, expected)]
    return totals


ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 30), st.integers(0, 4)), min_size=1, max_size=40
)


@given(rows=ROWS, gap=st.sampled_from([None, 0, 2, 5]))
def test_score_adoptions__counts_like_a_plain_loop(rows, gap):
    rate = np.array([1, 2, 3, 4, 50, 6])
    table = score_adoptions(order_adoptions(make_uses(rows), wave_ms=gap), rate)
    slow = score_slowly(rows, gap, rate)
    for account, row in enumerate(table.to_dicts()):
        n, early, of_early, led, of_led, expected = slow.get(account, np.zeros(6))
        assert row["n_waves"] == n
        if n == 0:
            assert all(value is None for name, value in row.items() if name != "n_waves")
            continue
        assert row["earliness"] == pytest.approx(early / n)
        assert row["first_mover_expected"] == pytest.approx(expected / n)
        if of_early == 0:
            assert row["earliness_z"] is None
            assert row["first_mover_z"] is None
            continue
        assert row["earliness_z"] == pytest.approx((early - n / 2) / of_early**0.5)
        assert row["first_mover_z"] == pytest.approx(led / of_led**0.5)


@pytest.mark.parametrize("times", [[1, 2, 3, 4], [1, 1, 2, 3], [1, 2, 2, 2], [5, 5, 9, 9]])
def test_score_adoptions__has_mean_0_and_variance_1_over_all_orders(times):
    scores = []
    for order in itertools.permutations(times):
        uses = make_uses([(0, time, account) for account, time in enumerate(order)])
        table = score_adoptions(order_adoptions(uses, wave_ms=None), np.ones(4))
        scores.append(table.select("earliness_z", "first_mover_z", "first_mover_adjusted_z").row(0))
    assert np.mean(scores, axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    assert np.mean(np.square(scores), axis=0) == pytest.approx(np.ones(3))


def test_score_adoptions__knows_a_case_by_hand():
    # b comes first twice; a is third of three, then second of two.
    rows = [(0, 10, 1), (0, 20, 2), (0, 30, 0), (1, 5, 1), (1, 6, 0), (2, 7, 2), (0, 40, 1)]
    table = score_adoptions(order_adoptions(make_uses(rows), wave_ms=None), np.array([6, 3, 1]))
    assert table["n_waves"].to_list() == [2, 2, 1]
    assert table["earliness"].to_list() == [0, 1, 0.5]
    assert table["first_mover"].to_list() == [0, 1, 0]
    assert table["first_mover_expected"][1] == pytest.approx((3 / 10 + 3 / 9) / 2)
    # Variances of one of ranks 1 to 3, and 1 to 2, over the squares of 2 and 1.
    assert table["earliness_z"][1] == pytest.approx(1 / (2 / 3 / 4 + 1 / 4) ** 0.5)
    variance = 0.3 * 0.7 + (1 / 3) * (2 / 3)
    assert table["first_mover_adjusted_z"][1] == pytest.approx((2 - 0.3 - 1 / 3) / variance**0.5)


@given(rows=ROWS, gap=st.integers(0, 8))
def test_order_adoptions__takes_waves_as_objects_of_their_own(rows, gap):
    waves, last = [], {}
    for thing, time, account in sorted(rows):
        if thing not in last or time - last[thing][0] > gap:
            last[thing] = (time, len(waves))
        number = last[thing][1]
        last[thing] = (time, number)
        waves.append((number, time, account))
    # Numbers ascend by the wave's begin, not by object: the order of waves does not matter.
    rate = np.arange(1, 6)
    one = score_adoptions(order_adoptions(make_uses(rows), wave_ms=gap), rate)
    other = score_adoptions(order_adoptions(make_uses(waves), wave_ms=None), rate)
    for name in one.columns:
        assert one[name].to_list() == pytest.approx(other[name].to_list(), nan_ok=True)


@given(rows=ROWS, order=st.permutations(range(5)), shift=st.integers(-(10**12), 10**12))
def test_score_adoptions__keeps_scores_under_other_names_and_clocks(rows, order, shift):
    rate = np.array([1, 2, 3, 4, 5])
    table = score_adoptions(order_adoptions(make_uses(rows), wave_ms=4), rate)
    moved = [(thing, time + shift, order[account]) for thing, time, account in rows]
    renamed = np.empty(5, np.int64)
    renamed[list(order)] = rate
    other = score_adoptions(order_adoptions(make_uses(moved), wave_ms=4), renamed)
    for name in table.columns:
        assert table[name].to_list() == pytest.approx(other[name][list(order)].to_list())


@pytest.mark.parametrize("n_times", [10**9, 6], ids=["distinct times", "many ties"])
def test_score_adoptions__is_standard_normal_on_exchangeable_orders(n_times):
    rng = np.random.default_rng(7)
    n_accounts, rows = 1200, []
    for thing in range(6000):
        adopters = rng.choice(n_accounts, rng.integers(2, 25), replace=False)
        rows += zip([thing] * adopters.size, rng.integers(0, n_times, adopters.size), adopters,
                    strict=True)  # fmt: skip
    adoptions = order_adoptions(make_uses(rows), wave_ms=None)
    table = score_adoptions(adoptions, np.ones(n_accounts))
    for name in ("earliness_z", "first_mover_z", "first_mover_adjusted_z"):
        z = table[name].to_numpy()
        # Four standard errors of a mean and of a variance.
        assert abs(z.mean()) < 4 / n_accounts**0.5
        assert abs(z.var() - 1) < 4 * (2 / n_accounts) ** 0.5
    assert stats.kstest(table["earliness_z"].to_numpy(), "norm").pvalue > 0.01


def test_score_adoptions__expects_busy_accounts_to_come_first():
    rng = np.random.default_rng(3)
    n_accounts = 300
    rate = rng.pareto(1.5, n_accounts) + 1
    rows = []
    for thing in range(4000):
        adopters = rng.choice(n_accounts, 8, replace=False)
        times = (1e6 * rng.exponential(1 / rate[adopters])).astype(int)
        rows += zip([thing] * 8, times, adopters, strict=True)
    table = score_adoptions(order_adoptions(make_uses(rows), wave_ms=None), rate)
    adjusted = table["first_mover_adjusted_z"].to_numpy()
    assert abs(adjusted.mean()) < 4 / n_accounts**0.5
    assert abs(adjusted.var() - 1) < 4 * (2 / n_accounts) ** 0.5
    assert table["first_mover_z"].to_numpy().var() > 3


# --- who follows whom --------------------------------------------------------------------------

CELLS = st.sets(
    st.tuples(st.integers(0, 2), st.integers(-3, 9), st.integers(0, 4)), min_size=1, max_size=40
)
PAIRS = st.sets(
    st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(lambda pair: pair[0] != pair[1])
)


@given(cells=CELLS, pairs=PAIRS, lags=st.lists(st.integers(0, 3), min_size=1, unique=True))
def test_match_cells__counts_like_a_plain_loop(cells, pairs, lags):
    cells = sorted(cells)
    is_core = np.array([True, False, False, True, False])
    source, target = (np.array([pair[end] for pair in pairs], np.int64) for end in (0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(following_module, "_CHUNK_MATCHES", 3)
        found = match_cells(Cells(*np.array(cells).T), source, target, lags=lags, is_core=is_core)
    linked = {frozenset(pair) for pair in pairs}
    for place, (thing, time, account) in enumerate(cells):
        others = [
            (other, later - time)
            for what, later, other in cells
            if what == thing and frozenset((account, other)) in linked
        ]
        after = [other for other, gap in others if gap in lags and gap > 0]
        before = [other for other, gap in others if -gap in lags and gap < 0]
        assert found.account[place] == account
        assert (found.n_after[place], found.n_before[place]) == (len(after), len(before))
        assert found.after_core[place] == any(is_core[other] for other in before)


def test_match_pairs__counts_like_a_plain_loop():
    rng = np.random.default_rng(1)
    ids = pl.Series(["=a", "b\u202e", "c", "d"])
    rows = []
    for _ in range(200):
        one, other = rng.choice(4, 2, replace=False)
        rows.append((ids[int(one)], ids[int(other)], f"p{rng.integers(9)}", f"q{rng.integers(9)}",
                     f"o{rng.integers(3)}", "url", float(rng.integers(0, 3))))  # fmt: skip
    names = ["account_id", "account_id_y", "content_id", "content_id_y", "object_id", "kind",
             "time_delta"]  # fmt: skip
    pairs = pl.LazyFrame(rows, schema=names, orient="row")
    is_core = np.array([True, False, False, False])
    found = match_pairs(pairs, ids, np.array([1, 2, 3]), np.array([0, 1, 2]), is_core)
    slow = {}
    for one, other, content, content_y, thing, _, gap in rows:
        ends = {ids.to_list().index(name) for name in (one, other)}
        if gap == 0 or ends not in ({0, 1}, {1, 2}, {2, 3}):
            continue
        slow.setdefault((one, thing, content), [0, 0, False])[0] += 1
        share = slow.setdefault((other, thing, content_y), [0, 0, False])
        share[1], share[2] = share[1] + 1, share[2] or one == "=a"
    columns = (found.account, found.n_after, found.n_before, found.after_core)
    assert sorted(zip(*(column.tolist() for column in columns), strict=True)) == sorted(
        (ids.to_list().index(key[0]), *share) for key, share in slow.items()
    )


def test_score_following__knows_a_case_by_hand():
    # Account 0 leads 2, 2 and follows 1; account 1 has no partner around; account 2 no use.
    columns = [0, 0, 0, 1], [2, 2, 0, 0], [0, 0, 1, 0], [False, False, True, False]
    found = following_module.Following(*map(np.array, columns))
    table = score_following(found, np.array([4, 1, 0]))
    assert table.rows() == [
        (4, 1, 3 / 5, 3 / 3, 1 / 4), (0, 0, None, None, 0), (0, 0, None, None, None)
    ]  # fmt: skip


def test_score_following__is_standard_normal_where_nobody_leads():
    z = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        # Members join in bursts at random hours of three, and clump: pairs are not independent.
        cells = {
            (burst % 60, 24 * burst + int(rng.integers(3)), account)
            for burst in range(150)
            for account in np.flatnonzero(rng.random(30) < 0.5)
        }
        columns = np.array(sorted(cells)).T
        one, other = np.triu_indices(30, 1)
        found = match_cells(Cells(*columns), one, other, lags=(1,), is_core=np.zeros(30, bool))
        z += score_following(found, np.bincount(columns[2], minlength=30))["direction_z"].to_list()
    z = np.array(z)
    # The 30 accounts of a seed lean on each other: 40 independent seeds.
    assert abs(z.mean()) < 0.05
    assert abs(z.std() - 1) < 0.1
    assert np.mean(np.abs(z) > 2) < 0.07


# --- places in the network ---------------------------------------------------------------------


def make_flows(edges, n_accounts):
    """Return the flows of a dict (source, target): weight."""
    ends = np.array(list(edges), dtype=np.int64).reshape(-1, 2)
    return Flows(n_accounts, ends[:, 0], ends[:, 1], np.array(list(edges.values()), float))


def make_matrix(edges):
    matrix = np.zeros((6, 6))
    for ends, weight in edges.items():
        matrix[ends] = weight
    return matrix


def correlate_slowly(matrix, core):
    """Return the correlation of net weights with the ideal pattern of a core."""
    net, ideal = [], []
    for i, j in itertools.permutations(range(len(matrix)), 2):
        net.append(matrix[i, j] - matrix[j, i])
        ideal.append((i in core) * 1 - (j in core) * 1)
    return np.corrcoef(net, ideal)[0, 1] if any(net) else -1


GRAPHS = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda pair: pair[0] != pair[1]),
    st.integers(1, 5),
    min_size=1,
)


@given(edges=GRAPHS)
def test_split_core__finds_the_best_of_all_cores(edges):
    matrix = make_matrix(edges)
    is_core, fit = split_core(make_flows(edges, 6), np.zeros(6, np.int64))
    cores = [set(c) for size in range(1, 6) for c in itertools.combinations(range(6), size)]
    fits = [correlate_slowly(matrix, core) for core in cores]
    best = [core for core, value in zip(cores, fits, strict=True) if value > max(fits) - 1e-9]
    if max(fits) <= 1e-9 or min(map(len, best)) > 3:
        assert not is_core.any() and np.isnan(fit).all()
        return
    assert fit == pytest.approx(np.full(6, max(fits)))
    assert set(np.flatnonzero(is_core)) in best
    assert is_core.sum() == min(map(len, best))


def test_split_core__splits_each_component_and_knows_stars():
    # Two sources of five; one follower of three is no core of few; an even pair; one alone.
    edges = {(s, t): 2.0 for s in (0, 1) for t in (2, 3, 4)}
    edges |= {(s, 8): 1.0 for s in (5, 6, 7)} | {(9, 10): 1.0, (10, 9): 1.0}
    component = np.array([0] * 5 + [1] * 4 + [2] * 2 + [-1])
    is_core, fit = split_core(make_flows(edges, 12), component)
    assert np.flatnonzero(is_core).tolist() == [0, 1]
    assert fit[:5] == pytest.approx(np.ones(5))
    assert np.isnan(fit[5:]).all()


@given(edges=GRAPHS, order=st.permutations(range(6)))
def test_score_positions__keeps_scores_under_other_names(edges, order):
    component = np.zeros(6, np.int64)
    community = np.array([0, 0, 1, 1, 2, 2])
    table = score_positions(make_flows(edges, 6), community, component, min_followers=1)
    moved = {(order[s], order[t]): w for (s, t), w in edges.items()}
    renamed = np.empty(6, np.int64)
    renamed[list(order)] = community
    other = score_positions(make_flows(moved, 6), renamed, component, min_followers=1)
    assert table["part"].to_list() == other["part"][list(order)].to_list()
    # Where several singular vectors lead, hubs are not unique; see their own tests.
    for name in set(table.columns) - {"part", "hub", "authority"}:
        assert table[name].to_list() == pytest.approx(other[name][list(order)].to_list(), abs=1e-9)


def test_score_positions__knows_a_case_by_hand():
    # 0 leads 1, 2, 3; 4 leads 1, but not enough others for the core; 1 answers 0 once.
    edges = {(0, 1): 3.0, (1, 0): 1.0, (0, 2): 3.0, (0, 3): 3.0, (4, 1): 2.0}
    table = score_positions(
        make_flows(edges, 6), np.array([0, 0, 0, 1, 1, -1]), np.array([0, 0, 0, 0, 0, -1]),
        min_followers=2,
    )  # fmt: skip
    assert table["asymmetry"].to_list() == [8 / 10, -4 / 6, -1, -1, 1, None]
    assert table["net_flow"].to_list() == [8, -4, -3, -3, 2, None]
    assert table["n_followers"].to_list() == [3, 0, 0, 0, 1, None]
    assert table["n_leaders"].to_list() == [0, 2, 1, 1, 0, None]
    parts = (["core", *["periphery"] * 3, None, None], ["core", *["periphery"] * 4, None])
    assert table["part"].to_list() in parts
    assert table["n_core_leaders"].to_list() == [0, 1, 1, 1, 0, None]
    shares = {0: (7 / 10, 3 / 10), 1: (4 / 6, 2 / 6)}
    for account, parts in shares.items():
        expected = 1 - sum(part**2 for part in parts)
        assert table["participation"][account] == pytest.approx(expected)


def test_score_positions__has_nothing_to_say_without_edges():
    nowhere = np.full(3, -1)
    table = score_positions(make_flows({}, 3), nowhere, nowhere)
    assert all(column.null_count() == 3 for column in table)


@given(edges=GRAPHS)
def test_rank_hubs__agrees_with_networkx(edges):
    strength = np.linalg.svd(make_matrix(edges), compute_uv=False)
    if strength[1] > 0.9 * strength[0]:  # then there are several leading vectors, or nearly
        return
    graph = nx.DiGraph()
    graph.add_nodes_from(range(6))
    graph.add_weighted_edges_from((s, t, w) for (s, t), w in edges.items())
    hubs, authorities = nx.hits(graph, tol=1e-12, max_iter=1000)
    hub, authority = rank_hubs(make_flows(edges, 6))
    assert hub == pytest.approx([hubs[node] for node in range(6)], abs=1e-6)
    assert authority == pytest.approx([authorities[node] for node in range(6)], abs=1e-6)


def test_rank_hubs__gives_the_one_who_leads_the_hub():
    hub, authority = rank_hubs(make_flows({(0, 1): 5.0, (0, 2): 5.0, (0, 3): 5.0}, 4))
    assert hub == pytest.approx([1, 0, 0, 0])
    assert authority == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])
    twins = {(0, 1): 1.0, (0, 2): 1.0, (3, 4): 1.0, (3, 5): 1.0}
    assert rank_hubs(make_flows(twins, 6))[0] == pytest.approx([0.5, 0, 0, 0.5, 0, 0])
    assert rank_hubs(make_flows({(0, 1): 1.0}, 2))[0] == pytest.approx([1, 0])


@given(edges=GRAPHS, community=st.lists(st.integers(-1, 2), min_size=6, max_size=6))
def test_measure_participation__counts_like_a_plain_loop(edges, community):
    found = measure_participation(make_flows(edges, 6), np.array(community))
    for account in range(6):
        by = {}
        for (source, target), weight in edges.items():
            for one, other in ((source, target), (target, source)):
                if one == account:
                    by[community[other]] = by.get(community[other], 0) + weight
        total = sum(by.values())
        expected = 1 - sum((w / total) ** 2 for w in by.values()) if total else 0
        assert found[account] == pytest.approx(expected, abs=1e-12)


# --- the words ---------------------------------------------------------------------------------

PLAIN = {
    "earliness_z": 0.0, "direction_z": 0.0, "part": None, "core_fit": None, "n_followers": 0,
    "n_leaders": 0, "n_core_leaders": 0, "participation": 0.0, "originality": 0.5,
    "immigrant_ratio": None,
}  # fmt: skip
CASES = [
    ({"part": "core", "direction_z": 3.0, "n_followers": 9, "core_fit": 0.8}, "core"),
    ({"part": "core", "direction_z": 2.0, "n_followers": 9}, "none"),
    ({"part": "core", "direction_z": 3.0, "earliness_z": 3.0, "core_fit": 0.8}, "core"),
    ({"direction_z": 3.0, "earliness_z": 2.1}, "catalyst"),
    ({"direction_z": 3.0, "earliness_z": 2.0}, "none"),
    ({"direction_z": None, "earliness_z": 9.0}, "none"),
    ({"part": "periphery", "direction_z": -3.0, "n_core_leaders": 1}, "amplifier"),
    ({"part": "periphery", "direction_z": -3.0, "participation": 0.9, "n_core_leaders": 1},
     "amplifier"),
    ({"part": "periphery", "direction_z": -3.0}, "none"),
    ({"part": "periphery", "direction_z": -2.0, "n_core_leaders": 1}, "none"),
    ({"participation": 0.63}, "bridge"),
    ({"participation": 0.62}, "none"),
    ({"n_leaders": 1, "originality": 0.4}, "booster"),
    ({"n_leaders": 0, "originality": 0.4}, "none"),
]  # fmt: skip


def make_scores(cases):
    """Return scores of some accounts, and three plain ones of the network that set the median."""
    dtypes = dict.fromkeys(PLAIN, pl.Float64) | {"part": pl.String}
    return pl.DataFrame([PLAIN | case for case in [*cases, {}, {}, {}]], schema=dtypes)


@pytest.mark.parametrize(("case", "role"), CASES)
def test_name_roles__follows_its_conditions(case, role):
    named = name_roles(make_scores([case]), RoleSettings())
    assert named["role"].to_list() == [role, *["none"] * 3]
    reasons = named["role_reasons"][0]
    assert reasons == "no condition holds" if role == "none" else reasons.startswith(f"{role}: ")


def test_name_roles__tells_all_that_holds_with_the_numbers():
    case = {"part": "core", "direction_z": 3.21234, "n_followers": 12, "core_fit": 0.875,
            "earliness_z": 2.5, "participation": 0.7}  # fmt: skip
    named = name_roles(make_scores([case, {"participation": None}]), RoleSettings())
    assert named["role_reasons"][0] == (
        "core: leads 12 accounts, direction z 3.21, core fit 0.875; "
        "catalyst: earliness z 2.5, direction z 3.21; bridge: participation 0.7"
    )
    assert named.row(1) == ("none", "no edges")


def test_name_roles__takes_the_immigrant_ratio_of_a_model():
    cases = [{"n_leaders": 1, "originality": 0.1, "immigrant_ratio": 0.9},
             {"n_leaders": 1, "originality": 0.9, "immigrant_ratio": 0.1},
             {"n_leaders": 1, "originality": 0.9, "immigrant_ratio": 0.5}]  # fmt: skip
    named = name_roles(make_scores(cases), RoleSettings())
    assert named["role"].to_list()[:3] == ["none", "booster", "none"]
    assert named["role_reasons"][1] == (
        "booster: follows 1 accounts, immigrant ratio 0.1 below the median 0.5"
    )


def test_name_roles__moves_with_its_cut_offs():
    scores = make_scores([{"direction_z": 3.0, "earliness_z": 3.0}])
    for choices in ({"min_direction": 3.0}, {"min_earliness": 3.0}):
        assert name_roles(scores, RoleSettings(**choices))["role"][0] == "none"
    assert name_roles(scores, RoleSettings())["role"][0] == "catalyst"


# --- runs --------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[1, 2])
def planted(request, tmp_path_factory):
    """Return a run on an archive with a planted operation, and the truth."""
    folder = tmp_path_factory.mktemp("planted")
    overrides = {"follow_probability": 0.35}
    made = gc.simulate(folder / "archive", seed=request.param, overrides=overrides)
    store = gc.ingest([made.tweets, made.users], folder / "store")
    return gc.detect(store, folder / "run", groups=0), pl.read_parquet(made.truth_accounts)


def test_assign_roles__tells_core_from_amplifiers(planted):
    findings, truth = planted
    found = assign_roles(findings).read("accounts").drop("label")
    truth = truth.select("account_id", truth="role")
    scored = found.join(truth, on="account_id").filter(pl.col("truth") != "organic")
    is_core = (scored["truth"] == "core").to_numpy()
    for name in ("direction_z", "net_flow", "asymmetry", "hub", "earliness_z",
                 "first_mover_adjusted_z"):  # fmt: skip
        assert compute_auc(scored[name].to_numpy(), is_core) >= 0.9, name
    assert (scored["role"] == scored["truth"]).mean() > 0.9
    outside = found.join(truth.filter(pl.col("truth") == "organic"), on="account_id")
    assert (outside["role"] != "none").mean() < 0.05


def test_assign_roles__replaces_nothing_but_accounts_and_marker(planted):
    findings, _ = planted
    before = {file.name: file.stat().st_ino for file in findings.path.iterdir()}
    assigned = assign_roles(findings)
    assert verify(findings.path)["n_tables"] == len(findings.content["tables"])
    after = {file.name: file.stat().st_ino for file in findings.path.iterdir()}
    assert before.keys() == after.keys()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"accounts.parquet", "run.json"}
    assert assigned.read("accounts").columns[-len(ROLE_COLUMNS) :] == list(ROLE_COLUMNS)
    first = {name: hash_file(findings.path / name) for name in changed}
    assign_roles(findings.path)
    assert {name: hash_file(findings.path / name) for name in changed} == first
    counts = assigned.content["roles"]["counts"]
    assert list(counts) == list(ROLES)
    assert sum(counts.values()) == findings.summary["n_accounts"]
    assert assigned.content["specification"] == findings.content["specification"]


SHARES = """account_id,object_id,content_id,timestamp_share
a,x,1,0
b,x,2,3600
=cmd(),x,3,36000
b,x,4,39600
a,y,5,0
b,y,6,3600
"\u202e<script>",y,7,90000
a,z,8,7000000
a,only,9,8000000
"""


@pytest.fixture
def ingest_text(tmp_path):
    def ingest_text(text, name="store"):
        (tmp_path / f"{name}.csv").write_text(text)
        return gc.ingest(tmp_path / f"{name}.csv", tmp_path / name)

    return ingest_text


@pytest.fixture
def shares_run(ingest_text, tmp_path):
    """Return a run on few shares by accounts with hostile names; every edge is in the network."""
    return gc.detect(ingest_text(SHARES), tmp_path / "run", kinds=["object"], paper=True)


def test_score_roles__knows_few_shares_by_hand(shares_run):
    scores = score_roles(shares_run, find_store(shares_run), wave=None)
    ids = shares_run.read("accounts")["account_id"].to_list()
    rows = dict(zip(ids, scores.to_dicts(), strict=True))
    a, b, script = rows["a"], rows["b"], rows["\u202e<script>"]
    assert (a["n_uses"], a["n_waves"], a["earliness"], a["first_mover"]) == (4, 2, 1, 1)
    assert a["originality"] == 4 / 4
    assert (b["originality"], script["originality"]) == (0, 0)
    # a - b on x and y, =cmd() - b on x; script comes a day later, without edges.
    assert (a["n_after"], a["n_before"], a["direction_z"]) == (2, 0, 2 / 2**0.5)
    assert (b["n_after"], b["n_before"], b["direction_z"]) == (0, 3, -3 / 3**0.5)
    assert (a["net_flow"], b["net_flow"], b["asymmetry"]) == (2, -3, -1)
    assert script["net_flow"] is None and script["direction_z"] is None
    assert (a["retweet_share"], a["immigrant_ratio"], a["caused"]) == (None, None, None)


def test_assign_roles__keeps_hostile_names_and_guests(shares_run, tmp_path):
    (shares_run.path / "notes.txt").write_text("mine")
    assigned = assign_roles(shares_run, min_followers=1, min_direction=1)
    assert (shares_run.path / "notes.txt").read_text() == "mine"
    ids = shares_run.read("accounts")["account_id"]
    assert assigned.read("accounts")["account_id"].to_list() == ids.to_list()
    assert {"=cmd()", "\u202e<script>"} < set(ids)
    verify(shares_run.path)


def test_assign_roles__goes_on_without_a_network(ingest_text, tmp_path):
    store = ingest_text("\n".join(SHARES.splitlines()[:2]))
    run = gc.share(store, tmp_path / "run", kinds=["object"])
    accounts = assign_roles(run).read("accounts")
    assert accounts["role"].to_list() == ["none"]
    assert accounts["role_reasons"].to_list() == ["no edges"]
    assert accounts["n_waves"].to_list() == [0]


def test_assign_roles__reads_the_halves_of_a_split(planted):
    findings, _ = planted
    out = findings.path.parent / "split"
    split = gc.detect(find_store(findings), out, paper=True, split_at="2021-03-15")
    for half in ("before", "after"):
        analysed = assign_roles(split.path / half)
        accounts = analysed.read("accounts")
        n_events = split.read("entities")["n_events"].sum()
        assert 0 < accounts["n_uses"].sum() < n_events
        assert accounts["n_uses"].sum() == analysed.read("entities")["n_events"].sum()
    assert verify(split.path)["n_tables"] > 12


@pytest.mark.parametrize(
    "choices",
    [
        *({"min_weight": 2}, {"tests": False}, {"mode": "coornet"}, {"mode": "qut"}),
        *({"mode": "coortweet"} | more for more in ({}, {"edge_weight_quantile": 0.5})),
        {"mode": "coortweet", "fast_window": "20s", "subgraph": 2},
    ],
    ids=str,
)
def test_assign_roles__reads_runs_of_shares(choices, make_table_store, tmp_path):
    rng = np.random.default_rng(5)
    rows = []
    for thing in range(12):
        # l leads, f1 to f4 follow within the minute; o1 to o9 whenever.
        seconds = {"l": 0} | {f"f{i}": 10 * i for i in range(1, 5)}
        seconds |= {f"o{i}": int(rng.integers(80000)) for i in rng.choice(9, 3, replace=False)}
        rows += [(name, f"u{thing}", f"{name}-{thing}", 90000 * thing + second)
                 for name, second in seconds.items()]  # fmt: skip
    store = make_table_store(rows)
    run = gc.share(store, tmp_path / "run", kinds=["object"], window="60s", **choices)
    assigned = assign_roles(run)
    accounts = {row["account_id"]: row for row in assigned.read("accounts").to_dicts()}
    verify(run.path)
    leader, last = accounts["l"], accounts["f4"]
    assert (leader["n_uses"], leader["n_waves"]) == (12, 12)
    if leader["component"] is not None:
        assert leader["direction_z"] == pytest.approx(12**0.5)
        assert last["direction_z"] < -3.4
        assert leader["n_followers"] >= 4 and leader["n_leaders"] == 0
        assert leader["role"] == "core"
        assert last["n_core_leaders"] >= 1 and last["role"] == "amplifier"
        assert last["amplification_ratio"] == 1


def test_analysed__partners_are_chosen_by_both_directions_together(planted):
    findings, _ = planted
    analysed = Analysed(findings, find_store(findings), "detect")
    one, other = analysed.partners
    assert (one < other).all()
    edges = findings.read("edges")
    network = edges.filter("in_network").select("source", "target", "lag").rows()
    # In the same bin nobody leads.
    linked = {frozenset((source, target)) for source, target, lag in network if lag > 0}
    assert one.size == len(linked) < len(network)
    ids = analysed.accounts["account_id"]
    names = {end for source, target, _ in network for end in (source, target)}
    sums = {}
    columns = ("source", "target", "n_hours", "expected_habit")
    for source, target, observed, expected in (
        edges.filter(pl.col("lag") > 0).select(columns).rows()
    ):
        if source in names and target in names:
            total = sums.setdefault(frozenset((source, target)), [0, []])
            total[0] += observed
            total[1].append(expected)

    def rank(pair):
        observed, expected = sums[pair][0], 2 * np.mean(sums[pair][1])
        size = observed * np.log(observed / expected) - observed + expected
        return size if observed > expected else -size

    chosen = {frozenset((ids[int(i)], ids[int(j)])) for i, j in zip(one, other, strict=True)}
    least = min(map(rank, chosen))
    assert all(rank(pair) <= least + 1e-8 for pair in sums.keys() - chosen)


def test_analysed__counts_firsts_and_retweets_like_plain_loops(planted):
    findings, _ = planted
    store = find_store(findings)
    analysed = Analysed(findings, store, "detect")
    kinds = findings.content["counts"]["kinds"]
    first, names = {}, dict(store.read("accounts").select("account", "account_id").rows())
    events = store.read("events").select("account", "entity", "time", "kind", "post").rows()
    for account, entity, time, kind, _ in events:
        if kind in kinds:
            first.setdefault(entity, []).append((time, account))
    firsts = dict.fromkeys(analysed.accounts["account_id"], 0.0)
    for uses in first.values():
        leading = {account for time, account in uses if time == min(uses)[0]}
        for account in leading:
            firsts[names[account]] += 1 / len(leading)
    assert analysed.count_firsts() == pytest.approx(list(firsts.values()))
    posts = {}
    for account, _, _, kind, post in events:
        if kind == "retweet":
            posts.setdefault(names[account], set()).add(post)
    n_posts = analysed.accounts.select("account_id", "n_posts").rows()
    shares = [len(posts.get(name, ())) / n for name, n in n_posts]
    assert analysed.measure_retweets().to_list() == pytest.approx(shares)


# --- the store, the model, and what is refused -------------------------------------------------


def test_find_store__asks_for_the_store_that_the_run_was_made_from(
    shares_run, ingest_text, tmp_path
):
    assert find_store(shares_run).path.name == "store"
    other = ingest_text(SHARES + "q,x,90,5\n", "elsewhere")
    with pytest.raises(ValueError, match=r"another store than .*elsewhere"):
        find_store(shares_run, other)
    (tmp_path / "store").rename(tmp_path / "moved")
    with pytest.raises(ValueError, match=r"'store' .* is not beside it; name it with --store"):
        find_store(shares_run)
    assert find_store(shares_run, tmp_path / "moved").path.name == "moved"
    # A store of that name, but another one, is not taken.
    (tmp_path / "elsewhere").rename(tmp_path / "store")
    with pytest.raises(ValueError, match="is not beside it"):
        assign_roles(shares_run)
    with pytest.raises(FileNotFoundError, match="no store"):
        assign_roles(shares_run, tmp_path / "nowhere")


def write_model(folder, run, rows, *, manifest=None):
    """Write the part of a model's folder that roles read."""
    folder.mkdir()
    manifest = manifest or run.content["input"]["manifest_sha256"]
    content = {"gpu_coord": "test", "input": {"manifest_sha256": manifest}, "summary": {}}
    (folder / "model.json").write_text(json.dumps(content))
    pl.DataFrame(rows).write_parquet(folder / "accounts.parquet")
    return folder


def test_assign_roles__takes_numbers_from_a_model(shares_run, tmp_path):
    rows = {"account_id": ["b", "a"], "immigrant_ratio": [0.25, float("nan")], "caused": [0.5, 2.0]}
    model = write_model(tmp_path / "model", shares_run, rows)
    assigned = assign_roles(shares_run, model=model)
    accounts = {row["account_id"]: row for row in assigned.read("accounts").to_dicts()}
    assert (accounts["b"]["immigrant_ratio"], accounts["b"]["caused"]) == (0.25, 0.5)
    assert (accounts["a"]["immigrant_ratio"], accounts["a"]["caused"]) == (None, 2)
    assert accounts["=cmd()"]["immigrant_ratio"] is None
    named = {"folder": "model", "fingerprint": open_run(model).fingerprint}
    assert assigned.content["roles"]["model"] == named
    assert assign_roles(shares_run).content["roles"]["model"] is None


def test_assign_roles__refuses_models_that_are_none_or_not_of_the_store(shares_run, tmp_path):
    rows = {"account_id": ["a"], "immigrant_ratio": [0.2], "caused": [1.0]}
    with pytest.raises(FileNotFoundError, match="no model at"):
        assign_roles(shares_run, model=tmp_path)
    other = write_model(tmp_path / "other", shares_run, rows, manifest="0")
    with pytest.raises(ValueError, match="another store than the run"):
        assign_roles(shares_run, model=other)
    less = write_model(tmp_path / "less", shares_run, {"account_id": ["a"], "caused": [1.0]})
    with pytest.raises(ValueError, match=r"lacks the columns \['immigrant_ratio'\]"):
        assign_roles(shares_run, model=less)
    assert "roles" not in open_run(shares_run.path).content


def test_assign_roles__refuses_other_commands_and_altered_edges(shares_run):
    path = shares_run.path / "edges.parquet"
    pl.read_parquet(path).head(1).write_parquet(path)
    with pytest.raises(ValueError, match="1 edges in its network, but its accounts have 2"):
        assign_roles(shares_run)
    marker = shares_run.path / "run.json"
    marker.write_text(json.dumps(shares_run.content | {"command": "coact"}))
    with pytest.raises(ValueError, match="made by coact; roles are for runs of detect and share"):
        assign_roles(shares_run.path)
    with pytest.raises(FileNotFoundError, match="no run at"):
        assign_roles(shares_run.path / "nothing")


# --- the command -------------------------------------------------------------------------------


def test_roles__shows_counts_and_pseudonyms(planted):
    findings, _ = planted
    result = succeed("roles", findings.path)
    assert "amplifier" in result.stdout and "no verdict" in result.stdout
    accounts = open_run(findings.path).read("accounts")
    leading = accounts.filter(pl.col("role") == "core").sort("direction_z", descending=True)
    assert leading["pseudonym"][0] in result.stdout
    assert not any(name in result.stdout for name in accounts["account_id"])
    shown = invoke("roles", findings.path, "--show-ids")
    assert leading["account_id"][0][:15] in shown.stdout


def test_roles__prints_its_counts_as_one_json_object(shares_run):
    result = invoke("roles", shares_run.path, "--json", "--wave", "none")
    assert json.loads(result.stdout) == dict.fromkeys(ROLES, 0) | {"none": 4}
    assert open_run(shares_run.path).content["roles"]["settings"]["wave"] is None
    succeed("verify", shares_run.path)


def test_roles__says_that_there_is_no_network(ingest_text, tmp_path):
    gc.detect(ingest_text(SHARES), tmp_path / "run", kinds=["object"], groups=0)
    assert "has no edges" in succeed("roles", tmp_path / "run").stdout


def test_roles__fails_with_one_sentence(shares_run, tmp_path):
    for arguments, code, said in (
        ([tmp_path / "nothing"], 1, "there is no run at"),
        ([shares_run.path, "--wave", "6x"], 1, "'6x'"),
        ([shares_run.path, "--min-participation", "2"], 2, "--min-participation"),
        ([shares_run.path, "--model", tmp_path], 1, "there is no model at"),
        ([shares_run.path, "--store", tmp_path / "no"], 1, "There is no store at"),
        ([shares_run.path, "--min-followers", "x"], 2, "--min-followers"),
    ):
        told = refuse(code, "roles", *arguments)
        assert said in told
        assert told.startswith("error: " if code == 1 else "Usage: ")
