"""A run, its store and a model -> what roles are made of: the network, uses, what partners did.

The one idea: accounts and objects are those of the run, found again in the store by their ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.accounts.roles.adoption import Uses
from gpu_coord.accounts.roles.following import (
    Cells,
    Following,
    key_pairs,
    match_cells,
    match_pairs,
)
from gpu_coord.accounts.roles.position import Flows
from gpu_coord.backend import choose
from gpu_coord.ground.times import parse_duration, parse_time
from gpu_coord.results.findings import Findings
from gpu_coord.store.queries import map_entities, rank_entities, scan_table, select_range
from gpu_coord.store.store import Store

_RETWEET = "retweet"
_COMMANDS = ("detect", "share")


def get_command(findings: Findings) -> str:
    """Return the command that made a run.

    Raises
    ------
    ValueError
        Roles are not for runs of that command.
    """
    command = findings.command
    if command not in _COMMANDS:
        raise ValueError(
            f"the run {findings.path} was made by {command}; roles are for runs of "
            f"{' and '.join(_COMMANDS)}."
        )
    return command


# --- the run ---------------------------------------------------------------------------------


def _take_later(edges: pl.DataFrame) -> pl.DataFrame:
    """Return the edges at lags above 0; all of them where there is no other lag."""
    later = edges.filter(pl.col("lag") > 0)
    return edges if later.is_empty() else later


def _name_counts(columns: Sequence[str]) -> tuple[str, str | None]:
    """Return the columns of what was seen of an edge and what chance makes of it.

    Version 0.1 tested coincidences.
    """
    if "expected_habit" in columns:
        return "n_hours", "expected_habit"
    return "support", "expected" if "expected" in columns else None


@dataclass(frozen=True)
class Analysed:
    """A run of `detect` or `share`, and the store that it was made from."""

    findings: Findings
    store: Store
    command: str

    @cached_property
    def accounts(self) -> pl.DataFrame:
        """``accounts.parquet``; row = account."""
        return self.findings.read("accounts")

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """Component and community of each account, -1 without edges."""
        columns = {name: self.accounts[name].fill_null(-1) for name in ("component", "community")}
        return {name: column.to_numpy().astype(np.int64) for name, column in columns.items()}

    def number(self, ids: pl.Series) -> np.ndarray:
        """Return the rows of accounts by their ids."""
        known = self.accounts.select("account_id").with_row_index("row")
        rows = ids.to_frame("account_id").join(
            known, on="account_id", how="left", maintain_order="left"
        )
        return rows["row"].to_numpy().astype(np.int64)

    # --- the network -------------------------------------------------------------------------

    @cached_property
    def edges(self) -> pl.DataFrame:
        """The edges of the network: ``source, target`` (ids), ``weight`` and what else they have.

        Raises
        ------
        ValueError
            They are not as many as the accounts' degrees say.
        """
        edges = self.findings.read_network()
        n_said = int(self.accounts["out_degree"].sum()) // (1 if self.findings.is_directed else 2)
        if edges.height != n_said:
            raise ValueError(
                f"{self.findings.path} has {edges.height} edges in its network, but its accounts "
                f"have {n_said}; repeat the run."
            )
        return edges

    @cached_property
    def flows(self) -> Flows:
        """Who leads whom, and how much.

        After `detect` the hours above those that habits make (all coincidences where chance was not
        computed), at lags above 0, where there is one: in the same bin nobody leads. Unlike
        weights, rare accounts have no large ones. After `share` the weight, as far as the source
        was first: such edges have no direction of their own.
        """
        edges = _take_later(self.edges) if self.command == "detect" else self.edges
        source, target = self.number(edges["source"]), self.number(edges["target"])
        if self.command == "detect":
            observed, expected = _name_counts(edges.columns)
            chance = edges[expected] if expected else 0
            weight = (edges[observed] - chance).cast(pl.Float64).to_numpy()
        else:
            weight = (edges["weight"] * edges["source_first"]).to_numpy()
            if not self.findings.is_directed:
                source, target = np.r_[source, target], np.r_[target, source]
                weight = np.r_[weight, edges["weight"].to_numpy() - weight]
        kept = weight > 0
        return Flows(self.accounts.height, source[kept], target[kept], weight[kept])

    @cached_property
    def partners(self) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of accounts whose order is looked at, each once, as rows of accounts.

        Where edges were tested one direction at a time, being an edge tells of a direction: among
        the accounts of the network, as many pairs as it links are taken by what both directions
        have together. Otherwise they are the pairs that it links.
        """
        edges, n_accounts = self.edges, self.accounts.height
        edges = _take_later(edges) if self.command == "detect" else edges
        keys = np.unique(self._key_ends(edges))
        if self.command == "detect" and "expected" in edges.columns:
            keys = self._rank_pairs(keys.size)
        return keys // n_accounts, keys % n_accounts

    def _key_ends(self, edges: pl.DataFrame) -> np.ndarray:
        ends = self.number(edges["source"]), self.number(edges["target"])
        return key_pairs(*ends, self.accounts.height)

    def _rank_pairs(self, n_pairs: int) -> np.ndarray:
        """Return the pairs with the most coincidences, both ways together, for those expected."""
        ids = pl.concat([self.edges["source"], self.edges["target"]]).unique()
        between = pl.all_horizontal(pl.col("source", "target").is_in(ids.implode()))
        edges = _take_later(self.findings.scan("edges").filter(between).collect())
        counts = dict(zip(("observed", "expected"), _name_counts(edges.columns), strict=True))
        observed, expected = pl.col("observed"), pl.col("expected")
        deviance = observed * (observed / expected).log() - (observed - expected)
        pairs = (
            edges.select(**counts, key=pl.Series(self._key_ends(edges)))
            .group_by("key")
            # Both directions expect alike; one without any weight is not in the table.
            .agg(pl.col("observed").sum(), pl.col("expected").mean() * 2)
            .with_columns(
                deviance=pl.when(observed > expected).then(deviance).otherwise(-deviance).round(9)
            )
        )
        strongest = pairs["deviance"].top_k(n_pairs)
        if strongest.is_empty():
            return np.empty(0, np.int64)
        return pairs.filter(pl.col("deviance") >= strongest.min())["key"].sort().to_numpy()

    # --- uses --------------------------------------------------------------------------------

    def _scan_uses(self) -> pl.LazyFrame:
        """Return post, store account, object (rank of kind and value) and time of all uses."""
        analysed = self.findings.read("entities").select(pl.col("kind", "value").cast(pl.String))
        members = map_entities(self.store, analysed["kind"].unique().sort().to_list())
        ranked = rank_entities(members.join(analysed, on=["kind", "value"], how="semi"))
        columns = ("post", "account", "entity", "time")
        events = scan_table(self.store, "events", *columns, backend=choose("cpu"))
        uses: pl.LazyFrame = events.filter(self._select_span()).to_native()
        uses = uses.join(ranked.lazy().select("entity", object="row"), on="entity")
        uses = uses.select("post", "account", "object", "time")
        # Several urls of a post can be of one domain.
        return uses.unique() if ranked["row"].is_duplicated().any() else uses

    def _select_span(self) -> Any:
        settings = self.findings.content["settings"]
        bounds = (settings[name] for name in ("start", "end"))
        return select_range(*(None if bound is None else parse_time(bound) for bound in bounds))

    def _scan_rows(self) -> pl.LazyFrame:
        """Return the store's number of each analysed account, and its row."""
        known = self.accounts.lazy().select("account_id").with_row_index("row")
        stored = self.store.scan("accounts").select("account", "account_id")
        return stored.join(known, on="account_id").select("account", pl.col("row").cast(pl.Int64))

    @cached_property
    def uses(self) -> Uses:
        """The uses of analysed objects by analysed accounts, in the time range."""
        rows = self._scan_uses().join(self._scan_rows(), on="account")
        table = rows.select("object", "time", "row").sort("object", "time", "row").collect()
        return Uses(*(table[name].to_numpy().astype(np.int64) for name in table.columns))

    def count_firsts(self) -> np.ndarray:
        """Count the objects that each account was the first in the archive to use.

        Those who were first at the same time share; accounts that the run left out count too.
        """
        first_uses = self._scan_uses().group_by("object", "account").agg(pl.col("time").min())
        is_first = pl.col("time") == pl.col("time").min().over("object")
        firsts = (
            first_uses.filter(is_first)
            .with_columns(share=1 / pl.len().over("object"))
            .join(self._scan_rows(), on="account")
            .select("row", "share")
            .sort("row", "share")
            .collect()
        )
        return np.bincount(firsts["row"], firsts["share"], self.accounts.height)

    def measure_retweets(self) -> pl.Series:
        """Return the share of each account's posts that are retweets; null where none is known."""
        n_posts = self.accounts["n_posts"]
        kinds = self.store.scan("entities").select(pl.col("kind").cast(pl.String).unique())
        if _RETWEET not in kinds.collect()["kind"]:
            return pl.Series("retweet_share", [None] * n_posts.len(), dtype=pl.Float64)
        columns = ("post", "account", "time", "kind")
        events = scan_table(self.store, "events", *columns, backend=choose("cpu"))
        posts: pl.LazyFrame = events.filter(self._select_span()).to_native()
        retweets = (
            posts.filter(pl.col("kind").cast(pl.String) == _RETWEET)
            .join(self._scan_rows(), on="account")
            .group_by("row")
            .agg(n=pl.col("post").n_unique())
            .collect()
        )
        counts = np.zeros(n_posts.len())
        counts[retweets["row"].to_numpy()] = retweets["n"].to_numpy()
        return pl.select(retweet_share=pl.Series(counts) / n_posts).to_series()

    # --- what partners did -------------------------------------------------------------------

    def follow(self, is_core: np.ndarray) -> tuple[Following, np.ndarray]:
        """Return what partners did around each use, and how many uses each account has.

        Parameters
        ----------
        is_core
            Booleans, (n_accounts,).
        """
        source, target = self.partners
        if self.command == "share":
            pairs = self.findings.scan("pairs")
            ids = self.accounts["account_id"]
            n_uses = np.bincount(self.uses.account, minlength=ids.len())
            return match_pairs(pairs, ids, source, target, is_core), n_uses
        settings = self.findings.content["settings"]
        cells = self._cut_uses(1000 * parse_duration(settings["bin"]), source, target)
        following = match_cells(cells, source, target, lags=settings["lags"], is_core=is_core)
        return following, np.bincount(cells.account, minlength=is_core.size)

    def _cut_uses(self, bin_ms: int, source: np.ndarray, target: np.ndarray) -> Cells:
        """Return the active cells of the accounts with partners."""
        uses = self.uses
        has_partners = np.zeros(self.accounts.height, bool)
        has_partners[source] = has_partners[target] = True
        kept = has_partners[uses.account]
        columns = (uses.object[kept], uses.time[kept] // bin_ms, uses.account[kept])
        names = ("object", "bin", "account")
        cells = pl.DataFrame(dict(zip(names, columns, strict=True))).unique().sort(names)
        return Cells(*(cells[name].to_numpy() for name in names))


# --- the model -------------------------------------------------------------------------------


def read_model(findings: Findings, model: Findings) -> pl.DataFrame:
    """Return what a model says of the accounts of a run.

    Parameters
    ----------
    findings
        The run.
    model
        A model of the same store.

    Returns
    -------
        ``immigrant_ratio, caused``, row = account of the run; null for accounts without.

    Raises
    ------
    ValueError
        It was made from another store, or lacks what is needed.
    """
    if model.content["input"]["manifest_sha256"] != findings.content["input"]["manifest_sha256"]:
        raise ValueError(
            f"the model {model.path} was made from another store than the run {findings.path}; "
            "fit it to the store of the run."
        )
    names = ["account_id", "immigrant_ratio", "caused"]
    scores = model.read("accounts", names)
    numbers = scores.select("account_id", pl.col(names[1:]).cast(pl.Float64).fill_nan(None))
    accounts = findings.read("accounts").select("account_id")
    return accounts.join(numbers, on="account_id", how="left", maintain_order="left").select(
        names[1:]
    )
