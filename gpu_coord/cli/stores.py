"""Archives -> a store: the command, and what it says of each input."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gpu_coord.cli import options
from gpu_coord.cli.display import flatten, print_json, print_rows, show_progress

FormatChoice = Literal["auto", "x-archive", "shares", "crowdtangle"]
UrlRuleChoice = Literal["canonical", "paper"]
TimeChoice = Literal["auto", "stamp"]


def ingest(
    store: Annotated[Path, typer.Option(help="The store folder to write.")],
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files and folders of one archive or more.")
    ] = None,
    format: Annotated[FormatChoice, typer.Option(help="What the files are.")] = "auto",
    exclude: Annotated[
        list[str] | None, typer.Option(help="Entity to leave out, such as a search term.")
    ] = None,
    exclude_file: Annotated[
        Path | None, typer.Option(help="File of entities to leave out, one a line.")
    ] = None,
    url_rule: Annotated[
        UrlRuleChoice, typer.Option(help="What makes two URLs the same.")
    ] = "canonical",
    time: Annotated[
        TimeChoice, typer.Option(help="Time from the tweet id where it agrees, or the stamp.")
    ] = "auto",
    pseudonym_key: Annotated[
        Path | None, typer.Option(help="File with the key that account ids are hashed with.")
    ] = None,
    texts: Annotated[
        bool, typer.Option("--texts", help="Keep what posts say, for similarity of texts.")
    ] = False,
    labels: options.Labels = None,
    label: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH: one more input, all of it labelled NAME.")
    ] = None,
    json_: options.Json = False,
) -> None:
    """Read archives into a store; done once, everything else reads the store."""
    from gpu_coord.archive import ingest as run

    terms = [*(exclude or []), *(_read_lines(exclude_file) if exclude_file else [])]
    with show_progress() as progress:
        made = run(
            paths or [],
            store,
            format=format,
            exclude=terms,
            url_rule=url_rule,
            time=time,
            pseudonym_key=_read_key(pseudonym_key) if pseudonym_key else None,
            texts=texts,
            labels=labels,
            label=[_split_label(text) for text in label or []],
            progress=progress,
        )
    _show_store(made.path, made.manifest, as_json=json_)


def _read_lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _read_key(path: Path) -> bytes:
    key = path.read_bytes().strip()
    if len(key) < 16:
        raise ValueError(
            f"the key in {path.name} has {len(key)} bytes; it needs 16 at least, for example from "
            "`openssl rand -hex 32`."
        )
    return key


def _split_label(text: str) -> tuple[str, str]:
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise ValueError(f"--label is {text!r}; write NAME=PATH, like control=controls.csv.")
    return name, path


def _show_store(path: Path, manifest: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(manifest["totals"])
        return
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
