"""The network of a process that plays a node: what lies between its address and every other, on real sockets.

What is sent waits at its sender for as long as it would be under way; a cut holds a stream (nobody sees its end) and
drops datagrams, a hold keeps both; an address without power is silent: not even the kernel's FIN or RST for its dead
process gets through. The wires that feel it are in sim.backends.wires, the loop that makes them in sim.backends.loop.
Knows links, no runner.

Tests: tests/sim/backends/test_shaper.py.
"""

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from sim.backends.control import Ways
from sim.network.fate import Arrivals, datagram, packet_is_lost
from sim.network.latency import parse_latency
from sim.network.link import Link
from sim.network.tcp.defaults import CONNECT_TIMEOUT, MAX_RTO, MIN_RTO, PACKET_BYTES, SYN_TIMEOUTS

if TYPE_CHECKING:
    from sim.backends.wires import DatagramWire, StreamWire

__all__ = ["LEAST_DELAY", "Shaper", "Way"]

LEAST_DELAY = 0.0005
"""Seconds; anything shorter is no delay, as epoll counts in milliseconds."""
LOCAL = frozenset({"", "localhost", "127.0.0.1", "0.0.0.0"})
"""Each node has them for itself, so each means its own address."""


class Way:
    """One direction between this node and one address: how long a packet takes, and what befalls it."""

    __slots__ = ("_busy_until", "_random", "delay", "link")

    def __init__(self, link: Link, random: Random) -> None:
        self.link = link
        self._random = random
        self.delay: Callable[[], float] = link.delay.sampler(random)
        """Draws a latency in seconds."""
        self._busy_until = 0.0

    def _on_the_wire(self, size: int, now: float) -> float:
        """Seconds until the last byte has left, where the link has a bandwidth."""
        if self.link.bandwidth is None:
            return 0.0
        self._busy_until = max(self._busy_until, now) + size / self.link.bandwidth
        return self._busy_until - now

    def stream(self, size: int, now: float) -> float:
        """Seconds until these bytes of a stream arrive: a lost segment comes after its retransmission."""
        seconds = self._on_the_wire(size, now) + self.delay()
        packets, wait = max(1, -(-size // PACKET_BYTES)), MIN_RTO
        while wait <= MAX_RTO and packet_is_lost(self.link, self._random, packets):
            seconds += wait
            packets, wait = 1, wait * 2
        return seconds

    def connect(self) -> float:
        """Seconds until a SYN arrives."""
        seconds = self.delay()
        for wait in SYN_TIMEOUTS:
            if not packet_is_lost(self.link, self._random):
                break
            seconds += wait
        return seconds

    def travel(self, now: float, size: int) -> float | None:
        """When a datagram sent now arrives; None where more than the link's queue waits before it."""
        link, waiting = self.link, self._on_the_wire(size, now)
        if link.bandwidth is not None and waiting * link.bandwidth > link.queue + size:
            self._busy_until -= size / link.bandwidth
            return None
        return now + waiting + self.delay()

    def datagram(self, data: bytes, now: float) -> Arrivals:
        """What arrives of a datagram, and when: nothing, one, or two copies."""
        verdict = datagram(self, self.delay, self._random, now, data)
        return () if isinstance(verdict, str) else verdict


class LateReading:
    """Hands over what has arrived late and in order, while a fault says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop, random: Random) -> None:
        self._loop, self._random = loop, random
        self._latencies: tuple[str, ...] = ()
        self._draws: list[Callable[[], float]] = []
        self._waiting: deque[tuple[float, Callable[[], object]]] = deque()

    def set(self, latencies: tuple[str, ...]) -> None:
        """From now on these; without any, all that waits is handed over."""
        if latencies == self._latencies:
            return
        self._latencies = latencies
        self._draws = [parse_latency(latency).sampler(self._random) for latency in latencies]
        while self._waiting and not latencies:
            self._waiting.popleft()[1]()

    @property
    def idle(self) -> bool:
        return not (self._draws or self._waiting)

    def take(self, hand_over: Callable[[], object]) -> None:
        if self.idle:
            hand_over()
            return
        due = self._loop.time() + sum(draw() for draw in self._draws)
        if self._waiting:
            due = max(due, self._waiting[-1][0])
        self._waiting.append((due, hand_over))
        self._loop.call_at(due, self._read, due)

    def _read(self, due: float) -> None:
        """One packet's time has come, unless it was handed over before."""
        if self._waiting and self._waiting[0][0] <= due:
            self._waiting.popleft()[1]()


class Shaper:
    """What lies between this node and every other, now, and the wires that feel it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, host: str, names: Mapping[str, str], random: Random) -> None:
        self.loop = loop
        self.host = host
        self.names = names
        self.wires: set[StreamWire] = set()
        self.datagram_wires: set[DatagramWire] = set()
        self._random = random
        self._out: dict[str, Way | None] = {}
        self._into: dict[str, Way | None] = {}
        self._silent: frozenset[str] = frozenset()
        self._held_out: frozenset[str] = frozenset()
        self._held_into: frozenset[str] = frozenset()
        self.late = LateReading(loop, random)
        self._changed: set[asyncio.Future[None]] = set()

    def apply(self, ways: Ways) -> None:
        """From now on these ways; wires that were cut go on where they stopped, those to a silent address never do."""
        self._out, self._into = self._bind(ways.out, self._out), self._bind(ways.into, self._into)
        self._silent, self._held_out, self._held_into = ways.silent, ways.held_out, ways.held_into
        self.late.set(ways.late)
        for wire in list(self.wires):
            wire.way_changed()
        for datagrams in list(self.datagram_wires):
            datagrams.way_changed()
        for waiter in self._changed:
            if not waiter.done():
                waiter.set_result(None)

    def _bind(self, links: Mapping[str, Link | None], before: Mapping[str, Way | None]) -> dict[str, Way | None]:
        ways: dict[str, Way | None] = {}
        for address, link in links.items():
            known = before.get(address)
            if link is None or (known is not None and known.link == link):
                ways[address] = None if link is None else known
            else:
                ways[address] = Way(link, self._random)
        return ways

    def place(self, host: Any) -> Any:
        """The address that a host name or a local address means on this node."""
        if host is None or host in LOCAL:
            return self.host
        return self.names.get(host, host)

    def is_silent(self, peer: str | None) -> bool:
        return peer in self._silent

    def out(self, peer: str | None) -> Way | None:
        """The way there; None where there is none to be shaped."""
        return self._out.get(peer) if peer is not None else None

    def cut_out(self, peer: str | None) -> bool:
        return peer in self._silent or (peer in self._out and self._out[peer] is None)

    def cut_into(self, peer: str | None) -> bool:
        return peer in self._silent or (peer in self._into and self._into[peer] is None)

    def is_held(self, peer: str | None) -> bool:
        """Whether what goes there is kept."""
        return peer in self._held_out

    def stopped_out(self, peer: str | None) -> bool:
        """Whether nothing of a stream gets there now: cut off, or kept."""
        return self.cut_out(peer) or peer in self._held_out

    def stopped_into(self, peer: str | None) -> bool:
        return self.cut_into(peer) or peer in self._held_into

    async def connecting(self, peer: str) -> None:
        """Wait for as long as a connect to `peer` takes. Raises TimeoutError where it is silent or cut off."""
        deadline = self.loop.time() + CONNECT_TIMEOUT
        while self.stopped_out(peer) or self.stopped_into(peer):
            waiter = self.loop.create_future()
            self._changed.add(waiter)
            timer = self.loop.call_at(deadline, _set, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                self._changed.discard(waiter)
            if self.loop.time() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, f"Connect call failed: {peer} does not answer")
        there, back = self._out.get(peer), self._into.get(peer)
        delay = (there.connect() if there else 0.0) + (back.connect() if back else 0.0)
        if delay >= LEAST_DELAY:
            await asyncio.sleep(delay)
            if self.stopped_out(peer) or self.stopped_into(peer):
                await self.connecting(peer)

    @property
    def under_way(self) -> bool:
        """Whether anything that was let go of has not left yet."""
        return any(w.lingers for w in self.wires) or any(w.lingers for w in self.datagram_wires)


def _set(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
