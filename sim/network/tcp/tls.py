"""A connection whose bytes are enciphered, as far as the trace and the clock are concerned.

Ciphertext is another one in every run, and so is the length of a handshake: a signature of ECDSA has 70 to 72 bytes, a
session ticket some more or fewer. So the bytes of the trace have no checksum here, and a flight of the handshake is
told, and takes a link's time, as if it had HANDSHAKE_BYTES. Records of the application have a length that follows from
what it wrote, and count as they are.
"""

import math
from typing import Any

from sim.network.fabric import Path
from sim.network.tcp.endpoint import Endpoint
from sim.network.tcp.losses import Segment

__all__ = ["HANDSHAKE_BYTES", "Veiled", "veil"]

HANDSHAKE_BYTES = 2048
"""A server's flight with two certificates of ECDSA; a client's first one has 517."""


class Veil:
    """What is known of one direction."""

    __slots__ = ("handshake_ends", "told")

    def __init__(self) -> None:
        self.handshake_ends = math.inf
        """How many bytes of the stream belong to it."""
        self.told: dict[int, int] = {}
        """Line of `sent` → bytes that were told, until it is received."""


class Veiled(Endpoint):
    """What an endpoint becomes."""

    __slots__ = ()

    def send(self, data: bytes) -> int:
        self._demand_open()
        rest = self._veil.handshake_ends - self._accepted
        if not 0 < rest < len(data):
            return self._take_in(data)
        # What follows the handshake is a segment of its own, whose length does not depend on it.
        cut = int(rest)
        taken = self._take_in(data[:cut])
        return taken + self._take_in(data[cut:]) if taken == cut else taken

    def _between(self, first: int, last: int) -> int:
        # A handshake's take none, as nobody knows how many they are.
        return last - max(first, int(min(last, self._veil.handshake_ends)))

    def _trace_sent(self, data: bytes) -> int:
        veil, network = self._veil, self.network
        size = HANDSHAKE_BYTES if self._transmitted <= veil.handshake_ends else len(data)
        now = network.schedule.now + self.host.ahead
        line = self._next_line()
        self._append((self._sent, now, self._node, network.cause[0], self._to, "tcp", size, 0))
        veil.told[line] = size
        return line

    def _over_a_bad_way(self, path: Path, now: float, data: bytes, line: int) -> Segment:
        segment = super()._over_a_bad_way(path, now, bytes(self._veil.told.get(line, len(data))), line)
        segment[1] = data
        return segment


def veil(endpoint: Endpoint) -> Veil:
    """From now on its program writes ciphertext; the caller says where the handshake ends."""
    found = endpoint._veil = Veil()
    endpoint.__class__ = Veiled
    peer = endpoint.peer
    append, received, told = peer._append, peer._received, found.told

    def tell(record: tuple[Any, ...]) -> None:
        """As much is received as was told when it was sent; see tcp.land for the fields."""
        size = told.pop(record[3], None) if record[0] == received else None
        append(record if size is None else (*record[:-1], size))

    peer._append = tell
    return found
