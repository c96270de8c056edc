"""Where a result comes from: versions, settings, and every input with its hash."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from gpu_coord import __version__
from gpu_coord.ground.choices import Choices, hash_json
from gpu_coord.results.findings import Findings
from gpu_coord.store.store import STORE_MARKER, Store, open_store
from gpu_coord.store.tables import hash_file

if TYPE_CHECKING:
    from gpu_coord.backend import Backend

MARKER_VERSION = 2  # 1, without a number: no command, no directed, no runs among the inputs

# What stands beside the store: another result, the hash of something, or nothing.
Inputs = Mapping[str, Findings | str | None]


def describe_origin(
    command: str,
    settings: Choices,
    *,
    store: Store | None,
    labels: pl.DataFrame | None = None,
    inputs: Inputs | None = None,
) -> dict[str, Any]:
    """Return what a marker says first: versions, command, settings, their hash, and the inputs.

    Parameters
    ----------
    command, settings, store
        What is done, with which choices, and to what.
    labels
        Labels in the place of the store's own.
    inputs
        Whatever else changes the result, by name.
    """
    others = {name: value for name, value in (inputs or {}).items() if value is not None}
    labels_sha256 = hash_labels(labels)
    hashes = {name: _identify(value) for name, value in others.items()}
    return {
        "gpu_coord": __version__,
        "marker_version": MARKER_VERSION,
        "command": command,
        "settings": asdict(settings),
        "specification": settings.compute_hash(labels_sha256, hashes),
        "input": (
            {}
            if store is None
            else {
                "store": store.path.name,
                "manifest_sha256": hash_file(store.path / STORE_MARKER),
                "labels_sha256": labels_sha256,
            }
        )
        | dict(_describe_input(name, value) for name, value in others.items()),
    }


def _identify(value: Findings | str) -> str:
    return value.fingerprint if isinstance(value, Findings) else value


def _describe_input(name: str, value: Findings | str) -> tuple[str, Any]:
    if not isinstance(value, Findings):
        return f"{name}_sha256", value
    return name, {
        "folder": value.path.resolve().name,
        "command": value.command,
        "specification": value.content.get("specification"),
        "fingerprint": value.fingerprint,
    }


def describe_backend(backend: "Backend") -> dict[str, Any]:
    """Return what a marker says of where it was computed."""
    return {"name": backend.name, "device": backend.device, "versions": backend.versions}


def is_store_of(findings: Findings, path: Path) -> bool:
    """Tell whether a result was made from the store at a path; it may be no store at all."""
    manifest = path / STORE_MARKER
    said = findings.content.get("input", {}).get("manifest_sha256")
    return manifest.is_file() and hash_file(manifest) == said


def check_origin(findings: Findings, store: Store) -> None:
    """Check that a result was made from a store.

    Raises
    ------
    ValueError
        It was made from another.
    """
    if not is_store_of(findings, store.path):
        noun = findings.form.noun
        raise ValueError(
            f"the {noun} {findings.path} was made from another store than {store.path}; name the "
            f"store it was made from, or repeat the {noun}."
        )


def find_store(findings: Findings, store: Store | Path | str | None = None) -> Store:
    """Return the store that a result was made from.

    Parameters
    ----------
    findings
        The result.
    store
        The store or its folder; by default the folder of that name beside the result, one level
        up, or here.

    Raises
    ------
    ValueError
        It is another store, or there is none of that name.
    """
    if store is not None:
        store = open_store(store)
        check_origin(findings, store)
        return store
    name = findings.content.get("input", {}).get("store", "")
    beside = findings.path.resolve().parent
    for folder in (beside, beside.parent, Path()):
        if name and is_store_of(findings, folder / name):
            return open_store(folder / name)
    raise ValueError(
        f"the store {name!r} that {findings.path} was made from is not beside it; name it with "
        "--store (store= in Python)."
    )


def hash_labels(labels: pl.DataFrame | None) -> str | None:
    """Return a hash of labels (account_id, label) that take the place of a store's own."""
    if labels is None:
        return None
    rows = labels.select("account_id", "label").sort("account_id").rows()
    return hash_json(rows)


def hash_ids(ids: pl.Series | None) -> str | None:
    """Return a hash of the ids of some accounts."""
    return None if ids is None else hash_json(ids.to_list())
