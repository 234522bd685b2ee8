"""Text with a unit → a plain number: seconds, shares, bytes a second.

Text always has a unit ("20ms", "5%", "1MB/s"); plain numbers are taken as seconds, shares and bytes a second. Tests:
tests/sim/network/test_latency.py, test_quantity.py.
"""

import math
import re

__all__ = [
    "BANDWIDTHS",
    "BYTES",
    "SECONDS",
    "QuantityError",
    "parse_bandwidth",
    "parse_bytes",
    "parse_drift",
    "parse_offset",
    "parse_probability",
    "parse_seconds",
]


class QuantityError(ValueError):
    """Text that is no quantity, or one that makes no sense here."""


SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
BYTES = {"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_BITS = {"bit": 1 / 8, "kbit": 1e3 / 8, "Mbit": 1e6 / 8, "Gbit": 1e9 / 8}
BANDWIDTHS = {f"{unit}/s": factor for unit, factor in (BYTES | _BITS).items()}
_SIZE = re.compile(
    r"(?P<prefix>[kmg]?)(?P<binary>i?)(?P<what>b|bits?|bytes?)(?:(?:/|p|p/)s(?:ec|econd)?)?", re.IGNORECASE
)
"""Sizes and bandwidths as people write them: `10Mbps`, `64kb`, `1 mbit/sec`."""
_DURATIONS = {"sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "msecs": "ms", "millis": "ms"}
_DURATIONS |= {"usec": "us", "mins": "min", "minute": "min", "minutes": "min", "hr": "h", "hour": "h", "hours": "h"}
_NUMBER = r"[ \t]*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[ \t]*(\S*)[ \t]*"


def parse_seconds(value: str | float) -> float:
    """ "20ms" → 0.02. Raises QuantityError."""
    return _checked(value, SECONDS, "a duration", '"20ms", "1.5s", "2m"')


def parse_bytes(value: str | float) -> float:
    """ "64KiB" → 65536.0. Raises QuantityError."""
    return _checked(value, BYTES, "a size", '"64KiB", "1MB"')


def parse_bandwidth(value: str | float) -> float:
    """ "1MB/s" or "8Mbit/s" → 1e6, in bytes a second. Raises QuantityError."""
    bandwidth = _checked(value, BANDWIDTHS, "a bandwidth", '"1MB/s", "100Mbit/s"')
    if bandwidth == 0:
        raise QuantityError("a bandwidth of 0 would never deliver; cut the link with loss = 1 or a partition instead")
    return bandwidth


def parse_probability(value: str | float) -> float:
    """ "5%" or 0.05 → 0.05. Raises QuantityError."""
    share = _checked(value, {"%": 0.01, "": 1.0}, "a probability", '"5%" or 0.05')
    if share > 1:
        raise QuantityError(f"a probability is between 0 and 1 (or 0% and 100%), not {value!r}")
    return share


def parse_offset(value: str | float) -> float:
    """ "3s" → 3.0, "-1h" → -3600.0. Raises QuantityError."""
    return _signed(value, SECONDS, "an offset", '"3s", "-200ms"')


def parse_drift(value: str | float) -> float:
    """ "100ppm" → 1e-4, "-2%" → -0.02: how much too fast a clock runs. Raises QuantityError."""
    drift = _signed(value, {"ppm": 1e-6, "%": 0.01}, "a drift", '"100ppm", "-2%"')
    if drift <= -1:
        raise QuantityError(f"a drift is above -100%, where a clock stands still, not {value!r}")
    return drift


def _signed(value: str | float, units: dict[str, float], what: str, example: str) -> float:
    text = value.strip(" \t") if isinstance(value, str) else ""
    if text.startswith("-"):
        return -_checked(text[1:], units, what, example)
    if not isinstance(value, str) and not isinstance(value, bool) and value < 0:
        return -_checked(-value, units, what, example)
    return _checked(value, units, what, example)


def _checked(value: str | float, units: dict[str, float], what: str, example: str) -> float:
    if isinstance(value, str):
        match = re.fullmatch(_NUMBER, value)
        if not match or match[2] not in units:
            raise QuantityError(f"{value!r} is not {what}; {_meant(value, units)}write it like {example}")
        number = float(match[1]) * units[match[2]]
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise QuantityError(f"{value!r} is not {what}; write it like {example}")
    else:
        number = float(value) if value < 2**1000 else math.inf
    if not math.isfinite(number) or number < 0:
        raise QuantityError(f"{what} must be a number of at least 0, not {value!r}")
    return number


def _meant(value: str, units: dict[str, float]) -> str:
    """`did you mean "10Mbit/s" (1.25MB/s)? ` where the number is one and its unit is one that people write."""
    match = re.fullmatch(_NUMBER, value)
    unit = _unit_meant(match[2], units) if match else None
    if match is None or unit is None:
        return ""
    text = f"{match[1]}{unit}"
    bits = unit in {f"{bit}/s" for bit in _BITS}
    return f'did you mean "{text}"{_in_bytes(float(match[1]) * units[unit]) if bits else ""}? '


def _unit_meant(unit: str, units: dict[str, float]) -> str | None:
    """Which of these units somebody may have meant. Of a bandwidth b is bits and B bytes; a size has no bits."""
    if (duration := _DURATIONS.get(unit.lower())) in units:
        return duration
    match = _SIZE.fullmatch(unit)
    if match is None:
        return next((each for each in units if each.lower() == unit.lower()), None)
    prefix, what = match["prefix"].upper(), match["what"]
    in_bits = what.lower().startswith("bit") or (what == "b" and "bit/s" in units)
    binary = match["binary"].lower() if prefix else ""
    found = f"{prefix.replace('K', 'k')}bit" if in_bits else f"{prefix}{binary}B"
    found += "/s" if "B/s" in units else ""
    return found if found in units else None


def _in_bytes(bandwidth: float) -> str:
    """` (1.25MB/s)`."""
    unit = next((unit for unit in ("GB", "MB", "kB") if bandwidth >= BYTES[unit]), "B")
    return f" ({bandwidth / BYTES[unit]:g}{unit}/s)"
