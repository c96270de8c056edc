"""How a network is cut into communities."""

from dataclasses import dataclass

from gpu_coord.ground.choices import Seeded, choose


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(Seeded):
    """Choices of the communities of a network."""

    resolution: float = choose(
        1.0,
        "Of the communities: a larger value makes more and smaller ones.",
        above=0,
        spellings=(),
    )
