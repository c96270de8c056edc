"""A strict stand-in for CuPy: NumPy inside, no more than CuPy 14 outside.

Stricter than CuPy on purpose, where CuPy moves data or hides a mistake silently: no Python
iteration, no host arrays as indices, no index out of bounds (CuPy wraps), no kernel argument that
is a strided view, uninitialised memory is not zero, and sums by atomics have no fixed order.
"""

from typing import Any

import numpy as np
from doubles_contract import TABLE, bind, refuse_name

from cupy import cuda
from cupy._arrays import NAMES, ndarray, ufunc
from cupy._functions import OWN, SAME
from cupy._raw import RawKernel, RawModule

__all__ = ["RawKernel", "RawModule", "cuda", "ndarray", "ufunc"]
__version__ = TABLE["versions"]["cupy"]

_FUNCTIONS: dict[str, str] = TABLE["cupy"]["functions"]


def is_available() -> bool:
    return cuda.is_available()


def get_default_memory_pool() -> "cuda.MemoryPool":
    return cuda.MemoryPool()


def _spec(name: str, function: Any) -> Any:
    """Return the function, taking only calls that bind to the real one's signature."""

    def specced(*args: Any, **kwargs: Any) -> Any:
        given = bind(f"cupy.{name}", _FUNCTIONS[name], args, kwargs)
        return function(*given.args, **given.kwargs)

    specced.__name__ = specced.__qualname__ = name
    return specced


def __getattr__(name: str) -> Any:
    if name in TABLE["cupy"]["ufuncs"]:
        found: Any = ufunc(name)
    elif name in OWN and name in NAMES:
        found = _spec(name, OWN[name])
    elif name in SAME and name in NAMES:
        found = getattr(np, name)
    else:
        raise refuse_name("cupy", name, NAMES)
    globals()[name] = found
    return found
