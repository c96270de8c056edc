"""A store -> a folder with its fitted influence model: accounts, influences, what was done.

The one idea: each account's row of D is learned from who was active just before it, on the same
entity; D is shared by all entities.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.activity.cells import Activity, build_activity
from gpu_coord.activity.counts import count_margins, count_pairs, index_cells, plan_blocks
from gpu_coord.activity.settings import CellSettings
from gpu_coord.ground.parquet import list_columns
from gpu_coord.model.cells import Edges, Transitions, cut_blocks
from gpu_coord.model.ranking import rank_sites
from gpu_coord.model.rows import Rows, fit_block, join
from gpu_coord.model.settings import ModelSettings
from gpu_coord.results.command import Work, writes
from gpu_coord.results.findings import Findings
from gpu_coord.results.forms import RUN
from gpu_coord.store.store import Store, name_accounts

MIN_INFLUENCE = 1e-4  # of D, in influences.parquet
_ENTRY_BYTES = 8 * 40


@writes("model", ModelSettings)
def fit_model(work: Work, *, candidates: Findings | Path | str | None = None) -> None:
    """Learn who takes whose activity in a store, and score its accounts.

    Parameters
    ----------
    candidates
        A run: the accounts of its network's edges may explain each other, in the direction of the
        edges, and nobody else. By default all pairs with ``min_support`` coincidences may.

    Raises
    ------
    ValueError
        A setting is out of range, nothing is left to analyse, or the run has no significant edges.
    """
    settings: ModelSettings = work.settings
    run = work.take("candidates", candidates, *RUN.commands)
    run_edges = None if run is None else read_candidates(run)
    with work.time("activity"):
        activity = build_activity(
            work.store, labels=work.labels, backend=work.backend, **settings.pick(CellSettings)
        )
        births = work.backend.xp.asarray(find_births(work.store, activity))
        transitions = Transitions(activity, births)
    with work.time("candidates"):
        if run_edges is None:
            edges = _list_coincident(activity, settings.min_support, work.memory)
            n_outside = 0
        else:
            edges, n_outside = _locate(run_edges, activity)
    rows = _fit(transitions, edges, settings, work)
    with work.time("write"):
        accounts, influences = _tabulate(activity, rows, settings, work.store)
        work.write({"accounts": accounts, "influences": influences})
    work.describe(
        missing_kinds=list(activity.missing_kinds),
        n_candidates_outside=n_outside,
        dropped_accounts=activity.n_dropped,
        summary=_summarise(activity, edges, rows, accounts, influences),
    )


# --- who may explain whom ------------------------------------------------------------------------


def read_candidates(run: Findings) -> pl.DataFrame:
    """Return the edges of a run's network: source and target, by id.

    Raises
    ------
    ValueError
        The run has no significance, or no significant edge.
    """
    if "significant" not in list_columns(run.find("edges")):
        raise ValueError(
            f"the edges of {run.path} were not tested, so all pairs that ever coincide would be "
            "candidates; run without --paper or --all-edges, or leave --candidates out."
        )
    found = run.read_network().select("source", "target")
    if found.is_empty():
        raise ValueError(f"{run.path} has no significant edge; leave --candidates out.")
    if not run.is_directed:
        found = pl.concat([found, found.select(source="target", target="source")])
    return found.unique().sort("target", "source")


def _locate(edges: pl.DataFrame, activity: Activity) -> tuple[Edges, int]:
    """Find the accounts of a run's edges among those analysed; count the edges of others."""
    ids = activity.accounts.select("account_id").with_row_index("row")
    found = edges.join(ids.rename({"account_id": "source", "row": "s"}), on="source").join(
        ids.rename({"account_id": "target", "row": "t"}), on="target"
    )
    source, target = (found[name].to_numpy().astype(np.int64) for name in ("s", "t"))
    return _sort_edges(source, target, activity.n_accounts), edges.height - found.height


def _list_coincident(activity: Activity, min_support: int, memory: int) -> Edges:
    """List the pairs in which one was active a bin after the other, on an entity, often enough."""
    to_host, index = activity.backend.to_host, index_cells(activity)
    margins = count_margins(index, 1)
    blocks = plan_blocks(index, [margins], min_support=min_support, memory=memory)
    found = [count_pairs(index, margins, *block, min_support=min_support) for block in blocks]
    source = np.concatenate([to_host(pairs.source) for pairs in found])
    target = np.concatenate([to_host(pairs.target) for pairs in found])
    return _sort_edges(source.astype(np.int64), target.astype(np.int64), activity.n_accounts)


def _sort_edges(source: np.ndarray, target: np.ndarray, n_accounts: int) -> Edges:
    """Return each pair once, every account with itself among them, by target, then source."""
    own = np.arange(n_accounts) * (n_accounts + 1)
    key = np.unique(np.concatenate([target * n_accounts + source, own]))
    return Edges(key % n_accounts, key // n_accounts)


def find_births(store: Store, activity: Activity) -> np.ndarray:
    """Return the first bin at which each account existed, as far as its creation date tells.

    An account that was active before its date existed from its first activity on; so did, from
    the first bin on, one without a date.
    """
    stored = store.read("accounts")
    birth = np.zeros(activity.n_accounts, np.int64)
    if "account_creation_date" in stored.columns:
        dates = activity.accounts.select("account_id").join(
            stored.select("account_id", "account_creation_date"),
            on="account_id", how="left", maintain_order="left",
        )["account_creation_date"]  # fmt: skip
        seconds = dates.cast(pl.Int32).cast(pl.Int64) * 86_400
        bins = seconds // activity.bin_seconds - activity.first_bin
        birth = bins.fill_null(0).clip(0, activity.n_bins).to_numpy().copy()
    to_host = activity.backend.to_host
    np.minimum.at(birth, to_host(activity.account), to_host(activity.bin))
    return birth


# --- learning and tables -------------------------------------------------------------------------


def _fit(transitions: Transitions, edges: Edges, settings: ModelSettings, work: Work) -> Rows:
    to_host = transitions.activity.backend.to_host
    blocks = cut_blocks(
        transitions.count_entries(edges) + transitions.n_groups,
        entry_bytes=_ENTRY_BYTES, memory=work.memory,
    )  # fmt: skip
    parts = []
    report = work.report("rows")
    with work.time("rows"):
        for number, targets in enumerate(blocks):
            report(number, len(blocks))
            first, last = np.searchsorted(edges.target, [targets.start, targets.stop])
            parts.append(
                fit_block(
                    transitions.select(edges, targets, "learned" if settings.background else None),
                    first=targets.start,
                    emission=settings.emission,
                    column_status=None,
                    tolerance=settings.tolerance,
                    max_iterations=settings.max_iterations,
                    intervals=True,
                    sources=edges.source[first:last],
                    to_host=to_host,
                )
            )
    return join(parts)


def _tabulate(
    activity: Activity, rows: Rows, settings: ModelSettings, store: Store
) -> tuple[pl.DataFrame, pl.DataFrame]:
    n_accounts, ids = activity.n_accounts, activity.accounts["account_id"]
    is_own = rows.source == rows.target
    own = np.bincount(rows.target[is_own], weights=rows.mass[is_own], minlength=n_accounts)
    caused = np.bincount(rows.source[~is_own], weights=rows.caused[~is_own], minlength=n_accounts)
    taken = np.bincount(rows.target[~is_own], weights=rows.caused[~is_own], minlength=n_accounts)
    pi = rank_sites(rows.source, rows.target, rows.mass, n_accounts, teleport=settings.teleport)
    n_events = pl.Series(rows.n_events)
    accounts = activity.accounts.select("account_id", "label", "n_posts").with_columns(
        pseudonym=name_accounts(ids, store),
        influence_pi=pl.Series(pi),
        caused=pl.Series(caused),
        taken=pl.Series(taken),
        immigrant_ratio=pl.when(n_events > 0).then(pl.Series(rows.immigrants) / n_events),
        background=pl.Series(rows.background),
        d_self=pl.Series(own),
        identified=pl.Series(rows.is_identified),
        gap=pl.Series(rows.gap),
        log_likelihood=pl.Series(rows.log_likelihood),
        n_active=n_events,
        n_steps=pl.Series(rows.n_steps),
    )
    kept = np.flatnonzero(~is_own & (rows.mass > MIN_INFLUENCE))
    influences = pl.DataFrame(
        {
            "source": ids.gather(rows.source[kept]),
            "target": ids.gather(rows.target[kept]),
            "d": rows.mass[kept],
            "slope": rows.slope[kept],
            "slope_low": pl.Series(rows.low[kept]).fill_nan(None),
            "slope_high": pl.Series(rows.high[kept]).fill_nan(None),
            "caused": rows.caused[kept],
        }
    )
    return accounts, influences.sort("source", "target")


def _summarise(
    activity: Activity, edges: Edges, rows: Rows, accounts: pl.DataFrame, influences: pl.DataFrame
) -> dict[str, Any]:
    n_events, n_taken = int(rows.n_events.sum()), float(accounts["taken"].sum())
    return {
        "n_accounts": activity.n_accounts,
        "n_entities": activity.n_entities,
        "n_bins": activity.n_bins,
        "n_candidates": int((edges.source != edges.target).sum()),
        "n_influences": influences.height,
        "n_identified": int(rows.is_identified.sum()),
        "n_events": n_events,
        "share_taken": n_taken / n_events if n_events else None,
        "share_immigrant": float(rows.immigrants.sum()) / n_events if n_events else None,
        "log_likelihood": float(rows.log_likelihood.sum()),
        "max_gap": float(rows.gap.max()),
        "n_behind": int((rows.gap > 1).sum()),
        "n_products": rows.n_products,
    }
