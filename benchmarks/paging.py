"""Reports in headless Chromium, which needs `make test-browser` to have been set up: how long until
a page can be used, until 5,000 accounts and 50,000 edges are drawn, and how often they are drawn
while the network is moved. Without a GPU the browser draws in software.
"""

import shutil
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import gpu_coord as gc
from benchmarks.measure import FOLDER

N_ACCOUNTS, N_EDGES = 5_000, 50_000
N_LOADS = 5
SECONDS = 5.0  # of moving
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
# Two frames after the scripts have run all is drawn.
_DRAWN = """() => new Promise((done) => {
  const wait = () => window.gpuCoordView
    ? requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())))
    : setTimeout(wait, 5);
  wait();
})"""
_COUNT = """() => {
  window.nDrawn = 0;
  window.gpuCoordView.on("afterRender", () => { window.nDrawn += 1; });
}"""


def run() -> list[str]:
    """Return lines of a report."""
    from playwright.sync_api import sync_playwright

    pages = {"demo": _make_demo(), f"{N_ACCOUNTS:,} accounts, {N_EDGES:,} edges": _make_large()}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        lines = [
            f"{name}: {page.stat().st_size / 1e6:.1f} MB, drawn and ready after "
            f"{statistics.median(_load(browser, page) for _ in range(N_LOADS)):.1f} s (median of "
            f"{N_LOADS} loads)"
            for name, page in pages.items()
        ]
        *_, large = pages.values()
        lines.append(f"while the larger one moves: {_move(browser, large):.1f} pictures a second")
        browser.close()
    return lines


def _make_demo() -> Path:
    page = FOLDER / "demo.html"
    if not page.exists():
        made = gc.simulate(FOLDER / "demo-archive", seed=0)
        store = gc.ingest([made.tweets, made.users], FOLDER / "demo-store", overwrite=True)
        gc.write_report(gc.detect(store, FOLDER / "demo-run", overwrite=True), page)
    return page


def _make_large() -> Path:
    """Write the page of a run in which pairs drawn by lot share an object of their own."""
    page = FOLDER / "large.html"
    if not page.exists():
        draw = np.random.default_rng(0)
        pairs = np.unique(np.sort(draw.integers(0, N_ACCOUNTS, (2 * N_EDGES, 2))), axis=0)
        pairs = draw.permutation(pairs[pairs[:, 0] != pairs[:, 1]])[:N_EDGES]
        number = np.repeat(np.arange(N_EDGES), 2)
        shares = pl.DataFrame(
            {"account_id": pairs.ravel(), "object_id": number,
             "timestamp_share": 1_600_000_000 + 60 * number + 5 * (np.arange(2 * N_EDGES) % 2)}
        )  # fmt: skip
        run = gc.share(shares, FOLDER / "large-run", tests=False, window="10s", overwrite=True)
        gc.write_report(run, page, max_edges=N_EDGES)
    return page


def _load(browser: Any, path: Path) -> float:
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(path.absolute().as_uri(), wait_until="commit")
    seconds = page.evaluate(_DRAWN) / 1000
    page.close()
    return float(seconds)


def _move(browser: Any, path: Path) -> float:
    """Return how often a network is drawn a second while it is dragged to and fro."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(path.absolute().as_uri())
    page.evaluate(_DRAWN)
    page.evaluate(_COUNT)
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    start = page.evaluate("performance.now()")
    n_moves = 0
    while page.evaluate("performance.now()") - start < 1000 * SECONDS:
        n_moves += 1
        page.mouse.move(x + 80 * np.sin(n_moves / 5), y)
    seconds = (page.evaluate("performance.now()") - start) / 1000
    n_drawn = page.evaluate("window.nDrawn")
    page.close()
    return float(n_drawn / seconds)
