"""One pass over the events of a run; afterwards, answers: who was up when, who was a member, who saw what.

Knows no world, no scenario file and no expectation. What happens once the run's end has begun (every node is being
stopped) is nobody's death and nobody's news: lives and memberships that last until then have no end, and sightings stop
there. Names of the events and their fields: docs/trace.md.

Tests: tests/sim/history/test_history.py.
"""

from collections.abc import Iterable, Iterator, Sequence

from sim.history.ending import Ending
from sim.history.facts import FaultSeen, Life, Membership, Publication, Sighting, Stream
from sim.history.faults import Faults
from sim.history.lives import Lives, host_of
from sim.history.reach import Reach, Severs
from sim.history.sightings import Sightings
from sim.history.streams import Streams
from sim.history.takers import Takers
from sim.trace import Event

__all__ = ["History"]


class History:
    """The facts of a run, by kind.

    `duration` is when the run's end begins, `severs` says what a recorded fault cuts (sim.scenario.faults.severs).
    """

    def __init__(self, events: Iterable[Event], duration: float, severs: Severs) -> None:
        self.duration = duration
        ending = Ending(duration)
        faults = Faults(ending)
        self._lives = Lives(ending)
        self._sightings = Sightings(ending, self._lives)
        streams = Streams()
        takers = Takers(ending, faults, self._lives, self._sightings, streams)
        for event in events:
            for take in takers.of(event):
                take(event)
        self.end_line: float = ending.line
        """The line from which on the run is being ended."""
        self.faults: list[FaultSeen] = [fault for fault in faults.all if not fault.idle]
        """Those that took effect."""
        self.quiet: float | None = faults.quiet
        self.lives: dict[str, list[Life]] = self._lives.of
        self.labels: dict[str, dict[str, str]] = self._lives.labels
        self.addresses: dict[str, str] = self._lives.addresses
        """Host part of an address → node."""
        self.sightings: list[Sighting] = self._sightings.all
        self.publications: list[Publication] = self._sightings.publications
        self.streams: list[Stream] = streams.all
        self.reach = Reach(self.faults, self.lives, severs, faults.lost)

    # Questions

    def life(self, node: str, time: float) -> Life | None:
        """The process of that node at that time."""
        return next((life for life in reversed(self.lives.get(node, ())) if life.covers(time)), None)

    def up(self, node: str, time: float) -> bool:
        """Whether the node's process lived at that time; paused and blocked count as up."""
        return self.life(node, time) is not None

    def memberships(self) -> Iterator[Membership]:
        """Every membership of every node, in the order of their starts within a node."""
        for lives in self.lives.values():
            for life in lives:
                yield from life.memberships

    def membership(self, node: str, time: float) -> Membership | None:
        """What the node was in the cluster at that time; None where it ran none."""
        life = self.life(node, time)
        if life is None:
            return None
        return next((m for m in reversed(life.memberships) if m.start <= time < m.end), None)

    def run_of(self, member: str, run: int) -> Membership | None:
        """That run of that member."""
        return self._lives.runs.get((member, run))

    def members_of(self, node: str) -> set[str]:
        """The names under which a node was ever a member; its own name where it never was."""
        return {m.member for life in self.lives.get(node, ()) for m in life.memberships} or {node}

    def sightings_of(self, member: str) -> Sequence[Sighting]:
        """All that anybody recorded of that member, in order."""
        return self._sightings.of(member)

    def node_at(self, address: str) -> str | None:
        """The node that has this address (`host:port`, or a node's name for a host)."""
        host = host_of(address)
        return self.addresses.get(host, host if host in self.lives else None)

    def within_run(self, time: float, line: int, deadline: float) -> bool:
        """Whether something happened by the deadline and before the run's end began."""
        return time <= deadline and line < self.end_line
