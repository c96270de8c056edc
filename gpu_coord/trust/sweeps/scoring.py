"""Labels that a sweep is scored with, and the guard: what chose a cell never scores it.

In: a truth file. Out: figures of each cell, by `trust.evaluation`. Where a cell is to be
chosen, the accounts are split in halves: one chooses, and the other scores the chosen cell alone.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.archive.ingest import read_labels
from gpu_coord.detection.edges import EdgeWriter
from gpu_coord.detection.stages import tabulate_ranks
from gpu_coord.ground.parquet import write_parquet
from gpu_coord.network.network import score_accounts
from gpu_coord.results.findings import Findings
from gpu_coord.results.forms import RUN
from gpu_coord.store.store import Store
from gpu_coord.trust.evaluation.evaluation import evaluate
from gpu_coord.trust.settings import SweepSettings
from gpu_coord.trust.sweeps.grid import Cell
from gpu_coord.trust.sweeps.stages import CellResult

Half = str  # "all", "choosing" or "scoring"


@dataclass(frozen=True, slots=True)
class Truth:
    """The accounts that are known, which of them ought to be found, and what they are used for."""

    path: Path
    settings: SweepSettings
    known: pl.DataFrame  # account_id, label, and role where there is one

    def write_half(self, half: Half, folder: Path) -> Path:
        """Return the file of the labels to score with; edges are known only where all are used."""
        if half == "all":
            return self.path
        file = folder / f"{half}.parquet"
        write_parquet(split_halves(self.known, seed=self.settings.seed)[half], file)
        return file


def read_truth(
    path: Path | str, store: Store, cells: Sequence[Cell], settings: SweepSettings
) -> Truth:
    """Read the labels to score cells with, and refuse what would not be a fair score.

    Parameters
    ----------
    path
        CSV or Parquet with ``account_id, label``.
    store, cells, settings
        Of the sweep.

    Raises
    ------
    ValueError
        Cells match accounts by label; the labels are not of this store, or not of both classes.
    """
    if any(cell.settings.match is not None for cell in cells):
        raise ValueError(
            "the grid has match, which chooses accounts by their label, and a truth scores by "
            "label, so that a sweep would tune on what it is scored with; leave one of them out."
        )
    known = read_labels(Path(path), extra=("role",))
    truth = Truth(Path(path).absolute(), settings, known)
    halves = split_halves(known, seed=settings.seed) if settings.choose_by else {"all": known}
    accounts = store.read("accounts")
    for half in halves.values():
        _check_classes(half.join(accounts, on="account_id", how="semi"), truth)
    return truth


def _check_classes(known: pl.DataFrame, truth: Truth) -> None:
    n_positive = int((known["label"] == truth.settings.positive).sum())
    if not 0 < n_positive < known.height:
        where = " in one half of them" if truth.settings.choose_by else ""
        raise ValueError(
            f"{n_positive} of {known.height} accounts of {truth.path.name} that the store has are "
            f"labelled {truth.settings.positive!r}{where}; some and not all must be: choose "
            f"another of the labels {sorted(truth.known['label'].unique())} or another file."
        )


def split_halves(known: pl.DataFrame, *, seed: int) -> dict[Half, pl.DataFrame]:
    """Split accounts by lot into a half that chooses and one that scores, label by label.

    Parameters
    ----------
    known
        ``account_id, label``; their order does not matter.
    seed
        Of the lot.
    """
    lot = np.random.default_rng(seed).permutation(known.height)
    drawn = known.sort("account_id").with_columns(lot=lot).sort("label", "lot")
    rank = pl.int_range(pl.len()).over("label")
    return {
        half: drawn.filter(rank % 2 == rest).drop("lot").sort("account_id")
        for rest, half in enumerate(("choosing", "scoring"))
    }


def score_cell(result: CellResult, labels: Path, *, positive: str, folder: Path) -> dict[str, Any]:
    """Return the figures of a cell as one flat mapping, ``accounts_auc`` and so on.

    Parameters
    ----------
    result
        Of the cell.
    labels
        As of `evaluate`; edges are scored where ``truth_edges.parquet`` lies beside it.
    positive
        The label of the accounts that ought to be found.
    folder
        A folder for the run that is scored; what is there is replaced.

    Raises
    ------
    ValueError
        The cell has no labelled account, or those of one class only.
    """
    folder.mkdir(exist_ok=True)
    with EdgeWriter(folder / "edges.parquet", result.accounts, (), result.tests) as writer:
        writer.add(result.edges, result.in_network)
    accounts = result.accounts.hstack(score_accounts(result.network))
    linked = result.edges.take(result.in_network)
    ranked = tabulate_ranks(result.tests, linked, n_accounts=accounts.height)
    accounts = accounts.hstack(ranked)
    write_parquet(accounts, folder / "accounts.parquet")
    content = {"settings": asdict(result.settings), "summary": result.summary}
    found = Findings(folder, content | {"command": "detect", "directed": True}, RUN)
    # Intervals of every cell would take longer than the cells.
    return flatten_figures(evaluate(found, labels, positive=positive, n_resamples=0))


def flatten_figures(figures: Any, prefix: str = "") -> dict[str, Any]:
    """Return the numbers of nested figures by joined names; texts and lists are left out."""
    flat: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            flat |= flatten_figures(value, f"{prefix}{name}_")
        elif value is None or isinstance(value, int | float):
            flat[f"{prefix}{name}"] = value
    return flat
