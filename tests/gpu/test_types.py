"""Rung 1: the GPU modules, type-checked against the real wheels of RAPIDS and CuPy."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.gpu_contract

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "gpu_coord" / "backend").glob("gpu_*.py"))
SEEDED = Path(__file__).with_name("seeded_mistakes.py")


def check_types(*files):
    """Return the errors that mypy finds in the files themselves, as (file name, line)."""
    command = [
        sys.executable, "-m", "mypy", "--config-file=", "--check-untyped-defs",
        "--follow-untyped-imports", "--no-strict-optional", "--follow-imports=silent",
        "--explicit-package-bases", "--cache-dir", str(ROOT / ".mypy_cache" / "gpu"),
        *map(str, files),
    ]  # fmt: skip
    output = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert "error" not in output.stderr, output.stderr
    names = {file.name for file in files}
    found = re.findall(r"^(\S+?):([0-9]+): error: (.*)$", output.stdout, re.MULTILINE)
    return [
        (Path(file).name, int(line), text) for file, line, text in found if Path(file).name in names
    ]


def test_gpu_modules__agree_with_the_wheels():
    assert MODULES
    assert check_types(*MODULES) == []


def test_type_check__finds_seeded_mistakes():
    marked = {
        number
        for number, line in enumerate(SEEDED.read_text().splitlines(), 1)
        if "# MISTAKE" in line
    }
    assert {line for _, line, _ in check_types(SEEDED)} == marked
