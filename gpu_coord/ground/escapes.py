"""Tables -> CSV for spreadsheets and LaTeX for papers: what archives hold is text there, too."""

import polars as pl

UNSAFE = r"[\p{C}\p{Zl}\p{Zp}]"  # what `gpu_coord.ground.terminal` keeps from terminals
_FORMULA = r"^\s*[=+\-@＝＋－＠]"
# Brackets and stars in braces: after the end of a row they would be its options.
_IN_LATEX = str.maketrans({character: f"\\{character}" for character in "&%$#_{}"} | {
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "[": "{[}", "]": "{]}", "*": "{*}",
})  # fmt: skip
_TIME = "%Y-%m-%dT%H:%M:%S%.3fZ"


def guard_cells(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of which a spreadsheet runs nothing and that hides nothing.

    A text that begins like a formula begins with an apostrophe; control and bidirectional
    characters become U+FFFD.
    """
    text = pl.col(pl.String).str.replace_all(UNSAFE, "\ufffd")
    shown = table.with_columns(text)
    names = [name for name, dtype in table.schema.items() if dtype == pl.String]
    return shown.with_columns(
        pl.when(pl.col(name).str.contains(_FORMULA))
        .then(pl.concat_str(pl.lit("'"), name))
        .otherwise(name)
        .alias(name)
        for name in names
    )


def write_csv(table: pl.DataFrame, *, raw: bool = False) -> str:
    """Return a table as CSV; ``raw`` leaves texts as they are. Items of lists stand with spaces."""
    lists = [name for name, dtype in table.schema.items() if isinstance(dtype, pl.List)]
    flat = table.with_columns(pl.col(name).list.join(" ") for name in lists)
    flat = flat.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
    return (flat if raw else guard_cells(flat)).write_csv(datetime_format=_TIME)


def write_latex(table: pl.DataFrame) -> str:
    """Return a table as LaTeX; it needs the package booktabs."""
    kinds = "".join("r" if dtype.is_numeric() else "l" for dtype in table.dtypes)
    heads = [escape_latex(name.replace("_", " ")) for name in table.columns]
    rows = [" & ".join(map(_spell, row)) for row in table.iter_rows()]
    body = "".join(f"{row} \\\\\n" for row in rows)
    head = f"\\begin{{tabular}}{{{kinds}}}\n\\toprule\n{' & '.join(heads)} \\\\\n\\midrule\n"
    return f"{head}{body}\\bottomrule\n\\end{{tabular}}\n"


def escape_latex(text: str) -> str:
    """Return text that LaTeX sets and does not obey."""
    return text.translate(_IN_LATEX)


def _spell(value: object) -> str:
    from gpu_coord.ground.terminal import clean_lines, format_number

    if isinstance(value, list):
        value = " ".join(map(str, value))
    said = " ".join(clean_lines(value).split()) if isinstance(value, str) else format_number(value)
    return escape_latex(said)
