"""Doubts: probes that have failed and are not told yet, since a late answer still ends them.

A starved process reads late: the answer to our ping comes a second after the period. If each such probe were an
accusation at once, every member would be told of it, and of its refutation, a dozen times each, every few seconds. So
a failed probe is told after `accuse_at` of the least suspicion, if no answer to it has come by then. The suspect's
time counts from the failed probe on: a member that is gone is found no later. Knows no packet.

Tests: tests/rpcnet/cluster/swim/test_doubts.py.
"""

from dataclasses import dataclass

from rpcnet.cluster.swim.member import Entry
from rpcnet.cluster.swim.suspicion import minimum
from rpcnet.cluster.swim.suspicions import Timer
from rpcnet.cluster.swim.table import Table
from rpcnet.cluster.swim.timers import Timers
from rpcnet.config import ClusterConfig

__all__ = ["Doubts"]


REFUTATION = 3.5
"""A suspect keeps at least so many probe intervals to hear of the suspicion and to refute it: a starved one reads what
it is told up to 2.5 s late. Where few members make the least suspicion shorter, a failed probe is told at once."""


@dataclass(slots=True)
class _Doubt:
    name: str
    run: int
    incarnation: int
    since: float
    until: float
    is_told: bool = False


class Doubts:
    def __init__(self, table: Table, config: ClusterConfig, timers: Timers[Timer]) -> None:
        self._table, self._config, self._timers = table, config, timers
        self._held: dict[int, _Doubt] = {}
        """By the sequence of the probe."""

    def __contains__(self, name: object) -> bool:
        return any(doubt.name == name and not doubt.is_told for doubt in self._held.values())

    @property
    def patience(self) -> float:
        """Seconds that a late answer has after the probe has failed."""
        least = minimum(self._config, self._table.up)
        latest = least - REFUTATION * self._config.probe_interval
        return max(0.0, min(self._config.accuse_at * least, latest))

    @property
    def head_start(self) -> float:
        """Seconds before the end of the probe from which the suspect's time counts: from when its answer was due, as
        far as what it has to refute is not shortened.
        """
        config, least = self._config, minimum(self._config, self._table.up)
        spare = (1.0 - config.accuse_at) * least - REFUTATION * config.probe_interval
        return max(0.0, min(config.probe_interval - config.probe_wait, spare)) if config.accuse_at else 0.0

    def begin(self, entry: Entry, sequence: int, now: float, *, wait: float = 0.0) -> None:
        """That probe has failed. `wait`: so much longer, since it is rather we who hear nothing."""
        due = now + wait + self.patience
        self._held[sequence] = _Doubt(entry.name, entry.run, entry.incarnation, now + wait - self.head_start, due)
        if due > now:
            self._timers.set(("doubt", sequence), due)
        else:
            self.due(sequence, now)

    def answered(self, sequence: int, now: float) -> None:
        """An answer has come, to this probe or to another. Too late to keep the accusation back, it proves life still:
        the suspect has its whole time from now on, here.
        """
        doubt = self._held.pop(sequence, None)
        if doubt is not None:
            self._timers.cancel(("doubt", sequence))
            self._table.suspicions.answered(doubt.name, now, is_late=True)

    def due(self, sequence: int, now: float) -> None:
        """No answer has come: accuse, unless the member has spoken for itself meanwhile, or is down."""
        doubt = self._held.pop(sequence)
        entry = self._table.entries.get(doubt.name)
        if doubt.is_told or entry is None or not entry.is_up:
            return
        if (entry.run, entry.incarnation) == (doubt.run, doubt.incarnation):
            self._table.accuse(entry, doubt.since, now)
            doubt.is_told, doubt.until = True, now + minimum(self._config, self._table.up)
            self._held[sequence] = doubt
            self._timers.set(("doubt", sequence), doubt.until)

    def shift(self, seconds: float) -> None:
        """We were stalled: nobody's time ran meanwhile."""
        for sequence, doubt in self._held.items():
            doubt.since += seconds
            doubt.until += seconds
            self._timers.set(("doubt", sequence), doubt.until)

    def clear(self) -> None:
        for sequence in self._held:
            self._timers.cancel(("doubt", sequence))
        self._held.clear()
