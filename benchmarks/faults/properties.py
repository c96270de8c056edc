"""The properties that tests hold against readers, with many more files, drawn by Hypothesis."""

import itertools
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings


class _Folders:
    """Folders for random files, in memory where there is such a place; the last one alone stays."""

    def __init__(self, root: str) -> None:
        self._root, self._numbers, self._last = Path(root), itertools.count(), None

    def mktemp(self, name: str) -> Path:
        if self._last is not None:
            shutil.rmtree(self._last)
        self._last = self._root / f"{name}{next(self._numbers)}"
        self._last.mkdir()
        return self._last


def try_random(n_inputs: int) -> list[str]:
    """Hold properties of the tests against many more files: the first that fails ends it."""
    from tests import test_layouts

    records = test_layouts.test_ingest__records_add_up_whatever_is_in_them
    damaged = test_layouts.test_ingest__damaged_files_add_up_or_are_refused
    properties = (
        given(made=test_layouts.draw_records())(records.hypothesis.inner_test),
        given(content=test_layouts.draw_damage())(damaged.hypothesis.inner_test),
    )
    memory = Path("/dev/shm")
    for each in properties:
        tried = settings(
            max_examples=n_inputs // len(properties), deadline=None, database=None,
            derandomize=False, suppress_health_check=list(HealthCheck),
        )(each)  # fmt: skip
        with TemporaryDirectory(dir=memory if memory.exists() else None) as root:
            tried(_Folders(root))
    return [f"random: {n_inputs:,} random and damaged files of all readers: rows add up, or the "
            "file is refused in a sentence"]  # fmt: skip
