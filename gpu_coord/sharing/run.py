"""Store -> run folder: who shared the same things within a window, in one way or in several."""

from pathlib import Path
from typing import Any

import polars as pl

from gpu_coord.backend import Backend
from gpu_coord.ground.keywords import takes
from gpu_coord.results.clock import Progress
from gpu_coord.results.command import begin
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.sharing.coaction import Coaction
from gpu_coord.sharing.modes import MODES
from gpu_coord.sharing.settings import CoactSettings, ShareSettings
from gpu_coord.sharing.shares import hash_objects
from gpu_coord.store.store import Store


@takes(ShareSettings)
def share(
    store: Store | Path | str,
    out: Path | str,
    *,
    labels: pl.DataFrame | None = None,
    objects: pl.DataFrame | None = None,
    graphs: bool = False,
    backend: Backend | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Findings:
    """Find who shared the same things within a window, and write it as a run folder.

    Parameters
    ----------
    store
        A store, or its folder.
    out
        The run folder; an earlier run there is replaced, anything else is refused.
    labels
        Columns account_id, label, in the place of the store's own labels.
    objects
        Columns kind, value: look at the shares of these objects only.
    graphs
        Write GraphML and GEXF even above 200,000 edges.
    backend
        Where the network is labelled; pairs are found on the CPU.
    memory
        Bytes that the pairs under way may take; by default 2 GB, or half of what is free. All
        pairs of the busiest account are weighed at once, whatever this is. Beside them come some
        600 bytes for each share and 350 for each edge.
    progress
        Called with the stage, the work done and the work in all.
    **choices
        Fields of `ShareSettings`.

    Raises
    ------
    ValueError
        A setting is out of range, or nothing is left to analyse.
    """
    settings = ShareSettings(**choices)
    with begin(
        "share", out, settings, store, labels=labels, inputs={"objects": hash_objects(objects)},
        backend=backend, memory=memory, progress=progress,
    ) as work:  # fmt: skip
        MODES[settings.mode](work, settings, objects, graphs=graphs).write()
    return open_run(out)


@takes(CoactSettings)
def coact(
    store: Store | Path | str,
    out: Path | str,
    *,
    labels: pl.DataFrame | None = None,
    graphs: bool = False,
    backend: Backend | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Findings:
    """Find who does the same things at about the same time, layer by layer, and merge the layers.

    Parameters
    ----------
    store, out, labels, graphs, backend, progress
        As of `share`.
    memory
        As of `share`; 100 bytes for each edge of each layer; of texts, see
        `gpu_coord.sharing.texts.find_similar`.
    **choices
        Fields of `CoactSettings`.

    Raises
    ------
    ValueError
        A setting is out of range, nothing is left to analyse, or texts are asked for that the
        store does not keep.
    """
    settings = CoactSettings(**choices)
    with begin(
        "coact", out, settings, store, labels=labels, backend=backend, memory=memory,
        progress=progress,
    ) as work:  # fmt: skip
        Coaction(work, settings, graphs=graphs).write()
    return open_run(out)
