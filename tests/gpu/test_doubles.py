"""The doubles refuse what they say they refuse: every rule against a seeded mistake.

They show what an implementation of these interfaces allows; whether a device computes the same,
they cannot show.
"""

import json
import subprocess
import sys
from pathlib import Path

import narwhals as nw
import numpy as np
import polars as pl
import pytest

pytestmark = pytest.mark.gpu_contract

DOUBLES = Path(__file__).with_name("doubles")
LIBRARIES = {"cupy", "cupyx", "cudf", "cugraph", "doubles_contract"}
KERNEL = """
extern "C" __global__ void add(long long n, int step, const int *x, long long *y) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (; i < n; i += (long long)gridDim.x * blockDim.x)
        y[i] = x[i] + step;
}
"""


def is_replaced(name):
    return name.split(".")[0] in LIBRARIES or name.startswith("gpu_coord.backend.gpu")


@pytest.fixture(scope="module", autouse=True)
def doubles():
    """Put the doubles in the place of the libraries, for these tests only."""
    real = {name: sys.modules.pop(name) for name in list(sys.modules) if is_replaced(name)}
    sys.path.insert(0, str(DOUBLES))
    yield
    sys.path.remove(str(DOUBLES))
    for name in [name for name in sys.modules if is_replaced(name)]:
        del sys.modules[name]
    sys.modules.update(real)


@pytest.fixture
def cp():
    import cupy

    return cupy


@pytest.fixture
def cudf():
    import cudf

    return cudf


@pytest.fixture
def cugraph():
    import cugraph

    return cugraph


# --- the table, and the doubles' own names -----------------------------------------------------


def test_table__is_what_the_installed_wheels_give():
    command = [sys.executable, str(DOUBLES / "record.py"), "--print"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == json.loads((DOUBLES / "signatures.json").read_text())


def list_public(owner):
    return {name for name in vars(owner) if not name.startswith("_")}


def test_doubles__have_no_name_of_their_own(cp, cudf, cugraph):
    from cupy._functions import OWN, SAME
    from doubles_contract import TABLE

    real = TABLE["cupy"]
    assert OWN.keys() | SAME | set(cp.__all__) <= set(real["names"])
    assert list_public(cp.ndarray) <= real["ndarray"].keys()
    assert set(cp.cuda.__all__) <= set(real["cuda"])
    assert list_public(cp.cuda.runtime) - {"Any", "TABLE", "refuse_name"} <= set(real["runtime"])
    assert list_public(cp.RawModule) <= set(real["RawModule"])
    for library in (cudf, cugraph):
        assert set(library.__all__) <= set(TABLE[library.__name__]["names"])
    for name in ("DataFrame", "Series", "Index"):
        for base in getattr(cudf, name).__mro__[:-1]:
            assert list_public(base) <= TABLE["cudf"][name].keys(), name
    from cudf import _frames

    for name in ("DataFrameGroupBy", "SeriesGroupBy"):
        assert list_public(getattr(_frames, name)) <= TABLE["cudf"][name].keys()
    # Written as a method of the graph's implementation, by another name.
    assert list_public(cugraph.Graph) <= TABLE["cugraph"]["Graph"].keys()


def test_backend__passes_its_probes_on_the_doubles():
    from gpu_coord.backend import choose

    assert choose("gpu").device == "strict double (host)"


# --- CuPy: refused -----------------------------------------------------------------------------

REFUSED_BY_CUPY = {
    "implicit conversion": (lambda cp, a: np.asarray(a), TypeError, "Please use `.get"),
    "comparison on the host": (
        lambda cp, a: np.testing.assert_array_equal(a, np.arange(4)),
        TypeError,
        "Unsupported type|Implicit conversion",
    ),
    "host operand, right": (lambda cp, a: a + np.arange(4), TypeError, "Unsupported type.*ndarray"),
    "host operand, left": (lambda cp, a: np.arange(4) + a, TypeError, "Unsupported type.*ndarray"),
    "host operand, 0-d": (lambda cp, a: a + np.array(1), TypeError, "Unsupported type.*ndarray"),
    "list operand": (lambda cp, a: a * [1, 2, 3, 4], TypeError, "Unsupported type.*list"),
    "host argument": (lambda cp, a: cp.cumsum(np.arange(4)), TypeError, "must be a cupy.ndarray"),
    "host weights": (lambda cp, a: cp.bincount(a, weights=np.ones(4)), TypeError, "cupy.ndarray"),
    "list argument": (lambda cp, a: cp.where([True], a, a), TypeError, "must be a cupy.ndarray"),
    "host part": (lambda cp, a: cp.concatenate([a, np.arange(4)]), TypeError, "Only cupy arrays"),
    "host index": (lambda cp, a: a[np.array([0])], TypeError, "as an index"),
    "list index": (lambda cp, a: a[[0, 1]], TypeError, "as an index"),
    "host values": (lambda cp, a: a.__setitem__(slice(None), np.arange(4)), ValueError, "numpy"),
    "list values": (lambda cp, a: a.__setitem__(slice(None), [1] * 4), TypeError, "list"),
    "iteration": (lambda cp, a: list(a), TypeError, "iteration over a device array"),
    "unpacking": (lambda cp, a: [*a], TypeError, "iteration over a device array"),
    "membership": (lambda cp, a: 2 in a, TypeError, "not iterable"),
    "truth of an array": (lambda cp, a: bool(a), ValueError, "ambiguous"),
    "device count": (lambda cp, a: range(a[2]), TypeError, "integer"),
    "device shape": (lambda cp, a: cp.zeros(a[2]), TypeError, "integer"),
    "index out of bounds": (lambda cp, a: a[cp.asarray([9])], IndexError, "out of bounds"),
    "missing function": (lambda cp, a: cp.insert(a, 0, 1), AttributeError, "has no attribute"),
    "missing function, too": (lambda cp, a: cp.block([a]), AttributeError, "has no attribute"),
    "missing through NumPy": (lambda cp, a: np.insert(a, 0, 1), TypeError, "no implementation"),
    "missing method": (lambda cp, a: a.resize(2), AttributeError, "has no attribute"),
    "missing cuda name": (lambda cp, a: cp.cuda.nothing(), AttributeError, "has no attribute"),
    "unknown to the double": (lambda cp, a: cp.histogram(a), NotImplementedError, "add it"),
    "unknown keyword": (lambda cp, a: cp.sum(a, where=a > 1), TypeError, "real signature"),
    "unknown method keyword": (lambda cp, a: a.sum(initial=1), TypeError, "real signature"),
    "unknown ufunc keyword": (lambda cp, a: cp.add(a, a, where=a > 1), TypeError, "Wrong arg"),
    "too many arguments": (lambda cp, a: cp.flatnonzero(a, 0), TypeError, "real signature"),
    "repeat by a device array": (lambda cp, a: cp.repeat(a, a), ValueError, "repeats"),
    "repeat by a host array": (lambda cp, a: cp.repeat(a, np.arange(4)), TypeError, "numpy"),
    "repeat method": (lambda cp, a: a.repeat(a), ValueError, "repeats"),
    "lexsort of a tuple": (lambda cp, a: cp.lexsort((a, a)), TypeError, "must be a cupy.ndarray"),
    "kind of sort": (lambda cp, a: cp.argsort(a, kind="mergesort"), ValueError, "None or 'stable'"),
    "kind of sort, in place": (lambda cp, a: a.sort(kind="quicksort"), ValueError, "'stable'"),
    "packbits by axis": (lambda cp, a: cp.packbits(a, axis=0), NotImplementedError, "axis"),
    "list to search": (lambda cp, a: cp.searchsorted(a, [1]), NotImplementedError, "for v"),
    "text": (lambda cp, a: cp.asarray(["x"]), ValueError, "Unsupported dtype"),
    "objects": (lambda cp, a: a.astype(object), ValueError, "Unsupported dtype"),
    "times": (lambda cp, a: cp.zeros(2, dtype="datetime64[s]"), ValueError, "Unsupported dtype"),
    "minus a truth value": (lambda cp, a: -(a > 1), TypeError, "negative"),
    "float into integers": (lambda cp, a: a.__iadd__(1.5), TypeError, "same_kind"),
    "host out": (lambda cp, a: cp.cumsum(a, out=np.zeros(4)), TypeError, "Unsupported type"),
}


@pytest.mark.parametrize("mistake", REFUSED_BY_CUPY)
def test_cupy__refuses(cp, mistake):
    make, error, message = REFUSED_BY_CUPY[mistake]
    with pytest.raises(error, match=message):
        make(cp, cp.arange(4))


# --- CuPy: computed ----------------------------------------------------------------------------


def test_cupy__reductions_stay_on_the_device(cp):
    array = cp.asarray([3, 1, 2])
    for found, expected in ((array.sum(), 6), (cp.max(array), 3), (array[1], 1)):
        assert isinstance(found, cp.ndarray)
        assert found.ndim == 0
        assert int(found) == found.item() == expected
    assert f"{array.max()}" == "3"
    assert bool(array.min() == 1)


COMPUTED = {
    "arithmetic": lambda xp, a, b: (3 * a - b // 2) % 7 + abs(-a) / (b + 1),
    "comparison": lambda xp, a, b: (a < b) & ~(a == 3) | (b >= 5),
    "in place": lambda xp, a, b: xp.asarray(a).__iadd__(b),
    "where": lambda xp, a, b: xp.where(a > b, a, xp.nan),
    "sums": lambda xp, a, b: xp.stack([a.reshape(2, -1).sum(axis=0), b[:3] ** 2]),
    "cumulative": lambda xp, a, b: xp.cumsum(a > b),
    "order": lambda xp, a, b: xp.argsort(a, kind="stable"),
    "keys": lambda xp, a, b: xp.lexsort(xp.stack([a, b])),
    "counts": lambda xp, a, b: xp.bincount(a, weights=b, minlength=12),
    "search": lambda xp, a, b: xp.searchsorted(xp.sort(a), b, side="right"),
    "distinct": lambda xp, a, b: xp.concatenate(xp.unique(a, return_counts=True)),
    "indices": lambda xp, a, b: a[b % a.size][xp.flatnonzero(a)[:2]],
    "broadcast": lambda xp, a, b: xp.broadcast_to(a[:, None], (6, 2)) * b[:2],
    "product": lambda xp, a, b: xp.matmul(a.reshape(2, 3), b.reshape(3, 2)),
    "NumPy's own functions": lambda xp, a, b: np.sqrt(np.concatenate([a, b])),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_cupy__computes_what_numpy_computes(cp, name):
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 9, (2, 6))
    found = COMPUTED[name](cp, cp.asarray(a), cp.asarray(b))
    expected = COMPUTED[name](np, a.copy(), b)
    assert isinstance(found, cp.ndarray)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.get(), expected)


def test_cupy__views_share_memory(cp):
    array = cp.zeros(4)
    view = array[1:]
    view += 2
    array[0][...] = 7
    assert array.tolist() == [7, 2, 2, 2]
    total = cp.zeros(5, dtype=np.int64)
    cp.cumsum(cp.asarray([True, False, True, True]), out=total[1:])
    assert total.tolist() == [0, 1, 1, 2, 3]


def test_cupy__get_is_a_copy(cp):
    array = cp.zeros(2)
    array.get()[0] = 1
    assert array.tolist() == [0, 0]


def test_cupy__fresh_memory_is_not_zero(cp):
    for dtype in (bool, np.uint8, np.int32, np.int64, np.float32, float):
        assert bool(cp.empty((2, 3), dtype=dtype).any())
        assert bool(cp.ndarray(4, dtype=dtype).any())


def test_cupy__atomic_sums_have_no_order(cp):
    rows, values = cp.zeros(40, dtype=np.int64), cp.asarray([1e16, 1.0, -1e16, 1.0] * 10)
    sums = {float(cp.bincount(rows, weights=values)[0]) for _ in range(20)}
    assert len(sums) > 1
    exact = {float(cp.bincount(rows, weights=rows + 3)[0]) for _ in range(20)}
    assert exact == {120.0}


def test_cupy__of_several_values_for_one_place_any_may_stay(cp):
    array = cp.zeros(1)
    found = set()
    for _ in range(40):
        array[cp.zeros(5, dtype=np.int64)] = cp.arange(5.0)
        found.add(float(array[0]))
    assert len(found) > 1


# --- CuPy: kernels -----------------------------------------------------------------------------


def launch(cp, x, n=4, step=None, grid=(2,), block=(2,), options=("--std=c++17",)):
    step = np.int32(10) if step is None else step
    found = cp.empty(4, dtype=np.int64)
    module = cp.RawModule(code=KERNEL, options=options)
    module.get_function("add")(grid, block, (n, step, x, found))
    return found.tolist()


def test_kernel__runs(cp):
    x = cp.arange(4, dtype=np.int32)
    assert launch(cp, x) == [10, 11, 12, 13]
    assert launch(cp, x, grid=(0,), block=(1,)) == [10, 11, 12, 13]  # CuPy launches one block


KERNEL_MISTAKES = {
    "host array": (lambda cp, x: launch(cp, x.get()), TypeError, "numpy.ndarray"),
    "strided view": (lambda cp, x: launch(cp, x[::2]), ValueError, "contiguous"),
    "other type of array": (lambda cp, x: launch(cp, x.astype(np.int64)), TypeError, "int32"),
    "other type of number": (lambda cp, x: launch(cp, x, step=10), TypeError, "int32"),
    "list of options": (lambda cp, x: launch(cp, x, options=["-g"]), TypeError, "tuple"),
    "number as a grid": (lambda cp, x: launch(cp, x, grid=2), TypeError, "Expected tuple"),
    "too large a block": (lambda cp, x: launch(cp, x, block=(2048,)), ValueError, "block"),
    "no such kernel": (
        lambda cp, x: cp.RawModule(code=KERNEL).get_function("sub"),
        RuntimeError,
        "not found",
    ),
}


@pytest.mark.parametrize("mistake", KERNEL_MISTAKES)
def test_kernel__refuses(cp, mistake):
    make, error, message = KERNEL_MISTAKES[mistake]
    with pytest.raises(error, match=message):
        make(cp, cp.arange(4, dtype=np.int32))


# --- cuDF --------------------------------------------------------------------------------------


@pytest.fixture
def frame(cudf, cp):
    rng = np.random.default_rng(6)
    return cudf.DataFrame(
        {"key": cp.asarray(rng.integers(0, 8, 60)), "value": cp.asarray(np.arange(60))}
    )


REFUSED_BY_CUDF = {
    "implicit conversion": (lambda cudf, df: np.asarray(df), TypeError, "Implicit conversion"),
    "implicit conversion of a column": (
        lambda cudf, df: np.asarray(df["key"]),
        TypeError,
        "Implicit conversion",
    ),
    "iteration": (lambda cudf, df: list(df["key"]), TypeError, "not iterable"),
    "iteration over rows": (lambda cudf, df: df.itertuples(), TypeError, "itertuples"),
    "iteration over groups": (lambda cudf, df: list(df.groupby("key")), TypeError, "iterate"),
    "Python per group": (lambda cudf, df: df.groupby("key").apply(len), TypeError, "every group"),
    "host operand": (lambda cudf, df: df["key"] + np.arange(60), TypeError, "Unsupported type"),
    "list operand": (lambda cudf, df: df["key"] + [1] * 60, TypeError, "Unsupported type"),
    "truth": (lambda cudf, df: bool(df["key"]), ValueError, "ambiguous"),
    "missing function": (lambda cudf, df: cudf.merge_asof(df, df), AttributeError, "no attribute"),
    "missing method": (lambda cudf, df: df.idxmax(), AttributeError, "no attribute"),
    "missing method of a column": (lambda cudf, df: df["key"].item(), AttributeError, "no attr"),
    "missing method of groups": (lambda cudf, df: df.groupby("key").skew(), AttributeError, "skew"),
    "unknown to the double": (lambda cudf, df: df.pivot("key"), NotImplementedError, "add it"),
    "unknown keyword": (lambda cudf, df: df.merge(df, asof=True), TypeError, "real signature"),
    "no host copy without a copy": (lambda cudf, df: df.to_numpy(copy=False), ValueError, "copy"),
    "nulls to CuPy": (lambda cudf, df: cudf.Series([1.0, None]).to_cupy(), ValueError, "nulls"),
    "text to CuPy": (lambda cudf, df: cudf.Series(["a"]).to_cupy(), TypeError, "not support"),
}


@pytest.mark.parametrize("mistake", REFUSED_BY_CUDF)
def test_cudf__refuses(cudf, frame, mistake):
    make, error, message = REFUSED_BY_CUDF[mistake]
    with pytest.raises(error, match=message):
        make(cudf, frame)


# Real, but not modelled: a call that the package begins to make is refused until it is.
NOT_IN_THE_DOUBLES = {
    "rows of a file": lambda cudf, cugraph, df: cudf.read_parquet("x.parquet", nrows=1),
    "kinds of host frames": lambda cudf, cugraph, df: df.to_pandas(nullable=True),
    "rows as a dictionary": lambda cudf, cugraph, df: cudf.DataFrame.from_dict({}, orient="index"),
    "semi joins": lambda cudf, cugraph, df: df.merge(df, on="key", how="leftsemi"),
    "marks of joins": lambda cudf, cugraph, df: df.merge(df, on="key", indicator=True),
    "other sorts": lambda cudf, cugraph, df: df.sort_values("key", kind="heapsort"),
    "changes in place": lambda cudf, cugraph, df: df.sort_values("key", inplace=True),
    "graphs of graphs": lambda cudf, cugraph, df: cugraph.Graph(cugraph.Graph()),
    "names of edges": lambda cudf, cugraph, df: cugraph.Graph().from_cudf_edgelist(
        df, source="key", destination="value", edge_id="key"
    ),
    "starts of PageRank": lambda cudf, cugraph, df: cugraph.pagerank(
        build_graph(cugraph, TWO_PARTS, directed=True, store_transposed=True), nstart=df
    ),
}


@pytest.mark.parametrize("call", NOT_IN_THE_DOUBLES)
def test_doubles__refuse_what_they_do_not_model(cudf, cugraph, frame, call):
    with pytest.raises(NotImplementedError):
        NOT_IN_THE_DOUBLES[call](cudf, cugraph, frame)


UNORDERED = {
    "merge": lambda df: df.merge(df, on="key"),
    "groupby": lambda df: df.groupby("key").max().reset_index(),
    "groupby of a column": lambda df: df.groupby("key")["value"].nunique().reset_index(),
    "drop_duplicates": lambda df: df.drop_duplicates("key"),
    "ties of sort_values": lambda df: df.sort_values("key"),
}


@pytest.mark.parametrize("name", UNORDERED)
def test_cudf__gives_rows_in_no_order(frame, name):
    first, second = (UNORDERED[name](frame).to_pandas() for _ in range(2))
    assert not first.reset_index(drop=True).equals(second.reset_index(drop=True))
    columns = list(first.columns)
    first, second = (table.sort_values(columns).reset_index(drop=True) for table in (first, second))
    assert first.equals(second)
    expected = UNORDERED[name](frame.to_pandas()).sort_values(columns)
    assert first.equals(expected.reset_index(drop=True))


def test_cudf__is_driven_by_narwhals_as_polars_is(cudf, tmp_path):
    rng = np.random.default_rng(7)
    path = str(tmp_path / "events.parquet")
    events = {"account": rng.integers(0, 9, 200), "time": rng.integers(-99, 99, 200)}
    pl.DataFrame(events).write_parquet(path)
    names = pl.DataFrame({"account": np.arange(0, 9, 2), "row": np.arange(5)}).to_arrow()
    found = {}
    for library in ("polars", "cudf"):
        frame = (
            nw.read_parquet(path, backend=library)
            .filter(nw.col("time") < 80)
            .select("account", bin=nw.col("time") // 7)
            .join(nw.from_arrow(names, backend=library), on="account", how="inner")
            .unique()
        )
        assert frame.implementation.value == library
        counts = frame.group_by("row").agg(n=nw.len(), first=nw.col("bin").min()).sort("row")
        found[library] = [
            pl.DataFrame(table.to_arrow()) for table in (frame.sort("row", "bin"), counts)
        ]
    for ours, theirs in zip(*found.values(), strict=True):
        assert ours.rows() == theirs.rows()
    assert isinstance(nw.from_arrow(names, backend="cudf").to_native(), cudf.DataFrame)


# --- cuGraph -----------------------------------------------------------------------------------


def build_graph(cugraph, edges, *, directed=False, n_vertices=None, dtype=np.int32, **choices):
    import cudf
    import cupy

    columns = np.array(edges, dtype=float)
    frame = cudf.DataFrame()
    frame["source"] = cupy.asarray(columns[:, 0].astype(dtype))
    frame["target"] = cupy.asarray(columns[:, 1].astype(dtype))
    if columns.shape[1] == 3:
        frame["weight"] = cupy.asarray(columns[:, 2])
        choices["edge_attr"] = "weight"
    if n_vertices is not None:
        choices["vertices"] = cudf.Series(cupy.arange(n_vertices, dtype=dtype))
    graph = cugraph.Graph(directed=directed)
    graph.from_cudf_edgelist(frame, source="source", destination="target", **choices)
    return graph


TWO_PARTS = [(0, 1), (1, 2), (4, 5)]


def list_groups(frame, label):
    groups = frame.to_pandas().groupby(label)["vertex"].agg(lambda members: tuple(sorted(members)))
    return sorted(groups)


def test_cugraph__labels_components(cugraph):
    weak = cugraph.weakly_connected_components(build_graph(cugraph, TWO_PARTS))
    assert list_groups(weak, "labels") == [(0, 1, 2), (4, 5)]
    ring = build_graph(cugraph, [(0, 1), (1, 0), (1, 2)], directed=True)
    strong = cugraph.strongly_connected_components(ring)
    assert list_groups(strong, "labels") == [(0, 1), (2,)]


def test_cugraph__loses_isolated_vertices_that_are_not_named(cugraph):
    found = cugraph.weakly_connected_components(build_graph(cugraph, TWO_PARTS))
    assert sorted(found["vertex"].to_cupy().tolist()) == [0, 1, 2, 4, 5]
    named = build_graph(cugraph, TWO_PARTS, n_vertices=7)
    assert list_groups(cugraph.weakly_connected_components(named), "labels") == [
        (0, 1, 2), (3,), (4, 5), (6,),
    ]  # fmt: skip


def test_cugraph__gives_arbitrary_labels_in_any_order(cugraph):
    graph = build_graph(cugraph, TWO_PARTS)
    found = {cugraph.weakly_connected_components(graph).to_pandas().to_json() for _ in range(9)}
    assert len(found) > 1


def test_leiden__finds_planted_communities(cugraph):
    ring = [(row, (row + 1) % 6, 1.0) for row in range(6)]
    inside = [(i, j, 9.0) for i, j in ((0, 2), (1, 2), (3, 5), (4, 5)) if (i, j, 1.0) not in ring]
    graph = build_graph(cugraph, [edge for edge in ring if edge[2] == 1.0] + inside)
    found, modularity = cugraph.leiden(graph, random_state=3)
    assert list_groups(found, "partition") == [(0, 1, 2), (3, 4, 5)]
    assert 0 < modularity < 1


def test_core_number__of_a_triangle_with_a_tail(cugraph):
    graph = build_graph(cugraph, [(0, 1), (1, 2), (2, 0), (2, 3)])
    found = cugraph.core_number(graph).to_pandas().sort_values("vertex")
    assert found["core_number"].tolist() == [2, 2, 2, 1]


def test_pagerank__of_a_ring_is_uniform(cugraph):
    ring = [(0, 1), (1, 2), (2, 0)]
    found = cugraph.pagerank(build_graph(cugraph, ring, directed=True, store_transposed=True))
    np.testing.assert_allclose(found["pagerank"].to_numpy(), 1 / 3)
    with pytest.warns(UserWarning, match="store_transposed"):
        cugraph.pagerank(build_graph(cugraph, ring, directed=True))


def two(cugraph, **choices):
    return build_graph(cugraph, TWO_PARTS, **choices)


def directed(cugraph):
    return two(cugraph, directed=True)


CUGRAPH_MISTAKES = {
    "weak components of a directed graph": (
        lambda g: g.weakly_connected_components(directed(g)),
        ValueError,
        "must be undirected",
    ),
    "leiden on a directed graph": (lambda g: g.leiden(directed(g)), ValueError, "undirected"),
    "cores of a directed graph": (lambda g: g.core_number(directed(g)), ValueError, "undirected"),
    "direction beside a graph": (
        lambda g: g.strongly_connected_components(directed(g), directed=True),
        TypeError,
        "cannot be specified",
    ),
    "an unknown keyword": (lambda g: g.leiden(two(g), seed=1), TypeError, "real signature"),
    "an unknown keyword of the graph": (lambda g: two(g, weights="w"), TypeError, "real signature"),
    "a missing function": (lambda g: g.modularity, AttributeError, "no attribute"),
    "a missing method": (lambda g: g.Graph().subgraph, AttributeError, "no attribute"),
    "symmetrize on a directed graph": (
        lambda g: build_graph(g, TWO_PARTS, directed=True, symmetrize=True),
        ValueError,
        "only be symmetrized",
    ),
    "an asymmetric graph": (lambda g: two(g, symmetrize=False), ValueError, "must be symmetric"),
    "two weights of one edge": (
        lambda g: build_graph(g, [(0, 1, 1.0), (1, 0, 2.0)]),
        ValueError,
        "which one stays",
    ),
    "no edges": (lambda g: build_graph(g, np.empty((0, 2))), ValueError, "without edges"),
    "vertices that miss some": (lambda g: two(g, n_vertices=3), ValueError, "every vertex"),
    "unsigned ids without renumbering": (
        lambda g: build_graph(g, TWO_PARTS, dtype=np.uint32, renumber=False),
        ValueError,
        "set renumber to True",
    ),
    "gaps without renumbering": (lambda g: two(g, renumber=False), ValueError, "from 0 on"),
    "a second filling": (
        lambda g: build_graph(g, TWO_PARTS).from_cudf_edgelist(None),
        RuntimeError,
        "already has values",
    ),
}


@pytest.mark.parametrize("mistake", CUGRAPH_MISTAKES)
def test_cugraph__refuses(cugraph, mistake):
    make, error, message = CUGRAPH_MISTAKES[mistake]
    with pytest.raises(error, match=message):
        make(cugraph)
