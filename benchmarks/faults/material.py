"""A small archive with all that commands are given, and one result of each command.

The one idea: every command line is written once, with names in the place of paths; whoever tries a
fault fills in where things lie.
"""

import csv
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

N_ACCOUNTS, N_OPERATION, N_DAYS = 24, 8, 8
DAY, START = 86_400, 1_600_000_000
# What a command is given, and what it writes: OUT. What stands behind @ lies in the folder.
COMMANDS = {
    "ingest": "ingest @tweets.csv @users.csv --store OUT --labels @labels.csv --texts "
    "--pseudonym-key @key.txt --exclude-file @exclude.txt --same-person @persons.csv",
    "detect": "detect @store --out OUT --kinds hashtag,url --groups 1 --graphs "
    "--labels @labels.csv",
    "share": "share @store --out OUT --kind url,hashtag --window 60s --graphs",
    "coact": "coact @store --out OUT --layers co_url,co_hashtag --merge fused --graphs",
    "cycle": "cycle @store --seeds @seeds.txt --kind url --min-weight 1 --out OUT",
    "model": "model @store --out OUT --kinds url,hashtag --min-support 1",
    "calibrate": "calibrate @store --kinds url --groups 0 --copies 1 --out OUT",
    "cascades": "cascades @store --kind url --min-shares 1 --out OUT",
    "cohorts": "cohorts @store --min-accounts 1 --out OUT",
    "sweep": "sweep @store @grid.toml --out OUT --truth @truth.csv",
    "compare": "compare @store --truth @truth.csv --methods activity,co_activity --resamples 0 "
    "--positive operation --kinds url --out OUT",
    "transplant": "transplant @store --into @store --kinds url --min-events 1 --out OUT",
    "simulate": "simulate --out OUT --n-posts 2000 --set n_plants=4 --set n_amplifiers=6 "
    "--set n_core=2 --set n_accounts=60",
    "roles": "roles OUT --store @store",
    "report": "report @shared --store @store --out OUT.html",
    "timeline": "timeline @store #tag0 --kind hashtag --out OUT.svg",
}
# What is read and writes nothing that is kept.
READERS = {
    "columns": "columns @tweets.csv",
    "show": "show @run",
    "evaluate": "evaluate @run --truth @truth.csv --positive operation --resamples 0",
    "verify": "verify @run",
    "verify store": "verify @store",
}
RESULTS = {  # made before anything is tried, each by its command
    "store": "ingest @tweets.csv @users.csv --store @store --labels @labels.csv --texts",
    "run": COMMANDS["detect"].replace("OUT", "@run"),
    "shared": COMMANDS["share"].replace("OUT", "@shared"),
    "model": COMMANDS["model"].replace("OUT", "@model"),
}


@dataclass(frozen=True)
class Material:
    """A folder with inputs and results."""

    folder: Path

    def fill(self, line: str, out: Path | None = None, **others: Path) -> list[str]:
        """Return the words of a command, with paths; some names may stand for other files."""
        return [self._find(word, out, others) for word in line.split()]

    def _find(self, word: str, out: Path | None, others: dict[str, Path]) -> str:
        if word.startswith("@"):
            name = word[1:]
            return str(others.get(name.split(".")[0], self.folder / name))
        return str(out) + word[3:] if word.startswith("OUT") else word


@cache
def load_program() -> Any:
    """Return the command line as one object: to make it anew for each call takes a while."""
    import typer.main

    from gpu_coord.cli import app

    return typer.main.get_command(app)


@dataclass(frozen=True)
class Told:
    """What a command said, and how it ended."""

    code: int
    output: str
    error: str


def call(words: list[str]) -> Told:
    """Run a command in this process."""
    output, error = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(error):
        try:
            load_program().main(words, prog_name="gpu-coord")
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Told(code, output.getvalue(), error.getvalue())


def make_material(folder: Path) -> Material:
    """Write inputs and results into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_inputs(folder)
    made = Material(folder)
    for line in RESULTS.values():
        done = call(made.fill(line))
        if done.code:
            raise SystemExit(f"{line} ended with {done.code}: {done.error}")
    return made


def write_inputs(folder: Path) -> None:
    """Write an archive in the X format, and every small file that an option takes."""
    accounts = [str(1000 + number) for number in range(N_ACCOUNTS)]
    _write(folder / "tweets.csv", list(draw_tweets(Random(1), accounts)))
    _write(
        folder / "users.csv",
        [
            {
                "userid": name,
                "account_creation_date": f"2019-01-{place % 28 + 1:02}",
                "account_language": "en",
                "follower_count": place,
                "following_count": 1,
            }
            for place, name in enumerate(accounts)
        ],
    )
    labels = [
        {"account_id": name, "label": "operation" if place < N_OPERATION else "other"}
        for place, name in enumerate(accounts)
    ]
    for name in ("labels", "truth"):
        _write(folder / f"{name}.csv", labels)
    _write(folder / "operators.csv", [{"userid": name} for name in accounts[:N_OPERATION]])
    _write(folder / "controls.csv", [{"userid": name} for name in accounts[N_OPERATION:]])
    persons = [{"account_id": name, "person": name} for name in accounts]
    _write(folder / "persons.csv", persons)
    (folder / "seeds.txt").write_text("site.example/0\nsite.example/1\nnowhere.example\n")
    (folder / "exclude.txt").write_text("#tag9\n")
    (folder / "key.txt").write_text("0123456789abcdef0123456789abcdef\n")
    grid = {"kinds": ["url", "hashtag"], "min_support": [1, 2], "groups": [0]}
    (folder / "grid.toml").write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in grid.items()))


def draw_tweets(random: Random, accounts: list[str]) -> Any:
    """Yield posts: an operation within seconds, and others at any time."""
    number = 0
    for day in range(N_DAYS):
        burst = START + day * DAY + random.randrange(DAY // 2)
        rows = [(name, burst + random.randrange(40), day % 4) for name in accounts[:N_OPERATION]]
        rows += [
            (name, START + day * DAY + random.randrange(DAY), random.randrange(12))
            for name in accounts
            for _ in range(2)
        ]
        for account, seconds, what in rows:
            number += 1
            yield {
                "tweetid": number,
                "userid": account,
                "user_display_name": f"name {account}",
                "tweet_text": f"see {what}",
                "tweet_time": _write_minute(seconds),
                "account_creation_date": "2019-01-01",
                "account_language": "en",
                "follower_count": 1,
                "following_count": 1,
                "hashtags": f"['tag{what}']",
                "urls": f"['https://site.example/{what}']",
                "user_mentions": "['1001']",
                "is_retweet": "False",
            }


def _write_minute(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def read_result(path: Path) -> dict[str, Any]:
    """Return what is at a path, file by file, without seconds and memory."""
    if path.is_file():
        return {path.name: path.read_bytes()}
    found = {
        str(file.relative_to(path)): file for file in sorted(path.rglob("*")) if file.is_file()
    }
    # Cells of a sweep hold seconds and the hash of them; networks are named by what they hold.
    return {
        name: _read(file)
        for name, file in found.items()
        if not name.startswith(("networks", "cells", "."))
    }


def _read(file: Path) -> Any:
    if file.suffix == ".json":
        return _forget(json.loads(file.read_text()))
    if file.name == "sweep.parquet":
        import pyarrow.parquet as pq

        # Polars would begin threads, which no copy of this process has.
        rows = pq.ParquetFile(file).read(use_threads=False).to_pylist()
        return [{name: row[name] for name in row if name != "seconds"} for row in rows]
    return file.read_bytes()


def _forget(content: Any) -> Any:
    """Leave out what no two runs have in common: seconds and bytes of memory."""
    if not isinstance(content, dict):
        return content
    kept = {k: v for k, v in content.items() if k not in ("stages", "seconds")}
    if "tables" in kept and "sweep" in kept["tables"]:  # holds seconds
        kept["tables"] = {k: v for k, v in kept["tables"].items() if k != "sweep"}
    return {key: _forget(value) for key, value in kept.items()}


def list_leftovers(folder: Path) -> list[str]:
    """Return what no command leaves in a folder in which it wrote."""
    return sorted(each.name for each in folder.iterdir() if each.name.startswith("."))
