"""Text with a unit becomes a number; what is no quantity is refused with what it should look like."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.network.quantity import (
    QuantityError,
    parse_bandwidth,
    parse_bytes,
    parse_drift,
    parse_offset,
    parse_probability,
    parse_seconds,
)


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


@pytest.mark.parametrize(
    ("read", "text", "meant"),
    [
        (parse_bandwidth, "10Mbps", '"10Mbit/s" (1.25MB/s)'),
        (parse_bandwidth, "10mbps", '"10Mbit/s" (1.25MB/s)'),
        (parse_bandwidth, "10MBps", '"10MB/s"?'),
        (parse_bandwidth, "100 Mb/s", '"100Mbit/s" (12.5MB/s)'),
        (parse_bandwidth, "64kb", '"64kbit/s" (8kB/s)'),
        (parse_bandwidth, "1Gbits/sec", '"1Gbit/s" (125MB/s)'),
        (parse_bandwidth, "5MB", '"5MB/s"?'),
        (parse_bandwidth, "1kibps", '"1kbit/s" (125B/s)'),
        (parse_bytes, "64kb", '"64KB"?'),
        (parse_bytes, "64kib", '"64KiB"?'),
        (parse_bytes, "3 megs", None),
        (parse_bytes, "64kbit", None),
        (parse_seconds, "20MS", '"20ms"?'),
        (parse_seconds, "5 seconds", '"5s"?'),
        (parse_seconds, "5MB", None),
        (parse_seconds, "20", None),
    ],
)
def test_a_common_spelling_of_a_unit_is_told_the_right_one(read, text, meant):
    with pytest.raises(QuantityError, match="write it like") as caught:
        read(text)
    assert ("did you mean" in str(caught.value)) is (meant is not None)
    assert meant is None or f"did you mean {meant}" in str(caught.value)


@given(
    st.sampled_from([parse_bandwidth, parse_bytes, parse_seconds, parse_probability]),
    st.floats(0.1, 1e6).map(lambda number: f"{number:g}"),
    st.text("kKmMgGiIbBpPsS/teTEyYcC", max_size=9),
)
def test_what_is_suggested_is_a_quantity(read, number, unit):
    try:
        read(f"{number}{unit}")
    except QuantityError as error:
        if found := re.search('did you mean "(.+?)"', str(error)):
            assert read(found[1]) > 0
