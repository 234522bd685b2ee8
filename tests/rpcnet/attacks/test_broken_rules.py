"""Peers that break a rule: each is told which one, its connection is closed, and no other is touched."""

import asyncio
import logging
import random
import socket

import pytest

from rpcnet import RpcServer
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    CANCEL,
    CREDIT,
    END,
    FLAG_ITEM,
    FLAG_MORE,
    GOAWAY,
    HEADER,
    HELLO,
    ITEM,
    METADATA,
    OPEN,
    PING,
    PONG,
    PREFACE,
    decode_goaway,
)
from rpcnet.wire.parser import Parser
from tests.rpcnet.attacks.raw import GREETING, Target, call, eventually, forever, frame, replace, warnings_of
from tests.rpcnet.attacks.raw import HELLO as OURS

HEARD = call(1, "hear", FLAG_ITEM | FLAG_MORE)
FOREVER = call(1, "forever")

# name → what is sent, the last stream that the server took, what it says
ATTACKS = {
    "random bytes": (random.Random(1).randbytes(500), 0, "does not speak rpcnet"),
    "http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, "does not speak rpcnet"),
    "nothing at all": (b"", 0, "no complete HELLO within handshake_timeout"),
    "half a preface": (PREFACE[:4], 0, "no complete HELLO within handshake_timeout"),
    "half a greeting": (GREETING[:30], 0, "no complete HELLO within handshake_timeout"),
    "half a frame, and silence": (GREETING + call(1) + call(2)[:-1], 1, "half a frame and then"),
    "a length of 4 GiB": (GREETING + HEADER.pack(0xFFFFFFFF, ITEM, 0, 1), 0, "frame of 4294967295 bytes"),
    "a HELLO that is no map": (PREFACE + frame(HELLO, b"\x01"), 0, "HELLO cannot be read"),
    "a HELLO of the future": (
        writer.greeting(replace(OURS, min_version=9, max_version=9)),
        0,
        "versions 9 to 9, this end speaks 1",
    ),
    "a HELLO with a window of 1": (
        writer.greeting(replace(OURS, stream_window_bytes=1)),
        0,
        "stream_window_bytes is 1; it must be 1024 to 2147483647",
    ),
    "a HELLO with a window of 2 GiB": (
        writer.greeting(replace(OURS, connection_window_bytes=2**31)),
        0,
        "connection_window_bytes is 2147483648; it must be 1024 to 2147483647",
    ),
    "a HELLO with flags": (PREFACE + frame(HELLO, GREETING[18:], 0, 1), 0, "HELLO with flags 1 is not allowed"),
    "a HELLO on a stream": (PREFACE + frame(HELLO, GREETING[18:], 1), 0, "HELLO before HELLO"),
    "a frame before HELLO": (PREFACE + call(1), 0, "OPEN before HELLO"),
    "a second HELLO": (GREETING + call(1) + GREETING[len(PREFACE) :], 1, "HELLO is not allowed on the connection"),
    "an item of a stream that was never opened": (GREETING + frame(ITEM, b"x", 7), 0, "stream 7, which was not opened"),
    "a stream opened twice": (GREETING + FOREVER + FOREVER, 1, "OPEN with flags 5 is not allowed"),
    "the number of an ended stream again": (GREETING + call(1, "nothing") * 2, 1, "OPEN of stream 1 after stream 1"),
    "a stream number that goes back": (GREETING + call(5) + call(3), 5, "OPEN of stream 3 after stream 5"),
    "an OPEN with an unknown flag": (GREETING + call(1, flags=64), 0, "OPEN with flags 64"),
    "an OPEN that goes on without a beginning": (GREETING + call(1, flags=FLAG_MORE), 0, "OPEN with flags 2"),
    "an OPEN that is cut short": (GREETING + frame(OPEN, b"\x00\x00", 1), 1, "OPEN cannot be read"),
    "an OPEN whose method is longer than it is": (
        GREETING + frame(OPEN, b"\x00\xff\xff" + bytes(12), 1),
        1,
        "OPEN cannot be read",
    ),
    "an OPEN without a method": (GREETING + writer.open_call(1, 0, 0, b"", b"", 0, b""), 1, "OPEN cannot be read"),
    "an OPEN of a fifth shape": (GREETING + writer.open_call(1, 0, 4, b"echo", b"", 0, b""), 1, "OPEN cannot be read"),
    "an OPEN with metadata that is none": (
        GREETING + writer.open_call(1, 0, 0, b"echo", b"\xc1", 0, b""),
        1,
        "metadata cannot be read",
    ),
    "an OPEN on the connection": (GREETING + call(0), 0, "OPEN is not allowed on the connection itself"),
    "an item with an unknown flag": (GREETING + HEARD + frame(ITEM, b"x", 1, 64), 1, "ITEM with flags 64"),
    "more items than credit of a stream": (
        GREETING + HEARD + frame(ITEM, b"last", 1) + frame(ITEM, bytes(6_000), 1) * 9,
        1,
        "bytes of credit left (window 16384)",
    ),
    "more items than credit of the connection": (
        GREETING + call(1, body=bytes(131_072)),
        1,
        "131136 bytes with 131072 bytes of credit left (window 131072)",
    ),
    "a first item beyond the credit of its stream": (
        GREETING + call(1, body=bytes(16_384 - 63)),
        1,
        "16385 bytes with 16384 bytes of credit left (window 16384)",
    ),
    "credit of a stream without end": (
        GREETING + FOREVER + writer.credit(1, 2**31 - 1),
        1,
        "CREDIT of 2147483647 on top of 65536",
    ),
    "credit without end": (GREETING + writer.credit(0, 2**31 - 1), 0, "CREDIT of 2147483647 on top of 1048576"),
    "credit of nothing": (GREETING + writer.credit(0, 0), 0, "CREDIT of 0 on top of"),
    "credit of three bytes": (GREETING + frame(CREDIT, b"abc"), 0, "CREDIT has 3 bytes of payload instead of 4"),
    "credit with flags": (GREETING + frame(CREDIT, bytes([0, 0, 0, 9]), 0, 128), 0, "CREDIT with flags 128"),
    "a CANCEL without a status": (GREETING + FOREVER + frame(CANCEL, b"", 1), 1, "CANCEL has 0 bytes"),
    "a CANCEL of two bytes": (GREETING + FOREVER + frame(CANCEL, b"\x01\x01", 1), 1, "CANCEL has 2 bytes"),
    "a CANCEL with OK": (GREETING + FOREVER + frame(CANCEL, b"\x00", 1), 1, "CANCEL has status 0"),
    "a CANCEL with status 17": (GREETING + FOREVER + frame(CANCEL, b"\x11", 1), 1, "CANCEL has status 17"),
    "a CANCEL on the connection": (GREETING + frame(CANCEL, b"\x01"), 0, "CANCEL is not allowed on the connection"),
    "an END in the middle of a message": (
        GREETING + HEARD + frame(END, b"", 1),
        1,
        "END with flags 0 is not allowed in state PARTIAL",
    ),
    "END twice": (
        GREETING + call(1, "hear", FLAG_ITEM) + frame(END, b"", 1) * 2,
        1,
        "END with flags 0 is not allowed in state ENDED",
    ),
    "an item after the end": (GREETING + FOREVER + frame(ITEM, b"x", 1), 1, "ITEM with flags 0 is not allowed"),
    "an END on the connection": (GREETING + frame(END), 0, "END is not allowed on the connection itself"),
    "metadata from a caller": (GREETING + FOREVER + frame(METADATA, b"\x80", 1), 1, "METADATA with flags 0"),
    "a ping of a kilobyte": (GREETING + frame(PING, bytes(1000)), 0, "PING has 1000 bytes"),
    "a ping with flags": (GREETING + frame(PING, bytes(8), 0, 1), 0, "PING with flags 1"),
    "a ping of a stream": (GREETING + frame(PING, bytes(8), 1), 0, "stream 1, which was not opened"),
    "a pong of nothing": (GREETING + frame(PONG), 0, "PONG has 0 bytes"),
    "a GOAWAY of one byte": (GREETING + frame(GOAWAY, b"x"), 0, "GOAWAY is cut short"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_broken_rule_is_named_and_costs_the_connection(world, caplog, attack: str) -> None:
    sent, last, text = ATTACKS[attack]

    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker(sent)
            told = await raw.farewell()
            assert told[:2] == (last, 13)
            assert text in told[2]

    with caplog.at_level(logging.WARNING, "rpcnet"):
        world.run(main())
    (line,) = warnings_of(caplog)
    assert "closed: " in line
    assert text in line


def test_a_handler_ends_when_its_caller_breaks_a_rule(world) -> None:
    """Its END is not awaited: the connection is given up at once, whatever still comes over it."""

    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker(GREETING + FOREVER + frame(PONG))
            await raw.read_until(GOAWAY)
            raw.send(call(2, "forever") * 100)
            await raw.drain()
            await asyncio.sleep(0.01)
            assert target.server.stats.open_streams <= 1  # the bystander's
            assert (await raw.farewell())[0] == 1

    world.run(main())


@pytest.mark.parametrize(
    "attack", ["http", "a second HELLO", "a length of 4 GiB", "more items than credit of a stream"]
)
def test_the_farewell_arrives_whatever_is_unread(attack: str) -> None:
    """A socket that is closed with unread input resets the connection, and the peer never reads why."""
    sent, last, text = ATTACKS[attack]

    def attacker(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
            raw.sendall(sent + bytes(8 << 20))
            received = b""
            while data := raw.recv(1 << 16):
                received += data
            return received

    async def main() -> None:
        async with Target.open() as target:
            port = int(target.server.address.rpartition(":")[2])
            frames = Parser(1 << 20).receive(await asyncio.to_thread(attacker, port))
            assert frames[-1][0] == GOAWAY
            told = decode_goaway(frames[-1][3])
            assert told[:2] == (last, 13)
            assert text in told[2]

    asyncio.run(main())


def test_a_peer_that_never_hangs_up_is_hung_up_on(world) -> None:
    """After its farewell a server reads on for a moment only, and takes nothing in."""

    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker(b"GET")
            await raw.read_until(GOAWAY)
            while target.server.stats.connections > 1:
                raw.send(bytes(1 << 16))
                await raw.drain()
                await asyncio.sleep(0.01)
                assert target.server.stats.queued_bytes < 1000

    world.run(main())


def test_a_goaway_of_a_client_ends_its_calls_if_a_rule_is_broken(world) -> None:
    async def main() -> None:
        async with Target.open() as target:
            calm = await target.attacker(GREETING + call(1, "chat", FLAG_ITEM) + writer.goaway(0, 0, "no more calls"))
            await calm.read_until(ITEM, 1)
            calm.send(frame(ITEM, b"and yet", 1))
            async with asyncio.timeout(10):
                while calm.frames[-1][3] != b"and yet":
                    assert await calm.read_some()
            angry = await target.attacker(GREETING + FOREVER)
            await eventually(lambda: target.server.stats.running_handlers >= 2)
            angry.send(writer.goaway(0, 13, "you broke a rule"))
            await angry.read_to_the_end()
            await eventually(lambda: target.server.stats.connections == 2)

    world.run(main())


def test_an_item_after_letting_go_costs_the_connection(world) -> None:
    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker(GREETING + call(1, "hear", FLAG_ITEM))
            await eventually(lambda: target.server.stats.running_handlers > 0)
            await asyncio.sleep(0.01)
            raw.send(writer.cancel(1, 1) + frame(ITEM, b"x", 1))
            last, status, text = await raw.farewell()
            assert (last, status) == (1, 13)
            assert "ITEM with flags 0 is not allowed in state ABORTED" in text

    world.run(main())


def test_the_farewell_of_a_server_that_stops_arrives() -> None:
    """Over sockets: what a peer goes on to send is read until it hangs up, so that no reset overtakes the end."""

    def attacker(port: int, started: asyncio.Event, loop: asyncio.AbstractEventLoop) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
            raw.sendall(GREETING + call(1, "forever"))
            loop.call_soon_threadsafe(started.set)
            raw.sendall(frame(77, bytes(100_000)) * 80)
            received = b""
            while data := raw.recv(1 << 16):
                received += data
            return received

    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        server.register("forever", forever)
        await server.start()
        started = asyncio.Event()
        port = int(server.address.rpartition(":")[2])
        attack = asyncio.create_task(asyncio.to_thread(attacker, port, started, asyncio.get_running_loop()))
        await started.wait()
        await eventually(lambda: server.stats.running_handlers == 1)
        await server.stop(0.0)
        frames = Parser(1 << 20).receive(await attack)
        assert decode_goaway(next(payload for kind, _, _, payload in frames if kind == GOAWAY))[:2] == (1, 0)

    asyncio.run(main())


def test_random_frames_end_in_order_or_with_a_reason(world) -> None:
    """Well-formed headers, arbitrary rest: nothing escapes, and everything is back at zero afterwards."""

    async def main() -> None:
        dice = random.Random(7)
        async with Target.open() as target:
            for _ in range(150):
                script = GREETING
                for number in range(dice.randrange(12)):
                    kind, flags, stream = dice.randrange(12), dice.choice([0, 0, 1, 2, 4, 5, 6, 9]), dice.randrange(4)
                    body = dice.choice([b"", b"\x00\x00\x00\x09", dice.randbytes(dice.randrange(30)), b"\x90"])
                    good = call(number + 1, dice.choice(["echo", "forever"]))
                    script += dice.choice([frame(kind, body, stream, flags), good, good])
                raw = await target.attacker(script)
                await asyncio.sleep(0)
                await raw.close()

    world.run(main())
