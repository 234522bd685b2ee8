"""Large pages for the memory of a large simulation.

What a thousand nodes keep lies on more pages of 4 KiB than a processor remembers the places of: each object that is not
in its caches costs a walk through tables of pages besides. Linux is asked to gather it on pages of 2 MiB (madvise,
MADV_COLLAPSE: from 6.1 on, elsewhere nothing happens), again whenever there is a quarter more of it. That changes
neither what is in the memory nor where it is, and so nothing that a program sees. Knows nothing of simulations.

Tests: tests/sim/kernel/test_pages.py.
"""

import errno
from collections.abc import Iterator

__all__ = ["gather_if_grown"]

LARGE = 1 << 21
"""Bytes of a large page."""
LEAST = 1 << 26
"""With less memory than that there is nothing to gain."""
GROWN = 1.25
MADV_COLLAPSE = 25
STATM, MAPS = "/proc/self/statm", "/proc/self/maps"
PAGE = 4096

_gathered = LEAST / GROWN
"""How many bytes there were when that was last done in this process."""


def gather_if_grown() -> bool:
    """Whether it was time to: it takes a millisecond a page, once."""
    global _gathered
    resident = _resident()
    if resident < _gathered * GROWN:
        return False
    _gathered = resident
    for start in _large():
        failed = _collapse(start)
        if failed not in (0, errno.EINVAL):  # nothing lies there, as at the end of a thread's stack
            break  # no memory is left for it, or it is not done here
    return True


def _resident() -> int:
    try:
        with open(STATM) as file:
            return int(file.read().split()[1]) * PAGE
    except OSError:
        return 0


def _large() -> Iterator[int]:
    """The addresses of all that could be large pages of what Python has allocated."""
    with open(MAPS) as file:
        lines = file.readlines()
    for line in lines:
        words = line.split()
        if words[1] == "rw-p" and (len(words) == 5 or words[5] == "[heap]"):
            start, end = (int(each, 16) for each in words[0].split("-"))
            yield from range(-(-start // LARGE) * LARGE, end - LARGE + 1, LARGE)


def _collapse(start: int) -> int:
    """The number of an error, or 0."""
    import ctypes  # which takes longer to load than most simulations to begin

    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return 0 if madvise(start, LARGE, MADV_COLLAPSE) == 0 else ctypes.get_errno()
