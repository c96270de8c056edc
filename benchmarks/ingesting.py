"""Ingest of a 1 GB archive in the X format, against Polars parsing the same file as text."""

import sys
from statistics import median

from benchmarks.measure import FOLDER, gpu_coord, median_ratio, run_command

N_POSTS = 1_700_000
_PARSE = "import sys, polars; print(polars.read_csv(sys.argv[1], infer_schema=False).height)"


def run() -> list[str]:
    """Return lines of a report."""
    archive = FOLDER / "gigabyte"
    if not archive.exists():
        gpu_coord("simulate", "--out", archive, "--preset", "june2020", "--n-posts", str(N_POSTS))
    tweets = archive / "tweets.csv"
    store = FOLDER / "gigabyte.store"
    parses, ingests, peak = [], [], 0.0
    for _ in range(5):
        parses.append(run_command(sys.executable, "-c", _PARSE, tweets)[0])
        seconds, held = gpu_coord("ingest", tweets, "--store", store)
        ingests.append(seconds)
        peak = max(peak, held)
    return [
        f"ingest: {tweets.stat().st_size / 1e9:.2f} GB; polars.read_csv as text "
        f"{median(parses):.1f} s",
        f"ingest: gpu-coord ingest {median(ingests):.1f} s, {median_ratio(ingests, parses):.1f} x, "
        f"peak {peak:.2f} GB (medians of five, in turn)",
    ]
