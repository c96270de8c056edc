"""Seeds -> who shares them together -> what these share -> who shares that together, and so on.

In: a store and a list of objects. Out: a folder with a run of `share` for each round, and what was
new in it. The one idea: a round looks at all that is known so far, seeds included.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.archive.ids import read_ids
from gpu_coord.archive.sources import (
    ArchiveError,
    check_columns,
    naming_errors,
    plain_name,
    read_parquet,
    refuse_no_file,
    show_columns,
)
from gpu_coord.ground.choices import AUTO
from gpu_coord.ground.files import MEGABYTE, read_small
from gpu_coord.ground.texts import fold_hashtags
from gpu_coord.ground.urls import normalise_urls, registered_domains
from gpu_coord.results.command import Work, writes
from gpu_coord.results.findings import Findings
from gpu_coord.sharing.intervals import estimate_interval
from gpu_coord.sharing.run import share
from gpu_coord.sharing.settings import CycleSettings, ShareSettings
from gpu_coord.sharing.shares import Shares, fill_kinds, hash_objects, read_shares
from gpu_coord.store.store import name_accounts, name_entities

_MAX_SEED_BYTES = 512 * MEGABYTE
NO_ACCOUNT, NO_OBJECT, NO_ROUND = "no new account", "no new object", "no round left"

Seeds = Path | str | Sequence[str] | pl.DataFrame

_SEED_COLUMNS = ("object_id", "url", "value")  # the first that a table has


@writes("cycle", CycleSettings)
def run_cycle(work: Work, seeds: Seeds, *, graphs: bool = False) -> None:
    """Follow objects to the accounts that share them together, these to their objects, and so on.

    In each round `share` looks at the objects known so far; the accounts of its network are found;
    what ``min_sharers`` of all accounts found have shared, at any time, is looked at from the next
    round on. It ends with a round that brings no new account or no new object. A window ``auto``
    is estimated once, on all shares of these kinds, and rounded up to seconds. Seeds without a kind
    are looked for in all kinds that are followed. All shares of the kinds are read once, as by a
    `share` of everything.

    Parameters
    ----------
    seeds
        What to begin with, see `read_seeds`.

    Raises
    ------
    ArchiveError
        The file of seeds cannot be read as such.
    ValueError
        A setting is out of range, or no seed was shared in the time range.

    Source
    ------
    Giglietto et al. (2020), doi:10.1080/1369118X.2020.1739732; the archive takes the place of an
    API, so what was never collected is not reached.
    """
    work.settings = fill_kinds(work.settings, work.store)
    given = read_seeds(seeds)
    work.inputs["seeds"] = hash_objects(given)
    _CycleRun(work, given, graphs=graphs).write()


# --- seeds ---------------------------------------------------------------------------------------


def read_seeds(seeds: Seeds) -> pl.DataFrame:
    """Read the objects to begin with.

    Parameters
    ----------
    seeds
        A file: Parquet; CSV with a column ``object_id``, ``url`` or ``value`` (the first of these
        that it has) and perhaps ``kind``; or text, one value a line. Or a frame with such
        columns, or the values themselves.

    Returns
    -------
        ``row`` (line of a text, record of a table; 1 is the first), ``kind`` (null: not told),
        ``value`` as given; without rows that hold no value.

    Raises
    ------
    ArchiveError
        The file is broken, not UTF-8, or has no such column.
    ValueError
        There is no value at all.
    """
    if isinstance(seeds, str | Path):
        name, table = Path(seeds).name, _read_seed_file(Path(seeds))
    else:
        name = "seeds"
        table = (
            _take_columns(seeds, seeds.columns, name)
            if isinstance(seeds, pl.DataFrame)
            else _take_values(pl.Series("value", list(seeds), dtype=pl.String), name)
        )
    rows = table.with_row_index("row", 1).with_columns(pl.col("row").cast(pl.Int64))
    filled = rows.drop_nulls("value").select("row", "kind", "value")
    if filled.is_empty():
        raise ValueError(f"{name} holds no seed; give one object at least, such as a URL a line.")
    return filled


def _read_seed_file(path: Path) -> pl.DataFrame:
    rule = "seeds are one file: text, CSV or Parquet"
    refuse_no_file(path, rule)
    content = read_small(path, rule=rule, most=_MAX_SEED_BYTES)
    with naming_errors(path, None):
        if content[:4] == b"PAR1":
            table = read_parquet(path)
            return _take_columns(table, table.columns, path.name)
        text = content.decode("utf-8-sig")
        header = [name.strip(' \r"') for name in text.partition("\n")[0].split(",")]
        known = {plain_name(name) for name in _SEED_COLUMNS}
        if text.strip() and (path.suffix == ".csv" or known & set(map(plain_name, header))):
            table = pl.read_csv(text.encode(), infer_schema=False)
            return _take_columns(table, [name for name in header if name], path.name)
    lines = text.replace("\r\n", "\n").split("\n")
    return _take_values(pl.Series("value", lines, dtype=pl.String), path.name)


def _take_columns(table: pl.DataFrame, header: Sequence[str], name: str) -> pl.DataFrame:
    wanted = {plain_name(column): column for column in (*_SEED_COLUMNS, "kind")}
    present = {plain_name(column) for column in header}
    chosen = next((column for column in _SEED_COLUMNS if plain_name(column) in present), None)
    if chosen is None:
        raise ArchiveError(
            f"{name} has no column of objects ({show_columns(header, wanted)}); it needs one named "
            "object_id, url or value."
        )
    check_columns(name, header)
    table = table.rename({column: plain_name(column) for column in table.columns})
    values = _take_values(table[plain_name(chosen)], name)
    if "kind" in table.columns:
        return values.with_columns(kind=read_ids(table["kind"], name=name).str.strip_chars())
    return values.with_columns(kind=pl.lit("url")) if chosen == "url" else values


def _take_values(column: pl.Series, name: str) -> pl.DataFrame:
    values = read_ids(column, name=name)
    return pl.DataFrame({"value": values}).with_columns(kind=pl.lit(None, pl.String))


def locate_seeds(
    seeds: pl.DataFrame, objects: pl.DataFrame, *, url_rule: Any
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Find seeds among objects: as they were given or, where that is none, in the store's spelling.

    Parameters
    ----------
    seeds
        From `read_seeds`.
    objects
        ``object`` (its number), ``kind``, ``value``.
    url_rule
        The store's, see `gpu_coord.ground.urls`.

    Returns
    -------
        The ``row`` and ``object`` of the seeds that are there, and ``row, kind, value, reason`` of
        those that are not.
    """
    spellings = _spell_seeds(seeds, objects["kind"].unique().sort(), url_rule)
    # What a share table calls an object is found first: there no rule was applied.
    found = (
        spellings.join(objects, left_on=["kind", "spelling"], right_on=["kind", "value"])
        .sort("row", "kind", "attempt")
        .unique(["row", "kind"], keep="first", maintain_order=True)
        .select("row", "object")
    )
    named = spellings.filter(pl.col("attempt") == 2, pl.col("spelling").is_not_null())
    is_followed = pl.col("row").is_in(spellings["row"].unique().implode())
    is_named = pl.col("row").is_in(named["row"].unique().implode())
    reason = (
        pl.when(~is_followed).then(pl.lit("its kind is not followed"))
        .when(~is_named).then(pl.lit("no URL"))
        .otherwise(pl.lit("not shared in the data"))
    )  # fmt: skip
    missing = seeds.join(found, on="row", how="anti", maintain_order="left")
    return found, missing.with_columns(reason=reason)


def _spell_seeds(seeds: pl.DataFrame, kinds: pl.Series, url_rule: Any) -> pl.DataFrame:
    """Return, for each seed and kind that it may be of, three spellings: row, kind, attempt."""
    parts = [pl.DataFrame(schema=_SPELLINGS)]
    for kind in kinds:
        rows = seeds.filter(pl.col("kind").is_null() | (pl.col("kind") == kind))
        values, stripped = rows["value"], rows["value"].str.strip_chars()
        for attempt, spelling in enumerate((values, stripped, _spell(kind, stripped, url_rule))):
            part = rows.select("row", kind=pl.lit(kind), spelling=spelling)
            parts.append(part.with_columns(attempt=pl.lit(attempt, pl.Int32)))
    return pl.concat(parts)


_SPELLINGS = {"row": pl.Int64, "kind": pl.String, "spelling": pl.String, "attempt": pl.Int32}


def _spell(kind: str, values: pl.Series, url_rule: Any) -> pl.Series:
    """Write values as an X archive's are stored."""
    if kind == "url":
        return normalise_urls(values, rule=url_rule)
    if kind == "domain":
        return registered_domains(values)
    return fold_hashtags(values) if kind == "hashtag" else values


# --- rounds --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sharing:
    """Who shared what in the whole time range: each account and object once, however often."""

    objects: pl.DataFrame  # row = object: kind, value, n_accounts, n_events
    accounts: pl.DataFrame  # row = account: account_id, label, n_posts
    object: np.ndarray  # row of `objects`, (n_pairs,)
    account: np.ndarray  # row of `accounts`, (n_pairs,)

    def count_sharers(self, is_counted: np.ndarray) -> np.ndarray:
        """Count, of the accounts marked (n_accounts,), those that shared each object."""
        shared = self.object[is_counted[self.account]]
        return np.bincount(shared, minlength=self.objects.height)


def gather_sharing(shares: Shares) -> Sharing:
    """Forget when, and how often, accounts shared objects."""
    n_objects, n_accounts = shares.objects.height, shares.accounts.height
    key = np.unique(shares.object.astype(np.int64) * n_accounts + shares.account)
    objects = shares.objects.with_columns(
        pl.col("kind").cast(pl.String),
        n_accounts=pl.Series(np.bincount(key // n_accounts, minlength=n_objects)),
        n_events=pl.Series(np.bincount(shares.object, minlength=n_objects)),
    )
    accounts = shares.accounts.select("account_id", "label", "n_posts")
    return Sharing(
        objects, accounts,
        (key // n_accounts).astype(np.int32), (key % n_accounts).astype(np.int32),
    )  # fmt: skip


class _Known:
    """What is known so far: the round that found each object and account; -1 = none."""

    def __init__(self, sharing: Sharing, seeds: np.ndarray) -> None:
        self.sharing = sharing
        self.object_round = np.full(sharing.objects.height, -1)
        self.object_round[seeds] = 0
        self.account_round = np.full(sharing.accounts.height, -1)
        self.is_followed = self.object_round == 0

    def list_objects(self) -> pl.DataFrame:
        """Return the objects to look at."""
        return self.sharing.objects.filter(self.is_followed).select("kind", "value")

    def add_accounts(self, account_ids: pl.Series, number: int) -> int:
        """Note accounts as found in a round; return how many are new."""
        is_found = self.sharing.accounts["account_id"].is_in(account_ids.implode()).to_numpy()
        is_new = is_found & (self.account_round < 0)
        self.account_round[is_new] = number
        return int(is_new.sum())

    def add_objects(
        self, number: int, *, min_sharers: int, max_popularity: int | None
    ) -> tuple[int, int]:
        """Note what the accounts found share; return how much of it is followed, and not."""
        is_new = self.count_sharers() >= min_sharers
        is_new &= self.object_round < 0
        self.object_round[is_new] = number
        n_accounts = self.sharing.objects["n_accounts"].to_numpy()
        followed = is_new if max_popularity is None else is_new & (n_accounts <= max_popularity)
        self.is_followed |= followed
        return int(followed.sum()), int((is_new & ~followed).sum())

    def count_sharers(self) -> np.ndarray:
        """Count, of the accounts found, those that shared each object."""
        return self.sharing.count_sharers(self.account_round >= 0)


class _CycleRun:
    """One cycle under way: its rounds in their order, and its files."""

    def __init__(self, work: Work, seeds: pl.DataFrame, *, graphs: bool):
        self.work, self.seeds, self.graphs = work, seeds, graphs
        self.settings: CycleSettings = work.settings
        self.folder, self.store, self.clock = work.folder, work.store, work.clock
        self.rows: list[dict[str, Any]] = []

    def write(self) -> None:
        settings = self.settings
        with self.work.time("read"):
            shares = read_shares(
                self.store, kinds=settings.kinds or (), start=settings.start, end=settings.end,
                labels=self.work.labels,
            )  # fmt: skip
            window = settings.window
            if window == AUTO:  # estimated on everything, for the seeds may be few
                window = f"{ceil(estimate_interval(shares).seconds)}s"
            known, missing = self._place(gather_sharing(shares))
            del shares
        stopped = self._run_rounds(known, window)
        with self.work.time("write"):
            tables = {
                "rounds": pl.DataFrame(self.rows),
                "objects": self._list_objects(known),
                "accounts": self._list_accounts(known),
                "seeds_missing": missing,
            }
            self.work.write(tables)
        self._describe(missing, known, window, stopped)

    def _place(self, sharing: Sharing) -> tuple[_Known, pl.DataFrame]:
        """Find the seeds; return what is known, and the seeds that are missing."""
        objects = sharing.objects.select("kind", "value").with_row_index("object")
        rule = self.store.manifest.get("settings", {}).get("url_rule", "canonical")
        found, missing = locate_seeds(self.seeds, objects, url_rule=rule)
        if found.is_empty():
            reasons = missing["reason"].value_counts().sort("reason").rows()
            listed = ", ".join(f"{reason}: {count}" for reason, count in reasons)
            raise ValueError(
                f"none of the {self.seeds.height} seeds can be followed ({listed}); look at "
                "--kind, the time range and how the store spells its objects."
            )
        return _Known(sharing, found["object"].unique().to_numpy()), missing

    def _list_kinds(self, known: _Known) -> tuple[str, ...]:
        """Return the kinds that are there: of the others one warning is enough."""
        present = set(known.sharing.objects["kind"])
        return tuple(kind for kind in self.settings.kinds or () if kind in present)

    def _run_rounds(self, known: _Known, window: str) -> str:
        """Run the rounds; return why there are no more."""
        for number in range(1, self.settings.max_rounds + 1):
            name = f"round_{number:02}"
            with self.work.time(name):
                objects = known.list_objects()
                findings = self._share(self.folder / name, objects, known, window)
                row = self._book(findings, known, number)
            self.rows.append({"round": number, "n_objects": objects.height, **row, "run": name})
            if not row["n_new_accounts"]:
                return NO_ACCOUNT
            if not row["n_new_objects"]:
                return NO_OBJECT
        return NO_ROUND

    def _share(self, path: Path, objects: pl.DataFrame, known: _Known, window: str) -> Findings:
        choices = self.settings.pick(ShareSettings)
        choices |= {"window": window, "kinds": self._list_kinds(known)}
        with warnings.catch_warnings():
            if self.rows:  # the first round has said so
                warnings.filterwarnings("ignore", message="all times are whole")
            return share(
                self.store, path, objects=objects, labels=self.work.labels, graphs=self.graphs,
                backend=self.work.backend, memory=self.work.memory,
                progress=self.clock.report, **choices,
            )  # fmt: skip

    def _book(self, findings: Findings, known: _Known, number: int) -> dict[str, Any]:
        settings = self.settings
        network = findings.read("accounts").drop_nulls("component")
        n_new_accounts = known.add_accounts(network["account_id"], number)
        n_new_objects, n_too_popular = known.add_objects(
            number, min_sharers=settings.min_sharers, max_popularity=settings.max_popularity
        )
        return {
            "n_new_objects": n_new_objects,
            "n_too_popular": n_too_popular,
            "n_accounts": network.height,
            "n_new_accounts": n_new_accounts,
            "n_edges": findings.summary["n_edges"],
            "n_pairs": findings.summary["n_pairs"],
        }

    def _list_objects(self, known: _Known) -> pl.DataFrame:
        objects = known.sharing.objects.with_columns(
            round=pl.Series(known.object_round),
            is_seed=pl.Series(known.object_round == 0),
            followed=pl.Series(known.is_followed),
            n_sharers=pl.Series(known.count_sharers()),
        ).filter(pl.col("round") >= 0)
        return name_entities(objects, self.store).select(
            "kind", "value", "round", "is_seed", "followed", "n_sharers", "n_accounts", "n_events",
            "pseudonym",
        ).sort("round", "kind", "value")  # fmt: skip

    def _list_accounts(self, known: _Known) -> pl.DataFrame:
        accounts = known.sharing.accounts.with_columns(
            pseudonym=name_accounts(known.sharing.accounts["account_id"], self.store),
            round=pl.Series(known.account_round),
        )
        found = accounts.filter(pl.col("round") >= 0).sort("round", "account_id")
        return found.select("account_id", "label", "pseudonym", "round", "n_posts")

    def _describe(self, missing: pl.DataFrame, known: _Known, window: str, stopped: str) -> None:
        present = self._list_kinds(known)
        self.work.describe(
            window=window,
            missing_kinds=[kind for kind in self.settings.kinds or () if kind not in present],
            summary={
                "stopped": stopped,
                "n_rounds": len(self.rows),
                "n_seeds": self.seeds.height,
                "n_seeds_missing": missing.height,
                "n_seed_objects": int((known.object_round == 0).sum()),
                "n_objects": int(known.is_followed.sum()),
                "n_too_popular": sum(row["n_too_popular"] for row in self.rows),
                "n_accounts": int((known.account_round >= 0).sum()),
            },
        )
