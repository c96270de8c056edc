"""Which folders the commands write: the file that marks each, and what else it may hold.

`gpu_coord.results.findings.open_run` and ``verify`` know every folder by this table.
"""

from dataclasses import dataclass
from typing import Literal

MAX_ROUNDS = 99

# What the accounts of a run are grouped by; auto: confirmed groups, else communities.
Grouping = Literal["auto", "group", "component", "community"]


@dataclass(frozen=True, slots=True)
class Form:
    """What a folder of one or several commands looks like."""

    noun: str  # with its article
    plural: str
    marker: str  # the JSON file with settings, origin, summary and what describes the tables
    commands: tuple[str, ...]  # the first wrote the folders whose marker names no command
    tables: tuple[str, ...]
    files: tuple[str, ...] = ()  # described by size and hash
    runs: tuple[str, ...] = ()  # folders in it with runs of their own

    @property
    def names(self) -> set[str]:
        """All that such a folder, or a run in it, may hold."""
        held = {self.marker, *(f"{table}.parquet" for table in self.tables), *self.files}
        return held | set(self.runs) | (RUN.names if self.runs and self is not RUN else set())

    @property
    def makers(self) -> str:
        """The commands that write it, as people type them."""
        return " and ".join(f"`gpu-coord {command}`" for command in self.commands)


RUN = Form(
    "run", "runs", "run.json", ("detect", "share", "coact"),
    tables=(
        "edges", "accounts", "components", "communities", "classes", "entities",
        "groups", "group_accounts", "evidence", "effects", "lags",
        "pairs", "account_stats", "group_stats", "surface", "gaps", "changes",
        "marked_shares", "layers", "component_sharing", "community_sharing", "top_objects",
        "top_posts",
    ),
    files=("network.graphml", "network.gexf"),
    runs=("before", "after"),
)  # fmt: skip
CYCLE = Form(
    "cycle", "cycles", "cycle.json", ("cycle",),
    tables=("rounds", "objects", "accounts", "seeds_missing"),
    runs=tuple(f"round_{number:02}" for number in range(1, MAX_ROUNDS + 1)),
)  # fmt: skip
MODEL = Form("model", "models", "model.json", ("model",), tables=("accounts", "influences"))
CASCADES = Form(
    "folder of cascades", "cascades", "cascades.json", ("cascades",),
    tables=("cascades", "hops", "flows", "adoption", "catalysts", "accounts"),
)  # fmt: skip
COHORTS = Form(
    "folder of cohorts", "cohorts", "cohorts.json", ("cohorts",),
    tables=("cohorts", "profiles", "accounts"),
)  # fmt: skip
CALIBRATION = Form(
    "calibration", "calibrations", "calibration.json", ("calibrate",),
    tables=("copies", "quantiles"), files=("qq.png",),
)  # fmt: skip
SWEEP = Form(
    "sweep", "sweeps", "sweep.json", ("sweep",),
    tables=("sweep", "accounts", "edges", "ari", "variance"),
)  # fmt: skip
SIMULATION = Form(
    "simulation", "simulations", "simulation.json", ("simulate",),
    tables=("truth_accounts", "truth_edges"),
    files=(
        "tweets.csv", "tweets.csv.gz", "users.csv", "users.csv.gz",
        "shares.csv", "shares.csv.gz", "shares.parquet",
    ),
)  # fmt: skip
TRANSPLANT = Form(
    "transplant", "transplants", "transplant.json", ("transplant",),
    tables=("shares", "truth_accounts"),
)  # fmt: skip

COMPARISON = Form(
    "comparison", "comparisons", "comparison.json", ("compare",),
    tables=("methods", "groups", "ranks", "scores"), files=("table.tex", "methods.png"),
)  # fmt: skip

FORMS = (
    RUN, CYCLE, MODEL, CASCADES, COHORTS, CALIBRATION, SWEEP, SIMULATION, TRANSPLANT, COMPARISON,
)  # fmt: skip


def find_form(command: str) -> Form:
    """Return the form of the folders that a command writes."""
    return next(form for form in FORMS if command in form.commands)
