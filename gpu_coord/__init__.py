"""gpu_coord: accounts acting together in social-media archives, and the evidence.

The public names, in the order of the pipeline:

``ingest`` files to a store, ``open_store`` a store from its folder,
``build_activity`` a store to Active/Inactive cells, ``transition_matrices`` cells to the
2x2 matrices of all ordered pairs, ``detect`` a store to a run folder with the coordination
network, ``share`` a store to a run folder of coordinated sharing, ``coact`` the same in several
layers and their merge, ``run_cycle`` a list of objects to the accounts that share them and on,
``fit_model`` a store to who takes whose activity, ``InfluenceModel`` the model behind it,
``assign_roles`` a run to the part that each account plays in it, ``trace_cascades`` a store to how
its objects spread, ``compare_cohorts`` a store to when its accounts were made, ``simulate`` an
archive with a planted operation, ``evaluate`` a run against the truth,
``sweep`` a store and a grid of settings to what holds whatever is chosen.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any

__version__ = version("gpu-coord")

# Loaded on first use: numba and scipy take longer to import than most commands run.
_HOMES = {
    "ingest": "archive.ingest",
    "open_store": "store.store",
    "build_activity": "activity.cells",
    "transition_matrices": "activity.counts",
    "detect": "detection.run",
    "share": "sharing.run",
    "coact": "sharing.run",
    "run_cycle": "sharing.cycle",
    "fit_model": "model.fitting",
    "InfluenceModel": "model.influence",
    "assign_roles": "accounts.roles.roles",
    "trace_cascades": "spread.cascades",
    "compare_cohorts": "accounts.cohorts",
    "simulate": "simulation.simulation",
    "evaluate": "trust.evaluation.evaluation",
    "sweep": "trust.sweeps.sweeps",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
