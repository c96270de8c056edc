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

PARTS = os.environ.get("GPU_COORD_PARTS", "kills,shortages,fuzz,random,containers").split(",")
N_KILLS = int(os.environ.get("GPU_COORD_KILLS", "200"))
N_INPUTS = int(os.environ.get("GPU_COORD_INPUTS", "10000"))
SEED = int(os.environ.get("GPU_COORD_SEED", "1"))


def run() -> list[str]:
    """Return lines of a report."""
    folder = FOLDER.absolute() / "faults"
    parts: dict[str, Callable[[Any], list[str]]] = {
        "kills": lambda part: part.try_kills(N_KILLS, SEED, folder / "kills"),
        "shortages": lambda part: part.try_shortages(folder / "shortages"),
        "fuzz": lambda part: part.try_inputs(N_INPUTS, SEED, folder / "fuzz"),
        "containers": lambda part: part.try_containers(folder / "containers"),
    }
    # Each is loaded alone: one of them must begin without any thread.
    return [
        line
        for name, try_part in parts.items()
        if name in PARTS
        for line in try_part(import_module(f"benchmarks.faults.{name}"))
    ]
