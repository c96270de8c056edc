"""The texts of options -> the values that functions take."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_coord.cli.options import BackendChoice

if TYPE_CHECKING:
    import polars as pl

    from gpu_coord.backend import Backend


def choose_backend(name: BackendChoice, *, threads: int | None) -> "Backend":
    """Return the backend of a name, with so many threads."""
    from gpu_coord.backend import choose

    return choose(name, threads=threads)


def read_labels(path: Path | None) -> "pl.DataFrame | None":
    """Return the labels of a file, where there is one."""
    from gpu_coord.archive import read_labels as read

    return read(path) if path else None


def split_list(text: str) -> tuple[str, ...]:
    """Return the parts between commas, such as kinds."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def split_windows(text: str) -> dict[str, Any]:
    """Return the longest of the windows, and the others, as `share` takes them."""
    from gpu_coord.times import parse_window

    windows = [part.strip() for part in text.split(",")]
    if len(windows) == 1:
        return {"window": windows[0]}
    if "auto" in windows:
        raise ValueError(f"--window is {text!r}; auto stands alone, without other windows.")
    *shorter, longest = sorted(dict.fromkeys(windows), key=parse_window)
    return {"window": longest, "shorter_windows": tuple(shorter)}


def choose_lags(lag: int | None, lags: str | None) -> tuple[int, ...]:
    """Return the one lag, those of a range, or lag 1."""
    from gpu_coord.settings import parse_lags

    if lag is not None and lags is not None:
        raise ValueError(f"--lag {lag} and --lags {lags} exclude each other; give one.")
    if lags is None:
        return (1 if lag is None else lag,)
    return parse_lags(lags, given=f"--lags is {lags!r}")


def parse_memory(text: str | None) -> int | None:
    """Return the bytes of a size like 8GB, where one is given."""
    if not text:
        return None
    match = re.fullmatch(r"([0-9.]+)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    try:
        size = int(float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " ")) if match else 0
    except ValueError:
        size = 0
    if size < 1_000_000:
        raise ValueError(f"--memory is {text!r}; write a size of 1MB or more, like 8GB.")
    return size
