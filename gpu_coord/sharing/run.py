"""Store -> run folder: who shared the same things within a window, in one way or in several."""

import polars as pl

from gpu_coord.results.command import Work, writes
from gpu_coord.sharing.coaction import Coaction
from gpu_coord.sharing.modes import MODES
from gpu_coord.sharing.settings import CoactSettings, ShareSettings
from gpu_coord.sharing.shares import fill_kinds, hash_objects


@writes("share", ShareSettings, uses_workers=True)
def share(work: Work, *, objects: pl.DataFrame | None = None, graphs: bool = False) -> None:
    """Find who shared the same things within a window, and write it as a run folder.

    Parameters
    ----------
    objects
        Columns kind, value: look at the shares of these objects only.
    backend
        Where the network is labelled; pairs are found on the CPU.
    memory
        Bytes that the process may hold; by default nine tenths of what is free. All pairs of the
        busiest account are weighed at once, whatever this is. Some 700 bytes for each share and
        350 for each edge must fit, else they are refused.

    Raises
    ------
    ValueError
        A setting is out of range, or nothing is left to analyse.
    """
    work.inputs["objects"] = hash_objects(objects)
    work.settings = fill_kinds(work.settings, work.store)
    MODES[work.settings.mode](work, work.settings, objects, graphs=graphs).write()


@writes("coact", CoactSettings, uses_workers=True)
def coact(work: Work, *, graphs: bool = False) -> None:
    """Find who does the same things at about the same time, layer by layer, and merge the layers.

    Parameters
    ----------
    backend
        Where the network is labelled; pairs are found on the CPU.
    memory
        As of `share`; edges take 100 bytes each in each layer; of texts, see
        `gpu_coord.sharing.texts.find_similar`.

    Raises
    ------
    ValueError
        A setting is out of range, nothing is left to analyse, or texts are asked for that the
        store does not keep.
    """
    Coaction(work, work.settings, graphs=graphs).write()
