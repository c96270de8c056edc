"""What commands take beside the choices of their settings: inputs, outputs, and the machine."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gpu_coord.ground.choices import ANALYSED, OUTPUT
from gpu_coord.ground.threads import MAX_THREADS

MACHINE = "Machine"
BackendChoice = Literal["auto", "cpu", "gpu"]

_INPUT = {"rich_help_panel": ANALYSED}
_OUTPUT = {"rich_help_panel": OUTPUT}
_MACHINE = {"rich_help_panel": MACHINE}

Store = Annotated[Path, typer.Argument(help="A store made by `gpu-coord ingest`.", **_INPUT)]
Source = Annotated[Path, typer.Argument(help="A store of `gpu-coord ingest`, or a file.", **_INPUT)]
Run = Annotated[Path, typer.Argument(help="A run made by `gpu-coord detect`.", **_INPUT)]
NewRun = Annotated[Path, typer.Option(help="The run folder to write.", **_OUTPUT)]
NewFolder = Annotated[Path, typer.Option(help="The folder to write.", **_OUTPUT)]
NewStore = Annotated[Path, typer.Option(help="The store folder to write.", **_OUTPUT)]
Add = Annotated[
    bool,
    typer.Option("--add", help="Add to the store, whose inputs are not read again.", **_OUTPUT),
]
NewSweep = Annotated[
    Path, typer.Option(help="The folder to write; a stopped sweep goes on.", **_OUTPUT)
]
NewFile = Annotated[
    Path,
    typer.Option(help="The file to write: .png, .svg, .html, .parquet, .csv or .json.", **_OUTPUT),
]
StoreOf = Annotated[
    Path | None, typer.Option(help="What the run was made from (the one beside it).", **_INPUT)
]
NewPage = Annotated[Path | None, typer.Option(help="The HTML file (RUN.html).", **_OUTPUT)]
AnyRun = Annotated[
    Path, typer.Argument(help="A run of `gpu-coord detect`, `share` or `coact`.", **_INPUT)
]
OtherResults = Annotated[
    list[Path] | None,
    typer.Argument(help="Other results to show; of another run, what differs.", **_INPUT),
]
NewReport = Annotated[
    Path | None,
    typer.Option(help="A JSON file for the report, to attach to a bug report.", **_OUTPUT),
]

Labels = Annotated[
    Path | None, typer.Option(help="CSV or Parquet with account_id and label.", **_INPUT)
]
Truth = Annotated[
    Path | None,
    typer.Option(help="CSV or Parquet with account_id and label, to score with.", **_INPUT),
]
Graphs = Annotated[
    bool, typer.Option("--graphs", help="Write GraphML and GEXF however large.", **_OUTPUT)
]
WriteReport = Annotated[
    bool, typer.Option("--report", help="Write the page of the run, too: RUN.html.", **_OUTPUT)
]
ShowIds = Annotated[
    bool, typer.Option("--show-ids", help="Show account ids in the place of pseudonyms.", **_OUTPUT)
]

TableFormat = Annotated[
    Literal["table", "csv", "latex"], typer.Option("--format", help="How to print it.", **_OUTPUT)
]
Raw = Annotated[
    bool, typer.Option("--raw", help="In CSV also leave what spreadsheets would run.", **_OUTPUT)
]

# The common options: every command takes them, and shows those that change something.
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Make it anew; replace any result there.", **_OUTPUT),
]
Backend = Annotated[BackendChoice, typer.Option(help="Where; gpu never falls back.", **_MACHINE)]
Memory = Annotated[
    str | None, typer.Option(help="Most to hold, like 8GB (nine tenths of the free).", **_MACHINE)
]
Dask = Annotated[
    str | None,
    typer.Option(metavar="WHERE", help="Whose workers compute: local, or tcp://…", **_MACHINE),
]
HiddenExchange = Annotated[str | None, typer.Option(hidden=True)]
Threads = Annotated[
    int | None,
    typer.Option(min=1, max=MAX_THREADS, help="Threads to use (all cores).", **_MACHINE),
]
HiddenBackend = Annotated[BackendChoice, typer.Option(hidden=True)]
HiddenMemory = Annotated[str | None, typer.Option(hidden=True)]
HiddenSeed = Annotated[int, typer.Option(min=0, hidden=True)]
Json = Annotated[
    bool, typer.Option("--json", help="Print the summary as one JSON object.", **_OUTPUT)
]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error came from.", **_MACHINE)]
