"""What is given away: a wheel with all it needs and nothing else, and what it runs with."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
DIST = CHECKOUT / "dist"
BIN = CHECKOUT / ".venv-package" / "bin"
TRACKED = set(
    subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
)
BUILT = {f"gpu_coord/reports/built/{name}.js" for name in ("graphology", "sigma")}
SHARES = "account_id,content_id,object_id,timestamp_share\n" + "".join(
    f"{account},{account}{hour},https://example.org/{hour},2020-01-01T{hour:02}:00:00\n"
    for hour in range(12)
    for account in "ab"
)


def name_wheel() -> set[str]:
    """Name the files of the wheel, without those that say what it is."""
    (wheel,) = DIST.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    about = {name for name in names if name.startswith("gpu_coord-") and ".dist-info/" in name}
    assert {name.split("/", 1)[1] for name in about} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE",
    }  # fmt: skip
    return names - about


def test_the_wheel_is_the_package():
    ours = {name for name in TRACKED if name.startswith("gpu_coord/")}
    ours -= {name for name in ours if name.startswith("gpu_coord/reports/libraries/")}
    assert name_wheel() - BUILT == ours


@pytest.mark.needs("npm")
def test_the_wheel_has_the_libraries_of_reports():
    assert name_wheel() >= BUILT


def test_the_source_archive_holds_what_is_committed():
    (archive,) = DIST.glob("*.tar.gz")
    with tarfile.open(archive) as held:
        names = {name.split("/", 1)[1] for name in held.getnames()}
    assert names - BUILT == TRACKED | {"PKG-INFO"}


def run_installed(*words: str, folder: Path) -> str:
    """Run the installed program in ``folder``; kernels run uncompiled, which takes a tenth."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [BIN / "gpu-coord", *words], cwd=folder, env=kept | {"NUMBA_DISABLE_JIT": "1"},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def test_the_installed_program_works_in_an_empty_folder(tmp_path):
    assert run_installed("--version", folder=tmp_path).strip().endswith("0.2.0")
    (tmp_path / "shares.csv").write_text(SHARES)
    run_installed("ingest", "shares.csv", "--store", "store", folder=tmp_path)
    found = json.loads(run_installed("detect", "store", "--out", "run", "--json", folder=tmp_path))
    assert (found["n_accounts"], found["n_entities"]) == (2, 12)
    run_installed("report", "run", folder=tmp_path)


def test_what_runs_is_the_wheel(tmp_path):
    words = [BIN / "python", "-c", "import gpu_coord; print(gpu_coord.__file__)"]
    done = subprocess.run(words, cwd=tmp_path, env={}, check=True, capture_output=True, text=True)
    assert Path(done.stdout.strip()).is_relative_to(BIN.parent)


def check_licences(environment: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Hold what is installed against the licences that pyproject.toml allows."""
    program = Path(sys.executable).with_name("pip-licenses")
    return subprocess.run(
        [program, "--python", environment / "bin" / "python", *words],
        cwd=CHECKOUT, check=False, capture_output=True, text=True,
    )  # fmt: skip


def test_what_runs_with_the_package_is_permissive():
    done = check_licences(BIN.parent)
    assert done.returncode == 0, done.stderr
    assert {"gpu-coord", "numpy"} <= {line.split()[0] for line in done.stdout.splitlines()}


def test_a_licence_that_is_not_is_found():
    done = check_licences(Path(sys.prefix), "--packages", "igraph")
    assert done.returncode == 1
    assert "igraph" in done.stderr


def test_the_sbom_lists_all_that_is_installed():
    listed = json.loads((DIST / "gpu-coord.cdx.json").read_text())
    (packages,) = BIN.parent.glob("lib/python*/site-packages")
    installed = {
        (each.name.lower(), each.version) for each in distributions(path=[str(packages)])
    } - {("gpu-coord", "0.2.0")}
    assert {(each["name"].lower(), each["version"]) for each in listed["components"]} == installed
    assert listed["metadata"]["component"]["name"] == "gpu-coord"
