"""Changes to a document before it is read: `node.worker.count=50`, `network.loss=5%`, `fault.outage.at=3s`.

Works on what tomllib gives, not on structs, so that a changed value is checked like any other. Elements of lists are
called by name (`fault.crash`, `expect.converged`) or by number, from 0.

Tests: tests/sim/scenario/test_load.py.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sim.network.spelling import did_you_mean
from sim.scenario.expect import EXPECTATIONS
from sim.scenario.faults import FAULTS
from sim.scenario.locate import Path

__all__ = ["Override", "OverrideError", "Overrides", "apply", "parse"]

Overrides = Mapping[str, Any] | Iterable[str]
"""`{"node.worker.count": 50}` from Python, `["node.worker.count=50"]` from a command line."""


class OverrideError(ValueError):
    """A key that leads nowhere."""


class Override(NamedTuple):
    key: str
    value: Any
    written: str
    from_python: bool
    """Then its durations may be plain numbers."""


def parse(overrides: Overrides) -> list[Override]:
    """Raises OverrideError for text without `=`."""
    if isinstance(overrides, Mapping):
        return [Override(key, value, f"{key}={_spelt(value)}", True) for key, value in overrides.items()]
    found = []
    for text in overrides:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not (key and equals):
            raise OverrideError(f'"{text}" sets nothing; write it as KEY=VALUE, like node.worker.count=50')
        found.append(Override(key, _value_of(value), text, False))
    return found


def apply(data: dict[str, Any], override: Override) -> Path:
    """Set it in the document; returns the path that was set. Raises OverrideError."""
    *steps, last = override.key.split(".")
    target: Any = data
    path: Path = ()
    called = ""  # The key that led here, which says what the elements of a list are.
    for step in steps:
        if isinstance(target, list):
            index = _index(target, called, step)
            path, target = (*path, index), target[index]
        elif isinstance(target, dict):
            path, target, called = (*path, step), target.setdefault(step, {}), step
        else:
            break
    if not isinstance(target, dict):
        what = "a list: name one of it and then its key" if isinstance(target, list) else "no table that holds keys"
        raise OverrideError(f'"{".".join(map(str, path))}" is {what}')
    target[last] = override.value
    return (*path, last)


def _value_of(text: str) -> Any:
    """A TOML value where it is one; else the text itself, so that 5% and 10s need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _spelt(value: Any) -> str:
    """The value as a command line would give it."""
    if isinstance(value, str):
        return value if value == value.strip() and _value_of(value) == value else _quoted(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_nested(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_nested, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _nested(value: Any) -> str:
    return _quoted(value) if isinstance(value, str) else _spelt(value)


def _key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _quoted(key)


def _quoted(text: str) -> str:
    """As TOML, which has no halves of characters, and no bare DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _index(elements: list[Any], kind: str, step: str) -> int:
    names = _names(elements, kind)
    if step in names:
        return names.index(step)
    if step.isdigit() and int(step) < len(elements):
        return int(step)
    hint = did_you_mean(step, names)
    raise OverrideError(f'there is no {kind} "{step}"; {hint}there are: {", ".join(names) or "none"}')


def _names(elements: list[Any], kind: str) -> list[str]:
    """What the elements are called: by their name, or by the key that says what they are (`crash`, `crash-2`)."""
    kinds: set[str] = {*FAULTS} if kind == "fault" else {*EXPECTATIONS} if kind == "expect" else set()
    seen: dict[str, int] = {}
    names = []
    for element in elements:
        table = element if isinstance(element, dict) else {}
        name = table.get("name")
        if not isinstance(name, str):
            name = next((key for key in table if key in kinds), "")
            seen[name] = seen.get(name, 0) + 1
            name = name if seen[name] == 1 else f"{name}-{seen[name]}"
        names.append(name)
    return names
