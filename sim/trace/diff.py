"""Where two traces part: the first event that differs, or the first of a kind that only one of them has.

The former is for two runs that should be the same, the latter for two of different seeds, where times, messages and
their order differ anyway. Reads both lazily; memory does not grow with their length.

Tests: tests/sim/trace/test_diff.py.
"""

from collections.abc import Collection, Iterable
from itertools import zip_longest
from typing import NamedTuple

from sim.trace.cause import MESSAGES
from sim.trace.event import Event

__all__ = [
    "CHOICE",
    "Difference",
    "Kinds",
    "choice_apart",
    "first_difference",
    "first_difference_in_kind",
    "first_difference_in_order",
]

CHOICE = "chosen"
"""A task went before one that was ready earlier (docs/howto/races.md). Seeds make others: no difference in kind."""


WORDS = ("status", "member", "reason", "verb", "targets", "kind", "method", "level", "error", "message")
"""Fields that say what kind of event it is. The others (numbers, texts, addresses) differ from seed to seed."""
MAX_KINDS = 100_000
"""Kinds that are told apart in a trace; what is beyond them is not looked at."""

Kind = tuple[object, ...]


class Difference(NamedTuple):
    """The same line of two traces, or the first event of a kind that only one has; None where there is none such."""

    line: int
    one: Event | None
    other: Event | None


def first_difference(one: Iterable[Event], other: Iterable[Event]) -> Difference | None:
    """The first event that is not the same in both, or None."""
    for line, (a, b) in enumerate(zip_longest(one, other), 1):
        if a != b:
            return Difference(line, a, b)
    return None


def first_difference_in_order(one: Iterable[Event], other: Iterable[Event]) -> Difference | None:
    """The first place at which something else happened, or on another node; when, and because of what, is left out."""
    for line, (a, b) in enumerate(zip_longest(one, other), 1):
        if a is None or b is None or (a.node, a.name, a.fields) != (b.node, b.name, b.fields):
            return Difference(line, a, b)
    return None


class Kinds:
    """What kinds of events a trace has, node by node, each with its first one and how many there are.

    Events whose name is in `aside` are not looked at: of a large run every seed loses other messages.
    """

    def __init__(self, events: Iterable[Event], aside: Collection[str] = MESSAGES) -> None:
        self.first: dict[Kind, Event] = {}
        self.count: dict[Kind, int] = {}
        count = self.count
        for event in events:
            if event.name in aside or event.name == CHOICE:
                continue
            kind = _kind(event)
            if kind in count:
                count[kind] += 1
            elif len(count) < MAX_KINDS:
                count[kind] = 1
                self.first[kind] = event

    def only_here(self, other: "Kinds") -> Event | None:
        """The first event whose kind the other trace does not have at all."""
        return next((event for kind, event in self.first.items() if kind not in other.count), None)


def first_difference_in_kind(one: Kinds, other: Kinds) -> Difference | None:
    """The first event of each that has no counterpart in the other: its node, its name, the words among its fields.

    None where each has only what the other has too, if not as often.
    """
    found = one.only_here(other), other.only_here(one)
    lines = [event.line for event in found if event is not None]
    return Difference(min(lines), *found) if lines else None


def choice_apart(one: Iterable[Event], other: Iterable[Event], before: int | None = None) -> Event | None:
    """The choice that probably mattered: of those of `one` the last that `other` never made.

    A choice is known by its node, by where the task that went first goes on, and where the one that had to wait. Only
    those on lines up to `before` are looked at.
    """
    made = {_choice(event) for event in other if event.name == CHOICE}
    found = None
    for event in one:
        if before is not None and event.line > before:
            break
        if event.name == CHOICE and _choice(event) not in made:
            found = event
    return found


def _choice(event: Event) -> Kind:
    return (event.node, event.fields.get("step"), event.fields.get("passed_step"))


def _kind(event: Event) -> Kind:
    fields = event.fields
    return (event.node, event.name, *[str(fields[word]) for word in WORDS if word in fields])
