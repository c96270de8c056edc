"""A folder that a command wrote -> its summary, its settings, and its tables on request.

What is shown of a run, its graphs and its card are made by modules that are loaded when they are
asked for.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

import gpu_coord
from gpu_coord.ground.choices import hash_json
from gpu_coord.ground.folders import WAY_OUT, TemporaryFolder, copy_folder
from gpu_coord.ground.markers import read_marker, seems_ours
from gpu_coord.ground.parquet import list_columns, read_parquet, scan_parquet
from gpu_coord.results.forms import FORMS, RUN, SWEEP, Form, find_form
from gpu_coord.store.store import STORE_MARKER

if TYPE_CHECKING:
    import igraph
    import networkx
    import pandas

    from gpu_coord.results.strongest import Part, Tier

# What marks the edges of the network; runs of version 0.1 have no such column.
IN_NETWORK = "in_network"

Kind = TypeVar("Kind", bound="Findings")


@dataclass(frozen=True, slots=True)
class Findings:
    """What a command found: a folder with tables and a marker that says how they were made."""

    path: Path
    content: dict[str, Any] = field(repr=False)  # of the marker
    form: Form = field(repr=False)
    kept: TemporaryFolder | None = field(default=None, repr=False, compare=False)

    @property
    def command(self) -> str:
        """The command that wrote the folder."""
        return str(self.content.get("command", self.form.commands[0]))

    @property
    def settings(self) -> dict[str, Any]:
        """The choices that it was made with, by name."""
        settings: dict[str, Any] = self.content.get("settings", {})  # sweeps of 0.1 have none
        return settings

    @property
    def summary(self) -> dict[str, Any]:
        """What was found, in numbers, as in the marker."""
        summary: dict[str, Any] = self.content["summary"]
        return summary

    @property
    def is_directed(self) -> bool:
        """Whether an edge and its reverse are two."""
        if "directed" in self.content:
            return bool(self.content["directed"])
        if self.command == "coact":  # of version 0.1
            return any(layer.get("directed", False) for layer in self.content["layers"])
        return self.command in ("detect", "sweep") or self.settings.get("mode") == "qut"

    @property
    def tables(self) -> list[str]:
        """The names of its tables."""
        return sorted(file.stem for file in self.path.glob("*.parquet"))

    @property
    def fingerprint(self) -> str:
        """A hash of what was done to what: the same for a repetition, whatever its name."""
        content = {name: self.content.get(name) for name in ("specification", "roles")}
        store = self.content.get("input", {}).get("manifest_sha256")
        return hash_json(content | {"command": self.command, "store": store})

    def find(self, table: str) -> Path:
        """Return the file of a table.

        Raises
        ------
        FileNotFoundError
            There is no such table.
        """
        file = self.path / f"{table}.parquet"
        if not self.has(table):
            if table in self.content.get("tables", {}):
                raise FileNotFoundError(
                    f"{file} is missing; repeat the {self.form.noun}, and check it with "
                    f"`gpu-coord verify {quote(str(self.path))}`."
                )
            raise FileNotFoundError(f"{self.path} has no table {table!r}; it has {self.tables}.")
        return file

    def has(self, table: str) -> bool:
        """Tell whether there is a table of that name."""
        return (self.path / f"{table}.parquet").is_file()

    def scan(self, table: str) -> pl.LazyFrame:
        """Return a table lazily; see `find`.

        That of a temporary folder is read here, as the folder may be gone when it is needed.
        """
        file = self.find(table)
        return scan_parquet(file) if self.kept is None else read_parquet(file).lazy()

    def read(self, table: str, columns: Collection[str] | None = None) -> pl.DataFrame:
        """Return a table, such as edges, accounts, entities, evidence or groups.

        Parameters
        ----------
        table
            Its name, that of the file without its suffix.
        columns
            Those to read; all by default.

        Raises
        ------
        FileNotFoundError
            There is no such table.
        ValueError
            It has no such column.
        """
        file = self.find(table)
        if columns is not None:
            self.check_columns(table, columns)
        return read_parquet(file, columns)

    def check_columns(self, table: str, columns: Collection[str], *, remedy: str = "") -> None:
        """Refuse a table that lacks columns.

        Raises
        ------
        ValueError
            It does; the message ends with the remedy.
        """
        present = list_columns(self.find(table))
        if missing := [name for name in columns if name not in present]:
            remedy = remedy or f"repeat `gpu-coord {self.command}`"
            raise ValueError(
                f"the table {table} of {self.path} lacks the columns {missing}; it has "
                f"{present}; {remedy}."
            )

    def read_network(self) -> pl.DataFrame:
        """Return the edges of the network: those that were counted, drawn and exported.

        Raises
        ------
        ValueError
            The run is one of version 0.1 that does not tell.
        """
        edges = self.read("edges")
        return edges.filter(IN_NETWORK if IN_NETWORK in edges.columns else self._mark_old(edges))

    def _mark_old(self, edges: pl.DataFrame) -> pl.Expr:
        """Mark the edges of the network as version 0.1 did, which wrote no such column."""
        if "significant" in edges.columns:
            return pl.col("significant")
        if self.settings.get("mode") != "coortweet":
            return pl.lit(value=True)
        if self.settings["subgraph"]:
            raise ValueError(
                f"the run {self.path} is of version {self.content['gpu_coord']} and does not tell "
                "which edges are in its subgraph; repeat the run."
            )
        is_heavy = pl.col("weight") >= (self.settings["min_weight"] or 0)
        has_quantile = self.settings["edge_weight_quantile"] is not None
        return is_heavy & (pl.col("weight_threshold") == 1) if has_quantile else is_heavy

    # --- what people read ----------------------------------------------------------------------

    def edges(
        self,
        n: int | None = None,
        *,
        tier: "Tier | None" = None,
        account: str | None = None,
        show_ids: bool = False,
    ) -> pl.DataFrame:
        """Return the strongest pairs of accounts of a run, the least explicable by chance first.

        Parameters
        ----------
        n
            So many of them; all by default.
        tier
            Those that reach ``beyond_habit`` or ``beyond_news``; all by default.
        account
            Those with this account, by its id or its pseudonym.
        show_ids
            Name accounts by their ids in the place of pseudonyms.

        Returns
        -------
            See `gpu_coord.results.strongest.list_strongest`; ``read("edges")`` has all columns.

        Raises
        ------
        ValueError
            This is no run, it tested nothing, or it has no such account.
        """
        return self._list("edges", n, tier=tier, account=account, show_ids=show_ids)

    def groups(
        self,
        n: int | None = None,
        *,
        tier: "Tier | None" = None,
        account: str | None = None,
        show_ids: bool = False,
    ) -> pl.DataFrame:
        """Return the groups of a run with their members; its communities if none were tested.

        Parameters
        ----------
        n
            So many of them; all by default.
        tier
            Those that reach ``beyond_habit`` or ``beyond_news``; all by default.
        account
            Those with this account, by its id or its pseudonym.
        show_ids
            Name accounts by their ids in the place of pseudonyms.

        Raises
        ------
        ValueError
            This is no run, it tested no groups, or it has no such account.
        """
        return self._list("groups", n, tier=tier, account=account, show_ids=show_ids)

    def accounts(self, n: int | None = None, *, show_ids: bool = False) -> pl.DataFrame:
        """Return the accounts of a run that met others, by their co-activity.

        Parameters
        ----------
        n
            So many of them; all by default.
        show_ids
            Name accounts by their ids in the place of pseudonyms.

        Raises
        ------
        ValueError
            This is no run.
        """
        return self._list("accounts", n, show_ids=show_ids)

    def objects(
        self, n: int | None = None, *, account: str | None = None, show_ids: bool = False
    ) -> pl.DataFrame:
        """Return the objects that carry the network of a run.

        Parameters
        ----------
        n
            So many of them; all by default.
        account
            Those on which this account met others, by its id or its pseudonym.
        show_ids
            Name objects that are accounts or posts by their ids in the place of pseudonyms.

        Raises
        ------
        ValueError
            This is no run, or it has no such account.
        """
        return self._list("objects", n, account=account, show_ids=show_ids)

    def _list(self, part: "Part", n: int | None, **more: Any) -> pl.DataFrame:
        from gpu_coord.results.strongest import list_strongest

        return list_strongest(self, part, n_rows=n, **more)

    def evidence(self, a: str, b: str, *, show_ids: bool = False) -> pl.DataFrame:
        """Return the coincidences, or pairs of shares, behind two accounts, by time.

        Parameters
        ----------
        a, b
            Accounts, by their ids or their pseudonyms.
        show_ids
            Name accounts, and objects that are accounts or posts, by their ids in the place of
            pseudonyms, and posts by their content ids.

        Raises
        ------
        FileNotFoundError
            The run has no evidence.
        ValueError
            This is no run, an account is not in it, or both are the same.
        """
        from gpu_coord.results.evidence import list_evidence

        return list_evidence(self, a, b, show_ids=show_ids)

    def describe(self) -> str:
        """Return in words what a run found, how sure that is, its strongest pair, and what is next.

        Raises
        ------
        ValueError
            This is no run.
        """
        from gpu_coord.results.sentences import describe

        self.check_run()
        return describe(self)

    def explore(self, *, show_ids: bool = False, max_edges: int = 50_000) -> Any:
        """Show a run in JupyterLab: network, timeline, pairs and evidence, each selecting in all.

        Parameters
        ----------
        show_ids
            Name accounts, and objects that are accounts or posts, by their ids in the place of
            pseudonyms.
        max_edges
            Networks of more edges are drawn as points without lines.

        Returns
        -------
            See `gpu_coord.explore`.

        Raises
        ------
        ModuleNotFoundError
            A library of the extra ``notebooks`` is not installed.
        ValueError
            This is no run, or ``max_edges`` is negative.
        """
        # Explorers are made of findings, and not known here but by their public name.
        return gpu_coord.explore(self, show_ids=show_ids, max_edges=max_edges)

    # --- in the hands of other libraries -------------------------------------------------------

    def to_pandas(
        self, part: "Part" = "edges", n: int | None = None, *, show_ids: bool = False
    ) -> "pandas.DataFrame":
        """Return what `edges`, `groups`, `accounts` or `objects` returns as a frame of pandas.

        Parameters
        ----------
        part
            Which of these.
        n
            So many rows; all by default.
        show_ids
            Name accounts by their ids in the place of pseudonyms.

        Raises
        ------
        ModuleNotFoundError
            There is no pandas.
        ValueError
            This is no run.
        """
        from gpu_coord.results.graphs import load

        load("pandas", "to_pandas")
        return self._list(part, n, show_ids=show_ids).to_pandas()

    def to_networkx(self, *, show_ids: bool = False) -> "networkx.Graph[str]":
        """Return the network of a run as a graph of networkx, directed where the run is.

        Parameters
        ----------
        show_ids
            Name accounts by their ids in the place of pseudonyms.

        Returns
        -------
            Accounts and edges have the attributes that they have in ``network.graphml``.

        Raises
        ------
        ModuleNotFoundError
            There is no networkx.
        ValueError
            This is no run.
        """
        from gpu_coord.results.graphs import make_networkx

        return make_networkx(self, show_ids=show_ids)

    def to_igraph(self, *, show_ids: bool = False) -> "igraph.Graph":
        """Return the network of a run as a graph of igraph, directed where the run is.

        Parameters
        ----------
        show_ids
            Name accounts by their ids in the place of pseudonyms.

        Returns
        -------
            Accounts and edges have the attributes that they have in ``network.graphml``; the
            attribute ``name`` of an account is its name.

        Raises
        ------
        ModuleNotFoundError
            There is no igraph.
        ValueError
            This is no run.
        """
        from gpu_coord.results.graphs import make_igraph

        return make_igraph(self, show_ids=show_ids)

    def to_graphml(self, path: Path | str, *, show_ids: bool = False) -> None:
        """Write the network of a run as GraphML, however large it is.

        Parameters
        ----------
        path
            The file; replaced only once the new one is complete.
        show_ids
            Name accounts by their ids in the place of pseudonyms.

        Raises
        ------
        ValueError
            This is no run.
        """
        from gpu_coord.results.graphs import save_graphml

        save_graphml(self, path, show_ids=show_ids)

    # --- the folder ----------------------------------------------------------------------------

    def save(self: Kind, folder: Path | str, *, overwrite: bool = False) -> Kind:
        """Copy the findings to a folder that stays, and return them there.

        Parameters
        ----------
        folder
            Where to; the same findings, made before, are replaced there.
        overwrite
            Replace any findings of the same form.

        Raises
        ------
        FileExistsError
            The path holds anything else.
        """
        held = read_marker(Path(folder), self.form.marker)
        if held is not None and not overwrite and _differ(held, self.content):
            raise FileExistsError(f"{folder} holds another {self.form.noun}; {WAY_OUT}.")
        copy_folder(self.path, Path(folder), self.form.marker, self.form.names)
        return replace(self, path=Path(folder), kept=None)

    def check_run(self) -> None:
        """Refuse what has no pairs of accounts.

        Raises
        ------
        ValueError
            This is no run of `detect`, `share` or `coact`.
        """
        if self.form is not RUN:
            raise ValueError(
                f"{self.path} is a {self.form.noun}, and pairs, groups, accounts, objects and "
                f"graphs are of runs; read() takes one of {', '.join(self.tables)}."
            )

    def _repr_html_(self) -> str:
        from gpu_coord.results.cards import draw_card

        return draw_card(self)

    def __repr__(self) -> str:
        numbers = [(key, value) for key, value in self.summary.items() if key.startswith("n_")]
        sizes = ", ".join(f"{key[2:]} {value:,}" for key, value in numbers if value is not None)
        where = "temporary" if self.kept else repr(str(self.path))
        tier = str(self.summary.get("network_tier", "")).replace("_", " ")
        said = f"{sizes}; network {tier}" if tier else sizes
        return f"Findings({self.command} {where}: {said})"


def _differ(held: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Tell whether two findings are of other commands, settings or inputs."""
    return any(held.get(name) != wanted.get(name) for name in ("command", "specification", "input"))


def open_run(path: "Findings | Path | str", *commands: str) -> Findings:
    """Open the folder that a command wrote, whichever it was.

    Parameters
    ----------
    path
        The folder; what is open already comes back as it is.
    commands
        Commands whose folders will do; all by default.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or the command was stopped before its end.
    ValueError
        The folder is a store, or a simulation of version 0.1.
    """
    if isinstance(path, Findings):
        return path
    forms = tuple(dict.fromkeys(map(find_form, commands))) or FORMS
    found = find_marker(Path(path), forms)
    if found is None:
        raise _describe_absence(Path(path), forms)
    form, content = found
    if form is SWEEP and content.get("summary") is None:
        raise FileNotFoundError(
            f"the sweep at {path} was stopped before its end; give the same command again, and it "
            "goes on."
        )
    if "summary" not in content:
        raise ValueError(
            f"the {form.noun} {path} is of version {content['gpu_coord']} and does not describe "
            f"itself; repeat `gpu-coord {form.commands[0]}`."
        )
    return Findings(Path(path), content, form)


def find_marker(path: Path, forms: Collection[Form] = FORMS) -> tuple[Form, dict[str, Any]] | None:
    """Return the form of a folder and what its marker says; None where it has none of ours."""
    marked = ((form, read_marker(path, form.marker)) for form in forms)
    return next(((form, content) for form, content in marked if content is not None), None)


def _describe_absence(path: Path, forms: Collection[Form]) -> Exception:
    if read_marker(path, STORE_MARKER) is not None:
        return ValueError(f"{path} is a store, and no {_list_nouns(forms)}; open_store opens it.")
    for form in forms:
        if seems_ours(path / form.marker):
            return ValueError(
                f"{path / form.marker} is not what was written with its folder; repeat the "
                f"{form.noun}."
            )
    makers = " and ".join(form.makers for form in forms)
    verb = "make" if " and " in makers else "makes"
    if len(forms) == len(FORMS):
        makers, verb = "the commands of gpu-coord", "make"
    return FileNotFoundError(f"there is no {_list_nouns(forms)} at {path}; {makers} {verb} one.")


def _list_nouns(forms: Collection[Form]) -> str:
    return "result" if len(forms) == len(FORMS) else " or ".join(form.noun for form in forms)
