"""A cluster of SWIM cores in virtual time, without an event loop: one heap, links, streams and faults of machines.

Some twenty times as fast as real `Cluster` objects in the simulator, and with the same verdicts (the tests compare
them). It drives a core as `Cluster` does: what has arrived is read before a late timer judges. Every packet counts with
what sealing adds to it.

Links take uniform(1 ms, 3 ms). A datagram may be lost. A stream pays for losses in time: 1, 2, 4 s for what connects,
200, 400 ms … for what follows (Linux). A machine can be

* silent: its power is off, nothing comes back;
* killed: the process is gone and the host up, so streams are refused;
* stalled: nothing is read and no timer fires until it wakes, and then everything is read first;
* starved: each packet is read late, in order, while its timers are on time;
* deaf or mute: a share of what it is sent, or sends, is lost;
* on one side of a cut.

Knows no row of the table of figures. Tests: tests/benchmarks/test_arena.py.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from random import Random
from typing import Any

from rpcnet.cluster.seal.envelope import WORD
from rpcnet.cluster.seal.sealed import Sealed
from rpcnet.cluster.swim.core import Core
from rpcnet.cluster.swim.effect import Exchange, Send
from rpcnet.cluster.swim.event import ClusterEvent
from rpcnet.cluster.swim.member import ALIVE
from rpcnet.cluster.swim.message import Record, encode, encode_record, encode_state
from rpcnet.config import ClusterConfig

__all__ = ["SEAL", "Arena", "Host"]

SEAL = Sealed.head_bytes + Sealed.tag_bytes
"""Bytes that sealing adds to a packet."""
LENGTH = WORD
"""Bytes more on a stream."""
SEGMENT = 1448
SYN_TIMEOUT, TIMEOUT = 1.0, 0.2
EPOCH = 1_800_000_000
PORT = 7946
NEVER = float("inf")
LEAST, MOST = 0.001, 0.003
"""Seconds that a link takes."""


class Host:
    """One machine and the member that runs on it."""

    __slots__ = (
        "address", "armed", "bytes", "core", "is_silent", "loss_in", "loss_out", "name", "open", "packets", "read_at",
        "side", "slow", "streams", "waiting",
    )  # fmt: skip

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        self.core: Core | None = None
        """None = there is no process."""
        self.is_silent = False
        self.side = 0
        self.loss_in = self.loss_out = 0.0
        self.slow: tuple[float, float] | None = None
        """Each packet is read between so many seconds late, where it is starved."""
        self.read_at = 0.0
        """When the last one will have been read."""
        self.waiting: list[tuple[Any, ...]] | None = None
        """What has come since it stalled; None = it does not."""
        self.armed = NEVER
        self.open: dict[int, None] = {}
        """Its exchanges that are under way."""
        self.streams = 0
        """How many of others it has open."""
        self.bytes = self.packets = 0
        """Sealed bytes it has sent, datagrams and streams; and how many datagrams."""


class Arena:
    """All of it. `on_event(now, host, event)` hears what the members tell, `on_send(now, host, effect)` what leaves
    in a datagram, `on_stream(now, host, data)` what is asked and answered on streams.
    """

    def __init__(self, *, seed: int, config: ClusterConfig, loss: float = 0.0) -> None:
        self.now, self.loss, self.config = 0.0, loss, config
        self.random = Random(seed)
        self.hosts: dict[str, Host] = {}
        """By name."""
        self.on_event: Callable[[float, Host, ClusterEvent], None] = lambda now, host, event: None
        self.on_send: Callable[[float, Host, Send], None] | None = None
        self.on_stream: Callable[[float, Host, bytes], None] = lambda now, host, data: None
        self._places: dict[str, Host] = {}
        self._heap: list[tuple[Any, ...]] = []
        self._count = 0
        self._faulty = False
        """Whether links differ: cuts, deaf or mute ones."""

    # Members.

    def add(self, name: str, *, seeds: Iterable[str] = (), address: str = "") -> Host:
        """A process starts. The name may be one that has run before: it is a newer run then, here or elsewhere."""
        host = self._host(name, address)
        self._do(host, self._core(host, seeds).start(self.now))
        return host

    def form(self, count: int, tags: Callable[[int], dict[str, str]] | None = None) -> list[Host]:
        """So many members that know each other. Each has joined at a seed that had the whole table."""
        hosts = [self._host(f"member-{number}", "") for number in range(count)]
        seed = hosts[0].address
        cores = [self._core(host, [seed] if host.address != seed else [hosts[-1].address]) for host in hosts]
        rows = []
        for core in cores:
            me = core.me
            services, tagged = dict(me.services), dict(me.tags)
            rows.append(encode_record(Record(me.name, me.run, 0, ALIVE, me.address, services, 0, tagged, 0)))
        table = encode_state(rows)
        for host, core in zip(hosts, cores, strict=True):
            answer = encode(self.config.cluster_name, "the-table", 1, [table])
            effects = core.start(self.now)
            joins = next(effect for effect in effects if isinstance(effect, Exchange))
            self._do(host, [effect for effect in effects if effect is not joins])
            self._do(host, core.exchanged(joins.number, answer, self.now))
        return hosts

    def _host(self, name: str, address: str) -> Host:
        number = len(self._places) + 1
        host = self.hosts.get(name)
        if host is None or (address and address != host.address):
            address = address or f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:{PORT}"
            host = self.hosts[name] = self._places[address] = Host(name, address)
        return host

    def _core(self, host: Host, seeds: Iterable[str]) -> Core:
        host.is_silent, host.waiting, host.armed = False, None, NEVER
        host.open, host.streams = {}, 0
        core = host.core = Core(
            host.name,
            host.address,
            run=int((EPOCH + self.now) * 1_000_000) + len(self._places),
            config=self.config,
            random=Random(self.random.getrandbits(64)),
            seeds=list(seeds),
            room=self.config.max_datagram_bytes - SEAL,
        )
        return core

    def call(self, host: Host, method: str, *arguments: Any) -> None:
        """Tell the member to do something, now."""
        self._do(host, getattr(host.core, method)(*arguments, self.now))

    def sees_all(self, count: int) -> bool:
        """Whether each member that runs counts so many."""
        return all(len(host.core.members()) == count for host in self.hosts.values() if host.core is not None)

    # Faults.

    def crash(self, host: Host) -> None:
        """Power off."""
        host.core, host.is_silent, host.waiting = None, True, None

    def kill(self, host: Host) -> None:
        """The process ends, the host stays up."""
        host.core, host.waiting = None, None

    def stall(self, host: Host, seconds: float) -> None:
        """Until it wakes nothing is read and no timer fires."""
        if host.waiting is None:
            host.waiting = []
            self.at(self.now + seconds, self._wake, host, host.core)

    def _wake(self, host: Host, core: Core) -> None:
        if host.core is not core:
            return
        waiting, host.waiting = host.waiting or [], None
        for function, *arguments in waiting:
            function(*arguments)
        deadline = core.next_deadline()
        if host.core is core and deadline is not None and deadline <= self.now:
            self._tick(host, core)

    def starve(self, host: Host, least: float = 0.5, most: float = 2.5) -> None:
        host.slow = (least, most)

    def impair(self, host: Host, *, loss_in: float = 0.0, loss_out: float = 0.0) -> None:
        """So much of what it is sent, and sends, is lost, beside what all links lose. 0 = it is well again."""
        host.loss_in, host.loss_out = loss_in, loss_out
        self._note_faults()

    def cut(self, hosts: Iterable[Host]) -> None:
        """Nothing passes between these and all others."""
        for host in hosts:
            host.side = 1
        self._note_faults()

    def heal(self) -> None:
        for host in self.hosts.values():
            host.side = 0
        self._note_faults()

    def _note_faults(self) -> None:
        self._faulty = any(host.side or host.loss_in or host.loss_out for host in self.hosts.values())

    # Time.

    def at(self, time: float, function: Callable[..., None], *arguments: Any) -> None:
        self._count += 1
        heappush(self._heap, (time, self._count, function, *arguments))

    def run(self, until: float) -> None:
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, function, *arguments = heappop(heap)
            function(*arguments)
        self.now = until

    def run_until(self, done: Callable[[], bool], *, within: float, step: float = 0.05) -> float | None:
        """Seconds until it was so, looking every step; None where it was not within so many."""
        began = self.now
        while not done():
            if self.now - began >= within:
                return None
            self.run(self.now + step)
        return self.now - began

    # What the members want.

    def _do(self, host: Host, effects: list[Any]) -> None:
        for effect in effects:
            kind = type(effect)
            if kind is Send:
                self._send(host, effect)
            elif kind is Exchange:
                self._exchange(host, effect)
            elif isinstance(effect, ClusterEvent):
                self.on_event(self.now, host, effect)
        core = host.core
        if core is None:
            return
        deadline = core.next_deadline()
        if deadline is not None and deadline < host.armed:
            host.armed = deadline
            self._count += 1
            heappush(self._heap, (deadline, self._count, self._fire, host, core, deadline))

    def _fire(self, host: Host, core: Core, armed: float) -> None:
        if host.core is not core or host.armed != armed or host.waiting is not None:
            return
        deadline = core.next_deadline()
        if deadline is not None and deadline <= self.now:
            self._tick(host, core)
        else:  # what it was for is done or cancelled
            host.armed = NEVER
            self._do(host, [])

    def _tick(self, host: Host, core: Core) -> None:
        host.armed = NEVER
        self._do(host, core.tick(self.now))

    def _arrive(self, host: Host, function: Callable[..., None], *arguments: Any) -> None:
        """Something has come to a machine: it is read now, later, or when it wakes."""
        if host.slow is not None and host.core is not None:
            host.read_at = max(host.read_at, self.now + self.random.uniform(*host.slow))
            self.at(host.read_at, self._read, host, function, *arguments)
        else:
            self._read(host, function, *arguments)

    def _read(self, host: Host, function: Callable[..., None], *arguments: Any) -> None:
        if host.waiting is not None:
            host.waiting.append((function, *arguments))
        else:
            function(*arguments)

    def _loss(self, source: Host, target: Host) -> float:
        """Of a packet on that way; 1 = nothing passes."""
        if not self._faulty:
            return self.loss
        if source.side != target.side:
            return 1.0
        return 1.0 - (1.0 - self.loss) * (1.0 - source.loss_out) * (1.0 - target.loss_in)

    # Datagrams.

    def _send(self, host: Host, effect: Send) -> None:
        host.bytes += len(effect.data) + SEAL
        host.packets += 1
        if self.on_send is not None:
            self.on_send(self.now, host, effect)
        target = self._places.get(effect.address)
        if target is None or target.core is None:
            return
        loss, random = self._loss(host, target), self.random.random
        if loss and random() < loss:
            return
        self._count += 1
        time = self.now + LEAST + (MOST - LEAST) * random()
        heappush(self._heap, (time, self._count, self._datagram, target, effect.data, host.address))

    def _datagram(self, host: Host, data: bytes, source: str) -> None:
        if host.waiting is None and host.slow is None:
            core = host.core
            if core is not None:
                self._do(host, core.handle(data, source, self.now))
        else:
            self._arrive(host, self._handle, host, data, source)

    def _handle(self, host: Host, data: bytes, source: str) -> None:
        if host.core is not None:
            self._do(host, host.core.handle(data, source, self.now))

    # Streams.

    def _latency(self) -> float:
        return self.random.uniform(LEAST, MOST)

    def _tries(self, source: Host, target: Host, timeout: float, *, both: bool) -> float | None:
        """Seconds until a packet (both: and its answer) has come through; None = never."""
        time, one, other = 0.0, self._loss(source, target), self._loss(target, source)
        if max(one, other) >= 1.0:
            return None
        while self.random.random() < one or (both and self.random.random() < other):
            time, timeout = time + timeout, 2 * timeout
        return time + self._latency() + (self._latency() if both else 0.0)

    def _carry(self, source: Host, target: Host, size: int) -> float | None:
        """Seconds that a message takes on an open stream. Losses are seen after a round trip, those at its end late."""
        segments = -(-(size + SEAL + LENGTH) // SEGMENT)
        last = self._tries(source, target, TIMEOUT, both=False)
        if last is None:
            return None
        middle = segments - 1
        lost = middle and self.random.random() < 1 - (1 - self._loss(source, target)) ** middle
        return last + (2 * self._latency() if lost else 0.0)

    def _exchange(self, host: Host, effect: Exchange) -> None:
        host.open[effect.number] = None
        self.at(self.now + effect.timeout, self._expire, host, host.core, effect.number, self.now + effect.timeout)
        target = self._places.get(effect.address)
        if target is None or target.is_silent:
            return
        connected = self._tries(host, target, SYN_TIMEOUT, both=True)
        if connected is None:
            return
        self.at(self.now + connected, self._connected, host, host.core, target, effect)

    def _connected(self, host: Host, core: Core, target: Host, effect: Exchange) -> None:
        if target.core is None:
            if not target.is_silent:
                self._arrive(host, self._finish, host, core, effect.number, None, True)
            return
        if effect.number not in host.open or host.core is not core:
            return
        if target.streams >= self.config.max_streams:
            self._arrive(host, self._finish, host, core, effect.number, None)
            return
        target.streams += 1
        time = self._carry(host, target, len(effect.data))
        host.bytes += len(effect.data) + SEAL + LENGTH
        self.on_stream(self.now, host, effect.data)
        if time is not None:
            self.at(self.now + time, self._arrive, target, self._asked, host, core, target, target.core, effect)

    def _asked(self, host: Host, core: Core, target: Host, asked: Core, effect: Exchange) -> None:
        if target.core is None or target.core is not asked:
            return
        target.streams -= 1
        reply, effects = target.core.handle_stream(effect.data, host.address, self.now)
        if reply is None:
            time: float | None = self._latency()
        else:
            target.bytes += len(reply) + SEAL + LENGTH
            self.on_stream(self.now, target, reply)
            time = self._carry(target, host, len(reply))
        self._do(target, effects)
        if time is not None:
            self.at(self.now + time, self._arrive, host, self._finish, host, core, effect.number, reply)

    def _expire(self, host: Host, core: Core, number: int, deadline: float) -> None:
        if host.core is not core or number not in host.open:
            return
        if host.waiting is not None:
            host.waiting.append((self._expire, host, core, number, deadline))
        elif self.now - deadline > self.config.late_timer_tolerance:
            self.at(self.now + self.config.late_timer_grace, self._expire, host, core, number, NEVER)
        else:
            self._finish(host, core, number, None)

    def _finish(self, host: Host, core: Core, number: int, answer: bytes | None, refused: bool = False) -> None:
        if host.core is not core or number not in host.open:
            return
        del host.open[number]
        if answer is None:
            self._do(host, core.exchange_failed(number, self.now, refused=refused))
        else:
            self._do(host, core.exchanged(number, answer, self.now))
