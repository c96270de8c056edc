"""Shares -> directed counts of messages, as the Coordination Network Toolkit of QUT has them.

The weight of A -> B is the number of A's messages that have a share of the same object by B within
the window, before or after: directed, not temporal. The one idea: one row of counters per source,
so that no pair of messages is ever stored.
"""

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import polars as pl
import polars.selectors as cs

from gpu_coord.backend.pairs import CACHE
from gpu_coord.ground.threads import map_ahead
from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.windows import DEFAULT_MEMORY, cut_ranges, find_window_ends

_EDGE_BYTES = 16  # of an edge as the kernel writes it, and once more while it is handed over


def count_messages(
    shares: Shares,
    *,
    window_ms: int,
    min_weight: int = 1,
    loops: bool = False,
    memory: int = DEFAULT_MEMORY,
    threads: int = 1,
) -> pl.DataFrame:
    """Count the messages of each account that another account's messages are near to.

    A message is an (account, content); two messages with one content id are one message in the
    toolkit and are never near one another.

    Parameters
    ----------
    shares
        From `read_shares`.
    window_ms
        Milliseconds, 0 or more, inclusive; the toolkit's command takes 1 s unless told.
    min_weight
        Edges of fewer messages are left out; the toolkit's command takes 2 unless told.
    loops
        Also accounts near themselves, through two different messages. Version 1.5.2 of the
        toolkit holds every message near itself as well; later ones, and this function, do not.
    memory
        Bytes for the edges under way, beside those that are kept (16 bytes each).
    threads
        Blocks of sources to work on at a time.

    Returns
    -------
        ``source, target`` (accounts), ascending; ``weight``, distinct messages of the source.

    Raises
    ------
    ValueError
        The window is negative, or the smallest weight is not positive.
    """
    if window_ms < 0:
        raise ValueError(f"window_ms is {window_ms}; a window is 0 ms, the same time, or longer.")
    if min_weight < 1:
        raise ValueError(f"min_weight is {min_weight}; an edge has 1 message at least.")
    stop = find_window_ends(shares.object, shares.time, window_ms)
    # The first row that reaches each is the first of its object no more than a window before it.
    start = np.searchsorted(stop, np.arange(stop.size), "right")
    n_accounts = shares.accounts.height
    # One key sorts ten times faster than two; the order of a message's own rows is of no account.
    message = shares.account.astype(np.int64) * shares.contents.len() + shares.content
    order = np.argsort(message)
    first_row = np.searchsorted(shares.account[order], np.arange(n_accounts + 1))
    n_met = np.bincount(shares.account, stop - start - 1, n_accounts).astype(np.int64)
    bound = np.minimum(n_met, n_accounts)
    columns = (bound, first_row, order, start, stop, shares.account, shares.content)

    def count(block: tuple[int, int]) -> tuple[Any, Any, Any]:
        return _count_block(*block, *columns, min_weight, loops)  # type: ignore[no-any-return]

    blocks = cut_ranges(bound, memory // (threads + 2) // _EDGE_BYTES)
    return join_edges(map_ahead(blocks, count, n_threads=threads))


def join_described(messages: pl.DataFrame, described: pl.DataFrame) -> pl.DataFrame:
    """Put what the pairs of shares say beside the messages, both ways round.

    Parameters
    ----------
    messages
        From `count_messages`.
    described
        From `gpu_coord.sharing.strict.weigh_edges`, of the pairs within the same window.

    Returns
    -------
        All edges; accounts near themselves have null in the columns of pairs.
    """
    described = described.drop(cs.starts_with("weight"))
    reverse = described.select(
        pl.all().exclude("source", "target", "n_posts_source", "n_posts_target", "source_first"),
        source="target",
        target="source",
        n_posts_source="n_posts_target",
        n_posts_target="n_posts_source",
        source_first=1 - pl.col("source_first"),
    )
    both = pl.concat([described, reverse.select(described.columns)])
    return messages.with_columns(cs.starts_with("weight").cast(pl.Float64)).join(
        both, on=["source", "target"], how="left", maintain_order="left"
    )


def weigh_kinds(shares: Shares, messages: pl.DataFrame, **choices: Any) -> pl.DataFrame:
    """Count the messages of each edge by the kind of the object that they are near on.

    Parameters
    ----------
    shares, messages
        Those of `count_messages`.
    **choices
        Those of `count_messages`; the smallest weight is left out.

    Returns
    -------
        The edges and ``weight_<kind>`` of each kind; a message near on two kinds counts in both.
    """
    choices["min_weight"] = 1
    kind_of = shares.objects["kind"].cast(pl.String)
    kinds = kind_of.unique().sort()
    if len(kinds) == 1:
        return messages.with_columns(pl.col("weight").cast(pl.Float64).alias(f"weight_{kinds[0]}"))
    for kind in kinds:
        of_kind = shares.select((kind_of == kind).to_numpy()[shares.object])
        part = count_messages(of_kind, **choices).rename({"weight": f"weight_{kind}"})
        messages = messages.join(part, on=["source", "target"], how="left", maintain_order="left")
    by_kind = pl.col([f"weight_{kind}" for kind in kinds])
    return messages.with_columns(by_kind.fill_null(0).cast(pl.Float64))


def join_edges(blocks: Iterator[tuple[Any, Any, Any]]) -> pl.DataFrame:
    """Join blocks of (source, target, weight) into one frame of edges."""
    empty = (np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int64))
    columns = zip(empty, *blocks, strict=True)
    names = ("source", "target", "weight")
    return pl.DataFrame({n: np.concatenate(c) for n, c in zip(names, columns, strict=True)})


@numba.njit(cache=CACHE, nogil=True)
def _count_block(first: int, last: int, bound: Any, first_row: Any, order: Any, start: Any,
                 stop: Any, account: Any, content: Any, min_weight: int,
                 loops: bool) -> Any:  # noqa: FBT001  # fmt: skip
    """Count the messages of the sources first..last-1; return (source, target, weight)."""
    room = bound[first:last].sum()
    sources, targets = np.empty(room, np.int32), np.empty(room, np.int32)
    weights = np.empty(room, np.int64)
    counts, seen = np.zeros(bound.size, np.int64), np.zeros(bound.size, np.int64)
    met = np.empty(bound.size + 1, np.int32)  # written one ahead
    message, n_edges = 0, 0
    for source in range(first, last):
        n_met = 0
        for place in range(first_row[source], first_row[source + 1]):
            row = order[place]
            # Rows of one account are sorted by content.
            if place == first_row[source] or content[row] != content[order[place - 1]]:
                message += 1
            for other in range(start[row], stop[row]):
                target = account[other]
                if (content[other] == content[row] or seen[target] == message
                        or (target == source and not loops)):  # fmt: skip
                    continue
                seen[target] = message
                met[n_met] = target
                n_met += counts[target] == 0
                counts[target] += 1
        met[:n_met].sort()
        for target in met[:n_met]:
            sources[n_edges], targets[n_edges] = source, target
            weights[n_edges] = counts[target]
            n_edges += counts[target] >= min_weight
            counts[target] = 0
    return sources[:n_edges], targets[:n_edges], weights[:n_edges]
