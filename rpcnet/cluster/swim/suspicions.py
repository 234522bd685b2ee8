"""The suspicions under way: who is doubted by whom, until when, and what we repeat of our own accusations.

Knows no claim and no address: whoever holds the table says when one begins and ends.

Tests: tests/rpcnet/cluster/swim/test_table.py.
"""

from collections.abc import Container, Iterable
from itertools import islice

from rpcnet.cluster.swim.suspicion import Suspicion
from rpcnet.cluster.swim.timers import Timers
from rpcnet.config import ClusterConfig

__all__ = ["Suspicions", "Timer"]

Timer = tuple[str, str | int]
"""(kind, what it is about)."""
REPEATED = 8
"""So many accusations ride on a packet beside the news."""


class Suspicions(dict[str, Suspicion]):
    """By the name of the suspect."""

    def __init__(self, config: ClusterConfig, timers: Timers[Timer]) -> None:
        super().__init__()
        self._config, self._timers = config, timers
        self.accusations: dict[str, bytes] = {}
        """Our own ones, as messages."""

    def begin(self, name: str, accuser: str, members: int, now: float) -> None:
        """A fresh timer: the older suspicion was refuted, whether we have heard that or not."""
        self[name] = Suspicion.begin(self._config, members, accuser, now)
        self.accusations.pop(name, None)
        self._time(name, now)
        self._time_question(name, now)
        self._expect_fewer_confirmations(members, now)

    def confirm(self, name: str, accuser: str, now: float) -> bool:
        """Whether that is news."""
        is_news = self[name].confirm(accuser)
        if is_news:
            self._time(name, now)
        return is_news

    def answered(self, name: str, now: float, *, is_late: bool = False) -> None:
        """If that is a suspect: it has answered us now, so its time begins again here, whoever else accuses it.

        is_late: that was asked before the accusation, so it is asked again at once: it must learn of it, to refute it.
        """
        if name in self:
            self[name].started = now
            self._time(name, now)
            self._time_question(name, now)
            if is_late and self._config.question_at:
                self._timers.set(("question", name), now)

    def hasten(self, name: str, now: float) -> None:
        """It had its time elsewhere: no confirmations are waited for, and it is asked at once, but once a probe
        interval: many tell of a death, and the answer to each question tells of others.
        """
        suspicion = self[name]
        suspicion.k = 0
        if now - suspicion.hastened_at >= self._config.probe_interval:
            suspicion.hastened_at = now
            self._timers.set(("question", name), now)
        self._time(name, now)

    def end(self, name: str) -> None:
        if self.pop(name, None) is not None:
            self._timers.cancel(("suspicion", name))
            self._timers.cancel(("question", name))
            self.accusations.pop(name, None)

    def shift(self, seconds: float, now: float) -> None:
        """We were stalled: nobody's time ran meanwhile."""
        for name, suspicion in self.items():
            suspicion.shift(seconds)
            self._time(name, now)

    def is_fresh(self, name: str, now: float) -> bool:
        """Whether this member has not been doubted here for so long that it was asked."""
        share = self._config.question_at
        suspicion = self.get(name)
        return share > 0 and (suspicion is None or now - suspicion.started < share * suspicion.least)

    def accuse(self, name: str, me: str, accusation: bytes, since: float, now: float) -> None:
        """That is our own, to be repeated until the verdict, if it counts. It has been silent since then."""
        suspicion = self[name]
        if me in suspicion.accusers:
            self.accusations[name] = accusation
            if since < suspicion.started:
                suspicion.started = since
                self._time(name, now)
                self._time_question(name, now)

    def of_ours_alone(self, me: str) -> list[str]:
        """Those that nobody but us doubts, as far as we know."""
        return [name for name in self.accusations if list(self[name].accusers) == [me]]

    def latest_accusations(self) -> Iterable[bytes]:
        """Our own ones whose time still runs: repeated to whom we speak, since news may have gone to the dead alone."""
        return islice(reversed(self.accusations.values()), REPEATED)

    def is_accused(self, name: str, accuser: str) -> bool:
        return name in self and accuser in self[name].accusers

    def unconfirmed(self, me: str, doubted: Container[str]) -> str | None:
        """A suspect that waits for a confirmation, and that we have not accused, nor are about to."""
        names = (name for name, held in self.items() if me not in held.accusers and held.k and name not in doubted)
        return next(names, None)

    def _time(self, name: str, now: float) -> None:
        """A late confirmation may end it at once; that is no timer of ours that was held up."""
        self._timers.set(("suspicion", name), max(now, self[name].deadline))

    def _time_question(self, name: str, now: float) -> None:
        if share := self._config.question_at:
            self._timers.set(("question", name), max(now, self[name].started + share * self[name].least))

    def _expect_fewer_confirmations(self, members: int, now: float) -> None:
        """Whoever is a suspect itself confirms nothing: in a half of two one confirmation must do."""
        able = max(1, members - len(self) - 1)
        for name, suspicion in self.items():
            if suspicion.k > able:
                suspicion.k = able
                self._time(name, now)
