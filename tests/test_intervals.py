"""The coordination interval, against hand-made tables and a slow reading of its definition."""

import itertools
import math
import statistics

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import make_shares
from polars.testing import assert_frame_equal

from gpu_coord.sharing.intervals import (
    estimate_interval,
    find_excess_gap,
    find_quantile,
    measure_gaps,
    measure_surface,
)

DAY = 86400


def share_at(**seconds):
    """Return rows of objects shared at those seconds, each share by an account of its own."""
    placed = [(name, *one) for name, times in seconds.items() for one in enumerate(times)]
    return [(name, f"{name}{place}", second) for name, place, second in placed]


def share_all(lists_of_times):
    return make_shares(share_at(**{f"o{place}": t for place, t in enumerate(lists_of_times)}))


def quantile_by_hand(values, q):
    values = sorted(values)
    index = 1 + (len(values) - 1) * q
    low, high = values[math.floor(index) - 1], values[math.ceil(index) - 1]
    part = index - math.floor(index)
    return low if low == high else (1 - part) * low + part * high


def estimate_by_hand(times, q, p):
    """Return the interval of lists of seconds, one for each object, drawn any number of times."""
    times = [sorted(t) for t in times if len(t) > 1]
    limit = quantile_by_hand([t[1] - t[0] for t in times], q)
    times = [t for t in times if t[1] - t[0] <= limit]
    past = [next(s - t[0] for rank, s in enumerate(t, start=1) if rank / len(t) > p) for t in times]
    return statistics.median(past) or 1, len(past)


# --- the estimate of CooRnet -----------------------------------------------------------------


def test_estimate_interval__equals_a_table_made_by_hand():
    # Second shares after 1, 3, 10 and 60 s; the quantile 0.4 of them is 3 + 0.2 * 7 = 4.4 s.
    # u: ranks 1..4, more than half is rank 3: 8 s; v: more than half of 2 is rank 2: 3 s.
    shares = make_shares(share_at(u=[5, 6, 13, 90], v=[0, 3], w=[0, 10, 11], x=[0, 60], once=[7]))
    found = estimate_interval(shares, q=0.4, p=0.5)
    assert (found.seconds, found.median, found.mean) == (5.5, 5.5, 5.5)
    assert (found.n_objects, found.n_quick) == (4, 2)
    assert (found.least, found.lower, found.upper, found.most) == (3, 4.25, 6.75, 8)


TENS = share_at(u=range(0, 100, 10))


@pytest.mark.parametrize(
    ("rows", "choices", "figures"),
    [
        # Shares are counted, not accounts.
        ([("u", "a", 0), ("u", "a", 2), ("v", "a", 0), ("v", "b", 50)], {"q": 0.1}, {"seconds": 2}),
        # Rank 3 of 10 is 0.3, which is not more than 0.3, however the product 0.3 * 10 is rounded.
        (TENS, {"p": 0.3}, {"seconds": 30}),
        (TENS, {"p": 0.29}, {"seconds": 20}),
        (TENS, {"p": 0.9}, {"seconds": 90}),
        # Objects at the quantile are kept.
        (share_at(u=[0, 5], v=[0, 5], w=[0, 5], x=[0, 90]), {"q": 0.5}, {"n_quick": 3}),
        # One second stands in the place of none; fractions stay.
        (share_at(u=[4, 4], v=[9, 9, 9]), {}, {"seconds": 1, "median": 0}),
        (share_at(u=[0, 0.25]), {}, {"seconds": 0.25}),
    ],
)
def test_estimate_interval__of_a_few_shares(rows, choices, figures):
    found = estimate_interval(make_shares(rows), **choices)
    assert {name: getattr(found, name) for name in figures} == figures


@pytest.mark.parametrize("setting", [{"q": -0.1}, {"q": 1.1}, {"p": 1}, {"p": -0.1}])
def test_estimate_interval__refuses_parts_out_of_range(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        estimate_interval(make_shares(share_at(u=[0, 1])), **setting)
    with pytest.raises(ValueError, match="no object was shared twice"):
        estimate_interval(make_shares(share_at(u=[0], v=[1])))


TIMES = st.lists(st.integers(0, 30), min_size=2, max_size=12)
lists_of_times = st.lists(TIMES, min_size=1, max_size=8)
parts = st.sampled_from([0, 0.1, 0.2, 0.25, 0.3, 1 / 3, 0.5, 0.6, 0.7, 0.9])


@given(times=lists_of_times, q=parts, p=parts)
def test_estimate_interval__equals_its_definition(times, q, p):
    found = estimate_interval(share_all(times), q=q, p=p)
    assert (found.seconds, found.n_quick) == estimate_by_hand(times, q, p)


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=40), st.floats(0, 1))
def test_find_quantile__equals_the_definition(values, q):
    assert find_quantile(np.sort(values).astype(float), q) == quantile_by_hand(values, q)


def test_find_quantile__of_a_table_made_by_hand():
    # Of six values, from 1 on: 0.5 is at 3.5, between 1 and 2; 0.9 is at 5.5, between 5 and 9.
    values = np.array([1.0, 1, 1, 2, 5, 9])
    assert find_quantile(values, [0, 0.5, 0.9, 1]).tolist() == [1, 1.5, 7, 9]


# --- the surface -----------------------------------------------------------------------------


@given(times=lists_of_times)
def test_measure_surface__equals_the_estimate_in_every_cell(times):
    qs, ps = (0.0, 0.1, 0.5, 1.0), (0.0, 0.3, 0.5)
    found = measure_surface(share_all(times), qs=qs, ps=ps, n_bootstrap=0)
    wanted = [(q, p, *estimate_by_hand(times, q, p)) for q, p in itertools.product(qs, ps)]
    assert found.select("q", "p", "seconds", "n_quick").rows() == wanted
    assert found["low"].null_count() == found["high"].null_count() == found.height


def test_measure_surface__draws_objects_with_replacement():
    times = [[0, gap, 3 * gap + 1, 60] for gap in (1, 2, 3, 5, 8, 13, 21)]
    found = measure_surface(share_all(times), qs=(0.4,), ps=(0.5,), n_bootstrap=50, seed=3)
    draws = [np.random.default_rng((3, draw)).integers(0, 7, 7) for draw in range(50)]
    estimates = [estimate_by_hand([times[o] for o in draw], 0.4, 0.5)[0] for draw in draws]
    assert found["low"][0] == pytest.approx(np.quantile(estimates, 0.025))
    assert found["high"][0] == pytest.approx(np.quantile(estimates, 0.975))


def test_measure_surface__is_the_same_for_any_threads():
    shares = share_all([[0, n % 5, n % 7 + 5] for n in range(30)])
    one, two = (measure_surface(shares, n_bootstrap=9, threads=n) for n in (1, 2))
    assert_frame_equal(one, two)
    assert one.height == 63


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_bootstrap": -1}, "n_bootstrap is -1"),
        ({"qs": ()}, "one of each"),
        ({"ps": [1]}, "p is"),
    ],
)
def test_measure_surface__refuses_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        measure_surface(make_shares(share_at(u=[0, 1])), **settings)


# --- the curve of gaps -----------------------------------------------------------------------


def count_by_hand(rows, edges):
    """Count the pairs of different accounts on one object by gap."""
    pairs = itertools.combinations(rows, 2)
    gaps = [abs(a[2] - b[2]) for a, b in pairs if a[0] == b[0] and a[1] != b[1]]
    low = [-1, *edges[:-1]]
    return [sum(a < gap <= b for gap in gaps) for a, b in zip(low, edges, strict=True)]


@given(
    st.lists(
        st.tuples(st.sampled_from("uvw"), st.sampled_from("abcd"), st.integers(0, 3 * DAY)),
        min_size=2, max_size=40,
    )
)  # fmt: skip
def test_measure_gaps__counts_all_pairs_of_two_accounts(rows):
    rows = [*rows, ("u", "a", 0), ("u", "b", 3 * DAY)]
    choices = {"max_gap_seconds": DAY, "null": "day", "bins_per_decade": 1, "n_copies": 1}
    found = measure_gaps(make_shares(rows), **choices)
    assert found["max_gap"].to_list() == [1, 10, 100, 1000, 10000, DAY]
    assert found["min_gap"].to_list() == [0, 1, 10, 100, 1000, 10000]
    assert found["observed"].to_list() == count_by_hand(rows, found["max_gap"].to_list())


def draw_chance_rows(rng, n, *, n_objects, n_accounts, n_days):
    sizes = (n_objects, n_accounts, n_days * DAY)
    drawn = [[int(rng.integers(size)) for size in sizes] for _ in range(n)]
    return [(f"o{o}", f"a{a}", second) for o, a, second in drawn]


@pytest.mark.parametrize("null", ["day", "block"])
def test_measure_gaps__divides_by_the_mean_of_the_copies(null):
    rng = np.random.default_rng(5)
    shares = make_shares(draw_chance_rows(rng, 300, n_objects=3, n_accounts=9, n_days=4))
    choices = {"null": null, "bins_per_decade": 1, "n_copies": 5, "seed": 1}
    found, again = (measure_gaps(shares, **choices, **more) for more in ({}, {"threads": 2}))
    assert_frame_equal(found, again)
    seen = found.filter(pl.col("expected") > 0)
    assert seen.height >= 3
    np.testing.assert_allclose(seen["ratio"] * seen["expected"], seen["observed"])
    assert (seen["low"] <= 1).all()
    assert (seen["high"] >= 1).all()


def draw_rows(seed, *, pairs):
    """Draw shares at chance times over 20 days, and pairs of accounts that share 5 s apart."""
    rng = np.random.default_rng(seed)
    rows = draw_chance_rows(rng, 3000, n_objects=4, n_accounts=40, n_days=20)
    for _ in range(pairs):
        object, one, time = f"o{rng.integers(4)}", rng.integers(20), int(rng.integers(19 * DAY))
        rows += [(object, f"a{one}", time), (object, f"a{one + 20}", time + 5)]
    return rows


@pytest.mark.parametrize("null", ["day", "block"])
def test_measure_gaps__finds_the_gap_that_was_planted(null):
    curve = measure_gaps(make_shares(draw_rows(1, pairs=200)), null=null, seed=2)
    planted = curve.filter((pl.col("min_gap") < 5) & (pl.col("max_gap") >= 5))
    others = curve.filter(pl.col("min_gap") > 30)
    assert (planted["ratio"] > 5 * planted["high"]).all()
    assert others["ratio"].is_between(0.8, 1.25).all()


@pytest.mark.parametrize("null", ["day", "block"])
def test_measure_gaps__is_within_the_band_without_coordination(null):
    outside = 0
    for seed in range(6):
        curve = measure_gaps(make_shares(draw_rows(seed, pairs=0)), null=null, seed=7)
        low, ratio, high = (pl.col(name) for name in ("low", "ratio", "high"))
        outside += curve.filter((ratio > high) | (ratio < low)).height
    # 6 curves of 16 bins, each outside with probability 0.05: 4.8 expected.
    assert outside <= 12


def test_measure_gaps__keeps_the_seconds_of_the_data_and_the_posts_together():
    # Each of two posts, seven minutes apart, names two objects: in every copy both objects have
    # the same gap, of none or of seven minutes or more.
    rows = [(o, a, 60 * n, f"{a}{n}") for o in "uv" for a, n in (("a", 0), ("b", 7))]
    found = measure_gaps(make_shares(rows), null="block", bins_per_decade=8, seed=4)
    counts = found["expected"].to_numpy() * 39
    assert np.rint(counts).sum() == 78
    assert not (np.rint(counts) % 2).any()
    assert not found.filter((pl.col("min_gap") >= 1) & (pl.col("max_gap") < 420))["expected"].sum()


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"max_gap_seconds": 0}, "max_gap_seconds is 0"), ({"null": "hour"}, "null is 'hour'"),
     ({"n_copies": 0}, "n_copies 0"), ({"bins_per_decade": 0}, "bins_per_decade is 0"),
     ({"null": "day"}, "on one day")],
)  # fmt: skip
def test_measure_gaps__refuses_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        measure_gaps(make_shares(share_at(u=[0, 1])), **settings)


def test_find_excess_gap__ends_where_the_longest_run_meets_the_band():
    curve = pl.DataFrame(
        {"max_gap": [1.0, 2, 4, 8, 16, 32, 64], "observed": [2, 0, 7, 9, 6, 3, 9]}
        | {"expected": [2.0, 0, 0, 3, 3, 3, 3], "ratio": [1.0, None, None, 3, 2.5, 1, 3]}
        | {"high": [2.0, None, None, 2, 2, 2, 2]}
    )
    assert find_excess_gap(curve) == 16
    assert find_excess_gap(curve[5:]) == 64
    assert find_excess_gap(curve[:1]) is None


@pytest.mark.parametrize(
    ("max_gap", "edges"),
    [(1, [1]), (30, [1, 2, 3, 6, 10, 18, 30]), (2, [1, 2]), (10, [1, 2, 3, 6, 10])],
)
def test_measure_gaps__has_bins_of_whole_seconds(max_gap, edges):
    found = measure_gaps(make_shares(share_at(u=[0, 1])), max_gap_seconds=max_gap, n_copies=1)
    assert found["max_gap"].to_list() == edges
    assert found["observed"].to_list() == [1, *[0] * (len(edges) - 1)]


def test_measure_gaps__allows_for_slow_news_in_blocks_only():
    # Forty accounts share an object at chance times of one hour of one day out of ten.
    rng = np.random.default_rng(8)
    rows = [("u", f"a{n}", int(5 * DAY + rng.integers(3600))) for n in range(40)]
    rows += [("u", f"a{rng.integers(40)}", int(rng.integers(10 * DAY))) for _ in range(200)]
    shares = make_shares(rows)
    block, day = (measure_gaps(shares, null=null, seed=3) for null in ("block", "day"))
    assert find_excess_gap(day) > 1000
    assert block["ratio"].tail(6).is_between(0.7, 1.4).all()


def test_measure_gaps__without_objects_of_two_accounts_is_empty():
    found = measure_gaps(make_shares([("u", "a", 0), ("u", "a", 5), ("v", "b", 0)]))
    assert found["observed"].sum() == found["expected"].sum() == 0
    assert found["ratio"].null_count() == found.height
