"""Blocks on the workers of Dask, in processes of their own: the same bytes as in one process."""

import json
import os
import signal
import warnings
from contextlib import ExitStack
from functools import partial

import numpy as np
import polars as pl
import pytest
from runs import event, succeed

import gpu_coord as gc
from gpu_coord.backend import MachinesError, cpu
from gpu_coord.trust.calibration import calibrate

distributed = pytest.importorskip(
    "distributed", reason="Dask is ABSENT (extra dask): blocks on machines are not tested"
)

from gpu_coord.backend import machines  # noqa: E402
from gpu_coord.backend.machines import Exchange, spread, start_cluster  # noqa: E402

MEMORY = 1 << 17  # of which a block has an eighth: there are many
RESOURCES = {"backend", "stages", "seconds"}  # what a marker says of them
GRID = {"kinds": ["hashtag"], "bin": ["1h", "2h"], "lags": ["0-0", "1-1"]}


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
def client():
    with ExitStack() as stack:
        yield stack.enter_context(distributed.Client(start_cluster(2, stack)))


def read_result(folder):
    """Return what is in a folder, but for what its marker says of resources."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".json":
            content = json.loads(file.read_text())
            found[file.name] = {k: v for k, v in content.items() if k not in RESOURCES}
            found[file.name].get("summary", {}).pop("seconds", None)
            found[file.name].get("tables", {}).pop("sweep", None)  # its hash
            if file.parent.name == "cells":
                found[file.name].pop("sha256")  # of the seconds, too
        elif file.name == "sweep.parquet":  # says of each cell how long it took
            found[file.name] = pl.read_parquet(file).drop("seconds").rows()
        elif file.is_file():
            found[file.relative_to(folder).as_posix()] = file.read_bytes()
    return found


COMMANDS = {
    "detect": partial(gc.detect, groups=0),
    "paper": partial(gc.detect, paper=True, lags=(0, 1, 2)),
    "share": partial(gc.share, kinds=("hashtag", "url"), window="60s"),
    "coortweet": partial(gc.share, kinds=("url",), window="60s", mode="coortweet"),
    "coact": partial(gc.coact, layers=("co_url", "co_hashtag", "similar_url")),
    "calibrate": partial(calibrate, n_copies=1, groups=0),
    "sweep": partial(gc.sweep, grid=GRID),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_workers__write_the_same_bytes_as_one_process(name, store, client, tmp_path):
    for folder, dask in (("here", None), ("there", client)):
        COMMANDS[name](store, out=tmp_path / folder, memory=MEMORY, dask=dask)
    here, there = (read_result(tmp_path / folder) for folder in ("here", "there"))
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []


def test_workers__are_named_in_the_marker_and_leave_nothing_behind(store, client, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    found = gc.detect(store, tmp_path / "run", groups=0, dask=client, exchange=str(shared))
    assert found.content["backend"]["device"].endswith("Dask: 2 workers, 2 threads")
    assert found.content["backend"]["versions"]["distributed"] == distributed.__version__
    assert list(shared.iterdir()) == []


def test_worker__that_is_killed_in_mid_run_costs_time_only(store, client, tmp_path):
    gc.detect(store, tmp_path / "here", groups=0, memory=MEMORY)
    killed = []

    def kill(stage, done, total):
        if stage == "pairs" and 0 < done < total and not killed:
            killed.extend(client.run(os.getpid).values())
            os.kill(killed[0], signal.SIGKILL)

    gc.detect(store, tmp_path / "there", groups=0, memory=MEMORY, dask=client, progress=kill)
    assert killed and killed[0] not in client.run(os.getpid).values()
    assert read_result(tmp_path / "here") == read_result(tmp_path / "there")


# --- the blocks themselves -----------------------------------------------------------------------


def square(item, *, table):
    """Return a block that a worker has to look up in what all blocks share."""
    if item == 5:
        warnings.warn("five", stacklevel=2)
    return pl.DataFrame({"x": [int(table[item]) ** 2]}), table.flags.writeable


def fail(item):
    raise ValueError(f"{item} is wrong")


def test_map_blocks__keeps_the_order_and_brings_tables_and_warnings_home(client, tmp_path):
    table = np.arange(100_000)
    with spread(cpu(), client, str(tmp_path)) as backend:
        work = partial(square, table=table)
        with pytest.warns(UserWarning, match="five"):
            found = list(backend.map_blocks(range(20), work, n_threads=1))
        [folder] = tmp_path.iterdir()
        names = {file.name for file in folder.iterdir()}
        assert len(names) == 2 and not any(name.endswith(".parquet") for name in names)
    assert [part["x"].item() for part, _ in found] == [item**2 for item in range(20)]
    assert all(is_writeable for _, is_writeable in found)  # as kernels are compiled for


def test_map_blocks__raises_what_a_block_raised(client, tmp_path):
    with spread(cpu(), client, str(tmp_path)) as backend:
        with pytest.raises(ValueError, match="3 is wrong"):
            list(backend.map_blocks([3], fail, n_threads=1))


def test_map_blocks__refuses_a_worker_with_other_versions(client, tmp_path, monkeypatch):
    monkeypatch.setattr(machines, "list_versions", lambda: {"gpu_coord": "0"})
    with spread(cpu(), client, str(tmp_path)) as backend:
        with pytest.raises(MachinesError, match="install the same"):
            list(backend.map_blocks([3], fail, n_threads=1))


def test_spread__says_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match="it is local, or an address"):
        with spread(cpu(), "here", str(tmp_path)):
            pass


def test_exchange__is_any_file_system(client, s3, store, tmp_path):
    gc.detect(store, tmp_path / "here", groups=0)
    gc.detect(store, tmp_path / "there", groups=0, dask=client, exchange="s3://blocks/of")
    assert read_result(tmp_path / "here") == read_result(tmp_path / "there")
    assert Exchange("s3://blocks/of")._place[0].find("blocks") == []


def set_environment(known):
    os.environ.update(known)


@pytest.fixture
def s3(client, monkeypatch):
    """Serve the bucket ``blocks`` on this machine, to this process and to the workers."""
    reason = "moto or s3fs is ABSENT: the exchange is not tested on S3"
    moto = pytest.importorskip("moto.server", reason=reason)
    s3fs = pytest.importorskip("s3fs", reason=reason)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    known = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test",
             "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    client.run(set_environment, known)
    s3fs.S3FileSystem().mkdir("blocks")
    yield
    server.stop()


def test_command__prints_where_the_dashboard_is(store, client, tmp_path, caplog):
    scheduler = client.scheduler_info()["address"]
    succeed("detect", store.path, "--out", tmp_path / "run", "--paper", "--dask", scheduler)
    assert f"dashboard: {client.dashboard_link}" in caplog.text
    assert client.dashboard_link.startswith("http://127.0.0.1:")
