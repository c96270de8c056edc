"""What a process may hold: the least of what machine, container and shell allow."""

import resource
import subprocess
import sys

import psutil
import pytest

from gpu_coord.detection.run import detect
from gpu_coord.ground.memory import count_free_memory, count_held_memory
from gpu_coord.results import command
from gpu_coord.results.room import LEAST, Room, make_room
from gpu_coord.sharing import engine
from gpu_coord.sharing.run import share

MB = 1 << 20
V1 = "27 21 0:24 {subtree} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
V2 = "28 21 0:25 {subtree} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw"


@pytest.fixture
def machine(tmp_path):
    """Return what makes a root folder with groups: lines of proc, and files with their text."""

    def make(mountinfo, cgroup, files):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/mountinfo").write_text(mountinfo + "\n")
        (tmp_path / "proc/self/cgroup").write_text(cgroup + "\n")
        for name, text in files.items():
            path = tmp_path / "sys/fs/cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return tmp_path

    return make


def limit_v2(limit, usage, stat="anon 1\ninactive_file 0", high="max"):
    return {
        "memory.max": limit,
        "memory.high": high,
        "memory.current": usage,
        "memory.stat": stat,
    }


def under(folder, files):
    return {f"{folder}/{name}": text for name, text in files.items()}


def test_count_free_memory__is_what_the_machine_has_without_groups(tmp_path):
    assert 0 < count_free_memory(tmp_path) <= psutil.virtual_memory().total


@pytest.mark.parametrize("inner, outer", [(64, 96), (96, 64), ("max", 64)])
def test_count_free_memory__is_the_least_of_nested_groups(machine, inner, outer):
    inner = inner if inner == "max" else inner * MB
    root = machine(
        V2.format(subtree="/"),
        "0::/a/b",
        under("a/b", limit_v2(inner, MB)) | under("a", limit_v2(outer * MB, MB)),
    )
    assert count_free_memory(root) == 63 * MB


def test_count_free_memory__counts_a_cache_that_is_given_back_as_free(machine):
    files = limit_v2(64 * MB, 60 * MB, stat=f"anon 5\ninactive_file {20 * MB}")
    assert count_free_memory(machine(V2.format(subtree="/"), "0::/", files)) == 24 * MB


def test_count_free_memory__is_held_below_what_slows_a_group_down(machine):
    files = limit_v2(64 * MB, 0, high=32 * MB)
    assert count_free_memory(machine(V2.format(subtree="/"), "0::/", files)) == 32 * MB


def test_count_free_memory__is_nothing_above_the_limit(machine):
    files = limit_v2(64 * MB, 65 * MB)
    assert count_free_memory(machine(V2.format(subtree="/"), "0::/", files)) == 0


@pytest.mark.parametrize(
    "subtree, path, place",
    [
        ("/", "/docker/x", "memory/docker/x"),
        ("/docker/x", "/docker/x", "memory"),  # a container that sees its own subtree alone
        ("/docker/x", "/docker/x/y", "memory/y"),
        ("/docker/x", "/", "memory"),
        ("/", "/../..", "memory"),
    ],
)
def test_count_free_memory__finds_groups_of_the_first_version(machine, subtree, path, place):
    files = {
        "memory.limit_in_bytes": 64 * MB,
        "memory.usage_in_bytes": 8 * MB,
        "memory.stat": f"cache 9\ntotal_inactive_file {4 * MB}",
    }
    root = machine(
        V1.format(subtree=subtree), f"5:cpu:/else\n4:memory:{path}\n0::/", under(place, files)
    )
    assert count_free_memory(root) == 60 * MB


def test_count_free_memory__sees_the_limit_of_a_shell():
    code = (
        "import resource; from gpu_coord.ground.memory import count_free_memory\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "print(count_free_memory())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 1 << 30


def test_count_held_memory__grows_with_what_is_held():
    before = count_held_memory()
    held = bytearray(32 * MB)
    assert count_held_memory() - before > 30 * MB
    assert len(held) == 32 * MB
    assert count_held_memory() <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + MB


def test_require__says_what_would_do():
    held = count_held_memory()
    room = Room(held + 400 * MB, is_asked=True, held=held)
    room.require(200 * MB, "edges", way_out="choose less")
    with pytest.raises(MemoryError, match=r"--memory ([0-9.]+)GB, or choose less") as caught:
        Room(LEAST, is_asked=True, held=held).require(2e9, "edges", way_out="choose less")
    said = float(str(caught.value).split("give --memory ")[1].split("GB")[0])
    Room(int(said * 1e9), is_asked=True, held=held).require(2e9, "edges", way_out="choose less")
    assert said * 1e9 < 1.45 * (2.2e9 + held)


def test_require__counts_what_comes_on_top_from_now():
    room = Room(count_held_memory() + 100 * MB, is_asked=True, held=0)
    room.require(90 * MB, "edges", way_out="choose less", is_more=True)
    with pytest.raises(MemoryError, match="edges take"):
        room.require(110 * MB, "edges", way_out="choose less", is_more=True)


def test_require__says_that_the_machine_is_small():
    with pytest.raises(MemoryError, match=r"^Edges take .* GB are free.*make room for"):
        Room(LEAST, is_asked=False, held=0).require(1e12, "Edges", way_out="choose less")


def test_make_room__is_within_what_is_free():
    most = psutil.virtual_memory().total
    assert make_room(10**18).limit <= most
    assert not make_room(10**18).is_asked
    assert make_room(None).limit < most
    assert make_room(None).left > 0


def test_make_room__grants_what_is_asked_and_what_is_held():
    asked = count_held_memory() + 400 * MB
    room = make_room(asked)
    assert (room.limit, room.is_asked) == (asked, True)
    assert make_room(1).left > 200 * MB


# Four accounts, each in the company of each other on two objects: 12 ordered pairs in a bin. And
# one alone, later, with which there are bins enough.
ROWS = [*((a, o, f"{a}{o}", 100) for a in "abcd" for o in "xy"), ("e", "z", "ez", 1_000_000)]
CHOICES = {"kinds": ["object"], "lags": (0,), "paper": True}
LATE = 150_000_000  # of libraries


def limit(monkeypatch, n_bytes):
    room = Room(LATE + n_bytes, is_asked=True, held=0)
    monkeypatch.setattr(command, "make_room", lambda _: room)


@pytest.mark.parametrize(
    "n_bytes, said",
    [(9 * 240 - 1, "9 events take"), (9 * 160 + 12 * 400 - 1, "12 pairs of accounts that coin")],
)
def test_detect__refuses_what_will_not_fit(make_table_store, tmp_path, monkeypatch, n_bytes, said):
    store = make_table_store(ROWS)
    limit(monkeypatch, n_bytes)
    with pytest.raises(MemoryError, match=f"^{said}.*give --memory 0.3GB, or choose"):
        detect(store, tmp_path / "run", **CHOICES)
    assert not (tmp_path / "run").exists()
    limit(monkeypatch, 9 * 160 + 12 * 400)
    assert detect(store, tmp_path / "run", **CHOICES).summary["n_edges"] == 12


def test_detect__counts_the_events_that_are_asked_for(make_table_store, tmp_path, monkeypatch):
    store = make_table_store([*ROWS, *((f"f{n}", "x", f"f{n}", 10_000_000) for n in range(40))])
    limit(monkeypatch, 9 * 160 + 12 * 400)
    with pytest.raises(MemoryError, match=r"^49 events"):
        detect(store, tmp_path / "run", **CHOICES)
    assert detect(store, tmp_path / "run", end="1970-02-01", **CHOICES).summary["n_edges"] == 12


def test_share__refuses_shares_that_will_not_fit(make_table_store, tmp_path, monkeypatch):
    store = make_table_store(ROWS)
    limit(monkeypatch, 9 * 700 - 1)
    with pytest.raises(MemoryError, match=r"^9 shares take"):
        share(store, tmp_path / "run", kinds="object", window="60s", tests=False)
    assert not (tmp_path / "run").exists()


def test_share__refuses_tests_that_will_not_fit(make_table_store, tmp_path, monkeypatch):
    store = make_table_store(ROWS)
    held = count_held_memory()
    monkeypatch.setattr(engine, "_TESTED_BYTES", 1e9)
    room = Room(held + 400 * MB, is_asked=True, held=held)
    monkeypatch.setattr(command, "make_room", lambda _: room)
    with pytest.raises(MemoryError, match=r"^Tests of 6 edges take"):
        share(store, tmp_path / "run", kinds="object", window="60s")
    share(store, tmp_path / "run", kinds="object", window="60s", tests=False)
