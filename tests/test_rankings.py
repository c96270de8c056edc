import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_coord.trust.evaluation.campaigns import leave_campaigns_out
from gpu_coord.trust.evaluation.partitions import (
    compute_adjusted_information,
    compute_adjusted_rand,
    compute_weighted_purity,
    cross_partitions,
)
from gpu_coord.trust.evaluation.rankings import (
    bootstrap_ranking,
    compute_auc,
    compute_average_precision,
    compute_precision,
    compute_prevalent_precision,
    describe_choice,
    rank_scores,
)

SCORED = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=14)
ITEMS = SCORED.filter(lambda items: 0 < sum(p for _, p in items) < len(items))
# -1: in no group.
LABELS = st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 2)), min_size=2, max_size=6)


def split(items):
    scores, positives = zip(*items, strict=True)
    return np.array(scores, float), np.array(positives)


# Rankings.


@given(items=ITEMS)
def test_compute_auc__is_the_share_of_pairs_in_the_right_order(items):
    score, positive = split(items)
    pairs = list(itertools.product(score[positive], score[~positive]))
    expected = sum((high > low) + (high == low) / 2 for high, low in pairs) / len(pairs)
    assert compute_auc(score, positive) == pytest.approx(expected)


@given(items=SCORED.filter(lambda items: any(p for _, p in items)))
def test_compute_average_precision__sums_over_thresholds(items):
    score, positive = split(items)
    expected = recall = 0.0
    for threshold in sorted(set(score), reverse=True):
        chosen = score >= threshold
        now = positive[chosen].sum() / positive.sum()
        expected += (now - recall) * positive[chosen].mean()
        recall = now
    assert compute_average_precision(score, positive) == pytest.approx(expected)


@given(items=SCORED, n_first=st.integers(1, 14))
def test_compute_precision__is_the_mean_over_orders_of_ties(items, n_first):
    score, positive = split(items)
    ranks = sorted(set(score), reverse=True)
    left, found = n_first, 0.0
    for rank in ranks:
        tied = positive[score == rank]
        taken = min(left, tied.size)
        found += taken * tied.mean()
        left -= taken
    assert compute_precision(score, positive, n_first) == pytest.approx(found / n_first)


@given(items=ITEMS, share=st.sampled_from([0.0, 0.01, 0.25, 0.5, 1.0]))
def test_compute_recall__is_the_best_threshold_within_the_false_ones(items, share):
    score, positive = split(items)
    recalls = [0.0]
    for threshold in score:
        chosen = score >= threshold
        if (chosen & ~positive).sum() <= share * (~positive).sum():
            recalls.append((chosen & positive).sum() / positive.sum())
    assert rank_scores(score, positive).compute_recall(share) == pytest.approx(max(recalls))


@given(items=ITEMS)
def test_find_best_threshold__has_the_largest_f1(items):
    score, positive = split(items)

    def compute_f1(threshold):
        n_true = ((score >= threshold) & positive).sum()
        return 2 * n_true / ((score >= threshold).sum() + positive.sum())

    thresholds = sorted(set(score), reverse=True)
    best = thresholds[rank_scores(score, positive).find_best_threshold()]
    assert compute_f1(best) == max(map(compute_f1, thresholds))


def test_rank_scores__of_one_class_defines_no_auc():
    ranking = rank_scores(np.array([1.0, 2.0]), np.array([True, True]))
    assert ranking.compute_auc() is None and ranking.compute_recall(0.01) is None


def test_describe_choice__has_the_figures_of_the_paper():
    # 103 operation accounts and 103 others; 81 were found, 75 of them of the operation.
    positive = np.arange(206) < 103
    chosen = (np.arange(206) < 75) | (np.arange(206) >= 200)
    figures = describe_choice(chosen, positive, prevalence=0.01)
    assert (figures["n_found"], figures["n_true"]) == (81, 75)
    assert figures["precision"] == pytest.approx(0.926, abs=5e-4)
    assert figures["recall"] == pytest.approx(0.728, abs=5e-4)
    assert figures["f1"] == pytest.approx(0.815, abs=5e-4)
    assert figures["false_positive_rate"] == pytest.approx(0.058, abs=5e-4)
    assert figures["precision_at_prevalence"] == pytest.approx(0.11, abs=5e-3)


def test_describe_choice__of_nobody_has_no_precision():
    figures = describe_choice(np.zeros(3, bool), np.array([True, False, False]), prevalence=0.01)
    assert figures["precision"] is None and figures["precision_at_prevalence"] is None
    assert figures["f1"] == figures["recall"] == 0


def test_compute_prevalent_precision__is_the_precision_of_a_population():
    # Of 10,000 accounts 200 are positive: 150 of them and 98 of the others are found.
    assert compute_prevalent_precision(0.75, 0.01, 0.02) == pytest.approx(150 / 248)


def test_bootstrap_ranking__covers_the_auc_of_the_law():
    # Scores N(1, 1) against N(0, 1): the AUC is Phi(1 / sqrt 2).
    truth = (1 + math.erf(0.5)) / 2
    rng = np.random.default_rng(5)
    n_covered = 0
    for seed in range(60):
        positive = np.arange(120) < 40
        score = rng.normal(size=120) + positive
        choices = {"max_false_share": 0.01, "n_resamples": 200, "seed": seed}
        low, high = bootstrap_ranking(score, positive, **choices)["auc"]
        n_covered += low <= truth <= high
    # Binomial(60, .95): fewer than 51 in less than one run of a thousand.
    assert n_covered >= 51


def test_bootstrap_ranking__depends_on_the_seed_only():
    score, positive = np.array([3.0, 1.0, 2.0, 0.0, 1.5]), np.array([1, 1, 0, 0, 0], bool)
    choices = {"max_false_share": 0.5, "n_resamples": 50}
    first, again, other = (bootstrap_ranking(score, positive, seed=n, **choices) for n in (1, 1, 2))
    assert first == again != other


# Partitions.


def list_groups(labels):
    return [name if name >= 0 else f"alone {i}" for i, name in enumerate(labels)]


def compute_information(found, true):
    n = len(found)
    return sum(
        both / n * math.log(n * both / (found.count(a) * true.count(b)))
        for a in set(found)
        for b in set(true)
        if (both := sum(pair == (a, b) for pair in zip(found, true, strict=True)))
    )


def count_together(found, true):
    pairs = list(itertools.combinations(range(len(found)), 2))
    in_found = [found[i] == found[j] for i, j in pairs]
    in_true = [true[i] == true[j] for i, j in pairs]
    both = sum(a and b for a, b in zip(in_found, in_true, strict=True))
    return both, (sum(in_found) + sum(in_true)) / 2


def adjust(measure, found, true):
    """Adjust for chance by all orders of the labels."""
    value, most = measure(found, true)
    orders = itertools.permutations(true)
    values = [measure(found, list(order))[0] for order in orders]
    expected = sum(values) / len(values)
    if math.isclose(most, expected, abs_tol=1e-9):
        return 1.0
    return (value - expected) / (most - expected)


@given(labels=LABELS)
def test_compute_adjusted_rand__is_pairs_adjusted_by_all_permutations(labels):
    found, true = (list_groups(side) for side in zip(*labels, strict=True))
    overlap = cross_partitions(*(np.array(side) for side in zip(*labels, strict=True)))
    expected = adjust(count_together, found, true)
    assert compute_adjusted_rand(overlap) == pytest.approx(expected, abs=1e-9)


@given(labels=LABELS)
def test_compute_adjusted_information__is_information_adjusted_by_all_permutations(labels):
    found, true = (list_groups(side) for side in zip(*labels, strict=True))
    overlap = cross_partitions(*(np.array(side) for side in zip(*labels, strict=True)))

    def measure(found, true):
        most = sum(compute_information(labels, labels) for labels in (found, true)) / 2
        return compute_information(found, true), most

    expected = adjust(measure, found, true)
    assert compute_adjusted_information(overlap) == pytest.approx(expected, abs=1e-7)


def test_compute_adjusted_information__of_many_accounts_without_a_group_is_quick():
    rng = np.random.default_rng(3)
    true = np.where(np.arange(20_000) < 400, np.arange(20_000) // 40, -1)
    found = np.where(rng.random(20_000) < 0.9, true, -1)
    overlap = cross_partitions(found, true)
    assert 0.5 < compute_adjusted_information(overlap) < 1
    assert compute_adjusted_information(cross_partitions(true, true)) == pytest.approx(1)


def test_compute_weighted_purity__averages_over_positives_with_a_group():
    found = np.array([0, 0, 0, 0, 1, 1, -1, -1])
    positive = np.array([1, 1, 1, 0, 1, 0, 1, 0], bool)
    # Three of four in group 0, one of two in group 1; the positive without a group does not count.
    assert compute_weighted_purity(found, positive) == pytest.approx((3 * 3 / 4 + 1 / 2) / 4)
    assert compute_weighted_purity(np.full(8, -1), positive) is None


# Campaigns.


def test_leave_campaigns_out__uses_no_account_of_the_campaign_for_its_threshold():
    # Campaign a lies above 10, b above 5, negatives at 0 to 3: the best threshold on b is 6, which
    # finds all of a; the best on a is 11, which finds none of b.
    score = np.array([11.0, 12.0, 13.0, 6.0, 7.0, 8.0, *range(4)])
    positive = np.arange(10) < 6
    campaign = [*"aaabbb", *[None] * 4]
    figures = leave_campaigns_out(score, positive, campaign, prevalence=0.01, seed=0)
    assert figures["n_campaigns"] == 2
    names = ("campaign", "threshold", "recall")
    found = [tuple(part[name] for name in names) for part in figures["by_campaign"]]
    assert found == [("a", 6, 1.0), ("b", 11, 0.0)]
    assert figures["mean_recall"] == 0.5 and figures["least_recall"] == 0.0
    assert figures["mean_precision"] == 1.0  # of b nothing is found, so only a has a precision


def test_leave_campaigns_out__gives_each_negative_to_one_campaign():
    score, positive = np.zeros(10), np.arange(10) < 4
    figures = leave_campaigns_out(score, positive, [*"aabb", *[None] * 6], prevalence=0.1, seed=1)
    n_found = [part["n_found"] for part in figures["by_campaign"]]
    assert n_found == [5, 5]  # all scores are equal: two positives and three negatives each


@pytest.mark.parametrize("campaign", [[*"aaa", None], ["a", None, None, None]])
def test_leave_campaigns_out__needs_two_campaigns(campaign):
    positive = np.array([True, True, False, False])
    assert leave_campaigns_out(np.arange(4.0), positive, campaign, prevalence=0.1, seed=0) is None


def test_leave_campaigns_out__counts_positives_without_a_campaign():
    positive, campaign = np.arange(6) < 3, ["a", "b", *[None] * 4]
    figures = leave_campaigns_out(np.arange(6.0), positive, campaign, prevalence=0.1, seed=0)
    assert figures["n_without_campaign"] == 1


def test_rank_scores__agrees_with_scipy():
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(0)
    positive = rng.random(300) < 0.3
    score = rng.integers(0, 20, size=300) + 4 * positive
    u = mannwhitneyu(score[positive], score[~positive]).statistic
    expected = u / (positive.sum() * (~positive).sum())
    assert rank_scores(score, positive).compute_auc() == pytest.approx(expected)
