"""The command line: options made from settings, one call of the library each, what came back."""

import typer

from gpu_coord.cli.commands import COMMANDS
from gpu_coord.cli.errors import report_errors, run_until_terminated

app = typer.Typer(
    name="gpu-coord",
    help="Finds accounts acting together in social-media archives, and shows the evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command(command.name)(report_errors(command))


def main() -> None:
    """Run the command line."""
    run_until_terminated(lambda: app(prog_name="gpu-coord"))
