"""Small activities of drawn cells, and their tables by hand, for tests of what is above counts."""

import itertools
from fractions import Fraction

import numpy as np
import polars as pl

from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import PairCounts, count_margins, count_pairs, index_cells
from gpu_coord.chance.strata import stratify

KINDS = ("hashtag", "url")
NULLS = ("entity", "hour", "day", "six_hours")
HOUR = 3600


def build(cells, backend, *, n_bins, first_bin=0, bin_seconds=HOUR, n_accounts=None):
    """Return the activity of (kind position, entity, bin, account) cells."""
    entities = sorted({(kind, entity) for kind, entity, _, _ in cells})
    rows = sorted((entities.index((k, e)), bin, account) for k, e, bin, account in set(cells))
    entity, bin, account = np.array(rows, np.int32).reshape(-1, 3).T
    n_accounts = n_accounts or int(account.max()) + 1
    return Activity(
        backend=backend,
        bin_seconds=bin_seconds,
        first_bin=first_bin,
        n_bins=n_bins,
        kinds=KINDS,
        missing_kinds=(),
        accounts=pl.DataFrame({"account_id": [str(i) for i in range(n_accounts)]}),
        entities=pl.DataFrame({"kind": [KINDS[kind] for kind, _ in entities]}),
        entity=backend.xp.asarray(entity),
        bin=backend.xp.asarray(bin),
        account=backend.xp.asarray(account),
        n_dropped={},
    )


def draw_cells(seed, *, n_bins, n_accounts=7, n_entities=4, n_cells=300):
    rng = np.random.default_rng(seed)
    draws = (rng.integers(size, size=n_cells) for size in (2, n_entities, n_bins, n_accounts))
    return list(zip(*(column.tolist() for column in draws), strict=True))


def list_pairs(n_accounts):
    pairs = list(itertools.permutations(range(n_accounts), 2))
    source, target = np.array(pairs, np.int32).T
    return PairCounts(source, target, np.ones(source.size, np.int32))


def fetch_pairs(index, margins):
    """Return all pairs with a coincidence, on the host."""
    pairs = count_pairs(index, margins, 0, index.n_accounts, min_support=1)
    to_host = index.backend.to_host
    return PairCounts(to_host(pairs.source), to_host(pairs.target), to_host(pairs.support))


def prepare(activity, lag, **choices):
    index = index_cells(activity)
    margins = count_margins(index, lag)
    return index, margins, stratify(activity, index, margins, **choices)


def label_by_hand(null, second, bin_seconds):
    """The stratum of time of the transition whose source bin begins at a second."""
    unit = max(bin_seconds, HOUR)
    return {
        "entity": 0,
        "hour": second % (24 * HOUR) // HOUR,
        "day": second // (24 * unit),
        "six_hours": second // (6 * unit),
        "one_hour": second // HOUR,
    }[null]


def tabulate_by_hand(cells, null, lag, *, n_bins, first_bin, bin_seconds, offset=0):
    """Return {(kind, source, target): [(T, a, b), ...]} with a table for every stratum."""
    steps = {}
    for k in range(n_bins - lag):
        label = label_by_hand(null, (first_bin + k) * bin_seconds + offset, bin_seconds)
        steps.setdefault(label, []).append(k)
    cells = set(cells)
    accounts = sorted({cell[3] for cell in cells})
    tables = {}
    for kind, entity in sorted({cell[:2] for cell in cells}):
        for i, j in itertools.permutations(accounts, 2):
            for stratum in steps.values():
                a = sum((kind, entity, k, i) in cells for k in stratum)
                b = sum((kind, entity, k + lag, j) in cells for k in stratum)
                tables.setdefault((kind, i, j), []).append((len(stratum), a, b))
    return tables


def expect_by_hand(tables, n_accounts, pairs):
    expected = np.zeros((pairs.source.size, len(KINDS)))
    for row, (i, j) in enumerate(zip(pairs.source, pairs.target, strict=True)):
        for kind in range(len(KINDS)):
            tabled = tables.get((kind, int(i), int(j)), [])
            expected[row, kind] = float(sum(Fraction(a * b, n) for n, a, b in tabled))
    return expected


def count_hours_by_hand(activity, lag):
    """Return the hours in which each account follows each other one, (source, target)."""
    account, entity, bin = (
        activity.backend.to_host(column).tolist()
        for column in (activity.account, activity.entity, activity.bin)
    )
    cells = set(zip(account, entity, bin, strict=True))
    hours = {}
    for i, e, k in cells:
        hour = (activity.first_bin + k) * activity.bin_seconds // max(HOUR, activity.bin_seconds)
        for j in range(activity.n_accounts):
            if j != i and (j, e, k + lag) in cells:
                hours.setdefault((i, j), set()).add(hour)
    counts = np.zeros((activity.n_accounts, activity.n_accounts), int)
    for pair, distinct in hours.items():
        counts[pair] = len(distinct)
    return counts
