"""What every folder that a command writes keeps to, whichever command it was."""

import json
import shutil
from collections import namedtuple
from datetime import date
from hashlib import sha256

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from runs import invoke, refuse

import gpu_coord as gc
from gpu_coord.accounts.settings import CohortSettings
from gpu_coord.backend import choose
from gpu_coord.detection.settings import DetectSettings
from gpu_coord.ground.choices import list_choices
from gpu_coord.ground.folders import write_json
from gpu_coord.model.fitting import read_candidates
from gpu_coord.model.settings import ModelSettings
from gpu_coord.results.findings import open_run
from gpu_coord.results.forms import FORMS, RUN
from gpu_coord.results.verification import verify
from gpu_coord.sharing.settings import CoactSettings, CycleSettings, ShareSettings
from gpu_coord.simulation.settings import SimulateSettings
from gpu_coord.spread.settings import CascadeSettings
from gpu_coord.store.tables import describe_table
from gpu_coord.trust.calibration import calibrate
from gpu_coord.trust.settings import (
    CalibrateSettings,
    CompareSettings,
    SweepSettings,
    TransplantSettings,
)

HOUR, DAY = 3600, 86_400
KINDS = ("hashtag", "url")
LABELS = {"lead": "operation", "amp": "operation", "u0": "other"}
URLS = {"kinds": "url", "tests": False}
GRID = {"kinds": ["hashtag,url"], "min_support": [1, 3], "alpha": [0.05, 0.2]}
SMALL = {"n_plants": 4, "n_amplifiers": 6, "n_core": 2, "n_accounts": 60}


def plant(store, out, **choices):
    return gc.transplant(store, store, out, **choices)


# is_directed is None where there are no edges; inputs are those beside the store.
Kind = namedtuple("Kind", "command function settings is_directed choices inputs", defaults=[""])
# fmt: off
MADE = {
    "detect": Kind("detect", gc.detect, DetectSettings, True,
                   {"kinds": KINDS, "groups": 1, "lags": (1, 2), "split_at": "1970-01-11"}),
    "strict": Kind("share", gc.share, ShareSettings, False, {"kinds": "url", "intervals": True}),
    "coortweet": Kind("share", gc.share, ShareSettings, False,
                      URLS | {"mode": "coortweet", "fast_window": "8s", "compare": True,
                              "edge_weight_quantile": 0.1}),
    "coornet": Kind("share", gc.share, ShareSettings, False,
                    URLS | {"mode": "coornet", "edge_weight_quantile": 0.0}),
    "qut": Kind("share", gc.share, ShareSettings, True, URLS | {"mode": "qut"}),
    "coact": Kind("coact", gc.coact, CoactSettings, False, {"layers": ("co_url", "co_hashtag:2h")}),
    "fused": Kind("coact", gc.coact, CoactSettings, True,
                  {"layers": ("co_url", "fast_retweet:1m"), "merge": "fused"}),
    "cycle": Kind("cycle", gc.run_cycle, CycleSettings, None, {"seeds": "seeds.txt"},
                  "seeds_sha256"),
    "model": Kind("model", gc.fit_model, ModelSettings, None, {"kinds": KINDS, "candidates": "run"},
                  "candidates"),
    "cascades": Kind("cascades", gc.trace_cascades, CascadeSettings, None, {"run": "run"},
                     "run inside_sha256"),
    "cohorts": Kind("cohorts", gc.compare_cohorts, CohortSettings, None,
                    {"run": "run", "min_accounts": 1}, "run"),
    "calibrate": Kind("calibrate", calibrate, CalibrateSettings, None,
                      {"kinds": KINDS, "groups": 0, "n_copies": 1}),
    "sweep": Kind("sweep", gc.sweep, SweepSettings, True, {"grid": GRID, "truth": "truth.csv"},
                  "grid_sha256 truth_sha256"),
    "compare": Kind("compare", gc.compare, CompareSettings, None,
                    {"kinds": KINDS, "methods": ("co_activity", "activity"), "truth": "truth.csv"},
                    "truth_sha256"),
    "simulate": Kind("simulate", gc.simulate, SimulateSettings, None,
                     {"n_posts": 2000, "overrides": SMALL}, "parameters_sha256"),
    "transplant": Kind("transplant", plant, TransplantSettings, None, {"min_events": 2},
                       "organic_sha256"),
}
# fmt: on
STAGES = {
    "detect": "activity chance pairs network groups effects evidence tables",
    "strict": "shares pairs edges chance network intervals tables",
    "coortweet": "shares pairs edges network changes tables",
    "coact": "shares pairs edges merge network tables",
    "fused": "shares pairs edges chance merge network tables",
    "cycle": "read round_01 round_02 write",
    "model": "activity candidates rows write",
    "cascades": "read platforms catalysts write",
    "cohorts": "read compare",
    "calibrate": "activity copies",
    "sweep": "specifications tables",
    "compare": "read co_activity activity tables",
    "simulate": "posts",
    "transplant": "match shares",
}
RUNS = [name for name, kind in MADE.items() if kind.command in RUN.commands]
ATOMIC = [name for name in MADE if name != "sweep"]  # which goes on where it was stopped
STORED = [name for name in MADE if name not in ("simulate", "transplant", "compare")]
WITHOUT = ("cascades", "cohorts", "simulate", "transplant")
WITH_MACHINE = [name for name in MADE if name not in WITHOUT]
each_kind = pytest.mark.parametrize("name", MADE)


def draw_events(n_others=12, n_days=20):
    """Return events in which amp follows lead an hour later and at once, late on some days."""
    rng = np.random.default_rng(0)
    rows = []
    for day in range(n_days):
        for u in range(n_others):
            for hour in rng.choice(24, 2):
                rows.append((f"u{u}", day * DAY + hour * HOUR, KINDS[u % 2], "xyz"[u % 3]))
        start = day * DAY + rng.integers(0, 22) * HOUR
        rows += [("lead", start, "hashtag", "x"), ("amp", start + HOUR, "hashtag", "x")]
        for entity in (f"o{day % 5}", f"p{day % 5}"):
            rows += [("lead", start + 100, "url", entity), ("amp", start + 107, "url", entity)]
        rows += [("late", start + 120, "url", "o0")] if day % 5 == 0 else []
        rows.append(("amp", start + 130, "retweet", str(len(rows) - 5)))  # some are posts by lead
    names = ("account", "time_seconds", "kind", "entity")
    return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture(scope="session")
def world(make_store, tmp_path_factory):
    """Return the folder with all that commands are given, the store, and runs on it."""
    folder = tmp_path_factory.mktemp("contract")
    store = make_store(draw_events(), labels=LABELS)
    accounts = store.read("accounts")
    made = pl.Series([date(1969, 12, 1 + place) for place in range(accounts.height)])
    accounts = accounts.with_columns(account_creation_date=made)
    accounts.write_parquet(store.path / "accounts.parquet")
    (folder / "seeds.txt").write_text("o1\np1\nnowhere.org\n")
    truth = pl.DataFrame({"account_id": list(LABELS), "label": list(LABELS.values())})
    truth.write_csv(folder / "truth.csv")
    for name, alpha in (("run", 0.05), ("again", 0.05), ("other", 0.2)):
        gc.detect(store, folder / name, kinds=KINDS, groups=0, alpha=alpha)
    return folder, store


@pytest.fixture(scope="session")
def make(world):
    """Return a function that makes a folder of a kind."""
    folder, store = world
    files = ("seeds", "truth", "run", "candidates")

    def make(name, out, **more):
        kind = MADE[name]
        choices = kind.choices | ({} if name == "simulate" else {"store": store}) | more
        for key in files & choices.keys():
            choices[key] = folder / choices[key]
        return kind.function(out=out, **choices)

    return make


@pytest.fixture(scope="session")
def find(world, make):
    """Return a function that makes a folder once, and tells its progress; nobody changes it."""
    made = {}

    def find(name):
        if name not in made:
            seen = []
            found = make(name, world[0] / name, progress=lambda *report: seen.append(report))
            made[name] = found, seen
        return made[name]

    return find


@pytest.fixture
def copied(name, find, tmp_path):
    """Return a copy of the folder, to be changed."""
    shutil.copytree(find(name)[0].path, tmp_path / "copy")
    return open_run(tmp_path / "copy")


def read_files(folder, suffix=""):
    """Return the bytes of all files, or of those with a suffix, by their path in a folder."""
    files = {str(p.relative_to(folder)): p for p in folder.rglob(f"*{suffix}") if p.is_file()}
    # The networks of a sweep are named by what they hold.
    return {name: p.read_bytes() for name, p in sorted(files.items()) if "networks" not in p.parts}


def edit(found, change):
    """Change the marker of a folder, and open it again."""
    content = json.loads((found.path / found.form.marker).read_text())
    change(content)
    write_json(found.path / found.form.marker, content)


def check_same_tables(*folders):
    for table in folders[0].tables:
        frames = [found.read(table).drop("seconds", strict=False) for found in folders]
        assert_frame_equal(*frames, check_exact=True)


def describe_plainly(file):
    return {"size": file.stat().st_size, "sha256": sha256(file.read_bytes()).hexdigest()}


# --- what the marker says ------------------------------------------------------------------------


def test_commands__are_all_here():
    assert {kind.command for kind in MADE.values()} == {c for form in FORMS for c in form.commands}


@each_kind
def test_marker__names_what_was_done_to_what(world, find, name):
    kind, (found, seen), (folder, store) = MADE[name], find(name), world
    content, given = json.loads((found.path / found.form.marker).read_text()), {}
    assert content == found.content and content["gpu_coord"] == gc.__version__
    assert (content["command"], content["marker_version"]) == (kind.command, 2)
    assert set(content["settings"]) == {each.name for each in list_choices(kind.settings)}
    assert len(content["specification"]) == 64
    if name != "simulate":
        manifest = describe_plainly(store.path / "manifest.json")["sha256"]
        given = {"store": store.path.name, "manifest_sha256": manifest, "labels_sha256": None}
    for key in kind.inputs.split():
        run = open_run(folder / "run")
        given[key] = content["input"][key] if key.endswith("_sha256") else {
            "folder": "run", "command": "detect", "fingerprint": run.fingerprint,
            "specification": run.content["specification"],
        }  # fmt: skip
    assert content["input"] == given
    assert all(len(v) == 64 for k, v in given.items() if k.endswith("_sha256") and v)
    assert content.get("directed") == kind.is_directed
    assert found.is_directed == bool(kind.is_directed)
    stages = [stage["stage"] for stage in content["stages"]]
    assert stages == STAGES.get(name, "shares pairs edges network tables").split()
    assert all(s["seconds"] >= 0 and s["peak_memory_bytes"] > 1 << 20 for s in content["stages"])
    assert set(stages) <= {stage for stage, *_ in seen}
    assert all(0 <= done <= total for _, done, total in seen)


@each_kind
def test_marker__describes_each_table_and_file(find, name):
    found, _ = find(name)
    content, files = found.content, {file.name: file for file in found.path.iterdir()}
    assert set(content["tables"]) == set(found.tables) <= set(found.form.tables)
    for table, described in content["tables"].items():
        file = files[f"{table}.parquet"]
        assert described == describe_plainly(file) | {"rows": pl.read_parquet(file).height}
    others = set(found.form.files) & set(files)
    assert content.get("files", {}) == {name: describe_plainly(files[name]) for name in others}
    assert set(files) <= found.form.names | {"cells", "networks", "sweep.lock"}


# --- opened --------------------------------------------------------------------------------------


@each_kind
def test_open_run__opens_it_whatever_it_is(find, name):
    made, _ = find(name)
    found = open_run(str(made.path))
    assert found.command == made.command and found.summary == made.summary
    assert open_run(found) is found and open_run(made.path, made.command).form is made.form
    counts = [v for k, v in found.summary.items() if k.startswith("n_") and v is not None]
    assert repr(found).startswith(f"Findings({made.command} {str(made.path)!r}: ")
    assert counts and all(f" {count:,}" in repr(found) for count in counts)
    table = found.tables[0]
    columns = found.read(table).columns
    assert found.read(table, columns[:1]).columns == columns[:1]
    with pytest.raises(FileNotFoundError) as raised:
        found.read("nothing")
    assert str(raised.value) == f"{made.path} has no table 'nothing'; it has {found.tables}."
    with pytest.raises(ValueError) as raised:
        found.read(table, [*columns, "nothing"])
    assert str(raised.value) == (
        f"the table {table} of {made.path} lacks the columns ['nothing']; it has {columns}; "
        f"repeat `gpu-coord {made.command}`."
    )


@pytest.mark.parametrize("content", [None, "{", "{}", "[1]"])
def test_open_run__says_that_there_is_none(tmp_path, content):
    for form in FORMS if content else ():
        (tmp_path / form.marker).write_text(content)
    for path in (tmp_path, tmp_path / "nowhere"):
        for look in (open_run, verify):
            with pytest.raises(FileNotFoundError) as raised:
                look(path)
            said = f"there is no result at {path}; the commands of gpu-coord make one."
            assert str(raised.value) == said
    with pytest.raises(FileNotFoundError, match=r"no run at .*; `gpu-coord detect` and .* make"):
        open_run(tmp_path, *RUN.commands)
    with pytest.raises(FileNotFoundError, match=r"no model at .*; `gpu-coord model` makes one\."):
        open_run(tmp_path, "model")


def test_open_run__says_that_a_store_is_one(world):
    with pytest.raises(ValueError, match=r"is a store, and no result; open_store opens it\."):
        open_run(world[1].path)


def test_sweep__that_was_stopped_says_so_and_goes_on(make, find, tmp_path):
    def stop(stage, done, total):
        if (stage, done) == ("cells", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make("sweep", tmp_path / "out", progress=stop)
    for look in (open_run, verify):
        with pytest.raises(FileNotFoundError, match="give the same command again, and it goes on"):
            look(tmp_path / "out")
    found = make("sweep", tmp_path / "out")
    check_same_tables(found, find("sweep")[0])


# --- verified ------------------------------------------------------------------------------------


@each_kind
def test_verify__passes_what_was_written(find, name):
    path = find(name)[0].path
    assert verify(path) == {"n_tables": len(read_files(path, ".parquet"))}


@pytest.mark.parametrize("name", ["cycle"])
def test_verify__is_a_command(copied):
    n_tables = len(read_files(copied.path, ".parquet"))
    arguments = ["verify", str(copied.path)]
    done = invoke(*arguments)
    assert (done.exit_code, f"{n_tables} tables are whole" in done.stdout) == (0, True)
    done = invoke(*arguments, "--json")
    assert json.loads(done.stdout) == {"n_tables": n_tables}
    copied.find("objects").unlink()
    done = invoke(*arguments)
    assert (done.exit_code, "objects.parquet is missing; rep" in done.stderr) == (1, True)


DAMAGES = {
    "is not the file that was written with its folder": lambda file: (
        pl.read_parquet(file).with_columns(pl.lit(1).alias("added")).write_parquet(file)
    ),
    "is no readable Parquet file (": lambda file: file.write_bytes(file.read_bytes()[:-9]),
    "is missing": lambda file: file.unlink(),
}


@each_kind
def test_verify__names_the_table_that_was_changed_cut_off_or_lost(copied):
    for name, content in read_files(copied.path, ".parquet").items():
        file = copied.path / name
        for said, damage in DAMAGES.items():
            damage(file)
            with pytest.raises(ValueError) as raised:
                verify(copied.path)
            assert str(raised.value).startswith(f"{file} {said}")
            noun = "run" if "/" in name else copied.form.noun
            assert str(raised.value).endswith(f"; repeat the {noun}.")
            file.write_bytes(content)
    verify(copied.path)


@pytest.mark.parametrize("name", [*RUNS, "calibrate", "simulate"])
def test_verify__names_the_file_that_was_changed_or_lost(copied):
    assert copied.content["files"]
    for name in copied.content["files"]:
        file, marker = copied.path / name, copied.path / copied.form.marker
        content, said_before = file.read_bytes(), marker.read_bytes()
        file.write_bytes(content + b" ")
        with pytest.raises(ValueError, match="is not the file that was written with its folder"):
            verify(copied.path)
        file.unlink()
        with pytest.raises(ValueError, match=rf"{name} is missing; repeat the "):
            verify(copied.path)
        edit(copied, lambda content, name=name: content["files"].pop(name))
        verify(copied.path)  # there is none, and none is said to be there
        file.write_bytes(content)
        with pytest.raises(ValueError, match="is not the file that was written with its folder"):
            verify(copied.path)
        marker.write_bytes(said_before)
    verify(copied.path)


@pytest.mark.parametrize("name", RUNS)
def test_verify__holds_the_summary_against_the_edges(copied):
    n_edges = copied.summary["n_edges"]
    edit(copied, lambda content: content["summary"].update(n_edges=n_edges + 1))
    said = f"counts {n_edges + 1} edges, but edges.parquet has {n_edges}; repeat the run"
    with pytest.raises(ValueError, match=said):
        verify(copied.path)


# --- replaced, or not ----------------------------------------------------------------------------


@each_kind
def test_command__given_again_writes_the_same_bytes(make, find, copied, tmp_path, name):
    anew = name != "sweep"  # whose table has the seconds of each cell
    whole, again = find(name)[0], make(name, copied.path, overwrite=anew)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    assert read_files(whole.path, ".parquet") == read_files(again.path, ".parquet")
    contents = [found.content | {"stages": 0} for found in (whole, again)]
    for content in contents:
        content["summary"] = content["summary"] | {"seconds": 0}
    assert contents[0] == contents[1] and again.fingerprint == whole.fingerprint


@each_kind
def test_command__given_again_finds_what_it_made(make, find, copied, name):
    before, folder = read_files(copied.path), copied.path.stat().st_ino
    seen = []
    again = make(name, copied.path, progress=lambda *report: seen.append(report))
    assert not seen and again.content == copied.content
    assert read_files(copied.path) == before and copied.path.stat().st_ino == folder


def _lose(found):
    found.find(found.tables[0]).unlink()


def _age(found):
    edit(found, lambda content: content.update(gpu_coord="0.1.9"))


@pytest.mark.parametrize("change", [_lose, _age])
@pytest.mark.parametrize("name", ["strict", "cohorts", "simulate"])
def test_command__makes_anew_what_is_not_whole_or_of_another_version(
    make, find, copied, name, change
):
    change(copied)
    seen = []
    again = make(name, copied.path, progress=lambda *report: seen.append(report))
    assert seen and verify(again.path)
    check_same_tables(find(name)[0], again)


@pytest.mark.parametrize("name", ["strict"])
def test_command__makes_graphs_where_they_are_asked_for(make, copied):
    edit(copied, lambda content: content.update(graphs_written=False))
    for graphs, is_made in ((False, False), (True, True), (True, False)):
        seen = []
        make(
            "strict",
            copied.path,
            graphs=graphs,
            progress=lambda *each, seen=seen: seen.append(each),
        )
        assert bool(seen) == is_made


@each_kind
def test_command__replaces_another_result_only_where_it_is_told(make, find, copied, name):
    whole, before = find(name)[0], read_files(copied.path, ".parquet")
    setting = list_choices(MADE[name].settings)[-1].name
    # A marker with a text in the place of a count would be nobody's.
    other = 7 if setting.startswith("n_") else "other"
    changes = (
        lambda content: content["settings"].update({setting: other}),
        lambda content: content["input"].update(manifest_sha256="other"),
        lambda content: content.update(specification="other"),
    )
    differs = f"with {setting} {other} and not"
    said = (f"{differs}|settings", "another store|input", "other inputs|speci")
    for change, words in zip(changes, said, strict=True):
        shutil.copy(whole.path / whole.form.marker, copied.path)
        edit(
            copied,
            lambda content, change=change: change(content) or content.update(specification="x"),
        )
        seen = []
        with pytest.raises(FileExistsError, match=rf"copy holds another .*({words}).*--overwrite"):
            make(name, copied.path, progress=lambda *report, seen=seen: seen.append(report))
        assert not seen and read_files(copied.path, ".parquet") == before
    again = make(name, copied.path, overwrite=True)
    assert again.fingerprint == whole.fingerprint
    check_same_tables(whole, again)


@pytest.mark.parametrize(("name", "other"), [("detect", "share"), ("strict", "detect")])
def test_command__replaces_the_run_of_another_command_only_where_it_is_told(
    copied, make, name, other
):
    edit(copied, lambda content: content.update(command=other))
    with pytest.raises(
        FileExistsError, match=rf"another run, made by `gpu-coord {other}`; give --o"
    ):
        make(name, copied.path)
    assert make(name, copied.path, overwrite=True).command != other


def test_sweep__that_is_another_is_removed_where_that_is_told(find, make, tmp_path):
    shutil.copytree(find("sweep")[0].path, tmp_path / "out")
    smaller = {"kinds": ["hashtag,url"], "min_support": [2]}
    with pytest.raises(FileExistsError, match=r"holds another sweep: its grid is .*--overwrite"):
        make("sweep", tmp_path / "out", grid=smaller)
    found = make("sweep", tmp_path / "out", grid=smaller, overwrite=True)
    assert found.summary["n_cells"] == 1 and len(list((found.path / "cells").iterdir())) == 1
    (found.path / "notes.txt").write_text("keep")
    with pytest.raises(FileExistsError, match=r"also holds notes\.txt"):
        make("sweep", tmp_path / "out", overwrite=True)


@pytest.mark.parametrize("name", WITH_MACHINE)
def test_command__finds_the_same_with_another_memory_and_other_threads(make, find, tmp_path, name):
    machine = {"backend": choose("cpu", threads=1)}
    if name != "model":  # whose rows are learned block by block, and close to the same only
        machine["memory"] = 20_000
    whole, other = find(name)[0], make(name, tmp_path / "out", **machine)
    assert other.content["specification"] == whole.content["specification"]
    check_same_tables(whole, other)


@each_kind
def test_command__replaces_nothing_but_its_own(world, make, copied, tmp_path, name):
    for place in ("mine", "file", "other"):
        (tmp_path / place).mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    (tmp_path / "file").rmdir()
    (tmp_path / "file").write_text("keep")
    # One command may replace the run of another, but no other sort of folder.
    marker = "run.json" if copied.form is not RUN else "model.json"
    shutil.copy(world[0] / "run" / "run.json", tmp_path / "other" / marker)
    before = read_files(tmp_path)
    for place in ("mine", "file", "other"):
        said = rf"{place} exists and has no {copied.form.marker} of ours, so .*; choose another"
        with pytest.raises(FileExistsError, match=said):
            make(name, tmp_path / place)
    assert read_files(tmp_path) == before
    if name != "sweep":
        places = [path for path in (copied.path, *copied.path.iterdir()) if path.is_dir()]
        (places[-1] / "notes.txt").write_text("keep")
        before = read_files(tmp_path)
        with pytest.raises(FileExistsError, match=r"also holds notes\.txt, so it is not replaced"):
            make(name, copied.path)
        assert read_files(tmp_path) == before


@pytest.mark.parametrize("name", STORED)
def test_command__writes_nothing_into_the_store(world, make, name):
    before = read_files(world[1].path)
    with pytest.raises(ValueError, match=r"lies in the store .*; write \w+ elsewhere\."):
        make(name, world[1].path / "out")
    assert read_files(world[1].path) == before


@pytest.mark.parametrize("name", ATOMIC)
def test_command__that_was_stopped_leaves_what_was_there(make, find, copied, tmp_path, name):
    before, reports = read_files(tmp_path), find(name)[1]
    ends = [place for place, (_, done, total) in enumerate(reports) if done == total]
    for last in {0, ends[-1], *ends[:: -(-len(ends) // 4)]}:
        for out, error in ((copied.path, KeyboardInterrupt), (tmp_path / "new", MemoryError)):
            seen = []

            def stop(*report, seen=seen, last=last, error=error):
                seen.append(report)
                if len(seen) > last:
                    raise error

            with pytest.raises(error):
                make(name, out, progress=stop, overwrite=True)
            assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    assert read_files(tmp_path) == before


# --- of version 0.1 ------------------------------------------------------------------------------

NEW = {  # what 0.1 did not write, beside the marker's version and the direction
    "detect": ["command"],
    "calibrate": ["command", "input", "stages"],
    "sweep": ["command", "settings", "specification", "stages"],
}


def age_edges(edges):
    """Return edges as version 0.1 had them: the significant ones made the network."""
    if "significant" in edges.columns:
        edges = edges.with_columns(significant="in_network")
    return edges.drop("in_network", "tier", "q_habit", "expected_habit", strict=False)


def age(found):
    """Make a folder one of version 0.1."""
    for marker in found.path.rglob(found.form.marker):
        part = open_run(marker.parent)
        if part.form is RUN:
            part.read("edges").pipe(age_edges).write_parquet(part.find("edges"))

        def change(content, part=part):
            for key in ("marker_version", "directed", *NEW.get(part.command, ())):
                content.pop(key, None)
            if part.form is RUN:
                content["tables"]["edges"] = describe_table(part.find("edges"))

        edit(part, change)
    return open_run(found.path)


@pytest.mark.parametrize("name", STORED)
def test_version_0_1__stays_readable(find, copied, name):
    whole, old = find(name)[0], age(copied)
    assert "marker_version" not in old.content
    assert (old.command, old.summary) == (whole.command, whole.summary) and repr(old)
    assert old.is_directed == whole.is_directed
    assert verify(old.path) == verify(whole.path)
    if old.form is RUN:
        wanted = whole.read_network().pipe(age_edges)
        assert_frame_equal(old.read_network(), wanted)
        assert name == "fused" or whole.read_network().height


@pytest.mark.parametrize("name", ["coortweet"])
def test_version_0_1__that_does_not_tell_its_subgraph_is_refused(copied):
    old = age(copied)
    edit(old, lambda content: content["settings"].update(subgraph=1))
    with pytest.raises(ValueError, match=r"does not tell which edges are in its subgraph; repeat"):
        open_run(old.path).read_network()


@pytest.mark.parametrize("name", ["simulate"])
def test_version_0_1__of_a_simulation_is_refused(copied):
    sizes = {"sizes": copied.summary, "parameters": copied.content["parameters"]}
    write_json(copied.path / "simulation.json", {"gpu_coord": "0.1.0"} | copied.settings | sizes)
    for look in (open_run, verify):
        with pytest.raises(ValueError, match=r"of version 0\.1\.0 .*; repeat `gpu-coord simulate`"):
            look(copied.path)


# --- what makes a result another -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"), [("model", "candidates"), ("cascades", "run"), ("cohorts", "run")]
)
def test_specification__tells_by_which_run_it_was_made(make, find, tmp_path, name, key):
    again, other = (make(name, tmp_path / run, **{key: run}) for run in ("again", "other"))
    hashes = [found.content["specification"] for found in (find(name)[0], again, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert find(name)[0].fingerprint == again.fingerprint != other.fingerprint
    assert again.content["input"][key]["folder"] == "again"


@pytest.mark.parametrize("name", STORED)
def test_specification__tells_by_which_labels_it_was_made(make, find, tmp_path, name):
    labels = pl.DataFrame({"account_id": list(LABELS), "label": list(LABELS.values())[::-1]})
    other = make(name, tmp_path / "out", labels=labels)
    assert len(other.content["input"]["labels_sha256"]) == 64
    assert other.content["specification"] != find(name)[0].content["specification"]


def test_specification__tells_seeds_grids_and_parameters_apart(world, make, find, tmp_path):
    (world[0] / "more.txt").write_text("o1\np1\n")
    for name, choices in (
        ("cycle", {"seeds": "more.txt"}),
        ("sweep", {"grid": {"kinds": ["hashtag,url"]}}),
        ("simulate", {"overrides": SMALL | {"n_core": 1}}),
    ):
        other = make(name, tmp_path / name, **choices)
        assert other.content["specification"] != find(name)[0].content["specification"]


@pytest.mark.parametrize(("name", "is_directed"), [("fused", True), ("coact", False)])
def test_direction__of_layers_is_followed_by_all_that_read_them(copied, is_directed):
    assert copied.is_directed == is_directed
    edges = copied.read("edges").with_columns(significant=pl.lit(True), in_network=pl.lit(True))
    edges.write_parquet(copied.find("edges"))
    ends = set(edges.select("source", "target").rows())
    read = set(read_candidates(copied).select("source", "target").rows())
    assert read == (ends if is_directed else ends | {pair[::-1] for pair in ends})


# --- requests that cannot be met -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "arguments", "code", "message"),
    [
        ("cascades", "--kind nothing", 1, "the store has no nothing"),
        ("cascades", "--inside nobody", 1, "the labels are operation, other"),
        ("cascades", "--window 1y", 1, "is no duration"),
        ("cascades", "--run nowhere", 1, "there is no run at nowhere"),
        ("cascades", "--group-by platform", 2, "platform"),
        ("cascades", "--min-shares 0", 2, "min-shares"),
        ("cohorts", "--by role", 1, "by is 'role', which a run tells"),
        ("cohorts", "--controls x", 1, "the labels are operation, other"),
        ("cohorts", "--run nowhere", 1, "there is no run at nowhere"),
        ("cohorts", "--period year", 2, "period"),
        ("cycle", "--seeds SEEDS --window soon", 1, "'soon' is no window"),
        ("cycle", "--seeds SEEDS --kind nothing", 1, "the store has no nothing"),
        ("cycle", "--seeds SEEDS --max-rounds 0", 2, "max-rounds"),
        ("cycle", "--seeds SEEDS --mode x", 2, "mode"),
        ("model", "--kinds mention", 1, "the store has no mention"),
        ("model", "--kinds hashtag --no-background", 1, "impossible without a background"),
        ("model", "--candidates nowhere", 1, "there is no run at nowhere"),
        ("model", "--kinds hashtag --min-posts 100000", 1, "no event of the kinds hashtag is left"),
        ("model", "--emission other", 2, "emission"),
        ("model", "--min-support 0", 2, "min-support"),
        ("coact", "--layers url", 1, "'url' is no layer"),
        ("coact", "--layers ,", 1, "layers is empty"),
        ("coact", "--layers co_url --merge both", 2, "merge"),
        ("coact", "--layers co_url --min-layers 2", 1, "there are 1 layers"),
    ],
)
def test_commands__say_in_one_sentence_what_is_wrong(
    world, tmp_path, command, arguments, code, message
):
    folder, store = world
    words = arguments.replace("SEEDS", str(folder / "seeds.txt")).split()
    said = refuse(code, command, store.path, "--out", tmp_path / "out", *words)
    assert message in " ".join(said.split()) and "Traceback" not in said
    assert said.startswith("error: " if code == 1 else "Usage: ")
    assert list(tmp_path.iterdir()) == []
