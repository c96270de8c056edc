"""Disks that are full or can only be read, limits of file sizes, two processes at one folder.

The one idea: a small file system in memory is a disk that is full when we want it; who may not
mount one gets the limit of file sizes alone, and is told so.
"""

import os
import resource
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.kills import find_made, put_old, watch
from benchmarks.faults.material import (
    COMMANDS,
    Material,
    Told,
    call,
    list_leftovers,
    make_material,
    read_result,
)
from benchmarks.faults.processes import fork, load_all

PAGE = 4096
Tried = tuple[str, str | None]  # how it ended, and what is wrong with that


@dataclass(frozen=True)
class Place:
    """Where a command writes, and what was there before."""

    name: str  # of the command
    out: Path
    made: Path  # a whole result of the command

    @property
    def size(self) -> int:
        """The bytes of a whole result, in pages."""
        files = [self.made] if self.made.is_file() else self.made.rglob("*")
        return sum(-(-file.stat().st_size // PAGE) * PAGE for file in files if file.is_file())


def try_shortages(folder: Path) -> list[str]:
    """Try each shortage on each command; return lines of a report."""
    shutil.rmtree(folder, ignore_errors=True)
    load_all()
    assert fork(lambda: _prepare(folder / "material")) == 0, "the material was not made"
    material = Material(folder / "material")
    for name in COMMANDS:
        watch(name, material, folder / "whole" / name)
    tries: dict[str, Callable[[Material, Place], Tried]] = {
        "a limit of file sizes": _limit,
        "two at once": _run_two,
    }
    if can_mount(folder):
        tries |= {
            "a full disk": _fill,
            "a full disk, nothing there": _fill_empty,
            "a disk that can be read only": _lock,
        }
    lines = []
    for sort, attempt in tries.items():
        faults, ends = [], Counter[str]()
        for name in COMMANDS:
            made = find_made(folder / "whole" / name)
            place = folder / "tried"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            ended, wrong = attempt(material, Place(name, place / name, made))
            ends[ended] += 1
            if wrong:
                faults.append(f"  {name}: {wrong}")
                print(f"{sort}: {faults[-1]}", file=sys.stderr, flush=True)
        told = ", ".join(f"{count} {ended}" for ended, count in ends.most_common())
        lines += [f"shortages: {sort}: {told}; {len(faults)} faults", *faults]
    if not can_mount(folder):
        lines.append("shortages: NO FULL DISK WAS TRIED: nothing may be mounted here (be root)")
    return lines


def _prepare(folder: Path) -> int:
    make_material(folder)
    return 0


def can_mount(folder: Path) -> bool:
    """Tell whether a small file system can be mounted."""
    place = folder / "mounted"
    place.mkdir(exist_ok=True)
    try:
        with _mount(place, 1 << 20):
            return True
    except (subprocess.CalledProcessError, FileNotFoundError):
        return False


@contextmanager
def _mount(place: Path, size: int) -> Iterator[None]:
    subprocess.run(
        ("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place),
        check=True,
        capture_output=True,
    )
    try:
        yield
    finally:
        subprocess.run(("umount", place), check=True)


def _listen(work: Callable[[], Told], said: Path) -> Told:
    """Run a command in a copy of this process; return what it said."""

    def write() -> int:
        told = work()
        said.write_text(told.error)
        return told.code

    code = fork(write)
    return Told(code, "", said.read_text() if said.exists() else "")


def _judge(told: Told, place: Place, before: dict[str, Any], word: str) -> Tried:
    # One that needed less than there was goes on.
    return ("refused", _find_wrong(told, place, before, word)) if told.code else ("went on", None)


def _find_wrong(told: Told, place: Place, before: dict[str, Any], word: str) -> str | None:
    shown = f"exit {told.code}: {told.error.strip()[-300:]}"
    if told.code != 3 or told.error.count("error: ") != 1 or word not in told.error:
        return shown
    if left := list_leftovers(place.out.parent):
        return f"left {left}; {shown}"
    now = _read(place.out.parent)
    has_begun = place.name == "sweep" and not before  # and goes on from there
    return None if now == before or has_begun else f"what was there is changed; {shown}"


def _read(folder: Path) -> dict[str, Any]:
    return {path.name: read_result(path) for path in folder.iterdir() if path.name[0] != "."}


def _run(material: Material, place: Place) -> Told:
    return call(material.fill(COMMANDS[place.name], place.out))


def _fill(material: Material, place: Place, *, has_old: bool = True) -> Tried:
    """There is room for the old result and a part of the new."""
    said = place.out.parent.with_name("said")
    room = place.size * (has_old or place.name == "roles") + place.size // 3
    with _mount(place.out.parent, max(room // PAGE, 1) * PAGE):
        put_old(place.name, material, place.out, has_old=has_old, whole=place.made)
        before = _read(place.out.parent)
        told = _listen(lambda: _run(material, place), said)
        return _judge(told, place, before, "the disk is full")


def _fill_empty(material: Material, place: Place) -> Tried:
    return _fill(material, place, has_old=False)


def _lock(material: Material, place: Place) -> Tried:
    """The disk can be read only."""
    said = place.out.parent.with_name("said")
    with _mount(place.out.parent, 64 << 20):
        put_old(place.name, material, place.out, has_old=True, whole=place.made)
        before = _read(place.out.parent)
        subprocess.run(("mount", "-o", "remount,ro", place.out.parent), check=True)
        told = _listen(lambda: _run(material, place), said)
        if told.code == 0:
            return "went on", "exit 0 on a disk that can be read only"
        return _judge(told, place, before, "the disk can be read only")


def _limit(material: Material, place: Place) -> Tried:
    """No file may be as large as the largest of the result."""
    files = (
        [place.made] if place.made.is_file() else [f for f in place.made.rglob("*") if f.is_file()]
    )
    most = max(file.stat().st_size for file in files) * 2 // 3
    said = place.out.parent.with_name("said")
    put_old(place.name, material, place.out, has_old=True, whole=place.made)
    before = _read(place.out.parent)

    def run() -> Told:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
        told = _run(material, place)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        return told

    told = _listen(run, said)
    return _judge(told, place, before, "a file grew beyond the limit")


def _run_two(material: Material, place: Place) -> Tried:
    """Two processes write one result at the same time: it is whole, and each says how it ended."""
    put_old(place.name, material, place.out, has_old=place.name == "roles", whole=place.made)
    saids = [place.out.parent.with_name(f"said-{number}") for number in range(2)]
    processes = []
    for said in saids:
        process = os.fork()
        if process == 0:
            told = _run(material, place)
            said.write_text(told.error)
            os._exit(told.code)
        processes.append(process)
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    told = " | ".join(said.read_text().strip()[-200:] for said in saids if said.exists())
    ended, shown = "both done" if codes == [0, 0] else "one refused", f"exits {codes}: {told}"
    if 0 not in codes or not {*codes} <= {0, 1} or "unexpected" in told:
        return ended, shown
    if left := list_leftovers(place.out.parent):
        return ended, f"left {left}; {shown}"
    same = read_result(find_made(place.out)) == read_result(place.made)
    return ended, None if same else f"another result; {shown}"
