"""Folders, and files, that appear under their name complete, or not at all.

Stores, runs and simulations are such folders. Each holds a JSON file that says what it is.
"""

import errno
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from gpu_coord.ground.leftovers import clear_leftovers, hold, hold_file, make_aside
from gpu_coord.ground.markers import read_marker

WAY_OUT = "give --overwrite (overwrite=True in Python) to replace it, or choose another path"
# Another process put a folder there, or took it away.
_MEANWHILE = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
_MOST_NAMED = 3  # settings that differ


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object, readable and in the order given."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def check_name(path: Path) -> None:
    """Refuse a path that cannot be written as text, as markers and readers of tables need it.

    Raises
    ------
    ValueError
        It is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise ValueError(f"The name {shown} is not UTF-8; rename it.") from error


def name_aside(path: Path) -> Path:
    """Return where a file is written before it takes its place; its suffix tells its format."""
    return path.with_name(f".{path.stem}.part{path.suffix}")


def check_file_replaceable(path: Path, mark: str, noun: str) -> None:
    """Refuse a path that holds anything but an earlier file of the same sort.

    Parameters
    ----------
    path
        Where a file is to appear.
    mark
        What such a file has near its beginning.
    noun
        What it is called.

    Raises
    ------
    FileExistsError
        There is something else.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        if mark.encode() in file.read(4096):
            return
    raise FileExistsError(
        f"{path} exists and is no {noun}, so it is not replaced; choose another path or remove it "
        "yourself."
    )


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield the path of a file beside ``path`` that takes its place when the block succeeds.

    What was there stays untouched until then; after an error nothing of the new file remains.

    Raises
    ------
    FileExistsError
        Another process is writing it.
    """
    check_name(path)
    aside = name_aside(path)
    with hold_file(aside) as is_ours:
        if not is_ours:
            raise FileExistsError(f"{path} is being written by another process; wait for its end.")
        try:
            yield aside
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def check_replaceable(path: Path, marker: str, names: Collection[str]) -> None:
    """Refuse a path that holds anything but an earlier folder of the same sort.

    Parameters
    ----------
    path
        Where a folder is to appear; absent and empty ones are fine.
    marker
        The JSON file that marks such a folder.
    names
        What it and the folders in it may hold: replacing it must not take notes along.

    Raises
    ------
    FileExistsError
        The path is a file, lacks the marker, or holds something else.
    """
    held = {entry.name for entry in path.rglob("*")} if path.is_dir() else set()
    if not held and (path.is_dir() or not path.exists()):
        return
    if read_marker(path, marker) is None:
        raise FileExistsError(
            f"{path} exists and has no {marker} of ours, so it is not replaced; "
            "choose another path or remove it yourself."
        )
    if guests := sorted(held - set(names)):
        raise FileExistsError(
            f"{path} also holds {', '.join(guests[:3])}, so it is not replaced; "
            "choose another path or move them."
        )


class TemporaryFolder:
    """A folder that is there while something refers to this, at most until the program ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="gpu_coord-"))
        weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(path: Path, process: int) -> None:
    if os.getpid() == process:  # a copy of the program may end before it
        shutil.rmtree(path, ignore_errors=True)


def copy_folder(source: Path, path: Path, marker: str, names: Collection[str]) -> None:
    """Copy a folder of ours; see `check_replaceable` for what is refused."""
    with replace_folder(path, marker, names) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)


def list_differences(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Name the settings that a folder was not made with, and both values; nothing if all agree."""
    differing = [
        f"{name} {_write_value(held.get(name))} and not {_write_value(value)}"
        for name, value in wanted.items()
        if held.get(name) != value
    ]
    more = [f"{len(differing) - _MOST_NAMED} more"] if len(differing) > _MOST_NAMED else []
    return ", ".join([*differing[:_MOST_NAMED], *more])


def _write_value(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


@contextmanager
def replace_folder(path: Path, marker: str, names: Collection[str]) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` that takes its place when the block succeeds.

    What was there stays untouched until then; after an error or an interruption nothing of the
    new folder remains, and what a killed process left there is removed. See `check_replaceable`
    for the parameters and for what is refused.
    """
    path = path.resolve()
    check_name(path)
    with _naming_place(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(path)
    check_replaceable(path, marker, names)
    with ExitStack() as stack:
        with _naming_place(path):
            aside = stack.enter_context(make_aside(path, "new"))
        stack.callback(shutil.rmtree, aside, ignore_errors=True)
        aside.chmod(0o755)
        yield aside
        check_replaceable(path, marker, names)
        _swap(aside, path)


@contextmanager
def _naming_place(path: Path) -> Iterator[None]:
    """Say which path cannot be written."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno, f"{path} cannot be written ({error.strerror}); choose another place"
        ) from error


def _swap(new: Path, path: Path) -> None:
    """Put a folder in the place of another; where two processes do so, the later one stays."""
    while True:
        try:
            return _swap_once(new, path)
        except OSError as error:
            if error.errno not in _MEANWHILE or not new.exists():
                raise


def _swap_once(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    # A lock goes along with what is renamed; where another process has it, it swaps as well.
    with hold(path), make_aside(path, "old") as old:
        try:
            path.rename(old)
            new.rename(path)
        except BaseException:
            if not path.exists() and any(old.iterdir()):
                old.rename(path)
            shutil.rmtree(old, ignore_errors=True)  # nothing came into it, or it is gone
            raise
        with make_aside(path, "gone") as gone:  # so that no half of it is ever put back
            old.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
