"""A run -> who is in which of its groups, components or communities."""

import polars as pl

from gpu_coord.results.findings import Findings
from gpu_coord.results.forms import Grouping


def read_members(findings: Findings, group_by: Grouping) -> tuple[str, pl.DataFrame]:
    """Return who is in which group of a run.

    Parameters
    ----------
    findings
        A run.
    group_by
        Confirmed groups, components or communities; ``auto``: groups where any is confirmed, else
        communities.

    Returns
    -------
        What was chosen, and ``account_id, number``; an account can be in several groups.

    Raises
    ------
    FileNotFoundError
        The run lacks the tables of groups.
    """
    if group_by == "auto":
        group_by = "group" if findings.summary.get("n_groups") else "community"
    if group_by != "group":
        members = findings.read("accounts").select("account_id", number=group_by)
        return group_by, members.drop_nulls("number")
    confirmed = findings.read("groups").filter("confirmed").select("group")
    members = findings.read("group_accounts").join(confirmed, on="group", how="semi")
    return group_by, members.select("account_id", number="group")
