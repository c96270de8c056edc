"""Transplants: who is matched with whom, and that nothing but acting together tells them apart."""

from itertools import combinations, permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import refuse, succeed

import gpu_coord as gc
from gpu_coord.trust.transplant import match_accounts, weigh_company

DAY = 86_400


def tabulate(profiles):
    schema = {"account": pl.Int32, "n_events": pl.UInt32, "n_days": pl.UInt32}
    return pl.DataFrame([(row, *each) for row, each in enumerate(profiles)], schema, orient="row")


def measure(one, other, caliper):
    """Return how far two accounts are apart; None where they do not match."""
    apart = [abs(mine - theirs) / mine for mine, theirs in zip(one, other, strict=True)]
    return sum(apart) if max(apart) <= caliper else None


def match_slowly(operation, organic, caliper):
    """Return the most pairs, and the least sum of distances of so many."""
    best = (0, 0.0)
    for size in range(1, min(len(operation), len(organic)) + 1):
        for mine in combinations(range(len(operation)), size):
            for theirs in permutations(range(len(organic)), size):
                apart = [
                    measure(operation[i], organic[j], caliper)
                    for i, j in zip(mine, theirs, strict=True)
                ]
                if None not in apart:
                    best = min(best, (-size, sum(apart)))
    return -best[0], best[1]


PROFILES = st.lists(st.tuples(st.integers(10, 16), st.integers(1, 5)), min_size=1, max_size=4)


@given(operation=PROFILES, organic=PROFILES, caliper=st.sampled_from([0.0, 0.1, 0.25, 0.5]))
def test_match_accounts__finds_the_most_and_the_nearest(operation, organic, caliper):
    n_pairs, total = match_slowly(operation, organic, caliper)
    if not n_pairs:
        with pytest.raises(ValueError, match="about as many events"):
            match_accounts(tabulate(operation), tabulate(organic), caliper=caliper, seed=0)
        return
    found = match_accounts(tabulate(operation), tabulate(organic), caliper=caliper, seed=0)
    assert found.height == n_pairs
    assert all(found[side].is_unique().all() for side in found.columns)
    apart = [measure(operation[i], organic[j], caliper) for i, j in found.rows()]
    assert sum(apart) == pytest.approx(total)


def weigh_slowly(uses):
    """Return the mean share of planted ones among the other users of an account's things."""
    users, is_planted = {}, {}
    for account, planted, thing in uses:
        users.setdefault(thing, set()).add(account)
        is_planted[account] = planted
    found = {}
    for account in is_planted:
        shares = []
        for who in users.values():
            if account in who:
                others = [is_planted[other] for other in who - {account}]
                shares.append(sum(others) / len(others) if others else 0.5)
        found[account] = (is_planted[account], sum(shares) / len(shares))
    return found


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abcd")), min_size=1, max_size=40))
def test_weigh_company__equals_plain_sets(rows):
    uses = [(f"u{number}", number % 2 == 0, thing) for number, thing in rows]
    frame = pl.DataFrame(uses, ["account_id", "is_planted", "thing"], orient="row")
    found = weigh_company(frame, "thing")
    expected = weigh_slowly(uses)
    assert {a: (p, c) for a, p, c in found.rows()} == {
        account: (planted, pytest.approx(company))
        for account, (planted, company) in expected.items()
    }


def make_posts(prefix, kind, first_day, *, n_accounts, n_posts, things):
    rng = np.random.default_rng(len(prefix))
    return [
        {
            "account": f"{prefix}{account}", "kind": kind, "entity": str(rng.choice(things)),
            "time_seconds": DAY * (first_day + int(rng.integers(0, 5))) + int(rng.integers(0, DAY)),
        }
        for account in range(n_accounts)
        for _ in range(n_posts)
    ]  # fmt: skip


@pytest.fixture
def stores(make_store):
    """Return a store of an operation and one of others, on other days and about other things."""
    mine = make_posts("op", "hashtag", 100, n_accounts=6, n_posts=20, things=list("zyxw"))
    theirs = make_posts("person", "mention", 300, n_accounts=30, n_posts=22, things=list("abc"))
    return make_store(mine), make_store(theirs)


def count(frame, *columns):
    return sorted(frame.group_by(*columns).len()["len"].to_list())


def test_transplant__keeps_who_did_what_and_hides_the_rest(stores, tmp_path):
    found = gc.transplant(*stores, tmp_path / "out", kinds=["hashtag=mention"], caliper=0.4)
    shares, truth = found.read("shares"), found.read("truth_accounts")
    assert truth["label"].value_counts().sort("label").rows() == [("operation", 6), ("organic", 6)]
    assert set(shares["account_id"]) == set(truth["account_id"])
    assert not [name for name in shares["account_id"] if "op" in name or "person" in name]
    assert set(shares["kind"]) == {"hashtag"}
    assert shares["content_id"].str.strip_chars("0123456789").unique().to_list() == ["post-"]
    assert shares["content_id"].n_unique() == shares.height  # one event in each post
    days = shares.join(truth, on="account_id").with_columns(
        day=pl.col("timestamp_share") // DAY, second=pl.col("timestamp_share") % DAY
    )
    by_label = dict(days.partition_by("label", as_dict=True).items())
    assert by_label[("operation",)]["day"].min() == by_label[("organic",)]["day"].min() == 100
    # What each account did, when in the day and on how many things, is as it was.
    events = stores[0].read("events")
    planted = by_label[("operation",)]
    assert count(planted, "account_id") == count(events, "account")
    assert count(planted, "account_id", "object_id") == count(events, "account", "entity")
    seconds = events.select(pl.col("time") // 1000 % DAY).to_series().sort().to_list()
    assert planted["second"].cast(pl.Int64).sort().to_list() == seconds
    # The most used thing of each side has one name.
    for side in by_label.values():
        used = side["object_id"].value_counts().sort("count", "object_id", descending=[True, False])
        names = [int(name.removeprefix("hashtag-")) for name in used["object_id"]]
        assert sorted(names) == list(range(1, len(names) + 1))
        assert used["count"].to_list() == [
            used.filter(object_id=f"hashtag-{rank}")["count"].item()
            for rank in range(1, len(names) + 1)
        ]
    assert gc.verify(found.path)["n_tables"] == 2


def test_transplant__is_drawn_by_its_seed(stores, tmp_path):
    made = [
        gc.transplant(*stores, tmp_path / name, kinds=["hashtag=mention"], seed=seed)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    one, same, other = ((found.path / "shares.parquet").read_bytes() for found in made)
    assert one == same != other


def test_transplant__keeps_names_that_it_is_told_to_keep(stores, tmp_path):
    choices = {"kinds": ["hashtag=mention"], "keep_entities": True, "caliper": 0.4}
    found = gc.transplant(*stores, tmp_path / "out", **choices)
    assert set(found.read("shares")["object_id"]) == set("zyxwabc")
    # Each side has things of its own: what an account is about tells who it is.
    assert found.summary["auc_of_vocabulary"] == 1


def test_transplant__goes_into_a_store(stores, tmp_path):
    found = gc.transplant(*stores, tmp_path / "out", kinds=["hashtag=mention"], caliper=0.4)
    store = gc.ingest(
        found.path / "shares.parquet", tmp_path / "store",
        labels=found.path / "truth_accounts.parquet",
    )  # fmt: skip
    assert store.manifest["totals"]["events"] == found.summary["n_shares"]
    assert store.read("accounts")["label"].null_count() == 0


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({}, "no kind in common: hashtag here, mention there"),
        ({"kinds": ["hashtag=url"]}, "has no url; its kinds are mention"),
        ({"kinds": ["url=mention"]}, "has no url; its kinds are hashtag"),
        ({"kinds": ["hashtag=mention"], "min_events": 21}, "none of 0 accounts"),
        ({"kinds": ["hashtag=mention"], "start": "1990-01-01"}, "has no hashtag in the time"),
    ],
)
def test_transplant__says_what_is_wrong(choices, said, stores, tmp_path):
    with pytest.raises(ValueError, match=said):
        gc.transplant(*stores, tmp_path / "out", **choices)
    assert not (tmp_path / "out").exists()


def test_command__says_what_is_easily_told_apart(stores, tmp_path):
    arguments = ["transplant", stores[0].path, "--into", stores[1].path, "--out", tmp_path / "out"]
    arguments += ["--kinds", "hashtag=mention", "--caliper", "0.4", "--keep-entities"]
    said = " ".join(succeed(*arguments).stdout.split())
    assert "vocabulary alone" in said and "gpu-coord ingest" in said
    assert "no kind in common" in refuse(1, *arguments[:5], tmp_path / "other")
