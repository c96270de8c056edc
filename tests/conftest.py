"""Fixtures shared by all tests: the backend under test and the folder of real archives."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

CHECKOUT = Path(__file__).resolve().parents[1]

# Read when NumPy is first imported. The threads of BLAS wait by spinning, which costs small
# matrices more than it gains.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The same examples in every run: whether a checkout passes is not for chance to decide. No
# deadline: Numba compiles on the first example of a property, so it would measure the compiler.
settings.register_profile(
    "gpu_coord",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
# Other examples in every run, and more of them; what fails is tried again first (make fuzz).
settings.register_profile(
    "fuzz",
    settings.get_profile("gpu_coord"),
    database=DirectoryBasedExampleDatabase(CHECKOUT / ".hypothesis" / "examples"),
    derandomize=False,
    max_examples=500,
)
settings.load_profile("gpu_coord")

# Strict doubles take the places of CuPy, cuDF and cuGraph (make test-gpu-contract).
USES_DOUBLES = os.environ.get("GPU_COORD_DOUBLES") == "1"
if USES_DOUBLES:
    sys.path.insert(0, str(CHECKOUT / "tests" / "gpu" / "doubles"))
    settings.register_profile("doubles", settings.get_profile("gpu_coord"), max_examples=8)
    settings.load_profile("doubles")
BACKENDS = ["gpu"] if USES_DOUBLES else ["cpu"]
REAL_DATA = Path(os.environ.get("GPU_COORD_DATA", CHECKOUT.parent / "shared" / "data"))

# Reports in a browser are asked for by make test-browser, which gets the libraries they need.
USES_BROWSER = os.environ.get("GPU_COORD_BROWSER") == "1"
# The wheel, installed, is tested by make test-package, which builds it.
USES_PACKAGE = os.environ.get("GPU_COORD_PACKAGE") == "1"
collect_ignore = ["browser"] * (not USES_BROWSER) + ["package"] * (not USES_PACKAGE)

# Programs that a machine may lack, and what cannot be tested there. A test says that it needs one
# by pytest.mark.needs(name); what needs g++ is skipped where the shim would call it.
PROGRAMS = {
    "bash": "what README and docs tell people to type",
    "g++": "the kernels on the host",
    "npm": "the libraries of reports",
}


def pytest_report_header() -> list[str]:
    state = "present" if REAL_DATA.is_dir() else "ABSENT: tests on real archives are SKIPPED"
    backends = "gpu (STRICT DOUBLES, no GPU)" if USES_DOUBLES else "cpu"
    lines = [f"backends under test: {backends}; real data (GPU_COORD_DATA): {state}"]
    if not USES_BROWSER:
        lines.append("tests/browser NOT COLLECTED: make test-browser runs them")
    if not USES_PACKAGE:
        lines.append("tests/package NOT COLLECTED: make test-package runs them")
    if find_spec("distributed") is None:
        lines.append("Dask ABSENT (extra dask): tests/test_machines.py is SKIPPED")
    lines += [
        f"{name} ABSENT: tests of {tested} are SKIPPED"
        for name, tested in PROGRAMS.items()
        if shutil.which(name) is None
    ]
    return [f"gpu_coord: {line}" for line in lines]


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        for name in {name for mark in item.iter_markers("needs") for name in mark.args}:
            if shutil.which(name) is None:
                reason = f"{name} is not on PATH: {PROGRAMS[name]} cannot be tested"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip(f"real archives not found at {REAL_DATA}; set GPU_COORD_DATA to test on them")
    return REAL_DATA


@pytest.fixture(scope="session")
def thailand(data_dir, tmp_path_factory):
    """Return the store of the Thai archive; nobody changes it."""
    from gpu_coord.archive.ingest import ingest

    files = sorted((data_dir / "io_thailand_092020").glob("*.csv"))
    return ingest(files, tmp_path_factory.mktemp("thailand") / "store")


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request):
    from gpu_coord.backend import choose

    return choose(request.param)


@pytest.fixture(scope="session")
def make_store(tmp_path_factory):
    """Return a function that writes a store straight from events, without any reader."""
    import json

    import polars as pl

    from gpu_coord.store.store import TABLES, open_store

    def number(names):
        return {name: row for row, name in enumerate(sorted(set(names)))}

    def make(events, *, labels=None, posts=None):
        """Write events (dicts with account, kind, entity, time_seconds); one post each."""
        folder = tmp_path_factory.mktemp("store")
        accounts = number([e["account"] for e in events] + [p[0] for p in posts or []])
        entities = number((e["kind"], e["entity"]) for e in events)
        rows = [(e["account"], e["time_seconds"]) for e in events] + list(posts or [])
        times = [round(1000 * time) for _, time in rows]
        tables = {
            "posts": {
                "post": range(len(rows)),
                "account": [accounts[account] for account, _ in rows],
                "time": times,
                "content_id": [str(row) for row in range(len(rows))],
            },
            "events": {
                "post": range(len(events)),
                "account": [accounts[e["account"]] for e in events],
                "entity": [entities[e["kind"], e["entity"]] for e in events],
                "time": times[: len(events)],
                "kind": [e["kind"] for e in events],
            },
            "accounts": {
                "account": list(accounts.values()),
                "account_id": list(accounts),
                "label": [(labels or {}).get(name) for name in accounts],
            },
            "entities": {
                "entity": list(entities.values()),
                "kind": [kind for kind, _ in entities],
                "value": [value for _, value in entities],
            },
            "rejects": {"file": [], "row": [], "reason": []},
        }
        dtypes = {"post": pl.Int64, "account": pl.Int32, "entity": pl.Int32, "time": pl.Int64}
        dtypes |= {"label": pl.String, "kind": pl.String}
        for name in TABLES:
            schema = {column: dtypes.get(column) for column in tables[name]}
            pl.DataFrame(tables[name], schema=schema).write_parquet(folder / f"{name}.parquet")
        manifest = {"gpu_coord": "test", "store_version": 1}
        manifest |= {"inputs": [{"sha256": "0"}], "totals": {}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return open_store(folder)

    return make


def write_table(path, rows):
    """Write a share table of (account, object, content, time) and optional kinds."""
    import polars as pl

    names = ["account_id", "object_id", "content_id", "timestamp_share", "kind"]
    pl.DataFrame(rows, schema=names[: len(rows[0])], orient="row").write_csv(path)
    return path


@pytest.fixture
def make_table_store(tmp_path):
    """Return a function that ingests rows (account, object, content, time)."""
    from gpu_coord.archive.ingest import ingest

    def make(rows):
        return ingest(write_table(tmp_path / "table.csv", rows), tmp_path / "store", overwrite=True)

    return make
