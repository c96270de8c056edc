"""Store -> Shares: who shared what, when and in which post, in the order that windows need.

The one idea: rows sorted by object, then time, so that all that lies within a window of a share
follows it without a gap.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import polars as pl

from gpu_coord.backend import choose
from gpu_coord.ground.choices import hash_json
from gpu_coord.results.room import Room
from gpu_coord.sharing.settings import ObjectSettings
from gpu_coord.store.queries import (
    choose_kinds,
    count_events,
    count_posts,
    label_accounts,
    map_entities,
    rank_entities,
    scan_table,
    select_range,
    to_milliseconds,
)
from gpu_coord.store.settings import TimeRange
from gpu_coord.store.store import Store

_SHARE_BYTES = 700  # of a share at the peak, measured; rather too few
_TIME_UNITS = {86_400: "days", 3600: "hours", 60: "minutes"}
Chosen = TypeVar("Chosen", bound=ObjectSettings)

_ROWS = ("object", "time", "account", "content", "post")


@dataclass(frozen=True)
class Shares:
    """Shares of objects by accounts, sorted by object, time, content and account; on the host."""

    object: np.ndarray  # row of `objects`, int32 (n_shares,)
    time: np.ndarray  # ms UTC, int64
    account: np.ndarray  # row of `accounts`, int32
    content: np.ndarray  # row of `contents`, int32
    objects: pl.DataFrame  # row = object: kind, value; ascending
    accounts: pl.DataFrame  # row = account: account_id, label, n_posts, first_seen, last_seen
    contents: pl.Series  # content ids, each once
    post: np.ndarray | None = None  # number of the post in the store: the order of the input
    n_dropped: dict[str, int] | None = None  # accounts left out, by reason

    @property
    def n_shares(self) -> int:
        """Number of shares."""
        return int(self.object.size)

    @cached_property
    def object_start(self) -> np.ndarray:
        """Where the shares of each object begin, and the last end, (n_objects + 1,)."""
        return np.searchsorted(self.object, np.arange(self.objects.height + 1))

    @cached_property
    def time_unit(self) -> int:
        """Seconds that times are rounded to: a day, an hour, a minute, or 1 for anything finer."""
        step = int(np.gcd.reduce(self.time - self.time[:1]))
        stamped = (unit for unit in _TIME_UNITS if step and step % (1000 * unit) == 0)
        return next(stamped, 1)

    def select(self, rows: np.ndarray) -> "Shares":
        """Return some of the shares; objects, accounts and contents keep their rows.

        Parameters
        ----------
        rows
            Booleans, (n_shares,), or row numbers in ascending order.

        Raises
        ------
        ValueError
            Row numbers do not ascend.
        """
        rows = np.asarray(rows)
        if rows.dtype != bool and (np.diff(rows) <= 0).any():
            raise ValueError("rows do not ascend; shares are kept in their order, sort the rows.")
        return replace(
            self,
            object=self.object[rows],
            time=self.time[rows],
            account=self.account[rows],
            content=self.content[rows],
            post=None if self.post is None else self.post[rows],
        )

    def __repr__(self) -> str:
        return (
            f"Shares({self.n_shares:,} of {self.objects.height:,} objects by "
            f"{self.accounts.height:,} accounts)"
        )


def fill_kinds(settings: Chosen, store: Store) -> Chosen:
    """Return the settings with kinds of object that the store has, where none is chosen."""
    return (
        settings if settings.kinds else replace(settings, kinds=choose_kinds(store, usual=("url",)))
    )


def check_shares(room: Room, store: Store, kinds: Sequence[str], span: TimeRange) -> None:
    """Refuse more shares than can be held, before any is read.

    Raises
    ------
    MemoryError
        They are too many.
    """
    n_shares = count_events(store, kinds, start=span.start_ms, end=span.end_ms)
    way_out = "choose fewer kinds or a time range"
    room.require(_SHARE_BYTES * n_shares, f"{n_shares:,} shares", way_out=way_out)


def read_shares(
    store: Store,
    *,
    kinds: Sequence[str],
    min_participation: int = 1,
    start: str | int | None = None,
    end: str | int | None = None,
    labels: pl.DataFrame | None = None,
    objects: pl.DataFrame | None = None,
) -> Shares:
    """Read the shares of some kinds of object from a store.

    Parameters
    ----------
    store
        From `ingest` or `open_store`.
    kinds
        Kinds of entity; those that the store lacks are left out with a warning. ``domain`` is
        derived from ``url`` where the store has no domain events of its own.
    min_participation
        Accounts with fewer events of these kinds in the time range are left out.
    start, end
        Time range as ISO 8601 or epoch milliseconds, start included, end excluded.
    labels
        Columns account_id, label, in the place of the store's own labels.
    objects
        Columns kind, value: the shares of these objects only, as if there were no others.

    Raises
    ------
    ValueError
        A setting is out of range, or nothing is left to analyse.
    """
    if min_participation < 1:
        raise ValueError(
            f"min_participation is {min_participation}; an account that shares has at least 1 "
            "event."
        )
    span = select_range(to_milliseconds(start), to_milliseconds(end))
    members = map_entities(store, kinds)
    if objects is not None:
        members = members.join(objects, on=["kind", "value"], how="semi")
    events = _select_events(store, span, members)
    participation = events.group_by("account").len()
    busy = participation.filter(pl.col("len") >= min_participation)
    kept = events.join(busy.select("account"), on="account", how="semi")
    if kept.is_empty():
        raise ValueError(
            f"no event of the kinds {', '.join(kinds)} is left in the time range by accounts with "
            f"{min_participation} events or more; widen them."
        )
    posts = count_posts(store, span, backend=choose("cpu"))
    accounts = describe_accounts(store, posts, kept, labels)
    objects = rank_entities(members).select("row", "kind", "value").unique("row").sort("row")
    n_dropped = {
        "no_events_in_range": posts.height - participation.height,
        "min_participation": participation.height - busy.height,
    }
    return _order_shares(kept, accounts, objects, _read_contents(store, kept), n_dropped)


def warn_of_rounding(shares: Shares, *, window_ms: int) -> None:
    """Warn where times are too coarse for a window to say anything below their unit.

    Parameters
    ----------
    shares
        From `read_shares`.
    window_ms
        The shortest window.
    """
    unit = shares.time_unit
    if unit > 1 and window_ms < 1000 * unit:
        warnings.warn(
            f"all times are whole {_TIME_UNITS[unit]}: a window of {window_ms / 1000:g} s pairs "
            f"what bears the same time, up to {unit - 1} s apart in truth; choose a window of "
            f"{unit} s or more, and read gaps as {_TIME_UNITS[unit]}.",
            stacklevel=2,
        )


def list_post_times(shares: Shares) -> np.ndarray:
    """Return the time of the first share of each post, milliseconds, (n_posts,)."""
    rows = pl.DataFrame({"post": shares.post, "time": shares.time})
    return rows.group_by("post").agg(pl.col("time").min())["time"].to_numpy()


def hash_objects(objects: pl.DataFrame | None) -> str | None:
    """Return a hash of objects (kind, value) that shares are confined to."""
    if objects is None:
        return None
    rows = objects.select("kind", "value").unique().sort("kind", "value").rows()
    return hash_json(rows)


def _select_events(store: Store, span: Any, members: pl.DataFrame) -> pl.DataFrame:
    """Return the events of those entities: post, account, object (rank of kind, value), time."""
    ranked = rank_entities(members).select("entity", object="row")
    columns = ("post", "account", "entity", "time")
    in_range = scan_table(store, "events", *columns, backend=choose("cpu")).filter(span).to_native()
    events: pl.DataFrame = (
        in_range.join(ranked.lazy(), on="entity", how="inner")
        .select("post", "account", "object", "time")
        .collect()
    )
    # Several urls of a post can be of one domain.
    return events.unique() if ranked["object"].is_duplicated().any() else events


def describe_accounts(
    store: Store, posts: pl.DataFrame, events: pl.DataFrame, labels: pl.DataFrame | None
) -> pl.DataFrame:
    """Return the accounts with an event: account (number in the store), account_id, label, posts.

    Parameters
    ----------
    store
        Where they are.
    posts
        From `gpu_coord.store.queries.count_posts`.
    events
        With a column ``account``.
    labels
        Labels in the place of the store's own.
    """
    return (
        label_accounts(store.read("accounts"), labels)
        .join(events.select("account").unique(), on="account", how="semi")
        .join(posts, on="account", how="left")
        .sort("account_id")
        .with_columns(pl.col("first_seen", "last_seen").cast(pl.Datetime("ms", "UTC")))
    )


def _read_contents(store: Store, events: pl.DataFrame) -> pl.DataFrame:
    """Return the content id of each post with an event."""
    used = events.lazy().select("post").unique()
    posts = store.scan("posts").select("post", "content_id")
    return posts.join(used, on="post", how="semi").collect()


def _order_shares(
    events: pl.DataFrame,
    accounts: pl.DataFrame,
    objects: pl.DataFrame,
    posts: pl.DataFrame,
    n_dropped: dict[str, int],
) -> Shares:
    """Sort the shares; objects, accounts and contents become the numbers of their rows."""
    shared = objects.join(events.select(row="object").unique(), on="row", how="semi").sort("row")
    contents = posts["content_id"].unique().sort()
    rows = events.join(posts, on="post")
    rows = rows.select(
        "time",
        "post",
        object=find_rows(rows["object"], shared["row"]),
        account=find_rows(rows["account"], accounts["account"]),
        content=find_rows(rows["content_id"], contents),
    ).sort("object", "time", "content", "account", "post")
    return Shares(
        **{name: rows[name].to_numpy() for name in _ROWS},
        objects=shared.select("kind", "value"),
        accounts=accounts.drop("account"),
        contents=contents,
        n_dropped=n_dropped,
    )


def find_rows(names: pl.Series, among: pl.Series, absent: int | None = None) -> np.ndarray:
    """Return the row, int32, of each name in a series that holds it once, or ``absent``."""
    rows = pl.DataFrame({"name": among, "row": np.arange(among.len(), dtype=np.int32)})
    found = names.alias("name").to_frame().join(rows, on="name", how="left", maintain_order="left")
    row = found["row"] if absent is None else found["row"].fill_null(absent)
    return row.to_numpy()
