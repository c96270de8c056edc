"""How a network is cut into communities."""

from dataclasses import dataclass

from gpu_coord.ground.choices import Choices, choose

MAX_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Seeded(Choices):
    """Whatever is drawn by lot is drawn by a seed."""

    seed: int = choose(0, "Same seed, same result.", at_least=0, at_most=MAX_SEED)


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(Seeded):
    """Choices of the communities of a network."""

    resolution: float = choose(
        1.0,
        "Of the communities: a larger one makes more and smaller ones.",
        above=0,
        spellings=(),
    )
