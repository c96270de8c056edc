"""Rung 4: the whole installation imports, and says exactly that there is no GPU."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.gpu_install


@pytest.mark.parametrize("library", ["cupy", "cudf", "cugraph", "gpu_coord.backend.gpu_rapids"])
def test_import__needs_no_gpu(library):
    subprocess.run([sys.executable, "-c", f"import {library}"], check=True)


def test_import__fails_where_a_library_is_not_there():
    """A seeded mistake: the check above can fail."""
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(
            [sys.executable, "-c", "import cugraf"], check=True, stderr=subprocess.DEVNULL
        )


def test_choose__names_the_probe_that_failed():
    from gpu_coord.backend import GpuUnavailableError, choose

    with pytest.raises(GpuUnavailableError, match="probe 'CuPy finds a device' failed"):
        choose("gpu")


def test_choose__takes_the_cpu_and_says_why(caplog):
    from gpu_coord.backend import choose

    assert choose("auto").name == "cpu"
    assert "computing on the CPU: the GPU cannot be used" in caplog.text


def test_info__names_the_probe():
    command = [sys.executable, "-m", "gpu_coord", "info", "--json"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "CuPy finds a device" in json.loads(output)["backends"]["gpu"]["reason"]
