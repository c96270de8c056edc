"""A run and two accounts -> the coincidences, or the pairs of shares, that are between them."""

from typing import Any

import polars as pl

from gpu_coord.ground.kinds import names_posts
from gpu_coord.results.findings import Findings
from gpu_coord.results.strongest import find_account

_TIME = pl.Datetime("ms", "UTC")
SCHEMA: dict[str, Any] = {
    "source": pl.String, "target": pl.String, "kind": pl.String, "value": pl.String,
    "time_source": _TIME, "time_target": _TIME, "gap": pl.Float64,
    "content_source": pl.String, "content_target": pl.String, "group": pl.Int32,
    "lag": pl.Int32, "n_posts_source": pl.Int32, "n_posts_target": pl.Int32,
}  # fmt: skip


def list_evidence(run: Findings, a: str, b: str, *, show_ids: bool = False) -> pl.DataFrame:
    """Return what is between two accounts of a run, by time, as people read it.

    Parameters
    ----------
    run
        A run.
    a, b
        Accounts, by their ids or their pseudonyms.
    show_ids
        Name accounts, and objects that are accounts or posts, by their ids, and posts by their
        content ids.

    Raises
    ------
    FileNotFoundError
        The run has no evidence.
    ValueError
        It is no run, an account is not in it or stands for two, or both are the same.
    """
    run.check_run()
    accounts = find_pair(run, a, b)
    read = read_evidence if run.command == "detect" else read_pairs
    found = add_pseudonyms(run, read(run, *accounts["account_id"]))
    if show_ids:
        return found.drop("pseudonym")
    ends = pl.col("source", "target")
    return hide_posts(
        found.with_columns(ends.replace_strict(accounts["account_id"], accounts["pseudonym"]))
    )


def find_pair(run: Findings, a: str, b: str) -> pl.DataFrame:
    """Return the rows of two accounts, given by their ids or pseudonyms.

    Raises
    ------
    ValueError
        One is not in the run or stands for two, or both are the same.
    """
    accounts = pl.concat([find_account(run, name) for name in (a, b)])
    if accounts["account_id"].n_unique() == 1:
        raise ValueError(f"{a!r} and {b!r} are the same account; name two.")
    return accounts


def read_pairs(run: Findings, a: str, b: str) -> pl.DataFrame:
    """Return the pairs of shares of two accounts in a run of `share` or `coact`, by time.

    Parameters
    ----------
    run
        The run.
    a, b
        Account ids.

    Returns
    -------
        The columns of ``evidence.parquet`` of `detect`; the source is the one that was first.
    """
    between = pl.col("source").is_in([a, b]) & pl.col("target").is_in([a, b])
    order = ["time_source", "time_target", "kind", "value"]
    return scan_pairs(run).filter(between).sort(order).collect()


def scan_pairs(run: Findings) -> pl.LazyFrame:
    """Return the pairs of shares of a run of `share` or `coact`, in the columns of evidence."""
    pairs = run.scan("pairs").rename(
        {
            "account_id": "source", "account_id_y": "target", "object_id": "value",
            "content_id": "content_source", "content_id_y": "content_target", "time_delta": "gap",
        }
    )  # fmt: skip
    found = pairs.with_columns(
        time_source="time",
        time_target=pl.col("time") + pl.duration(milliseconds=(pl.col("gap") * 1000).round()),
        lag=0,
        group=None,
        n_posts_source=1,
        n_posts_target=1,
    )
    return found.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def read_evidence(run: Findings, a: str, b: str) -> pl.DataFrame:
    """Return the evidence of a run about two accounts, both directions, by time.

    A coincidence that is evidence of an edge and of a group is there once, with the group.

    Parameters
    ----------
    run
        The run.
    a, b
        Account ids.

    Raises
    ------
    FileNotFoundError
        The run has no evidence.
    """
    order = ["time_source", "time_target", "source", "kind", "value", "lag"]
    evidence = select_pair(run.scan("evidence"), a, b).sort(*order, "group", nulls_last=True)
    return evidence.unique(order, keep="first", maintain_order=True)


def select_pair(table: pl.LazyFrame, a: str, b: str) -> pl.DataFrame:
    """Return the rows of a table whose source and target are two accounts, either way round."""

    def between(source: str, target: str) -> pl.Expr:
        return (pl.col("source") == source) & (pl.col("target") == target)

    return table.filter(between(a, b) | between(b, a)).collect()


def add_pseudonyms(run: Findings, evidence: pl.DataFrame) -> pl.DataFrame:
    """Add the ``pseudonym`` of objects that are accounts or posts."""
    names = run.scan("entities").select("kind", "value", "pseudonym")
    used = evidence.lazy().join(
        names.with_columns(pl.col("kind").cast(pl.String)),
        on=["kind", "value"],
        how="left",
        maintain_order="left",
    )
    return used.collect()


def hide_posts(evidence: pl.DataFrame) -> pl.DataFrame:
    """Name objects that are accounts or posts by their pseudonyms, and leave out content ids."""
    kinds = [kind for kind in evidence["kind"].unique() if names_posts(kind)]
    number = pl.col("value").rank("dense").over("kind")
    hidden = pl.when(pl.col("kind").is_in(kinds)).then(pl.format("post {}", number))
    return evidence.with_columns(value=pl.coalesce("pseudonym", hidden, "value")).drop(
        "pseudonym", "content_source", "content_target", strict=False
    )
