"""The texts of options -> the values that functions take."""

import re
from pathlib import Path

from gpu_coord.ground.files import MEGABYTE, read_small
from gpu_coord.results.room import LEAST


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file that hold anything."""
    rule = "terms are a text file, one a line"
    try:
        text = read_small(path, rule=rule, most=64 * MEGABYTE).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8; convert it first.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_key(path: Path) -> bytes:
    """Return the key that a file holds."""
    key = read_small(path, rule="a key is a file of a line", most=MEGABYTE).strip()
    if len(key) < 16:
        raise ValueError(
            f"the key in {path.name} has {len(key)} bytes; it needs 16 at least, for example from "
            "`openssl rand -hex 32`."
        )
    return key


def split_label(text: str) -> tuple[str, Path]:
    """Return the label and the path of NAME=PATH."""
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise ValueError(f"--label is {text!r}; write NAME=PATH, like control=controls.csv.")
    return name, Path(path)


def parse_memory(text: str | None) -> int | None:
    """Return the bytes of a size like 8GB, where one is given.

    Raises
    ------
    ValueError
        The text is no size.
    MemoryError
        The libraries alone take more.
    """
    if not text:
        return None
    match = re.fullmatch(r"([0-9.]+)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    try:
        size = int(float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " ")) if match else 0
    except ValueError:
        size = 0
    if size < 1_000_000:
        raise ValueError(f"--memory is {text!r}; write a size of 1MB or more, like 8GB.")
    if size < LEAST:
        raise MemoryError(
            f"--memory is {text!r}, and the libraries alone take {LEAST / 1e9:g} GB; give "
            f"{LEAST / 1e9:g}GB or more."
        )
    return size
