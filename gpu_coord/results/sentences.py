"""A run -> what it says in sentences: which pairs are of which tier, how sure that is, and why."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpu_coord.results.findings import Findings

TIERS = {"beyond_news": "beyond the news", "beyond_habit": "beyond habit"}
_DOES = {
    "detect": "act together, or one a lag after the other,",
    "share": "share the same things at nearly the same time",
    "coact": "do the same things at about the same time",
}
_TESTED = {
    "detect": "without --paper",
    "share": "in the mode strict",
    "coact": "with the merge fused",
}


_ONE = {
    "accounts": "account", "bins": "bin", "communities": "community", "components": "component",
    "edges": "edge", "entities": "entity", "groups": "group", "pairs": "pair",
}  # fmt: skip


def describe(findings: "Findings") -> str:
    """Say of a run who was found, how sure that is, which pair stands out, and what to do next."""
    said = (
        describe_finding(findings),
        describe_chance(findings),
        describe_strongest(findings),
        suggest_next(findings),
    )
    return "\n".join(filter(None, said))


def describe_finding(findings: "Findings") -> str:
    """Say in a sentence who was found, of which tier."""
    summary = findings.summary
    n_edges = summary.get("n_network_edges", summary["n_edges"])
    tier = TIERS.get(str(summary.get("network_tier")))
    untested = "" if "lambda" in summary else "; nothing was tested against chance"
    if not n_edges:
        return (
            f"No pair of accounts is {'in the network' if untested else 'beyond chance'}{untested}."
        )
    n_accounts = findings.read("accounts", ["community"])["community"].count()
    who = f"{n_accounts:,} accounts {_DOES[findings.command]}"
    pairs = _count(n_edges, "edge" if findings.is_directed else "pair")
    said = (
        f"{who} more than chance explains, {tier}: {pairs}."
        if tier
        else f"{who} in {pairs}{untested}."
    )
    if n_groups := summary.get("n_groups"):
        said += f" {n_groups:,} {'groups are' if n_groups > 1 else 'group is'} beyond the news."
    return said


def describe_strongest(findings: "Findings") -> str:
    """Say of the pair that chance explains least how often it met, and how sure that is."""
    strongest = findings.edges(1).to_dicts()
    if not strongest:
        return ""
    pair = strongest[0]
    leads = findings.is_directed and pair.get("lag", 1) > 0
    ends = f"{pair['a']} {'→' if leads else 'and'} {pair['b']}"
    if pair.get("q_habit") is None:
        return f"The strongest pair is {ends} (weight {pair['weight']:.3g}; not tested)."
    if pair.get("expected_habit") is None:  # fused layers
        return f"Chance explains {ends} least: q of habit {pair['q_habit']:.2g}."
    objects = f" on {_count(pair['n_objects'], 'object')}" if pair.get("n_objects") else ""
    return (
        f"Chance explains {ends} least: {_count(pair['observed'], _name_unit(findings))}{objects}, "
        f"where {_describe_expected(pair)}."
    )


def _describe_expected(pair: dict[str, Any]) -> str:
    """Say how often habits, and habits and news, bring two accounts together, and what q is."""
    habits = _write(pair["expected_habit"])
    said = f"habits make {habits} (q of habit {pair['q_habit']:.2g})"
    if pair.get("expected") is None:
        return said
    news = _write(pair["expected"])
    return f"{said}, and the news makes it {news} (q {pair['q_value']:.2g})"


def _write(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _name_unit(findings: "Findings") -> str:
    """Return what is counted: hours, or bins where these are longer."""
    from gpu_coord.ground.times import parse_duration

    return "hour" if parse_duration(findings.settings.get("bin", "1h")) <= 3600 else "bin"


def suggest_next(findings: "Findings") -> str:
    """Say what to do with a run next."""
    summary = findings.summary
    if "lambda" not in summary:
        return f"Next: test it against chance, {_TESTED[findings.command]}."
    cuts = "bins" if findings.command == "detect" else "windows"
    if not summary.get("n_network_edges", summary["n_edges"]):
        groups = "the groups and at " if "n_groups" in summary else ""
        return f"Next: look at {groups}other {cuts}, or bring more accounts and days."
    if summary.get("network_tier") == "beyond_habit":
        return (
            "Next: read what the pairs shared (evidence), and bring control accounts "
            "(reference), since these may follow the same news."
        )
    return (
        f"Next: read what the pairs shared (evidence), and see whether other {cuts} find them, too."
    )


def describe_counts(summary: dict[str, Any]) -> str:
    """Return the counts of a summary in words: ``12 accounts, 1 group``."""
    counts = [(key[2:].split("_"), value) for key, value in summary.items() if key.startswith("n_")]
    return ", ".join(
        f"{number:,} {' '.join(_ONE.get(word, word) if number == 1 else word for word in words)}"
        for words, number in counts
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


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
    noun = "edge" if findings.content["directed"] else "pair"
    beyond_habit, beyond_news = (
        _count(summary[name], noun) for name in ("n_beyond_habit", "n_significant")
    )
    known = "" if summary["lambda"] is None else (
        f" (strangers met {summary['lambda']:.2f} times as often as habits explain: lambda)"
    )  # fmt: skip
    tier = TIERS[summary["network_tier"]]
    return [
        f"Beyond habit: {beyond_habit}, more than the two accounts' own "
        "hours, entities and days explain; shared news is not excluded.",
        f"Beyond the news: {beyond_news}, more than what brings strangers "
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
