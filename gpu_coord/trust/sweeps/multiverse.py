"""Cells of a sweep -> what holds whatever is chosen, and which choice matters.

In: ``sweep.parquet`` as a frame, and communities. Out: frames for tables and pictures.
The one idea: the share of specifications that agree with a finding is itself the finding.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import prod
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from gpu_coord.ground.choices import check_choice
from gpu_coord.trust.evaluation.partitions import adjust_rand
from gpu_coord.trust.sweeps.grid import OPTIONS, spell_command

CORE_SHARE = 0.9
INTERACTIONS = "interactions"
_ROUNDING = 1e-12

Part = Literal["any", "leading"]

__all__ = [
    "compare_communities", "decompose_variance", "find_core", "list_varied", "rank_specifications",
    "spell_command",
]  # fmt: skip


def list_varied(cells: pl.DataFrame) -> list[str]:
    """Return the settings that differ between cells, in the order of their columns."""
    return [name for name in OPTIONS if name in cells.columns and cells[name].n_unique() > 1]


def rank_specifications(cells: pl.DataFrame, figure: str) -> pl.DataFrame:
    """Return the specification curve: cells in the order of a figure, with what they chose.

    Parameters
    ----------
    cells
        ``sweep.parquet``.
    figure
        A column of numbers.

    Returns
    -------
        ``rank`` (0 = lowest), ``cell``, the figure, and the settings that differ between cells.
        Cells where the figure is null are left out; ties are in the order of the grid.

    Raises
    ------
    ValueError
        There is no such column of numbers.
    """
    _check_figure(cells, figure)
    ranked = cells.drop_nulls(figure).sort(figure, "cell").with_row_index("rank")
    return ranked.select("rank", "cell", figure, *list_varied(cells))


def _check_figure(cells: pl.DataFrame, figure: str) -> None:
    if figure not in cells.columns or not cells.schema[figure].is_numeric():
        numbers = [name for name in cells.columns if cells.schema[name].is_numeric()]
        raise ValueError(f"figure is {figure!r}; it is one of {', '.join(numbers)}.")


def find_core(
    accounts: pl.DataFrame, *, min_share: float = CORE_SHARE, part: Part = "any"
) -> pl.DataFrame:
    """Return the robust core: accounts in the network of at least a share of the cells.

    Parameters
    ----------
    accounts
        ``accounts.parquet`` of a sweep.
    min_share
        Of the cells.
    part
        ``any``: an edge, either way; ``leading``: an edge from the account to another.

    Raises
    ------
    ValueError
        The share is not above 0 and at most 1, or the part is unknown.
    """
    if not 0 < min_share <= 1:
        raise ValueError(f"min_share is {min_share}; it lies above 0 and at most at 1.")
    check_choice("part", part, get_args(Part))
    return accounts.filter(pl.col("share" if part == "any" else "share_leading") >= min_share)


def decompose_variance(cells: pl.DataFrame, figures: Sequence[str]) -> pl.DataFrame:
    """Return how much of the variance of each figure each setting carries alone.

    The share is Var(E[figure | setting]) / Var(figure), of cells that all weigh the same: the
    first-order index of Sobol, and the eta squared of a one-way analysis of variance. In a whole
    grid the rest is what settings do together (``interactions``).

    Parameters
    ----------
    cells
        ``sweep.parquet``.
    figures
        Columns of numbers; nulls are left out.

    Returns
    -------
        ``figure, setting, n_cells, n_values, share, share_by_lot``. ``share_by_lot`` is what a
        setting without effect would have on average in cells drawn by lot, (values - 1) /
        (cells - 1). Shares are null where the figure does not vary; a figure that no cell has is
        left out.

    Raises
    ------
    ValueError
        There is no such column of numbers.
    """
    settings = list_varied(cells)
    rows: list[dict[str, Any]] = []
    for figure in figures:
        _check_figure(cells, figure)
        known = cells.drop_nulls(figure)
        rows += _decompose(known, figure, settings) if known.height else []
    schema = {"figure": pl.String, "setting": pl.String, "n_cells": pl.Int64}
    schema |= {"n_values": pl.Int64, "share": pl.Float64, "share_by_lot": pl.Float64}
    return pl.DataFrame(rows, schema=schema)


def _decompose(
    cells: pl.DataFrame, figure: str, settings: Sequence[str]
) -> Iterator[dict[str, Any]]:
    values = cells[figure].cast(pl.Float64).to_numpy()
    # A constant figure has a variance of some rounding errors; a share of these says nothing.
    varies = cells.height > 1 and values.min() < values.max()
    n_values = {name: cells[name].n_unique() for name in settings}
    shares = {name: _share_variance(cells, figure, name) for name in settings} if varies else {}
    common = {"figure": figure, "n_cells": cells.height}
    for name, n in n_values.items():
        by_lot = (n - 1) / (cells.height - 1) if cells.height > 1 else None
        yield common | {
            "setting": name, "n_values": n, "share": shares.get(name), "share_by_lot": by_lot
        }  # fmt: skip
    if settings and cells.height == prod(n_values.values()):
        rest = 1 - sum(shares.values()) if varies else None
        yield common | {"setting": INTERACTIONS, "share": rest}


def _share_variance(cells: pl.DataFrame, figure: str, setting: str) -> float:
    value = pl.col(figure).cast(pl.Float64)
    means = cells.select(mean=value.mean().over(setting), value=value)
    share = float(means["mean"].var(ddof=0) / means["value"].var(ddof=0))  # type: ignore[operator, arg-type]
    return share if share > _ROUNDING else 0.0


def compare_communities(one: np.ndarray, other: np.ndarray) -> tuple[float | None, int, int]:
    """Return the adjusted Rand index of two sets of communities, over the accounts in either.

    An account that a network lacks is a community of its own there.

    Parameters
    ----------
    one, other
        Community of each account, -1 where the network lacks it, (n_accounts,).

    Returns
    -------
        The index (Hubert & Arabie 1985): 1 where they are the same, about 0 where they agree as
        much as chance does, None where both are empty; the accounts in both; those in either.
    """
    in_both = (one >= 0) & (other >= 0)
    n_both, n_either = int(in_both.sum()), int(((one >= 0) | (other >= 0)).sum())
    if not n_either:
        return None, 0, 0
    together = one[in_both].astype(np.int64) * (int(other.max()) + 1) + other[in_both]
    common = np.unique(together, return_counts=True)[1]
    n_one, n_other = (np.bincount(labels[labels >= 0]) for labels in (one, other))
    return adjust_rand(common, n_one, n_other, n_either), n_both, n_either


def compare_all(labels: Sequence[np.ndarray]) -> list[list[tuple[float | None, int, int]]]:
    """Return the comparison of each two sets of communities, and of each with itself."""
    found = [[compare_communities(one, one) for _ in labels] for one in labels]
    for i, j in combinations(range(len(labels)), 2):
        found[i][j] = found[j][i] = compare_communities(labels[i], labels[j])
    return found
