"""Store -> when accounts were made, how long before their first post, and how large they are.

In: a store, perhaps a run or labels that say which accounts belong together. Out: a folder of
tables. The one idea: a class of accounts is held against the others of the same archive.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.accounts.settings import By, CohortSettings, Period
from gpu_coord.archive.tables import COUNTS
from gpu_coord.backend import choose
from gpu_coord.chance.adjust import adjust_p_values
from gpu_coord.ground.keywords import takes
from gpu_coord.results.command import Work, writes
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.results.forms import RUN, Grouping
from gpu_coord.results.members import read_members
from gpu_coord.results.origin import check_origin
from gpu_coord.store.queries import count_posts, label_accounts, pad_columns, select_range
from gpu_coord.store.store import Store, name_accounts, open_store

_EVERY: dict[Period, str] = {"day": "1d", "week": "1w", "month": "1mo"}
_QUANTILES = {"q10": 0.1, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9}
# Columns of `list_accounts` that are compared between classes.
MEASURES = ("age_days", "follower_count", "following_count", "n_posts", "mean_engagement")
_MAX_EXACT = 10_000  # pairs of accounts; beyond, the limit law of the distance serves
_PROFILE = {
    "account_creation_date": pl.Date, "follower_count": pl.Int64, "following_count": pl.Int64,
}  # fmt: skip


@writes("cohorts", CohortSettings, uses_machine=False)
def compare_cohorts(work: Work, *, run: Findings | Path | str | None = None) -> None:
    """Write when the accounts of each class were made, and how they differ from the others.

    Parameters
    ----------
    run
        A run on that store, for its groups; only its accounts take part.

    Raises
    ------
    ValueError
        A setting is out of range, no creation date is known, or no class has enough accounts.
    """
    settings: CohortSettings = work.settings
    findings = work.take("run", run, *RUN.commands)
    with work.time("read"):
        accounts = list_accounts(work.store, run=findings, labels=work.labels)
        by, members = list_members(accounts, run=findings, by=settings.by)
    with work.time("compare"):
        tables = _compare(accounts, members, settings)
    work.write(tables)
    work.describe(by=by, summary=_summarise(tables, alpha=settings.alpha))


@takes(CohortSettings)
def tabulate_cohorts(
    store: Store | Path | str,
    *,
    run: Findings | Path | str | None = None,
    labels: pl.DataFrame | None = None,
    **choices: Any,
) -> pl.DataFrame:
    """Return the table ``cohorts`` without writing a folder; see `compare_cohorts`."""
    settings = CohortSettings(**choices)
    findings = None if run is None else open_run(run, *RUN.commands)
    accounts = list_accounts(open_store(store), run=findings, labels=labels)
    _, members = list_members(accounts, run=findings, by=settings.by)
    return _compare(accounts, members, settings)["cohorts"]


# --- who there is --------------------------------------------------------------------------------


def list_accounts(
    store: Store, *, run: Findings | None = None, labels: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return what is known of each account.

    Parameters
    ----------
    store
        From `ingest` or `open_store`.
    run
        A run on that store: its accounts alone.
    labels
        Columns account_id, label, in the place of the store's own labels, or the run's.

    Returns
    -------
        By id: ``account_id, pseudonym, label, account_creation_date, first_seen`` (UTC, of all
        posts in the store; null without any), ``age_days`` (whole days from the creation to the
        first post; below 0 where the dates contradict each other), ``follower_count,
        following_count, n_posts, mean_engagement`` (of its posts with known counts).

    Raises
    ------
    ValueError
        The run was made from another store, or no creation date is known.
    """
    profiles = pad_columns(store.scan("accounts"), _PROFILE).collect()
    if not profiles["account_creation_date"].count():
        raise ValueError(
            f"the store {store.path} knows of no account when it was made; ingest the users file "
            "of the archive with it."
        )
    posts = count_posts(store, select_range(None, None), backend=choose("cpu"))
    known = (
        label_accounts(profiles, labels)
        .join(profiles.select("account", *_PROFILE), on="account", how="left")
        .join(posts.drop("last_seen"), on="account", how="left")
        .join(_average_engagement(store), on="account", how="left")
        .with_columns(pl.col("first_seen").cast(pl.Datetime("ms", "UTC")))
    )
    if run is not None:
        check_origin(run, store)
        analysed = run.read("accounts").select("account_id", run_label="label")
        known = known.join(analysed, on="account_id")
        if labels is None:
            known = known.with_columns(label="run_label")
    age = (pl.col("first_seen").dt.date() - pl.col("account_creation_date")).dt.total_days()
    named = known.sort("account_id").with_columns(
        age_days=age, n_posts=pl.col("n_posts").fill_null(0)
    )
    return named.select(
        "account_id", name_accounts(named["account_id"], store), "label", "account_creation_date",
        "first_seen", *MEASURES,
    )  # fmt: skip


def _average_engagement(store: Store) -> pl.DataFrame:
    posts = pad_columns(store.scan("posts"), dict.fromkeys(COUNTS, pl.Int64))
    are_known = pl.any_horizontal(pl.col(COUNTS).is_not_null())
    engagement = pl.when(are_known).then(pl.sum_horizontal(COUNTS))
    return posts.group_by("account").agg(mean_engagement=engagement.mean()).collect()


def list_members(
    accounts: pl.DataFrame, *, run: Findings | None = None, by: By = "auto"
) -> tuple[str, pl.DataFrame]:
    """Return who is in which class.

    Parameters
    ----------
    accounts
        From `list_accounts`.
    run
        The run that has the groups or roles.
    by
        What makes a class.

    Returns
    -------
        What was chosen, and ``account_id, class`` (text); an account can be in several groups.

    Raises
    ------
    ValueError
        The run, its roles or all labels are missing.
    """
    if by == "label" or (by == "auto" and run is None):
        members = accounts.drop_nulls("label").select("account_id", **{"class": "label"})
        if members.is_empty() and by == "auto":
            return "all", accounts.select("account_id", pl.lit("all").alias("class"))
        if members.is_empty():
            raise ValueError(
                "no account has a label, so that there is no class; give labels, or a run whose "
                "groups are the classes."
            )
        return "label", members
    if run is None:
        raise ValueError(f"by is {by!r}, which a run tells; name the run.")
    if by == "role":
        table = run.read("accounts")
        if "role" not in table.columns:
            raise ValueError(f"the run {run.path} has no roles; `gpu-coord roles` adds them.")
        return by, table.drop_nulls("role").select("account_id", **{"class": "role"})
    grouping: Grouping = by
    chosen, members = read_members(run, grouping)
    number = pl.format(f"{chosen} {{}}", "number").alias("class")
    return chosen, members.select("account_id", number)


# --- the comparison ------------------------------------------------------------------------------


def _compare(
    accounts: pl.DataFrame, members: pl.DataFrame, settings: CohortSettings
) -> dict[str, pl.DataFrame]:
    sides = _list_sides(accounts, members, settings)
    return {
        "cohorts": count_cohorts(sides, period=settings.period),
        "profiles": compare_profiles(sides),
        "accounts": _join_classes(accounts, members),
    }


def _list_sides(
    accounts: pl.DataFrame, members: pl.DataFrame, settings: CohortSettings
) -> pl.DataFrame:
    """Return, for each class, its accounts and those that they are compared with.

    A class is large enough, and not the controls themselves.
    """
    sizes = members.join(accounts.select("account_id"), on="account_id").group_by("class").len()
    large = sizes.filter(pl.col("len") >= settings.min_accounts)["class"].sort()
    names = [name for name in large if name != settings.controls]
    if settings.controls is not None and settings.controls not in accounts["label"]:
        there = ", ".join(sorted(accounts["label"].drop_nulls().unique())[:10]) or "none"
        raise ValueError(f"no account is labelled {settings.controls!r}; the labels are {there}.")
    if not names:
        raise ValueError(
            f"no class has {settings.min_accounts} accounts; lower min_accounts or choose other "
            "classes."
        )
    others = accounts
    if settings.controls is not None:
        others = accounts.filter(pl.col("label") == settings.controls)
    parts = []
    for name in names:
        its = members.filter(pl.col("class") == name)
        inside = accounts.join(its, on="account_id", how="semi").with_columns(is_member=True)
        outside = others.join(its, on="account_id", how="anti").with_columns(is_member=False)
        parts.append(pl.concat([inside, outside]).with_columns(pl.lit(name).alias("class")))
    return pl.concat(parts)


def count_cohorts(sides: pl.DataFrame, *, period: Period = "week") -> pl.DataFrame:
    """Count the accounts of each class made in each period, and what the controls let expect.

    Parameters
    ----------
    sides
        ``class, is_member, account_creation_date, age_days``: for each class its accounts, and
        those that they are compared with.
    period
        Weeks begin on Monday.

    Returns
    -------
        By class and period, the periods with an account of the class: ``class, period`` (first
        day), ``n_accounts, n_controls, share, control_share`` (of those with a known date),
        ``expected`` (accounts, if the class were drawn from both together), ``ratio, p_value``
        (hypergeometric, upper tail: Fisher's exact test), ``q_value`` (over all classes and all
        periods from the first to the last), ``median_age_days`` (of the accounts of the class).
        Null where there are no controls.
    """
    start = pl.col("account_creation_date").dt.truncate(_EVERY[period])
    dated = sides.drop_nulls("account_creation_date").with_columns(period=start)
    is_member = pl.col("is_member")
    totals = dated.group_by("class").agg(
        n_class=is_member.sum().cast(pl.Int64), n_others=(~is_member).sum().cast(pl.Int64)
    )
    counted = dated.group_by("class", "period").agg(
        n_accounts=is_member.sum().cast(pl.Int64),
        n_controls=(~is_member).sum().cast(pl.Int64),
        median_age_days=pl.col("age_days").filter(is_member).median(),
    )
    table = counted.filter(pl.col("n_accounts") > 0).join(totals, on="class")
    n_tests = totals.height * _count_periods(dated["period"], period)
    tested = _test_cohorts(table.sort("class", "period"), n_tests=n_tests)
    compared = ("control_share", "expected", "ratio", "p_value", "q_value")
    return tested.select(
        "class", "period", "n_accounts", "n_controls", "share",
        *(pl.when(pl.col("n_others") > 0).then(name).alias(name) for name in compared),
        "median_age_days",
    )  # fmt: skip


def _test_cohorts(counts: pl.DataFrame, *, n_tests: int) -> pl.DataFrame:
    """Add what is to be expected of each class and period, and how likely so many are."""
    from scipy.stats import hypergeom

    names = ("n_accounts", "n_controls", "n_class", "n_others")
    n, k, n_class, n_others = (counts[name].to_numpy() for name in names)
    log_p = hypergeom.logsf(n - 1, n_class + n_others, n_class, n + k) if n.size else np.empty(0)
    log_p = np.minimum(log_p, 0.0)  # rounding
    both = pl.col("n_accounts") + pl.col("n_controls")
    expected = both * pl.col("n_class") / (pl.col("n_class") + pl.col("n_others"))
    return counts.with_columns(
        share=pl.col("n_accounts") / pl.col("n_class"),
        control_share=pl.col("n_controls") / pl.col("n_others"),
        expected=expected,
        ratio=pl.col("n_accounts") / expected,
        p_value=pl.Series(np.exp(log_p), dtype=pl.Float64),
        q_value=pl.Series(adjust_p_values(log_p, n_tests=n_tests), dtype=pl.Float64),
    )


def _count_periods(starts: pl.Series, period: Period) -> int:
    """Count the periods from the first to the last."""
    if not starts.len():
        return 0
    first, last = (pl.lit(end, dtype=pl.Date) for end in (starts.min(), starts.max()))
    return pl.select(pl.date_range(first, last, _EVERY[period])).height


def compare_profiles(sides: pl.DataFrame) -> pl.DataFrame:
    """Describe the accounts of each class, and how far they are from those compared with.

    Parameters
    ----------
    sides
        ``class, is_member`` and the columns of `MEASURES`.

    Returns
    -------
        By class and measure: ``class, measure, n_accounts`` (where known), ``mean, minimum, q10,
        q25, median, q75, q90, maximum, share_zero`` (of those with a value), the same of the
        controls in ``n_controls, control_median, control_share_zero``; ``distance``
        (Kolmogorov-Smirnov), ``shift`` (how much more often a value of the class is the larger
        of a pair, from -1 to 1; 0 where neither), ``p_value`` of the distance, too large with many
        ties, and ``q_value`` over all rows. Null where either side has no value.
    """
    rows = [
        {"class": name, "measure": measure, **_describe_measure(part, measure)}
        for (name,), part in sides.sort("class").group_by("class", maintain_order=True)
        for measure in MEASURES
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    is_tested = table["p_value"].is_not_null().to_numpy()
    p = table["p_value"].cast(pl.Float64).drop_nulls().to_numpy()
    q = np.full(table.height, np.nan)
    with np.errstate(divide="ignore"):
        q[is_tested] = adjust_p_values(np.log(p), n_tests=p.size)
    return table.with_columns(q_value=pl.Series(q).fill_nan(None))


def _describe_measure(part: pl.DataFrame, measure: str) -> dict[str, Any]:
    """Return quantiles of a measure in a class, and its distance from the controls."""
    its, others = (
        part.filter(pl.col("is_member") == side)[measure].drop_nulls().cast(pl.Float64)
        for side in (True, False)
    )
    described = {
        "n_accounts": its.len(),
        "mean": its.mean(),
        "minimum": its.min(),
        **{name: its.quantile(at, "linear") for name, at in _QUANTILES.items()},
        "maximum": its.max(),
        "share_zero": (its == 0).mean(),
        "n_controls": others.len(),
        "control_median": others.median(),
        "control_share_zero": (others == 0).mean(),
    }
    return described | measure_distance(its.to_numpy(), others.to_numpy())


def measure_distance(values: np.ndarray, others: np.ndarray) -> dict[str, float | None]:
    """Return how far two samples are from each other: ``distance, shift, p_value``."""
    from scipy.stats import rankdata

    if not (values.size and others.size):
        return dict.fromkeys(("distance", "shift", "p_value"))
    distance, p_value = _test_distance(values, others)
    ranks = rankdata(np.concatenate([values, others]))[: values.size]
    above = (ranks.sum() - values.size * (values.size + 1) / 2) / (values.size * others.size)
    return {"distance": distance, "shift": float(2 * above - 1), "p_value": p_value}


def _test_distance(values: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Return Kolmogorov and Smirnov's distance and its p-value."""
    from scipy.special import betaln
    from scipy.stats import ks_2samp

    n, m = values.size, others.size
    with warnings.catch_warnings():
        # Rounding can put an exact 1 above 1, for which SciPy then takes the limit law.
        warnings.filterwarnings("ignore", "ks_2samp: Exact", RuntimeWarning)
        tested = ks_2samp(values, others, method="exact" if n * m <= _MAX_EXACT else "asymp")
    # The limit law knows nothing of how few orders there are: two in "n + m choose n" are least.
    least = 2 * np.exp(np.log(n + m + 1) + betaln(n + 1, m + 1))
    return float(tested.statistic), float(np.clip(tested.pvalue, least, 1.0))


def _join_classes(accounts: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Add the classes of each account, as one text."""
    classes = members.sort("class").group_by("account_id", maintain_order=True)
    named = classes.agg(pl.col("class").str.join(", "))
    return accounts.join(named, on="account_id", how="left", maintain_order="left")


def _summarise(tables: dict[str, pl.DataFrame], *, alpha: float) -> dict[str, Any]:
    accounts, cohorts = tables["accounts"], tables["cohorts"]
    dated = accounts.drop_nulls("account_creation_date")
    significant = cohorts.filter(pl.col("q_value") <= alpha)
    return {
        "n_accounts": accounts.height,
        "n_dated": dated.height,
        "n_without_posts": accounts["first_seen"].null_count(),
        "n_contradictory": int((accounts["age_days"] < 0).sum()),
        "n_classes": tables["profiles"]["class"].n_unique(),
        "has_controls": bool(cohorts["p_value"].count()),
        "n_significant": significant.height,
        "n_accounts_in_significant": int(significant["n_accounts"].sum()),
    }
