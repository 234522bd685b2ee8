"""Past a line of wrong TOML syntax, so that the mistakes behind it are told as well: `at = 10s` becomes `at = 0`.

Only a line that is one statement, `key = value`, is mended: there it is known what the line was to set. Whoever reads
the text on leaves that key out. Knows no key of a scenario.

Tests: tests/sim/scenario/test_mend.py.
"""

import re
import tomllib

__all__ = ["mend"]

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_PAIR = re.compile(rf"[ \t]*{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*[ \t]*=")


def mend(text: str, line: int) -> str | None:
    """The text with another value in that line, from 1; None where the line is no statement of its own."""
    lines = text.split("\n")
    before, wrong = "\n".join(lines[: line - 1]), lines[line - 1]
    pair = _PAIR.match(wrong)
    value = wrong[pair.end() :] if pair else ""
    if pair is None or _goes_on(value) or not _is_whole(before):
        return None
    # A key that is set twice keeps its first value.
    mended = f"{pair[0]} 0" if _is_whole(f"{before}\n{pair[0]} 0") else ""
    return "\n".join([*lines[: line - 1], mended, *lines[line:]])


def _goes_on(value: str) -> bool:
    """Whether a value may end in another line."""
    return '"""' in value or "'''" in value or any(value.count(a) != value.count(b) for a, b in ("[]", "{}"))


def _is_whole(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True
