"""Store -> Activity: who was active on which entity in which time bin.

The one idea: after this stage there are only three integer columns, (entity, bin, account), one
row per active cell, sorted; every silent cell is implied.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import polars as pl

from gpu_coord.backend import Backend, choose
from gpu_coord.times import parse_duration, parse_time

if TYPE_CHECKING:
    from gpu_coord.store import Store

_EVER = (-(2**63), 2**63 - 1)  # milliseconds
MAX_BINS = 2**31 - 1
DEFAULT_KINDS = ("hashtag", "url", "mention")


@dataclass(frozen=True)
class Activity:
    """The active cells of the analysed accounts, and what their rows and columns are."""

    backend: Backend
    bin_seconds: int
    first_bin: int  # epoch seconds // bin_seconds of bin 0
    n_bins: int
    kinds: tuple[str, ...]  # with at least one entity, in the order asked for
    missing_kinds: tuple[str, ...]  # asked for, but without an entity in the analysed data
    accounts: pl.DataFrame  # row = account: account_id, label, n_posts, first_seen, last_seen
    entities: pl.DataFrame  # row = entity: kind, value, n_accounts, n_events
    entity: Any  # (n_cells,), ascending; then by bin, then by account
    bin: Any
    account: Any
    n_dropped: dict[str, int]  # accounts left out, by reason

    @property
    def n_accounts(self) -> int:
        """Analysed accounts, silent ones included."""
        return self.accounts.height

    @property
    def n_entities(self) -> int:
        """Entities with at least one event, over all kinds."""
        return self.entities.height

    @property
    def n_cells(self) -> int:
        """Active (entity, bin, account) cells."""
        return int(self.entity.size)

    @cached_property
    def entity_kind(self) -> Any:
        """Position in `kinds` of each entity's kind, (n_entities,)."""
        positions = {kind: position for position, kind in enumerate(self.kinds)}
        kinds = self.entities["kind"].replace_strict(positions, return_dtype=pl.Int32)
        return self.backend.xp.asarray(kinds.to_numpy())

    def __repr__(self) -> str:
        return (
            f"Activity({self.n_accounts:,} accounts, {self.n_entities:,} entities of "
            f"{'/'.join(self.kinds)}, {self.n_bins:,} bins of {self.bin_seconds} s, "
            f"{self.n_cells:,} active cells, {self.backend.name})"
        )

    def tensor(self, kind: str, entities: Sequence[str] | None = None) -> Any:
        """Return the dense 0/1 activity on some entities of a kind.

        Parameters
        ----------
        kind
            One of `kinds`.
        entities
            Values of that kind, in the order wanted; all of them by default.

        Returns
        -------
            0/1 bytes, (n_entities, n_accounts, n_bins).

        Raises
        ------
        ValueError
            The kind or an entity is not in the analysed data.
        """
        rows = self._find_entities(kind, entities)
        xp = self.backend.xp
        position = xp.full(self.n_entities, -1, dtype=np.int64)
        position[xp.asarray(rows)] = xp.arange(rows.size)
        page = position[self.entity]
        active = page >= 0
        tensor = xp.zeros((rows.size, self.n_accounts, self.n_bins), dtype=np.uint8)
        tensor[page[active], self.account[active], self.bin[active]] = 1
        return tensor

    def _find_entities(self, kind: str, values: Sequence[str] | None) -> np.ndarray:
        rows = self.entities.with_row_index("row").filter(pl.col("kind") == kind)
        if rows.is_empty():
            raise ValueError(f"no {kind!r} in the analysed data; its kinds are {self.kinds}.")
        if values is None:
            return rows["row"].to_numpy()
        wanted = pl.DataFrame({"value": list(values)}, schema={"value": pl.String})
        found = wanted.join(rows, on="value", how="left", maintain_order="left")
        absent = found.filter(pl.col("row").is_null())["value"]
        if absent.len():
            raise ValueError(
                f"{absent.len()} of the {kind} values are not in the analysed data, the first is "
                f"{absent[0]!r}; see Activity.entities."
            )
        return found["row"].to_numpy()


def build_activity(
    store: "Store",
    *,
    kinds: Sequence[str] = DEFAULT_KINDS,
    bin: str | int = "1h",
    min_posts: int = 1,
    top_percent: float = 100.0,
    start: str | int | None = None,
    end: str | int | None = None,
    match: str | None = None,
    labels: pl.DataFrame | None = None,
    seed: int = 0,
    backend: Backend | None = None,
) -> Activity:
    """Bin a store's events into active (entity, bin, account) cells.

    Parameters
    ----------
    store
        From `ingest` or `open_store`.
    kinds
        Kinds of entity; those that the store lacks are left out with a warning. ``domain`` is
        derived from ``url`` where the store has no domain events of its own.
    bin
        Width of a time bin; bins are multiples of it since the epoch, UTC.
    min_posts
        Accounts with fewer posts, of any kind, in the time range are left out.
    top_percent
        Of the accounts left, the share with the most posts, rounded up; ties by account id.
    start, end
        Time range as ISO 8601 or epoch milliseconds, start included, end excluded.
    match
        A label: of the accounts without it, as many as have it are drawn by the seed.
    labels
        Columns account_id, label, in the place of the store's own labels.
    seed
        Of the draw for ``match``.
    backend
        Where to compute; the default is `gpu_coord.backend.choose`'s.

    Raises
    ------
    ValueError
        A setting is out of range, or nothing is left to analyse.
    """
    backend = backend or choose()
    bin_ms = 1000 * parse_duration(bin)
    span = select_range(to_milliseconds(start), to_milliseconds(end))
    accounts, n_dropped = _select_accounts(
        count_posts(store, span, backend=backend),
        label_accounts(store.read("accounts"), labels),
        min_posts=min_posts,
        top_percent=top_percent,
        match=match,
        seed=seed,
    )
    members = map_entities(store, kinds)
    events = _select_events(store, span, accounts, members, bin_ms=bin_ms, backend=backend)
    if not len(events):
        raise ValueError(
            f"no event of the kinds {', '.join(kinds)} is left after the filters on time and "
            f"accounts ({accounts.height} accounts kept); widen them."
        )
    entities = _describe_entities(events, members)
    cells = _deduplicate(events, entities, backend=backend)
    first_bin, last_bin = _find_span(events, bin_ms)
    present = tuple(kind for kind in dict.fromkeys(kinds) if kind in set(entities["kind"]))
    return Activity(
        backend=backend,
        bin_seconds=bin_ms // 1000,
        first_bin=first_bin,
        n_bins=last_bin - first_bin + 1,
        kinds=present,
        missing_kinds=tuple(kind for kind in dict.fromkeys(kinds) if kind not in present),
        accounts=accounts.drop("account", "row"),
        entities=entities.select("kind", "value", "n_accounts", "n_events"),
        entity=backend.to_array(cells["entity"]),
        bin=backend.to_array(cells["bin"] - first_bin),
        account=backend.to_array(cells["account"]),
        n_dropped=n_dropped,
    )


def _find_span(events: Any, bin_ms: int) -> tuple[int, int]:
    first_bin, last_bin = int(events["bin"].min()), int(events["bin"].max())
    if last_bin - first_bin >= MAX_BINS:
        raise ValueError(
            f"the events span {last_bin - first_bin + 1:,} bins of {bin_ms / 1000:g} s, from "
            f"{first_bin * bin_ms} to {last_bin * bin_ms} ms; {MAX_BINS:,} are possible: choose "
            "wider bins or a time range."
        )
    return first_bin, last_bin


def to_milliseconds(time: str | int | None) -> int | None:
    """Return a time as epoch milliseconds: ISO 8601 is parsed, the rest as it is."""
    return parse_time(time) if isinstance(time, str) else time


def select_range(start: int | None, end: int | None) -> Any:
    """Return the condition on time; start included, end excluded."""
    start = _EVER[0] if start is None else start
    end = _EVER[1] if end is None else end
    if start >= end:
        raise ValueError(f"start ({start} ms) is not before end ({end} ms); swap or widen them.")
    return (nw.col("time") >= start) & (nw.col("time") < end)


def scan_table(store: "Store", table: str, *columns: str, backend: Backend) -> Any:
    """Return some columns of a table of a store where the backend keeps frames; may be lazy."""
    return backend.scan(str(store.path / f"{table}.parquet"), list(columns))


def _send(frame: pl.DataFrame, like: Any, *, backend: Backend) -> Any:
    """Bring a frame of the host to where another one is, to be joined to it."""
    sent = nw.from_arrow(frame.to_arrow(), backend=backend.frames)
    return sent.lazy() if isinstance(like, nw.LazyFrame) else sent


def _collect(frame: Any) -> Any:
    return frame.collect() if isinstance(frame, nw.LazyFrame) else frame


def count_posts(store: "Store", span: Any, *, backend: Backend) -> pl.DataFrame:
    """Count each account's posts with a time in the range, and find the first and last of them."""
    columns = ("account", "post", "time")
    times = scan_table(store, "posts", *columns, backend=backend).filter(span)
    if store.manifest.get("format") != "x-archive":
        # A post of a share table has the time of its first share, and may be shared again.
        shares = scan_table(store, "events", *columns, backend=backend).filter(span)
        times = nw.concat([times, shares])
    # Plain aggregates only: cuDF has no others.
    posts = (
        times.group_by("account")
        .agg(
            n_posts=nw.col("post").n_unique(),
            first_seen=nw.col("time").min(),
            last_seen=nw.col("time").max(),
        )
        .with_columns(nw.col("n_posts").cast(nw.Int64))
    )
    return pl.DataFrame(_collect(posts).to_arrow())


def label_accounts(accounts: pl.DataFrame, labels: pl.DataFrame | None) -> pl.DataFrame:
    """Return account, account_id, label; other labels take the place of the store's own."""
    accounts = accounts.select("account", "account_id", "label")
    if labels is None:
        return accounts
    if labels["account_id"].is_duplicated().any():
        raise ValueError("labels names an account twice; keep one row for each.")
    return accounts.drop("label").join(labels, on="account_id", how="left", maintain_order="left")


def _select_accounts(
    posts: pl.DataFrame,
    accounts: pl.DataFrame,
    *,
    min_posts: int,
    top_percent: float,
    match: str | None,
    seed: int,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the accounts to analyse, in the order of their ids, and how many were left out why."""
    if min_posts < 1:
        raise ValueError(f"min_posts is {min_posts}; an analysed account has at least 1 post.")
    if not 0 < top_percent <= 100:
        raise ValueError(f"top_percent is {top_percent}; it lies above 0 and at most at 100.")
    posting = accounts.join(posts, on="account", how="inner").sort("account_id")
    busy = posting.filter(pl.col("n_posts") >= min_posts)
    top = _take_top(busy, top_percent)
    matched = top if match is None else _match_controls(top, match, seed=seed)
    steps = (accounts, posting, busy, top, matched)
    reasons = ("no_posts_in_range", "min_posts", "top_percent", "match")
    n_dropped = {
        reason: before.height - after.height
        for reason, before, after in zip(reasons, steps, steps[1:], strict=False)
    }
    kept = matched.with_columns(
        pl.col("first_seen", "last_seen").cast(pl.Datetime("ms", "UTC"))
    ).with_row_index("row")
    return kept, n_dropped


def _take_top(accounts: pl.DataFrame, top_percent: float) -> pl.DataFrame:
    # As written: 1.1 percent of 3,000 is 33, and in floats a little more.
    n_kept = ceil(Fraction(str(top_percent)) * accounts.height / 100)
    ranked = accounts.sort("n_posts", "account_id", descending=[True, False])
    return ranked.head(n_kept).sort("account_id")


def _match_controls(accounts: pl.DataFrame, label: str, *, seed: int) -> pl.DataFrame:
    labelled = pl.col("label").eq_missing(pl.lit(label))
    cases, others = accounts.filter(labelled), accounts.filter(~labelled)
    if cases.is_empty():
        known = sorted(accounts["label"].drop_nulls().unique())
        raise ValueError(f"no account left is labelled {label!r}; the labels are {known}.")
    if others.height < cases.height:
        raise ValueError(
            f"{cases.height} accounts are labelled {label!r}, but only {others.height} others are "
            "left to match them; ingest more controls or loosen the filters."
        )
    drawn = np.random.default_rng(seed).permutation(others.height)[: cases.height]
    return pl.concat([cases, others[np.sort(drawn)]]).sort("account_id")


def map_entities(store: "Store", kinds: Sequence[str]) -> pl.DataFrame:
    """Return the entities asked for: store entity -> kind, value; domains stand for their urls."""
    stored = store.scan("entities").with_columns(pl.col("kind").cast(pl.String))
    present = set(stored.select(pl.col("kind").unique()).collect()["kind"])
    available = present | ({"domain"} if "url" in present else set())
    if not available:
        raise ValueError(f"the store {store.path} holds no event; ingest what has some.")
    missing = [kind for kind in dict.fromkeys(kinds) if kind not in available]
    if len(missing) == len(set(kinds)):
        raise ValueError(
            f"the store has no {', '.join(missing) or 'kind'}; its kinds are "
            f"{', '.join(sorted(available))}."
        )
    for kind in missing:
        warnings.warn(
            f"the store has no {kind!r} and it is left out; its kinds are "
            f"{', '.join(sorted(available))}.",
            stacklevel=3,
        )
    members = stored.filter(pl.col("kind").is_in(list(kinds))).collect()
    if "domain" in kinds and "domain" not in present:
        members = pl.concat([members, _derive_domains(stored)])
    return members


def _derive_domains(entities: pl.LazyFrame) -> pl.DataFrame:
    from gpu_coord.urls import registered_domains

    urls = entities.filter(pl.col("kind") == "url").collect()
    return urls.with_columns(
        kind=pl.lit("domain"), value=registered_domains(urls["value"])
    ).drop_nulls("value")


def _select_events(
    store: "Store",
    span: Any,
    accounts: pl.DataFrame,
    members: pl.DataFrame,
    *,
    bin_ms: int,
    backend: Backend,
) -> Any:
    """Return the events of those accounts and entities: post, account row, entity row, bin."""
    rows = rank_entities(members).select("entity", row_entity="row")
    events = scan_table(store, "events", "post", "account", "entity", "time", backend=backend)
    kept_entities = _send(rows, events, backend=backend)
    kept_accounts = _send(accounts.select("account", row_account="row"), events, backend=backend)
    return _collect(
        events.filter(span)
        .select("post", "account", "entity", bin=nw.col("time") // bin_ms)
        .join(kept_accounts, on="account", how="inner")
        .join(kept_entities, on="entity", how="inner")
        .select("post", "bin", account=nw.col("row_account"), entity=nw.col("row_entity"))
    )


def rank_entities(members: pl.DataFrame) -> pl.DataFrame:
    """Give each entity the rank of its (kind, value); several store entities may share one."""
    values = members.select("kind", "value").unique().sort("kind", "value").with_row_index("row")
    return members.join(values, on=["kind", "value"], how="left", maintain_order="left")


def _describe_entities(events: Any, members: pl.DataFrame) -> pl.DataFrame:
    """Return the entities with an event; their place is their row from here on."""
    counts = (
        events.unique(["post", "entity", "account"])
        .group_by("entity")
        .agg(n_accounts=nw.col("account").n_unique(), n_events=nw.len())
        .with_columns(nw.col("n_accounts", "n_events").cast(nw.Int64))
    )
    named = rank_entities(members).select("row", "kind", "value").unique("row")
    return (
        pl.DataFrame(counts.to_arrow())
        .join(named, left_on="entity", right_on="row", how="left")
        .sort("entity")
    )


def _deduplicate(events: Any, entities: pl.DataFrame, *, backend: Backend) -> Any:
    """Return the distinct (entity, bin, account), sorted, entities numbered by their row."""
    rows = _send(entities.select("entity").with_row_index("row"), events, backend=backend)
    return (
        events.select("entity", "bin", "account")
        .unique()
        .join(rows, on="entity", how="inner")
        .select(
            nw.col("row").cast(nw.Int32).alias("entity"),
            nw.col("bin").cast(nw.Int64),
            nw.col("account").cast(nw.Int32),
        )
        .sort("entity", "bin", "account")
    )
