"""A report in headless Chromium: what people do with it, and what hostile archives cannot do."""

from pathlib import Path

import pytest
from hostile import HOSTILE, write_shares

import gpu_coord as gc
from gpu_coord.reports.report import LIBRARIES
from gpu_coord.spread.timeline_files import write_timeline

REPORTS = Path(gc.__file__).parent / "reports"
AXE = REPORTS / "libraries" / "node_modules" / "axe-core" / "axe.min.js"
BUILT = REPORTS / "built"
pytestmark = [
    pytest.mark.skipif(not all((BUILT / name).is_file() for name in LIBRARIES),
                       reason="make assets has not run: it needs npm"),
    # Of the library that drives the browser.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]  # fmt: skip


def make_report(folder, names, **choices):
    write_shares(folder, names)
    store = gc.ingest(folder / "shares.parquet", folder / "store", labels=folder / "labels.parquet")
    run = gc.share(store, folder / "run", kinds=["hashtag", "url"], window="60s", tests=False)
    return run, gc.write_report(run, folder / "page.html", **choices)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages") / "plain"
    return make_report(folder, [f"name{n:03}" for n in range(40)], show_ids=True)


def count_shown(page):
    accounts, _, _, pairs, *_ = page.locator("#shown").inner_text().split()
    return int(accounts), int(pairs)


def test_page__search_finds_an_account_and_its_evidence(plain, open_page):
    page = open_page(plain[1])
    assert count_shown(page) == (40, 40)
    page.fill("#find", "name007")
    page.press("#find", "Enter")
    details = page.locator("#details")
    assert "Account name007" in details.inner_text()
    details.locator("li button").first.click()
    text = details.inner_text()
    assert "Evidence: name00" in text and "2020-09-13" in text and "5 s apart" in text


PLACES = """() => {
  const view = window.gpuCoordView, graph = view.getGraph(), edge = graph.edges()[0];
  const [a, b] = graph.extremities(edge).map(
    (node) => view.graphToViewport(graph.getNodeAttributes(node)));
  return [a, {x: (a.x + b.x) / 2, y: (a.y + b.y) / 2}];
}"""


def click_network(page, at):
    """Click the account, or the line, of the first edge."""
    page.locator("#canvas").scroll_into_view_if_needed()
    box, place = page.locator("#canvas").bounding_box(), page.evaluate(PLACES)[at]
    page.mouse.click(box["x"] + place["x"], box["y"] + place["y"])


def test_page__a_click_on_an_account_and_on_a_line_shows_what_is_behind(plain, open_page):
    page = open_page(plain[1])
    click_network(page, 0)
    page.locator("#details h3", has_text="Account").wait_for()
    page.locator("#all").click()
    page.wait_for_timeout(1000)  # until it has moved back
    click_network(page, 1)
    page.locator("#details h3", has_text="Evidence").wait_for()


def test_page__filters_change_what_is_drawn(plain, open_page):
    page = open_page(plain[1])
    run = plain[0].read_network()
    page.select_option("#kind", "url")
    assert count_shown(page)[1] == (run["weight_url"] > 0).sum() < 40
    page.locator("#all").click()
    assert count_shown(page) == (40, 40)
    page.locator("#weight").fill("40")
    assert page.locator("#least").inner_text() == "the heaviest 60 %"
    assert count_shown(page) == (40, 40)  # all of one weight


def test_timeline__runs_its_own_script_and_no_other(plain, browser, open_page, tmp_path):
    write_timeline(plain[0].path.parent / "store", "name003", tmp_path / "page.html")
    page = open_page(tmp_path / "page.html")
    box = page.locator("input[data-series]").first
    series = page.locator(f"#{box.get_attribute('data-series')}")
    assert series.evaluate("it => it.style.display") == ""
    box.uncheck()
    assert series.evaluate("it => it.style.display") == "none"
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    slipped = text.replace("</h1>", "</h1><script>document.title = 'run'</script>")
    (tmp_path / "page.html").write_text(slipped, encoding="utf-8")
    refused = browser.new_page()
    refused.goto((tmp_path / "page.html").as_uri())
    assert refused.title() != "run"


def test_page__tables_sort_and_search(plain, open_page):
    page = open_page(plain[1])
    table = page.locator("#accounts .table")
    table.locator("th button", has_text="account").first.click()
    first = table.locator("tbody tr").first.inner_text()
    table.locator("th button", has_text="account").first.click()
    assert table.locator("tbody tr").first.inner_text() != first
    table.locator("input[type=search]").fill("name011")
    assert table.locator("tbody tr:visible").count() == 1
    with page.expect_download() as download:
        table.locator("button", has_text="Save as CSV").click()
    assert "name011" in Path(download.value.path()).read_text()


def test_page__the_keyboard_reaches_everything(plain, open_page):
    page = open_page(plain[1])
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {"find", "kind", "tier", "weight", "closer", "farther", "all"} <= reached
    page.locator("#pairs tbody button").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#details").inner_text().startswith("Evidence")
    assert page.evaluate("document.activeElement.id") == "details"


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there: make assets")
def test_page__axe_finds_no_serious_issue(plain, browser):
    context = browser.new_context(bypass_csp=True)  # for the checker alone
    page = context.new_page()
    page.goto(plain[1].absolute().as_uri())
    page.add_script_tag(path=str(AXE))
    found = page.evaluate("axe.run().then((result) => result.violations)")
    serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
    assert serious == []
    context.close()


def test_page__hostile_names_do_nothing(tmp_path, open_page):
    _, path = make_report(tmp_path / "hostile", HOSTILE, show_ids=True, max_rows=1000)
    page = open_page(path)
    n_scripts = page.locator("script").count()
    assert n_scripts == 2 + len(LIBRARIES)
    assert page.locator("#accounts tbody tr").count() >= len(HOSTILE) - 1
    for button in page.locator("#accounts tbody button").all()[::25]:
        button.click()
    foreign = "iframe, object, embed, base, form:not(#filters)"
    assert page.locator(f"script, {foreign}").count() == n_scripts
    with page.expect_download() as download:
        page.locator("#objects button", has_text="Save as CSV").click()
    cells = Path(download.value.path()).read_text().splitlines()
    assert not any(part.startswith('"=') for line in cells for part in line.split(","))
