"""Who is meant: one grammar of names, wherever a scenario speaks of nodes.

    "worker-2"                                    a node
    "worker-*"                                    a pattern (fnmatch)
    "role=worker"                                 a label of the file
    "all"                                         every node
    "!worker-2"                                   all but these: a `!` before a node, a pattern or a label
    ["director", "role=worker", "!worker-2"]      all of these together, without those with a `!`, in whatever order
    { pick = "minority", of = "role=worker" }     some of them, drawn from the seed; { pick = 2 } so many

Answers are in the order of the file, without repeats, and never empty: a selector that selects nobody is a mistake.

Tests: tests/sim/scenario/test_select.py.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from sim.network.spelling import did_you_mean
from sim.scenario.schema import Node, Pick, Selector

__all__ = ["Labels", "SelectError", "draws", "labels_of", "select", "ways"]

Labels = Mapping[str, Mapping[str, str]]
"""Every node's name, in the order of the file → its labels."""

_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)[ \t]*%")


class SelectError(ValueError):
    """A selector that selects nobody, or that is none."""


def labels_of(nodes: Iterable[Node]) -> dict[str, dict[str, str]]:
    return {name: node.labels for node in nodes for name in node.names()}


def draws(seed: int, purpose: str) -> Random:
    """A source of chance of its own for each purpose, so that a new fault does not change what another one draws."""
    return Random(f"rpcnet/{purpose}/{seed}")


def select(selector: Selector | Mapping[str, Any], nodes: Labels, random: Random) -> list[str]:
    """The names of the nodes that are meant. Raises SelectError."""
    if isinstance(selector, Mapping):
        selector = _pick_of(selector)
    if isinstance(selector, Pick):
        return _picked(selector, nodes, random)
    if isinstance(selector, str):
        return _together([selector], nodes, random) if _is_without(selector) else _named(selector, nodes)
    return _together(selector, nodes, random)


def ways(source: Selector, target: Selector, nodes: Labels, random: Random) -> list[tuple[str, str]]:
    """Every (from, to) of two nodes that these mean. Raises SelectError."""
    sources, targets = select(source, nodes, random), select(target, nodes, random)
    return [(a, b) for a in sources for b in targets if a != b]


def _together(parts: Sequence[str | Pick], nodes: Labels, random: Random) -> list[str]:
    """What a list selects: a part with a `!` takes away, the others add up; where none adds, from all."""
    if not parts:
        raise SelectError("an empty list selects nobody")
    without = {name for part in parts if _is_without(part) for name in _named(str(part)[1:], nodes)}
    with_ = [part for part in parts if not _is_without(part)]
    wanted = {name for part in with_ or ["all"] for name in select(part, nodes, random)} - without
    if not wanted:
        raise SelectError(f"nobody is left: {', '.join(str(part) for part in parts if _is_without(part))}")
    return [name for name in nodes if name in wanted]


def _is_without(part: object) -> bool:
    return isinstance(part, str) and part.startswith("!")


def _pick_of(table: Mapping[str, Any]) -> Pick:
    if not {"pick"} <= set(table) <= {"pick", "of"}:
        raise SelectError(f"a table that selects has the keys pick and of, not {', '.join(table) or 'none'}")
    return Pick(**table)


def _named(text: str, nodes: Labels) -> list[str]:
    if text == "all":
        return list(nodes)
    if text in nodes:
        return [text]
    if "=" in text:
        return _labelled(text, nodes)
    found = [name for name in nodes if fnmatchcase(name, text)]
    if not found:
        known = ", ".join(nodes)
        raise SelectError(f'unknown node "{text}"{_nearest(text, [*nodes, "all"], nodes)}there are: {known}')
    return found


def _labelled(text: str, nodes: Labels) -> list[str]:
    key, _, value = (part.strip() for part in text.partition("="))
    found = [name for name, labels in nodes.items() if labels.get(key) == value]
    if not found:
        known = sorted({f"{k}={v}" for labels in nodes.values() for k, v in labels.items()})
        there = f"there are: {', '.join(known)}" if known else "no node has labels"
        raise SelectError(f'no node has the label "{text}"{_nearest(text, known, nodes)}{there}')
    return found


def _nearest(text: str, known: Iterable[str], nodes: Labels) -> str:
    if f"{text}-1" in nodes:
        return f'; did you mean "{text}-*" or "{text}-1"? '
    return f"; {did_you_mean(text, known)}"


def _picked(pick: Pick, nodes: Labels, random: Random) -> list[str]:
    among = select(list(pick.of) if isinstance(pick.of, list) else pick.of, nodes, random)
    drawn = set(random.sample(among, _how_many(pick, len(among))))
    return [name for name in nodes if name in drawn]


def _how_many(pick: Pick, among: int) -> int:
    if isinstance(pick.pick, int):
        return _so_many(pick.pick, among)
    match = _PERCENT.fullmatch(pick.pick)
    if pick.pick == "one":
        many = 1
    elif pick.pick == "minority":
        many = (among - 1) // 2
    elif pick.pick == "majority":
        many = among // 2 + 1
    elif match and float(match[1]) <= 100:
        # At least one: "10%" of five nodes is meant to hit somebody.
        many = max(1, round(among * float(match[1]) / 100)) if float(match[1]) else 0
    else:
        number = re.fullmatch(r"\s*([0-9]+)\s*", pick.pick)
        hint = f"did you mean {number[1]}? " if number else did_you_mean(pick.pick, ["one", "minority", "majority"])
        allowed = 'a number, one, minority, majority, or a share like "30%"'
        raise SelectError(f'unknown pick "{pick.pick}"; {hint}allowed: {allowed}')
    if many == 0:
        raise SelectError(f'"{pick.pick}" of {among} node{"s" * (among != 1)} is nobody')
    return many


def _so_many(wanted: int, among: int) -> int:
    if wanted < 1:
        raise SelectError(f"pick = {wanted} selects nobody")
    if wanted > among:
        raise SelectError(
            f"pick = {wanted} is more than the {among} node{'s' * (among != 1)} there {'are' if among != 1 else 'is'}"
        )
    return wanted
