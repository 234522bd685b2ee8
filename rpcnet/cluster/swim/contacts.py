"""Whom we compare tables with, and whom we try to reach again: push-pull, seeds, those that failed.

Push-pull anti-entropy runs on a slow clock, and out of turn where something was missed: a ping with another digest, a
sender that we do not know, a member that came back. Seeds and failed members are tried one a reconnect interval, for
ever: partitions heal, and seeds may come up last. Knows no packet.
"""

from math import ceil, log2
from random import Random
from typing import Protocol

from rpcnet.address import is_literal
from rpcnet.cluster.swim.dissemination import Dissemination
from rpcnet.cluster.swim.member import Entry
from rpcnet.cluster.swim.message import Holder, Message, Ping, State
from rpcnet.cluster.swim.naming import Naming
from rpcnet.cluster.swim.ring import Ring
from rpcnet.cluster.swim.table import Table, Timer, record_of
from rpcnet.cluster.swim.timers import Timers
from rpcnet.config import ClusterConfig

__all__ = ["Contacts"]

MAX_EXCHANGES = 16
"""Streams that we hold open at once, probes aside."""
FIRST_RETRY = 0.1
"""Seconds until seeds that did not answer at start are tried again; doubles up to reconnect_interval."""
SYNC_INTERVAL, SYNC_MEMBERS = 1.0, 128
"""Push-pull out of turn at most once in so many seconds, and rarer above so many members."""
SEVERAL = 32
"""Above so many members push-pull becomes rarer: what it costs grows with n (memberlist util.go)."""


class Outside(Protocol):
    """What the contacts need of the core."""

    def open_stream(self, number: int, address: str, messages: list[Message], timeout: float) -> None: ...
    def knock(self, entry: Entry) -> None: ...


class Contacts:
    def __init__(
        self,
        table: Table,
        config: ClusterConfig,
        *,
        seeds: list[str],
        ring: Ring,
        queue: Dissemination,
        random: Random,
        timers: Timers[Timer],
        outside: Outside,
    ) -> None:
        self._table, self._config, self._ring, self._queue = table, config, ring, queue
        self._random, self._timers, self._outside = random, timers, outside
        self._seeds: dict[str, str | None] = dict.fromkeys(seeds)
        """Each seed, and the member that answered there; "" where that was this one."""
        self._open: dict[int, str] = {}
        """Open exchanges: the seed that is asked, or ""."""
        self._count = 0
        self.naming = Naming()
        self._retry = FIRST_RETRY
        self._synced_at = float("-inf")

    def start(self, now: float) -> None:
        config = self._config
        self._table.has_joined = not self._seeds
        for seed in self._seeds:
            self._exchange(seed, seed, now)
        if config.push_pull_interval:
            self._timers.set(("push_pull", ""), now + config.push_pull_interval * (0.5 + self._random.random()))
        if config.reconnect_interval:
            self._timers.set(("reconnect", ""), now + self._retry)

    def stop(self) -> None:
        self._timers.cancel(("push_pull", ""))
        self._timers.cancel(("reconnect", ""))

    # Streams.

    def ask(self, address: str, messages: list[Message], timeout: float, seed: str = "") -> int:
        """Ask on a stream of its own; returns the number of the exchange."""
        self._count += 1
        self._open[self._count] = seed
        self._outside.open_stream(self._count, address, messages, min(timeout, self._config.tcp_timeout))
        return self._count

    def close(self, number: int) -> str | None:
        """An exchange is over: the seed that was asked, "" for any other, None where it is not known."""
        return self._open.pop(number, None)

    def merge(self, state: State, sender: str, seed: str, now: float) -> None:
        """The answer to a push-pull of ours."""
        first, held = not self._table.has_joined, len(self._table.entries)
        self.take(state, sender, now, spread=not first)
        self._table.has_joined = True
        if not seed:
            return
        self._seeds[seed] = sender
        if not first and len(self._table.entries) > held > 1:
            self.sync(sender, now)  # two islands meet in us, and this one has not heard of the other yet

    def take(self, state: State, sender: str, now: float, *, spread: bool) -> None:
        """Merge another table. What comes with our first join is known where it comes from: it is not spread."""
        for record in state.records:
            self._table.record(record, sender, now, spread=spread)

    def met_ourselves(self, seed: str) -> None:
        """That seed is this member; a name may stand for others as well, or come to do so: it is tried on."""
        if is_literal(seed.rpartition(":")[0].strip("[]")):
            del self._seeds[seed]
        else:
            self._seeds[seed] = ""
        self._table.has_joined = self._table.has_joined or all(name == "" for name in self._seeds.values())

    def state(self, now: float) -> State:
        return State([record_of(entry, now) for entry in self._table.entries.values()])

    # Comparing tables.

    def push_pull(self, now: float) -> None:
        """The slow clock: one member at random."""
        for name in self._ring.sample(1, self._table.is_up):
            self._exchange(self._table.entries[name].address, "", now)
        scale = ceil(log2(self._table.up) - log2(SEVERAL)) + 1 if self._table.up > SEVERAL else 1
        self._timers.set(("push_pull", ""), now + self._config.push_pull_interval * scale)

    def compare(self, sender: str, digest: int, now: float) -> None:
        """Tables that differ while there is no news to tell have missed something: repair that now."""
        if digest != self._table.digest and not self._queue and self._table.is_up(sender):
            self.sync(sender, now)

    def sync_with_one(self, now: float) -> None:
        for name in self._ring.sample(1, self._table.is_up):
            self.sync(name, now)

    def sync(self, name: str, now: float) -> None:
        entry = self._table.entries.get(name)
        if entry is not None:
            self.sync_address(entry.address, now)

    def sync_address(self, address: str, now: float) -> None:
        """A push-pull out of turn; few enough that nobody can make us busy with them, rarer where tables are large."""
        if now - self._synced_at >= SYNC_INTERVAL * max(1.0, len(self._table.entries) / SYNC_MEMBERS):
            self._synced_at = now
            self._exchange(address, "", now)

    def ask_holder(self, holder: Holder, seed: str, sequence: int) -> None:
        """Somebody has our name: does it live? Within half the time that a start waits."""
        config = self._config
        ping = Ping(sequence, self._table.me.name, self._table.digest)
        number = self.ask(holder.address, [ping], min(config.probe_wait, config.join_timeout / 2))
        self.naming.begin(number, sequence, seed, holder)

    def holder_asked(self, number: int, answered: bool, now: float) -> Holder | None:
        """An exchange is over. If it was with the holder of our name: who has it; or else the seed is asked again."""
        asked = self.naming.end(number)
        if asked is None:
            return None
        seed, holder = asked
        if answered and not self.naming.is_myself:
            return holder
        self.naming.in_vain = holder
        self._table.take_over(holder.run)
        self._exchange(seed, seed, now)
        return None

    def _exchange(self, address: str, seed: str, now: float) -> None:
        if address and len(self._open) < MAX_EXCHANGES and (not seed or seed not in self._open.values()):
            claim: list[Message] = [] if self._table.has_joined else [self.naming.in_vain]
            self.ask(address, [*claim, self.state(now)], self._config.tcp_timeout, seed)

    # Those that cannot be reached.

    def reconnect(self, now: float) -> None:
        """Try a seed or a member that failed: all seeds as long as none has answered, then one of all at random."""
        table = self._table
        seeds = [seed for seed, name in self._seeds.items() if name is None or not table.is_up(name)]
        failed = [entry for entry in map(table.entries.__getitem__, table.dead) if entry.address]
        if not table.has_joined:
            for seed in seeds:
                self._exchange(seed, seed, now)
        elif seeds or failed:
            place = self._random.randrange(len(seeds) + len(failed))
            if place < len(seeds):
                self._exchange(seeds[place], seeds[place], now)
            else:
                self._outside.knock(failed[place - len(seeds)])
        self._retry = min(self._retry * 2, self._config.reconnect_interval)
        self._timers.set(("reconnect", ""), now + self._retry)
