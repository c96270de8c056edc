"""Where the computation runs: the only module that may import a GPU library.

A `Backend` is chosen once and carried by the Activity. It holds the libraries that always change
together and the few calls whose spelling differs; every algorithm is written once against it.

The frame stage asks of Narwhals: scan_parquet, filter, select, integer arithmetic, join,
group_by + len/min/max/n_unique, unique, sort, collect. Rows are sorted before they leave it.
"""

import logging
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal

import numpy as np

from gpu_coord.ground.threads import MAX_THREADS, map_ahead

_log = logging.getLogger("gpu_coord")

BackendName = Literal["auto", "cpu", "gpu"]


class GpuUnavailableError(RuntimeError):
    """The GPU was asked for by name and cannot be used."""


class MachinesError(RuntimeError):
    """The workers of Dask were asked for and cannot be used."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Libraries that always change together, and the calls whose spelling differs."""

    name: Literal["cpu", "gpu"]
    xp: Any  # numpy | cupy
    frames: Literal["polars", "cudf"]  # the frame library that Narwhals drives
    pairs: ModuleType  # the pair kernels
    repeat: Callable[[Any, Any], Any]  # (values, counts) -> each value so many times
    scan: Callable[[str, list[str]], Any]  # (Parquet file, columns) -> Narwhals frame, may be lazy
    to_array: Callable[[Any], Any]  # Narwhals series -> array of xp
    to_host: Callable[[Any], np.ndarray]  # array of xp -> NumPy
    components: Callable[..., np.ndarray]  # (source, target, n_accounts, *, connection) -> labels
    communities: Callable[..., np.ndarray]  # (source, target, weight, n_accounts, *, ...) -> labels
    ranks: Callable[..., np.ndarray]  # (source, target, weight, n_accounts) -> PageRank
    cores: Callable[..., np.ndarray]  # (source, target, n_accounts) -> core numbers
    free_memory: Callable[[], int]  # bytes
    threads: int  # blocks of pairs that are worked on at a time
    device: str
    versions: dict[str, str]
    # (blocks, function of one, *, n_threads) -> what it makes of each, in order: in threads, or
    # on machines, to which functions go by name and with what they hold
    map_blocks: Callable[..., Iterator[Any]] = map_ahead
    workers: int = 0  # threads of other processes that it goes to

    def __reduce__(self) -> tuple[Any, ...]:
        # On a worker: the libraries that are there; its other threads have blocks of their own.
        return partial(choose, self.name, threads=1), ()

    def __repr__(self) -> str:
        return f"Backend({self.name}: {', '.join(f'{k} {v}' for k, v in self.versions.items())})"


def cpu(*, threads: int | None = None) -> Backend:
    """Return the backend of NumPy, Polars and Numba.

    Parameters
    ----------
    threads
        Threads of the pair kernels; all cores by default.

    Raises
    ------
    ValueError
        There are less than 1 or more than 256 threads.
    """
    import numba

    from gpu_coord.backend import graphs, pairs
    from gpu_coord.ground.memory import count_free_memory

    _check_threads(threads)
    n_usable = numba.config.NUMBA_NUM_THREADS
    n_threads = min(threads or n_usable, n_usable)
    numba.set_num_threads(n_threads)
    return Backend(
        name="cpu",
        xp=np,
        frames="polars",
        pairs=pairs,
        repeat=np.repeat,
        scan=_scan_lazily,
        to_array=lambda series: series.to_numpy(),
        to_host=np.asarray,
        components=graphs.label_components,
        communities=graphs.label_communities,
        ranks=graphs.rank_accounts,
        cores=graphs.count_cores,
        free_memory=count_free_memory,
        threads=n_threads,
        device=f"{platform.processor() or platform.machine()}, {n_threads} threads",
        versions=dict(_read_versions()),
    )


@cache
def _read_versions() -> dict[str, str]:
    """Read the versions once: it takes as long as all matrices of two hundred accounts."""
    libraries = {name: version(name) for name in ("numpy", "polars", "numba", "scipy")}
    return {"python": platform.python_version()} | libraries


def _scan_lazily(path: str, columns: list[str]) -> Any:
    import narwhals as nw

    from gpu_coord.ground.parquet import scan_parquet

    return nw.from_native(scan_parquet(path)).select(columns)


def _check_threads(threads: int | None) -> None:
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise ValueError(
            f"threads is {threads}; it is 1 to {MAX_THREADS}, or leave it out for all cores."
        )


def choose(name: BackendName = "auto", *, threads: int | None = None) -> Backend:
    """Return the backend of that name; ``auto`` takes the GPU if it can be used.

    Raises
    ------
    GpuUnavailableError
        The GPU was named and cannot be used; never a silent fallback.
    ValueError
        The name is another, or there are less than 1 or more than 256 threads.
    """
    if name not in ("auto", "cpu", "gpu"):
        raise ValueError(f"backend is {name!r}; it is one of auto, cpu, gpu.")
    _check_threads(threads)
    if name == "gpu":
        return gpu()
    if name == "auto" and find_spec("cupy") is not None:
        try:
            return gpu()
        except GpuUnavailableError as error:
            _say_once(f"computing on the CPU: {error}")
    return cpu(threads=threads)


@cache
def choose_once() -> Backend:
    """Return the backend of calls that name none: chosen by the first of them."""
    return choose()


@cache
def _say_once(message: str) -> None:
    _log.warning(message)


def gpu() -> Backend:
    """Return the backend of CuPy, cuDF and cuGraph.

    Raises
    ------
    GpuUnavailableError
        The libraries are not there, or a probe failed; the message says which.
    """
    try:
        from gpu_coord.backend.gpu_rapids import build
    except ImportError as error:
        raise GpuUnavailableError(
            f"the GPU cannot be used: {error}; install the extra gpu-cu12 or gpu-cu13 "
            "(`pip install 'gpu-coord[gpu-cu12]'`), or use --backend cpu."
        ) from error
    return build()


def list_usable(*, threads: int | None = None) -> dict[str, dict[str, Any]]:
    """Return by backend what it runs on, or why it cannot be used."""
    usable: dict[str, dict[str, Any]] = {}
    names: tuple[BackendName, ...] = ("cpu", "gpu")
    for name in names:
        try:
            backend = choose(name, threads=threads)
        except GpuUnavailableError as error:
            usable[name] = {"usable": False, "reason": str(error)}
            continue
        usable[name] = {
            "usable": True,
            "device": backend.device,
            "free_memory_bytes": backend.free_memory(),
            "versions": backend.versions,
        }
    return usable
