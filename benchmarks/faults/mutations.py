"""A file and a source of chance -> the same file with something wrong in it.

The one idea: a mutation knows only what a file is made of (bytes, lines, cells, JSON, columns),
never what reads it; the same seed makes the same file.
"""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

HOSTILE = (
    "",
    " ",
    "NA",
    "null",
    "[]",
    "{}",
    "[",
    "{",
    '"',
    "'",
    ",",
    "\n",
    "\r\n",
    "\0",
    "\ufeff",
    "\\",
    "-1",
    "0",
    "1",
    "1e999",
    "NaN",
    "-Infinity",
    "9" * 400,
    "1.2E+18",
    "0x10",
    "1_000",
    "99999-99-99",
    "2020-02-30 25:61",
    "9999999999999999999",
    "-9223372036854775809",
    "1970-01-01",
    "\u202e",
    "\x1b[2J",
    "=1+1",
    "<script>",
    "%s%n",
    "../../x",
    "a" * 70_000,
    "[" * 2_000,
    '{"a":' * 2_000,
    "['a', 'b'",
    "https://[::1",
    "http://\u0131\u0307.example",
    "\ud7ff",
    "\U0010ffff",
    "x\u0301",
    "#",
    "@",
    "True",
)
TOKENS = (
    b"\n",
    b"\r",
    b"\r\n",
    b'"',
    b'""',
    b",",
    b";",
    b"\t",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc3",
    b"PAR1",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"BZh9",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"sep=;\n",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
)
NODES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    10**30,
    1.5,
    1e308,
    float("nan"),
    "",
    "x",
    "NA",
    "2020",
    "../x",
    [],
    {},
    [None],
    [[]],
    [1, "a", None],
    {"a": None},
    {"": {}},
    "\0",
    "9" * 30,
    -(2**63),
    2**63,
)


def damage_bytes(content: bytes, random: Random) -> bytes:
    """Flip, cut, repeat, put and lose bytes."""
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        content = random.choice(_BYTES)(content, random)
    return content


def _flip(content: bytes, random: Random) -> bytes:
    if not content:
        return content
    at = random.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]


def _cut(content: bytes, random: Random) -> bytes:
    return content[: random.randint(0, len(content))]


def _put(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return content[:start] + random.choice(TOKENS) * random.choice((1, 1, 1, 3)) + content[end:]


def _lose(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return content[:start] + content[end:]


def _repeat(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return content[:end] + content[start:end] * random.choice((1, 2, 50)) + content[end:]


def _blank(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return content[:start] + random.choice((b"\0", b"\xff", b" ")) * (end - start) + content[end:]


def _number(content: bytes, random: Random) -> bytes:
    """Overwrite what may be a length."""
    at = random.randint(0, len(content))
    word = random.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**16)).to_bytes(4, "little")
    return content[:at] + word + content[at + 4 :]


_BYTES: tuple[Callable[[bytes, Random], bytes], ...] = (
    _flip,
    _cut,
    _put,
    _put,
    _lose,
    _repeat,
    _blank,
    _number,
)


def _span(content: bytes, random: Random) -> tuple[int, int]:
    start = random.randint(0, len(content))
    return start, min(len(content), start + random.choice((0, 1, 4, 12, 200, 5_000)))


def damage_lines(content: bytes, random: Random) -> bytes:
    """Swap, lose, repeat and join lines."""
    lines = content.splitlines(keepends=True)
    for _ in range(random.choice((1, 1, 2, 5))):
        if not lines:
            break
        a, b = random.randrange(len(lines)), random.randrange(len(lines))
        act = random.randrange(4)
        if act == 0:
            lines[a], lines[b] = lines[b], lines[a]
        elif act == 1:
            lines.insert(a, lines[b])
        elif act == 2:
            lines[a] = lines[a].rstrip(b"\r\n")
        else:
            del lines[a]
    return b"".join(lines)


def damage_cells(content: bytes, random: Random) -> bytes:
    """Put other values into cells of a CSV file, its header included."""
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    for _ in range(random.choice((1, 1, 3, 8))):
        row = random.choice([row for row in rows if row] or [[""]])
        row[random.randrange(len(row))] = random.choice(HOSTILE)
    return _write_rows(rows)


def damage_columns(content: bytes, random: Random) -> bytes:
    """Lose, repeat, rename or swap columns of a CSV file."""
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    width = min(map(len, rows), default=0)
    if width < 2:
        return content
    a, b, act = random.randrange(width), random.randrange(width), random.randrange(4)
    for row in rows:
        if act == 0:
            row[a], row[b] = row[b], row[a]
        elif act == 1:
            row.append(row[a])
        elif act == 2:
            del row[a]
    if act == 3:
        rows[0][a] = random.choice((*HOSTILE, rows[0][b]))
    return _write_rows(rows)


def _write_rows(rows: list[list[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode(errors="surrogatepass")


def damage_json(content: bytes, random: Random) -> bytes:
    """Put other values, of any type, into a JSON document, or one of its lines."""
    lines = content.decode().splitlines()
    try:
        whole = json.loads(content)
    except ValueError:
        place = random.randrange(len(lines))
        lines[place] = _write_json(_change(json.loads(lines[place]), random))
        return "\n".join(lines).encode(errors="surrogatepass")
    return _write_json(_change(whole, random)).encode(errors="surrogatepass")


def _write_json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)


def _change(content: Any, random: Random) -> Any:
    """Change one node of a tree, or its top."""
    places = list(_walk(content))
    if not places:
        return random.choice(NODES)
    for _ in range(random.choice((1, 1, 2))):
        parent, key = random.choice(places)
        act = random.randrange(4)
        if act == 0 and isinstance(parent, dict):
            parent.pop(key, None)
        elif act == 1 and isinstance(parent, dict) and key in parent:
            parent[random.choice(HOSTILE)] = parent.pop(key)
        elif isinstance(parent, dict) or key < len(parent):
            parent[key] = random.choice((*NODES, random.choice(HOSTILE)))
    return content


def _walk(node: Any) -> Any:
    if isinstance(node, dict | list):
        pairs: Any = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in list(pairs):
            yield node, key
            yield from _walk(value)


def damage_table(path: Path, random: Random) -> None:
    """Write a Parquet file with a column that is another, of another type, or gone."""
    import polars as pl

    table = pl.read_parquet(path, glob=False)
    name = random.choice(table.columns)
    table = random.choice(_TABLES)(table, name, random)
    table.write_parquet(path)


def _retype(table: Any, name: str, random: Random) -> Any:
    import polars as pl

    number = pl.int_range(pl.len())
    others = (
        number.cast(pl.String),
        number.cast(pl.Float64) + 0.5,
        number.cast(pl.UInt8, strict=False),
        -number,
        number * 10**15,
        pl.lit(None, pl.String),
        pl.lit(None),
        number.cast(pl.Boolean),
        number.cast(pl.Date),
        number.cast(pl.Datetime("ns", "UTC")),
        number.cast(pl.Time, strict=False),
        number.cast(pl.Duration),
        pl.concat_list(number),
        pl.struct(number.alias("x")),
        number.cast(pl.String).cast(pl.Categorical),
        number.cast(pl.String).cast(pl.Binary),
        number.cast(pl.Decimal(38, 2)),
        pl.lit(float("nan")),
        pl.lit(float("inf")),
        pl.lit(2**63 - 1),
        pl.lit(random.choice(HOSTILE)),
    )
    return table.with_columns(random.choice(others).alias(name))


def _lose_column(table: Any, name: str, _: Random) -> Any:
    return table.drop(name)


def _rename(table: Any, name: str, random: Random) -> Any:
    new = random.choice(HOSTILE)
    return table if new in table.columns else table.rename({name: new})


def _lose_rows(table: Any, _: str, random: Random) -> Any:
    return table.head(random.choice((0, 1, table.height // 2)))


def _blank_cells(table: Any, name: str, random: Random) -> Any:
    import polars as pl

    at = pl.int_range(pl.len()) % random.choice((1, 2, 7)) == 0
    return table.with_columns(pl.when(~at).then(pl.col(name)).alias(name))


def _repeat_rows(table: Any, _: str, random: Random) -> Any:
    import polars as pl

    return pl.concat([table, table.head(random.choice((1, 5, table.height)))])


_TABLES: tuple[Callable[[Any, str, Random], Any], ...] = (
    _retype,
    _retype,
    _retype,
    _lose_column,
    _rename,
    _lose_rows,
    _blank_cells,
    _repeat_rows,
)
