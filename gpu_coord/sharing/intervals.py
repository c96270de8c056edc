"""Shares -> how many seconds apart two shares of one object are unusually near one another.

Two answers: the interval that CooRnet estimates, with the surface over its two choices; and the
curve of the gaps that are more frequent than in copies of the data whose coordination is gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from gpu_coord.chance.days import draw_days, list_open_days
from gpu_coord.ground.choices import check_choice
from gpu_coord.ground.threads import map_ahead
from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.windows import find_window_ends

GapNull = Literal["day", "block"]

_QS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
_PS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A coordination interval, and what it is the median of."""

    seconds: float  # the median, or 1 where that is 0
    q: float
    p: float
    n_objects: int  # shared twice or more
    n_quick: int  # those of them whose second share came quickly
    least: float  # seconds in which the quick ones collected more than p of their shares
    lower: float  # quartile
    median: float
    mean: float
    upper: float  # quartile
    most: float


@dataclass(frozen=True, slots=True)
class _Paces:
    """How fast the objects that were shared twice or more were shared; seconds."""

    second: Any  # from the first share to the second, (n_objects,)
    past: Any  # from the first share to the one that passes the part p, (n_ps, n_objects)


@dataclass(frozen=True, slots=True)
class Repeated:
    """Ascending values, each some times, read as if all were listed."""

    values: Any
    n_until: Any  # how many lie at each place or before it

    def __len__(self) -> int:
        return int(self.n_until[-1])

    def __getitem__(self, position: Any) -> Any:
        return self.values[np.searchsorted(self.n_until, position, "right")]


def estimate_interval(shares: Shares, *, q: float = 0.1, p: float = 0.5) -> Interval:
    """Estimate the coordination interval as CooRnet's ``estimate_coord_interval`` does.

    Of the objects with two shares or more (by one account or by several), those with the quickest
    second share are kept; the interval is the median time in which these had collected more than
    the part p of their shares. The peer knows no interval of 0 s: it takes 1 s for it.

    Parameters
    ----------
    shares
        From `read_shares`.
    q
        Objects are kept whose second share came no later than this quantile (type 7) of all.
    p
        Part of an object's shares, passed strictly.

    Raises
    ------
    ValueError
        q or p is out of range, or no object was shared twice.
    """
    paces = _measure_paces(shares, (q,), (p,))
    quick = paces.second <= find_quantile(np.sort(paces.second), q)
    past = np.sort(paces.past[0, quick])
    least, lower, median, upper, most = (
        float(find_quantile(past, part)) for part in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    return Interval(
        seconds=median or 1.0,
        q=q,
        p=p,
        n_objects=paces.second.size,
        n_quick=past.size,
        least=least,
        lower=lower,
        median=median,
        mean=float(past.mean()),
        upper=upper,
        most=most,
    )


def measure_surface(
    shares: Shares,
    *,
    qs: Sequence[float] = _QS,
    ps: Sequence[float] = _PS,
    n_bootstrap: int = 200,
    seed: int = 0,
    threads: int = 1,
) -> pl.DataFrame:
    """Estimate the coordination interval for every q and p, with its uncertainty.

    Parameters
    ----------
    shares
        From `read_shares`.
    qs, ps
        See `estimate_interval`.
    n_bootstrap
        Times that as many objects are drawn with replacement; 0 leaves the intervals out.
    seed
        Of the draws.
    threads
        Draws to work on at a time.

    Returns
    -------
        A row for each q and p: ``q, p, seconds``, ``low`` and ``high`` (95 % of the draws lie
        between them; null without draws), ``n_quick`` (objects that the median is over).

    Raises
    ------
    ValueError
        A q or p is out of range, there is none, or no object was shared twice.
    """
    if n_bootstrap < 0:
        raise ValueError(f"n_bootstrap is {n_bootstrap}; draw none or more.")
    paces = _measure_paces(shares, qs, ps)
    n_objects, by_second = paces.second.size, np.argsort(paces.second, kind="stable")
    paces = _Paces(paces.second[by_second], paces.past[:, by_second])
    by_past = np.argsort(paces.past, axis=1, kind="stable")
    paces = _Paces(paces.second, np.take_along_axis(paces.past, by_past, axis=1))

    def estimate(draw: int) -> Any:
        drawn = np.random.default_rng((seed, draw)).integers(0, n_objects, n_objects)
        weight = np.bincount(drawn, minlength=n_objects)[by_second]
        return _estimate_cells(paces, by_past, weight, qs)[0]

    seconds, n_quick = _estimate_cells(paces, by_past, np.ones(n_objects, np.int64), qs)
    draws = list(map_ahead(range(n_bootstrap), estimate, n_threads=threads))
    return pl.DataFrame(
        {
            "q": np.repeat(np.asarray(qs, float), len(ps)),
            "p": np.tile(np.asarray(ps, float), len(qs)),
        }
        | {"seconds": seconds.ravel()}
        | _bound_draws(draws, seconds.size)
        | {"n_quick": np.repeat(n_quick, len(ps))}
    )


def find_quantile(ascending: Any, q: Any) -> Any:
    """Return quantiles of type 7, with the rounding of R's ``quantile``.

    Parameters
    ----------
    ascending
        One value or more, sorted; or columns of these, or `Repeated` ones.
    q
        From 0 to 1: one number, or several of one sorted column.
    """
    index = 1 + (len(ascending) - 1) * np.asarray(q, float)  # from 1 on, as R adds it: rounding
    low = np.floor(index)  # moves thresholds
    part = index - low
    first, second = (ascending[place.astype(np.int64) - 1] for place in (low, np.ceil(index)))
    between = (1 - part) * first + part * second
    return np.where((part > 0) & (first != second), between, first)


def measure_gaps(
    shares: Shares,
    *,
    max_gap_seconds: int = 3600,
    null: GapNull = "block",
    bins_per_decade: int = 4,
    n_copies: int = 39,
    seed: int = 0,
    threads: int = 1,
) -> pl.DataFrame:
    """Count the gaps between shares of one object by two accounts, beside those of chance.

    Chance is seen in copies of the data. In those of ``block``, every post has another time within
    the same stretch of ``max_gap_seconds``: what takes longer stays, such as news and the hours of
    the day, and only timing finer than the stretch is lost; gaps near its length cannot stand out.
    In those of ``day``, every account's days are in an order of its own: all that accounts do on
    one and the same day is lost, so that any news stands out, thousandfold. An excess is unusual
    co-activity: fast news makes one without any coordination. Cost: shares times bins, whatever
    the number of pairs.

    Parameters
    ----------
    shares
        From `read_shares`.
    max_gap_seconds
        Gaps up to this are counted, inclusive.
    null
        What the copies lose.
    bins_per_decade
        Bins for gaps from 1 s to 10 s, 10 s to 100 s, ..., fewer where these would be shorter than
        a second; one bin holds gaps of 0 to 1 s.
    n_copies
        In one bin, data like the copies lie outside the band with probability 2 / (n_copies + 1).
    seed
        Of the copies.
    threads
        Copies to work on at a time.

    Returns
    -------
        A row for each bin: gaps above ``min_gap`` (the first: from it on) up to ``max_gap``,
        seconds; ``observed`` pairs; ``expected``, their mean over the copies; ``ratio`` of these;
        ``low`` and ``high``, least and largest of the copies over the same mean. Null where
        nothing is expected.

    Raises
    ------
    ValueError
        A setting is out of range, or all shares lie on one day, which leaves no other order.
    """
    _check_gaps(max_gap_seconds, null, bins_per_decade, n_copies)
    edges = _list_edges(max_gap_seconds, bins_per_decade)
    groups = _group_shares(shares)
    move = _plan_days(groups) if null == "day" else _plan_blocks(groups, max_gap_seconds * 1000)

    def count(copy: int) -> Any:
        return _count_gaps(groups, move(np.random.default_rng((seed, copy))), edges)

    observed = _count_gaps(groups, groups.time, edges)
    copies = np.stack(list(map_ahead(range(n_copies), count, n_threads=threads)))
    return _tabulate_gaps(edges / 1000, observed, copies)


def find_excess_gap(curve: pl.DataFrame) -> float | None:
    """Return the gap at which a curve of gaps comes down to its band.

    Parameters
    ----------
    curve
        From `measure_gaps`.

    Returns
    -------
        Seconds, the end of the longest run of bins above the band: a coordination interval read
        off the data; None where no bin is above it. A bin in which something was observed and
        nothing is expected is above, one in which neither is the case belongs to no run.
    """
    seen = curve.filter((pl.col("observed") > 0) | (pl.col("expected") > 0))
    above = (pl.col("ratio") > pl.col("high")).fill_null(value=True)
    runs = seen.with_columns(above=above, run=above.rle_id()).filter("above")
    if runs.is_empty():
        return None
    longest = runs.group_by("run").agg(pl.len(), pl.col("max_gap").last())
    return float(longest.sort("len", "run", descending=[True, False])["max_gap"][0])


def _measure_paces(shares: Shares, qs: Sequence[float], ps: Sequence[float]) -> _Paces:
    _check_parts(qs, ps)
    start, n_shares = shares.object_start[:-1], np.diff(shares.object_start)
    start, n_shares = start[n_shares > 1], n_shares[n_shares > 1]
    if not start.size:
        raise ValueError(
            "no object was shared twice, so that there is no interval to estimate; name one, such "
            "as 60s."
        )
    rows = np.stack([start + _rank_past(n_shares, p) for p in ps])
    first = shares.time[start]
    return _Paces((shares.time[start + 1] - first) / 1000, (shares.time[rows] - first) / 1000)


def _check_parts(qs: Sequence[float], ps: Sequence[float]) -> None:
    if not (len(qs) and len(ps)):
        raise ValueError(f"qs is {qs} and ps is {ps}; name one of each at least.")
    for q in qs:
        if not 0 <= q <= 1:
            raise ValueError(f"q is {q}; it is a quantile from 0 to 1, 0.1 is usual.")
    for p in ps:
        if not 0 <= p < 1:
            raise ValueError(
                f"p is {p}; it is a part of the shares from 0 to below 1 (no share lies past all "
                "of them), 0.5 is usual."
            )


def _rank_past(n_shares: Any, p: float) -> Any:
    """Return the first rank r, from 0 on, with (r + 1) / n > p as floats are divided."""
    rank = np.maximum(np.floor(p * n_shares).astype(np.int64) - 1, 0)
    for _ in range(2):  # the product is at most one off
        rank += (rank + 1) / n_shares <= p
    return rank


def _estimate_cells(paces: _Paces, by_past: Any, weight: Any, qs: Sequence[float]) -> Any:
    """Estimate every cell of the surface with each object taken weight times.

    Returns the seconds, (n_qs, n_ps), and the objects that they are over, (n_qs,).
    """
    until = np.cumsum(weight)
    limits = find_quantile(Repeated(paces.second, until), qs)
    n_quick = np.searchsorted(paces.second, limits, "right")
    seconds = np.empty((len(qs), len(by_past)))
    for p, order in enumerate(by_past):
        weights = weight[order].astype(np.int32)
        for q, n in enumerate(n_quick):
            seen = np.cumsum(weights * (order < n), dtype=np.int32)
            seconds[q, p] = find_quantile(Repeated(paces.past[p], seen), 0.5)
    return np.where(seconds > 0, seconds, 1.0), until[n_quick - 1]


def _bound_draws(draws: list[Any], n_cells: int) -> dict[str, Any]:
    if not draws:
        return {name: pl.Series([None] * n_cells, dtype=pl.Float64) for name in ("low", "high")}
    ascending = np.sort(np.stack(draws).reshape(-1, n_cells), axis=0)
    return {"low": find_quantile(ascending, 0.025), "high": find_quantile(ascending, 0.975)}


@dataclass(frozen=True, slots=True)
class _Groups:
    """Shares of the objects that two accounts or more shared."""

    object: Any
    time: Any
    account: Any
    post: Any  # number of the (account, content)
    own: Any  # number of the (object, account)
    repeated: Any  # whether the account shared the object more than once


def _check_gaps(max_gap: int, null: str, bins_per_decade: int, n_copies: int) -> None:
    if max_gap < 1:
        raise ValueError(f"max_gap_seconds is {max_gap}; it is 1 s or more, 3600 is usual.")
    check_choice("null", null, get_args(GapNull))
    if bins_per_decade < 1 or n_copies < 1:
        raise ValueError(
            f"bins_per_decade is {bins_per_decade} and n_copies {n_copies}; each is 1 or more."
        )


def _list_edges(max_gap: int, bins_per_decade: int) -> Any:
    """Return the largest gap of each bin, ms; whole seconds, as most data have them."""
    n_bins = int(np.ceil(np.log10(max_gap) * bins_per_decade))
    edges = np.rint(10 ** (np.arange(n_bins + 1) / bins_per_decade)).astype(np.int64)
    return 1000 * np.unique(np.append(np.minimum(edges, max_gap), max_gap))


def _group_shares(shares: Shares) -> _Groups:
    n_accounts = shares.accounts.height
    pair = shares.object.astype(np.int64) * n_accounts + shares.account
    owned, own, times = np.unique(pair, return_inverse=True, return_counts=True)
    n_sharers = np.bincount(owned // n_accounts, minlength=shares.objects.height)
    kept = n_sharers[shares.object] > 1
    post = shares.account.astype(np.int64) * len(shares.contents) + shares.content
    return _Groups(
        object=shares.object[kept],
        time=shares.time[kept],
        account=shares.account[kept].astype(np.int64),
        post=np.unique(post[kept], return_inverse=True)[1],
        own=own[kept],
        repeated=times[own[kept]] > 1,
    )


def _plan_days(groups: _Groups) -> Any:
    """Return a function that draws the times of a copy in which accounts' days are shuffled."""
    day, rest = np.divmod(groups.time, _DAY_MS)
    open = list_open_days(day)
    if open.size < 2:
        raise ValueError(
            "all shares lie on one day, so that days cannot change places; use the null 'block'."
        )
    key = groups.account * open.size + np.searchsorted(open, day)
    active, active_day = np.unique(key, return_inverse=True)

    def move(rng: np.random.Generator) -> Any:
        drawn = draw_days(active // open.size, open.size, rng.random(active.size))
        return open[drawn][active_day] * _DAY_MS + rest

    return move


def _plan_blocks(groups: _Groups, block_ms: int) -> Any:
    """Return a function that draws the times of a copy in which posts move within their block."""
    # Times that come in whole seconds or minutes stay so.
    unit = max(1, min(block_ms, int(np.gcd.reduce(groups.time - groups.time[:1]))))
    block, rest = np.divmod(groups.time, block_ms)
    n_posts = int(groups.post.max(initial=-1)) + 1

    def move(rng: np.random.Generator) -> Any:
        place = rng.integers(0, block_ms // unit, n_posts)[groups.post]
        return block * block_ms + rest % unit + unit * place

    return move


def _count_gaps(groups: _Groups, time: Any, edges: Any) -> Any:
    """Count the pairs of different accounts by gap: all pairs less those of one account."""
    order = np.lexsort((time, groups.object))
    together = _count_within(groups.object[order], time[order], edges)
    order = np.flatnonzero(groups.repeated)
    order = order[np.lexsort((time[order], groups.own[order]))]
    return np.diff(together - _count_within(groups.own[order], time[order], edges), prepend=0)


def _count_within(group: Any, time: Any, edges: Any) -> Any:
    """Count the pairs of one group no further apart than each edge, (n_edges,)."""
    n_first = group.size * (group.size + 1) // 2  # of what each row meets, its own place
    return np.array([find_window_ends(group, time, edge).sum() - n_first for edge in edges])


def _tabulate_gaps(edges: Any, observed: Any, copies: Any) -> pl.DataFrame:
    expected = copies.mean(axis=0)
    whole = np.where(expected > 0, expected, np.nan)
    return pl.DataFrame(
        {
            "min_gap": np.concatenate([[0.0], edges[:-1]]),
            "max_gap": edges,
            "observed": observed,
            "expected": expected,
            "ratio": observed / whole,
            "low": copies.min(axis=0) / whole,
            "high": copies.max(axis=0) / whole,
        }
    ).with_columns(pl.col("ratio", "low", "high").fill_nan(None))
