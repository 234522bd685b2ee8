"""The server that a command is about: the flags that say how to reach it, the connection, and what it tells of itself.

Tests: tests/rpcnet/cli/test_remote.py.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from rpcnet import address as addresses
from rpcnet.cli.duration import seconds
from rpcnet.cli.exits import CommandError, nearest
from rpcnet.cli.pairs import pairs
from rpcnet.client import RpcClient
from rpcnet.config import RpcConfig
from rpcnet.errors import NotFound, PermissionDenied, Unauthenticated, Unavailable, Unimplemented
from rpcnet.reflection import DESCRIBE, LIST, MethodDescription
from rpcnet.tls import client_context

__all__ = ["Connection", "Remote", "connected"]

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""Of answers. The shell is no server: whoever asks for a large answer wants it."""
_FLAGS: Final = {
    "client_context(ca=)": "--tls-ca FILE",
    "client_context(certificate=, key=)": "--tls-cert and --tls-key",
    "give the client tls= (rpcnet.tls)": "add --tls-ca FILE or --tls",
    "leave tls= out at the client": "leave the --tls flags out",
}


@Parameter(name="*")
@dataclass(frozen=True)
class Remote:
    """How the server is reached."""

    tls: Annotated[bool, Parameter(help="Encrypt; trust the authorities of this machine.", negative="")] = False
    tls_ca: Annotated[Path | None, Parameter(help="Encrypt; trust the authorities in this PEM file.")] = None
    tls_cert: Annotated[Path | None, Parameter(help="Certificate of this client, a PEM file; with --tls-key.")] = None
    tls_key: Annotated[Path | None, Parameter(help="Its key, a PEM file.")] = None
    server_name: Annotated[
        str | None, Parameter(help="Name in the server's certificate, where it is not the host of ADDRESS.")
    ] = None
    insecure: Annotated[bool, Parameter(help="Allow addresses other than loopback without TLS.", negative="")] = False
    metadata: Annotated[tuple[str, ...], Parameter(help="KEY=VALUE, sent with the call; repeatable.", negative="")] = ()
    timeout: Annotated[
        str | None, Parameter(help="For all of it, connecting included: 3s, 500ms, 2m. No limit where left out.")
    ] = None


class Connection:
    """A client of the server, and what is left of the time."""

    def __init__(self, client: RpcClient, metadata: dict[str, str | bytes], left: Callable[[], float | None]) -> None:
        self.client = client
        self.metadata = metadata
        self.left = left
        """Seconds until --timeout is over; None without it."""

    async def described(self, method: str) -> MethodDescription | None:
        """What the server tells of a method; None where it tells nothing. Unimplemented where it has none."""
        try:
            return await self.client.call(
                DESCRIBE, method, response=MethodDescription, timeout=self.left(), metadata=self.metadata
            )
        except NotFound as error:
            names = [one.name for one in await self.listed("")]
            raise Unimplemented(f"{error}{nearest(method, names) or '; `rpcnet list` shows all'}") from None
        except (PermissionDenied, Unauthenticated, Unimplemented):
            return None

    async def listed(self, prefix: str) -> list[MethodDescription]:
        """The server's methods. PermissionDenied where it does not tell them."""
        stream = self.client.call_server_streaming(
            LIST, {"prefix": prefix}, response=MethodDescription, timeout=self.left(), metadata=self.metadata
        )
        return [one async for one in stream]


@asynccontextmanager
async def connected(address: str, remote: Remote) -> AsyncIterator[Connection]:
    """Connect. CommandError for what is wrong with the flags, RpcError where the server cannot be reached."""
    metadata: dict[str, str | bytes] = {**pairs("--metadata", remote.metadata)}
    limit = seconds("--timeout", remote.timeout)
    loop = asyncio.get_running_loop()
    start = loop.time()

    def left() -> float | None:
        return None if limit is None else limit - (loop.time() - start)

    client = _client(address, remote, limit)
    try:
        await client.open()
    except Unavailable as error:
        raise Unavailable(_in_flags(str(error))) from None
    async with client:
        yield Connection(client, metadata, left)


def _in_flags(text: str) -> str:
    """What a failed connection says to do, in flags instead of Python's arguments (rpcnet/handshake.py)."""
    for argument, flags in _FLAGS.items():
        text = text.replace(argument, flags)
    return text


def _client(address: str, remote: Remote, limit: float | None) -> RpcClient:
    config = RpcConfig(insecure=remote.insecure, max_message_bytes=MAX_MESSAGE_BYTES)
    if limit is not None:
        config = RpcConfig(
            insecure=remote.insecure,
            max_message_bytes=MAX_MESSAGE_BYTES,
            connect_timeout=max(min(limit, config.connect_timeout), 1e-6),
        )
    try:
        to = addresses.parse(address)
        context = _context(remote)
        options: dict[str, Any] = {}
        if remote.server_name is not None:
            if context is None:
                raise CommandError("--server-name is for TLS; add --tls or --tls-ca FILE")
            options["open_transport"] = _opener(to, context, remote.server_name)
        return RpcClient(address, tls=context, config=config, **options)
    except addresses.InsecureAddressError:
        raise CommandError(
            f"{address} is not a loopback address: encrypt with --tls-ca FILE or --tls, or add --insecure"
        ) from None
    except ValueError as error:
        raise CommandError(str(error)) from None


def _context(remote: Remote) -> ssl.SSLContext | None:
    if not (remote.tls or remote.tls_ca or remote.tls_cert or remote.tls_key):
        return None
    if (remote.tls_cert is None) is not (remote.tls_key is None):
        raise CommandError("--tls-cert and --tls-key go together")
    try:
        return client_context(remote.tls_ca, certificate=remote.tls_cert, key=remote.tls_key)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from None


def _opener(to: addresses.Address, context: ssl.SSLContext, name: str) -> Any:
    """Opens transports to a server whose certificate has another name than the address."""

    async def open_transport(protocol: Any) -> None:
        loop = asyncio.get_running_loop()
        if to.path:
            await loop.create_unix_connection(protocol, to.path, ssl=context, server_hostname=name)
        else:
            await loop.create_connection(protocol, to.host, to.port, ssl=context, server_hostname=name)

    return open_transport
