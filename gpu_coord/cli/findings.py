"""A run as people see it: what was found, how sure it is, who; then its cost and what is next."""

from typing import TYPE_CHECKING, Any

from gpu_coord.cli.display import (
    Rows,
    describe_cost,
    list_counts,
    print_lines,
    print_rows,
    print_top,
)

if TYPE_CHECKING:
    import polars as pl

    from gpu_coord.results.findings import Findings

_ALL_EDGES = {"share": "--all-edges", "coact": "--merge union"}  # others: --paper
_NONE, _NEWS = "not beyond chance", "beyond_news"
_STRONGEST = "The strongest pairs"
_N_PAIRS, _N_MEMBERS, _N_OTHERS = 8, 2, 4
_MOST_NAMED = 100  # members of a group that `show` names

# As many columns as 80 characters hold, beside two pseudonyms.
_PAIRS = {
    "a": "A", "b": "B", "tier": "tier", "lag": "lag", "n_objects": "objects",
    "median_gap": "gap, s", "a_first": "A 1st", "observed": "hours", "expected": "chance",
}  # fmt: skip
_UNTESTED = {"a": "A", "b": "B", "weight": "weight", "lag": "lag", "n_objects": "objects",
             "median_gap": "gap, s", "a_first": "A 1st", "layers": "layers"}  # fmt: skip


def show_run(findings: "Findings", *, show_ids: bool) -> None:
    """Print a run: what was found and how sure it is, tables, what it has cost, what is next."""
    print_lines(_describe_chance(findings), "", wrap=True)
    pairs = _list_part(findings, "edges", show_ids=show_ids, n_rows=_N_PAIRS)
    _print_pairs(findings, pairs)
    _print_groups(findings, show_ids=show_ids)
    show_part(findings, "objects", show_ids=show_ids, n_shown=_N_OTHERS)
    _print_accounts(findings, show_ids=show_ids)
    _print_classes(findings)
    print_rows("Layers", *_list_layers(findings))
    print_rows("Before and after the split", *_list_halves(findings))
    if not findings.content["graphs_written"]:
        line = "No GraphML and GEXF for a network of this size; --graphs writes them."
        print_lines(line, wrap=True)
    print_lines(_describe_edges(findings), "", wrap=True)
    print_lines(_describe_sizes(findings), "", wrap=True)
    print_lines(*_suggest_next(findings, pairs))


def describe_run(findings: "Findings") -> dict[str, Any]:
    """Return the summary of a run, why its network is of that tier, and what it warns of."""
    warnings = [warning for warning in _list_warnings(findings) if warning]
    counts = findings.content.get("counts", {})
    for missing in ("missing_kinds", "missing_layers"):
        if names := counts.get(missing):
            warnings.append(f"{missing.replace('_', ' ')}: {', '.join(names)}.")
    if stretched := findings.content.get("stretched"):
        warnings.append(stretched)
    why = _explain_tier(findings) if "network_tier" in findings.summary else None
    return findings.summary | {"why": why, "warnings": warnings}


def show_part(
    findings: "Findings",
    part: str,
    *,
    account: str | None = None,
    show_ids: bool = False,
    n_shown: int = 20,
) -> None:
    """Print one part of a run, the strongest rows of it."""
    table = _list_part(findings, part, account=account, show_ids=show_ids)
    titles = {
        "groups": "Groups",
        "accounts": "Accounts of the network",
        "objects": "Objects that carry the network",
    }
    if part == "edges":
        _print_table_of_pairs(findings, table, n_shown=n_shown)
    else:
        names = [name for name in table.columns if name != "members"]
        heads = {name: name.removeprefix("n_").replace("_", " ") for name in names}
        n_names = 2 if part == "objects" else 1
        print_top(titles[part], table, heads, n_shown=n_shown, show_ids=True, n_names=n_names)
    if part == "groups":
        _print_members(table.head(n_shown))
    if table.is_empty():
        print_lines(f"{findings.path} has no {part} to show.")
    elif table.height > n_shown:
        print_lines(f"{table.height - n_shown:,} more {part}.", "")


def _list_part(findings: "Findings", part: Any, **more: Any) -> "pl.DataFrame":
    from gpu_coord.results.strongest import list_strongest

    return list_strongest(findings, part, **more)


def _name_pairs(findings: "Findings") -> str:
    if not findings.summary.get("n_network_edges", findings.summary["n_edges"]):
        return f"{_STRONGEST}: none is beyond chance"
    return _STRONGEST


def _find_only(values: "pl.Series") -> str | None:
    """Return the one value that all are, if they are."""
    return values[0] if values.n_unique() == 1 else None


def _print_pairs(findings: "Findings", table: "pl.DataFrame") -> None:
    _print_table_of_pairs(findings, table, n_shown=_N_PAIRS)
    if table.is_empty():
        print_lines("No two accounts met: widen the window, or choose other kinds.", "")


def _print_table_of_pairs(findings: "Findings", table: "pl.DataFrame", *, n_shown: int) -> None:
    import polars as pl

    heads, title = _PAIRS if "tier" in table.columns else _UNTESTED, _name_pairs(findings)
    columns = {name: head for name, head in heads.items() if name in table.columns}
    table = table.head(n_shown).with_columns(
        pl.col("^median_gap$").round(),
        (pl.col("^a_first$") * 100).round().cast(pl.Int64).cast(pl.String) + "%",
    )
    if "tier" in columns:
        if "expected_habit" in table.columns and findings.summary["network_tier"] != _NEWS:
            table = table.with_columns(expected="expected_habit")
        if tier := _find_only(table["tier"]):
            columns.pop("tier")
            said = ": none is beyond chance" if tier == _NONE else f", all {tier}"
            title = _STRONGEST + said
        short = pl.col("tier").str.replace("^beyond ", "").replace(_NONE, "–")
        table = table.with_columns(pl.col("^expected$").round_sig_figs(3), tier=short)
    print_top(title, table, columns, n_shown=n_shown, show_ids=True, n_names=2)


def _print_groups(findings: "Findings", *, show_ids: bool) -> None:
    """Print the groups, or communities, with members; what was tested besides, and why not."""
    import polars as pl

    groups = _shorten_members(_list_part(findings, "groups", show_ids=show_ids))
    groups = groups.with_columns(pl.col("^tier$").cast(pl.String).str.replace("^beyond_", ""))
    is_tested = findings.content.get("groups") is not None
    heads = {"group": "group", "tier": "tier", "size": "accounts", "ratio": "ratio",
             "p": "p", "main_label": "main label", "members": "members"}  # fmt: skip
    shown = {name: head for name, head in heads.items() if name in groups.columns}
    title = "Groups with unusual co-activity" if is_tested else "Largest communities"
    print_top(title, groups, shown, n_shown=_N_OTHERS)
    if not is_tested:
        return
    if reason := findings.content["groups"]["reason"]:
        print_lines(f"No test of groups: {reason}", "")
        return
    table = findings.read("groups")
    rest = table.filter(table["tier"].is_null() if "tier" in table.columns else ~table["confirmed"])
    if reasons := _explain_groups(rest):
        print_lines(*reasons, "")


def _print_members(groups: "pl.DataFrame") -> None:
    """Print who is in each group, a paragraph each."""
    for group, members in groups.select("group", "members").rows():
        more = f" and {len(members) - _MOST_NAMED:,} more" if len(members) > _MOST_NAMED else ""
        print_lines(f"Group {group}: {', '.join(members[:_MOST_NAMED])}{more}", "", wrap=True)


def _shorten_members(groups: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    members = pl.col("members").list
    more = pl.when(members.len() > _N_MEMBERS).then(pl.lit(" …")).otherwise(pl.lit(""))
    return groups.with_columns(members=members.head(_N_MEMBERS).list.join(", ") + more)


def _print_accounts(findings: "Findings", *, show_ids: bool) -> None:
    """Print the accounts to read first, with what they lead or, where nobody does, do together."""
    table, score = _list_part(findings, "accounts", show_ids=show_ids), "influence"
    title = "Accounts to read first: a ranking by co-activity"
    if "co_activity" not in table.columns:  # of version 0.1
        title = "Accounts with the most apparent influence"
    if "together" in table.columns and not (table["influence"] > 0).any():
        score = "together"
    heads = {"account": "", "label": "label", "co_activity": "co-activity", score: score,
             "community": "community", "n_posts": "posts"}  # fmt: skip
    known = {name: head for name, head in heads.items() if name in {"account", *table.columns}}
    print_top(title, table, known, show_ids=show_ids, n_shown=_N_OTHERS)


def _print_classes(findings: "Findings") -> None:
    import polars as pl

    if findings.read("accounts")["label"].null_count() < findings.summary["n_accounts"]:
        print_top(
            "Edges between classes, all kinds",
            findings.read("classes").filter(pl.col("kind") == "all", pl.col("n_edges") > 0),
            {"source_label": "from", "target_label": "to", "n_edges": "edges",
             "mean_weight": "mean weight", "mean_weight_per_pair": "per pair"},
            by="-mean_weight_per_pair",
            n_shown=_N_OTHERS,
        )  # fmt: skip


def _suggest_next(findings: "Findings", pairs: "pl.DataFrame") -> list[str]:
    """Return the commands that people would give next, ready to paste."""
    path = findings.path
    if pairs.is_empty():
        return []
    a, b = pairs.select("a", "b").row(0)
    lines = [
        f"Next: gpu-coord explain {path} {a} {b}",
        f"      gpu-coord show {path} edges --account {a}",
    ]
    if findings.summary.get("n_network_edges") == 0:
        option = _ALL_EDGES.get(findings.command, "--paper")
        lines.append(f"      {option} puts all edges into the network.")
    return lines


def _describe_edges(findings: "Findings") -> str:
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


def _explain_groups(groups: "pl.DataFrame") -> list[str]:
    """Return why groups were not confirmed, each reason once."""
    reasons: dict[str, list[str]] = {}
    for group, reason in groups.drop_nulls("reason").select("group", "reason").rows():
        reasons.setdefault(reason, []).append(str(group))
    return [
        f"group{'s' * (len(numbers) > 1)} {', '.join(numbers)}: {reason}."
        for reason, numbers in reasons.items()
    ]


def _describe_chance(findings: "Findings") -> str:
    said = {"share": _describe_shares, "coact": _describe_layers}.get(findings.command)
    return " ".join(filter(None, [*(said(findings) if said else []), *_describe_tiers(findings)]))


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
    said = [
        f"Beyond habit: {summary['n_beyond_habit']:,} {noun}, more than the two accounts' own "
        "hours, entities and days explain; shared news is not excluded.",
        f"Beyond the news: {summary['n_significant']:,} {noun}, more than what brings strangers "
        f"together explains, too{known}; these are called significant.",
        f"The network holds those {tier}{_explain_choice(findings)}; at a false discovery "
        f"rate of {settings['alpha']:g}, about {summary['expected_false_edges']:.3g} of them may "
        "be false." if summary["n_network_edges"] else _say_nothing_passes(findings),
    ]  # fmt: skip
    return [*said, *_list_warnings(findings)]


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
    return "" if any(_list_warnings(findings)) else f", because {_explain_tier(findings)}"


def _explain_tier(findings: "Findings") -> str:
    chance = findings.content.get("chance") or {}
    return str(chance.get("why", "of what the layers' tests say"))


def _list_warnings(findings: "Findings") -> list[str]:
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


def _list_layers(findings: "Findings") -> Rows:
    columns = ["layer", "window_seconds", "n_edges", "n_accounts"]
    layers = findings.content["layers"] if findings.command == "coact" else []
    shown = ["layer", "window, s", "edges", "accounts"]
    return shown, [[layer[column] for column in columns] for layer in layers]


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


def _describe_sizes(findings: "Findings") -> str:
    counts = ", ".join(f"{number:,} {what}" for what, number in list_counts(findings.summary))
    return f"The run: {counts}. {describe_cost(findings)}"


def _list_halves(findings: "Findings") -> Rows:
    from gpu_coord.results.findings import open_run

    halves = [half for half in ("before", "after") if (findings.path / half).is_dir()]
    runs = [(half, open_run(findings.path / half).summary) for half in halves]
    columns = ["n_accounts", "n_entities", "n_bins", "n_edges", "n_communities"]
    rows = [(half, *(summary[column] for column in columns)) for half, summary in runs]
    return ["half", *(column[2:] for column in columns)], rows


def show_calibration(found: "Findings") -> None:
    """Print what was found in copies without coordination."""
    print_lines(*_describe_calibration(found.summary), f"Look at {found.path / 'qq.png'}.", "")
    print_lines(describe_cost(found), wrap=True)


_CALIBRATED = {
    "edges": "Edges beyond habit",
    "significant": "Edges beyond the news",
    "groups": "Groups beyond the news",
}


def _describe_calibration(summary: dict[str, Any]) -> list[str]:
    low, high = summary["lambda_of_copies"]
    lines = [
        f"lambda {summary['lambda']:.2f} in the data, {low:.2f} to {high:.2f} in "
        f"{summary['n_copies']} copies whose accounts' days were permuted."
    ]
    for what, n_found in (
        ("edges", "n_beyond_habit"),
        ("significant", "n_significant"),
        ("groups", "n_groups"),
    ):
        if n_found not in summary:
            continue
        false = summary[f"false_{what}"]
        low, high = false["share_interval"]
        lines.append(
            f"{_CALIBRATED[what]}: {summary[n_found]:,} in the data, {false['per_copy']:.3g} per "
            f"copy; {false['n_copies_with_any']} copies have any (95% interval of their share: "
            f"{low:.1%} to {high:.1%})."
        )
    lines.append(
        "Copies keep habits and lose the news: they say what is false beyond habit, and cannot say "
        "what the news makes."
    )
    return lines
