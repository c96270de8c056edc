"""What a run says of two accounts: their edges, the coincidences behind them, in careful words."""

from dataclasses import dataclass
from itertools import permutations
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from gpu_coord.results.evidence import (
    SCHEMA,
    add_pseudonyms,
    find_pair,
    hide_posts,
    read_evidence,
    read_pairs,
    select_pair,
)
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.results.forms import RUN

if TYPE_CHECKING:
    from rich.console import Console

_SMALLEST_P = 5e-324

CAUTION = (
    "What is seen is unusual co-activity at most, and influence is apparent: coordination is not "
    "inauthenticity, and no single edge attributes an account to anyone."
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a run says of two accounts, a and b."""

    accounts: pl.DataFrame  # a and b, as in accounts.parquet
    edges: pl.DataFrame  # a -> b and b -> a, those that there are, as in edges.parquet
    evidence: pl.DataFrame  # of both directions, by time; `pseudonym` of entities that are accounts
    n_left_out: int  # coincidences of the edges that are not in evidence.parquet
    has_evidence: bool  # the run has evidence.parquet, or pairs.parquet
    alpha: float | None  # false discovery rate of the run; None where it tested nothing
    window_seconds: float | None = None  # where pairs of shares are the evidence: the widest
    layers: pl.DataFrame | None = None  # of a run of `coact`: rows of both in layers.parquet

    def to_dict(self, *, show_ids: bool = False) -> dict[str, Any]:
        """Return what can be written as JSON; see `render` for what is shown."""
        a, b = _list_names(self, show_ids=show_ids)
        return {
            "a": a,
            "b": b,
            "edges": _to_rows(_show_edges(self, show_ids=show_ids)),
            "evidence": _to_rows(_show_evidence(self, show_ids=show_ids)),
            "n_left_out": self.n_left_out,
            "says": describe(self, a=a, b=b),
        }


def explain(run: Findings | Path | str, a: str, b: str) -> Explanation:
    """Return what a run says of two accounts, in both directions; no edge is an answer, too.

    Parameters
    ----------
    run
        A run, or its folder.
    a, b
        Account ids or pseudonyms.

    Raises
    ------
    FileNotFoundError
        There is no run at that path.
    ValueError
        An account is not in the run or stands for two, or both are the same.
    """
    findings = open_run(run, *RUN.commands)
    accounts = find_pair(findings, a, b)
    id_a, id_b = accounts["account_id"]
    edges = select_pair(findings.scan("edges"), id_a, id_b)
    edges = edges.sort(pl.col("source") != id_a)
    if findings.command != "detect":
        return _explain_shares(findings, accounts, edges)
    has_evidence = findings.has("evidence")
    evidence = read_evidence(findings, id_a, id_b) if has_evidence else pl.DataFrame(schema=SCHEMA)
    return Explanation(
        accounts=accounts,
        edges=edges,
        evidence=add_pseudonyms(findings, evidence),
        n_left_out=sum(_count_missing(edge, evidence) for edge in edges.to_dicts()),
        has_evidence=has_evidence,
        alpha=findings.content["settings"].get("alpha"),
    )


def _explain_shares(findings: Findings, accounts: pl.DataFrame, edges: pl.DataFrame) -> Explanation:
    """Explain a run whose evidence are pairs of shares."""
    ids, content = accounts["account_id"].to_list(), findings.content
    pairs = read_pairs(findings, *ids)
    if findings.command == "share":
        layers, windows, n_pairs = None, [content["window_seconds"]], pl.col("n_pairs")
    else:
        layers = select_pair(findings.scan("layers"), *ids)
        windows = [layer["window_seconds"] or 0.0 for layer in content["layers"]]
        n_pairs = pl.lit(pairs.height)
    return Explanation(
        accounts=accounts,
        edges=edges.with_columns(support=n_pairs, lag=0),
        evidence=add_pseudonyms(findings, pairs),
        n_left_out=0,
        has_evidence=True,
        alpha=content["settings"]["alpha"] if "p_value" in edges.columns else None,
        window_seconds=max(windows),
        layers=layers,
    )


def _count_missing(edge: dict[str, Any], evidence: pl.DataFrame) -> int:
    # At lag 0 a row tells both directions.
    is_its = (pl.col("lag") == edge["lag"]) & (
        (pl.col("source") == edge["source"]) | (pl.col("lag") == 0)
    )
    return max(0, int(edge["support"]) - evidence.filter(is_its).height)


def describe(explanation: Explanation, *, a: str = "A", b: str = "B") -> list[str]:
    """Return an explanation in sentences.

    Parameters
    ----------
    explanation
        From `explain`.
    a, b
        What to call the accounts.
    """
    names = dict(zip(explanation.accounts["account_id"], (a, b), strict=True))
    if explanation.window_seconds is not None:
        return [*_describe_shares(explanation, a, b), CAUTION]
    edges = explanation.edges.to_dicts()
    said = [_describe_edge(edge, names, explanation.alpha) for edge in edges]
    directions = {(edge["source"], edge["target"]) for edge in edges}
    missing = [pair for pair in permutations(names) if pair not in directions]
    if len(missing) == 2:
        said.append(
            f"The run has no edge between {a} and {b} in either direction: no tendency of one to "
            "act after the other passed its settings."
        )
    elif missing:
        said.append(f"There is no edge from {names[missing[0][0]]} to {names[missing[0][1]]}.")
    groups = explanation.evidence["group"].drop_nulls().unique().sort().to_list()
    if groups:
        numbers = ", ".join(map(str, groups))
        said.append(f"Both are in group {numbers}, which some of the coincidences are evidence of.")
    return [*said, *_describe_missing(explanation), CAUTION]


def _describe_shares(explanation: Explanation, a: str, b: str) -> list[str]:
    within = f"within {explanation.window_seconds:g} s of each other"
    if explanation.edges.is_empty():
        n_pairs = explanation.evidence.height
        why = (
            f"though they shared the same object {within} {_count(n_pairs, 'time')}: its settings "
            "leave such an edge out"
            if n_pairs
            else f"they never shared the same object {within}"
        )
        return [f"The run has no edge between {a} and {b}; {why}."]
    names = dict(zip(explanation.accounts["account_id"], (a, b), strict=True))
    if explanation.layers is not None:
        return _describe_layers(explanation, names)
    return [
        sentence
        for edge in explanation.edges.to_dicts()
        for sentence in _describe_shared(edge, names, within, explanation.alpha)
    ]


def _describe_layers(explanation: Explanation, names: dict[str, str]) -> list[str]:
    assert explanation.layers is not None
    said = []
    for row in explanation.layers.to_dicts():
        source, target = names[row["source"]], names[row["target"]]
        alike, after = f"{source} and {target} acted alike", f"{target} followed {source}"
        said.append(
            f"In the layer {row['layer']}, {source} and {target} are {row['weight']:.2f} alike, "
            "from 0 to 1, by what they shared at any time: a ranking, not a test."
            if row["window_seconds"] is None
            else f"In the layer {row['layer']}, {after if row['directed'] else alike} within "
            f"{row['window_seconds']:g} s on {_count(round(row['weight']), 'object')}, in "
            f"{_count(row['n_pairs'], 'pair')} of posts, {row['mean_gap']:.3g} s apart on average."
        )
    if explanation.alpha is None:
        return [*said, "The run does not say how often chance alone would make that happen."]
    edge = explanation.edges.to_dicts()[0]
    return [*said, f"All tested layers together: {_describe_tier(edge, explanation.alpha)}"]


def _describe_shared(
    edge: dict[str, Any], names: dict[str, str], within: str, alpha: float | None
) -> list[str]:
    source, target = names[edge["source"]], names[edge["target"]]
    if edge["n_pairs"] is None or not edge["n_pairs"]:
        return [f"{source} and {target} have an edge of weight {edge['weight']:.3g}, though they "
                f"never shared the same object {within}."]  # fmt: skip
    said = [
        f"{source} and {target} shared {_count(edge['n_objects'], 'common object')} {within}, in "
        f"{_count(edge['n_pairs'], 'pair')} of posts (weight {edge['weight']:.3g}); {source} was "
        f"first in {edge['source_first']:.0%} of them, and half of them lie at most "
        f"{edge['median_gap']:g} s apart."
    ]
    if alpha is not None:
        said.append(_describe_tests(edge, alpha))
    else:
        said.append("The run does not say how often chance alone would make that happen.")
    return said


def _describe_edge(edge: dict[str, Any], names: dict[str, str], alpha: float | None) -> str:
    when = f"{_count(edge['lag'], 'bin')} after" if edge["lag"] else "in the same bin as"
    said = (
        f"{names[edge['target']]} acted {when} {names[edge['source']]} on the same entity "
        f"{_count(edge['support'], 'time')} (weight {edge['weight']:.3g})"
    )
    if edge.get("p_value") is None:
        return f"{said}; the run does not say how often chance alone would make that happen."
    return f"{said}. {_describe_tests(edge, alpha)}"


def _describe_tests(edge: dict[str, Any], alpha: float | None) -> str:
    """Say what was tested of an edge, what was expected, and which tier it reaches."""
    if "q_habit" not in edge:  # of version 0.1
        q_value = _spell_chance("q", edge.get("q_value"))
        known = "significant" if edge.get("significant") else "not shown to be unusual"
        return f"{edge['expected']:.3g} would be expected by chance; {q_value}: {known}."
    said = (
        f"Tested were {_count(edge['n_hours'], 'hour')} with a meeting; the habits of the two "
        f"would make {edge['expected_habit']:.3g}, and habits and news together "
        + (
            "nobody can say how many here"
            if edge["expected"] is None
            else f"{edge['expected']:.3g}"
        )
    )
    return f"{said}: {_describe_tier(edge, alpha)}"


def _describe_tier(edge: dict[str, Any], alpha: float | None) -> str:
    """Say which tier an edge reaches, and how sure that is."""
    q_value, q_habit = (_spell_chance("q", edge[name]) for name in ("q_value", "q_habit"))
    at = f"at a false discovery rate of {alpha}"
    if edge["tier"] == "beyond_news":
        grade = f", evidence grade {edge['grade']}" if "grade" in edge else ""
        return f"beyond the news ({q_value}{grade}), unusual co-activity {at}."
    if edge["tier"] == "beyond_habit":
        return (
            f"beyond habit ({q_habit}) {at}, but not shown to be beyond the news ({q_value}): "
            "shared news is not excluded."
        )
    return (
        f"not shown to be beyond chance ({q_habit} of habit) {at}, which is no proof that they are "
        "strangers."
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _spell_chance(name: str, value: float | None) -> str:
    if value is None:
        return f"{name} unknown"
    return f"{name} = {value:.3g}" if value else f"{name} below {_SMALLEST_P:.0e}"


def _describe_missing(explanation: Explanation) -> list[str]:
    if not explanation.has_evidence:
        return ["The run has no evidence.parquet, so single coincidences are not shown."]
    if explanation.n_left_out:
        left_out = _count(explanation.n_left_out, "coincidence")
        return [
            f"{left_out} of these edges did not go into evidence.parquet, which holds those of the "
            "strongest edges up to its size; a run on fewer accounts or less time writes them."
        ]
    return []


def _list_names(explanation: Explanation, *, show_ids: bool) -> list[str]:
    names: list[str] = explanation.accounts["account_id" if show_ids else "pseudonym"].to_list()
    return names


def _name_ends(frame: pl.DataFrame, explanation: Explanation, *, show_ids: bool) -> pl.DataFrame:
    ids = explanation.accounts["account_id"].to_list()
    names = _list_names(explanation, show_ids=show_ids)
    return frame.with_columns(pl.col("source", "target").replace_strict(ids, names))


def _show_edges(explanation: Explanation, *, show_ids: bool) -> pl.DataFrame:
    edges = explanation.edges.rename({"support": "observed"})
    if "expected" in edges.columns:
        counted = "n_hours" if "n_hours" in edges.columns else "observed"
        ratio = pl.when(pl.col("expected") > 0).then(pl.col(counted) / pl.col("expected"))
        edges = edges.with_columns(ratio=ratio)
    return _name_ends(edges, explanation, show_ids=show_ids)


def _show_evidence(explanation: Explanation, *, show_ids: bool) -> pl.DataFrame:
    named = _name_ends(explanation.evidence, explanation, show_ids=show_ids)
    return named.drop("pseudonym") if show_ids else hide_posts(named)


def _to_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return rows that JSON can hold: times as text, no infinities."""
    times = pl.col("^time_.*$").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
    return [
        {
            key: None if isinstance(value, float) and not isfinite(value) else value
            for key, value in row.items()
        }
        for row in frame.with_columns(times).to_dicts()
    ]


def render(
    explanation: Explanation, *, console: "Console", show_ids: bool = False, n_shown: int = 10
) -> None:
    """Print an explanation: the accounts, their edges, the first coincidences, and what it means.

    Parameters
    ----------
    explanation
        From `explain`.
    console
        Where to print.
    show_ids
        Show account ids, content ids and the ids of posts that are entities; otherwise accounts
        by pseudonym and such posts by number.
    n_shown
        Coincidences to show.
    """
    from gpu_coord.ground.terminal import clean_line, print_line, print_table

    print_table(console, "Accounts", *_list_accounts(explanation, show_ids=show_ids), n_names=2)
    print_table(console, "Edges", *_list_edges(explanation))
    rows = _list_rows(explanation, show_ids=show_ids, n=n_shown)
    print_table(console, "Coincidences", *rows, n_names=3)
    more = max(0, explanation.evidence.height - n_shown)
    file = "evidence.parquet" if explanation.window_seconds is None else "pairs.parquet"
    said = [f"{_count(more, 'coincidence')} more in {file}."] if more else []
    for sentence in said + describe(explanation):
        print_line(console, clean_line(sentence), soft_wrap=False)


def _list_accounts(explanation: Explanation, *, show_ids: bool) -> tuple[list[str], list[Any]]:
    name = "account_id" if show_ids else "pseudonym"
    rows = explanation.accounts.select(name, "label", "n_posts", "influence", "community").rows()
    shown = ["", name, "label", "posts", "influence", "community"]
    return shown, [(letter, *row) for letter, row in zip("AB", rows, strict=True)]


def _list_edges(explanation: Explanation) -> tuple[list[str], list[Any]]:
    columns = [
        "observed", "n_hours", "expected_habit", "expected", "weight", "tier", "q_value", "q_habit",
        "lag",
    ]  # fmt: skip
    edges = _show_edges(explanation, show_ids=True)
    lacking = [pl.lit(None).alias(name) for name in columns if name not in edges.columns]
    rows = edges.with_columns(lacking).select("source", *columns).rows()
    shown = [
        "", "observed", "hours", "by habit", "with news", "weight", "tier", "q", "q of habit",
        "lag",
    ]  # fmt: skip
    between = " → " if explanation.window_seconds is None else ", "
    return shown, [(_point(explanation, source, between), *row) for source, *row in rows]


def _point(explanation: Explanation, source: str, between: str = " → ") -> str:
    return between.join("AB" if source == explanation.accounts["account_id"][0] else "BA")


def _list_rows(explanation: Explanation, *, show_ids: bool, n: int) -> tuple[list[str], list[Any]]:
    evidence = _show_evidence(explanation, show_ids=show_ids).head(n)
    points = [_point(explanation, source) for source in explanation.evidence["source"].head(n)]
    time = pl.col("time_source").dt.strftime("%Y-%m-%d %H:%M:%S")
    contents = ["content_source", "content_target"] if show_ids else []
    rows = evidence.select("kind", "value", time, "gap", "group", *contents).rows()
    shown = ["", "kind", "value", "time of source", "gap, s", "group", *contents]
    # Below some seconds fractions of a gap tell, far above them they only take room.
    return shown, [
        (point, kind, value, when, gap if abs(gap) < 10 else round(gap), *others)
        for point, (kind, value, when, gap, *others) in zip(points, rows, strict=True)
    ]
