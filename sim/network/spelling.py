"""What somebody may have meant who wrote a word that there is not.

Knows no words. Tests: tests/sim/scenario/test_load.py.
"""

from collections.abc import Iterable

__all__ = ["did_you_mean", "near"]


def did_you_mean(word: object, allowed: Iterable[str]) -> str:
    """`did you mean "x"? ` for the text of an error; nothing where none of the allowed ones is near."""
    found = near(word, allowed)
    return f'did you mean "{found[0]}"? ' if found else ""


def near(word: object, allowed: Iterable[str]) -> list[str]:
    """The allowed word that is the nearest, where one is near."""
    from difflib import get_close_matches  # of no use to who makes no mistake, and takes its time

    return get_close_matches(str(word), list(allowed), 1)
