import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.network.latency import Constant, LogNormal, Normal, Pareto, Samples, Uniform, parse_latency
from sim.network.quantity import (
    QuantityError,
    parse_bandwidth,
    parse_bytes,
    parse_probability,
    parse_seconds,
)

DRAWS = 40_000

# distribution, mean, (quantile, its closed form)
CLOSED_FORMS = [
    (Constant(0.02), 0.02, [(0.5, 0.02)]),
    (Uniform(0.001, 0.005), 0.003, [(0.25, 0.002), (0.9, 0.0046)]),
    (Normal(0.02, 0.003), 0.02, [(0.5, 0.02), (0.8413447, 0.023)]),
    (LogNormal(0.02, 0.4), 0.02 * math.exp(0.08), [(0.5, 0.02), (0.8413447, 0.02 * math.exp(0.4))]),
    (Pareto(0.01, 2.5), 2.5 * 0.01 / 1.5, [(0.5, 0.01 * 2**0.4), (0.9, 0.01 * 10**0.4)]),
    (Samples((0.001, 0.002, 0.006)), 0.003, [(0.5, 0.002)]),
]


@pytest.mark.parametrize(("distribution", "mean", "quantiles"), CLOSED_FORMS)
def test_draws_agree_with_the_closed_form(distribution, mean, quantiles):
    assert distribution.mean == pytest.approx(mean, rel=1e-6)
    draw = distribution.sampler(random.Random(1))
    drawn = sorted(draw() for _ in range(DRAWS))
    assert statistics.fmean(drawn) == pytest.approx(mean, rel=0.03)
    for share, value in quantiles:
        assert drawn[int(share * DRAWS)] == pytest.approx(value, rel=0.03)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_latency_is_never_negative(centre, deviation):
    draw = Normal(centre, deviation).sampler(random.Random(1))
    assert min(draw() for _ in range(100)) >= 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20ms", Constant(0.02)),
        (0.02, Constant(0.02)),
        ("uniform(1ms, 5ms)", Uniform(0.001, 0.005)),
        ("normal(20ms, 3ms)", Normal(0.02, 0.003)),
        ("lognormal(20ms, 0.4)", LogNormal(0.02, 0.4)),
        ("pareto(10ms, 2.5)", Pareto(0.01, 2.5)),
    ],
)
def test_text_is_read(text, expected):
    assert parse_latency(text) == expected


def test_samples_are_read_from_a_file(tmp_path):
    path = tmp_path / "samples.csv"
    path.write_text("1ms,2ms\n3ms\n")
    assert parse_latency(f"samples({path})") == Samples((0.001, 0.002, 0.003))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("20", 'write it like "20ms"'),
        ("-20ms", "at least 0"),
        ("uniform(5ms, 1ms)", "low .* above high"),
        ("uniform(5ms)", "not a latency"),
        ("gauss(5ms, 1ms)", "not a latency"),
        ("lognormal(0ms, 0.4)", "median must be above 0"),
        ("lognormal(20ms, x)", "plain number"),
        ("lognormal(20ms, 1000)", "sigma is at most 10"),
        (float("nan"), "at least 0"),
        (-1.0, "at least 0"),
        (True, "not a duration"),
    ],
)
def test_nonsense_is_refused_with_what_is_allowed(text, words):
    with pytest.raises(QuantityError, match=words):
        parse_latency(text)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_seconds, "1m", 60),
        (parse_seconds, "1.5h", 5400),
        (parse_seconds, "100us", 1e-4),
        (parse_probability, "5%", 0.05),
        (parse_probability, 0.05, 0.05),
        (parse_bandwidth, "1MB/s", 1e6),
        (parse_bandwidth, "8Mbit/s", 1e6),
        (parse_bytes, "64KiB", 65536),
    ],
)
def test_quantities_have_units(parse, text, value):
    assert parse(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("parse", "text"),
    [(parse_probability, "150%"), (parse_probability, 1.5), (parse_probability, "x"), (parse_bandwidth, "0MB/s")],
)
def test_impossible_quantities_are_refused(parse, text):
    with pytest.raises(QuantityError):
        parse(text)
