"""A run -> the meetings of its pairs and groups: who acted on what, when, and who was first."""

from typing import Any

import polars as pl

from gpu_coord.results.evidence import SCHEMA as EVIDENCE
from gpu_coord.results.evidence import add_pseudonyms, hide_posts, scan_pairs
from gpu_coord.results.findings import Findings

NAMES = ("source", "target", "kind", "value", "time_source", "time_target", "gap")
SCHEMA: dict[str, Any] = {name: EVIDENCE[name] for name in NAMES}


def scan_meetings(run: Findings) -> pl.LazyFrame:
    """Return the meetings that a run keeps: coincidences of `detect`, pairs of shares of others.

    The source is the one that was first, so that evidence of an edge, of its reverse and of a group
    is the same row.
    """
    if run.command == "detect":
        found = run.scan("evidence") if run.has("evidence") else pl.LazyFrame(schema=SCHEMA)
    else:
        found = scan_pairs(run)
    columns = found.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
    is_turned = (pl.col("gap") < 0) | (pl.col("gap") == 0) & (pl.col("source") > pl.col("target"))
    turned = {"source": "target", "target": "source", "time_source": "time_target",
              "time_target": "time_source"}  # fmt: skip
    swapped = {
        name: pl.when(is_turned).then(other).otherwise(name) for name, other in turned.items()
    }
    return columns.with_columns(gap=pl.col("gap").abs(), **swapped)


def read_meetings(
    run: Findings, pairs: pl.DataFrame, *, n_each: int, show_ids: bool, texts: pl.DataFrame | None
) -> pl.DataFrame:
    """Return the first meetings of some pairs, in either direction.

    Parameters
    ----------
    pairs
        ``edge`` (a number), ``source`` and ``target`` (ids).
    n_each
        How many of each.
    show_ids, texts
        As of `show_objects`.

    Returns
    -------
        ``edge``, ``kind``, ``value``, ``time_source``, ``time_target``, ``gap``, by edge and time.
    """
    found = scan_meetings(run).with_columns(_order_ends())
    joined = found.join(
        pairs.lazy().with_columns(_order_ends()).select("edge", "a", "b"), on=["a", "b"]
    ).unique()
    order = ["edge", "time_source", "time_target", "kind", "value"]
    first = joined.sort(order).group_by("edge", maintain_order=True).head(n_each)
    kept = first.select("edge", "kind", "value", "time_source", "time_target", "gap").collect()
    return show_objects(run, kept, show_ids=show_ids, texts=texts)


def _order_ends() -> list[pl.Expr]:
    ends = [pl.col("source"), pl.col("target")]
    return [pl.min_horizontal(ends).alias("a"), pl.max_horizontal(ends).alias("b")]


def read_group_meetings(
    run: Findings, group: int, *, show_ids: bool, texts: pl.DataFrame | None
) -> pl.DataFrame:
    """Return the meetings within a group, or a community where the run tested no groups.

    Returns
    -------
        ``a`` (who was first), ``b``, ``kind``, ``value``, ``time`` (of a) and ``gap`` (seconds from
        a to b); accounts by pseudonym unless ``show_ids``.
    """
    members = _list_members(run, group)["account_id"]
    return read_meetings_within(run, members, show_ids=show_ids, texts=texts)


def read_meetings_within(
    run: Findings, members: pl.Series, *, show_ids: bool, texts: pl.DataFrame | None
) -> pl.DataFrame:
    """Return the meetings of accounts with each other; those of a single one with anybody.

    Parameters
    ----------
    members
        Account ids.
    show_ids, texts
        As of `show_objects`.

    Returns
    -------
        As of `read_group_meetings`.
    """
    source, target = (pl.col(end).is_in(members.implode()) for end in ("source", "target"))
    within = source & target if len(members) > 1 else source | target
    named = scan_meetings(run).filter(within).unique().select(
        "kind", "value", "gap", a="source", b="target", time="time_source"
    )  # fmt: skip
    found = named.sort("time", "a", "b", "kind", "value").collect()
    if not show_ids:
        names = run.read("accounts", ["account_id", "pseudonym"])
        old, new = names["account_id"], names["pseudonym"]
        ends = pl.col("a", "b").replace_strict(old, new, return_dtype=pl.String)
        found = found.with_columns(ends)
    return show_objects(run, found, show_ids=show_ids, texts=texts)


def read_acts(
    run: Findings, accounts: pl.Series, *, show_ids: bool, n_rows: int
) -> tuple[pl.DataFrame, int]:
    """Return what some accounts did when they met others, and of how many acts.

    Parameters
    ----------
    accounts
        Their ids.
    show_ids
        Name objects that are accounts or posts by their ids.
    n_rows
        So many at most; of more, every so-manyth.

    Returns
    -------
        ``account_id``, ``time``, ``kind``, ``value``, by time.
    """
    met = scan_meetings(run)
    ends = [
        met.select("kind", "value", account_id=end, time=f"time_{end}")
        for end in ("source", "target")
    ]
    of_them = pl.concat(ends).filter(pl.col("account_id").is_in(accounts.implode()))
    acts = of_them.unique().sort("time", "account_id", "kind", "value").collect()
    shown = acts.gather_every(max(1, -(-acts.height // n_rows)))
    return show_objects(run, shown, show_ids=show_ids, texts=None), acts.height


def _list_members(run: Findings, group: int) -> pl.DataFrame:
    if run.has("group_accounts"):
        return run.read("group_accounts").filter(pl.col("group") == group)
    return run.read("accounts", ["account_id", "community"]).filter(pl.col("community") == group)


def show_objects(
    run: Findings, meetings: pl.DataFrame, *, show_ids: bool, texts: pl.DataFrame | None
) -> pl.DataFrame:
    """Name what meetings are about.

    Parameters
    ----------
    show_ids
        Name objects that are accounts or posts by their ids.
    texts
        ``value`` and ``text``: wordings in the place of the hashes of texts.
    """
    if not show_ids:
        meetings = hide_posts(add_pseudonyms(run, meetings))
    if texts is None:
        return meetings
    said = meetings.join(texts, on="value", how="left", maintain_order="left")
    is_text = (pl.col("kind") == "text") & pl.col("text").is_not_null()
    return said.with_columns(value=pl.when(is_text).then("text").otherwise("value")).drop("text")
