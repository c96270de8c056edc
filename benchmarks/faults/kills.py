"""Commands that are ended at random moments, and what they leave.

The one idea: a moment is either a time or a change to a file, drawn by the seed, since most of the
time of a command passes far from any file. What is there afterwards is held against what a run
leaves that nobody disturbed.
"""

import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.faults.material import (
    COMMANDS,
    Material,
    call,
    list_leftovers,
    make_material,
    read_result,
)
from benchmarks.faults.processes import fork, load_all

# Half of all ends are by SIGKILL at a change to a file, the others at any time.
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
_CHANGES = {
    "open",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.remove",
    "os.link",
    "shutil.rmtree",
    "shutil.copytree",
    "os.chmod",
    "tempfile.mkdtemp",
}


@dataclass(frozen=True)
class Whole:
    """What a command does when nobody disturbs it."""

    result: dict[str, Any]
    seconds: float
    n_changes: int


@dataclass(frozen=True)
class Moment:
    """When and how a command is ended, and whether there is an earlier result in the way."""

    command: str
    by: signal.Signals
    change: int | None  # the number of the change to a file, or
    share: float  # how much of its time has passed
    has_old: bool


def try_kills(n_kills: int, seed: int, folder: Path) -> list[str]:
    """End commands at moments; return lines of a report."""
    shutil.rmtree(folder, ignore_errors=True)
    load_all()
    status = fork(lambda: _prepare(folder / "material"))
    assert status == 0, "the material was not made"
    material = Material(folder / "material")
    random = Random(seed)
    whole = {name: watch(name, material, folder / "whole" / name) for name in COMMANDS}
    ends: Counter[str] = Counter()
    faults = []
    for number in range(n_kills):
        moment = _draw(random, [*COMMANDS][number % len(COMMANDS)], whole)
        ended, wrong = _try(moment, material, folder / "tried", whole[moment.command])
        ends[ended] += 1
        if wrong:
            faults.append(f"  {number}: {moment}: {wrong}")
            print(faults[-1], file=sys.stderr, flush=True)
    told = ", ".join(f"{count} {name}" for name, count in ends.most_common())
    return [
        f"kills: {n_kills} moments of {len(COMMANDS)} commands: {told}; {len(faults)} faults",
        *faults,
    ]


def _prepare(folder: Path) -> int:
    make_material(folder)
    return 0


def _run(name: str, material: Material, out: Path) -> int:
    return call(material.fill(COMMANDS[name], out)).code


def watch(name: str, material: Material, out: Path) -> Whole:
    """Run a command to its end, and count the changes that it makes to files."""
    out.parent.mkdir(parents=True, exist_ok=True)
    put_old(name, material, out, has_old=name == "roles")
    counted = out.parent.with_name(f"{name}.count")
    start = time.perf_counter()

    def work() -> int:
        n_changes = _count_changes(out.parent, lambda _: None)
        code = _run(name, material, out)
        counted.write_text(str(n_changes()))
        return code

    assert fork(work) == 0, name
    seconds = time.perf_counter() - start
    whole = Whole(read_result(find_made(out)), seconds, int(counted.read_text()))
    counted.unlink()
    return whole


def find_made(out: Path) -> Path:
    """Return the file or folder that a command wrote, which may have put a suffix to its name."""
    if out.exists():
        return out
    return next(
        path for path in sorted(out.parent.iterdir()) if path.name.partition(".")[0] == out.name
    )


def _count_changes(folder: Path, tell: Callable[[int], None]) -> Callable[[], int]:
    """Count changes to files beside the output from now on; each is told before it is made."""
    count, within = 0, str(folder)

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in _CHANGES or within not in str(arguments[0]):
            return
        if event == "open" and not (
            isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            return
        count += 1
        tell(count)

    sys.addaudithook(hear)
    return lambda: count


def _draw(random: Random, command: str, whole: dict[str, Whole]) -> Moment:
    at_change = random.random() < 0.5
    return Moment(
        command,
        signal.SIGKILL if at_change else random.choice(_SIGNALS),
        random.randint(1, max(1, whole[command].n_changes)) if at_change else None,
        random.random(),
        random.random() < 0.5 or command == "roles",
    )


def put_old(
    name: str, material: Material, out: Path, *, has_old: bool, whole: Path | None = None
) -> None:
    """Put an earlier result where a command writes; that of `roles` is the run that it changes."""
    if name == "roles":
        shutil.copytree(material.folder / "run", out)
    elif has_old and whole is not None:
        made = find_made(whole)
        place = out.with_name(made.name)
        shutil.copytree(made, place) if made.is_dir() else shutil.copy(made, place)


def _try(moment: Moment, material: Material, folder: Path, whole: Whole) -> tuple[str, str | None]:
    """End a command; return how it ended, and what is wrong with what it leaves."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    out = folder / moment.command
    made = folder.parent / "whole" / moment.command
    put_old(moment.command, material, out, has_old=moment.has_old, whole=made)
    before = _read_all(folder)
    ended = _end(moment, material, out, whole)
    wrong = _check_left(moment, out, before, whole) or _check_rerun(moment, material, out, whole)
    return ended, wrong and f"{ended}, {wrong}"


def _check_rerun(moment: Moment, material: Material, out: Path, whole: Whole) -> str | None:
    """Run the command again; say what is not as if nobody had disturbed it."""
    code = fork(lambda: _run(moment.command, material, out))
    if code:
        return (
            f"the rerun ends with {code}; there is {sorted(p.name for p in out.parent.iterdir())}"
        )
    if left := list_leftovers(out.parent):
        return f"leftovers after the rerun: {left}"
    after = read_result(find_made(out))
    return _name_differing("after the rerun another", after, whole.result)


def _name_differing(words: str, found: dict[str, Any], whole: dict[str, Any]) -> str | None:
    names = [name for name in {*found, *whole} if found.get(name) != whole.get(name)]
    return f"{words} {sorted(names)[:5]}" if names else None


def _end(moment: Moment, material: Material, out: Path, whole: Whole) -> str:
    process = os.fork()
    if process == 0:
        if moment.change is not None:
            _count_changes(out.parent, lambda count: _kill_at(count, moment))
        signal.signal(signal.SIGTERM, _raise_terminated)
        os._exit(_run_quietly(moment, material, out))
    if moment.change is None:
        time.sleep(moment.share * whole.seconds)
        os.kill(process, moment.by)
    _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    return (
        "ran to the end"
        if code == 0
        else f"by {moment.by.name}" + ("" if code < 0 else f" with {code}")
    )


def _raise_terminated(*_: Any) -> None:
    from gpu_coord.cli.errors import TerminatedError

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise TerminatedError


def _run_quietly(moment: Moment, material: Material, out: Path) -> int:
    try:
        return _run(moment.command, material, out)
    except KeyboardInterrupt:
        return 130
    except BaseException:  # noqa: BLE001 - as SIGTERM comes
        return 143


def _kill_at(count: int, moment: Moment) -> None:
    if count == moment.change:
        os.kill(os.getpid(), signal.SIGKILL)


def _read_all(folder: Path) -> dict[str, Any]:
    return {path.name: read_result(path) for path in folder.iterdir() if path.name[0] != "."}


def _check_left(moment: Moment, out: Path, before: dict[str, Any], whole: Whole) -> str | None:
    """Say what is there that is neither the old result nor the new one, whole."""
    now = _read_all(out.parent)
    if now == before or moment.command == "sweep":  # which goes on from where it was
        return None
    if not now and before:
        asides = list_leftovers(out.parent)
        return None if any(".old-" in name for name in asides) else "the old result is gone"
    found = next(iter(now.values()))
    return _name_differing("neither the old result nor the new, by", found, whole.result)
