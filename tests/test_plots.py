"""What the pictures show, read from their Axes."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from matplotlib.dates import num2date
from matplotlib.figure import Figure

from gpu_coord.plots import (
    COORDINATED,
    OTHERS,
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
        {
            "time": [START + timedelta(seconds=seconds) for _, seconds, _ in rows],
            "account_id": [account for account, _, _ in rows],
            "pseudonym": [f"acct-{account}" for account, _, _ in rows],
            "coordinated": [coordinated for _, _, coordinated in rows],
        },
        schema_overrides={"time": pl.Datetime("ms", "UTC")},
    )
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
    return {
        part.get_label(): list(
            zip(
                [int(url.removeprefix("#share-")) for url in part.get_urls()],
                part.get_offsets()[:, 1].tolist(),
                part.get_sizes().tolist(),
                strict=True,
            )
        )
        for part in ax.collections
    }


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
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert shown[-1] == "\u200a_blue"


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
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"$\\frac{", "$a$", "a\ufffd\ufffd", "x" * 25 + "…"} < set(shown)
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
    assert [text.get_text() for text in ax.get_yticklabels()] == ["acct-a", "acct-b", "others"]
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
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b", "c"]


def test_place_accounts__draws_near_ticks_once():
    rows = [("a", second / 10, False) for second in range(10_000)]
    _, ticks = place_accounts(make_table(rows), name="pseudonym", n_accounts=5)
    assert 999 <= ticks.height <= 1000
    _, both = place_accounts(
        make_table([("a", 0, True), ("a", 0, False), ("a", 0, False)]),
        name="pseudonym", n_accounts=5,
    )  # fmt: skip
    assert both["coordinated"].to_list() == [True, False]
