"""Edges -> places of accounts in a picture.

The one idea: each component is laid out alone, and the components are packed like parcels, so that
nothing looks close that is not linked.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_MAX_BALANCED = 1000  # accounts of a component; memory of more grows with their square
_NEAREST = 1e-3  # two accounts closer than this push each other no harder
_GRAVITY = 0.3  # keeps what hangs by one edge in the picture
_HEAT = 0.1  # how far an account may move in the first round; all start in a square of side 1
_N_LIBRARY_ROUNDS, _RADIUS = 30, 3.0  # accounts push those within it; linked ones lie 1 apart
_MARGIN = 1.2  # between components, where accounts lie 1 apart
_WIDTH = 1.4  # of the picture, for each unit of its height


def lay_out(source: np.ndarray, target: np.ndarray, *, n_accounts: int, seed: int) -> np.ndarray:
    """Place accounts so that linked ones are close and others are not.

    Each component is laid out alone, and its area grows with its accounts: up to 1,000 by
    `balance_forces`, more by ForceAtlas2 (Jacomy et al. 2014) of scikit-network. The components
    are then packed in rows, the largest first. Edges pull alike, whatever their weight and
    direction.

    Parameters
    ----------
    source, target
        Account indices, (n_edges,).
    n_accounts
        How many there are.
    seed
        Of the places where all start: the same seed gives the same places.

    Returns
    -------
        Horizontal and vertical places, (n_accounts, 2).
    """
    rng = np.random.default_rng(seed)
    places = np.zeros((n_accounts, 2))
    links = _join_ends(source, target, n_accounts)
    parts = _list_components(links)
    shapes = [_lay_out_component(links[part][:, part], rng) for part in parts]
    for part, at in zip(parts, _pack(shapes), strict=True):
        places[part] = at
    return places


def lay_out_groups(groups: np.ndarray) -> np.ndarray:
    """Place each group on a disc of its own, the discs in rows, the largest first.

    That is for networks too large to be laid out by their edges: it takes no time, and says no
    more than who is in which group.

    Parameters
    ----------
    groups
        The group of each account, (n_accounts,); those that come first lie in the middle.

    Returns
    -------
        Horizontal and vertical places, (n_accounts, 2).
    """
    places = np.zeros((len(groups), 2))
    ends = np.flatnonzero(np.diff(np.sort(groups))) + 1
    parts = np.split(np.argsort(groups, kind="stable"), ends) if len(groups) else []
    parts.sort(key=len, reverse=True)
    for part, at in zip(parts, _pack([_fill_disc(len(part)) for part in parts]), strict=True):
        places[part] = at
    return places


def _fill_disc(n_accounts: int) -> np.ndarray:
    """Return places from (0, 0) on, about 1 apart, on a spiral as in a sunflower (Vogel 1979)."""
    number = np.arange(n_accounts)
    radius, angle = np.sqrt((number + 0.5) / np.pi), number * np.pi * (3 - np.sqrt(5))
    places = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    shifted: np.ndarray = places - places.min(axis=0)
    return shifted


def balance_forces(
    source: np.ndarray, target: np.ndarray, start: np.ndarray, *, n_rounds: int = 150
) -> np.ndarray:
    """Move accounts until pushes and pulls cancel (Fruchterman & Reingold 1991).

    All accounts push each other away as 1/d, edges pull as d², and steps grow shorter; a weak pull
    to the middle keeps what is loosely linked in sight.

    Parameters
    ----------
    source, target
        Account indices, (n_edges,).
    start
        Where each account starts, (n_accounts, 2). Time and memory grow with its square.
    n_rounds
        Steps of all accounts.

    Returns
    -------
        Horizontal and vertical places, (n_accounts, 2).
    """
    ideal = 1 / np.sqrt(max(len(start), 1))
    place = start[:, 0] + 1j * start[:, 1]
    for heat in np.linspace(_HEAT, 0, n_rounds, endpoint=False):
        apart = place[:, None] - place[None, :]
        force = ideal**2 * (apart / np.maximum(np.abs(apart), _NEAREST) ** 2).sum(axis=1)
        pull = (place[target] - place[source]) * np.abs(place[target] - place[source]) / ideal
        np.add.at(force, source, pull)
        np.add.at(force, target, -pull)
        force -= _GRAVITY * place
        size = np.maximum(np.abs(force), 1e-12)
        place = place + force / size * np.minimum(size, heat)
    return np.column_stack([place.real, place.imag])


def _join_ends(source: np.ndarray, target: np.ndarray, n_accounts: int) -> "csr_array":
    """Return which accounts an edge joins, either way, as ones."""
    from scipy.sparse import coo_array

    ends = np.concatenate([source, target]), np.concatenate([target, source])
    links = coo_array((np.ones(ends[0].size), ends), shape=(n_accounts, n_accounts)).tocsr()
    links.data[:] = 1.0
    return links


def _list_components(links: "csr_array") -> list[np.ndarray]:
    """Return the accounts of each component, the largest first."""
    from scipy.sparse.csgraph import connected_components

    n_components, component = connected_components(links, directed=False)
    parts = [np.flatnonzero(component == number) for number in range(n_components)]
    return sorted(parts, key=len, reverse=True)


def _lay_out_component(links: "csr_array", rng: np.random.Generator) -> np.ndarray:
    """Return places of a component from (0, 0) on, in a square as large as its accounts."""
    n_accounts = links.shape[0]
    start = rng.random((n_accounts, 2)) - 0.5
    if n_accounts > _MAX_BALANCED:
        places = _balance_many(links, start)
    else:
        # Each edge stands twice in the links.
        source, target = links.nonzero()
        is_first = source < target
        places = balance_forces(source[is_first], target[is_first], start)
    places = places - places.min(axis=0)
    scaled: np.ndarray = places * np.sqrt(n_accounts) / max(float(places.max()), 1e-9)
    return scaled


def _balance_many(links: "csr_array", start: np.ndarray) -> np.ndarray:
    """Return places by the library, from the order of the two slowest harmonics of the component.

    From random places its forces do not bring together what belongs together.
    """
    from scipy.sparse import csr_matrix, diags_array
    from scipy.sparse.linalg import eigsh
    from sknetwork.embedding import ForceAtlas

    scale = diags_array(1 / np.sqrt(links.sum(axis=1)))
    _, vectors = eigsh(scale @ links @ scale, k=3, which="LA", v0=start[:, 0] + 0.5)
    order = np.argsort(np.argsort((scale @ vectors)[:, :2], axis=0, kind="stable"), axis=0)
    evenly = (order / len(start) - 0.5) * np.sqrt(len(start))
    forces = ForceAtlas(n_iter=_N_LIBRARY_ROUNDS, approx_radius=_RADIUS)
    places: np.ndarray = forces.fit(csr_matrix(links), evenly).embedding_
    return places


def _pack(shapes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Lay shapes in rows from the top, in about the form of a screen."""
    sizes = [shape.max(axis=0) + _MARGIN for shape in shapes]
    area = sum(float(x * y) for x, y in sizes)
    width = max([np.sqrt(_WIDTH * area), *(float(x) for x, _ in sizes)])
    packed: list[np.ndarray] = []
    right, top, height = 0.0, 0.0, 0.0
    for shape, (x, y) in zip(shapes, sizes, strict=True):
        if right + x > width:
            right, top, height = 0.0, top - height, 0.0
        packed.append(shape + np.array([right, top - y]))
        right, height = right + x, max(height, y)
    return packed
