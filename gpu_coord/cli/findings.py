"""A run as people see it: what was found, how sure it is, who; then its cost and what is next."""

from typing import TYPE_CHECKING, Any

from gpu_coord.cli.display import (
    Rows,
    describe_cost,
    print_lines,
    print_rows,
    print_top,
    write_command,
)
from gpu_coord.results.sentences import (
    describe_chance,
    describe_counts,
    describe_edges,
    describe_finding,
    explain_tier,
    list_warnings,
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
# Of layers that were fused nothing else is known of a pair.
_FUSED = {"a": "A", "b": "B", "tier": "tier", "weight": "weight", "layers": "layers",
          "q_value": "q of news", "q_habit": "q of habit"}  # fmt: skip
_UNTESTED = {"a": "A", "b": "B", "weight": "weight", "lag": "lag", "n_objects": "objects",
             "median_gap": "gap, s", "a_first": "A 1st", "layers": "layers"}  # fmt: skip


def show_run(findings: "Findings", *, show_ids: bool) -> None:
    """Print a run: what was found and how sure it is, tables, what it has cost, what is next."""
    print_lines(describe_finding(findings), describe_chance(findings), "", wrap=True)
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
    print_lines(describe_edges(findings), "", wrap=True)
    print_lines(_describe_sizes(findings), "", wrap=True)
    print_lines(*_suggest_next(findings, pairs))


def describe_run(findings: "Findings") -> dict[str, Any]:
    """Return the summary of a run, why its network is of that tier, and what it warns of."""
    warnings = [warning for warning in list_warnings(findings) if warning]
    counts = findings.content.get("counts", {})
    for missing in ("missing_kinds", "missing_layers"):
        if names := counts.get(missing):
            warnings.append(f"{missing.replace('_', ' ')}: {', '.join(names)}.")
    if stretched := findings.content.get("stretched"):
        warnings.append(stretched)
    why = explain_tier(findings) if "network_tier" in findings.summary else None
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

    tested = _FUSED if findings.command == "coact" else _PAIRS
    heads, title = tested if "tier" in table.columns else _UNTESTED, _name_pairs(findings)
    columns = {name: head for name, head in heads.items() if name in table.columns}
    table = table.head(n_shown).with_columns(
        pl.col("^median_gap$").round(),
        (pl.col("^a_first$") * 100).round().cast(pl.Int64).cast(pl.String) + "%",
    )
    if "tier" in columns:
        by_habit = "expected_habit" in table.columns and findings.summary["network_tier"] != _NEWS
        if by_habit:
            table = table.with_columns(expected="expected_habit")
        if tier := _find_only(table["tier"]):
            columns.pop("tier")
            said = ": none is beyond chance" if tier == _NONE else f", all {tier}"
            title = _STRONGEST + said
        if "expected" in columns:
            title += f" (chance: {'habit' if by_habit else 'habit, news'})"
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
    if n_neighbours := findings.content["groups"].get("n_neighbours"):
        print_lines(
            f"Groups were looked for among the {n_neighbours:,} most similar others of each "
            "account: all pairs are too many.",
            "",
            wrap=True,
        )
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
    path = str(findings.path)
    path = f"./{path}" if path.startswith("-") else path  # no option
    if pairs.is_empty():
        return []
    a, b = pairs.select("a", "b").row(0)
    ends = ["--", a, b] if a.startswith("-") or b.startswith("-") else [a, b]
    lines = [
        f"Next: {write_command('explain', path, *ends)}",
        f"      {write_command('show', path, 'edges', '--account', a)}",
        f"      {write_command('report', path)}",
    ]
    if findings.summary.get("n_network_edges") == 0:
        option = _ALL_EDGES.get(findings.command, "--paper")
        lines.append(f"      {option} puts all edges into the network.")
    return lines


def _explain_groups(groups: "pl.DataFrame") -> list[str]:
    """Return why groups were not confirmed, each reason once."""
    reasons: dict[str, list[str]] = {}
    for group, reason in groups.drop_nulls("reason").select("group", "reason").rows():
        reasons.setdefault(reason, []).append(str(group))
    return [
        f"group{'s' * (len(numbers) > 1)} {', '.join(numbers)}: {reason}."
        for reason, numbers in reasons.items()
    ]


def _list_layers(findings: "Findings") -> Rows:
    columns = ["layer", "window_seconds", "n_edges", "n_accounts"]
    layers = findings.content["layers"] if findings.command == "coact" else []
    shown = ["layer", "window, s", "edges", "accounts"]
    return shown, [[layer[column] for column in columns] for layer in layers]


def _describe_sizes(findings: "Findings") -> str:
    return f"The run: {describe_counts(findings.summary)}. {describe_cost(findings)}"


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
