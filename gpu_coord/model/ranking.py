"""D -> how much of what sites do goes back to each site: the influence pi.

The one idea: follow a status back from who took it to whom it was taken from, again and again.
"""

from typing import Any

import numpy as np

_CLOSE_ENOUGH, _N_STEPS = 1e-12, 10_000


def rank_sites(
    source: np.ndarray, target: np.ndarray, mass: np.ndarray, n_sites: int, *, teleport: float
) -> np.ndarray:
    """Return pi: where one is in the long run, following statuses back.

    Parameters
    ----------
    source, target, mass
        d_ij of target i and source j. What a row lacks to 1 is the background's and leads to any
        site alike.
    n_sites
        Sites, silent ones included.
    teleport
        The probability of going on at any site instead, above 0: rows may fall apart.

    Returns
    -------
        Sums to 1, (n_sites,).

    Raises
    ------
    ValueError
        ``teleport`` is not between 0 and 1.

    Source
    ------
    Asavathiratham, *The Influence Model*, MIT 2000: the left eigenvector of D.
    """
    if not 0 < teleport < 1:
        raise ValueError(f"teleport is {teleport}; it lies between 0 and 1, 0.1 is usual.")
    left = np.clip(1.0 - np.bincount(target, weights=mass, minlength=n_sites), 0.0, 1.0)
    ranks = np.full(n_sites, 1.0 / n_sites)
    for _ in range(_N_STEPS):
        moved = np.bincount(source, weights=mass * ranks[target], minlength=n_sites)
        moved = moved + (left @ ranks) / n_sites
        moved = (1 - teleport) * moved / moved.sum() + teleport / n_sites
        if np.abs(moved - ranks).sum() < _CLOSE_ENOUGH:
            return np.asarray(moved)
        ranks = moved
    return ranks


def rank_classes(influence: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the closed classes of D, each with its own pi.

    A class is closed if its sites take nothing from outside and all go back to one another.

    Parameters
    ----------
    influence
        D with rows that sum to 1, (n_sites, n_sites); a background is a site of its own.

    Returns
    -------
        Sites and pi of each class, largest first.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    n_classes, label = connected_components(csr_array(influence > 0), connection="strong")
    leaving = np.zeros(n_classes, bool)
    target, source = np.nonzero(influence > 0)
    leaving[label[target][label[target] != label[source]]] = True
    classes = []
    for found in np.flatnonzero(~leaving):
        sites = np.flatnonzero(label == found)
        classes.append((sites, _solve_class(influence[np.ix_(sites, sites)])))
    return sorted(classes, key=lambda item: (-item[0].size, item[0][0]))


def _solve_class(rows: np.ndarray) -> np.ndarray:
    n_sites = rows.shape[0]
    equations = np.concatenate([rows.T - np.eye(n_sites), np.ones((1, n_sites))])
    wanted: Any = np.concatenate([np.zeros(n_sites), [1.0]])
    return np.asarray(np.linalg.lstsq(equations, wanted, rcond=None)[0])
