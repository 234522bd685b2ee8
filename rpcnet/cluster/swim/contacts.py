"""Whom we compare tables with, and whom we try to reach again: push-pull, seeds, those that failed.

Push-pull anti-entropy runs on a slow clock, and out of turn where something was missed: a ping with another digest, a
sender that we do not know, a member that came back. Whoever joins gives and gets the whole table. Later the two compare
digests of parts of it, and exchange the rows of those that differ: asked, the other answers with its own rows, then
gets those that it lacks. Seeds and failed members are tried each reconnect interval, for ever: partitions heal, and
seeds may come up last. Knows no packet.
"""

from dataclasses import dataclass
from math import ceil, log2
from random import Random
from typing import Protocol

from rpcnet.address import is_literal
from rpcnet.cluster.swim.dissemination import Dissemination
from rpcnet.cluster.swim.member import Entry
from rpcnet.cluster.swim.message import (
    DIGESTS,
    PARTS,
    Holder,
    Ping,
    Record,
    Rows,
    State,
    Summary,
    encode_message,
    encode_rows,
    encode_state,
)
from rpcnet.cluster.swim.naming import Naming
from rpcnet.cluster.swim.ring import Ring
from rpcnet.cluster.swim.suspicions import Timer
from rpcnet.cluster.swim.table import Table, row_of
from rpcnet.cluster.swim.timers import Timers
from rpcnet.config import ClusterConfig

__all__ = ["Contacts"]

HOLDER_STREAMS = 2
"""On so many at once a newcomer asks whether the holder of its name lives: a lost answer must not cost the name."""
FIRST_RETRY = 0.1
"""Seconds until seeds that did not answer at start are tried again; doubles up to reconnect_interval."""
SEED_STREAMS, ASK_AGAIN = 2, 0.5
"""A newcomer whose seed has not answered after such a share of the probe time-out asks on a second stream too: where
first packets of a stream are lost TCP waits for a second, then for two."""
SYNC_INTERVAL, SYNC_MEMBERS = 1.0, 1024
"""Push-pull out of turn at most once in so many seconds, and rarer above so many members."""
SECOND_LOOK = 2
"""So many gossip intervals after it joined a member compares its table with another than the seed's."""
KNOWS = 10.0
"""For so many seconds a failed member that was told so is not tried: it comes back when it can."""
OURSELVES = 60.0
"""Seconds until an address at which this member met itself is asked again."""
SEED_SHARE = 0.5
"""How often a seed that is not there is tried, where members are missing as well."""
ROWS_A_PART = 4
"""A part of the table has so many rows: more cost more where one differs, fewer cost more digests."""
SEVERAL = 32
"""Above so many members push-pull becomes rarer: what it costs grows with n (memberlist util.go)."""


class Outside(Protocol):
    """What the contacts need of the core."""

    def open_stream(self, number: int, address: str, to: str | None, messages: list[bytes], timeout: float) -> None: ...
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
        self._ourselves: dict[str, float] = {}
        """Seeds that were this member, and until when they are not asked again."""
        self._open: dict[int, _Exchange] = {}
        self._count = 0
        self.naming = Naming()
        self._retry = FIRST_RETRY
        self._stopped = False
        self._was_in_step = False
        """Whether anybody has held the same table as we since the start."""
        self._synced_at = self._asked_owner_at = float("-inf")

    def start(self, now: float) -> None:
        config = self._config
        self._table.has_joined = not self._seeds
        for seed in self._seeds:
            self._compare_with(seed, seed, now)
        if config.push_pull_interval:
            self._timers.set(("push_pull", ""), now + config.push_pull_interval * (0.5 + self._random.random()))
        if config.reconnect_interval:
            self._timers.set(("reconnect", ""), now + self._retry)

    def stop(self) -> None:
        self._stopped = True
        self._timers.cancel(("push_pull", ""))
        self._timers.cancel(("reconnect", ""))

    # Streams.

    def ask(self, address: str, messages: list[bytes], timeout: float, seed: str = "", *, to: str | None = None) -> int:
        """Ask on a stream of its own; returns the number of the exchange. `to`: who is there, if that is known."""
        self._count += 1
        self._open[self._count] = _Exchange(address, seed)
        self._outside.open_stream(self._count, address, to, messages, min(timeout, self._config.tcp_timeout))
        return self._count

    def close(self, number: int) -> "_Exchange | None":
        """An exchange is over: who was asked, None where it is not known."""
        return self._open.pop(number, None)

    def merge(self, message: State | Rows, sender: str, asked: "_Exchange", now: float) -> None:
        """The answer to a question of ours."""
        first, held = not self._table.has_joined, len(self._table.entries)
        if isinstance(message, Rows) and message.parts:
            lacking = self._rows(set(message.parts), asked.parts, now, except_for=message.records)
            if lacking and not self._queue.is_crowded:  # or most of it is told anyway
                self.ask(asked.address, [encode_rows(lacking, [])], self._config.tcp_timeout, to=sender)
        self.take(message.records, sender, now, spread=not first)
        self._table.has_joined = True
        if first:
            self._table.announce()
        if first and self._config.push_pull_interval:
            # Who joined at the same time as we is not in that table.
            second = SECOND_LOOK * self._config.gossip_interval * (0.5 + self._random.random())
            self._timers.set(("push_pull", ""), now + second)
        if not asked.seed:
            return
        self._seeds[asked.seed] = sender
        self._ourselves.pop(asked.seed, None)
        if not first and len(self._table.entries) > held > 1:
            self.sync(sender, now)  # two islands meet in us, and this one has not heard of the other yet

    def answer(self, message: State | Summary | Rows, sender: str, now: float) -> bytes:
        """What another asks of us."""
        if isinstance(message, Summary):
            parts = len(message.digests)
            differing = [part for part, digest in enumerate(self._digests(parts)) if digest != message.digests[part]]
            return encode_rows(self._rows(set(differing), parts, now), differing)
        if isinstance(message, Rows):
            self.take(message.records, sender, now, spread=True)
            return encode_rows([], [])
        # A newcomer tells of itself, once it has our table: with the tags that it sets first.
        self.take([row for row in message.records if row.name != sender], sender, now, spread=True)
        self.take([row for row in message.records if row.name == sender], sender, now, spread=False)
        return encode_state(self.state(now))

    def take(self, records: list[Record], sender: str, now: float, *, spread: bool) -> None:
        """Merge rows of another table. What comes with our first join is known where it comes from: it is not spread.

        Whose contents are in doubt is asked itself.
        """
        table = self._table
        for record in records:
            table.record(record, sender, now, spread=spread)
        name, table.contradicted = table.contradicted, None
        if name is not None and now - self._asked_owner_at >= SYNC_INTERVAL:
            self._asked_owner_at = now
            self._compare_with(table.entries[name].address, "", now, to=name)

    def met_ourselves(self, seed: str, now: float) -> None:
        """That seed is this member. A name may stand for others as well, or come to do so: it is tried on. An address
        is tried later: somebody on the way may have sent our own request back to us.
        """
        self._seeds[seed] = ""
        if is_literal(seed.rpartition(":")[0].strip("[]")):
            self._ourselves[seed] = now + OURSELVES
        self._table.has_joined = self._table.has_joined or all(name == "" for name in self._seeds.values())

    def state(self, now: float) -> list[bytes]:
        return [row_of(entry, now) for entry in self._table.entries.values()]

    def _digests(self, parts: int) -> list[int]:
        return [sum(self._table.part_digests[part::parts]) % DIGESTS for part in range(parts)]

    def _rows(self, which: set[int], parts: int, now: float, except_for: list[Record] | None = None) -> list[bytes]:
        """Our rows in these parts, except for those that are held alike there."""
        theirs = {record.name: record for record in except_for or ()}
        return [
            row_of(entry, now)
            for name, entry in self._table.entries.items()
            if entry.part % parts in which and ((record := theirs.get(name)) is None or not _is_alike(entry, record))
        ]

    # Comparing tables.

    def push_pull(self, now: float) -> None:
        """The slow clock: one member at random."""
        for name in self._ring.sample(1, self._table.is_up):
            self._compare_with(self._table.entries[name].address, "", now, to=name)
        scale = ceil(log2(self._table.up) - log2(SEVERAL)) + 1 if self._table.up > SEVERAL else 1
        jitter = 0.5 + self._random.random()  # those that joined at once do not ask at once for ever
        self._timers.set(("push_pull", ""), now + self._config.push_pull_interval * scale * jitter)

    def compare(self, sender: str, digest: int, now: float) -> None:
        """Tables that differ while there is no news to tell have missed something: repair that now.

        One that has just joined has missed much: it does not wait until there is no news.
        """
        if digest == self._table.digest:
            self._was_in_step = True
        elif (not self._queue.updates or not self._was_in_step) and self._table.is_up(sender):
            self.sync(sender, now)

    def sync_with_one(self, now: float) -> None:
        for name in self._ring.sample(1, self._table.is_up):
            self.sync(name, now)

    def sync(self, name: str, now: float) -> None:
        entry = self._table.entries.get(name)
        if entry is not None:
            self.sync_address(entry.address, name, now)

    def sync_address(self, address: str, name: str, now: float) -> None:
        """A push-pull out of turn; few enough that nobody can make us busy with them, rarer where tables are large."""
        if now - self._synced_at >= SYNC_INTERVAL * max(1.0, len(self._table.entries) / SYNC_MEMBERS):
            self._synced_at = now
            self._compare_with(address, "", now, to=name)

    def _compare_with(self, address: str, seed: str, now: float, *, to: str | None = None) -> None:
        """Ask for what differs; before we have joined all does, and the other gets our table with the question."""
        if not address or len(self._open) >= self._config.max_exchanges:
            return
        if seed and not self._may_ask(seed, now):
            return
        if not self._table.has_joined:
            self.ask(
                address,
                [encode_message(self.naming.in_vain), encode_state(self.state(now))],
                self._config.tcp_timeout,
                seed,
                to=to,
            )
            self._open[self._count].asked_at = now
            return
        parts = min(PARTS, max(1, len(self._table.entries) // ROWS_A_PART))
        self.ask(address, [encode_message(Summary(self._digests(parts)))], self._config.tcp_timeout, seed, to=to)
        self._open[self._count].parts = parts

    def _may_ask(self, seed: str, now: float) -> bool:
        asked = [exchange.asked_at for exchange in self._open.values() if exchange.seed == seed]
        if not asked or self._table.has_joined:
            return not asked
        return len(asked) < SEED_STREAMS and now - max(asked) >= ASK_AGAIN * self._config.probe_wait

    def ask_holder(self, holder: Holder, seed: str, sequence: int) -> None:
        """Somebody has our name: does it live? Within half the time that a start waits."""
        if self.naming.is_asking(holder):
            return
        config = self._config
        ping = encode_message(Ping(sequence, self._table.me.name, self._table.digest))
        patience = min(config.probe_wait, config.join_timeout / 2)
        for _ in range(HOLDER_STREAMS):
            number = self.ask(holder.address, [ping], patience, to=self._table.me.name)
            self.naming.begin(number, sequence, seed, holder)

    def holder_asked(self, number: int, answered: bool, now: float) -> Holder | None:
        """An exchange is over. If it was with the holder of our name: who has it; or else the seed is asked again."""
        asked = self.naming.end(number)
        if asked is None:
            return None
        seed, holder = asked
        if answered and not self.naming.is_myself:
            self.naming.answered()
            return holder
        if self.naming.is_asking(holder):
            return None
        self.naming.in_vain = holder
        self._table.take_over(holder.run)
        self._compare_with(seed, seed, now)
        return None

    # Those that cannot be reached.

    def look_for_missing(self, now: float) -> None:
        """Somebody is missing: try again to reach those, from the next interval on."""
        interval = self._config.reconnect_interval
        if interval and not self._stopped and ("reconnect", "") not in self._timers:
            self._timers.set(("reconnect", ""), now + interval)

    def reconnect(self, now: float) -> None:
        """All seeds as long as none has answered; then a seed or any member that failed, and several of the latest.

        Those that were cut off together with us failed lately, among whatever number of machines that are gone.
        """
        table, random = self._table, self._random
        absent = [seed for seed, name in self._seeds.items() if name is None or not table.is_up(name)]
        seeds = [seed for seed in absent if self._ourselves.get(seed, now) <= now]
        if not table.has_joined:
            asked = {exchange.seed for exchange in self._open.values()}
            for seed in sorted(seeds, key=asked.__contains__):
                self._compare_with(seed, seed, now)
        else:
            missing = [entry for entry in map(table.entries.__getitem__, table.latest_dead()) if entry.address]
            # Whom we told so lately is there, and held down.
            failed = [entry for entry in missing if now - entry.answered_at >= KNOWS]
            if seeds and (not failed or random.random() < SEED_SHARE):
                seed = random.choice(seeds)
                self._compare_with(seed, seed, now)
            elif failed:
                self._outside.knock(random.choice(failed))
            count = min(len(failed), self._config.reconnect_tries)
            # Ranks by log-uniform draw: the nth latest is tried n times as seldom as the latest.
            ranks = dict.fromkeys(min(len(failed), int((len(failed) + 1) ** random.random())) - 1 for _ in range(count))
            for rank in ranks:
                self._outside.knock(failed[rank])
            if not seeds and not missing:
                if self._ourselves:
                    self._timers.set(("reconnect", ""), min(self._ourselves.values()))
                return  # until then, or somebody is missing
        self._retry = min(self._retry * 2, self._config.reconnect_interval)
        self._timers.set(("reconnect", ""), now + self._retry)


def _is_alike(entry: Entry, record: Record) -> bool:
    """Whether another table's row says the same of it."""
    return entry.claim == (record.run, record.incarnation, record.status) and entry.record.version == record.version


@dataclass(slots=True)
class _Exchange:
    """One that is open."""

    address: str
    seed: str
    """The seed that is asked, or ""."""
    asked_at: float = 0.0
    parts: int = 1
    """Into how many parts we have divided the table."""
