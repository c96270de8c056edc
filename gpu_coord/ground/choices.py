"""Every choice of a command, declared once: default, help, range, words, unit, and its spelling.

A settings class holds the choices. Options of the command line, keywords in Python, grids of
sweeps, the specification hash and the tables of the docs are made from it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from functools import cache
from inspect import get_annotations
from math import isfinite
from numbers import Integral, Real
from operator import ge, gt, le, lt
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gpu_coord.ground.times import count_seconds, parse_duration, parse_time, parse_window

_KEY = "choice"
MAX_SEED = 2**63 - 1
_REQUIRED: Any = MISSING
# Under which of these the help of a command lists a choice.
ANALYSED, METHOD, CHANCE, OUTPUT = "What to analyse", "Method", "Chance", "Output"

# --- what a choice is --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unit:
    """What the text of a choice means, and the one form in which a hash holds it."""

    name: str
    parse: Callable[[Any], Any]  # refuses what is none


def parse_words(words: Any) -> tuple[str, ...]:
    """Return each of some words once, in their order."""
    return tuple(dict.fromkeys(words))


def parse_windows(text: str | float) -> int | float | list[int | float] | str:
    """Return the seconds of a window, or of several from the shortest; ``auto`` stays."""
    if text == AUTO:
        return AUTO
    parts = [part.strip() for part in str(text).split(",")]
    if AUTO in parts:
        raise ValueError(f"window is {text!r}; auto stands alone.")
    seconds = sorted({count_seconds(parse_window(part)) for part in parts})
    return seconds[0] if len(seconds) == 1 else seconds


AUTO = "auto"
DURATION = Unit("duration", parse_duration)
TIME = Unit("time, ISO 8601, UTC", parse_time)
WINDOW = Unit("duration", lambda text: count_seconds(parse_window(text)))
WINDOWS = Unit("duration", parse_windows)
WORDS = Unit("words", parse_words)


@dataclass(frozen=True, slots=True)
class Spelling:
    """One option of the command line that sets a choice."""

    name: str  # with underscores: min_support is --min-support
    help: str  # empty: as the choice
    type: Any = None  # what the command line reads; None: as the choice
    read: Callable[[Any], Any] | None = None  # from that to the value of the choice
    flag: str | None = None  # as Typer writes it, where it is not --name
    default: Any = None  # shown in the help, in the place of the choice's own


@dataclass(frozen=True, slots=True)
class Choice:
    """What the declaration of a choice says beside its name, type and default."""

    help: str
    detail: str = ""  # what further sentences say, in Python and in the docs
    unit: Unit | None = None
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    advice: str = ""  # the end of the sentence that refuses a value
    panel: str = METHOD
    spellings: tuple[Spelling, ...] | None = None  # None: --its-name; (): not on the command line

    def holds(self, value: Any) -> bool:
        """Tell whether a number is within the range."""
        bounds = ((self.at_least, ge), (self.at_most, le), (self.above, gt), (self.below, lt))
        return all(limit is None or compare(value, limit) for limit, compare in bounds)

    def describe_range(self) -> str:
        """Say in words which numbers are possible; nothing where all are."""
        low = self.at_least if self.above is None else self.above
        high = self.at_most if self.below is None else self.below
        if low is None:
            return "is a finite number" if high is None else f"is at most {_write(high)}"
        if high is None:
            return f"is {_write(low)} or more" if self.above is None else f"is above {_write(low)}"
        if self.above is not None and self.below is None:
            return f"is above {_write(low)} and at most {_write(high)}"
        return f"lies between {_write(low)} and {_write(high)}"


def choose(default: Any = _REQUIRED, help: str = "", **more: Any) -> Any:
    """Declare a choice as the field of a settings class.

    Parameters
    ----------
    default
        What holds where nothing is chosen; a choice without one must be made.
    help
        What it does, in one sentence: of the command line, of Python and of the docs.
    **more
        Further fields of `Choice`.
    """
    return field(default=default, metadata={_KEY: Choice(help, **more)})


def respell(settings: type["Choices"], name: str, **changes: Any) -> Any:
    """Declare a choice again as another settings class has it, but for what changes.

    Parameters
    ----------
    settings, name
        The class that has the choice, and its name.
    **changes
        ``default``, and fields of `Choice`.
    """
    found = settings.__dataclass_fields__[name]
    known: Choice = found.metadata[_KEY]
    kept = {each.name: getattr(known, each.name) for each in fields(Choice)} | changes
    default = kept.pop("default", found.default)
    return choose(default, kept.pop("help"), **kept)


# --- settings ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Every choice of a command that can change what it finds, checked, with a hash of them all."""

    def __post_init__(self) -> None:
        for each in list_choices(type(self)):
            value = _unify(each, getattr(self, each.name))
            object.__setattr__(self, each.name, value)
            check_value(each, value)
        self.check()

    def check(self) -> None:
        """Refuse choices that contradict each other; classes with more such rules add theirs."""

    def pick(self, settings: type["Choices"]) -> dict[str, Any]:
        """Return the choices that another settings class has too, by name."""
        return {each.name: getattr(self, each.name) for each in list_choices(settings)}

    def compute_hash(
        self, labels: str | None = None, inputs: Mapping[str, str] | None = None
    ) -> str:
        """Return the specification hash: the same for the same choices, however they are written.

        Parameters
        ----------
        labels
            Hash of the labels that take the place of the store's own.
        inputs
            Hashes of whatever else changes the result, such as a run, by name.
        """
        beside = {"labels": labels} | ({"inputs": dict(inputs)} if inputs else {})
        return hash_json(self.spell() | beside)

    def spell(self) -> dict[str, Any]:
        """Return the choices in the one form in which the hash holds them."""
        units = {each.name: each.choice.unit for each in list_choices(type(self))}
        spelled = asdict(self)
        for name, unit in units.items():
            if unit is not None and spelled[name] is not None:
                spelled[name] = unit.parse(getattr(self, name))
        return spelled


@dataclass(frozen=True, kw_only=True)
class Seeded(Choices):
    """Whatever is drawn by lot is drawn by a seed."""

    seed: int = choose(0, "Same seed, same result.", at_least=0, at_most=MAX_SEED, panel=CHANCE)


@dataclass(frozen=True, slots=True)
class Declared:
    """A choice of a settings class with its name, type and default."""

    name: str
    type: Any  # without None
    is_optional: bool  # None is a value
    default: Any  # MISSING: it must be chosen
    choice: Choice

    @property
    def words(self) -> tuple[str, ...]:
        """The words that it is one of; none where it is no such choice."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is MISSING


def list_choices(settings: type[Choices]) -> tuple[Declared, ...]:
    """Return the choices of a settings class in their order."""
    return _list_fields(settings)  # type: ignore[arg-type]  # classes can be hashed


@cache
def _list_fields(settings: Any) -> tuple[Declared, ...]:
    types = get_type_hints(settings)
    declared = {each.name: each for each in fields(settings)}
    return tuple(_read_field(declared[name], types[name]) for name in _order_names(settings))


def _order_names(settings: type) -> dict[str, None]:
    """Return the names of the choices: those of each base from left to right, then its own."""
    names: dict[str, None] = {}
    for base in settings.__bases__:
        names |= _order_names(base)
    return names | dict.fromkeys(get_annotations(settings))


def list_spellings(settings: type[Choices]) -> list[tuple[Declared, Spelling]]:
    """Return the options of the command line that set the choices, in their order."""
    return [(each, spelling) for each in list_choices(settings) for spelling in _spell_choice(each)]


def _spell_choice(declared: Declared) -> tuple[Spelling, ...]:
    choice = declared.choice
    if choice.spellings is not None:
        return choice.spellings
    if get_origin(declared.type) is tuple:
        return (Spelling(declared.name, choice.help, str, split_list),)
    return (Spelling(declared.name, choice.help, declared.type),)


def read_options(settings: type[Choices], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the choices that options of the command line, or of a grid, set.

    Parameters
    ----------
    settings
        The class that has the choices.
    given
        Values by the name of the option, with underscores; None where an option was not given.

    Raises
    ------
    ValueError
        Two options set one choice, or a value cannot be read.
    """
    read: dict[str, Any] = {}
    by: dict[str, str] = {}
    for declared, spelling in list_spellings(settings):
        value = given.get(spelling.name)
        if value is None:
            continue
        if other := by.get(declared.name):
            options = [f"--{name} {given[name]}" for name in (other, spelling.name)]
            raise ValueError(f"{' and '.join(options)} exclude each other; give one.")
        by[declared.name] = spelling.name
        read[declared.name] = spelling.read(value) if spelling.read else value
    return read


def split_list(text: str | Sequence[str]) -> tuple[str, ...]:
    """Return the parts between commas, such as kinds; what is a list already is taken as it is."""
    parts = text.split(",") if isinstance(text, str) else text
    return tuple(part.strip() for part in parts if part.strip())


def _read_field(declared: Field[Any], type: Any) -> Declared:
    parts = get_args(type) if get_origin(type) in (Union, UnionType) else (type,)
    kept = [part for part in parts if part is not NoneType]
    return Declared(
        declared.name, kept[0], len(kept) < len(parts), declared.default,
        declared.metadata[_KEY],
    )  # fmt: skip


def _unify(declared: Declared, value: Any) -> Any:
    """Return a value in the one type of its choice: a list as a tuple, 1 as 1.0 where that is.

    A mapping becomes words like ``name=value``.
    """
    if isinstance(value, Mapping):
        value = [f"{name}={each}" for name, each in value.items()]
    if get_origin(declared.type) is tuple and value is not None:
        return (value,) if isinstance(value, str | int) else tuple(value)
    if isinstance(value, bool):
        return value
    if declared.type is float and isinstance(value, Real):
        return float(value)
    return int(value) if declared.type is int and isinstance(value, Integral) else value


# --- what is refused ---------------------------------------------------------------------------


def check_value(declared: Declared, value: Any) -> None:
    """Refuse a value that a choice does not have.

    Raises
    ------
    ValueError
        The value is of the wrong type, out of range, or none of the words.
    """
    name, choice = declared.name, declared.choice
    if value is None and declared.is_optional:
        return
    if declared.words:
        check_choice(name, value, declared.words)
    elif declared.type is bool and not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}; it is true or false.")
    elif declared.type in (int, float):
        _check_number(declared, value)
    if choice.unit is WORDS and not value:
        raise ValueError(f"{name} is empty; name at least one, {choice.advice}.")
    if choice.unit is not None:
        choice.unit.parse(value)


def _check_number(declared: Declared, value: Any) -> None:
    name, choice = declared.name, declared.choice
    is_number = isinstance(value, Integral if declared.type is int else Real)
    if not is_number or isinstance(value, bool):
        what = "a whole number" if declared.type is int else "a number"
        raise ValueError(f"{name} is {value!r}; it is {what}.")
    if not (isfinite(value) and choice.holds(value)):
        advice = f", {choice.advice}" if choice.advice else ""
        raise ValueError(f"{name} is {value}; it {choice.describe_range()}{advice}.")


def check_alpha(alpha: float) -> None:
    """Refuse a false discovery rate that is none."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it lies between 0 and 1, 0.05 is usual.")


def check_choice(name: str, value: Any, words: Sequence[str]) -> None:
    """Refuse what is none of some words."""
    if value not in words:
        raise ValueError(f"{name} is {value!r}; it is one of {', '.join(words)}.")


def hash_json(content: Any) -> str:
    """Return a hash of what JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write(number: float) -> str:
    """Write a bound; powers of two as such."""
    exponent = int(number + 1).bit_length() - 1
    return f"2^{exponent} - 1" if exponent > 16 and number == 2**exponent - 1 else f"{number:g}"
