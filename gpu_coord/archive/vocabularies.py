"""Distinct texts and ids, as many as the disk holds.

In: texts batch by batch. Out: a code for each and, at the end, all of them in the order of their
bytes. The one idea: a text has a code in order of arrival; when many are held they go to the disk,
sorted, and a new run begins, in which a text may have another code. A range of texts at a time,
all runs are brought together again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from gpu_coord.archive.cells import hash_ids
from gpu_coord.ground.parquet import read_parquet, write_parquet
from gpu_coord.store.tables import read_parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUN_TEXTS = 1 << 18  # as many are held in memory, some 125 bytes each
SAMPLE_STEP = 1 << 12
ROWS_AT_ONCE = 1 << 12  # of each run, where all are brought together


class Vocabulary:
    """Distinct texts in memory, each with a code in order of arrival."""

    def __init__(self) -> None:
        self._type = pl.Categorical(pl.Categories.random())
        self._anchor = pl.Series(dtype=self._type)  # Polars forgets codes that no series uses
        self.n_codes = 0

    def encode(self, texts: pl.Series) -> pl.Series:
        """Return the code of each text, as UInt32; null stays null."""
        codes = texts.cast(self._type).to_physical()
        if len(codes) > codes.null_count():
            self.n_codes = max(self.n_codes, int(codes.max()) + 1)  # type: ignore[arg-type]
        return codes

    def decode(self, codes: np.ndarray | pl.Series) -> pl.Series:
        """Return the texts of codes."""
        return pl.Series(codes, dtype=pl.UInt32).cat.to(self._type).cast(pl.String)


_BEFORE_PLATFORM = "\x1f"  # the unit separator of ASCII
_TEXT_PAIR: dict[str, Any] = {"text": pl.String, "platform": pl.String}


def add_platforms(ids: pl.Series, platforms: pl.Series | None) -> pl.Series:
    """Return ids that differ between platforms; `_split_platforms` undoes it."""
    if platforms is None:
        return ids
    has_mark = ids.str.contains(_BEFORE_PLATFORM, literal=True)
    if platforms.null_count() == len(platforms) and not has_mark.any():
        return ids
    named = pl.DataFrame({"text": ids, "platform": platforms}, schema_overrides=_TEXT_PAIR)
    platform = pl.col("platform").str.replace_all(_BEFORE_PLATFORM, " ", literal=True)
    # An id with the mark in it stands before one in any case, or its end were a platform.
    platform = platform.fill_null(pl.when(has_mark).then(pl.lit("")))
    keyed = pl.col("text") + _BEFORE_PLATFORM + platform
    return named.select(pl.coalesce(keyed, "text").alias(ids.name)).to_series()


def _split_platforms(keyed: pl.Series) -> pl.DataFrame:
    """Return ``text`` and ``platform`` (null: none)."""
    key = pl.col("key")
    has_platform = key.str.contains(_BEFORE_PLATFORM, literal=True)
    parts = key.str.extract_groups(f"(?s)^(.*){_BEFORE_PLATFORM}(.*)$")
    platform = parts.struct[1]
    return keyed.to_frame("key").select(
        text=pl.when(has_platform).then(parts.struct[0]).otherwise(key),
        platform=pl.when(platform != "").then(platform),
    )


class _Known(NamedTuple):
    same: np.ndarray  # code -> the code that stands for it
    is_shared: np.ndarray  # code -> is there another with the same text


class _Run:
    """Ids on the disk in the order of their texts, read once, a few at a time.

    Parameters
    ----------
    file
        Of `Ids`.
    """

    def __init__(self, file: Path) -> None:
        self._parts = read_parts(file)
        self._held = next(self._parts)

    def take_below(self, high: str | None) -> pl.DataFrame:
        """Return those that were not taken yet and are below a text; None: all."""
        taken = []
        while self._held.height and (high is None or self._held["text"][-1] < high):
            taken.append(self._held)
            self._held = next(self._parts, self._held.clear())
        n_below = 0 if high is None else int((self._held["text"] < high).sum())
        taken.append(self._held[:n_below])
        self._held = self._held[n_below:]
        return pl.concat(taken)


class Ids:
    """Distinct ids: one id on two platforms is two, and is shown as ``platform:id``.

    An id without a platform is that of its only platform; where it has several, or none, it is one
    of its own.

    Parameters
    ----------
    aside
        Folder for the ids that memory does not hold; None: it holds all.
    """

    def __init__(self, aside: Path | None = None) -> None:
        self._aside = aside
        self._run = Vocabulary()
        self._starts = [0]  # the first code of each run; the last one is in memory
        self._samples: list[str] = []  # of the runs on the disk
        self._has_platforms = False
        self._known: _Known | None = None  # once all ids have their codes
        self.n_hashed = 0  # the first ones are hashed already

    @property
    def n_codes(self) -> int:
        """How many codes there are; those that come next begin here."""
        return self._starts[-1] + self._run.n_codes

    def add(self, ids: pl.Series, platforms: pl.Series | None = None) -> pl.Series:
        """Return a code for each id, as UInt32; an id may have several, see `unify`.

        Platforms are given always, or never.
        """
        keyed = add_platforms(ids, platforms)
        self._has_platforms |= keyed is not ids
        self._known = None
        codes = self._run.encode(keyed) + self._starts[-1]
        if self._aside is not None and self._run.n_codes >= RUN_TEXTS:
            self._put_aside(self._aside)
        return codes

    def unify(self, codes: np.ndarray) -> np.ndarray:
        """Return the one code of each id, once all have theirs."""
        return self._list_known().same[codes] if self._may_differ() else codes

    def show(self, codes: np.ndarray | pl.Series) -> pl.Series:
        """Return the ids of codes, once all have theirs."""
        if not self._has_platforms:
            return self._decode(codes)["text"]
        unified = self.unify(np.asarray(codes))
        ids = self._decode(unified)
        is_shared = pl.Series(self._list_known().is_shared[unified], dtype=pl.Boolean)
        return _name(ids, is_shared)

    def strip(self, codes: np.ndarray) -> pl.Series:
        """Return the ids of codes without their platforms."""
        return self._decode(codes)["text"]

    def arrange(self, key: bytes | None = None) -> Iterator[pl.DataFrame]:
        """Yield all ids in the order of what is written of them, once all have their codes.

        What many share with other platforms, or what a key hides, is arranged in memory.

        Returns
        -------
        Columns ``text`` (as shown), ``value`` (as written: under a key its hash), ``code`` and
        ``same`` (the code that stands for it, which is in the same frame).
        """
        is_plain = not (self._has_platforms and self._list_known().is_shared.any())
        if key is None and is_plain:
            for ids in self._sort():
                yield self._find_same(ids).select("text", "code", "same", value="text")
            return
        codes = np.arange(self.n_codes, dtype=np.uint32)
        shown = self.show(codes)
        value = shown if key is None else self._hash(shown, key)
        order = sort_texts(value)
        columns = {"text": shown, "value": value, "code": codes, "same": self.unify(codes)}
        yield pl.DataFrame(columns)[order]

    def _hash(self, shown: pl.Series, key: bytes) -> pl.Series:
        """Return the hash of each id; one that came hashed, too, is one id, not two."""
        hashed = hash_ids(shown.slice(self.n_hashed), key)
        value = pl.concat([shown.head(self.n_hashed), hashed])
        if self.n_hashed:
            known = self._list_known()
            pairs = pl.DataFrame({"value": value, "same": known.same})
            same = pairs.select(pl.col("same").min().over("value")).to_series().to_numpy()
            self._known = known._replace(same=same)
        return value

    def _may_differ(self) -> bool:
        return self._has_platforms or len(self._starts) > 1 or self.n_hashed > 0

    def _list_known(self) -> _Known:
        if self._known is None:
            known = _Known(np.arange(self.n_codes, dtype=np.uint32), np.zeros(self.n_codes, bool))
            for ids in self._sort() if self._may_differ() else ():
                found, codes = self._find_same(ids), ids["code"].to_numpy()
                known.same[codes] = found["same"].to_numpy()
                known.is_shared[codes] = found["is_shared"].to_numpy()
            self._known = known
        return self._known

    def _find_same(self, ids: pl.DataFrame) -> pl.DataFrame:
        """Add the code that stands for each id, and whether its text stands for others, too."""
        if not self._may_differ():
            return ids.with_columns(same="code", is_shared=pl.lit(value=False))
        if not self._has_platforms:
            same = pl.col("code").min().over("text")
            return ids.with_columns(same=same, is_shared=pl.lit(value=False))
        ids = ids.with_columns(own=pl.col("code").min().over("text", "platform"))
        ids = ids.with_columns(named=pl.when(pl.col("platform").is_not_null()).then("own"))
        first, last = (pl.col("named").min().over("text"), pl.col("named").max().over("text"))
        ids = ids.with_columns(same=pl.coalesce("named", pl.when(first == last).then(first), "own"))
        return ids.with_columns(is_shared=pl.col("same").n_unique().over("text") > 1)

    # --- runs ------------------------------------------------------------------------------------

    def _decode(self, codes: np.ndarray | pl.Series) -> pl.DataFrame:
        """Return ``text`` and ``platform`` of codes."""
        if len(self._starts) == 1:
            return self._split(self._run.decode(codes))
        wanted = pl.DataFrame({"code": pl.Series(codes, dtype=pl.UInt32)})
        runs = np.searchsorted(self._starts, wanted["code"].unique().to_numpy(), side="right") - 1
        known = [self._read_run(run).join(wanted, on="code", how="semi") for run in np.unique(runs)]
        return wanted.join(
            pl.concat([self._list_run().clear(), *known]), on="code", how="left",
            maintain_order="left",
        )  # fmt: skip

    def _read_run(self, run: int) -> pl.DataFrame:
        if run == len(self._starts) - 1:
            return self._list_run()
        assert self._aside is not None
        return read_parquet(self._aside / f"{run}.parquet")

    def _list_run(self) -> pl.DataFrame:
        """Return ``text``, ``platform`` and ``code`` of the ids in memory."""
        codes = np.arange(self._run.n_codes, dtype=np.uint32)
        return self._split(self._run.decode(codes)).with_columns(code=codes + self._starts[-1])

    def _split(self, keyed: pl.Series) -> pl.DataFrame:
        if self._has_platforms:
            return _split_platforms(keyed)
        return keyed.to_frame("text").with_columns(platform=pl.lit(None, pl.String))

    def _put_aside(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        run = _order(self._list_run())
        file = folder / f"{len(self._starts) - 1}.parquet"
        choices = {"compression": "lz4", "row_group_size": ROWS_AT_ONCE, "statistics": True}
        write_parquet(run, file, **choices)
        self._samples += run["text"].gather_every(SAMPLE_STEP).to_list()  # a copy
        self._starts.append(self.n_codes)
        self._run = Vocabulary()

    def _sort(self) -> Iterator[pl.DataFrame]:
        """Yield ``text``, ``platform`` and ``code``, ordered by text; equal texts in one frame."""
        if self._aside is None or len(self._starts) == 1:
            yield _order(self._list_run())
            return
        if self._run.n_codes:
            self._put_aside(self._aside)
        runs = [_Run(self._aside / f"{run}.parquet") for run in range(len(self._starts) - 1)]
        for high in [*self._list_bounds(), None]:
            yield _order(pl.concat([run.take_below(high) for run in runs]))

    def _list_bounds(self) -> list[str]:
        """Return texts between which there are some `RUN_TEXTS` each."""
        samples = sorted(self._samples, key=str.encode)
        return list(dict.fromkeys(samples[:: max(RUN_TEXTS // SAMPLE_STEP, 1)][1:]))


def _name(ids: pl.DataFrame, is_shared: pl.Series) -> pl.Series:
    """Return ids, with their platform before them where it is needed."""
    whole = pl.coalesce(pl.col("platform") + ":" + pl.col("text"), "text")
    return ids.select(pl.when(is_shared).then(whole).otherwise("text")).to_series()


def _order(ids: pl.DataFrame) -> pl.DataFrame:
    return ids[sort_texts(ids["text"])]


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
