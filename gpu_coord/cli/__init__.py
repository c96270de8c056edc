"""The command line: options made from settings, one call of the library each, what came back."""

from typing import Annotated

import typer

from gpu_coord.cli.commands import COMMANDS
from gpu_coord.cli.errors import report_errors, run_until_terminated
from gpu_coord.cli.help import GroupedCommand, Program

app = typer.Typer(
    name="gpu-coord",
    cls=Program,
    help="Finds accounts acting together in social-media archives, and shows the evidence.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich takes twice the time of all the rest to load
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in COMMANDS:
    app.command(command.name, cls=GroupedCommand)(report_errors(command))


def _show_version(wanted: bool) -> None:
    from gpu_coord import __version__

    if wanted:
        print(f"gpu-coord {__version__}")
        raise typer.Exit


@app.callback()
def take_options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take the options that stand before the command; Typer adds those of completion."""


def main() -> None:
    """Run the command line."""
    run_until_terminated(lambda: app(prog_name="gpu-coord"))
