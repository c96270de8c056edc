"""Edges of the network -> where accounts stand in it: who leads whom, hubs, core and periphery.

A flow goes from the account that leads to the one that follows.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

# Flows that differ by less, over the largest one, are the same: sums in another order are.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Flows:
    """Directed flows between accounts, each ordered pair at most once; on the host."""

    n_accounts: int
    source: np.ndarray  # row of the account, (n_flows,)
    target: np.ndarray
    weight: np.ndarray  # above 0


def score_positions(
    flows: Flows, community: np.ndarray, component: np.ndarray, *, min_followers: int = 1
) -> pl.DataFrame:
    """Score where each account stands in the network.

    Parameters
    ----------
    flows
        Who leads whom, and how much.
    community, component
        Labels of the accounts, -1 without edges, (n_accounts,).
    min_followers
        Accounts that an account of the core leads at least.

    Returns
    -------
        Row = account: ``asymmetry`` ((out - in) / (out + in)), ``net_flow`` (out - in), ``hub,
        authority`` (see `rank_hubs`), ``participation`` (see `measure_participation`),
        ``n_followers, n_leaders`` (partners to whom more flows than comes back, and the others),
        ``core_fit`` (of the split of its component, see `split_core`), ``part`` (core: of the few
        that lead, with followers enough; periphery: of the others) and ``n_core_leaders`` (leaders
        in the core). Null without edges, and where a component has no such split.
    """
    out, into = (_sum_by(end, flows) for end in (flows.source, flows.target))
    net, n_accounts = out - into, flows.n_accounts
    leader, follower = _find_leaders(flows)
    n_followers = np.bincount(leader, minlength=n_accounts)
    leads, fit = split_core(flows, component)
    is_core = leads & (n_followers >= min_followers)
    is_periphery = np.isfinite(fit) & ~leads
    hub, authority = rank_hubs(flows)
    linked = pl.Series(component >= 0)
    return pl.DataFrame(
        {
            "asymmetry": np.divide(net, out + into, out=np.zeros(net.size), where=out + into > 0),
            "net_flow": net,
            "hub": hub,
            "authority": authority,
            "participation": measure_participation(flows, community),
            "n_followers": n_followers,
            "n_leaders": np.bincount(follower, minlength=n_accounts),
            "n_core_leaders": np.bincount(follower[is_core[leader]], minlength=n_accounts),
        }
    ).select(
        pl.when(linked).then(pl.all()),
        part=pl.when(pl.Series(is_core))
        .then(pl.lit("core"))
        .when(pl.Series(is_periphery))
        .then(pl.lit("periphery")),
        core_fit=pl.Series(fit).fill_nan(None),
    )


def _sum_by(end: np.ndarray, flows: Flows) -> np.ndarray:
    return np.bincount(end, flows.weight, flows.n_accounts).astype(np.float64, copy=False)


def _find_leaders(flows: Flows) -> tuple[np.ndarray, np.ndarray]:
    """Return the leader and the follower of each linked pair; pairs that are even are left out."""
    low, high, net = _net_pairs(flows)
    scale = max(float(np.abs(flows.weight).max(initial=0)), np.finfo(float).tiny)
    ahead, behind = net > _SAME * scale, net < -_SAME * scale
    return np.r_[low[ahead], high[behind]], np.r_[high[ahead], low[behind]]


def _net_pairs(flows: Flows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each linked pair once, the smaller account first, and what flows from it, net."""
    low, high = np.minimum(flows.source, flows.target), np.maximum(flows.source, flows.target)
    signed = np.where(flows.source < flows.target, flows.weight, -flows.weight)
    key, pair = np.unique(low.astype(np.int64) * flows.n_accounts + high, return_inverse=True)
    net = np.bincount(pair, signed, key.size)
    return key // flows.n_accounts, key % flows.n_accounts, net


def split_core(flows: Flows, component: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split each component into a few that lead and the others that follow.

    The ideal pattern of a core C of c accounts among n has 1 from each core account to each other
    account, -1 back, and 0 inside the parts (Borgatti & Everett, Social Networks 21, 375-395, 1999,
    with a direction). Its correlation with the net weights K = W - W' is sqrt(2) F / (|K|
    sqrt(c (n - c))), F the summed net flow of C; so the best core of each size has the largest net
    flows, and one sort finds the best of all. The same split is the exact two-means of net flows.

    Parameters
    ----------
    flows
        Who leads whom, and how much.
    component
        Labels of the accounts, -1 without edges, (n_accounts,).

    Returns
    -------
        Whether each account is in the core, and the correlation of its component's split, NaN
        without: where nothing flows one way more than the other, or those that lead are not the
        fewer.
    """
    is_core, fit = np.zeros(flows.n_accounts, bool), np.full(flows.n_accounts, np.nan)
    net = _sum_by(flows.source, flows) - _sum_by(flows.target, flows)
    linked = np.flatnonzero(component >= 0)
    order = linked[np.lexsort((-net[linked], component[linked]))]
    if not order.size:
        return is_core, fit
    label = component[order]
    start, size = np.unique(label, return_index=True, return_counts=True)[1:]
    n, c = np.repeat(size, size), np.arange(order.size) - np.repeat(start, size) + 1
    score = _correlate_cores(net[order], c, n, _norm_components(flows, component)[label])
    # Sizes that fit alike but for rounding: the smallest core.
    best = np.maximum.reduceat(score, start)
    reached = np.flatnonzero(score >= np.repeat(best, size) - _SAME)
    n_core = c[reached[np.searchsorted(label[reached], label[start])]]
    is_split = (best > 0) & (2 * n_core <= size)
    is_core[order] = (c <= np.repeat(n_core, size)) & np.repeat(is_split, size)
    fit[order] = np.repeat(np.where(is_split, best, np.nan), size)
    return is_core, fit


def _norm_components(flows: Flows, component: np.ndarray) -> np.ndarray:
    """Return |K| of each component: the root of the sum of squared net weights, both ways."""
    low, _, net = _net_pairs(flows)
    return np.sqrt(np.bincount(component[low], 2 * net**2, int(component.max()) + 1))


def _correlate_cores(net: np.ndarray, c: np.ndarray, n: np.ndarray, norm: np.ndarray) -> np.ndarray:
    """Return the correlation of the c largest net flows of n as a core, -inf where it is none."""
    total = np.cumsum(net)
    first = np.arange(net.size) - c + 1
    total = total - (total[first] - net[first])
    ends_here = np.ones(net.size, bool)  # accounts of the same net flow are in one part
    ends_here[:-1] = net[:-1] - net[1:] > _SAME * norm[:-1]
    possible = (c < n) & ends_here & (norm > 0)
    score = np.full(net.size, -np.inf)
    np.divide(np.sqrt(2) * total, norm * np.sqrt(c * (n - c)), out=score, where=possible)
    return score


def rank_hubs(flows: Flows) -> tuple[np.ndarray, np.ndarray]:
    """Rank accounts as hubs, which lead many authorities, and authorities, which follow many hubs.

    Kleinberg, Journal of the ACM 46, 604-632, 1999: the leading singular vectors, left and right,
    of the matrix of flows (row = the one that leads).

    Returns
    -------
        Shares that add up to 1, of hubs and of authorities; zeros without flows.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import svds

    n_accounts = flows.n_accounts
    if not flows.source.size:
        return np.zeros(n_accounts), np.zeros(n_accounts)
    weight = flows.weight / flows.weight.max()
    matrix = csr_array((weight, (flows.source, flows.target)), shape=(n_accounts, n_accounts))
    # A start without a sign or an order: equal parts of the network stay equal.
    left, _, right = svds(matrix, k=1, v0=np.ones(n_accounts))
    hub, authority = np.abs(left[:, 0]), np.abs(right[0])
    return hub / hub.sum(), authority / authority.sum()


def measure_participation(flows: Flows, community: np.ndarray) -> np.ndarray:
    """Measure how evenly an account's edges are spread over communities.

    1 - sum of squared shares of its weight, both directions, by the community of the partner
    (Guimera & Amaral, Nature 433, 895-900, 2005): 0 where all are in one.

    Returns
    -------
        (n_accounts,); 0 without edges.
    """
    account = np.r_[flows.source, flows.target].astype(np.int64)
    partner = np.r_[flows.target, flows.source]
    n_labels = int(community.max(initial=-1)) + 2
    weight = np.r_[flows.weight, flows.weight]
    key, group = np.unique(account * n_labels + community[partner] + 1, return_inverse=True)
    by_community = np.bincount(group, weight, key.size)
    total = np.bincount(account, weight, flows.n_accounts)
    share = by_community / total[key // n_labels]
    squares = np.bincount(key // n_labels, share**2, flows.n_accounts)
    return np.where(total > 0, np.maximum(1 - squares, 0), 0.0)
