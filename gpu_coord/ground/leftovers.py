"""Folders that are being written, and those that killed processes left behind.

The one idea: whoever writes a folder holds a lock on it, which ends with the process however that
ends; what nobody holds was left.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

# What is to appear under a name; what stood there and may come back; what is being removed.
State = Literal["new", "old", "gone"]


@contextmanager
def make_aside(path: Path, state: State) -> Iterator[Path]:
    """Make an empty hidden folder beside a path, and hold it until the block ends."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.{state}-"))
        with hold(folder) as is_ours:
            if is_ours:
                yield folder
                return
        # Another process took it for left behind before it was held.


@contextmanager
def hold(folder: Path) -> Iterator[bool]:
    """Hold a folder until the block ends; yield whether nobody else holds it.

    Where the file system knows no locks nobody does, and leftovers are there to stay.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _lock(descriptor) is not False and folder.exists()
    finally:
        os.close(descriptor)


@contextmanager
def hold_file(file: Path) -> Iterator[bool]:
    """Make a file, unless it is there, and hold it until the block ends; see `hold`."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            is_ours = _lock(descriptor) is not False
            if not is_ours or _is_named(descriptor, file):
                yield is_ours
                return
            # Another process was done with it before it was held.
        finally:
            os.close(descriptor)


def _is_named(descriptor: int, file: Path) -> bool:
    return file.exists() and os.path.samestat(os.fstat(descriptor), file.stat())


def clear_leftovers(path: Path) -> None:
    """Remove what killed processes left beside a path; put back what stood there."""
    for folder in _list_leftovers(path, "old"):
        if not path.exists():
            folder.rename(path)
    for state in get_args(State):
        for folder in _list_leftovers(path, state):  # held while it is removed
            shutil.rmtree(folder, ignore_errors=True)


def _list_leftovers(path: Path, state: State) -> Iterator[Path]:
    form = re.compile(rf"\.{re.escape(path.name)}\.{state}-[a-z0-9_]{{8}}")
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    for folder in sorted(each for each in beside if form.fullmatch(each.name)):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:  # another process removed it, or it is another user's, or no folder
            continue
        try:
            if _lock(descriptor):
                yield folder
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Tell whether a lock was had; None where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
