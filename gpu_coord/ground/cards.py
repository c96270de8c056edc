"""What notebooks show: cards of HTML, with sentences, tables and a picture.

Archives hold markup, formulas, control codes and bidirectional marks. Nothing from a store gets
into HTML except through `write_text`: as text of an element, never as one or as an attribute.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from gpu_coord.ground.terminal import clean_lines, format_number

_STARTS = "text-align: left; padding: 1px 8px 1px 0"
_WHOLE = "; white-space: nowrap"
_ENDS = f"text-align: right; padding: 1px 8px 1px 0{_WHOLE}"
_LONG = 24  # characters of a text that may be broken; pseudonyms are shorter


def write_card(title: str, *parts: str) -> str:
    """Return a card; MathJax leaves alone what is of its class."""
    style = (
        "border: 1px solid #bbb; border-radius: 4px; padding: 8px 12px; max-width: 66em; "
        "overflow-x: auto"  # of tables wider than the page
    )
    return (
        f'<div class="mathjax_ignore tex2jax_ignore" style="{style}">'
        f"<strong>{write_text(title)}</strong>{''.join(parts)}</div>"
    )


def write_text(text: str) -> str:
    """Return text as HTML that shows all of it and obeys none."""
    return escape(clean_lines(text), quote=True)


def write_lines(*lines: str) -> str:
    """Return sentences, each as a paragraph; empty ones are left out."""
    return "".join(f'<p style="margin: 6px 0">{write_text(line)}</p>' for line in lines if line)


def write_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table under its title, numbers to the right; nothing where it has no rows."""
    rows = list(rows)
    if not rows:
        return ""
    styles = [_style_column([row[place] for row in rows]) for place in range(len(heads))]
    first = _write_row("th", heads, styles)
    body = "".join(_write_row("td", row, styles) for row in rows)
    return (
        f'<p style="margin: 8px 0 2px"><em>{write_text(title)}</em></p>'
        f'<table style="border-collapse: collapse; font-size: 90%">{first}{body}</table>'
    )


def _style_column(cells: Sequence[Any]) -> str:
    if any(isinstance(cell, int | float) for cell in cells):
        return _ENDS
    return _STARTS + _WHOLE if all(len(str(cell)) <= _LONG for cell in cells) else _STARTS


def _write_row(element: str, cells: Sequence[Any], styles: Sequence[str]) -> str:
    written = (
        f'<{element} style="{style}">{escape(format_number(cell))}</{element}>'
        for cell, style in zip(cells, styles, strict=True)
    )
    return f"<tr>{''.join(written)}</tr>"


def write_picture(content: bytes, media: str, alt: str) -> str:
    """Return a picture that is part of the page; what is in it cannot act."""
    data = b64encode(content).decode()
    style = "max-width: 20em; display: block; margin: 8px 0"
    return f'<img alt="{escape(alt)}" style="{style}" src="data:image/{media};base64,{data}">'
