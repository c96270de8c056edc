"""The gallery of the site: every picture that the package draws, from simulated archives.

``python docs/gallery.py`` writes the pictures and their page into docs/gallery, which git ignores.
Each function of `PICTURES` draws one. Its body is the call that the page shows, its parameters are
where it draws (``ax``, ``axes``, ``path``) and what it draws, see `make_results`.
"""

import inspect
import shutil
from ast import parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import Any

from matplotlib.figure import Figure

import gpu_coord as gc
from gpu_coord import plots
from gpu_coord.plots.style import Theme
from gpu_coord.reports.meetings import read_group_meetings
from gpu_coord.results import circles
from gpu_coord.spread.timeline import tabulate_timeline
from gpu_coord.spread.timeline_files import write_timeline
from gpu_coord.store.store import name_accounts
from gpu_coord.trust.calibration import calibrate

FOLDER = Path(__file__).parent / "gallery"
THEMES: tuple[Theme, ...] = ("light", "dark")
HEAD = """# Gallery

Every picture that the package draws, from archives that `gpu-coord simulate` made: nothing in them
is real. [Pictures and notebooks](../plots.md) says how a picture is saved, how accounts are named,
and what light and dark mean. The code of this page is `docs/gallery.py`.

`run` is of `detect` and `roles` on `store`, an archive in which an operation follows its core
within hours; `shares` is of `share` on `quick`, in which it does so within seconds.
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the gallery: what draws it, in which chapter, and how large it is in inches."""

    draw: Callable[..., object]
    chapter: str
    size: tuple[float, float]
    suffix: str

    @property
    def has_themes(self) -> bool:
        """Whether it is dark on a dark page."""
        return bool({"ax", "axes", "theme"} & {*inspect.signature(self.draw).parameters})

    @property
    def call(self) -> str:
        """The body of the function, without its docstring."""
        source = dedent(inspect.getsource(self.draw))
        first = parse(source).body[0].body[1]  # type: ignore[attr-defined]
        return dedent("\n".join(source.splitlines()[first.lineno - 1 :]))


PICTURES: dict[str, Picture] = {}


def add_picture(
    chapter: str, width: float, height: float, suffix: str = ".png"
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Put the function that follows into the gallery, under its own name."""

    def add(draw: Callable[..., object]) -> Callable[..., object]:
        PICTURES[draw.__name__] = Picture(draw, chapter, (width, height), suffix)
        return draw

    return add


@add_picture("Who acts together?", 9, 6)
def plot_network(ax, run):
    """The strongest edges of a network, by community; large points are those that others follow."""
    plots.plot_network(ax, run.read_network(), run.read("accounts"))


@add_picture("Who acts together?", 9, 7)
def draw_network(path, run, theme):
    """The same, straight from a run into a file."""
    plots.draw_network(run, path, theme=theme)


@add_picture("Who acts together?", 3, 3, ".svg")
def draw_circle(path, run):
    """The small picture of a network on the card that a notebook shows of a run."""
    path.write_text(circles.draw_circle(run), encoding="utf-8")


@add_picture("Who are they?", 8, 5)
def plot_roles(ax, run):
    """How early each account takes things up, and how much it is followed, by role."""
    plots.plot_roles(ax, run.read("accounts"))


@add_picture("Who are they?", 8, 3)
def plot_influence(ax, run):
    """Which class of accounts is followed, and which one follows."""
    plots.plot_influence(ax, run.read("accounts"), by="role")


@add_picture("When?", 9, 6)
def plot_raster(ax, store):
    """In which hours each account used one hashtag."""
    activity = gc.build_activity(store, kinds=["hashtag"], bin="1h")
    names = name_accounts(activity.accounts["account_id"], store)
    plots.plot_raster(ax, activity, "hashtag", "harbourharbour", names=names)


@add_picture("When?", 9, 3)
def plot_meetings(ax, run):
    """On which days the members of a group met; a report shows it of each group."""
    meetings = read_group_meetings(run, 0, show_ids=False, texts=None)
    plots.plot_meetings(ax, meetings["time"])


@add_picture("When?", 9, 4)
def plot_timeline(ax, quick, shares):
    """How one hashtag spread, and which of its shares came within seconds of another."""
    table = tabulate_timeline(quick, "priceharbour", kind="hashtag", run=shares)
    plots.plot_timeline(ax, table)


@add_picture("When?", 9, 5)
def plot_accounts(ax, quick, shares):
    """When each account shared it: columns are accounts that shared together."""
    table = tabulate_timeline(quick, "priceharbour", kind="hashtag", run=shares)
    plots.plot_accounts(ax, table)


@add_picture("When?", 10, 9)
def draw_timeline(path, quick, shares):
    """Both in one file, as `gpu-coord timeline` writes it."""
    write_timeline(quick, "priceharbour", path, kind="hashtag", run=shares)


@add_picture("Is it chance?", 7, 5)
def plot_support(ax, run):
    """In how many hours the accounts of each edge coincided, and how many their habits explain."""
    plots.plot_support(ax, run.read("edges"))


@add_picture("Is it chance?", 8, 4)
def plot_lags(ax, run):
    """How many hours after each other accounts act more often than chance explains."""
    plots.plot_lags(ax, run.read("lags"), bin="1h")


@add_picture("Is it chance?", 8, 4)
def plot_gaps(ax, shares):
    """How many seconds after each other accounts share more often than chance explains."""
    plots.plot_gaps(ax, shares.read("gaps"))


@add_picture("Is it chance?", 8, 5)
def plot_quantiles(ax, calibration):
    """Whether p-values hold: those of copies without coordination, and those of the data."""
    plots.plot_quantiles(ax, calibration.read("quantiles"))


@add_picture("Can I believe it?", 8, 4)
def plot_sweep(ax, sweep):
    """How two choices change a figure."""
    plots.plot_sweep(ax, sweep.read("sweep"), x="alpha", y="bin", value="n_network_edges")


@add_picture("Can I believe it?", 8, 6)
def plot_specifications(axes, sweep):
    """A figure under every combination of choices, and what each combination chose."""
    cells, settings = sweep.read("sweep"), ["bin", "min_support", "alpha"]
    plots.plot_specifications(*axes, cells, value="n_network_edges", settings=settings)


@add_picture("Can I believe it?", 8, 4)
def plot_inclusion(ax, sweep):
    """Which accounts are found whatever is chosen."""
    plots.plot_inclusion(ax, sweep.read("accounts"))


@add_picture("Can I believe it?", 9, 5)
def plot_methods(ax, comparison):
    """How well published methods, and those of this package, rank the accounts of an operation."""
    plots.plot_methods(ax, comparison.read("methods"), comparison.read("ranks"))


# --- what is drawn -----------------------------------------------------------------------------


def make_results(folder: Path) -> dict[str, Any]:
    """Simulate two archives and run what is drawn, by the names that the pictures give it."""
    store, truth = _read_archive(folder / "store", preset="small", n_posts=8_000)
    quick, _ = _read_archive(folder / "quick", preset="swift", n_posts=5_000)
    run = gc.detect(store, folder / "run", groups=1)
    gc.assign_roles(run, store)
    grid = {"bin": ["30m", "1h", "2h"], "min_support": [1, 10], "alpha": [0.01, 0.05, 0.1]}
    return {
        "store": store,
        "quick": quick,
        "run": run,
        "shares": gc.share(quick, folder / "shares", kinds=["url", "hashtag"], intervals=True),
        "calibration": calibrate(store, folder / "calibration", n_copies=2, groups=0),
        "sweep": gc.sweep(store, grid, folder / "sweep"),
        "comparison": gc.compare(
            store, truth, folder / "comparison", n_permutations=19, n_resamples=50
        ),
    }


def _read_archive(folder: Path, **choices: Any) -> tuple[Any, Path]:
    made = gc.simulate(folder.with_suffix(".archive"), seed=1, **choices)
    truth = made.path / "truth_accounts.parquet"
    return gc.ingest(made.inputs, folder, labels=truth), truth


def draw_picture(picture: Picture, path: Path, results: dict[str, Any], *, theme: Theme) -> None:
    """Draw one picture of the gallery into a file."""
    wanted = inspect.signature(picture.draw).parameters
    with plots.use_theme(theme):
        figure = Figure(figsize=picture.size, layout="constrained")
        given = results | {"path": path, "theme": theme}
        if "ax" in wanted:
            given["ax"] = figure.subplots()
        elif "axes" in wanted:
            given["axes"] = figure.subplots(2, sharex=True)
        picture.draw(**{name: given[name] for name in wanted})
        if "path" not in wanted:
            plots.save_picture(figure, path)


# --- the page ----------------------------------------------------------------------------------


def list_files(name: str) -> list[tuple[Theme, str]]:
    """Return the themes of a picture, and their files."""
    picture = PICTURES[name]
    if not picture.has_themes:
        return [("light", f"{name}{picture.suffix}")]
    return [(theme, f"{name}-{theme}{picture.suffix}") for theme in THEMES]


def write_page() -> str:
    """Return the page in Markdown: what each picture shows, how to read it, what draws it."""
    chapters = list(dict.fromkeys(picture.chapter for picture in PICTURES.values()))
    return HEAD + "".join(
        f"\n## {chapter}\n"
        + "".join(_describe(name) for name, each in PICTURES.items() if each.chapter == chapter)
        for chapter in chapters
    )


def _describe(name: str) -> str:
    picture, files = PICTURES[name], [file for _, file in list_files(name)]
    said = inspect.getdoc(picture.draw) or ""
    # The theme of the site shows the one that fits the page.
    marks = [f"#only-{theme}" for theme in THEMES] if len(files) > 1 else [""]
    shown = [f"![{said}]({file}{mark})" for file, mark in zip(files, marks, strict=True)]
    parts = [f"### {name}", said, "\n".join(shown), *_read_paragraphs(name)]
    return "\n" + "\n\n".join([*parts, f"```python\n{picture.call}\n```"]) + "\n"


def _read_paragraphs(name: str) -> Sequence[str]:
    """Return what the docstring of a plot function says of reading it, as one paragraph."""
    lines = (inspect.getdoc(getattr(plots, name, None)) or "").split("\n\n")
    return [text for text in lines if text.startswith("Shows: ")]


def main() -> None:
    """Write the gallery anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    with TemporaryDirectory() as folder:
        results = make_results(Path(folder))
        for name, picture in PICTURES.items():
            for theme, file in list_files(name):
                draw_picture(picture, FOLDER / file, results, theme=theme)
    (FOLDER / "index.md").write_text(write_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
