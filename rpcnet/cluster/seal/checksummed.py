"""Packets of a cluster without keys: a checksum finds what was damaged on the way. It keeps nobody out.

CRC-32 over the head and the packet: UDP's own sum of 16 bits misses some damage, and is missing where a network card or
a tunnel computes it anew. Tests: tests/rpcnet/cluster/seal/test_envelope.py.
"""

from typing import Final
from zlib import crc32

from rpcnet.cluster.seal.envelope import ANSWER, DATAGRAM, PLAIN, SEALED, Envelope, Record
from rpcnet.cluster.seal.unopened import Reason, Unopened

__all__ = ["Checksummed"]

SUM: Final = 4
KEY_ID: Final = slice(7, 11)


class Checksummed(Envelope):
    head_bytes = 1
    tag_bytes = SUM

    def seal(self, packet: bytes, to: str | None) -> bytes:
        head = bytes((PLAIN | DATAGRAM,))
        return head + packet + crc32(packet, crc32(head)).to_bytes(SUM, "big")

    def open(self, datagram: bytes) -> bytes:
        self._check_kind(DATAGRAM, datagram)
        return _checked(datagram[1:], crc32(datagram[:1]))

    def begin(self, kind: int, to: str | None, about: bytes) -> tuple[bytes, Record]:
        head = bytes((PLAIN | kind,))

        def guard(data: bytes, number: int, last: bool) -> bytes:
            return data + crc32(data, _start(head, number, last)).to_bytes(SUM, "big")

        return head, guard

    def admit(self, kind: int, head: bytes, about: bytes) -> Record:
        self._check_kind(kind, head)
        return lambda data, number, last: _checked(data, _start(head, number, last))

    def _check_kind(self, kind: int, data: bytes) -> None:
        first = data[0] if data else 0
        if first == PLAIN | kind:
            return
        if SEALED <= first <= SEALED | ANSWER:
            key = f" with key {data[KEY_ID].hex()}" if len(data) >= KEY_ID.stop else ""
            raise Unopened(Reason.SEALED, f"it is sealed{key}, and this member has no keyring")
        raise Unopened(Reason.MALFORMED)


def _start(head: bytes, number: int, last: bool) -> int:
    return crc32(bytes((last,)) + number.to_bytes(4, "big"), crc32(head))


def _checked(data: bytes, start: int) -> bytes:
    packet = data[:-SUM]
    if len(data) < SUM or crc32(packet, start) != int.from_bytes(data[-SUM:], "big"):
        raise Unopened(Reason.DAMAGED, "its checksum does not fit: it was damaged on the way")
    return packet
