"""Methods side by side: each is what plain loops make of the shares, and so are its figures."""

import itertools
import math
import re
from collections import Counter, defaultdict
from fractions import Fraction

import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import invoke, succeed
from statsmodels.stats.multitest import multipletests

import gpu_coord as gc
from gpu_coord.backend import choose
from gpu_coord.trust.comparison import cosines
from gpu_coord.trust.comparison.cosines import (
    count_as_similar,
    find_centrality,
    list_cosines,
    weigh_rows,
)
from gpu_coord.trust.comparison.figures import (
    Pairs,
    compute_gain,
    count_to_most,
    describe_groups,
    describe_pairs,
    describe_ranking,
    resample_ranking,
)
from gpu_coord.trust.comparison.material import Material, Means, NotPossibleError
from gpu_coord.trust.comparison.methods import METHODS, list_methods
from gpu_coord.trust.comparison.permutations import permute_uses
from gpu_coord.trust.comparison.tables import write_latex
from gpu_coord.trust.evaluation.rankings import rank_scores
from gpu_coord.trust.settings import CompareSettings

DAY, HALF_HOUR = 86_400, 1800
KINDS = ("hashtag", "url", "retweet")

# Figures.

ITEMS = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=2, max_size=7).filter(
    lambda items: 0 < sum(p for _, p in items) < len(items)
)


def split(items):
    score, positive = zip(*items, strict=True)
    return np.array(score, float), np.array(positive)


def list_orders(score, positive):
    """Return whether each place is positive, in every order that the scores allow."""
    levels = [[p for s, p in zip(score, positive, strict=True) if s == level]
              for level in sorted(set(score), reverse=True)]  # fmt: skip
    parts = itertools.product(*(list(itertools.permutations(level)) for level in levels))
    return [list(itertools.chain(*order)) for order in parts]


def average_slowly(score, positive):
    """Return the average precision: recall gained at each distinct score, times precision."""
    total = 0.0
    for level in set(score):
        chosen, tied = score >= level, score == level
        total += positive[tied].sum() * positive[chosen].mean()
    return total / positive.sum()


def compare_slowly(score, positive):
    wins = [(a > b) + (a == b) / 2 for a in score[positive] for b in score[~positive]]
    return sum(wins) / len(wins)


def check_figures(figures, score, positive, prevalence):
    n, n_positive = positive.size, int(positive.sum())
    assert (figures["n"], figures["n_positive"]) == (n, n_positive)
    assert figures["auc"] == pytest.approx(compare_slowly(score, positive))
    average = average_slowly(score, positive)
    assert figures["average_precision"] == pytest.approx(average)
    assert figures["lift"] == pytest.approx(average * n / n_positive)
    # Of ties as many are taken as there is room for, a share of their positives among them.
    for name, first in [("precision_at_n_positive", n_positive), ("precision_at_10", 10)]:
        if first > n:
            assert name not in figures
            continue
        above = [(score > own).sum() for own in score]
        taken = [
            min(max(first - a, 0) / (score == own).sum(), 1)
            for a, own in zip(above, score, strict=True)
        ]
        hits = sum(t for t, p in zip(taken, positive, strict=True) if p)
        assert figures[name] == pytest.approx(hits / first), name
    recall = figures["precision_at_n_positive"]
    false = n_positive * (1 - recall) / (n - n_positive)
    found = recall * prevalence + false * (1 - prevalence)
    assert figures["precision_at_prevalence"] == pytest.approx(recall * prevalence / found)
    allowed = [
        (positive & (score >= level)).sum() / n_positive
        for level in score
        if (~positive & (score >= level)).sum() <= 0.01 * (n - n_positive)
    ]
    assert figures["recall_at_1_percent_false"] == pytest.approx(max(allowed, default=0))


@given(items=ITEMS)
def test_describe_ranking__equals_loops_over_accounts(items):
    score, positive = split(items)
    check_figures(describe_ranking(score, positive, prevalence=0.1), score, positive, 0.1)


@given(
    positive=st.lists(st.booleans(), min_size=3, max_size=7).filter(
        lambda each: 1 < sum(each) < len(each)
    ),
    listed=st.dictionaries(
        st.tuples(st.integers(0, 6), st.integers(0, 6)), st.integers(1, 3), max_size=12
    ),
)
def test_describe_pairs__equals_loops_over_all_pairs(positive, listed):
    """Pairs that are not listed have score 0."""
    positive = np.array(positive)
    ends = list(itertools.combinations(range(positive.size), 2))
    known = {pair: score for pair, score in listed.items() if pair in ends}
    source, target = np.array(list(known), int).reshape(-1, 2).T
    found = describe_pairs(
        Pairs(source, target, np.array(list(known.values()), float)), positive, prevalence=0.02
    )
    score = np.array([known.get(pair, 0) for pair in ends], float)
    check_figures(found, score, np.array([positive[i] and positive[j] for i, j in ends]), 0.02)


@given(items=ITEMS)
def test_compute_gain__is_the_mean_over_all_orders_of_ties(items):
    score, positive = split(items)
    gains = [
        sum(1 / math.log2(place + 1) for place, p in enumerate(order, start=1) if p)
        for order in list_orders(score, positive)
    ]
    best = sum(1 / math.log2(place + 1) for place in range(1, positive.sum() + 1))
    expected = sum(gains) / len(gains) / best
    assert compute_gain(rank_scores(score, positive)) == pytest.approx(expected)


def count_slowly(score, positive):
    """Return the first place at which 90 % are found, ties spread evenly; in whole fractions."""
    wanted = Fraction(9, 10) * int(positive.sum())
    for place in range(1, score.size + 1):
        found = Fraction(0)
        for level in set(score):
            tied, above = score == level, int((score > level).sum())
            room = min(max(place - above, 0), int(tied.sum()))
            found += Fraction(room * int(positive[tied].sum()), int(tied.sum()))
        if found >= wanted:
            return place
    raise AssertionError


@given(items=ITEMS)
def test_count_to_most__shares_out_ties(items):
    score, positive = split(items)
    assert count_to_most(rank_scores(score, positive)) == count_slowly(score, positive)


def test_count_to_most__is_exact_where_all_are_tied():
    """Of 20 that are tied, 13 of them positive, 18 hold nine in ten."""
    wrong = {
        (n_positive, n): found
        for n in range(2, 61)
        for n_positive in range(1, n)
        if (found := count_to_most(rank_scores(np.zeros(n), np.arange(n) < n_positive)))
        != math.ceil(Fraction(9, 10) * n)
    }
    assert not wrong


def test_resample_ranking__holds_what_was_estimated():
    rng = np.random.default_rng(2)
    positive = np.arange(150) < 50
    score = rng.normal(size=150) + 1.2 * positive
    choices = {"n_resamples": 100}
    found, again, other = (resample_ranking(score, positive, seed=n, **choices) for n in (3, 3, 4))
    assert found == again != other
    figures = describe_ranking(score, positive, prevalence=0.01)
    for name in ("auc", "average_precision", "recall_at_1_percent_false"):
        low, high = found.pop(f"{name}_low"), found.pop(f"{name}_high")
        assert low < figures[name] < high, name
        assert high - low < 0.4, name
    assert not found
    assert resample_ranking(score, positive, n_resamples=0, seed=3) == {}


def test_describe_groups__is_known_by_hand():
    """Six in a group, four of them known: two and one of x, one of y."""
    group = np.array([0, 0, 0, 1, 1, 1, -1, -1])
    true = np.array([0, 0, 1, 1, -1, -1, 0, 1])
    positive = true == 0
    found = describe_groups(group, true, positive)
    assert (found["n_groups"], found["n_covered"], found["coverage"]) == (2, 6, 0.75)
    # {a b c} {d} against {a b} {c d}: of six pairs 3 and 2 are together, one in both.
    assert found["ari"] == pytest.approx((1 - 3 * 2 / 6) / (2.5 - 3 * 2 / 6), abs=1e-12)
    assert found["purity"] == 3 / 4
    assert found["weighted_purity"] == pytest.approx(2 / 3)
    # Chance gives these sizes always the same table: the information is what is expected.
    assert found["ami"] == pytest.approx(0, abs=1e-9)


def test_describe_groups__knows_when_there_is_nothing_to_say():
    none, true = np.full(4, -1), np.array([0, 0, 1, -1])
    found = describe_groups(none, true, true == 0)
    assert (found["n_groups"], found["n_covered"], found["coverage"]) == (0, 0, 0.0)
    assert [found[name] for name in ("ami", "ari", "purity", "weighted_purity")] == [None] * 4
    unknown = describe_groups(np.array([0, 0, 1, 1]), none, np.zeros(4, bool))
    assert (unknown["n_groups"], unknown["coverage"], unknown["ami"]) == (2, 1.0, None)
    same = describe_groups(np.array([7, 7, 3, -1]), true, true == 0)
    assert [same[name] for name in ("ami", "ari", "purity")] == [1, 1, 1]


# Cosines.


def weigh_smoothly(n, d):
    """The IDF of scikit-learn."""
    return math.log((1 + n) / (1 + d)) + 1


def weigh_plainly(n, d):
    return math.log(n / d)


def list_slowly(uses, weigh, n=None):
    """Return {(i, j): cosine} of accounts i < j with something in common, from (account, thing).

    Weights are counts times an IDF, of n accounts (of those that have a use).
    """
    n = n or len({account for account, _ in uses})
    users = defaultdict(set)
    for account, thing in uses:
        users[thing].add(account)
    rows = defaultdict(dict)
    for (account, thing), count in Counter(uses).items():
        if weight := count * weigh(n, len(users[thing])):
            rows[account][thing] = weight
    length = {a: math.sqrt(sum(w * w for w in row.values())) for a, row in rows.items()}
    return {
        (i, j): sum(rows[i][o] * rows[j][o] for o in both) / (length[i] * length[j])
        for i, j in itertools.combinations(sorted(rows), 2)
        if (both := rows[i].keys() & rows[j].keys())
    }


def draw_uses(seed, n_uses, n_accounts, n_objects):
    rng = np.random.default_rng(seed)
    account = rng.integers(0, n_accounts, n_uses).astype(np.int32)
    return account, (n_objects * rng.random(n_uses) ** 2).astype(np.int32)


def weigh_all(account, object, n_accounts, n):
    return weigh_rows(account, object, n_accounts, lambda d: np.log((1 + n) / (1 + d)) + 1)


def test_weigh_rows__have_length_1_and_the_weights_of_loops():
    account, object = np.array([0, 0, 0, 2, 2]), np.array([1, 1, 0, 1, 3])
    matrix = weigh_rows(account, object, 4, lambda d: np.where(d == 2, 0.5, 2.0))
    expected = np.zeros((4, 4))
    expected[0, [0, 1]] = np.array([2, 1]) / math.hypot(2, 1)  # once by 2, twice by one half
    expected[2, [1, 3]] = np.array([0.5, 2]) / math.hypot(0.5, 2)
    np.testing.assert_allclose(matrix.toarray(), expected)
    gone = weigh_rows(account, object, 4, lambda d: np.where(d == 2, 0.0, 1.0))
    assert gone.nnz == 2 and gone.toarray()[0].tolist() == [1, 0, 0, 0]
    none = np.empty(0, np.int64)
    assert weigh_rows(none, none, 3, np.ones_like).shape[0] == 3


@given(
    uses=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), min_size=1, max_size=40),
)
def test_list_cosines__equal_loops_over_all_pairs(uses):
    account, object = np.array(uses).T
    n = len(set(account.tolist()))
    pairs = list_cosines(weigh_all(account, object, 8, n), threads=1)
    expected = list_slowly(uses, weigh_smoothly)
    assert list(zip(pairs.source, pairs.target, strict=True)) == sorted(expected)
    np.testing.assert_allclose(pairs.score, [expected[pair] for pair in sorted(expected)])


def test_list_cosines__are_the_same_on_any_threads(monkeypatch):
    matrix = weigh_all(*draw_uses(1, 600, 60, 40), 61, 60)
    one = list_cosines(matrix, threads=1)
    other = weigh_all(*draw_uses(2, 600, 60, 40), 61, 60)
    scores = list_slowly([*zip(*map(np.ndarray.tolist, draw_uses(2, 600, 60, 40)), strict=True)],
                         weigh_smoothly)  # fmt: skip
    ends = list(zip(one.source.tolist(), one.target.tolist(), strict=True))
    wanted = [scores.get(pair, 0) >= s for pair, s in zip(ends, one.score, strict=True)]
    assert 100 < sum(wanted) < len(wanted) - 100
    monkeypatch.setattr(cosines, "_BLOCK_PRODUCTS", 300)
    for threads in (1, 2):
        for column, again in zip(one, list_cosines(matrix, threads=threads), strict=True):
            np.testing.assert_array_equal(column, again)
        counts = np.full(one.source.size, 5, np.int32)
        count_as_similar(other, one, counts, threads=threads)
        np.testing.assert_array_equal(counts - 5, wanted)
        count_as_similar(matrix, one, counts, threads=threads)  # each as similar as it is
        np.testing.assert_array_equal(counts - 6, wanted)
    monkeypatch.setattr(cosines, "MAX_PAIRS", one.source.size)
    assert list_cosines(matrix, threads=2) is not None
    monkeypatch.setattr(cosines, "MAX_PAIRS", one.source.size - 1)
    assert list_cosines(matrix, threads=2) is None


def spread(pairs, n_accounts):
    """Return scores of pairs as a symmetric matrix."""
    matrix = np.zeros((n_accounts, n_accounts))
    for (i, j), score in pairs.items():
        matrix[i, j] = matrix[j, i] = score
    return matrix


def rank_by_networkx(pairs, n_accounts):
    """Return the eigenvector centrality; of several components that of the heaviest counts."""
    graph = nx.Graph()
    graph.add_weighted_edges_from((*ends, weight) for ends, weight in pairs.items())
    parts = [graph.subgraph(nodes) for nodes in nx.connected_components(graph)]
    weights = [np.linalg.eigvalsh(nx.to_numpy_array(part)).max() for part in parts]
    assert sorted(weights)[-2:-1] < [0.9 * max(weights)]
    found = nx.eigenvector_centrality_numpy(parts[int(np.argmax(weights))], weight="weight")
    return [found.get(account, 0.0) for account in range(n_accounts)]


def test_find_centrality__is_that_of_networkx():
    account, object = draw_uses(3, 200, 20, 15)
    pairs = list_slowly(list(zip(account.tolist(), object.tolist(), strict=True)), weigh_smoothly)
    found = find_centrality(weigh_all(account, object, 22, 20))
    np.testing.assert_allclose(found, rank_by_networkx(pairs, 22), atol=1e-6)
    none = np.empty(0, np.int64)
    assert find_centrality(weigh_rows(none, none, 3, np.ones_like)).tolist() == [0, 0, 0]


def test_find_centrality__gets_to_the_end_where_two_crowds_are_about_alike():
    """Two crowds of 20 with a thing each, and one weak tie; an account of the first is apart."""
    uses = [(account, account // 20) for account in range(40)] + [(0, 2), (20, 2), (1, 3)]
    uses += 9 * [(0, 0), (20, 1), (1, 0)]
    found = find_centrality(weigh_all(*np.array(uses).T, 40, 40))
    expected = np.linalg.eigh(spread(list_slowly(uses, weigh_smoothly), 40))[1][:, -1]
    np.testing.assert_allclose(found, np.abs(expected), atol=1e-3)


# Permutations.


def permute_slowly(account, object, n_permutations, seed):
    """Return {(i, j): p-value}: things with two users and ten uses, dealt out again."""
    things = Counter(object)
    kept = [
        (a, o)
        for a, o in zip(account, object, strict=True)
        if things[o] >= 10 and len({b for b, p in zip(account, object, strict=True) if p == o}) > 1
    ]
    if not kept:
        return {}
    accounts, objects = zip(*kept, strict=True)
    seen = list_slowly(kept, weigh_plainly)
    counts, chance = Counter(), np.random.default_rng(seed)
    for _ in range(n_permutations):
        dealt = chance.permutation(np.array(objects)).tolist()
        copy = list_slowly(list(zip(accounts, dealt, strict=True)), weigh_plainly)
        counts.update(p for p in seen if copy.get(p, 0) >= seen[p] * (1 - 1e-9))
    return {pair: (counts[pair] + 1) / (n_permutations + 1) for pair in seen}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_permute_uses__equal_loops_over_the_same_permutations(seed):
    account, object = draw_uses(seed, 150, 9, 14)
    # One account's thing, and a thing used nine times.
    account = np.concatenate([account, np.full(12, 3), np.arange(9)]).astype(np.int32)
    object = np.concatenate([object, np.full(12, 14), np.full(9, 15)]).astype(np.int32)
    choices = {"n_permutations": 30, "seed": seed}
    found = permute_uses(account, object, n_accounts=10, threads=2, **choices)
    expected = permute_slowly(account.tolist(), object.tolist(), *choices.values())
    assert list(zip(found.source, found.target, strict=True)) == sorted(expected)
    assert found.score.tolist() == pytest.approx([expected[pair] for pair in sorted(expected)])
    assert 1 / 31 < found.score.max() and np.unique(found.score).size > 5


@pytest.mark.parametrize("n_users, n_uses, is_kept", [(2, 10, True), (2, 9, False), (1, 30, False)])
def test_permute_uses__take_things_of_two_accounts_and_ten_uses(n_users, n_uses, is_kept):
    account = np.concatenate([np.arange(n_uses) % n_users, [5, 6] * 8]).astype(np.int32)
    object = np.repeat([0, 1], [n_uses, 16]).astype(np.int32)
    found = permute_uses(account, object, n_accounts=9, n_permutations=19, seed=0, threads=1)
    expected = [(0, 1), (5, 6)] if is_kept else []
    # With one thing left all have it, and log(n / d) is 0.
    assert list(zip(found.source, found.target, strict=True)) == expected
    none = np.empty(0, np.int32)
    empty = permute_uses(none, none, n_accounts=9, n_permutations=19, seed=0, threads=1)
    assert empty.source.size == 0


# Methods, each on the same archive.


def weave_shares(seed=7):
    """Return (account, object, content, seconds, kind): six that act together, and others."""
    rng, rows = np.random.default_rng(seed), []

    def add(account, thing, time, kind):
        rows.append((account, thing, f"c{len(rows)}", int(time), kind))

    for plan in range(40):
        start = DAY * (plan // 2) + rng.integers(0, DAY - 200)
        for member in range(6):
            if rng.random() < (0.9 if member else 0.3):
                add(f"o{member}", f"op{plan % 4}", start + rng.integers(0, 90), "hashtag")
    for stranger in range(30):  # the reference of the tests: who met once, because of the news
        add(f"s{stranger}", f"news{stranger // 18}", rng.integers(70_000, 73_600), "url")
    for reader in range(10):
        add(f"p{reader}", f"news{reader % 2}", rng.integers(80_000, 83_600), "url")
    for _ in range(300):
        kind = ("hashtag", "url")[rng.integers(0, 2)]
        thing = f"{kind}{int(15 * rng.random() ** 2)}"
        add(f"p{rng.integers(0, 10)}", thing, rng.integers(0, 20 * DAY), kind)
    originals = [rows[int(place)] for place in rng.choice(len(rows), 12, replace=False)]
    for _ in range(180):
        who = f"p{rng.integers(0, 10)}" if rng.random() < 0.7 else f"o{rng.integers(0, 6)}"
        _, _, content, time, _ = originals[int(12 * rng.random() ** 1.5)]
        add(who, content, time + rng.choice([0, 1, 9, 10, 11, 500, -3]), "retweet")
    add("p0", "deleted", 5, "retweet")
    add("solo", "nobody else's", 5, "hashtag")
    add("quiet", "of no kind that is looked at", 9, "mention")
    return rows


def keep(folder, rows, **choices):
    """Ingest a share table; the store is called as its folder."""
    names = ["account_id", "object_id", "content_id", "timestamp_share", "kind"]
    folder.parent.mkdir(parents=True, exist_ok=True)
    table = folder.parent / "shares.parquet"
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(table)
    return gc.ingest(table, folder, **choices)


class Archive:
    """A store, its shares as plain rows, and what methods find in it."""

    def __init__(self, folder):
        self.rows = weave_shares()
        self.store = keep(folder / "store", self.rows)
        settings = CompareSettings(kinds=KINDS, n_permutations=199)
        means = Means(choose("cpu"), 1 << 30, lambda *_: None)
        self.material = Material(self.store, settings, means)
        self.ids = self.material.accounts["account_id"].to_list()
        self.shares = [
            (self.ids.index(who), (kind, thing), time)
            for who, thing, _, time, kind in self.rows
            if kind in KINDS
        ]
        self.users = defaultdict(set)
        for account, thing, _ in self.shares:
            self.users[thing].add(account)
        self.common = [(a, o) for a, o, _ in self.shares if len(self.users[o]) > 1]

    def find(self, name):
        """Run a method; check that each pair is there once, and that no score is below 0."""
        [method] = list_methods((name,))
        found = method.find(self.material)
        if found.pairs is not None:
            assert ((found.pairs.score > 0) & (found.pairs.source != found.pairs.target)).all()
            ends = [frozenset(pair) for pair in zip(*found.pairs[:2], strict=True)]
            assert len(set(ends)) == len(ends)
        return found

    def meet(self, seconds):
        """Return {pair: things that both shared no further apart}."""
        by_thing, met = defaultdict(list), defaultdict(set)
        for account, thing, time in self.shares:
            by_thing[thing].append((account, time))
        for thing, uses in by_thing.items():
            for (a, s), (b, t) in itertools.combinations(uses, 2):
                if a != b and abs(s - t) <= seconds:
                    met[min(a, b), max(a, b)].add(thing)
        return met


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return Archive(tmp_path_factory.mktemp("compared"))


@pytest.fixture(scope="module")
def detected(archive, tmp_path_factory):
    out = tmp_path_factory.mktemp("compared") / "detect"
    return gc.detect(archive.store, out, kinds=KINDS)


def check_pairs(found, expected):
    ends = zip(found.source.tolist(), found.target.tolist(), found.score.tolist(), strict=True)
    assert {(min(i, j), max(i, j)): s for i, j, s in ends} == pytest.approx(expected)


def gather(pairs, n, how):
    """Return what is made of the scores of each account's pairs, best first."""
    own = [sorted((s for ends, s in pairs.items() if a in ends), reverse=True) for a in range(n)]
    return pytest.approx([how(each) for each in own])


def check_groups(archive, found, pairs):
    """Check that the groups are communities of these pairs, and that all their ends are in one."""
    source, target = np.array(sorted(pairs), np.int32).T
    score = np.array([pairs[ends] for ends in sorted(pairs)], float)
    groups = archive.material.find_communities(Pairs(source, target, score))
    assert found.groups.tolist() == groups.tolist()
    assert set(np.flatnonzero(groups >= 0).tolist()) == {end for ends in pairs for end in ends}


def average_five(scores):
    return sum(scores[:5]) / 5


def take_best(scores):
    return max(scores, default=0)


def test_methods__co_shares_sums_what_was_shared_within_the_window(archive):
    found = archive.find("co_shares")
    pairs = {ends: len(things) for ends, things in archive.meet(60).items()}
    check_pairs(found.pairs, pairs)
    assert found.accounts == gather(pairs, len(archive.ids), sum)
    middle = np.median(list(pairs.values()))
    check_groups(archive, found, {ends: w for ends, w in pairs.items() if w > middle})


def test_methods__popularity_counts_rare_things_more_within_half_a_day(archive):
    found = archive.find("popularity")
    pairs = {
        ends: sum(1 / (len(archive.users[thing]) - 1) for thing in things)
        for ends, things in archive.meet(12 * 3600).items()
    }
    check_pairs(found.pairs, pairs)
    assert found.accounts == gather(pairs, len(archive.ids), sum)


def test_methods__tfidf_averages_the_five_best_cosines(archive):
    found = archive.find("tfidf")
    pairs = list_slowly(sorted(set(archive.common)), weigh_smoothly)
    check_pairs(found.pairs, pairs)
    assert found.accounts == gather(pairs, len(archive.ids), average_five)
    least = sorted(pairs.values())[-max(1, len(pairs) // 200)]
    check_groups(archive, found, {e: w for e, w in pairs.items() if w >= least - 1e-12})


def test_methods__centrality_is_that_of_networkx(archive):
    pairs = list_slowly(sorted(set(archive.common)), weigh_smoothly)
    expected = rank_by_networkx(pairs, len(archive.ids))
    np.testing.assert_allclose(archive.find("centrality").accounts, expected, atol=1e-6)


def test_methods__jaccard_is_that_of_sets(archive):
    found = archive.find("jaccard")
    things = defaultdict(set)
    for account, thing in archive.common:
        things[account].add(thing)
    pairs = {
        (i, j): len(things[i] & things[j]) / len(things[i] | things[j])
        for i, j in itertools.combinations(sorted(things), 2)
        if things[i] & things[j]
    }
    check_pairs(found.pairs, pairs)
    assert found.accounts == gather(pairs, len(archive.ids), take_best)


def test_methods__synchronous_compares_half_hours(archive):
    found = archive.find("synchronous")
    pairs = list_slowly([(a, time // HALF_HOUR) for a, _, time in archive.shares], weigh_smoothly)
    check_pairs(found.pairs, pairs)
    assert found.accounts == gather(pairs, len(archive.ids), average_five)


def test_methods__fast_retweets_take_authors_that_were_retweeted_twice_within_ten_seconds(archive):
    posts = {content: (who, time) for who, _, content, time, _ in archive.rows}
    fast = Counter()
    for who, thing, _, time, kind in archive.rows:
        if kind == "retweet" and thing in posts:
            author, posted = posts[thing]
            if who != author and 0 <= time - posted <= 10:
                fast[archive.ids.index(who), author] += 1
    assert 1 in fast.values()
    uses = [each for each, n in fast.items() if n > 1 for _ in range(n)]
    expected = rank_by_networkx(list_slowly(uses, weigh_smoothly), len(archive.ids))
    found = archive.find("fast_retweets")
    np.testing.assert_allclose(found.accounts, expected, atol=1e-6)


def test_methods__fast_retweets_need_retweets(archive):
    [method] = list_methods(("fast_retweets",))
    with pytest.raises(NotPossibleError, match="no retweets are among the kinds"):
        method.find(archive.material.narrow("url"))


@pytest.fixture(scope="module")
def permuted(archive):
    """Return {pair: p-value} of each kind; the permutations have a test of their own."""
    account, object = archive.material.uses
    objects = archive.material.shares.objects.select("kind", "value").rows()
    uses = [(a, objects[o]) for a, o in zip(account.tolist(), object.tolist(), strict=True)]
    assert sorted(uses) == sorted((a, thing) for a, thing, _ in archive.shares)
    kind = np.array([objects[o][0] for o in object])
    found = []
    for name in KINDS:
        pairs = permute_uses(
            account[kind == name], object[kind == name], n_accounts=len(archive.ids),
            n_permutations=199, seed=0, threads=1,
        )  # fmt: skip
        ends, p_value = zip(*pairs[:2], strict=True), pairs.score.tolist()
        found.append(dict(zip(((int(i), int(j)) for i, j in ends), p_value, strict=True)))
    return found


def test_methods__permuted_least_takes_the_least_p_value_of_any_kind(archive, permuted):
    least = {}
    for kind in permuted:
        for ends, p in kind.items():
            least[ends] = max(least.get(ends, 0), -math.log(p))
    found = archive.find("permuted_least")
    check_pairs(found.pairs, least)
    assert found.accounts == gather(least, len(archive.ids), take_best)


def test_methods__permuted_signals_count_significant_kinds(archive, permuted):
    signals = Counter()
    for kind in permuted:
        if kind:
            is_significant = multipletests(list(kind.values()), 0.05, method="fdr_bh")[0]
            signals.update(itertools.compress(kind, is_significant))
    assert signals
    found = archive.find("permuted_signals")
    check_pairs(found.pairs, dict(signals))
    assert found.accounts == gather(signals, len(archive.ids), take_best)
    # Six that act together: fifteen pairs, one community.
    members = [name.startswith("o") for name in archive.ids]
    assert found.accounts[members].min() == 1
    assert np.unique(found.groups[members]).size == 1 and found.groups[members][0] >= 0


def test_methods__activity_is_the_number_of_posts(archive):
    posts = Counter(row[0] for row in archive.rows)
    assert archive.find("activity").accounts.tolist() == [posts[name] for name in archive.ids]


def place(archive, run, column):
    """Return a column of a run's accounts, for all accounts of the archive; 0 for the others."""
    table = run.read("accounts")
    known = dict(table.select("account_id", column).rows())
    return [known.get(name, 0.0) for name in archive.ids]


def test_methods__co_activity_is_that_of_detect(archive, detected, tmp_path):
    found = archive.find("co_activity").accounts
    assert np.unique(found).size > 5
    assert found.tolist() == place(archive, detected, "co_activity")
    quick = gc.detect(archive.store, tmp_path / "quick", kinds=KINDS, groups=0)
    assert found.tolist() == place(archive, quick, "co_activity")


def test_methods__share_is_that_of_share(archive, tmp_path):
    run = gc.share(archive.store, tmp_path / "share", kinds=KINDS, window="60s")
    found = archive.find("share")
    assert np.unique(found.accounts).size > 5
    assert found.accounts.tolist() == place(archive, run, "co_activity")
    edges = run.read("edges").select("source", "target", "p_value").rows()
    significant = {
        (archive.ids.index(i), archive.ids.index(j)): -math.log(p) for i, j, p in edges if p < 1
    }
    listed = dict(zip(zip(*found.pairs[:2], strict=True), found.pairs.score, strict=True))
    assert significant == pytest.approx({ends: listed[ends] for ends in significant})
    assert len(significant) > 9
    members = defaultdict(set)
    for name, group in zip(archive.ids, found.groups.tolist(), strict=True):
        members[group].add(name)
    communities = run.read("accounts").drop_nulls("community")
    wanted = communities.group_by("community").agg("account_id")["account_id"].to_list()
    assert {frozenset(own) for group, own in members.items() if group >= 0} == set(
        map(frozenset, wanted)
    )


def test_methods__without_a_reference_rank_by_habit(tmp_path):
    """An operation alone: all meet again and again, so that nothing tells the news apart."""
    rng = np.random.default_rng(4)
    rows = []
    for day in range(25):
        start = DAY * day + int(rng.integers(0, 80_000))
        for name in "abcdef":
            alone = DAY * day + 20_000 * "abcdef".index(name) % DAY
            time = start + int(rng.integers(0, 60)) if name < "d" else alone
            rows.append((name, "x", f"c{len(rows)}", time, "hashtag"))
    settings = CompareSettings(kinds=("hashtag",), n_permutations=19)
    means = Means(choose("cpu"), 1 << 30, lambda *_: None)
    material = Material(keep(tmp_path / "store", rows), settings, means)
    tests = material.tests
    assert all(each.reference is None for each in tests.by_lag)
    [ours, news] = list_methods(("co_activity", "beyond_news"))
    with pytest.raises(NotPossibleError, match="tells the news from coordination"):
        news.find(material)
    found = ours.find(material)
    listed = zip(*(column.tolist() for column in found.pairs), strict=True)
    assert {(i, j) for i, j, score in listed if score > 5} == {(0, 1), (0, 2), (1, 2)}


def test_methods__groups_are_the_confirmed_ones_of_detect(archive, detected):
    confirmed = set(detected.read("groups").filter("confirmed")["group"])
    rank = {"member": 1, "core": 2, "significant": 3}
    score, group = [0.0] * len(archive.ids), [-1] * len(archive.ids)
    members = detected.read("group_accounts").sort("group", descending=True)
    for number, name, tier in members.select("group", "account_id", "tier").rows():
        if number in confirmed:
            row = archive.ids.index(name)
            score[row], group[row] = rank[tier], number
    found = archive.find("groups")
    assert found.pairs is None and set(group) == {-1, *confirmed} != {-1}
    assert found.accounts.tolist() == score and found.groups.tolist() == group


@pytest.mark.parametrize("name, lag, column", [
    ("beyond_news", None, "log_p"), ("beyond_habit", None, "log_p_habit"),
    ("together", 0, "log_p"), ("after", 1, "log_p"),
])  # fmt: skip
def test_methods__of_least_p_values_take_the_better_direction(archive, name, lag, column):
    tests = archive.material.tests
    chosen = tests if lag is None else {each.lag: each for each in tests.by_lag}[lag]
    pairs = {}
    for number, log_p in zip(chosen.pair.tolist(), getattr(chosen, column).tolist(), strict=True):
        ends = tuple(sorted(divmod(number, len(archive.ids))))
        if log_p < 0:
            pairs[ends] = max(pairs.get(ends, 0), -log_p)
    found = archive.find(name)
    check_pairs(found.pairs, pairs)
    assert found.accounts == gather(pairs, len(archive.ids), take_best)


def test_methods__paper_sums_the_weights_of_its_network(archive, tmp_path):
    run = gc.detect(archive.store, tmp_path / "paper", kinds=KINDS, paper=True)
    edges = run.read("edges").select("source", "target", "weight").rows()
    total, best = Counter(), {}
    for source, target, weight in edges:
        i, j = sorted(map(archive.ids.index, (source, target)))
        best[i, j] = max(best.get((i, j), 0), weight)
        total.update({i: weight, j: weight})
    found = archive.find("paper")
    check_pairs(found.pairs, best)
    assert found.accounts == pytest.approx([total[row] for row in range(len(archive.ids))])


def test_list_methods__are_in_one_order_and_known():
    assert [each.name for each in list_methods(("activity", "tfidf"))] == ["tfidf", "activity"]
    usual = {each.name for each in METHODS} - {each.name for each in list_methods(None)}
    assert usual == {"model"}
    with pytest.raises(ValueError, match="guess, magic is no method; choose among co_activity"):
        list_methods(("magic", "tfidf", "guess"))


# Comparisons.

CHEAP = {"kinds": KINDS, "methods": ("co_shares", "tfidf", "activity"), "n_resamples": 20}


def label(archive, *, but=()):
    """Return the truth of an archive; some accounts are not known."""
    known = [name for name in archive.ids if name not in but]
    labels = ["operation" if name.startswith("o") else "organic" for name in known]
    return pl.DataFrame({"account_id": known, "label": labels})


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Return an archive of three accounts, labelled, in which two have the same thing."""
    folder = tmp_path_factory.mktemp("labelled")
    rows = [("a", "x", "1", 0, "url"), ("b", "x", "2", 30, "url"), ("c", "y", "3", 5, "url"),
            ("c", "z", "4", 9000, "url"), ("c", "z", "5", 9001, "url")]  # fmt: skip
    labels = pl.DataFrame({"account_id": [*"abc"], "label": ["operation", "operation", "organic"]})
    labels.write_csv(folder / "labels.csv")
    return keep(folder / "other", rows, labels=folder / "labels.csv")


def test_compare__leaves_unknown_accounts_out_of_the_figures_alone(archive, tmp_path):
    truth = label(archive, but=("o5", "p9"))
    run = gc.compare(archive.store, truth, tmp_path / "run", **CHEAP)
    names = {path.name for path in run.path.iterdir()}
    tables = {f"{name}.parquet" for name in ("methods", "groups", "ranks", "scores")}
    assert names == tables | {"comparison.json", "table.tex", "methods.png"}
    gc.verify(run.path)
    scores, methods = run.read("scores"), run.read("methods")
    assert scores["account_id"].to_list() == archive.ids
    assert scores.filter(pl.col("label").is_null())["account_id"].to_list() == ["o5", "p9"]
    known = scores.drop_nulls("label")
    positive = (known["label"] == "operation").to_numpy()
    for name in CHEAP["methods"]:
        found = archive.find(name)
        assert scores[name].to_list() == found.accounts.tolist()
        rows = {row["ranked"]: row for row in methods.filter(method=name).to_dicts()}
        check_figures(
            {key: value for key, value in rows["accounts"].items() if value is not None},
            known[name].to_numpy(), positive, 0.01,
        )  # fmt: skip
        assert rows["accounts"]["auc_low"] <= rows["accounts"]["auc"]
        assert ("pairs" in rows) == (found.pairs is not None)
        if found.pairs is not None:
            ids = [frozenset(archive.ids[end] for end in ends)
                   for ends in zip(*found.pairs[:2], strict=True)]  # fmt: skip
            listed = dict(zip(ids, found.pairs.score, strict=True))
            ends = [frozenset(each) for each in itertools.combinations(known["account_id"], 2)]
            own = np.array([listed.get(each, 0.0) for each in ends])
            truly = np.array([all(name.startswith("o") for name in each) for each in ends])
            figures = {key: v for key, v in rows["pairs"].items() if v is not None}
            check_figures(figures, own, truly, 0.01)
            assert rows["pairs"]["auc_low"] is None
    assert run.summary["n_accounts"] == len(archive.ids) and run.summary["n_positive"] == 5


def rank_slowly(values):
    return [sum(v > own for v in values) + (values.count(own) + 1) / 2 for own in values]


def test_compare__averages_ranks_over_archives(archive, other, tmp_path):
    """Of the second, the labels of the store are the truth."""
    stores, truths = [archive.store, other], [label(archive), None]
    run = gc.compare(stores, truths, tmp_path / "run", **CHEAP | {"kinds": ("url",)})
    methods = run.read("methods")
    assert methods["archive"].unique(maintain_order=True).to_list() == ["store", "other"]
    second = methods.filter(archive="other", ranked="accounts")
    aucs = dict(second.select("method", "auc").rows())
    # a and b are alone in sharing a thing, and c posts most.
    assert aucs == {"co_shares": 1.0, "tfidf": 1.0, "activity": 0.0}
    for ranked, part in methods.drop_nulls("auc").group_by("ranked"):
        for column in ("auc", "average_precision"):
            sums, values = defaultdict(list), defaultdict(list)
            for name in ("store", "other"):
                own = part.filter(archive=name).select("method", column).rows()
                for (method, value), rank in zip(own, rank_slowly([v for _, v in own]),
                                                 strict=True):  # fmt: skip
                    sums[method].append(rank)
                    values[method].append(value)
            found = run.read("ranks").filter(ranked=ranked[0])
            wanted = {method: sum(ranks) / len(ranks) for method, ranks in sums.items()}
            assert dict(found.select("method", f"mean_rank_{column}").rows()) == wanted
            means = dict(found.select("method", f"mean_{column}").rows())
            assert means == pytest.approx({m: sum(v) / len(v) for m, v in values.items()})
        assert found["n_archives"].to_list() == [2] * found.height
    order = run.read("ranks").filter(ranked="accounts")
    assert order["mean_rank_auc"].is_sorted()
    assert run.summary["n_archives"] == 2 and run.summary["best_method"] == order["method"][0]


def test_compare__takes_the_truth_from_a_file_or_a_table(archive, tmp_path):
    truth = label(archive)
    truth.write_csv(tmp_path / "truth.csv")
    truth.write_parquet(tmp_path / "truth.parquet")
    given = (truth, tmp_path / "truth.csv", str(tmp_path / "truth.parquet"), truth.reverse())
    runs = [
        gc.compare(archive.store, each, tmp_path / f"run{place}", **CHEAP)
        for place, each in enumerate(given)
    ]
    files = ("methods.parquet", "groups.parquet", "ranks.parquet", "scores.parquet", "table.tex",
             "methods.png")  # fmt: skip
    first = [(runs[0].path / name).read_bytes() for name in files]
    for run in runs[1:]:
        assert [(run.path / name).read_bytes() for name in files] == first
    reseeded = gc.compare(archive.store, truth, tmp_path / "seed", seed=1, **CHEAP)
    assert (reseeded.path / "methods.parquet").read_bytes() != first[0]


def test_compare__holds_groups_against_campaigns(archive, tmp_path):
    truth = label(archive).with_columns(
        campaign=pl.when(pl.col("label") == "operation").then(pl.col("account_id").str.head(1))
        .when(pl.col("account_id").is_in(["p1", "p2"])).then(pl.lit("other"))
    )  # fmt: skip
    run = gc.compare(archive.store, truth, tmp_path / "run", **CHEAP)
    names = truth["campaign"].fill_null("").to_list()
    true = np.array([{"": -1, "o": 0, "other": 1}[name] for name in names])
    positive = (truth["label"] == "operation").to_numpy()
    for row in run.read("groups").to_dicts():
        found = archive.find(row.pop("method"))
        assert row.pop("archive") == "store"
        assert row == describe_groups(found.groups, true, positive)


def test_compare__groups_who_shared_more_than_the_median_pair(tmp_path):
    """a and b share two things, c and d one, e and f one."""
    shared = [("ab", "x"), ("ab", "y"), ("cd", "z"), ("ef", "w")]
    rows = [
        (who, thing, f"{who}{thing}", 7200 * n + place, "url")
        for n, (both, thing) in enumerate(shared)
        for place, who in enumerate(both)
    ]
    labels = ["operation"] * 2 + ["organic"] * 4
    truth = pl.DataFrame({"account_id": [*"abcdef"], "label": labels})
    store = keep(tmp_path / "store", rows)
    run = gc.compare(store, truth, tmp_path / "run", methods=("co_shares",))
    figures = run.read("groups").select("n_groups", "n_covered", "weighted_purity")
    assert figures.rows() == [(1, 2, 1.0)]


def test_compare__of_categories_describes_groups_alone(archive, tmp_path):
    truth = label(archive).with_columns(
        label=pl.col("label").replace({"operation": "left", "organic": "right"})
    )
    run = gc.compare(archive.store, truth, tmp_path / "run", **CHEAP)
    assert run.read("methods").is_empty() and run.read("ranks").is_empty()
    groups = run.read("groups")
    assert groups["method"].to_list() == ["co_shares", "tfidf"]
    assert groups["ami"].null_count() == 0
    assert groups["weighted_purity"].null_count() == groups.height
    assert run.summary["best_method"] is None and (run.path / "methods.png").is_file()


def test_compare__names_archives_apart(other, tmp_path):
    rows = [("a", "x", "1", 0, "url"), ("b", "x", "2", 30, "url"), ("c", "y", "3", 5, "url")]
    folders = [tmp_path / "one" / "x", tmp_path / "two" / "x", tmp_path / "x (1)"]
    stores = [keep(folder, rows) for folder in folders]
    truth = other.read("accounts").select("account_id", "label")
    for n, names in ((2, ["x (1)", "x (2)"]), (3, ["1: x", "2: x", "3: x (1)"])):
        run = gc.compare(stores[:n], [truth] * n, tmp_path / f"run{n}", methods=("activity",))
        assert run.read("methods")["archive"].to_list() == names


def test_compare__refuses_what_it_cannot_compare(archive, other, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(ValueError, match="there is no store"):
        gc.compare([], [], out)
    two = pl.concat([label(archive), label(archive).with_columns(label=pl.lit("else"))])
    with pytest.raises(ValueError, match="says two things of 48 accounts"):
        gc.compare(archive.store, two, out)
    absent = pl.DataFrame({"account_id": ["o0", "o1", "zz"], "label": ["operation"] * 2 + ["no"]})
    with pytest.raises(ValueError, match="2 of 2 known accounts of store are labelled"):
        gc.compare(archive.store, absent, out, **CHEAP)
    with pytest.raises(ValueError, match="there are 2 stores and 1 truths"):
        gc.compare([archive.store, other], None, out)
    with pytest.raises(ValueError, match="magic is no method"):
        gc.compare(other, None, out, methods=("magic",))
    with pytest.raises(ValueError, match="have no labels"):
        gc.compare(archive.store, None, out)
    with pytest.raises(ValueError, match=r"lacks the columns \['label'\]"):
        gc.compare(archive.store, label(archive).select("account_id"), out)
    with pytest.raises(ValueError, match="none of the 3 accounts of the truth is among the 48"):
        gc.compare(archive.store, other.read("accounts"), out, **CHEAP)
    all_alike = label(archive).with_columns(label=pl.lit("operation"))
    with pytest.raises(ValueError, match="48 of 48 known accounts of store are labelled"):
        gc.compare(archive.store, all_alike, out, **CHEAP)
    assert not out.exists()


def test_compare__takes_a_table_that_says_the_same_twice(other, tmp_path):
    truth = other.read("accounts").select("account_id", "label")
    run = gc.compare(other, pl.concat([truth, truth]), tmp_path / "run", methods=("activity",))
    assert run.read("methods")["n"].to_list() == [3]


def test_compare__goes_on_where_a_method_cannot_work_on_one_hour(tmp_path):
    rows = [("a", "x", "1", 0, "url"), ("b", "x", "2", 30, "url"), ("c", "y", "3", 5, "url")]
    truth = pl.DataFrame({"account_id": [*"abc"], "label": ["operation", "operation", "organic"]})
    choices = {"methods": ("co_activity", "activity")}
    run = gc.compare(keep(tmp_path / "store", rows), truth, tmp_path / "run", **choices)
    assert run.read("methods").drop_nulls("reason")["method"].to_list() == ["co_activity"]


HOSTILE = ["a_b&%$#{}~^\\", "50% of $x_1$ & #2"]
_PLAIN = {r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textbackslash{}": "\\"}


def read_latex(text):
    """Return what LaTeX would print of a cell; every special character must be escaped."""
    tokens = re.findall(r"\\text[a-z]+\{\}|\\.|[^&%$#_{}~^\\]", text)
    assert "".join(tokens) == text
    return "".join(_PLAIN.get(token, token.removeprefix("\\")) for token in tokens)


def test_compare__writes_latex_of_archives_with_hostile_names(other, tmp_path):
    rows = [("a", "x", "1", 0, "url"), ("b", "x", "2", 30, "url"), ("c", "y", "3", 5, "url")]
    stores = [keep(tmp_path / name, rows) for name in HOSTILE]
    truth = other.read("accounts").select("account_id", "label")
    choices = {"kinds": ("url",), "methods": ("co_shares", "activity")}
    run = gc.compare(stores, [truth] * 2, tmp_path / "run", **choices)
    assert run.read("methods")["archive"].unique(maintain_order=True).to_list() == HOSTILE
    lines = (run.path / "table.tex").read_text().splitlines()
    heads = re.fullmatch(
        r" & \\multicolumn\{3\}\{c\}\{(.*)\} & \\multicolumn\{3\}\{c\}\{(.*)\} & mean \\\\",
        lines[2],
    )
    assert [read_latex(name) for name in heads.groups()] == HOSTILE
    cells = [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in lines[5:7]]
    assert [len(row) for row in cells] == [8, 8]
    assert [read_latex(row[0]) for row in cells] == ["co_shares", "activity"]
    assert cells[0] == [r"co\_shares", *["1.00 (1.00--1.00)", "1.00", "2"] * 2, "1.0"]


def test_write_latex__has_dashes_where_a_method_was_not_possible(other, tmp_path):
    run = gc.compare(other, None, tmp_path / "run", methods=("co_shares", "activity"))
    methods, ranks = run.read("methods"), run.read("ranks")
    # The other of two archives lacks the one method.
    apart = methods.filter(method="activity").with_columns(archive=pl.lit("else"))
    text = write_latex(pl.concat([methods, apart]), ranks)
    [line] = [line for line in text.splitlines() if line.startswith(r"co\_shares")]
    assert line.endswith(r" & -- & -- & -- & 1.0 \\")


def test_compare_command__shows_methods_and_says_what_does_not_hold(other, tmp_path):
    names = "co_activity,groups,co_shares,fast_retweets,activity"
    common = ("compare", other.path, "--methods", names, "--resamples", 0)
    shown = " ".join(succeed(*common, "--out", tmp_path / "run").output.split())
    assert "other: 3 accounts that are known, 2 of the operation" in shown
    assert "67% of them are of the operation: precision and AP do not hold" in shown
    assert "fast_retweets: not possible, as no retweets are among the kinds." in shown
    assert "groups: not possible, as" in shown
    assert "co_shares" in shown and "activity" in shown and "Means over" not in shown
    assert "A comparison is of these archives: no method is the best everywhere." in shown
    result = invoke("compare", other.path, "--methods", "magic", "--out", tmp_path / "no")
    assert result.exit_code != 0 and "magic is no method" in result.stderr


def test_compare_command__does_not_warn_of_a_rare_operation(archive, tmp_path):
    known = label(archive).filter(
        (pl.col("label") != "operation") | pl.col("account_id").is_in(["o1", "o2"])
    )
    known.write_csv(tmp_path / "truth.csv")
    result = succeed(
        "compare", archive.store.path, archive.store.path, "--truth", tmp_path / "truth.csv",
        "--truth", tmp_path / "truth.csv", "--methods", "co_shares,activity", "--resamples", 0,
        "--out", tmp_path / "run",
    )  # fmt: skip
    shown = " ".join(result.output.split())
    assert "store (1): 44 accounts that are known, 2 of the operation" in shown
    assert "store (2)" in shown and "Means over the archives" in shown
    assert "do not hold where these are rare" not in shown
