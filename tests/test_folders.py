import errno
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from gpu_coord.ground import leftovers
from gpu_coord.ground.folders import (
    check_replaceable,
    replace_file,
    replace_folder,
    write_json,
)
from gpu_coord.ground.markers import read_marker

NAMES = {"mark.json", "table"}


def replace(path):
    return replace_folder(path, "mark.json", NAMES)


@pytest.fixture
def there(tmp_path):
    """Return a folder of ours that is there already."""
    with replace(tmp_path / "there") as folder:
        write_json(folder / "mark.json", {"gpu_coord": "1"})
        (folder / "table").write_text("old")
    return tmp_path / "there"


def test_replace_folder__replaces_it_whole(there, tmp_path):
    with replace(there) as folder:
        (folder / "mark.json").write_text("x")
    assert [file.name for file in there.iterdir()] == ["mark.json"]
    assert list(tmp_path.iterdir()) == [there]


def test_replace_folder__follows_a_link(there, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(there)
    with replace(link) as folder:
        (folder / "table").write_text("new")
    assert link.is_symlink()
    assert (there / "table").read_text() == "new"


@pytest.mark.parametrize("place", ["a/b", "empty"])
def test_replace_folder__makes_the_folders_above_or_takes_the_place_of_an_empty_one(
    tmp_path, place
):
    (tmp_path / "empty").mkdir()
    with replace(tmp_path / place) as folder:
        (folder / "table").write_text("new")
    assert (tmp_path / place / "table").read_text() == "new"


@pytest.mark.parametrize("mark", [None, "not json", "[]", '{"other": 1}'])
def test_check_replaceable__refuses_a_folder_of_others(tmp_path, mark):
    (tmp_path / "precious").write_text("x")
    if mark is not None:
        (tmp_path / "mark.json").write_text(mark)
    with pytest.raises(FileExistsError, match=r"no mark\.json of ours"):
        check_replaceable(tmp_path, "mark.json", NAMES)


def test_replace_folder__refuses_what_came_in_the_meantime(there):
    with pytest.raises(FileExistsError, match=r"also holds notes\.md"), replace(there):
        (there / "notes.md").write_text("x")
    assert (there / "table").read_text() == "old"


def test_read_marker__returns_what_was_written(there):
    assert read_marker(there, "mark.json") == {"gpu_coord": "1"}
    assert read_marker(there, "other.json") is None


def test_replace_folder__leaves_nothing_if_the_old_one_cannot_move(there, tmp_path, monkeypatch):
    def refuse(self, target):
        raise PermissionError(1, "Operation not permitted")

    with pytest.raises(PermissionError), replace(there) as folder:
        (folder / "table").write_text("new")
        monkeypatch.setattr("pathlib.Path.rename", refuse)
    assert list(tmp_path.iterdir()) == [there]
    assert (there / "table").read_text() == "old"


def test_replace_folder__names_the_path_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file/new cannot be written"):
        with replace(tmp_path / "file" / "new"):
            pytest.fail("the block must not run")


def test_replace_file__appears_whole(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with replace_file(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
        assert (aside.parent, aside.suffix) == (path.parent, ".csv")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_replace_file__leaves_nothing_after_a_failure(tmp_path, failure):
    with pytest.raises(failure), replace_file(tmp_path / "table.csv") as aside:
        aside.write_text("half")
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_replace_file__leaves_alone_what_another_process_writes(tmp_path):
    path = tmp_path / "table.csv"
    code = "import sys; from pathlib import Path; from gpu_coord.ground.folders import *\n"
    code += "with replace_file(Path(sys.argv[1])) as aside: aside.write_text('other')"
    with replace_file(path) as aside:
        aside.write_text("first")
        other = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
        assert "is being written by another process; wait" in other.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "first"


def test_replace_file__takes_the_place_of_what_a_killed_process_left(tmp_path):
    (tmp_path / ".table.part.csv").write_text("half of what was to be there")
    test_replace_file__appears_whole(tmp_path)


WRITE = """
import os, sys, time
from pathlib import Path
from gpu_coord.ground import folders

def wait(*_):
    print("there", flush=True)
    time.sleep(60)

path, moment = Path(sys.argv[1]), sys.argv[2]
if moment == "swapped":  # the old folder is aside, the new one not yet there
    rename = Path.rename
    Path.rename = lambda self, to: wait() if to == path else rename(self, to)
with folders.replace_folder(path, "mark.json", {"mark.json", "table"}) as folder:
    folders.write_json(folder / "mark.json", {"gpu_coord": "2"})
    if moment == "written":
        wait()
"""


@contextmanager
def write_slowly(path, moment):
    """Begin to replace a folder in another process, which waits at a moment."""
    program = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path), moment], stdout=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout.readline() == "there\n"
        yield program
    finally:
        program.kill()
        program.communicate()


@pytest.mark.parametrize("moment", ["written", "swapped"])
def test_replace_folder__clears_what_a_killed_process_left(there, tmp_path, moment):
    with write_slowly(there, moment):
        pass
    assert any(path.name.startswith(".there.") for path in tmp_path.iterdir())
    with pytest.raises(OSError, match="broken off"), replace(there):
        assert (there / "table").read_text() == "old"
        raise OSError("broken off")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert read_marker(there, "mark.json") == {"gpu_coord": "1"}


def test_replace_folder__comes_second_where_another_process_was_quicker(tmp_path, monkeypatch):
    """Both saw that nothing is there; what the later one wrote stays, and nothing else."""
    path, rename = tmp_path / "made", Path.rename

    def be_slow(self, to):
        monkeypatch.setattr(Path, "rename", rename)
        path.mkdir()
        write_json(path / "mark.json", {"gpu_coord": "other"})
        return rename(self, to)

    with replace(path) as folder:
        write_json(folder / "mark.json", {"gpu_coord": "own"})
        monkeypatch.setattr(Path, "rename", be_slow)
    assert read_marker(path, "mark.json") == {"gpu_coord": "own"}
    assert [each.name for each in tmp_path.iterdir()] == ["made"]


def test_replace_folder__holds_what_it_removes(there, tmp_path, monkeypatch):
    """Nobody can take a folder for theirs between the look at it and its removal."""
    for state in ("new", "old", "gone"):
        (tmp_path / f".there.{state}-12345678").mkdir()
    remove, held = leftovers.shutil.rmtree, []

    def watch(folder, **choices):
        if folder.name.endswith("12345678"):
            with leftovers.hold(folder) as is_free:
                held.append(not is_free)
        remove(folder, **choices)

    monkeypatch.setattr(leftovers.shutil, "rmtree", watch)
    with replace(there) as folder:
        write_json(folder / "mark.json", {"gpu_coord": "2"})
    assert held == [True] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_replace_folder__puts_no_half_of_a_removed_folder_back(tmp_path):
    (tmp_path / ".there.gone-12345678").mkdir()
    (tmp_path / ".there.gone-12345678" / "mark.json").write_text('{"gpu_coord": "1"}')
    with pytest.raises(OSError, match="broken off"), replace(tmp_path / "there"):
        raise OSError("broken off")
    assert list(tmp_path.iterdir()) == []


def test_clear_leftovers__skips_what_is_no_folder_of_ours(tmp_path):
    (tmp_path / ".there.old-12345678").write_text("notes")
    leftovers.clear_leftovers(tmp_path / "there")
    assert (tmp_path / ".there.old-12345678").read_text() == "notes"


def test_replace_folder__leaves_alone_what_others_write(there, tmp_path):
    (tmp_path / ".there.new-notes").mkdir()  # no name of ours
    with write_slowly(there, "written"):
        with replace(there) as folder:
            write_json(folder / "mark.json", {"gpu_coord": "3"})
        asides = [path for path in tmp_path.iterdir() if path.name.startswith(".there.new-")]
        assert len(asides) == 2 and read_marker(there, "mark.json") == {"gpu_coord": "3"}


def test_replace_folder__works_where_there_are_no_locks(there, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(leftovers.fcntl, "flock", refuse)
    left = tmp_path / ".there.new-12345678"
    left.mkdir()
    with replace(there) as folder:
        write_json(folder / "mark.json", {"gpu_coord": "2"})
    assert left.is_dir() and read_marker(there, "mark.json") == {"gpu_coord": "2"}
