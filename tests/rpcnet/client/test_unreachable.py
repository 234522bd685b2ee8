"""Errors of connecting: the address, the reason, what was tried; in both worlds where both have the situation."""

import asyncio
import errno
import os
import socket
import ssl
from typing import Any

import pytest

from rpcnet import RpcClient, RpcConfig, Unavailable
from rpcnet.address import parse
from rpcnet.client.unreachable import unreachable

TCP, UNIX = parse("host:1"), parse("unix:/run/x")


def several(*texts: str) -> OSError:
    """As asyncio puts the errors of several addresses together."""
    return OSError(f"Multiple exceptions: {', '.join(texts)}")


@pytest.mark.parametrize(
    ("error", "address", "has_tls", "text"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"),
            parse("127.0.0.1:1"),
            False,
            "connection refused, nobody listens there",
        ),
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"),
            TCP,
            True,
            "connection refused, nobody listens there (tried 127.0.0.1:1)",
        ),
        (
            several(
                "[Errno 111] Connect call failed ('::1', 1, 0, 0)", "[Errno 111] Connect call failed ('127.0.0.1', 1)"
            ),
            TCP,
            False,
            "connection refused, nobody listens there (tried [::1]:1 and 127.0.0.1:1)",
        ),
        (
            several(
                "[Errno 101] Connect call failed ('2001:db8::1', 1, 0, 0)",
                "[Errno 110] Connect call failed ('192.0.2.1', 1)",
            ),
            TCP,
            False,
            "no route to its network; no answer from the host (tried [2001:db8::1]:1 and 192.0.2.1:1)",
        ),
        (socket.gaierror(-2, "Name or service not known"), TCP, False, "the name 'host' was not found: Name or serv"),
        (OSError(errno.EMFILE, "Too many open files"), TCP, False, "this process has too many open files"),
        (OSError(errno.ENFILE, "File table overflow"), TCP, False, "this machine has too many open files"),
        (OSError(errno.EADDRNOTAVAIL, "?"), TCP, False, os.strerror(errno.EADDRNOTAVAIL).lower()),
        (OSError("getaddrinfo() returned empty list"), TCP, False, "getaddrinfo() returned empty list"),
        (OSError(), TCP, False, "OSError"),
        (FileNotFoundError(errno.ENOENT, "No such file"), UNIX, False, "there is no such socket"),
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
            UNIX,
            False,
            "nobody listens there: its server has ended without removing it",
        ),
        (PermissionError(errno.EACCES, "Permission denied"), UNIX, False, "permission denied"),
        (ConnectionResetError(), TCP, True, "the server ended the TLS handshake without a reason"),
        (ssl.SSLCertVerificationError(1, "x"), TCP, True, "certificate"),
    ],
)
def test_a_reason_is_said_in_words(error: OSError, address: Any, has_tls: bool, text: str) -> None:
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_code, error.verify_message = 10, "certificate has expired"
    assert text in unreachable(error, address, has_tls)


async def refused(address: str, **options: Any) -> str:
    with pytest.raises(Unavailable) as raised:
        await RpcClient.connect(address, config=RpcConfig(insecure=True, connect_timeout=0.5), **options)
    return str(raised.value)


def test_where_nobody_listens_it_says_so(world: Any) -> None:
    async def main() -> None:
        listener = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        listener.close()
        await listener.wait_closed()
        assert await refused(f"127.0.0.1:{port}") == (
            f"127.0.0.1:{port} cannot be reached: connection refused, nobody listens there"
        )
        text = await refused(f"localhost:{port}")
        assert text.startswith(f"localhost:{port} cannot be reached: connection refused, nobody listens there (tried ")
        assert f"127.0.0.1:{port}" in text.partition("tried")[2]

    world.run(main())


def test_a_unix_path_without_a_server_says_so(world: Any, tmp_path: Any) -> None:
    path = tmp_path / "s"

    async def main() -> None:
        assert await refused(f"unix:{path}") == f"unix:{path} cannot be reached: there is no such socket"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        assert "nobody listens there: its server has ended" in await refused(f"unix:{path}")

    world.run(main())


@pytest.mark.own_sockets
def test_a_path_that_is_no_socket_says_so(tmp_path: Any) -> None:
    ordinary = tmp_path / "file"
    ordinary.write_text("")

    async def main() -> None:
        for path in (ordinary, tmp_path):
            assert await refused(f"unix:{path}") == f"unix:{path} cannot be reached: what is there is no socket"

    asyncio.run(main())


def test_a_name_that_is_not_found_says_so() -> None:
    import sim

    async def main() -> None:
        assert "nowhere:1 cannot be reached: the name 'nowhere' was not found" in await refused("nowhere:1")

    sim.run(main(), seed=1)


def test_a_host_that_does_not_answer_is_named_with_the_limit(world: Any) -> None:
    async def main() -> None:
        silent = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        text = await refused(f"127.0.0.1:{port}")
        assert text.startswith(f"127.0.0.1:{port} cannot be reached: ")
        assert "no HELLO within connect_timeout (0.5 s)" in text
        silent.close()

    world.run(main())
