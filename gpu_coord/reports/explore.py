"""A run -> an explorer in JupyterLab, where the libraries that draw it are installed."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_coord.results.findings import Findings, open_run
from gpu_coord.results.forms import RUN

if TYPE_CHECKING:
    from gpu_coord.reports.explorer import Explorer

LIBRARIES = {"ipywidgets": "ipywidgets", "itables": "itables", "jscatter": "jupyter-scatter"}


def explore(
    run: Findings | Path | str, *, show_ids: bool = False, max_edges: int = 50_000
) -> "Explorer":
    """Show a run in JupyterLab: network, timeline, pairs and evidence, each selecting in all.

    Parameters
    ----------
    run
        A run of `detect`, `share` or `coact`, or its folder.
    show_ids
        Name accounts, and objects that are accounts or posts, by their ids; otherwise by
        pseudonyms.
    max_edges
        Networks of more edges are drawn as points without lines.

    Returns
    -------
        What a notebook shows; its `select` and `selected` are the accounts selected.

    Raises
    ------
    ModuleNotFoundError
        A library of the extra ``notebooks`` is not installed.
    ValueError
        This is no run, or ``max_edges`` is negative.
    """
    if max_edges < 0:
        raise ValueError(f"max_edges is {max_edges}; draw 0 (points alone) or more lines.")
    _check_libraries()
    from gpu_coord.reports.explorer import Explorer
    from gpu_coord.reports.scenes import build_scene

    findings = open_run(run, *RUN.commands)
    return Explorer(build_scene(findings, show_ids=show_ids, max_edges=max_edges))


def _check_libraries() -> None:
    missing = [name for module, name in LIBRARIES.items() if find_spec(module) is None]
    if missing:
        raise ModuleNotFoundError(
            f"explore() needs {' and '.join(missing)}, which is not installed; `pip install "
            f"{' '.join(missing)}` installs it."
        )
