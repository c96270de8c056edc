"""Axes -> pictures that stand in a page."""

from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 150


def draw(plot: Callable[["Axes"], Any], width: float, height: float) -> str:
    """Return a picture as an address that holds it.

    Parameters
    ----------
    plot
        Draws on Axes.
    width, height
        Inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    plot(figure.subplots())
    content = BytesIO()
    figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    return _address(content.getvalue())


def embed(path: Path) -> str:
    """Return a PNG file as an address that holds it."""
    return _address(path.read_bytes())


def _address(content: bytes) -> str:
    return f"data:image/png;base64,{b64encode(content).decode()}"
