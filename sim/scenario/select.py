"""Who is meant: one grammar of names, wherever a scenario speaks of nodes.

    "worker-2"                                    a node
    "worker-*"                                    a pattern (fnmatch)
    "role=worker"                                 a label of the file
    "all"                                         every node
    ["director", "role=worker"]                   all of these together
    { pick = "minority", of = "role=worker" }     some of them, drawn from the seed

Answers are in the order of the file, without repeats, and never empty: a selector that selects nobody is a mistake.

Tests: tests/sim/scenario/test_select.py.
"""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from sim.network.spelling import did_you_mean
from sim.scenario.schema import Node, Pick, Selector

__all__ = ["Labels", "SelectError", "draws", "labels_of", "select", "ways"]

Labels = Mapping[str, Mapping[str, str]]
"""Every node's name, in the order of the file → its labels."""

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


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
        return _named(selector, nodes)
    wanted = {name for part in selector for name in select(part, nodes, random)}
    if not wanted:
        raise SelectError("an empty list selects nobody")
    return [name for name in nodes if name in wanted]


def ways(source: Selector, target: Selector, nodes: Labels, random: Random) -> list[tuple[str, str]]:
    """Every (from, to) of two nodes that these mean. Raises SelectError."""
    sources, targets = select(source, nodes, random), select(target, nodes, random)
    return [(a, b) for a in sources for b in targets if a != b]


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
        hint = did_you_mean(pick.pick, ["one", "minority", "majority"])
        raise SelectError(f'unknown pick "{pick.pick}"; {hint}allowed: one, minority, majority, or a share like "30%"')
    if many == 0:
        raise SelectError(f'"{pick.pick}" of {among} node{"s" * (among != 1)} is nobody')
    return many
