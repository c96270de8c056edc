"""Ingest of a 1 GB archive in the X format, against Polars parsing the same file as text."""

import statistics
import sys

from benchmarks.measure import FOLDER, gpu_coord, run_command

N_POSTS = 1_700_000
_PARSE = "import sys, polars; print(polars.read_csv(sys.argv[1], infer_schema=False).height)"


def run() -> list[str]:
    """Return lines of a report."""
    archive = FOLDER / "gigabyte"
    if not archive.exists():
        gpu_coord("simulate", "--out", archive, "--preset", "june2020", "--n-posts", str(N_POSTS))
    tweets = archive / "tweets.csv"
    store = FOLDER / "gigabyte.store"
    runs = []
    for _ in range(3):
        parsed = run_command(sys.executable, "-c", _PARSE, tweets)
        runs.append((parsed, gpu_coord("ingest", tweets, archive / "users.csv", "--store", store)))
    parse = statistics.median(parsed[0] for parsed, _ in runs)
    ingest = statistics.median(ingested[0] for _, ingested in runs)
    peak = max(ingested[1] for _, ingested in runs)
    return [
        f"ingest: {tweets.stat().st_size / 1e9:.2f} GB; polars.read_csv as text {parse:.1f} s",
        f"ingest: gpu-coord ingest {ingest:.1f} s, {ingest / parse:.1f} x, peak {peak:.2f} GB",
    ]
