"""Tests of what follows shares: slow counts, bounds that hold, planted catalysts, chance alone."""

from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_coord.spread.catalysts import DAY_MS, bound_tail, find_catalysts, fit_clock

HOUR = 3_600_000
CHOICES = {"window_ms": HOUR, "reach_ms": 12 * HOUR, "min_adopters": 10, "early": 0.25}


def make_adoptions(rows):
    """Return adoptions of (object, account, ms), in the order that they need."""
    schema = {"object": pl.Int32, "account": pl.Int32, "time": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.sort("object", "time", "account")


def find(adoptions, **choices):
    end = choices.pop("end", int(adoptions["time"].max()) + 30 * DAY_MS)
    return find_catalysts(adoptions, end=end, **CHOICES | choices)


# --- the clock -----------------------------------------------------------------------------------


def test_fit_clock__counts_each_hour_and_one_more():
    times = np.array([0, 1, HOUR - 1, 5 * HOUR, DAY_MS + 5 * HOUR])
    clock = fit_clock(times)
    hours = np.diff(clock.mass) * (24 + 5)
    expected = np.ones(24)
    expected[0], expected[5] = 4, 3
    np.testing.assert_allclose(hours, expected)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=20), st.data())
def test_clock__measures_days_and_adds_up(times, data):
    clock = fit_clock(np.array(times))
    a, b, c = sorted(data.draw(st.lists(st.integers(0, 10**12), min_size=3, max_size=3)))
    parts = clock.measure(np.array([a, b, a]), np.array([b, c, c]))
    assert parts[0] + parts[1] == pytest.approx(parts[2], abs=1e-6)
    assert clock.measure(np.array([a]), np.array([a + 3 * DAY_MS]))[0] == pytest.approx(3)
    assert clock.measure(np.array([c]), np.array([a]))[0] == 0


# --- counts --------------------------------------------------------------------------------------


def count_slowly(rows, *, window, reach, early, min_adopters, end):
    """Return {(object, account): (part, rank, observed, expected)} with an even clock."""
    found = {}
    for name in {row[0] for row in rows}:
        its = sorted((time, account) for o, account, time in rows if o == name)
        if len(its) < min_adopters:
            continue
        first, n_early = its[0][0], int(np.ceil(len(its) * early))
        for place, (time, account) in enumerate(its):
            rank = 1 + sum(t < time for t, _ in its)
            part = "early" if rank <= n_early else "steep" if rank <= len(its) - n_early else None
            after = sum(time < t <= time + window for t, _ in its)
            others = [t for at, (t, _) in enumerate(its) if at != place]
            if time > first:  # the first is given: it is never what a rate makes
                others.remove(first)
            if part == "early":
                n_around = sum(abs(t - time) <= reach for t in others)
                span = min(time + reach, end) - max(time - reach, first)
            else:
                n_around = after + sum(time - window <= t < time for t in others)
                span = min(time + window, end) - max(time - window, first)
            if part is not None:
                mass = min(time + window, end) - time
                found[name, account] = (part, rank, after, n_around * mass / span if span else 0)
    return found


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), min_size=1, max_size=60),
    st.sampled_from([0.1, 0.25, 0.5]),
    st.sampled_from([1, 3, 40]),
)
def test_find_catalysts__counts_what_slow_loops_count(drawn, early, late):
    rows = [(o, account, slot * HOUR // 2) for account, (o, slot) in enumerate(drawn)]
    # All days alike, with one adoption in each hour: no hour weighs more.
    even = [(9, 100 + hour, hour * HOUR) for hour in range(24)]
    end = (20 + late) * HOUR
    rows = [row for row in rows if row[2] < end]
    hours = [0] * 24
    for *_, time in rows:
        hours[time // HOUR % 24] += 1
    fill = [
        (10 + k, 1000 + 24 * k + hour, hour * HOUR)
        for hour in range(24)
        for k in range(max(hours) - hours[hour])
    ]
    choices = {"window_ms": HOUR, "reach_ms": 5 * HOUR, "early": early, "min_adopters": 2}
    found = find_catalysts(make_adoptions(rows + even + fill), end=end, **choices)
    table = found.shares.filter(pl.col("object") < 3)
    got = {
        (o, account): (part, rank, observed, pytest.approx(expected))
        for o, account, part, rank, observed, expected in table.select(
            "object", "account", "part", "rank", "observed", "expected"
        ).iter_rows()
    }
    slow = count_slowly(rows, window=HOUR, reach=5 * HOUR, early=early, min_adopters=2, end=end)
    assert got == slow


@pytest.mark.parametrize("seed", range(3))
def test_find_catalysts__knows_the_hours_of_the_day(seed):
    rng = np.random.default_rng(seed)
    minute = 60_000
    hours = rng.choice(24, 300, p=np.arange(24) / np.arange(24).sum())
    times = (rng.integers(0, 3, 300) * 1440 + hours * 60 + rng.integers(0, 60, 300)) * minute
    found = find(make_adoptions([(k % 3, k, int(t)) for k, t in enumerate(times)]), early=0.5)
    weight = np.bincount(hours, minlength=24) + 1.0

    def add_minutes(start, stop):
        return sum(weight[m // 60 % 24] for m in range(start // minute, stop // minute))

    early = found.shares.filter(pl.col("part") == "early", pl.col("rank") > 1).sample(20, seed=1)
    for name, time, expected in early.select("object", "time", "expected").iter_rows():
        its = sorted(int(t) for k, t in enumerate(times) if k % 3 == name)
        start = max(time - 12 * HOUR, its[0])
        n_around = sum(start <= t <= time + 12 * HOUR for t in its) - 1 - (start == its[0])
        share = add_minutes(time, time + HOUR) / add_minutes(start, time + 12 * HOUR)
        assert expected == pytest.approx(n_around * share)


# --- tests of accounts ---------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(2,), (3, 3), (2, 5, 4), (10, 10), (2, 2, 2, 2, 2, 2, 2)])
def test_bound_tail__is_never_below_the_exact_tail(sizes):
    heights = [(np.arange(n) + 0.5) / n - 0.5 for n in sizes]
    sums = np.array([sum(draw) for draw in product(*heights)])
    total = np.unique(sums.round(12))
    exact = (sums >= total[:, None] - 1e-9).mean(axis=1)
    variance = sum((h**2).mean() for h in heights)
    bound = np.exp(
        bound_tail(
            total, np.full(total.size, variance), np.full(total.size, max(h.max() for h in heights))
        )
    )
    assert (bound >= exact - 1e-12).all()
    assert (bound[total <= 0] == 1).all()
    assert (bound[total > 0] < 1).all()


def test_find_catalysts__adds_up_the_heights_of_each_account():
    rng = np.random.default_rng(8)
    rows = draw_bursts(rng, n_objects=30, n_accounts=60, n_adopters=20)
    rows += draw_bursts(rng, n_objects=20, n_accounts=60, n_adopters=60)
    rows = [(o + 30 * (k >= 600), a, t // 60_000 * 60_000) for k, (o, a, t) in enumerate(rows)]
    found = find(make_adoptions(rows))
    for part in ("early", "steep"):
        heights, variances, tops = {}, {}, {}
        shares = found.shares.filter(pl.col("part") == part)
        for _, its in shares.group_by("object"):
            excess = its["excess"].to_list()
            height = [
                (sum(o < e for o in excess) + sum(o == e for o in excess) / 2) / len(excess) - 0.5
                for e in excess
            ]
            for account, mine in zip(its["account"], height, strict=True):
                heights.setdefault(account, []).append(mine)
                variances.setdefault(account, []).append(np.mean(np.square(height)))
                tops.setdefault(account, []).append(max(height))
        table = found.accounts.drop_nulls(f"n_{part}").select("account", f"z_{part}", f"p_{part}")
        assert set(table["account"]) == heights.keys()
        for account, z, p in table.iter_rows():
            total, v, b = sum(heights[account]), sum(variances[account]), max(tops[account])
            assert z == pytest.approx(total / np.sqrt(v))
            u = max(b * total / v, 0)
            assert p == pytest.approx(np.exp(-v / b**2 * ((1 + u) * np.log(1 + u) - u)))


def draw_bursts(rng, *, n_objects, n_accounts, n_adopters=40):
    """Return adoptions in bursts that decay, by accounts in an order of no meaning."""
    rows = []
    for name in range(n_objects):
        start = int(rng.integers(0, 20 * DAY_MS))
        times = start + (rng.pareto(0.7, n_adopters) * HOUR / 4).clip(max=5 * DAY_MS)
        accounts = rng.choice(n_accounts, n_adopters, replace=False)
        rows += [(name, int(a), int(t)) for a, t in zip(accounts, times, strict=True)]
    return rows


@pytest.mark.parametrize("seed", [1, 2])
def test_find_catalysts__finds_no_account_where_order_means_nothing(seed):
    rng = np.random.default_rng(seed)
    found = find(make_adoptions(draw_bursts(rng, n_objects=300, n_accounts=200)))
    for part in ("early", "steep"):
        p = found.accounts[f"p_{part}"].drop_nulls().to_numpy()
        assert p.size > 190
        for level in (0.01, 0.05, 0.2, 0.5):
            assert (p <= level).mean() <= level
        assert (found.accounts[f"q_{part}"].drop_nulls() > 0.05).all()
        z = found.accounts[f"z_{part}"].drop_nulls()
        assert abs(z.mean()) < 0.25 and 0.85 < z.std() < 1.15


@pytest.mark.parametrize("seed", [1, 2])
def test_find_catalysts__finds_few_shares_where_rates_are_even(seed):
    rng = np.random.default_rng(seed)
    # Adopters come at each object's own rate, more of them by day.
    hour = rng.choice(
        24, 12_000, p=(w := 1 + np.sin(np.arange(24) / 24 * 2 * np.pi) / 1.2) / w.sum()
    )
    times = rng.integers(0, 10, 12_000) * DAY_MS + hour * HOUR + rng.integers(0, HOUR, 12_000)
    rows = [(k // 40, k, int(time)) for k, time in enumerate(times)]
    found = find(make_adoptions(rows), end=10 * DAY_MS)
    for part in ("early", "steep"):
        p = found.shares.filter(pl.col("part") == part)["p_value"].to_numpy()
        assert p.size > 2000
        for level in (0.001, 0.01, 0.05):
            assert (p <= level).mean() <= 1.5 * level
        assert found.nulls[part].inflation == pytest.approx(1, abs=0.1)
    assert (found.shares["q_value"] > 0.05).all()


def test_find_catalysts__finds_the_account_that_others_follow():
    rng = np.random.default_rng(5)
    rows = draw_bursts(rng, n_objects=120, n_accounts=300, n_adopters=25)
    starts = {name: min(t for o, _, t in rows if o == name) for name in range(120)}
    for name in range(0, 120, 5):
        # Some hours before the rest; ten follow within the hour.
        at = starts[name] - 8 * HOUR
        quiet = [(name, int(1000 + name), at - HOUR * 2), (name, int(2000 + name), at - HOUR)]
        followers = [(name, 400 + k, at + int(rng.integers(1, HOUR))) for k in range(10)]
        rows += [(name, 999, at), *quiet, *followers]
    found = find(make_adoptions(rows))
    leading = found.accounts.sort("p_early", nulls_last=True)
    assert leading["account"][0] == 999 and leading["q_early"][0] < 0.01
    assert found.accounts.filter(pl.col("q_early") <= 0.05, pl.col("account") < 400).is_empty()
    its = found.shares.filter(pl.col("account") == 999)
    assert (its["observed"] >= 10).all() and (its["ratio"] > 1).all()


def test_find_catalysts__finds_the_account_that_speeds_things_up():
    rng = np.random.default_rng(6)
    rows = []
    for name in range(30):
        start = int(rng.integers(0, DAY_MS))
        slow = start + np.sort(rng.integers(0, 60 * HOUR, 20))
        boost = int(start + 30 * HOUR)
        fast = boost + rng.integers(1, HOUR, 8)
        rows += [
            (name, int(a), int(t))
            for a, t in zip(rng.choice(300, 20, replace=False), slow, strict=True)
        ]
        rows += [(name, 500 + k, int(t)) for k, t in enumerate(fast)] + [(name, 999, boost)]
    found = find(make_adoptions(rows))
    assert found.accounts.sort("p_steep", nulls_last=True)["account"][0] == 999
    assert found.accounts.filter(pl.col("account") == 999)["q_steep"].item() < 0.001
    its = found.shares.filter(pl.col("account") == 999, pl.col("part") == "steep")
    assert its.height > 20 and (its["observed"] >= 8).all()


def test_find_catalysts__tests_nothing_where_objects_are_small():
    found = find(make_adoptions([(0, a, a * HOUR) for a in range(9)]))
    assert found.shares.is_empty() and found.accounts.is_empty()
    assert {"p_value", "q_value", "part"} <= set(found.shares.columns)


def test_find_catalysts__does_not_test_who_is_alone_in_a_part():
    # Twelve objects of one early account each: nobody to compare it with.
    rows = [(o, 0 if k == 0 else 1 + 20 * o + k, k * HOUR) for o in range(12) for k in range(10)]
    found = find(make_adoptions(rows), early=0.1)
    alone = found.accounts.filter(pl.col("account") == 0)
    assert alone.select("n_early", "z_early", "p_early", "q_early").row(0) == (12, None, 1, 1)


def test_find_catalysts__gives_accounts_at_the_same_time_the_same_rank():
    found = find(make_adoptions([(0, a, 0 if a < 4 else a * HOUR) for a in range(12)]))
    first = found.shares.filter(pl.col("account") < 4)
    assert first["rank"].to_list() == [1] * 4 and first["part"].to_list() == ["early"] * 4
    assert first["observed"].to_list() == [0] * 4
    assert first["expected"].n_unique() == 1  # whatever they are called
