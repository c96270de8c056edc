"""Tables as CSV and LaTeX: two hundred hostile strings stay text; numbers stay as they are."""

import csv
import io
import unicodedata

import polars as pl
from hostile import HOSTILE, is_safe, read_latex
from runs import succeed, write_run

from gpu_coord.ground.escapes import escape_latex, guard_cells, write_csv, write_latex

TABLE = pl.DataFrame({"name": HOSTILE, "n": range(len(HOSTILE)), "less": -1.5})


def test_write_csv__no_cell_is_a_formula_or_hides_anything():
    rows = list(csv.reader(io.StringIO(write_csv(TABLE))))
    assert rows[0] == ["name", "n", "less"] and len(rows) == len(HOSTILE) + 1
    assert all(is_safe(row[0]) for row in rows[1:])
    assert [row[1] for row in rows[1:]] == [str(n) for n in range(len(HOSTILE))]
    assert {row[2] for row in rows[1:]} == {"-1.5"}  # a number is none
    plain = pl.DataFrame({"name": ["a", "b c", "x-1", None]})
    assert guard_cells(plain).equals(plain)


def test_write_csv__words_of_a_list_are_texts():
    table = pl.DataFrame({"kind": ["=1+1"]})
    for dtype in (pl.Categorical, pl.Enum(["=1+1"])):
        assert write_csv(table.cast({"kind": dtype})) == "kind\n'=1+1\n"


def test_write_csv__raw_leaves_texts_as_they_are():
    text = write_csv(TABLE, raw=True)
    assert [row[0] for row in csv.reader(io.StringIO(text, newline=""))][1:] == HOSTILE


def test_write_csv__items_of_lists_stand_with_spaces():
    assert write_csv(pl.DataFrame({"members": [["a", "b"], []]})) == 'members\na b\n""\n'


def test_escape_latex__can_be_undone():
    assert [read_latex(escape_latex(text)) for text in HOSTILE] == HOSTILE


def test_write_latex__has_a_line_for_each_row():
    text = write_latex(TABLE)
    lines = text.splitlines()
    assert lines[:2] == [r"\begin{tabular}{lrr}", r"\toprule"]
    assert lines[2] == r"name & n & less \\" and lines[-1] == r"\end{tabular}"
    body = lines[4:-2]
    assert len(body) == len(HOSTILE) and all(line.endswith(r" & -1.5 \\") for line in body)
    assert not any(unicodedata.category(each)[0] == "C" for line in body for each in line)


def test_show__prints_csv_and_latex(tmp_path):
    objects = {"kind": ["url", "url"], "value": ["=1+1", "a_b"], "pseudonym": [None, None],
               "n_accounts": [2, 2], "n_events": [4, 4], "coordination": [2.0, 1.0]}  # fmt: skip
    run = write_run(tmp_path / "run", entities=pl.DataFrame(objects, schema_overrides={
        "pseudonym": pl.String}))  # fmt: skip
    told = succeed("show", run.path, "objects", "--format", "csv").stdout
    assert told.splitlines()[1] == "url,'=1+1,2,4,2.0"
    raw = succeed("show", run.path, "objects", "--format", "csv", "--raw").stdout
    assert raw.splitlines()[1] == "url,=1+1,2,4,2.0"
    assert (
        r"url & a\_b & 2 & 4 & 1 \\"
        in succeed("show", run.path, "objects", "--format", "latex").stdout
    )
