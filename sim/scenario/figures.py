"""Units of the figures that expectations measure, told by their names: seconds, shares, bytes a second; else a count.

Tests: tests/sim/scenario/test_figures.py.
"""

import math
import re

__all__ = ["unit", "with_unit"]

_UNITS: tuple[tuple[str, str], ...] = (
    (r"(.*_)?(first|last|p50|p90|p99)|converged_at|.*_seconds", "s"),
    (r"success|.*_share", "%"),
    (r"mean|highest", "bytes/s per node"),
)


def unit(name: str) -> str:
    """`s`, `%`, `bytes/s per node`, or `""` where the name itself says what is counted."""
    return next((unit for pattern, unit in _UNITS if re.fullmatch(pattern, name)), "")


def with_unit(name: str, value: float) -> str:
    """`8.5 s`, `99.5 %`, `3`; of what never happened `none`."""
    if not math.isfinite(value):
        return "none"
    shown = value * 100 if unit(name) == "%" else value
    return f"{shown:,.6g} {unit(name)}".rstrip()
