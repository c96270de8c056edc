"""The nulls: what chance leaves as it is in each account's activity."""

from dataclasses import dataclass
from typing import Literal, get_args

from gpu_coord.ground.choices import CHANCE, Choices, check_choice, choose

NetworkTier = Literal["auto", "beyond_news", "beyond_habit"]
Null = Literal["popularity", "entity", "hour", "day", "six_hours", "one_hour"]
_HOUR = 3600
_MIN_BINS = 10  # of a block, for the order of its bins to say anything
_BLOCK_HOURS: dict[Null, int] = {"one_hour": 1, "six_hours": 6, "day": 24}


def list_nulls(bin_seconds: int) -> tuple[Null, ...]:
    """Return the nulls that bins of a length leave something to, the most generous first.

    Parameters
    ----------
    bin_seconds
        Length of a bin.
    """
    nulls: tuple[Null, ...] = get_args(Null)
    is_fine = bin_seconds * _MIN_BINS <= _HOUR
    return nulls if is_fine else tuple(null for null in nulls if null != "one_hour")


def choose_finest(null: Null, bin_seconds: int) -> Null:
    """Return the null with the shortest blocks that bins of a length leave something to.

    The news is slower than the bins, and what a shorter block keeps is not taken for its doing.

    Parameters
    ----------
    null
        What habits are tested with; nothing coarser is returned.
    bin_seconds
        Length of a bin.
    """
    for finest, hours in _BLOCK_HOURS.items():
        if null == finest or bin_seconds * _MIN_BINS <= hours * _HOUR:
            return finest
    return "day"


def check_null(null: str, bin_seconds: int) -> None:
    """Refuse a null that is unknown, or that leaves bins of that length nothing.

    Raises
    ------
    ValueError
        It is one of these.
    """
    check_choice("null", null, get_args(Null))
    if null not in list_nulls(bin_seconds):
        raise ValueError(
            f"the null {null} leaves to chance what happens within an hour, and a bin is "
            f"{bin_seconds} s; it takes bins of at most {_HOUR // _MIN_BINS} s (of shares: a "
            "window of at most 179 s), or choose another null, such as six_hours."
        )


@dataclass(frozen=True, kw_only=True)
class TestSettings(Choices):
    """What chance leaves as it is, and how many false findings are accepted."""

    __test__ = False  # pytest takes the name for tests

    null: Null = choose(
        "day",
        "What chance leaves as it is.",
        detail="In each account's activity.",
        panel=CHANCE,
    )
    alpha: float = choose(
        0.05,
        "Share of false findings to accept.",
        detail="The false discovery rate.",
        above=0,
        below=1,
        advice="0.05 is usual",
        panel=CHANCE,
    )


@dataclass(frozen=True, kw_only=True)
class TierSettings(TestSettings):
    """The same, and which of two questions makes the network."""

    tier: NetworkTier = choose(
        "auto",
        "Which edges make the network.",
        detail="Those beyond the two accounts' habits, or also beyond the news; auto: the latter "
        "where it can be told from coordination.",
        panel=CHANCE,
    )
    reference: str | None = choose(
        None,
        "Label of control accounts, for what the news does.",
        detail="'unlabelled': those without. Their pairs say how much the news does, in the place "
        "of the pairs that met once.",
        panel=CHANCE,
    )
