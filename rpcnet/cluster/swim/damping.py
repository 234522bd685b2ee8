"""Flap damping: when a member that failed again and again may come back.

The accused decides, since it alone raises its incarnation: as long as it does not, all others hold it for failed, and
nothing has to be agreed on. The first time it contradicts at once. When it fails again before that is forgotten, it
stays out until a whole hold-down has passed in which none of its probes was missed, and the hold-down doubles with each
failure. A failure while all of its own probes were answered is the fault of whoever tells it (or of a cut between many
and many) and does not count. It is kept by the process: a restarted one is another run, and has no past.

Penalty, reuse and decay as in BGP's route flap damping (RFC 2439); one flap alone never suppresses (RFC 7196). Knows no
claim but its incarnation, no packet and no other member.

Tests: tests/rpcnet/cluster/swim/test_damping.py.
"""

from collections.abc import Callable

from rpcnet.cluster.swim.effect import Effect, Noticed
from rpcnet.cluster.swim.event import HeldDown, Released
from rpcnet.cluster.swim.suspicions import Timer
from rpcnet.cluster.swim.timers import Timers
from rpcnet.config import ClusterConfig

__all__ = ["Damping"]

DUE: Timer = ("hold_down", "")
NEVER = float("-inf")


class Damping:
    def __init__(self, config: ClusterConfig, timers: Timers[Timer], emit: Callable[[Effect], None]) -> None:
        self._config, self._timers, self._emit = config, timers, emit
        self._failures = 0
        """As many as were not forgotten at the time from which they are."""
        self._forgets_from = 0.0
        self._missed_at = NEVER
        self._incarnation = -1
        """The highest one under which we have failed."""
        self._held: int | None = None
        """The incarnation under which we are accused, and do not contradict."""
        self._seconds = 0.0
        """The hold-down."""
        self.is_holding = False

    def is_close(self, now: float) -> bool:
        """Whether one more failure would hold us down."""
        return self._held is None and self._remembered(now) > 0 and now - self._missed_at < self._config.hold_down

    def missed(self, now: float) -> None:
        """A probe of ours has failed, and not all helpers say that it was not our fault; or we were stalled."""
        self._missed_at = now

    def failed(self, incarnation: int, now: float) -> None:
        """We are told that we had failed under this incarnation, be it that we have contradicted since."""
        config = self._config
        if incarnation > self._incarnation and now - self._missed_at < config.hold_down:
            self._failures, self._forgets_from = self._remembered(now) + 1, now
        self._incarnation = max(self._incarnation, incarnation)

    def holds(self, incarnation: int, now: float) -> bool:
        """We are accused under this incarnation: whether we leave it at that for now."""
        if self._held is None:
            failures = self._remembered(now)
            self._seconds = min(self._config.max_hold_down, self._config.hold_down * 2.0 ** min(failures - 2, 32))
            if failures < 2 or now >= self._missed_at + self._seconds:
                return False
            self._emit(HeldDown(failures, self._seconds))
            text = (
                f"it has failed {failures} times of late for the others, and stays out until it has missed no probe for"
            )
            self._emit(Noticed(("held down", ""), f"{text} {self._seconds:g} s (hold_down)"))
            self._missed_at = now  # a whole hold-down, however long ago the last probe of an unwell one was
            self._timers.set(DUE, now + self._seconds)
        self._held = max(incarnation, self._held or 0)
        self.is_holding = True
        return True

    def due(self, now: float) -> int | None:
        """Over which incarnation to rise now; None where a probe was missed meanwhile."""
        if now < self._missed_at + self._seconds:
            self._timers.set(DUE, self._missed_at + self._seconds)
            return None
        held, self._held = self._held, None
        self.is_holding = False
        self._forgets_from = now
        self._emit(Released())
        return held

    def end(self) -> None:
        """What is held against us does not count any more: we are another run, or leave."""
        self._held, self.is_holding, self._incarnation = None, False, -1
        self._timers.cancel(DUE)

    def _remembered(self, now: float) -> int:
        return max(0, self._failures - int((now - self._forgets_from) / self._config.flap_memory))
