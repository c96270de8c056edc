"""Commands in copies of one process that has loaded the program, for to load it takes longest.

The one idea: a process may be copied while it has no threads; so nothing but loading is done in it.
"""

import os
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

from benchmarks.faults.material import Told, call, load_program


def load_all() -> None:
    """Load the program once; the commands are copies of this process, which has no threads yet."""
    import gpu_coord

    for module in walk_packages(gpu_coord.__path__, "gpu_coord."):
        if "gpu" not in module.name.rpartition(".")[2] and "__main__" not in module.name:
            import_module(module.name)
    load_program()


def fork(work: Callable[[], int]) -> int:
    """Do some work in a copy of this process; return how it ended."""
    process = os.fork()
    if process == 0:
        try:
            code = work()
        except BaseException as error:  # noqa: BLE001 - a copy must not go on as this process
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            code = 99
        os._exit(code)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status)


def start(words: list[str], said: Path) -> int:
    """Begin a command in a copy of this process; what it says is written to a file at its end."""
    said.unlink(missing_ok=True)
    process = os.fork()
    if process:
        return process
    try:
        told = call(words)
    except BaseException:  # noqa: BLE001 - what gets through is what is looked for
        told = Told(99, "", traceback.format_exc())
    said.write_text(told.error)
    os._exit(told.code)
