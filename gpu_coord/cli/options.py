"""What commands take beside the choices of their settings: inputs, outputs, and the machine."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gpu_coord.ground.threads import MAX_THREADS

BackendChoice = Literal["auto", "cpu", "gpu"]

Store = Annotated[Path, typer.Argument(help="A store made by `gpu-coord ingest`.")]
Run = Annotated[Path, typer.Argument(help="A run made by `gpu-coord detect`.")]
NewRun = Annotated[Path, typer.Option(help="The run folder to write.")]
NewFolder = Annotated[Path, typer.Option(help="The folder to write.")]

Labels = Annotated[Path | None, typer.Option(help="CSV or Parquet with account_id and label.")]
Truth = Annotated[
    Path | None, typer.Option(help="CSV or Parquet with account_id and label, to score with.")
]
Graphs = Annotated[bool, typer.Option("--graphs", help="Write GraphML and GEXF however large.")]
ShowIds = Annotated[
    bool, typer.Option("--show-ids", help="Show account ids in the place of pseudonyms.")
]

# The common options: every command takes them, and shows those that change something.
Backend = Annotated[BackendChoice, typer.Option(help="Where to compute; gpu never falls back.")]
Memory = Annotated[
    str | None,
    typer.Option(help="Memory for the pairs under way, like 8GB (2GB, or half of what is free)."),
]
Threads = Annotated[
    int | None, typer.Option(min=1, max=MAX_THREADS, help="Threads to use (all cores).")
]
HiddenBackend = Annotated[BackendChoice, typer.Option(hidden=True)]
HiddenMemory = Annotated[str | None, typer.Option(hidden=True)]
HiddenSeed = Annotated[int, typer.Option(min=0, hidden=True)]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error came from.")]
