"""A way to list pairs of shares -> their counts, and all pairs of some accounts at a time.

The one idea: pairs stream by twice at most, once to be counted and, where they have no room or go
to other processes, once more for each range of accounts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_coord.backend import choose
from gpu_coord.results.room import Room
from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.strict import Blocks, join_blocks
from gpu_coord.sharing.windows import cut_ranges

# A pair while it is weighed: its rows, its key and its place, and some columns of it.
_PAIR_BYTES = 128
# Of an edge while it is tested and linked, beside its row in the table of edges.
_EDGE_BYTES = 200
_WAY_OUT = "choose a shorter window, a larger --min-participation or a time range"


def check_room(
    n_edges: int,
    *,
    room: Room | None = None,
    bytes_each: int = _EDGE_BYTES,
    way_out: str = _WAY_OUT,
) -> None:
    """Refuse edges that the tests and the network have no memory for, before it is exhausted.

    Parameters
    ----------
    n_edges
        Found so far.
    room
        Of the command; by default what is free.
    bytes_each
        What an edge takes from here on.
    way_out
        What the user may do, the end of a sentence.

    Raises
    ------
    MemoryError
        There are too many.
    """
    if room is not None:
        found = f"{n_edges:,} edges, found so far,"
        room.require(n_edges * bytes_each, found, way_out=way_out, is_more=True)
    needed, free = n_edges * bytes_each, choose("cpu").free_memory()
    if needed > free:
        raise MemoryError(
            f"{n_edges:,} edges were found so far, which take {needed / 1e9:.1f} GB more, and "
            f"{free / 1e9:.1f} GB are free; {way_out}."
        )


@dataclass(frozen=True)
class Pairs:
    """Pairs of shares, counted; listed again as often as they are needed, or held."""

    shares: Shares
    list_pairs: Callable[[], Blocks]
    room: int  # pairs that may be weighed at once
    by_account: np.ndarray  # as the one with the smaller row, (n_accounts,)
    by_object: np.ndarray  # (n_objects,)
    is_paired: np.ndarray  # which shares are in a pair, (n_shares,)
    held: list[tuple[np.ndarray, np.ndarray]] | None  # all of them, where there is room

    @property
    def n_pairs(self) -> int:
        """All pairs of shares."""
        return int(self.by_object.sum())

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"held": None}  # another process lists them again

    def repeat(self) -> Blocks:
        """Yield all pairs once more, in any order."""
        yield from self.list_pairs() if self.held is None else self.held

    def plan(self, *, n_parts: int = 1) -> list[tuple[int, int]]:
        """Cut the accounts into ranges whose pairs have room, in about as many parts at least."""
        if self.held is not None and (n_parts == 1 or not self.n_pairs):
            return [(0, self.by_account.size)]
        most = -(-int(self.by_account.sum()) // n_parts)
        return list(cut_ranges(self.by_account, min(self.room, max(1, most))))

    def take(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs of a range of accounts, by the one with the smaller row."""
        if self.held is not None and last - first == self.by_account.size:
            return join_blocks(self.held)
        return join_blocks(self._take_accounts(first, last))

    def _take_accounts(self, first: int, last: int) -> Blocks:
        """Yield the pairs whose account with the smaller row is in a range."""
        for older, newer in self.repeat():
            smaller = _find_smaller(self.shares, older, newer)
            kept = (smaller >= first) & (smaller < last)
            yield older[kept], newer[kept]


def count_pairs(
    shares: Shares,
    list_pairs: Callable[[], Blocks],
    *,
    memory: int,
    see: Callable[[np.ndarray, np.ndarray], None] | None = None,
) -> Pairs:
    """Count pairs of shares while another looks at them, too.

    Parameters
    ----------
    shares
        From `read_shares`.
    list_pairs
        Yields blocks of pairs (older, newer), ascending by object.
    memory
        Bytes that the pairs weighed at once may take; those of one account are never divided.
    see
        Called with each block.
    """
    room = max(1, memory // _PAIR_BYTES)
    by_account = np.zeros(shares.accounts.height, np.int64)
    by_object = np.zeros(shares.objects.height, np.int64)
    is_paired = np.zeros(shares.n_shares, bool)
    held: list[tuple[np.ndarray, np.ndarray]] | None = []
    n_pairs = 0
    for older, newer in list_pairs():
        by_account += np.bincount(_find_smaller(shares, older, newer), minlength=by_account.size)
        by_object += np.bincount(shares.object[older], minlength=by_object.size)
        is_paired[older] = is_paired[newer] = True
        n_pairs += older.size
        if held is not None:
            # Copies: a block may be a view of more than its pairs.
            held.append((older.copy(), newer.copy()))
        held = None if n_pairs > room else held
        if see is not None:
            see(older, newer)
    return Pairs(shares, list_pairs, room, by_account, by_object, is_paired, held)


def _find_smaller(shares: Shares, older: np.ndarray, newer: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum(shares.account[older], shares.account[newer]))
