"""Exports of other tools, and any table of posts: one record per post, columns by a layout.

In: batches of records as text. Out: posts with what they refer to. The one idea: what a column
means stands in `gpu_coord.archive.layouts`; how a cell is read does not depend on whose it is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from gpu_coord.archive.cells import give_reason, null_blank, parse_lists
from gpu_coord.archive.ids import ROUNDED_ITEM, is_rounded, mend_ids, read_ids, say_rounded
from gpu_coord.archive.intake import book_accounts
from gpu_coord.archive.json_records import read_cells
from gpu_coord.archive.layouts import COUNTS, KINDS, LISTS, REFERENCES, cell_of
from gpu_coord.archive.outcome import NO_POST
from gpu_coord.archive.posts import (
    PostBatch,
    count_unread_urls,
    find_firsts,
    identify_by_content,
    number_posts,
    place_firsts,
    read_numbers,
    read_texts,
    stage_posts,
    write_tables,
)
from gpu_coord.archive.sources import read_batches
from gpu_coord.archive.tables import COUNTS as COUNT_COLUMNS
from gpu_coord.archive.tables import POSTS
from gpu_coord.archive.times import (
    FIRST_SHARE,
    FIRST_TWEET,
    FORMAT_CLOCK,
    NO_CLOCK,
    Clock,
    choose_time,
    find_latest_share,
    judge_times,
    read_clock,
    read_times,
)
from gpu_coord.archive.vocabularies import Ids, Vocabulary
from gpu_coord.archive.x_archive import ITEM_KEYS, NO_TWEETS
from gpu_coord.ground.texts import fold_hashtags
from gpu_coord.ground.urls import normalise_urls
from gpu_coord.store.tables import TableWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from gpu_coord.archive.intake import Intake, Tally
    from gpu_coord.archive.layouts import Layout
    from gpu_coord.archive.settings import TimeSource
    from gpu_coord.archive.sources import Batch, Source
    from gpu_coord.ground.kinds import UrlRule

CLOCK_ROWS = 20_000  # of a file tell what its times count
IDS = ("account_id", "content_id")
STAGED_POSTS: dict[str, Any] = {
    "account": pl.UInt32,  # code, as are content and platform
    "content": pl.UInt32,
    "platform": pl.UInt32,
    "time": pl.Int64,
    **dict.fromkeys(COUNT_COLUMNS, pl.Int64),
}


def read_fields(cells: pl.DataFrame, source: Source, unread: Counter[str]) -> pl.DataFrame:
    """Return a column for each field that a source has: text, but for times and lists as stored.

    Parameters
    ----------
    cells
        Records with the columns that `list_columns` names.
    source
        Where they come from.
    unread
        Cells that should hold JSON and do not are counted here, by field.

    Raises
    ------
    ArchiveError
        Ids are stored as numbers that cannot hold them exactly.
    """
    layout, fields = source.layout, {}
    split = "," if layout is None else layout.split
    for name, columns in source.fields.items():
        is_time = name == "timestamp_share"
        parts = []
        for column in columns:
            part = _read_cell(cells[cell_of(column)], source, is_time=is_time)
            if ":" in column:
                part, n_unread = read_cells(_blank_nothing(part), column.partition(":")[2])
                unread += Counter({name: n_unread})
            parts.append(part)
        is_joined = layout is not None and name in layout.joined
        fields[name] = _join_cells(parts, is_joined=is_joined, split=_Splitter(name, split))
    return pl.DataFrame(fields)


def _blank_nothing(cell: pl.Series) -> pl.Series:
    return cell.to_frame("cell").select(null_blank(pl.col("cell"))).to_series()


def _read_cell(cell: pl.Series, source: Source, *, is_time: bool) -> pl.Series:
    if is_time or isinstance(cell.dtype, pl.List):
        return cell
    return read_ids(cell, name=source.name)


class _Splitter(NamedTuple):
    """What stands between the items of a list without brackets."""

    field: str
    mark: str

    def split(self, cell: pl.Expr) -> pl.Expr:
        """Split a cell; a comma inside a URL is none between two."""
        if self.field != "urls" or self.mark != ",":
            return cell.str.split(self.mark)
        return cell.str.replace_all(r"(?i),\s*(https?://)", "\n${1}").str.split("\n")


def _join_cells(
    parts: list[pl.Series], *, is_joined: bool, split: _Splitter | None = None
) -> pl.Series:
    """Return the first of several cells that holds something; of lists, all that they hold."""
    if len(parts) == 1:
        return parts[0]
    frame = pl.DataFrame({str(place): part for place, part in enumerate(parts)})
    filled = [
        pl.col(name) if isinstance(part.dtype, pl.List) else null_blank(pl.col(name))
        for name, part in zip(frame.columns, parts, strict=True)
    ]
    if not is_joined or split is None:
        return frame.select(pl.coalesce(filled)).to_series()
    listed = [
        cell if isinstance(part.dtype, pl.List) else split.split(cell)
        for cell, part in zip(filled, parts, strict=True)
    ]
    empty = pl.lit([], dtype=pl.List(pl.String))
    return frame.select(pl.concat_list(each.fill_null(empty) for each in listed)).to_series()


@dataclass(frozen=True, slots=True)
class Clocks:
    """What the times of sources count, and which are none."""

    of: dict[str, Clock]  # name of a source -> what its numbers are
    latest: int  # ms
    time: TimeSource


def judge_records(
    cells: pl.DataFrame, source: Source, clocks: Clocks, rows: np.ndarray, mended: Counter[str]
) -> pl.DataFrame:
    """Read ids and time of each record, and give a reason where it cannot be stored.

    Parameters
    ----------
    cells
        A column of text for each field that the source has.
    source
        Where they come from.
    clocks
        How its times are read.
    rows
        Their numbers: posts without an id of their own are named by them.
    mended
        Ids that were mended are counted here, by column.

    Returns
    -------
    Columns ``account_id``, ``content_id``, ``platform`` (text), ``time`` (ms UTC), ``reason``
    (null: the record is good) and ``value`` (the cell that the reason is about).
    """
    named = {name: source.columns.get(first, first) for name, (first, *_) in source.fields.items()}
    texts = cells.with_columns(pl.col("timestamp_share").cast(pl.String))
    filled = texts.select(
        null_blank(pl.col(name) if name in cells.columns else pl.lit(None, pl.String)).alias(name)
        for name in ("account_id", "content_id", "timestamp_share", "platform")
    ).with_columns(
        mend_ids(cells[name].alias(named[name]), mended).alias(name)
        for name in ("account_id", "content_id")
        if name in named
    )
    if "content_id" not in named:
        filled = filled.with_columns(content_id=pl.format(f"{source.name}:{{}}", pl.Series(rows)))
    platform = None if source.layout is None else source.layout.platform
    judged = filled.with_columns(pl.col("platform").fill_null(pl.lit(platform, pl.String)))
    judged = judged.hstack(_judge_clock(cells["timestamp_share"], source, clocks, named))
    judged = judged.with_columns(reason=_find_reason(judged, _mark_posts(cells, source), named))
    rounded = {say_rounded(named[id]): id for id in IDS if id in named}
    shown = [pl.when(reason=said).then(id) for said, id in rounded.items()]
    shown.append(pl.when(pl.col("reason").eq_missing(pl.col("fault"))).then("value"))
    judged = judged.with_columns(value=pl.coalesce(shown))
    return judged.with_columns(_refine_times(platform, clocks)).drop("fault", "timestamp_share")


def _find_reason(judged: pl.DataFrame, is_post: pl.Expr, named: dict[str, str]) -> pl.Expr:
    clock = named["timestamp_share"]
    ids = [id for id in IDS if id in named]
    missing = {f"no {named[id]}": pl.col(id).is_null() for id in ids}
    missing[f"no {clock}"] = pl.col("timestamp_share").is_null()
    lost = {say_rounded(named[id]): is_rounded(pl.col(id)) for id in ids}
    unread = {f"{clock} is no date with a time, and no number of seconds": pl.col("time").is_null()}
    return pl.coalesce(
        give_reason({NO_POST: ~is_post} | missing | lost),
        "fault",
        give_reason(unread),
    )


def _judge_clock(
    column: pl.Series, source: Source, clocks: Clocks, named: dict[str, str]
) -> pl.DataFrame:
    """Return ``time``, ``fault`` and ``value`` of times, see `judge_times`."""
    is_tweet = source.layout is not None and source.layout.platform == "x"
    return judge_times(
        column,
        read_times(column, name=source.name, form=source.time_format),
        clocks.of.get(source.name, NO_CLOCK),
        latest=clocks.latest,
        earliest=FIRST_TWEET if is_tweet else FIRST_SHARE,
        name=named["timestamp_share"],
    )


def _refine_times(platform: str | None, clocks: Clocks) -> list[pl.Expr]:
    """Return the time of posts to the millisecond, where their ids tell."""
    if platform != "x":
        return []
    tweet = pl.col("content_id").str.extract(r"^([0-9]{1,19})$").cast(pl.Int64, strict=False)
    time, _ = choose_time(clocks.time, tweet, pl.col("time"))
    return [pl.coalesce(time, "time")]


def read_source_clock(source: Source) -> Clock:
    """Return what the times of a source are, from its first block with times."""
    columns = source.fields["timestamp_share"]
    if source.time_format is not None:
        return FORMAT_CLOCK
    for batch in read_batches(source, [cell_of(column) for column in columns]):
        first = batch.frame.head(CLOCK_ROWS)
        column = _join_cells([first[name] for name in columns], is_joined=False)
        seconds = read_times(column, name=source.name)
        if (clock := read_clock(column, seconds)) is not None:
            return clock
    return NO_CLOCK


def read_entities(
    cells: pl.DataFrame,
    *,
    layout: Layout | None,
    url_rule: UrlRule,
    unread: Counter[str],
    mended: Counter[str],
    keep_texts: bool = False,
) -> dict[str, pl.DataFrame]:
    """Return what good records refer to by kind: columns ``row`` and ``value``.

    Parameters
    ----------
    cells
        Cells of good records by field, with their number in ``row``.
    layout
        What their columns mean.
    unread
        Cells that hold something unreadable are counted here, by kind.
    mended
        Ids that were mended are counted here, by column.
    keep_texts
        Of texts, also return the normalised wording, as ``text``.
    """
    entities = {}
    split = "," if layout is None else layout.split
    prefix = {} if layout is None else layout.prefix
    for name, kind in KINDS.items():
        if name in cells.columns:
            filled = _take_filled(cells, name)
            if name in LISTS:
                filled = _list_items(filled, kind, _Splitter(name, split), unread)
                filled = filled.filter(pl.col("value").str.starts_with(prefix.get(name, "")))
            if kind in ("hashtag", "url"):
                spelt = _spell(filled, kind, url_rule, unread)
            else:
                spelt = _read_references(filled, kind, unread, mended)
            entities[kind] = spelt.unique(maintain_order=True)
    if "text" in cells.columns:
        text = pl.col("text")
        if layout is not None and layout.has_tags:
            text = _strip_tags(text)
        own = cells.filter(~_mark_copies(cells)).select("row", text)
        entities["text"] = read_texts(own, keep=keep_texts).drop_nulls("value")
    return entities


def _take_filled(cells: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return row and value of the cells that hold something."""
    is_list = isinstance(cells[name].dtype, pl.List)
    value = pl.col(name) if is_list else null_blank(pl.col(name))
    return cells.select("row", value=value).drop_nulls()


def _mark_posts(cells: pl.DataFrame, source: Source) -> pl.Expr:
    """Mark the records that are posts, where a layout tells."""
    if source.layout is None or not source.layout.kept:
        return pl.lit(value=True)
    return pl.lit(cells["types"].is_in(list(source.layout.kept)).fill_null(value=False))


def _tell_references(cells: pl.DataFrame, layout: Layout | None) -> pl.DataFrame:
    """Return cells in which one column, or a list of pairs, that names references is told apart."""
    if layout is not None and layout.typed:
        cells = cells.with_columns(
            pl.when(_is_typed(word)).then(pl.col(name)).alias(name)
            for name, word in layout.typed.items()
            if name in cells.columns
        )
    if "reference_types" not in cells.columns:
        return cells
    pairs = cells.select("row", "reference_types", "reference_ids").explode(
        "reference_types", "reference_ids"
    )
    for word, name in REFERENCES.items():
        own = pairs.filter(reference_types=word).unique("row", keep="first")
        told = own.select("row", pl.col("reference_ids").alias(name))
        cells = cells.join(told, on="row", how="left", maintain_order="left")
    return cells


def _is_typed(word: str) -> pl.Expr:
    types = pl.col("types")
    return null_blank(types).is_not_null() if word == "*" else types == word


def _list_items(
    filled: pl.DataFrame, kind: str, split: _Splitter, unread: Counter[str]
) -> pl.DataFrame:
    """Return a row for each item of lists, in brackets or without."""
    if isinstance(filled["value"].dtype, pl.List):
        items = filled.explode("value").with_columns(pl.col("value").cast(pl.String))
        return items.drop_nulls().filter(pl.col("value").str.strip_chars() != "")
    text = pl.col("value").str.strip_chars()
    is_list = filled.select(text.str.starts_with("[")).to_series()
    bracketed, plain = filled.filter(is_list), filled.filter(~is_list)
    split_at = "scheme" if kind == "url" else "comma"
    lists = parse_lists(bracketed["value"], split_at=split_at, keys=ITEM_KEYS.get(kind, ()))
    unread += Counter({kind: lists.null_count()})
    parts = [
        bracketed.with_columns(lists.alias("value")),
        plain.with_columns(split.split(pl.col("value"))),
    ]
    items = pl.concat(parts).explode("value").with_columns(pl.col("value").str.strip_chars())
    named = items.with_columns(null_blank(pl.col("value"))).drop_nulls()
    return named.sort("row", maintain_order=True)


def _spell(items: pl.DataFrame, kind: str, url_rule: UrlRule, unread: Counter[str]) -> pl.DataFrame:
    """Bring hashtags and URLs that are the same to the same text."""
    if kind == "hashtag":
        tags = fold_hashtags(items["value"])
        return items.with_columns(tags.alias("value")).filter(pl.col("value") != "")
    known = normalise_urls(items["value"], rule=url_rule)
    unread += count_unread_urls(items["value"], known)
    return items.with_columns(known.alias("value")).drop_nulls("value")


def _read_references(
    items: pl.DataFrame, kind: str, unread: Counter[str], mended: Counter[str]
) -> pl.DataFrame:
    """Return the ids of accounts, posts and objects; 0 and -1 are none, rounded ones are lost."""
    is_none = items["value"].str.strip_chars().is_in(NO_TWEETS) & (kind != "object")
    ids = mend_ids(items["value"].filter(~is_none).str.strip_chars().alias(kind), mended)
    if kind == "mention":
        ids = ids.str.strip_chars_start("@")
    given = items.filter(~is_none).with_columns(ids.alias("value"))
    is_lost = given.select(is_rounded(pl.col("value"))).to_series()
    unread += Counter(
        {f"{kind} (0 or -1)": int(is_none.sum()), f"{kind}{ROUNDED_ITEM}": int(is_lost.sum())}
    )
    return given.filter(~is_lost)


def _strip_tags(text: pl.Expr) -> pl.Expr:
    """Return the words of HTML."""
    marks = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&nbsp;": " ", "&amp;": "&"}
    words = text.str.replace_all(r"<[^<>]*>", " ")
    for mark, character in marks.items():
        words = words.str.replace_all(mark, character, literal=True)
    return words.alias("text")


def _mark_copies(cells: pl.DataFrame) -> pl.Expr:
    """Mark the records whose text is somebody else's."""
    is_copy = pl.lit(value=False)
    if "retweet" in cells.columns:
        id = null_blank(pl.col("retweet")).str.strip_chars()
        is_copy |= (id.is_not_null() & ~id.is_in(NO_TWEETS)).fill_null(value=False)
    if "is_retweet" in cells.columns:
        said = pl.col("is_retweet").str.strip_chars().str.to_lowercase()
        is_copy |= said.is_in(["true", "1", "yes", "retweet"]).fill_null(value=False)
    return is_copy


# --- from sources to tables ----------------------------------------------------------------------


@dataclass(slots=True)
class Books:
    """Ids that have codes."""

    contents: Ids
    platforms: Vocabulary = field(default_factory=Vocabulary)

    def recall(self, posts: pl.DataFrame) -> pl.DataFrame:
        """Return posts of a store as they are staged."""
        return posts.with_columns(
            self.contents.add(posts["content_id"], posts["platform"]).alias("content"),
            self.platforms.encode(posts["platform"]).alias("platform"),
        )


def ingest_exports(intake: Intake) -> None:
    """Write the posts and events of exports, and book accounts and entities."""
    books = Books(Ids(intake.staged / "contents"))
    if intake.addition is not None:
        intake.addition.recall_accounts(intake.accounts, are_of_platforms=True)
    clocks = {tally.source.name: read_source_clock(tally.source) for tally in intake.tallies}
    stage_posts(
        intake,
        intake.tallies,
        _list_columns(intake.tallies),
        STAGED_POSTS,
        read=partial(_read_posts, intake, Clocks(clocks, find_latest_share(), intake.time)),
        code=partial(_code_posts, intake, books),
        recall=books.recall,
    )
    identify = identify_by_content(books.contents)
    is_first = find_firsts(intake, intake.tallies, ["account", "content"], identify)
    write_tables(
        intake,
        place=place_firsts(is_first),
        write_posts=partial(_write_posts, intake, books, is_first),
        n_rows=is_first.size,
    )


def _list_columns(tallies: Sequence[Tally]) -> list[str]:
    """Return the columns that any of the sources is read by."""
    listed = [columns for tally in tallies for columns in tally.source.fields.values()]
    return list(dict.fromkeys(cell_of(column) for columns in listed for column in columns))


def _read_posts(intake: Intake, clocks: Clocks, source: Source, batch: Batch) -> PostBatch:
    unread: Counter[str] = Counter()
    mended: Counter[str] = Counter()
    fields = read_fields(batch.frame, source, unread)
    judged = judge_records(fields, source, clocks, batch.rows, mended)
    is_good = judged["reason"].is_null()
    cells = fields.filter(is_good).with_row_index("row")
    counted = cells.select(
        "row",
        **{
            column: null_blank(pl.col(name)) if name in cells.columns else pl.lit(None, pl.String)
            for name, column in COUNTS.items()
        },
    )
    counts = read_numbers(counted.drop("row"), unread)
    entities = read_entities(
        _tell_references(cells, source.layout), layout=source.layout, url_rule=intake.url_rule,
        unread=unread, mended=mended, keep_texts=intake.keeps_texts,
    )  # fmt: skip
    posts = judged.filter(is_good).select("account_id", "content_id", "platform", "time")
    return PostBatch(
        rows=batch.rows,
        reasons=judged["reason"],
        posts=posts.hstack(counts.select(COUNT_COLUMNS)),
        profiles=pl.DataFrame(),
        entities=entities,
        unread=unread,
        values=judged["value"],
        mended=mended,
    )


def _code_posts(intake: Intake, books: Books, tally: Tally, read: PostBatch) -> pl.DataFrame:
    platforms = read.posts["platform"]
    codes = intake.accounts.encode(read.posts["account_id"], platforms).alias("account")
    book_accounts(intake, tally, codes)
    coded = read.posts.with_columns(
        codes,
        books.contents.add(read.posts["content_id"], platforms).alias("content"),
        books.platforms.encode(platforms).alias("platform"),
    )
    return coded.select(*STAGED_POSTS)


def _write_posts(intake: Intake, books: Books, is_first: np.ndarray) -> None:
    with TableWriter(intake.folder / "posts.parquet", POSTS) as writer:
        for posts in number_posts(intake, is_first):
            writer.add(
                posts.with_columns(
                    content_id=books.contents.show(posts["content"]),
                    platform=books.platforms.decode(posts["platform"]),
                )
            )
