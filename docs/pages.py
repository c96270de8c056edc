"""What MkDocs is told of the repository, whose pages stay where they are.

README, CONTRIBUTING and CHANGELOG are pages of the site beside those of docs/, so that a link leads
to the same page on the site as in the repository. The page of the Python functions is made here.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import gpu_coord
from gpu_coord import plots

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")
SUFFIXES = (".md", ".png", ".svg", ".js", ".css")
API = """# Python

`import gpu_coord as gc` gives the functions below; `from gpu_coord import plots` those that draw.
Every choice has the name of its [option](options.md) with underscores.
"""
# What the functions return: how to read, show and save it.
CLASSES = (
    "gpu_coord.results.findings.Findings",
    "gpu_coord.store.store.Store",
    "gpu_coord.activity.cells.Activity",
    "gpu_coord.simulation.simulation.Simulation",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the files of the site, under the names that they have in the repository."""
    of_theme = [file for file in files if file.src_dir != config.docs_dir]
    shown = [each for each in (ROOT / "docs").rglob("*") if each.suffix in SUFFIXES]
    names = [*PAGES, *sorted(each.relative_to(ROOT).as_posix() for each in shown)]
    place = {"src_dir": str(ROOT), "dest_dir": config.site_dir}
    found = [File(name, use_directory_urls=config.use_directory_urls, **place) for name in names]
    return Files([*of_theme, *found, File.generated(config, "docs/api.md", content=write_api())])


def write_api() -> str:
    """Return the page of the public functions, which mkdocstrings fills."""
    functions = [f"gpu_coord.{name}" for name in gpu_coord.__all__ if name[0] != "_"]
    drawing = [f"gpu_coord.plots.{name}" for name in plots.__all__ if name.islower()]
    chapters = {"Functions": functions, "What they return": CLASSES, "Pictures": drawing}
    return API + "".join(
        f"\n## {chapter}\n" + "".join(f"\n::: {name}\n" for name in names)
        for chapter, names in chapters.items()
    )
