"""Shares, edges and a network -> the tables of a run folder, by the ids of what they name."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.chance.coactivity import rank_weights
from gpu_coord.network.network import (
    Network,
    score_accounts,
    summarise_classes,
    summarise_communities,
    summarise_components,
)
from gpu_coord.results.findings import IN_NETWORK
from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.summaries import (
    COUNTS,
    rank_objects,
    rank_posts,
    score_sharing,
    summarise_sharing,
    tabulate_shares,
)
from gpu_coord.store.store import Store, name_accounts, name_entities

PAIRS_SCHEMA: dict[str, Any] = {
    "object_id": pl.String, "account_id": pl.String, "account_id_y": pl.String,
    "content_id": pl.String, "content_id_y": pl.String, "time_delta": pl.Float64,
    "kind": pl.String, "time": pl.Datetime("ms", "UTC"),
}  # fmt: skip


@dataclass(frozen=True)
class RunTables:
    """What the tables of a run are made of."""

    store: Store
    shares: Shares
    network: Network
    edges: pl.DataFrame  # of the network, ends by row
    n_pairs: np.ndarray  # of shares, of each object
    popularity: np.ndarray  # accounts of each object
    coordinated: np.ndarray  # which shares are in a pair, or a bin
    scores: dict[str, Any]  # more columns of accounts: what to read them by
    is_directed: bool
    lists_shares: bool  # as CooRnet does

    def build(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield the tables by name, one at a time."""
        accounts = self.accounts
        kinds = sorted(self.shares.objects["kind"].cast(pl.String).unique(), key=str.encode)
        both = self.edges if self.is_directed else mirror_edges(self.edges)
        yield "accounts", accounts
        yield "components", self._count(summarise_components(self.network, accounts))
        yield "communities", self._count(summarise_communities(self.network, accounts))
        yield "classes", summarise_classes(both, accounts, kinds=kinds)
        yield "entities", self._build_entities()
        yield from self._summarise(accounts)

    @cached_property
    def accounts(self) -> pl.DataFrame:
        """``accounts.parquet``: every analysed account, its place and its shares."""
        ids = self.shares.accounts["account_id"]
        named = self.shares.accounts.with_columns(pseudonym=name_accounts(ids, self.store))
        scores = score_sharing(self.shares, self.coordinated, self.edges)
        table = named.hstack(score_accounts(self.network)).hstack(scores)
        weight = table["influence"] + table["in_weight"]
        ranked = pl.DataFrame({"co_activity": rank_weights(weight)} | self.scores)
        return table.hstack(ranked).select(
            "account_id", "label", *ranked.columns, "influence", "in_weight", "out_degree",
            "in_degree", "component", "community", "n_posts", "first_seen", "last_seen",
            "strong_component", "pagerank", "core_number", "pseudonym",
            "n_shares", "n_coord_shares", "coord_share_ratio", "coord_share_ratio_coornet",
            "coor_score",
        )  # fmt: skip

    def _count(self, table: pl.DataFrame) -> pl.DataFrame:
        """Halve what counts each undirected edge in both directions."""
        if self.is_directed:
            return table
        return table.with_columns(pl.col("n_edges") // 2, pl.col("total_weight") / 2)

    def _build_entities(self) -> pl.DataFrame:
        """Return the objects, those with the most pairs first."""
        entities = self.shares.objects.with_columns(
            pl.col("kind").cast(pl.String),
            n_accounts=pl.Series(self.popularity),
            n_events=pl.Series(np.diff(self.shares.object_start)),
            coordination=pl.Series(self.n_pairs),
        ).sort("coordination", "kind", "value", descending=[True, False, False])
        return name_entities(entities, self.store)

    def _summarise(self, accounts: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield what each part of the network shared in coordination, and the top of it."""
        profiles = self.store.read("accounts")
        if "follower_count" in profiles.columns:
            followers = profiles.select("account_id", "follower_count")
            accounts = accounts.join(followers, on="account_id", how="left", maintain_order="left")
        marked = tabulate_shares(self.shares, self.coordinated)
        if self.lists_shares:
            listed = marked.drop("row", "account", "post")
            yield "marked_shares", listed.with_columns(pl.col("time").cast(PAIRS_SCHEMA["time"]))
        for name, by in (("component", ()), ("community", ("community",))):
            yield f"{name}_sharing", summarise_sharing(marked, accounts, by=("component", *by))
        posts = self._read_engagement()
        for name, rank in (("top_objects", rank_objects), ("top_posts", rank_posts)):
            by_component = rank(marked, accounts, posts)
            overall = rank(marked, accounts, posts, by=None)
            # A component that is null stands for all of them.
            top = pl.concat([overall, by_component], how="diagonal")
            yield name, top.select(by_component.columns)

    def _read_engagement(self) -> pl.DataFrame:
        """Return the counts of the posts that were shared."""
        posts = self.store.scan("posts")
        known = [name for name in COUNTS if name in posts.collect_schema().names()]
        used = pl.LazyFrame({"post": self.shares.post}).unique()
        return posts.select("post", *known).join(used, on="post", how="semi").collect()


def describe_pairs(shares: Shares, older: np.ndarray, newer: np.ndarray) -> pl.DataFrame:
    """Return pairs of shares by their ids: the rows of ``pairs.parquet``."""
    ids = shares.accounts["account_id"]
    objects = shares.objects[shares.object[older]]
    return pl.DataFrame(
        {
            "object_id": objects["value"],
            "account_id": ids.gather(shares.account[older]),
            "account_id_y": ids.gather(shares.account[newer]),
            "content_id": shares.contents.gather(shares.content[older]),
            "content_id_y": shares.contents.gather(shares.content[newer]),
            "time_delta": (shares.time[newer] - shares.time[older]) / 1000,
            "kind": objects["kind"],
            "time": pl.Series(shares.time[older]).cast(PAIRS_SCHEMA["time"]),
        }
    )


def mark_edges(edges: pl.DataFrame, linked: pl.DataFrame) -> pl.DataFrame:
    """Mark, of all edges, those that are in the network."""
    marked = linked.select("source", "target", pl.lit(value=True).alias(IN_NETWORK))
    joined = edges.join(marked, on=["source", "target"], how="left", maintain_order="left")
    return joined.with_columns(pl.col(IN_NETWORK).fill_null(value=False))


def mirror_edges(edges: pl.DataFrame) -> pl.DataFrame:
    """Return each edge in both directions: what is undirected weighs the same both ways."""
    swapped = edges.rename({"source": "target", "target": "source"}).select(edges.columns)
    return pl.concat([edges, swapped])


def name_ends(edges: pl.DataFrame, shares: Shares) -> pl.DataFrame:
    """Return edges with the ids of accounts in the place of their rows."""
    ids = shares.accounts["account_id"]
    return edges.with_columns(ids.gather(edges[end]).alias(end) for end in ("source", "target"))
