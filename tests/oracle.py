"""The slow, obvious answers that the package is tested against; imports nothing from it.

Events or 0/1 activity in; transition counts, weights, edges and components out. Plain loops, one
pair and one entity at a time, in exact fractions, so that independence is exactly 0 and a tie is
a tie. Names follow the documentation: T bins, K = T - lag transitions, a, b, n11.
"""

import math
from fractions import Fraction

import numpy as np

MEASURES = ("trace", "frobenius")
UNDEFINED = ("marginal", "zero", "skip")
DENOMINATORS = ("all", "union", "intersection", "source", "none", "idf")
RULE = {"measure": "trace", "undefined": "marginal", "shrink": 0.0, "denominator": "all"}
RULE |= {"accounts": None}


def _require(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is not one of {allowed}.")


def _require_lag(lag):
    if lag < 0 or lag != int(lag):
        raise ValueError(f"lag={lag!r} must be a whole number of bins, 0 or more.")


def _require_shrink(shrink):
    if not 0 <= shrink < math.inf:
        raise ValueError(f"shrink={shrink!r} must be 0 or a positive number.")


# ------------------------------------------------------------------ transitions of 0/1 activity


def transition_counts(active, lag=1):
    """Transitions of every ordered pair, self-pairs included.

    Parameters
    ----------
    active
        0/1, shape (n_accounts, n_bins).
    lag
        Bins from the source's state to the target's; 0 is the same bin.

    Returns
    -------
    Integers, shape (n_accounts, n_accounts, 2, 2): [source, target, state of the source at
    k - lag, state of the target at k]. The four cells of a pair sum to max(n_bins - lag, 0).
    """
    _require_lag(lag)
    active = np.asarray(active)
    if active.ndim != 2 or not np.isin(active, (0, 1)).all():
        raise ValueError("active must be 0/1 of shape (n_accounts, n_bins).")
    n_accounts, n_bins = active.shape
    counts = np.zeros((n_accounts, n_accounts, 2, 2), dtype=np.int64)
    for source in range(n_accounts):
        for target in range(n_accounts):
            for k in range(lag, n_bins):
                state_before = int(active[source, k - lag])
                state_after = int(active[target, k])
                counts[source, target, state_before, state_after] += 1
    return counts


def transition_matrices(active, lag=1):
    """P(target's state at k | source's state at k - lag); NaN rows where that state never was."""
    counts = transition_counts(active, lag)
    matrices = np.full(counts.shape, np.nan)
    for source, target, state, after in np.ndindex(counts.shape):
        n_row = int(counts[source, target, state].sum())
        if n_row > 0:
            n_after = int(counts[source, target, state, after])
            matrices[source, target, state, after] = n_after / n_row
    return matrices


# ------------------------------------------------------------------------- activity from events


def bin_of(time_seconds, bin_seconds):
    """floor(time / width), exact at the millisecond (0.3 s in bins of 0.1 s is bin 3, not 2)."""
    if bin_seconds <= 0:
        raise ValueError(f"bin_seconds={bin_seconds!r} must be positive.")
    time_ms = round(Fraction(time_seconds) * 1000)
    width_ms = round(Fraction(bin_seconds) * 1000)
    return time_ms // width_ms


def activity(events, bin_seconds, kinds):
    """Which bins each account used each entity in.

    Parameters
    ----------
    events
        Dicts with `account`, `kind`, `entity`, `time_seconds` (whole milliseconds).
    bin_seconds
        Width of a bin.
    kinds
        Kinds to keep; the span of time is that of the events of these kinds only.

    Returns
    -------
    first_bin (None without events), n_bins, {(kind, entity): {account: {bins}}}
    """
    if isinstance(kinds, str):
        raise ValueError(f"kinds={kinds!r} must be a list of kinds.")
    active = {}
    for event in events:
        if event["kind"] in kinds:
            users = active.setdefault((event["kind"], event["entity"]), {})
            used = users.setdefault(event["account"], set())
            used.add(bin_of(event["time_seconds"], bin_seconds))
    bins = [k for users in active.values() for used in users.values() for k in used]
    if not bins:
        return None, 0, {}
    return min(bins), max(bins) - min(bins) + 1, active


def margins(source_bins, target_bins, *, first_bin, n_bins, lag):
    """n11, a, b, K of one ordered pair on one entity."""
    _require_lag(lag)
    n11 = a = b = 0
    for k in range(first_bin + lag, first_bin + n_bins):
        before, after = k - lag in source_bins, k in target_bins
        n11 += before and after
        a += before
        b += after
    return n11, a, b, max(n_bins - lag, 0)


# ------------------------------------------------------------------------- weight of one entity


def _row(n_to_active, n_row, p, shrink):
    """(P(0|state), P(1|state)) of one state of the source, or None where 0/0."""
    if n_row + shrink == 0:
        return None
    p_active = (n_to_active + shrink * p) / (n_row + shrink)
    return 1 - p_active, p_active


def _exact_entity_weight(n11, a, b, K, *, measure, undefined, shrink):
    """A Fraction (a float under the Frobenius norm), or None where the entity is not counted."""
    if undefined == "skip" and (a == 0 or a == K or b == 0):
        return None
    if K == 0:
        return Fraction(0)
    p, shrink = Fraction(b, K), Fraction(shrink)
    silent = _row(b - n11, K - a, p, shrink)
    active = _row(n11, a, p, shrink)
    if undefined == "marginal" and (silent is None or active is None):
        return Fraction(0)
    (p00, p01), (p10, p11) = silent or (0, 0), active or (0, 0)
    if measure == "trace":
        return p00 + p11 - Fraction(1)
    squares = (p00 - 1) ** 2 + p01**2 + p10**2 + (p11 - 1) ** 2
    return 1 - math.sqrt(squares)


def entity_weight(n11, a, b, K, *, measure="trace", undefined="marginal", shrink=0.0):
    """Weight of one ordered pair on one entity.

    Parameters
    ----------
    n11, a, b, K
        Lagged coincidences; active source bins among the first K; active target bins among the
        last K; transitions.
    measure
        `trace`: tr A - 1 = P(1|1) - P(1|0). `frobenius`: 1 - ||A - I||.
    undefined
        What a row of A does that is 0/0: `marginal` makes the weight 0, `zero` fills the row with
        zeros, `skip` leaves the entity out (also where the target never was active).
    shrink
        Pseudo-transitions at the target's marginal b/K, added to both rows.

    Returns
    -------
    A float, or None where the entity is left out.
    """
    _require("measure", measure, MEASURES)
    _require("undefined", undefined, UNDEFINED)
    _require_shrink(shrink)
    if not (0 <= n11 <= min(a, b) and max(a, b) <= K and a + b - n11 <= K):
        raise ValueError(f"n11={n11}, a={a}, b={b}, K={K} are not the margins of a 2 x 2 table.")
    weight = _exact_entity_weight(n11, a, b, K, measure=measure, undefined=undefined, shrink=shrink)
    return None if weight is None else float(weight)


# ------------------------------------------------------------------------------ weights of pairs


def _omega(n_users, n_accounts):
    return Fraction(math.log(n_accounts / n_users))


def _denominator(tables, weights, omegas, *, denominator, undefined):
    """What the sum over the entities of one kind is divided by, for one pair."""
    if undefined == "skip":
        return sum(weight is not None for weight in weights)
    if denominator == "none":
        return 1
    if denominator == "idf":
        return sum(omegas)
    used = [(a > 0, b > 0) for _, a, b, _ in tables]
    return {
        "all": len(used),
        "union": sum(source or target for source, target in used),
        "intersection": sum(source and target for source, target in used),
        "source": sum(source for source, _ in used),
    }[denominator]


def _kind_weight(tables, omegas, *, measure, undefined, shrink, denominator):
    """Weight of one pair in one kind; `tables` holds (n11, a, b, K) of every entity of the kind."""
    weights = [
        _exact_entity_weight(*table, measure=measure, undefined=undefined, shrink=shrink)
        for table in tables
    ]
    weighted = denominator == "idf" and undefined != "skip"
    total = Fraction(0)
    for weight, omega in zip(weights, omegas, strict=True):
        if weight is not None:
            total += Fraction(weight) * (omega if weighted else 1)
    divisor = _denominator(tables, weights, omegas, denominator=denominator, undefined=undefined)
    return total / divisor if divisor else Fraction(0)


def _analysed_accounts(active, accounts):
    users = {account for users in active.values() for account in users}
    if accounts is None:
        return sorted(users)
    if not users <= set(accounts):
        raise ValueError(f"accounts lacks {sorted(users - set(accounts))}, which have events.")
    return sorted(set(accounts))


def _pair_row(source, target, entities, omegas, *, first_bin, n_bins, lag, **rule):
    row, support = {}, 0
    for kind, used in entities.items():
        tables = []
        for users in used:
            bins = users.get(source, set()), users.get(target, set())
            tables.append(margins(*bins, first_bin=first_bin, n_bins=n_bins, lag=lag))
        row[f"weight_{kind}"] = _kind_weight(tables, omegas[kind], **rule)
        support += sum(n11 for n11, _, _, _ in tables)
    weight = sum(row.values()) / Fraction(len(row)) if row else Fraction(0)
    return {"weight": weight, **row, "support": support}


def _exact_pair_weights(events, *, bin_seconds, kinds, lag, accounts, **rule):
    _require("measure", rule["measure"], MEASURES)
    _require("undefined", rule["undefined"], UNDEFINED)
    _require("denominator", rule["denominator"], DENOMINATORS)
    _require_shrink(rule["shrink"])
    _require_lag(lag)
    first_bin, n_bins, active = activity(events, bin_seconds, kinds)
    accounts = _analysed_accounts(active, accounts)
    entities, omegas = {}, {}
    for kind, entity in sorted(active, key=str):
        users = active[kind, entity]
        entities.setdefault(kind, []).append(users)
        omegas.setdefault(kind, []).append(_omega(len(users), len(accounts)))
    span = {"first_bin": first_bin, "n_bins": n_bins, "lag": lag}
    return {
        (source, target): _pair_row(source, target, entities, omegas, **span, **rule)
        for source in accounts
        for target in accounts
        if source != target
    }


def _to_floats(pairs):
    def convert(value):
        return float(value) if isinstance(value, Fraction) else value

    return {p: {name: convert(value) for name, value in row.items()} for p, row in pairs.items()}


def pair_weights(events, *, bin_seconds, kinds, lag=1, **rule):
    """Weight of every ordered pair of distinct accounts.

    Parameters
    ----------
    events, bin_seconds, kinds
        As for `activity`.
    lag, measure, undefined, shrink
        As for `entity_weight`.
    denominator
        What a kind's sum is divided by: `all` entities of the kind, those that the source or the
        target used (`union`), both (`intersection`), the `source`; `none` = 1; `idf` weights each
        entity by log(accounts / its users) and divides by the sum of these weights. With
        `undefined="skip"` always the entities counted. A divisor of 0 gives 0.
    accounts
        The analysed accounts; by default those with an event of the kinds asked for.

    Returns
    -------
    {(source, target): {"weight", "weight_<kind>" for each kind with an entity, "support"}}
    """
    where = {"bin_seconds": bin_seconds, "kinds": kinds, "lag": lag}
    return _to_floats(_exact_pair_weights(events, **where, **RULE | rule))


# -------------------------------------------------------------------------------- edges, networks


def edges(pairs, *, min_weight=0.0, min_support=1):
    """The pairs with weight > min_weight and support >= min_support."""
    return {
        pair: row
        for pair, row in pairs.items()
        if row["weight"] > min_weight and row["support"] >= min_support
    }


def best_lag_edges(events, lags, *, min_weight=0.0, min_support=1, support_at="each", **options):
    """Edges over several lags, each scored on its own; the row of the lag with the largest weight.

    Parameters
    ----------
    lags
        Lags to score; ties of the weight go to the smallest.
    support_at
        `each`: a lag is a candidate only where it is an edge by itself. `best`: the lag is chosen
        by its weight first, then the pair must pass. They differ only where min_support > 1.
    **options
        As for `pair_weights`.

    Returns
    -------
    As `pair_weights`, edges only, with `lag` added.
    """
    _require("support_at", support_at, ("each", "best"))
    best = {}
    for lag in sorted(lags):
        pairs = _exact_pair_weights(events, lag=lag, **RULE | options)
        if support_at == "each":
            pairs = edges(pairs, min_weight=min_weight, min_support=min_support)
        for pair, row in pairs.items():
            if pair not in best or row["weight"] > best[pair]["weight"]:
                best[pair] = {**row, "lag": lag}
    return _to_floats(edges(best, min_weight=min_weight, min_support=min_support))


def _reached_from(start, links):
    """`start` and every account that a path of `links` leads to."""
    reached = {start}
    growing = True
    while growing:
        further = {target for source, target in links if source in reached} - reached
        reached |= further
        growing = bool(further)
    return reached


def components(n, edges, *, mode="weak"):
    """Component of each account 0..n-1: 0 = largest, ties by smallest index, None without edges.

    Two accounts are together when each reaches the other: along the edges (`strong`), or along
    the edges in either direction (`weak`). An account with edges that is on no cycle is a strong
    component of its own.
    """
    _require("mode", mode, ("weak", "strong"))
    links = {(int(source), int(target)) for source, target in edges}
    if any(source == target for source, target in links):
        raise ValueError("An account has an edge to itself; self-pairs are never edges.")
    in_network = {account for link in links for account in link}
    if not in_network <= set(range(n)):
        raise ValueError(f"An edge names an account outside 0..{n - 1}.")
    if mode == "weak":
        links |= {(target, source) for source, target in links}
    reach = {account: _reached_from(account, links) for account in in_network}
    members = {
        frozenset(other for other in reach[account] if account in reach[other])
        for account in in_network
    }
    ordered = sorted(members, key=lambda group: (-len(group), min(group)))
    labels = {account: label for label, group in enumerate(ordered) for account in group}
    return [labels.get(account) for account in range(n)]
