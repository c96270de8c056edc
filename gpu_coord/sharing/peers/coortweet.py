"""CooRTweet 2.1.3 reproduced, its quirks included: pairs of shares, network, statistics.

In: all shares. Out: the same rows as the R functions of the same purpose. Quirks that are kept:
weights count pairs of shares; either side's participation keeps a pair; contents are told older
from newer while accounts are ordered by id, so its symmetry is not that of the two accounts.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numba
import numpy as np
import polars as pl

from gpu_coord.backend.pairs import CACHE
from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.strict import EdgeRuns, count_by_kind, describe_edges, group_pairs
from gpu_coord.sharing.windows import DEFAULT_MEMORY, pair_shares

Threshold = Literal["full", "fast", "none"]
DEFAULT_QUANTILE = 0.5
_MEASURES = (
    "weight", "avg_time_delta", "n_content_id", "n_content_id_y", "edge_symmetry_score",
)  # fmt: skip

# --- detect_groups -------------------------------------------------------------------------


def detect_groups(
    shares: Shares,
    *,
    window_ms: int,
    min_participation: int = 2,
    remove_loops: bool = True,
    memory: int = DEFAULT_MEMORY,
    threads: int = 1,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the coordinated pairs of shares, as ``detect_groups`` finds them.

    Parameters
    ----------
    shares
        All shares of the kinds analysed, those of rare accounts included.
    window_ms
        Milliseconds, inclusive.
    min_participation
        Shares that an account needs to be compared at all; then, shares of coordinated contents
        that one of the two accounts of a pair needs.
    remove_loops
        Leave out pairs of one account or content, and contents that are the object themselves.
    memory, threads
        See `pair_shares`.

    Yields
    ------
        Rows of older and newer shares (n_pairs,). Of two at the same time, the older is the one
        of the account that comes first in the input, then the one that comes first.
    """
    n_shares = np.bincount(shares.account, minlength=shares.accounts.height)
    compared = n_shares[shares.account] >= min_participation
    place = _place_rows(shares)
    rows = np.flatnonzero(compared & ~mark_own_objects(shares) if remove_loops else compared)

    def list_pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for first, second in pair_shares(
            shares.select(rows), window_ms=window_ms, loops=not remove_loops,
            same_content=not remove_loops, memory=memory, threads=threads,
        ):  # fmt: skip
            yield _orient(shares, place, rows[first], rows[second])

    is_paired = np.zeros(shares.contents.len(), bool)
    for older, newer in list_pairs():
        is_paired[shares.content[older]] = is_paired[shares.content[newer]] = True
    keeps = _find_participants(shares, is_paired[shares.content] & compared, min_participation)
    for older, newer in list_pairs():
        kept = keeps[shares.content[older]] | keeps[shares.content[newer]]
        yield older[kept], newer[kept]


def _place_rows(shares: Shares) -> np.ndarray:
    """Return the place of each share among those of one time: accounts as they first appear."""
    if shares.post is None:
        return np.arange(shares.n_shares)
    first_post = np.full(shares.accounts.height, np.iinfo(np.int64).max)
    np.minimum.at(first_post, shares.account, shares.post)
    place = np.empty(shares.n_shares, np.int64)
    place[np.lexsort((shares.post, first_post[shares.account]))] = np.arange(shares.n_shares)
    return place


def mark_own_objects(shares: Shares) -> np.ndarray:
    """Mark the shares whose content is the object, such as the tweet that others retweet.

    Parameters
    ----------
    shares
        From `read_shares`.

    Returns
    -------
        Booleans, (n_shares,).
    """
    content_of = shares.contents.to_frame("value").with_row_index("content")
    objects = shares.objects.join(content_of, on="value", how="left", maintain_order="left")
    own = objects["content"].cast(pl.Int64).fill_null(-1).to_numpy()
    return np.asarray(own[shares.object] == shares.content)


def _orient(
    shares: Shares, place: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    swapped = (shares.time[first] == shares.time[second]) & (place[first] > place[second])
    return np.where(swapped, second, first), np.where(swapped, first, second)


def _find_participants(shares: Shares, counted: np.ndarray, min_participation: int) -> np.ndarray:
    """Mark the contents of accounts with enough of the shares that count, (n_contents,)."""
    n_counted = np.bincount(shares.account[counted], minlength=shares.accounts.height)
    kept = counted & (n_counted[shares.account] >= min_participation)
    keeps = np.zeros(shares.contents.len(), bool)
    keeps[shares.content[kept]] = True
    return keeps


# --- flag_speed_share ----------------------------------------------------------------------


def flag_speed_share(
    shares: Shares,
    older: np.ndarray,
    newer: np.ndarray,
    *,
    window_ms: int,
    min_participation: int = 2,
) -> np.ndarray:
    """Mark the pairs within a narrower window, as ``flag_speed_share`` does.

    A pair of contents is marked in all its objects if it is fast in one of them.

    Parameters
    ----------
    shares
        All shares of the kinds analysed.
    older, newer
        Rows of `shares`, from `detect_groups`.
    window_ms
        Milliseconds, inclusive.
    min_participation
        Shares of contents in fast pairs that one of the two accounts of a pair needs.

    Returns
    -------
        Booleans, (n_pairs,).
    """
    fast = shares.time[newer] - shares.time[older] <= window_ms
    content_older, content_newer = shares.content[older], shares.content[newer]
    is_paired = np.zeros(shares.contents.len(), bool)
    is_paired[content_older[fast]] = is_paired[content_newer[fast]] = True
    keeps = _find_participants(shares, is_paired[shares.content], min_participation)
    fast &= keeps[content_older] | keeps[content_newer]
    key = key_contents(shares, older, newer)
    return np.isin(key, key[fast])


def key_contents(shares: Shares, older: np.ndarray, newer: np.ndarray) -> np.ndarray:
    """Return one number for each ordered pair of contents, (n_pairs,)."""
    key: np.ndarray = shares.content[older].astype(np.int64)
    key *= shares.contents.len()
    key += shares.content[newer]
    return key


# --- generate_coordinated_network ----------------------------------------------------------


def weigh_network(
    runs: EdgeRuns, popularity: np.ndarray, *, is_fast: np.ndarray | None = None
) -> pl.DataFrame:
    """Weigh the edges as ``generate_coordinated_network`` does, before any threshold.

    Parameters
    ----------
    runs
        The pairs of `detect_groups`, from `group_pairs`.
    popularity
        Accounts that shared each object, (n_objects,).
    is_fast
        The pairs of `runs` that `flag_speed_share` marks, (n_pairs,); none by default.

    Returns
    -------
        By source, then target: ``source, target`` (rows of accounts), ``weight`` (pairs of
        shares), ``weight_<kind>``, the columns of `describe_edges`, and the tool's own:
        ``avg_time_delta`` (seconds), ``n_content_id, n_content_id_y`` (distinct older and newer
        contents), ``edge_symmetry_score`` (the smaller of these by the larger); with ``is_fast``
        also those of the fast pairs alone, ``weight_fast`` and so on, null without any.
    """
    every = np.ones(runs.older.size, bool)
    measures = _measure_edges(runs)
    edges = pl.concat(
        [
            measures.select("source", "target", "weight"),
            count_by_kind(runs, every),
            describe_edges(runs, popularity),
            measures.select(_MEASURES[1:]),
        ],
        how="horizontal",
    )
    if is_fast is None:
        return edges
    fast_runs = group_pairs(runs.shares, runs.older[is_fast], runs.newer[is_fast])
    fast = _measure_edges(fast_runs).rename({name: f"{name}_fast" for name in _MEASURES})
    return edges.join(fast, on=["source", "target"], how="left", maintain_order="left")


def _measure_edges(runs: EdgeRuns) -> pl.DataFrame:
    n_older = runs.count_distinct(runs.shares.content[runs.older])
    n_newer = runs.count_distinct(runs.shares.content[runs.newer])
    return pl.DataFrame(
        {
            "source": runs.source,
            "target": runs.target,
            "weight": runs.n_pairs.astype(np.float64),
            "avg_time_delta": runs.sum(runs.gap_ms) / runs.n_pairs / 1000,
            "n_content_id": n_older,
            "n_content_id_y": n_newer,
            "edge_symmetry_score": np.minimum(n_older, n_newer) / np.maximum(n_older, n_newer),
        }
    )


def mark_heavy(edges: pl.DataFrame, quantile: float = DEFAULT_QUANTILE) -> pl.DataFrame:
    """Add the thresholds of ``generate_coordinated_network``: 1 strictly above the quantile.

    Parameters
    ----------
    edges
        Of `weigh_network`, all of them.
    quantile
        Of the weights, by linear interpolation (R's type 7), 0 to 1.

    Returns
    -------
        With ``weight_threshold``; with fast pairs also ``weight_threshold_fast``, by the quantile
        of the weights of fast edges, null for the others.
    """
    if not 0 <= quantile <= 1:
        raise ValueError(
            f"edge_weight_quantile is {quantile}; it lies between 0 and 1, 0.5 is the median."
        )
    weights = [name for name in ("weight", "weight_fast") if name in edges.columns]
    return edges.with_columns(
        (pl.col(name) > pl.col(name).quantile(quantile, "linear"))
        .cast(pl.Int8)
        .alias(name.replace("weight", "weight_threshold"))
        for name in weights
    )


def take_subgraph(edges: pl.DataFrame, subgraph: int) -> pl.DataFrame:
    """Return the edges of the subgraphs 0 to 3 of ``generate_coordinated_network``.

    Parameters
    ----------
    edges
        Of `mark_heavy`.
    subgraph
        0 all; 1 the heavy ones; 2 those that are heavy among the fast ones; 3 all edges between
        the ends of these and their neighbours, with ``color_source, color_target`` (1: an end of
        a fast, heavy edge; 0: a neighbour only).

    Raises
    ------
    ValueError
        There is no such subgraph, or it needs fast pairs and there are none.
    """
    if subgraph not in (0, 1, 2, 3):
        raise ValueError(f"subgraph is {subgraph}; it is 0, 1, 2 or 3.")
    has_fast = "weight_threshold_fast" in edges.columns
    if subgraph == 1 and has_fast:
        raise ValueError(
            "subgraph is 1, which the tool refuses for a network with fast pairs; take 2 or 3, or "
            "a network without them."
        )
    if subgraph >= 2 and not has_fast:
        raise ValueError(f"subgraph is {subgraph}, which needs fast pairs; give a fast window.")
    if subgraph < 2:
        return edges.filter(pl.col("weight_threshold") == 1) if subgraph else edges
    fast = edges.filter(pl.col("weight_threshold_fast") == 1)
    return fast if subgraph == 2 else _surround(edges, fast)


def _surround(edges: pl.DataFrame, fast: pl.DataFrame) -> pl.DataFrame:
    """Return the edges among the ends of fast ones and their neighbours."""
    ends = pl.concat([fast["source"], fast["target"]]).unique()
    touching = edges.filter(_has_end(ends, "source") | _has_end(ends, "target"))
    context = pl.concat([touching["source"], touching["target"]]).unique()
    return edges.filter(_has_end(context, "source") & _has_end(context, "target")).with_columns(
        color_source=_has_end(ends, "source").cast(pl.Int8),
        color_target=_has_end(ends, "target").cast(pl.Int8),
    )


def _has_end(accounts: pl.Series, end: str) -> pl.Expr:
    return pl.col(end).is_in(accounts.implode())


# --- account_stats, group_stats ------------------------------------------------------------


def account_stats(
    runs: EdgeRuns,
    edges: pl.DataFrame,
    *,
    threshold: Threshold = "none",
    is_fast: np.ndarray | None = None,
) -> pl.DataFrame:
    """Summarise the accounts of a network as ``account_stats`` does.

    Edges of an account that agree in all that is averaged count once, as there.

    Parameters
    ----------
    runs
        The pairs behind the edges.
    edges
        Of `mark_heavy`, all of them.
    threshold
        ``full``: edges above the threshold; ``fast``: those above the one of fast edges, and
        shares in fast pairs; ``none``: all.
    is_fast
        The pairs that `flag_speed_share` marks; needed for ``fast``.

    Returns
    -------
        By ``account_id``: ``avg_time_delta, avg_edge_symmetry_score`` (of its edges; with fast
        pairs each also ``_fast``), ``unique_shares_count`` (its contents in pairs).
    """
    kept = slice(None) if threshold != "fast" or is_fast is None else is_fast
    is_paired = np.zeros(runs.shares.n_shares, bool)
    is_paired[runs.older[kept]] = is_paired[runs.newer[kept]] = True
    return summarise_accounts(runs.shares, is_paired, _choose_edges(edges, threshold))


def summarise_accounts(shares: Shares, is_paired: np.ndarray, edges: pl.DataFrame) -> pl.DataFrame:
    """Summarise accounts as `account_stats` does, without the pairs themselves.

    Parameters
    ----------
    shares
        All shares.
    is_paired
        Which of them are in a pair that counts, (n_shares,).
    edges
        Of `weigh_network`; those that count.
    """
    suffixes = ["", "_fast"] if "weight_fast" in edges.columns else [""]
    measures = [f"{n}{s}" for s in suffixes for n in ("avg_time_delta", "edge_symmetry_score")]
    means = (
        pl.concat(
            [edges.select(pl.col(end).alias("account"), *measures) for end in ("source", "target")]
        )
        .unique()
        .group_by("account")
        .agg(pl.col(name).sort().mean() for name in measures)
    )
    counts = (
        pl.DataFrame({"account": shares.account[is_paired], "content": shares.content[is_paired]})
        .unique()
        .group_by("account")
        .agg(unique_shares_count=pl.len().cast(pl.Int64))
    )
    named = shares.accounts.select("account_id", account=pl.int_range(pl.len(), dtype=pl.Int32))
    return (
        named.join(means, on="account")
        .join(counts, on="account")
        .sort("account_id")
        .drop("account")
        .rename(lambda name: name.replace("edge_", "avg_edge_", 1))
    )


def _choose_edges(edges: pl.DataFrame, threshold: Threshold) -> pl.DataFrame:
    if threshold == "fast" and "weight_threshold_fast" not in edges.columns:
        raise ValueError("threshold is 'fast', but the network has no fast pairs; take 'full'.")
    column = {"full": "weight_threshold", "fast": "weight_threshold_fast"}.get(threshold)
    return edges if column is None else edges.filter(pl.col(column) == 1)


def group_stats(
    runs: EdgeRuns,
    edges: pl.DataFrame,
    *,
    threshold: Threshold = "none",
    is_fast: np.ndarray | None = None,
) -> pl.DataFrame:
    """Count the accounts of each object as ``group_stats`` does, and as they are.

    Parameters
    ----------
    runs, edges, threshold, is_fast
        See `account_stats`.

    Returns
    -------
        Most accounts first, then by object: ``kind, object_id, num_accounts`` (distinct first
        ends of the edges as igraph turns them: the tool's count, too small), ``n_accounts``
        (distinct ends).
    """
    shares, chosen = runs.shares, _choose_edges(edges, threshold).select("source", "target")
    ends = pl.DataFrame({"source": runs.source, "target": runs.target})
    is_chosen = ends.join(chosen.with_columns(chosen=True), on=ends.columns, how="left",
                          maintain_order="left")["chosen"]  # fmt: skip
    kept = np.repeat(is_chosen.is_not_null().to_numpy(), runs.n_pairs)
    if threshold == "fast" and is_fast is not None:
        kept &= is_fast
    number = number_vertices(
        shares, [(runs.older, runs.newer)], has_fast="weight_fast" in edges.columns
    )
    return summarise_groups(shares, [(runs.older[kept], runs.newer[kept])], number)


def summarise_groups(
    shares: Shares, blocks: Iterable[tuple[np.ndarray, np.ndarray]], number: np.ndarray
) -> pl.DataFrame:
    """Count the accounts of each object as `group_stats` does, the pairs in blocks.

    Parameters
    ----------
    shares
        All shares.
    blocks
        The pairs that count, in any order.
    number
        From `number_vertices`.
    """
    is_first, is_end = np.zeros(shares.n_shares, bool), np.zeros(shares.n_shares, bool)
    for older, newer in blocks:
        turned = number[shares.account[older]] > number[shares.account[newer]]
        is_first[np.where(turned, newer, older)] = True
        is_end[older] = is_end[newer] = True
    counts = _count_accounts(shares, is_first, "num_accounts").join(
        _count_accounts(shares, is_end, "n_accounts"), on="object"
    )
    return (
        shares.objects.select("kind", object_id="value")
        .with_columns(object=pl.int_range(pl.len(), dtype=pl.Int32))
        .join(counts, on="object")
        .sort("num_accounts", "kind", "object_id", descending=[True, False, False])
        .drop("object")
    )


def _count_accounts(shares: Shares, counted: np.ndarray, name: str) -> pl.DataFrame:
    ends = pl.DataFrame({"object": shares.object[counted], "account": shares.account[counted]})
    return ends.unique().group_by("object").agg(pl.len().cast(pl.Int64).alias(name))


def number_vertices(
    shares: Shares, blocks: Iterable[tuple[np.ndarray, np.ndarray]], *, has_fast: bool = False
) -> np.ndarray:
    """Give the accounts igraph's order: of an edge, it names the end that comes first here.

    Vertices are numbered as they appear in the tool's table of edges: all first columns, then all
    second ones. The objects of one post are taken in ascending order; a store knows no other.
    Shares of accounts that are too rare to be compared are not among those of the run, as
    `read_shares` leaves them out.

    Parameters
    ----------
    shares
        All shares.
    blocks
        All pairs, in any order.
    has_fast
        The pairs went through `flag_speed_share`, which sorts them by their contents there.

    Returns
    -------
        Ascending with igraph's numbers, (n_accounts,); accounts without pairs come last.
    """
    place, n_accounts = _place_rows(shares), shares.accounts.height
    first_of_object = np.full(shares.objects.height, place.size)
    np.minimum.at(first_of_object, shares.object, place)
    # Where each account first appears in the first column, and in the second.
    least = np.full((2 * n_accounts, 5 if has_fast else 3), np.iinfo(np.int64).max)
    for older, newer in blocks:
        one, other = place[older], place[newer]
        keys = [first_of_object[shares.object[older]], np.maximum(one, other),
                np.minimum(one, other)]  # fmt: skip
        if has_fast:
            keys = [shares.content[older], shares.content[newer], *keys]
        place_in_table = np.column_stack(keys).astype(np.int64, copy=False)
        ends = shares.account[older], shares.account[newer]
        _keep_least(np.minimum(*ends), place_in_table, least[:n_accounts])
        _keep_least(np.maximum(*ends), place_in_table, least[n_accounts:])
    by_appearance = np.lexsort((*least.T[::-1], np.arange(2 * n_accounts) // n_accounts))
    appears = least[by_appearance, 0] != np.iinfo(np.int64).max
    vertices = by_appearance[appears] % n_accounts
    number = np.full(n_accounts, vertices.size)
    np.minimum.at(number, vertices, np.arange(vertices.size))
    return number


@numba.njit(cache=CACHE, nogil=True)
def _keep_least(rows: Any, keys: Any, least: Any) -> None:
    """Put keys[i] in the place of least[rows[i]] where it comes before it."""
    for place in range(rows.size):
        known = least[rows[place]]
        for column in range(keys.shape[1]):
            if keys[place, column] != known[column]:
                if keys[place, column] < known[column]:
                    known[:] = keys[place]
                break
