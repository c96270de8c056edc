"""Archives with a planted operation, and the truth about it.

In: a preset, a seed, parameters. Out: a folder in the form of an X archive (tweets.csv, users.csv)
with truth_accounts.parquet, truth_edges.parquet and simulation.json. All that posts refer to is
planned first; posts are then drawn and written in chunks, so that memory stays flat.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gpu_coord import __version__
from gpu_coord.folders import replace_folder, write_json
from gpu_coord.simulation.plan import plan_archive
from gpu_coord.simulation.posts import count_chunks, draw_posts, render_posts
from gpu_coord.simulation.scenario import PRESETS, Scenario, choose_scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpu_coord.simulation.plan import Plan

    Progress = Callable[[str, int, int], None]

__all__ = ["PRESETS", "Scenario", "Simulation", "choose_scenario", "plan_archive", "simulate"]

MARKER = "simulation.json"
FILES = {MARKER, "tweets.csv", "users.csv", "truth_accounts.parquet", "truth_edges.parquet"}


@dataclass(frozen=True, slots=True)
class Simulation:
    """A simulated archive on disk."""

    path: Path
    preset: str
    seed: int
    scenario: Scenario
    n_posts: int  # rows of tweets.csv
    n_accounts: int  # rows of users.csv and truth_accounts.parquet
    n_operation_accounts: int
    n_edges: int  # rows of truth_edges.parquet
    n_bytes: int  # of tweets.csv

    @property
    def tweets(self) -> Path:
        """The posts, in the 30 columns of the 2020-09 release."""
        return self.path / "tweets.csv"

    @property
    def users(self) -> Path:
        """Every account's profile, also of those that never post."""
        return self.path / "users.csv"

    @property
    def truth_accounts(self) -> Path:
        """``account_id, label, role, group``."""
        return self.path / "truth_accounts.parquet"

    @property
    def truth_edges(self) -> Path:
        """``source, target``: core accounts and the amplifiers that copied them."""
        return self.path / "truth_edges.parquet"

    def __repr__(self) -> str:
        return (
            f"Simulation({self.preset}, seed {self.seed}: {self.n_posts:,} posts of "
            f"{self.n_accounts:,} accounts, {self.n_operation_accounts:,} in the operation with "
            f"{self.n_edges:,} edges; {self.n_bytes / 1e6:,.1f} MB in {self.path})"
        )


def list_truth_accounts(plan: Plan) -> pl.DataFrame:
    """``account_id, label, role, group`` of every account, by account id; group null outside."""
    scenario = plan.scenario
    account = pl.Series(np.arange(len(plan.accounts.topic)))
    operation = account < scenario.n_operation
    core = account % scenario.group_size < scenario.n_core
    return pl.select(
        account_id=plan.accounts.ids,
        label=pl.when(operation).then(pl.lit("operation")).otherwise(pl.lit("unaffiliated")),
        role=pl.when(~operation)
        .then(pl.lit("organic"))
        .otherwise(pl.when(core).then(pl.lit("core")).otherwise(pl.lit("amplifier"))),
        group=pl.when(operation).then(account // scenario.group_size),
    ).sort("account_id")


def list_truth_edges(plan: Plan) -> pl.DataFrame:
    """``source, target`` of the pairs that were followed, by account ids."""
    source, target = plan.operation.edges.T
    ids = plan.accounts.ids
    edges = pl.DataFrame({"source": ids.gather(source), "target": ids.gather(target)})
    return edges.sort("source", "target")


def _write_tweets(plan: Plan, path: Path, progress: Progress | None) -> None:
    n_posts, n_written = plan.scenario.n_posts, 0
    with path.open("wb") as file:
        for chunk in range(count_chunks(n_posts)):
            table = render_posts(plan, draw_posts(plan, chunk))
            table.write_csv(file, quote_style="always", include_header=chunk == 0)
            n_written += table.height
            if progress is not None:
                progress("posts", n_written, n_posts)


def _write_archive(
    plan: Plan, preset: str, folder: Path, progress: Progress | None
) -> dict[str, int]:
    """Write every file; return the sizes."""
    accounts, edges = list_truth_accounts(plan), list_truth_edges(plan)
    _write_tweets(plan, folder / "tweets.csv", progress)
    plan.accounts.profile.sort("userid").write_csv(folder / "users.csv", quote_style="always")
    accounts.write_parquet(folder / "truth_accounts.parquet")
    edges.write_parquet(folder / "truth_edges.parquet")
    sizes = {
        "n_posts": plan.scenario.n_posts,
        "n_accounts": accounts.height,
        "n_operation_accounts": plan.scenario.n_operation,
        "n_edges": edges.height,
        "n_bytes": (folder / "tweets.csv").stat().st_size,
    }
    record = {
        "gpu_coord": __version__,
        "preset": preset,
        "seed": plan.seed,
        "parameters": asdict(plan.scenario),
        "sizes": {**sizes, "n_operation_posts": plan.operation.n_posts},
    }
    write_json(folder / MARKER, record)
    return sizes


def simulate(
    out: str | Path,
    *,
    preset: str = "demo",
    seed: int = 0,
    n_posts: int | None = None,
    progress: Progress | None = None,
    **overrides: Any,
) -> Simulation:
    """Write an archive with a planted operation, and the truth about it.

    The same preset, parameters and seed give the same bytes. Nothing in it is real: what a detector
    scores on it says little about its score on a real archive.

    Parameters
    ----------
    out
        Folder to write; a former simulation is replaced.
    preset
        ``demo`` (five core accounts and 35 amplifiers among 400), ``null`` (the same without an
        operation), ``june2020`` or ``cnhu2021`` (sizes and activity tails of published takedowns).
    seed
        Not negative.
    n_posts
        Scale the preset to this many posts, see :func:`choose_scenario`.
    progress
        Called with the stage, the posts written so far and their total, after each chunk.
    **overrides
        Parameters of :class:`Scenario` by name.

    Raises
    ------
    ValueError
        For parameters that contradict each other.
    FileExistsError
        For a path that holds anything but a former simulation.
    """
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed={seed!r} must be an integer of 0 or more")
    scenario = choose_scenario(preset, n_posts=n_posts, **overrides)
    target = Path(out).resolve()
    plan = plan_archive(scenario, seed)
    with replace_folder(target, MARKER, FILES) as folder:
        sizes = _write_archive(plan, preset, folder, progress)
    return Simulation(target, preset, seed, scenario, **sizes)
