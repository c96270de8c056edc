"""The self-test: it passes on a sound backend, and finds a broken one."""

import dataclasses
import json
import os

import pytest
from runs import refuse, succeed

from gpu_coord.backend import GpuUnavailableError, choose, cpu
from gpu_coord.trust.selftest import CHECKS, run_checks


@pytest.fixture(
    scope="module", params=["cpu", pytest.param("gpu", marks=pytest.mark.gpu)], name="checked"
)
def choose_backend(request):
    if request.param == "cpu":
        return cpu()
    try:
        return choose("gpu")
    except GpuUnavailableError as error:
        if os.environ.get("GPU_COORD_REQUIRE_GPU") == "1":
            raise
        pytest.skip(f"no GPU (GPU_COORD_REQUIRE_GPU=1 makes this a failure): {error}")


@pytest.mark.parametrize("name", CHECKS)
def test_check__passes(checked, name):
    CHECKS[name](checked)


def count_one_less(kernel):
    def count(*arguments):
        found = kernel(*arguments)
        return (*found[:-1], found[-1] - 1) if isinstance(found, tuple) else found - 1

    return count


BROKEN = {
    "count_in_common": {"dense transition counts", "transition matrices"},
    "count_pairs": {"pair counts"},
    "count_within_shared": {"weights", "detection"},
    "sum_products": {"expected counts", "significance"},
}


@pytest.fixture
def keep_checks(monkeypatch):
    """Return a function that leaves out all checks but some; each alone is tested above."""

    def keep(names):
        for name in CHECKS.keys() - names:
            monkeypatch.delitem(CHECKS, name)

    return keep


@pytest.mark.parametrize("kernel", BROKEN)
def test_run_checks__finds_a_kernel_that_miscounts(kernel, keep_checks):
    import types

    from gpu_coord.backend import pairs

    keep_checks({*BROKEN[kernel], "communities"})
    broken = types.SimpleNamespace(**vars(pairs))
    setattr(broken, kernel, count_one_less(getattr(pairs, kernel)))
    report = run_checks(dataclasses.replace(cpu(), pairs=broken))
    assert not report.passed
    failed = {check.name for check in report.checks if not check.passed}
    assert failed == BROKEN[kernel]
    assert all(check.failure for check in report.checks if not check.passed)


def test_run_checks__finds_wrong_components(keep_checks):
    keep_checks({"communities", "components"})

    def merge_all(source, target, n_accounts, *, connection):
        import numpy as np

        return np.zeros(n_accounts, int)

    report = run_checks(dataclasses.replace(cpu(), components=merge_all))
    assert {check.name for check in report.checks if not check.passed} == {"components"}


def test_selftest__writes_a_report(tmp_path, keep_checks):
    keep_checks({"communities", "components", "weights"})
    path = tmp_path / "report.json"
    succeed("selftest", "--backend", "cpu", "--out", str(path))
    report = json.loads(path.read_text())
    assert report["passed"]
    assert [check["name"] for check in report["checks"]] == list(CHECKS)
    assert {"backend", "device", "versions", "gpu_coord", "system"} <= set(report)


def test_selftest__ends_with_1_where_a_check_fails(monkeypatch, keep_checks):
    def fail(backend):
        raise AssertionError("planted")

    keep_checks({"communities", "components"})
    monkeypatch.setitem(CHECKS, "components", fail)
    assert "components failed" in refuse(1, "selftest", "--backend", "cpu")


def test_info__says_what_each_backend_can():
    backends = json.loads(succeed("info", "--json").stdout)["backends"]
    assert backends["cpu"]["usable"]
    assert backends["gpu"]["usable"] or "GPU cannot be used" in backends["gpu"]["reason"]
