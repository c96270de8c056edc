"""A run and the truth -> figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_coord.cli.display import Rows, describe_cost, flatten, print_lines, print_rows

if TYPE_CHECKING:
    import polars as pl

    from gpu_coord.results.findings import Findings

_MAX_PREVALENCE = 0.3


def choose_truth(
    truth: Path | None, users: list[Path], controls: list[Path], *, positive: str
) -> "Path | pl.DataFrame | None":
    """Return the file of the truth, or the accounts of users files with controls."""
    from gpu_coord.trust.evaluation.truths import gather_truth

    if not users and not controls:
        return truth
    if truth is not None or not users or not controls:
        raise ValueError("--users and --controls go together, and without --truth.")
    return gather_truth(users, controls, positive=positive)


def show_figures(figures: dict[str, Any]) -> None:
    """Print figures against the truth, section by section."""
    for name, section in figures.items():
        if name == "warnings":
            continue
        title = f"{name.replace('_', ' ').capitalize()}, against the truth"
        print_rows(title, *_tabulate_section(section))
    for warning in figures.get("warnings", {}).values():
        print_lines(f"Note: {warning}", wrap=True)


def _tabulate_section(section: dict[str, Any]) -> Rows:
    """Return columns and rows: a table where each entry has the same figures, else a list."""
    if all(isinstance(value, dict) for value in section.values()):
        columns = list(next(iter(section.values())))
        rows = [(name.replace("_", " "), *part.values()) for name, part in section.items()]
        return ["what", *(column.replace("_", " ") for column in columns)], rows
    plain = {name: value for name, value in section.items() if not isinstance(value, list)}
    return ["what", "figure"], flatten(plain)


def show_comparison(found: "Findings") -> None:
    """Print how each method ranks the accounts of each archive, and how its groups agree."""
    methods, groups = found.read("methods"), found.read("groups")
    for archive in methods["archive"].unique(maintain_order=True):
        _show_archive(archive, methods.filter(archive=archive, ranked="accounts"))
    if found.summary["n_archives"] > 1:
        ranks = found.read("ranks").filter(ranked="accounts")
        columns = {"method": "method", "n_archives": "archives", "mean_auc": "AUC",
                   "mean_average_precision": "AP", "mean_rank_auc": "rank",
                   "mean_rank_average_precision": "rank by AP"}  # fmt: skip
        print_rows("Means over the archives", [*columns.values()], ranks.select(*columns).rows())
    for archive in groups["archive"].unique(maintain_order=True):
        columns = {"method": "method", "n_groups": "groups", "coverage": "covered", "ami": "AMI",
                   "ari": "ARI", "purity": "purity", "weighted_purity": "weighted"}  # fmt: skip
        rows = groups.filter(archive=archive).sort("ami", descending=True, nulls_last=True)
        title = f"Groups against those of the truth, {archive}"
        print_rows(title, [*columns.values()], rows.select(*columns).rows())
    print_lines(
        "A comparison is of these archives: no method is the best everywhere.",
        f"{found.path} holds the figures of pairs, table.tex for a paper, and methods.png.",
        "",
        describe_cost(found),
        wrap=True,
    )


def _show_archive(archive: str, rows: "pl.DataFrame") -> None:
    import polars as pl

    ranked = rows.filter(pl.col("auc").is_not_null()).sort("auc", descending=True)
    if ranked.height:
        n, n_positive = ranked.select("n", "n_positive").row(0)
        columns = {"method": "method", "auc": "AUC", "auc_low": "low", "auc_high": "high",
                   "average_precision": "AP", "precision_at_n_positive": "precision",
                   "n_to_90_percent": "to 90 %"}  # fmt: skip
        print_rows(
            f"{archive}: {n:,} accounts that are known, {n_positive:,} of the operation",
            [*columns.values()], ranked.select(*columns).rows(),
        )  # fmt: skip
        if n_positive > _MAX_PREVALENCE * n:
            print_lines(
                f"{n_positive / n:.0%} of them are of the operation: precision and AP do not hold "
                "where these are rare; precision_at_prevalence of methods.parquet does.",
                wrap=True,
            )
    for method, reason in rows.drop_nulls("reason").select("method", "reason").rows():
        print_lines(f"{method}: not possible, as {reason}.", wrap=True)
