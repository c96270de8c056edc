"""Store -> how objects spread: from platform to platform, out of a group, and behind whom.

In: a store, kinds of object, perhaps the accounts that are inside. Out: a folder of tables. The one
idea: a cascade is an object's shares in the order of time; an adoption is an account's first.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from gpu_coord.chance.empirical import EmpiricalNull
from gpu_coord.ground.times import parse_duration, parse_time
from gpu_coord.results.command import Work, writes
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.results.forms import RUN, Grouping
from gpu_coord.results.members import read_members
from gpu_coord.results.origin import check_origin, hash_ids
from gpu_coord.sharing.shares import fill_kinds, read_shares
from gpu_coord.spread.catalysts import Catalysts, find_catalysts
from gpu_coord.spread.platforms import count_flows, find_hops, warn_of_spellings, write_paths
from gpu_coord.spread.settings import CascadeSettings
from gpu_coord.store.queries import pad_columns
from gpu_coord.store.store import Store, name_accounts, name_entities, open_store

# After the object's first share, in seconds; then all.
AGES = {"1m": 60, "10m": 600, "1h": 3600, "6h": 21_600, "1d": 86_400, "7d": 604_800, "all": None}
_TIME = pl.Datetime("ms", "UTC")


@writes("cascades", CascadeSettings, uses_machine=False)
def trace_cascades(
    work: Work,
    *,
    run: Findings | Path | str | None = None,
    inside: str | Collection[str] | None = None,
) -> None:
    """Write how the objects of a store spread: platforms, escape from a group, catalysts.

    Parameters
    ----------
    run
        The run whose groups say which accounts are inside, see `read_inside`.
    inside
        In the place of a run: the label of the accounts inside, or their ids.

    Raises
    ------
    ValueError
        A setting is out of range, nothing is left, or nobody is inside.
    """
    if isinstance(inside, str):
        work.settings = replace(work.settings, inside=inside)
    settings: CascadeSettings = fill_kinds(work.settings, work.store)
    work.settings = settings
    members = _find_inside(work, run, inside)
    work.inputs["inside"] = hash_ids(members)
    with work.time("read"):
        spread = read_spread(
            work.store, kinds=settings.kinds or (), inside=members, start=settings.start,
            end=settings.end, min_shares=settings.min_shares, labels=work.labels,
        )  # fmt: skip
    summary = _write_tables(spread, settings, work)
    described = None if members is None else {"n_accounts": members.len()}
    work.describe(inside=described, summary=summary)


# --- who is inside -------------------------------------------------------------------------------


def read_inside(
    run: Findings | Path | str, *, group: int | None = None, group_by: Grouping = "auto"
) -> pl.Series:
    """Return the ids of the accounts of a run's group, or of all its groups.

    Parameters
    ----------
    run
        A run of `detect` or `share`.
    group
        Number of the group, component or community; all of them by default.
    group_by
        Which of them; ``auto``: confirmed groups where there is any, else communities.

    Raises
    ------
    ValueError
        There is no such group, or none at all.
    FileNotFoundError
        The run lacks what ``group_by`` needs.
    """
    findings = open_run(run, *RUN.commands)
    by, members = read_members(findings, group_by)
    numbers = members["number"].unique().sort()
    if numbers.is_empty():
        raise ValueError(f"the run {findings.path} has no {by}; name another run, or a label.")
    if group is not None and group not in numbers:
        listed = ", ".join(map(str, numbers.head(10)))
        raise ValueError(
            f"the run {findings.path} has no {by} {group}; its {numbers.len()} are numbered "
            f"{listed}{', …' if numbers.len() > 10 else ''}."
        )
    chosen = members if group is None else members.filter(pl.col("number") == group)
    return chosen["account_id"].unique().sort()


def _find_inside(
    work: Work, run: Findings | Path | str | None, inside: str | Collection[str] | None
) -> pl.Series | None:
    """Return the ids of the accounts inside, None where nobody was asked for."""
    settings: CascadeSettings = work.settings
    if run is not None and inside is not None:
        raise ValueError("both a run and inside say who is inside; leave one of them out.")
    if run is not None:
        findings = work.take("run", run, *RUN.commands)
        check_origin(findings, work.store)
        return read_inside(findings, group=settings.group, group_by=settings.group_by)
    if settings.group is not None:
        raise ValueError(
            f"group is {settings.group}, but no run is named; name the run that found it."
        )
    if inside is None:
        return None
    known = work.store.read("accounts") if work.labels is None else work.labels
    if isinstance(inside, str):
        ids = known.filter(pl.col("label") == inside)["account_id"]
        there = ", ".join(sorted(known["label"].drop_nulls().unique())[:10]) or "none"
    else:
        ids = pl.Series("account_id", sorted(set(inside)), dtype=pl.String)
        there = "given by account ids"
    if ids.is_empty():
        raise ValueError(f"nobody is inside: inside is {inside!r}, the labels are {there}.")
    return ids.unique().sort()


# --- the shares ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """Shares of objects, by object, time, account and content; and who and what they are."""

    shares: pl.DataFrame  # object, account (numbers), time (ms), content_id, platform, is_inside
    objects: pl.DataFrame  # object, kind, value, pseudonym
    accounts: pl.DataFrame  # account, account_id, label, pseudonym, follower_count
    has_inside: bool
    end: int  # ms; nothing is known from there on
    n_small: int  # objects left out, for too few shares

    @property
    def adoptions(self) -> pl.DataFrame:
        """The first share of each object by each account."""
        return self.shares.unique(["object", "account"], keep="first", maintain_order=True)


def read_spread(
    store: Store,
    *,
    kinds: Sequence[str],
    inside: pl.Series | None = None,
    start: str | None = None,
    end: str | None = None,
    min_shares: int = 1,
    labels: pl.DataFrame | None = None,
) -> Spread:
    """Read the shares of some kinds of object, in the order in which they spread.

    Parameters
    ----------
    store
        From `ingest` or `open_store`.
    kinds
        Kinds of object; those that the store lacks are left out with a warning.
    inside
        Ids of the accounts that are inside.
    start, end
        Time range, ISO 8601, start included, end excluded.
    min_shares
        Objects with fewer are left out.
    labels
        Columns account_id, label, in the place of the store's own labels.

    Raises
    ------
    ValueError
        Nothing is left.
    """
    read = read_shares(store, kinds=kinds, start=start, end=end, labels=labels)
    columns = ("object", "time", "account", "content", "post")
    every = pl.DataFrame({name: getattr(read, name) for name in columns})
    rows = every.filter(pl.len().over("object") >= min_shares)
    if rows.is_empty():
        raise ValueError(
            f"no object of the kinds {', '.join(kinds)} has {min_shares} shares; lower min_shares."
        )
    accounts = _describe_accounts(store, read.accounts)
    is_inside = _mark_inside(accounts["account_id"], inside)
    shares = rows.sort(*columns).with_columns(
        content_id=pl.lit(read.contents).gather("content"),
        is_inside=pl.lit(is_inside).gather("account"),
    )
    platforms = pad_columns(store.scan("posts"), {"platform": pl.String})
    named = platforms.select("post", "platform").collect()
    return Spread(
        shares=shares.join(named, on="post", how="left", maintain_order="left").drop(
            "content", "post"
        ),
        objects=_describe_objects(store, read.objects).join(rows, on="object", how="semi"),
        accounts=accounts,
        has_inside=inside is not None,
        end=int(read.time.max()) + 1 if end is None else parse_time(end),
        n_small=read.objects.height - rows["object"].n_unique(),
    )


def _mark_inside(ids: pl.Series, inside: pl.Series | None) -> pl.Series:
    if inside is None:
        return pl.repeat(False, ids.len(), dtype=pl.Boolean, eager=True)  # noqa: FBT003
    is_inside = ids.is_in(inside.implode())
    if not is_inside.any():
        raise ValueError(
            f"none of the {inside.len()} accounts inside has shared such an object; choose another "
            "kind, group or time range."
        )
    return is_inside


def _describe_accounts(store: Store, accounts: pl.DataFrame) -> pl.DataFrame:
    profiles = pad_columns(store.scan("accounts"), {"follower_count": pl.Int64})
    followers = profiles.select("account_id", "follower_count").collect()
    return (
        accounts.select("account_id", "label")
        .with_columns(pseudonym=name_accounts(accounts["account_id"], store))
        .join(followers, on="account_id", how="left", maintain_order="left")
        .with_row_index("account")
        .with_columns(pl.col("account").cast(pl.Int32))
    )


def _describe_objects(store: Store, objects: pl.DataFrame) -> pl.DataFrame:
    """Return objects with their numbers and, of accounts and posts, the pseudonyms."""
    named = name_entities(objects.with_columns(pl.col("kind").cast(pl.String)), store)
    number = pl.int_range(pl.len(), dtype=pl.Int32).alias("object")
    return named.select(number, "kind", "value", "pseudonym")


# --- tables --------------------------------------------------------------------------------------


def tabulate_cascades(
    store: Store | Path | str,
    *,
    kind: str,
    group: Collection[str] | None = None,
    start: str | None = None,
    end: str | None = None,
    min_shares: int = 1,
    min_followers: int = 0,
) -> pl.DataFrame:
    """Return one row for each object of a kind: who and where first, path, escape.

    Parameters
    ----------
    store
        A store, or its folder.
    kind
        Kind of object.
    group
        Ids of the accounts inside, such as those of `read_inside`.
    start, end, min_shares
        See `read_spread`.
    min_followers
        Followers that the first adopter outside needs, to count as escape.

    Returns
    -------
        The table ``cascades``, see `list_cascades`.
    """
    store = open_store(store)
    inside = None if group is None else pl.Series(sorted(set(group)), dtype=pl.String)
    spread = read_spread(
        store, kinds=[kind], inside=inside, start=start, end=end, min_shares=min_shares
    )
    return list_cascades(spread, find_hops(spread.shares), min_followers=min_followers)


def list_cascades(spread: Spread, hops: pl.DataFrame, *, min_followers: int = 0) -> pl.DataFrame:
    """Return one row for each object, by kind and value.

    Parameters
    ----------
    spread, hops
        From `read_spread` and `find_hops`.
    min_followers
        Followers that the first adopter outside needs, to count as escape; 0: none, also where
        their number is unknown.

    Returns
    -------
        ``kind, value, pseudonym`` (of objects that are accounts), ``n_shares, n_accounts,
        n_platforms, n_without_platform`` (shares), ``path, first_*`` (time, account and platform of
        the first share; ``n_first``: accounts at that time), ``last_time, half_seconds`` (until
        half of its accounts had shared it), ``platform_escape_*`` (the first share off the platform
        where it appeared first), and where somebody is inside: ``n_inside, n_outside``
        (accounts), ``n_outside_before`` (accounts outside before the first inside),
        ``inside_time, escape_*`` (the first account outside that shares it from then on),
        ``outside_followers`` (of all accounts outside, where known). Delays are seconds.
    """
    named = _name_shares(spread)
    left_platform = hops.filter(pl.col("order") > 1).unique(
        "object", keep="first", maintain_order=True
    )
    carried = named.join(left_platform.select("row", "delay"), on="row")
    parts = [
        write_paths(hops),
        named.unique("object", keep="first", maintain_order=True).select(*_describe_share("first")),
        _count_shares(named),
        carried.select(*_describe_share("platform_escape"), platform_escape_delay="delay"),
        _count_inside(named) if spread.has_inside else _NO_INSIDE,
        _find_escape(named, min_followers),
    ]
    table = spread.objects
    for part in parts:
        table = table.join(part, on="object", how="left", maintain_order="left")
    return table.drop("object").sort("kind", "value")


def _name_shares(spread: Spread) -> pl.DataFrame:
    """Return the shares with the numbers of their rows and what is known of their accounts."""
    names = spread.accounts.select("account", "account_id", "pseudonym", "follower_count")
    rows = spread.shares.with_row_index("row")
    return rows.join(names, on="account", how="left", maintain_order="left")


def _describe_share(prefix: str) -> list[pl.Expr]:
    """Select the object of a share, and under a prefix when, who and where it was."""
    return [
        pl.col("object"),
        pl.col("time").cast(_TIME).alias(f"{prefix}_time"),
        pl.col("account_id", "pseudonym", "platform").name.prefix(f"{prefix}_"),
        pl.col("follower_count").alias(f"{prefix}_followers"),
    ]


def _count_shares(shares: pl.DataFrame) -> pl.DataFrame:
    time, account = pl.col("time"), pl.col("account")
    is_first = account.is_first_distinct()
    adopted = time.filter(is_first)
    half = adopted.get((adopted.len() - 1) // 2) - time.min()
    return shares.group_by("object").agg(
        n_shares=pl.len().cast(pl.Int64),
        n_accounts=account.n_unique().cast(pl.Int64),
        n_first=account.filter(time == time.min()).n_unique().cast(pl.Int64),
        n_platforms=pl.col("platform").drop_nulls().n_unique().cast(pl.Int64),
        n_without_platform=pl.col("platform").null_count().cast(pl.Int64),
        last_time=time.max().cast(_TIME),
        half_seconds=half / 1000,
    )


def _count_inside(shares: pl.DataFrame) -> pl.DataFrame:
    """Count the accounts inside and outside, and those outside before the first inside."""
    inside, account = pl.col("is_inside"), pl.col("account")
    begin = pl.col("time").filter(inside).min()
    is_first = account.is_first_distinct()
    # Without anybody inside, nobody was there before.
    is_before = (~inside & (pl.col("time") < begin)).fill_null(value=False)
    return shares.group_by("object").agg(
        n_inside=account.filter(inside).n_unique().cast(pl.Int64),
        n_outside=account.filter(~inside).n_unique().cast(pl.Int64),
        n_outside_before=account.filter(is_before).n_unique().cast(pl.Int64),
        inside_time=begin.cast(_TIME),
        outside_followers=pl.col("follower_count").filter(is_first & ~inside).sum(),
    )


_NO_INSIDE = pl.DataFrame(
    schema={
        "object": pl.Int32,
        **dict.fromkeys(("n_inside", "n_outside", "n_outside_before"), pl.Int64),
        "inside_time": _TIME,
        "outside_followers": pl.Int64,
    }
)


def _find_escape(shares: pl.DataFrame, min_followers: int) -> pl.DataFrame:
    """Find the first account outside that adopts an object once it was shared inside."""
    begin = pl.col("time").filter("is_inside").min().over("object")
    is_adoption = pl.struct("object", "account").is_first_distinct()
    is_seen = pl.lit(min_followers == 0) | (pl.col("follower_count") >= min_followers)
    adopted = shares.with_columns(begin=begin).filter(
        is_adoption, ~pl.col("is_inside"), pl.col("time") >= pl.col("begin"), is_seen
    )
    escapes = adopted.unique("object", keep="first", maintain_order=True)
    delay = ((pl.col("time") - pl.col("begin")) / 1000).alias("escape_delay")
    return escapes.select(*_describe_share("escape"), delay)


def list_adoption(spread: Spread) -> pl.DataFrame:
    """Return how many accounts, and how many outside, had shared each object by some ages.

    Returns
    -------
        By kind, value and age: ``kind, value, pseudonym, age`` (text), ``seconds`` (null for all),
        ``n_accounts, n_outside, outside_share`` (null where nobody is inside).
    """
    adopted = spread.adoptions.with_columns(
        age=(pl.col("time") - pl.col("time").min().over("object")) / 1000
    )
    counted = [
        adopted.filter(pl.lit(seconds is None) | (pl.col("age") <= (seconds or 0)))
        .group_by("object")
        .agg(n_accounts=pl.len().cast(pl.Int64), n_outside=(~pl.col("is_inside")).sum())
        .with_columns(age=pl.lit(age), seconds=pl.lit(seconds, dtype=pl.Int64), place=pl.lit(place))
        for place, (age, seconds) in enumerate(AGES.items())
    ]
    outside = pl.when(pl.lit(spread.has_inside)).then(pl.col("n_outside").cast(pl.Int64))
    table = pl.concat(counted).join(spread.objects, on="object").sort("kind", "value", "place")
    return table.select(
        "kind", "value", "pseudonym", "age", "seconds", "n_accounts", n_outside=outside,
        outside_share=outside / pl.col("n_accounts"),
    )  # fmt: skip


def list_hops(spread: Spread, hops: pl.DataFrame) -> pl.DataFrame:
    """Return the hops with the names of objects, and of the accounts that shared first."""
    shares = _name_shares(spread).select(
        "row", "account_id", "pseudonym", "content_id", "follower_count"
    )
    objects = spread.objects.rename({"pseudonym": "object_pseudonym"})
    named = hops.join(shares, on="row").join(objects, on="object")
    return named.sort("kind", "value", "order", "platform").select(
        "kind", "value", "object_pseudonym", "platform", "order", pl.col("time").cast(_TIME),
        "delay", "delay_previous", "account_id", "pseudonym", "content_id", "follower_count",
        "n_first", "n_accounts", "n_shares",
    )  # fmt: skip


def _list_catalysts(spread: Spread, found: Catalysts) -> pl.DataFrame:
    names = spread.accounts.select("account", "account_id", "pseudonym")
    objects = spread.objects.rename({"pseudonym": "object_pseudonym"})
    named = found.shares.join(names, on="account").join(objects, on="object")
    return named.sort("part", "p_value", "kind", "value", "account_id").select(
        "kind", "value", "object_pseudonym", "account_id", "pseudonym", pl.col("time").cast(_TIME),
        "part", "rank", "observed", "expected", "ratio", "excess", "p_value", "q_value",
    )  # fmt: skip


def _list_accounts(spread: Spread, hops: pl.DataFrame, found: Catalysts) -> pl.DataFrame:
    """Return what each account did: objects, first shares, hops between platforms, tests."""
    adoptions = spread.adoptions.with_columns(
        is_first=pl.col("time") == pl.col("time").min().over("object")
    )
    counted = adoptions.group_by("account").agg(
        n_objects=pl.len().cast(pl.Int64), n_first=pl.col("is_first").sum().cast(pl.Int64)
    )
    shares = spread.shares.with_row_index("row").select("row", "account")
    later = hops.filter(pl.col("order") > 1).join(shares, on="row")
    carried = later.group_by("account").agg(n_carried=pl.len().cast(pl.Int64))
    inside = spread.shares.select("account", "is_inside").unique()
    table = spread.accounts.join(inside, on="account")
    for part in (counted, carried, found.accounts):
        table = table.join(part, on="account", how="left")
    is_inside = pl.when(pl.lit(spread.has_inside)).then("is_inside")
    return table.with_columns(pl.col("n_carried").fill_null(0), is_inside=is_inside).sort(
        "account_id"
    ).drop("account")  # fmt: skip


def _write_tables(spread: Spread, settings: CascadeSettings, work: Work) -> dict[str, Any]:
    with work.time("platforms"):
        warn_of_spellings(spread.shares["platform"])
        hops = find_hops(spread.shares)
        cascades = list_cascades(spread, hops, min_followers=settings.min_followers)
    with work.time("catalysts"):
        found = find_catalysts(
            spread.adoptions,
            end=spread.end,
            window_ms=1000 * parse_duration(settings.window),
            reach_ms=1000 * parse_duration(settings.reach),
            min_adopters=settings.min_adopters,
            early=settings.early,
        )
    tables = {
        "cascades": cascades,
        "hops": list_hops(spread, hops),
        "flows": count_flows(hops),
        "adoption": list_adoption(spread),
        "catalysts": _list_catalysts(spread, found),
        "accounts": _list_accounts(spread, hops, found),
    }
    with work.time("write"):
        work.write(tables)
    return _summarise(spread, tables, found, alpha=settings.alpha)


def _summarise(
    spread: Spread, tables: dict[str, pl.DataFrame], found: Catalysts, *, alpha: float
) -> dict[str, Any]:
    cascades = tables["cascades"]
    summary: dict[str, Any] = {
        "n_objects": cascades.height,
        "n_objects_left_out": spread.n_small,
        "n_shares": spread.shares.height,
        "n_accounts": tables["accounts"]["n_objects"].count(),
        "n_platforms": spread.shares["platform"].drop_nulls().n_unique(),
        "n_shares_without_platform": spread.shares["platform"].null_count(),
        "n_objects_across": int((cascades["n_platforms"] > 1).sum()),
    }
    if spread.has_inside:
        summary["inside"] = _summarise_inside(cascades)
    for part, null in found.nulls.items():
        summary[part] = _summarise_tests(tables, part, null, alpha=alpha)
    return summary


def _summarise_inside(cascades: pl.DataFrame) -> dict[str, Any]:
    """Count the objects that begin inside, and those of them that leave."""
    begin = cascades.filter(pl.col("n_inside") > 0, pl.col("n_outside_before") == 0)
    escaped = begin.drop_nulls("escape_time")
    return {
        "n_objects": int((cascades["n_inside"] > 0).sum()),
        "n_begun": begin.height,
        "n_escaped": escaped.height,
        "median_escape_delay": escaped["escape_delay"].median(),
    }


def _summarise_tests(
    tables: dict[str, pl.DataFrame], part: str, null: EmpiricalNull, *, alpha: float
) -> dict[str, Any]:
    shares = tables["catalysts"].filter(pl.col("part") == part)
    accounts = tables["accounts"][f"q_{part}"].drop_nulls()
    return {
        "n_shares": shares.height,
        "lambda": null.inflation,
        "dispersion": null.dispersion,
        "n_significant": int((shares["q_value"] <= alpha).sum()),
        "n_significant_accounts": int((accounts <= alpha).sum()),
    }
