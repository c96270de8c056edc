"""What one cell of an archive means: times, counts, lists, texts.

In: columns of text as they stand in the file. Out: typed columns, null where a cell is empty or
cannot be read. The one idea: each cell is judged alone, because releases mix their dialects.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl
import polars.selectors as cs
import polars_hash as plh
import pyarrow.compute as pc

from gpu_coord.archive.dictionaries import DICTIONARIES, DICTIONARY, find_key
from gpu_coord.ground.texts import normalise_unicode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What programs write where there is nothing: R, pandas, Python, spreadsheets, databases.
NULL_WORDS = (
    *("", "NA", "N/A", "#N/A", "<NA>", "nan", "NaN", "None", "NULL", "null", r"\N", "-"),
    *("[]", "{}"),
)
MIN_SECONDS, MAX_SECONDS = -62_135_596_800, 253_402_300_799  # years 1 to 9999

_ISO_TIME = (
    r"^(?<year>[0-9]{4})-?(?<month>[0-9]{2})-?(?<day>[0-9]{2})[Tt ]"
    r"(?<hour>[0-9]{2}):?(?<minute>[0-9]{2})(?::?(?<second>[0-9]{2})(?:[.,](?<fraction>[0-9]+))?)?"
    r" ?(?:[Zz]|UTC|(?<sign>[+-])(?<hours>[01][0-9]|2[0-3]):?(?<mins>[0-5][0-9])?)?$"
)
# Twitter's own form, and that of mails (RFC 2822).
_WRITTEN_TIMES = (
    r"^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[0-9]{1,2}) "
    r"(?<hour>[0-9]{2}):(?<minute>[0-9]{2}):(?<second>[0-9]{2})"
    r" (?<sign>[+-])(?<hours>[01][0-9]|2[0-3])(?<mins>[0-5][0-9]) (?<year>[0-9]{4})$",
    r"^(?:[A-Z][a-z]{2}, ?)?(?<day>[0-9]{1,2}) (?<month>[A-Z][a-z]{2}) (?<year>[0-9]{4}) "
    r"(?<hour>[0-9]{2}):(?<minute>[0-9]{2})(?::(?<second>[0-9]{2}))?"
    r" (?:GMT|UTC?|Z|(?<sign>[+-])(?<hours>[01][0-9]|2[0-3])(?<mins>[0-5][0-9]))$",
)
_PLAIN_FORMS = {"%Y-%m-%d %H:%M": 16, "%Y-%m-%d %H:%M:%S": 19, "%Y-%m-%dT%H:%M:%S%.3fZ": 24}
_MONTHS = {
    name: f"{number:02}"
    for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}
NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_QUOTED_ITEM = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s,'"\[\]]+"""
_QUOTED_LIST = rf"(?s)^(?:{_QUOTED_ITEM})(?:\s*,\s*(?:{_QUOTED_ITEM}))*\s*,?$"
_PLAIN_ITEMS = r"""'[^'"\\]*'(?:, '[^'"\\]*')*"""
_PLAIN_LIST = rf"^\[{_PLAIN_ITEMS}\]$"
_STARTS_QUOTED = r"""^(?:[^\s,'"]+\s*,\s*)*['"]"""
_QUOTES = r"""(?s)^(?:'(.*)'|"(.*)")$"""
_NO_BLANK = "[\t\n\v\f\r\x85\u1680\u2028\u2029]"  # the white space that NFKC leaves as it is
# Their lower case is two characters, or depends on the place in the word.
_LOWERED_APART = "[\u0130\u03a3]"
# JSON writes a character beyond U+FFFF as two halves.
_HALVES = r"[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(
    rf"(?s)\\(?:x([0-9a-fA-F]{{2}})|u({_HALVES}|[0-9a-fA-F]{{4}})|U([0-9a-fA-F]{{8}})|(.))"
)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


def null_blank(column: pl.Expr, words: Sequence[str] = NULL_WORDS) -> pl.Expr:
    """Null where a cell is empty, blank, or a word that stands for nothing (``NA``)."""
    return pl.when(~column.str.strip_chars().is_in(words)).then(column)


def null_words(cells: pl.Series, words: Sequence[str] = NULL_WORDS) -> pl.Series:
    """Do the same to a column of numbers or lists: the first character clears most cells."""
    is_number = (cells >= "0") & (cells < ":")
    is_list = (cells >= "[") & (cells < "\\") & ((cells < "[]") | (cells >= "[^"))
    at = (~(is_number | is_list)).arg_true()
    if not at.len():
        return cells
    rest = cells.gather(at).to_frame("cell").select(null_blank(pl.col("cell"), words))
    return cells.clone().scatter(at, rest.to_series())


def count_words(cells: pl.DataFrame) -> Counter[str]:
    """Count by column the cells that hold a word for nothing; an empty list is no such word."""
    texts = cells.select(cs.string(include_categorical=True) | cs.enum()).cast(pl.String)
    words = [word for word in NULL_WORDS if word not in ("", "[]")]
    longest = max(map(len, words))
    counts: Counter[str] = Counter()
    for column in texts:
        # Of most cells the length and the first character alone tell that they hold none.
        is_short = column.str.len_bytes().is_between(1, longest + 2) & (column != "[]")
        short = column.filter(is_short & ((column < "0") | (column >= ":")))
        if len(short):
            distinct = short.value_counts(name="n")
            is_word = distinct[column.name].str.strip_chars().is_in(words)
            counts[column.name] = int(distinct["n"].filter(is_word).sum())
    return +counts


def give_reason(conditions: dict[str, pl.Expr]) -> pl.Expr:
    """Give the first of some reasons whose condition holds; null where none does."""
    return pl.coalesce(pl.when(holds).then(pl.lit(said)) for said, holds in conditions.items())


def parse_stamps(texts: pl.Series) -> pl.Series:
    """Read date-times (UTC unless they carry a zone) as epoch milliseconds.

    ISO 8601, Twitter's own form (``Wed Aug 27 13:08:45 +0000 2008``) and that of RFC 2822. A date
    without a time of day is not read: it would land on midnight.
    """
    times = pl.repeat(None, len(texts), dtype=pl.Int64, eager=True)
    # What a reader of one form takes needs no pattern, which takes ten times as long. The reader
    # takes years of any length; what is not written in full is left to the patterns.
    for form, n_bytes in _PLAIN_FORMS.items():
        is_form = (texts.str.len_bytes() == n_bytes) & (texts >= "1") & times.is_null()
        if is_form.any():
            clock = texts.set(~is_form, None).str.to_datetime(
                form, strict=False, time_unit="ms", exact=True
            )
            full = clock.set(clock < datetime(1000, 1, 1), None)
            times = times.zip_with(full.is_null(), full.cast(pl.Int64))
    parsers: list[Callable[[pl.Expr], pl.Expr]] = [_parse_iso]
    parsers += [partial(_parse_written, form) for form in _WRITTEN_TIMES]
    for parse in parsers:
        at = (times.is_null() & texts.is_not_null()).arg_true()
        if at.len():
            rest = texts.gather(at).str.strip_chars().to_frame("text")
            times = times.scatter(at, rest.select(parse(pl.col("text"))).to_series())
    return times


def _parse_iso(text: pl.Expr) -> pl.Expr:
    part = text.str.extract_groups(_ISO_TIME).struct
    millis = (part.field("fraction").fill_null("") + "000").str.slice(0, 3).cast(pl.Int64)
    return bound_times(_join_parts(part, part.field("month")) + millis)


def _parse_written(form: str, text: pl.Expr) -> pl.Expr:
    part = text.str.extract_groups(form).struct
    month = part.field("month").replace_strict(_MONTHS, default=None, return_dtype=pl.String)
    return bound_times(_join_parts(part, month))


def _join_parts(part: Any, month: pl.Expr) -> pl.Expr:
    """Return the epoch milliseconds of the named parts of a time; null where one is none."""
    day, hour, minute = (part.field(name) for name in ("day", "hour", "minute"))
    second = part.field("second").fill_null("00")
    year, day = part.field("year"), day.str.zfill(2)
    clock = pl.format("{}-{}-{} {}:{}:{}", year, month, day, hour, minute, second)
    whole = clock.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="ms")
    hours, minutes = (part.field(name).cast(pl.Int64) for name in ("hours", "mins"))
    minutes = hours * 60 + minutes.fill_null(0)
    offset = pl.when(part.field("sign") == "-").then(-minutes).otherwise(minutes).fill_null(0)
    return whole.cast(pl.Int64) - offset * 60_000


def bound_times(millis: pl.Expr) -> pl.Expr:
    """Null where a time in milliseconds is outside the years 1 to 9999."""
    inside = millis.is_between(MIN_SECONDS * 1000, MAX_SECONDS * 1000 + 999)
    return pl.when(inside).then(millis)


def parse_share_times(texts: pl.Series) -> pl.Series:
    """Read epoch seconds (whole or decimal) or ISO 8601 date-times as epoch milliseconds.

    Numbers outside the years 1 to 9999 are not read: they are not seconds.
    """
    text = pl.col("text").str.strip_chars()
    seconds = pl.when(text.str.contains(NUMBER)).then(text).cast(pl.Float64, strict=False)
    inside = seconds.is_between(MIN_SECONDS, MAX_SECONDS)
    millis = pl.coalesce(_read_decimal(text), seconds_to_millis(seconds))
    numbers = pl.when(inside).then(millis)
    frame = texts.to_frame("text").select(number=numbers, text="text")
    if (frame["number"].is_null() & frame["text"].is_not_null()).any():
        return frame.select(pl.coalesce("number", parse_stamps(frame["text"]))).to_series()
    return frame["number"]


def _read_decimal(text: pl.Expr) -> pl.Expr:
    """Read decimal seconds digit by digit: a float loses the millisecond after some centuries."""
    groups = text.str.extract_groups(r"^([+-]?)([0-9]{1,12})(?:\.([0-9]*))?$")
    sign, whole, fraction = (groups.struct[position] for position in range(3))
    tenths = (fraction.fill_null("") + "0000000").str.slice(0, 7).cast(pl.Int64, strict=False)
    micros = whole.cast(pl.Int64, strict=False) * 1_000_000 + (tenths + 5) // 10
    return pl.when(sign == "-").then(-micros).otherwise(micros) // 1000


def seconds_to_millis(seconds: pl.Expr) -> pl.Expr:
    """Decimal seconds to whole milliseconds; rounded at the microsecond, then cut."""
    inside = pl.when(seconds.is_between(MIN_SECONDS, MAX_SECONDS)).then(seconds)
    return (inside * 1e6).round().cast(pl.Int64) // 1000


def parse_counts(texts: pl.Series) -> pl.Series:
    """Read whole numbers, also when they are written as ``0.0``."""
    stripped = texts.str.strip_chars()
    counts = stripped.cast(pl.Int64, strict=False)
    if counts.null_count() == texts.null_count():
        return counts
    number = pl.col("text").cast(pl.Float64, strict=False)
    whole = pl.when(number == number.round()).then(number).cast(pl.Int64, strict=False)
    return stripped.to_frame("text").select(pl.coalesce(counts, whole)).to_series()


def parse_dates(column: pl.Expr) -> pl.Expr:
    """Read the date of ``YYYY-MM-DD`` or of a date-time that begins with it."""
    return column.str.strip_chars().str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)


def parse_tweet_refs(column: pl.Expr) -> pl.Expr:
    """Read the id of another post; null where it is not digits alone (``1.2e+18``, ``123.0``).

    ``0`` is no id: programs write it, and ``-1``, where there is none.
    """
    text = column.str.strip_chars()
    return pl.when(text.str.contains(r"^[0-9]+$") & (text != "0")).then(text)


def parse_lists(cells: pl.Series, *, split_at: str, keys: Sequence[str] = ()) -> pl.Series:
    """Read list cells in any dialect: ``['x', "y"]``, ``[x, y]``, ``[{'key': 'x'}, {"key": "y"}]``.

    Parameters
    ----------
    cells
        Cells that are not empty.
    split_at
        What separates bare items: ``comma``, or ``scheme`` for URLs, which may hold commas.
    keys
        Where the items are dictionaries: under which key the value stands; the first that holds
        something counts.

    Returns
    -------
    Lists of text, with null for items that hold nothing; null where the cell is no complete list,
    or its dictionaries have none of the keys.
    """
    is_plain = cells.str.contains(_PLAIN_LIST)
    plain = cells.str.strip_prefix("['").str.strip_suffix("']").str.split("', '")
    if is_plain.all(ignore_nulls=False):
        return plain
    others = _parse_others(cells.set(is_plain, None), split_at, keys)
    return pl.select(pl.when(is_plain).then(plain).otherwise(others)).to_series()


def _parse_others(cells: pl.Series, split_at: str, keys: Sequence[str]) -> pl.Series:
    text = cells.str.strip_chars()
    is_list = text.str.starts_with("[") & text.str.ends_with("]") & (text.str.len_bytes() > 1)
    inner = text.set(~is_list, None).str.strip_prefix("[").str.strip_suffix("]").str.strip_chars()
    others = _split_others(inner, split_at)
    is_dictionary = inner.str.starts_with("{")
    if keys and is_dictionary.any():
        values = _read_dictionaries(inner.set(~is_dictionary, None), keys)
        return pl.select(pl.when(is_dictionary).then(values).otherwise(others)).to_series()
    return others


def _read_dictionaries(inner: pl.Series, keys: Sequence[str]) -> pl.Series:
    complete = inner.set(~inner.str.contains(DICTIONARIES), None)
    items = _map_items(
        complete.str.extract_all(DICTIONARY), lambda dictionaries: _find_values(dictionaries, keys)
    )
    return items.set(items.list.drop_nulls().list.len() == 0, None)


def _find_values(dictionaries: pl.Series, keys: Sequence[str]) -> pl.Series:
    """Return what stands under the first of some keys that holds something."""
    found = {key: dictionaries.str.extract(find_key(key)) for key in keys}
    texts = {key: _unescape(text.str.replace(_QUOTES, "${1}${2}")) for key, text in found.items()}
    return pl.DataFrame(texts).select(pl.coalesce(null_blank(pl.col(*keys)))).to_series()


def _split_others(inner: pl.Series, split_at: str) -> pl.Series:
    bare = pl.select(_split_bare(pl.lit(inner), split_at)).to_series()
    is_quoted = inner.str.contains(_STARTS_QUOTED)
    if not is_quoted.any():
        return bare
    quoted = _split_quoted(inner.set(~is_quoted, None))
    return pl.select(pl.when(is_quoted).then(quoted).otherwise(bare)).to_series()


def _split_bare(inner: pl.Expr, split_at: str) -> pl.Expr:
    if split_at == "scheme":
        marked = inner.str.replace_all(r",\s+([A-Za-z][A-Za-z0-9+.\-]*://)", "\x1f${1}")
        is_free = ~inner.str.contains("\x1f", literal=True)
        items: pl.Expr = pl.when(is_free).then(marked.str.split("\x1f"))
    else:
        items = inner.str.split(",")
    stripped = items.list.eval(pl.element().str.strip_chars())
    item = pl.element()
    named = stripped.list.eval(pl.when(~item.is_in(NULL_WORDS[1:])).then(item))
    empty = pl.lit([], dtype=pl.List(pl.String))
    is_nested = inner.str.contains(r"(?:^|,)\s*\[|(?:^|,\s+)\{")
    return pl.when(inner == "").then(empty).when(~is_nested).then(named)


def _split_quoted(inner: pl.Series) -> pl.Series:
    complete = inner.to_frame("inner").select(
        pl.when(pl.col("inner").str.contains(_QUOTED_LIST)).then("inner")
    )
    tokens = complete.to_series().str.extract_all(f"(?s){_QUOTED_ITEM}")
    item = pl.element()
    is_bare = ~item.str.contains(r"""^['"]""")
    is_null = is_bare & item.is_in(NULL_WORDS)
    text = pl.when(is_bare).then(item).otherwise(item.str.slice(1).str.head(-1))
    items = tokens.list.eval(pl.when(~is_null).then(text))
    if inner.str.contains("\\", literal=True).any():
        return _map_items(items, _unescape)
    return items


def _map_items(lists: pl.Series, convert: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Convert the items of all lists at once; `list.eval` would call for each list."""
    rows = pl.DataFrame({"item": lists}).with_row_index("row")
    filled = rows.filter(pl.col("item").list.len() > 0).explode("item")
    items = filled.with_columns(convert(filled["item"]).alias("item"))
    regrouped = items.group_by("row", maintain_order=True).agg("item")
    joined = rows.join(regrouped, on="row", how="left", maintain_order="left")
    return joined.select(pl.coalesce("item_right", "item")).to_series()


def _unescape(items: pl.Series) -> pl.Series:
    distinct = items.filter(items.str.contains("\\", literal=True)).unique()
    plain = [_ESCAPE.sub(_read_escape, item) for item in distinct]
    return items.replace(distinct, pl.Series(plain, dtype=pl.String))


def _read_escape(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code is None:
        return _ESCAPED.get(match[4], match[4])
    first, _, second = code.partition(r"\u")
    number = int(first, 16)
    if second:
        number = ((number - 0xD800) << 10) + int(second, 16) - 0xDC00 + 0x10000
    is_character = number < 0x110000 and not 0xD800 <= number < 0xE000
    return chr(number) if is_character else "\ufffd"


def hash_texts(texts: pl.Series) -> pl.Series:
    """Hash what a post says, so that equal wording is an equal value; null if it says nothing."""
    return hash_words(normalise_texts(texts))


def normalise_texts(texts: pl.Series) -> pl.Series:
    """Bring equal wording to equal text: NFKC, lower case, URLs out, white space collapsed.

    Null where nothing is left.
    """
    words = _collapse(_lower_case(normalise_unicode(texts)))
    return words.set(words == "", None)


def _collapse(texts: pl.Series) -> pl.Series:
    """Take URLs out and leave one space for each white space, where there is something to do."""
    may_differ = texts.str.contains(_NO_BLANK)
    for mark in ("  ", "://"):
        may_differ |= texts.str.contains(mark, literal=True)
    at = may_differ.arg_true()
    if at.len():
        some = texts.gather(at).str.replace_all(r"https?://\S*", " ")
        texts = texts.clone().scatter(at, some.str.replace_all(r"\s{2,}|[^\S ]", " "))
    return texts.str.strip_chars()


def hash_words(texts: pl.Series) -> pl.Series:
    """Hash normalised texts: the first 128 bits of BLAKE3 as 32 hexadecimal digits."""
    frame = texts.to_frame("text")
    return frame.select(plh.col("text").chash.blake3().str.slice(0, 32)).to_series()


def hide_mentions(texts: pl.Series) -> pl.Series:
    """Leave of each ``@name`` the ``@``; addresses (``name@host``) lose their host."""
    return texts.str.replace_all(r"(?:@[\w.-]*\w)+", "@")


def _lower_case(texts: pl.Series) -> pl.Series:
    """Write in lower case: with Arrow, which takes a third of Polars' time, where both agree."""
    lower = pl.Series(pc.utf8_lower(texts.to_arrow(compat_level=pl.CompatLevel.oldest())))
    at = texts.str.contains(_LOWERED_APART).arg_true()
    return lower.scatter(at, texts.gather(at).str.to_lowercase()) if at.len() else lower


def hash_ids(ids: pl.Series, key: bytes) -> pl.Series:
    """Replace ids by pseudonyms: 32 hexadecimal digits of HMAC-SHA256.

    The secret is the hexadecimal form of ``key``; the same id has one pseudonym everywhere.
    """
    frame = ids.to_frame("id")
    return frame.select(plh.col("id").chash.hmac_sha256(key=key.hex()).str.slice(0, 32)).to_series()
