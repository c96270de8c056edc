"""A store and a text -> the object that is meant."""

from itertools import takewhile

import polars as pl

from gpu_coord.ground.kinds import names_accounts, names_posts
from gpu_coord.ground.texts import fold_hashtags
from gpu_coord.ground.urls import normalise_urls
from gpu_coord.store.queries import map_entities
from gpu_coord.store.store import Store, name_accounts

_N_NEAR = 3
_PSEUDONYM = "acct-"


def find_object(store: Store, value: str, *, kind: str | None = None) -> tuple[str, str]:
    """Find an object by what somebody would type.

    Parameters
    ----------
    store
        Where to look.
    value
        The object as the store has it; or a URL in another spelling, a hashtag with ``#`` or
        capitals, an account by its pseudonym.
    kind
        Its kind; needed where objects of several kinds are written alike, and for ``domain``
        where domains are derived from URLs.

    Returns
    -------
        Kind and value, as stored.

    Raises
    ------
    ValueError
        No such object, or several.
    """
    entities = _list_entities(store, kind)
    for spelled in (_spell_as_given, _spell_by_rule):
        found = entities.filter(spelled(store, value, entities))
        if found.height == 1:
            return found.select("kind", "value").row(0)
        if found.height:
            kinds = ", ".join(sorted(found["kind"]))
            raise ValueError(
                f"{quote(value)} is there as {kinds}; choose one with --kind (kind= in Python)."
            )
    where = f"no {kind}" if kind else "no object"
    raise ValueError(f"the store has {where} {quote(value)}; {_describe_near(entities, value)}")


def _list_entities(store: Store, kind: str | None) -> pl.DataFrame:
    """Return kind and value, each once."""
    if kind is not None:
        return map_entities(store, [kind]).select("kind", "value").unique(maintain_order=True)
    return store.scan("entities").select(pl.col("kind").cast(pl.String), "value").collect()


def _spell_as_given(store: Store, value: str, entities: pl.DataFrame) -> pl.Expr:
    if value.startswith(_PSEUDONYM):
        named = [kind for kind in entities["kind"].unique() if names_accounts(kind)]
        accounts = entities.filter(pl.col("kind").is_in(named))["value"].unique()
        known = accounts.filter(name_accounts(accounts, store) == value)
        return (pl.col("value") == value) | (
            pl.col("kind").is_in(named) & pl.col("value").is_in(known.implode())
        )
    return pl.col("value") == value


def _spell_by_rule(store: Store, value: str, entities: pl.DataFrame) -> pl.Expr:
    rule = store.manifest.get("settings", {}).get("url_rule", "canonical")
    given = pl.Series([value], dtype=pl.String)
    url = pl.lit(normalise_urls(given, rule=rule).item(), dtype=pl.String)
    hashtag = pl.lit(fold_hashtags(given).item(), dtype=pl.String)
    is_url = (pl.col("kind") == "url") & (pl.col("value") == url)
    return is_url.fill_null(value=False) | (
        (pl.col("kind") == "hashtag") & (pl.col("value") == hashtag)
    )


def _describe_near(entities: pl.DataFrame, value: str) -> str:
    """Name the values that begin most alike; ids of accounts and posts are named to nobody."""
    hidden = [k for k in entities["kind"].unique() if names_accounts(k) or names_posts(k)]
    values = entities.filter(~pl.col("kind").is_in(hidden))["value"].unique()
    if entities.is_empty():
        return "it holds no event."
    # In the order of their characters, values that begin alike stand side by side.
    below, above = values.filter(values < value), values.filter(values > value)
    around = [*below.top_k(_N_NEAR), *above.bottom_k(_N_NEAR)]
    alike = {near: _count_alike(near, value) for near in around}
    least = max(1, min(3, len(value)))
    near = sorted((n for n in around if alike[n] >= least), key=lambda n: (-alike[n], n))
    if near:
        return f"near it are {', '.join(map(quote, near[:_N_NEAR]))}."
    kinds = ", ".join(sorted(entities["kind"].unique()))
    return f"it has objects of the kinds {kinds}."


def _count_alike(one: str, other: str) -> int:
    """Count the characters with which two texts begin alike."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))


def quote(text: str) -> str:
    """Quote what a store holds, fit for a terminal."""
    from gpu_coord.ground.terminal import clean

    return f"‘{clean(text)}’"
