"""The influence model: sites with statuses, who takes whose (D), and what that does (A).

The next status of site i is drawn from row s_j of A[j][i], where j is drawn from row i of D.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np

from gpu_coord.backend import Backend, choose
from gpu_coord.ground.choices import check_choice
from gpu_coord.model.ranking import rank_classes, rank_sites
from gpu_coord.model.rows import Rows, fit_rows
from gpu_coord.model.settings import Emission
from gpu_coord.model.statuses import Steps, read_steps

_CLOSE = 1e-6  # rounding of sums of probabilities
_STAYS = 1e-9  # singular values that are 0
DEFAULT_MEMORY = 1 << 30


@dataclass(frozen=True)
class _Outside:
    """A background: how often each site takes to it, and what it says in each group."""

    mass: np.ndarray  # (n_sites,)
    rates: list[np.ndarray]  # (n_groups, n_statuses) of each site


class InfluenceModel:
    """Sites that take the statuses of others.

    Parameters
    ----------
    D
        ``D[i, j]`` = probability that i takes j, (n_sites, n_sites); rows are targets and, with
        the background, sum to 1.
    A
        ``A[j][i][a, b]`` = probability that i comes to b if it takes j, which is at a; an array
        (n_sites, n_sites, m, m), or nested sequences of matrices (m_j, m_i). Rows sum to 1.
    background
        ``D``'s column of what comes from outside, (n_sites,); zeros by default.
    rates
        What the background says: an array (n_sites, n_groups, m), or one (n_groups, m_i) for each
        site; a group is an hour of the day, or there is one.

    Raises
    ------
    ValueError
        Shapes do not fit together, or rows are no probabilities.

    Examples
    --------
    >>> copying = np.broadcast_to(np.eye(2), (2, 2, 2, 2))
    >>> model = InfluenceModel([[1, 0], [1, 0]], copying)
    >>> model.step([1, 0])[1].tolist()
    [0.0, 1.0]

    Source
    ------
    C. Asavathiratham, *The Influence Model*, PhD thesis, MIT, 2000.
    """

    def __init__(self, D: Any, A: Any, *, background: Any = None, rates: Any = None) -> None:
        self.D = np.asarray(D, dtype=float)
        n_sites = self.D.shape[0] if self.D.ndim == 2 else -1
        if self.D.shape != (n_sites, n_sites) or not n_sites:
            raise ValueError(f"D has shape {self.D.shape}; it is square, a row for each site.")
        self.A = A if isinstance(A, np.ndarray) else [[np.asarray(m, float) for m in r] for r in A]
        self.n_statuses = _check_matrices(self.A, n_sites)
        self.background = np.zeros(n_sites) if background is None else np.asarray(background, float)
        self._outside = _check_outside(self.background, rates, self.n_statuses)
        _check_rows("D", np.concatenate([self.D, self.background[:, None]], axis=1))
        self.gap = np.full(n_sites, np.nan)
        self.identified = np.ones(n_sites, bool)
        self.rows: Rows | None = None

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return int(self.D.shape[0])

    @cached_property
    def _start(self) -> np.ndarray:
        """First column of each site in what is laid side by side."""
        return np.concatenate([[0], np.cumsum(self.n_statuses)])

    @cached_property
    def H(self) -> np.ndarray:
        """The influence matrix: block (i, j) is ``D[j, i] * A[i][j]``; p(k + 1) = s(k) H.

        The background adds to this, see `step`.
        """
        if isinstance(self.A, np.ndarray):
            blocks = self.D.T[:, :, None, None] * self.A
            size = int(self._start[-1])
            return np.asarray(blocks.transpose(0, 2, 1, 3).reshape(size, size))
        rows = [
            [self.D[j, i] * self.A[i][j] for j in range(self.n_sites)] for i in range(self.n_sites)
        ]
        return np.asarray(np.block(rows))

    @property
    def _n_groups(self) -> int:
        return 1 if self._outside is None else len(self._outside.rates[0])

    def _mark(self, statuses: Any) -> np.ndarray:
        """Return statuses (..., n_sites) as ones among zeros, sites side by side."""
        statuses = np.asarray(statuses)
        if statuses.shape[-1:] != (self.n_sites,) or not np.issubdtype(statuses.dtype, np.integer):
            raise ValueError(
                f"statuses have shape {statuses.shape} and type {statuses.dtype}; give whole "
                f"numbers, (..., {self.n_sites})."
            )
        self._check_statuses(statuses)
        if (statuses < 0).any():
            raise ValueError("a status is below 0, which stands for missing; none may be here.")
        marks = np.zeros((*statuses.shape[:-1], int(self._start[-1])))
        np.put_along_axis(marks, statuses + self._start[:-1], 1.0, axis=-1)
        return marks

    def _check_statuses(self, statuses: np.ndarray) -> None:
        is_above = (statuses >= self.n_statuses).reshape(-1, self.n_sites).any(axis=0)
        if is_above.any():
            site = int(np.argmax(is_above))
            raise ValueError(
                f"site {site} has a status above {self.n_statuses[site] - 1}; they are numbered "
                "from 0 on."
            )

    def _say(self, group: Any) -> np.ndarray:
        """Return what the background adds in a group, sites side by side."""
        if self._outside is None:
            return np.zeros(int(self._start[-1]))
        parts = [
            mass * rate[group]
            for mass, rate in zip(self._outside.mass, self._outside.rates, strict=True)
        ]
        return np.asarray(np.concatenate(parts, axis=-1))

    def step(self, statuses: Any, *, group: int = 0) -> list[np.ndarray]:
        """Return the probabilities of each site's next status.

        Parameters
        ----------
        statuses
            Of each site now, (..., n_sites).
        group
            Of the next step, in what the background says: an hour of the day, or 0.

        Returns
        -------
            (..., m_i) for each site.
        """
        mixed = self._mark(statuses) @ self.H + self._say(group)
        return [mixed[..., a:b] for a, b in zip(self._start[:-1], self._start[1:], strict=True)]

    def sample(
        self, n_steps: int, n_chains: int = 1, *, seed: int, start: Any = None, groups: Any = None
    ) -> np.ndarray:
        """Draw chains of statuses.

        Parameters
        ----------
        n_steps
            Steps, the first included.
        n_chains
            Independent chains, drawn side by side.
        seed
            Same seed, same chains.
        start
            First statuses, (n_sites,) or (n_chains, n_sites); drawn evenly by default.
        groups
            Of each step, (n_steps,); by default the hours of the day in turn, or 0.

        Returns
        -------
            (n_sites, n_steps) for one chain, (n_chains, n_sites, n_steps) for several.
        """
        if n_steps < 1 or n_chains < 1:
            raise ValueError(f"{n_steps} steps of {n_chains} chains; draw one of each at least.")
        rng = np.random.default_rng(seed)
        groups = np.arange(n_steps) % self._n_groups if groups is None else np.asarray(groups)
        chains = np.empty((n_chains, self.n_sites, n_steps), np.int8)
        first = rng.random((n_chains, self.n_sites)) * self.n_statuses if start is None else start
        now = np.broadcast_to(np.asarray(first).astype(np.int64), chains.shape[:2])
        self._mark(now[:1])
        chains[:, :, 0] = now
        for step in range(1, n_steps):
            drawn = rng.random((2, n_chains, self.n_sites))
            now = self._draw(now, int(groups[step]), *drawn)
            chains[:, :, step] = now
        return chains[0] if n_chains == 1 else chains

    def _draw(self, now: np.ndarray, group: int, whose: np.ndarray, what: np.ndarray) -> np.ndarray:
        """Return the next statuses, (n_chains, n_sites), from numbers between 0 and 1."""
        site = np.arange(self.n_sites)
        # Rows of D one after another, row i between i and i + 1: all are searched at once.
        taken = np.searchsorted(self._steps_of_rows, whose + site, side="right")
        taken = np.minimum(taken - site * (self.n_sites + 1), self.n_sites)
        inside = np.minimum(taken, self.n_sites - 1)
        said = self._padded[inside, site, np.take_along_axis(now, inside, axis=1)]
        if self._outside is not None:
            outside = np.zeros(said.shape[1:])
            for row, rate in zip(outside, self._outside.rates, strict=True):
                row[: rate.shape[1]] = rate[group]
            said = np.where((taken == self.n_sites)[:, :, None], outside, said)
        found = (what[:, :, None] >= said.cumsum(axis=2)[:, :, :-1]).sum(axis=2)
        return np.asarray(np.minimum(found, self.n_statuses - 1))

    @cached_property
    def _steps_of_rows(self) -> np.ndarray:
        rows = np.concatenate([self.D, self.background[:, None]], axis=1).cumsum(axis=1)
        return np.asarray((rows / rows[:, -1:] + np.arange(self.n_sites)[:, None]).reshape(-1))

    @cached_property
    def _padded(self) -> np.ndarray:
        """Return all matrices as one array, what a site lacks filled with zeros."""
        if isinstance(self.A, np.ndarray):
            return self.A
        m = int(self.n_statuses.max())
        padded = np.zeros((self.n_sites, self.n_sites, m, m))
        for j, row in enumerate(self.A):
            for i, matrix in enumerate(row):
                padded[j, i, : matrix.shape[0], : matrix.shape[1]] = matrix
        return padded

    def log_likelihood(self, statuses: Any, *, times: Any = None, bin_seconds: int = 3600) -> float:
        """Return the log-likelihood of the transitions, nats; parameters as of `fit`."""
        return float(self.log_likelihoods(statuses, times=times, bin_seconds=bin_seconds).sum())

    def log_likelihoods(
        self, statuses: Any, *, times: Any = None, bin_seconds: int = 3600
    ) -> np.ndarray:
        """Return the log-likelihood of each site's transitions, nats, (n_sites,)."""
        steps = read_steps(statuses, times=times, bin_seconds=bin_seconds)
        if steps.n_sites != self.n_sites:
            raise ValueError(f"statuses have {steps.n_sites} sites, the model {self.n_sites}.")
        self._check_groups(steps)
        total = np.zeros(self.n_sites)
        n_parts = 1 + steps.before.size * steps.n_most // (1 << 24)
        for block in np.array_split(np.arange(steps.before.shape[0]), n_parts):
            # A source that is missing is at rest; a target that is missing is not counted.
            mixed = self._mark(np.maximum(steps.before[block], 0).astype(np.int64)) @ self.H
            mixed = mixed + self._say(steps.group[block])
            after = steps.after[block].astype(np.int64)
            self._check_statuses(after)
            found = np.take_along_axis(mixed, np.maximum(after, 0) + self._start[:-1], axis=1)
            with np.errstate(divide="ignore"):
                total += np.where(after >= 0, np.log(found), 0.0).sum(axis=0)
        return total

    def _check_groups(self, steps: Steps) -> None:
        if self._outside is not None and self._n_groups != steps.n_groups:
            raise ValueError(
                f"the background has {self._n_groups} groups, the statuses {steps.n_groups}; pass "
                "times if, and only if, the model was fitted with them."
            )

    def stationary(self) -> list[np.ndarray]:
        """Return the steady state: each site's probabilities in the long run, (m_i,) each.

        Averaged over time, and over the hours of the day. Where it depends on the beginning, this
        is the state that a beginning with even probabilities leads to: of copying sites, say,
        all statuses of a closed class may survive.
        """
        carry, fixed = self.H, self._say(slice(None)).reshape(-1, int(self._start[-1])).mean(axis=0)
        n_columns = carry.shape[0]
        # The background is a site that always says the same.
        whole = np.zeros((n_columns + 1, n_columns + 1))
        whole[:-1, :-1], whole[-1, :-1], whole[-1, -1] = carry, fixed, 1.0
        even = np.concatenate([np.full(m, 1.0 / m) for m in self.n_statuses])
        found = _project(np.append(even, 1.0), whole)[:-1]
        return [found[a:b] for a, b in zip(self._start[:-1], self._start[1:], strict=True)]

    def rank(self, *, teleport: float = 0.1) -> np.ndarray:
        """Return the influence pi of each site, (n_sites,); see `ranking.rank_sites`."""
        target, source = np.nonzero(self.D)
        return rank_sites(source, target, self.D[target, source], self.n_sites, teleport=teleport)

    def rank_classes(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the closed classes of sites, each with its pi; none where all leads outside."""
        n_sites = self.n_sites
        whole = np.zeros((n_sites + 1, n_sites + 1))
        whole[:-1, :-1], whole[:-1, -1], whole[-1, -1] = self.D, self.background, 1.0
        return [(sites, pi) for sites, pi in rank_classes(whole) if n_sites not in sites]

    @classmethod
    def fit(
        cls,
        statuses: Any,
        *,
        emission: Emission = "copy",
        background: bool = True,
        times: Any = None,
        bin_seconds: int = 3600,
        candidates: Any = None,
        n_statuses: Any = None,
        intervals: bool = True,
        tolerance: float = 0.01,
        max_iterations: int = 100,
        backend: Backend | None = None,
        memory: int = DEFAULT_MEMORY,
    ) -> "InfluenceModel":
        """Learn the most likely D, row by row, and what the background says.

        Parameters
        ----------
        statuses
            Whole numbers from 0 on, (n_sites, n_steps), or several such tables, of one entity
            each, say: D is shared, and no transition leads from one table to the next. Negative:
            missing, such as the time before an account was made; as a target it is not counted,
            as a source it is at rest (0).
        emission
            ``copy``: A is the identity. ``plugin``: A from pairwise counts, as published; D is then
            overstated. ``tied``: one A for each target, learned.
        background
            Add a site outside, whose statuses are each target's own: learned, by hour of the day
            where there are times. Under ``tied`` they are the target's frequencies by hour, and
            without times there is no background.
        times
            Epoch seconds of every step, (n_steps,), or of the first; a sequence of these for
            several tables.
        bin_seconds
            From one step to the next; times further apart are no transition.
        candidates
            Which sites may explain which: marks (n_sites, n_sites), rows targets, or pairs
            (target, source), (n_pairs, 2). A site may always explain itself.
        n_statuses
            Statuses of each site; by default as many as were seen.
        intervals
            Find 95 % intervals of the slopes and unidentified rows (two statuses only).
        tolerance
            Nats of log-likelihood that another row could still gain, for each site.
        max_iterations
            Steps of Newton's method for each site; one that is not there by then has a ``gap``
            above the tolerance.
        backend
            Where to compute; the default is `gpu_coord.backend.choose`'s.
        memory
            Bytes that a block of targets may take.

        Returns
        -------
            A model with ``D``, ``background``, ``gap`` (nats that other rows could gain, at most),
            ``identified`` and ``rows`` (masses, slopes, intervals, caused events).

        Raises
        ------
        ValueError
            A setting is not one of its choices, the statuses are no statuses, or nothing can
            explain them.
        """
        check_choice("emission", emission, get_args(Emission))
        steps = read_steps(statuses, times=times, bin_seconds=bin_seconds, n_statuses=n_statuses)
        steps = _even_out(steps, emission)
        backend = backend or choose()
        rows = fit_rows(
            steps,
            emission=emission,
            background=background,
            allowed=_mark_candidates(candidates, steps.n_sites),
            tolerance=tolerance,
            max_iterations=max_iterations,
            intervals=intervals,
            backend=backend,
            memory=memory,
        )
        return cls._from_rows(rows, steps.n_statuses)

    @classmethod
    def _from_rows(cls, rows: Rows, n_statuses: np.ndarray) -> "InfluenceModel":
        n_sites = n_statuses.size
        influence = np.zeros((n_sites, n_sites))
        influence[rows.target, rows.source] = rows.mass
        # Sums of thousands of masses round.
        total = influence.sum(axis=1) + rows.background
        rates = [rows.rates[i][:, : n_statuses[i]] for i in range(n_sites)]
        model = cls(
            influence / total[:, None],
            _spell_matrices(rows.matrices, n_statuses),
            background=rows.background / total,
            rates=rates,
        )
        model.gap, model.identified, model.rows = rows.gap, rows.is_identified, rows
        return model

    def __repr__(self) -> str:
        fitted = "" if self.rows is None else f", gap at most {self.gap.max():.2g} nats"
        return (
            f"InfluenceModel({self.n_sites} sites, {int(self.n_statuses.max())} statuses at most"
            f"{fitted})"
        )


def _check_matrices(matrices: Any, n_sites: int) -> np.ndarray:
    """Return the statuses of each site."""
    if isinstance(matrices, np.ndarray):
        m = matrices.shape[-1]
        if matrices.shape != (n_sites, n_sites, m, m):
            raise ValueError(
                f"A has shape {matrices.shape}; it is ({n_sites}, {n_sites}, m, m), or nested "
                "sequences of matrices."
            )
        _check_rows("A", matrices)
        return np.full(n_sites, m)
    if len(matrices) != n_sites or any(len(row) != n_sites for row in matrices):
        raise ValueError(
            f"A is not {n_sites} times {n_sites} matrices, one for each pair of sites."
        )
    counts = np.array([matrices[i][i].shape[-1] for i in range(n_sites)])
    for j, row in enumerate(matrices):
        for i, matrix in enumerate(row):
            if matrix.shape != (counts[j], counts[i]):
                raise ValueError(
                    f"A[{j}][{i}] has shape {matrix.shape}; site {j} has {counts[j]} statuses and "
                    f"site {i} {counts[i]}."
                )
            _check_rows(f"A[{j}][{i}]", matrix)
    return counts


def _check_rows(name: str, rows: np.ndarray) -> None:
    if rows.size and (rows.min() < -_CLOSE or abs(rows.sum(axis=-1) - 1).max() > _CLOSE):
        total = rows.sum(axis=-1)
        worst = total.reshape(-1)[abs(total - 1).argmax()]
        raise ValueError(
            f"{name} holds {rows.min():g}, and a row that sums to {worst:g}; rows are "
            "probabilities and sum to 1."
        )


def _check_outside(mass: np.ndarray, rates: Any, n_statuses: np.ndarray) -> _Outside | None:
    if mass.shape != n_statuses.shape:
        raise ValueError(f"background has shape {mass.shape}; it has a mass for each site.")
    if rates is None:
        if mass.any():
            raise ValueError("a background needs rates, what it says; pass (n_sites, 1, m).")
        return None
    spelled = [np.atleast_2d(np.asarray(rate, float)) for rate in rates]
    for site, (rate, m) in enumerate(zip(spelled, n_statuses, strict=True)):
        if rate.shape != (spelled[0].shape[0], m):
            raise ValueError(
                f"the rates of site {site} have shape {rate.shape}; they need "
                f"({spelled[0].shape[0]}, {m})."
            )
        _check_rows(f"rates of site {site}", rate)
    return _Outside(mass, spelled)


def _mark_candidates(candidates: Any, n_sites: int) -> np.ndarray | None:
    if candidates is None:
        return None
    given = candidates.toarray() if hasattr(candidates, "toarray") else np.asarray(candidates)
    if given.shape == (n_sites, n_sites) and given.dtype == bool:
        allowed = given.copy()
    elif given.ndim == 2 and given.shape[1] == 2 and np.issubdtype(given.dtype, np.integer):
        if given.size and not 0 <= given.min() <= given.max() < n_sites:
            raise ValueError(f"candidates name site {given.max()}; there are {n_sites} sites.")
        allowed = np.zeros((n_sites, n_sites), bool)
        allowed[given[:, 0], given[:, 1]] = True
    else:
        raise ValueError(
            f"candidates are {given.dtype} of shape {given.shape}; give marks "
            f"({n_sites}, {n_sites}) of True and False, or pairs of sites (n_pairs, 2)."
        )
    np.fill_diagonal(allowed, val=True)
    return allowed


def _even_out(steps: Steps, emission: Emission) -> Steps:
    """Give all sites as many statuses as one has, where they speak of the same statuses."""
    if emission == "plugin":
        return steps
    return Steps(
        steps.before, steps.after, steps.group, steps.n_groups,
        np.full_like(steps.n_statuses, steps.n_most),
    )  # fmt: skip


def _spell_matrices(matrices: Any, n_statuses: np.ndarray) -> Any:
    n_sites, m = n_statuses.size, int(n_statuses.max())
    if matrices is None:
        return np.broadcast_to(np.eye(m), (n_sites, n_sites, m, m))
    if matrices.ndim == 3:
        return np.broadcast_to(matrices[None], (n_sites, n_sites, m, m))
    if (n_statuses == m).all():
        return matrices
    return [
        [matrices[j, i, : n_statuses[j], : n_statuses[i]] for i in range(n_sites)]
        for j in range(n_sites)
    ]


def _project(start: np.ndarray, carry: np.ndarray) -> np.ndarray:
    """Return where a row vector ends, on average over time: its part that is carried to itself."""
    left, sizes, right = np.linalg.svd(np.eye(carry.shape[0]) - carry)
    kept = sizes < _STAYS
    leads, stays = right[kept].T, left[:, kept].T
    return np.asarray(start @ leads @ np.linalg.solve(stays @ leads, stays))
