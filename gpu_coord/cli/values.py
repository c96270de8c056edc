"""The texts of options -> the values that functions take."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from gpu_coord.backend import Backend
    from gpu_coord.cli.options import BackendChoice


def choose_backend(name: "BackendChoice", *, threads: int | None) -> "Backend":
    """Return the backend of a name, with so many threads."""
    from gpu_coord.backend import choose

    return choose(name, threads=threads)


def read_labels(path: Path) -> "pl.DataFrame":
    """Return the labels of a file."""
    from gpu_coord.archive.ingest import read_labels as read

    return read(path)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file that hold anything."""
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def read_key(path: Path) -> bytes:
    """Return the key that a file holds."""
    key = path.read_bytes().strip()
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
