"""Looks at random for what the property tests miss, round after round, until the time is up.

`python tests/fuzz.py --minutes 10 [pytest arguments]` runs rounds of pytest with itself as a
plugin: properties only, in another order each time, with other examples. What fails is printed as
a line `@example(...)`, which belongs above its property: so every run of the tests tries it.
"""

import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
FOUND = HERE.parent / ".hypothesis" / "found.txt"
# Said to the plugin by the program: when to stop, and the order of the tests.
UNTIL, SEED = "GPU_COORD_FUZZ_UNTIL", "GPU_COORD_FUZZ_SEED"
ROUND = ["--hypothesis-profile=fuzz", "-p", "fuzz", "-m", "hypothesis", "-q", "--override-ini"]


# --- the plugin ---


def pytest_collection_modifyitems(items) -> None:
    # Every property has its turn, however little time there is.
    random.Random(os.environ[SEED]).shuffle(items)


def pytest_runtest_setup() -> None:
    if time.time() > float(os.environ[UNTIL]):
        pytest.skip("the time is up")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.failed:
        notes = "\n".join(getattr(call.excinfo.value, "__notes__", []))
        report.sections.append(("Found", f"{item.nodeid}\n{write_example(notes, item.funcargs)}"))
    return report


def write_example(notes: str, fixtures) -> str:
    """Return the falsifying example as a decorator, which knows nothing of fixtures."""
    match = re.search(r"^(?:Falsifying|Failing) .*?\((\n.*?^)\)", notes, re.DOTALL | re.MULTILINE)
    if match is None or "Draw 1" in notes:
        return f"no example can be written down here; write a test of its own:\n{notes}"
    arguments = re.split(r"^(?=    \w+=)", match[1], flags=re.MULTILINE)
    kept = [text for text in arguments if text.strip().partition("=")[0] not in fixtures]
    return f"@example({''.join(kept)})"


def pytest_runtest_logreport(report) -> None:
    # Workers hand their reports to the program that started them, which hears of each once.
    if "PYTEST_XDIST_WORKER" not in os.environ:
        with FOUND.open("a") as file:
            file.writelines(f"{text}\n\n" for title, text in report.sections if title == "Found")


# --- the program ---


def run_round(until: float, arguments: list[str], known: list[str]) -> int:
    """Run all properties once; return pytest's exit status."""
    without = [f"--deselect={name}" for name in known]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    variables = {UNTIL: str(until), SEED: str(random.random()), "PYTHONPATH": path}
    command = [sys.executable, "-m", "pytest", *ROUND, "addopts=--strict-markers -rN"]
    return subprocess.run(
        [*command, *without, *arguments], env=os.environ | variables, cwd=HERE.parent, check=False
    ).returncode


def main() -> int:
    """Run rounds until the time is up; return 1 if anything was found."""
    _, minutes, *arguments = sys.argv[1:]
    until = time.time() + 60 * float(minutes)
    FOUND.parent.mkdir(exist_ok=True)
    FOUND.write_text("")
    n_rounds = 0
    while time.time() < until:
        known = re.findall(r"^tests/\S+::.*", FOUND.read_text(), re.MULTILINE)
        status = run_round(until, arguments, known)
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return status
        n_rounds += 1
    found = FOUND.read_text()
    print(f"\n{n_rounds} rounds. {'Found:' if found else 'Nothing found.'}\n\n{found}", end="")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
