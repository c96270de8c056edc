"""The layers of a co-action network: what two accounts do alike, and how soon after one another.

In: ``co_url, co_url:10s, fast_retweet`` as people write them. Out: one `Layer` each.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gpu_coord.ground.times import parse_window

SEQUENCE, SIMILAR, FAST = "co_hashtag_sequence", "similar_text", "fast_retweet"
FAST_WINDOW = "10s"  # of Luceri et al. (2024)
# What these read is of another kind than what they compare.
_KINDS = {SEQUENCE: "hashtag", SIMILAR: "text", FAST: "retweet"}
_OBJECTS = {SEQUENCE: "hashtag_sequence", SIMILAR: "similar_text", FAST: "fast_retweet"}


@dataclass(frozen=True, slots=True)
class Layer:
    """One sort of co-action within one window."""

    name: str  # as in weight_<name>
    action: str  # co_<kind>, or one of the three with an algorithm of their own
    window_ms: int

    @property
    def kind(self) -> str:
        """The kind of event that is read."""
        return _KINDS.get(self.action) or self.action.removeprefix("co_")

    @property
    def object_kind(self) -> str:
        """The kind of object that two accounts have in common."""
        return _OBJECTS.get(self.action) or self.kind

    @property
    def is_directed(self) -> bool:
        """Whether an edge goes from one who was followed to one who followed."""
        return self.action == FAST


def parse_layers(specs: Sequence[str], window: str) -> tuple[Layer, ...]:
    """Return the layers of specs like ``co_url`` or ``co_url:10s``.

    Parameters
    ----------
    specs
        ``co_<kind>`` of any kind, ``co_hashtag_sequence``, ``similar_text``, ``fast_retweet``;
        with a window of their own after a colon, which becomes part of the name.
    window
        That of the layers without their own; of ``fast_retweet`` it is 10s.

    Raises
    ------
    ValueError
        There is none, one is named twice or is no layer, or a window is no duration.
    """
    layers = tuple(_parse_layer(spec, window) for spec in specs)
    if not layers:
        raise ValueError("layers is empty; name at least one, such as co_retweet.")
    seen: dict[tuple[str, int], str] = {}
    for layer, spec in zip(layers, specs, strict=True):
        key = (layer.action, layer.window_ms)
        if key in seen:
            raise ValueError(f"the layers {seen[key]} and {spec} are the same; leave one out.")
        seen[key] = spec
    return layers


def _parse_layer(spec: str, window: str) -> Layer:
    action, colon, own = spec.strip().rpartition(":")
    action = action if colon else own
    is_known = action in _KINDS or (action.startswith("co_") and len(action) > 3)
    if not is_known or re.search(r"\s", action):
        raise ValueError(
            f"{spec!r} is no layer; write co_ and a kind of the store, like co_url or co_url:10s, "
            f"or {', '.join(_KINDS)}. Kinds with white space in their names make no layer."
        )
    if not colon:
        default = FAST_WINDOW if action == FAST else window
        return Layer(action, action, parse_window(default))
    window_ms = parse_window(own)
    unit = "s" if own.strip()[-1].isdigit() else ""
    return Layer(f"{action}_{own.strip()}{unit}", action, window_ms)
