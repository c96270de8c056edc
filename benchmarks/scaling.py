"""What every step costs on archives of growing size: CPU seconds a million posts, and memory."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

from benchmarks.measure import FOLDER, Cost, weigh_command

SIZES = [int(size) for size in os.environ.get("GPU_COORD_POSTS", "1000000,4000000").split(",")]
COMMANDS = {
    "detect --paper": "detect {store} --paper",
    "detect --groups 0": "detect {store} --groups 0",
    "detect": "detect {store}",
    "share, urls and hashtags within 60 s": "share {store} --kind url,hashtag --window 60s",
    "coact": "coact {store}",
}


def run() -> Iterator[str]:
    """Yield lines of a report."""
    for n_posts in SIZES:
        folder = FOLDER / f"scale-{n_posts}"
        rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, cost in _run_all(n_posts, folder):
            yield (
                f"{n_posts:,} posts: {name}: {cost.cpu_seconds:.1f} CPU s, "
                f"{1e6 * cost.cpu_seconds / n_posts:.1f} a million posts, {cost.seconds:.1f} s, "
                f"peak {cost.peak:.2f} GB"
            )
        rmtree(folder)


def _run_all(n_posts: int, folder: Path) -> Iterator[tuple[str, Cost]]:
    archive, store = folder / "archive", folder / "store"
    preset = ("--preset", "june2020", "--n-posts", str(n_posts), "--seed", "1")
    yield "simulate", _weigh("simulate", *preset, "--out", archive)
    yield "ingest", _weigh("ingest", archive, "--store", store)
    rmtree(archive)
    for name, command in COMMANDS.items():
        yield (
            name,
            _weigh(*command.format(store=store).split(), "--out", folder / "run", "--overwrite"),
        )
        rmtree(folder / "run")


def _weigh(*arguments: str | Path) -> Cost:
    return weigh_command(sys.executable, "-m", "gpu_coord", *arguments)
