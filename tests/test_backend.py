"""Which backend is chosen, and what is said where it cannot be used."""

import dataclasses
import logging

import pytest

from gpu_coord import backend as backends
from gpu_coord.backend import GpuUnavailableError, choose, cpu, list_usable


@pytest.fixture
def without_gpu(monkeypatch):
    """CuPy is installed, and a probe fails."""

    def refuse():
        raise GpuUnavailableError("the GPU cannot be used: the probe 'planted' failed")

    monkeypatch.setattr(backends, "gpu", refuse)
    monkeypatch.setattr(backends, "find_spec", lambda name: name)
    backends._say_once.cache_clear()


def test_choose__never_falls_back_where_the_gpu_was_named(without_gpu):
    with pytest.raises(GpuUnavailableError, match="planted"):
        choose("gpu")


def test_choose__says_once_why_auto_takes_the_cpu(without_gpu, caplog):
    with caplog.at_level(logging.WARNING):
        assert choose("auto").name == "cpu"
        assert choose().name == "cpu"
    assert caplog.text.count("computing on the CPU: the GPU cannot be used") == 1


def test_choose__takes_the_gpu_where_the_probes_pass(monkeypatch):
    device = dataclasses.replace(cpu(), name="gpu")
    monkeypatch.setattr(backends, "gpu", lambda: device)
    monkeypatch.setattr(backends, "find_spec", lambda name: name)
    assert choose("auto") is device


@pytest.mark.parametrize("threads", [0, -1, 257, 999])
@pytest.mark.parametrize("name", ["auto", "cpu", "gpu"])
def test_choose__refuses_no_thread_and_too_many(threads, name):
    message = f"threads is {threads}; it is 1 to 256, or leave it out for all cores"
    with pytest.raises(ValueError, match=message):
        choose(name, threads=threads)
    with pytest.raises(ValueError, match=message):
        cpu(threads=threads)


def test_choose__uses_no_more_threads_than_there_are_and_refuses_other_names():
    assert choose("cpu", threads=256).threads == cpu().threads
    assert choose("cpu", threads=1).threads == 1
    with pytest.raises(ValueError, match="backend is 'tpu'"):
        choose("tpu")


def test_list_usable__names_the_probe_that_failed(without_gpu):
    usable = list_usable()
    assert usable["cpu"]["usable"]
    assert usable["gpu"] == {
        "usable": False,
        "reason": "the GPU cannot be used: the probe 'planted' failed",
    }
