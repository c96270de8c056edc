"""The store folder: opened with helpful errors, replaced whole or not at all."""

import json

import polars as pl
import pytest

from gpu_coord.archive.ingest import ingest
from gpu_coord.store.store import TABLES, open_store, verify_store
from gpu_coord.store.tables import ROW_GROUP_ROWS, TableWriter, hash_file, read_parts

SHARES = "account_id,object_id,content_id,timestamp_share\na,x,1,100\nb,x,2,101\n"


@pytest.fixture
def store(tmp_path):
    (tmp_path / "shares.csv").write_text(SHARES)
    return ingest(tmp_path / "shares.csv", tmp_path / "store")


def test_open_store__reads_what_was_written(store):
    opened = open_store(store.path)
    assert opened.manifest == store.manifest
    for table in TABLES:
        assert opened.scan(table).collect().equals(opened.read(table))
    assert opened.read("accounts")["account_id"].to_list() == ["a", "b"]


def test_open_store__manifest_describes_the_tables(store):
    for table in TABLES:
        file = store.path / f"{table}.parquet"
        found = {"rows": pl.read_parquet(file).height, "size": file.stat().st_size}
        assert store.manifest["tables"][table] == found | {"sha256": hash_file(file)}


def test_store__repr_is_one_line_with_sizes(store):
    assert "2 posts, 2 events, 2 accounts, 1 entities" in repr(store)
    assert "\n" not in repr(store)


@pytest.mark.parametrize("text", [None, "not json", "[]", '{"gpu_coord": "a run"}'])
def test_open_store__refuses_a_folder_that_is_no_store(tmp_path, text):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match="is no store"):
        open_store(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no store at .*nowhere"):
        open_store(tmp_path / "nowhere")


def test_open_store__refuses_another_version_and_names_missing_tables(store):
    (store.path / "events.parquet").rename(store.path / "aside")
    with pytest.raises(FileNotFoundError, match=r"lacks events\.parquet"):
        open_store(store.path)
    manifest = {**store.manifest, "store_version": 99}
    (store.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="version 99"):
        open_store(store.path)


def test_store__refuses_an_unknown_table(store):
    with pytest.raises(ValueError, match="no table 'tweets'; it has posts, events"):
        store.read("tweets")


def test_verify_store__passes_what_was_written(store):
    assert verify_store(store.path) == {"n_tables": 5, "n_inputs": 1}


def change(file):
    pl.read_parquet(file).with_columns(time=pl.lit(0)).write_parquet(file)


def cut_off(file):
    file.write_bytes(file.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("table", "damage", "message"),
    [
        ("posts", change, "is not the file"),
        ("posts", lambda file: file.write_bytes(b"PAR1"), r"is no readable .*; ingest again\.$"),
        ("events", cut_off, "is no readable Parquet"),
    ],
)
def test_verify_store__tells_a_damaged_table(store, table, damage, message):
    damage(store.path / f"{table}.parquet")
    with pytest.raises(ValueError, match=rf"{table}\.parquet {message}"):
        verify_store(store.path)


@pytest.mark.parametrize("name", ["rows_read", "posts", "events", "accounts", "entities", "stored"])
def test_verify_store__tells_counts_that_do_not_add_up(store, name):
    manifest, of_input = store.manifest, name == "rows_read"
    (manifest["inputs"][0] if of_input else manifest["totals"])[name] += 1
    (store.path / "manifest.json").write_text(json.dumps(manifest))
    said = r"shares\.csv are 3, but 2 are accounted for" if of_input else "are accounted for"
    with pytest.raises(ValueError, match=said):
        verify_store(store.path)


def test_table_writer__gathers_frames_into_row_groups(tmp_path):
    frame = pl.DataFrame({"number": range(ROW_GROUP_ROWS // 4 + 1)})
    whole, paths = pl.concat([frame] * 10), [tmp_path / f"{n}.parquet" for n in range(2)]
    for path, frames in zip(paths, ([frame] * 10, [whole]), strict=True):
        with TableWriter(path, {"number": pl.Int32}) as writer:
            for each in frames:
                writer.add(each)
    parts = list(read_parts(paths[0]))
    rest = whole.height - 2 * ROW_GROUP_ROWS
    assert [part.height for part in parts] == [ROW_GROUP_ROWS, ROW_GROUP_ROWS, rest]
    assert pl.concat(parts).equals(whole.cast(pl.Int32))
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_table_writer__keeps_frames_whole_in_what_is_thrown_away(tmp_path):
    frame = pl.DataFrame({"number": range(ROW_GROUP_ROWS // 4 + 1)})
    with TableWriter(tmp_path / "table.arrow", {"number": pl.Int32}) as writer:
        for _ in range(5):
            writer.add(frame)
    parts = list(read_parts(tmp_path / "table.arrow"))
    assert [part.height for part in parts] == [4 * frame.height, frame.height]


def test_table_writer__writes_an_empty_table(tmp_path):
    path = tmp_path / "table.parquet"
    with TableWriter(path, {"number": pl.Int32, "kind": pl.Enum([])}):
        pass
    assert pl.read_parquet(path).schema["number"] == pl.Int32
    assert list(read_parts(path)) == []
