"""What the program says of itself: its help, its version, completion."""

import os
import shlex
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from gpu_coord import __version__
from gpu_coord.cli import app
from gpu_coord.cli.commands import COMMANDS
from gpu_coord.cli.examples import EXAMPLES
from gpu_coord.cli.help import PANELS
from gpu_coord.simulation.simulation import simulate
from gpu_coord.store.store import open_store

MAX_LINES, WIDTH = 60, 80
# What asks for more than a tiny archive has, or takes long: only read.
NOT_RUN = {"detect2", "explain", "demo", "selftest", "calibrate", "compare", "model", "coact"}
each_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


def show(*words):
    result = CliRunner(env={"COLUMNS": str(WIDTH)}).invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.stdout


@each_command
def test_help__has_groups_in_one_order_and_fits_a_screen(command):
    shown = show(command.name, "-h")
    lines = shown.splitlines()
    assert len(lines) <= MAX_LINES and max(map(len, lines)) <= WIDTH
    heads = [line.rstrip(":") for line in lines if line.endswith(":") and line[0] != " "]
    assert heads == [panel for panel in (*PANELS, "Examples") if panel in heads]
    assert heads[-2:] == ["Machine", "Examples"]
    assert shown.isascii() or not set(shown) & set("─│╭╮╰╯━")
    options = typer.main.get_command(app).commands[command.name].params
    listed = {line.split()[0].rstrip(",") for line in lines if line.startswith("  -")}
    assert {p.opts[0] for p in options if p.opts[0][0] == "-" and not p.hidden} <= listed
    assert show(command.name, "--help") == shown


@each_command
def test_help__ends_with_two_examples_that_can_be_read(command):
    lines = show(command.name, "-h").splitlines()
    assert [line.strip() for line in lines[-2:]] == list(EXAMPLES[command.name])
    for line in EXAMPLES[command.name]:
        program, name, *words = shlex.split(line)
        assert (program, name) == ("gpu-coord", command.name)
        typer.main.get_command(app).commands[name].make_context(name, words)


def test_examples__run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = simulate(tmp_path / "archive", preset="small", n_posts=5_000)
    (tmp_path / "grid.toml").write_text("min_support = [1, 2, 3]\n")
    made.read("truth_accounts").write_csv(tmp_path / "truth.csv")
    for name, lines in EXAMPLES.items():
        for line in [] if name in NOT_RUN or name == "simulate" else lines:
            if "--seeds" in line or "#news" in line:
                value = find_hashtag(tmp_path / "store")
                (tmp_path / "seeds.txt").write_text(f"{value}\n")
                line = line.replace("#news", value)
            if "others/" in line or "--model" in line:  # which is not made here
                continue
            result = CliRunner().invoke(app, shlex.split(line)[1:])
            assert result.exit_code == 0, f"{line}\n{result.output}"


def find_hashtag(store):
    return open_store(store).read("entities").filter(kind="hashtag")["value"][0]


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_the_program__lists_every_command_in_whole_sentences(flag):
    shown = show(flag)
    lines = shown.splitlines()
    assert len(lines) <= MAX_LINES and max(map(len, lines)) <= WIDTH and "..." not in lines[4:]
    said = " ".join(shown.split())
    for command in COMMANDS:
        assert f"{command.name} {command.function.__doc__}" in said
    assert "--install-completion" in shown and "--version" in shown


def test_version__is_shown():
    assert show("--version") == f"gpu-coord {__version__}\n"


@pytest.mark.parametrize(
    ("shell", "variables"),
    [
        ("bash", {"COMP_WORDS": "gpu-coord det", "COMP_CWORD": "1"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "gpu-coord det"}),
        (
            "fish",
            {"_TYPER_COMPLETE_ARGS": "gpu-coord det", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        ),
    ],
)
def test_completion__is_written_for_a_shell_and_completes(shell, variables):
    def run(**more):
        environment = os.environ | more
        command = [sys.executable, "-c", "from gpu_coord.cli import main; main()"]
        return subprocess.run(command, env=environment, capture_output=True, text=True).stdout

    assert f"_GPU_COORD_COMPLETE=complete_{shell}" in run(_GPU_COORD_COMPLETE=f"source_{shell}")
    assert "detect" in run(_GPU_COORD_COMPLETE=f"complete_{shell}", **variables)


def test_help__loads_nothing_that_draws():
    code = (
        "import sys\nfrom gpu_coord.cli import app\n"
        "try: app(['detect', '-h'])\n"
        "finally: print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("False\n"), done.stderr
