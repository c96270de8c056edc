"""Files with something wrong in them, of every sort that is read, through the command line.

The one idea: the number of an input and the seed say all about it, so that each can be had again
(`GPU_COORD_CASE=N`); a process of its own tries them, so that one that ends it is found as well.
"""

import bz2
import faulthandler
import gzip
import io
import json
import lzma
import os
import re
import resource
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.faults import mutations
from benchmarks.faults.material import (
    COMMANDS,
    RESULTS,
    Material,
    call,
    list_leftovers,
    make_material,
)

MOST_SECONDS, MOST_WALL, MOST_GIGABYTES = 20, 240, 4.0
_FULL = 9  # how a process ends that has held too much
SHOWN = 40  # faults that are told in full


@dataclass(frozen=True)
class Case:
    """One input: what was done to what, the command, and what is known of the outcome."""

    name: str
    words: list[str]
    n_records: int | None = None  # where every record is still one


class _TooLongError(BaseException):
    pass


# --- what is read --------------------------------------------------------------------------------


def list_files() -> dict[str, bytes]:
    """Return a small file of each layout and form, by name."""
    from tests.exported import CASES
    from tests.test_layouts import OTHERS

    found = {f"{case.layout}{case.suffix}": case.write() for case in CASES}
    found |= {f"other {n}.csv": content for n, content in enumerate(OTHERS)}
    for case in CASES:
        if case.is_json:
            found[f"{case.layout} list.json"] = json.dumps(list(case.records)).encode()
            found[f"{case.layout} document.json"] = json.dumps({"data": case.records}).encode()
    shares = OTHERS[0]
    return found | {
        "shares.parquet": _write_frame(shares, "write_parquet"),
        "shares.arrow": _write_frame(shares, "write_ipc"),
        "shares.jsonl": _write_frame(shares, "write_ndjson"),
        "users.csv": b"userid,user_display_name,account_creation_date,follower_count,"
        b"following_count,account_language\na,x,2019-01-01,1,2,en\nb,y,2019-01-02,3,4,de\n",
        "toolkit.sqlite": _write_database(),
    }


def _write_frame(content: bytes, method: str) -> bytes:
    import polars as pl

    out = io.BytesIO()
    getattr(pl.read_csv(content, infer_schema=False), method)(out)
    return out.getvalue()


def _write_database() -> bytes:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(
            "CREATE TABLE edge (message_id, user_id, username, repost_id, reply_id, message,"
            " timestamp);CREATE TABLE message_url (message_id, url);"
            "INSERT INTO edge VALUES (1, 11, 'one', NULL, 5, 'see', 1600000000);"
            "INSERT INTO edge VALUES (2, 12, 'two', 1, NULL, 'see', 1600000000);"
            "INSERT INTO message_url VALUES (1, 'https://a.example/1');"
        )
        return bytes(database.serialize())


def _pack_zip(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.csv", content)
        packed.writestr("folder/b.csv", content)
    return out.getvalue()


def _pack_zstandard(content: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.compress(content, "zstd", asbytes=True))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda content: gzip.compress(content, 1, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstandard": _pack_zstandard,
    "zip": _pack_zip,
}
_INGEST = (
    "",
    "",
    "",
    "--texts",
    "--url-rule paper",
    "--time stamp",
    "--split ;",
    "--map account_id=id,object_id=text,timestamp_share=created_at",
)


def draw_file(files: dict[str, bytes], random: Random, folder: Path) -> Case:
    """Draw an archive that is damaged, perhaps packed, perhaps damaged when it was packed."""
    name = random.choice(sorted(files))
    act, content, is_whole = _damage(name, files[name], random)
    n_records = _count_records(name, content) if is_whole else None
    if random.random() < 0.25:
        packer = random.choice(sorted(PACKERS))
        content, act = PACKERS[packer](content), f"{act}, {packer}"
        n_records = None if packer == "zip" else n_records
        if random.random() < 0.6:
            content, n_records = mutations.damage_bytes(content, random), None
            act += ", damaged"
    path = folder / f"file{Path(name).suffix}"
    path.write_bytes(content)
    command = f"ingest {path} --store {folder / 'out'} --max-rejects 1 {random.choice(_INGEST)}"
    if random.random() < 0.1:
        command, n_records = f"columns {path}", None
    if "--map" in command:
        n_records = None
    return Case(f"archive ({Path(name).suffix[1:]})", command.split(), n_records)


def _damage(name: str, content: bytes, random: Random) -> tuple[str, bytes, bool]:
    """Return what was done, the bytes, and whether records are still told apart as they were."""
    sort = Path(name).suffix
    if sort == ".csv":
        acts: tuple[Any, ...] = (mutations.damage_cells, mutations.damage_columns, *_ANY)
    elif sort in (".jsonl", ".json"):
        acts = (mutations.damage_json, mutations.damage_json, *_ANY)
    elif sort == ".parquet" and random.random() < 0.7:
        return "other columns", _change_table(content, random), False
    else:
        acts = (mutations.damage_bytes,)
    act = random.choice(acts)
    is_whole = sort == ".csv" and act is mutations.damage_cells
    return act.__name__, act(content, random), is_whole


_ANY = (mutations.damage_bytes, mutations.damage_lines)


def _change_table(content: bytes, random: Random) -> bytes:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".parquet", dir=_MEMORY) as file:
        path = Path(file.name)
        path.write_bytes(content)
        mutations.damage_table(path, random)
        return path.read_bytes()


def _count_records(name: str, content: bytes) -> int | None:
    """Return the records of a table whose header was left alone; None where that is unknown."""
    import csv

    text = content.decode(errors="replace")
    if "\0" in text or "\r" in text.replace("\r\n", ""):
        return None
    rows = list(csv.reader(io.StringIO(text, newline="")))
    return sum(1 for row in rows[1:] if row) if rows else None


_USERS = "evaluate @run --users @operators.csv --controls @controls.csv --resamples 0"
# Small files: which option of which command takes them.
SMALL: dict[str, tuple[str, ...]] = {
    "key.txt": (COMMANDS["ingest"],),
    "exclude.txt": (COMMANDS["ingest"],),
    "persons.csv": (COMMANDS["ingest"],),
    "persons.parquet": (COMMANDS["ingest"],),
    "labels.csv": (
        COMMANDS["ingest"],
        "cohorts @store --labels @labels.csv --min-accounts 1 --out OUT",
    ),
    "labels.parquet": (
        COMMANDS["ingest"],
        "cohorts @store --labels @labels.csv --min-accounts 1 --out OUT",
        "cascades @store --labels @labels.csv --kind url --min-shares 1 --inside other --out OUT",
    ),
    "truth.csv": (
        "evaluate @run --truth @truth.csv --resamples 0",
        COMMANDS["sweep"],
        COMMANDS["compare"],
    ),
    "truth.parquet": ("evaluate @run --truth @truth.csv --resamples 0", COMMANDS["compare"]),
    "operators.csv": (_USERS,),
    "controls.csv": (_USERS,),
    "seeds.txt": (COMMANDS["cycle"],),
    "seeds.csv": (COMMANDS["cycle"],),
    "seeds.parquet": (COMMANDS["cycle"],),
    "grid.toml": (COMMANDS["sweep"],),
}


def draw_small(material: Material, random: Random, folder: Path) -> Case:
    """Draw a small file that is damaged, and a command that is given it."""
    import polars as pl

    name = random.choice(sorted(SMALL))
    stem, suffix = name.split(".")
    path = folder / name
    if suffix == "parquet":
        source = "labels" if stem in ("labels", "truth") else stem
        table = (
            pl.DataFrame({"kind": ["url"], "value": ["site.example/0"]})
            if stem == "seeds"
            else pl.read_csv(material.folder / f"{source}.csv", infer_schema=False)
        )
        table.write_parquet(path)
        if random.random() < 0.6:
            mutations.damage_table(path, random)
        else:
            path.write_bytes(mutations.damage_bytes(path.read_bytes(), random))
    else:
        content = (
            b"kind,value\nurl,site.example/0\nhashtag,tag1\n"
            if name == "seeds.csv"
            else (material.folder / name).read_bytes()
        )
        more = (mutations.damage_cells, mutations.damage_columns) if suffix == "csv" else ()
        path.write_bytes(random.choice((*_ANY, *more))(content, random))
    line = random.choice(SMALL[name])
    return Case(name, material.fill(line, folder / "out", **{stem: path}))


# Commands that read a folder; FOLDER is the damaged one.
READ: dict[str, tuple[str, ...]] = {
    "store": (
        "verify FOLDER",
        "detect FOLDER --out OUT --kinds url --groups 0",
        "share FOLDER --out OUT --kind url",
        "timeline FOLDER #tag0 --kind hashtag --out OUT.csv",
        "cohorts FOLDER --min-accounts 1 --out OUT",
        "cascades FOLDER --kind url --min-shares 1 --out OUT",
        "model FOLDER --kinds url --min-support 1 --out OUT",
        "cycle FOLDER --seeds @seeds.txt --kind url --min-weight 1 --out OUT",
        "transplant FOLDER --into @store --kinds url --min-events 1 --out OUT",
        "sweep FOLDER @grid.toml --out OUT",
        "report @shared --store FOLDER --out OUT.html",
        "roles @run --store FOLDER",
        "ingest @tweets.csv @users.csv --store FOLDER --labels @labels.csv --texts",
    ),
    "run": (
        "verify FOLDER",
        "show FOLDER",
        "show FOLDER groups",
        "show FOLDER accounts",
        "show FOLDER objects --json",
        "show FOLDER edges --format csv",
        "show FOLDER --account 1001",
        "explain FOLDER 1001 1002",
        "report FOLDER --store @store --out OUT.html",
        "roles FOLDER --store @store",
        "evaluate FOLDER --truth @truth.csv --resamples 0",
        "cascades @store --kind url --run FOLDER --out OUT",
        "cohorts @store --min-accounts 1 --run FOLDER --out OUT",
        "report @shared FOLDER --store @store --out OUT.html",
        "model @store --kinds url --candidates FOLDER --out OUT",
        "timeline @store #tag0 --run FOLDER --out OUT.json",
        COMMANDS["detect"].replace("OUT", "FOLDER"),
    ),
    "shared": (
        "verify FOLDER",
        "show FOLDER",
        "show FOLDER objects",
        "explain FOLDER 1001 1002",
        "report FOLDER --store @store --out OUT.html",
        "roles FOLDER --store @store",
        "timeline @store #tag0 --run FOLDER --out OUT.svg",
    ),
    "model": (
        "verify FOLDER",
        "roles @run --store @store --model FOLDER",
        "report @shared FOLDER --store @store --out OUT.html",
        COMMANDS["model"].replace("OUT", "FOLDER"),
    ),
    **{
        name: (
            "verify FOLDER",
            "report @shared FOLDER --store @store --out OUT.html",
            COMMANDS[name].replace("OUT", "FOLDER"),
        )
        for name in ("cycle", "cascades", "cohorts", "sweep", "coact")
    },
}


def draw_folder(material: Material, random: Random, folder: Path) -> Case:
    """Draw a result in which one file is damaged, and a command that reads it."""
    name = random.choice(sorted(READ))
    damaged = folder / name
    shutil.copytree(material.folder / name, damaged)
    files = sorted(file for file in damaged.rglob("*") if file.suffix in (".parquet", ".json"))
    markers = [file for file in files if file.suffix == ".json" and file.parent == damaged]
    path = random.choice(files if random.random() < 0.6 else markers)
    if path.suffix == ".json":
        act = random.choice((mutations.damage_json, mutations.damage_json, mutations.damage_bytes))
        path.write_bytes(act(path.read_bytes(), random))
    elif random.random() < 0.7:
        mutations.damage_table(path, random)
    else:
        path.write_bytes(mutations.damage_bytes(path.read_bytes(), random))
    line = random.choice(READ[name]).replace("FOLDER", str(damaged))
    if "roles @run" in line:  # which writes there
        shutil.copytree(material.folder / "run", folder / "run")
        line = line.replace("@run", str(folder / "run"))
    return Case(f"{name}/{path.name}", material.fill(line, folder / "out"))


# --- the trial -----------------------------------------------------------------------------------

_MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


@dataclass(frozen=True)
class Trial:
    """All that inputs are drawn from."""

    files: dict[str, bytes]
    material: Material
    folder: Path
    seed: int

    def draw(self, number: int) -> Case:
        """Write the input of a number; return what is to be done with it."""
        random = Random(f"{self.seed}:{number}")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        chance = random.random()
        if chance < 0.5:
            return draw_file(self.files, random, self.folder)
        draw = draw_small if chance < 0.7 else draw_folder
        return draw(self.material, random, self.folder)


def _raise_too_long(*_: object) -> None:
    raise _TooLongError


def judge(case: Case, folder: Path) -> tuple[str, str | None]:
    """Run a case; return how it ended, and what is wrong with that."""
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        told = call(case.words)
    except _TooLongError:
        return "hang", f"more than {MOST_SECONDS} CPU seconds"
    except BaseException as error:  # noqa: BLE001 - whatever gets through is what is looked for
        return "traceback", f"{type(error).__name__}: {error}\n{_place(error)}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    ended = f"exit {told.code}"
    if told.code not in (0, 1):
        return ended, f"exit {told.code}: {told.error[-300:]}"
    if re.search(
        "Traceback|unexpected|please report|report this|panicked", told.error + told.output
    ):
        return ended, f"{told.error[-300:]}\n{explain(case.words)}"
    if told.code == 1 and len(re.findall(r"^error: ", told.error, re.MULTILINE)) != 1:
        return ended, f"no one sentence: {told.error[-300:]}"
    return ended, _check_outcome(case, told.code, folder)


def explain(words: list[str]) -> str:
    """Return where an error comes from, which the command does not say without being asked."""
    try:
        call([*words, "--debug"])
    except BaseException as error:  # noqa: BLE001 - also what is no `Exception`
        return _place(error)
    return ""


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "gpu_coord" in frame.filename][-3:]
    shown = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in ours]
    return f"  at {' > '.join(shown)}: {type(error).__name__}"


def _check_outcome(case: Case, code: int, folder: Path) -> str | None:
    out = folder / "out"
    if leftovers := list_leftovers(folder):
        return f"left behind: {leftovers}"
    if code:
        # What could not be shown is there, if it is whole; a sweep that was stopped goes on.
        is_whole = (
            case.words[0] == "sweep" or not out.exists() or call(["verify", str(out)]).code == 0
        )
        return None if is_whole else f"{out.name} is there after a failure, and not whole"
    if case.words[0] != "ingest" or not out.exists():
        return None
    from gpu_coord.store.store import open_store, verify_store

    try:
        verify_store(out)
    except ValueError as error:
        return f"does not add up: {error}"
    if case.n_records is not None:
        totals = open_store(out).manifest
        n_read = totals["totals"]["rows_read"] + totals["users"]["rows_read"]
        if n_read != case.n_records:
            return f"{n_read} rows read of {case.n_records}"
    return None


def work(first: int, last: int, seed: int, folder: Path) -> None:
    """Try inputs by number, and print a line of JSON for each outcome that is wrong, and counts."""
    faulthandler.dump_traceback_later(MOST_WALL, exit=True)
    signal.signal(signal.SIGPROF, _raise_too_long)
    warnings.simplefilter("ignore")
    trial = Trial(list_files(), Material(folder / "material"), folder / "tried", seed)
    ends: Counter[str] = Counter()
    for number in range(first, last):
        (folder / "number").write_text(str(number))
        faulthandler.dump_traceback_later(MOST_WALL, exit=True)
        case = trial.draw(number)
        ended, fault = judge(case, trial.folder)
        ends[f"{case.name.split('/')[0]}: {ended}"] += 1
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        if held > MOST_GIGABYTES:
            fault = f"{held:.1f} GB"
        if fault:
            words = " ".join(case.words).replace(str(folder), "")
            print(
                json.dumps({"number": number, "name": case.name, "words": words, "fault": fault}),
                flush=True,
            )
        if number % 200 == 199 or number == last - 1 or held > MOST_GIGABYTES:
            print(json.dumps({"ends": ends, "held": held}), flush=True)
            ends.clear()
        if held > MOST_GIGABYTES:  # the peak of a process never falls
            os._exit(_FULL)


def try_inputs(n_inputs: int, seed: int, folder: Path) -> list[str]:
    """Try inputs in processes of their own; return lines of a report."""
    prepare(folder)
    ends: Counter[str] = Counter()
    faults: list[dict[str, Any]] = []
    number, start, held = 0, time.perf_counter(), 0.0
    while number < n_inputs:
        for told in _listen(number, n_inputs, seed, folder):
            ends.update(told.get("ends", {}))
            held = max(held, told.get("held", 0.0))
            if "fault" in told:
                faults.append(told)
        reached = int((folder / "number").read_text())
        if reached < n_inputs - 1 and (not faults or faults[-1]["number"] != reached):
            faults.append(
                {"number": reached, "name": "?", "words": "", "fault": "ended the process"}
            )
        number = reached + 1
    minutes = (time.perf_counter() - start) / 60
    return [*_write_ends(ends, n_inputs, minutes, held), *_write_faults(faults)]


def try_one(number: int, seed: int, folder: Path) -> list[str]:
    """Try the input of a number again; return where it lies, and what came of it."""
    prepare(folder)
    signal.signal(signal.SIGPROF, _raise_too_long)
    trial = Trial(list_files(), Material(folder / "material"), folder / "tried", seed)
    case = trial.draw(number)
    ended, fault = judge(case, trial.folder)
    return [f"gpu-coord {shlex.join(case.words)}", f"{ended}; {fault or 'no fault'}"]


def prepare(folder: Path) -> None:
    """Make every result that is going to be damaged, as the program makes it now."""
    shutil.rmtree(folder, ignore_errors=True)
    made = make_material(folder / "material")
    for name in READ.keys() - RESULTS.keys():
        told = call(made.fill(COMMANDS[name], made.folder / name))
        assert told.code == 0, (name, told.error)


def _listen(first: int, last: int, seed: int, folder: Path) -> Iterator[dict[str, Any]]:
    words = (
        sys.executable,
        "-m",
        "benchmarks.faults.fuzz",
        str(first),
        str(last),
        str(seed),
        str(folder),
    )
    with (
        (folder / "errors.txt").open("a") as errors,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):  # a library may print as it ends the process
                with (folder / "told.jsonl").open("a") as file:  # to look at while it goes on
                    file.write(line)
                yield json.loads(line)
    if process.returncode == 1:  # it is the trial that is wrong
        raise SystemExit((folder / "errors.txt").read_text()[-2000:])


def _write_ends(ends: Counter[str], n_inputs: int, minutes: float, held: float) -> list[str]:
    by_end: Counter[str] = Counter()
    for name, count in ends.items():
        by_end[name.rpartition(": ")[2]] += count
    told = ", ".join(f"{count:,} {name}" for name, count in by_end.most_common())
    return [f"fuzz: {n_inputs:,} damaged inputs in {minutes:.0f} min: {told}; peak {held:.1f} GB"]


def _write_faults(faults: list[dict[str, Any]]) -> list[str]:
    kinds: dict[str, list[dict[str, Any]]] = {}
    for each in faults:
        place = re.search(r"  at .*", each["fault"])
        key = place[0] if place else re.sub(r"[0-9]+|'[^']*'|/\S+", "#", each["fault"])[:120]
        kinds.setdefault(key, []).append(each)
    lines = [f"fuzz: {len(faults):,} faults of {len(kinds)} sorts"]
    for same in sorted(kinds.values(), key=len, reverse=True)[:SHOWN]:
        first = same[0]
        lines.append(f"  {len(same)} x, case {first['number']}, {first['name']}: {first['words']}")
        lines += [f"    {line}" for line in first["fault"].strip().splitlines()]
    return lines


if __name__ == "__main__":
    first, last, seed, folder = sys.argv[1:]
    work(int(first), int(last), int(seed), Path(folder))
