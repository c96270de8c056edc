"""The methods that are compared, each declared once: a new one is a function and a line.

A method takes the `Material` of an archive and returns scores of accounts (higher: sooner read), of
pairs, and groups; whichever of them it has. Published ones follow their papers; what differs from
the authors' code is said where it does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.chance.adjust import adjust_p_values
from gpu_coord.chance.coactivity import choose_log_p, has_reference, rank_accounts
from gpu_coord.chance.tiers import choose_tier, list_tiers
from gpu_coord.ground.times import parse_window
from gpu_coord.network.network import sum_weights
from gpu_coord.sharing.layers import FAST, FAST_WINDOW, Layer
from gpu_coord.sharing.shares import find_rows
from gpu_coord.sharing.similarity import average_best
from gpu_coord.sharing.traces import read_traces
from gpu_coord.store.settings import TimeRange
from gpu_coord.trust.comparison.cosines import find_centrality, weigh_rows
from gpu_coord.trust.comparison.figures import Pairs
from gpu_coord.trust.comparison.material import Material, NotPossibleError

_TOP_SHARE = 0.005  # of the pairs with something in common, as Pacheco et al. (2021)
_SLOT_MS = 30 * 60_000
_ALPHA = 0.05
_RANKS = {"member": 1, "core": 2, "significant": 3}


@dataclass(frozen=True)
class Found:
    """What a method says of an archive; None where it says nothing."""

    accounts: Any = None  # scores, (n_accounts,)
    pairs: Pairs | None = None
    groups: Any = None  # number of the group, -1 in none, (n_accounts,)


@dataclass(frozen=True)
class Method:
    """A way to find who acts together."""

    name: str
    says: str  # what it ranks by, a few words
    source: str  # whose it is
    find: Callable[[Material], Found]
    is_usual: bool = True  # whether it runs without being named


# --- ours ----------------------------------------------------------------------------------


def _find_co_activity(material: Material) -> Found:
    tests = material.tests
    pairs = _fold(tests.pair, choose_log_p(tests), tests.n_accounts)
    return Found(rank_accounts(tests).co_activity, pairs, material.network.community)


def _find_least_p(material: Material, *, lag: int | None, is_news: bool) -> Found:
    """Rank by the least p-value of a pair, all lags together or one; of one tier."""
    tests = material.tests
    if is_news and not has_reference(tests):
        raise NotPossibleError("nothing in this archive tells the news from coordination")
    if lag is None:
        pair, log_p = tests.pair, tests.log_p if is_news else tests.log_p_habit
    else:
        [at_lag] = [each for each in tests.by_lag if each.lag == lag]
        pair, log_p = at_lag.pair, at_lag.log_p if is_news else at_lag.log_p_habit
    pairs = _fold(pair, log_p, tests.n_accounts)
    return Found(_take_best(pairs, tests.n_accounts), pairs)


def _find_paper(material: Material) -> Found:
    """Rank by the weights of the paper's network, lag 1, nothing tested."""
    network = material.paper_network
    edges = Pairs(network.source, network.target, network.weight)
    return Found(_sum_up(edges, network.n_accounts), _merge([edges], pl.max), network.community)


def _find_groups(material: Material) -> Found:
    """Rank by being in a confirmed group, significant accounts first."""
    found = material.stages.find_groups(material.detect)
    if found.reason is not None:
        raise NotPossibleError(found.reason.rstrip("."))
    confirmed = found.table.filter("confirmed")["group"]
    members = found.accounts.filter(pl.col("group").is_in(confirmed.implode()))
    members = members.sort("group").unique("account", keep="first", maintain_order=True)
    score, group = np.zeros(material.accounts.height), np.full(material.accounts.height, -1)
    rank = members["tier"].cast(pl.String).replace_strict(_RANKS, return_dtype=pl.Float64)
    score[members["account"].to_numpy()] = rank.to_numpy()
    group[members["account"].to_numpy()] = members["group"].to_numpy()
    return Found(score, None, group)


def _find_share(material: Material) -> Found:
    """Rank as `share` does: by all tests of an account's pairs within the window."""
    tests, near = material.share_tests.pairs, material.shared[0]
    score = material.place_accounts(rank_accounts(tests).co_activity)
    pairs = material.place(_fold(tests.pair, choose_log_p(tests), tests.n_accounts))
    in_network = list_tiers(choose_tier(tests, "auto").tier)
    linked = near.filter(material.share_tests.edges.select(in_network).to_series())
    groups = material.find_communities(material.place_pairs(linked, "n_objects"))
    return Found(score, pairs, groups)


def _find_model(material: Material) -> Found:
    """Rank by the copies that an account caused, under the influence model."""
    from gpu_coord.model.fitting import fit_model

    with TemporaryDirectory() as folder:
        found = fit_model(
            material.store, Path(folder) / "model", kinds=material.activity.kinds,
            **material.settings.pick(TimeRange), backend=material.means.backend,
        )  # fmt: skip
        caused = found.read("accounts").select("account_id", "caused")
    joined = material.accounts.select("account_id").join(
        caused, on="account_id", how="left", maintain_order="left"
    )
    return Found(joined["caused"].fill_null(0.0).to_numpy())


# --- published -----------------------------------------------------------------------------


def _find_activity(material: Material) -> Found:
    return Found(material.accounts["n_posts"].to_numpy().astype(float))


def _find_co_shares(material: Material) -> Found:
    """Rank by the sum over partners of the things that both shared within the window."""
    pairs = material.place_pairs(material.shared[0], "n_objects")
    heavy = pairs.score > (np.median(pairs.score) if pairs.score.size else 0)
    groups = material.find_communities(_take(pairs, heavy))
    return Found(_sum_up(pairs, material.accounts.height), pairs, groups)


def _find_popular(material: Material) -> Found:
    """Rank by the same within twelve hours, each thing by 1 / (its accounts - 1)."""
    pairs = material.place_pairs(material.shared[1], "popularity_weight")
    return Found(_sum_up(pairs, material.accounts.height), pairs)


def _find_tfidf(material: Material) -> Found:
    """Rank by the mean cosine with the five most similar accounts; groups as Pacheco et al."""
    pairs = material.list_cosines(material.tfidf)
    n_top = max(1, int(_TOP_SHARE * pairs.score.size))
    least = np.partition(pairs.score, -n_top)[-n_top] if pairs.score.size else 0.0
    groups = material.find_communities(_take(pairs, pairs.score >= least))
    return Found(_average_best(pairs, material.accounts.height), pairs, groups)


def _find_central(material: Material) -> Found:
    return Found(find_centrality(material.tfidf))


def _find_jaccard(material: Material) -> Found:
    """Rank by the largest Jaccard index with another account, of things of two accounts or more."""
    account, object = material.tfidf.nonzero()
    n = material.accounts.height
    pairs = material.list_cosines(weigh_rows(account, object, n, np.ones_like))
    n_own = np.bincount(account, minlength=n)
    one, other = n_own[pairs.source], n_own[pairs.target]
    both = pairs.score * np.sqrt(one * other)
    pairs = pairs._replace(score=both / (one + other - both))
    return Found(_take_best(pairs, n), pairs)


def _find_synchronous(material: Material) -> Found:
    """Rank by the mean TF-IDF cosine of half hours with the five most similar accounts."""
    slot = material.shares.time // _SLOT_MS
    pairs = material.list_cosines(
        _weigh_counts(material.uses[0], slot - slot.min(initial=0), material.accounts.height)
    )
    return Found(_average_best(pairs, material.accounts.height), pairs)


def _find_fast(material: Material) -> Found:
    """Rank by centrality in the network of who retweets the same authors within ten seconds."""
    if "retweet" not in material.activity.kinds:
        raise NotPossibleError("no retweets are among the kinds")
    layer = Layer(FAST, FAST, parse_window(FAST_WINDOW))
    [trace] = read_traces(
        material.store, [layer], min_tags=5, similarity=0.9, threads=material.threads,
        **material.settings.pick(TimeRange),
    )  # fmt: skip
    ids, shares = trace.shares.accounts["account_id"], trace.shares
    row = find_rows(ids, material.accounts["account_id"], -1)
    uses = [
        (row[shares.account[newer]], shares.account[older])
        for older, newer in trace.list_pairs(window_ms=layer.window_ms)
    ]
    none = np.empty(0, np.int64)
    account, author = (np.concatenate(part) for part in zip((none, none), *uses, strict=True))
    key = (account.astype(np.int64) << 32 | author)[account >= 0]
    # Once is no habit: of the authors, those that an account was as fast with twice.
    _, place, n_times = np.unique(key, return_inverse=True, return_counts=True)
    key = key[n_times[place] > 1]
    if not key.size:
        raise NotPossibleError("nobody retweeted an author of the archive twice in ten seconds")
    matrix = _weigh_counts(key >> 32, key & 0xFFFFFFFF, material.accounts.height)
    return Found(find_centrality(matrix))


def _find_least_permuted(material: Material) -> Found:
    """Rank by the least p-value of a pair, of all kinds."""
    found = [pairs._replace(score=-np.log(pairs.score)) for pairs in material.permuted]
    pairs = _merge(found, pl.max)
    return Found(_take_best(pairs, material.accounts.height), pairs)


def _find_signals(material: Material) -> Found:
    """Rank by the most kinds in which a pair is significant (Benjamini & Hochberg)."""
    found = []
    for pairs in material.permuted:
        q_value = adjust_p_values(np.log(pairs.score), n_tests=pairs.score.size)
        found.append(_take(pairs._replace(score=np.ones(q_value.size)), q_value <= _ALPHA))
    signals = _merge(found, pl.sum)
    groups = material.find_communities(signals)
    return Found(_take_best(signals, material.accounts.height), signals, groups)


# --- from pairs to accounts ----------------------------------------------------------------


def _take(pairs: Pairs, rows: Any) -> Pairs:
    return Pairs(*(column[rows] for column in pairs))


def _fold(pair: Any, log_p: Any, n_accounts: int) -> Pairs:
    """Return -log p of pairs that are numbered in both directions, the larger of the two."""
    source, target = (end.astype(np.int32) for end in np.divmod(pair, n_accounts))
    return _merge([_take(Pairs(source, target, -log_p), log_p < 0)], pl.max)


def _merge(parts: list[Pairs], how: Callable[[str], pl.Expr]) -> Pairs:
    """Return each pair once, whatever its direction."""
    ends = ("source", "target")
    table = pl.concat([pl.DataFrame(part._asdict(), schema_overrides=_PAIRS) for part in parts])
    once = table.select(
        pl.min_horizontal(ends).alias("source"), pl.max_horizontal(ends).alias("target"), "score"
    )
    merged = once.group_by(ends).agg(how("score")).sort(ends)
    return Pairs(*(merged[name].to_numpy() for name in Pairs._fields))


_PAIRS: dict[str, Any] = {"source": pl.Int32, "target": pl.Int32, "score": pl.Float64}


def _sum_up(pairs: Pairs, n_accounts: int) -> Any:
    ends = (pairs.source, pairs.target)
    return sum(sum_weights(end, pairs.score, n_accounts) for end in ends)


def _take_best(pairs: Pairs, n_accounts: int) -> Any:
    best = np.zeros(n_accounts)
    for end in (pairs.source, pairs.target):
        np.maximum.at(best, end, pairs.score)
    return best


def _average_best(pairs: Pairs, n_accounts: int) -> Any:
    return average_best(pl.DataFrame(pairs._asdict()).rename({"score": "weight"}), n_accounts)


def _weigh_counts(account: Any, object: Any, n_accounts: int) -> Any:
    """Weigh how often accounts used things by the IDF of scikit-learn."""
    n = max(np.unique(account).size, 1)
    object = np.unique(object, return_inverse=True)[1]
    return weigh_rows(
        account, object, n_accounts, lambda n_users: np.log((1 + n) / (1 + n_users)) + 1
    )


# --- all of them ---------------------------------------------------------------------------

_NULL_MODEL = "null-model-coord (2026): time ignored"
METHODS: tuple[Method, ...] = (
    Method("co_activity", "all tests of an account's pairs, lags 0 and 1", "gpu-coord",
           _find_co_activity),
    Method("share", "the same of shares within the window", "gpu-coord", _find_share),
    Method("groups", "membership of a confirmed group", "gpu-coord", _find_groups),
    Method("beyond_news", "least p-value beyond the news", "gpu-coord",
           partial(_find_least_p, lag=None, is_news=True)),
    Method("beyond_habit", "least p-value beyond habit", "gpu-coord",
           partial(_find_least_p, lag=None, is_news=False)),
    Method("together", "least p-value beyond the news, lag 0", "gpu-coord",
           partial(_find_least_p, lag=0, is_news=True)),
    Method("after", "least p-value beyond the news, lag 1", "gpu-coord",
           partial(_find_least_p, lag=1, is_news=True)),
    Method("model", "copies caused, by the influence model", "gpu-coord", _find_model,
           is_usual=False),
    Method("paper", "weights at lag 1, untested", "Erhardt & Pentland (2023)", _find_paper),
    Method("co_shares", "things shared within the window, summed over partners",
           "Giglietto et al. (2020), Righetti & Balluff (2025)", _find_co_shares),
    Method("popularity", "the same within 12 h, rare things count more",
           "popularity-weighted co-retweets (2026)", _find_popular),
    Method("tfidf", "mean TF-IDF cosine with the five most similar",
           "Pacheco et al. (2021)", _find_tfidf),
    Method("centrality", "eigenvector centrality in the network of these cosines",
           "Luceri et al. (2024)", _find_central),
    Method("jaccard", "largest Jaccard index", "Pacheco et al. (2021)", _find_jaccard),
    Method("synchronous", "mean TF-IDF cosine of half hours with the five most similar",
           "Pacheco et al. (2021)", _find_synchronous),
    Method("fast_retweets", "eigenvector centrality among fast retweeters",
           "Pacheco et al. (2020), Luceri et al. (2024)", _find_fast),
    Method("permuted_least", "least p-value over kinds", _NULL_MODEL, _find_least_permuted),
    Method("permuted_signals", "most kinds with a significant pair", _NULL_MODEL, _find_signals),
    Method("activity", "number of posts", "plain", _find_activity),
)  # fmt: skip
NAMES = tuple(method.name for method in METHODS)


def list_methods(names: tuple[str, ...] | None) -> list[Method]:
    """Return the methods of some names, in their order here; the usual ones without names.

    Raises
    ------
    ValueError
        There is no such method.
    """
    if names is None:
        return [method for method in METHODS if method.is_usual]
    if unknown := sorted(set(names) - set(NAMES)):
        raise ValueError(f"{', '.join(unknown)} is no method; choose among {', '.join(NAMES)}.")
    return [method for method in METHODS if method.name in names]
