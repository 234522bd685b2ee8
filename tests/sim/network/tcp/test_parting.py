"""A connection that is over at both ends goes at once, by reference counting: with 10,000 of them memory would grow."""

import asyncio
import contextlib
import gc
import socket
from collections import Counter

import pytest

from sim.network.tcp.endpoint import Endpoint
from sim.network.tcp.losses import Losses
from tests.sim.network.two_nodes import PORT, World, connect

KINDS = (Endpoint, Losses)


async def answers(reader, writer):
    """A stream's server: what it does when its client has said what it wants."""
    wish = await reader.read(1)
    if wish == b"l":
        await asyncio.sleep(1)
    if wish == b"w":
        await reader.read()
    if wish == b"a":
        writer.transport.abort()
    writer.close()


async def closes_first():
    _, writer = await connect()
    writer.write(b"w")
    await asyncio.sleep(1)
    writer.close()


async def closes_last():
    reader, writer = await connect()
    writer.write(b"n")
    await reader.read()
    writer.close()


async def closes_meanwhile():
    _, writer = await connect()
    writer.write(b"l")
    await asyncio.sleep(1 + 0.02)  # the server's FIN is under way
    writer.close()


async def leaves_bytes_unread():
    _, writer = await connect()
    writer.transport.pause_reading()
    writer.write(b"aunread")
    await asyncio.sleep(1)
    writer.close()


async def is_reset_and_sees_it():
    """By hand: asyncio's streams keep the error, whose traceback keeps them, also over real sockets."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("b", PORT))
        await loop.sock_sendall(sock, b"n")
        for _ in range(2):
            await asyncio.sleep(0.5)
            with contextlib.suppress(OSError):
                await loop.sock_sendall(sock, b"to nobody")


@pytest.fixture
def _collects_no_garbage():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_collects_no_garbage")
@pytest.mark.parametrize("loss", [0.0, 0.3])
@pytest.mark.parametrize(
    "client", [closes_first, closes_last, closes_meanwhile, leaves_bytes_unread, is_reset_and_sees_it]
)
def test_a_connection_closed_by_both_goes_at_once(client, loss):
    there = _there()

    async def connects_often():
        for _ in range(3):
            await client()
            await asyncio.sleep(30)
        return _there() - there

    assert not World(loss=loss).run(connects_often, answers)


def test_a_connection_of_a_machine_that_crashed_is_let_go():
    world = World()

    async def client():
        with socket.socket() as sock:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("b", PORT))
            await asyncio.get_running_loop().sock_sendall(sock, b"w")
            await asyncio.sleep(1)
            (end,) = world.a.host.endpoints
            world.b.crash()
            world.b.restart()
            sock.send(b"anybody?")
            with pytest.raises(ConnectionResetError):
                await asyncio.get_running_loop().sock_recv(sock, 1)
        return end.is_released

    assert world.run(client, answers)


def _there():
    return Counter(type(each).__name__ for each in gc.get_objects() if type(each) in KINDS)
