"""Every choice of `model`."""

from dataclasses import dataclass
from typing import Literal

from gpu_coord.activity.settings import CellSettings
from gpu_coord.ground.choices import Spelling, choose

Emission = Literal["copy", "tied", "plugin"]


@dataclass(frozen=True, kw_only=True)
class ModelSettings(CellSettings):
    """Every choice that can change a fitted model; stored beside it."""

    emission: Emission = choose("copy", "What accounts pass on; plugin overstates influence.")
    background: bool = choose(
        True,
        "Learn what accounts do of themselves, too.",
        spellings=(
            Spelling("background", "", bool, flag="--background/--no-background", default=True),
        ),
    )
    min_support: int = choose(
        2,
        "Without a run: least lagged coincidences of a pair.",
        at_least=1,
        at_most=2**31 - 1,
    )
    teleport: float = choose(
        0.1, "Of the influence pi: the chance to go on anywhere.", above=0, below=1
    )
    tolerance: float = choose(
        0.01, "Nats of likelihood that may be missing, for each account.", above=0
    )
    max_iterations: int = choose(100, "Steps of learning a row at most.", at_least=1, spellings=())
