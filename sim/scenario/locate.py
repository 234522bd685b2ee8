"""Where in a TOML text an element stands: path → line and column. tomllib keeps no positions.

A scanner of its own, for text that tomllib has already read without complaint: it follows the layout of TOML 1.0
(headers, keys, the four kinds of strings, arrays, inline tables) and trusts it. Knows no scenario.

A path is a tuple of keys and indices: `("fault", 1, "crash")` is `crash` of the second `[[fault]]`.

Tests: tests/sim/scenario/test_locate.py.
"""

import re
import tomllib
from bisect import bisect_left
from typing import NamedTuple

__all__ = ["Path", "Place", "Places", "locate", "place_of_offset", "place_of_syntax_error"]

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|'  # the longest run of quotes closes: up to two belong to the text
    r"'''.*?'{3,5}|"
    r'"(?:[^"\\\n]|\\.)*"|'
    r"'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\r\n]+")
_ERROR_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


class Place(NamedTuple):
    """Both count from 1."""

    line: int
    column: int


class Places:
    """Where the keys and the values of a document are."""

    def __init__(self, text: str) -> None:
        self._ends = [end.start() for end in re.finditer("\n", text)]
        """Of lines. A file of many tables is asked for the place of each."""
        self.keys: dict[Path, int] = {}
        self.values: dict[Path, int] = {}

    def key(self, path: Path) -> Place:
        """Of the key at that path; of the innermost thing around it, where it is not in the text."""
        return self._nearest(path, self.keys)

    def value(self, path: Path) -> Place:
        """Of the value at that path; of the innermost thing around it, where it is not in the text."""
        return self._nearest(path, self.values)

    def _nearest(self, path: Path, offsets: dict[Path, int]) -> Place:
        if path in offsets:
            return self.at(offsets[path])
        while path and path not in self.keys and path not in self.values:
            path = path[:-1]
        return self.at(self.keys.get(path, self.values.get(path, 0)))

    def at(self, offset: int) -> Place:
        """Of a place in the text."""
        before = bisect_left(self._ends, offset)
        return Place(before + 1, offset - (self._ends[before - 1] if before else -1))


def locate(text: str) -> Places:
    """The places of everything in a text that tomllib accepts."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.places


def place_of_offset(text: str, offset: int) -> Place:
    return Place(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def place_of_syntax_error(text: str, error: tomllib.TOMLDecodeError) -> tuple[Place, str]:
    """Where tomllib stopped, and its message without that."""
    message = str(error)
    if match := _ERROR_PLACE.search(message):
        return Place(int(match[1]), int(match[2])), message[: match.start()]
    return place_of_offset(text, len(text)), message.removesuffix(" (at end of document)")


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places = Places(text)
        self._lengths: dict[Path, int] = {}
        """Of arrays of tables."""

    def document(self) -> None:
        prefix: Path = ()
        self._blank()
        while self.at < len(self.text):
            prefix = self._header() if self.text[self.at] == "[" else self._pair(prefix)
            self._blank()

    def _header(self) -> Path:
        start = self.at
        double = self.text.startswith("[[", start)
        self.at += 1 + double
        keys = self._dotted()
        self.at += 1 + double
        path: Path = ()
        for position, (name, _) in enumerate(keys):
            path = (*path, name)
            self.places.keys.setdefault(path, start)
            if double and position == len(keys) - 1:
                self._lengths[path] = self._lengths.get(path, 0) + 1
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
                self.places.keys.setdefault(path, start)
        return path

    def _pair(self, prefix: Path) -> Path:
        """One `key = value`; gives back the prefix for the next one."""
        path = prefix
        for name, offset in self._dotted():
            path = (*path, name)
            self.places.keys.setdefault(path, offset)
        self.at += 1  # =
        self._space()
        self._value(path)
        return prefix

    def _dotted(self) -> list[tuple[str, int]]:
        keys = []
        while True:
            self._space()
            start = self.at
            match = _BARE_KEY.match(self.text, start) or _STRING.match(self.text, start)
            assert match, f"tomllib accepted a key that is none, at offset {start}"
            self.at = match.end()
            text = match[0]
            keys.append((next(iter(tomllib.loads(f"{text} = 0"))) if text[0] in "\"'" else text, start))
            self._space()
            if self.text[self.at : self.at + 1] != ".":
                return keys
            self.at += 1

    def _value(self, path: Path) -> None:
        self.places.values[path] = self.at
        character = self.text[self.at]
        if character == "[":
            self._array(path)
        elif character == "{":
            self._inline_table(path)
        else:
            match = _STRING.match(self.text, self.at) or _SCALAR.match(self.text, self.at)
            assert match, f"tomllib accepted a value that is none, at offset {self.at}"
            self.at = match.end()

    def _array(self, path: Path) -> None:
        self.at += 1
        self._blank()
        index = 0
        while self.text[self.at] != "]":
            self._value((*path, index))
            index += 1
            self._separator()
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        self._blank()
        while self.text[self.at] != "}":
            self._pair(path)
            self._separator()
        self.at += 1

    def _separator(self) -> None:
        self._blank()
        if self.text[self.at] == ",":
            self.at += 1
            self._blank()

    def _blank(self) -> None:
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _space(self) -> None:
        while self.text[self.at : self.at + 1] in {" ", "\t"}:
            self.at += 1
