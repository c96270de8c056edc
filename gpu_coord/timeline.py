"""Store -> how one object spread: who shared it, when, and which shares are coordinated.

In: a store, an object, optionally a run on it. Out: one row per share with running counts. The one
idea: whatever is shown of a timeline is a column of that table.
"""

from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from gpu_coord.activity import map_entities
from gpu_coord.archive.tables import COUNTS
from gpu_coord.choices import check_choice
from gpu_coord.kinds import names_accounts, names_posts
from gpu_coord.run import Findings, check_origin, open_run
from gpu_coord.sharing.windows import find_window_ends
from gpu_coord.store import Store, name_accounts
from gpu_coord.times import parse_window
from gpu_coord.urls import normalise_urls

Grouping = Literal["auto", "group", "component", "community"]
GroupBy = Literal["auto", "group", "component", "community", "platform"]

DEFAULT_WINDOW = "60s"
_N_NEAR = 3
_PSEUDONYM = "acct-"
_IDS = ("account_id", "content_id")


# --- which object ----------------------------------------------------------------------------


def find_object(store: Store, value: str, *, kind: str | None = None) -> tuple[str, str]:
    """Find an object by what somebody would type.

    Parameters
    ----------
    store
        Where to look.
    value
        The object as the store has it; or a URL in another spelling, a hashtag with ``#`` or
        capitals, an account by its pseudonym.
    kind
        Its kind; needed where objects of several kinds are written alike, and for ``domain``
        where domains are derived from URLs.

    Returns
    -------
        Kind and value, as stored.

    Raises
    ------
    ValueError
        No such object, or several.
    """
    entities = _list_entities(store, kind)
    for spelled in (_spell_as_given, _spell_by_rule):
        found = entities.filter(spelled(store, value, entities))
        if found.height == 1:
            return found.select("kind", "value").row(0)
        if found.height:
            kinds = ", ".join(sorted(found["kind"]))
            raise ValueError(
                f"{_quote(value)} is there as {kinds}; choose one with --kind (kind= in Python)."
            )
    where = f"no {kind}" if kind else "no object"
    raise ValueError(f"the store has {where} {_quote(value)}; {_describe_near(entities, value)}")


def _list_entities(store: Store, kind: str | None) -> pl.DataFrame:
    """Return kind and value, each once."""
    if kind is not None:
        return map_entities(store, [kind]).select("kind", "value").unique(maintain_order=True)
    return store.scan("entities").select(pl.col("kind").cast(pl.String), "value").collect()


def _spell_as_given(store: Store, value: str, entities: pl.DataFrame) -> pl.Expr:
    if value.startswith(_PSEUDONYM):
        named = [kind for kind in entities["kind"].unique() if names_accounts(kind)]
        accounts = entities.filter(pl.col("kind").is_in(named))["value"].unique()
        known = accounts.filter(name_accounts(accounts, store) == value)
        return (pl.col("value") == value) | (
            pl.col("kind").is_in(named) & pl.col("value").is_in(known.implode())
        )
    return pl.col("value") == value


def _spell_by_rule(store: Store, value: str, entities: pl.DataFrame) -> pl.Expr:
    rule = store.manifest.get("settings", {}).get("url_rule", "canonical")
    url = normalise_urls(pl.Series([value], dtype=pl.String), rule=rule).item()
    hashtag = value.strip().lstrip("#＃").casefold()
    is_url = (pl.col("kind") == "url") & (pl.col("value") == pl.lit(url, dtype=pl.String))
    return is_url.fill_null(value=False) | (
        (pl.col("kind") == "hashtag") & (pl.col("value") == hashtag)
    )


def _describe_near(entities: pl.DataFrame, value: str) -> str:
    """Name the values that begin most alike; ids of accounts and posts are named to nobody."""
    hidden = [k for k in entities["kind"].unique() if names_accounts(k) or names_posts(k)]
    values = entities.filter(~pl.col("kind").is_in(hidden))["value"].unique()
    if entities.is_empty():
        return "it holds no event."
    # In the order of their characters, values that begin alike stand side by side.
    below, above = values.filter(values < value), values.filter(values > value)
    around = [*below.top_k(_N_NEAR), *above.bottom_k(_N_NEAR)]
    alike = {near: _count_alike(near, value) for near in around}
    least = max(1, min(3, len(value)))
    near = sorted((n for n in around if alike[n] >= least), key=lambda n: (-alike[n], n))
    if near:
        return f"near it are {', '.join(map(_quote, near[:_N_NEAR]))}."
    kinds = ", ".join(sorted(entities["kind"].unique()))
    return f"it has objects of the kinds {kinds}."


def _count_alike(one: str, other: str) -> int:
    """Count the characters with which two texts begin alike."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))


def _quote(text: str) -> str:
    from gpu_coord.terminal import clean

    return f"‘{clean(text)}’"


# --- the table -------------------------------------------------------------------------------


def tabulate_timeline(
    store: Store,
    value: str,
    *,
    kind: str,
    run: Findings | Path | str | None = None,
    window: str | None = None,
    group_by: GroupBy = "auto",
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
    window
        Without a run: a share is coordinated where another account shared the object at most
        that long before or after, 60s by default.
    group_by
        What is the ``group``: the platform, or of a run its confirmed groups, components or
        communities; ``auto``: groups where any is confirmed, else communities.

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
    findings = run if run is None or isinstance(run, Findings) else open_run(run)
    check_choice("group_by", group_by, get_args(GroupBy))
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
    if (command := findings.run.get("command", "detect")) not in ("detect", "share"):
        raise ValueError(
            f"the run {findings.path} was made by {command}; a timeline reads those of detect and "
            "share."
        )
    check_origin(findings, store)
    kinds = findings.run["settings"]["kinds"]
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
        raise ValueError(f"the store has no share of the {kind} {_quote(value)}; see find_object.")
    return shares


def pad_columns(frame: pl.LazyFrame, dtypes: dict[str, Any]) -> pl.LazyFrame:
    """Add the columns that a table may lack, as nulls of their types."""
    present = frame.collect_schema().names()
    return frame.with_columns(
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in dtypes.items()
        if name not in present
    )


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
    if findings.run["input"]["labels_sha256"] is not None:  # other labels than the store's
        labels = findings.read("accounts").select("account_id", "label")
        marked = marked.drop("label").join(
            labels, on="account_id", how="left", maintain_order="left"
        )
    return marked.with_columns(pl.col("coordinated").fill_null(value=False))


def _read_coordinated(findings: Findings, *, kind: str, value: str) -> pl.DataFrame:
    """Return the posts on an object that a run found to be coordinated, each once."""
    if findings.run.get("command") == "share":
        file, name = "pairs", "object_id"
        ends = (("account_id", "content_id"), ("account_id_y", "content_id_y"))
    else:
        file, name = "evidence", "value"
        ends = (("source", "content_source"), ("target", "content_target"))
    path = findings.path / f"{file}.parquet"
    if not path.is_file():
        raise FileNotFoundError(f"{findings.path} has no {file}.parquet; repeat the run.")
    its = pl.scan_parquet(path).filter(pl.col("kind") == kind, pl.col(name) == value)
    posts = [its.select(pl.col(end).alias(name) for end, name in zip(names, _IDS, strict=True))
             for names in ends]  # fmt: skip
    return pl.concat(posts).unique().with_columns(coordinated=pl.lit(True)).collect()  # noqa: FBT003


def _read_groups(findings: Findings, group_by: Grouping) -> pl.DataFrame:
    """Return account_id and group; an account of several groups is in the first."""
    by, members = read_members(findings, group_by)
    first = members.group_by("account_id").agg(pl.col("number").min())
    return first.select("account_id", group=pl.format(f"{by} {{}}", "number"))


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
