"""Blocks on the workers of Dask, in processes of their own: the same bytes as in one process."""

import json
import os
import signal
from functools import partial

import numpy as np
import polars as pl
import pytest
from runs import event, invoke, succeed

import gpu_coord as gc
from gpu_coord.backend import cpu
from gpu_coord.trust.calibration import calibrate

distributed = pytest.importorskip(
    "distributed", reason="Dask is ABSENT (extra dask): blocks on machines are not tested"
)

from gpu_coord.backend.machines import Exchange, MachinesError, spread  # noqa: E402

MEMORY = 1 << 17  # of which a block has an eighth: there are many
RESOURCES = {"backend", "stages"}  # what a marker says of them
GRID = {"kinds": ["hashtag"], "bin": ["1h", "2h"], "lags": ["0-0", "1-1"], "min_weight": [0, 0.1]}


def make_events(n_accounts=48, n_days=16, seed=7):
    """Return events of accounts, of which three follow a fourth within seconds."""
    rng = np.random.default_rng(seed)
    events = []
    for day in range(n_days):
        for account in range(n_accounts):
            for kind in ("hashtag", "url"):
                at = 86_400 * day + int(rng.integers(86_400))
                events.append(event(f"a{account:02}", at, f"{kind}{rng.integers(6)}", kind))
        at = 86_400 * day + int(rng.integers(80_000))
        for late in range(4):
            for kind in ("hashtag", "url"):
                events.append(event(f"a{late:02}", at + 5 * late, f"{kind}-{day}", kind))
    return events


@pytest.fixture(scope="module")
def store(make_store):
    return make_store(make_events())


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        local_directory=str(tmp_path_factory.mktemp("dask")),
    ) as cluster, distributed.Client(cluster) as client:
        yield client


def read_result(folder):
    """Return what is in a folder, but for what its marker says of resources."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".json":
            content = json.loads(file.read_text())
            found[file.name] = {k: v for k, v in content.items() if k not in RESOURCES}
        elif file.is_file():
            found[file.relative_to(folder).as_posix()] = file.read_bytes()
    return found


COMMANDS = {
    "detect": partial(gc.detect, groups=4),
    "paper": partial(gc.detect, paper=True, lags=(0, 1, 2)),
    "share": partial(gc.share, kinds=("hashtag", "url"), window="60s"),
    "coact": partial(gc.coact, layers=("co_url", "co_hashtag", "similar_url")),
    "calibrate": partial(calibrate, n_copies=3),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_workers__write_the_same_bytes_as_one_process(name, store, client, tmp_path):
    for folder, dask in (("here", None), ("there", client)):
        COMMANDS[name](store, tmp_path / folder, memory=MEMORY, dask=dask)
    here, there = (read_result(tmp_path / folder) for folder in ("here", "there"))
    assert here == there
    marker = json.loads((tmp_path / "there" / "run.json").read_text()) if name == "detect" else {}
    assert not marker or "2 workers" in marker["backend"]["device"]
