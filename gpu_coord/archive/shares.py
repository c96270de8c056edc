"""Share tables: one row per share of one object by one account.

In: batches of records, as text or as Parquet stored them. Out: ids as text, times in
milliseconds, and the rows set aside with their reason. The one idea: ids are taken verbatim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gpu_coord.archive.cells import (
    give_reason,
    null_blank,
)
from gpu_coord.archive.ids import is_rounded, mend_ids, read_ids, say_rounded
from gpu_coord.archive.intake import (
    book_accounts,
    name_kinds,
    number_accounts,
    number_entities,
    open_events,
)
from gpu_coord.archive.tables import COUNTS, POSTS
from gpu_coord.archive.times import (
    FORMAT_CLOCK,
    NO_CLOCK,
    find_latest_share,
    judge_times,
    read_clock,
    read_times,
)
from gpu_coord.archive.vocabularies import Ids, Vocabulary
from gpu_coord.ground.kinds import RESERVED
from gpu_coord.store.tables import TableWriter, read_parts

if TYPE_CHECKING:
    from collections import Counter

    from gpu_coord.archive.additions import Addition
    from gpu_coord.archive.intake import Intake

SHARE_IDS = {"accountid": "account_id", "objectid": "object_id", "contentid": "content_id"}
SHARE_CELLS = [*SHARE_IDS, "timestampshare", "kind", "platform"]
DEFAULT_KIND = "object"
BUCKET_ROWS = 1 << 22
_UNREAD = "timestamp_share is neither epoch seconds nor an ISO 8601 date with a time"
STAGED_SHARES: dict[str, Any] = {
    "row": pl.Int64,
    "account": pl.UInt32,  # code, as are content, kind, value and platform
    "content": pl.UInt32,
    "time": pl.Int64,
    "kind": pl.UInt8,
    "value": pl.UInt32,
    "platform": pl.UInt32,
}


def judge_shares(
    cells: pl.DataFrame,
    times: pl.DataFrame,
    *,
    name: str,
    mended: Counter[str],
    rows: np.ndarray | None = None,
) -> pl.DataFrame:
    """Read the ids of each share, and give a reason where the row cannot be stored.

    Parameters
    ----------
    cells
        As they stand in the file.
    times
        Their times, from `judge_times`.
    name
        The file, for messages.
    mended
        Ids that were mended are counted here, by column.
    rows
        Numbers of the records, where the table names no contents: each is a post of its own.

    Returns
    -------
    Columns ``account_id``, ``object_id``, ``content_id``, ``kind``, ``platform`` (text), ``time``
    (ms UTC), ``reason`` (null: the row is good) and ``value`` (a cell that the reason is about).
    """
    texts = cells.select(
        *(
            mend_ids(read_ids(cells[cell], name=name).alias(column), mended)
            for cell, column in SHARE_IDS.items()
        ),
        read_ids(cells["kind"], name=name).fill_null(DEFAULT_KIND).alias("kind"),
        read_ids(cells["platform"], name=name).alias("platform"),
    )
    if rows is not None:
        texts = texts.with_columns(content_id=pl.format(f"{name}:{{}}", pl.Series(rows)))
    stamp = pl.col("timestampshare")
    given = null_blank(stamp) if cells["timestampshare"].dtype == pl.String else stamp
    has_time = cells.select(given.is_not_null()).to_series()
    judged = texts.hstack(times).with_columns(reason=_find_reason(has_time))
    rounded = {say_rounded(id): id for id in SHARE_IDS.values()}
    shown = [pl.when(reason=said).then(id) for said, id in rounded.items()]
    shown.append(pl.when(pl.col("reason").eq_missing(pl.col("fault"))).then("value"))
    return judged.with_columns(value=pl.coalesce(shown)).drop("fault")


def _find_reason(has_time: pl.Series) -> pl.Expr:
    missing = {f"no {id}": pl.col(id).is_null() for id in SHARE_IDS.values()}
    missing["no timestamp_share"] = ~pl.lit(has_time)
    missing |= {say_rounded(id): is_rounded(pl.col(id)) for id in SHARE_IDS.values()}
    unread = {_UNREAD: pl.col("time").is_null()}
    return pl.coalesce(
        give_reason(missing), "fault", give_reason(unread), _judge_kind(pl.col("kind"))
    )


def _judge_kind(kind: pl.Expr) -> pl.Expr:
    """Give a reason where a kind cannot be the name of a column and an item of a list."""
    conditions = {f"the kind {each} is reserved": kind == each for each in sorted(RESERVED)} | {
        "the kind holds a comma or a control character": kind.str.contains(r"[,\p{Cc}]"),
        "the kind begins or ends with white space": kind != kind.str.strip_chars(),
    }
    return give_reason(conditions)


# --- from sources to tables ----------------------------------------------------------------------


def ingest_shares(intake: Intake) -> None:
    """Write the posts and events of share tables, and book accounts and entities."""
    contents, platforms = Ids(intake.staged / "contents"), Vocabulary()
    n_rows = _stage_shares(intake, contents, platforms)
    number_accounts(intake)
    number_entities(intake)
    n_buckets = -(-n_rows // BUCKET_ROWS)
    n_posts = 0
    with (
        TableWriter(intake.folder / "posts.parquet", POSTS) as posts,
        open_events(intake) as events,
    ):
        for bucket in range(n_buckets):
            intake.progress("write", bucket, n_buckets)
            shares = _read_bucket(intake, contents, bucket, n_buckets)
            kept = _drop_repeats(intake, shares)
            found = _gather_posts(kept, n_posts)
            n_posts += found.height
            numbered = kept.join(
                found.select("post", "account", "content"),
                ["account", "content"],
                maintain_order="left",
            )
            events.add(name_kinds(intake, numbered))
            posts.add(
                found.with_columns(
                    content_id=contents.show(found["content"]),
                    platform=platforms.decode(found["platform"]),
                    **dict.fromkeys(COUNTS, pl.lit(None, dtype=pl.Int64)),
                )
            )
    intake.facts["posts"] = n_posts


def _stage_shares(intake: Intake, contents: Ids, platforms: Vocabulary) -> int:
    n_rows, latest = intake.n_recalled, find_latest_share()
    with TableWriter(intake.staged / "shares.arrow", STAGED_SHARES) as staged:
        if intake.addition is not None:
            _stage_store(intake, intake.addition, contents, platforms, staged)
        for tally in intake.tallies:
            form = tally.source.time_format
            tally.first_row, clock = n_rows, FORMAT_CLOCK if form else None
            for batch in intake.read(tally, SHARE_CELLS):
                has_content = "contentid" in tally.source.columns
                rows = None if has_content else batch.rows
                name, column = tally.source.name, batch.frame["timestampshare"]
                seconds = read_times(column, name=name, form=form)
                clock = clock or read_clock(column, seconds)
                times = judge_times(column, seconds, clock or NO_CLOCK, latest=latest)
                judged = judge_shares(
                    batch.frame, times, name=name, mended=intake.mended, rows=rows
                )
                intake.reject(tally, batch.rows, judged["reason"], judged["value"])
                good = judged.filter(pl.col("reason").is_null())
                good = good.with_columns(
                    intake.accounts.encode(good["account_id"], good["platform"]).alias("account"),
                    contents.add(good["content_id"], good["platform"]).alias("content"),
                    platforms.encode(good["platform"]).alias("platform"),
                ).with_row_index("row", offset=n_rows)
                n_rows += good.height
                book_accounts(intake, tally, good["account"])
                intake.accounts.mark(good["account"])
                for (kind,), shares in good.partition_by(
                    "kind", as_dict=True, maintain_order=True
                ).items():
                    position, codes = intake.entities.encode(
                        str(kind), shares["object_id"], shares["platform"]
                    )
                    coded = shares.with_columns(codes.alias("value"), kind=pl.lit(position))
                    intake.entities.mark(coded)
                    staged.add(coded)
    return n_rows


def _stage_store(
    intake: Intake,
    addition: Addition,
    contents: Ids,
    platforms: Vocabulary,
    staged: TableWriter,
) -> None:
    """Stage the shares of a store, whose events are the first rows."""
    intake.recall_rejects(of_users=False)
    addition.recall_accounts(intake.accounts, are_of_platforms=True)
    coded = []
    for posts in addition.read_posts():
        content = contents.add(posts["content_id"], posts["platform"]).alias("content")
        coded.append(pl.select(content, platforms.encode(posts["platform"]).alias("platform")))
    known, n_rows = pl.concat(coded), 0
    for events in addition.read_events(intake.entities):
        shares = events.hstack(known[events["post"]]).with_row_index("row", offset=n_rows)
        n_rows += shares.height
        intake.entities.mark(shares)
        staged.add(shares)


def _read_bucket(intake: Intake, contents: Ids, bucket: int, n_buckets: int) -> pl.DataFrame:
    """Return the shares of every n-th account, so that memory does not grow with the table."""
    parts = []
    for part in read_parts(intake.staged / "shares.arrow"):
        accounts = intake.accounts.numbers[part["account"].to_numpy()]
        unified = contents.unify(part["content"].to_numpy())
        mine = part.with_columns(account=accounts, content=unified).filter(
            accounts % n_buckets == bucket
        )
        parts.append(mine.with_columns(value=intake.entities.unify(mine)))
    return pl.concat(parts).sort("row")


def _drop_repeats(intake: Intake, shares: pl.DataFrame) -> pl.DataFrame:
    """Keep the first of repeated shares and drop excluded ones; both are booked by file."""
    unique = shares.unique(
        ["kind", "value", "account", "content", "time"], keep="first", maintain_order=True
    )
    entities = intake.entities.look_up(unique, intake.exclusion)
    unique = unique.with_columns(entity=entities)
    kept = unique.filter(pl.col("entity") >= 0)
    n_good, n_unique, n_kept = (_count_by_source(intake, frame) for frame in (shares, unique, kept))
    for at, tally in enumerate(intake.tallies):
        tally.n_stored += n_kept[at]
        tally.n_excluded += n_unique[at] - n_kept[at]
        tally.n_duplicates += n_good[at] - n_unique[at]
    return kept


def _count_by_source(intake: Intake, shares: pl.DataFrame) -> list[int]:
    ends = [tally.first_row + tally.n_read - tally.n_rejected for tally in intake.tallies]
    n_before = np.searchsorted(shares["row"].to_numpy(), ends)
    n_recalled = np.searchsorted(shares["row"].to_numpy(), intake.n_recalled)
    return [int(n_rows) for n_rows in np.diff(n_before, prepend=n_recalled)]


def _gather_posts(shares: pl.DataFrame, first: int) -> pl.DataFrame:
    """Return the posts: one per account and content, at the time of its earliest share."""
    posts = shares.group_by("account", "content", maintain_order=True).agg(
        pl.col("time").min(), pl.col("platform").drop_nulls().first()
    )
    return posts.with_columns(post=np.arange(first, first + posts.height))
