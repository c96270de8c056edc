import itertools
import json
import shutil

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_coord.detection import detect
from gpu_coord.evaluation import (
    compute_auc,
    compute_average_precision,
    compute_precision,
    evaluate,
)

SCORED = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=12)


def split(items):
    scores, positives = zip(*items, strict=True)
    return np.array(scores, float), np.array(positives)


@given(items=SCORED.filter(lambda items: 0 < sum(p for _, p in items) < len(items)))
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


@pytest.fixture(scope="module")
def run(make_store, backend, tmp_path_factory):
    """Return a run in which a leads b; c and d have no edge."""
    hours = {"a": (0, 5, 9), "b": (1, 6, 10), "c": (30,), "d": (40,)}
    events = [
        {"account": account, "kind": "hashtag", "entity": "x", "time_seconds": 3600 * hour}
        for account, at in hours.items()
        for hour in at
    ]
    out = tmp_path_factory.mktemp("run") / "run"
    return detect(make_store(events), out, kinds=("hashtag",), paper=True, backend=backend)


def write_truth(folder, rows, **more):
    path = folder / "truth_accounts.parquet"
    pl.DataFrame(rows, schema=["account_id", "label", *more], orient="row").write_parquet(path)
    return path


def test_evaluate__scores_the_accounts_of_the_run(run, tmp_path):
    rows = [
        ("a", "operation"),
        ("b", "operation"),
        ("c", "other"),
        ("z", "operation"),
        ("y", "other"),
    ]
    figures = evaluate(run, write_truth(tmp_path, rows))["accounts"]
    assert figures == {
        "n_accounts": 3, "n_positive": 2, "prevalence": pytest.approx(2 / 3),
        "n_not_analysed": 2, "n_positive_not_analysed": 1,
        "auc": 1.0, "average_precision": 1.0, "precision_at_n_positive": 1.0,
    }  # fmt: skip


def test_evaluate__scores_core_accounts_and_edges(run, tmp_path):
    rows = [("a", "operation", "core"), ("b", "operation", "amplifier"), ("c", "other", None)]
    truth = write_truth(tmp_path, rows, role=None)
    edges = pl.DataFrame({"source": ["a", "a"], "target": ["b", "z"]})
    edges.write_parquet(tmp_path / "truth_edges.parquet")
    figures = evaluate(run.path, truth)
    assert figures["accounts"]["n_core"] == 1
    assert figures["accounts"]["share_of_core_among_first_by_influence"] == 1.0
    assert figures["edges"] == {
        "n_edges": run.summary["n_edges"], "n_true": 2, "n_pairs": 12, "recall": 0.5,
        "average_precision": 0.5, "precision_at_n_true": 0.5,
    }  # fmt: skip


def test_evaluate__scores_significant_edges_and_p_values(run, tmp_path):
    tests = pl.DataFrame(
        {
            "source": ["a", "a", "b", "c", "d"],
            "target": ["b", "c", "a", "d", "c"],
            "weight": [0.1, 0.2, 0.3, 0.4, 0.5],
            "p_value": [1e-9, 1e-8, 0.5, 0.2, 0.9],
            "significant": [True, True, False, False, True],
        }
    )
    found = tmp_path / "run"
    shutil.copytree(run.path, found)
    tests.write_parquet(found / "edges.parquet")
    rows = [("a", "operation"), ("b", "operation"), ("c", "other"), ("d", "other")]
    edges = pl.DataFrame({"source": ["a", "b"], "target": ["b", "a"]})
    edges.write_parquet(tmp_path / "truth_edges.parquet")
    figures = evaluate(found, write_truth(tmp_path, rows))
    # Least p: a and b 1e-9, c 1e-8, d 0.2.
    assert figures["accounts"]["auc_of_least_p_value"] == 1.0
    assert figures["significant"] == {
        "n_edges": 3, "recall": 0.5, "false_share": pytest.approx(2 / 3),
        "share_outside": pytest.approx(2 / 3),
    }  # fmt: skip


def test_evaluate__of_no_true_edge_is_valid_json(run, tmp_path):
    truth = write_truth(tmp_path, [("a", "operation"), ("c", "other")])
    empty = pl.DataFrame(schema={"source": pl.String, "target": pl.String})
    empty.write_parquet(tmp_path / "truth_edges.parquet")
    figures = evaluate(run, truth)
    assert figures["edges"]["recall"] is None
    json.dumps(figures, allow_nan=False)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("y", "operation"), ("z", "other")], "none of the 2 accounts"),
        ([("a", "other"), ("b", "other")], r"0 of 2 accounts .* labels \['other'\]"),
        ([("a", "operation")], "1 of 1 accounts"),
    ],
)
def test_evaluate__says_why_it_cannot(run, tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        evaluate(run, write_truth(tmp_path, rows))


def test_evaluate__takes_ids_of_any_type(make_store, backend, tmp_path):
    events = [
        {"account": account, "kind": "url", "entity": "x", "time_seconds": 3600 * hour}
        for account, hour in [("1", 0), ("2", 1), ("3", 9)]
    ]
    found = detect(make_store(events), tmp_path / "run", kinds=("url",), backend=backend)
    truth = write_truth(tmp_path, [(1, 7), (2, 7), (3, 8)])
    assert evaluate(found, truth, positive="7")["accounts"]["n_positive"] == 2


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"PAR1broken", b"a,b\n1,2\n"])
def test_evaluate__names_a_file_that_is_no_truth(run, tmp_path, content):
    (tmp_path / "truth.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"truth\.csv"):
        evaluate(run, tmp_path / "truth.csv")


def test_evaluate__refuses_edges_without_the_columns(run, tmp_path):
    truth = write_truth(tmp_path, [("a", "operation"), ("c", "other")])
    pl.DataFrame({"from": ["a"]}).write_parquet(tmp_path / "truth_edges.parquet")
    with pytest.raises(ValueError, match=r"truth_edges\.parquet lacks the columns"):
        evaluate(run, truth)
