"""A sweep of 100 cells, four distinct counts, against one cell; and one stopped many times."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from benchmarks.measure import FOLDER, gpu_coord

N_ROUNDS, N_KILLS = 3, 8
_COUNTS = 'bin = ["1h", "2h"]\nlag = [1, 2]\nmin_support = [1, 2, 3, 4, 5]\n'
GRIDS = {
    "5 levels of alpha": "alpha = [0.001, 0.01, 0.05, 0.1, 0.2]\n",
    # Without tests every edge is in the network, so that each cell has one to build.
    "paper, 5 weights": "paper = [true]\nmin_weight = [0.0, 1e-6, 1e-5, 2e-5, 5e-5]\n",
}


def run() -> list[str]:
    """Return lines of a report."""
    archive, store = FOLDER / "june2020", FOLDER / "june2020.store"
    if not archive.exists():
        gpu_coord("simulate", "--out", archive, "--preset", "june2020")
    gpu_coord("ingest", archive / "tweets.csv", archive / "users.csv", "--store", store)
    return [*_time(store), _kill(store)]


def _time(store: Path) -> list[str]:
    calls = {f"detect {options}": options.split() for options in ("--groups 0", "", "--paper")}
    seconds: dict[str, list[float]] = {name: [] for name in (*calls, *GRIDS)}
    peak: dict[str, float] = {}
    for n_round in range(N_ROUNDS + 1):
        figures = {
            name: gpu_coord(
                "detect", store, "--out", FOLDER / "sweeping.run", "--overwrite", *options
            )
            for name, options in calls.items()
        }
        figures |= {name: _sweep(store, text) for name, text in GRIDS.items()}
        for name, (taken, held) in figures.items():
            peak[name] = held
            if n_round:
                seconds[name].append(taken)
    median = {name: sorted(values)[N_ROUNDS // 2] for name, values in seconds.items()}
    lines = [f"{name}: {median[name]:.1f} s, peak {peak[name]:.2f} GB" for name in calls]
    for name in GRIDS:
        ratios = ", ".join(f"{median[name] / median[call]:.2f} x {call}" for call in calls)
        lines.append(
            f"sweep of 100 cells, {name}: {median[name]:.1f} s, peak {peak[name]:.2f} GB: {ratios}"
        )
    return lines


def _write_grid(text: str) -> Path:
    grid = FOLDER / "sweeping.toml"
    grid.write_text(_COUNTS + text)
    return grid


def _sweep(store: Path, text: str) -> tuple[float, float]:
    out = FOLDER / "sweeping"
    shutil.rmtree(out, ignore_errors=True)
    return gpu_coord("sweep", store, _write_grid(text), "--out", out)


def _kill(store: Path) -> str:
    """Stop a sweep after longer and longer times, and compare what it comes to."""
    text = GRIDS["paper, 5 weights"]
    whole, _ = _sweep(store, text)
    tables = FOLDER / "sweeping"
    out = FOLDER / "sweeping.killed"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "gpu_coord", "sweep", store, _write_grid(text), "--out", out]
    n_killed = 0
    for part in range(N_KILLS):
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
        time.sleep(whole * (0.2 + 0.4 * part / N_KILLS))
        os.kill(process.pid, signal.SIGKILL)
        n_killed += process.wait() == -signal.SIGKILL
    gpu_coord(*command[3:])
    same = all(
        (tables / f"{name}.parquet").read_bytes() == (out / f"{name}.parquet").read_bytes()
        for name in ("accounts", "edges", "ari", "variance")
    )
    rows = [pl.read_parquet(path / "sweep.parquet").drop("seconds") for path in (tables, out)]
    n_cells = json.loads((out / "sweep.json").read_text())["summary"]["n_cells"]
    return (
        f"stopped {n_killed} times by SIGKILL: {n_cells} cells, tables "
        f"{'identical' if same and rows[0].equals(rows[1]) else 'DIFFERENT'} (seconds left out)"
    )
