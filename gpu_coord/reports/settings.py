"""Every choice of `report`."""

from dataclasses import dataclass

from gpu_coord.ground.choices import Choices, choose


@dataclass(frozen=True, kw_only=True)
class ReportSettings(Choices):
    """What a page shows."""

    texts: bool = choose(False, "Show what posts say, of a store that keeps texts.")
    min_group: int = choose(
        1, "Members of the smallest group, and part of the network, that is shown.", at_least=1
    )
    max_edges: int = choose(10_000, "Edges to draw, the heaviest.", at_least=1)
    max_rows: int = choose(200, "Rows of each table of accounts, pairs and objects.", at_least=1)
