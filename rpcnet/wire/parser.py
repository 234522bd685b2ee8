"""The frame parser: bytes in, frames out.

Knows the header layout and one limit, the longest frame that this end accepts. Knows no stream, no transport, no
clock. A header is judged before its payload is buffered, so a false length costs the sender, not us. Frames before a
mistake are still handed out, so that cutting the bytes elsewhere changes nothing; after a mistake nothing is read
any more.

Layout and golden vectors: docs/protocol.md. Tests: tests/rpcnet/wire/test_parser.py.
"""

from rpcnet.errors import ProtocolError
from rpcnet.wire.frame import HEADER, HEADER_BYTES, NAMES, PREFACE, Frame

__all__ = ["Parser"]

_unpack = HEADER.unpack_from


class Parser:
    """Feed it with `receive`; look at `error` after its frames have been handled."""

    __slots__ = ("_buffer", "_greeted", "_need", "cut_frames", "error", "max_frame_bytes")

    def __init__(self, max_frame_bytes: int) -> None:
        self.max_frame_bytes = max_frame_bytes
        self.error: ProtocolError | None = None
        self.cut_frames = 0
        """How many frames did not end in the read in which they began: it grows when the buffer holds another one."""
        self._buffer = bytearray()
        self._need = len(PREFACE)
        self._greeted = False

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that is not complete: all that has come since its first byte."""
        return len(self._buffer)

    def receive(self, data: bytes) -> list[Frame]:
        """Take in what was read and return the frames that it completes; types that we do not know are skipped."""
        if self.error is not None:
            return []
        goes_on = False
        if self._buffer:
            goes_on = True  # the first frame here was counted when its first byte came
            # Appending to a bytearray is linear in total, and nothing is looked at before there is enough of it.
            self._buffer += data
            if len(self._buffer) < self._need and self._greeted:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        at = 0
        if not self._greeted:
            self._greet(data)
            if not self._greeted:
                return []
            at = len(PREFACE)
        return self._frames(data, at, goes_on)

    def _greet(self, data: bytes) -> None:
        """Check the preface, or as much as there is of it: whoever speaks something else is known at the first byte."""
        if not data.startswith(PREFACE[: len(data)]):
            self.error = ProtocolError(_foreign(data))
        elif len(data) < len(PREFACE):
            self._buffer += data
        else:
            self._greeted = True

    def _frames(self, data: bytes, at: int, goes_on: bool) -> list[Frame]:
        frames: list[Frame] = []
        size = len(data)
        self._need = HEADER_BYTES
        while size - at >= HEADER_BYTES:
            length, kind, flags, stream = _unpack(data, at)
            if length > self.max_frame_bytes:
                self.error = ProtocolError(
                    f"frame of {length} bytes (type {kind}) exceeds what this end accepts ({self.max_frame_bytes})"
                )
                return frames
            stop = at + HEADER_BYTES + length
            if stop > size:
                self._need = HEADER_BYTES + length
                break
            if kind in NAMES:
                frames.append((kind, flags, stream, data[at + HEADER_BYTES : stop]))
            at = stop
        if at < size:
            self._buffer += data[at:]
            if at or not goes_on:
                self.cut_frames += 1
        return frames


def _foreign(data: bytes) -> str:
    """What somebody speaks who opened with these bytes instead of the preface."""
    if data[1:2] in {b"", b"\x03"}:  # the major version of every TLS record
        if data[:1] == b"\x16":
            return "peer opened with a TLS handshake, but this end has no TLS; give it tls=, or the peer none"
        if data[:1] == b"\x15":
            return "peer answered with a TLS alert, so it takes TLS alone; give this end tls= (rpcnet.tls)"
    return f"peer does not speak rpcnet: it opened with {bytes(data[:8])!r}"
