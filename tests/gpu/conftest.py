"""The checks of the GPU path: collected only where they are asked for, said where they are not."""

import os

ASKED_FOR = os.environ.get("GPU_COORD_GPU_CONTRACT") == "1"

# The doubles are named like the libraries whose place they take: no test run may import them by
# accident, not even to look for doctests.
collect_ignore_glob = ["doubles/*", "shim/*", "seeded_mistakes.py"] if ASKED_FOR else ["*"]


def pytest_terminal_summary(terminalreporter) -> None:
    if not ASKED_FOR:
        terminalreporter.write_line(
            "gpu_coord: tests/gpu NOT COLLECTED: set GPU_COORD_GPU_CONTRACT=1, or run "
            "make test-gpu-contract"
        )
