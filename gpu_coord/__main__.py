"""``python -m gpu_coord`` is ``gpu-coord``."""

from gpu_coord.cli import main

main()
