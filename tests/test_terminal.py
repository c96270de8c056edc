"""What people see: tables within a width, ids whole, nothing drawn into a pipe, cost last."""

import io
import re
import subprocess
import sys

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from runs import act_hourly, read_words, succeed
from typer.testing import CliRunner

import gpu_coord as gc
from gpu_coord.cli import app
from gpu_coord.ground.tables import Column, lay_out, wrap
from gpu_coord.ground.terminal import print_table
from gpu_coord.results.sentences import describe_counts

WIDTH = 60
DRAWN = re.compile("[\x1b\u2500-\u259f]")  # codes of colours, lines and bars
NAMES = (
    "anna_with_a_name_of_her_own_0001",
    "bob",
    "an-account-whose-id-alone-is-longer-than-sixty-" + "9" * 30,
)


def print_rows(columns, rows, *, width=WIDTH, is_terminal=False, **more):
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=is_terminal)
    print_table(console, "A title", columns, rows, **more)
    return file.getvalue()


# --- tables --------------------------------------------------------------------------------------

WORDS = st.text("abcäß中é-", min_size=1, max_size=12)
CELLS = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)


@given(
    rows=st.lists(
        st.tuples(WORDS, WORDS, CELLS, st.integers(0, 10**9), CELLS), min_size=1, max_size=4
    ),
    width=st.integers(20, 90),
)
def test_lay_out__fits_and_keeps_every_word_whole(rows, width):
    heads = ("A", "B", "what it says", "number", "more")
    cells = [tuple(map(str, column)) for column in zip(*rows, strict=True)]
    columns = [
        Column(head, cells[place], is_number=place == 3, is_name=place < 2)
        for place, head in enumerate(heads)
    ]
    head, lines = lay_out(columns, width)
    assert max(map(cell_len, (*head, *lines))) <= width
    said = " ".join(lines).replace(";", " ").split()
    for words in (" ".join(column).split() for column in cells):
        assert all(word.replace(";", "") in said for word in words)


@pytest.mark.parametrize("width", [20, 40, WIDTH, 80, 200])
def test_print_table__never_cuts_a_name(width):
    rows = [
        (a, b, 1234, "some words that say more than a line can hold", 0.5)
        for a in NAMES
        for b in NAMES
    ]
    shown = print_rows(["A", "B", "count", "what", "share"], rows, width=width, n_names=2)
    words = shown.split()
    assert all(words.count(name) >= 6 for name in NAMES)
    assert all(len(line) <= width or line.split()[0] in NAMES for line in shown.splitlines())


def test_print_table__stacks_two_names_where_they_do_not_fit_side_by_side():
    row = ("acct-0123456789ab", "acct-ba9876543210", *range(6))
    heads = ["A", "B", "lag", "objects", "gap, s", "hours", "chance", "tier"]
    side_by_side = print_rows(heads, [row], width=80, n_names=2).splitlines()
    assert side_by_side[2].split()[:2] == [*row[:2]]
    stacked = print_rows(heads, [row], width=60, n_names=2).splitlines()
    assert stacked[-3].split()[0] == row[0] and stacked[-2] == row[1]


def test_wrap__takes_apart_only_what_is_longer_than_a_line():
    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("abcdefgh ij", 4) == ["abcd", "efgh", "ij"]
    assert wrap("", 5) == [""]


def test_print_table__draws_a_line_on_a_terminal_alone():
    assert "─" in print_rows(["a", "b"], [(1, 2)], is_terminal=True)
    assert not DRAWN.search(print_rows(["a", "b"], [(1, 2)]))


# --- commands ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory, make_store):
    folder = tmp_path_factory.mktemp("runs")
    hours = {
        "l" * 34: range(0, 200, 9),
        "amplifier_of_the_first": range(1, 200, 9),
        "c": range(5, 90, 7),
    }
    store = make_store(
        act_hourly(hours, kind="url", entity="news.example.org/" + "2021/" * 4 + "story")
    )
    gc.detect(store, folder / "detect", kinds="url", groups=0)
    gc.share(store, folder / "share", kinds="url", window="2h")
    return folder, store


@pytest.mark.parametrize("show_ids", [False, True])
@pytest.mark.parametrize("part", [None, "edges", "accounts", "objects"])
@pytest.mark.parametrize("command", ["detect", "share"])
def test_show__fits_60_columns_and_cuts_no_id(runs, command, part, show_ids):
    run = runs[0] / command
    words = ["show", str(run), *([part] if part else []), *(["--show-ids"] if show_ids else [])]
    result = CliRunner(env={"COLUMNS": str(WIDTH)}).invoke(app, words)
    assert result.exit_code == 0, result.output
    ids = pl.read_parquet(run / "accounts.parquet")["account_id" if show_ids else "pseudonym"]
    said = result.stdout.split()
    for line in result.stdout.splitlines():
        is_command = "gpu-coord" in line or str(runs[0]) in line  # to be pasted
        assert len(line) <= WIDTH or is_command or len(line.split()) == 1
    if part == "edges":
        shown = [each for each in ids if each in said]
        assert len(shown) >= 2
    if not show_ids:
        assert all(re.fullmatch("acct-[0-9a-f]{12}[,.]?", word) for word in said if "acct-" in word)


@pytest.mark.parametrize("command", ["detect", "share"])
def test_summary__says_what_was_found_then_how_sure_then_the_cost(runs, command):
    said = read_words(succeed("show", runs[0] / command))
    order = ["Beyond habit:", "coordination is not inauthenticity", "GB at most", "Next: gpu-coord"]
    places = [said.index(words) for words in order]
    assert places == sorted(places)


def test_describe_counts__one_is_not_many():
    summary = {"n_accounts": 1_234, "n_groups": 1, "n_network_edges": 1, "alpha": 0.1, "n_bins": 0}
    assert describe_counts(summary) == "1,234 accounts, 1 group, 1 network edge, 0 bins"


@pytest.mark.parametrize(
    "arguments",
    [
        "show RUN",
        "show RUN edges",
        "detect STORE --out OUT --groups 0",
        "-h",
        "detect -h",
        "detect",
    ],
)
def test_commands__draw_nothing_into_a_pipe(runs, tmp_path, arguments):
    names = {"RUN": runs[0] / "detect", "STORE": runs[1].path, "OUT": tmp_path / "out"}
    words = [str(names.get(word, word)) for word in arguments.split()]
    command = [sys.executable, "-m", "gpu_coord", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == (2 if arguments == "detect" else 0), done.stderr
    assert (done.stdout or done.stderr) and not DRAWN.search(done.stdout + done.stderr)


# --- what was replaced ---------------------------------------------------------------------------


def test_replacement__is_said_and_another_result_refused(runs, tmp_path):
    request = ("detect", runs[1].path, "--out", tmp_path / "run", "--kinds", "url", "--paper")
    assert succeed(*request).stderr == ""
    again = succeed(*request)
    assert f"{tmp_path / 'run'} is the same run, made before; --overwrite" in again.stderr
    assert "specification" in again.stdout
    (tmp_path / "run" / "edges.parquet").write_bytes(b"")
    assert f"{tmp_path / 'run'} held the same run, of the same settings" in succeed(*request).stderr
    result = CliRunner().invoke(app, [*map(str, request), "--bin", "2h"])
    assert result.exit_code == 1
    assert "run holds another run, with bin 1h and not 2h; give --overwrite" in result.stderr
    said = succeed(*request, "--bin", "2h", "--overwrite").stderr
    assert "note: the run that was at" in said and "as --overwrite asks" in said
