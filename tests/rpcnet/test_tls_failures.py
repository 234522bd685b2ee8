"""TLS that fails: the client's error and the server's log say at which end, why, and what to do; in both worlds."""

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import pytest

from rpcnet import RpcClient, RpcConfig, RpcServer, Unavailable
from rpcnet.tls import client_context, server_context
from tests.rpcnet.certificates import Certificates

Context = Callable[[Certificates], ssl.SSLContext | None]
CONFIG = RpcConfig(connect_timeout=5.0, handshake_timeout=2.0)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def plain(_: Certificates) -> None:
    return None


def serving(*names: str, **how: bool) -> Context:
    """rpcnet's context with a certificate for these names."""
    return lambda certificates: server_context(*certificates.issue(*(names or ("127.0.0.1",)), **how))


def demanding(certificates: Certificates) -> ssl.SSLContext:
    return server_context(*certificates.server, client_ca=certificates.ca)


def bare(_: Certificates) -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def calling(certificates: Certificates) -> ssl.SSLContext:
    return client_context(certificates.ca)


def presenting(**how: bool) -> Context:
    """A client's context with a certificate."""

    def make(certificates: Certificates) -> ssl.SSLContext:
        certificate, key = certificates.issue("client@example.org", **how)
        return client_context(certificates.ca, certificate=certificate, key=key)

    return make


def old(make: Context) -> Context:
    """A user's context that has TLS 1.2 alone."""

    def context(certificates: Certificates) -> ssl.SSLContext:
        made = make(certificates)
        assert made is not None
        made.minimum_version = made.maximum_version = ssl.TLSVersion.TLSv1_2
        return made

    return context


def lenient(make: Context) -> Context:
    """A user's context that has TLS 1.2 and 1.3."""

    def context(certificates: Certificates) -> ssl.SSLContext:
        made = make(certificates)
        assert made is not None
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        return made

    return context


class Row(NamedTuple):
    server: Context
    client: Context
    error: str
    """What the client's Unavailable says."""
    logged: str
    """What the server's log says."""


SILENT_CLIENT = "client ended the TLS handshake without a reason; mostly it refuses this server's certificate"
SILENT_SERVER = r"server ended the TLS handshake without a reason.* TLS 1\.3 .* the server's log says which"
REFUSED_CLIENT = r"With TLS 1\.3 .* client_context\(certificate=, key=\)"

ROWS = {
    "untrusted server": Row(
        serving(by_stranger=True),
        calling,
        r"of no authority that this client trusts .*client_context\(ca=",
        SILENT_CLIENT,
    ),
    "wrong name": Row(
        serving("elsewhere.example"),
        calling,
        r"server's certificate is for another name: .*'127\.0\.0\.1'; connect by a name that it holds",
        SILENT_CLIENT,
    ),
    "expired server": Row(serving(expired=True), calling, "server's certificate has expired; renew it", SILENT_CLIENT),
    "future server": Row(serving(future=True), calling, "not valid yet; compare the clocks", SILENT_CLIENT),
    "no client certificate": Row(
        demanding,
        calling,
        REFUSED_CLIENT,
        r"client has no certificate, and this server demands one; give client_context",
    ),
    "untrusted client": Row(
        demanding,
        presenting(by_stranger=True),
        REFUSED_CLIENT,
        r"client's certificate is of no authority that this server trusts .*server_context\(client_ca=",
    ),
    "expired client": Row(demanding, presenting(expired=True), REFUSED_CLIENT, "client's certificate has expired"),
    "old client": Row(
        serving(),
        old(calling),
        SILENT_SERVER,
        r"client offers no version of TLS that this server's context takes; rpcnet needs TLS 1\.3",
    ),
    "old server": Row(
        old(serving()),
        calling,
        SILENT_SERVER,
        r"client offers no version of TLS that this server's context takes; rpcnet needs TLS 1\.3",
    ),
    "old client, lenient server": Row(
        lenient(serving()),
        old(calling),
        r"TLSv1\.2 was agreed on, but rpcnet needs TLS 1\.3",
        r"TLSv1\.2 was agreed on, but rpcnet needs TLS 1\.3",
    ),
    "lenient client, old server": Row(
        old(serving()),
        lenient(calling),
        r"TLSv1\.2 was agreed on, but rpcnet needs TLS 1\.3",
        r"TLSv1\.2 was agreed on, but rpcnet needs TLS 1\.3",
    ),
    "plain client": Row(
        serving(),
        plain,
        r"closed it before its HELLO; a server with TLS does so: then give the client tls=",
        r"client speaks without TLS; give it tls=",
    ),
    "plain server": Row(
        plain,
        calling,
        "server answers without TLS; leave tls= out at the client, or give the server a context",
        "peer opened with a TLS handshake, but this end has no TLS; give it tls=",
    ),
    "server without a certificate": Row(
        bare, calling, SILENT_SERVER, "TLS 1.3 at both ends .and a server's context with a certificate: load_cert_chain"
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_failed_handshake_is_explained_at_both_ends(world, certificates, caplog, eventually, name: str) -> None:
    row = ROWS[name]

    async def main() -> None:
        server = RpcServer("127.0.0.1:0", tls=row.server(certificates), config=CONFIG)
        before = asyncio.all_tasks()
        async with server:
            with pytest.raises(Unavailable, match=row.error) as raised:
                await RpcClient.connect(server.address, tls=row.client(certificates), config=CONFIG)
            assert str(raised.value).startswith(f"{server.address} cannot be reached: ")
            await eventually(lambda: any(line.startswith("server connection 127.0.0.1:") for line in caplog.messages))
            await eventually(lambda: not server.stats.connections and asyncio.all_tasks() == before)

    with caplog.at_level(logging.WARNING, "rpcnet"):
        world.run(main())
    (line,) = [line for line in caplog.messages if line.startswith("server connection")]
    assert re.search(row.logged, line), line


def test_a_bystander_goes_on_while_others_fail(world, certificates) -> None:
    async def echo(payload: bytes) -> bytes:
        return payload

    async def main() -> None:
        server = RpcServer("127.0.0.1:0", tls=demanding(certificates), config=CONFIG)
        server.register("echo", echo)
        async with server, RpcClient.connect(server.address, tls=presenting()(certificates)) as client:
            for make in (plain, calling, old(calling), presenting(by_stranger=True)):
                with pytest.raises(Unavailable):
                    await RpcClient.connect(server.address, tls=make(certificates), config=CONFIG)
                assert await client.call("echo", bytes(100_000)) == bytes(100_000)
            assert server.stats.connections == 1

    world.run(main())


def test_a_handshake_that_never_comes_is_given_up(world, certificates, caplog, eventually) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0", tls=demanding(certificates), config=replace(CONFIG, handshake_timeout=0.2))
        async with server:
            host, port = server.address.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            assert await reader.read() == b""
            writer.close()
            await eventually(lambda: bool(caplog.messages))

    world.run(main())
    assert "the client did not finish the TLS handshake in time" in caplog.text


def test_a_server_that_answers_no_handshake_is_given_up(world, certificates) -> None:
    async def main() -> None:
        silent = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        host, port = silent.sockets[0].getsockname()
        config = replace(CONFIG, connect_timeout=0.2)
        with pytest.raises(Unavailable, match=r"no TLS handshake .* within connect_timeout \(0\.2 s\)"):
            await RpcClient.connect(f"{host}:{port}", tls=calling(certificates), config=config)
        silent.close()

    world.run(main())


def test_a_stop_breaks_handshakes_off(world, certificates, eventually) -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        server = RpcServer("127.0.0.1:0", tls=demanding(certificates))
        await server.start()
        host, port = server.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await eventually(lambda: len(asyncio.all_tasks()) > len(before))
        await server.stop()
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        assert asyncio.all_tasks() == before

    world.run(main())


ALERTS = {
    "no client certificate": (demanding, calling, r"the server demands a certificate, and this client has none"),
    "untrusted client": (
        demanding,
        presenting(by_stranger=True),
        r"does not trust the authority of this client's certificate; name it there: server_context\(client_ca=\)",
    ),
    "expired client": (demanding, presenting(expired=True), "this client's certificate, which has expired; renew it"),
    "old server": (old(serving()), calling, "the server takes no version of TLS that this client's context offers"),
}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_of_a_server_names_the_reason(certificates, name: str) -> None:
    """Other TLS libraries send alerts, in TLS 1.3 after the client's own handshake is done."""
    make, client, text = ALERTS[name]

    def shake_hands(listener: socket.socket) -> None:
        near, _ = listener.accept()
        with near, suppress(OSError):
            make(certificates).wrap_socket(near, server_side=True).recv(1)

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            served = asyncio.ensure_future(asyncio.to_thread(shake_hands, listener))
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            with pytest.raises(Unavailable, match=text):
                await RpcClient.connect(address, tls=client(certificates), config=CONFIG)
            await served

    asyncio.run(main())


@pytest.mark.parametrize(
    ("client", "text"),
    [
        (
            lambda certificates: client_context(certificates.stranger),
            "client does not trust the authority of this serv",
        ),
        (old(calling), "client offers no version of TLS"),
    ],
    ids=["untrusted server", "old client"],
)
def test_an_alert_of_a_client_names_the_reason(certificates, caplog, eventually, client, text: str) -> None:
    def shake_hands(address: tuple[str, int]) -> None:
        with socket.create_connection(address) as near, suppress(OSError):
            client(certificates).wrap_socket(near, server_hostname="localhost").recv(1)

    async def main() -> None:
        async with RpcServer("127.0.0.1:0", tls=server_context(*certificates.server), config=CONFIG) as server:
            await asyncio.to_thread(shake_hands, (server._bind.host, int(server.address.rpartition(":")[2])))
            await eventually(lambda: text in caplog.text)

    asyncio.run(main())


def test_a_tls_alert_tells_a_plain_client_what_is_missing(world) -> None:
    """Go's TLS, for instance, answers what is no handshake with an alert."""

    async def alert(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x15\x03\x01\x00\x02\x02\x46")
        writer.close()

    async def main() -> None:
        listener = await asyncio.start_server(alert, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="answered with a TLS alert, so it takes TLS alone; give this end tls="):
            await RpcClient.connect(f"127.0.0.1:{port}", config=CONFIG)
        listener.close()

    world.run(main())
