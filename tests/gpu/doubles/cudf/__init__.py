"""A strict stand-in for cuDF: pandas inside, no more than cuDF 26.10 outside.

Rows come in a seeded disorder wherever cuDF promises none: after merge, group-by and
drop_duplicates, and among ties after sort_values. What leaves for the host is asked for by name.
"""

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from doubles_contract import TABLE, bind, refuse_name

from cudf._frames import DataFrame, Index, Series, from_arrow_table, unwrap, wrap

__all__ = ["DataFrame", "Index", "Series", "concat", "from_pandas", "merge", "read_parquet"]
__version__ = TABLE["versions"]["cudf"]

_FUNCTIONS = TABLE["cudf"]["functions"]


def concat(*args: Any, **kwargs: Any) -> Any:
    given = bind("cudf.concat", _FUNCTIONS["concat"], args, kwargs).arguments
    objects = given.pop("objs")
    if not isinstance(objects, list | tuple):
        raise TypeError("the double concatenates a list of frames.")
    if not all(isinstance(part, DataFrame | Series) for part in objects):
        raise TypeError(f"cannot concatenate object of type {[type(part) for part in objects]}")
    return wrap(pd.concat([unwrap(part) for part in objects], **given))


def merge(left: DataFrame, right: DataFrame, *args: Any, **kwargs: Any) -> DataFrame:
    return left.merge(right, *args, **kwargs)


def from_pandas(*args: Any, **kwargs: Any) -> Any:
    given = bind("cudf.from_pandas", _FUNCTIONS["from_pandas"], args, kwargs).arguments
    if not isinstance(given["obj"], pd.DataFrame | pd.Series | pd.Index):
        raise TypeError("from_pandas takes a pandas object.")
    return wrap(given["obj"].copy())


def read_parquet(*args: Any, **kwargs: Any) -> DataFrame:
    given = bind("cudf.read_parquet", _FUNCTIONS["read_parquet"], args, kwargs).arguments
    if unknown := given.keys() - {"filepath_or_buffer", "columns", "engine"}:
        raise NotImplementedError(f"the double reads whole files; it has no {sorted(unknown)}.")
    table: pa.Table = pq.read_table(given["filepath_or_buffer"], columns=given.get("columns"))
    return from_arrow_table(table)


def __getattr__(name: str) -> Any:
    raise refuse_name("cudf", name, TABLE["cudf"]["names"])
