"""Uses of partners -> who leads and who follows: what came right before, what right after.

Partners: pairs of accounts that meet more often than others. The one idea: if neither leads, one's
uses come right before the other's as often as right after them, so each use is the toss of a coin.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

_CHUNK_MATCHES = 1 << 22


@dataclass(frozen=True, slots=True)
class Cells:
    """Active cells, sorted by object, bin, account: who used what when; on the host."""

    object: np.ndarray  # number of the object, (n_cells,)
    bin: np.ndarray
    account: np.ndarray  # row of the account


@dataclass(frozen=True, slots=True)
class Following:
    """What partners did around each use of an account, one entry per use."""

    account: np.ndarray  # row of the account, (n_uses,)
    n_after: np.ndarray  # uses of partners right after it
    n_before: np.ndarray  # right before it
    after_core: np.ndarray  # booleans: one of those before is of the core


def match_cells(
    cells: Cells,
    source: np.ndarray,
    target: np.ndarray,
    *,
    lags: Sequence[int],
    is_core: np.ndarray,
) -> Following:
    """Count what partners did one lag before and after each active cell.

    Parameters
    ----------
    cells
        Of all accounts with partners.
    source, target
        Rows of partners; the order does not matter, (n_pairs,).
    lags
        Bins; lag 0 tells no order and is left out.
    is_core
        Booleans, (n_accounts,).
    """
    n_after, n_before, n_core = (np.zeros(cells.account.size, np.int64) for _ in range(3))
    linked = np.unique(key_pairs(source, target, is_core.size))
    for lag in filter(None, dict.fromkeys(lags)):
        for earlier, later in _iter_matches(cells, lag):
            pairs = key_pairs(cells.account[earlier], cells.account[later], is_core.size)
            kept = _find(pairs, linked)
            earlier, later = earlier[kept], later[kept]
            n_after += np.bincount(earlier, minlength=n_after.size)
            n_before += np.bincount(later, minlength=n_before.size)
            from_core = later[is_core[cells.account[earlier]]]
            n_core += np.bincount(from_core, minlength=n_core.size)
    return Following(cells.account, n_after, n_before, n_core > 0)


def key_pairs(one: np.ndarray, other: np.ndarray, n_accounts: int) -> np.ndarray:
    """Return one number for each unordered pair."""
    keys: np.ndarray = np.minimum(one, other).astype(np.int64) * n_accounts
    keys += np.maximum(one, other)
    return keys


def _find(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mark the keys that are among those known, which are sorted."""
    if not known.size:
        return np.zeros(keys.size, bool)
    place = np.minimum(np.searchsorted(known, keys), known.size - 1)
    return np.asarray(known[place] == keys)


def _iter_matches(cells: Cells, lag: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pairs of cells of one object a lag apart, some millions at a time."""
    if not cells.account.size:
        return
    bins = cells.bin.astype(np.int64) - cells.bin.min()
    keys = cells.object.astype(np.int64) * (int(bins.max()) + 1 + lag) + bins
    first = np.searchsorted(keys, keys + lag, side="left")
    n_matches = np.searchsorted(keys, keys + lag, side="right") - first
    n_done = np.concatenate([[0], np.cumsum(n_matches)])
    begin = 0
    while begin < keys.size:
        end = int(np.searchsorted(n_done, n_done[begin] + _CHUNK_MATCHES, side="right")) - 1
        end = max(end, begin + 1)  # all matches of a cell are in one chunk, however many
        sizes = n_matches[begin:end]
        earlier = np.repeat(np.arange(begin, end), sizes)
        place = np.arange(earlier.size) - np.repeat(n_done[begin:end] - n_done[begin], sizes)
        yield earlier, first[earlier] + place
        begin = end


def match_pairs(
    pairs: pl.LazyFrame, ids: pl.Series, source: np.ndarray, target: np.ndarray, is_core: np.ndarray
) -> Following:
    """Count what partners shared before and after each share, from ``pairs.parquet``.

    Parameters
    ----------
    pairs
        ``account_id, account_id_y, content_id, content_id_y, object_id, kind, time_delta``; the
        first was first. Shares at the same time tell no order and are left out.
    ids
        Ids of the accounts; row = account.
    source, target
        Rows of partners; the order does not matter, (n_pairs,).
    is_core
        Booleans, (n_accounts,).

    Returns
    -------
        One entry for each share that is in a pair.
    """
    rows = pl.LazyFrame({"id": ids}).with_row_index("row").with_columns(core=pl.Series(is_core))
    linked = pl.LazyFrame({"key": key_pairs(source, target, is_core.size)})
    one, other = pl.col("one").cast(pl.Int64), pl.col("other").cast(pl.Int64)
    known = (
        pairs.filter(pl.col("time_delta") > 0)
        .join(rows.select(account_id="id", one="row", core="core"), on="account_id")
        .join(rows.select(account_id_y="id", other="row"), on="account_id_y")
        .with_columns(
            key=pl.min_horizontal(one, other) * is_core.size + pl.max_horizontal(one, other)
        )
        .join(linked, on="key", how="semi")
    )
    place = ["kind", "object_id"]
    leading = known.select(*place, account="one", content="content_id", after=1, before=0, core=0)
    following = known.select(
        *place, account="other", content="content_id_y", after=0, before=1, core="core"
    )
    shares = (
        pl.concat([leading, following.with_columns(pl.col("core").cast(pl.Int32))])
        .group_by(*place, "account", "content")
        .agg(pl.col("after", "before").cast(pl.Int64).sum(), pl.col("core").max())
        .collect()
    )
    return Following(
        shares["account"].to_numpy().astype(np.int64),
        shares["after"].to_numpy(),
        shares["before"].to_numpy(),
        shares["core"].to_numpy() > 0,
    )


def score_following(following: Following, n_uses: np.ndarray) -> pl.DataFrame:
    """Score who leads its partners and who follows them.

    Parameters
    ----------
    following
        What partners did around each use.
    n_uses
        Uses of each account, those without partners around included, (n_accounts,).

    Returns
    -------
        Row = account: ``n_after, n_before`` (uses of partners right after and right before its
        own), ``direction`` (their difference over their sum), ``direction_z`` (chance: around each
        use, after and before could as well change places), ``amplification_ratio`` (share of its
        uses that come right after one of a partner in the core). Null without any.
    """
    size = n_uses.size

    def sum_up(values: np.ndarray) -> np.ndarray:
        return np.bincount(following.account, values, size).astype(np.int64)

    lead = following.n_after - following.n_before
    sums = pl.DataFrame(
        {
            "n_after": sum_up(following.n_after),
            "n_before": sum_up(following.n_before),
            "squares": sum_up(lead**2),
            "n_after_core": sum_up(following.after_core),
            "n_uses": n_uses,
        }
    )
    lead_sum = pl.col("n_after") - pl.col("n_before")
    return sums.select(
        "n_after",
        "n_before",
        direction=_divide(lead_sum, pl.col("n_after") + pl.col("n_before")),
        direction_z=_divide(lead_sum, pl.col("squares").sqrt()),
        amplification_ratio=_divide(pl.col("n_after_core"), pl.col("n_uses")),
    )


def _divide(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """Return the ratio, null where there is nothing to divide by."""
    return pl.when(whole > 0).then(part / whole)
