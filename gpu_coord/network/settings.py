"""How a network is cut into communities, and drawn."""

from dataclasses import dataclass
from typing import NamedTuple

from gpu_coord.ground.choices import OUTPUT, Seeded, Unit, choose

_RULES = {"disparity": 0.05, "best": 5.0}


class Backbone(NamedTuple):
    """A rule, and its one number."""

    rule: str  # disparity or best
    level: float  # p-value below which an edge is kept; or edges of each account


def parse_backbone(text: str) -> Backbone:
    """Return the rule of a text like ``disparity``, ``disparity:0.01`` or ``best:10``.

    Raises
    ------
    ValueError
        There is no such rule, or its number is none.
    """
    rule, _, number = text.partition(":")
    try:
        level = float(number) if number else _RULES[rule]
    except (KeyError, ValueError):
        level = -1.0
    is_level = 0 < level < 1 if rule == "disparity" else level >= 1 and level == int(level)
    if rule not in _RULES or not is_level:
        raise ValueError(
            f"backbone is {text!r}; write disparity:0.05 (a p-value) or best:5 (edges of each "
            "account), with a number of your own or without any."
        )
    return Backbone(rule, level)


BACKBONE = Unit("rule", parse_backbone)


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(Seeded):
    """Choices of the communities of a network, and of the files that draw it."""

    resolution: float = choose(
        1.0,
        "Of the communities: a larger value makes more and smaller ones.",
        above=0,
        spellings=(),
    )
    backbone: str | None = choose(
        None,
        "Draw the edges alone that stand out: disparity, best:10.",
        detail="For one of their ends: disparity or disparity:0.01, best or best:10. All edges are "
        "drawn by default, and the findings rest on all.",
        unit=BACKBONE,
        panel=OUTPUT,
    )
