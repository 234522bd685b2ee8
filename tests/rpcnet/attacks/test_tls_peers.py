"""Peers that cannot agree on TLS: in the clear, with an old version, with a certificate that is not to be trusted.

Real sockets and real TLS: the simulator runs the same handshakes in tests of its own.
"""

import asyncio
import logging
import ssl
from datetime import UTC, datetime

import pytest
import trustme

from rpcnet import RpcClient, RpcConfig, Unavailable
from rpcnet.wire.frame import GOAWAY, HELLO, decode_goaway, decode_hello
from tests.rpcnet.attacks.raw import CONFIG, GREETING, Raw, Target, call, warnings_of

LONG_AGO = {"not_before": datetime(2001, 1, 1, tzinfo=UTC), "not_after": datetime(2001, 2, 1, tzinfo=UTC)}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serving(authority: trustme.CA, *, mutual: bool = False, **dates: datetime) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", **dates).configure_cert(context)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


def calling(authority: trustme.CA, certificate: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    if certificate is not None:
        certificate.configure_cert(context)
    return context


def test_a_plain_peer_of_a_tls_server_is_hung_up_on(authority: trustme.CA, caplog) -> None:
    async def main() -> None:
        async with Target.open(tls=(serving(authority), calling(authority))) as target:
            raw = await target.attacker(GREETING + call(1))
            assert await raw.read_to_the_end() == []
            with pytest.raises(Unavailable):
                await RpcClient.connect(target.server.address, config=CONFIG)

    with caplog.at_level(logging.WARNING, "rpcnet"):
        asyncio.run(main())


def test_a_silent_peer_of_a_tls_server_is_given_the_handshake_time(authority: trustme.CA) -> None:
    async def main() -> None:
        async with Target.open(tls=(serving(authority), calling(authority))) as target:
            raw = await target.attacker(b"\x16\x03")
            assert await raw.read_to_the_end() == []

    asyncio.run(main())


def test_a_tls_peer_of_a_plain_server_is_told_in_the_clear(authority: trustme.CA, caplog) -> None:
    async def main() -> None:
        async with Target.open() as target:
            with pytest.raises(Unavailable):
                await RpcClient.connect(target.server.address, tls=calling(authority), config=CONFIG)

    with caplog.at_level(logging.WARNING, "rpcnet"):
        asyncio.run(main())
    assert len(warnings_of(caplog, "server connection")) == 1


def test_a_tls_1_2_peer_can_read_why_it_is_refused(authority: trustme.CA, caplog) -> None:
    """It gets the preface, HELLO and GOAWAY through the TLS that it speaks."""

    async def main() -> None:
        old = calling(authority)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        async with Target.open(tls=(serving(authority), calling(authority))) as target:
            raw = await target.attacker(GREETING + call(1), ssl=old, server_hostname="127.0.0.1")
            greeting = await raw.read_until(HELLO)
            assert decode_hello(greeting[3]).max_streams == CONFIG.max_streams
            last, status, text = decode_goaway((await raw.read_until(GOAWAY))[3])
            assert (last, status, "TLSv1.2" in text) == (0, 13, True)
            await raw.close()

    with caplog.at_level(logging.WARNING, "rpcnet"):
        asyncio.run(main())
    assert len(warnings_of(caplog, "TLSv1.2")) == 1


def test_a_tls_peer_that_breaks_a_rule_reads_its_farewell(authority: trustme.CA) -> None:
    """TLS has no half-close: the server waits a moment for the peer, whatever is unread."""

    async def main() -> None:
        async with Target.open(tls=(serving(authority), calling(authority))) as target:
            raw = await target.attacker(b"GET" + bytes(2 << 20), ssl=calling(authority), server_hostname="127.0.0.1")
            last, status, text = decode_goaway((await raw.read_until(GOAWAY))[3])
            assert (last, status, "does not speak rpcnet" in text) == (0, 13, True)
            await raw.close()

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["expired", "foreign", "none"])
def test_a_client_certificate_that_is_not_trusted_is_refused(authority: trustme.CA, kind: str) -> None:
    certificates = {
        "expired": lambda: authority.issue_cert("client@example.org", **LONG_AGO),
        "foreign": lambda: trustme.CA().issue_cert("client@example.org"),
        "none": lambda: None,
    }

    async def main() -> None:
        good = calling(authority, authority.issue_cert("client@example.org"))
        bad = calling(authority, certificates[kind]())
        async with Target.open(tls=(serving(authority, mutual=True), good)) as target:
            with pytest.raises(Unavailable):
                await RpcClient.connect(target.server.address, tls=bad, config=RpcConfig(connect_timeout=10))

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["expired", "foreign"])
def test_a_server_certificate_that_is_not_trusted_is_refused(authority: trustme.CA, kind: str, caplog) -> None:
    certificates = {
        "expired": lambda: serving(authority, **LONG_AGO),
        "foreign": lambda: serving(trustme.CA()),
    }

    async def main() -> None:
        lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        lenient.check_hostname = False
        lenient.verify_mode = ssl.CERT_NONE
        async with Target.open(tls=(certificates[kind](), lenient)) as target:
            with pytest.raises(Unavailable, match="certificate"):
                await RpcClient.connect(target.server.address, tls=calling(authority), config=CONFIG)

    with caplog.at_level(logging.WARNING, "rpcnet"):
        asyncio.run(main())


def test_a_tls_connection_that_is_cut_in_its_handshake_leaves_nothing(authority: trustme.CA) -> None:
    """At each of some bytes of what a client says first."""

    async def hello_of_a_client() -> bytes:
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def listen(reader: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
            heard.set_result(await reader.read(4096))
            writing.transport.abort()

        async with await asyncio.start_server(listen, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            with pytest.raises(Unavailable):
                await RpcClient.connect(f"127.0.0.1:{port}", tls=calling(authority), config=CONFIG)
            return await heard

    async def main() -> None:
        first = await hello_of_a_client()
        async with Target.open(tls=(serving(authority), calling(authority))) as target:
            for end in range(1, len(first), 40):
                raw: Raw = await target.attacker(first[:end])
                await asyncio.sleep(0)
                await raw.close()

    asyncio.run(main())
