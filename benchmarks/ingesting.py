"""Ingest: a 1 GB archive in the X format and tweets as JSON lines, against Polars parsing the same
bytes; how memory grows; and a fifth of an archive added to the rest.

GPU_COORD_PARTS chooses among gigabyte, lines, growth, addition.
"""

import os
import shutil
import sys
from pathlib import Path
from statistics import median

import polars as pl

from benchmarks.measure import FOLDER, gpu_coord, median_ratio, run_command

N_POSTS = 1_700_000
N_LINES = 350_000
GROWTH = (1_000_000, 10_000_000)
N_ADDED = 1_000_000
PARTS = os.environ.get("GPU_COORD_PARTS", "gigabyte,lines,growth,addition").split(",")
_PARSE = "import sys, polars; print(polars.{}(sys.argv[1], {}).height)"


def run() -> list[str]:
    """Return lines of a report."""
    parts = {
        "gigabyte": _time_archive, "lines": _time_lines, "growth": _measure_growth,
        "addition": _time_addition,
    }  # fmt: skip
    return [line for name, part in parts.items() if name in PARTS for line in part()]


def _time_archive() -> list[str]:
    tweets = _simulate(N_POSTS) / "tweets.csv"
    return _compare(tweets, _PARSE.format("read_csv", "infer_schema=False"))


def _time_lines() -> list[str]:
    lines = FOLDER / "tweets.jsonl"
    if not lines.exists():
        _write_lines(pl.read_csv(_simulate(N_LINES) / "tweets.csv", infer_schema=False), lines)
    return _compare(lines, _PARSE.format("read_ndjson", ""))


def _compare(file: Path, parse: str) -> list[str]:
    store = FOLDER / f"{file.parent.name}.store"
    parses, ingests, peak = [], [], 0.0
    for _ in range(5):
        shutil.rmtree(store, ignore_errors=True)  # where there is one, it is compared first
        parses.append(run_command(sys.executable, "-c", parse, file)[0])
        seconds, held = gpu_coord("ingest", file, "--store", store)
        ingests.append(seconds)
        peak = max(peak, held)
    size = file.stat().st_size / 1e9
    return [
        f"ingest of {file.suffix}: {size:.2f} GB; Polars {median(parses):.1f} s; gpu-coord "
        f"{median(ingests):.1f} s, {1000 * size / median(ingests):.0f} MB/s, "
        f"{median_ratio(ingests, parses):.1f} x, peak {peak:.2f} GB (medians of five, in turn)"
    ]


def _measure_growth() -> list[str]:
    peaks = []
    for n_posts in GROWTH:
        folder = _simulate(n_posts)
        _, held = gpu_coord(
            "ingest", folder / "tweets.csv", "--store", FOLDER / "growth.store", "--overwrite"
        )
        peaks.append(held)
    few, many = peaks
    return [f"ingest, peak memory: {few:.2f} GB for {GROWTH[0]:,} posts, {many:.2f} GB for "
            f"{GROWTH[1]:,}: {many / few:.1f} x"]  # fmt: skip


def _time_addition() -> list[str]:
    """Add the last fifth of an archive to the others, and compare with all of it and it alone."""
    folder = _simulate(N_ADDED)
    tweets = pl.read_csv(folder / "tweets.csv", infer_schema=False)
    old, new = folder / "old.csv", folder / "new.csv"
    tweets.head(-tweets.height // 5).write_csv(old)
    tweets.tail(tweets.height // 5).write_csv(new)
    store, seconds = FOLDER / "added.store", dict[str, list[float]]()
    calls = {"all": [old, new], "new": [new], "old": [old], "add": ["--add", new]}
    for _ in range(4):
        for name, files in calls.items():
            more = [] if name == "add" else ["--overwrite"]
            taken, _ = gpu_coord("ingest", *files, "--store", store, *more)
            seconds.setdefault(name, []).append(taken)
    middle = {name: median(times) for name, times in seconds.items()}
    copied = middle["add"] - middle["new"]
    return [
        f"ingest --add, a fifth of {N_ADDED:,} posts to the rest: {middle['add']:.1f} s; the fifth "
        f"alone {middle['new']:.1f} s, all {middle['all']:.1f} s: the old cost {copied:.1f} s, "
        f"{copied / middle['old']:.2f} x reading them (medians of four, in turn)"
    ]


def _simulate(n_posts: int) -> Path:
    folder = FOLDER / f"posts-{n_posts}"
    if not folder.exists():
        gpu_coord("simulate", "--out", folder, "--preset", "june2020", "--n-posts", str(n_posts))
    return folder


def _write_lines(tweets: pl.DataFrame, path: Path) -> None:
    """Write tweets as version 2 of the API has them, one a line."""

    def split(column: str, key: str) -> pl.Expr:
        items = pl.col(column).str.strip_chars("[]").str.replace_all("'", "").str.split(",")
        item = pl.element().str.strip_chars()
        return items.list.eval(pl.struct(item.alias(key)).filter(item != ""))

    def count(name: str) -> pl.Expr:
        return pl.col(name).cast(pl.Int64, strict=False)

    copied = pl.struct(type=pl.lit("retweeted"), id="retweet_tweetid")
    tweets.select(
        id="tweetid", author_id="userid", text="tweet_text", lang="tweet_language",
        created_at=pl.col("tweet_time").str.replace(" ", "T") + ":00.000Z",
        public_metrics=pl.struct(map(count, ("like_count", "retweet_count", "reply_count"))),
        entities=pl.struct(hashtags=split("hashtags", "tag"), urls=split("urls", "expanded_url"),
                           mentions=split("user_mentions", "id")),
        referenced_tweets=pl.when(pl.col("retweet_tweetid") != "").then(pl.concat_list(copied)),
    ).write_ndjson(path)  # fmt: skip
