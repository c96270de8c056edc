"""Archives with a planted operation, and the truth about it.

In: a preset, a seed, parameters. Out: a folder in the form of an X archive (tweets.csv, users.csv)
or with a share table, and truth_accounts.parquet, truth_edges.parquet and simulation.json. All that
posts refer to is planned first; posts are then drawn and written in chunks: memory stays flat.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gpu_coord.ground.choices import hash_json
from gpu_coord.ground.keywords import takes
from gpu_coord.results.command import begin, choose_place
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.simulation.crowds import list_crowds
from gpu_coord.simulation.plan import plan_archive
from gpu_coord.simulation.posts import count_chunks, draw_posts, render_posts
from gpu_coord.simulation.scenario import Scenario, choose_scenario
from gpu_coord.simulation.settings import SimulateSettings
from gpu_coord.simulation.shares import render_shares
from gpu_coord.simulation.writing import open_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from gpu_coord.results.clock import Progress
    from gpu_coord.results.command import Work
    from gpu_coord.simulation.plan import Plan


@dataclass(frozen=True, slots=True, repr=False)
class Simulation(Findings):
    """A simulated archive on disk."""

    @property
    def format(self) -> str:
        """In which form the posts are written."""
        return str(self.settings["format"])

    @property
    def scenario(self) -> Scenario:
        """All parameters."""
        return Scenario(**self.content["parameters"])

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
        sizes = self.summary
        return (
            f"Simulation({self.settings['preset']}, seed {self.settings['seed']}: "
            f"{sizes['n_posts']:,} posts of {sizes['n_accounts']:,} accounts, "
            f"{sizes['n_operation_accounts']:,} in the operation with {sizes['n_edges']:,} edges; "
            f"{sizes['n_bytes'] / 1e6:,.1f} MB in {self.path})"
        )


def _is_share_table(format: str) -> bool:
    return format.startswith("shares")


def _name_posts(format: str) -> str:
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


def _write_posts(plan: Plan, path: Path, format: str, report: Callable[[int, int], None]) -> None:
    render = render_shares if _is_share_table(format) else render_posts
    n_posts, n_written = plan.scenario.n_posts, 0
    with open_table(path) as write:
        for chunk in range(count_chunks(n_posts)):
            posts = draw_posts(plan, chunk)
            write(render(plan, posts))
            n_written += len(posts.number)
            report(n_written, n_posts)


def _write_archive(plan: Plan, format: str, work: Work) -> dict[str, int]:
    accounts, edges = list_truth_accounts(plan), list_truth_edges(plan)
    posts = work.folder / _name_posts(format)
    with work.time("posts"):
        _write_posts(plan, posts, format, work.report("posts"))
    if not _is_share_table(format):
        with open_table(work.folder / f"users.{format}") as write:
            write(plan.accounts.profile.sort("userid"))
    work.write({"truth_accounts": accounts, "truth_edges": edges})
    return {
        "n_posts": plan.scenario.n_posts,
        "n_accounts": accounts.height,
        "n_operation_accounts": plan.scenario.n_operation,
        "n_operation_posts": plan.operation.n_posts,
        "n_edges": edges.height,
        "n_bytes": posts.stat().st_size,
    }


@takes(SimulateSettings)
def simulate(
    out: str | Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **choices: Any,
) -> Simulation:
    """Write an archive with a planted operation, and the truth about it.

    The same preset, parameters and seed give the same bytes. Nothing in it is real: what a detector
    scores on it says little about its score on a real archive.

    Parameters
    ----------
    out
        Folder to write; the same simulation is returned as it is, anything else is refused.
        Without it a temporary one is there as long as what is returned, whose `save` keeps it.
    overrides
        Parameters of :class:`Scenario` by name, in the place of the preset's.
    overwrite
        Simulate anew, and replace any simulation that is there.
    progress
        Called with the stage, the posts written so far and their total, after each chunk.

    Raises
    ------
    ValueError
        For parameters that contradict each other, or an unknown format.
    FileExistsError
        For a path that holds anything else.
    """
    settings = SimulateSettings(**choices)
    scenario = choose_scenario(settings.preset, **_merge_choices(settings, overrides or {}))
    parameters = asdict(scenario)
    plan = plan_archive(scenario, settings.seed)
    place, kept = choose_place(out, "simulation")
    with begin(
        "simulate", place, settings, inputs={"parameters": hash_json(parameters)},
        overwrite=overwrite, progress=progress,
    ) as work:  # fmt: skip
        sizes = _write_archive(plan, settings.format, work)
        work.describe(parameters=parameters, summary=sizes)
    made = open_run(place, "simulate")
    return Simulation(made.path, made.content, made.form, kept)


def _merge_choices(settings: SimulateSettings, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that are chosen, each once."""
    own = {name for name in ("preset", "n_posts") if name in overrides}
    if "preset" in own or (own and settings.n_posts is not None):
        names = " and ".join(sorted(own))
        raise ValueError(f"overrides has {names}, which the keyword chooses; leave it out there.")
    return {"n_posts": settings.n_posts, **overrides}
