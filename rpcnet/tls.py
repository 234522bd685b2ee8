"""TLS contexts as rpcnet wants them: TLS 1.3, our ALPN protocol, certificates checked by name and authority.

`server_context` and `client_context` are for those who have certificates in PEM files and no other wishes. RpcServer
and RpcClient take any SSLContext and change nothing of it: one that is shared with an HTTPS client keeps its ALPN
protocols. Knows no connection; what a failed handshake means is rpcnet/handshake.py's matter.

Tests: tests/rpcnet/test_tls.py; docs/howto/tls.md is run by tests/rpcnet/test_howto_tls.py.
"""

import os
import ssl
from pathlib import Path
from typing import Final, NoReturn, TypeAlias

__all__ = ["ALPN", "client_context", "server_context"]

ALPN: Final = "rpcnet/1"
"""The protocol that both ends offer. Another one that is agreed on is refused; where none is, the preface decides."""

File: TypeAlias = str | os.PathLike[str]


def server_context(certificate: File, key: File, *, client_ca: File | None = None) -> ssl.SSLContext:
    """A context for `RpcServer(tls=)`: TLS 1.3 with ALPN `rpcnet/1`. All three are PEM files.

    certificate: the server's, followed by those between it and its authority. key: its private key, not encrypted.
    client_ca: authorities of clients; where it is given, each client must present a certificate of one of them.

    Raises OSError, FileNotFoundError for instance, where a file cannot be read, and ValueError where it holds something
    else or the key is not that of the certificate. Both name the file.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    _load_identity(context, certificate, key)
    if client_ca is not None:
        _load_authorities(context, "client_ca", client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    ca: File | None = None, *, certificate: File | None = None, key: File | None = None
) -> ssl.SSLContext:
    """A context for `RpcClient.connect(tls=)`: TLS 1.3 with ALPN `rpcnet/1`. All three are PEM files.

    ca: authorities whose servers are trusted; left out, those that this machine trusts. certificate and key: what this
    client presents to a server that asks for it (`server_context(client_ca=)`).

    The server's certificate must hold the host of the address, `localhost` for a Unix socket. Raises what
    `server_context` raises, and ValueError where only one of certificate and key is given.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authorities(context, "ca", ca)
    if certificate is not None and key is not None:
        _load_identity(context, certificate, key)
    elif certificate is not None or key is not None:
        given, missing = ("key", "certificate") if certificate is None else ("certificate", "key")
        raise ValueError(f"{given}= was given without {missing}=; a client that presents a certificate needs both")
    return context


def check_context(context: ssl.SSLContext | None, side: str) -> None:
    """Whether `tls=` of a server or a client can work: TypeError, or ValueError for a context of the other side."""
    if context is None:
        return
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"tls must be an ssl.SSLContext, not {type(context).__name__}; rpcnet.tls makes them")
    other = {"server": ssl.PROTOCOL_TLS_CLIENT, "client": ssl.PROTOCOL_TLS_SERVER}[side]
    if context.protocol == other:
        raise ValueError(
            f"tls is a context of the other side ({other.name}); make a {side}'s: rpcnet.tls.{side}_context"
        )


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    return context


def _load_identity(context: ssl.SSLContext, certificate: File, key: File) -> None:
    _demand("certificate", certificate, b"CERTIFICATE-----", "certificate")
    _demand("key", key, b"PRIVATE KEY-----", "private key")

    def no_password() -> NoReturn:
        # Without it OpenSSL would ask for one at the terminal.
        raise ValueError(f"key: {os.fspath(key)!r} is encrypted; decrypt it, for instance with `openssl pkey`")

    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            text = f"key: {os.fspath(key)!r} is not the key of the certificate {os.fspath(certificate)!r}"
        else:
            text = (
                f"certificate {os.fspath(certificate)!r} and key {os.fspath(key)!r} cannot be taken:"
                f" {error.reason or error}"
            )
        raise ValueError(text) from None


def _load_authorities(context: ssl.SSLContext, argument: str, file: File) -> None:
    _demand(argument, file, b"CERTIFICATE-----", "certificate")
    try:
        context.load_verify_locations(file)
    except ssl.SSLError as error:
        raise ValueError(f"{argument}: {os.fspath(file)!r} cannot be taken: {error.reason or error}") from None


def _demand(argument: str, file: File, mark: bytes, what: str) -> None:
    """Whether the file can be read and holds such a thing: ssl says neither which file it means nor what is in it."""
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise OSError(error.errno, f"{argument}: {error.strerror}", os.fspath(file)) from None
    if mark not in content:
        raise ValueError(f"{argument}: {os.fspath(file)!r} holds no {what} in PEM form (-----BEGIN …-----)")
