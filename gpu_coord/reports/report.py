"""A run -> one page: the finding, how sure it is, who, on what, and how it was made.

The one idea: a page is text. Templates escape all of it, scripts set it as text, and a policy in
the page lets no other script run, nor anything be loaded.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from gpu_coord import __version__
from gpu_coord.ground.folders import check_file_replaceable, replace_file
from gpu_coord.ground.keywords import takes
from gpu_coord.ground.policies import write_policy
from gpu_coord.reports.groups import build_groups
from gpu_coord.reports.networks import Network, build_network
from gpu_coord.reports.others import build_other
from gpu_coord.reports.settings import ReportSettings
from gpu_coord.reports.tables import Table, make_facts, make_table, show_text
from gpu_coord.reports.words import (
    BIBTEX,
    CITATION,
    describe_origin,
    list_cautions,
    list_facts,
    write_methods,
)
from gpu_coord.results.clock import Progress
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.results.forms import RUN
from gpu_coord.results.origin import find_store
from gpu_coord.results.sentences import describe_edges, describe_finding, describe_tests
from gpu_coord.results.strongest import list_strongest
from gpu_coord.store.store import Store

LIBRARIES = ("graphology.js", "sigma.js")  # made by `make assets`; without them a picture stands
_PAIRS = {"a": "A", "b": "B", "tier": "tier", "lag": "lag", "weight": "weight",
          "n_objects": "objects", "median_gap": "median gap, s", "a_first": "share A first",
          "observed": "hours together", "expected": "expected", "q_value": "q beyond the news",
          "q_habit": "q beyond habit"}  # fmt: skip
_ACCOUNTS = {"pseudonym": "account", "account_id": "account", "label": "label",
             "co_activity": "co-activity", "influence": "apparent influence",
             "together": "together", "in_degree": "follows", "out_degree": "followed by",
             "community": "community", "n_posts": "posts"}  # fmt: skip
_OBJECTS = {"kind": "kind", "value": "object", "n_accounts": "accounts", "n_events": "uses",
            "coordination": "weight carried"}  # fmt: skip
_READ = "A ranking of whom to read first, by unusual co-activity; no statement on any account."


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page, for its list of contents."""

    id: str
    title: str


@takes(ReportSettings)
def write_report(
    run: Findings | Path | str,
    out: Path | str | None = None,
    *,
    others: Sequence[Findings | Path | str] = (),
    store: Store | Path | str | None = None,
    show_ids: bool = False,
    progress: Progress | None = None,
    **choices: Any,
) -> Path:
    """Write a run as one page that needs no network: to read, to print, to mail.

    Parameters
    ----------
    run
        A run of `detect`, `share` or `coact`, or its folder.
    out
        The HTML file; by default the name of the run, beside it.
    others
        Other results to show: calibrations, sweeps, models and more; of another run, what entered,
        left and changed since.
    store
        What the run was made from, for the facts of its files; the one beside it by default.
    show_ids
        Name accounts, and objects that are accounts or posts, by their ids; otherwise by
        pseudonyms.
    progress
        Called with the stage, the work done and the work in all.

    Returns
    -------
        The file.

    Raises
    ------
    ValueError
        Texts are to be shown and the store is not there, ``out`` lies in the run, or the run is
        temporary and ``out`` is left out.
    """
    settings = ReportSettings(**choices)
    findings = open_run(run, *RUN.commands)
    if out is None and findings.kept is not None:
        raise ValueError("the run is temporary, and so would be a page beside it; name the file.")
    folder = findings.path if findings.path.name else findings.path.absolute()
    path = folder.with_name(f"{folder.name}.html") if out is None else Path(out)
    if path.resolve().is_relative_to(findings.path.resolve()):
        raise ValueError(
            f"{path} lies in {findings.path}, which is kept as it was made; write it elsewhere."
        )
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file.")
    check_file_replaceable(path, 'name="generator" content="gpu_coord"', "page of a run")
    known = _find_store(findings, store)
    texts = _read_texts(known, findings) if settings.texts else None
    tell = progress or (lambda stage, done, total: None)
    page = _render(findings, [open_run(other) for other in others], known, texts, settings, tell,
                   show_ids=show_ids)  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path


def _find_store(findings: Findings, store: Store | Path | str | None) -> Store | None:
    """Return the store; without one that is named, the one beside the run if it is there."""
    if store is not None:
        return find_store(findings, store)
    try:
        return find_store(findings)
    except ValueError:
        return None


def _read_texts(store: Store | None, findings: Findings) -> pl.DataFrame:
    if store is None:
        raise ValueError(
            f"the store of {findings.path}, which has the texts, is not beside it; name it with "
            "--store (store= in Python)."
        )
    texts = store.read("texts").join(store.read("entities").select("entity", "value"), on="entity")
    return texts.select("value", "text")


def _render(
    findings: Findings, others: Sequence[Findings], store: Store | None,
    texts: pl.DataFrame | None, settings: ReportSettings, tell: Progress, *, show_ids: bool,
) -> str:  # fmt: skip
    tell("page", 0, 4)
    name = "account_id" if show_ids else "pseudonym"
    network = build_network(findings, name, max_edges=settings.max_edges,
                            min_group=settings.min_group, texts=texts)  # fmt: skip
    tell("page", 2, 4)
    groups, groups_said = build_groups(
        findings, show_ids=show_ids, min_group=settings.min_group, texts=texts
    )
    tell("page", 3, 4)
    tables = _list_tables(findings, settings, texts, show_ids=show_ids)
    sections = [
        build_other(findings, other, number=number, n_rows=settings.max_rows)
        for number, other in enumerate(others, 1)
    ]
    tell("page", 4, 4)
    source = findings.content["input"].get("store") or findings.path.name
    scripts = [*_read_libraries(), _read("page.js")]
    style = _read("page.css")
    return str(
        _load_template().render(
            title=f"Unusual co-activity in {show_text(source)}",
            policy=write_policy([style], scripts),
            style=Markup(style),
            scripts=[Markup(script) for script in scripts],
            data=Markup(_write_json(network)),
            sections=_list_sections(groups, tables, sections),
            finding=show_text(describe_finding(findings)),
            sure=[show_text(describe_tests(findings))],
            warnings=list_cautions(findings),
            facts=list_facts(findings, store),
            caution=show_text(describe_edges(findings)),
            network=network,
            groups=groups,
            groups_said=groups_said,
            tables=tables,
            others=sections,
            methods=write_methods(findings),
            settings=make_facts("settings", "Settings", _spell_settings(findings)),
            origin=make_facts("origin", "Versions and hashes", describe_origin(findings)),
            citation=CITATION,
            bibtex=BIBTEX,
            footer=f"Made by gpu_coord {__version__}. Names that begin with acct- and post- are "
            "pseudonyms: whoever holds the archive can look them up.",
        )
    )


def _list_tables(
    findings: Findings, settings: ReportSettings, texts: pl.DataFrame | None, *, show_ids: bool
) -> list[Table]:
    n_rows = settings.max_rows
    pairs = list_strongest(findings, "edges", show_ids=show_ids, n_rows=n_rows)
    accounts = list_strongest(findings, "accounts", show_ids=show_ids)
    objects = list_strongest(findings, "objects", show_ids=show_ids)
    if texts is not None:
        said = objects.join(texts, on="value", how="left", maintain_order="left")
        objects = said.with_columns(value=pl.coalesce("text", "value"))
    most = f"The {min(n_rows, pairs.height):,} strongest."
    return [
        make_table("pairs", "Pairs", pairs, _PAIRS, said=most),
        make_table("accounts", "Accounts", accounts, _ACCOUNTS, said=_READ, n_rows=n_rows),
        make_table("objects", "Objects", objects, _OBJECTS,
                   said="What carries the network; what everybody used comes last.", n_rows=n_rows),
    ]  # fmt: skip


def _list_sections(
    groups: Sequence[Any], tables: Sequence[Table], others: Sequence[Any]
) -> list[Section]:
    first = [Section("finding", "Finding"), Section("network", "Network")]
    listed: Iterable[Any] = [*tables, *others]
    return [
        *first,
        *([Section("groups", "Groups")] if groups else []),
        *(Section(each.id, each.title) for each in listed),
        Section("methods", "Methods"),
    ]


def _spell_settings(findings: Findings) -> dict[str, Any]:
    return {
        name: ", ".join(map(str, value)) if isinstance(value, list) else value
        for name, value in findings.settings.items()
    }


# --- the page ------------------------------------------------------------------------------------


def _read(name: str) -> str:
    return (files("gpu_coord.reports") / name).read_text(encoding="utf-8")


def _read_libraries() -> list[str]:
    """Return the scripts that draw the network; none where they were not made."""
    folder = files("gpu_coord.reports") / "built"
    found = [folder / name for name in LIBRARIES]
    return (
        [file.read_text(encoding="utf-8") for file in found]
        if all(f.is_file() for f in found)
        else []
    )


def _load_template() -> Any:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.from_string(_read("page.html"))


def _write_json(network: Network) -> str:
    """Return the data of the scripts; no text in it can end their element."""
    content = asdict(network)
    data = {
        "accounts": content["accounts"],
        "edges": content["edges"],
        "evidence": content["meetings"],
    }
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
