"""Text with a unit becomes a number; what is no quantity is refused with what it should look like."""

import pytest

from sim.network.quantity import QuantityError, parse_drift, parse_offset, parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"), [("3s", 3.0), ("-200ms", -0.2), ("-1h", -3600.0), (-2.5, -2.5), ("0s", 0)]
)
def test_an_offset_may_be_negative(text, seconds):
    assert parse_offset(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "share"), [("100ppm", 1e-4), ("-50ppm", -5e-5), ("2%", 0.02), ("-99%", -0.99)])
def test_a_drift_is_in_parts_per_million_or_per_cent(text, share):
    assert parse_drift(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["-100%", "-2000000ppm", "3", "--3ppm", "fast", "", True, float("nan")])
def test_what_is_no_drift_is_refused(text):
    with pytest.raises(QuantityError, match="drift"):
        parse_drift(text)


@pytest.mark.parametrize("text", ["1s\n", "\n1s", "1\ns", "١s", "1.٥s", "1e٢s", "1\u00a0s", "1\u2003s"])
def test_a_quantity_is_of_plain_digits_on_one_line(text):
    with pytest.raises(QuantityError, match="is not a duration"):
        parse_seconds(text)
    with pytest.raises(QuantityError, match="is not an offset"):
        parse_offset(text)


def test_blanks_around_a_quantity_are_none_of_it():
    assert parse_seconds(" 1.5\t s ") == 1.5
    assert parse_offset(" -1.5 s ") == -1.5
