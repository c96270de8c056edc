"""Times that an archive can hold, and what the numbers of a column of times count.

In: a column as it stands in the file. Out: milliseconds, and where a cell is no time of a post, the
reason and the value. The one idea: what a number counts is told by its size, and by its column.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import polars as pl

from gpu_coord.archive.cells import (
    NUMBER,
    bound_times,
    give_reason,
    parse_share_times,
    seconds_to_millis,
)
from gpu_coord.archive.ids import write_out
from gpu_coord.archive.sources import ArchiveError

if TYPE_CHECKING:
    from pathlib import Path

    from gpu_coord.archive.settings import TimeSource

Unit = Literal["seconds", "milliseconds", "microseconds"]

DAY_MS = 86_400_000
SNOWFLAKE_EPOCH = 1_288_834_974_657  # ms; an id shifted right by 22 bits counts from here
FIRST_SNOWFLAKE = 29_700_859_247  # ids below were given out one by one and carry no time
MINUTE = 60_000
FIRST_TWEET = 1_142_899_200_000  # 2006-03-21, when Twitter began
FIRST_SHARE = 631_152_000_000  # 1990-01-01
SERIAL_DAYS = (20_000, 80_000)  # days since 1900, as spreadsheets count: 1954 to 2119
PLACEHOLDERS = (0.0, 1.0)
# Numbers since 1990 in seconds, since 2001 in the others: no two units have one in common.
_SIZES: dict[Unit, tuple[float, float]] = {
    "seconds": (FIRST_SHARE / 1000, 1e12),
    "milliseconds": (1e12, 1e13),
    "microseconds": (1e15, 1e16),
}
_PER_SECOND: dict[Unit, int] = {"seconds": 1, "milliseconds": 1000, "microseconds": 1_000_000}
_MAX_SHOWN = 40


def read_numbers(column: pl.Series) -> pl.Series:
    """Return the numbers among the cells of a column of times; null where a cell is none."""
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    text = column.cast(pl.String, strict=False).str.strip_chars()
    return text.set(~text.str.contains(NUMBER), None).cast(pl.Float64, strict=False)


def read_times(column: pl.Series, *, name: str, form: str | None = None) -> pl.Series:
    """Return times as epoch milliseconds, from text, numbers or date-times.

    Parameters
    ----------
    column
        As it stands in the file.
    name
        Of the file, for messages.
    form
        Of strptime, in which texts are written; None: seconds, ISO 8601, Twitter's own, RFC 2822.

    Raises
    ------
    ArchiveError
        The column holds something else, such as dates without a time of day.
    """
    if isinstance(column.dtype, pl.Datetime):
        millis = column.dt.epoch("ms").to_frame("millis")
        return millis.select(bound_times(pl.col("millis"))).to_series()
    if column.dtype.is_integer() or column.dtype == pl.Null:
        return parse_share_times(column.cast(pl.String))
    if column.dtype.is_numeric():
        seconds = seconds_to_millis(pl.col("seconds"))
        return column.cast(pl.Float64).to_frame("seconds").select(seconds).to_series()
    if form is not None and column.dtype == pl.String:
        zone = "UTC" if "%z" in form else None
        clock = column.str.strip_chars().str.to_datetime(
            form, strict=False, time_unit="ms", time_zone=zone
        )
        return clock.dt.epoch("ms")
    if column.dtype in (pl.String, pl.Binary, pl.Categorical, pl.Enum):
        return parse_share_times(write_out(column, name))
    raise ArchiveError(
        f"{name} stores timestamp_share as {column.dtype}; epoch seconds, date-times or ISO 8601 "
        "text are expected."
    )


class Clock(NamedTuple):
    """What the times of a file are: all of them, as one program wrote them."""

    unit: Unit  # what numbers count
    is_dated: bool  # some are since 1990; else they count from a beginning of their own
    is_serial: bool  # all are day numbers of a spreadsheet


NO_CLOCK = Clock("seconds", is_dated=False, is_serial=False)
FORMAT_CLOCK = Clock("seconds", is_dated=True, is_serial=False)  # of times in a form that is given


def read_clock(column: pl.Series, seconds: pl.Series) -> Clock | None:
    """Find out what the times of a file are, from its first block; None where that has none.

    Parameters
    ----------
    column
        As it stands in the file.
    seconds
        What its cells are, milliseconds, where numbers are seconds.
    """
    number = pl.col("number")
    cells = pl.DataFrame({"number": read_numbers(column), "seconds": seconds})
    if cells.select(pl.all().null_count() == pl.len()).row(0) == (True, True):
        return None
    n_sized = cells.select(_has_size(unit).sum().alias(unit) for unit in _SIZES).row(0, named=True)
    unit: Unit = max(_SIZES, key=lambda each: n_sized[each])
    is_dated = (pl.col("seconds") >= FIRST_SHARE).any() | pl.lit(any(n_sized.values()))
    is_serial = _is_serial().sum() == number.count().clip(1)
    return Clock(unit, *cells.select(is_dated, is_serial.alias("is_serial")).row(0))


def _has_size(unit: Unit) -> pl.Expr:
    return pl.col("number").is_between(*_SIZES[unit], closed="left").fill_null(value=False)


def _is_serial() -> pl.Expr:
    return pl.col("number").is_between(*SERIAL_DAYS, closed="none")


def judge_times(
    column: pl.Series,
    seconds: pl.Series,
    clock: Clock,
    *,
    latest: int,
    earliest: int = FIRST_SHARE,
    name: str = "timestamp_share",
) -> pl.DataFrame:
    """Read a column of times, and find what is no time of a share.

    Parameters
    ----------
    column, seconds
        As of `read_clock`.
    clock
        What the times of the file are.
    latest, earliest
        Milliseconds; times before and after are none.
    name
        Of the column, for the reasons.

    Returns
    -------
        ``time`` (ms UTC, null where there is none), ``fault`` (a reason; null: there is none) and
        ``value`` (of the cell, as text, where there is a fault).
    """
    cells = pl.DataFrame({"number": read_numbers(column), "seconds": seconds})
    judged = cells.select(_scale(clock.unit)).with_columns(cells["number"])
    judged = judged.select("time", fault=give_reason(_list_faults(name, clock, earliest, latest)))
    return judged.with_columns(show_values(column, judged["fault"]).alias("value"))


def _scale(unit: Unit) -> pl.Expr:
    """Return the time of each cell; null where a number is too large or small for its unit."""
    if unit == "seconds":
        return pl.col("seconds").alias("time")
    micros = (pl.col("number") * (1_000_000 // _PER_SECOND[unit])).round()
    millis = pl.when(_has_size(unit)).then(micros).cast(pl.Int64) // 1000
    return pl.when(pl.col("number").is_null()).then("seconds").otherwise(millis).alias("time")


def _list_faults(name: str, clock: Clock, earliest: int, latest: int) -> dict[str, pl.Expr]:
    number, time, is_dated = pl.col("number"), pl.col("time"), pl.lit(clock.is_dated)
    others = [_has_size(unit) for unit in _SIZES if unit != clock.unit]
    return {
        f"{name} is a day number of a spreadsheet, which is no time": (
            _is_serial() & pl.lit(clock.is_dated or clock.is_serial)
        ),
        f"{name} is 0 or 1, which stands for no time": is_dated & number.is_in(PLACEHOLDERS),
        f"{name} does not count {clock.unit} as others of its column do": (
            pl.any_horizontal(others)
        ),
        f"{name} is before {_write_day(earliest)}": is_dated & (time < earliest),
        f"{name} is in the future": time > latest,
    }


def _write_day(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).date().isoformat().removesuffix("-01-01")


def choose_time(time: TimeSource, tweet: pl.Expr, stamp: pl.Expr) -> list[pl.Expr]:
    """Return ``time`` and ``time_from`` of tweets, by their numbers and stamps.

    Since November 2010 ids hold the millisecond at which a tweet was made;
    it is taken where it agrees with the stamp.
    """
    if time == "stamp":
        return [stamp.alias("time"), pl.lit("stamp").alias("time_from")]
    born = tweet // (1 << 22) + SNOWFLAKE_EPOCH
    agrees = (born // MINUTE * MINUTE == stamp) | (born // 1000 == stamp // 1000)
    carries_time = tweet >= FIRST_SNOWFLAKE
    time_from = (
        pl.when(~carries_time)
        .then(pl.lit("old id"))
        .when(agrees)
        .then(pl.lit("id"))
        .otherwise(pl.lit("mismatch"))
    )
    chosen = pl.when(carries_time & agrees).then(born).otherwise(stamp)
    return [chosen.alias("time"), time_from.alias("time_from")]


def show_values(column: pl.Series, faults: pl.Series) -> pl.Series:
    """Return the cells that have a fault, as text, cut where they are long; null elsewhere."""
    shown = column.cast(pl.String, strict=False).str.slice(0, _MAX_SHOWN)
    return shown.set(faults.is_null(), None)


def find_latest_share() -> int:
    """Return the latest time that a share can have: a day from now, as clocks differ."""
    return round(time.time() * 1000) + DAY_MS


def find_latest_tweet(path: Path) -> int:
    """Return the latest time that a tweet of a file can have: a day after the file was made.

    What was made before Twitter was has lost its date: then a day from now.
    """
    made = round(path.stat().st_mtime * 1000)
    return made + DAY_MS if made >= FIRST_TWEET else find_latest_share()
