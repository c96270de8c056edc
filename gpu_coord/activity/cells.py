"""Store -> Activity: who was active on which entity in which time bin.

The one idea: after this stage there are only three integer columns, (entity, bin, account), one
row per active cell, sorted; every silent cell is implied.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from gpu_coord.activity.distinct import list_distinct
from gpu_coord.activity.settings import MatchSettings
from gpu_coord.backend import Backend, choose
from gpu_coord.ground.keywords import takes
from gpu_coord.ground.times import parse_duration
from gpu_coord.store.queries import (
    choose_kinds,
    collect_lazy,
    count_posts,
    label_accounts,
    map_entities,
    rank_entities,
    scan_table,
    select_range,
)
from gpu_coord.store.store import Store, open_store

MAX_BINS = 2**31 - 1
USUAL_KINDS = ("hashtag", "url", "mention")


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

    def read_cells(self) -> tuple[Any, Any, Any]:
        """Return entity, bin and account of the cells, on the host."""
        entity, bin, account = map(self.backend.to_host, (self.entity, self.bin, self.account))
        return entity, bin, account

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


@takes(MatchSettings)
def build_activity(
    store: Store | Path | str,
    *,
    labels: pl.DataFrame | None = None,
    backend: Backend | None = None,
    **choices: Any,
) -> Activity:
    """Bin a store's events into active (entity, bin, account) cells.

    Kinds that the store lacks are left out with a warning; ``domain`` is derived from ``url`` where
    the store has no domain events of its own. Bins are multiples of their width since the epoch,
    UTC. Of the accounts with the most posts, the share is rounded up, with ties by account id.

    Parameters
    ----------
    store
        From `ingest` or `open_store`, or its folder.
    labels
        Columns account_id, label, in the place of the store's own labels.
    backend
        Where to compute; the default is `gpu_coord.backend.choose`'s.
    **choices
        Fields of `MatchSettings`.

    Raises
    ------
    ValueError
        A setting is out of range, or nothing is left to analyse.
    """
    settings = MatchSettings(**choices)
    store = open_store(store)
    kinds = settings.kinds or choose_kinds(store, usual=USUAL_KINDS)
    backend = backend or choose()
    bin_ms = 1000 * parse_duration(settings.bin)
    span = select_range(settings.start_ms, settings.end_ms)
    accounts, n_dropped = _select_accounts(
        count_posts(store, span, backend=backend),
        label_accounts(store.read("accounts"), labels),
        settings,
    )
    members = map_entities(store, kinds)
    events = _select_events(store, span, accounts, members, bin_ms=bin_ms, backend=backend)
    if not len(events):
        raise ValueError(
            f"no event of the kinds {', '.join(kinds)} is left after the filters on time and "
            f"accounts ({accounts.height} accounts kept); widen them."
        )
    post, bin, account, entity = (backend.to_array(events[name]) for name in events.columns)
    first_bin, last_bin = _find_span(bin, bin_ms)
    n_bins = last_bin - first_bin + 1
    entities = _describe_entities(post, entity, account, members, backend=backend)
    ranks = backend.xp.asarray(entities["entity"].to_numpy())
    row = backend.xp.zeros(int(ranks[-1]) + 1, dtype=np.int32)
    row[ranks] = backend.xp.arange(ranks.size)
    sizes = (entities.height, n_bins, accounts.height)
    cells = _list_cells(row[entity], bin - first_bin, account, sizes, backend=backend)
    present = tuple(kind for kind in dict.fromkeys(kinds) if kind in set(entities["kind"]))
    return Activity(
        backend=backend,
        bin_seconds=bin_ms // 1000,
        first_bin=first_bin,
        n_bins=n_bins,
        kinds=present,
        missing_kinds=tuple(kind for kind in dict.fromkeys(kinds) if kind not in present),
        accounts=accounts.drop("account", "row"),
        entities=entities.select("kind", "value", "n_accounts", "n_events"),
        n_dropped=n_dropped,
        **cells,
    )


def _find_span(bin: Any, bin_ms: int) -> tuple[int, int]:
    first_bin, last_bin = int(bin.min()), int(bin.max())
    if last_bin - first_bin >= MAX_BINS:
        raise ValueError(
            f"the events span {last_bin - first_bin + 1:,} bins of {bin_ms / 1000:g} s, from "
            f"{first_bin * bin_ms} to {last_bin * bin_ms} ms; {MAX_BINS:,} are possible: choose "
            "wider bins or a time range."
        )
    return first_bin, last_bin


def _send(frame: pl.DataFrame, like: Any, *, backend: Backend) -> Any:
    """Bring a frame of the host to where another one is, to be joined to it."""
    sent = nw.from_arrow(frame.to_arrow(), backend=backend.frames)
    return sent.lazy() if isinstance(like, nw.LazyFrame) else sent


def _select_accounts(
    posts: pl.DataFrame, accounts: pl.DataFrame, settings: MatchSettings
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the accounts to analyse, in the order of their ids, and how many were left out why."""
    posting = accounts.join(posts, on="account", how="inner").sort("account_id")
    busy = posting.filter(pl.col("n_posts") >= settings.min_posts)
    top = _take_top(busy, settings.top_percent)
    label = settings.match
    matched = top if label is None else _match_controls(top, label, seed=settings.seed)
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


def _select_events(
    store: Store,
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
    return collect_lazy(
        events.filter(span)
        .select("post", "account", "entity", bin=nw.col("time") // bin_ms)
        .join(kept_accounts, on="account", how="inner")
        .join(kept_entities, on="entity", how="inner")
        .select("post", "bin", account=nw.col("row_account"), entity=nw.col("row_entity"))
    )


def _describe_entities(
    post: Any, entity: Any, account: Any, members: pl.DataFrame, *, backend: Backend
) -> pl.DataFrame:
    """Return the entities with an event, by rank; their place is their row from here on."""
    xp, columns = backend.xp, (entity, account, post)
    sizes = [int(column.max()) + 1 for column in columns]
    used_by = list_distinct(columns, sizes, xp=xp)[:2]  # in each post
    users = list_distinct(used_by, sizes[:2], xp=xp)
    counts = {"n_accounts": users[0], "n_events": used_by[0]}
    described = {
        name: backend.to_host(xp.bincount(rows, minlength=sizes[0]))
        for name, rows in counts.items()
    }
    return (
        pl.DataFrame(described, schema=dict.fromkeys(described, pl.Int64))
        .with_row_index("entity")
        .filter(pl.col("n_events") > 0)
        .join(
            rank_entities(members).select("kind", "value", entity="row").unique("entity"),
            on="entity",
            how="left",
            maintain_order="left",
        )
    )


def _list_cells(
    entity: Any, bin: Any, account: Any, sizes: tuple[int, int, int], *, backend: Backend
) -> dict[str, Any]:
    """Return the distinct cells, sorted, with the types of an activity."""
    distinct = list_distinct((entity, bin, account), sizes, xp=backend.xp)
    types = {"entity": np.int32, "bin": np.int64, "account": np.int32}
    cells = {name: c.astype(t) for (name, t), c in zip(types.items(), distinct, strict=True)}
    for column in cells.values():
        if isinstance(column, np.ndarray):  # as those of copies: kernels are compiled once for both
            column.flags.writeable = False
    return cells
