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
    has_lines: bool  # points of an account and the tips of its edges are a line, in turns
    acts: pl.DataFrame  # place (a row of accounts), account, moment (ms), time, kind, object, …
    said: str

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
    has_lines = 0 < linked.height <= max_edges
    named = _name(accounts, show_ids=show_ids)
    acts, n_acts = read_acts(run, show_ids=show_ids, n_rows=MAX_ACTS)
    return Scene(
        run, show_ids, named,
        draw_stars(source, target, places) if has_lines else _draw_points(places),
        has_lines, _name_acts(acts, named),
        _describe(linked.height, named.height, acts.height, n_acts, max_edges),
    )  # fmt: skip


def draw_stars(source: np.ndarray, target: np.ndarray, places: np.ndarray) -> pl.DataFrame:
    """Return a line for each account that visits the tips of its edges: it, a tip, it, a tip, …

    What draws lines takes time that grows with how many there are times how long they are in all,
    so that a line for each edge would take ten times as long. Tips end short of the other account,
    which keeps the point of that to itself.

    Returns
    -------
        ``place`` (the account of a point, of a tip the other one), ``x``, ``y``, ``is_tip``, and
        ``star`` (the account of the line).
    """
    ends = np.unique(
        np.column_stack([np.concatenate([source, target]), np.concatenate([target, source])]),
        axis=0,
    )
    own, other = places[ends[:, 0]], places[ends[:, 1]]
    length = np.maximum(np.hypot(*(other - own).T), 1e-9)[:, None]
    tips = other - (other - own) / length * np.minimum(_SHORT, length / 3)
    at = np.stack([own, tips], axis=1).reshape(-1, 2)
    return pl.DataFrame(
        {"place": ends.ravel(), "x": at[:, 0], "y": at[:, 1], "star": np.repeat(ends[:, 0], 2)}
    ).with_columns(is_tip=pl.int_range(pl.len()) % 2 == 1)


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
