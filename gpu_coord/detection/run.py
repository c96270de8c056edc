"""Store -> run folder: the stages in their order, with what they cost.

The only file that knows the order; the stages take values and can be used alone.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from gpu_coord.activity.cells import Activity, build_activity
from gpu_coord.activity.counts import Margins
from gpu_coord.activity.settings import MatchSettings
from gpu_coord.activity.weights import Edges, Weigher, join_edges
from gpu_coord.chance.effects import tabulate_effects
from gpu_coord.chance.grades import grade_significant
from gpu_coord.chance.lags import tabulate_lags
from gpu_coord.chance.tests import PairTests
from gpu_coord.chance.tiers import TierChoice, choose_tier, describe_tests
from gpu_coord.detection.edges import (
    EdgeWriter,
    name_weights,
    no_edges,
    read_block,
    tabulate_block,
)
from gpu_coord.detection.evidence import (
    EvidenceCount,
    Links,
    join_links,
    link_groups,
    write_evidence,
)
from gpu_coord.detection.room import check_events, check_pairs
from gpu_coord.detection.settings import DetectSettings
from gpu_coord.detection.stages import (
    Stages,
    attribute,
    choose_network,
    move_to_host,
    tabulate_ranks,
)
from gpu_coord.ground.parquet import scan_parquet
from gpu_coord.groups.groups import Groups
from gpu_coord.network.exports import export_network
from gpu_coord.network.network import (
    Network,
    score_accounts,
    sum_weights,
    summarise_classes,
    summarise_communities,
    summarise_components,
)
from gpu_coord.results.command import Work, writes
from gpu_coord.store.store import name_accounts, name_entities
from gpu_coord.store.strays import warn_of_strays

_N_STRONGEST = 40  # both directions of twenty pairs
_NO_MEMBERS = pl.DataFrame(schema={"group": pl.Int32, "account": pl.Int32})


@writes("detect", DetectSettings, uses_workers=True)
def detect(work: Work, *, graphs: bool = False) -> None:
    """Find the coordination network of a store, and write it as a run folder.

    Raises
    ------
    ValueError
        A setting is out of range, or nothing is left to analyse.
    """
    _run(work, work.settings, graphs=graphs)
    for half, settings in _split(work.settings).items():
        with work.open_part(half, settings) as part:
            try:
                _run(part, settings, graphs=graphs, is_half=True)
            except ValueError as error:
                raise ValueError(f"{half} the split: {error}") from error


def _split(settings: DetectSettings) -> dict[str, DetectSettings]:
    """Return the settings of the halves of a split, by folder."""
    if settings.split_at is None:
        return {}
    return {
        "before": replace(settings, split_at=None, end=settings.split_at),
        "after": replace(settings, split_at=None, start=settings.split_at),
    }


@dataclass(frozen=True)
class _Found:
    """What the stages of a run found."""

    stages: Stages
    margins: Sequence[Margins]  # at each lag
    tests: PairTests | None
    choice: TierChoice | None  # which tier makes the network
    edges: Edges  # of the network
    carried: np.ndarray  # weight of the network that each entity carries
    network: Network
    groups: Groups | None


def _run(work: Work, settings: DetectSettings, *, graphs: bool, is_half: bool = False) -> None:
    """Write one run: the stages in their order, their cost and their files."""
    with work.time("activity"):
        check_events(work, settings)
        chosen = settings.pick(MatchSettings)
        activity = build_activity(work.store, labels=work.labels, backend=work.backend, **chosen)
        if not is_half:  # of the strays of a half it was said before
            work.describe(stretched=_warn_of_strays(work, activity))
        stages = Stages(activity, memory=work.memory, progress=work.clock.report)
        margins = stages.list_margins(settings.lags)
        check_pairs(work, settings, stages, margins)
    tests = choice = groups = None
    if settings.is_tested:
        with work.time("chance"):
            tests = stages.test_pairs(settings, margins)
            tests = grade_significant(activity, stages.index, margins, tests)
            choice = choose_tier(tests, settings.tier)
    with work.time("pairs"):
        edges, carried = _find_edges(work, settings, stages, margins, tests, choice)
    with work.time("network"):
        network = stages.build_network(edges, settings)
    if settings.has_groups:
        with work.time("groups"):
            groups = stages.find_groups(settings)
    found = _Found(stages, margins, tests, choice, edges, carried, network, groups)
    if tests is not None:
        with work.time("effects"):
            work.write(_tabulate_effects(found, settings))
    with work.time("evidence"):
        n_evidence = _write_evidence(work, settings, found)
    with work.time("tables"):
        _write_tables(work, found, graphs=graphs)
    _describe(work, found, n_evidence)


def _warn_of_strays(work: Work, activity: Activity) -> str | None:
    """Warn of a few posts that make most of the bins; an account's cells in a bin are one."""
    _, bin, account = activity.read_cells()
    bins = pl.DataFrame({"bin": bin, "account": account}).unique()["bin"].to_numpy()
    width = 1000 * activity.bin_seconds
    times = (activity.first_bin + bins.astype(np.int64)) * width
    return warn_of_strays(work.store, times, activity.kinds, width=width)


def _find_edges(
    work: Work,
    settings: DetectSettings,
    stages: Stages,
    margins: Sequence[Margins],
    tests: PairTests | None,
    choice: TierChoice | None,
) -> tuple[Edges, np.ndarray]:
    """Write all edges; return the network's, and what of their weight each entity carries."""
    activity = stages.activity
    weighers = [Weigher(activity, stages.index, margin, settings.rule) for margin in margins]
    take = partial(
        _take_block, weighers=weighers, tests=tests, choice=choice, memory=stages.block_bytes
    )
    carried = np.zeros(activity.n_entities)
    kept = [no_edges(len(activity.kinds))]
    path = work.folder / "edges.parquet"
    with EdgeWriter(path, activity.accounts, activity.kinds, tests) as writer:
        for table, entity, share in stages.find_edges(settings, weighers, take):
            carried[entity] += share
            edges, in_network = read_block(table)
            kept.append(edges.take(in_network))
            writer.add(edges, in_network)
    return join_edges(kept), carried


def _take_block(
    found: Edges,
    *,
    weighers: Sequence[Weigher],
    tests: PairTests | None,
    choice: TierChoice | None,
    memory: int,
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Return the edges of a block, and what of the network's weight which entities carry."""
    backend = weighers[0].index.backend
    edges = move_to_host(found, backend)
    in_network = choose_network(edges, tests, choice)
    carried = attribute(weighers, found.take(backend.xp.asarray(in_network)), memory=memory)
    entity = np.flatnonzero(carried)
    return tabulate_block(edges, in_network), entity, carried[entity]


def _tabulate_effects(found: _Found, settings: DetectSettings) -> dict[str, pl.DataFrame]:
    """Return how strong the edges of the network are, and the excess of all pairs by lag."""
    activity, tables = found.stages.activity, {}
    if settings.null != "popularity":  # it has no tables to measure effects in
        effects = tabulate_effects(
            activity, found.stages.index, found.margins, found.edges, null=settings.null
        )
        ids = activity.accounts["account_id"]
        tables["effects"] = effects.with_columns(
            **{end: ids.gather(effects[end]) for end in ("source", "target")}
        )
    members = _NO_MEMBERS if found.groups is None else found.groups.accounts
    return tables | {"lags": tabulate_lags(activity, members, seed=settings.seed)}


def _write_evidence(work: Work, settings: DetectSettings, found: _Found) -> EvidenceCount:
    activity, groups = found.stages.activity, found.groups
    edges = found.edges
    if found.tests is not None and not edges.n_edges:
        edges = _find_strongest(work, found)
    parts = [_rank_edges(edges, found.tests)]
    if groups is not None and groups.accounts.height:
        max_lag = max(map(len, groups.table["lag_profile"].to_list())) - 1
        parts.append(link_groups(activity, groups.accounts, max_lag=max_lag))
    return write_evidence(
        work.folder / "evidence.parquet",
        work.store,
        activity,
        join_links(parts),
        start=settings.start,
        end=settings.end,
    )


def _find_strongest(work: Work, found: _Found) -> Edges:
    """Return the edges that chance explains least, where it explains all: they are shown, too."""
    kinds = found.stages.activity.kinds
    first = (
        scan_parquet(work.folder / "edges.parquet")
        .sort(
            "q_habit", "p_value", pl.col("expected_habit") / pl.col("n_hours"), "source", "target"
        )
        .head(_N_STRONGEST)
        .collect()
    )
    ids = found.stages.activity.accounts["account_id"]
    rows = pl.Series(np.arange(ids.len(), dtype=np.int32))
    source, target = (
        first[end].replace_strict(ids, rows).to_numpy() for end in ("source", "target")
    )
    weights = first.select(f"weight_{kind}" for kind in kinds).to_numpy()
    weight, support, lag = (first[name].to_numpy() for name in ("weight", "support", "lag"))
    return Edges(source, target, weight, weights, support, lag)


def _rank_edges(edges: Edges, tests: PairTests | None) -> Links:
    """Return the edges of the network, the least explicable by chance first."""
    p_value = (
        np.zeros(edges.n_edges)
        if tests is None
        else tests.read_edges(edges.source, edges.target, edges.lag).p_value
    )
    order = np.lexsort((edges.target, edges.source, -edges.weight, p_value))
    return Links(edges.source[order], edges.target[order], edges.lag[order])


def _write_tables(work: Work, found: _Found, *, graphs: bool) -> None:
    kinds, network, edges = found.stages.activity.kinds, found.network, found.edges
    accounts = _tabulate_accounts(work, found)
    ends = {"source": edges.source, "target": edges.target, "weight": edges.weight}
    weights = pl.DataFrame(ends | name_weights(edges, kinds))
    tables = {
        "accounts": accounts,
        "components": summarise_components(network, accounts),
        "communities": summarise_communities(network, accounts),
        "classes": summarise_classes(weights, accounts, kinds=kinds),
        "entities": _tabulate_entities(work, found),
    }
    work.write(tables | _tabulate_groups(found))
    links = weights.with_columns(support=edges.support, lag=edges.lag)
    export_network(
        work.folder, accounts, links, directed=True, anyway=graphs, backbone=work.settings.backbone
    )


def _tabulate_accounts(work: Work, found: _Found) -> pl.DataFrame:
    accounts = found.stages.activity.accounts
    named = accounts.with_columns(pseudonym=name_accounts(accounts["account_id"], work.store))
    scored = score_accounts(found.network).with_columns(**_split_weights(found))
    ranked = tabulate_ranks(found.tests, found.edges, n_accounts=accounts.height)
    return named.hstack(scored).hstack(ranked).select(
        "account_id", "label", *ranked.columns, "influence", "in_weight", "out_degree", "in_degree",
        "component", "community", "n_posts", "first_seen", "last_seen",
        "strong_component", "pagerank", "core_number", "together", "pseudonym",
    )  # fmt: skip


def _split_weights(found: _Found) -> dict[str, pl.Series]:
    """Return what accounts lead, follow and do together: at lag 0 nobody leads.

    Where only lag 0 was asked for, its edges count as both.
    """
    edges, n_accounts = found.edges, found.stages.activity.n_accounts
    is_after = (edges.lag > 0) | (max(margin.lag for margin in found.margins) == 0)
    columns = {
        "influence": (edges.source, is_after),
        "in_weight": (edges.target, is_after),
        "together": (edges.source, edges.lag == 0),
    }
    return {
        name: pl.Series(sum_weights(owner[kept], edges.weight[kept], n_accounts))
        for name, (owner, kept) in columns.items()
    }


def _tabulate_entities(work: Work, found: _Found) -> pl.DataFrame:
    carried = found.stages.activity.entities.with_columns(coordination=pl.Series(found.carried))
    named = name_entities(carried, work.store)
    return named.sort("coordination", "kind", "value", descending=[True, False, False])


def _tabulate_groups(found: _Found) -> dict[str, pl.DataFrame]:
    if found.groups is None:
        return {}
    members = found.groups.accounts
    ids = found.stages.activity.accounts["account_id"].gather(members["account"])
    named = members.with_columns(account_id=ids).drop("account")
    named = named.select("group", "account_id", pl.exclude("group", "account_id"))
    return {"groups": found.groups.table, "group_accounts": named}


def _describe(work: Work, found: _Found, n_evidence: EvidenceCount) -> None:
    activity, tests, groups = found.stages.activity, found.tests, found.groups
    choice = found.choice
    n_edges = pq.read_metadata(work.folder / "edges.parquet").num_rows
    work.describe(
        directed=True,
        counts={
            "kinds": activity.kinds,
            "n_events": int(activity.entities["n_events"].sum()),
            "n_cells": activity.n_cells,
            "missing_kinds": activity.missing_kinds,
            "dropped_accounts": activity.n_dropped,
        },
        chance=None if tests is None or choice is None else describe_tests(tests, choice),
        groups=None
        if groups is None
        else {"reason": groups.reason, "n_neighbours": groups.n_neighbours},
        summary=found.stages.summarise(n_edges, found.network, tests, choice, groups),
        graphs_written=(work.folder / "network.gexf").exists(),
        evidence=asdict(n_evidence),
    )
