"""Are edges of shares tested as they ought to be? Oracles: plain loops, planted pairs, chance."""

from collections import defaultdict
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from runs import share_anew as share

from gpu_coord.backend import choose
from gpu_coord.chance.tiers import NO_REFERENCE, choose_tier
from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.significance import assess_edges, count_hours
from gpu_coord.sharing.strict import group_pairs, join_blocks
from gpu_coord.sharing.windows import pair_shares

DAY = 86_400


def make_shares(rows):
    """Return shares of rows (account number, object number, epoch seconds); each a post."""
    frame = pl.DataFrame(rows, schema=["account", "object", "second"], orient="row")
    frame = frame.with_row_index("content").sort("object", "second", "content", "account")
    n_accounts, n_objects = (int(frame[name].max()) + 1 for name in ("account", "object"))
    return Shares(
        object=frame["object"].cast(pl.Int32).to_numpy(),
        time=frame["second"].cast(pl.Int64).to_numpy() * 1000,
        account=frame["account"].cast(pl.Int32).to_numpy(),
        content=frame["content"].cast(pl.Int32).to_numpy(),
        objects=pl.DataFrame(
            {"kind": ["url"] * n_objects, "value": [str(o) for o in range(n_objects)]}
        ),
        accounts=pl.DataFrame(
            {"account_id": [str(a) for a in range(n_accounts)], "label": [None] * n_accounts}
        ),
        contents=pl.Series([str(c) for c in range(frame.height)]),
    )


def list_edges(shares, window_ms):
    runs = group_pairs(shares, *join_blocks(pair_shares(shares, window_ms=window_ms)))
    ends = pl.DataFrame({"source": runs.source, "target": runs.target})
    return ends.hstack(count_hours(runs, window_ms=window_ms))


def assess(shares, seconds, *, null="day", backend=None):
    edges = list_edges(shares, 1000 * seconds)
    backend = backend or choose("cpu")
    tests = assess_edges(shares, edges, window_ms=1000 * seconds, null=null, backend=backend)
    return edges, tests


rows = st.lists(
    st.tuples(
        st.integers(0, 4), st.integers(0, 2), st.integers(3 * DAY - 4000, 3 * DAY + 9000)
    ),
    min_size=2,
    max_size=40,
)  # fmt: skip


def find_width(rows, seconds):
    """Seconds within a window, on either side of a share: those that times can have."""
    times = {t for _, _, t in rows}
    steps = {t - min(times) for t in times} - {0}
    units = [unit for unit in (DAY, 3600, 60) if steps and all(step % unit == 0 for step in steps)]
    unit = max(units, default=1)
    return sum(unit for step in range(-seconds, seconds + 1) if step % unit == 0)


def stamp(rows, unit):
    return [(a, o, t // unit * unit) for a, o, t in rows]


units = st.sampled_from([1, 1, 60, 3600, DAY])


@settings(max_examples=60)
@given(rows=rows, unit=units, seconds=st.sampled_from([0, 5, 60, 600, 4000]))
def test_count_hours__counts_the_hours_of_pairs_within_one(rows, unit, seconds):
    rows = stamp(rows, unit)
    shares = make_shares(rows)
    width = find_width(rows, seconds)
    met = defaultdict(list)
    for (a, o, t), (b, p, u) in combinations(rows, 2):
        if a != b and o == p and abs(t - u) <= seconds:
            hours = {time // width * width // 3600 for time in (t, u)}
            met[min(a, b), max(a, b)].append(hours.pop() if len(hours) == 1 else None)
    wanted = sorted(
        (*pair, sum(h is not None for h in hours), len(set(hours) - {None}))
        for pair, hours in met.items()
    )
    assert list_edges(shares, 1000 * seconds).rows() == wanted


@settings(max_examples=60)
@given(
    rows=rows,
    unit=st.sampled_from([1, 1, 60]),
    seconds_null=st.sampled_from(
        [(5, "six_hours"), (600, "six_hours"), (0, "one_hour"), (60, "one_hour")]
    ),
)
def test_assess_edges__expects_shares_of_a_block_times_the_window_over_it(rows, unit, seconds_null):
    """Times what habits do beyond that; bins in which two share several objects count once."""
    seconds, null = seconds_null
    rows = stamp(rows, unit)
    width = find_width(rows, seconds)
    assume(null == "six_hours" or width <= 360)
    block = {"six_hours": 6 * 3600, "one_hour": 3600}[null]
    edges, tests = assess(make_shares(rows), seconds, null=null)
    bins = defaultdict(list)
    starts = [t // width * width for _, _, t in rows]
    for (a, o, _), start in zip(rows, starts, strict=True):
        bins[a, o, start // block].append(start)
    # Bins of the data that begin in each block.
    steps = defaultdict(int)
    for start in range(min(starts), max(starts) + 1, width):
        steps[start // block] += 1
    habit = max(tests.pairs.by_lag[0].habits.inflation, 1.0)
    for (i, j, n_in_hour, _), found in zip(edges.rows(), tests.edges.to_dicts(), strict=True):
        chances = [
            (at, s, t) for o in range(3) for at in steps
            for s in bins[i, o, at] for t in bins[j, o, at]
        ]  # fmt: skip
        wanted = sum(1 / steps[at] for at, _, _ in chances)
        wanted *= len({(s, t) for _, s, t in chances}) / max(len(chances), 1)
        assert found["expected_habit"] == pytest.approx(habit * wanted if n_in_hour else 0)


def draw_chance(rng, n_accounts=120, n_objects=60, n_days=20):
    """Return rows of accounts that share by chance: popular objects, evenings, one burst each."""
    popularity = rng.zipf(1.6, n_objects).clip(1, 400)
    peak = rng.integers(0, n_days * DAY, n_objects)
    rows = []
    for entity, (n, at) in enumerate(zip(popularity, peak, strict=True)):
        second = np.where(
            rng.random(n) < 0.5, at + rng.exponential(7200, n), rng.random(n) * n_days * DAY
        )
        rows += zip(rng.integers(0, n_accounts, n), [entity] * n, second.astype(int), strict=True)
    return [tuple(map(int, row)) for row in rows]


@pytest.mark.parametrize("null", ["day", "six_hours", "one_hour"])
def test_assess_edges__finds_what_was_planted_and_hardly_anything_else(null, backend):
    rng = np.random.default_rng(5)
    rows = draw_chance(rng)
    # Accounts 120 to 125 share 12 objects of all within 20 s of each other, on different days.
    for k, entity in enumerate(rng.choice(60, 12, replace=False)):
        at = int(k * DAY + rng.integers(3600, DAY - 3600))
        rows += [(120 + a, int(entity), at + int(rng.integers(0, 20))) for a in range(6)]
    edges, tests = assess(make_shares(rows), 30, null=null, backend=backend)
    found = edges.hstack(tests.edges.drop("n_hours"))
    planted = set(combinations(range(120, 126), 2))
    for tier, pairs in (
        ("beyond_news", set(found.filter("significant").select("source", "target").rows())),
        ("beyond_habit", set(found.drop_nulls("tier").select("source", "target").rows())),
    ):
        assert planted <= pairs
        # The bursts that everybody follows are beyond habits that keep days.
        assert len(pairs - planted) <= 1 or (tier, null) == ("beyond_habit", "day")
        assert tests.pairs.count(tier) == 2 * len(pairs)
    # Twelve times within seconds: no hour explains it.
    assert found.filter("significant", pl.col("source") >= 120)["grade"].min() == 6


def test_assess_edges__finds_nothing_in_chance_alone():
    """Everybody follows the same bursts, of two hours: these are beyond habit, not beyond news."""
    n_false = 0
    for seed in range(20):
        _, tests = assess(make_shares(draw_chance(np.random.default_rng(100 + seed))), 60)
        n_false += tests.edges["significant"].any()
    # At 5 %, more than 4 of 20 runs with a false edge have a probability below 0.3 %.
    assert n_false <= 4


def test_assess_edges__finds_nothing_beyond_news_where_only_hours_agree():
    """Six accounts share the same objects in the same 200 hours, at any second of them."""
    n_false, met, expected = 0, 0, 0.0
    for seed in range(20):
        rng = np.random.default_rng(300 + seed)
        rows = draw_chance(rng)
        hours = 3600 * rng.choice(20 * 24, 200, replace=False)
        for entity, hour in zip(rng.integers(0, 60, 200), hours, strict=True):
            seconds = hour + rng.integers(0, 3600, 6)
            rows += [(120 + a, int(entity), int(second)) for a, second in enumerate(seconds)]
        edges, tests = assess(make_shares(rows), 60)
        n_false += tests.edges["significant"].any()
        six = pl.Series(edges["source"] >= 120)
        met += edges.filter(six)["n_hours"].sum()
        expected += tests.edges.filter(six)["expected"].sum()
        # That they meet in the same hours is not explained by what each does on its days.
        assert (tests.edges.filter(six)["q_habit"] < 0.05).any()
    assert n_false <= 4  # see above
    # Some 1,900 meetings; lambda of the news is 1 at least, and here 1.4 because of the bursts.
    assert 0.6 < met / expected < 1.1


@pytest.mark.parametrize(("unit", "seconds"), [(1, 60), (60, 1), (60, 60), (3600, 60)])
def test_assess_edges__allows_for_what_times_were_rounded_to(unit, seconds):
    """Accounts share at any time of the same days: as often as expected, whatever the stamps."""
    rng = np.random.default_rng(12)
    rows = [
        (int(a), int(o), int(o * DAY + rng.integers(0, DAY)) // unit * unit)
        for a, o in zip(rng.integers(0, 300, 3000), rng.integers(0, 12, 3000), strict=True)
    ]
    _, tests = assess(make_shares(rows), seconds)
    assert tests.pairs.by_lag[0].reference["lambda"] == pytest.approx(1, abs=0.15)
    assert not tests.edges["significant"].any()


def test_assess_edges__of_accounts_that_share_once_has_a_reference_of_all():
    """Any two of them meet within a second with p = 3 / 3600, in an hour that both are in."""
    rng = np.random.default_rng(13)
    rows = [(a, 0, int(second)) for a, second in enumerate(rng.integers(0, DAY, 4000))]
    edges, tests = assess(make_shares(rows), 1)
    news = tests.pairs.by_lag[0].reference
    assert news["n_pairs"] > 100_000 and news["lambda"] == pytest.approx(1, abs=0.1)
    assert not tests.edges["significant"].any() and edges["n_in_hour"].sum() > 200


@pytest.mark.parametrize("null", ["day", "one_hour"])
def test_choose_tier__warns_where_hardly_anybody_is_there_but_those_who_share_together(null):
    rng = np.random.default_rng(14)
    together = [
        (a, o, int(o * DAY + 40_000 + rng.integers(0, 20))) for o in range(30) for a in range(6)
    ]
    _, alone = assess(make_shares(together), 60, null=null)
    choice = choose_tier(alone.pairs, "auto")
    assert choice.tier == "beyond_habit" and choice.warning == NO_REFERENCE
    others = [(a + 6, o, t) for a, o, t in draw_chance(rng)]
    _, among = assess(make_shares(together + others), 60, null=null)
    choice = choose_tier(among.pairs, "auto")
    assert choice.tier == "beyond_news" and choice.warning is None


def test_assess_edges__says_nothing_against_chance_across_full_hours():
    # 0 and 1 meet at 12:59:59 and 13:00:01 only; 2 and 3 within an hour.
    rows = [(0, 0, 13 * 3600 - 1), (1, 0, 13 * 3600 + 3), (2, 1, 5 * 3600 + 99),
            (3, 1, 5 * 3600 + 100), (0, 1, 0)]  # fmt: skip
    edges, tests = assess(make_shares(rows), 4)
    assert edges.rows() == [(0, 1, 0, 0), (2, 3, 1, 1)]
    untested = {
        "expected": None, "expected_habit": 0.0, "n_hours": 0, "p_value": 1.0, "q_value": 1.0,
        "q_habit": 1.0, "tier": None, "grade": 0, "significant": False,
    }  # fmt: skip
    assert tests.edges.row(0, named=True) == untested
    assert tests.edges["expected_habit"][1] > 0


def test_assess_edges__refuses_more_bins_than_there_are_numbers():
    shares = make_shares([(0, 0, 0), (1, 0, 0), (0, 0, 2**33)])
    with pytest.raises(ValueError, match="choose a time range"):
        assess(shares, 0)


def test_share__links_the_edges_of_a_tier(make_table_store, tmp_path):
    rng = np.random.default_rng(2)
    drawn = draw_chance(rng)
    for k in range(12):
        drawn += [(120, k, k * DAY + 40_000), (121, k, k * DAY + 40_007)]
    table = [(f"a{a:03}", f"o{o}", str(k), t) for k, (a, o, t) in enumerate(drawn)]
    store = make_table_store(table)
    findings = share(store, tmp_path / "run", kinds="object", window="10s")
    edges = findings.read("edges")
    tested = [
        "expected", "expected_habit", "n_hours", "p_value", "q_value", "q_habit", "tier", "grade",
        "significant", "in_network",
    ]  # fmt: skip
    assert edges.columns[-10:] == tested
    assert (edges["significant"] == (edges["tier"].fill_null("") == "beyond_news")).all()
    summary = findings.summary
    assert summary["network_tier"] == "beyond_news"
    assert (edges["in_network"] == edges["significant"]).all()
    linked = edges.filter("significant").select("source", "target").rows()
    assert ("a120", "a121") in linked
    accounts = findings.read("accounts").filter(pl.col("component").is_not_null())
    assert set(accounts["account_id"]) == {end for edge in linked for end in edge}
    assert summary["n_significant"] == summary["n_network_edges"] == len(linked)
    assert summary["n_beyond_habit"] == edges["tier"].count() >= len(linked)
    assert summary["expected_false_edges"] == pytest.approx(0.05 * len(linked))
    assert edges.height <= summary["n_pairs_tested"] <= 122 * 121 // 2
    wider = share(
        store, tmp_path / "wider", kinds="object", window="10s", tier="beyond_habit"
    ).read("edges")
    assert wider.drop("in_network").equals(edges.drop("in_network"))
    assert (wider["in_network"] == wider["tier"].is_not_null()).all()
    whole = share(store, tmp_path / "whole", kinds="object", window="10s", tests=False)
    assert whole.read("edges").columns == [*edges.columns[:-10], "in_network"]
    assert whole.read("edges")["in_network"].all()
    assert whole.read("accounts")["component"].count() > accounts.height
