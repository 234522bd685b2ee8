"""The shaped loop against itself: delays, cuts and silence on real sockets, TLS included."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest
import trustme

from rpcnet import RpcClient, RpcServer
from sim.backends.addresses import AddressBlock
from sim.backends.control import Ways
from sim.backends.loop import ShapedLoop
from sim.backends.shaper import Way
from sim.network.link import Link
from sim.network.tcp.defaults import MIN_RTO

Body = Callable[[ShapedLoop, str], Coroutine[Any, Any, None]]


def on_a_loop(body: Body) -> None:
    """Run it on a loop whose own address is shaped: it is both ends of every connection."""
    with AddressBlock(1) as block:
        host = block.address(0)
        loop = ShapedLoop(host, {"me": host}, Random(1))

        async def until_all_is_closed() -> None:
            await body(loop, host)
            while loop.shaper.wires or loop.shaper.datagram_wires:  # noqa: ASYNC110 - a wire tells nobody that it is gone
                await asyncio.sleep(0.005)

        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(asyncio.wait_for(until_all_is_closed(), 20))


def ways(host: str, link: Link | None, *, silent: bool = False) -> Ways:
    return Ways(number=1, out={host: link}, into={host: link}, silent=frozenset({host} if silent else ()))


def slow(text: str, **edge: Any) -> Link:
    return Link.of({"latency": text, **edge})


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


def test_a_round_trip_takes_two_latencies_and_so_does_a_connect() -> None:
    async def body(loop: ShapedLoop, host: str) -> None:
        loop.shaper.apply(ways(host, slow("30ms")))
        server = await asyncio.start_server(echo, host, 0)
        port = server.sockets[0].getsockname()[1]
        began = loop.time()
        reader, writer = await asyncio.open_connection("me", port)
        connected = loop.time()
        assert connected - began >= 0.0595
        assert writer.get_extra_info("sockname")[0] == host
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        assert loop.time() - connected >= 0.0595
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        server.close()

    on_a_loop(body)


def test_bytes_of_any_size_arrive_in_order_whatever_the_jitter() -> None:
    async def body(loop: ShapedLoop, host: str) -> None:
        loop.shaper.apply(ways(host, slow("uniform(0ms, 20ms)", loss=0.02)))
        server = await asyncio.start_server(echo, host, 0)
        reader, writer = await asyncio.open_connection(host, server.sockets[0].getsockname()[1])
        sent = Random(2).randbytes(300_000)
        for start in range(0, len(sent), 10_007):
            writer.write(sent[start : start + 10_007])
        assert await reader.readexactly(len(sent)) == sent
        writer.close()
        await writer.wait_closed()
        server.close()

    on_a_loop(body)


def test_close_delivers_what_was_written_before() -> None:
    async def body(loop: ShapedLoop, host: str) -> None:
        loop.shaper.apply(ways(host, slow("20ms")))
        got: asyncio.Future[bytes] = loop.create_future()

        async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.set_result(await reader.read())
            writer.close()

        server = await asyncio.start_server(collect, host, 0)
        _, writer = await asyncio.open_connection(host, server.sockets[0].getsockname()[1])
        writer.write(b"last words")
        writer.close()
        await writer.wait_closed()
        assert await got == b"last words"
        server.close()

    on_a_loop(body)


def test_a_cut_holds_a_stream_and_pauses_its_writer_until_it_is_healed() -> None:
    async def body(loop: ShapedLoop, host: str) -> None:
        loop.shaper.apply(ways(host, slow("0ms")))
        server = await asyncio.start_server(echo, host, 0)
        reader, writer = await asyncio.open_connection(host, server.sockets[0].getsockname()[1])
        loop.shaper.apply(ways(host, None))
        writer.write(b"x" * 1_000_000)
        drain = asyncio.create_task(writer.drain())
        echoed = asyncio.create_task(reader.readexactly(1_000_000))
        done, _ = await asyncio.wait({drain, echoed}, timeout=0.1)
        assert not done
        loop.shaper.apply(ways(host, slow("0ms")))
        assert len(await echoed) == 1_000_000
        await drain
        writer.close()
        await writer.wait_closed()
        server.close()

    on_a_loop(body)


def test_a_connection_to_a_host_that_lost_power_is_reset_when_it_is_back_and_not_before() -> None:
    async def body(loop: ShapedLoop, host: str) -> None:
        link = slow("1ms")
        loop.shaper.apply(ways(host, link))
        server = await asyncio.start_server(echo, host, 0)
        reader, writer = await asyncio.open_connection(host, server.sockets[0].getsockname()[1])
        loop.shaper.apply(ways(host, link, silent=True))
        writer.write(b"are you there?")
        answer = asyncio.create_task(reader.read())
        connect = asyncio.create_task(asyncio.open_connection(host, 1))
        done, _ = await asyncio.wait({answer, connect}, timeout=0.1)
        assert not done
        loop.shaper.apply(ways(host, link))
        with pytest.raises(ConnectionResetError):
            await answer
        with pytest.raises(ConnectionRefusedError):
            await connect
        server.close()
        for wire in list(loop.shaper.wires):
            wire.abort()  # The server's end, which lost its peer too and has nothing to say.

    on_a_loop(body)


def test_tls_runs_over_a_shaped_connection() -> None:
    authority = trustme.CA()
    server_context, client_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("me").configure_cert(server_context)
    authority.configure_trust(client_context)

    async def body(loop: ShapedLoop, host: str) -> None:
        loop.shaper.apply(ways(host, slow("5ms")))
        server = await asyncio.start_server(echo, host, 0, ssl=server_context)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("me", port, ssl=client_context)
        writer.write(b"secret")
        assert await reader.readexactly(6) == b"secret"
        writer.close()
        await writer.wait_closed()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("me", port, ssl=client_context, server_hostname="somebody")
        server.close()

    on_a_loop(body)


def test_a_server_upgrades_a_shaped_connection_to_tls() -> None:
    """As RpcServer does, with loop.start_tls."""
    authority = trustme.CA()
    server_context, client_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("me").configure_cert(server_context)
    authority.configure_trust(client_context)

    async def body(loop: ShapedLoop, host: str) -> None:
        async def echo(payload: bytes) -> bytes:
            return payload

        loop.shaper.apply(ways(host, slow("5ms")))
        server = RpcServer(f"{host}:0", tls=server_context)
        server.register("echo", echo)
        async with server:
            address = server.address.replace(host, "me")
            async with RpcClient.connect(address, tls=client_context) as client:
                assert await client.call("echo", bytes(300_000)) == bytes(300_000)

    on_a_loop(body)


class Heard(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.queue.put_nowait((data, addr))


def test_datagrams_are_delayed_and_one_under_way_survives_the_close_of_its_socket() -> None:
    async def body(loop: ShapedLoop, host: str) -> None:
        loop.shaper.apply(ways(host, slow("30ms")))
        receiver, heard = await loop.create_datagram_endpoint(Heard, ("0.0.0.0", 0))
        address = receiver.get_extra_info("sockname")
        assert address[0] == host
        sender, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=address)
        began = loop.time()
        sender.sendto(b"leave")
        sender.close()
        assert isinstance(heard, Heard)
        data, source = await heard.queue.get()
        assert (data, source[0]) == (b"leave", host)
        assert loop.time() - began >= 0.0295
        receiver.close()

    on_a_loop(body)


def test_a_cut_drops_datagrams() -> None:
    async def body(loop: ShapedLoop, host: str) -> None:
        receiver, heard = await loop.create_datagram_endpoint(Heard, (host, 0))
        sender, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, (host, 0))
        address = receiver.get_extra_info("sockname")
        for number, link in enumerate((slow("0ms"), None, slow("0ms"))):
            loop.shaper.apply(ways(host, link))
            sender.sendto(b"%d" % number, address)
        assert isinstance(heard, Heard)
        assert [(await heard.queue.get())[0] for _ in range(2)] == [b"0", b"2"]
        sender.close()
        receiver.close()

    on_a_loop(body)


def test_loss_of_a_stream_is_time_and_of_a_datagram_is_loss() -> None:
    way = Way(Link.of({"latency": 0.0, "loss": 0.25}), Random(3))
    waits = [way.stream(100, 0.0) for _ in range(4000)]
    assert sum(w > 0 for w in waits) / len(waits) == pytest.approx(0.25, abs=0.03)
    assert min(w for w in waits if w > 0) == pytest.approx(MIN_RTO)
    assert sum(bool(way.datagram(b"x", 0.0)) for _ in range(4000)) / 4000 == pytest.approx(0.75, abs=0.03)


def test_bandwidth_spreads_bytes_over_time_and_a_full_queue_drops_datagrams() -> None:
    way = Way(Link.of({"latency": 0.0, "bandwidth": 1000.0, "queue": 500}), Random(3))
    assert way.stream(1000, 10.0) == pytest.approx(1.0)
    assert way.stream(1000, 10.0) == pytest.approx(2.0)
    assert way.datagram(b"x" * 100, 10.0) == ()
    assert way.datagram(b"x" * 100, 11.9)[0][0] == pytest.approx(11.9 + 0.2)


def test_a_datagram_can_be_doubled_and_damaged() -> None:
    way = Way(Link.of({"latency": 0.0, "duplicate": 1.0, "corrupt": 1.0}), Random(3))
    (_, first), (_, second) = way.datagram(b"0000", 0.0)
    assert first == second != b"0000"
    assert len(first) == 4
