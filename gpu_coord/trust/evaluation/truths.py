"""Who belongs to an operation, from the files that say so.

In: a table of labels, a labelled archive of posts, or users files of an archive and of controls.
Out: one table ``account_id, label`` and, where known, ``role, campaign, influence``.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from gpu_coord.archive.ids import read_ids
from gpu_coord.archive.ingest import read_labels
from gpu_coord.archive.sources import (
    HEAD_BYTES,
    UNPACKERS,
    ArchiveError,
    read_parquet,
    read_table_bytes,
    refuse_no_file,
    scan_csv,
    scan_parquet,
)

POSITIVE_LABEL, CONTROL_LABEL = "operation", "control"
EXTRA = ("role", "group", "campaign")
_IS_CONTROL = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def read_truth(path: Path) -> pl.DataFrame:
    """Read who belongs to an operation from one file.

    Parameters
    ----------
    path
        CSV or Parquet, either with ``account_id, label`` and, optionally, ``role``, ``group`` or
        ``campaign`` and ``influence``; or posts with ``accountid, is_control``, as in the labelled
        data sets of Seckin et al. (doi 10.5281/zenodo.14141549): controls are labelled
        ``control``, all others ``operation``.

    Returns
    -------
        ``account_id, label`` and what else is known; a ``group`` is called ``campaign`` where the
        file has no such column.

    Raises
    ------
    ArchiveError
        The file is broken, lacks a column, or tells two things of one account.
    """
    table = _scan(path)
    columns = set() if table is None else {*table.collect_schema()}
    if table is not None and {"accountid", "is_control"} <= columns:
        return _read_labelled_archive(table, path.name)
    known = read_labels(path, extra=EXTRA)
    if "campaign" not in known.columns and "group" in known.columns:
        known = known.rename({"group": "campaign"})
    if table is not None and {"account_id", "influence"} <= columns:
        influence = _read_influence(table, path.name)
        known = known.join(influence, on="account_id", how="left", maintain_order="left")
    return known.drop("group", strict=False)


def _read_influence(table: pl.LazyFrame, name: str) -> pl.DataFrame:
    text = pl.col("influence").cast(pl.String)
    rows = _collect_ids(table.select("account_id", text), "account_id", name).drop_nulls()
    rows = rows.with_columns(number=pl.col("influence").cast(pl.Float64, strict=False))
    if wrong := rows.filter(pl.col("number").is_null())["influence"].head(1).to_list():
        raise ArchiveError(f"{name} gives the influence {wrong[0]!r}, which is no number.")
    if twice := rows.filter(pl.col("account_id").is_duplicated())["account_id"].n_unique():
        raise ArchiveError(f"{name} gives {twice} accounts two influences; correct them.")
    return rows.select("account_id", influence="number")


def _collect_ids(table: pl.LazyFrame, column: str, name: str) -> pl.DataFrame:
    """Read the distinct rows with an id, in a stream; the id becomes ``account_id``, as text."""
    try:
        rows = table.unique().collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise ArchiveError(f"{name} cannot be read: {reason.rstrip('.')}.") from error
    ids = read_ids(rows[column], name=name).alias("account_id")
    rest = [other for other in rows.columns if other != column]
    return rows.select(ids, *rest).drop_nulls("account_id").sort(pl.all())


def _scan(path: Path) -> pl.LazyFrame | None:
    """Scan a CSV or Parquet file as text; None where it cannot even be opened."""
    refuse_no_file(path, "a truth is a CSV or Parquet file")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        table = _open(path, head)
        if table is not None:
            table.collect_schema()
    except (OSError, pl.exceptions.PolarsError):
        return None
    return table


def _open(path: Path, head: bytes) -> pl.LazyFrame | None:
    if head.startswith(b"PAR1"):
        return scan_parquet(path)
    if any(head.startswith(mark) for mark, _ in UNPACKERS):  # to be unpacked within bounds
        return pl.read_csv(read_table_bytes(path), infer_schema=False).lazy()
    is_endless = len(head) == HEAD_BYTES and b"\n" not in head  # Polars would hold all of a line
    return None if is_endless else scan_csv(path)


def _read_labelled_archive(table: pl.LazyFrame, name: str) -> pl.DataFrame:
    flag = pl.col("is_control").cast(pl.String).str.to_lowercase().str.strip_chars()
    rows = _collect_ids(table.select("accountid", flag), "accountid", name)
    is_control = rows["is_control"].replace_strict(_IS_CONTROL, default=None)
    if wrong := rows.filter(is_control.is_null())["is_control"].head(1).to_list():
        raise ArchiveError(f"{name} gives is_control={wrong[0]!r}; it must be true or false.")
    if twice := rows.filter(rows["account_id"].is_duplicated())["account_id"].n_unique():
        raise ArchiveError(
            f"{name} says of {twice} accounts that they are controls and that they are not; "
            "correct them."
        )
    label = pl.when(is_control).then(pl.lit(CONTROL_LABEL)).otherwise(pl.lit(POSITIVE_LABEL))
    return rows.select("account_id", label=label)


def gather_truth(
    users: Sequence[Path | str], controls: Sequence[Path | str], *, positive: str = POSITIVE_LABEL
) -> pl.DataFrame:
    """Label the accounts of users files: those of an archive, and those of controls.

    Parameters
    ----------
    users, controls
        Users or posts files of X archives, or any CSV or Parquet with ``userid`` or
        ``account_id``.
    positive
        The label of the accounts of ``users``; the others are labelled ``control``.

    Raises
    ------
    ArchiveError
        A file has no ids, or an account is in both.
    """
    labelled = [
        _read_account_ids(Path(path)).select("account_id", label=pl.lit(label))
        for paths, label in ((users, positive), (controls, CONTROL_LABEL))
        for path in paths
    ]
    truth = pl.concat(labelled).unique(maintain_order=True)
    if twice := truth.filter(pl.col("account_id").is_duplicated())["account_id"].n_unique():
        raise ArchiveError(
            f"{twice} accounts are among the users and among the controls; a control must not "
            "belong to the operation, so take them out of the controls."
        )
    return truth.sort("account_id")


def _read_account_ids(path: Path) -> pl.DataFrame:
    table = _scan(path)
    names = [] if table is None else table.collect_schema().names()
    chosen = [name for name in ("account_id", "userid", "accountid") if name in names]
    if table is None or not chosen:
        raise ArchiveError(
            f"{path.name} has no column account_id or userid; give the users file of an archive, "
            "or a CSV or Parquet table of accounts."
        )
    return _collect_ids(table.select(chosen[0]), chosen[0], path.name)


def read_edges(path: Path) -> pl.DataFrame:
    """Read true edges, ``source, target``, each once.

    Raises
    ------
    ValueError
        The file lacks a column.
    """
    edges = read_parquet(path)
    missing = [column for column in ("source", "target") if column not in edges.columns]
    if missing:
        raise ValueError(f"{path.name} lacks the columns {missing}; it has {edges.columns}.")
    return edges.select(pl.col("source", "target").cast(pl.String)).unique(maintain_order=True)
