"""Themes, colours that everybody tells apart, and texts in every script without boxes."""

import unicodedata
import warnings

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from matplotlib import style
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from runs import write_run
from test_plots import make_network, make_table

from gpu_coord.plots import fonts
from gpu_coord.plots.fonts import FALLBACK, choose_fonts, list_signs, make_drawable
from gpu_coord.plots.networks import draw_network, plot_network
from gpu_coord.plots.style import (
    COORDINATED,
    OTHERS,
    PALETTE,
    UNGROUPED,
    add_title,
    save_picture,
    shade,
    use_theme,
)
from gpu_coord.plots.sweeps import plot_specifications, plot_sweep
from gpu_coord.plots.timelines import plot_accounts, plot_timeline

SAMPLES = {
    "Thai": "กองทัพบก", "Arabic": "القوات", "Chinese": "新闻联播", "Japanese": "カタカナ",
    "Korean": "대한민국", "Hebrew": "שלום", "Devanagari": "समाचार", "Emoji": "😀🔥👍🏽",
    "Cyrillic": "новости", "Greek": "νέα", "Ethiopic": "ዜና", "Cuneiform": "𒀀𒈾",
}  # fmt: skip
# Machado, Oliveira & Fernandes 2009, of full severity.
DEFICIENCIES = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def make_linear(colour):
    value = np.array(to_rgb(colour))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def find_lab(linear):
    """Return CIELAB, in which distances are about what is seen; 2 is just noticed."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ linear / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def find_contrast(one, other):
    """Return the contrast ratio of WCAG."""
    bright, dark = sorted(
        (float(np.array([0.2126, 0.7152, 0.0722]) @ make_linear(c)) for c in (one, other)),
        reverse=True,
    )
    return (bright + 0.05) / (dark + 0.05)


@pytest.fixture(params=["light", "dark"])
def ax(request):
    with use_theme(request.param):
        yield Figure(figsize=(8, 6), layout="constrained").subplots()


@pytest.fixture
def no_fonts(monkeypatch):
    """Let the machine have the fonts of matplotlib alone."""
    monkeypatch.setattr(fonts, "choose_fonts", lambda: (FALLBACK,))
    fonts.list_signs.cache_clear()
    yield
    fonts.list_signs.cache_clear()


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize("colours", [PALETTE, (COORDINATED, OTHERS)])
def test_colours__are_told_apart_by_everybody_in_both_themes(ax, colours, deficiency):
    seen = [
        find_lab(np.clip(np.array(DEFICIENCIES[deficiency]) @ make_linear(shade(ax, c)), 0, 1))
        for c in colours
    ]
    for place, one in enumerate(seen):
        assert all(np.linalg.norm(one - other) > 12 for other in seen[:place])


def test_colours__stand_out_from_the_paper(ax):
    paper = ax.get_facecolor()
    for colour in (*PALETTE, COORDINATED, OTHERS, "black", "0.35"):
        assert find_contrast(shade(ax, colour), paper) > 2.2
    assert find_contrast(mpl.rcParams["text.color"], paper) > 10


def test_shade__keeps_colours_on_light_axes_and_looks_at_the_axes_alone():
    light = Figure().subplots()
    assert [shade(light, colour) for colour in (*PALETTE, "0.75")] == [*PALETTE, UNGROUPED]
    with style.context("dark_background"):
        dark = Figure().subplots()
    assert shade(dark, "black") == "white"


def test_use_theme__refuses_others_and_leaves_nothing_behind():
    before = dict(mpl.rcParams)
    refused = pytest.raises(ValueError, match="theme is 'blue'; choose one of light, dark")
    with refused, use_theme("blue"):
        pass
    with use_theme("dark"):
        assert mpl.rcParams["savefig.dpi"] == 150
    assert dict(mpl.rcParams) == before


# --- texts ------------------------------------------------------------------------------------


def draw_without_boxes(figure, path):
    """Draw a figure, and fail where a font lacks a sign; also by looking at each text."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_picture(figure, path)
    for text in figure.findobj(Text):
        if text.get_visible() and not text.get_parse_math():
            lacking = {sign for sign in text.get_text() if ord(sign) not in list_signs()}
            assert lacking <= {"\n"}


def draw_scripts(ax, names):
    """Draw names as accounts, groups and title."""
    names = list(names)
    edges, accounts = make_network(len(names), label=names)
    accounts = accounts.with_columns(pseudonym=pl.Series(names))
    plot_network(ax, edges, accounts, colour_by="label", n_named=len(names))


def test_pictures__draw_every_script_without_boxes(ax, tmp_path):
    draw_scripts(ax, SAMPLES.values())
    draw_without_boxes(ax.figure, tmp_path / "a.png")


def test_pictures__draw_every_script_without_boxes_where_there_are_no_fonts(no_fonts, ax, tmp_path):
    draw_scripts(ax, SAMPLES.values())
    draw_without_boxes(ax.figure, tmp_path / "a.png")


def test_timelines__draw_every_script_without_boxes(no_fonts, tmp_path):
    labels = list(SAMPLES.values())
    table = make_table([(name, place, True) for place, name in enumerate(labels)], label=labels)
    figure = Figure(layout="constrained")
    steps, rows = figure.subplots(2)
    plot_timeline(steps, table)
    plot_accounts(rows, table, name="account_id")
    draw_without_boxes(figure, tmp_path / "a.png")


@pytest.mark.parametrize("script", SAMPLES)
def test_make_drawable__has_a_glyph_for_each_sign_or_names_the_script(script):
    shown = make_drawable(SAMPLES[script])
    assert shown
    assert all(ord(sign) in list_signs() for sign in shown)


def test_make_drawable__names_scripts_and_tells_words_apart(no_fonts):
    one, other = make_drawable("กองทัพ news"), make_drawable("อื่นๆ news")
    assert one != other
    assert [text.split(" ")[0] for text in (one, other)] == ["[Thai", "[Thai"]
    assert one.endswith("] news") and make_drawable("กองทัพ") == one.removesuffix(" news")
    assert make_drawable("新闻").startswith("[Cjk ")
    assert make_drawable("🦤").startswith("[Emoji ")
    assert make_drawable("plain é") == "plain é"


def test_make_drawable__changes_nothing_where_text_stays_text(no_fonts):
    with mpl.rc_context({"svg.fonttype": "none"}):
        assert make_drawable("กองทัพ") == "กองทัพ"


def test_make_drawable__drops_what_says_how_to_draw_the_sign_before():
    assert unicodedata.name("\ufe0f") == "VARIATION SELECTOR-16"
    assert make_drawable("☺\ufe0f") == make_drawable("☺")


def test_choose_fonts__begins_with_that_of_matplotlib():
    chain = choose_fonts()
    assert chain[0] == FALLBACK and set(chain[1:]) <= set(fonts.FONTS)


def test_pictures__read_no_hostile_name_as_anything_else(ax, tmp_path):
    hostile = [
        "$\\frac{",
        "a\x1b[31m\u202e",
        "_x",
        "<b>&amp;",
        "x\ny\tz",
        "%s{}",
        "\u200b\ufeff\u2028é",
    ]
    draw_scripts(ax, hostile)
    draw_without_boxes(ax.figure, tmp_path / "a.png")
    said = [text.get_text() for text in ax.figure.findobj(Text)]
    assert {"$\\frac{", "_x", "<b>&amp;", "%s{}", "a\ufffd[31m\ufffd"} <= set(said)
    assert not any(unicodedata.category(sign) == "Cf" for text in said for sign in text)


def test_pictures__of_settings_read_no_kind_as_a_formula(tmp_path):
    hostile = ["$\\frac{", "a\x1b[31m\u202e", "<b>&amp;", "x\ny"]
    cells = pl.DataFrame(
        {"kinds": [[name] for name in hostile], "lag": [1, 1, 2, 2], "n": range(4)}
    )
    figure = Figure(layout="constrained")
    curve, choices, squares = figure.subplots(3)
    plot_specifications(curve, choices, cells, value="n", settings=["kinds"])
    plot_sweep(squares, cells, x="lag", y="kinds", value="n")
    draw_without_boxes(figure, tmp_path / "a.png")
    said = [text.get_text() for text in figure.findobj(Text)]
    assert {"$\\frac{", "kinds = $\\frac{", "a\ufffd[31m\ufffd", "x\ufffdy"} <= set(said)


def test_add_title__breaks_lines_where_the_axes_end():
    figure = Figure(figsize=(4, 3), layout="constrained")
    ax = figure.subplots()
    add_title(ax, "what was found " * 6, ["what is left out " * 6])
    figure.draw_without_rendering()
    for text in (*ax.texts, ax.title, ax._left_title):
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    assert "\n" in ax.get_title(loc="left") and "\n" in ax.texts[0].get_text()
    note, title = ax.texts[0].get_window_extent(), ax._left_title.get_window_extent()
    assert note.y1 <= title.y0 + 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_draw_network__writes_the_same_picture_again(tmp_path, theme):
    edges, accounts = make_network()
    small_run = write_run(tmp_path / "run", edges=edges, accounts=accounts)
    for name in ("a.png", "b.png"):
        draw_network(small_run, tmp_path / name, theme=theme)
    one, again = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert one == again and one[1:4] == b"PNG"
    assert int.from_bytes(one[16:20]) == 9 * 150
