"""The contexts that rpcnet makes, contexts of users, which it leaves alone, and ALPN between the two."""

import asyncio
import logging
import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from rpcnet import RpcClient, RpcServer, Unavailable, current_call
from rpcnet.tls import ALPN, client_context, server_context
from tests.rpcnet.certificates import Certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def user_contexts(certificates: Certificates, *protocols: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's, as a user makes them."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(*certificates.server)
    calling = ssl.create_default_context(cafile=certificates.ca)
    if protocols:
        serving.set_alpn_protocols(protocols)
        calling.set_alpn_protocols(protocols)
    return serving, calling


async def who(payload: bytes) -> bytes:
    return repr(current_call().peer.certificate).encode()


async def ask(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> bytes:
    server = RpcServer("127.0.0.1:0", tls=server_tls)
    server.register("who", who)
    async with server, RpcClient.connect(server.address, tls=client_tls) as client:
        return await client.call("who")


def test_made_contexts_carry_a_call_with_our_protocol(world, certificates) -> None:
    serving, calling = server_context(*certificates.server), client_context(certificates.ca)
    assert world.run(ask(serving, calling)) == b"None"
    assert serving.minimum_version == calling.minimum_version == ssl.TLSVersion.TLSv1_3
    assert agreed(serving, calling) == ALPN


def agreed(serving: ssl.SSLContext, calling: ssl.SSLContext) -> str | None:
    """The ALPN protocol that two contexts agree on, in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = calling.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    while waiting:
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    assert client.selected_alpn_protocol() == server.selected_alpn_protocol()
    return client.selected_alpn_protocol()


def test_a_client_authority_demands_a_client_certificate(world, certificates) -> None:
    serving = server_context(*certificates.server, client_ca=certificates.ca)
    certificate, key = certificates.client
    assert b"client@example.org" in world.run(
        ask(serving, client_context(certificates.ca, certificate=certificate, key=key))
    )
    with pytest.raises(Unavailable, match="client_context"):
        world.run(ask(serving, client_context(certificates.ca)))


def test_without_an_authority_those_of_the_machine_count(monkeypatch, certificates) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    assert agreed(server_context(*certificates.server), client_context()) == ALPN
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.stranger))
    with pytest.raises(ssl.SSLCertVerificationError):
        agreed(server_context(*certificates.server), client_context())


def encrypted(certificates: Certificates) -> Path:
    key = serialization.load_pem_private_key(certificates.server.key.read_bytes(), None)
    path = certificates.folder / "encrypted.key"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return path


def test_files_that_are_missing_or_do_not_fit_are_named(certificates) -> None:
    certificate, key = certificates.server
    missing, broken = certificates.folder / "missing.pem", certificates.folder / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n")
    for make, kind, text in [
        (lambda: server_context(missing, key), FileNotFoundError, "certificate: No such file .*missing.pem"),
        (lambda: server_context(certificate, missing), FileNotFoundError, "key: No such file .*missing.pem"),
        (lambda: server_context(certificates.folder, key), IsADirectoryError, "certificate: Is a directory"),
        (lambda: server_context(key, key), ValueError, "certificate: .* holds no certificate"),
        (lambda: server_context(certificate, certificate), ValueError, "key: .* holds no private key"),
        (lambda: server_context(certificate, certificates.client.key), ValueError, "is not the key of the certificate"),
        (lambda: server_context(certificate, encrypted(certificates)), ValueError, "key: .* is encrypted"),
        (lambda: server_context(broken, key), ValueError, "broken.pem.* cannot be taken"),
        (lambda: server_context(certificate, key, client_ca=missing), FileNotFoundError, "client_ca: .*missing.pem"),
        (lambda: server_context(certificate, key, client_ca=key), ValueError, "client_ca: .* holds no certificate"),
        (lambda: client_context(missing), FileNotFoundError, "ca: No such file"),
        (lambda: client_context(broken), ValueError, "ca: .*broken.pem.* cannot be taken"),
        (lambda: client_context(certificate=certificate), ValueError, "certificate= was given without key="),
        (lambda: client_context(key=key), ValueError, "key= was given without certificate="),
    ]:
        with pytest.raises(kind, match=text):
            make()


def test_a_context_of_the_other_side_is_refused_at_once(certificates) -> None:
    serving, calling = server_context(*certificates.server), client_context(certificates.ca)
    with pytest.raises(ValueError, match=r"rpcnet\.tls\.server_context"):
        RpcServer("127.0.0.1:0", tls=calling)
    with pytest.raises(TypeError, match=r"tls must be an ssl\.SSLContext, not bool"):
        RpcServer("127.0.0.1:0", tls=True)  # type: ignore[arg-type]

    async def main() -> None:
        with pytest.raises(ValueError, match=r"rpcnet\.tls\.client_context"):
            await RpcClient.connect("127.0.0.1:1", tls=serving)
        with pytest.raises(TypeError, match="not str"):
            await RpcClient.connect("127.0.0.1:1", tls="client.pem")  # type: ignore[arg-type]

    asyncio.run(main())


def test_a_context_shared_with_others_keeps_its_protocols(certificates) -> None:
    serving, calling = user_contexts(certificates)
    web, browser = user_contexts(certificates, "http/1.1")
    asyncio.run(ask(serving, browser))
    asyncio.run(ask(web, calling))
    assert agreed(web, browser) == "http/1.1"
    assert agreed(serving, browser) is None


@pytest.mark.parametrize("made", ["neither", "server", "client"])
def test_no_agreed_protocol_is_accepted(world, certificates, made: str) -> None:
    serving, calling = user_contexts(certificates)
    if made == "server":
        serving = server_context(*certificates.server)
    elif made == "client":
        calling = client_context(certificates.ca)
    assert agreed(serving, calling) is None
    world.run(ask(serving, calling))


def test_another_agreed_protocol_is_refused_at_both_ends(world, certificates, caplog) -> None:
    serving, calling = user_contexts(certificates, "h2", "http/1.1")
    with caplog.at_level(logging.WARNING, "rpcnet"):
        with pytest.raises(Unavailable, match="ALPN protocol 'h2' was agreed on, rpcnet's is 'rpcnet/1'"):
            world.run(ask(serving, calling))
    for side in ("server", "client"):
        assert any(line.startswith(f"{side} connection 127.0.0.1:") and "'h2'" in line for line in caplog.messages), (
            caplog.messages
        )


def test_tls_over_a_unix_socket_goes_by_the_name_localhost(certificates, tmp_path) -> None:
    async def main() -> None:
        server = RpcServer(f"unix:{tmp_path}/s", tls=server_context(*certificates.server))
        server.register("who", who)
        async with server, RpcClient.connect(server.address, tls=client_context(certificates.ca)) as client:
            assert await client.call("who") == b"None"
        assert os.listdir(tmp_path) == []

    asyncio.run(main())
