"""Edges of several layers -> one network: what any layer, all of them, or all together say.

The one idea: one row per pair of accounts and one column per layer; a merge is a rule on rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from gpu_coord.chance.adjust import adjust_p_values, align_pairs, combine_lags
from gpu_coord.chance.coactivity import CoActivity, score_coactivity
from gpu_coord.chance.tests import Tier, rank, rank_tiers
from gpu_coord.chance.tiers import spell_tiers
from gpu_coord.sharing.layers import Layer
from gpu_coord.sharing.significance import ShareTests


@dataclass(frozen=True)
class LayerEdges:
    """The edges of one layer, and what was found of all its pairs where it was tested."""

    layer: Layer
    edges: pl.DataFrame  # source, target (rows of accounts), weight and more
    tests: ShareTests | None = None


@dataclass(frozen=True)
class FusedTests:
    """The pairs of accounts that any tested layer has; each pair once."""

    n_accounts: int
    alpha: float
    n_tests: int  # pairs that could have met in a layer
    pair: np.ndarray  # source * n_accounts + target, source < target, ascending, (n_pairs,)
    log_p: np.ndarray  # of beyond news, all tested layers together
    log_p_habit: np.ndarray
    n_hours: np.ndarray  # in which it met, in the layer where these are most
    has_reference: bool  # whether anything tells how much the news does
    q_value: np.ndarray
    q_habit: np.ndarray

    def count(self, tier: Tier) -> int:
        """Count the pairs of a tier or a higher one, whatever their weight."""
        return int((rank_tiers(self.q_value, self.q_habit, self.alpha) >= rank(tier)).sum())

    def rank_accounts(self) -> CoActivity:
        """Score accounts by all their pairs: beyond the news, or beyond habit where none tells."""
        log_p = self.log_p if self.has_reference else self.log_p_habit
        return score_coactivity(self.pair, log_p, self.n_hours, n_accounts=self.n_accounts)

    def read_edges(self, source: np.ndarray, target: np.ndarray) -> pl.DataFrame:
        """Return ``p_value, q_value, q_habit, tier, significant`` of pairs, in either direction."""
        wanted = np.minimum(source, target).astype(np.int64) * self.n_accounts
        wanted += np.maximum(source, target)
        row = np.searchsorted(self.pair, wanted)
        # One that is not there: no tested layer has it, or it met across full hours only.
        is_known = np.append(self.pair, -1)[row] == wanted
        p_value, q_value, q_habit = (
            np.where(is_known, np.append(values, 1.0)[row], 1.0)
            for values in (np.exp(self.log_p), self.q_value, self.q_habit)
        )
        tier = rank_tiers(q_value, q_habit, self.alpha)
        columns = {"p_value": p_value, "q_value": q_value, "q_habit": q_habit}
        is_significant = tier >= rank("beyond_news")
        return pl.DataFrame(columns | {"tier": spell_tiers(tier), "significant": is_significant})


def fuse_tests(tests: Sequence[ShareTests], *, n_accounts: int, alpha: float) -> FusedTests:
    """Give each pair of accounts one p-value for all layers, and its q-value among all pairs.

    The p-values of the layers are combined by Cauchy's law (`adjust.combine_lags`), which holds
    whatever the dependence between layers: one post may be in several.

    Parameters
    ----------
    tests
        Of the layers, over the same accounts.
    n_accounts
        Accounts of all layers.
    alpha
        False discovery rate to hold.
    """
    once = [np.less(*np.divmod(each.pairs.pair, n_accounts)) for each in tests]
    layers = [(each.pairs, mine) for each, mine in zip(tests, once, strict=True)]
    n_met = sum(each.pairs.n_tests // 2 for each in tests)
    n_tests = min(n_accounts * (n_accounts - 1) // 2, n_met)
    pair, place = align_pairs([pairs.pair[mine] for pairs, mine in layers])
    log_p = combine_lags(place([pairs.log_p[mine] for pairs, mine in layers]))
    log_p_habit = combine_lags(place([pairs.log_p_habit[mine] for pairs, mine in layers]))
    q_value, q_habit = (adjust_p_values(each, n_tests=n_tests) for each in (log_p, log_p_habit))
    n_hours = place([pairs.by_lag[0].n_hours[mine] for pairs, mine in layers]).max(axis=1)
    has_reference = any(pairs.by_lag[0].reference is not None for pairs, _ in layers)
    return FusedTests(
        n_accounts, alpha, n_tests, pair, log_p, log_p_habit, n_hours, has_reference, q_value,
        q_habit,
    )  # fmt: skip


def merge_layers(layers: Sequence[LayerEdges], *, n_accounts: int, min_layers: int) -> pl.DataFrame:
    """Merge layers into one table of edges.

    Parameters
    ----------
    layers
        The layers; all with edges in both directions, or none.
    n_accounts
        Accounts of all layers.
    min_layers
        Layers that an edge is in at least.

    Returns
    -------
        By source and target: ``source, target``; ``weight``, the mean over the layers of the
        layer's weight in units of the mean edge of that layer, 0 where it has no such edge;
        ``weight_<layer>``; ``n_layers``; ``layers`` (their names, sorted, with spaces between).
    """
    keys = [_number_pairs(layer.edges, n_accounts) for layer in layers]
    pairs, place = align_pairs(keys)
    weights = place([layer.edges["weight"].to_numpy() for layer in layers])
    source, target = np.divmod(pairs, n_accounts)
    names = [each.layer.name for each in layers]
    merged = pl.DataFrame(
        {
            "source": source.astype(np.int32),
            "target": target.astype(np.int32),
            "weight": _average(weights),
            **{f"weight_{name}": weights[:, column] for column, name in enumerate(names)},
            "n_layers": (weights > 0).sum(axis=1, dtype=np.int32),
        }
    )
    return merged.with_columns(_name_layers(names)).filter(pl.col("n_layers") >= min_layers)


def _number_pairs(edges: pl.DataFrame, n_accounts: int) -> np.ndarray:
    key: np.ndarray = edges["source"].to_numpy().astype(np.int64) * n_accounts
    key += edges["target"].to_numpy()
    return key


def _average(weights: np.ndarray) -> np.ndarray:
    """Return the mean over the layers of weights in units of each layer's mean edge."""
    mean_edge = weights.sum(axis=0) / np.maximum((weights > 0).sum(axis=0), 1)
    average: np.ndarray = (weights / np.where(mean_edge > 0, mean_edge, 1.0)).mean(axis=1)
    return average


def _name_layers(names: Sequence[str]) -> pl.Expr:
    named = [pl.when(pl.col(f"weight_{name}") > 0).then(pl.lit(name)) for name in sorted(names)]
    return pl.concat_str(named, separator=" ", ignore_nulls=True).alias("layers")
