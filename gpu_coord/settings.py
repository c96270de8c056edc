"""Every choice of an analysis, checked, with a hash that names it."""

import re
from dataclasses import dataclass, fields
from math import ceil
from typing import Any

import polars as pl

from gpu_coord.activity import DEFAULT_KINDS, Activity, build_activity
from gpu_coord.backend import Backend
from gpu_coord.choices import Choices, check_alpha, hash_json
from gpu_coord.store import Store
from gpu_coord.strata import Null, check_null
from gpu_coord.times import parse_duration
from gpu_coord.transitions import Denominator, Measure, Undefined, WeightRule


@dataclass(frozen=True, kw_only=True)
class Settings(Choices):
    """Every choice that can change a finding; stored beside each result."""

    kinds: tuple[str, ...] = DEFAULT_KINDS
    bin: str = "1h"
    lags: tuple[int, ...] = (1,)  # bins; each is scored on its own
    min_posts: int = 1
    top_percent: float = 100.0
    match: str | None = None  # label to match with as many other accounts
    start: str | None = None  # ISO 8601, included
    end: str | None = None  # ISO 8601, excluded
    split_at: str | None = None  # ISO 8601: two more runs, before it and from it on
    measure: Measure = "trace"
    undefined: Undefined = "marginal"
    denominator: Denominator = "all"
    shrink: float = 0.0  # pseudo-transitions
    min_support: int = 1  # lagged coincidences over all kinds
    min_weight: float = 0.0  # an edge lies above it
    paper: bool = False  # no significance: every edge is in the network
    null: Null = "day"  # what chance leaves as it is, see `gpu_coord.strata.stratify`
    alpha: float = 0.05  # false discovery rate of the significant pairs
    groups: int = 4  # sets to search for on each half of the days; 0: no test of groups
    resolution: float = 1.0  # of the communities
    seed: int = 0

    def __post_init__(self) -> None:
        parse_duration(self.bin)
        self.parse_times("start", "end", "split_at")
        if not self.kinds:
            raise ValueError("kinds is empty; name at least one, such as hashtag.")
        if not self.lags or len(set(self.lags)) < len(self.lags) or min(self.lags) < 0:
            raise ValueError(f"lags is {self.lags}; give distinct numbers of bins, 0 or more.")
        if not 1 <= self.min_support < 2**31:
            raise ValueError(
                f"min_support is {self.min_support}; it lies between 1 and 2^31 coincidences."
            )
        if not 0 <= self.min_weight < float("inf"):
            raise ValueError(
                f"min_weight is {self.min_weight}; it is 0 or more: pairs without a coincidence "
                "have no positive weight and are never weighed."
            )
        check_alpha(self.alpha)
        check_null(self.null, parse_duration(self.bin))
        if self.groups < 0:
            raise ValueError(f"groups is {self.groups}; it is 0, for no test of groups, or more.")
        self.rule  # noqa: B018  (checks its part of the settings)

    @property
    def rule(self) -> WeightRule:
        """The settings that turn counts into weights."""
        return WeightRule(**{f.name: getattr(self, f.name) for f in fields(WeightRule)})

    @property
    def n_replicates(self) -> int:
        """Replicates of each test of a group: enough for p-values below its threshold."""
        return max(499, ceil(4 * self.groups / self.alpha))

    def build_activity(
        self,
        store: Store,
        *,
        labels: pl.DataFrame | None = None,
        backend: Backend | None = None,
    ) -> Activity:
        """Bin the events of a store that these settings select.

        Parameters
        ----------
        store
            From `ingest` or `open_store`.
        labels
            Columns account_id, label, in the place of the store's own labels.
        backend
            Where to compute; the default is `gpu_coord.backend.choose`'s.

        Raises
        ------
        ValueError
            Nothing is left to analyse.
        """
        return build_activity(
            store,
            kinds=self.kinds,
            bin=self.bin,
            min_posts=self.min_posts,
            top_percent=self.top_percent,
            start=self.start,
            end=self.end,
            match=self.match,
            labels=labels,
            seed=self.seed,
            backend=backend,
        )

    def spell(self) -> dict[str, Any]:
        """Return what can be written in several ways, written in one."""
        return {
            "kinds": tuple(dict.fromkeys(self.kinds)),
            "bin": parse_duration(self.bin),
            **self.parse_times("start", "end", "split_at"),
        }


def parse_lags(text: str, *, given: str | None = None) -> tuple[int, ...]:
    """Return the lags of a range such as ``1-4``, or ``1-1`` for one lag.

    Parameters
    ----------
    text
        The first and the last lag, in bins.
    given
        How an error begins: what was given, and where.

    Raises
    ------
    ValueError
        The text is no rising range.
    """
    match = re.fullmatch(r"([0-9]+)-([0-9]+)", text)
    if not match or int(match[1]) > int(match[2]):
        raise ValueError(f"{given or f'lags is {text!r}'}; write a rising range of bins, like 1-4.")
    return tuple(range(int(match[1]), int(match[2]) + 1))


def hash_labels(labels: pl.DataFrame | None) -> str | None:
    """Return a hash of labels (account_id, label) that take the place of a store's own."""
    if labels is None:
        return None
    rows = labels.select("account_id", "label").sort("account_id").rows()
    return hash_json(rows)
