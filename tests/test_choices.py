"""What all settings share: their hash, and what is refused."""

import hashlib
from dataclasses import dataclass

import pytest

from gpu_coord.ground.choices import Choices, check_alpha, check_choice, hash_json


@dataclass(frozen=True, kw_only=True)
class Wishes(Choices):
    start: str | None = None
    size: int = 1

    def spell(self):
        return self.parse_times("start")


def test_compute_hash__is_of_what_is_meant_and_not_of_how_it_is_written():
    one, other = Wishes(start="1970-01-02"), Wishes(start="1970-01-02T02:00+02:00")
    assert one.compute_hash() == other.compute_hash()
    text = '{"labels": null, "size": 1, "start": 86400000}'
    assert one.compute_hash() == hashlib.sha256(text.encode()).hexdigest()
    others = [Wishes(), Wishes(start="1970-01-02", size=2), Wishes(start="1970-01-03")]
    hashes = {each.compute_hash() for each in (one, *others)} | {one.compute_hash("labels")}
    assert len(hashes) == 5


def test_parse_times__leaves_none_and_refuses_what_is_no_time():
    assert Wishes().parse_times("start") == {"start": None}
    with pytest.raises(ValueError, match="'soon' is no time"):
        Wishes(start="soon").parse_times("start")


def test_hash_json__knows_no_order_of_keys():
    assert hash_json({"a": 1, "b": 2}) == hash_json({"b": 2, "a": 1}) != hash_json({"a": 1})


def test_check_choice__lists_the_words():
    check_choice("size", "small", ("small", "large"))
    with pytest.raises(ValueError, match=r"size is 'huge'; it is one of small, large\."):
        check_choice("size", "huge", ("small", "large"))


@pytest.mark.parametrize("alpha", [0, 1, -0.1, float("nan")])
def test_check_alpha__refuses_what_is_no_rate(alpha):
    check_alpha(0.05)
    with pytest.raises(ValueError, match=f"alpha is {alpha}; it lies between 0 and 1"):
        check_alpha(alpha)
