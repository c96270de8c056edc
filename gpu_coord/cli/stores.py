"""Archives -> a store: the command, and what it says of each input."""

from pathlib import Path
from typing import Any

from gpu_coord.cli.display import flatten, print_rows


def show_store(path: Path, manifest: dict[str, Any]) -> None:
    """Print what became of the rows of each input."""
    columns = ["rows_read", "stored", "rejected", "duplicates"]
    print_rows(
        "Inputs",
        ["file", *(column.replace("_", " ") for column in columns)],
        [[entry["name"], *(entry[column] for column in columns)] for entry in manifest["inputs"]],
    )
    print_rows(f"Store {path}", ["what", "number"], flatten(manifest["totals"]))
    print_rows(
        "Entities",
        ["kind", "events", "entities"],
        [
            [kind, n_events, manifest["entities_by_kind"].get(kind, 0)]
            for kind, n_events in manifest["events_by_kind"].items()
        ],
    )
    for name in ("rejected_by_reason", "unread_cells", "excluded_events_by_term"):
        title = name.replace("_", " ").capitalize()
        print_rows(title, ["what", "number"], manifest[name].items())
