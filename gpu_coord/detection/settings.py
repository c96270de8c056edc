"""Every choice of `detect`."""

from dataclasses import dataclass
from math import ceil

from gpu_coord.activity.settings import LagSettings, WeightRule
from gpu_coord.chance.nulls import TestSettings, TierSettings, check_null
from gpu_coord.ground.choices import ANALYSED, CHANCE, TIME, choose
from gpu_coord.ground.times import parse_duration
from gpu_coord.network.settings import NetworkSettings


@dataclass(frozen=True, kw_only=True)
class GroupSettings(LagSettings, TestSettings):
    """Choices of whatever tests pairs and groups of accounts."""

    groups: int = choose(
        4,
        "Groups to look for on each half of days; 0: none.",
        detail="The slowest stage.",
        at_least=0,
        panel=CHANCE,
    )

    def check(self) -> None:
        """Refuse a null that bins of that width leave nothing."""
        super().check()
        check_null(self.null, parse_duration(self.bin))

    @property
    def n_replicates(self) -> int:
        """Replicates of each test of a group: enough for p-values below its threshold."""
        return max(499, ceil(4 * self.groups / self.alpha))


@dataclass(frozen=True, kw_only=True)
class DetectSettings(GroupSettings, TierSettings, WeightRule, NetworkSettings):
    """Every choice of `detect` that can change a finding; stored beside it."""

    split_at: str | None = choose(
        None, "Also analyse before this time, and from it on.", unit=TIME, panel=ANALYSED
    )
    min_support: int = choose(
        1, "Least lagged coincidences of an edge.", at_least=1, at_most=2**31 - 1
    )
    min_weight: float = choose(
        0.0,
        "An edge's weight lies above this.",
        at_least=0,
        advice="since pairs without a coincidence have no positive weight and are never weighed",
    )
    paper: bool = choose(False, "Skip significance: every edge is in the network.", panel=CHANCE)

    @property
    def usual_lags(self) -> tuple[int, ...]:
        """The lags where none are chosen; the paper's one."""
        return (1,) if self.paper else super().usual_lags

    @property
    def is_tested(self) -> bool:
        """Whether the edges of the network are those of a tier."""
        return not self.paper

    @property
    def has_groups(self) -> bool:
        """Whether groups are looked for."""
        return self.is_tested and self.groups > 0

    @property
    def rule(self) -> WeightRule:
        """The choices that turn counts into weights."""
        return WeightRule(**self.pick(WeightRule))
