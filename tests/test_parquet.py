"""Parquet files in folders whose names readers of tables would take for patterns and addresses."""

import os
import resource

import polars as pl
import pytest

import gpu_coord as gc
from gpu_coord.cli.shortages import explain_shortage
from gpu_coord.ground.folders import replace_file, replace_folder
from gpu_coord.ground.parquet import list_columns, read_parquet, scan_parquet, write_parquet
from gpu_coord.store.tables import describe_table

# Of each: a folder, and another one that its name would match or lead to.
NAMES = {
    "a[1]": "a1", "run*": "run2", "q?": "qq", "s3:": "s3", "file:x": "x", "~root": "root",
    "%41": "A", "{a,b}": "a", "javascript:alert(1)": "b", "a\nb": "c", "http:": "d",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_absolute", [False, True])
def test_read_parquet__reads_the_folder_of_that_name_and_no_other(
    tmp_path, monkeypatch, name, is_absolute
):
    monkeypatch.chdir(tmp_path)
    folders = [tmp_path / each for each in (name, NAMES[name])]
    for number, folder in enumerate(folders):
        folder.mkdir()
        pl.DataFrame({"a": [number], "b": "x"}).write_parquet(folder / "edges.parquet")
    path = (tmp_path if is_absolute else tmp_path.relative_to(tmp_path)) / name / "edges.parquet"
    assert read_parquet(path).rows() == scan_parquet(path).collect().rows() == [(0, "x")]
    assert read_parquet(path, ["b"]).rows() == [("x",)] and list_columns(path) == ["a", "b"]
    assert describe_table(path)["rows"] == 1


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_folders__whose_name_is_no_text_are_refused(tmp_path):
    path = tmp_path / os.fsdecode(b"x\xff")
    path.mkdir()
    gc.ingest(pl.DataFrame({"account_id": "a", "object_id": "x", "timestamp_share": 1}),
              tmp_path / "store")  # fmt: skip
    (tmp_path / "store").rename(path / "store")
    said = r"x\\udcff\S* is not UTF-8; rename it"
    with pytest.raises(ValueError, match=said):
        gc.open_store(path / "store").read("posts")
    with pytest.raises(ValueError, match=said), replace_folder(path / "run", "run.json", []):
        pytest.fail("the block must not run")
    with pytest.raises(ValueError, match=said), replace_file(path / "page.html"):
        pytest.fail("the block must not run")


def test_write_parquet__says_what_the_system_says_wherever_room_ends(tmp_path):
    """Polars may say no more than that it could not write its footer."""
    frame = pl.DataFrame({f"column {number}": ["x", "y"] for number in range(90)})
    write_parquet(frame, tmp_path / "whole.parquet")
    size = (tmp_path / "whole.parquet").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in range(1, size, size // 40):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
        try:
            with pytest.raises((OSError, pl.exceptions.PolarsError)) as raised:
                write_parquet(frame, tmp_path / "cut.parquet")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert "a file grew beyond the limit" in (explain_shortage(raised.value) or ""), most
