import dataclasses
import itertools

import numpy as np
import oracle
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numba.core.caching import IndexDataCacheFile
from runs import event

from gpu_coord.activity import counts as transitions
from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import (
    count_margins,
    count_pairs,
    count_transitions,
    index_cells,
    iter_shared,
    plan_blocks,
    transition_matrices,
)
from gpu_coord.activity.settings import Denominator, Measure, Undefined, WeightRule
from gpu_coord.activity.weights import Weigher, choose_lags, select_edges, weigh_entities
from gpu_coord.backend import cpu
from gpu_coord.backend import pairs as pair_kernels
from gpu_coord.ground.threads import map_ahead

KINDS = ("hashtag", "url")
ONE = (st.sampled_from("abcdef"), st.integers(-20, 20), st.sampled_from("xyz"))
EVENTS = st.lists(st.builds(event, *ONE, st.sampled_from(KINDS)), min_size=1, max_size=60)
BIN_SECONDS = 3
RULES = [
    WeightRule(measure=measure, undefined=undefined, shrink=shrink, denominator=denominator)
    for measure, undefined, shrink, denominator in itertools.product(
        Measure.__args__, Undefined.__args__, (0.0, 1.5), Denominator.__args__
    )
]


def build(events, backend):
    """Return the activity of events, built by the oracle's binning and plain loops."""
    first_bin, n_bins, cells = oracle.activity(events, BIN_SECONDS, KINDS)
    accounts = sorted({row["account"] for row in events})
    entities = sorted(cells)
    rows = sorted(
        (entities.index(entity), bin - first_bin, accounts.index(account))
        for entity, users in cells.items()
        for account, bins in users.items()
        for bin in bins
    )
    columns = np.array(rows, dtype=np.int64).T
    return Activity(
        backend=backend,
        bin_seconds=BIN_SECONDS,
        first_bin=first_bin,
        n_bins=n_bins,
        kinds=tuple(kind for kind in KINDS if kind in {kind for kind, _ in entities}),
        missing_kinds=(),
        accounts=pl.DataFrame({"account_id": accounts}),
        entities=pl.DataFrame(
            {"kind": [kind for kind, _ in entities], "value": [value for _, value in entities]}
        ),
        entity=backend.xp.asarray(columns[0].astype(np.int32)),
        bin=backend.xp.asarray(columns[1]),
        account=backend.xp.asarray(columns[2].astype(np.int32)),
        n_dropped={},
    )


def on_host(backend, value):
    """Return a frozen value with its arrays on the host, where tests look at them."""
    if isinstance(value, tuple):
        return type(value)(*map(backend.to_host, value))
    arrays_of = {
        field.name: backend.to_host(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if hasattr(getattr(value, field.name), "dtype")
    }
    return dataclasses.replace(value, **arrays_of)


def count_all(activity, lag=1, min_support=1):
    index = index_cells(activity)
    margins = count_margins(index, lag)
    return index, margins, count_pairs(index, margins, 0, index.n_accounts, min_support=min_support)


def weigh_all(activity, *, lag, rule, min_support=1, memory=1 << 20):
    """Return {(source, target): (weight, by_kind, support)} by account ids, over all blocks."""
    index = index_cells(activity)
    margins = count_margins(index, lag)
    weigher = Weigher(activity, index, margins, rule)
    ids, found = activity.accounts["account_id"], {}
    for first, last in plan_blocks(index, [margins], min_support=min_support, memory=memory):
        pairs = count_pairs(index, margins, first, last, min_support=min_support)
        weights = on_host(activity.backend, weigher.weigh(pairs, memory=memory))
        pairs = on_host(activity.backend, pairs)
        for row in range(pairs.source.size):
            key = ids[int(pairs.source[row])], ids[int(pairs.target[row])]
            assert key not in found
            found[key] = weights.weight[row], weights.by_kind[row], int(pairs.support[row])
    return found


# --- dense ---------------------------------------------------------------------------------


ACTIVE = arrays(
    np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 150)), elements=st.integers(0, 1)
)


@given(active=ACTIVE, lag=st.integers(0, 3))
def test_count_transitions__matches_the_oracle(backend, active, lag):
    if lag >= active.shape[1]:
        with pytest.raises(ValueError, match="leave a transition"):
            count_transitions(active, lag, backend=backend)
        return
    counts = backend.to_host(count_transitions(active, lag, backend=backend))
    np.testing.assert_array_equal(counts, oracle.transition_counts(active, lag))


@given(active=ACTIVE.filter(lambda active: active.shape[1] > 1))
def test_transition_matrices__matches_the_published_library(backend, active):
    from influence_model.learning import learn_state_transition_matrix

    matrices = backend.to_host(transition_matrices(active, backend=backend))
    for i, j in itertools.product(range(len(active)), repeat=2):
        published = learn_state_transition_matrix(active[i], active[j], 2, 2)
        # The published code fills a row that it cannot know with zeros.
        np.testing.assert_allclose(np.nan_to_num(matrices[i, j]), published, rtol=1e-12)


def test_transition_matrices__marks_unknown_rows(backend):
    always, never = [1, 1, 1], [0, 0, 0]
    matrices = backend.to_host(transition_matrices([always, never], backend=backend))
    assert np.isnan(matrices[0, :, 0]).all()
    assert np.isnan(matrices[1, :, 1]).all()
    np.testing.assert_array_equal(matrices[0, 1, 1], [1.0, 0.0])


def test_transition_matrices__takes_a_batch_of_entities(backend):
    active = np.random.default_rng(1).integers(0, 2, (2, 3, 4, 70), dtype=np.uint8)
    batch = backend.to_host(transition_matrices(active, backend=backend))
    assert batch.shape == (2, 3, 4, 4, 2, 2)
    for page in itertools.product(range(2), range(3)):
        expected = oracle.transition_matrices(active[page])
        np.testing.assert_array_equal(batch[page], expected)


def test_count_transitions__is_the_same_on_many_threads(monkeypatch):
    backend = cpu()
    active = np.random.default_rng(2).integers(0, 2, (3, 20, 130), dtype=np.uint8)
    serial = count_transitions(active, backend=backend)
    monkeypatch.setattr(backend.pairs, "_SERIAL_WORDS", 0)
    np.testing.assert_array_equal(count_transitions(active, backend=backend), serial)


@pytest.mark.parametrize("value", [2, -1, 0.5, np.nan, np.uint8(2)])
def test_transition_matrices__refuses_other_states(backend, value):
    with pytest.raises(ValueError, match="mark each bin"):
        states = np.array([[0, 1, value]], dtype=np.asarray(value).dtype)
        transition_matrices(states, backend=backend)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.int64, np.float32, float])
def test_transition_matrices__takes_any_type_of_0_and_1(backend, dtype):
    active = np.random.default_rng(4).integers(0, 2, (3, 40))
    matrices = backend.to_host(transition_matrices(active.astype(dtype), backend=backend))
    np.testing.assert_array_equal(matrices, oracle.transition_matrices(active))


def test_transition_matrices__refuses_a_single_series(backend):
    with pytest.raises(ValueError, match="n_accounts, n_bins"):
        transition_matrices(np.array([0, 1, 1]), backend=backend)


# --- sparse counts -------------------------------------------------------------------------


@given(events=EVENTS, lag=st.integers(0, 3), min_support=st.integers(1, 3))
def test_count_pairs__matches_the_oracle(backend, events, lag, min_support):
    activity = build(events, backend)
    if lag >= activity.n_bins:
        return
    rows = oracle.pair_weights(events, bin_seconds=BIN_SECONDS, kinds=KINDS, lag=lag)
    supports = {pair: row["support"] for pair, row in rows.items()}
    expected = {pair: support for pair, support in supports.items() if support >= min_support}
    found = weigh_all(activity, lag=lag, rule=WeightRule(), min_support=min_support)
    assert {pair: support for pair, (_, _, support) in found.items()} == expected


@given(events=EVENTS, n_threads=st.integers(1, 3))
def test_count_pairs__does_not_depend_on_blocks_or_threads(backend, events, n_threads):
    activity = build(events, backend)
    if activity.n_bins < 2:
        return
    index, margins, whole = count_all(activity)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transitions, "_PAIR_BYTES", 1)
        blocks = plan_blocks(index, [margins], min_support=1, memory=2)

    def count(block):
        return count_pairs(index, margins, *block, min_support=1)

    parts = list(map_ahead(blocks, count, n_threads=n_threads))
    assert blocks[0][0] == 0
    assert blocks[-1][1] == index.n_accounts
    for column in ("source", "target", "support"):
        joined = np.concatenate([backend.to_host(getattr(part, column)) for part in parts])
        np.testing.assert_array_equal(joined, backend.to_host(getattr(whole, column)))


def test_count_pairs__lists_and_scans_alike(backend):
    """Few coincidences are listed and sorted, many are scanned: both against a dense product."""
    rng = np.random.default_rng(3)
    n_accounts, n_bins = 400, 12
    # Account 0 meets everyone, the last accounts meet hardly anyone.
    rate = np.linspace(1.0, 0.001, n_accounts) ** 4
    active = rng.random((n_accounts, n_bins)) < rate[:, None]
    bins, accounts = np.nonzero(active.T)
    activity = Activity(
        backend=backend, bin_seconds=1, first_bin=0, n_bins=n_bins, kinds=("url",),
        missing_kinds=(), accounts=pl.DataFrame({"account_id": np.arange(n_accounts).astype(str)}),
        entities=pl.DataFrame({"kind": ["url"], "value": ["x"]}),
        entity=backend.xp.asarray(np.zeros(bins.size, np.int32)), bin=backend.xp.asarray(bins),
        account=backend.xp.asarray(accounts.astype(np.int32)), n_dropped={},
    )  # fmt: skip
    index = index_cells(activity)
    margins = count_margins(index, 1)
    listed = backend.to_host(margins.n_coincidences) < pair_kernels._SCAN_SHARE * n_accounts
    assert listed.any() and not listed.all(), "the data must exercise both paths"
    for min_support in (1, 2):
        pairs = count_pairs(index, margins, 0, n_accounts, min_support=min_support)
        pairs = on_host(backend, pairs)
        dense = active[:, :-1].astype(int) @ active[:, 1:].astype(int).T
        np.fill_diagonal(dense, 0)
        source, target = np.nonzero(dense >= min_support)
        np.testing.assert_array_equal(pairs.source, source)
        np.testing.assert_array_equal(pairs.target, target)
        np.testing.assert_array_equal(pairs.support, dense[source, target])


@given(events=EVENTS, memory=st.sampled_from([1, 500, 1 << 20]))
def test_iter_shared__lists_the_counts_of_every_shared_entity(backend, events, memory):
    activity = build(events, backend)
    if activity.n_bins < 2:
        return
    index, margins, pairs = count_all(activity)
    found = {}
    for rows, shared in iter_shared(index, margins, pairs, memory=memory):
        shared = on_host(backend, shared)
        for row in range(shared.pair.size):
            pair = rows.start + int(shared.pair[row])
            key = int(pairs.source[pair]), int(pairs.target[pair]), int(shared.entity[row])
            found[key] = tuple(
                int(column[row])
                for column in (shared.both_active, shared.source_active, shared.target_active)
            )
    pairs = on_host(backend, pairs)
    ids = activity.accounts["account_id"].to_list()
    first_bin, n_bins, cells = oracle.activity(events, BIN_SECONDS, KINDS)
    expected = {}
    for entity, key in enumerate(activity.entities.iter_rows()):
        users = cells[key]
        for i, j in itertools.permutations(users, 2):
            n11, a, b, _ = oracle.margins(
                users[i], users[j], first_bin=first_bin, n_bins=n_bins, lag=1
            )
            expected[ids.index(i), ids.index(j), entity] = n11, a, b
    supported = set(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True))
    assert found == {key: row for key, row in expected.items() if key[:2] in supported}


# --- weights -------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=str)
@settings(max_examples=12)
@given(events=EVENTS, lag=st.integers(0, 2))
def test_weigher__matches_the_oracle(backend, rule, events, lag):
    activity = build(events, backend)
    if lag >= activity.n_bins:
        return
    where = {"bin_seconds": BIN_SECONDS, "kinds": KINDS, "lag": lag}
    expected = oracle.pair_weights(events, **where, **dataclasses.asdict(rule))
    found = weigh_all(activity, lag=lag, rule=rule)
    for pair, (weight, by_kind, support) in found.items():
        row = expected[pair]
        assert support == row["support"]
        np.testing.assert_allclose(weight, row["weight"], rtol=1e-9, atol=1e-12)
        for kind, value in zip(activity.kinds, by_kind, strict=True):
            np.testing.assert_allclose(value, row[f"weight_{kind}"], rtol=1e-9, atol=1e-12)
    # A weight needs a coincidence: no pair that was never weighed has a positive one.
    assert {pair for pair, row in expected.items() if row["weight"] > 1e-12} <= set(found)


@given(events=EVENTS)
def test_weigher__does_not_depend_on_memory(backend, events):
    activity = build(events, backend)
    if activity.n_bins < 2:
        return
    whole = weigh_all(activity, lag=1, rule=WeightRule())
    for memory in (1, 300):
        parts = weigh_all(activity, lag=1, rule=WeightRule(), memory=memory)
        assert parts.keys() == whole.keys()
        for pair, (weight, by_kind, support) in parts.items():
            assert (weight, support) == (whole[pair][0], whole[pair][2])
            np.testing.assert_array_equal(by_kind, whole[pair][1])


def test_weigher__is_0_for_independence_and_1_for_a_perfect_follower(backend):
    # b follows a at once; c is active in half of the bins after a's and in half of the others.
    bins = {"a": [0, 2, 5, 6], "b": [1, 3, 6, 7], "c": [1, 3, 4, 5]}
    events = [event(name, BIN_SECONDS * bin) for name in bins for bin in [*bins[name], 8]]
    found = weigh_all(build(events, backend), lag=1, rule=WeightRule())
    assert found["a", "b"][0] == pytest.approx(1 - 1 / 4)  # one of b's five comes unprompted
    assert found["a", "c"][0] == pytest.approx(2 / 4 - 3 / 4)


@given(events=EVENTS, min_weight=st.sampled_from([0.0, 0.05]), min_support=st.integers(1, 2))
def test_choose_lags__keeps_each_pair_at_its_best(backend, events, min_weight, min_support):
    lags = (1, 2, 3)
    activity = build(events, backend)
    if activity.n_bins <= max(lags):
        return
    by_lag = []
    for lag in lags:
        index, margins, pairs = count_all(activity, lag, min_support)
        weights = Weigher(activity, index, margins, WeightRule()).weigh(pairs, memory=1 << 20)
        by_lag.append(select_edges(pairs, weights, lag=lag, min_weight=min_weight, xp=backend.xp))
    edges = on_host(backend, choose_lags(by_lag, n_accounts=index.n_accounts, xp=backend.xp))
    by_lag = [on_host(backend, part) for part in by_lag]
    ids = activity.accounts["account_id"]
    expected = oracle.best_lag_edges(
        events, lags, bin_seconds=BIN_SECONDS, kinds=KINDS,
        min_weight=min_weight, min_support=min_support,
    )  # fmt: skip
    found = {
        (ids[int(edges.source[row])], ids[int(edges.target[row])]): row
        for row in range(edges.n_edges)
    }
    near = {pair for pair, row in expected.items() if abs(row["weight"] - min_weight) < 1e-12}
    assert found.keys() - near == expected.keys() - near
    for pair in expected.keys() - near:
        row, best = found[pair], expected[pair]
        assert edges.weight[row] == pytest.approx(best["weight"], rel=1e-9)
        if int(edges.lag[row]) != best["lag"]:  # a tie that rounding broke
            assert any(
                part.weight[at] == pytest.approx(best["weight"], rel=1e-9)
                for part in by_lag
                for at in np.flatnonzero(part.lag == best["lag"])
            )
        else:
            assert int(edges.support[row]) == best["support"]
    order = list(zip(edges.source.tolist(), edges.target.tolist(), strict=True))
    assert order == sorted(set(order))


@given(events=EVENTS)
def test_attribute__splits_the_weights_among_the_entities(backend, events):
    activity = build(events, backend)
    if activity.n_bins < 2:
        return
    index, margins, pairs = count_all(activity)
    weigher = Weigher(activity, index, margins, WeightRule())
    carried = backend.to_host(weigher.attribute(pairs, memory=400))
    total = backend.to_host(weigher.weigh(pairs, memory=1 << 20).weight).sum()
    np.testing.assert_allclose(carried.sum(), total, atol=1e-9)


@pytest.mark.parametrize(
    ("choice", "value"),
    [("measure", "cosine"), ("undefined", "uniform"), ("denominator", "some"), ("shrink", -1.0)],
)
def test_weight_rule__refuses_what_it_does_not_know(choice, value):
    with pytest.raises(ValueError, match=choice):
        WeightRule(**{choice: value})


@pytest.mark.parametrize("lag", [-1, 3])
def test_count_margins__refuses_a_lag_without_transitions(backend, lag):
    events = [event("a", BIN_SECONDS * bin) for bin in range(3)]
    with pytest.raises(ValueError, match="leave a transition"):
        count_margins(index_cells(build(events, backend)), lag)


def test_weigh_entities__does_not_overflow():
    """Counts are 32-bit on the way in; their products pass 2^31 and 2^32."""
    from fractions import Fraction

    n_steps = 30_789_002
    for both, a, b in [(100, 100, 100), (150, 160, 155), (70_000, 70_001, 90_000)]:
        arrays_of = [np.array([count], np.int32) for count in (both, a, b)]
        found = weigh_entities(*arrays_of, n_steps, WeightRule(), xp=np)[0]
        exact = Fraction(both, a) - Fraction(b - both, n_steps - a)
        assert found == pytest.approx(float(exact), rel=1e-12)


def test_compiled_code__of_two_processes_is_never_mixed_up(tmp_path, monkeypatch):
    one, other = (IndexDataCacheFile(str(tmp_path), "kernel", "stamp") for _ in range(2))
    write = one._save_data

    def write_late(name, code):
        with monkeypatch.context() as patch:
            # The second read the index before the first wrote it.
            patch.setattr(other, "_load_index", dict)
            other.save("int64", "code for int64")
        write(name, code)

    one._save_data = write_late
    one.save("int32", "code for int32")
    assert one.load("int64") == other.load("int64") == "code for int64"
    # What the second did not know of is compiled again, and not taken for the other's.
    assert one.load("int32") is None
