"""The frame parser: bytes in, frames out.

Knows the header layout and one limit, the longest frame that this end accepts. Knows no stream, no transport, no
clock. A header is judged before its payload is buffered, so a false length costs the sender, not us. Frames before a
mistake are still handed out, so that cutting the bytes elsewhere changes nothing; after a mistake nothing is read
any more.

Layout and golden vectors: docs/protocol.md. Tests: tests/rpcnet/wire/test_parser.py.
"""

from typing import Any, Final

from rpcnet.errors import ProtocolError
from rpcnet.wire.frame import HEADER, HEADER_BYTES, NAMES, PREFACE, Frame

__all__ = ["Parser"]

_unpack = HEADER.unpack_from
BULK_BYTES: Final = 16 * 1024
"""Reads, and frames, from which on a body is copied out of the read; smaller ones are sliced from a copy of it."""


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

    def receive(self, data: bytes | memoryview) -> list[Frame]:
        """Take in what was read and return the frames that it completes; types that we do not know are skipped.

        A memoryview may be of a buffer that is used again: nothing of it is kept, and a large body is copied from it
        once.
        """
        if self.error is not None:
            return []
        if type(data) is memoryview and not self._is_bulk(data):
            data = bytes(data)
        if not self._greeted:
            if self._buffer:
                data = bytes(self._buffer) + data
                self._buffer.clear()
            self._greet(data)
            return self._frames(data, len(PREFACE), []) if self._greeted else []
        if not self._buffer:
            return self._frames(data, 0, [])
        frames: list[Frame] = []
        at = self._complete(data, frames)
        return frames if self.error is not None or at == len(data) else self._frames(data, at, frames)

    def _is_bulk(self, data: memoryview) -> bool:
        """Whether a read is so large, and the frame at its beginning, that slicing it costs less than copying it."""
        if len(data) < BULK_BYTES:
            return False
        return (self._need if self._buffer else _unpack(data, 0)[0]) >= BULK_BYTES

    def _complete(self, data: bytes | memoryview, frames: list[Frame]) -> int:
        """Add to the frame that is in the buffer what it lacks; returns how many bytes were taken."""
        buffer = self._buffer
        at = 0
        while True:
            # Appending to a bytearray is linear in total, and nothing is looked at before there is enough of it.
            lacks = self._need - len(buffer)
            buffer += data[at : at + lacks]
            at = min(at + lacks, len(data))
            if len(buffer) < self._need:
                return at
            length, kind, flags, stream = _unpack(buffer, 0)
            if self._need == HEADER_BYTES + length:
                break
            if length > self.max_frame_bytes:
                self._refuse(length, kind)
                buffer.clear()
                return at
            self._need = HEADER_BYTES + length
        if kind in NAMES:
            with memoryview(buffer) as whole, whole[HEADER_BYTES:] as body:
                frames.append((kind, flags, stream, bytes(body)))
        buffer.clear()
        return at

    def _refuse(self, length: int, kind: int) -> None:
        self.error = ProtocolError(
            f"frame of {length} bytes (type {kind}) exceeds what this end accepts ({self.max_frame_bytes})"
        )

    def _greet(self, data: bytes | memoryview) -> None:
        """Check the preface, or as much as there is of it: whoever speaks something else is known at the first byte."""
        begins = bytes(data[: len(PREFACE)])
        if not PREFACE.startswith(begins):
            self.error = ProtocolError(_foreign(bytes(data[:8])))
        elif len(begins) < len(PREFACE):
            self._buffer += begins
        else:
            self._greeted = True

    def _frames(self, data: bytes | memoryview, at: int, frames: list[Frame]) -> list[Frame]:
        """The frames from `at` on; what is left begins the next one."""
        size = len(data)
        is_view = type(data) is memoryview
        self._need = HEADER_BYTES
        while size - at >= HEADER_BYTES:
            length, kind, flags, stream = _unpack(data, at)
            if length > self.max_frame_bytes:
                self._refuse(length, kind)
                return frames
            stop = at + HEADER_BYTES + length
            if stop > size:
                self._need = HEADER_BYTES + length
                break
            if kind in NAMES:
                payload: Any = data[at + HEADER_BYTES : stop]
                frames.append((kind, flags, stream, bytes(payload) if is_view else payload))
            at = stop
        if at < size:
            self._buffer += data[at:]
            self.cut_frames += 1
        return frames


def _foreign(data: bytes) -> str:
    """What somebody speaks who opened with these bytes instead of the preface."""
    if data[1:2] in {b"", b"\x03"}:  # the major version of every TLS record
        if data[:1] == b"\x16":
            return "peer opened with a TLS handshake, but this end has no TLS; give it tls=, or the peer none"
        if data[:1] == b"\x15":
            return "peer answered with a TLS alert, so it takes TLS alone; give this end tls= (rpcnet.tls)"
    return f"peer does not speak rpcnet: it opened with {data!r}"
