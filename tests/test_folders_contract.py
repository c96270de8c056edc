"""What every folder that a command writes keeps to, whichever command it was."""

import json
import shutil
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

import gpu_coord as gc
from gpu_coord.accounts.settings import CohortSettings
from gpu_coord.backend import choose
from gpu_coord.cli import app
from gpu_coord.detection.settings import DetectSettings
from gpu_coord.ground.folders import write_json
from gpu_coord.model.fitting import read_candidates
from gpu_coord.model.settings import ModelSettings
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.results.forms import FORMS, RUN
from gpu_coord.results.verification import verify
from gpu_coord.sharing.settings import CoactSettings, CycleSettings, ShareSettings
from gpu_coord.simulation.settings import SimulateSettings
from gpu_coord.spread.settings import CascadeSettings
from gpu_coord.store.tables import describe_table
from gpu_coord.trust.calibration import calibrate
from gpu_coord.trust.settings import CalibrateSettings, SweepSettings

HOUR, DAY = 3600, 86_400
LABELS = {"lead": "operation", "amp": "operation", "u0": "other"}
KINDS = ("hashtag", "url")


def draw_events(n_others=12, n_days=20):
    """Return events in which amp follows lead an hour later and at once, late on some days."""
    rng = np.random.default_rng(0)
    events = []

    def use(account, second, kind, entity):
        one = {"account": account, "kind": kind, "entity": entity, "time_seconds": int(second)}
        events.append(one)

    for day in range(n_days):
        for u in range(n_others):
            for hour in rng.choice(24, 2):
                use(f"u{u}", day * DAY + hour * HOUR, KINDS[u % 2], "xyz"[u % 3])
        start = day * DAY + int(rng.integers(0, 22)) * HOUR
        use("lead", start, "hashtag", "x")
        use("amp", start + HOUR, "hashtag", "x")
        for entity in (f"o{day % 5}", f"p{day % 5}"):
            use("lead", start + 100, "url", entity)
            use("amp", start + 107, "url", entity)
        if day % 5 == 0:
            use("late", start + 120, "url", "o0")
        use("amp", start + 130, "retweet", str(len(events) - 5))  # some of them posts by lead
    return events


@dataclass(frozen=True)
class World:
    """What commands are given."""

    folder: Path
    store: gc.store.store.Store
    runs: dict[str, Findings]


@pytest.fixture(scope="session")
def world(make_store, tmp_path_factory):
    store = make_store(draw_events(), labels=LABELS)
    accounts = store.read("accounts")
    made = [date(1969, 12, 1 + place) for place in range(accounts.height)]
    accounts = accounts.with_columns(account_creation_date=pl.Series(made))
    accounts.write_parquet(store.path / "accounts.parquet")
    folder = tmp_path_factory.mktemp("contract")
    (folder / "seeds.txt").write_text("o1\np1\nnowhere.org\n")
    truth = pl.DataFrame({"account_id": list(LABELS), "label": list(LABELS.values())})
    truth.write_csv(folder / "truth.csv")
    choices = {"kinds": KINDS, "groups": 0}
    runs = {
        "run": gc.detect(store, folder / "run", **choices),
        "again": gc.detect(store, folder / "again", **choices),
        "other": gc.detect(store, folder / "other", alpha=0.2, **choices),
    }
    return World(folder, store, runs)


@dataclass(frozen=True)
class Kind:
    """A way to make a folder: the command and its choices."""

    command: str
    settings: type
    function: object
    choices: dict
    inputs: frozenset = frozenset()  # beside the store, as the marker names them
    stages: tuple = ()
    has_machine: bool = True
    is_directed: bool | None = None  # None: it has no edges

    def make(self, world, out, **more):
        needs = {
            "cycle": (world.store, world.folder / "seeds.txt", out),
            "sweep": (world.store, self.choices.get("grid"), out),
            "simulate": (out,),
        }.get(self.command, (world.store, out))
        choices = {name: value for name, value in self.choices.items() if name != "grid"}
        for name in ("run", "candidates"):
            if name in choices:
                choices[name] = world.runs[choices[name]]
        if self.command == "sweep":
            choices["truth"] = world.folder / "truth.csv"
        return self.function(*needs, **choices | more)


SHARING = {"kinds": ("url",), "tests": False}
SMALL = {"n_plants": 4, "n_amplifiers": 6, "n_core": 2, "n_accounts": 60}
MADE = {
    "detect": Kind(
        "detect", DetectSettings, gc.detect,
        {"kinds": KINDS, "groups": 1, "split_at": "1970-01-08"},
        stages=("activity", "chance", "pairs", "network", "groups", "effects", "evidence",
                "tables"), is_directed=True,
    ),
    "strict": Kind(
        "share", ShareSettings, gc.share, {"kinds": ("url",), "intervals": True},
        stages=("shares", "pairs", "edges", "chance", "network", "intervals", "tables"),
        is_directed=False,
    ),
    "coortweet": Kind(
        "share", ShareSettings, gc.share,
        SHARING | {"mode": "coortweet", "fast_window": "5s", "edge_weight_quantile": 0.1,
                   "compare": True},
        is_directed=False,
    ),
    "coornet": Kind(
        "share", ShareSettings, gc.share,
        SHARING | {"mode": "coornet", "edge_weight_quantile": 0.0}, is_directed=False,
    ),
    "qut": Kind("share", ShareSettings, gc.share, SHARING | {"mode": "qut"}, is_directed=True),
    "coact": Kind(
        "coact", CoactSettings, gc.coact, {"layers": ("co_url", "co_hashtag:2h")},
        stages=("shares", "pairs", "edges", "merge", "network", "tables"), is_directed=False,
    ),
    "fused": Kind(
        "coact", CoactSettings, gc.coact,
        {"layers": ("co_url", "fast_retweet:1m"), "merge": "fused"}, is_directed=True,
    ),
    "cycle": Kind(
        "cycle", CycleSettings, gc.run_cycle, {}, inputs=frozenset({"seeds_sha256"}),
        stages=("read", "round_01", "round_02", "write"),
    ),
    "model": Kind(
        "model", ModelSettings, gc.fit_model, {"kinds": KINDS, "candidates": "run"},
        inputs=frozenset({"candidates"}), stages=("activity", "candidates", "rows", "write"),
    ),
    "cascades": Kind(
        "cascades", CascadeSettings, gc.trace_cascades, {"run": "run"},
        inputs=frozenset({"run", "inside_sha256"}), stages=("read", "platforms", "catalysts", "write"),
        has_machine=False,
    ),
    "cohorts": Kind(
        "cohorts", CohortSettings, gc.compare_cohorts, {"run": "run", "min_accounts": 1},
        inputs=frozenset({"run"}), stages=("read", "compare"), has_machine=False,
    ),
    "calibrate": Kind(
        "calibrate", CalibrateSettings, calibrate, {"kinds": KINDS, "groups": 0, "n_copies": 1},
        stages=("activity", "copies"),
    ),
    "sweep": Kind(
        "sweep", SweepSettings, gc.sweep,
        {"grid": {"kinds": ["hashtag,url"], "min_support": [1, 3], "alpha": [0.05, 0.2]}},
        inputs=frozenset({"grid_sha256", "truth_sha256"}), stages=("specifications", "tables"),
        is_directed=True,
    ),
    "simulate": Kind(
        "simulate", SimulateSettings, gc.simulate, {"n_posts": 2000, "overrides": SMALL},
        inputs=frozenset({"parameters_sha256"}), stages=("posts",), has_machine=False,
    ),
}  # fmt: skip
ATOMIC = [name for name in MADE if name != "sweep"]  # which goes on where it was stopped
RUNS = [name for name, kind in MADE.items() if kind.command in RUN.commands]
LABELLED = [name for name, kind in MADE.items() if kind.command != "simulate"]


@pytest.fixture(scope="session")
def make_whole(world):
    """Return a function that makes a folder of a kind once, and tells the progress of it."""
    made = {}

    def make(name):
        if name not in made:
            seen = []
            found = MADE[name].make(
                world, world.folder / name, progress=lambda *report: seen.append(report)
            )
            made[name] = found, seen
        return made[name]

    return make


@pytest.fixture
def whole(request, make_whole):
    """Return what was found; nobody may change its folder."""
    return make_whole(request.param)[0]


@pytest.fixture
def copied(request, make_whole, tmp_path):
    """Return a copy of the folder, to be changed."""
    found, _ = make_whole(request.param)
    shutil.copytree(found.path, tmp_path / "copy")
    return open_run(tmp_path / "copy")


def over(fixture, names=tuple(MADE)):
    return pytest.mark.parametrize(fixture, names, indirect=fixture in ("whole", "copied"))


def read_tables(folder):
    """Return the bytes of each table, by its path in the folder."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*.parquet"))
        if file.parent.name != "networks"  # of a sweep, named by what they hold
    }


def read_all(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def edit(found, change):
    """Change the marker of a folder."""
    content = json.loads((found.path / found.form.marker).read_text())
    change(content)
    write_json(found.path / found.form.marker, content)


def hash_plainly(file):
    return sha256(file.read_bytes()).hexdigest()


# --- what the marker says ------------------------------------------------------------------------


def test_commands__are_all_here():
    assert {kind.command for kind in MADE.values()} == {c for form in FORMS for c in form.commands}


@over("name")
def test_marker__names_what_was_done_to_what(world, make_whole, name):
    kind, (found, seen) = MADE[name], make_whole(name)
    content = json.loads((found.path / found.form.marker).read_text())
    assert content == found.content and content["gpu_coord"] == gc.__version__
    assert (content["command"], content["marker_version"]) == (kind.command, 2)
    assert list(content["settings"]) == [
        each.name for each in kind.settings.__dataclass_fields__.values()
    ]
    assert len(content["specification"]) == 64
    of_store = (
        {"store", "manifest_sha256", "labels_sha256"} if kind.command != "simulate" else set()
    )
    assert set(content["input"]) == of_store | kind.inputs
    if of_store:
        manifest = hash_plainly(world.store.path / "manifest.json")
        named = (world.store.path.name, manifest, None)
        assert tuple(content["input"][key] for key in sorted(of_store, reverse=True)) == named
    for key in kind.inputs & {"run", "candidates"}:
        run = world.runs["run"]
        assert content["input"][key] == {
            "folder": "run", "command": "detect", "fingerprint": run.fingerprint,
            "specification": run.content["specification"],
        }  # fmt: skip
    assert all(len(v) == 64 for k, v in content["input"].items() if v and k.endswith("_sha256"))
    assert content.get("directed") == kind.is_directed
    assert kind.is_directed is None or found.is_directed == kind.is_directed
    stages = [stage["stage"] for stage in content["stages"]]
    assert len(stages) == len(set(stages)) and set(stages) <= {stage for stage, *_ in seen}
    assert not kind.stages or tuple(stages) == kind.stages
    assert all(s["seconds"] >= 0 and s["peak_memory_bytes"] > 1 << 20 for s in content["stages"])
    assert all(0 <= done <= total for _, done, total in seen)


@over("whole")
def test_marker__describes_each_table_and_file(whole):
    files = {file.name: file for file in whole.path.iterdir()}
    assert {name for name in files if name.endswith(".parquet")} >= {
        f"{name}.parquet" for name in whole.content["tables"]
    }
    assert set(whole.content["tables"]) == set(whole.tables) <= set(whole.form.tables)
    for name, described in whole.content["tables"].items():
        file = files[f"{name}.parquet"]
        assert described == {
            "rows": pl.read_parquet(file).height, "size": file.stat().st_size,
            "sha256": hash_plainly(file),
        }  # fmt: skip
    described = whole.content.get("files", {})
    assert set(described) == set(whole.form.files) & set(files)
    for name, said in described.items():
        assert said == {"size": files[name].stat().st_size, "sha256": hash_plainly(files[name])}
    known = whole.form.names | {"cells", "networks", "sweep.lock"}
    assert set(files) <= known


# --- opened --------------------------------------------------------------------------------------


@over("whole")
def test_open_run__opens_it_whatever_it_is(whole):
    found = open_run(str(whole.path))
    assert found.command == whole.command and found.summary == whole.summary
    assert open_run(found) is found and open_run(whole.path, whole.command).form is whole.form
    assert repr(found).startswith(f"Findings({whole.command} {str(whole.path)!r}: ")
    counts = [v for k, v in found.summary.items() if k.startswith("n_") and v is not None]
    assert counts and all(f" {count:,}" in repr(found) for count in counts)
    name = found.tables[0]
    column = found.read(name).columns[0]
    assert found.read(name, [column]).columns == [column]
    with pytest.raises(FileNotFoundError) as raised:
        found.read("nothing")
    assert str(raised.value) == f"{whole.path} has no table 'nothing'; it has {found.tables}."
    with pytest.raises(ValueError) as raised:
        found.read(name, [column, "nothing"])
    assert str(raised.value) == (
        f"the table {name} of {whole.path} lacks the columns ['nothing']; it has "
        f"{found.read(name).columns}; repeat `gpu-coord {whole.command}`."
    )


@pytest.mark.parametrize("content", [None, "{", "{}", "[1]"])
def test_open_run__says_that_there_is_none(tmp_path, content):
    for form in FORMS:
        if content is not None:
            (tmp_path / form.marker).write_text(content)
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError) as raised:
            open_run(path)
        assert str(raised.value) == (
            f"there is no result at {path}; the commands of gpu-coord make one."
        )
        with pytest.raises(FileNotFoundError, match="there is no result at"):
            verify(path)
    with pytest.raises(FileNotFoundError) as raised:
        open_run(tmp_path, *RUN.commands)
    assert str(raised.value) == (
        f"there is no run at {tmp_path}; `gpu-coord detect` and `gpu-coord share` and "
        "`gpu-coord coact` make one."
    )
    with pytest.raises(FileNotFoundError, match=r"no model at .*; `gpu-coord model` makes one\."):
        open_run(tmp_path, "model")


def test_open_run__says_that_a_store_is_one(world):
    with pytest.raises(ValueError, match=r"is a store, and no result; open_store opens it\."):
        open_run(world.store.path)


def test_sweep__that_was_stopped_says_so_and_goes_on(world, make_whole, tmp_path):
    def stop(stage, done, total):
        if (stage, done) == ("cells", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MADE["sweep"].make(world, tmp_path / "out", progress=stop)
    for look in (open_run, verify):
        with pytest.raises(FileNotFoundError, match="give the same command again, and it goes on"):
            look(tmp_path / "out")
    found = MADE["sweep"].make(world, tmp_path / "out")
    assert verify(found.path) == {"n_tables": 5}
    whole = make_whole("sweep")[0]
    for name in whole.tables:
        frames = [each.read(name).drop("seconds", strict=False) for each in (found, whole)]
        assert_frame_equal(*frames, check_exact=True)


# --- verified ------------------------------------------------------------------------------------


@over("whole")
def test_verify__passes_what_was_written(whole):
    assert verify(whole.path) == {"n_tables": len(read_tables(whole.path))}


def test_verify__is_a_command(make_whole):
    found = make_whole("cycle")[0]
    n_tables = len(read_tables(found.path))
    done = CliRunner().invoke(app, ["verify", str(found.path)])
    assert (done.exit_code, f"{n_tables} tables are whole" in done.stdout) == (0, True)
    done = CliRunner().invoke(app, ["verify", str(found.path), "--json"])
    assert json.loads(done.stdout) == {"n_tables": n_tables}


DAMAGES = {
    "is not the file that was written with its folder": lambda file: (
        pl.read_parquet(file).with_columns(pl.lit(1).alias("added")).write_parquet(file)
    ),
    "is no readable Parquet file (": lambda file: file.write_bytes(file.read_bytes()[:-9]),
    "is missing": lambda file: file.unlink(),
}


@over("copied")
def test_verify__names_the_table_that_was_changed_cut_off_or_lost(copied):
    for name, content in read_tables(copied.path).items():
        for said, damage in DAMAGES.items():
            damage(copied.path / name)
            with pytest.raises(ValueError) as raised:
                verify(copied.path)
            assert str(raised.value).startswith(f"{copied.path / name} {said}")
            noun = "run" if "/" in name else copied.form.noun
            assert str(raised.value).endswith(f"; repeat the {noun}.")
            (copied.path / name).write_bytes(content)
    verify(copied.path)


@over(
    "copied",
    [name for name in MADE if name not in ("cascades", "cohorts", "cycle", "model", "sweep")],
)
def test_verify__names_the_file_that_was_changed_or_lost(copied):
    assert copied.content["files"]
    for name in copied.content["files"]:
        content = (copied.path / name).read_bytes()
        (copied.path / name).write_bytes(content + b" ")
        with pytest.raises(ValueError, match="is not the file that was written with its folder"):
            verify(copied.path)
        (copied.path / name).unlink()
        with pytest.raises(ValueError, match=rf"{name} is missing; repeat the "):
            verify(copied.path)
        (copied.path / name).write_bytes(content)


@over("copied", ["detect", "strict", "qut", "coact"])
def test_verify__holds_the_summary_against_the_edges(copied):
    n_edges = copied.summary["n_edges"]
    edit(copied, lambda content: content["summary"].update(n_edges=n_edges + 1))
    said = f"counts {n_edges + 1} edges, but edges.parquet has {n_edges}; repeat the run"
    with pytest.raises(ValueError, match=said):
        verify(copied.path)


# --- replaced, or not ----------------------------------------------------------------------------


@over("name")
def test_command__given_again_writes_the_same_bytes(world, make_whole, tmp_path, name):
    whole, out = make_whole(name)[0], tmp_path / "out"
    shutil.copytree(whole.path, out)
    again = MADE[name].make(world, out)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    one, other = read_tables(whole.path), read_tables(again.path)
    assert one.keys() == other.keys() and not [key for key in one if one[key] != other[key]]
    described = [
        {k: v for k, v in found.content.items() if k not in ("stages", "summary")}
        for found in (whole, again)
    ]
    assert described[0] == described[1] and again.fingerprint == whole.fingerprint
    assert {**again.summary, "seconds": 0} == {**whole.summary, "seconds": 0}


@over("name", [name for name, kind in MADE.items() if kind.has_machine])
def test_command__finds_the_same_with_another_memory_and_other_threads(
    world, make_whole, tmp_path, name
):
    # A model's rows are learned block by block, and close to the same only.
    memory = {} if name == "model" else {"memory": 20_000}
    other = MADE[name].make(world, tmp_path / "out", backend=choose("cpu", threads=1), **memory)
    whole = make_whole(name)[0]
    assert other.content["specification"] == whole.content["specification"]
    for table in whole.tables:
        frames = [found.read(table).drop("seconds", strict=False) for found in (whole, other)]
        assert_frame_equal(*frames, check_exact=True)


@over("copied")
def test_command__replaces_nothing_but_its_own(request, world, copied, tmp_path):
    name = request.node.callspec.params["copied"]
    kind, mine = MADE[name], tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep")
    (tmp_path / "file").write_text("keep")
    other = tmp_path / "other"
    shutil.copytree(world.folder / "run", other)
    if copied.form is RUN:  # which one command may replace with another's
        (other / "run.json").rename(other / "model.json")
    for path in (mine, tmp_path / "file", other):
        before = read_all(path) if path.is_dir() else path.read_bytes()
        with pytest.raises(
            FileExistsError, match=rf"{path.name} exists and has no {copied.form.marker}"
        ):
            kind.make(world, path)
        assert (read_all(path) if path.is_dir() else path.read_bytes()) == before
    if name != "sweep":
        places = [path for path in (copied.path, *copied.path.iterdir()) if path.is_dir()]
        (places[-1] / "notes.txt").write_text("keep")
        before = read_all(copied.path)
        with pytest.raises(FileExistsError, match=r"also holds notes\.txt, so it is not replaced"):
            kind.make(world, copied.path)
        assert read_all(copied.path) == before


@over("name", LABELLED)
def test_command__writes_nothing_into_the_store(world, name):
    before = read_all(world.store.path)
    with pytest.raises(ValueError, match=r"lies in the store .*; write \w+ elsewhere\."):
        MADE[name].make(world, world.store.path / "out")
    assert read_all(world.store.path) == before


@over("copied", ATOMIC)
def test_command__that_was_stopped_leaves_what_was_there(
    request, world, make_whole, copied, tmp_path
):
    name = request.node.callspec.params["copied"]
    reports, before = make_whole(name)[1], read_all(copied.path)
    ends = [place for place, (_, done, total) in enumerate(reports) if done == total]
    for number, place in enumerate([0, *ends]):
        n_seen = 0

        def stop(*_, place=place, error=(KeyboardInterrupt, MemoryError)[number % 2]):
            nonlocal n_seen
            n_seen += 1
            if n_seen > place:
                raise error

        for out in (copied.path, tmp_path / "new"):
            n_seen = 0
            with pytest.raises((KeyboardInterrupt, MemoryError)):
                MADE[name].make(world, out, progress=stop)
        assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    assert read_all(copied.path) == before


# --- of version 0.1 ------------------------------------------------------------------------------

UNNAMED = ("detect", "calibrate", "sweep", "simulate")  # the commands that 0.1 did not name


def age(found):
    """Make a folder one of version 0.1: what that did not write is gone."""
    for marker in sorted(found.path.rglob(found.form.marker)):
        part = open_run(marker.parent)
        if "edges" in part.tables and found.form is RUN:
            edges = part.read("edges").drop("in_network")
            edges.write_parquet(part.find("edges"))

        def change(content, part=part):
            new = {"marker_version", "directed", *({"command"} if part.command in UNNAMED else ())}
            new |= {"settings", "specification", "stages"} if part.command == "sweep" else set()
            new |= {"input", "stages"} if part.command == "calibrate" else set()
            for key in new:
                content.pop(key, None)
            if part.form is RUN:
                content["tables"]["edges"] = describe_table(part.find("edges"))
            if part.command == "coact":
                for layer in content["layers"]:
                    layer["directed"] = layer["layer"].startswith("fast")

        edit(part, change)
    return open_run(found.path)


@over("copied", LABELLED)
def test_version_0_1__stays_readable(request, make_whole, copied):
    kind, old = MADE[request.node.callspec.params["copied"]], age(copied)
    assert "marker_version" not in old.content
    assert old.command == kind.command and old.summary == copied.summary and repr(old)
    assert verify(old.path) == {"n_tables": len(read_tables(old.path))}
    if kind.is_directed is not None:
        assert old.is_directed == kind.is_directed
    if old.form is RUN:
        whole = open_run(make_whole(request.node.callspec.params["copied"])[0].path)
        assert_frame_equal(old.read_network(), whole.read_network().drop("in_network"))
        assert whole.read_network().height


@over("copied", ["coortweet"])
def test_version_0_1__that_does_not_tell_its_subgraph_is_refused(copied):
    old = age(copied)
    edit(old, lambda content: content["settings"].update(subgraph=1))
    with pytest.raises(ValueError, match=r"does not tell which edges are in its subgraph; repeat"):
        open_run(old.path).read_network()


@over("copied", ["simulate"])
def test_version_0_1__of_a_simulation_is_refused(copied):
    def change(content):
        settings, sizes = content.pop("settings"), content.pop("summary")
        for name in ("tables", "files", "input", "command", "marker_version", "stages"):
            del content[name]
        content |= settings | {"sizes": sizes}

    edit(copied, change)
    for look in (open_run, verify):
        with pytest.raises(ValueError, match=r"the simulation .* repeat `gpu-coord simulate`\."):
            look(copied.path)


# --- what makes a result another -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"), [("model", "candidates"), ("cascades", "run"), ("cohorts", "run")]
)
def test_specification__tells_by_which_run_it_was_made(world, make_whole, tmp_path, name, key):
    kind, whole = MADE[name], make_whole(name)[0]
    again = kind.make(world, tmp_path / "again", **{key: world.runs["again"]})
    other = kind.make(world, tmp_path / "other", **{key: world.runs["other"]})
    hashes = [found.content["specification"] for found in (whole, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert whole.fingerprint == again.fingerprint != other.fingerprint
    assert again.content["input"][key]["folder"] == "again"


@over("name", LABELLED)
def test_specification__tells_by_which_labels_it_was_made(world, make_whole, tmp_path, name):
    labels = pl.DataFrame({"account_id": list(LABELS), "label": list(LABELS.values())[::-1]})
    other = MADE[name].make(world, tmp_path / "out", labels=labels)
    whole = make_whole(name)[0]
    assert len(other.content["input"]["labels_sha256"]) == 64
    assert other.content["specification"] != whole.content["specification"]


@over("name", ["cycle", "sweep", "simulate"])
def test_specification__tells_seeds_grids_and_parameters_apart(world, make_whole, tmp_path, name):
    out, whole = tmp_path / "out", make_whole(name)[0]
    if name == "cycle":
        other = gc.run_cycle(world.store, ["o1", "p1"], out)
    elif name == "sweep":
        other = gc.sweep(world.store, {"kinds": ["hashtag,url"]}, out, **{})
    else:
        other = gc.simulate(out, n_posts=2000, overrides=SMALL | {"n_core": 1})
    assert other.content["specification"] != whole.content["specification"]


def test_direction__of_layers_is_followed_by_all_that_read_them(make_whole, tmp_path):
    for name, is_directed in (("fused", True), ("coact", False)):
        shutil.copytree(make_whole(name)[0].path, tmp_path / name)
        found = open_run(tmp_path / name)
        assert found.is_directed == is_directed
        edges = found.read("edges").with_columns(significant=pl.lit(True), in_network=pl.lit(True))
        edges.write_parquet(found.find("edges"))
        ends = set(edges.select("source", "target").rows())
        read = set(read_candidates(found).select("source", "target").rows())
        assert read == (ends if is_directed else ends | {pair[::-1] for pair in ends})
