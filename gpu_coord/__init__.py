"""gpu_coord: accounts acting together in social-media archives, and the evidence.

Each room answers one question; the public names stand with the room that they come from.

==============  ==================================================================================
``archive``     What is in these files? ``ingest``: files to a store.
``store``       What was read? ``open_store``: the tables of a store.
``activity``    Who was active when? ``build_activity``, ``transition_matrices``.
``chance``      How much of it is chance? Nulls, tests, lambda.
``groups``      Which groups act together, where no single pair can show it?
``network``     Which accounts hang together? Components, communities, graph files.
``detection``   Who follows whom over hours? ``detect``.
``sharing``     Who shares the same within seconds? ``share``, ``coact``, ``run_cycle``.
``model``       Whose activity does each account take up? ``fit_model``, ``InfluenceModel``.
``spread``      How did it spread? ``trace_cascades``, timelines.
``accounts``    Who are they? ``assign_roles``, ``compare_cohorts``, what is behind a pair.
``trust``       Can I believe it? ``evaluate``, ``compare``, ``sweep``, ``transplant``.
``simulation``  What would be found if the truth were known? ``simulate``.
``plots``       What does it look like?
``reports``     What do I hand to others, and look through myself? ``write_report``, ``explore``.
``results``     What did a command find? ``open_run``, ``verify``: every folder of results.
==============  ==================================================================================

``cli`` is the command line, ``backend`` the CPU or GPU that computes, ``ground`` what all stand on.
"""

from importlib import import_module
from typing import Any

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
    "compare": "trust.comparison.comparison",
    "transplant": "trust.transplant",
    "evaluate": "trust.evaluation.evaluation",
    "sweep": "trust.sweeps.sweeps",
    "open_run": "results.findings",
    "verify": "results.verification",
    "write_report": "reports.report",
    "explore": "reports.explore",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # takes longer than all else here

        return version("gpu-coord")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
