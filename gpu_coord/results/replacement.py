"""What an earlier result in the way is: the same, made of the same with the same choices, or not.

The same is found again, and nothing is computed; where a part of it is lost it is made anew.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpu_coord.ground.folders import WAY_OUT, list_differences
from gpu_coord.ground.markers import read_marker
from gpu_coord.results.forms import Form
from gpu_coord.results.verification import verify


def is_there(path: Path, form: Form, origin: Mapping[str, Any]) -> bool:
    """Tell whether a result is there, whole and made by this version; refuse another one.

    Parameters
    ----------
    path, form
        Where a folder is to appear, and of which form.
    origin
        What its marker will say of where it comes from.

    Raises
    ------
    FileExistsError
        The path holds another result.
    """
    held = read_marker(path, form.marker)
    if held is None:
        return False
    held = {"command": form.commands[0]} | held
    wanted = json.loads(json.dumps(origin))
    if _identify(held) != _identify(wanted):
        difference = _describe_difference(held, wanted)
        raise FileExistsError(f"{path} holds another {form.noun}, {difference}; {WAY_OUT}.")
    versions = ("gpu_coord", "marker_version")
    return all(held.get(name) == wanted[name] for name in versions) and is_whole(path)


def is_whole(path: Path) -> bool:
    """Tell whether a result is there, finished, with all that it was written with."""
    try:
        verify(path)
    except (ValueError, FileNotFoundError):
        return False
    return True


def _identify(origin: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what was done to what; settings are in the specification, in one spelling."""
    return origin["command"], origin.get("specification"), _find_store(origin)


def _find_store(origin: Mapping[str, Any]) -> Any:
    return origin.get("input", {}).get("manifest_sha256")


def _describe_difference(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    if held["command"] != wanted["command"]:
        return f"made by `gpu-coord {held['command']}`"
    if differing := list_differences(held.get("settings", {}), wanted["settings"]):
        return f"with {differing}"
    if _find_store(held) != _find_store(wanted):
        return "made from another store"
    return "made from other inputs"
