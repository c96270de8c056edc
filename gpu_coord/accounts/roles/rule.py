"""Scores -> one word for each account, and why: conditions that anyone can check.

The one idea: each word is a condition on numbers that stand beside it. An account gets the first
word whose condition holds; all that hold are told.
"""

import re
from typing import Literal, get_args

import polars as pl

from gpu_coord.accounts.settings import RoleSettings

Role = Literal["core", "catalyst", "amplifier", "bridge", "booster", "none"]
ROLES: tuple[Role, ...] = get_args(Role)


def name_roles(scores: pl.DataFrame, settings: RoleSettings) -> pl.DataFrame:
    """Name the part that each account plays.

    ``core``: in the core of its component, and acts before its partners rather than after them.
    ``catalyst``: early among all who use the same things, and acts before its partners.
    ``amplifier``: in the periphery, follows an account of the core, and acts after its partners.
    ``bridge``: its edges are spread over several communities. ``booster``: follows others, and
    begins fewer things itself than the median of the network: by its immigrant ratio where there
    is a model, else by its originality. ``none``: none of these.

    Parameters
    ----------
    scores
        The scores of `gpu_coord.accounts.roles.roles.assign_roles`; row = account.
    settings
        The cut-offs.

    Returns
    -------
        ``role`` and ``role_reasons``, the conditions that hold, with their numbers.
    """
    conditions = _list_conditions(scores, settings)
    role = pl.coalesce(
        *(pl.when(holds).then(pl.lit(word)) for word, holds, _ in conditions), pl.lit("none")
    )
    told = [pl.when(holds).then(_fill(f"{word}: {text}")) for word, holds, text in conditions]
    linked = pl.col("participation").is_not_null()
    nothing = pl.when(linked).then(pl.lit("no condition holds")).otherwise(pl.lit("no edges"))
    reasons = pl.concat_str(told, separator="; ", ignore_nulls=True)
    return scores.select(
        role=role, role_reasons=pl.when(reasons != "").then(reasons).otherwise(nothing)
    )


def _list_conditions(
    scores: pl.DataFrame, settings: RoleSettings
) -> list[tuple[Role, pl.Expr, str]]:
    """Return each word with its condition, and what to say of which scores where it holds."""
    direction, part = pl.col("direction_z"), pl.col("part")
    leads = direction > settings.min_direction
    follows_core = (part == "periphery") & (pl.col("n_core_leaders") > 0)
    own = "immigrant_ratio" if scores["immigrant_ratio"].count() > 0 else "originality"
    median = find_median(scores, own)
    begins_little = f"{own.replace('_', ' ')} {{{own}}} below the median {median:.3g}"
    holds: dict[Role, pl.Expr] = {
        "core": (part == "core") & leads,
        "catalyst": leads & (pl.col("earliness_z") > settings.min_earliness),
        "amplifier": follows_core & (direction < -settings.min_direction),
        "bridge": pl.col("participation") > settings.min_participation,
        "booster": (pl.col("n_leaders") > 0) & (pl.col(own) < median),
    }
    said: dict[Role, str] = {
        "core": "leads {n_followers} accounts, direction z {direction_z}, core fit {core_fit}",
        "catalyst": "earliness z {earliness_z}, direction z {direction_z}",
        "amplifier": "follows {n_core_leaders} core accounts, direction z {direction_z}",
        "bridge": "participation {participation}",
        "booster": f"follows {{n_leaders}} accounts, {begins_little}",
    }
    return [(word, holds[word], said[word]) for word in holds]


def find_median(scores: pl.DataFrame, name: str) -> float:
    """Return the median of a score over the accounts of the network; NaN without any."""
    median = scores.filter(pl.col("participation").is_not_null())[name].median()
    return float("nan") if median is None else float(median)  # type: ignore[arg-type]


def _fill(text: str) -> pl.Expr:
    """Put scores in the places of their names."""
    scores = (
        pl.col(name).cast(pl.Float64).round_sig_figs(3).cast(pl.String).str.strip_suffix(".0")
        for name in re.findall(r"{(\w+)}", text)
    )
    return pl.format(re.sub(r"{\w+}", "{}", text), *scores)
