"""The influence model: who takes whose statuses, learned from what they did.

In: statuses of sites, or the activity of a store. Out: D, how sure it is, and scores of accounts.
"""

from gpu_coord.model.fitting import FittedModel, fit_model, open_model, verify_model
from gpu_coord.model.influence import InfluenceModel

__all__ = ["FittedModel", "InfluenceModel", "fit_model", "open_model", "verify_model"]
