"""What was seen of each call, at both of its ends, and what was found to be wrong while it ran. No rule is here but
those of single items; invariants.py judges the rest when everything is over.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.rpcnet.chaos.payload import what_is_wrong
from tests.rpcnet.chaos.plan import Call, Plan

__all__ = ["Record", "Seen"]

Number = int


@dataclass(slots=True)
class Seen:
    """One call as it went."""

    call: Call
    now: Callable[[], float]
    began: float | None = None
    ended: float | None = None
    outcome: str | BaseException | None = None
    """"ok", "left" (by break or abort of its reader), or what was raised."""
    client: Any = None
    let_go_at: float | None = None
    """When it was cancelled, aborted or its client closed; the first of those."""
    let_go: str = ""
    cancelled: bool = False
    """Its caller's task was, whatever else happened."""
    runs: int = 0
    ran_at: float = 0.0
    read: int = 0
    """Items that the caller has read …"""
    taken: int = 0
    """… and that its handler has."""
    items_raised: bool = False
    handler_raised: bool = False
    handler_finished: bool = False
    handler_ended: float | None = None
    """When nothing of it ran any more."""
    read_at: float = 0.0
    """When the caller last got an item, or began."""
    client_moved: float = 0.0
    """When the caller's end last got or gave an item …"""
    server_moved: float = 0.0
    """… and the handler's end did."""
    trailers: Any = None
    metadata: Any = None
    wrong: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)

    def tell(self, what: str) -> None:
        self.story.append(f"{self.now():.4f} {what}")

    # At the caller's end.

    def begin(self) -> None:
        self.began = self.client_moved = self.read_at = self.now()
        self.tell("the call begins")

    def gave(self, index: int) -> None:
        self.client_moved = self.now()
        self.tell(f"its items give item {index}")

    def got(self, payload: bytes) -> None:
        self.client_moved = self.read_at = self.now()
        if problem := what_is_wrong(payload, self.call.number, self.read, self.call.handling.sends, True):
            self.wrong.append(f"its caller: {problem}")
        self.read += 1
        self.tell(f"the caller has item {self.read - 1}")

    def letting_go(self, how: str) -> None:
        if self.let_go_at is None and self.ended is None:
            self.let_go_at, self.let_go = self.now(), how
            self.tell(how)

    def end(self, outcome: str | BaseException) -> None:
        if self.ended is None:
            self.ended, self.outcome = self.now(), outcome
            self.tell(f"the call ends: {outcome!r:.300}")

    # At the handler's end.

    def run(self) -> None:
        self.runs += 1
        self.server_moved = self.ran_at = self.now()
        self.tell("its handler runs")

    def took(self, payload: bytes) -> None:
        self.server_moved = self.now()
        if problem := what_is_wrong(payload, self.call.number, self.taken, self.call.sends):
            self.wrong.append(f"its handler: {problem}")
        self.taken += 1
        self.tell(f"the handler has item {self.taken - 1}")

    def answered(self) -> None:
        self.server_moved = self.now()

    def input_ended(self) -> None:
        """The handler was told that nothing more comes."""
        self.server_moved = self.now()
        self.tell("the handler is told that all items have come")
        if self.items_raised or self.call.raises_at is not None:
            self.wrong.append("its handler saw an end in order of items that raised")
        elif self.taken != len(self.call.sends):
            self.wrong.append(f"its handler saw an end in order after {self.taken} of {len(self.call.sends)} items")


class Record:
    """What was seen of all calls of a plan."""

    def __init__(self, plan: Plan, now: Callable[[], float]) -> None:
        self.plan = plan
        self.now = now
        self.seen = {call.number: Seen(call, now) for call in plan.calls}
        self.wrong: list[str] = []
        """What is wrong and belongs to no call."""
        self.running: dict[tuple[int, int], float] = {}
        """Handlers that run: (start of the server's process, call) → since when."""
        self.boots = 0
        """How often the server's process was started."""
