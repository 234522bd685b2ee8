"""Addresses as text: `127.0.0.1:0`, `[::1]:0`, `name:port`, `unix:/run/x.sock`. Resolves nothing."""

from dataclasses import dataclass
from ipaddress import ip_address

__all__ = ["Address", "InsecureAddressError", "parse"]


class InsecureAddressError(ValueError):
    """Not loopback, no TLS, and the config does not say `insecure=True`."""


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
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether nobody else on a network can listen in. A name other than localhost may resolve to anything."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def check_secure(self, has_tls: bool, insecure: bool) -> None:
        if not (has_tls or insecure or self.is_local):
            raise InsecureAddressError(
                f"{self} is not a loopback address and no TLS is configured; give tls=, or RpcConfig(insecure=True)"
            )


def parse(text: str) -> Address:
    """Read an address; ValueError says what is wrong with it."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise ValueError("address 'unix:' names no path; write unix:/run/name.sock")
        return Address("", 0, path)
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"address {text!r}: write an IPv6 address in brackets, as in [::1]:7000")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"address {text!r} is not HOST:PORT or unix:PATH (port 0 to 65535)")
    return Address(host, int(port), "")
