"""The commands. They parse, call one public function each, and show what came back."""

import typer

from gpu_coord.cli import (
    accounts,
    cascades,
    checks,
    cohorts,
    cycles,
    detection,
    evaluations,
    models,
    sharing,
    simulations,
    stores,
    sweeps,
    timelines,
)
from gpu_coord.cli.errors import report_errors, run_until_terminated

COMMANDS = (  # in the order of the help
    stores.ingest,
    detection.detect,
    sharing.share,
    sharing.coact,
    cycles.cycle,
    accounts.explain,
    models.model,
    accounts.roles,
    detection.calibrate,
    checks.selftest,
    checks.info,
    timelines.timeline,
    cascades.cascades,
    cohorts.cohorts,
    simulations.simulate,
    simulations.demo,
    evaluations.evaluate,
    sweeps.sweep,
    checks.verify,
)

app = typer.Typer(
    name="gpu-coord",
    help="Finds accounts acting together in social-media archives, and shows the evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(report_errors(command))


def main() -> None:
    """Run the command line."""
    run_until_terminated(lambda: app(prog_name="gpu-coord"))
