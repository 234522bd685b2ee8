"""Seeds, and ranges of them as files and command lines write them: `1:100`, both ends included.

Tests: tests/sim/cli/test_usage.py, tests/sim/scenario/test_run.py.
"""

import operator
import sys
from typing import Any

__all__ = ["parse_seeds", "whole"]

LEAST, MOST = -(2**63), 2**63 - 1
"""A trace writes 64 bits."""


def whole(seed: Any) -> int:
    """The seed as an int, numpy's too. Raises ValueError, with what would do."""
    try:
        found = operator.index(seed)
    except TypeError:
        raise ValueError(f"a seed is a whole number, not {seed!r}") from None
    if isinstance(seed, bool):
        raise ValueError(f"a seed is a whole number, not {seed!r}")
    if not LEAST <= found <= MOST:
        raise ValueError(f"a seed is between -2**63 and 2**63 - 1, not {seed}")
    return found


def parse_seeds(text: str) -> range:
    """Every seed from A to B of "A:B", or the one of "A". Raises ValueError, with what would do."""
    first, colon, last = text.partition(":")
    try:
        if not (text.isascii() and text.isprintable()):
            raise ValueError
        ends = int(first), int(last if colon else first)
    except ValueError:
        raise ValueError(f'seeds "{text}" is no range; write it as A:B, like 1:20') from None
    seeds = range(whole(ends[0]), whole(ends[1]) + 1)
    if not seeds:
        raise ValueError(f'seeds "{text}" is empty; both ends are included, the first must not be above the last')
    if ends[1] - ends[0] >= sys.maxsize:
        raise ValueError(f'seeds "{text}" are too many')
    return seeds
