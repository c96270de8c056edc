"""What README and docs tell people to type is typed here, in order, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-W", "error", "-c"]}


def list_blocks(page):
    """Return (language, code) of the fenced blocks that can be run."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert {language for language, _ in found} <= {"text", *RUN}, "a block that nothing tests"
    # The make targets are what runs this test.
    return [block for block in found if block[0] in RUN and not block[1].startswith("make ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks__run_in_order(page, tmp_path, request):
    blocks = list_blocks(page)
    if any("GPU_COORD_DATA" in code for _, code in blocks):
        data = request.getfixturevalue("data_dir")
    else:
        data = tmp_path
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "GPU_COORD_DATA": str(data),
    }  # fmt: skip
    for language, code in blocks:
        done = subprocess.run(
            [*RUN[language], code], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"


def test_readme__has_the_blocks_that_people_start_with():
    languages = [language for language, _ in list_blocks(ROOT / "README.md")]
    assert languages == ["sh", "python", "sh"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links__lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target
