"""Every choice of `simulate` beside the parameters of its scenario."""

from dataclasses import dataclass
from typing import Literal

from gpu_coord.ground.choices import OUTPUT, Seeded, choose

Format = Literal["csv", "csv.gz", "shares.csv", "shares.csv.gz", "shares.parquet"]


@dataclass(frozen=True, kw_only=True)
class SimulateSettings(Seeded):
    """What is simulated, how much of it, and in which form it is written."""

    preset: str = choose(
        "demo",
        "demo, small, null, crowds, swift, or the size of a published takedown: august2019, "
        "june2020, russia2020, turkey2020, cncc2021, cnhu2021.",
        detail="demo: five core accounts and 35 amplifiers among 400; small: the same among 200, "
        "for a first try; null: the demo without an "
        "operation; crowds: the demo with fan clubs, news feeds, audiences and a cohort in one "
        "time zone; swift: the demo with lags of about 20 seconds.",
    )
    n_posts: int | None = choose(None, "Scale the preset to this many posts.", at_least=1)
    format: Format = choose("csv", "An X archive, or a share table of it.", panel=OUTPUT)
