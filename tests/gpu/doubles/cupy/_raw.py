"""Kernels of CUDA text, run on the host by the shim in tests/gpu/shim.

As CuPy: Python numbers become 64-bit values, NumPy scalars keep their type, a grid of 0 blocks
becomes one of 1. A host array, and a view that is not contiguous, are refused.
"""

import importlib.util
import sys
import threading
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cupy._arrays import ndarray

_SHIM = Path(__file__).resolve().parents[2] / "shim" / "run.py"
# One launch at a time: the shim keeps a launch's arguments where the next one clears them.
_lock = threading.Lock()


@cache
def _load_shim() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_shim_run", _SHIM)
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_shim_run"] = module
    spec.loader.exec_module(module)
    return module


class RawKernel:
    """A kernel: called with a grid, a block and its arguments."""

    def __init__(self, code: str, name: str, options: tuple = (), backend: str = "nvrtc"):
        if not isinstance(options, tuple):
            raise TypeError(f"Argument 'options' must be tuple, not {type(options).__name__}")
        self.code, self.name, self.options, self.backend = code, name, options, backend

    def __call__(self, grid: tuple, block: tuple, args: Any, *, shared_mem: int = 0) -> None:
        for value in (grid, block):
            if not isinstance(value, tuple):
                raise TypeError(f"Expected tuple, got {type(value).__name__}")
        if shared_mem:
            raise NotImplementedError("the shim has no shared memory.")
        with _lock:
            _load_shim().load(self.code, self.options).get_function(self.name)(
                tuple(max(1, int(size)) for size in grid),
                tuple(max(1, int(size)) for size in block),
                tuple(_pass_argument(value) for value in args),
            )


def _pass_argument(value: Any) -> Any:
    if isinstance(value, ndarray):
        if not value._host.flags.c_contiguous:
            raise ValueError(
                f"a kernel takes the memory of an array of shape {value.shape} and strides "
                f"{value.strides} as if it were contiguous; pass cupy.ascontiguousarray of it."
            )
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(
            f"You are trying to pass a numpy.ndarray of shape {value.shape} as a kernel "
            "parameter; pass a cupy.ndarray or a NumPy scalar instead."
        )
    if isinstance(value, np.generic):
        return value
    if isinstance(value, bool | int | float):
        return {bool: np.bool_, int: np.int64, float: np.float64}[type(value)](value)
    raise TypeError(f"Unsupported type {type(value)}")


class RawModule:
    """Several kernels of one text; compiled when the first of them is asked for."""

    def __init__(
        self,
        *,
        code: str | None = None,
        path: str | None = None,
        options: tuple = (),
        backend: str = "nvrtc",
    ):
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if path is not None:
            raise NotImplementedError("the shim takes the text of kernels, no compiled file.")
        if not isinstance(code, str) or not isinstance(options, tuple):
            raise TypeError("Argument 'code' must be str and 'options' tuple.")
        self.code, self.options, self.backend = code, options, backend

    def compile(self, log_stream: Any = None) -> None:
        _load_shim().load(self.code, self.options)

    def get_function(self, name: str) -> RawKernel:
        kernels = _load_shim().load(self.code, self.options).kernels
        if name not in kernels:
            raise RuntimeError(
                f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name!r} is none of "
                f"{sorted(kernels)}"
            )
        return RawKernel(self.code, name, self.options, self.backend)
