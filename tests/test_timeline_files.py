"""The files of a timeline: what they say, and that no text of an archive is obeyed."""

import csv
import json
import re
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from runs import event, refuse, succeed

from gpu_coord.archive.ingest import ingest
from gpu_coord.sharing.run import share
from gpu_coord.spread.timeline import tabulate_timeline
from gpu_coord.spread.timeline_files import draw_timeline, write_timeline
from gpu_coord.store.store import name_accounts

HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|' /C calc'!A0",
    "@SUM(A1)\x00\x1b[31m",
    "$\\frac{\u202e\ufeff",
    "_hidden ]]> &amp; <!-- -->",
    " +1+1",
    "กองทัพ 😀",
    "</title></svg><a xlink:href='#share-0'>",
]
VALUE = "x.org/<svg onload=alert(1)>$\\frac{"


@pytest.fixture(scope="module")
def store(make_store):
    """Return a store in which ids, labels and the object itself are hostile."""
    events = [event(name, 20 * place, VALUE, "url") for place, name in enumerate(HOSTILE)]
    more = [event("m", 0, "secret id", "mention"), event("m", 0, "12345", "retweet")]
    labels = dict(zip(HOSTILE, HOSTILE[::-1], strict=True))
    return make_store(events + more, labels=labels)


class Page(HTMLParser):
    """Collects elements, attributes and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.scripts = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        (self.scripts if self.tags[-1:] == ["script"] else self.texts).append(data)


def write(store, path, **choices):
    write_timeline(store, VALUE, path, **choices)
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("show_ids", [False, True])
def test_write_timeline__writes_a_page_of_its_own_without_an_element_from_data(
    store, tmp_path, show_ids
):
    text = write(store, tmp_path / "page.html", show_ids=show_ids)
    page = Page(text)
    assert page.tags.count("script") == page.tags.count("svg") == 1
    assert not {"img", "iframe", "a", "object", "link"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not [value for _, value in page.attributes if value and "alert" in value]
    assert "alert" not in page.scripts[0]
    assert not re.search("[\x00-\x08\x0e-\x1f\u202e\ufeff]", text)
    shown = "".join(page.texts)
    assert all(label.split("\x00")[0].split("\u202e")[0] in shown for label in HOSTILE)
    assert VALUE in shown
    # It needs no network.
    addresses = [value for name, value in page.attributes if name in ("src", "href", "action")]
    assert addresses == []
    links = [value for name, value in page.attributes if name == "xlink:href"]
    assert all(link.startswith("#") for link in links)
    policies = [value for _, value in page.attributes if value and "default-src 'none'" in value]
    assert len(policies) == 1
    # Its boxes name what is drawn.
    boxes = [value for name, value in page.attributes if name == "data-series"]
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(boxes) == 3 + 1 + 8 + 2  # steps, points without and with a label or other, ticks
    assert all(ids.count(box) == 1 for box in boxes)


def test_write_timeline__tells_each_share_in_the_svg(store, tmp_path):
    root = ET.fromstring(write(store, tmp_path / "picture.svg"))
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == len(HOSTILE)
    table = tabulate_timeline(store, VALUE, kind="url")
    for row in table.to_dicts():
        title = next(text for text in titles if f"share {row['n_shares']} of 9" in text)
        assert title.startswith(f"1970-01-01 00:0{(row['n_shares'] - 1) * 20 // 60}")
        assert row["pseudonym"] in title
        assert "coordinated" in title


@pytest.mark.parametrize("suffix", [".html", ".svg", ".png", ".csv", ".json", ".parquet"])
def test_write_timeline__writes_the_same_bytes_again(store, tmp_path, suffix):
    one, other = tmp_path / f"one{suffix}", tmp_path / f"other{suffix}"
    for path in (one, other):
        write_timeline(store, VALUE, path)
    assert one.read_bytes() == other.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {one.name, other.name}
    assert b"dc:date" not in one.read_bytes()


def test_write_timeline__writes_no_formula_into_csv(store, tmp_path):
    text = write(store, tmp_path / "table.csv", show_ids=True)
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == len(HOSTILE)
    for row in rows:
        assert not [cell for cell in row.values() if cell.lstrip().startswith(tuple("=+-@"))]
        assert not re.search("[\x00-\x1f\u202e\ufeff]", "".join(row.values()))
    cells = {row["account_id"] for row in rows}
    assert {"'=cmd|' /C calc'!A0", "'@SUM(A1)\ufffd\ufffd[31m", "' +1+1", "กองทัพ 😀"} < cells
    assert rows[0]["time"] == "1970-01-01T00:00:00.000Z"


def test_write_timeline__hides_ids_unless_asked(store, tmp_path):
    ids = [name for name in HOSTILE if name.isprintable()]
    unlabelled = shutil.copytree(store.path, tmp_path / "unlabelled")
    accounts = store.read("accounts").with_columns(label=pl.lit(None, dtype=pl.String))
    accounts.write_parquet(unlabelled / "accounts.parquet")
    hidden = {suffix: write(unlabelled, tmp_path / f"a{suffix}") for suffix in (".csv", ".json")}
    assert not [name for name in ids if name in hidden[".csv"] or name in hidden[".json"]]
    assert "content_id" not in hidden[".csv"] and "account_id" not in hidden[".csv"]
    assert "account_id" in write(unlabelled, tmp_path / "b.csv", show_ids=True)
    assert "กองทัพ" not in write(unlabelled, tmp_path / "c.svg")
    assert "กองทัพ" in write(unlabelled, tmp_path / "d.svg", show_ids=True)


def test_write_timeline__hides_objects_that_are_accounts_or_posts(store, tmp_path):
    mention = write_timeline(store, "secret id", tmp_path / "a.html")
    assert mention.shown == name_accounts(pl.Series(["secret id"]), store).item()
    assert "secret id" not in (tmp_path / "a.html").read_text()
    assert write_timeline(store, "12345", tmp_path / "b.html").shown == "a post"
    assert write_timeline(store, "12345", tmp_path / "b.html", show_ids=True).shown == "12345"


def test_write_timeline__writes_what_timelinejs_reads(store, tmp_path):
    content = json.loads(write(store, tmp_path / "events.json"))
    assert content["title"]["text"]["headline"] == ("x.org/&lt;svg onload=alert(1)&gt;$\\frac{")
    ids = [told["unique_id"] for told in content["events"]]
    assert ids == [f"share-{n + 1}" for n in range(9)]
    assert content["events"][4]["start_date"] == {
        "year": 1970, "month": 1, "day": 1, "hour": 0, "minute": 1, "second": 20, "millisecond": 0
    }  # fmt: skip
    texts = [(*told["text"].values(), told["group"]) for told in content["events"]]
    assert not [text for each in texts for text in each if "<" in text]


def test_write_timeline__writes_the_whole_table_as_parquet(make_store, tmp_path):
    events = [event(f"a{second % 700}", second, "x.org", "url") for second in range(5000)]
    made = make_store(events)
    timeline = write_timeline(made, "x.org", tmp_path / "table.parquet")
    table = tabulate_timeline(made, "x.org", kind="url")
    assert_frame_equal(pl.read_parquet(tmp_path / "table.parquet"), table)
    assert timeline.summary["n_shares"] == 5000
    assert timeline.summary["n_points"] == 1001
    write_timeline(made, "x.org", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count('<g class="share">') == 1001
    assert "1,001 of 5,000 shares are points: one in 5, and the last" in page
    assert len(page) < 2_000_000
    write_timeline(made, "x.org", tmp_path / "table.csv")
    assert pl.read_csv(tmp_path / "table.csv").height == 5000


def test_draw_timeline__draws_the_table(store, tmp_path):
    timeline = write_timeline(store, VALUE, tmp_path / "picture.png", window="20s")
    assert (tmp_path / "picture.png").read_bytes()[1:4] == b"PNG"
    figure = draw_timeline(timeline)
    steps, rows = figure.axes
    assert steps.lines[0].get_ydata().tolist() == timeline.table["n_shares"].to_list()
    assert len(rows.get_yticklabels()) == 9
    assert figure.get_suptitle().endswith("\n9 shares by 9 accounts, 9 coordinated.")


def test_write_timeline__takes_windows_of_fractions(store, tmp_path):
    timeline = write_timeline(store, VALUE, tmp_path / "a.csv", window="20.5s")
    assert "within 20.5 s of another" in timeline.meaning
    same = write_timeline(store, VALUE, tmp_path / "b.csv", window="20s")
    assert timeline.table["coordinated"].equals(same.table["coordinated"])


def test_write_timeline__says_what_coordinated_means(store, tmp_path):
    assert write_timeline(store, VALUE, tmp_path / "a.csv").meaning == (
        "Coordinated: within 60 s of another account’s share of it."
    )
    run = share(store, tmp_path / "run", kinds="url", window="20s", mode="qut")
    made = write_timeline(store, VALUE, tmp_path / "a.csv", run=run)
    said = "within 20 s of another account’s share of it, as the run pairs them (qut)"
    assert said in made.meaning


def test_write_timeline__refuses_files_elsewhere(store, tmp_path):
    run = share(store, tmp_path / "run", kinds="url")
    for path, message in (
        (tmp_path / "a.pdf", r"ends in \.png, \.svg, \.html"),
        (tmp_path / "a", "does not end in a form"),
        (store.path / "a.png", "is kept as it was made"),
        (run.path / "a.png", "is kept as it was made"),
    ):
        with pytest.raises(ValueError, match=message):
            write_timeline(store, VALUE, path, run=run)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_timeline(store, VALUE, tmp_path / "b.png")


def test_write_timeline__leaves_the_old_file_when_it_fails(store, tmp_path, monkeypatch):
    from gpu_coord.spread import timeline_files

    path = tmp_path / "deep" / "page.html"
    write_timeline(store, VALUE, path)
    before = path.read_bytes()
    monkeypatch.setattr(timeline_files, "_list_boxes", lambda figure: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_timeline(store, VALUE, path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]


# --- the command -----------------------------------------------------------------------------


def test_timeline__tells_what_it_drew(store, tmp_path):
    done = succeed("timeline", store.path, VALUE, "--out", tmp_path / "a.svg", "--json")
    assert json.loads(done.stdout) == {
        "kind": "url", "object": VALUE, "n_shares": 9, "n_accounts": 9, "n_coordinated": 9,
        "path": None, "engagement": None, "first": "1970-01-01T00:00:00.000+00:00",
        "last": "1970-01-01T00:02:40.000+00:00", "n_points": 9,
    }  # fmt: skip
    shown = succeed("timeline", store.path, VALUE, "--out", tmp_path / "a.svg", "--window", "10s")
    assert "Coordinated: within 10 s" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing"], 1, "has objects of the kinds"),
        ([VALUE, "--kind", "emoji"], 1, "its kinds are"),
        ([VALUE, "--window", "soon"], 1, "is no window"),
        ([VALUE, "--run", "nowhere"], 1, "there is no run"),
        ([VALUE, "--group-by", "colour"], 2, "colour"),
    ],
)
def test_timeline__refuses_what_it_cannot_do(store, tmp_path, arguments, code, message):
    request = ("timeline", store.path, *arguments, "--out", tmp_path / "a.png")
    assert message in refuse(code, *request)
    assert list(tmp_path.iterdir()) == []


def test_timeline__wants_a_store(tmp_path):
    request = ("timeline", tmp_path / "none", "x", "--out", tmp_path / "a.png")
    assert "There is no store" in refuse(1, *request)


@pytest.fixture(scope="module")
def spread(tmp_path_factory):
    """Return a store in which an object goes through hostile platforms."""
    folder = tmp_path_factory.mktemp("spread")
    rows = [(f"a{k}", "o", f"c{k}", 3600.0 * k, name) for k, name in enumerate(HOSTILE)]
    rows += [("z", "o", "z", 0.0, "4chan"), ("z", "single", "y", 0.0, "4chan")]
    names = ["account_id", "object_id", "content_id", "timestamp_share", "platform"]
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(folder / "t.parquet")
    return ingest(folder / "t.parquet", folder / "store")


def test_write_timeline__tells_the_path_in_every_form(spread, tmp_path):
    made = write_timeline(spread, "o", tmp_path / "a.svg", group_by="platform")
    assert made.summary["path"].startswith('4chan = "</script>')
    said = made.describe_path()
    assert said.startswith("Path: 4chan = </script><script>alert(1)… > ")
    assert said.count(" > ") == 6
    assert said.endswith(" > 3 more.")
    assert " (after 1 h) > " in said and "\x1b" not in said and "\u202e" not in said
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "Path: 4chan = " in "".join(ET.fromstring(svg).itertext())
    write_timeline(spread, "o", tmp_path / "a.json", group_by="platform")
    content = json.loads((tmp_path / "a.json").read_text())
    assert "Path: 4chan" in content["title"]["text"]["text"]
    assert "<" not in content["title"]["text"]["text"]
    groups = [told["group"] for told in content["events"]]
    assert groups[:2] == ["&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;", "4chan"]
    assert not any("<" in group for group in groups)
    write_timeline(spread, "o", tmp_path / "a.html", group_by="platform")
    page = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert page.tags.count("script") == 1 and "img" not in page.tags
    assert any("Path: 4chan = " in text for text in page.texts)
    alone = write_timeline(spread, "single", tmp_path / "b.svg")
    assert (alone.summary["path"], alone.describe_path()) == ("4chan", "")


def test_timeline__takes_platforms_for_groups(spread, tmp_path):
    request = ("timeline", spread.path, "o", "--out", tmp_path / "a.png")
    done = succeed(*request, "--group-by", "platform")
    assert "path" in done.stdout and not set(done.stdout) & {"\x1b", "\u202e"}
