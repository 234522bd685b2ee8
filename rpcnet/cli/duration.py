"""Durations as people type them: `3s`, `500ms`, `2m`, and plain seconds. The units are those of scenario files.

Tests: tests/rpcnet/cli/test_duration.py.
"""

import math
import re
from typing import Final

from rpcnet.cli.exits import CommandError

__all__ = ["UNITS", "seconds"]

UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_NUMBER: Final = r"\s*\+?(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)\s*(\S*)\s*"


def seconds(flag: str, text: str | None) -> float | None:
    """Seconds; None where the flag was not given. CommandError where it is no duration."""
    if text is None:
        return None
    match = re.fullmatch(_NUMBER, text)
    if match is None or (match[2] and match[2] not in UNITS):
        raise CommandError(f"{flag} {text!r} is no duration; write it like 3s, 500ms or 2m")
    number = float(match[1]) * UNITS.get(match[2], 1.0)
    if not math.isfinite(number):
        raise CommandError(f"{flag} {text!r} is too long; leave it out for no limit")
    return number
