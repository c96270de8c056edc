"""Groups: every stage against a slow and obvious form, and the whole against planted truth."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from gpu_coord.activity.cells import Activity, build_activity
from gpu_coord.archive.ingest import ingest
from gpu_coord.groups import groups
from gpu_coord.groups.crowds import (
    Coincidences,
    compute_excess_p,
    learn_profile,
    replicate_crowd,
    studentise_days,
)
from gpu_coord.groups.draws import draw_slots, draw_unit, make_key, open_stream, shuffle
from gpu_coord.groups.findings import pair_trials
from gpu_coord.groups.folds import Calendar, find_obstacle, index_fold, split_days, thin_fold
from gpu_coord.groups.groups import find_groups
from gpu_coord.groups.matches import compare_matches, draw_matches
from gpu_coord.groups.members import assess_accounts
from gpu_coord.groups.rhythms import estimate_rhythms
from gpu_coord.groups.schedules import _draw_orders, permute_days
from gpu_coord.groups.scores import Scores, limit_pairs, score_pairs
from gpu_coord.groups.search import (
    _cut_prefix,
    _find_vectors,
    _move,
    _peel,
    measure_set,
    search_groups,
)
from gpu_coord.groups.trials import Trial

HOUR = 3600
FIRST_DAY = 18_000


def build(backend, account, entity, bin, *, n_accounts=None, bin_seconds=HOUR, names=None):
    """Return the activity of cells, bins counted from the beginning of an even day."""
    cells = np.unique(np.stack([entity, bin, account], axis=1).astype(np.int64), axis=0)
    entities, entity = np.unique(cells[:, 0], return_inverse=True)
    n_accounts = n_accounts or int(cells[:, 2].max()) + 1
    first = int(cells[:, 1].min())
    return Activity(
        backend=backend,
        bin_seconds=bin_seconds,
        first_bin=first + FIRST_DAY * 86_400 // bin_seconds,
        n_bins=int(cells[:, 1].max()) - first + 1,
        kinds=("hashtag",),
        missing_kinds=(),
        accounts=pl.DataFrame({"account_id": names or [str(i) for i in range(n_accounts)]}),
        entities=pl.DataFrame({"kind": ["hashtag"] * entities.size}),
        entity=backend.xp.asarray(entity.astype(np.int32)),
        bin=backend.xp.asarray((cells[:, 1] - first).astype(np.int32)),
        account=backend.xp.asarray(cells[:, 2].astype(np.int32)),
        n_dropped={},
    )


def draw_ordinary(seed, *, n_accounts=120, n_days=28, n_entities=40, n_viral=6, power=1, mean=40):
    """Return account, entity, bin of accounts in four time zones that share viral events."""
    rng = np.random.default_rng(seed)
    size = np.maximum(3, rng.poisson(rng.lognormal(-0.3, 0.8, n_accounts) * mean))
    account = np.repeat(np.arange(n_accounts), size)
    zone = 6 * rng.integers(4, size=n_accounts)[account]
    awake = (1 + 0.8 * np.sin(2 * np.pi * (np.arange(24) - 9) / 24)) ** power
    popularity = 1 / np.arange(5.0, n_entities + 5)
    entity = rng.choice(n_entities, account.size, p=popularity / popularity.sum())
    hour = (rng.choice(24, account.size, p=awake / awake.sum()) - zone) % 24
    bin = rng.integers(n_days, size=account.size) * 24 + hour
    for _ in range(n_viral):
        onset, seized = rng.integers(n_days * 24 - 12), rng.random(account.size) < 0.05
        when = np.minimum(onset + rng.exponential(4, account.size).astype(int), n_days * 24 - 1)
        seized &= rng.random(account.size) < awake[(when + zone) % 24] / awake.max()
        bin, entity = np.where(seized, when, bin), np.where(seized, rng.integers(20), entity)
    return account, entity, bin


def draw_fresh(seed, *, n_accounts=500, n_days=28, n_events=6000):
    """Return account, entity, bin of accounts that take up one of the last sources, and drop it.

    A few accounts make most of the events, and hardly more than two ever share an entity and day.
    """
    rng = np.random.default_rng(seed)
    activity = 1 / np.arange(3.0, n_accounts + 3)
    account = rng.choice(n_accounts, n_events, p=activity / activity.sum())
    awake = 1 + 0.8 * np.sin(2 * np.pi * (np.arange(24) - 9) / 24)
    hour = rng.choice(24, n_events, p=awake / awake.sum())
    hour = (hour - 6 * rng.integers(4, size=n_accounts)[account]) % 24
    bin = rng.integers(n_days, size=n_events) * 24 + hour
    born = np.sort(rng.integers(n_days * 24, size=60 * n_days))
    source = np.searchsorted(born, bin, side="right") - rng.geometric(0.12, n_events)
    return account, rng.integers(600, size=born.size)[np.maximum(source, 0)], bin


def draw_operation(seed, share, *, n_core=4, n_copies=20, n_plants=40, n_days=28):
    """Return account, entity, bin of plants, and of copies up to four bins later."""
    rng = np.random.default_rng([seed, 1])
    core = np.repeat(np.arange(n_core), n_plants)
    planted = rng.integers(n_days, size=core.size) * 24 + rng.integers(20, size=core.size)
    entity = rng.choice(np.arange(3, 35, 4), core.size)
    plant, copier = np.nonzero(rng.random((core.size, n_copies)) < share)
    lag = np.minimum(rng.geometric(0.5, plant.size) - 1, 4)
    return (
        np.r_[core, n_core + copier],
        np.r_[entity, entity[plant]],
        np.r_[planted, planted[plant] + lag],
    )


def join(*parts):
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


@pytest.fixture(scope="module")
def ordinary(backend):
    """A small archive in which nobody acts in concert: folds and rhythms."""
    activity = build(backend, *draw_ordinary(1, n_accounts=40, n_days=14, n_entities=8, n_viral=2))
    _, folds = split_days(activity)
    return folds, estimate_rhythms(folds)


# ------------------------------------------------------------------ slow forms


def list_strata(fold):
    """Return {(day, entity): {account: slots}}."""
    strata = {}
    for stratum in range(fold.n_strata):
        visits = {}
        for visit in range(fold.stratum_start[stratum], fold.stratum_start[stratum + 1]):
            slots = fold.event_slot[fold.visit_start[visit] : fold.visit_start[visit + 1]]
            visits[int(fold.visit_account[visit])] = slots.tolist()
        key = int(fold.stratum_day[stratum]), int(fold.stratum_entity[stratum])
        assert key not in strata
        strata[key] = visits
    return strata


def weigh(slots, fold):
    """Return the weight of an event in each slot, given the events of others."""
    reach = fold.calendar.reach
    near = [sum(abs(slot - h) <= reach for slot in slots) for h in range(fold.calendar.n_slots)]
    return [math.log(1 + 0.2 * fold.n_accounts / (n + 1)) for n in near]


def tabulate_pairs(fold, rhythms):
    """Return observed, expected, variance of every pair, and the mean weight of an event."""
    n, n_slots, reach = fold.n_accounts, fold.calendar.n_slots, fold.calendar.reach
    share = np.repeat(rhythms.share, rhythms.bins_per_hour, axis=1) / rhythms.bins_per_hour
    hours = np.abs(np.subtract.outer(np.arange(n_slots), np.arange(n_slots))) <= reach
    tables, weights = np.zeros((3, n, n)), []
    for visits in list_strata(fold).values():
        weight = np.array(weigh([slot for slots in visits.values() for slot in slots], fold))
        weights += [weight[slot] for slots in visits.values() for slot in slots]
        # The expectation knows the weights by the hour.
        by_hour = [
            np.repeat((weight**p).reshape(-1, rhythms.bins_per_hour).mean(1), rhythms.bins_per_hour)
            for p in (1, 2)
        ]
        for i, j in itertools.permutations(visits, 2):
            for first, second in itertools.product(visits[i], visits[j]):
                if abs(first - second) <= reach:
                    tables[0, i, j] += (weight[first] + weight[second]) / 2
            for table, mean in zip(tables[1:], by_hour, strict=True):
                both = np.outer(share[i], share[j]) * hours * (mean[:, None] + mean) / 2
                table[i, j] += len(visits[i]) * len(visits[j]) * both.sum()
    return *tables, np.mean(weights)


def tabulate_meetings(fold, rhythms):
    """Return observed, expected, variance of every pair, and the mean weight of an event.

    The middle two are still to be multiplied by how likely the pair is within reach; what the
    events of either then weigh is taken from its own hours.
    """
    tables, weights = np.zeros((3, fold.n_accounts, fold.n_accounts)), []
    own = rhythms.share * rhythms.reached
    for visits in list_strata(fold).values():
        weight = np.array(weigh([slot for slots in visits.values() for slot in slots], fold))
        weights += [weight[slot] for slots in visits.values() for slot in slots]
        by_hour = [(weight**p).reshape(-1, rhythms.bins_per_hour).mean(axis=1) for p in (1, 2)]
        for i, j in itertools.permutations(visits, 2):
            for first, second in itertools.product(visits[i], visits[j]):
                if abs(first - second) <= fold.calendar.reach:
                    tables[0, i, j] += (weight[first] + weight[second]) / 2
            for table, mean in zip(tables[1:], by_hour, strict=True):
                both = (np.average(mean, weights=own[i]) + np.average(mean, weights=own[j])) / 2
                table[i, j] += len(visits[i]) * len(visits[j]) * both
    return *tables, np.mean(weights)


def score_by_hand(fold, rhythms, *, pooled=False):
    """Return z of all pairs; if pooled, of pairs that never coincide by everybody's rhythm."""
    observed, expected, variance, mean_weight = tabulate_meetings(fold, rhythms)
    hours = np.abs(np.subtract.outer(*2 * [np.arange(fold.calendar.n_slots)]))
    share = np.repeat(rhythms.share, rhythms.bins_per_hour, axis=1) / rhythms.bins_per_hour
    everybody = np.repeat(rhythms.pooled, rhythms.bins_per_hour) / rhythms.bins_per_hour
    within = hours <= fold.calendar.reach
    near = share @ within @ share.T
    if pooled:
        near = np.where(observed > 0, near, everybody @ within @ everybody)
    z = (observed - near * expected) / np.sqrt(near * variance + 0.5 * mean_weight**2)
    return np.clip(z, -2, 6)


def spread_out(scores):
    """Return z of all pairs as a matrix."""
    z = (scores.base[:, None] + scores.base) / 2
    for row in range(scores.n_accounts):
        entries = slice(scores.row_start[row], scores.row_start[row + 1])
        z[row, scores.column[entries]] += scores.value[entries]
    np.fill_diagonal(z, 0)
    return z


def gather(z, base=None):
    """Return scores that hold a symmetric matrix."""
    n = len(z)
    base = np.zeros(n) if base is None else base
    value = (z - (base[:, None] + base) / 2)[~np.eye(n, dtype=bool)]
    column = np.array([j for i in range(n) for j in range(n) if i != j], np.int32)
    return Scores(np.arange(n + 1) * (n - 1), column, value.astype(np.float32), base)


def measure_by_hand(z, accounts):
    pairs = list(itertools.combinations(accounts, 2))
    return sum(z[i, j] for i, j in pairs) / math.sqrt(len(pairs))


def count_by_hand(fold, inside, move_day=lambda account, day: day, outsiders_too=True):
    """Return the weighted coincidences of different members by day and lag."""
    counts, members = {}, {}
    for (day, entity), visits in list_strata(fold).items():
        for account, slots in visits.items():
            table = members if inside[account] else counts
            landed = move_day(account, day) if inside[account] else day
            table.setdefault((landed, entity), []).extend((account, slot, day) for slot in slots)
    by_lag = np.zeros((fold.day.size, fold.calendar.reach + 1))
    for (day, entity), events in members.items():
        weight = weigh([slot for _, slot, _ in counts.get((day, entity), [])], fold)
        for (i, first, _), (j, second, _) in itertools.permutations(events, 2):
            if i != j and abs(first - second) <= fold.calendar.reach:
                by_lag[day, abs(first - second)] += weight[first] / 2
    return by_lag


def habits_by_hand(fold, rhythms, visits, account, left_out):
    """Return how likely each slot of a stratum is for an account, given the others' events."""
    n_slots, width = fold.calendar.n_slots, rhythms.bins_per_hour
    others = {other: slots for other, slots in visits.items() if other not in left_out}
    share = np.repeat(rhythms.share, width, axis=1) / width
    pooled = np.repeat(rhythms.pooled, width) / width
    crowd = np.bincount(
        [slot for slots in others.values() for slot in slots], minlength=n_slots
    ).astype(float)
    around = [crowd[max(h - 1, 0) : h + 2].mean() for h in range(n_slots)]
    promised = sum((len(slots) * share[other] for other, slots in others.items()), 0 * pooled)
    odds = share[account] * (around + 2 * pooled) / (promised + 2 * pooled)
    return odds / odds.sum()


# ------------------------------------------------------------------ folds


@pytest.mark.parametrize("bin_seconds", [HOUR, 1800, 3 * HOUR])
def test_split_days__keeps_every_event_in_its_place(bin_seconds, backend):
    rng = np.random.default_rng(2)
    per_day = 86_400 // bin_seconds
    account, entity = rng.integers(2, 9, 400), rng.integers(4, size=400)
    bin = rng.integers(5, 15 * per_day, 400)
    activity = build(backend, account, entity, bin, n_accounts=12, bin_seconds=bin_seconds)
    accounts, folds = split_days(activity)
    assert accounts.tolist() == sorted(set(account.tolist()))
    wanted = {(e, b, a) for a, e, b in zip(*map(np.ndarray.tolist, (account, entity, bin)),
                                           strict=True)}  # fmt: skip
    found = set()
    for parity, fold in enumerate(folds):
        assert (fold.day % 2 == parity).all()
        assert fold.calendar.reach == 3 * HOUR // bin_seconds
        for (day, entity), visits in list_strata(fold).items():
            for account, slots in visits.items():
                assert slots == sorted(slots)
                start = (fold.day[day] - FIRST_DAY) * per_day
                found |= {(entity, int(start) + slot, int(accounts[account])) for slot in slots}
    assert found == wanted


def test_split_days__lists_days_without_events(backend):
    _, (even, odd) = split_days(build(backend, [0, 1], [0, 0], [30, 15 * 24 + 1]))
    assert even.day.tolist() == [FIRST_DAY + day for day in range(2, 16, 2)]
    assert odd.day.tolist() == [FIRST_DAY + day for day in range(1, 16, 2)]
    assert (even.n_events, odd.n_events) == (0, 2)


def test_split_days__leaves_out_days_of_a_long_gap(backend):
    bins = [0, 3 * 24, 900 * 24, 901 * 24]
    activity = build(backend, [0, 1, 0, 1], [0, 0, 0, 0], bins)
    _, (even, odd) = split_days(activity)
    assert even.day.tolist() == [FIRST_DAY + day for day in (0, 2, 900)]
    assert odd.day.tolist() == [FIRST_DAY + day for day in (1, 3, 901)]
    assert (even.stratum_day.tolist(), odd.stratum_day.tolist()) == ([0, 2], [1, 2])
    # Six days are too few, however long they took.
    assert find_obstacle(activity) == "the data span 6 days (UTC); the test needs at least 14"


@pytest.mark.parametrize(
    ("bin_seconds", "last_bin", "words"),
    [
        (7 * HOUR, 99, "not a whole number of bins of 25200 s"),
        (4 * HOUR, 199, "bins of 14400 s are longer than 3 h"),
        (HOUR, 13 * 24 - 1, "span 13 days"),
        (HOUR, 13 * 24, None),
    ],
)
def test_find_obstacle__says_why(bin_seconds, last_bin, words, backend):
    activity = build(backend, [0, 1], [0, 0], [0, last_bin], bin_seconds=bin_seconds)
    obstacle = find_obstacle(activity)
    assert obstacle is None if words is None else words in obstacle
    if words is not None:
        groups = find_groups(activity)
        assert groups.reason == obstacle
        assert groups.table.height == groups.accounts.height == groups.n_confirmed == 0
        assert {"group", "size", "ratio", "p_value", "limiting_test"} <= set(groups.table.columns)


def test_thin_fold__keeps_whole_entities_by_lot(ordinary):
    (fold, _), _ = ordinary
    busy = fold.mark(np.argsort(-fold.activity)[:10])
    n_events = int(fold.activity[busy].sum())
    same, share = thin_fold(fold, busy, most=n_events, seed=1)
    assert same is fold and share == 1
    thinned, share = thin_fold(fold, busy, most=n_events // 2, seed=1)
    assert share == pytest.approx(0.5, abs=0.01)
    kept = np.unique(thinned.stratum_entity)
    assert 0 < kept.size < np.unique(fold.stratum_entity).size
    whole = {key: slots for key, slots in list_strata(fold).items() if key[1] in kept}
    assert list_strata(thinned) == whole
    other, _ = thin_fold(fold, busy, most=n_events // 2, seed=2)
    assert set(np.unique(other.stratum_entity)) != set(kept)


# ------------------------------------------------------------------ rhythms


def test_estimate_rhythms__takes_the_silent_for_one_of_its_cohort(backend):
    """Of 40 accounts half post at 3 to 6 h, half at 15 to 18 h; the last has one event."""
    rng = np.random.default_rng(3)
    account = np.repeat(np.arange(40), 30)
    hour = rng.integers(3, 7, account.size) + 12 * (account >= 20)
    account, hour = np.append(account, 40), np.append(hour, 16)
    day = rng.integers(14, size=account.size)
    activity = build(backend, account, rng.integers(99, size=account.size), day * 24 + hour)
    _, folds = split_days(activity)
    rhythms = estimate_rhythms(folds)
    np.testing.assert_allclose(rhythms.share.sum(axis=1), 1)
    assert rhythms.share[40, 15:19].sum() > 0.8
    assert rhythms.share[40, 3:7].sum() < 0.15
    # Everyone's rhythm has both peaks: a copy of it would be half awake at either.
    assert rhythms.pooled[3:7].sum() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("bin_seconds", "n_hours"),
    [(HOUR, 24), (1800, 24), (60, 24), (2 * HOUR, 12), (3 * HOUR, 8), (2700, 32)],
)
def test_estimate_rhythms__counts_hours(bin_seconds, n_hours, backend):
    activity = build(backend, [0, 1, 1], [0, 0, 1], [0, 400, 401], bin_seconds=bin_seconds)
    _, folds = split_days(activity)
    rhythms = estimate_rhythms(folds)
    calendar, width = folds[0].calendar, rhythms.bins_per_hour
    assert rhythms.share.shape == (2, n_hours)
    assert n_hours * width == calendar.n_slots
    slot = np.arange(calendar.n_slots)
    within = np.abs(np.subtract.outer(slot, slot)) <= calendar.reach
    by_slot = np.repeat(rhythms.share, width, axis=1) / width
    reached = (by_slot @ within).reshape(2, n_hours, width).mean(axis=2)
    np.testing.assert_allclose(rhythms.reached, reached)


# ------------------------------------------------------------------ draws


def open_any(seed):
    state = np.empty(1, np.uint64)
    open_stream(make_key(seed), 0, 0, state)
    return state


def test_draw_unit__is_uniform():
    state = open_any(1)
    drawn = np.array([draw_unit(state) for _ in range(4000)])
    assert stats.kstest(drawn, "uniform").pvalue > 0.001
    assert 0 <= drawn.min() and drawn.max() < 1


def test_open_stream__names_are_told_apart():
    states = np.array([np.empty(1, np.uint64) for _ in range(200)])
    names = itertools.product(range(2), range(10), range(10))
    for state, (key, first, second) in zip(states, names, strict=True):
        open_stream(make_key(key), first, second, state)
    assert np.unique(states).size == 200


def test_draw_slots__draws_one_after_the_other_by_the_odds_left():
    odds = np.array([0.6, 0.25, 0.0, 0.15])
    state, slots, n = open_any(2), np.empty(2, np.int64), 20_000
    seen = {}
    for _ in range(n):
        draw_slots(np.cumsum(odds), 2, slots, state)
        seen[tuple(slots.tolist())] = seen.get(tuple(slots.tolist()), 0) + 1
    for first, second in itertools.permutations((0, 1, 3), 2):
        wanted = odds[first] * odds[second] / (1 - odds[first])
        assert seen.pop((first, second)) / n == pytest.approx(wanted, abs=0.015)
    assert not seen


def test_draw_slots__finds_the_rare_ones_when_all_are_wanted():
    cumulative = np.cumsum([1.0, 1e-9, 1e-9, 1e-12])
    state, slots = open_any(3), np.empty(4, np.int64)
    for _ in range(50):
        draw_slots(cumulative, 4, slots, state)
        assert sorted(slots.tolist()) == [0, 1, 2, 3]


def test_shuffle__makes_every_order_as_often():
    state, seen = open_any(4), {}
    for _ in range(6000):
        order = np.arange(3)
        shuffle(order, state)
        seen[tuple(order.tolist())] = seen.get(tuple(order.tolist()), 0) + 1
    assert len(seen) == 6
    assert stats.chisquare(list(seen.values())).pvalue > 0.001


# ------------------------------------------------------------------ scores


@pytest.mark.parametrize("bin_seconds", [HOUR, 1800])
def test_score_pairs__equals_all_pairs_by_hand(bin_seconds, backend):
    account, entity, bin = draw_ordinary(5, n_accounts=12, n_days=14, n_entities=3, mean=30)
    bin = bin * HOUR // bin_seconds + (account % 2) * (bin_seconds < HOUR)
    activity = build(backend, account, entity, bin, bin_seconds=bin_seconds)
    _, folds = split_days(activity)
    rhythms = estimate_rhythms(folds)
    for fold in folds:
        scores = score_pairs(fold, rhythms, memory=1 << 30)
        np.testing.assert_allclose(spread_out(scores), score_by_hand(fold, rhythms), atol=1e-5)
        assert not scores.base.any()


def test_score_pairs__keeps_the_highest_where_there_are_too_many(ordinary):
    (fold, _), rhythms = ordinary
    z = score_by_hand(fold, rhythms)
    n_kept = limit_pairs(fold, most=10 * fold.n_accounts)
    assert n_kept == 10 and limit_pairs(fold) is None
    scores = score_pairs(fold, rhythms, memory=1 << 20, n_kept=n_kept)
    kept = np.zeros(z.shape, bool)
    for row in range(scores.n_accounts):
        kept[row, scores.column[scores.row_start[row] : scores.row_start[row + 1]]] = True
    np.testing.assert_array_equal(kept, kept.T)
    found = spread_out(scores)
    np.testing.assert_allclose(found[kept], z[kept], atol=1e-5)
    rest = ~kept & ~np.eye(len(z), dtype=bool)
    assert 0.2 < kept.mean() < 0.8
    quick = score_by_hand(fold, rhythms, pooled=True)
    for row in range(len(z)):
        # Each account's ten highest are there, as far as they are positive.
        highest = np.argsort(-z[row])[:10]
        assert kept[row, highest[z[row, highest] > 1e-5]].all()
        assert scores.base[row] == pytest.approx(quick[row, rest[row]].mean(), abs=1e-5)


@pytest.mark.parametrize("n_kept", [None, 10])
def test_score_pairs__is_the_same_for_any_threads_and_memory(ordinary, n_kept):
    (fold, _), rhythms = ordinary
    first, *others = (
        score_pairs(fold._replace(n_threads=n), rhythms, memory=memory, n_kept=n_kept)
        for n, memory in ((1, 1 << 30), (2, 1 << 30), (2, 1_000))
    )
    for other in others:
        for name in ("row_start", "column", "value", "base"):
            np.testing.assert_array_equal(getattr(first, name), getattr(other, name))


# ------------------------------------------------------------------ search


def draw_matrix(seed, n=24, planted=7):
    rng = np.random.default_rng(seed)
    z = np.triu(np.clip(rng.normal(-0.1, 0.7, (n, n)), -2, 6), 1)
    z[:planted, :planted] += np.triu(np.full((planted, planted), 1.5), 1)
    order = rng.permutation(n)
    z = (z + z.T)[np.ix_(order, order)]
    return z, np.sort(np.argsort(order)[:planted])


BASES = [None, np.random.default_rng(0).normal(-0.3, 0.2, 24)]


@pytest.mark.parametrize("base", BASES, ids=["whole", "truncated"])
def test_measure_set__equals_the_sum_over_pairs(base):
    z, _ = draw_matrix(1)
    for accounts in ([0, 3, 4, 9], list(range(24)), [5, 2, 17, 11, 20]):
        found = measure_set(gather(z, base), np.array(accounts))
        assert found == pytest.approx(measure_by_hand(z, accounts), rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_peel__equals_peeling_by_hand(seed):
    z, _ = draw_matrix(seed)
    alive = np.random.default_rng(seed).random(24) < 0.8
    left = list(np.flatnonzero(alive))
    best = (-math.inf, None)
    while len(left) >= 4:
        if len(left) <= 12:
            best = max(best, (measure_by_hand(z, left), sorted(left)))
        sums = [z[account, left].sum() for account in left]
        left.pop(int(np.argmin(sums)))
    score, group = _peel(gather(z), alive, 12)
    assert sorted(group.tolist()) == best[1]
    assert score == pytest.approx(best[0], rel=1e-5)


def test_peel__sees_the_bases(monkeypatch):
    """Keys made anew at every step: a base is as good as entries."""
    monkeypatch.setattr("gpu_coord.groups.search._REBUILD", 1.1)
    z, planted = draw_matrix(8)
    whole, truncated = (_peel(gather(z, base), np.ones(24, bool), 12) for base in BASES)
    assert set(planted) <= set(whole[1].tolist())
    assert sorted(truncated[1].tolist()) == sorted(whole[1].tolist())


def test_cut_prefix__equals_all_prefixes_by_hand():
    z, _ = draw_matrix(2)
    order = np.random.default_rng(2).permutation(24)
    wanted = max((measure_by_hand(z, order[:n]), n) for n in range(4, 13))
    for base in BASES:
        score, group = _cut_prefix(gather(z, base), order, 12)
        assert (score, group.size) == pytest.approx(wanted, rel=1e-5)
        np.testing.assert_array_equal(group, order[: wanted[1]])


@pytest.mark.parametrize("base", BASES, ids=["whole", "truncated"])
def test_find_vectors__are_the_leading_eigenvectors(base):
    z, _ = draw_matrix(3)
    alive = np.arange(24) != 5
    vectors = _find_vectors(gather(z, base), alive)
    among = z[np.ix_(alive, alive)]
    values = np.linalg.eigvalsh(among)
    assert len(vectors) == 6
    for row, value in zip(vectors, values[::-1], strict=False):
        assert row[5] == 0
        np.testing.assert_allclose(among @ row[alive], value * row[alive], atol=1e-4)


@pytest.mark.parametrize("base", BASES, ids=["whole", "truncated"])
def test_move__ends_where_no_single_move_helps(base):
    z, _ = draw_matrix(4)
    alive = np.ones(24, bool)
    score, group = _move(gather(z, base), alive, np.array([0, 1, 2, 3]), 8)
    assert score == pytest.approx(measure_by_hand(z, group), rel=1e-5)
    for account in range(24):
        moved = sorted(set(group.tolist()) ^ {account})
        if 4 <= len(moved) <= 8:
            assert measure_by_hand(z, moved) <= score + 1e-5


def test_search_groups__finds_what_was_planted_and_takes_it_out():
    rng = np.random.default_rng(5)
    z = rng.normal(-0.2, 0.5, (60, 60))
    z[5:13, 5:13] += 3
    z[30:40, 30:40] += 2
    z = np.clip(np.triu(z, 1) + np.triu(z, 1).T, -2, 6)
    found = []
    groups = search_groups(gather(z), 3, report=lambda: found.append(1))
    assert groups[0].tolist() == list(range(5, 13))
    assert groups[1].tolist() == list(range(30, 40))
    assert len(found) == len(groups)
    assert not set(groups[2]) & set(range(5, 13))


def test_search_groups__finds_nothing_where_nothing_is():
    assert search_groups(gather(np.full((20, 20), -1.0)), 4) == []
    assert search_groups(gather(np.full((9, 9), 1.0)), 4) == []


# ------------------------------------------------------------------ crowds


def mark(members, n_accounts):
    inside = np.zeros(n_accounts, bool)
    inside[list(members)] = True
    return inside


def replicate(fold, rhythms, inside, lag_weights=None, **choices):
    lag_weights = np.eye(fold.calendar.reach + 1) if lag_weights is None else lag_weights
    choices = {"key": make_key(1)} | choices
    return replicate_crowd(fold, rhythms, inside, lag_weights, **choices)


def test_replicate_crowd__counts_what_was_seen(ordinary):
    (fold, _), rhythms = ordinary
    inside = mark(range(0, 40, 2), 40)
    # One stratum is the members' own.
    alone = next(v for v in list_strata(fold).values() if sum(map(inside.__getitem__, v)) > 1)
    fold = keep_visits(fold, lambda visits, i: visits != alone or inside[i])
    found = replicate(fold, rhythms, inside, n_replicates=2)
    wanted = count_by_hand(fold, inside)
    pairs = [
        (day, visits)
        for (day, _), visits in list_strata(fold).items()
        if sum(map(inside.__getitem__, visits)) > 1
    ]
    met = sorted({day for day, _ in pairs})
    np.testing.assert_allclose(found.by_day[:, 0], wanted[met], atol=1e-9)
    assert (found.n_strata, found.n_days) == (len(pairs), len(met))
    crowded = [visits for _, visits in pairs if not all(map(inside.__getitem__, visits))]
    assert found.n_crowded == len(crowded) < len(pairs)


def test_replicate_crowd__draws_from_crowd_and_rhythms(backend):
    """Two members with one event each on one entity and day: the mean over all pairs of slots."""
    account = [0, 1, 2, 3, 4, 5, 5]
    entity, bin = np.zeros(7, int), 48 + np.array([3, 20, 9, 10, 10, 11, 15])
    noise = draw_ordinary(6, n_accounts=12, n_days=14, n_viral=0)
    account, entity, bin = join((account, entity, bin), (noise[0], noise[1] + 5, noise[2]))
    _, (fold, odd) = split_days(build(backend, account, entity, bin))
    rhythms = estimate_rhythms((fold, odd))
    inside = mark([0, 1], 12)
    fold = keep_visits(fold, lambda v, _: {0, 1} <= set(v) and max(len(v[0]), len(v[1])) == 1)
    wanted = np.zeros(4)
    strata = list_strata(fold)
    assert (1, 0) in strata and len(strata) > 1
    for visits in strata.values():
        weight = weigh([s for i, slots in visits.items() if i > 1 for s in slots], fold)
        first, second = (habits_by_hand(fold, rhythms, visits, i, {0, 1}) for i in (0, 1))
        for h, k in itertools.product(range(24), range(24)):
            if abs(h - k) <= 3:
                wanted[abs(h - k)] += first[h] * second[k] * (weight[h] + weight[k]) / 2
    found = replicate(fold, rhythms, inside, n_replicates=20_000)
    drawn = found.by_day[:, 1:].sum(axis=0)
    error = drawn.std(axis=0) / math.sqrt(20_000)
    assert (np.abs(drawn.mean(axis=0) - wanted) < 4 * error).all()


def keep_visits(fold, wanted):
    """Return a fold with the visits that are wanted, given all of their stratum."""
    rows = [
        (day, entity, account, slot)
        for (day, entity), visits in list_strata(fold).items()
        for account, slots in visits.items()
        for slot in slots
        if wanted(visits, account)
    ]
    return make_fold(rows, fold.calendar, fold.n_accounts, fold.day)


def make_fold(rows, calendar, n_accounts, days):
    """Return the fold of (day position, entity, account, slot) rows."""
    rows = np.array(sorted(rows)).reshape(-1, 4)
    strata, first = np.unique(rows[:, :2], axis=0, return_index=True)
    visits, starts = np.unique(rows[:, :3], axis=0, return_index=True)
    return index_fold(
        calendar,
        n_accounts,
        day=days,
        stratum_day=strata[:, 0].astype(np.int32),
        stratum_entity=strata[:, 1].astype(np.int32),
        stratum_start=np.append(np.searchsorted(starts, first), len(visits)),
        visit_account=visits[:, 2].astype(np.int32),
        visit_start=np.append(starts, len(rows)),
        event_slot=rows[:, 3].astype(np.int32),
    )


def test_replicate_crowd__keeps_the_events_of_each_visit(ordinary):
    """Within reach of a whole day and without outsiders every pair of events counts the same."""
    (fold, _), rhythms = ordinary
    calendar = Calendar(24, 23, fold.calendar.first_day, fold.calendar.n_days)
    rows = [
        (day, entity, account, slot)
        for (day, entity), visits in list_strata(fold).items()
        for account, slots in visits.items()
        for slot in slots
    ]
    wide = make_fold(rows, calendar, 40, fold.day)
    found = replicate(wide, rhythms, np.ones(40, bool), n_replicates=30)
    totals = found.by_day.sum(axis=2)
    np.testing.assert_allclose(totals, totals[:, :1] * np.ones(31), rtol=1e-12)
    assert (found.by_day.std(axis=1) > 0).any()


def test_replicate_crowd__does_not_see_the_hidden(ordinary):
    """Who is hidden is like one who was never there, but for the number of accounts."""
    (fold, _), rhythms = ordinary
    inside, hidden = mark(range(10), 40), mark(range(8, 25), 40)
    bare = keep_visits(fold, lambda _, i: inside[i] or not hidden[i])
    found = replicate(fold, rhythms, inside, hidden=hidden, n_replicates=400)
    wanted = replicate(bare, rhythms, inside, n_replicates=400)
    np.testing.assert_allclose(found.by_day[:, 0], wanted.by_day[:, 0])
    assert (found.n_strata, found.n_crowded) == (wanted.n_strata, wanted.n_crowded)
    means = [of.by_day[:, 1:].sum(axis=(0, 2)).mean() for of in (found, wanted)]
    assert means[0] == pytest.approx(means[1], rel=0.02)


def test_learn_profile__is_the_log_excess_scaled_to_one():
    by_day = np.zeros((1, 3, 4))
    by_day[0, 0] = [8, 3, 1, 0]
    by_day[0, 1:] = [[1, 2, 1, 4], [1, 0, 1, 2]]
    wanted = [math.log(9 / 2), math.log(4 / 2), 0, 0]
    profile = learn_profile(Coincidences(by_day, 1, 1))
    np.testing.assert_allclose(profile, np.array(wanted) / math.log(9 / 2))
    by_day[0, 0] = 0
    assert learn_profile(Coincidences(by_day, 1, 1)).tolist() == [1, 1, 1, 1]


def test_compute_excess_p__counts_replicates_that_reach():
    totals = np.array([6.0, 5, 4, 6, 7, 1])
    assert compute_excess_p(totals) == 3 / 6
    assert compute_excess_p(totals, margin=1.2) == 4 / 6
    assert compute_excess_p(np.zeros(5)) == 1


def test_studentise_days__asks_for_steady_excess():
    noise = np.random.default_rng(1).normal(5, 1, (10, 200))
    steady, single = noise.copy(), noise.copy()
    steady[:, 0], single[:, 0] = 8, 5
    single[3, 0] = 35
    excess = steady - steady.mean(axis=1, keepdims=True)
    wanted = excess.sum(axis=0) / np.sqrt((excess**2).sum(axis=0))
    np.testing.assert_allclose(studentise_days(steady), wanted)
    assert compute_excess_p(studentise_days(steady)) == 1 / 200
    assert compute_excess_p(studentise_days(single)) > 0.1
    # Once replicates count 1.6 times, 8 against 5 is nothing.
    assert compute_excess_p(studentise_days(steady, baseline=1.6)) > 0.05


# ------------------------------------------------------------------ schedules


def test_permute_days__begins_with_what_was_seen(ordinary):
    (fold, _), rhythms = ordinary
    inside, profile = mark(range(15), 40), np.array([1, 0.4, 0.2, 0.7])
    found = permute_days(fold, inside, profile, n_replicates=3, key=make_key(4), memory=1 << 20)
    crowd = replicate(fold, rhythms, inside, profile[:, None], n_replicates=1)
    assert found[0] == pytest.approx(crowd.by_day[:, 0].sum())


def test_permute_days__moves_whole_days_of_single_members(ordinary):
    (fold, _), _ = ordinary
    inside, profile = mark(range(15), 40), np.array([1, 0.4, 0.2, 0.7])
    orders = _draw_orders(0, 3, 15, fold.day.size, make_key(5))
    everyday = np.broadcast_to(np.arange(fold.day.size), orders.shape)
    np.testing.assert_array_equal(np.sort(orders, axis=2), everyday)
    found = permute_days(fold, inside, profile, n_replicates=3, key=make_key(5), memory=4)
    for order, total in zip(orders, found[1:], strict=True):
        wanted = count_by_hand(fold, inside, lambda i, day, order=order: int(order[i, day]))
        assert total == pytest.approx((wanted @ profile).sum())


def test_permute_days__of_daily_habits_changes_nothing():
    """Counts by account, entity and slot are kept: with the same events every day, all is."""
    rows = [(day, 0, account, 3 + account) for day in range(7) for account in range(3)]
    fold = make_fold(rows, Calendar(24, 3, 0, 14), 3, np.arange(0, 14, 2))
    totals = permute_days(fold, np.ones(3, bool), np.ones(4), n_replicates=9, key=make_key(6),
                          memory=1 << 20)  # fmt: skip
    np.testing.assert_allclose(totals, 7 * 3 * math.log(1 + 0.2 * 3))


# ------------------------------------------------------------------ matches


def test_draw_matches__takes_the_nearest_outsiders(ordinary):
    (fold, _), rhythms = ordinary
    members = np.array([2, 3, 30])
    drawn = draw_matches(fold, rhythms, members, n_replicates=400, key=make_key(7))
    size = np.log1p(fold.activity)
    apart = np.abs(rhythms.share[:, None] - rhythms.share).sum(axis=2)
    distance = np.abs(size[:, None] - size) + 2 * apart
    distance[:, members] = np.inf
    for column, member in enumerate(members):
        wanted = np.argsort(distance[member])[:10]
        assert set(drawn[:, column].tolist()) == set(wanted.tolist())
        assert np.bincount(drawn[:, column]).max() < 100


def test_draw_matches__takes_nobody_twice_in_a_set(ordinary):
    """Twelve members like one another: the ten nearest are not enough."""
    (fold, _), rhythms = ordinary
    size = np.argsort(fold.activity)
    drawn = draw_matches(fold, rhythms, size[-12:], n_replicates=50, key=make_key(7))
    assert (np.diff(np.sort(drawn, axis=1), axis=1) > 0).all()
    assert not np.isin(drawn, size[-12:]).any()


def test_draw_matches__of_members_that_are_alike_are_not_all_the_same(backend):
    """Ten accounts with the same habits have the same nearest outsiders."""
    account, day = np.divmod(np.arange(50 * 20), 20)
    bin = 24 * day + 10 + (account % 2) * (account >= 10)
    _, folds = split_days(build(backend, account, np.zeros(account.size, int), bin))
    rhythms = estimate_rhythms(folds)
    drawn = draw_matches(folds[0], rhythms, np.arange(10), n_replicates=99, key=make_key(7))
    assert len({tuple(sorted(chosen)) for chosen in drawn.tolist()}) > 50
    assert all(len(set(chosen)) == 10 for chosen in drawn.tolist())


def test_draw_matches__needs_two_outsiders_for_each(ordinary):
    (fold, _), rhythms = ordinary
    choices = {"n_replicates": 2, "key": make_key(1)}
    assert draw_matches(fold, rhythms, np.arange(13), **choices) is not None
    assert draw_matches(fold, rhythms, np.arange(14), **choices) is None


def test_compare_matches__equals_sums_over_pairs(ordinary):
    (fold, _), rhythms = ordinary
    members = np.array([1, 4, 6])
    matches = np.array([[9, 10, 11], [20, 20, 21], [12, 12, 12]])
    tables = np.array(tabulate_pairs(fold, rhythms)[:3])
    for n_threads in (1, 2):
        found = compare_matches(fold._replace(n_threads=n_threads), rhythms, members, matches)
        for column, accounts in enumerate([members, *matches]):
            pairs = list(itertools.combinations(accounts, 2))
            o, e, v = (sum(table[i, j] for i, j in pairs) for table in tables)
            assert found[0, column] == pytest.approx((o - e) / math.sqrt(v + 1))
            assert found[1, column] == pytest.approx((o + 10) / (e + 10))


# ------------------------------------------------------------------ members


def test_assess_accounts__equals_every_meeting_by_hand(ordinary):
    (fold, _), rhythms = ordinary
    inside = mark(range(12), 40)
    met, mean, variance = np.zeros((3, 40))
    for visits in list_strata(fold).values():
        for i in visits:
            others = [j for j in visits if inside[j] and j != i]
            value = np.array(
                [math.log(1 + sum(any(abs(s - h) <= 3 for s in visits[j]) for j in others))
                 for h in range(24)]
            )  # fmt: skip
            left_out = set(range(12)) | {i}
            habits = habits_by_hand(fold, rhythms, visits, i, left_out)
            met[i] += value[visits[i]].sum()
            mean[i] += len(visits[i]) * habits @ value
            variance[i] += len(visits[i]) * (habits @ value**2 - (habits @ value) ** 2)
    for baseline in (1.0, 1.5):
        p = assess_accounts(fold, rhythms, inside, baseline=baseline)
        some = met > 0
        wanted = stats.gamma.sf(met, baseline * mean**2 / variance, scale=variance / mean)
        np.testing.assert_allclose(p[some], wanted[some], rtol=1e-6)
        assert (p[~some] == 1).all()


# ------------------------------------------------------------------ findings


def make_trial(fold, members, p=0.001, **changes):
    settings = {
        "fold": fold,
        "members": np.array(members),
        "p_values": (p, p, p, p),
        "ratio": 2.0,
        "baseline": 1.0,
        "lag_profile": np.ones(4),
        "n_strata": 9,
        "n_days": 5,
        "n_crowded": 9,
        "threshold": 0.00625,
    }
    return Trial(**settings | changes)


def test_pair_trials__joins_sets_that_share_half_of_the_smaller():
    one, other = make_trial(0, [1, 2, 3, 4, 5, 6]), make_trial(1, [4, 5, 6, 7])
    (finding,) = pair_trials([one, other])
    assert finding.list_members().tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert finding.list_members(in_both=True).tolist() == [4, 5, 6]
    assert finding.n_folds == 2
    assert len(pair_trials([one, make_trial(1, [6, 7, 8, 9])])) == 2
    assert len(pair_trials([one, make_trial(0, [1, 2, 3, 4])])) == 2


def test_pair_trials__lumps_no_two_sets_of_a_fold():
    first, second = make_trial(0, [1, 2, 3, 4]), make_trial(0, [5, 6, 7, 8, 9])
    both = make_trial(1, [1, 2, 3, 4, 5, 6, 7, 8, 9])
    pair, single = pair_trials([first, second, both])
    assert pair.n_folds == 2 and single.n_folds == 1
    assert pair.list_members(in_both=True).tolist() == [5, 6, 7, 8, 9]
    assert single.list_members().tolist() == [1, 2, 3, 4]


def test_pair_trials__takes_members_from_confirmed_sets():
    failed = make_trial(0, [1, 2, 3, 4, 5], p=0.5)
    (finding,) = pair_trials([failed, make_trial(1, [3, 4, 5, 6], p=0.003)])
    assert finding.is_confirmed and finding.n_folds == 1
    assert finding.list_members().tolist() == [3, 4, 5, 6]
    assert finding.list_members(in_both=True).size == 0


def test_trial__says_what_limits_it():
    assert make_trial(0, [1]).reason is None
    weak = make_trial(0, [1], p_values=(0.001, 0.002, 0.2, 0.01))
    assert weak.p_value == 0.2 and weak.limiting_test == "matched" and not weak.is_confirmed
    assert "as active at the same hours" in weak.reason
    for test, words in enumerate(("steady", "margin", "as active", "clock schedule")):
        p_values = tuple(0.5 if row == test else 0.001 for row in range(4))
        assert words in make_trial(0, [1], p_values=p_values).reason
    unmatched = make_trial(0, [1], p_values=(0.001, 0.001, math.nan, 0.001))
    assert math.isnan(unmatched.p_value) and unmatched.limiting_test is None
    assert not unmatched.is_confirmed and "inconclusive" in unmatched.reason
    few = make_trial(0, [1], n_strata=2)
    assert not few.is_confirmed and "met in 2" in few.reason
    alone = make_trial(0, [1], n_crowded=0)
    assert alone.is_confirmed and "no crowd control" in alone.reason


# ------------------------------------------------------------------ the whole


@pytest.fixture(scope="module")
def planted(backend):
    """24 accounts of 120 that copy one another in a fifth of the cases."""
    cells = join(draw_ordinary(11), draw_operation(11, 0.25))
    return build(backend, *cells), cells


def read_confirmed(groups):
    return [
        groups.accounts.filter(pl.col("group") == group)
        for group in groups.table.filter("confirmed")["group"]
    ]


def test_find_groups__finds_the_operation(planted):
    activity, _ = planted
    steps = []
    groups = find_groups(activity, progress=lambda done, total: steps.append((done, total)))
    (accounts,) = read_confirmed(groups)
    row = groups.table.row(0, named=True)
    assert row["n_folds"] == 2 and row["ratio"] > 1.4 and row["p_value"] <= 0.00625
    assert row["p_value"] == max(row[f"p_{t}"] for t in ("crowd", "margin", "matched", "days"))
    assert len(row["lag_profile"]) == 4 and max(row["lag_profile"]) == 1
    core = accounts.filter("in_both_folds")["account"].to_numpy()
    assert (core < 24).mean() >= 0.95 and core.size >= 15
    significant = accounts.filter(pl.col("tier") == "significant")
    assert (significant["account"] < 24).sum() >= 15
    assert (significant["account"] >= 24).sum() <= 2
    assert (significant["q_value"] <= 0.05).all()
    assert row["n_significant"] == significant.height and row["n_core"] == core.size
    assert steps[-1] == (18, 18)
    assert all(0 < done <= total == 18 for done, total in steps)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert groups.reason is None and groups.n_confirmed == 1


def test_find_groups__same_seed_same_bytes_on_any_threads(planted, backend):
    from dataclasses import replace

    activity, _ = planted
    one, two, other = (
        find_groups(replace(activity, backend=replace(backend, threads=n)), seed=seed)
        for n, seed in ((1, 3), (2, 3), (2, 4))
    )
    assert one.table.equals(two.table) and one.accounts.equals(two.accounts)
    assert not one.table["p_margin"].equals(other.table["p_margin"])


def test_find_groups__does_not_know_the_order_of_accounts(planted, backend):
    activity, (account, entity, bin) = planted
    order = np.random.default_rng(1).permutation(120)
    moved = find_groups(build(backend, order[account], entity, bin))
    (accounts,), (wanted,) = read_confirmed(moved), read_confirmed(find_groups(activity))
    found = np.argsort(order)[accounts.filter("in_both_folds")["account"].to_numpy()]
    assert set(found) == set(wanted.filter("in_both_folds")["account"])


def test_find_groups__finds_the_same_with_little_memory(planted):
    activity, _ = planted
    much, little = (find_groups(activity, memory=memory) for memory in (1 << 30, 1_000))
    assert much.table.equals(little.table) and much.accounts.equals(little.accounts)
    assert much.n_neighbours is None


def test_find_groups__gets_by_with_some_pairs_of_each_account(planted, monkeypatch):
    activity, _ = planted
    monkeypatch.setattr(groups, "limit_pairs", lambda fold: 20)
    found = find_groups(activity)
    (accounts,) = read_confirmed(found)
    core = accounts.filter("in_both_folds")["account"].to_numpy()
    assert (core < 24).all() and core.size >= 12 and found.n_neighbours == 20


def test_find_groups__confirms_nobody_once_days_are_out_of_order(planted, backend):
    _, (account, entity, bin) = planted
    rng = np.random.default_rng(5)
    orders = np.stack([rng.permutation(28) for _ in range(120)])
    day, hour = np.divmod(np.minimum(bin, 28 * 24 - 1), 24)
    groups = find_groups(build(backend, account, entity, orders[account, day] * 24 + hour))
    assert groups.n_confirmed == 0 and groups.accounts.height == 0
    assert groups.table.height > 0


@pytest.mark.parametrize("power", [1, 3], ids=["plain", "sharp time zones"])
def test_find_groups__confirms_nobody_where_nobody_acts_in_concert(power, backend):
    ratios = []
    for seed in range(21, 24):
        groups = find_groups(build(backend, *draw_ordinary(seed, power=power)), n_replicates=199)
        assert groups.n_confirmed == 0
        ratios += groups.table.filter(pl.col("n_strata") >= 30)["ratio"].to_list()
    assert np.median(ratios) == pytest.approx(1, abs=0.1)


def test_find_groups__asks_no_more_of_the_crowd_than_it_knows(backend, monkeypatch):
    """Where few share a stratum, any set exceeds crowd and rhythms: a baseline, not a finding."""
    activity = build(backend, *draw_fresh(1))
    table = find_groups(activity, n_replicates=199).table.filter(pl.col("n_strata") >= 100)
    assert not table["confirmed"].any()
    assert (table["ratio"] > 1.5).all() and table.height >= 2
    assert (table["p_margin"] > 0.2).all()
    np.testing.assert_allclose(table["baseline"], table["ratio"], rtol=0.25)
    monkeypatch.setattr("gpu_coord.groups.trials._find_baseline", lambda *_, **__: 1.0)
    naive = find_groups(activity, n_replicates=199).table.filter(pl.col("n_strata") >= 100)
    assert (naive["p_crowd"] <= 0.01).all() and (naive["p_margin"] <= 0.01).all()


@pytest.mark.parametrize("seed", [806, 818])
def test_find_groups__does_not_take_the_busiest_for_a_group(seed, backend):
    """The crowd without the busiest says less of bursts than the one that similar sets see."""
    groups = find_groups(build(backend, *draw_fresh(seed)), n_replicates=199)
    assert groups.n_confirmed == 0
    busiest = groups.table.filter((pl.col("ratio") > 1.8) & (pl.col("n_strata") > 300))
    assert busiest.height >= 1 and (busiest["baseline"] > 1.5).all()


def test_find_groups__takes_no_viral_hour_for_concert(backend):
    cells = join(
        draw_ordinary(31, n_viral=0),
        (np.arange(120), np.full(120, 3), np.full(120, 11 * 24 + 12)),
    )
    assert find_groups(build(backend, *cells)).n_confirmed == 0


def test_find_groups__takes_no_clock_schedule_for_concert(backend):
    rng = np.random.default_rng(41)
    account, day = np.nonzero(rng.random((10, 28)) < 0.5)
    clock = (account, np.full(account.size, 39), day * 24 + 10)
    groups = find_groups(build(backend, *join(draw_ordinary(41), clock)))
    assert groups.n_confirmed == 0
    found = groups.table.filter(pl.col("limiting_test") == "days")
    assert (found["ratio"] > 2).any()


def test_find_groups__finds_shared_hours_of_shared_days(backend):
    rng = np.random.default_rng(42)
    days = rng.permutation(28)[:20]
    bins = days * 24 + rng.integers(24, size=20)
    concert = (np.tile(np.arange(10), 20), np.full(200, 39), np.repeat(bins, 10))
    groups = find_groups(build(backend, *join(draw_ordinary(42, n_accounts=110), concert)))
    (accounts,) = read_confirmed(groups)
    row = groups.table.row(0, named=True)
    assert row["ratio"] > 3 and row["n_folds"] == 2
    assert accounts["account"].sort().to_list() == list(range(10))
    assert (accounts["tier"] == "significant").all()
    # They coincide in the same bin, and hardly at any other lag.
    assert row["lag_profile"][0] == 1 and max(row["lag_profile"][1:]) < 0.5


def test_find_groups__has_nothing_to_say_where_nobody_meets(backend):
    account, _, bin = draw_ordinary(51, n_accounts=30, n_viral=0)
    groups = find_groups(build(backend, account, account, bin))
    assert groups.reason is None
    assert groups.table.height == groups.accounts.height == 0


def test_find_groups__is_inconclusive_where_a_fold_is_empty(backend):
    account, entity, bin = draw_ordinary(52)
    groups = find_groups(build(backend, account, entity, bin // 48 * 48 + bin % 24))
    assert groups.n_confirmed == 0 and groups.table.height > 0
    assert groups.table["reason"].str.contains("inconclusive").all()
    assert (groups.table["n_strata"] == 0).all()
    assert groups.table["ratio"].is_null().all()


def test_find_groups__is_inconclusive_with_one_shared_entity_day(backend):
    """Twelve that meet often on even days and once on an odd one."""
    account, entity, bin = draw_ordinary(53, n_entities=400, n_viral=0, mean=4)
    even = np.repeat(np.arange(0, 28, 2) * 24 + 7, 12)
    often = (np.tile(np.arange(12), 14), np.full(168, 999), even)
    once = (np.arange(12), np.full(12, 999), np.full(12, 24 * 5 + 7))
    groups = find_groups(build(backend, *join((account, entity + 1000, bin), often, once)))
    assert groups.n_confirmed == 0
    few = groups.table.filter((pl.col("size") >= 12) & (pl.col("n_strata") < 3))
    assert few["reason"].str.contains("inconclusive: two of its accounts met in").all()
    assert few.height >= 1


def test_find_groups__leaves_silent_accounts_out(planted, backend):
    _, (account, entity, bin) = planted
    silent = build(backend, 2 * account, entity, bin, n_accounts=300)
    (found,), (wanted,) = (
        read_confirmed(find_groups(activity)) for activity in (silent, planted[0])
    )
    assert found["account"].to_list() == (2 * wanted["account"]).to_list()
    assert found["q_value"].to_list() == wanted["q_value"].to_list()


def test_fixed_groups__have_honest_p_values(backend):
    """Sets chosen before the data: no search, no learning."""
    rng = np.random.default_rng(61)
    p_crowd, p_margin = [], []
    for seed in range(61, 65):
        _, folds = split_days(build(backend, *draw_ordinary(seed)))
        rhythms = estimate_rhythms(folds)
        for draw in range(10):
            inside = mark(rng.permutation(120)[:20], 120)
            found = replicate(folds[draw % 2], rhythms, inside, np.ones((4, 1)), n_replicates=99,
                              key=make_key(seed, draw))  # fmt: skip
            by_day = found.by_day[:, :, 0]
            p_crowd.append(compute_excess_p(studentise_days(by_day)))
            p_margin.append(compute_excess_p(by_day.sum(axis=0), margin=1.2))
    assert np.mean(np.array(p_crowd) <= 0.05) <= 0.15
    assert np.mean(np.array(p_margin) <= 0.05) <= 0.05
    assert np.median(p_crowd) > 0.2


def test_find_groups__works_on_an_archive(tmp_path, backend):
    """From a simulated archive by way of ingest to accounts with a label."""
    from gpu_coord.simulation.simulation import simulate

    made = simulate(tmp_path / "archive", seed=7, overrides={"follow_probability": 0.6})
    store = ingest([made.tweets, made.users], store=tmp_path / "store")
    activity = build_activity(store, backend=backend)
    groups = find_groups(activity, n_replicates=199)
    truth = pl.read_parquet(made.truth_accounts)
    named = activity.accounts.join(truth, on="account_id", how="left", maintain_order="left")
    (accounts,) = read_confirmed(groups)
    found = named[accounts["account"].to_list()]
    assert (found["label_right"] == "operation").sum() >= 35
    assert (found["label_right"] != "operation").sum() <= 4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"alpha": 0}, "it lies between 0 and 1"),
        ({"alpha": math.nan}, "it lies between 0 and 1"),
        ({"seed": -1}, "must not be negative"),
        ({"n_groups": 0}, "at least one set"),
        ({"n_replicates": 158}, "it takes 159"),
        ({"n_groups": 20}, "n_replicates is 499; .* it takes 799: raise it, or lower n_groups"),
    ],
)
def test_find_groups__refuses_settings_out_of_range(settings, words, planted):
    with pytest.raises(ValueError, match=words):
        find_groups(planted[0], **settings)


def test_find_groups__stops_when_asked_to(planted):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_groups(planted[0], progress=stop)
