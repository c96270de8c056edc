"""The lock has a version with hashes of all that pyproject.toml asks for."""

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
# Not locked: one excludes the other, and both are NVIDIA's to pin.
EXTRAS = PROJECT["project"]["optional-dependencies"].keys() - {"gpu-cu12", "gpu-cu13"}
HASHES = r"(?:\\\n    --hash=sha256:[0-9a-f]{64} ?)+"
ENTRY = re.compile(rf"^([\w.-]+)==(\S+) (?:; [^\\\n]+ )?{HASHES}\n", re.MULTILINE)


@cache
def read_lock(path: Path) -> dict[str, str]:
    """Read the version of each package; a line that is no part of an entry is an error."""
    lines = path.read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith("#"))
    assert not ENTRY.sub("", text)
    return {canonicalize_name(name): version for name, version in ENTRY.findall(text)}


def list_wanted() -> list[str]:
    extras = PROJECT["project"]["optional-dependencies"]
    return [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *(wanted for extra in sorted(EXTRAS) for wanted in extras[extra]),
        *(wanted for group in PROJECT["dependency-groups"].values() for wanted in group),
    ]


@pytest.mark.parametrize("wanted", sorted(set(list_wanted())))
def test_what_is_wanted_is_locked(wanted):
    asked = Requirement(wanted)
    assert read_lock(CHECKOUT / "lock.txt")[canonicalize_name(asked.name)] in asked.specifier


@pytest.mark.parametrize("listed", ["stand_ins.txt", "wheels.txt"])
def test_the_wheels_of_the_gpu_contract_are_locked(listed):
    folder = CHECKOUT / "tests" / "gpu"
    locked = read_lock(folder / "lock.txt")
    for line in (folder / listed).read_text().splitlines():
        if not line.startswith("#"):
            asked = Requirement(line)
            assert locked[canonicalize_name(asked.name)] in asked.specifier


def test_set_up_builds_with_what_the_build_system_asks_for():
    assert set(PROJECT["build-system"]["requires"]) <= set(PROJECT["dependency-groups"]["set-up"])
