"""Marked shares and a network -> who shared what in it: accounts, groups, top objects and posts.

Works on the coordinated shares of any mode. The tables of CooRnet under plain names; where its
figure is not what its description says, ours stands beside it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from gpu_coord.ground.choices import check_choice
from gpu_coord.ground.urls import registered_domains
from gpu_coord.network.network import sum_weights
from gpu_coord.sharing.shares import Shares

COUNTS = ("like_count", "retweet_count", "reply_count", "quote_count")
_HOST = r"^(?:[a-zA-Z][a-zA-Z0-9+.\-]*://|//)?(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]+)"
_COUNTED = cs.starts_with("n_").cast(pl.Int64)
_DOMAINS = ("full_domain", "parent_domain")


def score_sharing(shares: Shares, coordinated: np.ndarray, edges: pl.DataFrame) -> pl.DataFrame:
    """Count the coordinated shares of each account, and its place in the network.

    Parameters
    ----------
    shares
        From `read_shares`.
    coordinated
        Which of them are coordinated, (n_shares,), such as `peers.coornet.Cuts` says.
    edges
        ``source, target`` (accounts), ``weight``; those in the network, in one direction.

    Returns
    -------
        A row for each account: ``n_shares`` (of objects shared twice or more: CooRnet drops the
        others), ``n_coord_shares``, ``coord_share_ratio`` (the second over the first),
        ``coord_share_ratio_coornet`` (over the sum of both, as CooRnet divides: at most 0.5),
        ``degree, strength`` and ``coor_score`` (strength over degree; null without edges).
    """
    n_accounts = shares.accounts.height
    ends = [edges["source"].to_numpy(), edges["target"].to_numpy()]
    weight = edges["weight"].to_numpy().astype(np.float64)
    table = {
        "n_shares": np.bincount(shares.account[_find_repeated(shares)], minlength=n_accounts),
        "n_coord_shares": np.bincount(shares.account[coordinated], minlength=n_accounts),
        "degree": np.bincount(np.concatenate(ends), minlength=n_accounts),
        "strength": sum(sum_weights(end, weight, n_accounts) for end in ends),
    }
    n_shares, n_coord = pl.col("n_shares"), pl.col("n_coord_shares")
    return pl.DataFrame(table).with_columns(
        coord_share_ratio=_divide(n_coord, n_shares),
        coord_share_ratio_coornet=_divide(n_coord, n_shares + n_coord),
        coor_score=_divide(pl.col("strength"), pl.col("degree")),
    )


def tabulate_shares(shares: Shares, coordinated: np.ndarray) -> pl.DataFrame:
    """List the shares of objects shared twice or more, marked.

    Parameters
    ----------
    shares, coordinated
        See `score_sharing`.

    Returns
    -------
        ``kind, object_id, account_id, content_id, time`` (ms), ``row, account, post`` (row of the
        share and of its account, number of its post; null where the shares do not know it),
        ``coordinated``.
    """
    rows = np.flatnonzero(_find_repeated(shares))
    objects = shares.objects[shares.object[rows]]
    post = [None] * rows.size if shares.post is None else shares.post[rows]
    return pl.DataFrame(
        [
            objects["kind"],
            objects["value"].alias("object_id"),
            shares.accounts["account_id"].gather(shares.account[rows]),
            shares.contents.gather(shares.content[rows]).alias("content_id"),
            pl.Series("time", shares.time[rows]),
            pl.Series("row", rows),
            pl.Series("account", shares.account[rows]),
            pl.Series("post", post, dtype=pl.Int64),
            pl.Series("coordinated", coordinated[rows]),
        ]
    )


def summarise_sharing(
    marked: pl.DataFrame,
    accounts: pl.DataFrame,
    *,
    by: Sequence[str] = ("component",),
    n_top: int = 5,
) -> pl.DataFrame:
    """Summarise what each component, or each community in it, shared in coordination.

    Parameters
    ----------
    marked
        From `tabulate_shares`.
    accounts
        Row = account: the columns of `score_sharing`, those of ``by`` (null outside the network)
        and, where known, ``follower_count``.
    by
        ``("component",)``, or ``("component", "community")``.
    n_top
        Domains and objects to name at most, the most shared first, ties by name.

    Returns
    -------
        One row per group: ``by``; ``n_accounts``; ``n_coord_shares``; ``avg_followers`` (of the
        accounts where known); means over the accounts, ``coord_share_ratio,
        coord_share_ratio_coornet, coor_score``; of the coordinated urls (and domains; null
        without), ``n_full_domains, n_parent_domains``, ``gini_full_domain, gini_parent_domain``
        (as CooRnet: unbiased, 1 for one domain), ``gini_full_domain_biased,
        gini_parent_domain_biased`` (as PyCooRnet: 0 for one domain), ``top_full_domains,
        top_parent_domains``; ``top_objects`` (lists of names). Gini is 0 for domains that are
        shared alike, however many or few they are.

    Raises
    ------
    ValueError
        n_top is not positive, or the accounts lack a column.
    """
    if n_top < 1:
        raise ValueError(f"n_top is {n_top}; name 1 domain or more.")
    members = _select_members(accounts, by)
    found = marked.filter("coordinated").join(members.select("account", *by), on="account")
    domains, objects = _list_domains(found), _count_values(found, by, "object_id")
    tables = [
        found.group_by(by).agg(n_coord_shares=pl.len()),
        *(_summarise_domains(domains, by, name, n_top) for name in _DOMAINS),
        objects.group_by(by).agg(top_objects=pl.col("object_id").head(n_top)),
    ]
    summary = _summarise_members(members, by)
    for table in tables:
        summary = summary.join(table, on=by, how="left", maintain_order="left")
    return summary.select(
        *by, "n_accounts", pl.col("n_coord_shares").fill_null(0), "avg_followers",
        "coord_share_ratio", "coord_share_ratio_coornet", "coor_score",
        "n_full_domains", "n_parent_domains", "gini_full_domain", "gini_parent_domain",
        "gini_full_domain_biased", "gini_parent_domain_biased",
        "top_full_domains", "top_parent_domains", "top_objects",
    ).with_columns(_COUNTED).sort(by)  # fmt: skip


def rank_objects(
    marked: pl.DataFrame,
    accounts: pl.DataFrame,
    posts: pl.DataFrame,
    *,
    by: str | None = "component",
    order_by: str = "engagement",
    top: int = 10,
) -> pl.DataFrame:
    """List the objects with coordinated shares that got the most engagement.

    Parameters
    ----------
    marked, accounts
        See `summarise_sharing`.
    posts
        ``post`` and, where known, ``like_count, retweet_count, reply_count, quote_count``.
    by
        ``component`` or ``community``: the top of each, where an object of several is listed in
        each of them; None: the top of all.
    order_by
        ``engagement`` (the sum of all counts), one of these, ``n_shares`` or ``n_coord_shares``.
    top
        Objects of each group, or of all.

    Returns
    -------
        By group and rank: ``by, rank`` (from 1 on; ties by kind and name), ``kind, object_id``;
        of all its shares, ``n_shares, engagement``, the counts, ``comments_shares_ratio``
        ((replies - reshares) / (replies + reshares)); ``n_coord_shares`` (by accounts in the
        network), ``coord_share_ratio``, ``n_accounts, n_coord_accounts, components`` (all those
        that shared it in coordination). Counts that no post has are null.

    Raises
    ------
    ValueError
        The order is unknown, ``top`` is not positive, or shares do not know their posts.
    """
    _check_order(order_by, (*COUNTS, "engagement", "n_shares", "n_coord_shares"), top)
    group = [by] if by else []
    labels = list(dict.fromkeys(["component", *group]))
    members = _select_members(accounts, labels).select("account", *labels)
    shared = _add_engagement(marked, posts).join(members, on="account", how="left")
    keys = ["kind", "object_id"]
    coordinated = pl.col("coordinated") & pl.col("component").is_not_null()
    objects = shared.group_by(keys).agg(
        pl.len().alias("n_shares"),
        *(_sum_known(name) for name in ("engagement", *COUNTS)),
        coordinated.sum().alias("n_coord_shares"),
        pl.col("account").n_unique().alias("n_accounts"),
        pl.col("account").filter(coordinated).n_unique().alias("n_coord_accounts"),
        pl.col("component").filter(coordinated).unique().sort().alias("components"),
    )
    places = shared.filter(coordinated).select(*keys, *group).unique()
    replies, reshares = pl.col("reply_count"), pl.col("retweet_count")
    return _take_top(places.join(objects, on=keys), group, order_by, keys, top).select(
        *group, "rank", *keys, "n_shares", "engagement", *COUNTS,
        _divide(replies - reshares, replies + reshares).alias("comments_shares_ratio"),
        "n_coord_shares",
        _divide(pl.col("n_coord_shares"), pl.col("n_shares")).alias("coord_share_ratio"),
        "n_accounts", "n_coord_accounts", "components",
    ).with_columns(_COUNTED)  # fmt: skip


def rank_posts(
    marked: pl.DataFrame,
    accounts: pl.DataFrame,
    posts: pl.DataFrame,
    *,
    by: str | None = "component",
    order_by: str = "engagement",
    top: int = 10,
) -> pl.DataFrame:
    """List the coordinated posts of the network that got the most engagement.

    Parameters
    ----------
    marked, accounts, posts, by, top
        See `rank_objects`.
    order_by
        ``engagement`` or one of the counts.

    Returns
    -------
        By group and rank: ``by, rank`` (from 1 on; ties by account and content), ``account_id,
        content_id, time, n_objects`` (that it shared in coordination), ``engagement``, the counts.

    Raises
    ------
    ValueError
        The order is unknown, ``top`` is not positive, or shares do not know their posts.
    """
    _check_order(order_by, (*COUNTS, "engagement"), top)
    group = [by] if by else []
    members = _select_members(accounts, group or ["component"]).select("account", *group)
    names = ["account_id", "content_id"]
    shared = _add_engagement(marked.filter("coordinated"), posts).join(members, on="account")
    found = shared.group_by(*group, *names, "post", "time", "engagement", *COUNTS).agg(
        n_objects=pl.len()
    )
    ranked = _take_top(found, group, order_by, [*names, "time"], top).with_columns(_COUNTED)
    return ranked.select(*group, "rank", *names, "time", "n_objects", "engagement", *COUNTS)


def _find_repeated(shares: Shares) -> Any:
    return np.diff(shares.object_start)[shares.object] > 1


def _divide(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)


def _select_members(accounts: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Return the accounts in the network, with their rows."""
    if missing := [name for name in by if name not in accounts.columns]:
        raise ValueError(f"accounts lack the columns {missing}; they have {accounts.columns}.")
    rows = accounts.select(pl.int_range(accounts.height, dtype=pl.Int32).alias("account"), pl.all())
    return rows.drop_nulls(by)


def _summarise_members(members: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    if "follower_count" not in members.columns:
        members = members.with_columns(follower_count=pl.lit(None, pl.Int64))
    ratios = pl.col("coord_share_ratio", "coord_share_ratio_coornet", "coor_score")
    return members.group_by(by).agg(
        # In one order: threads would add up parts in any.
        ratios.sort().mean(),
        n_accounts=pl.len(),
        avg_followers=pl.col("follower_count").mean(),
    )


def _list_domains(found: pl.DataFrame) -> pl.DataFrame:
    """Add the domains of shares of urls and domains, and leave out the others."""
    shares = found.filter(pl.col("kind").cast(pl.String).is_in(["url", "domain"]))
    hosts = shares["object_id"].str.extract(_HOST).str.to_lowercase()
    return shares.with_columns(
        hosts.alias("full_domain"), registered_domains(hosts).alias("parent_domain")
    )


def _summarise_domains(
    found: pl.DataFrame, by: Sequence[str], name: str, n_top: int
) -> pl.DataFrame:
    counts = _count_values(found, by, name)
    n, rank, size = pl.len(), pl.col("len").rank("ordinal").cast(pl.Float64), pl.col("len")
    # Gini of n sizes: 2 sum(rank size) / (n sum(size)) - (n + 1) / n.
    biased = 2 * (rank * size).sum() / (n * size.sum()) - (n + 1) / n
    gini = counts.group_by(by).agg(
        n.alias(f"n_{name}s"),
        # Sizes that are alike miss 0 by a rounding.
        pl.when(size.min() < size.max()).then(biased).otherwise(0.0).alias(f"gini_{name}_biased"),
        pl.col(name).head(n_top).alias(f"top_{name}s"),
    )
    unbiased = pl.col(f"gini_{name}_biased") * pl.col(f"n_{name}s") / (pl.col(f"n_{name}s") - 1)
    one = pl.col(f"n_{name}s") == 1
    return gini.with_columns(pl.when(one).then(1.0).otherwise(unbiased).alias(f"gini_{name}"))


def _count_values(found: pl.DataFrame, by: Sequence[str], name: str) -> pl.DataFrame:
    """Count the values of each group, the most frequent first, ties by name."""
    counts = found.drop_nulls(name).group_by(*by, name).len()
    return counts.sort("len", name, descending=[True, False])


def _check_order(order_by: str, known: Sequence[str], top: int) -> None:
    check_choice("order_by", order_by, known)
    if top < 1:
        raise ValueError(f"top is {top}; list 1 or more.")


def _add_engagement(marked: pl.DataFrame, posts: pl.DataFrame) -> pl.DataFrame:
    """Add the counts of each share's post and their sum, null where none is known."""
    if marked["post"].has_nulls():
        raise ValueError(
            "shares do not know their posts, whose engagement is asked for; read them from a "
            "store with read_shares."
        )
    absent = [pl.lit(None, pl.Int64).alias(name) for name in COUNTS if name not in posts.columns]
    counts = posts.with_columns(absent).select(
        "post", *COUNTS, engagement=_sum_across([pl.col(name) for name in COUNTS])
    )
    return marked.join(counts, on="post", how="left", maintain_order="left")


def _sum_across(columns: list[pl.Expr]) -> pl.Expr:
    known = pl.any_horizontal(column.is_not_null() for column in columns)
    return pl.when(known).then(pl.sum_horizontal(columns))


def _sum_known(name: str) -> pl.Expr:
    column = pl.col(name)
    return pl.when(column.count() > 0).then(column.sum()).alias(name)


def _take_top(
    rows: pl.DataFrame, group: Sequence[str], order_by: str, ties: Sequence[str], top: int
) -> pl.DataFrame:
    order = rows.sort(
        *group, order_by, *ties,
        descending=[False] * len(group) + [True] + [False] * len(ties), nulls_last=True,
    )  # fmt: skip
    rank = pl.int_range(1, pl.len() + 1)
    ranked = order.with_columns((rank.over(group) if group else rank).alias("rank"))
    return ranked.filter(pl.col("rank") <= top)
