"""Who and what takes part, how time is cut, and how counts become weights."""

import re
from dataclasses import dataclass
from typing import Literal

from gpu_coord.ground.choices import ANALYSED, DURATION, WORDS, Choices, Seeded, Spelling, choose
from gpu_coord.store.settings import TimeRange

Measure = Literal["trace", "frobenius"]
Undefined = Literal["marginal", "zero", "skip"]
Denominator = Literal["all", "union", "intersection", "source", "idf", "none"]
MAX_LAGS = 1000  # of one run: a week in bins of ten minutes


@dataclass(frozen=True, kw_only=True)
class CellSettings(TimeRange):
    """Which accounts and entities have cells, and how long a bin is."""

    kinds: tuple[str, ...] | None = choose(
        None,
        "Kinds of entity, by commas (hashtag,url,mention).",
        detail="All kinds of a store that lacks one of these.",
        unit=WORDS,
        advice="such as hashtag",
        panel=ANALYSED,
    )
    bin: str = choose("1h", "Width of a time bin, like 1h or 15m.", unit=DURATION)
    min_posts: int = choose(1, "Leave out accounts with fewer posts.", at_least=1, panel=ANALYSED)
    top_percent: float = choose(
        100.0,
        "Keep the top percent of accounts by posts.",
        above=0,
        at_most=100,
        panel=ANALYSED,
    )


@dataclass(frozen=True, kw_only=True)
class MatchSettings(CellSettings, Seeded):
    """The same, where accounts of a label can be held against as many others."""

    match: str | None = choose(
        None, "Keep accounts of this label, as many others by lot.", panel=ANALYSED
    )


def read_lag(lag: int) -> tuple[int, ...]:
    """Return the one lag as `lags`."""
    return (lag,)


def parse_lags(text: str) -> tuple[int, ...]:
    """Return the lags of a range such as ``1-4``, or ``1-1`` for one lag.

    Raises
    ------
    ValueError
        The text is no rising range.
    """
    first, dash, last = text.partition("-")
    is_range = dash and all(re.fullmatch("[0-9]{1,9}", part) for part in (first, last))
    if not is_range or int(first) > int(last):
        raise ValueError(f"lags is {text!r}; write a rising range of bins, like 1-4.")
    check_n_lags(int(last) - int(first) + 1)
    return tuple(range(int(first), int(last) + 1))


def check_n_lags(n_lags: int) -> None:
    """Refuse more lags than `MAX_LAGS`.

    Raises
    ------
    ValueError
        There are more.
    """
    if n_lags > MAX_LAGS:
        raise ValueError(
            f"there are {n_lags:,} lags; each is counted on its own, so give {MAX_LAGS} at most: "
            "wider bins reach farther."
        )


@dataclass(frozen=True, kw_only=True)
class LagSettings(MatchSettings):
    """The same, and how many bins after the source the target acts."""

    lags: tuple[int, ...] = choose(
        (),
        "Bins from source to target, each scored on its own (0 and 1; with paper 1).",
        spellings=(
            Spelling("lag", "Bins from source to target (0 and 1).", int, read_lag),
            Spelling("lags", "Range of lags, like 1-4; each pair keeps its best.", str, parse_lags),
        ),
    )

    def check(self) -> None:
        """Refuse lags that are none or given twice."""
        super().check()
        if not self.lags:
            object.__setattr__(self, "lags", self.usual_lags)
        if len(set(self.lags)) < len(self.lags) or min(self.lags) < 0:
            raise ValueError(f"lags is {self.lags}; give distinct numbers of bins, 0 or more.")
        check_n_lags(len(self.lags))

    @property
    def usual_lags(self) -> tuple[int, ...]:
        """The lags where none are chosen: together, and one bin after."""
        return (0, 1)


@dataclass(frozen=True, kw_only=True)
class WeightRule(Choices):
    """How the counts of a pair become its weight, see `gpu_coord.activity.weights`."""

    measure: Measure = choose("trace", "How a matrix becomes a weight.")
    undefined: Undefined = choose("marginal", "What becomes of entities the source never used.")
    denominator: Denominator = choose("all", "Which entities the mean is over.")
    shrink: float = choose(
        0.0,
        "Pseudo-transitions at the target's own rate.",
        at_least=0,
        advice="a number of transitions",
    )
