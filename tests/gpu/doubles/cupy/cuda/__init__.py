"""One device, always there; its memory is a number."""

from typing import Any

from doubles_contract import TABLE, refuse_name

from cupy.cuda import runtime

__all__ = ["Device", "MemoryPool", "Stream", "get_current_stream", "is_available", "runtime"]


def is_available() -> bool:
    return True


class Device:
    """The only device."""

    compute_capability = "90"

    def __init__(self, device: Any = None):
        self.id = 0 if device is None else int(device)
        if self.id:
            raise runtime.CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    @property
    def mem_info(self) -> tuple[int, int]:
        return runtime.memGetInfo()

    def use(self) -> "Device":
        return self

    def synchronize(self) -> None:
        return None

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __int__(self) -> int:
        return self.id


class Stream:
    """Work is done when its call returns, so there is nothing to wait for."""

    def synchronize(self) -> None:
        return None


def get_current_stream() -> Stream:
    return Stream()


class MemoryPool:
    """A pool that holds nothing back."""

    def free_all_blocks(self) -> None:
        return None

    def used_bytes(self) -> int:
        return 0

    def free_bytes(self) -> int:
        return 0

    def total_bytes(self) -> int:
        return 0


def __getattr__(name: str) -> Any:
    raise refuse_name("cupy.cuda", name, TABLE["cupy"]["cuda"])
