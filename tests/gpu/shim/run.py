"""Runs the text of CUDA kernels on the host: compiled by g++ with a shim in CUDA's place.

`load` takes what cupy.RawModule takes and gives functions that are called as RawKernels are, with
NumPy arrays and NumPy scalars. `load_sanitized` runs each launch in a process of its own under
sanitizers. Arguments whose types are not those of the kernel's parameters are refused.
"""

import ctypes
import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHIM = Path(__file__).parent
MAX_BLOCK = (1024, 1024, 64)
MAX_BLOCK_THREADS = 1024
MAX_GRID = (2**31 - 1, 65_535, 65_535)

TIMEOUT_SECONDS = 60  # of a launch under sanitizers

DTYPES = {
    "bool": np.bool_,
    "unsigned char": np.uint8,
    "int": np.int32,
    "unsigned int": np.uint32,
    "long long": np.int64,
    "unsigned long long": np.uint64,
    "float": np.float32,
    "double": np.float64,
}
_KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(\w+)\s*\(([^)]*)\)')
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_PARAMETER = re.compile(r"(const\s+)?([a-z ]+?)\s*(\*)?\s*(?:(?:const|__restrict__)\s+)*(\w+)")

_STRICT = ("-Wall", "-Wextra", "-Werror", "-ffp-contract=off")

_folder = tempfile.TemporaryDirectory(prefix="gpu-coord-shim-")


class SanitizerError(RuntimeError):
    """A sanitizer stopped the kernel; the message is its report."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel."""

    name: str
    type: str  # of a value, or of an array's values
    is_pointer: bool
    is_const: bool

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(DTYPES[self.type])

    @property
    def spelling(self) -> str:
        return f"{'const ' if self.is_const else ''}{self.type}{' *' if self.is_pointer else ''}"


@dataclass(frozen=True)
class Shifted:
    """An array that the kernel knows by a pointer `n_before` values before its first."""

    array: np.ndarray
    n_before: int


def parse_kernels(code: str) -> dict[str, list[Parameter]]:
    """Return the parameters of each kernel, which is declared ``extern "C" __global__ void``."""
    kernels = {}
    for name, parameters in _KERNEL.findall(_COMMENT.sub(" ", code)):
        kernels[name] = [_parse_parameter(text) for text in parameters.split(",") if text.strip()]
    if not kernels:
        raise ValueError('the text has no kernel; declare one as extern "C" __global__ void.')
    return kernels


def _parse_parameter(text: str) -> Parameter:
    match = _PARAMETER.fullmatch(" ".join(text.split()))
    if match is None or match[2] not in DTYPES:
        raise ValueError(f"the parameter {text.strip()!r} has none of the types {list(DTYPES)}.")
    return Parameter(match[4], match[2], is_pointer=bool(match[3]), is_const=bool(match[1]))


def check_launch(grid: tuple[int, ...], block: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Return the three sizes of grid and block.

    Raises
    ------
    TypeError
        A grid or block is not a tuple of integers.
    ValueError
        A device would refuse the launch.
    """
    for name, sizes, limits in (("grid", grid, MAX_GRID), ("block", block, MAX_BLOCK)):
        if not isinstance(sizes, tuple) or not all(isinstance(size, int) for size in sizes):
            raise TypeError(f"the {name} {sizes!r} is not a tuple of integers.")
        if not 1 <= len(sizes) <= 3:
            raise ValueError(f"the {name} {sizes!r} has not one to three sizes.")
        if not all(1 <= size <= limit for size, limit in zip(sizes, limits, strict=False)):
            raise ValueError(f"the {name} {sizes!r} has sizes that are not in 1..{limits}.")
    padded = [[*sizes, 1, 1][:3] for sizes in (grid, block)]
    if np.prod(padded[1], dtype=np.int64) > MAX_BLOCK_THREADS:
        raise ValueError(f"the block {block!r} has more than {MAX_BLOCK_THREADS} threads.")
    return padded[0], padded[1]


def check_arguments(name: str, parameters: list[Parameter], args: tuple[Any, ...]) -> None:
    """Refuse arguments that are not, one by one, what the kernel declares.

    Raises
    ------
    TypeError
        Their number, kind, type or layout differs.
    """
    if not isinstance(args, tuple) or len(args) != len(parameters):
        raise TypeError(f"{name} takes a tuple of {len(parameters)} arguments, not {len(args)}.")
    for parameter, value in zip(parameters, args, strict=True):
        array = value.array if isinstance(value, Shifted) else value
        wanted = np.ndarray if parameter.is_pointer else np.generic
        if not isinstance(array, wanted) or array.dtype != parameter.dtype:
            is_typed = isinstance(array, np.ndarray | np.generic)
            found = f"{type(array).__name__} of {array.dtype}" if is_typed else repr(array)
            raise TypeError(
                f"{name}({parameter.spelling} {parameter.name}) takes a NumPy "
                f"{'array' if parameter.is_pointer else 'scalar'} of {parameter.dtype}, "
                f"not {found}."
            )
        if parameter.is_pointer and not array.flags.c_contiguous:
            raise TypeError(f"{name}: the array for {parameter.name} is not C-contiguous.")
        if parameter.is_pointer and not parameter.is_const and not array.flags.writeable:
            raise TypeError(f"{name}: the array for {parameter.name} cannot be written.")


class HostModule:
    """A module of kernels that run on the host; see `load`."""

    def __init__(self, code: str, launch: Callable[..., None]):
        self.kernels = parse_kernels(code)
        self._launch = launch

    def get_function(self, name: str) -> Callable[..., None]:
        """Return a function of (grid, block, args), as a RawKernel is called.

        Raises
        ------
        ValueError
            The text has no kernel of that name.
        """
        if name not in self.kernels:
            raise ValueError(f"there is no kernel {name!r}, only {sorted(self.kernels)}.")
        return functools.partial(self._call, name)

    def _call(
        self,
        name: str,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        args: tuple[Any, ...],
        **options: Any,
    ) -> None:
        shape = check_launch(grid, block)
        check_arguments(name, self.kernels[name], args)
        self._launch(name, self.kernels[name], *shape, args, **options)


@functools.cache
def load(code: str, options: tuple[str, ...] = ()) -> HostModule:
    """Compile kernels to a shared library that runs them in this process.

    Parameters
    ----------
    code
        The text of a .cu file.
    options
        As for NVRTC; only the language's version is known, ``--std=c++17``.

    Returns
    -------
        ``get_function(name)(grid, block, args)`` runs a kernel. args: a C-contiguous NumPy array
        of the parameter's dtype for a pointer, a NumPy scalar of its dtype for a value.

    Raises
    ------
    ValueError
        An option is unknown, or a parameter has an unknown type.
    RuntimeError
        The compiler refuses the text.
    """
    library = ctypes.CDLL(str(_compile(code, options, ("-O2", "-fPIC", "-shared"), "")))
    library.launch_kernel_by_name.restype = ctypes.c_bool

    def launch(
        name: str,
        parameters: list[Parameter],
        grid: list[int],
        block: list[int],
        args: tuple[Any, ...],
    ) -> None:
        keep: list[Any] = []
        cells = [
            value.ctypes.data if parameter.is_pointer else ctypes.addressof(_to_buffer(value, keep))
            for parameter, value in zip(parameters, args, strict=True)
        ]
        library.launch_kernel_by_name(
            name.encode(),
            (ctypes.c_uint * 6)(*grid, *block),
            (ctypes.c_void_p * len(cells))(*cells),
        )

    return HostModule(code, launch)


def _to_buffer(value: np.generic, keep: list[Any]) -> Any:
    keep.append(ctypes.create_string_buffer(value.tobytes(), value.nbytes))
    return keep[-1]


@functools.cache
def load_sanitized(code: str, sanitizers: str = "address,undefined") -> HostModule:
    """Compile kernels to a program that runs each launch under sanitizers.

    As `load`; the functions also take ``seed`` (the order of the threads), ``blocks`` (the
    range of blocks to run, all by default), ``n_workers`` (host threads, for the sanitizer
    ``thread``) and, in args, `Shifted` arrays. They raise SanitizerError with the report.
    """
    flags = ("-O0", "-g", "-pthread", f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all")
    # -Wconversion: an offset that is narrowed on its way is an error of the text.
    program = _compile(code, ("--std=c++17",), (*flags, "-Wconversion"), '#include "driver.h"\n')

    def launch(
        name: str,
        parameters: list[Parameter],
        grid: list[int],
        block: list[int],
        args: tuple[Any, ...],
        *,
        seed: int = 0,
        blocks: tuple[int, int] | None = None,
        n_workers: int = 1,
    ) -> None:
        first, last = blocks or (0, grid[0] * grid[1] * grid[2])
        plan = [name, *grid, *block, first, last, seed, n_workers, len(args)]
        with tempfile.TemporaryDirectory(dir=_folder.name) as at:
            for row, value in enumerate(args):
                array = value.array if isinstance(value, Shifted) else value
                shift = value.n_before * array.itemsize if isinstance(value, Shifted) else 0
                plan += ["p" if parameters[row].is_pointer else "s", array.nbytes, shift]
                Path(at, str(row)).write_bytes(array.tobytes())
            Path(at, "plan").write_text(" ".join(map(str, plan)))
            _run_program([str(program), at])
            for row, value in enumerate(args):
                if parameters[row].is_pointer and not parameters[row].is_const:
                    array = value.array if isinstance(value, Shifted) else value
                    array[...] = np.fromfile(Path(at, str(row)), array.dtype).reshape(array.shape)

    return HostModule(code, launch)


def _run_program(command: list[str]) -> None:
    # Leaks are the driver's own; looking for them needs rights that a container may lack.
    options = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    # Some kernels spread addresses further than the thread sanitizer expects; setarch stops that.
    for prefix in ([], ["setarch", "--addr-no-randomize"]):
        _skip_without(*prefix[:1])
        done = subprocess.run(
            [*prefix, *command],
            capture_output=True,
            text=True,
            errors="replace",
            env={"PATH": os.defpath, **options},
            timeout=TIMEOUT_SECONDS,
        )
        if "unexpected memory mapping" not in done.stderr:
            break
    if done.returncode:
        raise SanitizerError(done.stderr)


def _skip_without(*programs: str) -> None:
    """Skip the test that came here: nothing that it says about kernels can be checked."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on PATH: the kernels on the host cannot be tested")


def _compile(code: str, options: tuple[str, ...], flags: tuple[str, ...], driver: str) -> Path:
    """Compile the text between the shim and the launchers; return the library or program."""
    unknown = [option for option in options if not re.fullmatch(r"--?std=c\+\+\d\d", option)]
    if unknown:
        raise ValueError(f"the options {unknown} are unknown; known is --std=c++NN.")
    standards = [f"-{option.lstrip('-')}" for option in options] or ["-std=c++17"]
    _skip_without("g++")
    folder = Path(tempfile.mkdtemp(dir=_folder.name))
    source, result = folder / "kernels.cc", folder / "kernels.so"
    source.write_text(
        f'#include "cuda_shim.h"\n#line 1 "kernels.cu"\n{code}\n'
        f'#line 1 "launchers"\n{_write_launchers(parse_kernels(code))}{driver}'
    )
    done = subprocess.run(
        ["g++", *standards, *flags, *_STRICT, f"-I{SHIM}", "-o", str(result), str(source)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"g++ refuses the kernels:\n{done.stderr}")
    return result


def _write_launchers(kernels: dict[str, list[Parameter]]) -> str:
    """Return the C++ that finds a kernel by name and gives it its arguments."""
    cases = []
    for name, parameters in kernels.items():
        values = [
            f"({parameter.spelling})args[{row}]"
            if parameter.is_pointer
            else f"*({parameter.type} *)args[{row}]"
            for row, parameter in enumerate(parameters)
        ]
        run = f"shim::run(launch, [&] {{ {name}({', '.join(values)}); }})"
        cases.append(f'    if (name == "{name}") return {run}, true;\n')
    return (
        "#include <string>\n"
        "static bool launch_kernel(const std::string &name, const shim::Launch &launch,\n"
        "                          void *const *args) {\n"
        f"    (void)args;\n{''.join(cases)}    return false;\n}}\n"
        'extern "C" bool launch_kernel_by_name(const char *name, const unsigned *n,\n'
        "                                      void *const *args) {\n"
        "    const long long n_blocks = 1LL * n[0] * n[1] * n[2];\n"
        "    return launch_kernel(\n"
        "        name, {{n[0], n[1], n[2]}, {n[3], n[4], n[5]}, 0, n_blocks, 0, 1}, args);\n}\n"
    )
