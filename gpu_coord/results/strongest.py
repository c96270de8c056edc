"""A run -> its strongest pairs, groups, accounts and objects, as tables that people read.

Whatever tier the network is of: what is not beyond chance is listed, too, and said to be that.
"""

from collections.abc import Callable, Collection
from typing import Any, Literal, TypeVar, get_args

import polars as pl

from gpu_coord.ground.choices import check_choice
from gpu_coord.ground.kinds import names_posts
from gpu_coord.ground.parquet import list_columns
from gpu_coord.results.findings import IN_NETWORK, Findings, open_run
from gpu_coord.results.forms import RUN

Part = Literal["edges", "groups", "accounts", "objects"]
Tier = Literal["beyond_news", "beyond_habit"]

_PAIR = ["source", "target"]
_NOBODY = "not beyond chance"
_IS_TURNED = (pl.col("lag") == 0) & (pl.col("source") > pl.col("target"))

_Frame = TypeVar("_Frame", pl.DataFrame, pl.LazyFrame)


def list_strongest(
    run: Any,
    part: Part = "edges",
    *,
    account: str | None = None,
    show_ids: bool = False,
    n_rows: int | None = None,
    tier: Tier | None = None,
    members: Collection[str] | None = None,
) -> pl.DataFrame:
    """Return a part of a run, the strongest first.

    Parameters
    ----------
    run
        A run of `detect`, `share` or `coact`, or its folder.
    part
        ``edges``, ``groups``, ``accounts`` or ``objects``.
    account
        Only what has to do with this account, by its id or its pseudonym.
    show_ids
        Name accounts, and objects that are accounts or posts, by their ids; otherwise by
        pseudonyms.
    n_rows
        So many of them; all by default, which of edges takes the memory of all.
    tier
        Of edges and groups, those that reach this tier, ``beyond_habit`` or ``beyond_news``.
    members
        Of edges, those between these accounts, by their ids.

    Returns
    -------
        ``edges``: a row for each pair of accounts, ``a`` and ``b`` (at a lag above 0, b follows a),
        ``tier``, ``lag``, ``weight``, ``n_objects`` and ``median_gap`` (seconds) and ``a_first``
        (share of meetings in which a was first) where known, ``observed`` (hours),
        ``expected_habit`` and ``expected`` (hours, of habits, and with the news), ``q_value``,
        ``q_habit``. ``groups``: a row for each group of a tier, with ``members`` and
        ``p``, the largest of the tests that its tier rests on.
        ``accounts``: those of the network, and others that met anybody, by their co-activity.
        ``objects``: those that carry the network, ranked by the share of the weight that they
        carry over the number of other accounts that used them, so that what everybody used does
        not hide the rest.

    Raises
    ------
    ValueError
        The run has no such account, or tested nothing of which a tier is asked for.
    """
    findings = open_run(run, *RUN.commands)
    findings.check_run()
    check_choice("part", part, get_args(Part))
    if n_rows is not None and n_rows < 0:
        raise ValueError(f"the number of rows is {n_rows}; ask for 0 or more.")
    account_id = None if account is None else find_account(findings, account)["account_id"][0]
    if part == "edges":
        edges = _select_edges(findings, account_id, members)
        return _list_edges(findings, edges, show_ids=show_ids, n_rows=n_rows, tier=tier)
    found = _LISTS[part](findings, account_id, show_ids=show_ids)
    found = found if tier is None else _select_tier(findings, found, tier)
    return found if n_rows is None else found.head(n_rows)


def _select_tier(findings: Findings, table: _Frame, tier: str) -> _Frame:
    """Select what reaches a tier, or a higher one."""
    check_choice("tier", tier, get_args(Tier))
    if "tier" not in table.lazy().collect_schema():
        raise ValueError(
            f"{findings.path} tested nothing of these against chance, so they have no tiers; leave "
            "tier out."
        )
    reached = [each for each in get_args(Tier) if each == "beyond_news" or each == tier]
    return table.filter(pl.col("tier").cast(pl.String).is_in(reached))


def find_account(findings: Findings, name: str) -> pl.DataFrame:
    """Return the row of an account, given by its id or its pseudonym.

    Raises
    ------
    ValueError
        There is none, or the name stands for two.
    """
    accounts = findings.scan("accounts")
    matches = (pl.col("account_id") == name) | (pl.col("pseudonym") == name)
    found = accounts.filter(matches).collect()
    if found.height == 1:
        return found
    if found.height:
        raise ValueError(
            f"{name!r} stands for {found.height} accounts of {findings.path}, by id or by "
            "pseudonym; give the other of the two names."
        )
    n_accounts = accounts.select(pl.len()).collect().item()
    raise ValueError(
        f"{name!r} is none of the {n_accounts:,} accounts of {findings.path}; give an account_id "
        "or a pseudonym of its accounts.parquet."
    )


# --- pairs ---------------------------------------------------------------------------------


def _select_edges(
    findings: Findings, account: str | None, members: Collection[str] | None
) -> pl.LazyFrame:
    edges = findings.scan("edges").select(pl.exclude("^weight_.*$"))
    if account is not None:
        edges = edges.filter((pl.col("source") == account) | (pl.col("target") == account))
    return edges if members is None else edges.filter(
        pl.col("source").is_in(list(members)) & pl.col("target").is_in(list(members))
    )  # fmt: skip


def _list_edges(
    findings: Findings,
    edges: pl.LazyFrame,
    *,
    show_ids: bool,
    n_rows: int | None,
    tier: Tier | None,
) -> pl.DataFrame:
    edges = edges if tier is None else _select_tier(findings, edges, tier)
    columns = edges.collect_schema().names()
    ranked = edges.pipe(_sort_edges, columns)
    table = (ranked if n_rows is None else ranked.head(2 * n_rows)).collect()
    if "lag" in columns:  # at lag 0 an edge and its reverse are one pair, the stronger of them
        table = _turn_together(table).unique([*_PAIR, "lag"], keep="first", maintain_order=True)
    table = table if n_rows is None else table.head(n_rows)
    if findings.has("evidence"):
        table = table.join(_describe_meetings(findings, table), on=[*_PAIR, "lag"], how="left",
                           maintain_order="left")  # fmt: skip
    named = {"source": "a", "target": "b", "source_first": "a_first", "n_hours": "observed"}
    wanted = [
        "source", "target", "tier", "lag", "weight", "n_objects", "median_gap", "source_first",
        "n_hours", "expected_habit", "expected", "q_value", "q_habit", "layers", IN_NETWORK,
    ]  # fmt: skip
    found = table.select(name for name in wanted if name in table.columns)
    if "tier" in found.columns:
        reached = pl.col("tier").cast(pl.String).fill_null(_NOBODY)
        found = found.with_columns(tier=reached.str.replace("_", " "))
    return _name_ends(findings, found, show_ids=show_ids).rename(
        {old: new for old, new in named.items() if old in found.columns}
    )


def _sort_edges(edges: pl.LazyFrame, columns: list[str]) -> pl.LazyFrame:
    """Sort edges: those of the network first, then by how little chance explains them."""
    falling = [name for name in (IN_NETWORK,) if name in columns]
    rising = [name for name in ("q_value", "q_habit", "p_value") if name in columns]
    excess = pl.col("n_hours") / pl.col("expected_habit")
    by = [*(pl.col(name) for name in falling), *(pl.col(name) for name in rising)]
    falls = [True] * len(falling) + [False] * len(rising)
    if "expected_habit" in columns:
        by, falls = [*by, excess], [*falls, True]
    by += [pl.col("weight"), pl.col("source"), pl.col("target")]
    return edges.sort(by, descending=[*falls, True, False, False], nulls_last=True)


def _describe_meetings(findings: Findings, table: pl.DataFrame) -> pl.DataFrame:
    """Say how the accounts of some edges met, as far as there is evidence of it."""
    gap = pl.col("gap")
    return (
        findings.scan("evidence")
        .with_columns(gap=pl.when(_IS_TURNED).then(-gap).otherwise(gap))
        .pipe(_turn_together)
        .join(table.lazy().select(*_PAIR, "lag"), on=[*_PAIR, "lag"], how="semi")
        .group_by(*_PAIR, "lag")
        .agg(
            n_objects=pl.struct("kind", "value").n_unique(),
            median_gap=gap.abs().median(),
            source_first=((gap > 0) + (gap == 0) / 2).mean(),
        )
        .collect()
    )


def _turn_together(table: _Frame) -> _Frame:
    """Put the account with the smaller id first where two act in the same bin."""
    return table.with_columns(
        source=pl.when(_IS_TURNED).then("target").otherwise("source"),
        target=pl.when(_IS_TURNED).then("source").otherwise("target"),
    )


def _name_ends(findings: Findings, edges: pl.DataFrame, *, show_ids: bool) -> pl.DataFrame:
    if show_ids:
        return edges
    names = findings.read("accounts", ["account_id", "pseudonym"])
    old, new = names["account_id"], names["pseudonym"]
    return edges.with_columns(pl.col(_PAIR).replace_strict(old, new, return_dtype=pl.String))


# --- the rest ------------------------------------------------------------------------------


def _list_groups(findings: Findings, account: str | None, *, show_ids: bool) -> pl.DataFrame:
    if findings.has("groups") and "tier" in list_columns(findings.find("groups")):
        # A set beyond habit stands on the test of days alone; p_value is the largest of all four.
        own = pl.when(tier="beyond_habit").then("p_days").otherwise("p_value")
        table = findings.read("groups").drop_nulls("tier").with_columns(p=own)
        members = findings.read("group_accounts")
        members = members.select("group", "account_id")
    else:
        table = findings.read("communities").rename({"community": "group", "n_accounts": "size"})
        members = findings.read("accounts", ["community", "account_id"]).drop_nulls("community")
        members = members.rename({"community": "group"})
    if account is not None:
        mine = members.filter(pl.col("account_id") == account)["group"]
        table = table.filter(pl.col("group").is_in(mine.implode()))
    if not show_ids:
        names = findings.read("accounts", ["account_id", "pseudonym"])
        members = members.join(names, on="account_id", how="left").select(
            "group", account_id="pseudonym"
        )
    listed = members.sort("account_id").group_by("group").agg(members="account_id")
    shown = ["group", "tier", "size", "n_core", "ratio", "p", "limiting_test", "density",
             "main_label", "members"]  # fmt: skip
    joined = table.join(listed, on="group", how="left", maintain_order="left")
    return joined.select(name for name in shown if name in joined.columns)


def _list_accounts(findings: Findings, account: str | None, *, show_ids: bool) -> pl.DataFrame:
    accounts = findings.read("accounts")
    is_linked = pl.col("community").is_not_null()
    if "co_activity" in accounts.columns:  # of versions after 0.1
        is_linked |= pl.col("co_activity") > pl.col("co_activity").min()
    kept = is_linked if account is None else pl.col("account_id") == account
    scores = [name for name in ("co_activity", "influence", "together") if name in accounts.columns]
    shown = [*scores, "in_weight", "out_degree", "in_degree", "community", "n_posts"]
    falling = [*[True] * len(scores), False]
    ranked = accounts.filter(kept).sort(*scores, "account_id", descending=falling)
    return ranked.select(pl.col("account_id" if show_ids else "pseudonym"), "label", *shown)


def _list_objects(findings: Findings, account: str | None, *, show_ids: bool) -> pl.DataFrame:
    objects = findings.read("entities").filter(pl.col("coordination") > 0)
    if account is not None:
        table = "evidence" if findings.has("evidence") else "pairs"
        objects = objects.join(
            _list_own(findings, table, account), on=["kind", "value"], how="semi"
        )
    others = (pl.col("n_accounts") - 1).clip(lower_bound=1)
    ranked = objects.sort(
        pl.col("coordination") / others, pl.col("kind"), pl.col("value"),
        descending=[True, False, False],
    )  # fmt: skip
    shown = ["kind", "value", "pseudonym", "n_accounts", "n_events", "coordination"]
    return (
        ranked.select(shown).drop("pseudonym")
        if show_ids
        else ranked.select(shown).pipe(hide_ids).drop("pseudonym")
    )


def _list_own(findings: Findings, table: str, account: str) -> pl.DataFrame:
    """Return kind and value of what an account met others on."""
    ends = ("source", "target") if table == "evidence" else ("account_id", "account_id_y")
    value = "value" if table == "evidence" else "object_id"
    mine = pl.any_horizontal(pl.col(end) == account for end in ends)
    found = findings.scan(table).filter(mine).select(pl.col("kind"), value=pl.col(value))
    return found.with_columns(pl.col("kind").cast(pl.String)).unique().collect()


def hide_ids(objects: pl.DataFrame) -> pl.DataFrame:
    """Name objects that are accounts or posts by their pseudonyms.

    A mention is an account id, of somebody who may not even be in the archive, and whoever looks up
    a post knows the account. Version 0.1 gave posts no pseudonym.
    """
    are_posts = [kind for kind in objects["kind"].unique() if names_posts(kind)]
    other = pl.when(pl.col("kind").is_in(are_posts)).then(pl.lit("a post")).otherwise("value")
    return objects.with_columns(value=pl.coalesce("pseudonym", other))


_LISTS: dict[str, Callable[..., pl.DataFrame]] = {
    "groups": _list_groups,
    "accounts": _list_accounts,
    "objects": _list_objects,
}
