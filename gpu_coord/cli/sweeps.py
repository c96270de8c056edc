"""A store and a grid -> many runs, and what holds in most of them."""

from typing import TYPE_CHECKING

from gpu_coord.cli.display import Rows, describe_cost, print_lines, print_rows, print_top

if TYPE_CHECKING:
    from gpu_coord.results.findings import Findings


def show_sweep(found: "Findings", *, show_ids: bool) -> None:
    """Print what holds in most cells of a sweep."""
    first, *said = _describe_sweep(found)
    print_lines(first, "", wrap=True)
    print_rows("From the lowest to the highest", *_list_ranges(found))
    print_rows("Which choice matters (share of variance)", *_list_variance(found))
    print_top(
        "In most networks",
        found.read("accounts").remove(n_cells=0),
        {"account": "", "label": "label", "n_cells": "cells", "share": "share",
         "share_leading": "leads in"},
        by="-n_cells -n_leading account_id",
        show_ids=show_ids,
    )  # fmt: skip
    print_lines(*said, "", describe_cost(found), wrap=True)


def _list_ranges(found: "Findings") -> Rows:
    cells = found.read("sweep")
    figures = ["n_edges", "n_significant", "n_network_accounts", "n_communities", "lambda"]
    figures += [name for name in cells.columns if name.startswith("accounts_a")]
    columns = [cells[name] for name in figures if cells[name].null_count() < cells.height]
    rows = [(c.name.replace("_", " "), c.min(), c.median(), c.max()) for c in columns]
    return ["figure", "lowest", "median", "highest"], rows


def _list_variance(found: "Findings") -> Rows:
    import polars as pl

    table = found.read("variance").drop_nulls("share")
    wide = table.with_columns(pl.col("figure").str.replace_all("_", " ")).pivot(
        "setting", index="figure", values="share"
    )
    return wide.columns, wide.rows()


def _describe_sweep(found: "Findings") -> list[str]:
    summary = found.summary
    n_done = summary["n_cells"] - summary["n_failed"]
    lines = [
        f"{n_done:,} specifications, {summary['n_networks']:,} different networks. "
        f"{summary['n_accounts_ever']:,} accounts are in one at least, {summary['n_core']:,} in "
        f"90 % of the cells or more: the robust core; {summary['n_leading_core']:,} lead an edge "
        "in as many."
    ]
    if summary["n_failed"]:
        lines.append(
            f"{summary['n_failed']:,} cells could not be run; the column reason of sweep.parquet "
            "says why."
        )
    if summary["n_without_bulk"]:
        lines.append(
            f"In {summary['n_without_bulk']:,} of them chance does not describe the bulk of pairs "
            "(has_bulk in sweep.parquet; see lambda): their tests say little."
        )
    if chosen := summary["chosen"]:
        by = chosen["by"]
        lines.append(
            f"Cell {chosen['cell']:,} has the highest {by.replace('_', ' ')} on the half of the "
            f"truth that chooses, {chosen['choosing_half']:.3f}; on the other half it has "
            f"{chosen['scoring_half'][f'accounts_{by}']:.3f}. Report the latter."
        )
    lines.append(
        f"{found.path / 'sweep.parquet'} has a row per cell. Report the share of specifications "
        "that agree, not the one that agrees most."
    )
    return lines
