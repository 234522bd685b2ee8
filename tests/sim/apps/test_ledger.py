"""The judge of the ledger: one that lets everything pass would make its scenarios worthless."""

import pytest

from sim.apps.ledger import each_once
from sim.trace import Event

ENTRY = {"client": "clerk", "line": 0, "index": 7}


def trace(*names: str) -> list[Event]:
    return [
        Event(line=line, time=float(line), node="server", name=name, cause=0, fields=ENTRY)
        for line, name in enumerate(names, 1)
    ]


def test_an_entry_entered_and_answered_once_is_well() -> None:
    assert each_once(trace("entered", "answered"))


def test_a_run_without_entries_does_not_hold() -> None:
    assert not each_once(trace("went_on"))


def test_an_entry_that_was_entered_twice_is_found() -> None:
    with pytest.raises(AssertionError, match=r"entered more than once.*'clerk', 0, 7"):
        each_once(trace("entered", "entered", "answered"))


@pytest.mark.parametrize("names", [("entered",), ("entered", "answered", "answered")])
def test_an_entry_that_was_not_answered_once_is_found(names: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError, match="1 entries were entered and not answered once"):
        each_once(trace(*names))
