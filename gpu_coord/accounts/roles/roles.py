"""Run folder -> who plays which part: scores of each account, and a word by a rule.

The one idea: a role is no more than the numbers beside it, and anyone can check it; cut-offs are
choices.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.accounts.roles.adoption import order_adoptions, score_adoptions
from gpu_coord.accounts.roles.following import score_following
from gpu_coord.accounts.roles.position import score_positions
from gpu_coord.accounts.roles.reading import Analysed, get_command, read_model
from gpu_coord.accounts.roles.rule import ROLES, name_roles
from gpu_coord.accounts.settings import RoleSettings
from gpu_coord.ground.keywords import takes
from gpu_coord.ground.times import parse_duration
from gpu_coord.results.clock import Progress
from gpu_coord.results.command import amend
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.results.forms import RUN
from gpu_coord.results.origin import find_store
from gpu_coord.store.store import Store

ROLE_COLUMNS = (
    "role", "role_reasons",
    "n_uses", "n_waves", "earliness", "earliness_z", "first_mover", "first_mover_z",
    "first_mover_expected", "first_mover_adjusted_z",
    "n_after", "n_before", "direction", "direction_z", "amplification_ratio",
    "asymmetry", "net_flow", "hub", "authority", "participation",
    "n_followers", "n_leaders", "n_core_leaders", "part", "core_fit",
    "originality", "retweet_share", "immigrant_ratio", "caused",
)  # fmt: skip


@takes(RoleSettings)
def assign_roles(
    run: Findings | Path | str,
    store: Store | Path | str | None = None,
    *,
    model: Path | str | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Findings:
    """Say which part each account plays in a run; ``accounts.parquet`` gets the columns.

    The run folder is replaced as a whole by one with the new table; all other files stay as they
    are. Roles that it already has are replaced, and the same choices give the same bytes.

    Parameters
    ----------
    run
        A run of `detect` or `share`, or its folder.
    store
        What the run was made from; by default the folder of that name beside the run.
    model
        A folder of `gpu-coord model` on the same store, for immigrant ratios and caused events.
    progress
        Called with the stage, the work done and the work in all.

    Raises
    ------
    ValueError
        A choice is out of range, the store or model is not that of the run, or the run is one of
        another command.
    """
    settings = RoleSettings(**choices)
    findings = open_run(run, *RUN.commands)
    get_command(findings)
    fitted = None if model is None else open_run(model, "model")
    scores = score_roles(
        findings,
        find_store(findings, store),
        model=fitted,
        wave=settings.wave,
        min_followers=settings.min_followers,
        progress=progress,
    )
    roles = scores.hstack(name_roles(scores, settings)).select(ROLE_COLUMNS)
    counts = dict.fromkeys(ROLES, 0) | dict(roles["role"].value_counts().rows())
    described = {
        "settings": asdict(settings),
        "model": None
        if fitted is None
        else {"folder": fitted.path.resolve().name, "fingerprint": fitted.fingerprint},
        "counts": {word: counts[word] for word in ROLES},
    }
    accounts = findings.read("accounts").drop(ROLE_COLUMNS, strict=False).hstack(roles)
    return amend(findings, {"accounts": accounts}, {"roles": described})


def score_roles(
    findings: Findings,
    store: Store,
    *,
    model: Findings | None = None,
    wave: str | None = "6h",
    min_followers: int = 3,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Score the accounts of a run: all columns of ``ROLE_COLUMNS`` but the words.

    Parameters
    ----------
    findings, store
        A run of `detect` or `share`, and what it was made from.
    model
        A folder of `gpu-coord model` on the same store.
    wave
        A longer silence of an object begins a new wave; None: one wave each.
    min_followers
        Accounts that an account of the core leads at least.
    progress
        Called with the stage, the work done and the work in all.

    Returns
    -------
        Row = account of the run. Null where nothing can be said.
    """
    report = progress or (lambda stage, done, total: None)
    analysed = Analysed(findings, store, get_command(findings))
    caused = _read_caused(findings, model)
    report("network", 0, 1)
    positions = score_positions(analysed.flows, **analysed.labels, min_followers=min_followers)
    report("network", 1, 1)
    return pl.concat(
        [
            positions,
            _score_uses(analysed, wave, report),
            _score_following(analysed, positions, report),
            caused,
        ],
        how="horizontal",
    )


def _read_caused(findings: Findings, model: Findings | None) -> pl.DataFrame:
    if model is not None:
        return read_model(findings, model)
    n_accounts = findings.read("accounts").height
    nothing = pl.Series([None] * n_accounts, dtype=pl.Float64)
    return pl.DataFrame({"immigrant_ratio": nothing, "caused": nothing})


def _score_uses(
    analysed: Analysed, wave: str | None, report: Callable[[str, int, int], None]
) -> pl.DataFrame:
    report("uses", 0, 3)
    uses = analysed.uses
    report("uses", 1, 3)
    wave_ms = None if wave is None else 1000 * parse_duration(wave)
    rate = analysed.accounts["n_posts"].fill_null(1).to_numpy()
    scores = score_adoptions(order_adoptions(uses, wave_ms=wave_ms), rate)
    report("uses", 2, 3)
    n_uses = pl.Series("n_uses", np.bincount(uses.account, minlength=rate.size))
    firsts = pl.Series(analysed.count_firsts())
    retweets = analysed.measure_retweets()
    report("uses", 3, 3)
    return scores.with_columns(
        n_uses, retweets, originality=pl.when(n_uses > 0).then(firsts / n_uses)
    )


def _score_following(
    analysed: Analysed, positions: pl.DataFrame, report: Callable[[str, int, int], None]
) -> pl.DataFrame:
    report("partners", 0, 1)
    is_core = positions["part"].eq_missing("core").to_numpy()
    scores = score_following(*analysed.follow(is_core))
    report("partners", 1, 1)
    linked = positions["participation"].is_not_null()
    return scores.select(pl.when(linked).then(pl.all()))
