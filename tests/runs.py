"""Events and runs written by hand, and the command line in this process."""

from functools import partial

import polars as pl
from typer.testing import CliRunner

from gpu_coord.cli import app
from gpu_coord.detection.run import detect
from gpu_coord.ground.folders import write_json
from gpu_coord.results.findings import open_run
from gpu_coord.sharing.run import coact, share
from gpu_coord.store.tables import hash_file

# For tests that make one run after another in one place.
detect_anew, share_anew, coact_anew = (partial(f, overwrite=True) for f in (detect, share, coact))


def event(account, seconds, entity="x", kind="hashtag"):
    return {"account": account, "kind": kind, "entity": entity, "time_seconds": seconds}


def act_hourly(hours, **choices):
    """Return the events of accounts, {account: hours}."""
    return [event(name, 3600 * hour, **choices) for name, at in hours.items() for hour in at]


def invoke(*arguments):
    """Call the command line."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def succeed(*arguments):
    """Call the command line, which must end well."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refuse(code, *arguments):
    """Call the command line, which must end with a code; return what it says."""
    result = invoke(*arguments)
    assert result.exit_code == code, result.output
    return result.stderr


def write_run(folder, store=None, *, content=None, **tables):
    """Write a run of `detect` by hand, on a store if any, and open it."""
    folder.mkdir()
    manifest = None if store is None else hash_file(store.path / "manifest.json")
    marker = {
        "gpu_coord": "test", "command": "detect", "settings": {"kinds": ["url"]},
        "specification": "s", "input": {"manifest_sha256": manifest, "labels_sha256": None},
        "summary": {"n_groups": int("groups" in tables)},
        "evidence": {"n_coincidences_left_out": 0},
    }  # fmt: skip
    write_json(folder / "run.json", marker | (content or {}))
    for name, table in tables.items():
        pl.DataFrame(table, strict=False).write_parquet(folder / f"{name}.parquet")
    return open_run(folder)


def read_words(result):
    """Return what a command said, however it was wrapped."""
    return " ".join(result.stdout.split())
