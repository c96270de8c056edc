"""Archives with a planted operation, and the truth about it.

In: a preset, a seed, parameters. Out: a folder in the form of an X archive (tweets.csv, users.csv)
or with a share table, and truth_accounts.parquet, truth_edges.parquet and simulation.json. All that
posts refer to is planned first; posts are then drawn and written in chunks: memory stays flat.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import polars as pl

from gpu_coord import __version__
from gpu_coord.folders import replace_folder, write_json
from gpu_coord.simulation.crowds import list_crowds
from gpu_coord.simulation.plan import plan_archive
from gpu_coord.simulation.posts import count_chunks, draw_posts, render_posts
from gpu_coord.simulation.scenario import PRESETS, Scenario, choose_scenario, parse_parameter
from gpu_coord.simulation.shares import render_shares
from gpu_coord.simulation.writing import open_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpu_coord.simulation.plan import Plan

    Progress = Callable[[str, int, int], None]

__all__ = [
    "PRESETS",
    "Format",
    "Scenario",
    "Simulation",
    "choose_scenario",
    "parse_parameter",
    "plan_archive",
    "simulate",
]

Format = Literal["csv", "csv.gz", "shares.csv", "shares.csv.gz", "shares.parquet"]

MARKER = "simulation.json"
TRUTH = {"truth_accounts.parquet", "truth_edges.parquet"}
FILES = {MARKER, "tweets.csv", "users.csv"} | TRUTH
# Whatever form it has, a former simulation is replaced.
ALL_FILES = FILES | {
    *(name for name in get_args(Format) if name.startswith("shares")),
    "tweets.csv.gz",
    "users.csv.gz",
}


@dataclass(frozen=True, slots=True)
class Simulation:
    """A simulated archive on disk."""

    path: Path
    preset: str
    seed: int
    scenario: Scenario
    format: Format
    n_posts: int
    n_accounts: int  # rows of truth_accounts.parquet, and of users.csv
    n_operation_accounts: int
    n_edges: int  # rows of truth_edges.parquet
    n_bytes: int  # of the posts

    @property
    def tweets(self) -> Path:
        """The posts: in the 30 columns of the 2020-09 release, or as a share table."""
        return self.path / _name_posts(self.format)

    @property
    def users(self) -> Path:
        """Every account's profile, also of those that never post; share tables have none."""
        return self.path / f"users.{self.format}"

    @property
    def inputs(self) -> list[Path]:
        """What to give to ``ingest``."""
        return [self.tweets] if _is_share_table(self.format) else [self.tweets, self.users]

    @property
    def truth_accounts(self) -> Path:
        """``account_id, label, role, group, influence``."""
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


def _is_share_table(format: Format) -> bool:
    return format.startswith("shares")


def _name_posts(format: Format) -> str:
    return format if _is_share_table(format) else f"tweets.{format}"


def list_truth_accounts(plan: Plan) -> pl.DataFrame:
    """``account_id, label, role, group, influence`` of every account, by account id.

    The group is null outside the operation and the crowds, which are numbered after its groups;
    the influence is the number of copies that an operation's account had made of its posts.
    """
    scenario, operation = plan.scenario, plan.operation
    n = len(plan.accounts.topic)
    account = np.arange(n)
    label, role = np.full(n, "unaffiliated", object), np.full(n, "organic", object)
    group = np.full(n, -1)
    own = account[: scenario.n_operation]
    label[own], group[own] = "operation", own // scenario.group_size
    role[own] = np.where(own % scenario.group_size < scenario.n_core, "core", "amplifier")
    n_groups = scenario.n_groups
    for crowd in list_crowds(scenario):
        label[crowd.accounts], role[crowd.accounts] = crowd.label, crowd.member
        role[crowd.accounts][:: crowd.group_size] = crowd.leader
        group[crowd.accounts] = n_groups + crowd.groups
        n_groups += crowd.n_groups
    plants = operation.account[: operation.n_plants]
    copies = np.bincount(plants, weights=operation.n_copies, minlength=n).astype(np.int64)
    return (
        pl.DataFrame(
            {
                "account_id": plan.accounts.ids,
                "label": pl.Series(label.tolist(), dtype=pl.String),
                "role": pl.Series(role.tolist(), dtype=pl.String),
                "group": group,
                "influence": copies,
            }
        )
        .with_columns(group=pl.when(pl.col("group") >= 0).then("group"))
        .sort("account_id")
    )


def list_truth_edges(plan: Plan) -> pl.DataFrame:
    """``source, target`` of the pairs that were followed, by account ids."""
    source, target = plan.operation.edges.T
    ids = plan.accounts.ids
    edges = pl.DataFrame({"source": ids.gather(source), "target": ids.gather(target)})
    return edges.sort("source", "target")


def _write_posts(plan: Plan, path: Path, format: Format, progress: Progress | None) -> None:
    render = render_shares if _is_share_table(format) else render_posts
    n_posts, n_written = plan.scenario.n_posts, 0
    with open_table(path) as write:
        for chunk in range(count_chunks(n_posts)):
            posts = draw_posts(plan, chunk)
            write(render(plan, posts))
            n_written += len(posts.number)
            if progress is not None:
                progress("posts", n_written, n_posts)


def _write_archive(
    plan: Plan, preset: str, format: Format, folder: Path, progress: Progress | None
) -> dict[str, int]:
    """Write every file; return the sizes."""
    accounts, edges = list_truth_accounts(plan), list_truth_edges(plan)
    posts = folder / _name_posts(format)
    _write_posts(plan, posts, format, progress)
    if not _is_share_table(format):
        with open_table(folder / f"users.{format}") as write:
            write(plan.accounts.profile.sort("userid"))
    accounts.write_parquet(folder / "truth_accounts.parquet")
    edges.write_parquet(folder / "truth_edges.parquet")
    sizes = {
        "n_posts": plan.scenario.n_posts,
        "n_accounts": accounts.height,
        "n_operation_accounts": plan.scenario.n_operation,
        "n_edges": edges.height,
        "n_bytes": posts.stat().st_size,
    }
    record = {
        "gpu_coord": __version__,
        "preset": preset,
        "seed": plan.seed,
        "format": format,
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
    format: Format = "csv",
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
        operation), ``crowds`` (the demo with fan clubs, news feeds, audiences and a cohort in one
        time zone), ``swift`` (the demo with lags of about 20 seconds), or ``august2019, june2020,
        russia2020, turkey2020, cncc2021, cnhu2021`` (sizes and activity tails of published
        takedowns).
    seed
        Not negative.
    n_posts
        Scale the preset to this many posts, see :func:`choose_scenario`.
    format
        An X archive as ``csv`` or ``csv.gz``, or a share table as ``shares.csv``,
        ``shares.csv.gz`` or ``shares.parquet`` (X archives are read as CSV only).
    progress
        Called with the stage, the posts written so far and their total, after each chunk.
    **overrides
        Parameters of :class:`Scenario` by name.

    Raises
    ------
    ValueError
        For parameters that contradict each other, or an unknown format.
    FileExistsError
        For a path that holds anything but a former simulation.
    """
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed={seed!r} must be an integer of 0 or more")
    if format not in get_args(Format):
        raise ValueError(
            f"format={format!r} is unknown; choose one of {', '.join(get_args(Format))}"
        )
    scenario = choose_scenario(preset, n_posts=n_posts, **overrides)
    target = Path(out).resolve()
    plan = plan_archive(scenario, seed)
    with replace_folder(target, MARKER, ALL_FILES) as folder:
        sizes = _write_archive(plan, preset, format, folder, progress)
    return Simulation(target, preset, seed, scenario, format, **sizes)
