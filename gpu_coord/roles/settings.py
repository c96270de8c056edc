"""Every cut-off of the roles, checked."""

from dataclasses import dataclass

from gpu_coord.times import parse_duration

MAX_CUT_OFF = 1e6


@dataclass(frozen=True, kw_only=True)
class RoleSettings:
    """Every choice that can change a role; stored beside the roles."""

    wave: str | None = "6h"  # so long a silence of an object ends its wave; None: one wave each
    min_earliness: float = 2.0  # standard errors; a catalyst lies above
    min_direction: float = 2.0  # standard errors; who leads lies above, amplifiers below minus it
    min_followers: int = 3  # accounts that a core account leads
    # Of what Guimera & Amaral (Nature 433, 895, 2005) call connectors among accounts without a hub.
    min_participation: float = 0.62  # a bridge lies above

    def __post_init__(self) -> None:
        if self.wave is not None:
            parse_duration(self.wave)
        for name in ("min_earliness", "min_direction"):
            if not 0 <= getattr(self, name) <= MAX_CUT_OFF:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; it is a number of standard errors, 0 or "
                    "more, and 2 is usual."
                )
        if not 1 <= self.min_followers <= MAX_CUT_OFF:
            raise ValueError(
                f"min_followers is {self.min_followers}; a core account leads at least 1 other."
            )
        if not 0 <= self.min_participation <= 1:
            raise ValueError(
                f"min_participation is {self.min_participation}; it lies between 0 and 1."
            )
