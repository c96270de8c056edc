"""Data frames in; findings as tables, graphs and cards out; folders that go with the findings."""

import gc as garbage
import pickle
import re
import shutil
import sys
import unicodedata
from html.parser import HTMLParser

import igraph
import networkx as nx
import numpy as np
import polars as pl
import pytest
from hostile import HOSTILE
from polars.testing import assert_frame_equal
from runs import write_run

import gpu_coord as gc
from gpu_coord.accounts.explanation import explain
from gpu_coord.archive.ingest import read_labels
from gpu_coord.archive.sources import ArchiveError
from gpu_coord.ground.cards import write_table
from gpu_coord.ground.terminal import clean
from gpu_coord.results.strongest import list_strongest

MAP = {"account_id": "who", "object_id": "what", "timestamp_share": "when", "kind": "sort"}


def draw_shares(names=("a", "b", "c"), objects=("e0", "e1", "e2"), kind="hashtag", n_days=25):
    """Return shares: the first two names meet each day within 10 s; the third follows; others."""
    rng = np.random.default_rng(4)
    rows = [
        (f"u{u}", objects[int(place)], 3600 * int(hour) + u)
        for u in range(40)
        for hour, place in zip(
            rng.integers(0, 24 * n_days, 6), rng.integers(0, len(objects), 6), strict=True
        )
    ]
    for day, hour in enumerate(rng.integers(1, 22, n_days).tolist()):
        for number, name in enumerate(names):
            second = 3600 * (24 * day + hour) + 10 * number
            rows.append((name, objects[day % len(objects)], second))
    columns = ["account_id", "object_id", "timestamp_share"]
    drawn = pl.DataFrame(rows, schema=columns, orient="row").with_row_index("content_id")
    moved = pl.col("timestamp_share") + 1_600_000_000
    return drawn.with_columns(pl.col("content_id").cast(pl.String), moved, kind=pl.lit(kind))


FRAME = draw_shares()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return gc.ingest(FRAME, tmp_path_factory.mktemp("frames") / "store")


@pytest.fixture(scope="module")
def runs(store):
    """Return a run of each command, each with a network."""
    folder = store.path.parent
    return {
        "detect": gc.detect(store, folder / "detect", groups=0),
        "share": gc.share(store, folder / "share", kinds=["hashtag"]),
        "coact": gc.coact(store, folder / "coact", layers=["co_hashtag"], merge="fused"),
    }


each_run = pytest.mark.parametrize("command", ["detect", "share", "coact"])


# --- frames ------------------------------------------------------------------------------------


def to_duckdb(frame):
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed: relations NOT TESTED")
    return duckdb.from_arrow(frame.to_arrow())


@pytest.mark.parametrize(
    "convert",
    [
        pl.DataFrame.clone,
        pl.DataFrame.lazy,
        pl.DataFrame.to_pandas,
        pl.DataFrame.to_arrow,
        to_duckdb,
    ],
    ids=["polars", "lazy", "pandas", "arrow", "duckdb"],
)
def test_share__takes_a_frame_as_it_takes_the_store_made_of_it(convert, runs):
    found = gc.share(convert(FRAME), kinds=["hashtag"])
    assert_frame_equal(found.read("edges"), runs["share"].read("edges"))


@pytest.mark.parametrize("function", [gc.detect, gc.coact], ids=["detect", "coact"])
def test_commands__take_a_frame_whose_columns_are_told(function, runs, tmp_path):
    frame = FRAME.rename(MAP)
    choices = {"groups": 0} if function is gc.detect else {"layers": ["co_hashtag"]}
    found = function(frame, tmp_path / "run", map=MAP, **choices)
    assert found.kept is None and gc.verify(tmp_path / "run")
    assert found.summary["n_accounts"] == 43 and found.summary["n_edges"] > 0


def test_commands__refuse_what_is_no_store_and_no_frame(store, tmp_path):
    with pytest.raises(TypeError, match=r"of the type dict; give a store, its folder or a data fr"):
        gc.detect({"account_id": ["a"]})
    with pytest.raises(ValueError, match="what is given is a store; leave map out"):
        gc.share(store, tmp_path / "run", map=MAP)
    with pytest.raises(ArchiveError):
        gc.share(FRAME.drop("object_id"))


def test_ingest__takes_tables_beside_the_files_as_frames(tmp_path):
    labels = pl.DataFrame({"account_id": ["a", "b"], "label": ["one", "two"]})
    persons = pl.DataFrame({"account_id": ["b", "c"], "person": ["p", "p"]})
    labels.write_csv(tmp_path / "labels.csv")
    others = draw_shares(names=("x", "y", "z"))
    store = gc.ingest(
        FRAME, tmp_path / "store", labels=labels.to_pandas(), same_person=persons,
        label={"control": others.to_arrow()},
    )  # fmt: skip
    accounts = dict(store.read("accounts").select("account_id", "label").iter_rows())
    assert (accounts["a"], accounts["x"]) == ("one", "control")
    assert "p" in accounts and not {"b", "c"} & accounts.keys()
    assert read_labels(labels.to_pandas()).equals(read_labels(tmp_path / "labels.csv"))
    with pytest.raises(TypeError, match="a table is given as dict; give a CSV or Parquet file, or"):
        gc.ingest(FRAME, tmp_path / "store", labels={"a": "one"})


def test_commands__take_labels_as_a_frame_or_a_file(store, tmp_path):
    labels = pl.DataFrame({"account_id": ["a", "b"], "label": ["one", "two"]})
    labels.write_parquet(tmp_path / "labels.parquet")
    found = [
        gc.detect(store, tmp_path / "run", labels=given, groups=0)
        for given in (labels, labels.to_pandas(), tmp_path / "labels.parquet")
    ]
    assert len({each.content["specification"] for each in found}) == 1
    assert found[0].read("accounts")["label"].to_list()[:3] == ["one", "two", None]


# --- folders -----------------------------------------------------------------------------------


def test_findings__without_a_folder_are_there_as_long_as_somebody_has_them(tmp_path):
    found = gc.share(FRAME, kinds=["hashtag"])
    folder = found.kept.path
    assert folder in found.path.parents and "temporary" in repr(found)
    lazy, again = found.scan("edges"), gc.open_run(found)
    kept = found.save(tmp_path / "kept")
    del found
    assert again.read("edges").height
    del again
    garbage.collect()
    assert not folder.exists()
    assert kept.kept is None and gc.verify(tmp_path / "kept") and lazy.collect().height
    assert_frame_equal(lazy.collect(), gc.open_run(tmp_path / "kept").read("edges"))


def test_findings__of_roles_keep_the_folder_and_find_the_store_of_a_frame():
    found = gc.assign_roles(gc.detect(FRAME, groups=0))
    assert "role" in found.read("accounts").columns and found.kept.path.is_dir()


def test_save__refuses_what_holds_something_else_and_replaces_its_like(runs, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("x")
    with pytest.raises(FileExistsError, match=r"has no run\.json of ours"):
        runs["detect"].save(tmp_path / "notes")
    runs["share"].save(tmp_path / "kept")
    assert runs["share"].save(tmp_path / "kept").command == "share"
    with pytest.raises(FileExistsError, match="kept holds another run; give --overwrite"):
        runs["detect"].save(tmp_path / "kept")
    assert runs["detect"].save(tmp_path / "kept", overwrite=True).command == "detect"


def test_files__of_others_are_not_replaced(runs, tmp_path):
    mine = tmp_path / "tweets.csv"
    mine.write_text("precious")
    for write in (runs["detect"].to_graphml, lambda path: gc.write_report(runs["detect"], path)):
        with pytest.raises(FileExistsError, match=r"tweets\.csv exists and is no .*not replaced"):
            write(mine)
        write(tmp_path / "made")
        write(tmp_path / "made")
        (tmp_path / "made").unlink()
    assert mine.read_text() == "precious"


def test_store__without_a_folder_is_there_as_long_as_somebody_has_it(tmp_path, store):
    made = gc.ingest(FRAME.to_pandas())
    folder, lazy = made.kept.path, made.scan("events")
    kept = made.save(tmp_path / "store")
    assert "temporary" in repr(made)
    del made
    garbage.collect()
    assert not folder.exists() and lazy.collect().height == kept.read("events").height
    assert gc.verify(kept.path) and kept.read("accounts").equals(store.read("accounts"))
    with pytest.raises(FileExistsError):
        kept.save(tmp_path)


def test_simulation_sweep_and_transplant__need_no_folder(store, tmp_path):
    made = gc.simulate(preset="swift", n_posts=9000, seed=1)
    assert made.tweets.is_file() and made.save(tmp_path / "archive").tweets.is_file()
    assert type(made.save(tmp_path / "archive")) is type(made)
    swept = gc.sweep(FRAME, {"kinds": ["hashtag"], "min_support": [1, 2], "paper": [True]})
    assert swept.read("sweep").height == 2 and swept.save(tmp_path / "sweep").kept is None
    grown = gc.transplant(FRAME, store, min_events=2)
    assert grown.read("shares").height and grown.kept is not None


def test_simulate__refuses_a_choice_that_is_made_twice(tmp_path):
    with pytest.raises(ValueError, match="overrides has n_posts, which the keyword chooses"):
        gc.simulate(tmp_path / "a", n_posts=3000, overrides={"n_posts": 2000})
    with pytest.raises(ValueError, match="overrides has preset, which the keyword chooses"):
        gc.simulate(tmp_path / "a", overrides={"preset": "null"})


# --- tables ------------------------------------------------------------------------------------


@each_run
def test_findings__list_what_people_read(runs, command):
    found = runs[command]
    for part in ("edges", "groups", "accounts", "objects"):
        method = getattr(found, part)
        assert method().equals(list_strongest(found, part))
        assert method(2).equals(list_strongest(found, part, n_rows=2))
        assert method(show_ids=True).equals(list_strongest(found, part, show_ids=True))
    own = found.edges(account="c", show_ids=True)
    assert own.height and all("c" in pair for pair in own.select("a", "b").iter_rows())
    with pytest.raises(ValueError, match="number of rows is -1; ask for 0 or more"):
        found.edges(-1)


@each_run
def test_edges__of_a_tier_are_those_that_reach_it(runs, command):
    found = runs[command]
    tiers = {"beyond_news": ["beyond_news"], "beyond_habit": ["beyond_news", "beyond_habit"]}
    for tier, reached in tiers.items():
        edges = found.read("edges").filter(pl.col("tier").cast(pl.String).is_in(reached))
        pairs = {frozenset(pair) for pair in edges.select("source", "target").iter_rows()}
        own = found.edges(tier=tier, show_ids=True)
        assert pairs or tier == "beyond_news"  # in so few shares nothing else tells the news
        assert {frozenset(pair) for pair in own.select("a", "b").iter_rows()} == pairs
        assert found.edges(1, tier=tier).equals(found.edges(tier=tier).head(1))
    with pytest.raises(ValueError, match="tier is 'certain'; it is one of"):
        found.edges(tier="certain")


def test_edges__of_a_run_without_tests_have_no_tiers(store, tmp_path):
    found = gc.detect(store, tmp_path / "run", paper=True)
    with pytest.raises(ValueError, match="tested nothing of these against chance"):
        found.edges(tier="beyond_habit")
    with pytest.raises(ValueError, match="tested nothing of these against chance"):
        found.groups(tier="beyond_habit")


@each_run
def test_evidence__is_that_of_explain(runs, command):
    found = runs[command]
    told = explain(found, "a", "b")
    assert found.evidence("a", "b", show_ids=True).equals(told.evidence.drop("pseudonym"))
    names = dict(found.read("accounts").select("account_id", "pseudonym").iter_rows())
    hidden = found.evidence(names["b"], "a")
    assert hidden.height == told.evidence.height
    assert set(hidden["source"]) | set(hidden["target"]) <= {names["a"], names["b"]}
    assert not [name for name in hidden.columns if name.startswith("content")]
    with pytest.raises(ValueError, match="same account"):
        found.evidence("a", names["a"])


def test_findings__that_are_no_run_say_so(store, tmp_path):
    found = gc.sweep(store, {"kinds": ["hashtag"], "paper": [True]}, tmp_path / "sweep")
    for ask in (found.edges, found.accounts, found.to_networkx, lambda: found.evidence("a", "b")):
        with pytest.raises(
            ValueError, match=r"is a sweep, and pairs, groups, .* read\(\) takes one"
        ):
            ask()


# --- graphs ------------------------------------------------------------------------------------


def read_graph(run):
    """Return the graph in the folder of a run, nodes by account id."""
    graph = nx.read_graphml(run.path / "network.graphml")
    return nx.relabel_nodes(graph, nx.get_node_attributes(graph, "account_id"))


@each_run
def test_to_networkx__is_what_the_file_says(runs, command):
    graph, expected = runs[command].to_networkx(show_ids=True), read_graph(runs[command])
    assert type(graph) is type(expected) and expected.number_of_edges()
    assert set(graph) == set(expected)
    for node, attributes in expected.nodes(data=True):
        assert graph.nodes[node] == {k: v for k, v in attributes.items() if k != "account_id"}
    assert {frozenset(pair) for pair in graph.edges} == {frozenset(pair) for pair in expected.edges}
    assert all(graph.edges[a, b] == told for a, b, told in expected.edges(data=True))


@each_run
def test_to_igraph__is_the_same_graph(runs, command):
    graph, expected = (
        runs[command].to_igraph(show_ids=True),
        runs[command].to_networkx(show_ids=True),
    )
    assert isinstance(graph, igraph.Graph) and graph.is_directed() == expected.is_directed()
    assert graph.vs["name"] == list(expected)
    ends = [(graph.vs[e.source]["name"], graph.vs[e.target]["name"]) for e in graph.es]
    assert len(ends) == expected.number_of_edges()
    weights = [expected.edges[pair]["weight"] for pair in ends]
    assert graph.es["weight"] == weights
    assert graph.vs["n_posts"] == [told["n_posts"] for _, told in expected.nodes(data=True)]


@each_run
def test_to_graphml__is_the_same_graph(runs, command, tmp_path):
    runs[command].to_graphml(tmp_path / "own.graphml", show_ids=True)
    graph = nx.read_graphml(tmp_path / "own.graphml")
    graph = nx.relabel_nodes(graph, nx.get_node_attributes(graph, "account_id"))
    expected = read_graph(runs[command])
    assert nx.utils.graphs_equal(graph, expected)


@each_run
def test_graphs__name_accounts_by_pseudonyms_unless_asked(runs, command, tmp_path):
    found = runs[command]
    names = set(found.read("accounts")["pseudonym"])
    found.to_graphml(tmp_path / "own.graphml")
    assert set(found.to_networkx()) <= names and set(found.to_igraph().vs["name"]) <= names
    for told in nx.read_graphml(tmp_path / "own.graphml").nodes.values():
        assert told["account_id"] == told["pseudonym"]


def test_to_pandas__is_the_same_table(runs):
    frame = runs["share"].to_pandas("accounts", 3)
    assert_frame_equal(pl.from_pandas(frame), runs["share"].accounts(3), check_dtypes=False)


@pytest.mark.parametrize("library", ["networkx", "igraph", "pandas"])
def test_graphs__say_which_library_is_missing(runs, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        ModuleNotFoundError, match=rf"to_{library}\(\) needs {library}, which is not"
    ):
        getattr(runs["share"], f"to_{library}")()


def test_findings__can_be_pickled(runs):
    assert pickle.loads(pickle.dumps(runs["share"])) == runs["share"]


# --- cards -------------------------------------------------------------------------------------


class Card(HTMLParser):
    """The elements, attributes and texts of HTML."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.attributes, self.texts, self.others, self.open = [], [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def handle_comment(self, data):
        self.others.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def check_card(html):
    """Check that nothing in a card acts, and return its texts."""
    card = Card(html)
    assert not card.open and not card.others
    assert set(card.elements) <= {"div", "strong", "p", "em", "table", "tr", "th", "td", "img"}
    written = {"class": r"mathjax_ignore tex2jax_ignore", "style": r"[a-z0-9 :;#.%-]*",
               "alt": r"The network( as a circle)?",
               "src": r"data:image/(png|svg\+xml);base64,[A-Za-z0-9+/=]+"}  # fmt: skip
    for name, value in card.attributes:
        assert re.fullmatch(written[name], value), (name, value)
    text = "".join(card.texts)
    unsafe = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")}
    assert unsafe <= {"\n"}
    return card.texts


@each_run
def test_card__of_a_run_has_its_tier_and_the_strongest_pairs(runs, command):
    texts = check_card(runs[command]._repr_html_())
    said = " ".join(texts)
    pairs = runs[command].edges(8)
    assert {*pairs["a"], *pairs["b"]} <= set(texts) and "a" not in texts
    assert "Beyond habit: " in said and "coordination is not inauthenticity" in said
    found, *_, then = runs[command].describe().splitlines()
    assert found in said and then in said
    assert "data:image/svg+xml" in runs[command]._repr_html_()


def test_write_table__breaks_no_pseudonym_but_long_texts():
    rows = [["acct-0123456789ab", "x" * 25, 3], ["acct-ba9876543210", "short", 4]]
    card = Card(write_table("Pairs", ["A", "object", "n"], rows))
    styles = [value for name, value in card.attributes if name == "style"][-3:]
    assert ["nowrap" in style for style in styles] == [True, False, True]


def test_card__has_the_picture_of_the_folder(runs, tmp_path):
    shutil.copytree(runs["share"].path, tmp_path / "run")
    (tmp_path / "run" / "network.png").write_bytes(b"\x89PNG")
    assert "data:image/png;base64,iVBORw==" in gc.open_run(tmp_path / "run")._repr_html_()


def test_card__of_a_sweep_a_store_and_others(store, runs, tmp_path):
    grid = {"kinds": ["hashtag"], "min_support": [1, 2], "paper": [True]}
    swept = gc.sweep(store, grid, tmp_path / "sweep")
    texts = check_card(swept._repr_html_())
    assert "min support" in texts and "2 combinations of choices" in " ".join(texts)
    assert "43 accounts" in " ".join(check_card(store._repr_html_()))
    assert "hops" in check_card(gc.trace_cascades(store, tmp_path / "cascades")._repr_html_())
    empty = gc.share(store, kinds=["hashtag"], window="0s")
    assert "save() keeps it" in "".join(check_card(empty._repr_html_()))


@pytest.mark.parametrize("command", ["detect", "share", "coact", "sweep", "cascades"])
def test_cards__obey_nothing_that_comes_from_an_archive(command, tmp_path):
    frame = draw_shares(names=HOSTILE[:6], objects=HOSTILE)
    labels = pl.DataFrame({"account_id": HOSTILE[:6], "label": HOSTILE[-6:]})
    folder = tmp_path / "<b onclick=x>\u202e"
    folder.mkdir()
    frame.write_csv(folder / "<img src=x>.csv")
    store = gc.ingest(folder / "<img src=x>.csv", folder / "<i>store", labels=labels)
    check_card(store._repr_html_())
    choices = {
        "detect": {"kinds": ["hashtag"], "groups": 0}, "share": {"kinds": ["hashtag"]},
        "coact": {"layers": ["co_hashtag"]},
        "sweep": {"grid": {"kinds": ["hashtag"], "paper": [True], "min_support": [1, 2]}},
        "cascades": {"kinds": ["hashtag"]},
    }[command]  # fmt: skip
    function = gc.trace_cascades if command == "cascades" else getattr(gc, command)
    found = function(store, out=folder / "run", **choices)
    texts = check_card(found._repr_html_())
    if command not in ("sweep", "cascades"):
        assert {clean(value) for value in found.objects(4)["value"]} <= set(texts)
    assert "\n" not in repr(found) and "\u202e" not in repr(found)


def test_cards__obey_no_marker_and_no_kind(tmp_path):
    """Kinds and labels of layers are words of an archive, too; so is what a marker says."""
    bad = '<script>"$x$"\u202e'
    edges = {"source": ["a"], "target": ["b"], "weight": [1.0], "in_network": [True], "lag": [0]}
    accounts = {"account_id": ["a", "b"], "pseudonym": [bad, "q"], "community": [0, 0]}
    found = write_run(
        tmp_path / "run",
        content={"summary": {"n_edges": 1}, "input": {"store": bad}, "directed": True},
        edges=edges,
        accounts={"label": [bad, None]} | accounts,
        communities={"community": [0], "n_accounts": [2], "density": [1.0], "main_label": [bad]},
        entities={"kind": [bad], "value": [bad], "pseudonym": [None], "n_accounts": [2],
                  "n_events": [2], "coordination": [1.0]},
    )  # fmt: skip
    texts = check_card(found._repr_html_())
    assert '<script>"$x$"\ufffd' in texts
