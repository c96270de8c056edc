"""The layers of a co-action network: what two accounts do alike, and how soon after one another.

In: ``co_url, co_url:10s, fast_retweet`` as people write them. Out: one `Layer` each.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gpu_coord.ground.times import parse_window

Measure = Literal["cosine", "jaccard"]

SEQUENCE, SIMILAR, FAST = "co_hashtag_sequence", "similar_text", "fast_retweet"
FAST_WINDOW = "10s"  # of Luceri et al. (2024)
# What these read is of another kind than what they compare.
_KINDS = {SEQUENCE: "hashtag", SIMILAR: "text", FAST: "retweet"}
# What accounts have in common at any time: names of layers begin with these.
_MEASURES: dict[str, Measure] = {"similar_": "cosine", "jaccard_": "jaccard"}
_OBJECTS = {SEQUENCE: "hashtag_sequence", SIMILAR: "similar_text", FAST: "fast_retweet"}


@dataclass(frozen=True, slots=True)
class Layer:
    """One sort of co-action within one window."""

    name: str  # as in weight_<name>
    action: str  # co_<kind>, similar_<kind>, jaccard_<kind>, or one of three of their own
    window_ms: int  # 0 where times do not matter

    @property
    def kind(self) -> str:
        """The kind of event that is read."""
        return _KINDS.get(self.action) or self.action.split("_", 1)[1]

    @property
    def object_kind(self) -> str:
        """The kind of object that two accounts have in common."""
        return _OBJECTS.get(self.action) or self.kind

    @property
    def is_directed(self) -> bool:
        """Whether an edge goes from one who was followed to one who followed."""
        return self.action == FAST

    @property
    def measure(self) -> Measure | None:
        """How similar two accounts are whenever they shared; None where windows matter."""
        return _find_measure(self.action)

    @property
    def is_tested(self) -> bool:
        """Whether there is a test of its edges; others are ranked alone."""
        return not self.is_directed and self.measure is None


def _find_measure(action: str) -> Measure | None:
    names = [name for name in _MEASURES if action.startswith(name) and action != name]
    return None if action == SIMILAR or not names else _MEASURES[names[0]]


def parse_layers(specs: Sequence[str], window: str) -> tuple[Layer, ...]:
    """Return the layers of specs like ``co_url`` or ``co_url:10s``.

    Parameters
    ----------
    specs
        ``co_<kind>`` of any kind, ``co_hashtag_sequence``, ``similar_text``, ``fast_retweet``;
        with a window of their own after a colon, which becomes part of the name. And
        ``similar_<kind>`` and ``jaccard_<kind>``, which have none.
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
    measure = _find_measure(action)
    is_known = action in _KINDS or (action.startswith("co_") and len(action) > 3)
    if not (is_known or measure) or re.search(r"\s", action):
        raise ValueError(
            f"{spec!r} is no layer; write co_, similar_ or jaccard_ and a kind of the store, like "
            f"co_url, co_url:10s or similar_url, or {', '.join(_KINDS)}. Kinds with white space in "
            "their names make no layer."
        )
    if measure and colon:
        raise ValueError(
            f"{spec!r} has a window, and {action} compares what two accounts shared at any time; "
            "leave the window out."
        )
    if measure:
        return Layer(action, action, 0)
    if not colon:
        default = FAST_WINDOW if action == FAST else window
        return Layer(action, action, parse_window(default))
    window_ms = parse_window(own)
    unit = "s" if own.strip()[-1].isdigit() else ""
    return Layer(f"{action}_{own.strip()}{unit}", action, window_ms)
