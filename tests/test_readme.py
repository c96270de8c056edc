"""What README and docs tell people to type is typed here, in order, in an empty folder."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from warm import ADDRESS, run_warm

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
REAL = "$GPU_COORD_DATA"
# What a page's simulated archive is there to show.
SIGNIFICANT = {"sharing.md": "shares", "coaction.md": "fused"}
# What the pages show is shown by smaller archives, too; `gpu-coord demo` is tested as it is.
SMALLER = {
    "simulate --out archive --seed": "simulate --out archive --preset small --seed",
    "--preset crowds": "--preset crowds --n-posts 26000",
    "--preset swift": "--preset swift --n-posts 9000",
    "--preset null": "--preset null --n-posts 9000",
    "n_posts=20_000": "n_posts=10_000",
    "--copies 3": "--copies 1",
}
# Many pages begin alike, with commands of one line.
BEGINNING = re.compile(r"(?:gpu-coord (?:simulate|ingest|detect) .*(?<!\\)\n)*")
RUN = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-W", "error", "-c"]}


def list_blocks(page):
    """Return (language, code) of the fenced blocks that can be run."""
    text = page.read_text()
    for shown, smaller in SMALLER.items():
        text = text.replace(shown, smaller)
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert {language for language, _ in found} <= {"text", *RUN}, "a block that nothing tests"
    # The make targets are what runs this test.
    return [block for block in found if block[0] in RUN and not block[1].startswith("make ")]


def run_blocks(blocks, folder, **variables):
    """Run blocks as people do, or in copies of a program that has loaded all: see `warm`."""
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = os.environ | {"PATH": os.pathsep.join(paths)} | variables
    for language, code in blocks:
        is_warm = language == "python" and ADDRESS in environment
        command = ["gpu-coord", "-c"] if is_warm else RUN[language]
        done = subprocess.run(
            [shutil.which(command[0], path=environment["PATH"]), *command[1:], code],
            cwd=folder, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    """Return variables with which blocks run in a program that has loaded all already."""
    if sys.platform != "linux":  # elsewhere a copy of a process is not safe
        yield {}
    else:
        with run_warm(tmp_path_factory.mktemp("warm")) as variables:
            paths = [variables["PATH"], str(Path(sys.executable).parent)]
            yield variables | {"PATH": os.pathsep.join(paths)}


@pytest.fixture(scope="session")
def begin(tmp_path_factory, warm):
    """Return a function that gives the folder that commands fill, one after the other."""
    made = {}

    def begin(commands):
        if commands not in made:
            made[commands] = tmp_path_factory.mktemp("begun")
            if commands[1:]:
                shutil.copytree(begin(commands[:-1]), made[commands], dirs_exist_ok=True)
            run_blocks([("sh", command) for command in commands[-1:]], made[commands], **warm)
        return made[commands]

    return begin


@pytest.mark.needs("bash")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks__run_in_order(page, tmp_path, begin, warm):
    # The first page runs as people run it.
    variables = warm if page.name != "README.md" else {}
    blocks = [block for block in list_blocks(page) if REAL not in block[1]] or [("sh", "")]
    (language, code), *others = blocks
    begun = BEGINNING.match(code).group()
    shutil.copytree(begin(tuple(begun.splitlines())), tmp_path, dirs_exist_ok=True)
    run_blocks([(language, code.removeprefix(begun)), *others], tmp_path, **variables)
    if page.name in SIGNIFICANT:
        run = json.loads((tmp_path / SIGNIFICANT[page.name] / "run.json").read_text())
        assert run["summary"]["n_significant"] > 0


@pytest.mark.needs("bash")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks__run_on_real_archives(page, tmp_path, request):
    blocks = [block for block in list_blocks(page) if REAL in block[1]]
    if blocks:
        run_blocks(blocks, tmp_path, GPU_COORD_DATA=str(request.getfixturevalue("data_dir")))


def test_readme__has_the_blocks_that_people_start_with():
    languages = [language for language, _ in list_blocks(ROOT / "README.md")]
    assert languages == ["sh", "python", "python", "sh", "sh"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links__lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target
