"""Every choice of a run of coordinated sharing, checked, with a hash that names it."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from gpu_coord.choices import Choices, check_alpha, check_choice
from gpu_coord.sharing.coortweet import check_quantile
from gpu_coord.sharing.windows import measure_bin
from gpu_coord.strata import Null, check_null
from gpu_coord.times import count_seconds, parse_window

Mode = Literal["strict", "coortweet", "coornet", "qut"]

AUTO = "auto"
_NULL: Null = "day"
_ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class ShareSettings(Choices):
    """Every choice of a run of `share` that can change a finding; stored beside its result."""

    kinds: tuple[str, ...]
    window: str = "60s"  # inclusive; auto: CooRnet's estimate of the coordination interval
    shorter_windows: tuple[str, ...] = ()  # counted beside it
    mode: Mode = "strict"
    min_participation: int = 1  # events of the kinds chosen, in the time range
    edge_weight_quantile: float | None = None  # at or above; coortweet: above
    min_weight: float | None = None  # at or above
    fast_window: str | None = None  # of coortweet's fast network
    subgraph: int = 0  # of coortweet: which part of its network is the network
    tests: bool = True  # of the mode strict: is it more than chance? only such edges are linked
    null: Null = _NULL  # what chance leaves as it is, see `gpu_coord.strata.stratify`
    alpha: float = _ALPHA  # false discovery rate of the significant edges
    intervals: bool = False  # also tabulate what window the data suggest; always with auto
    compare: bool = False  # of the other modes: also list what changes against strict
    start: str | None = None  # ISO 8601, included
    end: str | None = None  # ISO 8601, excluded
    resolution: float = 1.0  # of the communities
    seed: int = 0
    objects_sha256: str | None = None  # of the objects that the run is confined to

    def __post_init__(self) -> None:
        window_ms = None if self.window == AUTO else parse_window(self.window)
        if not self.kinds:
            raise ValueError("kinds is empty; name at least one, such as url.")
        check_choice("mode", self.mode, get_args(Mode))
        self.parse_times("start", "end")
        if self.edge_weight_quantile is not None:
            check_quantile(self.edge_weight_quantile)
        if self.min_weight is not None and not self.min_weight >= 0:
            raise ValueError(f"min_weight is {self.min_weight}; it is 0 or more.")
        check_alpha(self.alpha)
        if self.mode == "coornet" and window_ms is not None and window_ms < 1000:
            raise ValueError(f"window is {self.window}; in the mode coornet it is 1s or longer.")
        check_null(self.null, measure_bin(window_ms or 0 if self.is_tested else 0))
        if self.compare and self.mode == "strict":
            raise ValueError("compare holds another mode against strict; choose a mode.")
        if self.mode != "strict" and (self.null, self.alpha) != (_NULL, _ALPHA):
            raise ValueError(
                f"null and alpha are of tests, and the mode {self.mode} has none; leave them out."
            )
        if self.subgraph and self.mode != "coortweet":
            raise ValueError(f"subgraph belongs to the mode coortweet, not to {self.mode}.")
        if self.fast_window is not None:
            self._check_fast_window()
        if self.shorter_windows:
            self._check_shorter_windows()

    def _check_fast_window(self) -> None:
        if self.mode != "coortweet":
            raise ValueError(f"fast_window belongs to the mode coortweet, not to {self.mode}.")
        shorter = parse_window(str(self.fast_window))
        if self.window != AUTO and shorter >= parse_window(self.window):
            raise ValueError(
                f"fast_window is {self.fast_window}; it is shorter than the window {self.window}."
            )

    def _check_shorter_windows(self) -> None:
        if self.mode not in ("strict", "coortweet"):
            raise ValueError(
                f"shorter_windows belong to the modes strict and coortweet, not to {self.mode}."
            )
        for window in self.shorter_windows:
            shorter = parse_window(window)
            if self.window != AUTO and shorter >= parse_window(self.window):
                raise ValueError(f"{window} is not shorter than the window {self.window}.")

    @property
    def is_tested(self) -> bool:
        """Whether edges are tested: other tools' networks are what these would find."""
        return self.tests and self.mode == "strict"

    def spell(self) -> dict[str, Any]:
        """Return what can be written in several ways, written in one."""
        window, fast = self.window, self.fast_window
        return {
            "kinds": tuple(dict.fromkeys(self.kinds)),
            "shorter_windows": [
                count_seconds(ms) for ms in sorted({parse_window(w) for w in self.shorter_windows})
            ],
            "window": window if window == AUTO else count_seconds(parse_window(window)),
            "fast_window": None if fast is None else count_seconds(parse_window(fast)),
            **self.parse_times("start", "end"),
        }
