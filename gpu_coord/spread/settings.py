"""Every choice of `cascades` and `timeline`."""

from dataclasses import dataclass
from typing import Any, Literal

from gpu_coord.chance.nulls import TestSettings
from gpu_coord.ground.choices import ANALYSED, CHANCE, DURATION, WINDOW, Choices, choose, respell
from gpu_coord.ground.times import parse_duration
from gpu_coord.results.forms import Grouping
from gpu_coord.sharing.settings import ObjectSettings
from gpu_coord.store.settings import TimeRange

GroupBy = Literal["auto", "group", "component", "community", "platform"]


@dataclass(frozen=True, kw_only=True)
class InsideSettings(Choices):
    """Who is inside, of the accounts that objects spread among."""

    group: int | None = choose(
        None, "The one group of the run that is inside (all).", at_least=0, panel=ANALYSED
    )
    group_by: Grouping = choose(
        "auto", "Groups of the run; auto: confirmed ones, or communities.", panel=ANALYSED
    )
    inside: str | None = choose(
        None, "In the place of a run: the label of the accounts inside.", panel=ANALYSED
    )

    def spell(self) -> dict[str, Any]:
        """Return the other choices: the accounts inside are hashed as an input."""
        inside = self.pick(InsideSettings)
        return {name: value for name, value in super().spell().items() if name not in inside}


@dataclass(frozen=True, kw_only=True)
class CascadeSettings(InsideSettings, ObjectSettings, TimeRange):
    """Every choice that can change a table of cascades; stored beside it."""

    min_shares: int = choose(2, "Leave out objects with fewer shares.", at_least=1, panel=ANALYSED)
    min_followers: int = choose(0, "Followers that the first adopter outside needs.", at_least=0)
    window: str = choose(
        "1h", "How long after a share adoptions follow it, like 1h.", unit=DURATION
    )
    reach: str = choose(
        "12h", "How far around an early share the object's own rate is taken.", unit=DURATION
    )
    min_adopters: int = choose(
        10, "Objects with fewer accounts are not tested.", at_least=2, panel=CHANCE
    )
    early: float = choose(
        0.25, "Part of an object's accounts that is early, up to 0.5.", above=0, at_most=0.5
    )
    alpha: float = respell(TestSettings, "alpha")

    def check(self) -> None:
        """Refuse a window that is longer than the reach."""
        super().check()
        if parse_duration(self.window) > parse_duration(self.reach):
            raise ValueError(f"window is {self.window}; it is at most the reach, {self.reach}.")


@dataclass(frozen=True, kw_only=True)
class TimelineSettings(Choices):
    """What of an object's spread is shown."""

    kind: str | None = choose(None, "Kind of the object, such as url or domain.", panel=ANALYSED)
    window: str | None = choose(
        None, "Without a run: coordinated is what lies that close (60s).", unit=WINDOW
    )
    group_by: GroupBy = choose(
        "auto",
        "What colours: platform, or groups of the run; auto: confirmed ones, or communities.",
        panel=ANALYSED,
    )
