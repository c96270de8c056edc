"""Device arrays and elementwise functions: NumPy inside, and a border around it."""

from typing import Any

import numpy as np
from doubles_contract import TABLE, bind, draw_order, refuse_name

import cupy

NAMES = frozenset(TABLE["cupy"]["names"])
_METHODS: dict[str, str | None] = TABLE["cupy"]["ndarray"]
_SCALARS = (bool, int, float, complex, np.generic)
_GARBAGE = 0xA5


# --- borders: what may pass, and as what -----------------------------------------------------


def check_dtype(dtype: Any) -> Any:
    if dtype is not None and np.dtype(dtype).kind not in "biufc":
        raise ValueError(f"Unsupported dtype {np.dtype(dtype)}")
    return dtype


def wrap(value: Any) -> Any:
    """Return host results as device arrays; even those that NumPy makes scalars."""
    if isinstance(value, tuple | list):
        return type(value)(wrap(part) for part in value)
    if isinstance(value, np.ndarray | np.generic):
        array = ndarray.__new__(ndarray)
        array._host = np.asarray(value)
        check_dtype(array._host.dtype)
        return array
    return value


def unwrap_operand(value: Any) -> Any:
    """Return the host value of a device array or a scalar; refuse anything else."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, _SCALARS) and np.asarray(value).dtype.kind in "biufc":
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def unwrap_array(value: Any, name: str) -> np.ndarray:
    if not isinstance(value, ndarray):
        raise TypeError(f"'{name}' must be a cupy.ndarray object, not {type(value)}.")
    return value._host


def unwrap_argument(value: Any) -> Any:
    """Return the host value of any argument; host arrays have no business here."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, list | tuple):
        if not all(isinstance(part, int | np.integer) for part in value):
            raise TypeError(f"Unsupported type {type(value)}")
    return value


def _unwrap_index(key: Any) -> Any:
    parts = key if isinstance(key, tuple) else (key,)
    hosts = []
    for part in parts:
        if isinstance(part, ndarray):
            hosts.append(part._host)
        elif part is None or part is Ellipsis or isinstance(part, slice | int | np.integer):
            hosts.append(part)
        else:
            raise TypeError(
                f"Unsupported type {type(part)} as an index: CuPy would copy it to the device "
                "silently, the double does not."
            )
    return tuple(hosts)


# --- ufuncs ----------------------------------------------------------------------------------


class ufunc:
    """An elementwise function with the loops that CuPy has."""

    def __init__(self, name: str):
        real = TABLE["cupy"]["ufuncs"][name]
        self.__name__, self.nin, self.nout = name, real["nin"], real["nout"]
        self.types = real["types"]
        self._good: set[tuple] = set()  # types of operands that have the right loop
        self._function = getattr(np, name, None)
        if not isinstance(self._function, np.ufunc):
            raise refuse_name("cupy", name, NAMES)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if unknown := {name: kwargs[name] for name in kwargs if name not in _UFUNC_KEYWORDS}:
            raise TypeError(f"Wrong arguments {unknown}")
        if not self.nin <= len(args) <= self.nin + self.nout:
            raise TypeError(f"Wrong number of arguments for {self.__name__!r}: {len(args)}.")
        operands = [unwrap_operand(value) for value in args[: self.nin]]
        out = kwargs.pop("out", None)
        outs = args[self.nin :] or (out if isinstance(out, tuple) else (out,))
        hosts = [unwrap_array(value, "out") for value in outs if value is not None]
        if kwargs.get("dtype") is None:
            self._check_loop(operands)
        with np.errstate(all="ignore"):  # a device does not warn
            found = self._function(*operands, *hosts, **kwargs)
        return outs[0] if hosts else wrap(found)

    def _check_loop(self, operands: list[Any]) -> None:
        """Refuse types for which NumPy has a loop and CuPy has none, or another one."""
        weak = (int, float, complex)
        types = tuple(
            type(value) if type(value) in weak else np.asarray(value).dtype for value in operands
        )
        if types in self._good:
            return
        dtypes = self._function.resolve_dtypes((*types, *[None] * self.nout))
        given, wanted = dtypes[: self.nin], list(dtypes[self.nin :])
        for loop in self.types:  # CuPy takes the first whose types can hold those given
            inputs, outputs = loop.split("->")
            if all(np.can_cast(dtype, char) for dtype, char in zip(given, inputs, strict=True)):
                if [np.dtype(char) for char in outputs] != wanted:
                    raise NotImplementedError(
                        f"{self.__name__}: NumPy gives {wanted}, CuPy has the loop {loop}."
                    )
                self._good.add(types)
                return
        raise TypeError(
            f"Wrong type ({', '.join(map(str, types))}) of arguments for cupy_{self.__name__}"
        )


_UFUNC_KEYWORDS = frozenset({"out", "dtype", "casting"})


# --- arrays ----------------------------------------------------------------------------------


class ndarray:
    """An array on the device; the host sees it only when it asks."""

    __slots__ = ("_host",)
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, shape: Any, dtype: Any = float, order: str = "C"):
        check_dtype(dtype)
        self._host = np.empty(shape, dtype, order)
        spoil(self._host)

    # refused, or explicit

    def __array__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to "
            "construct a NumPy array explicitly."
        )

    def __iter__(self) -> None:
        raise TypeError(
            "iteration over a device array is a copy to the host for every element; the double "
            "refuses it: use array functions, or .get() first."
        )

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or function.__name__ not in TABLE["cupy"]["ufuncs"]:
            return NotImplemented
        if isinstance(kwargs.get("out"), tuple):
            [kwargs["out"]] = kwargs["out"]
        return getattr(cupy, function.__name__)(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function.__module__ != "numpy" or function.__name__ not in NAMES:
            return NotImplemented
        return getattr(cupy, function.__name__)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        raise refuse_name("cupy.ndarray", name, _METHODS)

    def get(self, *args: Any, **kwargs: Any) -> np.ndarray:
        given = bind("get", _METHODS["get"], args, kwargs).arguments
        return np.array(self._host, order=given.get("order", "C"), copy=True)

    def item(self, *args: Any, **kwargs: Any) -> Any:
        bind("item", _METHODS["item"], args, kwargs)
        return self._host.item()

    def tolist(self) -> Any:
        return self._host.tolist()

    def __bool__(self) -> bool:
        return bool(self._host)

    def __int__(self) -> int:
        return int(self._host)

    def __float__(self) -> float:
        return float(self._host)

    def __complex__(self) -> complex:
        return complex(self._host)

    def __repr__(self) -> str:
        return repr(self._host)

    def __str__(self) -> str:
        return str(self._host)

    def __format__(self, specification: str) -> str:
        # A 0-d array is formatted as its number.
        return format(self._host[()], specification)

    def __len__(self) -> int:
        return len(self._host)

    def __copy__(self) -> "ndarray":
        return self.copy()

    def __deepcopy__(self, memo: Any) -> "ndarray":
        return self.copy()

    # shape and memory

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: self._host.flags)
    T = property(lambda self: wrap(self._host.T))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": self.shape, "typestr": self.dtype.str, "version": 3}

    # indices

    def __getitem__(self, key: Any) -> "ndarray":
        hosts = _unwrap_index(key)
        basic = not any(isinstance(part, np.ndarray) or part is Ellipsis for part in hosts)
        # With an ellipsis a single element is a view without dimensions, not a host scalar.
        return wrap(self._host[(*hosts, Ellipsis) if basic else hosts])

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, np.ndarray):
            raise ValueError("Non-scalar numpy.ndarray cannot be used for assignment")
        hosts, source = _unwrap_index(key), unwrap_operand(value)
        if isinstance(source, np.ndarray) and source.ndim == 1 and len(hosts) == 1:
            [rows] = hosts
            if isinstance(rows, np.ndarray) and rows.dtype.kind in "iu" and rows.ndim == 1:
                # Which of several values for one place stays is not defined on a device.
                order = draw_order(rows.size)
                hosts = (rows[order],)
                source = source if source.size == 1 else source[order]
        self._host[hosts] = source


def spoil(host: np.ndarray) -> None:
    """Fill fresh memory with what is not zero."""
    if host.size:
        host.reshape(-1, order="A")[...] = np.frombuffer(
            bytes([_GARBAGE if host.dtype.kind != "b" else 1] * host.itemsize), host.dtype
        )[0]


_OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "matmul": "matmul",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "left_shift",
    "rshift": "right_shift",
}
_COMPARISONS = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
_UNARY = {"neg": "negative", "invert": "invert", "abs": "absolute", "pos": "positive"}


def _call_by_name(name: str, *args: Any, **kwargs: Any) -> Any:
    return getattr(cupy, name)(*args, **kwargs)


def _add_operators() -> None:
    def binary(name: str) -> Any:
        return lambda self, other: _call_by_name(name, self, other)

    def reflected(name: str) -> Any:
        return lambda self, other: _call_by_name(name, other, self)

    def in_place(name: str) -> Any:
        return lambda self, other: _call_by_name(name, self, other, out=self)

    for short, name in _OPERATORS.items():
        setattr(ndarray, f"__{short}__", binary(name))
        setattr(ndarray, f"__r{short}__", reflected(name))
        if f"__i{short}__" in _METHODS:
            setattr(ndarray, f"__i{short}__", in_place(name))
    for short, name in _COMPARISONS.items():
        setattr(ndarray, f"__{short}__", binary(name))
    for short, name in _UNARY.items():
        setattr(ndarray, f"__{short}__", lambda self, name=name: _call_by_name(name, self))


_PLAIN_METHODS = (
    "all any argmax argmin argpartition clip conj copy cumprod cumsum diagonal dot flatten max "
    "mean min nonzero prod ravel reshape round squeeze std sum swapaxes take trace transpose var"
).split()


def _add_methods() -> None:
    def make(name: str) -> Any:
        def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
            given = bind(name, _METHODS[name], args, kwargs)
            out = given.kwargs.get("out")
            found = getattr(self._host, name)(
                *[unwrap_argument(value) for value in given.args],
                **{key: unwrap_argument(value) for key, value in given.kwargs.items()},
            )
            return found if out is None and found is None else wrap(found)

        return method

    for name in _PLAIN_METHODS:
        setattr(ndarray, name, make(name))


def _method(function: Any) -> Any:
    """Make a method, bound to the real one's signature, of a function of the same name."""
    name = function.__name__

    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        given = bind(name, _METHODS[name], args, kwargs)
        return function(self, *given.args, **given.kwargs)

    setattr(ndarray, name, method)
    return function


@_method
def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
    check_dtype(dtype)
    casting = casting or "unsafe"
    with np.errstate(all="ignore"):
        return wrap(self._host.astype(dtype, order=order, casting=casting, copy=bool(copy)))


@_method
def view(self, dtype=None, type=None):
    return wrap(self._host.view(check_dtype(dtype)) if dtype is not None else self._host.view())


@_method
def fill(self, value):
    if isinstance(value, np.ndarray) and value.ndim:
        raise ValueError("cannot set non-scalar numpy.ndarray")
    self._host.fill(unwrap_operand(value))


@_method
def sort(self, axis=-1, kind=None):
    check_kind(kind)
    self._host.sort(axis=axis, kind="stable")


@_method
def argsort(self, axis=-1, kind=None):
    return cupy.argsort(self, axis=axis, kind=kind)


@_method
def repeat(self, repeats, axis=None):
    return cupy.repeat(self, repeats, axis)


@_method
def searchsorted(self, v, side="left", sorter=None):
    return cupy.searchsorted(self, v, side, sorter)


def check_kind(kind: Any) -> None:
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")


_add_operators()
_add_methods()
