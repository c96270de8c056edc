"""Markers that were changed, cut off or put there by others: named, or no folder of ours."""

import json
import os

import polars as pl
import pytest
from runs import write_run

import gpu_coord as gc
from gpu_coord.cli.damage import explain_failure
from gpu_coord.ground.markers import read_marker
from gpu_coord.results.verification import verify
from gpu_coord.store.store import verify_store

DEEP = "[" * 200_000 + "]" * 200_000


def put(folder, content):
    (folder / "run.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_marker__names_what_it_does_not_say(tmp_path):
    found = read_marker(put(tmp_path, {"gpu_coord": "1", "summary": {"n_edges": 1}}), "run.json")
    assert found["summary"] == {"n_edges": 1} and found.get("settings") is None
    with pytest.raises(ValueError, match=r"run\.json does not say n_groups, so .* make its folder"):
        found["summary"]["n_groups"]


OTHERS = [
    {"summary": []}, {"summary": {"n_edges": "7"}}, {"settings": 1}, {"settings": {"kinds": "url"}},
    {"settings": {"kinds": [["url"]]}}, {"command": {}}, {"input": ""}, {"inputs": {}},
    {"inputs": ["a"]}, {"inputs": [{"rows_read": 1.5}]}, {"inputs": [{"sha256": 1.5}]},
    {"tables": {"edges": 3}}, {"tables": {"edges": {"rows": True}}}, {"stages": [None]},
    {"stages": [{"seconds": "1"}]}, {"backend": {"versions": []}},
]  # fmt: skip


@pytest.mark.parametrize("changed", OTHERS)
def test_read_marker__takes_other_types_for_no_marker_of_ours(tmp_path, changed):
    assert read_marker(put(tmp_path, {"gpu_coord": "1"}), "run.json") is not None
    assert read_marker(put(tmp_path, {"gpu_coord": "1"} | changed), "run.json") is None


@pytest.mark.parametrize("content", ["", "{", "[1]", "\0", '{"gpu_coord": ' + DEEP + "}", DEEP])
def test_read_marker__takes_what_cannot_be_read_for_none(tmp_path, content):
    assert read_marker(put(tmp_path, content), "run.json") is None


def test_read_marker__does_not_wait_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "run.json")
    assert read_marker(tmp_path, "run.json") is None


def test_verify__names_a_marker_that_was_changed(make_store, tmp_path):
    write_run(tmp_path / "run")
    marker = tmp_path / "run" / "run.json"
    marker.write_text(marker.read_text().replace('"n_groups": 0', '"n_groups": "0"'))
    with pytest.raises(ValueError, match=r"run\.json is not what was written with its folder"):
        verify(tmp_path / "run")
    store = make_store([{"account": "a", "time_seconds": 1, "kind": "url", "entity": "x"}])
    manifest = store.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"inputs": [', '"inputs": ["x", '))
    with pytest.raises(ValueError, match=r"its manifest\.json is missing or not as it was written"):
        gc.open_store(store.path)


def test_verify_store__names_a_count_that_is_lost(make_table_store):
    store = make_table_store([("a", "x", 1, 1_600_000_000)])
    manifest = store.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"excluded"', '"included"'))
    with pytest.raises(ValueError, match=r"manifest\.json does not say excluded"):
        verify_store(store.path)


def test_explain_failure__looks_at_all_results_that_were_given(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    tables = {"cohorts": {"rows": 1, "size": 1, "sha256": ""}}
    said = {"gpu_coord": "1", "command": "cohorts", "summary": {}, "tables": tables}
    (other / "cohorts.json").write_text(json.dumps(said))
    (other / "cohorts.parquet").write_bytes(b"PAR1 no more")
    error = pl.exceptions.ComputeError("parquet: File out of specification")
    assert "other/cohorts.parquet is no" in explain_failure(error, {"others": [tmp_path, other]})
    assert explain_failure(error, {"others": None, "out": other}) is None
