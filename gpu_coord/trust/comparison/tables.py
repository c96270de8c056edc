"""Figures of methods -> their ranks over archives, a table for a paper, and a picture."""

from pathlib import Path
from typing import Any

import polars as pl

from gpu_coord.ground.escapes import escape_latex
from gpu_coord.trust.comparison.figures import FIRST
from gpu_coord.trust.comparison.methods import METHODS

TABLE, FIGURE = "table.tex", "methods.png"

_INTERVALS = ("auc", "average_precision", "recall_at_1_percent_false")
METHODS_SCHEMA: dict[str, Any] = {
    "archive": pl.String, "method": pl.String, "ranked": pl.String, "reason": pl.String,
    "n": pl.Int64, "n_positive": pl.Int64,
    **dict.fromkeys(
        (
            "auc", "average_precision", "lift", *(f"precision_at_{n}" for n in FIRST),
            "precision_at_n_positive", "precision_at_prevalence", "recall_at_1_percent_false",
            "ndcg",
        ),
        pl.Float64,
    ),
    "n_to_90_percent": pl.Int64,
    **{f"{name}_{end}": pl.Float64 for name in _INTERVALS for end in ("low", "high")},
}  # fmt: skip
GROUPS_SCHEMA: dict[str, Any] = {
    "archive": pl.String, "method": pl.String, "n_groups": pl.Int64, "n_covered": pl.Int64,
    **dict.fromkeys(("coverage", "ami", "ari", "purity", "weighted_purity"), pl.Float64),
}  # fmt: skip


def rank_methods(methods: pl.DataFrame) -> pl.DataFrame:
    """Rank the methods in each archive, 1 the best, and average the ranks.

    Parameters
    ----------
    methods
        ``methods.parquet``.

    Returns
    -------
        ``ranked, method, says, source, n_archives`` (in which the method was possible), ``mean_auc,
        mean_average_precision, mean_rank_auc, mean_rank_average_precision``; those possible in
        most archives first, of these the best by the first of the ranks.
    """
    figures = ("auc", "average_precision")
    ranks = methods.filter(pl.col("auc").is_not_null()).with_columns(
        pl.col(name)
        .rank("average", descending=True)
        .over("archive", "ranked")
        .alias(f"rank_{name}")
        for name in figures
    )
    means = ranks.group_by("ranked", "method").agg(
        pl.len().alias("n_archives"),
        *(pl.col(name).mean().alias(f"mean_{name}") for name in figures),
        *(pl.col(f"rank_{name}").mean().alias(f"mean_rank_{name}") for name in figures),
    )
    known = pl.DataFrame([(each.name, each.says, each.source) for each in METHODS],
                         schema=["method", "says", "source"], orient="row")  # fmt: skip
    named = means.join(known, on="method", how="left")
    first = ("ranked", "method", "says", "source")
    order = ["ranked", "n_archives", "mean_rank_auc", "method"]
    return named.select(*first, pl.exclude(first)).sort(
        order, descending=[False, True, False, False]
    )


def write_latex(methods: pl.DataFrame, ranks: pl.DataFrame) -> str:
    """Return a LaTeX table of the rankings of accounts: a row for each method, the best first.

    It needs the package booktabs.

    Parameters
    ----------
    methods, ranks
        ``methods.parquet`` and ``ranks.parquet``.
    """
    archives = methods["archive"].unique(maintain_order=True).to_list()
    rows = methods.filter(ranked="accounts")
    by_ends = {(row["archive"], row["method"]): row for row in rows.iter_rows(named=True)}
    order = ranks.filter(ranked="accounts")
    heads = "".join(rf" & \multicolumn{{3}}{{c}}{{{_escape(name)}}}" for name in archives)
    lines = [
        rf"\begin{{tabular}}{{l{'rrr' * len(archives)}r}}",
        r"\toprule",
        rf"{heads} & mean \\",
        "method" + " & AUC & AP & to 90\\,\\%" * len(archives) + r" & rank \\",
        r"\midrule",
    ]
    for method, rank in order.select("method", "mean_rank_auc").rows():
        cells = [cell for name in archives for cell in _spell(by_ends.get((name, method)))]
        lines.append(" & ".join([_escape(method), *cells, f"{rank:.1f}"]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _spell(row: dict[str, Any] | None) -> list[str]:
    if row is None or row["auc"] is None:
        return ["--"] * 3
    auc = f"{row['auc']:.2f}"
    if row["auc_low"] is not None:
        auc += f" ({row['auc_low']:.2f}--{row['auc_high']:.2f})"
    return [auc, f"{row['average_precision']:.2f}", f"{row['n_to_90_percent']:,}"]


def _escape(text: str) -> str:
    from gpu_coord.ground.terminal import clean

    return escape_latex(clean(text))


def draw_figure(path: Path, methods: pl.DataFrame, ranks: pl.DataFrame) -> None:
    """Draw the AUC of each method in each archive, with its interval, as a PNG."""
    from matplotlib.figure import Figure

    from gpu_coord.plots.comparisons import plot_methods
    from gpu_coord.plots.style import save_picture, use_theme

    n_methods = max(ranks.filter(ranked="accounts").height, 1)
    with use_theme():
        figure = Figure(figsize=(8.4, 1.6 + 0.28 * n_methods), layout="constrained")
        plot_methods(figure.subplots(), methods, ranks)
        save_picture(figure, path)
