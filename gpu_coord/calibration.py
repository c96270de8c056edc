"""A store -> what the tests find in copies of it without coordination.

In each copy every account's days are permuted on their own: what it does in a day, at which hours,
on which entities, stays; that others do it on the same day goes. What is found there is false.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpu_coord import __version__
from gpu_coord.activity import Activity
from gpu_coord.backend import Backend, choose
from gpu_coord.chance import assess_pairs
from gpu_coord.days import Axis, list_days
from gpu_coord.folders import replace_folder, write_json
from gpu_coord.groups import find_groups
from gpu_coord.plots import plot_quantiles
from gpu_coord.results import ResultFolder, open_result
from gpu_coord.run import DEFAULT_MEMORY, Progress
from gpu_coord.settings import Settings, hash_labels
from gpu_coord.store import Store, check_outside, describe_table, open_store
from gpu_coord.transitions import count_margins, count_steps, index_cells

CALIBRATION_MARKER = "calibration.json"
CALIBRATION_TABLES = ("copies", "quantiles")
FIGURE = "qq.png"

_N_QUANTILES = 200


@dataclass(frozen=True, slots=True)
class Calibration(ResultFolder):
    """A calibration folder: what data and copies showed, and its tables (`CALIBRATION_TABLES`)."""


def calibrate(
    store: Store | Path | str,
    out: Path | str,
    *,
    n_copies: int = 20,
    labels: pl.DataFrame | None = None,
    backend: Backend | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Calibration:
    """Count what the tests find in copies of a store whose coordination was destroyed.

    Parameters
    ----------
    store
        A store, or its folder.
    out
        The folder to write; an earlier calibration there is replaced, anything else is refused.
    n_copies
        Copies to test; each takes about as long as the tests of the data.
    labels
        Columns account_id, label, in the place of the store's own labels.
    backend
        Where to compute; the default is `gpu_coord.backend.choose`'s.
    memory
        Bytes that the pairs under way may take; by default 2 GB, or half of what is free.
    progress
        Called with the stage, the copies done and the copies in all.
    **choices
        Fields of `gpu_coord.settings.Settings`.

    Raises
    ------
    ValueError
        A setting is out of range, nothing is left to analyse, or a bin is no part of a day.
    """
    if n_copies < 1:
        raise ValueError(f"n_copies is {n_copies}; at least one copy is needed, 20 are usual.")
    settings = Settings(**choices)
    store = store if isinstance(store, Store) else open_store(store)
    check_outside(store, out, "calibrations")
    activity = settings.build_activity(store, labels=labels, backend=backend or choose())
    memory = memory or min(activity.backend.free_memory() // 2, DEFAULT_MEMORY)
    with replace_folder(Path(out), CALIBRATION_MARKER, _FILES) as folder:
        table, quantile = _assess_copies(activity, settings, n_copies, memory, progress)
        table.write_parquet(folder / "copies.parquet")
        quantile.write_parquet(folder / "quantiles.parquet")
        draw_quantiles(folder / FIGURE, quantile)
        write_json(folder / CALIBRATION_MARKER, _describe(folder, settings, table, labels))
    missing = "there is no calibration at {}; `gpu-coord calibrate` makes one."
    return open_result(Calibration, out, CALIBRATION_MARKER, missing=missing)


_FILES = {CALIBRATION_MARKER, FIGURE, *(f"{table}.parquet" for table in CALIBRATION_TABLES)}


def _assess_copies(
    activity: Activity, settings: Settings, n_copies: int, memory: int, progress: Progress | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what was found in the data and in each copy, and the quantiles of the p-values."""
    report = progress or (lambda stage, done, total: None)
    rows, quantiles = [], []
    for copy in range(n_copies + 1):
        report("copies", copy, n_copies + 1)
        # The first is the data themselves.
        tested = permute_days(activity, seed=settings.seed + copy) if copy else activity
        row, quantile = _assess(tested, settings, memory)
        rows.append({"copy": copy or None, **row})
        quantiles.append(quantile.with_columns(copy=pl.lit(copy or None, pl.Int64)))
    report("copies", n_copies + 1, n_copies + 1)
    return pl.DataFrame(rows, infer_schema_length=None), pl.concat(quantiles)


def permute_days(activity: Activity, *, seed: int) -> Activity:
    """Return a copy in which each account's days, UTC, are permuted on their own.

    Every cell keeps its account, its entity and its hour of the day. All days of the span take
    part, whole days; the copy begins and ends with one.

    Raises
    ------
    ValueError
        Bins do not divide a day.
    """
    to_host, xp = activity.backend.to_host, activity.backend.xp
    entity, account, bin = map(to_host, (activity.entity, activity.account, activity.bin))
    axis = Axis(activity.first_bin, activity.n_bins, activity.bin_seconds)
    days = list_days(axis, account, bin)
    bin = days.shuffle(np.random.default_rng(seed))
    order = np.lexsort((account, bin, entity))
    return replace(
        activity,
        first_bin=days.axis.first_bin,
        n_bins=days.axis.n_bins,
        entity=xp.asarray(entity[order]),
        bin=xp.asarray(bin[order]),
        account=xp.asarray(account[order]),
    )


def _assess(
    activity: Activity, settings: Settings, memory: int
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Return what the tests find, and quantiles of the p-values of all pairs."""
    index = index_cells(activity)
    count_steps(index.n_bins, max(settings.lags))
    tests = assess_pairs(
        activity,
        index,
        [count_margins(index, lag) for lag in settings.lags],
        null=settings.null,
        alpha=settings.alpha,
        memory=memory,
    )
    row: dict[str, Any] = {
        "lambda": max(lag.inflation for lag in tests.by_lag),
        "dispersion": max(lag.null.dispersion for lag in tests.by_lag),
        "n_significant": tests.n_significant,
    }
    if settings.groups:
        found = find_groups(
            activity,
            alpha=settings.alpha,
            seed=settings.seed,
            n_groups=settings.groups,
            n_replicates=settings.n_replicates,
            memory=memory // 2,
        )
        confirmed = found.table.filter("confirmed")
        row |= {"n_groups": confirmed.height, "n_grouped_accounts": int(confirmed["size"].sum())}
    return row, list_quantiles(tests.log_p, n_tests=tests.n_tests)


def list_quantiles(log_p: Any, *, n_tests: int) -> pl.DataFrame:
    """Compare p-values with evenly spread ones.

    Parameters
    ----------
    log_p
        Natural logarithms of those that can be small; the others are 1.
    n_tests
        All p-values.

    Returns
    -------
        At ranks spaced by their logarithm: ``rank`` (1 = smallest p-value), ``expected`` and
        ``observed``, as -log10 p.
    """
    observed = np.sort(-log_p / np.log(10))[::-1]
    if not observed.size:
        return pl.DataFrame({"rank": [], "expected": [], "observed": []}, schema=_QUANTILES)
    rank = np.unique(np.geomspace(1, observed.size, _N_QUANTILES).astype(np.int64))
    expected = -np.log10(rank / (n_tests + 1))
    columns = {"rank": rank, "expected": expected, "observed": observed[rank - 1]}
    return pl.DataFrame(columns, schema=_QUANTILES)


_QUANTILES = {"rank": pl.Int64, "expected": pl.Float64, "observed": pl.Float64}


def _describe(
    folder: Path, settings: Settings, table: pl.DataFrame, labels: pl.DataFrame | None
) -> dict[str, Any]:
    data, copies = table.row(0, named=True), table[1:]
    summary: dict[str, Any] = {
        "lambda": data["lambda"],
        "lambda_of_copies": [copies["lambda"].min(), copies["lambda"].max()],
        "n_significant": data["n_significant"],
        "n_copies": copies.height,
        "false_edges": _summarise_copies(copies["n_significant"]),
    }
    if settings.groups:
        summary |= {
            "n_groups": data["n_groups"],
            "false_groups": _summarise_copies(copies["n_groups"]),
        }
    return {
        "gpu_coord": __version__,
        "settings": asdict(settings),
        "specification": settings.compute_hash(hash_labels(labels)),
        "summary": summary,
        "tables": {name: describe_table(folder / f"{name}.parquet") for name in CALIBRATION_TABLES},
    }


def _summarise_copies(found: pl.Series) -> dict[str, Any]:
    """Return how much was found, and in which share of copies, with its 95 % interval."""
    n_with = int((found > 0).sum())
    return {
        "per_copy": found.mean(),
        "n_copies_with_any": n_with,
        "share_interval": find_interval(n_with, found.len()),
    }


def find_interval(n_hits: int, n_trials: int, *, level: float = 0.95) -> list[float]:
    """Return the exact interval of a share (Clopper & Pearson 1934)."""
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = float(beta.ppf(tail, n_hits, n_trials - n_hits + 1)) if n_hits else 0.0
    high = float(beta.ppf(1 - tail, n_hits + 1, n_trials - n_hits)) if n_hits < n_trials else 1.0
    return [low, high]


def draw_quantiles(path: Path, quantiles: pl.DataFrame) -> None:
    """Draw the p-values of data and copies against evenly spread ones, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 5), layout="constrained")
    axes = plot_quantiles(figure.subplots(), quantiles)
    axes.set_title("p-values of all ordered pairs of accounts")
    figure.savefig(path, dpi=150, metadata={"Software": None})
