"""Every choice of `report`."""

from dataclasses import dataclass

from gpu_coord.ground.choices import OUTPUT, Choices, choose


@dataclass(frozen=True, kw_only=True)
class ReportSettings(Choices):
    """What a page shows."""

    texts: bool = choose(False, "Show what posts say, of a store that keeps texts.", panel=OUTPUT)
    min_group: int = choose(
        1, "Accounts of the smallest group or part of the network shown.", at_least=1, panel=OUTPUT
    )
    max_edges: int = choose(10_000, "Edges to draw, the heaviest.", at_least=1, panel=OUTPUT)
    max_rows: int = choose(200, "Rows of each table.", at_least=1, panel=OUTPUT)
