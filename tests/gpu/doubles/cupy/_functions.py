"""Functions of arrays, as far as the project needs them: what CuPy does, on the host."""

from typing import Any

import numpy as np
from doubles_contract import draw_order, refuse_name

from cupy._arrays import (
    check_dtype,
    check_kind,
    ndarray,
    spoil,
    unwrap_argument,
    unwrap_array,
    unwrap_operand,
    wrap,
)


def _array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    if subok:
        raise NotImplementedError
    if isinstance(obj, ndarray):
        host = obj._host
    elif hasattr(type(obj), "__cuda_array_interface__"):
        host = obj.to_cupy()._host
    else:
        host = np.array(_unwrap_nested(obj), dtype=dtype)
        copy = False
    check_dtype(host.dtype if dtype is None else dtype)
    return wrap(np.array(host, dtype=dtype, copy=copy or None, order=order, ndmin=ndmin))


def _unwrap_nested(obj: Any) -> Any:
    if isinstance(obj, list | tuple):
        return [_unwrap_nested(part) for part in obj]
    return obj._host if isinstance(obj, ndarray) else obj


def _asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return _array(a, dtype, bool(copy), order or "K")


def _ascontiguousarray(a, dtype=None):
    return wrap(np.ascontiguousarray(unwrap_array(a, "a"), check_dtype(dtype)))


def _asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    if out is not None:
        raise refuse_name("cupy.asnumpy(out=)", "out", ["out"])
    return a.get(order=order) if isinstance(a, ndarray) else np.asarray(a, order=order)


def _empty(shape, dtype=float, order="C"):
    return ndarray(shape, dtype, order)


def _empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    host = np.empty_like(unwrap_array(prototype, "prototype"), check_dtype(dtype), order)
    host = host if shape is None else np.empty(shape, host.dtype)
    spoil(host)
    return wrap(host)


def _repeat(a, repeats, axis=None):
    # CuPy 14.1.1 and 14.2 take a device array of counts; 14.0.1, which RAPIDS 26.10 allows,
    # does not: "cupy.ndarray cannot be specified as `repeats` argument".
    if isinstance(repeats, ndarray):
        raise ValueError(
            "cupy.ndarray cannot be specified as `repeats` argument (before CuPy 14.1)."
        )
    if isinstance(repeats, np.ndarray):
        raise TypeError("'repeats' does not accept numpy.ndarray; convert with cupy.array() first")
    return wrap(np.repeat(unwrap_array(a, "a"), repeats, axis))


def _lexsort(keys):
    host = unwrap_array(keys, "keys")
    if host.ndim > 2:
        raise NotImplementedError("Keys with the rank of three or more is not supported in lexsort")
    return wrap(np.array(0, np.intp) if host.ndim == 1 else np.lexsort(host))


def _argsort(a, axis=-1, kind=None):
    check_kind(kind)
    return wrap(np.argsort(unwrap_array(a, "a"), axis=axis, kind="stable"))


def _sort(a, axis=-1, kind=None):
    check_kind(kind)
    return wrap(np.sort(unwrap_array(a, "a"), axis=axis, kind="stable"))


def _bincount(x, weights=None, minlength=None):
    rows = unwrap_array(x, "x")
    if rows.ndim != 1:
        depth = "deep" if rows.ndim > 1 else "small a depth"
        raise ValueError(f"object too {depth} for desired array")
    if rows.dtype.kind == "f":
        raise TypeError("x must be int array")
    if weights is None:
        return wrap(np.bincount(rows, minlength=int(minlength or 0)))
    values = unwrap_array(weights, "weights")
    if values.shape != rows.shape:
        raise ValueError("The weights and list don't have the same length.")
    # Atomic additions come in any order, and rounding depends on it.
    order = draw_order(rows.size)
    return wrap(np.bincount(rows[order], values[order], minlength=int(minlength or 0)))


def _searchsorted(a, v, side="left", sorter=None):
    host = unwrap_array(a, "a")
    if not isinstance(v, ndarray | bool | int | float | complex):
        raise NotImplementedError("Only python scalars or ndarrays are supported for v")
    sorter = None if sorter is None else unwrap_array(sorter, "sorter")
    return wrap(np.searchsorted(host, unwrap_operand(v), side, sorter))


def _where(condition, x=None, y=None):
    marks = unwrap_array(condition, "condition")
    if (x is None) != (y is None):
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    if x is None:
        return wrap(np.nonzero(marks))
    return wrap(np.where(marks.astype(bool), unwrap_operand(x), unwrap_operand(y)))


def _join(name: str) -> Any:
    def function(tup, *args, **kwargs):
        parts = list(tup) if isinstance(tup, list | tuple) else [tup]
        if not all(isinstance(part, ndarray) for part in parts):
            raise TypeError("Only cupy arrays can be concatenated")
        out = kwargs.pop("out", None)
        if out is not None:
            kwargs["out"] = unwrap_array(out, "out")
        return wrap(getattr(np, name)([part._host for part in parts], *args, **kwargs))

    return function


def _packbits(a, axis=None, bitorder="big"):
    if axis is not None:
        raise NotImplementedError("axis option is not supported yet")
    return wrap(np.packbits(unwrap_array(a, "a"), bitorder=bitorder))


def _unpackbits(a, axis=None, bitorder="big"):
    if axis is not None:
        raise NotImplementedError("axis option is not supported yet")
    return wrap(np.unpackbits(unwrap_array(a, "a"), bitorder=bitorder))


def _matmul(x1, x2, out=None):
    return wrap(np.matmul(unwrap_array(x1, "x1"), unwrap_array(x2, "x2"), out=out))


def _of_arrays(name: str) -> Any:
    """Return NumPy's function for arguments that CuPy takes; the first is a device array."""

    def function(a, *args, **kwargs):
        unwrap_array(a, "a")
        with np.errstate(all="ignore"):
            found = getattr(np, name)(
                a._host,
                *[unwrap_argument(value) for value in args],
                **{key: unwrap_argument(value) for key, value in kwargs.items()},
            )
        return wrap(found)

    return function


def _of_scalars(name: str) -> Any:
    """Return NumPy's function for shapes and scalars, which makes a device array."""

    def function(*args, **kwargs):
        for value in (*args, *kwargs.values()):
            if isinstance(value, np.ndarray | list):
                raise TypeError(f"Unsupported type {type(value)}")
        check_dtype(kwargs.get("dtype"))
        return wrap(getattr(np, name)(*args, **kwargs))

    return function


def _full(shape, fill_value, dtype=None, order="C"):
    return wrap(np.full(shape, unwrap_operand(fill_value), check_dtype(dtype), order))


OWN = {
    "array": _array,
    "asarray": _asarray,
    "ascontiguousarray": _ascontiguousarray,
    "asnumpy": _asnumpy,
    "empty": _empty,
    "empty_like": _empty_like,
    "full": _full,
    "repeat": _repeat,
    "lexsort": _lexsort,
    "argsort": _argsort,
    "sort": _sort,
    "bincount": _bincount,
    "searchsorted": _searchsorted,
    "where": _where,
    "matmul": _matmul,
    "packbits": _packbits,
    "unpackbits": _unpackbits,
    **{name: _join(name) for name in ("concatenate", "stack", "hstack", "vstack", "column_stack")},
    **{name: _of_scalars(name) for name in ("arange", "zeros", "ones", "eye", "linspace")},
    **{
        name: _of_arrays(name)
        for name in (
            "all amax amin any argmax argmin array_equal broadcast_to clip count_nonzero cumprod "
            "cumsum diff dot expand_dims flatnonzero flip full_like isin max mean min moveaxis "
            "nonzero ones_like prod ravel reshape roll squeeze std sum take tile transpose unique "
            "var zeros_like"
        ).split()
    },
}
# Functions of types, not of arrays: the same in both libraries.
SAME = frozenset(
    "bool_ byte complex128 complex64 complexfloating double dtype euler_gamma finfo float16 "
    "float32 float64 floating generic half iinfo inexact inf int16 int32 int64 int8 intc integer "
    "intp longlong nan newaxis number pi short signedinteger single ubyte uint uint16 uint32 "
    "uint64 uint8 uintc uintp ulonglong unsignedinteger ushort can_cast issubdtype promote_types "
    "result_type ndindex".split()
)
