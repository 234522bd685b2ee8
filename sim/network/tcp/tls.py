"""What TLS changes for the trace and the clock: one direction of a connection whose bytes are enciphered.

Ciphertext differs in every run, and so does the length of a handshake: a signature of ECDSA has 70 to 72 bytes, a
session ticket some more or fewer. So the trace has no checksum of these bytes, and a flight of the handshake is told,
and takes a link's time, as if it had HANDSHAKE_BYTES. Records of the application have a length that follows from what
it wrote, and count as they are. Knows no TLS: whoever writes it says where the handshake ends. Tests:
tests/sim/network/tcp/test_tls.py.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.network.tcp.endpoint import Endpoint

__all__ = ["HANDSHAKE_BYTES", "Veil"]

HANDSHAKE_BYTES = 2048
"""A server's flight with two certificates of ECDSA; a client's first one has 517."""


class Veil:
    """Of the bytes that one endpoint sends. Made before anything is sent."""

    __slots__ = ("_handshake_ends", "_told")

    def __init__(self, endpoint: Endpoint) -> None:
        self._handshake_ends = math.inf
        """How many bytes of the stream belong to it."""
        self._told: dict[int, int] = {}
        """Line of `sent` → bytes that were told, until it is received."""
        peer = endpoint.peer
        append, received, told = peer.append, peer.received, self._told

        def tell(record: tuple[Any, ...]) -> None:
            """As much is received as was told when it was sent; see tcp.endpoint.land for the fields."""
            size = told.pop(record[3], None) if record[0] == received else None
            append(record if size is None else (*record[:-1], size))

        peer.append = tell

    def handshake_ends(self, written: int) -> None:
        """Its last byte is the last of so many that the stream will have then."""
        self._handshake_ends = written

    def rest(self, written: int) -> float:
        """How many bytes of the handshake come after so many of the stream; infinity while it goes on."""
        return self._handshake_ends - written

    def between(self, first: int, last: int) -> int:
        """Bytes that take room in a buffer: a handshake's take none, as nobody knows how many they are."""
        return last - max(first, int(min(last, self._handshake_ends)))

    def told_of(self, line: int, size: int, transmitted: int) -> int:
        """What the trace tells of a segment of that size, which is `transmitted` with all before it."""
        self._told[line] = told = HANDSHAKE_BYTES if transmitted <= self._handshake_ends else size
        return told

    def size(self, line: int, size: int) -> int:
        """What was told of the segment with that line of `sent`."""
        return self._told.get(line, size)
