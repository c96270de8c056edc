"""Shares -> all pairs of shares of one object by two accounts within a window, in blocks.

The one idea: shares are sorted by object and time, so the partners of a share are the rows from
the next one to a limit that only slides forward: cost rows + rows met, whatever the object's size.
"""

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np

from gpu_coord.backend.pairs import CACHE
from gpu_coord.ground.threads import map_ahead
from gpu_coord.sharing.shares import Shares

DEFAULT_MEMORY = 256 << 20
_PAIR_BYTES = 16  # as written by the kernel, and once more while it is handed over
_BLOCK_BYTES = 16 << 20


def pair_shares(
    shares: Shares,
    *,
    window_ms: int,
    loops: bool = False,
    same_content: bool = True,
    memory: int = DEFAULT_MEMORY,
    threads: int = 1,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield all pairs of shares of one object that are no further apart than a window.

    For several windows, take the widest one and keep, for each, the pairs whose gap
    ``shares.time[second] - shares.time[first]`` it allows.

    Parameters
    ----------
    shares
        From `read_shares`.
    window_ms
        Milliseconds, 0 or more, inclusive.
    loops
        Also pairs of one account with itself.
    same_content
        Also pairs of one content id in two accounts: a post is an account and a content. Tools
        that know contents by their id alone leave them out.
    memory
        Bytes that the pairs under way may take; the pairs of one share with all after it are
        never divided.
    threads
        Blocks to work on at a time.

    Yields
    ------
        First rows and second rows (n_pairs,), int32: the first is the older or, at the same time,
        the one with the smaller row. By first row, then second, over all blocks.

    Raises
    ------
    ValueError
        The window is negative.
    """
    if window_ms < 0:
        raise ValueError(f"window_ms is {window_ms}; a window is 0 ms, the same time, or longer.")
    stop = find_window_ends(shares.object, shares.time, window_ms)
    columns = (stop, shares.account, shares.content, int(loops), int(same_content))

    def list_block(block: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        return _list_pairs(*block, *columns)  # type: ignore[no-any-return]

    # One block waits and one is read, beside those that the threads work on.
    n_bytes = max(1, min(memory // (threads + 2), _BLOCK_BYTES))
    for first, second in map_ahead(
        cut_ranges(stop - np.arange(1, stop.size + 1), n_bytes // _PAIR_BYTES),
        list_block,
        n_threads=threads,
    ):
        if first.size:
            yield first, second


def cut_ranges(sizes: np.ndarray, max_size: int) -> Iterator[tuple[int, int]]:
    """Divide rows into ranges of at most a size, or of one row.

    Parameters
    ----------
    sizes
        Of each row: its pairs, say, or the most edges that it can have, (n_rows,).
    max_size
        Of a range.

    Yields
    ------
        First row and one past the last.
    """
    total = np.concatenate([[0], np.cumsum(sizes)])
    first = 0
    while first < sizes.size:
        last = int(np.searchsorted(total, total[first] + max_size, "right")) - 1
        last = max(last, first + 1)
        yield first, last
        first = last


@numba.njit(cache=CACHE, nogil=True)
def find_window_ends(object: Any, time: Any, window_ms: int) -> Any:
    """Return the end of each row's window: one past the last row of its object within it.

    Parameters
    ----------
    object, time
        Ascending by object, then time, (n_shares,).
    window_ms
        Milliseconds, inclusive.

    Returns
    -------
        int64 (n_shares,), ascending.
    """
    n_rows = object.size
    stop = np.empty(n_rows, np.int64)
    end = 0
    for row in range(n_rows):
        end = max(end, row + 1)
        while end < n_rows and object[end] == object[row] and time[end] - time[row] <= window_ms:
            end += 1
        stop[row] = end
    return stop


@numba.njit(cache=CACHE, nogil=True)
def _list_pairs(first: int, last: int, stop: Any, account: Any, content: Any,
                loops: int, same_content: int) -> Any:  # fmt: skip
    """List the pairs of the rows first..last-1 with those after them in their windows."""
    room = 0
    for row in range(first, last):
        room += stop[row] - row - 1
    older, newer = np.empty(room, np.int32), np.empty(room, np.int32)
    n_pairs = 0
    for row in range(first, last):
        for other in range(row + 1, stop[row]):
            # Written always, kept if good: no branch to mispredict.
            older[n_pairs], newer[n_pairs] = row, other
            two_accounts = loops | (account[row] != account[other])
            n_pairs += two_accounts & (same_content | (content[row] != content[other]))
    return older[:n_pairs], newer[:n_pairs]
