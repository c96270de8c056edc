"""A store -> what an analysis asks of its tables: posts, accounts, entities in a time range."""

import warnings
from collections.abc import Sequence
from typing import Any

import narwhals as nw
import polars as pl

from gpu_coord.backend import Backend
from gpu_coord.ground.times import parse_time
from gpu_coord.store.store import Store

_EVER = (-(2**63), 2**63 - 1)  # milliseconds


def to_milliseconds(time: str | int | None) -> int | None:
    """Return a time as epoch milliseconds: ISO 8601 is parsed, the rest as it is."""
    return parse_time(time) if isinstance(time, str) else time


def select_range(start: int | None, end: int | None) -> Any:
    """Return the condition on time; start included, end excluded."""
    start = _EVER[0] if start is None else start
    end = _EVER[1] if end is None else end
    if start >= end:
        raise ValueError(f"start ({start} ms) is not before end ({end} ms); swap or widen them.")
    return (nw.col("time") >= start) & (nw.col("time") < end)


def scan_table(store: Store, table: str, *columns: str, backend: Backend) -> Any:
    """Return some columns of a table of a store where the backend keeps frames; may be lazy."""
    return backend.scan(str(store.path / f"{table}.parquet"), list(columns))


def count_posts(store: Store, span: Any, *, backend: Backend) -> pl.DataFrame:
    """Count each account's posts with a time in the range, and find the first and last of them."""
    columns = ("account", "post", "time")
    times = scan_table(store, "posts", *columns, backend=backend).filter(span)
    if store.manifest.get("format") != "x-archive":
        # A post of a share table has the time of its first share, and may be shared again.
        shares = scan_table(store, "events", *columns, backend=backend).filter(span)
        times = nw.concat([times, shares])
    # Plain aggregates only: cuDF has no others.
    posts = (
        times.group_by("account")
        .agg(
            n_posts=nw.col("post").n_unique(),
            first_seen=nw.col("time").min(),
            last_seen=nw.col("time").max(),
        )
        .with_columns(nw.col("n_posts").cast(nw.Int64))
    )
    return pl.DataFrame(collect_lazy(posts).to_arrow())


def label_accounts(accounts: pl.DataFrame, labels: pl.DataFrame | None) -> pl.DataFrame:
    """Return account, account_id, label; other labels take the place of the store's own."""
    accounts = accounts.select("account", "account_id", "label")
    if labels is None:
        return accounts
    if labels["account_id"].is_duplicated().any():
        raise ValueError("labels names an account twice; keep one row for each.")
    return accounts.drop("label").join(labels, on="account_id", how="left", maintain_order="left")


def list_kinds(store: Store) -> set[str]:
    """Return the kinds of entity that a store has."""
    kinds = store.scan("entities").select(pl.col("kind").cast(pl.String).unique())
    return set(kinds.collect()["kind"])


def choose_kinds(store: Store, *, usual: tuple[str, ...]) -> tuple[str, ...]:
    """Return the usual kinds, or, where the store lacks one of these, all that it has."""
    kinds = list_kinds(store)
    return usual if kinds.issuperset(usual) or not kinds else tuple(sorted(kinds))


def count_events(
    store: Store, kinds: Sequence[str], *, start: int | None = None, end: int | None = None
) -> int:
    """Count the events of some kinds in a time range; those of domains are those of their urls."""
    events = store.scan("events")
    if start is not None:
        events = events.filter(pl.col("time") >= start)
    if end is not None:
        events = events.filter(pl.col("time") < end)
    counted = events.group_by(pl.col("kind").cast(pl.String)).len().collect(engine="streaming")
    by_kind: dict[str, int] = dict(counted.iter_rows())
    if "domain" not in by_kind:
        by_kind["domain"] = by_kind.get("url", 0)
    return sum(by_kind.get(kind, 0) for kind in set(kinds))


def map_entities(store: Store, kinds: Sequence[str]) -> pl.DataFrame:
    """Return the entities asked for: store entity -> kind, value; domains stand for their urls."""
    stored = store.scan("entities").with_columns(pl.col("kind").cast(pl.String))
    present = list_kinds(store)
    available = present | ({"domain"} if "url" in present else set())
    if not available:
        raise ValueError(f"the store {store.path} holds no event; ingest what has some.")
    missing = [kind for kind in dict.fromkeys(kinds) if kind not in available]
    if len(missing) == len(set(kinds)):
        raise ValueError(
            f"the store has no {', '.join(missing) or 'kind'}; its kinds are "
            f"{', '.join(sorted(available))}."
        )
    for kind in missing:
        warnings.warn(
            f"the store has no {kind!r} and it is left out; its kinds are "
            f"{', '.join(sorted(available))}.",
            stacklevel=3,
        )
    members = stored.filter(pl.col("kind").is_in(list(kinds))).collect()
    if "domain" in kinds and "domain" not in present:
        members = pl.concat([members, _derive_domains(stored)])
    return members


def _derive_domains(entities: pl.LazyFrame) -> pl.DataFrame:
    from gpu_coord.ground.urls import registered_domains

    urls = entities.filter(pl.col("kind") == "url").collect()
    return urls.with_columns(
        kind=pl.lit("domain"), value=registered_domains(urls["value"])
    ).drop_nulls("value")


def rank_entities(members: pl.DataFrame) -> pl.DataFrame:
    """Give each entity the rank of its (kind, value); several store entities may share one."""
    values = members.select("kind", "value").unique().sort("kind", "value").with_row_index("row")
    return members.join(values, on=["kind", "value"], how="left", maintain_order="left")


def pad_columns(frame: pl.LazyFrame, dtypes: dict[str, Any]) -> pl.LazyFrame:
    """Add the columns that a table may lack, as nulls of their types."""
    present = frame.collect_schema().names()
    return frame.with_columns(
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in dtypes.items()
        if name not in present
    )


def collect_lazy(frame: Any) -> Any:
    """Compute a lazy frame; one that is not lazy stays as it is."""
    return frame.collect() if isinstance(frame, nw.LazyFrame) else frame
