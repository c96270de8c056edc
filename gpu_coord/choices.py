"""What all settings share: a hash that names them, and checks of what was chosen."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gpu_coord.times import parse_time


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Every choice of a command that can change what it finds, with a hash that names them."""

    def compute_hash(self, labels_sha256: str | None = None) -> str:
        """Return the specification hash: the same for the same choices, however they are written.

        Parameters
        ----------
        labels_sha256
            Hash of the labels that take the place of the store's own.
        """
        return hash_json(asdict(self) | self.spell() | {"labels": labels_sha256})

    def spell(self) -> dict[str, Any]:
        """Return what can be written in several ways, written in one."""
        return {}

    def parse_times(self, *names: str) -> dict[str, int | None]:
        """Return some settings, ISO 8601 or None, as epoch milliseconds.

        Raises
        ------
        ValueError
            One is no time.
        """
        times = {name: getattr(self, name) for name in names}
        return {name: None if time is None else parse_time(time) for name, time in times.items()}


def check_alpha(alpha: float) -> None:
    """Refuse a false discovery rate that is none."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it lies between 0 and 1, 0.05 is usual.")


def check_choice(name: str, value: str, words: Sequence[str]) -> None:
    """Refuse what is none of some words."""
    if value not in words:
        raise ValueError(f"{name} is {value!r}; it is one of {', '.join(words)}.")


def hash_json(content: Any) -> str:
    """Return a hash of what JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
