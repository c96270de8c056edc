"""networkx and igraph read what is written; the tables that went in are the oracle."""

import math
import re
from datetime import UTC, date, datetime

import igraph
import networkx as nx
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpu_coord.network import exports
from gpu_coord.network.exports import write_gexf, write_graphml

WRITERS = pytest.mark.parametrize("write", [write_graphml, write_gexf])
READERS = {write_graphml: nx.read_graphml, write_gexf: nx.read_gexf}
HOSTILE = "<b>&amp;\"']]> --> =1+1 \x00\x0b\x1f\ufffe\uffff \t\r\n \u202e\u2028 {} %d 🦜"

# Written from the Char production of XML 1.0, unlike the list of the module.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def make_nodes(ids, **attributes):
    accounts = pl.Series("account", range(len(ids)), dtype=pl.Int32)
    return pl.DataFrame({"account": accounts, "account_id": ids, **attributes})


def make_edges(pairs, **attributes):
    schema = {"source": pl.Int32, "target": pl.Int32, "weight": pl.Float64}
    return pl.DataFrame(pairs, schema=schema, orient="row").with_columns(**attributes)


NODES = make_nodes(
    ["a", HOSTILE, "c"],
    label=["operation", None, "x & y"],
    influence=[1.5, 0.0, math.nan],
    component=pl.Series([0, 0, None], dtype=pl.Int32),
    n_posts=[2**53 + 1, -1, 0],
    recruited=[True, None, False],
    joined=[date(2020, 2, 29), None, date(1999, 12, 31)],
)
EDGES = make_edges(
    [(0, 1, 0.1), (1, 0, 1e-300)],
    support=pl.Series([7, None], dtype=pl.UInt32),
    significant=pl.Series([True, False]),
    grade=pl.Series(["strong", None], dtype=pl.Categorical),
)


def read_tables(path, read):
    """Return the attributes of nodes and of edges as networkx sees them, without its own."""
    graph = read(path)
    assert type(graph) is nx.DiGraph
    own = {"id", "label"} if read is nx.read_gexf else set()

    def leave_out(data):
        return {name: value for name, value in data.items() if name not in own}

    nodes = {node: leave_out(data) for node, data in graph.nodes(data=True)}
    return nodes, {(source, target): leave_out(data) for source, target, data in graph.edges.data()}


@pytest.fixture
def send(tmp_path):
    """Return a function that writes a network and returns what networkx reads."""

    def send(write, nodes, edges):
        write(tmp_path / "network", nodes, edges)
        return read_tables(tmp_path / "network", READERS[write])

    return send


@WRITERS
def test_write__networkx_reads_every_attribute_with_its_type(send, write):
    nodes, edges = send(write, NODES, EDGES)
    label = "label" if write is write_graphml else "class"
    assert math.isnan(nodes["n2"].pop("influence"))
    assert nodes == {
        "n0": {"account_id": "a", label: "operation", "influence": 1.5, "component": 0,
               "n_posts": 2**53 + 1, "recruited": True, "joined": "2020-02-29"},
        "n1": {"account_id": NOT_XML.sub("\ufffd", HOSTILE), "influence": 0.0, "component": 0,
               "n_posts": -1},
        "n2": {"account_id": "c", label: "x & y", "n_posts": 0, "recruited": False,
               "joined": "1999-12-31"},
    }  # fmt: skip
    assert edges == {
        ("n0", "n1"): {"weight": 0.1, "support": 7, "significant": True, "grade": "strong"},
        ("n1", "n0"): {"weight": 1e-300, "significant": False},
    }
    assert all(type(edge["weight"]) is float for edge in edges.values())
    assert type(nodes["n0"]["recruited"]) is bool


def test_write_gexf__labels_nodes_by_account_and_numbers_edges(tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "CHUNK_EDGES", 1)
    write_gexf(tmp_path / "network", NODES, EDGES)
    graph = nx.read_gexf(tmp_path / "network")
    assert [edge_id for _, _, edge_id in graph.edges(data="id")] == ["0", "1"]
    assert dict(graph.nodes(data="label")) == {
        "n0": "a",
        "n1": NOT_XML.sub("\ufffd", HOSTILE),
        "n2": "c",
    }


@WRITERS
def test_write__says_whether_edges_have_a_direction(tmp_path, write):
    for directed in (True, False):
        write(tmp_path / "network", NODES, make_edges([(1, 0, 2.0)]), directed=directed)
        graph = READERS[write](tmp_path / "network")
        assert graph.is_directed() == directed
        assert graph.has_edge("n1", "n0")
        assert graph.has_edge("n0", "n1") != directed


def test_write_graphml__igraph_reads_it(tmp_path):
    write_graphml(tmp_path / "network", NODES, EDGES)
    graph = igraph.Graph.Read_GraphML(str(tmp_path / "network"))
    assert graph.is_directed()
    assert graph.vs["id"] == ["n0", "n1", "n2"]
    assert graph.vs["account_id"] == ["a", NOT_XML.sub("\ufffd", HOSTILE), "c"]
    assert graph.get_edgelist() == [(0, 1), (1, 0)]
    assert graph.es["weight"] == [0.1, 1e-300]
    assert graph.es["significant"] == [True, False]


@given(st.lists(texts, min_size=1, max_size=4))
@example([HOSTILE, "", " ", "\r\n", "]]>", "&#x0;"])
def test_write__any_text_survives_but_for_characters_that_xml_lacks(tmp_path_factory, ids):
    nodes = make_nodes(ids, note=pl.Series(ids[::-1]))
    path = tmp_path_factory.mktemp("text") / "network"
    spelled = [NOT_XML.sub("\ufffd", text) for text in ids]
    for write, read in READERS.items():
        write(path, nodes, make_edges([]))
        assert [row["account_id"] for row in read_tables(path, read)[0].values()] == spelled
        assert [row["note"] for row in read_tables(path, read)[0].values()] == spelled[::-1]
    write_graphml(path, nodes, make_edges([]))
    assert igraph.Graph.Read_GraphML(str(path)).vs["account_id"] == spelled


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
@example([math.inf, -math.inf, 5e-324, -0.0, 1.7976931348623157e308])
def test_write__floats_survive_to_the_last_bit(tmp_path_factory, values):
    nodes = make_nodes(["a"] * (len(values) + 1))
    ends = [(0, target, value) for target, value in enumerate(values, 1)]
    edges = make_edges(ends, score=pl.Series(values))
    path = tmp_path_factory.mktemp("floats") / "network"
    for write, read in READERS.items():
        write(path, nodes, edges)
        rows = read_tables(path, read)[1].values()
        assert [row["weight"] for row in rows] == values
        assert [row["score"] for row in rows] == values


@WRITERS
def test_write__hostile_column_names_are_only_names(send, write):
    name = "weight_\"/><x a='&{}%s\x01\n"
    _, edges = send(write, NODES, EDGES.with_columns(pl.lit(1.0).alias(name)))
    assert edges["n0", "n1"][NOT_XML.sub("\ufffd", name)] == 1.0


@WRITERS
def test_write__names_that_xml_makes_alike_stay_two(send, write, tmp_path):
    columns = {
        f"weight_a{sign}b": pl.lit(value) for sign, value in (("\ufffe", 1.0), ("\uffff", 2.0))
    }
    _, edges = send(write, NODES, EDGES.with_columns(**columns))
    told = [value for name, value in edges["n0", "n1"].items() if name.startswith("weight_")]
    assert told == [1.0, 2.0]
    write_graphml(tmp_path / "network", NODES, EDGES.with_columns(**columns))
    assert len(igraph.Graph.Read_GraphML(str(tmp_path / "network")).es.attributes()) >= 3


@WRITERS
def test_write__only_ids_and_no_edges_or_nobody(send, write):
    nodes, edges = send(write, make_nodes(["a", "b"]), make_edges([]))
    assert nodes == {"n0": {"account_id": "a"}, "n1": {"account_id": "b"}}
    assert edges == {}
    assert send(write, NODES.head(0), EDGES.head(0)) == ({}, {})


@WRITERS
def test_write__accounts_may_be_any_subset_in_any_order(send, write):
    nodes, edges = send(write, NODES.reverse().head(2), make_edges([(2, 1, 1.0)]))
    assert list(nodes) == ["n2", "n1"]
    assert list(edges) == [("n2", "n1")]


@WRITERS
@pytest.mark.parametrize("chunk_edges", [1, 2, 7])
def test_write__bytes_do_not_depend_on_chunks_nor_on_laziness(
    tmp_path, monkeypatch, write, chunk_edges
):
    pairs = [(i, j, i + j / 8) for i in range(4) for j in range(4) if i != j]
    nodes, edges = make_nodes(list("abcd")), make_edges(pairs)
    write(tmp_path / "whole", nodes, edges)
    edges.write_parquet(tmp_path / "edges.parquet")
    monkeypatch.setattr(exports, "CHUNK_EDGES", chunk_edges)
    write(tmp_path / "chunked", nodes, pl.scan_parquet(tmp_path / "edges.parquet"))
    assert (tmp_path / "chunked").read_bytes() == (tmp_path / "whole").read_bytes()
    assert len(read_tables(tmp_path / "whole", READERS[write])[1]) == len(pairs)


@WRITERS
def test_write__tables_may_be_in_pieces_and_some_of_them_empty(tmp_path, write):
    pieces = [NODES.head(0), NODES.head(1), NODES.slice(1)]
    parts = [EDGES.head(0), EDGES.head(1), EDGES.slice(1)]
    write(tmp_path / "pieces", *(pl.concat(each, rechunk=False) for each in (pieces, parts)))
    write(tmp_path / "whole", NODES, EDGES)
    assert (tmp_path / "pieces").read_bytes() == (tmp_path / "whole").read_bytes()


@WRITERS
def test_write__moments_are_spelled_as_iso_8601(send, write):
    seen = [datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)]
    nodes = make_nodes(["a"], first_seen=pl.Series(seen, dtype=pl.Datetime("ms", "UTC")))
    text = send(write, nodes, make_edges([]))[0]["n0"]["first_seen"]
    assert datetime.fromisoformat(text) == seen[0]


@WRITERS
@pytest.mark.parametrize("far_end", [3, None])
def test_write__an_unknown_end_leaves_the_former_file(tmp_path, monkeypatch, write, far_end):
    monkeypatch.setattr(exports, "CHUNK_EDGES", 1)  # the fault comes after edges were written
    path = tmp_path / "network"
    path.write_text("former")
    edges = make_edges([(0, 1, 1.0), (1, far_end, 1.0)])
    with pytest.raises(ValueError, match=f"1 -> {far_end} has an end that is not in nodes"):
        write(path, NODES, edges)
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


@WRITERS
def test_write__an_interrupted_write_leaves_no_file(tmp_path, monkeypatch, write):
    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(exports, "_read_chunks", fail)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "network", NODES, EDGES)
    assert list(tmp_path.iterdir()) == []


@WRITERS
@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        (NODES.drop("account_id"), EDGES, r"nodes lack the columns \['account_id'\]; they have"),
        (NODES, EDGES.drop("weight"), r"edges lack the columns \['weight'\]; they have"),
        (pl.concat([NODES, NODES]), EDGES, "nodes repeat an account or lack an id"),
        (make_nodes(["a", None]), EDGES, "nodes repeat an account or lack an id"),
        (NODES.with_columns(x=pl.lit([1])), EDGES, "'x' has the type List"),
        (NODES.with_columns(x=pl.lit(1, pl.UInt64)), EDGES, "'x' has the type UInt64"),
        (NODES, EDGES.with_columns(x=pl.lit(b"a")), "'x' has the type Binary"),
    ],
)
def test_write__refuses_unsound_tables(tmp_path, write, nodes, edges, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "network", nodes, edges)
    assert list(tmp_path.iterdir()) == []


@WRITERS
def test_write__infinity_is_spelled_as_xml_schema_has_it(tmp_path, write):
    write(tmp_path / "network", NODES, make_edges([(0, 1, math.inf), (1, 0, -math.inf)]))
    edges = "".join(re.findall("<edge .*", (tmp_path / "network").read_text()))
    assert re.findall("-?inf", edges, re.IGNORECASE) == ["INF", "-INF"]
