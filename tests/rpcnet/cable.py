"""A cable between a client's connection and a server's: bytes in pieces of any size, cut after any byte.

Stands for the socket alone; both ends' protocols are the real ones. For tests/rpcnet/test_cut_anywhere.py.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

__all__ = ["Cable", "Cut"]

LATENCY = 0.001
PAUSE_BYTES = 64 * 1024
"""A protocol is asked to pause writing above this, and to go on below a quarter of it."""

Manner = Literal["reset", "end", "silence"]


@dataclass(frozen=True)
class Cut:
    """Where the cable breaks: after so many bytes from the client (0) or the server (1), and how the ends hear of it.

    reset: both ends lose the connection with an error. end: they lose it as after a close of the peer's. silence:
    nobody hears anything any more.
    """

    side: int
    after: int
    manner: Manner


class Cable:
    """One connection. `sizes` are those of the pieces in which bytes arrive."""

    def __init__(self, protocols: tuple[asyncio.BaseProtocol, asyncio.BaseProtocol], sizes: list[int], cut: Cut | None):
        self.cut = cut
        self.silent = self.was_cut = False
        self.ends = tuple(End(self, side, protocol, cycle(sizes)) for side, protocol in enumerate(protocols))
        for end in self.ends:
            end.loop.call_soon(end.protocol.connection_made, end)

    @property
    def is_over(self) -> bool:
        return all(end.gone for end in self.ends)

    def room(self, side: int) -> int | None:
        """How many bytes more may pass in this direction."""
        return None if self.cut is None or self.cut.side != side else self.cut.after - self.ends[side].passed

    def breaks(self) -> None:
        assert self.cut is not None, "who looks how much room there is finds a cut"
        self.was_cut = True
        if self.cut.manner == "silence":
            self.silent = True
            return
        error = ConnectionResetError("cut") if self.cut.manner == "reset" else None
        for end in self.ends:
            end.loop.call_later(LATENCY, end.lose, error)


class End(asyncio.Transport):
    """What one protocol writes to; its bytes arrive at the other end."""

    def __init__(self, cable: Cable, side: int, protocol: asyncio.BaseProtocol, sizes: Iterator[int]) -> None:
        super().__init__({"peername": ("cable", side)})
        self.loop = asyncio.get_running_loop()
        self.protocol: Any = protocol
        self.passed = 0
        self.gone = False
        self._cable, self._side, self._sizes = cable, side, sizes
        self._buffer = bytearray()
        self._moving = self._closing = self._paused = self._ending = self._ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or self._ending or self.gone:
            return
        self._buffer += data
        if len(self._buffer) > PAUSE_BYTES and not self._paused:
            self._paused = True
            self.protocol.pause_writing()
        self._move()

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Behind what was written, which still arrives."""
        self._closing = True
        self._move()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Behind what was written: nothing more comes from here, what the peer sends is still read."""
        self._ending = True
        self._move()

    def abort(self) -> None:
        self._closing = True
        self._buffer.clear()
        self._move()

    def lose(self, error: Exception | None) -> None:
        """The connection is over at this end."""
        if not self.gone:
            self.gone = self._closing = True
            self._buffer.clear()
            self.protocol.connection_lost(error)

    def _move(self) -> None:
        if not self._moving:
            self._moving = True
            self.loop.call_later(LATENCY, self._step)

    def _step(self) -> None:
        """One piece goes over, or the end of what was written."""
        self._moving = False
        if self.gone:
            return
        cable, other = self._cable, self._cable.ends[1 - self._side]
        if not self._buffer:
            if (self._closing or self._ending) and not self._ended:
                self._ended = True
                if not cable.silent:
                    self.loop.call_soon(_end_of_input, other)
            if self._closing:
                self.lose(None)
            return
        if cable.silent:
            return
        room = cable.room(self._side)
        piece = bytes(self._buffer[: min(next(self._sizes), room) if room is not None else next(self._sizes)])
        del self._buffer[: len(piece)]
        self.passed += len(piece)
        if piece and not other.gone:
            other.protocol.data_received(piece)
        if cable.room(self._side) == 0 and not cable.silent:
            cable.breaks()
            return
        if self._paused and len(self._buffer) < PAUSE_BYTES // 4:
            self._paused = False
            self.protocol.resume_writing()
        self._move()


def _end_of_input(end: End) -> None:
    if not end.gone and not end.protocol.eof_received():
        end.close()
