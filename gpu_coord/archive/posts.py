"""Archives with one record per post, such as those of X and of CrowdTangle: from records to tables.

In: batches of records, and a function that reads one. Out: posts, events and texts of a store. The
one idea: records are staged as they are read and numbered when all are known, because only then
is it known which record of a post was its first.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gpu_coord.archive.cells import (
    hash_texts,
    hash_words,
    hide_mentions,
    normalise_texts,
    parse_counts,
    parse_dates,
)
from gpu_coord.archive.intake import name_kinds, number_accounts, number_entities, open_events
from gpu_coord.archive.tables import TEXTS
from gpu_coord.ground.threads import map_ahead, prefetch
from gpu_coord.ground.urls import find_cut_off
from gpu_coord.store.tables import TableWriter, read_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gpu_coord.archive.additions import Addition
    from gpu_coord.archive.intake import Intake, Tally
    from gpu_coord.archive.sources import Batch, Source
    from gpu_coord.archive.vocabularies import Ids

TEXT_KIND = "text"
TEXTS_AT_A_TIME = 1 << 19
ROWS_AT_A_TIME = 1 << 21  # of which the first of each post are found
_MIX = 0x9E3779B97F4A7C15  # odd, of bits that look random: neighbours are spread over all shares
STAGED_EVENTS: dict[str, Any] = {
    "row": pl.Int64,
    "account": pl.UInt32,  # code, as are kind and value
    "time": pl.Int64,
    "kind": pl.UInt8,
    "value": pl.UInt32,
}
STAGED_TEXTS: dict[str, Any] = {"value": pl.UInt32, "text": pl.String}


@dataclass(frozen=True, slots=True)
class PostBatch:
    """What a batch of records says, before anything is numbered."""

    rows: np.ndarray  # record numbers
    reasons: pl.Series  # why a record is set aside; null: it is good
    posts: pl.DataFrame  # of the good records: what their format makes of them
    profiles: pl.DataFrame  # of the good records
    entities: dict[str, pl.DataFrame]  # by kind: row (among the good records), value, maybe text
    unread: Counter[str]
    values: pl.Series | None = None  # cells that the reasons are about, as text
    mended: Counter[str] = field(default_factory=Counter)  # ids, by column


def read_numbers(texts: pl.DataFrame, unread: Counter[str]) -> pl.DataFrame:
    """Read columns of counts and dates, which are named so; count what is text but no value."""
    values = texts.select(
        parse_counts(texts[name])
        if name.endswith("_count")
        else parse_dates(pl.col(name))
        if name.endswith("_date")
        else name
        for name in texts.columns
    )
    n_lost = {name: values[name].null_count() - texts[name].null_count() for name in texts.columns}
    unread += Counter(n_lost)  # which leaves out those of 0
    return values


def count_unread_urls(urls: pl.Series, known: pl.Series) -> Counter[str]:
    """Count the URLs of which none is known: those that were cut off, and those that are none."""
    n_cut = find_cut_off(urls).sum()
    return Counter({"url (cut off)": n_cut, "url (not a URL)": known.null_count() - n_cut})


def read_texts(cells: pl.DataFrame, *, keep: bool) -> pl.DataFrame:
    """Return the texts of good records (columns ``row``, ``text``) as ``row`` and ``value``.

    Parameters
    ----------
    keep
        Also return the normalised wording, as ``text``.
    """
    if not keep:
        return cells.select("row", value=hash_texts(cells["text"]))
    words = normalise_texts(cells["text"])
    return cells.select("row", value=hash_words(words), text=words)


# --- staging -------------------------------------------------------------------------------------


def stage_posts(
    intake: Intake,
    tallies: Sequence[Tally],
    cells: Sequence[str],
    schema: dict[str, Any],
    *,
    read: Callable[[Source, Batch], PostBatch],
    code: Callable[[Tally, PostBatch], pl.DataFrame],
    recall: Callable[[pl.DataFrame], pl.DataFrame],
) -> None:
    """Read all sources into staged posts (of a schema with ``account, time``), events and texts.

    Parameters
    ----------
    cells
        Plain names of the columns to read.
    read
        What a batch means, which does not depend on the others: it is called in threads.
    code
        Books the accounts of a batch and returns its good records in the schema; called in order.
    recall
        Brings posts of a store, with codes for accounts, into the schema.
    """
    n_rows = intake.n_recalled
    with (
        TableWriter(intake.staged / "posts.arrow", schema) as posts,
        TableWriter(intake.staged / "events.arrow", STAGED_EVENTS) as events,
        TableWriter(intake.staged / "texts.arrow", STAGED_TEXTS) as texts,
    ):
        if intake.addition is not None:
            _stage_store(intake, intake.addition, recall, posts, events, texts)
        for tally in tallies:
            tally.first_row = n_rows
            batches = intake.read(tally, cells)
            for batch in map_ahead(batches, partial(read, tally.source), n_threads=2):
                intake.unread.update(batch.unread)
                intake.mended.update(batch.mended)
                intake.reject(tally, batch.rows, batch.reasons, batch.values)
                found = code(tally, batch)
                posts.add(found)
                platforms = batch.posts.get_column("platform", default=None)
                staged = _stage_events(intake, batch.entities, found, platforms, n_rows, texts)
                if frames := [*staged]:  # at once, so that the events of a post are in one part
                    events.add(pl.concat(frames))
                n_rows += found.height


def _stage_store(
    intake: Intake,
    addition: Addition,
    recall: Callable[[pl.DataFrame], pl.DataFrame],
    posts: TableWriter,
    events: TableWriter,
    texts: TableWriter,
) -> None:
    """Stage the tables of a store, whose posts are the first rows."""
    intake.recall_rejects(of_users=False)
    for part in addition.read_posts():
        posts.add(recall(part))
    for part in addition.read_events(intake.entities):
        events.add(part.rename({"post": "row"}))
    if intake.keeps_texts:
        for part in addition.read_texts():
            texts.add(part)


def _stage_events(
    intake: Intake,
    entities: dict[str, pl.DataFrame],
    posts: pl.DataFrame,
    platforms: pl.Series | None,
    first_row: int,
    texts: TableWriter,
) -> Iterator[pl.DataFrame]:
    for kind, frame in entities.items():
        if frame.height:
            n_known = intake.entities.count_values(kind)
            at = frame["row"].cast(pl.Int64)
            own = None if platforms is None else platforms.gather(at)
            position, codes = intake.entities.encode(kind, frame["value"], own)
            if "text" in frame.columns:
                _stage_texts(intake, frame.select("text", value=codes), n_known, texts)
            yield frame.select(
                row=at + first_row,
                account=posts["account"].gather(at),
                time=posts["time"].gather(at),
                kind=pl.lit(position),
                value=codes,
            )


def _stage_texts(intake: Intake, said: pl.DataFrame, n_known: int, writer: TableWriter) -> None:
    """Stage the wording of texts that have a code since this batch; no name under a key."""
    new = said.filter(pl.col("value") >= n_known).unique("value", keep="first")
    if intake.key is not None:
        new = new.with_columns(hide_mentions(new["text"]))
    writer.add(new)


# --- numbering -----------------------------------------------------------------------------------


def find_firsts(
    intake: Intake,
    tallies: Sequence[Tally],
    columns: Sequence[str],
    identify: Callable[[pl.DataFrame], pl.Series],
) -> np.ndarray:
    """Tell which rows are the first of their post; book the others as duplicates.

    Parameters
    ----------
    columns, identify
        Columns of the staged posts, and the whole number made of them that is equal in records of
        one post.
    """
    n_rows = intake.n_recalled + sum(tally.n_read - tally.n_rejected for tally in tallies)
    is_first = np.zeros(n_rows, bool)
    n_shares = -(-n_rows // ROWS_AT_A_TIME)
    for share in range(n_shares):
        rows, keys = _list_keys(intake, columns, identify, share, n_shares)
        is_first[rows] = pl.Series(keys).is_first_distinct().to_numpy()
    n_before = 0
    for part in read_parts(intake.staged / "posts.arrow", ["account"]):
        kept = keep_rows(part, is_first[n_before : n_before + part.height])
        intake.accounts.mark(kept["account"].unique())
        n_before += part.height
    for tally in tallies:
        n_good = tally.n_read - tally.n_rejected
        tally.n_stored = int(is_first[tally.first_row : tally.first_row + n_good].sum())
        tally.n_duplicates = n_good - tally.n_stored
    return is_first


def _list_keys(
    intake: Intake,
    columns: Sequence[str],
    identify: Callable[[pl.DataFrame], pl.Series],
    share: int,
    n_shares: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and keys of one share of all keys, so that memory does not grow with them."""
    rows, keys, n_before = [], [], 0
    for part in read_parts(intake.staged / "posts.arrow", columns):
        key = identify(part).to_numpy()
        mixed = (key.astype(np.uint64) * np.uint64(_MIX)) >> np.uint64(40)
        at = np.flatnonzero(mixed % n_shares == share)
        rows.append(at + n_before)
        keys.append(key[at])
        n_before += part.height
    return np.concatenate(rows), np.concatenate(keys)


def identify_by_content(contents: Ids) -> Callable[[pl.DataFrame], pl.Series]:
    """Return what tells posts apart by their codes of ``account`` and ``content``."""

    def identify(posts: pl.DataFrame) -> pl.Series:
        content = pl.Series(contents.unify(posts["content"].to_numpy()), dtype=pl.Int64)
        return posts["account"].cast(pl.Int64) * (1 << 32) + content

    return identify


def place_firsts(is_first: np.ndarray) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return what gives staged events the number of their post, and leaves out other rows'."""

    def place(events: pl.DataFrame) -> pl.DataFrame:
        rows = events["row"].to_numpy()
        if not rows.size:
            return events.with_columns(post="row")
        low, high = rows.min(), rows.max() + 1
        n_before = np.count_nonzero(is_first[:low])
        posts = n_before - 1 + np.cumsum(is_first[low:high])[rows - low]
        return keep_rows(events.with_columns(post=posts), is_first[rows])

    return place


def number_posts(intake: Intake, is_first: np.ndarray) -> Iterator[pl.DataFrame]:
    """Yield the staged posts with their numbers and those of their accounts."""
    n_rows = n_posts = 0
    for part in read_parts(intake.staged / "posts.arrow"):
        kept = keep_rows(part, is_first[n_rows : n_rows + part.height])
        yield kept.with_columns(
            post=np.arange(n_posts, n_posts + kept.height),
            account=intake.accounts.numbers[kept["account"].to_numpy()],
        )
        n_rows, n_posts = n_rows + part.height, n_posts + kept.height
    intake.facts["posts"] = n_posts


def keep_rows(part: pl.DataFrame, kept: np.ndarray) -> pl.DataFrame:
    """Return the rows for which ``kept`` is true."""
    return part if kept.all() else part.filter(pl.Series(kept))


def write_tables(
    intake: Intake,
    *,
    place: Callable[[pl.DataFrame], pl.DataFrame],
    write_posts: Callable[[], None],
    n_rows: int,
) -> None:
    """Give numbers to accounts and entities, and write all tables of what was staged.

    Parameters
    ----------
    place
        Gives staged events the number of their ``post``, and leaves out those of duplicates.
    write_posts
        Writes the table of posts; called once accounts are numbered, in a thread.
    """
    number_accounts(intake)
    with ThreadPoolExecutor(1) as pool:  # posts need accounts only
        posts = pool.submit(write_posts)
        for events in read_parts(intake.staged / "events.arrow", ["row", "kind", "value"]):
            intake.entities.mark(place(events))
        number_entities(intake)
        with open_events(intake) as writer:
            for events in prefetch(_number_events(intake, place, n_rows)):
                writer.add(events)
        posts.result()
    if intake.keeps_texts:
        _write_texts(intake)


def _number_events(
    intake: Intake, place: Callable[[pl.DataFrame], pl.DataFrame], n_rows: int
) -> Iterator[pl.DataFrame]:
    for part in read_parts(intake.staged / "events.arrow"):
        intake.progress("write", part["row"][-1], n_rows)
        events = place(part)
        numbered = events.with_columns(
            account=intake.accounts.numbers[events["account"].to_numpy()],
            entity=intake.entities.look_up(events, intake.exclusion),
        )
        yield name_kinds(intake, numbered)


def _write_texts(intake: Intake) -> None:
    """Write the wording of the texts in the store by entity, some at a time."""
    numbers = intake.entities.list_numbers(TEXT_KIND)
    kept = numbers[numbers >= 0]  # one number after the other
    starts = range(kept.min(), kept.max() + 1, TEXTS_AT_A_TIME) if kept.size else ()
    with TableWriter(intake.folder / "texts.parquet", TEXTS) as writer:
        for first in starts:
            wanted = pl.col("entity").is_between(first, first + TEXTS_AT_A_TIME, closed="left")
            parts = [
                part.with_columns(entity=numbers[part["value"].to_numpy()]).filter(wanted)
                for part in read_parts(intake.staged / "texts.arrow")
            ]
            # A wording stands there once for each code of its text.
            writer.add(pl.concat(parts).unique("entity", keep="first").sort("entity"))
