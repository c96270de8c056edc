"""Store -> run folder of coordinated sharing: who shared the same things within a window."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from gpu_coord.backend import Backend, choose
from gpu_coord.folders import replace_folder
from gpu_coord.run import RUN_FILES, RUN_MARKER, Findings, Progress, open_run
from gpu_coord.sharing.run import ShareRun
from gpu_coord.sharing.settings import Mode, ShareSettings
from gpu_coord.sharing.shares import Shares, hash_objects, read_shares
from gpu_coord.sharing.windows import pair_shares
from gpu_coord.store import Store, check_outside, open_store

__all__ = ["Mode", "ShareSettings", "Shares", "pair_shares", "read_shares", "share"]


def share(
    store: Store | Path | str,
    out: Path | str,
    *,
    kinds: Sequence[str] | str,
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
    kinds
        Kinds of object, in the store.
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
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    settings = ShareSettings(kinds=kinds, objects_sha256=hash_objects(objects), **choices)
    store = store if isinstance(store, Store) else open_store(store)
    check_outside(store, out, "runs")
    backend = backend or choose()
    with replace_folder(Path(out), RUN_MARKER, RUN_FILES) as folder:
        run = ShareRun(folder, store, settings, backend, memory, progress, labels, objects, graphs)
        run.write()
    return open_run(out)
