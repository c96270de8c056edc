"""Every choice of `share`, `coact` and `cycle`."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from gpu_coord.chance.nulls import TierSettings, check_null
from gpu_coord.ground.choices import (
    ANALYSED,
    AUTO,
    CHANCE,
    OUTPUT,
    WINDOW,
    WINDOWS,
    WORDS,
    Choices,
    Spelling,
    choose,
    list_choices,
    respell,
    split_list,
)
from gpu_coord.ground.times import parse_window
from gpu_coord.network.settings import NetworkSettings
from gpu_coord.sharing.layers import Layer, parse_layers
from gpu_coord.store.settings import TimeRange

Mode = Literal["strict", "coortweet", "coornet", "qut"]
Idf = Literal["smooth", "plain"]
Merge = Literal["union", "intersection", "fused"]


def measure_bin(window_ms: int, unit: int = 1) -> int:
    """Return the seconds of the bins whose shares coincide as often as those within a window.

    Two shares lie within w seconds of each other in 2 w + 1 of a stretch's seconds; where times
    come in whole minutes, within w minutes in 2 w + 1 of its minutes.

    Parameters
    ----------
    window_ms
        Milliseconds, 0 or more.
    unit
        Seconds that times come in, see `Shares.time_unit`.
    """
    n_units = -(-window_ms // 1000) if unit == 1 else window_ms // (1000 * unit)
    return unit * (2 * n_units + 1)


_KINDS_HELP = "Kinds of object, by commas (url)."


@dataclass(frozen=True, kw_only=True)
class ObjectSettings(Choices):
    """Which kinds of object are looked at."""

    kinds: tuple[str, ...] | None = choose(
        None,
        _KINDS_HELP,
        detail="All kinds of a store that lacks url.",
        unit=WORDS,
        advice="such as url",
        spellings=(Spelling("kind", _KINDS_HELP, str, split_list),),
        panel=ANALYSED,
    )


@dataclass(frozen=True, kw_only=True)
class PairSettings(TierSettings, TimeRange, NetworkSettings):
    """Choices of whatever pairs shares, tests the pairs and makes a network of them."""

    window: str = choose(
        "60s", "Longest gap of a pair, included, in layers without their own.", unit=WINDOW
    )
    min_participation: int = choose(
        1,
        "Leave out accounts with fewer such events.",
        at_least=1,
        panel=ANALYSED,
    )


@dataclass(frozen=True, kw_only=True)
class ShareSettings(ObjectSettings, PairSettings):
    """Every choice of a run of `share` that can change a finding; stored beside its result."""

    window: str = choose(
        "60s",
        "Longest gap of a pair, included, like 60s; or auto.",
        detail="auto estimates it. Of several, like 10s,60s, the longest; the others are counted "
        "beside it.",
        unit=WINDOWS,
    )
    mode: Mode = choose(
        "strict",
        "Whose rules.",
        detail="strict is ours; others are another tool's, quirks and all.",
    )
    edge_weight_quantile: float | None = choose(
        None,
        "Quantile of the weights that an edge has to reach.",
        at_least=0,
        at_most=1,
        advice="0.5 is the median",
    )
    min_weight: float | None = choose(None, "Least weight of an edge.", at_least=0)
    fast_window: str | None = choose(
        None, "Shorter window of coortweet's fast network.", unit=WINDOW
    )
    subgraph: int = choose(0, "Part of coortweet's network to take, 1 to 3.", at_least=0, at_most=3)
    tests: bool = choose(
        True,
        "Test each edge against chance (mode strict); only significant ones are in the network.",
        spellings=(
            Spelling(
                "all_edges", "No tests: every edge is in the network.", bool, lambda on: not on
            ),
        ),
        panel=CHANCE,
    )
    intervals: bool = choose(False, "Also tabulate what window the data suggest.", panel=OUTPUT)
    compare: bool = choose(False, "Also list what the mode changes against strict.", panel=OUTPUT)

    def check(self) -> None:
        """Refuse choices that do not go together."""
        super().check()
        check_null(self.null, measure_bin((self.window_ms or 0) if self.is_tested else 0))
        self._check_mode()
        if self.fast_window is not None:
            self._check_shorter("fast_window", parse_window(self.fast_window))
        if self.shorter_windows and self.mode not in ("strict", "coortweet"):
            raise ValueError(
                f"window is {self.window}; several windows belong to the modes strict and "
                f"coortweet, not to {self.mode}."
            )

    def _check_mode(self) -> None:
        if self.mode == "coornet" and self.window_ms is not None and self.window_ms < 1000:
            raise ValueError(f"window is {self.window}; in the mode coornet it is 1s or longer.")
        if self.compare and self.mode == "strict":
            raise ValueError("compare holds another mode against strict; choose a mode.")
        is_default = [getattr(self, of.name) == of.default for of in list_choices(TierSettings)]
        if self.mode != "strict" and not all(is_default):
            raise ValueError(
                f"null, alpha, tier and reference are of tests, and the mode {self.mode} has none; "
                "leave them out."
            )
        for name in ("subgraph", "fast_window"):
            if getattr(self, name) and self.mode != "coortweet":
                raise ValueError(f"{name} belongs to the mode coortweet, not to {self.mode}.")

    def _check_shorter(self, name: str, shorter_ms: int) -> None:
        if self.window_ms is not None and shorter_ms >= self.window_ms:
            raise ValueError(
                f"{name} is {getattr(self, name)}; it is shorter than the window {self.window}."
            )

    @property
    def _windows(self) -> list[int]:
        """Milliseconds of the windows asked for, the shortest first; none where it is auto."""
        if self.window == AUTO:
            return []
        return sorted({parse_window(part) for part in str(self.window).split(",")})

    @property
    def window_ms(self) -> int | None:
        """Milliseconds of the longest window; None where it is to be estimated."""
        return self._windows[-1] if self._windows else None

    @property
    def shorter_windows(self) -> list[int]:
        """Milliseconds of the other windows, which are counted beside it."""
        return self._windows[:-1]

    @property
    def is_tested(self) -> bool:
        """Whether edges are tested: other tools' networks are what these would find."""
        return self.tests and self.mode == "strict"


@dataclass(frozen=True, kw_only=True)
class CoactSettings(PairSettings):
    """Every choice of a run of `coact` that can change a finding; stored beside its result."""

    layers: tuple[str, ...] = choose(
        ("co_retweet", "co_url", "co_hashtag", "co_object"),
        "Ways to act alike, by commas, like co_url,similar_text.",
        detail="co_<kind> of any kind in the store, like co_url, or co_url:10s with a window of "
        "its own; co_hashtag_sequence: the same hashtags in the "
        "same order; similar_text: near-duplicate texts, of a store with texts; fast_retweet: from "
        "the author of a post to who retweeted it within seconds; similar_<kind>: the accounts "
        "most similar to each by what they shared at any time, TF-IDF cosine; jaccard_<kind>: the "
        "same by their weighted Jaccard index. The last two are rankings, not tests.",
        panel=ANALYSED,
    )
    merge: Merge = choose(
        "union", "Edges of any layer, of all, or those that all layers' tests support."
    )
    min_layers: int = choose(1, "Least layers of an edge.", at_least=1)
    min_weight: int = choose(1, "Least distinct objects of an edge in a layer.", at_least=1)
    min_tags: int = choose(5, "Least hashtags of a post, for it to be a sequence.", at_least=1)
    similarity: float = choose(
        0.8,
        "Least Jaccard index of similar texts, 0.5 to 1.",
        at_least=0.5,
        at_most=1,
        advice="like 0.8",
    )
    neighbours: int = choose(10, "Most similar accounts of each (similar_, jaccard_).", at_least=1)
    idf: Idf = choose(
        "smooth",
        "What an object counts in these.",
        detail="smooth: log((1 + n) / (1 + d)) + 1; plain: log(n / d), of n accounts of which d "
        "shared it.",
    )

    def check(self) -> None:
        """Refuse choices that do not go together."""
        super().check()
        longest = max(layer.window_ms for layer in self.parsed)
        check_null(self.null, measure_bin(longest if self.is_tested else 0))
        if self.min_layers > len(self.layers):
            raise ValueError(
                f"min_layers is {self.min_layers}, but there are {len(self.layers)} layers; ask "
                "for as many at most."
            )
        if self.min_layers > 1 and self.merge == "intersection":
            raise ValueError(
                "an intersection is of all layers; leave min_layers out, or merge by union with it."
            )

    @cached_property
    def parsed(self) -> tuple[Layer, ...]:
        """The layers."""
        return parse_layers(self.layers, self.window)

    @property
    def is_tested(self) -> bool:
        """Whether the layers are tested, and the network is of what the tests support."""
        return self.merge == "fused"

    def spell(self) -> dict[str, Any]:
        """Return the choices with layers by what they are, in any order."""
        layers = sorted((layer.name, layer.window_ms) for layer in self.parsed)
        return super().spell() | {"layers": layers}


@dataclass(frozen=True, kw_only=True)
class CycleSettings(ShareSettings):
    """Every choice of a cycle: those of the runs of `share` that it makes, and its own."""

    min_participation: int = respell(
        PairSettings,
        "min_participation",
        help="Leave out accounts with fewer such events in a round.",
    )
    min_weight: float | None = respell(ShareSettings, "min_weight", default=2)
    # Seeds are chosen, so chance in their shares is not chance in the archive.
    tests: bool = respell(ShareSettings, "tests", default=False, spellings=())
    min_sharers: int = choose(2, "Sharers found that an object to follow has.", at_least=1)
    max_popularity: int | None = choose(
        None, "Do not follow what more accounts, of all, share.", at_least=1
    )
    max_rounds: int = choose(10, "Rounds at most.", at_least=1, at_most=99)
