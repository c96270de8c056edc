import bz2
import gzip
import json
import os
import shutil

import polars as pl
import pytest
from runs import act_hourly, event
from typer.testing import CliRunner

from gpu_coord.archive import sources
from gpu_coord.archive.sources import ArchiveError
from gpu_coord.cli import app
from gpu_coord.detection.run import detect
from gpu_coord.sharing.run import share
from gpu_coord.trust.evaluation.evaluation import evaluate
from gpu_coord.trust.evaluation.truths import gather_truth, read_truth

ENDS = {"source": pl.String, "target": pl.String}


@pytest.fixture(scope="module")
def run(make_store, backend, tmp_path_factory):
    """Return a run in which a leads b; c and d have no edge."""
    store = make_store(act_hourly({"a": (0, 5, 9), "b": (1, 6, 10), "c": (30,), "d": (40,)}))
    out = tmp_path_factory.mktemp("run") / "run"
    return detect(store, out, kinds=("hashtag",), paper=True, backend=backend)


def write_truth(folder, rows, **more):
    path = folder / "truth_accounts.parquet"
    pl.DataFrame(rows, schema=["account_id", "label", *more], orient="row").write_parquet(path)
    return path


def write_true_edges(folder, source, target):
    table = pl.DataFrame({"source": source, "target": target}, schema_overrides=ENDS)
    table.write_parquet(folder / "truth_edges.parquet")


@pytest.fixture
def copied(run, tmp_path):
    """Return the folder of a copy of the run, whose tables may be replaced."""
    return shutil.copytree(run.path, tmp_path / "run")


def test_evaluate__scores_the_accounts_of_the_run(run, tmp_path):
    labels = {"a": "operation", "b": "operation", "c": "other", "z": "operation", "y": "other"}
    figures = evaluate(run, write_truth(tmp_path, list(labels.items())))["accounts"]
    assert figures == {
        "n_accounts": 3, "n_positive": 2, "prevalence": pytest.approx(2 / 3),
        "n_not_analysed": 2, "n_positive_not_analysed": 1,
        "auc": 1.0, "average_precision": 1.0, "precision_at_n_positive": 1.0,
    }  # fmt: skip


def test_evaluate__scores_core_accounts_and_edges(run, tmp_path):
    rows = [("a", "operation", "core"), ("b", "operation", "amplifier"), ("c", "other", None)]
    truth = write_truth(tmp_path, rows, role=None)
    write_true_edges(tmp_path, ["a", "a"], ["b", "z"])
    figures = evaluate(run.path, truth)
    assert figures["accounts"]["n_core"] == 1
    assert figures["accounts"]["share_of_core_among_first_by_influence"] == 1.0
    assert figures["edges"] == {
        "n_edges": run.summary["n_edges"], "n_true": 2, "n_pairs": 12, "recall": 0.5,
        "average_precision": 0.5, "precision_at_n_true": 0.5,
    }  # fmt: skip


def test_evaluate__scores_significant_edges_and_p_values(copied, tmp_path):
    rows = [("a", "b", 0.1, 1e-9, True), ("a", "c", 0.2, 1e-8, True), ("b", "a", 0.3, 0.5, False),
            ("c", "d", 0.4, 0.2, False), ("d", "c", 0.5, 0.9, True)]  # fmt: skip
    names = ["source", "target", "weight", "p_value", "significant"]
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(copied / "edges.parquet")
    write_true_edges(tmp_path, ["a", "b"], ["b", "a"])
    figures = evaluate(copied, write_truth(tmp_path, FOUR))
    # Least p: a and b 1e-9, c 1e-8, d 0.2.
    assert figures["accounts"]["auc_of_least_p_value"] == 1.0
    assert figures["significant"] == {
        "n_edges": 3, "recall": 0.5, "false_share": pytest.approx(2 / 3),
        "share_outside": pytest.approx(2 / 3),
    }  # fmt: skip


def test_evaluate__of_no_true_edge_is_valid_json(run, tmp_path):
    truth = write_truth(tmp_path, [("a", "operation"), ("c", "other")])
    write_true_edges(tmp_path, [], [])
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
    store = make_store(act_hourly({"1": [0], "2": [1], "3": [9]}, kind="url"))
    found = detect(store, tmp_path / "run", kinds=("url",), backend=backend)
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


# Groups, influence, campaigns and halves.

FOUR = [("a", "operation"), ("b", "operation"), ("c", "other"), ("d", "other")]
CAMPAIGNS = [(*row, group) for row, group in zip(FOUR, (0, 1, None, None), strict=True)]


def test_evaluate__describes_the_choice_of_the_network(run, tmp_path):
    figures = evaluate(run, write_truth(tmp_path, FOUR), prevalence=0.1)
    assert figures["network"] == {
        "n_found": 2, "n_true": 2, "precision": 1.0, "recall": 1.0, "f1": 1.0,
        "false_positive_rate": 0.0, "precision_at_prevalence": 1.0,
    }  # fmt: skip
    assert figures["groups"]["component"] == {
        "ari": 1.0, "ami": pytest.approx(1.0), "weighted_purity": 1.0, "recall": 1.0,
    }  # fmt: skip
    assert figures["ranking"] == {"recall_at_1_percent_false_positives": {"strength": 1.0}}
    assert "confirmed_groups" not in figures


def test_evaluate__describes_confirmed_groups(copied, tmp_path):
    members = {"group": [0, 0, 1, 2, 2], "account_id": ["a", "c", "a", "b", "d"]}
    pl.DataFrame(members).write_parquet(copied / "group_accounts.parquet")
    # Sets that are beyond habit alone are listed, and say nothing of their members.
    groups = {"group": [0, 1, 2], "confirmed": [True, True, False]}
    pl.DataFrame(groups).write_parquet(copied / "groups.parquet")
    figures = evaluate(copied, write_truth(tmp_path, FOUR))
    assert figures["confirmed_groups"]["precision"] == 0.5
    # One group of a and c, against one of a and b: half of its accounts are positive.
    assert figures["groups"]["confirmed_group"]["weighted_purity"] == 0.5
    assert figures["groups"]["confirmed_group"]["recall"] == 0.5


def test_evaluate__compares_influence_and_roles(run, copied, tmp_path):
    accounts = run.read("accounts").sort("account_id")
    accounts.with_columns(
        influence=pl.Series([4.0, 3.0, 2.0, 1.0]), earliness_z=pl.Series([2.0, -1.0, None, 0.0])
    ).write_parquet(copied / "accounts.parquet")
    rows = [("a", "operation", "core", 9.0), ("b", "operation", "amplifier", 1.0),
            ("c", "operation", "amplifier", 0.0), ("d", "other", "organic", 5.0)]  # fmt: skip
    figures = evaluate(copied, write_truth(tmp_path, rows, role=None, influence=None))
    # Ranks 4 3 2 1 against 4 2 1 3: 1 - 6 * (0 + 1 + 1 + 4) / (4 * 15).
    assert figures["influence"]["spearman"] == pytest.approx(0.4)
    assert figures["influence"]["spearman_of_positives"] == pytest.approx(1.0)
    assert figures["roles"] == {"auc_of_earliness": 1.0, "n_core": 1, "n_accounts": 2}


def test_evaluate__leaves_campaigns_out_by_group(run, tmp_path):
    figures = evaluate(run, write_truth(tmp_path, CAMPAIGNS, group=None))
    assert figures["campaigns"]["n_campaigns"] == 2
    assert figures["campaigns"]["mean_recall"] in (0.5, 1.0)
    json.dumps(figures, allow_nan=False)


def test_evaluate__averages_the_weights_of_all_pairs(run, tmp_path):
    rows = [("a", "operation"), ("b", "other"), ("c", "other"), ("d", "operation")]
    figures = evaluate(run, write_truth(tmp_path, rows))["classes"]["all"]
    inside = {("a", "d"), ("d", "a")}
    outside = {("b", "c"), ("c", "b")}
    edges = run.read("edges").select("source", "target", "weight")
    weights = {(source, target): weight for source, target, weight in edges.iter_rows()}
    assert figures["inside"] == pytest.approx(sum(weights.get(pair, 0) for pair in inside) / 2)
    assert figures["outside"] == pytest.approx(sum(weights.get(pair, 0) for pair in outside) / 2)
    across = sum(weights.values()) - sum(weights.get(pair, 0) for pair in inside | outside)
    assert figures["across"] == pytest.approx(across / 8)
    assert figures["across"] > 0


def test_evaluate__compares_the_halves_of_a_split(make_store, backend, tmp_path):
    hours = {"a": (0, 5, 9, 40, 50), "b": (1, 6, 10, 41, 57), "c": (3, 45), "d": (8, 59)}
    out, choices = tmp_path / "run", {"kinds": ("url",), "split_at": "1970-01-02T06:00"}
    store = make_store(act_hourly(hours, kind="url"))
    found = detect(store, out, paper=True, backend=backend, **choices)
    figures = evaluate(found, write_truth(tmp_path, FOUR))
    halves = {
        half: evaluate(out / half, write_truth(tmp_path, FOUR)) for half in ("before", "after")
    }
    inside = {half: part["classes"]["url"]["inside"] for half, part in halves.items()}
    assert figures["inside_by_half"]["url"] == {
        **inside, "ratio": pytest.approx(inside["after"] / inside["before"])
    }  # fmt: skip
    assert 0 < inside["after"] < inside["before"]


def test_evaluate__ranks_by_p_values_where_nothing_is_significant(run, copied, tmp_path):
    edges = {"source": ["a", "c"], "target": ["b", "d"], "weight": [0.1, 0.2]}
    tests = pl.DataFrame({**edges, "p_value": [1e-3, 0.2], "significant": [False, False]})
    tests.write_parquet(copied / "edges.parquet")
    accounts = run.read("accounts").with_columns(influence=0.0, in_weight=0.0)
    accounts.write_parquet(copied / "accounts.parquet")
    figures = evaluate(copied, write_truth(tmp_path, CAMPAIGNS, group=None))
    recall = figures["ranking"]["recall_at_1_percent_false_positives"]
    assert recall == {"strength": 0.0, "least_p_value": 1.0, "co_activity": 1.0}
    assert figures["intervals"]["auc_of_least_p_value"] == {"low": 1.0, "high": 1.0}
    assert figures["campaigns"]["score"] == "co_activity"
    assert figures["campaigns"]["mean_f1"] == 1.0


def test_evaluate__warns_of_balanced_and_simulated_truth(run, tmp_path):
    truth = write_truth(tmp_path, FOUR)
    assert set(evaluate(run, truth)["warnings"]) == {"balanced", "few_negatives"}
    (tmp_path / "simulation.json").write_text("{}")
    assert "50% of the scored" in evaluate(run, truth)["warnings"]["balanced"]
    assert set(evaluate(run, truth)["warnings"]) == {"balanced", "few_negatives", "simulated"}


def test_evaluate__gives_intervals_by_the_seed(run, tmp_path):
    truth = write_truth(tmp_path, FOUR)
    first, again = (evaluate(run, truth, n_resamples=40, seed=3) for _ in range(2))
    assert first == again and set(first["intervals"]["auc"]) == {"low", "high"}
    assert "intervals" not in evaluate(run, truth, n_resamples=0)


def test_evaluate__forgets_the_direction_of_true_edges_where_the_run_has_none(
    make_store, backend, tmp_path
):
    events = [
        event(account, 86_400 * day + at, str(day), "url")
        for account, at in [("b", 0), ("a", 5), ("c", 40_000)]
        for day in range(3)
    ]
    found = share(make_store(events), tmp_path / "run", kinds=("url",), backend=backend)
    truth = write_truth(tmp_path, FOUR[:3])
    write_true_edges(tmp_path, ["b", "a"], ["a", "b"])
    figures = evaluate(found, truth)["edges"]
    assert (figures["n_true"], figures["n_pairs"], figures["recall"]) == (1, 3, 1.0)


# Truths.


def test_evaluate__takes_the_labels_of_the_run(make_store, backend, tmp_path):
    labels = {"a": "operation", "b": "operation", "c": "control"}
    store = make_store(act_hourly({"a": [0], "b": [1], "c": [9]}, kind="url"), labels=labels)
    found = detect(store, tmp_path / "run", kinds=("url",), paper=True, backend=backend)
    assert evaluate(found)["accounts"]["n_positive"] == 2


def test_evaluate__refuses_runs_without_labels_and_tables_without_the_columns(run):
    with pytest.raises(ValueError, match="have no labels; give a truth"):
        evaluate(run)
    with pytest.raises(ValueError, match=r"lacks the columns \['label'\]"):
        evaluate(run, pl.DataFrame({"account_id": ["a"]}))


def test_read_truth__reads_a_labelled_archive(tmp_path):
    """Posts with the columns of the labelled data sets: each account is a control or is not."""
    path = tmp_path / "campaign.csv"
    path.write_text(
        "postid,post_text,accountid,is_control\n"
        '1,"say ""hi""\nthere",007,False\n2,x,007,False\n3,x,b,True\n4,x,,True\n'
    )
    expected = [("007", "operation"), ("b", "control")]
    assert read_truth(path).rows() == expected
    frame = pl.DataFrame({"accountid": ["007", "b"], "is_control": [False, True]})
    frame.write_parquet(tmp_path / "campaign.parquet")
    assert read_truth(tmp_path / "campaign.parquet").rows() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accountid,is_control\na,maybe\n", "is_control='maybe'"),
        ("accountid,is_control\na,True\na,False\n", "says of 1 accounts"),
        ("account_id,label,influence\na,operation,much\n", "influence 'much'"),
        (
            "account_id,label,influence\na,operation,1\na,operation,2\n",
            "1 accounts two influences",
        ),
    ],
)
def test_read_truth__refuses_what_is_doubtful(tmp_path, text, message):
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(ArchiveError, match=message):
        read_truth(tmp_path / "truth.csv")


def test_gather_truth__labels_users_and_controls(tmp_path):
    (tmp_path / "users.csv").write_text("userid,follower_count\n01,3\nb,4\n")
    (tmp_path / "controls.csv").write_text("account_id\nc\nc\n")
    truth = gather_truth([tmp_path / "users.csv"], [tmp_path / "controls.csv"], positive="op")
    assert truth.rows() == [("01", "op"), ("b", "op"), ("c", "control")]
    with pytest.raises(ArchiveError, match="2 accounts are among the users and among the controls"):
        gather_truth([tmp_path / "users.csv"], [tmp_path / "users.csv"])


def test_gather_truth__refuses_ids_that_are_no_text(tmp_path):
    pl.DataFrame({"userid": [1.0, 2.0]}).write_parquet(tmp_path / "users.parquet")
    with pytest.raises(ArchiveError, match="stores userid as Float64"):
        gather_truth([tmp_path / "users.parquet"], [tmp_path / "users.parquet"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"userid,name\n1,a\n\xff\xfe,b\n", "cannot be read"),  # broken further on
        (b"name\na\n", "has no column account_id or userid"),
        (b"", "has no column account_id or userid"),
    ],
)
def test_gather_truth__names_a_file_that_it_cannot_use(tmp_path, content, message):
    (tmp_path / "users.csv").write_bytes(content)
    with pytest.raises(ArchiveError, match=rf"users\.csv {message}"):
        gather_truth([tmp_path / "users.csv"], [tmp_path / "users.csv"])


# The command.


def invoke(*arguments):
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["evaluate", *map(str, arguments)])


def test_command__takes_users_and_controls(run, tmp_path):
    (tmp_path / "users.csv").write_text("userid\na\nb\n")
    (tmp_path / "controls.csv").write_text("userid\nc\nd\n")
    files = ("--users", tmp_path / "users.csv", "--controls", tmp_path / "controls.csv")
    result = invoke(run.path, *files, "--json", "--prevalence", "0.1", "--resamples", "0")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures == evaluate(run, write_truth(tmp_path, FOUR), prevalence=0.1, n_resamples=0)


def test_command__shows_every_section_and_every_warning(run, tmp_path):
    result = invoke(run.path, "--truth", write_truth(tmp_path, FOUR))
    assert result.exit_code == 0, result.output
    for title in ("Accounts", "Ranking", "Network", "Intervals", "Groups", "Classes"):
        assert f"{title}, against the truth" in " ".join(result.stdout.split())
    assert "Note: 50% of the scored accounts are positives." in result.stdout
    assert max(map(len, result.stdout.split("Note:")[0].splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--users", "users.csv"], "--users and --controls go together"),
        (["--prevalence", "2"], "prevalence is 2.0; it lies between 0 and 1"),
        ([], "have no labels; give a truth"),
    ],
)
def test_command__says_what_is_wrong(run, arguments, message):
    result = invoke(run.path, *arguments)
    assert result.exit_code == 1 and message in result.stderr


@pytest.mark.parametrize("read", [read_truth, lambda path: gather_truth([path], [])])
def test_truth__does_not_wait_for_a_pipe(tmp_path, read):
    os.mkfifo(tmp_path / "truth.csv")
    with pytest.raises(ArchiveError, match=r"truth\.csv is a device or a pipe; a truth is a CSV"):
        read(tmp_path / "truth.csv")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, bytes])
def test_gather_truth__reads_packed_tables_within_bounds(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(sources, "MAX_TABLE_BYTES", 1 << 10)
    (tmp_path / "users.csv").write_bytes(pack(b"userid,x\na,1\nb,2\n"))
    found = gather_truth([tmp_path / "users.csv"], [])
    assert found.rows() == [("a", "operation"), ("b", "operation")]
    (tmp_path / "users.csv").write_bytes(gzip.compress(b"userid,x\n" + b"a,1\n" * (1 << 9)))
    with pytest.raises(ArchiveError, match=r"users\.csv has more than"):
        gather_truth([tmp_path / "users.csv"], [])


def test_gather_truth__refuses_a_first_line_without_end(tmp_path):
    (tmp_path / "users.csv").write_bytes(b"userid," + b"a" * (1 << 21))
    with pytest.raises(ArchiveError, match=r"users\.csv has no column account_id or userid"):
        gather_truth([tmp_path / "users.csv"], [])
