"""Reports: what they say is what the run says; no text of an archive is more than text."""

import json
import re
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser

import polars as pl
import pytest
from hostile import HOSTILE, write_shares
from runs import refuse, succeed

import gpu_coord as gc
from gpu_coord.ground.terminal import clean_lines
from gpu_coord.reports import groups, report

PLAIN = [f"name{n:03}" for n in range(len(HOSTILE))]
N_PLAIN = 24


def make_run(folder, names):
    """Share everything that the names have in common, chance or not."""
    write_shares(folder, names)
    store = gc.ingest(folder / "shares.parquet", folder / "store", labels=folder / "labels.parquet")
    return gc.share(store, folder / "run", kinds=["hashtag", "url"], window="60s", tests=False)


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch):
    monkeypatch.setattr(groups, "N_GROUPS", 2)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("reports") / "plain", PLAIN[:N_PLAIN])


class Page(HTMLParser):
    """The elements of a page with their attributes' names, and its texts."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.addresses, self.scripts, self.texts = Counter(), [], [], []
        self._open = None
        self.source = path.read_text()
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self._open = tag
        self.elements[tag, tuple(name for name, _ in attrs)] += 1
        self.addresses += [value for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data):
        (self.scripts if self._open in ("script", "style") else self.texts).append(data)

    @property
    def data(self):
        return json.loads(next(each for each in self.scripts if each.startswith('{"accounts"')))


def write(run, tmp_path, **choices):
    return Page(gc.write_report(run, tmp_path / "page.html", **choices))


def test_report__no_text_is_more_than_text(tmp_path):
    """Whatever the names are, the elements and attributes are those of a harmless archive."""
    runs = [make_run(tmp_path / name, names) for name, names in (("a", PLAIN), ("b", HOSTILE))]
    ours, theirs = (write(run, tmp_path, show_ids=True, max_rows=1000) for run in runs)
    assert theirs.elements == ours.elements
    assert all(each.startswith(("#", "data:image/png;base64,")) for each in theirs.addresses)
    shown = {" ".join(clean_lines(name).split()) for name in HOSTILE}
    assert shown <= {*theirs.data["accounts"]["name"], ""} | {text.strip() for text in theirs.texts}
    unsafe = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
    assert not re.search(unsafe, theirs.source)


def test_report__lets_no_other_script_run_and_nothing_load(plain, tmp_path):
    page = write(plain, tmp_path)
    policy = re.search('Content-Security-Policy" content="([^"]*)"', page.source)[1]
    policy = policy.replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; img-src data:; style-src ")
    for text in re.findall("<(?:script|style)>(.*?)</(?:script|style)>", page.source, re.DOTALL):
        assert f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert not any(name.startswith("on") for _, names in page.elements for name in names)


def test_report__draws_the_network_of_the_run(plain, tmp_path):
    data = write(plain, tmp_path, show_ids=True).data
    names = data["accounts"]["name"]
    ends = zip(data["edges"]["source"], data["edges"]["target"], strict=True)
    drawn = {(names[source], names[target]) for source, target in ends}
    assert drawn == set(plain.read_network().select("source", "target").iter_rows())
    # Each pair met on four days.
    met = Counter(data["evidence"]["edge"])
    assert set(met) == set(range(len(drawn))) and set(met.values()) == {4}
    assert all(" UTC, 5 s apart: " in said for said in data["evidence"]["said"])


def test_report__hides_ids_unless_told(plain, tmp_path):
    source = write(plain, tmp_path, max_rows=1000).source
    labels_and_objects = re.compile("name[0-9]{3}")
    accounts = plain.read("accounts")
    names = write(plain, tmp_path).data["accounts"]["name"]
    assert set(names) == set(accounts["pseudonym"])
    table = source[source.index('id="pairs"') : source.index('id="accounts"')]
    assert not labels_and_objects.search(table)
    shown = write(plain, tmp_path, show_ids=True)
    assert set(shown.data["accounts"]["name"]) == set(accounts["account_id"])


def test_report__draws_the_heaviest_edges_and_hides_small_parts(plain, tmp_path):
    page = write(plain, tmp_path, max_edges=7, min_group=3)
    assert len(page.data["edges"]["source"]) == 7
    assert f"The heaviest 7 of {N_PLAIN} edges" in page.source
    none = write(plain, tmp_path, min_group=500)
    assert none.data["edges"]["source"] == [] and none.data["accounts"]["name"] == []
    assert "hidden" in none.source


def test_report__says_what_entered_left_and_stayed(plain, tmp_path):
    store = plain.path.parent / "store"
    other = gc.share(store, tmp_path / "urls", kinds=["url"], window="60s", tests=False)
    page = write(other, tmp_path, others=[plain])
    now, before = (set(run.read_network().select("source", "target").iter_rows())
                   for run in (other, plain))  # fmt: skip
    said = (
        f"Pairs of the network: {len(now - before)} entered, {len(before - now)} left, "
        f"{len(now & before)} stayed."
    )
    assert said in page.source
    assert "Compared with run" in page.source


def test_report__compares_pairs_without_order_where_one_network_has_none(plain, tmp_path):
    store = plain.path.parent / "store"
    other = gc.detect(store, tmp_path / "hours", kinds=["url", "hashtag"], paper=True, lags=(0,))
    page = write(other, tmp_path, others=[plain])
    now, before = (
        {frozenset(ends) for ends in run.read_network().select("source", "target").iter_rows()}
        for run in (other, plain)
    )
    assert len(now) < other.read_network().height  # both directions of a pair are edges
    said = f"{len(now - before)} entered, {len(before - now)} left, {len(now & before)} stayed."
    assert f"Pairs of the network: {said}" in page.source
    section = page.source[page.source.index('id="other-1"') :]
    assert "weight before" not in section
    differs = section[section.index("What differs") :].split("</table>")[0]
    assert "share → detect" in differs and "url, hashtag" not in differs  # in another order


def test_report__shows_other_results(plain, tmp_path):
    sweep = gc.sweep(plain.path.parent / "store", {"kinds": ["hashtag"], "paper": [True],
                     "min_support": [1, 2]}, tmp_path / "sweep")  # fmt: skip
    page = write(plain, tmp_path, others=[sweep])
    assert 'id="other-1"' in page.source and "<h2>Sweep</h2>" in page.source


def test_report__is_the_same_again(plain, tmp_path):
    first = gc.write_report(plain, tmp_path / "a.html").read_bytes()
    assert gc.write_report(plain, tmp_path / "b.html").read_bytes() == first


def test_report__without_libraries_shows_a_picture(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "LIBRARIES", ("nowhere.js",))
    page = write(plain, tmp_path)
    assert page.elements["script", ()] == 1  # ours
    assert page.source.count('<figure id="picture">') == 1


def test_report__of_a_run_that_found_nothing(tmp_path):
    rows = [("a", "x", "1", 1_600_000_000), ("b", "y", "2", 1_600_000_060)]
    columns = ["account_id", "object_id", "content_id", "timestamp_share"]
    run = gc.share(pl.DataFrame(rows, columns, orient="row"), tmp_path / "run", kinds=["object"])
    page = write(run, tmp_path)
    assert "No pair of accounts is beyond chance" in page.source
    assert page.data["accounts"]["name"] == []


def test_report__shows_wordings_only_when_asked(tmp_path):
    rows = [("tweetid", "userid", "tweet_time", "tweet_text"),
            ("1", "a", "2020-01-01 00:00", "The same words"),
            ("2", "b", "2020-01-01 00:00", "the  same WORDS")]  # fmt: skip
    table = "\n".join(",".join(row) for row in rows)
    (tmp_path / "tweets.csv").write_text(table)
    store = gc.ingest(tmp_path / "tweets.csv", tmp_path / "store", texts=True)
    run = gc.share(store, tmp_path / "run", kinds=["text"], tests=False)
    assert "the same words" not in write(run, tmp_path).source
    assert " s apart: text the same words" in " ".join(
        write(run, tmp_path, texts=True).data["evidence"]["said"]
    )
    (tmp_path / "store").rename(tmp_path / "moved")
    with pytest.raises(ValueError, match="which has the texts, is not beside it; name it with --s"):
        gc.write_report(run, tmp_path / "page.html", texts=True)
    gc.write_report(run, tmp_path / "page.html", texts=True, store=tmp_path / "moved")


def test_report__on_the_command_line(plain, tmp_path):
    page = tmp_path / "page.html"
    assert str(page) in succeed("report", plain.path, "--out", page).stdout.replace("\n", "")
    told = json.loads(succeed("report", plain.path, "--out", page, "--json").stdout)
    assert told == {"report": str(page), "bytes": page.stat().st_size}
    assert "lies in" in refuse(1, "report", plain.path, "--out", plain.path / "page.html")
    assert "is a folder" in refuse(1, "report", plain.path, "--out", tmp_path)
    assert "no run" in refuse(1, "report", tmp_path / "none")


def test_report__is_named_after_the_run(plain):
    gc.write_report(plain)
    assert plain.path.with_suffix(".html").is_file()
    passing = gc.share(plain.path.parent / "store", kinds=["url"], tests=False)
    with pytest.raises(ValueError, match="temporary, and so would be a page beside it; name the f"):
        gc.write_report(passing)


def test_report__counts_what_was_analysed(plain, tmp_path):
    page = write(plain, tmp_path)
    assert f"{plain.read('accounts')['n_posts'].sum():,}" in page.texts
    assert "shares.parquet" in page.texts
    assert pl.read_parquet(plain.path.parent / "shares.parquet").height == 4 * 2 * N_PLAIN
