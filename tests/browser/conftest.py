"""The checks in a browser: collected only where they are asked for, said where they are not."""

import os

ASKED_FOR = os.environ.get("GPU_COORD_BROWSER") == "1"
collect_ignore_glob = [] if ASKED_FOR else ["*"]


def pytest_terminal_summary(terminalreporter) -> None:
    if not ASKED_FOR:
        terminalreporter.write_line(
            "gpu_coord: tests/browser NOT COLLECTED: set GPU_COORD_BROWSER=1, or run make "
            "test-browser"
        )
