"""A death that several have seen by a closed port, told on: believed when we are refused too, or when several told us.

Only those who are convinced tell it on, so each that tells is a witness of its own. Whoever does not doubt the member
yet knocks first: where two parts of a network lost each other, rumours of the one must not bury who lives in the other.
Knows no packet.

Tests: tests/rpcnet/cluster/swim/test_refusal.py.
"""

from dataclasses import dataclass, field
from typing import Protocol

from rpcnet.cluster.swim.member import DEAD, Claim, Entry, supersedes
from rpcnet.cluster.swim.message import Gone, Ping
from rpcnet.cluster.swim.table import Table
from rpcnet.config import ClusterConfig

__all__ = ["Witnesses"]

ENOUGH = 3
"""So many that tell it are believed, whatever became of our own knocking."""


class Outside(Protocol):
    """What this needs of the core."""

    def ask_stream(self, address: str, message: Ping, timeout: float) -> int: ...
    def next_sequence(self) -> int: ...


@dataclass(slots=True)
class _Rumour:
    message: Gone
    knock: int
    tellers: dict[str, None] = field(default_factory=dict)


class Witnesses:
    def __init__(self, table: Table, config: ClusterConfig, outside: Outside) -> None:
        self._table, self._config, self._outside = table, config, outside
        self._rumours: dict[str, _Rumour] = {}
        """By the member that is said to be gone."""

    def told(self, message: Gone, teller: str, now: float) -> None:
        table = self._table
        entry = table.entries.get(message.name)
        claim = Claim(message.run, message.incarnation, DEAD)
        is_news = entry is not None and entry.is_up and entry.run == claim.run and supersedes(claim, entry.claim)
        if entry is None or entry is table.me or not is_news or not self._config.refusal_is_evidence:
            table.declare(message, now)
            return
        rumour = self._rumours.get(message.name)
        if rumour is None or rumour.message != message:
            ping = Ping(self._outside.next_sequence(), entry.name, table.digest)
            knock = self._outside.ask_stream(entry.address, ping, self._config.probe_interval)
            rumour = self._rumours[message.name] = _Rumour(message, knock)
        rumour.tellers[teller] = None
        if len(rumour.tellers) >= ENOUGH:
            self._believe(message, now)

    def seen(self, entry: Entry, now: float) -> None:
        """We have seen it ourselves, with helpers."""
        self._believe(Gone(entry.name, entry.run, entry.incarnation, self._table.me.name), now)

    def knocked(self, number: int, now: float, *, answered: bool = False, refused: bool = False) -> None:
        """A question on a stream is over: one of ours?"""
        for rumour in [rumour for rumour in self._rumours.values() if rumour.knock == number]:
            if refused:
                self._believe(rumour.message, now)
            else:
                del self._rumours[rumour.message.name]
                if not answered:
                    self._table.declare(rumour.message, now)

    def _believe(self, message: Gone, now: float) -> None:
        self._rumours.pop(message.name, None)
        self._table.bury(message, now)
