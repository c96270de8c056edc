"""Which part of a store is looked at: choices that most commands share."""

from dataclasses import dataclass

from gpu_coord.ground.choices import ANALYSED, TIME, Choices, choose
from gpu_coord.ground.times import parse_time


@dataclass(frozen=True, kw_only=True)
class TimeRange(Choices):
    """The time range of the events that take part."""

    start: str | None = choose(None, "First time, ISO 8601, UTC.", unit=TIME, panel=ANALYSED)
    end: str | None = choose(None, "Time before which to stop.", unit=TIME, panel=ANALYSED)

    @property
    def start_ms(self) -> int | None:
        """The first time, in milliseconds since 1970."""
        return None if self.start is None else parse_time(self.start)

    @property
    def end_ms(self) -> int | None:
        """The time before which to stop, in milliseconds since 1970."""
        return None if self.end is None else parse_time(self.end)
