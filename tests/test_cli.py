import inspect
import json
import os
import re
import subprocess
import sys

import polars as pl
import pytest
from runs import invoke, refuse, succeed
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
    succeed("ingest", shares, "--store", tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def detect(store, tmp_path):
    """Return a request that can be met; more options may follow."""
    return ["detect", store, "--out", tmp_path / "run", "--kinds", "object", "--overwrite"]


def test_ingest__shows_what_became_of_each_input(shares, tmp_path):
    request = ("ingest", shares, "--store", tmp_path / "s")
    assert "shares.csv" in succeed(*request).stdout
    totals = json.loads(succeed(*request, "--json").stdout)
    assert (totals["rows_read"], totals["stored"], totals["rejected"]) == (7, 7, 0)


def test_detect__prints_its_summary_as_one_json_object(detect):
    paper = json.loads(succeed(*detect, "--json", "--paper").stdout)
    assert paper == {
        "n_accounts": 3, "n_entities": 2, "n_bins": 26, "n_edges": 1,
        "n_components": 1, "n_communities": 1, "why": None, "warnings": [],
    }  # fmt: skip
    tested = json.loads(succeed(*detect, "--json").stdout)
    assert tested["n_edges"] == 1 and tested["n_pairs_tested"] <= 6
    assert {"lambda", "n_significant", "expected_false_edges", "network_tier"} < tested.keys()
    assert "cannot be told apart" in tested["warnings"][0]


def test_detect__says_first_what_was_found_and_how_sure_it_is(detect, tmp_path):
    said = " ".join(succeed(*detect).stdout.split())
    assert said.startswith("No pair of accounts is beyond chance. Beyond habit: 0 edges")
    assert "Beyond the news: 0 edges" in said
    assert "The least q of habit is " in said and "news and coordination cannot be told" in said
    assert "The strongest pairs: none is beyond chance (chance: habit)" in said
    assert "Next: gpu-coord explain" in said
    untested = " ".join(invoke(*detect, "--paper").stdout.split())
    assert untested.startswith("2 accounts act together, or one a lag after the other, in 1 edge")
    assert "lambda not computed (--paper)" in untested


def test_detect__shows_pseudonyms_unless_asked(detect, tmp_path):
    hidden, shown = invoke(*detect, "--paper"), invoke(*detect, "--paper", "--show-ids")
    pseudonym = pl.read_parquet(tmp_path / "run" / "accounts.parquet")["pseudonym"][0]
    assert pseudonym in hidden.stdout and pseudonym not in shown.stdout
    assert "account_id" in shown.stdout and "account_id" not in hidden.stdout
    assert re.search(r"^ *a +b +", shown.stdout, re.MULTILINE)
    assert not re.search(r"^ *[abc] +[0-9–]", hidden.stdout, re.MULTILINE)
    assert "coordination is not inauthenticity" in " ".join(hidden.stdout.split())


@pytest.mark.parametrize(
    ("kind", "value", "shown_as"),
    [("retweet_user", "bob_secret", "acct-"), ("retweet", "777888999", "post-")],
)
def test_detect__hides_accounts_and_posts_among_the_entities(tmp_path, kind, value, shown_as):
    head, *rows = SHARES.replace("x,", f"{value},").split()
    table = [f"{head},kind", *(f"{row},{kind}" for row in rows)]
    (tmp_path / "shares.csv").write_text("\n".join(table) + "\n")
    invoke("ingest", tmp_path / "shares.csv", "--store", tmp_path / "store")
    arguments = ["detect", tmp_path / "store", "--out", tmp_path / "run", "--kinds", kind]
    hidden, shown = (succeed(*arguments, "--paper", *more) for more in ([], ["--show-ids"]))
    assert value in shown.stdout and value not in hidden.output
    assert shown_as in hidden.stdout


def test_commands__take_the_common_options(store, detect, tmp_path):
    common = ["--backend", "cpu", "--memory", "1GB", "--threads", "1", "--seed", "0"]
    for command in (
        ["ingest", tmp_path / "shares.csv", "--store", store],
        detect,
        ["verify", tmp_path / "run"],
        ["verify", store],
        ["simulate", "--out", tmp_path / "sim"],
    ):
        json.loads(succeed(*command, *common, "--json").stdout)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_sign__gives_every_command_its_choices_and_the_common_options(command):
    common = ["backend", "memory", "threads", "seed", "json_", "debug"]
    common = ["overwrite", *common] if command.writes else common
    if command.name in ("detect", "share", "coact", "calibrate", "sweep"):  # have blocks
        common[common.index("threads") : common.index("threads")] = ["dask", "exchange"]
    own = list(inspect.signature(command.function).parameters)[1:]
    chosen = [] if command.settings is None else list_spellings(command.settings)
    own += [spelling.name for _, spelling in chosen]
    names = list(command.sign().parameters)
    assert sorted(names) == sorted({*own, *common})
    assert [name for name in names if name in common] == common
    assert names[-2:] == ["json_", "debug"]


def test_detect__fits_a_terminal_of_80_columns(detect, tmp_path):
    (tmp_path / "labels.csv").write_text("account_id,label\na,RightWingTroll\nb,op\n")
    words = [*detect, "--labels", tmp_path / "labels.csv", "--split-at", "1970-01-01T05:00"]
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*map(str, words), "--paper"])
    assert result.exit_code == 0, result.output
    for column in ("pseudonym", "influence", "community", "posts", "per pair", "communities"):
        assert column in result.stdout
    # All but commands to paste and paths, which are never broken.
    lines = [line for line in result.stdout.splitlines() if str(tmp_path) not in line]
    assert max(map(len, lines)) <= 80


def test_explain__shows_what_is_behind_an_edge(detect, tmp_path):
    run = tmp_path / "run"
    invoke(*detect)
    source, target = pl.read_parquet(run / "edges.parquet").select("source", "target").row(0)
    shown = succeed("explain", run, source, target)
    assert "the habits of the two would make" in " ".join(shown.stdout.split())
    found = json.loads(invoke("explain", run, source, target, "--json").stdout)
    assert found["a"].startswith("acct-") and found["edges"][0]["observed"] >= 1
    request = ("explain", run, found["a"], found["b"], "--json", "--show-ids")
    named = json.loads(invoke(*request).stdout)
    assert (named["a"], named["b"]) == (source, target)
    assert "'nobody' is none of the 3 accounts" in refuse(1, "explain", run, source, "nobody")


def test_share__shows_its_run(store, detect, tmp_path):
    arguments = ["share", store, "--kind", "object", "--out", tmp_path / "run", "--window", "2h"]
    said = " ".join(succeed(*arguments).stdout.split())
    assert "pairs of shares of the same object within 2 h (strict)" in said
    assert "share the same things at about the same time" in said
    summary = json.loads(invoke(*arguments, "--overwrite", "--mode", "qut", "--json").stdout)
    assert summary["n_pairs"] >= 1
    succeed("verify", tmp_path / "run")
    succeed(*detect)  # A run of one command may take the place of one of the other.
    refuse(2, *arguments, "--mode", "cosine")
    assert "object" in refuse(1, "share", store, "--kind", "url", "--out", tmp_path / "other")


def test_calibrate__says_what_the_copies_show(store, tmp_path):
    arguments = ["calibrate", store, "--out", tmp_path / "cal", "--kinds", "object"]
    arguments += ["--copies", "2", "--memory", "1GB"]
    said = " ".join(succeed(*arguments).stdout.split())
    assert "in 2 copies whose accounts' days were permuted" in said
    assert "Edges beyond habit: 0 in the data, 0 per copy" in said
    assert (tmp_path / "cal" / "qq.png").is_file()
    assert json.loads(invoke(*arguments, "--json").stdout)["n_copies"] == 2
    assert "do not divide a day" in refuse(1, *arguments, "--bin", "7m", "--overwrite")


def test_detect__passes_every_option_on(store, tmp_path):
    options = {
        "--kinds": "object,object", "--bin": "2h", "--lags": "1-3", "--min-posts": "2",
        "--top-percent": "80", "--start": "1970-01-01", "--end": "1970-01-03",
        "--measure": "frobenius", "--undefined": "skip", "--denominator": "union",
        "--shrink": "0.5", "--min-support": "2", "--min-weight": "0.25", "--seed": "7",
        "--null": "hour", "--alpha": "0.01", "--groups": "2",
    }  # fmt: skip
    flat = [part for option in options.items() for part in option]
    succeed("detect", store, "--out", tmp_path / "run", *flat)
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert settings == {
        "kinds": ["object", "object"], "bin": "2h", "lags": [1, 2, 3], "min_posts": 2,
        "top_percent": 80.0, "match": None, "start": "1970-01-01", "end": "1970-01-03",
        "split_at": None, "measure": "frobenius", "undefined": "skip", "denominator": "union",
        "shrink": 0.5, "min_support": 2, "min_weight": 0.25, "resolution": 1.0, "seed": 7,
        "backbone": None,
        "paper": False, "null": "hour", "alpha": 0.01, "groups": 2, "tier": "auto",
        "reference": None,
    }  # fmt: skip


def test_detect__takes_labels_from_a_file(detect, tmp_path):
    (tmp_path / "labels.csv").write_text("account_id,label\na,op\nb,op\n")
    result = succeed(*detect, "--labels", tmp_path / "labels.csv", "--paper")
    assert "Edges between classes" in result.stdout
    accounts = pl.read_parquet(tmp_path / "run" / "accounts.parquet")
    assert accounts["label"].to_list() == ["op", "op", None]


def test_evaluate__compares_with_the_truth(detect, tmp_path):
    invoke(*detect, "--paper")
    labels = ["operation", "operation", "unaffiliated"]
    truth = pl.DataFrame({"account_id": ["a", "b", "c"], "label": labels})
    truth.write_parquet(tmp_path / "truth_accounts.parquet")
    request = ["evaluate", tmp_path / "run", "--truth", tmp_path / "truth_accounts.parquet"]
    assert json.loads(invoke(*request, "--json").stdout)["accounts"]["auc"] == 1.0
    said = "0 of 3 accounts of the truth in this run are labelled 'core'"
    assert said in refuse(1, *request, "--positive", "core")


def test_simulate__and_demo_write_where_they_are_told(tmp_path):
    made = succeed("simulate", "--out", tmp_path / "sim", "--seed", "3", "--json")
    assert json.loads(made.stdout)["n_operation_accounts"] == 40
    demo = succeed("demo", "--out", tmp_path / "demo", "--json")
    figures = json.loads(demo.stdout)["evaluation"]
    assert figures["accounts"]["n_positive"] == 40
    assert figures["accounts"]["auc"] > 0.7
    assert figures["accounts"]["share_of_core_among_first_by_influence"] >= 0.8


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
        (["detect", "STORE", "--out", "RUN", "--lags", "0-999999999"], 1, "1,000,000,000 lags"),
        (["detect", "STORE", "--out", "RUN", "--lags", "0-" + "9" * 5000], 1, "rising range"),
        (["ingest", "SHARES", "--store", "S", "--pseudonym-key", "/dev/zero"], 1, "is a device"),
        (["ingest", "SHARES", "--store", "S", "--labels", "/dev/zero"], 1, "is a device"),
        (["ingest", "SHARES", "--store", "S", "--exclude-file", "/dev/zero"], 1, "is a device"),
        (["ingest", "/dev/null", "--store", "S"], 1, "/dev/null is a device or a pipe"),
        (["ingest", "not [Errno 28] there", "--store", "S"], 1, "There is no file or folder not ["),
        (["sweep", "STORE", "/dev/zero", "--out", "RUN"], 1, "is a device"),
        (["cycle", "STORE", "--seeds", "/dev/zero", "--out", "RUN"], 1, "is a device"),
        (["detect", "STORE", "--out", "RUN", "--memory", "lots"], 1, "--memory is 'lots'"),
        (["detect", "STORE", "--out", "RUN", "--memory", "1KB"], 1, "1MB or more"),
        (["detect", "STORE", "--out", "RUN", "--memory", "64MB"], 3, "give 0.5GB or more"),
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


def test_errors__can_be_debugged(detect):
    result = invoke(*detect, "--kinds", "url", "--debug")
    assert isinstance(result.exception, ValueError)


def test_interruption__is_said_and_leaves_nothing(detect, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "build_network", interrupt)
    assert "what was being written is not there" in refuse(130, *detect)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shares.csv", "store"]


def test_termination__is_said_and_leaves_nothing(detect, tmp_path):
    code = (
        "import sys, time\n"
        "from gpu_coord import cli\nfrom gpu_coord.detection import stages\n"
        "def wait(*_, **__):\n"
        "    print('waiting', flush=True)\n"
        "    time.sleep(60)\n"
        "stages.build_network = wait\n"
        "cli.main()"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, detect), "--paper"],
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
    succeed("ingest", tmp_path / "shares.csv", "--store", store)
    for command in (
        ["detect", store, "--out", tmp_path / "run"],
        ["share", store, "--out", tmp_path / "run", "--kind", "url"],
        ["coact", store, "--out", tmp_path / "run", "--layers", "co_url"],
        ["timeline", store, "x", "--out", tmp_path / "x.json"],
        ["timeline", store, "x", "--kind", "url", "--out", tmp_path / "x.json"],
    ):
        said = refuse(1, *command)
        assert "holds no event" in said and "kinds" not in said


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
        "detect store --out RUN --kinds object",
        "share store --out RUN --kind object",
        "coact store --out RUN --layers co_object",
        "timeline store x --out x.json",
        "cascades store --out RUN --kind object",
    ],
    ids=lambda command: command.split()[0],
)
def test_damaged_store__is_named(store, tmp_path, monkeypatch, command, damage):
    monkeypatch.chdir(tmp_path)
    damage(store / "events.parquet")
    said = refuse(1, *command.split())
    assert said.startswith("error: store/events.parquet is no"), said
    assert "; ingest again, and check it with `gpu-coord verify store`.\n" in said
    assert "report" not in said
    assert not (tmp_path / "RUN").exists()


@pytest.mark.parametrize("damage", [cut_off, change_a_byte, lambda file: file.unlink()])
def test_damaged_run__is_named(detect, tmp_path, monkeypatch, damage):
    monkeypatch.chdir(tmp_path)
    invoke(*detect, "--paper")
    damage(tmp_path / "run" / "edges.parquet")
    said = refuse(1, "explain", "run", "a", "b")
    assert said.startswith("error: run/edges.parquet is "), said
    assert "; repeat the run, and check it with `gpu-coord verify run`.\n" in said


def test_damaged_store__is_named_where_a_run_led_to_it(store, detect, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    invoke(*detect, "--paper")
    cut_off(store / "events.parquet")
    said = refuse(1, "roles", "run")
    assert "store/events.parquet is no readable Parquet file" in said
    assert "ingest again, and check it with `gpu-coord verify" in said


@pytest.mark.parametrize("marker", ["as written", "without tables"])
def test_errors_of_readers__are_no_damage_where_none_is_found(store, detect, monkeypatch, marker):
    def fail(*_, **__):
        raise pl.exceptions.ComputeError("planted")

    monkeypatch.setattr(stages, "build_network", fail)
    if marker == "without tables":
        manifest = json.loads((store / "manifest.json").read_text())
        del manifest["tables"]
        (store / "manifest.json").write_text(json.dumps(manifest))
    assert "unexpected ComputeError: planted" in refuse(1, *detect)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError("groups need 3 GB"), "groups need 3 GB"),
        (MemoryError(), "smaller --memory"),
        (OSError(28, "No space left on device"), "the disk is full"),
        (OSError(30, "Read-only file system"), "can be read only"),
        (OSError("[Errno 27] Error writing bytes to file. Detail: [errno 27]"), "ulimit -f"),
        (pl.exceptions.ComputeError("IO error: No space left (os error 28)"), "the disk is full"),
        (RuntimeError("can't start new thread"), "fewer --threads"),
    ],
)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_machine_that_cannot__ends_with_3(detect, monkeypatch, error, said, is_wrapped):
    def fail(*_, **__):
        if is_wrapped:
            raise ValueError("it could not be written") from error
        raise error

    monkeypatch.setattr(stages, "build_network", fail)
    assert said in refuse(3, *detect)


def test_native_panic__is_one_sentence(detect, monkeypatch):
    def panic(*_, **__):
        raise pl.exceptions.PanicException("index out of bounds")

    monkeypatch.setattr(stages, "build_network", panic)
    assert "unexpected PanicException: index out of bounds" in refuse(1, *detect)


@pytest.mark.needs("bash")
@pytest.mark.parametrize(
    "command",
    [
        "share STORE --kind object --out made",
        "model STORE --kinds object --out made",
        "ingest SHARES --store made",
    ],
)
def test_files_that_may_not_grow__are_said(store, shares, tmp_path, command):
    words = command.replace("STORE", str(store)).replace("SHARES", str(shares))
    limited = f"ulimit -f 1; exec {sys.executable} -m gpu_coord {words}"
    done = subprocess.run(["bash", "-c", limited], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert "a file grew beyond the limit" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "made").exists()


def test_missing_kind__is_a_warning(detect):
    result = succeed(*detect, "--kinds", "object,url", "--json")
    assert "warning: the store has no 'url'" in result.stderr
    json.loads(result.stdout)


def test_terminal__never_obeys_an_archive(tmp_path):
    hostile = "\x1b[31mred\x1b[0m[bold]=1+1\u202e<script>"
    rows = [
        (account + hostile, hostile, f"{account}{hour}", 3600 * (hour + (account == "b")))
        for hour in (0, 9)
        for account in "ab"
    ]
    names = SHARES.splitlines()[0].split(",")
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(tmp_path / "hostile.parquet")
    invoke("ingest", tmp_path / "hostile.parquet", "--store", tmp_path / "store")
    request = ["detect", tmp_path / "store", "--out", tmp_path / "run", "--kinds", "object"]
    result = succeed(*request, "--show-ids", "--paper")
    assert "<script>" in result.output and "[bold]" in result.output
    assert not set(result.output) & set("\x1b\u202e")
    wrong = invoke("detect", tmp_path / f"no{hostile}", "--out", tmp_path / "run")
    assert wrong.exit_code == 1
    assert not set(wrong.output) & set("\x1b\u202e")


@pytest.mark.parametrize("command", [["detect", "STORE", "--out", "RUN"], ["verify", "STORE"]])
@pytest.mark.parametrize(("threads", "rule"), [(0, "equal to 1"), (257, "256"), (999, "256")])
def test_threads__are_one_to_256(command, threads, rule):
    said = refuse(2, *command, "--threads", threads)
    assert "'--threads'" in said and rule in said


def test_threads__reach_the_libraries(detect):
    code = (
        "import sys; from gpu_coord.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "import numba, polars; print(numba.get_num_threads(), polars.thread_pool_size())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, detect), "--threads", "1", "--json"],
        capture_output=True, text=True, check=True,
        env={name: value for name, value in os.environ.items() if name != "POLARS_MAX_THREADS"},
    )  # fmt: skip
    assert result.stdout.splitlines()[-1] == "1 1"


def test_share__takes_the_finest_null(tmp_path):
    table = tmp_path / "seconds.csv"
    table.write_text(SHARES.replace("3600\n", "61\n"))  # not all at whole hours
    store = tmp_path / "store"
    succeed("ingest", table, "--store", store)
    request = ("share", store, "--out", tmp_path / "run", "--kind", "object")
    succeed(*request, "--null", "one_hour", "--window", "179s")
    assert open_run(tmp_path / "run").content["settings"]["null"] == "one_hour"
    assert "a window of at most 179 s" in refuse(
        1, *request, "--null", "one_hour", "--window", "10m"
    )


def test_ingest__refuses_terms_that_are_not_utf8(tmp_path):
    (tmp_path / "terms").write_bytes(b"caf\xe9\n")
    said = refuse(
        1, "ingest", tmp_path, "--store", tmp_path / "s", "--exclude-file", tmp_path / "terms"
    )
    assert "terms is not UTF-8; convert it first." in said
