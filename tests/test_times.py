"""Windows as people write them, in milliseconds."""

import pytest

from gpu_coord.ground.times import count_seconds, parse_window


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0s", 0), (0, 0), ("0", 0), ("0.000s", 0), ("0.5s", 500), (0.5, 500), ("1.5s", 1500),
        ("25.28s", 25_280), ("1.001s", 1001), ("60s", 60_000), ("1m", 60_000), (60, 60_000),
        ("0.5m", 30_000), (" 1.5 h ", 5_400_000), ("1d", 86_400_000), ("0.00001h", 36),
    ],
)  # fmt: skip
def test_parse_window__reads_numbers_and_units(text, ms):
    assert parse_window(text) == ms


@pytest.mark.parametrize(
    "text",
    ["", "s", "soon", "-1s", ".5s", "1.s", "1,5s", "1e3s", "nan", "0.0005s", "1.0001", "1w",
     "1.00000000000000000000000000000000001s", "\u0661s", "99999999999d"],
)  # fmt: skip
def test_parse_window__refuses_others(text):
    with pytest.raises(ValueError, match=r"is no window.*like 60s, 1\.5s or 0s"):
        parse_window(text)


def test_count_seconds__is_whole_where_it_can_be():
    # 60 and 60.0 are two texts in JSON, and so two hashes.
    assert [repr(count_seconds(ms)) for ms in (0, 1001, 25_280, 60_000)] == [
        "0", "1.001", "25.28", "60",
    ]  # fmt: skip
