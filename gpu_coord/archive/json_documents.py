"""JSON documents -> their records: a list, or the list under a key of an object.

In: bytes. Out: a line for each record. The one idea: brackets outside quotes say where a record
ends, whatever is in it: a document of any size is cut without being parsed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from gpu_coord.backend.pairs import CACHE

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_list(head: bytes, key: str) -> int:
    """Return where the records of a document begin, behind the bracket of their list; or -1.

    Parameters
    ----------
    head
        The beginning of the document.
    key
        Of the list of records in the outermost object; empty: the document is the list.
    """
    if not key:
        start = re.match(rb"(?:\xef\xbb\xbf)?\s*\[", head)
        return -1 if start is None else start.end()
    start = re.search(rb'"' + re.escape(key.encode()) + rb'"\s*:\s*\[', head)
    return -1 if start is None else start.end()


def split_records(blocks: Iterator[bytes], most: int | None = None) -> Iterator[tuple[bytes, int]]:
    """Yield the records of a list as lines, block by block, with the blocks read so far.

    Parameters
    ----------
    blocks
        The bytes behind the opening bracket of the list.
    most
        The greatest size of a record in bytes.

    Raises
    ------
    RuntimeError
        A record is longer.
    """
    rest = b""
    for number, block in enumerate(blocks, 1):
        lines, rest, is_over = _cut(rest + block)
        yield lines, number
        if is_over:
            return
        if most is not None and len(rest) > most:
            raise RuntimeError(f"a record in it has more than {most >> 20} MiB")


def _cut(text: bytes) -> tuple[bytes, bytes, bool]:
    """Return whole records as lines, what is left, and whether the list is over."""
    code = np.frombuffer(text, np.uint8)
    written = np.empty(code.size + code.size // 2 + 1, np.uint8)
    n_written, n_read, is_over = _write_lines(code, written)
    return written[:n_written].tobytes(), b"" if is_over else text[n_read:], bool(is_over)


@numba.njit(cache=CACHE, nogil=True)
def _write_lines(code: Any, written: Any) -> Any:
    """Copy records, each on one line; return the bytes written and read, and whether that is all.

    A record is what lies between brackets outside of strings; a bracket that was not opened here
    ends the list.
    """
    depth, n_written = 0, 0
    n_whole, n_read = 0, 0  # up to the end of the last record
    is_quoted, is_escaped = False, False
    for place in range(code.size):
        byte = code[place]
        if is_quoted:
            is_quoted = byte != 34 or is_escaped  # a quote
            is_escaped = byte == 92 and not is_escaped  # a backslash
        elif byte == 34:
            is_quoted = True
        elif byte == 123 or byte == 91:  # { [
            depth += 1
        elif byte == 125 or byte == 93:  # } ]
            depth -= 1
            if depth < 0:
                return n_whole, place, True
        elif byte == 10 or byte == 13 or depth == 0:
            byte = 32  # white space and commas between records
        written[n_written] = byte
        n_written += 1
        if depth == 0 and (byte == 125 or byte == 93) and not is_quoted:
            written[n_written] = 10
            n_written += 1
            n_whole, n_read = n_written, place + 1
    return n_whole, n_read, False
