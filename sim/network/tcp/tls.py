"""What TLS changes for the trace and the clock: one direction of a connection whose bytes are enciphered.

Ciphertext differs in every run, and so does the length of a handshake: a signature of ECDSA has 70 to 72 bytes, a
session ticket some more or fewer. So the trace has no checksum of these bytes, and a flight of the handshake is
recorded, and takes a link's time, as if it had HANDSHAKE_BYTES. Records of the application have a length that follows
from what it wrote, and count as they are. Knows no TLS: whoever writes it says where the handshake ends.

Tests: tests/sim/network/tcp/test_tls.py.
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

    __slots__ = ("_handshake_ends", "_recorded_sizes")

    def __init__(self, endpoint: Endpoint) -> None:
        self._handshake_ends = math.inf
        """How many bytes of the stream belong to it."""
        self._recorded_sizes: dict[int, int] = {}
        """Trace line of a `sent` → the size that it records, until the segment is received."""
        peer = endpoint.peer
        append, received, sizes = peer.append, peer.received, self._recorded_sizes

        def append_with_size(record: tuple[Any, ...]) -> None:
            """Record the same size for `received` as for its `sent`; see tcp.endpoint.land for the fields."""
            size = sizes.pop(record[3], None) if record[0] == received else None
            append(record if size is None else (*record[:-1], size))

        peer.append = append_with_size

    def handshake_ends(self, written: int) -> None:
        """Its last byte is the last of so many that the stream will have then."""
        self._handshake_ends = written

    def rest(self, written: int) -> float:
        """How many bytes of the handshake come after so many of the stream; infinity while it goes on."""
        return self._handshake_ends - written

    def between(self, first: int, last: int) -> int:
        """Bytes that take room in a buffer: a handshake's take none, as nobody knows how many they are."""
        return last - max(first, int(min(last, self._handshake_ends)))

    def size_to_record(self, line: int, size: int, transmitted: int) -> int:
        """The size to record for a segment; `transmitted`: bytes of the stream up to its end."""
        self._recorded_sizes[line] = recorded = HANDSHAKE_BYTES if transmitted <= self._handshake_ends else size
        return recorded

    def size(self, line: int, size: int) -> int:
        """The size that the trace line of that `sent` records."""
        return self._recorded_sizes.get(line, size)
