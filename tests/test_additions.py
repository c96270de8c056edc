"""A store that inputs are added to is that of one ingest of all of them."""

import json
import os
import random
import subprocess
import sys

import polars as pl
import pytest
from archives import ingest_any, list_events, pack_zip, write_table
from exported import CASES
from runs import invoke, refuse
from test_vocabularies import FORMS, take_little_room

from gpu_coord.archive.ingest import ingest
from gpu_coord.ground.leftovers import hold
from gpu_coord.store.store import open_store, verify_store

KEYED = {"pseudonym_key": b"k"}
CHOICES = [{}, {"exclude": ("b", "u")}, KEYED, KEYED | {"exclude": ("b", "u")}, {"texts": True}]
IDS = "plain exclude key key-exclude texts".split()
SHARE = ["account_id", "content_id", "object_id", "timestamp_share", "platform"]


def read_all(store):
    return {file.name: file.read_bytes() for file in sorted(store.path.iterdir())}


def write_files(folder, form, n_files, n_rows, seed=5):
    """Files of a form that share accounts, posts and entities."""
    chance, files = random.Random(seed), []
    for number in range(n_files):
        rows = [(chance.choice("uvw"), chance.randrange(1, 3 * n_rows), chance.choice("abcdefgh"))
                for _ in range(n_rows)]  # fmt: skip
        files.append(folder / f"{number}.csv")
        content = FORMS[form](chance, rows).replace(b",\n", b",q\n")
        files[-1].write_bytes(content)
    return files


def check_same(added, whole):
    """Compare all but the cells in which a row differs from a post of the old inputs."""
    bytes_of = [{name: held for name, held in read_all(store).items() if "manifest" not in name}
                for store in (added, whole)]  # fmt: skip
    assert bytes_of[0] == bytes_of[1]
    facts = [{name: said for name, said in store.manifest.items() if name != "differing_cells"}
             for store in (added, whole)]  # fmt: skip
    assert facts[0] == facts[1]


def check_added(folder, parts, **choices):
    """Add parts (lists of paths) one after the other, and compare with one ingest of all."""
    whole = ingest_any([path for part in parts for path in part], folder / "whole", **choices)
    ingest_any(parts[0], folder / "added", **choices)
    for part in parts[1:]:
        added = ingest_any(part, folder / "added", add=True, **choices)
    verify_store(added.path)
    if not (added.manifest.keys() | whole.manifest.keys()) & {"differing_cells"}:
        assert read_all(added) == read_all(whole)
    check_same(added, whole)
    assert {path.name for path in folder.iterdir() if path.is_dir()} >= {"whole", "added"}
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    return added


@pytest.mark.filterwarnings("ignore:the store has pseudonyms")
@pytest.mark.parametrize("choices", CHOICES, ids=IDS)
@pytest.mark.parametrize("form", ["x", "crowdtangle"])
def test_add__gives_the_bytes_of_one_ingest(tmp_path, form, choices):
    files = write_files(tmp_path, form, 3, 12)
    added = check_added(tmp_path, [[file] for file in files], **choices)
    assert added.manifest["totals"]["duplicates"] > 0


@pytest.mark.parametrize("choices", [{}, KEYED], ids=["platforms", "key"])
def test_add__gives_the_bytes_of_one_ingest_of_shares(tmp_path, choices):
    files = write_files(tmp_path, "shares", 3, 20)
    if choices:
        for file in files:
            file.write_bytes(file.read_bytes().replace(b",q\n", b",p\n"))
    added = check_added(tmp_path, [[file] for file in files], **choices)
    ids = added.read("accounts")["account_id"].to_list()
    assert choices or ("p:u" in ids and "q:u" in ids)


@pytest.mark.parametrize("form", FORMS)
def test_add__gives_the_bytes_of_one_ingest_in_little_room(tmp_path, form):
    files = write_files(tmp_path, form, 2, 16)
    with pytest.MonkeyPatch.context() as patch:
        take_little_room(patch)
        if form != "crowdtangle":
            check_added(tmp_path, [[file] for file in files])
            return
        # A link that comes later stands where its part ends, which is another place then.
        ingest_any(files[0], tmp_path / "little")
        little = ingest_any(files[1], tmp_path / "little", add=True)
    whole = ingest_any(files, tmp_path / "whole")
    assert list_events(little) == list_events(whole)


@pytest.mark.parametrize("case", [CASES[0], CASES[5]], ids=lambda case: case.layout)
def test_add__knows_the_posts_of_exports_again(tmp_path, case):
    file, again = (tmp_path / f"{name}{case.suffix}" for name in ("one", "two"))
    file.write_bytes(case.write())
    again.write_bytes(case.write(case.records[::-1]) + b"\n")
    added = check_added(tmp_path, [[file], [again]])
    counts = [entry["duplicates"] for entry in added.manifest["inputs"]]
    assert counts[1] == added.manifest["totals"]["posts"] > 0


def test_add__an_id_that_comes_to_be_on_two_platforms_is_two_accounts(tmp_path):
    files = []
    for platform in "pqp":
        row = dict(zip(SHARE, ["ann", f"1{len(files)}", "o", "1600000000", platform], strict=True))
        files.append(tmp_path / f"{len(files)}.csv")
        files[-1].write_bytes(write_table([row], SHARE))
    added = check_added(tmp_path, [[file] for file in files])
    assert added.read("accounts")["account_id"].to_list() == ["p:ann", "q:ann"]
    ingest(files[0], tmp_path / "keyed", **KEYED)
    with pytest.raises(ValueError, match=r"the posts are of p and q, .* pseudonyms do not tell"):
        ingest(files[1], tmp_path / "keyed", add=True, **KEYED)
    assert verify_store(tmp_path / "keyed")["n_inputs"] == 1


TWEET = {"tweet_time": "2020-01-01 00:00", "is_retweet": "false"}


def write_tweets(path, *rows):
    """Write tweets of (tweetid, userid, more)."""
    header = ["tweetid", "userid", *TWEET, "hashtags", "follower_count", "tweet_text"]
    table = [TWEET | {"tweetid": id, "userid": user} | more for id, user, more in rows]
    path.write_bytes(write_table(table, header))
    return path


def write_users(path, *rows):
    """Write users of (userid, follower_count)."""
    header = ["userid", "follower_count"]
    path.write_bytes(write_table([dict(zip(header, row, strict=True)) for row in rows], header))
    return path


@pytest.fixture
def tweets(tmp_path):
    """Two tweets files: a post, an account and a rejected row in both."""
    first = write_tweets(
        tmp_path / "a.csv", (1, "ann", {"follower_count": "5"}), (2, "bob", {}), ("x", "ann", {}),
    )  # fmt: skip
    second = write_tweets(
        tmp_path / "b.csv", (2, "bob", {"tweet_text": "other"}), (3, "cid", {"hashtags": "[t]"}),
        (4, "ann", {"follower_count": "9"}), (4, "ann", {"follower_count": "8"}), ("", "bob", {}),
    )  # fmt: skip
    return first, second


def test_add__counts_what_became_of_all_rows(tmp_path, tweets):
    first, second = tweets
    whole = ingest([first, second], tmp_path / "whole")
    ingest(first, tmp_path / "added")
    added = ingest(second, tmp_path / "added", add=True)
    check_same(added, whole)
    # Whether the second row of tweet 2 says the same as the first, the old file alone can tell.
    assert [store.manifest["differing_cells"] for store in (added, whole)] == [1, 2]
    counts = ("rows_read", "stored", "rejected", "duplicates")
    said = [tuple(entry[name] for name in counts) for entry in added.manifest["inputs"]]
    assert said == [(3, 2, 1, 0), (5, 2, 1, 2)]
    assert added.read("rejects")["file"].to_list() == ["a.csv", "b.csv"]
    assert verify_store(added.path) == {"n_tables": 5, "n_inputs": 2}


@pytest.mark.parametrize("key", [{}, KEYED], ids=["plain", "key"])
def test_add__users_come_before_tweets(tmp_path, tweets, key):
    early = write_users(tmp_path / "early.csv", ("dan", "1"), ("", "2"), ("79055297" * 2, "3"))
    late = write_users(tmp_path / "late.csv", ("ann", "70"), ("", "71"), ("dan", "72"))
    first, _ = tweets
    added = check_added(tmp_path, [[first], [late], [early]], **key)
    assert added.manifest["users"]["stored"] == 3 and added.manifest["users"]["duplicates"] == 1
    counts = added.read("accounts")["follower_count"].to_list()
    assert sorted(counts, key=str) == [3, 70, 72, None]
    files = added.read("rejects")["file"].to_list()
    assert files == ["late.csv", "early.csv", "a.csv"]


def test_add__keeps_labels_and_persons(tmp_path, tweets):
    tables = {"labels": "account_id,label\nann,x\ncid,y\nnobody,y\n",
              "same_person": "account_id,person\nbob,ann\n"}  # fmt: skip
    for name, text in tables.items():
        (tmp_path / f"{name}.table").write_text(text)
    given = {name: tmp_path / f"{name}.table" for name in tables}
    for place, key in (("plain", {}), ("key", KEYED)):
        (tmp_path / place).mkdir()
        added = check_added(tmp_path / place, [[file] for file in tweets[::-1]], **given, **key)
        assert added.manifest["labels"] == {"rows": 3, "incomplete": 0, "unknown_accounts": 1}
        assert added.manifest["accounts_by_label"] == {"x": 1, "y": 1}


def test_add__labels_of_new_inputs_must_not_contradict_the_old(tmp_path, tweets):
    first, second = tweets
    ingest([], tmp_path / "store", label={"old": first})
    with pytest.raises(ValueError, match="labelled 'new' and also 'old'"):
        ingest([], tmp_path / "store", label={"new": second}, add=True)
    other = write_tweets(tmp_path / "c.csv", (9, "eve", {}))
    added = ingest([], tmp_path / "store", label={"new": other}, add=True)
    assert added.manifest["accounts_by_label"] == {"new": 1, "old": 2}
    assert added.manifest["settings"]["label"] == [["old", "a.csv"], ["new", "c.csv"]]


def test_add__leaves_out_what_the_store_holds(tmp_path, tweets):
    first, second = tweets
    ingest(first, tmp_path / "store")
    before = read_all(open_store(tmp_path / "store"))
    copy = tmp_path / "copy.csv"
    copy.write_bytes(first.read_bytes())
    with pytest.warns(UserWarning, match=r"copy\.csv is in .*store already, as a\.csv, so it is"):
        same = ingest(copy, tmp_path / "store", add=True)
    assert read_all(same) == before
    with pytest.raises(ValueError, match=r"holds copy\.csv already, with the label None and not x"):
        ingest([], tmp_path / "store", label={"x": copy}, add=True)
    with pytest.warns(UserWarning, match=r"copy\.csv is in"):
        added = ingest([copy, second], tmp_path / "store", add=True)
    assert [entry["name"] for entry in added.manifest["inputs"]] == ["a.csv", "b.csv"]


def test_add__names_an_input_otherwise_than_those_before(tmp_path, tweets):
    (tmp_path / "more").mkdir()
    same = write_tweets(tmp_path / "more" / "a.csv", (7, "eve", {}), ("", "eve", {}))
    packed = tmp_path / "more" / "b.zip"
    packed.write_bytes(pack_zip(a__csv=write_tweets(tmp_path / "x", (8, "eve", {})).read_bytes()))
    ingest(tweets[0], tmp_path / "store")
    added = ingest([same, packed], tmp_path / "store", add=True)
    names = [entry["name"] for entry in added.manifest["inputs"]]
    assert names == ["a.csv", "more/a.csv", "b.zip:a.csv"]
    assert added.read("rejects")["file"].to_list() == ["a.csv", "more/a.csv"]


def test_add__takes_data_frames(tmp_path):
    row = dict(zip(SHARE[:4], ["ann", "1", "o", "1600000000"], strict=True))
    store = ingest(pl.DataFrame([row]), tmp_path / "store")
    for name in ("bob", "cid"):
        store = ingest(pl.DataFrame([row | {"account_id": name}]), store.path, add=True)
    assert store.read("accounts")["account_id"].to_list() == ["ann", "bob", "cid"]
    names = [entry["name"] for entry in store.manifest["inputs"]]
    assert names == ["frame.arrow", "input_2/frame.arrow", "input_3/frame.arrow"]


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"url_rule": "paper"}, r"was read with url_rule canonical and not paper; give the"),
        ({"texts": True}, r"texts False and not True"),
        ({"exclude": ("x",)}, r"exclude none and not x"),
        (KEYED, r"pseudonymised False and not True, key_fingerprint none and not"),
        ({"overwrite": True}, r"add needs a store that is there and stays"),
    ],
    ids=["urls", "texts", "exclude", "key", "overwrite"],
)
def test_add__refuses_other_settings(tmp_path, tweets, choices, said):
    store = ingest(tweets[0], tmp_path / "store")
    before = read_all(store)
    with pytest.raises(ValueError, match=said):
        ingest(tweets[1], store.path, add=True, **choices)
    assert read_all(store) == before


def test_add__refuses_what_does_not_go_together(tmp_path, tweets):
    store = ingest(tweets[0], tmp_path / "store")
    row = dict(zip(SHARE[:4], ["ann", "1", "o", "1600000000"], strict=True))
    shares = tmp_path / "shares.csv"
    shares.write_bytes(write_table([row], SHARE[:4]))
    with pytest.raises(ValueError, match=r"shares\.csv is a share table, and .* holds x-archive"):
        ingest(shares, store.path, add=True)
    with pytest.raises(FileNotFoundError, match="There is no store at nowhere"):
        ingest(tweets[1], "nowhere", add=True)
    bad = write_tweets(tmp_path / "bad.csv", *[("", "ann", {})] * 3, (5, "ann", {}))
    with pytest.raises(ValueError, match=r"3 of 4 rows were set aside.*no tweetid \(3, the first"):
        ingest(bad, store.path, add=True)
    manifest = store.path / "manifest.json"
    manifest.write_text(json.dumps(store.manifest | {"gpu_coord": "0.0"}))
    with pytest.raises(ValueError, match=r"was made by gpu-coord 0\.0, which may read differently"):
        ingest(tweets[1], store.path, add=True)


def test_add__that_is_stopped_leaves_the_old_store(tmp_path, tweets):
    store = ingest(tweets[0], tmp_path / "store")
    before = read_all(store)

    def stop(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(tweets[1], store.path, add=True, progress=stop)
    code = """if True:
        import os, sys
        from gpu_coord.archive.ingest import ingest
        ingest(sys.argv[1], sys.argv[2], add=True, progress=lambda *report: os.kill(os.getpid(), 9))
    """
    done = subprocess.run([sys.executable, "-c", code, tweets[1], store.path], env=os.environ)
    assert done.returncode == -9 and read_all(store) == before
    added = ingest(tweets[1], store.path, add=True)
    assert added.manifest["totals"]["posts"] == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv", "store"]


def test_add__waits_for_nobody_and_loses_nothing(tmp_path, tweets):
    store = ingest(tweets[0], tmp_path / "store")
    with hold(store.path) as is_ours, pytest.raises(FileExistsError, match="being added to"):
        assert is_ours
        ingest(tweets[1], store.path, add=True)

    def replace(stage, done, total):
        ingest(tweets[1], store.path, overwrite=True)

    with pytest.raises(FileExistsError, match="was replaced meanwhile; add to it again"):
        ingest(tweets[1], store.path, add=True, progress=replace)
    assert [entry["name"] for entry in open_store(store.path).manifest["inputs"]] == ["b.csv"]


def test_add__from_the_command_line(tmp_path, tweets):
    store, (first, second) = tmp_path / "store", tweets
    assert invoke("ingest", first, "--store", store).exit_code == 0
    done = invoke("ingest", "--add", second, "--store", store)
    assert done.exit_code == 0 and "4 of 8 rows are stored" in done.stdout and not done.stderr
    said = refuse(1, "ingest", "--add", second, "--store", store, "--url-rule", "paper")
    assert "give the settings of the store" in said
