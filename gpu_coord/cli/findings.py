"""A run as people see it: what chance explains first, then sizes, accounts, groups, entities."""

from typing import TYPE_CHECKING, Any

from gpu_coord.cli.display import Rows, list_counts, print_lines, print_rows, print_top

if TYPE_CHECKING:
    import polars as pl

    from gpu_coord.results.findings import Findings

_ALL_EDGES = {"share": "--all-edges", "coact": "--merge union"}  # others: --paper


def show_run(findings: "Findings", *, show_ids: bool) -> None:
    """Print a run: its sizes, its strongest accounts, its groups and what they share."""
    print_lines(_describe_chance(findings), "")
    _print_network(findings, show_ids=show_ids)
    _print_groups(findings)
    _print_entities(findings, show_ids=show_ids)
    print_rows("Before and after the split", *_list_halves(findings))
    if not findings.content["graphs_written"]:
        line = "No GraphML and GEXF for a network of this size; --graphs writes them."
        print_lines(line, wrap=True)
    print_lines(_describe_edges(findings), wrap=True)


def _print_network(findings: "Findings", *, show_ids: bool) -> None:
    import polars as pl

    print_rows(f"Run {findings.path}", ["what", "number"], _list_sizes(findings))
    print_rows("Layers", *_list_layers(findings))
    print_top(
        "Accounts that share most with others"
        if findings.command != "detect"
        else "Accounts with the most apparent influence",
        findings.read("accounts").filter(pl.col("influence") > 0),
        {"account": "", "label": "label", "influence": "influence", "in_weight": "in-weight",
         "out_degree": "out", "community": "community", "n_posts": "posts"},
        by="-influence account_id",
        show_ids=show_ids,
    )  # fmt: skip
    print_top(
        "Largest communities",
        findings.read("communities"),
        {"community": "community", "component": "component", "n_accounts": "accounts",
         "n_edges": "edges", "mean_weight": "mean weight", "main_label": "main label"},
    )  # fmt: skip
    if findings.summary.get("n_significant") == 0:
        option = _ALL_EDGES.get(findings.command, "--paper")
        print_lines(
            "No edge is significant, so the network is empty. edges.parquet holds all edges with "
            f"their p-values; {option} puts them all into the network.",
            "",
        )


def _print_groups(findings: "Findings") -> None:
    """Print what was tested as a group, confirmed or not, and why not."""
    if findings.content.get("groups") is None:
        return
    if reason := findings.content["groups"]["reason"]:
        print_lines(f"No test of groups: {reason}", "")
        return
    groups = findings.read("groups")
    columns = {
        "group": "group", "size": "accounts", "n_core": "core", "n_significant": "significant",
        "ratio": "ratio", "p_value": "p", "limiting_test": "limiting test",
    }  # fmt: skip
    print_top("Groups with unusual co-activity", groups.filter("confirmed"), columns)
    print_top("Sets that were not confirmed", groups.remove("confirmed"), columns)
    print_lines(*_explain_groups(groups), "")


def _print_entities(findings: "Findings", *, show_ids: bool) -> None:
    import polars as pl

    print_top(
        "Entities that carry the most coordination",
        findings.read("entities").filter(pl.col("coordination") > 0),
        {"kind": "kind", "value": "value", "n_accounts": "accounts", "n_events": "events",
         "coordination": "coordination"},
        show_ids=show_ids,
    )  # fmt: skip
    if findings.read("accounts")["label"].null_count() < findings.summary["n_accounts"]:
        print_top(
            "Edges between classes, all kinds",
            findings.read("classes").filter(pl.col("kind") == "all", pl.col("n_edges") > 0),
            {"source_label": "from", "target_label": "to", "n_edges": "edges",
             "mean_weight": "mean weight", "mean_weight_per_pair": "per pair"},
            by="-mean_weight_per_pair",
        )  # fmt: skip


def _describe_edges(findings: "Findings") -> str:
    tells = (
        "two accounts share the same things at about the same time"
        if findings.command != "detect"
        else "one account tends to act one lag after another"
    )
    return (
        f"An edge says that {tells}, not why: coordination is not inauthenticity, and no edge "
        "attributes an account to anyone."
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
    summary, settings = findings.summary, findings.content["settings"]
    if findings.command == "share":
        return _describe_shares(findings)
    if findings.command == "coact":
        return _describe_layers(findings)
    if "lambda" not in summary:
        return "lambda not computed (--paper): any of these edges may be chance."
    more = summary["lambda"] - 1
    sentence = (
        f"lambda {summary['lambda']:.2f}: accounts coincide {abs(more):.0%} "
        f"{'more' if more >= 0 else 'less'} often than chance explains. "
        f"{summary['n_significant']:,} edges are significant at a false discovery rate of "
        f"{settings['alpha']:g}: about {summary['expected_false_edges']:.3g} of them may be false."
    )
    return f"{sentence} {findings.content['chance']['warning'] or ''}".strip()


def _describe_layers(findings: "Findings") -> str:
    run, summary = findings.content, findings.summary
    said = f"{summary['n_pairs']:,} pairs of shares in {summary['n_layers']} layers; "
    if "lambda" not in summary:
        return f"{said}{run['settings']['merge']} of the layers, not tested against chance."
    said += (
        f"{summary['n_significant']:,} edges stand out over all tested layers together, at a "
        f"false discovery rate of {run['settings']['alpha']:g}: about "
        f"{summary['expected_false_edges']:.3g} may be false."
    )
    warned = {each["layer"]: each["chance"]["warning"] for each in run["layers"] if each["chance"]}
    names = ", ".join(layer for layer, warning in warned.items() if warning)
    return f"{said} In {names}: {next(filter(None, warned.values()))}" if names else said


def _list_layers(findings: "Findings") -> Rows:
    columns = ["layer", "window_seconds", "n_edges", "n_accounts"]
    layers = findings.content["layers"] if findings.command == "coact" else []
    shown = ["layer", "window, s", "edges", "accounts"]
    return shown, [[layer[column] for column in columns] for layer in layers]


def _describe_shares(findings: "Findings") -> str:
    from gpu_coord.ground.times import describe_seconds

    run, summary = findings.content, findings.summary
    said = [
        f"{summary['n_pairs']:,} pairs of shares of the same object within "
        f"{describe_seconds(run['window_seconds'])} ({run['settings']['mode']})."
    ]
    if "lambda" in summary:
        said.append(
            f"lambda {summary['lambda']:.2f}: that is how many times as often as chance explains "
            f"pairs of accounts meet, in general. {summary['n_significant']:,} edges stand out "
            f"even so, at a false discovery rate of {run['settings']['alpha']:g}: about "
            f"{summary['expected_false_edges']:.3g} of them may be false."
        )
        said.append(run["chance"]["warning"] or "")
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
    return " ".join(said)


def _list_sizes(findings: "Findings") -> list[tuple[str, Any]]:
    seconds = sum(stage["seconds"] for stage in findings.content["stages"])
    peak = max(stage["peak_memory_bytes"] for stage in findings.content["stages"])
    return [
        *list_counts(findings.summary),
        ("seconds", round(seconds, 2)),
        ("peak memory, GB", round(peak / 1e9, 2)),
        ("backend", findings.content["backend"]["name"]),
        ("specification", findings.content["specification"][:12]),
    ]


def _list_halves(findings: "Findings") -> Rows:
    from gpu_coord.results.findings import open_run

    halves = [half for half in ("before", "after") if (findings.path / half).is_dir()]
    runs = [(half, open_run(findings.path / half).summary) for half in halves]
    columns = ["n_accounts", "n_entities", "n_bins", "n_edges", "n_communities"]
    rows = [(half, *(summary[column] for column in columns)) for half, summary in runs]
    return ["half", *(column[2:] for column in columns)], rows


def show_calibration(found: "Findings") -> None:
    """Print what was found in copies without coordination."""
    print_lines(*_describe_calibration(found.summary), f"Look at {found.path / 'qq.png'}.")


def _describe_calibration(summary: dict[str, Any]) -> list[str]:
    low, high = summary["lambda_of_copies"]
    lines = [
        f"lambda {summary['lambda']:.2f} in the data, {low:.2f} to {high:.2f} in "
        f"{summary['n_copies']} copies whose accounts' days were permuted."
    ]
    for what, n_found in (("edges", "n_significant"), ("groups", "n_groups")):
        if n_found not in summary:
            continue
        false = summary[f"false_{what}"]
        low, high = false["share_interval"]
        lines.append(
            f"Significant {what}: {summary[n_found]:,} in the data, {false['per_copy']:.3g} per "
            f"copy; {false['n_copies_with_any']} copies have any (95% interval of their share: "
            f"{low:.1%} to {high:.1%})."
        )
    return lines
