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
TIME = "%Y-%m-%d %H:%M:%S"
UNGROUPED = "none"  # the hue of accounts in no community


@dataclass(frozen=True, slots=True)
class Scene:
    """What is drawn of a run."""

    run: Findings
    show_ids: bool
    accounts: pl.DataFrame  # account_id, account (its name), community, edges, posts, hue, x, y, row (of acts)
    source: np.ndarray  # of each line, a row of accounts; none where accounts are points
    target: np.ndarray
    acts: pl.DataFrame  # place (a row of accounts), account, moment (ms), time, kind, object, …
    said: str

    def list_ends(self) -> np.ndarray:
        """Return the account of each point: both ends of each line, else each account."""
        if not self.source.size:
            return np.arange(self.accounts.height)
        return np.concatenate([self.source, self.target])

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
    has_lines = linked.height <= max_edges
    named = _name(accounts, places, show_ids=show_ids)
    acts, n_acts = read_acts(run, show_ids=show_ids, n_rows=MAX_ACTS)
    return Scene(
        run, show_ids, named, *((source, target) if has_lines else (source[:0], target[:0])),
        _name_acts(acts, named), _describe(linked.height, named.height, acts.height, n_acts,
                                            max_edges),
    )  # fmt: skip


def _place(accounts: pl.DataFrame, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    if accounts.height <= MAX_LAID_OUT:
        return lay_out(source, target, n_accounts=accounts.height, seed=0)
    order = accounts["n_edges"].arg_sort(descending=True).to_numpy()
    places = np.zeros((accounts.height, 2))
    places[order] = lay_out_groups(accounts["community"].fill_null(-1).to_numpy()[order])
    return places


def _name(accounts: pl.DataFrame, places: np.ndarray, *, show_ids: bool) -> pl.DataFrame:
    hue = (pl.col("community") % len(PALETTE)).cast(pl.String).fill_null(UNGROUPED)
    name = pl.col("account_id" if show_ids else "pseudonym")
    named = accounts.select(
        "account_id", "community", account=clean_column(name), edges="n_edges", posts="n_posts",
        hue=hue,
    )  # fmt: skip
    return named.with_columns(
        x=places[:, 0],
        y=places[:, 1],
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
