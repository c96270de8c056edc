"""Does this machine compute what it should? Each operation of a backend against plain definitions.

In: a backend. Out: a report of checks, for a bug report. Expected values come from loops and dense
products written here for small data, and from the CPU where only rounding may differ.
"""

import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gpu_coord import __version__
from gpu_coord.activity.cells import Activity, build_activity
from gpu_coord.activity.counts import (
    PairCounts,
    count_margins,
    count_pairs,
    count_transitions,
    index_cells,
    plan_blocks,
    transition_matrices,
)
from gpu_coord.activity.settings import WeightRule
from gpu_coord.activity.weights import Weigher
from gpu_coord.backend import Backend, cpu
from gpu_coord.chance.strata import expect_pairs, stratify
from gpu_coord.chance.tests import assess_pairs
from gpu_coord.detection.run import detect
from gpu_coord.network.network import build_network
from gpu_coord.store.store import Store

if TYPE_CHECKING:
    from gpu_coord.chance.nulls import Null

_RTOL = 1e-9  # sums of floats in another order


@dataclass(frozen=True, slots=True)
class Check:
    """What became of one check."""

    name: str
    passed: bool
    seconds: float
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of a backend, and what it ran on."""

    backend: str
    device: str
    versions: dict[str, str]
    checks: list[Check]
    gpu_coord: str = __version__
    system: str = field(default_factory=platform.platform)

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {"passed": self.passed, **asdict(self)}


def run_checks(backend: Backend, progress: Callable[[str, int, int], None] | None = None) -> Report:
    """Run all checks on a backend; a failure is noted and the next one runs.

    Parameters
    ----------
    backend
        What to check.
    progress
        Called with the name of the check, the checks done and their number.
    """
    checks = []
    for n_done, (name, check) in enumerate(CHECKS.items()):
        if progress:
            progress(name, n_done, len(CHECKS))
        checks.append(_run_check(name, check, backend))
    if progress:
        progress("done", len(CHECKS), len(CHECKS))
    return Report(backend.name, backend.device, backend.versions, checks)


def _run_check(name: str, check: Callable[[Backend], None], backend: Backend) -> Check:
    start, failure = time.perf_counter(), ""
    try:
        check(backend)
    except Exception as error:  # noqa: BLE001 - any failure is a finding, and is reported
        failure = f"{type(error).__name__}: {error}".strip()[:2000]
    return Check(name, not failure, round(time.perf_counter() - start, 3), failure)


# --- the checks ------------------------------------------------------------------------------


def check_dense_counts(backend: Backend) -> None:
    """Count transitions at sizes around the edges of words and tiles."""
    rng = np.random.default_rng(0)
    for shape in [(1, 2), (2, 63), (3, 64), (5, 65), (33, 129), (130, 257), (7, 4099)]:
        active = (rng.random((2, *shape)) < 0.3).astype(np.uint8)
        for lag in (0, 1):
            counts = count_transitions(backend.xp.asarray(active), lag, backend=backend)
            found, expected = backend.to_host(counts), _count_by_products(active, lag)
            np.testing.assert_array_equal(found, expected, f"shape {shape}, lag {lag}")


def _count_by_products(active: np.ndarray, lag: int) -> np.ndarray:
    source, target = active[..., : active.shape[-1] - lag], active[..., lag:]
    counts = np.empty((*active.shape[:-1], active.shape[-2], 2, 2), np.int64)
    for before in (0, 1):
        for after in (0, 1):
            left, right = (source == before).astype(np.int64), (target == after).astype(np.int64)
            counts[..., before, after] = left @ right.swapaxes(-1, -2)
    return counts


def check_matrices(backend: Backend) -> None:
    """Compute the matrices of a leader and a follower, and of an account that is never active."""
    active = np.array([[1, 0, 0, 1, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]], np.uint8)
    found = backend.to_host(transition_matrices(backend.xp.asarray(active), backend=backend))
    np.testing.assert_array_equal(found[0, 1], [[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(found[0, 2], [[1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(found[2, 0], [[0.75, 0.25], [np.nan, np.nan]])


def check_pair_counts(backend: Backend) -> None:
    """Count coincidences of all pairs, in blocks of all sizes, with a hub that meets everyone."""
    for seed, (n_accounts, n_cells) in enumerate([(2, 3), (3, 17), (65, 900), (257, 4000)]):
        activity = _draw_activity(backend, n_accounts, n_cells, seed)
        index = index_cells(activity)
        for lag in (0, 1, 3):
            margins = count_margins(index, lag)
            expected = _count_pairs_slowly(activity, lag)
            for min_support in (1, 3):
                for memory in (1, 20_000, 1 << 30):
                    found: dict[tuple[int, int], int] = {}
                    size = {"min_support": min_support, "memory": memory}
                    for block in plan_blocks(index, [margins], **size):
                        pairs = count_pairs(index, margins, *block, min_support=min_support)
                        columns = (pairs.source, pairs.target, pairs.support)
                        rows = zip(*(backend.to_host(c).tolist() for c in columns), strict=True)
                        found |= {(i, j): n for i, j, n in rows}
                    wanted = {pair: n for pair, n in expected.items() if n >= min_support}
                    _expect(found == wanted, f"{n_accounts} accounts, lag {lag}, memory {memory}")


def _draw_activity(backend: Backend, n_accounts: int, n_cells: int, seed: int) -> Activity:
    """Return random cells of 4 entities and 24 bins, and one account active in all of them."""
    rng = np.random.default_rng(seed)
    n_entities, n_bins = 4, 24
    drawn = np.unique(rng.integers(n_entities * n_bins * n_accounts, size=n_cells))
    hub = np.arange(n_entities * n_bins) * n_accounts + n_accounts // 2
    cell = np.union1d(drawn, hub)
    return Activity(
        backend=backend,
        bin_seconds=3600,
        first_bin=0,
        n_bins=n_bins,
        kinds=("hashtag", "url"),
        missing_kinds=(),
        accounts=pl.DataFrame({"account_id": [f"a{i}" for i in range(n_accounts)]}),
        entities=pl.DataFrame({"kind": ["hashtag", "hashtag", "url", "url"]}),
        entity=backend.xp.asarray((cell // n_accounts // n_bins).astype(np.int32)),
        bin=backend.xp.asarray(cell // n_accounts % n_bins),
        account=backend.xp.asarray((cell % n_accounts).astype(np.int32)),
        n_dropped={},
    )


def _fill_cells(activity: Activity) -> np.ndarray:
    active = np.zeros((activity.n_entities, activity.n_accounts, activity.n_bins), np.int64)
    cells = (activity.entity, activity.account, activity.bin)
    active[tuple(map(activity.backend.to_host, cells))] = 1
    return active


def _count_pairs_slowly(activity: Activity, lag: int) -> dict[tuple[int, int], int]:
    active = _fill_cells(activity)
    both = active[:, :, : activity.n_bins - lag] @ active[:, :, lag:].swapaxes(1, 2)
    total = both.sum(axis=0)
    np.fill_diagonal(total, 0)
    return {(int(i), int(j)): int(total[i, j]) for i, j in zip(*total.nonzero(), strict=True)}


def check_weights(backend: Backend) -> None:
    """Weigh pairs under every convention, against the CPU."""
    rules = [WeightRule(), WeightRule(measure="frobenius"), WeightRule(shrink=2.5)]
    rules += [WeightRule(undefined=choice) for choice in ("zero", "skip")]
    rules += [
        WeightRule(denominator=choice)
        for choice in ("union", "intersection", "source", "idf", "none")
    ]
    for rule in rules:
        found, expected = (_weigh(each, rule) for each in (backend, cpu(threads=1)))
        np.testing.assert_allclose(found, expected, rtol=_RTOL, atol=1e-12, err_msg=str(rule))


def _weigh(backend: Backend, rule: WeightRule) -> np.ndarray:
    activity = _draw_activity(backend, 65, 900, seed=2)
    index = index_cells(activity)
    margins = count_margins(index, 1)
    weigher = Weigher(activity, index, margins, rule)
    pairs = count_pairs(index, margins, 0, index.n_accounts, min_support=1)
    weights = weigher.weigh(pairs, memory=10_000)
    return np.column_stack([backend.to_host(weights.weight), backend.to_host(weights.by_kind)])


def check_expected_counts(backend: Backend) -> None:
    """Expect coincidences by blocks of hours, also of pairs that share nothing."""
    nulls: tuple[tuple[Null, int], ...] = (("day", 24), ("six_hours", 6))
    for seed, (n_accounts, n_cells) in enumerate([(2, 3), (65, 900), (257, 4000)]):
        activity = _draw_activity(backend, n_accounts, n_cells, seed)
        index = index_cells(activity)
        source, target = np.divmod(np.arange(n_accounts**2, dtype=np.int32), n_accounts)
        pairs = PairCounts(source, target, np.zeros(source.size, np.int32))
        for lag in (0, 1, 3):
            for null, n_hours in nulls:
                strata = stratify(activity, index, count_margins(index, lag), null=null)
                np.testing.assert_allclose(
                    expect_pairs(strata, pairs).reshape(n_accounts, n_accounts),
                    _expect_pairs_slowly(activity, lag, n_hours),
                    rtol=_RTOL,
                    err_msg=f"{n_accounts} accounts, lag {lag}, null {null}",
                )


def _expect_pairs_slowly(activity: Activity, lag: int, n_hours: int) -> np.ndarray:
    """Return a b / T summed over entities and blocks of hours."""
    active = _fill_cells(activity)
    n_steps = activity.n_bins - lag
    expected = np.zeros((activity.n_accounts, activity.n_accounts))
    for first in range(0, n_steps, n_hours):
        last = min(first + n_hours, n_steps)
        a = active[:, :, first:last].sum(axis=-1)
        b = active[:, :, first + lag : last + lag].sum(axis=-1)
        expected += np.einsum("ei,ej->ij", a, b) / (last - first)
    return expected


def check_significance(backend: Backend) -> None:
    """Test all pairs at two lags: the p- and q-values of the CPU."""
    found, expected = (
        assess_pairs(activity, index, [count_margins(index, lag) for lag in (1, 2)])
        for activity in (_draw_activity(each, 65, 900, seed=2) for each in (backend, cpu()))
        for index in [index_cells(activity)]
    )
    np.testing.assert_array_equal(found.pair, expected.pair)
    np.testing.assert_allclose(found.log_p, expected.log_p, rtol=_RTOL)
    np.testing.assert_allclose(found.q_value, expected.q_value, rtol=_RTOL)


def check_components(backend: Backend) -> None:
    """Label the components of a cycle, a chain and accounts without edges."""
    source = np.array([0, 1, 2, 4, 5], np.int32)
    target = np.array([1, 2, 0, 5, 6], np.int32)
    weak = backend.components(source, target, 9, connection="weak")
    strong = backend.components(source, target, 9, connection="strong")
    _expect(_group(weak) == {(0, 1, 2), (3,), (4, 5, 6), (7,), (8,)}, f"weak: {weak}")
    _expect(_group(strong) == {(0, 1, 2), (3,), (4,), (5,), (6,), (7,), (8,)}, f"strong: {strong}")
    nothing = np.empty(0, np.int32)
    alone = backend.components(nothing, nothing, 3, connection="weak")
    _expect(len(_group(alone)) == 3, "no edges")


def check_communities(backend: Backend) -> None:
    """Find two cliques that one weak edge joins."""
    left = [(i, j) for i in range(6) for j in range(6) if i != j]
    edges = np.array([*left, *((i + 6, j + 6) for i, j in left), (0, 6)], np.int32)
    weight = np.r_[np.full(len(edges) - 1, 0.5), 0.01]
    found = backend.communities(*edges.T.copy(), weight, 14, resolution=1.0, seed=0)
    wanted = {tuple(range(6)), tuple(range(6, 12)), (12,), (13,)}
    _expect(_group(found) == wanted, f"communities: {found}")


def _group(labels: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def check_network(backend: Backend) -> None:
    """Build a network of random edges: the same partition into components as on the CPU."""
    rng = np.random.default_rng(5)
    pair = np.unique(rng.integers(200 * 200, size=150))
    source, target = (pair // 200).astype(np.int32), (pair % 200).astype(np.int32)
    apart = source != target
    source, target = source[apart], target[apart]
    weight = rng.random(source.size)
    networks = [
        build_network(
            *map(each.xp.asarray, (source, target, weight)),
            n_accounts=200,
            backend=each,
            resolution=1.0,
            seed=0,
        )
        for each in (backend, cpu(threads=1))
    ]
    _expect(networks[0].n_components == networks[1].n_components, "another number of components")


def check_frames(backend: Backend) -> None:
    """Bin the events of a small archive: the same cells as on the CPU, in the same order."""
    with tempfile.TemporaryDirectory() as folder:
        store = _ingest_demo(Path(folder))
        for choices in ({}, {"bin": "15m", "min_posts": 3}, {"top_percent": 20.0}):
            found, expected = (
                build_activity(store, backend=each, **choices) for each in (backend, cpu())
            )
            for column in ("entity", "bin", "account"):
                np.testing.assert_array_equal(
                    backend.to_host(getattr(found, column)), getattr(expected, column), column
                )
            _expect(found.accounts.equals(expected.accounts), "other accounts")
            _expect(found.entities.equals(expected.entities), "other entities")


def check_detection(backend: Backend) -> None:
    """Run the whole path, with much memory and with hardly any: the edges of the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        store = _ingest_demo(Path(folder))
        expected = _sort_edges(detect(store, Path(folder) / "cpu", lags=(1, 2), backend=cpu()))
        for memory in (None, 1):
            out = Path(folder) / f"run{memory}"
            found = _sort_edges(detect(store, out, lags=(1, 2), backend=backend, memory=memory))
            exact = ["source", "target", "support", "lag"]
            _expect(found.select(exact).equals(expected.select(exact)), f"edges, memory {memory}")
            weights = [column for column in expected.columns if column.startswith("weight")]
            for column in weights:
                np.testing.assert_allclose(found[column], expected[column], rtol=_RTOL, atol=1e-12)


def _ingest_demo(folder: Path) -> Store:
    from gpu_coord.archive.ingest import ingest
    from gpu_coord.simulation.simulation import simulate

    simulate(folder / "archive", preset="null", n_posts=3000)
    return ingest(folder / "archive" / "tweets.csv", folder / "store")


def _sort_edges(findings: Any) -> pl.DataFrame:
    edges: pl.DataFrame = findings.read("edges")
    return edges.sort("source", "target")


def _expect(holds: bool, what: str) -> None:  # noqa: FBT001
    if not holds:
        raise AssertionError(what)


CHECKS: dict[str, Callable[[Backend], None]] = {
    "dense transition counts": check_dense_counts,
    "transition matrices": check_matrices,
    "pair counts": check_pair_counts,
    "weights": check_weights,
    "expected counts": check_expected_counts,
    "significance": check_significance,
    "components": check_components,
    "communities": check_communities,
    "network": check_network,
    "binned joins": check_frames,
    "detection": check_detection,
}
