"""A run -> the sentences of its page: the finding, what was analysed, methods, citation."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from gpu_coord import __version__
from gpu_coord.ground.times import describe_seconds
from gpu_coord.reports.tables import show_text
from gpu_coord.results.findings import Findings
from gpu_coord.results.sentences import TIERS, list_warnings
from gpu_coord.store.store import Store

CITATION = (
    "gpu_coord contributors (2026). gpu_coord: accounts acting together in social-media archives, "
    f"and the evidence (version {__version__}) [computer software]."
)
BIBTEX = f"""@software{{gpu_coord,
  author  = {{{{gpu_coord contributors}}}},
  title   = {{gpu_coord: accounts acting together in social-media archives, and the evidence}},
  year    = {{2026}},
  version = {{{__version__}}},
}}
@article{{erhardt2023hidden,
  author  = {{Erhardt, Keeley and Pentland, Alex}},
  title   = {{Hidden messages: mapping nations' media campaigns}},
  journal = {{Computational and Mathematical Organization Theory}},
  year    = {{2023}},
  doi     = {{10.1007/s10588-023-09382-7}},
}}"""


def list_cautions(run: Findings) -> list[str]:
    """Return what the run warns of."""
    warnings = [warning for warning in list_warnings(run) if warning]
    if stretched := run.content.get("stretched"):
        warnings.append(stretched)
    return [show_text(warning) for warning in warnings]


def list_facts(run: Findings, store: Store | None) -> list[tuple[str, str]]:
    """Return what was analysed, by name."""
    accounts = run.read("accounts")
    first, last = accounts["first_seen"].min(), accounts["last_seen"].max()
    facts: dict[str, Any] = {
        "Accounts": f"{accounts.height:,}",
        "Posts": f"{accounts['n_posts'].sum():,}",
        "First and last post": f"{_show_day(first)} to {_show_day(last)}",
        "Kinds": ", ".join(run.content.get("counts", {}).get("kinds") or list_kinds(run)),
    }
    if store is not None:
        totals, reasons = store.manifest["totals"], store.manifest["rejected_by_reason"]
        read = [each for each in store.manifest["inputs"] if each["content"] != "users"]
        facts["Files"] = ", ".join(each["name"] for each in read)
        set_aside = "; ".join(f"{reason} ({n:,})" for reason, n in reasons.items())
        facts["Rows set aside"] = f"{totals['rejected']:,}" + (
            f": {set_aside}" if set_aside else ""
        )
        facts["Duplicates"] = f"{totals['duplicates']:,}"
    return [(name, show_text(value)) for name, value in facts.items()]


def _show_day(time: Any) -> str:
    return "–" if time is None else f"{time:%Y-%m-%d}"


def list_kinds(run: Findings) -> list[str]:
    """Return the kinds of things that a run is about."""
    kinds = run.scan("entities").select(pl.col("kind").unique().sort()).collect()
    return kinds["kind"].cast(pl.String).to_list()


def write_methods(run: Findings) -> str:
    """Return the paragraph of methods, ready to paste."""
    settings, summary = run.settings, run.summary
    about = ", ".join(list_kinds(run))
    said = [
        f"We analysed {summary['n_accounts']:,} accounts with gpu_coord {run.content['gpu_coord']} "
        f"(gpu-coord {run.command}; specification {run.content['specification'][:12]}).",
        *_DESCRIBERS[run.command](settings, run.content, about),
    ]
    is_tested = bool(summary.get("network_tier"))
    said.append(_describe_tests(settings, summary) if is_tested else "No test of chance was made.")
    if run.has("groups"):  # a run with --paper looks for none
        said.append(
            "Groups were searched for on even days and tested on odd days and the other way round; "
            "a group is confirmed if four tests (crowd, margin, matched outsiders, permuted days) "
            "agree."
        )
    return show_text(" ".join(said))


def _describe_detect(
    settings: Mapping[str, Any], content: Mapping[str, Any], about: str
) -> list[str]:
    noun = "lag" if len(settings["lags"]) == 1 else "lags"
    lags = f"{noun} {', '.join(map(str, settings['lags']))}"
    return [
        f"An account is active or inactive per bin of {settings['bin']} and entity ({about}). For "
        f"every ordered pair of accounts, lagged coincidences were counted at {lags}, and the "
        "edge from i to j is weighted by the coordination measure of Erhardt and Pentland (2023), "
        "averaged over entities.",
        *_describe_period(settings),
    ]  # fmt: skip


def _describe_period(settings: Mapping[str, Any]) -> list[str]:
    """Say which posts were analysed, where not all, and what was done before and after a date."""
    said = []
    bounds = {"from": settings.get("start"), "before": settings.get("end")}
    if kept := " and ".join(f"{word} {time}" for word, time in bounds.items() if time):
        said.append(f"Only posts {kept} (UTC) were analysed.")
    if split := settings.get("split_at"):
        said.append(f"The same was done with posts before {split} (UTC) and from then on.")
    return said


def _describe_share(
    settings: Mapping[str, Any], content: Mapping[str, Any], about: str
) -> list[str]:
    return [
        f"Two accounts are linked where they shared the same object ({about}) within "
        f"{describe_seconds(content['window_seconds'])} (mode {settings['mode']})."
    ]


def _describe_coact(
    settings: Mapping[str, Any], content: Mapping[str, Any], about: str
) -> list[str]:
    layers = ", ".join(layer["layer"] for layer in content["layers"])
    return [
        f"Two accounts are linked by layers of co-action ({layers}; merge {settings['merge']})."
    ]


_DESCRIBERS = {"detect": _describe_detect, "share": _describe_share, "coact": _describe_coact}


def _describe_tests(settings: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    known = "" if summary.get("lambda") is None else f" (lambda {summary['lambda']:.2f})"
    return (
        "A pair is beyond habit if it coincided in more hours than the two accounts' own rhythms, "
        "entities and days explain (negative binomial, fitted to copies of the data with permuted "
        "days), and beyond the news if it did so more than pairs that met once "
        f"do{known}. P-values were adjusted after Benjamini and Hochberg at {settings['alpha']:g}; "
        f"the network holds pairs {TIERS[summary['network_tier']]}."
    )


def describe_origin(run: Findings) -> dict[str, Any]:
    """Return versions and hashes of a run, by name."""
    content = run.content
    origin = {
        "gpu_coord": content["gpu_coord"],
        "specification": content["specification"],
        "store (sha256 of its manifest)": content["input"].get("manifest_sha256"),
        "labels (sha256)": content["input"].get("labels_sha256"),
        "computed on": f"{content['backend']['name']}, {content['backend']['device']}",
        "seconds": round(sum(stage["seconds"] for stage in content["stages"]), 1),
    }
    return {**origin, **content["backend"]["versions"]}
