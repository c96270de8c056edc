"""Data frames of any library -> files, which are read as all others are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from gpu_coord.ground.parquet import write_parquet

FRAME_NAME = "frame.arrow"  # as which a data frame is read, and named in the manifest


def is_frame(given: Any) -> bool:
    """Tell whether something is a data frame that Narwhals knows, lazy or not."""
    return isinstance(nw.from_native(given, pass_through=True), nw.DataFrame | nw.LazyFrame)


def take_frame(given: Any) -> pl.DataFrame | None:
    """Return a data frame as one of Polars; None where it is none."""
    frame = nw.from_native(given, pass_through=True)
    frame = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    return frame.to_polars() if isinstance(frame, nw.DataFrame) else None


def stage(given: Any, file: Path) -> Any:
    """Return the file to which a data frame was written; anything else as it is."""
    if isinstance(given, str | Path) or (frame := take_frame(given)) is None:
        return given
    if file.suffix == ".arrow":
        frame.write_ipc(file)
    else:
        write_parquet(frame, file)
    return file


def stage_labelled(given: Any, folder: Path) -> list[tuple[str, Any]]:
    """Return pairs of a label and a file or folder, of pairs or a mapping that may hold frames."""
    pairs = given.items() if isinstance(given, Mapping) else given or ()
    return [
        (name, stage(each, _make_folder(folder / str(number)) / FRAME_NAME))
        for number, (name, each) in enumerate(pairs)
    ]


def _make_folder(path: Path) -> Path:
    path.mkdir()
    return path
