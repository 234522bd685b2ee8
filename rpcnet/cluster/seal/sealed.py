"""Packets sealed with a key of the cluster: nobody else reads them, makes them, changes them or sends them again.

AEAD is ChaCha20-Poly1305 (RFC 8439), its key and nonce never the same twice. A session is twelve random bytes, drawn
when a member starts, after a fork, and after 2^32 messages. The key of a session is HKDF-SHA256 (RFC 5869) of the
cluster's key with the session as salt; the nonce is the number of the message in its session and of the record in the
message. What is sealed along (associated data): the head, hence layout, receiver, key and number; the cluster's name;
in an answer the head of its request. A receiver takes each number of a session once.

Not here: which keys there are (keyring.py), which numbers came (window.py), how messages are framed (envelope.py).
Reasons and limits: docs/membership.md. Tests: tests/rpcnet/cluster/seal/test_sealed.py.
"""

import os
from functools import lru_cache
from struct import Struct
from typing import Final
from zlib import crc32

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rpcnet.cluster.seal.envelope import ANSWER, DATAGRAM, PLAIN, REQUEST, SEALED, Envelope, Record
from rpcnet.cluster.seal.keyring import ID_BYTES, Keyring
from rpcnet.cluster.seal.unopened import Reason, Unopened
from rpcnet.cluster.seal.window import Windows

__all__ = ["Sealed"]

HEAD: Final = Struct(f">7s{ID_BYTES}s12sI")
"""What it is (1 byte), the cluster's mark (2) and the receiver's (4); the key's id, the session, the number in it."""
HEAD_BYTES: Final = HEAD.size
NONCE: Final = Struct(">III")
"""Whether it is the last record, the number of the message, the number of the record."""
TAG: Final = 16
SESSION_BYTES: Final = 12
NUMBERS: Final = 2**32
ANYBODY: Final = bytes(4)
INFO: Final = b"rpcnet cluster seal 1"

REMEMBERED: Final = 16_384
"""Keys of so many sessions are kept, some 40 MB; then all are forgotten and derived again. Two for each member are
used, four while keys rotate."""

_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_count_fork)  # not on Windows, which has no fork


class _Session:
    """What opens the messages of one session of some member."""

    __slots__ = ("cipher", "is_known", "key", "name")

    def __init__(self, key: bytes, name: bytes) -> None:
        self.key, self.name, self.is_known = key, name, False
        self.cipher = ChaCha20Poly1305(HKDF(SHA256(), 32, salt=name, info=INFO).derive(key))


_sessions: dict[tuple[bytes, bytes], _Session] = {}
"""By key and name, one for all members of this process; those that have opened something, so strangers add nothing."""


class _Sender:
    """A session of our own: numbers that never come again."""

    def __init__(self, keyring: Keyring, start: bytes) -> None:
        """`start` is that of each head: what it is, and the cluster's mark."""
        self.start = start
        self._keyring, self._number, self._fork = keyring, NUMBERS, -1
        self.head(None)

    def head(self, to: str | None) -> tuple[bytes, int]:
        """The head of the next message, and its number. A fork has two processes that would go on with one session: it
        ends there.
        """
        number = self._number
        if number == NUMBERS or self._fork != _forks:
            self._fork, self._name, number = _forks, os.urandom(SESSION_BYTES), 0
            self._use_key()
        elif self._keyring.sealing is not self._key:
            self._use_key()  # numbers go on: they are the session's, whatever the key
        self._number = number + 1
        return HEAD.pack(self.start + _mark(to), self._key_id, self._name, number), number

    def _use_key(self) -> None:
        self._key = self._keyring.sealing
        self._key_id = bytes.fromhex(self._keyring.primary)
        self.cipher = _Session(self._key, self._name).cipher


class Sealed(Envelope):
    head_bytes = HEAD_BYTES
    tag_bytes = TAG

    def __init__(self, keyring: Keyring, cluster: str, name: str, max_sessions: int) -> None:
        """For the member of that name. max_sessions: of other members, whose numbers are remembered."""
        self._keyring = keyring
        self._cluster, self._cluster_name = cluster.encode(), cluster
        self._windows = Windows(max_sessions)
        cluster_mark = (crc32(self._cluster) & 0xFFFF).to_bytes(2, "big")
        starts = [bytes((SEALED | kind,)) + cluster_mark for kind in (DATAGRAM, REQUEST, ANSWER)]
        # A session each: requests come late where TCP sends again, while many datagrams overtake them.
        self._senders = [_Sender(keyring, start) for start in starts]
        self._for_us = [frozenset({start + _mark(None), start + _mark(name)}) for start in starts]
        """How the heads that we open begin, by what they are."""

    def seal(self, packet: bytes, to: str | None) -> bytes:
        sender = self._senders[DATAGRAM]
        head, number = sender.head(to)
        return head + sender.cipher.encrypt(NONCE.pack(1, number, 0), packet, head + self._cluster)

    def open(self, datagram: bytes) -> bytes:
        head = datagram[:HEAD_BYTES]
        session, number = self._check(DATAGRAM, head)
        return self._open_first(session, number, NONCE.pack(1, number, 0), datagram[HEAD_BYTES:], head + self._cluster)

    def begin(self, kind: int, to: str | None, about: bytes) -> tuple[bytes, Record]:
        sender = self._senders[kind]
        head, number = sender.head(to)
        cipher, along = sender.cipher, head + self._cluster + about
        return head, lambda data, record, last: cipher.encrypt(NONCE.pack(last, number, record), data, along)

    def admit(self, kind: int, head: bytes, about: bytes) -> Record:
        session, number = self._check(kind, head)
        along = head + self._cluster + about

        def reveal(data: bytes, record: int, last: bool) -> bytes:
            nonce = NONCE.pack(last, number, record)
            # An answer needs no window: it fits one request, which takes one answer.
            if record == 0 and kind != ANSWER:
                return self._open_first(session, number, nonce, data, along)
            return _decrypt(session, nonce, data, along)

        return reveal

    def _check(self, kind: int, head: bytes) -> tuple[_Session, int]:
        """The session and the number in it. Nothing of the head is proven yet."""
        if len(head) < HEAD_BYTES:
            raise _none_of_ours(head)
        start, key_id, name, number = HEAD.unpack(head)
        if start not in self._for_us[kind]:
            raise self._not_for_us(kind, start)
        key = self._keyring.find(key_id)
        if key is None:
            raise Unopened(
                Reason.UNKNOWN_KEY,
                f"it is sealed with key {key_id.hex()}, and this keyring has only {', '.join(self._keyring.ids)}",
            )
        return _sessions.get((key, name)) or _Session(key, name), number

    def _not_for_us(self, kind: int, start: bytes) -> Unopened:
        ours = self._senders[kind].start
        if start[0] != ours[0]:
            return _none_of_ours(start)
        if start[:3] != ours:
            return Unopened(Reason.FOREIGN_CLUSTER, f"it is of another cluster than this one, {self._cluster_name!r}")
        return Unopened(Reason.MISDIRECTED)

    def _open_first(self, session: _Session, number: int, nonce: bytes, data: bytes, along: bytes) -> bytes:
        """The first record of a message: its number is taken once."""
        window = self._windows.after(session.name, number)
        if window is None:
            raise Unopened(Reason.REPLAYED)
        found = _decrypt(session, nonce, data, along)
        if not session.is_known:
            if len(_sessions) >= REMEMBERED:
                _sessions.clear()
            _sessions[session.key, session.name] = session
            session.is_known = True
        self._windows.keep(session.name, window)
        return found


def _decrypt(session: _Session, nonce: bytes, data: bytes, along: bytes) -> bytes:
    try:
        return session.cipher.decrypt(nonce, data, along)
    except InvalidTag:
        raise Unopened(
            Reason.FORGED, "its seal does not fit: it was damaged on the way, or made without the key"
        ) from None


@lru_cache(REMEMBERED)
def _mark(name: str | None) -> bytes:
    """A hint of the receiver, or of whoever it may be; other members do not answer what is not for them."""
    if name is None:
        return ANYBODY
    return (crc32(name.encode("utf-8", "surrogatepass")) or 1).to_bytes(4, "big")


def _none_of_ours(data: bytes) -> Unopened:
    if data and PLAIN <= data[0] <= PLAIN | ANSWER:
        return Unopened(Reason.UNSEALED, "it is not sealed, and this member has a keyring")
    return Unopened(Reason.MALFORMED)
