"""Every choice of `cohorts` and `roles`."""

from dataclasses import dataclass
from typing import Literal

from gpu_coord.chance.nulls import TestSettings
from gpu_coord.ground.choices import ANALYSED, DURATION, Choices, Spelling, choose, respell

By = Literal["auto", "label", "group", "component", "community", "role"]
Period = Literal["day", "week", "month"]

_MAX_CUT_OFF = 1e6
_ERRORS = "a number of standard errors, and 2 is usual"


@dataclass(frozen=True, kw_only=True)
class CohortSettings(Choices):
    """Every choice that can change a table of cohorts; stored beside it."""

    by: By = choose(
        "auto",
        "What makes a class; auto: label, or of a run groups or communities.",
        panel=ANALYSED,
    )
    controls: str | None = choose(
        None, "Label to compare with (all who are not in the class).", panel=ANALYSED
    )
    period: Period = choose("week", "What creation dates are counted by.")
    min_accounts: int = choose(5, "Leave out smaller classes.", at_least=1, panel=ANALYSED)
    alpha: float = respell(TestSettings, "alpha")


def read_wave(text: str) -> str | None:
    """Return a duration, or None where there are no waves."""
    return None if text == "none" else text


@dataclass(frozen=True, kw_only=True)
class RoleSettings(Choices):
    """Every cut-off that can change a role; stored beside the roles."""

    wave: str | None = choose(
        "6h",
        "Silence of an object that ends its wave; None: one wave each.",
        unit=DURATION,
        spellings=(
            Spelling(
                "wave",
                "Silence of an object that ends its wave; none: one wave each.",
                str,
                read_wave,
                default="6h",
            ),
        ),
    )
    min_earliness: float = choose(
        2.0, "A catalyst's earliness z lies above this.", at_least=0, at_most=_MAX_CUT_OFF,
        advice=_ERRORS,
    )  # fmt: skip
    min_direction: float = choose(
        2.0, "Leaders' direction z lies above it, amplifiers' below minus it.", at_least=0,
        at_most=_MAX_CUT_OFF, advice=_ERRORS,
    )  # fmt: skip
    min_followers: int = choose(
        3, "Accounts that a core account leads, at least.", at_least=1, at_most=int(_MAX_CUT_OFF)
    )
    # Of what Guimera & Amaral (Nature 433, 895, 2005) call connectors among accounts without a hub.
    min_participation: float = choose(
        0.62, "A bridge's participation lies above this.", at_least=0, at_most=1
    )
