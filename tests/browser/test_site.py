"""The site of the docs, opened from disk: it loads nothing from elsewhere, and its search finds."""

from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parents[2] / "site"
pytestmark = [
    pytest.mark.skipif(not (SITE / "index.html").is_file(), reason="make docs has not run"),
    # Of the library that drives the browser.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def test_site__loads_nothing_and_searches_without_a_server(open_page):
    page = open_page(SITE / "index.html")
    page.locator("input.md-search__input").press_sequentially("beyond the news")
    page.locator(".md-search-result__item a", has_text="Is it chance?").first.wait_for()


def test_site__shows_every_picture_of_the_gallery(open_page):
    page = open_page(SITE / "docs" / "gallery" / "index.html", color_scheme="light")
    pictures = page.locator("article img")
    drawn = pictures.evaluate_all("all => all.map((each) => each.naturalWidth > 0)")
    assert all(drawn) and len(drawn) > 15
    shown = [each.get_attribute("src") for each in pictures.all() if each.is_visible()]
    assert [src for src in shown if src.endswith("#only-dark")] == [] != shown
