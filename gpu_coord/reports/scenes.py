"""A run -> what an explorer draws: accounts with places, the lines between them, acts by time.

The one idea: accounts are rows of one table, and whatever is drawn knows the row that it stands for.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from gpu_coord.ground.escapes import UNSAFE
from gpu_coord.plots import PALETTE, lay_out, lay_out_groups
from gpu_coord.reports.meetings import read_acts
from gpu_coord.results.findings import Findings

MAX_LAID_OUT = 5_000  # accounts; the forces between more take minutes
MAX_ACTS = 200_000  # that are drawn by time
_SHORT = 0.15  # of the other account, where accounts lie about 1 apart
TIME = "%Y-%m-%d %H:%M:%S"
UNGROUPED = "none"  # the hue of accounts in no community


@dataclass(frozen=True, slots=True)
class Scene:
    """What is drawn of a run."""

    run: Findings
    show_ids: bool
    accounts: pl.DataFrame  # account_id, account (its name), community, edges, posts, hue, row
    points: pl.DataFrame  # place (a row of accounts), x, y, is_tip
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
        """
        is_in = np.isin(self.pairs, shown)
        pairs = self.pairs[is_in.any(axis=1) if len(shown) == 1 else is_in.all(axis=1)]
        starts = np.flatnonzero(np.diff(pairs[:, 0])) + 1
        return [self.places[star.ravel()] for star in np.split(pairs, starts) if len(star)]

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
        return heights[self.acts["place"].to_numpy()]

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
    pairs = _pair(source, target, len(places))
    has_lines = 0 < linked.height <= max_edges
    named = _name(accounts, show_ids=show_ids)
    acts, n_acts = read_acts(run, show_ids=show_ids, n_rows=MAX_ACTS)
    return Scene(
        run, show_ids, named,
        draw_stars(pairs, places) if has_lines else _draw_points(places),
        places, pairs, has_lines, _name_acts(acts, named),
        _describe(linked.height, named.height, acts.height, n_acts, max_edges),
    )  # fmt: skip


def _pair(source: np.ndarray, target: np.ndarray, n_accounts: int) -> np.ndarray:
    """Return each pair of accounts that are linked once, first the one that has more edges."""
    n_edges = np.bincount(np.concatenate([source, target]), minlength=n_accounts)
    is_turned = (n_edges[source] < n_edges[target]) | (
        (n_edges[source] == n_edges[target]) & (source > target)
    )
    ends = np.where(is_turned[:, None], np.c_[target, source], np.c_[source, target])
    pairs: np.ndarray = np.unique(ends, axis=0)
    return pairs


def draw_stars(pairs: np.ndarray, places: np.ndarray) -> pl.DataFrame:
    """Return lines that go from an account to the tips of its edges: it, a tip, it, a tip, …

    What draws lines takes time that grows with how many there are times how long they are in all,
    so that a line for each edge would take ten times as long. Tips end short of the other account,
    but for one that stands for an account without a line of its own.

    Parameters
    ----------
    pairs
        Rows of accounts, (n_pairs, 2), by the first, whose line it is.
    places
        Of all accounts, (n_accounts, 2).

    Returns
    -------
        ``place`` (the account of a point, of a tip the other one), ``x``, ``y``, ``is_tip``, and
        ``star`` (the account of the line).
    """
    others, first = np.unique(pairs[:, 1], return_index=True)
    is_tip = np.ones(len(pairs), dtype=bool)
    is_tip[first[~np.isin(others, pairs[:, 0])]] = False
    own, other = places[pairs[:, 0]], places[pairs[:, 1]]
    length = np.maximum(np.hypot(*(other - own).T), 1e-9)[:, None]
    short = np.where(is_tip[:, None], np.minimum(_SHORT, length / 3), 0)
    at = np.stack([own, other - (other - own) / length * short], axis=1).reshape(-1, 2)
    return pl.DataFrame(
        {"place": pairs.ravel(), "x": at[:, 0], "y": at[:, 1], "star": np.repeat(pairs[:, 0], 2),
         "is_tip": np.stack([np.zeros_like(is_tip), is_tip], axis=1).ravel()}
    )  # fmt: skip


def _draw_points(places: np.ndarray) -> pl.DataFrame:
    frame = pl.DataFrame({"x": places[:, 0], "y": places[:, 1]}).with_row_index("place")
    return frame.with_columns(pl.lit(value=False).alias("is_tip"))


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
    return named.with_columns(
        clean_column(pl.col("kind", "value").cast(pl.String)),
        moment=time.epoch("ms").cast(pl.Float64),
        time=time.strftime(TIME),
    ).rename({"value": "object"})


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
