"""What pairs are exposed to, and how strangers meet, by plain loops: oracles of their tests."""

import math

import numpy as np
from cells import HOUR, count_hours_by_hand, label_by_hand

from gpu_coord.activity.counts import PairCounts

DAY = 24 * HOUR


class ByHand:
    """What all pairs of accounts could do together at one lag, under one null."""

    def __init__(self, activity, lag, null):
        to_host = activity.backend.to_host
        columns = (activity.account, activity.entity, activity.bin)
        self.cells = list(zip(*(to_host(column).tolist() for column in columns), strict=True))
        self.kinds = to_host(activity.entity_kind).tolist()
        self.first_bin, self.bin_seconds = activity.first_bin, activity.bin_seconds
        self.n_accounts, self.n_steps = activity.n_accounts, activity.n_bins - lag
        self.lag, self.null = lag, null
        self.hours = count_hours_by_hand(activity, lag)
        steps = [self.label(k) for k in range(self.n_steps)]
        self.steps = {label: steps.count(label) for label in set(steps)}
        # {place: {account: active bins}}, and {account: {entity: bins}}, bins of the source
        self.sources, self.targets, self.as_source, self.as_target = {}, {}, {}, {}
        for account, entity, bin in self.cells:
            page = self.kinds[entity] if null == "popularity" else entity
            for places, uses, k in (
                (self.sources, self.as_source, bin),
                (self.targets, self.as_target, bin - lag),
            ):
                if 0 <= k < self.n_steps:
                    users = places.setdefault((page, self.label(k)), {})
                    users[account] = users.get(account, 0) + 1
                    uses.setdefault(account, {}).setdefault(entity, []).append(k)
        self.shared = {}  # {(source, target): {place: a b / T}}
        for place in self.sources.keys() & self.targets.keys():
            n_transitions = self.count_transitions(place)
            for i, a in self.sources[place].items():
                for j, b in self.targets[place].items():
                    if i != j:
                        self.shared.setdefault((i, j), {})[place] = a * b / n_transitions

    def find_second(self, k):
        return (self.first_bin + k) * self.bin_seconds

    def label(self, k):
        if self.null == "popularity":
            return 0
        return label_by_hand(self.null, self.find_second(k), self.bin_seconds)

    def count_transitions(self, place):
        """T of a stratum; under popularity what makes all cells meet as often as they do."""
        if self.null != "popularity":
            return self.steps[place[1]]
        n_sources, n_targets = (sum(uses[place].values()) for uses in (self.sources, self.targets))
        n_both = 0
        for _, entity, bin in self.cells:
            if self.kinds[entity] == place[0]:
                n_both += sum((e, m) == (entity, bin + self.lag) for _, e, m in self.cells)
        return n_sources * n_targets / n_both if n_both else math.inf

    def share(self, i, j):
        """Return {place: a b / T} of the strata that a pair shares."""
        return self.shared.get((i, j), {})

    def list_sharing(self):
        """List the pairs that share a stratum."""
        return sorted(self.shared)

    def list_bin_pairs(self, i, j):
        """List (entity, bin of the source, that of the target a lag earlier), each with each."""
        source, target = self.as_source.get(i, {}), self.as_target.get(j, {})
        return [
            (entity, k, m)
            for entity in source.keys() & target.keys()
            for k in source[entity]
            for m in target[entity]
        ]

    def expect_once(self, i, j):
        """Return the part of the pairs of bins in one block that are different pairs of bins."""
        if self.null in ("popularity", "entity", "hour"):
            return 1.0
        together = [
            (k, m) for _, k, m in self.list_bin_pairs(i, j) if self.label(k) == self.label(m)
        ]
        return len(set(together)) / len(together)

    def compare_hours(self, i, j):
        """Return how much more often two accounts' hours meet on different days than by chance."""
        if self.null != "day" or self.bin_seconds > HOUR:
            return 1.0
        per_hour = HOUR / self.bin_seconds
        bin_pairs, seen = self.list_bin_pairs(i, j), 0
        for _, k, m in bin_pairs:
            one, other = self.find_second(k), self.find_second(m)
            is_same_hour = one % DAY // HOUR == other % DAY // HOUR
            seen += is_same_hour and one // DAY != other // DAY
        expected = len(bin_pairs) / (24 * per_hour) - sum(self.share(i, j).values())
        return (5 + seen / per_hour) / (5 + max(expected, 0))

    def expect(self, i, j):
        """Return the hours with a coincidence to expect of a pair, by its habits."""
        return self.expect_any(i, j) * self.compare_hours(i, j)

    def expect_news(self, i, j):
        """Return the same of a pair that news brings together, at hours that need not be theirs."""
        return self.expect_any(i, j) * max(self.compare_hours(i, j), 1.0)

    def expect_any(self, i, j):
        """Return the same, whatever the hours of the day."""
        shared = self.share(i, j)
        return sum(shared.values()) * self.expect_once(i, j) if shared else 0.0

    def classify(self, place):
        """Return floor(log2) of the accounts that use a stratum."""
        return math.floor(math.log2(max(len(self.targets.get(place, {})), 1)))

    def count_meetings(self):
        """Count the other accounts that all sources meet in the strata that they use."""
        return sum(
            source != target
            for place, users in self.sources.items()
            for source in users
            for target in self.targets.get(place, {})
        )


def make_pairs(ends):
    """Return pairs from their ends, without coincidences."""
    source, target = np.array(list(ends), np.int32).reshape(-1, 2).T
    return PairCounts(source, target, np.zeros(source.size, np.int64))


def solve_by_hand(observed, expected, *, least=0.0):
    """Return lambda and 1/r, one pair after the other."""
    inflation = max(sum(observed) / sum(expected), least)
    excess = squares = 0.0
    for seen, mean in zip(observed, (inflation * e for e in expected), strict=True):
        excess += (seen - mean) ** 2 - mean
        squares += mean**2
    return inflation, max(excess / squares, 0.0)


def find_reference_by_hand(by_hand):
    """Return pairs, hours, expected, {class: (lambda, spread)}, and doubt; None with too few."""
    once = [(i, j) for i, j in by_hand.list_sharing() if len(by_hand.share(i, j)) == 1]
    seen, expected = {}, {}
    for i, j in once:
        (place,) = by_hand.share(i, j)
        seen[place] = seen.get(place, 0) + by_hand.hours[i, j]
        expected[place] = expected.get(place, 0.0) + by_hand.expect_news(i, j)
    if sum(expected.values()) < 5:
        return None
    fitted = {}
    for number in {by_hand.classify(place) for place in {*by_hand.sources, *by_hand.targets}}:
        mine = [place for place in expected if by_hand.classify(place) == number]
        if sum(expected[place] for place in mine) < 5:
            mine = list(expected)
        fitted[number] = solve_by_hand(
            [seen[place] for place in mine], [expected[place] for place in mine], least=1.0
        )
    moments = [(expected[place], *fitted[by_hand.classify(place)]) for place in expected]
    doubt = doubt_by_hand(moments)
    return len(once), sum(seen.values()), sum(expected.values()), fitted, doubt


def doubt_by_hand(moments):
    """Return how uncertain a sum of counts is, from (expected, lambda, spread) of each."""
    mean = sum(inflation * expected for expected, inflation, _ in moments)
    variance = sum(
        inflation * expected + spread * (inflation * expected) ** 2
        for expected, inflation, spread in moments
    )
    return variance / mean**2


def correct_by_hand(by_hand, fitted, doubt, i, j):
    """Return the mean and the dispersion of a pair's hours, from {class: (lambda, spread)}."""
    plain = mean = variance = 0.0
    for place, expected in by_hand.share(i, j).items():
        inflation, spread = fitted[by_hand.classify(place)]
        plain += expected
        mean += inflation * expected
        variance += spread * (inflation * expected) ** 2
    return by_hand.expect_news(i, j) * mean / plain, variance / mean**2 + doubt
