"""The pictures of a report that README and docs show: make screenshots takes them anew."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

import gpu_coord as gc

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
MAX_BYTES = 150_000
# Of the library that drives the browser.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    made = gc.simulate(folder / "archive", preset="small", seed=1)
    store = gc.ingest(made.inputs, folder / "store")
    run = gc.detect(store, folder / "run")
    return gc.write_report(run, folder / "report.html", max_edges=300)


def save(page, name, first, last):
    """Save what a page shows from one element to another, in few colours."""
    page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    top = page.locator(first).bounding_box()
    low = page.locator(last).bounding_box()
    bottom = low["y"] + low["height"] + 12
    clip = {"x": 0, "y": top["y"] - 12, "width": 1200, "height": bottom - top["y"] + 12}
    picture = Image.open(BytesIO(page.screenshot(full_page=True, clip=clip))).convert("RGB")
    PICTURES.mkdir(exist_ok=True)
    picture.quantize(96, dither=Image.Dither.NONE).save(PICTURES / name, optimize=True)
    assert (PICTURES / name).stat().st_size < MAX_BYTES


def test_report__from_the_finding_to_the_network(report, open_page):
    page = open_page(report)
    page.wait_for_timeout(1000)  # until all is drawn
    save(page, "report.png", "h1", "#canvas")


def test_network__with_what_is_behind_a_pair(report, open_page):
    page = open_page(report)
    page.locator("#pairs tbody button").nth(11).click()  # one in the middle of the network
    page.locator("#details", has_text="Evidence").wait_for()
    page.wait_for_timeout(1000)
    page.locator("#farther").click()
    page.wait_for_timeout(1000)  # until it has moved
    save(page, "network.png", "#network", "#details")


def test_groups__with_their_first_one(report, open_page):
    page = open_page(report)
    page.locator("#groups article table").first.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)  # until pictures are loaded
    save(page, "groups.png", "#groups", "#groups article >> nth=0")
