"""The stages of a command as they begin and end, and what they cost."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[str, int, int], None]


class StageClock:
    """Tells the stages of a run as they begin and end, and keeps what they cost."""

    def __init__(self, progress: Progress | None) -> None:
        self.report: Progress = progress or (lambda stage, done, total: None)
        self.stages: list[dict[str, Any]] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return StageClock, (None,)  # nobody sees how far another process is

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time a block."""
        self.report(stage, 0, 1)
        start = time.perf_counter()
        yield
        self.stages.append(
            {
                "stage": stage,
                "seconds": round(time.perf_counter() - start, 3),
                "peak_memory_bytes": measure_peak_memory(),
            }
        )
        self.report(stage, 1, 1)


def measure_peak_memory() -> int:
    """Return the most memory that this process has held so far, in bytes (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
