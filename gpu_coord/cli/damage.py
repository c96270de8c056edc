"""A folder of ours -> whether it is what was written, or which of its files is damaged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

_READERS = {"polars", "narwhals", "pyarrow"}


def verify_folder(folder: Path) -> dict[str, Any]:
    """Check a store, a run or another result, whatever the folder is; count its tables."""
    checks = _list_checks()
    present = [check for marker, check in checks.items() if (folder / marker).is_file()]
    return (*present, *checks.values())[0](folder)


def _list_checks() -> dict[str, Callable[[Path], dict[str, Any]]]:
    """Return by marker what checks a folder; the first is for a folder without any."""
    from gpu_coord.cascades import CASCADES_MARKER, verify_cascades
    from gpu_coord.cohorts import COHORTS_MARKER, verify_cohorts
    from gpu_coord.cycle import CYCLE_MARKER, verify_cycle
    from gpu_coord.model.fitting import MODEL_MARKER, verify_model
    from gpu_coord.run import RUN_MARKER, verify_run
    from gpu_coord.store import STORE_MARKER, verify_store
    from gpu_coord.sweeps import SWEEP_MARKER, verify_sweep

    return {
        STORE_MARKER: verify_store,
        RUN_MARKER: verify_run,
        CYCLE_MARKER: verify_cycle,
        MODEL_MARKER: verify_model,
        CASCADES_MARKER: verify_cascades,
        COHORTS_MARKER: verify_cohorts,
        SWEEP_MARKER: verify_sweep,
    }


def explain_failure(error: Exception, options: dict[str, Any]) -> str | None:
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
    given = [folder for name, folder in options.items() if name != "out" and _is_ours(folder)]
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
    return any((option / marker).is_file() for marker in _list_checks())


def _find_store(folder: Path) -> list[Path]:
    """Return the store of a run, which `roles` finds by itself, where it is beside the run."""
    from gpu_coord.roles.reading import find_store
    from gpu_coord.run import open_run

    try:
        return [find_store(open_run(folder)).path]
    except (ValueError, OSError):  # no run, or no such store
        return []


def _describe_damage(folder: Path) -> str | None:
    try:
        verify_folder(folder)
    except (ValueError, OSError) as damage:
        return f"{str(damage).removesuffix('.')}, and check it with `gpu-coord verify {folder}`."
    except KeyError:  # its marker is not as we write it, and describes no tables
        pass
    return None
