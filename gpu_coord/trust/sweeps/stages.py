"""The stages of `detect` for many cells: what they share is done once, thresholds come last.

In: the cells of one activity. Out: the result of each cell, the same as a `detect` of its own
finds. The one idea: pairs are counted, weighed and tested at the loosest thresholds of all cells; a
cell then filters the edges, which lie on the disk, and reads the tests.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import CellIndex, Margins
from gpu_coord.activity.settings import WeightRule
from gpu_coord.activity.weights import Edges, Weigher, choose_lags
from gpu_coord.chance.habits import Habits, fit_habits
from gpu_coord.chance.nulls import Null
from gpu_coord.chance.tests import LagTests, PairTests, assess_lag
from gpu_coord.chance.tiers import choose_tier
from gpu_coord.detection.edges import no_edges
from gpu_coord.detection.settings import DetectSettings
from gpu_coord.detection.stages import Stages, choose_network, move_to_host
from gpu_coord.ground.parquet import scan_parquet
from gpu_coord.groups.groups import Groups
from gpu_coord.network.network import Network
from gpu_coord.store.tables import to_arrow
from gpu_coord.trust.sweeps.grid import Cell

Made = TypeVar("Made")


@dataclass(frozen=True)
class CellResult:
    """What a cell found: its summary as in ``run.json``, its edges and its network."""

    settings: DetectSettings
    summary: dict[str, Any]
    edges: Edges  # all of the weight rule, on the host; weights by kind are left out
    tests: PairTests | None
    in_network: np.ndarray  # marks of the edges
    network: Network
    accounts: pl.DataFrame  # row = account: account_id, label, n_posts, first_seen, last_seen


class SharedStages(Stages):
    """The stages of the cells of one activity, each kept as long as a cell to come needs it."""

    def __init__(self, activity: Activity, cells: Sequence[Cell], folder: Path, **more: Any):
        """Begin with the cells in the order of `order_cells`; ``folder`` is for edges."""
        super().__init__(activity, **more)
        self.folder, self.settings = folder, [cell.settings for cell in cells]
        n_lags = max(len(settings.lags) for settings in self.settings)
        self._margins, self._lag_tests = _Kept[Margins](n_lags), _Kept[LagTests](n_lags)
        self._habits = _Kept[list[Habits]]()
        self._tests, self._groups = _Kept[PairTests](), _Kept[Groups]()
        self._edges, self._networks = _Kept[Edges](), _Kept[Network]()
        self._written: dict[tuple[WeightRule, int], Path] = {}

    def compute(self, settings: DetectSettings) -> CellResult:
        """Return the result of one cell.

        Raises
        ------
        ValueError
            A lag leaves no transition.
        """
        margins = self.list_margins(settings.lags)
        tests = self.test_pairs(settings, margins) if settings.is_tested else None
        choice = None if tests is None else choose_tier(tests, settings.tier)
        key = settings.lags, settings.rule, settings.min_support, settings.min_weight
        edges = self._edges.find(key, self._read_edges, settings, margins)
        in_network = choose_network(edges, tests, choice)
        network = self.build_network(edges.take(in_network), settings)
        groups = self.find_groups(settings) if settings.has_groups else None
        summary = self.summarise(edges.n_edges, network, tests, choice, groups) | {
            "has_bulk": None if choice is None else choice.warning is None,
            "n_network_edges": network.n_edges,
            "n_network_accounts": int(np.count_nonzero(network.component >= 0)),
            "modularity": measure_modularity(network),
        }
        accounts = self.activity.accounts
        return CellResult(settings, summary, edges, tests, in_network, network, accounts)

    def _count_lag(self, lag: int) -> Margins:
        return self._margins.find(lag, super()._count_lag, lag)

    # --- significance -------------------------------------------------------------------------

    def test_pairs(self, settings: DetectSettings, margins: Sequence[Margins]) -> PairTests:
        """Test all pairs of accounts, once for every alpha."""
        key = (
            settings.null,
            settings.lags,
            settings.min_support,
            settings.seed,
            settings.reference,
        )
        tests = self._tests.find(key, super().test_pairs, settings, margins)
        return replace(tests, alpha=settings.alpha)

    def _fit_habits(
        self, activity: Activity, index: CellIndex, margins: Sequence[Margins], *, null: Null,
        **more: Any,
    ) -> list[Habits]:  # fmt: skip
        """Fit the nulls of all lags that some cell asks for, on the same copies."""
        asked = {lag for s in self.settings if s.is_tested and s.null == null for lag in s.lags}
        lags = [lag for lag in sorted(asked) if lag < index.n_bins]
        fit = partial(fit_habits, activity, index, self.list_margins(lags), null=null, **more)
        fitted = dict(zip(lags, self._habits.find((null, more["seed"]), fit), strict=True))
        return [fitted[margin.lag] for margin in margins]

    def _test_lag(
        self, activity: Activity, index: CellIndex, margins: Margins, *, null: Null,
        habits: Habits, **more: Any,
    ) -> LagTests:  # fmt: skip
        lag, controls = margins.lag, more["controls"]
        more["min_support"] = min(
            s.min_support for s in self.settings if s.is_tested and s.null == null and lag in s.lags
        )
        assess = partial(assess_lag, activity, index, margins, null=null, habits=habits, **more)
        return self._lag_tests.find((null, lag, habits, controls and controls[0]), assess)

    # --- weights ------------------------------------------------------------------------------

    def _read_edges(self, settings: DetectSettings, margins: Sequence[Margins]) -> Edges:
        passes = pl.col("support") >= settings.min_support
        passes &= pl.col("weight") > settings.min_weight
        by_lag, rule = [], settings.rule
        for margin in margins:
            file = self._written.get((rule, margin.lag)) or self._write_edges(rule, margin)
            by_lag.append(_to_edges(scan_parquet(file).filter(passes).collect(), margin.lag))
        return choose_lags(by_lag, n_accounts=self.activity.n_accounts, xp=np)

    def _write_edges(self, rule: WeightRule, margins: Margins) -> Path:
        """Count and weigh the pairs of a lag, and write those that some cell may ask for."""
        sharing = [s for s in self.settings if s.rule == rule and margins.lag in s.lags]
        loosest = replace(
            sharing[0],
            min_support=min(settings.min_support for settings in sharing),
            min_weight=min(settings.min_weight for settings in sharing),
        )
        weigher = Weigher(self.activity, self.index, margins, rule)
        found = self.find_edges(loosest, [weigher], partial(move_to_host, backend=self.backend))
        file = self.folder / f"{len(self._written)}.parquet"
        with pq.ParquetWriter(file, _to_table(no_edges(1)).schema, compression="lz4") as writer:
            for edges in found:
                writer.write_table(_to_table(edges))
        self._written[rule, margins.lag] = file
        return file

    # --- network ------------------------------------------------------------------------------

    def build_network(self, edges: Edges, settings: DetectSettings) -> Network:
        """Build the network of edges, or return the last one where they are the same."""
        digest = sha256(repr((settings.resolution, settings.seed)).encode())
        for array in (edges.source, edges.target, edges.weight):
            digest.update(np.ascontiguousarray(array).data)
        return self._networks.find(digest.digest(), super().build_network, edges, settings)

    def find_groups(self, settings: DetectSettings) -> Groups:
        """Look for groups, once for all settings that find the same."""
        key = settings.alpha, settings.seed, settings.groups
        return self._groups.find(key, super().find_groups, settings)


class _Kept(Generic[Made]):
    """What was made last, by what it depends on."""

    def __init__(self, n_kept: int = 1):
        self._n_kept, self._made = n_kept, OrderedDict[Hashable, Made]()

    def find(self, key: Hashable, make: Callable[..., Made], *values: Any) -> Made:
        """Return what has that key, made from some values unless it is kept."""
        if key not in self._made:
            if len(self._made) == self._n_kept:
                self._made.popitem(last=False)
            self._made[key] = make(*values)
        self._made.move_to_end(key)
        return self._made[key]


def order_cells(cells: Sequence[Cell]) -> list[Cell]:
    """Return cells of one activity in an order in which what they share stays at hand."""

    def key(cell: Cell) -> tuple[Any, ...]:
        s = cell.settings
        rule = (s.measure, s.undefined, s.denominator, s.shrink)
        thresholds = (s.min_support, *rule, s.min_weight, s.alpha, s.groups, s.seed)
        return (*find_tests_key(cell), *thresholds, cell.number)

    return sorted(cells, key=key)


def find_tests_key(cell: Cell) -> tuple[Any, ...]:
    """Return what cells of one activity have in common that share tests of pairs."""
    return cell.settings.paper, cell.settings.null, cell.settings.lags


def measure_modularity(network: Network) -> float | None:
    """Return the modularity of the communities, the weights of both directions added.

    None without edges.
    """
    total = float(network.weight.sum())
    if not total:
        return None
    source, target = network.community[network.source], network.community[network.target]
    inside = float(network.weight[source == target].sum())
    out, into = (
        np.bincount(end, weights=network.weight, minlength=network.n_communities)
        for end in (source, target)
    )
    strength = out + into
    return inside / total - float(((strength / (2 * total)) ** 2).sum())


def _to_table(edges: Edges) -> pa.Table:
    names = ("source", "target", "weight", "support")
    return to_arrow(pl.DataFrame({name: getattr(edges, name) for name in names}))


def _to_edges(table: pl.DataFrame, lag: int) -> Edges:
    source, target, weight, support = (column.to_numpy() for column in table)
    by_kind, lags = np.empty((table.height, 0)), np.full(table.height, lag, np.int32)
    return Edges(source, target, weight, by_kind, support, lags)
