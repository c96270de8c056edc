"""A program that has loaded gpu_coord and runs commands in copies of itself.

Loading takes longer than most commands of the docs. ``python tests/warm.py SOCKET`` listens;
`write_client` writes a ``gpu-coord`` that has its arguments, folder, environment and streams run
there. A copy begins with what was loaded and nothing else: no thread, no file, no choice.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

ADDRESS = "GPU_COORD_WARM"
_CLIENT = f"""#!{sys.executable} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.environ["{ADDRESS}"])
    asked = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
    socket.send_fds(server, [b"#"], [0, 1, 2])
    server.sendall(json.dumps(asked).encode())
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(16) or b"1"))
"""


@contextmanager
def run_warm(folder: Path):
    """Yield the variables with which ``gpu-coord``, and ``gpu-coord -c CODE``, run warm."""
    client, address = folder / "gpu-coord", folder / "socket"
    client.write_text(_CLIENT)
    client.chmod(0o755)
    server = subprocess.Popen([sys.executable, __file__, address], stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"ready\n"
        yield {ADDRESS: str(address), "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def serve(address: str) -> None:
    """Listen, and run what is asked for in a copy of this process, and its like in copies of it."""
    _load()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        print("ready", flush=True)
        while True:
            client, _ = listener.accept()
            if os.fork():
                client.close()
                continue
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(client)
            os._exit(0)


def _load() -> None:
    import matplotlib.figure

    import gpu_coord
    from gpu_coord.cli import commands

    assert matplotlib.figure
    assert commands
    assert all(getattr(gpu_coord, name) for name in gpu_coord.__all__)


def _answer(client: socket.socket) -> None:
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    asked = json.loads(b"".join(iter(lambda: client.recv(1 << 16), b"")))
    child = os.fork()
    if not child:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        _run(asked["arguments"])
    _, status = os.waitpid(child, 0)
    client.sendall(str(os.waitstatus_to_exitcode(status) % 256).encode())


def _run(arguments: list[str]) -> NoReturn:
    """Do what Python does with a program, to its end."""
    code = 1
    try:
        if arguments[:1] == ["-c"]:
            warnings.simplefilter("error")
            exec(compile(arguments[1], "block", "exec"), {"__name__": "__main__"})
        else:
            from gpu_coord.cli import main

            sys.argv = ["gpu-coord", *arguments]
            main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else bool(end.code)
    finally:
        if code and not isinstance(sys.exc_info()[1], SystemExit | None):
            sys.excepthook(*sys.exc_info())
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
