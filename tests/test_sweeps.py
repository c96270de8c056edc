"""Sweeps: each cell is the `detect` of its settings, however often the sweep was stopped."""

import json
import os
import re
import signal
import subprocess
import sys
from itertools import combinations, product

import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from runs import act_hourly, invoke, refuse, succeed

import gpu_coord as gc
from gpu_coord.archive.sources import ArchiveError
from gpu_coord.chance import habits
from gpu_coord.detection import stages as detection
from gpu_coord.detection.run import detect
from gpu_coord.detection.settings import DetectSettings
from gpu_coord.network.network import build_network
from gpu_coord.results.findings import open_run
from gpu_coord.store.tables import hash_file
from gpu_coord.trust.evaluation.evaluation import evaluate
from gpu_coord.trust.sweeps import stages, tables
from gpu_coord.trust.sweeps.grid import list_cells, read_grid, spell_command
from gpu_coord.trust.sweeps.multiverse import (
    INTERACTIONS,
    compare_communities,
    decompose_variance,
    find_core,
    rank_specifications,
)
from gpu_coord.trust.sweeps.scoring import flatten_figures, split_halves
from gpu_coord.trust.sweeps.stages import measure_modularity
from gpu_coord.trust.sweeps.sweeps import sweep
from gpu_coord.trust.sweeps.tables import SUMMARY

KINDS = ("hashtag", "url")
GRID = {
    "kinds": ["hashtag,url"],
    "bin": ["1h", "2h"],
    "lags": ["1-1", "0-2"],
    "min_support": [1, 3],
    "min_weight": [0.0, 0.02],
    "paper": [False, True],
    "alpha": [0.05, 0.5],
}
SOME_FITTED = {"_FIT_PAIRS": 40, "_LISTED": 10}


def follow_among_others(n_others=12, n_days=20):
    """Return events in which amp follows lead on some days, among others who post at random."""
    rng = np.random.default_rng(0)
    events = []
    for u, day in product(range(n_others), range(n_days)):
        hours = {f"u{u:02}": 24 * day + rng.choice(24, 2)}
        events += act_hourly(hours, entity="xyz"[u % 3], kind=KINDS[u % 2])
    for day, hour in enumerate(24 * np.arange(n_days) + rng.integers(0, 22, n_days)):
        late = [hour + 2] if day % 2 else []
        events += act_hourly({"lead": [hour], "amp": [hour + 1], "late": late})
    return events


LABELS = {"lead": "operation", "amp": "operation", "late": "operation", "u00": "other"}
TRUTH = {name: LABELS.get(name, "other") for name in [*LABELS, *(f"u{u:02}" for u in range(12))]}


@pytest.fixture(scope="module")
def store(make_store):
    return make_store(follow_among_others(), labels=LABELS)


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth.csv"
    pl.DataFrame({"account_id": list(TRUTH), "label": list(TRUTH.values())}).write_csv(path)
    return path


def read_cell(found, row):
    """Return the accounts and edges of a cell's network, as the sweep keeps them."""
    kept = json.loads((found.path / "cells" / f"{row['specification']}.json").read_text())
    place = found.path / "networks" / kept["network"]
    return [pl.read_parquet(f"{place}.{part}.parquet") for part in ("accounts", "edges")]


def check_cell(found, row, findings):
    """Compare a cell with the run of its settings: figures, accounts, communities and edges."""
    run = findings.content
    assert row["specification"] == run["specification"]
    for name, value in findings.summary.items():
        assert row[name] == value, name
    known = findings.summary.keys() | {"has_bulk"}
    assert all(row[name] is None for name in SUMMARY.keys() - known
               if not name.startswith("n_network") and name != "modularity")  # fmt: skip
    tested = run["chance"]
    assert row["has_bulk"] == (None if tested is None else tested["warning"] is None)
    ids = dict(enumerate(found.read("accounts")["account_id"]))
    accounts, edges = read_cell(found, row)
    inside = findings.read("accounts").drop_nulls("community")
    communities = dict(inside.select("account_id", "community").rows())
    assert {ids[a]: c for a, c, _ in accounts.rows()} == communities
    leading = set(inside.filter(pl.col("out_degree") > 0)["account_id"])
    assert {ids[a] for a, _, leads in accounts.rows() if leads} == leading
    expected = findings.read("edges")
    expected = expected.filter("in_network")
    ends = set(expected.select("source", "target").rows())
    assert {(ids[i], ids[j]) for i, j in edges.rows()} == ends
    assert row["n_network_edges"] == expected.height
    assert row["n_network_accounts"] == inside.height


def run_cells(found, cells, out, store, backend):
    """Yield each row of a sweep with the run of its settings."""
    for row in found.read("sweep").rows(named=True):
        settings = cells[row["cell"]].settings
        choices = {name: getattr(settings, name) for name in DetectSettings.__dataclass_fields__}
        yield row, detect(store, out, backend=backend, overwrite=True, **choices)


@pytest.mark.parametrize("fitted", [{}, SOME_FITTED], ids=["all fitted", "some fitted"])
def test_sweep__each_cell_is_the_run_of_its_settings(backend, store, tmp_path, monkeypatch, fitted):
    for name, value in fitted.items():
        monkeypatch.setattr(habits, name, value)
    found = sweep(store, GRID, tmp_path / "s", sample=26, seed=3, backend=backend)
    cells = list_cells(GRID, sample=26, seed=3)
    rows = []
    for row, findings in run_cells(found, cells, tmp_path / "run", store, backend):
        check_cell(found, row, findings)
        rows.append(row)
    assert len(rows) == 26
    # What is compared is more than empty networks.
    assert len({row["n_network_edges"] for row in rows}) > 5
    assert any(row["n_beyond_habit"] for row in rows if not row["paper"])


@pytest.mark.parametrize("null", ["popularity", "hour"])
@pytest.mark.parametrize(
    "choice",
    [{"denominator": ["union"], "undefined": ["zero"]}, {"shrink": [0, 2.5]}, {"min_posts": [30]},
     {"start": ["1970-01-03"], "end": ["1970-01-15"]}, {"match": ["operation"], "seed": [4]},
     {"top_percent": [60]}, {"kinds": ["hashtag", ["url", "hashtag"]], "measure": ["frobenius"]},
     {"groups": [1]}],
    ids=lambda choice: "+".join(choice),
)  # fmt: skip
def test_sweep__takes_every_setting(backend, store, tmp_path, null, choice):
    grid = {"kinds": ["hashtag,url"], "min_support": [2, 1], "null": [null]} | choice
    found = sweep(store, grid, tmp_path / "s", backend=backend)
    for row, findings in run_cells(found, list_cells(grid), tmp_path / "run", store, backend):
        check_cell(found, row, findings)


def test_sweep__counts_and_tests_once_for_all_thresholds(backend, store, tmp_path, monkeypatch):
    tested, counted, activities = [], [], []

    def watch(module, name, calls, describe):
        original = getattr(module, name)

        def call(*args, **options):
            calls.append(describe(*args, **options))
            return original(*args, **options)

        monkeypatch.setattr(module, name, call)

    watch(stages, "assess_lag", tested, lambda a, i, m, null, **_: (i.n_bins, m.lag, null))
    watch(detection, "count_pairs", counted, lambda i, m, first, *_, **__: (i.n_bins, m.lag, first))
    watch(detection, "index_cells", activities, lambda activity: activity.n_bins)
    grid = GRID | {"lags": ["1-1", "0-2", "2-2"], "null": ["day", "hour"]}
    sweep(store, grid, tmp_path / "s", backend=backend)
    assert len(activities) == 2
    assert len(tested) == len(set(tested)) == 2 * 3 * 2  # widths, lags, nulls
    assert len(counted) == len(set(counted)) == 2 * 3
    n_calls = len(tested) + len(counted)
    sweep(store, grid, tmp_path / "s", backend=backend)
    assert len(tested) + len(counted) == n_calls


def test_sweep__has_a_row_per_cell_in_the_order_of_the_grid(backend, store, tmp_path):
    grid = {"kinds": ["hashtag"], "alpha": [0.5, 0.05], "min_support": [2, 1]}
    found = gc.sweep(store, grid, tmp_path / "s", backend=backend)
    cells = found.read("sweep")
    assert cells.select("cell", "alpha", "min_support").rows() == [
        (0, 0.5, 2), (1, 0.5, 1), (2, 0.05, 2), (3, 0.05, 1),
    ]  # fmt: skip
    assert cells["groups"].to_list() == [0] * 4
    assert cells["seconds"].min() >= 0
    assert cells["reason"].null_count() == 4
    assert found.content["grid"] == grid


def test_sweep__shares_are_those_of_the_runs(backend, store, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_EDGE_BYTES", 1 << 40)  # a range of sources for each
    found = sweep(store, GRID, tmp_path / "s", sample=20, backend=backend)
    cells = list_cells(GRID, sample=20)
    n_accounts, n_leading, n_edges = {}, {}, {}
    for _, findings in run_cells(found, cells, tmp_path / "run", store, backend):
        edges = findings.read_network()
        pairs = set(edges.select("source", "target").rows())
        for counts, members in (
            (n_edges, pairs),
            (n_accounts, {end for pair in pairs for end in pair}),
            (n_leading, {source for source, _ in pairs}),
        ):
            for member in members:
                counts[member] = counts.get(member, 0) + 1
    accounts = found.read("accounts")
    assert accounts["account_id"].to_list() == sorted(TRUTH)
    for row in accounts.rows(named=True):
        name = row["account_id"]
        assert row["n_cells"] == n_accounts.get(name, 0)
        assert row["n_leading"] == n_leading.get(name, 0)
        assert row["share"] == row["n_cells"] / 20
        assert row["core"] == (row["n_cells"] >= 18)
        assert row["leading_core"] == (row["n_leading"] >= 18)
    kept = {pair: n for pair, n in n_edges.items() if n >= 2}  # a tenth of the cells
    assert len(kept) < len(n_edges)
    assert found.read("edges").rows() == [(*pair, n, n / 20) for pair, n in sorted(kept.items())]
    ari = found.read("ari")
    assert ari.select("cell", "other_cell").rows() == list(combinations(range(20), 2))


def test_sweep__compares_some_of_many_cells(backend, store, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_COMPARED", 3)
    grid = {"kinds": ["hashtag"], "min_support": [1, 2, 3, 4, 5], "paper": [True]}
    ari = sweep(store, grid, tmp_path / "s", backend=backend).read("ari")
    assert len({*ari["cell"], *ari["other_cell"]}) == ari.height == 3


def test_sweep__sets_aside_cells_that_cannot_run(backend, store, tmp_path):
    grid = {"kinds": ["hashtag"], "lag": [1, 10_000], "min_posts": [1, 10_000]}
    found = sweep(store, grid, tmp_path / "s", backend=backend)
    reasons = found.read("sweep")["reason"].to_list()
    assert reasons[0] is None
    assert "no event of the kinds" in reasons[1]
    assert "lag is 10000 bins" in reasons[2]
    assert (found.summary["n_cells"], found.summary["n_failed"]) == (4, 3)
    # Shares are of the cells that ran.
    lead = found.read("accounts").filter(pl.col("account_id") == "lead")
    assert lead["share"].to_list() == [1.0]


def test_sweep__warns_once_of_missing_kinds(backend, store, tmp_path):
    grid = {"kinds": ["hashtag,mention"], "bin": ["1h", "2h", "3h"]}
    with pytest.warns(UserWarning, match="no 'mention'") as caught:
        sweep(store, grid, tmp_path / "s", backend=backend)
    assert len(caught) == 1


def test_sweep__says_why_no_cell_could_run(backend, store, tmp_path):
    with pytest.raises(ValueError, match="none of the 1 cells could be run: the store has no"):
        sweep(store, {"kinds": ["nothing"]}, tmp_path / "s", backend=backend)


# --- stopped and gone on with ----------------------------------------------------------------

KILLER = """
import json, os, signal, sys
from contextlib import contextmanager
from gpu_coord.trust.sweeps import results, sweeps
from gpu_coord.trust.sweeps.sweeps import sweep
store, out, grid, last = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
n_events = 0
def tick(*_):
    global n_events
    n_events += 1
    if n_events == last:
        os.kill(os.getpid(), signal.SIGKILL)
original = results.replace_file
@contextmanager
def replace_file(path):
    with original(path) as aside:
        yield aside
        tick()
    tick()
results.replace_file = sweeps.replace_file = replace_file
sweep(store, grid, out, progress=tick, truth=sys.argv[5])
"""


def run_killed(store, out, grid, last, truth):
    command = [sys.executable, "-W", "error", "-c", KILLER, store.path, out, json.dumps(grid), last]
    environment = os.environ | {"NUMBA_NUM_THREADS": "1"}
    return subprocess.run(
        [str(part) for part in (*command, truth)], capture_output=True, text=True, env=environment
    )


def test_sweep__goes_on_after_a_kill_with_the_same_tables(store, tmp_path, truth):
    grid = {"kinds": ["hashtag,url"], "lag": [1, 2], "min_support": [1, 3], "paper": [False, True]}
    sweep(store, grid, tmp_path / "whole", truth=truth)
    out = tmp_path / "killed"
    n_cells_done = []
    # In the first file, in the counts, between a network and its row, in a row, and so on.
    for last in (1, 3, 10, 11, 13):
        killed = run_killed(store, out, grid, last, truth)
        assert killed.returncode == -signal.SIGKILL, (last, killed.stdout, killed.stderr)
        n_cells_done.append(len(list(out.glob("cells/[!.]*.json"))))
        with pytest.raises(FileNotFoundError, match=r"there is no result|stopped before its end"):
            open_run(out)
    assert n_cells_done[0] == 0
    assert 0 < n_cells_done[-2] < n_cells_done[-1] <= 8
    sweep(store, grid, out, truth=truth)
    assert not (out / ".scratch").exists()
    for name in ("accounts", "edges", "ari", "variance"):
        one, other = ((tmp_path / d / f"{name}.parquet").read_bytes() for d in ("whole", "killed"))
        assert one == other, name
    cells = [open_run(tmp_path / d).read("sweep").drop("seconds") for d in ("whole", "killed")]
    assert_frame_equal(*cells, check_exact=True)
    before = (out / "sweep.parquet").read_bytes()
    sweep(store, grid, out, truth=truth)
    assert (out / "sweep.parquet").read_bytes() == before


def test_sweep__computes_cells_anew_whose_files_were_changed(backend, store, tmp_path):
    grid, out = {"kinds": ["hashtag"], "paper": [True], "min_support": [1, 3]}, tmp_path / "s"
    sweep(store, grid, out, backend=backend)
    before = {path.name: path.read_bytes() for path in out.glob("[ae]*.parquet")}
    network, cell = next(out.glob("networks/*.accounts.parquet")), next(out.glob("cells/*.json"))
    told = pl.read_parquet(network)
    for changed in (
        told.with_columns(leads=pl.lit("x")),
        told.with_columns(leads=~pl.col("leads")),
        told.rename({"community": "other"}),
    ):
        changed.write_parquet(network)
        sweep(store, grid, out, backend=backend)
        assert pl.read_parquet(network).equals(told)
    whole = cell.read_text()
    for content in ("{", "{}", "[1]", "7", re.sub(r'("n_edges": ).*,', r'\1"x",', whole)):
        assert content != whole
        cell.write_text(content)
        sweep(store, grid, out, backend=backend)
    assert before == {path.name: path.read_bytes() for path in out.glob("[ae]*.parquet")}


def test_sweep__that_cannot_write_its_tables_leaves_those_that_are_there(
    backend, store, tmp_path, monkeypatch
):
    grid, out = {"kinds": ["hashtag"], "paper": [True]}, tmp_path / "s"
    sweep(store, grid, out, backend=backend)

    def write_half(table, path):
        path.write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    next(out.glob("cells/*.json")).unlink()  # or it would be found as it is
    monkeypatch.setattr(tables, "write_parquet", write_half)
    with pytest.raises(OSError, match="No space left"):
        sweep(store, grid, out, backend=backend)
    assert gc.verify(out)["n_tables"] == len(open_run(out).tables)


def test_sweep__refuses_the_folder_of_another(backend, store, make_store, tmp_path, truth):
    grid, out = {"kinds": ["hashtag"], "min_support": [1, 2]}, tmp_path / "s"
    sweep(store, grid, out, backend=backend)
    before = (out / "sweep.json").read_bytes()
    other = make_store(follow_among_others(3))
    manifest = other.manifest | {"inputs": [{"sha256": "1"}]}
    (other.path / "manifest.json").write_text(json.dumps(manifest))
    for options in ({"grid": {"min_support": [1]}}, {"seed": 1}, {"truth": truth}, {"sample": 1},
                    {"store": other}):  # fmt: skip
        arguments = {"store": store, "grid": grid} | options
        with pytest.raises(FileExistsError, match="holds another sweep: its"):
            sweep(arguments.pop("store"), arguments.pop("grid"), out, backend=backend, **arguments)
    assert (out / "sweep.json").read_bytes() == before


def test_sweep__refuses_a_folder_in_use(backend, store, tmp_path):
    import fcntl

    (tmp_path / "s").mkdir()
    with (tmp_path / "s" / "sweep.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FileExistsError, match="in use by another sweep"):
            sweep(store, {"kinds": ["hashtag"]}, tmp_path / "s", backend=backend)


# --- the grid --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({}, "the grid is empty"),
        ({"min_suport": [1]}, "names 'min_suport', which is no setting of a cell; there are"),
        ({"split_at": ["2020-01-01"]}, "'split_at', which is no setting"),
        ({"alpha": []}, "alpha is an empty list"),
        ({"alpha": 0.05}, r"alpha is 0.05 in the grid; give a list .* alpha = \[0.05\]"),
        ({"alpha": {"a": 1}}, "alpha is {'a': 1} in the grid; give a list"),
        ({"alpha": ["0.05"]}, "alpha has '0.05' in the grid; each value is a number"),
        ({"min_support": [True]}, "min_support has True in the grid; each value is a whole number"),
        ({"min_support": [1.5]}, "min_support has 1.5 in the grid; each value is a whole number"),
        ({"paper": [1]}, "paper has 1 in the grid; each value is true or false"),
        ({"bin": [3600]}, "bin has 3600 in the grid; each value is text"),
        ({"bin": ["1y"]}, "'1y' is no duration"),
        ({"kinds": [["url", 1]]}, "each value is text like"),
        ({"lags": ["4-1"]}, "lags is '4-1'; write a rising range"),
        ({"lag": [1], "lags": ["1-4"]}, "both lag and lags"),
        ({"alpha": [0.05, 2]}, "alpha is 2.0; it lies between 0 and 1"),
        ({"min_posts": [0]}, "min_posts is 0; it is 1 or more"),
        ({"bin": ["1h", "60m"]}, "two cells of the grid are the same specification"),
        ({"min_support": list(range(1, 1002)), "alpha": [k / 102 for k in range(1, 101)]},
         "the sweep has 100,100 cells; 100,000 are possible"),
    ],
)  # fmt: skip
def test_list_cells__refuses(grid, message):
    with pytest.raises(ValueError, match=message):
        list_cells(grid)


def test_list_cells__draws_from_grids_of_any_size():
    grid = {"min_support": list(range(1, 10_001)), "min_posts": list(range(1, 10_001)),
            "shrink": list(range(10_000)), "seed": list(range(10_000))}  # fmt: skip
    cells = list_cells(grid, sample=50, seed=7)
    keys = [tuple(cell.options[name] for name in grid) for cell in cells]
    assert len(set(keys)) == 50
    assert keys == sorted(keys)
    assert [cell.number for cell in cells] == list(range(50))
    assert len(list_cells({"alpha": [0.1, 0.2]}, sample=5)) == 2
    with pytest.raises(ValueError, match="sample is 0"):
        list_cells(grid, sample=0)


def test_list_cells__reads_lags_as_detect_does():
    cells = list_cells({"lags": ["1-1", "1-4"]})
    assert [cell.settings.lags for cell in cells] == [(1,), (1, 2, 3, 4)]
    assert cells[0].specification == list_cells({"lag": [1]})[0].specification
    assert cells[1].specification == DetectSettings(groups=0, lags=(1, 2, 3, 4)).compute_hash()


def test_read_grid__reads_toml_and_refuses_others(tmp_path):
    path = tmp_path / "g.toml"
    path.write_text('bin = ["1h", "2h"]\nalpha = [0.05]  # one\n')
    assert read_grid(path) == {"bin": ["1h", "2h"], "alpha": [0.05]}
    for content in (b"bin = [1h]", b"\xff\xfe\x00", b"PAR1\x00\x01"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"g\.toml is no TOML"):
            read_grid(path)
    with pytest.raises(FileNotFoundError):
        read_grid(tmp_path / "absent.toml")


def test_spell_command__makes_a_run_of_the_same_specification(store, tmp_path):
    grid = {
        "kinds": ["hashtag,url"], "bin": ["2h"], "lags": ["0-2"], "min_posts": [2],
        "top_percent": [90], "match": ["operation"], "start": ["1970-01-02"],
        "end": ["1970-01-19"], "undefined": ["zero"], "denominator": ["union"], "shrink": [1],
        "min_support": [2], "min_weight": [0.001], "null": ["hour"], "alpha": [0.2],
        "paper": [True, False], "seed": [5], "measure": ["trace", "frobenius"],
    }  # fmt: skip
    rows = sweep(store, grid, tmp_path / "s").read("sweep").rows(named=True)
    for row in rows:
        words = spell_command(row, store=str(store.path), out=str(tmp_path / "run")).split()
        assert words[:2] == ["gpu-coord", "detect"]
        succeed(*words[1:], "--debug", "--overwrite")
        run = json.loads((tmp_path / "run" / "run.json").read_text())
        assert run["specification"] == row["specification"]
    assert spell_command({"lag": 2, "match": "a b"}, labels="l.csv") == (
        "gpu-coord detect STORE --out RUN --match 'a b' --lag 2 --labels l.csv"
    )


# --- scores and the guard --------------------------------------------------------------------


def test_sweep__scores_cells_as_evaluate_does(backend, store, tmp_path, truth):
    grid = {"kinds": ["hashtag,url"], "min_support": [1, 3], "paper": [True, False]}
    found = sweep(store, grid, tmp_path / "s", truth=truth, backend=backend)
    for row, findings in run_cells(found, list_cells(grid), tmp_path / "run", store, backend):
        figures = flatten_figures(evaluate(findings, truth, n_resamples=0))
        for name, value in figures.items():
            # Classes by kind need weights by kind, which a sweep does not keep.
            if not name.startswith("classes") or name.startswith("classes_all"):
                assert row[name] == (None if value is None else pytest.approx(value)), name
        assert "accounts_auc" in figures
    assert found.content["input"]["truth_sha256"] == hash_file(truth)
    assert (found.settings["positive"], found.settings["choose_by"]) == ("operation", None)
    assert found.summary["chosen"] is None


def test_sweep__chooses_on_one_half_and_scores_on_the_other(backend, store, tmp_path, truth):
    grid = {"kinds": ["hashtag,url"], "min_support": [1, 3, 6], "paper": [True], "seed": [0]}
    choices = {"truth": truth, "choose_by": "auc", "seed": 2, "backend": backend}
    found = sweep(store, grid, tmp_path / "s", **choices)
    cells = list_cells(grid, seed=2)
    by_half = {half: [] for half in ("choosing", "scoring")}
    for half, known in split_halves(pl.read_csv(truth), seed=2).items():
        known.write_csv(tmp_path / f"{half}.csv")
    for _, findings in run_cells(found, cells, tmp_path / "run", store, backend):
        for half, scores in by_half.items():
            figures = evaluate(findings, tmp_path / f"{half}.csv", n_resamples=0)
            scores.append(figures["accounts"]["auc"])
    assert found.read("sweep")["accounts_auc"].to_list() == pytest.approx(by_half["choosing"])
    best = int(np.argmax(by_half["choosing"]))
    chosen = found.summary["chosen"]
    assert chosen["cell"] == best
    assert chosen["specification"] == cells[best].specification
    assert chosen["choosing_half"] == pytest.approx(by_half["choosing"][best])
    assert chosen["scoring_half"]["accounts_auc"] == pytest.approx(by_half["scoring"][best])
    # Of the other cells nothing is known on the half that scores.
    texts = "".join(p.read_text() for p in (tmp_path / "s" / "cells").iterdir())
    assert "scoring" not in texts


def test_split_halves__splits_each_label_evenly_whatever_the_order():
    known = pl.DataFrame({"account_id": [f"a{n}" for n in range(40)],
                          "label": ["operation"] * 11 + ["other"] * 29})  # fmt: skip
    halves = split_halves(known, seed=0)
    both = pl.concat(halves.values())
    assert sorted(both["account_id"]) == sorted(known["account_id"])
    for half in halves.values():
        n_positive = (half["label"] == "operation").sum()
        assert n_positive in (5, 6)
        assert half.height - n_positive in (14, 15)
    again = split_halves(known.reverse(), seed=0)
    assert all(again[name].equals(halves[name]) for name in halves)
    assert not split_halves(known, seed=1)["choosing"].equals(halves["choosing"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": {"match": ["operation"]}}, "would tune on what it is scored with"),
        ({"choose_by": "precision"}, "choose_by is 'precision'; it is one of auc"),
        ({"positive": "nobody"}, "0 of 15 accounts of truth.csv that the store has are"),
        ({"truth": None, "choose_by": "auc"}, "there is no truth to score with"),
        ({"known": "account,label\na,operation\n"}, "account_id"),
        ({"known": "account_id,label\nlead,operation\n"}, "1 of 1 accounts"),
        (
            {"known": "account_id,label\nlead,operation\nu00,other\n", "choose_by": "auc"},
            "in one half of them",
        ),
    ],
)
def test_sweep__refuses_unfair_scores(backend, store, tmp_path, truth, options, message):
    options = {"grid": {"kinds": ["hashtag"]}, "truth": truth} | options
    if known := options.pop("known", None):
        truth.write_text(known)
    with pytest.raises(ArchiveError if message == "account_id" else ValueError, match=message):
        sweep(store, options.pop("grid"), tmp_path / "s", backend=backend, **options)
    assert not (tmp_path / "s").exists()


def test_sweep__says_which_cells_have_no_score(backend, store, tmp_path, truth):
    grid = {"kinds": ["hashtag,url"], "min_posts": [1, 21], "paper": [True]}
    found = sweep(store, grid, tmp_path / "s", truth=truth, backend=backend)
    cells = found.read("sweep")
    assert cells["accounts_auc"].null_count() == 1
    assert cells["n_edges"].null_count() == 0
    assert cells["reason"][1].startswith("not scored: 0 of ")
    assert (found.summary["n_failed"], found.summary["n_scored"]) == (0, 1)


# --- the multiverse --------------------------------------------------------------------------

LABELLINGS = st.integers(2, 9).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-1, 3), min_size=n, max_size=n)] * 2)
)


@given(labels=LABELLINGS)
def test_compare_communities__counts_pairs(labels):
    one, other = ([f"alone{k}" if c < 0 else c for k, c in enumerate(side)] for side in labels)
    either = [k for k in range(len(one)) if labels[0][k] >= 0 or labels[1][k] >= 0]
    pairs = list(combinations(either, 2))
    in_one = sum(one[i] == one[j] for i, j in pairs)
    in_other = sum(other[i] == other[j] for i, j in pairs)
    in_both = sum(one[i] == one[j] and other[i] == other[j] for i, j in pairs)
    found, n_both, n_either = compare_communities(*map(np.array, labels))
    assert n_either == len(either)
    assert n_both == sum(a >= 0 and b >= 0 for a, b in zip(*labels, strict=True))
    if not either:
        assert found is None
    elif not pairs or (in_one == in_other and in_one in (0, len(pairs))):
        assert found == 1.0
    else:
        by_chance = in_one * in_other / len(pairs)
        assert found == pytest.approx((in_both - by_chance) / ((in_one + in_other) / 2 - by_chance))


def make_cells(figure):
    """Return the cells of two settings of two and three values, with a figure of them."""
    rows = [(lag, support, figure(lag, support)) for lag in (1, 2) for support in (1, 2, 3)]
    frame = pl.DataFrame(rows, schema=["lag", "min_support", "figure"], orient="row")
    return frame.with_row_index("cell")


def share_of(cells, setting):
    table = decompose_variance(cells, ["figure"])
    return table.filter(pl.col("setting") == setting)["share"].item()


def test_decompose_variance__knows_additive_and_joint_effects():
    # Var of lag's part: 3^2 / 4; of min_support's: (1 + 0 + 1) * 4 / 3.
    additive = make_cells(lambda lag, support: 3 * lag + 2 * support)
    total = 9 / 4 + 8 / 3
    assert share_of(additive, "lag") == pytest.approx(9 / 4 / total)
    assert share_of(additive, "min_support") == pytest.approx(8 / 3 / total)
    assert share_of(additive, INTERACTIONS) == pytest.approx(0, abs=1e-12)
    # A product of centred effects: neither says anything alone.
    joint = make_cells(lambda lag, support: (2 * lag - 3) * (support - 2))
    assert share_of(joint, "lag") == pytest.approx(0, abs=1e-12)
    assert share_of(joint, INTERACTIONS) == pytest.approx(1)


def test_decompose_variance__is_modest_where_it_knows_little():
    constant = make_cells(lambda lag, support: 0.1)
    assert decompose_variance(constant, ["figure"])["share"].null_count() == 3
    some = make_cells(lambda lag, support: lag + support).head(5)
    table = decompose_variance(some, ["figure"])
    assert table["setting"].to_list() == ["lag", "min_support"]  # no whole grid: no interactions
    assert table["share_by_lot"].to_list() == pytest.approx([1 / 4, 2 / 4])
    missing = some.with_columns(figure=pl.lit(None, pl.Float64))
    assert decompose_variance(missing, ["figure"]).is_empty()
    with pytest.raises(ValueError, match="figure is 'nothing'; it is one of cell, lag"):
        decompose_variance(some, ["nothing"])


def test_decompose_variance__of_a_setting_without_effect_is_that_of_the_lot():
    rng, shares = np.random.default_rng(5), []
    for _ in range(300):
        lags, alphas, figures = rng.integers(1, 6, 30) % 5 + 1, rng.random(30), rng.normal(size=30)
        columns = {"cell": range(30), "lag": lags, "alpha": alphas, "figure": figures}
        shares.append(share_of(pl.DataFrame(columns), "lag"))
    assert np.mean(shares) == pytest.approx(4 / 29, abs=0.02)


def test_rank_specifications__orders_cells_by_a_figure():
    cells = make_cells(lambda lag, support: [None, 2.0, 1.0][support - 1])
    curve = rank_specifications(cells, "figure")
    assert curve.columns == ["rank", "cell", "figure", "lag", "min_support"]
    assert curve["cell"].to_list() == [2, 5, 1, 4]
    assert curve["rank"].to_list() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="figure is 'name'"):
        rank_specifications(cells.with_columns(name=pl.lit("a")), "name")


def test_find_core__takes_shares():
    accounts = pl.DataFrame({"account_id": ["a", "b", "c"], "share": [1.0, 0.9, 0.5],
                             "share_leading": [0.0, 0.9, 0.5]})  # fmt: skip
    assert find_core(accounts)["account_id"].to_list() == ["a", "b"]
    assert find_core(accounts, part="leading")["account_id"].to_list() == ["b"]
    assert find_core(accounts, min_share=0.5).height == 3
    with pytest.raises(ValueError, match="min_share is 0"):
        find_core(accounts, min_share=0)
    with pytest.raises(ValueError, match="part is 'all'"):
        find_core(accounts, part="all")


def test_measure_modularity__is_that_of_networkx(backend):
    rng = np.random.default_rng(1)
    pairs = [(i, j) for i in range(12) for j in range(12) if i != j and rng.random() < 0.25]
    source, target = np.array(pairs).T
    network = build_network(source, target, rng.random(len(pairs)), n_accounts=12, backend=backend)
    graph = nx.Graph()
    for i, j, weight in zip(network.source, network.target, network.weight, strict=True):
        old = graph.get_edge_data(i, j, {"weight": 0})["weight"]
        graph.add_edge(i, j, weight=old + weight)
    members = [set(np.flatnonzero(network.community == c)) for c in range(network.n_communities)]
    assert len(members) > 1
    assert measure_modularity(network) == pytest.approx(nx.community.modularity(graph, members))
    nothing = build_network([], [], [], n_accounts=3, backend=backend)
    assert measure_modularity(nothing) is None


def test_sweep__finds_the_planted_core(backend, tmp_path):
    archive = gc.simulate(tmp_path / "archive", preset="small", seed=0)
    files = [archive.path / "tweets.csv", archive.path / "users.csv"]
    grid = {
        "kinds": ["hashtag,url,mention", "hashtag,mention"],
        "lags": ["0-1", "1-4"],
        "min_support": [1, 5],
        "alpha": [0.01, 0.05],
        "tier": ["beyond_habit"],
    }
    found = sweep(gc.ingest(files, tmp_path / "store"), grid, tmp_path / "s", backend=backend)
    truth = pl.read_parquet(archive.path / "truth_accounts.parquet")
    roles = found.read("accounts").join(truth, on="account_id")
    operation = set(roles.filter(pl.col("role").is_in(["core", "amplifier"]))["account_id"])
    core = set(roles.filter(pl.col("role") == "core")["account_id"])
    included = set(find_core(roles)["account_id"])
    assert core < included <= operation
    assert len(included) >= 0.95 * len(operation)
    assert set(find_core(roles, part="leading")["account_id"]) == core


# --- the command -----------------------------------------------------------------------------


def test_sweep_command__shows_what_holds(store, tmp_path, truth):
    grid = tmp_path / "grid.toml"
    grid.write_text('kinds = ["hashtag,url"]\nmin_support = [1, 3]\nalpha = [0.05, 0.1]\n')
    arguments = ("sweep", store.path, grid, "--out", tmp_path / "s", "--truth", truth)
    arguments += ("--choose-by", "auc")
    done = succeed(*arguments, "--json")
    assert json.loads(done.stdout) == open_run(tmp_path / "s").summary
    shown = invoke(*arguments)
    assert "Which choice matters" in shown.stdout
    assert "4 specifications" in shown.stdout
    assert "on the half of the truth that chooses" in shown.stdout.replace("\n", " ")
    assert "acct-" in shown.stdout
    assert not re.search(r"(?m)^(lead|amp|late|u\d\d) ", shown.stdout)
    ids = invoke(*arguments, "--show-ids")
    assert "acct-" not in ids.stdout
    assert re.search(r"(?m)^lead ", ids.stdout)
    grid.write_text("min_support = [2]\n")
    assert "holds another sweep: its grid is" in refuse(1, *arguments)
