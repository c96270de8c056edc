"""Columns of integers -> their distinct rows, in order."""

from collections.abc import Sequence
from math import prod
from typing import Any

_MAX_KEYS = 2**63  # what 64 bits with a sign hold from 0 on


def list_distinct(columns: Sequence[Any], sizes: Sequence[int], *, xp: Any) -> list[Any]:
    """Return the distinct rows of some columns, ascending by the first column, then the next.

    Rows are sorted as one number each where 64 bits hold them, which is some forty times faster.

    Parameters
    ----------
    columns
        Integers from 0 on, (n_rows,) each.
    sizes
        What the integers of each column lie below.
    xp
        The array library that the columns are of.
    """
    if prod(sizes) > _MAX_KEYS:
        order = xp.lexsort(xp.stack([column.astype("int64") for column in reversed(columns)]))
        return _drop_repeated([column[order] for column in columns], xp=xp)
    key = xp.zeros(columns[0].size, dtype="int64")
    for column, size in zip(columns, sizes, strict=True):
        key = key * size + column
    key.sort()
    (key,) = _drop_repeated([key], xp=xp)
    distinct = []
    for size in reversed(sizes):
        distinct.append(key % size)
        key = key // size
    return distinct[::-1]


def _drop_repeated(columns: list[Any], *, xp: Any) -> list[Any]:
    is_new = xp.zeros(columns[0].size, dtype=bool)
    is_new[:1] = True
    for column in columns:
        is_new[1:] |= column[1:] != column[:-1]
    return [column[is_new] for column in columns]
