"""What the search at random writes down of what it finds."""

from fuzz import write_example

NOTES = """Failing test case: test_sums(
    folder=Folder('/tmp/x',
     _kept=3),
    rows=[('a', 1),
     ('b', 2)],
    rule='paper',
)"""


def test_write_example__gives_a_decorator_without_fixtures():
    expected = "@example(\n    rows=[('a', 1),\n     ('b', 2)],\n    rule='paper',\n)"
    assert write_example(NOTES, {"folder": None, "tmp_path": None}) == expected


def test_write_example__says_where_there_is_none():
    drawn = "Failing test case: test_sums(\n    data=data(...),\n)\nDraw 1: 50"
    for notes in (drawn, ""):
        written = write_example(notes, {})
        assert not written.startswith("@") and written.endswith(notes)
