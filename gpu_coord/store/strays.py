"""Times -> the few posts that stretch the span of an archive a hundredfold, and how to do without.

A post dated 1970 or 9999 is a slip of a clock or of an export, and it decides how many bins there
are: weights and tests are held against all of them.
"""

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.store.store import Store

_FEW = 1000  # of so many posts one may be a stray
_STRETCH = 100
_DAY_MS = 86_400_000
_N_SHOWN = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def find_core(times: Any) -> tuple[int, int] | None:
    """Return the first and the last of the times but for a few that stretch them a hundredfold.

    Parameters
    ----------
    times
        Of posts, milliseconds, in any order, (n_posts,).

    Returns
    -------
        None where no post in a thousand, or a single one, leaves a hundredth of the span; or where
        this is shorter than a day.
    """
    most = max(1, times.size // _FEW)
    if times.size < most + 2:
        return None
    parted = np.partition(times, (most, times.size - 1 - most))
    low, high = np.sort(parted[: most + 1]), np.sort(parted[-most - 1 :])
    span = int(high[-1]) - int(low[0])
    # With so many left out at the beginning, how many of the last ones may stay.
    n_kept = np.searchsorted(high, low + span // _STRETCH, side="right")
    n_out = np.where(n_kept > 0, np.arange(most + 1) + most + 1 - n_kept, most + 1)
    best = int(np.argmin(n_out))
    if span < _STRETCH * _DAY_MS or n_out[best] > most:
        return None
    return int(low[best]), int(high[n_kept[best] - 1])


def warn_of_strays(store: Store, times: Any, kinds: Sequence[str], *, width: int = 1) -> str | None:
    """Warn of a few posts that stretch the analysed span a hundredfold or more.

    Parameters
    ----------
    store
        What is analysed.
    times
        Of the posts that are, milliseconds, (n_posts,).
    kinds
        Of entity that are.
    width
        Milliseconds that each of the times stands for.

    Returns
    -------
        What was said; None where there was nothing to say.
    """
    core = find_core(times)
    if core is None:
        return None
    start, end = core[0] // _DAY_MS * _DAY_MS, -(-(core[1] + width) // _DAY_MS) * _DAY_MS
    first, last = int(times.min()), int(times.max())
    strays = _list_strays(store, kinds, (first, start), (end, last + width))
    said = (
        f"{_count_days(start, end)} of the {_count_days(first, last + width)} days that the data "
        f"span hold all posts but {strays.height:,} of {times.size:,} "
        f"({_name_dates(strays['time'])}): weights and tests are held against the whole span; "
        "leave such posts out with"
        f"{_name_options(start if first < start else None, end if last >= end else None)}."
    )
    warnings.warn(said, stacklevel=3)
    return said


def _list_strays(store: Store, kinds: Sequence[str], *ranges: tuple[int, int]) -> pl.DataFrame:
    """Return the posts whose time is in one of the ranges, the end excluded, with their times."""
    # Domains may be those of urls.
    named = [*kinds, "url"] if "domain" in kinds else list(kinds)
    time = pl.col("time")
    inside = [(time >= start) & (time < end) for start, end in ranges]
    events = store.scan("events").filter(pl.col("kind").cast(pl.String).is_in(named))
    found = events.filter(pl.any_horizontal(inside)).group_by("post").agg(time.min())
    return found.sort("time", "post").collect()


def _name_dates(times: pl.Series) -> str:
    days = (times // _DAY_MS).unique().sort()
    shown = [_write_day(day * _DAY_MS) for day in days.head(_N_SHOWN)]
    return ", ".join([*shown, *(["…"] if days.len() > _N_SHOWN else [])])


def _name_options(start: int | None, end: int | None) -> str:
    named = {"start": start, "end": end}
    return "".join(f" --{name} {_write_day(ms)}" for name, ms in named.items() if ms is not None)


def _write_day(ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=ms)).date().isoformat()


def _count_days(start: int, end: int) -> str:
    return f"{-(-(end - start) // _DAY_MS):,}"
