"""Shares made of rows, and edges between them by name."""

import numpy as np
import polars as pl

from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.strict import count_popularity, group_pairs, weigh_edges


def make_shares(rows):
    """Return Shares of (object, account, seconds) or (object, account, seconds, content)."""
    rows = [(*row, f"c{place}") if len(row) == 3 else row for place, row in enumerate(rows)]
    names = [sorted({row[field] for row in rows}) for field in (0, 1, 3)]
    objects, accounts, contents = ({name: n for n, name in enumerate(part)} for part in names)
    table = sorted(
        (objects[o], round(1000 * t), contents[c], accounts[a], post)
        for post, (o, a, t, c) in enumerate(rows)
    )
    object, time, content, account, post = np.array(table, np.int64).reshape(-1, 5).T
    object, account, content = (part.astype(np.int32) for part in (object, account, content))
    return Shares(
        object=object, time=time, account=account, content=content, post=post,
        objects=pl.DataFrame({"kind": ["url"] * len(objects), "value": list(objects)}),
        accounts=pl.DataFrame(
            {"account_id": list(accounts)}, schema={"account_id": pl.String}
        ).with_columns(label=pl.lit(None, pl.String)),
        contents=pl.Series(list(contents), dtype=pl.String),
    )  # fmt: skip


def name_edges(shares, edges):
    """Return {(source id, target id): weight}."""
    ids = shares.accounts["account_id"].to_list()
    return {(ids[s], ids[t]): w for s, t, w in edges.select("source", "target", "weight").rows()}


def describe(shares, blocks):
    """Return the edges of pairs in blocks of (older, newer), weighed."""
    blocks = list(blocks)
    rows = [np.concatenate([np.empty(0, np.int32), *(b[side] for b in blocks)]) for side in (0, 1)]
    return weigh_edges(group_pairs(shares, *rows), count_popularity(shares))
