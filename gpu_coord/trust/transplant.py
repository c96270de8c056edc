"""Accounts of one store among matched accounts of another: an operation whose truth is known.

In: a store of an operation and one of other accounts. Out: a folder with a share table of both and
the truth. The one idea: how much and on how many days accounts post, when, and how popular things
are, is made alike. What is left to tell them apart is how they act together.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gpu_coord.backend import choose
from gpu_coord.ground.keywords import takes
from gpu_coord.results.clock import Progress
from gpu_coord.results.command import begin, choose_place, take_store
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.store.queries import list_kinds, scan_table, select_range
from gpu_coord.store.settings import TimeRange
from gpu_coord.store.store import STORE_MARKER, Store
from gpu_coord.store.tables import hash_file
from gpu_coord.trust.evaluation.rankings import compute_auc
from gpu_coord.trust.settings import TransplantSettings

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

_DAY_MS = 86_400_000
# Accounts of either kind that are matched, by lot: the matching takes this many squared.
_MAX_ACCOUNTS, _MAX_OTHERS = 2_000, 8_000
_EASY = 0.15  # further from 0.5, an AUC says that a sample is easily told apart
_NO_MATCH = 1e6  # far above any distance of two that match


@takes(TransplantSettings)
def transplant(
    operation: "Store | Path | str | IntoFrame",
    organic: "Store | Path | str | IntoFrame",
    out: Path | str | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **choices: Any,
) -> Findings:
    """Plant accounts of one store among matched accounts of another, and write who is who.

    Each account of the operation gets one other account with about as many events on about as many
    days. The others' calendar is moved by whole days, so that both begin on one day; both are cut
    where the shorter one ends. Things are named by how popular they are among their own, so
    that nothing is used by one side alone because of what it is about.

    Parameters
    ----------
    operation
        The store that the operation is taken from, its folder, or a data frame of shares or posts.
    organic
        The store that it is planted in, its folder, or a data frame.
    out
        The folder to write: ``shares.parquet`` to ingest, and ``truth_accounts.parquet``. Without
        it a temporary one is there as long as what is returned, whose `save` keeps it.
    overwrite
        Compute anew, and replace any result that is there.
    progress
        Called with the stage, the work done and the work in all.

    Returns
    -------
        The folder. Its summary says how many accounts matched, and what would tell them apart
        without any coordination, as AUCs: the number of ``events`` and of ``days``, the
        ``calendar`` (on which days) and the ``vocabulary`` (what is used). Those of a sound sample
        are near 0.5.

    Raises
    ------
    ValueError
        A store lacks a kind, or no account of one matches any of the other.
    """
    settings = TransplantSettings(**choices)
    one, other = take_store(operation), take_store(organic)
    place, kept = choose_place(out, "transplant")
    inputs = {"organic": hash_file(other.path / STORE_MARKER)}
    with begin(
        "transplant", place, settings, one, inputs=inputs, overwrite=overwrite, progress=progress
    ) as work:
        with work.time("match"):
            pairs = pair_kinds(settings.kinds, one, other)
            sides = _align(
                _read_side(one, {mine: mine for mine, _ in pairs}, settings),
                _read_side(other, {theirs: mine for mine, theirs in pairs}, TimeRange()),
            )
            profiles = [describe_activity(side, settings.min_events) for side in sides]
            matched = match_accounts(*profiles, caliper=settings.caliper, seed=settings.seed)
        with work.time("shares"):
            shares, truth = _merge(sides, matched, settings)
            work.write({"shares": shares, "truth_accounts": truth})
        work.describe(summary=_summarise(matched, profiles, shares, truth))
    return replace(open_run(place), kept=kept)


def pair_kinds(
    kinds: Sequence[str] | None, operation: Store, organic: Store
) -> list[tuple[str, str]]:
    """Return each kind of the operation with that of the others.

    Parameters
    ----------
    kinds
        Kinds, or pairs of them such as ``hashtag=mention``; None: those that both stores have.
    operation, organic
        The stores.

    Raises
    ------
    ValueError
        A store lacks a kind, or there is none that both have.
    """
    present = [list_kinds(store) for store in (operation, organic)]
    if kinds is None and not set.intersection(*present):
        raise ValueError(
            f"the stores have no kind in common: {', '.join(sorted(present[0]))} here, "
            f"{', '.join(sorted(present[1]))} there; name pairs, such as --kinds hashtag=mention."
        )
    named = sorted(set.intersection(*present)) if kinds is None else kinds
    pairs = [(one, other or one) for one, _, other in (name.partition("=") for name in named)]
    for side, store in enumerate((operation, organic)):
        if missing := sorted({pair[side] for pair in pairs} - present[side]):
            raise ValueError(
                f"{store.path} has no {', '.join(missing)}; its kinds are "
                f"{', '.join(sorted(present[side]))}."
            )
    return pairs


def _read_side(store: Store, kinds: dict[str, str], span: TimeRange) -> pl.DataFrame:
    """Read events in a time range: account, time, post, value, and the new name of its kind."""
    condition = select_range(span.start_ms, span.end_ms)
    entities = store.scan("entities").with_columns(pl.col("kind").cast(pl.String))
    chosen = entities.filter(pl.col("kind").is_in(list(kinds))).select(
        "entity", "value", kind=pl.col("kind").replace_strict(kinds)
    )
    events = scan_table(
        store, "events", "account", "entity", "time", "post", backend=choose("cpu")
    ).filter(condition)
    found: pl.DataFrame = events.to_native().join(chosen, on="entity").drop("entity").collect()
    if found.is_empty():
        raise ValueError(
            f"{store.path} has no {', '.join(kinds)} in the time range; widen it, or choose others."
        )
    return found


def _align(operation: pl.DataFrame, organic: pl.DataFrame) -> list[pl.DataFrame]:
    """Move the others' days onto those of the operation; cut both where the shorter one ends."""
    first, other_first = (
        events["time"].to_numpy().min() // _DAY_MS for events in (operation, organic)
    )
    moved = organic.with_columns(pl.col("time") + int(first - other_first) * _DAY_MS)
    last = min(events["time"].to_numpy().max() for events in (operation, moved))
    return [events.filter(pl.col("time") <= last) for events in (operation, moved)]


def describe_activity(events: pl.DataFrame, min_events: int) -> pl.DataFrame:
    """Return ``account, n_events, n_days`` of the accounts with so many events."""
    return (
        events.group_by("account")
        .agg(n_events=pl.len(), n_days=(pl.col("time") // _DAY_MS).n_unique())
        .filter(pl.col("n_events") >= min_events)
        .sort("account")
    )


def match_accounts(
    operation: pl.DataFrame, organic: pl.DataFrame, *, caliper: float, seed: int
) -> pl.DataFrame:
    """Give as many accounts as possible one other account that is about as active.

    Parameters
    ----------
    operation, organic
        ``account, n_events, n_days``, a row for each account.
    caliper
        Most difference of events and of days, as a share of the operation's account.
    seed
        Of the lot by which accounts are left out where there are too many to compare.

    Returns
    -------
        ``operation, organic``: accounts, each in one row at most. The sum of the differences is
        the least there is (Crouse 2016, by SciPy).

    Raises
    ------
    ValueError
        No account matches any other.
    """
    from scipy.optimize import linear_sum_assignment

    one = _draw(operation, _MAX_ACCOUNTS, seed)
    other = _draw(organic, _MAX_OTHERS, seed)
    distance = np.zeros((one.height, other.height))
    fits = np.ones(distance.shape, bool)
    for name in ("n_events", "n_days"):
        mine, theirs = (table[name].to_numpy().astype(np.float64) for table in (one, other))
        apart = np.abs(mine[:, None] - theirs) / mine[:, None]
        fits &= apart <= caliper
        distance += apart
    distance = np.where(fits, distance, _NO_MATCH)
    rows, columns = linear_sum_assignment(distance)
    kept = distance[rows, columns] < _NO_MATCH
    if not kept.any():
        raise ValueError(
            f"none of {operation.height} accounts of the operation has about as many events on "
            f"about as many days as one of {organic.height} others; lower --min-events, raise "
            "--caliper, or choose another time range."
        )
    return pl.DataFrame(
        {"operation": one["account"][rows[kept]], "organic": other["account"][columns[kept]]}
    ).sort("operation")


def _draw(accounts: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    if accounts.height <= most:
        return accounts
    drawn = np.random.default_rng(seed).permutation(accounts.height)[:most]
    return accounts[np.sort(drawn)]


def _merge(
    sides: list[pl.DataFrame], matched: pl.DataFrame, settings: TransplantSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the share table of both sides, and ``account_id, label``."""
    tables, truth = [], []
    # By lot, so that no order of ids tells who is who.
    names = np.random.default_rng(settings.seed).permutation(2 * matched.height)
    for side, label, ids in zip(sides, matched.columns, np.split(names, 2), strict=True):
        accounts = pl.DataFrame(
            {"account": matched[label], "account_id": [f"account-{number:05}" for number in ids]}
        )
        events = side.join(accounts, on="account")
        tables.append(
            (events if settings.keep_entities else _rename_entities(events)).select(
                "account_id",
                "post",
                object_id="value",
                timestamp_share=pl.col("time") / 1000,
                kind="kind",
                side=pl.lit(label),
            )
        )
        truth.append(accounts.select("account_id", label=pl.lit(label)))
    shares = pl.concat(tables).sort("timestamp_share", "account_id", "kind", "object_id", "post")
    contents = shares.select("side", "post").unique(maintain_order=True)
    contents = contents.with_columns(content_id=pl.format("post-{}", pl.int_range(pl.len())))
    columns = ("account_id", "object_id", "content_id", "timestamp_share", "kind")
    named = shares.join(contents, on=["side", "post"], maintain_order="left")
    return named.select(columns), pl.concat(truth).sort("account_id")


def _rename_entities(events: pl.DataFrame) -> pl.DataFrame:
    """Name each thing by its rank among those of its kind: the most used is number 1."""
    ranked = (
        events.group_by("kind", "value")
        .len()
        .sort("len", "value", descending=[True, False])
        .with_columns(rank=pl.int_range(1, pl.len() + 1).over("kind"))
    )
    named = ranked.select("kind", "value", name=pl.format("{}-{}", "kind", "rank"))
    return events.join(named, on=["kind", "value"]).drop("value").rename({"name": "value"})


def _summarise(
    matched: pl.DataFrame, profiles: list[pl.DataFrame], shares: pl.DataFrame, truth: pl.DataFrame
) -> dict[str, Any]:
    marks = truth.select("account_id", is_planted=pl.col("label") == "operation")
    uses = shares.join(marks, on="account_id")
    day = uses.with_columns(day=(pl.col("timestamp_share") * 1000 // _DAY_MS))
    activity = day.group_by("account_id").agg(
        pl.col("is_planted").first(), events=pl.len(), days=pl.col("day").n_unique()
    )
    companies = {"calendar": ("day",), "vocabulary": ("kind", "object_id")}
    scored = [(name, activity, name) for name in ("events", "days")]
    scored += [(name, weigh_company(day, *thing), "company") for name, thing in companies.items()]
    told = {
        name: compute_auc(table[score].to_numpy(), table["is_planted"].to_numpy())
        for name, table, score in scored
    }
    return {
        "n_accounts": truth.height,
        "n_operation_accounts": matched.height,
        "n_operation_left_out": profiles[0].height - matched.height,
        "n_shares": shares.height,
        **{f"auc_of_{name}": auc for name, auc in told.items()},
        "easy": [name for name, auc in told.items() if abs(auc - 0.5) > _EASY],
    }


def weigh_company(uses: pl.DataFrame, *thing: str) -> pl.DataFrame:
    """Return how much of what each account uses is used by the planted rather than by others.

    Parameters
    ----------
    uses
        ``account_id, is_planted``, and what is used, a row for each use.
    *thing
        The columns that name it.

    Returns
    -------
        ``account_id, is_planted, company``: the mean over the account's things of the share of
        their other users that are planted; 1/2 where there is no other.
    """
    users = uses.select("account_id", "is_planted", *thing).unique()
    counts = users.group_by(*thing).agg(n_users=pl.len(), n_planted=pl.col("is_planted").sum())
    others = pl.col("n_users") - 1
    planted = pl.col("n_planted") - pl.col("is_planted").cast(pl.Int64)
    share = pl.when(others > 0).then(planted / others).otherwise(0.5)
    found = users.join(counts, on=thing).group_by("account_id")
    return found.agg(pl.col("is_planted").first(), company=share.mean())
