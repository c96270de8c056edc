"""A run -> what it says in sentences: which pairs are of which tier, how sure that is, and why."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpu_coord.results.findings import Findings


def describe_chance(findings: "Findings") -> str:
    """Say of a run what `describe_tests` says, and what its tests warn of."""
    return " ".join(filter(None, [describe_tests(findings), *list_warnings(findings)]))


def describe_tests(findings: "Findings") -> str:
    """Say of a run how many pairs are of which tier, which make the network, how sure it is."""
    said = {"share": _describe_shares, "coact": _describe_layers}.get(findings.command)
    return " ".join([*(said(findings) if said else []), *_describe_tiers(findings)])


def _describe_tiers(findings: "Findings") -> list[str]:
    """Say how many pairs are of which tier, which the network holds, and how sure that is."""
    summary, settings = findings.summary, findings.content["settings"]
    if "lambda" not in summary:
        if findings.command == "detect":
            return ["lambda not computed (--paper): any of these edges may be chance."]
        return ["Not tested against chance."]
    if "network_tier" not in summary:  # of version 0.1
        return [f"lambda {summary['lambda']:.2f}; {summary['n_significant']:,} significant edges."]
    noun = "edges" if findings.content["directed"] else "pairs"
    known = "" if summary["lambda"] is None else (
        f" (strangers met {summary['lambda']:.2f} times as often as habits explain: lambda)"
    )  # fmt: skip
    tier = summary["network_tier"].replace("_", " ")
    return [
        f"Beyond habit: {summary['n_beyond_habit']:,} {noun}, more than the two accounts' own "
        "hours, entities and days explain; shared news is not excluded.",
        f"Beyond the news: {summary['n_significant']:,} {noun}, more than what brings strangers "
        f"together explains, too{known}; these are called significant.",
        f"The network holds those {tier}{_explain_choice(findings)}; at a false discovery "
        f"rate of {settings['alpha']:g}, about {summary['expected_false_edges']:.3g} of them may "
        "be false." if summary["n_network_edges"] else _say_nothing_passes(findings),
    ]  # fmt: skip


def _say_nothing_passes(findings: "Findings") -> str:
    """Say that nothing is beyond chance, and what would have been needed."""
    import polars as pl

    alpha = findings.content["settings"]["alpha"]
    least = findings.scan("edges").select(pl.col("q_habit").min()).collect().item()
    near = (
        "" if least is None else f" The least q of habit is {least:.2g}, and {alpha:g} is needed."
    )
    return f"No pair is beyond chance; the strongest are listed nevertheless.{near}"


def _explain_choice(findings: "Findings") -> str:
    """Say why the network is of that tier, unless a warning says so anyway."""
    return "" if any(list_warnings(findings)) else f", because {explain_tier(findings)}"


def explain_tier(findings: "Findings") -> str:
    """Say why the network is of its tier."""
    chance = findings.content.get("chance") or {}
    return str(chance.get("why", "of what the layers' tests say"))


def list_warnings(findings: "Findings") -> list[str]:
    """Return what the tests of a run warn of; empty texts where it is nothing."""
    if findings.command == "coact":
        warned = [each for each in findings.content["layers"] if each["chance"]]
        warned = [each for each in warned if each["chance"]["warning"]]
        names = ", ".join(each["layer"] for each in warned)
        return [f"In {names}: {warned[0]['chance']['warning']}"] if warned else []
    return [(findings.content.get("chance") or {}).get("warning") or ""]


def _describe_layers(findings: "Findings") -> list[str]:
    run, summary = findings.content, findings.summary
    merge = run["settings"]["merge"]
    return [f"{summary['n_pairs']:,} pairs of shares in {summary['n_layers']} layers ({merge})."]


def _describe_shares(findings: "Findings") -> list[str]:
    from gpu_coord.ground.times import describe_seconds

    run, summary = findings.content, findings.summary
    said = [
        f"{summary['n_pairs']:,} pairs of shares of the same object within "
        f"{describe_seconds(run['window_seconds'])} ({run['settings']['mode']})."
    ]
    if "intervals" in run:
        excess = run["intervals"]["excess_seconds"]
        said.append(
            "Intervals that the data suggest: "
            f"{describe_seconds(run['intervals']['quantile_seconds'])} by CooRnet's estimate, "
            f"{'none' if excess is None else describe_seconds(excess)} by the excess of short gaps "
            "over chance (surface.parquet, gaps.parquet)."
        )
    if "changes" in run:
        changes = ", ".join(f"{n:,} {reason}" for reason, n in run["changes"].items())
        said.append(f"Against strict: {changes or 'no change'} (changes.parquet).")
    return said


def describe_edges(findings: "Findings") -> str:
    """Say what an edge of a run is, and what it is not."""
    tells = (
        "two accounts share the same things at about the same time"
        if findings.command != "detect"
        else "two accounts act together, or one a lag after the other"
    )
    layers = findings.content.get("layers", [])
    ranked = [each["layer"] for each in layers if each["window_seconds"] is None]
    also = f" {', '.join(ranked)}: alike at any time, a ranking and no test." if ranked else ""
    return (
        f"An edge says that {tells}, not why: coordination is not inauthenticity, and no edge "
        f"attributes an account to anyone.{also}"
    )
