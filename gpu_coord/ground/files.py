"""Small files that people name: keys, grids, seeds, lists of words.

The one idea: what is read whole is a regular file of a bounded size, for a device never ends.
"""

from pathlib import Path

MEGABYTE = 1_000_000


def check_file(path: Path, rule: str) -> None:
    """Refuse what is there and is no regular file.

    Parameters
    ----------
    path
        What was named.
    rule
        What should be there, such as "seeds are one file: text, CSV or Parquet".

    Raises
    ------
    ValueError
        It is a folder, a device or a pipe.
    """
    if path.is_dir():
        raise ValueError(f"{path.absolute()} is a folder; {rule}.")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path.absolute()} is a device or a pipe; {rule}.")


def read_small(path: Path, *, rule: str, most: int) -> bytes:
    """Return all bytes of a small file.

    Parameters
    ----------
    path, rule
        See `check_file`.
    most
        Its greatest size in bytes.

    Raises
    ------
    ValueError
        It is no regular file, or larger.
    """
    check_file(path, rule)
    size = path.stat().st_size
    if size > most:
        raise ValueError(
            f"{path.absolute()} has {size:,} bytes; {rule}, of {most:,} bytes at most."
        )
    return path.read_bytes()
