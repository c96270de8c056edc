"""Shares -> what CooRnet's ``get_coord_shares`` makes of them, its quirks included.

Time is cut at each object's first share, so that shares a second apart may lie in two bins; a bin
of two shares by one account counts; shares are marked by three memberships that know nothing of
one another; and the network forgets the bins: its weights are common objects.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
import polars as pl
import polars.selectors as cs

from gpu_coord.backend.pairs import CACHE
from gpu_coord.ground.threads import map_ahead
from gpu_coord.sharing.intervals import Repeated, find_quantile
from gpu_coord.sharing.peers.qut import join_edges
from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.streams import check_room
from gpu_coord.sharing.strict import count_popularity
from gpu_coord.sharing.windows import DEFAULT_MEMORY, cut_ranges, pair_shares

_EDGE_BYTES = 16
# Of an edge that is kept: in the table of edges, and while it is written and linked.
_KEPT_BYTES = 350

DEFAULT_QUANTILE = 0.9


@dataclass(frozen=True, slots=True)
class Cuts:
    """The bin of each share, and what lies in bins of several shares, (n_shares,) each."""

    interval_seconds: int
    bin: np.ndarray  # from the object's first share on, int64
    grouped: np.ndarray  # in a bin of two shares or more, of an object of two accounts or more
    coordinated: np.ndarray  # its object, its time and its account each occur among the grouped


@dataclass(frozen=True, slots=True)
class Projection:
    """The network of accounts with common objects, and how its edges were chosen."""

    edges: pl.DataFrame  # source < target (accounts), ascending; weight, common objects
    threshold: float  # the quantile of all weights; NaN without edges
    n_all_edges: int  # before the threshold
    n_all_accounts: int  # with an edge before the threshold


def cut_shares(shares: Shares, *, interval_seconds: float) -> Cuts:
    """Cut each object's time into bins, and mark what CooRnet calls coordinated.

    Parameters
    ----------
    shares
        From `read_shares`.
    interval_seconds
        Width of the bins. R's ``cut`` reads whole seconds only and drops the rest, so does this.

    Raises
    ------
    ValueError
        The width is less than a second.
    """
    if not interval_seconds >= 1:
        raise ValueError(f"interval_seconds is {interval_seconds}; a bin has 1 second or more.")
    interval_seconds = int(interval_seconds)
    first = shares.time[shares.object_start[shares.object]] // 1000 * 1000
    bin = (shares.time - first) // (1000 * interval_seconds)
    is_shared = (count_popularity(shares) > 1)[shares.object]
    grouped = (_count_run(shares.object, bin) > 1) & is_shared
    coordinated = np.isin(shares.object, shares.object[grouped])
    coordinated &= np.isin(shares.time, shares.time[grouped])
    coordinated &= np.isin(shares.account, shares.account[grouped])
    return Cuts(interval_seconds, bin, grouped, coordinated)


def project_accounts(
    shares: Shares,
    cuts: Cuts,
    *,
    edge_weight_quantile: float = DEFAULT_QUANTILE,
    min_weight: int = 1,
    memory: int = DEFAULT_MEMORY,
    threads: int = 1,
) -> Projection:
    """Link the accounts that have objects in common, in whatever bins.

    Parameters
    ----------
    shares, cuts
        From `read_shares` and `cut_shares`.
    edge_weight_quantile
        Edges at or above this quantile (type 7) of all weights, those of 1 included, are kept.
    min_weight
        Edges of fewer common objects are left out, after the quantile was taken.
    memory
        Bytes for the edges under way, beside those that are kept (24 bytes each).
    threads
        Blocks of sources to work on at a time.

    Raises
    ------
    ValueError
        A threshold is out of range.
    MemoryError
        More edges reach the threshold than there is room for.
    """
    if not 0 <= edge_weight_quantile <= 1:
        raise ValueError(
            f"edge_weight_quantile is {edge_weight_quantile}; it lies between 0 and 1, 0.9 is "
            "usual."
        )
    if min_weight < 1:
        raise ValueError(f"min_weight is {min_weight}; an edge has 1 common object at least.")
    table = _index_objects(shares, cuts)
    blocks = list(cut_ranges(table.bound, memory // (threads + 2) // _EDGE_BYTES))

    def count(block: tuple[int, int]) -> tuple[Any, Any]:
        return _count_weights(*block, *table.columns)  # type: ignore[no-any-return]

    by_weight = np.zeros(table.max_weight + 1, np.int64)
    linked = np.zeros(shares.accounts.height, bool)
    for weights, met in map_ahead(blocks, count, n_threads=threads):
        by_weight += weights
        linked |= met
    threshold = _find_threshold(by_weight, edge_weight_quantile)
    least = min_weight if np.isnan(threshold) else max(min_weight, int(np.ceil(threshold)))
    _check_kept(by_weight, least)

    def select(block: tuple[int, int]) -> tuple[Any, Any, Any]:
        return _list_edges(*block, *table.columns, least)  # type: ignore[no-any-return]

    edges = join_edges(map_ahead(blocks, select, n_threads=threads))
    return Projection(
        edges,
        threshold,
        n_all_edges=int(by_weight.sum()),
        n_all_accounts=int(linked.sum()),
    )


def pair_in_bins(
    shares: Shares, cuts: Cuts, *, memory: int = DEFAULT_MEMORY, threads: int = 1
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pairs of shares of one object by two accounts in one bin.

    Parameters
    ----------
    shares, cuts
        From `read_shares` and `cut_shares`.
    memory, threads
        See `gpu_coord.sharing.windows.pair_shares`.

    Yields
    ------
        Rows of the older and of the newer shares, (n_pairs,).
    """
    # The last millisecond of a bin is one short of its width after the first.
    window_ms = 1000 * cuts.interval_seconds - 1
    blocks = pair_shares(shares, window_ms=window_ms, memory=memory, threads=threads)
    for older, newer in blocks:
        together = cuts.bin[older] == cuts.bin[newer]
        yield older[together], newer[together]


def join_described(edges: pl.DataFrame, described: pl.DataFrame) -> pl.DataFrame:
    """Put what the pairs of shares in one bin say beside the common objects.

    Parameters
    ----------
    edges
        Of `project_accounts`.
    described
        From `gpu_coord.sharing.strict.weigh_edges`, of the pairs of `pair_in_bins`.

    Returns
    -------
        All edges. Those of accounts that were never in one bin have 0 ``n_objects`` and
        ``n_pairs``, and null in the other columns.
    """
    described = described.drop(cs.starts_with("weight"))
    joined = edges.join(described, on=["source", "target"], how="left", maintain_order="left")
    return joined.with_columns(
        pl.col("n_objects", "n_pairs").fill_null(0), cs.starts_with("weight").cast(pl.Float64)
    )


def weigh_kinds(shares: Shares, cuts: Cuts, edges: pl.DataFrame) -> pl.DataFrame:
    """Count the common objects of each edge by kind.

    Parameters
    ----------
    shares, cuts, edges
        Those of `project_accounts`.

    Returns
    -------
        The edges and ``weight_<kind>`` of each kind, which sum up to ``weight``.
    """
    kind_of = shares.objects["kind"].cast(pl.String)
    # Row by row, as joins of so many edges would take more memory than the edges.
    columns = []
    for kind in kind_of.unique().sort():
        of_kind = (kind_of == kind).to_numpy()[shares.object]
        counted = count_common(shares, replace(cuts, grouped=cuts.grouped & of_kind), edges)
        columns.append(counted["weight"].cast(pl.Float64).alias(f"weight_{kind}"))
    return edges.with_columns(columns)


def count_common(shares: Shares, cuts: Cuts, ends: pl.DataFrame) -> pl.DataFrame:
    """Count the common objects of some accounts, without listing the edges of all others.

    Parameters
    ----------
    shares, cuts
        Those of `project_accounts`.
    ends
        ``source, target`` (accounts), source < target, ascending by source.

    Returns
    -------
        ``source, target, weight``, row by row; 0 where they have no object in common.
    """
    ends = ends.select("source", "target")
    columns = _index_objects(shares, cuts).columns
    weight = _count_ends(ends["source"].to_numpy(), ends["target"].to_numpy(), *columns)
    return ends.with_columns(weight=pl.Series(weight, dtype=pl.Int64))


def _count_run(object: np.ndarray, bin: np.ndarray) -> Any:
    """Return how many rows are in the bin of each row; bins of an object follow one another."""
    new = np.ones(object.size, bool)
    new[1:] = (object[1:] != object[:-1]) | (bin[1:] != bin[:-1])
    run = np.cumsum(new) - 1
    return np.bincount(run)[run] if run.size else run


@dataclass(frozen=True, slots=True)
class _Table:
    """Which accounts share which objects, both ways round; both ascending."""

    bound: Any  # the most edges of each account as a source, (n_accounts,)
    max_weight: int
    columns: tuple[Any, ...]


def _index_objects(shares: Shares, cuts: Cuts) -> _Table:
    n_accounts, n_objects = shares.accounts.height, shares.objects.height
    key = shares.object[cuts.grouped].astype(np.int64) * n_accounts + shares.account[cuts.grouped]
    object, account = np.divmod(np.unique(key), n_accounts)
    object_start = np.searchsorted(object, np.arange(n_objects + 1))
    by_account = np.argsort(account, kind="stable")
    account_start = np.searchsorted(account[by_account], np.arange(n_accounts + 1))
    # Targets are the accounts behind the source in the lists of its objects.
    n_behind = object_start[object + 1] - np.arange(object.size) - 1
    met = np.bincount(account, n_behind, n_accounts).astype(np.int64)
    bound = np.minimum(met, n_accounts - 1 - np.arange(n_accounts))
    max_weight = int(np.diff(account_start).max(initial=0))
    stop = object_start[object[by_account] + 1]
    columns = (bound, account_start, by_account, stop, account.astype(np.int32), max_weight)
    return _Table(bound, max_weight, columns)


def _find_threshold(by_weight: Any, quantile: float) -> float:
    if not by_weight.any():
        return float("nan")
    weights = Repeated(np.arange(float(by_weight.size)), np.cumsum(by_weight))
    return float(find_quantile(weights, quantile))


def _check_kept(by_weight: Any, least: int) -> None:
    """Refuse edges from a weight on that have no room; counted, not yet listed."""
    n_kept, n_heavier = int(by_weight[least:].sum()), int(by_weight[least + 1 :].sum())
    check_room(
        n_kept,
        bytes_each=_KEPT_BYTES,
        way_out=f"take --min-weight {least + 1}, which leaves {n_heavier:,}, a shorter window or a "
        "time range",
    )


@numba.njit(cache=CACHE, nogil=True)
def _meet_targets(source: int, account_start: Any, place: Any, stop: Any, account: Any,
                  counts: Any, met: Any) -> int:  # fmt: skip
    """Add one to counts[target] for each common object; list the targets, return how many."""
    n_met = 0
    for row in range(account_start[source], account_start[source + 1]):
        for behind in range(place[row] + 1, stop[row]):
            target = account[behind]
            met[n_met] = target
            n_met += counts[target] == 0
            counts[target] += 1
    return n_met


@numba.njit(cache=CACHE, nogil=True)
def _count_weights(first: int, last: int, bound: Any, account_start: Any, place: Any, stop: Any,
                   account: Any, max_weight: int) -> Any:  # fmt: skip
    """Return the edges of the sources first..last-1 by weight, and which accounts they touch."""
    by_weight = np.zeros(max_weight + 1, np.int64)
    linked = np.zeros(bound.size, np.bool_)
    counts, met = np.zeros(bound.size, np.int64), np.empty(bound.size + 1, np.int32)
    for source in range(first, last):
        n_met = _meet_targets(source, account_start, place, stop, account, counts, met)
        for target in met[:n_met]:
            by_weight[counts[target]] += 1
            linked[target] = linked[source] = True
            counts[target] = 0
    return by_weight, linked


@numba.njit(cache=CACHE, nogil=True)
def _count_ends(source: Any, target: Any, bound: Any, account_start: Any, place: Any, stop: Any,
                account: Any, max_weight: int) -> Any:  # fmt: skip
    """Return the common objects of each source and target, ascending by source."""
    weights = np.zeros(source.size, np.int64)
    counts, met = np.zeros(bound.size, np.int64), np.empty(bound.size + 1, np.int32)
    edge = 0
    while edge < source.size:
        one = source[edge]
        n_met = _meet_targets(one, account_start, place, stop, account, counts, met)
        while edge < source.size and source[edge] == one:
            weights[edge] = counts[target[edge]]
            edge += 1
        counts[met[:n_met]] = 0
    return weights


@numba.njit(cache=CACHE, nogil=True)
def _list_edges(first: int, last: int, bound: Any, account_start: Any, place: Any, stop: Any,
                account: Any, max_weight: int, least: int) -> Any:  # fmt: skip
    """Return (source, target, weight) of the edges of the sources first..last-1 from least on."""
    room = bound[first:last].sum()
    sources, targets = np.empty(room, np.int32), np.empty(room, np.int32)
    weights = np.empty(room, np.int64)
    counts, met = np.zeros(bound.size, np.int64), np.empty(bound.size + 1, np.int32)
    n_edges = 0
    for source in range(first, last):
        n_met = _meet_targets(source, account_start, place, stop, account, counts, met)
        met[:n_met].sort()
        for target in met[:n_met]:
            sources[n_edges], targets[n_edges] = source, target
            weights[n_edges] = counts[target]
            n_edges += counts[target] >= least
            counts[target] = 0
    return sources[:n_edges], targets[:n_edges], weights[:n_edges]
