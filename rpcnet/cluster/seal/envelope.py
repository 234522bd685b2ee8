"""What surrounds a packet on the wire, as a datagram, and as a request or its answer on a stream.

A datagram is a head and one record. A message on a stream is a head and records of at most RECORD_BYTES, each behind a
word of four bytes: its length, and in the highest bit whether it is the last. Each is judged when it is there, so that
a stranger makes us keep one record at most. Head and records are Sealed or Checksummed; both frame them alike. Knows no
socket, no clock, and nothing of what a packet says.

Layout: docs/membership.md. Tests: tests/rpcnet/cluster/seal/test_envelope.py, tests/fuzz.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from rpcnet.cluster.seal.unopened import Reason, Unopened

__all__ = [
    "ANSWER",
    "DATAGRAM",
    "PLAIN",
    "RECORD_BYTES",
    "REQUEST",
    "SEALED",
    "Answering",
    "Asking",
    "Envelope",
]

DATAGRAM, REQUEST, ANSWER = 0, 1, 2
SEALED, PLAIN = 0xE0, 0xD0
"""First byte of all that is sent, with what it is added. Another layout takes other numbers."""
RECORD_BYTES: Final = 65_536
WORD: Final = 4
LAST: Final = 1 << 31

Record = Callable[[bytes, int, bool], bytes]
"""Data, its number in the message, whether it is the last → what it is on the wire, or back."""


class Envelope(ABC):
    """How one member sends, and what it opens."""

    head_bytes: int
    tag_bytes: int
    """By how many bytes a record is longer than its data."""

    @property
    def overhead(self) -> int:
        """By how many bytes a datagram is longer than its packet."""
        return self.head_bytes + self.tag_bytes

    @abstractmethod
    def seal(self, packet: bytes, to: str | None) -> bytes:
        """The datagram for the member of that name; None = for whoever gets it."""

    @abstractmethod
    def open(self, datagram: bytes) -> bytes:
        """The packet in it. Raises Unopened."""

    @abstractmethod
    def begin(self, kind: int, to: str | None, about: bytes) -> tuple[bytes, Record]:
        """The head of a message on a stream, and what makes its records. `about`: the head that it answers."""

    @abstractmethod
    def admit(self, kind: int, head: bytes, about: bytes) -> Record:
        """What opens the records behind this head; they raise Unopened, and so does a head that is not for us."""

    def message(self, kind: int, data: bytes, to: str | None, about: bytes = b"") -> tuple[bytes, bytes]:
        """The head of a message, and all of it."""
        head, record = self.begin(kind, to, about)
        pieces = [head]
        for number, at in enumerate(range(0, max(1, len(data)), RECORD_BYTES)):
            last = at + RECORD_BYTES >= len(data)
            sealed = record(data[at : at + RECORD_BYTES], number, last)
            pieces += (len(sealed) | LAST * last).to_bytes(WORD, "big"), sealed
        return head, b"".join(pieces)


class _Reader:
    """One message from a stream, piece by piece."""

    def __init__(self, envelope: Envelope, kind: int, limit: int, about: bytes = b"") -> None:
        self.head = b""
        self._envelope, self._kind, self._limit, self._about = envelope, kind, limit, about
        self._buffer, self._data = bytearray(), bytearray()
        self._record: Record | None = None
        self._number = 0

    @property
    def is_trusted(self) -> bool:
        """Whether a record was opened."""
        return self._number > 0

    def receive(self, data: bytes) -> bytes | None:
        """The whole message once it is there. Raises Unopened."""
        self._buffer += data
        if self._record is None:
            size = self._envelope.head_bytes
            if len(self._buffer) < size:
                return None
            self.head = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._record = self._envelope.admit(self._kind, self.head, self._about)
        while len(self._buffer) >= WORD:
            word = int.from_bytes(self._buffer[:WORD], "big")
            length, last = word & ~LAST, word >= LAST
            size = length - self._envelope.tag_bytes
            if not 0 <= size <= RECORD_BYTES or len(self._data) + size > self._limit:
                raise Unopened(Reason.MALFORMED)
            if len(self._buffer) < WORD + length:
                break
            self._data += self._record(bytes(self._buffer[WORD : WORD + length]), self._number, last)
            del self._buffer[: WORD + length]
            self._number += 1
            if last:
                return bytes(self._data)
        return None


class Asking:
    """The side of a stream that asks: `sent` goes out at once."""

    def __init__(self, envelope: Envelope, request: bytes, to: str | None, limit: int) -> None:
        head, self.sent = envelope.message(REQUEST, request, to)
        self._answer = _Reader(envelope, ANSWER, limit, head)

    def receive(self, data: bytes) -> bytes | None:
        """The answer once it is there whole. Raises Unopened; one to another request does not open."""
        return self._answer.receive(data)


class Answering:
    """The side that is asked."""

    def __init__(self, envelope: Envelope, limit: int) -> None:
        self._envelope, self._request = envelope, _Reader(envelope, REQUEST, limit)

    @property
    def is_trusted(self) -> bool:
        """Whether what has come is of this cluster."""
        return self._request.is_trusted

    def receive(self, data: bytes) -> bytes | None:
        """The request once it is there whole. Raises Unopened: then nothing may be said."""
        return self._request.receive(data)

    def answer(self, data: bytes) -> bytes:
        """What goes out as the answer to this request, and to no other."""
        return self._envelope.message(ANSWER, data, None, self._request.head)[1]
