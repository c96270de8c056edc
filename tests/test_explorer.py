"""Explorers: what is selected in one view is shown in all; texts are text and no more."""

from collections import Counter
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hostile import HOSTILE, write_shares

import gpu_coord as gc
from gpu_coord.plots import lay_out_groups
from gpu_coord.reports import explore as exploring
from gpu_coord.reports.scenes import walk

MISSING = [name for name in exploring.LIBRARIES if exploring.find_spec(name) is None]
needs_widgets = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}")
# Of the libraries that draw.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
PLAIN = [f"name{n:03}" for n in range(24)]  # each shares with the next one, in a circle


def make_run(folder, names):
    write_shares(folder, names)
    store = gc.ingest(folder / "shares.parquet", folder / "store")
    return gc.share(store, folder / "run", kinds=["hashtag", "url"], window="60s", tests=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("explorer") / "plain", PLAIN)


@pytest.fixture
def explorer(run):
    return run.explore(show_ids=True)


def list_lit(explorer):
    """Return the accounts of the points that are selected in the network."""
    points = explorer.network.widget.selection
    return sorted(explorer.network._data["account"].iloc[points])


def list_timed(explorer):
    """Return the accounts whose acts are shown."""
    acts = explorer.timeline.widget.filter
    return sorted(set(explorer.timeline._data["account"].iloc[acts]))


def find_points(plot, *names):
    return np.flatnonzero(plot._data["account"].isin(names)).astype(np.uint32)


def list_pairs(explorer):
    return sorted(map(sorted, explorer.pairs.df.select("A", "B").iter_rows()))


@needs_widgets
def test_explorer__first_shows_all(explorer):
    circle = [sorted([a, b]) for a, b in zip(PLAIN, PLAIN[1:] + PLAIN[:1], strict=True)]
    assert list_pairs(explorer) == sorted(circle)
    assert explorer.selected == [] and explorer.timeline.widget.filter is None
    assert explorer.evidence.df.height == 0
    assert set(explorer.network._data["account"]) == set(PLAIN)


@needs_widgets
@pytest.mark.parametrize("view", ["network", "timeline"])
def test_explorer__accounts_selected_in_a_picture_are_shown_in_all_views(explorer, view):
    plot = getattr(explorer, view)
    plot.widget.selection = find_points(plot, "name003", "name004", "name009")
    assert explorer.selected == ["name003", "name004", "name009"]
    assert list_lit(explorer) == list_timed(explorer) == explorer.selected
    assert list_pairs(explorer) == [["name003", "name004"]]
    evidence = explorer.evidence.df
    assert evidence.height == 4  # one of each day
    assert set(evidence["first"]) == {"name003"} and set(evidence["s apart"]) == {5}


@needs_widgets
def test_explorer__of_one_account_all_pairs_and_meetings_are_shown(explorer):
    explorer.select("name005")
    assert list_pairs(explorer) == [["name004", "name005"], ["name005", "name006"]]
    assert explorer.evidence.df.height == 8
    lit = explorer.network.annotations()["annotations"]
    ends = {tuple(vertex) for line in lit for vertex in line.vertices}
    assert len(ends) == 3  # its edges are lit


@needs_widgets
def test_explorer__a_row_shows_a_pair_and_leaves_what_is_selected(explorer):
    explorer.select(*PLAIN[:6])
    row = explorer.pairs.df["A"].to_list().index("name002")
    explorer.pairs.selected_rows = [row]
    pair = sorted(explorer.pairs.df.row(row)[:2])
    assert list_lit(explorer) == list_timed(explorer) == pair
    assert set(explorer.evidence.df["first"]) | set(explorer.evidence.df["second"]) == set(pair)
    assert len(explorer.selected) == 6 and len(list_pairs(explorer)) == 5
    explorer.pairs.selected_rows = []
    assert list_lit(explorer) == PLAIN[:6]


@needs_widgets
def test_explorer__finds_accounts_by_name_and_by_group(explorer, run):
    explorer.search.value = "name01"
    assert explorer.selected == PLAIN[10:20]
    explorer.search.value = "name011"
    assert explorer.selected == ["name011"]
    explorer.clear.click()
    assert explorer.selected == []
    explorer.group.value = 0
    assert explorer.selected == sorted(run.groups(show_ids=True)["members"][0])


@needs_widgets
def test_explorer__names_pseudonyms_unless_told(run):
    explorer = run.explore()
    known = set(run.read("accounts")["pseudonym"])
    explorer.select("name003", "name004")
    assert set(explorer.selected) < known and len(explorer.selected) == 2
    for plot in (explorer.network, explorer.timeline):
        assert set(plot._data["account"]) == known
        assert not plot._data.drop(columns="object", errors="ignore").isin(PLAIN).any(axis=None)
    for table, ends in ((explorer.pairs, ["A", "B"]), (explorer.evidence, ["first", "second"])):
        assert set(table.df.select(ends).to_numpy().ravel()) == set(explorer.selected)


@needs_widgets
def test_explorer__draws_points_alone_beyond_max_edges(run):
    explorer = run.explore(max_edges=23)
    assert explorer.network.connect()["by"] is None and len(explorer.network._data) == 24
    explorer.network.widget.selection = np.array([0], dtype=np.uint32)
    assert len(explorer.selected) == 1
    assert run.explore(max_edges=24).network.connect()["by"]


@needs_widgets
def test_explorer__draws_lines_once_a_view_is_there(explorer):
    explorer._repr_mimebundle_()
    assert not explorer.network.widget.connect
    explorer.network.widget.set_trait("dom_element_id", "a")
    assert explorer.network.widget.connect


@needs_widgets
def test_explorer__of_a_network_without_edges_lists_pairs(tmp_path):
    rows = [
        {"account_id": a, "object_id": "x", "timestamp_share": 1_600_000_000 + t, "kind": "url"}
        for a, t in (("a", 0), ("b", 9_000))
    ]
    explorer = gc.explore(gc.share(pl.DataFrame(rows), kinds=["url"], window="60s", tests=False))
    assert explorer.network is None and explorer.timeline is None
    assert explorer.pairs.df.height == 0


@needs_widgets
def test_explorer__hostile_texts_are_text(tmp_path, monkeypatch):
    import itables.options

    monkeypatch.setattr(itables.options, "allow_html", True)  # as a user may have set it
    run = make_run(tmp_path / "hostile", HOSTILE)
    explorer = run.explore(show_ids=True)
    explorer.select(*run.accounts(show_ids=True)["account_id"])
    for table in (explorer.pairs, explorer.evidence):
        cells = table._dt_args["data_json"]
        assert "&lt;script&gt;" in cells and "<" not in cells.replace("<table", "")
    shown = [widget.value for widget in explorer._said.values()]
    assert not [text for text in shown if "<script" in text or "<img" in text]
    names = "".join(explorer.network._data["account"].unique())
    assert not {"\u202e", "\x1b", "\n"} & set(names)
    assert len(explorer.selected) == len(run.accounts())


def test_explore__names_what_is_missing(run, monkeypatch):
    monkeypatch.setattr(exploring, "find_spec", lambda name: None if name == "jscatter" else name)
    with pytest.raises(
        ModuleNotFoundError, match=r"needs jupyter-scatter.*pip install jupyter-scatter`"
    ):
        run.explore()


def test_explore__refuses_what_it_cannot_draw(run):
    with pytest.raises(ValueError, match="max_edges is -1"):
        run.explore(max_edges=-1)


def test_walk__goes_along_each_edge_once():
    rng = np.random.default_rng(5)
    pairs = np.unique(np.sort(rng.integers(0, 30, (200, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    walked = Counter()
    for places in walk(pairs):
        assert (places[::2] == places[1::2]).all()
        stops = places[::2].tolist()
        walked.update(tuple(sorted(step)) for step in pairwise(stops))
    assert walked == Counter(map(tuple, pairs.tolist()))
    assert len(walk(pairs)) < len(pairs) / 4


def test_lay_out_groups__keeps_groups_apart_and_accounts_about_one_apart():
    groups = np.random.default_rng(3).integers(0, 6, 300)
    places = lay_out_groups(groups)
    apart = np.hypot(*(places[:, None] - places[None, :]).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    nearest = apart.min(axis=1)
    assert (groups[apart.argmin(axis=1)] == groups).all()
    assert 0.7 < nearest.min() and nearest.max() < 1.3
    assert lay_out_groups(groups[:0]).shape == (0, 2)
