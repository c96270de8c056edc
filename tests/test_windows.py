"""All pairs of shares within a window, against a double loop."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.windows import cut_ranges, find_window_ends, pair_shares

# (object, time in ms, account, content): windows end on, before and after some of these times.
TIMES = st.sampled_from([0, 1, 999, 1000, 1001, 2000, 2001, 60_000])
ONE = st.tuples(st.integers(0, 2), TIMES, st.integers(0, 3), st.integers(0, 9))
ROWS = st.lists(ONE, max_size=40, unique=True)
WINDOWS = st.sampled_from([0, 1, 1000, 2000, 59_000, 100_000])


def make_shares(rows):
    """Return Shares of (object, ms, account, content) numbers, sorted as they must be."""
    columns = np.array(sorted((o, t, c, a) for o, t, a, c in rows)).reshape(-1, 4)
    names = [f"{number}" for number in range(10)]
    return Shares(
        object=columns[:, 0].astype(np.int32),
        time=columns[:, 1].astype(np.int64),
        account=columns[:, 3].astype(np.int32),
        content=columns[:, 2].astype(np.int32),
        objects=pl.DataFrame({"kind": ["url"] * 3, "value": names[:3]}),
        accounts=pl.DataFrame({"account_id": names}),
        contents=pl.Series(names),
    )


def list_pairs(shares, **choices):
    blocks = list(pair_shares(shares, **choices))
    return [pair for first, second in blocks for pair in zip(first, second, strict=True)]


def compare_all(shares, window_ms, *, loops=False, same_content=True):
    rows = list(
        zip(shares.object, shares.time, shares.account, shares.content, strict=True)
    )  # fmt: skip
    return [
        (i, j)
        for i, j in combinations(range(len(rows)), 2)
        if rows[i][0] == rows[j][0]
        and abs(rows[i][1] - rows[j][1]) <= window_ms
        and (loops or rows[i][2] != rows[j][2])
        and (same_content or rows[i][3] != rows[j][3])
    ]


@given(rows=ROWS, window_ms=WINDOWS, loops=st.booleans(), same_content=st.booleans())
def test_pair_shares__are_all_pairs_within_the_window(rows, window_ms, loops, same_content):
    shares = make_shares(rows)
    choices = {"loops": loops, "same_content": same_content}
    found = list_pairs(shares, window_ms=window_ms, **choices)
    assert found == compare_all(shares, window_ms, **choices)


@given(rows=ROWS, window_ms=WINDOWS)
def test_pair_shares__are_the_same_in_any_blocks(rows, window_ms):
    shares = make_shares(rows)
    small = list_pairs(shares, window_ms=window_ms, memory=1, threads=3)
    assert small == list_pairs(shares, window_ms=window_ms)


@given(rows=ROWS, window_ms=WINDOWS)
def test_pair_shares__of_narrow_windows_are_among_those_of_wide_ones(rows, window_ms):
    shares = make_shares(rows)
    wide = list_pairs(shares, window_ms=100_000)
    within = [(i, j) for i, j in wide if shares.time[j] - shares.time[i] <= window_ms]
    assert within == list_pairs(shares, window_ms=window_ms)


@given(rows=ROWS, window_ms=WINDOWS, shift=st.sampled_from([-(10**12), 1, 1_600_000_000_123]))
def test_pair_shares__do_not_depend_on_the_epoch(rows, window_ms, shift):
    moved = [(o, t + shift, a, c) for o, t, a, c in rows]
    at_zero = list_pairs(make_shares(rows), window_ms=window_ms)
    assert list_pairs(make_shares(moved), window_ms=window_ms) == at_zero


def test_pair_shares__compare_milliseconds_inclusively():
    shares = make_shares([(0, 0, 0, 0), (0, 1000, 1, 1), (0, 1001, 2, 2)])
    assert list_pairs(shares, window_ms=1000) == [(0, 1), (1, 2)]
    assert list_pairs(shares, window_ms=0) == []
    with pytest.raises(ValueError, match="window_ms is -1"):
        list_pairs(shares, window_ms=-1)


def test_pair_shares__of_a_viral_object_are_few_if_the_window_is_short():
    n_shares = 100_000
    shares = Shares(
        object=np.zeros(n_shares, np.int32),
        time=1000 * np.arange(n_shares),
        account=np.arange(n_shares, dtype=np.int32),
        content=np.arange(n_shares, dtype=np.int32),
        objects=pl.DataFrame({"kind": ["url"], "value": ["viral"]}),
        accounts=pl.DataFrame({"account_id": np.arange(n_shares).astype(str)}),
        contents=pl.Series(np.arange(n_shares).astype(str)),
    )
    # All pairs would be 5e9, 40 GB; each share meets the next one only.
    blocks = list(pair_shares(shares, window_ms=1000, memory=1 << 20))
    assert max(first.nbytes + second.nbytes for first, second in blocks) <= 1 << 20
    first, second = (np.concatenate(rows) for rows in zip(*blocks, strict=True))
    assert first.tolist() == list(range(n_shares - 1))
    assert (second == first + 1).all()


def test_find_window_ends__stop_at_the_object():
    ends = find_window_ends(np.array([0, 0, 0, 1, 1]), np.array([0, 5, 11, 11, 12]), 6)
    assert ends.tolist() == [2, 3, 3, 5, 5]


def test_shares__select_keeps_numbers_and_order():
    shares = make_shares([(0, 0, 0, 0), (0, 5, 1, 1), (2, 5, 2, 2)])
    kept = shares.select(np.array([False, True, True]))
    assert kept.account.tolist() == [1, 2]
    assert kept.object_start.tolist() == [0, 1, 1, 2]
    assert kept.accounts is shares.accounts
    assert shares.select(np.array([0, 2])).account.tolist() == [0, 2]
    assert "2 of 3 objects by 10 accounts" in repr(kept)
    with pytest.raises(ValueError, match="rows do not ascend"):
        shares.select(np.array([2, 0]))


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 20))
def test_cut_ranges__covers_every_row_within_the_size(sizes, max_size):
    ranges = list(cut_ranges(np.array(sizes, int), max_size))
    assert [row for first, last in ranges for row in range(first, last)] == list(range(len(sizes)))
    assert all(sum(sizes[a:b]) <= max_size or b == a + 1 for a, b in ranges)
