"""What the CUDA runtime says of the device."""

from typing import Any

from doubles_contract import TABLE, refuse_name

_TOTAL_BYTES = 16 << 30
_FREE_BYTES = 12 << 30


class CUDARuntimeError(RuntimeError):
    """An error of the CUDA runtime."""


def memGetInfo() -> tuple[int, int]:
    """Return the bytes that are free and those that there are."""
    return _FREE_BYTES, _TOTAL_BYTES


def driverGetVersion() -> int:
    return 13_000


def runtimeGetVersion() -> int:
    return 12_090


def getDeviceCount() -> int:
    return 1


def getDevice() -> int:
    return 0


def getDeviceProperties(device: int) -> dict[str, Any]:
    if device:
        raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
    return {
        "name": b"strict double (host)",
        "major": 9,
        "minor": 0,
        "totalGlobalMem": _TOTAL_BYTES,
        "multiProcessorCount": 132,
    }


def deviceSynchronize() -> None:
    return None


def __getattr__(name: str) -> Any:
    raise refuse_name("cupy.cuda.runtime", name, TABLE["cupy"]["runtime"])
