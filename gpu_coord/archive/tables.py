"""From text to the dense numbers of a store.

In: ids and values batch by batch. Out: accounts and entities, numbered in byte order. The one
idea: while files are read each distinct text has a code in order of arrival; the order that
readers see is made at the end, over distinct texts only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from gpu_coord.archive.cells import hash_ids
from gpu_coord.archive.ids import count_cut
from gpu_coord.archive.sources import ArchiveError
from gpu_coord.ground.kinds import names_accounts, names_posts
from gpu_coord.ground.texts import fold_case, fold_hashtags

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_KINDS = 255

COUNTS = ["quote_count", "reply_count", "like_count", "retweet_count"]
POSTS: dict[str, Any] = {
    "post": pl.Int64,
    "account": pl.Int32,
    "time": pl.Int64,
    "content_id": pl.String,
    **dict.fromkeys(COUNTS, pl.Int64),
    "platform": pl.String,
}
ACCOUNTS: dict[str, Any] = {
    "account": pl.Int32,
    "account_id": pl.String,
    "label": pl.String,
    "account_creation_date": pl.Date,
    "follower_count": pl.Int64,
    "following_count": pl.Int64,
    "account_language": pl.String,
}
TEXTS: dict[str, Any] = {"entity": pl.Int32, "text": pl.String}
REJECTS: dict[str, Any] = {"file": pl.String, "row": pl.Int64, "reason": pl.String}
PROFILE = ["account_creation_date", "follower_count", "following_count", "account_language"]


class Vocabulary:
    """Distinct texts, each with a code in order of arrival."""

    def __init__(self) -> None:
        self._type = pl.Categorical(pl.Categories.random())
        self._anchor = pl.Series(dtype=self._type)  # Polars forgets codes that no series uses
        self.n_texts = 0

    def encode(self, texts: pl.Series) -> pl.Series:
        """Return the code of each text, as UInt32; null stays null."""
        codes = texts.cast(self._type).to_physical()
        if len(codes) > codes.null_count():
            self.n_texts = max(self.n_texts, int(codes.max()) + 1)  # type: ignore[arg-type]
        return codes

    def decode(self, codes: np.ndarray | pl.Series) -> pl.Series:
        """Return the texts of codes."""
        return pl.Series(codes, dtype=pl.UInt32).cat.to(self._type).cast(pl.String)


_BEHIND_PLATFORM = "\x1f"  # the unit separator of ASCII
_TEXT_PAIR: dict[str, Any] = {"id": pl.String, "platform": pl.String}


def add_platforms(ids: pl.Series, platforms: pl.Series | None) -> pl.Series:
    """Return ids that differ between platforms; `show_platforms` undoes it."""
    has_mark = ids.str.contains(_BEHIND_PLATFORM, literal=True)
    if (platforms is None or platforms.null_count() == len(platforms)) and not has_mark.any():
        return ids
    named = pl.DataFrame({"id": ids, "platform": platforms}, schema_overrides=_TEXT_PAIR)
    platform = pl.col("platform").str.replace_all(_BEHIND_PLATFORM, " ", literal=True)
    # An id with the mark in it stands behind one in any case, or its beginning were a platform.
    named = named.with_columns(platform.fill_null(pl.when(has_mark).then(pl.lit(""))))
    keyed = pl.col("platform") + _BEHIND_PLATFORM + pl.col("id")
    return named.select(pl.coalesce(keyed, "id").alias(ids.name)).to_series()


def strip_platforms(keyed: pl.Series) -> pl.Series:
    """Return ids without their platforms."""
    return keyed.str.replace(f"^[^{_BEHIND_PLATFORM}]*{_BEHIND_PLATFORM}", "")


class Ids(Vocabulary):
    """Distinct ids: one id on two platforms is two, and is shown as ``platform:id``.

    An id without a platform is that of its only platform; where it has several, or none, it is one
    of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._has_platforms = False
        self._known: _Known | None = None  # once all ids have their codes

    def add(self, ids: pl.Series, platforms: pl.Series | None) -> pl.Series:
        """Return the code of each id."""
        keyed = add_platforms(ids, platforms)
        self._has_platforms |= keyed is not ids
        self._known = None
        return self.encode(keyed)

    def unify(self, codes: np.ndarray) -> np.ndarray:
        """Return the one code of each id, once all have theirs."""
        return self._list_known().code[codes] if self._has_platforms else codes

    def show(self, codes: np.ndarray | pl.Series) -> pl.Series:
        """Return the ids of codes, once all have theirs."""
        if not self._has_platforms:
            return self.decode(codes)
        unified = self.unify(np.asarray(codes))
        keyed = self.decode(unified)
        named = keyed.str.strip_prefix(_BEHIND_PLATFORM)
        whole = keyed.str.replace(_BEHIND_PLATFORM, ":", literal=True)
        whole = named.zip_with(keyed.str.starts_with(_BEHIND_PLATFORM), whole)
        is_shared = pl.Series(self._list_known().is_shared[unified], dtype=pl.Boolean)
        return whole.zip_with(is_shared, strip_platforms(keyed))

    def strip(self, codes: np.ndarray) -> pl.Series:
        """Return the ids of codes without their platforms."""
        keyed = self.decode(codes)
        return strip_platforms(keyed) if self._has_platforms else keyed

    def _list_known(self) -> _Known:
        if self._known is None:
            self._known = _find_same(self.decode(np.arange(self.n_texts)))
        return self._known


class _Known(NamedTuple):
    code: np.ndarray  # of the text that stands for each
    is_shared: np.ndarray  # whether the same id stands for others, too


def _find_same(keyed: pl.Series) -> _Known:
    ids = pl.DataFrame({"plain": strip_platforms(keyed)}).with_row_index("code")
    on_platform = keyed.str.contains(f"^[^{_BEHIND_PLATFORM}]+{_BEHIND_PLATFORM}")
    ids = ids.with_columns(pl.when(on_platform).then("code").alias("named"))
    only = pl.when(pl.col("named").count().over("plain") == 1).then(
        pl.col("named").min().over("plain")
    )
    ids = ids.with_columns(code=pl.coalesce("named", only, "code"))
    is_shared = pl.col("code").n_unique().over("plain") > 1
    found = ids.select("code", is_shared=is_shared)
    return _Known(found["code"].to_numpy(), found["is_shared"].to_numpy())


@dataclass(slots=True)
class Exclusion:
    """Entities whose events are dropped, and how many events that took.

    Of terms that differ in case only, the first is kept.
    """

    terms: tuple[str, ...]
    normalise: Callable[[pl.Series], pl.Series]  # the URL rule
    n_events: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        distinct: dict[str, str] = {}
        for term in self.terms:
            distinct.setdefault(_fold_term(term), term)
        self.terms = tuple(distinct.values())

    def find(self, kind: str, values: pl.Series) -> np.ndarray:
        """Return for each value the position of the first term that excludes it, or -1."""
        found = np.full(len(values), -1, np.int32)
        if not self.terms:
            return found
        folded = fold_hashtags(values) if kind == "hashtag" else fold_case(values)
        spelled = self._spell(values) if kind == "url" else folded
        for position, term in enumerate(self.terms):
            hit = self._match(kind, term, folded, spelled).to_numpy()
            found[hit & (found < 0)] = position
        return found

    def _match(self, kind: str, term: str, folded: pl.Series, spelled: pl.Series) -> pl.Series:
        word = _fold_term(term)
        names = [word, word.lstrip("#@")]
        if kind == "hashtag":
            names = fold_hashtags(pl.Series(names)).to_list()
        if kind != "url":
            return folded.is_in(names)
        url = self.normalise(pl.Series([term.strip()]))[0] or word
        hit = folded.is_in(names) | (spelled == url.casefold())
        if "." not in word:  # a word is no host: ``uk`` would take all that ends in .uk
            return hit
        host = spelled.str.split("/").list.first()
        return hit | (host == word) | host.str.ends_with(f".{word}")

    def _spell(self, urls: pl.Series) -> pl.Series:
        """Normalise the URLs of share tables, which are stored as they came."""
        is_raw = urls.str.contains("://", literal=True)
        known = pl.when(is_raw).then(self.normalise(urls))
        return fold_case(pl.select(pl.coalesce(known, urls)).to_series())


def _fold_term(term: str) -> str:
    return term.strip().casefold()


class Entities:
    """The entities of each kind."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self._vocabularies: list[Ids] = []
        self._seen: list[np.ndarray] = []
        self._numbers: list[np.ndarray] = []  # per kind: code -> entity, or -1
        self._excluded_by: list[np.ndarray] = []  # per kind: code -> position of a term, or -1

    def encode(
        self, kind: str, values: pl.Series, platforms: pl.Series | None = None
    ) -> tuple[int, pl.Series]:
        """Return the position of the kind and the codes of the values.

        What is an id, of an account or a post, is another on each platform.
        """
        if kind not in self.kinds:
            self._add(kind)
        position = self.kinds.index(kind)
        if not (names_accounts(kind) or names_posts(kind)):
            platforms = None
        return position, self._vocabularies[position].add(values, platforms)

    def count_values(self, kind: str) -> int:
        """Count the values that have a code; those that come next have codes from here."""
        return self._vocabularies[self.kinds.index(kind)].n_texts if kind in self.kinds else 0

    def _add(self, kind: str) -> None:
        if len(self.kinds) >= MAX_KINDS:
            raise ArchiveError(
                f"More than {MAX_KINDS} kinds, the last is {kind!r}; the kind of a share is the "
                "sort of object (hashtag, url, ...), not the object."
            )
        self.kinds.append(kind)
        self._vocabularies.append(Ids())
        self._seen.append(np.zeros(0, bool))

    def mark(self, events: pl.DataFrame) -> None:
        """Note which entities have events (columns ``kind``, ``value``)."""
        kinds, values = events["kind"].to_numpy(), events["value"].to_numpy()
        for kind in np.unique(kinds).tolist():
            missing = self._vocabularies[kind].n_texts - len(self._seen[kind])
            self._seen[kind] = np.pad(self._seen[kind], (0, missing))
            self._seen[kind][values[kinds == kind]] = True

    def number(self, exclusion: Exclusion, key: bytes | None) -> pl.DataFrame:
        """Give numbers to the entities that have events; return the table of entities."""
        n_kinds = len(self.kinds)
        self._numbers = [np.empty(0, np.int32)] * n_kinds
        self._excluded_by = [np.empty(0, np.int32)] * n_kinds
        tables = [pl.DataFrame(schema={"kind": pl.String, "value": pl.String})]
        n_numbered = 0
        for kind in sorted(range(n_kinds), key=lambda at: self.kinds[at].encode()):
            values = self._number_kind(kind, n_numbered, exclusion, key)
            n_numbered += len(values)
            named = values.to_frame("value").with_columns(kind=pl.lit(self.kinds[kind]))
            tables.append(named.select("kind", "value"))
        return pl.concat(tables).with_row_index("entity").cast({"entity": pl.Int32})

    def _number_kind(
        self, kind: int, first: int, exclusion: Exclusion, key: bytes | None
    ) -> pl.Series:
        vocabulary, n_codes = self._vocabularies[kind], len(self._seen[kind])
        every = vocabulary.unify(np.arange(n_codes))
        is_seen = np.zeros(n_codes, bool)
        is_seen[every[self._seen[kind]]] = True
        codes = np.flatnonzero(is_seen)
        values = vocabulary.show(codes)
        excluded_by = exclusion.find(self.kinds[kind], values)
        self._excluded_by[kind] = _scatter(n_codes, codes, excluded_by)[every]
        kept = excluded_by < 0
        codes, values = codes[kept], values.filter(pl.Series(kept))
        if key is not None and names_accounts(self.kinds[kind]):
            values = hash_ids(values, key)
        order = sort_texts(values)
        numbers = np.arange(first, first + len(order), dtype=np.int32)
        self._numbers[kind] = _scatter(n_codes, codes[order], numbers)[every]
        return values.gather(order)

    def list_numbers(self, kind: str) -> np.ndarray:
        """Return the entity of each code of a kind, once numbered; -1: it is not in the store."""
        numbers = self._numbers[self.kinds.index(kind)] if kind in self.kinds else np.empty(0, int)
        n_missing = self.count_values(kind) - len(numbers)
        return np.pad(numbers, (0, n_missing), constant_values=-1)

    def look_up(self, events: pl.DataFrame, exclusion: Exclusion) -> np.ndarray:
        """Return the entity of each event; -1 where it is excluded, which is counted."""
        entities = np.full(events.height, -1, np.int32)
        kinds, codes = events["kind"].to_numpy(), events["value"].to_numpy()
        for kind in range(len(self.kinds)):
            at = np.flatnonzero(kinds == kind)
            entities[at] = self._numbers[kind][codes[at]]
            reasons = self._excluded_by[kind][codes[at]]
            hits = np.bincount(reasons[reasons >= 0], minlength=len(exclusion.terms))
            exclusion.n_events.update(dict(zip(exclusion.terms, hits.tolist(), strict=True)))
        return entities


def sort_texts(texts: pl.Series) -> np.ndarray:
    """Return the order of texts by their bytes: by the first eight, then by all where these tie.

    Integers sort three times as fast as texts, and most texts are hashes and ids.
    """
    head = (pl.col("text") + "\0" * 8).cast(pl.Binary).bin.slice(0, 8)
    keys = texts.to_frame("text").select(head.bin.reinterpret(dtype=pl.UInt64, endianness="big"))
    numbers = keys.to_series().to_numpy()
    order = np.argsort(numbers)
    is_same = numbers[order][1:] == numbers[order][:-1]
    is_tied = np.zeros(len(order), bool)
    is_tied[1:] |= is_same
    is_tied[:-1] |= is_same
    tied = order[is_tied]
    order[is_tied] = tied[texts.gather(tied).arg_sort().to_numpy()]
    return order


def _scatter(size: int, at: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    spread = np.full(size, -1, np.int32)
    spread[at] = numbers
    return spread


class Accounts:
    """The accounts, their profiles and labels."""

    def __init__(self) -> None:
        self._vocabulary = Ids()
        self._profiles: list[pl.DataFrame] = []
        self._has_profile = np.zeros(0, bool)
        self._present = np.zeros(0, bool)
        self._labels: dict[str, np.ndarray] = {}  # label -> code -> is it labelled so
        self._told: dict[str, list[pl.Series]] = {}  # label -> ids that have it
        self.n_unknown = 0  # of these ids are no account, set by ``number``
        self.n_long, self.n_cut = 0, 0  # see `count_cut`, set by ``number``
        self._persons: tuple[pl.Series, pl.Series] | None = None  # accounts, and whose they are
        self.numbers = np.empty(0, np.int32)  # code -> account, or -1; set by ``number``

    def join(self, persons: pl.DataFrame) -> None:
        """Take the accounts (``account_id``, perhaps ``platform``) of one ``person`` for one."""
        platforms = persons["platform"] if "platform" in persons.columns else None
        self._persons = add_platforms(persons["account_id"], platforms), persons["person"]

    def encode(self, ids: pl.Series, platforms: pl.Series | None = None) -> pl.Series:
        """Return the codes of account ids: one id on two platforms is two accounts."""
        if self._persons is not None:
            known, persons = self._persons
            by_id = ids.replace_strict(known, persons, default=None, return_dtype=pl.String)
            keyed = add_platforms(ids, platforms)
            person = keyed.replace_strict(known, persons, default=by_id, return_dtype=pl.String)
            is_known = person.is_not_null()
            ids = person.zip_with(is_known, ids)
            platforms = None if platforms is None else platforms.set(is_known, None)
        return self._vocabulary.add(ids, platforms)

    def lack_profile(self, codes: pl.Series) -> pl.Series:
        """Tell which codes belong to accounts without a profile."""
        self._has_profile = self._grow(self._has_profile)
        return pl.Series(~self._has_profile[codes.to_numpy()])

    def add_profiles(self, profiles: pl.DataFrame) -> int:
        """Keep the first profile of each account; return how many were new.

        The columns are ``account`` (codes) and those of ``PROFILE``.
        """
        is_new = self.lack_profile(profiles["account"])
        fresh = profiles.filter(is_new).unique("account", keep="first", maintain_order=True)
        self._has_profile[fresh["account"].to_numpy()] = True
        self._profiles.append(fresh.select(_PROFILES_EMPTY.columns))
        return fresh.height

    def mark(self, codes: pl.Series) -> None:
        """Note that accounts belong in the store."""
        self._present = self._grow(self._present)
        self._present[codes.to_numpy()] = True

    def label(self, codes: pl.Series, label: str) -> None:
        """Give accounts a label."""
        marked = self._grow(self._labels.get(label, np.zeros(0, bool)))
        marked[codes.to_numpy()] = True
        self._labels[label] = marked

    def tell(self, ids: pl.Series, label: str) -> None:
        """Note that ids, without their platform or as they are shown, have a label."""
        if self._persons is not None:
            ids = ids.replace(*self._persons)
        self._told.setdefault(label, []).append(ids)

    def _grow(self, flags: np.ndarray) -> np.ndarray:
        return np.pad(flags, (0, self._vocabulary.n_texts - len(flags)))

    def number(self, key: bytes | None) -> pl.DataFrame:
        """Give numbers to the accounts, by the bytes of their ids; return the table of accounts."""
        every = self._vocabulary.unify(np.arange(self._vocabulary.n_texts))
        is_present = np.zeros(self._vocabulary.n_texts, bool)
        is_present[every[self._grow(self._present)]] = True
        codes = np.flatnonzero(is_present)
        ids = self._vocabulary.show(codes)
        self._find_told(codes, ids)
        self.n_long, self.n_cut = count_cut(ids)
        ids = ids if key is None else hash_ids(ids, key)
        order = sort_texts(ids)
        codes, ids = codes[order], ids.gather(order)
        numbers = np.arange(len(codes), dtype=np.int32)
        self.numbers = _scatter(self._vocabulary.n_texts, codes, numbers)[every]
        table = pl.DataFrame(
            {
                "number": numbers,
                "account": pl.Series(codes, dtype=pl.UInt32),
                "account_id": ids,
                "label": pl.Series(self._decide_labels()[codes].tolist(), dtype=pl.String),
            }
        )
        profiles = pl.concat([_PROFILES_EMPTY, *self._profiles])
        profiles = profiles.with_columns(
            account=pl.Series(every[profiles["account"].to_numpy()], dtype=pl.UInt32)
        ).unique("account", keep="first", maintain_order=True)
        table = table.join(profiles, on="account", how="left", maintain_order="left")
        return table.drop("account").rename({"number": "account"})

    def _find_told(self, codes: np.ndarray, shown: pl.Series) -> None:
        """Label the accounts whose id, on any platform, was told to have a label."""
        plain = self._vocabulary.strip(codes)
        present = pl.concat([plain, shown]).implode()
        unknown: set[str] = set()
        for label, ids in self._told.items():
            names = pl.concat(ids).unique()
            has_name = plain.is_in(names.implode()) | shown.is_in(names.implode())
            self.label(pl.Series(codes[has_name.to_numpy()]), label)
            unknown |= {*names.filter(~names.is_in(present))}
        self.n_unknown = len(unknown)

    def _decide_labels(self) -> np.ndarray:
        labels = np.full(self._vocabulary.n_texts, None, object)
        for label, marked in self._labels.items():
            marked = self._grow(marked)
            clash = sorted({str(other) for other in labels[marked] if other is not None})
            if clash:
                raise ArchiveError(
                    f"Some accounts are labelled {label!r} and also {', '.join(map(repr, clash))}; "
                    "an account has one label, so correct the labels."
                )
            labels[marked] = label
        return labels


_PROFILES_EMPTY = pl.DataFrame(
    schema={"account": pl.UInt32, **{name: ACCOUNTS[name] for name in PROFILE}}
)
