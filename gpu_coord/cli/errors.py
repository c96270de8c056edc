"""What goes wrong in a command becomes one sentence and an exit code; warnings become sentences."""

import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from gpu_coord.cli.damage import explain_failure
from gpu_coord.cli.display import say
from gpu_coord.cli.requests import Command
from gpu_coord.cli.shortages import explain_shortage

WRONG_REQUEST, MACHINE_CANNOT, INTERRUPTED, TERMINATED = 1, 3, 130, 143


class TerminatedError(BaseException):
    """The program was asked to end by SIGTERM; no `Exception`, so that nothing goes on from it."""


def report_errors(command: Command) -> Callable[..., None]:
    """Return what runs a command, and says in one sentence what failed.

    With ``--debug`` errors come through as they are.
    """

    def run(**options: Any) -> None:
        if options["threads"]:
            # Read once, when the libraries are first imported.
            os.environ["POLARS_MAX_THREADS"] = str(options["threads"])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", UserWarning)
                warnings.showwarning = _show_warning
                command.call(options)
        except KeyboardInterrupt:
            fail("interrupted; what was being written is not there.", code=INTERRUPTED)
        except (typer.Exit, typer.Abort):
            raise
        except BaseException as error:
            if options["debug"] or not _is_failure(error):
                raise
            if lacked := explain_shortage(error):
                fail(lacked, code=MACHINE_CANNOT)
            said = explain_failure(error, options) or _describe_error(error)
            fail(said, code=_choose_code(error))

    run.__signature__ = command.sign()  # type: ignore[attr-defined]
    run.__doc__ = command.function.__doc__
    return run


def run_until_terminated(program: Callable[[], None]) -> None:
    """Run a program; let SIGTERM end it as Ctrl-C does, through whatever has to be cleaned up."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        program()
    except TerminatedError:
        say("error", "terminated; what was being written is not there.")
        sys.exit(TERMINATED)


def _terminate(*_: object) -> NoReturn:
    # `timeout` sends it twice: the second must not end the cleaning up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise TerminatedError


def _is_failure(error: BaseException) -> bool:
    """Tell errors from requests to end; a panic of a native library is no `Exception`."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _choose_code(error: BaseException) -> int:
    from gpu_coord.backend import GpuUnavailableError, MachinesError

    cannot = GpuUnavailableError | MachinesError
    return MACHINE_CANNOT if isinstance(error, cannot) else WRONG_REQUEST


def _describe_error(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError | PermissionError) and error.filename:
        return f"{error.filename}: {(error.strerror or 'cannot be used').lower()}."
    if isinstance(error, ValueError | OSError | RuntimeError) and str(error):
        return str(error)
    return f"unexpected {type(error).__name__}: {error} (--debug shows where; please report it)."


def fail(message: str, *, code: int) -> NoReturn:
    """Say what failed, and end with an exit code."""
    say("error", message)
    raise typer.Exit(code)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say("warning", str(message))
