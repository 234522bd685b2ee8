"""How a server begins and ends: where it may listen, whom it tells, and that its end is certain."""

import asyncio
import errno
import gc
import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
import trustme

import sim
from rpcnet import (
    AddressInUse,
    Cancelled,
    RpcClient,
    RpcConfig,
    RpcServer,
    StreamError,
    Unavailable,
    current_call,
    observe,
)
from rpcnet.address import InsecureAddressError


async def echo(payload: bytes) -> bytes:
    return payload


async def count(payload: bytes) -> AsyncIterator[bytes]:
    number = 0
    while True:
        yield b"%d" % number
        number += 1
        await asyncio.sleep(0.02)


def test_a_stop_lets_running_calls_finish_and_takes_no_new_ones(world) -> None:
    async def main() -> None:
        started = asyncio.Event()

        async def slow(payload: bytes) -> bytes:
            started.set()
            await asyncio.sleep(0.2)
            return payload

        server = RpcServer("127.0.0.1:0")
        server.register("slow", slow)
        await server.start()
        async with RpcClient.connect(server.address, config=RpcConfig(connect_timeout=0.2)) as client:
            running = asyncio.create_task(client.call("slow", b"x"))
            await started.wait()
            stopping = asyncio.create_task(server.stop(grace=5.0))
            await asyncio.sleep(0.05)
            with pytest.raises(Unavailable):
                await client.call("slow", b"y")
            assert await running == b"x"
            async with asyncio.timeout(2):
                await stopping
            await server.wait_closed()
            assert server.stats.connections == 0

    world.run(main())


def test_a_drain_is_bounded_and_its_end_is_unavailable(world, eventually) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = RpcServer("127.0.0.1:0")
        server.register_streaming("count", count, shape="server_streaming")
        await server.start()
        async with RpcClient.connect(server.address) as client:
            stream = client.call_server_streaming("count")
            assert await stream.receive() == b"0"
            begun = loop.time()
            await asyncio.gather(server.stop(grace=0.3), server.stop())
            assert 0.3 <= loop.time() - begun < 2.0
            with pytest.raises(StreamError.Transport, match="the server is stopping") as caught:
                async for _ in stream:
                    pass
            assert isinstance(caught.value, Unavailable)
            assert server.stats.running_handlers == 0

    world.run(main())


@pytest.mark.parametrize("caller", ["waits", "is gone"])
def test_a_handler_that_ignores_its_cancellation_does_not_keep_the_server(world, caplog, caller) -> None:
    async def main() -> None:
        over = asyncio.Event()

        async def deaf(payload: bytes) -> bytes:
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError:
                    continue
            return b""

        server = RpcServer("127.0.0.1:0")
        server.register("deaf", deaf)
        await server.start()
        async with RpcClient.connect(server.address) as client:
            call = asyncio.create_task(client.call("deaf"))
            await asyncio.sleep(0.05)
            if caller == "is gone":
                await client.close()
                await asyncio.sleep(0.05)
            async with asyncio.timeout(10):
                await server.stop(grace=0.1)
            with pytest.raises(Unavailable if caller == "waits" else Cancelled):
                await call
            over.set()
            await asyncio.sleep(0.05)
        assert server.stats.running_handlers == 0

    with caplog.at_level(logging.WARNING, "rpcnet"):
        world.run(main())
    assert "handler of 'deaf' goes on although it was cancelled" in caplog.text


@pytest.mark.parametrize(("grace", "kind"), [("soon", TypeError), (True, TypeError), (float("nan"), ValueError)])
def test_grace_that_is_no_time_stops_nothing(world, grace, kind) -> None:
    async def main() -> None:
        async def slow(payload: bytes) -> bytes:
            await asyncio.sleep(0.05)
            return payload

        server = RpcServer("127.0.0.1:0")
        server.register("slow", slow)
        async with server, RpcClient.connect(server.address) as client:
            running = asyncio.create_task(client.call("slow", b"x"))
            await asyncio.sleep(0.01)
            with pytest.raises(kind, match="grace must be"):
                await server.stop(grace)
            assert server.is_running
            assert await running == b"x"
            assert await client.call("slow", b"y") == b"y"

    world.run(main())


def test_a_handler_that_waits_for_its_own_server_is_told(world, eventually) -> None:
    async def main() -> None:
        stops: list[asyncio.Task[None]] = []

        async def shut_down(payload: bytes) -> bytes:
            with pytest.raises(RuntimeError, match="stop the server from a task of its own"):
                await server.stop(grace=None)
            stops.append(asyncio.create_task(server.stop()))
            return b"stopping"

        server = RpcServer("127.0.0.1:0")
        server.register("shut_down", shut_down)
        async with server, RpcClient.connect(server.address) as client:
            assert await client.call("shut_down") == b"stopping"
            await stops[0]
            assert not server.is_running

    world.run(main())


@pytest.mark.parametrize("error", [OSError("planted"), asyncio.CancelledError()])
def test_a_stop_that_fails_leaves_nobody_waiting(world, monkeypatch, eventually, error) -> None:
    async def fails(listener: object) -> None:
        raise error

    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        server.register("echo", echo)
        await server.start()
        listener = server._listener
        async with RpcClient.connect(server.address):
            waiter = asyncio.create_task(server.wait_closed())
            monkeypatch.setattr("rpcnet.server.server.stop_listening", fails)
            with pytest.raises(type(error)):
                await server.stop()
            await waiter
            await eventually(lambda: server.stats.connections == 0)
            assert not server.is_running
        listener.close()
        await listener.wait_closed()

    world.run(main())


@pytest.mark.parametrize("grace", [None, float("inf")])
def test_grace_without_limit_waits_for_the_last_call(world, grace) -> None:
    async def main() -> None:
        async def slow(payload: bytes) -> bytes:
            await asyncio.sleep(0.2)
            return payload

        server = RpcServer("127.0.0.1:0")
        server.register("slow", slow)
        await server.start()
        async with RpcClient.connect(server.address) as client:
            running = asyncio.create_task(client.call("slow", b"x"))
            await asyncio.sleep(0.01)
            await server.stop(grace)
            assert await running == b"x"

    world.run(main())


@pytest.mark.parametrize("turns", range(5))
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_start_that_is_cancelled_leaves_no_listener(world, tmp_path, turns, kind) -> None:
    async def main() -> None:
        path = tmp_path / "s"
        server = RpcServer("127.0.0.1:0" if kind == "tcp" else f"unix:{path}")
        server.register("echo", echo)
        starting = asyncio.ensure_future(server.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])
        if starting.cancelled():
            gc.collect()  # a listener that was left is a ResourceWarning now
            assert not server.is_running
            assert not path.exists()
            await server.start()
        async with RpcClient.connect(server.address) as client:
            assert await client.call("echo", b"x") == b"x"
        await server.stop()

    world.run(main())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("turns", range(6))
def test_a_server_stopped_while_it_starts_listens_nowhere(world, tmp_path, turns, kind) -> None:
    address = "localhost:0" if kind == "tcp" else f"unix:{tmp_path}/s.sock"

    async def main() -> None:
        server = RpcServer(address)
        starting = asyncio.create_task(server.start())
        for _ in range(1 + turns):
            await asyncio.sleep(0)
        await server.stop()
        await starting
        assert not server.is_running
        assert not list(tmp_path.iterdir())
        async with RpcServer(server.address):
            pass  # nobody else listens there

    world.run(main())


@pytest.mark.parametrize("wait", [RpcServer.wait_closed, RpcServer.stop])
def test_a_start_that_fails_wakes_whoever_waits_for_the_end(world, wait) -> None:
    async def main() -> None:
        async with RpcServer("127.0.0.1:0") as first:
            server = RpcServer(first.address)
            starting = asyncio.create_task(server.start())
            await asyncio.sleep(0)
            waiting = asyncio.create_task(wait(server))
            with pytest.raises(OSError, match="in use"):
                await starting
            async with asyncio.timeout(5):
                await waiting

    world.run(main())


def test_a_peer_that_resets_does_not_break_off_a_stop(eventually) -> None:
    """asyncio's write_eof raises where the peer's reset is in the socket and was not read yet."""

    async def main() -> None:
        async with RpcServer("127.0.0.1:0") as server:
            host, port = server.address.split(":")
            peer = socket.create_connection((host, int(port)))
            await eventually(lambda: server.stats.connections == 1)
            (connection,) = server._connections
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            connection.part("the server stopped")  # as stop() does, in the turn in which the reset came
            assert connection.closed
            await server.stop()
            assert server.stats.connections == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("how", "is_deaf", "seconds"),
    [("stop", False, 5.0), ("stop", True, 7.0), ("block", False, 5.0), ("error", False, 0.0), ("serving", False, 5.0)],
)
def test_a_stop_takes_its_grace_and_no_longer(how: str, is_deaf: bool, seconds: float) -> None:
    """Five seconds by default, none where an error leaves the block, and two more for a handler that is deaf."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        async def long(_: bytes) -> bytes:
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError:
                    if not is_deaf:
                        raise
            return b""

        async def leave_block() -> None:
            async with server:
                await ready.wait()
                if how == "error":
                    raise LookupError

        server = RpcServer("127.0.0.1:7000")
        server.register("long", long)
        ready = asyncio.Event()
        life = asyncio.create_task(server.serve_forever() if how in ("stop", "serving") else leave_block())
        await asyncio.sleep(0.1)
        async with RpcClient.connect(server.address) as client:
            call = asyncio.create_task(client.call("long", timeout=None))
            await asyncio.sleep(0.1)
            began = loop.time()
            if how == "stop":
                await server.stop()
            elif how == "serving":
                life.cancel()
            ready.set()
            await asyncio.wait([life, call])
            assert loop.time() - began == pytest.approx(seconds, abs=0.1)
            assert isinstance(call.exception(), Unavailable)
            assert life.cancelled() or isinstance(life.exception(), LookupError | None)
            over.set()
        await asyncio.sleep(0.1)

    sim.run(main(), seed=1)


def test_a_client_follows_its_server_to_a_new_process(world) -> None:
    """GOAWAY: running streams go on where they are, new calls go to a new connection."""

    async def main() -> None:
        first = RpcServer("127.0.0.1:0")
        first.register_streaming("count", count, shape="server_streaming")
        await first.start()
        address = first.address
        async with RpcClient.connect(address) as client:
            stream = client.call_server_streaming("count")
            await stream.receive()
            stopping = asyncio.create_task(first.stop(grace=0.5))
            await asyncio.sleep(0.1)
            second = RpcServer(address)
            second.register("echo", echo)
            async with second:
                assert await client.call("echo", b"x", timeout=5) == b"x"
                await stream.receive()
                assert client.stats.connections == 2
                await stopping
                with pytest.raises(StreamError):
                    async for _ in stream:
                        pass

    world.run(main())


def test_cancelling_serve_forever_stops_the_server(world) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0.01)
        address = server.address
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(Unavailable):
            await RpcClient.connect(address)

    world.run(main())


def test_without_tls_only_loopback_is_allowed() -> None:
    async def main() -> None:
        for address in ("0.0.0.0:0", "[::]:0", "10.0.0.1:0", "example.org:1"):
            with pytest.raises(InsecureAddressError, match="insecure=True"):
                await RpcServer(address).start()
            with pytest.raises(InsecureAddressError, match="no TLS"):
                await RpcClient.connect(address)
        async with RpcServer("0.0.0.0:0", config=RpcConfig(insecure=True)):
            pass
        for fine in ("localhost:0", "127.1.2.3:0"):
            async with RpcServer(fine):
                pass

    asyncio.run(main())


@pytest.mark.parametrize("wrong", ["", "localhost", "::1:80", "host:", "host:99999", "host:x", ":80", "unix:"])
def test_an_address_that_is_none_says_what_is_wrong(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"is no HOST:PORT|unix"):
        RpcServer(wrong)


def test_a_method_is_registered_once_and_by_a_name() -> None:
    server = RpcServer("127.0.0.1:0")
    server.register("echo", echo)
    with pytest.raises(ValueError, match="registered already"):
        server.register("echo", echo)
    with pytest.raises(ValueError, match="needs a name"):
        server.register("", echo)
    with pytest.raises(ValueError, match="is none of unary"):
        server.register_streaming("x", echo, shape="sideways")


def test_a_server_starts_once(world) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        await server.stop()
        async with server:
            with pytest.raises(RuntimeError, match="started already"):
                await server.start()

    world.run(main())


class Tape:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def record(self, event: str, /, **fields: object) -> None:
        self.events.append((event, fields))

    def of(self, name: str) -> list[dict[str, object]]:
        return [fields for event, fields in self.events if event == name]


def test_both_ends_record_the_same_connection_and_streams(world) -> None:
    tape = Tape()

    async def fail(payload: bytes) -> bytes:
        raise LookupError

    async def main() -> None:
        observe.install(tape)
        server = RpcServer("127.0.0.1:0", random=Random(1), wall_clock=lambda: 1234.5)
        times: list[float | None] = []

        async def timed(payload: bytes) -> bytes:
            times.append(current_call().received_at)
            return payload

        server.register("timed", timed)
        server.register("fail", fail)
        server.register_streaming("count", count, shape="server_streaming")
        async with server:
            async with RpcClient.connect(server.address, random=Random(2), wall_clock=lambda: 99.0) as client:
                assert client.connected_at == 99.0
                await client.call("timed")
                with pytest.raises(Exception, match="raised"):
                    await client.call("fail")
                stream = client.call_server_streaming("count", idle_timeout=0.001)
                with pytest.raises(TimeoutError):
                    async for _ in stream:
                        pass
        assert times == [1234.5]

    world.run(main())
    (near,) = {fields["connection"] for fields in tape.of("call_started")}
    assert near == f"{Random(2).getrandbits(48):012x}"
    assert {fields["connection"] for fields in tape.of("handler_started")} == {near}
    for name in ("connection_opened", "connection_closed"):
        assert sorted(str(fields["side"]) for fields in tape.of(name)) == ["client", "server"]
        assert {fields["connection"] for fields in tape.of(name)} == {near}
    calls = [(fields["stream"], fields["method"], fields["status"]) for fields in tape.of("call_ended")]
    assert calls == [(1, "timed", "OK"), (2, "fail", "INTERNAL"), (3, "count", "TIMEOUT")]
    handlers = [(fields["stream"], fields["method"], fields["status"]) for fields in tape.of("handler_ended")]
    assert handlers[:2] == calls[:2]
    assert handlers[2][:2] == (3, "count")
    assert handlers[2][2] != "OK"
    for closed in tape.of("rpc_closed"):
        assert {closed[name] for name in ("handlers", "streams", "queued_bytes", "connections")} == {0}
    assert [closed["side"] for closed in tape.of("rpc_closed")] == ["client", "server"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def contexts(authority: trustme.CA, mutual: bool) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(serving)
    calling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(calling)
    if mutual:
        serving.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(serving)
        authority.issue_cert("client@example.org").configure_cert(calling)
    return serving, calling


@pytest.mark.parametrize("mutual", [False, True])
def test_tls_is_a_context_handed_over(authority: trustme.CA, mutual: bool) -> None:
    serving, calling = contexts(authority, mutual)

    async def main() -> None:
        async def who(payload: bytes) -> bytes:
            return b"somebody" if current_call().peer.certificate else b"nobody"

        server = RpcServer("127.0.0.1:0", tls=serving)
        server.register("who", who)
        server.register("echo", echo)
        server.register_streaming("count", count, shape="server_streaming")
        async with server:
            async with RpcClient.connect(server.address, tls=calling) as client:
                assert await client.call("who") == (b"somebody" if mutual else b"nobody")
                assert await client.call("echo", bytes(1_000_000)) == bytes(1_000_000)
                async for item in client.call_server_streaming("count"):
                    if item == b"3":
                        break
            with pytest.raises(Unavailable):
                await RpcClient.connect(server.address, config=RpcConfig(connect_timeout=2))

    asyncio.run(main())


def test_tls_below_1_3_is_refused(authority: trustme.CA) -> None:
    serving, calling = contexts(authority, False)
    calling.maximum_version = ssl.TLSVersion.TLSv1_2

    async def main() -> None:
        async with RpcServer("127.0.0.1:0", tls=serving) as server:
            with pytest.raises(Unavailable):
                await RpcClient.connect(server.address, tls=calling)

    asyncio.run(main())


def test_a_socket_file_that_a_dead_server_left_behind_is_taken_over(tmp_path: Path) -> None:
    async def main() -> None:
        for _ in range(2):
            server = RpcServer(f"unix:{tmp_path}/s")
            server.register("echo", echo)
            async with server:
                async with RpcClient.connect(server.address) as client:
                    assert await client.call("echo", b"x") == b"x"

    asyncio.run(main())


def test_an_address_that_is_taken_is_an_error_of_its_own(world) -> None:
    async def main() -> None:
        async with RpcServer("127.0.0.1:0") as server:
            second = RpcServer(server.address)
            with pytest.raises(AddressInUse, match=f"{server.address} is in use; stop what listens there") as raised:
                await second.start()
            assert isinstance(raised.value, OSError)
            assert raised.value.errno == errno.EADDRINUSE
        async with second:
            assert second.is_running
        with pytest.raises(OSError, match=r"192\.0\.2\.1|assign|address") as other:
            await RpcServer("192.0.2.1:0", config=RpcConfig(insecure=True)).start()
        assert not isinstance(other.value, AddressInUse)

    world.run(main())


def test_the_cluster_has_the_same_error_for_a_taken_address() -> None:
    from rpcnet.cluster import AddressInUse as OfTheCluster

    assert issubclass(OfTheCluster, AddressInUse)
