"""Every choice of `calibrate`, `sweep`, `evaluate`, `compare` and `transplant`."""

from dataclasses import dataclass
from typing import Literal

from gpu_coord.activity.settings import CellSettings
from gpu_coord.detection.settings import GroupSettings
from gpu_coord.ground.choices import ANALYSED, CHANCE, WINDOW, WORDS, Seeded, Spelling, choose
from gpu_coord.ground.times import parse_window
from gpu_coord.store.settings import TimeRange

Figure = Literal[
    "auc", "average_precision", "precision_at_n_positive", "auc_of_least_p_value",
    "auc_of_co_activity",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CalibrateSettings(GroupSettings):
    """Every choice of a calibration."""

    n_copies: int = choose(
        20,
        "Copies without coordination to test; each takes about as long as the data.",
        at_least=1,
        advice="20 are usual",
        spellings=(Spelling("copies", "Copies without coordination to test.", int, default=20),),
        panel=CHANCE,
    )


@dataclass(frozen=True, kw_only=True)
class TruthSettings(Seeded):
    """Which accounts ought to be found."""

    positive: str = choose(
        "operation", "The label of the accounts that ought to be found.", panel=ANALYSED
    )


@dataclass(frozen=True, kw_only=True)
class SweepSettings(TruthSettings):
    """Every choice of a sweep beside its grid."""

    sample: int | None = choose(None, "Cells to draw by the seed (all of the grid).", at_least=1)
    choose_by: Figure | None = choose(
        None, "Choose a cell by one half of the truth; score it on the other."
    )


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(TruthSettings):
    """Every choice of an evaluation."""

    prevalence: float = choose(
        0.01,
        "Share of such accounts for which to tell the precision.",
        above=0,
        below=1,
        panel=CHANCE,
    )
    n_resamples: int = choose(
        1000,
        "Bootstrap resamples behind the intervals; 0: none.",
        at_least=0,
        spellings=(Spelling("resamples", "", int, default=1000),),
        panel=CHANCE,
    )


@dataclass(frozen=True, kw_only=True)
class CompareSettings(EvaluateSettings, CellSettings):
    """Which methods are compared, and how."""

    methods: tuple[str, ...] | None = choose(
        None,
        "Methods, separated by commas (all but the slow ones).",
        unit=WORDS,
        advice="such as co_activity",
    )
    window: str = choose(
        "60s", "Longest time between two shares, of methods that look at seconds.", unit=WINDOW
    )
    n_permutations: int = choose(
        200, "Copies of methods that permute, time ignored.", at_least=19,
        spellings=(Spelling("permutations", "", int, default=200),),
        panel=CHANCE,
    )  # fmt: skip
    n_resamples: int = choose(
        200,
        "Bootstrap resamples behind the intervals; 0: none.",
        at_least=0,
        spellings=(Spelling("resamples", "", int, default=200),),
        panel=CHANCE,
    )

    @property
    def window_ms(self) -> int:
        """The window, in milliseconds."""
        return parse_window(self.window)


@dataclass(frozen=True, kw_only=True)
class TransplantSettings(Seeded, TimeRange):
    """Which accounts are planted, and among whom; the time range is that of the operation."""

    kinds: tuple[str, ...] | None = choose(
        None,
        "Kinds of entity, separated by commas (all that both have); hashtag=mention: mentions of "
        "the others for hashtags of the operation.",
        unit=WORDS,
        panel=ANALYSED,
    )
    min_events: int = choose(
        10, "Least events of an account that takes part.", at_least=1, panel=ANALYSED
    )
    caliper: float = choose(
        0.25, "Most that two that match differ, as a share of events and of days.", at_least=0
    )
    keep_entities: bool = choose(
        False, "Leave things their names, in the place of names by their rank."
    )
