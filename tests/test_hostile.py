"""One archive of hostile names in hostile folders, through every command: all of it stays text.

The judges are not ours: XML parsers, networkx and igraph read the graphs, `html.parser` the pages
and cards, `csv`, `json` and a shell's rules the rest. A terminal must get nothing that it obeys.
"""

import csv
import io
import json
import re
import shlex
import unicodedata
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import igraph
import networkx
import polars as pl
import pytest
from hostile import HOSTILE, is_safe, read_latex, write_shares
from runs import invoke

import gpu_coord as gc
from gpu_coord.cli.commands import COMMANDS

FOLDER = "a[1]*?<b onload=x>\x1b[31m\n=1+1\u202e $(x) '\"&:bomb:"
LINE = "x\x1b[31m\nerror: [red]$(x)\u202e:bomb:\x9b"
SCRIPT, FORMULA = HOSTILE[0], "$\\href{javascript:alert(1)}{x}$"
SCRIPTS = [name for name in HOSTILE if "<" in name and "alert(1)" in name]
KINDS = [  # that an archive may have
    name
    for name in HOSTILE
    if not re.search(r"[,\x00-\x1f\x7f-\x9f]", name) and name.strip() == name
]
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
PARTS = ("edges", "groups", "accounts", "objects")
# What stands behind @ is in the folder; IDS is --show-ids.
MADE = """
ingest @in/shares.parquet --store @store --labels @in/labels.parquet
ingest @tweets.csv --store @tweets --labels @in/labels.parquet --texts
ingest @platforms.parquet --store @platforms
columns @tweets.csv
columns @in/shares.parquet
share @store --out @shared --kind KINDS --window 60s --report --graphs IDS
detect @store --out @run --kinds KINDS --lags 0-1 --groups 0 IDS
coact @store --out @acts --layers co_url,co_hashtag --merge fused IDS
cycle @store --seeds @seeds.txt --kind url --min-weight 1 --out @cycle IDS
model @store --out @model --kinds url --min-support 1 IDS
cascades @platforms --kind url --min-shares 1 --out @cascades IDS
cohorts @tweets --min-accounts 1 --labels @truth.csv --out @cohorts
calibrate @store --kinds url --groups 0 --copies 1 --out @calibration
sweep @store @grid.toml --out @sweep IDS
evaluate @run --positive SCRIPT --truth @truth.csv --resamples 0
compare @store --positive SCRIPT --truth @truth.csv --methods activity,co_activity --resamples 0
 --kinds url --out @compared
transplant @store --into @store --kinds url --min-events 1 --out @planted
roles @run IDS
show @run IDS
show @shared IDS
explain @shared SCRIPT SECOND IDS
timeline @store SCRIPT --kind SCRIPT --out @timeline.html IDS
timeline @store SCRIPT --kind SCRIPT --out @timeline.svg IDS
timeline @store SCRIPT --kind SCRIPT --out @timeline.png IDS
timeline @store SCRIPT --kind SCRIPT --out @timeline.csv IDS
timeline @platforms FORMULA --kind url --out @timeline.json IDS
report @shared @run @model @cascades @sweep @cycle @cohorts @acts --out @page.html IDS
verify @store
verify @shared
"""
REFUSED = """
show @shared --account LINE
show @shared LINE
show @LINE
explain @shared LINE SCRIPT
share @store --out @none --kind LINE
share @store --out @none --window LINE
share @store --out @none --mode LINE
share @store --out @none --LINE
share @store --out @in --kind url
LINE @store
ingest @LINE --store @none
ingest @in/shares.parquet --store @none --map account_id=LINE
ingest @in/shares.parquet --store @none --label LINE
timeline @store LINE --out @none.png
timeline @store SCRIPT --out @LINE
cascades @store --out @none --inside LINE
coact @store --out @none --layers LINE
detect @store --out @none --memory LINE
sweep @store @seeds.txt --out @none
evaluate @shared --positive LINE
simulate --out @none --set LINE
verify @LINE
"""
# The elements of reports, timelines, cards and pictures.
OURS = {*"""
html head meta title style script body header nav main section article footer a h1 h2 h3 p strong em
pre blockquote ul li dl div dt dd table caption thead tbody tr th td figure img form label input
datalist select option button output details summary svg g path defs clippath rect use metadata text
line circle rdf:rdf cc:work dc:type
""".split()}  # fmt: skip
ALONE = {"selftest", "info", "simulate", "demo"}  # which read no archive


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with inputs of which every text is hostile."""
    folder = tmp_path_factory.mktemp("hostile") / FOLDER
    folder.mkdir()
    (folder.parent / "a1xx").mkdir()  # which the name of the folder would match as a pattern
    write_shares(folder / "in", HOSTILE, kinds=[*KINDS, *["url", "hashtag"] * 40])
    shares = pl.read_parquet(folder / "in" / "shares.parquet", glob=False)
    shares.with_columns(kind=pl.lit("url"), platform="account_id").write_parquet(
        folder / "platforms.parquet"
    )
    tweets = [
        {"tweetid": str(n), "userid": name, "user_display_name": name, "tweet_text": name,
         "tweet_time": "2020-01-01 00:00", "hashtags": repr([name]), "user_mentions": repr([name]),
         "urls": repr([name, f"http://e.example/{name}"]), "account_language": name,
         "account_creation_date": f"2019-01-{n % 9 + 1:02}", "follower_count": "1",
         "following_count": "1"}
        for n, name in enumerate(HOSTILE)
    ]  # fmt: skip
    pl.DataFrame(tweets).write_csv(folder / "tweets.csv")
    truth = [{"account_id": name, "label": SCRIPT if n % 2 else FORMULA}
             for n, name in enumerate(HOSTILE)]  # fmt: skip
    pl.DataFrame(truth).write_csv(folder / "truth.csv")
    (folder / "seeds.txt").write_text("\n".join(HOSTILE), encoding="utf-8")
    grid = json.dumps([SCRIPT, FORMULA])
    (folder / "grid.toml").write_text(f"kinds = {grid}\npaper = [true]\n")
    return folder


@pytest.fixture(scope="module")
def call(folder):
    """Return a function that calls a command as it is written above; all that it says is judged."""

    def call(line, *, form="text"):
        words = {"IDS": "--show-ids", "KINDS": ",".join([*KINDS, "url", "hashtag"]), "LINE": LINE,
                 "SCRIPT": SCRIPT, "FORMULA": FORMULA, "SECOND": HOSTILE[1],
                 "--LINE": f"--{LINE}"}  # fmt: skip
        found = [words.get(word, word) for word in line.split()]
        found = [word.replace("=LINE", f"={LINE}") for word in found]
        found = [
            str(folder / words.get(word[1:], word[1:])) if word[0] == "@" else word
            for word in found
        ]
        told = invoke(*found)
        for text in (told.stderr, told.stdout) if form == "text" else (told.stderr,):
            check_plain(text, line)
        return told

    return call


@pytest.fixture(scope="module")
def told(call):
    """Return what all commands said."""
    lines = MADE.replace("\n ", " ").strip().splitlines()
    return {line: call(line) for line in lines}


def check_plain(text, line):
    """A terminal obeys none of it, and Rich has read no name as markup or as a picture."""
    obeyed = [c for c in text if c != "\n" and unicodedata.category(c)[0] == "C"]
    assert obeyed == [] and not set(text) & set("\u2028\u2029\U0001f4a3"), line
    assert "Traceback" not in text and "unexpected" not in text, text


class Page(HTMLParser):
    """The names of the elements and attributes of a page, and the addresses in it."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.addresses = set(), set(), []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [v for name, v in attrs if name in ("href", "src", "xlink:href")]


def check_page(text, name):
    """Nothing in it acts or is loaded, and no name is an element."""
    page = Page(text)
    assert page.elements <= OURS and not any(script in text for script in SCRIPTS), name
    assert not any(each.startswith("on") for each in page.attributes), name
    assert all(each.startswith(("#", "data:image/")) for each in page.addresses), name
    check_plain(text.replace("\t", ""), name)


def test_commands__are_all_here():
    called = {line.split()[0] for line in MADE.replace("\n ", " ").strip().splitlines()}
    assert called == {command.name for command in COMMANDS} - ALONE


def test_commands__end_well_and_show_names_as_they_are(told):
    for line, result in told.items():
        assert result.exit_code == 0, (line, result.output)
    shown = told["show @shared IDS"].stdout
    assert SCRIPT in told["explain @shared SCRIPT SECOND IDS"].stdout and "<" in shown


def test_commands__refuse_in_one_line(call):
    for line in REFUSED.strip().splitlines():
        said = call(line)
        assert said.exit_code in (1, 2), (line, said.output)
        assert said.exit_code == 2 or said.stderr.count("\n") == 1, said.stderr
        assert "\nerror: [red]" not in said.stderr


def test_show__suggests_what_a_shell_takes_for_names(told, folder):
    for run in ("run", "shared"):
        said = told[f"show @{run} IDS"].stdout.splitlines()
        first = next(line for line in said if line.startswith("Next: "))
        words = shlex.split(first.removeprefix("Next: "))
        path = re.sub("[\x1b\n\u202e]", "\ufffd", str(folder / run))
        assert words[:3] == ["gpu-coord", "explain", path] and len(words) - ("--" in words) == 5


@pytest.mark.parametrize("part", PARTS)
def test_show__lists_each_part_in_each_form(told, call, part):
    line = f"show @shared {part} --rows 1000 IDS"
    listed = json.loads(call(f"{line} --json").stdout, parse_constant=pytest.fail)
    assert call(line).exit_code == 0
    cells = list(csv.reader(io.StringIO(call(f"{line} --format csv").stdout)))
    assert len(cells) == len(listed) + 1 and len({len(row) for row in cells}) == 1
    numbers = re.compile(r"-?[0-9.e+-]+")
    assert all(is_safe(cell) or numbers.fullmatch(cell) for row in cells for cell in row)
    latex = call(f"{line} --format latex").stdout.splitlines()
    rows = [read_latex(row.removesuffix(r" \\").replace(" & ", "")) for row in latex[4:-2]]
    assert len(rows) == len(listed)
    assert not any(row.startswith(("[", "*")) for row in latex[4:-2])


def test_graphs__are_read_by_others(told, folder):
    accounts = gc.open_run(folder / "shared").read("accounts").drop_nulls("component")
    for suffix, read, name in (
        ("graphml", networkx.read_graphml, "account_id"), ("gexf", networkx.read_gexf, "label"),
    ):  # fmt: skip
        file = folder / "shared" / f"network.{suffix}"
        ET.parse(file)
        names = [known for _, known in read(file).nodes(data=name)]
        assert names == [NOT_XML.sub("\ufffd", known) for known in accounts["account_id"]]
    graph = igraph.Graph.Read_GraphML(str(folder / "shared" / "network.graphml"))
    assert graph.vs["account_id"] == names


def test_pages_and_cards__are_text(told, folder):
    pages = list(folder.rglob("*.html"))
    assert len(pages) == 3
    for page in pages:
        check_page(page.read_text(), page.name)
    ET.parse(folder / "timeline.svg")
    check_page((folder / "timeline.svg").read_text(), "svg")
    folders = [path.parent for path in folder.glob("*/*.json")]
    for path in folders:
        is_store = (path / "manifest.json").is_file()
        found = gc.open_store(path) if is_store else gc.open_run(path)
        check_page(found._repr_html_(), path.name)
        check_plain(repr(found), path.name)
    assert len(folders) > 12


def test_timelines__are_text_in_tables(told, folder):
    rows = list(csv.reader(io.StringIO((folder / "timeline.csv").read_bytes().decode())))
    assert len(rows) > 8 and len({len(row) for row in rows}) == 1
    assert all(is_safe(cell) for row in rows for cell in row)
    content = json.loads((folder / "timeline.json").read_text())
    for event in content["events"]:
        for text in (*event["text"].values(), event["group"]):
            assert not set(text) & set("<>")
            check_plain(text, "timeline.json")


def test_markers__are_json_that_names_the_inputs(told, folder):
    for marker in folder.glob("*/*.json"):
        json.loads(marker.read_text(), parse_constant=pytest.fail)
    assert gc.open_run(folder / "shared").content["input"]["store"] == "store"
