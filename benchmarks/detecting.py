"""From store to run folder: the size of the June 2020 release, and a much larger one."""

import numpy as np
import polars as pl

from benchmarks.measure import FOLDER, gpu_coord

N_ACCOUNTS, N_CELLS, N_ENTITIES, N_HOURS = 150_000, 6_000_000, 200_000, 2_000


def run() -> list[str]:
    """Return lines of a report."""
    return [*_run_june(), *_run_large()]


def _run_june() -> list[str]:
    archive, store = FOLDER / "june2020", FOLDER / "june2020.store"
    if not archive.exists():
        gpu_coord("simulate", "--out", archive, "--preset", "june2020")
    gpu_coord("ingest", archive / "tweets.csv", archive / "users.csv", "--store", store)
    runs: dict[str, list[tuple[float, float]]] = {"--paper": [], "--groups 0": [], "": []}
    for n_round in range(4):
        for options, figures in runs.items():
            figure = gpu_coord(
                "detect", store, "--out", FOLDER / "june2020.run", "--overwrite", *options.split()
            )
            if n_round:
                figures.append(figure)
    medians = {options: sorted(figures)[1] for options, figures in runs.items()}
    return [
        f"detect {options}: {_describe('june2020')}: {seconds:.1f} s, peak {peak:.2f} GB, "
        f"{seconds / medians['--paper'][0]:.2f} x --paper (medians of 3, in turn)"
        for options, (seconds, peak) in medians.items()
    ]


def _run_large() -> list[str]:
    shares, store = FOLDER / "large.parquet", FOLDER / "large.store"
    if not shares.exists():
        _write_shares(shares)
    gpu_coord("ingest", shares, "--store", store)
    lines = []
    for options in ("--paper", "--groups 0"):
        seconds, peak = gpu_coord(
            "detect", store, "--out", FOLDER / "large.run", "--kinds", "object",
            "--min-support", "2", "--overwrite", *options.split(),
        )  # fmt: skip
        figures = f"{seconds:.1f} s, peak {peak:.2f} GB"
        lines.append(f"detect {options}: {_describe('large')}, min support 2: {figures}")
    return lines


def _describe(name: str) -> str:
    import json

    run = json.loads((FOLDER / f"{name}.run" / "run.json").read_text())
    return (
        f"{name}, {run['summary']['n_accounts']:,} accounts, {run['counts']['n_cells']:,} cells, "
        f"{run['summary']['n_edges']:,} edges"
    )


def _write_shares(path) -> None:
    rng = np.random.default_rng(0)
    n_drawn = int(1.02 * N_CELLS)
    account = (N_ACCOUNTS * rng.random(n_drawn) ** 2).astype(np.int64)
    entity = (N_ENTITIES * rng.random(n_drawn) ** 4).astype(np.int64)
    hour = (N_HOURS * rng.random(n_drawn)).astype(np.int64)
    pl.DataFrame(
        {
            "account_id": account,
            "object_id": entity,
            "content_id": np.arange(n_drawn),
            "timestamp_share": 1_580_000_400 + 3600 * hour,
        }
    ).write_parquet(path)
