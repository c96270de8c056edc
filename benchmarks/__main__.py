"""python -m benchmarks [NAME]...: print the measured figures.

Names are dense, counting, detecting, ingesting, sharing, ranking, modelling and sweeping.

``calibrating`` takes most of an hour and is left out unless named; so are ``comparing``, which
holds results against those of peers, ``judging``, which compares methods (some 20 minutes), and
``paging``, which needs a browser, ``simulating``, which needs 7 GB of disk, ``scaling``, which runs
everything on archives of growing size (GPU_COORD_POSTS=1000000,4000000), and ``faults``, which does
damage for as long as it is told.
"""

import subprocess
import sys
from importlib import import_module

from benchmarks.measure import FOLDER, describe_machine

NAMES = (
    "dense", "counting", "detecting", "ingesting", "sharing", "ranking", "modelling", "sweeping",
)  # fmt: skip
SLOW = ("calibrating", "comparing", "faults", "judging", "paging", "scaling", "simulating")

if __name__ == "__main__":
    chosen = sys.argv[1:] or NAMES
    if unknown := set(chosen) - {*NAMES, *SLOW}:
        raise SystemExit(f"no benchmark {sorted(unknown)}; there are {', '.join(NAMES + SLOW)}")
    FOLDER.mkdir(exist_ok=True)
    if len(chosen) == 1:
        print(describe_machine())
        for line in import_module(f"benchmarks.{chosen[0]}").run():
            print(line, flush=True)
    else:
        # One process each: the peak memory of a child begins with that of its parent.
        for name in chosen:
            subprocess.run([sys.executable, "-m", "benchmarks", name], check=True)
