"""Exit codes: 0 all hold, 1 an expectation fails or an application raised, 2 the file or the usage is wrong, 3 internal
error, 4 inconclusive, 130 interrupted; of several the first of 130, 3, 2, 1, 4, 0.

Tests: tests/sim/cli/test_run_and_check.py.
"""

import errno
from collections.abc import Sequence
from typing import Final

__all__ = [
    "CODES",
    "DISK_FULL",
    "FAILS",
    "HOLDS",
    "INTERNAL",
    "INTERRUPTED",
    "USAGE",
    "WORST_FIRST",
    "UsageError",
    "worst",
]

HOLDS, FAILS, USAGE, INTERNAL, INCONCLUSIVE, INTERRUPTED = 0, 1, 2, 3, 4, 130
WORST_FIRST: Final = (INTERRUPTED, INTERNAL, USAGE, FAILS, INCONCLUSIVE, HOLDS)
CODES: Final[dict[str, int]] = {"holds": HOLDS, "fails": FAILS, "inconclusive": INCONCLUSIVE}
"""A verdict's."""
DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What no command can help."""


class UsageError(Exception):
    """A command line that makes no sense; its text says what would."""


def worst(codes: Sequence[int]) -> int:
    """The code of several runs."""
    return next((code for code in WORST_FIRST if code in codes), HOLDS)
