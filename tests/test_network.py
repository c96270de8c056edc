"""networkx is the oracle of components and modularity; slow loops are that of the tables."""

from dataclasses import replace
from itertools import permutations, product

import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gpu_coord.backend import cpu
from gpu_coord.network.network import (
    build_network,
    score_accounts,
    summarise_classes,
    summarise_communities,
    summarise_components,
)

WEIGHTS = st.sampled_from([0.125, 0.25, 0.5, 1.0, 3.0])  # exact sums in any order


@st.composite
def edge_lists(draw, min_edges=0):
    n_accounts = draw(st.integers(2, 9))
    account = st.integers(0, n_accounts - 1)
    edge = st.tuples(account, account).filter(lambda pair: pair[0] != pair[1])
    weights = draw(st.dictionaries(edge, WEIGHTS, min_size=min_edges, max_size=25))
    return n_accounts, [(*pair, weight) for pair, weight in weights.items()]


def build(n_accounts, edges, backend=None, **choices):
    source, target, weight = zip(*edges, strict=True) if edges else ((), (), ())
    source, target = np.array(source, dtype=np.int32), np.array(target, dtype=np.int32)
    choices |= {"n_accounts": n_accounts, "backend": backend or cpu()}
    return build_network(source, target, np.array(weight, dtype=np.float64), **choices)


def to_networkx(edges):
    graph = nx.DiGraph()
    graph.add_weighted_edges_from(edges)
    return graph


def order_sets(sets, n_accounts):
    """Label sets of accounts by size, then by their smallest account; -1 outside all of them."""
    labels = np.full(n_accounts, -1)
    for label, members in enumerate(sorted(sets, key=lambda group: (-len(group), min(group)))):
        labels[list(members)] = label
    return labels


def list_communities(network):
    return [set(np.flatnonzero(network.community == c)) for c in range(network.n_communities)]


def plant_groups(rng, *, n_groups, group_size, p_inside, p_between):
    group = rng.permutation(np.repeat(np.arange(n_groups), group_size))
    p_edge = np.where(group[:, None] == group, p_inside, p_between)
    source, target = np.nonzero(rng.random(p_edge.shape) < p_edge)
    apart = source != target
    weight = rng.uniform(0.5, 1.0, apart.sum())
    return group, list(zip(source[apart].tolist(), target[apart].tolist(), weight, strict=True))


def assert_same_network(left, right):
    for name in ("source", "target", "weight", "component", "strong_component", "community"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)


@given(edge_lists())
def test_build_network__components_are_those_of_networkx(case):
    n_accounts, edges = case
    network, graph = build(n_accounts, edges), to_networkx(edges)
    weak = order_sets(nx.weakly_connected_components(graph), n_accounts)
    strong = order_sets(nx.strongly_connected_components(graph), n_accounts)
    np.testing.assert_array_equal(network.component, weak)
    np.testing.assert_array_equal(network.strong_component, strong)
    assert network.n_components == nx.number_weakly_connected_components(graph)


@given(edge_lists(), st.randoms(use_true_random=False))
def test_build_network__ignores_the_order_of_edges(case, random):
    n_accounts, edges = case
    shuffled = random.sample(edges, len(edges))
    assert_same_network(build(n_accounts, edges), build(n_accounts, shuffled))


@given(edge_lists(), st.randoms(use_true_random=False))
def test_build_network__renamed_accounts_keep_their_components(case, random):
    n_accounts, edges = case
    name = random.sample(range(n_accounts), n_accounts)
    network = build(n_accounts, edges)
    renamed = build(n_accounts, [(name[i], name[j], weight) for i, j, weight in edges])

    def partition(labels, names):
        members = [np.flatnonzero(labels == label) for label in set(labels)]
        return {frozenset(names[i] for i in group) for group in members}

    for labels in ("component", "strong_component"):
        before, after = getattr(network, labels), getattr(renamed, labels)
        assert partition(before, name) == partition(after, range(n_accounts))
        np.testing.assert_array_equal(np.bincount(before + 1), np.bincount(after + 1))


@given(edge_lists(min_edges=1))
def test_build_network__communities_are_connected_and_ordered(case):
    n_accounts, edges = case
    network, graph = build(n_accounts, edges), to_networkx(edges).to_undirected()
    communities = list_communities(network)
    assert set().union(*communities) == set(graph)
    assert all(nx.is_connected(graph.subgraph(members)) for members in communities)
    np.testing.assert_array_equal(network.community, order_sets(communities, n_accounts))


def test_build_network__splits_communities_that_are_not_connected(backend):
    lumping = replace(backend, communities=lambda *arrays, **choices: np.zeros(arrays[3]))
    network = build(5, [(0, 1, 1.0), (3, 2, 1.0)], lumping)
    assert network.community.tolist() == [0, 0, 1, 1, -1]


@pytest.mark.parametrize("seed", range(3))
def test_build_network__recovers_planted_groups(backend, seed):
    rng = np.random.default_rng(seed)
    group, edges = plant_groups(rng, n_groups=6, group_size=20, p_inside=0.5, p_between=0.01)
    network = build(group.size, edges, backend, seed=seed)
    planted = [np.flatnonzero(group == label) for label in range(6)]
    np.testing.assert_array_equal(network.community, order_sets(planted, group.size))


@pytest.mark.parametrize("p_between", [0.02, 0.1, 0.2])
def test_build_network__modularity_is_near_that_of_louvain(backend, p_between):
    rng = np.random.default_rng(11)
    group, edges = plant_groups(rng, n_groups=8, group_size=15, p_inside=0.3, p_between=p_between)
    network = build(group.size, edges, backend, seed=3)
    graph = nx.Graph()
    graph.add_nodes_from(range(group.size))
    for source, target, weight in edges:
        known = graph.get_edge_data(source, target, {"weight": 0.0})["weight"]
        graph.add_edge(source, target, weight=known + weight)
    louvain = nx.community.louvain_communities(graph, seed=3)
    ours = nx.community.modularity(graph, list_communities(network))
    assert ours >= nx.community.modularity(graph, louvain) - 0.05


def test_build_network__same_seed_gives_same_communities(backend):
    rng = np.random.default_rng(5)
    _, edges = plant_groups(rng, n_groups=8, group_size=15, p_inside=0.2, p_between=0.1)
    assert_same_network(build(120, edges, backend, seed=9), build(120, edges, backend, seed=9))
    labels = {tuple(build(120, edges, backend, seed=seed).community) for seed in range(8)}
    assert len(labels) > 1, "the seed does nothing"


def test_build_network__resolution_sets_the_size_of_communities(backend):
    rng = np.random.default_rng(2)
    group, edges = plant_groups(rng, n_groups=6, group_size=20, p_inside=0.5, p_between=0.05)
    few, many = (
        build(group.size, edges, backend, resolution=resolution).n_communities
        for resolution in (0.05, 20.0)
    )
    assert few == 1
    assert many > 6


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_build_network__only_ratios_of_weights_make_communities(backend, scale):
    rng = np.random.default_rng(4)
    group, edges = plant_groups(rng, n_groups=3, group_size=10, p_inside=0.6, p_between=0.02)
    scaled = [(source, target, weight * scale) for source, target, weight in edges]
    planted = order_sets([np.flatnonzero(group == label) for label in range(3)], group.size)
    np.testing.assert_array_equal(build(group.size, scaled, backend).community, planted)


@pytest.mark.parametrize("n_accounts", [0, 3])
def test_build_network__no_edges_no_network(backend, n_accounts):
    network = build(n_accounts, [], backend)
    accounts = name_accounts([None] * n_accounts)
    assert network.n_edges == network.n_components == network.n_communities == 0
    assert network.component.tolist() == [-1] * n_accounts
    assert score_accounts(network)["community"].null_count() == n_accounts
    assert score_accounts(network)["influence"].to_list() == [0.0] * n_accounts
    for summarise in (summarise_components, summarise_communities):
        assert summarise(network, accounts).height == 0


def test_tables__have_the_same_columns_with_and_without_edges(backend):
    accounts = name_accounts(["operation", None, None])
    full, empty = build(3, [(2, 0, 0.5)], backend), build(3, [], backend)
    assert score_accounts(full).schema == score_accounts(empty).schema
    for summarise in (summarise_components, summarise_communities):
        assert summarise(full, accounts).schema == summarise(empty, accounts).schema
    edges = pl.DataFrame({"source": [2], "target": [0], "weight": [0.5]})
    tables = [summarise_classes(frame, accounts, kinds=[]) for frame in (edges, edges.head(0))]
    assert tables[0].schema == tables[1].schema


def test_build_network__one_edge(backend):
    network = build(3, [(2, 0, 0.5)], backend)
    assert network.component.tolist() == [0, -1, 0]
    assert network.strong_component.tolist() == [0, -1, 1]
    assert network.community.tolist() == [0, -1, 0]
    assert repr(network) == "Network(2 of 3 accounts, 1 edges, 1 components, 1 communities)"


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([(0, 1, 1.0), (2, 2, 1.0)], "2 -> 2 links an account to itself"),
        ([(0, 1, 1.0), (1, 0, 1.0), (0, 1, 2.0)], "0 -> 1 occurs more than once"),
        ([(0, 3, 1.0)], "0 -> 3 has an unknown target"),
        ([(-1, 2, 1.0)], "-1 -> 2 has an unknown source"),
        ([(0, 1, 0.0)], "0 -> 1 has a weight that is not above 0"),
        ([(0, 1, float("nan"))], "0 -> 1 has a weight that is not above 0"),
        ([(0, 1, float("inf"))], "0 -> 1 has a weight that is not above 0"),
    ],
)
def test_build_network__refuses_unsound_edges(backend, edges, message):
    with pytest.raises(ValueError, match=message):
        build(3, edges, backend)


def test_build_network__refuses_arrays_of_different_lengths(backend):
    arrays = np.array([0]), np.array([1, 2]), np.array([1.0])
    with pytest.raises(ValueError, match="one length"):
        build_network(*arrays, n_accounts=3, backend=backend)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"resolution": 0.0}, "resolution is 0.0"),
        ({"resolution": float("nan")}, "resolution is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**63}, "seed is 9223372036854775808"),
    ],
)
def test_build_network__refuses_choices_out_of_range(backend, choice, message):
    with pytest.raises(ValueError, match=message):
        build(2, [(0, 1, 1.0)], backend, **choice)


@given(edge_lists())
def test_score_accounts__weights_and_degrees_are_sums_over_edges(case):
    n_accounts, edges = case
    network = build(n_accounts, edges)
    scores, graph = score_accounts(network), to_networkx(edges)
    graph.add_nodes_from(range(n_accounts))
    for account, row in enumerate(scores.iter_rows(named=True)):
        assert row["influence"] == graph.out_degree(account, weight="weight")
        assert row["in_weight"] == graph.in_degree(account, weight="weight")
        assert row["out_degree"] == graph.out_degree(account)
        assert row["in_degree"] == graph.in_degree(account)
        for name in ("component", "strong_component", "community"):
            label = getattr(network, name)[account]
            assert row[name] == (label if graph.degree(account) else None)


@given(edge_lists())
def test_build_network__pagerank_and_core_numbers_are_those_of_networkx(case):
    n_accounts, edges = case
    network = build(n_accounts, edges)
    graph = to_networkx(edges)
    assert network.pagerank.sum() == pytest.approx(1 if edges else 0)
    assert not network.pagerank[network.component < 0].any()
    assert not network.core_number[network.component < 0].any()
    # Followers give their rank to those they follow: the edges turned round.
    ranks = nx.pagerank(graph.reverse(), tol=1e-12, max_iter=5000) if edges else {}
    cores = nx.core_number(graph.to_undirected())
    for account in graph:
        assert network.pagerank[account] == pytest.approx(ranks[account], abs=1e-8)
        assert network.core_number[account] == cores[account]


def test_build_network__the_followed_has_the_largest_pagerank(backend):
    star = build(5, [(0, leaf, 1.0) for leaf in (1, 2, 3)], backend)
    # Each leaf x, the centre x + .85 * 3x (leaves have nobody else to give to).
    leaf = 1 / (4 + 0.85 * 3)
    assert star.pagerank == pytest.approx([leaf * (1 + 0.85 * 3), leaf, leaf, leaf, 0])
    assert star.core_number.tolist() == [1, 1, 1, 1, 0]


def test_score_accounts__weights_of_a_star_in_closed_form(backend):
    n_leaves = 50
    edges = [(0, leaf, leaf / 64) for leaf in range(1, n_leaves + 1)]
    scores = score_accounts(build(n_leaves + 2, edges, backend))
    total = n_leaves * (n_leaves + 1) / 128
    assert scores["influence"].to_list() == [total] + [0.0] * (n_leaves + 1)
    assert scores["in_weight"].to_list() == [leaf / 64 for leaf in range(n_leaves + 1)] + [0.0]


def count_labels(labels):
    known = sorted(label for label in labels if label is not None)
    main = min(known, key=lambda label: (-known.count(label), label), default=None)
    share = known.count(main) / len(known) if known else None
    return len(known), main, share


def summarise_slowly(group, edges, accounts):
    rows = []
    for label in range(max(group, default=-1) + 1):
        members = [i for i, other in enumerate(group) if other == label]
        inside = [edge for edge in edges if edge[0] in members and edge[1] in members]
        total, size = sum(weight for _, _, weight in inside), len(members)
        influence = {i: sum(weight for j, _, weight in inside if j == i) for i in members}
        top = max(members, key=lambda i: (influence[i], -i))
        density = len(inside) / (size * (size - 1)) if size > 1 else None
        mean = total / len(inside) if inside else None
        labels = count_labels([accounts["label"][i] for i in members])
        top_id = accounts["account_id"][top]
        rows.append((label, size, len(inside), density, total, mean, top_id, *labels))
    return rows


LABELS = st.lists(st.sampled_from(["operation", "unaffiliated", None]), min_size=9, max_size=9)


def name_accounts(labels):
    return pl.DataFrame(
        {"account_id": [f"id {i}" for i in range(len(labels))], "label": labels},
        schema={"account_id": pl.String, "label": pl.String},
    )


@given(edge_lists(), LABELS)
def test_summarise_components__matches_a_slow_loop(case, labels):
    n_accounts, edges = case
    network, accounts = build(n_accounts, edges), name_accounts(labels[:n_accounts])
    table = summarise_components(network, accounts)
    expected = summarise_slowly(network.component.tolist(), edges, accounts)
    assert table.columns == [
        "component", "n_accounts", "n_edges", "density", "total_weight", "mean_weight",
        "top_account_id", "n_labelled", "main_label", "main_label_share",
    ]  # fmt: skip
    assert table.rows() == expected


@given(edge_lists(), LABELS)
def test_summarise_communities__matches_a_slow_loop(case, labels):
    n_accounts, edges = case
    network = build(n_accounts, edges, resolution=3.0)  # communities of one account, too
    accounts = name_accounts(labels[:n_accounts])
    table = summarise_communities(network, accounts)
    expected = summarise_slowly(network.community.tolist(), edges, accounts)
    assert table.drop("component").rows() == expected
    for label, component in table.select("community", "component").iter_rows():
        assert set(network.component[network.community == label]) == {component}


def classify_slowly(kind, column, edges, labels):
    classes = [label or "unlabelled" for label in labels]
    every = list(permutations(range(len(classes)), 2))
    for one, other in product(sorted(set(classes)), repeat=2):
        pairs = [(i, j) for i, j in every if (classes[i], classes[j]) == (one, other)]
        weights = [edge[column] for edge in edges if edge[:2] in pairs and edge[column] > 0]
        sizes = (classes.count(one), classes.count(other), len(pairs), len(weights))
        mean = sum(weights) / len(weights) if weights else None
        mean_of_all = sum(weights) / len(pairs) if pairs else None
        yield (kind, one, other, *sizes, sum(weights), mean, mean_of_all)


@given(edge_lists(), LABELS, st.data())
def test_summarise_classes__matches_a_slow_loop(case, labels, data):
    n_accounts, edges = case
    by_kind = st.lists(st.sampled_from([-0.5, 0.0, 0.25, 1.0]), min_size=2, max_size=2)
    edges = [(*edge, *data.draw(by_kind)) for edge in edges]
    columns = ["source", "target", "weight", "weight_url", "weight_hashtag"]
    schema = dict.fromkeys(columns[:2], pl.Int32) | dict.fromkeys(columns[2:], pl.Float64)
    frame = pl.DataFrame(edges, schema=schema, orient="row")
    labels = labels[:n_accounts]
    table = summarise_classes(frame, name_accounts(labels), kinds=["url", "hashtag"])
    expected = [
        row
        for kind, column in (("all", 2), ("url", 3), ("hashtag", 4))
        for row in classify_slowly(kind, column, edges, labels)
    ]
    assert_frame_equal(table, pl.DataFrame(expected, schema=table.schema, orient="row"))
    assert table.columns[:3] == ["kind", "source_label", "target_label"]


def test_summaries__refuse_a_kind_without_weights_and_another_account_table(backend):
    network = build(3, [(0, 1, 1.0)], backend)
    with pytest.raises(ValueError, match="accounts has 2 rows, the network 3 accounts"):
        summarise_components(network, name_accounts([None, None]))
    edges = pl.DataFrame({"source": [0], "target": [1], "weight": [1.0]})
    with pytest.raises(ValueError, match=r"lack the columns \['weight_url'\]"):
        summarise_classes(edges, name_accounts([None, None]), kinds=["url"])


def test_summarise_communities__edges_between_communities_count_in_none(backend):
    halves = replace(backend, communities=lambda *arrays, **choices: np.arange(4) // 2)
    edges = [(0, 1, 1.0), (1, 0, 2.0), (2, 3, 1.0), (0, 2, 9.0), (3, 0, 9.0)]
    network = build(4, edges, halves)
    table = summarise_communities(network, name_accounts([None] * 4))
    columns = ("community", "n_edges", "total_weight", "top_account_id")
    assert table.select(columns).rows() == [(0, 2, 3.0, "id 1"), (1, 1, 1.0, "id 2")]
