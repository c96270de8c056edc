"""Pictures of findings: a table and Axes in, the Axes with the picture out.

Nothing is computed here that a table does not say, but means of its rows and where to put them.
Texts come from archives: they are cleaned, and never read as formulas.
"""

from gpu_coord.plots.accounts import plot_influence, plot_meetings, plot_raster, plot_roles
from gpu_coord.plots.chance import plot_gaps, plot_lags, plot_quantiles, plot_support
from gpu_coord.plots.comparisons import plot_methods
from gpu_coord.plots.layouts import lay_out, lay_out_groups
from gpu_coord.plots.networks import draw_network, plot_network, select_strongest
from gpu_coord.plots.style import (
    COORDINATED,
    OTHERS,
    PALETTE,
    ROLE_COLOURS,
    save_picture,
    use_theme,
)
from gpu_coord.plots.sweeps import plot_inclusion, plot_specifications, plot_sweep
from gpu_coord.plots.timelines import (
    N_LARGEST,
    list_groups,
    measure_shares,
    place_accounts,
    plot_accounts,
    plot_timeline,
    thin_shares,
)

__all__ = [
    "COORDINATED",
    "N_LARGEST",
    "OTHERS",
    "PALETTE",
    "ROLE_COLOURS",
    "draw_network",
    "lay_out",
    "lay_out_groups",
    "list_groups",
    "measure_shares",
    "place_accounts",
    "plot_accounts",
    "plot_gaps",
    "plot_inclusion",
    "plot_influence",
    "plot_lags",
    "plot_meetings",
    "plot_methods",
    "plot_network",
    "plot_quantiles",
    "plot_raster",
    "plot_roles",
    "plot_specifications",
    "plot_support",
    "plot_sweep",
    "plot_timeline",
    "save_picture",
    "select_strongest",
    "thin_shares",
    "use_theme",
]
