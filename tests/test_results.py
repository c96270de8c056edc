"""Folders with a result: opened by their marker, read, and held against their description."""

import polars as pl
import pytest
from gpu_coord.results.folder import ResultFolder, open_result, verify_tables

from gpu_coord.ground.folders import write_json
from gpu_coord.store.tables import describe_table

MISSING = "there is no thing at {}; `thing` makes one."


def open_thing(path):
    return open_result(ResultFolder, path, "thing.json", missing=MISSING)


@pytest.fixture
def there(tmp_path):
    """Return a folder with a result of one table."""
    pl.DataFrame({"n": [1, 2]}).write_parquet(tmp_path / "numbers.parquet")
    tables = {"numbers": describe_table(tmp_path / "numbers.parquet")}
    content = {"gpu_coord": "1", "summary": {"n_numbers": 2}, "tables": tables}
    write_json(tmp_path / "thing.json", content)
    return tmp_path


def test_open_result__reads_what_was_written(there):
    found = open_thing(str(there))
    assert found.summary == {"n_numbers": 2}
    assert found.read("numbers")["n"].to_list() == [1, 2]
    assert repr(found) == f"ResultFolder(path={there!r})"
    assert verify_tables(found) == {"n_tables": 1}


@pytest.mark.parametrize("content", [None, "{", "{}", "[1]"])
def test_open_result__says_that_there_is_none(tmp_path, content):
    if content is not None:
        (tmp_path / "thing.json").write_text(content)
    with pytest.raises(FileNotFoundError) as raised:
        open_thing(tmp_path)
    assert str(raised.value) == f"there is no thing at {tmp_path}; `thing` makes one."
    with pytest.raises(FileNotFoundError, match="there is no thing at"):
        open_thing(tmp_path / "{nowhere}")


def test_verify_tables__tells_a_table_that_is_another(there):
    pl.DataFrame({"n": [1, 3]}).write_parquet(there / "numbers.parquet")
    with pytest.raises(ValueError, match=r"numbers\.parquet is not the file that was written"):
        verify_tables(open_thing(there))


def test_verify_tables__tells_a_table_that_is_cut_off(there):
    file = there / "numbers.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"no readable Parquet file \(.*; repeat the run"):
        verify_tables(open_thing(there))


def test_verify_tables__tells_a_table_that_is_missing(there):
    (there / "numbers.parquet").unlink()
    with pytest.raises(ValueError, match=r"numbers\.parquet is missing; repeat the run"):
        verify_tables(open_thing(there))
