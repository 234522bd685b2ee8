"""`clock`: a machine's clock is wrong.

Tests: tests/sim/scenario/faults/test_clock.py.
"""

from typing import Any, ClassVar

from msgspec import Struct

from sim.network.quantity import parse_drift, parse_offset
from sim.scenario.faults.fault import Checking
from sim.scenario.faults.of_machine import OfMachine
from sim.scenario.schema import Selector

__all__ = ["Clock", "Wrong"]


class Wrong(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose clock is wrong, and how."""

    node: Selector
    """Whose."""
    offset: str | None = None
    """The wall clock shows so much more: `3s`, `-1h`."""
    drift: str | None = None
    """The clock runs so much faster: `100ppm`, `-2%`. Timers follow it."""


class Clock(OfMachine, frozen=True, kw_only=True):
    """A machine's clock is wrong, or runs at another pace."""

    verb: ClassVar[str] = "clock"

    clock: Wrong
    """Whose, and how."""

    def check(self, checking: Checking) -> bool:
        wrong = self.clock
        if wrong.offset is None and wrong.drift is None:
            checking.blame('changes nothing; give offset, like "3s", or drift, like "100ppm"')
        if wrong.offset is not None:
            checking.read(parse_offset, wrong.offset, "offset")
        if wrong.drift is not None:
            checking.read(parse_drift, wrong.drift, "drift")
        return True

    def settings(self) -> dict[str, Any]:
        wrong = self.clock
        return {"offset": parse_offset(wrong.offset or "0s"), "drift": parse_drift(wrong.drift or "0ppm")}
