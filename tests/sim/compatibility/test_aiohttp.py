import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.compatibility.machines import certificates, forever, on_two_machines

aiohttp = pytest.importorskip("aiohttp")
web = pytest.importorskip("aiohttp.web")

ROOT = Path(__file__).parents[3]


async def hello(request):
    name = request.query.get("name", "nobody")
    return web.json_response({"hello": name, "peer": request.remote, "method": request.method})


async def upload(request):
    return web.json_response({"bytes": len(await request.read())})


async def stream(request):
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(5):
        await response.write(b"%d\n" % number)
        await asyncio.sleep(1)
    await response.write_eof()
    return response


async def socket(request):
    ws = web.WebSocketResponse(heartbeat=5)
    await ws.prepare(request)
    async for message in ws:
        await ws.send_str(message.data.upper())
    return ws


def serving(ssl_context=None):
    async def serve():
        app = web.Application()
        app.add_routes([web.get("/", hello), web.post("/", upload), web.get("/stream", stream), web.get("/ws", socket)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "server", 8080, ssl_context=ssl_context).start()
        try:
            await forever()
        finally:
            await runner.cleanup()

    return serve


async def upload_many():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=5)) as session:

        async def one(number):
            async with session.post("http://server:8080/", data=bytes(number)) as found:
                return (await found.json())["bytes"]

        return await asyncio.gather(*(one(number) for number in range(0, 100_000, 5_000)))


def test_client_and_server_speak_json():
    async def ask():
        async with (
            aiohttp.ClientSession() as session,
            session.get("http://server:8080/", params={"name": "x"}) as found,
        ):
            return found.status, await found.json()

    (status, answer), _ = on_two_machines(serving(), ask)
    assert status == 200
    assert answer == {"hello": "x", "peer": "10.0.0.2", "method": "GET"}


@pytest.mark.parametrize("resolver", ["AsyncResolver", "ThreadedResolver"])
def test_names_are_looked_up_by_aiodns_and_in_threads(resolver):
    async def ask():
        connector = aiohttp.TCPConnector(resolver=getattr(aiohttp, resolver)())
        async with aiohttp.ClientSession(connector=connector) as session:
            with pytest.raises(aiohttp.ClientConnectorDNSError):
                await session.get("http://nobody:8080/")
            async with session.get("http://server:8080/") as found:
                return found.status

    assert on_two_machines(serving(), ask)[0] == 200


def test_many_requests_at_once_over_pooled_connections():
    answers, _ = on_two_machines(serving(), upload_many)
    assert answers == list(range(0, 100_000, 5_000))


def test_a_body_is_streamed_in_virtual_time():
    async def ask():
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession() as session, session.get("http://server:8080/stream") as found:
            return [(line, round(loop.time() - 1.0)) async for line in found.content]

    lines, _ = on_two_machines(serving(), ask)
    assert lines == [(b"%d\n" % number, number) for number in range(5)]


def test_a_websocket_with_heartbeats():
    async def ask():
        async with aiohttp.ClientSession() as session, session.ws_connect("http://server:8080/ws", heartbeat=2) as ws:
            await ws.send_str("hello")
            first = (await ws.receive()).data
            await asyncio.sleep(30)
            await ws.send_str("still there")
            return first, (await ws.receive()).data

    answers, _ = on_two_machines(serving(), ask)
    assert answers == ("HELLO", "STILL THERE")


def test_a_websocket_is_the_same_to_the_byte_every_time():
    """A client masks what it sends, with random numbers of a generator that aiohttp made when it was imported."""

    async def ask():
        async with aiohttp.ClientSession() as session, session.ws_connect("http://server:8080/ws") as ws:
            await ws.send_str("hello")
            return (await ws.receive()).data

    (answer, one), (_, other) = on_two_machines(serving(), ask), on_two_machines(serving(), ask)
    assert answer == "HELLO"
    assert one == other


def test_tls():
    server, client = certificates()

    async def ask():
        async with aiohttp.ClientSession() as session, session.get("https://server:8080/", ssl=client) as found:
            return (await found.json())["hello"]

    assert on_two_machines(serving(server), ask)[0] == "nobody"


def test_a_refused_connection_and_a_timeout():
    async def ask():
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get("http://server:1/")
            with pytest.raises(TimeoutError):
                async with session.get("http://server:8080/stream") as found:
                    await found.read()
        return "both"

    assert on_two_machines(serving(), ask)[0] == "both"


def test_a_run_is_the_same_in_another_process_with_another_hash_seed():
    code = (
        "from tests.sim.compatibility.test_aiohttp import on_two_machines, serving, upload_many\n"
        "print(on_two_machines(serving(), upload_many)[1])"
    )
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == on_two_machines(serving(), upload_many)[1]
