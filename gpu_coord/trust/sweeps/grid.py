"""A grid of settings -> the cells of a sweep, each with the specification hash of its `detect`.

In: a TOML file or a mapping, one key per option of `detect`, each a list of values. Out: cells, in
the order of the grid: the last key varies fastest. Nothing runs before every cell was checked.
"""

import random
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import polars as pl

from gpu_coord.activity.settings import MatchSettings
from gpu_coord.detection.settings import DetectSettings
from gpu_coord.ground.choices import Spelling, list_spellings, read_options
from gpu_coord.ground.files import MEGABYTE, read_small

MAX_CELLS = 100_000
# The test of groups is the slowest stage by far, and no setting before it is shared with it.
_DEFAULT_GROUPS = 0

Grid = Mapping[str, Sequence[Any]]

# What a value of each type is called, what it is, and the column of the table.
_TYPES: dict[Any, tuple[str, tuple[type, ...], Any]] = {
    str: ("text", (str,), pl.String),
    int: ("a whole number", (int,), pl.Int64),
    float: ("a number", (int, float), pl.Float64),
    bool: ("true or false", (bool,), pl.Boolean),
}

_KINDS = 'text like "hashtag,url", or a list of kinds'

# A cell has no halves, so that nothing is split.
OPTIONS: dict[str, Spelling] = {
    spelling.name: spelling
    for _, spelling in list_spellings(DetectSettings)
    if spelling.name != "split_at"
}


def find_dtype(option: str) -> Any:
    """Return the type of the column of an option in the table of a sweep."""
    return _find_type(option)[2]


def _find_type(option: str) -> tuple[str, tuple[type, ...], Any]:
    return _TYPES.get(OPTIONS[option].type, _TYPES[str])  # words are text


def _fits(option: str, value: Any) -> bool:
    if option == "kinds" and isinstance(value, list | tuple):
        return all(isinstance(kind, str) for kind in value)
    types = _find_type(option)[1]
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


@dataclass(frozen=True, slots=True)
class Cell:
    """One specification: its place in the grid, its options as `detect` takes them, its hash."""

    number: int
    options: dict[str, Any]  # by the names of `OPTIONS`
    settings: DetectSettings
    specification: str


def read_grid(path: Path | str) -> dict[str, list[Any]]:
    """Read a grid from a TOML file.

    Raises
    ------
    ValueError
        The file is no TOML, or no small file.
    """
    path = Path(path)
    content = read_small(path, rule="a grid is a TOML file", most=MEGABYTE)
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(
            f"{path.name} is no TOML ({error}); write one list a line, like min_support = [1, 2]."
        ) from None


def list_cells(
    grid: Grid, *, sample: int | None = None, seed: int = 0, labels_sha256: str | None = None
) -> list[Cell]:
    """Return the cells of a grid, or some of them drawn by lot, in the order of the grid.

    Parameters
    ----------
    grid
        Lists of values by the option of `detect`; ``groups`` is 0 unless it is among them.
    sample
        How many cells to draw; all by default.
    seed
        Of the draw, and of every cell unless the grid names ``seed``.
    labels_sha256
        Hash of the labels that take the place of the store's own.

    Raises
    ------
    ValueError
        A key is no option, a value is of the wrong type or out of range, two cells are the same,
        or there are too many.
    """
    check_grid(grid)
    sizes = [len(values) for values in grid.values()]
    cells = [
        _make_cell(grid, place, number, seed, labels_sha256)
        for number, place in enumerate(_draw_places(prod(sizes), sample, seed))
    ]
    _check_distinct(cells, grid)
    return cells


def check_grid(grid: Grid) -> None:
    """Refuse what no cell can be made of; see `list_cells`."""
    if not grid:
        raise ValueError("the grid is empty; name at least one option, like min_support = [1, 2].")
    if unknown := [name for name in grid if name not in OPTIONS]:
        raise ValueError(
            f"the grid names {unknown[0]!r}, which is no setting of a cell; there are "
            f"{', '.join(OPTIONS)}."
        )
    if {"lag", "lags"} <= grid.keys():
        raise ValueError(
            'the grid names both lag and lags, which exclude each other; write lags = ["1-1", '
            '"1-4"] for one lag beside a range.'
        )
    for name, values in grid.items():
        _check_values(name, values)


def _check_values(name: str, values: Any) -> None:
    if not isinstance(values, list | tuple) or not values:
        raise ValueError(
            f"{name} is {values!r} in the grid; give a list with one value or more, like "
            f"{name} = [{values!r}]."
            if values != []
            else f"{name} is an empty list in the grid; give at least one value, or leave it out."
        )
    for value in values:
        if not _fits(name, value):
            called = _KINDS if name == "kinds" else _find_type(name)[0]
            raise ValueError(f"{name} has {value!r} in the grid; each value is {called}.")


def _draw_places(n_places: int, sample: int | None, seed: int) -> Sequence[int]:
    if sample is not None and sample < 1:
        raise ValueError(f"sample is {sample}; at least one cell is drawn.")
    n_cells = n_places if sample is None else min(sample, n_places)
    if n_cells > MAX_CELLS:
        raise ValueError(
            f"the sweep has {n_cells:,} cells; {MAX_CELLS:,} are possible: shorten the lists or "
            "draw some with --sample."
        )
    if n_cells == n_places:
        return range(n_places)
    return sorted(random.Random(seed).sample(range(n_places), n_cells))


def _make_cell(grid: Grid, place: int, number: int, seed: int, labels_sha256: str | None) -> Cell:
    chosen: dict[str, Any] = {}
    for name in reversed(list(grid)):
        place, position = divmod(place, len(grid[name]))
        chosen[name] = grid[name][position]
    read = read_options(DetectSettings, {"groups": _DEFAULT_GROUPS, "seed": seed} | chosen)
    settings = DetectSettings(**read)
    options = _spell_options(settings, lags=chosen.get("lags"))
    return Cell(number, options, settings, settings.compute_hash(labels_sha256))


def _spell_options(settings: DetectSettings, *, lags: str | None) -> dict[str, Any]:
    options = {name: getattr(settings, name, None) for name in OPTIONS}
    return options | {
        "kinds": ",".join(settings.kinds) if settings.kinds else None,
        "lag": settings.lags[0] if lags is None else None,
        "lags": lags,
    }


def _check_distinct(cells: Sequence[Cell], grid: Grid) -> None:
    seen: dict[str, Cell] = {}
    for cell in cells:
        other = seen.setdefault(cell.specification, cell)
        if other is not cell:
            varied = [name for name, values in grid.items() if len(values) > 1]
            first, second = ({name: c.options[name] for name in varied} for c in (other, cell))
            raise ValueError(
                f"two cells of the grid are the same specification, {first} and {second}; name "
                "each value once."
            )


def spell_command(
    row: Mapping[str, Any], *, store: str = "STORE", out: str = "RUN", labels: str | None = None
) -> str:
    """Return the command that makes a run of one cell, with the same specification hash.

    Parameters
    ----------
    row
        A row of ``sweep.parquet``, as from ``frame.row(0, named=True)``.
    store, out, labels
        The store, the run folder, and the labels file where the sweep was given one.

    Examples
    --------
    >>> spell_command({"bin": "2h", "lag": 1, "groups": 0, "min_support": 3, "paper": True})
    'gpu-coord detect STORE --out RUN --bin 2h --lag 1 --groups 0 --min-support 3 --paper'
    """
    defaults = _spell_options(DetectSettings(), lags=None)
    words = ["gpu-coord", "detect", store, "--out", out]
    for name in OPTIONS:
        value = row.get(name)
        if value is None or value == defaults[name]:
            continue
        option = f"--{name.replace('_', '-')}"
        words += [option] if name == "paper" else [option, str(value)]
    return shlex.join([*words, *(["--labels", labels] if labels else [])])


def find_activity_key(settings: DetectSettings) -> str:
    """Return what the activity of a cell depends on, and nothing else, as a hash."""
    chosen = MatchSettings(**settings.pick(MatchSettings))
    kept = chosen if chosen.match is not None else replace(chosen, seed=0)
    return kept.compute_hash()
