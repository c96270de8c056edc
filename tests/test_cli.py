import inspect
import json
import os
import re
import subprocess
import sys

import polars as pl
import pytest
from runs import invoke
from typer.testing import CliRunner

from gpu_coord.cli import app
from gpu_coord.cli.commands import COMMANDS
from gpu_coord.detection import stages
from gpu_coord.ground.choices import list_spellings
from gpu_coord.results.findings import open_run

# a leads b by an hour on two objects, c stands apart.
SHARES = """account_id,object_id,content_id,timestamp_share
a,x,1,0
b,x,2,3600
a,x,3,36000
b,x,4,39600
a,y,5,0
b,y,6,3600
c,y,7,90000
"""


@pytest.fixture
def shares(tmp_path):
    path = tmp_path / "shares.csv"
    path.write_text(SHARES)
    return path


@pytest.fixture
def store(shares, tmp_path):
    result = invoke("ingest", shares, "--store", tmp_path / "store")
    assert result.exit_code == 0, result.output
    return tmp_path / "store"


def test_ingest__shows_what_became_of_each_input(shares, tmp_path):
    result = invoke("ingest", shares, "--store", tmp_path / "s")
    assert result.exit_code == 0
    assert "shares.csv" in result.stdout
    as_json = invoke("ingest", shares, "--store", tmp_path / "s", "--json")
    totals = json.loads(as_json.stdout)
    assert (totals["rows_read"], totals["stored"], totals["rejected"]) == (7, 7, 0)


def test_detect__prints_its_summary_as_one_json_object(store, tmp_path):
    arguments = ["detect", store, "--out", tmp_path / "run", "--kinds", "object", "--json"]
    result = invoke(*arguments, "--paper")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "n_accounts": 3, "n_entities": 2, "n_bins": 26, "n_edges": 1,
        "n_components": 1, "n_communities": 1,
    }  # fmt: skip
    tested = json.loads(invoke(*arguments).stdout)
    assert (tested["n_edges"], tested["n_pairs_tested"]) == (1, 6)
    assert {"lambda", "n_significant", "expected_false_edges"} < tested.keys()


def test_detect__says_first_what_chance_explains(store, tmp_path):
    arguments = ["detect", store, "--out", tmp_path / "run", "--kinds", "object"]
    result = invoke(*arguments)
    inflation = json.loads((tmp_path / "run" / "run.json").read_text())["summary"]["lambda"]
    assert result.stdout.startswith(f"lambda {inflation:.2f}: accounts coincide ")
    assert "significant at a false discovery rate of 0.05" in " ".join(result.stdout.split())
    assert invoke(*arguments, "--paper").stdout.startswith("lambda not computed (--paper)")


def test_detect__shows_pseudonyms_unless_asked(store, tmp_path):
    arguments = ["detect", store, "--out", tmp_path / "run", "--kinds", "object", "--paper"]
    hidden, shown = invoke(*arguments), invoke(*arguments, "--show-ids")
    pseudonym = pl.read_parquet(tmp_path / "run" / "accounts.parquet")["pseudonym"][0]
    assert pseudonym in hidden.stdout and pseudonym not in shown.stdout
    assert "account_id" in shown.stdout and "account_id" not in hidden.stdout
    assert re.search(r"^ *a +[0-9]", shown.stdout, re.MULTILINE)
    assert not re.search(r"^ *[abc] +[0-9–]", hidden.stdout, re.MULTILINE)
    assert "coordination is not inauthenticity" in " ".join(hidden.stdout.split())


@pytest.mark.parametrize(
    ("kind", "value", "shown_as"),
    [("retweet_user", "bob_secret", "acct-"), ("retweet", "777888999", "a post")],
)
def test_detect__hides_accounts_and_posts_among_the_entities(tmp_path, kind, value, shown_as):
    head, *rows = SHARES.replace("x,", f"{value},").split()
    table = [f"{head},kind", *(f"{row},{kind}" for row in rows)]
    (tmp_path / "shares.csv").write_text("\n".join(table) + "\n")
    invoke("ingest", tmp_path / "shares.csv", "--store", tmp_path / "store")
    arguments = ["detect", tmp_path / "store", "--out", tmp_path / "run"]
    arguments += ["--kinds", kind, "--paper"]
    hidden, shown = invoke(*arguments), invoke(*arguments, "--show-ids")
    assert hidden.exit_code == shown.exit_code == 0, hidden.output
    assert value in shown.stdout and value not in hidden.output
    assert shown_as in hidden.stdout


def test_commands__take_the_common_options(store, tmp_path):
    common = ["--backend", "cpu", "--memory", "1GB", "--threads", "1", "--seed", "0"]
    run, shares = tmp_path / "run", tmp_path / "shares.csv"
    for command in (
        ["ingest", shares, "--store", store],
        ["detect", store, "--out", run, "--kinds", "object"],
        ["verify", run],
        ["verify", store],
        ["simulate", "--out", tmp_path / "sim"],
    ):
        result = invoke(*command, *common, "--json")
        assert result.exit_code == 0, result.output
        json.loads(result.stdout)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_sign__gives_every_command_its_choices_and_the_common_options(command):
    common = ["backend", "memory", "threads", "seed", "json_", "debug"]
    own = list(inspect.signature(command.function).parameters)[1:]
    chosen = [] if command.settings is None else list_spellings(command.settings)
    own += [spelling.name for _, spelling in chosen]
    names = list(command.sign().parameters)
    assert sorted(names) == sorted({*own, *common})
    assert [name for name in names if name in common] == common
    assert names[-2:] == ["json_", "debug"]


def test_detect__fits_a_terminal_of_80_columns(store, tmp_path):
    (tmp_path / "labels.csv").write_text("account_id,label\na,RightWingTroll\nb,op\n")
    result = CliRunner(env={"COLUMNS": "80"}).invoke(
        app, ["detect", str(store), "--out", str(tmp_path / "run"), "--kinds", "object",
              "--labels", str(tmp_path / "labels.csv"), "--split-at", "1970-01-01T05:00",
              "--paper"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    for column in ("pseudonym", "influence", "community", "posts", "per pair", "communities"):
        assert column in result.stdout
    # All but sentences, which the terminal wraps itself.
    assert max(map(len, result.stdout.splitlines()[1:])) <= 80


def test_explain__shows_what_is_behind_an_edge(store, tmp_path):
    run = tmp_path / "run"
    invoke("detect", store, "--out", run, "--kinds", "object")
    source, target = pl.read_parquet(run / "edges.parquet").select("source", "target").row(0)
    shown = invoke("explain", run, source, target)
    assert shown.exit_code == 0, shown.output
    assert "would be expected under the null" in " ".join(shown.stdout.split())
    found = json.loads(invoke("explain", run, source, target, "--json").stdout)
    assert found["a"].startswith("acct-") and found["edges"][0]["observed"] >= 1
    named = json.loads(
        invoke("explain", run, found["a"], found["b"], "--json", "--show-ids").stdout
    )
    assert (named["a"], named["b"]) == (source, target)
    unknown = invoke("explain", run, source, "nobody")
    assert unknown.exit_code == 1 and "'nobody' is none of the 3 accounts" in unknown.stderr


def test_share__shows_its_run(store, tmp_path):
    arguments = ["share", store, "--kind", "object", "--out", tmp_path / "run", "--window", "2h"]
    shown = invoke(*arguments)
    assert shown.exit_code == 0, shown.output
    said = " ".join(shown.stdout.split())
    assert "pairs of shares of the same object within 2 h (strict)" in said
    assert "share the same things at about the same time" in said
    summary = json.loads(invoke(*arguments, "--mode", "qut", "--json").stdout)
    assert summary["n_pairs"] >= 1
    assert invoke("verify", tmp_path / "run").exit_code == 0
    # A run of one command may take the place of one of the other.
    detected = invoke("detect", store, "--kinds", "object", "--out", tmp_path / "run")
    assert detected.exit_code == 0, detected.output
    assert invoke(*arguments, "--mode", "cosine").exit_code == 2
    wrong = invoke("share", store, "--kind", "url", "--out", tmp_path / "other")
    assert wrong.exit_code == 1 and "object" in wrong.stderr


def test_calibrate__says_what_the_copies_show(store, tmp_path):
    arguments = ["calibrate", store, "--out", tmp_path / "cal", "--kinds", "object"]
    arguments += ["--copies", "2", "--memory", "1GB"]
    shown = invoke(*arguments)
    assert shown.exit_code == 0, shown.output
    said = " ".join(shown.stdout.split())
    assert "in 2 copies whose accounts' days were permuted" in said
    assert "Significant edges: 0 in the data, 0 per copy" in said
    assert (tmp_path / "cal" / "qq.png").is_file()
    assert json.loads(invoke(*arguments, "--json").stdout)["n_copies"] == 2
    wrong = invoke(*arguments, "--bin", "7m")
    assert wrong.exit_code == 1 and "do not divide a day" in wrong.stderr


def test_detect__passes_every_option_on(store, tmp_path):
    options = {
        "--kinds": "object,object", "--bin": "2h", "--lags": "1-3", "--min-posts": "2",
        "--top-percent": "80", "--start": "1970-01-01", "--end": "1970-01-03",
        "--measure": "frobenius", "--undefined": "skip", "--denominator": "union",
        "--shrink": "0.5", "--min-support": "2", "--min-weight": "0.25", "--seed": "7",
        "--null": "hour", "--alpha": "0.01", "--groups": "2",
    }  # fmt: skip
    flat = [part for option in options.items() for part in option]
    result = invoke("detect", store, "--out", tmp_path / "run", *flat)
    assert result.exit_code == 0, result.output
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert settings == {
        "kinds": ["object", "object"], "bin": "2h", "lags": [1, 2, 3], "min_posts": 2,
        "top_percent": 80.0, "match": None, "start": "1970-01-01", "end": "1970-01-03",
        "split_at": None, "measure": "frobenius", "undefined": "skip", "denominator": "union",
        "shrink": 0.5, "min_support": 2, "min_weight": 0.25, "resolution": 1.0, "seed": 7,
        "paper": False, "null": "hour", "alpha": 0.01, "groups": 2,
    }  # fmt: skip


def test_detect__takes_labels_from_a_file(store, tmp_path):
    (tmp_path / "labels.csv").write_text("account_id,label\na,op\nb,op\n")
    result = invoke(
        "detect", store, "--out", tmp_path / "run", "--kinds", "object",
        "--labels", tmp_path / "labels.csv", "--paper",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "Edges between classes" in result.stdout
    accounts = pl.read_parquet(tmp_path / "run" / "accounts.parquet")
    assert accounts["label"].to_list() == ["op", "op", None]


def test_evaluate__compares_with_the_truth(store, tmp_path):
    invoke("detect", store, "--out", tmp_path / "run", "--kinds", "object", "--paper")
    truth = tmp_path / "truth_accounts.parquet"
    pl.DataFrame(
        {"account_id": ["a", "b", "c"], "label": ["operation", "operation", "unaffiliated"]}
    ).write_parquet(truth)
    result = invoke("evaluate", tmp_path / "run", "--truth", truth, "--json")
    assert json.loads(result.stdout)["accounts"]["auc"] == 1.0
    wrong = invoke("evaluate", tmp_path / "run", "--truth", truth, "--positive", "core")
    assert wrong.exit_code == 1
    assert "0 of 3 accounts of the truth in this run are labelled 'core'" in wrong.stderr


def test_simulate__and_demo_write_where_they_are_told(tmp_path):
    made = invoke("simulate", "--out", tmp_path / "sim", "--seed", "3", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["n_operation_accounts"] == 40
    demo = invoke("demo", "--out", tmp_path / "demo", "--json")
    assert demo.exit_code == 0, demo.output
    figures = json.loads(demo.stdout)["evaluation"]
    assert figures["accounts"]["n_positive"] == 40
    assert figures["accounts"]["auc"] > 0.7
    assert figures["accounts"]["share_of_core_among_first_by_influence"] >= 0.8
    again = invoke("demo", "--out", tmp_path / "demo", "--json")
    assert again.exit_code == 0 and again.stdout == demo.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["detect", "STORE"], 2, "--out"),
        (["detect", "STORE", "--out", "RUN", "--measure", "cosine"], 2, "cosine"),
        (["detect", "STORE", "--out", "RUN", "--nonsense"], 2, "nonsense"),
        (["detect", "NOWHERE", "--out", "RUN"], 1, "no store at"),
        (["detect", "STORE", "--out", "RUN", "--kinds", "url"], 1, "its kinds are object"),
        (["detect", "STORE", "--out", "RUN", "--kinds", ""], 1, "kinds is empty"),
        (["detect", "STORE", "--out", "RUN", "--bin", "soon"], 1, "'soon' is no duration"),
        (["detect", "STORE", "--out", "RUN", "--lag", "1", "--lags", "1-2"], 1, "exclude each"),
        (["detect", "STORE", "--out", "RUN", "--lags", "4-1"], 1, "rising range"),
        (["detect", "STORE", "--out", "RUN", "--memory", "lots"], 1, "--memory is 'lots'"),
        (["detect", "STORE", "--out", "RUN", "--memory", "1KB"], 1, "1MB or more"),
        (["detect", "STORE", "--out", "RUN", "--alpha", "2"], 1, "alpha is 2"),
        (["detect", "STORE", "--out", "RUN", "--kinds", "object", "--lag", "99"], 1, "lag is 99"),
        (["detect", "STORE", "--out", "RUN", "--match", "op"], 1, "labelled 'op'"),
        (["detect", "STORE", "--out", "RUN", "--backend", "gpu"], 3, "GPU cannot be used"),
        (["evaluate", "NOWHERE", "--truth", "t.csv"], 1, "no run at"),
        (["ingest", "SHARES", "--store", "S", "--label", "control"], 1, "NAME=PATH"),
        (["ingest", "NOWHERE", "--store", "S"], 1, "NOWHERE"),
        (["simulate", "--out", "S", "--preset", "moon"], 1, "moon"),
        (["verify", "NOWHERE"], 1, "there is no result at NOWHERE; the commands of gpu-coord"),
    ],
)
def test_errors__have_a_code_and_one_sentence(
    store, shares, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    names = {"STORE": store, "SHARES": shares}
    if "--match" in arguments:
        arguments = [*arguments, "--kinds", "object"]
    result = invoke(*(names.get(argument, argument) for argument in arguments))
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "RUN").exists() and not (tmp_path / "S").exists()


def test_errors__can_be_debugged(store, tmp_path):
    result = invoke("detect", store, "--out", tmp_path / "run", "--kinds", "url", "--debug")
    assert isinstance(result.exception, ValueError)


def test_interruption__is_said_and_leaves_nothing(store, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "build_network", interrupt)
    result = invoke("detect", store, "--out", tmp_path / "run", "--kinds", "object")
    assert result.exit_code == 130
    assert "what was being written is not there" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shares.csv", "store"]


def test_termination__is_said_and_leaves_nothing(store, tmp_path):
    code = (
        "import sys, time\n"
        "from gpu_coord import cli\nfrom gpu_coord.detection import stages\n"
        "def wait(*_, **__):\n"
        "    print('waiting', flush=True)\n"
        "    time.sleep(60)\n"
        "stages.build_network = wait\n"
        "cli.main()"
    )
    arguments = ["detect", store, "--out", tmp_path / "run", "--kinds", "object", "--paper"]
    program = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert program.stdout.readline() == "waiting\n"
    assert any(path.name.startswith(".run.new-") for path in tmp_path.iterdir())
    for _ in range(2):  # as `timeout` does
        program.terminate()
    _, said = program.communicate(timeout=50)
    assert program.returncode == 143
    assert said == "error: terminated; what was being written is not there.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shares.csv", "store"]


def test_empty_store__is_said_to_hold_no_event(tmp_path):
    (tmp_path / "shares.csv").write_text(SHARES.splitlines()[0] + "\n")
    store = tmp_path / "store"
    assert invoke("ingest", tmp_path / "shares.csv", "--store", store).exit_code == 0
    for command in (
        ["detect", store, "--out", tmp_path / "run"],
        ["share", store, "--out", tmp_path / "run", "--kind", "url"],
        ["coact", store, "--out", tmp_path / "run", "--layers", "co_url"],
        ["timeline", store, "x", "--out", tmp_path / "x.json"],
        ["timeline", store, "x", "--kind", "url", "--out", tmp_path / "x.json"],
    ):
        result = invoke(*command)
        assert result.exit_code == 1
        assert "holds no event" in result.stderr and "kinds" not in result.stderr


def cut_off(file):
    file.write_bytes(file.read_bytes()[:-9])


def change_a_byte(file):
    content = bytearray(file.read_bytes())
    content[4:20] = b"?" * 16  # of the first page
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_off, change_a_byte])
@pytest.mark.parametrize(
    "command",
    [
        ["detect", "STORE", "--out", "RUN", "--kinds", "object"],
        ["share", "STORE", "--out", "RUN", "--kind", "object"],
        ["coact", "STORE", "--out", "RUN", "--layers", "co_object"],
        ["timeline", "STORE", "x", "--out", "x.json"],
        ["cascades", "STORE", "--out", "RUN", "--kind", "object"],
    ],
    ids=lambda command: command[0],
)
def test_damaged_store__is_named(store, tmp_path, monkeypatch, command, damage):
    monkeypatch.chdir(tmp_path)
    damage(store / "events.parquet")
    result = invoke(*("store" if word == "STORE" else word for word in command))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: store/events.parquet is no"), result.stderr
    assert "; ingest again, and check it with `gpu-coord verify store`.\n" in result.stderr
    assert "report" not in result.stderr
    assert not (tmp_path / "RUN").exists()


@pytest.mark.parametrize("damage", [cut_off, change_a_byte, lambda file: file.unlink()])
def test_damaged_run__is_named(store, tmp_path, monkeypatch, damage):
    monkeypatch.chdir(tmp_path)
    invoke("detect", store, "--out", "run", "--kinds", "object", "--paper")
    damage(tmp_path / "run" / "edges.parquet")
    result = invoke("explain", "run", "a", "b")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: run/edges.parquet is "), result.stderr
    assert "; repeat the run, and check it with `gpu-coord verify run`.\n" in result.stderr


def test_damaged_store__is_named_where_a_run_led_to_it(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    invoke("detect", store, "--out", "run", "--kinds", "object", "--paper")
    cut_off(store / "events.parquet")
    result = invoke("roles", "run")
    assert result.exit_code == 1
    assert "store/events.parquet is no readable Parquet file" in result.stderr
    assert "ingest again, and check it with `gpu-coord verify" in result.stderr


@pytest.mark.parametrize("marker", ["as written", "without tables"])
def test_errors_of_readers__are_no_damage_where_none_is_found(store, tmp_path, monkeypatch, marker):
    def fail(*_, **__):
        raise pl.exceptions.ComputeError("planted")

    monkeypatch.setattr(stages, "build_network", fail)
    if marker == "without tables":
        manifest = json.loads((store / "manifest.json").read_text())
        del manifest["tables"]
        (store / "manifest.json").write_text(json.dumps(manifest))
    result = invoke("detect", store, "--out", tmp_path / "run", "--kinds", "object")
    assert result.exit_code == 1
    assert "unexpected ComputeError: planted" in result.stderr


@pytest.mark.parametrize(
    "error", [MemoryError("too little"), OSError(28, "No space left on device")]
)
def test_machine_that_cannot__ends_with_3(store, tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(stages, "build_network", fail)
    result = invoke("detect", store, "--out", tmp_path / "run", "--kinds", "object")
    assert result.exit_code == 3


def test_missing_kind__is_a_warning(store, tmp_path):
    result = invoke("detect", store, "--out", tmp_path / "run", "--kinds", "object,url", "--json")
    assert result.exit_code == 0
    assert "warning: the store has no 'url'" in result.stderr
    json.loads(result.stdout)


def test_terminal__never_obeys_an_archive(tmp_path):
    hostile = "\x1b[31mred\x1b[0m[bold]=1+1\u202e<script>"
    rows = [(account, hour) for hour in (0, 9) for account in "ab"]
    pl.DataFrame(
        {
            "account_id": [account + hostile for account, _ in rows],
            "object_id": [hostile] * 4,
            "content_id": ["1", "2", "3", "4"],
            "timestamp_share": [3600 * (hour + (account == "b")) for account, hour in rows],
        }
    ).write_parquet(tmp_path / "hostile.parquet")
    invoke("ingest", tmp_path / "hostile.parquet", "--store", tmp_path / "store")
    result = invoke(
        "detect", tmp_path / "store", "--out", tmp_path / "run", "--kinds", "object", "--show-ids",
        "--paper",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "<script>" in result.output and "[bold]" in result.output
    assert not set(result.output) & set("\x1b\u202e")
    wrong = invoke("detect", tmp_path / f"no{hostile}", "--out", tmp_path / "run")
    assert wrong.exit_code == 1
    assert not set(wrong.output) & set("\x1b\u202e")


@pytest.mark.parametrize("command", [["detect", "STORE", "--out", "RUN"], ["verify", "STORE"]])
@pytest.mark.parametrize(("threads", "rule"), [(0, "equal to 1 "), (257, "256"), (999, "256")])
def test_threads__are_one_to_256(command, threads, rule):
    result = invoke(*command, "--threads", threads)
    assert result.exit_code == 2
    assert "'--threads'" in result.stderr and rule in result.stderr


def test_threads__reach_the_libraries(store, tmp_path):
    code = (
        "import sys; from gpu_coord.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "import numba, polars; print(numba.get_num_threads(), polars.thread_pool_size())"
    )
    arguments = [
        "detect",
        store,
        "--out",
        tmp_path / "run",
        "--kinds",
        "object",
        "--threads",
        "1",
        "--json",
    ]
    environment = {
        name: value for name, value in os.environ.items() if name != "POLARS_MAX_THREADS"
    }
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert result.stdout.splitlines()[-1] == "1 1"


def test_share__takes_the_finest_null(tmp_path):
    table = tmp_path / "seconds.csv"
    table.write_text(SHARES.replace("3600\n", "61\n"))  # not all at whole hours
    store = tmp_path / "store"
    assert invoke("ingest", table, "--store", store).exit_code == 0
    request = ("share", store, "--out", tmp_path / "run", "--kind", "object")
    assert invoke(*request, "--null", "one_hour", "--window", "179s").exit_code == 0
    assert open_run(tmp_path / "run").content["settings"]["null"] == "one_hour"
    refused = invoke(*request, "--null", "one_hour", "--window", "10m")
    assert refused.exit_code == 1
    assert "a window of at most 179 s" in refused.stderr
