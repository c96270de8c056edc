"""All transition matrices of 206 accounts x 17,184 bins, against the published package."""

import numpy as np

from benchmarks.measure import time_median
from gpu_coord.activity.counts import transition_matrices
from gpu_coord.backend import cpu

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
    return lines
