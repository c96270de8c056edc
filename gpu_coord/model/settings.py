"""Every choice of a fitted model, checked, with a hash that names it."""

from dataclasses import dataclass
from typing import Any

from gpu_coord.activity import DEFAULT_KINDS
from gpu_coord.choices import Choices, check_choice
from gpu_coord.model.emission import EMISSIONS, Emission
from gpu_coord.times import parse_duration


@dataclass(frozen=True, kw_only=True)
class ModelSettings(Choices):
    """Every choice that can change a fitted model; stored beside it."""

    kinds: tuple[str, ...] = DEFAULT_KINDS
    bin: str = "1h"
    min_posts: int = 1
    top_percent: float = 100.0
    start: str | None = None  # ISO 8601, included
    end: str | None = None  # ISO 8601, excluded
    emission: Emission = "copy"
    background: bool = True
    min_support: int = 2  # lagged coincidences of a pair, for it to be a candidate
    candidates_sha256: str | None = None  # of the edges of a run that are the candidates instead
    teleport: float = 0.1  # of the influence pi
    tolerance: float = 0.01  # nats that another row may gain
    max_iterations: int = 100
    seed: int = 0  # nothing is drawn

    def __post_init__(self) -> None:
        parse_duration(self.bin)
        self.parse_times("start", "end")
        if not self.kinds:
            raise ValueError("kinds is empty; name at least one, such as hashtag.")
        check_choice("emission", self.emission, EMISSIONS)
        if not 1 <= self.min_support < 2**31:
            raise ValueError(
                f"min_support is {self.min_support}; it lies between 1 and 2^31 coincidences."
            )
        if not 0 < self.teleport < 1:
            raise ValueError(f"teleport is {self.teleport}; it lies between 0 and 1.")
        if not self.tolerance > 0 or self.max_iterations < 1:
            raise ValueError(
                f"tolerance is {self.tolerance} and max_iterations {self.max_iterations}; both "
                "are above 0."
            )

    def spell(self) -> dict[str, Any]:
        """Return what can be written in several ways, written in one."""
        return {
            "kinds": tuple(dict.fromkeys(self.kinds)),
            "bin": parse_duration(self.bin),
            **self.parse_times("start", "end"),
        }
