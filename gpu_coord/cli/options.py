"""The options that several commands take, each described once.

Every command takes the common options. One that has no use for some of them leaves them out of its
parameters; `complete_signature` puts these in their places, hidden where they change nothing.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gpu_coord.threads import MAX_THREADS

KINDS = "hashtag,url,mention"

BackendChoice = Literal["auto", "cpu", "gpu"]
NullChoice = Literal["popularity", "entity", "hour", "day", "six_hours", "one_hour"]
ModeChoice = Literal["strict", "coortweet", "coornet", "qut"]

Store = Annotated[Path, typer.Argument(help="A store made by `gpu-coord ingest`.")]
Run = Annotated[Path, typer.Argument(help="A run made by `gpu-coord detect`.")]
NewRun = Annotated[Path, typer.Option(help="The run folder to write.")]
NewFolder = Annotated[Path, typer.Option(help="The folder to write.")]

Kinds = Annotated[str, typer.Option(help="Kinds of entity, separated by commas.")]
Objects = Annotated[str, typer.Option(help="Kinds of object, separated by commas.")]
Bin = Annotated[str, typer.Option(help="Width of a time bin, like 1h or 15m.")]
Lag = Annotated[int | None, typer.Option(min=0, help="Bins from source to target (1).")]
Lags = Annotated[
    str | None, typer.Option(help="Range of lags, like 1-4; each pair keeps its best.")
]
Start = Annotated[str | None, typer.Option(help="First time, ISO 8601, UTC.")]
End = Annotated[str | None, typer.Option(help="Time before which to stop.")]

MinPosts = Annotated[int, typer.Option(help="Leave out accounts with fewer posts.")]
MinParticipation = Annotated[
    int, typer.Option(min=1, help="Leave out accounts with fewer events of these kinds.")
]
TopPercent = Annotated[
    float, typer.Option(help="Keep this share of accounts, those with the most posts.")
]
Match = Annotated[str | None, typer.Option(help="Label to match with as many other accounts.")]
Labels = Annotated[Path | None, typer.Option(help="CSV or Parquet with account_id and label.")]
Positive = Annotated[str, typer.Option(help="The label of the accounts that ought to be found.")]

EdgeWeightQuantile = Annotated[
    float | None, typer.Option(help="Quantile of the weights that an edge has to reach.")
]
Null = Annotated[
    NullChoice, typer.Option(help="What chance leaves as it is, in each account's activity.")
]
Alpha = Annotated[
    float, typer.Option(help="Share of false ones to accept among significant edges.")
]
Groups = Annotated[
    int,
    typer.Option(
        min=0, help="Groups to look for on each half of the days, the slowest stage; 0: none."
    ),
]
Graphs = Annotated[bool, typer.Option("--graphs", help="Write GraphML and GEXF however large.")]
ShowIds = Annotated[
    bool, typer.Option("--show-ids", help="Show account ids in the place of pseudonyms.")
]

# The common options, in their order.
Backend = Annotated[BackendChoice, typer.Option(help="Where to compute; gpu never falls back.")]
Memory = Annotated[
    str | None,
    typer.Option(help="Memory for the pairs under way, like 8GB (2GB, or half of what is free)."),
]
Threads = Annotated[
    int | None, typer.Option(min=1, max=MAX_THREADS, help="Threads to use (all cores).")
]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same result.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error came from.")]

# Annotation and default of what a command takes without naming it.
_COMMON: dict[str, tuple[Any, Any]] = {
    "backend": (Annotated[BackendChoice, typer.Option(hidden=True)], "auto"),
    "memory": (Annotated[str | None, typer.Option(hidden=True)], None),
    "threads": (Threads, None),
    "seed": (Annotated[int, typer.Option(min=0, hidden=True)], 0),
    "json_": (Json, False),
    "debug": (Debug, False),
}


def complete_signature(command: Callable[..., None]) -> inspect.Signature:
    """Return the signature of a command with the common options that its own lacks."""
    parameters = list(inspect.signature(command).parameters.values())
    place = len(parameters)
    for name, (annotation, default) in reversed(_COMMON.items()):
        names = [parameter.name for parameter in parameters]
        if name in names:
            place = names.index(name)
        else:
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            added = inspect.Parameter(name, kind, default=default, annotation=annotation)
            parameters.insert(place, added)
    return inspect.Signature(parameters)
