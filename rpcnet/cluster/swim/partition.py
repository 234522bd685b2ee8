"""Whether this member still sees a majority of the cluster: what is expected, what is there, and for how long.

It is partitioned once those that are up have been half of the expected size or less for `HOLD` probe intervals, and
healed as soon as they are more. Who leaves is expected no more, whoever failed is. A verdict is information: nothing
here acts on it. Knows no address and no message.

Tests: tests/rpcnet/cluster/swim/test_partition.py.
"""

from collections.abc import Callable, Sequence

from rpcnet.cluster.swim.effect import Effect
from rpcnet.cluster.swim.event import Healed, MemberLeft, Partitioned
from rpcnet.cluster.swim.suspicion import minimum
from rpcnet.cluster.swim.suspicions import Timer
from rpcnet.cluster.swim.table import Table
from rpcnet.cluster.swim.timers import Timers
from rpcnet.config import ClusterConfig

__all__ = ["HOLD", "PartitionDetector"]

HOLD = 2.0
"""Probe intervals that the majority must be missing: those that were wrongly given up refute within one."""
DUE: Timer = ("partition", "")


class PartitionDetector:
    """With `expected_size` that is what is expected, less those that left, more again when others come. Without, it is
    whoever is up and whoever has failed lately: within the time that a member which is cut off alone takes to notice
    all others. During a partition nobody's failure becomes old.

    Until this member has seen a majority once it says nothing: then it is joining, not cut off.
    """

    def __init__(
        self, table: Table, config: ClusterConfig, *, timers: Timers[Timer], emit: Callable[[Effect], None]
    ) -> None:
        self.is_partitioned = False
        self._table, self._config, self._timers, self._emit = table, config, timers, emit
        self._size = config.expected_size or 0
        self._since: float | None = None
        """Who failed before then is not expected any more; None while a majority is here: it moves with time."""
        self._was_whole = False
        self._seen = 0, 0
        """How many were up and how many had failed when it was last judged."""

    def judge(self, effects: Sequence[Effect], now: float) -> None:
        """Look again if anybody came or went; `effects` are those of the work that has just been done."""
        table = self._table
        seen = table.up, len(table.dead)
        if seen == self._seen and not table.went_down:
            return
        self._seen = seen
        self._size -= sum(type(effect) is MemberLeft for effect in effects)
        if self._is_missing(now):
            if self._was_whole and not self.is_partitioned and DUE not in self._timers:
                self._timers.set(DUE, now + HOLD * self._config.probe_interval)
            return
        self._timers.cancel(DUE)
        self._was_whole = True
        if self.is_partitioned:
            self.is_partitioned = False
            self._emit(Healed(table.up, self._expected(now)))

    def due(self, now: float) -> None:
        """The majority has been missing for long enough."""
        self.is_partitioned = True
        self._emit(Partitioned(self._table.up, self._expected(now)))

    def stop(self) -> None:
        """We leave: nothing is judged any more."""
        self._was_whole = self.is_partitioned = False
        self._timers.cancel(DUE)

    def _is_missing(self, now: float) -> bool:
        table = self._table
        if self._config.expected_size is None and len(table.dead) < table.up:
            missing = False  # however old the failures are
        else:
            missing = 2 * table.up <= self._expected(now)
        if not missing:
            self._since = None
        elif self._since is None:
            self._since = self._window(now)
        return missing

    def _expected(self, now: float) -> int:
        table = self._table
        if self._config.expected_size is not None:
            self._size = min(self._config.expected_size, max(self._size, table.up))
            return self._size
        since = self._window(now) if self._since is None else self._since
        return table.up + sum(table.entries[name].was_seen for name in table.dead_since(since))

    def _window(self, now: float) -> float:
        config, members = self._config, 2 * self._table.up  # so many there are where half of them go missing
        alone = members * config.probe_interval * (1 + config.max_awareness)
        return now - alone - config.max_suspicion_multiplier * minimum(config, members)
