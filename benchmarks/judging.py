"""The methods of `compare` on archives whose truth is known, and what they cost.

Real operations among other accounts (GPU_COORD_DATA names the folder of the archives; left out
where it is absent), the categories of the IRA's accounts, simulated archives, and one of the size
of June 2020. And the limits: how well simulated operations are found as they do less and less, as
a table and as docs/limits.png. GPU_COORD_PARTS chooses among transplants, communities, simulated,
june, limits.
"""

import os
import resource
import time
from datetime import date, timedelta
from pathlib import Path
from textwrap import fill

import polars as pl

import gpu_coord as gc
from benchmarks.measure import FOLDER

DATA = Path(os.environ.get("GPU_COORD_DATA", "../shared/data"))
PARTS = os.environ.get("GPU_COORD_PARTS", "transplants,communities,simulated,june,limits").split(
    ","
)
IRA, HIGGS = "ira_2016autumn/shares.parquet", "higgs/shares.parquet"
THAI = "io_thailand_092020/*.csv"
# What of the operation, for what of the others: the weeks, the first ones those that the score was
# chosen by, the others those that it was not.
_IRA_WEEKS = [date(2016, 9, 5) + timedelta(weeks=n) for n in range(8)]
SETS = {
    "IRA retweets among Higgs retweets": (IRA, "retweet=retweet_user", _IRA_WEEKS),
    "IRA retweets among Higgs mentions": (IRA, "retweet=mention", _IRA_WEEKS),
    "IRA hashtags among Higgs mentions": (IRA, "hashtag=mention", _IRA_WEEKS),
    "Thai hashtags among Higgs mentions": (
        THAI, "hashtag=mention", [date(2020, 2, 3) + timedelta(weeks=n) for n in range(4)]
    ),
    "Thai retweets among Higgs retweets": (
        THAI, "retweet=retweet_user", [date(2020, 2, 3) + timedelta(weeks=n) for n in range(4)]
    ),
}  # fmt: skip
SIMULATED = {"demo": {}, "crowds": {}, "swift": {}, "cnhu2021": {}, "august2019": {}}
MONTHS = {"autumn 2016": {}, "September": {"start": "2016-09-01", "end": "2016-10-01"},
          "October": {"start": "2016-10-01", "end": "2016-11-01"},
          "November": {"start": "2016-11-01", "end": "2016-12-01"}}  # fmt: skip


def run():
    """Yield lines of a report."""
    has_data = (DATA / IRA).exists()
    if "transplants" in PARTS and has_data:
        for name, (source, kinds, weeks) in SETS.items():
            yield from _run_transplants(name, source, kinds, weeks)
    if "communities" in PARTS and has_data:
        yield from _run_communities()
    if "simulated" in PARTS:
        yield from _run_simulated()
    if "june" in PARTS:
        yield from _run_june()
    if "limits" in PARTS:
        yield from _run_limits()


def _ingest(pattern: str):
    folder = FOLDER / f"{pattern.split('/')[0]}.methods"
    gc.ingest(sorted(DATA.glob(pattern)), folder)
    return gc.open_store(folder)


def _run_transplants(name, source, kinds, weeks):
    operation, organic = _ingest(source), _ingest(HIGGS)
    stores, truths = [], []
    for number, week in enumerate(weeks):
        folder = FOLDER / "transplants" / f"{name}-{number}"
        try:
            gc.transplant(
                operation, organic, folder, kinds=(kinds,), start=str(week),
                end=str(week + timedelta(weeks=1)),
            )  # fmt: skip
        except ValueError as error:
            yield f"{name}, {week}: {error}"
            continue
        store = folder.with_name(f"{folder.name}.store")
        stores.append(gc.ingest([folder / "shares.parquet"], store))
        truths.append(folder / "truth_accounts.parquet")
    kind = kinds.partition("=")[0]
    found = gc.compare(
        stores, truths, FOLDER / "comparison", kinds=(kind,), n_resamples=0, overwrite=True
    )
    if source == IRA:  # every other week chose the score
        yield from _tell(f"{name}, held out", found, lambda archive: int(archive[-7]) % 2 == 1)
        yield from _tell(f"{name}, chosen by", found, lambda archive: int(archive[-7]) % 2 == 0)
    else:
        yield from _tell(name, found, lambda archive: True)


def _tell(name, found, is_meant):
    methods = found.read("methods").filter(ranked="accounts").drop_nulls("auc")
    meant = [archive for archive in methods["archive"].unique() if is_meant(archive)]
    part = methods.filter(pl.col("archive").is_in(meant))
    means = part.group_by("method").agg(
        pl.col("auc").mean(), least=pl.col("auc").min(), ap=pl.col("average_precision").mean(),
        n=pl.col("n_to_90_percent").mean(), accounts=pl.col("n").mean(), weeks=pl.len(),
    )  # fmt: skip
    for row in means.sort("auc", descending=True).iter_rows(named=True):
        yield (
            f"{name}: {row['method']:17} AUC {row['auc']:.3f} (least {row['least']:.2f} of "
            f"{row['weeks']}), AP {row['ap']:.2f}, to 90 % {row['n']:.0f} of {row['accounts']:.0f}"
        )


def _run_communities():
    """Networks' communities against the categories of the IRA's accounts."""
    categories = pl.read_csv(DATA / "ira_2016autumn" / "accounts.csv")
    truth = categories.select(account_id=pl.col("account").cast(pl.String),
                              label=pl.col("account_category"))  # fmt: skip
    for name, span in MONTHS.items():
        found = gc.compare(_ingest(IRA), truth, FOLDER / "comparison", overwrite=True, **span)
        for row in found.read("groups").sort("ami", descending=True).iter_rows(named=True):
            shown = {key: row[key] for key in ("ami", "ari", "purity", "coverage")}
            said = ", ".join(f"{k} {'-' if v is None else f'{v:.2f}'}" for k, v in shown.items())
            yield f"IRA, {name}: {row['method']:17} {row['n_groups']} groups, {said}"


def _run_simulated():
    for preset, overrides in SIMULATED.items():
        folder = FOLDER / "methods" / preset
        made = gc.simulate(folder / "archive", preset=preset, seed=5, overrides=overrides)
        store = gc.ingest(made.inputs, folder / "store")
        found = gc.compare(store, made.truth_accounts, folder / "comparison", n_resamples=0)
        yield from _tell(f"simulated, {preset}", found, lambda archive: True)


def _run_june():
    folder = FOLDER / "methods" / "june"
    made = gc.simulate(folder / "archive", preset="june2020", seed=1)
    store = gc.ingest(made.inputs, folder / "store")
    started = time.perf_counter()
    found = gc.compare(store, made.truth_accounts, folder / "comparison")
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    yield f"June 2020: {seconds:.0f} s, {peak:.2f} GB at most (with all before it in this process)"
    for stage in found.content["stages"]:
        yield f"June 2020: {stage['stage']:17} {stage['seconds']:.1f} s"
    yield from _tell("June 2020", found, lambda archive: True)


# One choice at a time; the others as in the preset `demo` with lags of a few hours.
USUAL = {"follow_probability": 0.2, "n_amplifiers": 35, "camouflage_share": 0.4, "lag_decay": 0.3}
LIMITS = {
    "follow_probability": ("chance that an amplifier copies a post", (0.02, 0.05, 0.1, 0.2, 0.4)),
    "n_amplifiers": ("amplifiers of five core accounts", (3, 8, 15, 35, 70)),
    "camouflage_share": ("share of an account's posts that are like anyone's",
                         (0.0, 0.3, 0.6, 0.8, 0.9)),
    "lag_decay": ("spread of the lags: chance of each further hour", (0.0, 0.3, 0.6, 0.8, 0.95)),
}  # fmt: skip
SHOWN = ("co_activity", "beyond_news", "popularity", "tfidf", "activity")
LIMIT_SEEDS = range(5, 8)


def _run_limits():
    rows = []
    for choice, (_, values) in LIMITS.items():
        for value in values:
            for seed in LIMIT_SEEDS:
                rows += _measure_limit(choice, value, seed)
    table = pl.DataFrame(rows)
    means = table.group_by("choice", "value", "method", maintain_order=True).agg(
        pl.col("auc", "recall").mean()
    )
    for row in means.iter_rows(named=True):
        yield (
            f"limits, {row['choice']} {row['value']:g}: {row['method']:12} AUC {row['auc']:.3f}, "
            f"recall at 1 % false {row['recall']:.2f}"
        )
    _draw_limits(means)


def _measure_limit(choice, value, seed):
    folder = FOLDER / "methods" / "limits"
    made = gc.simulate(
        folder / "archive", preset="demo", seed=seed, overrides=USUAL | {choice: value}
    )
    store = gc.ingest(made.inputs, folder / "store")
    found = gc.compare(
        store, made.truth_accounts, folder / "comparison", methods=SHOWN, n_resamples=0
    )
    figures = found.read("methods").filter(ranked="accounts")
    return [
        {"choice": choice, "value": float(value), "method": row["method"], "auc": row["auc"],
         "recall": row["recall_at_1_percent_false"]}
        for row in figures.iter_rows(named=True)
    ]  # fmt: skip


def _draw_limits(means):
    from matplotlib.figure import Figure

    from gpu_coord.plots.style import PALETTE

    figure = Figure(figsize=(10, 5.6), layout="constrained")
    axes = figure.subplots(2, len(LIMITS), sharey="row")
    for column, (choice, (says, values)) in enumerate(LIMITS.items()):
        for row, (name, label) in enumerate(
            (("auc", "AUC"), ("recall", "recall at 1 % false positives"))
        ):
            ax = axes[row, column]
            for method, colour in zip(SHOWN, PALETTE, strict=False):
                part = means.filter(choice=choice, method=method).sort("value")
                own = method == "co_activity"
                ax.plot(
                    range(len(values)), part[name], marker="o", markersize=3, color=colour,
                    linewidth=2.2 if own else 1.1, label=method.replace("_", " "),
                )  # fmt: skip
            ax.set_xticks(range(len(values)), [f"{value:g}" for value in values])
            if name == "auc":
                ax.axhline(0.5, color="black", linewidth=0.8, linestyle="--")
            else:
                ax.set_xlabel(fill(says, 28), fontsize="small")
            if not column:
                ax.set_ylabel(label)
    axes[0, 0].legend(frameon=False, fontsize="x-small")
    figure.suptitle("How well simulated operations are found as they do less")
    path = Path("docs") / "limits.png"
    figure.savefig(path, dpi=110, metadata={"Software": None})
