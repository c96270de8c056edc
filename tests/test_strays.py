"""Posts that stretch the span of an archive: found as plain loops find them, and said."""

import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpu_coord.archive.ingest import ingest
from gpu_coord.detection.run import detect
from gpu_coord.sharing.run import share
from gpu_coord.store import strays
from gpu_coord.store.strays import find_core

DAY = 86_400_000


def write_shares(path, rows):
    """Write a share table of (account, object, content, time)."""
    names = ["account_id", "object_id", "content_id", "timestamp_share"]
    pl.DataFrame(rows, schema=names, orient="row").write_csv(path)
    return path


def find_core_by_hand(times, most):
    """Leave out ever more times, at the beginning and at the end, until a hundredth is left."""
    times = sorted(times)
    span = times[-1] - times[0]
    for n_out in range(1, most + 1):
        for n_first in range(n_out, -1, -1):
            rest = times[n_first : len(times) - (n_out - n_first)]
            if span >= 100 * DAY and (rest[-1] - rest[0]) * 100 <= span:
                return n_out
    return None


TIMES = st.lists(st.integers(0, 3 * DAY), min_size=6, max_size=40)
FAR = st.lists(st.sampled_from([-900 * DAY, 80 * DAY, 200 * DAY, 500 * DAY]), max_size=3)


@given(near=TIMES, far=FAR)
@example(near=[0] * 20, far=[100 * DAY])
@example(near=[0] * 20, far=[100 * DAY - 1])
@example(near=[0] * 9 + [DAY] * 9, far=[-900 * DAY, 500 * DAY])
def test_find_core__leaves_out_as_few_as_plain_loops(near, far):
    times = np.array(near + far, np.int64)
    most = max(1, times.size // 10)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(strays, "_FEW", 10)
        core = find_core(times)
    n_out = find_core_by_hand(times.tolist(), most)
    assert (core is None) == (n_out is None)
    if core is not None:
        first, last = core
        assert np.count_nonzero((times < first) | (times > last)) == n_out
        assert (last - first) * 100 <= np.ptp(times)


@pytest.mark.parametrize(("n_far", "is_found"), [(1, True), (2, True), (3, False)])
def test_find_core__leaves_out_one_post_in_a_thousand(n_far, is_found):
    times = np.concatenate([np.arange(2996) * 1000, np.full(n_far, 20_000 * DAY)])
    assert find_core(times) == ((0, 2_995_000) if is_found else None)


def list_meetings(*more):
    """Return shares of some days of March 2014, and other ones (account, ISO time)."""
    rows = [
        (account, f"o{day}", f"{account}{day}", f"2014-03-{day:02}T10:00:{second:02}")
        for day in range(1, 7)
        for account, second in (("a", 0), ("b", 20), ("c", 40))
    ]
    return rows + [(account, "o1", f"s{n}", time) for n, (account, time) in enumerate(more)]


RUNS = [(detect, {"kinds": ("object",), "groups": 0}), (share, {"kinds": ("object",)})]


@pytest.mark.parametrize(("command", "choices"), RUNS)
@pytest.mark.parametrize(
    ("strays", "dates", "options"),
    [
        (["1991-05-06T07:08"], "1991-05-06", "--start 2014-03-01"),
        (["2019-02-03T04:05"], "2019-02-03", "--end 2014-03-07"),
    ],
)
def test_runs__warn_of_a_post_that_stretches_the_span(
    tmp_path, command, choices, strays, dates, options
):
    table = write_shares(tmp_path / "t.csv", list_meetings(*(("a", time) for time in strays)))
    store = ingest(table, tmp_path / "store")
    said = rf"^6 of the [\d,]+ days .* all posts but 1 of 19 \({dates}\): .* {options}\.$"
    with pytest.warns(UserWarning, match=said) as caught:
        run = command(store, tmp_path / "run", **choices)
    assert len(caught) == 1
    assert run.content["stretched"] == str(caught[0].message)
    start, end = ("2014-03-01", None) if "start" in options else (None, "2014-03-07")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        narrowed = command(store, tmp_path / "narrowed", start=start, end=end, **choices)
    assert narrowed.content["stretched"] is None


def test_detect__warns_once_though_it_writes_halves(tmp_path):
    rows = list_meetings(("a", "1991-05-06T07:08"))
    store = ingest(write_shares(tmp_path / "t.csv", rows), tmp_path / "store")
    with pytest.warns(UserWarning, match="1991-05-06") as caught:
        detect(store, tmp_path / "run", kinds=("object",), groups=0, split_at="2014-03-04")
    assert len(caught) == 1


def test_detect__finds_the_same_edges_beside_a_post_of_another_age(make_store, tmp_path):
    """The hours together are those without it; a store of before may hold any year."""
    moment, far = 1_700_000_000, 253_402_300_799  # the last second of the year 9999
    events = [
        {"account": name, "kind": "url", "entity": f"u{day}", "time_seconds": moment + 86_400 * day}
        for day in range(20)
        for name in "abc"
    ]
    stray = {"account": "d", "kind": "url", "entity": "u0", "time_seconds": far}
    bare = detect(make_store(events), tmp_path / "bare", kinds=("url",))
    with pytest.warns(UserWarning, match="9999-12-31"):
        found = detect(make_store([*events, stray]), tmp_path / "found", kinds=("url",))
    columns = ["source", "target", "support", "lag", "n_hours"]
    assert found.summary["n_bins"] > 60_000_000
    assert found.read("edges").select(columns).equals(bare.read("edges").select(columns))
