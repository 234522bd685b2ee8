"""Who is at the other end of a connection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Peer"]


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection."""

    address: str
    """`HOST:PORT`, `[IPv6]:PORT` or `unix:PATH`; empty for a call that is not on the wire."""
    certificate: Mapping[str, Any] | None = None
    """As ssl.SSLSocket.getpeercert() gives it; None without TLS, or where the peer showed none."""

    def __str__(self) -> str:
        return self.address
