"""Addresses as text: `127.0.0.1:0`, `[::1]:0`, `name:port`, `unix:/run/x.sock`. Resolves nothing.

Tests: tests/rpcnet/test_address.py.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

__all__ = [
    "NAME",
    "Address",
    "AddressInUse",
    "InsecureAddressError",
    "is_literal",
    "is_loopback",
    "is_name",
    "join_host_port",
    "parse",
    "peer_text",
    "split_host_port",
]


MAX_NAME: Final = 128
NAME: Final = f"printable text of 1 to {MAX_NAME} characters"
"""What a cluster and its members may be called."""


class InsecureAddressError(ValueError):
    """Not loopback, no TLS, and the config does not say `insecure=True`."""


class AddressInUse(OSError):
    """Somebody listens at this address already (EADDRINUSE). Other reasons for which one cannot keep their OSError."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    """Empty for a Unix socket."""
    port: int
    path: str
    """Of a Unix socket, else empty."""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return join_host_port(self.host, self.port)

    @property
    def is_local(self) -> bool:
        """Whether nobody else on a network can listen in. A name other than localhost may resolve to anything."""
        return bool(self.path) or self.host == "localhost" or is_loopback(self.host)

    def check_secure(self, has_tls: bool, insecure: bool) -> None:
        if not (has_tls or insecure or self.is_local):
            raise InsecureAddressError(
                f"{self} is not a loopback address and no TLS is configured; give tls=, or RpcConfig(insecure=True)"
            )


def parse(text: str) -> Address:
    """Read an address; ValueError says what is wrong with it. TypeError where it is no text."""
    if not isinstance(text, str):
        raise TypeError(f"an address is text, HOST:PORT or unix:PATH, not {type(text).__name__}")
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise ValueError("address 'unix:' names no path; write unix:/run/name.sock")
        return Address("", 0, path)
    return Address(*split_host_port(text), "")


def split_host_port(text: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`; ValueError says what is wrong, TypeError that it is no text."""
    if not isinstance(text, str):
        raise TypeError(f"an address is text, HOST:PORT, not {text!r}")
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r} is no HOST:PORT; write an IPv6 address in brackets, as in [::1]:7000")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"{text!r} is no HOST:PORT with a port from 0 to 65535")
    return host, int(port)


def peer_text(name: object) -> str:
    """The other end of a transport as text; `name` is its `peername`. A Unix client mostly has none."""
    if isinstance(name, tuple) and len(name) >= 2:
        return join_host_port(str(name[0]), int(name[1]))
    return f"unix:{name if isinstance(name, str) else ''}"


def join_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_literal(host: str) -> bool:
    """Whether it is an address itself, and no name."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether it is an address of this machine alone; a name may resolve to anything."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def is_name(name: object) -> bool:
    """Whether a cluster or a member may be called so. Surrogates, which UTF-8 cannot hold, are not printable."""
    return isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable()
