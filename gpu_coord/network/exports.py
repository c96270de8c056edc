"""Network tables -> GraphML and GEXF files for Gephi, igraph, networkx and others.

Polars builds the lines, a chunk of edges at a time, so memory doesn't grow with the edges.
Ids come from archives: what XML can't hold as it stands is escaped, and what it can't hold at all
becomes U+FFFD. That can make two ids look alike, so account 7 is the node ``n7`` in both formats.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import polars as pl

from gpu_coord.ground.folders import replace_file
from gpu_coord.network.backbones import select_backbone

CHUNK_EDGES = 100_000
MAX_EXPORTED_EDGES = 200_000

_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    # As plain characters, readers would turn these into spaces and line feeds.
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
    # What XML 1.0 (section 2.2) excludes even as a reference; Polars text has no surrogates.
    **{chr(code): "\ufffd" for code in (*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF)},
}
_XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


def write_graphml(
    path: Path | str,
    nodes: pl.DataFrame,
    edges: pl.DataFrame | pl.LazyFrame,
    *,
    directed: bool = True,
) -> None:
    """Write a network as GraphML; every attribute has the name of its column.

    Parameters
    ----------
    path
        The file; replaced only once the new one is complete.
    nodes
        ``account`` (integer, unique), ``account_id`` and any attributes. Nulls are left out.
    edges
        ``source, target`` (values of ``account``), ``weight`` and any attributes, in any number.
    directed
        Whether edges go from source to target; otherwise each stands for both directions.

    Raises
    ------
    ValueError
        If a column is missing or of a type that the format lacks, accounts repeat or have no id,
        or an edge has an unknown end.
    """
    node_types, edge_types = _type_nodes(nodes), _type_edges(edges)
    node_data = _join_attributes(node_types, '<data key="node%d">{}</data>')
    edge_data = _join_attributes(edge_types, '<data key="edge%d">{}</data>')
    _write_network(
        Path(path),
        nodes,
        edges,
        opening=[
            _XML_DECLARATION,
            '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">',
            *_declare_keys("node", node_types),
            *_declare_keys("edge", edge_types),
            f'<graph edgedefault="{_spell_direction(directed=directed)}">',
        ],
        node=pl.format('<node id="n{}">{}</node>', "account", node_data),
        between=[],
        edge=pl.format('<edge source="n{}" target="n{}">{}</edge>', "source", "target", edge_data),
        closing=["</graph>", "</graphml>"],
    )


def write_gexf(
    path: Path | str,
    nodes: pl.DataFrame,
    edges: pl.DataFrame | pl.LazyFrame,
    *,
    directed: bool = True,
) -> None:
    """Write a network as GEXF 1.2.

    What the format calls a node's label is its ``account_id``; the column ``label`` becomes the
    attribute ``class``. Other attributes have the names of their columns.

    Parameters
    ----------
    path
        The file; replaced only once the new one is complete.
    nodes
        ``account`` (integer, unique), ``account_id`` and any attributes. Nulls are left out.
    edges
        ``source, target`` (values of ``account``), ``weight`` and any attributes, in any number.
    directed
        Whether edges go from source to target; otherwise each stands for both directions.

    Raises
    ------
    ValueError
        If a column is missing or of a type that the format lacks, accounts repeat or have no id,
        or an edge has an unknown end.
    """
    node_types, edge_types = _type_nodes(nodes), _type_edges(edges)
    del edge_types["weight"]  # written as the format's own weight
    value = '<attvalue for="%d" value="{}"/>'
    _write_network(
        Path(path),
        nodes,
        edges,
        opening=[
            _XML_DECLARATION,
            '<gexf xmlns="http://www.gexf.net/1.2draft" version="1.2">',
            f'<graph mode="static" defaultedgetype="{_spell_direction(directed=directed)}">',
            *_declare_attributes("node", node_types),
            *_declare_attributes("edge", edge_types),
            "<nodes>",
        ],
        node=pl.format(
            '<node id="n{}" label="{}"><attvalues>{}</attvalues></node>',
            "account",
            _spell("account_id", "string"),
            _join_attributes(node_types, value),
        ),
        between=["</nodes>", "<edges>"],
        edge=pl.format(
            '<edge id="{}" source="n{}" target="n{}"{}><attvalues>{}</attvalues></edge>',
            "row",
            "source",
            "target",
            pl.format(' weight="{}"', _spell("weight", "double")).fill_null(""),
            _join_attributes(edge_types, value),
        ),
        closing=["</edges>", "</graph>", "</gexf>"],
    )


def export_network(
    folder: Path,
    accounts: pl.DataFrame,
    edges: pl.DataFrame,
    *,
    directed: bool,
    anyway: bool,
    backbone: str | None = None,
) -> None:
    """Write the network of a run as ``network.graphml`` and ``network.gexf``, unless it is large.

    Parameters
    ----------
    folder
        Where to.
    accounts
        Of the run, row = account; only those with a ``component`` are in the network.
    edges, directed
        As above.
    anyway
        Write it even with more than 200,000 edges.
    backbone
        Write those edges alone, see `select_backbone`.
    """
    if backbone is not None:
        edges = select_backbone(edges, backbone, directed=directed)
    if edges.height > MAX_EXPORTED_EDGES and not anyway:
        return
    nodes = accounts.with_row_index("account").drop_nulls("component")
    write_graphml(folder / "network.graphml", nodes, edges, directed=directed)
    write_gexf(folder / "network.gexf", nodes, edges, directed=directed)


def _spell_direction(*, directed: bool) -> str:
    return "directed" if directed else "undirected"


def _type_nodes(nodes: pl.DataFrame) -> dict[str, str]:
    """Return the attributes of nodes and their types."""
    _require_columns("nodes", nodes.columns, ("account", "account_id"))
    identified = nodes.select("account", "account_id").drop_nulls()
    if identified["account"].n_unique() < nodes.height:
        raise ValueError("nodes repeat an account or lack an id; each row must be one account.")
    return _type_attributes(nodes.schema, but=("account",))


def _type_edges(edges: pl.DataFrame | pl.LazyFrame) -> dict[str, str]:
    schema = edges.lazy().collect_schema()
    _require_columns("edges", schema.names(), ("source", "target", "weight"))
    return _type_attributes(schema, but=("source", "target"))


def _require_columns(table: str, names: list[str], needed: Sequence[str]) -> None:
    if missing := [name for name in needed if name not in names]:
        raise ValueError(f"{table} lack the columns {missing}; they have {names}.")


def _type_attributes(schema: pl.Schema, *, but: Sequence[str]) -> dict[str, str]:
    return {name: _type_column(name, dtype) for name, dtype in schema.items() if name not in but}


def _type_column(name: str, dtype: pl.DataType) -> str:
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_integer() and dtype not in (pl.UInt64, pl.Int128, pl.UInt128):
        return "long"
    if dtype.is_float():
        return "double"
    if dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null, pl.Date, pl.Datetime):
        return "string"
    raise ValueError(
        f"The column {name!r} has the type {dtype}, which network files lack; drop it or cast it "
        "to text, a number, a date or a Boolean."
    )


def _declare_keys(owner: str, types: dict[str, str]) -> list[str]:
    return [
        f'<key id="{owner}{number}" for="{owner}" attr.name="{name}" attr.type="{kind}"/>'
        for number, (name, kind) in enumerate(_name_attributes(types))
    ]


def _declare_attributes(owner: str, types: dict[str, str]) -> list[str]:
    # GEXF readers would take a node's attribute called "label" for the format's own.
    titles = {"label": "class"} if owner == "node" else {}
    titled = {titles.get(name, name): kind for name, kind in types.items()}
    return [
        f'<attributes class="{owner}" mode="static">',
        *(
            f'<attribute id="{number}" title="{name}" type="{kind}"/>'
            for number, (name, kind) in enumerate(_name_attributes(titled))
        ),
        "</attributes>",
    ]


def _name_attributes(types: dict[str, str]) -> list[tuple[str, str]]:
    """Return names as XML holds them, with their types; readers refuse two that are alike."""
    named: dict[str, str] = {}
    for number, (name, kind) in enumerate(types.items()):
        spelled = _escape(name)
        named[f"{spelled} ({number})" if spelled in named else spelled] = kind
    return list(named.items())


def _join_attributes(types: dict[str, str], template: str) -> pl.Expr:
    """Return the attributes of a row as one text; a null is null in the format, too: absent."""
    elements = [
        pl.format(template % number, _spell(name, kind))
        for number, (name, kind) in enumerate(types.items())
    ]
    return pl.concat_str([pl.lit(""), *elements], ignore_nulls=True)


def _spell(name: str, kind: str) -> pl.Expr:
    text = pl.col(name).cast(pl.String)
    if kind == "string":
        return text.str.replace_many(list(_ESCAPES), list(_ESCAPES.values()))
    return text.str.replace("inf", "INF", literal=True)  # XML Schema's infinity


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _write_network(
    path: Path,
    nodes: pl.DataFrame,
    edges: pl.DataFrame | pl.LazyFrame,
    *,
    opening: list[str],
    node: pl.Expr,
    between: list[str],
    edge: pl.Expr,
    closing: list[str],
) -> None:
    with replace_file(path) as aside, aside.open("wb") as file:
        _write_lines(file, opening)
        _write_rows(file, nodes, node)
        _write_lines(file, between)
        for chunk in _read_chunks(edges, nodes["account"]):
            _write_rows(file, chunk, edge)
        _write_lines(file, closing)


def _read_chunks(edges: pl.DataFrame | pl.LazyFrame, accounts: pl.Series) -> Iterator[pl.DataFrame]:
    numbered = edges.lazy().with_row_index("row")
    for chunk in numbered.collect_batches(chunk_size=CHUNK_EDGES, maintain_order=True):
        known = pl.all_horizontal(pl.col("source", "target").is_in(accounts.implode()))
        if (stray := chunk.filter(~known.fill_null(value=False))).height:
            source, target = stray.select("source", "target").row(0)
            raise ValueError(
                f"The edge {source} -> {target} has an end that is not in nodes (one of "
                f"{stray.height} in its chunk); pass the nodes of all edges."
            )
        yield chunk


def _write_rows(file: IO[bytes], rows: pl.DataFrame, line: pl.Expr) -> None:
    if rows.height:
        rows = rows.rechunk()  # Polars 2.1 panics where the first piece of a column is empty
        _write_lines(file, [rows.select(line.str.join("\n", ignore_nulls=False)).item()])


def _write_lines(file: IO[bytes], lines: list[str]) -> None:
    file.writelines(f"{line}\n".encode() for line in lines)
