"""Findings against the truth: how well the weights rank accounts and edges.

In: a run folder and who is known to belong to an operation. Out: figures, none of them tuned.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.ground.keywords import takes
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.results.forms import RUN
from gpu_coord.results.members import read_members
from gpu_coord.trust.evaluation.campaigns import leave_campaigns_out
from gpu_coord.trust.evaluation.classes import compare_classes, compare_halves
from gpu_coord.trust.evaluation.partitions import (
    compute_adjusted_information,
    compute_adjusted_rand,
    compute_weighted_purity,
    cross_partitions,
)
from gpu_coord.trust.evaluation.rankings import (
    bootstrap_ranking,
    compute_auc,
    compute_average_precision,
    compute_precision,
    describe_choice,
    rank_scores,
)
from gpu_coord.trust.evaluation.truths import read_edges, read_truth
from gpu_coord.trust.settings import EvaluateSettings

Figures = dict[str, Any]

MAX_FALSE_SHARE = 0.01  # of the negatives, for the recall
FIRST = (10, 50, 100)
MAX_PREVALENCE = 0.3
MIN_NEGATIVES = 100
_BALANCED = (
    "{:.0%} of the scored accounts are positives. Precision, average precision and F1 of such a "
    "sample do not hold where positives are rare: read precision_at_prevalence in their place."
)
_FEW = (
    "There are {} negatives, so recall at {:.0%} of false positives allows none at all, and a "
    "false positive rate of 0 is not one of an archive."
)
_SIMULATED = (
    "The truth is that of a simulation; what is found in one says little about a real archive."
)


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The accounts that the run analysed and the truth knows."""

    table: pl.DataFrame  # one row per account
    is_positive: np.ndarray
    strength: np.ndarray  # influence + in_weight
    n_known: int  # accounts of the truth
    n_known_positive: int

    @property
    def scores(self) -> dict[str, np.ndarray]:
        """What the accounts are ranked by; where pairs were tested, by their p-values, too."""
        if "p_value" not in self.table.columns:
            return {"strength": self.strength}
        least_p = self.table["p_value"].fill_null(1.0).to_numpy()
        scores = {"strength": self.strength, "least_p_value": -least_p}
        if "co_activity" in self.table.columns:  # of versions after 0.1
            scores["co_activity"] = self.table["co_activity"].to_numpy()
        return scores

    @property
    def n_positive(self) -> int:
        """Positives among the accounts."""
        return int(self.is_positive.sum())

    @property
    def prevalence(self) -> float:
        """Share of positives among the accounts."""
        return self.n_positive / self.is_positive.size


@takes(EvaluateSettings)
def evaluate(
    run: Findings | Path | str,
    truth: pl.DataFrame | Path | str | None = None,
    **choices: Any,
) -> dict[str, Figures]:
    """Compare a run with the truth about its accounts and, where it is known, its edges.

    Parameters
    ----------
    run
        A run, or its folder.
    truth
        A file, see :func:`read_truth`; a table ``account_id, label`` as :func:`gather_truth` makes
        it; or None: the labels that the run has itself. A file ``truth_edges.parquet``
        (``source, target``) beside a file is read as well.

    Returns
    -------
        ``accounts``: of the accounts that the run analysed and the truth knows, AUC and average
        precision of their strength (influence + in_weight), precision among the first n (n = the
        positives), the share of core accounts among the first by influence; beside them how many
        accounts and positives of the truth the run did not analyse. ``edges``: the same for edge
        weights, with recall; true edges that the run lacks are never found; where the edges of a
        run have no direction, those of the truth have none. None where a figure is not defined.
        Where the run tested for significance, also the AUC of each account's smallest p-value (over
        all its edges, either way) and of its ``co_activity``, and of the significant edges their
        number, recall and the share that is false: not true (``false_share``), and with an end that
        is no positive (``share_outside``).

        Further, each where the run and the truth have what it takes: ``ranking`` (precision among
        the first, recall at 1 % false positives, by each of these scores), ``network``
        and ``confirmed_groups`` (precision, recall, F1 and precision at the prevalence of being in
        them), ``intervals`` (95 %, bootstrap), ``groups`` (ARI, AMI and weighted purity of
        communities, components and confirmed groups), ``influence`` (Spearman), ``roles`` (core
        against amplifiers), ``campaigns`` (leave one out), ``classes`` (mean weights inside and
        outside the operation), ``inside_by_half`` and ``outside_by_half`` (the same before and
        after), ``false_discoveries`` and ``warnings``.

    Raises
    ------
    ValueError
        The truth lacks a column, has no account in common with the run, or only one class of them;
        a prevalence that is no share, or a negative number of resamples.
    """
    settings = EvaluateSettings(**choices)
    positive, prevalence, seed = settings.positive, settings.prevalence, settings.seed
    findings = open_run(run, *RUN.commands)
    known = _read_known(findings, truth)
    found = findings.read("edges")
    accounts = findings.read("accounts")
    if is_tested := "p_value" in found.columns:
        accounts = accounts.join(_find_least_p(found), on="account_id", how="left")
    scored = _join_truth(accounts, known, positive)
    figures = {"accounts": _evaluate_accounts(scored)}
    if (true_edges := _find_edges(truth)) is not None:
        n_accounts = findings.summary["n_accounts"]
        n_pairs = n_accounts * (n_accounts - 1)
        if not findings.is_directed:
            true_edges, n_pairs = _forget_direction(true_edges), n_pairs // 2
        figures["edges"] = _evaluate_edges(found, true_edges, n_pairs)
        if is_tested:
            positives = known.filter(pl.col("label") == positive)["account_id"]
            figures["significant"] = _evaluate_significant(found, true_edges, positives)
            figures["false_discoveries"] = _compare_discoveries(findings, figures["significant"])
    marks = scored.table.select("account_id", is_positive=pl.Series(scored.is_positive))
    more: dict[str, Figures | None] = {
        "ranking": _describe_ranking(scored),
        "network": _describe_network(scored, prevalence),
        "confirmed_groups": _describe_groups(findings, scored, prevalence),
        "intervals": _resample(scored, settings.n_resamples, seed),
        "groups": _compare_groups(findings, scored),
        "influence": _compare_influence(scored),
        "roles": _compare_roles(scored),
        "campaigns": _leave_out(scored, prevalence, seed),
        "classes": compare_classes(findings, marks),
        **compare_halves(findings, marks),
        "warnings": _list_warnings(scored, truth),
    }
    return figures | {name: section for name, section in more.items() if section}


def _read_known(findings: Findings, truth: pl.DataFrame | Path | str | None) -> pl.DataFrame:
    if isinstance(truth, pl.DataFrame):
        if missing := [name for name in ("account_id", "label") if name not in truth.columns]:
            raise ValueError(f"the truth lacks the columns {missing}; it has {truth.columns}.")
        return truth.drop_nulls(["account_id", "label"])
    if truth is not None:
        return read_truth(Path(truth))
    labels = findings.read("accounts").select("account_id", "label").drop_nulls()
    if labels.is_empty():
        raise ValueError(
            "the accounts of the run have no labels; give a truth, or give labels to `ingest` or "
            "`detect`."
        )
    return labels


def _find_edges(truth: pl.DataFrame | Path | str | None) -> pl.DataFrame | None:
    if truth is None or isinstance(truth, pl.DataFrame):
        return None
    edges = Path(truth).with_name("truth_edges.parquet")
    return read_edges(edges) if edges.is_file() and edges != Path(truth) else None


def _forget_direction(edges: pl.DataFrame) -> pl.DataFrame:
    ends = {
        "source": pl.min_horizontal("source", "target"),
        "target": pl.max_horizontal("source", "target"),
    }
    return edges.select(**ends).unique(maintain_order=True)


def _find_least_p(edges: pl.DataFrame) -> pl.DataFrame:
    ends = [edges.select("p_value", account_id=end) for end in ("source", "target")]
    return pl.concat(ends).group_by("account_id").agg(pl.col("p_value").min())


def _join_truth(found: pl.DataFrame, truth: pl.DataFrame, positive: str) -> Scored:
    mine: dict[str, str] = {
        name: f"found_{name}" for name in ("role", "influence") if name in found.columns
    }
    theirs = found.drop("label", strict=False).rename(mine)
    scored = theirs.join(truth, on="account_id", how="inner")
    if scored.is_empty():
        raise ValueError(
            f"none of the {truth.height} accounts of the truth is among the {found.height} of the "
            "run; is it the truth of another archive, or was the store made with a key?"
        )
    is_positive = (scored["label"] == positive).to_numpy()
    n_positive = int(is_positive.sum())
    if not 0 < n_positive < is_positive.size:
        labels = sorted(truth["label"].unique())
        raise ValueError(
            f"{n_positive} of {is_positive.size} accounts of the truth in this run are labelled "
            f"{positive!r}; some and not all must be: choose another of the labels {labels}."
        )
    strength = (scored["found_influence"] + scored["in_weight"]).to_numpy()
    n_true = int((truth["label"] == positive).sum())
    return Scored(scored, is_positive, strength, truth.height, n_true)


def _evaluate_accounts(scored: Scored) -> Figures:
    table, is_positive, n_positive = scored.table, scored.is_positive, scored.n_positive
    figures: Figures = {
        "n_accounts": is_positive.size,
        "n_positive": n_positive,
        "prevalence": scored.prevalence,
        "n_not_analysed": scored.n_known - table.height,
        "n_positive_not_analysed": scored.n_known_positive - n_positive,
        "auc": compute_auc(scored.strength, is_positive),
        "average_precision": compute_average_precision(scored.strength, is_positive),
        "precision_at_n_positive": compute_precision(scored.strength, is_positive, n_positive),
    }
    for name, score in list(scored.scores.items())[1:]:
        figures[f"auc_of_{name}"] = compute_auc(score, is_positive)
    if "role" in table.columns and (is_core := table["role"].eq_missing("core").to_numpy()).any():
        n_core = int(is_core.sum())
        figures["n_core"] = n_core
        figures["share_of_core_among_first_by_influence"] = compute_precision(
            table["found_influence"].to_numpy(), is_core, n_core
        )
    return figures


def _evaluate_edges(found: pl.DataFrame, truth: pl.DataFrame, n_pairs: int) -> Figures:
    marked = found.join(truth.with_columns(is_true=True), on=["source", "target"], how="left")
    is_true = marked["is_true"].fill_null(value=False).to_numpy()
    weight, n_true = marked["weight"].to_numpy(), truth.height
    return {
        "n_edges": found.height,
        "n_true": n_true,
        "n_pairs": n_pairs,
        "recall": float(is_true.sum() / n_true) if n_true else None,
        "average_precision": compute_average_precision(weight, is_true, n_positive=n_true),
        "precision_at_n_true": compute_precision(weight, is_true, n_true),
    }


def _evaluate_significant(
    found: pl.DataFrame, truth: pl.DataFrame, positives: pl.Series
) -> Figures:
    significant = found.filter("significant")
    n_found, n_true = significant.height, truth.height
    n_hit = significant.join(truth, on=["source", "target"], how="semi").height
    inside = pl.all_horizontal(pl.col("source", "target").is_in(positives.implode()))
    n_inside = significant.filter(inside).height
    return {
        "n_edges": n_found,
        "recall": n_hit / n_true if n_true else None,
        "false_share": 1 - n_hit / n_found if n_found else None,
        "share_outside": 1 - n_inside / n_found if n_found else None,
    }


def _compare_discoveries(findings: Findings, significant: Figures) -> Figures:
    """Hold the share of false edges against the share that was asked for; no edge, none false."""
    return {
        "nominal": findings.content["settings"].get("alpha"),
        "empirical": significant["false_share"] or 0.0,
        "empirical_outside": significant["share_outside"] or 0.0,
    }


def _describe_ranking(scored: Scored) -> Figures:
    """Return figures of each score, the figure first."""
    rankings = {
        name: rank_scores(score, scored.is_positive) for name, score in scored.scores.items()
    }
    first = {
        f"precision_at_{n}": {name: rank.compute_precision(n) for name, rank in rankings.items()}
        for n in FIRST
        if n <= scored.is_positive.size
    }
    recall = {name: rank.compute_recall(MAX_FALSE_SHARE) for name, rank in rankings.items()}
    return {**first, "recall_at_1_percent_false_positives": recall}


def _describe_network(scored: Scored, prevalence: float) -> Figures:
    chosen = scored.table["component"].is_not_null().to_numpy()
    return describe_choice(chosen, scored.is_positive, prevalence=prevalence)


def _describe_groups(findings: Findings, scored: Scored, prevalence: float) -> Figures | None:
    members = _read_groups(findings)
    if members is None:
        return None
    chosen = scored.table["account_id"].is_in(members["account_id"].implode()).to_numpy()
    return describe_choice(chosen, scored.is_positive, prevalence=prevalence)


def _read_groups(findings: Findings) -> pl.DataFrame | None:
    """Return ``account_id, group`` of the confirmed groups; of several the first."""
    if not findings.has("group_accounts"):
        return None
    _, members = read_members(findings, "group")
    first = members.sort("number", maintain_order=True).unique("account_id", keep="first")
    return first.rename({"number": "group"})


def _resample(scored: Scored, n_resamples: int, seed: int) -> Figures | None:
    if n_resamples == 0:
        return None
    intervals: Figures = {}
    for name, score in scored.scores.items():
        found = bootstrap_ranking(
            score,
            scored.is_positive,
            max_false_share=MAX_FALSE_SHARE,
            n_resamples=n_resamples,
            seed=seed,
        )
        found["recall_at_1_percent_false_positives"] = found.pop("recall")
        suffix = "" if name == "strength" else f"_of_{name}"
        for figure, (low, high) in found.items():
            intervals[figure + suffix] = {"low": low, "high": high}
    return intervals


def _compare_groups(findings: Findings, scored: Scored) -> Figures | None:
    """Compare what was found with the campaigns of the truth; without them with one group."""
    true = _number_groups(scored)
    partitions = {name: scored.table[name] for name in ("community", "component")}
    if (members := _read_groups(findings)) is not None:
        joined = scored.table.select("account_id").join(
            members.select("account_id", "group"),
            on="account_id",
            how="left",
            maintain_order="left",
        )
        partitions["confirmed_group"] = joined["group"]
    return {
        name: _compare_partition(found.fill_null(-1).cast(pl.Int64).to_numpy(), true, scored)
        for name, found in partitions.items()
    }


def _number_groups(scored: Scored) -> np.ndarray:
    """Return the true group of each positive; everyone else is in none, -1."""
    if "campaign" not in scored.table.columns:
        return np.where(scored.is_positive, 0, -1)
    ranks = scored.table["campaign"].rank("dense").cast(pl.Int64).fill_null(-1).to_numpy()
    return np.where(scored.is_positive, ranks, -1)


def _compare_partition(found: np.ndarray, true: np.ndarray, scored: Scored) -> Figures:
    overlap = cross_partitions(found, true)
    return {
        "ari": compute_adjusted_rand(overlap),
        "ami": compute_adjusted_information(overlap),
        "weighted_purity": compute_weighted_purity(found, scored.is_positive),
        "recall": float((found[scored.is_positive] >= 0).mean()),
    }


def _compare_influence(scored: Scored) -> Figures | None:
    """Compare influence with that of the truth, over all accounts and over the positives."""
    if "influence" not in scored.table.columns:
        return None
    known = scored.table["influence"].is_not_null().to_numpy()
    found = scored.table["found_influence"].to_numpy()
    true = scored.table["influence"].to_numpy()
    inside = known & scored.is_positive
    figures = {
        "spearman": _correlate(found[known], true[known]),
        "spearman_of_positives": _correlate(found[inside], true[inside]),
    }
    return figures if any(value is not None for value in figures.values()) else None


def _correlate(found: np.ndarray, true: np.ndarray) -> float | None:
    if found.size < 3 or np.ptp(found) == 0 or np.ptp(true) == 0:
        return None
    pairs = pl.DataFrame({"found": found, "true": true})
    return float(pairs.select(pl.corr("found", "true", method="spearman")).item())


def _compare_roles(scored: Scored) -> Figures | None:
    """Return how well earliness tells core accounts from amplifiers, after `gpu-coord roles`."""
    if not {"role", "earliness_z"} <= set(scored.table.columns):
        return None
    told = scored.table.filter(
        pl.col("role").is_in(["core", "amplifier"]), pl.col("earliness_z").is_not_null()
    )
    is_core = (told["role"] == "core").to_numpy()
    if not 0 < is_core.sum() < is_core.size:
        return None
    auc = compute_auc(told["earliness_z"].to_numpy(), is_core)
    return {"auc_of_earliness": auc, "n_core": int(is_core.sum()), "n_accounts": is_core.size}


def _leave_out(scored: Scored, prevalence: float, seed: int) -> Figures | None:
    if "campaign" not in scored.table.columns:
        return None
    campaign = scored.table["campaign"].cast(pl.String).to_list()
    # Strength is of significant edges only, where there are tests: many accounts have none.
    name, score = list(scored.scores.items())[-1]
    found = leave_campaigns_out(
        score, scored.is_positive, campaign, prevalence=prevalence, seed=seed
    )
    return None if found is None else {"score": name, **found}


def _list_warnings(scored: Scored, truth: pl.DataFrame | Path | str | None) -> Figures:
    warnings = {}
    if scored.prevalence > MAX_PREVALENCE:
        warnings["balanced"] = _BALANCED.format(scored.prevalence)
    if (n_negative := scored.is_positive.size - scored.n_positive) < MIN_NEGATIVES:
        warnings["few_negatives"] = _FEW.format(n_negative, MAX_FALSE_SHARE)
    is_file = truth is not None and not isinstance(truth, pl.DataFrame)
    if is_file and Path(truth).with_name("simulation.json").is_file():  # type: ignore[arg-type]
        warnings["simulated"] = _SIMULATED
    return warnings
