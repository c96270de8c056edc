"""Time a call, or a command with its peak memory."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(os.environ.get("GPU_COORD_BENCH", ".benchmarks"))


def time_median(call: Callable[[], Any], n_runs: int = 5) -> float:
    """Return the median seconds of a call, after one that is not counted."""
    call()
    seconds = []
    for _ in range(n_runs):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def time_in_turn(*calls: Callable[[], Any], n_rounds: int) -> list[list[float]]:
    """Return the seconds of each call in each round, in turn, after a round that is not counted.

    A machine that others use is now fast, now slow: what is compared must be timed side by side.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    for n_round in range(n_rounds + 1):
        for call, times in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call()
            if n_round:
                times.append(time.perf_counter() - start)
    return seconds


def median_ratio(slow: list[float], fast: list[float]) -> float:
    """Return the median over the rounds of how many times faster the second is."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


class Cost(NamedTuple):
    """What a command took."""

    seconds: float
    cpu_seconds: float  # of all threads, user and system
    peak: float  # memory, GB


def run_command(
    *command: str | Path, environment: dict[str, str] | None = None
) -> tuple[float, float]:
    """Run a command to its end; return its seconds and its peak memory in GB."""
    cost = weigh_command(*command, environment=environment)
    return cost.seconds, cost.peak


def weigh_command(*command: str | Path, environment: dict[str, str] | None = None) -> Cost:
    """Run a command to its end; return what it took."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.DEVNULL,
        env=os.environ | (environment or {}),
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}")
    seconds = time.perf_counter() - start
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9)


def gpu_coord(*arguments: str | Path) -> tuple[float, float]:
    """Run a gpu-coord command; return its seconds and its peak memory in GB."""
    return run_command(sys.executable, "-m", "gpu_coord", *arguments)


def describe_machine() -> str:
    """Return the processor, its usable cores and the versions that matter."""
    from importlib.metadata import version

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.split(":")[1].strip() for line in lines if "model name" in line), platform.machine()
    )
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("numpy", "polars", "numba", "scipy")
    )
    return f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}"
