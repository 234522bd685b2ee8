import asyncio

import pytest

from tests.sim.compatibility.machines import certificates, forever, on_two_machines

client = pytest.importorskip("websockets.asyncio.client")
server = pytest.importorskip("websockets.asyncio.server")
exceptions = pytest.importorskip("websockets.exceptions")


def serving(**options):
    async def echo(connection):
        async for message in connection:
            if message == "goodbye":
                await connection.close(1001, "going")
            else:
                await connection.send(message)

    async def serve():
        async with server.serve(echo, "server", 8765, **options):
            await forever()

    return serve


def test_messages_there_and_back():
    async def ask():
        async with client.connect("ws://server:8765") as connection:
            await connection.send("text")
            text = await connection.recv()
            await connection.send(bytes(300_000))
            return text, len(await connection.recv())

    assert on_two_machines(serving(), ask)[0] == ("text", 300_000)


def test_keepalive_over_an_hour():
    async def ask():
        async with client.connect("ws://server:8765", ping_interval=20) as connection:
            await asyncio.sleep(3600)
            await connection.send("still there")
            return await connection.recv(), connection.latency

    answer, latency = on_two_machines(serving(), ask)[0]
    assert answer == "still there"
    assert latency == pytest.approx(0.010)


def test_a_close_has_its_code_and_reason():
    async def ask():
        async with client.connect("ws://server:8765") as connection:
            await connection.send("goodbye")
            with pytest.raises(exceptions.ConnectionClosedOK):
                await connection.recv()
            return connection.close_code, connection.close_reason

    assert on_two_machines(serving(), ask)[0] == (1001, "going")


def test_tls():
    ours, theirs = certificates()

    async def ask():
        async with client.connect("wss://server:8765", ssl=theirs) as connection:
            await connection.send("secret")
            return await connection.recv()

    assert on_two_machines(serving(ssl=ours), ask)[0] == "secret"
