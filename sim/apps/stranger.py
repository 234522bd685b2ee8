"""A hostile peer beside a member: it has recorded all that the member got, and has no key.

From sockets of its own it sends to every member what it has recorded, whole, cut and damaged, what is sealed with
another key or for another cluster, plain packets and noise, as datagrams and on streams. It records what it got back.

Tests: tests/test_scenarios.py.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from rpcnet.app import NodeContext, split_address
from rpcnet.cluster import Keyring
from rpcnet.cluster.seal.checksummed import Checksummed
from rpcnet.cluster.seal.envelope import Asking, Envelope
from rpcnet.cluster.seal.sealed import Sealed
from rpcnet.cluster.swim.message import Ping, encode, encode_message
from sim.trace import Event

__all__ = ["main", "nothing_came_back"]

MOST_RECORDED = 200
PATIENCE = 0.3
"""Seconds until a connection on which nothing comes is given up."""


async def main(node: NodeContext, *, rounds: int = 20, every: float = 0.5) -> None:
    """Be a member, and attack all members, `rounds` times, every `every` seconds or so."""
    datagrams: deque[bytes] = deque(maxlen=MOST_RECORDED)
    requests: deque[bytes] = deque(maxlen=MOST_RECORDED)
    _listen_on(asyncio.get_running_loop(), datagrams, requests)
    async with node.cluster() as cluster:
        node.ready()
        sent = got = 0
        wire = _Wire()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: wire, local_addr=(node.host, 0))
        try:
            for _ in range(rounds):
                await asyncio.sleep(every * node.random.uniform(0.5, 1.5))
                for member in cluster.members():
                    address = split_address(member.address)
                    foreign = _foreign(member.name)
                    made = [each.seal(packet, to) for each, packet, to in foreign]
                    for data in [*_hostile(list(datagrams), node.random), *made]:
                        transport.sendto(data, address)
                        sent += 1
                    asked = [Asking(each, packet, to, 100).sent for each, packet, to in foreign]
                    for data in [*_hostile(list(requests), node.random)[:6], *asked]:
                        got += await _say(address, data)
                        sent += 1
            await asyncio.sleep(1)
        finally:
            transport.close()
        node.record("attacked", sent=sent, recorded=len(datagrams) + len(requests), got=got + wire.got)
        await asyncio.Event().wait()


def nothing_came_back(trace: Iterable[Event]) -> bool:
    """Whether a stranger has attacked, with recordings too, and got nothing."""
    attacks = [event.fields for event in trace if event.name == "attacked"]
    for fields in attacks:
        assert not fields["got"], f"a stranger got {fields['got']} bytes or datagrams"
    return bool(attacks) and all(fields["sent"] and fields["recorded"] for fields in attacks)


def _hostile(recorded: list[bytes], random: Random) -> list[bytes]:
    """Noise, and of the recordings some: whole, cut, damaged, with another first byte, with something behind them."""
    noise = [random.randbytes(random.randrange(1, 1400)) for _ in range(2)]
    chosen = random.sample(recorded, min(3, len(recorded)))
    return [
        *chosen,
        *noise,
        *(bytes([0xE0 + number % 3]) + each for number, each in enumerate(noise)),
        *(each[: random.randrange(len(each))] for each in chosen),
        *(_flipped(each, random) for each in chosen),
        *(bytes([0xE0 + random.randrange(3)]) + each[1:] for each in chosen),
        *(each[:27] + random.randbytes(200) for each in chosen),
        *(each + b"x" for each in chosen),
    ]


def _flipped(data: bytes, random: Random) -> bytes:
    at = random.randrange(8 * len(data))
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def _foreign(target: str) -> list[tuple[Envelope, bytes, str]]:
    """Well-made packets, from a member with another key, of another cluster, and without keys."""
    made: list[tuple[Envelope, str]] = [
        (Sealed(Keyring(b"x" * 32), "default", "stranger", 1), "default"),
        (Sealed(Keyring(b"x" * 32), "strange", "stranger", 1), "strange"),
        (Checksummed(), "default"),
    ]
    ping = encode_message(Ping(1, target, 0))
    return [(envelope, encode(cluster, "stranger", 1, [ping]), target) for envelope, cluster in made]


async def _say(address: tuple[str, int], data: bytes) -> int:
    """On a connection of its own → how many bytes came back."""
    got = b""
    with contextlib.suppress(OSError, TimeoutError):
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(data)
            async with asyncio.timeout(PATIENCE):
                got = await reader.read(1000)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    return len(got)


class _Wire(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got = 0

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.got += 1


def _listen_on(loop: asyncio.AbstractEventLoop, datagrams: deque[bytes], requests: deque[bytes]) -> None:
    """Record what the sockets get that are opened from now on, as one who listens on the wire."""
    endpoint, server = loop.create_datagram_endpoint, loop.create_server

    async def create_datagram_endpoint(factory: Callable[[], Any], *args: Any, **keys: Any) -> Any:
        return await endpoint(lambda: _tapped(factory(), "datagram_received", datagrams), *args, **keys)

    async def create_server(factory: Callable[[], Any], *args: Any, **keys: Any) -> Any:
        return await server(lambda: _tapped(factory(), "data_received", requests), *args, **keys)

    loop.create_datagram_endpoint = create_datagram_endpoint  # type: ignore[method-assign,assignment]
    loop.create_server = create_server  # type: ignore[method-assign,assignment]


def _tapped(protocol: Any, method: str, into: deque[bytes]) -> Any:
    receive = getattr(protocol, method)

    def received(data: bytes, *rest: Any) -> None:
        into.append(data)
        receive(data, *rest)

    setattr(protocol, method, received)
    return protocol
