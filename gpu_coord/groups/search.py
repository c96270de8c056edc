"""z of pairs -> sets of accounts with the highest sum of z over the root of their number of pairs.

The one idea: peeling, leading eigenvectors and single moves each propose sets; the best is kept,
taken out, and the search begins again. Nothing is tested here.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from gpu_coord.backend.pairs import CACHE
from gpu_coord.groups.scores import Scores

MIN_SIZE = 4
_MAX_SHARE = 3  # a group has at most a third of the accounts
_N_VECTORS = 6
_N_STEPS = 50  # of Lanczos
_N_REFINED = 4
_MAX_MOVES = 60
_REBUILD = 0.98  # keys are stale when the set has shrunk by more than this
_CHUNK_ENTRIES = 5_000_000  # entries visited by one call of a kernel: some 0.1 s
_BREAKDOWN = 1e-9
_PIECE = 2048  # numbers of each vector that are worked on at a time


def search_groups(
    scores: Scores, n_groups: int, *, report: Callable[[], None] = lambda: None
) -> list[Any]:
    """Find disjoint sets of accounts, the most striking first.

    Parameters
    ----------
    scores
        z of pairs.
    n_groups
        The most sets to find.
    report
        Called after each.

    Returns
    -------
        Accounts of each set, ascending; fewer sets where nothing with a positive sum is left.
    """
    alive = np.ones(scores.n_accounts, bool)
    max_size = scores.n_accounts // _MAX_SHARE
    groups: list[Any] = []
    while len(groups) < n_groups and max_size >= MIN_SIZE and alive.sum() >= MIN_SIZE:
        group = _find_best(scores, alive, max_size)
        if group is None:
            break
        groups.append(group)
        alive[group] = False
        report()
    return groups


def measure_set(scores: Scores, accounts: Any) -> float:
    """Return the sum of z of all pairs of a set over the root of their number."""
    sums = np.zeros(scores.n_accounts)
    _add_rows(np.asarray(accounts, np.int32), scores, sums)
    n, members = len(accounts), np.sort(accounts)
    total = sums[members].sum() / 2 + (n - 1) * scores.base[members].sum() / 2
    return float(total / np.sqrt(n * (n - 1) / 2))


def _find_best(scores: Scores, alive: Any, max_size: int) -> Any:
    proposals = [_peel(scores, alive, max_size)]
    for vector in _find_vectors(scores, alive):
        for sign in (1, -1):
            order = np.argsort(-sign * vector, kind="stable")
            proposals.append(_cut_prefix(scores, order[alive[order]], max_size))
    proposals.sort(key=lambda proposal: -proposal[0])
    refined = [_move(scores, alive, group, max_size) for _, group in proposals[:_N_REFINED]]
    score, best = max(refined, key=lambda proposal: proposal[0])
    return np.sort(best) if score > 0 else None


# --- peeling -------------------------------------------------------------------------------


def _peel(scores: Scores, alive: Any, max_size: int) -> tuple[float, Any]:
    """Take out the account with the least sum, again and again; return the best set passed."""
    members = np.flatnonzero(alive).astype(np.int32)
    sums = np.zeros(scores.n_accounts)
    _add_rows(members, scores, sums)
    heap, place = members.copy(), np.full(scores.n_accounts, -1, np.int32)
    removed = np.empty(members.size, np.int32)
    value = np.empty(members.size + 1)
    keys = np.empty(scores.n_accounts)
    # Size, size when the keys were made, size at the end; sums of rows and of bases.
    state = np.array([members.size, 0, min(MIN_SIZE - 1, members.size)], np.int64)
    totals = np.array([sums[members].sum() / 2, scores.base[members].sum()])
    while state[0] > state[2]:
        _peel_some(scores, sums, heap, place, keys, removed, value, state, totals)
    sizes = np.arange(MIN_SIZE, min(max_size, members.size) + 1)
    best = sizes[np.argmax(value[sizes] / np.sqrt(sizes * (sizes - 1) / 2))]
    left = np.concatenate([removed[: members.size - state[0]], heap[: state[0]]])
    return measure_set(scores, left[members.size - best :]), left[members.size - best :]


@numba.njit(cache=CACHE, nogil=True)
def _add_rows(accounts: Any, scores: Scores, sums: Any) -> None:
    """Add the rows of accounts to the sums of the others."""
    for account in accounts:
        for entry in range(scores.row_start[account], scores.row_start[account + 1]):
            sums[scores.column[entry]] += scores.value[entry]


@numba.njit(cache=CACHE, nogil=True)
def _sift_up(heap: Any, place: Any, keys: Any, position: int) -> None:
    account = heap[position]
    while position > 0:
        above = (position - 1) // 2
        if keys[heap[above]] <= keys[account]:
            break
        heap[position] = heap[above]
        place[heap[position]] = position
        position = above
    heap[position] = account
    place[account] = position


@numba.njit(cache=CACHE, nogil=True)
def _sift_down(heap: Any, size: int, place: Any, keys: Any, position: int) -> None:
    account = heap[position]
    while True:
        below = 2 * position + 1
        if below >= size:
            break
        if below + 1 < size and keys[heap[below + 1]] < keys[heap[below]]:
            below += 1
        if keys[account] <= keys[heap[below]]:
            break
        heap[position] = heap[below]
        place[heap[position]] = position
        position = below
    heap[position] = account
    place[account] = position


@numba.njit(cache=CACHE, nogil=True)
def _peel_some(scores: Scores, sums: Any, heap: Any, place: Any, keys: Any, removed: Any,
               value: Any, state: Any, totals: Any) -> None:  # fmt: skip
    """Take out accounts until enough entries were visited; value[n] is the sum of a set of n."""
    row_start, column, entry_value, base = scores
    size, made, last = state
    n = removed.size
    value[size] = totals[0] + (size - 1) * totals[1] / 2
    n_visited = 0
    while size > last and n_visited < _CHUNK_ENTRIES:
        if size < made * _REBUILD or made == 0:
            # A row's sum within the set, less what is the same for all.
            for position in range(size):
                account = heap[position]
                place[account] = position
                keys[account] = sums[account] + (size - 2) * base[account] / 2
            for position in range(size // 2, -1, -1):
                _sift_down(heap, size, place, keys, position)
            made = size
            n_visited += size
        account = heap[0]
        size -= 1
        removed[n - size - 1] = account
        totals[0] -= sums[account]
        totals[1] -= base[account]
        place[account] = -1
        if size > 0:
            heap[0] = heap[size]
            _sift_down(heap, size, place, keys, np.int64(0))
        for entry in range(row_start[account], row_start[account + 1]):
            other = column[entry]
            if place[other] < 0:
                continue
            sums[other] -= entry_value[entry]
            keys[other] -= entry_value[entry]
            if entry_value[entry] > 0:
                _sift_up(heap, place, keys, np.int64(place[other]))
            else:
                _sift_down(heap, size, place, keys, np.int64(place[other]))
        n_visited += row_start[account + 1] - row_start[account] + 20
        value[size] = totals[0] + (size - 1) * totals[1] / 2
    state[0], state[1] = size, made


# --- eigenvectors --------------------------------------------------------------------------


def _find_vectors(scores: Scores, alive: Any) -> Any:
    """Return vectors near the leading eigenvectors of z, by Lanczos' iteration, as rows.

    Own loops, not ARPACK: the same sums in the same order on any number of threads.
    """
    n_steps = min(_N_STEPS, int(alive.sum()))
    basis = np.zeros((n_steps + 1, scores.n_accounts))
    basis[0] = alive / np.sqrt(alive.sum())
    diagonal, beside = np.zeros(n_steps), np.zeros(n_steps)
    for step in range(n_steps):
        product = np.zeros(scores.n_accounts)
        _multiply(scores, alive, basis[step], product)
        # What is left of the last two first: the pass over all then only mends rounding.
        diagonal[step] = _project_out(basis[max(step - 1, 0) : step + 1], product)
        _project_out(basis[: step + 1], product)
        beside[step] = np.sqrt((product**2).sum())
        if beside[step] < _BREAKDOWN:
            n_steps = step + 1
            break
        basis[step + 1] = product / beside[step]
    small = np.diag(diagonal[:n_steps])
    small += np.diag(beside[: n_steps - 1], 1) + np.diag(beside[: n_steps - 1], -1)
    _, vectors = np.linalg.eigh(small)
    leading = vectors[:, ::-1][:, :_N_VECTORS]
    return np.einsum("sv,sa->va", leading, basis[:n_steps])


@numba.njit(cache=CACHE, nogil=True)
def _multiply(scores: Scores, alive: Any, vector: Any, product: Any) -> None:
    """Write z @ vector; the vector is 0 where an account is not alive."""
    row_start, column, value, base = scores
    total, based = vector.sum(), (base * vector).sum()
    for row in range(product.size):
        if alive[row]:
            entries = 0.0
            for entry in range(row_start[row], row_start[row + 1]):
                entries += value[entry] * vector[column[entry]]
            entries += 0.5 * (base[row] * (total - vector[row]) + based - base[row] * vector[row])
            product[row] = entries


@numba.njit(cache=CACHE, nogil=True, fastmath=True)
def _project_out(basis: Any, vector: Any) -> float:
    """Make a vector orthogonal to the basis; return its share in the last of it.

    In pieces that stay in the cache; fastmath adds in another order, but in the same one always.
    """
    n_rows, n = basis.shape
    share = np.zeros(n_rows)
    for first in range(0, n, _PIECE):
        last = min(first + _PIECE, n)
        for row in range(n_rows):
            product = 0.0
            for place in range(first, last):
                product += basis[row, place] * vector[place]
            share[row] += product
    for first in range(0, n, _PIECE):
        last = min(first + _PIECE, n)
        for row in range(n_rows):
            part = share[row]
            for place in range(first, last):
                vector[place] -= part * basis[row, place]
    return float(share[n_rows - 1])


# --- sets ----------------------------------------------------------------------------------


def _cut_prefix(scores: Scores, order: Any, max_size: int) -> tuple[float, Any]:
    """Return the best of the sets that an order begins with."""
    order = order[:max_size].astype(np.int32)
    value = _sum_prefixes(order, scores)
    sizes = np.arange(MIN_SIZE, order.size + 1)
    value = value[MIN_SIZE - 1 :] / np.sqrt(sizes * (sizes - 1) / 2)
    best = int(np.argmax(value))
    return float(value[best]), order[: sizes[best]]


@numba.njit(cache=CACHE, nogil=True)
def _sum_prefixes(order: Any, scores: Scores) -> Any:
    row_start, column, value, base = scores
    sums = np.zeros(base.size)
    totals = np.empty(order.size)
    total, based = 0.0, 0.0
    for position in range(order.size):
        account = order[position]
        total += sums[account]
        based += base[account]
        totals[position] = total + position * based / 2
        for entry in range(row_start[account], row_start[account + 1]):
            sums[column[entry]] += value[entry]
    return totals


def _move(scores: Scores, alive: Any, group: Any, max_size: int) -> tuple[float, Any]:
    """Add or take out the one account that helps most, as long as one does."""
    inside = np.zeros(scores.n_accounts, bool)
    inside[group] = True
    _move_accounts(scores, alive, inside, max_size)
    moved = np.flatnonzero(inside)
    return measure_set(scores, moved), moved


@numba.njit(cache=CACHE, nogil=True)
def _move_accounts(scores: Scores, alive: Any, inside: Any, max_size: int) -> None:
    row_start, column, value, base = scores
    sums = np.zeros(base.size)
    _add_rows(np.flatnonzero(inside).astype(np.int32), scores, sums)
    size, based = inside.sum(), base[inside].sum()
    total = sums[inside].sum() / 2 + (size - 1) * based / 2
    for _ in range(_MAX_MOVES):
        best, best_account, best_change = total / np.sqrt(size * (size - 1) / 2), -1, 0.0
        for account in range(base.size):
            if not alive[account]:
                continue
            if inside[account]:
                change = -(sums[account] + ((size - 2) * base[account] + based) / 2)
                new_size = size - 1
            else:
                change = sums[account] + (size * base[account] + based) / 2
                new_size = size + 1
            if new_size < MIN_SIZE or new_size > max_size:
                continue
            score = (total + change) / np.sqrt(new_size * (new_size - 1) / 2)
            if score > best * (1 + 1e-12) + 1e-12:
                best, best_account, best_change = score, account, change
        if best_account < 0:
            break
        sign = -1 if inside[best_account] else 1
        inside[best_account] = sign > 0
        total += best_change
        size += sign
        based += sign * base[best_account]
        for entry in range(row_start[best_account], row_start[best_account + 1]):
            sums[column[entry]] += sign * value[entry]
