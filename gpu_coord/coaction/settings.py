"""Every choice of a run of co-action layers, checked, with a hash that names it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from gpu_coord.choices import Choices, check_alpha, check_choice
from gpu_coord.coaction.layers import Layer, parse_layers
from gpu_coord.sharing.windows import measure_bin
from gpu_coord.strata import Null, check_null
from gpu_coord.times import count_seconds, parse_window

Merge = Literal["union", "intersection", "fused"]


@dataclass(frozen=True, kw_only=True)
class CoactSettings(Choices):
    """Every choice of a run of `coact` that can change a finding; stored beside its result."""

    layers: tuple[str, ...]  # as written: co_url, co_url:10s, fast_retweet
    window: str = "60s"  # of the layers without their own; inclusive
    merge: Merge = "union"  # edges of any layer, of all, or of any with evidence over all
    min_layers: int = 1  # that an edge is in; of the intersection: all
    min_weight: int = 1  # distinct objects of an edge in a layer
    min_participation: int = 1  # events of all kinds that are read, in the time range
    min_tags: int = 5  # hashtags of a post with a sequence
    similarity: float = 0.8  # Jaccard index of near-duplicate texts
    null: Null = "day"  # of fused: what chance leaves, see `gpu_coord.strata.stratify`
    alpha: float = 0.05  # of fused: false discovery rate of the significant edges
    start: str | None = None  # ISO 8601, included
    end: str | None = None  # ISO 8601, excluded
    resolution: float = 1.0  # of the communities
    seed: int = 0

    def __post_init__(self) -> None:
        self.parsed  # noqa: B018  (checks its part of the settings)
        check_choice("merge", self.merge, get_args(Merge))
        longest = max(layer.window_ms for layer in self.parsed)
        check_null(self.null, measure_bin(longest if self.merge == "fused" else 0))
        self.parse_times("start", "end")
        for name in ("min_layers", "min_weight", "min_tags"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more.")
        if self.min_layers > len(self.layers):
            raise ValueError(
                f"min_layers is {self.min_layers}, but there are {len(self.layers)} layers; ask "
                "for as many at most."
            )
        if self.min_layers > 1 and self.merge == "intersection":
            raise ValueError("an intersection is of all layers; leave min_layers out, or merge "
                             "by union with it.")  # fmt: skip
        if not 0.5 <= self.similarity <= 1:
            raise ValueError(
                f"similarity is {self.similarity}; it lies between 0.5 and 1, like 0.8."
            )
        check_alpha(self.alpha)

    @cached_property
    def parsed(self) -> tuple[Layer, ...]:
        """The layers."""
        return parse_layers(self.layers, self.window)

    def spell(self) -> dict[str, Any]:
        """Return what can be written in several ways, written in one."""
        return {
            "layers": sorted((layer.name, layer.window_ms) for layer in self.parsed),
            "window": count_seconds(parse_window(self.window)),
            **self.parse_times("start", "end"),
        }
