"""An error -> what the machine lacked, where that is why: room on the disk, memory, threads.

The one idea: libraries wrap what the system said into errors of their own and keep its number.
"""

import errno
import re

_LACKS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the quota of the disk is used up; free some space",
    errno.EROFS: "the disk can be read only; choose another place",
    errno.EFBIG: "a file grew beyond the limit of this shell; raise it with ulimit -f",
    errno.ENOMEM: "the memory is used up; close other programs or give a smaller --memory",
    errno.EMFILE: "too many files are open; raise the limit with ulimit -n",
}
_NO_THREAD = "no further thread can be started; allow more with ulimit -u or give fewer --threads"
_LIBRARIES = {"polars", "pyarrow", "pyo3_runtime"}
_NUMBER = re.compile(r"(?:\(os error |\[[Ee]rrno )([0-9]+)[])]")


def explain_shortage(error: BaseException | None) -> str | None:
    """Say what was lacking, and what to do; None where that is not why a command failed."""
    if error is None:
        return None
    if isinstance(error, MemoryError) and str(error):  # says itself how much would do
        return str(error)
    said = _LACKS.get(_find_number(error)) or _name_thread(error)
    if said is None:
        before = None if error.__suppress_context__ else error.__context__
        return explain_shortage(error.__cause__ or before)
    return f"{said}, then run it again: what was being written is not there."


def _find_number(error: BaseException) -> int:
    """Return the number of the system's error, 0 where there is none."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, OSError) and error.errno:
        return error.errno
    # What we say ourselves may hold a name with such words in it.
    is_foreign = type(error) is OSError or type(error).__module__.split(".")[0] in _LIBRARIES
    found = _NUMBER.search(str(error)) if is_foreign else None
    return int(found[1]) if found else 0


def _name_thread(error: BaseException) -> str | None:
    is_it = isinstance(error, RuntimeError) and str(error).startswith("can't start new thread")
    return _NO_THREAD if is_it else None
