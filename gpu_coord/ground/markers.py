"""The JSON file that says what a folder of ours is, read back: whoever has a disk can change it.

The one idea: what is missing is named with its file when it is looked up, and what is there has the
type that was written, or the folder is none of ours.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpu_coord.ground.files import MEGABYTE, read_small

_LARGEST = 256 * MEGABYTE
# Of the outermost object, and of what lists and objects in it hold.
_OBJECTS = {*"""
settings input summary tables files backend counts chance evidence effects totals users versions
rejected_by_reason events_by_kind excluded_events_by_term unread_cells missing_cells mended_ids
long_ids labels accounts_by_label entities_by_kind dropped_accounts grid rules roles
""".split()}  # fmt: skip
_LISTS = {"inputs", "stages", "layers", "ignored"}
_TEXTS = {"gpu_coord", "command", "specification", "format", "accounts_sha256", "window"}
_COUNTS = {"rows", "size", "rows_read", "stored", "rejected", "duplicates", "excluded"}


class LostKeyError(ValueError):
    """A marker does not say what one of ours says."""


class Marker(dict[str, Any]):
    """A JSON object of a marker."""

    path: Path

    def __missing__(self, name: str) -> Any:
        raise LostKeyError(
            f"{self.path} does not say {name}, so it is not as it was written; make its folder "
            "again."
        )


def read_marker(path: Path, marker: str) -> dict[str, Any] | None:
    """Return the JSON object that marks a folder as ours, or None where there is none.

    Parameters
    ----------
    path
        The folder.
    marker
        The name of the JSON file; the object has the key ``gpu_coord``.
    """
    file = path / marker
    try:
        said = read_small(file, rule="a marker is a JSON file", most=_LARGEST).decode()
        content = json.loads(said, object_pairs_hook=_make_object(file))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, Marker) and _is_ours(content) else None


def seems_ours(file: Path) -> bool:
    """Tell whether a file begins as a marker of ours does, whatever became of it."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return b'"gpu_coord"' in opened.read(64)


def _make_object(file: Path) -> Callable[[list[tuple[str, Any]]], Marker]:
    def make(pairs: list[tuple[str, Any]]) -> Marker:
        made = Marker(pairs)
        made.path = file
        return made

    return make


def _is_ours(content: Marker) -> bool:
    return "gpu_coord" in content and all(
        value is None or _has_type(name, value) for name, value in content.items()
    )


def _has_type(name: str, value: Any) -> bool:
    if name in _TEXTS:
        return isinstance(value, str)
    if name in _LISTS:
        return isinstance(value, list) and all(map(_says_well, value))
    if name in ("tables", "files"):
        return isinstance(value, dict) and all(map(_says_well, value.values()))
    if name == "backend":
        return isinstance(value, dict) and isinstance(value.get("versions", {}), dict)
    if name == "settings":
        return isinstance(value, dict) and _lists_words(value.get("kinds"))
    return name not in _OBJECTS or (isinstance(value, dict) and _says_well(value))


def _lists_words(value: Any) -> bool:
    is_list = isinstance(value, list)
    return value is None or (is_list and all(isinstance(each, str) for each in value))


def _says_well(value: Any) -> bool:
    """Tell whether numbers of something are whole, and hashes and names are text."""
    return isinstance(value, dict) and all(
        each is None or (isinstance(each, _find_type(name)) and not isinstance(each, bool))
        for name, each in value.items()
        if _find_type(name) is not object
    )


def _find_type(name: str) -> Any:
    if name in _COUNTS or name.startswith("n_"):
        return int
    if name in ("sha256", "name", "stage"):
        return str
    return int | float if name == "seconds" else object
