"""The memory that this process may still take, by machine, container and shell.

The one idea: a limit that lies above us, at any level, is met before the machine is full.
"""

import resource
from collections.abc import Iterator
from pathlib import Path

import psutil

_RESERVED = 1_500_000_000  # addresses

# By the type of the file system: the limits of a group, what it holds, and what of that the
# kernel takes back before it kills.
_FILES = {
    "cgroup2": (("memory.max", "memory.high"), "memory.current", "inactive_file"),
    "cgroup": (
        ("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file",
    ),
}  # fmt: skip


def count_free_memory(root: Path = Path("/")) -> int:
    """Return the bytes that this process may still take.

    Parameters
    ----------
    root
        Where ``proc`` is, and what it names.
    """
    rooms = [int(psutil.virtual_memory().available), *_list_rooms(root), *_find_shell_room()]
    return max(0, min(rooms))


def count_held_memory() -> int:
    """Return the bytes that this process holds."""
    return int(psutil.Process().memory_info().rss)


def _find_shell_room() -> Iterator[int]:
    """Yield what can be used of what `ulimit -v` leaves, where that is set: it counts addresses.

    Allocators and threads reserve some beforehand, then about twice what they use; libraries abort
    where there are none left.
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        yield (limit - int(psutil.Process().memory_info().vms) - _RESERVED) // 2


def _list_rooms(root: Path) -> Iterator[int]:
    """Yield what is left of the limit of each control group that this process is in."""
    for kind, top, path in _find_groups(root):
        limits, usage, reclaimable = _FILES[kind]
        folders = [top / path, *(top / path).parents]
        for folder in folders[: len(Path(path).parts) + 1]:
            allowed = [size for name in limits if (size := _read_size(folder / name)) is not None]
            held = _read_size(folder / usage)
            if allowed and held is not None:
                yield min(allowed) - held + _read_field(folder / "memory.stat", reclaimable)


def _find_groups(root: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield file system, mount point and path below it of the groups that count memory."""
    mounts = _read_lines(root / "proc/self/mountinfo")
    for line in _read_lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        kind = "cgroup2" if not controllers else "cgroup"
        if kind == "cgroup" and "memory" not in controllers.split(","):
            continue
        for mount in mounts:
            found = _match_mount(mount, kind)
            if found is not None:
                top, subtree = found
                yield kind, root / top.lstrip("/"), _cut_path(path, subtree)


def _match_mount(line: str, kind: str) -> tuple[str, str] | None:
    """Return mount point and mounted subtree, where a line of mountinfo is of the groups' kind."""
    before, _, after = line.partition(" - ")
    system, _, options = after.split(" ", 2)
    if system != kind or (kind == "cgroup" and "memory" not in options.split(",")):
        return None
    _, _, _, subtree, top = before.split(" ")[:5]
    return top, subtree


def _cut_path(path: str, subtree: str) -> str:
    """Return the path of a group below the mount: a container may see its own subtree alone."""
    inside = Path(path).is_relative_to(subtree) and ".." not in Path(path).parts
    return str(Path(path).relative_to(subtree)) if inside else ""


def _read_lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []


def _read_size(path: Path) -> int | None:
    """Return a number of bytes; None where there is no limit, or no such file."""
    text = "".join(_read_lines(path)).strip()
    return int(text) if text.isdecimal() else None


def _read_field(path: Path, name: str) -> int:
    fields = dict(line.split(" ", 1) for line in _read_lines(path) if " " in line)
    return int(fields.get(name, 0))
