"""A way to list pairs of shares -> their counts, and all pairs of some accounts at a time.

The one idea: pairs stream by twice at most, once to be counted and, where they have no room, once
more for each range of accounts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpu_coord.backend import choose
from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.strict import BYTES_PER_PAIR, Blocks, join_blocks, take_accounts
from gpu_coord.sharing.windows import cut_ranges

# Of an edge while it is tested and linked, beside its row in the table of edges.
_EDGE_BYTES = 200
_WAY_OUT = "choose a shorter window, a larger --min-participation or a time range"


def check_room(n_edges: int, *, bytes_each: int = _EDGE_BYTES, way_out: str = _WAY_OUT) -> None:
    """Refuse edges that the tests and the network have no memory for, before it is exhausted.

    Parameters
    ----------
    n_edges
        Found so far.
    bytes_each
        What an edge takes from here on.
    way_out
        What the user may do, the end of a sentence.

    Raises
    ------
    MemoryError
        There are too many.
    """
    needed, free = n_edges * bytes_each, choose("cpu").free_memory()
    if needed > free:
        raise MemoryError(
            f"{n_edges:,} edges were found so far, which take {needed / 1e9:.1f} GB more, and "
            f"{free / 1e9:.1f} GB are free; {way_out}."
        )


@dataclass(frozen=True)
class PairCounts:
    """What one pass over the pairs counts, and the pairs themselves where there is room."""

    by_account: np.ndarray  # as the one with the smaller row, (n_accounts,)
    by_object: np.ndarray  # (n_objects,)
    is_paired: np.ndarray  # which shares are in a pair, (n_shares,)
    held: list[tuple[np.ndarray, np.ndarray]] | None

    @property
    def n_pairs(self) -> int:
        """All pairs of shares."""
        return int(self.by_object.sum())


@dataclass(frozen=True)
class PairStream:
    """Pairs of shares, listed as often as they are needed."""

    shares: Shares
    list_pairs: Callable[[], Blocks]
    memory: int  # bytes that the pairs of a range of accounts may take

    @property
    def room(self) -> int:
        """Pairs that may be weighed at once."""
        return max(1, self.memory // BYTES_PER_PAIR)

    def count(self, see: Callable[[np.ndarray, np.ndarray], None]) -> PairCounts:
        """Count the pairs while another looks at them, too."""
        shares = self.shares
        by_account = np.zeros(shares.accounts.height, np.int64)
        by_object = np.zeros(shares.objects.height, np.int64)
        is_paired = np.zeros(shares.n_shares, bool)
        held: list[tuple[np.ndarray, np.ndarray]] | None = []
        n_pairs = 0
        for older, newer in self.list_pairs():
            smaller = np.minimum(shares.account[older], shares.account[newer])
            by_account += np.bincount(smaller, minlength=by_account.size)
            by_object += np.bincount(shares.object[older], minlength=by_object.size)
            is_paired[older] = is_paired[newer] = True
            n_pairs += older.size
            if held is not None:
                # Copies: a block may be a view of more than its pairs.
                held.append((older.copy(), newer.copy()))
            held = None if n_pairs > self.room else held
            see(older, newer)
        return PairCounts(by_account, by_object, is_paired, held)

    def repeat(self, counts: PairCounts) -> Blocks:
        """Yield all pairs once more, in any order."""
        yield from self.list_pairs() if counts.held is None else counts.held

    def gather(
        self, counts: PairCounts, report: Callable[[int, int], None] | None = None
    ) -> Blocks:
        """Yield all pairs of a range of accounts at a time, accounts ascending.

        Parameters
        ----------
        counts
            From `count`.
        report
            Called with the pairs gathered so far, and with all.
        """
        if counts.held is not None:
            yield join_blocks(counts.held)
            return
        n_until = np.cumsum(counts.by_account)
        for first, last in cut_ranges(counts.by_account, self.room):
            yield join_blocks(take_accounts(self.shares, self.list_pairs(), first, last))
            if report is not None:
                report(int(n_until[last - 1]), counts.n_pairs)
