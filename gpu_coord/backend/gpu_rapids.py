"""The backend of CuPy, cuDF and cuGraph, behind a chain of probes.

Each library imports without a GPU, so an import proves nothing: every probe computes something.
"""

from importlib.metadata import version
from typing import Any

import cudf
import cugraph
import cupy as cp
import narwhals as nw
import numpy as np

from gpu_coord.backend import Backend, GpuUnavailableError, gpu_graphs, gpu_pairs


def build() -> Backend:
    """Return the backend of the current device.

    Raises
    ------
    GpuUnavailableError
        A probe failed; the message says which, and how.
    """
    for name, probe in PROBES.items():
        try:
            passed = probe()
        except Exception as error:
            raise GpuUnavailableError(_explain(name, f"{type(error).__name__}: {error}")) from error
        if not passed:
            raise GpuUnavailableError(_explain(name, "the answer is wrong"))
    return Backend(
        name="gpu",
        xp=cp,
        frames="cudf",
        pairs=gpu_pairs,
        repeat=repeat,
        scan=scan,
        to_array=lambda series: series.to_native().to_cupy(),
        to_host=to_host,
        components=gpu_graphs.label_components,
        communities=gpu_graphs.label_communities,
        ranks=gpu_graphs.rank_accounts,
        cores=gpu_graphs.count_cores,
        free_memory=gpu_pairs.count_free_memory,
        threads=1,
        device=cp.cuda.runtime.getDeviceProperties(0)["name"].decode(),
        versions=list_versions(),
    )


def _explain(probe: str, failure: str) -> str:
    reason = failure.splitlines()[0]
    return (
        f"the GPU cannot be used: the probe '{probe}' failed ({reason}); `gpu-coord info` shows "
        "what is there, and --backend cpu computes the same."
    )


def _probe_components() -> bool:
    edges = cudf.DataFrame({"source": [0, 1, 3], "target": [1, 2, 4]})
    graph = cugraph.Graph(directed=False)
    graph.from_cudf_edgelist(edges, source="source", destination="target")
    return int(cugraph.weakly_connected_components(graph)["labels"].nunique()) == 2


PROBES = {
    "CuPy finds a device": lambda: bool(cp.cuda.is_available()),
    "CuPy runs a kernel": lambda: int(cp.arange(3).sum()) == 3,
    "cuDF adds a column": lambda: int(cudf.Series([1, 2]).sum()) == 3,
    "cuGraph finds components": _probe_components,
}


def repeat(values: Any, counts: Any) -> Any:
    """Repeat each value as often as the array of counts says; CuPy's own cannot before 14.1."""
    ends = cp.cumsum(counts)
    n_rows = int(ends[-1]) if ends.size else 0
    return values[cp.searchsorted(ends, cp.arange(n_rows), side="right")]


def scan(path: str, columns: list[str]) -> Any:
    """Read some columns to the device; a lazy frame would pass through pandas, on the host."""
    return nw.read_parquet(path, backend="cudf", columns=columns)


def to_host(values: Any) -> np.ndarray:
    """Return an array of the device, or of the host already, as one of the host."""
    return np.asarray(cp.asnumpy(values))


def list_versions() -> dict[str, str]:
    """Return the versions of libraries, driver and runtime."""
    return {
        "cupy": cp.__version__,
        "cudf": cudf.__version__,
        "cugraph": cugraph.__version__,
        "driver": _show_cuda(cp.cuda.runtime.driverGetVersion()),
        "runtime": _show_cuda(cp.cuda.runtime.runtimeGetVersion()),
        "numpy": np.__version__,
        "narwhals": version("narwhals"),
    }


def _show_cuda(number: int) -> str:
    """Return 12090 as 12.9."""
    return f"{number // 1000}.{number % 1000 // 10}"
