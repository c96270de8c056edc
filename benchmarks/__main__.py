"""python -m benchmarks [dense|counting|detecting|ingesting]...: print the measured figures."""

import sys
from importlib import import_module

from benchmarks.measure import FOLDER, describe_machine

NAMES = ("dense", "counting", "detecting", "ingesting")

if __name__ == "__main__":
    chosen = sys.argv[1:] or NAMES
    if unknown := set(chosen) - set(NAMES):
        raise SystemExit(f"no benchmark {sorted(unknown)}; there are {', '.join(NAMES)}")
    FOLDER.mkdir(exist_ok=True)
    print(describe_machine())
    for name in chosen:
        print(*import_module(f"benchmarks.{name}").run(), sep="\n", flush=True)
