"""Store -> traces: the shares in which each sort of co-action shows, and how they pair.

The one idea: whatever two accounts do alike is the share of some object (a URL, a sequence of
hashtags, a family of near-duplicate texts), so that all actions go through one sort by object and
time.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.backend import choose
from gpu_coord.backend.graphs import label_components
from gpu_coord.sharing.layers import FAST, SEQUENCE, SIMILAR, Layer
from gpu_coord.sharing.shares import Shares, describe_accounts, find_rows, read_shares
from gpu_coord.sharing.strict import Blocks, count_popularity
from gpu_coord.sharing.texts import Uses, find_similar
from gpu_coord.sharing.windows import pair_shares
from gpu_coord.store.queries import count_posts, scan_table, select_range, to_milliseconds
from gpu_coord.store.store import TEXTS_TABLE, Store

_ORDER = ("object", "time", "content", "account", "post")
_TYPES: dict[str, Any] = dict.fromkeys(_ORDER, pl.Int32) | dict.fromkeys(("time", "post"), pl.Int64)


@dataclass(frozen=True)
class Trace:
    """The shares of one action, how they pair, and the layers made of the pairs."""

    layers: Sequence[Layer]
    shares: Shares  # accounts have the same rows in all traces
    list_pairs: Callable[..., Blocks]  # (*, window_ms, memory, threads), as `pair_shares`
    variant: np.ndarray | None = None  # which of the texts of its family, (n_shares,)

    @property
    def action(self) -> str:
        """What accounts do alike in all of its layers."""
        return self.layers[0].action

    @property
    def window_ms(self) -> int:
        """The widest window: its pairs are those of all layers."""
        return max(layer.window_ms for layer in self.layers)

    @cached_property
    def popularity(self) -> np.ndarray:
        """Accounts that shared each object, (n_objects,)."""
        return count_popularity(self.shares)


def read_traces(
    store: Store,
    layers: Sequence[Layer],
    *,
    min_tags: int,
    similarity: float,
    threads: int,
    start: str | int | None = None,
    end: str | int | None = None,
    labels: pl.DataFrame | None = None,
    min_participation: int = 1,
) -> list[Trace]:
    """Read what the layers need from a store.

    Parameters
    ----------
    store
        From `ingest` or `open_store`.
    layers
        From `parse_layers`. Those of kinds that the store lacks are left out with a warning, and
        so are sequences where no post has enough hashtags.
    min_tags, similarity
        See `CoactSettings`.
    threads
        Blocks of texts to work on at a time.
    start, end, labels, min_participation
        See `gpu_coord.sharing.shares.read_shares`; events of all kinds read count together.

    Returns
    -------
        A trace for each action, in the order of the layers.

    Raises
    ------
    ValueError
        A setting is out of range, nothing is left to analyse, or the store keeps no texts.
    """
    by_action: dict[str, list[Layer]] = {}
    for layer in layers:
        by_action.setdefault(layer.action, []).append(layer)
    kinds = list(dict.fromkeys(layer.kind for layer in layers))
    shares = read_shares(
        store, kinds=kinds, min_participation=min_participation, start=start, end=end, labels=labels
    )
    originals = pl.DataFrame()
    if FAST in by_action:
        span = select_range(to_milliseconds(start), to_milliseconds(end))
        originals = _find_originals(store, shares, span)
        shares = _add_authors(store, shares, originals, span, labels)
    tracers: dict[str, Callable[..., Trace | None]] = {
        SEQUENCE: partial(_trace_sequences, store=store, min_tags=min_tags),
        SIMILAR: partial(_trace_similar, store=store, similarity=similarity, threads=threads),
        FAST: partial(_trace_fast, originals=originals),
    }
    others = {layer.action: _trace_timeless for layer in layers if layer.measure}
    found = (
        (tracers | others).get(action, _trace_equal)(own, posted)
        for action, own in by_action.items()
        if (posted := _take_kind(shares, own[0].kind)).n_shares
    )
    traces = [trace for trace in found if trace is not None]
    if not traces:
        raise ValueError(f"nothing is left of the layers {', '.join(by_action)}; choose others.")
    return traces


def join_traces(traces: Sequence[Trace]) -> Shares:
    """Return the shares of all traces as one, with all their objects."""
    parts = [trace.shares for trace in traces]
    if len(parts) == 1:
        return parts[0]
    n_before = np.cumsum([0, *(part.objects.height for part in parts)]).tolist()
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("time", "account", "content", "post")
    }
    numbers = [part.object + n for part, n in zip(parts, n_before, strict=False)]
    return replace(
        parts[0],
        object=np.concatenate(numbers).astype(np.int32),
        objects=pl.concat([part.objects for part in parts]),
        **columns,
    )


def _take_kind(shares: Shares, kind: str) -> Shares:
    """Return the shares of objects of a kind, which lie together."""
    is_kind = (shares.objects["kind"].cast(pl.String) == kind).to_numpy()
    found = shares.select(is_kind[shares.object])
    first = int(is_kind.argmax())
    objects = shares.objects.filter(pl.Series(is_kind)).cast({"kind": pl.String})
    return replace(found, object=found.object - np.int32(first), objects=objects)


def _sort_shares(shares: Shares, rows: pl.DataFrame, objects: pl.DataFrame) -> Shares:
    """Return other shares by the same accounts; rows are in the order of `Shares`."""
    columns: dict[str, Any] = {name: rows[name].cast(_TYPES[name]).to_numpy() for name in _ORDER}
    return replace(shares, objects=objects, **columns)


def _frame(shares: Shares) -> pl.DataFrame:
    return pl.DataFrame({name: getattr(shares, name) for name in _ORDER}, schema=_TYPES)


def _trace_equal(layers: Sequence[Layer], posted: Shares) -> Trace:
    """Return the trace of posts with the same objects."""
    return Trace(layers, posted, partial(pair_shares, posted))


def _trace_timeless(layers: Sequence[Layer], posted: Shares) -> Trace:
    """Return the trace of what accounts shared at any time: it has no pairs of posts."""
    return Trace(layers, posted, _pair_nothing)


def _pair_nothing(**_: int) -> Blocks:
    return iter(())


# --- sequences of hashtags -----------------------------------------------------------------------


def _trace_sequences(
    layers: Sequence[Layer], hashtags: Shares, *, store: Store, min_tags: int
) -> Trace | None:
    """Return the trace of posts with the same hashtags in the same order, if there are any."""
    tags = _order_tags(store, hashtags)
    posts = tags.group_by("post", "time", "account", "content", maintain_order=True).agg(
        pl.col("object").cast(pl.String).str.join(" ").alias("sequence"),
        pl.col("value").str.join(" "),
        pl.len().alias("n_tags"),
    )
    posts = posts.filter(pl.col("n_tags") >= min_tags)
    if posts.is_empty():
        warnings.warn(
            f"no post has {min_tags} hashtags or more and {SEQUENCE} is left out; lower min_tags.",
            stacklevel=5,
        )
        return None
    sequences = posts.select("value", "sequence").unique().sort("value", "sequence")
    numbered = sequences.select("sequence", object=pl.int_range(pl.len(), dtype=pl.Int32))
    objects = sequences.select(pl.lit("hashtag_sequence").alias("kind"), "value")
    rows = posts.drop("object", strict=False).join(numbered, on="sequence").sort(_ORDER)
    return _trace_equal(layers, _sort_shares(hashtags, rows, objects))


def _order_tags(store: Store, hashtags: Shares) -> pl.DataFrame:
    """Return the shares of hashtags in the order of the store's events: that of the input."""
    values = hashtags.objects.select("value", object=pl.int_range(pl.len(), dtype=pl.Int32))
    entities = store.scan("entities").filter(pl.col("kind").cast(pl.String) == "hashtag")
    named = entities.join(values.lazy(), on="value").select("entity", "object", "value")
    events = store.scan("events").select("post", "entity", "time").with_row_index("place")
    shared = _frame(hashtags).lazy()
    placed = shared.join(events.join(named, on="entity"), on=["post", "object", "time"])
    return placed.sort("place").collect()


# --- near-duplicate texts ------------------------------------------------------------------------


def _read_texts(store: Store) -> pl.DataFrame:
    """Return the texts that a store keeps: value (of the entity), text."""
    entities = store.scan("entities").filter(pl.col("kind").cast(pl.String) == "text")
    if (store.path / f"{TEXTS_TABLE}.parquet").is_file():
        kept = store.scan(TEXTS_TABLE).select("entity", "text")
        return entities.join(kept, on="entity").select("value", "text").collect()
    if store.manifest.get("format") == "shares":  # keeps all values as they came
        return entities.select("value", text="value").collect()
    raise ValueError(
        f"{store.path} keeps hashes of texts only, and {SIMILAR} compares what they say; ingest "
        "again with --texts, or compare equal texts by co_text."
    )


def _trace_similar(
    layers: Sequence[Layer], posted: Shares, *, store: Store, similarity: float, threads: int
) -> Trace:
    """Return the trace of posts with near-duplicate texts; its objects are families of them.

    A family is what chains of near-duplicates connect. Posts of a family pair only where their
    own two texts are alike.
    """
    names, variant = posted.objects, posted.object
    texts = names.join(_read_texts(store), on="value", how="left", maintain_order="left")["text"]
    alike = find_similar(
        texts, _describe_uses(posted), threshold=similarity, threads=threads,
        window_ms=max(layer.window_ms for layer in layers),
    )  # fmt: skip
    family, objects = _join_families(*alike, names)
    rows = _frame(posted).with_columns(object=family[variant], variant=variant)
    rows = rows.sort(*_ORDER, "variant")
    shares = _sort_shares(posted, rows, objects)
    ordered = rows["variant"].to_numpy()
    key = alike[0].astype(np.int64) * names.height + alike[1]
    return Trace(layers, shares, partial(_pair_alike, shares, ordered, key), ordered)


def _describe_uses(posted: Shares) -> Uses:
    span = (
        _frame(posted)
        .group_by("object")
        .agg(
            first=pl.col("time").min(),
            last=pl.col("time").max(),
            sole=pl.when(pl.col("account").n_unique() == 1).then(pl.col("account").first()),
        )
    )
    columns = span.sort("object").with_columns(pl.col("sole").fill_null(-1))
    return Uses(*(columns[name].to_numpy() for name in ("first", "last", "sole")))


def _join_families(
    one: np.ndarray, other: np.ndarray, names: pl.DataFrame
) -> tuple[np.ndarray, pl.DataFrame]:
    """Return the family of each text, and the families by the name of their first text."""
    label = label_components(one, other, names.height, connection="weak")
    _, first, family = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int32)
    rank[np.argsort(first)] = np.arange(first.size, dtype=np.int32)
    objects = names[np.sort(first)].select(pl.lit("similar_text").alias("kind"), "value")
    return rank[family], objects


def _pair_alike(
    shares: Shares, variant: np.ndarray, key: np.ndarray, *, window_ms: int, **choices: Any
) -> Blocks:
    """Yield the pairs of posts within a window whose texts are equal or alike."""
    n_texts = int(variant.max()) + 1
    for older, newer in pair_shares(shares, window_ms=window_ms, **choices):
        one, other = variant[older], variant[newer]
        wanted = np.minimum(one, other).astype(np.int64) * n_texts + np.maximum(one, other)
        place = np.searchsorted(key, wanted)
        is_alike = one == other
        is_alike |= np.append(key, -1)[place] == wanted
        yield older[is_alike], newer[is_alike]


# --- fast retweets -------------------------------------------------------------------------------


def _find_originals(store: Store, shares: Shares, span: Any) -> pl.DataFrame:
    """Return the posts that were retweeted: post, time, account (of the store), content_id."""
    retweets = shares.objects.filter(pl.col("kind").cast(pl.String) == "retweet")
    columns = ("post", "time", "account", "content_id")
    in_range = scan_table(store, "posts", *columns, backend=choose("cpu")).filter(span).to_native()
    wanted = retweets.lazy().select(content_id="value")
    found: pl.DataFrame = in_range.join(wanted, on="content_id", how="semi").collect()
    names = store.scan("accounts").select("account", "account_id")
    return found.join(names.collect(), on="account", how="left")


def _add_authors(
    store: Store,
    shares: Shares,
    originals: pl.DataFrame,
    span: Any,
    labels: pl.DataFrame | None,
) -> Shares:
    """Add the originals and their authors, who need not share anything themselves."""
    ids = pl.concat([shares.accounts["account_id"], originals["account_id"]]).unique()
    members = store.read("accounts").join(ids.to_frame(), on="account_id", how="semi")
    posts = count_posts(store, span, backend=choose("cpu"))
    accounts = describe_accounts(store, posts, members, labels).drop("account")
    contents = pl.concat([shares.contents, originals["content_id"]]).unique().sort()
    return replace(
        shares,
        accounts=accounts,
        account=find_rows(shares.accounts["account_id"], accounts["account_id"])[shares.account],
        contents=contents,
        content=find_rows(shares.contents, contents)[shares.content],
    )


def _trace_fast(layers: Sequence[Layer], retweets: Shares, *, originals: pl.DataFrame) -> Trace:
    """Return the trace of originals and their retweets."""
    objects = retweets.objects.with_columns(kind=pl.lit("fast_retweet"))
    authors = originals.select(
        "time",
        "post",
        object=find_rows(originals["content_id"], objects["value"]),
        account=find_rows(originals["account_id"], retweets.accounts["account_id"]),
        content=find_rows(originals["content_id"], retweets.contents),
        is_original=True,
    )
    shared = _frame(retweets).with_columns(is_original=False)
    rows = pl.concat([shared, authors.select(shared.columns)]).sort(*_ORDER, "is_original")
    shares = _sort_shares(retweets, rows, objects)
    is_original = rows["is_original"].to_numpy()
    return Trace(layers, shares, partial(_pair_fast, shares, is_original))


def _pair_fast(shares: Shares, is_original: np.ndarray, *, window_ms: int, **_: int) -> Blocks:
    """Yield the originals and those of their retweets by others that came within a window."""
    # As many pairs as retweets: there is room for all at once.
    row = pl.int_range(pl.len(), dtype=pl.Int32)
    rows = _frame(shares).with_columns(row=row, is_original=is_original)
    originals = rows.filter("is_original").select("object", "time", "account", older="row")
    retweets = rows.filter(~pl.col("is_original"))
    pairs = retweets.join(originals, on="object", suffix="_older").filter(
        (pl.col("time") - pl.col("time_older")).is_between(0, window_ms),
        pl.col("account") != pl.col("account_older"),
    )
    pairs = pairs.sort("object", "older", "row")
    if pairs.height:
        yield pairs["older"].to_numpy(), pairs["row"].to_numpy()
