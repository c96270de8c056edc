"""What the commands say that make stores, or what to make one of."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_coord.cli.display import (
    describe_cost,
    flatten,
    print_lines,
    print_rows,
    write_command,
    write_cost,
)

if TYPE_CHECKING:
    from gpu_coord.results.findings import Findings


def show_store(path: Path, manifest: dict[str, Any], *, seconds: float) -> None:
    """Print what became of the rows of each input."""
    from gpu_coord.results.clock import measure_peak_memory

    totals = manifest["totals"]
    print_lines(
        f"{totals['stored']:,} of {totals['rows_read']:,} rows are stored; {totals['rejected']:,} "
        f"are set aside, {totals['duplicates']:,} are duplicates.", "", wrap=True,
    )  # fmt: skip
    columns = ["rows_read", "stored", "rejected", "duplicates"]
    print_rows(
        "Inputs",
        ["file", *(column.replace("_", " ") for column in columns)],
        [[entry["name"], *(entry[column] for column in columns)] for entry in manifest["inputs"]],
    )
    print_rows("Store", ["what", "number"], flatten(totals))
    print_rows(
        "Entities",
        ["kind", "events", "entities"],
        [
            [kind, n_events, manifest["entities_by_kind"].get(kind, 0)]
            for kind, n_events in manifest["events_by_kind"].items()
        ],
    )
    for name in ("rejected_by_reason", "unread_cells", "missing_cells", "excluded_events_by_term"):
        title = name.replace("_", " ").capitalize()
        print_rows(title, ["what", "number"], manifest[name].items())
    print_lines(f"{write_cost(seconds, measure_peak_memory())}, in {path}", wrap=True)


def show_simulation(made: "Findings", sizes: dict[str, Any]) -> None:
    """Print how large a simulated archive is, and what it has cost."""
    print_rows("Simulated", ["what", "number"], flatten(sizes))
    print_lines(describe_cost(made), wrap=True)


def show_transplant(found: "Findings") -> None:
    """Print how many accounts matched, and what their activity alone tells."""
    summary = dict(found.summary)
    easy = summary.pop("easy")
    print_rows("Accounts that match", ["what", "number"], flatten(summary))
    print_lines(
        "Half of the accounts are of the operation: precision in such a sample is that of no "
        "archive.",
        *(f"Easy: {name} alone can tell who is who." for name in easy),
        "",
        describe_cost(found),
        "",
        f"Next: {_suggest_ingest(str(found.path))}",
    )


def _suggest_ingest(path: str) -> str:
    truth = f"{path}/truth_accounts.parquet"
    return write_command(
        "ingest", f"{path}/shares.parquet", "--store", f"{path}-store", "--labels", truth
    )


def show_preview(tables: list[dict[str, Any]]) -> None:
    """Print of each table what it is taken for, its columns and its first rows."""
    for table in tables:
        known = table["layout"] or table["format"]
        written = f"{table['packing']}, delimiter {table['delimiter']!r}"
        written = written if table["delimiter"] else table["packing"]
        print_lines(f"{table['name']}: {known} ({written})")
        rows = [
            [name, column, *(row.get(name) or "" for row in table["rows"])]
            for name, column in table["columns"].items()
        ]
        heads = [f"row {number}" for number in range(1, len(table["rows"]) + 1)]
        print_rows("Columns", ["means", "column", *heads], rows)
