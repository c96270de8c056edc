"""How much memory a command may hold, and the refusal of what would not fit, before it is begun.

The one idea: what a command will hold at its peak is estimated from counts that are known before;
what the process held as it began comes on top.
"""

from dataclasses import dataclass
from math import ceil

from gpu_coord.ground.memory import count_free_memory, count_held_memory

# The libraries and their threads take that much before anything is read.
LEAST = 500_000_000

# What any command may add to what the process holds as it begins; libraries that are loaded late
# take half of it.
_ALWAYS = 300_000_000
_LATE = 150_000_000

# Of what is free, what a command takes unless it is told how much: others live here, too.
_SAFE_SHARE = 0.9

# Estimates are rather too low, so that nothing is refused that would have fitted; with this much
# more it surely does.
_MARGIN = 1.35


@dataclass(frozen=True)
class Room:
    """The memory of a command."""

    limit: int  # bytes that the process may hold
    is_asked: bool  # whether the user said so; otherwise there is no more
    held: int  # bytes that it held as the command began

    @property
    def left(self) -> int:
        """Bytes that may still be taken."""
        return max(0, self.limit - count_held_memory())

    def has(self, n_bytes: float) -> bool:
        """Whether a command may hold that much at its peak."""
        return self.held + _LATE + n_bytes <= self.limit

    def require(self, n_bytes: float, what: str, *, way_out: str, is_more: bool = False) -> None:
        """Refuse what will not fit.

        Parameters
        ----------
        n_bytes
            What the command will hold at its peak, beside what the process held before.
        what
            What that is, the subject of a sentence in the plural.
        way_out
            What the user may do beside giving more, the end of a sentence.
        is_more
            Whether the bytes come beside what is held now.

        Raises
        ------
        MemoryError
            It is more than there is; the message names the size that would do.
        """
        needed = n_bytes + (count_held_memory() if is_more else self.held + _LATE)
        if needed <= self.limit:
            return
        enough = f"{ceil(needed * _MARGIN / 1e8) / 10:.1f}GB"
        if self.is_asked:
            raise MemoryError(
                f"{what} take {needed / 1e9:.1f} GB or more in all, and --memory allows "
                f"{self.limit / 1e9:.1f} GB; give --memory {enough}, or {way_out}."
            )
        raise MemoryError(
            f"{what} take {needed / 1e9:.1f} GB or more in all, and {self.limit / 1e9:.1f} GB are "
            f"free within the limits of machine, container and shell; make room for {enough}, or "
            f"{way_out}."
        )


def make_room(asked: int | None) -> Room:
    """Return the memory of a command that begins now.

    Parameters
    ----------
    asked
        Bytes that the process may hold; by default a safe share of what is free. What it holds
        already, and a little more, is always granted.
    """
    held, free = count_held_memory(), count_free_memory()
    if asked is None:
        return Room(held + int(free * _SAFE_SHARE), is_asked=False, held=held)
    granted = max(asked, held + _ALWAYS)
    return Room(min(granted, held + free), is_asked=granted <= held + free, held=held)
