"""The influence model: against plain loops, a general solver, closed forms and planted rows."""

import itertools
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from gpu_coord.model.influence import InfluenceModel
from gpu_coord.model.learning import accelerate, certify, climb, maximise, start
from gpu_coord.model.rows import plan_blocks
from gpu_coord.model.statuses import read_steps
from gpu_coord.model.tables import list_transitions, tabulate

HOUR = 3600


def copy_all(D, matrix=None, **choices):
    """Return the model in which every site says the same to every other: its own status."""
    A = np.broadcast_to(np.eye(2) if matrix is None else matrix, (len(D), len(D), 2, 2))
    return InfluenceModel(D, A, **choices)


def draw_model(rng, n_statuses, *, n_groups=0):
    """Return D, A, background and rates at random."""
    n = len(n_statuses)
    D = rng.dirichlet(np.ones(n + 1), n)
    A = [[rng.dirichlet(np.ones(m), k) for m in n_statuses] for k in n_statuses]
    rates = [rng.dirichlet(np.ones(m), max(1, n_groups)) for m in n_statuses]
    return D[:, :n], A, D[:, n], rates


def mix_by_hand(D, A, background, rates, before, group):
    """Return each site's next probabilities, from the definition."""

    def mix(i, b):
        said = sum(D[i][j] * A[j][i][before[j]][b] for j in range(len(D)))
        return said + background[i] * rates[i][group][b]

    return [[mix(i, b) for b in range(A[0][i].shape[1])] for i in range(len(D))]


def sum_logs_by_hand(model, statuses, groups=None):
    """Return the log-likelihood of each site; -1 is missing, as a source at rest."""
    n, n_steps = statuses.shape
    rates = list(model._outside.rates) if model._outside else [np.zeros((1, 2))] * n
    total = [0.0] * n
    for k in range(n_steps - 1):
        group = 0 if groups is None else groups[k + 1]
        before = [max(0, s) for s in statuses[:, k]]
        mixed = mix_by_hand(model.D, model.A, model.background, rates, before, group)
        for i in range(n):
            if statuses[i, k + 1] >= 0:
                total[i] += log(mixed[i][statuses[i, k + 1]])
    return np.array(total)


def draw_statuses(seed, n_sites=4, n_steps=80, n_statuses=2):
    """Return chains in which sites copy each other now and then."""
    rng = np.random.default_rng(seed)
    D = rng.dirichlet(np.full(n_sites + 1, 0.7), n_sites)
    A = np.broadcast_to(np.eye(n_statuses), (n_sites, n_sites, n_statuses, n_statuses))
    rates = rng.dirichlet(np.linspace(3, 1, n_statuses), (n_sites, 1))
    model = InfluenceModel(D[:, :-1], A, background=D[:, -1], rates=rates)
    return model, model.sample(n_steps, seed=seed)


# --- the model itself ----------------------------------------------------------------------


@pytest.mark.parametrize("n_statuses", [(2, 2, 2), (3, 2, 4)])
def test_h__has_the_blocks_of_the_definition(n_statuses):
    D, A, _, _ = draw_model(np.random.default_rng(0), n_statuses)
    D = D / D.sum(axis=1, keepdims=True)
    model = InfluenceModel(D, A)
    first = np.concatenate([[0], np.cumsum(n_statuses)])
    for i, j in itertools.product(range(3), repeat=2):
        block = model.H[first[i] : first[i + 1], first[j] : first[j + 1]]
        np.testing.assert_allclose(block, D[j, i] * A[i][j])


def test_h__is_the_same_for_an_array_of_matrices():
    D, A, _, _ = draw_model(np.random.default_rng(1), (3, 3))
    D = D / D.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(InfluenceModel(D, np.array(A)).H, InfluenceModel(D, A).H)


@pytest.mark.parametrize("n_statuses", [(2, 2, 2), (3, 2, 4)])
def test_step__mixes_what_the_sites_say(n_statuses):
    rng = np.random.default_rng(2)
    D, A, background, rates = draw_model(rng, n_statuses, n_groups=3)
    model = InfluenceModel(D, A, background=background, rates=rates)
    for statuses in itertools.product(*map(range, n_statuses)):
        for group in range(3):
            expected = mix_by_hand(D, A, background, rates, statuses, group)
            for found, wanted in zip(model.step(statuses, group=group), expected, strict=True):
                np.testing.assert_allclose(found, wanted)


def test_sample__draws_what_step_says():
    D, A, background, rates = draw_model(np.random.default_rng(3), (2, 3))
    model = InfluenceModel(D, A, background=background, rates=rates)
    chains = model.sample(2, 40_000, seed=1, start=[1, 2])
    assert chains.shape == (40_000, 2, 2)
    assert (chains[:, :, 0] == [1, 2]).all()
    for site, expected in enumerate(model.step([1, 2])):
        found = np.bincount(chains[:, site, 1], minlength=expected.size) / 40_000
        np.testing.assert_allclose(found, expected, atol=5 * 0.5 / 200)


def test_sample__repeats_with_its_seed():
    model, _ = draw_statuses(0)
    same, other = model.sample(50, 3, seed=5), model.sample(50, 3, seed=6)
    np.testing.assert_array_equal(model.sample(50, 3, seed=5), same)
    assert (same != other).any()
    assert not (same[0] == same[1]).all()


@pytest.mark.parametrize("n_statuses", [(2, 2, 2), (3, 2, 4)])
def test_log_likelihood__is_that_of_the_loops(n_statuses):
    rng = np.random.default_rng(4)
    D, A, background, rates = draw_model(rng, n_statuses, n_groups=24)
    model = InfluenceModel(D, A, background=background, rates=rates)
    statuses = np.stack([rng.integers(-1, m, 60) for m in n_statuses])
    hours = (5 + np.arange(60)) % 24
    expected = sum_logs_by_hand(model, statuses, hours)
    found = model.log_likelihoods(statuses, times=5 * HOUR)
    np.testing.assert_allclose(found, expected)
    assert model.log_likelihood(statuses, times=5 * HOUR) == pytest.approx(expected.sum())


def test_log_likelihood__never_crosses_tables_or_gaps():
    model, statuses = draw_statuses(5, n_steps=40)
    a, b = statuses[:, :15], statuses[:, 15:]
    apart = model.log_likelihood(a) + model.log_likelihood(b)
    assert model.log_likelihood([a, b]) == pytest.approx(apart)
    rates = np.repeat(model._outside.rates, 24, axis=1)
    hourly = InfluenceModel(model.D, model.A, background=model.background, rates=rates)
    times = HOUR * np.where(np.arange(40) < 15, np.arange(40), np.arange(40) + 7)
    assert hourly.log_likelihood(statuses, times=times) == pytest.approx(apart)


def test_stationary__is_where_the_chain_goes():
    D, A, background, rates = draw_model(np.random.default_rng(6), (2, 3, 2))
    model = InfluenceModel(D, A, background=background, rates=rates)
    state = np.concatenate([np.full(m, 1 / m) for m in (2, 3, 2)])
    for _ in range(2000):
        state = state @ model.H + model._say(0)
    np.testing.assert_allclose(np.concatenate(model.stationary()), state, atol=1e-9)


def test_stationary__is_that_of_the_matrix_where_all_are_alike():
    matrix = np.array([[0.9, 0.1], [0.3, 0.7]])
    D = np.array([[0.2, 0.8, 0], [0.5, 0.5, 0], [0, 0, 1.0]])
    model = copy_all(D, matrix)
    for found in model.stationary():
        np.testing.assert_allclose(found, [0.75, 0.25], atol=1e-9)


def test_rank__says_who_a_copying_class_ends_up_with():
    # DeGroot 1974: of copying sites, the chance that all end at 1 is the pi of those that began so.
    D = np.array([[0.6, 0.4, 0], [0.2, 0.7, 0.1], [0.3, 0, 0.7]])
    model = copy_all(D)
    ((sites, pi),) = model.rank_classes()
    assert sites.tolist() == [0, 1, 2]
    chains = model.sample(80, 10_000, seed=0, start=[1, 0, 0])
    assert (chains[:, :, -1] == chains[:, :1, -1]).all()
    np.testing.assert_allclose(chains[:, 0, -1].mean(), pi[0], atol=5 * 0.5 / 10_000**0.5)
    np.testing.assert_allclose(pi @ D, pi)


def test_rank__finds_each_closed_class():
    D = np.array([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 1, 0], [0.1, 0, 0.2, 0.7]])
    model = copy_all(D)
    (first, pi), (second, own) = model.rank_classes()
    assert (first.tolist(), second.tolist()) == ([0, 1], [2])
    np.testing.assert_allclose(pi, [0.5, 0.5])
    np.testing.assert_allclose(own, [1.0])


def test_rank__is_the_eigenvector_with_teleport():
    D, A, background, rates = draw_model(np.random.default_rng(7), (2, 2, 2, 2))
    model = InfluenceModel(D, A, background=background, rates=rates)
    carry = 0.9 * (D + background[:, None] / 4) + 0.1 / 4
    values, vectors = np.linalg.eig(carry.T)
    expected = np.real(vectors[:, np.argmax(np.real(values))])
    np.testing.assert_allclose(model.rank(teleport=0.1), expected / expected.sum())


# --- learning ------------------------------------------------------------------------------


def build(statuses, backend, *, background="learned", flat=False, **choices):
    steps = read_steps(statuses, **choices)
    if flat:
        table = list_transitions(steps, np.ones((steps.n_sites,) * 2, bool), backend)
        return table.select(slice(0, steps.n_sites), background)
    return tabulate(steps, backend).select(slice(0, steps.n_sites), background, None)


@given(seed=st.integers(0, 10_000), flat=st.booleans(), background=st.booleans())
def test_climb__never_falls_and_keeps_rows(backend, seed, flat, background):
    _, statuses = draw_statuses(seed, n_sites=3, n_steps=40)
    statuses[0, 5:9] = -1
    mixture = build(statuses, backend, flat=flat, background="learned" if background else None)
    to_host, point = backend.to_host, start(mixture)
    explained = to_host(mixture.explain(point))
    if (explained < 1e-12).any():
        return  # without a background this cannot be explained, and is refused
    before = -np.inf
    for _ in range(12):
        point, found = climb(mixture, point)
        assert (to_host(found) >= before - 1e-9).all()
        before = to_host(found)
        atoms = to_host(point.atoms).sum(axis=2)
        total = to_host(mixture.design.sum_sites(point.mass)) + atoms.mean(axis=1)
        np.testing.assert_allclose(total, 1.0)
        np.testing.assert_allclose(atoms, atoms[:, :1] + 0 * atoms, atol=1e-12)


@given(seed=st.integers(0, 10_000))
def test_accelerate__never_falls(backend, seed):
    _, statuses = draw_statuses(seed, n_sites=3, n_steps=60)
    mixture = build(statuses, backend)
    point, history = accelerate(mixture, start(mixture), n_cycles=12)
    history = np.array([backend.to_host(h) for h in [*history, certify(mixture, point)[0]]])
    assert (np.diff(history, axis=0) >= -1e-9).all()


def solve_generally(says, background, groups, after):
    """Maximise a target's likelihood with scipy; returns nats.

    ``says`` (n_steps, n_sites) is the probability that each site gives what was realised.
    """
    n_sites = says.shape[1]
    cells = sorted(set(zip(groups, after, strict=True))) if background else []
    present = sorted({group for group, _ in cells})
    place = np.array([cells.index(c) for c in zip(groups, after, strict=True)]) if cells else None

    def minus_logs(x):
        p = says @ x[:n_sites] + (x[n_sites:][place] if cells else 0.0)
        return -np.log(np.maximum(p, 1e-300)).sum()

    def slope(x):
        p = np.maximum(says @ x[:n_sites] + (x[n_sites:][place] if cells else 0.0), 1e-300)
        atoms = np.bincount(place, weights=1 / p, minlength=len(cells)) if cells else []
        return -np.concatenate([says.T @ (1 / p), atoms])

    equal = []
    for group in present or [None]:
        # A status that never came in a group takes no mass there.
        row = np.array([1.0] * n_sites + [float(g == group) for g, _ in cells])
        equal.append({"type": "eq", "fun": lambda x, row=row: row @ x - 1.0})
    # Mass of the background may go unused in a group only by lowering the likelihood.
    n = n_sites + len(cells)
    first = np.full(n, 0.5 / n_sites)
    for group in present:
        members = [k for k, (g, _) in enumerate(cells) if g == group]
        first[[n_sites + k for k in members]] = 0.5 / len(members)
    if not cells:
        first[:] = 1 / n_sites
    found = minimize(
        minus_logs, first, jac=slope, bounds=[(1e-12, 1.0)] * n, constraints=equal,
        method="SLSQP", options={"maxiter": 2000, "ftol": 1e-15},
    )  # fmt: skip
    return -found.fun


def list_sayings(model, statuses, i):
    steps, sites = range(statuses.shape[1] - 1), range(len(statuses))
    said = [[model.A[j][i][statuses[j, k], statuses[i, k + 1]] for j in sites] for k in steps]
    return np.array(said)


@pytest.mark.parametrize("emission", ["copy", "plugin"])
@pytest.mark.parametrize("times", [None, 3 * HOUR])
@pytest.mark.parametrize("n_statuses", [2, 3])
def test_fit__is_as_likely_as_a_general_solver_finds(backend, emission, times, n_statuses):
    _, statuses = draw_statuses(11, n_steps=150, n_statuses=n_statuses)
    choices = {"times": times, "bin_seconds": 12 * HOUR}
    how = {"emission": emission, "tolerance": 1e-7, "backend": backend}
    model = InfluenceModel.fit(statuses, **how, **choices)
    groups = np.zeros(149) if times is None else np.arange(1, 150) % 2
    for i in range(4):
        says = list_sayings(model, statuses, i)
        best = solve_generally(says, True, groups, statuses[i, 1:])
        assert model.log_likelihoods(statuses, **choices)[i] == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("n_statuses", [(2, 2, 2, 2), (3, 2, 4, 2)])
def test_fit__without_background_is_as_likely_as_a_general_solver_finds(backend, n_statuses):
    D, A, _, _ = draw_model(np.random.default_rng(8), n_statuses)
    D = D / D.sum(axis=1, keepdims=True)
    statuses = InfluenceModel(D, A).sample(200, seed=3)
    how = {"emission": "plugin", "tolerance": 1e-7, "backend": backend}
    model = InfluenceModel.fit(statuses, background=False, **how)
    for i in range(4):
        says = list_sayings(model, statuses, i)
        best = solve_generally(says, False, None, None)
        assert model.log_likelihoods(statuses)[i] == pytest.approx(best, abs=1e-6)
        assert (model.background == 0).all()


@given(seed=st.integers(0, 10_000), n_steps=st.integers(0, 15))
def test_certify__bounds_what_is_to_be_gained(backend, seed, n_steps):
    _, statuses = draw_statuses(seed, n_sites=3, n_steps=50)
    mixture = build(statuses, backend)
    best = maximise(mixture, tolerance=1e-7, max_iterations=100)
    point = start(mixture)
    for _ in range(n_steps):
        point, _ = climb(mixture, point)
    found, gap = map(backend.to_host, certify(mixture, point))
    assert (backend.to_host(best.log_likelihood) - found <= gap + 1e-7).all()
    assert (backend.to_host(best.gap) <= 1e-7).all()


@pytest.mark.parametrize("emission", ["copy", "plugin", "tied"])
def test_fit__of_two_statuses_is_that_of_more_of_which_two_are_used(backend, emission):
    _, statuses = draw_statuses(13, n_steps=200)
    how = {"emission": emission, "tolerance": 1e-6, "backend": backend}
    two, three = (InfluenceModel.fit(statuses, n_statuses=n, **how) for n in (None, 3))
    np.testing.assert_allclose(three.D, two.D, atol=1e-3)
    atol = 1e-4 if emission == "tied" else 3e-6
    np.testing.assert_allclose(three.rows.log_likelihood, two.rows.log_likelihood, atol=atol)


@pytest.mark.parametrize("emission", ["copy", "plugin", "tied"])
def test_fit__lists_the_same_transitions_for_candidates(backend, emission, monkeypatch):
    _, statuses = draw_statuses(14, n_sites=5, n_steps=120)
    statuses[2, :40] = -1
    choices = {"emission": emission, "times": 0, "backend": backend, "tolerance": 1e-6}
    every = np.ones((5, 5), bool)
    dense = InfluenceModel.fit(statuses, **choices)
    masked = InfluenceModel.fit(statuses, candidates=every, **choices)
    # Sums in another order, as on a GPU, move where a fit stops.
    atol = 1e-9 if backend.name == "cpu" else 1e-6
    np.testing.assert_allclose(masked.D, dense.D, atol=atol)
    monkeypatch.setattr("gpu_coord.model.rows._MANY", 1.0)
    flat = InfluenceModel.fit(statuses, candidates=every, **choices)
    np.testing.assert_allclose(flat.D, dense.D, atol=atol)
    np.testing.assert_allclose(flat.rows.low, dense.rows.low, atol=1e-6)
    np.testing.assert_array_equal(flat.identified, dense.identified)


def test_fit__keeps_to_the_candidates(backend):
    _, statuses = draw_statuses(15, n_sites=5, n_steps=300)
    pairs = np.array([[0, 1], [2, 0], [4, 3]])
    allowed = np.eye(5, dtype=bool)
    allowed[tuple(pairs.T)] = True
    how = {"tolerance": 1e-6, "backend": backend}
    flat = InfluenceModel.fit(statuses, candidates=pairs, **how)
    marked = InfluenceModel.fit(statuses, candidates=allowed, n_statuses=3, **how)
    assert (flat.D[~allowed] == 0).all()
    assert (flat.D[allowed] > 0).any()
    np.testing.assert_allclose(marked.D, flat.D, atol=1e-4)
    np.testing.assert_allclose(marked.rows.log_likelihood, flat.rows.log_likelihood, atol=3e-6)


def test_fit__is_the_same_in_blocks(backend):
    _, statuses = draw_statuses(16, n_sites=6, n_steps=100)
    whole = InfluenceModel.fit(statuses, backend=backend, times=0)
    parts = InfluenceModel.fit(statuses, backend=backend, times=0, memory=1)
    assert [s.stop - s.start for s in plan_blocks(6, 10, 1)] == [1] * 6
    np.testing.assert_allclose(parts.D, whole.D, atol=1e-6)
    np.testing.assert_allclose(parts.gap, whole.gap, atol=1e-6)


@pytest.mark.statistics
def test_fit__finds_what_was_planted_better_in_longer_chains(backend):
    rng = np.random.default_rng(0)
    D = np.zeros((6, 6))
    D[np.arange(6), rng.permutation(6)] = rng.uniform(0.2, 0.5, 6)
    D[np.arange(6), np.arange(6)] += 0.1
    hours = 0.05 + 0.2 * rng.random((6, 24))
    rates = np.stack([1 - hours, hours], axis=2)
    model = copy_all(D, background=1 - D.sum(axis=1), rates=rates)
    statuses = model.sample(50_000, seed=1)
    errors = [
        abs(InfluenceModel.fit(statuses[:, :n], times=0, backend=backend).D - D).mean()
        for n in (500, 5_000, 50_000)
    ]
    # The standard error falls with the root of the length: 3.2 times for 10 times the data.
    assert errors[1] < errors[0] / 2
    assert errors[2] < errors[1] / 2
    assert errors[2] < 0.004


@pytest.mark.statistics
def test_fit__intervals_hold_the_truth_about_as_often_as_they_say(backend):
    rng = np.random.default_rng(1)
    hits = n_true = 0
    D = np.array([[0.1, 0.3, 0.15], [0, 0.1, 0.4], [0.25, 0, 0.2]])
    rates = np.array([[[0.8, 0.2]], [[0.7, 0.3]], [[0.85, 0.15]]])
    model = copy_all(D, background=1 - D.sum(axis=1), rates=rates)
    for _ in range(60):
        statuses = model.sample(1500, seed=int(rng.integers(1 << 30)))
        rows = InfluenceModel.fit(statuses, backend=backend).rows
        true = D[rows.target, rows.source]
        hits += int(((rows.low <= true) & (true <= rows.high))[true > 0].sum())
        n_true += int((true > 0).sum())
    # 95 % of 420, give or take four standard errors.
    assert n_true > 400
    assert abs(hits / n_true - 0.95) < 4 * (0.95 * 0.05 / n_true) ** 0.5


def test_fit__intervals_are_those_of_second_derivatives(backend):
    _, statuses = draw_statuses(17, n_sites=3, n_steps=2000)
    model = InfluenceModel.fit(statuses, tolerance=1e-7, backend=backend)
    rows = model.rows
    for i in range(3):
        edges = np.flatnonzero(rows.target == i)
        free = np.append(rows.mass[edges], model.background[i] * rows.rates[i, 0, 1])
        before, after = statuses[:, :-1], statuses[i, 1:]
        active = np.vstack([before[rows.source[edges]], np.ones(after.size)]).T
        p = np.where(after == 1, active @ free, 1 - active @ free)
        covariance = np.linalg.inv(active.T @ (active / p[:, None] ** 2))
        error = np.sqrt(np.diag(covariance))[:-1]
        d = rows.mass[edges]
        odds = d / (1 - d)
        by = np.exp(np.minimum(1.959963984540054 * error / (d * (1 - d)), 50))
        np.testing.assert_allclose(rows.low[edges], odds / by / (1 + odds / by), rtol=1e-4)
        np.testing.assert_allclose(rows.high[edges], odds * by / (1 + odds * by), rtol=1e-4)


def toss_leader(n_steps=1000, seed=0):
    leader = np.random.default_rng(seed).integers(0, 2, n_steps)
    return np.array([leader, np.append(0, leader[:-1])])


# Copies alone cannot explain a fair coin, see the errors.
@pytest.mark.parametrize(
    ("emission", "background"),
    [("copy", True), ("plugin", True), ("plugin", False), ("tied", True), ("tied", False)],
)
def test_fit__leader_and_follower(backend, emission, background):
    for seed in range(3):
        how = {"emission": emission, "background": background, "backend": backend}
        model = InfluenceModel.fit(toss_leader(seed=seed), **how)
        np.testing.assert_allclose(model.D[1], [1, 0], atol=1e-6)
        assert model.identified[1]
        # With copies a coin's own habit is not a copy; whose fair coin is taken, nobody can tell.
        assert model.identified[0] == (emission == "copy")


def test_fit__pairwise_matrices_are_those_of_the_published_package(backend):
    from influence_model.learning import learn_state_transition_matrix

    for statuses in (toss_leader(), draw_statuses(18, n_statuses=3)[1]):
        m = int(statuses.max()) + 1
        model = InfluenceModel.fit(statuses, emission="plugin", backend=backend)
        for i, j in itertools.product(range(len(statuses)), repeat=2):
            expected = learn_state_transition_matrix(statuses[i], statuses[j], m, m)
            np.testing.assert_allclose(model.A[i][j], expected, atol=1e-12)


def test_fit__reports_sources_that_nobody_can_tell_apart(backend):
    _, statuses = draw_statuses(19, n_sites=3, n_steps=3000)
    twins = np.vstack([statuses, statuses[:1]])
    assert InfluenceModel.fit(statuses, backend=backend).identified.all()
    found = InfluenceModel.fit(twins, backend=backend)
    takes_twins = (found.D[:, 0] > 0) & (found.D[:, 3] > 0)
    assert takes_twins.any()
    assert not found.identified[takes_twins].any()


def test_fit__tied_is_more_likely_than_the_published_matrices(backend):
    D = np.array([[0.3, 0.7, 0], [0.2, 0.2, 0.6], [0.5, 0.1, 0.4]])
    A = np.broadcast_to([[0.9, 0.1], [0.2, 0.8]], (3, 3, 2, 2))
    statuses = InfluenceModel(D, A).sample(20_000, seed=0)
    how = {"background": False, "backend": backend}
    tied, plugin = (InfluenceModel.fit(statuses, emission=e, **how) for e in ("tied", "plugin"))
    assert (tied.rows.log_likelihood > plugin.rows.log_likelihood).all()
    np.testing.assert_allclose(tied.D, D, atol=0.04)
    np.testing.assert_allclose(tied.A[0][0], A[0][0], atol=0.03)


def test_fit__missing_targets_are_not_counted_and_missing_sources_rest(backend):
    _, statuses = draw_statuses(20, n_sites=3, n_steps=400)
    late = statuses.copy()
    late[0, :150] = -1
    found = InfluenceModel.fit(late, backend=backend, tolerance=1e-6)
    assert found.rows.n_steps.tolist() == [250, 399, 399]
    rests = statuses.copy()
    rests[0, :150] = 0
    others = InfluenceModel.fit(rests, backend=backend, tolerance=1e-6)
    np.testing.assert_allclose(found.D[1:], others.D[1:], atol=1e-9)
    np.testing.assert_allclose(found.rows.log_likelihood, sum_logs_by_hand(found, late), atol=1e-5)


def test_fit__tables_share_their_rows(backend):
    _, statuses = draw_statuses(21, n_steps=300)
    tables = [statuses[:, :100], statuses[:, 100:160], statuses[:, 160:]]
    found = InfluenceModel.fit(tables, backend=backend, tolerance=1e-6)
    assert found.rows.n_steps.tolist() == [297] * 4
    expected = sum(sum_logs_by_hand(found, table) for table in tables)
    np.testing.assert_allclose(found.rows.log_likelihood, expected, atol=1e-5)
    turned = InfluenceModel.fit(tables[::-1], backend=backend, tolerance=1e-6)
    np.testing.assert_allclose(turned.D, found.D, atol=1e-4)


def test_fit__attributes_every_event_once(backend):
    _, statuses = draw_statuses(22, n_sites=3, n_steps=200)
    model = InfluenceModel.fit(statuses, times=0, backend=backend)
    rows = model.rows
    explained = np.bincount(rows.target, weights=rows.caused, minlength=3) + rows.immigrants
    np.testing.assert_allclose(explained, (statuses[:, 1:] == 1).sum(axis=1), rtol=1e-9)
    for edge, (i, j) in enumerate(zip(rows.target, rows.source, strict=True)):
        caused = 0.0
        for k in range(199):
            if statuses[i, k + 1] == 1 and statuses[j, k] == 1:
                caused += model.D[i, j] / model.step(statuses[:, k], group=(k + 1) % 24)[i][1]
        assert rows.caused[edge] == pytest.approx(caused)


@pytest.mark.statistics
@given(seed=st.integers(0, 1000))
def test_fit__does_not_mind_the_order_of_sites_or_a_silent_one(backend, seed):
    _, statuses = draw_statuses(seed, n_steps=150)
    order = np.random.default_rng(seed).permutation(4)
    choices = {"backend": backend, "tolerance": 1e-7, "intervals": False}
    found = InfluenceModel.fit(statuses, **choices)
    turned = InfluenceModel.fit(statuses[order], **choices)
    quiet = InfluenceModel.fit(np.vstack([statuses, np.zeros_like(statuses[:1])]), **choices)
    # Two optima differ by no more than what their certificates leave open.
    nats, gap = found.rows.log_likelihood, found.rows.gap
    open_to = np.maximum(turned.rows.gap, gap[order]) + 1e-9
    assert (abs(turned.rows.log_likelihood - nats[order]) <= open_to).all()
    open_to = np.maximum(quiet.rows.gap[:4], gap) + 1e-9
    assert (abs(quiet.rows.log_likelihood[:4] - nats) <= open_to).all()
    assert max(gap.max(), open_to.max()) < 1e-6


# --- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 0]], np.eye(2)), r"D has shape \(1, 2\)"),
        (([[0.5, 0.4], [1, 0]], np.ones((2, 2, 1, 1))), "D holds 0, and a row that sums to 0.9"),
        (([[1.5, -0.5], [1, 0]], np.ones((2, 2, 1, 1))), "D holds -0.5"),
        (([[1.0]], np.ones((2, 2, 1, 1))), r"A has shape \(2, 2, 1, 1\)"),
        (([[1.0]], np.full((1, 1, 2, 2), 0.4)), "A holds 0.4"),
        (([[1.0]], [[[[1, 0], [0, 1]], [[1.0]]]]), "A is not 1 times 1"),
        (([[1, 0], [0, 1]], [[np.eye(2), np.eye(2)], [np.eye(3), np.eye(3)]]), r"A\[0\]\[1\] has"),
    ],
)
def test_model__refuses_what_is_no_model(arguments, message):
    with pytest.raises(ValueError, match=message):
        InfluenceModel(*arguments)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"background": [0.5]}, "needs rates"),
        ({"background": [0.5, 0.1]}, r"background has shape \(2,\)"),
        ({"background": [0.5], "rates": [[0.5, 0.2, 0.3]]}, "rates of site 0 have shape"),
        ({"background": [0.5], "rates": [[0.5, 0.2]]}, "rates of site 0 holds"),
    ],
)
def test_model__refuses_a_background_that_is_none(choices, message):
    with pytest.raises(ValueError, match=message):
        InfluenceModel([[0.5]], np.eye(2)[None, None], **choices)


GOOD = [[0, 1, 0, 1], [1, 1, 0, 0]]


@pytest.mark.parametrize(
    ("statuses", "choices", "message"),
    [
        ([0, 1, 0], {}, r"of shape \(3,\)"),
        (np.zeros((2, 3)), {}, "give whole numbers"),
        ([[0, 64], [0, 1]], {}, "a status is 64"),
        ([[0], [1]], {}, "no transition"),
        ([np.zeros((2, 3), int), np.zeros((3, 3), int)], {}, r"have \[2, 3\] sites"),
        (GOOD, {"times": [0, 1]}, r"times have shape \(2,\) for 4 steps"),
        (GOOD, {"times": [0, 1, 2, 3]}, "no transition"),
        ([np.array(GOOD)], {"times": [0, 1]}, "2 times for 1 tables"),
        (GOOD, {"bin_seconds": 0}, "bin_seconds is 0"),
        (GOOD, {"n_statuses": 1}, "n_statuses is 1 for site 0"),
        (GOOD, {"emission": "other"}, "emission is 'other'"),
        (GOOD, {"candidates": [[0, 2]]}, "candidates name site 2"),
        (GOOD, {"candidates": [0.5]}, "candidates are float64"),
        (GOOD, {"background": False}, "impossible without a background"),
    ],
)
def test_fit__refuses_what_it_cannot_fit(statuses, choices, message):
    with pytest.raises(ValueError, match=message):
        InfluenceModel.fit(statuses, **choices)


def test_model__refuses_statuses_that_it_does_not_have():
    model, statuses = draw_statuses(0)
    above = [[0, 1], [0, 2], [0, 0], [0, 0]]
    for refuse, message in (
        (lambda: model.step([0, 0, 0, 2]), "site 3 has a status above 1"),
        (lambda: model.log_likelihood(above), "site 1 has a status above 1"),
        (lambda: model.step([0, 0, 0, -1]), "below 0"),
        (lambda: model.step([0, 0, 0]), r"have shape \(3,\)"),
        (lambda: model.log_likelihood(statuses[:2]), "have 2 sites, the model 4"),
        (lambda: model.log_likelihood(statuses, times=0), "the background has 1 groups"),
        (lambda: model.sample(0, seed=0), "draw one of each"),
        (lambda: model.rank(teleport=0), "teleport is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            refuse()


def test_model__says_what_it_is():
    model, statuses = draw_statuses(0)
    assert repr(model) == "InfluenceModel(4 sites, 2 statuses at most)"
    assert "gap at most" in repr(InfluenceModel.fit(statuses))
