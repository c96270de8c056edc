"""Simulated archives at two sizes, in each format: seconds, and the memory that must stay flat."""

import shutil

from benchmarks.measure import FOLDER, gpu_coord

SIZES = (1_000_000, 10_000_000)
FORMATS = ("csv", "csv.gz", "shares.parquet")


def run() -> list[str]:
    """Return lines of a report."""
    return [_time_simulation(n_posts, form) for form in FORMATS for n_posts in SIZES]


def _time_simulation(n_posts: int, form: str) -> str:
    archive = FOLDER / "simulating"
    options = ("--preset", "june2020", "--n-posts", str(n_posts), "--format", form)
    seconds, peak = gpu_coord("simulate", "--out", archive, "--overwrite", *options)
    size = sum(file.stat().st_size for file in archive.iterdir())
    shutil.rmtree(archive)
    return (
        f"simulate: {n_posts:,} posts as {form}, {size / 1e9:.2f} GB: {seconds:.0f} s, "
        f"peak {peak:.2f} GB"
    )
