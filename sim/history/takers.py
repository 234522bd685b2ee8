"""Which part of a reader takes which event: its methods `on_<name of the event>`, in the order of the parts.

What the runner records it records of no node, and all that happens to a node names it. An event that an application
gave one of these names is therefore none of them.

Tests: tests/sim/history/test_takers.py.
"""

from collections.abc import Callable, Sequence

from sim.trace import Event

__all__ = ["Takers"]

OF_THE_RUN = frozenset({"run_started", "run_ended", "quiet", "apart", "fault", "fault_undone", "fault_idle"})
OF_BOTH = frozenset({"log", "leak", "dropped"})
OWN = "on_"

Taker = Callable[[Event], None]


class Takers:
    """The parts of a reader, by what they take."""

    def __init__(self, *parts: object) -> None:
        self._of_the_run: dict[str, list[Taker]] = {}
        self._of_nodes: dict[str, list[Taker]] = {}
        for part in parts:
            for method in dir(part):
                if method.startswith(OWN):
                    self._add(method.removeprefix(OWN), getattr(part, method))

    def _add(self, name: str, taker: Taker) -> None:
        if name in OF_THE_RUN or name in OF_BOTH:
            self._of_the_run.setdefault(name, []).append(taker)
        if name not in OF_THE_RUN:
            self._of_nodes.setdefault(name, []).append(taker)

    def of(self, event: Event) -> Sequence[Taker]:
        """Those who take it; an event that nobody takes costs one look-up."""
        return (self._of_nodes if event.node else self._of_the_run).get(event.name, ())
