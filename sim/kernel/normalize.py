"""Texts as they go into a trace: the same on every machine, in every run, in asyncio's debug mode or not.

Paths lose the folder they were imported from, objects their addresses, tasks the number that asyncio gave them. Knows
no trace. Tests: tests/sim/kernel/test_normalize.py.
"""

import os
import re
import sys
from functools import lru_cache
from pathlib import Path

from sim.kernel.running import outside

__all__ = ["plain", "said"]

_OURS = str(Path(__file__).parents[2])
"""An editable installation has us where nothing of sys.path is."""
# Compiled where they are first needed, which a run in which nothing goes wrong never does.
_REPLACED = (
    # What a node keeps lies in a directory whose name nobody may guess.
    (r"""[^\s'"<>(]*\bsim-node-[0-9a-f]{16}\b""", "sim-node-…"),
    (r"\b0x[0-9a-f]{6,}\b", "0x…"),
    # reprlib leaves the end of an address behind its dots.
    (r"\.\.\.[0-9a-fx]{4,}(?=>)", "...…"),
    # asyncio numbers tasks over the whole process.
    (r"\bTask-\d+\b", "Task-…"),
    # What asyncio's debug mode adds.
    (r"(<\w+ running=\w+ closed=\w+ debug=)True>", r"\1False>"),
    (r" created at [^ >]+:\d+(?=>)", ""),
    (r"\n(?:\w+: )?(?:Object|Handle) created at \(most recent call last\):(?:\n  .*)*", ""),
)


@lru_cache(maxsize=4)
def _folders(path: tuple[str, ...], here: str) -> list[str]:
    """What `sys.path` means in the folder `here`, longest first. To look it up takes a millisecond."""
    folders = {str(Path(here, folder).resolve()) for folder in path} | {sys.prefix, sys.base_prefix, _OURS}
    return sorted((f for f in folders if len(f) > 1), key=len, reverse=True)


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # somebody has removed it
        return os.sep


def plain(text: str) -> str:
    """`text` without what differs between machines and runs."""
    with outside():  # else a tool that watches for calls that block takes these for the program's
        folders = _folders(tuple(sys.path), _here())
    for folder in folders:
        text = text.replace(folder + "/", "")
    for pattern, instead in _REPLACED:
        text = re.sub(pattern, instead, text)
    return text


def said(error: BaseException) -> str:
    """An exception as its class and text."""
    try:
        text = str(error)
    except Exception as broken:  # its own __str__ raises: that is no reason for the simulator to fall over
        text = f"(its text cannot be had: {type(broken).__name__})"
    return f"{type(error).__name__}: {text}"
