"""Frames, series and indices: a pandas object inside, and a border around it."""

from typing import Any

import cupy
import numpy as np
import pandas as pd
import pyarrow as pa
from cupy._arrays import wrap as wrap_array
from doubles_contract import TABLE, bind, draw_order, refuse_name

_SCALARS = (bool, int, float, str, bytes, type, np.generic, np.dtype, type(None), slice)


# --- borders ---------------------------------------------------------------------------------


def wrap(value: Any, like: Any = None) -> Any:
    """Return pandas results as the double's; scalars and names pass."""
    for inside, outside in ((pd.DataFrame, DataFrame), (pd.Series, Series), (pd.Index, Index)):
        if isinstance(value, inside):
            found = outside.__new__(outside)
            found._pd = value
            same = like is not None and outside is not Index and like._pd.index.is_(value.index)
            found._index = like._index if same else None
            return found
    return value


def unwrap(value: Any) -> Any:
    """Return the pandas or NumPy value of an argument; host arrays are refused."""
    if isinstance(value, DataFrame | Series | Index):
        return value._pd
    if isinstance(value, cupy.ndarray):
        return value.get()
    if isinstance(value, list | tuple):
        return type(value)(unwrap(part) for part in value)
    if isinstance(value, dict):
        return {key: unwrap(part) for key, part in value.items()}
    if isinstance(value, _SCALARS):
        return value
    raise TypeError(f"Unsupported type {type(value)}: copy it to the device by name first.")


def _unwrap_operand(value: Any) -> Any:
    if isinstance(value, list | tuple | dict):
        raise TypeError(f"Unsupported type {type(value)} in an operation.")
    return unwrap(value)


def _unwrap_data(value: Any) -> Any:
    """Return what a constructor may be given: host data too, since it is asked for by name."""
    if isinstance(value, dict):
        return {key: _unwrap_data(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | range | pd.Series | pd.Index | pd.DataFrame):
        return value
    return unwrap(value)


def _shuffle(value: Any) -> Any:
    return value.iloc[draw_order(len(value))]


def from_arrow_table(table: pa.Table) -> "DataFrame":
    columns = {name: _from_arrow(table[name]) for name in table.column_names}
    return wrap(pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows)))


def _from_arrow(column: pa.ChunkedArray) -> pd.Series:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    nullable = column.null_count and (
        pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)
    )
    dtypes = {
        pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(), pa.uint8(): pd.UInt8Dtype(), pa.uint16(): pd.UInt16Dtype(),
        pa.uint32(): pd.UInt32Dtype(), pa.uint64(): pd.UInt64Dtype(), pa.bool_(): pd.BooleanDtype(),
    }  # fmt: skip
    return column.to_pandas(types_mapper=dtypes.get if nullable else None)


# --- what frames and series share --------------------------------------------------------------


class _Framed:
    """Behaviour that frames, series and indices share."""

    _pd: Any
    _index: Any
    __array_ufunc__ = None
    __hash__ = None

    def __array__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(
            "Implicit conversion to a host NumPy array via __array__ is not allowed, To "
            "explicitly construct a GPU matrix, consider using .to_cupy()\nTo explicitly "
            "construct a host matrix, consider using .to_numpy()."
        )

    def __arrow_array__(self, type: Any = None) -> None:
        raise TypeError(
            "Implicit conversion to a host PyArrow object via __arrow_array__ is not allowed. "
            "Consider using .to_arrow()"
        )

    def __iter__(self) -> Any:
        raise TypeError(
            f"{type(self).__name__} object is not iterable. Consider using `.to_arrow()`, "
            "`.to_pandas()` or `.to_numpy()` if you wish to iterate over the values."
        )

    def __bool__(self) -> bool:
        raise ValueError(f"The truth value of a {type(self).__name__} is ambiguous.")

    def __len__(self) -> int:
        return len(self._pd)

    def __repr__(self) -> str:
        return repr(self._pd)

    def __getattr__(self, name: str) -> Any:
        if name in ("_pd", "_index"):
            raise AttributeError(name)
        kind = type(self).__name__
        raise refuse_name(f"cudf.{kind}", name, TABLE["cudf"][kind])

    shape = property(lambda self: self._pd.shape)
    size = property(lambda self: self._pd.size)
    ndim = property(lambda self: self._pd.ndim)
    empty = property(lambda self: self._pd.empty)

    def to_pandas(self, **kwargs: Any) -> Any:
        if kwargs:
            raise NotImplementedError(f"to_pandas has no {sorted(kwargs)} in the double.")
        return self._pd.copy()

    def to_numpy(self, dtype: Any = None, copy: bool = True, na_value: Any = None) -> np.ndarray:
        if not copy:
            raise ValueError(
                "copy=False is not supported because conversion to a numpy array always copies "
                "the data."
            )
        return self.to_cupy(dtype, na_value=na_value).get()

    def to_cupy(self, dtype: Any = None, copy: bool = False, na_value: Any = None) -> Any:
        if self._pd.isna().to_numpy().any() and na_value is None:
            raise ValueError("Column must have no nulls.")
        host = self._pd.to_numpy(dtype=dtype) if na_value is None else self._pd.fillna(na_value)
        host = np.asarray(host, dtype=dtype)
        if host.dtype.kind not in "biufc":
            raise TypeError(f"cupy does not support {host.dtype}")
        return wrap_array(np.array(host))

    @property
    def values(self) -> Any:
        return self.to_cupy()


class _Indexed(_Framed):
    """Behaviour of frames and series: rows have labels."""

    @property
    def index(self) -> "Index":
        if self._index is None:
            self._index = wrap(self._pd.index)
        return self._index

    @index.setter
    def index(self, index: Any) -> None:
        labels = index if isinstance(index, Index) else Index(index)
        self._pd = self._pd.set_axis(labels._pd, axis=0)
        self._index = labels if self._pd.index.is_(labels._pd) else None

    @property
    def loc(self) -> "_Locator":
        return _Locator(self, "loc")

    @property
    def iloc(self) -> "_Locator":
        return _Locator(self, "iloc")


class _Locator:
    """``loc`` and ``iloc``; a single value comes to the host, as in cuDF."""

    def __init__(self, owner: Any, name: str):
        self.owner, self.name = owner, name

    def __getitem__(self, key: Any) -> Any:
        return wrap(getattr(self.owner._pd, self.name)[unwrap(key)], self.owner)

    def __setitem__(self, key: Any, value: Any) -> None:
        getattr(self.owner._pd, self.name)[unwrap(key)] = _unwrap_operand(value)


# --- frames ------------------------------------------------------------------------------------


class DataFrame(_Indexed):
    """A table on the device."""

    def __init__(self, *args: Any, **kwargs: Any):
        given = bind("DataFrame", TABLE["cudf"]["DataFrame"]["__init__"], args, kwargs).arguments
        self._pd = pd.DataFrame(**{name: _unwrap_data(value) for name, value in given.items()})
        self._index = None

    def __getattr__(self, name: str) -> Any:
        if name not in ("_pd", "_index") and name in self._pd.columns:
            return self[name]
        return super().__getattr__(name)

    def __iter__(self) -> Any:
        return iter(self._pd.columns)

    def itertuples(self, index: bool = True, name: str = "Pandas") -> None:
        raise TypeError(
            "cuDF does not support iteration of DataFrame via itertuples. Consider using "
            "`.to_pandas().itertuples()` if you wish to iterate over namedtuples."
        )

    def iterrows(self) -> None:
        raise TypeError(
            "cuDF does not support iteration of DataFrame via iterrows. Consider using "
            "`.to_pandas().iterrows()` if you wish to iterate over each row."
        )

    def items(self) -> Any:
        return ((name, self[name]) for name in self._pd.columns)

    @property
    def columns(self) -> pd.Index:
        return self._pd.columns

    @columns.setter
    def columns(self, names: Any) -> None:
        self._pd = self._pd.set_axis(list(names), axis=1)

    @property
    def dtypes(self) -> pd.Series:
        return self._pd.dtypes

    def __getitem__(self, key: Any) -> Any:
        return wrap(self._pd[unwrap(key)], self)

    def __setitem__(self, key: Any, value: Any) -> None:
        inside = _unwrap_operand(value)
        if not len(self._pd.columns) and isinstance(inside, np.ndarray | pd.Series):
            self._pd = pd.DataFrame(index=pd.RangeIndex(len(inside)))
            self._index = None
        self._pd[key] = inside

    @classmethod
    def from_arrow(cls, table: pa.Table) -> "DataFrame":
        return from_arrow_table(table)

    @classmethod
    def from_dict(cls, data: dict, orient: str = "columns") -> "DataFrame":
        if orient != "columns":
            raise NotImplementedError("the double takes columns.")
        return cls(data)

    def to_arrow(self, preserve_index: bool | None = None) -> pa.Table:
        table = pa.Table.from_pandas(self._pd, preserve_index=preserve_index)
        return table.replace_schema_metadata(None)

    def merge(self, *args: Any, **kwargs: Any) -> "DataFrame":
        given = bind("DataFrame.merge", TABLE["cudf"]["DataFrame"]["merge"], args, kwargs)
        options = {name: unwrap(value) for name, value in given.arguments.items()}
        if options.get("how", "inner") not in ("inner", "left", "right", "outer"):
            raise NotImplementedError(f"the double has no merge {options['how']!r}.")
        if options.get("indicator"):
            raise NotImplementedError("Only indicator=False is currently supported.")
        found = self._pd.merge(**options)
        return wrap(_shuffle(found).reset_index(drop=True))

    def groupby(self, *args: Any, **kwargs: Any) -> "DataFrameGroupBy":
        given = bind("DataFrame.groupby", TABLE["cudf"]["DataFrame"]["groupby"], args, kwargs)
        options = {name: unwrap(value) for name, value in given.arguments.items()}
        options.setdefault("sort", False)
        return DataFrameGroupBy(self._pd.groupby(**options))

    def drop_duplicates(self, *args: Any, **kwargs: Any) -> "DataFrame":
        parameters = TABLE["cudf"]["DataFrame"]["drop_duplicates"]
        given = bind("DataFrame.drop_duplicates", parameters, args, kwargs)
        options = {name: unwrap(value) for name, value in given.arguments.items()}
        _refuse_in_place(options)
        again = options.pop("ignore_index", False)
        found = _shuffle(self._pd.drop_duplicates(**options))
        return wrap(found.reset_index(drop=True) if again else found)

    def sort_values(self, *args: Any, **kwargs: Any) -> "DataFrame":
        parameters = TABLE["cudf"]["DataFrame"]["sort_values"]
        given = bind("DataFrame.sort_values", parameters, args, kwargs)
        options = {name: unwrap(value) for name, value in given.arguments.items()}
        _refuse_in_place(options)
        if options.pop("kind", "quicksort") not in ("quicksort", "stable", "mergesort"):
            raise NotImplementedError("this kind of sort is not supported.")
        return wrap(_shuffle(self._pd).sort_values(kind="stable", **options))


def _refuse_in_place(options: dict[str, Any]) -> None:
    if options.pop("inplace", False):
        raise NotImplementedError("the double changes nothing in place.")


# --- series and indices --------------------------------------------------------------------------


class _Single(_Framed):
    """Behaviour of one column."""

    dtype = property(lambda self: self._pd.dtype)
    is_unique = property(lambda self: self._pd.is_unique)

    @property
    def name(self) -> Any:
        return self._pd.name

    @name.setter
    def name(self, name: Any) -> None:
        self._pd = self._pd.rename(name)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": self.shape, "typestr": self._pd.dtype.str, "version": 3}

    def to_arrow(self) -> pa.Array:
        return pa.array(self._pd, from_pandas=True)


class Series(_Single, _Indexed):
    """A column on the device."""

    def __init__(self, *args: Any, **kwargs: Any):
        given = bind("Series", TABLE["cudf"]["Series"]["__init__"], args, kwargs).arguments
        self._pd = pd.Series(**{name: _unwrap_data(value) for name, value in given.items()})
        self._index = given["index"] if isinstance(given.get("index"), Index) else None

    def __getitem__(self, key: Any) -> Any:
        return wrap(self._pd[unwrap(key)], self)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._pd[unwrap(key)] = _unwrap_operand(value)

    def groupby(self, *args: Any, **kwargs: Any) -> "SeriesGroupBy":
        given = bind("Series.groupby", TABLE["cudf"]["Series"]["groupby"], args, kwargs)
        options = {name: unwrap(value) for name, value in given.arguments.items()}
        options.setdefault("sort", False)
        return SeriesGroupBy(self._pd.groupby(**options))

    def unique(self) -> "Series":
        return wrap(pd.Series(self._pd.unique(), name=self._pd.name).pipe(_shuffle))

    def drop_duplicates(self, *args: Any, **kwargs: Any) -> "Series":
        parameters = TABLE["cudf"]["Series"]["drop_duplicates"]
        given = bind("Series.drop_duplicates", parameters, args, kwargs).arguments
        _refuse_in_place(given)
        return wrap(_shuffle(self._pd.drop_duplicates(**given)))

    def value_counts(self, *args: Any, **kwargs: Any) -> "Series":
        parameters = TABLE["cudf"]["Series"]["value_counts"]
        given = bind("Series.value_counts", parameters, args, kwargs).arguments
        return wrap(_shuffle(self._pd.value_counts(**given)))

    def sort_values(self, *args: Any, **kwargs: Any) -> "Series":
        parameters = TABLE["cudf"]["Series"]["sort_values"]
        given = bind("Series.sort_values", parameters, args, kwargs).arguments
        _refuse_in_place(given)
        given.pop("kind", None)
        return wrap(_shuffle(self._pd).sort_values(kind="stable", **given))


class Index(_Single):
    """Row labels on the device."""

    def __init__(self, *args: Any, **kwargs: Any):
        given = bind("Index", TABLE["cudf"]["Index"]["__init__"], args, kwargs).arguments
        self._pd = pd.Index(**{name: _unwrap_data(value) for name, value in given.items()})
        self._index = None

    names = property(lambda self: self._pd.names)

    def __getitem__(self, key: Any) -> Any:
        return wrap(self._pd[unwrap(key)])


# --- groups --------------------------------------------------------------------------------------


class _GroupBy:
    """Groups of rows; every result has its rows in a disorder of its own."""

    def __init__(self, groups: Any):
        self._groups = groups

    def __getattr__(self, name: str) -> Any:
        kind = type(self).__name__
        if name in ("apply", "transform", "pipe", "filter"):
            raise TypeError(
                f"{kind}.{name} calls Python for every group on the host: use an aggregation."
            )
        raise refuse_name(f"cudf.{kind}", name, TABLE["cudf"][kind])

    def __iter__(self) -> None:
        raise TypeError("the double refuses to iterate over groups.")


class DataFrameGroupBy(_GroupBy):
    """Groups of rows of a frame."""

    def __getitem__(self, key: Any) -> Any:
        kind = DataFrameGroupBy if isinstance(key, list) else SeriesGroupBy
        return kind(self._groups[key])


class SeriesGroupBy(_GroupBy):
    """Groups of values of a column."""


# --- methods that pandas and cuDF share ----------------------------------------------------------

_ROW_METHODS = (
    "abs all any astype clip copy count drop dropna eq fillna ge gt head isin isna isnull le lt "
    "max mean min ne notna notnull nunique rename reset_index round std sum tail where"
).split()
_OF_FRAMES = "assign duplicated nlargest nsmallest set_index".split()
_OF_SERIES = "duplicated to_frame".split()
_OF_INDICES = "isna max min nunique copy rename astype".split()
_OF_GROUPS = "all any count max mean min nunique size sum".split()
_OPERATORS = (
    "add sub mul truediv floordiv mod pow and or xor radd rsub rmul rtruediv rfloordiv rmod rpow "
    "rand ror rxor eq ne lt le gt ge"
).split()
_UNARY = "neg invert abs".split()


def _delegate(kind: type, name: str) -> None:
    """Give a class pandas' method of that name, bound to the signature that cuDF has."""
    parameters = TABLE["cudf"][kind.__name__].get(name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = bind(f"{kind.__name__}.{name}", parameters, args, kwargs)
        found = getattr(self._pd, name)(
            *[unwrap(value) for value in given.args],
            **{key: unwrap(value) for key, value in given.kwargs.items()},
        )
        return wrap(found, self)

    if name in TABLE["cudf"][kind.__name__]:
        setattr(kind, name, method)


def _delegate_operator(kind: type, name: str) -> None:
    def method(self: Any, *others: Any) -> Any:
        inside = getattr(self._pd, name)(*[_unwrap_operand(other) for other in others])
        return NotImplemented if inside is NotImplemented else wrap(inside, self)

    setattr(kind, name, method)


def _delegate_groups(kind: type, name: str) -> None:
    parameters = TABLE["cudf"][kind.__name__].get(name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = bind(f"{kind.__name__}.{name}", parameters, args, kwargs)
        found = getattr(self._groups, name)(*given.args, **given.kwargs)
        return wrap(_shuffle(found))

    setattr(kind, name, method)


for _name in _ROW_METHODS:
    _delegate(DataFrame, _name)
    _delegate(Series, _name)
for _name in _OF_FRAMES:
    _delegate(DataFrame, _name)
for _name in _OF_SERIES:
    _delegate(Series, _name)
for _name in _OF_INDICES:
    _delegate(Index, _name)
for _kind in (DataFrame, Series):
    for _name in (*_OPERATORS, *_UNARY):
        _delegate_operator(_kind, f"__{_name}__")
for _kind in (DataFrameGroupBy, SeriesGroupBy):
    for _name in _OF_GROUPS:
        _delegate_groups(_kind, _name)
