"""Links of accounts -> every coincidence behind them, as a table.

A coincidence: the source is active on an entity in a bin, the target on the same one ``lag`` bins
later. Each is told by the two posts that lie closest in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import narwhals as nw
import numba
import numpy as np
import polars as pl

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import count_margins, count_pairs, cut_rows, index_cells, plan_blocks
from gpu_coord.backend import choose
from gpu_coord.backend.pairs import CACHE
from gpu_coord.chance.days import match_visits
from gpu_coord.results.evidence import SCHEMA
from gpu_coord.store.queries import map_entities, select_range, to_milliseconds
from gpu_coord.store.store import Store
from gpu_coord.store.tables import TableWriter

MAX_ROWS = 1_000_000
_BLOCK_BYTES = 64 << 20
_MATCH_BYTES = 48  # two positions and their sort keys
_CHUNK_ROWS = 1 << 17
_NO_GROUP = -1

# --- links: whose coincidences -------------------------------------------------------------


class Links(NamedTuple):
    """Ordered pairs of accounts, each at a lag, in the order in which they matter; on the host."""

    source: Any  # row of the account, (n_links,)
    target: Any
    lag: Any  # bins, 0 or more
    group: Any = None  # number of the group that a link is evidence of, -1 for edges

    @property
    def n_links(self) -> int:
        """Number of links."""
        return int(self.source.size)

    @property
    def groups(self) -> Any:
        """Return the group of each link, -1 for edges."""
        return np.full(self.n_links, _NO_GROUP, np.int32) if self.group is None else self.group


def join_links(parts: Sequence[Links]) -> Links:
    """Return links one after the other."""
    columns = zip(*((*part[:3], part.groups) for part in parts), strict=True)
    return Links(*map(np.concatenate, columns))


def link_groups(
    activity: Activity, members: pl.DataFrame, *, max_lag: int, memory: int = _BLOCK_BYTES
) -> Links:
    """Return the pairs of members of each group that coincide at a lag of 0 to ``max_lag``.

    Parameters
    ----------
    activity
        What the groups were found in.
    members
        ``group`` (integer) and ``account`` (row of the account), one row for each member.
    max_lag
        Bins.
    memory
        Bytes that the pairs under way may take, beside those that are returned.

    Returns
    -------
        By group, then source, target and lag. A pair at lag 0 is there once; what is written of
        it has the earlier post first.

    Raises
    ------
    ValueError
        The lag leaves no transition.
    """
    members = members.select("group", "account").sort("group", "account")
    index = index_cells(_gather_groups(activity, members))
    parts = [(np.empty(0, np.int32),) * 3]
    for lag in range(max_lag + 1):
        margins = count_margins(index, lag)
        for first, last in plan_blocks(index, [margins], min_support=1, memory=memory):
            pairs = count_pairs(index, margins, first, last, min_support=1)
            kept = pairs.source < pairs.target if lag == 0 else pairs.source >= 0
            source, target = pairs.source[kept], pairs.target[kept]
            parts.append((source, target, np.full(source.size, lag, np.int32)))
    source, target, lags = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((lags, target, source))
    source, target, lags = source[order], target[order], lags[order]
    account, group = (members[name].to_numpy().astype(np.int32) for name in ("account", "group"))
    return Links(account[source], account[target], lags, group[source])


def _gather_groups(activity: Activity, members: pl.DataFrame) -> Activity:
    """Return the activity of the members, who meet on an entity only within their group."""
    entity, bin, account = activity.read_cells()
    cells = pl.DataFrame({"entity": entity, "bin": bin, "account": account})
    numbered = members.with_row_index("member").with_columns(pl.col("account").cast(pl.Int32))
    joined = (
        cells.with_columns(pl.col("account").cast(pl.Int32))
        .join(numbered, on="account", how="inner")
        .with_columns(place=pl.col("group").cast(pl.Int64) * activity.n_entities + pl.col("entity"))
        .with_columns(place=pl.col("place").rank("dense").cast(pl.Int64) - 1)
        .sort("place", "bin", "member")
    )
    return replace(
        activity,
        backend=choose("cpu", threads=activity.backend.threads),
        accounts=members,
        entity=joined["place"].to_numpy().astype(np.int32),
        bin=joined["bin"].to_numpy(),
        account=joined["member"].to_numpy().astype(np.int32),
    )


# --- coincidences: all of each link --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EvidenceCount:
    """How much evidence was written, and how much was left out for want of room."""

    n_pairs: int  # links with a coincidence
    n_coincidences: int
    n_pairs_left_out: int
    n_coincidences_left_out: int


def write_evidence(
    path: Path | str,
    store: Store,
    activity: Activity,
    links: Links,
    *,
    start: str | int | None = None,
    end: str | int | None = None,
    max_rows: int = MAX_ROWS,
    memory: int = _BLOCK_BYTES,
) -> EvidenceCount:
    """Write every coincidence of some links as ``evidence.parquet``.

    One row for each entity and bin of the source: the post of the source there and the post of the
    target in the lagged bin that have the smallest gap, the earliest of several, and how many posts
    both have there. A link has as many rows as its support. Links are written whole, in the order
    given, up to the first that would pass ``max_rows``.

    Parameters
    ----------
    path
        The file to write.
    store, activity
        What the links were found in.
    links
        Whose coincidences; the strongest first.
    start, end
        The time range of the activity, ISO 8601 or epoch milliseconds, end excluded.
    max_rows
        Coincidences to write at most; each holds some 40 bytes until it is written.
    memory
        Bytes that the coincidences under way may take.

    Raises
    ------
    ValueError
        The links are none of this activity, or the time range is not the one it was built with.
    """
    _check_links(links, activity)
    span = select_range(to_milliseconds(start), to_milliseconds(end))
    cells = _index_posts(store, activity, links, span)
    rows, count = _find_rows(cells, links, max_rows=max_rows, memory=memory)
    contents = _read_contents(store, cells, rows)
    with TableWriter(Path(path), SCHEMA) as writer:
        for first in range(0, rows.link.size, _CHUNK_ROWS):
            chunk = rows.take(slice(first, first + _CHUNK_ROWS))
            writer.add(_describe_rows(chunk, cells, links, activity, contents))
    return count


def _check_links(links: Links, activity: Activity) -> None:
    sizes = {column.size for column in (links.source, links.target, links.lag, links.groups)}
    if len(sizes) > 1:
        raise ValueError(f"links have columns of {sorted(sizes)} rows; give one row for each link.")
    if links.n_links == 0:
        return
    linked = np.concatenate([links.source, links.target])
    first, last = linked.min(), linked.max()
    if first < 0 or last >= activity.n_accounts:
        raise ValueError(
            f"links name the accounts {first} to {last}; the activity has the rows 0 to "
            f"{activity.n_accounts - 1}."
        )
    if (links.source == links.target).any() or links.lag.min() < 0:
        raise ValueError(
            "links hold an account with itself or a negative lag; name the earlier account as the "
            "source of another one."
        )


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of the linked accounts, by account, entity and bin, and the posts in each."""

    account_start: Any  # cells of each account, (n_accounts + 1,)
    account: Any  # (n_cells,)
    entity: Any
    key: Any  # entity and bin in one, so that a lag never leads to another entity
    n_posts: Any
    post_start: Any  # posts of each cell, (n_cells + 1,)
    time: Any  # milliseconds, ascending in each cell, (n_posts,)
    post: Any


def _index_posts(store: Store, activity: Activity, links: Links, span: Any) -> _Cells:
    linked = _mark(activity.n_accounts, links.source, links.target)
    events = _select_posts(store, activity, linked, span)
    place = ["account", "entity", "bin"]
    cells = events.group_by(place, maintain_order=True).agg(
        n_events=pl.len(), n_posts=pl.col("post").n_unique()
    )
    _check_cells(activity, linked, cells.height)
    account, entity, bin, n_events, n_posts = (cells[name].to_numpy() for name in cells.columns)
    stride = activity.n_bins + int(links.lag.max(initial=0))
    sizes = np.bincount(account, minlength=activity.n_accounts)
    return _Cells(
        account_start=np.concatenate([[0], np.cumsum(sizes)]),
        account=account,
        entity=entity,
        key=entity.astype(np.int64) * stride + bin,
        n_posts=n_posts,
        post_start=np.concatenate([[0], np.cumsum(n_events, dtype=np.int64)]),
        time=events["time"].to_numpy(),
        post=events["post"].to_numpy(),
    )


def _mark(n_positions: int, *positions: Any) -> Any:
    """Return the distinct positions, ascending; `numpy.unique` takes a microsecond for each."""
    is_marked = np.zeros(n_positions, bool)
    for some in positions:
        is_marked[some] = True
    return np.flatnonzero(is_marked)


def _select_posts(store: Store, activity: Activity, linked: Any, span: Any) -> pl.DataFrame:
    """Return account row, entity row, bin, time and post of what the linked accounts posted."""
    rows = activity.accounts.select("account_id").with_row_index("row")[linked]
    accounts = store.scan("accounts").select("account", "account_id")
    accounts = accounts.join(rows.lazy(), on="account_id").select("account", row_account="row")
    values = activity.entities.select("kind", "value").with_row_index("row").lazy()
    entities = map_entities(store, activity.kinds).lazy().join(values, on=["kind", "value"])
    bin = pl.col("time") // (1000 * activity.bin_seconds) - activity.first_bin
    return (
        nw.from_native(store.scan("events"))
        .filter(span)
        .to_native()
        .select("post", "account", "entity", "time")
        .join(accounts, on="account")
        .join(entities.select("entity", row_entity="row"), on="entity")
        .select(
            pl.col("row_account").cast(pl.Int32).alias("account"),
            pl.col("row_entity").cast(pl.Int32).alias("entity"),
            bin.cast(pl.Int64).alias("bin"),
            "time",
            "post",
        )
        .sort("account", "entity", "bin", "time", "post")
        .collect()
    )


def _check_cells(activity: Activity, linked: Any, n_cells: int) -> None:
    n_expected = int(np.isin(activity.backend.to_host(activity.account), linked).sum())
    if n_cells != n_expected:
        raise ValueError(
            f"the linked accounts have {n_cells:,} active cells in the store and {n_expected:,} in "
            "the activity; give the store and the start and end that the activity was built with."
        )


class _Rows(NamedTuple):
    """Coincidences, by link and time."""

    link: Any  # position of the link, (n_rows,)
    source_cell: Any
    target_cell: Any
    source_post: Any  # position of the post among those of the cells
    target_post: Any

    def take(self, rows: Any) -> "_Rows":
        return _Rows(*(column[rows] for column in self))


def _find_rows(
    cells: _Cells, links: Links, *, max_rows: int, memory: int
) -> tuple[_Rows, EvidenceCount]:
    """Return the coincidences that there is room for, and count the others."""
    kept = [_Rows(*(np.empty(0, np.int64) for _ in range(5)))]
    n_pairs, n_found = 0, 0
    room, n_pairs_kept = max_rows, 0
    # Ranges of links whose coincidences fit the memory, whatever they turn out to be.
    bounds = _bound_matches(cells, links.source, links.target)
    for first, last in cut_rows(bounds, memory // _MATCH_BYTES):
        rows, n_matches = _match_links(cells, links, first, last)
        total = np.cumsum(n_matches)
        n_fitting = int(np.searchsorted(total, room, side="right"))
        n_rows = int(total[n_fitting - 1]) if n_fitting else 0
        kept.append(_choose_posts(cells, links, rows.take(slice(0, n_rows))))
        n_pairs_kept += int((n_matches[:n_fitting] > 0).sum())
        # After the first link without room no other is written.
        room = room - n_rows if n_fitting == n_matches.size else 0
        n_pairs += int((n_matches > 0).sum())
        n_found += int(total[-1])
    rows = _Rows(*map(np.concatenate, zip(*kept, strict=True)))
    n_kept = rows.link.size
    return rows, EvidenceCount(n_pairs_kept, n_kept, n_pairs - n_pairs_kept, n_found - n_kept)


def _bound_matches(cells: _Cells, source: Any, target: Any) -> Any:
    n_cells = np.diff(cells.account_start)
    return np.minimum(n_cells[source], n_cells[target])


def _match_links(cells: _Cells, links: Links, first: int, last: int) -> tuple[_Rows, Any]:
    """Return the coincidences of a range of links, without posts, and how many each link has."""
    source, target, lag = (c[first:last] for c in (links.source, links.target, links.lag))
    n_most = int(_bound_matches(cells, source, target).sum())
    source_cell, target_cell = np.empty((2, n_most), np.int64)
    n_matches = np.empty(last - first, np.int64)
    n_found = _match_cells(
        source, target, lag, cells.account_start, cells.key, source_cell, target_cell, n_matches
    )
    link = np.repeat(np.arange(first, last), n_matches)
    cell_pairs = source_cell[:n_found], target_cell[:n_found]
    return _Rows(link, *cell_pairs, *cell_pairs), n_matches


@numba.njit(cache=CACHE, nogil=True)
def _match_cells(source: Any, target: Any, lag: Any, account_start: Any, cell_key: Any,
                 source_cell: Any, target_cell: Any, n_matches: Any) -> int:  # fmt: skip
    """Write the cells of each pair that lie a lag apart, by entity and bin; return how many."""
    n_found = 0
    for pair in range(source.size):
        n_matches[pair] = match_visits(
            source[pair], target[pair], account_start, cell_key, np.int64(lag[pair]),
            source_cell[n_found:], target_cell[n_found:],
        )  # fmt: skip
        n_found += n_matches[pair]
    return n_found


def _choose_posts(cells: _Cells, links: Links, rows: _Rows) -> _Rows:
    """Return coincidences with the closest posts of their cells, by link and time."""
    source_post, target_post = np.empty((2, rows.link.size), np.int64)
    _find_closest(
        rows.source_cell, rows.target_cell, cells.post_start, cells.time, source_post, target_post
    )
    # Only at lag 0; there a pair of a group has no direction but the one of its posts.
    is_late = cells.time[source_post] > cells.time[target_post]
    is_late &= links.groups[rows.link] != _NO_GROUP
    chosen = _Rows(
        rows.link,
        np.where(is_late, rows.target_cell, rows.source_cell),
        np.where(is_late, rows.source_cell, rows.target_cell),
        np.where(is_late, target_post, source_post),
        np.where(is_late, source_post, target_post),
    )
    times = cells.time[chosen.source_post], cells.time[chosen.target_post]
    # Stable: at the same times by entity.
    return chosen.take(np.lexsort((*times[::-1], chosen.link)))


@numba.njit(cache=CACHE, nogil=True)
def _find_closest(source_cell: Any, target_cell: Any, post_start: Any, time: Any,
                  source_post: Any, target_post: Any) -> None:  # fmt: skip
    """Write for each pair of cells the posts with the smallest gap; of several, the earliest."""
    for row in range(source_cell.size):
        i, i_stop = post_start[source_cell[row]], post_start[source_cell[row] + 1]
        j, j_stop = post_start[target_cell[row]], post_start[target_cell[row] + 1]
        smallest = np.int64(2**63 - 1)
        while i < i_stop and j < j_stop:
            gap = abs(time[j] - time[i])
            if gap < smallest:
                smallest, source_post[row], target_post[row] = gap, i, j
            if time[i] <= time[j]:
                i += 1
            else:
                j += 1


def _read_contents(store: Store, cells: _Cells, rows: _Rows) -> pl.DataFrame:
    """Return post and content_id of the posts of the rows."""
    posts = cells.post[_mark(cells.post.size, rows.source_post, rows.target_post)]
    wanted = pl.LazyFrame({"post": posts}, schema={"post": pl.Int64})
    contents = store.scan("posts").select("post", "content_id")
    return contents.join(wanted, on="post", how="semi").collect()


def _describe_rows(
    rows: _Rows, cells: _Cells, links: Links, activity: Activity, contents: pl.DataFrame
) -> pl.DataFrame:
    ids = activity.accounts["account_id"]
    entity = activity.entities[cells.entity[rows.source_cell]]
    time_source, time_target = cells.time[rows.source_post], cells.time[rows.target_post]
    columns = {
        "source": ids.gather(cells.account[rows.source_cell]),
        "target": ids.gather(cells.account[rows.target_cell]),
        "kind": entity["kind"],
        "value": entity["value"],
        "time_source": pl.Series(time_source).cast(SCHEMA["time_source"]),
        "time_target": pl.Series(time_target).cast(SCHEMA["time_source"]),
        "gap": (time_target - time_source) / 1000,
        "post_source": cells.post[rows.source_post],
        "post_target": cells.post[rows.target_post],
        "group": links.groups[rows.link],
        "lag": links.lag[rows.link],
        "n_posts_source": cells.n_posts[rows.source_cell],
        "n_posts_target": cells.n_posts[rows.target_cell],
    }
    table = pl.DataFrame(columns).with_columns(
        group=pl.when(pl.col("group") != _NO_GROUP).then("group")
    )
    for end in ("source", "target"):
        named = contents.rename({"post": f"post_{end}", "content_id": f"content_{end}"})
        table = table.join(named, on=f"post_{end}", how="left", maintain_order="left")
    return table
