"""The books that are kept while files are read: counts per file, rejects, dictionaries.

In: sources. Out: their batches, with every record accounted for. The one idea: a record is
stored, rejected, a duplicate or excluded, and each file's counts add up.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from gpu_coord.archive.cells import count_words
from gpu_coord.archive.sources import read_batches
from gpu_coord.archive.tables import ACCOUNTS, Accounts, Entities, Exclusion
from gpu_coord.ground.threads import prefetch
from gpu_coord.store.tables import TableWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np

    from gpu_coord.archive.additions import Addition
    from gpu_coord.archive.sources import Batch, Source
    from gpu_coord.ground.kinds import UrlRule


TEXTS_AT_ONCE = 1 << 16


@dataclass(slots=True)
class Tally:
    """What became of the records of one source."""

    source: Source
    n_read: int = 0
    n_stored: int = 0
    n_rejected: int = 0
    n_duplicates: int = 0
    n_excluded: int = 0
    first_row: int = 0  # its good records are numbered from here, across all sources


@dataclass(slots=True)
class Intake:
    """Everything that reading one set of files needs and collects."""

    folder: Path  # of the store to be
    tallies: list[Tally]
    rejects: TableWriter
    exclusion: Exclusion
    url_rule: UrlRule
    time: Literal["auto", "stamp"]
    key: bytes | None
    keeps_texts: bool
    progress: Callable[[str, int, int], None]
    addition: Addition | None = None  # what the inputs are added to
    accounts: Accounts = field(default_factory=Accounts)
    entities: Entities = field(init=False)
    reasons: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)  # ids, by column
    facts: dict[str, Any] = field(default_factory=dict)  # for the manifest
    n_bytes_done: int = 0
    swallowed: list[tuple[str, int, int]] = field(default_factory=list)  # file, record, lines

    def __post_init__(self) -> None:
        self.entities = Entities(self.staged)
        if self.addition is not None:
            self.accounts.early_key = self.early_key
            counted = self.addition.manifest
            self.reasons.update(counted["rejected_by_reason"])
            self.unread.update(counted["unread_cells"])
            self.missing.update(counted["missing_cells"])
            self.mended.update(counted["mended_ids"])
            self.exclusion.n_events.update(counted["excluded_events_by_term"])

    @property
    def staged(self) -> Path:
        """The folder of tables that are not numbered yet."""
        return self.folder / "staged"

    def read(self, tally: Tally, columns: Iterable[str]) -> Iterator[Batch]:
        """Yield the batches of a source, and book its malformed records."""
        n_bytes = sum(each.source.path.stat().st_size for each in self.tallies)
        for batch in read_batches(tally.source, columns):
            tally.n_read += batch.frame.height + len(batch.malformed)
            rows, reasons = zip(*batch.malformed, strict=True) if batch.malformed else ((), ())
            self.reject(tally, pl.Series(rows, dtype=pl.Int64), pl.Series(reasons, dtype=pl.String))
            if batch.swallowed is not None:
                self.swallowed.append((tally.source.name, *batch.swallowed))
            named = batch.frame.rename(tally.source.columns, strict=False)
            self.missing.update(count_words(named))
            self.progress("read", self.n_bytes_done + batch.position, n_bytes)
            yield batch
        self.n_bytes_done += tally.source.path.stat().st_size
        self.progress("read", self.n_bytes_done, n_bytes)

    @property
    def early_key(self) -> bytes | None:
        """With which ids are hashed as they come: those of the store are known hashed alone."""
        return None if self.addition is None else self.key

    @property
    def late_key(self) -> bytes | None:
        """With which ids are hashed as they are written."""
        return self.key if self.addition is None else None

    @property
    def n_recalled(self) -> int:
        """How many staged rows are of the store that is added to."""
        return 0 if self.addition is None else self.addition.n_rows

    def count_before(self, fact: str) -> int:
        """Return what the store that is added to counted."""
        return 0 if self.addition is None else self.addition.manifest.get(fact, 0)

    def recall_rejects(self, *, of_users: bool) -> None:
        """Write what the store that is added to had set aside, where it would stand by now."""
        if self.addition is not None:
            for part in self.addition.read_rejects(of_users=of_users):
                self.rejects.add(part)

    def reject(
        self,
        tally: Tally,
        rows: pl.Series | np.ndarray,
        reasons: pl.Series,
        values: pl.Series | None = None,
    ) -> None:
        """Book the records that have a reason (not null) as rejected.

        Values (null: nothing to show) stand behind their reasons; what is counted is the reason.
        """
        book = pl.DataFrame({"row": rows, "reason": reasons})
        # In one piece: Polars 2.1 panics where it formats a column whose first piece is empty.
        book = book.with_columns(value=values).drop_nulls("reason").rechunk()
        if book.height:
            tally.n_rejected += book.height
            counts = book.group_by("reason").len()
            self.reasons.update(dict(counts.iter_rows()))
            shown = pl.coalesce(pl.format("{}: {}", "reason", "value"), "reason").alias("reason")
            self.rejects.add(book.with_columns(shown, file=pl.lit(tally.source.name)))


def number_accounts(intake: Intake) -> None:
    """Give numbers to the accounts, once all are marked, and write their table."""
    accounts = intake.accounts.number(intake.late_key)
    intake.facts["accounts"] = accounts.height
    intake.facts["accounts_sha256"] = _hash_texts(accounts["account_id"])
    intake.facts["accounts_by_label"] = _count_by(accounts.drop_nulls("label"), "label")
    with TableWriter(intake.folder / "accounts.parquet", ACCOUNTS) as writer:
        writer.add(accounts)


def _hash_texts(texts: pl.Series) -> str:
    """Return a hash of texts in their order."""
    digest = hashlib.sha256()
    for first in range(0, len(texts), TEXTS_AT_ONCE):
        digest.update(json.dumps(texts[first : first + TEXTS_AT_ONCE].to_list()).encode())
    return digest.hexdigest()


def number_entities(intake: Intake) -> None:
    """Give numbers to the entities, once all are marked, and write their table."""
    kinds = pl.Enum(sorted(intake.entities.kinds, key=str.encode))
    schema = {"entity": pl.Int32, "kind": kinds, "value": pl.String}
    counts: Counter[str] = Counter()
    with TableWriter(intake.folder / "entities.parquet", schema) as writer:
        for entities in prefetch(intake.entities.number(intake.exclusion, intake.key)):
            counts.update(_count_by(entities, "kind"))
            writer.add(entities)
    intake.facts["entities"] = counts.total()
    intake.facts["entities_by_kind"] = dict(sorted(counts.items()))


def _count_by(frame: pl.DataFrame, column: str) -> dict[str, int]:
    return dict(frame.group_by(column).len().sort(column).iter_rows())


def open_events(intake: Intake) -> TableWriter:
    """Open the table of events for writing."""
    kinds = pl.Enum(sorted(intake.entities.kinds, key=str.encode))
    schema = {
        "post": pl.Int64,
        "account": pl.Int32,
        "entity": pl.Int32,
        "time": pl.Int64,
        "kind": kinds,
    }
    return TableWriter(intake.folder / "events.parquet", schema)


def name_kinds(intake: Intake, events: pl.DataFrame) -> pl.DataFrame:
    """Drop excluded events, replace the positions of kinds by names, and sort by post.

    The events of a post stay in order: hashtags as they stand in their cell.
    """
    names = pl.Series("kind", intake.entities.kinds, dtype=pl.String)
    kept = events.filter(pl.col("entity") >= 0)
    named = kept.with_columns(names.gather(kept["kind"]))
    counts = Counter(dict(named.group_by("kind").len().iter_rows()))
    intake.facts.setdefault("events_by_kind", Counter()).update(counts)
    return named.sort("post", maintain_order=True)


def book_accounts(intake: Intake, tally: Tally, codes: pl.Series) -> None:
    """Label the accounts of a source, where it has a label."""
    if tally.source.label is not None:
        intake.accounts.label(codes, tally.source.label)
