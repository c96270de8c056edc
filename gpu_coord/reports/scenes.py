"""A run -> what an explorer draws: accounts with places, the lines between them, acts by time.

The one idea: accounts are rows of one table, and what is drawn knows for which row it stands.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import polars as pl

from gpu_coord.ground.escapes import UNSAFE
from gpu_coord.plots import PALETTE, lay_out, lay_out_groups
from gpu_coord.reports.meetings import read_acts
from gpu_coord.results.findings import Findings

MAX_LAID_OUT = 5_000  # accounts; the forces between more take minutes
MAX_LIT = 2_500  # edges that are lit among the accounts selected
MAX_ACTS = 200_000  # that are drawn by time
TIME = "%Y-%m-%d %H:%M:%S"
UNGROUPED = "none"  # the hue of accounts in no community


@dataclass(frozen=True, slots=True)
class Scene:
    """What is drawn of a run."""

    run: Findings
    show_ids: bool
    accounts: pl.DataFrame  # account_id, account (its name), community, edges, posts, hue, row
    points: pl.DataFrame  # place (a row of accounts), is_first (of it), walk (of a line)
    places: np.ndarray  # of accounts, (n_accounts, 2)
    pairs: np.ndarray  # of accounts that are linked, (n_pairs, 2)
    has_lines: bool
    acts: pl.DataFrame  # place (a row of accounts), account, moment (ms), time, kind, object, …
    said: str

    def join(self, shown: np.ndarray) -> list[np.ndarray]:
        """Return lines along the edges among accounts, or along all of a single one.

        Parameters
        ----------
        shown
            Rows of accounts.

        Returns
        -------
            Places, (n, 2), for each line; none where there are too many to be told apart.
        """
        is_in = np.isin(self.pairs, shown)
        pairs = self.pairs[is_in.any(axis=1) if len(shown) == 1 else is_in.all(axis=1)]
        return [self.places[each] for each in walk(pairs)] if len(pairs) <= MAX_LIT else []

    def place_acts(self, shown: np.ndarray) -> np.ndarray:
        """Return the height of each act where the accounts shown have a row each, 1 apart.

        Parameters
        ----------
        shown
            Rows of accounts; acts of others lie at 0.
        """
        heights = np.zeros(self.accounts.height)
        ranked = shown[np.argsort(self.accounts["row"].to_numpy()[shown])]
        heights[ranked] = np.arange(len(ranked)) + 0.5
        placed: np.ndarray = heights[self.acts["place"].to_numpy()]
        return placed

    def find(self, ids: pl.Series) -> np.ndarray:
        """Return the rows of accounts, without those that are not drawn."""
        rows = pl.DataFrame({"account_id": ids}).join(
            self.accounts.with_row_index().select("account_id", "index"), on="account_id"
        )
        return rows["index"].unique().sort().to_numpy()


def build_scene(run: Findings, *, show_ids: bool, max_edges: int) -> Scene:
    """Return what is drawn of a run.

    Parameters
    ----------
    show_ids
        Name accounts, and objects that are accounts or posts, by their ids.
    max_edges
        Networks of more edges have no lines.
    """
    run.check_run()
    linked = run.read_network()
    ends = pl.concat([linked["source"], linked["target"]]).value_counts(name="n_edges")
    accounts = ends.rename({"source": "account_id"}).join(run.read("accounts"), on="account_id")
    accounts = accounts.sort("account_id")
    source, target = (
        accounts["account_id"].search_sorted(linked[end]).to_numpy().astype(np.int64)
        for end in ("source", "target")
    )
    places = _place(accounts, source, target)
    pairs = _pair(source, target)
    has_lines = 0 < linked.height <= max_edges
    named = _name(accounts, show_ids=show_ids)
    acts, n_acts = read_acts(run, named["account_id"], show_ids=show_ids, n_rows=MAX_ACTS)
    return Scene(
        run, show_ids, named,
        _list_points(pairs, len(places)) if has_lines else _list_points(pairs[:0], len(places)),
        places, pairs, has_lines, _name_acts(acts, named),
        _describe(linked.height, named.height, acts.height, n_acts, max_edges),
    )  # fmt: skip


def _pair(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return each pair of accounts that are linked once, whichever follows."""
    pairs: np.ndarray = np.unique(np.sort(np.c_[source, target], axis=1), axis=0)
    return pairs


def walk(pairs: np.ndarray) -> list[np.ndarray]:
    """Return walks from account to account that go along each edge once.

    What draws lines takes time that grows with how many there are times how long they are in all:
    a line for each edge of 50,000 took ten times as long. Each account of a walk stands there
    twice, so that lines have no joints, which would be spikes where they turn back.

    Parameters
    ----------
    pairs
        Accounts that are linked, (n_pairs, 2).
    """
    ends: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for edge, (a, b) in enumerate(pairs.tolist()):
        ends[a].append((b, edge))
        ends[b].append((a, edge))
    is_new = [True] * len(pairs)
    found = [_walk_from(start, ends, is_new) for start in ends for _ in range(len(ends[start]))]
    return [np.repeat(each, 2) for each in found if len(each) > 1]


def _walk_from(at: int, ends: dict[int, list[tuple[int, int]]], is_new: list[bool]) -> list[int]:
    walked = [at]
    while ends[at]:
        other, edge = ends[at].pop()
        if is_new[edge]:
            is_new[edge] = False
            walked.append(other)
            at = other
    return walked


def _list_points(pairs: np.ndarray, n_accounts: int) -> pl.DataFrame:
    """Return the accounts on walks along edges; each account once where there are none."""
    walks = walk(pairs) or [np.arange(n_accounts)]
    points = pl.DataFrame(
        {
            "place": np.concatenate(walks),
            "walk": np.repeat(np.arange(len(walks)), [*map(len, walks)]),
        }
    )
    return points.with_columns(is_first=pl.col("place").is_first_distinct())


def _place(accounts: pl.DataFrame, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    if accounts.height <= MAX_LAID_OUT:
        return lay_out(source, target, n_accounts=accounts.height, seed=0)
    order = accounts["n_edges"].arg_sort(descending=True).to_numpy()
    places = np.zeros((accounts.height, 2))
    places[order] = lay_out_groups(accounts["community"].fill_null(-1).to_numpy()[order])
    return places


def _name(accounts: pl.DataFrame, *, show_ids: bool) -> pl.DataFrame:
    hue = (pl.col("community") % len(PALETTE)).cast(pl.String).fill_null(UNGROUPED)
    name = pl.col("account_id" if show_ids else "pseudonym")
    named = accounts.select(
        "account_id", "community", account=clean_column(name), edges="n_edges", posts="n_posts",
        hue=hue,
    )  # fmt: skip
    return named.with_columns(
        row=pl.struct(pl.col("community").fill_null(2**31 - 1), -pl.col("edges").cast(pl.Int64),
                      "account_id").rank("ordinal"),
    )  # fmt: skip


def clean_column(texts: pl.Expr) -> pl.Expr:
    """Return texts, each as one line that shows what a browser would obey."""
    return texts.str.replace_all(r"\s+", " ").str.replace_all(UNSAFE, "\ufffd")


def _name_acts(acts: pl.DataFrame, accounts: pl.DataFrame) -> pl.DataFrame:
    """Return what the accounts did that are drawn, with their names."""
    who = accounts.with_row_index("place").select(
        "account_id", "place", "hue", "account", "community"
    )
    named = acts.join(who, on="account_id", maintain_order="left")
    time = pl.col("time").dt
    return (
        named.with_columns(
            clean_column(pl.col("kind", "value").cast(pl.String)),
            moment=time.epoch("ms").cast(pl.Float64),
            time=time.strftime(TIME),
        )
        .drop("account_id")
        .rename({"value": "object"})
    )


def _describe(n_edges: int, n_accounts: int, n_shown: int, n_acts: int, max_edges: int) -> str:
    if not n_edges:
        return "The network has no edge; the table lists the strongest pairs nevertheless."
    said = f"{n_edges:,} edges of {n_accounts:,} accounts"
    if n_edges > max_edges:
        said += f", which are points alone (lines are drawn of up to {max_edges:,} edges)"
    if n_accounts > MAX_LAID_OUT:
        said += "; each community is a disc, and distances between discs mean nothing"
    if n_shown < n_acts:
        said += f"; {n_shown:,} of {n_acts:,} acts are drawn by time, evenly chosen"
    return f"{said}."
