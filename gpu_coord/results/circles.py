"""A run -> a small picture of its network: accounts on a circle, by community, and its edges."""

from math import cos, pi, sin

import polars as pl

from gpu_coord.results.findings import Findings

_N_EDGES = 300
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#666666")


def draw_circle(findings: Findings) -> str:
    """Return the strongest edges of a network as SVG without any text; empty where it has none."""
    edges = findings.read_network().sort(
        "weight", "source", "target", descending=[True, False, False]
    )
    edges = edges.head(_N_EDGES).select("source", "target")
    ends = pl.concat([edges["source"], edges["target"]]).unique()
    accounts = findings.read("accounts", ["account_id", "community"])
    shown = accounts.filter(pl.col("account_id").is_in(ends.implode()))
    shown = shown.sort("community", "account_id")
    if shown.is_empty():
        return ""
    places = {
        account: _place(number / shown.height) for number, account in enumerate(shown["account_id"])
    }
    colours = dict(shown.with_columns(pl.col("community") % len(_COLOURS)).iter_rows())
    lines = [_draw_line(*places[a], *places[b], _COLOURS[colours[a]]) for a, b in edges.iter_rows()]
    points = [_draw_point(*places[each], _COLOURS[colours[each]]) for each in places]
    size = 'viewBox="0 0 200 200" width="240" height="240"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(lines + points)}</svg>'


def _place(turn: float) -> tuple[float, float]:
    return 100 + 92 * sin(2 * pi * turn), 100 - 92 * cos(2 * pi * turn)


def _draw_line(x: float, y: float, to_x: float, to_y: float, colour: str) -> str:
    ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="0.5" stroke-opacity="0.5"/>'


def _draw_point(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>'
