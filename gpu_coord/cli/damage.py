"""An error -> which file of which folder is damaged, where that is why."""

from itertools import chain
from pathlib import Path
from shlex import quote
from typing import Any

_READERS = {"polars", "narwhals", "pyarrow"}


def explain_failure(error: BaseException, options: dict[str, Any]) -> str | None:
    """Say which file is damaged where a table could not be read; None where that is not why.

    Readers do not name the file, and what they say is the same of a mistake in this program: so
    the folders that a command was given are held against their descriptions.

    Parameters
    ----------
    error
        What a command raised.
    options
        Its options; ``out`` is what it writes.
    """
    if not _comes_from_reading(error):
        return None
    named = chain.from_iterable(
        value if isinstance(value, list) else [value]
        for name, value in options.items()
        if name != "out"
    )
    given = list(filter(_is_ours, named))
    folders = given + [store for folder in given for store in _find_store(folder)]
    return next(filter(None, map(_describe_damage, folders)), None)


def _comes_from_reading(error: BaseException | None) -> bool:
    if error is None:
        return False
    is_reader = type(error).__module__.split(".")[0] in _READERS
    lacks_file = isinstance(error, OSError) and "(os error" in str(error)  # Polars' own words
    return is_reader or lacks_file or _comes_from_reading(error.__cause__)


def _is_ours(option: Any) -> bool:
    if not isinstance(option, Path):
        return False
    from gpu_coord.results.findings import find_marker
    from gpu_coord.store.store import STORE_MARKER

    return (option / STORE_MARKER).is_file() or find_marker(option) is not None


def _find_store(folder: Path) -> list[Path]:
    """Return the store of a run, which `roles` finds by itself, where it is beside the run."""
    from gpu_coord.results.findings import open_run
    from gpu_coord.results.origin import find_store

    try:
        return [find_store(open_run(folder)).path]
    except (ValueError, OSError):  # no run, or no such store
        return []


def _describe_damage(folder: Path) -> str | None:
    from gpu_coord.ground.markers import LostKeyError
    from gpu_coord.results.verification import verify

    try:
        verify(folder)
    except LostKeyError:  # older folders do not describe their tables
        pass
    except (ValueError, OSError) as damage:
        check = f"`gpu-coord verify {quote(str(folder))}`"
        return f"{str(damage).removesuffix('.')}, and check it with {check}."
    return None
