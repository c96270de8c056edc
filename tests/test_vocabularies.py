"""Ids and texts that memory does not hold: with little room everything is as with much."""

import random
from itertools import product

import polars as pl
import pytest
from archives import ingest_any, write_table
from hypothesis import given
from hypothesis import strategies as st

import gpu_coord as gc
from gpu_coord.archive import posts, sources, vocabularies
from gpu_coord.archive.vocabularies import Ids
from gpu_coord.store import tables
from gpu_coord.store.store import TABLES, verify_store

TEXTS = st.sampled_from(["a", "b", "a\x1fb", "\x1fa", "p:a", ":a", "", "a\x01"])
PLATFORMS = st.sampled_from([None, "p", "q", "p\x1fa"])


def take_little_room(patch):
    """Hold a few records, texts and rows at a time."""
    patch.setattr(sources, "BLOCK_BYTES", 400)
    patch.setattr(vocabularies, "RUN_TEXTS", 2)
    patch.setattr(vocabularies, "SAMPLE_STEP", 1)
    patch.setattr(posts, "ROWS_AT_A_TIME", 3)
    patch.setattr(tables, "ROW_GROUP_ROWS", 4)


def name_one(pair, platforms):
    """Return id and platform: without one it is that of the id's only platform."""
    id, name = pair
    only = platforms[id]
    return id, name or (min(only) if len(only) == 1 else None)


@given(
    pairs=st.lists(st.tuples(TEXTS, PLATFORMS), max_size=10),
    n_parts=st.integers(1, 4),
    room=st.sampled_from([1, 2, 1 << 19]),
    key=st.sampled_from([None, b"key"]),
)
def test_ids__are_equal_where_id_and_platform_are(tmp_path_factory, pairs, n_parts, room, key):
    """As plain pairs say, with whatever characters in them, in any number of parts and runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabularies, "RUN_TEXTS", room)
        patch.setattr(vocabularies, "SAMPLE_STEP", 1)
        ids, codes = Ids(tmp_path_factory.mktemp("ids")), []
        for part in range(n_parts):
            mine = pairs[part::n_parts]
            texts = pl.Series([id for id, _ in mine], dtype=pl.String)
            names = pl.Series([name for _, name in mine], dtype=pl.String)
            codes += [*zip(mine, ids.add(texts, names).to_list(), strict=True)]
        platforms = {id: {name for other, name in pairs if other == id and name} for id, _ in pairs}
        shown = {}
        for pair, code in codes:
            (text,) = ids.show(pl.Series([code], dtype=pl.UInt32))
            n_others = len(platforms[pair[0]])
            n_others += n_others > 1 and (pair[0], None) in pairs
            is_plain = n_others < 2 or pair[1] is None
            named = f"{(pair[1] or '').replace(chr(31), ' ')}:{pair[0]}"
            assert text == (pair[0] if is_plain else named)
            shown[code] = text
        for (mine, code), (other, its) in product(codes, codes):
            unified = ids.unify(pl.Series([code, its]).to_numpy())
            is_same = name_one(mine, platforms) == name_one(other, platforms)
            assert (unified[0] == unified[1]) == is_same
        table = pl.concat([pl.DataFrame(), *ids.arrange(key)], how="diagonal")
        if codes:
            assert sorted(table["code"]) == list(range(ids.n_codes))
            assert dict(table.select("code", "text").rows()) == shown
            values = table["value"].to_list()
            assert values == sorted(values, key=str.encode)
            assert (table["value"] == table["text"]).all() is (key is None)


# --- archives ------------------------------------------------------------------------------------


def write_x(chance, rows):
    header = ["tweetid", "userid", "tweet_time", "hashtags", "urls", "user_mentions",
              "retweet_tweetid", "tweet_text"]  # fmt: skip
    return write_table(
        [
            {"tweetid": n, "userid": who, "tweet_time": "2020-01-01 00:00",
             "hashtags": f"[{word}, {chance.choice('abc')}]", "urls": f"[http://{word}.example/]",
             "user_mentions": f"[{who}]", "retweet_tweetid": chance.choice(["", "4", "5"]),
             "tweet_text": f"{word} {chance.randrange(4)}"}
            for who, n, word in rows
        ],
        header,
    )  # fmt: skip


def write_share(chance, rows):
    header = ["account_id", "content_id", "object_id", "timestamp_share", "kind", "platform"]
    table = [
        {"account_id": who, "content_id": n, "object_id": word, "timestamp_share": "1600000000",
         "kind": chance.choice(["url", "hashtag"]), "platform": chance.choice(["p", "q", ""])}
        for who, n, word in rows
    ]  # fmt: skip
    return write_table([*table, *table[:9]], header)


def write_instagram(chance, rows):
    header = [
        "Account",
        "User Name",
        "Followers at Posting",
        "URL",
        "Post Created",
        "Link",
        "Description",
    ]
    return write_table(
        [
            {"Account": who, "User Name": who, "URL": n, "Post Created": "2021-03-01 12:00:00 EST",
             "Link": f"http://{word}.example/{chance.randrange(3)}", "Description": word}
            for who, n, word in rows
        ],
        header,
    )  # fmt: skip


FORMS = {"x": write_x, "shares": write_share, "crowdtangle": write_instagram}


@pytest.mark.parametrize("choices", [{}, {"exclude": ("b",)}, {"pseudonym_key": b"k"}], ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_ingest__needs_little_room(tmp_path, form, choices):
    """Whatever is kept aside, a store has the same rows; its parts end at other posts."""
    chance = random.Random(5)
    rows = [(chance.choice("uvw"), chance.randrange(1, 25), chance.choice("abcdefgh"))
            for _ in range(60)]  # fmt: skip
    path = tmp_path / "table.csv"
    path.write_bytes(FORMS[form](chance, rows))
    whole = ingest_any(path, tmp_path / "whole", **choices)
    with pytest.MonkeyPatch.context() as patch:
        take_little_room(patch)
        part = ingest_any(path, tmp_path / "part", **choices)
    verify_store(part.path)
    assert whole.manifest["totals"]["posts"] > 10 and whole.manifest["totals"]["duplicates"] > 0
    for table in TABLES:
        mine, other = (
            store.read(table).sort("post", "kind", maintain_order=True)
            if table == "events" and form == "crowdtangle"  # whose posts may gain a link later
            else store.read(table)
            for store in (part, whole)
        )
        assert mine.equals(other), table
    facts = [{key: value for key, value in store.manifest.items() if key not in ("tables",)}
             for store in (whole, part)]  # fmt: skip
    assert facts[0] == facts[1]


def test_ingest__keeps_each_wording_once_with_little_room(tmp_path):
    chance = random.Random(6)
    rows = [(chance.choice("uvw"), n, chance.choice("abcdefgh")) for n in range(1, 60)]
    path = tmp_path / "table.csv"
    path.write_bytes(write_x(chance, rows))
    whole = gc.ingest(path, tmp_path / "whole", texts=True)
    with pytest.MonkeyPatch.context() as patch:
        take_little_room(patch)
        part = gc.ingest(path, tmp_path / "part", texts=True)
    assert part.read("texts").equals(whole.read("texts"))
    assert part.read("texts").height == whole.manifest["entities_by_kind"]["text"]
