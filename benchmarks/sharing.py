"""Coordinated sharing against CooRTweet's R code and the QUT toolkit; what a viral object costs.

The peers are checkouts of the user's own, see ``benchmarks.peers``; without one its lines say so.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import polars as pl

from benchmarks.measure import FOLDER, gpu_coord, run_command, time_median
from benchmarks.peers import (
    PeerError,
    describe_limits,
    find_peer,
    read_memory,
    run_toolkit,
    time_detect_groups,
)

DATA = Path(os.environ.get("GPU_COORD_DATA", "../shared/data"))
RUSSIAN = "coortweet_russian/russian_coord_tweets.parquet"
HIGGS = "higgs/shares.parquet"
WINDOW, MIN_PARTICIPATION = 60, 2
N_ROUNDS = 5
MAX_SHARES = 5_000  # of an object, for the part of Higgs that the peer has room for
VIRAL = (10_000, 30_000, 100_000, 300_000)
VIRAL_PEER = (2_500, 5_000, 10_000)  # it lists all pairs first
DAY_MS = 24 * 3600 * 1000


def run():
    """Yield lines of a report."""
    if DATA.is_dir():
        russian = _prepare("russian", pl.read_parquet(DATA / RUSSIAN))
        higgs = pl.read_parquet(DATA / HIGGS).filter(kind="retweet_user").drop("kind")
        busy = higgs.filter(pl.len().over("object_id") <= MAX_SHARES)
        yield _describe_floors()
        yield from _run_coortweet("russian", russian, N_ROUNDS)
        yield from _run_coortweet("higgs-part", _prepare("higgs-part", busy), 1)
        yield from _run_coortweet("higgs", _prepare("higgs", higgs), 1)
        try:
            yield from _run_toolkit()
        except PeerError as error:
            yield f"sharing: QUT toolkit {error}"
    else:
        yield f"sharing: NO DATA at {DATA} (GPU_COORD_DATA): nothing compared with the peers"
    yield from _run_viral()


def _prepare(name: str, table: pl.DataFrame) -> Path:
    """Write a share table and its store."""
    path = FOLDER / f"{name}.csv"
    table.write_csv(path)
    gpu_coord("ingest", path, "--store", FOLDER / f"{name}.store")
    return path


def _describe_floors() -> str:
    """Say what a process takes that does nothing: no table makes it smaller."""
    peaks = []
    for names in ("numpy", "numpy, polars", "numpy, polars, numba", "gpu_coord.sharing.run"):
        code = f"import {names}; print(open('/proc/self/status').read())"
        said = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, text=True
        )
        (line,) = (line for line in said.stdout.splitlines() if line.startswith("VmHWM"))
        peaks.append(f"{int(line.split()[1]) * 1024 / 1e9:.3f} GB with {names}")
    return f"sharing: a Python process that only imports: {', '.join(peaks)}"


# --- CooRTweet -----------------------------------------------------------------------------


def _run_coortweet(name: str, table: Path, n_rounds: int):
    store = FOLDER / f"{name}.store"
    what = f"sharing: detect_groups, {name}, {WINDOW} s, min participation {MIN_PARTICIPATION}"
    cold, compiled, command_peak = _time_command(name)
    first = _run_child(store, "read", "call")
    held = _run_child(store, "warm", "read", "call")["call"]
    shares = _read(store)
    ours = time_median(lambda: find_pairs(shares))
    yield f"{what}: {shares!r}, {find_pairs(shares).height:,} pairs"
    yield (
        f"{what}: gpu_coord, one thread: call {ours:.3f} s (shares in memory, code compiled), the "
        f"first of a process {first['call']['seconds']:.2f} s, reading the store "
        f"{first['read']['seconds']:.2f} s; whole command with its run folder {compiled:.1f} s, "
        f"{cold:.1f} s before anything was compiled, peak {command_peak:.2f} GB"
    )
    yield f"{what}: gpu_coord, {_describe_memory(held)}"
    checkout = find_peer("GPU_COORD_COORTWEET")
    if checkout is None:
        yield f"{what}: CooRTweet NOT GIVEN (GPU_COORD_COORTWEET): no ratio"
        return
    yield from _compare_detect_groups(what, checkout, table, shares, n_rounds, held)


def _time_command(name: str) -> tuple[float, float, float]:
    """Return the seconds of `share` with nothing compiled and with all; its peak memory in GB."""
    command = (
        sys.executable, "-m", "gpu_coord", "share", FOLDER / f"{name}.store",
        "--out", FOLDER / f"{name}.run", "--kind", "object", "--mode", "coortweet",
        "--window", f"{WINDOW}s", "--min-participation", str(MIN_PARTICIPATION), "--overwrite",
    )  # fmt: skip
    with TemporaryDirectory() as empty:
        cold, _ = run_command(*command, environment={"NUMBA_CACHE_DIR": empty})
        figures = [run_command(*command, environment={"NUMBA_CACHE_DIR": empty}) for _ in range(3)]
    seconds, peak = sorted(figures)[1]
    return cold, seconds, peak


def _compare_detect_groups(what, checkout, table, shares, n_rounds, held):
    """Time R and gpu_coord in turn: R in a process of its own each round, its data loaded."""
    theirs, ours = [], []
    try:
        for _ in range(n_rounds):
            called, pairs = time_detect_groups(
                checkout, table, FOLDER, window=WINDOW, min_participation=MIN_PARTICIPATION
            )
            theirs.append(called["seconds"])
            ours.append(time_median(lambda: find_pairs(shares)))
    except PeerError as error:
        yield f"{what}: CooRTweet {error} ({describe_limits()}): that is its result"
        return
    check_equal(pairs, find_pairs(shares))
    ratio = median(a / b for a, b in zip(theirs, ours, strict=True))
    yield (
        f"{what}: CooRTweet, the same rows: {median(theirs):.2f} s, {_describe_memory(called)}; "
        f"gpu_coord {ratio:.0f} x ({n_rounds} in turn), peak {held['peak'] / called['peak']:.2f} "
        f"of the peer's, the call's own {_own(held) / _own(called):.3f}"
    )


def _describe_memory(called: dict) -> str:
    return (
        f"peak {called['peak']:.3f} GB, of which {called['resident']:.3f} were there before the "
        f"call and {_own(called):.3f} are its own"
    )


def _own(called: dict) -> float:
    return called["peak"] - called["resident"]


def find_pairs(shares) -> pl.DataFrame:
    """Return the pairs of `detect_groups` with their ids, as the R function does."""
    from gpu_coord.sharing.peers.coortweet import detect_groups
    from gpu_coord.sharing.tables import describe_pairs

    blocks = detect_groups(shares, window_ms=1000 * WINDOW, min_participation=MIN_PARTICIPATION)
    return pl.concat([describe_pairs(shares, older, newer) for older, newer in blocks])


def check_equal(theirs: pl.DataFrame, ours: pl.DataFrame) -> None:
    """Raise unless both hold the same rows, in whatever order."""
    columns = theirs.columns
    theirs = theirs.with_columns(pl.col("time_delta").cast(pl.Float64)).sort(columns)
    if not theirs.equals(ours.select(columns).sort(columns)):
        raise AssertionError(f"{theirs.height} pairs of the peer and {ours.height} differ")


def _read(store: Path):
    from gpu_coord.sharing.shares import read_shares
    from gpu_coord.store.store import open_store

    return read_shares(open_store(store), kinds=["object"])


def _run_child(store: Path, *steps: str) -> dict:
    """Return, of each step in a process of its own, its seconds and memory (GB)."""
    child = [sys.executable, "-m", "benchmarks.sharing", str(store), *steps]
    return json.loads(subprocess.run(child, capture_output=True, check=True).stdout)


def _time_steps(store: Path, *steps: str) -> dict:
    shares = None
    figures = {}
    for step in steps:
        # The peak of the process begins anew.
        Path("/proc/self/clear_refs").write_text("5")
        resident, started = read_memory("VmRSS"), time.perf_counter()
        if step == "read":
            shares = _read(store)
        else:
            find_pairs(shares if step == "call" else _make_tiny())
        figures[step] = {
            "seconds": time.perf_counter() - started,
            "resident": resident,
            "peak": read_memory("VmHWM"),
        }
    return figures


def _make_tiny():
    """Return shares that make all code load: two accounts at one time."""
    import numpy as np

    account = np.arange(10, dtype=np.int32) % 2
    return replace(make_viral(10), time=np.zeros(10, np.int64), account=account)


# --- QUT toolkit ---------------------------------------------------------------------------


def _run_toolkit():
    from gpu_coord.sharing.peers.qut import count_messages

    what = f"sharing: co_retweet of the QUT toolkit, russian, {WINDOW} s, min weight 1"
    checkout = find_peer("GPU_COORD_QUT")
    if checkout is None:
        yield f"{what}: NOT GIVEN (GPU_COORD_QUT): no ratio"
        return
    # A message has one row there; the later ones are ignored.
    table = pl.read_parquet(DATA / RUSSIAN).unique("content_id", keep="first", maintain_order=True)
    _prepare("russian-messages", table)
    messages = write_messages(FOLDER / "messages.csv", table, "co_retweet")
    shares = _read(FOLDER / "russian-messages.store")

    def count() -> pl.DataFrame:
        return name_edges(shares, count_messages(shares, window_ms=1000 * WINDOW, loops=True))

    runs = [{"name": "russian", "window": WINDOW, "min_weight": 1}]
    theirs, ours, load = [], [], 0.0
    for _ in range(N_ROUNDS):
        found = run_toolkit(
            checkout, messages, FOLDER, runs, network="co_retweet", n_calls=2,
            n_threads=os.cpu_count(),
        )  # fmt: skip
        # The first call makes the indexes.
        theirs.append(found["russian"][1])
        load = found["load"]
        ours.append(time_median(count))
    edges = found["edges"]["russian"].with_columns(pl.col("weight").cast(pl.Int64))
    if not edges.sort(pl.all()).equals(count().sort(pl.all())):
        raise AssertionError(f"{edges.height} edges of the toolkit and {count().height} differ")
    ratio = median(a / b for a, b in zip(theirs, ours, strict=True))
    yield (
        f"{what}: {edges.height:,} edges, the same; toolkit {median(theirs):.2f} s on "
        f"{os.cpu_count()} processes (its load, {load:.1f} s, and its indexes not counted), "
        f"gpu_coord {median(ours):.3f} s on one thread, {ratio:.0f} x ({N_ROUNDS} rounds in turn)"
    )


def write_messages(path: Path, table: pl.DataFrame, network: str) -> Path:
    """Write shares as the toolkit reads messages: one row each, in its order of columns."""
    repost = network == "co_retweet"
    objects = pl.col("object_id")
    messages = table.group_by("content_id", "account_id", "timestamp_share", maintain_order=True)
    # Its reader keeps the first row of a message.
    messages.agg(objects.first().alias("repost_id"), objects.str.join(" ").alias("urls")).select(
        message_id="content_id",
        user_id="account_id",
        username="account_id",
        repost_id=pl.col("repost_id") if repost else pl.lit(""),
        reply_id=pl.lit(""),
        message=pl.lit(""),
        timestamp="timestamp_share",
        urls=pl.lit("") if repost else pl.col("urls"),
    ).write_csv(path)
    return path


def name_edges(shares, edges: pl.DataFrame) -> pl.DataFrame:
    """Return edges with the ids of their accounts."""
    ids = shares.accounts["account_id"]
    ends = [ids.gather(edges[end]).alias(end) for end in ("source", "target")]
    return edges.select(*ends, pl.col("weight").cast(pl.Int64))


# --- a viral object ------------------------------------------------------------------------


def _run_viral():
    """Share one object over a day, window 1 s: ten times the shares, a hundred times the pairs."""
    from gpu_coord.sharing.peers.coortweet import detect_groups
    from gpu_coord.sharing.windows import pair_shares

    for n_shares in VIRAL:
        shares = make_viral(n_shares)
        n_pairs = sum(first.size for first, _ in pair_shares(shares, window_ms=1000))
        seconds = {
            "pair_shares": time_median(lambda: list(pair_shares(shares, window_ms=1000))),  # noqa: B023
            "detect_groups": time_median(
                lambda: list(detect_groups(shares, window_ms=1000, min_participation=1))  # noqa: B023
            ),
        }
        cost = ", ".join(
            f"{name} {1000 * took:.2f} ms, {1e9 * took / (n_shares + n_pairs):.0f} ns a share or "
            "pair"
            for name, took in seconds.items()
        )
        yield f"sharing: {n_shares:,} shares of one object, 1 s: {n_pairs:,} pairs; {cost}"
    yield from _run_viral_peer()


def _run_viral_peer():
    checkout = find_peer("GPU_COORD_COORTWEET")
    if checkout is None:
        yield "sharing: shares of one object: CooRTweet NOT GIVEN (GPU_COORD_COORTWEET)"
        return
    for n_shares in VIRAL_PEER:
        what = f"sharing: {n_shares:,} shares of one object, 1 s: CooRTweet"
        shares, table = make_viral(n_shares), FOLDER / "viral.csv"
        pl.DataFrame(
            {
                "object_id": ["viral"] * n_shares,
                "account_id": shares.accounts["account_id"].gather(shares.account),
                "content_id": shares.contents,
                "timestamp_share": shares.time / 1000,
            }
        ).write_csv(table)
        try:
            called, pairs = time_detect_groups(
                checkout, table, FOLDER, window=1, min_participation=1
            )
        except PeerError as error:
            yield f"{what} {error} ({describe_limits()})"
            return
        yield f"{what} {called['seconds']:.2f} s, {pairs.height} pairs, {_describe_memory(called)}"


def make_viral(n_shares: int):
    """Return shares of one object by as many accounts, at any millisecond of a day."""
    import numpy as np

    from gpu_coord.sharing.shares import Shares

    rng = np.random.default_rng(0)
    names = pl.Series(np.arange(n_shares)).cast(pl.String).str.zfill(7)
    return Shares(
        object=np.zeros(n_shares, np.int32),
        time=np.sort(rng.integers(0, DAY_MS, n_shares)),
        account=rng.permutation(n_shares).astype(np.int32),
        content=np.arange(n_shares, dtype=np.int32),
        objects=pl.DataFrame({"kind": ["url"], "value": ["viral"]}),
        accounts=pl.DataFrame({"account_id": names}),
        contents=names,
    )


if __name__ == "__main__":
    print(json.dumps(_time_steps(Path(sys.argv[1]), *sys.argv[2:])))
