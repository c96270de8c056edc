"""Weighted edges -> the coordination network: its components, its communities, who weighs most.

Accounts are row numbers of the account table, in ascending order of their ids. Accounts without
edges are not in the network: their labels are -1 here and null in tables.
Labels are canonical: 0 = largest, ties by smallest account, whatever the order of the edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.backend import Backend
from gpu_coord.network.settings import NetworkSettings

UNLABELLED = "unlabelled"
MAX_CLASSES = 200


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Directed edges between accounts, sorted by (source, target), and the accounts' labels."""

    n_accounts: int  # those without edges included
    source: np.ndarray  # account, int32 (n_edges,)
    target: np.ndarray  # account, int32 (n_edges,)
    weight: np.ndarray  # positive, float64 (n_edges,)
    component: np.ndarray  # weakly connected, int32 (n_accounts,); -1 = no edges
    strong_component: np.ndarray  # a path both ways, int32 (n_accounts,); -1 = no edges
    community: np.ndarray  # connected, inside one component, int32 (n_accounts,); -1 = no edges
    pagerank: np.ndarray  # rank passed from targets to sources (n_accounts,); 0 = no edges
    core_number: np.ndarray  # directions ignored, int32 (n_accounts,); 0 = no edges

    def __repr__(self) -> str:
        return (
            f"Network({np.count_nonzero(self.component >= 0):,} of {self.n_accounts:,} accounts, "
            f"{self.n_edges:,} edges, {self.n_components:,} components, "
            f"{self.n_communities:,} communities)"
        )

    @property
    def n_edges(self) -> int:
        """Number of directed edges."""
        return self.source.size

    @property
    def n_components(self) -> int:
        """Number of weakly connected components of two accounts or more."""
        return _count_labels(self.component)

    @property
    def n_communities(self) -> int:
        """Number of communities."""
        return _count_labels(self.community)


def build_network(
    source: Any,
    target: Any,
    weight: Any,
    *,
    n_accounts: int,
    backend: Backend,
    resolution: float = 1.0,
    seed: int = 0,
) -> Network:
    """Build the network of weighted edges, with its components and communities.

    Parameters
    ----------
    source, target
        Account indices, each ordered pair at most once, never an account with itself, (n_edges,).
    weight
        Positive weights, (n_edges,).
    n_accounts
        Number of accounts, those without edges included.
    backend
        Where the labels are computed.
    resolution
        Of the communities: above 1 gives more and smaller ones, below 1 fewer and larger ones.
    seed
        Of the communities.

    Raises
    ------
    ValueError
        If an edge breaks one of these rules, or the resolution or the seed is out of range.
    """
    NetworkSettings(resolution=resolution, seed=seed)  # refuses what is out of range
    edges = _sort_edges(
        np.asarray(backend.to_host(source)),
        np.asarray(backend.to_host(target)),
        np.asarray(backend.to_host(weight), dtype=np.float64),
        n_accounts,
    )
    linked = np.zeros(n_accounts, dtype=bool)
    linked[edges[0]] = linked[edges[1]] = True
    weak, strong = (
        backend.components(*edges[:2], n_accounts, connection=connection)
        for connection in ("weak", "strong")
    )
    community = _find_communities(*edges, n_accounts, backend, resolution, seed)
    pagerank, core_number = _find_centre(*edges, linked, backend)
    return Network(
        n_accounts,
        *edges,
        component=_order_labels(weak, linked),
        strong_component=_order_labels(strong, linked),
        community=_order_labels(community, linked),
        pagerank=pagerank,
        core_number=core_number,
    )


def score_accounts(network: Network) -> pl.DataFrame:
    """Score every account: apparent influence, degrees and labels.

    Returns
    -------
        One row per account: ``influence`` (weight of its outgoing edges; 0 without), ``in_weight``,
        ``out_degree``, ``in_degree``, ``pagerank``, ``core_number``, ``component``,
        ``strong_component``, ``community`` (null without edges).
    """
    n_accounts = network.n_accounts
    labels = {
        name: pl.Series(getattr(network, name))
        for name in ("component", "strong_component", "community")
    }
    return pl.DataFrame(
        {
            "influence": sum_weights(network.source, network.weight, n_accounts),
            "in_weight": sum_weights(network.target, network.weight, n_accounts),
            "out_degree": np.bincount(network.source, minlength=n_accounts).astype(np.int32),
            "in_degree": np.bincount(network.target, minlength=n_accounts).astype(np.int32),
            "pagerank": network.pagerank,
            "core_number": network.core_number,
            **labels,
        }
    ).with_columns(pl.when(pl.col(name) >= 0).then(pl.col(name)) for name in labels)


def summarise_components(network: Network, accounts: pl.DataFrame) -> pl.DataFrame:
    """Summarise each weakly connected component.

    Parameters
    ----------
    network
        The network.
    accounts
        ``account_id`` and ``label`` of every account; row = account.

    Returns
    -------
        One row per component, largest first: ``component, n_accounts, n_edges, density`` (edges
        per ordered pair), ``total_weight, mean_weight, top_account_id`` (largest influence inside;
        ties by smallest account), ``n_labelled`` (accounts with a label), ``main_label`` (most
        frequent, ties in alphabetical order) and ``main_label_share`` (of the labelled accounts).
    """
    return _summarise_groups(network, accounts, "component")


def summarise_communities(network: Network, accounts: pl.DataFrame) -> pl.DataFrame:
    """Summarise each community: the columns of `summarise_components`, and its component.

    Edges between communities count in none. A community of one account has no density and no
    mean weight.

    Parameters
    ----------
    network
        The network.
    accounts
        ``account_id`` and ``label`` of every account; row = account.
    """
    members = pl.DataFrame({"community": network.community, "component": network.component})
    component_of = members.unique("community", keep="any")
    table = _summarise_groups(network, accounts, "community")
    return table.join(component_of, on="community", how="left", maintain_order="left").select(
        "community", "component", pl.exclude("community", "component")
    )


def summarise_classes(
    edges: pl.DataFrame, accounts: pl.DataFrame, *, kinds: Sequence[str]
) -> pl.DataFrame:
    """Summarise the edges between classes of accounts, as the paper compares them.

    Parameters
    ----------
    edges
        ``source, target`` (accounts), ``weight`` and ``weight_<kind>`` of each kind.
    accounts
        ``label`` of every account; row = account. Those without one are the class ``unlabelled``.
    kinds
        The kinds of entities to report beside ``all``.

    Returns
    -------
        One row per kind and ordered pair of classes: ``kind, source_label, target_label,
        n_source_accounts, n_target_accounts, n_pairs`` (ordered pairs of distinct accounts),
        ``n_edges`` (weight of that kind above 0), ``total_weight, mean_weight`` (of these edges;
        the mean is null without) and ``mean_weight_per_pair`` (their weight over all pairs; null
        without pairs).

    Raises
    ------
    ValueError
        If ``edges`` lacks the weight of a kind.
    """
    columns = [("all", "weight"), *((kind, f"weight_{kind}") for kind in kinds)]
    if missing := [name for _, name in columns if name not in edges.columns]:
        raise ValueError(f"edges lack the columns {missing}; they have {edges.columns}.")
    names, class_of = _classify_accounts(accounts["label"])
    if len(names) > MAX_CLASSES:
        raise ValueError(
            f"the accounts have {len(names)} different labels; a table of pairs of classes has at "
            f"most {MAX_CLASSES}: label them more coarsely."
        )
    pairs = _pair_classes(names, np.bincount(class_of, minlength=len(names)))
    pair_of = class_of[edges["source"].to_numpy()] * len(names)
    pair_of += class_of[edges["target"].to_numpy()]
    tables = [
        _sum_class_edges(edges[column].to_numpy(), pair_of, pairs).select(
            pl.lit(kind).alias("kind"), pl.all()
        )
        for kind, column in columns
    ]
    return pl.concat(tables)


def _count_labels(labels: np.ndarray) -> int:
    return int(labels.max(initial=-1)) + 1


def sum_weights(owner: np.ndarray, weight: np.ndarray, n_owners: int) -> np.ndarray:
    """Return the sum of the weights of each owner, (n_owners,)."""
    # Without any edge, bincount forgets the weights and counts in integers.
    return np.bincount(owner, weight, n_owners).astype(np.float64, copy=False)


def _sort_edges(
    source: np.ndarray, target: np.ndarray, weight: np.ndarray, n_accounts: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the edges in ascending order of (source, target), once they are found sound."""
    if not source.shape == target.shape == weight.shape == (source.size,):
        raise ValueError(
            f"source, target and weight have shapes {source.shape}, {target.shape} and "
            f"{weight.shape}; they must be flat and of one length."
        )
    _refuse_edges((source < 0) | (source >= n_accounts), source, target, "has an unknown source")
    _refuse_edges((target < 0) | (target >= n_accounts), source, target, "has an unknown target")
    _refuse_edges(source == target, source, target, "links an account to itself")
    _refuse_edges(
        ~(np.isfinite(weight) & (weight > 0)), source, target, "has a weight that is not above 0"
    )
    key = source.astype(np.int64) * n_accounts + target
    order = np.argsort(key, kind="stable")
    source, target, weight, key = source[order], target[order], weight[order], key[order]
    repeated = np.zeros(key.size, dtype=bool)
    repeated[1:] = key[1:] == key[:-1]
    _refuse_edges(repeated, source, target, "occurs more than once")
    return source.astype(np.int32), target.astype(np.int32), weight


def _refuse_edges(bad: np.ndarray, source: np.ndarray, target: np.ndarray, fault: str) -> None:
    if bad.any():
        first = int(bad.argmax())
        raise ValueError(
            f"The edge {source[first]} -> {target[first]} {fault} (one of "
            f"{np.count_nonzero(bad)} such edges); leave these out or merge them first."
        )


def _find_communities(
    source: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    n_accounts: int,
    backend: Backend,
    resolution: float,
    seed: int,
) -> np.ndarray:
    label = backend.communities(
        source, target, weight, n_accounts, resolution=resolution, seed=seed
    )
    # Not every implementation of Leiden keeps communities connected. Splitting one that is not
    # can only raise the modularity.
    inside = label[source] == label[target]
    return backend.components(source[inside], target[inside], n_accounts, connection="weak")


def _find_centre(
    source: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    linked: np.ndarray,
    backend: Backend,
) -> tuple[np.ndarray, np.ndarray]:
    """Return PageRank and core number of each account; 0 without edges."""
    pagerank, core_number = np.zeros(linked.size), np.zeros(linked.size, np.int32)
    if not source.size:
        return pagerank, core_number
    row = np.cumsum(linked, dtype=np.int32) - 1
    n_linked = int(linked.sum())
    # Targets follow: what they are worth goes to those whom they follow.
    pagerank[linked] = backend.ranks(row[target], row[source], weight, n_linked)
    core_number[linked] = backend.cores(row[source], row[target], n_linked)
    return pagerank, core_number


def _order_labels(labels: np.ndarray, linked: np.ndarray) -> np.ndarray:
    """Rename labels to 0 = largest, ties by smallest account; -1 where an account has no edges."""
    members = np.flatnonzero(linked)
    _, first, group, size = np.unique(
        labels[members], return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(size.size, dtype=np.int32)
    rank[np.lexsort((first, -size))] = np.arange(size.size)
    ordered = np.full(labels.size, -1, dtype=np.int32)
    ordered[members] = rank[group]
    return ordered


def _summarise_groups(network: Network, accounts: pl.DataFrame, name: str) -> pl.DataFrame:
    if accounts.height != network.n_accounts:
        raise ValueError(
            f"accounts has {accounts.height} rows, the network {network.n_accounts} accounts; "
            "pass the table that the account indices refer to."
        )
    group: np.ndarray = getattr(network, name)
    inside = group[network.source] == group[network.target]
    source, weight = network.source[inside], network.weight[inside]
    members = accounts.select(
        pl.col("account_id"),
        pl.col("label").cast(pl.String),
        pl.Series(name, group),
        pl.Series("influence", sum_weights(source, weight, network.n_accounts)),
    ).filter(pl.col(name) >= 0)
    links = pl.DataFrame(
        {
            name: np.arange(_count_labels(group), dtype=np.int32),
            "n_edges": np.bincount(group[source], minlength=_count_labels(group)),
            "total_weight": sum_weights(group[source], weight, _count_labels(group)),
        }
    )
    return (
        links.join(_describe_members(members, name), on=name)
        .join(_find_main_labels(members, name), on=name, how="left")
        .with_columns(n_pairs=pl.col("n_accounts") * (pl.col("n_accounts") - 1))
        .select(
            pl.col(name, "n_accounts", "n_edges"),
            _divide("n_edges", "n_pairs").alias("density"),
            pl.col("total_weight"),
            _divide("total_weight", "n_edges").alias("mean_weight"),
            pl.col("top_account_id", "n_labelled", "main_label"),
            _divide("n_main_label", "n_labelled").alias("main_label_share"),
        )
        .sort(name)
    )


def _describe_members(members: pl.DataFrame, name: str) -> pl.DataFrame:
    by_influence = members.sort("influence", descending=True, maintain_order=True)
    return by_influence.group_by(name, maintain_order=True).agg(
        n_accounts=pl.len().cast(pl.Int64),
        top_account_id=pl.col("account_id").first(),
        n_labelled=pl.col("label").count().cast(pl.Int64),
    )


def _find_main_labels(members: pl.DataFrame, name: str) -> pl.DataFrame:
    counts = members.drop_nulls("label").group_by(name, main_label="label")
    return (
        counts.agg(n_main_label=pl.len())
        .sort("n_main_label", "main_label", descending=[True, False])
        .unique(name, keep="first", maintain_order=True)
    )


def _classify_accounts(label: pl.Series) -> tuple[list[str], np.ndarray]:
    filled = label.cast(pl.String).fill_null(UNLABELLED)
    names = filled.unique().sort().to_list()
    return names, filled.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64)


def _pair_classes(names: list[str], size: np.ndarray) -> pl.DataFrame:
    source, target = np.indices((size.size, size.size)).reshape(2, -1)
    return pl.DataFrame(
        {
            "source_label": pl.Series(names, dtype=pl.String).gather(source),
            "target_label": pl.Series(names, dtype=pl.String).gather(target),
            "n_source_accounts": size[source],
            "n_target_accounts": size[target],
            "n_pairs": size[source] * (size[target] - (source == target)),
        }
    )


def _sum_class_edges(weight: np.ndarray, pair_of: np.ndarray, pairs: pl.DataFrame) -> pl.DataFrame:
    edge = weight > 0
    return pairs.with_columns(
        pl.Series("n_edges", np.bincount(pair_of[edge], minlength=pairs.height)),
        pl.Series("total_weight", sum_weights(pair_of[edge], weight[edge], pairs.height)),
    ).with_columns(
        _divide("total_weight", "n_edges").alias("mean_weight"),
        _divide("total_weight", "n_pairs").alias("mean_weight_per_pair"),
    )


def _divide(part: str, whole: str) -> pl.Expr:
    """Return the ratio of two columns, null where there is nothing to divide by."""
    return pl.when(pl.col(whole) > 0).then(pl.col(part) / pl.col(whole))
