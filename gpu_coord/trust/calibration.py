"""A store -> what the tests find in copies of it without coordination.

In each copy every account's days are permuted on their own: what it does in a day, at which hours,
on which entities, stays; that others do it on the same day goes. What is found there is false.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.activity.cells import Activity, build_activity
from gpu_coord.activity.settings import MatchSettings
from gpu_coord.chance.days import permute_days
from gpu_coord.detection.settings import DetectSettings, GroupSettings
from gpu_coord.detection.stages import Stages
from gpu_coord.plots.chance import plot_quantiles
from gpu_coord.plots.style import save_picture, use_theme
from gpu_coord.results.command import Work, writes
from gpu_coord.trust.settings import CalibrateSettings

FIGURE = "qq.png"

_N_QUANTILES = 200
_FIRST_COPY = 1 << 20  # seeds that none of the copies have to which the tests fit habits


@writes("calibrate", CalibrateSettings, uses_workers=True)
def calibrate(work: Work) -> None:
    """Count what the tests find in copies of a store whose coordination was destroyed.

    Raises
    ------
    ValueError
        A setting is out of range, nothing is left to analyse, or a bin is no part of a day.
    """
    settings: CalibrateSettings = work.settings
    with work.time("activity"):
        activity = build_activity(
            work.store, labels=work.labels, backend=work.backend, **settings.pick(MatchSettings)
        )
    with work.time("copies"):
        table, quantiles = _assess_copies(activity, settings, work)
    work.write({"copies": table, "quantiles": quantiles})
    draw_quantiles(work.folder / FIGURE, quantiles)
    work.describe(summary=_summarise(settings, table))


def _assess_copies(
    activity: Activity, settings: CalibrateSettings, work: Work
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what was found in the data and in each copy, and the quantiles of the p-values."""
    report, n_tested = work.report("copies"), settings.n_copies + 1
    assess = partial(_assess_copy, activity=activity, settings=settings, memory=work.memory)
    rows, quantiles = [], []
    found = work.backend.map_blocks(range(n_tested), assess, n_threads=0)
    for copy in range(n_tested):
        report(copy, n_tested)
        row, quantile = next(found)
        rows.append({"copy": copy or None, **row})
        quantiles.append(quantile.with_columns(copy=pl.lit(copy or None, pl.Int64)))
    return pl.DataFrame(rows, infer_schema_length=None), pl.concat(quantiles)


def _assess_copy(
    copy: int, *, activity: Activity, settings: CalibrateSettings, memory: int
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Return what `_assess` does of a copy; the first is the data themselves."""
    tested = permute_days(activity, _FIRST_COPY + settings.seed + copy) if copy else activity
    return _assess(tested, settings, memory)


def _assess(
    activity: Activity, settings: CalibrateSettings, memory: int
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Return what the tests find, and quantiles of the p-values of all pairs."""
    chosen = DetectSettings(**settings.pick(GroupSettings))
    stages = Stages(activity, memory=memory, progress=lambda stage, done, total: None)
    tests = stages.test_pairs(chosen, stages.list_margins(settings.lags))
    habits = [lag.habits for lag in tests.by_lag]
    row: dict[str, Any] = {
        "lambda": max(each.inflation for each in habits),
        "dispersion": max(each.dispersion for each in habits),
        "n_beyond_habit": tests.count("beyond_habit"),
        "n_significant": tests.count("beyond_news"),
    }
    if settings.groups:
        confirmed = stages.find_groups(chosen).table.filter("confirmed")
        row |= {"n_groups": confirmed.height, "n_grouped_accounts": int(confirmed["size"].sum())}
    return row, list_quantiles(tests.log_p_habit, n_tests=tests.n_tests)


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


def _summarise(settings: CalibrateSettings, table: pl.DataFrame) -> dict[str, Any]:
    data, copies = table.row(0, named=True), table[1:]
    summary: dict[str, Any] = {
        "lambda": data["lambda"],
        "lambda_of_copies": [copies["lambda"].min(), copies["lambda"].max()],
        "n_beyond_habit": data["n_beyond_habit"],
        "n_significant": data["n_significant"],
        "n_copies": copies.height,
        "false_edges": _summarise_copies(copies["n_beyond_habit"]),
        "false_significant": _summarise_copies(copies["n_significant"]),
    }
    if settings.groups:
        summary |= {
            "n_groups": data["n_groups"],
            "false_groups": _summarise_copies(copies["n_groups"]),
        }
    return summary


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

    with use_theme():
        figure = Figure(figsize=(6.4, 5), layout="constrained")
        plot_quantiles(figure.subplots(), quantiles)
        save_picture(figure, path)
