"""Ids as they stand in files: which are missing, and which a spreadsheet damaged or lost.

In: columns of ids. Out: text. The one idea: an id is taken verbatim unless it has the mark of a
program that takes ids for numbers or formulas; what such a program lost is not guessed.
"""

from __future__ import annotations

from collections import Counter

import polars as pl

from gpu_coord.archive.cells import null_blank
from gpu_coord.archive.sources import ArchiveError

# A formula whose value is text; a mark that says that a cell is text; a whole number as a fraction;
# a power of ten. Short numbers with a point are versions and names.
_FORMULA = r"""^="(.*)"$"""
_MARKED = r"^'([0-9]+)$"
_FRACTION = r"^([0-9]{5,15})\.0+$"
_POWER = r"^([0-9])(?:\.([0-9]+))?[eE]\+?([0-9]+)$"
# In `9e1234` no program wrote a number; `9E+17` and `9.1E17` it did.
_NUMBER = r"^\s*(?:[0-9](?:\.[0-9]+)?[eE]\+[0-9]+|[0-9]\.[0-9]+[eE][0-9]+|[0-9]{16,}\.0+)\s*$"
_MAY_BE_DAMAGED = r"""^\s*(?:="|'[0-9]|[0-9]+\.[0-9]*|[0-9][eE]\+)"""
_EXACT_DIGITS = 15  # of the numbers of spreadsheets and of most programs

RESCUE = (
    "export again with ids as text: in a spreadsheet import the column as text, in R and pandas "
    "read it as character or str"
)


def read_ids(column: pl.Series, *, name: str) -> pl.Series:
    """Return ids as text, verbatim; null where they are blank or a word for nothing (``NA``).

    Raises
    ------
    ArchiveError
        The column holds floating-point or nested values, or bytes that are not UTF-8.
    """
    if column.dtype.is_float() or column.dtype.is_nested():
        raise ArchiveError(
            f"{name} stores {column.name} as {column.dtype}, which cannot hold ids exactly; "
            "write that column as text."
        )
    texts = write_out(column, name)
    return texts.to_frame("id").select(null_blank(pl.col("id"))).to_series().alias(column.name)


def write_out(column: pl.Series, name: str) -> pl.Series:
    """Return the values of a column as text.

    Raises
    ------
    ArchiveError
        They cannot be written as text.
    """
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        hint = " that are not UTF-8" if column.dtype == pl.Binary else ""
        raise ArchiveError(
            f"{name} stores {column.name} as {column.dtype} values{hint}, which cannot be read as "
            "text; write that column as text."
        ) from error


def mend_ids(ids: pl.Series, mended: Counter[str]) -> pl.Series:
    """Return ids without what a spreadsheet put around them, where nothing of them is lost.

    ``="12"`` and ``'12`` are 12, ``12345.0`` is 12345, ``1.2345E+4`` is 12345: all its digits are
    there, and no more than 15, which is what numbers hold.

    Parameters
    ----------
    ids
        Text; null where there is none.
    mended
        How many were, is counted here under the name of the column.
    """
    at = ids.str.contains(_MAY_BE_DAMAGED).arg_true()
    if not at.len():
        return ids
    text = pl.col("id").str.strip_chars()
    power = text.str.extract_groups(_POWER).struct
    digits, n_zeros = power.field("2").fill_null(""), power.field("3").cast(pl.Int64, strict=False)
    is_whole = (digits.str.len_chars() == n_zeros) & (n_zeros < _EXACT_DIGITS)
    found = ids.gather(at)
    whole = found.to_frame("id").select(
        pl.coalesce(
            *(text.str.extract(form) for form in (_FORMULA, _MARKED, _FRACTION)),
            pl.when(is_whole).then(power.field("1") + digits),
            "id",
        )
    )
    mended += Counter({ids.name: int((whole.to_series() != found).sum())})
    return ids.clone().scatter(at, whole.to_series())


def is_rounded(ids: pl.Expr) -> pl.Expr:
    """Tell which ids are numbers of which the last digits are lost (``7.9E+17``)."""
    return ids.str.contains(_NUMBER).fill_null(value=False)


def say_rounded(column: str) -> str:
    """Return the reason for which a record with such an id is set aside."""
    return f"{column} is a rounded number"


ROUNDED_ITEM = " (rounded id)"  # behind the kind of an entity that is none, in the manifest


def count_cut(ids: pl.Series) -> tuple[int, int]:
    """Return how many ids are longer than 15 digits, and of how many these are all but zeros.

    By chance one id of 18 digits in a thousand ends so; a spreadsheet writes all of them so.
    """
    long = ids.filter(ids.str.contains(r"^[0-9]{18,20}$"))
    return long.len(), int(long.str.contains(r"^[0-9]{15}0+$").sum())
