"""What may go wrong: programs killed, disks full, files damaged, containers that are bombs.

GPU_COORD_PARTS chooses among kills, shortages, fuzz, random, containers. GPU_COORD_KILLS (200) and
GPU_COORD_INPUTS (10,000) say how many are tried, GPU_COORD_SEED (1) which, and GPU_COORD_CASE one
input of the fuzz by its number. Everything is tried as people do it: through the command line.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmarks.measure import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PARTS = os.environ.get("GPU_COORD_PARTS", "kills,shortages,fuzz,random,containers").split(",")
N_KILLS = int(os.environ.get("GPU_COORD_KILLS", "200"))
N_INPUTS = int(os.environ.get("GPU_COORD_INPUTS", "10000"))
SEED = int(os.environ.get("GPU_COORD_SEED", "1"))
CASE = os.environ.get("GPU_COORD_CASE")


def run() -> list[str]:
    """Return lines of a report."""
    folder = FOLDER.absolute() / "faults"
    parts: dict[str, tuple[str, Callable[[Any], list[str]]]] = {
        "kills": ("kills", lambda part: part.try_kills(N_KILLS, SEED, folder / "kills")),
        "shortages": ("shortages", lambda part: part.try_shortages(folder / "shortages")),
        "fuzz": ("fuzz", lambda part: _fuzz(part, folder / "fuzz")),
        "random": ("properties", lambda part: part.try_random(N_INPUTS)),
        "containers": ("containers", lambda part: part.try_containers(folder / "containers")),
    }
    # Each is loaded when it begins: the first two make copies of a process without threads.
    return [
        line
        for name, (module, attempt) in parts.items()
        if name in PARTS
        for line in attempt(import_module(f"benchmarks.faults.{module}"))
    ]


def _fuzz(part: Any, folder: Path) -> list[str]:
    if CASE is not None:
        return list(part.try_one(int(CASE), SEED, folder))
    return list(part.try_inputs(N_INPUTS, SEED, folder))
