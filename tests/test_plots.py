"""What the pictures show, read from their Axes."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_hex
from matplotlib.dates import num2date
from matplotlib.figure import Figure
from runs import act_hourly, event

from gpu_coord.activity.cells import build_activity
from gpu_coord.plots.accounts import plot_influence, plot_meetings, plot_raster, plot_roles
from gpu_coord.plots.chance import plot_gaps, plot_lags, plot_quantiles, plot_support
from gpu_coord.plots.comparisons import plot_methods
from gpu_coord.plots.layouts import balance_forces, lay_out
from gpu_coord.plots.networks import plot_network, select_strongest
from gpu_coord.plots.style import COORDINATED, OTHERS, PALETTE, ROLE_COLOURS
from gpu_coord.plots.sweeps import plot_inclusion, plot_specifications, plot_sweep
from gpu_coord.plots.timelines import (
    list_groups,
    measure_shares,
    place_accounts,
    plot_accounts,
    plot_timeline,
    thin_shares,
)

START = datetime(2021, 3, 1, 12, tzinfo=UTC)


def make_table(rows, **columns):
    """Return a table of (account, seconds, coordinated), in the order of time."""
    frame = pl.DataFrame(
        [(START + timedelta(seconds=t), name, f"acct-{name}", marked) for name, t, marked in rows],
        schema=["time", "account_id", "pseudonym", "coordinated"],
        schema_overrides={"time": pl.Datetime("ms", "UTC")}, orient="row",
    )  # fmt: skip
    absent = {"label": pl.String, "group": pl.String, "platform": pl.String}
    absent |= {"follower_count": pl.Int64}
    return frame.with_columns(
        *(pl.lit(None, dtype=dtype).alias(name) for name, dtype in absent.items()),
        engagement=pl.lit(None, dtype=pl.Int64),
        n_shares=pl.int_range(1, len(rows) + 1, dtype=pl.Int64),
        n_coordinated=pl.col("coordinated").cast(pl.Int64).cum_sum(),
    ).with_columns(**{name: pl.Series(values) for name, values in columns.items()})


ROWS = [("a", 0, True), ("b", 10, True), ("a", 50, False), ("c", 50, True), ("a", 4000, False)]


@pytest.fixture
def ax():
    return Figure().subplots()


def list_points(ax):
    """Return the points by their label: (place of the share, count, area)."""
    points = {}
    for part in ax.collections:
        places = [int(url.removeprefix("#share-")) for url in part.get_urls()]
        counts, areas = part.get_offsets()[:, 1].tolist(), part.get_sizes().tolist()
        points[part.get_label()] = list(zip(places, counts, areas, strict=True))
    return points


def read_ticks(ax, axis="y"):
    return [text.get_text() for text in getattr(ax, f"get_{axis}ticklabels")()]


def read_legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_plot_timeline__steps_are_the_columns_of_the_table(ax):
    table = make_table(ROWS)
    assert plot_timeline(ax, table) is ax
    everything, coordinated, others = ax.lines
    for line in ax.lines:
        assert line.get_drawstyle() == "steps-post"
        np.testing.assert_array_equal(line.get_xdata(orig=True), table["time"].to_numpy())
        assert num2date(line.get_xdata(orig=False), tz=UTC) == table["time"].to_list()
    assert everything.get_ydata().tolist() == [1, 2, 3, 4, 5]
    assert coordinated.get_ydata().tolist() == [1, 2, 2, 3, 3]
    assert others.get_ydata().tolist() == [0, 0, 1, 1, 2]


def test_plot_timeline__points_lie_on_the_steps_in_the_colour_of_their_group(ax):
    groups = ["community 1", None, "community 2", "community 1", "community 1"]
    table = make_table(ROWS, group=groups, label=["l"] * 5)
    plot_timeline(ax, table)
    points = list_points(ax)
    assert {label: {share for share, _, _ in shares} for label, shares in points.items()} == {
        "community 1": {0, 3, 4}, "community 2": {2}, "no group": {1}
    }  # fmt: skip
    assert all(count == share + 1 for shares in points.values() for share, count, _ in shares)
    rims = {part.get_label(): part.get_edgecolors()[:, 0].tolist() for part in ax.collections}
    assert rims["community 2"] == [1.0] and rims["no group"] == [0.0]  # white, black


def test_plot_timeline__colours_by_label_where_no_run_groups(ax):
    plot_timeline(ax, make_table(ROWS, label=["red", None, "red", "_blue", "red"]))
    assert list(list_points(ax)) == ["no label", "red", "\u200a_blue"]
    assert read_legend(ax)[-1] == "\u200a_blue"


def test_list_groups__colours_by_platform_where_these_are_the_groups_or_nothing_else_is(ax):
    platforms = ["4chan", None, "twitter", "twitter", "4chan"]
    grouped = make_table(ROWS, group=platforms, platform=platforms, label=["l"] * 5)
    assert list_groups(grouped) == ("platform", ["4chan", "twitter"])
    plot_timeline(ax, grouped)
    assert list(list_points(ax)) == ["no platform", "4chan", "twitter"]
    assert list_groups(make_table(ROWS, platform=platforms)) == ("platform", ["4chan", "twitter"])
    assert list_groups(make_table(ROWS, platform=["x"] * 5)) == ("label", [])
    labelled = make_table(ROWS, platform=platforms, label=["l"] * 5)
    assert list_groups(labelled) == ("label", ["l"])


def test_plot_timeline__points_grow_with_followers_or_else_engagement(ax):
    table = make_table(ROWS, follower_count=[0, 100, None, 400, 25])
    assert measure_shares(table)[0] == "followers"
    plot_timeline(ax, table)
    areas = {share: area for share, _, area in list_points(ax)["shares"]}
    least, most = areas[0], areas[3]
    assert areas[2] == least < areas[4] < areas[1] < most
    assert areas[1] - least == pytest.approx((most - least) / 2)  # a quarter of the followers
    assert measure_shares(make_table(ROWS, engagement=[0, 0, 3, 0, None]))[0] == "engagement"
    assert measure_shares(make_table(ROWS, follower_count=[0] * 5))[0] is None


def test_plot_timeline__gives_one_share_room(ax):
    plot_timeline(ax, make_table(ROWS[:1]))
    left, right = num2date(ax.get_xlim(), tz=UTC)
    assert (left, right) == (START - timedelta(minutes=30), START + timedelta(minutes=30))


def test_plot_timeline__reads_no_text_as_a_formula(ax):
    hostile = ["$\\frac{", "a\x1b\u202e", "x" * 99, "$a$", "é"]
    plot_timeline(ax, make_table(ROWS, label=hostile))
    ax.figure.canvas.draw()
    assert {"$\\frac{", "$a$", "a\ufffd\ufffd", "x" * 25 + "…"} < set(read_legend(ax))
    assert not any(text.get_parse_math() for text in ax.get_legend().get_texts())


def test_thin_shares__keeps_every_kth_the_last_and_the_largest():
    rows = [("a", second, False) for second in range(10_001)]
    followers = [0] * 10_001
    for place in range(3, 503, 10):
        followers[place] = place
    thinned = thin_shares(make_table(rows, follower_count=followers), max_points=1000)
    assert thinned.tolist() == sorted({*range(0, 10_001, 11), 10_000, *range(3, 503, 10)})
    plain = thin_shares(make_table(rows), max_points=1000)
    assert plain.tolist() == sorted({*range(0, 10_001, 11), 10_000})
    assert thin_shares(make_table(rows[:1000]), max_points=1000).tolist() == list(range(1000))


def test_plot_timeline__thins_points_but_counts_all(ax):
    table = make_table([("a", second, second % 3 == 0) for second in range(2500)])
    plot_timeline(ax, table)
    assert [line.get_xdata().size for line in ax.lines] == [2500] * 3
    assert {share for share, _, _ in list_points(ax)["shares"]} == {*range(0, 2500, 3), 2499}


def test_list_groups__names_the_eight_largest():
    groups = [f"community {min(place % 12, 9)}" for place in range(120)]
    table = make_table([("a", second, False) for second in range(120)], group=groups)
    column, named = list_groups(table)
    assert column == "group"
    assert named == ["community 9", *(f"community {number}" for number in range(7))]
    axes = Figure().subplots()
    plot_timeline(axes, table)
    assert len(list_points(axes)["other groups"]) == 20


def test_plot_accounts__has_a_row_for_each_of_the_busiest(ax):
    table = make_table(ROWS)
    plot_accounts(ax, table, n_accounts=2)
    assert read_ticks(ax) == ["acct-a", "acct-b", "others"]
    others, coordinated = ax.lines
    assert (others.get_color(), coordinated.get_color()) == (OTHERS, COORDINATED)
    assert others.get_ydata().tolist() == [0, 0]
    assert coordinated.get_ydata().tolist() == [0, 1, 2]
    times = table["time"].to_numpy()
    np.testing.assert_array_equal(others.get_xdata(orig=True), times[[2, 4]])
    np.testing.assert_array_equal(coordinated.get_xdata(orig=True), times[[0, 1, 3]])
    top, bottom = ax.get_ylim()
    assert top > 2 > 0 > bottom  # the first to share is above


def test_plot_accounts__names_accounts_as_asked(ax):
    plot_accounts(ax, make_table(ROWS), name="account_id")
    assert read_ticks(ax) == ["a", "b", "c"]


def test_place_accounts__draws_near_ticks_once():
    rows = [("a", second / 10, False) for second in range(10_000)]
    _, ticks = place_accounts(make_table(rows), name="pseudonym", n_accounts=5)
    assert 999 <= ticks.height <= 1000
    rows = [("a", 0, True), ("a", 0, False), ("a", 0, False)]
    _, both = place_accounts(make_table(rows), name="pseudonym", n_accounts=5)
    assert both["coordinated"].to_list() == [True, False]


# --- networks ---------------------------------------------------------------------------------


def make_network(n_accounts=6, **columns):
    """Return a star: account 0 leads the others; the weight falls with the target's number."""
    ids = [f"id{row}" for row in range(n_accounts)]
    n_edges = n_accounts - 1
    edges = {"source": ["id0"] * n_edges, "target": ids[1:]}
    edges |= {"weight": [1 / row for row in range(1, n_accounts)]}
    accounts = {"account_id": ids, "pseudonym": [f"acct-{row}" for row in range(n_accounts)]}
    accounts |= {"influence": [float(n_accounts), *[0.0] * n_edges], "community": [0] * n_accounts}
    return pl.DataFrame(edges), pl.DataFrame(accounts | columns)


def find_drawn(ax, gid):
    """Return the parts of a picture that are of one sort."""
    return [part for part in ax.get_children() if part.get_gid() == gid]


def count_drawn(ax):
    """Return the points by label, and the lines."""
    points = {part.get_label(): len(part.get_offsets()) for part in find_drawn(ax, "accounts")}
    return points, len(find_drawn(ax, "edges")[0].get_segments())


def read_value(part):
    """Return what the legend calls points, without their number."""
    return part.get_label().rpartition(" (")[0]


def read_names(ax):
    return [text.get_text() for text in find_drawn(ax, "name")]


def read_title(ax):
    """Return what a picture says above: the finding, and what it leaves out."""
    notes = [text.get_text() for text in find_drawn(ax, "note")]
    return tuple(" ".join(text.split()) for text in (ax.get_title(loc="left"), *notes))


def test_plot_network__draws_the_strongest_edges_and_says_what_it_leaves_out(ax):
    edges, accounts = make_network()
    assert plot_network(ax, edges, accounts, max_edges=3, n_named=9) is ax
    assert set(read_names(ax)) == {"acct-0", "acct-1", "acct-2", "acct-3"}
    assert count_drawn(ax) == ({"community 0 (4)": 4}, 3)
    assert read_title(ax) == (
        "6 accounts in 1 community act together (5 edges)",
        "the strongest 3 of 5 edges; 2 of 6 accounts are not drawn",
    )


def test_plot_network__draws_significant_edges_only_where_they_were_tested(ax):
    edges, accounts = make_network()
    tested = edges.with_columns(significant=pl.col("weight") > 0.4)
    plot_network(ax, tested, accounts)
    assert count_drawn(ax) == ({"community 0 (3)": 3}, 2)
    assert read_title(ax) == ("3 accounts in 1 community act together (2 edges)", "")


def test_plot_network__says_what_the_edges_are_beyond():
    edges, accounts = make_network()
    for tiers, said in (
        (["beyond_news"] * 5, "act together beyond the news (5 edges)"),
        (["beyond_news", *["beyond_habit"] * 4], "act together beyond habit (5 edges)"),
        (["beyond_news", *[None] * 4], "act together (5 edges)"),
    ):
        ax = Figure(figsize=(9, 6)).subplots()
        plot_network(ax, edges.with_columns(tier=pl.Series(tiers)), accounts)
        assert read_title(ax)[0].endswith(said)


def test_plot_network__arrows_are_on_edges_that_lead():
    edges, accounts = make_network()
    lagged = edges.with_columns(lag=pl.Series([0, 1, 2, 0, 1]))
    numbers = []
    for table, directed in ((lagged, True), (lagged, False), (edges, True), (edges.head(0), True)):
        ax = Figure().subplots()
        plot_network(ax, table, accounts, directed=directed)
        numbers.append(sum(len(part.get_paths()) for part in find_drawn(ax, "arrows")))
    assert numbers == [3, 0, 5, 0]


def test_plot_network__heads_point_from_source_to_target_beyond_the_middle(ax):
    edges, accounts = make_network(2)
    plot_network(ax, edges, accounts)
    start, end = find_drawn(ax, "edges")[0].get_segments()[0]
    tip, *back = find_drawn(ax, "arrows")[0].get_paths()[0].vertices[:3]
    length = np.linalg.norm(end - start)
    along = [float((corner - start) @ (end - start)) / length**2 for corner in (tip, *back)]
    assert along[1] == pytest.approx(along[2])
    assert 0.5 < along[1] < along[0] < 1


def test_plot_network__stronger_edges_are_wider_darker_and_above(ax):
    edges, accounts = make_network()
    plot_network(ax, edges, accounts)
    drawn = find_drawn(ax, "edges")[0]
    widths, opacities = drawn.get_linewidths(), drawn.get_colors()[:, 3].tolist()
    # 1/5 is the least of the weights, 1 the largest.
    assert list(widths) == sorted(widths) and opacities == sorted(opacities)
    assert widths[-1] - widths[0] == pytest.approx((2.6 - 0.3) * 0.8)
    assert opacities[-1] - opacities[0] == pytest.approx((0.8 - 0.25) * 0.8)


def test_plot_network__hulls_hold_their_groups(ax):
    edges, accounts = make_network(community=[0, 0, 0, 1, 1, 1])
    plot_network(ax, edges, accounts)
    hulls = find_drawn(ax, "hull")
    points = find_drawn(ax, "accounts")
    assert len(hulls) == len(points) == 2
    for hull, part in zip(hulls, points, strict=True):
        assert to_hex(hull.get_facecolor()) == to_hex(part.get_facecolor()[0])
        assert hull.get_path().contains_points(part.get_offsets()).all()


def test_plot_network__has_no_hulls_around_labels_and_pairs():
    edges, accounts = make_network(label=["x"] * 6, component=[0, 0, 1, 1, 2, 2])
    for column in ("label", "component"):
        ax = Figure().subplots()
        plot_network(ax, edges, accounts, colour_by=column)
        assert find_drawn(ax, "hull") == []


def test_plot_network__names_lie_over_no_other_name_and_no_point():
    rng = np.random.default_rng(3)
    n_accounts = 60
    ends = [(f"id{a}", f"id{b}") for a, b in rng.integers(0, n_accounts, (200, 2)) if a != b]
    edges = pl.DataFrame(ends, schema=["source", "target"], orient="row").unique(
        maintain_order=True
    )
    edges = edges.with_columns(weight=pl.Series(rng.random(edges.height)))
    _, accounts = make_network(n_accounts, influence=rng.random(n_accounts))
    figure = Figure(figsize=(7, 5), layout="constrained")
    ax = figure.subplots()
    plot_network(ax, edges, accounts, n_named=40)
    figure.draw_without_rendering()
    boxes = [name.get_window_extent() for name in find_drawn(ax, "name")]
    assert len(boxes) > 10
    assert not any(a.overlaps(b) for place, a in enumerate(boxes) for b in boxes[:place])
    points = np.concatenate([part.get_offsets() for part in find_drawn(ax, "accounts")])
    seen = ax.transData.transform(points)
    assert not any(((seen > box.min) & (seen < box.max)).all(axis=1).any() for box in boxes)


def test_plot_network__sizes_by_influence_and_colours_edges_by_their_source(ax):
    edges, accounts = make_network(label=["b", "a", "a", "a", None, "_c"])
    plot_network(ax, edges, accounts, colour_by="label")
    areas = {read_value(part): part.get_sizes().tolist() for part in find_drawn(ax, "accounts")}
    assert list(areas) == ["a", "\u200a_c", "b", "other or no label"]  # most frequent first
    assert min(areas["b"]) > max(areas["a"])
    colours = {
        read_value(part): to_hex(part.get_facecolor()[0]) for part in find_drawn(ax, "accounts")
    }
    assert colours["a"] == PALETTE[0]
    lines = {to_hex(colour) for colour in find_drawn(ax, "edges")[0].get_color()}
    assert lines == {colours["b"]}


def test_plot_network__takes_given_colours_and_names_the_most_influential(ax):
    roles = ["core", "amplifier", "amplifier", "amplifier", "none", "none"]
    edges, accounts = make_network(role=roles)
    names = pl.Series(["$x^2$", *accounts["pseudonym"].to_list()[1:]])
    accounts = accounts.with_columns(pseudonym=names)
    plot_network(ax, edges, accounts, colour_by="role", colours=ROLE_COLOURS, n_named=1)
    colours = {
        read_value(part): to_hex(part.get_facecolor()[0]) for part in find_drawn(ax, "accounts")
    }
    assert colours["core"] == ROLE_COLOURS["core"]
    assert read_names(ax) == ["$x^2$"]
    assert not find_drawn(ax, "name")[0].get_parse_math()
    ax.figure.canvas.draw()


def test_plot_network__without_an_edge_says_so(ax):
    edges, accounts = make_network()
    plot_network(ax, edges.head(0), accounts)
    assert read_title(ax) == ("The network has no edge", "")
    ax.figure.canvas.draw()


def test_plot_network__refuses_other_tables_and_no_edges(ax):
    edges, accounts = make_network()
    with pytest.raises(ValueError, match="no column role; it has account_id"):
        plot_network(ax, edges, accounts, colour_by="role")
    with pytest.raises(ValueError, match="no column weight"):
        plot_network(ax, edges.drop("weight"), accounts)
    with pytest.raises(ValueError, match="max_edges is 0"):
        plot_network(ax, edges, accounts, max_edges=0)


def test_select_strongest__breaks_ties_by_ids():
    edges = {"source": ["b", "a", "a"], "target": ["a", "c", "b"], "weight": [1.0] * 3}
    chosen = select_strongest(pl.DataFrame(edges), 2)
    assert chosen.rows() == [("a", "b", 1.0), ("a", "c", 1.0)]


def measure_distances(places):
    return np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))


def test_lay_out__puts_linked_accounts_close_and_separate_cliques_apart():
    clique = [(a, b) for a in range(6) for b in range(a)]
    source, target = np.array([*clique, *[(a + 6, b + 6) for a, b in clique]]).T
    apart = measure_distances(lay_out(source, target, n_accounts=12, seed=1))
    inside = apart[source, target]
    assert inside.mean() < apart[:6, 6:].mean() / 1.5
    assert inside.min() > 0


def test_lay_out__keeps_components_apart_and_gives_them_room_by_their_accounts():
    rng = np.random.default_rng(5)
    source, target = np.concatenate(
        [rng.integers(0, n, (2, 3 * n)) + first for first, n in ((0, 60), (60, 20), (80, 20))],
        axis=1,
    )
    places = lay_out(source, target, n_accounts=102, seed=0)
    parts = [np.arange(60), np.arange(60, 80), np.arange(80, 100), [100], [101]]
    boxes = [(places[part].min(axis=0), places[part].max(axis=0)) for part in parts]
    for place, (low, high) in enumerate(boxes):
        for other_low, other_high in boxes[:place]:
            assert ((high < other_low) | (other_high < low)).any()
    sides = [(high - low).max() for low, high in boxes]
    np.testing.assert_allclose(sides, np.sqrt([60, 20, 20, 0, 0]), atol=1e-6)


def test_lay_out__of_more_than_a_thousand_accounts_keeps_blocks_together():
    rng = np.random.default_rng(7)
    block = np.repeat(np.arange(24), 50)
    source = np.repeat(np.arange(1200), 4)
    target = block[source] * 50 + rng.integers(0, 50, source.size)
    bridges = rng.integers(0, 1200, (2, 120))
    source, target = np.concatenate([source, bridges[0]]), np.concatenate([target, bridges[1]])
    places = lay_out(source, target, n_accounts=1200, seed=0)
    np.testing.assert_array_equal(places, lay_out(source, target, n_accounts=1200, seed=0))
    assert np.isfinite(places).all()
    middles = np.stack([places[block == number].mean(axis=0) for number in range(24)])
    nearest = np.hypot(*(places[:, None] - middles[None]).transpose(2, 0, 1)).argmin(axis=1)
    assert (nearest == block).mean() > 0.8  # 1/24 by chance


def test_balance_forces__of_two_accounts_balances_the_forces():
    # Push k²/d and pull d²/k of an edge, and the gravity of both, cancel at the root below.
    ideal, gravity = 1 / np.sqrt(2), 0.3
    distances = np.linspace(0.1, 2, 200_001)
    force = ideal**2 / distances - distances**2 / ideal - gravity * distances / 2
    expected = distances[np.abs(force).argmin()]
    start = np.random.default_rng(0).random((2, 2)) - 0.5
    places = balance_forces(np.array([0]), np.array([1]), start, n_rounds=2000)
    assert measure_distances(places)[0, 1] == pytest.approx(expected, rel=1e-2)
    np.testing.assert_allclose(places.mean(axis=0), 0, atol=1e-3)


def test_lay_out__is_the_same_for_the_same_seed():
    source, target = np.random.default_rng(0).integers(0, 20, (2, 40))
    first, again, other = (lay_out(source, target, n_accounts=20, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


# --- sweeps -----------------------------------------------------------------------------------


def make_cells():
    """Return a 2 × 2 × 3 grid, in its order; the figure adds up the settings."""
    rows = [
        {"bin": bin, "kinds": kinds, "alpha": alpha, "same": 1,
         "n_edges": 100 * (bin == "2h") + 10 * len(kinds) + round(10 * alpha)}
        for bin in ("2h", "1h") for kinds in (["a"], ["a", "b"]) for alpha in (0.1, 0.2, 0.3)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def read_squares(ax):
    return [text.get_text() for text in ax.texts if text.get_gid() is None]


def test_plot_sweep__squares_are_means_over_the_other_settings(ax):
    assert plot_sweep(ax, make_cells(), x="kinds", y="bin", value="n_edges") is ax
    grid = np.asarray(ax.images[0].get_array())
    np.testing.assert_allclose(grid, [[112, 122], [12, 22]])  # rows: 2h, 1h
    assert (read_ticks(ax), read_ticks(ax, "x")) == (["2h", "1h"], ["a", "a+b"])
    assert read_squares(ax) == ["112", "122", "12", "22"]
    assert read_title(ax) == (
        "Number of edges: median 67, from 12 to 122, by kinds and bin", "means over 3 cells each"
    )  # fmt: skip


def test_plot_sweep__shows_a_dash_where_nothing_is_known(ax):
    is_known = (pl.col("bin") == "1h") | (pl.col("alpha") < 0.25)
    cells = make_cells().with_columns(n_edges=pl.when(is_known).then("n_edges"))
    cells = cells.filter(pl.col("kinds").list.len() == 1)
    plot_sweep(ax, cells, x="alpha", y="bin", value="n_edges")
    assert read_squares(ax) == ["111", "112", "–", "11", "12", "13"]
    assert read_title(ax)[1] == ""
    ax.figure.canvas.draw()


def test_plot_sweep__writes_large_numbers_out(ax):
    cells = make_cells().with_columns(n_edges=pl.col("n_edges") * 1000)
    plot_sweep(ax, cells, x="kinds", y="bin", value="n_edges")
    assert read_squares(ax) == ["112,000", "122,000", "12,000", "22,000"]
    assert "median 67,000, from 12,000 to 122,000" in " ".join(read_title(ax))


def test_plot_sweep__refuses_one_setting_twice_and_unknown_ones(ax):
    with pytest.raises(ValueError, match="x and y are both 'bin'"):
        plot_sweep(ax, make_cells(), x="bin", y="bin", value="n_edges")
    with pytest.raises(ValueError, match="no column lag, auc; it has bin, kinds"):
        plot_sweep(ax, make_cells(), x="bin", y="lag", value="auc")


def read_choices(ax):
    """Return the places of each choice's ticks."""
    names = read_ticks(ax)
    return {names[int(line.get_ydata()[0])]: line.get_xdata().tolist() for line in ax.lines}


def test_plot_specifications__sorts_cells_and_marks_their_choices():
    axes = curve, choices = Figure().subplots(2, 1, sharex=True).tolist()
    cells = make_cells().with_columns(n_edges=pl.col("n_edges").replace(123, 999))
    settings = ["bin", "kinds", "alpha", "same"]
    drawn = plot_specifications(*axes, cells, value="n_edges", settings=settings)
    assert drawn == (curve, choices)
    expected = [11, 12, 13, 21, 22, 23, 111, 112, 113, 121, 122, 999]
    assert curve.lines[0].get_ydata().tolist() == expected
    assert curve.lines[1].get_ydata() == [67, 67]  # the median
    assert read_choices(choices) == {
        "bin = 2h": [*range(6, 12)], "bin = 1h": [*range(6)],
        "kinds = a": [0, 1, 2, 6, 7, 8], "kinds = a+b": [3, 4, 5, 9, 10, 11],
        "alpha = 0.1": [0, 3, 6, 9], "alpha = 0.2": [1, 4, 7, 10], "alpha = 0.3": [2, 5, 8, 11],
    }  # fmt: skip


def test_plot_specifications__counts_cells_without_a_value():
    curve, choices = Figure().subplots(2, 1)
    cells = make_cells().with_columns(n_edges=pl.when(pl.col("bin") == "1h").then("n_edges"))
    plot_specifications(curve, choices, cells, value="n_edges", settings=["bin"])
    assert read_title(curve) == (
        "Number of edges: median 17, from 11 to 23 in 6 specifications",
        "grey: median; 6 without a value are not drawn",
    )
    assert read_ticks(choices) == ["bin = 2h", "bin = 1h"]
    with pytest.raises(ValueError, match="none of \\['same'\\] varies over the 12 cells"):
        plot_specifications(curve, choices, make_cells(), value="n_edges", settings=["same"])


def test_plot_inclusion__splits_the_robust_core_from_the_rest(ax):
    accounts = pl.DataFrame({"share": [0.0, 0.5, 1.0, 0.9, 0.0]})
    assert plot_inclusion(ax, accounts) is ax
    others, core = ax.lines[:2]
    assert core.get_ydata().tolist() == [1.0, 0.9] and core.get_xdata().tolist() == [1, 2]
    assert others.get_ydata().tolist() == [0.5] and others.get_xdata().tolist() == [3]
    assert read_title(ax) == (
        "2 of 5 accounts are found in at least 90% of the specifications",
        "2 in none are not drawn",
    )


# --- chance -----------------------------------------------------------------------------------


def test_plot_quantiles__draws_data_and_copies_and_says_what_is_cut(ax):
    quantiles = {"copy": [None, None, 1, 1, 2, 2], "rank": [1, 2] * 3, "expected": [2.0, 1.0] * 3}
    quantiles |= {"observed": [9.0, 1.5, 1.0, 0.5, 2.0, 0.0]}
    assert plot_quantiles(ax, pl.DataFrame(quantiles)) is ax
    lines = {line.get_gid(): line for line in ax.lines}
    assert sum(line.get_gid() == "copy" for line in ax.lines) == 2
    top = 1.5 * 2.0 * 1.05
    assert lines["data"].get_ydata().tolist() == [pytest.approx(top), 1.5]
    assert read_legend(ax)[:2] == ["the data (cut off at the top)", "2 copies, days permuted"]
    assert read_title(ax)[0] == "The least p-value of pairs is 10⁻⁹ in the data, 10⁻² in copies"


def test_plot_lags__draws_all_accounts_their_band_and_each_group(ax):
    curves = {"group": [None, None, 3, 3], "lag": [0, 1, 0, 1], "ratio": [1.5, 1.0, 4.0, 2.0]}
    curves |= {"low": [0.9, 0.8, None, None], "high": [1.1, 1.2, None, None]}
    assert plot_lags(ax, pl.DataFrame(curves), bin="1h") is ax
    drawn = {line.get_label(): [*line.get_ydata()] for line in ax.lines}
    assert drawn["all accounts"] == [1.5, 1.0] and drawn["group 3"] == [4.0, 2.0]
    assert ax.get_xlabel() == "lag (bins of 1h)"
    assert read_title(ax)[0] == "Accounts coincide most at lag 0: 1.5 times what chance explains"
    corners = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert {0.9, 0.8, 1.1, 1.2} <= set(corners.tolist())


def test_plot_lags__leaves_out_an_unknown_band_and_more_groups_than_colours(ax):
    unknown = {"low": None, "high": None}
    rows = [{"group": group, "lag": 0, "ratio": 1.0, **unknown} for group in (None, *range(10))]
    plot_lags(ax, pl.DataFrame(rows))
    assert len(ax.collections) == 0
    assert ax.get_xlabel() == "lag (bins)"
    assert sum(line.get_label().startswith("group ") for line in ax.lines) == len(PALETTE)
    assert read_title(ax)[1] == "2 more groups are not drawn"


def test_plot_support__tells_edges_by_their_tier(ax):
    edges = pl.DataFrame(
        {
            "expected_habit": [0.5, 1.0, 0.0, 2.0],
            "expected": [0.6, None, None, 3.0],
            "n_hours": [9, 1, 4, 7],
            "tier": ["beyond_news", None, None, "beyond_habit"],
        }
    )
    assert plot_support(ax, edges) is ax
    points = {part.get_label(): part.get_offsets().tolist() for part in ax.collections}
    assert points == {
        "not beyond chance (1)": [[1, 1]], "beyond habit (1)": [[2, 7]],
        "beyond the news (1)": [[0.5, 9]],
    }  # fmt: skip
    assert read_title(ax) == (
        "Of 4 edges 1 are beyond the news, 1 beyond habit only",
        "1 with nothing expected are not drawn",
    )
    with pytest.raises(ValueError, match="of a run that tested"):
        plot_support(ax, edges.drop("tier"))


def test_plot_gaps__steps_end_at_the_bounds_of_the_gaps(ax):
    gaps = {"max_gap": [1.0, 10.0], "ratio": [5.0, 1.0], "low": [0.5, 0.9], "high": [2.0, 1.1]}
    assert plot_gaps(ax, pl.DataFrame(gaps)) is ax
    line = ax.lines[0]
    assert line.get_drawstyle() == "steps-pre"
    # The first gap begins at 0, which a logarithmic axis does not have.
    assert line.get_xdata().tolist() == [0.5, 1.0, 10.0]
    assert line.get_ydata().tolist() == [5.0, 5.0, 1.0]
    ax.set_xlim(0.05, 5000)
    assert {"0.1", "1", "1,000"} <= set(read_ticks(ax, "x"))
    said = "Shares come together most within 1 s of each other: 5 times what chance explains"
    assert read_title(ax)[0] == said


# --- accounts ---------------------------------------------------------------------------------


def test_plot_influence__bars_are_means_of_classes_the_largest_first(ax):
    accounts = {"label": ["red", "red", "red", None, None, "blue"]}
    accounts |= {"influence": [3.0, 0.0, 0.0, 4.0, 2.0, 7.0]}
    accounts |= {"in_weight": [0.0, 1.0, 2.0, 0.0, 0.0, 5.0]}
    assert plot_influence(ax, pl.DataFrame(accounts), max_classes=2) is ax
    assert read_ticks(ax) == ["red (3)", "no label (2)"]
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    assert widths == [[1.0, 3.0], [1.0, 0.0]]
    assert read_title(ax) == (
        "Most followed are the accounts with no label", "1 smaller classes are not drawn"
    )  # fmt: skip


def test_plot_influence__names_numbers_by_their_column(ax):
    accounts = {"community": [0, 0, 1], "influence": [1.0] * 3, "in_weight": [1.0] * 3}
    plot_influence(ax, pl.DataFrame(accounts), by="community")
    assert read_ticks(ax) == ["community 0 (2)", "community 1 (1)"]


def test_plot_roles__draws_scored_accounts_in_the_mark_of_their_role(ax):
    columns = {"role": ["core", "amplifier", "none", "none"], "influence": [4.0, 0.0, 0.0, 0.0]}
    columns |= {"earliness_z": [3.0, -1.0, None, float("nan")]}
    accounts = pl.DataFrame(columns | {"direction_z": [5.0, -4.0, 0.0, 1.0]})
    assert plot_roles(ax, accounts) is ax
    points = {part.get_label(): part for part in ax.collections}
    assert set(points) == {"core (1)", "amplifier (1)"}
    assert points["core (1)"].get_offsets().tolist() == [[3.0, 5.0]]
    assert to_hex(points["core (1)"].get_facecolor()[0]) == ROLE_COLOURS["core"]
    assert points["core (1)"].get_sizes()[0] > points["amplifier (1)"].get_sizes()[0]
    assert read_title(ax) == (
        "2 of 4 accounts have a role: 1 core, 1 amplifier",
        "without both scores, and not drawn: 2 accounts",
    )
    with pytest.raises(ValueError, match="after `gpu-coord roles`"):
        plot_roles(ax, accounts.drop("role"))


def test_plot_roles__without_scores_is_empty(ax):
    empty = {"role": ["none"], "influence": [0.0], "earliness_z": [None], "direction_z": [None]}
    plot_roles(ax, pl.DataFrame(empty))
    assert len(ax.collections) == 0
    assert read_title(ax)[1] == "without both scores, and not drawn: 1 account"


def test_plot_meetings__has_a_bar_from_the_beginning_to_the_end_of_each_day(ax):
    times = pl.Series([datetime(2021, 3, 1, 23), datetime(2021, 3, 3), datetime(2021, 3, 3, 5)])
    assert plot_meetings(ax, times.dt.replace_time_zone("UTC")) is ax
    bars = [(num2date(b.get_x()).day, b.get_width(), b.get_height()) for b in ax.patches]
    assert bars == [(1, 1, 1), (3, 1, 2)]
    assert read_title(ax)[0] == "3 meetings on 2 days, most on 2021-03-03 (2)"


def test_plot_meetings__without_any_says_so(ax):
    plot_meetings(ax, pl.Series([], dtype=pl.Datetime("ms", "UTC")))
    assert read_title(ax)[0] == "The accounts did not meet"
    ax.figure.canvas.draw()


HOUR = 3600


@pytest.fixture
def activity(make_store):
    events = [*act_hourly({"a": [5, 7, 5], "b": [2, 3, 9], "c": [1]}), event("c", HOUR, "y")]
    return build_activity(make_store(events, labels={"a": "red", "b": "red"}), kinds=["hashtag"])


def read_raster(ax):
    """Return (row, hours) of the ticks, by label."""
    hours = {
        line.get_label(): line.get_xdata(orig=True).astype("datetime64[s]").astype(int) // HOUR
        for line in ax.lines
    }
    rows = {line.get_label(): line.get_ydata().tolist() for line in ax.lines}
    return {label: sorted(zip(rows[label], hours[label].tolist(), strict=True)) for label in hours}


def test_plot_raster__ticks_are_active_bins_and_rows_are_by_first_use(ax, activity):
    assert plot_raster(ax, activity, "hashtag", "x", names=pl.Series(["na", "nb", "nc"])) is ax
    # c at 1, b from 2 on, a from 5 on: two posts in an hour are one active bin.
    red = [(1, 2), (1, 3), (1, 9), (2, 5), (2, 7)]
    assert read_raster(ax) == {"red": red, "no label": [(0, 1)]}
    assert read_ticks(ax) == ["nc", "nb", "na"]


def test_plot_raster__keeps_the_most_active_and_names_nobody_by_itself(ax, activity):
    plot_raster(ax, activity, "hashtag", "x", n_accounts=1)
    assert read_raster(ax) == {"red": [(0, 2), (0, 3), (0, 9)]}
    assert ax.get_yticklabels() == []
    assert read_title(ax) == (
        "3 accounts used the hashtag x in 6 bins of 1 h", "2 less active accounts are not drawn"
    )  # fmt: skip


def test_plot_raster__refuses_unknown_entities_and_too_few_names(ax, activity):
    with pytest.raises(ValueError, match="the hashtag 'z' is not in the analysed data"):
        plot_raster(ax, activity, "hashtag", "z")
    with pytest.raises(ValueError, match="there are 1 names for 3 accounts"):
        plot_raster(ax, activity, "hashtag", "x", names=pl.Series(["na"]))


@pytest.mark.parametrize(
    ("ranks", "finding"),
    [
        ([1.0, 2.0, 3.0], "'co shares' ranks accounts best"),
        ([1.5, 1.5, 3.0], "'co shares' and 1 other rank accounts best"),
        ([2.0, 2.0, 2.0], "'co shares' and 2 others rank accounts best"),
    ],
)
def test_plot_methods__says_which_methods_share_the_first_place(ranks, finding):
    names = ["co_shares", "tfidf", "activity"]
    methods = pl.DataFrame({"archive": "a", "method": names, "ranked": "accounts", "auc": 0.8,
                            "auc_low": 0.7, "auc_high": 0.9})  # fmt: skip
    order = pl.DataFrame({"method": names, "ranked": "accounts", "source": "plain",
                          "mean_rank_auc": ranks})  # fmt: skip
    ax = plot_methods(Figure(figsize=(9, 4)).subplots(), methods, order)
    assert read_title(ax)[0] == f"{finding}, by the mean rank in 1 archive"
