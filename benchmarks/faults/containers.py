"""Containers that are bombs, files that are none, and lines without end, each given to a command.

The one idea: what is refused must be refused in a sentence, soon and in little memory; what is read
must be read in memory that has nothing to do with what the container promises.
"""

import gzip
import io
import os
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.material import (
    COMMANDS,
    Material,
    list_leftovers,
    make_material,
)
from benchmarks.faults.processes import fork, load_all, start

MOST_SECONDS, MOST_GIGABYTES = 120, 3.0  # of CPU; of memory
MOST_WALL = 1200
HEADER = b"account_id,object_id,content_id,timestamp_share\n"
ROW = b"a,x,1,1600000000\n"
GIGABYTE = 1 << 30
N_DEEP = 2_000_000
N_MEMBERS = 6_000


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    said: str
    seconds: float
    gigabytes: float


def try_containers(folder: Path) -> list[str]:
    """Try all of them; return lines of a report."""
    shutil.rmtree(folder, ignore_errors=True)
    load_all()
    assert fork(lambda: _prepare(folder / "material")) == 0, "the material was not made"
    material = Material(folder / "material")
    faults, n_tried, worst, slowest = [], 0, 0.0, 0.0
    for name, words in _list_trials(material, folder / "tried"):
        done = run_bounded(words, folder / "said")
        n_tried += 1
        worst, slowest = max(worst, done.gigabytes), max(slowest, done.seconds)
        if wrong := _judge(done, folder / "tried"):
            faults.append(f"  {name}: {wrong}")
        shown = f"{name}: exit {done.code}, {done.seconds:.1f} CPU s, {done.gigabytes:.2f} GB"
        print(f"{shown}{' FAULT' * bool(wrong)}: {done.said[-300:]}", file=sys.stderr, flush=True)
    return [
        f"containers: {n_tried} tried, {len(faults)} faults; at most {slowest:.0f} CPU s and "
        f"{worst:.1f} GB",
        *faults,
        *_measure_members(folder / "tried"),
    ]


def _prepare(folder: Path) -> int:
    make_material(folder)
    return 0


def _judge(done: Outcome, folder: Path) -> str | None:
    shown = (
        f"exit {done.code}, {done.seconds:.0f} CPU s, {done.gigabytes:.1f} GB: {done.said[-400:]}"
    )
    if done.seconds > MOST_SECONDS or done.gigabytes > MOST_GIGABYTES or done.code not in (0, 1, 3):
        return shown
    if any(word in done.said for word in ("Traceback", "unexpected", "please report", "panicked")):
        return shown
    if done.code and done.said.count("error: ") != 1:
        return shown
    if folder.exists() and (left := list_leftovers(folder)):
        return f"left {left}; {shown}"
    return None


def run_bounded(words: list[str], said: Path) -> Outcome:
    """Run a command; end it where it takes more memory or time than any should."""
    process = start(words, said)
    end = time.monotonic() + MOST_WALL
    while not (is_over := _is_over(process)):
        if time.monotonic() > end or _read_memory(process) > 1.3 * MOST_GIGABYTES:
            break
        time.sleep(0.02)
    if not is_over:
        os.kill(process, signal.SIGKILL)
    _, status, usage = os.wait4(process, 0)
    code, seconds = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
    told = said.read_text().strip() if said.exists() else ""
    return Outcome(code, told, seconds, usage.ru_maxrss * 1024 / 1e9)


def _is_over(process: int) -> bool:
    """Tell whether a process has ended; what it took can still be asked for."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _read_memory(process: int) -> float:
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except (FileNotFoundError, IndexError, ProcessLookupError):
        return 0.0
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e9


def _list_trials(material: Material, folder: Path) -> Iterator[tuple[str, list[str]]]:
    makers: tuple[Callable[[Material, Path], Any], ...] = (
        _list_archives,
        _list_types,
        _list_small_files,
        _list_folders,
    )
    for make in makers:
        for name, prepare in make(material, folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            yield name, prepare()


# --- archives ------------------------------------------------------------------------------------


def _list_archives(_: Material, folder: Path) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    for name, write in ARCHIVES.items():

        def prepare(name: str = name, write: Callable[[Path], None] = write) -> list[str]:
            path = folder / "given"
            write(path)
            return ["ingest", str(path), "--store", str(folder / "out"), "--max-rejects", "1"]

        yield name, prepare


def _write_gzip(
    head: bytes, filling: bytes, tail: bytes = b"", *, size: int = 3 * GIGABYTE
) -> Callable[[Path], None]:
    """Return what writes a gzip file of one filling again and again; members follow each other."""

    def write(path: Path) -> None:
        block = filling * ((1 << 24) // len(filling))
        packed = gzip.compress(block, 9)
        with path.open("wb") as file:
            file.write(gzip.compress(head))
            for _ in range(size // len(block)):
                file.write(packed)
            file.write(gzip.compress(tail))

    return write


def _write_packed(pack: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(pack(HEADER + b'a,"'))
            block = pack(b"x" * (1 << 26))
            for _ in range(32):
                file.write(block)

    return write


def _write_zip(**members: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in members.items():
                packed.writestr(name, content)

    return write


def _write_bomb(path: Path) -> None:
    """A zip file of 3 MB whose one member is a cell of 3 GB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        with packed.open("a.csv", "w", force_zip64=True) as member:
            member.write(HEADER + b'a,"')
            for _ in range(3 * 64):
                member.write(b"x" * (1 << 24))


def _write_nested(path: Path) -> None:
    content = HEADER + ROW
    for depth in range(40):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(f"{depth}.zip" if depth else "a.csv", content)
        content = out.getvalue()
    path.write_bytes(content)


def _write_overlapping(path: Path) -> None:
    """A zip file whose 2,000 entries are all one member of 64 MB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("00000.csv", HEADER + ROW * (1 << 22))
        first = packed.filelist[0]
        for number in range(1, 2_000):
            entry = zipfile.ZipInfo(f"{number:05}.csv")
            for name in (
                "compress_type",
                "CRC",
                "compress_size",
                "file_size",
                "header_offset",
                "flag_bits",
            ):
                setattr(entry, name, getattr(first, name))
            entry.orig_filename = first.orig_filename
            packed.filelist.append(entry)
            packed.NameToInfo[entry.filename] = entry


def _write_encrypted(path: Path) -> None:
    _write_zip(**{"a.csv": HEADER + ROW})(path)
    content = bytearray(path.read_bytes())
    content[6] |= 1  # of the local header
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(content))


def _write_link(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        entry = zipfile.ZipInfo("a.csv")
        entry.external_attr = 0o120777 << 16
        packed.writestr(entry, "/etc/passwd")
        entry = zipfile.ZipInfo("device.csv")
        entry.external_attr = 0o020777 << 16
        packed.writestr(entry, b"")


def _write_traversal(path: Path) -> None:
    _write_zip(
        **{
            "../../../escaped.csv": HEADER + ROW,
            "/escaped.csv": HEADER + ROW,
            "..\\escaped.csv": HEADER + ROW,
        }
    )(path)


def _write_false_sizes(path: Path) -> None:
    """A zip file whose directory says that a member has no bytes, and one that it has 2^40."""
    _write_zip(**{"a.csv": HEADER + ROW * 1000})(path)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = (2**31).to_bytes(4, "little")
    path.write_bytes(bytes(content))


def _write_many(n_members: int) -> Callable[[Path], None]:
    return _write_zip(
        **{
            f"{number:06}.csv": HEADER + f"a{number},x,{number},1600000000\n".encode()
            for number in range(n_members)
        }
    )


def _write_bytes(content: bytes) -> Callable[[Path], None]:
    return lambda path: _keep(path.write_bytes(content))


def _keep(_: Any) -> None:
    return None


def _list_types(material: Material, folder: Path) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    """Parquet files with ids of types that few programs write, wherever one is taken."""
    lines = {
        "given": "ingest @given.csv --store OUT --max-rejects 1",
        "labels": "cohorts @store --labels @labels.csv --min-accounts 1 --out OUT",
        "truth": "evaluate @run --truth @truth.csv",
        "seeds": COMMANDS["cycle"],
    }
    for column in list_odd_columns():
        for name, line in lines.items():

            def prepare(column: Any = column, name: str = name, line: str = line) -> list[str]:
                path = folder / f"{name}.parquet"
                _write_column(path, column)
                return material.fill(line, folder / "out", **{name: path})

            yield f"{name} with ids of the type {column.type}", prepare


def _write_column(path: Path, column: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    times = pa.array([1_600_000_000, 1_600_000_060])
    same = {"object_id": column, "value": column, "label": pa.array(["x", "y"])}
    pq.write_table(pa.table({"account_id": column, "timestamp_share": times} | same), path)


def list_odd_columns() -> list[Any]:
    """Return columns of two rows of types that few programs write to Parquet."""
    from decimal import Decimal

    import pyarrow as pa

    found = [
        pa.array([b"a", b"\xff"]),
        pa.array([{"a": 1}, None]),
        pa.array([[1], []]),
        pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        pa.array([None, None]),
        pa.array([b"1234", b"abcd"], pa.binary(4)),
        pa.array([1.5, float("nan")], pa.float16()),
        pa.array([Decimal("1.1"), None], pa.decimal256(40, 2)),
        pa.array(["a", "b"]).dictionary_encode(),
        pa.array([1, 2], pa.time64("ns")),
        pa.array([1, 2], pa.duration("us")),
        pa.array(["a", "b"], pa.string_view()),
        pa.array([[[1]], [[2]]]),
        pa.array([1, 2], pa.date32()),
        pa.array([True, None]),
        pa.array([1, 2**40], pa.timestamp("ns", "Asia/Tokyo")),
        pa.array([1, 2**40], pa.timestamp("s")),
        pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)),
        pa.array([2**64 - 1, 0], pa.uint64()),
    ]
    return found


def _write_parquet_bomb(path: Path) -> None:
    """A Parquet file of some kilobytes: a text of 100 kB, 100 million times."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    n_rows, word = 1 << 22, "x" * 100_000
    index = pa.array(memoryview(bytes(4 * n_rows)).cast("i"), pa.int32())
    same = pa.DictionaryArray.from_arrays(index, pa.array([word]))
    names = ["account_id", "object_id", "content_id", "timestamp_share"]
    times = pa.array(memoryview(bytes(8 * n_rows)).cast("q"), pa.int64())
    table = pa.Table.from_arrays([same, same, same, times], names)
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(8):
            writer.write_table(table)


def _write_long_header(path: Path) -> None:
    path.write_bytes(b",".join(b"c%d" % number for number in range(2_000_000)) + b"\n")


def _write_link_loop(path: Path) -> None:
    path.mkdir()
    (path / "self").symlink_to(path)
    (path / "root").symlink_to("/")
    (path / "zero.csv").symlink_to("/dev/zero")
    (path / "lost.csv").symlink_to(path / "nowhere")
    os.mkfifo(path / "pipe.csv")
    (path / "shares.csv").write_bytes(HEADER + ROW)


def _write_arrow_bomb(path: Path) -> None:
    import pyarrow as pa

    word = pa.array(["x" * 100_000])
    index = pa.array(memoryview(bytes(4 << 20)).cast("i"), pa.int32())
    same = pa.DictionaryArray.from_arrays(index, word)
    names = ["account_id", "object_id", "content_id", "timestamp_share"]
    times = pa.array(memoryview(bytes(8 << 20)).cast("q"), pa.int64())
    table = pa.Table.from_arrays([same, same, same, times], names)
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)


_DEEP = b"[" * N_DEEP + b"]" * N_DEEP
_DEEP_OBJECT = b'{"account_id": "a", "object_id": "x", "timestamp_share": 1600000000, "kind": '
_POST = b'{"id": "1", "author_id": "1", "created_at": "2020-01-01T00:00:00.000Z", "text": '
ARCHIVES: dict[str, Callable[[Path], None]] = {
    "gzip: a JSON line of 3 GB": _write_gzip(b'{"account_id": "', b"a"),
    "gzip: a JSON line of 3 GB behind a good one": _write_gzip(
        b'{"account_id": "a", "object_id": "x", "timestamp_share": 1}\n{"a": "', b"a"
    ),
    "gzip: a list of one record of 3 GB": _write_gzip(b'[{"id": "', b"a"),
    "gzip: a list, a good record, one of 3 GB": _write_gzip(b"[" + _POST + b'"x"}, {"id": "', b"a"),
    "gzip: a list of 3 GB of white space": _write_gzip(b"[" + _POST + b'"x"}, ', b" "),
    "gzip: 3 GB of opening brackets": _write_gzip(b"", b"["),
    "gzip: a cell of 3 GB": _write_gzip(HEADER + b'a,"', b"a"),
    "gzip: a header of 3 GB": _write_gzip(b"account_id,", b"a"),
    "gzip: 3 GB of line ends": _write_gzip(HEADER, b"\n"),
    "gzip: 3 GB of zeros": _write_gzip(b"", b"\0"),
    "bzip2: a cell of 2 GB": _write_packed(__import__("bz2").compress),
    "xz: a cell of 2 GB": _write_packed(__import__("lzma").compress),
    "zip: a cell of 3 GB": _write_bomb,
    "zip: 40 zip files in each other": _write_nested,
    "zip: 2,000 entries that are one": _write_overlapping,
    "zip: encrypted": _write_encrypted,
    "zip: a link and a device": _write_link,
    "zip: names that lead out": _write_traversal,
    "zip: false sizes": _write_false_sizes,
    "JSON line, 2 million deep": _write_bytes(_DEEP_OBJECT + _DEEP + b"}\n"),
    "JSON list, 2 million deep": _write_bytes(_DEEP),
    "JSON document, 2 million deep": _write_bytes(b'{"data": ' + _DEEP + b"}"),
    "JSON objects, 2 million deep": _write_bytes(
        _POST + b'{"a":' * N_DEEP + b"1" + b"}" * N_DEEP + b"}\n"
    ),
    "CSV cell with JSON, 2 million deep": _write_bytes(
        b'tweetid,userid,tweet_time,tweet_text,hashtags\n1,a,2020-01-01 00:00,hi,"' + _DEEP + b'"\n'
    ),
    "CSV header of 2 million columns": _write_long_header,
    "Parquet: a text of 100 kB, 33 million times": _write_parquet_bomb,
    "Arrow: a text of 100 kB, a million times": _write_arrow_bomb,
    "folder with loops, pipes and devices": _write_link_loop,
}


def _measure_members(folder: Path) -> list[str]:
    """Say how the time grows with the members of a zip file."""
    seconds = {}
    for n_members in (N_MEMBERS // 4, N_MEMBERS):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        _write_many(n_members)(folder / "given")
        words = ["ingest", str(folder / "given"), "--store", str(folder / "out")]
        done = run_bounded(words, folder.with_name("said"))
        seconds[n_members] = done.seconds if done.code == 0 else float("nan")
    few, many = seconds.values()
    return [
        f"containers: zip of {N_MEMBERS // 4:,} members {few:.1f} CPU s, of {N_MEMBERS:,} "
        f"{many:.1f}: {many / few:.1f} x"
    ]


# --- small files ---------------------------------------------------------------------------------

_USERS = "evaluate @run --users @operators.csv --controls @controls.csv"
_LABELLED = "cohorts @store --labels @labels.csv --min-accounts 1 --out OUT"
SMALL: tuple[tuple[str, str, str], ...] = (
    ("key", "--pseudonym-key", COMMANDS["ingest"]),
    ("exclude", "--exclude-file", COMMANDS["ingest"]),
    ("labels", "--labels", COMMANDS["ingest"]),
    ("labels", "--labels of a run", _LABELLED),
    ("persons", "--same-person", COMMANDS["ingest"]),
    ("tweets", "an archive", COMMANDS["ingest"]),
    ("tweets", "columns", "columns @tweets.csv"),
    ("seeds", "--seeds", COMMANDS["cycle"]),
    ("grid", "a grid", COMMANDS["sweep"]),
    ("truth", "--truth of a sweep", COMMANDS["sweep"]),
    ("truth", "--truth", "evaluate @run --truth @truth.csv"),
    ("operators", "--users", _USERS),
    ("controls", "--controls", _USERS),
    ("truth", "--truth of compare", COMMANDS["compare"]),
)


def _write_pipe(path: Path) -> None:
    os.mkfifo(path)


def _write_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _write_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(6 * GIGABYTE)


def _write_folder(path: Path) -> None:
    path.mkdir()


STRANGE: dict[str, Callable[[Path], None]] = {
    "a pipe": _write_pipe,
    "a device": _write_device,
    "6 GB of zeros": _write_sparse,
    "a folder": _write_folder,
    "a gzip of 3 GB": _write_gzip(b"account_id,label\n", b"a,b\n"),
    "a gzip of one cell of 3 GB": _write_gzip(b'account_id,label\n"', b"a"),
}


def _list_small_files(
    material: Material, folder: Path
) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    for stem, option, line in SMALL:
        for sort, write in STRANGE.items():
            if stem == "tweets" and sort == "a folder":
                continue

            def prepare(stem: str = stem, line: str = line, write: Any = write) -> list[str]:
                path = folder / f"{stem}.csv"
                write(path)
                return material.fill(line, folder / "out", **{stem: path})

            yield f"{option} is {sort}", prepare


# --- results -------------------------------------------------------------------------------------


def _list_folders(
    material: Material, folder: Path
) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    given = {
        "store": ("manifest.json", "cohorts FOLDER --out OUT"),
        "run": ("run.json", "show FOLDER"),
    }
    deep = {"JSON 2 million deep": _write_bytes(b'{"gpu_coord": ' + _DEEP + b"}")}
    strange = {name: STRANGE[name] for name in ("a pipe", "a device", "6 GB of zeros", "a folder")}
    for result, (marker, line) in given.items():
        for name, write in {**strange, **deep}.items():
            for file in (marker, "accounts.parquet") if name not in deep else (marker,):

                def prepare(
                    result: str = result, line: str = line, file: str = file, write: Any = write
                ) -> list[str]:
                    shutil.copytree(material.folder / result, folder / result)
                    (folder / result / file).unlink()
                    write(folder / result / file)
                    return material.fill(
                        line.replace("FOLDER", str(folder / result)), folder / "out"
                    )

                yield f"{file} of a {result} is {name}", prepare
