"""From text to the dense numbers of a store.

In: ids and values batch by batch. Out: accounts and entities, numbered in byte order. The one
idea: while files are read each distinct text has a code in order of arrival; the order that
readers see is made at the end, over distinct texts only. Accounts stay in memory.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gpu_coord.archive.cells import hash_ids
from gpu_coord.archive.ids import count_cut
from gpu_coord.archive.sources import ArchiveError
from gpu_coord.archive.vocabularies import Ids, add_platforms, sort_texts
from gpu_coord.ground.kinds import names_accounts, names_posts
from gpu_coord.ground.texts import fold_case, fold_hashtags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
    """The entities of each kind.

    Parameters
    ----------
    aside
        Folder for the values that memory does not hold.
    """

    def __init__(self, aside: Path) -> None:
        self.kinds: list[str] = []
        self._aside = aside
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
        """Count the codes of a kind; those that come next begin here."""
        return self._vocabularies[self.kinds.index(kind)].n_codes if kind in self.kinds else 0

    def recall(
        self, kind: str, values: pl.Series, platforms: pl.Series | None, *, are_hashed: bool
    ) -> tuple[int, pl.Series]:
        """Encode the entities of a store, before there are others; accounts perhaps hashed."""
        position, codes = self.encode(kind, values, platforms)
        if are_hashed and names_accounts(kind):
            self._vocabularies[position].n_hashed += len(codes)
        return position, codes

    def _add(self, kind: str) -> None:
        if len(self.kinds) >= MAX_KINDS:
            raise ArchiveError(
                f"More than {MAX_KINDS} kinds, the last is {kind!r}; the kind of a share is the "
                "sort of object (hashtag, url, ...), not the object."
            )
        self._vocabularies.append(Ids(self._aside / str(len(self.kinds))))
        self.kinds.append(kind)
        self._seen.append(np.zeros(0, bool))

    def mark(self, events: pl.DataFrame) -> None:
        """Note which entities have events (columns ``kind``, ``value``)."""
        kinds, values = events["kind"].to_numpy(), events["value"].to_numpy()
        for kind in np.unique(kinds).tolist():
            missing = self._vocabularies[kind].n_codes - len(self._seen[kind])
            self._seen[kind] = np.pad(self._seen[kind], (0, missing))
            self._seen[kind][values[kinds == kind]] = True

    def unify(self, events: pl.DataFrame) -> np.ndarray:
        """Return the one code of each event's value (columns ``kind``, ``value``)."""
        kinds, values = events["kind"].to_numpy(), events["value"].to_numpy().copy()
        for kind in np.unique(kinds).tolist():
            values[kinds == kind] = self._vocabularies[kind].unify(values[kinds == kind])
        return values

    def number(self, exclusion: Exclusion, key: bytes | None) -> Iterator[pl.DataFrame]:
        """Give numbers to the entities that have events; yield the table of entities in parts."""
        n_kinds, n_numbered = len(self.kinds), 0
        self._numbers = [np.empty(0, np.int32)] * n_kinds
        self._excluded_by = [np.empty(0, np.int32)] * n_kinds
        for kind in sorted(range(n_kinds), key=lambda at: self.kinds[at].encode()):
            name, n_codes = self.kinds[kind], self._vocabularies[kind].n_codes
            self._numbers[kind] = np.full(n_codes, -1, np.int32)
            self._excluded_by[kind] = np.full(n_codes if exclusion.terms else 0, -1, np.int32)
            self._seen[kind] = np.pad(self._seen[kind], (0, n_codes - len(self._seen[kind])))
            for ids in self._vocabularies[kind].arrange(key if names_accounts(name) else None):
                values = self._number_part(kind, ids, n_numbered, exclusion)
                entities = np.arange(n_numbered, n_numbered + len(values), dtype=np.int32)
                n_numbered += len(values)
                yield pl.DataFrame({"entity": entities, "value": values}).with_columns(
                    kind=pl.lit(name)
                )

    def _number_part(
        self, kind: int, ids: pl.DataFrame, first: int, exclusion: Exclusion
    ) -> pl.Series:
        """Give numbers to some ids, to one of those that are the same; return their values."""
        codes, same = ids["code"].to_numpy(), ids["same"].to_numpy()
        is_seen, numbers = self._seen[kind], self._numbers[kind]
        is_seen[same[is_seen[codes]]] = True
        named = ids.filter(pl.Series(is_seen[codes] & (codes == same)))
        excluded_by = exclusion.find(self.kinds[kind], named["text"])
        if exclusion.terms:
            self._excluded_by[kind][named["code"].to_numpy()] = excluded_by
            self._excluded_by[kind][codes] = self._excluded_by[kind][same]
        kept = named.filter(pl.Series(excluded_by < 0))
        numbers[kept["code"].to_numpy()] = np.arange(first, first + kept.height, dtype=np.int32)
        numbers[codes] = numbers[same]
        return kept["value"]

    def list_numbers(self, kind: str) -> np.ndarray:
        """Return the entity of each code of a kind, once numbered; -1: it is not in the store."""
        return self._numbers[self.kinds.index(kind)] if kind in self.kinds else np.empty(0, int)

    def look_up(self, events: pl.DataFrame, exclusion: Exclusion) -> np.ndarray:
        """Return the entity of each event; -1 where it is excluded, which is counted."""
        entities = np.full(events.height, -1, np.int32)
        kinds, codes = events["kind"].to_numpy(), events["value"].to_numpy()
        for kind in range(len(self.kinds)):
            at = np.flatnonzero(kinds == kind)
            entities[at] = self._numbers[kind][codes[at]]
            if exclusion.terms:
                reasons = self._excluded_by[kind][codes[at]]
                hits = np.bincount(reasons[reasons >= 0], minlength=len(exclusion.terms))
                exclusion.n_events.update(dict(zip(exclusion.terms, hits.tolist(), strict=True)))
        return entities


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
        self.early_key: bytes | None = None  # with which ids are hashed as they come
        self._platforms: set[str] = set()  # under such a key there is one at most
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
        if self.early_key is not None:
            return self._encode_hashed(ids, platforms, self.early_key)
        return self._vocabulary.add(ids, platforms)

    def recall(
        self,
        ids: pl.Series,
        platforms: pl.Series | None,
        *,
        n_long: int,
        n_cut: int,
    ) -> pl.Series:
        """Return the codes of the accounts of a store, as it has them, before there are others.

        Parameters
        ----------
        n_long, n_cut
            See `count_cut`; of hashed ids only the store can tell.
        """
        if self._persons is not None and platforms is not None:
            platforms = platforms.set(ids.is_in(self._persons[1].implode()), None)
        if self.early_key is not None:
            self.n_long, self.n_cut = n_long, n_cut
            self._refuse_platforms(platforms)
            platforms = None
        codes = self._vocabulary.add(ids, platforms)
        self.mark(codes)
        return codes

    def _encode_hashed(self, ids: pl.Series, platforms: pl.Series | None, key: bytes) -> pl.Series:
        self._refuse_platforms(platforms)
        n_known = self._vocabulary.n_codes
        codes = self._vocabulary.add(hash_ids(ids, key))
        n_long, n_cut = count_cut(ids.filter((codes >= n_known) & codes.is_first_distinct()))
        self.n_long, self.n_cut = self.n_long + n_long, self.n_cut + n_cut
        return codes

    def _refuse_platforms(self, platforms: pl.Series | None) -> None:
        self._platforms |= set() if platforms is None else set(platforms.drop_nulls())
        if len(self._platforms) > 1:
            raise ArchiveError(
                f"the posts are of {' and '.join(sorted(self._platforms))}, and one id on two "
                "platforms is two accounts, which pseudonyms do not tell; ingest all inputs "
                "together into another store."
            )

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
        if self.early_key is not None:
            ids = hash_ids(ids, self.early_key)
        self._told.setdefault(label, []).append(ids)

    def _grow(self, flags: np.ndarray) -> np.ndarray:
        return np.pad(flags, (0, self._vocabulary.n_codes - len(flags)))

    def number(self, key: bytes | None) -> pl.DataFrame:
        """Give numbers to the accounts, by the bytes of their ids; return the table of accounts."""
        every = self._vocabulary.unify(np.arange(self._vocabulary.n_codes))
        is_present = np.zeros(self._vocabulary.n_codes, bool)
        is_present[every[self._grow(self._present)]] = True
        codes = np.flatnonzero(is_present)
        ids = self._vocabulary.show(codes)
        self._find_told(codes, ids)
        if self.early_key is None:
            self.n_long, self.n_cut = count_cut(ids)
        ids = ids if key is None else hash_ids(ids, key)
        order = sort_texts(ids)
        codes, ids = codes[order], ids.gather(order)
        numbers = np.arange(len(codes), dtype=np.int32)
        self.numbers = _scatter(self._vocabulary.n_codes, codes, numbers)[every]
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
        labels = np.full(self._vocabulary.n_codes, None, object)
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
