"""Results of coordinated sharing against those of the peers' own code, row for row.

Random small tables and the Russian set; the peers are checkouts, see ``benchmarks.peers``.
GPU_COORD_CASES sets the number of tables. Every kind of difference is counted and shown once, with
the smallest table that has it.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

import gpu_coord as gc
from benchmarks.measure import FOLDER
from benchmarks.peers import PeerError, compare_coortweet, find_peer, run_toolkit
from benchmarks.sharing import DATA, RUSSIAN, name_edges, write_messages

N_CASES = int(os.environ.get("GPU_COORD_CASES", "400"))
SEED = 20_000  # of tables that nothing was written with
COLUMNS = ("object_id", "account_id", "content_id", "timestamp_share")
SIZES = (1, 2, 3, 4, 6, 9, 14, 22, 34, 55)
WINDOWS = (0, 1, 2, 5, 10, 30, 60, 120, 300, 600)
MEASURES = ("weight", "avg_time_delta", "n_content_id", "n_content_id_y", "edge_symmetry_score")
PAIRS = ("object_id", "account_id", "account_id_y", "content_id", "content_id_y", "time_delta")
EDGES = (*MEASURES, "weight_threshold")
ACCOUNTS = ("avg_time_delta", "avg_edge_symmetry_score")
COLOURS = ("color_source", "color_target")
KEYS = {
    "pairs": PAIRS,
    "edges": ("network", "source", "target"),
    "accounts": ("network", "threshold", "account_id"),
    "groups": ("network", "threshold", "object_id"),
}
NUMBERS = {
    "pairs": ("time_delta", "is_fast"),
    "edges": (*EDGES, *(f"{name}_fast" for name in EDGES), *COLOURS),
    "accounts": (*ACCOUNTS, *(f"{name}_fast" for name in ACCOUNTS), "unique_shares_count"),
    "groups": ("num_accounts",),
}
# Networks by the peer's options: with a faster one beside it or not, subgraph.
NETWORKS = ((False, 0), (False, 1), (True, 0), (True, 2), (True, 3))
RUSSIAN_SETTINGS = ((10, 1, True), (60, 2, True), (60, 3, False), (300, 2, True), (3600, 4, True))
# Where the toolkit reads the object of a message.
MESSAGE_COLUMNS = {
    "co_retweet": "repost_id", "co_link": "urls", "co_reply": "reply_id", "co_tweet": "message",
}  # fmt: skip
TOOLKIT_SETTINGS = [(window, weight) for window in (0, 1, 7, 60, 600) for weight in (1, 2, 3)]


class Case(NamedTuple):
    """A table and the settings of one comparison."""

    name: str
    table: pl.DataFrame
    window: int
    fast_window: int
    min_participation: int
    remove_loops: bool
    quantile: float


def run():
    """Yield lines of a report."""
    folder = FOLDER / "comparing"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for variable, compare in (
        ("GPU_COORD_COORTWEET", _run_coortweet),
        ("GPU_COORD_QUT", _run_toolkit),
    ):
        checkout = find_peer(variable)
        if checkout is None:
            yield f"comparing: NOT GIVEN ({variable}): nothing compared"
            continue
        try:
            yield from compare(checkout, folder)
        except PeerError as error:
            yield f"comparing: {variable} {error}"


# --- tables --------------------------------------------------------------------------------


def draw_table(rng: np.random.Generator, sizes=SIZES) -> pl.DataFrame:
    """Return few accounts on few objects: ties, own tweets, posts of several objects, repeats."""
    n_rows = int(rng.choice(sizes))
    objects = [f"o{n}" for n in range(1, 2 + rng.integers(max(1, n_rows // 3)))]
    accounts = [f"a{n}" for n in rng.permutation(2 + rng.integers(5))]
    contents = list(objects) + [f"c{n}" for n in range(1 + rng.integers(2 * n_rows))]
    span, step = rng.choice([0, 3, 20, 100, 700]), rng.choice([0.5, 1])
    rows = [
        (
            str(rng.choice(objects)),
            str(rng.choice(accounts)),
            str(rng.choice(contents)) if rng.random() < 0.5 else f"m{row}",
            1_600_000_000 + step * rng.integers(1 + span),
        )
        for row in range(n_rows)
    ]
    return pl.DataFrame(list(dict.fromkeys(rows)), schema=COLUMNS, orient="row")


def order_posts(table: pl.DataFrame) -> pl.DataFrame:
    """Bring the rows of a post together, its objects ascending: a store knows no other order."""
    posts = table.select("account_id", "content_id").unique(maintain_order=True)
    numbered = table.join(posts.with_row_index("post"), on=posts.columns)
    return numbered.sort("post", "object_id", "timestamp_share").drop("post")


def _add_commas(table: pl.DataFrame) -> pl.DataFrame:
    """Give the first object, and the contents of its name, an id with a comma."""
    return table.with_columns(pl.col("object_id", "content_id").replace("o1", "o1,b"))


def draw_cases() -> Iterator[Case]:
    """Return the random tables with settings: half of posts in one piece, some with commas."""
    cases = _draw_plain_cases()
    for number, case in enumerate(cases):
        table = order_posts(case.table) if number % 4 < 2 else case.table
        table = _add_commas(table) if number % 5 == 0 else table
        yield case._replace(table=table)


def _draw_plain_cases() -> list[Case]:
    rng = np.random.default_rng(SEED)
    return [
        Case(
            name=f"t{number}",
            # The filters of participation need more rows to leave any.
            table=draw_table(rng, SIZES[5:] if number % 2 else SIZES),
            window=int(rng.choice(WINDOWS)),
            fast_window=int(rng.choice(WINDOWS[:7])),
            min_participation=int(rng.integers(2, 5)) if number % 2 else 1,
            remove_loops=bool(rng.random() < 0.7),
            quantile=float(rng.choice([0, 0.25, 0.5, 0.9, 1])),
        )
        for number in range(N_CASES)
    ]


# --- CooRTweet -----------------------------------------------------------------------------


def _run_coortweet(checkout: Path, folder: Path):
    cases = list(draw_cases())
    if DATA.is_dir():
        russian = pl.read_parquet(DATA / RUSSIAN).select(COLUMNS).unique(maintain_order=True)
        cases += [
            Case(f"russian{window}-{n}", russian, window, max(1, window // 6), n, loops, 0.5)
            for window, n, loops in RUSSIAN_SETTINGS
        ]
    else:
        yield f"comparing: NO DATA at {DATA} (GPU_COORD_DATA): random tables only"
    theirs = _ask_coortweet(checkout, folder, cases)
    found: dict[str, list[tuple[Case, str]]] = {}
    n_rows: Counter[str] = Counter()
    for case in cases:
        ours = find_ours(case, folder)
        expected = {name: _take_case(table, case) for name, table in theirs.items()}
        for name, difference in describe_differences(case, ours, expected):
            found.setdefault(name, []).append((case, difference))
        n_rows.update({name: table.height for name, table in ours.items()})
    counts = ", ".join(f"{number:,} {name}" for name, number in n_rows.items())
    yield f"comparing: CooRTweet, {len(cases)} tables and settings: {counts}"
    yield from _list_errors(theirs["errors"])
    for name, some in found.items():
        yield from _show(name, some)
    if not found:
        yield "comparing: CooRTweet: no difference"


def _list_errors(errors: pl.DataFrame):
    """Yield what the peer fails at, and in how many cases."""
    if not errors.height:
        return
    words = errors.with_columns(
        place=pl.col("message").str.extract(r"^(.*?): "),
        reason=pl.col("message").str.extract(r": (.{1,60})"),
    )
    places = words.group_by("place", "reason", maintain_order=True).len()
    for reason, some in places.group_by("reason", maintain_order=True):
        told = ", ".join(f"{place} {number}" for place, _, number in some.rows())
        yield f"comparing: CooRTweet fails ({reason[0]}): {told}"


def _ask_coortweet(checkout: Path, folder: Path, cases: list[Case]) -> dict[str, pl.DataFrame]:
    for case in cases:
        case.table.write_csv(folder / f"{case.name}.csv")
        # Rows that are repeated whole count once here and twice there: R gets them once.
        repeated = pl.concat([case.table, case.table.head(3)])
        repeated.write_csv(folder / f"{case.name}_repeated.csv")
    settings = [case._replace(table=None)._asdict() for case in cases]
    pl.DataFrame(settings).drop("table").rename({"name": "case"}).write_csv(folder / "settings.csv")
    return compare_coortweet(checkout, folder)


def _take_case(table: pl.DataFrame, case: Case) -> pl.DataFrame:
    return table.filter(case=case.name).drop("case") if table.height else table


def find_ours(case: Case, folder: Path) -> dict[str, pl.DataFrame]:
    """Return the tables of a case as `share` makes them, from its file to tables of ids."""
    from gpu_coord.sharing.peers.coortweet import detect_groups, flag_speed_share
    from gpu_coord.sharing.shares import read_shares
    from gpu_coord.sharing.strict import group_pairs, join_blocks
    from gpu_coord.sharing.tables import describe_pairs

    n_shares = case.table["account_id"].value_counts()["count"]
    if n_shares.max() < case.min_participation:  # `share` says so and ends
        return {name: pl.DataFrame() for name in KEYS}
    store = gc.ingest(folder / f"{case.name}_repeated.csv", folder / "store")
    choices = {"min_participation": case.min_participation}
    shares = read_shares(store, kinds=["object"], **choices)
    found = detect_groups(
        shares, window_ms=1000 * case.window, remove_loops=case.remove_loops, **choices
    )
    runs = group_pairs(shares, *join_blocks(found))
    choices["window_ms"] = 1000 * case.fast_window
    is_fast = flag_speed_share(shares, runs.older, runs.newer, **choices)
    pairs = describe_pairs(shares, runs.older, runs.newer).select(PAIRS)
    tables = {"pairs": [pairs.with_columns(is_fast=pl.Series(is_fast, dtype=pl.Int64))]}
    for has_fast, subgraph in NETWORKS if runs.older.size else ():
        made = _make_network(case, runs, is_fast if has_fast else None, subgraph)
        network = pl.lit(f"{'fast' if has_fast else 'plain'}{subgraph}").alias("network")
        for name, table in made:
            tables.setdefault(name, []).append(table.with_columns(network))
    return {name: pl.concat(tables.get(name, [pl.DataFrame()]), how="diagonal") for name in KEYS}


def _make_network(case: Case, runs, is_fast, subgraph: int):
    """Yield the edges of a network by name, and its statistics at each threshold."""
    from gpu_coord.sharing.peers.coortweet import (
        account_stats,
        group_stats,
        mark_heavy,
        take_subgraph,
        weigh_network,
    )
    from gpu_coord.sharing.strict import count_popularity

    shares = runs.shares
    edges = weigh_network(runs, count_popularity(shares), is_fast=is_fast)
    edges = take_subgraph(mark_heavy(edges, case.quantile), subgraph)
    named = [
        shares.accounts["account_id"].gather(edges[end]).alias(end) for end in ("source", "target")
    ]
    wanted = [name for name in NUMBERS["edges"] if name in edges.columns]
    yield "edges", edges.select(*named, *wanted)
    for threshold in ("none", "full") if is_fast is None else ("none", "full", "fast"):
        key = pl.lit(threshold).alias("threshold")
        choices = {"threshold": threshold, "is_fast": is_fast}
        yield "accounts", account_stats(runs, edges, **choices).with_columns(key)
        # The peer takes ids with commas to pieces.
        groups = group_stats(runs, edges, **choices).with_columns(key)
        yield (
            "groups",
            groups.filter(~pl.col("object_id").str.contains(",")).drop("kind", "n_accounts"),
        )


def describe_differences(case: Case, ours: dict, theirs: dict):
    """Yield the kind of each difference of a case and a row that shows it."""
    groups = theirs["groups"]
    if groups.height:
        theirs = theirs | {"groups": groups.filter(pl.col("object_id").is_in(_list_whole(case)))}
    for name in KEYS:
        mine, other = _count_rows(name, ours[name]), _count_rows(name, theirs[name])
        if mine == other:
            continue
        kind = f"{name}, loops {'removed' if case.remove_loops else 'kept'}"
        if name == "pairs":
            if _turn(mine) == _turn(other):
                kind += ": which share of one account at one time is the older"
            yield kind, _tell(mine, other)
            continue
        if name == "groups" and not order_posts(case.table).equals(case.table):
            kind += ", posts in pieces"
        networks = {row[0] for row in (mine - other) + (other - mine)} - _list_failed(case, theirs)
        for network in sorted(networks):
            sides = [
                Counter({r: n for r, n in side.items() if network in r}) for side in (mine, other)
            ]
            yield f"{kind}, {network}", _tell(*sides)


def _list_failed(case: Case, theirs: dict) -> set[str]:
    """Return the networks of a case that the peer fails to make."""
    messages = theirs["errors"]["message"] if theirs["errors"].height else []
    return {message.split(":")[0] for message in messages}


def _tell(mine: Counter, other: Counter) -> str:
    return f"only here {list(mine - other)[:3]}, only there {list(other - mine)[:3]}"


def _list_whole(case: Case) -> list[str]:
    """Return the objects of a case whose ids have no comma."""
    return [name for name in case.table["object_id"].unique() if "," not in name]


def _count_rows(name: str, table: pl.DataFrame) -> Counter:
    """Return the multiset of the rows, numbers rounded; a column that is missing is null."""
    if not table.height:
        return Counter()
    missing = [n for n in NUMBERS[name] if n not in table.columns]
    table = table.with_columns(pl.lit(None, pl.String).alias(n) for n in missing)
    numbers = [
        pl.when(pl.col(n).cast(pl.String) != "").then(pl.col(n)).cast(pl.Float64).round(6)
        for n in NUMBERS[name]
    ]
    keys = [n for n in KEYS[name] if n not in NUMBERS[name]]
    return Counter(table.select(*keys, *numbers).rows())


def _turn(rows: Counter) -> Counter:
    """Return pairs of one account at one time in either order, without what follows from it."""
    turned: Counter = Counter()
    for (object_id, account, other, content, newer, gap, _), number in rows.items():
        is_tie = gap == 0 and account == other
        contents = sorted((content, newer)) if is_tie else (content, newer)
        turned[(account, other, *contents, object_id, gap)] += number
    return turned


def _show(name: str, some: list[tuple[Case, str]]):
    """Yield how often a difference was seen, and the smallest table with it."""
    case, difference = min(some, key=lambda shown: shown[0].table.height)
    yield f"comparing: DIFFERENT {name}: {len(some)} tables; smallest: {difference}"
    settings = case._replace(table=case.table.height)
    yield f"    {settings}"
    if case.table.height <= 12:
        yield from (f"    {row}" for row in case.table.rows())


# --- QUT toolkit ---------------------------------------------------------------------------


def _run_toolkit(checkout: Path, folder: Path):
    for network in MESSAGE_COLUMNS:
        yield from _compare_network(checkout, folder, network)


def _compare_network(checkout: Path, folder: Path, network: str):
    """Compare all tables at once: their ids have the number of the table in front."""
    from gpu_coord.sharing.peers.qut import count_messages
    from gpu_coord.sharing.shares import read_shares

    table = pl.concat(_draw_messages(network))
    table.write_csv(folder / "messages_shares.csv")
    messages = _write_messages(folder / "messages.csv", table, network)
    runs = [
        {"name": f"{window}_{weight}", "window": window, "min_weight": weight}
        for window, weight in TOOLKIT_SETTINGS
    ]
    theirs = run_toolkit(checkout, messages, folder, runs, network=network, n_calls=1, n_threads=1)
    store = gc.ingest(folder / "messages_shares.csv", folder / "store")
    shares = read_shares(store, kinds=["object"])
    n_edges = n_different = 0
    for run in runs:
        choices = {"window_ms": 1000 * run["window"], "min_weight": run["min_weight"]}
        edges = name_edges(shares, count_messages(shares, **choices, loops=True))
        ours, expected = (
            Counter(some.cast({"weight": pl.Int64}).rows() if some.height else ())
            for some in (edges, theirs["edges"][run["name"]])
        )
        n_edges += len(expected)
        if ours != expected:
            n_different += 1
            yield f"comparing: DIFFERENT {network} {run['name']}: {_shorten(ours, expected)}"
    yield (
        f"comparing: QUT toolkit, {network}: {N_CASES} tables, {table.height:,} shares, "
        f"{len(runs)} settings, {n_edges:,} edges; {n_different} settings differ"
    )


def _write_messages(path: Path, table: pl.DataFrame, network: str) -> Path:
    if network in ("co_link", "co_retweet"):
        return write_messages(path, table, network)
    column = MESSAGE_COLUMNS[network]
    messages = pl.read_csv(write_messages(path, table, "co_retweet"), infer_schema=False)
    swapped = messages.with_columns(
        pl.col("repost_id").alias(column), pl.col(column).alias("repost_id")
    )
    swapped.write_csv(path)
    return path


def _shorten(ours: Counter, theirs: Counter) -> str:
    return f"only here {sorted(ours - theirs)[:3]}, only there {sorted(theirs - ours)[:3]}"


def _draw_messages(network: str):
    """Yield tables of messages that have one account and one time each, as the toolkit holds them.

    A repost has one object, a message some links.
    """
    rng = np.random.default_rng(SEED + 1)
    for number in range(N_CASES):
        table = draw_table(rng).with_columns(
            content_id=pl.format("{}.m{}", pl.lit(number), pl.int_range(pl.len())),
            account_id=pl.format("{}.{}", pl.lit(number), "account_id"),
            object_id=pl.format("{}.{}", pl.lit(number), "object_id"),
        )
        if network == "co_link":
            # Some messages have the links of others too.
            extra = table.with_columns(pl.col("object_id").shuffle(int(rng.integers(1 << 30))))
            table = pl.concat([table, extra]).unique(maintain_order=True)
        yield table
