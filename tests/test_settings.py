import pytest

from gpu_coord.activity.settings import parse_lags


def test_parse_lags__reads_ranges():
    assert parse_lags("0-2") == (0, 1, 2)
    assert parse_lags("3-3") == (3,)


@pytest.mark.parametrize("text", ["4-1", "1", "-1", "1-", "1-2-3", " 1-2", "1 - 2", ""])
def test_parse_lags__refuses_what_is_no_rising_range(text):
    with pytest.raises(ValueError, match=f"^lags is '{text}'; write a rising range of bins"):
        parse_lags(text)
