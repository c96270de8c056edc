"""A store -> the card that a notebook shows: what was read, and what became of it."""

from typing import Any

from gpu_coord.ground.cards import write_card, write_lines, write_table
from gpu_coord.store.store import Store

_INPUTS = ("name", "rows_read", "stored", "rejected", "duplicates")


def draw_card(store: Store) -> str:
    """Return the card of a store as HTML."""
    manifest = store.manifest
    where = "in a temporary folder; save() keeps it" if store.kept else f"in {store.path}"
    heads = ["file", *(name.replace("_", " ") for name in _INPUTS[1:])]
    inputs = [[entry.get(name) for name in _INPUTS] for entry in manifest["inputs"]]
    return write_card(
        f"Store {where}",
        write_lines(", ".join(f"{n:,} {what}" for what, n in _list_totals(manifest))),
        write_table("Inputs", heads, inputs),
        write_table("Entities", ["kind", "events", "entities"], _list_kinds(manifest)),
        write_table(
            "Set aside", ["reason", "rows"], manifest.get("rejected_by_reason", {}).items()
        ),
    )


def _list_totals(manifest: dict[str, Any]) -> list[tuple[str, int]]:
    totals = manifest["totals"]
    shown = ("posts", "events", "accounts", "entities")
    return [(name, totals[name]) for name in shown if name in totals]


def _list_kinds(manifest: dict[str, Any]) -> list[tuple[str, int, int]]:
    entities = manifest.get("entities_by_kind", {})
    events = manifest.get("events_by_kind", {})
    return [(kind, n_events, entities.get(kind, 0)) for kind, n_events in events.items()]
