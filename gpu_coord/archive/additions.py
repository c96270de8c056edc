"""A store that new inputs are added to: its tables, read in the place of the old inputs.

In: a store. Out: its rows as they were staged when their inputs were read, before those of new
inputs. The one idea: what was read once is the first input of the next ingest, so that all rules on
duplicates, numbers and order are the same code.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gpu_coord import __version__
from gpu_coord.archive.sources import FAMILIES, ArchiveError
from gpu_coord.archive.tables import PROFILE
from gpu_coord.ground.folders import list_differences
from gpu_coord.ground.kinds import names_accounts, names_posts
from gpu_coord.store.tables import read_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from gpu_coord.archive.sources import Source
    from gpu_coord.archive.tables import Accounts, Entities
    from gpu_coord.store.store import Store, Table

_ANEW = "ingest all inputs together into another store"
_GROWS = "label"  # the one setting that names inputs, so that it may differ


def check_settings(store: Store, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse to read new inputs otherwise than a store was; return the settings of all of them.

    Raises
    ------
    ValueError
        The store was made with other settings, or by another version.
    """
    made = store.manifest["gpu_coord"]
    if made != __version__:
        raise ValueError(
            f"{store.path} was made by gpu-coord {made}, which may read differently from "
            f"{__version__}; {_ANEW}."
        )
    wanted = json.loads(json.dumps(settings))
    known = {name: value for name, value in wanted.items() if name != _GROWS}
    if differing := list_differences(store.manifest["settings"], known):
        raise ValueError(
            f"{store.path} was read with {differing}; give the settings of the store, or {_ANEW}."
        )
    labelled = [*store.manifest["settings"][_GROWS], *wanted[_GROWS]]
    return {**wanted, _GROWS: labelled}


def leave_out_known(
    store: Store, sources: Sequence[Source], hashes: Mapping[Path, str]
) -> list[Source]:
    """Return the sources that a store does not hold yet, and warn of the others.

    Raises
    ------
    ValueError
        The sources are of another format, or one that the store holds has another label now.
    """
    (its_format, family), held = FAMILIES[sources[0].role], store.manifest
    if its_format != held["format"]:
        raise ArchiveError(
            f"{sources[0].name} is {family}, and {store.path} holds {held['format']}; ingest it "
            "into a store of its own."
        )
    known = {entry["sha256"]: entry for entry in held["inputs"]}
    for source in sources:
        if (entry := known.get(hashes[source.path])) is not None:
            _warn_of_known(store, source, entry)
    return [source for source in sources if hashes[source.path] not in known]


def _warn_of_known(store: Store, source: Source, entry: Mapping[str, Any]) -> None:
    if source.label != entry["label"]:
        raise ValueError(
            f"{store.path} holds {source.name} already, with the label {entry['label']} and not "
            f"{source.label}; {_ANEW}."
        )
    warnings.warn(
        f"{source.name} is in {store.path} already, as {entry['name']}, so it is not read again.",
        stacklevel=6,
    )


@dataclass(slots=True)
class Addition:
    """A store that is added to, while it is read in the place of its inputs."""

    store: Store
    _platforms: tuple[str | None, ...] = ()  # of its posts, where ids are of platforms
    _accounts: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint32))  # their codes
    _values: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint32))  # codes of entities
    _shared: pl.Series = field(default_factory=lambda: pl.Series(dtype=pl.String))  # content ids

    @property
    def manifest(self) -> dict[str, Any]:
        """What it says of the old inputs."""
        return self.store.manifest

    @property
    def n_rows(self) -> int:
        """How many rows come before those of new inputs: shares, or posts."""
        counted = "events" if self.manifest["format"] == "shares" else "posts"
        return int(self.manifest["totals"][counted])

    @property
    def has_users(self) -> bool:
        """Whether users files were among the old inputs."""
        return any(entry["content"] == "users" for entry in self.manifest["inputs"])

    # --- codes -----------------------------------------------------------------------------------

    def recall_accounts(self, accounts: Accounts, *, are_of_platforms: bool = False) -> None:
        """Give codes to all accounts, with their labels."""
        if are_of_platforms:
            posts = self.store.scan("posts").select(pl.col("platform").unique().sort())
            self._platforms = (*posts.collect()["platform"],)
            self._shared = self._find_shared_contents()
        known = self.store.read("accounts").select("account", "label", shown="account_id")
        named = self._name(known, "account")
        long = self.manifest["long_ids"]
        codes = accounts.recall(
            named["text"], named["platform"] if are_of_platforms else None,
            n_long=long["accounts"], n_cut=long["end_in_zeros"],
        )  # fmt: skip
        for label in known["label"].drop_nulls().unique():
            accounts.label(codes.filter((known["label"] == label).fill_null(value=False)), label)
        self._accounts = codes.to_numpy()

    def recall_profiles(self, accounts: Accounts) -> None:
        """Keep the profiles of all accounts that have none yet."""
        profiles = self.store.read("accounts").select(PROFILE)
        accounts.add_profiles(profiles.with_columns(account=self._accounts))

    def recall_followers(self) -> pl.DataFrame:
        """Return what accounts had; a count of followers is as old as the last post."""
        latest = self.store.scan("posts").group_by("account").agg(pl.col("time").max())
        known = self.store.scan("accounts").select("account", *PROFILE)
        told = known.join(latest, on="account", how="left", maintain_order="left").collect()
        is_timed = pl.col("follower_count").is_not_null()
        return told.with_columns(account=self._accounts, time=pl.when(is_timed).then("time"))

    def _recall_entities(self, entities: Entities) -> None:
        self._values = np.zeros(self.manifest["totals"]["entities"], np.uint32)
        are_hashed = bool(self.manifest["settings"]["pseudonymised"])
        for part in self._read("entities"):
            part = part.with_columns(pl.col("kind").cast(pl.String))
            for (kind,), rows in part.partition_by("kind", as_dict=True).items():
                known = rows.select("entity", shown="value")
                is_id = self._platforms and (names_accounts(kind) or names_posts(kind))
                named = self._name(known, "entity", kind) if is_id else None
                _, codes = entities.recall(
                    kind, known["shown"] if named is None else named["text"],
                    None if named is None else named["platform"], are_hashed=are_hashed,
                )  # fmt: skip
                self._values[known["entity"].to_numpy()] = codes.to_numpy()

    # --- rows ------------------------------------------------------------------------------------

    def read_posts(self) -> Iterator[pl.DataFrame]:
        """Yield the posts, with codes for accounts and the ids of contents without platforms."""
        text = _strip(pl.col("content_id"), pl.col("platform"))
        for part in self._read("posts"):
            part = part.with_columns(account=self._accounts[part["account"].to_numpy()])
            if self._shared.len():
                is_shared = text.is_in(self._shared.implode())
                part = part.with_columns(
                    content_id=pl.when(is_shared).then(text).otherwise("content_id")
                )
            yield part

    def read_events(self, entities: Entities) -> Iterator[pl.DataFrame]:
        """Yield the events, with codes for accounts, kinds and values."""
        self._recall_entities(entities)
        positions = {kind: at for at, kind in enumerate(entities.kinds)}
        for part in self._read("events"):
            kind = part["kind"].cast(pl.String)
            yield part.drop("entity").with_columns(
                account=self._accounts[part["account"].to_numpy()],
                value=self._values[part["entity"].to_numpy()],
                kind=kind.replace_strict(positions, return_dtype=pl.UInt8),
            )

    def read_texts(self) -> Iterator[pl.DataFrame]:
        """Yield the texts, with codes for values; once events were read."""
        for part in self._read("texts"):
            yield part.select("text", value=self._values[part["entity"].to_numpy()])

    def read_rejects(self, *, of_users: bool) -> Iterator[pl.DataFrame]:
        """Yield what was set aside of users files, or of all others."""
        users = [e["name"] for e in self.manifest["inputs"] if e["content"] == "users"]
        for part in self._read("rejects"):
            yield part.filter(pl.col("file").is_in(users) == of_users)

    def _read(self, table: Table) -> Iterator[pl.DataFrame]:
        return read_parts(self.store.path / f"{table}.parquet")

    # --- ids without their platforms -------------------------------------------------------------

    def _name(self, known: pl.DataFrame, column: str, kind: str | None = None) -> pl.DataFrame:
        """Add ``text`` and ``platform`` to ids as they are shown, whose numbers are in a column."""
        if len(self._platforms) < 2:
            only = pl.lit(next(iter(self._platforms), None), pl.String)
            return known.with_columns(text="shown", platform=only)
        told = self._tell_platforms(column, kind)
        named = known.join(told, on=column, how="left", maintain_order="left")
        guesses = [  # of what has no post: an account of which all was excluded
            pl.when(pl.col("shown").str.starts_with(f"{name}:")).then(pl.lit(name))
            for name in self._platforms
            if name is not None
        ]
        named = named.with_columns(platform=pl.coalesce("platform", *guesses))
        named = named.with_columns(text=_strip(pl.col("shown"), pl.col("platform")))
        is_shared = pl.len().over("text") > 1
        return named.with_columns(text=pl.when(is_shared).then("text").otherwise("shown"))

    def _tell_platforms(self, column: str, kind: str | None) -> pl.DataFrame:
        """Return the platform of each account, or entity of a kind, that has one alone."""
        posts = self.store.scan("posts").select("post", "account", "platform")
        if kind is not None:
            events = self.store.scan("events").filter(pl.col("kind").cast(pl.String) == kind)
            posts = events.select("post", column).join(posts.drop("account"), on="post")
        pairs = posts.select(column, "platform").drop_nulls().unique()
        alone = pairs.group_by(column).agg(pl.len(), pl.col("platform").first())
        return alone.filter(pl.col("len") == 1).drop("len").collect()

    def _find_shared_contents(self) -> pl.Series:
        """Return the ids of contents that are of several platforms, and shown with these."""
        if len(self._platforms) < 2:
            return pl.Series(dtype=pl.String)
        text = _strip(pl.col("content_id"), pl.col("platform"))
        ids = self.store.scan("posts").select("content_id", "platform").unique()
        ids = ids.with_columns(text=text)
        cut = ids.filter(pl.col("text") != pl.col("content_id")).select("text").unique()
        found = ids.join(cut, on="text", how="semi").group_by("text").len()
        return found.filter(pl.col("len") > 1).collect()["text"]


def _strip(shown: pl.Expr, platform: pl.Expr) -> pl.Expr:
    """Return ids without a platform of theirs that stands before them."""
    prefix = platform + ":"
    has_prefix = shown.str.starts_with(prefix).fill_null(value=False)
    return pl.when(has_prefix).then(shown.str.slice(prefix.str.len_chars())).otherwise(shown)
