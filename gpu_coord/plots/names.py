"""Names beside points, none over another.

The one idea: names are placed one after the other, the most important first, each in the first of
some places around its point where nothing stands yet.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gpu_coord.plots.style import shade, show_plainly

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

# Right, left, above, below, and the corners; then the same farther away.
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_STEPS = (2, 7, 15)  # from the rim of the point, in typographic points
_ALIGNED = {1: ("left", "bottom"), 0: ("center", "center"), -1: ("right", "top")}


def name_points(ax: "Axes", places: np.ndarray, names: Sequence[str], *, areas: np.ndarray) -> None:
    """Write names beside points, where there is room, without lying over names or points named.

    Where the figure has a layout it is made first, so call this last.

    Parameters
    ----------
    ax
        Where to write.
    places
        Of the points that no name may lie over, the most important first, (n_points, 2).
    names
        Of the first of them.
    areas
        Of the points, in square typographic points.
    """
    if not names:
        return
    labels = [_write_name(ax, place, text) for place, text in zip(places, names, strict=False)]
    ax.figure.canvas.figure.draw_without_rendering()
    points = ax.transData.transform(places)
    taken: list[Bbox] = []
    for label, radius in zip(labels, np.sqrt(areas / np.pi), strict=False):
        box = _find_room(ax, label, points, taken, float(radius))
        if box is None:
            label.remove()
        else:
            taken.append(box)


def _write_name(ax: "Axes", place: np.ndarray, text: str) -> "Annotation":
    from matplotlib.patheffects import withStroke

    label = ax.annotate(
        text, (float(place[0]), float(place[1])), xytext=(0, 0), textcoords="offset points",
        fontsize="x-small", zorder=4, annotation_clip=False, gid="name",
    )  # fmt: skip
    halo = withStroke(linewidth=2, foreground=shade(ax, "white"))
    label.set_path_effects([halo])
    label.set_in_layout(False)
    show_plainly([label])
    return label


def _find_room(
    ax: "Axes", label: "Annotation", points: np.ndarray, taken: "list[Bbox]", radius: float
) -> "Bbox | None":
    """Move a name to the first place with room, and return its box; None where none has."""
    for step in _STEPS:
        for right, up in _SIDES:
            label.set(ha=_ALIGNED[right][0], va=_ALIGNED[up][1])
            label.set_position(((radius + step) * right, (radius + step) * up))
            box = label.get_window_extent().padded(1)
            if _has_room(box, ax.bbox, points, taken):
                return box
    return None


def _has_room(box: "Bbox", within: "Bbox", points: np.ndarray, taken: "list[Bbox]") -> bool:
    is_inside = within.x0 <= box.x0 and box.x1 <= within.x1
    is_inside &= within.y0 <= box.y0 and box.y1 <= within.y1
    covers = ((points > box.min) & (points < box.max)).all(axis=1).any()
    return bool(is_inside) and not covers and not any(box.overlaps(other) for other in taken)
