"""Co-action layers and their merges: slow loops over all pairs of posts, and whole runs."""

import json
from collections import defaultdict
from functools import partial
from itertools import combinations, permutations, product
from math import atan, pi, tan
from types import SimpleNamespace

import networkx
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from runs import invoke

import gpu_coord as gc
from gpu_coord.backend import choose
from gpu_coord.model.fitting import read_candidates
from gpu_coord.results.verification import verify
from gpu_coord.sharing.coaction import weigh_action
from gpu_coord.sharing.engine import weigh_layers
from gpu_coord.sharing.layers import Layer, parse_layers
from gpu_coord.sharing.merging import LayerEdges, fuse_tests, merge_layers
from gpu_coord.sharing.run import coact
from gpu_coord.sharing.streams import count_pairs
from gpu_coord.sharing.texts import Uses, find_similar
from gpu_coord.sharing.traces import read_traces
from gpu_coord.store.store import TABLES, open_store

# --- stores -------------------------------------------------------------------------------------

# What archives hold: markup, formulas, control and bidirectional characters, spaces, digits.
WORDS = ["<b>&'\"", "=1+1", "a\u202eb", "a,b", "007", "ü"]
# Each of the first three is alike to the next, but the first and the third are not.
TEXTS = [
    "we all say so today friends", "ll say so today friends now", "ay so today friends now then",
    "ll say so today friends now!", "no", "yes",
]  # fmt: skip
CONTENTS = ["0", "1", "2", "3,4", "<5>", "6", "7", "8", "9", "=10", "11", "12"]


@st.composite
def posts(draw):
    """Draw posts: (account, content, milliseconds, {kind: values in order})."""
    words = st.lists(st.sampled_from(WORDS), max_size=3, unique=True)
    drawn = st.tuples(
        st.sampled_from("DBCA"),
        st.sampled_from([0, 1, 500, 999, 1000, 1001, 5000, 9000, 60_000, 61_000, 3_600_000]),
        st.fixed_dictionaries(
            {
                "hashtag": words,
                "url": words,
                "text": st.lists(st.sampled_from(TEXTS), max_size=1),
                "retweet": st.lists(st.sampled_from([*CONTENTS[:4], "elsewhere"]), max_size=1),
            }
        ),
    )
    rows = draw(st.lists(drawn, min_size=1, max_size=len(CONTENTS)))
    return [(a, c, t, objects) for c, (a, t, objects) in zip(CONTENTS, rows, strict=False)]


def number(names):
    return {name: row for row, name in enumerate(sorted(set(names)))}


def write_store(folder, rows, *, texts=False):
    """Write a store of posts without any reader; texts are named by their place in TEXTS."""
    folder.mkdir(parents=True, exist_ok=True)
    accounts = number(row[0] for row in rows)
    name = {("text", text): f"hash {place}" for place, text in enumerate(TEXTS)}
    events = [
        (post, accounts[account], kind, name.get((kind, value), value), time)
        for post, (account, _, time, objects) in enumerate(rows)
        for kind, values in objects.items()
        for value in values
    ]
    entities = number((kind, value) for _, _, kind, value, _ in events)
    columns = {
        "posts": [(p, accounts[a], t, c) for p, (a, c, t, _) in enumerate(rows)],
        "events": [(p, a, entities[kind, value], t, kind) for p, a, kind, value, t in events],
        "accounts": [(row, account, None) for account, row in accounts.items()],
        "entities": [(row, *entity) for entity, row in entities.items()],
        "rejects": [],
        "texts": [
            (entities["text", name["text", text]], text)
            for text in TEXTS
            if ("text", name["text", text]) in entities
        ],
    }
    schemas = {
        "posts": {"post": pl.Int64, "account": pl.Int32, "time": pl.Int64, "content_id": pl.String},
        "events": {"post": pl.Int64, "account": pl.Int32, "entity": pl.Int32, "time": pl.Int64,
                   "kind": pl.String},
        "accounts": {"account": pl.Int32, "account_id": pl.String, "label": pl.String},
        "entities": {"entity": pl.Int32, "kind": pl.String, "value": pl.String},
        "rejects": {"file": pl.String, "row": pl.Int64, "reason": pl.String},
        "texts": {"entity": pl.Int32, "text": pl.String},
    }  # fmt: skip
    for table in [*TABLES, *(["texts"] if texts else [])]:
        frame = pl.DataFrame(columns[table], schema=schemas[table], orient="row")
        frame.write_parquet(folder / f"{table}.parquet")
    manifest = {"gpu_coord": "test", "store_version": 1, "format": "x-archive"}
    manifest |= {"inputs": [{"sha256": "0"}], "totals": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return open_store(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder whose store is written over by each example of a property."""
    return tmp_path_factory.mktemp("coaction")


# --- layers -------------------------------------------------------------------------------------


def test_parse_layers__takes_fractions():
    layers = parse_layers(["co_url", "co_url:1.5s", "co_url:0", "co_url:0.5"], "25.28s")
    assert [(each.name, each.window_ms) for each in layers] == [
        ("co_url", 25_280), ("co_url_1.5s", 1500), ("co_url_0s", 0), ("co_url_0.5s", 500),
    ]  # fmt: skip


def test_parse_layers__takes_windows_and_names():
    layers = parse_layers(
        ["co_url", "co_url:10s", " fast_retweet", "similar_text:1h", "co_x:5", "similar_url",
         "jaccard_text"], "2m",
    )  # fmt: skip
    found = [(each.name, each.kind, each.window_ms // 1000, each.is_directed) for each in layers]
    assert found == [
        ("co_url", "url", 120, False),
        ("co_url_10s", "url", 10, False),
        ("fast_retweet", "retweet", 10, True),
        ("similar_text_1h", "text", 3600, False),
        ("co_x_5s", "x", 5, False),
        ("similar_url", "url", 0, False),
        ("jaccard_text", "text", 0, False),
    ]
    measures = [None] * 5 + ["cosine", "jaccard"]
    assert [each.measure for each in layers] == measures
    assert [each.is_tested for each in layers] == [True, True, False, True, True, False, False]


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([], "layers is empty"),
        (["url"], "'url' is no layer; write co_"),
        (["co_"], "'co_' is no layer"),
        (["co_a b"], "white space"),
        (["co_url:fast"], "'fast' is no window"),
        (["co_url", "co_url:60s"], "co_url and co_url:60s are the same"),
        (["co_url", "co_url"], "are the same"),
        (["similar_"], "'similar_' is no layer"),
        (["jaccard_url:10s"], "'jaccard_url:10s' has a window, and jaccard_url compares"),
    ],
)
def test_parse_layers__refuses_others(specs, message):
    with pytest.raises(ValueError, match=message):
        parse_layers(specs, "60s")


# --- similar texts ------------------------------------------------------------------------------


def list_shingles(text):
    return {text[at : at + 5] for at in range(max(len(text) - 4, 1))} if text else set()


def is_alike(one, other, threshold):
    one, other = list_shingles(one), list_shingles(other)
    return bool(one and other) and len(one & other) / len(one | other) >= threshold


def are_near(one, other, window_ms):
    (first, last, sole), (other_first, other_last, other_sole) = one, other
    meet = first - other_last <= window_ms and other_first - last <= window_ms
    return meet and (sole < 0 or sole != other_sole)


SPANS = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(-1, 2)).map(
    lambda span: (*sorted(span[:2]), span[2])
)


@given(
    texts=st.lists(
        st.one_of(st.none(), st.text("ab", max_size=12), st.text("aé\U0001f600 ", max_size=20)),
        unique=True,
        min_size=1,
        max_size=20,
    ),
    spans=st.lists(SPANS, min_size=20, max_size=20),
    threshold=st.sampled_from([0.5, 0.6, 2 / 3, 0.75, 0.8, 0.9, 1.0]),
    window_ms=st.sampled_from([0, 10, 100]),
    threads=st.sampled_from([1, 3]),
)
def test_find_similar__matches_sets(texts, spans, threshold, window_ms, threads):
    spans = spans[: len(texts)]
    uses = Uses(*(np.array(column) for column in zip(*spans, strict=True)))
    found = find_similar(
        pl.Series(texts, dtype=pl.String), uses,
        threshold=threshold, window_ms=window_ms, threads=threads,
    )  # fmt: skip
    expected = [
        (i, j)
        for i, j in combinations(range(len(texts)), 2)
        if is_alike(texts[i] or "", texts[j] or "", threshold)
        and are_near(spans[i], spans[j], window_ms)
    ]
    assert list(zip(*(rows.tolist() for rows in found), strict=True)) == expected


@pytest.mark.parametrize("threshold", [0.5, 0.6, 2 / 3, 0.75, 0.8, 0.9])
def test_find_similar__finds_what_just_reaches_the_threshold(threshold):
    # What is not in common is rarest, and so comes first among the shingles that are compared.
    sizes = [(one, other) for one, other in product(range(6), range(6)) if one or other]
    for n_common in range(1, 21):
        texts = []
        for place, (n_one, n_other) in enumerate(sizes):
            first = 0x4E00 + 64 * place
            same, one, other = (
                "".join(map(chr, range(first + start, first + start + size)))
                for start, size in ((0, n_common + 4), (30, n_one), (40, n_other))
            )
            texts += [same + one, same + other]
        always = Uses(*(np.full(len(texts), value) for value in (0, 0, -1)))
        found = find_similar(pl.Series(texts), always, threshold=threshold, window_ms=0)
        pairs = [(2 * place, 2 * place + 1) for place in range(len(sizes))]
        expected = [(i, j) for i, j in pairs if is_alike(texts[i], texts[j], threshold)]
        assert list(zip(*(rows.tolist() for rows in found), strict=True)) == expected, n_common


def vary_words(rng, n_texts, letters):
    """Make texts of which most are another one with a few letters changed."""
    texts = ["".join(rng.choice(letters, 60))]
    while len(texts) < n_texts:
        text = list(texts[rng.integers(len(texts))])
        for at in rng.integers(60, size=rng.integers(1, 3)):
            text[at] = rng.choice(letters)
        texts.append("".join(text))
    return sorted(set(texts))


@pytest.mark.parametrize(
    "letters", [list("abcdefgh "), [chr(code) for code in range(0x4E00, 0x6E00)]]
)
def test_find_similar__misses_none_among_many(letters):
    # 8,192 letters are more than fit into a number of 64 bits.
    texts = vary_words(np.random.default_rng(1), 400, letters)
    always = Uses(*(np.full(len(texts), value) for value in (0, 0, -1)))
    one, other = find_similar(pl.Series(texts), always, threshold=0.8, window_ms=0)
    expected = {
        (i, j)
        for (i, a), (j, b) in combinations(enumerate(texts), 2)
        if is_alike(a, b, 0.8)
    }  # fmt: skip
    assert expected == set(zip(one.tolist(), other.tolist(), strict=True))
    assert len(expected) > 200


# --- layers of a store --------------------------------------------------------------------------


def list_objects(rows, action, min_tags):
    """Return {object: posts} of an action that compares equal objects."""
    sharers = defaultdict(list)
    for post in rows:
        objects = post[3][action.removeprefix("co_")] if action != "co_hashtag_sequence" else []
        if action == "co_hashtag_sequence" and len(post[3]["hashtag"]) >= min_tags:
            objects = [tuple(post[3]["hashtag"])]
        for each in objects:
            sharers[each].append(post)
    return sharers


def weigh_slowly(meetings, sharers):
    """Return {(source, target): columns} of meetings (source, target, object, gap)."""
    edges = defaultdict(list)
    for source, target, each, gap in meetings:
        edges[source, target].append((each, gap))
    return {
        ends: {
            "weight": len({each for each, _ in met}),
            "n_pairs": len(met),
            "mean_gap": sum(gap for _, gap in met) / len(met) / 1000,
            "popularity_weight": sum(
                1 / (len(sharers[each]) - 1) for each in {each for each, _ in met}
            ),
        }
        for ends, met in edges.items()
    }


def weigh_equal(rows, action, window_ms, min_tags=2):
    objects = list_objects(rows, action, min_tags)
    meetings = [
        (*sorted([p[0], q[0]]), each, abs(p[2] - q[2]))
        for each, posts_of in objects.items()
        for p, q in combinations(posts_of, 2)
        if p[0] != q[0] and abs(p[2] - q[2]) <= window_ms
    ]
    return weigh_slowly(meetings, {each: {p[0] for p in of} for each, of in objects.items()})


def weigh_fast(rows, window_ms):
    meetings, sharers = [], defaultdict(set)
    for original, retweet in permutations(rows, 2):
        gap = retweet[2] - original[2]
        if retweet[3]["retweet"] == [original[1]]:
            sharers[original[1]] |= {original[0], retweet[0]}
            if original[0] != retweet[0] and 0 <= gap <= window_ms:
                meetings.append((original[0], retweet[0], original[1], gap))
    return weigh_slowly(meetings, sharers)


def weigh_similar(rows, window_ms, threshold, widest_ms):
    """Weigh pairs of posts with texts alike: fewer texts of the two sides, families of texts."""
    said = [(a, t, objects["text"][0]) for a, _, t, objects in rows if objects["text"]]
    spans = {}
    for text in {text for _, _, text in said}:
        uses = [(t, a) for a, t, other in said if other == text]
        authors = {a for _, a in uses}
        sole = ord(min(authors)) if len(authors) == 1 else -1
        spans[text] = (min(t for t, _ in uses), max(t for t, _ in uses), sole)
    families = networkx.Graph()
    families.add_nodes_from(spans)
    families.add_edges_from(
        (one, other)
        for one, other in combinations(spans, 2)
        if is_alike(one, other, threshold) and are_near(spans[one], spans[other], widest_ms)
    )
    family = {t: min(part) for part in networkx.connected_components(families) for t in part}
    sharers = defaultdict(set)
    for a, _, text in said:
        sharers[family[text]].add(a)
    meetings, texts = [], defaultdict(lambda: (set(), set()))
    for p, q in combinations(said, 2):
        p, q = sorted([p, q], key=lambda post: post[0])
        gap = abs(p[1] - q[1])
        if p[0] != q[0] and gap <= window_ms and is_alike(p[2], q[2], threshold):
            meetings.append((p[0], q[0], family[p[2]], gap))
            texts[p[0], q[0]][0].add(p[2])
            texts[p[0], q[0]][1].add(q[2])
    edges = weigh_slowly(meetings, sharers)
    for ends, sides in texts.items():
        edges[ends]["weight"] = min(map(len, sides))
    return edges


def weigh_slowly_all(rows, layers):
    expected = {}
    for layer in layers:
        if layer.action == "fast_retweet":
            expected[layer.name] = weigh_fast(rows, layer.window_ms)
        elif layer.action == "similar_text":
            expected[layer.name] = weigh_similar(rows, layer.window_ms, 0.6, 60_000)
        else:
            expected[layer.name] = weigh_equal(rows, layer.action, layer.window_ms)
    return expected


def weigh_store(store, layers, *, memory=1 << 30, threads=1):
    """Return the traces and the edges of each layer."""
    traces = read_traces(store, layers, min_tags=2, similarity=0.6, threads=threads)
    found = {}
    for trace in traces:
        room = {"memory": memory // 4, "threads": threads}
        list_pairs = partial(trace.list_pairs, window_ms=trace.window_ms, **room)
        pairs = count_pairs(trace.shares, list_pairs, memory=memory // 2)
        edges = weigh_layers(
            trace.layers, pairs, lambda _, runs, trace=trace: weigh_action(trace, runs)
        )
        found |= {layer.name: each for layer, each in zip(trace.layers, edges, strict=True)}
    return traces, found


ALL = (
    "co_url", "co_url:1s", "co_hashtag:5s", "co_hashtag_sequence", "co_text", "co_retweet",
    "similar_text", "similar_text:1s", "fast_retweet", "fast_retweet:1h",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:the store has no")
@pytest.mark.filterwarnings("ignore:no post has 2 hashtags")
@given(rows=posts(), memory=st.sampled_from([1, 1 << 30]), threads=st.sampled_from([1, 2]))
def test_weigh_layers__match_loops_over_all_pairs_of_posts(folder, rows, memory, threads):
    if not any(values for *_, objects in rows for values in objects.values()):
        return
    store = write_store(folder, rows, texts=True)
    layers = parse_layers(ALL, "60s")
    traces, found = weigh_store(store, layers, memory=memory, threads=threads)
    for trace in traces:
        columns = [getattr(trace.shares, name) for name in ("object", "time", "content", "account")]
        rows_in_order = list(zip(*(column.tolist() for column in columns), strict=True))
        assert rows_in_order == sorted(rows_in_order)
    ids = traces[0].shares.accounts["account_id"].to_list()
    expected = weigh_slowly_all(rows, layers)
    for layer in layers:
        edges = found.get(layer.name)
        named = {
            (ids[row.pop("source")], ids[row.pop("target")]): row
            for row in ([] if edges is None else edges.to_dicts())
        }
        assert named.keys() == expected[layer.name].keys(), layer.name
        for ends, row in named.items():
            assert row == pytest.approx(expected[layer.name][ends]), (layer.name, ends)


def post(account, content, seconds, **objects):
    kinds = dict.fromkeys(("hashtag", "url", "text", "retweet"), ())
    return (account, content, 1000 * seconds, kinds | objects)


def test_weigh_layers__compare_tags_in_the_order_of_the_post(tmp_path):
    rows = [
        post("A", "0", 0, hashtag=["z", "a", "m"]),
        post("B", "1", 1, hashtag=["z", "a", "m"]),
        post("C", "2", 2, hashtag=["a", "m", "z"]),
        post("D", "3", 3, hashtag=["z", "a"]),
    ]
    layers = parse_layers(["co_hashtag_sequence"], "60s")
    traces, found = weigh_store(write_store(tmp_path / "s", rows), layers)
    assert found["co_hashtag_sequence"].select("source", "target").rows() == [(0, 1)]
    assert traces[0].shares.objects.rows() == [
        ("hashtag_sequence", "a m z"), ("hashtag_sequence", "z a"), ("hashtag_sequence", "z a m")
    ]  # fmt: skip


def test_weigh_layers__tell_sequences_apart_that_read_alike(tmp_path):
    rows = [
        post("A", "0", 0, hashtag=["a b", "c"]),
        post("B", "1", 0, hashtag=["a", "b c"]),
        post("C", "2", 0, hashtag=["a", "b c"]),
    ]
    _, found = weigh_store(
        write_store(tmp_path / "s", rows), parse_layers(["co_hashtag_sequence"], "60s")
    )
    assert found["co_hashtag_sequence"].select("source", "target").rows() == [(1, 2)]


def test_coact__keeps_the_order_of_tags_of_an_archive(tmp_path):
    tags = {
        "u1": "[zeta, Alpha, mid]",
        "u2": "['zeta', 'alpha', 'mid']",
        "u3": "[alpha, mid, zeta]",
    }
    rows = [
        {"tweetid": str(n), "userid": user, "tweet_time": "2020-01-01 00:00", "tweet_text": "",
         "is_retweet": "false", "hashtags": cell}
        for n, (user, cell) in enumerate(tags.items(), start=1)
    ]  # fmt: skip
    pl.DataFrame(rows).write_csv(tmp_path / "tweets.csv")
    store = gc.ingest([tmp_path / "tweets.csv"], tmp_path / "store")
    findings = coact(store, tmp_path / "run", layers="co_hashtag_sequence", min_tags=3)
    assert findings.read("edges").select("source", "target", "layers").rows() == [
        ("u1", "u2", "co_hashtag_sequence")
    ]


def test_weigh_layers__take_a_retweet_of_an_author_without_any_share(tmp_path):
    rows = [
        post("author", "orig", 100),
        post("quick", "r1", 110, retweet=["orig"]),
        post("slow", "r2", 111, retweet=["orig"]),
        post("author", "r3", 105, retweet=["orig"]),
        post("early", "r4", 99, retweet=["orig"]),
        post("lost", "r5", 101, retweet=["deleted"]),
    ]
    findings = coact(
        write_store(tmp_path / "store", rows), tmp_path / "run", layers=["fast_retweet"]
    )
    edges = findings.read("layers").select("source", "target", "weight", "mean_gap", "directed")
    assert edges.rows() == [("author", "quick", 1.0, 10.0, True)]
    assert findings.read("pairs").select("account_id", "account_id_y", "content_id_y").rows() == [
        ("author", "quick", "r1")
    ]
    assert set(findings.read("accounts")["account_id"]) == {row[0] for row in rows}


def test_read_traces__leave_out_accounts_with_few_events_of_all_kinds(tmp_path):
    rows = [
        post("A", "0", 0, url=["x"]),
        post("B", "1", 1, url=["x"], hashtag=["t"]),
        post("C", "2", 2, url=["x"], hashtag=["t"]),
    ]
    store = write_store(tmp_path / "store", rows)
    choices = {"layers": ["co_url", "co_hashtag"], "min_participation": 2}
    findings = coact(store, tmp_path / "run", **choices)
    assert findings.read("edges").select("source", "target", "layers").rows() == [
        ("B", "C", "co_hashtag co_url")
    ]
    assert findings.content["counts"]["dropped_accounts"]["min_participation"] == 1


# --- merges -------------------------------------------------------------------------------------

LAYER_EDGES = st.dictionaries(
    st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(lambda ends: ends[0] < ends[1]),
    st.integers(1, 5),
)


def to_frame(edges):
    rows = [(*ends, float(weight)) for ends, weight in sorted(edges.items())]
    schema = {"source": pl.Int32, "target": pl.Int32, "weight": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


@given(layers=st.lists(LAYER_EDGES, min_size=1, max_size=4), data=st.data())
def test_merge_layers__matches_loops(layers, data):
    names = ["b", "a", "a_10s", "c"][: len(layers)]
    min_layers = data.draw(st.integers(1, len(layers)))
    found = merge_layers(
        [
            LayerEdges(Layer(name, name, 0), to_frame(edges))
            for name, edges in zip(names, layers, strict=True)
        ],
        n_accounts=4,
        min_layers=min_layers,
    )
    means = [sum(edges.values()) / len(edges) if edges else 1 for edges in layers]
    expected = []
    for ends in sorted(set().union(*layers)):
        weights = [edges.get(ends, 0) for edges in layers]
        present = sorted(name for name, w in zip(names, weights, strict=True) if w)
        if len(present) >= min_layers:
            scaled = [w / mean for w, mean in zip(weights, means, strict=True)]
            weight = sum(scaled) / len(layers)
            expected.append(
                (*ends, pytest.approx(weight), *weights, len(present), " ".join(present))
            )
    assert found.rows() == expected
    assert found.columns == [
        "source", "target", "weight", *(f"weight_{name}" for name in names), "n_layers", "layers"
    ]  # fmt: skip


def make_tests(p_values, n_accounts):
    """Return tests of {(source, target): p}, both ways round as they come."""
    both = p_values | {ends[::-1]: p for ends, p in p_values.items()}
    pairs = sorted((source * n_accounts + target, p) for (source, target), p in both.items())
    return SimpleNamespace(
        pairs=SimpleNamespace(
            pair=np.array([pair for pair, _ in pairs], np.int64),
            log_p=np.log(np.array([p for _, p in pairs], float)),
            log_p_habit=np.log(np.array([p / 2 for _, p in pairs], float)),
            n_tests=n_accounts * (n_accounts - 1),
            by_lag=[SimpleNamespace(n_hours=np.arange(len(pairs)), reference=None)],
        )
    )


P_VALUES = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda ends: ends[0] < ends[1]),
    st.sampled_from([1e-6, 1e-3, 0.01, 0.2, 0.7]),
)


@given(layers=st.lists(P_VALUES, min_size=1, max_size=3))
def test_fuse_tests__is_cauchy_then_benjamini_hochberg(layers):
    n_accounts, alpha = 6, 0.05
    fused = fuse_tests(
        [make_tests(found, n_accounts) for found in layers], n_accounts=n_accounts, alpha=alpha
    )
    known = sorted(set().union(*layers))
    d = len(layers)
    p_of = {}
    for ends in known:
        ps = [found.get(ends, 1) for found in layers]
        capped = [p if d == 1 else min(p, 1 - 1 / d) for p in ps]
        p_of[ends] = 0.5 - atan(sum(tan(pi * (0.5 - p)) for p in capped) / d) / pi
    n_tests = n_accounts * (n_accounts - 1) / 2
    ranked = sorted(p_of.values())
    q_of = {
        ends: min(
            1, *(n_tests * q / rank for rank, q in enumerate(ranked, 1) if q >= p * (1 - 1e-9))
        )
        for ends, p in p_of.items()
    }
    everyone = list(combinations(range(n_accounts), 2))
    for ends in (everyone, [pair[::-1] for pair in everyone]):
        source, target = (np.array(column, np.int32) for column in zip(*ends, strict=True))
        read = fused.read_edges(source, target)
        for (s, t), row in zip(ends, read.to_dicts(), strict=True):
            pair = (min(s, t), max(s, t))
            assert row["p_value"] == pytest.approx(p_of.get(pair, 1.0), rel=1e-6)
            assert row["q_value"] == pytest.approx(q_of.get(pair, 1.0), rel=1e-6)
            assert row["significant"] == (row["q_value"] <= alpha)
    assert fused.count("beyond_news") == sum(q <= alpha for q in q_of.values())
    assert fused.n_tests == n_tests


# --- runs ---------------------------------------------------------------------------------------

SOME = ("co_url", "co_url:10s", "co_hashtag", "co_retweet", "co_text", "similar_text")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Return a simulated archive as a store with texts."""
    folder = tmp_path_factory.mktemp("archive")
    gc.simulate(folder / "files", seed=3, n_posts=8000)
    files = [folder / "files" / "tweets.csv", folder / "files" / "users.csv"]
    return gc.ingest(files, folder / "store", texts=True)


def read_all(findings):
    return {
        name: (findings.path / f"{name}.parquet").read_bytes()
        for name in findings.content["tables"]
    }


def test_coact__has_the_edges_of_share_in_each_layer(archive, tmp_path):
    findings = gc.coact(archive, tmp_path / "run", layers=SOME, window="10m")
    layers = findings.read("layers")
    for kind, name, window in (("url", "co_url", "10m"), ("url", "co_url_10s", "10s"),
                               ("hashtag", "co_hashtag", "10m")):  # fmt: skip
        shared = gc.share(archive, tmp_path / name, kinds=kind, window=window, tests=False)
        columns = ["source", "target", "weight", "n_pairs", "mean_gap", "popularity_weight"]
        own = layers.filter(layer=name).select(columns).sort("source", "target")
        assert own.height > 0 or name == "co_url_10s"
        assert_frame_equal(own, shared.read("edges").select(columns).sort("source", "target"))
        assert layers.filter(layer=name)["window_seconds"].unique().to_list() in (
            [], [600.0 if window == "10m" else 10.0]
        )  # fmt: skip
    verify(findings.path)


@pytest.mark.parametrize("merge", ["union", "intersection"])
def test_coact__merges_its_layers(archive, tmp_path, merge):
    findings = coact(archive, tmp_path / "run", layers=SOME[2:4], window="1h", merge=merge)
    rows = findings.read("layers").select("layer", "source", "target", "weight").rows()
    of = {name: {(s, t): w for layer, s, t, w in rows if layer == name} for name in SOME[2:4]}
    hashtag, retweet = of["co_hashtag"], of["co_retweet"]
    ends = hashtag.keys() & retweet if merge == "intersection" else hashtag.keys() | retweet
    edges = findings.read("edges")
    assert edges.height > 0
    assert edges.select("source", "target").rows() == sorted(ends)
    assert edges["in_network"].all()
    for s, t, weight, *weights, n_layers, layers in edges.drop("in_network").rows():
        assert weights == [hashtag.get((s, t), 0), retweet.get((s, t), 0)]
        means = [sum(each.values()) / len(each) for each in (hashtag, retweet)]
        scaled = sum(w / m for w, m in zip(weights, means, strict=True)) / 2
        assert weight == pytest.approx(scaled)
        assert n_layers == sum(w > 0 for w in weights) == len(layers.split())
    if merge == "intersection":
        other = coact(archive, tmp_path / "two", layers=SOME[2:4], window="1h", min_layers=2)
        assert_frame_equal(edges, other.read("edges"))


def test_coact__drops_light_edges_of_a_layer(archive, tmp_path):
    light = coact(archive, tmp_path / "1", layers=SOME[2:4], window="1h").read("layers")
    heavy = coact(archive, tmp_path / "2", layers=SOME[2:4], window="1h", min_weight=2)
    assert_frame_equal(heavy.read("layers"), light.filter(pl.col("weight") >= 2))
    ends = heavy.read("edges").select("source", "target")
    assert 0 < ends.height < light.select("source", "target").n_unique()
    assert set(ends.rows()) == set(heavy.read("layers").select("source", "target").rows())


def test_coact__turns_edges_both_ways_beside_a_directed_layer(archive, tmp_path):
    layers = ["co_retweet", "fast_retweet:1h"]
    findings = coact(archive, tmp_path / "run", layers=layers, window="10m")
    edges = findings.read("edges")
    both = edges.filter(pl.col("weight_co_retweet") > 0).select("source", "target").rows()
    assert set(both) == {ends[::-1] for ends in both}
    fast = findings.read("layers").filter(layer="fast_retweet_1h").select("source", "target").rows()
    directed = edges.filter(pl.col("weight_fast_retweet_1h") > 0).select("source", "target").rows()
    assert fast and sorted(fast) == sorted(directed)
    assert findings.summary["n_edges"] == edges.height
    assert '<graph edgedefault="directed">' in (findings.path / "network.graphml").read_text()


def test_coact__fuses_the_tests_of_its_layers(archive, tmp_path):
    layers = ["co_hashtag", "co_retweet", "fast_retweet"]
    findings = coact(
        archive, tmp_path / "run", layers=layers, window="10m", merge="fused", alpha=0.2
    )
    found = findings.read("layers")
    assert found.filter(layer="fast_retweet")["p_value"].null_count() == (
        found.filter(layer="fast_retweet").height
    )
    p_of = {
        (layer, s, t): p
        for layer, s, t, p in found.select("layer", "source", "target", "p_value").rows()
        if layer != "fast_retweet"
    }
    alone = gc.share(archive, tmp_path / "share", kinds="retweet", window="10m").read("edges")
    edges = findings.read("edges")
    assert edges.height > 50
    for s, t, p, q, significant in edges.select(
        "source", "target", "p_value", "q_value", "significant"
    ).rows():
        s, t = sorted([s, t])
        ps = [p_of.get((layer, s, t), 1.0) for layer in layers[:2]]
        total = sum(tan(pi * (0.5 - min(each, 0.5))) for each in ps)
        expected = 1.0 if min(ps) == 1 else 0.5 - atan(total / 2) / pi
        assert p == pytest.approx(expected, rel=1e-6)
        assert q >= p and significant == (q <= 0.2)
    # The accounts of the other layers are accounts of each: nothing else differs.
    alone = {(s, t): e for s, t, e in alone.select("source", "target", "expected").rows()}
    for s, t, e in found.filter(layer="co_retweet").select("source", "target", "expected").rows():
        assert e == pytest.approx(alone[s, t])
    verify(findings.path)


def plant_pair(seed):
    """Return posts of 40 accounts at any time, and of two that meet 15 times in two ways each."""
    rng = np.random.default_rng(seed)
    span = 20 * 86_400
    rows = []
    for kind in ("url", "hashtag"):
        for account in range(40):
            for second in rng.integers(span, size=30).tolist():
                rows.append((f"other {account}", second, kind, str(rng.integers(20))))
        for second in rng.integers(span, size=15).tolist():
            value = str(rng.integers(20))
            rows += [("A", second, kind, value), ("B", second + 20, kind, value)]
    return [
        post(account, str(place), second, **{kind: [value]})
        for place, (account, second, kind, value) in enumerate(rows)
    ]


def test_coact__links_the_significant_edges_of_fused_layers(tmp_path):
    store = write_store(tmp_path / "store", plant_pair(seed=5))
    layers = ["co_url", "co_hashtag"]
    findings = coact(store, tmp_path / "run", layers=layers, window="5m", merge="fused")
    edges = findings.read("edges")
    assert edges.height > 10
    linked = edges.filter("significant")
    assert linked.select("source", "target", "n_layers").rows() == [("A", "B", 2)]
    accounts = findings.read("accounts").drop_nulls("component")
    assert accounts["account_id"].to_list() == ["A", "B"]
    assert findings.summary["n_significant"] == 1
    assert findings.summary["n_pairs_tested"] == 42 * 41 / 2
    of_pair = findings.read("layers").filter(source="A", target="B")
    assert linked["p_value"].item() < 2 * of_pair["p_value"].min()


def test_coact__of_a_directed_layer_is_directed_for_all_that_read_it(tmp_path):
    rows = [*plant_pair(seed=5), post("A", "said", 0), post("B", "again", 5, retweet=["said"])]
    store = write_store(tmp_path / "store", rows)
    others, fast = ["co_url", "co_hashtag"], "fast_retweet"
    choices = {"window": "5m", "merge": "fused"}
    # Only A -> B is in all three layers: the other two go both ways.
    one_way = coact(store, tmp_path / "one", layers=[*others, fast], min_layers=3, **choices)
    two_ways = coact(store, tmp_path / "two", layers=[*others, fast], **choices)
    undirected = coact(store, tmp_path / "none", layers=others, **choices)
    assert [run.is_directed for run in (one_way, two_ways, undirected)] == [True, True, False]
    assert [run.content["directed"] for run in (one_way, undirected)] == [True, False]
    there, back = ("A", "B"), ("B", "A")
    found = [
        sorted(run.read_network().select("source", "target").rows())
        for run in (one_way, two_ways, undirected)
    ]
    assert found == [[there], [there, back], [there]]
    candidates = [sorted(read_candidates(run).rows()) for run in (one_way, two_ways, undirected)]
    assert candidates == [[there], [there, back], [there, back]]
    model = gc.fit_model(
        store, tmp_path / "model", candidates=one_way.path, kinds=["url", "hashtag"], bin="1m"
    )
    assert model.summary["n_candidates"] == 1
    assert set(model.read("influences").select("source", "target").rows()) <= {there}
    # The truth is the other way round: a run without direction does not mind.
    accounts = store.read("accounts").select(
        "account_id", label=pl.when(pl.col("account_id").is_in(["A", "B"]))
        .then(pl.lit("operation")).otherwise(pl.lit("unaffiliated")),
    )  # fmt: skip
    accounts.write_parquet(tmp_path / "truth_accounts.parquet")
    pl.DataFrame([back], ["source", "target"], orient="row").write_parquet(
        tmp_path / "truth_edges.parquet"
    )
    figures = [
        gc.evaluate(run, tmp_path / "truth_accounts.parquet", n_resamples=0)["significant"]
        for run in (one_way, undirected)
    ]
    assert [each["recall"] for each in figures] == [0, 1]


@pytest.mark.parametrize("merge", ["union", "fused"])
def test_coact__gives_the_same_bytes_for_any_memory_and_threads(archive, tmp_path, merge):
    choices = {"layers": SOME, "window": "30m", "merge": merge}
    first = coact(archive, tmp_path / "1", **choices, backend=choose("cpu", threads=1))
    other = coact(
        archive, tmp_path / "2", **choices, backend=choose("cpu", threads=2), memory=1 << 15
    )
    assert read_all(first) == read_all(other)
    for file in ("network.graphml", "network.gexf"):
        assert (first.path / file).read_bytes() == (other.path / file).read_bytes()
    assert first.content["specification"] == other.content["specification"]


def test_coact__writes_pairs_of_the_widest_window_once(archive, tmp_path):
    findings = coact(archive, tmp_path / "run", layers=["co_url:1m", "co_url:1h"])
    pairs = findings.read("pairs")
    layers = findings.read("layers")
    assert pairs["action"].unique().to_list() == ["co_url"]
    for name, seconds in (("co_url_1h", 3600), ("co_url_1m", 60)):
        expected = layers.filter(layer=name)["n_pairs"].sum()
        assert pairs.filter(pl.col("time_delta") <= seconds).height == expected
    assert pairs.height > 0
    assert findings.summary["n_pairs"] == pairs.height


def test_coact__leaves_out_what_the_store_lacks(archive, tmp_path):
    with pytest.warns(UserWarning, match="no 'image'"):
        findings = coact(archive, tmp_path / "run", layers=["co_url", "co_image"], window="1h")
    assert findings.content["counts"]["missing_layers"] == ["co_image"]
    assert "weight_co_image" not in findings.read("edges").columns
    with pytest.raises(ValueError, match="the store has no image; its kinds are domain, hashtag"):
        coact(archive, tmp_path / "none", layers=["co_image"])
    with (
        pytest.warns(UserWarning, match="no post has 40 hashtags or more"),
        pytest.raises(ValueError, match="nothing is left of the layers co_hashtag_sequence"),
    ):
        coact(archive, tmp_path / "none", layers=["co_hashtag_sequence"], min_tags=40)


def test_coact__refuses_similar_texts_of_a_store_without_texts(tmp_path):
    rows = [post("A", "0", 0, text=[TEXTS[0]]), post("B", "1", 0, text=[TEXTS[1]])]
    store = write_store(tmp_path / "store", rows)
    with pytest.raises(ValueError, match="ingest again with --texts, or compare equal texts"):
        coact(store, tmp_path / "run", layers=["similar_text"])
    assert not (tmp_path / "run").exists()


def test_coact__compares_the_values_of_a_share_table(tmp_path):
    names = ["account_id", "object_id", "content_id", "timestamp_share", "kind"]
    table = [("A", TEXTS[1], "0", 0, "text"), ("B", TEXTS[3], "1", 9, "text"),
             ("C", TEXTS[2], "2", 9, "text")]  # fmt: skip
    pl.DataFrame(table, schema=names, orient="row").write_csv(tmp_path / "table.csv")
    store = gc.ingest([tmp_path / "table.csv"], tmp_path / "store")
    findings = coact(store, tmp_path / "run", layers=["similar_text"])
    assert findings.read("edges").select("source", "target").rows() == [("A", "B")]


def test_coact__writes_a_run_without_edges(tmp_path):
    rows = [post("A", "0", 0, url=["x"]), post("B", "1", 9999, url=["x"])]
    store = write_store(tmp_path / "store", rows)
    for merge in ("union", "intersection", "fused"):
        findings = coact(store, tmp_path / merge, layers=["co_url", "co_url:1s"], merge=merge)
        assert findings.read("edges").is_empty() and findings.read("layers").is_empty()
        assert findings.summary["n_communities"] == 0
        verify(findings.path)


def test_coact__refuses_tests_of_nothing(archive, tmp_path):
    with pytest.raises(ValueError, match="fast_retweet cannot be tested"):
        coact(archive, tmp_path / "run", layers=["fast_retweet"], merge="fused")


def test_coact__runs_on_a_real_archive(data_dir, tmp_path):
    files = sorted((data_dir / "io_thailand_092020").glob("*.csv"))
    store = gc.ingest(files, tmp_path / "store", texts=True)
    layers = ["co_retweet", "co_text", "similar_text", "fast_retweet:10m"]
    findings = coact(store, tmp_path / "run", layers=layers)
    rows = findings.read("layers")
    equal, alike = (
        set(rows.filter(layer=name).select("source", "target").rows())
        for name in ("co_text", "similar_text")
    )
    assert equal < alike  # equal texts are alike, and some are alike that are not equal
    shared = gc.share(store, tmp_path / "share", kinds="retweet", tests=False).read("edges")
    assert rows.filter(layer="co_retweet").height == shared.height > 100
    verify(findings.path)


# --- the command --------------------------------------------------------------------------------


def test_command__shows_layers_under_pseudonyms(archive, tmp_path):
    layers = "co_url,co_url:10s,co_hashtag,fast_retweet:1h"
    done = invoke(
        "coact", archive.path, "--out", tmp_path / "run", "--layers", layers, "--window", "1h"
    )
    assert done.exit_code == 0, done.output
    assert "co_url_10s" in done.output and "Not tested against chance" in done.output
    ids = pl.read_parquet(tmp_path / "run" / "accounts.parquet")["account_id"].to_list()
    assert not any(account in done.output for account in ids)
    assert "two accounts share the same things" in done.output
    assert invoke("verify", tmp_path / "run").exit_code == 0


def test_command__prints_one_object(archive, tmp_path):
    done = invoke(
        "coact", archive.path, "--out", tmp_path / "run", "--layers", "co_url,co_hashtag",
        "--merge", "fused", "--json",
    )  # fmt: skip
    summary = json.loads(done.stdout)
    assert summary["n_layers"] == 2 and "lambda" in summary
    shown = invoke(
        "coact", archive.path, "--out", tmp_path / "run", "--layers", "co_url,co_hashtag",
        "--merge", "fused",
    )  # fmt: skip
    assert "Beyond the news" in shown.output and "(fused)" in shown.output
