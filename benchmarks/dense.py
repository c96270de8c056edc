"""All transition matrices of 206 accounts x 17,184 bins, against the published package."""

from statistics import median

import numpy as np

from benchmarks.measure import median_ratio, time_in_turn, time_median
from gpu_coord.activity.counts import transition_matrices
from gpu_coord.backend import cpu
from gpu_coord.backend.pairs import _count_common_serial, _pack_bits

N_ACCOUNTS, N_BINS = 206, 17_184


def run(*, n_published: int = N_ACCOUNTS**2) -> list[str]:
    """Return lines of a report; fewer published pairs are timed and scaled up."""
    import itertools
    import time

    from influence_model.learning import learn_state_transition_matrix

    active = (np.random.default_rng(0).random((N_ACCOUNTS, N_BINS)) < 0.02).astype(np.uint8)
    series = active.astype(int).tolist()
    start = time.perf_counter()
    published = [
        learn_state_transition_matrix(series[i], series[j], 2, 2)
        for i, j in itertools.islice(itertools.product(range(N_ACCOUNTS), repeat=2), n_published)
    ]
    seconds = (time.perf_counter() - start) * N_ACCOUNTS**2 / n_published
    ours = transition_matrices(active).reshape(-1, 2, 2)
    np.testing.assert_allclose(ours[:n_published], np.array(published), rtol=1e-12)
    lines = [
        f"dense: {N_ACCOUNTS**2:,} matrices of {N_BINS:,} bins; published package {seconds:.0f} s"
        + ("" if n_published == N_ACCOUNTS**2 else f" (scaled up from {n_published} pairs)")
    ]
    for threads in (1, None):
        backend = cpu(threads=threads)
        mine = time_median(lambda backend=backend: transition_matrices(active, backend=backend), 21)
        lines.append(
            f"dense: gpu_coord, {threads or 'all'} threads: {1000 * mine:.2f} ms, "
            f"{seconds / mine:,.0f} x faster"
        )
    return [*lines, _compare_with_floor(active)]


def _compare_with_floor(active: np.ndarray) -> str:
    """Time a bare call against counting the bits that every two rows of words have in common."""
    words = _pack_bits(active[None, :, :-1]), _pack_bits(active[None, :, 1:])
    bare, floor = time_in_turn(
        lambda: transition_matrices(active), lambda: _count_common_serial(*words), n_rounds=21
    )
    return (
        f"dense: a call without a backend: {1000 * median(bare):.2f} ms, "
        f"{median_ratio(bare, floor):.1f} x counting the common bits of packed rows alone"
    )
