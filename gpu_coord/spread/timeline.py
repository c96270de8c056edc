"""Store -> how one object spread: who shared it, when, and which shares are coordinated.

In: a store, an object, optionally a run on it. Out: one row per share with running counts. The one
idea: whatever is shown of a timeline is a column of that table.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.archive.tables import COUNTS
from gpu_coord.ground.keywords import takes
from gpu_coord.ground.times import parse_window
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.results.forms import RUN, Grouping
from gpu_coord.results.members import read_members
from gpu_coord.results.origin import check_origin
from gpu_coord.sharing.windows import find_window_ends
from gpu_coord.spread.settings import TimelineSettings
from gpu_coord.store.objects import quote
from gpu_coord.store.queries import map_entities, pad_columns
from gpu_coord.store.store import Store, name_accounts

DEFAULT_WINDOW = "60s"
_IDS = ("account_id", "content_id")


@takes(TimelineSettings)
def tabulate_timeline(
    store: Store,
    value: str,
    *,
    kind: str,
    run: Findings | Path | str | None = None,
    **choices: Any,
) -> pl.DataFrame:
    """Return all shares of an object in the order of time, with running counts.

    Parameters
    ----------
    store
        From `ingest` or `open_store`.
    value, kind
        An object as the store has it, see `find_object`.
    run
        A run on that store and kind. After `share`, a share is coordinated where its post is in a
        pair of ``pairs.parquet`` on this object; after `detect`, where it is in
        ``evidence.parquet``.

    Returns
    -------
        By time, then account id and content id: ``time`` (UTC), ``account_id, pseudonym, label,
        content_id, platform, follower_count`` (null where unknown), ``group`` (text such as
        "community 3"; null without), ``coordinated``, ``engagement`` (sum of the counts known,
        null where none is), and up to each row ``n_shares, n_coordinated, n_accounts`` (distinct)
        and ``cumulative_engagement`` (null before the first known).

    Raises
    ------
    ValueError
        The object has no share, the run is of another store or kind, both a run and a window are
        given, or ``group_by`` needs a run and none is given.
    FileNotFoundError
        The run lacks what ``group_by`` needs.
    """
    findings = None if run is None else open_run(run, *RUN.commands)
    settings = TimelineSettings(**choices)
    window, group_by = settings.window, settings.group_by
    if findings is not None:
        _check_run(findings, store, kind=kind, window=window)
    elif group_by not in ("auto", "platform"):
        raise ValueError(f"group_by is {group_by!r}, which needs a run; name one (--run, run=).")
    shares = _read_shares(store, value, kind)
    if findings is None:
        window_ms = parse_window(window or DEFAULT_WINDOW)
        near = pl.Series("coordinated", mark_near(shares, window_ms=window_ms))
        marked = shares.with_columns(near, group=pl.lit(None, dtype=pl.String))
    else:
        by: Grouping = "auto" if group_by == "platform" else group_by
        marked = _mark_by_run(shares, findings, kind=kind, value=value, group_by=by)
    if group_by == "platform":
        marked = marked.with_columns(group="platform")
    named = marked.with_columns(pseudonym=name_accounts(marked["account_id"], store))
    return _count_up(named)


def _check_run(findings: Findings, store: Store, *, kind: str, window: str | None) -> None:
    if window is not None:
        raise ValueError(
            f"window is {window!r}, but the run {findings.path} has its own; leave one of them out."
        )
    if (command := findings.command) not in ("detect", "share"):
        raise ValueError(
            f"the run {findings.path} was made by {command}; a timeline reads those of detect and "
            "share."
        )
    check_origin(findings, store)
    # Where no kinds were chosen, the entities of the run tell.
    kinds = findings.settings["kinds"] or findings.read("entities", ["kind"])["kind"].unique()
    if kind not in kinds:
        raise ValueError(
            f"the run {findings.path} looked at {', '.join(kinds)}, not at {kind}; name another "
            "run, or none."
        )


def _read_shares(store: Store, value: str, kind: str) -> pl.DataFrame:
    """Return the shares of an object with what the store knows of posts and accounts."""
    members = map_entities(store, [kind])
    entities = members.filter(pl.col("value") == value)["entity"].implode()
    events = store.scan("events").filter(pl.col("entity").is_in(entities))
    # Several urls of a post can be of one domain.
    events = events.select("post", "account", "time").unique()
    posts = pad_columns(
        store.scan("posts"), {"platform": pl.String, **dict.fromkeys(COUNTS, pl.Int64)}
    )
    accounts = pad_columns(store.scan("accounts"), {"follower_count": pl.Int64})
    are_known = pl.any_horizontal(pl.col(COUNTS).is_not_null())
    shares = (
        events.join(posts.drop("account", "time"), on="post")
        .join(accounts, on="account")
        .with_columns(engagement=pl.when(are_known).then(pl.sum_horizontal(COUNTS)))
        .sort("time", "account_id", "content_id")
        .collect()
    )
    if shares.is_empty():
        raise ValueError(f"the store has no share of the {kind} {quote(value)}; see find_object.")
    return shares


def mark_near(shares: pl.DataFrame, *, window_ms: int) -> np.ndarray:
    """Mark the shares of one object that have one by another account in their window.

    Of the shares in a window those of the same account are taken away: cost n log n, however many
    share at once.

    Parameters
    ----------
    shares
        ``time`` (ms), ``account``.
    window_ms
        Milliseconds to either side, inclusive.

    Returns
    -------
        Booleans, (n_shares,).
    """
    time, account = shares["time"].to_numpy(), shares["account"].to_numpy()
    anybody = np.zeros(time.size, account.dtype)
    n_near = _count_near(anybody, time, window_ms)
    return n_near > _count_near(account, time, window_ms)


def _count_near(same: np.ndarray, time: np.ndarray, window_ms: int) -> np.ndarray:
    """Count the rows with the same key at most a window away, itself included."""
    order = np.lexsort((time, same))
    same, time = same[order], time[order]
    after = find_window_ends(same, time, window_ms)
    before = find_window_ends(-same[::-1], -time[::-1], window_ms)
    counts = np.empty(time.size, np.int64)
    counts[order] = after - (time.size - before[::-1])
    return counts


def _mark_by_run(
    shares: pl.DataFrame, findings: Findings, *, kind: str, value: str, group_by: Grouping
) -> pl.DataFrame:
    posts = _read_coordinated(findings, kind=kind, value=value)
    groups = _read_groups(findings, group_by)
    marked = shares.join(posts, on=_IDS, how="left", maintain_order="left").join(
        groups, on="account_id", how="left", maintain_order="left"
    )
    if findings.content["input"]["labels_sha256"] is not None:  # other labels than the store's
        labels = findings.read("accounts").select("account_id", "label")
        marked = marked.drop("label").join(
            labels, on="account_id", how="left", maintain_order="left"
        )
    return marked.with_columns(pl.col("coordinated").fill_null(value=False))


def _read_coordinated(findings: Findings, *, kind: str, value: str) -> pl.DataFrame:
    """Return the posts on an object that a run found to be coordinated, each once."""
    if findings.command == "share":
        file, name = "pairs", "object_id"
        ends = (("account_id", "content_id"), ("account_id_y", "content_id_y"))
    else:
        file, name = "evidence", "value"
        ends = (("source", "content_source"), ("target", "content_target"))
    its = findings.scan(file).filter(pl.col("kind") == kind, pl.col(name) == value)
    posts = [its.select(pl.col(end).alias(name) for end, name in zip(names, _IDS, strict=True))
             for names in ends]  # fmt: skip
    return pl.concat(posts).unique().with_columns(coordinated=pl.lit(True)).collect()  # noqa: FBT003


def _read_groups(findings: Findings, group_by: Grouping) -> pl.DataFrame:
    """Return account_id and group; an account of several groups is in the first."""
    by, members = read_members(findings, group_by)
    first = members.group_by("account_id").agg(pl.col("number").min())
    return first.select("account_id", group=pl.format(f"{by} {{}}", "number"))


def _count_up(shares: pl.DataFrame) -> pl.DataFrame:
    engagement = pl.col("engagement")
    has_known = engagement.is_not_null().cum_sum() > 0
    return shares.select(
        pl.col("time").cast(pl.Datetime("ms", "UTC")),
        "account_id", "pseudonym", "label", "content_id", "platform", "follower_count", "group",
        "coordinated", "engagement",
        n_shares=pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
        n_coordinated=pl.col("coordinated").cast(pl.Int64).cum_sum(),
        n_accounts=pl.col("account_id").is_first_distinct().cast(pl.Int64).cum_sum(),
        cumulative_engagement=pl.when(has_known).then(engagement.fill_null(0).cum_sum()),
    )  # fmt: skip
