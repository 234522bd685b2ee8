"""Durations as people type them, the same as in a scenario file."""

import pytest

from rpcnet.cli.duration import UNITS, seconds
from rpcnet.cli.exits import CommandError
from sim.network.quantity import parse_seconds


@pytest.mark.parametrize("unit", sorted(UNITS))
@pytest.mark.parametrize("number", ["3", "1.5", ".5", "1e3", "0"])
def test_a_duration_means_what_a_scenario_means(number: str, unit: str) -> None:
    assert seconds("--timeout", number + unit) == parse_seconds(number + unit)


def test_a_number_without_unit_is_seconds() -> None:
    assert (seconds("--timeout", "3"), seconds("--timeout", None)) == (3.0, None)


@pytest.mark.parametrize("text", ["", "s", "3 parsecs", "-1s", "nan", "inf", "1e999s", "3s3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match=r"--timeout .* (is no duration; write it like 3s|is too long)"):
        seconds("--timeout", text)
