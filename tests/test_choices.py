"""Choices: declared once, checked, hashed however they are written, read from options."""

import hashlib
import inspect
import json
from dataclasses import asdict, dataclass
from math import inf, nan, nextafter
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_coord.accounts.settings import CohortSettings, RoleSettings
from gpu_coord.activity.settings import MatchSettings, parse_lags
from gpu_coord.archive.settings import MAPPING, IngestSettings
from gpu_coord.cli.commands import COMMANDS
from gpu_coord.cli.requests import find_default
from gpu_coord.detection.settings import DetectSettings
from gpu_coord.ground.choices import (
    DURATION,
    TIME,
    WINDOW,
    WINDOWS,
    WORDS,
    Choice,
    Choices,
    Spelling,
    check_alpha,
    check_choice,
    choose,
    hash_json,
    list_choices,
    list_spellings,
    read_options,
    respell,
)
from gpu_coord.ground.keywords import takes
from gpu_coord.model.settings import ModelSettings
from gpu_coord.network.settings import BACKBONE
from gpu_coord.reports.settings import ReportSettings
from gpu_coord.sharing.settings import CoactSettings, CycleSettings, ShareSettings
from gpu_coord.simulation.settings import SimulateSettings
from gpu_coord.spread.settings import CascadeSettings, TimelineSettings
from gpu_coord.trust.settings import (
    CalibrateSettings,
    CompareSettings,
    EvaluateSettings,
    SweepSettings,
    TransplantSettings,
)

# Every settings class of a command, and the choices that must be made.
SETTINGS = [
    IngestSettings,
    DetectSettings,
    ShareSettings,
    CoactSettings,
    CycleSettings,
    ModelSettings,
    RoleSettings,
    CalibrateSettings,
    TimelineSettings,
    CascadeSettings,
    CohortSettings,
    SimulateSettings,
    TransplantSettings,
    EvaluateSettings,
    CompareSettings,
    SweepSettings,
    ReportSettings,
]
DRAWN_BY_LOT = {
    DetectSettings, ShareSettings, CoactSettings, CycleSettings, CalibrateSettings,
    SimulateSettings, TransplantSettings, EvaluateSettings, CompareSettings, SweepSettings,
}  # fmt: skip
each_settings = pytest.mark.parametrize("settings", SETTINGS, ids=lambda kind: kind.__name__)


# --- a class with all sorts of choices -----------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Wishes(Choices):
    """What one may wish for."""

    size: int = choose(1, "How large.", at_least=1, at_most=2**31 - 1)
    share: float = choose(0.5, "How much of it.", above=0, at_most=1, advice="0.5 is usual")
    colour: Literal["red", "blue"] = choose("red", "Its colour.")
    is_new: bool = choose(False, "Whether it is new.")


@dataclass(frozen=True, kw_only=True)
class Times(Choices):
    """When."""

    start: str | None = choose(None, "First time.", unit=TIME)
    wait: str = choose("1h", "How long.", unit=DURATION)


@dataclass(frozen=True, kw_only=True)
class Orders(Wishes, Times):
    """Wishes at a time, and who they are of."""

    names: tuple[str, ...] = choose(help="Whose.", unit=WORDS, advice="such as mine")
    size: int = respell(Wishes, "size", default=2, help="How large for all.", spellings=())
    gap: str = choose(
        "60s",
        "How far apart.",
        unit=WINDOW,
        spellings=(
            Spelling("gap", "How far apart."),
            Spelling("touching", "Not apart.", bool, lambda on: "0s" if on else "60s"),
        ),
    )


def test_list_choices__takes_those_of_the_bases_from_left_to_right():
    declared = {each.name: each for each in list_choices(Orders)}
    assert list(declared) == [
        "size", "share", "colour", "is_new", "start", "wait", "names", "gap",
    ]  # fmt: skip
    start, names, colour = declared["start"], declared["names"], declared["colour"]
    assert (start.type, start.is_optional, start.default, start.is_required) == (
        str, True, None, False,
    )  # fmt: skip
    assert names.is_required and not names.is_optional
    assert (colour.words, names.words) == (("red", "blue"), ())
    assert list_choices(Orders) is list_choices(Orders)


def test_respell__changes_what_is_named_and_keeps_the_rest():
    old, new = (
        next(each for each in list_choices(kind) if each.name == "size")
        for kind in (Wishes, Orders)
    )
    assert (old.default, old.choice.help, old.choice.spellings) == (1, "How large.", None)
    assert (new.default, new.choice.help, new.choice.spellings) == (2, "How large for all.", ())
    assert (new.choice.at_least, new.choice.at_most) == (1, 2**31 - 1)
    assert Wishes().size == 1 and Orders(names="mine").size == 2


def test_choices__are_unified_in_their_types():
    made = Orders(names=["b", "a", "b"], share=1, size=np.int64(3), is_new=True)
    assert made.names == ("b", "a", "b") and made.share == 1.0 and made.size == 3
    assert (type(made.share), type(made.size)) == (float, int)
    assert Orders(names="mine").names == ("mine",)
    assert Orders(names="m", share=np.float32(0.5)) == Orders(names=("m",), share=0.5)
    json.dumps(asdict(made))  # no number of NumPy is left


@pytest.mark.parametrize(
    ("bounds", "said", "inside", "outside"),
    [
        ({}, "is a finite number", -1e9, None),
        ({"at_most": 3}, "is at most 3", 3, 4),
        ({"at_least": 0}, "is 0 or more", 0, -1),
        ({"above": 0}, "is above 0", 1e-300, 0),
        ({"above": 0, "at_most": 0.5}, "is above 0 and at most 0.5", 0.5, 0),
        ({"above": 0, "below": 1}, "lies between 0 and 1", 0.5, 1),
        ({"at_least": 0, "at_most": 3}, "lies between 0 and 3", 3, 4),
        ({"at_least": 1, "at_most": 2**31 - 1}, "lies between 1 and 2^31 - 1", 2**31 - 1, 2**31),
        ({"at_least": 0, "at_most": 2**63 - 1}, "lies between 0 and 2^63 - 1", 0, -1),
        ({"at_least": 1, "at_most": 1e6}, "lies between 1 and 1e+06", 1e6, 1e6 + 1),
    ],
)
def test_describe_range__says_in_words_what_holds(bounds, said, inside, outside):
    choice = Choice("Any.", **bounds)
    assert choice.describe_range() == said
    assert choice.holds(inside) and (outside is None or not choice.holds(outside))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"size": 0}, "size is 0; it lies between 1 and 2^31 - 1."),
        ({"size": 1.0}, "size is 1.0; it is a whole number."),
        ({"size": True}, "size is True; it is a whole number."),
        ({"size": None}, "size is None; it is a whole number."),
        ({"share": 0}, "share is 0.0; it is above 0 and at most 1, 0.5 is usual."),
        ({"share": nan}, "share is nan; it is above 0 and at most 1, 0.5 is usual."),
        ({"share": inf}, "share is inf; it is above 0 and at most 1, 0.5 is usual."),
        ({"share": "much"}, "share is 'much'; it is a number."),
        ({"colour": "green"}, "colour is 'green'; it is one of red, blue."),
        ({"is_new": 1}, "is_new is 1; it is true or false."),
        ({"names": ()}, "names is empty; name at least one, such as mine."),
        (
            {"start": "soon"},
            "'soon' is no time; write ISO 8601, like 2020-02-01 or 2020-02-01T12:00.",
        ),
        (
            {"wait": "0h"},
            "'0h' is no duration; write a positive whole number and s, m, h or d, like 1h.",
        ),
    ],
)
def test_choices__refuse_what_is_none_with_the_rule(choices, message):
    with pytest.raises(ValueError) as raised:
        Orders(**{"names": "m"} | choices)
    assert str(raised.value) == message


def test_compute_hash__is_of_what_is_meant_and_not_of_how_it_is_written():
    one = Orders(names=("a", "b", "a"), start="1970-01-02", wait="60m", gap="1m", share=1)
    other = Orders(names=["a", "b"], start="1970-01-02T02:00+02:00", wait="3600s", share=1.0)
    assert one.compute_hash() == other.compute_hash()
    text = (
        '{"colour": "red", "gap": 60, "is_new": false, "labels": null, "names": ["a", "b"], '
        '"share": 1.0, "size": 2, "start": 86400000, "wait": 3600}'
    )
    assert one.compute_hash() == hashlib.sha256(text.encode()).hexdigest()
    plain = Orders(names="a")
    others = [Orders(names="b"), Orders(names="a", start="1970-01-03"), Orders(names="a", size=3)]
    hashes = {each.compute_hash() for each in (plain, *others)}
    hashes |= {plain.compute_hash("labels"), plain.compute_hash(inputs={"run": "labels"})}
    assert len(hashes) == 6
    assert plain.compute_hash(inputs={}) == plain.compute_hash()


def test_pick__returns_what_another_class_has_too():
    chosen = DetectSettings(bin="2h", match="op", lags=(2,)).pick(MatchSettings)
    assert chosen["bin"] == "2h" and chosen["match"] == "op" and "lags" not in chosen
    assert MatchSettings(**chosen).pick(MatchSettings) == chosen


def test_read_options__reads_each_spelling_and_leaves_out_what_was_not_given():
    assert read_options(Orders, {"names": "a, b,", "share": None, "touching": True}) == {
        "names": ("a", "b"), "gap": "0s",
    }  # fmt: skip
    assert read_options(Orders, {"names": ["a", "b"], "size": 7}) == {"names": ("a", "b")}
    with pytest.raises(ValueError, match=r"^--gap 5s and --touching True exclude each other; give"):
        read_options(Orders, {"gap": "5s", "touching": True})
    with pytest.raises(ValueError, match=r"^--lag 1 and --lags 1-4 exclude each other; give one"):
        read_options(DetectSettings, {"lag": 1, "lags": "1-4"})
    assert read_options(DetectSettings, {"lag": 2}) == read_options(DetectSettings, {"lags": "2-2"})


def test_parse_lags__reads_ranges():
    assert parse_lags("0-2") == (0, 1, 2)
    assert parse_lags("3-3") == (3,)


@pytest.mark.parametrize("text", ["4-1", "1", "-1", "1-", "1-2-3", " 1-2", "1 - 2", ""])
def test_parse_lags__refuses_what_is_no_rising_range(text):
    with pytest.raises(ValueError, match=f"^lags is '{text}'; write a rising range of bins"):
        parse_lags(text)


def test_hash_json__knows_no_order_of_keys():
    assert hash_json({"a": 1, "b": 2}) == hash_json({"b": 2, "a": 1}) != hash_json({"a": 1})


def test_check_choice__lists_the_words():
    check_choice("size", "small", ("small", "large"))
    with pytest.raises(ValueError, match=r"size is 'huge'; it is one of small, large\."):
        check_choice("size", "huge", ("small", "large"))


@pytest.mark.parametrize("alpha", [0, 1, -0.1, nan])
def test_check_alpha__refuses_what_is_no_rate(alpha):
    check_alpha(0.05)
    with pytest.raises(ValueError, match=f"alpha is {alpha}; it lies between 0 and 1"):
        check_alpha(alpha)


def test_takes__shows_choices_as_keywords_and_refuses_others():
    @takes(Orders)
    def order(store, *, names="mine", **choices):
        """Order something.

        Parameters
        ----------
        store
            Where from.
        **choices
            Fields of `Orders`.
        """
        return Orders(names=names, **choices)

    parameters = inspect.signature(order).parameters
    assert list(parameters) == [
        "store", "names", "size", "share", "colour", "is_new", "start", "wait", "gap",
    ]  # fmt: skip
    assert parameters["size"].default == 2 and parameters["gap"].kind is inspect._KEYWORD_ONLY
    assert "**choices" not in order.__doc__
    assert "share\n    How much of it." in order.__doc__
    assert order("shop", share=1) == Orders(names="mine", share=1)
    with pytest.raises(TypeError, match=r"^order\(\) has no option 'shares'; it has share"):
        order("shop", shares=1)


# --- the settings of the commands ----------------------------------------------------------------


def test_settings__are_all_here():
    assert {command.settings for command in COMMANDS if command.settings} <= {
        *SETTINGS, *(kind for each in SETTINGS for kind in each.__mro__),
    }  # fmt: skip


@each_settings
def test_settings__describe_each_choice_in_a_sentence(settings):
    for declared, spelling in list_spellings(settings):
        for said in (declared.choice.help, spelling.help or declared.choice.help):
            assert said.endswith((".", ")")), said


@each_settings
def test_settings__have_a_seed_only_where_something_is_drawn(settings):
    names = {each.name for each in list_choices(settings)}
    assert ("seed" in names) == (settings in DRAWN_BY_LOT)
    if "seed" in names:
        assert settings(seed=1).compute_hash() != settings().compute_hash()


@each_settings
def test_settings__refuse_what_is_none_of_the_words(settings):
    for each in list_choices(settings):
        if each.words or each.type is bool:
            with pytest.raises(ValueError, match=f"^{each.name} is 'nonsense'; it is "):
                settings(**{each.name: "nonsense"})


# The range of each choice, by its name; of those that differ, by class.
RANGES = {
    "seed": "lies between 0 and 2^63 - 1", "resolution": "is above 0",
    "alpha": "lies between 0 and 1, 0.05 is usual", "groups": "is 0 or more",
    "min_group": "is 1 or more", "max_edges": "is 1 or more", "max_rows": "is 1 or more",
    "min_posts": "is 1 or more", "top_percent": "is above 0 and at most 100",
    "min_events": "is 1 or more", "caliper": "is 0 or more",
    "min_support": "lies between 1 and 2^31 - 1", "shrink": "is 0 or more, a number of transitions",
    "min_participation": "is 1 or more", "edge_weight_quantile": "lies between 0 and 1, 0.5 is the",
    "subgraph": "lies between 0 and 3", "min_layers": "is 1 or more", "min_tags": "is 1 or more",
    "neighbours": "is 1 or more",
    "similarity": "lies between 0.5 and 1, like 0.8", "min_sharers": "is 1 or more",
    "max_popularity": "is 1 or more", "max_rounds": "lies between 1 and 99",
    "teleport": "lies between 0 and 1", "tolerance": "is above 0", "max_iterations": "is 1 or more",
    "min_earliness": "lies between 0 and 1e+06, a number of standard errors",
    "min_direction": "lies between 0 and 1e+06, a number of standard errors",
    "n_copies": "is 1 or more, 20 are usual", "min_shares": "is 1 or more", "group": "is 0 or more",
    "min_adopters": "is 2 or more", "early": "is above 0 and at most 0.5",
    "min_accounts": "is 1 or more", "n_posts": "is 1 or more", "prevalence": "lies between 0 and 1",
    "n_permutations": "is 19 or more",
    "max_rejects": "lies between 0 and 1, 1 stores whatever",
    "n_resamples": "is 0 or more", "sample": "is 1 or more",
    (DetectSettings, "min_weight"): "is 0 or more, since pairs without a coincidence have no",
    (ShareSettings, "min_weight"): "is 0 or more", (CycleSettings, "min_weight"): "is 0 or more",
    (CoactSettings, "min_weight"): "is 1 or more",
    (RoleSettings, "min_participation"): "lies between 0 and 1",
    (RoleSettings, "min_followers"): "lies between 1 and 1e+06",
    (CascadeSettings, "min_followers"): "is 0 or more",
}  # fmt: skip


def list_bounds(choice, kind):
    """Return (bound, outside): numbers that are just possible, and just not."""

    def step(number, way):
        return int(number) + way if kind is int else nextafter(number, way * inf)

    for bound, way in ((choice.at_least, -1), (choice.at_most, 1)):
        if bound is not None:
            yield bound, step(bound, way)
    for bound, way in ((choice.above, 1), (choice.below, -1)):
        if bound is not None:
            yield step(bound, way), bound


@each_settings
def test_settings__refuse_what_is_out_of_range_and_take_the_bounds(settings):
    for each in list_choices(settings):
        if each.type not in (int, float):
            continue
        said = RANGES.get((settings, each.name)) or RANGES[each.name]
        for bound, outside in [*list_bounds(each.choice, each.type), (None, nan), (None, "3")]:
            with pytest.raises(ValueError) as raised:
                settings(**{each.name: outside})
            if isinstance(outside, int) or (each.type is float and outside != "3"):
                outside = each.type(outside)
                assert str(raised.value).startswith(f"{each.name} is {outside}; it {said}")
            try:
                settings(**({} if bound is None else {each.name: bound}))
            except ValueError as error:  # beside others it may still not do
                assert said not in str(error)


REFUSED = {
    IngestSettings: [
        ({"exclude": (" #",)}, "A term to exclude is empty; give a hashtag"),
        ({"format": "csv"}, "format is 'csv'; it is one of auto, x-archive, shares, crowdtangle"),
        ({"url_rule": "own"}, "url_rule is 'own'; it is one of"),
        ({"time": "id"}, "time is 'id'; it is one of"),
    ],
    DetectSettings: [
        ({"lags": (1, 1)}, "lags is"),
        ({"lags": (-1,)}, "lags is"),
        ({"kinds": ()}, "kinds is empty; name at least one, such as hashtag"),
        ({"bin": "soon"}, "'soon' is no duration"),
        ({"split_at": "never"}, "'never' is no time"),
        ({"measure": "cosine"}, "measure is 'cosine'; it is one of trace, frobenius"),
        ({"null": "week"}, "null is 'week'; it is one of popularity"),
        ({"null": "one_hour"}, "the null one_hour leaves to chance what happens within an hour"),
    ],
    ShareSettings: [
        ({"kinds": ()}, "kinds is empty; name at least one, such as url"),
        ({"window": "soon"}, "'soon' is no window"),
        ({"null": "entity", "mode": "qut"}, "the mode qut has none"),
        ({"alpha": 0.01, "mode": "coornet"}, "the mode coornet has none"),
        ({"null": "one_hour", "window": "180s"}, "a bin is 361 s.*a window of at most 179 s"),
        ({"compare": True}, "choose a mode"),
        ({"subgraph": 1}, "subgraph belongs to the mode coortweet"),
        ({"fast_window": "1.5s", "window": "1s", "mode": "coortweet"}, "fast_window is 1.5s"),
        ({"window": "0.9s", "mode": "coornet"}, "window is 0.9s; in the mode coornet it is 1s"),
        ({"window": "1.0005s"}, "'1.0005s' is no window"),
        ({"window": "5s,60s", "mode": "qut"}, "belong to the modes strict and coortweet"),
        ({"window": "5s,soon"}, "'soon' is no window"),
        ({"window": "5s,auto"}, "window is '5s,auto'; auto stands alone"),
        ({"window": "auto, auto"}, "window is 'auto, auto'; auto stands alone"),
        ({"mode": "loose"}, "mode is 'loose'; it is one of strict, coortweet, coornet, qut"),
        ({"fast_window": "5s"}, "belongs to the mode coortweet"),
        ({"mode": "coortweet", "fast_window": "60s"}, "shorter than the window"),
    ],
    CoactSettings: [
        ({"merge": "both"}, "merge is 'both'; it is one of union"),
        ({"null": "one_hour", "window": "10m", "merge": "fused"}, "a bin is 1201 s"),
        ({"min_layers": 5}, "min_layers is 5, but there are 4 layers"),
        ({"min_layers": 2, "merge": "intersection"}, "an intersection is of all layers"),
        ({"layers": ()}, "layers is empty"),
    ],
    CycleSettings: [({"window": "soon"}, "no window"), ({"kinds": ()}, "kinds is empty")],
    ModelSettings: [({"emission": "x"}, "emission is 'x'"), ({"kinds": ()}, "kinds is empty")],
    RoleSettings: [({"wave": "6x"}, "'6x' is no duration")],
    CascadeSettings: [
        ({"window": "13h"}, "window is 13h; it is at most the reach, 12h"),
        ({"start": "yesterday"}, "'yesterday' is no time"),
    ],
    CohortSettings: [
        ({"by": "colour"}, "by is 'colour'; it is one of auto, label"),
        ({"period": "year"}, "period is 'year'; it is one of day, week, month"),
    ],
    SimulateSettings: [({"format": "xlsx"}, "format is 'xlsx'; it is one of csv")],
    SweepSettings: [({"choose_by": "luck"}, "choose_by is 'luck'; it is one of auc")],
}


@pytest.mark.parametrize(
    ("settings", "choices", "message"),
    [(settings, *case) for settings, cases in REFUSED.items() for case in cases],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_settings__refuse(settings, choices, message):
    with pytest.raises(ValueError, match=message):
        settings(**choices)


@each_settings
@given(data=st.data())
def test_read_options__of_the_spelled_defaults_gives_back_the_defaults(settings, data):
    options = {}
    for declared, spelling in list_spellings(settings):
        default = find_default(declared, spelling)
        options[spelling.name] = data.draw(st.sampled_from([default, None]), spelling.name)
    assert settings(**read_options(settings, options)) == settings()


SPELLED = {  # the same thing twice, then another
    DURATION: ("1h", "60m", "2h"),
    TIME: ("2020-01-01", "2020-01-01T01:00+01:00", "2020-01-02"),
    WINDOW: ("2s", "2.0s", "1s"),
    WINDOWS: ("2m,5s", "5s, 120s,5", "2m"),
    WORDS: (("url", "url"), ("url",), ("url", "text")),
    MAPPING: ({"text": "b", "account_id": "a"}, ["account_id=a", "text = b"], ("text=b",)),
    BACKBONE: ("best", "best:5.0", "best:6"),
}


@each_settings
def test_compute_hash__of_settings_is_the_same_however_they_are_written(settings):
    mode = {"mode": "coortweet"} if settings in (ShareSettings, CycleSettings) else {}
    for each in list_choices(settings):
        if each.choice.unit is not None and each.name != "layers":
            hashes = [
                settings(**mode, **{each.name: value}).compute_hash()
                for value in SPELLED[each.choice.unit]
            ]
            assert hashes[0] == hashes[1] != hashes[2], each.name
    assert settings().compute_hash() != settings().compute_hash("labels")


def test_compute_hash__knows_layers_in_any_order():
    one = CoactSettings(layers=("co_url", "co_text:5s"), window="60s")
    other = CoactSettings(layers=["co_text:5s", "co_url"], window="1m")
    assert one.compute_hash() == other.compute_hash()
    assert one.compute_hash() != CoactSettings(layers=("co_url", "co_text:6s")).compute_hash()


def test_spell__writes_whole_seconds_as_such():
    chosen = {"kinds": ("url",), "mode": "coortweet"}
    spelt = ShareSettings(window="1m,10s,2s,10", fast_window="5s", **chosen).spell()
    wanted = {"window": [2, 10, 60], "fast_window": 5}
    assert json.dumps({name: spelt[name] for name in wanted}) == json.dumps(wanted)
    one, other = (ShareSettings(window=w, **chosen) for w in ("1.5s", "1.50"))
    assert one.compute_hash() == other.compute_hash()
    assert one.compute_hash() != ShareSettings(window="1s", **chosen).compute_hash()
    assert CoactSettings(layers=("co_url",), window="0s").spell()["window"] == 0
